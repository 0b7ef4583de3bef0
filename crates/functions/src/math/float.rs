//! Functions of doubles and reals.

use core::f64::consts::PI;

use cofferdam_types::Value;

use crate::args::{Answer, double, give, int};
use crate::context::{Context, Problem};
use crate::signature::params::{FLOAT4, FLOAT8, INT4};
use crate::signature::{Function, function, results};

pub(crate) const FUNCTIONS: &[Function] = &[
    function("abs", &[FLOAT4], results::FLOAT4, abs_real, "without its sign"),
    function("abs", &[FLOAT8], results::FLOAT8, abs, "without its sign"),
    function("acos", &[FLOAT8], results::FLOAT8, acos, "arc cosine, in radians"),
    function("acosd", &[FLOAT8], results::FLOAT8, acosd, "arc cosine, in degrees"),
    function("acosh", &[FLOAT8], results::FLOAT8, acosh, "inverse hyperbolic cosine"),
    function("asin", &[FLOAT8], results::FLOAT8, asin, "arc sine, in radians"),
    function("asind", &[FLOAT8], results::FLOAT8, asind, "arc sine, in degrees"),
    function("asinh", &[FLOAT8], results::FLOAT8, asinh, "inverse hyperbolic sine"),
    function("atan", &[FLOAT8], results::FLOAT8, atan, "arc tangent, in radians"),
    function("atan2", &[FLOAT8, FLOAT8], results::FLOAT8, atan2, "arc tangent of a quotient, in radians"),
    function("atan2d", &[FLOAT8, FLOAT8], results::FLOAT8, atan2d, "arc tangent of a quotient, in degrees"),
    function("atand", &[FLOAT8], results::FLOAT8, atand, "arc tangent, in degrees"),
    function("atanh", &[FLOAT8], results::FLOAT8, atanh, "inverse hyperbolic tangent"),
    function("cbrt", &[FLOAT8], results::FLOAT8, cbrt, "cube root"),
    function("ceil", &[FLOAT8], results::FLOAT8, ceil, "the next whole number upwards"),
    function("ceiling", &[FLOAT8], results::FLOAT8, ceil, "the next whole number upwards"),
    function("cos", &[FLOAT8], results::FLOAT8, cos, "cosine, of radians"),
    function("cosd", &[FLOAT8], results::FLOAT8, cosd, "cosine, of degrees"),
    function("cosh", &[FLOAT8], results::FLOAT8, cosh, "hyperbolic cosine"),
    function("cot", &[FLOAT8], results::FLOAT8, cot, "cotangent, of radians"),
    function("cotd", &[FLOAT8], results::FLOAT8, cotd, "cotangent, of degrees"),
    function("degrees", &[FLOAT8], results::FLOAT8, degrees, "radians as degrees"),
    function("erf", &[FLOAT8], results::FLOAT8, erf, "error function"),
    function("erfc", &[FLOAT8], results::FLOAT8, erfc, "complementary error function, 1 - erf(x)"),
    function("exp", &[FLOAT8], results::FLOAT8, exp, "e to this power"),
    function("floor", &[FLOAT8], results::FLOAT8, floor, "the next whole number downwards"),
    function("ln", &[FLOAT8], results::FLOAT8, ln, "natural logarithm"),
    function("log", &[FLOAT8], results::FLOAT8, log10, "logarithm to base 10"),
    function("log10", &[FLOAT8], results::FLOAT8, log10, "logarithm to base 10"),
    function("pi", &[], results::FLOAT8, pi, "the number pi"),
    function("pow", &[FLOAT8, FLOAT8], results::FLOAT8, power, "the first to the power of the second"),
    function("power", &[FLOAT8, FLOAT8], results::FLOAT8, power, "the first to the power of the second"),
    function("radians", &[FLOAT8], results::FLOAT8, radians, "degrees as radians"),
    function("random", &[], results::FLOAT8, random, "a random number from 0 up to 1").volatile(),
    function(
        "round",
        &[FLOAT8],
        results::FLOAT8,
        round,
        "the nearest whole number, an even one where two are as near",
    ),
    function(
        "setseed",
        &[FLOAT8],
        results::TEXT,
        setseed,
        "starts the session's random numbers from a seed between -1 and 1",
    )
    .volatile(),
    function("sign", &[FLOAT8], results::FLOAT8, sign, "-1, 0 or 1"),
    function("sin", &[FLOAT8], results::FLOAT8, sin, "sine, of radians"),
    function("sind", &[FLOAT8], results::FLOAT8, sind, "sine, of degrees"),
    function("sinh", &[FLOAT8], results::FLOAT8, sinh, "hyperbolic sine"),
    function("sqrt", &[FLOAT8], results::FLOAT8, sqrt, "square root"),
    function("tan", &[FLOAT8], results::FLOAT8, tan, "tangent, of radians"),
    function("tand", &[FLOAT8], results::FLOAT8, tand, "tangent, of degrees"),
    function("tanh", &[FLOAT8], results::FLOAT8, tanh, "hyperbolic tangent"),
    function("trunc", &[FLOAT8], results::FLOAT8, trunc, "without what is behind the point"),
    function(
        "width_bucket",
        &[FLOAT8, FLOAT8, FLOAT8, INT4],
        results::INT4,
        width_bucket,
        "which of so many equal parts between two bounds it lies in",
    ),
];

