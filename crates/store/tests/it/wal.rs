//! The write-ahead log over many lives of a machine.

use cofferdam_arena::Budget;
use cofferdam_store::directory::{Access, Directory};
use cofferdam_store::log::LogEnd;
use cofferdam_store::manifest::Root;
use cofferdam_store::wal::{Change, Entry, Event, ROW_BYTES_MAX, Recovered, WalWriter, recover};
use cofferdam_store::{Error, FileKind, KEY_BYTES_MAX, TableId};
use cofferdam_testkit::simfs::SimDisk;

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
    for seed in seeds(20) {
        live(seed, Fate::Crashes, None).unwrap();
    }
}

/// Aim: the same, where reads, writes and syncs fail, and failed syncs leave pages that look clean.
#[test]
fn recovery_is_right_after_operations_have_failed() {
    for seed in seeds(20) {
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
