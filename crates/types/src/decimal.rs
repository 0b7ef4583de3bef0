//! Exact decimal numbers of at most 38 digits.
//!
//! A number is an integer and a scale: 12.50 is 1250 with scale 2, and prints with both digits. Arithmetic is exact or
//! an error; it never wraps and never goes through binary fractions. Where digits must go, rounding is half away from
//! zero, as PostgreSQL rounds numeric.
//!
//! Loops over columns use [`crate::unscaled`] on the integers instead.

use core::cmp::Ordering;
use core::fmt::{self, Write as _};
use core::hash::{Hash, Hasher};

use crate::digits::{Scanned, push_digits, scan_decimal};
use crate::unscaled::{self, POW10};
use crate::{Error, TextBuffer, Type};

/// An exact number: `unscaled / 10^scale`, with at most 38 digits and a scale of 0 to 38.
///
/// Equality, order and hash are those of the number, so 1.0 equals 1.00. Kept in two words instead of an `i128`
/// so that a [`Value`](crate::Value) needs 32 bytes and an alignment of 8.
#[derive(Clone, Copy)]
pub struct Decimal {
    high: i64,
    low: u64,
    scale: u8,
}

const _: () = assert!(size_of::<Decimal>() == 24);

impl Decimal {
    /// Zero with scale 0.
    pub const ZERO: Decimal = Decimal { high: 0, low: 0, scale: 0 };
    /// The greatest scale.
    pub const SCALE_MAX: u8 = Type::DECIMAL_DIGITS_MAX;

    /// `unscaled / 10^scale`.
    ///
    /// # Errors
    /// [`Error::NumericOverflow`] for more than 38 digits or a scale above 38.
    #[inline]
    pub fn new(unscaled: i128, scale: u8) -> Result<Decimal, Error> {
        if scale > Decimal::SCALE_MAX || !unscaled::fits(unscaled, Type::DECIMAL_DIGITS_MAX) {
            return Err(Error::numeric_overflow(Type::DECIMAL_DIGITS_MAX, scale));
        }
        Ok(Decimal::pack(unscaled, scale))
    }

    #[inline]
    const fn pack(unscaled: i128, scale: u8) -> Decimal {
        Decimal { high: (unscaled >> 64) as i64, low: unscaled as u64, scale }
    }

    /// The integer without the point.
    #[inline]
    pub const fn unscaled(self) -> i128 {
        ((self.high as i128) << 64) | self.low as i128
    }

    /// Digits behind the point.
    #[inline]
    pub const fn scale(self) -> u8 {
        self.scale
    }

    /// The narrowest type that holds the number with its scale.
    pub fn ty(self) -> Type {
        let precision = unscaled::digits_count(self.unscaled()).max(self.scale).max(1);
        Type::Decimal { precision, scale: self.scale }
    }

    /// Reads a number with the scale that it is written with: `-12.50` has scale 2, `1.5e3` is 1500 with scale 0.
    ///
    /// White space around it is skipped.
    ///
    /// # Errors
    /// [`Error::InvalidText`]; [`Error::NumericOverflow`] when 38 digits cannot hold it exactly.
    pub fn parse(text: &[u8]) -> Result<Decimal, Error> {
        let number = scan(text)?;
        let scale = number.scale().min(Decimal::SCALE_MAX);
        match number.unscaled(scale) {
            Some((unscaled, true)) => Ok(Decimal::pack(unscaled, scale)),
            _ => Err(Error::numeric_overflow(Type::DECIMAL_DIGITS_MAX, scale).with_text(text)),
        }
    }

    /// The sum, with the greater scale.
    ///
    /// # Errors
    /// [`Error::NumericOverflow`] beyond 38 digits.
    pub fn checked_add(self, other: Decimal) -> Result<Decimal, Error> {
        let scale = self.scale.max(other.scale);
        let (a, b) = (self.widened(scale), other.widened(scale));
        let sum = match (a, b) {
            (Some(a), Some(b)) => unscaled::add_i128(a, b),
            // Between 2^127 and 10^38 more than that a sum of opposite signs fits again.
            (None, Some(b)) => self.add_beyond(scale, b),
            (Some(a), None) => other.add_beyond(scale, a),
            (None, None) => None,
        };
        pack_or_overflow(sum, scale)
    }

