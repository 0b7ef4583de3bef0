//! The buddy allocator over granules: which addresses are free and cold.
//!
//! A run has `1 << order` granules and starts at a multiple of its length; its *buddy* is the other half of the run
//! twice as long. Example: with the frontier at 1, a run of order 2 starts at 4; the gap 1..4 becomes the cold runs 1
//! (order 0) and 2 (order 1), and the frontier moves to 8. When the run at 4 is free again, the frontier goes back
//! to 1.
//!
//! - B1 Two cold buddies are always joined.
//! - B2 Granules at or past a region's *frontier* are free and in no list: so the table is touched from the low end
//!   only, and a region of a tebibyte costs nothing before it is needed.
//! - B3 No cold run ends at the frontier. With B1 this makes every free aligned run one that can be taken.
//!
//! # Source
//! Knuth, The Art of Computer Programming, volume 1, section 2.5, algorithms R and S.

use super::layout::{self, Granule, ORDERS, REGIONS_MAX};
use super::table::{Entries, List, State};

/// The cold runs of all regions, by order, and the frontiers.
pub(super) struct Buddy {
    cold: [List; ORDERS],
    frontiers: [u32; REGIONS_MAX],
    /// The furthest that each frontier has been: entries below may have been written.
    highest: [u32; REGIONS_MAX],
    lengths: [u32; REGIONS_MAX],
    regions: usize,
}

/// A move of a frontier that makes room for one run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Extension {
    pub(super) region_index: usize,
    from: u32,
    start: u32,
    to: u32,
    /// How many entries of the region may have been written before, and how many afterwards.
    pub(super) highest: (u32, u32),
}

impl Buddy {
    pub(super) const fn new() -> Buddy {
        Buddy {
            cold: [List::EMPTY; ORDERS],
            frontiers: [0; REGIONS_MAX],
            highest: [0; REGIONS_MAX],
            lengths: [0; REGIONS_MAX],
            regions: 0,
        }
    }

    /// Makes the granules of the next region available.
    pub(super) fn add_region(&mut self, granules: u32) {
        self.lengths[self.regions] = granules;
        self.regions += 1;
    }

    /// Takes a run of `order` that was used before, cutting a longer one if need be. Its entry is left `Live`.
    pub(super) fn allocate(&mut self, entries: &mut Entries, order: u32) -> Option<Granule> {
        let found = (order..ORDERS as u32).find(|&longer| self.cold[longer as usize].first().is_some())?;
        let run = self.cold[found as usize].pop_front(entries)?;
        for halved in (order..found).rev() {
            self.put(entries, run.offset(1 << halved), halved);
        }
        entries[run].state = State::Live;
        entries[run].order = order as u8;
        Some(run)
    }

    /// The cheapest way to make a run of `order` from granules never used: the first region with room.
    pub(super) fn extension(&self, order: u32) -> Option<Extension> {
        (0..self.regions).find_map(|region_index| {
            let from = self.frontiers[region_index];
            let start = from.checked_next_multiple_of(1 << order)?;
            let to = start.checked_add(1 << order)?;
            let highest = (self.highest[region_index], self.highest[region_index].max(to));
            (to <= self.lengths[region_index]).then_some(Extension { region_index, from, start, to, highest })
        })
    }

    /// Moves a frontier and gives the run that this makes. Its entry is left `Live`.
    pub(super) fn extend(&mut self, entries: &mut Entries, extension: Extension) -> Granule {
        let Extension { region_index, from, start, to, highest } = extension;
        assert_eq!(self.frontiers[region_index], from);
        self.frontiers[region_index] = to;
        self.highest[region_index] = highest.1;
        // In this order the pieces are no buddies of each other, and none ends at the new frontier (B1, B3).
        let mut gap = from;
        while gap < start {
            let order = layout::largest_order(gap, start);
            self.put(entries, Granule::new(region_index, gap), order);
            gap += 1 << order;
        }
        let run = Granule::new(region_index, start);
        entries[run].state = State::Live;
        entries[run].order = (to - start).trailing_zeros() as u8;
        run
    }

