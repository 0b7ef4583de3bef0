use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cofferdam_arena::Budget;
use cofferdam_testkit::simfs::{EIO, ENOSPC, Fault, Op, Rule, SimDisk};
use cofferdam_vfs::{OpenMode, Vfs};
use proptest::prelude::*;

use super::*;
use crate::error::Error;

const BLOCK: usize = 4 << 10;

/// A database's space on a simulated disk, and an operator's budget.
struct Bench {
    disk: SimDisk,
    process: Budget,
    operator: Budget,
    space: SpillSpace,
}

fn bench(limit: u64) -> Bench {
    let disk = SimDisk::new(7);
    let process = Budget::root("process", limit).unwrap();
    let operator = process.child("sort_3", u64::MAX).unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    let space = SpillSpace::new(&vfs, Some(Path::new("/tmp")), u64::MAX, &process);
    Bench { disk, process, operator, space }
}

impl Bench {
    fn owner(&self) -> SpillOwner {
        SpillOwner::new(&self.space, "sort_3", &self.operator, 4).unwrap()
    }

    fn io(&self) -> SpillIo {
        SpillIo::new(&self.owner(), &self.operator, BLOCK).unwrap()
    }

    fn slot(&self) -> IoSlot {
        IoSlot::new(&self.operator, BLOCK).unwrap()
    }

    fn names(&self) -> Vec<String> {
        names(&self.disk)
    }
}

fn names(disk: &SimDisk) -> Vec<String> {
    let mut names = Vec::new();
    if let Ok(directory) = disk.directory(Path::new("/tmp"), false) {
        directory
            .list(&mut |name| {
                names.push(name.to_owned());
                Ok(())
            })
            .unwrap();
    }
    names.sort();
    names
}

fn never() -> bool {
    false
}

/// A row of a length, which compresses or not.
fn row(number: u64, len: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut byte = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    if number.is_multiple_of(2) { vec![number as u8; len] } else { (0..len).map(&mut byte).collect() }
}

fn write(rows: &[Vec<u8>], io: &mut SpillIo, slot: IoSlot) -> Result<(SpillFile, IoSlot), SpillFailure> {
    let mut writer = SpillWriter::create(slot, io)?;
    for (i, row) in rows.iter().enumerate() {
        let (head, tail) = row.split_at(row.len() / 2);
        writer.push(i as u64, &[head, tail], io, &never)?;
    }
    writer.finish(io, &never)
}

fn read(file: &SpillFile, io: &mut SpillIo, slot: IoSlot) -> Result<Vec<Vec<u8>>, SpillFailure> {
    let mut reader = file.read(slot, io)?;
    let mut rows = Vec::new();
    while let Some((tag, row)) = reader.next(io, &never)? {
        assert_eq!(tag, rows.len() as u64);
        rows.push(row.to_vec());
    }
    Ok(rows)
}

