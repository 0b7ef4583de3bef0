//! Computes what is constant while the query is bound.
//!
//! A computation that fails (overflow, division by zero) is left to run time: it may stand in a branch that is never
//! taken or over a table without rows.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_functions::{Clock, Context, FunctionId, Output, Problem, Random, Site, Volatility};
use cofferdam_types::row::decode_bytes;
use cofferdam_types::{ArithmeticOp, Date, Decimal, Interval, Session, TextBuffer, Timestamp, Type, Value};

use super::build::arithmetic_op;
use crate::Span;
use crate::error::Error;
use crate::expr::copy_value;
use crate::expr::{BinaryOp, Expr, ExprKind, Function, UnaryOp};

/// A constant as a value of another type; text that is made lies in `arena`.
///
/// # Errors
/// The cause's code with the place `span` when the value has no such form.
pub(super) fn cast<'a>(
    value: Value<'a>,
    to: Type,
    span: Span,
    arena: &'a Arena,
) -> Result<Value<'a>, Error<'a>> {
    // A text that stays one lies where it lay.
    match (value, to) {
        (Value::Text(_), Type::Text) => return Ok(value),
        // Whole numbers stand in most queries, and none of these is too large.
        (Value::Integer(number), Type::BigInt) => return Ok(Value::BigInt(number.into())),
        _ => {}
    }
    let scratch = Arena::new(arena.budget());
    let mut made = Vec::new_in(&scratch);
    let output = cofferdam_functions::convert(value, to, &Session::UTC, &mut made);
    let output = output.map_err(|problem| match problem {
        Problem::Value(cause) => Error::Value { cause, span },
        _ => Error::OutOfMemory(AllocError),
    })?;
    Ok(keep_output(output, &made, to, arena)?.unwrap_or_default())
}

/// Whether a text names a moment that depends on when it is read, such as `now` or `today`.
pub(super) fn depends_on_now(value: Value<'_>, to: Type) -> bool {
    let Value::Text(text) = value else { return false };
    if !matches!(to, Type::Date | Type::Time | Type::Timestamp | Type::TimestampTz) {
        return false;
    }
    let at = |micros| {
        let now = Timestamp::UNIX_EPOCH.add_micros(micros).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut buffer = TextBuffer::new();
        let session = Session { now, ..Session::UTC };
        cofferdam_types::cast::read_in(text, to, &session, &mut buffer).ok().map(fixed_bits)
    };
    at(0) != at(3_000_000_000_001)
}

/// The number behind a moment.
fn fixed_bits(value: Value<'_>) -> i64 {
    match value {
        Value::Date(date) => date.days().into(),
        Value::Time(time) => time.micros(),
        Value::Timestamp(moment) | Value::TimestampTz(moment) => moment.micros(),
        _ => 0,
    }
}

/// What a call gave, with its bytes in `arena`; nothing if they are too many to keep with the plan.
fn keep_output<'a>(
    output: Output<'_>,
    made: &[u8],
    ty: Type,
    arena: &'a Arena,
) -> Result<Option<Value<'a>>, AllocError> {
    let value = match output {
        Output::Value(value) => value,
        Output::Written => decode_bytes(made, ty).unwrap_or_default(),
    };
    let value = match (value, ty) {
        (Value::Decimal(number), Type::Decimal { precision, scale }) => match number.fit(precision, scale) {
            Ok(number) => Value::Decimal(number),
            Err(_) => return Ok(None),
        },
        (value, _) => value,
    };
    copy_value(value, arena).map(Some)
}

/// What an immutable function gives for constants; nothing if it fails, which is left to run time, or gives much.
fn call<'a>(
    id: FunctionId,
    args: &[&'a Expr<'a>],
    ty: Type,
    arena: &'a Arena,
) -> Result<Option<Value<'a>>, AllocError> {
    const BYTES_MAX: usize = 4096;
    if id.function().volatility() != Volatility::Immutable || !args.iter().all(|arg| value(arg).is_some()) {
        return Ok(None);
    }
    let mut scratch = Arena::new(arena.budget());
    let home = Arena::new(arena.budget());
    let args = home.alloc_slice_from_iter(args.iter().map(|arg| value(arg).unwrap_or_default()))?;
    let mut made = Vec::new_in(&home);
    let conversions = Session::UTC;
    let session =
        cofferdam_functions::Session { database: "", schema: "", user: "", version: "", conversions };
    let mut cx = Context {
        clock: &Clock { transaction_us: 0, statement_us: 0, now_us: &|| 0 },
        session: &session,
        sink: &mut made,
        scratch: &mut scratch,
        random: &mut Random::new(0),
        site: &mut Site::new(arena.budget()),
        is_cancelled: &|| false,
    };
    match cofferdam_functions::eval(id, args, &mut cx) {
        Ok(output) if made.len() <= BYTES_MAX => keep_output(output, &made, ty, arena),
        _ => Ok(None),
    }
}

