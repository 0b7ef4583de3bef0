//! Directories of databases: made, opened, refused, tidied up.

use cofferdam_store::directory::{Access, Directory, FILE_HANDLE_BYTES};
use cofferdam_store::manifest::{Counters, DATABASE, Item, ManifestWriter, Properties, Root};
use cofferdam_store::{Error, FileId, FileKind};
use cofferdam_testkit::simfs::{EIO, Fault, Op, Rule, SimDisk, Unwritten};
use cofferdam_vfs::{OpenMode, Vfs};

use crate::machine::{budget, is_of_the_system, open, seeds};

fn names(disk: &SimDisk) -> Vec<String> {
    disk.image().into_keys().map(|path| path.trim_start_matches("/db/").to_owned()).collect()
}

fn put(disk: &SimDisk, name: &str, bytes: &[u8]) {
    let directory = disk.directory("db".as_ref(), true).unwrap();
    directory.open(name, OpenMode::CreateNew).unwrap().write_all_at(bytes, 0).unwrap();
}

/// A database with one property, made and closed; then an edit that a later life must find.
fn write(disk: &SimDisk, bytes: &[u8]) -> Result<(), Error> {
    let budget = budget(1 << 20);
    let (directory, root) = open(disk, Access::Create, &budget)?;
    let mut writer = ManifestWriter::open(&directory, root, &budget, &mut |_, _| Ok(()))?;
    let counters = *writer.counters();
    writer.commit(&counters, &[Item::Properties(Properties { table: DATABASE, is_first: true, bytes })])
}

fn read(disk: &SimDisk, access: Access) -> Result<Vec<u8>, Error> {
    let budget = budget(1 << 20);
    let (directory, root) = open(disk, access, &budget)?;
    let mut found = Vec::new();
    ManifestWriter::open(&directory, root, &budget, &mut |item, _| {
        if let Item::Properties(properties) = item {
            found = properties.bytes.to_vec();
        }
        Ok(())
    })?;
    Ok(found)
}

#[test]
fn a_new_directory_becomes_a_database() {
    let (disk, budget) = (SimDisk::new(1), budget(1 << 20));
    let (directory, root) = open(&disk, Access::Create, &budget).unwrap();
    assert_eq!((root.generation, root.manifest, root.torn_slot), (1, 1, None));
    assert_eq!(names(&disk), ["lock", "manifest-000001", "root"]);
    assert_eq!(directory.greatest_number().unwrap(), 1);
    let writer = ManifestWriter::open(&directory, root, &budget, &mut |item, _| {
        let expected = Counters { next_file: 3, next_table: 1, last_sequence: 0, oldest_wal: 0 };
        assert_eq!(*item, Item::Counters(expected));
        Ok(())
    })
    .unwrap();
    // Somebody else must wait, and reads nothing either.
    for access in [Access::Create, Access::Write, Access::Read] {
        assert!(matches!(open(&disk, access, &budget), Err(Error::Locked)));
    }
    drop((directory, writer));
    for access in [Access::Create, Access::Write, Access::Read] {
        assert_eq!(open(&disk, access, &budget).unwrap().1, root);
    }
    assert_eq!(budget.used(), 0);
}

/// Aim: what is no database is refused and left as it is, without a lock. Method: directories of all kinds.
#[test]
fn what_is_no_database_is_left_alone() {
    let budget = budget(1 << 20);
    let disk = SimDisk::new(2);
    for access in [Access::Write, Access::Read] {
        assert!(matches!(open(&disk, access, &budget), Err(Error::NotADatabase)), "no directory");
    }
    drop(disk.directory("db".as_ref(), true).unwrap());
    for access in [Access::Write, Access::Read] {
        assert!(matches!(open(&disk, access, &budget), Err(Error::NotADatabase)), "an empty one");
    }
    for name in
        ["thesis.tex", "segments-000003", "wal-000003", "manifest-000002", "temp-000001", "Root", "wal"]
    {
        let disk = SimDisk::new(2);
        put(&disk, name, b"precious");
        // As it would be after a creation that was stopped.
        put(&disk, "manifest-000001", b"");
        let before = disk.image();
        for access in [Access::Create, Access::Write, Access::Read] {
            assert!(matches!(open(&disk, access, &budget), Err(Error::NotADatabase)), "{name}");
        }
        assert_eq!(disk.image(), before);
    }
    // A database that was made and whose root is gone.
    let disk = SimDisk::new(2);
    drop(disk.directory("/".as_ref(), false).unwrap().open("db", OpenMode::CreateNew).unwrap());
    assert!(matches!(open(&disk, Access::Create, &budget), Err(Error::NotADatabase | Error::Io(_))));
}