fn problem<T>(result: Result<T, SpillFailure>) -> SpillProblem {
    match result.err().expect("it fails") {
        SpillFailure::Problem(problem) => problem,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Aim: what is written is what is read, whatever the lengths, also rows of several blocks; counts say what is there; nothing is
    /// left. Method: files on a simulated disk that reads and writes a part at a time.
    #[test]
    fn rows_are_what_was_written(
        lens in prop::collection::vec(prop_oneof![0usize..60, 3000usize..5000, 9000usize..20_000], 0..60),
        is_short: bool,
    ) {
        let bench = bench(u64::MAX);
        if is_short {
            bench.disk.inject(Rule::new([Op::Read, Op::Write], Fault::Short).chance(300_000));
        }
        let rows: Vec<_> = lens.iter().enumerate().map(|(i, len)| row(i as u64, *len)).collect();
        let mut io = bench.io();
        let (file, slot) = write(&rows, &mut io, bench.slot()).unwrap();
        prop_assert_eq!(file.rows_count(), rows.len() as u64);
        prop_assert_eq!(file.row_bytes_max(), lens.iter().copied().max().unwrap_or(0));
        prop_assert_eq!(&read(&file, &mut io, slot).unwrap(), &rows);
        let counts = io.owner().counts();
        prop_assert_eq!((counts.bytes_now, counts.files_now, counts.files_total), (file.bytes(), 1, 1));
        prop_assert_eq!(bench.space.counts(), counts);
        let mut listed = Vec::new();
        bench.space.for_each_file(|file| listed.push((file.name.to_owned(), file.bytes, file.owner.to_owned())));
        prop_assert_eq!(listed.len(), 1);
        prop_assert!(bench.names().contains(&listed[0].0));
        prop_assert_eq!((listed[0].1, &*listed[0].2), (file.bytes(), "sort_3"));
        drop((file, io));
        prop_assert_eq!((bench.space.counts().bytes_now, bench.space.counts().files_now), (0, 0));
        prop_assert_eq!(bench.operator.used(), 0);
        prop_assert_eq!(bench.names(), ["cofferdam-temp.lock"]);
        let process = bench.process.clone();
        drop(bench.space);
        prop_assert_eq!(names(&bench.disk), ["cofferdam-temp.lock"]);
        // What the root has for its tree.
        prop_assert_eq!(process.used(), 4096);
    }
}

/// Aim: a row is found again by the place of its block. Method: note the place before every tenth row, and read on from each.
#[test]
fn rows_are_read_from_places_that_were_noted() {
    let bench = bench(u64::MAX);
    let mut io = bench.io();
    let mut writer = SpillWriter::create(bench.slot(), &io).unwrap();
    let mut places = Vec::new();
    for i in 0..500u64 {
        if i % 10 == 0 {
            writer.flush(&mut io, &never).unwrap();
        }
        if let Some(place) = writer.next_block() {
            places.push((place, i));
        }
        writer.push(i, &[&row(i, 300)], &mut io, &never).unwrap();
    }
    let (file, slot) = writer.finish(&mut io, &never).unwrap();
    assert!(places.len() >= 50);
    let mut reader = file.read(slot, &io).unwrap();
    for (place, first) in places.into_iter().rev() {
        reader.seek(place);
        for i in first..(first + 13).min(500) {
            let (tag, bytes) = reader.next(&mut io, &never).unwrap().unwrap();
            assert_eq!((tag, bytes), (i, &row(i, 300)[..]));
        }
    }
}

/// Aim: neither writing nor reading charges anything once slots are made. Method: fill the budget, then do both.
#[test]
fn spilling_charges_nothing() {
    let bench = bench(256 << 10);
    let mut io = bench.io();
    let slot = bench.slot();
    let mut pages = RowPages::new(&bench.operator, BLOCK);
    while pages.push(0, &[&[1; 500]]).is_ok() {}
    let used = bench.process.used();
    let mut writer = SpillWriter::create(slot, &io).unwrap();
    for (tag, row) in pages.iter() {
        writer.push(tag, &[row], &mut io, &never).unwrap();
    }
    let (file, slot) = writer.finish(&mut io, &never).unwrap();
    let mut reader = file.read(slot, &io).unwrap();
    let mut rows = 0;
    while let Some((_, row)) = reader.next(&mut io, &never).unwrap() {
        assert_eq!(row, [1; 500]);
        rows += 1;
    }
    assert_eq!((rows, bench.process.used()), (pages.rows_count(), used));
    assert!(file.bytes() < rows * 100, "such rows are compressed: {} bytes", file.bytes());
}

/// Aim: every failure of the disk is its own error, with its SQLSTATE, and leaves neither a file nor a charge.
#[test]
fn failures_of_the_disk_are_typed() {
    let rows: Vec<_> = (0..200).map(|i| row(i, 200)).collect();
    let fails = |op, fault, nth, state: &str, says: &str| {
        let bench = bench(u64::MAX);
        let mut io = bench.io();
        bench.disk.inject(Rule::new([op], fault).file("cofferdam-*-*-*").nth(nth));
        let failed =
            problem(write(&rows, &mut io, bench.slot()).and_then(|(file, slot)| read(&file, &mut io, slot)));
        assert_eq!(failed.sqlstate(), state, "{failed}");
        assert!(failed.to_string().contains(says), "{failed}");
        let error = Error::from(SpillFailure::from(failed));
        assert_eq!((error.sqlstate(), error.remedy()), (state, failed.remedy()));
        assert!(error.hint().is_some() && error.to_string() == failed.to_string());
        drop(io);
        assert_eq!((bench.operator.used(), bench.space.counts().bytes_now), (0, 0));
        assert!(bench.names().len() <= 1, "{:?}", bench.names());
    };
    fails(Op::Write, Fault::Error(ENOSPC), 3, "53100", "no space left");
    fails(Op::Write, Fault::Error(EIO), 1, "58030", "could not write temporary file: the device failed");
    fails(Op::Create, Fault::Error(13), 1, "58030", "could not create temporary file");
    fails(Op::Open, Fault::Error(24), 1, "58030", "ulimit -n");
    fails(Op::Read, Fault::Error(EIO), 2, "58030", "could not read temporary file");
    for nth in 1..=4 {
        fails(Op::Write, Fault::FlipStored, nth, "XX001", "damaged");
        fails(Op::Write, Fault::Ignore, nth, "XX001", "damaged");
        // A read may ask for more than the block has, and the bit may be there.
        let bench = bench(u64::MAX);
        let mut io = bench.io();
        bench.disk.inject(Rule::new([Op::Read], Fault::FlipOnce).nth(nth));
        let outcome = write(&rows, &mut io, bench.slot()).and_then(|(file, slot)| read(&file, &mut io, slot));
        match outcome {
            Ok(read) => assert_eq!(read, rows),
            Err(_) => assert_eq!(problem(outcome).sqlstate(), "XX001"),
        }
    }
}

/// Aim: a block of another file, or of another place, is told from the right one. Method: writes and reads that go elsewhere.
#[test]
fn misdirected_blocks_are_damage() {
    let rows: Vec<_> = (0..400).map(|i| row(i * 2 + 1, 200)).collect();
    for op in [Op::Write, Op::Read] {
        for nth in 1..20 {
            let bench = bench(u64::MAX);
            let mut io = bench.io();
            let (other, _) = write(&rows, &mut io, bench.slot()).unwrap();
            bench.disk.inject(Rule::new([op], Fault::Misdirect).file("cofferdam-*-*-2").nth(nth));
            let outcome =
                write(&rows, &mut io, bench.slot()).and_then(|(file, slot)| read(&file, &mut io, slot));
            match outcome {
                Ok(read) => assert_eq!(read, rows, "what goes elsewhere may be there already"),
                Err(_) => assert_eq!(problem(outcome).sqlstate(), "XX001"),
            }
            drop(other);
        }
    }
}

/// Aim: the limit of the directory is never passed, is shared by all files, and can be raised; its error names the setting.
#[test]
fn the_directory_has_a_limit() {
    let bench = bench(u64::MAX);
    let mut io = bench.io();
    let rows: Vec<_> = (0..100).map(|i| row(i * 2 + 1, 500)).collect();
    bench.space.set_limit_bytes(60_000);
    let (first, slot) = write(&rows, &mut io, bench.slot()).unwrap();
    let failed = problem(write(&rows, &mut io, slot));
    assert_eq!((failed.sqlstate(), failed.remedy()), ("53400", cofferdam_store::Remedy::FixInput));
    assert!(failed.to_string().contains("max_temp_directory_size (58.6 KiB)"), "{failed}");
    let counts = bench.space.counts();
    assert!(counts.bytes_peak <= 60_000 && counts.bytes_peak > 50_000, "{counts:?}");
    assert_eq!((counts.bytes_now, counts.files_now, counts.files_peak), (first.bytes(), 1, 2));
    bench.space.set_limit_bytes(u64::MAX);
    write(&rows, &mut io, bench.slot()).unwrap();
    bench.space.set_limit_bytes(0);
    assert!(!bench.space.is_enabled());
}

/// Aim: files go where the setting says from then on; those that are there stay until they are dropped.
#[test]
fn the_directory_can_be_changed() {
    let bench = bench(u64::MAX);
    let mut io = bench.io();
    let rows = [row(1, 100)];
    let (first, slot) = write(&rows, &mut io, bench.slot()).unwrap();
    bench.space.set_directory(Some(Path::new("/other")));
    let (second, slot) = write(&rows, &mut io, slot).unwrap();
    assert_eq!(bench.names().len(), 3);
    assert_eq!(read(&first, &mut io, slot).unwrap(), rows);
    drop(first);
    assert_eq!(bench.names(), ["cofferdam-temp.lock"]);
    assert_eq!(read(&second, &mut io, bench.slot()).unwrap(), rows);
    bench.space.set_directory(None);
    assert!(!bench.space.is_enabled() && bench.space.with_directory(|path| path.is_none()));
    let failed = problem(write(&rows, &mut io, bench.slot()));
    assert_eq!(failed.sqlstate(), "58030");
    // The parent is not there.
    bench.space.set_directory(Some(Path::new("/no/such")));
    assert_eq!(problem(write(&rows, &mut io, bench.slot())).sqlstate(), "58030");
}

/// Aim: what a killed process leaves is removed by whoever opens the directory next, what is used or is not ours is not.
#[test]
fn leftovers_of_a_crash_are_swept() {
    let bench = bench(u64::MAX);
    let rows = [row(1, 5000)];
    let mut files = Vec::new();
    let mut io = bench.io();
    for _ in 0..40 {
        files.push(write(&rows, &mut io, bench.slot()).unwrap().0);
    }
    let directory = bench.disk.directory(Path::new("/tmp"), false).unwrap();
    let not_ours = ["cofferdam-x", "cofferdam-1-2-3", "cofferdam-12-0123456789abcdef.txt", "other"];
    for name in not_ours {
        directory.open(name, OpenMode::CreateNew).unwrap();
    }
    // A file whose lock is gone, as a sweep leaves it that was itself killed.
    directory.open("cofferdam-12-0123456789abcdef-7", OpenMode::CreateNew).unwrap();

    // Somebody else, while the first still runs.
    let vfs: Arc<dyn Vfs> = Arc::new(bench.disk.clone());
    let other = SpillSpace::new(&vfs, Some(Path::new("/tmp")), u64::MAX, &bench.process);
    assert_eq!(other.sweep(), 1);
    assert_eq!(bench.names().len(), 40 + 2 + not_ours.len(), "{:?}", bench.names());
    assert_eq!(read(&files[17], &mut io, bench.slot()).unwrap(), rows);

    bench.disk.kill();
    assert_eq!(other.sweep(), 40);
    assert_eq!(bench.names().len(), 1 + not_ours.len(), "{:?}", bench.names());
    // Where there is no directory there is nothing to do.
    other.set_directory(Some(Path::new("/none")));
    assert_eq!(other.sweep(), 0);
}

/// Aim: a directory that is in use by many at once is opened by each, and nobody loses a file. Method: threads that open, write, read
/// and close.
#[test]
fn many_processes_share_a_directory() {
    let disk = SimDisk::new(1);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let process = Budget::unlimited("process").unwrap();
                    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
                    let space = SpillSpace::new(&vfs, Some(Path::new("/tmp")), u64::MAX, &process);
                    let owner = SpillOwner::new(&space, "join_1", &process, 1).unwrap();
                    let mut io = SpillIo::new(&owner, &process, BLOCK).unwrap();
                    let rows = [row(3, 9000)];
                    let (file, slot) = write(&rows, &mut io, IoSlot::new(&process, BLOCK).unwrap()).unwrap();
                    assert_eq!(read(&file, &mut io, slot).unwrap(), rows);
                }
            });
        }
    });
    assert_eq!(names(&disk), ["cofferdam-temp.lock"]);
}

