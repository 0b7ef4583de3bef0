//! Copies of open databases: the state of one sequence, whatever writers and machines do meanwhile, or nothing.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use cofferdam_arena::Budget;
use cofferdam_store::{
    Backup, Durability, Error, KeyColumn, Options, Store, TableDef, Watch, Worker, backup,
};
use cofferdam_testkit::Failure;
use cofferdam_testkit::inject::Injection;
use cofferdam_testkit::simfs::{ENOSPC, Fault, Op, Rule, SimDisk};
use cofferdam_testkit::sweep::Sweep;
use cofferdam_types::{Type, Value};
use cofferdam_vfs::{OsVfs, Vfs};

use crate::check::{check_at, fill, filled};
use crate::engine::{KEY, Machine, column, create_names, now, rows};
use crate::machine::Choices;
use crate::memory::Temporary;

const COPY: &str = "/copy";

fn vfs_of(disk: &SimDisk) -> Arc<dyn Vfs> {
    Arc::new(disk.clone())
}

fn open_at(vfs: &Arc<dyn Vfs>, path: &str, budget: &Budget) -> Result<Store, Error> {
    Store::open(vfs, Path::new(path), budget, &Options::new().create(false))
}

/// The rows of the tables of [`fill`].
fn content(store: &Store) -> Vec<Vec<String>> {
    ["names", "texts", "events"].map(|table| rows(store, now(store).view(), table)).to_vec()
}

/// What the database at a path has, if there is one, and that a check has nothing to say of it.
fn content_at(disk: &SimDisk, path: &str) -> Option<Vec<Vec<String>>> {
    let budget = Budget::unlimited("process").unwrap();
    let vfs = vfs_of(disk);
    match check_at(&vfs, Path::new(path), &budget) {
        Err(Error::NotADatabase) => {
            assert!(matches!(open_at(&vfs, path, &budget), Err(Error::NotADatabase)));
            None
        }
        found => {
            let found = found.unwrap();
            assert_eq!((found.problems, found.remains), (vec![], vec![]));
            Some(content(&open_at(&vfs, path, &budget).unwrap()))
        }
    }
}

/// The files of a directory.
fn names_in(disk: &SimDisk, path: &str) -> Vec<String> {
    let start = format!("{path}/");
    disk.image().into_keys().filter_map(|name| name.strip_prefix(&start).map(str::to_owned)).collect()
}

#[test]
fn a_copy_is_a_database_of_its_own_with_the_same_rows() {
    let machine = Machine::new(1 << 20);
    let store = filled(&machine, 300);
    let (expected, used) = (content(&store), machine.budget.used());
    let vfs = vfs_of(&machine.disk);
    let last = Cell::new((0, 0));
    let watch = Watch { cancelled: &|| false, progress: &|at| last.set((at.done_bytes, at.total_bytes)) };
    let Backup { sequence, files_count, bytes } = backup(&store, &vfs, Path::new(COPY), watch).unwrap();
    assert_eq!((sequence, last.get()), (now(&store).sequence(), (bytes, bytes)));
    assert!(files_count >= 2, "{files_count}");
    assert!(machine.budget.used() <= used, "what was in memory is on disk now");
    assert_eq!(content_at(&machine.disk, COPY).unwrap(), expected);
    // Both go on, each by itself.
    let copy = open_at(&vfs, COPY, &machine.budget).unwrap();
    assert_eq!(now(&copy).sequence(), sequence);
    for (store, name) in [(&store, "original"), (&copy, "copy")] {
        let mut transaction = store.begin(&machine.budget).unwrap();
        let names = transaction.table("names").unwrap().id();
        transaction.put(names, &[Value::BigInt(1000), Value::Text(name), Value::Null]).unwrap();
        transaction.commit(Durability::Full).unwrap();
        assert!(rows(store, now(store).view(), "names").contains(&format!("1000 {name} NULL")));
        store.compact().unwrap();
    }
    drop((store, copy));
    assert!(content_at(&machine.disk, "/db").unwrap() != content_at(&machine.disk, COPY).unwrap());
}

#[test]
fn a_copy_of_nothing_is_an_empty_database() {
    let machine = Machine::new(1 << 20);
    let store = machine.open();
    let copied = backup(&store, &vfs_of(&machine.disk), Path::new(COPY), Watch::NOBODY).unwrap();
    assert_eq!(copied, Backup { sequence: 0, files_count: 0, bytes: 0 });
    let copy = open_at(&vfs_of(&machine.disk), COPY, &machine.budget).unwrap();
    create_names(&copy, &machine.budget);
}

