//! Which slots of a node are taken, in order of their entries: one word, so that one store publishes an insertion.
//!
//! ```text
//!   bit  0..3    4..7           8..11          …  56..59          60..63
//!   | count | slot of rank 0 | slot of rank 1 | … | … rank 13 | rank of the latest |
//! ```
//!
//! All slots stand in the word: behind the first *count* ones those that are free, in the order in which they are taken.
//! The last four bits are the writer's alone: where it inserted latest, from which it sees that entries come in order.
//!
//! # Source
//! Mao, Kohler, Morris: Cache craftiness for fast multicore key-value storage (Masstree), EuroSys 2012, §4.6.2.

/// Entries of a leaf, and separators of an inner node.
pub(super) const SLOTS: usize = if cfg!(loom) { 3 } else { 14 };

const BITS: u32 = 4;
const MASK: u64 = (1 << BITS) - 1;
const LATEST_SHIFT: u32 = 60;
const NONE: u64 = 15;

/// The slots of a node in order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Order(u64);

const fn shift(rank: usize) -> u32 {
    BITS + BITS * rank as u32
}

/// Bits below a shift.
const fn below(shift: u32) -> u64 {
    if shift >= u64::BITS { u64::MAX } else { (1 << shift) - 1 }
}

impl Order {
    /// No entries; slots are taken in ascending order.
    pub(super) const EMPTY: Order = {
        let (mut word, mut slot) = (NONE << LATEST_SHIFT, 0);
        while slot < SLOTS {
            word |= (slot as u64) << shift(slot);
            slot += 1;
        }
        Order(word)
    };

    pub(super) const fn from_word(word: u64) -> Order {
        Order(word)
    }

    pub(super) const fn word(self) -> u64 {
        self.0
    }

    /// How many entries there are.
    #[inline(always)]
    pub(super) const fn count(self) -> usize {
        (self.0 & MASK) as usize
    }

    /// The slot of the entry at a rank; of a rank from the count on, the free slot that comes so much later.
    #[inline(always)]
    pub(super) const fn slot(self, rank: usize) -> usize {
        (self.0 >> shift(rank) & MASK) as usize
    }

    pub(super) const fn is_full(self) -> bool {
        self.count() == SLOTS
    }

    /// With one more entry at a rank, and the slot that it gets. Needs: not full, `rank <= count`.
    #[inline(always)]
    pub(super) const fn with(self, rank: usize) -> (Order, usize) {
        let count = self.count();
        debug_assert!(count < SLOTS && rank <= count);
        let slot = self.slot(count);
        let before = self.0 & below(shift(rank));
        let between = self.0 & below(shift(count)) & !below(shift(rank));
        let after = self.0 & below(LATEST_SHIFT) & !below(shift(count + 1));
        let word = (before | (slot as u64) << shift(rank) | between << BITS | after) + 1;
        (Order(word | (rank as u64) << LATEST_SHIFT), slot)
    }

    /// Without the entry at a rank. Needs: `rank < count`.
    pub(super) const fn without(self, rank: usize) -> Order {
        let count = self.count();
        debug_assert!(rank < count);
        let slot = self.slot(rank) as u64;
        let before = self.0 & below(shift(rank));
        let between = self.0 & below(shift(count)) & !below(shift(rank + 1));
        let after = self.0 & below(LATEST_SHIFT) & !below(shift(count));
        let word = (before | between >> BITS | slot << shift(count - 1) | after) - 1;
        Order(word | NONE << LATEST_SHIFT)
    }

    /// With the first entries alone.
    pub(super) const fn first(self, count: usize) -> Order {
        Order(self.0 & !MASK | count as u64 | NONE << LATEST_SHIFT)
    }

    /// Where a full node is split when one more entry comes at a rank: how many entries stay. In the middle, unless
    /// entries come in ascending order (those before the new one stay, and it comes after them: the node stays full) or
    /// in descending order (the same).
    pub(super) const fn split_place(self, rank: usize) -> usize {
        let latest = (self.0 >> LATEST_SHIFT) as usize;
        if rank == latest + 1 || rank == latest { rank } else { SLOTS / 2 }
    }

    /// True where the entry inserted latest is the last one, and the new one comes behind it.
    pub(super) const fn is_ascending(self, rank: usize) -> bool {
        rank == SLOTS && (self.0 >> LATEST_SHIFT) as usize + 1 == SLOTS
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn slots(order: Order) -> Vec<usize> {
        (0..order.count()).map(|rank| order.slot(rank)).collect()
    }

    fn is_permutation(order: Order) -> bool {
        (0..SLOTS).fold(0, |seen, rank| seen | 1 << order.slot(rank)) == (1 << SLOTS) - 1
    }

    /// Aim: the word does what a vector of slots does. Method: random steps on both.
    #[test]
    fn an_order_is_a_list_of_slots() {
        let mut seed = 7u64;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as usize % below
        };
        let (mut order, mut model) = (Order::EMPTY, Vec::new());
        for _ in 0..if cfg!(miri) { 200 } else { 20_000 } {
            match random(8) {
                0 if !model.is_empty() => {
                    let rank = random(model.len());
                    order = order.without(rank);
                    model.remove(rank);
                }
                1 => {
                    let count = random(model.len() + 1);
                    order = order.first(count);
                    model.truncate(count);
                }
                _ if model.len() < SLOTS => {
                    let rank = random(model.len() + 1);
                    let (with, slot) = order.with(rank);
                    assert!(!model.contains(&slot), "a free slot");
                    model.insert(rank, slot);
                    order = with;
                    assert_eq!(order.word() >> LATEST_SHIFT, rank as u64);
                }
                _ => {}
            }
            assert_eq!(slots(order), model);
            assert!(is_permutation(order));
            assert_eq!(order.is_full(), model.len() == SLOTS);
        }
    }

    #[test]
    fn runs_are_split_where_they_are() {
        let fill = |rank: fn(usize) -> usize| (0..SLOTS).fold(Order::EMPTY, |order, n| order.with(rank(n)).0);
        let ascending = fill(|n| n);
        assert_eq!(ascending.split_place(SLOTS), SLOTS);
        assert!(ascending.is_ascending(SLOTS) && !ascending.first(SLOTS).is_ascending(SLOTS));
        assert_eq!(ascending.split_place(3), SLOTS / 2);
        assert_eq!(fill(|_| 0).split_place(0), 0);
        assert_eq!(fill(|n| n.min(5)).split_place(5), 5);
        assert_eq!(ascending.first(SLOTS).split_place(SLOTS), SLOTS / 2);
    }
}
