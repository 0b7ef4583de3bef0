//! The side table: one entry for each granule, and the lists that run through the entries.
//!
//! Free memory holds no links: an uncommitted page would be committed by writing one, and a warm page was user
//! memory a moment ago. A zeroed entry is a granule that nothing begins at, so a table needs no initialization and
//! costs only the pages that were written.

use super::layout::{ENTRY_BYTES, Granule, REGIONS_MAX};
use core::ops::{Index, IndexMut};
use core::ptr::NonNull;

/// What begins at a granule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum State {
    /// Nothing: the granule was never used, or lies inside a run. Zero, as fresh pages are.
    Inside = 0,
    /// A cold run of `1 << order` granules, in a list of the buddy allocator.
    Cold,
    /// A run of `granules` in the hands of an arena.
    Live,
    /// A run of `granules`, committed and waiting to be used again.
    Warm,
    /// A granule of slots.
    Slots,
}

/// What the reservoir knows of one granule.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Entry {
    next: Granule,
    previous: Granule,
    /// Committed granules of a live or warm run.
    pub(super) granules: u32,
    pub(super) state: State,
    /// A run's order; of a run that was cut down while warm, the order of all its addresses.
    pub(super) order: u8,
    /// Class of a slot granule.
    pub(super) class: u8,
    /// Whether the page with the unit stamps of this granule and its neighbours has been charged.
    pub(super) unit_stamps_charged: bool,
    /// Slots whose pages are committed.
    pub(super) carved: u64,
    /// Carved slots that no arena holds.
    pub(super) free: u64,
}

const _: () = assert!(size_of::<Entry>() == ENTRY_BYTES);

/// All entries of all regions, indexed by granule.
pub(super) struct Entries {
    tables: [Option<(NonNull<Entry>, u32)>; REGIONS_MAX],
}

// SAFETY: the tables are owned by whoever owns the entries; an entry is plain data.
unsafe impl Send for Entries {}

impl Entries {
    pub(super) const fn new() -> Entries {
        Entries { tables: [None; REGIONS_MAX] }
    }

    /// Makes a region's table known.
    ///
    /// # Safety
    /// 1. `table` points to `count` entries, zeroed or valid, that live as long as `self`.
    /// 2. Nobody else reads or writes them as long as `self` lives.
    pub(super) unsafe fn add(&mut self, region_index: usize, table: NonNull<Entry>, count: u32) {
        assert!(self.tables[region_index].is_none(), "a region has one table");
        self.tables[region_index] = Some((table, count));
    }

    fn place(&self, granule: Granule) -> NonNull<Entry> {
        let (table, count) = self.tables[granule.region_index()].expect("a granule's region has a table");
        assert!(granule.local() < count);
        // SAFETY: the assert keeps the sum in the table that `add` was promised (1).
        unsafe { table.add(granule.local() as usize) }
    }
}

impl Index<Granule> for Entries {
    type Output = Entry;

    fn index(&self, granule: Granule) -> &Entry {
        // SAFETY: in bounds and initialized by `place` and `add` (1); writers need `&mut self` and there are no
        // others by `add` (2).
        unsafe { self.place(granule).as_ref() }
    }
}

impl IndexMut<Granule> for Entries {
    fn index_mut(&mut self, granule: Granule) -> &mut Entry {
        // SAFETY: as for `index`; `&mut self` is the only way to any entry.
        unsafe { self.place(granule).as_mut() }
    }
}

/// A doubly linked list through the entries of granules.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    first: Granule,
    last: Granule,
    count: u32,
}

impl List {
    pub(super) const EMPTY: List = List { first: Granule::NONE, last: Granule::NONE, count: 0 };

    pub(super) fn first(&self) -> Option<Granule> {
        (self.first != Granule::NONE).then_some(self.first)
    }

    pub(super) fn last(&self) -> Option<Granule> {
        (self.last != Granule::NONE).then_some(self.last)
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The granule after `granule`, which is in the list.
    pub(super) fn after(entries: &Entries, granule: Granule) -> Option<Granule> {
        let next = entries[granule].next;
        (next != Granule::NONE).then_some(next)
    }

    pub(super) fn push_front(&mut self, entries: &mut Entries, granule: Granule) {
        entries[granule].next = self.first;
        entries[granule].previous = Granule::NONE;
        match self.first() {
            Some(first) => entries[first].previous = granule,
            None => self.last = granule,
        }
        self.first = granule;
        self.count += 1;
    }

    pub(super) fn push_back(&mut self, entries: &mut Entries, granule: Granule) {
        entries[granule].next = Granule::NONE;
        entries[granule].previous = self.last;
        match self.last() {
            Some(last) => entries[last].next = granule,
            None => self.first = granule,
        }
        self.last = granule;
        self.count += 1;
    }

    /// Takes out `granule`, which is in the list.
    pub(super) fn remove(&mut self, entries: &mut Entries, granule: Granule) {
        debug_assert!(self.count > 0);
        let (previous, next) = (entries[granule].previous, entries[granule].next);
        match previous {
            Granule::NONE => self.first = next,
            before => entries[before].next = next,
        }
        match next {
            Granule::NONE => self.last = previous,
            behind => entries[behind].previous = previous,
        }
        self.count -= 1;
    }

    pub(super) fn pop_front(&mut self, entries: &mut Entries) -> Option<Granule> {
        let first = self.first()?;
        self.remove(entries, first);
        Some(first)
    }
}
