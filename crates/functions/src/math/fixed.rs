//! Numbers of 320 bits before the point and 192 behind it, for logarithms and powers of exact numbers.
//!
//! 192 bits are 57 decimal digits, so that the 38 of a result are right but for rounding of values that lie on an
//! edge to nineteen more digits.

use cofferdam_types::Decimal;

const LIMBS: usize = 8;
/// Limbs behind the point.
const FRACTION: usize = 3;

/// A number that is not negative.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fixed([u64; LIMBS]);

impl Fixed {
    pub(super) const ZERO: Fixed = Fixed([0; LIMBS]);

    pub(super) const fn of(number: u64) -> Fixed {
        let mut limbs = [0; LIMBS];
        limbs[FRACTION] = number;
        Fixed(limbs)
    }

    /// The magnitude of a number.
    pub(super) fn of_decimal(number: Decimal) -> Fixed {
        let magnitude = number.unscaled().unsigned_abs();
        let mut limbs = [0; LIMBS];
        (limbs[FRACTION], limbs[FRACTION + 1]) = (magnitude as u64, (magnitude >> 64) as u64);
        let mut fixed = Fixed(limbs);
        for _ in 0..number.scale() / 19 {
            fixed = fixed.div_small(10u64.pow(19));
        }
        fixed.div_small(10u64.pow(u32::from(number.scale() % 19)))
    }

    /// The nearest number with `scale` digits behind the point, without its sign; nothing beyond 128 bits.
    pub(super) fn unscaled(self, scale: u8) -> Option<i128> {
        let mut scaled = self;
        for _ in 0..scale / 19 {
            scaled = scaled.mul_small(10u64.pow(19))?;
        }
        scaled = scaled.mul_small(10u64.pow(u32::from(scale % 19)))?;
        // A half, and what may be missing of a tie.
        let mut half = [0; LIMBS];
        (half[FRACTION - 1], half[0]) = (1 << 63, u64::MAX);
        let [_, _, _, low, high, rest @ ..] = scaled.add(Fixed(half))?.0;
        let whole = i128::from(high) << 64 | i128::from(low);
        Some(whole).filter(|whole| *whole >= 0 && high >> 63 == 0 && rest == [0; 3])
    }

    pub(super) fn is_zero(self) -> bool {
        self == Fixed::ZERO
    }

    pub(super) fn add(self, other: Fixed) -> Option<Fixed> {
        let (mut sum, mut carry) = ([0; LIMBS], false);
        for ((to, a), b) in sum.iter_mut().zip(self.0).zip(other.0) {
            let (partial, over) = a.overflowing_add(b);
            let (full, more) = partial.overflowing_add(u64::from(carry));
            (*to, carry) = (full, over | more);
        }
        (!carry).then_some(Fixed(sum))
    }

    /// The difference, where it is not negative.
    pub(super) fn sub(self, other: Fixed) -> Option<Fixed> {
        let (mut difference, mut borrow) = ([0; LIMBS], false);
        for ((to, a), b) in difference.iter_mut().zip(self.0).zip(other.0) {
            let (partial, under) = a.overflowing_sub(b);
            let (full, more) = partial.overflowing_sub(u64::from(borrow));
            (*to, borrow) = (full, under | more);
        }
        (!borrow).then_some(Fixed(difference))
    }

    pub(super) fn mul_small(self, factor: u64) -> Option<Fixed> {
        let (mut product, mut carry) = ([0; LIMBS], 0u128);
        for (to, limb) in product.iter_mut().zip(self.0) {
            let sum = u128::from(limb) * u128::from(factor) + carry;
            *to = sum as u64;
            carry = sum >> 64;
        }
        (carry == 0).then_some(Fixed(product))
    }

    /// The quotient by a number that is not zero.
    pub(super) fn div_small(self, divisor: u64) -> Fixed {
        let (mut quotient, mut rest) = ([0; LIMBS], 0u128);
        for (to, limb) in quotient.iter_mut().zip(self.0).rev() {
            let dividend = rest << 64 | u128::from(limb);
            *to = (dividend / u128::from(divisor.max(1))) as u64;
            rest = dividend % u128::from(divisor.max(1));
        }
        Fixed(quotient)
    }

