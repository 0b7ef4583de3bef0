//! Compaction: segments that overlap become fewer that do not, and versions that nobody sees are left out.
//!
//! - **K1** New files are durable, with their names, before the edit that puts them in the place of the old ones; the old ones
//!   are removed when the last version that names them is gone.
//! - **K2** One compaction runs at a time. Flushes and commits by an edit add segments meanwhile; where what they did does not
//!   fit what a compaction has made, that is thrown away and made again.
//! - **K3** A cut between two new segments never divides keys that their bounds in the manifest cannot tell apart (`level` L1),
//!   and so not the versions of a key.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{Arena, Budget};

use crate::error::Error;
use crate::flush::{BUFFERS, NewSegments};
use crate::level::{self, Job, Sizes, next_job};
use crate::manifest::{self, KeyBound};
use crate::merge::Filter;
use crate::rewrite::Rewriter;
use crate::schema::TableId;
use crate::store::{Inner, lock};
use crate::table::Table;
use crate::version::{Change, Segment, TableSegments};

/// Where compactions are allowed less, they write through the buffers of flushes, and flushes wait for them.
const OWN_BUFFERS_FROM_BYTES: u64 = 256 << 10;

/// The sequence of versions at the bottom that every snapshot sees: equal numbers take no room.
const SETTLED_SEQUENCE: u64 = 0;

/// So many segments of level 0 make a writer compact where no worker does.
const CROWDED_SEGMENTS: usize = 8;

/// So many of them make writers wait for the worker.
const STALL_SEGMENTS: usize = 24;
/// How long a compaction works before it rests for its share.
const SLICE_NS: u64 = 10_000_000;

impl Inner {
    /// Whether writers should wait for compactions.
    pub(crate) fn is_crowded(&self) -> bool {
        self.level_0_segments() >= STALL_SEGMENTS
    }

    /// [`Inner::compact_once`] that takes no more than its share of the time, unless writers are about to wait for it.
    pub(crate) fn compact_paced(&self, between: &dyn Fn() -> bool) -> Result<bool, Error> {
        let vfs = self.directory.vfs();
        // A small one holds up flushes.
        let is_small = self.compacts_with_flush_buffers();
        let share = if is_small { 100 } else { u64::from(self.options.compaction_percent.clamp(1, 100)) };
        let slice_started = core::cell::Cell::new(vfs.now_ns());
        self.check_writable()?;
        // A transaction that merges its runs may have the turn: others' flushes need not wait for that. It rings when it is done.
        let Ok(_turn) = self.compacting.try_lock() else { return Ok(false) };
        self.compact_with_turn(&|| {
            let worked = vfs.now_ns().saturating_sub(slice_started.get());
            if worked >= SLICE_NS {
                if self.level_0_segments() < STALL_SEGMENTS / 2 {
                    vfs.sleep_ns((worked * (100 - share) / share).min(10 * SLICE_NS));
                }
                slice_started.set(vfs.now_ns());
            }
            between()
        })
    }

    /// Has somebody compact; where nobody is there to do it, this thread does once readers would have to look at many segments.
    pub(crate) fn compact_if_alone(&self) {
        if self.ring(false) {
            return;
        }
        // A failure shows when the next one is asked for; what was written is as good as before.
        while self.level_0_segments() >= CROWDED_SEGMENTS && matches!(self.compact_once(&|| false), Ok(true))
        {
        }
    }

    /// The most segments of level 0 that a table has.
    pub(crate) fn level_0_segments(&self) -> usize {
        let version = self.versions.current();
        let counts = version.tables().iter().map(|entry| level::of_level(entry.segments(), 0).len());
        counts.max().unwrap_or(0)
    }

    /// Compacts what is most above its size. True if something was done; false if there is nothing to do, or `between`, which is
    /// asked from time to time, said to stop.
    pub(crate) fn compact_once(&self, between: &dyn Fn() -> bool) -> Result<bool, Error> {
        self.check_writable()?;
        let _turn = lock(&self.compacting);
        self.compact_with_turn(between)
    }

    /// [`Inner::compact_once`] for who has the right to compact.
    fn compact_with_turn(&self, between: &dyn Fn() -> bool) -> Result<bool, Error> {
        let is_small = self.compacts_with_flush_buffers();
        let _flushing = is_small.then(|| lock(&self.flushing));
        let outcome = self.compact_in_turn(between);
        if is_small {
            // Who was told to flush meanwhile has left it to this thread.
            self.flush_sealed_in_turn()?;
        }
        outcome
    }

