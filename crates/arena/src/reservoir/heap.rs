//! What the reservoir's lock guards: the warm runs and slots, the cold runs, and the steps that move between them.
//!
//! ```text
//!             take (cold: commits)                        take (warm)
//!   cold ---------------------------> live <---------------------------- warm
//!    ^                                 | give_back: one splice            ^ |
//!    |                                 '--> incoming --> pending --sort---' |
//!    '------------------------------ trim (decommits) ----------------------'
//! ```
//!
//! Terms: *committed* memory may have pages behind it. A chunk is *live* from `take` until `give_back`, then *warm*.
//!
//! - H1 What is committed is charged: live memory to whoever took it, warm memory and tables to the [`Account`].
//! - H2 A charge is made before memory is touched for the first time, and released after its pages are gone.
//! - H3 A chunk is in exactly one place: live, incoming, pending, one warm list, or cold.
//! - H4 The lock is held from the choice of a warm chunk until its charge is released, so that nobody sees the budget
//!   short of a chunk that no list has.

use super::Account;
use super::layout::{self, GRANULE_BYTES, Granule, RegionLayout, SLOT_CLASSES, Size, SlotClass};
use super::slots::{Idle, Slots};
use super::space::Space;
use super::table::{Entries, List, State};
use super::{Buddy, ChunkHeader, Shortage};
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

/// Chunks that one `take` sorts at most before it goes to cold memory.
const SORT_MAX: usize = 32;
/// Granules that one bite of trimming gives back (4 MiB), and one step.
pub(super) const BITE_GRANULES: u32 = 64;
/// Runs, or granules of slots, that one step of trimming looks at.
const STEP_CHUNKS: u32 = 8;
/// Runs of odd sizes that one `take` looks at.
const ODD_LOOKS_MAX: usize = 8;
/// Orders of the runs that are kept by size: 64 KiB to 64 MiB.
const KEPT_ORDERS: usize = 11;

/// The figures that are read without the lock, in bytes. All but `returned` are written under it only; `taken`,
/// `returned` and `idle` wrap around, their sums do not.
#[derive(Default)]
pub(super) struct Counters {
    /// Handed out so far.
    taken: AtomicUsize,
    /// Come back so far.
    returned: AtomicUsize,
    /// What became warm otherwise than by coming back, less what stopped being warm.
    idle: AtomicUsize,
    tables: AtomicUsize,
    /// How often warm memory was released: no figure, only to be compared.
    releases: AtomicUsize,
}

/// Adds to a counter that only the holder of the lock writes.
fn add(counter: &AtomicUsize, value: usize) {
    counter.store(counter.load(Relaxed).wrapping_add(value), Release);
}

impl Counters {
    /// Notes chunks that come back; without the lock.
    pub(super) fn note_return(&self, bytes: usize) {
        let before = self.returned.fetch_add(bytes, Release);
        debug_assert!(
            self.taken.load(Relaxed).wrapping_sub(before) >= bytes,
            "no more comes back than was taken"
        );
    }

    /// In arenas' hands; too high rather than too low while others work.
    pub(super) fn live(&self) -> usize {
        let returned = self.returned.load(Acquire);
        self.taken.load(Acquire).wrapping_sub(returned)
    }

    /// Committed and in nobody's hands; as above.
    pub(super) fn warm(&self) -> usize {
        let idle = self.idle.load(Acquire);
        self.returned.load(Acquire).wrapping_add(idle)
    }

    pub(super) fn tables(&self) -> usize {
        self.tables.load(Relaxed)
    }

    pub(super) fn releases(&self) -> usize {
        self.releases.load(Acquire)
    }
}

/// What a step works on beside the heap itself.
pub(super) struct Context<'a> {
    pub(super) space: &'a Space,
    pub(super) counters: &'a Counters,
    pub(super) incoming: &'a AtomicPtr<ChunkHeader>,
    pub(super) account: &'a dyn Account,
}

