//! Pages that an operator owns: bytes at places that never move, given back all at once or not at all.
//!
//! A place is a page and an offset in it, both in one word. Pages double from 1 KiB to 64 KiB, so that few bytes need
//! little; what is longer gets a page of its own. Where the budget refuses a page of the next size, one that just holds
//! what is asked for is tried.

use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, Budget, BudgetAlloc, Buffer, prefetch};

const PAGE_BYTES_MIN: usize = 1 << 10;
const PAGE_BYTES_MAX: usize = 64 << 10;
/// Everything in a page begins at a multiple of this.
pub(crate) const ALIGN: usize = 8;
const OFFSET_BITS: u32 = 24;
const OFFSET_MASK: u64 = (1 << OFFSET_BITS) - 1;

/// Where something stands in [`Pages`]; 48 bits, and never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u64);

impl Place {
    #[inline(always)]
    fn new(page: usize, offset: usize) -> Place {
        debug_assert!(offset.is_multiple_of(ALIGN) && offset / ALIGN < 1 << OFFSET_BITS && page < 1 << 23);
        Place((page as u64 + 1) << OFFSET_BITS | (offset / ALIGN) as u64)
    }

    /// The place as a number that is not zero.
    #[inline(always)]
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// The place of a number; nothing for zero.
    #[inline(always)]
    pub(crate) const fn from_bits(bits: u64) -> Option<Place> {
        if bits == 0 { None } else { Some(Place(bits)) }
    }

    #[inline(always)]
    pub(super) const fn page(self) -> usize {
        (self.0 >> OFFSET_BITS) as usize - 1
    }

    #[inline(always)]
    pub(super) const fn offset(self) -> usize {
        (self.0 & OFFSET_MASK) as usize * ALIGN
    }
}

#[derive(Debug)]
struct Page {
    bytes: Buffer<u8>,
    used: usize,
}

/// A list of pages.
#[derive(Debug)]
pub(crate) struct Pages {
    list: Vec<Page, BudgetAlloc>,
    budget: Budget,
    bytes: usize,
}

impl Pages {
    /// No pages, which take nothing of `budget`.
    pub(crate) fn new(budget: &Budget) -> Pages {
        Pages { list: Vec::new_in(BudgetAlloc::new(budget)), budget: budget.clone(), bytes: 0 }
    }

    /// What the pages were charged for.
    pub(crate) const fn charged_bytes(&self) -> usize {
        self.bytes
    }

    /// Room for so many bytes, which are zero.
    #[inline]
    pub(crate) fn add(&mut self, bytes: usize) -> Result<Place, AllocError> {
        let bytes = bytes.next_multiple_of(ALIGN);
        if self.free_bytes() < bytes {
            self.add_page(bytes)?;
        }
        let index = self.list.len() - 1;
        let page = &mut self.list[index];
        let place = Place::new(index, page.used);
        page.used += bytes;
        Ok(place)
    }

    /// What was added, about.
    pub(crate) fn held_bytes(&self) -> usize {
        self.list.last().map_or(0, |last| self.bytes - last.bytes.charged_bytes() + last.used)
    }

    /// Forgets what was added, and keeps the last page, which is the largest.
    pub(crate) fn clear(&mut self) {
        let Some(mut last) = self.list.pop() else { return };
        last.bytes[..last.used].fill(0);
        last.used = 0;
        self.list.clear();
        self.bytes = last.bytes.charged_bytes();
        self.list.push(last);
    }

    /// Bytes that can be added to the last page.
    fn free_bytes(&self) -> usize {
        self.list.last().map_or(0, |page| page.bytes.len() - page.used)
    }

    /// Makes sure that so many bytes can be added one behind the other, in pieces of any size, without a charge.
    pub(crate) fn reserve(&mut self, bytes: usize) -> Result<(), AllocError> {
        if self.free_bytes() < bytes { self.add_page(bytes) } else { Ok(()) }
    }