    /// How many entries of a region may have been written, and how many of them need to stay.
    pub(super) fn written(&self, region_index: usize) -> (u32, u32) {
        (self.highest[region_index], self.frontiers[region_index])
    }

    /// Notes that the entries of a region from its frontier on are zeroes again.
    pub(super) fn forget_written(&mut self, region_index: usize) {
        self.highest[region_index] = self.frontiers[region_index];
    }

    /// Takes back a run, whose pages are no longer committed, and joins it with its cold buddies.
    pub(super) fn free(&mut self, entries: &mut Entries, run: Granule, order: u32) {
        let (region_index, mut local, mut order) = (run.region_index(), run.local(), order);
        assert_ne!(entries[run].state, State::Cold);
        assert!(local.is_multiple_of(1 << order));
        while let Some(buddy) = self.cold_buddy(entries, region_index, local, order) {
            self.cold[order as usize].remove(entries, buddy);
            let upper = Granule::new(region_index, local.max(buddy.local()));
            entries[upper].state = State::Inside;
            local = local.min(buddy.local());
            order += 1;
        }
        if local + (1 << order) == self.frontiers[region_index] {
            entries[Granule::new(region_index, local)].state = State::Inside;
            self.frontiers[region_index] = local;
            self.retreat(entries, region_index);
        } else {
            self.put(entries, Granule::new(region_index, local), order);
        }
    }

    /// Moves a frontier back past the cold runs that end at it (B3).
    fn retreat(&mut self, entries: &mut Entries, region_index: usize) {
        while let Some((run, order)) =
            self.cold_run_before(entries, region_index, self.frontiers[region_index])
        {
            self.cold[order as usize].remove(entries, run);
            entries[run].state = State::Inside;
            self.frontiers[region_index] = run.local();
        }
    }

    fn cold_run_before(&self, entries: &Entries, region_index: usize, end: u32) -> Option<(Granule, u32)> {
        let orders = 0..=end.checked_ilog2()?.min(end.trailing_zeros());
        orders.map(|order| (Granule::new(region_index, end - (1 << order)), order)).find(|(run, order)| {
            let entry = &entries[*run];
            entry.state == State::Cold && u32::from(entry.order) == *order
        })
    }

    fn cold_buddy(&self, entries: &Entries, region_index: usize, local: u32, order: u32) -> Option<Granule> {
        let buddy = layout::buddy_of(local, order);
        if buddy + (1 << order) > self.frontiers[region_index] {
            return None;
        }
        let buddy = Granule::new(region_index, buddy);
        let entry = &entries[buddy];
        (entry.state == State::Cold && u32::from(entry.order) == order).then_some(buddy)
    }

    fn put(&mut self, entries: &mut Entries, run: Granule, order: u32) {
        entries[run].state = State::Cold;
        entries[run].order = order as u8;
        self.cold[order as usize].push_front(entries, run);
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_types)]
mod tests {
    use super::*;
    use crate::reservoir::table::Entry;
    use alloc::{boxed::Box, vec::Vec};
    use core::mem::ManuallyDrop;
    use core::ptr::NonNull;
    use proptest::prelude::*;

    const GRANULES: u32 = if cfg!(miri) { 32 } else { 256 };
    const STEPS: usize = if cfg!(miri) { 30 } else { 200 };

    /// A buddy allocator over ordinary memory, beside the naive bitmap of what it has handed out.
    struct Model {
        buddy: Buddy,
        entries: ManuallyDrop<Entries>,
        table: NonNull<[Entry]>,
        used: Vec<bool>,
        runs: Vec<(Granule, u32)>,
    }

    impl Model {
        fn new(granules: u32) -> Model {
            let zeroed = || -> Entry {
                // SAFETY: an entry of zeroes is valid: numbers, `State::Inside` and false.
                unsafe { core::mem::zeroed() }
            };
            let table: Vec<Entry> = (0..granules).map(|_| zeroed()).collect();
            let table = NonNull::from(Box::leak(table.into_boxed_slice()));
            let (mut buddy, mut entries) = (Buddy::new(), Entries::new());
            // SAFETY: 1, 2: the table is freed by `drop` after the last use of `entries`, and used by nobody else.
            unsafe { entries.add(0, table.cast(), granules) };
            buddy.add_region(granules);
            Model {
                buddy,
                entries: ManuallyDrop::new(entries),
                table,
                used: vec![false; granules as usize],
                runs: Vec::new(),
            }
        }

