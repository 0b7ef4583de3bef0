//! Runs become fewer: what a transaction can load must not end with the handles of its runs.
//!
//! ```text
//!   generations   1 0 0 0 0 0 0 0 0     more than are kept: the oldest eight of a generation
//!                 1 1                   become one of the next generation
//! ```
//!
//! What was written together is a *group*. Groups that are merged are neighbours in age, with the segments of all tables in them,
//! so that their files go. A row is written again once a generation: as often as the logarithm of the number of spills.
//!
//! - **G1** Of a table, the operations of a group follow those of all groups before it.
//! - **G2** Generations do not increase from a group to a newer one, but where there was no room to merge as many as should be.
//! - **G3** Rows keep the numbers of their operations, and no version is left out: a savepoint, or a statement that reads what was
//!   there before it, may be between any two.

use core::ops::Range;
use std::sync::Arc;

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;

use super::{Group, Runs, table_of};
use crate::compaction::{Output, write_segments};
use crate::error::Error;
use crate::flush::{BUFFERS, NewSegments};
use crate::merge::{Filter, OWN_SEQUENCE};
use crate::rewrite::Rewriter;
use crate::schema::TableId;
use crate::store::{Inner, Store, lock};
use crate::table::Table;
use crate::version::Segment;

/// So many groups are merged at once; half as many where memory is small.
const FAN_IN: usize = 8;
/// What a run costs in handles, about.
const RUN_BYTES: u64 = 1536;
/// So many segments are kept before any are merged, at least and at most: fewer under small limits.
const KEPT_SEGMENTS: (usize, usize) = (8, 32);

/// How many groups are merged at once.
fn fan_in(inner: &Inner) -> usize {
    if inner.compacts_with_flush_buffers() { FAN_IN / 2 } else { FAN_IN }
}

/// How many segments are kept as they are.
fn kept_segments(inner: &Inner) -> usize {
    let worth = inner.sizing.compaction_bytes / 8 / RUN_BYTES;
    (worth as usize).clamp(KEPT_SEGMENTS.0, KEPT_SEGMENTS.1)
}

/// The oldest groups of the least generation that has so many behind one another.
fn next_merge(groups: &[Group], fan_in: usize) -> Option<Range<usize>> {
    let mut start = groups.len();
    for same in groups.chunk_by(|a, b| a.generation == b.generation).rev() {
        start -= same.len();
        if same.len() >= fan_in {
            return Some(start..start + fan_in);
        }
    }
    None
}

impl Runs {
    /// Merges runs where they are more than are kept. Where there is no room for it, or somebody compacts just now, it is left for
    /// later.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Corrupt`], [`Error::Conflict`] for a table that is gone: the runs are as they were.
    pub(crate) fn merge(&mut self, store: &Store, created: &[Arc<Table>]) -> Result<(), Error> {
        let inner = store.inner();
        while self.segments.len() > kept_segments(inner).max(self.merge_from) {
            let Some(groups) = next_merge(&self.groups, fan_in(inner)) else { return Ok(()) };
            let Ok(turn) = inner.compacting.try_lock() else { return Ok(()) };
            let outcome = self.merge_as_many(inner, groups, created);
            drop(turn);
            inner.ring(false);
            if !outcome? {
                // Not at every spill from now on.
                self.merge_from = self.segments.len() * 2;
            }
        }
        Ok(())
    }

    /// Merges the newest runs, whatever their generations, to win their handles back; false where that is not possible.
    ///
    /// # Errors
    /// As [`Runs::merge`].
    pub(crate) fn merge_newest(&mut self, store: &Store, created: &[Arc<Table>]) -> Result<bool, Error> {
        let inner = store.inner();
        let end = self.groups.len();
        if end < 2 {
            return Ok(false);
        }
        let outcome = {
            let _turn = lock(&inner.compacting);
            self.merge_as_many(inner, end - fan_in(inner).min(end)..end, created)
        };
        inner.ring(false);
        outcome
    }

    /// Merges groups, or the newest of them that there is room for; false where that is not even two. The caller has the right to
    /// compact.
    fn merge_as_many(
        &mut self,
        inner: &Inner,
        mut groups: Range<usize>,
        created: &[Arc<Table>],
    ) -> Result<bool, Error> {
        // As a compaction does it.
        let is_small = inner.compacts_with_flush_buffers();
        let _flushing = is_small.then(|| lock(&inner.flushing));
        let mut outcome = Ok(false);
        while groups.len() > 1 {
            outcome = self.merge_groups(inner, groups.clone(), created).map(|()| true);
            if !matches!(outcome, Err(Error::OutOfMemory(_))) {
                break;
            }
            outcome = Ok(false);
            groups.start += groups.len().div_ceil(2);
        }
        if is_small {
            // Who was told to flush meanwhile has left it to this thread; where it fails, who waits for it tries again.
            let _ = inner.flush_sealed_in_turn();
        }
        outcome
    }

