//! What can be wrong with a value, a type name or an encoded key.
//!
//! An error is a small `Copy` record: the offending text is kept as an inline [`Excerpt`], so making, returning and
//! printing one takes no memory. Messages follow PostgreSQL's wording, and so do the SQLSTATEs.

use core::fmt;

use crate::Type;

/// Why a value could not be read, computed, converted or decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// The text is no value of the type (22P02; 22007 for dates and intervals).
    InvalidText {
        /// The type that was asked for.
        ty: Type,
        /// The text, as far as it fits.
        text: Excerpt,
        /// The byte of the text where reading stopped.
        at: u32,
        /// What was expected there.
        reason: &'static str,
    },
    /// A whole number or double lies outside its type (22003).
    OutOfRange {
        /// The type that was asked for.
        ty: Type,
        /// The text that was read; empty when the value was computed.
        text: Excerpt,
    },
    /// A number does not fit `numeric(precision, scale)` (22003).
    NumericOverflow {
        /// Digits in all, at most 38.
        precision: u8,
        /// Digits behind the point.
        scale: u8,
        /// The text that was read; empty when the value was computed.
        text: Excerpt,
    },
    /// A number has more digits behind the point than its column keeps (22003).
    TooManyDecimals {
        /// The digits behind the point that the column keeps.
        scale: u8,
        /// The text that was read.
        text: Excerpt,
    },
    /// The divisor is zero (22012).
    DivisionByZero,
    /// A date or interval lies outside its range, or names a day that does not exist (22008).
    DatetimeOverflow {
        /// The type, date or interval.
        ty: Type,
        /// The text that was read; empty when the value was computed.
        text: Excerpt,
        /// The rule that was broken.
        reason: &'static str,
    },
    /// Arrays and objects of JSON are nested too deep (54001).
    TooDeep {
        /// How deep they may be.
        depth_max: u32,
    },
    /// A string of jsonb has the character `\u0000` (22P05).
    UnsupportedEscape,
    /// A text is too long for `character(n)` or `character varying(n)` (22001).
    TooLong {
        /// Text or character.
        ty: Type,
        /// The most characters.
        length: u32,
    },
    /// The digits of bytes are none (22023).
    InvalidHexadecimal {
        /// The text, as far as it fits.
        text: Excerpt,
        /// What is wrong.
        reason: &'static str,
    },
    /// A time zone is more than 16 hours from UTC (22009).
    ZoneDisplacement {
        /// The text that was read.
        text: Excerpt,
    },
    /// A value of jsonb is none of the type that it is cast to (22023).
    CannotCastJson {
        /// The type that was asked for.
        to: Type,
    },
    /// No time zone has this name (22023).
    UnknownZone {
        /// The name; empty for the zone of the session.
        name: Excerpt,
    },
    /// PostgreSQL refuses this too (0A000).
    NotSupported {
        /// The whole message.
        what: &'static str,
    },
    /// No type has this name (42704).
    UnknownType {
        /// The name.
        name: Excerpt,
    },
    /// The numbers in brackets behind a type name are not allowed there (22023).
    InvalidModifier {
        /// The type.
        name: Excerpt,
        /// The number that is wrong.
        given: u32,
        /// The rule that was broken.
        reason: &'static str,
    },
    /// There is no cast between the two types (42846).
    CannotCast {
        /// The type of the value.
        from: Type,
        /// The type that was asked for.
        to: Type,
    },
    /// The types have no common type (42804).
    TypesDiffer {
        /// The first type.
        left: Type,
        /// The second type.
        right: Type,
    },
    /// The operator does not exist for these types (42883).
    NoOperator {
        /// The operator's symbol.
        symbol: &'static str,
        /// The type of the left operand.
        left: Type,
        /// The type of the right operand.
        right: Type,
    },
    /// The function does not exist for this type (42883).
    NoFunction {
        /// The function's name.
        name: &'static str,
        /// The type of the argument.
        argument: Type,
    },
    /// Encoded bytes are no value of the type (XX001).
    Corrupt {
        /// The type that was to be decoded.
        ty: Type,
        /// The byte where decoding stopped.
        at: u32,
        /// What was expected there.
        reason: &'static str,
    },
    /// The caller's buffer is too small (54000).
    BufferTooSmall {
        /// Bytes that would have been enough.
        needed_bytes: u32,
        /// Bytes that were given.
        given_bytes: u32,
    },
}

