//! A chained hash table over kept rows, and the segmented arrays that stand beside it.
//!
//! Entries are numbered in the order they came, so that an aggregate's states are arrays by entry number. An entry
//! never moves: arrays grow by a segment at a time, and only the slots (4 bytes per entry) are made anew when the table
//! doubles. In an arena, where what is left behind stays until the operator ends, that is what keeps growth cheap.
//!
//! ```text
//! slots     [ 3 | - | 1 | … ]          newest entry of each chain
//! entries   0: hash, row, next    1: hash, row, next -> 0    …
//! ```

use core::hash::{BuildHasher, Hasher};

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use foldhash::fast::FixedState;

use crate::rows::{RowBlocks, RowRef};

const SEGMENT_LOG2: u32 = 8;
const SEGMENT: usize = 1 << SEGMENT_LOG2;

/// An array that grows without moving what it holds.
#[derive(Debug)]
pub(crate) struct Segments<'a, T> {
    arena: &'a Arena,
    segments: Vec<'a, &'a mut [T]>,
    len: usize,
}

impl<'a, T: Copy + Default> Segments<'a, T> {
    pub(crate) fn new(arena: &'a Arena) -> Segments<'a, T> {
        Segments { arena, segments: Vec::new_in(arena), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn push(&mut self, value: T) -> Result<(), AllocError> {
        let index = self.len;
        self.grow(index + 1)?;
        *self.at(index) = value;
        Ok(())
    }

    /// Makes the array `len` long, with default values for what is new.
    pub(crate) fn grow(&mut self, len: usize) -> Result<(), AllocError> {
        while self.segments.len() << SEGMENT_LOG2 < len {
            self.segments.push(self.arena.alloc_slice_fill(SEGMENT, T::default())?)?;
        }
        self.len = self.len.max(len);
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn at(&mut self, index: usize) -> &mut T {
        &mut self.segments[index >> SEGMENT_LOG2][index & (SEGMENT - 1)]
    }

    #[inline(always)]
    pub(crate) fn get(&self, index: usize) -> T {
        self.segments[index >> SEGMENT_LOG2][index & (SEGMENT - 1)]
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    hash: u32,
    /// The next entry of the chain, plus one; 0 at its end.
    next: u32,
    row: RowRef,
}

/// A hash table of rows. What a row's key is, is the caller's affair.
#[derive(Debug)]
pub(crate) struct HashTable<'a> {
    arena: &'a Arena,
    /// The newest entry of each chain, plus one; a power of two of them.
    slots: &'a mut [u32],
    entries: Segments<'a, Entry>,
}

/// The hash of a key.
#[inline]
pub(crate) fn hash_of(key: &[u8]) -> u32 {
    let mut hasher = FixedState::with_seed(0x9E37_79B9_7F4A_7C15).build_hasher();
    hasher.write(key);
    let hash = hasher.finish();
    (hash ^ hash >> 32) as u32
}

impl<'a> HashTable<'a> {
    pub(crate) fn new(arena: &'a Arena) -> HashTable<'a> {
        HashTable { arena, slots: &mut [], entries: Segments::new(arena) }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The row of an entry.
    #[inline(always)]
    pub(crate) fn row(&self, entry: usize) -> RowRef {
        self.entries.get(entry).row
    }

    /// The newest entry with this hash from the chain's start, or behind the entry `after`.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u32, after: Option<usize>) -> Option<usize> {
        let mut next = match after {
            Some(entry) => self.entries.get(entry).next,
            None if self.slots.is_empty() => 0,
            None => self.slots[hash as usize & (self.slots.len() - 1)],
        };
        while next != 0 {
            let entry = self.entries.get(next as usize - 1);
            if entry.hash == hash {
                return Some(next as usize - 1);
            }
            next = entry.next;
        }
        None
    }

    /// The entry whose key, the bytes of its whole row, is `key`; a new one if there is none. Gives whether it is new.
    #[inline]
    pub(crate) fn find_or_insert(
        &mut self,
        key: &[u8],
        rows: &mut RowBlocks<'_>,
    ) -> Result<(usize, bool), AllocError> {
        let hash = hash_of(key);
        let mut found = self.find(hash, None);
        while let Some(entry) = found {
            if rows.get(self.row(entry)) == key {
                return Ok((entry, false));
            }
            found = self.find(hash, Some(entry));
        }
        let row = rows.push(&[key])?;
        self.push_unlinked(hash, row)?;
        if self.entries.len() > self.slots.len() {
            self.link_all()?;
        } else {
            self.link(self.entries.len() - 1);
        }
        Ok((self.entries.len() - 1, true))
    }

    /// Adds an entry that no chain holds until it is linked.
    pub(crate) fn push_unlinked(&mut self, hash: u32, row: RowRef) -> Result<(), AllocError> {
        // Entry numbers have 32 bits; memory for so many rows is refused long before.
        debug_assert!(self.entries.len() < u32::MAX as usize);
        self.entries.push(Entry { hash, next: 0, row })
    }

    /// Makes slots for all entries and links each into its chain.
    pub(crate) fn link_all(&mut self) -> Result<(), AllocError> {
        self.make_slots()?;
        self.link_from(0, usize::MAX);
        Ok(())
    }

    /// Makes slots for all entries; none is linked then.
    pub(crate) fn make_slots(&mut self) -> Result<(), AllocError> {
        let count = self.entries.len().next_power_of_two().max(16);
        self.slots = self.arena.alloc_zeroed_slice(count)?;
        Ok(())
    }

    /// Links up to `count` entries from `first` on, and gives the next one if there is one. In order, each once.
    pub(crate) fn link_from(&mut self, first: usize, count: usize) -> Option<usize> {
        let end = first.saturating_add(count).min(self.entries.len());
        for entry in first..end {
            self.link(entry);
        }
        (end < self.entries.len()).then_some(end)
    }

    #[inline(always)]
    fn link(&mut self, entry: usize) {
        let mask = self.slots.len() - 1;
        let target = self.entries.at(entry);
        let slot = &mut self.slots[target.hash as usize & mask];
        target.next = core::mem::replace(slot, entry as u32 + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_arena::Budget;
    use proptest::prelude::*;

    proptest! {
        /// Aim: entry numbers are those of a map that counts new keys.
        #[test]
        fn numbers_keys_in_the_order_they_came(keys in proptest::collection::vec("[a-c]{0,3}", 0..600)) {
            let budget = Budget::unlimited("test").unwrap();
            let arena = Arena::new(&budget);
            let (mut table, mut rows) = (HashTable::new(&arena), RowBlocks::new(&arena));
            let mut oracle = std::collections::HashMap::new();
            for key in &keys {
                let count = oracle.len();
                let expected = *oracle.entry(key.clone()).or_insert(count);
                let (entry, is_new) = table.find_or_insert(key.as_bytes(), &mut rows).unwrap();
                prop_assert_eq!((entry, is_new), (expected, oracle.len() > count));
            }
            prop_assert_eq!(table.len(), oracle.len());
        }
    }
}