pub(crate) const OPERATORS: &[Function] = &[
    function("^", &[FLOAT8, FLOAT8], results::FLOAT8, power, "the first to the power of the second"),
    function("|/", &[FLOAT8], results::FLOAT8, sqrt, "square root"),
    function("||/", &[FLOAT8], results::FLOAT8, cbrt, "cube root"),
    function("@", &[FLOAT4], results::FLOAT4, abs_real, "without its sign"),
    function("@", &[FLOAT8], results::FLOAT8, abs, "without its sign"),
    function("+", &[FLOAT4], results::FLOAT4, same, "the same"),
    function("+", &[FLOAT8], results::FLOAT8, same, "the same"),
    function("-", &[FLOAT4], results::FLOAT4, negate_real, "with the other sign"),
    function("-", &[FLOAT8], results::FLOAT8, negate, "with the other sign"),
    function("+", &[FLOAT4, FLOAT4], results::FLOAT4, add_real, "sum"),
    function("+", &[FLOAT4, FLOAT8], results::FLOAT8, add, "sum"),
    function("+", &[FLOAT8, FLOAT4], results::FLOAT8, add, "sum"),
    function("+", &[FLOAT8, FLOAT8], results::FLOAT8, add, "sum"),
    function("-", &[FLOAT4, FLOAT4], results::FLOAT4, subtract_real, "difference"),
    function("-", &[FLOAT4, FLOAT8], results::FLOAT8, subtract, "difference"),
    function("-", &[FLOAT8, FLOAT4], results::FLOAT8, subtract, "difference"),
    function("-", &[FLOAT8, FLOAT8], results::FLOAT8, subtract, "difference"),
    function("*", &[FLOAT4, FLOAT4], results::FLOAT4, multiply_real, "product"),
    function("*", &[FLOAT4, FLOAT8], results::FLOAT8, multiply, "product"),
    function("*", &[FLOAT8, FLOAT4], results::FLOAT8, multiply, "product"),
    function("*", &[FLOAT8, FLOAT8], results::FLOAT8, multiply, "product"),
    function("/", &[FLOAT4, FLOAT4], results::FLOAT4, divide_real, "quotient"),
    function("/", &[FLOAT4, FLOAT8], results::FLOAT8, divide, "quotient"),
    function("/", &[FLOAT8, FLOAT4], results::FLOAT8, divide, "quotient"),
    function("/", &[FLOAT8, FLOAT8], results::FLOAT8, divide, "quotient"),
];

fn give_double(value: f64) -> Answer<'static> {
    give(Value::Double(value))
}

fn overflow() -> Problem {
    Problem::new("22003", "value out of range: overflow")
}

fn underflow() -> Problem {
    Problem::new("22003", "value out of range: underflow")
}

fn out_of_range() -> Problem {
    Problem::new("22003", "input is out of range")
}

/// A result that must be finite where the arguments are, and not zero where `is_zero_right` is false.
fn checked(result: f64, args: &[Value<'_>], is_zero_right: bool) -> Answer<'static> {
    let is_finite = || (0..args.len()).all(|index| double(args, index).is_finite());
    if result.is_infinite() && is_finite() {
        return Err(overflow());
    }
    if result == 0.0 && !is_zero_right && is_finite() {
        return Err(underflow());
    }
    give_double(result)
}

/// The same for a result that is rounded to a real.
fn checked_real(result: f64, args: &[Value<'_>], is_zero_right: bool) -> Answer<'static> {
    let rounded = result as f32;
    checked(rounded.into(), args, is_zero_right)?;
    give(Value::Real(rounded))
}

fn same<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give(crate::args::value(args, 0))
}

fn abs<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(double(args, 0).abs())
}

fn abs_real<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give(Value::Real(double(args, 0).abs() as f32))
}

fn negate<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(-double(args, 0))
}

fn negate_real<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give(Value::Real(-double(args, 0) as f32))
}

fn add<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    checked(double(args, 0) + double(args, 1), args, true)
}

fn add_real<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    checked_real(double(args, 0) + double(args, 1), args, true)
}

fn subtract<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    checked(double(args, 0) - double(args, 1), args, true)
}

fn subtract_real<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    checked_real(double(args, 0) - double(args, 1), args, true)
}

