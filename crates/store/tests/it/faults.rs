//! Disks that are full and syncs that fail, at the places where they matter most: typed errors, nothing lost, and work that goes on.

use std::collections::{BTreeMap, BTreeSet};

use cofferdam_arena::Budget;
use cofferdam_store::{Durability, Error, Remedy, Store, TableId, Worker};
use cofferdam_testkit::simfs::{ENOSPC, Fault, Op, Rule, Unwritten};
use cofferdam_types::Value;

use crate::check::check_disk;
use crate::engine::{Machine, create_names, rows};

const ROWS: i64 = 40;

/// A database with segments of several flushes and something in its memtable.
struct Filled {
    machine: Machine,
    store: Store,
    table: TableId,
    /// What was acknowledged: ids, and the number of the commit that wrote each last.
    known: BTreeMap<i64, u64>,
    /// What a commit has left of which it is not known whether it will be there.
    unknown: BTreeMap<i64, u64>,
    commits_count: u64,
}

impl Filled {
    fn new() -> Filled {
        let machine = Machine::new(2 << 20);
        let store = machine.open();
        let table = create_names(&store, &machine.budget);
        let (known, unknown) = (BTreeMap::new(), BTreeMap::new());
        let mut filled = Filled { machine, store, table, known, unknown, commits_count: 0 };
        for flush in 0..4 {
            filled.put(flush * ROWS, Durability::Full).unwrap();
            filled.store.flush().unwrap();
        }
        filled.put(4 * ROWS, Durability::Full).unwrap();
        filled
    }