    fn compact_in_turn(&self, between: &dyn Fn() -> bool) -> Result<bool, Error> {
        let version = self.versions.current();
        let sizes = Sizes { first_level_bytes: self.sizing.first_level_bytes };
        let jobs = version.tables().iter().filter_map(|entry| {
            let (percent, job) = next_job(entry.segments(), sizes)?;
            Some((percent, entry, job))
        });
        let Some((_, entry, job)) = jobs.max_by_key(|(percent, ..)| *percent) else { return Ok(false) };
        match self.run_job(entry, job, between) {
            // K2: the next attempt sees what there is now.
            Err(Error::Conflict(_)) => Ok(true),
            outcome => {
                self.counters.compactions_count.fetch_add(1, Ordering::Relaxed);
                self.room.notify_all();
                outcome
            }
        }
    }

    /// Whether compactions write through the buffers of flushes: who compacts has the right to flush then.
    pub(crate) fn compacts_with_flush_buffers(&self) -> bool {
        self.sizing.compaction_bytes < OWN_BUFFERS_FROM_BYTES
    }

    /// Does a job; where there is no room to read so many segments of level 0 at once, a part of it, and at last with what the
    /// memtables give back.
    fn run_job(
        &self,
        entry: &TableSegments,
        mut job: Job,
        between: &dyn Fn() -> bool,
    ) -> Result<bool, Error> {
        let mut are_memtables_small = !self.compacts_with_flush_buffers();
        loop {
            let outcome = match job.is_move {
                true => self.move_down(entry, &job).map(|()| true),
                false => self.merge_down(entry, &job, between),
            };
            if !matches!(outcome, Err(Error::OutOfMemory(_))) {
                return outcome;
            }
            if job.upper.len() == 1 {
                if core::mem::replace(&mut are_memtables_small, true) {
                    let is_merged = self.merge_within_level_0(entry.table.id(), between)?;
                    return if is_merged { Ok(true) } else { outcome };
                }
                self.empty_memtables_in_turn()?;
                continue;
            }
            // The oldest ones, since newer versions must stay above.
            job = level::job(
                entry.segments(),
                job.upper.start + job.upper.len() / 2..job.upper.end,
                job.to - 1,
            );
        }
    }

    /// Makes one segment of level 0 of the newest ones, as many as there is room for; false where there is not even for two.
    ///
    /// Where the pages below were written when there was more memory, they may be too large to be merged with; those of level 0 are as
    /// small as what there is. So at least these do not become more and more, until somebody gives enough for the rest. What is made is
    /// newer than all others, which is right as long as nobody adds a segment meanwhile: the caller has the right to flush, and what it
    /// has flushed itself is looked up here.
    fn merge_within_level_0(&self, table: TableId, between: &dyn Fn() -> bool) -> Result<bool, Error> {
        let version = self.versions.current();
        let Some(entry) = version.table(table) else { return Ok(false) };
        let mut count = level::of_level(entry.segments(), 0).len();
        while self.compacts_with_flush_buffers() && count > 1 {
            let job = Job { upper: 0..count, lower: 0..0, to: 0, is_bottom: false, is_move: false };
            match self.merge_down(entry, &job, between) {
                Err(Error::OutOfMemory(_)) => count /= 2,
                outcome => return outcome,
            }
        }
        Ok(false)
    }

    /// Gives a segment that overlaps nothing to the next level, by name.
    fn move_down(&self, entry: &TableSegments, job: &Job) -> Result<(), Error> {
        let segment = &entry.segments()[job.upper.start];
        let info = manifest::Segment { level: job.to as u8, ..segment.info };
        let moved = segment.described(info, self.next_segment_number())?;
        let removed = [(info.table, info.id)];
        self.edit(&Change { removed: &removed, added: &[moved], ..Change::default() }, 0, 0)
    }

    fn merge_down(
        &self,
        entry: &TableSegments,
        job: &Job,
        between: &dyn Fn() -> bool,
    ) -> Result<bool, Error> {
        let arena = Arena::new(&self.compaction_budget);
        let all = entry.segments();
        let mut chains: Vec<'_, &[Arc<Segment>]> = Vec::new_in(&arena);
        for place in job.upper.clone() {
            chains.push(&all[place..place + 1])?;
        }
        if !job.lower.is_empty() {
            chains.push(&all[job.lower.clone()])?;
        }
        let mut new = NewSegments::new(self, &arena);
        if !self.rewrite(entry, &chains, job, &mut new, between)? {
            return Ok(false);
        }
        let mut removed = Vec::new_in(&arena);
        for segment in all[job.upper.clone()].iter().chain(&all[job.lower.clone()]) {
            removed.push((segment.info.table, segment.info.id))?;
        }
        new.install(&Change { removed: &removed, ..Change::default() }, 0, 0)?;
        Ok(true)
    }