    #[cold]
    fn add_page(&mut self, needed: usize) -> Result<(), AllocError> {
        self.list.try_reserve(1).map_err(|_| AllocError)?;
        let doubled = self.list.last().map_or(0, |page| page.bytes.charged_bytes() * 2);
        let size = doubled.clamp(PAGE_BYTES_MIN, PAGE_BYTES_MAX);
        let bytes = if Buffer::<u8>::len_filling(size) >= needed {
            match Buffer::filling(&self.budget, size) {
                Err(_) => Buffer::zeroed(&self.budget, needed)?,
                taken => taken?,
            }
        } else {
            Buffer::zeroed(&self.budget, needed)?
        };
        self.bytes += bytes.charged_bytes();
        self.list.push(Page { bytes, used: 0 });
        Ok(())
    }

    /// The bytes from a place to the end of its page.
    #[inline(always)]
    pub(crate) fn at(&self, place: Place) -> &[u8] {
        &self.list[place.page()].bytes[place.offset()..]
    }

    /// Has the bytes at a place brought near.
    #[inline(always)]
    pub(crate) fn prefetch(&self, place: Place) {
        prefetch(&self.list[place.page()].bytes[place.offset()]);
    }

    /// The bytes from a place to the end of its page, to be written.
    #[inline(always)]
    pub(crate) fn at_mut(&mut self, place: Place) -> &mut [u8] {
        &mut self.list[place.page()].bytes[place.offset()..]
    }

    /// Places from the first on, where each is so long as `len` says: those that were added, in order.
    pub(crate) fn walk(&self, from: Option<Place>, len: impl Fn(&[u8]) -> usize) -> Option<Place> {
        let (mut page, mut offset) = match from {
            None => (0, 0),
            Some(place) => (place.page(), place.offset() + len(self.at(place)).next_multiple_of(ALIGN)),
        };
        loop {
            let list = self.list.get(page)?;
            if offset < list.used {
                return Some(Place::new(page, offset));
            }
            (page, offset) = (page + 1, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Aim: what is added keeps its bytes and is walked in order, and all of it is given back. Method: pieces of
        /// all sizes, each filled with its own number.
        #[test]
        fn pieces_keep_their_bytes(sizes in proptest::collection::vec(prop_oneof![1..64usize, 1..90_000usize], 1..60)) {
            let budget = Budget::unlimited("root").unwrap().child("test", u64::MAX).unwrap();
            let mut pages = Pages::new(&budget);
            let mut places = Vec::new();
            for (index, &size) in sizes.iter().enumerate() {
                let place = pages.add(size + 4).unwrap();
                pages.at_mut(place)[..4].copy_from_slice(&(size as u32).to_le_bytes());
                pages.at_mut(place)[4..4 + size].fill(index as u8);
                places.push(place);
            }
            let length = |bytes: &[u8]| 4 + u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize;
            let mut walked = None;
            for (index, (&place, &size)) in places.iter().zip(&sizes).enumerate() {
                walked = pages.walk(walked, length);
                prop_assert_eq!(walked, Some(place));
                prop_assert_eq!(Place::from_bits(place.bits()), Some(place));
                prop_assert!(pages.at(place)[4..4 + size].iter().all(|&byte| byte == index as u8));
            }
            prop_assert_eq!(pages.walk(walked, length), None);
            prop_assert!(pages.charged_bytes() as u64 <= budget.used());
            drop(pages);
            prop_assert_eq!(budget.used(), 0);
        }
    }

    /// Aim: near the limit a page of the next size is not needed.
    #[test]
    fn smaller_pages_are_taken_near_the_limit() {
        let budget = Budget::unlimited("root").unwrap().child("test", 8 << 10).unwrap();
        let mut pages = Pages::new(&budget);
        let mut count = 0;
        while pages.add(100).is_ok() {
            count += 1;
        }
        assert!(count > 50, "{count} pieces of 104 bytes in 8 KiB");
        assert!(pages.reserve(2000).is_err());
    }
}
