//! Integers of 512 bits, for sums of squares that are exact and for the variances that are made of them.
//!
//! A variance is `(n Σx² - (Σx)²) / (n (n - 1))`: what is subtracted may be nearly equal, so all of it is exact but the
//! last division, whose digits are those that PostgreSQL gives. Nothing here is in a loop over rows but the addition
//! of a product.

use cofferdam_types::Decimal;

const LIMBS: usize = 8;

/// An integer of 512 bits without a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wide {
    /// Least significant first.
    limbs: [u64; LIMBS],
}

impl Wide {
    pub(super) const ZERO: Wide = Wide { limbs: [0; LIMBS] };
    pub(super) const BYTES: usize = LIMBS * 8;

    pub(super) fn new(value: u128) -> Wide {
        let mut limbs = [0; LIMBS];
        (limbs[0], limbs[1]) = (value as u64, (value >> 64) as u64);
        Wide { limbs }
    }

    pub(super) fn load(bytes: &[u8]) -> Wide {
        let mut limbs = [0; LIMBS];
        for (limb, bytes) in limbs.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *limb = u64::from_le_bytes(*bytes);
        }
        Wide { limbs }
    }

    pub(super) fn store(self, bytes: &mut [u8]) {
        for (limb, bytes) in self.limbs.iter().zip(bytes.as_chunks_mut::<8>().0) {
            *bytes = limb.to_le_bytes();
        }
    }

    pub(super) fn is_zero(self) -> bool {
        self.limbs == [0; LIMBS]
    }

    /// The number, if it has 128 bits.
    pub(super) fn to_u128(self) -> Option<u128> {
        let [low, high, rest @ ..] = self.limbs;
        (rest == [0; LIMBS - 2]).then_some(u128::from(high) << 64 | u128::from(low))
    }

    /// How many limbs are needed.
    fn len(self) -> usize {
        self.limbs.iter().rposition(|&limb| limb != 0).map_or(0, |top| top + 1)
    }

    /// How many bits are needed.
    fn bits(self) -> usize {
        let len = self.len();
        if len == 0 { 0 } else { len * 64 - self.limbs[len - 1].leading_zeros() as usize }
    }

    pub(super) fn checked_add(self, other: Wide) -> Option<Wide> {
        let (mut sum, mut carry) = (Wide::ZERO, false);
        for (i, limb) in sum.limbs.iter_mut().enumerate() {
            let (partial, first) = self.limbs[i].overflowing_add(other.limbs[i]);
            let (total, second) = partial.overflowing_add(u64::from(carry));
            (*limb, carry) = (total, first | second);
        }
        (!carry).then_some(sum)
    }

    /// The difference; nothing where it is negative.
    pub(super) fn checked_sub(self, other: Wide) -> Option<Wide> {
        let (mut rest, mut borrow) = (Wide::ZERO, false);
        for (i, limb) in rest.limbs.iter_mut().enumerate() {
            let (partial, first) = self.limbs[i].overflowing_sub(other.limbs[i]);
            let (total, second) = partial.overflowing_sub(u64::from(borrow));
            (*limb, borrow) = (total, first | second);
        }
        (!borrow).then_some(rest)
    }

    pub(super) fn checked_mul(self, other: Wide) -> Option<Wide> {
        let mut product = [0u64; LIMBS * 2];
        let (len, other_len) = (self.len(), other.len());
        for (i, &a) in self.limbs[..len].iter().enumerate() {
            let mut carry = 0u128;
            for (j, &b) in other.limbs[..other_len].iter().enumerate() {
                let sum = u128::from(a) * u128::from(b) + u128::from(product[i + j]) + carry;
                product[i + j] = sum as u64;
                carry = sum >> 64;
            }
            product[i + other_len] = carry as u64;
        }
        let (low, high) = product.split_at(LIMBS);
        let mut limbs = [0; LIMBS];
        limbs.copy_from_slice(low);
        high.iter().all(|&limb| limb == 0).then_some(Wide { limbs })
    }

    /// The number times 10^`digits`.
    pub(super) fn shifted(self, digits: usize) -> Option<Wide> {
        let mut shifted = self;
        let mut left = digits;
        while left > 0 {
            let step = left.min(19);
            shifted = shifted.checked_mul(Wide::new(10u128.pow(step as u32)))?;
            left -= step;
        }
        Some(shifted)
    }

    fn doubled(self, low_bit: bool) -> Wide {
        let (mut doubled, mut carry) = (Wide::ZERO, u64::from(low_bit));
        for (limb, &of) in doubled.limbs.iter_mut().zip(&self.limbs) {
            (*limb, carry) = (of << 1 | carry, of >> 63);
        }
        doubled
    }

    /// The number without its last bits.
    fn without_low(self, bits: usize) -> Wide {
        let (skipped, shift) = (bits / 64, bits % 64);
        let limb = |at: usize| self.limbs.get(at).map_or(0, |&limb| u128::from(limb));
        let mut shorter = Wide::ZERO;
        for (i, short) in shorter.limbs.iter_mut().enumerate() {
            *short = ((limb(i + skipped + 1) << 64 | limb(i + skipped)) >> shift) as u64;
        }
        shorter
    }

    /// The number with so many zeros behind its bits; those that have no room are lost.
    fn with_low(self, bits: usize) -> Wide {
        let (skipped, shift) = (bits / 64, bits % 64);
        let mut longer = Wide::ZERO;
        for i in skipped..LIMBS {
            let below = if i > skipped { self.limbs[i - skipped - 1] } else { 0 };
            let part = u128::from(self.limbs[i - skipped]) << 64 | u128::from(below);
            longer.limbs[i] = (part >> (64 - shift)) as u64;
        }
        longer
    }

    /// Quotient and remainder; the divisor is not zero and has at most 511 bits.
    fn div_rem(self, divisor: Wide) -> (Wide, Wide) {
        let (mut quotient, mut rest) = (Wide::ZERO, Wide::ZERO);
        if divisor.len() == 1 {
            // Nearly always: limb by limb.
            let (small, mut left) = (u128::from(divisor.limbs[0]), 0);
            for (digit, &limb) in quotient.limbs.iter_mut().zip(&self.limbs).rev() {
                let part = left << 64 | u128::from(limb);
                (*digit, left) = ((part / small) as u64, part % small);
            }
            rest.limbs[0] = left as u64;
            return (quotient, rest);
        }
        for bit in (0..self.bits()).rev() {
            rest = rest.doubled(self.limbs[bit / 64] >> (bit % 64) & 1 == 1);
            if let Some(less) = rest.checked_sub(divisor) {
                rest = less;
                quotient.limbs[bit / 64] |= 1 << (bit % 64);
            }
        }
        (quotient, rest)
    }

    /// The quotient, rounded half up.
    fn div_rounded(self, divisor: Wide) -> Option<Wide> {
        let (quotient, rest) = self.div_rem(divisor);
        let is_up = rest.checked_add(rest)?.checked_sub(divisor).is_some();
        if is_up { quotient.checked_add(Wide::new(1)) } else { Some(quotient) }
    }

    /// The square root, rounded down.
    fn sqrt(self) -> Wide {
        // The first half of the number's bits gives the first half of the root's.
        let low_bits = self.bits().saturating_sub(128).div_ceil(2);
        let first = self.without_low(2 * low_bits).to_u128().map_or(0, u128::isqrt);
        let mut root = Wide::new(first).with_low(low_bits);
        for bit in (0..low_bits).rev() {
            let mut candidate = root;
            candidate.limbs[bit / 64] |= 1 << (bit % 64);
            if candidate.checked_mul(candidate).is_some_and(|square| self.checked_sub(square).is_some()) {
                root = candidate;
            }
        }
        root
    }

    /// Where the first digit of the number to the base 10,000 stands, with `scale` digits behind the point, and that digit.
    fn first_digit(self, scale: usize) -> (i64, u64) {
        // Whole digits of four begin at the point.
        let padding = scale.next_multiple_of(4) - scale;
        let Some(mut left) = self.shifted(padding) else { return (i64::MAX, 0) };
        if left.is_zero() {
            return (0, 0);
        }
        let mut position = -((scale + padding) as i64 / 4);
        loop {
            if let Some(last) = left.to_u128().filter(|&last| last < 10_000) {
                return (position, last as u64);
            }
            left = left.div_rem(Wide::new(10_000)).0;
            position += 1;
        }
    }
}

