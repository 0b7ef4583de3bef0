//! The write-ahead log over many lives of a machine.

use cofferdam_arena::Budget;
use cofferdam_store::directory::{Access, Directory};
use cofferdam_store::log::{HEADER_BYTES, LogEnd};
use cofferdam_store::manifest::Root;
use cofferdam_store::wal::{Change, Entry, Event, ROW_BYTES_MAX, Recovered, WalWriter, recover};
use cofferdam_store::{Error, FileId, FileKind, InputKind, KEY_BYTES_MAX, TableId};
use cofferdam_testkit::simfs::{CrashPolicy, EIO, Fault, Op, Rule, SimDisk};
use cofferdam_vfs::OpenMode;

use crate::machine::{self, Choices, Fate, Stop, must, open, seeds};

/// An entry with its own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owned {
    sequence: u64,
    table: TableId,
    change: Change,
    key: Vec<u8>,
    row: Vec<u8>,
}

impl Owned {
    fn of(entry: &Entry<'_>) -> Owned {
        let (key, row) = (entry.key.to_vec(), entry.row.to_vec());
        Owned { sequence: entry.sequence, table: entry.table, change: entry.change, key, row }
    }

    fn entry(&self) -> Entry<'_> {
        let Owned { sequence, table, change, .. } = *self;
        Entry { sequence, table, change, key: &self.key, row: &self.row }
    }

    fn random(choices: &mut Choices, sequence: u64) -> Owned {
        let size = |choices: &mut Choices, max: u64| match choices.below(40) {
            0 => max,
            1 => choices.below(max),
            2 => choices.below(max / 4),
            _ => choices.below(100).min(max),
        };
        let change = if choices.one_in(4) { Change::Delete } else { Change::Put };
        let key_bytes = size(choices, KEY_BYTES_MAX as u64).max(1);
        let row_bytes = if change == Change::Put { size(choices, ROW_BYTES_MAX as u64) } else { 0 };
        let table = TableId(if choices.one_in(9) { choices.next() as u32 } else { choices.below(5) as u32 });
        Owned { sequence, table, change, key: choices.bytes(key_bytes), row: choices.bytes(row_bytes) }
    }
}

/// A transaction, and the log that it went to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Transaction {
    log: u64,
    entries: Vec<Owned>,
    last_sequence: u64,
}

/// What was committed, in order.
#[derive(Debug, Default)]
struct Model {
    transactions: Vec<Transaction>,
    /// So many of them were synced.
    durable: usize,
    /// Logs before this one are not needed any more.
    oldest: u64,
    next_file: u64,
    last_sequence: u64,
}

/// Everything that a recovery gives.
fn replay(
    directory: &Directory,
    root: &Root,
    oldest: u64,
    budget: &Budget,
) -> Result<(Recovered, Vec<Vec<Owned>>), Error> {
    let (mut found, mut open) = (Vec::new(), Vec::new());
    let recovered = recover(directory, root, oldest, 0, budget, &mut |event| {
        match event {
            Event::Entry(entry) => open.push(Owned::of(entry)),
            Event::Commit { last_sequence } => {
                assert!(open.last().is_none_or(|last| last.sequence == *last_sequence));
                found.push(std::mem::take(&mut open));
            }
        }
        Ok(())
    })?;
    assert!(open.is_empty(), "entries without a commit");
    assert_eq!(recovered.transactions_count, found.len() as u64);
    assert_eq!(recovered.entries_count, found.iter().map(|entries| entries.len() as u64).sum());
    Ok((recovered, found))
}

/// One life of the process: opens, compares with the model, and works until something stops it.
struct Life<'l> {
    disk: &'l SimDisk,
    model: &'l mut Model,
    choices: &'l mut Choices,
    budget: Budget,
}

