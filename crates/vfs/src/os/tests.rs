use super::*;
use std::process::Command;

use crate::{CountingVfs, explain};

/// A directory of its own for a test, removed with all that is in it.
struct Place(PathBuf);

impl Place {
    fn new(test: &str) -> Place {
        let path = std::env::temp_dir().join(format!("cofferdam-vfs-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Place(path)
    }

    fn directory(&self) -> Arc<dyn Directory> {
        OsVfs.directory(&self.0, false).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// This program once more, as another process that runs one of the tests below that are not for every day.
fn child(test: &str, place: &Place) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", &format!("os::tests::{test}")]);
    command.env("COFFERDAM_VFS_PLACE", &place.0);
    command
}

fn place_of_child() -> Option<Arc<dyn Directory>> {
    let path = std::env::var_os("COFFERDAM_VFS_PLACE")?;
    Some(OsVfs.directory(Path::new(&path), false).unwrap())
}

#[test]
#[ignore = "the other process of `another_process_is_refused_a_lock`"]
fn child_asks_for_the_lock() {
    let Some(directory) = place_of_child() else { return };
    match directory.lock("lock") {
        Ok(_) => println!("<granted>"),
        Err(error) => println!("<{:?}>", error.kind()),
    }
}

#[test]
fn another_process_is_refused_a_lock() {
    let place = Place::new("lock");
    let ask =
        || String::from_utf8(child("child_asks_for_the_lock", &place).output().unwrap().stdout).unwrap();

    let lock = place.directory().lock("lock").unwrap();
    assert!(ask().contains("<WouldBlock>"));
    drop(lock);
    assert!(ask().contains("<granted>"));
    // The lock of a process that has ended is nobody's.
    assert!(place.directory().lock("lock").is_ok());
}

#[test]
#[ignore = "the process without descriptors of `a_lack_of_descriptors_has_a_clear_error`"]
fn child_opens_all_that_it_can() {
    let Some(directory) = place_of_child() else { return };
    directory.open("file", OpenMode::CreateNew).unwrap().sync().unwrap();
    let mut open = Vec::new();
    let error = loop {
        match directory.open("file", OpenMode::Read) {
            Ok(file) => open.push(file),
            Err(error) => break error,
        }
    };
    println!("<{}>", explain(error.raw_os_error().unwrap()).unwrap_or("no explanation"));
    // What needs no further descriptor goes on.
    directory.rename("file", "other").unwrap();
    directory.sync().unwrap();
    assert_ne!(OsVfs.random_u64(), OsVfs.random_u64());
    println!("<done>");
}

#[test]
fn a_lack_of_descriptors_has_a_clear_error() {
    let place = Place::new("descriptors");
    let child = child("child_opens_all_that_it_can", &place);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""]);
    limited.arg(child.get_program()).args(child.get_args());
    for (name, value) in child.get_envs() {
        limited.env(name, value.unwrap());
    }
    let output = limited.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("<the process is out of file descriptors: raise its limit (ulimit -n)>"), "{text}");
    assert!(text.contains("<done>"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "the process of `a_directory_stays_where_it_was_opened`"]
fn child_changes_its_working_directory() {
    let Some(_) = place_of_child() else { return };
    let directory = OsVfs.directory(Path::new("below"), true).unwrap();
    std::env::set_current_dir("/").unwrap();
    directory.open("file", OpenMode::CreateNew).unwrap();
    println!("<done>");
}

#[test]
fn a_directory_stays_where_it_was_opened() {
    // The working directory belongs to all tests of a process, so it is changed in another one.
    let place = Place::new("absolute");
    let output = child("child_changes_its_working_directory", &place).current_dir(&place.0).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("<done>"));
    assert!(place.0.join("below/file").exists());
}

#[test]
fn a_directory_that_is_there_is_opened_with_create_too() {
    let place = Place::new("create");
    let below = place.0.join("below");
    OsVfs.directory(&below, true).unwrap().open("file", OpenMode::CreateNew).unwrap();
    OsVfs.directory(&below, true).unwrap().open("file", OpenMode::Read).unwrap();
    // The root has no parent to be synced.
    OsVfs.directory(Path::new("/"), true).unwrap();
}

#[test]
fn what_is_no_directory_is_not_opened_as_one() {
    let place = Place::new("kinds");
    place.directory().open("file", OpenMode::CreateNew).unwrap();
    for create in [false, true] {
        let error = OsVfs.directory(&place.0.join("file"), create).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
        let error = OsVfs.directory(&place.0.join("missing/below"), create).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}

/// Aim: paths that are too long for the stack are paths all the same. Method: files whose paths have a byte less than fits, as many, and more.
#[test]
fn paths_of_any_length_name_their_files() {
    let place = Place::new("long");
    let below = place.0.join("f".repeat(150));
    let directory = OsVfs.directory(&below, true).unwrap();
    let room = STACK_PATH_BYTES - 1 - below.as_os_str().len() - 1;
    for len in [room - 1, room, room + 1, 255] {
        let (name, other) = ("n".repeat(len), "o".repeat(len));
        let before = OsVfs::transient_count();
        directory.open(&name, OpenMode::CreateNew).unwrap().write_all_at(b"text", 0).unwrap();
        assert!(len <= room || OsVfs::transient_count() >= before + 2);
        directory.rename(&name, &other).unwrap();
        assert_eq!(fs::read(below.join(&other)).unwrap(), b"text");
        drop(directory.lock(&other).unwrap());
        directory.remove(&other).unwrap();
        assert!(!below.join(&other).exists());
    }
}

#[test]
fn names_that_are_no_text_are_not_listed() {
    let place = Place::new("text");
    let name = OsStr::from_bytes(b"\xff\xfe");
    if fs::write(place.0.join(name), b"").is_err() {
        return; // This file system knows only text.
    }
    fs::write(place.0.join("text"), b"").unwrap();
    let mut names = Vec::new();
    place
        .directory()
        .list(&mut |name| {
            names.push(name.to_owned());
            Ok(())
        })
        .unwrap();
    assert_eq!(names, ["text"]);
}

#[test]
fn the_clock_does_not_go_back_and_random_numbers_differ() {
    let before = OsVfs.now_ns();
    OsVfs.sleep_ns(1_000_000);
    let other = OsVfs;
    assert!(other.now_ns() >= before + 1_000_000, "all values have one clock");
    let numbers: std::collections::HashSet<u64> = (0..100).map(|_| OsVfs.random_u64()).collect();
    assert_eq!(numbers.len(), 100);
    // What is left where there is no such device.
    assert!(read_random("/no/such/device").is_err());
    assert_ne!(hashed_random(), hashed_random());
}

#[test]
fn calls_and_bytes_are_counted() {
    let place = Place::new("counts");
    let vfs = CountingVfs::new(Arc::new(OsVfs));
    let directory = vfs.directory(&place.0, false).unwrap();
    let file = directory.open("a", OpenMode::CreateNew).unwrap();
    file.write_all_at(&[1; 100], 0).unwrap();
    let before = vfs.counts();
    assert_eq!((before.opens, before.writes, before.bytes_written, before.syncs), (1, 1, 100, 0));

    // A clone counts into the same counters, a failed call counts without bytes.
    let other = vfs.clone();
    assert!(directory.open("a", OpenMode::CreateNew).is_err());
    let reader = directory.open("a", OpenMode::Read).unwrap();
    assert!(reader.write_at(&[2; 10], 0).is_err());
    assert_eq!(reader.read_at(&mut [0; 200], 50).unwrap(), 50);
    file.write_all_at(&[3; 20], 100).unwrap();
    file.set_len(60).unwrap();
    file.sync().unwrap();
    directory.rename("a", "b").unwrap();
    directory.sync().unwrap();
    directory.remove("b").unwrap();
    let counts = other.counts() - before;
    assert_eq!((counts.opens, counts.reads, counts.bytes_read), (2, 1, 50));
    assert_eq!((counts.writes, counts.bytes_written, counts.set_lens), (2, 20, 1));
    assert_eq!((counts.syncs, counts.directory_syncs), (1, 1));
    assert_eq!((counts.renames, counts.removes), (1, 1));
    assert_eq!((before - other.counts()).opens, 0, "never below zero");
}

/// Aim: file systems that are memory are told from disks. Method: lines as the system writes them, and where there is one, a directory
/// that is in memory on every Linux.
#[cfg(target_os = "linux")]
#[test]
fn directories_in_memory_are_known() {
    use super::memory::{device_of, says_memory};
    let line = b"36 25 0:31 / /dev/shm rw,nosuid shared:9 - tmpfs tmpfs rw,inode64";
    assert!(says_memory(line, device_of(0, 31)));
    assert!(!says_memory(line, device_of(0, 32)));
    assert!(!says_memory(b"29 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw", device_of(8, 1)));
    assert!(!says_memory(b"", 0) && !says_memory(b"1 2 x:y - tmpfs", 0));
    assert_eq!(device_of(259, 1), 0x10301);
    let place = Place::new("memory");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    if mounts.lines().any(|line| line.contains(" /dev/shm ") && line.contains(" - tmpfs ")) {
        assert!(OsVfs.directory(Path::new("/dev/shm"), false).unwrap().is_in_memory());
        assert!(
            CountingVfs::new(Arc::new(OsVfs)).directory(Path::new("/dev/shm"), false).unwrap().is_in_memory()
        );
    }
    let on_root = mounts.lines().any(|line| line.contains(" / / ") && !line.contains(" - tmpfs "));
    if on_root && !mounts.contains(&format!(" {} ", std::env::temp_dir().display())) {
        assert!(!place.directory().is_in_memory());
    }
}