const _: () = assert!(size_of::<Error>() <= 64);

impl Error {
    /// The five characters that SQL clients tell errors apart by.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Error::InvalidText {
                ty: Type::Date | Type::Time | Type::Timestamp | Type::TimestampTz | Type::Interval,
                ..
            } => "22007",
            Error::InvalidText { .. } => "22P02",
            Error::OutOfRange { .. } | Error::NumericOverflow { .. } | Error::TooManyDecimals { .. } => {
                "22003"
            }
            Error::DivisionByZero => "22012",
            Error::DatetimeOverflow { ty: Type::Interval, text, .. } if !text.is_empty() => "22015",
            Error::DatetimeOverflow { .. } => "22008",
            Error::ZoneDisplacement { .. } => "22009",
            Error::UnknownZone { .. } | Error::InvalidHexadecimal { .. } | Error::CannotCastJson { .. } => {
                "22023"
            }
            Error::TooDeep { .. } => "54001",
            Error::UnsupportedEscape => "22P05",
            Error::TooLong { .. } => "22001",
            Error::NotSupported { .. } => "0A000",
            Error::UnknownType { .. } => "42704",
            Error::InvalidModifier { .. } => "22023",
            Error::CannotCast { .. } => "42846",
            Error::TypesDiffer { .. } => "42804",
            Error::NoOperator { .. } | Error::NoFunction { .. } => "42883",
            Error::Corrupt { .. } => "XX001",
            Error::BufferTooSmall { .. } => "54000",
        }
    }

    /// What the user can do, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::InvalidText { ty: Type::Date, .. } => Some("write dates as yyyy-mm-dd"),
            Error::InvalidText { ty: Type::Interval, .. } => {
                Some("write intervals as '1 year 2 months 3 days'")
            }
            Error::OutOfRange { ty: Type::SmallInt, .. } => Some("use the type integer"),
            Error::OutOfRange { ty: Type::Integer, .. } => Some("use the type bigint"),
            Error::OutOfRange { ty: Type::BigInt, .. } => Some("use the type numeric"),
            Error::NumericOverflow { precision: 38, .. } => {
                Some("numeric holds 38 digits; use fewer digits behind the point, or double precision")
            }
            Error::NumericOverflow { .. } => Some("declare the number with a greater precision"),
            Error::TooManyDecimals { .. } => Some("declare the column with a greater scale"),
            Error::CannotCast { .. } => Some("cast to text first"),
            Error::TypesDiffer { .. } | Error::NoOperator { .. } | Error::NoFunction { .. } => {
                Some("you might need to add explicit type casts")
            }
            _ => None,
        }
    }

    #[cold]
    pub(crate) fn invalid(ty: Type, text: &[u8], at: usize, reason: &'static str) -> Error {
        Error::InvalidText { ty, text: Excerpt::new(text), at: saturate(at), reason }
    }

    #[cold]
    pub(crate) fn out_of_range(ty: Type, text: &[u8]) -> Error {
        Error::OutOfRange { ty, text: Excerpt::new(text) }
    }

    #[cold]
    pub(crate) fn numeric_overflow(precision: u8, scale: u8) -> Error {
        Error::NumericOverflow { precision, scale, text: Excerpt::new(&[]) }
    }

    #[cold]
    pub(crate) fn datetime(ty: Type, text: &[u8], reason: &'static str) -> Error {
        Error::DatetimeOverflow { ty, text: Excerpt::new(text), reason }
    }

    /// The same error as bytes written in digits have it (22023).
    #[cold]
    pub(crate) fn hexadecimal(self) -> Error {
        match self {
            Error::InvalidText { text, reason, .. } => Error::InvalidHexadecimal { text, reason },
            other => other,
        }
    }

    #[cold]
    pub(crate) fn unknown_zone(name: Option<&str>) -> Error {
        Error::UnknownZone { name: Excerpt::new(name.unwrap_or_default().as_bytes()) }
    }

    #[cold]
    pub(crate) fn corrupt(ty: Type, at: usize, reason: &'static str) -> Error {
        Error::Corrupt { ty, at: saturate(at), reason }
    }

    /// The same error with the text that was read, where the error has room for one and has none yet.
    pub(crate) fn with_text(self, read: &[u8]) -> Error {
        match self {
            Error::NumericOverflow { precision, scale, .. } => {
                Error::NumericOverflow { precision, scale, text: Excerpt::new(read) }
            }
            other => other,
        }
    }
}

