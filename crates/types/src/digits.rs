//! Decimal numbers as text: scanning and printing.
//!
//! A scan keeps the first 38 significant digits and the one behind them. Rounding half away from zero looks at one
//! digit only, so nothing more is ever needed, however long the text is.

use core::fmt;

use crate::TextBuffer;
use crate::unscaled::{POW10, pow10};

/// Where and why a scan stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) reason: &'static str,
}

/// A number as it was written: `mantissa * 10^exponent`, give or take digits beyond the 38th.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Scanned {
    is_negative: bool,
    mantissa: u128,
    exponent: i64,
    /// The first digit that was dropped.
    next_digit: u8,
    /// Whether every digit that was dropped is zero.
    is_exact: bool,
    /// Digits behind the point as written, less the exponent.
    scale: i64,
}

impl Scanned {
    /// The digits behind the point that the text asks for; more than 255 are cut.
    pub(crate) fn scale(&self) -> u8 {
        self.scale.clamp(0, 255) as u8
    }

    /// The unscaled integer at `scale`, and whether no digit was lost; nothing when it needs more than 38 digits.
    pub(crate) fn unscaled(&self, scale: u8) -> Option<(i128, bool)> {
        let shift = self.exponent.saturating_add(i64::from(scale));
        let (magnitude, is_exact) = if self.mantissa == 0 {
            (0, true)
        } else if shift >= 0 {
            let power = pow10(u32::try_from(shift).ok()?)?;
            let rounded = self.mantissa + u128::from(self.next_digit >= 5 && shift == 0);
            (rounded.checked_mul(power.unsigned_abs())?, self.is_exact)
        } else {
            self.cut(shift.unsigned_abs())
        };
        let value = i128::try_from(magnitude).ok().filter(|n| *n < POW10[38])?;
        Some((if self.is_negative { -value } else { value }, is_exact))
    }

    /// The mantissa without its last `count` digits, rounded.
    fn cut(&self, count: u64) -> (u128, bool) {
        let power = u32::try_from(count).ok().and_then(pow10);
        let Some(divisor) = power.map(i128::unsigned_abs) else { return (0, false) };
        let (quotient, rest) = (self.mantissa / divisor, self.mantissa % divisor);
        (quotient + u128::from(rest >= divisor - rest), rest == 0 && self.is_exact)
    }

    fn push(&mut self, digit: u8, dropped: &mut i64) {
        if *dropped == 0 && self.mantissa < POW10[37].unsigned_abs() {
            self.mantissa = self.mantissa * 10 + u128::from(digit);
            return;
        }
        if *dropped == 0 {
            self.next_digit = digit;
        }
        self.is_exact &= digit == 0;
        *dropped += 1;
    }
}

/// Reads `[+-] digits [. digits] [e [+-] digits]` with white space around it.
pub(crate) fn scan_decimal(text: &[u8]) -> Result<Scanned, Fault> {
    let mut number =
        Scanned { is_negative: false, mantissa: 0, exponent: 0, next_digit: 0, is_exact: true, scale: 0 };
    let end = text.trim_ascii_end().len();
    let byte = |at: usize| text.get(at).copied().filter(|_| at < end);
    let mut at = text.len() - text.trim_ascii_start().len();
    if let Some(sign @ (b'+' | b'-')) = byte(at) {
        number.is_negative = sign == b'-';
        at += 1;
    }
    let (mut digits, mut dropped, mut fraction) = (0, 0, None);
    loop {
        match byte(at) {
            Some(digit @ b'0'..=b'9') => {
                number.push(digit - b'0', &mut dropped);
                digits += 1;
            }
            Some(b'.') if fraction.is_none() => fraction = Some(digits),
            _ => break,
        }
        at += 1;
    }
    if digits == 0 {
        return Err(Fault { at, reason: "expected a digit" });
    }
    let mut exponent = 0;
    if let Some(b'e' | b'E') = byte(at) {
        (exponent, at) = scan_exponent(&byte, at + 1)?;
    }
    if at < end {
        return Err(Fault { at, reason: "expected a digit or the end" });
    }
    let behind_point = digits - fraction.unwrap_or(digits);
    number.scale = behind_point - exponent;
    number.exponent = exponent - behind_point + dropped;
    Ok(number)
}

