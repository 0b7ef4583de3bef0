//! Fields of dates, times and intervals: `extract`, `date_part`, `date_trunc`, `date_bin`.

use cofferdam_types::datetime::{self as calendar, Field};
use cofferdam_types::{Timestamp, Type, Value};

use super::zone::{from_zone, local_offset_seconds, to_zone};
use super::{from_local, like, midnight, to_local};
use crate::args::{Answer, give, interval, text, timestamp, value};
use crate::context::{Context, Output, Problem};
use crate::signature::params::{DATE, INTERVAL, TEXT, TIME, TIMESTAMP, TIMESTAMPTZ};
use crate::signature::{Function, function, results};

pub(crate) const FUNCTIONS: &[Function] = &[
    function(
        "date_bin",
        &[INTERVAL, TIMESTAMP, TIMESTAMP],
        results::TIMESTAMP,
        bin,
        "the start of the interval, counted from an origin, that it lies in",
    ),
    function(
        "date_bin",
        &[INTERVAL, TIMESTAMPTZ, TIMESTAMPTZ],
        results::TIMESTAMPTZ,
        bin,
        "the start of the interval, counted from an origin, that it lies in",
    ),
    function("date_part", &[TEXT, DATE], results::FLOAT8, part, "a field: `year`, `month`, `dow`, `epoch` …"),
    function("date_part", &[TEXT, TIME], results::FLOAT8, part, "a field: `hour`, `minute`, `second` …"),
    function(
        "date_part",
        &[TEXT, TIMESTAMP],
        results::FLOAT8,
        part,
        "a field: `year`, `hour`, `dow`, `epoch` …",
    ),
    function("date_part", &[TEXT, TIMESTAMPTZ], results::FLOAT8, part, "a field, in local time").stable(),
    function("date_part", &[TEXT, INTERVAL], results::FLOAT8, part, "a field: `year`, `day`, `epoch` …"),
    function("date_trunc", &[TEXT, TIMESTAMP], results::TIMESTAMP, trunc, "cut to a field"),
    function(
        "date_trunc",
        &[TEXT, TIMESTAMPTZ],
        results::TIMESTAMPTZ,
        trunc,
        "cut to a field, in local time",
    )
    .stable(),
    function(
        "date_trunc",
        &[TEXT, TIMESTAMPTZ, TEXT],
        results::TIMESTAMPTZ,
        trunc_in_zone,
        "cut to a field, in the time of a zone",
    ),
    function("date_trunc", &[TEXT, INTERVAL], results::INTERVAL, trunc_span, "cut to a field"),
    function("extract", &[TEXT, DATE], results::NUMERIC, extract, "a field, exact: `extract(year from t)`"),
    function("extract", &[TEXT, TIME], results::NUMERIC, extract, "a field, exact: `extract(hour from t)`"),
    function(
        "extract",
        &[TEXT, TIMESTAMP],
        results::NUMERIC,
        extract,
        "a field, exact: `extract(year from t)`",
    ),
    function("extract", &[TEXT, TIMESTAMPTZ], results::NUMERIC, extract, "a field in local time, exact")
        .stable(),
    function(
        "extract",
        &[TEXT, INTERVAL],
        results::NUMERIC,
        extract,
        "a field, exact: `extract(day from i)`",
    ),
];

/// The field that a text names.
fn field(text: &str, ty: Type) -> Result<Field, Problem> {
    Field::parse(text).ok_or_else(|| with_type("22023", text, ty, Wrong::Unrecognized))
}

enum Wrong {
    Unrecognized,
    Unsupported,
}

/// A refusal that names a unit and a type: types come in few, so their messages are constants.
fn with_type(sqlstate: &'static str, text: &str, ty: Type, wrong: Wrong) -> Problem {
    let message = match (wrong, ty) {
        (Wrong::Unrecognized, Type::Date) => "unit \"%\" not recognized for type date",
        (Wrong::Unrecognized, Type::Time) => "unit \"%\" not recognized for type time without time zone",
        (Wrong::Unrecognized, Type::Interval) => "unit \"%\" not recognized for type interval",
        (Wrong::Unrecognized, Type::TimestampTz) => {
            "unit \"%\" not recognized for type timestamp with time zone"
        }
        (Wrong::Unrecognized, _) => "unit \"%\" not recognized for type timestamp without time zone",
        (Wrong::Unsupported, Type::Date) => "unit \"%\" not supported for type date",
        (Wrong::Unsupported, Type::Time) => "unit \"%\" not supported for type time without time zone",
        (Wrong::Unsupported, Type::Interval) => "unit \"%\" not supported for type interval",
        (Wrong::Unsupported, Type::TimestampTz) => {
            "unit \"%\" not supported for type timestamp with time zone"
        }
        (Wrong::Unsupported, _) => "unit \"%\" not supported for type timestamp without time zone",
    };
    let mut lower = cofferdam_types::TextBuffer::new();
    use core::fmt::Write as _;
    for c in text.chars() {
        // What does not fit is cut, as the excerpt of a refusal is.
        let _ = lower.write_char(c.to_ascii_lowercase());
    }
    Problem::about(sqlstate, message, lower.as_str())
}

