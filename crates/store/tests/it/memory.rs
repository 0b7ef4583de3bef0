//! Logs and manifests under limits: a typed error, or all that there is, and nothing left behind.

use std::sync::Arc;

use cofferdam_arena::Budget;
use cofferdam_store::directory::{Access, Directory};
use cofferdam_store::manifest::{DATABASE, ManifestWriter};
use cofferdam_store::wal::{Change, Entry, Event, ROW_BYTES_MAX, WalWriter, recover};
use cofferdam_store::{Error, KEY_BYTES_MAX, TableId};
use cofferdam_testkit::Failure;
use cofferdam_testkit::counting::Counting;
use cofferdam_testkit::inject::Injection;
use cofferdam_testkit::simfs::SimDisk;
use cofferdam_testkit::sweep::Sweep;
use cofferdam_vfs::{OsVfs, Vfs};

use crate::machine::{Choices, open};

fn unlimited() -> Budget {
    Budget::unlimited("process").unwrap().child("store", 1 << 30).unwrap()
}

/// A life from the opening to the end: tables, transactions of `row_bytes` a row, a second life that reads them.
fn life(disk: &SimDisk, budget: &Budget, row_bytes: usize) -> Result<u64, Error> {
    let sum = replay(disk, budget)?;
    let (directory, root) = open(disk, Access::Create, budget)?;
    let mut manifest = ManifestWriter::open(&directory, root, budget, &mut |_, _| Ok(()))?;
    let counters = *manifest.counters();
    manifest.commit_with(&counters, &mut |edit| edit.set_properties(DATABASE, &[1; 9000]))?;
    let next = |counters: &cofferdam_store::manifest::Counters| {
        Ok::<_, Error>(directory.greatest_number()?.max(counters.next_file) + 1)
    };
    let number = next(manifest.counters())?;
    let counters = cofferdam_store::manifest::Counters { next_file: number + 1, ..*manifest.counters() };
    manifest.rotate(&directory, number, &counters, &mut |edit| edit.set_properties(DATABASE, &[2; 9000]))?;
    drop(manifest);
    let recovered = recover(&directory, &root, 0, 0, budget, &mut |_| Ok(()))?;
    let end = recovered.tail.map(|tail| tail.seal(&directory, budget)).transpose()?;
    let mut wal = WalWriter::create(&directory, &root, next(&counters)?, end, 64 << 10, budget)?;
    let row = vec![7; row_bytes];
    for _ in 0..3 {
        let sequence = wal.last_sequence() + 1;
        let mut transaction = wal.begin(sequence)?;
        for key in [&b"a"[..], b"b"] {
            transaction.put(&Entry { sequence, table: TableId(1), change: Change::Put, key, row: &row })?;
        }
        transaction.commit()?;
        wal.sync()?;
    }
    wal.close()?;
    drop(directory);
    let all = replay(disk, budget)?;
    assert_eq!(all, sum + 6 * (1 + row_bytes as u64), "what was there is there, and what was written");
    // Whoever runs this again finds what it found.
    Ok(0)
}

/// Opens what there is, and gives the bytes of all entries.
fn replay(disk: &SimDisk, budget: &Budget) -> Result<u64, Error> {
    let (directory, root) = match open(disk, Access::Read, budget) {
        Err(Error::NotADatabase) => return Ok(0),
        outcome => outcome?,
    };
    let mut bytes = 0;
    recover(&directory, &root, 0, 0, budget, &mut |event| {
        if let Event::Entry(entry) = event {
            bytes += (entry.key.len() + entry.row.len()) as u64;
        }
        Ok(())
    })?;
    Ok(bytes)
}

fn failure(budget: &Budget) -> impl Fn(Error) -> Failure {
    |error| Failure::of(budget, &error, matches!(error, Error::OutOfMemory(_)))
}

/// Aim: under every limit a life ends well or with the typed error, and another one finds everything. Method: the
/// limit sweep, on one disk that lives on.
#[test]
fn every_limit_gives_everything_or_a_typed_error() {
    let budget = unlimited();
    for (row_bytes, least_bytes, most_bytes) in
        [(100, 16 << 10, 72 << 10), (ROW_BYTES_MAX, 70 << 10, 96 << 10)]
    {
        let disk = SimDisk::new(1);
        let swept = Sweep::new()
            .run_under(&budget, |budget| life(&disk, budget, row_bytes).map_err(failure(budget)))
            .unwrap();
        assert!((least_bytes..most_bytes).contains(&swept.limit_bytes), "{row_bytes}: {}", swept.limit_bytes);
        assert!(swept.refusals_count >= 5, "{}", swept.refusals_count);
    }
}

