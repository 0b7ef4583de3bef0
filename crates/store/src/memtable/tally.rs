//! How many entries a node has, and whether they come in order: one word.
//!
//! ```text
//!   bit  0..7    8..15                 16..23                      24..31
//!   | count | rank of the latest | how often behind the latest | how often before the latest |
//! ```
//!
//! Readers look at the count. The rest is the writer's: entries that come in ascending or descending order are not split in
//! the middle when their node is full, so that full nodes are left behind.

use super::node::SLOTS;

/// See the file's text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tally(u32);

/// So many entries one behind another are a streak.
const STREAK_MIN: u32 = if SLOTS < 16 { 1 } else { 8 };
const NO_RANK: u32 = 0xff;

impl Tally {
    pub(super) const EMPTY: Tally = Tally::of(0);

    /// So many entries, of which nothing is known.
    pub(super) const fn of(count: usize) -> Tally {
        Tally(count as u32 | NO_RANK << 8)
    }

    pub(super) const fn from_word(word: u32) -> Tally {
        Tally(word)
    }

    pub(super) const fn word(self) -> u32 {
        self.0
    }

    #[inline(always)]
    pub(super) const fn count(self) -> usize {
        (self.0 & 0xff) as usize
    }

    const fn byte(self, at: u32) -> u32 {
        self.0 >> (8 * at) & 0xff
    }

    /// With one more entry at a rank.
    #[inline(always)]
    pub(super) fn with(self, rank: usize) -> Tally {
        let rank = rank as u32;
        let longer = |streak: u32, goes_on: bool| if goes_on { (streak + 1).min(0xff) } else { 0 };
        let up = longer(self.byte(2), rank == self.byte(1) + 1);
        let down = longer(self.byte(3), rank == self.byte(1));
        Tally(((self.0 & 0xff) + 1) | (rank << 8) | up << 16 | down << 24)
    }

    /// With so many of its entries, in the same streak.
    pub(super) const fn keep(self, count: usize) -> Tally {
        Tally(self.0 & !0xff | count as u32)
    }

    /// Whether an entry at a rank goes on with a streak upwards.
    pub(super) fn is_ascending(self, rank: usize) -> bool {
        rank as u32 == self.byte(1) + 1 && self.byte(2) >= STREAK_MIN
    }

    /// Whether an entry at a rank goes on with a streak downwards.
    fn is_descending(self, rank: usize) -> bool {
        rank as u32 == self.byte(1) && self.byte(3) >= STREAK_MIN
    }

    /// How many entries stay when a full leaf is split because one more comes at a rank. Half of them; but those before the
    /// new one where it goes on with a streak upwards, or comes behind all others: the node stays full, or fills up. And where
    /// it goes on with a streak downwards that is most of the leaf, the same: the streak goes to the new leaf.
    pub(super) fn split_rank(self, rank: usize, is_last_leaf: bool) -> usize {
        let is_end = rank == SLOTS && is_last_leaf;
        let is_most = self.is_descending(rank) && rank <= SLOTS / 2;
        if is_end || is_most || self.is_ascending(rank) { rank } else { SLOTS / 2 }
    }
}

// Their numbers are those of full-sized nodes.
#[cfg(all(test, not(any(loom, miri))))]
mod tests {
    use super::*;

    fn fill(rank: impl Fn(usize) -> usize) -> Tally {
        let tally = (0..SLOTS).fold(Tally::EMPTY, |tally, at| tally.with(rank(at)));
        assert_eq!(tally.count(), SLOTS);
        tally
    }

    #[test]
    fn streaks_are_split_where_they_are() {
        let ascending = fill(|at| at);
        assert_eq!(ascending.split_rank(SLOTS, false), SLOTS);
        assert_eq!(ascending.split_rank(5, true), SLOTS / 2);
        assert_eq!(Tally::of(SLOTS).split_rank(SLOTS, true), SLOTS, "behind all others");
        assert_eq!(Tally::of(SLOTS).split_rank(SLOTS, false), SLOTS / 2);
        assert_eq!(fill(|_| 0).split_rank(0, false), 0);
        assert_eq!(fill(|at| at.min(5)).split_rank(5, false), 5);
        assert_eq!(fill(|at| at.min(20)).split_rank(20, false), SLOTS / 2, "the streak is not most of it");
        let in_the_middle = (0..SLOTS - 3).fold(Tally::of(3), |tally, at| tally.with(at));
        assert_eq!(in_the_middle.split_rank(SLOTS - 3, false), SLOTS - 3);
        assert_eq!(in_the_middle.split_rank(SLOTS - 4, false), SLOTS / 2);
    }

    #[test]
    fn what_comes_in_no_order_is_no_streak() {
        // One up and one down, in turns.
        let turns = fill(|at| at.div_ceil(2));
        for rank in 0..=SLOTS {
            assert_eq!(turns.split_rank(rank, false), SLOTS / 2);
        }
        assert_eq!(fill(|at| at).keep(7).count(), 7);
        assert!(fill(|at| at).keep(SLOTS).is_ascending(SLOTS));
    }
}