    /// The difference, with the greater scale.
    ///
    /// # Errors
    /// [`Error::NumericOverflow`] beyond 38 digits.
    pub fn checked_sub(self, other: Decimal) -> Result<Decimal, Error> {
        self.checked_add(other.negated())
    }

    /// The product, exact, with the sum of the scales (rounded to scale 38 beyond that).
    ///
    /// # Errors
    /// [`Error::NumericOverflow`] beyond 38 digits; [`Decimal::mul_at`] gives a product with fewer.
    pub fn checked_mul(self, other: Decimal) -> Result<Decimal, Error> {
        self.mul_at(other, (self.scale + other.scale).min(Decimal::SCALE_MAX))
    }

    /// The product rounded to `scale`.
    ///
    /// # Errors
    /// [`Error::NumericOverflow`] beyond 38 digits.
    pub fn mul_at(self, other: Decimal, scale: u8) -> Result<Decimal, Error> {
        let exact = self.scale + other.scale;
        let product = unscaled::mul_rescale(self.unscaled(), other.unscaled(), exact.saturating_sub(scale));
        pack_or_overflow(product.and_then(|n| unscaled::rescale_i128(n, exact.min(scale), scale)), scale)
    }

    /// The quotient with PostgreSQL's scale for these two values: at least 16 significant digits, and not fewer
    /// digits behind the point than either operand, as far as 38 digits allow.
    ///
    /// # Errors
    /// [`Error::DivisionByZero`], [`Error::NumericOverflow`].
    pub fn checked_div(self, other: Decimal) -> Result<Decimal, Error> {
        self.div_at(other, self.quotient_scale(other))
    }

    /// The quotient rounded to `scale`.
    ///
    /// # Errors
    /// [`Error::DivisionByZero`], [`Error::NumericOverflow`].
    pub fn div_at(self, other: Decimal, scale: u8) -> Result<Decimal, Error> {
        let shift = i32::from(scale) + i32::from(other.scale) - i32::from(self.scale);
        pack_or_overflow(unscaled::div_shifted(self.unscaled(), other.unscaled(), shift)?, scale)
    }

    /// The remainder of the division truncated to a whole number; it has the sign of `self` and the greater scale.
    ///
    /// # Errors
    /// [`Error::DivisionByZero`].
    pub fn checked_rem(self, other: Decimal) -> Result<Decimal, Error> {
        let scale = self.scale.max(other.scale);
        let (a, b) = (self.unscaled(), other.unscaled());
        if b == 0 {
            return Err(Error::DivisionByZero);
        }
        let magnitude = unscaled::rem_shifted(
            (a.unsigned_abs(), scale - self.scale),
            (b.unsigned_abs(), scale - other.scale),
        );
        pack_or_overflow(magnitude.map(|n| if a < 0 { -n } else { n }), scale)
    }

    /// The number with another scale, rounded when digits are dropped.
    ///
    /// # Errors
    /// [`Error::NumericOverflow`] beyond 38 digits.
    pub fn rescale(self, scale: u8) -> Result<Decimal, Error> {
        pack_or_overflow(unscaled::rescale_i128(self.unscaled(), self.scale, scale), scale)
    }

    /// The number as `numeric(precision, scale)`, rounded when digits are dropped.
    ///
    /// # Errors
    /// [`Error::NumericOverflow`] when it has more digits before the point than the type.
    pub fn fit(self, precision: u8, scale: u8) -> Result<Decimal, Error> {
        let overflow = Error::numeric_overflow(precision, scale);
        let unscaled = unscaled::rescale_i128(self.unscaled(), self.scale, scale).ok_or(overflow)?;
        if unscaled::fits(unscaled, precision) { Ok(Decimal::pack(unscaled, scale)) } else { Err(overflow) }
    }

    /// The number with the other sign.
    pub const fn negated(self) -> Decimal {
        Decimal::pack(-self.unscaled(), self.scale)
    }