    fn put(&mut self, from: i64, durability: Durability) -> Result<(), Error> {
        self.commits_count += 1;
        let mut transaction = self.store.begin(&self.machine.budget)?;
        let ids = (from..from + ROWS).map(|id| id % (5 * ROWS));
        for id in ids.clone() {
            let name = format!("{} {}", self.commits_count, "t".repeat(60));
            transaction.put(self.table, &[Value::BigInt(id), Value::Text(&name)])?;
        }
        let written: BTreeMap<i64, u64> = ids.map(|id| (id, self.commits_count)).collect();
        match transaction.commit(durability) {
            Ok(_) => self.known.extend(written),
            Err(error) => {
                if matches!(error, Error::Io(_) | Error::Poisoned) {
                    self.unknown.extend(written);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    fn files(&self) -> BTreeSet<String> {
        self.machine.disk.image().into_keys().collect()
    }

    fn found(&self) -> BTreeMap<i64, u64> {
        let found = rows(&self.store, self.store.snapshot().unwrap().view(), "names");
        let parts = |row: &String| {
            let mut parts = row.split(' ');
            (parts.next().unwrap().parse().unwrap(), parts.next().unwrap().parse().unwrap())
        };
        found.iter().map(parts).collect()
    }

    fn assert_whole(&self) {
        assert_eq!(self.found(), self.known);
    }

    /// Lets the machine lose its power, opens the database again and looks at it.
    fn reopen(mut self) -> Filled {
        self.machine.disk.clear_rules();
        self.machine.disk.set_capacity(None);
        self.machine.disk.crash(self.commits_count);
        drop(self.store);
        assert_eq!(self.machine.budget.used(), 0);
        self.store = self.machine.open();
        let found = self.found();
        if found != self.known {
            // All of the commit or nothing of it.
            self.known.append(&mut self.unknown);
            assert_eq!(found, self.known);
        }
        self
    }

    fn end(self) {
        let Filled { machine, store, .. } = self.reopen();
        store.close().unwrap();
        let found = check_disk(&machine.disk);
        assert!(found.problems.is_empty() && found.remains.is_empty(), "{found:?}");
    }
}

/// Aim: a flush or compaction that finds the disk full leaves no half file, nobody loses anything, and the open store goes on when there is
/// space. Method: each operation on segment files refused in turn, then the disk's capacity.
#[test]
fn work_that_finds_the_disk_full_leaves_nothing_and_goes_on_when_there_is_space() {
    type Work = fn(&Store) -> Result<(), Error>;
    let works: [(&str, Work); 2] = [("flush", Store::flush), ("compact", Store::compact)];
    for (name, work) in works {
        let mut refused = 0;
        for nth in 1.. {
            let mut filled = Filled::new();
            let before = filled.files();
            let rule = Rule::new([Op::Create, Op::Write, Op::SetLen], Fault::Error(ENOSPC));
            filled.machine.disk.inject(rule.file("segments-*").from(nth));
            let outcome = work(&filled.store);
            if outcome.is_ok() {
                filled.end();
                break;
            }
            let error = outcome.unwrap_err();
            assert!(
                matches!(error, Error::Io(problem) if problem.code == Some(ENOSPC)),
                "{name} {nth}: {error}"
            );
            assert_eq!(error.remedy(), Remedy::FixSystem);
            refused += 1;
            let segments = |files: BTreeSet<String>| {
                files.into_iter().filter(|file| file.contains("segments")).collect()
            };
            let (now, before): (BTreeSet<String>, BTreeSet<String>) =
                (segments(filled.files()), segments(before));
            assert_eq!(now, before, "{name} {nth}");
            filled.assert_whole();
            // Commits go to the log, which has space.
            filled.put(0, Durability::Full).unwrap_or_else(|error| panic!("{name} {nth}: {error}"));
            filled.machine.disk.clear_rules();
            work(&filled.store).unwrap_or_else(|error| panic!("{name} {nth}: {error}"));
            filled.put(ROWS, Durability::Full).unwrap();
            filled.assert_whole();
            filled.end();
        }
        assert!(refused >= 2, "{name}: {refused}");
    }
}

/// Aim: on a disk with no byte left whatever is asked gives a typed error or is done, and after it nothing that was acknowledged is lost.
#[test]
fn a_disk_that_is_full_loses_nothing() {
    for spare_bytes in (0..24).map(|step| step * 700) {
        let mut filled = Filled::new();
        filled.machine.disk.set_capacity(Some(filled.machine.disk.used_bytes() + spare_bytes));
        let mut failures = 0;
        for round in 0..6 {
            for outcome in
                [filled.put(round * ROWS, Durability::Full), filled.store.flush(), filled.store.compact()]
            {
                match outcome {
                    Ok(()) => {}
                    Err(Error::Io(problem)) if problem.code == Some(ENOSPC) => failures += 1,
                    Err(Error::Poisoned) => failures += 1,
                    Err(error) => panic!("{spare_bytes}: {error}"),
                }
            }
            filled.assert_whole();
        }
        assert!(failures > 0 || spare_bytes > 4000, "{spare_bytes}");
        filled.end();
    }
}

/// Aim: a writer is told why the worker cannot flush, and when it can again nobody is told of it once more.
#[test]
fn a_failure_of_the_worker_is_told_until_it_is_over() {
    let mut filled = Filled::new();
    let worker = Worker::start(&Budget::unlimited("workers").unwrap()).unwrap();
    filled.store.attach(&worker).unwrap();
    let rule = || Rule::new([Op::Create], Fault::Error(ENOSPC)).file("segments-*");
    for _ in 0..3 {
        filled.machine.disk.inject(rule());
        let error = (0..10_000).find_map(|round| filled.put(round * ROWS, Durability::Normal).err());
        let error = error.expect("both memtables fill");
        assert!(matches!(error, Error::Io(problem) if problem.code == Some(ENOSPC)), "{error}");
        filled.machine.disk.clear_rules();
        filled.store.flush().unwrap();
        for round in 0..400 {
            filled.put(round * ROWS, Durability::Normal).unwrap();
        }
        filled.assert_whole();
    }
    filled.store.sync().unwrap();
    drop(worker);
    filled.end();
}

/// Aim: attempts to begin a log on a full disk leave no files behind, however many there are.
#[test]
fn a_log_that_cannot_be_begun_leaves_nothing() {
    let mut filled = Filled::new();
    // Where there is no log any more, the next commit makes one.
    filled.machine.disk.inject(Rule::new([Op::Write], Fault::Error(ENOSPC)).file("wal-*"));
    let mut counts = BTreeSet::new();
    for _ in 0..20 {
        let outcome = filled.store.flush().and_then(|()| filled.put(0, Durability::Full));
        assert!(matches!(outcome, Err(Error::Io(_) | Error::Poisoned)), "{outcome:?}");
        counts.insert(filled.files().len());
    }
    assert!(counts.len() <= 2, "{counts:?}");
    filled.end();
}

/// Aim: after a sync that has failed no commit is acknowledged by this handle, whatever the system says later; the next one finds all that
/// was acknowledged. Method: each sync of each kind of file fails in turn, in each of the ways in which systems fail.
#[test]
fn a_failed_sync_poisons_the_handle_and_loses_nothing() {
    for unwritten in [Unwritten::Dirty, Unwritten::Clean, Unwritten::Evicted] {
        for pattern in ["wal-*", "segments-*", "manifest-*", "root", "db"] {
            for nth in 1..20 {
                let mut filled = Filled::new();
                let rule = Rule::new([Op::Sync, Op::SyncDirectory], Fault::FailSync(unwritten))
                    .file(pattern)
                    .nth(nth);
                filled.machine.disk.inject(rule);
                let place = format!("{unwritten:?} {pattern} {nth}");
                if has_failed(&mut filled, &place) {
                    filled.end();
                } else {
                    filled.end();
                    assert!(nth > 1 || pattern == "root", "{place}: nobody syncs it");
                    break;
                }
            }
        }
    }
}

/// Commits, flushes and compacts until something fails, and then tries to go on; false if nothing fails.
fn has_failed(filled: &mut Filled, place: &str) -> bool {
    let mut failed = None;
    for round in 0..4 {
        if let Err(error) = filled.put(round * ROWS, Durability::Full) {
            failed = Some((error, true));
            break;
        }
        if let Err(error) = filled.store.flush().and_then(|()| filled.store.compact()) {
            failed = Some((error, false));
            break;
        }
    }
    let Some((error, is_commit)) = failed else { return false };
    assert!(matches!(error, Error::Io(_)), "{place}: {error}");
    // A new file whose sync fails is thrown away, and nobody is the worse for it. After any other nothing is acknowledged.
    match filled.put(0, Durability::Full) {
        Err(Error::Poisoned) => {
            assert!(
                matches!(filled.store.begin(&Budget::unlimited("b").unwrap()), Err(Error::Poisoned)),
                "{place}"
            );
            // Where there is nothing to flush, nothing is refused.
            assert!(matches!(filled.store.flush(), Ok(()) | Err(Error::Poisoned)), "{place}");
            assert!(matches!(filled.store.sync(), Err(Error::Poisoned)), "{place}");
        }
        Ok(()) => assert!(!is_commit, "{place}"),
        Err(error) => panic!("{place}: {error}"),
    }
    // Readers are served.
    filled.assert_whole();
    true
}
