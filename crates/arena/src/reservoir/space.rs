//! The address space of a reservoir: its regions, and who owns each piece of them.
//!
//! Normally there is one region, as large as the reservoir may ever need. Where the system refuses that much, there
//! are several smaller ones, made on demand: the rest of the reservoir sees only granule numbers.
//!
//! Owner stamps are read and written without a lock. A granule's word is 0 (nobody), the owner's stamp, or
//! [`CUT_INTO_SLOTS`], which sends the reader to the word of the 1 KiB unit. Every unit of a slot carries the stamp,
//! so that a reader who races with a change reads a stamp that this very unit had at some time, never a neighbour's.

use super::layout::{
    GRANULE_BYTES, Granule, HUGE_BYTES, HUGE_GRANULES, REGION_GRANULES_MAX, REGIONS_MAX, RegionLayout,
    UNIT_BYTES, UNIT_STAMPS_BYTES,
};
use super::system::{self, Mapping};
use super::table::Entry;
use core::ptr::NonNull;
use core::sync::atomic::{
    AtomicU32, AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};
use std::sync::OnceLock;

/// A granule word that is no stamp: the owners are in the words of its units.
const CUT_INTO_SLOTS: u64 = u64::MAX;
/// Regions get no smaller than this many granules (1 MiB), unless the whole reservoir is.
const REGION_GRANULES_MIN: u32 = 16;

/// One mapping: tables first, then granules.
pub(super) struct Region {
    mapping: Mapping,
    layout: RegionLayout,
    /// Granules below this may have a stamp; those above were never used, and reading their words would only map
    /// pages of zeroes.
    frontier: AtomicU32,
}

/// All regions.
pub(super) struct Space {
    regions: [OnceLock<Region>; REGIONS_MAX],
    count: AtomicUsize,
    page_bytes: usize,
    huge_pages: bool,
    /// Granules that all regions together may have.
    granules_max: u64,
    mapping_bytes_max: usize,
}

impl Region {
    fn map(granules: u32, align: usize, page_bytes: usize) -> Option<Region> {
        let mapping = Mapping::reserve(RegionLayout::mapping_bytes(granules, page_bytes, align))?;
        let layout = RegionLayout::at(mapping.start().addr().get(), granules, page_bytes, align);
        debug_assert!(layout.granules_at + granules as usize * GRANULE_BYTES <= mapping.bytes());
        // Transparent huge pages would commit what nobody charged. Where they are asked for, runs that are charged
        // for whole huge pages allow them one by one.
        let _unsupported = mapping.advise_huge(0, mapping.bytes(), false);
        Some(Region { mapping, layout, frontier: AtomicU32::new(0) })
    }

    /// The region's table of entries.
    pub(super) fn entries(&self) -> (NonNull<Entry>, u32) {
        (self.mapping.start().cast(), self.layout.granules)
    }

    /// A place `offset` bytes behind the start of granule `local`.
    fn pointer(&self, local: u32, offset: usize) -> NonNull<u8> {
        assert!(local < self.layout.granules && offset < GRANULE_BYTES);
        // SAFETY: by the assert and `RegionLayout` the sum is inside the mapping.
        unsafe { self.mapping.start().add(self.layout.granules_at + local as usize * GRANULE_BYTES + offset) }
    }

    /// The distance of an address from the first granule, if it is in one.
    fn offset_of(&self, address: usize) -> Option<usize> {
        let offset = address.wrapping_sub(self.mapping.start().addr().get() + self.layout.granules_at);
        (offset < self.layout.granules as usize * GRANULE_BYTES).then_some(offset)
    }

    fn stamp(&self, local: u32) -> &AtomicU64 {
        assert!(local < self.layout.granules);
        // SAFETY: by the assert and `RegionLayout` the word is inside the mapping, aligned, and only ever used
        // through this function, so atomically.
        unsafe {
            self.mapping.start().add(self.layout.stamps_at).cast::<AtomicU64>().add(local as usize).as_ref()
        }
    }

    fn unit_stamp(&self, unit_index: usize) -> &AtomicU64 {
        assert!(unit_index < self.layout.granules as usize * (GRANULE_BYTES / UNIT_BYTES));
        // SAFETY: as for `stamp`, with the words of the units.
        unsafe {
            self.mapping.start().add(self.layout.unit_stamps_at).cast::<AtomicU64>().add(unit_index).as_ref()
        }
    }