    /// The number without its sign.
    pub const fn abs(self) -> Decimal {
        Decimal::pack(self.unscaled().abs(), self.scale)
    }

    /// The same number without zeros at the end of its fraction.
    pub fn normalized(self) -> Decimal {
        let (mut unscaled, mut scale) = (self.unscaled(), self.scale);
        if unscaled == 0 {
            return Decimal::ZERO;
        }
        while scale > 0 && unscaled % 10 == 0 {
            unscaled /= 10;
            scale -= 1;
        }
        Decimal::pack(unscaled, scale)
    }

    /// The nearest whole number.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] when 64 bits cannot hold it.
    pub fn to_i64(self) -> Result<i64, Error> {
        let whole = unscaled::rescale_i128(self.unscaled(), self.scale, 0);
        whole.and_then(|n| i64::try_from(n).ok()).ok_or(Error::out_of_range(Type::BigInt, &[]))
    }

    /// The nearest double.
    pub fn to_f64(self) -> f64 {
        let unscaled = self.unscaled();
        if self.scale == 0 {
            return unscaled as f64;
        }
        // Both operands are exact, so the division rounds once.
        if unscaled.unsigned_abs() < 1 << 53 && self.scale <= 22 {
            return unscaled as f64 / POW10[usize::from(self.scale)] as f64;
        }
        // The correctly rounded answer for the rest is the one that the text has.
        self.to_text().as_str().parse().expect("a decimal is a valid double")
    }

    /// The double with its 15 significant digits, which is what PostgreSQL's cast keeps, and no zeros behind them.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for NaN, infinities, and numbers beyond 38 digits on either side of the point.
    pub fn from_f64(value: f64) -> Result<Decimal, Error> {
        Decimal::from_scientific(value.is_finite(), format_args!("{value:.14e}"))
    }

    /// The number of 32 bits with its 6 significant digits, as PostgreSQL's cast keeps them.
    ///
    /// # Errors
    /// Those of [`Decimal::from_f64`].
    pub fn from_f32(value: f32) -> Result<Decimal, Error> {
        Decimal::from_scientific(value.is_finite(), format_args!("{value:.5e}"))
    }

    fn from_scientific(is_finite: bool, digits: fmt::Arguments<'_>) -> Result<Decimal, Error> {
        let out_of_range = || Error::out_of_range(Type::Numeric, &[]);
        if !is_finite {
            return Err(out_of_range());
        }
        let mut text = TextBuffer::new();
        text.write_fmt(digits).map_err(|_| out_of_range())?;
        let number = scan(text.as_bytes())?;
        match number.unscaled(Decimal::SCALE_MAX) {
            Some((unscaled, _)) => Ok(Decimal::pack(unscaled, Decimal::SCALE_MAX).normalized()),
            None => Decimal::parse(text.as_bytes()).map(Decimal::normalized).map_err(|_| out_of_range()),
        }
    }

    /// The text form, in a buffer on the stack.
    pub fn to_text(self) -> TextBuffer {
        let mut text = TextBuffer::new();
        push_digits(&mut text, self.unscaled(), self.scale).expect("a decimal has at most 41 characters");
        text
    }

    /// The most bytes of [`Decimal::to_compact`].
    pub const COMPACT_BYTES_MAX: usize = 17;

    /// The number in few bytes, and how many: the scale, then the bytes of two's complement that are needed, least
    /// significant first. Each number of a scale has one such form.
    pub fn to_compact(self) -> ([u8; Decimal::COMPACT_BYTES_MAX], usize) {
        let mut bytes = [0; Decimal::COMPACT_BYTES_MAX];
        let [scale, unscaled @ ..] = &mut bytes;
        *scale = self.scale;
        *unscaled = self.unscaled().to_le_bytes();
        (bytes, 1 + significant_bytes(self.unscaled()))
    }