impl Life<'_> {
    fn run(&mut self) -> Result<(), Stop> {
        let (directory, root) = open(self.disk, Access::Create, &self.budget)?;
        let mut wal = self.open_logs(&directory, &root)?;
        for _ in 0..self.choices.below(40) {
            match self.choices.below(16) {
                0..8 => self.transact(&mut wal)?,
                8..10 => wal.write()?,
                10..13 => {
                    wal.sync()?;
                    self.model.durable = self.model.transactions.len();
                }
                13 => wal.mark()?,
                14 => wal.release_buffer(),
                _ => {
                    let end = wal.close()?;
                    self.model.durable = self.model.transactions.len();
                    wal = self.create(&directory, &root, Some(end))?;
                    if self.choices.one_in(2) {
                        self.flush(&directory, wal.number())?;
                    }
                }
            }
        }
        if self.choices.one_in(3) {
            wal.close()?;
            self.model.durable = self.model.transactions.len();
        }
        Ok(())
    }

    fn open_logs(&mut self, directory: &Directory, root: &Root) -> Result<WalWriter, Stop> {
        let (recovered, found) = replay(directory, root, self.model.oldest, &self.budget)?;
        let Model { transactions, durable, .. } = &*self.model;
        must(found.len() >= *durable, || format!("{} of {durable} durable transactions", found.len()))?;
        must(found.len() <= transactions.len(), || "more transactions than were committed".to_owned())?;
        for (found, known) in found.iter().zip(transactions) {
            must(*found == known.entries, || format!("not the transaction up to {}", known.last_sequence))?;
        }
        self.model.next_file = self.model.next_file.max(directory.greatest_number()? + 1);
        let buffer_bytes = [0, 20_000][self.choices.below(2) as usize];
        let wal = match &recovered.tail {
            Some(tail) if self.choices.one_in(2) => tail.resume(directory, buffer_bytes, &self.budget)?,
            Some(tail) => {
                let end = tail.seal(directory, &self.budget)?;
                self.keep(found.len());
                self.create(directory, root, Some(end))?
            }
            None => self.create(directory, root, None)?,
        };
        self.keep(found.len());
        assert_eq!(wal.last_sequence(), recovered.last_sequence);
        self.model.last_sequence = self.model.last_sequence.max(wal.last_sequence());
        Ok(wal)
    }

    /// What was found is durable now, and the rest is gone.
    fn keep(&mut self, found: usize) {
        self.model.transactions.truncate(found);
        self.model.durable = found;
    }

    fn create(
        &mut self,
        directory: &Directory,
        root: &Root,
        previous: Option<LogEnd>,
    ) -> Result<WalWriter, Error> {
        // A number that was given once is not given again.
        self.model.next_file += 1;
        WalWriter::create(directory, root, self.model.next_file, previous, 0, &self.budget)
    }

    fn transact(&mut self, wal: &mut WalWriter) -> Result<(), Error> {
        let choices = &mut *self.choices;
        let first = wal.last_sequence() + 1 + choices.below(3);
        let mut sequence = first;
        let mut entries = Vec::new();
        let entries_count = if choices.one_in(8) { choices.below(60) } else { choices.below(4) };
        let mut transaction = wal.begin(first)?;
        for _ in 0..entries_count {
            let entry = Owned::random(choices, sequence);
            transaction.put(&entry.entry())?;
            entries.push(entry);
            sequence += [0, 1, 1, 1, 126, 127, 1 << 40][choices.below(7) as usize];
        }
        if choices.one_in(6) {
            return Ok(()); // given up
        }
        transaction.commit()?;
        let last_sequence = entries.last().map_or(first, |last| last.sequence);
        self.model.transactions.push(Transaction { log: wal.number(), entries, last_sequence });
        Ok(())
    }

    /// As a flush does: from now on the log `oldest` is the first that is needed.
    fn flush(&mut self, directory: &Directory, oldest: u64) -> Result<(), Error> {
        let flushed = self.model.transactions.iter().filter(|transaction| transaction.log < oldest).count();
        self.model.transactions.drain(..flushed);
        self.model.durable -= flushed;
        self.model.oldest = oldest;
        directory.remove_orphans(&|id| id.kind != FileKind::Wal || id.number >= oldest).map(drop)
    }
}