/// The exponent and where it ends; beyond ten digits it stays where it is, out of everybody's range.
fn scan_exponent(byte: &impl Fn(usize) -> Option<u8>, mut at: usize) -> Result<(i64, usize), Fault> {
    let mut sign = 1;
    if let Some(b @ (b'+' | b'-')) = byte(at) {
        sign = if b == b'-' { -1 } else { 1 };
        at += 1;
    }
    let start = at;
    let mut exponent = 0i64;
    while let Some(digit @ b'0'..=b'9') = byte(at) {
        if exponent < 1_000_000_000_000 {
            exponent = exponent * 10 + i64::from(digit - b'0');
        }
        at += 1;
    }
    if at == start {
        return Err(Fault { at, reason: "expected a digit of the exponent" });
    }
    Ok((sign * exponent, at))
}

/// The unscaled integer of a short plain number such as `-123.45` at `scale`; nothing for everything else.
///
/// This is the path of almost every field of a file: at most 18 characters, no exponent, no digit to drop.
#[inline]
pub(crate) fn scan_short(text: &[u8], scale: u8) -> Option<i128> {
    if text.len() > 18 {
        return None;
    }
    let (is_negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let (mut value, mut behind_point, mut has_point) = (0i64, 0u8, 0u8);
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            value = value * 10 + i64::from(digit);
            behind_point += has_point;
        } else if byte == b'.' && has_point == 0 {
            has_point = 1;
        } else {
            return None;
        }
    }
    if digits.len() <= usize::from(has_point) {
        return None;
    }
    let power = POW10.get(usize::from(scale.checked_sub(behind_point)?))?;
    let value = i128::from(value).checked_mul(*power).filter(|n| *n < POW10[38])?;
    Some(if is_negative { -value } else { value })
}

/// Appends `unscaled` with a point before its last `scale` digits.
pub(crate) fn push_digits(text: &mut TextBuffer, unscaled: i128, scale: u8) -> fmt::Result {
    let mut digits = [b'0'; 40];
    let start = fill_digits(&mut digits, unscaled.unsigned_abs());
    let point = digits.len() - usize::from(scale).min(digits.len() - 1);
    if unscaled < 0 {
        text.push_ascii(b"-")?;
    }
    // At least one digit stands before the point.
    let start = start.min(point - 1);
    text.push_ascii(digits.get(start..point).ok_or(fmt::Error)?)?;
    if scale > 0 {
        text.push_ascii(b".")?;
        text.push_ascii(digits.get(point..).ok_or(fmt::Error)?)?;
    }
    Ok(())
}

/// Writes the digits of `value` at the end of `digits` and gives the place of the first; the rest stays as it is.
pub(crate) fn fill_digits(digits: &mut [u8; 40], mut value: u128) -> usize {
    const CHUNK: u128 = 10u128.pow(18);
    let mut end = digits.len();
    // Dividing 128 bits is slow, so 18 digits are taken off at a time.
    while value >= CHUNK {
        let chunk = (value % CHUNK) as u64;
        value /= CHUNK;
        fill_u64(digits, end, chunk);
        end -= 18;
    }
    fill_u64(digits, end, value as u64)
}

/// Writes the digits of `value` before `end` and gives the place of the first.
fn fill_u64(digits: &mut [u8; 40], mut end: usize, mut value: u64) -> usize {
    while value > 0 {
        end -= 1;
        if let Some(slot) = digits.get_mut(end) {
            *slot = b'0' + (value % 10) as u8;
        }
        value /= 10;
    }
    end
}
