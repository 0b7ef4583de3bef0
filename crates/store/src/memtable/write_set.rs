//! A transaction's own changes: the memtable's structure over an arena of its own, for one thread at a time.
//!
//! ```text
//!   | record before: 4 bytes | table: 4 bytes | record |    each record knows the one that was written before it
//! ```
//!
//! Versions carry the number of the operation that made them as their sequence; numbers never go down. So what came after a
//! savepoint is found by going back from record to record, and taken out of the trees: a rollback costs what it undoes,
//! not what there is, and nothing of it is looked at again. The memory comes back with the transaction's end.
#![allow(unsafe_code)]

use core::cell::Cell;

use cofferdam_arena::{AllocError, Arena, Budget};

use super::insert::Inserter;
use super::node::{RecordRef, Target};
use super::record::{BEFORE_BYTES, Record, read_before};
use super::slab::Cutter;
use super::tree::Side;
use super::{EntryKind, Figures, Memtable};
use crate::schema::TableId;

/// What a transaction has changed so far.
///
/// **Memory.** An arena on the transaction's budget, which takes nothing until the first change; for each 22 bytes beside
/// the key and row when they come in random order. Discarded and replaced versions stay until the reset.
pub(crate) struct WriteSet {
    /// Before the arena, which it points into.
    side: Side,
    arena: Arena,
    /// The record written last that was not discarded; 0 for none.
    last: Cell<u32>,
}

impl core::fmt::Debug for WriteSet {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("WriteSet").field("figures", &self.figures()).finish_non_exhaustive()
    }
}

impl WriteSet {
    /// Nothing changed.
    pub(crate) fn new(budget: &Budget) -> WriteSet {
        WriteSet { side: Side::new(0), arena: Arena::new(budget), last: Cell::new(0) }
    }

    fn inserter(&self) -> Inserter<'_, Arena> {
        // SAFETY: 1. a write set is not Sync, and none of its methods uses two inserters at once. 2. The slabs come from its
        // own arena, whose reset takes `&mut self`. And the cutter is of the side's own slabs.
        unsafe { Inserter::new(&self.side, Cutter::new(self.side.slabs(), &self.arena)) }
    }

    /// Adds a version. One with the same table, key and sequence is replaced. Needs: no larger sequence was added, but for
    /// what was discarded.
    ///
    /// # Errors
    /// The budget refuses; nothing has changed then.
    pub(crate) fn insert(
        &self,
        table: TableId,
        key: &[u8],
        sequence: u64,
        kind: EntryKind,
        row: &[u8],
    ) -> Result<(), AllocError> {
        let before = self.before(table);
        let record = Record { key, sequence, kind, row };
        self.last.set(self.inserter().insert(table.0, &record, Some(before))?.offset());
        Ok(())
    }

    /// As `insert`, but the key's newest version gives its place to the new one if it is newer than `savepoint`: so that
    /// changing a row again and again does not leave versions that nobody can go back to.
    ///
    /// # Errors
    /// As `insert`.
    pub(crate) fn put(
        &self,
        table: TableId,
        key: &[u8],
        sequence: u64,
        kind: EntryKind,
        row: &[u8],
        savepoint: u64,
    ) -> Result<(), AllocError> {
        let before = self.before(table);
        let record = Record { key, sequence, kind, row };
        match self.inserter().replace_newest(table.0, &record, before, savepoint)? {
            Some(replaced) => self.last.set(replaced.offset()),
            None => self.insert(table, key, sequence, kind, row)?,
        }
        Ok(())
    }

    fn before(&self, table: TableId) -> [u8; BEFORE_BYTES] {
        let [a, b, c, d] = self.last.get().to_le_bytes();
        let [e, f, g, h] = table.0.to_le_bytes();
        [a, b, c, d, e, f, g, h]
    }

    /// Takes out every version with a larger sequence, for good. Costs what it takes out.
    pub(crate) fn discard_after(&mut self, sequence: u64) {
        let mut newest = 0;
        while self.last.get() != 0 {
            // SAFETY: `last` is the offset of a record that was written by this write set since the last reset, which sets
            // it to 0; each has the one before it, and a table, in front (`insert`, `put`).
            let (record, before) = unsafe {
                (
                    RecordRef::again(self.side.slabs(), self.last.get()),
                    read_before(self.side.slabs(), self.last.get()),
                )
            };
            newest = record.get().sequence;
            if newest <= sequence {
                break;
            }
            let [a, b, c, d, e, f, g, h] = before;
            self.remove(u32::from_le_bytes([e, f, g, h]), record);
            self.last.set(u32::from_le_bytes([a, b, c, d]));
        }
        let figures = &self.side.figures;
        if self.last.get() == 0 {
            figures.sequence_min.set(u64::MAX);
            newest = 0;
        }
        figures.sequence_max.set(newest);
    }

    /// Takes a record out of its tree, unless another one has its place.
    fn remove(&self, table: u32, record: RecordRef<'_>) {
        let Record { key, sequence, .. } = record.get();
        // SAFETY: the arena is not reset while `self` is borrowed.
        let tree = unsafe { self.side.directory() }.table(table);
        if let Some((leaf, found)) = tree.and_then(|tree| tree.find(&Target::new(key, sequence)))
            && found.at.is_some_and(|at| at.is_same(record))
        {
            leaf.remove(found.rank);
            self.side.figures.entries_count.add(u64::MAX);
        }
    }

    /// For tests that look at the structure.
    #[cfg(all(test, not(loom)))]
    pub(super) fn side(&self) -> &Side {
        &self.side
    }

    /// The changes as they are and as they come. A version that is replaced may be seen as it was or as it is.
    pub(crate) fn read(&self) -> Memtable<'_> {
        // SAFETY: the arena is not reset while `self` is borrowed.
        unsafe { Memtable::new(&self.side) }
    }

    /// What it holds. The tables are those that ever had a change.
    pub(crate) fn figures(&self) -> Figures {
        Figures::of(&self.side)
    }

    /// Of [`Figures`], what it has in use.
    #[inline]
    pub(crate) fn used_bytes(&self) -> u64 {
        self.side.slabs().used_bytes()
    }

    /// Forgets everything and keeps the memory.
    pub(crate) fn reset(&mut self) {
        self.forget(Arena::reset);
    }

    /// Forgets everything and gives the memory back.
    pub(crate) fn release(&mut self) {
        self.forget(Arena::release);
    }

    /// First the trees: an observer of the budget may panic within `empty`, and somebody may look at this afterwards.
    fn forget(&mut self, empty: impl FnOnce(&mut Arena)) {
        self.last.set(0);
        self.side.forget(0);
        empty(&mut self.arena);
        self.side.figures.held_bytes.set(self.arena.stats().allocated_bytes as u64);
    }
}