/// Several lives of one machine.
fn live(seed: u64, fate: Fate, ignored: Option<&str>) -> Result<(), String> {
    let mut model = Model { next_file: 100, ..Model::default() };
    // Enough for a replay with entries of any length, or for a writer, whatever the logs hold.
    machine::live(seed, fate, ignored, 144 << 10, |disk, choices, budget| {
        Life { disk, model: &mut model, choices, budget: budget.clone() }.run()
    })
}

/// Aim: whatever happens to the machine, a recovery gives a first part of what was committed, all that was synced within
/// it, each transaction whole; in fixed memory. Method: random work over several lives, each ended by a crash.
#[test]
fn recovery_gives_a_first_part_with_all_that_was_synced() {
    for seed in seeds(12) {
        live(seed, Fate::Crashes, None).unwrap();
    }
}

/// Aim: the same, where reads, writes and syncs fail, and failed syncs leave pages that look clean.
#[test]
fn recovery_is_right_after_operations_have_failed() {
    for seed in seeds(12) {
        live(seed, Fate::Faults, None).unwrap();
    }
}

/// Aim: these tests have teeth. Method: a disk that does not sync logs, or their names, must be found out.
#[test]
fn a_log_that_is_not_synced_is_found_out() {
    for pattern in ["wal-*", "db"] {
        assert!((0..200).any(|seed| live(seed, Fate::Crashes, Some(pattern)).is_err()), "{pattern}");
    }
}

/// An open database in which nothing goes wrong.
struct Calm {
    disk: SimDisk,
    directory: Directory,
    root: Root,
    budget: Budget,
}

fn calm(seed: u64) -> Calm {
    let (disk, budget) = (SimDisk::new(seed), machine::budget(1 << 20));
    let (directory, root) = open(&disk, Access::Create, &budget).unwrap();
    Calm { disk, directory, root, budget }
}

impl Calm {
    fn create(&self, number: u64, previous: Option<LogEnd>) -> WalWriter {
        WalWriter::create(&self.directory, &self.root, number, previous, 0, &self.budget).unwrap()
    }

    fn replay(&self, oldest: u64) -> Result<(Recovered, Vec<Vec<Owned>>), Error> {
        replay(&self.directory, &self.root, oldest, &self.budget)
    }

    fn corruption(&self, oldest: u64) -> (u64, u64) {
        match self.replay(oldest) {
            Err(Error::Corrupt(corruption)) if corruption.file.kind == FileKind::Wal => {
                (corruption.file.number, corruption.offset)
            }
            outcome => panic!("no damage: {outcome:?}"),
        }
    }

    fn names(&self) -> Vec<String> {
        let names = self.disk.image().into_keys().map(|path| path.trim_start_matches("/db/").to_owned());
        names.filter(|name| name.starts_with("wal")).collect()
    }
}

/// A transaction of one row.
fn put(wal: &mut WalWriter, key: &[u8]) -> Result<(), Error> {
    let sequence = wal.last_sequence() + 1;
    let mut transaction = wal.begin(sequence)?;
    let (table, change) = (TableId(1), Change::Put);
    transaction.put(&Entry { sequence, table, change, key, row: b"row" })?;
    transaction.commit()
}

/// Logs 5, 7 and 9 with a transaction each, closed.
fn three_logs(calm: &Calm) -> [LogEnd; 3] {
    let mut end = None;
    [5, 7, 9].map(|number| {
        let mut wal = calm.create(number, end);
        put(&mut wal, b"key").unwrap();
        end = Some(wal.close().unwrap());
        end.unwrap()
    })
}

