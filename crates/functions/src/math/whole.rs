//! Functions and operators of integers.

use cofferdam_types::{Error, Excerpt, Type, Value};

use crate::args::{Answer, give, int, value};
use crate::context::{Context, Problem};
use crate::signature::params::{INT2, INT4, INT8};
use crate::signature::{Function, function, results};

pub(crate) const FUNCTIONS: &[Function] = &[
    function("abs", &[INT2], results::INT2, abs, "without its sign"),
    function("abs", &[INT4], results::INT4, abs, "without its sign"),
    function("abs", &[INT8], results::INT8, abs, "without its sign"),
    function("gcd", &[INT4, INT4], results::INT4, gcd, "greatest common divisor"),
    function("gcd", &[INT8, INT8], results::INT8, gcd, "greatest common divisor"),
    function("lcm", &[INT4, INT4], results::INT4, lcm, "least common multiple"),
    function("lcm", &[INT8, INT8], results::INT8, lcm, "least common multiple"),
    function("mod", &[INT2, INT2], results::INT2, remainder, "remainder, with the sign of the first"),
    function("mod", &[INT4, INT4], results::INT4, remainder, "remainder, with the sign of the first"),
    function("mod", &[INT8, INT8], results::INT8, remainder, "remainder, with the sign of the first"),
];

/// The entries of an operator for all pairs of integer types; the wider type is that of the result.
macro_rules! pairs {
    ($symbol:literal, $eval:ident, $about:literal) => {
        [
            function($symbol, &[INT2, INT2], results::INT2, $eval, $about),
            function($symbol, &[INT2, INT4], results::INT4, $eval, $about),
            function($symbol, &[INT2, INT8], results::INT8, $eval, $about),
            function($symbol, &[INT4, INT2], results::INT4, $eval, $about),
            function($symbol, &[INT4, INT4], results::INT4, $eval, $about),
            function($symbol, &[INT4, INT8], results::INT8, $eval, $about),
            function($symbol, &[INT8, INT2], results::INT8, $eval, $about),
            function($symbol, &[INT8, INT4], results::INT8, $eval, $about),
            function($symbol, &[INT8, INT8], results::INT8, $eval, $about),
        ]
    };
}

/// The entries of an operator for two operands of one type.
macro_rules! twins {
    ($symbol:literal, $eval:ident, $about:literal) => {
        [
            function($symbol, &[INT2, INT2], results::INT2, $eval, $about),
            function($symbol, &[INT4, INT4], results::INT4, $eval, $about),
            function($symbol, &[INT8, INT8], results::INT8, $eval, $about),
        ]
    };
}

/// The entries of a prefix operator.
macro_rules! prefixes {
    ($symbol:literal, $eval:ident, $about:literal) => {
        [
            function($symbol, &[INT2], results::INT2, $eval, $about),
            function($symbol, &[INT4], results::INT4, $eval, $about),
            function($symbol, &[INT8], results::INT8, $eval, $about),
        ]
    };
}

/// The entries of a shift.
macro_rules! shifts {
    ($symbol:literal, $eval:ident, $about:literal) => {
        [
            function($symbol, &[INT2, INT4], results::INT2, $eval, $about),
            function($symbol, &[INT4, INT4], results::INT4, $eval, $about),
            function($symbol, &[INT8, INT4], results::INT8, $eval, $about),
        ]
    };
}

pub(crate) const OPERATORS: &[&[Function]] = &[
    &pairs!("+", add, "sum"),
    &pairs!("-", subtract, "difference"),
    &pairs!("*", multiply, "product"),
    &pairs!("/", divide, "quotient, towards zero"),
    &twins!("%", remainder, "remainder, with the sign of the first"),
    &twins!("&", and, "bits that are set in both"),
    &twins!("|", or, "bits that are set in one or both"),
    &twins!("#", xor, "bits that are set in one of both"),
    &shifts!("<<", shift_left, "bits moved to the left"),
    &shifts!(">>", shift_right, "bits moved to the right; the sign stays"),
    &prefixes!("+", same, "the same"),
    &prefixes!("-", negate, "with the other sign"),
    &prefixes!("~", not, "all bits turned"),
    &prefixes!("@", abs, "without its sign"),
];