impl Context<'_> {
    fn charge_warm(&self, bytes: usize) -> Result<(), Shortage> {
        if bytes > 0 && !self.account.charge_warm(bytes) {
            return Err(Shortage::Budget { bytes });
        }
        add(&self.counters.idle, bytes);
        Ok(())
    }

    fn release_warm(&self, bytes: usize) {
        assert!(bytes > 0);
        assert!(self.counters.warm() >= bytes, "warm memory is released once");
        add(&self.counters.idle, bytes.wrapping_neg());
        self.account.release_warm(bytes);
        add(&self.counters.releases, 1);
    }

    /// Takes back a charge that was made for nothing.
    fn undo_warm(&self, bytes: usize) {
        if bytes > 0 {
            self.release_warm(bytes);
        }
    }

    fn charge_tables(&self, bytes: usize) -> Result<(), Shortage> {
        if bytes > 0 && !self.account.charge_tables(bytes) {
            return Err(Shortage::Budget { bytes });
        }
        add(&self.counters.tables, bytes);
        Ok(())
    }

    fn release_tables(&self, bytes: usize) {
        add(&self.counters.tables, bytes.wrapping_neg());
        self.account.release_tables(bytes);
        add(&self.counters.releases, 1);
    }
}

/// A chunk's place: its granule and the distance from its start in bytes.
type Place = (Granule, usize);

/// The state under the lock.
pub(super) struct Heap {
    entries: Entries,
    buddy: Buddy,
    slots: Slots,
    /// Warm runs of `1 << order` granules.
    runs: [List; KEPT_ORDERS],
    /// Warm runs of other sizes, reused only for exactly their size.
    odd: List,
    /// Warm runs too large to keep.
    oversize: List,
    /// Chunks taken over from `incoming` and not sorted yet.
    pending: *mut ChunkHeader,
    /// Bytes of fixed structures that are not charged yet: the first `take` does it.
    fixed_bytes_due: usize,
}

// SAFETY: `pending` leads to chunks that nobody but the heap holds.
unsafe impl Send for Heap {}

impl Heap {
    pub(super) fn new(page_bytes: usize, fixed_bytes: usize) -> Heap {
        Heap {
            entries: Entries::new(),
            buddy: Buddy::new(),
            slots: Slots::new(page_bytes),
            runs: [List::EMPTY; KEPT_ORDERS],
            odd: List::EMPTY,
            oversize: List::EMPTY,
            pending: ptr::null_mut(),
            fixed_bytes_due: fixed_bytes,
        }
    }

    /// Finds a chunk for somebody who is charged for it already: warm if there is one, otherwise cold; where that
    /// fails for want of budget or addresses, once more after giving warm memory up.
    pub(super) fn take(&mut self, cx: &Context<'_>, size: Size) -> Result<Place, Shortage> {
        let place = match self.try_take(cx, size) {
            Err(shortage) => {
                let wanted = match shortage {
                    Shortage::Budget { bytes } => bytes,
                    // Cold runs join: whatever is warm may be what keeps two halves apart.
                    Shortage::Addresses => usize::MAX,
                };
                if self.give_up(cx, wanted) == 0 {
                    return Err(shortage);
                }
                self.try_take(cx, size)?
            }
            Ok(place) => place,
        };
        add(&cx.counters.taken, size.bytes());
        Ok(place)
    }

    /// Takes a warm chunk together with its charge, which `transfer` moves from the account to the taker's budget;
    /// if `transfer` refuses, the chunk stays.
    pub(super) fn take_with_charge(
        &mut self,
        cx: &Context<'_>,
        size: Size,
        transfer: impl FnOnce() -> bool,
    ) -> Option<Place> {
        let mut place = self.take_warm(size);
        while place.is_none() && self.sort_one(cx) {
            place = self.take_warm(size);
        }
        let (granule, offset) = place?;
        if !transfer() {
            self.put_warm(granule, offset, size.bytes());
            return None;
        }
        add(&cx.counters.idle, size.bytes().wrapping_neg());
        add(&cx.counters.taken, size.bytes());
        place
    }