#[test]
fn directories_of_the_system_are_copied_too() {
    let (from, to) = (Temporary::new("backup-from"), Temporary::new("backup-to"));
    let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);
    let budget = Budget::unlimited("process").unwrap();
    let store = Store::open(&vfs, &from.0, &budget, &Options::new()).unwrap();
    let table = create_names(&store, &budget);
    let mut transaction = store.begin(&budget).unwrap();
    transaction.insert(table, &[Value::BigInt(1), Value::Text("one")]).unwrap();
    transaction.commit(Durability::Normal).unwrap();
    backup(&store, &vfs, &to.0, Watch::NOBODY).unwrap();
    assert_eq!(check_at(&vfs, &to.0, &budget).unwrap().files, Vec::<String>::new());
    let copy = Store::open(&vfs, &to.0, &budget, &Options::new()).unwrap();
    assert_eq!(rows(&copy, now(&copy).view(), "names"), ["1 one"]);
    assert!(matches!(backup(&store, &vfs, &to.0, Watch::NOBODY), Err(Error::NotEmpty)));
}

#[test]
fn a_directory_with_files_is_left_alone() {
    let machine = Machine::new(1 << 20);
    let store = filled(&machine, 20);
    let vfs = vfs_of(&machine.disk);
    let directory = vfs.directory(Path::new("/other"), true).unwrap();
    directory.open("letter.txt", cofferdam_vfs::OpenMode::CreateNew).unwrap();
    let before = machine.disk.image();
    for path in ["/other", "/db"] {
        let error = backup(&store, &vfs, Path::new(path), Watch::NOBODY).unwrap_err();
        assert_eq!((error.to_string(), error.sqlstate()), ("the directory is not empty".to_owned(), "58P02"));
    }
    assert!(matches!(backup(&store, &vfs, Path::new("/no/such"), Watch::NOBODY), Err(Error::Io(_))));
    assert_eq!(machine.disk.image(), before);
    // One with nothing but a lock is empty, unless somebody has that.
    let directory = vfs.directory(Path::new(COPY), true).unwrap();
    let lock = directory.lock("lock").unwrap();
    assert!(matches!(backup(&store, &vfs, Path::new(COPY), Watch::NOBODY), Err(Error::Locked)));
    drop(lock);
    backup(&store, &vfs, Path::new(COPY), Watch::NOBODY).unwrap();
}

