//! The one word that a charge changes: what a node has handed out, the credit it may still hand out without asking,
//! and a seal. Pure arithmetic on `u64`; the compare-and-swap loops are in `node.rs`.
//!
//! ```text
//!   63      62 ............ 32   31 ........... 0
//!   sealed  used, in units       credit, in units          granted = used + credit
//! ```

/// Budgets count in units of this many bytes: the smallest chunk, and what a charge is rounded up to.
pub const UNIT: u64 = 1024;

/// The most units a node can be granted (2 TiB less one unit): both halves of the word can hold it.
pub(crate) const UNITS_MAX: u32 = (1 << 31) - 1;

const SEAL: u64 = 1 << 63;
const USED_SHIFT: u32 = 32;

/// A node's word, taken apart by methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) u64);

impl Word {
    pub(crate) const fn new(used: u32, credit: u32) -> Word {
        Word(((used as u64) << USED_SHIFT) | credit as u64)
    }

    pub(crate) const fn used(self) -> u32 {
        ((self.0 & !SEAL) >> USED_SHIFT) as u32
    }

    pub(crate) const fn credit(self) -> u32 {
        self.0 as u32
    }

    /// Used and credit together; at most [`UNITS_MAX`] by the tree's invariant.
    pub(crate) const fn granted(self) -> u32 {
        self.used() + self.credit()
    }

    pub(crate) const fn is_sealed(self) -> bool {
        self.0 & SEAL != 0
    }

    pub(crate) const fn sealed(self) -> Word {
        Word(self.0 | SEAL)
    }

    pub(crate) const fn unsealed(self) -> Word {
        Word(self.0 & !SEAL)
    }

    /// The word with other counts and the same seal.
    pub(crate) const fn with(self, used: u32, credit: u32) -> Word {
        Word((self.0 & SEAL) | Word::new(used, credit).0)
    }

    /// The word after handing out `units` of its credit, or `None` where it is sealed or has less.
    pub(crate) const fn spend(self, units: u32) -> Option<Word> {
        if self.is_sealed() || self.credit() < units {
            return None;
        }
        Some(Word(self.0 - units as u64 + ((units as u64) << USED_SHIFT)))
    }

    /// The word after `units` came back as credit, or `None` where it is sealed or has less in use.
    pub(crate) const fn refund(self, units: u32) -> Option<Word> {
        if self.is_sealed() || self.used() < units {
            return None;
        }
        Some(Word(self.0 + units as u64 - ((units as u64) << USED_SHIFT)))
    }
}

/// Bytes to units, rounded up; `None` above what a word can count.
pub(crate) fn units_of(bytes: u64) -> Option<u32> {
    u32::try_from(bytes.div_ceil(UNIT)).ok().filter(|&units| units <= UNITS_MAX)
}

/// A limit in bytes as whole units, rounded down, capped at what a word can count.
pub(crate) fn limit_units(bytes: u64) -> u32 {
    u32::try_from(bytes / UNIT).unwrap_or(UNITS_MAX).min(UNITS_MAX)
}

/// Units to bytes.
pub(crate) const fn bytes_of(units: u32) -> u64 {
    units as u64 * UNIT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spending_and_refunding_keep_the_grant() {
        for (used, credit, units) in
            [(0, 0, 0), (0, 1, 1), (7, 9, 9), (UNITS_MAX - 5, 5, 5), (0, UNITS_MAX, UNITS_MAX)]
        {
            let word = Word::new(used, credit);
            let spent = word.spend(units).unwrap();
            assert_eq!((spent.used(), spent.credit()), (used + units, credit - units));
            assert_eq!(spent.granted(), word.granted());
            assert_eq!(spent.refund(units), Some(word));
        }
    }

    #[test]
    fn a_sealed_or_poor_word_refuses() {
        assert_eq!(Word::new(3, 4).spend(5), None);
        assert_eq!(Word::new(3, 4).refund(4), None);
        let sealed = Word::new(3, 4).sealed();
        assert_eq!((sealed.used(), sealed.credit(), sealed.granted()), (3, 4, 7));
        assert_eq!(sealed.spend(1), None);
        assert_eq!(sealed.refund(1), None);
        assert!(sealed.with(1, 2).is_sealed());
        assert_eq!(sealed.unsealed(), Word::new(3, 4));
    }

    #[test]
    fn bytes_round_up_and_limits_round_down() {
        assert_eq!(units_of(0), Some(0));
        assert_eq!(units_of(1), Some(1));
        assert_eq!(units_of(1024), Some(1));
        assert_eq!(units_of(1025), Some(2));
        assert_eq!(units_of(bytes_of(UNITS_MAX)), Some(UNITS_MAX));
        assert_eq!(units_of(bytes_of(UNITS_MAX) + 1), None);
        assert_eq!(units_of(u64::MAX), None);
        assert_eq!(limit_units(1023), 0);
        assert_eq!(limit_units(u64::MAX), UNITS_MAX);
    }
}
