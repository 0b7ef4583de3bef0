//! Arithmetic over columns: exact, checked, with the result types that the binder derived.

use cofferdam_plan::expr::BinaryOp;
use cofferdam_types::{Date, Error, Excerpt, Type, unscaled};

use super::kernel::{map2, try1, try2};
use super::program::Rounding;
use super::run::Outcome;
use crate::batch::{Data, Element, Kind, Rows, Source, Vector, pack_interval, unpack_interval};

/// The error for a result that `ty` cannot hold.
#[cold]
pub(super) fn out_of_range(ty: Type) -> Error {
    match ty {
        Type::Decimal { precision, scale } => {
            Error::NumericOverflow { precision, scale, text: Excerpt::new(b"") }
        }
        Type::Date => {
            Error::DatetimeOverflow { ty, text: Excerpt::new(b""), reason: "not a date that can be kept" }
        }
        ty => Error::OutOfRange { ty, text: Excerpt::new(b"") },
    }
}

/// `dst = a op b`; the validity of `dst` is set.
pub(super) fn binary(
    op: BinaryOp,
    (left, a): (Type, &Vector<'_>),
    (right, b): (Type, &Vector<'_>),
    result: Type,
    rows: Rows<'_>,
    dst: &mut Vector<'_>,
) -> Outcome {
    match (left, right) {
        (Type::Date | Type::Interval, _) | (_, Type::Date | Type::Interval) => {
            datetime(op, (left, a), (right, b), result, rows, dst)
        }
        (Type::Integer, _) => integers(op, a.values::<i32>(), b.values(), result, rows, dst),
        (Type::BigInt, _) => integers(op, a.values::<i64>(), b.values(), result, rows, dst),
        (Type::Double, _) => doubles(op, a.values(), b.values(), rows, dst),
        _ => decimals(op, (left, a), (right, b), result, rows, dst),
    }
}

/// Machine integers that check for overflow.
trait Checked: Element + PartialEq {
    fn add(self, other: Self) -> Option<Self>;
    fn sub(self, other: Self) -> Option<Self>;
    fn mul(self, other: Self) -> Option<Self>;
    fn div(self, other: Self) -> Option<Self>;
    fn rem(self, other: Self) -> Self;
}

macro_rules! checked {
    ($($ty:ty),*) => {$(
        impl Checked for $ty {
            #[inline(always)]
            fn add(self, other: $ty) -> Option<$ty> { self.checked_add(other) }
            #[inline(always)]
            fn sub(self, other: $ty) -> Option<$ty> { self.checked_sub(other) }
            #[inline(always)]
            fn mul(self, other: $ty) -> Option<$ty> { self.checked_mul(other) }
            #[inline(always)]
            fn div(self, other: $ty) -> Option<$ty> { self.checked_div(other) }
            #[inline(always)]
            fn rem(self, other: $ty) -> $ty { self.wrapping_rem(other) }
        }
    )*};
}
checked!(i32, i64);

fn integers<T: Checked>(
    op: BinaryOp,
    a: Source<'_, T>,
    b: Source<'_, T>,
    result: Type,
    rows: Rows<'_>,
    dst: &mut Vector<'_>,
) -> Outcome {
    let zero = T::default();
    let done = match op {
        BinaryOp::Add => try2(rows, a, b, dst, T::add),
        BinaryOp::Subtract => try2(rows, a, b, dst, T::sub),
        BinaryOp::Multiply => try2(rows, a, b, dst, T::mul),
        BinaryOp::Divide => try2(rows, a, b, dst, T::div),
        _ => try2(rows, a, b, dst, |a, b| (b != zero).then(|| a.rem(b))),
    };
    let divides = matches!(op, BinaryOp::Divide | BinaryOp::Modulo);
    done.map_err(
        |row| if divides && b.get(row) == zero { Error::DivisionByZero } else { out_of_range(result) },
    )
}

fn doubles(
    op: BinaryOp,
    a: Source<'_, f64>,
    b: Source<'_, f64>,
    rows: Rows<'_>,
    dst: &mut Vector<'_>,
) -> Outcome {
    // An infinite result is an overflow unless an operand was infinite.
    let finite = |result: f64, a: f64, b: f64| {
        (!result.is_infinite() || a.is_infinite() || b.is_infinite()).then_some(result)
    };
    let done = match op {
        BinaryOp::Add => try2(rows, a, b, dst, |a, b| finite(a + b, a, b)),
        BinaryOp::Subtract => try2(rows, a, b, dst, |a, b| finite(a - b, a, b)),
        BinaryOp::Multiply => try2(rows, a, b, dst, |a, b| finite(a * b, a, b)),
        // What is no number is none over zero too.
        BinaryOp::Divide => {
            let divided = |a: f64, b: f64| if b == 0.0 && !a.is_nan() { None } else { finite(a / b, a, b) };
            try2(rows, a, b, dst, divided)
        }
        _ => try2(rows, a, b, dst, |a, b| (b != 0.0).then_some(a % b)),
    };
    let divides = matches!(op, BinaryOp::Divide | BinaryOp::Modulo);
    done.map_err(|row| {
        if divides && b.get(row) == 0.0 { Error::DivisionByZero } else { out_of_range(Type::Double) }
    })
}

/// Digits behind the point of an exact type.
fn scale_of(ty: Type) -> u8 {
    match ty {
        Type::Decimal { scale, .. } => scale,
        _ => 0,
    }
}

fn decimals(
    op: BinaryOp,
    (left, a): (Type, &Vector<'_>),
    (right, b): (Type, &Vector<'_>),
    result: Type,
    rows: Rows<'_>,
    dst: &mut Vector<'_>,
) -> Outcome {
    let scales = (scale_of(left), scale_of(right), scale_of(result));
    match (&a.data, &b.data, dst.kind()) {
        (Data::I64(_), Data::I64(_), Kind::I64) => {
            short_decimals(op, a.values(), b.values(), scales, result, rows, dst)
        }
        (Data::I64(_), Data::I64(_), _) if op == BinaryOp::Multiply && scales.0 + scales.1 == scales.2 => {
            map2(rows, a.values(), b.values(), i128::write(&mut dst.data), unscaled::mul_i64);
            Ok(())
        }
        (Data::I64(_), Data::I64(_), _) => {
            wide_decimals(op, a.values::<i64>(), b.values::<i64>(), scales, result, rows, dst)
        }
        (Data::I64(_), _, _) => {
            wide_decimals(op, a.values::<i64>(), b.values::<i128>(), scales, result, rows, dst)
        }
        (_, Data::I64(_), _) => {
            wide_decimals(op, a.values::<i128>(), b.values::<i64>(), scales, result, rows, dst)
        }
        _ => wide_decimals(op, a.values::<i128>(), b.values::<i128>(), scales, result, rows, dst),
    }
}

/// Short decimals whose result has at most 18 digits: the types rule out that a sum or product overflows.
fn short_decimals(
    op: BinaryOp,
    a: Source<'_, i64>,
    b: Source<'_, i64>,
    scales: (u8, u8, u8),
    result: Type,
    rows: Rows<'_>,
    dst: &mut Vector<'_>,
) -> Outcome {
    let is_plain_product = scales.0 + scales.1 == scales.2;
    let done = match op {
        BinaryOp::Add => try2(rows, a, b, dst, i64::checked_add),
        BinaryOp::Subtract => try2(rows, a, b, dst, i64::checked_sub),
        BinaryOp::Multiply if is_plain_product => try2(rows, a, b, dst, i64::checked_mul),
        _ => try2(rows, a, b, dst, |a, b| {
            let wide = wide_decimal(op, i128::from(a), i128::from(b), scales)?;
            i64::try_from(wide).ok()
        }),
    };
    let divides = matches!(op, BinaryOp::Divide | BinaryOp::Modulo);
    done.map_err(|row| if divides && b.get(row) == 0 { Error::DivisionByZero } else { out_of_range(result) })
}

fn wide_decimals<A, B>(
    op: BinaryOp,
    a: Source<'_, A>,
    b: Source<'_, B>,
    scales: (u8, u8, u8),
    result: Type,
    rows: Rows<'_>,
    dst: &mut Vector<'_>,
) -> Outcome
where
    A: Element + Into<i128>,
    B: Element + Into<i128>,
{
    let divides = matches!(op, BinaryOp::Divide | BinaryOp::Modulo);
    let failed = |row: usize| {
        if divides && b.get(row).into() == 0 { Error::DivisionByZero } else { out_of_range(result) }
    };
    // A remainder has no more digits than the divisor, and a wide number divided by a wide one may be short.
    if dst.kind() == Kind::I64 {
        let done = try2(rows, a, b, dst, |a: A, b: B| {
            let (a, b) = (a.into(), b.into());
            let wide = match op {
                BinaryOp::Add => unscaled::add_i128(a, b),
                BinaryOp::Subtract => unscaled::sub_i128(a, b),
                _ => wide_decimal(op, a, b, scales),
            };
            wide.and_then(|wide| i64::try_from(wide).ok())
        });
        return done.map_err(failed);
    }
    let is_plain_product = scales.0 + scales.1 == scales.2;
    let done = match op {
        BinaryOp::Add => try2(rows, a, b, dst, |a, b| unscaled::add_i128(a.into(), b.into())),
        BinaryOp::Subtract => try2(rows, a, b, dst, |a, b| unscaled::sub_i128(a.into(), b.into())),
        BinaryOp::Multiply if is_plain_product => {
            try2(rows, a, b, dst, |a, b| unscaled::mul_i128(a.into(), b.into()))
        }
        _ => try2(rows, a, b, dst, |a, b| wide_decimal(op, a.into(), b.into(), scales)),
    };
    done.map_err(failed)
}

/// One operation that changes scales; nothing when the divisor is zero or the result has more than 38 digits.
fn wide_decimal(op: BinaryOp, a: i128, b: i128, (left, right, result): (u8, u8, u8)) -> Option<i128> {
    match op {
        BinaryOp::Multiply => unscaled::mul_rescale(a, b, left + right - result),
        BinaryOp::Divide => {
            let shift = i32::from(result) + i32::from(right) - i32::from(left);
            unscaled::div_shifted(a, b, shift).ok()?
        }
        _ => {
            let a = unscaled::rescale_i128(a, left, result)?;
            let b = unscaled::rescale_i128(b, right, result)?;
            a.checked_rem(b)
        }
    }
}

/// Sums and differences of dates, intervals and days.
fn datetime(
    op: BinaryOp,
    (left, a): (Type, &Vector<'_>),
    (right, b): (Type, &Vector<'_>),
    result: Type,
    rows: Rows<'_>,
    dst: &mut Vector<'_>,
) -> Outcome {
    let adds = op == BinaryOp::Add;
    let done = match (left, right) {
        (Type::Date, Type::Date) => try2(rows, a.values(), b.values(), dst, |a: i32, b: i32| {
            Date::from_days(a.into()).ok()?.days_since(Date::from_days(b.into()).ok()?).ok()
        }),
        (Type::Date, Type::Integer) => try2(rows, a.values(), b.values(), dst, |a, b| add_days(a, b, adds)),
        (Type::Integer, _) if right == Type::Date => {
            try2(rows, a.values(), b.values(), dst, |a, b| add_days(b, a, true))
        }
        (Type::Date, _) => try2(rows, a.values(), b.values(), dst, |a, b| add_interval(a, b, adds)),
        (Type::Interval, Type::Date) => {
            try2(rows, a.values(), b.values(), dst, |a, b| add_interval(b, a, true))
        }
        (Type::Interval, Type::Interval) => try2(rows, a.values(), b.values(), dst, |a, b| {
            let (a, b) = (unpack_interval(a), unpack_interval(b));
            let sum = if adds { a.checked_add(b) } else { a.checked_sub(b) };
            sum.ok().map(pack_interval)
        }),
        (Type::Interval, _) => try2(rows, a.values(), b.values(), dst, multiply_interval),
        _ => try2(rows, a.values(), b.values(), dst, |a, b| multiply_interval(b, a)),
    };
    done.map_err(|_| out_of_range(result))
}

fn add_days(date: i32, days: i32, adds: bool) -> Option<i32> {
    let date = Date::from_days(i64::from(date)).ok()?;
    let moved = if adds { date.add_days(days) } else { date.sub_days(days) };
    moved.ok().map(Date::days)
}

fn add_interval(date: i32, interval: i128, adds: bool) -> Option<i32> {
    let (date, interval) = (Date::from_days(i64::from(date)).ok()?, unpack_interval(interval));
    let moved = if adds { date.add_interval(interval) } else { date.sub_interval(interval) };
    moved.ok().map(Date::days)
}

fn multiply_interval(interval: i128, factor: i32) -> Option<i128> {
    unpack_interval(interval).checked_mul(factor).ok().map(pack_interval)
}

/// `dst = -a`; the validity of `dst` is set.
pub(super) fn negate(ty: Type, a: &Vector<'_>, rows: Rows<'_>, dst: &mut Vector<'_>) -> Outcome {
    let done = match (&a.data, ty) {
        (Data::I128(_), Type::Interval) => try1(rows, a.values(), dst, |v| multiply_interval(v, -1)),
        (Data::I32(_), _) => try1(rows, a.values(), dst, i32::checked_neg),
        (Data::I64(_), _) => try1(rows, a.values(), dst, i64::checked_neg),
        (Data::I128(_), _) => try1(rows, a.values(), dst, i128::checked_neg),
        _ => try1(rows, a.values(), dst, |v: f64| Some(-v)),
    };
    done.map_err(|_| out_of_range(ty))
}

/// `dst = |a|`; the validity of `dst` is set.
pub(super) fn abs(ty: Type, a: &Vector<'_>, rows: Rows<'_>, dst: &mut Vector<'_>) -> Outcome {
    let done = match &a.data {
        Data::I32(_) => try1(rows, a.values(), dst, i32::checked_abs),
        Data::I64(_) => try1(rows, a.values(), dst, i64::checked_abs),
        Data::I128(_) => try1(rows, a.values(), dst, i128::checked_abs),
        _ => try1(rows, a.values(), dst, |v: f64| Some(v.abs())),
    };
    done.map_err(|_| out_of_range(ty))
}

/// `dst` = `a` with fewer digits behind the point; the validity of `dst` is set.
pub(super) fn round(
    how: Rounding,
    from: Type,
    to: Type,
    a: &Vector<'_>,
    rows: Rows<'_>,
    dst: &mut Vector<'_>,
) -> Outcome {
    let (scale, new_scale) = (scale_of(from), scale_of(to));
    let rounded = |value: i128| round_decimal(how, value, scale, new_scale);
    let short = |value: i128| i64::try_from(value).ok();
    let done = match (&a.data, dst.kind()) {
        (Data::F64(_), _) => try1(rows, a.values(), dst, |v: f64| {
            Some(match how {
                Rounding::Nearest => v.round_ties_even(),
                Rounding::Down => v.floor(),
                Rounding::Up => v.ceil(),
            })
        }),
        (Data::I64(_), Kind::I64) => {
            try1(rows, a.values(), dst, |v: i64| rounded(i128::from(v)).and_then(short))
        }
        (Data::I64(_), _) => try1(rows, a.values(), dst, |v: i64| rounded(i128::from(v))),
        (_, Kind::I64) => try1(rows, a.values(), dst, |v: i128| rounded(v).and_then(short)),
        _ => try1(rows, a.values(), dst, rounded),
    };
    done.map_err(|_| out_of_range(to))
}

fn round_decimal(how: Rounding, value: i128, scale: u8, new_scale: u8) -> Option<i128> {
    let Some(dropped) = scale.checked_sub(new_scale) else {
        return unscaled::rescale_i128(value, scale, new_scale);
    };
    let unit = unscaled::POW10[usize::from(dropped)];
    match how {
        Rounding::Nearest => unscaled::rescale_i128(value, scale, new_scale),
        Rounding::Down => Some(value.div_euclid(unit)),
        Rounding::Up => Some(-(-value).div_euclid(unit)),
    }
}
