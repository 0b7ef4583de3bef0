//! Functions and operators of dates, times and intervals.
//!
//! A timestamp is microseconds since 2000-01-01, a timestamp with time zone the same in UTC. What is taken apart or
//! put together in local time goes by the session's zone.

mod arithmetic;
mod fields;
mod make;
mod zone;

pub(crate) use arithmetic::{FUNCTIONS as ARITHMETIC, OPERATORS};
pub(crate) use fields::FUNCTIONS as FIELDS;
pub(crate) use make::FUNCTIONS as MAKE;
pub(crate) use zone::{FUNCTIONS as ZONE, from_local, local_offset_seconds, to_local};

use cofferdam_types::{Date, Excerpt, Interval, Time, Timestamp, Type, Value};

use crate::context::Problem;

/// Microseconds of a day of 24 hours.
pub(crate) const DAY_US: i64 = 86_400_000_000;
pub(crate) const HOUR_US: i64 = 3_600_000_000;
pub(crate) const MINUTE_US: i64 = 60_000_000;
pub(crate) const SECOND_US: i64 = 1_000_000;
/// Microseconds from 1970 to 2000.
pub(crate) const EPOCH_US: i64 = 10_957 * DAY_US;

/// A result outside of its type's range.
#[cold]
pub(crate) fn out_of_range(ty: Type) -> Problem {
    let reason = "the result does not fit";
    Problem::Value(cofferdam_types::Error::DatetimeOverflow { ty, text: Excerpt::new(&[]), reason })
}

pub(crate) fn timestamp_of(micros: Option<i64>) -> Result<Timestamp, Problem> {
    let micros = micros.filter(|micros| *micros != i64::MIN && *micros != i64::MAX);
    Ok(Timestamp::from_micros(micros.ok_or_else(|| out_of_range(Type::Timestamp))?)?)
}

/// Midnight of a day; infinite for infinite days.
pub(crate) fn midnight(date: Date) -> Result<Timestamp, Problem> {
    Ok(Timestamp::from_parts(date, Time::MIDNIGHT)?)
}

/// The interval with all signs turned.
pub(crate) fn negated(span: Interval) -> Result<Interval, Problem> {
    let negated = || {
        let (months, days) = (span.months.checked_neg()?, span.days.checked_neg()?);
        Some(Interval { months, days, micros: span.micros.checked_neg()? })
    };
    negated().ok_or_else(|| out_of_range(Type::Interval))
}

/// A timestamp as the kind of value that an argument is.
pub(crate) fn like<'v>(given: Value<'_>, moment: Timestamp) -> Value<'v> {
    match given {
        Value::TimestampTz(_) => Value::TimestampTz(moment),
        _ => Value::Timestamp(moment),
    }
}
