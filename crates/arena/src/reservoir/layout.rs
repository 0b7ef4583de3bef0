//! The arithmetic of the reservoir: sizes, granule numbers, buddies, slots, and where the tables of a region lie.
//!
//! Nothing here touches memory; everything is a function on integers and is tested exhaustively at small width.
//!
//! ```text
//! one region (one mapping):
//!   | entries 32 B | stamps 8 B | unit stamps 512 B |  align  | granule 0 | granule 1 | ...
//!   '------------ per granule, touched lazily ------'         '- 64 KiB --'
//! ```

/// The smallest slot and the grain of owner stamps inside a slot granule, in bytes.
pub(super) const UNIT_BYTES: usize = 1024;
/// The unit of addresses: runs are counted in granules, slots are cut from one. In bytes.
pub(super) const GRANULE_BYTES: usize = 64 * 1024;
/// Slots of 1, 2, 4, 8, 16 and 32 KiB.
pub(super) const SLOT_CLASSES: usize = 6;
/// Granules in one transparent huge page of 2 MiB.
pub(super) const HUGE_GRANULES: u32 = 32;
/// Alignment of a region's first granule when huge pages are asked for, in bytes.
pub(super) const HUGE_BYTES: usize = HUGE_GRANULES as usize * GRANULE_BYTES;
/// Bytes of the table entry that describes a granule (see `table.rs`).
pub(super) const ENTRY_BYTES: usize = 32;
/// Bytes of one owner stamp.
pub(super) const STAMP_BYTES: usize = 8;
/// Bytes of the owner stamps of all units of one granule.
pub(super) const UNIT_STAMPS_BYTES: usize = GRANULE_BYTES / UNIT_BYTES * STAMP_BYTES;
/// Regions that one reservoir can have.
pub(super) const REGIONS_MAX: usize = 32;
/// Bits of a granule's number within its region: 2^27 granules are 8 TiB.
const LOCAL_BITS: u32 = 27;
/// Granules of the largest region.
pub(super) const REGION_GRANULES_MAX: u32 = 1 << LOCAL_BITS;
/// Orders of buddy runs: 2^0 to 2^27 granules.
pub(super) const ORDERS: usize = LOCAL_BITS as usize + 1;

const _: () = assert!(REGIONS_MAX.trailing_zeros() + LOCAL_BITS == u32::BITS);

/// The number of a granule: its region in the high bits, its place in the region in the low ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Granule(u32);

impl Granule {
    /// "No granule", where a list ends. It is the last granule of the last region, which is never handed out.
    pub(super) const NONE: Granule = Granule(u32::MAX);

    pub(super) fn new(region_index: usize, local: u32) -> Granule {
        debug_assert!(region_index < REGIONS_MAX && local < REGION_GRANULES_MAX);
        Granule((region_index as u32) << LOCAL_BITS | local)
    }

    pub(super) fn region_index(self) -> usize {
        (self.0 >> LOCAL_BITS) as usize
    }

    pub(super) fn local(self) -> u32 {
        self.0 & (REGION_GRANULES_MAX - 1)
    }

    /// The granule `count` further on in the same region.
    pub(super) fn offset(self, count: u32) -> Granule {
        debug_assert!(self.local() + count < REGION_GRANULES_MAX);
        Granule(self.0 + count)
    }
}

/// What a chunk of so many bytes is cut from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Size {
    /// A slot in a slot granule.
    Slot(SlotClass),
    /// So many whole granules, at least one.
    Run(u32),
}

impl Size {
    /// The size that `bytes` names: 1, 2, 4, 8, 16 or 32 KiB, or a multiple of 64 KiB; anything else has none, and
    /// so has what is larger than a region can be.
    pub(super) fn of(bytes: usize) -> Option<Size> {
        if bytes >= GRANULE_BYTES {
            let granules = u32::try_from(bytes / GRANULE_BYTES).ok()?;
            let fits = bytes.is_multiple_of(GRANULE_BYTES) && granules <= REGION_GRANULES_MAX;
            return fits.then_some(Size::Run(granules));
        }
        let fits = bytes.is_power_of_two() && bytes >= UNIT_BYTES;
        fits.then(|| Size::Slot(SlotClass((bytes / UNIT_BYTES).trailing_zeros() as u8)))
    }