/// The digits behind the point that PostgreSQL gives a quotient of numbers with so many: at least 16 significant ones.
fn quotient_scale(a: (Wide, usize), b: (Wide, usize)) -> usize {
    let ((weight1, digit1), (weight2, digit2)) = (a.0.first_digit(a.1), b.0.first_digit(b.1));
    let mut weight = weight1.saturating_sub(weight2);
    if digit1 <= digit2 {
        weight -= 1;
    }
    let significant = usize::try_from(16i64.saturating_sub(weight.saturating_mul(4))).unwrap_or(0);
    significant.max(a.1).max(b.1)
}

/// What a variance is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spread {
    pub(super) is_sample: bool,
    pub(super) is_root: bool,
}

/// The variance or deviation of `count` numbers with `scale` digits behind the point, by the magnitude of their sum and by the sum
/// of their squares, with the digits that PostgreSQL gives; nothing if 38 do not suffice.
pub(super) fn spread(count: u64, sum: Wide, squares: Wide, scale: usize, wanted: Spread) -> Option<Decimal> {
    let n = Wide::new(count.into());
    let numerator = n.checked_mul(squares)?.checked_sub(sum.checked_mul(sum)?)?;
    if numerator.is_zero() {
        return Some(Decimal::ZERO);
    }
    let other = count - u64::from(wanted.is_sample);
    let divisor = n.checked_mul(Wide::new(other.into()))?;
    // Digits are cut to those that a number has room for, as far as that can be.
    let result_scale = quotient_scale((numerator, 2 * scale), (divisor, 0));
    let mut scale_cut = result_scale;
    loop {
        if let Some(result) =
            spread_at(numerator, 2 * scale, divisor, (result_scale, scale_cut), wanted.is_root)
        {
            return Some(result);
        }
        scale_cut = scale_cut.checked_sub(1)?;
    }
}

