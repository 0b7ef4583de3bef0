//! 256-bit intermediate results: a product of two 128-bit numbers, and its division by a third.
//!
//! Decimals multiply before they divide, so the exact intermediate needs twice the bits of the result. Only the two
//! operations that decimals use exist here.
//!
//! # Source
//! Division is Knuth, The Art of Computer Programming 2, 4.3.1, algorithm D, with limbs of 64 bits and a divisor of
//! two limbs.

/// `high * 2^128 + low`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct U256 {
    pub(crate) high: u128,
    pub(crate) low: u128,
}

const LIMB: u128 = u64::MAX as u128;

impl U256 {
    /// The exact product of `a` and `b`.
    pub(crate) const fn product(a: u128, b: u128) -> U256 {
        let (a1, a0) = (a >> 64, a & LIMB);
        let (b1, b0) = (b >> 64, b & LIMB);
        let low = a0 * b0;
        let middle = a1 * b0 + (low >> 64);
        let middle2 = a0 * b1 + (middle & LIMB);
        U256 { high: a1 * b1 + (middle >> 64) + (middle2 >> 64), low: (middle2 << 64) | (low & LIMB) }
    }

    /// `self * factor`, or nothing when it needs more than 256 bits.
    pub(crate) fn checked_mul(self, factor: u128) -> Option<U256> {
        let low = U256::product(self.low, factor);
        let high = self.high.checked_mul(factor)?.checked_add(low.high)?;
        Some(U256 { high, low: low.low })
    }

    /// Quotient and remainder of a division by `divisor`, or nothing when the quotient needs more than 128 bits
    /// or the divisor is zero.
    pub(crate) fn checked_div_rem(self, divisor: u128) -> Option<(u128, u128)> {
        if self.high >= divisor {
            return None;
        }
        if self.high == 0 {
            return Some((self.low / divisor, self.low % divisor));
        }
        // Normalized, so that the estimate of a quotient limb is at most two too great.
        let shift = divisor.leading_zeros();
        let divisor = divisor << shift;
        let high = match shift {
            0 => self.high,
            _ => (self.high << shift) | (self.low >> (128 - shift)),
        };
        let low = self.low << shift;
        let (quotient1, rest) = limb_of(high, low >> 64, divisor);
        let (quotient0, rest) = limb_of(rest, low & LIMB, divisor);
        Some(((quotient1 << 64) | quotient0, rest >> shift))
    }
}

/// One step of algorithm D: `(high * 2^64 + next) / divisor`, where `high < divisor` and the divisor is normalized.
fn limb_of(high: u128, next: u128, divisor: u128) -> (u128, u128) {
    let (divisor1, divisor0) = (divisor >> 64, divisor & LIMB);
    let mut quotient = (high / divisor1).min(LIMB);
    let mut rest = high - quotient * divisor1;
    while rest <= LIMB && quotient * divisor0 > ((rest << 64) | next) {
        quotient -= 1;
        rest += divisor1;
    }
    // The true remainder is below the divisor, so arithmetic modulo 2^128 gives it exactly.
    let numerator = (high << 64) | next;
    (quotient, numerator.wrapping_sub(quotient.wrapping_mul(divisor)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigUint;
    use proptest::prelude::*;

    fn big(n: U256) -> BigUint {
        (BigUint::from(n.high) << 128u32) + BigUint::from(n.low)
    }

    /// Numbers of every width, and those next to powers of two, where carries happen.
    fn any_width() -> impl Strategy<Value = u128> {
        prop_oneof![
            (any::<u128>(), 0..128u32).prop_map(|(n, shift)| n >> shift),
            (0..128u32, 0..3u128).prop_map(|(bit, off)| (1u128 << bit).wrapping_add(off).wrapping_sub(1)),
            Just(u128::MAX),
        ]
    }

    proptest! {
        #[test]
        fn product_is_exact(a in any_width(), b in any_width(), c in any_width()) {
            let product = U256::product(a, b);
            prop_assert_eq!(big(product), BigUint::from(a) * BigUint::from(b));
            let exact = big(product) * BigUint::from(c);
            match product.checked_mul(c) {
                Some(wide) => prop_assert_eq!(big(wide), exact),
                None => prop_assert!(exact.bits() > 256),
            }
        }

        #[test]
        fn division_is_exact(high in any_width(), low in any_width(), divisor in any_width()) {
            let number = U256 { high, low };
            match number.checked_div_rem(divisor) {
                Some((quotient, rest)) => {
                    prop_assert!(rest < divisor);
                    prop_assert_eq!(BigUint::from(quotient) * BigUint::from(divisor) + BigUint::from(rest), big(number));
                }
                None => prop_assert!(divisor == 0 || (big(number) / BigUint::from(divisor)).bits() > 128),
            }
        }
    }
}