/// The wider type of the arguments.
fn width(args: &[Value<'_>]) -> Type {
    let has = |wanted: fn(&Value<'_>) -> bool| args.iter().any(wanted);
    if has(|arg| matches!(arg, Value::BigInt(_))) {
        Type::BigInt
    } else if has(|arg| matches!(arg, Value::Integer(_))) {
        Type::Integer
    } else {
        Type::SmallInt
    }
}

fn out_of_range(ty: Type) -> Problem {
    Problem::Value(Error::OutOfRange { ty, text: Excerpt::new(&[]) })
}

/// A result of the wider type of the arguments, if it fits.
fn fit(args: &[Value<'_>], result: Option<i64>) -> Answer<'static> {
    let ty = width(args);
    let fitted = result.and_then(|result| match ty {
        Type::SmallInt => i16::try_from(result).ok().map(Value::SmallInt),
        Type::Integer => i32::try_from(result).ok().map(Value::Integer),
        _ => Some(Value::BigInt(result)),
    });
    fitted.map_or_else(|| Err(out_of_range(ty)), give)
}

/// Bits that have the width of the first argument already.
fn bits(args: &[Value<'_>], result: i64) -> Answer<'static> {
    give(match value(args, 0) {
        Value::SmallInt(_) => Value::SmallInt(result as i16),
        Value::Integer(_) => Value::Integer(result as i32),
        _ => Value::BigInt(result),
    })
}

fn same<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give(value(args, 0))
}

fn abs<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    fit(args, int(args, 0).checked_abs())
}

fn negate<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    fit(args, int(args, 0).checked_neg())
}

fn add<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    fit(args, int(args, 0).checked_add(int(args, 1)))
}

fn subtract<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    fit(args, int(args, 0).checked_sub(int(args, 1)))
}

fn multiply<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    fit(args, int(args, 0).checked_mul(int(args, 1)))
}

/// The divisor, which must not be zero.
fn divisor(args: &[Value<'_>]) -> Result<i64, Problem> {
    match int(args, 1) {
        0 => Err(Problem::Value(Error::DivisionByZero)),
        divisor => Ok(divisor),
    }
}

fn divide<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    fit(args, int(args, 0).checked_div(divisor(args)?))
}

fn remainder<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    fit(args, Some(int(args, 0).wrapping_rem(divisor(args)?)))
}

fn and<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    bits(args, int(args, 0) & int(args, 1))
}

fn or<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    bits(args, int(args, 0) | int(args, 1))
}

fn xor<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    bits(args, int(args, 0) ^ int(args, 1))
}

fn not<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    bits(args, !int(args, 0))
}

/// How far bits move: the distance counts modulo the width, or for 16 bits modulo that of an int, as C does it.
fn distance(args: &[Value<'_>]) -> u32 {
    let mask = if matches!(value(args, 0), Value::BigInt(_)) { 63 } else { 31 };
    (int(args, 1) & mask) as u32
}

fn shift_left<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    bits(args, int(args, 0) << distance(args))
}

fn shift_right<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    bits(args, int(args, 0) >> distance(args))
}

fn greatest_divisor(a: i64, b: i64) -> u64 {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn gcd<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    fit(args, i64::try_from(greatest_divisor(int(args, 0), int(args, 1))).ok())
}

fn lcm<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let (a, b) = (int(args, 0), int(args, 1));
    if a == 0 || b == 0 {
        return fit(args, Some(0));
    }
    let multiple = (a.unsigned_abs() / greatest_divisor(a, b)).checked_mul(b.unsigned_abs());
    fit(args, multiple.and_then(|multiple| i64::try_from(multiple).ok()))
}
