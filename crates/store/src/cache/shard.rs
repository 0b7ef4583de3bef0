//! One shard of the cache: a hash map and two queues in one array of slots.
//!
//! ```text
//!   slot i: | key | piece | links of its queue | link of its chain | first slot of chain i | ghost i | uses |
//! ```
//!
//! A key's chain begins in the slot that its hash names, whatever is in that slot itself; its ghost stands there too.
//! So growing the map is one allocation, and an empty one has none.

use allocator_api2::vec::Vec;
use cofferdam_arena::BudgetAlloc;

use super::{Piece, PieceKey};

/// No slot.
const NONE: u32 = u32::MAX;
/// Slots of the first array: what 1 KiB holds.
const SLOTS_MIN: usize = 16;
/// A use more than this many counts no more.
const USES_MAX: u8 = 3;
/// Pieces that one call of [`Shard::remove_some`] takes out.
const REMOVED_MAX: usize = 8;

const _: () = assert!(size_of::<Slot>() * SLOTS_MIN <= 1024);

/// One place for a piece.
struct Slot {
    key: PieceKey,
    piece: Option<Piece>,
    /// Towards the head of its queue, where the youngest is; in a free slot, the next free one.
    newer: u32,
    /// Towards the tail of its queue.
    older: u32,
    /// The next slot whose key has the same chain.
    chain_next: u32,
    /// The first slot of the chain with this slot's number.
    chain_first: u32,
    /// Fingerprint of a key of this chain that left the small queue; 0 for none.
    ghost: u32,
    uses: u8,
    is_main: bool,
}

/// A queue: its ends, and what its pieces are charged.
#[derive(Clone, Copy)]
struct Queue {
    newest: u32,
    oldest: u32,
    bytes: u64,
}

const EMPTY: Queue = Queue { newest: NONE, oldest: NONE, bytes: 0 };

/// A part of the cache under one lock.
pub(super) struct Shard {
    /// A power of two of slots, or none.
    slots: Vec<Slot, BudgetAlloc>,
    free: u32,
    pieces_count: usize,
    hits_count: u64,
    small: Queue,
    main: Queue,
}

/// What left a shard under its lock and is to be dropped outside of it: a piece, and the slots if it was the last one.
pub(super) struct Evicted {
    piece: Piece,
    slots: Option<Vec<Slot, BudgetAlloc>>,
}

impl Evicted {
    /// The piece, if `reuse` accepts it.
    pub(super) fn reuse(mut self, reuse: impl FnOnce(&mut Piece) -> bool) -> Result<Piece, Evicted> {
        if self.slots.is_none() && reuse(&mut self.piece) { Ok(self.piece) } else { Err(self) }
    }

    /// Drops it, and tells how many bytes that released.
    pub(super) fn release(self) -> u64 {
        let slots_bytes = self.slots.map_or(0, |slots| (slots.capacity() * size_of::<Slot>()) as u64);
        self.piece.release() + slots_bytes
    }
}

/// Some pieces that left a shard, to be dropped outside of its lock.
#[derive(Default)]
pub(super) struct Removed {
    evicted: [Option<Evicted>; REMOVED_MAX],
}

impl Removed {
    /// Drops them, and tells how many there were.
    pub(super) fn release(self) -> usize {
        self.evicted.into_iter().flatten().map(Evicted::release).count()
    }
}

fn fingerprint(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}

impl Shard {
    pub(super) fn new(alloc: &BudgetAlloc) -> Shard {
        let slots = Vec::new_in(alloc.clone());
        Shard { slots, free: NONE, pieces_count: 0, hits_count: 0, small: EMPTY, main: EMPTY }
    }

    #[cfg(test)]
    pub(super) fn pieces_count(&self) -> usize {
        self.pieces_count
    }

    /// How often a piece was there.
    #[cfg(test)]
    pub(super) fn hits_count(&self) -> u64 {
        self.hits_count
    }

