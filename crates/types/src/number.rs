//! Integers, booleans, doubles and fixed-scale decimals from and to text.
//!
//! Readers take bytes, so that a field of a file needs no UTF-8 check first, and skip white space around the number
//! as PostgreSQL does. Each has a short path for the common field and a slow one that finds out what is wrong.

use core::fmt::{self, Write as _};

use crate::digits::{fill_digits, scan_decimal, scan_short};
use crate::{Decimal, Error, Excerpt, TextBuffer, Type, Value};

/// Reads a 32-bit integer.
///
/// # Errors
/// [`Error::InvalidText`], [`Error::OutOfRange`].
#[inline]
pub fn parse_i32(text: &[u8]) -> Result<i32, Error> {
    match short_integer(text) {
        Some(value) => i32::try_from(value).map_err(|_| Error::out_of_range(Type::Integer, text)),
        None => i32::try_from(long_integer(text, Type::Integer)?)
            .map_err(|_| Error::out_of_range(Type::Integer, text)),
    }
}

/// Reads a 16-bit integer.
///
/// # Errors
/// [`Error::InvalidText`], [`Error::OutOfRange`].
pub fn parse_i16(text: &[u8]) -> Result<i16, Error> {
    let value = short_integer(text).map_or_else(|| long_integer(text, Type::SmallInt), Ok)?;
    i16::try_from(value).map_err(|_| Error::out_of_range(Type::SmallInt, text))
}

/// Reads a 64-bit integer.
///
/// # Errors
/// [`Error::InvalidText`], [`Error::OutOfRange`].
#[inline]
pub fn parse_i64(text: &[u8]) -> Result<i64, Error> {
    match short_integer(text) {
        Some(value) => Ok(value),
        None => long_integer(text, Type::BigInt),
    }
}

/// A sign and digits, at most 18 characters; nothing for everything else.
#[inline]
fn short_integer(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value = 0i64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if is_negative { -value } else { value })
}

fn long_integer(text: &[u8], ty: Type) -> Result<i64, Error> {
    let end = text.trim_ascii_end().len();
    let mut at = text.len() - text.trim_ascii_start().len();
    let is_negative = text.get(at) == Some(&b'-');
    at += usize::from(matches!(text.get(at), Some(b'-' | b'+')));
    let digits = text.get(at..end).unwrap_or(&[]);
    if let Some(bad) = digits.iter().position(|byte| !byte.is_ascii_digit()) {
        return Err(Error::invalid(ty, text, at + bad, "expected a digit"));
    }
    if digits.is_empty() {
        return Err(Error::invalid(ty, text, at, "expected a digit"));
    }
    // Downwards, since the least integer has no positive twin.
    let value = digits
        .iter()
        .try_fold(0i64, |value, byte| value.checked_mul(10)?.checked_sub(i64::from(byte - b'0')));
    let value = if is_negative { value } else { value.and_then(i64::checked_neg) };
    value.ok_or_else(|| Error::out_of_range(ty, text))
}

/// Writes an integer.
///
/// # Errors
/// Those of `out`.
pub fn write_i64(value: i64, out: &mut impl fmt::Write) -> fmt::Result {
    let mut digits = [b'0'; 40];
    let start = fill_digits(&mut digits, value.unsigned_abs().into()).min(39);
    let mut text = TextBuffer::new();
    if value < 0 {
        text.push_ascii(b"-")?;
    }
    text.push_ascii(digits.get(start..).unwrap_or(&[]))?;
    out.write_str(text.as_str())
}

/// Reads a boolean: a start of `true`, `false`, `yes`, `no`, the words `on` and `off` from two letters, `1`, `0`.
///
/// # Errors
/// [`Error::InvalidText`].
pub fn parse_bool(text: &[u8]) -> Result<bool, Error> {
    let word = text.trim_ascii();
    let starts = |full: &str, least| {
        let head = full.as_bytes().get(..word.len());
        word.len() >= least && head.is_some_and(|head| head.eq_ignore_ascii_case(word))
    };
    if starts("true", 1) || starts("yes", 1) || starts("on", 2) || word == b"1" {
        return Ok(true);
    }
    if starts("false", 1) || starts("no", 1) || starts("off", 2) || word == b"0" {
        return Ok(false);
    }
    Err(Error::invalid(Type::Boolean, text, 0, "expected true or false"))
}