    /// The number of the bytes that [`Decimal::to_compact`] gave; nothing for other bytes.
    pub fn from_compact(bytes: &[u8]) -> Option<Decimal> {
        let (&scale, payload) = bytes.split_first()?;
        let is_negative = payload.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut wide = [if is_negative { 0xff } else { 0 }; 16];
        wide.get_mut(..payload.len())?.copy_from_slice(payload);
        let unscaled = i128::from_le_bytes(wide);
        if significant_bytes(unscaled) != payload.len() {
            return None;
        }
        Decimal::new(unscaled, scale).ok()
    }

    /// The integer at a scale that is not smaller, where it fits an `i128`.
    fn widened(self, scale: u8) -> Option<i128> {
        self.unscaled().checked_mul(*POW10.get(usize::from(scale - self.scale))?)
    }

    /// `self + b` at `scale`, where `self` at that scale does not fit an `i128`.
    #[cold]
    fn add_beyond(self, scale: u8, b: i128) -> Option<i128> {
        let power = POW10.get(usize::from(scale - self.scale))?.unsigned_abs();
        let a = self.unscaled().unsigned_abs().checked_mul(power)?;
        if (self.unscaled() < 0) == (b < 0) {
            return None;
        }
        let rest =
            i128::try_from(a - b.unsigned_abs()).ok().filter(|n| unscaled::fits(*n, Decimal::SCALE_MAX))?;
        Some(if b < 0 { rest } else { -rest })
    }

    /// PostgreSQL's scale of a quotient, less what 38 digits cannot hold.
    ///
    /// # Source
    /// `select_div_scale` in PostgreSQL's `numeric.c`: digits are counted in groups of four.
    fn quotient_scale(self, other: Decimal) -> u8 {
        let (weight1, first1) = self.leading_group();
        let (weight2, first2) = other.leading_group();
        let weight = weight1 - weight2 - i32::from(first1 <= first2);
        let scale = (16 - weight * 4).max(self.scale.into()).max(other.scale.into());
        let whole = self.magnitude() - other.magnitude() + 1;
        scale.clamp(0, (38 - whole.max(0)).clamp(0, 38)) as u8
    }

    /// Digits before the point, or less than zero for zeros behind it.
    fn magnitude(self) -> i32 {
        i32::from(unscaled::digits_count(self.unscaled())) - i32::from(self.scale)
    }

    /// The leading group of four digits, aligned to the point, and its place.
    fn leading_group(self) -> (i32, u128) {
        let magnitude = self.unscaled().unsigned_abs();
        if magnitude == 0 {
            return (0, 0);
        }
        let weight = (self.magnitude() - 1).div_euclid(4);
        let shift = i32::from(self.scale) + weight * 4;
        let power = unscaled::pow10(shift.unsigned_abs()).map_or(1, i128::unsigned_abs);
        (weight, if shift >= 0 { magnitude / power } else { magnitude * power })
    }
}

/// The bytes of two's complement that are needed for `value`; zero needs none.
pub(crate) fn significant_bytes(value: i128) -> usize {
    if value == 0 {
        return 0;
    }
    let bits = 129 - if value < 0 { (!value).leading_zeros() } else { value.leading_zeros() };
    bits.div_ceil(8) as usize
}

fn scan(text: &[u8]) -> Result<Scanned, Error> {
    scan_decimal(text).map_err(|fault| Error::invalid(Type::Numeric, text, fault.at, fault.reason))
}

fn pack_or_overflow(unscaled: Option<i128>, scale: u8) -> Result<Decimal, Error> {
    match unscaled {
        Some(unscaled) => Ok(Decimal::pack(unscaled, scale)),
        None => Err(Error::numeric_overflow(Type::DECIMAL_DIGITS_MAX, scale)),
    }
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Decimal {
        Decimal::pack(value.into(), 0)
    }
}

impl From<i32> for Decimal {
    fn from(value: i32) -> Decimal {
        Decimal::pack(value.into(), 0)
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Decimal) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Decimal) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Decimal) -> Ordering {
        unscaled::compare(self.unscaled(), self.scale, other.unscaled(), other.scale)
    }
}

impl Hash for Decimal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let normalized = self.normalized();
        normalized.unscaled().hash(state);
        normalized.scale.hash(state);
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.to_text().as_str())
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
#[path = "decimal_tests.rs"]
mod tests;
