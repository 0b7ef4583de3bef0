//! Tests of `decimal.rs`: PostgreSQL's answers, and properties against integers without a limit.

use super::*;
use num_bigint::BigInt;
use proptest::prelude::*;
use std::format;
use std::string::{String, ToString as _};

fn dec(text: &str) -> Decimal {
    Decimal::parse(text.as_bytes()).unwrap()
}

fn pow(n: u8) -> BigInt {
    BigInt::from(10).pow(n.into())
}

fn decimal() -> impl Strategy<Value = Decimal> {
    let limit = POW10[38] - 1;
    (-limit..=limit, 0..=38usize, 0..=38u8)
        .prop_map(|(unscaled, cut, scale)| Decimal::new(unscaled / POW10[cut], scale).unwrap())
}

/// The oracle: the unscaled integer of `n / 10^from` at scale `to`, half away from zero, within 38 digits.
fn rounded(n: BigInt, from: u8, to: u8) -> Option<i128> {
    ratio(n * pow(to), pow(from))
}

fn ratio(a: BigInt, b: BigInt) -> Option<i128> {
    let is_negative = (a < BigInt::from(0)) != (b < BigInt::from(0));
    let (a, b) = (a.magnitude().clone(), b.magnitude().clone());
    let quotient = BigInt::from((a * 2u32 + &b) / (b * 2u32));
    let value = i128::try_from(if is_negative { -quotient } else { quotient }).ok()?;
    unscaled::fits(value, 38).then_some(value)
}

fn parts(result: Result<Decimal, Error>) -> Option<(i128, u8)> {
    result.ok().map(|n| (n.unscaled(), n.scale()))
}