    /// Gives pages of stamps back that are all zero: whoever reads them meanwhile reads zero. The interpreter, which would have them
    /// written beside these readers, has no pages.
    fn decommit_stamps(&self, start: usize, bytes: usize) -> bool {
        // SAFETY: the stamps are zeroes, as the pages that take their place are.
        cfg!(miri) || unsafe { self.mapping.decommit(start, bytes) }
    }

    fn owner_at(&self, offset: usize) -> Option<u64> {
        let local = (offset / GRANULE_BYTES) as u32;
        if local >= self.frontier.load(Relaxed) {
            return None;
        }
        let stamp = match self.stamp(local).load(Relaxed) {
            CUT_INTO_SLOTS => self.unit_stamp(offset / UNIT_BYTES).load(Relaxed),
            stamp => stamp,
        };
        (stamp != 0).then_some(stamp)
    }

    fn set_owner(&self, offset: usize, bytes: usize, stamp: u64) {
        assert!(bytes <= self.layout.granules as usize * GRANULE_BYTES - offset);
        if bytes < GRANULE_BYTES {
            let units = offset / UNIT_BYTES..(offset + bytes) / UNIT_BYTES;
            return units.for_each(|unit_index| self.unit_stamp(unit_index).store(stamp, Relaxed));
        }
        let granules = offset / GRANULE_BYTES..(offset + bytes) / GRANULE_BYTES;
        granules.for_each(|local| self.stamp(local as u32).store(stamp, Relaxed));
    }
}

impl Space {
    pub(super) fn new(granules_max: u64, mapping_bytes_max: usize, huge_pages: bool) -> Space {
        Space {
            regions: [const { OnceLock::new() }; REGIONS_MAX],
            count: AtomicUsize::new(0),
            page_bytes: system::page_bytes(),
            huge_pages,
            granules_max,
            mapping_bytes_max,
        }
    }

    pub(super) fn page_bytes(&self) -> usize {
        self.page_bytes
    }

    pub(super) fn huge_pages(&self) -> bool {
        self.huge_pages
    }

    pub(super) fn regions(&self) -> impl Iterator<Item = &Region> {
        self.regions[..self.count.load(Acquire)].iter().filter_map(OnceLock::get)
    }

    /// Adds the largest region that the system grants, between what is still allowed and `granules_min`; callers
    /// hold the reservoir's lock.
    pub(super) fn add_region(&self, granules_min: u32) -> Option<(usize, &Region)> {
        let reserved: u64 = self.regions().map(|region| u64::from(region.layout.granules)).sum();
        let allowed = (self.granules_max - reserved).min(u64::from(REGION_GRANULES_MAX - 1)) as u32;
        let align = if self.huge_pages { HUGE_BYTES } else { GRANULE_BYTES };
        let slot = self.regions.get(self.count.load(Relaxed))?;
        let mut granules = allowed;
        let smallest = granules_min.max(REGION_GRANULES_MIN.min(allowed));
        while granules >= smallest && granules > 0 {
            let fits =
                RegionLayout::mapping_bytes(granules, self.page_bytes, align) <= self.mapping_bytes_max;
            if let Some(region) = fits.then(|| Region::map(granules, align, self.page_bytes)).flatten() {
                let region_index = self.count.load(Relaxed);
                let region = slot.get_or_init(|| region);
                self.count.store(region_index + 1, Release);
                return Some((region_index, region));
            }
            // The last try is the smallest that will do.
            granules = if granules / 2 < smallest && granules > smallest { smallest } else { granules / 2 };
        }
        None
    }

    fn region(&self, granule: Granule) -> &Region {
        self.regions[granule.region_index()].get().expect("a granule has a region")
    }

    pub(super) fn set_frontier(&self, region_index: usize, frontier: u32) {
        if let Some(region) = self.regions[region_index].get() {
            region.frontier.store(frontier, Relaxed);
        }
    }

    /// How many granules the region of `granule` has.
    pub(super) fn granules(&self, granule: Granule) -> u32 {
        self.region(granule).layout.granules
    }

    /// The address `offset` bytes behind the start of `granule`.
    pub(super) fn pointer(&self, granule: Granule, offset: usize) -> NonNull<u8> {
        self.region(granule).pointer(granule.local(), offset)
    }

    /// The granule that contains an address, and the distance from its start in bytes.
    pub(super) fn locate(&self, address: usize) -> Option<(Granule, usize)> {
        self.regions().enumerate().find_map(|(region_index, region)| {
            let offset = region.offset_of(address)?;
            Some((Granule::new(region_index, (offset / GRANULE_BYTES) as u32), offset % GRANULE_BYTES))
        })
    }

    /// The stamp that was last set for the place with this address.
    pub(super) fn owner_of(&self, address: usize) -> Option<u64> {
        self.regions().find_map(|region| region.owner_at(region.offset_of(address)?))
    }

