//! Time zones, and the clock.

use cofferdam_types::{Interval, Timestamp, Type, Value};

use super::{DAY_US, EPOCH_US, SECOND_US, out_of_range, timestamp_of};
use crate::args::{Answer, give, int, interval, text, timestamp, value};
use crate::context::{Context, Problem};
use crate::signature::params::{INT4, INTERVAL, TEXT, TIMESTAMP, TIMESTAMPTZ};
use crate::signature::{Function, function, results};

pub(crate) const FUNCTIONS: &[Function] = &[
    function("clock_timestamp", &[], results::TIMESTAMPTZ, clock, "what time it is").volatile(),
    function("current_date", &[], results::DATE, today, "the day on which the transaction began").stable(),
    function("current_timestamp", &[INT4], results::TIMESTAMPTZ, now, "when the transaction began")
        .optional(1)
        .stable(),
    function("localtime", &[INT4], results::TIME, local_time, "the time of day when the transaction began")
        .optional(1)
        .stable(),
    function(
        "localtimestamp",
        &[INT4],
        results::TIMESTAMP,
        local_now,
        "when the transaction began, in local time",
    )
    .optional(1)
    .stable(),
    function("now", &[], results::TIMESTAMPTZ, now, "when the transaction began").stable(),
    function("statement_timestamp", &[], results::TIMESTAMPTZ, statement, "when the statement began")
        .stable(),
    function(
        "timezone",
        &[TEXT, TIMESTAMP],
        results::TIMESTAMPTZ,
        zone_to_utc,
        "a local time of a zone: `t at time zone z`",
    ),
    function(
        "timezone",
        &[TEXT, TIMESTAMPTZ],
        results::TIMESTAMP,
        utc_to_zone,
        "as a local time of a zone: `t at time zone z`",
    ),
    function(
        "timezone",
        &[INTERVAL, TIMESTAMP],
        results::TIMESTAMPTZ,
        span_to_utc,
        "a local time so far east of UTC",
    ),
    function(
        "timezone",
        &[INTERVAL, TIMESTAMPTZ],
        results::TIMESTAMP,
        utc_to_span,
        "as a local time so far east of UTC",
    ),
    function("transaction_timestamp", &[], results::TIMESTAMPTZ, now, "when the transaction began").stable(),
];

/// A moment as the clocks of the session's zone show it.
pub(crate) fn to_local(moment: Timestamp, cx: &Context<'_>) -> Result<Timestamp, Problem> {
    to_zone(moment, None, cx)
}

/// The moment at which the clocks of the session's zone show this.
pub(crate) fn from_local(local: Timestamp, cx: &Context<'_>) -> Result<Timestamp, Problem> {
    from_zone(local, None, cx)
}

/// As [`to_local`], for a zone by name.
pub(crate) fn to_zone(moment: Timestamp, zone: Option<&str>, cx: &Context<'_>) -> Result<Timestamp, Problem> {
    match zone.and_then(posix_offset) {
        Some(seconds) => Ok(moment.add_micros(seconds * SECOND_US)?),
        None => Ok(cx.session.conversions.to_local(moment, zone)?),
    }
}

/// As [`from_local`], for a zone by name.
pub(crate) fn from_zone(
    local: Timestamp,
    zone: Option<&str>,
    cx: &Context<'_>,
) -> Result<Timestamp, Problem> {
    match zone.and_then(posix_offset) {
        Some(seconds) => Ok(local.add_micros(-seconds * SECOND_US)?),
        None => Ok(cx.session.conversions.to_instant(local, zone)?),
    }
}

/// Seconds east of UTC of a zone as POSIX writes it: a word or none, and a distance that counts to the *west*: `UTC+3`,
/// `-05:30`.
fn posix_offset(name: &str) -> Option<i64> {
    let letters = name.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(name.len());
    let (word, rest) = name.split_at_checked(letters)?;
    let sign = match rest.as_bytes().first()? {
        b'+' => -1,
        b'-' => 1,
        _ => return None,
    };
    if !word.is_empty() && word.len() < 3 {
        return None;
    }
    let (mut seconds, mut unit) = (0, 3600);
    for part in rest.get(1..)?.split(':') {
        if unit == 0 || part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        seconds += part.parse::<i64>().ok().filter(|part| *part <= 167)? * unit;
        unit /= 60;
    }
    Some(sign * seconds)
}