    pub(super) fn mul(self, other: Fixed) -> Option<Fixed> {
        let mut product = [0u64; 2 * LIMBS];
        for (i, a) in self.0.into_iter().enumerate() {
            let mut carry = 0u128;
            for (j, b) in other.0.into_iter().enumerate() {
                let sum = u128::from(a) * u128::from(b) + u128::from(product[i + j]) + carry;
                product[i + j] = sum as u64;
                carry = sum >> 64;
            }
            product[i + LIMBS] = carry as u64;
        }
        let (kept, over) = product[FRACTION..].split_first_chunk::<LIMBS>()?;
        over.iter().all(|limb| *limb == 0).then_some(Fixed(*kept))
    }

    /// Twice the number.
    fn doubled(self) -> Fixed {
        let mut limbs = [0; LIMBS];
        let mut carry = 0;
        for (to, limb) in limbs.iter_mut().zip(self.0) {
            *to = limb << 1 | carry;
            carry = limb >> 63;
        }
        Fixed(limbs)
    }

    fn halved(self) -> Fixed {
        let mut limbs = [0; LIMBS];
        let mut carry = 0;
        for (to, limb) in limbs.iter_mut().zip(self.0).rev() {
            *to = limb >> 1 | carry << 63;
            carry = limb & 1;
        }
        Fixed(limbs)
    }

    fn is_less(self, other: Fixed) -> bool {
        self.0.iter().rev().lt(other.0.iter().rev())
    }

    /// The quotient of a number less than 2^64 by one that is not zero, bit by bit.
    pub(super) fn div(self, divisor: Fixed) -> Option<Fixed> {
        if divisor.is_zero() {
            return None;
        }
        // The whole part first: how often the divisor can be doubled and still fits.
        let (mut shifted, mut places) = (divisor, 0u32);
        while !self.is_less(shifted.doubled()) && shifted.0[LIMBS - 1] >> 62 == 0 {
            shifted = shifted.doubled();
            places += 1;
        }
        let mut quotient = Fixed::ZERO;
        let mut rest = self;
        for _ in 0..=places {
            quotient = quotient.doubled();
            if let Some(less) = rest.sub(shifted) {
                rest = less;
                quotient.0[0] |= 1;
            }
            shifted = shifted.halved();
        }
        // Then a bit for each place behind the point.
        for _ in 0..FRACTION * 64 {
            quotient = quotient.doubled();
            rest = rest.doubled();
            if let Some(less) = rest.sub(divisor) {
                rest = less;
                quotient.0[0] |= 1;
            }
        }
        Some(quotient)
    }

    /// `2 * atanh(z)` for z up to a half: the logarithm of `(1 + z) / (1 - z)`.
    fn ln_of_ratio(z: Fixed) -> Option<Fixed> {
        let square = z.mul(z)?;
        let (mut power, mut sum, mut odd) = (z, z, 1);
        while !power.is_zero() {
            power = power.mul(square)?;
            odd += 2;
            sum = sum.add(power.div_small(odd))?;
        }
        Some(sum.doubled())
    }

    fn ln_2() -> Option<Fixed> {
        Fixed::ln_of_ratio(Fixed::of(1).div_small(3))
    }

    /// The natural logarithm of a number that is not zero: its magnitude, and whether it is negative.
    pub(super) fn ln(self) -> Option<(Fixed, bool)> {
        let one = Fixed::of(1);
        let (mut mantissa, mut exponent) = (self, 0i64);
        while !mantissa.is_less(Fixed::of(2)) {
            (mantissa, exponent) = (mantissa.halved(), exponent + 1);
        }
        // Numbers below one are turned over, so that no digit is lost.
        if self.is_less(one) {
            let (ln, _) = one.div(self)?.ln_above_one()?;
            return Some((ln, true));
        }
        Fixed::with_exponent(mantissa, exponent as u64).map(|ln| (ln, false))
    }

    fn ln_above_one(self) -> Option<(Fixed, bool)> {
        let (mut mantissa, mut exponent) = (self, 0u64);
        while !mantissa.is_less(Fixed::of(2)) {
            (mantissa, exponent) = (mantissa.halved(), exponent + 1);
        }
        Fixed::with_exponent(mantissa, exponent).map(|ln| (ln, false))
    }

    /// The logarithm of `mantissa * 2^exponent`, the mantissa being from 1 to 2.
    fn with_exponent(mantissa: Fixed, exponent: u64) -> Option<Fixed> {
        let one = Fixed::of(1);
        let ratio = mantissa.sub(one)?.div(mantissa.add(one)?)?;
        let of_mantissa = Fixed::ln_of_ratio(ratio)?;
        Fixed::ln_2()?.mul_small(exponent)?.add(of_mantissa)
    }

