//! Slots: chunks of 1 to 32 KiB, cut from granules of one class each.
//!
//! A granule has at most 64 slots, so two words say everything: `carved` (the slot's pages are committed) and
//! `free` (carved, and in no arena's hands). Pages are carved one at a time: the first slot of 1 KiB commits 4 KiB
//! and leaves three warm neighbours, never 64 KiB. A page whose slots are all free can go back to the system, and
//! so can a granule.
//!
//! Each slot granule is in at most one list of its class: `warm` if it has a free slot, otherwise `room` if it has
//! pages left to carve (invariant S1).

use super::layout::{Granule, SLOT_CLASSES, SlotClass};
use super::table::{Entries, List, State};

/// The slot granules of all classes.
pub(super) struct Slots {
    warm: [List; SLOT_CLASSES],
    room: [List; SLOT_CLASSES],
    page_bytes: usize,
}

/// What [`Slots::reclaim`] found in one granule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Idle {
    pub(super) granule: Granule,
    pub(super) class: SlotClass,
    /// Slots that are committed and free, and fill whole pages.
    pub(super) slots: u64,
    /// Whether they are all that the granule has committed.
    pub(super) whole: bool,
}

impl Slots {
    pub(super) const fn new(page_bytes: usize) -> Slots {
        Slots { warm: [List::EMPTY; SLOT_CLASSES], room: [List::EMPTY; SLOT_CLASSES], page_bytes }
    }

    /// Takes a slot that is committed and free.
    pub(super) fn take_warm(&mut self, entries: &mut Entries, class: SlotClass) -> Option<(Granule, u32)> {
        let granule = self.warm[class.index()].first()?;
        let slot = entries[granule].free.trailing_zeros();
        let before = self.list_of(entries, granule);
        entries[granule].free &= !(1 << slot);
        self.relist(entries, granule, before);
        Some((granule, slot))
    }

    /// A granule of the class with pages left to carve.
    pub(super) fn room(&self, class: SlotClass) -> Option<Granule> {
        self.room[class.index()].first()
    }

    /// Bytes that carving commits at a time: a page, or a slot that has several.
    pub(super) fn carve_bytes(&self, class: SlotClass) -> usize {
        self.page_bytes.max(class.bytes())
    }

    /// Makes a live granule into slots, none of them carved.
    pub(super) fn add(&mut self, entries: &mut Entries, granule: Granule, class: SlotClass) {
        let entry = &mut entries[granule];
        assert_eq!(entry.state, State::Live);
        entry.state = State::Slots;
        entry.class = class.index() as u8;
        (entry.carved, entry.free) = (0, 0);
        self.room[class.index()].push_front(entries, granule);
    }

    /// Commits the next page of `granule` and takes its first slot; the others are free.
    pub(super) fn carve(&mut self, entries: &mut Entries, granule: Granule) -> u32 {
        let class = class_of(entries, granule);
        let slot = (!entries[granule].carved & class.all_slots()).trailing_zeros();
        assert!(slot < u64::BITS, "only a granule with room is carved");
        let mates = class.page_mates(slot, self.page_bytes);
        let before = self.list_of(entries, granule);
        entries[granule].carved |= mates;
        entries[granule].free |= mates & !(1 << slot);
        self.relist(entries, granule, before);
        slot
    }

    /// Takes back the slot of `bytes` at `offset` of `granule`.
    pub(super) fn put(&mut self, entries: &mut Entries, granule: Granule, offset: usize, bytes: usize) {
        assert_eq!(entries[granule].state, State::Slots, "a slot comes back to a slot granule");
        let class = class_of(entries, granule);
        assert_eq!(class.bytes(), bytes, "a slot comes back with the size it left with");
        let slot = class.slot_at(offset).expect("a slot comes back where it starts");
        let (carved, free) = (entries[granule].carved, entries[granule].free);
        assert!(carved & 1 << slot != 0 && free & 1 << slot == 0, "a slot comes back once");
        let before = self.list_of(entries, granule);
        entries[granule].free |= 1 << slot;
        self.relist(entries, granule, before);
    }

    /// Looks at one granule of the class for pages with no slot in use, and moves it behind the others.
    pub(super) fn reclaim(&mut self, entries: &mut Entries, class: SlotClass) -> Option<Idle> {
        let granule = self.warm[class.index()].pop_front(entries)?;
        self.warm[class.index()].push_back(entries, granule);
        let (carved, free) = (entries[granule].carved, entries[granule].free);
        let whole = carved == free;
        let slots = if whole { free } else { idle_pages(class, free, self.page_bytes) };
        Some(Idle { granule, class, slots, whole })
    }

    /// How many granules of the class have a free slot.
    pub(super) fn warm_count(&self, class: SlotClass) -> u32 {
        self.warm[class.index()].count()
    }

    /// Notes that the pages of `idle` are no longer committed. A granule with none left is a live run again.
    pub(super) fn uncarve(&mut self, entries: &mut Entries, idle: Idle) {
        let before = self.list_of(entries, idle.granule);
        let entry = &mut entries[idle.granule];
        assert_eq!(entry.free & idle.slots, idle.slots);
        entry.carved &= !idle.slots;
        entry.free &= !idle.slots;
        if !idle.whole {
            return self.relist(entries, idle.granule, before);
        }
        entry.state = State::Live;
        if let Some(list) = before {
            self.list(idle.class, list).remove(entries, idle.granule);
        }
    }

    fn list(&mut self, class: SlotClass, warm: bool) -> &mut List {
        let lists = if warm { &mut self.warm } else { &mut self.room };
        &mut lists[class.index()]
    }

    /// The list that S1 puts a granule in: `Some(true)` for warm, `Some(false)` for room.
    fn list_of(&self, entries: &Entries, granule: Granule) -> Option<bool> {
        let entry = &entries[granule];
        if entry.free != 0 {
            return Some(true);
        }
        (entry.carved != class_of(entries, granule).all_slots()).then_some(false)
    }

    fn relist(&mut self, entries: &mut Entries, granule: Granule, before: Option<bool>) {
        let (class, after) = (class_of(entries, granule), self.list_of(entries, granule));
        if before == after {
            return;
        }
        if let Some(list) = before {
            self.list(class, list).remove(entries, granule);
        }
        if let Some(list) = after {
            self.list(class, list).push_front(entries, granule);
        }
    }
}

fn class_of(entries: &Entries, granule: Granule) -> SlotClass {
    SlotClass::new(entries[granule].class as usize)
}

/// The slots of those pages that have no slot outside `free`.
fn idle_pages(class: SlotClass, free: u64, page_bytes: usize) -> u64 {
    let (mut idle, mut left) = (0, free);
    while left != 0 {
        let mates = class.page_mates(left.trailing_zeros(), page_bytes);
        if free & mates == mates {
            idle |= mates;
        }
        left &= !mates;
    }
    idle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_pages_are_those_with_every_slot_free() {
        let kib = SlotClass::new(0);
        assert_eq!(idle_pages(kib, 0b1111_0111, 4096), 0b1111_0000);
        assert_eq!(idle_pages(kib, u64::MAX, 4096), u64::MAX);
        assert_eq!(idle_pages(kib, u64::MAX >> 1, 65_536), 0);
        let large = SlotClass::new(5);
        assert_eq!(idle_pages(large, 0b10, 4096), 0b10);
    }
}