#[test]
fn transactions_share_a_write_and_a_sync() {
    let calm = calm(1);
    let mut wal = calm.create(5, None);
    let before = (wal.counters(), calm.disk.counts().mutations);
    for _ in 0..8 {
        put(&mut wal, b"key").unwrap();
    }
    assert_eq!(calm.disk.counts().mutations, before.1);
    wal.sync().unwrap();
    let (counters, records) = (wal.counters(), 8);
    assert_eq!(counters.records_count, records);
    assert_eq!(counters.syncs_count - before.0.syncs_count, 1);
    assert_eq!(counters.writes_count - before.0.writes_count, 1);
    // A header, the entry, the trailer: 24 + 4 + 3 + 3 + 16, and padding.
    assert_eq!(counters.written_bytes - before.0.written_bytes, records * 56);
    assert_eq!(wal.bytes(), HEADER_BYTES + records * 56);
    wal.sync().unwrap();
    assert_eq!(wal.counters(), counters);
}

#[test]
fn entries_that_do_not_fit_are_refused() {
    let calm = calm(2);
    let mut wal = calm.create(5, None);
    let (long_key, long_row) = (vec![1; KEY_BYTES_MAX + 1], vec![1; ROW_BYTES_MAX + 1]);
    let good = Entry { sequence: 1, table: TableId(9), change: Change::Put, key: b"key", row: b"row" };
    let mut transaction = wal.begin(1).unwrap();
    for (entry, kind) in [
        (Entry { key: &long_key, ..good }, InputKind::KeyTooLong),
        (Entry { key: b"", ..good }, InputKind::KeyTooLong),
        (Entry { row: &long_row, ..good }, InputKind::ValueTooLong),
        (Entry { change: Change::Delete, ..good }, InputKind::ValueTooLong),
    ] {
        match transaction.put(&entry) {
            Err(Error::Input(problem)) => assert_eq!((problem.table, problem.kind), (TableId(9), kind)),
            outcome => panic!("{outcome:?}"),
        }
    }
    // It may go on all the same.
    transaction.put(&good).unwrap();
    transaction.commit().unwrap();
    wal.close().unwrap();
    assert_eq!(calm.replay(0).unwrap().1, [[Owned::of(&good)]]);
}

/// Aim: a sequence that no commit reaches, and a damaged file may claim, is an error and no panic.
#[test]
fn sequences_end_with_an_error() {
    let calm = calm(8);
    let mut wal = calm.create(5, None);
    let last = (1 << 56) - 1;
    let entry = Entry { sequence: last, table: TableId(1), change: Change::Put, key: b"key", row: b"" };
    let mut transaction = wal.begin(last).unwrap();
    transaction.put(&Entry { sequence: last + 1, ..entry }).unwrap();
    assert!(matches!(transaction.commit(), Err(Error::Corrupt(_))));
    let mut transaction = wal.begin(last).unwrap();
    transaction.put(&entry).unwrap();
    transaction.commit().unwrap();
    assert!(matches!(wal.begin(last + 1), Err(Error::Corrupt(_))));
    wal.close().unwrap();
    assert_eq!(calm.replay(0).unwrap().0.last_sequence, last);
}

#[test]
fn a_log_that_is_missing_is_noticed() {
    let mut calm = calm(3);
    three_logs(&calm);
    assert_eq!(calm.replay(0).unwrap().0.logs_count, 3);
    assert_eq!(calm.replay(7).unwrap().0.logs_count, 2);
    assert_eq!(calm.corruption(4), (4, 0), "one that the manifest names");
    assert_eq!(calm.corruption(6), (6, 0));
    let all = calm.disk.duplicate();
    calm.directory.remove(FileId::new(FileKind::Wal, 7)).unwrap();
    assert_eq!(calm.corruption(0), (7, 0), "one that another follows");
    assert_eq!(calm.corruption(5), (7, 0));
    assert_eq!(calm.replay(9).unwrap().0.transactions_count, 1);
    calm.disk = all;
    calm.directory = open(&calm.disk, Access::Write, &calm.budget).unwrap().0;
    calm.directory.remove(FileId::new(FileKind::Wal, 5)).unwrap();
    assert_eq!(calm.corruption(0), (5, 0), "the first one");
}

