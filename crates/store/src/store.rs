//! An open database: what all its parts share, how it comes up and how it goes down.
//!
//! ```text
//!   store
//!   |- files        the manifest's buffer, handles of files
//!   |- wal          the buffer before the log
//!   |- memtable     two of them, with their guaranteed minima
//!   |- catalog      definitions of tables, what is known of segments, open snapshots
//!   |- cache        pieces of segments; gives way to all others
//!   |- flush        guaranteed, so that memory can always be won back
//!   `- compaction
//! ```
//!
//! Locks, in the order in which they are taken (who holds one takes only later ones):
//!
//! 1. `flushing` and `compacting`: one thread each does that work.
//! 2. `log`: the order of commits. What is appended under it is applied to the memtable under it.
//! 3. `manifest`: the order of edits, and the version that follows from each.
//! 4. those inside of snapshots, versions, the group of committers and the cache, which are held for some instructions.
//!
//! Readers take none but the last kind.

use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use cofferdam_arena::{Budget, BudgetAlloc, BudgetOptions};
use cofferdam_types::key::{KeyOrder, decode_key};
use cofferdam_types::{Type, Value};
use cofferdam_vfs::{OpenMode, Vfs};

use crate::cache::Cache;
use crate::commit::Log;
use crate::directory::{Access, Directory};
use crate::error::Error;
use crate::files::{FileId, FileKind};
use crate::flush::BATCH_NS;
use crate::group::Group;
use crate::load::Loader;
use crate::manifest::{self, Counters, Edit, Item, ManifestWriter, Root};
use crate::memtable::Memtables;
use crate::options::{
    FLUSH_LIMIT_BYTES, FLUSH_MINIMUM_BYTES, MEMTABLE_MINIMUM_BYTES, MINIMUM_BYTES, Options, Sizing,
};
use crate::read::Snapshot;
use crate::schema::{Schema, TableId};
use crate::snapshots::Snapshots;
use crate::table::Table;
use crate::version::{Change, TableSegments, Version, Versions};
use crate::wal;
use crate::worker::{Bell, Chores, Worker};

/// An open database. Clones are handles to the same one; it closes with the last of them, and with its snapshots and
/// transactions.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

/// What a store has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounters {
    /// Memtables that were written to segments.
    pub flushes_count: u64,
    /// Compactions, those that only moved a segment by name included.
    pub compactions_count: u64,
    /// How often a writer waited for a flush or a compaction.
    pub stalls_count: u64,
    /// How long writers waited, all together, in nanoseconds.
    pub stalled_ns: u64,
    /// Snapshots and transactions that are open now.
    pub snapshots_count: u64,
}

/// [`StoreCounters`] as they are counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) flushes_count: AtomicU64,
    pub(crate) compactions_count: AtomicU64,
    pub(crate) stalls_count: AtomicU64,
    pub(crate) stalled_ns: AtomicU64,
}

/// What a store's handles share.
pub(crate) struct Inner {
    pub(crate) directory: Arc<Directory>,
    pub(crate) budget: Budget,
    /// For handles of files.
    pub(crate) files: Budget,
    pub(crate) wal_budget: Budget,
    pub(crate) flush_budget: Budget,
    pub(crate) compaction_budget: Budget,
    /// On the budget `catalog`.
    pub(crate) alloc: BudgetAlloc,
    pub(crate) options: Options,
    pub(crate) sizing: Sizing,
    pub(crate) cache: Cache,
    pub(crate) memtables: Memtables,
    pub(crate) versions: Versions,
    pub(crate) snapshots: Snapshots,
    pub(crate) group: Group,
    pub(crate) log: Mutex<Log>,
    manifest: Mutex<ManifestWriter>,
    pub(crate) flushing: Mutex<()>,
    /// The sealed memtable is in segments, but somebody read it when it was to be reset.
    pub(crate) is_sealed_written: AtomicBool,
    pub(crate) compacting: Mutex<()>,
    /// Why the worker could not flush, for whoever waits for it.
    pub(crate) flush_failure: Mutex<Option<Error>>,
    /// Notified when a flush or a compaction is done: `log` is its lock.
    pub(crate) room: Condvar,
    next_file: AtomicU64,
    next_table: AtomicU32,
    /// Segments so far: see [`crate::version::Segment`].
    pub(crate) segments_count: AtomicU64,
    pub(crate) counters: Counts,
    bell: OnceLock<Arc<Bell>>,
    is_closed: AtomicBool,
}

