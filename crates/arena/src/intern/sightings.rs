//! How often was this name seen lately? A fixed number of counters decides which names are worth interning.
//!
//! 128 sets of four entries, each a word: 27 bits of the name's hash and a count of 4 bits. A name that is not in
//! its set takes an empty entry or the one with the lowest count. So a count is never too high (but for one name in
//! 2^27 that shares hash bits with another), and may begin anew where many names compete, or where two threads change
//! an entry at once.

use crate::sync::{AtomicU32, Ordering};

#[cfg(not(loom))]
const SETS: usize = 128;
#[cfg(loom)]
const SETS: usize = 1;
const WAYS: usize = 4;
const COUNT_BITS: u32 = 4;
const COUNT_MAX: u32 = (1 << COUNT_BITS) - 1;

/// 2 KiB of counters.
pub(super) struct Sightings([[AtomicU32; WAYS]; SETS]);

fn tag_of(hash: u64) -> u32 {
    // The upper half, so that it says something new about the names of one set; never 0, which is an empty entry.
    ((hash >> 32) as u32 & !COUNT_MAX) | 1 << COUNT_BITS
}

impl Sightings {
    pub(super) fn new() -> Sightings {
        Sightings(core::array::from_fn(|_| core::array::from_fn(|_| AtomicU32::new(0))))
    }

    fn set(&self, hash: u64) -> &[AtomicU32; WAYS] {
        &self.0[hash as usize % SETS]
    }

    /// Counts one more sighting, and gives their number, at most 15.
    pub(super) fn note(&self, hash: u64) -> u32 {
        let (set, tag) = (self.set(hash), tag_of(hash));
        let mut victim = (u32::MAX, &set[0]);
        for entry in set {
            let seen = entry.load(Ordering::Relaxed);
            if seen & !COUNT_MAX == tag {
                let count = (seen & COUNT_MAX).saturating_add(1).min(COUNT_MAX);
                let _ = entry.compare_exchange(seen, tag | count, Ordering::Relaxed, Ordering::Relaxed);
                return count;
            }
            let count = if seen == 0 { 0 } else { seen & COUNT_MAX };
            if count < victim.0 & COUNT_MAX || victim.0 == u32::MAX {
                victim = (seen, entry);
            }
        }
        let (seen, entry) = victim;
        let _ = entry.compare_exchange(seen, tag | 1, Ordering::Relaxed, Ordering::Relaxed);
        1
    }

    /// Forgets a name that has been admitted.
    pub(super) fn forget(&self, hash: u64) {
        let tag = tag_of(hash);
        for entry in self.set(hash) {
            let seen = entry.load(Ordering::Relaxed);
            if seen & !COUNT_MAX == tag {
                let _ = entry.compare_exchange(seen, 0, Ordering::Relaxed, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn counts_go_up_to_fifteen_and_begin_anew_when_forgotten() {
        let sightings = Sightings::new();
        for want in 1..=20 {
            assert_eq!(sightings.note(0x1234_5678_9abc_def0), want.min(15));
        }
        sightings.forget(0x1234_5678_9abc_def0);
        assert_eq!(sightings.note(0x1234_5678_9abc_def0), 1);
    }

    #[test]
    fn a_crowded_set_gives_up_the_name_seen_least() {
        let sightings = Sightings::new();
        let hash = |n: u64| n << 40;
        for n in 1..=4 {
            for _ in 0..n {
                sightings.note(hash(n));
            }
        }
        assert_eq!(sightings.note(hash(5)), 1); // in the place of 1, which had one sighting
        assert_eq!(sightings.note(hash(4)), 5);
        assert_eq!(sightings.note(hash(3)), 4);
        assert_eq!(sightings.note(hash(2)), 3);
        assert_eq!(sightings.note(hash(5)), 2);
        assert_eq!(sightings.note(hash(1)), 1);
    }
}
