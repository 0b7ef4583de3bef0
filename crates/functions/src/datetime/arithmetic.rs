//! Sums and differences, ages, and intervals brought into shape.

use cofferdam_types::{Interval, Time, Timestamp, Value, datetime as calendar};

use super::{from_local, midnight, negated, to_local};
use crate::args::{Answer, date, double, give, give_bool, int, interval, time, timestamp, value};
use crate::context::{Context, Output, Problem};
use crate::signature::params::{DATE, FLOAT8, INT4, INTERVAL, TIME, TIMESTAMP, TIMESTAMPTZ};
use crate::signature::{Function, function, results};

pub(crate) const FUNCTIONS: &[Function] = &[
    function(
        "age",
        &[TIMESTAMP],
        results::INTERVAL,
        age_today,
        "from then to the start of today, in years, months, days",
    )
    .stable(),
    function(
        "age",
        &[TIMESTAMPTZ],
        results::INTERVAL,
        age_today,
        "from then to the start of today, in years, months, days",
    )
    .stable(),
    function(
        "age",
        &[TIMESTAMP, TIMESTAMP],
        results::INTERVAL,
        age,
        "from the second to the first, in years, months, days",
    ),
    function(
        "age",
        &[TIMESTAMPTZ, TIMESTAMPTZ],
        results::INTERVAL,
        age,
        "from the second to the first, in years, months, days",
    )
    .stable(),
    function("date", &[TIMESTAMP], results::DATE, date_of, "the day"),
    function("date", &[TIMESTAMPTZ], results::DATE, date_of, "the day, in local time").stable(),
    function("isfinite", &[DATE], results::BOOL, is_finite, "whether it is not infinite"),
    function("isfinite", &[TIMESTAMP], results::BOOL, is_finite, "whether it is not infinite"),
    function("isfinite", &[TIMESTAMPTZ], results::BOOL, is_finite, "whether it is not infinite"),
    function("isfinite", &[INTERVAL], results::BOOL, is_finite, "always true: intervals are finite"),
    function(
        "justify_days",
        &[INTERVAL],
        results::INTERVAL,
        justify_days,
        "with months in place of 30 days each",
    ),
    function(
        "justify_hours",
        &[INTERVAL],
        results::INTERVAL,
        justify_hours,
        "with days in place of 24 hours each",
    ),
    function(
        "justify_interval",
        &[INTERVAL],
        results::INTERVAL,
        justify_both,
        "both, and all parts of one sign",
    ),
    function(
        "overlaps",
        &[TIMESTAMP, TIMESTAMP, TIMESTAMP, TIMESTAMP],
        results::BOOL,
        overlaps,
        "whether two spans share a moment: `(a, b) overlaps (c, d)`",
    )
    .lenient(),
    function(
        "overlaps",
        &[TIMESTAMP, INTERVAL, TIMESTAMP, INTERVAL],
        results::BOOL,
        overlaps,
        "whether two spans share a moment",
    )
    .lenient(),
    function(
        "overlaps",
        &[TIMESTAMP, TIMESTAMP, TIMESTAMP, INTERVAL],
        results::BOOL,
        overlaps,
        "whether two spans share a moment",
    )
    .lenient(),
    function(
        "overlaps",
        &[TIMESTAMP, INTERVAL, TIMESTAMP, TIMESTAMP],
        results::BOOL,
        overlaps,
        "whether two spans share a moment",
    )
    .lenient(),
    function(
        "overlaps",
        &[TIMESTAMPTZ, TIMESTAMPTZ, TIMESTAMPTZ, TIMESTAMPTZ],
        results::BOOL,
        overlaps,
        "whether two spans share a moment",
    )
    .lenient(),
    function(
        "overlaps",
        &[TIMESTAMPTZ, INTERVAL, TIMESTAMPTZ, INTERVAL],
        results::BOOL,
        overlaps,
        "whether two spans share a moment",
    )
    .lenient()
    .stable(),
    function(
        "overlaps",
        &[TIMESTAMPTZ, TIMESTAMPTZ, TIMESTAMPTZ, INTERVAL],
        results::BOOL,
        overlaps,
        "whether two spans share a moment",
    )
    .lenient()
    .stable(),
    function(
        "overlaps",
        &[TIMESTAMPTZ, INTERVAL, TIMESTAMPTZ, TIMESTAMPTZ],
        results::BOOL,
        overlaps,
        "whether two spans share a moment",
    )
    .lenient()
    .stable(),
    function(
        "overlaps",
        &[TIME, TIME, TIME, TIME],
        results::BOOL,
        overlaps,
        "whether two spans share a moment",
    )
    .lenient(),
    function(
        "overlaps",
        &[TIME, INTERVAL, TIME, INTERVAL],
        results::BOOL,
        overlaps,
        "whether two spans share a moment",
    )
    .lenient(),
    function(
        "overlaps",
        &[TIME, TIME, TIME, INTERVAL],
        results::BOOL,
        overlaps,
        "whether two spans share a moment",
    )
    .lenient(),
    function(
        "overlaps",
        &[TIME, INTERVAL, TIME, TIME],
        results::BOOL,
        overlaps,
        "whether two spans share a moment",
    )
    .lenient(),
];

