//! A chained hash table over kept rows, and the arrays that stand beside it.
//!
//! Entries are numbered in the order they came, so that an aggregate's states are arrays by entry number. An entry
//! moves only while there are few: arrays grow by a page at a time, and only the slots (4 bytes per entry) are made anew
//! when the table doubles.
//!
//! ```text
//! slots     [ 3 | - | 1 | … ]          newest entry of each chain
//! entries   0: hash, row, next    1: hash, row, next -> 0    …
//! ```

use core::hash::{BuildHasher, Hasher};

use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, BudgetAlloc, Buffer, Zeroable};
use foldhash::fast::FixedState;

use crate::rows::{RowBlocks, RowRef};

const PAGE_BYTES_MIN: usize = 1 << 10;
const PAGE_BYTES: usize = 64 << 10;
/// What a buffer may need beside its elements.
const PAGE_HEADER_BYTES: usize = 128;

/// An array that grows by pages; beyond the first one nothing moves.
#[derive(Debug)]
pub(crate) struct Segments<T: Zeroable> {
    pages: Vec<Buffer<T>, BudgetAlloc>,
    len: usize,
}

impl<T: Zeroable> Segments<T> {
    /// Elements of a full page.
    const PAGE: usize = (PAGE_BYTES - PAGE_HEADER_BYTES) / size_of::<T>();

    /// An empty array; `pieces` is of the budget that pays.
    pub(crate) fn new(pieces: &BudgetAlloc) -> Segments<T> {
        Segments { pages: Vec::new_in(pieces.clone()), len: 0 }
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

    /// Makes the array `len` long, with zeros for what is new.
    pub(crate) fn grow(&mut self, len: usize) -> Result<(), AllocError> {
        while self.capacity() < len {
            self.add_page(len)?;
        }
        self.len = self.len.max(len);
        Ok(())
    }

    fn capacity(&self) -> usize {
        match self.pages.as_slice() {
            [first] => first.len().min(Self::PAGE),
            pages => pages.len() * Self::PAGE,
        }
    }

    fn add_page(&mut self, len: usize) -> Result<(), AllocError> {
        self.pages.try_reserve(1).map_err(|_| AllocError)?;
        let budget = self.pages.allocator().budget();
        if self.capacity() < Self::PAGE {
            let wanted = (len * size_of::<T>() + PAGE_HEADER_BYTES).next_power_of_two();
            let doubled = self.pages.first().map_or(PAGE_BYTES_MIN, |first| first.charged_bytes() * 2);
            let mut page = Buffer::filling(budget, doubled.max(wanted).min(PAGE_BYTES))?;
            if let Some(small) = self.pages.pop() {
                page[..small.len()].copy_from_slice(&small);
            }
            self.pages.push(page);
        } else {
            self.pages.push(Buffer::filling(budget, PAGE_BYTES)?);
        }
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn at(&mut self, index: usize) -> &mut T {
        &mut self.pages[index / Self::PAGE][index % Self::PAGE]
    }

    #[inline(always)]
    pub(crate) fn get(&self, index: usize) -> T {
        self.pages[index / Self::PAGE][index % Self::PAGE]
    }
}

/// Hash; the next entry of the chain plus one, 0 at its end; the row's two halves.
type Entry = [u32; 4];
const HASH: usize = 0;
const NEXT: usize = 1;
const ROW_HIGH: usize = 2;
const ROW_LOW: usize = 3;

/// A hash table of rows. What a row's key is, is the caller's affair.
#[derive(Debug)]
pub(crate) struct HashTable {
    /// The newest entry of each chain, plus one; a power of two of them.
    slots: Buffer<u32>,
    slots_count: usize,
    entries: Segments<Entry>,
}

/// The hash of a key.
#[inline]
pub(crate) fn hash_of(key: &[u8]) -> u32 {
    let mut hasher = FixedState::with_seed(0x9E37_79B9_7F4A_7C15).build_hasher();
    hasher.write(key);
    let hash = hasher.finish();
    (hash ^ hash >> 32) as u32
}

impl HashTable {
    pub(crate) fn new(pieces: &BudgetAlloc) -> HashTable {
        let slots = Buffer::empty(pieces.budget());
        HashTable { slots, slots_count: 0, entries: Segments::new(pieces) }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.entries.len()
    }

    /// The row of an entry.
    #[inline(always)]
    pub(crate) fn row(&self, entry: usize) -> RowRef {
        let entry = self.entries.get(entry);
        RowRef::from_bits(u64::from(entry[ROW_HIGH]) << 32 | u64::from(entry[ROW_LOW]))
    }

    /// The newest entry with this hash from the chain's start, or behind the entry `after`.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u32, after: Option<usize>) -> Option<usize> {
        let mut next = match after {
            Some(entry) => self.entries.get(entry)[NEXT],
            None if self.slots_count == 0 => 0,
            None => self.slots[hash as usize & (self.slots_count - 1)],
        };
        while next != 0 {
            let entry = self.entries.get(next as usize - 1);
            if entry[HASH] == hash {
                return Some(next as usize - 1);
            }
            next = entry[NEXT];
        }
        None
    }

    /// The entry whose key, the bytes of its whole row, is `key`; a new one if there is none. Gives whether it is new.
    #[inline]
    pub(crate) fn find_or_insert(
        &mut self,
        key: &[u8],
        rows: &mut RowBlocks,
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
        if self.entries.len() > self.slots_count {
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
        let bits = row.to_bits();
        self.entries.push([hash, 0, (bits >> 32) as u32, bits as u32])
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
        // The old ones first: all of them are made anew.
        self.slots_count = 0;
        self.slots = Buffer::empty(&self.slots.budget().clone());
        self.slots = Buffer::zeroed(&self.slots.budget().clone(), count)?;
        self.slots_count = count;
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
        let mask = self.slots_count - 1;
        let target = self.entries.at(entry);
        let slot = &mut self.slots[target[HASH] as usize & mask];
        target[NEXT] = core::mem::replace(slot, entry as u32 + 1);
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
            let pieces = BudgetAlloc::new(&budget);
            let (mut table, mut rows) = (HashTable::new(&pieces), RowBlocks::new(&pieces));
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