fn spread_at(
    numerator: Wide,
    scale: usize,
    divisor: Wide,
    (wanted_scale, scale_cut): (usize, usize),
    is_root: bool,
) -> Option<Decimal> {
    let shifted_by = |digits: usize| match digits.checked_sub(scale) {
        Some(more) => numerator.shifted(more)?.div_rounded(divisor),
        None => numerator.div_rounded(divisor.shifted(scale - digits)?),
    };
    let unscaled = if is_root {
        // The variance is rounded to its digits first, then the root to as many.
        let variance = shifted_by(wanted_scale)?;
        match (2 * scale_cut).checked_sub(wanted_scale) {
            Some(more) => rounded_root(variance.shifted(more)?)?,
            None => rounded_root(variance.div_rem(Wide::new(1).shifted(wanted_scale - 2 * scale_cut)?).0)?,
        }
    } else {
        shifted_by(scale_cut)?
    };
    let unscaled = i128::try_from(unscaled.to_u128()?).ok()?;
    Decimal::new(unscaled, u8::try_from(scale_cut).ok()?).ok()
}

/// The square root of a whole number, rounded half up.
fn rounded_root(square: Wide) -> Option<Wide> {
    let root = square.sqrt();
    let rest = square.checked_sub(root.checked_mul(root)?)?;
    // (root + 1/2)² = root² + root + 1/4
    if root.checked_sub(rest).is_some() { Some(root) } else { root.checked_add(Wide::new(1)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exact(numbers: &[i128], scale: usize, is_sample: bool, is_root: bool) -> String {
        let sum: i128 = numbers.iter().sum();
        let squares = numbers.iter().fold(Wide::ZERO, |all, &number| {
            let number = Wide::new(number.unsigned_abs());
            all.checked_add(number.checked_mul(number).unwrap()).unwrap()
        });
        let sum = Wide::new(sum.unsigned_abs());
        let wanted = Spread { is_sample, is_root };
        spread(numbers.len() as u64, sum, squares, scale, wanted).unwrap().to_string()
    }

    /// Aim: digits are those of PostgreSQL 15. Method: its answers.
    #[test]
    fn spreads_are_those_of_postgresql() {
        // select variance(x), var_pop(x), stddev(x), stddev_pop(x) from (values (1), (2), (4)) t(x)
        assert_eq!(exact(&[1, 2, 4], 0, true, false), "2.3333333333333333");
        assert_eq!(exact(&[1, 2, 4], 0, false, false), "1.5555555555555556");
        assert_eq!(exact(&[1, 2, 4], 0, true, true), "1.5275252316519467");
        assert_eq!(exact(&[1, 2, 4], 0, false, true), "1.2472191289246471");
        assert_eq!(exact(&[5, 5], 0, true, false), "0");
        // (values (1.50), (2.25), (4.00))
        assert_eq!(exact(&[150, 225, 400], 2, true, false), "1.6458333333333333");
        assert_eq!(exact(&[150, 225, 400], 2, false, false), "1.09722222222222222222");
        assert_eq!(exact(&[150, 225, 400], 2, true, true), "1.2829003598617210");
        assert_eq!(exact(&[150, 225, 400], 2, false, true), "1.04748375749804455964");
        assert_eq!(exact(&[1_000_000_000_000, 2, 4], 0, true, false), "333333333331333333333337");
        assert_eq!(exact(&[1_000_000_000_000, 2, 4], 0, true, true), "577350269188");
        // (values (0.000010), (0.000020), (0.000045))
        assert_eq!(exact(&[10, 20, 45], 6, true, false), "0.0000000003250000000000000000");
        assert_eq!(exact(&[10, 20, 45], 6, true, true), "0.0000180277563773199464655961");
    }

    proptest! {
        /// Aim: arithmetic is that of 128 bits where these suffice.
        #[test]
        fn arithmetic_is_exact(a in any::<u128>(), b in 1..u64::MAX, shift in 0..100u32) {
            let (a, b) = (a >> shift, u128::from(b));
            let (wide_a, wide_b) = (Wide::new(a), Wide::new(b));
            let product = wide_a.checked_mul(wide_b).unwrap();
            let (quotient, rest) = product.checked_add(Wide::new(b - 1)).unwrap().div_rem(wide_b);
            prop_assert_eq!((quotient.to_u128(), rest.to_u128()), (Some(a), Some(b - 1)));
            prop_assert_eq!(wide_a.checked_mul(wide_a).unwrap().sqrt().to_u128(), Some(a));
            prop_assert_eq!(wide_a.checked_sub(wide_b).and_then(Wide::to_u128), a.checked_sub(b));
            let mut bytes = [0; Wide::BYTES];
            product.store(&mut bytes);
            prop_assert_eq!(Wide::load(&bytes), product);
        }

        /// Aim: roots and quotients of any length are those that multiplication gives back.
        #[test]
        fn roots_and_quotients_multiply_back(limbs in any::<[u64; 3]>(), divisor in any::<[u64; 3]>(), cut in 0..190usize) {
            let wide = |limbs: [u64; 3]| {
                let mut wide = Wide::ZERO;
                wide.limbs[..3].copy_from_slice(&limbs);
                wide
            };
            let one = Wide::new(1);
            let root = wide(limbs).without_low(cut).checked_add(one).unwrap();
            let square = root.checked_mul(root).unwrap();
            prop_assert_eq!(square.sqrt(), root);
            prop_assert_eq!(square.checked_sub(one).unwrap().sqrt(), root.checked_sub(one).unwrap());
            let divisor = wide(divisor).without_low(190 - cut).checked_add(one).unwrap();
            let (quotient, rest) = square.div_rem(divisor);
            prop_assert!(rest.checked_sub(divisor).is_none());
            prop_assert_eq!(quotient.checked_mul(divisor).unwrap().checked_add(rest), Some(square));
            prop_assert_eq!(root.with_low(cut).without_low(cut), root);
        }
    }
}