pub(crate) const OPERATORS: &[Function] = &[
    function("+", &[DATE, INT4], results::DATE, date_plus_days, "so many days later"),
    function("+", &[INT4, DATE], results::DATE, days_plus_date, "so many days later"),
    function("-", &[DATE, INT4], results::DATE, date_minus_days, "so many days before"),
    function("-", &[DATE, DATE], results::INT4, date_minus_date, "days from the second to the first"),
    function("+", &[DATE, INTERVAL], results::TIMESTAMP, plus_span, "an interval later"),
    function("+", &[INTERVAL, DATE], results::TIMESTAMP, span_plus, "an interval later"),
    function("-", &[DATE, INTERVAL], results::TIMESTAMP, minus_span, "an interval before"),
    function("+", &[DATE, TIME], results::TIMESTAMP, date_plus_time, "that time of the day"),
    function("+", &[TIME, DATE], results::TIMESTAMP, time_plus_date, "that time of the day"),
    function("+", &[TIMESTAMP, INTERVAL], results::TIMESTAMP, plus_span, "an interval later"),
    function("+", &[INTERVAL, TIMESTAMP], results::TIMESTAMP, span_plus, "an interval later"),
    function("-", &[TIMESTAMP, INTERVAL], results::TIMESTAMP, minus_span, "an interval before"),
    function(
        "-",
        &[TIMESTAMP, TIMESTAMP],
        results::INTERVAL,
        difference,
        "days and time from the second to the first",
    ),
    function("+", &[TIMESTAMPTZ, INTERVAL], results::TIMESTAMPTZ, plus_span, "an interval later").stable(),
    function("+", &[INTERVAL, TIMESTAMPTZ], results::TIMESTAMPTZ, span_plus, "an interval later").stable(),
    function("-", &[TIMESTAMPTZ, INTERVAL], results::TIMESTAMPTZ, minus_span, "an interval before").stable(),
    function(
        "-",
        &[TIMESTAMPTZ, TIMESTAMPTZ],
        results::INTERVAL,
        difference,
        "days and time from the second to the first",
    ),
    function("+", &[TIME, INTERVAL], results::TIME, time_plus_span, "an interval later, around midnight"),
    function("+", &[INTERVAL, TIME], results::TIME, span_plus_time, "an interval later, around midnight"),
    function("-", &[TIME, INTERVAL], results::TIME, time_minus_span, "an interval before, around midnight"),
    function("-", &[TIME, TIME], results::INTERVAL, time_minus_time, "time from the second to the first"),
    function("+", &[INTERVAL, INTERVAL], results::INTERVAL, sum, "sum, part by part"),
    function("-", &[INTERVAL, INTERVAL], results::INTERVAL, span_minus_span, "difference, part by part"),
    function("-", &[INTERVAL], results::INTERVAL, negate, "with all signs turned"),
    function("*", &[INTERVAL, FLOAT8], results::INTERVAL, times, "so many times as long"),
    function("*", &[FLOAT8, INTERVAL], results::INTERVAL, times_span, "so many times as long"),
    function("/", &[INTERVAL, FLOAT8], results::INTERVAL, divided, "divided"),
];