fn is_any_zero(args: &[Value<'_>]) -> bool {
    double(args, 0) == 0.0 || double(args, 1) == 0.0
}

fn multiply<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    checked(double(args, 0) * double(args, 1), args, is_any_zero(args))
}

fn multiply_real<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    checked_real(double(args, 0) * double(args, 1), args, is_any_zero(args))
}

fn quotient(args: &[Value<'_>]) -> Result<f64, Problem> {
    let (a, b) = (double(args, 0), double(args, 1));
    if b == 0.0 && !a.is_nan() {
        return Err(Problem::Value(cofferdam_types::Error::DivisionByZero));
    }
    Ok(a / b)
}

fn divide<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    checked(quotient(args)?, args, double(args, 0) == 0.0)
}

fn divide_real<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    checked_real(quotient(args)?, args, double(args, 0) == 0.0)
}

fn ceil<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(double(args, 0).ceil())
}

fn floor<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(double(args, 0).floor())
}

fn round<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(double(args, 0).round_ties_even())
}

fn trunc<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(double(args, 0).trunc())
}

fn sign<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let x = double(args, 0);
    give_double(if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        0.0
    })
}

fn sqrt<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let x = double(args, 0);
    if x < 0.0 {
        return Err(Problem::new("2201F", "cannot take square root of a negative number"));
    }
    give_double(x.sqrt())
}

fn cbrt<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(double(args, 0).cbrt())
}

fn exp<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    checked(double(args, 0).exp(), args, false)
}

/// The argument of a logarithm.
fn positive(args: &[Value<'_>]) -> Result<f64, Problem> {
    let x = double(args, 0);
    if x == 0.0 {
        return Err(Problem::new("2201E", "cannot take logarithm of zero"));
    }
    if x < 0.0 {
        return Err(Problem::new("2201E", "cannot take logarithm of a negative number"));
    }
    Ok(x)
}

fn ln<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(positive(args)?.ln())
}

fn log10<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(positive(args)?.log10())
}

fn power<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let (base, exponent) = (double(args, 0), double(args, 1));
    if base == 0.0 && exponent < 0.0 {
        return Err(Problem::new("2201F", "zero raised to a negative power is undefined"));
    }
    if base < 0.0 && base.is_finite() && exponent.is_finite() && exponent.fract() != 0.0 {
        let message = "a negative number raised to a non-integer power yields a complex result";
        return Err(Problem::new("2201F", message));
    }
    checked(base.powf(exponent), args, base == 0.0)
}

fn pi<'v>(_: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(PI)
}

fn degrees<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let x = double(args, 0);
    checked(x / RADIANS_PER_DEGREE, args, x == 0.0)
}

fn radians<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let x = double(args, 0);
    checked(x * RADIANS_PER_DEGREE, args, x == 0.0)
}

fn random<'v>(_: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    give_double(cx.random.next_f64())
}

fn setseed<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let seed = double(args, 0);
    if !(-1.0..=1.0).contains(&seed) {
        return Err(Problem::new("22023", "setseed parameter is out of allowed range [-1,1]"));
    }
    *cx.random = crate::Random::new(seed.to_bits());
    crate::args::give_text("")
}

fn erf<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(libm::erf(double(args, 0)))
}

fn erfc<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(libm::erfc(double(args, 0)))
}

/// An angle in radians, which must be finite.
fn angle(args: &[Value<'_>]) -> Result<f64, Problem> {
    let x = double(args, 0);
    if x.is_infinite() { Err(out_of_range()) } else { Ok(x) }
}

fn sin<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(angle(args)?.sin())
}

fn cos<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(angle(args)?.cos())
}

fn tan<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(angle(args)?.tan())
}

fn cot<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(1.0 / angle(args)?.tan())
}

/// A number between -1 and 1, or NaN.
fn unit(args: &[Value<'_>]) -> Result<f64, Problem> {
    let x = double(args, 0);
    if x.abs() > 1.0 { Err(out_of_range()) } else { Ok(x) }
}

fn asin<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(unit(args)?.asin())
}

fn acos<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(unit(args)?.acos())
}

fn atan<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(double(args, 0).atan())
}

fn atan2<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(double(args, 0).atan2(double(args, 1)))
}

fn sinh<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(double(args, 0).sinh())
}

fn cosh<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(double(args, 0).cosh())
}

fn tanh<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(double(args, 0).tanh())
}

fn asinh<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(libm::asinh(double(args, 0)))
}

fn acosh<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let x = double(args, 0);
    if x < 1.0 { Err(out_of_range()) } else { give_double(libm::acosh(x)) }
}

fn atanh<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(libm::atanh(unit(args)?))
}

// Degrees. At multiples of 30 and 45 degrees the results are exact: each function is scaled by its own value at 30, 60
// or 45 degrees, so that it is 0.5 or 1 there by construction.