/// Aim: of a log that another one follows each byte is known to be durable, without a mark. Method: cut it everywhere, and turn
/// bits of it.
#[test]
fn damage_is_told_in_every_log_but_the_last() {
    let calm = calm(4);
    let ends = three_logs(&calm);
    let file = |mode| calm.directory.open_file(FileId::new(FileKind::Wal, 7), mode, &calm.budget).unwrap();
    let bytes = calm.disk.image()["/db/wal-000007"].clone();
    assert!(bytes.len() as u64 > ends[1].bytes);
    for len in 0..ends[1].bytes {
        file(OpenMode::Write).set_bytes(len).unwrap();
        let (number, offset) = calm.corruption(0);
        assert!(number == 7 && offset <= len, "{len}: {offset}");
    }
    file(OpenMode::Write).write_all_at(&bytes, 0).unwrap();
    for offset in 0..ends[1].bytes {
        calm.disk.flip("/db/wal-000007", offset, 8).unwrap();
        let (number, place) = calm.corruption(0);
        assert!(number == 7 && place <= offset, "{offset}: {place}");
        calm.disk.flip("/db/wal-000007", offset, 8).unwrap();
    }
    // More than the next one says was never there.
    let mut wal = calm.create(11, Some(LogEnd { bytes: ends[2].bytes - 56, ..ends[2] }));
    put(&mut wal, b"key").unwrap();
    wal.close().unwrap();
    assert_eq!(calm.corruption(0).0, 9);
}

/// Aim: a log that is empty counts only where something needs it (W4). Method: empty logs at the end, in between, named and
/// not; with and without a complete header.
#[test]
fn empty_logs_count_where_they_are_needed() {
    let mut calm = calm(5);
    let ends = three_logs(&calm);
    drop(calm.create(10, Some(ends[2])));
    let stillborn =
        calm.directory.open_file(FileId::new(FileKind::Wal, 12), OpenMode::CreateNew, &calm.budget);
    stillborn.unwrap().write_all_at(&[0; HEADER_BYTES as usize], 0).unwrap();
    let tail = |calm: &Calm, oldest| calm.replay(oldest).unwrap().0.tail.map(|tail| tail.number());
    // A reader leaves them where they are.
    calm.directory = {
        let disk = calm.disk.duplicate();
        let directory = open(&disk, Access::Read, &calm.budget).unwrap().0;
        calm.disk = disk;
        directory
    };
    assert_eq!((tail(&calm, 0), tail(&calm, 10)), (Some(9), Some(10)));
    assert_eq!(calm.names().len(), 5);
    // Where another one follows, an empty one is a link.
    let with_link = Calm { disk: calm.disk.duplicate(), budget: calm.budget.clone(), ..calm };
    let directory = open(&with_link.disk, Access::Write, &with_link.budget).unwrap().0;
    let with_link = Calm { directory, ..with_link };
    let mut wal = with_link.create(13, Some(LogEnd { number: 10, bytes: HEADER_BYTES, last_sequence: 3 }));
    put(&mut wal, b"key").unwrap();
    wal.close().unwrap();
    assert_eq!(tail(&with_link, 0), Some(13));
    assert_eq!(with_link.replay(0).unwrap().1.len(), 4);
    assert_eq!(with_link.names(), ["wal-000005", "wal-000007", "wal-000009", "wal-000010", "wal-000013"]);
    // Nothing needs it any more.
    with_link.directory.remove(FileId::new(FileKind::Wal, 13)).unwrap();
    assert_eq!(tail(&with_link, 0), Some(9));
    assert_eq!(with_link.names(), ["wal-000005", "wal-000007", "wal-000009"]);
    // A log that failed to be made, and one that was made in its place.
    drop(with_link.create(20, Some(ends[2])));
    let mut wal = with_link.create(21, Some(ends[2]));
    put(&mut wal, b"key").unwrap();
    wal.close().unwrap();
    assert_eq!((tail(&with_link, 0), with_link.replay(0).unwrap().1.len()), (Some(21), 4));
}