impl core::fmt::Debug for Inner {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Inner")
            .field("budget", &self.budget)
            .field("sizing", &self.sizing)
            .finish_non_exhaustive()
    }
}

/// A lock whose holder cannot leave its value half changed: a panic elsewhere is no reason to fail here.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Opens the database in the directory `path`, and makes it where there is none unless the options forbid it.
    ///
    /// All its memory is charged to a child `store` of `budget`. What was committed is there again: the logs are replayed
    /// in fixed memory, with flushes where the memtable is too small for them.
    ///
    /// # Errors
    /// [`Error::LimitTooSmall`] below [`MINIMUM_BYTES`], [`Error::Locked`], [`Error::NotADatabase`], [`Error::Unsupported`],
    /// [`Error::Corrupt`], [`Error::OutOfMemory`], [`Error::Io`].
    pub fn open(vfs: &Arc<dyn Vfs>, path: &Path, budget: &Budget, options: &Options) -> Result<Store, Error> {
        let limit_bytes = budget.limit_on_path();
        if limit_bytes < MINIMUM_BYTES {
            return Err(Error::LimitTooSmall { minimum_bytes: MINIMUM_BYTES, limit_bytes });
        }
        let store = Store { inner: Arc::new(Inner::open(vfs, path, budget, options, limit_bytes)?) };
        Ok(store)
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Lets a background thread do the flushes and compactions. Without one, those who write do them.
    ///
    /// # Errors
    /// There is no room to note it.
    pub fn attach(&self, worker: &Worker) -> Result<(), Error> {
        let chores: Arc<dyn Chores> = Arc::clone(&self.inner) as Arc<dyn Chores>;
        let weak: Weak<dyn Chores> = Arc::downgrade(&chores);
        worker.bell().add(weak)?;
        // A second worker would serve as well as the first.
        let _ = self.inner.bell.set(Arc::clone(worker.bell()));
        worker.bell().ring();
        Ok(())
    }

    /// The budget of all its memory.
    pub fn budget(&self) -> &Budget {
        &self.inner.budget
    }

    /// The state of now.
    ///
    /// # Errors
    /// There is no room to note it.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        Snapshot::open(self)
    }

    /// Makes all commits durable.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Poisoned`].
    pub fn sync(&self) -> Result<(), Error> {
        self.inner.sync_log()
    }

    /// Writes what is in the memtables to segments.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Io`], [`Error::Poisoned`]; [`Error::Stalled`] if a reader's batch outlasts
    /// [`Options::stall`](crate::Options::stall).
    pub fn flush(&self) -> Result<(), Error> {
        self.inner.flush_everything()
    }

    /// Compacts until every level is within its size.
    ///
    /// # Errors
    /// As [`Store::flush`].
    pub fn compact(&self) -> Result<(), Error> {
        while self.inner.compact_once(&|| false)? {}
        Ok(())
    }

    /// Makes all commits durable and lets go of the database: later calls of any handle fail. Without this, the last handle does
    /// it and has nobody to tell if it fails.
    ///
    /// # Errors
    /// As [`Store::sync`].
    pub fn close(self) -> Result<(), Error> {
        self.inner.is_closed.store(true, Ordering::Release);
        self.inner.sync_for_ever()
    }

    /// What it has done since it was opened.
    pub fn counters(&self) -> StoreCounters {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counts { flushes_count, compactions_count, stalls_count, stalled_ns } = &self.inner.counters;
        StoreCounters {
            flushes_count: of(flushes_count),
            compactions_count: of(compactions_count),
            stalls_count: of(stalls_count),
            stalled_ns: of(stalled_ns),
            snapshots_count: self.inner.snapshots.count() as u64,
        }
    }
}

