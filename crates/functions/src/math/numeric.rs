//! Functions and operators of exact numbers.

use cofferdam_types::{Decimal, Error, Excerpt, Type, Value};

use super::fixed::{self, Fixed};

use crate::args::{Answer, decimal, give, int};
use crate::context::{Context, Problem};
use crate::signature::params::{INT4, INT8, NUMERIC};
use crate::signature::{Function, function, results};

pub(crate) const FUNCTIONS: &[Function] = &[
    function("abs", &[NUMERIC], results::FIRST, abs, "without its sign"),
    function("ceil", &[NUMERIC], results::FIRST_WHOLE, ceil, "the next whole number upwards"),
    function("ceiling", &[NUMERIC], results::FIRST_WHOLE, ceil, "the next whole number upwards"),
    function("div", &[NUMERIC, NUMERIC], results::NUMERIC, div, "whole part of the quotient"),
    function("exp", &[NUMERIC], results::NUMERIC, exp, "e to this power"),
    function("factorial", &[INT8], results::NUMERIC, factorial, "product of the numbers from 1 to this one"),
    function("floor", &[NUMERIC], results::FIRST_WHOLE, floor, "the next whole number downwards"),
    function("gcd", &[NUMERIC, NUMERIC], results::NUMERIC, gcd, "greatest common divisor"),
    function("lcm", &[NUMERIC, NUMERIC], results::NUMERIC, lcm, "least common multiple"),
    function("ln", &[NUMERIC], results::NUMERIC, ln, "natural logarithm"),
    function("log", &[NUMERIC], results::NUMERIC, log10, "logarithm to base 10"),
    function(
        "log",
        &[NUMERIC, NUMERIC],
        results::NUMERIC,
        log,
        "logarithm of the second to the base of the first",
    ),
    function("log10", &[NUMERIC], results::NUMERIC, log10, "logarithm to base 10"),
    function("min_scale", &[NUMERIC], results::INT4, min_scale, "digits behind the point that are needed"),
    function(
        "mod",
        &[NUMERIC, NUMERIC],
        results::NUMERIC,
        remainder,
        "remainder, with the sign of the first",
    ),
    function("pow", &[NUMERIC, NUMERIC], results::NUMERIC, power, "the first to the power of the second"),
    function("power", &[NUMERIC, NUMERIC], results::NUMERIC, power, "the first to the power of the second"),
    function(
        "round",
        &[NUMERIC],
        results::FIRST_WHOLE,
        round,
        "the nearest whole number, away from zero where two are as near",
    ),
    function(
        "round",
        &[NUMERIC, INT4],
        results::NUMERIC,
        round_to,
        "rounded to so many digits behind the point",
    ),
    function("scale", &[NUMERIC], results::INT4, scale, "digits behind the point"),
    function("sign", &[NUMERIC], results::NUMERIC, sign, "-1, 0 or 1"),
    function("sqrt", &[NUMERIC], results::NUMERIC, sqrt, "square root"),
    function("trim_scale", &[NUMERIC], results::NUMERIC, trim_scale, "without zeros at the end"),
    function("trunc", &[NUMERIC], results::FIRST_WHOLE, trunc, "without what is behind the point"),
    function("trunc", &[NUMERIC, INT4], results::NUMERIC, trunc_to, "cut to so many digits behind the point"),
    function(
        "width_bucket",
        &[NUMERIC, NUMERIC, NUMERIC, INT4],
        results::INT4,
        width_bucket,
        "which of so many equal parts between two bounds it lies in",
    ),
];

pub(crate) const OPERATORS: &[Function] = &[
    function("^", &[NUMERIC, NUMERIC], results::NUMERIC, power, "the first to the power of the second"),
    function("+", &[NUMERIC], results::FIRST, same, "the same"),
    function("-", &[NUMERIC], results::FIRST, negate, "with the other sign"),
    function("@", &[NUMERIC], results::FIRST, abs, "without its sign"),
    function("+", &[NUMERIC, NUMERIC], results::NUMERIC, add, "sum"),
    function("-", &[NUMERIC, NUMERIC], results::NUMERIC, subtract, "difference"),
    function("*", &[NUMERIC, NUMERIC], results::NUMERIC, multiply, "product"),
    function("/", &[NUMERIC, NUMERIC], results::NUMERIC, divide, "quotient"),
    function("%", &[NUMERIC, NUMERIC], results::NUMERIC, remainder, "remainder, with the sign of the first"),
];

fn give_decimal(value: Decimal) -> Answer<'static> {
    give(Value::Decimal(value))
}

fn same<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_decimal(decimal(args, 0))
}

fn abs<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_decimal(decimal(args, 0).abs())
}

fn negate<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_decimal(decimal(args, 0).negated())
}