fn give_span(span: Interval) -> Answer<'static> {
    give(Value::Interval(span))
}

fn days_of(args: &[Value<'_>], index: usize) -> i32 {
    int(args, index) as i32
}

fn date_plus_days<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give(Value::Date(date(args, 0).add_days(days_of(args, 1))?))
}

fn days_plus_date<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give(Value::Date(date(args, 1).add_days(days_of(args, 0))?))
}

fn date_minus_days<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give(Value::Date(date(args, 0).sub_days(days_of(args, 1))?))
}

fn date_minus_date<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let (left, right) = (date(args, 0), date(args, 1));
    if left.is_infinite() || right.is_infinite() {
        return Err(Problem::new("22008", "cannot subtract infinite dates"));
    }
    give(Value::Integer(left.days_since(right)?))
}

fn date_plus_time<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give(Value::Timestamp(Timestamp::from_parts(date(args, 0), time(args, 1))?))
}

fn time_plus_date<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give(Value::Timestamp(Timestamp::from_parts(date(args, 1), time(args, 0))?))
}

/// A date or timestamp and an interval. With time zone, months and days are those of the session's zone.
fn moved(given: Value<'_>, span: Interval, cx: &Context<'_>) -> Answer<'static> {
    let moment = match given {
        Value::Date(date) => midnight(date)?,
        Value::Timestamp(moment) => moment,
        Value::TimestampTz(moment) => {
            let days = Interval { micros: 0, ..span };
            let start = match (span.months, span.days) {
                (0, 0) => moment,
                _ => from_local(calendar::add_interval(to_local(moment, cx)?, days)?, cx)?,
            };
            let rest = Interval { months: 0, days: 0, ..span };
            return give(Value::TimestampTz(calendar::add_interval(start, rest)?));
        }
        _ => return Ok(Output::NULL),
    };
    give(Value::Timestamp(calendar::add_interval(moment, span)?))
}

fn plus_span<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    moved(value(args, 0), interval(args, 1), cx)
}

fn span_plus<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    moved(value(args, 1), interval(args, 0), cx)
}

fn minus_span<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    moved(value(args, 0), negated(interval(args, 1))?, cx)
}

fn difference<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_span(calendar::difference(timestamp(args, 0), timestamp(args, 1))?)
}

fn give_time(time: Time) -> Answer<'static> {
    give(Value::Time(time))
}

fn time_plus_span<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_time(calendar::add_to_time(time(args, 0), interval(args, 1)))
}

fn span_plus_time<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_time(calendar::add_to_time(time(args, 1), interval(args, 0)))
}

fn time_minus_span<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_time(calendar::sub_from_time(time(args, 0), interval(args, 1)))
}

fn time_minus_time<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_span(Interval { months: 0, days: 0, micros: time(args, 0).micros() - time(args, 1).micros() })
}

fn sum<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_span(interval(args, 0).checked_add(interval(args, 1))?)
}

fn span_minus_span<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_span(interval(args, 0).checked_sub(interval(args, 1))?)
}

fn negate<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_span(negated(interval(args, 0))?)
}

fn times<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_span(calendar::multiply(interval(args, 0), double(args, 1))?)
}

fn times_span<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_span(calendar::multiply(interval(args, 1), double(args, 0))?)
}

