//! Random numbers that repeat: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014, figure 13), one state for each purpose so
//! that drawing more for one does not change the others.

/// A sequence of random numbers.
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 for an `end` of 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        // The high half of the product is uniform enough: the bias is `end` of 2^64.
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    /// True `count` times of `of`.
    pub(super) fn is_one_of(&mut self, count: u32, of: u32) -> bool {
        self.below(of as usize) < count as usize
    }

    /// Fills `into` with random bytes.
    pub(super) fn fill(&mut self, into: &mut [u8]) {
        for part in into.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            part.copy_from_slice(&bytes[..part.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_repeat_and_stay_in_range() {
        let draw = |seed| {
            let mut rng = Rng::new(seed);
            let mut bytes = [0; 11];
            rng.fill(&mut bytes);
            (rng.next(), rng.below(10), rng.is_one_of(1, 2), bytes)
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1).0, draw(2).0);
        let mut rng = Rng::new(3);
        let mut seen = [0; 5];
        for _ in 0..1000 {
            seen[rng.below(5)] += 1;
            assert!(rng.is_one_of(4, 4) && !rng.is_one_of(0, 4));
        }
        assert!(seen.iter().all(|&count| count > 150), "{seen:?}");
        assert_eq!(rng.below(0), 0);
    }
}
