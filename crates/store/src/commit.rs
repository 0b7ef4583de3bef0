//! Commits: the order of changes, the log, the memtable, and what happens when that is full.
//!
//! ```text
//!   under the lock `log`                                        outside
//!   check for conflicts, reserve room ─> append to the WAL      ─> wait until it is durable (shared) ─> publish
//!                                     ─> put into the memtable
//! ```
//!
//! - **C1** The memtable has room for all of a transaction before the first byte of it is logged, so what is logged is applied.
//! - **C2** A commit is published when it is durable, or at once where the caller wants no more than that and nobody before it
//!   waits to be durable: readers never see what a crash could take back from somebody who was promised it.
//! - **C3** A memtable's changes are in logs that its flush makes no longer needed. When the memtables swap, the log is closed, which makes it
//!   durable, and the next one begins; so a flush never makes a part of a log's transactions durable that the log itself has lost.
//! - **C4** A commit by an edit finds no changes of its tables in memtables (they are flushed before) and no commit of others in
//!   between, so that versions in segments are older than those above them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;

use crate::error::Error;
use crate::files::{FileId, FileKind};
use crate::level::{level_for_new, overlap};
use crate::log::{HEADER_BYTES, LogEnd};
use crate::manifest::{self, Root};
use crate::memtable::{self, EntryKind};
use crate::merge::OWN_SEQUENCE;
use crate::options::{Durability, Stall};
use crate::schema::TableId;
use crate::store::{Inner, lock};
use crate::table::Table;
use crate::version::{self, Segment, Version};
use crate::wal::{self, Change, Entry, WalWriter};

/// The log that commits are appended to, and the last sequence.
#[derive(Debug)]
pub(crate) struct Log {
    /// `None` where making it failed: the next commit tries again.
    wal: Option<WalWriter>,
    /// The end of the log before, while there is none.
    previous: Option<LogEnd>,
    root: Option<Root>,
    /// The last sequence that was given.
    pub(crate) last_sequence: u64,
    /// The last one of a commit that must be durable before it is seen.
    last_full: u64,
    /// The first log that the sealed memtable's flush makes no longer needed; 0 where there is nothing to flush.
    pub(crate) sealed_until: u64,
}

/// What a commit has to log and to apply.
pub(crate) trait Changes {
    /// How many tables and entries, and how many bytes of keys and rows.
    fn size(&self) -> (usize, usize, usize);

