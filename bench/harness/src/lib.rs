//! The measuring that all benches of the project share.
//!
//! A [`Row`] is one line of a speed table: ours, its peers and some contestants for information, all doing the same work.
//! The [`Session`] measures a row in rounds. In each round every contestant runs once, in a new random order, for about
//! the same time, so that whatever disturbs the machine disturbs all of them. After some rounds everything is built anew
//! at other addresses, so that luck with cache lines is spread over all of them too. From the rounds come
//!
//! ```text
//! per contestant   median, p10, p90 of the cost per operation
//! best peer        the one with the lowest median
//! ratio            the median over rounds of (ours / best peer in the same round): lower is better
//! ```
//!
//! A sample during which the system took the processor away is repeated, for a while; where the machine is too busy for
//! an undisturbed one, the thread's own processor time counts instead. All contestants use the system's allocator. Figures of memory come from [`footprint`], which `testkit` defines.
//!
//! Map: [`measure`] rounds and samples, [`report`] tables and `ROW` lines, [`stats`] medians, [`threads`] work on several
//! threads that must overlap, [`clock`] short times and disturbances, [`options`] the command line; of whole processes [`usage`]
//! what they took, [`counting`] what they asked of their files.

pub mod clock;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
pub mod counting;
pub mod measure;
pub mod options;
pub mod report;
pub mod stats;
pub mod threads;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
pub mod usage;

pub use clock::Sample;
pub use cofferdam_testkit::footprint;
pub use measure::{Bar, Row, Session};
pub use options::Options;
pub use report::{Bound, Verdict};
pub use std::hint::black_box;

/// A small generator of random numbers (splitmix64): the same figures from the same seed, everywhere.
///
/// # Source
/// Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts from `seed`.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which must not be 0. The bias is below 2^-32 for bounds that fit in 32 bits.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next_u64() % bound as u64) as usize
    }

    /// Brings `items` into a random order (Fisher-Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last + 1);
            items.swap(last, other);
        }
    }
}