fn add<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let (left, right) = (decimal(args, 0), decimal(args, 1));
    let scale = left.scale().max(right.scale());
    give_decimal(within_digits(left.checked_add(right), scale, |scale| {
        left.rescale(scale)?.checked_add(right.rescale(scale)?)
    })?)
}

fn subtract<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    add(&[args[0], Value::Decimal(decimal(args, 1).negated())], cx)
}

fn multiply<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let (left, right) = (decimal(args, 0), decimal(args, 1));
    let scale = left.scale() + right.scale();
    give_decimal(within_digits(left.checked_mul(right), scale, |scale| left.mul_at(right, scale))?)
}

/// A result that is exact, or else rounded to as many digits behind the point as 38 digits leave, but no fewer than a quotient has.
fn within_digits(
    exact: Result<Decimal, Error>,
    scale: u8,
    rounded: impl Fn(u8) -> Result<Decimal, Error>,
) -> Result<Decimal, Error> {
    exact.or_else(|error| {
        let scales = Type::DIVISION_SCALE_MIN..scale.min(Decimal::SCALE_MAX + 1);
        scales.rev().find_map(|scale| rounded(scale).ok()).ok_or(error)
    })
}

fn divide<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_decimal(decimal(args, 0).checked_div(decimal(args, 1))?)
}

fn remainder<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_decimal(decimal(args, 0).checked_rem(decimal(args, 1))?)
}

/// The greatest power of ten that an `i128` holds is 10^38.
fn power_of_ten(exponent: u32) -> Option<i128> {
    10i128.checked_pow(exponent)
}

/// How a number is brought to fewer digits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    Nearest,
    TowardsZero,
    Down,
    Up,
}

/// The number with `digits` digits behind the point, or before it where that is negative.
fn cut(number: Decimal, digits: i64, how: Cut) -> Result<Decimal, Problem> {
    let digits = digits.clamp(-50, 50);
    if digits >= i64::from(number.scale()) {
        // Zeros are added as far as 38 digits allow.
        let wanted = digits.min(i64::from(Decimal::SCALE_MAX)) as u8;
        return Ok((number.scale()..=wanted)
            .rev()
            .find_map(|scale| number.rescale(scale).ok())
            .unwrap_or(number));
    }
    let dropped = (i64::from(number.scale()) - digits) as u32;
    let unscaled = number.unscaled();
    let (kept, rest, unit) = match power_of_ten(dropped) {
        Some(unit) => (unscaled / unit, unscaled % unit, Some(unit)),
        None => (0, unscaled, None),
    };
    let sign = unscaled.signum();
    let step = match how {
        Cut::TowardsZero => 0,
        Cut::Down => -i128::from(rest < 0),
        Cut::Up => i128::from(rest > 0),
        Cut::Nearest => match unit {
            Some(unit) if rest.unsigned_abs() >= unit.unsigned_abs().div_ceil(2) => sign,
            _ => 0,
        },
    };
    let kept = kept + step;
    if digits >= 0 {
        return Ok(Decimal::new(kept, digits as u8)?);
    }
    let scaled = match kept {
        0 => Some(0),
        kept => power_of_ten(digits.unsigned_abs() as u32).and_then(|unit| kept.checked_mul(unit)),
    };
    Ok(Decimal::new(scaled.unwrap_or(i128::MAX), 0)?)
}

fn ceil<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_decimal(cut(decimal(args, 0), 0, Cut::Up)?)
}

fn floor<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_decimal(cut(decimal(args, 0), 0, Cut::Down)?)
}

fn round<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_decimal(cut(decimal(args, 0), 0, Cut::Nearest)?)
}

fn round_to<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_decimal(cut(decimal(args, 0), int(args, 1), Cut::Nearest)?)
}

fn trunc<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_decimal(cut(decimal(args, 0), 0, Cut::TowardsZero)?)
}

fn trunc_to<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_decimal(cut(decimal(args, 0), int(args, 1), Cut::TowardsZero)?)
}

fn sign<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_decimal(Decimal::from(decimal(args, 0).unscaled().signum() as i32))
}

fn scale<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give(Value::Integer(decimal(args, 0).scale().into()))
}

fn min_scale<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give(Value::Integer(decimal(args, 0).normalized().scale().into()))
}

fn trim_scale<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_decimal(decimal(args, 0).normalized())
}

/// Both numbers with one scale.
fn aligned(args: &[Value<'_>]) -> Result<(i128, i128, u8), Problem> {
    let (a, b) = (decimal(args, 0), decimal(args, 1));
    let scale = a.scale().max(b.scale());
    Ok((a.rescale(scale)?.unscaled(), b.rescale(scale)?.unscaled(), scale))
}

fn div<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let (a, b) = (decimal(args, 0), decimal(args, 1));
    if b.unscaled() == 0 {
        return Err(Problem::Value(Error::DivisionByZero));
    }
    // The remainder taken off, the rest divides without one.
    let whole = a.checked_sub(a.checked_rem(b)?)?.div_at(b, 0)?;
    give_decimal(whole)
}