    fn try_take(&mut self, cx: &Context<'_>, size: Size) -> Result<Place, Shortage> {
        cx.charge_tables(self.fixed_bytes_due)?;
        self.fixed_bytes_due = 0;
        if let Some(place) = self.take_warm_or_sort(cx, size) {
            cx.release_warm(size.bytes());
            return Ok(place);
        }
        match size {
            Size::Slot(class) => self.take_cold_slot(cx, class),
            Size::Run(granules) => Ok((self.take_cold_run(cx, granules)?, 0)),
        }
    }

    // ------------------------------------------------------------------------------------------------- warm

    fn take_warm_or_sort(&mut self, cx: &Context<'_>, size: Size) -> Option<Place> {
        for _ in 0..SORT_MAX {
            if let Some(place) = self.take_warm(size) {
                return Some(place);
            }
            if !self.sort_one(cx) {
                return None;
            }
        }
        self.take_warm(size)
    }

    fn take_warm(&mut self, size: Size) -> Option<Place> {
        let run = match size {
            Size::Slot(class) => {
                let (granule, slot) = self.slots.take_warm(&mut self.entries, class)?;
                return Some((granule, class.slot_offset(slot)));
            }
            Size::Run(granules) => match kept_order(granules) {
                Some(order) => self.runs[order].pop_front(&mut self.entries)?,
                None => self.take_odd(granules)?,
            },
        };
        self.entries[run].state = State::Live;
        Some((run, 0))
    }

    fn take_odd(&mut self, granules: u32) -> Option<Granule> {
        let mut next = self.odd.first();
        for _ in 0..ODD_LOOKS_MAX {
            let run = next?;
            if self.entries[run].granules == granules {
                self.odd.remove(&mut self.entries, run);
                return Some(run);
            }
            next = List::after(&self.entries, run);
        }
        None
    }

    /// Puts one returned chunk into its list; false when there is none.
    fn sort_one(&mut self, cx: &Context<'_>) -> bool {
        if self.pending.is_null() && !cx.incoming.load(Relaxed).is_null() {
            self.pending = cx.incoming.swap(ptr::null_mut(), Acquire);
        }
        if self.pending.is_null() {
            return false;
        }
        // SAFETY: chunks in the chain were given up to the reservoir with a valid header (`give_back` 1, 2), and the
        // swap above synchronizes with the push of their last holder.
        let (next, base, bytes) =
            unsafe { ((*self.pending).next, (*self.pending).base, (*self.pending).bytes) };
        self.pending = next;
        let (granule, offset) = cx.space.locate(base.addr()).expect("a chunk goes back to its own reservoir");
        cx.space.clear_owner(granule, offset, bytes);
        self.put_warm(granule, offset, bytes);
        true
    }

    fn put_warm(&mut self, granule: Granule, offset: usize, bytes: usize) {
        if bytes < GRANULE_BYTES {
            return self.slots.put(&mut self.entries, granule, offset, bytes);
        }
        let entry = &mut self.entries[granule];
        assert_eq!(entry.state, State::Live, "a run comes back once");
        assert_eq!(
            (entry.granules as usize * GRANULE_BYTES, offset),
            (bytes, 0),
            "a run comes back as it left"
        );
        entry.state = State::Warm;
        self.warm_list(granule).push_front(granule);
    }

