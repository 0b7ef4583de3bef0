//! Sixteen bytes of a text at once: how far a run of blanks, of name bytes or of digits goes.
//!
//! Most words of SQL are shorter than that, and a loop over their bytes ends where no processor can guess. A mask of all
//! the bytes has no branch; the loops that make one have a fixed length, which compilers turn into a few instructions on
//! whole registers.

/// How many bytes a window has.
pub(crate) const WINDOW_BYTES: usize = 16;

/// Sixteen bytes as a number, the first one lowest; zeros behind the end of the text.
#[derive(Clone, Copy)]
pub(crate) struct Window(u128);

impl Window {
    /// The bytes from `position` on; `None` where the text has fewer than a window holds.
    #[inline(always)]
    pub(crate) fn inside(bytes: &[u8], position: usize) -> Option<Window> {
        bytes.get(position..)?.first_chunk().map(|chunk| Window(u128::from_le_bytes(*chunk)))
    }

    /// The bytes from `position` on, also at the end of the text.
    #[inline]
    pub(crate) fn at(bytes: &[u8], position: usize) -> Window {
        if let Some(window) = Window::inside(bytes, position) {
            return window;
        }
        if let Some(last) = bytes.last_chunk() {
            let before = (position + WINDOW_BYTES - bytes.len()) as u32;
            return Window(u128::from_le_bytes(*last).checked_shr(8 * before).unwrap_or(0));
        }
        let mut chunk = [0; WINDOW_BYTES];
        for (to, from) in chunk.iter_mut().zip(bytes.get(position..).unwrap_or_default()) {
            *to = *from;
        }
        Window(u128::from_le_bytes(chunk))
    }

    /// How many blanks it begins with.
    #[inline(always)]
    pub(crate) fn blanks(self) -> usize {
        run(masks::blanks(self.bytes()))
    }

    /// How many digits it begins with.
    #[inline(always)]
    pub(crate) fn digits(self) -> usize {
        run(masks::digits(self.bytes()))
    }

    /// How many name bytes it begins with.
    #[inline(always)]
    pub(crate) fn name_bytes(self) -> usize {
        run(masks::name_bytes(self.bytes()))
    }

    /// How many bytes come before the first that ends a statement or may open a quote or a comment.
    #[inline(always)]
    pub(crate) fn plain_bytes(self) -> usize {
        run(!masks::openers(self.bytes()))
    }

    /// Where `byte` is for the first time; [`WINDOW_BYTES`] where it is not.
    #[inline(always)]
    pub(crate) fn find(self, byte: u8) -> usize {
        run(!masks::equal(self.bytes(), byte))
    }

    /// The first `len` bytes, at least one, as a word.
    #[inline(always)]
    pub(crate) fn word(self, len: usize) -> Word {
        Word(self.0 & FIRST[len])
    }

    #[inline(always)]
    fn bytes(self) -> [u8; WINDOW_BYTES] {
        self.0.to_le_bytes()
    }
}

/// All bits of the first bytes of a window, by how many they are.
static FIRST: [u128; WINDOW_BYTES + 1] = {
    let mut first = [u128::MAX; WINDOW_BYTES + 1];
    let mut len = 0;
    while len < WINDOW_BYTES {
        first[len] = (1 << (8 * len)) - 1;
        len += 1;
    }
    first
};

/// How many of the low 16 bits are set before the first that is not.
#[inline(always)]
fn run(mask: u32) -> usize {
    (!mask | 1 << WINDOW_BYTES).trailing_zeros() as usize
}