fn greatest_divisor(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn gcd<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let (a, b, scale) = aligned(args)?;
    let divisor = greatest_divisor(a.unsigned_abs(), b.unsigned_abs());
    give_decimal(Decimal::new(divisor as i128, scale)?)
}

fn lcm<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let (a, b, scale) = aligned(args)?;
    let (a, b) = (a.unsigned_abs(), b.unsigned_abs());
    let multiple = match greatest_divisor(a, b) {
        0 => Some(0),
        divisor => (a / divisor).checked_mul(b),
    };
    let multiple = multiple.and_then(|multiple| i128::try_from(multiple).ok());
    give_decimal(Decimal::new(multiple.unwrap_or(i128::MAX), scale)?)
}

fn factorial<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let n = int(args, 0);
    if n < 0 {
        return Err(Problem::new("22003", "factorial of a negative number is undefined"));
    }
    // 34! has 39 digits.
    let product = (2..=i128::from(n.min(40))).try_fold(1i128, |product, factor| product.checked_mul(factor));
    give_decimal(Decimal::new(product.unwrap_or(i128::MAX), 0)?)
}

fn width_bucket<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let (x, low, high, count) = (decimal(args, 0), decimal(args, 1), decimal(args, 2), int(args, 3));
    if count <= 0 {
        return Err(Problem::new("2201G", "count must be greater than zero"));
    }
    if low == high {
        return Err(Problem::new("2201G", "lower bound cannot equal upper bound"));
    }
    let (is_below, is_above) = if low < high { (x < low, x >= high) } else { (x > low, x <= high) };
    let bucket = match (is_below, is_above) {
        (true, _) => 0,
        (_, true) => count + 1,
        _ => {
            let (part, all) = (x.checked_sub(low)?, high.checked_sub(low)?);
            let scaled = part.checked_mul(Decimal::from(count))?;
            let whole = scaled.checked_sub(scaled.checked_rem(all)?)?.div_at(all, 0)?;
            whole.to_i64()? + 1
        }
    };
    let bucket = i32::try_from(bucket).map_err(|_| Problem::new("22003", "integer out of range"))?;
    give(Value::Integer(bucket))
}

// Results that have no end of digits. Their scale is PostgreSQL's: so many digits behind the point that sixteen count, but no fewer
// than the arguments have, as long as 38 digits hold it all.

/// How many digits count at least.
const SIGNIFICANT_DIGITS: i32 = 16;

#[cold]
fn overflow() -> Problem {
    Problem::Value(Error::NumericOverflow { precision: 38, scale: 0, text: Excerpt::new(&[]) })
}

/// Digits of a number by groups of four, as PostgreSQL keeps them: the place of the first group, and the first two.
fn groups(number: Decimal) -> (i32, [f64; 2]) {
    let magnitude = number.unscaled().unsigned_abs();
    if magnitude == 0 {
        return (0, [0.0; 2]);
    }
    // The point lies between groups.
    let scale = i32::from(number.scale());
    let fill = (4 - scale % 4) % 4;
    let digits = magnitude.ilog10() as i32 + 1 + fill;
    let groups = (digits + 3) / 4;
    let weight = groups - 1 - (scale + fill) / 4;
    let exact = magnitude as f64 * 10f64.powi(fill);
    let first = (exact / 10f64.powi(4 * (groups - 1))).floor();
    let rest = exact - first * 10f64.powi(4 * (groups - 1));
    let second = if groups > 1 { (rest / 10f64.powi(4 * (groups - 2))).floor() } else { 0.0 };
    (weight, [first, second])
}

/// About how many digits the logarithm of a number has before the point; negative where it begins behind it.
fn ln_weight(number: Decimal) -> i32 {
    let value = number.to_f64();
    if (0.9..=1.1).contains(&value) {
        let one = Decimal::from(1i32);
        let Ok(distance) = number.checked_sub(one) else { return 0 };
        let (weight, [first, _]) = groups(distance);
        return if distance.unscaled() == 0 { 0 } else { weight * 4 + first.log10() as i32 };
    }
    let (weight, [first, second]) = groups(number);
    let ln = (first * 10_000.0 + second).ln() + f64::from(weight * 4 - 4) * core::f64::consts::LN_10;
    ln.abs().log10() as i32
}

