//! Kept rows in pages that the operator owns.
//!
//! ```text
//! page   | tag 8 | length 4 | bytes | tag 8 | length 4 | bytes | …
//! ```
//!
//! A row has a tag of 64 bits beside its bytes: a hash of its key, so that nobody hashes it again, or the beginning of a key
//! that is sorted. Pages are buffers of their own, so they come one by one, go one by one, and move with the operator
//! between threads. The first page is small and each next one twice as large up to the size that the operator chose, so few
//! rows need little; a row longer than that has a page to itself.
//!
//! **Bytes**: 12 a row beside its own, the rest of each page, and 48 a page for the list.

use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, Budget, BudgetAlloc, Buffer, prefetch};

use crate::rows::bytes_at;

/// What stands before a row's bytes: its tag and its length.
pub(super) const ROW_HEAD_BYTES: usize = 12;

const PAGE_BYTES_MIN: usize = 1 << 10;

/// Where a kept row stands: its page and its offset there. Rows that came earlier have smaller places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RowRef(u64);

impl RowRef {
    fn new(page: usize, offset: usize) -> RowRef {
        RowRef((page as u64) << 32 | offset as u64)
    }

    /// As a number, for arrays of plain numbers; [`RowRef::from_bits`] undoes it.
    #[inline(always)]
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    /// The place of [`RowRef::to_bits`].
    #[inline(always)]
    pub(crate) fn from_bits(bits: u64) -> RowRef {
        RowRef(bits)
    }

    /// The page, counted from the first one ever made.
    #[inline(always)]
    pub(crate) fn page(self) -> usize {
        (self.0 >> 32) as usize
    }

    #[inline(always)]
    fn offset(self) -> usize {
        self.0 as u32 as usize
    }
}

/// Rows of any length, in the order they came.
#[derive(Debug)]
pub(crate) struct RowPages {
    pages: Vec<Page, BudgetAlloc>,
    budget: Budget,
    page_bytes_max: usize,
    /// The page that is filled.
    current: usize,
    rows_count: u64,
    held_bytes: u64,
}

#[derive(Debug)]
struct Page {
    bytes: Buffer<u8>,
    used: usize,
}

impl RowPages {
    /// No rows, and no memory; pages will be of `page_bytes_max` at most, but for longer rows.
    pub(crate) fn new(budget: &Budget, page_bytes_max: usize) -> RowPages {
        RowPages {
            pages: Vec::new_in(BudgetAlloc::new(budget)),
            budget: budget.clone(),
            page_bytes_max: page_bytes_max.max(PAGE_BYTES_MIN),
            current: 0,
            rows_count: 0,
            held_bytes: 0,
        }
    }

    /// How many rows there are.
    pub(crate) fn rows_count(&self) -> u64 {
        self.rows_count
    }

    /// What the pages are charged for.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// How many pages were made since the last [`RowPages::release`]; those that were given back count.
    pub(crate) fn pages_count(&self) -> usize {
        self.pages.len()
    }