/// `n` as a u32, or the greatest one.
pub(crate) fn saturate(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Error::InvalidText { ty, text, at, reason } => {
                write!(f, "invalid input syntax for type {}: \"{text}\" ({reason} at byte {at})", ty.name())
            }
            Error::OutOfRange { ty, text } if text.is_empty() => write!(f, "{} out of range", ty.name()),
            Error::OutOfRange { ty, text } => {
                write!(f, "value \"{text}\" is out of range for type {}", ty.name())
            }
            Error::NumericOverflow { precision, scale, text } => {
                f.write_str("numeric field overflow: ")?;
                match text.is_empty() {
                    true => f.write_str("the result")?,
                    false => write!(f, "\"{text}\"")?,
                }
                write!(f, " does not fit numeric({precision},{scale})")
            }
            Error::TooManyDecimals { scale, text } => {
                write!(f, "\"{text}\" has more than {scale} digits behind the point")
            }
            Error::DivisionByZero => f.write_str("division by zero"),
            Error::DatetimeOverflow { ty, text, reason } if text.is_empty() => {
                write!(f, "{} out of range: {reason}", ty.name())
            }
            Error::DatetimeOverflow { ty: Type::Interval, text, reason } => {
                write!(f, "interval field value out of range: \"{text}\" ({reason})")
            }
            Error::ZoneDisplacement { text } => {
                write!(f, "time zone displacement out of range: \"{text}\"")
            }
            Error::CannotCastJson { to } => {
                write!(f, "cannot cast this value of jsonb to type {}", to.name())
            }
            Error::DatetimeOverflow { text, reason, .. } => {
                write!(f, "date/time field value out of range: \"{text}\" ({reason})")
            }
            Error::TooDeep { depth_max } => write!(f, "JSON is nested deeper than {depth_max} levels"),
            Error::UnsupportedEscape => f.write_str("unsupported Unicode escape sequence"),
            Error::TooLong { ty, length } => {
                let name = if ty == Type::Char { "character" } else { "character varying" };
                write!(f, "value too long for type {name}({length})")
            }
            Error::InvalidHexadecimal { text, reason } => {
                write!(f, "invalid hexadecimal data: \"{text}\" ({reason})")
            }
            Error::UnknownZone { name } => write!(f, "time zone \"{name}\" not recognized"),
            Error::NotSupported { what } => f.write_str(what),
            Error::UnknownType { name } => write!(f, "type \"{name}\" does not exist"),
            Error::InvalidModifier { name, given, reason } => {
                write!(f, "{reason} in type \"{name}\", not {given}")
            }
            Error::CannotCast { from, to } => write!(f, "cannot cast type {} to {}", from.name(), to.name()),
            Error::TypesDiffer { left, right } => {
                write!(f, "types {} and {} cannot be matched", left.name(), right.name())
            }
            Error::NoOperator { symbol, left, right } => {
                write!(f, "operator does not exist: {} {symbol} {}", left.name(), right.name())
            }
            Error::NoFunction { name, argument } => {
                write!(f, "function {name}({}) does not exist", argument.name())
            }
            Error::Corrupt { ty, at, reason } => {
                write!(f, "encoded {} is corrupt at byte {at}: {reason}", ty.name())
            }
            Error::BufferTooSmall { needed_bytes, given_bytes } => {
                write!(f, "buffer of {given_bytes} bytes is too small, {needed_bytes} bytes are needed")
            }
        }
    }
}

