//! Flushes: a sealed memtable becomes segments of level 0, and is reset.
//!
//! ```text
//!   sealed memtable ──in order──> segments-N: one segment a table   sync   edit   reset   remove the logs before
//! ```
//!
//! - **F1** The file is durable, with its name, before the edit that names it; the edit is durable before the memtable is reset
//!   and before a log is removed.
//! - **F2** Readers find every version at every moment: in the memtable until the edit is installed, in the segment from then on,
//!   in both in between.
//! - **F3** Of each key, those versions are kept that an open snapshot, or one to come, may see.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{Arena, Budget, BudgetAlloc, Growth};

use crate::error::Error;
use crate::files::FileKind;
use crate::manifest::{self, KeyBound, SegmentId};
use crate::memtable::{Cursor, EntryKind};
use crate::merge::{Filter, KeyVersions};
use crate::options::{MEMTABLE_MINIMUM_BYTES, Stall};
use crate::schema::TableId;
use crate::segment::{FOOTER_BYTES, SegmentFile, SegmentWriter, WriterSizes};
use crate::store::{Inner, lock};
use crate::table::Table;
use crate::version::{Change, Segment};

/// How long a flush waits at least until readers let go of the memtable that it wants to reset.
pub(crate) const BATCH_NS: u64 = 10_000_000;

/// How arenas of buffers grow: a buffer that is larger than a chunk has one of its own, so that little is charged in vain.
pub(crate) const BUFFERS: Growth = Growth::doubling(1 << 10, 8 << 10);

/// Segments that are being written, in files that nobody names yet. Dropped before [`NewSegments::keep`], the files go with it.
pub(crate) struct NewSegments<'i, 'a> {
    inner: &'i Inner,
    files: Vec<'a, Arc<SegmentFile>>,
    /// Where the next segment begins in the last file; `None`: in a new one.
    end: Option<u64>,
    pub(crate) segments: Vec<'a, Arc<Segment>>,
}

impl<'i, 'a> NewSegments<'i, 'a> {
    /// Nothing is made before the first segment begins.
    pub(crate) fn new(inner: &'i Inner, arena: &'a Arena) -> NewSegments<'i, 'a> {
        NewSegments { inner, files: Vec::new_in(arena), end: None, segments: Vec::new_in(arena) }
    }

    /// Writes a segment of a table: `fill` gives its rows, if there are any. Buffers of about `bytes` are charged to `budget`.
    ///
    /// # Errors
    /// Those of `fill`, [`Error::Io`], [`Error::OutOfMemory`].
    pub(crate) fn write(
        &mut self,
        table: &Table,
        (level, sequence_base): (u8, u64),
        (budget, bytes): (&Budget, u64),
        fill: impl FnOnce(&mut SegmentWriter<'_, '_, '_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (file, offset) = self.place()?;
        let arena = Arena::with_growth(budget, BUFFERS);
        let schema = table.schema();
        let mut sizes = WriterSizes::of(&schema, bytes as usize);
        if level == 0 && sequence_base == 0 {
            // A flush: its segment is compacted soon, and finding symbols takes most of the time of writing.
            sizes = sizes.without_symbols();
        }
        let mut writer = SegmentWriter::new(&file, offset, schema, sizes, &arena)?;
        fill(&mut writer)?;
        let Some(summary) = writer.finish()? else { return Ok(()) };
        self.end = Some(summary.end);
        let info = manifest::Segment {
            table: table.id(),
            id: SegmentId { file: file.id().number, footer_offset: summary.location.footer_offset },
            footer_bytes: FOOTER_BYTES as u32,
            level,
            run: None,
            rows_count: summary.rows_count,
            tombstones_count: summary.tombstones_count,
            bytes: summary.end - summary.start,
            sequence_base,
            sequence_min: sequence_base + summary.sequence_min,
            sequence_max: sequence_base + summary.sequence_max,
            smallest: KeyBound::lower(&summary.smallest_key),
            largest: KeyBound::upper(&summary.largest_key),
        };
        self.segments.push(self.inner.new_segment(info, &file, table)?)?;
        Ok(())
    }

    /// The file of the next segment, and where it begins there.
    fn place(&mut self) -> Result<(Arc<SegmentFile>, u64), Error> {
        if let (Some(file), Some(end)) = (self.files.last(), self.end) {
            return Ok((Arc::clone(file), end));
        }
        let inner = self.inner;
        let number = inner.next_file_number();
        let file = Arc::new(SegmentFile::create_in(&inner.directory, number, &inner.files)?);
        self.files.push(Arc::clone(&file))?;
        Ok((file, *self.end.insert(SegmentFile::HEADER_BYTES)))
    }

    /// Has the next segment begin in a file of its own.
    pub(crate) fn end_file(&mut self) {
        self.end = None;
    }

    /// Makes the files and their names durable (F1).
    fn sync(&self) -> Result<(), Error> {
        if self.files.is_empty() {
            return Ok(());
        }
        for file in self.files.iter() {
            file.sync()?;
        }
        self.inner.directory.sync()
    }

    /// Makes the files durable, and then the edit that names them with a change that adds their segments.
    ///
    /// # Errors
    /// As [`Inner::edit`]; [`Error::Io`] for the files.
    pub(crate) fn install(
        &self,
        change: &Change<'_>,
        last_sequence: u64,
        oldest_wal: u64,
    ) -> Result<(), Error> {
        self.sync()?;
        let change = Change { added: &self.segments, ..*change };
        let outcome = self.inner.edit(&change, last_sequence, oldest_wal);
        // After a failure of the system the edit may be there or not.
        if !matches!(outcome, Err(Error::Conflict(_) | Error::OutOfMemory(_) | Error::Input(_))) {
            self.keep();
        }
        outcome
    }

    /// Says that an edit names the files.
    fn keep(&self) {
        for file in self.files.iter() {
            file.set_obsolete(false);
        }
    }
}

impl Inner {
    /// Writes what is in the memtables to segments.
    pub(crate) fn flush_everything(&self) -> Result<(), Error> {
        self.flush_sealed_now()?;
        {
            let mut log = lock(&self.log);
            // Somebody may have sealed it meanwhile; then that is being flushed.
            // A log may have entries of dropped tables, and nothing else.
            if log.sealed_until == 0 && (self.has_entries() || log.has_records()) {
                self.swap(&mut log)?;
            }
        }
        self.flush_sealed_now()
    }