    fn warm_list(&mut self, run: Granule) -> ListIn<'_> {
        let granules = self.entries[run].granules;
        let list = match kept_order(granules) {
            Some(order) => &mut self.runs[order],
            None if granules >> (KEPT_ORDERS - 1) == 0 => &mut self.odd,
            None => &mut self.oversize,
        };
        ListIn { list, entries: &mut self.entries }
    }

    // ------------------------------------------------------------------------------------------------- cold

    fn take_cold_run(&mut self, cx: &Context<'_>, granules: u32) -> Result<Granule, Shortage> {
        let run = self.addresses(cx, layout::order_of(granules))?;
        self.entries[run].granules = granules;
        cx.space.allow_huge(run, granules);
        Ok(run)
    }

    fn take_cold_slot(&mut self, cx: &Context<'_>, class: SlotClass) -> Result<Place, Shortage> {
        // The taker paid for its slot, the reservoir pays for the others on the same page.
        let neighbours_bytes = self.slots.carve_bytes(class) - class.bytes();
        cx.charge_warm(neighbours_bytes)?;
        let granule = match self.slots.room(class) {
            Some(granule) => granule,
            None => self.add_slot_granule(cx, class).inspect_err(|_| cx.undo_warm(neighbours_bytes))?,
        };
        let slot = self.slots.carve(&mut self.entries, granule);
        Ok((granule, class.slot_offset(slot)))
    }

    fn add_slot_granule(&mut self, cx: &Context<'_>, class: SlotClass) -> Result<Granule, Shortage> {
        let page_bytes = cx.space.page_bytes();
        let granule = self.addresses(cx, 0)?;
        let (mark, _) = layout::unit_stamps_page(granule, page_bytes);
        if !self.entries[mark].unit_stamps_charged {
            if let Err(shortage) = cx.charge_tables(page_bytes) {
                self.buddy.free(&mut self.entries, granule, 0);
                return Err(shortage);
            }
            self.entries[mark].unit_stamps_charged = true;
        }
        cx.space.cut_into_slots(granule);
        self.slots.add(&mut self.entries, granule, class);
        Ok(granule)
    }

    /// Cold addresses for a run of `order`: used ones first, then new ones, then those of a new region.
    fn addresses(&mut self, cx: &Context<'_>, order: u32) -> Result<Granule, Shortage> {
        if let Some(run) = self.buddy.allocate(&mut self.entries, order) {
            return Ok(run);
        }
        let extension = match self.buddy.extension(order) {
            Some(extension) => extension,
            None => {
                self.add_region(cx.space, order)?;
                self.buddy.extension(order).ok_or(Shortage::Addresses)?
            }
        };
        let page_bytes = cx.space.page_bytes();
        let tables_bytes = |frontier| RegionLayout::tables_bytes(frontier, page_bytes);
        cx.charge_tables(tables_bytes(extension.highest.1) - tables_bytes(extension.highest.0))?;
        let run = self.buddy.extend(&mut self.entries, extension);
        cx.space.set_frontier(extension.region_index, extension.highest.1);
        Ok(run)
    }

    /// Adds a region that has room for a run of `order`.
    pub(super) fn add_region(&mut self, space: &Space, order: u32) -> Result<(), Shortage> {
        let granules_min = 1u32.checked_shl(order).ok_or(Shortage::Addresses)?;
        let (region_index, region) = space.add_region(granules_min).ok_or(Shortage::Addresses)?;
        let (table, granules) = region.entries();
        // SAFETY: 1: the table is at the start of the mapping, which is zero and lives until the reservoir, and with
        // it this heap, is dropped. 2: nothing but these entries uses that part of the mapping.
        unsafe { self.entries.add(region_index, table, granules) };
        self.buddy.add_region(granules);
        Ok(())
    }

    // ------------------------------------------------------------------------------------------------- trimming

    /// Whether something waits that is not kept warm, whatever the watermark says.
    pub(super) fn has_oversize(&self) -> bool {
        self.oversize.first().is_some()
    }

    /// One bounded step: gives back at most about `bytes_max` (and at least a run's bite, if there is one).
    pub(super) fn trim_step(&mut self, cx: &Context<'_>, bytes_max: usize) -> usize {
        for _ in 0..STEP_CHUNKS {
            if !self.sort_one(cx) {
                break;
            }
        }
        let mut freed_bytes = 0;
        for _ in 0..STEP_CHUNKS {
            if freed_bytes >= bytes_max {
                return freed_bytes;
            }
            match self.trim_run(cx) {
                Some(bytes) => freed_bytes += bytes,
                None => return freed_bytes + self.trim_slots(cx, bytes_max - freed_bytes, STEP_CHUNKS),
            }
        }
        freed_bytes
    }

    /// Gives back at least `wanted` bytes if that much is warm, 4 MiB or a little more at most.
    pub(super) fn trim_bite(&mut self, cx: &Context<'_>, wanted: usize) -> usize {
        let wanted = wanted.min(BITE_GRANULES as usize * GRANULE_BYTES);
        let mut freed_bytes = 0;
        while freed_bytes < wanted {
            match self.trim_run(cx) {
                Some(bytes) => freed_bytes += bytes,
                None if self.sort_one(cx) => {}
                None => return freed_bytes + self.trim_slots(cx, wanted - freed_bytes, u32::MAX),
            }
        }
        freed_bytes
    }

    fn give_up(&mut self, cx: &Context<'_>, wanted: usize) -> usize {
        let mut freed_bytes = 0;
        while freed_bytes < wanted {
            match self.trim_bite(cx, wanted - freed_bytes) {
                0 => break,
                bytes => freed_bytes += bytes,
            }
        }
        freed_bytes
    }

    /// Gives back one bite of a warm run: of what is too large to keep, then of odd sizes, then of the largest; of
    /// each the one that waited longest. `None` when there is no run, or the system takes nothing back.
    fn trim_run(&mut self, cx: &Context<'_>) -> Option<usize> {
        let lists = [&self.oversize, &self.odd].into_iter().chain(self.runs.iter().rev());
        let run = lists.into_iter().find_map(List::last)?;
        let granules = self.entries[run].granules;
        let cut = layout::bite_of(granules, BITE_GRANULES, cx.space.huge_pages());
        let stays = granules - cut;
        let (offset, bytes) = (stays as usize * GRANULE_BYTES, cut as usize * GRANULE_BYTES);
        // SAFETY: 1: the run is warm, so nobody holds it (H3), and what stays of it ends before `offset`.
        if !unsafe { cx.space.decommit(run, offset, bytes) } {
            return None;
        }
        self.warm_list(run).remove(run);
        self.entries[run].granules = stays;
        if stays > 0 {
            self.warm_list(run).push_back(run);
        } else {
            self.cool(cx, run);
        }
        cx.release_warm(bytes);
        Some(bytes)
    }

    /// Gives back idle pages of slots; looks at no more than `looks` granules.
    fn trim_slots(&mut self, cx: &Context<'_>, wanted: usize, mut looks: u32) -> usize {
        let mut freed_bytes = 0;
        for class in (0..SLOT_CLASSES).rev().map(SlotClass::new) {
            for _ in 0..self.slots.warm_count(class) {
                if freed_bytes >= wanted || looks == 0 {
                    return freed_bytes;
                }
                looks -= 1;
                let Some(idle) = self.slots.reclaim(&mut self.entries, class) else { break };
                let Some(bytes) = self.trim_slot_granule(cx, idle) else { return freed_bytes };
                freed_bytes += bytes;
            }
        }
        freed_bytes
    }

    fn trim_slot_granule(&mut self, cx: &Context<'_>, idle: Idle) -> Option<usize> {
        let Idle { granule, class, slots, whole } = idle;
        let mut left = slots;
        let mut gone = 0u64;
        while left != 0 {
            // Neighbouring slots go together.
            let first = left.trailing_zeros();
            let count = (left >> first).trailing_ones();
            let these = (u64::MAX >> (u64::BITS - count)) << first;
            let (offset, bytes) = (class.slot_offset(first), count as usize * class.bytes());
            // SAFETY: 1: the slots are free, so nobody holds them (H3), and fill whole pages (`Idle::slots`).
            if !unsafe { cx.space.decommit(granule, offset, bytes) } {
                break;
            }
            gone |= these;
            left &= !these;
        }
        if gone == 0 {
            return (slots == 0).then_some(0);
        }
        let whole = whole && left == 0;
        self.slots.uncarve(&mut self.entries, Idle { slots: gone, whole, ..idle });
        if whole {
            cx.space.clear_owner(granule, 0, GRANULE_BYTES);
            self.entries[granule].granules = 1;
            self.trim_unit_stamps(cx, granule);
            self.cool(cx, granule);
        }
        let bytes = gone.count_ones() as usize * class.bytes();
        cx.release_warm(bytes);
        Some(bytes)
    }

    /// Gives back the page with the unit stamps of a granule that is not cut into slots any more, if it was the last one there.
    fn trim_unit_stamps(&mut self, cx: &Context<'_>, granule: Granule) {
        let page_bytes = cx.space.page_bytes();
        let (mark, count) = layout::unit_stamps_page(granule, page_bytes);
        let count = count.min(cx.space.granules(mark) - mark.local());
        let is_used = (0..count).any(|index| self.entries[mark.offset(index)].state == State::Slots);
        if !is_used && self.entries[mark].unit_stamps_charged && cx.space.decommit_unit_stamps(mark) {
            self.entries[mark].unit_stamps_charged = false;
            cx.release_tables(page_bytes);
        }
    }

    /// Makes the addresses of a run without pages available again. They are lost if the system would still put huge
    /// pages there.
    fn cool(&mut self, cx: &Context<'_>, run: Granule) {
        let order = u32::from(self.entries[run].order);
        self.entries[run].state = State::Live;
        if cx.space.forbid_huge(run, 1 << order) {
            self.buddy.free(&mut self.entries, run, order);
            self.trim_tables(cx, run.region_index());
        }
    }

    /// Gives back the tables of a region behind its frontier.
    fn trim_tables(&mut self, cx: &Context<'_>, region_index: usize) {
        let (written, needed) = self.buddy.written(region_index);
        let page_bytes = cx.space.page_bytes();
        let bytes_of = |granules| RegionLayout::tables_bytes(granules, page_bytes);
        let bytes = bytes_of(written) - bytes_of(needed);
        if bytes == 0 || self.has_stamps_behind(cx, region_index, needed, written) {
            return;
        }
        // SAFETY: 1: behind the frontier entries are in no list (buddy.rs B2), and say what zeroes say but for marks, of which there are
        // none, as was just looked at. 2: these granules are cold.
        if unsafe { cx.space.decommit_tables(region_index, needed, written) } {
            self.buddy.forget_written(region_index);
            cx.release_tables(bytes);
        }
    }

    /// Whether pages of unit stamps are still charged that the entries `from..to` of a region tell of: the system did not take them back.
    fn has_stamps_behind(&self, cx: &Context<'_>, region_index: usize, from: u32, to: u32) -> bool {
        let is_mark = |local: &u32| {
            layout::unit_stamps_page(Granule::new(region_index, *local), cx.space.page_bytes()).0.local()
                == *local
        };
        (from..to)
            .filter(is_mark)
            .any(|local| self.entries[Granule::new(region_index, local)].unit_stamps_charged)
    }
}

/// A list together with the entries that it runs through.
struct ListIn<'a> {
    list: &'a mut List,
    entries: &'a mut Entries,
}

impl ListIn<'_> {
    fn push_front(self, run: Granule) {
        self.list.push_front(self.entries, run);
    }

    fn push_back(self, run: Granule) {
        self.list.push_back(self.entries, run);
    }

    fn remove(self, run: Granule) {
        self.list.remove(self.entries, run);
    }
}

/// The order of a run that is kept by size, if it is one.
fn kept_order(granules: u32) -> Option<usize> {
    let order = layout::order_of(granules) as usize;
    (granules.is_power_of_two() && order < KEPT_ORDERS).then_some(order)
}