    /// Stamps a chunk of `bytes` at `address`.
    pub(super) fn set_owner(&self, address: usize, bytes: usize, stamp: u64) {
        assert!(stamp != 0 && stamp != CUT_INTO_SLOTS, "a stamp is neither zero nor all ones");
        let found = self.regions().find_map(|region| Some((region, region.offset_of(address)?)));
        let (region, offset) = found.expect("only the reservoir's own chunks are stamped");
        region.set_owner(offset, bytes, stamp);
    }

    /// Forgets who owned `bytes` at `offset` of `granule`.
    pub(super) fn clear_owner(&self, granule: Granule, offset: usize, bytes: usize) {
        self.region(granule).set_owner(granule.local() as usize * GRANULE_BYTES + offset, bytes, 0);
    }

    /// Notes that the owners of `granule` are those of its units.
    pub(super) fn cut_into_slots(&self, granule: Granule) {
        self.region(granule).stamp(granule.local()).store(CUT_INTO_SLOTS, Relaxed);
    }

    /// Gives the pages of `bytes` at `offset` of `granule` back to the system; false when it refuses.
    ///
    /// # Safety
    /// 1. Nobody uses that memory.
    pub(super) unsafe fn decommit(&self, granule: Granule, offset: usize, bytes: usize) -> bool {
        let region = self.region(granule);
        let start = region.layout.granules_at + granule.local() as usize * GRANULE_BYTES + offset;
        assert!(
            granule.local() as usize * GRANULE_BYTES + offset + bytes
                <= region.layout.granules as usize * GRANULE_BYTES
        );
        // SAFETY: 1: by our own condition; the assert keeps the range off the tables and inside the mapping.
        unsafe { region.mapping.decommit(start, bytes) }
    }

    /// Gives back the page with the unit stamps of `first` and those behind it, none of which is cut into slots; false when the
    /// system refuses. The stamps are zeroes before and after.
    pub(super) fn decommit_unit_stamps(&self, first: Granule) -> bool {
        let region = self.region(first);
        let start = region.layout.unit_stamps_at + first.local() as usize * UNIT_STAMPS_BYTES;
        region.decommit_stamps(start, self.page_bytes)
    }

    /// Gives back the pages of entries and stamps that `from` granules of a region touch and `to` do not; false when the system
    /// refuses one of them.
    ///
    /// # Safety
    /// 1. Nobody relies on what the entries from `to` on hold: zeroes do as well.
    /// 2. Granules from `to` on belong to nobody.
    pub(super) unsafe fn decommit_tables(&self, region_index: usize, to: u32, from: u32) -> bool {
        let Some(region) = self.regions[region_index].get() else { return false };
        let [entries, stamps] = region.layout.tables_between(to, from, self.page_bytes);
        region.frontier.store(to, Relaxed);
        // SAFETY: 1: by our own condition.
        let entries_are_gone = entries.1 == 0 || unsafe { region.mapping.decommit(entries.0, entries.1) };
        entries_are_gone && (stamps.1 == 0 || region.decommit_stamps(stamps.0, stamps.1))
    }

    /// Allows huge pages where a run of `granules` is charged for whole ones.
    pub(super) fn allow_huge(&self, granule: Granule, granules: u32) {
        let whole = granules / HUGE_GRANULES * HUGE_GRANULES;
        if self.huge_pages && whole > 0 {
            let _unsupported = self.advise_huge(granule, whole, true);
        }
    }

    /// Forbids huge pages again in the addresses of a run that goes cold; false when the system refuses.
    pub(super) fn forbid_huge(&self, granule: Granule, granules: u32) -> bool {
        !self.huge_pages || granules < HUGE_GRANULES || self.advise_huge(granule, granules, false)
    }

    fn advise_huge(&self, granule: Granule, granules: u32, allowed: bool) -> bool {
        let region = self.region(granule);
        let start = region.layout.granules_at + granule.local() as usize * GRANULE_BYTES;
        region.mapping.advise_huge(start, granules as usize * GRANULE_BYTES, allowed)
    }

    /// Bytes of addresses that are reserved, tables included.
    pub(super) fn reserved_bytes(&self) -> usize {
        self.regions().map(|region| region.mapping.bytes()).sum()
    }

    /// Bytes of all regions that have memory behind them.
    #[cfg(all(test, target_os = "linux", not(miri)))]
    pub(super) fn resident_bytes(&self) -> usize {
        self.regions().map(|region| region.mapping.resident_bytes()).sum()
    }
}
