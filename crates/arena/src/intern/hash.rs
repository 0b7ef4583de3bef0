//! Hashing and comparing of names.
//!
//! Most identifiers have 4 to 16 bytes. Two loads of four bytes from the front and two from the back cover such a text
//! whatever its length, so neither hashing nor comparing has a branch on the length within that class:
//!
//! ```text
//!   l_tax (5):         l_ta  l_ta              the front, at 0 and at 0
//!                       _tax  _tax             the back, at 1 and at 1
//!   o_orderkey (10):   o_or  derk              at 0 and at 4
//!                        rder  rkey            at 6 - 4 and at 6
//! ```
//!
//! Names of 17 to 32 bytes are four words, two from the front and two from the back. Together with the length the
//! words say exactly which text it is, so two texts are equal where their lengths and words are. Other lengths are
//! hashed by foldhash and compared as slices.
//!
//! # Source
//! The overlapping loads are wyhash's (Wang Yi, <https://github.com/wangyi-fudan/wyhash>); the folded multiply is
//! foldhash's (orlp, <https://github.com/orlp/foldhash>).

use core::hash::{BuildHasher, Hasher};

/// What makes the hashes of one interner differ from those of another.
pub(super) struct Seeds {
    words: [u64; 4],
    other: State,
}

#[cfg(not(loom))]
type State = foldhash::fast::RandomState;
/// A model must do the same in each run.
#[cfg(loom)]
type State = foldhash::fast::FixedState;

/// A text as words of which each byte is in at least one: [`Short`] or [`Medium`]. Equal lengths and words are equal
/// texts.
pub(super) trait Words: Sized {
    /// The lengths of such texts.
    fn holds(len: usize) -> bool;

    /// The words of the `len` bytes at `place`.
    ///
    /// # Safety
    /// 1. [`Words::holds`] `len`.
    /// 2. `place` begins `len` initialized, readable bytes.
    unsafe fn load(place: *const u8, len: usize) -> Self;

    fn is_same(&self, other: &Self) -> bool;

    fn hash(&self, len: usize, seeds: &Seeds) -> u64;
}

/// The words of a text of 4 to 16 bytes.
pub(super) struct Short(u64, u64);

/// The words of a text of 17 to 32 bytes.
pub(super) struct Medium(u64, u64, u64, u64);

impl Words for Short {
    #[inline(always)]
    fn holds(len: usize) -> bool {
        len.wrapping_sub(4) <= 12
    }

    #[inline(always)]
    unsafe fn load(place: *const u8, len: usize) -> Short {
        // 0 for 4 to 7 bytes, 4 for 8 to 16: both loads of an end lie within the text, and all four cover it.
        let step = (len & 24) >> (len >> 3);
        // SAFETY: `step <= len - 4`, so four bytes from each of these offsets are within the text.
        let load = |offset: usize| unsafe { u64::from(place.add(offset).cast::<u32>().read_unaligned()) };
        Short(load(0) | load(step) << 32, load(len - 4 - step) | load(len - 4) << 32)
    }

    // Written out: compared as arrays the words would go through memory.
    #[inline(always)]
    fn is_same(&self, other: &Short) -> bool {
        (self.0 ^ other.0) | (self.1 ^ other.1) == 0
    }

    #[inline(always)]
    fn hash(&self, len: usize, seeds: &Seeds) -> u64 {
        fold(self.0 ^ seeds.words[0], self.1 ^ seeds.words[1].wrapping_add(len as u64))
    }
}

impl Words for Medium {
    #[inline(always)]
    fn holds(len: usize) -> bool {
        len.wrapping_sub(17) <= 15
    }

    #[inline(always)]
    unsafe fn load(place: *const u8, len: usize) -> Medium {
        // SAFETY: eight bytes from each of these offsets are within the text.
        let load = |offset: usize| unsafe { place.add(offset).cast::<u64>().read_unaligned() };
        Medium(load(0), load(8), load(len - 16), load(len - 8))
    }

    #[inline(always)]
    fn is_same(&self, other: &Medium) -> bool {
        (self.0 ^ other.0) | (self.1 ^ other.1) | (self.2 ^ other.2) | (self.3 ^ other.3) == 0
    }

