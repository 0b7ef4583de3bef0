//! Runs: changes of a transaction that did not fit its memory, sorted, in files that no manifest names before the commit.
//!
//! Each time the write set is full, all of it goes into one file, a segment a table. Sequences in it are numbers of
//! operations, so runs follow one another, and going back to a savepoint drops those that are newer. Runs that have become
//! many are merged (`merging`).

mod merging;

use std::sync::Arc;

use allocator_api2::vec::Vec;
use cofferdam_arena::{Arena, BudgetAlloc};

use crate::error::Error;
use crate::flush::{BUFFERS, NewSegments};
use crate::manifest::KeyBound;
use crate::memtable::{EntryKind, WriteSet};
use crate::merge::{Filter, OWN_SEQUENCE};
use crate::rewrite::Rewriter;
use crate::schema::TableId;
use crate::segment::filter::{self, LINE_BYTES};
use crate::segment::hash_key;
use crate::store::{Inner, Store, lock};
use crate::table::Table;
use crate::version::Segment;

/// The runs of a transaction, oldest first. Their files go with them, unless an edit has named them.
#[derive(Debug)]
pub(crate) struct Runs {
    segments: Vec<Arc<Segment>, BudgetAlloc>,
    /// What was written together, oldest first: each ends where the next one begins.
    groups: Vec<Group, BudgetAlloc>,
    /// Counts up with each change of the segments.
    changes_count: u64,
    /// Fewer segments than these are not merged: there was no room for it.
    merge_from: usize,
    /// No run of the table has a key above this: rows that come in the order of their keys are in none of the runs before them.
    greatest: Vec<(TableId, KeyBound), BudgetAlloc>,
    filter: KeyFilter,
}

/// Segments that were written together: of a table one, or several that follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Group {
    /// Behind its last one in the list of segments.
    end: usize,
    /// How often its rows were merged.
    generation: u8,
}

/// What keys the runs have, at a few bits each: rows that come in no order are looked for in each run else.
///
/// **Memory.** An eighth of what the write set may have, of the transaction's budget. Where that refuses, or there are so many keys
/// that the filter is of little use, there is none.
#[derive(Debug)]
struct KeyFilter {
    /// Lines of a blocked Bloom filter ([`filter`]); empty for none.
    lines: Vec<u8, BudgetAlloc>,
    /// Before the first run. Later there is a filter, or there is none.
    is_new: bool,
    /// So many more keys are worth while.
    keys_left: u64,
}

/// Bits that a filter has for each key, at the least.
const FILTER_KEY_BITS: u64 = 6;

impl KeyFilter {
    fn new(alloc: &BudgetAlloc) -> KeyFilter {
        KeyFilter { lines: Vec::new_in(alloc.clone()), is_new: true, keys_left: 0 }
    }

    /// Adds the keys of a run that is to be written, `keys_count` of them.
    fn add<'k>(&mut self, bytes: u64, keys_count: u64, keys: impl Iterator<Item = (TableId, &'k [u8])>) {
        if core::mem::take(&mut self.is_new) {
            let bytes = (bytes as usize).next_multiple_of(LINE_BYTES);
            if self.lines.try_reserve_exact(bytes).is_ok() {
                self.lines.resize(bytes, 0);
                self.keys_left = bytes as u64 * 8 / FILTER_KEY_BITS;
            }
        }
        match self.keys_left.checked_sub(keys_count) {
            Some(left) => self.keys_left = left,
            None => self.give_up(),
        }
        if !self.lines.is_empty() {
            keys.for_each(|(table, key)| filter::insert(&mut self.lines, mixed(table, hash_key(key))));
        }
    }

    /// There are keys that it does not know.
    fn give_up(&mut self) {
        (self.is_new, self.lines) = (false, Vec::new_in(self.lines.allocator().clone()));
    }

    /// False where no run has the key of this hash.
    fn may_contain(&self, table: TableId, hash: u64) -> bool {
        self.lines.is_empty() || filter::may_contain(&self.lines, mixed(table, hash))
    }
}

/// The hash of a key in a table.
fn mixed(table: TableId, hash: u64) -> u64 {
    hash ^ u64::from(table.0).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// A change that goes into a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunItem<'i> {
    pub(crate) table: TableId,
    pub(crate) kind: EntryKind,
    pub(crate) key: &'i [u8],
    pub(crate) row: &'i [u8],
}

impl Runs {
    pub(crate) fn new(alloc: &BudgetAlloc) -> Runs {
        let (segments, greatest) = (Vec::new_in(alloc.clone()), Vec::new_in(alloc.clone()));
        let groups = Vec::new_in(alloc.clone());
        let filter = KeyFilter::new(alloc);
        Runs { segments, groups, changes_count: 0, merge_from: 0, greatest, filter }
    }

    /// Oldest first.
    pub(crate) fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    /// Is another one after each change of [`Runs::segments`].
    pub(crate) fn changes_count(&self) -> u64 {
        self.changes_count
    }