impl Inner {
    fn open(
        vfs: &Arc<dyn Vfs>,
        path: &Path,
        parent: &Budget,
        options: &Options,
        limit_bytes: u64,
    ) -> Result<Inner, Error> {
        let sizing = Sizing::of(limit_bytes, options);
        let budget = parent.child("store", u64::MAX)?;
        let files = budget.child("files", u64::MAX)?;
        let access = if options.create { Access::Create } else { Access::Write };
        let (directory, root) = Directory::open(vfs, path, access, &files)?;
        let directory = Arc::new(directory);
        let alloc = BudgetAlloc::new(&budget.child("catalog", u64::MAX)?);
        let mut loader = Loader::new(&alloc);
        let manifest =
            ManifestWriter::open(&directory, root, &files, &mut |item, place| loader.take(item, place))?;
        let (version, segments_count) = loader.finish(&directory, &files)?;
        let counters = *manifest.counters();
        let next_file = counters.next_file.max(directory.greatest_number()? + 1);
        directory.remove_orphans(&|id| match id.kind {
            FileKind::Segments => version.names_file(id.number),
            FileKind::Wal => id.number >= counters.oldest_wal,
            _ => id.number == manifest.root().manifest,
        })?;
        let memtable_budget = budget.child("memtable", u64::MAX)?;
        let flush =
            BudgetOptions::limit(sizing.flush_bytes.max(FLUSH_LIMIT_BYTES)).minimum(FLUSH_MINIMUM_BYTES);
        let inner = Inner {
            memtables: Memtables::new(&memtable_budget, MEMTABLE_MINIMUM_BYTES as usize)?,
            cache: Cache::new(&budget, sizing.cache_bytes)?,
            flush_budget: budget.child_with("flush", flush)?,
            compaction_budget: budget.child("compaction", sizing.compaction_bytes)?,
            snapshots: Snapshots::new(alloc.clone(), counters.last_sequence),
            versions: Versions::new(version),
            wal_budget: budget.child("wal", u64::MAX)?,
            log: Mutex::new(Log::new(counters.last_sequence)),
            manifest: Mutex::new(manifest),
            directory,
            files,
            alloc,
            options: *options,
            sizing,
            group: Group::default(),
            flushing: Mutex::new(()),
            is_sealed_written: AtomicBool::new(false),
            compacting: Mutex::new(()),
            flush_failure: Mutex::new(None),
            room: Condvar::new(),
            next_file: AtomicU64::new(next_file),
            next_table: AtomicU32::new(counters.next_table),
            segments_count: AtomicU64::new(segments_count),
            counters: Counts::default(),
            bell: OnceLock::new(),
            is_closed: AtomicBool::new(false),
            budget,
        };
        inner.recover(&root)?;
        Ok(inner)
    }

    /// The first log that the manifest needs; 0 where there is none.
    pub(crate) fn oldest_wal(&self) -> u64 {
        lock(&self.manifest).counters().oldest_wal
    }

    /// A number that no file has had.
    pub(crate) fn next_file_number(&self) -> u64 {
        self.next_file.fetch_add(1, Ordering::Relaxed)
    }

    /// A number that no table has had.
    pub(crate) fn next_table_id(&self) -> TableId {
        TableId(self.next_table.fetch_add(1, Ordering::Relaxed))
    }

    /// No table has this number or a greater one.
    pub(crate) fn next_table_number(&self) -> u32 {
        self.next_table.load(Ordering::Relaxed)
    }