/// Masks of 16 bytes: bit `i` is about byte `i`. With SSE2, which is part of x86-64.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2", not(miri)))]
#[allow(unsafe_code, reason = "the instructions of one kind of processor")]
mod masks {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi8, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8,
    };

    use super::WINDOW_BYTES;

    /// Sixteen bytes in a register. The methods are the instructions.
    #[derive(Clone, Copy)]
    struct Register(__m128i);

    // Every `unsafe` below calls an instruction whose only condition is that the processor has SSE2: the module is
    // compiled only where the target says so. None of them touches memory.
    impl Register {
        #[inline(always)]
        fn new(bytes: [u8; WINDOW_BYTES]) -> Register {
            let bytes = u128::from_le_bytes(bytes);
            // SAFETY: SSE2 is there.
            Register(unsafe { _mm_set_epi64x((bytes >> 64) as i64, bytes as i64) })
        }

        #[inline(always)]
        fn all(byte: u8) -> Register {
            // SAFETY: SSE2 is there.
            Register(unsafe { _mm_set1_epi8(byte.cast_signed()) })
        }

        #[inline(always)]
        fn or(self, other: Register) -> Register {
            // SAFETY: SSE2 is there.
            Register(unsafe { _mm_or_si128(self.0, other.0) })
        }

        #[inline(always)]
        fn equal(self, byte: u8) -> Register {
            // SAFETY: SSE2 is there.
            Register(unsafe { _mm_cmpeq_epi8(self.0, Register::all(byte).0) })
        }

        /// All bits of the bytes that lie from `first` on in a range of `count` values.
        #[inline(always)]
        fn within(self, first: u8, count: u8) -> Register {
            // SAFETY: SSE2 is there.
            unsafe {
                let moved = _mm_add_epi8(self.0, Register::all(first.wrapping_neg()).0);
                Register(_mm_cmpeq_epi8(_mm_min_epu8(moved, Register::all(count - 1).0), moved))
            }
        }

        /// The highest bit of each byte.
        #[inline(always)]
        fn mask(self) -> u32 {
            // SAFETY: SSE2 is there.
            unsafe { _mm_movemask_epi8(self.0) }.cast_unsigned()
        }
    }

    #[inline(always)]
    pub(super) fn blanks(bytes: [u8; WINDOW_BYTES]) -> u32 {
        let bytes = Register::new(bytes);
        bytes.equal(b' ').or(bytes.within(b'\t', 5)).mask()
    }

    #[inline(always)]
    pub(super) fn digits(bytes: [u8; WINDOW_BYTES]) -> u32 {
        Register::new(bytes).within(b'0', 10).mask()
    }

    #[inline(always)]
    pub(super) fn equal(bytes: [u8; WINDOW_BYTES], byte: u8) -> u32 {
        Register::new(bytes).equal(byte).mask()
    }

    #[inline(always)]
    pub(super) fn openers(bytes: [u8; WINDOW_BYTES]) -> u32 {
        let bytes = Register::new(bytes);
        let quotes = bytes.equal(b'\'').or(bytes.equal(b'"')).or(bytes.equal(b'$'));
        bytes.equal(b';').or(bytes.equal(b'-')).or(bytes.equal(b'/')).or(quotes).mask()
    }

    #[inline(always)]
    pub(super) fn name_bytes(bytes: [u8; WINDOW_BYTES]) -> u32 {
        let bytes = Register::new(bytes);
        let letters = bytes.or(Register::all(0x20)).within(b'a', 26);
        let signs = bytes.equal(b'_').or(bytes.equal(b'$'));
        // Bytes that are not ASCII have the highest bit themselves.
        letters.or(bytes.within(b'0', 10)).or(signs).or(bytes).mask()
    }
}

#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2", not(miri))))]
use bytewise as masks;

/// The same masks, byte by byte.
#[cfg(any(test, miri, not(all(target_arch = "x86_64", target_feature = "sse2"))))]
mod bytewise {
    use super::WINDOW_BYTES;

    fn mask(bytes: [u8; WINDOW_BYTES], is_in: impl Fn(u8) -> bool) -> u32 {
        let bits = bytes.into_iter().enumerate().map(|(at, byte)| u32::from(is_in(byte)) << at);
        bits.fold(0, |mask, bit| mask | bit)
    }

    pub(super) fn blanks(bytes: [u8; WINDOW_BYTES]) -> u32 {
        mask(bytes, |byte| matches!(byte, b' ' | b'\t'..=b'\r'))
    }

    pub(super) fn digits(bytes: [u8; WINDOW_BYTES]) -> u32 {
        mask(bytes, |byte| byte.is_ascii_digit())
    }

    pub(super) fn equal(bytes: [u8; WINDOW_BYTES], byte: u8) -> u32 {
        mask(bytes, |found| found == byte)
    }