/// Aim: a crash at any moment of a creation leaves something that the next open completes. Method: crash at each
/// operation, many times; then open, write, lose the power again and look.
#[test]
fn a_creation_may_be_interrupted_anywhere() {
    let undisturbed = SimDisk::new(3);
    write(&undisturbed, b"kept").unwrap();
    let mutations = undisturbed.counts().mutations;
    assert!(mutations > 15);
    for nth in 1..=mutations {
        for seed in 0..6 {
            let disk = SimDisk::new(seed);
            disk.crash_at(nth);
            assert!(write(&disk, b"kept").is_err() || nth == mutations);
            disk.restart(seed);
            match read(&disk, Access::Write) {
                Ok(found) => assert!(found.is_empty() || found == b"kept"),
                Err(Error::NotADatabase) => assert!(nth < mutations - 2, "{nth}"),
                Err(error) => panic!("{nth}, seed {seed}: {error}\n{}", disk.log_text()),
            }
            write(&disk, b"later")
                .unwrap_or_else(|error| panic!("{nth}, seed {seed}: {error}\n{}", disk.log_text()));
            disk.crash(seed);
            assert_eq!(read(&disk, Access::Write).unwrap(), b"later", "{nth}, seed {seed}");
        }
    }
}

/// Aim: the same where an operation fails, above all a sync after which things look as if they were durable. Method: each
/// operation of a creation fails once; the process ends, opens again, writes, and the power goes.
#[test]
fn a_creation_may_fail_anywhere() {
    let unwritten = [Unwritten::Dirty, Unwritten::Clean, Unwritten::Evicted];
    let faults = unwritten.map(Fault::FailSync).into_iter().chain([Fault::Error(EIO)]);
    for fault in faults {
        for nth in 1..40 {
            let disk = SimDisk::new(nth);
            drop(disk.directory("db".as_ref(), true).unwrap());
            let rule = match fault {
                Fault::Error(_) => {
                    Rule::new([Op::Create, Op::Write, Op::Rename, Op::Open, Op::List, Op::Read], fault)
                }
                _ => Rule::new([Op::Sync, Op::SyncDirectory], fault),
            };
            // The sync of the directory above is the first.
            disk.inject(rule.nth(nth + u64::from(fault != Fault::Error(EIO))));
            match write(&disk, b"kept") {
                Ok(()) => break,
                Err(error) => assert!(is_of_the_system(&error), "{fault:?} {nth}: {error}"),
            }
            disk.clear_rules();
            disk.kill();
            write(&disk, b"later")
                .unwrap_or_else(|error| panic!("{fault:?} {nth}: {error}\n{}", disk.log_text()));
            disk.crash(nth);
            assert_eq!(read(&disk, Access::Write).unwrap(), b"later", "{fault:?} {nth}\n{}", disk.log_text());
            assert!(nth < 39, "{fault:?} never ends");
        }
    }
}

#[test]
fn a_root_that_cannot_be_read_is_damaged_and_a_newer_one_unsupported() {
    let (disk, budget) = (SimDisk::new(4), budget(1 << 20));
    write(&disk, b"kept").unwrap();
    let root = || disk.image()["/db/root"].clone();
    assert_eq!(root().len(), 4096 + 64);
    for offset in [0, 4096] {
        disk.flip("/db/root", offset + 30, 4).unwrap();
    }
    let corrupt = |error: Error| match error {
        Error::Corrupt(corruption) => corruption.file,
        error => panic!("{error}"),
    };
    assert_eq!(corrupt(open(&disk, Access::Create, &budget).unwrap_err()), FileId::ROOT);
    disk.flip("/db/root", 30, 4).unwrap();
    // One slot is enough where both name the same manifest.
    assert_eq!(read(&disk, Access::Write).unwrap(), b"kept");
}