    /// Keeps the bytes of `parts`, one behind the other, as one row.
    ///
    /// # Errors
    /// The budget refuses a page; nothing has changed.
    #[inline]
    pub(crate) fn push(&mut self, tag: u64, parts: &[&[u8]]) -> Result<RowRef, AllocError> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let needed = len + ROW_HEAD_BYTES;
        let has_room = |page: &Page| page.bytes.len() - page.used >= needed;
        if !self.pages.get(self.current).is_some_and(has_room) {
            self.turn_page(needed)?;
        }
        let page = &mut self.pages[self.current];
        let row = RowRef::new(self.current, page.used);
        let room = &mut page.bytes[page.used..page.used + needed];
        put_row(room, tag, len, parts);
        page.used += needed;
        self.rows_count += 1;
        Ok(row)
    }

    /// Goes to the next page that has room for so many bytes.
    #[cold]
    fn turn_page(&mut self, needed: usize) -> Result<(), AllocError> {
        while self.current + 1 < self.pages.len() {
            self.current += 1;
            if self.pages[self.current].bytes.len() - self.pages[self.current].used >= needed {
                return Ok(());
            }
        }
        let last = self.pages.last().map_or(PAGE_BYTES_MIN / 2, |page| page.bytes.charged_bytes());
        let bytes = (last * 2).clamp(PAGE_BYTES_MIN, self.page_bytes_max);
        // Offsets in a page have 32 bits.
        if u32::try_from(needed).is_err() || self.pages.len() >= u32::MAX as usize {
            return Err(AllocError);
        }
        self.pages.try_reserve(1).map_err(|_| AllocError)?;
        let bytes = match Buffer::<u8>::len_filling(bytes) {
            len if len >= needed => Buffer::filling(&self.budget, bytes)?,
            _ => Buffer::zeroed(&self.budget, needed)?,
        };
        self.held_bytes += bytes.charged_bytes() as u64;
        self.pages.push(Page { bytes, used: 0 });
        self.current = self.pages.len() - 1;
        Ok(())
    }

    /// The bytes of a row.
    #[inline(always)]
    pub(crate) fn get(&self, row: RowRef) -> &[u8] {
        let (bytes, start) = (&self.pages[row.page()].bytes, row.offset() + ROW_HEAD_BYTES);
        &bytes[start..start + len_at(bytes, row.offset())]
    }

    /// Has the begin of a row brought near.
    #[inline(always)]
    pub(crate) fn prefetch(&self, row: RowRef) {
        prefetch(&self.pages[row.page()].bytes[row.offset()]);
    }

    /// The tag of a row.
    #[inline(always)]
    pub(crate) fn tag(&self, row: RowRef) -> u64 {
        tag_at(&self.pages[row.page()].bytes, row.offset())
    }

    /// The bytes of a row, to be changed; its length stays.
    #[inline(always)]
    pub(crate) fn get_mut(&mut self, row: RowRef) -> &mut [u8] {
        let bytes = &mut self.pages[row.page()].bytes;
        let start = row.offset() + ROW_HEAD_BYTES;
        let len = len_at(bytes, row.offset());
        &mut bytes[start..start + len]
    }

    /// The first row that stands at `from` or behind it, and where to look for the next. Pages that were given back have no rows.
    #[inline]
    pub(crate) fn next(&self, mut from: RowRef) -> Option<(RowRef, RowRef)> {
        loop {
            let page = self.pages.get(from.page())?;
            if from.offset() < page.used {
                let len = len_at(&page.bytes, from.offset());
                return Some((from, RowRef::new(from.page(), from.offset() + ROW_HEAD_BYTES + len)));
            }
            from = RowRef::new(from.page() + 1, 0);
        }
    }

    /// Every row with its tag, in the order they came.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> + '_ {
        self.iter_from(RowRef::default())
    }

    /// The rows that stand at `from` or behind it.
    pub(crate) fn iter_from(&self, from: RowRef) -> impl Iterator<Item = (u64, &[u8])> + '_ {
        let mut place = from;
        core::iter::from_fn(move || {
            let (row, next) = self.next(place)?;
            place = next;
            Some((self.tag(row), self.get(row)))
        })
    }

    /// The rows of one page.
    pub(crate) fn iter_page(&self, page: usize) -> impl Iterator<Item = (RowRef, u64, &[u8])> + '_ {
        let mut place = RowRef::new(page, 0);
        core::iter::from_fn(move || {
            let (row, next) = self.next(place).filter(|(row, _)| row.page() == page)?;
            place = next;
            Some((row, self.tag(row), self.get(row)))
        })
    }

    /// Gives back the memory of a page whose rows nobody needs any more; false if it was given back. Its number stays taken.
    pub(crate) fn release_page(&mut self, page: usize) -> bool {
        let page = &mut self.pages[page];
        if page.bytes.is_empty() {
            return false;
        }
        self.held_bytes -= page.bytes.charged_bytes() as u64;
        page.bytes = Buffer::empty(&self.budget);
        page.used = 0;
        true
    }

    /// Forgets all rows and keeps the pages for others.
    pub(crate) fn clear(&mut self) {
        for page in &mut self.pages {
            page.used = 0;
        }
        (self.current, self.rows_count) = (0, 0);
    }

    /// Gives back pages without rows from the end, until they hold no more than so many bytes or there are none.
    pub(crate) fn shrink(&mut self, bytes: u64) {
        while self.held_bytes > bytes && self.pages.last().is_some_and(|page| page.used == 0) {
            self.held_bytes -= self.pages.pop().map_or(0, |page| page.bytes.charged_bytes() as u64);
        }
        self.current = self.current.min(self.pages.len().saturating_sub(1));
    }

    /// Forgets all rows and gives everything back.
    pub(crate) fn release(&mut self) {
        *self = RowPages::new(&self.budget, self.page_bytes_max);
    }
}

