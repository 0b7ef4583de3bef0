//! How fast the simulated disk is: writes, crashes, and whole lives of a small log.
//!
//! `cargo run --release -p cofferdam-testkit --example simfs_speed`

use std::io;
use std::path::Path;
use std::time::Instant;

use cofferdam_testkit::simfs::SimDisk;
use cofferdam_vfs::{OpenMode, Vfs};

fn report(what: &str, count: u64, work: impl FnOnce() -> io::Result<()>) {
    let started = Instant::now();
    work().expect("the disk is sound");
    let seconds = started.elapsed().as_secs_f64();
    println!("{what:<58} {:>9.0} a second, {seconds:.3} s", count as f64 / seconds);
}

fn main() {
    report("writes of 100 bytes, appended, a sync after 100", 1_000_000, || {
        let directory = SimDisk::new(1).directory(Path::new("db"), true)?;
        let file = directory.open("log", OpenMode::CreateNew)?;
        for index in 0..1_000_000 {
            file.write_all_at(&[index as u8; 100], index * 100)?;
            if index % 100 == 99 {
                file.sync()?;
            }
        }
        Ok(())
    });
    report("writes of 100 bytes, anywhere in 64 MiB, no sync", 1_000_000, || {
        let directory = SimDisk::new(1).directory(Path::new("db"), true)?;
        let file = directory.open("data", OpenMode::CreateNew)?;
        file.set_len(64 << 20)?;
        for index in 0..1_000_000u64 {
            file.write_all_at(&[index as u8; 100], index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 38)?;
        }
        Ok(())
    });
    report("reads of 4 KiB", 1_000_000, || {
        let directory = SimDisk::new(1).directory(Path::new("db"), true)?;
        let file = directory.open("data", OpenMode::CreateNew)?;
        file.set_len(1 << 20)?;
        let mut page = [0; 4096];
        (0..1_000_000u64).try_for_each(|index| file.read_exact_at(&mut page, index % 255 * 4096))
    });
    // Ten files, one with 1 MiB that is synced; each round writes to all, syncs some, replaces one, and loses power.
    report("crashes with ten files and about thirty unsynced sectors", 100_000, || {
        let disk = SimDisk::new(1);
        let directory = disk.directory(Path::new("db"), true)?;
        directory.open("large", OpenMode::CreateNew)?.write_all_at(&[1; 1 << 20], 0)?;
        for index in 0..9 {
            directory.open(&format!("file-{index}"), OpenMode::CreateNew)?.sync()?;
        }
        directory.open("large", OpenMode::Write)?.sync()?;
        directory.sync()?;
        for seed in 0..100_000 {
            let directory = disk.directory(Path::new("db"), false)?;
            for index in 0..9 {
                let file = directory.open(&format!("file-{index}"), OpenMode::Write)?;
                file.write_all_at(&[seed as u8; 1500], seed % 7 * 100)?;
                if index % 3 == 0 {
                    file.sync()?;
                }
            }
            let temporary = directory.open("temporary", OpenMode::CreateNew)?;
            temporary.write_all_at(&[2; 700], 0)?;
            directory.rename("temporary", "root")?;
            disk.crash(seed);
            let directory = disk.directory(Path::new("db"), false)?;
            if directory.open("temporary", OpenMode::Read).is_ok() {
                directory.remove("temporary")?;
                directory.sync()?;
            }
        }
        Ok(())
    });
    report("lives: made, 20 records with a sync each, a crash, read", 20_000, || {
        for seed in 0..20_000 {
            let disk = SimDisk::new(seed);
            let directory = disk.directory(Path::new("db"), true)?;
            let file = directory.open("log", OpenMode::CreateNew)?;
            directory.sync()?;
            for index in 0..20 {
                file.write_all_at(&[index as u8; 100], index * 100)?;
                file.sync()?;
            }
            disk.crash(seed);
            let file = disk.directory(Path::new("db"), false)?.open("log", OpenMode::Read)?;
            file.read_exact_at(&mut [0; 2000], 0)?;
        }
        Ok(())
    });
}