#[test]
fn orphans_are_removed_and_strangers_are_not() {
    let (disk, budget) = (SimDisk::new(5), budget(1 << 20));
    let (directory, _) = open(&disk, Access::Create, &budget).unwrap();
    for number in 10..110 {
        put(&disk, &format!("segments-{number:06}"), b"");
    }
    let others = ["wal-000007", "wal-000008", "temp-000009", "temp-000090", "manifest-000090"];
    let strangers = ["notes.txt", "segments-1", "wal-000007.bak", "lost+found", "temp-18446744073709551615"];
    for name in others.iter().chain(&strangers) {
        put(&disk, name, b"");
    }
    let live = [
        FileId::new(FileKind::Manifest, 1),
        FileId::new(FileKind::Wal, 8),
        FileId::new(FileKind::Segments, 55),
        FileId::new(FileKind::Temporary, 90),
    ];
    let removed = directory.remove_orphans(&|id| live.contains(&id)).unwrap();
    assert_eq!(removed, 99 + 1 + 2 + 1);
    let mut expected = vec!["lock", "root", "manifest-000001", "wal-000008", "segments-000055"];
    expected.extend(strangers);
    expected.sort_unstable();
    assert_eq!(names(&disk), expected);
    assert_eq!(directory.remove_orphans(&|id| live.contains(&id)).unwrap(), 0);
    let mut listed = Vec::new();
    directory
        .list(&mut |id| {
            listed.push(id);
            Ok(())
        })
        .unwrap();
    assert_eq!(listed.len(), 5);
    assert_eq!(directory.greatest_number().unwrap(), 55);
    assert_eq!(directory.next_number(FileKind::Wal, 0).unwrap(), Some(8));
    assert_eq!(directory.next_number(FileKind::Wal, 8).unwrap(), None);
    // An error of the visitor ends a listing and comes back as it is.
    let mut visits = 0;
    let outcome = directory.list(&mut |_| {
        visits += 1;
        Err(Error::Cancelled)
    });
    assert!(matches!(outcome, Err(Error::Cancelled)) && visits == 1);
    // What was removed does not come back.
    drop(directory);
    disk.crash(9);
    assert_eq!(names(&disk).iter().filter(|name| name.starts_with("segments-0")).count(), 1);
}

#[test]
fn files_are_charged_and_name_themselves_in_errors() {
    let (disk, budget) = (SimDisk::new(6), budget(1 << 20));
    let (directory, _): (Directory, Root) = open(&disk, Access::Create, &budget).unwrap();
    let used = budget.used();
    let id = FileId::new(FileKind::Segments, 12);
    let missing = directory.open_file(id, OpenMode::Read, &budget);
    assert!(matches!(missing, Err(Error::Corrupt(corruption)) if corruption.file == id));
    assert_eq!(budget.used(), used);
    let file = directory.open_file(id, OpenMode::CreateNew, &budget).unwrap();
    assert_eq!(budget.used(), used + FILE_HANDLE_BYTES);
    file.write_all_at(b"0123456789", 0).unwrap();
    let mut bytes = [0; 4];
    file.read_exact_at(&mut bytes, 3).unwrap();
    assert_eq!((&bytes, file.bytes().unwrap()), (b"3456", 10));
    let early = file.read_exact_at(&mut bytes, 8);
    assert!(matches!(early, Err(Error::Corrupt(corruption)) if corruption.offset == 10));
    assert_eq!(file.read_up_to(&mut bytes, 8).unwrap(), 2);
    disk.inject(Rule::new([Op::Sync], Fault::Error(EIO)));
    let error = file.sync().unwrap_err();
    assert!(error.to_string().starts_with("cannot sync segments-000012: "), "{error}");
    // The system would not say it a second time.
    disk.clear_rules();
    assert!(matches!(file.sync(), Err(Error::Poisoned)));
    drop(file);
    assert_eq!(budget.used(), used);
    let again = directory.open_file(id, OpenMode::CreateNew, &budget);
    assert!(matches!(again, Err(Error::Io(problem)) if problem.operation == "create"));
}

#[test]
fn two_that_make_the_same_database_at_once_make_one() {
    for seed in seeds(4) {
        let disk = SimDisk::new(seed);
        let outcomes = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(|| read(&disk, Access::Create))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(outcomes.iter().any(Result::is_ok));
        for outcome in outcomes {
            assert!(matches!(outcome, Ok(_) | Err(Error::Locked)), "{outcome:?}");
        }
        assert!(read(&disk, Access::Write).unwrap().is_empty());
    }
}
