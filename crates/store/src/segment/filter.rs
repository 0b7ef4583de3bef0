//! Filters: which keys are certainly not in some pages.
//!
//! A blocked Bloom filter: a key sets six bits of one cache line, so that asking costs one miss. With ten bits a key,
//! one absent key in about 90 is looked for in vain. A filter covers the keys of one or more page ranges and stands in
//! a piece of its own, `lines * 64` bytes and the checksum, that pages through the cache like any other.
//!
//! # Source
//! F. Putze, P. Sanders, J. Singler: Cache-, hash- and space-efficient Bloom filters, WEA 2007, section 3 (blocked
//! filters). The bits of a line are taken from one 32-bit half of the hash by repeated multiplication, as in RocksDB's
//! `util/bloom_impl.h` (`FastLocalBloomImpl`).

/// Bytes of a line.
pub(crate) const LINE_BYTES: usize = 64;
/// Bits that a filter has for each key.
const BITS_PER_KEY: usize = 10;
/// Bits that a key sets.
const PROBES: usize = 6;

/// The hash of an encoded key. It stands behind what is in files, so it never changes: words of eight bytes, each
/// mixed in by a multiplication to 128 bits whose halves are folded together.
#[inline]
pub(crate) fn hash_key(key: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9FB2_1C65_1E98_DF25;
    let fold = |value: u64, factor: u64| {
        let wide = u128::from(value) * u128::from(factor);
        wide as u64 ^ (wide >> 64) as u64
    };
    let mut state = 0x2D35_8DCC_AA6C_78A5 ^ (key.len() as u64).wrapping_mul(FACTOR);
    let (words, tail) = key.as_chunks::<8>();
    for word in words {
        state = fold(state ^ u64::from_le_bytes(*word), FACTOR);
    }
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(tail) {
        *to = *from;
    }
    state = fold(state ^ u64::from_le_bytes(last), FACTOR);
    fold(state ^ 0x8BB8_4B93_962E_ACC9, 0x4B33_A62E_D433_D4A3)
}

/// How many lines a filter of so many keys has.
pub(super) fn lines_for(keys_count: usize) -> usize {
    (keys_count * BITS_PER_KEY).div_ceil(LINE_BYTES * 8).max(1)
}

fn line_of(hash: u64, lines_count: usize) -> usize {
    // The upper half scaled to the number of lines; a filter has far fewer than 2^32.
    ((hash >> 32).wrapping_mul(lines_count as u64) >> 32) as usize
}

#[inline]
fn probes(hash: u64) -> impl Iterator<Item = (usize, u8)> {
    let mut bits = hash as u32;
    (0..PROBES).map(move |_| {
        bits = bits.wrapping_mul(0x9E37_79B9);
        let bit = (bits >> 23) as usize;
        (bit / 8, 1 << (bit % 8))
    })
}

/// Adds a key to the lines of a filter.
pub(crate) fn insert(lines: &mut [u8], hash: u64) {
    let (lines, _) = lines.as_chunks_mut::<LINE_BYTES>();
    let index = line_of(hash, lines.len());
    if let Some(line) = lines.get_mut(index) {
        for (byte, mask) in probes(hash) {
            line[byte] |= mask;
        }
    }
}

/// False where no such key was added.
#[inline]
pub(crate) fn may_contain(lines: &[u8], hash: u64) -> bool {
    let (lines, _) = lines.as_chunks::<LINE_BYTES>();
    let index = line_of(hash, lines.len());
    lines.get(index).is_none_or(|line| probes(hash).all(|(byte, mask)| line[byte] & mask != 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_types::key::bigint_key;

    fn key(value: i64) -> [u8; 9] {
        let mut key = [1; 9];
        key[1..].copy_from_slice(&bigint_key(value));
        key
    }

    #[test]
    fn no_key_is_denied_and_few_others_are_not() {
        for (count, step) in [(1, 1), (100, 3), (2048, 1), (2048, 1 << 40), (6000, 7)] {
            let mut lines = std::vec![0; lines_for(count) * LINE_BYTES];
            for i in 0..count as i64 {
                insert(&mut lines, hash_key(&key(i * step)));
            }
            assert!((0..count as i64).all(|i| may_contain(&lines, hash_key(&key(i * step)))));
            let wrong = (0..10_000).filter(|i| may_contain(&lines, hash_key(&key(-1 - i * step)))).count();
            assert!(wrong < 300, "{wrong} of 10000 with {count} keys");
        }
        assert!(may_contain(&[], 7), "a filter that is not there denies nothing");
    }

    /// Aim: the hash is that of every file there is. Method: values of a second implementation, written down once.
    #[test]
    fn the_hash_never_changes() {
        assert_eq!(hash_key(b""), 0x020D_851A_C024_9FCA);
        assert_eq!(hash_key(b"\x01"), 0x3D6B_F181_6846_7FA3);
        assert_eq!(hash_key(b"cofferdam"), 0x7E2E_97A7_DC25_9A44);
        assert_eq!(hash_key(b"sixteen bytes ok"), 0x29F2_8014_739B_B907);
    }
}