/// The value of a node whose operands are constants; `None` if they are not, or if it is better computed at run time.
pub(crate) fn constant<'a>(expr: &Expr<'a>, arena: &'a Arena) -> Result<Option<Value<'a>>, AllocError> {
    Ok(match expr.kind {
        ExprKind::Unary { op, arg } => value(arg).and_then(|arg| unary(op, arg)),
        ExprKind::Binary { op: BinaryOp::Concat, left, right } => match (value(left), value(right)) {
            (Some(Value::Text(left)), Some(Value::Text(right))) => {
                Some(Value::Text(arena.alloc_fmt(format_args!("{left}{right}"))?))
            }
            (Some(_), Some(_)) => Some(Value::Null),
            _ => None,
        },
        ExprKind::Binary { op, left, right } => match (value(left), value(right)) {
            (Some(left), Some(right)) => binary(op, left, right, expr.ty),
            _ => None,
        },
        ExprKind::Call { function: Function::Scalar(id), args } => call(id, args, expr.ty, arena)?,
        ExprKind::Cast(arg) if value(arg).is_some_and(|value| depends_on_now(value, expr.ty)) => None,
        ExprKind::Cast(arg) => match value(arg).map(|arg| cast(arg, expr.ty, expr.span, arena)) {
            Some(Ok(value)) => Some(value),
            Some(Err(Error::OutOfMemory(error))) => return Err(error),
            Some(Err(_)) | None => None,
        },
        ExprKind::Between { arg, low, high, negated } => match (value(arg), value(low), value(high)) {
            (Some(arg), Some(low), Some(high)) => between(arg, low, high, negated),
            _ => None,
        },
        _ => None,
    })
}

/// The value of a literal.
pub(crate) fn value<'a>(expr: &Expr<'a>) -> Option<Value<'a>> {
    match expr.kind {
        ExprKind::Literal(value) => Some(value),
        _ => None,
    }
}

/// What a conjunction or disjunction with a constant comes down to; `None` if nothing gets simpler.
pub(crate) fn junction<'a>(op: BinaryOp, left: &'a Expr<'a>, right: &'a Expr<'a>) -> Option<&'a Expr<'a>> {
    let decides = op == BinaryOp::Or;
    let is = |expr: &Expr<'a>, wanted| matches!(expr.kind, ExprKind::Literal(Value::Boolean(found)) if found == wanted);
    if is(left, decides) || is(right, !decides) {
        Some(left)
    } else if is(right, decides) || is(left, !decides) {
        Some(right)
    } else {
        None
    }
}

fn unary<'a>(op: UnaryOp, arg: Value<'a>) -> Option<Value<'a>> {
    let truth = |wanted| Some(Value::Boolean(arg == Value::Boolean(wanted)));
    let untruth = |wanted| Some(Value::Boolean(arg != Value::Boolean(wanted)));
    match op {
        UnaryOp::IsNull => Some(Value::Boolean(arg.is_null())),
        UnaryOp::IsNotNull => Some(Value::Boolean(!arg.is_null())),
        UnaryOp::IsTrue => truth(true),
        UnaryOp::IsNotTrue => untruth(true),
        UnaryOp::IsFalse => truth(false),
        UnaryOp::IsNotFalse => untruth(false),
        UnaryOp::Not => match arg {
            Value::Boolean(arg) => Some(Value::Boolean(!arg)),
            _ => Some(Value::Null),
        },
        UnaryOp::Negate => negate(arg),
    }
}

fn negate(arg: Value<'_>) -> Option<Value<'_>> {
    Some(match arg {
        Value::Null => Value::Null,
        Value::Integer(arg) => Value::Integer(arg.checked_neg()?),
        Value::BigInt(arg) => Value::BigInt(arg.checked_neg()?),
        Value::Decimal(arg) => Value::Decimal(arg.negated()),
        Value::Double(arg) => Value::Double(-arg),
        Value::Interval(arg) => Value::Interval(Interval::ZERO.checked_sub(arg).ok()?),
        _ => return None,
    })
}

fn binary<'a>(op: BinaryOp, left: Value<'a>, right: Value<'a>, ty: Type) -> Option<Value<'a>> {
    match op {
        BinaryOp::And | BinaryOp::Or => Some(connect(op, left, right)),
        BinaryOp::IsDistinctFrom => Some(Value::Boolean(!is_same(left, right))),
        BinaryOp::IsNotDistinctFrom => Some(Value::Boolean(is_same(left, right))),
        _ if left.is_null() || right.is_null() => Some(Value::Null),
        _ => match arithmetic_op(op) {
            Some(op) => arithmetic(op, left, right, ty).ok().flatten(),
            None => compare(op, left, right),
        },
    }
}

/// AND and OR of two constants, of which either may be NULL.
fn connect<'a>(op: BinaryOp, left: Value<'a>, right: Value<'a>) -> Value<'a> {
    let decides = Value::Boolean(op == BinaryOp::Or);
    if left == decides || right == decides {
        decides
    } else if left.is_null() || right.is_null() {
        Value::Null
    } else {
        left
    }
}

/// Equality where NULL equals NULL.
fn is_same(left: Value<'_>, right: Value<'_>) -> bool {
    match left.compare(&right) {
        Some(order) => order.is_eq(),
        None => left.is_null() && right.is_null(),
    }
}

/// What a comparison gives; `None` for another operator.
pub(crate) fn compare<'a>(op: BinaryOp, left: Value<'a>, right: Value<'a>) -> Option<Value<'a>> {
    let Some(order) = left.compare(&right) else { return Some(Value::Null) };
    Some(Value::Boolean(match op {
        BinaryOp::Equal => order.is_eq(),
        BinaryOp::NotEqual => order.is_ne(),
        BinaryOp::Less => order.is_lt(),
        BinaryOp::LessEqual => order.is_le(),
        BinaryOp::Greater => order.is_gt(),
        BinaryOp::GreaterEqual => order.is_ge(),
        _ => return None,
    }))
}

fn between<'a>(arg: Value<'a>, low: Value<'a>, high: Value<'a>, negated: bool) -> Option<Value<'a>> {
    let above = compare(BinaryOp::GreaterEqual, arg, low)?;
    let below = compare(BinaryOp::LessEqual, arg, high)?;
    match connect(BinaryOp::And, above, below) {
        Value::Boolean(inside) => Some(Value::Boolean(inside != negated)),
        _ => Some(Value::Null),
    }
}

