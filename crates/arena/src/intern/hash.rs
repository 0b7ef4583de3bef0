//! Hashing and comparing of short names.
//!
//! Most identifiers have 4 to 24 bytes. Six loads of four bytes at `0, 4, 8, 12, 16` (each moved back to the last
//! four bytes where it would pass the end) and at the last four bytes cover such a text whatever its length, so
//! neither hashing nor comparing has a branch on the length within that class:
//!
//! ```text
//!   o_orderkey (10):   o_or              offset 0
//!                          derk          offset 4
//!                            rkey        offset 8, moved back to 6; so are 12 and 16
//!                            rkey        the last four
//! ```
//!
//! Together with the length the three words say exactly which text it is, so two texts are equal where their lengths
//! and words are. Other lengths are hashed by foldhash and compared as slices.
//!
//! # Source
//! The overlapping loads are wyhash's and foldhash's (orlp, <https://github.com/orlp/foldhash>), with one class
//! instead of two; the folded multiply is theirs.

use core::hash::{BuildHasher, Hasher};

/// What makes the hashes of one interner differ from those of another.
pub(super) struct Seeds {
    words: [u64; 4],
    long: State,
}

#[cfg(not(loom))]
type State = foldhash::fast::RandomState;
/// A model must do the same in each run.
#[cfg(loom)]
type State = foldhash::fast::FixedState;

/// A text of 4 to 24 bytes as three words; equal lengths and words are equal texts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Words([u64; 3]);

/// True for the texts that [`Words`] can hold.
#[inline(always)]
pub(super) fn is_short(len: usize) -> bool {
    len.wrapping_sub(4) <= 20
}

/// Where the six loads of four bytes begin in a short text of `len` bytes.
#[inline(always)]
fn offsets(len: usize) -> [usize; 6] {
    let last = len - 4;
    [0, last.min(4), last.min(8), last.min(12), last.min(16), last]
}

impl Words {
    /// The words of the `len` bytes at `place`.
    ///
    /// # Safety
    /// 1. `len` [`is_short`].
    /// 2. `place` begins `len` initialized, readable bytes.
    #[inline(always)]
    pub(super) unsafe fn load(place: *const u8, len: usize) -> Words {
        let at = offsets(len);
        // SAFETY: each offset is at most `len - 4`, so four bytes from there are within the text.
        let load = |offset: usize| unsafe { u64::from(place.add(offset).cast::<u32>().read_unaligned()) };
        Words([
            load(at[0]) | load(at[1]) << 32,
            load(at[2]) | load(at[3]) << 32,
            load(at[4]) | load(at[5]) << 32,
        ])
    }
}

impl Seeds {
    pub(super) fn new() -> Seeds {
        let long = State::default();
        Seeds { words: [1u64, 2, 3, 4].map(|index| long.hash_one(index)), long }
    }

    #[inline(always)]
    pub(super) fn hash_words(&self, words: Words, len: usize) -> u64 {
        let [first, second, third] = words.0;
        let seeds = &self.words;
        fold(first ^ seeds[0], second ^ seeds[1]) ^ fold(third ^ seeds[2], (len as u64) ^ seeds[3])
    }

    /// The hash of a text that is not short.
    pub(super) fn hash_other(&self, text: &[u8]) -> u64 {
        let mut hasher = self.long.build_hasher();
        hasher.write(text);
        hasher.finish()
    }

    /// The hash of any text.
    pub(super) fn hash(&self, text: &[u8]) -> u64 {
        if is_short(text.len()) {
            // SAFETY: the length was just checked; the slice is readable.
            self.hash_words(unsafe { Words::load(text.as_ptr(), text.len()) }, text.len())
        } else {
            self.hash_other(text)
        }
    }
}

/// The two halves of the product, one over the other.
#[inline(always)]
fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    (product as u64) ^ (product >> 64) as u64
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![allow(clippy::disallowed_types, reason = "tests may use the global allocator")]
    use super::*;
    extern crate std;
    use std::collections::HashSet;
    use std::vec::Vec;

    fn words(text: &[u8]) -> Words {
        assert!(is_short(text.len()));
        // SAFETY: checked above.
        unsafe { Words::load(text.as_ptr(), text.len()) }
    }

    #[test]
    fn every_byte_of_a_short_text_counts() {
        for len in 4..=24usize {
            let text: Vec<u8> = (0..len).map(|at| at as u8 + 1).collect();
            for at in 0..len {
                let mut other = text.clone();
                other[at] ^= 0x80;
                assert!(words(&text) != words(&other), "byte {at} of {len}");
            }
        }
        assert!(!is_short(3) && !is_short(25) && !is_short(0) && !is_short(usize::MAX));
    }

    #[test]
    fn hashes_of_similar_names_spread_over_tags_and_buckets() {
        let seeds = Seeds::new();
        let count = if cfg!(miri) { 200 } else { 20_000 };
        let hashes: Vec<u64> =
            (0..count).map(|n| seeds.hash(std::format!("column_{n}").as_bytes())).collect();
        let distinct =
            |bits: &dyn Fn(u64) -> u64| hashes.iter().map(|h| bits(*h)).collect::<HashSet<_>>().len();
        assert_eq!(distinct(&|hash| hash), count);
        // 20,000 balls in 65,536 bins hit about 17,200 of them.
        assert!(distinct(&|hash| hash >> 48) > count * 8 / 10);
        assert!(distinct(&|hash| hash & 0xffff) > count * 8 / 10);
    }
}