        fn allocate(&mut self, order: u32) -> bool {
            let run = self.buddy.allocate(&mut self.entries, order).or_else(|| {
                let extension = self.buddy.extension(order)?;
                Some(self.buddy.extend(&mut self.entries, extension))
            });
            let Some(run) = run else {
                assert!(!self.has_room(order), "an aligned run of order {order} was free");
                return false;
            };
            let range = run.local() as usize..run.local() as usize + (1 << order);
            assert!(run.local().is_multiple_of(1 << order));
            assert!(self.used[range.clone()].iter().all(|used| !used), "handed out twice");
            self.used[range].fill(true);
            self.runs.push((run, order));
            true
        }

        fn free(&mut self, index: usize) {
            let (run, order) = self.runs.swap_remove(index);
            self.used[run.local() as usize..run.local() as usize + (1 << order)].fill(false);
            self.buddy.free(&mut self.entries, run, order);
        }

        /// The naive answer: is an aligned run of this order free? B1 makes the allocator as good as this.
        fn has_room(&self, order: u32) -> bool {
            self.used.chunks_exact(1 << order).any(|run| run.iter().all(|used| !used))
        }

        /// The cold runs and the frontier are exactly what is not used, and no two cold runs are buddies (B1 to B3).
        fn check(&self) {
            assert_eq!(self.buddy.cold_run_before(&self.entries, 0, self.buddy.frontiers[0]), None);
            let mut cold = vec![false; self.used.len()];
            for order in 0..ORDERS as u32 {
                let mut next = self.buddy.cold[order as usize].first();
                while let Some(run) = next {
                    let local = run.local() as usize;
                    assert!(cold[local..local + (1 << order)].iter().all(|cold| !cold));
                    cold[local..local + (1 << order)].fill(true);
                    assert_eq!(self.buddy.cold_buddy(&self.entries, 0, run.local(), order), None);
                    next = List::after(&self.entries, run);
                }
            }
            for (local, (used, cold)) in self.used.iter().zip(&cold).enumerate() {
                let untouched = local as u32 >= self.buddy.frontiers[0];
                assert_eq!(u8::from(*used) + u8::from(*cold) + u8::from(untouched), 1, "granule {local}");
            }
        }
    }

    impl Drop for Model {
        fn drop(&mut self) {
            // SAFETY: the table came from a leaked box, and `entries` is not used again.
            drop(unsafe { Box::from_raw(self.table.as_ptr()) });
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 3 } else { 256 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn every_step_agrees_with_a_bitmap(
            granules in 1..GRANULES,
            steps in prop::collection::vec((0..9u32, any::<prop::sample::Index>(), any::<bool>()), 1..STEPS),
        ) {
            let mut model = Model::new(granules);
            for (order, index, frees) in steps {
                if frees && !model.runs.is_empty() {
                    model.free(index.index(model.runs.len()));
                } else {
                    model.allocate(order);
                }
                model.check();
            }
            while !model.runs.is_empty() {
                model.free(0);
            }
            model.check();
        }
    }

    #[test]
    fn everything_joins_again_when_all_is_free() {
        let mut model = Model::new(GRANULES);
        while model.allocate(0) {}
        assert_eq!(model.runs.len(), GRANULES as usize);
        while !model.runs.is_empty() {
            model.free(model.runs.len() / 2);
        }
        model.check();
        assert!(model.allocate(GRANULES.ilog2()), "all granules are one run again");
    }

    #[test]
    fn the_first_runs_are_the_lowest_addresses() {
        let mut model = Model::new(GRANULES);
        for local in 0..4 {
            assert!(model.allocate(0));
            assert_eq!(model.runs[local].0.local(), local as u32);
        }
        assert!(model.allocate(3), "starts past the gap 4..8");
        assert!(model.allocate(2), "takes the gap");
        assert_eq!((model.runs[4].0.local(), model.runs[5].0.local()), (8, 4));
    }
}
