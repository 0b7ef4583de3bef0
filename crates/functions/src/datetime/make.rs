//! Dates, times and intervals put together from numbers.

use cofferdam_types::{Timestamp, Value, datetime as calendar};

use super::zone::{from_zone, numeric_zone};
use super::{DAY_US, EPOCH_US, SECOND_US, timestamp_of};
use crate::args::{Answer, double, give, int, text};
use crate::context::{Context, Problem};
use crate::signature::params::{FLOAT8, INT4, TEXT};
use crate::signature::{Function, function, results};

pub(crate) const FUNCTIONS: &[Function] = &[
    function(
        "make_date",
        &[INT4, INT4, INT4],
        results::DATE,
        make_date,
        "a date from year (negative: BC), month, day",
    ),
    function(
        "make_interval",
        &[INT4, INT4, INT4, INT4, INT4, INT4, FLOAT8],
        results::INTERVAL,
        make_interval,
        "an interval from years, months, weeks, days, hours, minutes, seconds",
    )
    .optional(7),
    function(
        "make_time",
        &[INT4, INT4, FLOAT8],
        results::TIME,
        make_time,
        "a time from hour, minute, seconds",
    ),
    function(
        "make_timestamp",
        &[INT4, INT4, INT4, INT4, INT4, FLOAT8],
        results::TIMESTAMP,
        make_timestamp,
        "a timestamp from year, month, day, hour, minute, seconds",
    ),
    function(
        "make_timestamptz",
        &[INT4, INT4, INT4, INT4, INT4, FLOAT8],
        results::TIMESTAMPTZ,
        make_timestamptz,
        "the same in local time",
    )
    .stable(),
    function(
        "make_timestamptz",
        &[INT4, INT4, INT4, INT4, INT4, FLOAT8, TEXT],
        results::TIMESTAMPTZ,
        make_timestamptz,
        "the same in the time of a zone",
    )
    .stable(),
    function("to_timestamp", &[FLOAT8], results::TIMESTAMPTZ, from_unix, "a moment from seconds since 1970"),
];

/// An integer argument, 0 where it is missing.
fn part(args: &[Value<'_>], index: usize) -> i32 {
    int(args, index) as i32
}

fn make_date<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give(Value::Date(calendar::make_date(part(args, 0), part(args, 1), part(args, 2))?))
}

fn make_time<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give(Value::Time(calendar::make_time(part(args, 0), part(args, 1), double(args, 2))?))
}

fn timestamp(args: &[Value<'_>]) -> Result<Timestamp, Problem> {
    let part = |index| part(args, index);
    Ok(calendar::make_timestamp((part(0), part(1), part(2)), (part(3), part(4), double(args, 5)))?)
}

fn make_timestamp<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give(Value::Timestamp(timestamp(args)?))
}

fn make_timestamptz<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let zone = (args.len() > 6).then(|| text(args, 6));
    let local = timestamp(args)?;
    give(Value::TimestampTz(match zone.and_then(numeric_zone) {
        Some(seconds) if seconds.abs() >= 16 * 3600 => {
            return Err(Problem::about("22023", "numeric time zone \"%\" out of range", text(args, 6)));
        }
        Some(seconds) => local.add_micros(-seconds * SECOND_US)?,
        None => from_zone(local, zone, cx)?,
    }))
}

fn make_interval<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let parts = core::array::from_fn(|index| part(args, index));
    give(Value::Interval(calendar::make_interval(parts, double(args, 6))?))
}

fn from_unix<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let seconds = double(args, 0);
    if seconds.is_nan() {
        return Err(Problem::new("22008", "timestamp cannot be NaN"));
    }
    if seconds.is_infinite() {
        let end = if seconds > 0.0 { Timestamp::INFINITY } else { Timestamp::NEG_INFINITY };
        return give(Value::TimestampTz(end));
    }
    let since_2000 = seconds - (EPOCH_US / SECOND_US) as f64;
    let micros = (since_2000 * 1e6).round_ties_even();
    let limit = (1_000_000 * DAY_US / 10) as f64 * 1e3;
    let micros = (micros.abs() < limit).then_some(micros as i64);
    give(Value::TimestampTz(timestamp_of(micros)?))
}