    /// Refuses writes to a store that was closed, or of which it is not known what is on disk.
    pub(crate) fn check_writable(&self) -> Result<(), Error> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        if self.group.is_poisoned() { Err(Error::Poisoned) } else { Ok(()) }
    }

    /// Makes a change of tables and segments durable and lets readers see it. Files that it adds are durable already.
    ///
    /// The change may have been made for an earlier version. `last_sequence` and `oldest_wal` are what the manifest says from now on, where they are greater than before.
    ///
    /// # Errors
    /// [`Error::Conflict`] where it does not fit the version that there is by now, [`Error::OutOfMemory`]: nothing has changed.
    /// [`Error::Io`]: it is not known what the manifest says, and the store is poisoned.
    pub(crate) fn edit(&self, change: &Change<'_>, last_sequence: u64, oldest_wal: u64) -> Result<(), Error> {
        self.check_writable()?;
        let mut manifest = lock(&self.manifest);
        let before = self.versions.current();
        let next = before.edited(change)?;
        if let Some(table) = next.broken_by(change) {
            return Err(Error::Conflict(table));
        }
        let counters = self.manifest_counters(&manifest, last_sequence, oldest_wal);
        let outcome = manifest.commit_with(&counters, &mut |edit| put_change(edit, change));
        if let Err(Error::Io(_) | Error::Poisoned) = outcome {
            self.group.poison();
        }
        outcome?;
        for (_, id) in change.removed {
            self.set_obsolete(&before, &next, id.file);
        }
        for table in change.dropped {
            for segment in before.table(*table).map_or(&[][..], |entry| entry.segments()) {
                self.set_obsolete(&before, &next, segment.info.id.file);
            }
        }
        self.versions.install(next);
        drop(before);
        if manifest.wants_rotation() {
            // The edit is durable, whatever becomes of the next manifest: where it is not known which one holds, the next edit
            // is refused.
            let _ = self.rotate(&mut manifest);
        }
        Ok(())
    }

    /// Has a file removed with its last reader if the next version does not name it.
    fn set_obsolete(&self, before: &Version, next: &Version, file: u64) {
        if next.names_file(file) {
            return;
        }
        let segments = before.tables().iter().flat_map(|entry| entry.segments());
        if let Some(segment) = segments.into_iter().find(|segment| segment.info.id.file == file) {
            segment.file().set_obsolete(true);
        }
        self.cache.forget_file(file);
    }

    fn manifest_counters(&self, manifest: &ManifestWriter, last_sequence: u64, oldest_wal: u64) -> Counters {
        let before = manifest.counters();
        Counters {
            next_file: self.next_file.load(Ordering::Relaxed),
            next_table: self.next_table.load(Ordering::Relaxed),
            last_sequence: before.last_sequence.max(last_sequence),
            oldest_wal: before.oldest_wal.max(oldest_wal),
        }
    }

    /// Begins the next manifest with what holds now.
    fn rotate(&self, manifest: &mut ManifestWriter) -> Result<(), Error> {
        let (number, version) = (self.next_file_number(), self.versions.current());
        let counters = self.manifest_counters(manifest, 0, 0);
        manifest.rotate(&self.directory, number, &counters, &mut |edit| put_version(edit, &version))
    }

    /// Says that there is something to flush or to compact; true if somebody was told.
    pub(crate) fn ring(&self, is_urgent: bool) -> bool {
        let Some(bell) = self.bell.get().filter(|bell| !bell.is_ending()) else { return false };
        if is_urgent {
            bell.ring_urgently();
        } else {
            bell.ring();
        }
        true
    }

    /// Replays the logs into the memtable.
    fn recover(&self, root: &Root) -> Result<(), Error> {
        let oldest = self.oldest_wal();
        let buffer_bytes = self.sizing.wal_buffer_bytes as usize;
        let replay = Replay::new(self);
        let recovered = wal::recover_each(
            &self.directory,
            root,
            oldest,
            buffer_bytes,
            &self.wal_budget,
            &|number| replay.log.set(number),
            &mut |event| match event {
                wal::Event::Entry(entry) => replay.entry(entry),
                wal::Event::Commit { .. } => Ok(()),
            },
        )?;
        self.snapshots.publish(recovered.last_sequence);
        let is_over = replay.has_flushed.get() || (recovered.entries_count > 0 && !self.has_entries());
        let mut log = lock(&self.log);
        log.resume(self, root, &recovered)?;
        if is_over {
            // R3: these logs are not needed any more, once the rest is flushed as well.
            self.swap(&mut log)?;
            drop(log);
            self.flush_sealed_now()?;
        }
        Ok(())
    }
}