    /// e to the power of this number, or of its negative; nothing where that is too large.
    pub(super) fn exp(self, is_negative: bool) -> Option<Fixed> {
        let ln_2 = Fixed::ln_2()?;
        let whole = self.div(ln_2)?;
        let [_, _, _, doublings, over @ ..] = whole.0;
        if over != [0; 4] || doublings > 300 {
            return is_negative.then_some(Fixed::ZERO);
        }
        let rest = self.sub(ln_2.mul_small(doublings)?).unwrap_or(Fixed::ZERO);
        let (mut term, mut sum, mut n) = (Fixed::of(1), Fixed::of(1), 0);
        while !term.is_zero() {
            n += 1;
            term = term.mul(rest)?.div_small(n);
            sum = sum.add(term)?;
        }
        if is_negative {
            sum = Fixed::of(1).div(sum)?;
        }
        for _ in 0..doublings {
            if is_negative {
                sum = sum.halved();
            } else {
                if sum.0[LIMBS - 1] >> 63 == 1 {
                    return None;
                }
                sum = sum.doubled();
            }
        }
        Some(sum)
    }
}

/// The whole square root of `magnitude * 10^power`, to the nearest.
pub(super) fn root(magnitude: u128, power: u32) -> Option<i128> {
    let mut number = [0; LIMBS];
    (number[0], number[1]) = (magnitude as u64, (magnitude >> 64) as u64);
    let mut number = Fixed(number);
    for _ in 0..power {
        number = number.mul_small(10)?;
    }
    // The root of four times as much is twice the root, and its last bit says how to round.
    let number = number.mul_small(4)?;
    let (mut rest, mut root) = (number, Fixed::ZERO);
    let mut bit = Fixed([0, 0, 0, 0, 0, 0, 0, 1 << 62]);
    while !bit.is_zero() {
        let tried = root.add(bit)?;
        root = root.halved();
        if let Some(less) = rest.sub(tried) {
            (rest, root) = (less, root.add(bit)?);
        }
        bit = bit.halved().halved();
    }
    let one = Fixed([1, 0, 0, 0, 0, 0, 0, 0]);
    let [low, high, over @ ..] = root.add(one)?.halved().0;
    let whole = i128::from(high) << 64 | i128::from(low);
    (over == [0; 6] && whole >= 0).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text.as_bytes()).unwrap()
    }

    proptest! {
        /// Roots squared come back: the independent check is multiplication.
        #[test]
        fn roots_are_the_nearest(number in 0..u128::MAX >> 66, power in 0..20u32) {
            let root = root(number, power).unwrap() as u128;
            // Compared in halves: (2r - 1)^2 <= 4n < (2r + 1)^2, where these fit.
            if let Some(scaled) = number.checked_mul(10u128.pow(power)).and_then(|n| n.checked_mul(4)) {
                let (low, high) = ((2 * root).saturating_sub(1), 2 * root + 1);
                prop_assert!(low * low <= scaled && scaled < high * high);
            }
        }

        /// The exponential function turns the logarithm around, to 38 digits.
        #[test]
        fn exp_of_ln_is_the_number(unscaled in 1..10i128.pow(20), scale in 0..20u8) {
            let number = Decimal::new(unscaled, scale).unwrap();
            let (ln, is_negative) = Fixed::of_decimal(number).ln().unwrap();
            let back = ln.exp(is_negative).unwrap().unscaled(scale).unwrap();
            prop_assert_eq!(back, unscaled);
        }

        /// A quotient times its divisor is the dividend, but for the last bits.
        #[test]
        fn quotients_multiply_back(a in any::<u64>(), b in 1..u64::MAX) {
            let (a, b) = (Fixed::of(a), Fixed::of(b));
            let product = a.div(b).unwrap().mul(b).unwrap();
            prop_assert_eq!(product.unscaled(15), a.unscaled(15));
        }
    }

    #[test]
    fn known_digits_are_right() {
        let ln = |text| Fixed::of_decimal(decimal(text)).ln().unwrap();
        assert_eq!(ln("2").0.unscaled(37), Some(6_931_471_805_599_453_094_172_321_214_581_765_681));
        assert_eq!(ln("0.5"), (ln("2").0, true));
        let e = Fixed::of(1).exp(false).unwrap().unscaled(37);
        assert_eq!(e, Some(27_182_818_284_590_452_353_602_874_713_526_624_978));
        assert_eq!(Fixed::of(1000).exp(true), Some(Fixed::ZERO));
        assert_eq!(Fixed::of(1000).exp(false), None);
    }
}