    pub(super) fn bytes(self) -> usize {
        match self {
            Size::Slot(class) => class.bytes(),
            Size::Run(granules) => granules as usize * GRANULE_BYTES,
        }
    }
}

/// One of the six sizes of slot: 1 KiB << class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SlotClass(u8);

impl SlotClass {
    /// The class with this number.
    pub(super) fn new(index: usize) -> SlotClass {
        assert!(index < SLOT_CLASSES);
        SlotClass(index as u8)
    }

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }

    pub(super) fn bytes(self) -> usize {
        UNIT_BYTES << self.0
    }

    /// One bit for each slot of a granule of this class.
    pub(super) fn all_slots(self) -> u64 {
        u64::MAX >> (64 - (GRANULE_BYTES >> self.0) / UNIT_BYTES)
    }

    /// The slots that share committed pages with slot `slot`: those of one page, or the slot alone if it has pages
    /// of its own.
    pub(super) fn page_mates(self, slot: u32, page_bytes: usize) -> u64 {
        let slots_per_page = (page_bytes / self.bytes()).max(1) as u32;
        let first = slot / slots_per_page * slots_per_page;
        (u64::MAX >> (64 - slots_per_page)) << first
    }

    /// Slot `slot`'s distance from the start of its granule, in bytes.
    pub(super) fn slot_offset(self, slot: u32) -> usize {
        slot as usize * self.bytes()
    }

    /// The slot that starts at `offset` bytes from the start of its granule, if one does.
    pub(super) fn slot_at(self, offset: usize) -> Option<u32> {
        (offset < GRANULE_BYTES && offset.is_multiple_of(self.bytes()))
            .then(|| (offset / self.bytes()) as u32)
    }
}

/// The order of the smallest buddy run that holds `granules` (at least 1).
pub(super) fn order_of(granules: u32) -> u32 {
    granules.next_power_of_two().trailing_zeros()
}

/// The other half of the run of twice the size that contains the run of order `order` at `local`.
pub(super) fn buddy_of(local: u32, order: u32) -> u32 {
    local ^ (1 << order)
}

/// The order of the largest aligned run that starts at `from` and does not pass `to`.
pub(super) fn largest_order(from: u32, to: u32) -> u32 {
    debug_assert!(from < to);
    let fitting = (to - from).ilog2();
    if from == 0 { fitting } else { fitting.min(from.trailing_zeros()) }
}

/// `value` rounded up to a multiple of `step`, a power of two.
pub(super) fn round_up(value: usize, step: usize) -> usize {
    debug_assert!(step.is_power_of_two());
    (value + step - 1) & !(step - 1)
}

/// How many granules go back to the system in one bite from the top of a run of `granules`: all of it up to
/// `bite`, otherwise `bite`. With `huge`, what stays is whole huge pages, so that none is left half charged.
pub(super) fn bite_of(granules: u32, bite: u32, huge: bool) -> u32 {
    let keeps = granules.saturating_sub(bite);
    granules - if huge { keeps / HUGE_GRANULES * HUGE_GRANULES } else { keeps }
}

/// Where the parts of a region lie, in bytes from the start of its mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RegionLayout {
    pub(super) granules: u32,
    pub(super) stamps_at: usize,
    pub(super) unit_stamps_at: usize,
    pub(super) granules_at: usize,
}

impl RegionLayout {
    /// Bytes to map for a region of `granules` whose first granule is aligned to `align`.
    pub(super) fn mapping_bytes(granules: u32, page_bytes: usize, align: usize) -> usize {
        RegionLayout::tables_end(granules, page_bytes) + align + granules as usize * GRANULE_BYTES
    }

    /// The layout of a mapping of [`RegionLayout::mapping_bytes`] that starts at the address `start`.
    pub(super) fn at(start: usize, granules: u32, page_bytes: usize, align: usize) -> RegionLayout {
        let stamps_at = round_up(granules as usize * ENTRY_BYTES, page_bytes);
        let unit_stamps_at = stamps_at + round_up(granules as usize * STAMP_BYTES, page_bytes);
        let tables_end = RegionLayout::tables_end(granules, page_bytes);
        let granules_at = round_up(start + tables_end, align) - start;
        RegionLayout { granules, stamps_at, unit_stamps_at, granules_at }
    }