    /// Gives the entries: of each key the last change.
    fn for_each(&self, visit: &mut dyn FnMut(&memtable::Entry<'_>) -> Result<(), Error>)
    -> Result<(), Error>;

    /// Whether nobody has changed the same since the snapshot, with no commit under way (T1).
    fn check(&self) -> Result<(), Error>;

    /// Notes the sequence in the tables that were changed.
    fn note(&self, sequence: u64);
}

/// A commit that is one edit of the manifest.
pub(crate) trait Replacement: Changes {
    /// The tables that are made and those that are dropped.
    fn tables(&self) -> (&[Arc<Table>], &[TableId]);
    /// Its runs, oldest first.
    fn runs(&self) -> &[Arc<Segment>];
    /// The number of the last operation.
    fn operations_count(&self) -> u64;
}

impl Log {
    pub(crate) fn new(last_sequence: u64) -> Log {
        Log { wal: None, previous: None, root: None, last_sequence, last_full: 0, sealed_until: 0 }
    }

    /// Goes on with the last of the logs that were replayed, or begins the first one.
    pub(crate) fn resume(
        &mut self,
        inner: &Inner,
        root: &Root,
        recovered: &wal::Recovered,
    ) -> Result<(), Error> {
        self.root = Some(*root);
        self.last_sequence = self.last_sequence.max(recovered.last_sequence);
        let buffer_bytes = inner.sizing.wal_buffer_bytes as usize;
        self.wal = match &recovered.tail {
            Some(tail) => Some(tail.resume(&inner.directory, buffer_bytes, &inner.wal_budget)?),
            None => None,
        };
        self.wal(inner)?;
        inner.group.is_durable_up_to(self.last_sequence);
        Ok(())
    }

    /// The log, which is made where there is none.
    fn wal(&mut self, inner: &Inner) -> Result<&mut WalWriter, Error> {
        let wal = match self.wal.take() {
            Some(wal) => wal,
            None => {
                // A store that could not be opened comes here when it is dropped.
                let root = self.root.as_ref().ok_or(Error::Poisoned)?;
                let (number, buffer_bytes) =
                    (inner.next_file_number(), inner.sizing.wal_buffer_bytes as usize);
                WalWriter::create(
                    &inner.directory,
                    root,
                    number,
                    self.previous,
                    buffer_bytes,
                    &inner.wal_budget,
                )
                .inspect_err(|_| {
                    // Every attempt makes another file. What is left goes with the next flush.
                    let _ = inner.directory.remove(FileId::new(FileKind::Wal, number));
                })?
            }
        };
        Ok(self.wal.insert(wal))
    }

    /// Whether there is a log that is not empty.
    pub(crate) fn has_records(&self) -> bool {
        self.wal.as_ref().is_some_and(|wal| wal.bytes() > HEADER_BYTES)
    }

    /// Closes the log and begins the next one.
    fn rotate(&mut self, inner: &Inner) -> Result<u64, Error> {
        if let Some(wal) = self.wal.take() {
            let end = wal.close().inspect_err(|_| inner.group.poison())?;
            inner.group.is_durable_up_to(self.last_sequence);
            self.previous = Some(end);
        }
        Ok(self.wal(inner)?.number())
    }
}

impl Inner {
    /// Commits changes that fit the memtable, and gives their sequence.
    pub(crate) fn commit(&self, changes: &dyn Changes, durability: Durability) -> Result<u64, Error> {
        let mut log = self.lock_log_with_room(changes)?;
        changes.check()?;
        let sequence = log.last_sequence + 1;
        self.append(&mut log, changes, sequence).inspect_err(|error| {
            // What a failed write has left in the file is not known.
            if matches!(error, Error::Io(_) | Error::Poisoned) {
                self.group.poison();
            }
        })?;
        let writer = self.memtables.writer().expect("commits come one after the other");
        changes.for_each(&mut |entry| {
            let inserted = writer.insert(entry.table, entry.key, sequence, entry.kind, entry.row);
            inserted.expect("C1: room was reserved");
            Ok(())
        })?;
        drop(writer);
        changes.note(sequence);
        log.last_sequence = sequence;
        let must_wait = durability == Durability::Full || log.last_full > self.snapshots.published();
        if durability == Durability::Full {
            log.last_full = sequence;
        } else if !must_wait {
            log.wal(self)?.write().inspect_err(|_| self.group.poison())?;
        }
        drop(log);
        if must_wait {
            self.group.wait(sequence, || self.sync_appended())?;
        }
        self.snapshots.publish(sequence);
        Ok(sequence)
    }

    fn append(&self, log: &mut Log, changes: &dyn Changes, sequence: u64) -> Result<(), Error> {
        let wal = log.wal(self)?;
        wal.reserve_buffer()?;
        let mut transaction = wal.begin(sequence)?;
        changes.for_each(&mut |entry| {
            let memtable::Entry { table, key, row, .. } = *entry;
            let change = match entry.kind {
                EntryKind::Put => Change::Put,
                EntryKind::Delete => Change::Delete,
            };
            transaction.put(&Entry { sequence, table, change, key, row })
        })?;
        transaction.commit()
    }

    /// Makes durable what has been appended, and gives the last sequence of that.
    fn sync_appended(&self) -> Result<u64, Error> {
        let (pending, number, reach) = {
            let mut log = lock(&self.log);
            let reach = log.last_sequence;
            let wal = log.wal(self)?;
            (wal.begin_sync()?, wal.number(), reach)
        };
        let Some(pending) = pending else { return Ok(reach) };
        let outcome = pending.run();
        let mut log = lock(&self.log);
        // Where the log was closed meanwhile, that has made it durable.
        match &mut log.wal {
            Some(wal) if wal.number() == number => wal.end_sync(&pending, outcome)?,
            _ => outcome?,
        }
        Ok(reach)
    }

    /// Makes all commits durable, and leaves a witness of that in the log: nothing else is to come.
    pub(crate) fn sync_for_ever(&self) -> Result<(), Error> {
        self.sync_log()?;
        match &mut lock(&self.log).wal {
            Some(wal) => wal.mark(),
            None => Ok(()),
        }
    }

    /// Makes all commits durable.
    pub(crate) fn sync_log(&self) -> Result<(), Error> {
        if self.group.is_poisoned() {
            return Err(Error::Poisoned);
        }
        let sequence = lock(&self.log).last_sequence;
        self.group.wait(sequence, || self.sync_appended())?;
        self.snapshots.publish(sequence);
        Ok(())
    }

    /// The lock on the log, with room in the memtable for a transaction.
    fn lock_log_with_room(&self, changes: &dyn Changes) -> Result<MutexGuard<'_, Log>, Error> {
        let (tables, entries, bytes) = changes.size();
        let mut log = lock(&self.log);
        let started = self.directory.vfs().now_ns();
        loop {
            self.check_writable()?;
            let writer = self.memtables.writer().expect("commits come one after the other");
            let figures = writer.read().figures();
            let is_full = figures.used_bytes + bytes as u64 > self.sizing.memtable_bytes;
            let is_empty = figures.entries_count == 0;
            drop(writer);
            if self.is_crowded() && self.ring(false) {
                log = self.wait_for_room(log, started)?;
                continue;
            }
            let writer = self.memtables.writer().expect("commits come one after the other");
            if !is_full || is_empty {
                match writer.reserve(tables, entries, bytes) {
                    Ok(()) => return Ok(log),
                    // Nothing is left that a flush could give back.
                    Err(error) if is_empty && log.sealed_until == 0 => return Err(error.into()),
                    Err(_) => {}
                }
            }
            drop(writer);
            log = self.make_room(log, started)?;
        }
    }

    /// Swaps the memtables, or has the sealed one flushed, or waits until it is.
    fn make_room<'l>(
        &'l self,
        mut log: MutexGuard<'l, Log>,
        started: u64,
    ) -> Result<MutexGuard<'l, Log>, Error> {
        if log.sealed_until == 0 {
            self.swap(&mut log)?;
            self.ring(true);
            return Ok(log);
        }
        if !self.ring(true) {
            drop(log);
            {
                let _turn = lock(&self.flushing);
                self.flush_sealed_until(self.deadline(started))?;
            }
            self.compact_if_alone();
            return Ok(lock(&self.log));
        }
        self.wait_for_room(log, started)
    }

    /// Waits until a flush or a compaction is done, or for a moment.
    fn wait_for_room<'l>(
        &'l self,
        log: MutexGuard<'l, Log>,
        started: u64,
    ) -> Result<MutexGuard<'l, Log>, Error> {
        if let Some(error) = lock(&self.flush_failure).take() {
            return Err(error);
        }
        let now = self.directory.vfs().now_ns();
        let waited = Duration::from_nanos(now.saturating_sub(started));
        let left = match self.options.stall {
            Stall::Fail => Duration::ZERO,
            Stall::Wait(time) => time.saturating_sub(waited),
        };
        if left.is_zero() {
            return Err(Error::Stalled { waited_ns: waited.as_nanos() as u64 });
        }
        // Awake now and then: a worker that fails to flush rings nobody.
        let time = left.min(Duration::from_millis(100));
        let (log, _) = self.room.wait_timeout(log, time).unwrap_or_else(PoisonError::into_inner);
        let waited_ns = self.directory.vfs().now_ns().saturating_sub(now);
        self.counters.stalls_count.fetch_add(1, Ordering::Relaxed);
        self.counters.stalled_ns.fetch_add(waited_ns, Ordering::Relaxed);
        Ok(log)
    }

    /// Seals the active memtable. Nobody commits meanwhile.
    pub(crate) fn swap(&self, log: &mut Log) -> Result<(), Error> {
        let next = log.rotate(self)?;
        self.memtables.swap().expect("there is no sealed memtable, and no writer");
        log.sealed_until = next;
        Ok(())
    }

    /// Commits changes by an edit of the manifest, and gives their last sequence. Their runs are complete.
    pub(crate) fn commit_edit(&self, changes: &dyn Replacement) -> Result<u64, Error> {
        let (created, dropped) = changes.tables();
        let arena = Arena::new(&self.flush_budget);
        let (turn, mut log) = self.lock_log_without(changes.runs())?;
        changes.check()?;
        // Commits that this one may have seen are durable before it.
        log.wal(self)?.sync().inspect_err(|_| self.group.poison())?;
        self.group.is_durable_up_to(log.last_sequence);
        let base = log.last_sequence;
        let last_sequence = base + changes.operations_count();
        let version = self.versions.current();
        let mut added = Vec::new_in(&arena);
        for run in changes.runs().iter().filter(|run| !dropped.contains(&run.info.table)) {
            added.push(self.place_run(&version, run, base, created, &added)?)?;
        }
        // Runs that were written together share a file.
        let mut synced = None;
        for run in changes.runs() {
            let file = run.file().id();
            if synced.replace(file) != Some(file) {
                run.file().sync()?;
            }
        }
        if !changes.runs().is_empty() {
            self.directory.sync()?;
        }
        let mut kept = Vec::new_in(&arena);
        kept.extend(created.iter().filter(|table| !dropped.contains(&table.id())).cloned())?;
        let mut gone = Vec::new_in(&arena);
        gone.extend(dropped.iter().filter(|id| version.table(**id).is_some()).copied())?;
        let change =
            version::Change { created: &kept, dropped: &gone, added: &added, ..version::Change::default() };
        let outcome = self.edit(&change, last_sequence, 0);
        if !matches!(outcome, Err(Error::Conflict(_) | Error::OutOfMemory(_) | Error::Input(_))) {
            added.iter().for_each(|segment| segment.file().set_obsolete(false));
        }
        outcome?;
        changes.note(last_sequence);
        log.last_sequence = last_sequence;
        self.group.is_durable_up_to(last_sequence);
        self.snapshots.publish(last_sequence);
        drop(log);
        drop(turn);
        self.compact_if_alone();
        Ok(last_sequence)
    }

    /// A run as a segment of its table, whose sequences follow `base`: as deep as nothing overlaps it.
    fn place_run(
        &self,
        version: &Version,
        run: &Segment,
        base: u64,
        created: &[Arc<Table>],
        added: &[Arc<Segment>],
    ) -> Result<Arc<Segment>, Error> {
        let id = run.info.table;
        let entry = version.table(id);
        let table = entry.map(|entry| &entry.table).or_else(|| created.iter().find(|table| table.id() == id));
        let table = table.ok_or(Error::Conflict(id))?;
        let segments = entry.map_or(&[][..], |entry| entry.segments());
        let is_apart = added
            .iter()
            .filter(|other| other.info.table == id)
            .all(|other| !overlap(other.keys(), run.keys()));
        let level = if is_apart { level_for_new(segments, run.keys()) } else { 0 };
        let own = run.info;
        let info = manifest::Segment {
            level: level as u8,
            sequence_base: base,
            sequence_min: own.sequence_min - OWN_SEQUENCE + base,
            sequence_max: own.sequence_max - OWN_SEQUENCE + base,
            ..own
        };
        self.new_segment(info, run.file(), table)
    }

    /// The right to flush and the lock on the log, with no changes of the runs' tables in the memtables (C4).
    fn lock_log_without(
        &self,
        runs: &[Arc<Segment>],
    ) -> Result<(MutexGuard<'_, ()>, MutexGuard<'_, Log>), Error> {
        let turn = lock(&self.flushing);
        loop {
            self.check_writable()?;
            self.flush_sealed_in_turn()?;
            let mut log = lock(&self.log);
            let pins = self.memtables.pin().expect("fewer than 2^32 readers");
            let active = pins.active();
            let has_changes =
                runs.iter().any(|run| active.table_from(run.info.table) == Some(run.info.table));
            drop(pins);
            if log.sealed_until == 0 && !has_changes {
                return Ok((turn, log));
            }
            if log.sealed_until == 0 {
                self.swap(&mut log)?;
            }
        }
    }

    /// Puts an entry of a log into the memtable, while the store opens.
    pub(crate) fn apply(&self, entry: &Entry<'_>) -> Result<(), Error> {
        let kind = match entry.change {
            Change::Put => EntryKind::Put,
            Change::Delete => EntryKind::Delete,
        };
        let writer = self.memtables.writer().expect("nobody else writes while the store opens");
        Ok(writer.insert(entry.table, entry.key, entry.sequence, kind, entry.row)?)
    }
}