#[test]
fn a_log_goes_on_after_a_failure_only_when_it_is_opened_again() {
    for ops in [[Op::Write], [Op::Sync]] {
        let calm = calm(6);
        let mut wal = calm.create(5, None);
        put(&mut wal, b"kept").unwrap();
        wal.sync().unwrap();
        calm.disk.inject(Rule::new(ops, Fault::Error(EIO)).nth(1));
        put(&mut wal, b"lost?").unwrap();
        assert!(matches!(wal.sync(), Err(Error::Io(_))), "{ops:?}");
        assert!(matches!(wal.sync(), Err(Error::Poisoned)));
        assert!(matches!(wal.write(), Err(Error::Poisoned)));
        assert!(matches!(put(&mut wal, b"more"), Err(Error::Poisoned)));
        assert!(matches!(wal.close(), Err(Error::Poisoned)));
        let (recovered, found) = calm.replay(0).unwrap();
        assert!(matches!(found.len(), 1 | 2));
        let mut wal = recovered.tail.unwrap().resume(&calm.directory, 0, &calm.budget).unwrap();
        put(&mut wal, b"more").unwrap();
        wal.close().unwrap();
        assert_eq!(calm.replay(0).unwrap().1.len(), found.len() + 1);
    }
}

#[test]
fn a_visitor_that_fails_ends_the_replay() {
    let calm = calm(7);
    three_logs(&calm);
    let mut visits = 0;
    let outcome = recover(&calm.directory, &calm.root, 0, 0, &calm.budget, &mut |_| {
        visits += 1;
        if visits == 3 { Err(Error::Cancelled) } else { Ok(()) }
    });
    assert!(matches!(outcome, Err(Error::Cancelled)) && visits == 3);
}

/// Aim: a log that was removed for having nothing does not come back behind a log that has grown since. Method: two such logs behind
/// one that is written on, by processes of which the first may end before it has written; then the machine loses all that was not synced.
#[test]
fn empty_logs_that_were_removed_stay_away() {
    for is_killed in [false, true] {
        let (disk, budget) = (SimDisk::new(1), Budget::unlimited("test").unwrap());
        let append = |wal: &mut WalWriter, sequence| {
            let mut transaction = wal.begin(sequence).unwrap();
            let (table, change) = (TableId(1), Change::Put);
            transaction.put(&Entry { sequence, table, change, key: b"key", row: b"row" }).unwrap();
            transaction.commit().unwrap();
            wal.sync().unwrap();
        };
        {
            let (directory, root) = open(&disk, Access::Create, &budget).unwrap();
            let mut wal = WalWriter::create(&directory, &root, 3, None, 0, &budget).unwrap();
            append(&mut wal, 1);
            let end = wal.close().unwrap();
            let empty = WalWriter::create(&directory, &root, 6, Some(end), 0, &budget).unwrap();
            let end = empty.close().unwrap();
            WalWriter::create(&directory, &root, 7, Some(end), 0, &budget).unwrap();
        }
        let mut transactions = vec![];
        for life in 0..3 {
            disk.kill();
            if life == 2 {
                disk.crash_with(&CrashPolicy::lose_everything(), 1);
            }
            let (directory, root) = open(&disk, Access::Create, &budget).unwrap();
            let recovered = recover(&directory, &root, 0, 0, &budget, &mut |_| Ok(())).unwrap();
            transactions.push(recovered.transactions_count);
            if life == 0 && is_killed {
                continue;
            }
            let mut wal = recovered.tail.unwrap().resume(&directory, 0, &budget).unwrap();
            if life == 1 {
                assert_eq!(wal.number(), 3);
                append(&mut wal, 2);
            }
        }
        assert_eq!(transactions, [1, 1, 2], "killed: {is_killed}");
    }
}