    /// The runs of a table that may have a key, whose hash is given, newest first.
    pub(crate) fn with_key(
        &self,
        table: TableId,
        key: &[u8],
        hash: u64,
    ) -> impl Iterator<Item = &Arc<Segment>> {
        let greatest = self.greatest.iter().find(|(id, _)| *id == table);
        let is_above = greatest.is_none_or(|(_, bound)| !bound.is_unbounded() && key > bound.as_bytes());
        let is_in_none = is_above || !self.filter.may_contain(table, hash);
        let segments = if is_in_none { &[][..] } else { &self.segments };
        let may_have = move |run: &&Arc<Segment>| {
            let (smallest, largest) = run.keys();
            run.info.table == table && smallest <= key && key <= largest
        };
        segments.iter().rev().filter(may_have)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Writes what is in a write set.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::OutOfMemory`]: there is no new run.
    pub(crate) fn write(
        &mut self,
        store: &Store,
        writes: &WriteSet,
        created: &[Arc<Table>],
    ) -> Result<(), Error> {
        let mut cursor = writes.read().cursor();
        cursor.seek_first();
        let keys = core::iter::from_fn(|| {
            let entry = cursor.entry()?;
            cursor.next();
            Some((entry.table, entry.key))
        });
        let inner = store.inner();
        self.filter.add(inner.sizing.writes_bytes / 8, writes.figures().entries_count, keys);
        cursor.seek_first();
        self.write_with(store.inner(), |inner, new| {
            while let Some(first) = cursor.entry() {
                let table = table_of(inner, first.table, created)?;
                let allowed = (&inner.flush_budget, inner.sizing.flush_bytes * 3 / 4);
                new.write(&table, (0, OWN_SEQUENCE), allowed, |writer| {
                    while let Some(entry) = cursor.entry().filter(|entry| entry.table == first.table) {
                        let is_delete = entry.kind == EntryKind::Delete;
                        writer.push_row(entry.key, entry.sequence, is_delete, entry.row)?;
                        cursor.next();
                    }
                    Ok(())
                })?;
            }
            Ok(())
        })
    }

    /// Writes the changes of one operation, which are sorted by table and key.
    ///
    /// # Errors
    /// As [`Runs::write`].
    pub(crate) fn write_items(
        &mut self,
        store: &Store,
        operation: u64,
        items: &[RunItem<'_>],
        created: &[Arc<Table>],
    ) -> Result<(), Error> {
        let keys = items.iter().map(|item| (item.table, item.key));
        self.filter.add(store.inner().sizing.writes_bytes / 8, items.len() as u64, keys);
        self.write_with(store.inner(), |inner, new| {
            for items in items.chunk_by(|a, b| a.table == b.table) {
                let table = table_of(inner, items[0].table, created)?;
                let allowed = (&inner.flush_budget, inner.sizing.flush_bytes * 3 / 4);
                new.write(&table, (0, OWN_SEQUENCE), allowed, |writer| {
                    items.iter().try_for_each(|item| {
                        writer.push_row(item.key, operation, item.kind == EntryKind::Delete, item.row)
                    })
                })?;
            }
            Ok(())
        })
    }

    fn write_with(
        &mut self,
        inner: &Inner,
        write: impl FnOnce(&Inner, &mut NewSegments<'_, '_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        // Its buffers are those of flushes, which there always are.
        let _turn = lock(&inner.flushing);
        let arena = Arena::new(&inner.flush_budget);
        let mut new = NewSegments::new(inner, &arena);
        write(inner, &mut new)?;
        self.add(&new)
    }

    /// Takes the segments of a load. Their keys are not in the filter, which is of no use from then on.
    ///
    /// # Errors
    /// The budget refuses; there is no new run.
    pub(crate) fn add_unfiltered(&mut self, new: &NewSegments<'_, '_>) -> Result<(), Error> {
        self.add(new)?;
        self.filter.give_up();
        Ok(())
    }

    fn add(&mut self, new: &NewSegments<'_, '_>) -> Result<(), Error> {
        self.segments.try_reserve(new.segments.len())?;
        self.groups.try_reserve(1)?;
        self.greatest.try_reserve(new.segments.len())?;
        for segment in new.segments.iter() {
            let (id, largest) = (segment.info.table, segment.info.largest);
            match self.greatest.iter_mut().find(|(table, _)| *table == id) {
                Some((_, bound)) if bound.is_unbounded() => {}
                Some((_, bound)) if !largest.is_unbounded() && largest.as_bytes() <= bound.as_bytes() => {}
                Some((_, bound)) => *bound = largest,
                None => self.greatest.push((id, largest)),
            }
        }
        self.segments.extend(new.segments.iter().cloned());
        if !new.segments.is_empty() {
            self.groups.push(Group { end: self.segments.len(), generation: 0 });
        }
        self.changes_count += 1;
        Ok(())
    }

    /// Forgets all operations behind one: runs that are newer are dropped, the one that it lies in is written again.
    ///
    /// # Errors
    /// As [`Runs::write`]; the runs are as they were then.
    pub(crate) fn cut(&mut self, store: &Store, operation: u64, created: &[Arc<Table>]) -> Result<(), Error> {
        let limit = OWN_SEQUENCE + operation;
        let inner = store.inner();
        let is_cut = |segment: &Arc<Segment>| {
            let info = &segment.info;
            info.sequence_min <= limit && info.sequence_max > limit
        };
        for place in 0..self.segments.len() {
            let segment = Arc::clone(&self.segments[place]);
            if !is_cut(&segment) {
                continue;
            }
            // Of a table that was made behind the savepoint nothing is older than that.
            let table = table_of(inner, segment.info.table, created)?;
            let mut kept = Runs::new(self.segments.allocator());
            kept.write_with(inner, |inner, new| {
                let arena = Arena::with_growth(&inner.compaction_budget, BUFFERS);
                let allowed = inner.sizing.flush_bytes;
                let chain = [core::slice::from_ref(&segment)];
                let mut rows = Rewriter::new(inner, &table, &chain, 0, allowed as usize / 3, &arena)?;
                let place = (0, OWN_SEQUENCE);
                new.write(&table, place, (&inner.flush_budget, allowed / 2), |writer| {
                    let mut scratch = Arena::new(&inner.compaction_budget);
                    while rows.next(&Filter::UpTo(limit))? > 0 {
                        rows.map_sequences(|sequence| sequence - OWN_SEQUENCE);
                        rows.write(writer, &scratch)?;
                        scratch.reset();
                    }
                    Ok(())
                })
            })?;
            self.segments[place] = Arc::clone(&kept.segments[0]);
        }
        self.forget(|segment| segment.info.sequence_min > limit);
        Ok(())
    }
}

impl Runs {
    /// Drops some of the segments.
    fn forget(&mut self, is_gone: impl Fn(&Segment) -> bool) {
        let (mut start, mut kept) = (0, 0);
        for group in &mut self.groups {
            let end = core::mem::replace(&mut start, group.end);
            kept += self.segments[end..group.end].iter().filter(|segment| !is_gone(segment)).count();
            group.end = kept;
        }
        self.segments.retain(|segment| !is_gone(segment));
        // Those with nothing in them.
        self.groups.dedup_by_key(|group| group.end);
        self.groups.retain(|group| group.end > 0);
        self.changes_count += 1;
        debug_assert_eq!(self.groups.last().map_or(0, |group| group.end), self.segments.len());
    }
}

/// The table of a change: one that there is, or one that the transaction has made.
fn table_of(inner: &Inner, id: TableId, created: &[Arc<Table>]) -> Result<Arc<Table>, Error> {
    if let Some(table) = created.iter().find(|table| table.id() == id) {
        return Ok(Arc::clone(table));
    }
    let version = inner.versions.current();
    // Who has written to it knew it.
    version.table(id).map(|entry| Arc::clone(&entry.table)).ok_or(Error::Conflict(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_arena::Budget;

    fn keys(range: core::ops::Range<u32>) -> std::vec::Vec<(TableId, [u8; 4])> {
        range.map(|number| (TableId(number % 3), number.to_be_bytes())).collect()
    }

    fn add(filter: &mut KeyFilter, bytes: u64, keys: &[(TableId, [u8; 4])]) {
        filter.add(bytes, keys.len() as u64, keys.iter().map(|(table, key)| (*table, &key[..])));
    }

    fn found(filter: &KeyFilter, keys: &[(TableId, [u8; 4])]) -> usize {
        keys.iter().filter(|(table, key)| filter.may_contain(*table, hash_key(key))).count()
    }

    /// Aim: keys of runs are found always, others seldom, until there are too many. Method: runs of known keys.
    #[test]
    fn the_filter_knows_all_keys_until_it_is_of_no_use() {
        let budget = Budget::unlimited("transaction").unwrap();
        let mut filter = KeyFilter::new(&BudgetAlloc::new(&budget));
        assert!(filter.may_contain(TableId(0), 0));
        add(&mut filter, 4 << 10, &keys(0..1000));
        add(&mut filter, 4 << 10, &keys(1000..3000));
        assert_eq!(found(&filter, &keys(0..3000)), 3000);
        assert!(found(&filter, &keys(3000..6000)) < 300);
        let swapped: std::vec::Vec<_> =
            keys(0..3000).iter().map(|(id, key)| (TableId(id.0 + 3), *key)).collect();
        assert!(found(&filter, &swapped) < 300);
        assert!(budget.used() > 0);
        add(&mut filter, 4 << 10, &keys(3000..9000));
        assert_eq!((found(&filter, &keys(0..20_000)), filter.lines.capacity()), (20_000, 0));
        add(&mut filter, 4 << 10, &keys(9000..9001));
        assert_eq!(found(&filter, &keys(0..20_000)), 20_000);
    }

    /// Aim: without memory there is no filter, now and later. Method: a limit that refuses it.
    #[test]
    fn without_room_there_is_no_filter() {
        let budget = Budget::unlimited("process").unwrap().child("transaction", 2 << 10).unwrap();
        let mut filter = KeyFilter::new(&BudgetAlloc::new(&budget));
        add(&mut filter, 4 << 10, &keys(0..10));
        add(&mut filter, 1 << 10, &keys(10..20));
        assert_eq!((found(&filter, &keys(100..200)), budget.used()), (100, 0));
    }
}