/// Arithmetic on values that are not NULL; `None` for what is left to run time.
fn arithmetic<'a>(
    op: ArithmeticOp,
    left: Value<'a>,
    right: Value<'a>,
    ty: Type,
) -> Result<Option<Value<'a>>, cofferdam_types::Error> {
    Ok(match (left, right, ty) {
        (Value::Integer(left), Value::Integer(right), Type::Integer) => {
            whole(op, left.into(), right.into()).and_then(|n| i32::try_from(n).ok()).map(Value::Integer)
        }
        (Value::BigInt(left), Value::BigInt(right), Type::BigInt) => {
            whole(op, left, right).map(Value::BigInt)
        }
        (Value::Decimal(left), Value::Decimal(right), Type::Decimal { precision, scale }) => {
            Some(Value::Decimal(decimal(op, left, right, scale)?.fit(precision, scale)?))
        }
        (Value::Double(left), Value::Double(right), Type::Double) => {
            double(op, left, right).map(Value::Double)
        }
        (Value::Interval(left), Value::Interval(right), _) => match op {
            ArithmeticOp::Add => Some(Value::Interval(left.checked_add(right)?)),
            ArithmeticOp::Sub => Some(Value::Interval(left.checked_sub(right)?)),
            _ => None,
        },
        (Value::Interval(span), Value::Integer(factor), Type::Interval)
        | (Value::Integer(factor), Value::Interval(span), Type::Interval) => {
            Some(Value::Interval(span.checked_mul(factor)?))
        }
        (Value::Date(left), right, _) => date(op, left, right)?,
        (left, Value::Date(right), _) => date(op, right, left)?,
        _ => None,
    })
}

fn whole(op: ArithmeticOp, left: i64, right: i64) -> Option<i64> {
    match op {
        ArithmeticOp::Add => left.checked_add(right),
        ArithmeticOp::Sub => left.checked_sub(right),
        ArithmeticOp::Mul => left.checked_mul(right),
        ArithmeticOp::Div => left.checked_div(right),
        ArithmeticOp::Rem => left.checked_rem(right),
    }
}

fn decimal(
    op: ArithmeticOp,
    left: Decimal,
    right: Decimal,
    scale: u8,
) -> Result<Decimal, cofferdam_types::Error> {
    match op {
        ArithmeticOp::Add => left.checked_add(right),
        ArithmeticOp::Sub => left.checked_sub(right),
        ArithmeticOp::Mul => left.mul_at(right, scale),
        ArithmeticOp::Div => left.div_at(right, scale),
        ArithmeticOp::Rem => left.checked_rem(right),
    }
}

/// Overflow and division by zero are run-time errors in PostgreSQL and not infinities.
fn double(op: ArithmeticOp, left: f64, right: f64) -> Option<f64> {
    let result = match op {
        ArithmeticOp::Add => left + right,
        ArithmeticOp::Sub => left - right,
        ArithmeticOp::Mul => left * right,
        ArithmeticOp::Div => left / right,
        ArithmeticOp::Rem => return None,
    };
    (left.is_finite() && right.is_finite() && result.is_finite()).then_some(result)
}

fn date<'a>(
    op: ArithmeticOp,
    date: Date,
    other: Value<'a>,
) -> Result<Option<Value<'a>>, cofferdam_types::Error> {
    Ok(Some(match (op, other) {
        (ArithmeticOp::Add, Value::Integer(days)) => Value::Date(date.add_days(days)?),
        (ArithmeticOp::Sub, Value::Integer(days)) => Value::Date(date.sub_days(days)?),
        (ArithmeticOp::Add, Value::Interval(interval)) => Value::Date(date.add_interval(interval)?),
        (ArithmeticOp::Sub, Value::Interval(interval)) => Value::Date(date.sub_interval(interval)?),
        (ArithmeticOp::Sub, Value::Date(other)) => Value::Integer(date.days_since(other)?),
        _ => return Ok(None),
    }))
}