    pub(super) fn openers(bytes: [u8; WINDOW_BYTES]) -> u32 {
        mask(bytes, |byte| matches!(byte, b';' | b'-' | b'/' | b'\'' | b'"' | b'$'))
    }

    pub(super) fn name_bytes(bytes: [u8; WINDOW_BYTES]) -> u32 {
        mask(bytes, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..))
    }
}

/// Up to sixteen bytes as a number, the first one lowest, with zeros behind them.
#[derive(Clone, Copy)]
pub(crate) struct Word(pub(crate) u128);

/// A number of which each byte is `byte`.
const fn each(byte: u8) -> u128 {
    u128::from_le_bytes([byte; WINDOW_BYTES])
}

impl Word {
    /// Whether it has bytes of characters that are not ASCII.
    #[inline(always)]
    pub(crate) fn is_wide(self) -> bool {
        self.0 & each(0x80) != 0
    }

    /// Whether a word of name bytes, all ASCII, has capital letters.
    ///
    /// Of those bytes only capitals and `_` have bit 6 and not bit 5, and `_` alone has bit 5 when 1 is added.
    #[inline(always)]
    pub(crate) fn has_capitals(self) -> bool {
        let small = (self.0 | self.0.wrapping_add(each(1))) << 1;
        self.0 & !small & each(0x40) != 0
    }

    /// With small letters instead of capital ones, in a word of name bytes; two that differ otherwise stay different.
    #[inline(always)]
    pub(crate) const fn folded(self) -> u128 {
        // `_` becomes DEL, which is no name byte; digits and `$` have the bit.
        self.0 | each(0x20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Aim: both kinds of masks say what they should of any byte. Method: every byte in every place, among bytes that
    /// are in the run.
    #[test]
    fn runs_end_at_any_byte() {
        type Mask = fn([u8; WINDOW_BYTES]) -> u32;
        type Case = (Mask, Mask, u8, fn(u8) -> bool);
        let cases: [Case; 5] = [
            (masks::openers, bytewise::openers, b'$', |byte| b";-/'\"$".contains(&byte)),
            (masks::blanks, bytewise::blanks, b'\n', |byte| matches!(byte, b' ' | b'\t'..=b'\r')),
            (masks::digits, bytewise::digits, b'7', |byte| byte.is_ascii_digit()),
            (masks::name_bytes, bytewise::name_bytes, b'x', |byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
            }),
            (
                |bytes| masks::equal(bytes, b'\''),
                |bytes| bytewise::equal(bytes, b'\''),
                b'\'',
                |byte| byte == b'\'',
            ),
        ];
        for (mask, other, inside, is_in) in cases {
            for byte in 0..=u8::MAX {
                for place in 0..WINDOW_BYTES {
                    let mut bytes = [inside; WINDOW_BYTES];
                    bytes[place] = byte;
                    assert_eq!(mask(bytes), other(bytes), "{byte} at {place}");
                    assert_eq!(run(mask(bytes)), if is_in(byte) { WINDOW_BYTES } else { place }, "{byte}");
                }
            }
        }
    }

    /// Aim: capitals and wide letters are seen wherever they stand. Method: every name byte in every place of a word.
    #[test]
    fn words_know_their_letters() {
        for byte in (0..=u8::MAX).filter(|byte| byte.is_ascii_alphanumeric() || b"_$\xE4".contains(byte)) {
            for place in 0..WINDOW_BYTES {
                let mut bytes = *b"a_z09$Za_________";
                bytes[6] = b'z';
                bytes[place] = byte;
                let word = Window::at(&bytes, 0).word(WINDOW_BYTES);
                assert_eq!(word.is_wide(), !byte.is_ascii(), "{byte} at {place}");
                if byte.is_ascii() {
                    assert_eq!(word.has_capitals(), byte.is_ascii_uppercase(), "{byte} at {place}");
                }
            }
        }
    }

    #[test]
    fn behind_the_end_are_zeros() {
        assert_eq!(Window::at(b"select", 0).word(3).0, u128::from(u32::from_le_bytes(*b"sel\0")));
        assert_eq!(Window::at(b"select", 0).name_bytes(), 6);
        assert_eq!(Window::at(b"select", 4).name_bytes(), 2);
        assert_eq!(Window::at(b"select", 99).blanks(), 0);
    }
}