/// Reads a double; `NaN`, `Infinity` and `inf` with a sign are numbers too.
///
/// # Errors
/// [`Error::InvalidText`]; [`Error::OutOfRange`] for numbers that would become infinite or zero.
pub fn parse_f64(text: &[u8]) -> Result<f64, Error> {
    let value: f64 = parse_float(text, Type::Double)?;
    check_float(text, Type::Double, value.is_infinite(), value == 0.0)?;
    Ok(value)
}

/// Reads a number of 32 bits, as [`parse_f64`] reads doubles; it is rounded once.
///
/// # Errors
/// Those of `parse_f64`.
pub fn parse_f32(text: &[u8]) -> Result<f32, Error> {
    let value: f32 = parse_float(text, Type::Real)?;
    check_float(text, Type::Real, value.is_infinite(), value == 0.0)?;
    Ok(value)
}

fn parse_float<T: core::str::FromStr>(text: &[u8], ty: Type) -> Result<T, Error> {
    let invalid = |at| Error::invalid(ty, text, at, "expected a number");
    let start = text.len() - text.trim_ascii_start().len();
    core::str::from_utf8(text.trim_ascii())
        .map_err(|error| invalid(start + error.valid_up_to()))?
        .parse()
        .map_err(|_| invalid(scan_decimal(text).err().map_or(start, |fault| fault.at)))
}

/// Refuses infinity and zero for texts whose digits name another number.
fn check_float(text: &[u8], ty: Type, is_infinite: bool, is_zero: bool) -> Result<(), Error> {
    let mut before_exponent = text.iter().take_while(|byte| !matches!(byte, b'e' | b'E'));
    match before_exponent.any(|byte| matches!(byte, b'1'..=b'9')) && (is_infinite || is_zero) {
        true => Err(Error::out_of_range(ty, text)),
        false => Ok(()),
    }
}

/// Writes a double as PostgreSQL does: the shortest digits that read back, with an exponent below 1e-4 and from 1e15.
///
/// # Errors
/// Those of `out`.
pub fn write_f64(value: f64, out: &mut impl fmt::Write) -> fmt::Result {
    let magnitude = value.abs();
    if value == 0.0 || (1e-4..1e15).contains(&magnitude) {
        return write!(out, "{value}");
    }
    write_extreme(value, format_args!("{value:e}"), out)
}

/// Writes a number of 32 bits as PostgreSQL does: the shortest digits that read back, with an exponent below 1e-4 and
/// from 1e6.
///
/// # Errors
/// Those of `out`.
pub fn write_f32(value: f32, out: &mut impl fmt::Write) -> fmt::Result {
    if value == 0.0 || (1e-4..1e6).contains(&value.abs()) {
        return write!(out, "{value}");
    }
    write_extreme(value.into(), format_args!("{value:e}"), out)
}

/// Writes a number with an exponent, which `scientific` gives without a plus and with one digit at least.
fn write_extreme(value: f64, scientific: fmt::Arguments<'_>, out: &mut impl fmt::Write) -> fmt::Result {
    if value.is_nan() {
        return out.write_str("NaN");
    }
    if value.is_infinite() {
        return out.write_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    }
    let mut text = TextBuffer::new();
    text.write_fmt(scientific)?;
    let (mantissa, exponent) = text.as_str().split_once('e').ok_or(fmt::Error)?;
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    write!(out, "{mantissa}e{sign}{digits:0>2}")
}

/// Reads a decimal as the unscaled integer of a `numeric(precision, scale)` column, rounded to the scale.
///
/// # Errors
/// [`Error::InvalidText`]; [`Error::NumericOverflow`] when the column is too narrow.
#[inline]
pub fn parse_unscaled(text: &[u8], precision: u8, scale: u8) -> Result<i128, Error> {
    match scan_short(text, scale) {
        Some(value) if crate::unscaled::fits(value, precision) => Ok(value),
        _ => parse_long(text, precision, scale).map(|(value, _)| value),
    }
}

/// Reads a decimal like [`parse_unscaled`], but refuses text whose digits the scale cannot keep.
///
/// # Errors
/// [`Error::InvalidText`], [`Error::NumericOverflow`], [`Error::TooManyDecimals`].
#[inline]
pub fn parse_unscaled_exact(text: &[u8], precision: u8, scale: u8) -> Result<i128, Error> {
    match scan_short(text, scale) {
        Some(value) if crate::unscaled::fits(value, precision) => Ok(value),
        _ => match parse_long(text, precision, scale)? {
            (value, true) => Ok(value),
            (_, false) => Err(Error::TooManyDecimals { scale, text: Excerpt::new(text) }),
        },
    }
}