    /// Flushes both memtables, so that they hold no more than what they keep, for who has the right to flush.
    pub(crate) fn empty_memtables_in_turn(&self) -> Result<(), Error> {
        for _ in 0..2 {
            self.flush_sealed_in_turn()?;
            let mut log = lock(&self.log);
            if log.sealed_until == 0 {
                self.swap(&mut log)?;
            }
        }
        self.flush_sealed_in_turn()
    }

    /// Whether there is anything in the active memtable.
    pub(crate) fn has_entries(&self) -> bool {
        let pins = self.memtables.pin().expect("fewer than 2^32 readers");
        pins.active().figures().entries_count > 0
    }

    /// Flushes the sealed memtable, if there is one.
    pub(crate) fn flush_sealed_now(&self) -> Result<(), Error> {
        let _turn = lock(&self.flushing);
        self.flush_sealed_in_turn()
    }

    /// [`Inner::flush_sealed_now`] for who has the right to flush.
    pub(crate) fn flush_sealed_in_turn(&self) -> Result<(), Error> {
        self.flush_sealed_until(self.deadline(self.directory.vfs().now_ns()))
    }

    /// Until when who has begun at a time waits for readers: as long as writers wait, but never less than a batch may take.
    pub(crate) fn deadline(&self, started_ns: u64) -> u64 {
        let stall_ns = match self.options.stall {
            Stall::Fail => 0,
            Stall::Wait(time) => u64::try_from(time.as_nanos()).unwrap_or(u64::MAX),
        };
        started_ns.saturating_add(stall_ns.max(BATCH_NS))
    }

    /// [`Inner::flush_sealed_in_turn`] for who waits for readers until a time of the clock.
    pub(crate) fn flush_sealed_until(&self, deadline_ns: u64) -> Result<(), Error> {
        let sealed_until = lock(&self.log).sealed_until;
        if sealed_until == 0 {
            return Ok(());
        }
        self.flush_sealed(sealed_until, self.sizing.memtable_bytes, deadline_ns)?;
        // Nobody waits for that any more.
        *lock(&self.flush_failure) = None;
        lock(&self.log).sealed_until = 0;
        self.room.notify_all();
        self.counters.flushes_count.fetch_add(1, Ordering::Relaxed);
        // What cannot be removed now is removed when the database is opened the next time.
        let _ = self.directory.remove_all(&|id| id.kind == FileKind::Wal && id.number < sealed_until);
        self.ring(false);
        Ok(())
    }

    /// Writes the sealed memtable to segments and resets it; `oldest_wal` is the first log that is needed then. The memtable
    /// keeps up to `kept_bytes` of its memory. Who reads it is waited for until a time of the clock, in ns.
    pub(crate) fn flush_sealed(
        &self,
        oldest_wal: u64,
        kept_bytes: u64,
        deadline_ns: u64,
    ) -> Result<(), Error> {
        if !self.is_sealed_written.load(Ordering::Acquire) {
            // A table may be dropped while its rows are written.
            while let Err(error) = self.write_sealed(oldest_wal) {
                if !matches!(error, Error::Conflict(_)) {
                    return Err(error);
                }
            }
            self.memtables.mark_flushed().expect("it is sealed, and one thread flushes");
            self.is_sealed_written.store(true, Ordering::Release);
        }
        // Where there is little, others need it as much as the next entries do.
        let is_little = self.compacts_with_flush_buffers();
        let kept_bytes = if is_little { kept_bytes.min(MEMTABLE_MINIMUM_BYTES) } else { kept_bytes };
        let vfs = self.directory.vfs();
        let started_ns = vfs.now_ns();
        while self.memtables.reset_sealed(kept_bytes as usize).is_err() {
            let now_ns = vfs.now_ns();
            if now_ns >= deadline_ns {
                // What was written is written; who needs the memory tries again.
                return Err(Error::Stalled { waited_ns: now_ns - started_ns });
            }
            // A reader's pin lasts as long as a batch, or until its thread has run again.
            std::thread::yield_now();
            vfs.sleep_ns(10_000);
        }
        self.is_sealed_written.store(false, Ordering::Release);
        Ok(())
    }