    /// The piece at `key`, which counts as used.
    #[inline]
    pub(super) fn get(&mut self, key: PieceKey, hash: u64) -> Option<Piece> {
        let index = self.find(key, hash)?;
        let slot = &mut self.slots[index as usize];
        slot.uses = (slot.uses + 1).min(USES_MAX);
        self.hits_count += 1;
        slot.piece.clone()
    }

    /// Keeps a piece, and gives the one to use: the shard's own where somebody was quicker. Where no memory is to be
    /// had for a slot, nothing is kept.
    pub(super) fn insert(&mut self, key: PieceKey, hash: u64, piece: Piece) -> Piece {
        if let Some(there) = self.get(key, hash) {
            return there;
        }
        if self.free == NONE && !self.grow() {
            return piece;
        }
        let index = self.free;
        let chain = self.chain_of(hash);
        let is_main = core::mem::take(&mut self.slots[chain].ghost) == fingerprint(hash);
        let chain_next = self.slots[chain].chain_first;
        self.slots[chain].chain_first = index;
        let slot = &mut self.slots[index as usize];
        self.free = slot.newer;
        (slot.key, slot.piece, slot.chain_next) = (key, Some(piece.clone()), chain_next);
        (slot.uses, slot.is_main) = (0, is_main);
        self.pieces_count += 1;
        self.push_newest(index);
        piece
    }

    /// Whether the next piece needs more slots, which are charged under the lock.
    pub(super) fn is_full(&self) -> bool {
        self.free == NONE
    }

    /// Takes out the piece that is least likely to be used again; `None` where there is none that nobody holds.
    pub(super) fn evict(&mut self) -> Option<Evicted> {
        // A piece is passed over at most four times before its uses are spent, and those that are held go around once.
        let mut turns = self.pieces_count * (usize::from(USES_MAX) + 2);
        while turns > 0 {
            turns -= 1;
            let is_small_due = self.small.bytes * 9 >= self.main.bytes;
            let index = match (is_small_due, self.small.oldest, self.main.oldest) {
                (true, oldest, _) if oldest != NONE => oldest,
                (_, _, oldest) if oldest != NONE => oldest,
                (_, oldest, _) => oldest,
            };
            let slot = self.slots.get_mut(index as usize)?;
            let is_held = slot.piece.as_ref().is_some_and(Piece::is_held);
            let stays = is_held || if slot.is_main { slot.uses > 0 } else { slot.uses > 1 };
            if !stays {
                return self.remove(index, !self.slots[index as usize].is_main);
            }
            slot.uses = if slot.is_main { slot.uses.saturating_sub(1) } else { 0 };
            self.unlink(index);
            self.slots[index as usize].is_main = true;
            self.push_newest(index);
        }
        None
    }

    /// Takes out some of the pieces that are meant; none where there are none any more.
    pub(super) fn remove_some(&mut self, is_meant: impl Fn(PieceKey) -> bool) -> Removed {
        let mut removed = Removed::default();
        let mut places = removed.evicted.iter_mut();
        let mut index = 0;
        while index < self.slots.len() {
            if self.slots[index].piece.is_some() && is_meant(self.slots[index].key) {
                let Some(place) = places.next() else { break };
                *place = self.remove(index as u32, false);
            }
            index += 1;
        }
        removed
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        let empty = Vec::new_in(self.slots.allocator().clone());
        drop(core::mem::replace(&mut self.slots, empty));
        (self.free, self.pieces_count, self.small, self.main) = (NONE, 0, EMPTY, EMPTY);
    }

    // ------------------------------------------------------------------------------------------------ the map