#[test]
fn text_keeps_its_scale() {
    for (text, shown) in [
        ("12.50", "12.50"),
        ("-0.5", "-0.5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("-0", "0"),
        ("1.5e3", "1500"),
        ("1.5E-3", "0.0015"),
        ("+007", "7"),
        ("  1.0  ", "1.0"),
        ("1e37", "10000000000000000000000000000000000000"),
        ("99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
        ("-0.99999999999999999999999999999999999999", "-0.99999999999999999999999999999999999999"),
        ("0.000000000000000000000000000000000000000000000", "0.00000000000000000000000000000000000000"),
        ("0.100000000000000000000000000000000000000000000", "0.10000000000000000000000000000000000000"),
    ] {
        assert_eq!(dec(text).to_string(), shown);
    }
}

#[test]
fn bad_numbers_say_what_is_wrong() {
    for (text, message) in [
        ("", "(expected a digit at byte 0)"),
        (" ", "(expected a digit at byte 1)"),
        ("-", "(expected a digit at byte 1)"),
        (".", "(expected a digit at byte 1)"),
        ("1.2.3", "(expected a digit or the end at byte 3)"),
        ("12,50", "(expected a digit or the end at byte 2)"),
        ("1 2", "(expected a digit or the end at byte 1)"),
        ("1e", "(expected a digit of the exponent at byte 2)"),
        ("1e+", "(expected a digit of the exponent at byte 3)"),
        ("NaN", "(expected a digit at byte 0)"),
    ] {
        let error = Decimal::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.sqlstate(), "22P02");
        assert_eq!(error.to_string(), format!("invalid input syntax for type numeric: \"{text}\" {message}"));
    }
    for text in [
        "1e38",
        "1e-39",
        "1e99999999999999999999",
        "1e-99999999999999999999",
        "123456789012345678901234567890.123456789",
    ] {
        assert_eq!(Decimal::parse(text.as_bytes()).unwrap_err().sqlstate(), "22003", "{text}");
    }
    assert_eq!(
        Decimal::parse(b"1e38").unwrap_err().to_string(),
        "numeric field overflow: \"1e38\" does not fit numeric(38,0)"
    );
    assert_eq!(Decimal::new(POW10[38], 0).unwrap_err().sqlstate(), "22003");
    assert_eq!(Decimal::new(1, 39).unwrap_err().sqlstate(), "22003");
}

/// Worked by hand from `select_div_scale`; the last is the average quantity of TPC-H query 1 at scale 1.
#[test]
fn quotients_have_the_scale_of_postgresql() {
    for (a, b, shown) in [
        ("1", "1", "1.00000000000000000000"),
        ("1", "3", "0.33333333333333333333"),
        ("10", "3", "3.3333333333333333"),
        ("1.0", "2", "0.50000000000000000000"),
        ("2", "1", "2.0000000000000000"),
        ("100000", "3", "33333.333333333333"),
        ("1", "30000", "0.000033333333333333333333"),
        ("-7", "2", "-3.5000000000000000"),
        ("0", "5", "0.00000000000000000000"),
        ("1e20", "3", "33333333333333333333"),
        ("37734107.00", "1478493", "25.5220058532573370"),
    ] {
        assert_eq!(dec(a).checked_div(dec(b)).unwrap().to_string(), shown, "{a} / {b}");
    }
    assert_eq!(dec("1").checked_div(dec("0.00")), Err(Error::DivisionByZero));
}

#[test]
fn quotients_give_up_digits_before_they_overflow() {
    let great = dec("12345678901234567890.123456789012345678");
    assert_eq!(great.checked_div(dec("0.1")).unwrap().to_string(), "123456789012345678901.23456789012345678");
    assert_eq!(dec("1e37").checked_div(dec("0.01")).unwrap_err().sqlstate(), "22003");
}

#[test]
fn sums_of_opposite_signs_fit_beyond_128_bits() {
    // 1.75e38 at the common scale, which no i128 holds, less 0.8e38.
    let great = dec("17500000000000000000000000000000000000");
    let less = dec("-8000000000000000000000000000000000000.1");
    assert_eq!(great.checked_add(less).unwrap().to_string(), "9499999999999999999999999999999999999.9");
    assert_eq!(less.checked_add(great), great.checked_add(less));
    assert_eq!(great.checked_add(less.negated()).unwrap_err().sqlstate(), "22003");
}

#[test]
fn doubles_become_their_fifteen_digits() {
    for (value, shown) in [
        (0.1, "0.1"),
        (1.0 / 3.0, "0.333333333333333"),
        (1e20, "100000000000000000000"),
        (12345.678, "12345.678"),
        (-2.5e-20, "-0.000000000000000000025"),
        (1e-300, "0"),
        (0.0, "0"),
    ] {
        assert_eq!(Decimal::from_f64(value).unwrap().to_string(), shown);
    }
    for value in [f64::NAN, f64::INFINITY, 1e38, -1e300] {
        assert_eq!(Decimal::from_f64(value).unwrap_err().sqlstate(), "22003");
    }
}

#[test]
fn fitting_rounds_first() {
    assert_eq!(dec("999.994").fit(5, 2).unwrap().to_string(), "999.99");
    assert_eq!(
        dec("999.995").fit(5, 2).unwrap_err().to_string(),
        "numeric field overflow: the result does not fit numeric(5,2)"
    );
}

#[test]
fn whole_numbers_round_half_away() {
    for (text, whole) in [("2.5", 3), ("-2.5", -3), ("2.4999", 2), ("9223372036854775807.4", i64::MAX)] {
        assert_eq!(dec(text).to_i64(), Ok(whole));
    }
    assert_eq!(dec("9223372036854775807.5").to_i64().unwrap_err().sqlstate(), "22003");
}

proptest! {
    #[test]
    fn text_reads_back(n in decimal()) {
        let read = Decimal::parse(n.to_text().as_bytes()).unwrap();
        prop_assert_eq!((read.unscaled(), read.scale()), (n.unscaled(), n.scale()));
    }

    #[test]
    fn text_matches_big_integers(n in decimal()) {
        let digits = format!("{:0>width$}", n.unscaled().unsigned_abs(), width = usize::from(n.scale()) + 1);
        let (whole, fraction) = digits.split_at(digits.len() - usize::from(n.scale()));
        let sign = if n.unscaled() < 0 { "-" } else { "" };
        let point = if n.scale() > 0 { "." } else { "" };
        prop_assert_eq!(n.to_string(), format!("{sign}{whole}{point}{fraction}"));
    }

    /// Long texts with exponents against integers without a limit.
    #[test]
    fn reading_at_a_scale_matches_big_integers(
        text in "[-+]?[0-9]{1,45}(\\.[0-9]{0,45})?", exponent in -60..60i32, scale in 0..=38u8,
    ) {
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let digits: BigInt = format!("{whole}{fraction}").trim_start_matches('+').parse().unwrap();
        let shift = exponent - fraction.len() as i32 + i32::from(scale);
        let ten = BigInt::from(10).pow(shift.unsigned_abs());
        let (a, b) = if shift >= 0 { (digits * ten, BigInt::from(1)) } else { (digits, ten) };
        let expected = ratio(a.clone(), b.clone());
        let text: String = format!("{text}e{exponent}");
        prop_assert_eq!(crate::number::parse_unscaled(text.as_bytes(), 38, scale).ok(), expected);
        let exact = (&a % &b == BigInt::from(0)).then_some(expected).flatten();
        prop_assert_eq!(crate::number::parse_unscaled_exact(text.as_bytes(), 38, scale).ok(), exact);
    }

    #[test]
    fn sums_match_big_integers(a in decimal(), b in decimal()) {
        let scale = a.scale().max(b.scale());
        let (x, y) = (BigInt::from(a.unscaled()) * pow(scale - a.scale()), BigInt::from(b.unscaled()) * pow(scale - b.scale()));
        prop_assert_eq!(parts(a.checked_add(b)), rounded(&x + &y, 0, 0).map(|n| (n, scale)));
        prop_assert_eq!(parts(a.checked_sub(b)), rounded(&x - &y, 0, 0).map(|n| (n, scale)));
        if b.unscaled() != 0 {
            prop_assert_eq!(parts(a.checked_rem(b)), rounded(&x % &y, 0, 0).map(|n| (n, scale)));
        }
    }

    #[test]
    fn products_match_big_integers(a in decimal(), b in decimal(), scale in 0..=38u8) {
        let (exact, product) = (a.scale() + b.scale(), BigInt::from(a.unscaled()) * BigInt::from(b.unscaled()));
        prop_assert_eq!(parts(a.mul_at(b, scale.min(exact))), rounded(product.clone(), exact, scale.min(exact)).map(|n| (n, scale.min(exact))));
        let kept = exact.min(38);
        prop_assert_eq!(parts(a.checked_mul(b)), rounded(product, exact, kept).map(|n| (n, kept)));
    }

    #[test]
    fn quotients_match_big_integers(a in decimal(), b in decimal(), scale in 0..=38u8) {
        prop_assume!(b.unscaled() != 0);
        let x = BigInt::from(a.unscaled()) * pow(b.scale()) * pow(scale);
        let y = BigInt::from(b.unscaled()) * pow(a.scale());
        prop_assert_eq!(parts(a.div_at(b, scale)), ratio(x, y).map(|n| (n, scale)));
        if let Ok(quotient) = a.checked_div(b) {
            prop_assert_eq!(parts(a.div_at(b, quotient.scale())), parts(Ok(quotient)));
        }
    }

    #[test]
    fn equal_numbers_hash_alike(a in decimal(), zeros in 0..10u8) {
        use std::hash::{DefaultHasher, Hasher as _};
        let hash = |n: Decimal| {
            let mut hasher = DefaultHasher::new();
            n.hash(&mut hasher);
            hasher.finish()
        };
        if let Ok(b) = a.rescale((a.scale() + zeros).min(38)) {
            prop_assert_eq!(a, b);
            prop_assert_eq!(hash(a), hash(b));
        }
    }

    #[test]
    fn doubles_are_the_nearest(n in decimal()) {
        prop_assert_eq!(n.to_f64(), n.to_string().parse::<f64>().unwrap());
    }
}
