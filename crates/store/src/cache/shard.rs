//! One shard of the cache: a hash map and two queues over one array of slots.
//!
//! ```text
//!   first i: | first slot of chain i |      ghost i: | fingerprint |
//!   slot i:  | key | piece | links of its queue | link of its chain | uses |
//! ```
//!
//! There are as many chains as slots. Where they begin stands apart: a look for a key reads little of it, which stays in the
//! processor's cache. An empty map has no memory.

use allocator_api2::vec::Vec;
use cofferdam_arena::BudgetAlloc;

use super::{Looked, Piece, PieceKey};

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

/// The memory of a map.
struct Arrays {
    /// A power of two of slots, or none.
    slots: Vec<Slot, BudgetAlloc>,
    /// Of each chain, its first slot.
    firsts: Vec<u32, BudgetAlloc>,
    /// Of each chain, the fingerprint of a key that left the small queue; 0 for none.
    ghosts: Vec<u32, BudgetAlloc>,
}

impl Arrays {
    fn new(alloc: &BudgetAlloc) -> Arrays {
        let (slots, firsts) = (Vec::new_in(alloc.clone()), Vec::new_in(alloc.clone()));
        Arrays { slots, firsts, ghosts: Vec::new_in(alloc.clone()) }
    }

    /// Room for `count` slots; `None` where the budget refuses.
    fn with_room(alloc: &BudgetAlloc, count: usize) -> Option<Arrays> {
        let mut arrays = Arrays::new(alloc);
        arrays.slots.try_reserve_exact(count).ok()?;
        arrays.firsts.try_reserve_exact(count).ok()?;
        arrays.ghosts.try_reserve_exact(count).ok()?;
        arrays.firsts.resize(count, NONE);
        arrays.ghosts.resize(count, 0);
        Some(arrays)
    }

    fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
            + (self.firsts.capacity() + self.ghosts.capacity()) * size_of::<u32>()
    }

    fn take(&mut self) -> Arrays {
        let empty = Arrays::new(self.slots.allocator());
        core::mem::replace(self, empty)
    }
}

/// A part of the cache under one lock.
pub(super) struct Shard {
    arrays: Arrays,
    free: u32,
    /// So many more insertions pass before more slots are asked for again.
    growth_waits: u32,
    pieces_count: usize,
    hits_count: u64,
    small: Queue,
    main: Queue,
}

/// What left a shard under its lock and is to be dropped outside of it: a piece, and the slots if it was the last one.
pub(super) struct Evicted {
    piece: Piece,
    arrays: Option<Arrays>,
}

impl Evicted {
    /// The piece, if `reuse` accepts it.
    pub(super) fn reuse(mut self, reuse: impl FnOnce(&mut Piece) -> bool) -> Result<Piece, Evicted> {
        if self.arrays.is_none() && reuse(&mut self.piece) { Ok(self.piece) } else { Err(self) }
    }

    /// Drops it, and tells how many bytes that released.
    pub(super) fn release(self) -> u64 {
        let arrays_bytes = self.arrays.map_or(0, |arrays| arrays.bytes() as u64);
        self.piece.release() + arrays_bytes
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
        let arrays = Arrays::new(alloc);
        Shard {
            arrays,
            free: NONE,
            growth_waits: 0,
            pieces_count: 0,
            hits_count: 0,
            small: EMPTY,
            main: EMPTY,
        }
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
        let slot = &mut self.arrays.slots[index as usize];
        slot.uses = (slot.uses + 1).min(USES_MAX);
        self.hits_count += 1;
        slot.piece.clone()
    }