const RADIANS_PER_DEGREE: f64 = PI / 180.0;

fn sin_to_30(x: f64) -> f64 {
    let sin_30 = (30.0 * RADIANS_PER_DEGREE).sin();
    (x * RADIANS_PER_DEGREE).sin() / sin_30 / 2.0
}

fn cos_to_60(x: f64) -> f64 {
    let one_minus_cos_60 = 1.0 - (60.0 * RADIANS_PER_DEGREE).cos();
    1.0 - (1.0 - (x * RADIANS_PER_DEGREE).cos()) / one_minus_cos_60 / 2.0
}

fn sin_first_quadrant(x: f64) -> f64 {
    if x <= 30.0 { sin_to_30(x) } else { cos_to_60(90.0 - x) }
}

fn cos_first_quadrant(x: f64) -> f64 {
    if x <= 60.0 { cos_to_60(x) } else { sin_to_30(90.0 - x) }
}

/// An angle in degrees folded into the first quadrant, and the signs of its sine and cosine.
fn folded(x: f64) -> (f64, f64, f64) {
    let mut x = x % 360.0;
    let mut sin_sign = 1.0;
    if x < 0.0 {
        (x, sin_sign) = (-x, -1.0);
    }
    if x > 180.0 {
        (x, sin_sign) = (360.0 - x, -sin_sign);
    }
    if x > 90.0 { (180.0 - x, sin_sign, -1.0) } else { (x, sin_sign, 1.0) }
}

fn sind<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let (x, sign, _) = folded(angle(args)?);
    give_double(sign * sin_first_quadrant(x))
}

fn cosd<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let (x, _, sign) = folded(angle(args)?);
    give_double(sign * cos_first_quadrant(x))
}

/// Zero has no sign here.
fn unsigned_zero(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x }
}

fn tand<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let (x, sin_sign, cos_sign) = folded(angle(args)?);
    let at_45 = sin_first_quadrant(45.0) / cos_first_quadrant(45.0);
    let tangent = sin_first_quadrant(x) / cos_first_quadrant(x) / at_45;
    give_double(unsigned_zero(sin_sign * cos_sign * tangent))
}

fn cotd<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let (x, sin_sign, cos_sign) = folded(angle(args)?);
    let at_45 = cos_first_quadrant(45.0) / sin_first_quadrant(45.0);
    let cotangent = cos_first_quadrant(x) / sin_first_quadrant(x) / at_45;
    give_double(unsigned_zero(sin_sign * cos_sign * cotangent))
}

/// The arc sine of a number from 0 to 1.
fn asin_first_quadrant(x: f64) -> f64 {
    match x <= 0.5 {
        true => x.asin() / 0.5f64.asin() * 30.0,
        false => 90.0 - x.acos() / 0.5f64.acos() * 60.0,
    }
}

fn acos_first_quadrant(x: f64) -> f64 {
    match x <= 0.5 {
        true => 90.0 - x.asin() / 0.5f64.asin() * 30.0,
        false => x.acos() / 0.5f64.acos() * 60.0,
    }
}

fn asind<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let x = unit(args)?;
    give_double(if x >= 0.0 { asin_first_quadrant(x) } else { -asin_first_quadrant(-x) })
}

fn acosd<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let x = unit(args)?;
    give_double(if x >= 0.0 { acos_first_quadrant(x) } else { 90.0 + asin_first_quadrant(-x) })
}

fn atand<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(double(args, 0).atan() / 1f64.atan() * 45.0)
}

fn atan2d<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_double(double(args, 0).atan2(double(args, 1)) / 1f64.atan() * 45.0)
}

fn width_bucket<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let (x, low, high, count) = (double(args, 0), double(args, 1), double(args, 2), int(args, 3));
    let refuse = |message| Err(Problem::new("2201G", message));
    if count <= 0 {
        return refuse("count must be greater than zero");
    }
    if x.is_nan() || low.is_nan() || high.is_nan() {
        return refuse("operand, lower bound, and upper bound cannot be NaN");
    }
    if low.is_infinite() || high.is_infinite() {
        return refuse("lower and upper bounds must be finite");
    }
    if low == high {
        return refuse("lower bound cannot equal upper bound");
    }
    let (is_below, is_above) = if low < high { (x < low, x >= high) } else { (x > low, x <= high) };
    let bucket = match (is_below, is_above) {
        (true, _) => 0,
        (_, true) => count + 1,
        // Halves, since the difference of the bounds might be infinite.
        _ => {
            let share = (x / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
            ((share * count as f64) as i64).min(count - 1) + 1
        }
    };
    let bucket = i32::try_from(bucket).map_err(|_| Problem::new("22003", "integer out of range"))?;
    give(Value::Integer(bucket))
}