/// Aim: who is cancelled stops within a block, writing and reading.
#[test]
fn a_flag_ends_writing_and_reading() {
    let bench = bench(u64::MAX);
    let mut io = bench.io();
    let asked = AtomicU64::new(0);
    let is_cancelled = || asked.fetch_add(1, Ordering::Relaxed) >= 2;
    let mut writer = SpillWriter::create(bench.slot(), &io).unwrap();
    let mut rows = 0;
    let failed = loop {
        match writer.push(0, &[&row(1, 1000)], &mut io, &is_cancelled) {
            Ok(()) => rows += 1,
            Err(failed) => break failed,
        }
    };
    assert!(matches!(failed, SpillFailure::Cancelled) && rows <= 12, "{rows}");
    assert!(matches!(Error::from(failed), Error::Cancelled));
    drop(writer);
    let (file, slot) = write(&[row(1, 50_000)], &mut io, bench.slot()).unwrap();
    let mut reader = file.read(slot, &io).unwrap();
    assert!(matches!(reader.next(&mut io, &|| true), Err(SpillFailure::Cancelled)));
}

/// Aim: whichever charge is refused, the error is the one of memory, and everything comes back.
#[test]
fn every_charge_may_be_refused() {
    let rows: Vec<_> = (0..20).map(|i| row(i, 3000)).collect();
    let mut refused = 0;
    for nth in 1.. {
        let bench = bench(u64::MAX);
        bench.process.inject_refusal(nth);
        let run = || -> Result<(), SpillFailure> {
            let owner = SpillOwner::new(&bench.space, "sort_3", &bench.operator, 2)?;
            let mut io = SpillIo::new(&owner, &bench.operator, BLOCK)?;
            let slot = IoSlot::new(&bench.operator, BLOCK)?;
            let (file, slot) = write(&rows, &mut io, slot)?;
            assert_eq!(read(&file, &mut io, slot)?, rows);
            let long = [row(1, 10_000)];
            let (file, slot) = write(&long, &mut io, IoSlot::new(&bench.operator, BLOCK)?)?;
            assert_eq!(read(&file, &mut io, slot)?, long);
            Ok(())
        };
        let outcome = run();
        assert_eq!((bench.operator.used(), bench.space.counts().files_now), (0, 0));
        match outcome {
            Err(SpillFailure::OutOfMemory(_)) => refused += 1,
            Err(other) => panic!("{other:?}"),
            Ok(()) => break,
        }
    }
    assert!(refused >= 6, "{refused}");
}

#[test]
fn blocks_follow_the_limit() {
    for (limit, bytes) in [
        (0, 4 << 10),
        (1 << 20, 4 << 10),
        (2 << 20, 8 << 10),
        (8 << 20, 32 << 10),
        (16 << 20, 64 << 10),
        (u64::MAX, 64 << 10),
    ] {
        assert_eq!(block_bytes(limit), bytes);
    }
}