    fn merge_groups(
        &mut self,
        inner: &Inner,
        groups: Range<usize>,
        created: &[Arc<Table>],
    ) -> Result<(), Error> {
        let start = groups.start.checked_sub(1).map_or(0, |before| self.groups[before].end);
        let places = start..self.groups[groups.end - 1].end;
        let arena = Arena::new(&inner.compaction_budget);
        let mut new = NewSegments::new(inner, &arena);
        let mut tables: Vec<'_, TableId> = Vec::new_in(&arena);
        for segment in &self.segments[places.clone()] {
            if !tables.contains(&segment.info.table) {
                tables.push(segment.info.table)?;
            }
        }
        for id in tables.iter() {
            let table = table_of(inner, *id, created)?;
            self.merge_table(inner, &table, places.clone(), &mut new)?;
        }
        self.segments.try_reserve(new.segments.len())?;
        // From here on nothing fails.
        let (before, after) = (places.len(), new.segments.len());
        drop(self.segments.drain(places));
        for (place, segment) in new.segments.iter().enumerate() {
            self.segments.insert(start + place, Arc::clone(segment));
        }
        let generation = self.groups[groups.start].generation.saturating_add(1);
        self.groups[groups.start] = Group { end: start + after, generation };
        drop(self.groups.drain(groups.start + 1..groups.end));
        for group in &mut self.groups[groups.start + 1..] {
            group.end = group.end - before + after;
        }
        self.changes_count += 1;
        debug_assert_eq!(self.groups.last().map_or(0, |group| group.end), self.segments.len());
        Ok(())
    }

    /// Writes the rows that a table has in some of the segments as new ones.
    fn merge_table(
        &self,
        inner: &Inner,
        table: &Table,
        places: Range<usize>,
        new: &mut NewSegments<'_, '_>,
    ) -> Result<(), Error> {
        let arena = Arena::with_growth(&inner.compaction_budget, BUFFERS);
        let of_table = |segment: &&Arc<Segment>| segment.info.table == table.id();
        let mut segments = Vec::new_in(&arena);
        for segment in self.segments[places].iter().filter(of_table) {
            segments.push(Arc::clone(segment))?;
        }
        // Rows that came in the order of their keys are read one segment after the other.
        let mut chains: Vec<'_, &[Arc<Segment>]> = Vec::new_in(&arena);
        for chain in segments.chunk_by(|a: &Arc<Segment>, b| a.keys().1 < b.keys().0) {
            chains.push(chain)?;
        }
        let (allowed, for_writing) = inner.buffers_of_compactions();
        let mut rows = Rewriter::new(inner, table, &chains, 0, allowed as usize, &arena)?;
        let table_bytes: u64 = self.segments.iter().filter(of_table).map(|segment| segment.info.bytes).sum();
        // Each costs as much as a run: an eighth of what there is of the table.
        let target_bytes = inner.sizing.segment_bytes(table_bytes.saturating_mul(4));
        let output = Output { table, place: (0, OWN_SEQUENCE), for_writing, target_bytes };
        let as_stored = |sequence| sequence - OWN_SEQUENCE;
        write_segments(&mut rows, &Filter::UpTo(u64::MAX), as_stored, output, new, &|| false)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Aim: the number of groups, and how often a row is written again, grow with the logarithm of the number of spills.
    /// Method: the rule alone, over groups that stand for so many spills each.
    #[test]
    fn merges_are_logarithmic() {
        for (fan_in, kept) in [(8, 32), (4, 8)] {
            let (mut groups, mut weights): (std::vec::Vec<Group>, std::vec::Vec<u64>) = (vec![], vec![]);
            let (mut rewritten, spills) = (0, 4096);
            for _ in 0..spills {
                groups.push(Group { end: 0, generation: 0 });
                weights.push(1);
                while groups.len() > kept {
                    let Some(merged) = next_merge(&groups, fan_in) else { break };
                    let generation = groups[merged.start].generation + 1;
                    let weight: u64 = weights[merged.clone()].iter().sum();
                    weights.splice(merged.clone(), [weight]);
                    groups.splice(merged, [Group { end: 0, generation }]);
                    rewritten += weight;
                }
                assert!(groups.is_sorted_by(|a, b| a.generation >= b.generation), "G2: {groups:?}");
            }
            let generations = u64::from(4096u32.ilog(fan_in as u32));
            assert!(groups.len() <= kept.max((fan_in - 1) * (generations as usize + 1)), "{}", groups.len());
            assert!(rewritten <= spills * generations, "{rewritten}");
        }
    }
}