impl core::error::Error for Error {}

/// The start of a text that an error talks about, at most 22 bytes of it, held inline.
///
/// Bytes that are not UTF-8 end the excerpt; a text that was cut prints with `...` behind it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Excerpt {
    bytes: [u8; Excerpt::BYTES_MAX],
    len: u8,
    is_cut: bool,
}

impl Excerpt {
    const BYTES_MAX: usize = 22;

    /// The start of `text`.
    pub fn new(text: &[u8]) -> Excerpt {
        let head = text.get(..Excerpt::BYTES_MAX).unwrap_or(text);
        let valid = match core::str::from_utf8(head) {
            Ok(_) => head,
            Err(error) => head.get(..error.valid_up_to()).unwrap_or(&[]),
        };
        let mut bytes = [0; Excerpt::BYTES_MAX];
        for (to, from) in bytes.iter_mut().zip(valid) {
            *to = *from;
        }
        Excerpt { bytes, len: valid.len() as u8, is_cut: valid.len() < text.len() }
    }

    /// The excerpt, without the mark that it was cut.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or(&[]);
        core::str::from_utf8(bytes).expect("checked when it was made")
    }

    /// Whether the text was empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0 && !self.is_cut
    }

    /// Whether the text was longer than the excerpt.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        if self.is_cut { f.write_str("...") } else { Ok(()) }
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    #[test]
    fn excerpt_is_cut_at_a_character() {
        let long = "aaaaaaaaaaaaaaaaaaaaaé and more";
        assert_eq!(Excerpt::new(long.as_bytes()).to_string(), "aaaaaaaaaaaaaaaaaaaaa...");
        assert_eq!(Excerpt::new(b"short").to_string(), "short");
        assert_eq!(Excerpt::new(b"bad \xff tail").to_string(), "bad ...");
        assert!(!Excerpt::new(b"\xff").is_empty());
        assert!(Excerpt::new(b"").is_empty());
    }

    #[test]
    fn messages_follow_postgresql() {
        let cases = [
            (Error::DivisionByZero, "22012", "division by zero"),
            (Error::out_of_range(Type::Integer, b""), "22003", "integer out of range"),
            (
                Error::out_of_range(Type::BigInt, b"99999999999999999999"),
                "22003",
                "value \"99999999999999999999\" is out of range for type bigint",
            ),
            (
                Error::numeric_overflow(5, 2),
                "22003",
                "numeric field overflow: the result does not fit numeric(5,2)",
            ),
            (
                Error::invalid(Type::Integer, b"12x", 2, "expected a digit"),
                "22P02",
                "invalid input syntax for type integer: \"12x\" (expected a digit at byte 2)",
            ),
            (
                Error::CannotCast { from: Type::Date, to: Type::Integer },
                "42846",
                "cannot cast type date to integer",
            ),
        ];
        for (error, sqlstate, message) in cases {
            assert_eq!(error.sqlstate(), sqlstate);
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn hints_name_what_would_help() {
        let ints = [(Type::Integer, Some("use the type bigint")), (Type::Double, None)];
        for (ty, hint) in ints {
            assert_eq!(Error::out_of_range(ty, b"").hint(), hint);
        }
        assert!(Error::numeric_overflow(38, 6).hint().is_some_and(|hint| hint.contains("38 digits")));
        assert!(Error::numeric_overflow(5, 2).hint().is_some_and(|hint| hint.contains("greater precision")));
        let differ = Error::TypesDiffer { left: Type::Date, right: Type::Integer };
        assert_eq!(differ.to_string(), "types date and integer cannot be matched");
        assert!(differ.hint().is_some());
        assert_eq!(Error::DivisionByZero.hint(), None);
    }
}
