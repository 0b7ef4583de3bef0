//! Arguments by the type that the table says they have.
//!
//! Resolution has cast them, so another type is a defect of the caller; it reads as nothing rather than stopping.

use cofferdam_types::{ArrayRef, Date, Decimal, Interval, Time, Timestamp, Value};

use crate::context::{Output, Problem};

/// What evaluators return.
pub(crate) type Answer<'v> = Result<Output<'v>, Problem>;

/// A value as an answer.
pub(crate) const fn give(value: Value<'_>) -> Answer<'_> {
    Ok(Output::Value(value))
}

/// A text that is part of an argument, or constant.
pub(crate) const fn give_text(text: &str) -> Answer<'_> {
    give(Value::Text(text))
}

pub(crate) const fn give_bool(value: bool) -> Answer<'static> {
    give(Value::Boolean(value))
}

/// A count as an integer.
pub(crate) fn give_count(count: usize) -> Answer<'static> {
    give(Value::Integer(i32::try_from(count).unwrap_or(i32::MAX)))
}

/// What was appended to the sink.
pub(crate) const WRITTEN: Answer<'static> = Ok(Output::Written);

pub(crate) fn value<'v>(args: &[Value<'v>], index: usize) -> Value<'v> {
    args.get(index).copied().unwrap_or(Value::Null)
}

/// A text of any kind: text, character, json.
pub(crate) fn text<'v>(args: &[Value<'v>], index: usize) -> &'v str {
    text_of(value(args, index)).unwrap_or("")
}

/// The text of a value that is one.
pub(crate) fn text_of(value: Value<'_>) -> Option<&str> {
    match value {
        Value::Text(text) | Value::Char(text) | Value::Json(text) | Value::Jsonb(text) => Some(text),
        _ => None,
    }
}

pub(crate) fn bytes<'v>(args: &[Value<'v>], index: usize) -> &'v [u8] {
    value(args, index).heap_bytes().unwrap_or(&[])
}

/// An integer of any width.
pub(crate) fn int(args: &[Value<'_>], index: usize) -> i64 {
    match value(args, index) {
        Value::SmallInt(value) => value.into(),
        Value::Integer(value) => value.into(),
        Value::BigInt(value) => value,
        _ => 0,
    }
}

/// A double or real.
pub(crate) fn double(args: &[Value<'_>], index: usize) -> f64 {
    match value(args, index) {
        Value::Double(value) => value,
        Value::Real(value) => value.into(),
        _ => 0.0,
    }
}

pub(crate) fn decimal(args: &[Value<'_>], index: usize) -> Decimal {
    match value(args, index) {
        Value::Decimal(value) => value,
        Value::SmallInt(value) => i32::from(value).into(),
        Value::Integer(value) => value.into(),
        Value::BigInt(value) => value.into(),
        _ => Decimal::ZERO,
    }
}

pub(crate) fn boolean(args: &[Value<'_>], index: usize) -> bool {
    value(args, index) == Value::Boolean(true)
}

pub(crate) fn date(args: &[Value<'_>], index: usize) -> Date {
    match value(args, index) {
        Value::Date(value) => value,
        _ => Timestamp::UNIX_EPOCH.date(),
    }
}

pub(crate) fn time(args: &[Value<'_>], index: usize) -> Time {
    match value(args, index) {
        Value::Time(value) => value,
        _ => Time::MIDNIGHT,
    }
}

/// A timestamp with or without time zone.
pub(crate) fn timestamp(args: &[Value<'_>], index: usize) -> Timestamp {
    match value(args, index) {
        Value::Timestamp(value) | Value::TimestampTz(value) => value,
        _ => Timestamp::UNIX_EPOCH,
    }
}

pub(crate) fn interval(args: &[Value<'_>], index: usize) -> Interval {
    match value(args, index) {
        Value::Interval(value) => value,
        _ => Interval::ZERO,
    }
}

pub(crate) fn array<'v>(args: &[Value<'v>], index: usize) -> Option<ArrayRef<'v>> {
    match value(args, index) {
        Value::Array(array) => Some(array),
        _ => None,
    }
}
