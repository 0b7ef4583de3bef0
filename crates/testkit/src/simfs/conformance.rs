//! What every [`Vfs`] does alike, run over the real one, the one in memory, the simulated one, and the one that counts.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cofferdam_vfs::{CountingVfs, Directory, OpenMode, Vfs};

use super::SimDisk;

type Behaviour = fn(&dyn Vfs, &Path);

/// What is tested, each in a directory of its own that is empty at first.
const BEHAVIOURS: [(&str, Behaviour); 11] = [
    ("bytes", bytes_come_back_as_they_were_written),
    ("holes", holes_and_lengths_are_zeros),
    ("ends", reads_stop_at_the_end),
    ("modes", modes_are_kept_to),
    ("names", names_are_changed_and_listed),
    ("handles", a_file_without_a_name_goes_on),
    ("renames", a_rename_replaces_what_had_the_name),
    ("refused", what_is_no_name_is_refused),
    ("locks", locks_exclude_other_handles),
    ("directories", directories_are_made_and_found),
    ("clock", time_passes),
];

fn conform(vfs: &dyn Vfs, place: &Path) {
    vfs.directory(place, true).unwrap();
    for (name, behaviour) in BEHAVIOURS {
        println!("{name}");
        behaviour(vfs, &place.join(name));
    }
}

#[cfg(unix)]
fn conform_on_the_system(test: &str, vfs: &dyn Vfs) {
    let place = std::env::temp_dir().join(format!("cofferdam-{test}-{}", std::process::id()));
    conform(vfs, &place);
    std::fs::remove_dir_all(&place).unwrap();
}

#[test]
fn simulated_files_conform() {
    let disk = SimDisk::new(1);
    conform(&disk, Path::new("place"));
    println!("{}", disk.log_text());
}

#[cfg(feature = "arena")]
#[test]
fn files_in_memory_conform() {
    let budget = cofferdam_arena::Budget::unlimited("process").unwrap().child("files", u64::MAX).unwrap();
    conform(&cofferdam_vfs::MemoryVfs::new(&budget), Path::new("place"));
    assert_eq!(budget.used(), 0);
}

#[cfg(unix)]
#[test]
fn files_of_the_system_conform() {
    conform_on_the_system("system", &cofferdam_vfs::OsVfs);
}

#[cfg(unix)]
#[test]
fn counted_files_conform() {
    let vfs = CountingVfs::new(Arc::new(cofferdam_vfs::OsVfs));
    conform_on_the_system("counted", &vfs);
    let counts = vfs.counts();
    assert!(
        counts.syncs > 0 && counts.directory_syncs > 0 && counts.bytes_written > counts.writes,
        "{counts:?}"
    );
}

fn names(directory: &dyn Directory) -> Vec<String> {
    let mut names = Vec::new();
    directory
        .list(&mut |name| {
            names.push(name.to_owned());
            Ok(())
        })
        .unwrap();
    names.sort();
    names
}

