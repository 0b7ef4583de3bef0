//! Identities that are never used twice.
//!
//! A stamp names one generation of one arena: 48 bits of identity and 16 bits of generation. When an arena has been
//! reset 65,535 times it takes a fresh identity, so a stamp never comes back, and a pointer that carries one can be
//! checked for ever. (2^48 identities last nine years at a million new arenas a second.)

use crate::sync::{AtomicU64, Ordering};

const GENERATION_BITS: u32 = 16;

/// Identity and generation of an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stamp(u64);

#[cfg(not(loom))]
static IDENTITY_NEXT: AtomicU64 = AtomicU64::new(1);
#[cfg(loom)]
loom::lazy_static! { static ref IDENTITY_NEXT: AtomicU64 = AtomicU64::new(1); }

impl Stamp {
    /// Generation 0 of an identity that nobody had before.
    pub(crate) fn fresh() -> Stamp {
        let identity = IDENTITY_NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(identity < 1 << (64 - GENERATION_BITS), "2^48 arenas were made");
        Stamp(identity << GENERATION_BITS)
    }

    /// The stamp of the generation after this one.
    pub(crate) fn next(self) -> Stamp {
        let next = self.0 + 1;
        if next & ((1 << GENERATION_BITS) - 1) == 0 { Stamp::fresh() } else { Stamp(next) }
    }

    /// The part that stays the same until the arena is released, or has been reset 65,535 times. Never 0.
    pub(crate) fn identity(self) -> u64 {
        self.0 >> GENERATION_BITS
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    extern crate std;
    use std::collections::HashSet;

    #[test]
    fn generations_never_wrap() {
        // The interpreter begins shortly before the generations of an identity end.
        let (skipped, count) = if cfg!(miri) { ((1 << GENERATION_BITS) - 50, 100) } else { (0, 200_000) };
        let mut stamp = Stamp(Stamp::fresh().0 + skipped);
        let first = stamp.identity();
        let mut seen = HashSet::new();
        for _ in 0..count {
            assert!(seen.insert(stamp), "{stamp:?} came back");
            stamp = stamp.next();
        }
        assert!(stamp.identity() > first, "a fresh identity when the generations end");
    }
}
