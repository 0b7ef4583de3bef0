//! Numbers to bytes and back: little-endian, or seven bits a byte with the eighth saying that more follow (LEB128).

/// The most bytes of a number of 64 bits in LEB128.
pub(crate) const VARINT_BYTES_MAX: usize = 10;

/// Bytes that are put together on the stack; `N` is a bound that the caller proves.
#[derive(Debug)]
pub(crate) struct Encoder<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Encoder<N> {
    /// No bytes.
    #[inline]
    pub(crate) const fn new() -> Encoder<N> {
        Encoder { bytes: [0; N], len: 0 }
    }

    /// Appends bytes.
    ///
    /// # Panics
    /// There are more than `N`, which is a defect of the bound.
    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        self.bytes[self.len..end].copy_from_slice(bytes);
        self.len = end;
    }

    /// Appends a byte.
    #[inline]
    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    /// Appends a number in LEB128.
    #[inline]
    pub(crate) fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.byte(value as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8);
    }

    /// What was put, and zeros behind.
    pub(crate) fn into_array(self) -> [u8; N] {
        self.bytes
    }

    /// What was put.
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Bytes that are taken apart; `None` where they end too early or are not what [`Encoder`] writes.
#[derive(Clone, Debug)]
pub(crate) struct Decoder<'b> {
    rest: &'b [u8],
}

impl<'b> Decoder<'b> {
    /// From the first byte on.
    #[inline]
    pub(crate) fn new(bytes: &'b [u8]) -> Decoder<'b> {
        Decoder { rest: bytes }
    }

    /// What has not been taken.
    #[inline]
    pub(crate) fn rest(&self) -> &'b [u8] {
        self.rest
    }

    /// True where all was taken.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `count` bytes.
    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// The next `N` bytes.
    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    /// The next byte.
    #[inline]
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// A number in LEB128, in no more bytes than it needs.
    #[inline]
    pub(crate) fn varint(&mut self) -> Option<u64> {
        let first = self.byte()?;
        if first < 0x80 { Some(first.into()) } else { self.long_varint(first) }
    }

    fn long_varint(&mut self, first: u8) -> Option<u64> {
        let mut value = u64::from(first & 0x7f);
        for place in 1..VARINT_BYTES_MAX {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has one bit left.
            if place == VARINT_BYTES_MAX - 1 && bits > 1 {
                return None;
            }
            value |= bits << (7 * place);
            if byte < 0x80 {
                return (byte != 0).then_some(value);
            }
        }
        None
    }

    /// A number in LEB128 that fits.
    #[inline]
    pub(crate) fn number<T: TryFrom<u64>>(&mut self) -> Option<T> {
        T::try_from(self.varint()?).ok()
    }

    /// A byte that is 0 or 1.
    pub(crate) fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// A length in LEB128, at most `bytes_max`, and as many bytes.
    #[cfg(test)]
    pub(crate) fn text(&mut self, bytes_max: usize) -> Option<&'b [u8]> {
        let count = self.number::<usize>().filter(|count| *count <= bytes_max)?;
        self.take(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_have_one_form_only() {
        for value in
            (0..64).flat_map(|bits| [(1u64 << bits) - 1, 1 << bits, (1 << bits) + 1]).chain([u64::MAX])
        {
            let mut encoder = Encoder::<VARINT_BYTES_MAX>::new();
            encoder.varint(value);
            let mut decoder = Decoder::new(encoder.as_slice());
            assert_eq!((decoder.varint(), decoder.is_empty()), (Some(value), true));
            let cut = encoder.as_slice().len() - 1;
            assert_eq!(Decoder::new(&encoder.as_slice()[..cut]).varint(), None, "cut off: {value}");
        }
        for wrong in [
            &[0x80, 0][..],
            &[0xff, 0x80, 0],
            &[0xff; 11],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
        ] {
            assert_eq!(Decoder::new(wrong).varint(), None, "{wrong:?}");
        }
        assert_eq!(Decoder::new(&[0x80, 2]).number::<u8>(), None);
        assert_eq!(Decoder::new(&[2]).flag(), None);
        assert_eq!(Decoder::new(&[3, 1, 2, 3]).text(2), None);
    }
}