/// Aim: a copy is the state of one sequence while others write, flush and compact. Method: threads that commit single rows, pairs of
/// rows and large transactions, and note what they did; every copy has exactly what was noted up to its sequence.
#[test]
fn a_copy_is_the_state_of_one_sequence_while_others_write() {
    const ROWS: u64 = 60;
    let machine = Machine::new(2 << 20);
    let budget = &machine.budget;
    let vfs = vfs_of(&machine.disk);
    let store = machine.try_open(&Options::new().memtable_bytes(16 << 10)).unwrap();
    let worker = Worker::start(budget).unwrap();
    store.attach(&worker).unwrap();
    let tables: Vec<_> = ["one", "two", "three"]
        .into_iter()
        .map(|name| {
            let mut transaction = store.begin(budget).unwrap();
            let columns = [column("id", Type::BigInt, false), column("text", Type::Text, true)];
            let def = TableDef { name, columns: &columns, key: &KEY, properties: b"" };
            let id = transaction.create_table(&def).unwrap();
            transaction.create_index(id, "by_text", &[1].map(KeyColumn::ascending), false).unwrap();
            transaction.commit(Durability::Full).unwrap();
            (name, id)
        })
        .collect();
    // By sequence: the rows that were put.
    let noted = Mutex::new(BTreeMap::<u64, Vec<(usize, i64, String)>>::new());
    let is_done = AtomicBool::new(false);
    let copies = std::thread::scope(|scope| {
        for thread in 0..3u64 {
            let (store, tables, noted, is_done) = (&store, &tables, &noted, &is_done);
            scope.spawn(move || {
                let mut choices = Choices::new(thread);
                while !is_done.load(Ordering::Relaxed) {
                    let mut transaction = store.begin(budget).unwrap();
                    // The third thread's transactions do not fit their memory.
                    let (count, width) = if thread == 2 { (120, 200) } else { (1 + choices.below(3), 20) };
                    let mut changes = vec![];
                    for _ in 0..count {
                        let (table, id) = (choices.below(3) as usize, choices.below(ROWS) as i64);
                        let text = format!("{:0width$}", choices.next(), width = width);
                        let values = [Value::BigInt(id), Value::Text(&text)];
                        transaction.put(tables[table].1, &values).unwrap();
                        changes.push((table, id, text));
                    }
                    let durability = if choices.one_in(4) { Durability::Full } else { Durability::Normal };
                    match transaction.commit(durability) {
                        Ok(sequence) => {
                            noted.lock().unwrap().insert(sequence, changes);
                        }
                        Err(Error::Conflict(_) | Error::OutOfMemory(_) | Error::Stalled { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
        let mut copies = vec![];
        for number in 0..6 {
            std::thread::sleep(std::time::Duration::from_millis(20));
            let path = format!("/copy-{number}");
            let outcome = backup(&store, &vfs, Path::new(&path), Watch::NOBODY);
            copies.extend(outcome.map(|copied| (path, copied)).inspect_err(|error| {
                let is_expected = matches!(error, Error::OutOfMemory(_) | Error::Stalled { .. });
                assert!(is_expected, "{error}");
            }));
        }
        is_done.store(true, Ordering::Relaxed);
        copies
    });
    drop((worker, store));
    let noted = noted.into_inner().unwrap();
    assert!(copies.len() >= 3 && noted.len() > 20, "{} {}", copies.len(), noted.len());
    for (path, copied) in copies {
        let found = check_at(&vfs, Path::new(&path), budget).unwrap();
        assert_eq!((found.problems, found.remains, found.checked.compared_count), (vec![], vec![], 3));
        let store = open_at(&vfs, &path, budget).unwrap();
        assert_eq!(now(&store).sequence(), copied.sequence);
        let mut expected = vec![BTreeMap::new(); 3];
        for (table, id, text) in noted.range(..=copied.sequence).flat_map(|(_, changes)| changes) {
            expected[*table].insert(*id, text);
        }
        for ((name, _), expected) in tables.iter().zip(&expected) {
            let expected: Vec<String> = expected.iter().map(|(id, text)| format!("{id} {text}")).collect();
            assert_eq!(rows(&store, now(&store).view(), name), expected, "{path} of {}", copied.sequence);
        }
    }
}

/// Aim: a machine that stops in the middle leaves the whole copy or none, and the original. Method: it stops at every operation that
/// changes the disk, and after the last one; and where a sync is left out, that is noticed.
#[test]
fn a_crash_leaves_the_whole_copy_or_none() {
    let machine = Machine::new(256 << 10);
    fill(&machine, 30);
    let expected = content_at(&machine.disk, "/db").unwrap();
    let copy = |disk: &SimDisk| {
        let budget = Budget::unlimited("process").unwrap();
        let store = open_at(&vfs_of(disk), "/db", &budget)?;
        backup(&store, &vfs_of(disk), Path::new(COPY), Watch::NOBODY)
    };
    let disk = machine.disk.duplicate();
    let before = disk.counts().mutations;
    copy(&disk).unwrap();
    let mutations = disk.counts().mutations - before;
    assert!(mutations > 20, "{mutations}");
    let mut copies_count = 0;
    for nth in 1..=mutations + 1 {
        let disk = machine.disk.duplicate();
        disk.crash_at(nth);
        let outcome = copy(&disk);
        assert_eq!(outcome.is_err(), nth <= mutations, "{nth}");
        disk.restart(nth);
        let found = content_at(&disk, COPY);
        assert!(found.as_ref().is_none_or(|found| *found == expected), "stopped at {nth}");
        assert!(outcome.is_err() || found.is_some(), "it was there when it returned");
        copies_count += u64::from(found.is_some());
        assert_eq!(content_at_open(&disk, "/db"), expected, "stopped at {nth}");
    }
    assert!((1..6).contains(&copies_count), "{copies_count}");
}

/// The content of a database whose logs may have torn ends.
fn content_at_open(disk: &SimDisk, path: &str) -> Vec<Vec<String>> {
    content(&open_at(&vfs_of(disk), path, &Budget::unlimited("process").unwrap()).unwrap())
}

/// Aim: the test above would notice if anything was not made durable. Method: leave out each sync of the copy's files; then the
/// machine loses power when all is done.
#[test]
fn each_sync_of_a_copy_is_needed() {
    let machine = Machine::new(256 << 10);
    fill(&machine, 30);
    let expected = content_at(&machine.disk, "/db").unwrap();
    let mut is_needed = BTreeMap::<&str, bool>::new();
    for name in ["segments-*", "manifest-*", "temp-*", "copy"] {
        let is_lost = (0..40).any(|seed| {
            let disk = machine.disk.duplicate();
            let budget = Budget::unlimited("process").unwrap();
            let store = open_at(&vfs_of(&disk), "/db", &budget).unwrap();
            store.flush().unwrap();
            disk.ignore_syncs(name);
            backup(&store, &vfs_of(&disk), Path::new(COPY), Watch::NOBODY).unwrap();
            disk.clear_rules();
            disk.crash(seed);
            let is_there = std::panic::catch_unwind(|| content_at(&disk, COPY).as_ref() == Some(&expected));
            !is_there.unwrap_or(false)
        });
        is_needed.insert(name, is_lost);
    }
    assert!(is_needed.values().all(|is_needed| *is_needed), "{is_needed:?}");
}

/// Aim: who ends a backup, or whose disk is full, is left with an empty directory, in which the next one may be made. Method: ended at
/// each piece; a disk that is full at each write.
#[test]
fn what_was_ended_leaves_an_empty_directory() {
    let machine = Machine::new(256 << 10);
    let store = filled(&machine, 100);
    store.flush().unwrap();
    let expected = content(&store);
    let (vfs, disk) = (vfs_of(&machine.disk), &machine.disk);
    let mut pieces = 0;
    loop {
        let seen = RefCell::new(0);
        let watch = Watch { cancelled: &|| *seen.borrow() >= pieces, progress: &|_| *seen.borrow_mut() += 1 };
        match backup(&store, &vfs, Path::new(COPY), watch) {
            Err(Error::Cancelled) => {
                let left = names_in(disk, COPY);
                assert!(left.is_empty() || left == ["lock"], "{left:?}");
            }
            outcome => {
                outcome.unwrap();
                break;
            }
        }
        pieces += 1;
    }
    assert!(pieces >= 3, "{pieces}");
    drop(store);
    assert_eq!(content_at(disk, COPY).unwrap(), expected);
    for nth in 1.. {
        let path = format!("/full-{nth}");
        let store = open_at(&vfs, "/db", &machine.budget).unwrap();
        store.flush().unwrap();
        disk.inject(Rule::new([Op::Write, Op::Create], Fault::Error(ENOSPC)).nth(nth));
        let outcome = backup(&store, &vfs, Path::new(&path), Watch::NOBODY);
        disk.clear_rules();
        match outcome {
            Err(Error::Io(problem)) => {
                assert_eq!(problem.code, Some(ENOSPC));
                let left = names_in(disk, &path);
                assert!(left.is_empty() || left == ["lock"], "{left:?}");
            }
            outcome => {
                outcome.unwrap();
                assert!(nth > 8, "{nth}");
                break;
            }
        }
    }
}

/// Aim: under every limit that a store opens with, a copy is whole or refused with the typed error, and nothing is left behind; at the
/// least limit it is whole. Method: the limit sweep, and each charge refused.
#[test]
fn every_limit_gives_a_whole_copy_or_a_typed_error() {
    let machine = Machine::new(256 << 10);
    fill(&machine, 30);
    let budget = Budget::unlimited("process").unwrap().child("tools", 1 << 30).unwrap();
    let work = |budget: &Budget| {
        let disk = machine.disk.duplicate();
        let vfs = vfs_of(&disk);
        let run = || {
            let store = open_at(&vfs, "/db", budget)?;
            backup(&store, &vfs, Path::new(COPY), Watch::NOBODY).map(|copied| copied.bytes)
        };
        let outcome = run();
        let left = names_in(&disk, COPY);
        assert!(outcome.is_ok() || left.is_empty() || left == ["lock"], "{left:?}");
        outcome.map_err(|error| Failure::of(budget, &error, matches!(error, Error::OutOfMemory(_))))
    };
    let least = cofferdam_store::MINIMUM_BYTES;
    let swept = Sweep::new().from_bytes(least).run_under(&budget, |budget| work(budget)).unwrap();
    assert_eq!(swept.limit_bytes, least);
    let injected = Injection::new().run(&budget, |budget| work(budget)).unwrap();
    assert!(injected.charges_count > 30, "{injected:?}");
}