    /// Writes the rows of the chains that somebody may see as new segments of the job's level; false if it was told to stop.
    fn rewrite(
        &self,
        entry: &TableSegments,
        chains: &[&[Arc<Segment>]],
        job: &Job,
        new: &mut NewSegments<'_, '_>,
        between: &dyn Fn() -> bool,
    ) -> Result<bool, Error> {
        let (allowed, for_writing) = self.buffers_of_compactions();
        let arena = Arena::with_growth(&self.compaction_budget, BUFFERS);
        let mut snapshots = Vec::new_in(&arena);
        self.snapshots.all(&mut snapshots)?;
        let oldest = snapshots[0];
        let filter = Filter::Needed { snapshots: &snapshots, is_bottom: job.is_bottom };
        let mut rows = Rewriter::new(self, &entry.table, chains, oldest, allowed as usize, &arena)?;
        let table_bytes = entry.segments().iter().map(|segment| segment.info.bytes).sum();
        // Level 0 has few segments, whatever their size.
        let target_bytes = if job.to == 0 { u64::MAX } else { self.sizing.segment_bytes(table_bytes) };
        let settled = |sequence| {
            if job.is_bottom && sequence <= oldest { SETTLED_SEQUENCE } else { sequence }
        };
        let output = Output { table: &entry.table, place: (job.to as u8, 0), for_writing, target_bytes };
        write_segments(&mut rows, &filter, settled, output, new, between)
    }

    /// What is allowed for reading what is compacted, and the budget that writing it is charged to with what is allowed for that.
    pub(crate) fn buffers_of_compactions(&self) -> (u64, (&Budget, u64)) {
        match self.sizing.compaction_bytes {
            small @ ..OWN_BUFFERS_FROM_BYTES => {
                // The rest for what is larger than thought: pages that were written when there was more, chunks not filled.
                (small / 3, (&self.flush_budget, self.sizing.flush_bytes * 3 / 4))
            }
            bytes => (bytes / 2, (&self.compaction_budget, bytes / 3)),
        }
    }
}

/// What rows are written to again.
#[derive(Clone, Copy)]
pub(crate) struct Output<'o> {
    pub(crate) table: &'o Table,
    /// The level, and what sequences are relative to.
    pub(crate) place: (u8, u64),
    pub(crate) for_writing: (&'o Budget, u64),
    /// A segment with more bytes ends where it may.
    pub(crate) target_bytes: u64,
}

/// Writes the rows that the filter lets through as new segments, with what `change` makes of their sequences; each but the last
/// one ends its file. False if `between` said to stop.
pub(crate) fn write_segments(
    rows: &mut Rewriter<'_>,
    filter: &Filter<'_>,
    change: impl Fn(u64) -> u64,
    output: Output<'_>,
    new: &mut NewSegments<'_, '_>,
    between: &dyn Fn() -> bool,
) -> Result<bool, Error> {
    let Output { table, place, for_writing, target_bytes } = output;
    let (arena, mut scratch) = (Arena::with_growth(rows.budget(), BUFFERS), Arena::new(rows.budget()));
    let (mut first_key, mut last_key) = (Vec::new_in(&arena), Vec::new_in(&arena));
    let mut pending = rows.next(filter)?;
    let mut is_stopped = false;
    while pending > 0 {
        new.write(table, place, for_writing, |writer| {
            while pending > 0 {
                if writer.written_bytes() >= target_bytes {
                    first_key.clear();
                    rows.put_key(0, &mut first_key)?;
                    if can_cut(&last_key, &first_key) {
                        break;
                    }
                }
                rows.map_sequences(&change);
                rows.write(writer, &scratch)?;
                scratch.reset();
                last_key.clear();
                rows.put_key(pending - 1, &mut last_key)?;
                is_stopped = between();
                if is_stopped {
                    break;
                }
                pending = rows.next(filter)?;
            }
            Ok(())
        })?;
        if is_stopped {
            return Ok(false);
        }
        if pending > 0 {
            new.end_file();
        }
    }
    Ok(true)
}

/// K3: whether a segment may end with one key and the next one begin with the other.
pub(crate) fn can_cut(last: &[u8], first: &[u8]) -> bool {
    let upper = KeyBound::upper(last);
    !upper.is_unbounded() && upper.as_bytes() < KeyBound::lower(first).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_divided_only_where_their_bounds_tell_them_apart() {
        assert!(can_cut(b"a", b"b"));
        assert!(can_cut(b"a", b"aa"));
        assert!(!can_cut(b"a", b"a"));
        let long = [7u8; 70];
        let (mut later, mut other) = (long, long);
        later[69] = 8;
        other[1] = 9;
        assert!(!can_cut(&long, &later), "the difference lies behind the bound");
        assert!(can_cut(&long, &other));
        assert!(!can_cut(&[255; 70], &[255; 71]));
    }
}