    fn chain_of(&self, hash: u64) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    #[inline]
    fn find(&self, key: PieceKey, hash: u64) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let mut index = self.slots[self.chain_of(hash)].chain_first;
        while index != NONE {
            let slot = &self.slots[index as usize];
            if slot.key == key {
                return Some(index);
            }
            index = slot.chain_next;
        }
        None
    }

    /// Takes a piece out of map and queue; the slots go with the last one (C5).
    fn remove(&mut self, index: u32, leaves_ghost: bool) -> Option<Evicted> {
        self.unlink(index);
        let key = self.slots[index as usize].key;
        let chain = self.chain_of(key.hash());
        self.leave_chain(chain, index);
        if leaves_ghost {
            self.slots[chain].ghost = fingerprint(key.hash());
        }
        let slot = &mut self.slots[index as usize];
        let piece = slot.piece.take()?;
        slot.newer = self.free;
        self.free = index;
        self.pieces_count -= 1;
        let slots = (self.pieces_count == 0).then(|| {
            self.free = NONE;
            let empty = Vec::new_in(self.slots.allocator().clone());
            core::mem::replace(&mut self.slots, empty)
        });
        Some(Evicted { piece, slots })
    }

    fn leave_chain(&mut self, chain: usize, index: u32) {
        let next = self.slots[index as usize].chain_next;
        if self.slots[chain].chain_first == index {
            self.slots[chain].chain_first = next;
            return;
        }
        let mut before = self.slots[chain].chain_first;
        while before != NONE {
            let slot = &mut self.slots[before as usize];
            if slot.chain_next == index {
                slot.chain_next = next;
                return;
            }
            before = slot.chain_next;
        }
    }

    /// Twice as many slots; false where the budget refuses, and then nothing has changed. The charge is made under the
    /// shard's lock, so a reclaim that it causes passes this shard by (C4).
    fn grow(&mut self) -> bool {
        let count = self.slots.len().max(SLOTS_MIN / 2) * 2;
        let mut slots = Vec::new_in(self.slots.allocator().clone());
        if count >= NONE as usize || slots.try_reserve_exact(count).is_err() {
            return false;
        }
        slots.append(&mut self.slots);
        let first_new = slots.len() as u32;
        for index in first_new..count as u32 {
            let next_free = if index + 1 < count as u32 { index + 1 } else { self.free };
            slots.push(Slot {
                key: PieceKey { file_number: 0, offset: 0 },
                piece: None,
                newer: next_free,
                older: NONE,
                chain_next: NONE,
                chain_first: NONE,
                ghost: 0,
                uses: 0,
                is_main: false,
            });
        }
        self.slots = slots;
        self.free = first_new;
        self.chain_again();
        true
    }

    /// Chains every piece by its hash, after the number of chains has changed. Ghosts whose chain is another one now
    /// are lost.
    fn chain_again(&mut self) {
        for slot in self.slots.iter_mut() {
            slot.chain_first = NONE;
        }
        for index in 0..self.slots.len() {
            if self.slots[index].piece.is_some() {
                let chain = self.chain_of(self.slots[index].key.hash());
                self.slots[index].chain_next = self.slots[chain].chain_first;
                self.slots[chain].chain_first = index as u32;
            }
        }
    }

    // --------------------------------------------------------------------------------------------- the queues

    fn charged_bytes(&self, index: u32) -> u64 {
        self.slots[index as usize].piece.as_ref().map_or(0, Piece::charged_bytes)
    }

    fn queue_of(&mut self, index: u32) -> &mut Queue {
        if self.slots[index as usize].is_main { &mut self.main } else { &mut self.small }
    }

    fn push_newest(&mut self, index: u32) {
        let bytes = self.charged_bytes(index);
        let queue = self.queue_of(index);
        queue.bytes += bytes;
        let before = core::mem::replace(&mut queue.newest, index);
        if before == NONE {
            queue.oldest = index;
        } else {
            self.slots[before as usize].newer = index;
        }
        let slot = &mut self.slots[index as usize];
        (slot.older, slot.newer) = (before, NONE);
    }

    fn unlink(&mut self, index: u32) {
        let bytes = self.charged_bytes(index);
        let Slot { newer, older, .. } = self.slots[index as usize];
        let queue = self.queue_of(index);
        queue.bytes -= bytes;
        if newer == NONE {
            queue.newest = older;
        }
        if older == NONE {
            queue.oldest = newer;
        }
        if newer != NONE {
            self.slots[newer as usize].older = older;
        }
        if older != NONE {
            self.slots[older as usize].newer = newer;
        }
    }
}