    #[inline(always)]
    fn hash(&self, len: usize, seeds: &Seeds) -> u64 {
        let front = fold(self.0 ^ seeds.words[0], self.1 ^ seeds.words[1].wrapping_add(len as u64));
        front ^ fold(self.2 ^ seeds.words[2], self.3 ^ seeds.words[3])
    }
}

impl Seeds {
    pub(super) fn new() -> Seeds {
        let other = State::default();
        Seeds { words: [1u64, 2, 3, 4].map(|index| other.hash_one(index)), other }
    }

    /// The hash of a text that is neither [`Short`] nor [`Medium`].
    pub(super) fn hash_other(&self, text: &[u8]) -> u64 {
        let mut hasher = self.other.build_hasher();
        hasher.write(text);
        hasher.finish()
    }

    /// The hash of any text.
    pub(super) fn hash(&self, text: &[u8]) -> u64 {
        let (place, len) = (text.as_ptr(), text.len());
        // SAFETY: the lengths are checked before; a slice is readable.
        unsafe {
            match len {
                _ if Short::holds(len) => Short::load(place, len).hash(len, self),
                _ if Medium::holds(len) => Medium::load(place, len).hash(len, self),
                _ => self.hash_other(text),
            }
        }
    }
}

/// The two halves of the product, one over the other.
#[inline(always)]
fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    (product as u64) ^ (product >> 64) as u64
}

/// Where a table begins to look for a name with this hash: bits from the seventh on may be used.
///
/// These are the bits of the upper half. Under one seed in twenty the lower bits of a fold leave similar names in 0.6 to
/// 0.9 of the buckets that they would hit by chance, those of the middle rarely do.
#[inline(always)]
pub(super) fn place_of(hash: u64) -> usize {
    hash.rotate_right(32 - 6) as usize
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![allow(clippy::disallowed_types, reason = "tests may use the global allocator")]
    use super::*;
    extern crate std;
    use std::collections::HashSet;
    use std::vec::Vec;

    /// Changes each byte of texts of all the lengths of a class, and cuts them short.
    fn check<W: Words>(lens: core::ops::RangeInclusive<usize>) {
        let seeds = Seeds::new();
        // SAFETY: the length is checked first; slices are readable.
        let load = |text: &[u8]| unsafe { W::holds(text.len()).then(|| W::load(text.as_ptr(), text.len())) };
        for len in 0..=40usize {
            let text: Vec<u8> = (0..len).map(|at| at as u8 + 1).collect();
            assert_eq!(W::holds(len), lens.contains(&len));
            let Some(words) = load(&text) else { continue };
            assert!(words.is_same(&load(&text).unwrap()));
            assert_eq!(words.hash(len, &seeds), seeds.hash(&text));
            for at in 0..len {
                let mut other = text.clone();
                other[at] ^= 0x80;
                let other = load(&other).unwrap();
                assert!(!words.is_same(&other), "byte {at} of {len}");
                assert_ne!(words.hash(len, &seeds), other.hash(len, &seeds));
            }
            let zeros = std::vec![0; len];
            assert_ne!(seeds.hash(&zeros), seeds.hash(&zeros[1..]));
        }
    }

    #[test]
    fn every_byte_of_a_text_counts() {
        check::<Short>(4..=16);
        check::<Medium>(17..=32);
        assert!(!Short::holds(usize::MAX) && !Medium::holds(usize::MAX));
    }

    #[test]
    fn hashes_of_similar_names_spread_over_tags_and_buckets() {
        let (count, rounds) = if cfg!(miri) { (50, 1) } else { (20_000, 20) };
        for _ in 0..rounds {
            let seeds = Seeds::new();
            let hashes: Vec<u64> =
                (0..count).map(|n| seeds.hash(std::format!("column_{n}").as_bytes())).collect();
            let distinct =
                |bits: &dyn Fn(u64) -> u64| hashes.iter().map(|h| bits(*h)).collect::<HashSet<_>>().len();
            assert_eq!(distinct(&|hash| hash), count);
            // 20,000 balls in 65,536 bins hit about 17,200 of them.
            assert!(distinct(&|hash| hash >> 48) > count * 7 / 10);
            assert!(distinct(&|hash| place_of(hash) as u64 >> 6 & 0xffff) > count * 7 / 10);
        }
    }
}