/// A result with the wanted scale, or one with fewer digits where 38 do not hold that.
fn settle(result: Option<Fixed>, is_negative: bool, scale: i32) -> Answer<'static> {
    let result = result.ok_or_else(overflow)?;
    let mut scale = scale.clamp(0, i32::from(Decimal::SCALE_MAX)) as u8;
    loop {
        let found = result.unscaled(scale).map(|unscaled| if is_negative { -unscaled } else { unscaled });
        match (found.map(|unscaled| Decimal::new(unscaled, scale)), scale) {
            (Some(Ok(number)), _) => return give_decimal(number),
            (_, 0) => return Err(overflow()),
            _ => scale -= 1,
        }
    }
}

fn sqrt<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let number = decimal(args, 0);
    if number.unscaled() < 0 {
        return Err(Problem::new("2201F", "cannot take square root of a negative number"));
    }
    let (weight, _) = groups(number);
    let wanted = (SIGNIFICANT_DIGITS - ((weight + 1) * 4 / 2 - 1)).max(number.scale().into());
    let mut scale = wanted.clamp(0, i32::from(Decimal::SCALE_MAX));
    loop {
        // A root of an odd number of places is one of an even number with a zero behind it.
        let power = (2 * scale - i32::from(number.scale())) as u32;
        let root = fixed::root(number.unscaled().unsigned_abs(), power);
        match root.map(|root| Decimal::new(root, scale as u8)) {
            Some(Ok(root)) => return give_decimal(root),
            _ if scale <= i32::from(number.scale().div_ceil(2)) => return Err(overflow()),
            _ => scale -= 1,
        }
    }
}

fn exp<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let number = decimal(args, 0);
    let weight = (number.to_f64() * core::f64::consts::LOG10_E).clamp(-1000.0, 1000.0) as i32;
    let scale = (SIGNIFICANT_DIGITS - weight).max(number.scale().into());
    settle(Fixed::of_decimal(number).exp(number.unscaled() < 0), false, scale)
}

/// A number whose logarithm can be taken.
fn positive(number: Decimal) -> Result<Fixed, Problem> {
    match number.unscaled().signum() {
        0 => Err(Problem::new("2201E", "cannot take logarithm of zero")),
        -1 => Err(Problem::new("2201E", "cannot take logarithm of a negative number")),
        _ => Ok(Fixed::of_decimal(number)),
    }
}

fn ln<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let number = decimal(args, 0);
    let (ln, is_negative) = positive(number)?.ln().ok_or_else(overflow)?;
    let scale = (SIGNIFICANT_DIGITS - ln_weight(number)).max(number.scale().into());
    settle(Some(ln), is_negative, scale)
}

fn log_of(base: Decimal, number: Decimal) -> Answer<'static> {
    let (base_ln, base_negative) = positive(base)?.ln().ok_or_else(overflow)?;
    let (ln, is_negative) = positive(number)?.ln().ok_or_else(overflow)?;
    if base_ln.is_zero() {
        return Err(Problem::Value(Error::DivisionByZero));
    }
    let weight = ln_weight(number) - ln_weight(base);
    let scale = (SIGNIFICANT_DIGITS - weight).max(base.scale().into()).max(number.scale().into());
    settle(ln.div(base_ln), is_negative != base_negative, scale)
}

fn log<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    log_of(decimal(args, 0), decimal(args, 1))
}

fn log10<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    log_of(Decimal::from(10i32), decimal(args, 0))
}

fn power<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let (base, exponent) = (decimal(args, 0), decimal(args, 1));
    let least_scale = i32::from(base.scale().max(exponent.scale()));
    let is_whole = exponent.normalized().scale() == 0;
    let odd_power = is_whole && exponent.normalized().unscaled() % 2 != 0;
    if base.unscaled() == 0 {
        let result = match exponent.unscaled().signum() {
            -1 => return Err(Problem::new("2201F", "zero raised to a negative power is undefined")),
            0 => Fixed::of(1),
            _ => Fixed::ZERO,
        };
        return settle(Some(result), false, SIGNIFICANT_DIGITS.max(least_scale));
    }
    if base.unscaled() < 0 && !is_whole {
        let message = "a negative number raised to a non-integer power yields a complex result";
        return Err(Problem::new("2201F", message));
    }
    let (ln, is_negative) = Fixed::of_decimal(base).ln().ok_or_else(overflow)?;
    let product = ln.mul(Fixed::of_decimal(exponent)).ok_or_else(overflow)?;
    let shrinks = is_negative != (exponent.unscaled() < 0);
    // Whole powers are rounded to sixteen digits behind the point, however large they are.
    let weight = if is_whole { 0.0 } else { base.abs().to_f64().log10() * exponent.to_f64() };
    let scale = (SIGNIFICANT_DIGITS - weight.clamp(-1000.0, 1000.0) as i32).max(least_scale);
    settle(product.exp(shrinks), base.unscaled() < 0 && odd_power, scale)
}