/// Writes a row; `room` has exactly its size.
#[inline(always)]
pub(super) fn put_row(room: &mut [u8], tag: u64, len: usize, parts: &[&[u8]]) {
    room[..8].copy_from_slice(&tag.to_le_bytes());
    room[8..ROW_HEAD_BYTES].copy_from_slice(&(len as u32).to_le_bytes());
    let mut at = ROW_HEAD_BYTES;
    for part in parts {
        room[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
}

/// The tag and the bytes of the row at an offset.
#[inline(always)]
pub(super) fn row_at(bytes: &[u8], offset: usize) -> (u64, &[u8]) {
    let start = offset + ROW_HEAD_BYTES;
    (tag_at(bytes, offset), &bytes[start..start + len_at(bytes, offset)])
}

#[inline(always)]
pub(super) fn tag_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes_at(bytes, offset))
}

#[inline(always)]
pub(super) fn len_at(bytes: &[u8], offset: usize) -> usize {
    u32::from_le_bytes(bytes_at(bytes, offset + 8)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn budget(limit: u64) -> Budget {
        Budget::unlimited("process").unwrap().child("rows", limit).unwrap()
    }

    proptest! {
        /// Aim: what is pushed is what is read, by place, in order and page by page, whatever the lengths; the charge is what
        /// is held. Method: a plain list beside it.
        #[test]
        fn rows_are_what_was_pushed(lens in prop::collection::vec(prop_oneof![0usize..40, 900usize..6000], 0..200)) {
            let budget = budget(u64::MAX);
            let mut pages = RowPages::new(&budget, 4096);
            let mut model = Vec::new();
            for (i, len) in lens.iter().enumerate() {
                let bytes = vec![i as u8; *len];
                let (head, tail) = bytes.split_at(len / 3);
                let place = pages.push(i as u64 * 7, &[head, tail]).unwrap();
                model.push((place, i as u64 * 7, bytes));
            }
            prop_assert_eq!(pages.rows_count(), model.len() as u64);
            for (place, tag, bytes) in &model {
                prop_assert_eq!((pages.tag(*place), pages.get(*place)), (*tag, &bytes[..]));
            }
            prop_assert!(model.is_sorted_by_key(|(place, ..)| *place));
            let all: std::vec::Vec<_> = pages.iter().map(|(tag, bytes)| (tag, bytes.to_vec())).collect();
            prop_assert!(all.iter().eq(model.iter().map(|(_, tag, bytes)| (*tag, bytes.clone())).collect::<std::vec::Vec<_>>().iter()));
            let by_page: std::vec::Vec<_> =
                (0..pages.pages_count()).flat_map(|page| pages.iter_page(page)).map(|(place, ..)| place).collect();
            prop_assert!(by_page.iter().eq(model.iter().map(|(place, ..)| place)));
            prop_assert!(pages.held_bytes() <= budget.used());
            for page in 0..pages.pages_count() / 2 {
                pages.release_page(page);
            }
            let half = pages.pages_count() / 2;
            let left = model.iter().filter(|(place, ..)| place.page() >= half).count();
            prop_assert_eq!(pages.iter().count(), left);
            pages.release();
            prop_assert_eq!((pages.rows_count(), budget.used()), (0, 0));
        }
    }

    /// Aim: a refused page changes nothing, and rows that are forgotten make room without a charge.
    #[test]
    fn a_refused_page_changes_nothing() {
        let budget = budget(64 << 10);
        let mut pages = RowPages::new(&budget, 8192);
        while pages.push(1, &[&[7; 100]]).is_ok() {}
        let (rows, used) = (pages.rows_count(), budget.used());
        assert!(rows > 300, "{rows}");
        assert!(pages.push(1, &[&[7; 100]]).is_err());
        assert_eq!((pages.rows_count(), budget.used(), pages.iter().count() as u64), (rows, used, rows));
        pages.clear();
        for _ in 0..rows {
            pages.push(2, &[&[8; 100]]).unwrap();
        }
        assert_eq!(budget.used(), used);
        let (first, _) = pages.next(RowRef::default()).unwrap();
        pages.get_mut(first)[99] = 9;
        assert_eq!((pages.get(first)[99], pages.tag(first)), (9, 2));
        assert_eq!(RowRef::from_bits(first.to_bits()), first);
    }
}