fn divided<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_span(calendar::divide(interval(args, 0), double(args, 1))?)
}

fn date_of<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let local = match value(args, 0) {
        Value::TimestampTz(moment) => to_local(moment, cx)?,
        _ => timestamp(args, 0),
    };
    give(Value::Date(local.date()))
}

fn is_finite<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_bool(match value(args, 0) {
        Value::Date(date) => !date.is_infinite(),
        Value::Timestamp(moment) | Value::TimestampTz(moment) => !moment.is_infinite(),
        _ => true,
    })
}

fn justify_hours<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_span(calendar::justify_hours(interval(args, 0))?)
}

fn justify_days<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_span(calendar::justify_days(interval(args, 0))?)
}

fn justify_both<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_span(calendar::justify_interval(interval(args, 0))?)
}

/// Local moments of the arguments.
fn local(given: Value<'_>, cx: &Context<'_>) -> Result<Timestamp, Problem> {
    match given {
        Value::TimestampTz(moment) => to_local(moment, cx),
        Value::Timestamp(moment) => Ok(moment),
        _ => Ok(Timestamp::UNIX_EPOCH),
    }
}

fn age<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let (left, right) = (local(value(args, 0), cx)?, local(value(args, 1), cx)?);
    give_span(calendar::age(left, right)?)
}

fn age_today<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let then = local(value(args, 0), cx)?;
    let today = midnight(to_local(cx.session.conversions.now, cx)?.date())?;
    give_span(calendar::age(today, then)?)
}

/// One end of a span: a moment or time as a number; the end may be an interval behind the start.
fn end_of(start: Value<'_>, end: Value<'_>, cx: &Context<'_>) -> Result<Option<i64>, Problem> {
    let moved = match (start, end) {
        (Value::Null, Value::Interval(_)) => return Ok(None),
        (Value::Time(time), Value::Interval(span)) => give_time(calendar::add_to_time(time, span))?,
        (start, Value::Interval(span)) => moved(start, span, cx)?,
        (_, end) => Output::Value(end),
    };
    Ok(match moved {
        Output::Value(Value::Time(time)) => Some(time.micros()),
        Output::Value(Value::Timestamp(moment) | Value::TimestampTz(moment)) => Some(moment.micros()),
        _ => None,
    })
}

/// Whether two spans share a moment, in SQL's three values; ends come in any order and the later one is outside.
fn overlaps<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let mut ends = [None; 4];
    for pair in [0, 2] {
        ends[pair] = end_of(Value::Null, value(args, pair), cx)?;
        ends[pair + 1] = end_of(value(args, pair), value(args, pair + 1), cx)?;
    }
    let [a, b, c, d] = ends;
    // The known end of a pair stands first, the earlier one where both are known.
    let ordered = |from: Option<i64>, to: Option<i64>| match (from, to) {
        (None, None) => None,
        (None, Some(known)) | (Some(known), None) => Some((known, None)),
        (Some(from), Some(to)) => Some((from.min(to), Some(from.max(to)))),
    };
    let (Some((a, b)), Some((c, d))) = (ordered(a, b), ordered(c, d)) else { return Ok(Output::NULL) };
    let answer = match a.cmp(&c) {
        core::cmp::Ordering::Greater => past(c, d, a, b),
        core::cmp::Ordering::Less => past(a, b, c, d),
        core::cmp::Ordering::Equal => match (b, d) {
            (Some(_), Some(_)) => Some(true),
            _ => None,
        },
    };
    give(answer.map_or(Value::Null, Value::Boolean))
}

/// Whether the span that starts first reaches over the start of the other.
fn past(_: i64, end: Option<i64>, start: i64, other_end: Option<i64>) -> Option<bool> {
    match end {
        None => None,
        Some(end) if start < end => Some(true),
        Some(_) if other_end.is_none() => None,
        Some(_) => Some(false),
    }
}
