//! Universally unique identifiers: 128 bits, shown as `a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11`.

use core::fmt::{self, Write as _};

use crate::{Error, TextBuffer, Type};

/// 128 bits that name something; ordered by bytes.
///
/// Kept as bytes, so that a [`Value`](crate::Value) needs an alignment of 8 only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

impl Uuid {
    /// The identifier of these bytes, most significant first.
    pub const fn from_bytes(bytes: [u8; 16]) -> Uuid {
        Uuid(bytes)
    }

    /// Its bytes, most significant first.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// The identifier of a number.
    pub const fn from_u128(number: u128) -> Uuid {
        Uuid(number.to_be_bytes())
    }

    /// The bytes as a number: greater for greater identifiers.
    pub const fn to_u128(self) -> u128 {
        u128::from_be_bytes(self.0)
    }

    /// The identifier as a signed integer whose order is that of the identifiers: how columns hold it.
    pub const fn to_ordered(self) -> i128 {
        (self.to_u128() ^ (1 << 127)) as i128
    }

    /// The identifier that [`Uuid::to_ordered`] gave a number for.
    pub const fn from_ordered(number: i128) -> Uuid {
        Uuid::from_u128(number as u128 ^ (1 << 127))
    }

    /// Reads 32 digits, with a hyphen behind any group of four or none, in braces or not.
    ///
    /// # Errors
    /// [`Error::InvalidText`].
    pub fn parse(text: &[u8]) -> Result<Uuid, Error> {
        let invalid = |at| Error::invalid(Type::Uuid, text, at, "expected a hexadecimal digit");
        let inside = match text {
            [b'{', inside @ .., b'}'] => inside,
            [b'{', ..] => return Err(invalid(text.len())),
            _ => text,
        };
        let start = usize::from(inside.len() < text.len());
        let (mut number, mut digits) = (0u128, 0);
        let mut after_hyphen = true;
        for (at, byte) in inside.iter().enumerate() {
            match char::from(*byte).to_digit(16) {
                Some(digit) if digits < 32 => {
                    number = number << 4 | u128::from(digit);
                    digits += 1;
                    after_hyphen = false;
                }
                None if *byte == b'-' && digits % 4 == 0 && digits < 32 && !after_hyphen => {
                    after_hyphen = true;
                }
                _ => return Err(invalid(start + at)),
            }
        }
        if digits == 32 { Ok(Uuid::from_u128(number)) } else { Err(invalid(start + inside.len())) }
    }

    /// The text form, in a buffer on the stack.
    pub fn to_text(self) -> TextBuffer {
        let mut text = TextBuffer::new();
        for (index, byte) in self.0.iter().enumerate() {
            let hyphen = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(text, "{hyphen}{byte:02x}").expect("an identifier has 36 characters");
        }
        text
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.to_text().as_str())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    #[test]
    fn every_form_of_postgresql_is_read() {
        for text in [
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
            "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
            "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}",
        ] {
            let uuid = Uuid::parse(text.as_bytes()).unwrap();
            assert_eq!(uuid.to_string(), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "{text}");
            assert_eq!(Uuid::from_ordered(uuid.to_ordered()), uuid);
        }
        for text in [
            "",
            "11111111-1111-1111-1111-11111111111",
            "11111111-1111-1111-1111-111111111111 ",
            "{11111111-1111-1111-1111-111111111111",
            "111-11111-1111-1111-1111-111111111111",
            "11111111--1111-1111-1111-111111111111",
            "11111111-1111-1111-1111-111111111111-",
            "-11111111-1111-1111-1111-111111111111",
            "g1111111-1111-1111-1111-111111111111",
        ] {
            assert_eq!(Uuid::parse(text.as_bytes()).unwrap_err().sqlstate(), "22P02", "{text}");
        }
    }

    #[test]
    fn signed_order_is_the_order_of_bytes() {
        let numbers = [0, 1, u128::MAX / 2, u128::MAX / 2 + 1, u128::MAX];
        assert!(numbers.map(|number| Uuid::from_u128(number).to_ordered()).is_sorted());
        assert!(numbers.map(Uuid::from_u128).is_sorted());
    }
}