    /// Keeps a piece, and gives the one to use: the shard's own where somebody was quicker. Where no memory is to be
    /// had for a slot, another piece goes, which is given too; where none can, nothing is kept.
    pub(super) fn insert(&mut self, key: PieceKey, hash: u64, piece: Piece) -> (Piece, Option<Evicted>) {
        if let Some(there) = self.get(key, hash) {
            return (there, None);
        }
        let mut evicted = None;
        if self.free == NONE && !self.grow() {
            evicted = self.evict();
            if self.free == NONE {
                return (piece, evicted);
            }
        }
        let index = self.free;
        let chain = self.chain_of(hash);
        let is_main = core::mem::take(&mut self.arrays.ghosts[chain]) == fingerprint(hash);
        let chain_next = core::mem::replace(&mut self.arrays.firsts[chain], index);
        let slot = &mut self.arrays.slots[index as usize];
        self.free = slot.newer;
        (slot.key, slot.piece, slot.chain_next) = (key, Some(piece.clone()), chain_next);
        (slot.uses, slot.is_main) = (0, is_main);
        self.pieces_count += 1;
        self.push_newest(index);
        (piece, evicted)
    }

    /// The piece at `key`, or whether it would be taken in: one whose ghost is there, or any unless the cache is full; then it leaves
    /// its ghost.
    #[inline]
    pub(super) fn get_or_admit(
        &mut self,
        key: PieceKey,
        hash: u64,
        is_full: impl FnOnce() -> bool,
    ) -> Looked {
        if let Some(piece) = self.get(key, hash) {
            return Looked::There(piece);
        }
        let has_slot = self.free != NONE || self.growth_waits == 0;
        if self.arrays.slots.is_empty() || (has_slot && !is_full()) {
            return Looked::Admitted;
        }
        let chain = self.chain_of(hash);
        let before = core::mem::replace(&mut self.arrays.ghosts[chain], fingerprint(hash));
        if before == fingerprint(hash) { Looked::Admitted } else { Looked::Missing }
    }