/// Seconds east of UTC of a zone that is a distance alone, which counts to the east where a time is made: `+2`, `-05:30`.
pub(super) fn numeric_zone(name: &str) -> Option<i64> {
    if name.starts_with(['+', '-']) { posix_offset(name).map(|west| -west) } else { None }
}

/// How many seconds the session's zone is east of UTC at a moment.
pub(crate) fn local_offset_seconds(moment: Timestamp, cx: &Context<'_>) -> i32 {
    cx.session.conversions.zones.offset_at(None, moment).unwrap_or(0)
}

fn zone_to_utc<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    give(Value::TimestampTz(from_zone(timestamp(args, 1), Some(text(args, 0)), cx)?))
}

fn utc_to_zone<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    give(Value::Timestamp(to_zone(timestamp(args, 1), Some(text(args, 0)), cx)?))
}

/// A distance from UTC, which has no months and days.
fn distance(span: Interval) -> Result<i64, Problem> {
    if span.months != 0 || span.days != 0 {
        let mut shown = cofferdam_types::TextBuffer::new();
        use core::fmt::Write as _;
        // An interval fits the buffer.
        let _ = write!(shown, "{span}");
        let message = "interval time zone \"%\" must not include months or days";
        return Err(Problem::about("22023", message, shown.as_str()));
    }
    Ok(span.micros / SECOND_US * SECOND_US)
}

fn shifted(moment: Timestamp, by: i64) -> Result<Timestamp, Problem> {
    if moment.is_infinite() { Ok(moment) } else { timestamp_of(moment.micros().checked_add(by)) }
}

fn span_to_utc<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give(Value::TimestampTz(shifted(timestamp(args, 1), -distance(interval(args, 0))?)?))
}

fn utc_to_span<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give(Value::Timestamp(shifted(timestamp(args, 1), distance(interval(args, 0))?)?))
}

/// A time of the clock, counted from 1970.
fn from_unix(micros: i64) -> Result<Timestamp, Problem> {
    timestamp_of(micros.checked_sub(EPOCH_US))
}

/// Microseconds rounded to the digits of seconds that the first argument says, where there is one.
fn rounded(args: &[Value<'_>], micros: i64) -> Result<i64, Problem> {
    if value(args, 0).is_null() {
        return Ok(micros);
    }
    let digits = int(args, 0);
    if !(0..=6).contains(&digits) {
        let message = "digits of seconds must be between 0 and 6, not #";
        return Err(Problem::count("22023", message, digits));
    }
    let unit = 10i64.pow(6 - digits as u32);
    let half = unit / 2;
    Ok((micros + half).div_euclid(unit) * unit)
}

fn transaction(args: &[Value<'_>], cx: &Context<'_>) -> Result<Timestamp, Problem> {
    let moment = from_unix(cx.clock.transaction_us)?;
    timestamp_of(Some(rounded(args, moment.micros())?))
}

fn now<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    give(Value::TimestampTz(transaction(args, cx)?))
}

fn local_now<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    give(Value::Timestamp(to_local(transaction(args, cx)?, cx)?))
}

fn local_time<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let local = to_local(transaction(&[], cx)?, cx)?;
    let micros = rounded(args, local.micros().rem_euclid(DAY_US))?;
    let time = cofferdam_types::Time::from_micros(micros).map_err(|_| out_of_range(Type::Time))?;
    give(Value::Time(time))
}

fn today<'v>(_: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    give(Value::Date(to_local(transaction(&[], cx)?, cx)?.date()))
}

fn statement<'v>(_: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    give(Value::TimestampTz(from_unix(cx.clock.statement_us)?))
}

fn clock<'v>(_: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    give(Value::TimestampTz(from_unix((cx.clock.now_us)())?))
}