    fn write_sealed(&self, oldest_wal: u64) -> Result<(), Error> {
        let arena = Arena::new(&self.flush_budget);
        let pins = self.memtables.pin().expect("fewer than 2^32 readers");
        let Some(sealed) = pins.sealed() else { return Ok(()) };
        let version = self.versions.current();
        let mut snapshots = Vec::new_in(&arena);
        self.snapshots.all(&mut snapshots)?;
        let mut new = NewSegments::new(self, &arena);
        let mut cursor = sealed.cursor();
        cursor.seek_first();
        let mut last_sequence = 0;
        while let Some(entry) = cursor.entry() {
            let id = entry.table;
            match version.table(id) {
                Some(table) => {
                    let newest = self.write_table(&mut cursor, &table.table, &snapshots, &mut new)?;
                    last_sequence = last_sequence.max(newest);
                }
                None => cursor.seek(TableId(id.0 + 1), &[], u64::MAX),
            }
        }
        new.install(&Change::default(), last_sequence, oldest_wal)
    }

    /// Writes the rows of a table, and gives the greatest sequence of them.
    fn write_table(
        &self,
        cursor: &mut Cursor<'_>,
        table: &Table,
        snapshots: &[u64],
        new: &mut NewSegments<'_, '_>,
    ) -> Result<u64, Error> {
        let filter = Filter::Needed { snapshots, is_bottom: false };
        let mut newest = 0;
        let allowed = (&self.flush_budget, self.sizing.flush_bytes * 3 / 4);
        new.write(table, (0, 0), allowed, |writer| {
            let mut versions = KeyVersions::default();
            let mut last_key: Option<&[u8]> = None;
            while let Some(entry) = cursor.entry().filter(|entry| entry.table == table.id()) {
                if last_key != Some(entry.key) {
                    versions = KeyVersions::default();
                    last_key = Some(entry.key);
                }
                let is_delete = entry.kind == EntryKind::Delete;
                if versions.admit(&filter, entry.sequence, is_delete) {
                    writer.push_row(entry.key, entry.sequence, is_delete, entry.row)?;
                }
                newest = newest.max(entry.sequence);
                cursor.next();
            }
            Ok(())
        })?;
        Ok(newest)
    }

    /// A segment that is there, to be added to a version.
    pub(crate) fn new_segment(
        &self,
        info: manifest::Segment,
        file: &Arc<SegmentFile>,
        table: &Table,
    ) -> Result<Arc<Segment>, Error> {
        Segment::open(info, self.next_segment_number(), file, table, &self.alloc)
    }

    /// Counts up from one segment to the next.
    pub(crate) fn next_segment_number(&self) -> u64 {
        self.segments_count.fetch_add(1, Ordering::Relaxed)
    }

    /// What compactions and flushes charge their lists to.
    pub(crate) fn catalog(&self) -> &BudgetAlloc {
        &self.alloc
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memtable::Memtables;
    use std::time::{Duration, Instant};

    /// Aim: what a flush ends with takes the same for a thousand rows and for a million (a hundred thousand where nothing is optimized).
    /// Method: the shortest of several resets of memtables with so many rows of 100 bytes.
    #[test]
    fn seed_11_a_flush_ends_in_a_reset_that_takes_the_same_for_any_number_of_rows() {
        let many = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
        let budget = Budget::unlimited("process").unwrap();
        let reset_of = |rows: u64| -> Duration {
            let memtables = Memtables::new(&budget, 16 << 10).unwrap();
            let once = || {
                let writer = memtables.writer().unwrap();
                for row in 0..rows {
                    let (key, sequence) = (row.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes(), row + 1);
                    writer.insert(TableId(1), &key, sequence, EntryKind::Put, &[7; 92]).unwrap();
                }
                drop(writer);
                memtables.swap().unwrap();
                memtables.mark_flushed().unwrap();
                let started = Instant::now();
                memtables.reset_sealed(usize::MAX).unwrap();
                started.elapsed()
            };
            (0..4).map(|_| once()).min().unwrap()
        };
        let (few, many) = (reset_of(1000), reset_of(many));
        println!("a reset takes {few:?} after 1,000 rows and {many:?} after many");
        assert!(many <= 5 * few + Duration::from_micros(10), "{few:?} {many:?}");
    }
}