/// Aim: each charge may be the one that is refused. Method: refuse the n-th for every n, on one disk that lives on.
#[test]
fn every_charge_may_be_refused() {
    let budget = unlimited();
    let disk = SimDisk::new(2);
    let injected =
        Injection::new().run(&budget, |budget| life(&disk, budget, 30_000).map_err(failure(budget))).unwrap();
    assert!(injected.charges_count > 15 && injected.survived_count == 0, "{injected:?}");
}

/// Aim: a replay takes the same whatever the logs hold. Method: logs of very different lengths and entries.
#[test]
fn a_replay_takes_the_same_for_logs_of_every_length() {
    let peak = |transactions: u64, key_bytes: usize, row_bytes: usize| {
        let (disk, budget) = (SimDisk::new(3), unlimited());
        let (directory, root) = open(&disk, Access::Create, &budget).unwrap();
        let mut wal = WalWriter::create(&directory, &root, 5, None, 64 << 10, &budget).unwrap();
        let choices = &mut Choices::new(3);
        for sequence in 1..=transactions {
            let (key, row) = (choices.bytes(key_bytes as u64), choices.bytes(row_bytes as u64));
            let mut transaction = wal.begin(sequence).unwrap();
            let (table, change) = (TableId(1), Change::Put);
            transaction.put(&Entry { sequence, table, change, key: &key, row: &row }).unwrap();
            transaction.commit().unwrap();
        }
        wal.close().unwrap();
        drop(directory);
        let budget = unlimited();
        replay(&disk, &budget).unwrap();
        budget.peak()
    };
    // The directory, a file, and 16 KiB with what the allocator adds; the log has no influence.
    assert_eq!(peak(1, 10, 100), 19 << 10);
    assert_eq!(peak(3000, 10, 100), 19 << 10);
    assert_eq!(peak(20, 5000, 10_000), 19 << 10);
    // A key and a row of the greatest length, in one piece.
    assert_eq!(peak(20, KEY_BYTES_MAX, ROW_BYTES_MAX), (20 + 8 + 64) << 10);
}

/// A directory of the system that is removed at the end.
pub(crate) struct Temporary(pub(crate) std::path::PathBuf);

impl Temporary {
    pub(crate) fn new(name: &str) -> Temporary {
        let path = std::env::temp_dir().join(format!("cofferdam-{name}-{}", std::process::id()));
        _ = std::fs::remove_dir_all(&path);
        Temporary(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Aim: appending, writing and syncing take nothing from the heap, and a replay nothing beside what its budget shows. Method:
/// the allocator's count, over files of the system.
#[test]
fn no_byte_is_taken_outside_of_the_budgets() {
    let place = Temporary::new("store-memory");
    let (budget, vfs) = (unlimited(), Arc::new(OsVfs) as Arc<dyn Vfs>);
    let (directory, root) = Directory::open(&vfs, &place.0, Access::Create, &budget).unwrap();
    let mut wal = WalWriter::create(&directory, &root, 5, None, 0, &budget).unwrap();
    wal.reserve_buffer().unwrap();
    let row = [3; 20_000];
    let counting = Counting::start();
    for sequence in 1..100 {
        let mut transaction = wal.begin(sequence).unwrap();
        let (table, change) = (TableId(1), Change::Put);
        transaction.put(&Entry { sequence, table, change, key: b"key", row: &row }).unwrap();
        transaction.commit().unwrap();
        wal.write().unwrap();
        if sequence % 20 == 0 {
            wal.sync().unwrap();
        }
    }
    wal.close().unwrap();
    let counts = counting.finish();
    assert_eq!((counts.allocations_count, counts.bytes_total), (0, 0));

    let (before, mut entries) = (budget.used(), 0);
    let counting = Counting::start();
    recover(&directory, &root, 0, 0, &budget, &mut |event| {
        entries += u64::from(matches!(event, Event::Entry(_)));
        Ok(())
    })
    .unwrap();
    let counts = counting.finish();
    // Beside it the handle of the file system, which the kilobyte for a file covers, and paths while they are opened.
    assert!(counts.bytes_peak <= budget.peak() - before, "{counts:?}");
    assert_eq!((entries, counts.bytes_left), (99, 0));
}
