//! `to_char` and its ways back: values by templates such as `YYYY-MM-DD` and `FM999,990.00`.
//!
//! A template is a list of *pieces*: words with a meaning and text that stands for itself. It is read while it is
//! used, so that nothing is kept of it.

mod moment;
mod number;
mod read;

use cofferdam_types::Value;

use crate::args::{Answer, WRITTEN, decimal, double, give, interval, text, timestamp, value};
use crate::context::{Context, Output, Problem};
use crate::datetime::{from_local, local_offset_seconds, to_local};
use crate::signature::params::{FLOAT4, FLOAT8, INT4, INT8, INTERVAL, NUMERIC, TEXT, TIMESTAMP, TIMESTAMPTZ};
use crate::signature::{Function, function, results};

pub(crate) const FUNCTIONS: &[Function] = &[
    function(
        "to_char",
        &[INTERVAL, TEXT],
        results::TEXT,
        span,
        "an interval by a template, such as `HH24:MI:SS`",
    ),
    function(
        "to_char",
        &[TIMESTAMP, TEXT],
        results::TEXT,
        moment_to_char,
        "a timestamp by a template, such as `YYYY-MM-DD HH24:MI`",
    ),
    function(
        "to_char",
        &[TIMESTAMPTZ, TEXT],
        results::TEXT,
        instant,
        "a timestamp in local time by a template",
    )
    .stable(),
    function("to_char", &[INT4, TEXT], results::TEXT, exact, "a number by a template, such as `999,990`"),
    function("to_char", &[INT8, TEXT], results::TEXT, exact, "a number by a template, such as `999,990`"),
    function(
        "to_char",
        &[NUMERIC, TEXT],
        results::TEXT,
        exact,
        "a number by a template, such as `FM999,990.00`",
    ),
    function("to_char", &[FLOAT4, TEXT], results::TEXT, real, "a number by a template"),
    function("to_char", &[FLOAT8, TEXT], results::TEXT, real, "a number by a template"),
    function("to_date", &[TEXT, TEXT], results::DATE, to_date, "a date from a text, by a template").stable(),
    function("to_number", &[TEXT, TEXT], results::NUMERIC, to_number, "a number from a text, by a template"),
    function(
        "to_timestamp",
        &[TEXT, TEXT],
        results::TIMESTAMPTZ,
        to_timestamp,
        "a timestamp in local time from a text, by a template",
    )
    .stable(),
];

fn moment_to_char<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let (moment, template) = (timestamp(args, 0), text(args, 1));
    if moment.is_infinite() || template.is_empty() {
        return Ok(Output::NULL);
    }
    moment::write(&moment::Parts::of_moment(moment, None), template, cx.sink)?;
    WRITTEN
}

fn instant<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let (moment, template) = (timestamp(args, 0), text(args, 1));
    if moment.is_infinite() || template.is_empty() {
        return Ok(Output::NULL);
    }
    let offset = local_offset_seconds(moment, cx);
    let local = to_local(moment, cx)?;
    moment::write(&moment::Parts::of_moment(local, Some(offset)), template, cx.sink)?;
    WRITTEN
}

fn span<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let template = text(args, 1);
    if template.is_empty() {
        return Ok(Output::NULL);
    }
    moment::write(&moment::Parts::of_span(interval(args, 0)), template, cx.sink)?;
    WRITTEN
}

fn exact<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let is_int = matches!(value(args, 0), Value::Integer(_));
    number::write_exact(decimal(args, 0), is_int, text(args, 1), cx.sink)?;
    WRITTEN
}

fn real<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let digits = if matches!(value(args, 0), Value::Real(_)) { 6 } else { number::DOUBLE_DIGITS };
    number::write_real(double(args, 0), digits, text(args, 1), cx.sink)?;
    WRITTEN
}

fn to_number<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    match number::read(text(args, 0), text(args, 1))? {
        Some(number) => give(Value::Decimal(number)),
        None => Ok(Output::NULL),
    }
}

fn to_date<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let read = read::read(text(args, 0), text(args, 1))?;
    give(Value::Date(read.date()?))
}

fn to_timestamp<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let read = read::read(text(args, 0), text(args, 1))?;
    let local = read.moment()?;
    let moment = match read.offset_seconds() {
        Some(seconds) => local.add_micros(-seconds * 1_000_000).map_err(Problem::Value)?,
        None => from_local(local, cx)?,
    };
    give(Value::TimestampTz(moment))
}
