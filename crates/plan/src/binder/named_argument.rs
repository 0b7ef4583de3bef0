//! Arguments with names: `make_interval(days => 3)`.

use cofferdam_sql::views::{Call, Expr as ExprView};
use cofferdam_types::{Type, Value};

use super::build::Builder;
use super::functions::undefined;
use crate::error::Error;
use crate::expr::Expr;

/// Functions whose parameters have names: these, in order, and what stands for one that is left out, if anything can.
const FUNCTIONS: [(&str, &[&str], Option<Value<'static>>); 7] = [
    ("jsonb_insert", &["jsonb_in", "path", "replacement", "insert_after"], None),
    ("jsonb_set", &["jsonb_in", "path", "replacement", "create_if_missing"], None),
    ("make_date", &["year", "month", "day"], None),
    (
        "make_interval",
        &["years", "months", "weeks", "days", "hours", "mins", "secs"],
        Some(Value::Integer(0)),
    ),
    ("make_time", &["hour", "min", "sec"], None),
    ("make_timestamp", &["year", "month", "mday", "hour", "min", "sec"], None),
    ("make_timestamptz", &["year", "month", "mday", "hour", "min", "sec", "timezone"], None),
];

/// The arguments of a call in the order of the function's parameters.
///
/// # Errors
/// 42883 for a function without a parameter of such a name, or where one is missing; 42601 for one that is given twice.
pub(super) fn arranged<'a, 'q: 'a>(
    build: Builder<'a>,
    call: Call<'q>,
    args: &'a [&'a Expr<'a>],
) -> Result<&'a [&'a Expr<'a>], Error<'a>> {
    let is_named = |arg: &ExprView<'q>| matches!(arg, ExprView::NamedArgument(_));
    if !call.args().any(|arg| is_named(&arg)) {
        return Ok(args);
    }
    let wrong = || undefined(build, call.name(), args, call.span());
    let Some((_, parameters, default)) = FUNCTIONS.iter().find(|(name, ..)| *name == call.name()) else {
        return Err(wrong());
    };
    let mut given: [Option<&'a Expr<'a>>; 7] = [None; 7];
    for (index, (view, arg)) in call.args().zip(args).enumerate() {
        let place = match view {
            ExprView::NamedArgument(named) => parameters.iter().position(|name| *name == named.name()),
            _ => Some(index),
        };
        let Some(slot) = place.and_then(|place| given.get_mut(place)) else { return Err(wrong()) };
        if slot.replace(arg).is_some() {
            let message = "an argument is given more than once";
            return Err(Error::Source { sqlstate: "42601", message, span: view.span() });
        }
    }
    let count = given.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    let arranged = build.arena.alloc_slice_copy(args)?;
    let arranged = match count <= arranged.len() {
        true => arranged,
        false => build.arena.alloc_slice_fill(count, args[0])?,
    };
    for (slot, value) in arranged.iter_mut().zip(given) {
        *slot = match (value, default) {
            (Some(value), _) => value,
            (None, Some(default)) => build.literal(*default, Type::Integer, call.span())?,
            (None, None) => return Err(wrong()),
        };
    }
    Ok(&arranged[..count])
}