fn parse_long(text: &[u8], precision: u8, scale: u8) -> Result<(i128, bool), Error> {
    let number = scan_decimal(text)
        .map_err(|fault| Error::invalid(Type::Decimal { precision, scale }, text, fault.at, fault.reason))?;
    let found = number.unscaled(scale).filter(|(value, _)| crate::unscaled::fits(*value, precision));
    found.ok_or_else(|| Error::numeric_overflow(precision, scale).with_text(text))
}

/// The value of a number literal: integer, bigint or numeric, the first that holds it exactly.
///
/// # Errors
/// [`Error::InvalidText`]; [`Error::NumericOverflow`] beyond 38 digits.
pub fn parse_literal(text: &str) -> Result<Value<'static>, Error> {
    match short_integer(text.as_bytes()).map_or_else(|| long_integer(text.as_bytes(), Type::BigInt), Ok) {
        Ok(value) => Ok(i32::try_from(value).map_or(Value::BigInt(value), Value::Integer)),
        Err(_) => Decimal::parse(text.as_bytes()).map(Value::Decimal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;
    use std::string::{String, ToString as _};

    fn double_text(value: f64) -> String {
        let mut text = String::new();
        write_f64(value, &mut text).unwrap();
        text
    }

    fn integer_text(value: i64) -> String {
        let mut text = String::new();
        write_i64(value, &mut text).unwrap();
        text
    }

    #[test]
    fn integers_are_read_to_their_ends() {
        assert_eq!(parse_i32(b"2147483647"), Ok(i32::MAX));
        assert_eq!(parse_i32(b" -2147483648 "), Ok(i32::MIN));
        assert_eq!(parse_i64(b"-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(parse_i64(b"+9223372036854775807"), Ok(i64::MAX));
        assert_eq!(parse_i64(b"00000000000000000000000012"), Ok(12));
    }

    #[test]
    fn bad_integers_say_what_is_wrong() {
        let cases = [
            ("2147483648", "22003", "value \"2147483648\" is out of range for type integer"),
            (
                "99999999999999999999",
                "22003",
                "value \"99999999999999999999\" is out of range for type integer",
            ),
            ("", "22P02", "invalid input syntax for type integer: \"\" (expected a digit at byte 0)"),
            (" - ", "22P02", "invalid input syntax for type integer: \" - \" (expected a digit at byte 2)"),
            ("1 2", "22P02", "invalid input syntax for type integer: \"1 2\" (expected a digit at byte 1)"),
            ("--1", "22P02", "invalid input syntax for type integer: \"--1\" (expected a digit at byte 1)"),
            ("1.5", "22P02", "invalid input syntax for type integer: \"1.5\" (expected a digit at byte 1)"),
        ];
        for (text, sqlstate, message) in cases {
            let error = parse_i32(text.as_bytes()).unwrap_err();
            assert_eq!((error.sqlstate(), error.to_string().as_str()), (sqlstate, message));
        }
        assert_eq!(parse_i64(b"9223372036854775808").unwrap_err().hint(), Some("use the type numeric"));
        assert_eq!(parse_i64(b"-9223372036854775809").unwrap_err().sqlstate(), "22003");
    }

    #[test]
    fn booleans_are_read_as_postgresql_reads_them() {
        for text in ["t", "TRUE", "tr", "y", "yes", "on", "1", " true "] {
            assert_eq!(parse_bool(text.as_bytes()), Ok(true), "{text}");
        }
        for text in ["f", "False", "n", "no", "of", "off", "0"] {
            assert_eq!(parse_bool(text.as_bytes()), Ok(false), "{text}");
        }
        for text in ["", "o", "truer", "2", "10", "maybe"] {
            assert_eq!(parse_bool(text.as_bytes()).unwrap_err().sqlstate(), "22P02", "{text}");
        }
    }

    #[test]
    fn doubles_print_as_postgresql_prints_them() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (1e20, "1e+20"),
            (1e15, "1e+15"),
            (123456789012345.0, "123456789012345"),
            (1234567890123456.0, "1.234567890123456e+15"),
            (0.0001, "0.0001"),
            (0.00001234, "1.234e-05"),
            (-1.5e300, "-1.5e+300"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (5e-324, "5e-324"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ];
        for (value, text) in cases {
            assert_eq!(double_text(value), text);
        }
    }

    #[test]
    fn doubles_are_read_or_refused() {
        assert_eq!(parse_f64(b" 1.5e3 "), Ok(1500.0));
        assert_eq!(parse_f64(b"-inf"), Ok(f64::NEG_INFINITY));
        assert!(parse_f64(b"nan").unwrap().is_nan());
        assert_eq!(parse_f64(b"0e999"), Ok(0.0));
        for (text, sqlstate) in [
            ("1e400", "22003"),
            ("-1e400", "22003"),
            ("1e-400", "22003"),
            ("", "22P02"),
            ("1.2.3", "22P02"),
            ("abc", "22P02"),
        ] {
            assert_eq!(parse_f64(text.as_bytes()).unwrap_err().sqlstate(), sqlstate, "{text}");
        }
        let error = parse_f64(b"12,5").unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid input syntax for type double precision: \"12,5\" (expected a number at byte 2)"
        );
        assert_eq!(parse_f64(b"1\xff").unwrap_err().sqlstate(), "22P02");
    }

    #[test]
    fn columns_round_or_refuse() {
        assert_eq!(parse_unscaled(b"12.345", 5, 2), Ok(1235));
        assert_eq!(parse_unscaled(b"-12.345", 5, 2), Ok(-1235));
        assert_eq!(parse_unscaled(b"12.344999999999999999999999", 5, 2), Ok(1234));
        assert_eq!(parse_unscaled_exact(b"12.340", 5, 2), Ok(1234));
        assert_eq!(parse_unscaled(b"999.994", 5, 2), Ok(99999));
        let error = parse_unscaled(b"999.995", 5, 2).unwrap_err();
        assert_eq!(error.to_string(), "numeric field overflow: \"999.995\" does not fit numeric(5,2)");
        let error = parse_unscaled_exact(b"12.345", 5, 2).unwrap_err();
        assert_eq!((error.sqlstate(), error.hint().is_some()), ("22003", true));
        assert_eq!(error.to_string(), "\"12.345\" has more than 2 digits behind the point");
        assert_eq!(parse_unscaled(b"12x", 5, 2).unwrap_err().sqlstate(), "22P02");
    }

    #[test]
    fn literals_take_the_first_type_that_holds_them() {
        assert_eq!(parse_literal("2147483647"), Ok(Value::Integer(i32::MAX)));
        assert_eq!(parse_literal("2147483648"), Ok(Value::BigInt(2_147_483_648)));
        assert_eq!(parse_literal("9223372036854775808").unwrap().to_string(), "9223372036854775808");
        assert_eq!(parse_literal("1.50").unwrap().to_string(), "1.50");
        assert_eq!(parse_literal("1e3").unwrap().ty(), Type::Decimal { precision: 4, scale: 0 });
        assert_eq!(parse_literal("1e38").unwrap_err().sqlstate(), "22003");
        assert_eq!(parse_literal("1x").unwrap_err().sqlstate(), "22P02");
    }

    proptest! {
        #[test]
        fn integers_match_core(value in any::<i64>(), shift in 0..64u32) {
            let value = value >> shift;
            prop_assert_eq!(integer_text(value), value.to_string());
            prop_assert_eq!(parse_i64(value.to_string().as_bytes()), Ok(value));
            prop_assert_eq!(parse_i32(value.to_string().as_bytes()).ok(), i32::try_from(value).ok());
        }

        #[test]
        fn integer_texts_match_core(text in "[-+]?[0-9]{0,22}x?") {
            prop_assert_eq!(parse_i64(text.as_bytes()).ok(), text.parse().ok());
            prop_assert_eq!(parse_i32(text.as_bytes()).ok(), text.parse().ok());
        }

        #[test]
        fn doubles_read_back(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            let text = double_text(value);
            let read = parse_f64(text.as_bytes()).unwrap();
            prop_assert!(read == value || (read.is_nan() && value.is_nan()));
            prop_assert!(text.len() <= 24, "{}", text);
        }

        #[test]
        fn short_and_long_paths_agree(text in "[-+]?[0-9]{0,12}\\.?[0-9]{0,12}(e[-+]?[0-9]{1,2})?", scale in 0..=38u8) {
            // A space in front keeps the same number off the short path.
            let slow = format!(" {text}");
            prop_assert_eq!(parse_unscaled(text.as_bytes(), 38, scale).ok(), parse_unscaled(slow.as_bytes(), 38, scale).ok());
            prop_assert_eq!(
                parse_unscaled_exact(text.as_bytes(), 38, scale).ok(),
                parse_unscaled_exact(slow.as_bytes(), 38, scale).ok()
            );
        }
    }
}