    /// Whether the next piece asks for more slots, which are charged under the lock.
    pub(super) fn is_growing(&self) -> bool {
        self.free == NONE && self.growth_waits == 0
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
            let slot = self.arrays.slots.get_mut(index as usize)?;
            let is_held = slot.piece.as_ref().is_some_and(Piece::is_held);
            let stays = is_held || if slot.is_main { slot.uses > 0 } else { slot.uses > 1 };
            if !stays {
                return self.remove(index, !self.arrays.slots[index as usize].is_main);
            }
            slot.uses = if slot.is_main { slot.uses.saturating_sub(1) } else { 0 };
            self.unlink(index);
            self.arrays.slots[index as usize].is_main = true;
            self.push_newest(index);
        }
        None
    }

    /// Takes out some of the pieces that are meant; none where there are none any more.
    pub(super) fn remove_some(&mut self, is_meant: impl Fn(PieceKey) -> bool) -> Removed {
        let mut removed = Removed::default();
        let mut places = removed.evicted.iter_mut();
        let mut index = 0;
        while index < self.arrays.slots.len() {
            if self.arrays.slots[index].piece.is_some() && is_meant(self.arrays.slots[index].key) {
                let Some(place) = places.next() else { break };
                *place = self.remove(index as u32, false);
            }
            index += 1;
        }
        removed
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        drop(self.arrays.take());
        (self.free, self.pieces_count, self.small, self.main) = (NONE, 0, EMPTY, EMPTY);
    }

    // ------------------------------------------------------------------------------------------------ the map

    fn chain_of(&self, hash: u64) -> usize {
        hash as usize & (self.arrays.slots.len() - 1)
    }

    #[inline]
    fn find(&self, key: PieceKey, hash: u64) -> Option<u32> {
        if self.arrays.slots.is_empty() {
            return None;
        }
        let mut index = self.arrays.firsts[self.chain_of(hash)];
        while index != NONE {
            let slot = &self.arrays.slots[index as usize];
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
        let key = self.arrays.slots[index as usize].key;
        let chain = self.chain_of(key.hash());
        self.leave_chain(chain, index);
        if leaves_ghost {
            self.arrays.ghosts[chain] = fingerprint(key.hash());
        }
        let slot = &mut self.arrays.slots[index as usize];
        let piece = slot.piece.take()?;
        slot.newer = self.free;
        self.free = index;
        self.pieces_count -= 1;
        let arrays = (self.pieces_count == 0).then(|| {
            self.free = NONE;
            self.arrays.take()
        });
        Some(Evicted { piece, arrays })
    }

    fn leave_chain(&mut self, chain: usize, index: u32) {
        let next = self.arrays.slots[index as usize].chain_next;
        if self.arrays.firsts[chain] == index {
            self.arrays.firsts[chain] = next;
            return;
        }
        let mut before = self.arrays.firsts[chain];
        while before != NONE {
            let slot = &mut self.arrays.slots[before as usize];
            if slot.chain_next == index {
                slot.chain_next = next;
                return;
            }
            before = slot.chain_next;
        }
    }

    /// Twice as many slots; false where the budget refuses, and for some time after that. Then nothing has changed. The charge is
    /// made under the shard's lock, so a reclaim that it causes passes this shard by (C4).
    fn grow(&mut self) -> bool {
        if self.growth_waits > 0 {
            self.growth_waits -= 1;
            return false;
        }
        let before = self.arrays.slots.len();
        let count = before.max(SLOTS_MIN / 2) * 2;
        let room = if count < NONE as usize {
            Arrays::with_room(self.arrays.slots.allocator(), count)
        } else {
            None
        };
        let Some(mut arrays) = room else {
            // As long as it takes to have another piece in each slot.
            self.growth_waits = before as u32;
            return false;
        };
        arrays.slots.append(&mut self.arrays.slots);
        for index in before as u32..count as u32 {
            let next_free = if index + 1 < count as u32 { index + 1 } else { self.free };
            arrays.slots.push(Slot {
                key: PieceKey { file_number: 0, offset: 0 },
                piece: None,
                newer: next_free,
                older: NONE,
                chain_next: NONE,
                uses: 0,
                is_main: false,
            });
        }
        (self.arrays, self.free) = (arrays, before as u32);
        self.chain_again();
        true
    }

    /// Chains every piece by its hash, after the number of chains has changed. Ghosts are lost.
    fn chain_again(&mut self) {
        for index in 0..self.arrays.slots.len() {
            if self.arrays.slots[index].piece.is_some() {
                let chain = self.chain_of(self.arrays.slots[index].key.hash());
                self.arrays.slots[index].chain_next =
                    core::mem::replace(&mut self.arrays.firsts[chain], index as u32);
            }
        }
    }

    // --------------------------------------------------------------------------------------------- the queues

    fn charged_bytes(&self, index: u32) -> u64 {
        self.arrays.slots[index as usize].piece.as_ref().map_or(0, Piece::charged_bytes)
    }

    fn queue_of(&mut self, index: u32) -> &mut Queue {
        if self.arrays.slots[index as usize].is_main { &mut self.main } else { &mut self.small }
    }

    fn push_newest(&mut self, index: u32) {
        let bytes = self.charged_bytes(index);
        let queue = self.queue_of(index);
        queue.bytes += bytes;
        let before = core::mem::replace(&mut queue.newest, index);
        if before == NONE {
            queue.oldest = index;
        } else {
            self.arrays.slots[before as usize].newer = index;
        }
        let slot = &mut self.arrays.slots[index as usize];
        (slot.older, slot.newer) = (before, NONE);
    }

    fn unlink(&mut self, index: u32) {
        let bytes = self.charged_bytes(index);
        let Slot { newer, older, .. } = self.arrays.slots[index as usize];
        let queue = self.queue_of(index);
        queue.bytes -= bytes;
        if newer == NONE {
            queue.newest = older;
        }
        if older == NONE {
            queue.oldest = newer;
        }
        if newer != NONE {
            self.arrays.slots[newer as usize].older = older;
        }
        if older != NONE {
            self.arrays.slots[older as usize].newer = newer;
        }
    }
}