fn unsupported(text: &str, ty: Type) -> Problem {
    with_type("0A000", text, ty, Wrong::Unsupported)
}

/// What a field of an infinite moment is.
enum Endless {
    /// It grows and falls again: nothing can be said.
    Unknown,
    /// It grows with time.
    Infinite(f64),
}

/// The end of time that a value is at, where it is at one.
fn infinite(given: Value<'_>) -> Option<f64> {
    let sign = |is_negative| if is_negative { f64::NEG_INFINITY } else { f64::INFINITY };
    match given {
        Value::Date(date) if date.is_infinite() => Some(sign(date.days() < 0)),
        Value::Timestamp(moment) | Value::TimestampTz(moment) if moment.is_infinite() => {
            Some(sign(moment.micros() < 0))
        }
        _ => None,
    }
}

/// A field of an infinite moment, where others of its type have that field.
fn of_endless(field: Field, given: Value<'_>, end: f64) -> Option<Endless> {
    let finite = match given {
        Value::Date(_) => Value::Date(Timestamp::UNIX_EPOCH.date()),
        given => like(given, Timestamp::UNIX_EPOCH),
    };
    if !matches!(calendar::extract(finite, field, 0), Ok(Some(_))) {
        return None;
    }
    Some(match field {
        Field::Year
        | Field::Decade
        | Field::Century
        | Field::Millennium
        | Field::IsoYear
        | Field::Julian
        | Field::Epoch => Endless::Infinite(end),
        _ => Endless::Unknown,
    })
}

fn offset_of(given: Value<'_>, cx: &Context<'_>) -> i32 {
    match given {
        Value::TimestampTz(moment) => local_offset_seconds(moment, cx),
        _ => 0,
    }
}

fn extract<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let (name, given) = (text(args, 0), value(args, 1));
    let field = field(name, given.ty())?;
    if let Some(end) = infinite(given) {
        return match of_endless(field, given, end).ok_or_else(|| unsupported(name, given.ty()))? {
            Endless::Unknown => Ok(Output::NULL),
            Endless::Infinite(_) => Err(Problem::new("22003", "numeric has no infinity: use date_part")),
        };
    }
    let found = calendar::extract(given, field, offset_of(given, cx))?;
    give(found.ok_or_else(|| unsupported(name, given.ty()))?)
}

fn part<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let (name, given) = (text(args, 0), value(args, 1));
    // A date is taken for its midnight here, which has hours.
    let given = match given {
        Value::Date(date) => Value::Timestamp(midnight(date)?),
        given => given,
    };
    let field = field(name, given.ty())?;
    if let Some(end) = infinite(given) {
        return match of_endless(field, given, end).ok_or_else(|| unsupported(name, given.ty()))? {
            Endless::Unknown => Ok(Output::NULL),
            Endless::Infinite(end) => give(Value::Double(end)),
        };
    }
    let found = calendar::date_part(given, field, offset_of(given, cx))?;
    give(found.ok_or_else(|| unsupported(name, given.ty()))?)
}

/// Refuses a field that is no unit: those that count something else are not even recognized.
fn no_unit(field: Field, name: &str, ty: Type) -> Problem {
    let is_unknown = matches!(
        field,
        Field::DayOfWeek
            | Field::IsoDayOfWeek
            | Field::DayOfYear
            | Field::IsoYear
            | Field::Julian
            | Field::Epoch
    );
    match is_unknown {
        true => with_type("22023", name, ty, Wrong::Unrecognized),
        false => unsupported(name, ty),
    }
}

fn trunc<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let (name, given) = (text(args, 0), value(args, 1));
    let moment = timestamp(args, 1);
    if moment.is_infinite() {
        return give(given);
    }
    let field = field(name, given.ty())?;
    let has_zone = matches!(given, Value::TimestampTz(_));
    let local = if has_zone { to_local(moment, cx)? } else { moment };
    let start = calendar::truncate(local, field)?.ok_or_else(|| no_unit(field, name, given.ty()))?;
    give(like(given, if has_zone { from_local(start, cx)? } else { start }))
}

fn trunc_in_zone<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let (name, zone, moment) = (text(args, 0), text(args, 2), timestamp(args, 1));
    if moment.is_infinite() {
        return give(value(args, 1));
    }
    let field = field(name, Type::TimestampTz)?;
    let start = calendar::truncate(to_zone(moment, Some(zone), cx)?, field)?;
    let start = start.ok_or_else(|| no_unit(field, name, Type::TimestampTz))?;
    give(Value::TimestampTz(from_zone(start, Some(zone), cx)?))
}

fn trunc_span<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let name = text(args, 0);
    let field = field(name, Type::Interval)?;
    let cut = calendar::truncate_interval(interval(args, 1), field);
    give(Value::Interval(cut.ok_or_else(|| no_unit(field, name, Type::Interval))?))
}

fn bin<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let (stride, given) = (interval(args, 0), value(args, 1));
    if stride.months != 0 {
        let message = "timestamps cannot be binned into intervals containing months or years";
        return Err(Problem::new("0A000", message));
    }
    give(like(given, calendar::bin(stride, timestamp(args, 1), timestamp(args, 2))?))
}