    /// Bytes of entries and stamps that the first `frontier` granules can touch.
    pub(super) fn tables_bytes(frontier: u32, page_bytes: usize) -> usize {
        round_up(frontier as usize * ENTRY_BYTES, page_bytes)
            + round_up(frontier as usize * STAMP_BYTES, page_bytes)
    }

    /// The pages of entries, and those of stamps, that `from` granules touch and `to` granules do not: where each begins in the mapping, and
    /// its bytes.
    pub(super) fn tables_between(&self, to: u32, from: u32, page_bytes: usize) -> [(usize, usize); 2] {
        let pages = |table_at: usize, bytes: usize| {
            let [end, begin] = [from, to].map(|granules| round_up(granules as usize * bytes, page_bytes));
            (table_at + begin, end - begin)
        };
        [pages(0, ENTRY_BYTES), pages(self.stamps_at, STAMP_BYTES)]
    }

    fn tables_end(granules: u32, page_bytes: usize) -> usize {
        let unit_stamps = round_up(granules as usize * UNIT_STAMPS_BYTES, page_bytes);
        RegionLayout::tables_bytes(granules, page_bytes) + unit_stamps
    }
}

/// The granule whose entry remembers whether the page with `granule`'s unit stamps has been paid for, and how many granules
/// share that page with it, itself included.
pub(super) fn unit_stamps_page(granule: Granule, page_bytes: usize) -> (Granule, u32) {
    let granules_per_page = (page_bytes / UNIT_STAMPS_BYTES).max(1) as u32;
    let first = granule.local() / granules_per_page * granules_per_page;
    (Granule::new(granule.region_index(), first), granules_per_page)
}