fn content(directory: &dyn Directory, name: &str) -> Vec<u8> {
    let file = directory.open(name, OpenMode::Read).unwrap();
    let mut bytes = vec![0xee; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn make(directory: &dyn Directory, name: &str, bytes: &[u8]) {
    directory.open(name, OpenMode::CreateNew).unwrap().write_all_at(bytes, 0).unwrap();
}

fn bytes_come_back_as_they_were_written(vfs: &dyn Vfs, path: &Path) {
    let directory = vfs.directory(path, true).unwrap();
    let file = directory.open("file", OpenMode::CreateNew).unwrap();
    assert!(file.is_empty().unwrap());
    let bytes: Vec<u8> = (0..5000u32).map(|index| (index * 7 % 251) as u8).collect();
    file.write_all_at(&bytes[2000..], 2000).unwrap();
    file.write_all_at(&bytes[..2000], 0).unwrap();
    file.sync().unwrap();
    assert_eq!(file.len().unwrap(), 5000);
    assert_eq!(content(&*directory, "file"), bytes);

    // Another handle sees at once what this one writes.
    let other = directory.open("file", OpenMode::Write).unwrap();
    other.write_all_at(b"changed", 4000).unwrap();
    let mut into = [0; 7];
    file.read_exact_at(&mut into, 4000).unwrap();
    assert_eq!(&into, b"changed");
    assert_eq!(file.write_at(&[], 9000).unwrap(), 0);
    assert_eq!(file.read_at(&mut [], 0).unwrap(), 0);
    assert_eq!(file.len().unwrap(), 5000, "no bytes make nothing longer");
}

fn holes_and_lengths_are_zeros(vfs: &dyn Vfs, path: &Path) {
    let directory = vfs.directory(path, true).unwrap();
    let file = directory.open("file", OpenMode::CreateNew).unwrap();
    file.write_all_at(b"xyz", 1500).unwrap();
    assert_eq!(content(&*directory, "file"), [&[0; 1500][..], b"xyz"].concat());
    file.set_len(1501).unwrap();
    file.set_len(1503).unwrap();
    assert_eq!(content(&*directory, "file")[1500..], *b"x\0\0", "what was cut off does not come back");
    file.set_len(0).unwrap();
    file.write_all_at(b"end", 600).unwrap();
    file.sync().unwrap();
    assert_eq!(content(&*directory, "file"), [&[0; 600][..], b"end"].concat());
}

fn reads_stop_at_the_end(vfs: &dyn Vfs, path: &Path) {
    let directory = vfs.directory(path, true).unwrap();
    let file = directory.open("file", OpenMode::CreateNew).unwrap();
    file.write_all_at(b"0123456789", 0).unwrap();
    let mut into = [0; 8];
    assert_eq!(file.read_at(&mut into, 6).unwrap(), 4);
    assert_eq!(&into, b"6789\0\0\0\0");
    assert_eq!(file.read_at(&mut into, 10).unwrap(), 0);
    assert_eq!(file.read_at(&mut into, 1 << 40).unwrap(), 0);
    assert_eq!(file.read_exact_at(&mut into, 3).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    file.read_exact_at(&mut into, 2).unwrap();
    assert_eq!(&into, b"23456789");
    // No file reaches so far.
    assert!(file.read_at(&mut into, u64::MAX).is_err());
    assert!(file.write_at(&into, u64::MAX).is_err());
    assert!(file.write_at(&into, i64::MAX as u64 - 3).is_err());
    assert!(file.set_len(u64::MAX).is_err());
    assert_eq!(file.len().unwrap(), 10);
}

fn modes_are_kept_to(vfs: &dyn Vfs, path: &Path) {
    let directory = vfs.directory(path, true).unwrap();
    for mode in [OpenMode::Read, OpenMode::Write] {
        assert_eq!(directory.open("file", mode).unwrap_err().kind(), ErrorKind::NotFound);
    }
    make(&*directory, "file", b"content");
    assert_eq!(directory.open("file", OpenMode::CreateNew).unwrap_err().kind(), ErrorKind::AlreadyExists);
    let reader = directory.open("file", OpenMode::Read).unwrap();
    assert!(reader.write_at(b"x", 0).is_err());
    assert!(reader.set_len(0).is_err());
    reader.sync().unwrap();
    assert_eq!(content(&*directory, "file"), b"content");
}

fn names_are_changed_and_listed(vfs: &dyn Vfs, path: &Path) {
    let directory = vfs.directory(path, true).unwrap();
    vfs.directory(&path.join("below"), true).unwrap();
    assert_eq!(names(&*directory), [""; 0], "a directory is no file");
    for name in ["b", "a", "c"] {
        make(&*directory, name, name.as_bytes());
    }
    directory.sync().unwrap();
    directory.rename("a", "d").unwrap();
    directory.remove("c").unwrap();
    directory.sync().unwrap();
    assert_eq!(names(&*directory), ["b", "d"]);
    assert_eq!(directory.rename("a", "x").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(directory.remove("c").unwrap_err().kind(), ErrorKind::NotFound);
    assert!(directory.remove("below").is_err(), "a directory is no file");

    let mut visited_count = 0;
    let outcome = directory.list(&mut |_| {
        visited_count += 1;
        Err(ErrorKind::Interrupted.into())
    });
    assert_eq!((outcome.unwrap_err().kind(), visited_count), (ErrorKind::Interrupted, 1));
    // Who visits may use the directory.
    directory.list(&mut |name| directory.open(name, OpenMode::Read).map(drop)).unwrap();
}

fn a_file_without_a_name_goes_on(vfs: &dyn Vfs, path: &Path) {
    let directory = vfs.directory(path, true).unwrap();
    let file = directory.open("file", OpenMode::CreateNew).unwrap();
    directory.remove("file").unwrap();
    directory.sync().unwrap();
    file.write_all_at(b"still here", 0).unwrap();
    make(&*directory, "file", b"another");
    let mut into = [0; 10];
    file.read_exact_at(&mut into, 0).unwrap();
    assert_eq!(&into, b"still here");
    assert_eq!(content(&*directory, "file"), b"another");
}

fn a_rename_replaces_what_had_the_name(vfs: &dyn Vfs, path: &Path) {
    let directory = vfs.directory(path, true).unwrap();
    make(&*directory, "old", b"old");
    make(&*directory, "new", b"new");
    let before = directory.open("old", OpenMode::Read).unwrap();
    directory.rename("new", "old").unwrap();
    directory.sync().unwrap();
    assert_eq!(names(&*directory), ["old"]);
    assert_eq!(content(&*directory, "old"), b"new");
    let mut into = [0; 3];
    before.read_exact_at(&mut into, 0).unwrap();
    assert_eq!(&into, b"old");
    directory.rename("old", "old").unwrap();
    assert_eq!(content(&*directory, "old"), b"new");
}

fn what_is_no_name_is_refused(vfs: &dyn Vfs, path: &Path) {
    let directory = vfs.directory(path, true).unwrap();
    make(&*directory, "file", b"");
    for name in ["", ".", "..", "a/b", "../file", "/file", "zero\0"] {
        let kinds = [
            directory.open(name, OpenMode::CreateNew).err(),
            directory.rename("file", name).err(),
            directory.rename(name, "file").err(),
            directory.remove(name).err(),
            directory.lock(name).err(),
        ];
        for error in kinds {
            assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::InvalidInput), "{name:?}");
        }
    }
    assert_eq!(names(&*directory), ["file"]);
}

fn locks_exclude_other_handles(vfs: &dyn Vfs, path: &Path) {
    let directory = vfs.directory(path, true).unwrap();
    let lock = directory.lock("lock").unwrap();
    assert_eq!(names(&*directory), ["lock"]);
    for again in [&*directory, &*vfs.directory(path, false).unwrap()] {
        assert_eq!(again.lock("lock").unwrap_err().kind(), ErrorKind::WouldBlock);
    }
    let other = directory.lock("other").unwrap();
    // Whoever reads the file is not stopped, and does not end the lock.
    drop(directory.open("lock", OpenMode::Read).unwrap());
    assert_eq!(directory.lock("lock").unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(lock);
    drop(directory.lock("lock").unwrap());
    let lock = directory.lock("lock").unwrap();
    // A lock is of a file, not of its name.
    directory.rename("lock", "renamed").unwrap();
    assert_eq!(directory.lock("renamed").unwrap_err().kind(), ErrorKind::WouldBlock);
    drop((lock, other));
    assert_eq!(names(&*directory), ["other", "renamed"]);
}

fn directories_are_made_and_found(vfs: &dyn Vfs, path: &Path) {
    let missing = |path: PathBuf, create| vfs.directory(&path, create).unwrap_err().kind();
    assert_eq!(missing(path.to_owned(), false), ErrorKind::NotFound);
    assert_eq!(missing(path.join("below"), true), ErrorKind::NotFound, "only the last one is made");
    let directory = vfs.directory(path, true).unwrap();
    make(&*directory, "file", b"");
    for create in [false, true] {
        assert_eq!(names(&*vfs.directory(path, create).unwrap()), ["file"]);
        assert_eq!(missing(path.join("file"), create), ErrorKind::NotADirectory);
        assert_eq!(missing(path.join("file/below"), create), ErrorKind::NotADirectory);
    }
    let below = vfs.directory(&path.join("below"), true).unwrap();
    make(&*below, "file", b"below");
    assert_eq!(content(&*vfs.directory(&path.join("./below"), false).unwrap(), "file"), b"below");
    assert!(content(&*directory, "file").is_empty());
}

fn time_passes(vfs: &dyn Vfs, _: &Path) {
    let before = vfs.now_ns();
    vfs.sleep_ns(2_000_000);
    assert!(vfs.now_ns() >= before + 2_000_000);
    assert_ne!(vfs.random_u64(), vfs.random_u64());
}