/// A replay of the logs, while the store opens.
///
/// Where the memtable is too small for what the logs hold, the replay flushes: a part of a log is in segments then, and it may end
/// there, to be begun again by the next opening.
///
/// - **R1** A log is durable before a part of it is in segments: of a transaction either all is durable or nothing.
/// - **R2** What an interrupted replay has flushed is not flushed once more: a table's entries with sequences below the last one in its
///   segments are in these. (Entries of that sequence may be missing: it may be of a transaction whose middle was flushed.) So
///   the segments stay in the order of their sequences.
/// - **R3** When the store is open, no log has entries that are in segments: a replay that flushed ends with a flush of everything, from
///   which on no log before is needed. Commits that go past the log rely on that (commit C4), since whatever a log has is taken for newer
///   than all segments.
struct Replay<'i> {
    inner: &'i Inner,
    /// That of the opening, without what the replay itself flushes.
    version: Arc<Version>,
    /// The log whose entries come.
    log: Cell<u64>,
    /// The log that was made durable last.
    durable: Cell<u64>,
    has_flushed: Cell<bool>,
    /// The table of the last entry, and the last sequence in its segments.
    flushed: Cell<Option<(TableId, u64)>>,
}

impl<'i> Replay<'i> {
    fn new(inner: &'i Inner) -> Replay<'i> {
        Replay {
            inner,
            version: inner.versions.current(),
            log: Cell::new(0),
            durable: Cell::new(0),
            has_flushed: Cell::new(false),
            flushed: Cell::new(None),
        }
    }

    /// Puts an entry of a log into the memtable; flushes where that is full.
    fn entry(&self, entry: &wal::Entry<'_>) -> Result<(), Error> {
        let inner = self.inner;
        // Of tables that were dropped later, logs may still have entries.
        let Some(table) = self.version.table(entry.table) else { return Ok(()) };
        table.table.changed(entry.sequence);
        note_row_id(&table.table, entry.key);
        if entry.sequence < self.flushed_sequence(table) {
            return Ok(());
        }
        // Not until nothing is left: a flush needs handles of files, and so do readers.
        let bytes = (entry.key.len() + entry.row.len()) as u64;
        let figures = inner.memtables.pin().expect("fewer than 2^32 readers").active().figures();
        if figures.entries_count > 0 && figures.used_bytes + bytes > inner.sizing.memtable_bytes {
            self.flush()?;
        }
        loop {
            let inserted = inner.apply(entry);
            match inserted {
                Err(Error::OutOfMemory(_)) if inner.has_entries() => self.flush()?,
                outcome => return outcome,
            }
        }
    }

    /// The last sequence in a table's segments (R2); 0 where there is none.
    fn flushed_sequence(&self, table: &TableSegments) -> u64 {
        let id = table.table.id();
        if let Some((_, sequence)) = self.flushed.get().filter(|flushed| flushed.0 == id) {
            return sequence;
        }
        let sequences = table.segments().iter().map(|segment| segment.info.sequence_max);
        let sequence = sequences.max().unwrap_or(0);
        self.flushed.set(Some((id, sequence)));
        sequence
    }

    fn flush(&self) -> Result<(), Error> {
        let (inner, log) = (self.inner, self.log.get());
        if self.durable.replace(log) != log {
            // R1; that a process before was told that it is durable says nothing of its last records.
            let file =
                inner.directory.open_file(FileId::new(FileKind::Wal, log), OpenMode::Write, &inner.files)?;
            file.sync()?;
        }
        self.has_flushed.set(true);
        inner.memtables.swap().expect("nobody writes or flushes while the store opens");
        // What it would keep, the other one may need for a row that is larger.
        inner.flush_sealed(0, 0, 0)?;
        // A long log must not become more segments than there is room for.
        inner.compact_if_alone();
        Ok(())
    }
}

/// Tells a table without a key of its own of a row id that is in use: the key's, or the one that a bound of keys is.
pub(crate) fn note_row_id(table: &Table, key: &[u8]) {
    if table.has_row_id()
        && let Ok((Value::BigInt(id), _)) = decode_key(key, Type::BigInt, KeyOrder::ASC, &mut [])
    {
        table.saw_row_id(u64::try_from(id).unwrap_or(0));
    }
}

/// The items of a change.
fn put_change(edit: &mut Edit<'_>, change: &Change<'_>) -> Result<(), Error> {
    for table in change.created {
        put_table(edit, table)?;
    }
    for table in change.dropped {
        edit.put(&Item::DropTable(*table))?;
    }
    for &(table, id) in change.removed.iter().filter(|removed| !change.dropped.contains(&removed.0)) {
        edit.put(&Item::RemoveSegment { table, id })?;
    }
    for segment in change.added {
        edit.put(&Item::AddSegment(segment.info))?;
    }
    Ok(())
}

/// The items of everything.
pub(crate) fn put_version(edit: &mut Edit<'_>, version: &Version) -> Result<(), Error> {
    for entry in version.tables() {
        put_table(edit, &entry.table)?;
    }
    for entry in version.tables() {
        // Oldest first, as they were added.
        for segment in entry.segments().iter().rev() {
            edit.put(&Item::AddSegment(segment.info))?;
        }
    }
    Ok(())
}

fn put_table(edit: &mut Edit<'_>, table: &Table) -> Result<(), Error> {
    let Schema { columns, key } = table.schema();
    edit.put(&Item::Table(manifest::Table {
        id: table.id(),
        parent: table.parent(),
        is_unique: table.is_unique(),
        columns_count: columns.len() as u16,
        key_count: key.len() as u16,
        name: table.name(),
    }))?;
    for (place, ty) in columns.iter().enumerate() {
        edit.put(&Item::Column(manifest::Column { ty: *ty, name: table.column_name(place) }))?;
    }
    for part in key {
        edit.put(&Item::KeyColumn(*part))?;
    }
    match table.properties() {
        [] => Ok(()),
        properties => edit.set_properties(table.id(), properties),
    }
}

impl Chores for Inner {
    fn flush(&self) {
        // Who flushes already looks again before it is done.
        let Ok(_turn) = self.flushing.try_lock() else { return };
        match self.flush_sealed_until(self.directory.vfs().now_ns() + BATCH_NS) {
            Ok(()) => {}
            // A reader is in the middle of a batch, which is no failure: once more, after others' chores.
            Err(Error::Stalled { .. }) => {
                self.ring(true);
            }
            Err(error) => {
                *lock(&self.flush_failure) = Some(error);
                self.room.notify_all();
            }
        }
    }

    fn compact(&self, between: &dyn Fn() -> bool) -> bool {
        self.compact_paced(between).unwrap_or(false)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if !self.is_closed.load(Ordering::Acquire) {
            // Commits that were not to be durable yet: the best that can be done for them.
            let _ = self.sync_for_ever();
        }
    }
}

/// The name of a file, for those who make one.
pub(crate) fn segments_file(number: u64) -> FileId {
    FileId::new(FileKind::Segments, number)
}
