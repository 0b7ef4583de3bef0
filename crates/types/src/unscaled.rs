//! Decimal arithmetic on raw integers, for loops over columns whose scale is the same in every row.
//!
//! A decimal with scale `s` and unscaled value `n` is `n / 10^s`. A loop over a column takes the scales out of the
//! rows: `a * b` of two `numeric(15,2)` columns is [`mul_i64`] with scale 4, `a + b` of equal scales is an addition of
//! integers, and only a change of scale needs more.
//!
//! Functions give `None` when the exact result does not fit 38 digits; the caller knows which row that was.
//! Rounding is half away from zero, as PostgreSQL rounds numeric.
//!
//! Inputs must have at most 38 digits, which is what columns of decimals hold.

use core::cmp::Ordering;

use crate::wide::U256;
use crate::{Error, Type};

const DIGITS_MAX: usize = Type::DECIMAL_DIGITS_MAX as usize;

/// The powers of ten that fit an `i128` and a decimal: 10^0 to 10^38.
pub const POW10: [i128; DIGITS_MAX + 1] = {
    let mut powers = [1; DIGITS_MAX + 1];
    let mut i = 1;
    while i <= DIGITS_MAX {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// The powers of ten that fit an `i64`: 10^0 to 10^18.
pub const POW10_I64: [i64; 19] = {
    let mut powers = [1; 19];
    let mut i = 1;
    while i < 19 {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// 10^`exponent`, or nothing from 10^39 on.
#[inline]
pub(crate) fn pow10(exponent: u32) -> Option<i128> {
    POW10.get(exponent as usize).copied()
}

/// Whether `value` has at most `precision` digits.
#[inline]
pub fn fits(value: i128, precision: u8) -> bool {
    let limit = POW10.get(usize::from(precision)).copied().unwrap_or(POW10[DIGITS_MAX]);
    value.unsigned_abs() < limit.unsigned_abs()
}

/// `value` where it has at most 38 digits.
#[inline]
fn checked(value: i128) -> Option<i128> {
    fits(value, Type::DECIMAL_DIGITS_MAX).then_some(value)
}

/// The number of decimal digits of `value`; zero has none.
pub fn digits_count(value: i128) -> u8 {
    let magnitude = value.unsigned_abs();
    // log10(2) is 1233 / 4096 to four digits, enough for 128 bits; the table settles the last digit.
    let bits = 128 - magnitude.leading_zeros();
    let guess = (bits * 1233) >> 12;
    let at_least = POW10.get(guess as usize).is_some_and(|power| magnitude >= power.unsigned_abs());
    guess as u8 + u8::from(at_least)
}

/// `a + b` of equal scales.
#[inline]
pub fn add_i128(a: i128, b: i128) -> Option<i128> {
    checked(a.checked_add(b)?)
}

/// `a - b` of equal scales.
#[inline]
pub fn sub_i128(a: i128, b: i128) -> Option<i128> {
    checked(a.checked_sub(b)?)
}

/// `a * b`, whose scale is the sum of both scales. It always fits.
#[inline]
pub fn mul_i64(a: i64, b: i64) -> i128 {
    i128::from(a) * i128::from(b)
}

/// `a * b`, whose scale is the sum of both scales.
#[inline]
pub fn mul_i128(a: i128, b: i128) -> Option<i128> {
    // Columns rarely leave 64 bits, and the check of a 128-bit product costs three more multiplications.
    if let (Ok(a), Ok(b)) = (i64::try_from(a), i64::try_from(b)) {
        return Some(mul_i64(a, b));
    }
    checked(a.checked_mul(b)?)
}

/// `a * b / 10^dropped`, rounded: a product that keeps fewer digits behind the point than both scales together.
///
/// At most 76 digits can be dropped.
pub fn mul_rescale(a: i128, b: i128, dropped: u8) -> Option<i128> {
    if dropped == 0 {
        return mul_i128(a, b);
    }
    let product = U256::product(a.unsigned_abs(), b.unsigned_abs());
    let first = dropped.min(Type::DECIMAL_DIGITS_MAX);
    let mut divisor = POW10.get(usize::from(first))?.unsigned_abs();
    let (mut quotient, mut rest) = product.checked_div_rem(divisor)?;
    if dropped > first {
        // The rounding looks at one digit only, so what the first division left over does not matter.
        divisor = pow10(u32::from(dropped - first))?.unsigned_abs();
        (quotient, rest) = (quotient / divisor, quotient % divisor);
    }
    signed(round_up(quotient, rest, divisor)?, (a < 0) != (b < 0))
}

/// `a / b` for scales where `a * 10^shift / b` is the unscaled result, rounded.
///
/// For operands of scales `s1`, `s2` and a result of scale `s`, `shift` is `s + s2 - s1`. An average is
/// `div_shifted(sum, count, s - s1)`.
///
/// # Errors
/// [`Error::DivisionByZero`]. `Ok(None)` when the quotient does not fit.
pub fn div_shifted(a: i128, b: i128, shift: i32) -> Result<Option<i128>, Error> {
    if b == 0 {
        return Err(Error::DivisionByZero);
    }
    Ok(quotient(a.unsigned_abs(), b.unsigned_abs(), shift).and_then(|n| signed(n, (a < 0) != (b < 0))))
}

fn quotient(a: u128, b: u128, shift: i32) -> Option<u128> {
    if a == 0 {
        return Some(0);
    }
    if shift < 0 {
        // A divisor beyond 128 bits is more than twice any dividend: the quotient rounds to zero.
        let scaled = pow10(shift.unsigned_abs()).and_then(|power| b.checked_mul(power.unsigned_abs()));
        let Some(divisor) = scaled else { return Some(0) };
        return round_up(a / divisor, a % divisor, divisor);
    }
    // The shift is at most 76; a numerator beyond 256 bits means a quotient beyond 38 digits.
    let first = shift.unsigned_abs().min(DIGITS_MAX as u32);
    let mut numerator = U256::product(a, pow10(first)?.unsigned_abs());
    if shift.unsigned_abs() > first {
        numerator = numerator.checked_mul(pow10(shift.unsigned_abs() - first)?.unsigned_abs())?;
    }
    let (quotient, rest) = numerator.checked_div_rem(b)?;
    round_up(quotient, rest, b)
}

/// `a / b` rounded half away from zero.
///
/// # Errors
/// [`Error::DivisionByZero`]. It cannot overflow, since inputs have at most 38 digits.
pub fn div_round(a: i128, b: i128) -> Result<i128, Error> {
    if b == 0 {
        return Err(Error::DivisionByZero);
    }
    let (quotient, rest) = (a / b, a % b);
    let is_half = rest.unsigned_abs() >= b.unsigned_abs() - rest.unsigned_abs();
    Ok(if is_half { quotient + if (a < 0) != (b < 0) { -1 } else { 1 } } else { quotient })
}

/// `a * 10^shift_a % (b * 10^shift_b)` where one of the shifts, at most 38, is zero; `b` is not zero.
pub(crate) fn rem_shifted((a, shift_a): (u128, u8), (b, shift_b): (u128, u8)) -> Option<i128> {
    if shift_a == 0 {
        // A divisor beyond 128 bits is greater than any dividend.
        let divisor = b.checked_mul(pow10(shift_b.into())?.unsigned_abs());
        return signed(divisor.map_or(a, |divisor| a % divisor), false);
    }
    let product = U256::product(a % b, pow10(shift_a.into())?.unsigned_abs());
    signed(product.checked_div_rem(b)?.1, false)
}

/// `value` moved from scale `from` to scale `to`, rounded when digits are dropped.
#[inline]
pub fn rescale_i128(value: i128, from: u8, to: u8) -> Option<i128> {
    if from == to {
        return Some(value);
    }
    if to > from {
        let power = pow10(u32::from(to - from))?;
        return checked(value.checked_mul(power)?);
    }
    let divisor = pow10(u32::from(from - to))?.unsigned_abs();
    let magnitude = value.unsigned_abs();
    signed(round_up(magnitude / divisor, magnitude % divisor, divisor)?, value < 0)
}

/// `value` moved from scale `from` to scale `to`, rounded when digits are dropped; `None` when it leaves 64 bits.
#[inline]
pub fn rescale_i64(value: i64, from: u8, to: u8) -> Option<i64> {
    if to >= from {
        return value.checked_mul(*POW10_I64.get(usize::from(to - from))?);
    }
    i64::try_from(rescale_i128(i128::from(value), from, to)?).ok()
}

/// The order of `a / 10^scale_a` and `b / 10^scale_b`, exact for all scales.
#[inline]
pub fn compare(a: i128, scale_a: u8, b: i128, scale_b: u8) -> Ordering {
    match scale_a.cmp(&scale_b) {
        Ordering::Equal => a.cmp(&b),
        Ordering::Less => compare_scaled(a, u32::from(scale_b - scale_a), b),
        Ordering::Greater => compare_scaled(b, u32::from(scale_a - scale_b), a).reverse(),
    }
}

/// The order of `a * 10^shift` and `b`.
fn compare_scaled(a: i128, shift: u32, b: i128) -> Ordering {
    match pow10(shift).and_then(|power| a.checked_mul(power)) {
        Some(scaled) => scaled.cmp(&b),
        // Beyond 128 bits, while `b` has at most 38 digits: the sign decides.
        None => a.cmp(&0),
    }
}

/// The quotient, or the next one when the remainder is at least half the divisor.
#[inline]
fn round_up(quotient: u128, rest: u128, divisor: u128) -> Option<u128> {
    if rest >= divisor - rest { quotient.checked_add(1) } else { Some(quotient) }
}

/// The magnitude with a sign, where it has at most 38 digits.
#[inline]
fn signed(magnitude: u128, is_negative: bool) -> Option<i128> {
    let value = checked(i128::try_from(magnitude).ok()?)?;
    Some(if is_negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigInt;
    use proptest::prelude::*;

    pub(crate) fn unscaled() -> impl Strategy<Value = i128> {
        let limit = POW10[38] - 1;
        prop_oneof![
            (-limit..=limit, 0..38u32).prop_map(|(n, cut)| n / POW10[cut as usize]),
            (0..=38usize, -1..=1i128).prop_map(move |(e, off)| (POW10[e] + off).min(limit)),
            -1000..1000i128,
        ]
    }

    fn pow(n: u32) -> BigInt {
        BigInt::from(10).pow(n)
    }

    /// The oracle: `a / b` half away from zero, by the definition with doubled numbers.
    fn rounded(a: &BigInt, b: &BigInt) -> BigInt {
        let zero = BigInt::from(0);
        let is_negative = (a < &zero) != (b < &zero);
        let (a, b) = (BigInt::from(a.magnitude().clone()), BigInt::from(b.magnitude().clone()));
        let quotient = (&a * BigInt::from(2) + &b) / (&b * BigInt::from(2));
        if is_negative { -quotient } else { quotient }
    }

    fn checked_big(n: BigInt) -> Option<i128> {
        (n.magnitude() < pow(38).magnitude()).then(|| i128::try_from(n).unwrap())
    }

    proptest! {
        #[test]
        fn sums_and_products_match_big_integers(a in unscaled(), b in unscaled(), dropped in 0..=76u8) {
            let (x, y) = (BigInt::from(a), BigInt::from(b));
            prop_assert_eq!(add_i128(a, b), checked_big(&x + &y));
            prop_assert_eq!(sub_i128(a, b), checked_big(&x - &y));
            prop_assert_eq!(mul_i128(a, b), checked_big(&x * &y));
            prop_assert_eq!(mul_rescale(a, b, dropped), checked_big(rounded(&(&x * &y), &pow(dropped.into()))));
        }

        #[test]
        fn quotients_match_big_integers(a in unscaled(), b in unscaled(), shift in -38..=76i32) {
            prop_assume!(b != 0);
            let (mut x, mut y) = (BigInt::from(a), BigInt::from(b));
            if shift < 0 { y *= pow(shift.unsigned_abs()) } else { x *= pow(shift.unsigned_abs()) }
            prop_assert_eq!(div_shifted(a, b, shift), Ok(checked_big(rounded(&x, &y))));
            prop_assert_eq!(div_round(a, b), Ok(i128::try_from(rounded(&a.into(), &b.into())).unwrap()));
        }

        #[test]
        fn rescaling_matches_big_integers(a in unscaled(), small in any::<i64>(), from in 0..=38u8, to in 0..=38u8) {
            let expected = |n: BigInt| rounded(&(n * pow(to.into())), &pow(from.into()));
            prop_assert_eq!(rescale_i128(a, from, to), checked_big(expected(a.into())));
            prop_assert_eq!(rescale_i64(small, from, to), i64::try_from(expected(small.into())).ok().filter(|_| {
                to.saturating_sub(from) <= 18
            }));
        }

        #[test]
        fn order_matches_big_integers(a in unscaled(), sa in 0..=38u8, b in unscaled(), sb in 0..=38u8) {
            let expected = (BigInt::from(a) * pow(sb.into())).cmp(&(BigInt::from(b) * pow(sa.into())));
            prop_assert_eq!(compare(a, sa, b, sb), expected);
        }

        #[test]
        fn digits_match_the_text(a in unscaled()) {
            let expected = if a == 0 { 0 } else { std::format!("{}", a.unsigned_abs()).len() };
            prop_assert_eq!(usize::from(digits_count(a)), expected);
            for precision in 0..=38u8 {
                prop_assert_eq!(fits(a, precision), expected <= precision.into());
            }
        }
    }

    #[test]
    fn division_by_zero_is_an_error() {
        assert_eq!(div_shifted(1, 0, 0), Err(Error::DivisionByZero));
        assert_eq!(div_round(0, 0), Err(Error::DivisionByZero));
    }
}
