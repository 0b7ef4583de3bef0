//! The checksum of everything that is written: crc32c.

use crc_fast::CrcAlgorithm::Crc32Iscsi;
use crc_fast::Digest;

/// The crc32c of some bytes.
#[inline]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(Crc32Iscsi, bytes) as u32
}

/// The crc32c of bytes that come behind others, whose crc32c is given.
#[inline]
pub(crate) fn crc32c_append(crc: u32, bytes: &[u8]) -> u32 {
    let mut digest = Digest::new_with_init_state(Crc32Iscsi, u64::from(!crc));
    digest.update(bytes);
    digest.finalize() as u32
}

#[cfg(test)]
mod tests {
    /// Aim: it is the crc32c that others compute. Method: bytes of every length up to some hundred, and longer ones, at every place of a
    /// word, whole and in two parts, beside another implementation.
    #[test]
    fn it_is_what_others_compute() {
        let bytes: Vec<u8> = (0..20_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let lens = (0..if cfg!(miri) { 40 } else { 600 }).chain([1000, 4096, 8192, 19_000]);
        for (place, len) in lens.enumerate() {
            let bytes = &bytes[place % 17..][..len];
            let expected = ::crc32c::crc32c(bytes);
            assert_eq!(super::crc32c(bytes), expected, "{len} bytes");
            let (first, second) = bytes.split_at(len / 3);
            assert_eq!(
                super::crc32c_append(super::crc32c(first), second),
                expected,
                "{len} bytes in two parts"
            );
        }
        assert_eq!(super::crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(super::crc32c_append(7, b""), 7);
    }
}