// Numbers only: the interpreter has nothing to find here.
#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    const PAGES: [usize; 3] = [4096, 16 * 1024, 64 * 1024];

    #[test]
    fn every_size_up_to_three_granules_is_a_slot_a_run_or_nothing() {
        for bytes in 0..=3 * GRANULE_BYTES {
            let expected_slot = [1, 2, 4, 8, 16, 32].contains(&(bytes / 1024)) && bytes.is_multiple_of(1024);
            let expected_run = bytes > 0 && bytes.is_multiple_of(GRANULE_BYTES);
            let size = Size::of(bytes);
            assert_eq!(matches!(size, Some(Size::Slot(_))), expected_slot, "{bytes}");
            assert_eq!(matches!(size, Some(Size::Run(_))), expected_run, "{bytes}");
            assert_eq!(size.map_or(bytes, Size::bytes), bytes);
        }
        assert_eq!(Size::of(usize::MAX), None);
        assert_eq!(Size::of(usize::MAX / GRANULE_BYTES * GRANULE_BYTES), None);
    }

    #[test]
    fn page_mates_partition_the_slots_and_fill_whole_pages() {
        for page_bytes in PAGES {
            for class in (0..SLOT_CLASSES).map(SlotClass::new) {
                let mut seen = 0u64;
                for slot in 0..class.all_slots().count_ones() {
                    let mates = class.page_mates(slot, page_bytes);
                    assert_ne!(mates & 1 << slot, 0);
                    assert_eq!(mates & !class.all_slots(), 0);
                    assert!((mates.count_ones() as usize * class.bytes()).is_multiple_of(page_bytes));
                    assert!(seen & mates == 0 || seen & mates == mates);
                    seen |= mates;
                    assert_eq!(class.slot_at(class.slot_offset(slot)), Some(slot));
                }
                assert_eq!(seen, class.all_slots());
                assert_eq!(class.slot_at(GRANULE_BYTES), None);
                assert_eq!(class.slot_at(1), None);
            }
        }
    }

    #[test]
    fn orders_and_buddies_agree_with_their_definitions() {
        for granules in 1..=1024u32 {
            let order = order_of(granules);
            assert!(1 << order >= granules && (order == 0 || 1 << (order - 1) < granules));
        }
        for order in 0..8 {
            for block in 0..64u32 {
                let (local, buddy) = (block << order, buddy_of(block << order, order));
                assert_eq!(buddy_of(buddy, order), local);
                assert_eq!(local.min(buddy) % (2 << order), 0);
                assert_eq!(local.abs_diff(buddy), 1 << order);
            }
        }
    }

    #[test]
    fn largest_order_is_aligned_fits_and_cannot_be_larger() {
        for from in 0..128u32 {
            for to in from + 1..=128 {
                let fits = |order: u32| from.is_multiple_of(1 << order) && from + (1 << order) <= to;
                let order = largest_order(from, to);
                assert!(fits(order) && !fits(order + 1), "{from}..{to}");
            }
        }
    }

    #[test]
    fn bites_end_and_leave_whole_huge_pages() {
        for bite in [1, 8, 64] {
            for granules in 1..300u32 {
                assert_eq!(bite_of(granules, bite, false), granules.min(bite));
                let cut = bite_of(granules, bite, true);
                assert!(cut >= granules.min(bite) && cut <= granules);
                assert!((granules - cut).is_multiple_of(HUGE_GRANULES));
            }
        }
    }

    #[test]
    fn the_parts_of_a_region_do_not_overlap_and_fit_its_mapping() {
        for page_bytes in PAGES {
            for align in [GRANULE_BYTES, HUGE_BYTES] {
                for granules in (1..200).chain([16_384, REGION_GRANULES_MAX]) {
                    for start in [page_bytes, 7 * page_bytes, 33 * GRANULE_BYTES] {
                        let mapping_bytes = RegionLayout::mapping_bytes(granules, page_bytes, align);
                        let layout = RegionLayout::at(start, granules, page_bytes, align);
                        let count = granules as usize;
                        assert!(count * ENTRY_BYTES <= layout.stamps_at);
                        assert!(layout.stamps_at + count * STAMP_BYTES <= layout.unit_stamps_at);
                        assert!(layout.unit_stamps_at + count * UNIT_STAMPS_BYTES <= layout.granules_at);
                        assert!(layout.granules_at + count * GRANULE_BYTES <= mapping_bytes);
                        assert!((start + layout.granules_at).is_multiple_of(align));
                        assert!(layout.stamps_at.is_multiple_of(page_bytes));
                        assert!(layout.unit_stamps_at.is_multiple_of(page_bytes));
                    }
                }
            }
        }
    }

    #[test]
    fn granule_numbers_keep_region_and_place() {
        for region_index in 0..REGIONS_MAX {
            for local in [0, 1, 12_345, REGION_GRANULES_MAX - 2] {
                let granule = Granule::new(region_index, local);
                assert_eq!((granule.region_index(), granule.local()), (region_index, local));
                assert_ne!(granule, Granule::NONE);
                assert_eq!(granule.offset(1).local(), local + 1);
            }
        }
    }

    #[test]
    fn the_pages_between_two_frontiers_are_those_that_one_touches_more() {
        for page_bytes in PAGES {
            let layout = RegionLayout::at(0, 3000, page_bytes, GRANULE_BYTES);
            for (to, from) in (0..3000).step_by(97).flat_map(|to| [(to, to), (to, to + 1), (to, 2999)]) {
                let [entries, stamps] = layout.tables_between(to, from, page_bytes);
                let bytes =
                    RegionLayout::tables_bytes(from, page_bytes) - RegionLayout::tables_bytes(to, page_bytes);
                assert_eq!(entries.1 + stamps.1, bytes);
                assert!(entries.0 >= to as usize * ENTRY_BYTES && entries.0 + entries.1 <= layout.stamps_at);
                assert!(stamps.0 >= layout.stamps_at + to as usize * STAMP_BYTES);
                assert!(stamps.0 + stamps.1 <= layout.unit_stamps_at);
            }
        }
    }

    #[test]
    fn granules_of_one_page_of_unit_stamps_share_their_mark() {
        for page_bytes in PAGES {
            for local in 0..400 {
                let (mark, count) = unit_stamps_page(Granule::new(3, local), page_bytes);
                let mark = mark.local();
                assert!((mark..mark + count).contains(&local));
                let page = |local: u32| local as usize * UNIT_STAMPS_BYTES / page_bytes;
                assert!(mark <= local && page(mark) == page(local));
                assert!(mark == 0 || page(mark - 1) != page(mark));
            }
        }
    }
}
