//! Functions that give rows: `generate_series` and its like.
//!
//! A call is opened with its arguments and then advanced row by row. What it keeps between rows is a few words, whatever the number
//! of rows: a series is counted on, a text or an array is read on.

use cofferdam_types::array::Elements;
use cofferdam_types::{Decimal, Interval, Timestamp, Type, Value, datetime as calendar};

use crate::args::{self, Answer, WRITTEN, give};
use crate::context::{Context, Output, Problem};
use crate::datetime::{from_local, to_local};
use crate::json::query::{give_part_text, write_unescaped};
use crate::json::scan::{self as json, Member, Members};
use crate::pattern::{Matches, after, next_part};
use crate::regex::{Flags, Span, Subject};
use crate::resolve::{self, NotResolved};
use crate::signature::params::*;
use crate::signature::{Param, Returns, Signature, results, signature};
use crate::text::Parts;

/// The most columns that a function in FROM gives.
pub const COLUMNS_MAX: usize = 2;

/// Names an entry of the table of functions that give rows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TableFunctionId(u16);

/// An entry of the table of functions that give rows.
#[derive(Clone, Copy, Debug)]
pub struct TableFunction {
    signature: Signature,
    columns: &'static [(&'static str, Returns)],
    kind: Kind,
    is_strict: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Integers,
    Decimals,
    Moments,
    Subscripts,
    Unnest,
    Split,
    Matches,
    SplitByPattern,
    Json(Part),
}

/// What is given of a JSON value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Elements,
    ElementsText,
    Members,
    MembersText,
    Keys,
}

impl TableFunction {
    /// Name, parameters, and the type of the first column.
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The names of the columns; of a single one, PostgreSQL takes the alias of the call where there is one.
    pub fn column_names(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().map(|(name, _)| *name)
    }
}

impl TableFunctionId {
    /// The entry.
    pub fn function(self) -> &'static TableFunction {
        TABLE_FUNCTIONS.get(usize::from(self.0)).expect("ids are made from the table only")
    }
}

/// What a call in FROM means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResolvedTable {
    /// The entry.
    pub id: TableFunctionId,
    /// How many columns the rows have.
    pub columns_count: usize,
    columns: [Type; COLUMNS_MAX],
    bound: resolve::Bound,
}

impl ResolvedTable {
    /// The types of the columns.
    pub fn columns(&self) -> &[Type] {
        self.columns.get(..self.columns_count).unwrap_or(&[])
    }

    /// The type that the argument of this index and type is to be cast to; the same where it needs no cast.
    pub fn argument(&self, index: usize, given: Type) -> Type {
        self.bound.argument(self.id.function().signature(), index, given)
    }
}

/// All functions that give rows.
pub fn table_functions() -> impl Iterator<Item = &'static TableFunction> {
    TABLE_FUNCTIONS.iter()
}

/// Finds the function that a call in FROM means.
///
/// # Errors
/// As [`crate::resolve()`].
pub fn resolve_table_function(name: &str, args: &[Type]) -> Result<ResolvedTable, NotResolved> {
    let numbered = TABLE_FUNCTIONS.iter().enumerate().filter(|(_, entry)| entry.signature.name == name);
    let numbered = numbered.map(|(number, entry)| (number as u16, &entry.signature));
    let get = |number: u16| &TABLE_FUNCTIONS[usize::from(number)].signature;
    let (number, bound) = resolve::select(numbered, get, args, false)?;
    let entry = &TABLE_FUNCTIONS[usize::from(number)];
    let mut columns = [Type::Unknown; COLUMNS_MAX];
    for (ty, (_, returns)) in columns.iter_mut().zip(entry.columns) {
        *ty = bound.result(&Signature { result: *returns, ..entry.signature }, args);
    }
    let columns_count = entry.columns.len();
    Ok(ResolvedTable { id: TableFunctionId(number), columns_count, columns, bound })
}

const fn entry(
    name: &'static str,
    params: &'static [Param],
    columns: &'static [(&'static str, Returns)],
    kind: Kind,
    about: &'static str,
) -> TableFunction {
    let signature = signature(name, params, columns[0].1, about);
    TableFunction { signature, columns, kind, is_strict: true }
}

impl TableFunction {
    const fn lenient(self) -> TableFunction {
        TableFunction { is_strict: false, ..self }
    }

    const fn optional(self, count: u8) -> TableFunction {
        TableFunction { signature: self.signature.optional(count), ..self }
    }
}

const SERIES: &str = "numbers from the first to the second, in steps of the third (default: 1)";

static TABLE_FUNCTIONS: [TableFunction; 20] = [
    entry(
        "generate_series",
        &[INT4, INT4, INT4],
        &[("generate_series", results::INT4)],
        Kind::Integers,
        SERIES,
    )
    .optional(1),
    entry(
        "generate_series",
        &[INT8, INT8, INT8],
        &[("generate_series", results::INT8)],
        Kind::Integers,
        SERIES,
    )
    .optional(1),
    entry(
        "generate_series",
        &[NUMERIC, NUMERIC, NUMERIC],
        &[("generate_series", results::NUMERIC)],
        Kind::Decimals,
        SERIES,
    )
    .optional(1),
    entry(
        "generate_series",
        &[TIMESTAMP, TIMESTAMP, INTERVAL],
        &[("generate_series", results::TIMESTAMP)],
        Kind::Moments,
        "moments from the first to the second, in steps of the third",
    ),
    entry(
        "generate_series",
        &[TIMESTAMPTZ, TIMESTAMPTZ, INTERVAL],
        &[("generate_series", results::TIMESTAMPTZ)],
        Kind::Moments,
        "moments from the first to the second, in steps of the third",
    ),
    entry(
        "generate_subscripts",
        &[ANYARRAY, INT4, BOOL],
        &[("generate_subscripts", results::INT4)],
        Kind::Subscripts,
        "the subscripts of a dimension, backwards if the third is true",
    )
    .optional(1),
    entry(
        "json_array_elements",
        &[JSON],
        &[("value", results::JSON)],
        Kind::Json(Part::Elements),
        "the elements",
    ),
    entry(
        "json_array_elements_text",
        &[JSON],
        &[("value", results::TEXT)],
        Kind::Json(Part::ElementsText),
        "the elements, as texts",
    ),
    entry(
        "json_each",
        &[JSON],
        &[("key", results::TEXT), ("value", results::JSON)],
        Kind::Json(Part::Members),
        "keys and values",
    ),
    entry(
        "json_each_text",
        &[JSON],
        &[("key", results::TEXT), ("value", results::TEXT)],
        Kind::Json(Part::MembersText),
        "keys and values, as texts",
    ),
    entry(
        "json_object_keys",
        &[JSON],
        &[("json_object_keys", results::TEXT)],
        Kind::Json(Part::Keys),
        "the keys",
    ),
    entry(
        "jsonb_array_elements",
        &[JSONB],
        &[("value", results::JSONB)],
        Kind::Json(Part::Elements),
        "the elements",
    ),
    entry(
        "jsonb_array_elements_text",
        &[JSONB],
        &[("value", results::TEXT)],
        Kind::Json(Part::ElementsText),
        "the elements, as texts",
    ),
    entry(
        "jsonb_each",
        &[JSONB],
        &[("key", results::TEXT), ("value", results::JSONB)],
        Kind::Json(Part::Members),
        "keys and values",
    ),
    entry(
        "jsonb_each_text",
        &[JSONB],
        &[("key", results::TEXT), ("value", results::TEXT)],
        Kind::Json(Part::MembersText),
        "keys and values, as texts",
    ),
    entry(
        "jsonb_object_keys",
        &[JSONB],
        &[("jsonb_object_keys", results::TEXT)],
        Kind::Json(Part::Keys),
        "the keys",
    ),
    entry(
        "regexp_matches",
        &[TEXT, TEXT, TEXT],
        &[("regexp_matches", results::TEXTS)],
        Kind::Matches,
        "what the brackets of the first match have matched, or of all with the flag `g`",
    )
    .optional(1),
    entry(
        "regexp_split_to_table",
        &[TEXT, TEXT, TEXT],
        &[("regexp_split_to_table", results::TEXT)],
        Kind::SplitByPattern,
        "what is between the matches",
    )
    .optional(1),
    entry(
        "string_to_table",
        &[TEXT, TEXT, TEXT],
        &[("string_to_table", results::TEXT)],
        Kind::Split,
        "the parts between separators; parts equal to the third argument are NULL",
    )
    .optional(1)
    .lenient(),
    entry("unnest", &[ANYARRAY], &[("unnest", results::ANYELEMENT)], Kind::Unnest, "the elements"),
];

/// A call that is giving rows. Arguments that are bytes stay where they are as long as it lives, and the context is that of
/// the same place of the statement.
#[derive(Debug)]
pub struct Rows<'v> {
    state: State<'v>,
    row: Row<'v>,
}

/// What the present row is made of.
#[derive(Clone, Copy, Debug)]
enum Row<'v> {
    Value(Value<'v>),
    /// A match of a pattern.
    Match(Span),
    /// A member or an element.
    Member(Member<'v>, Part),
}

#[derive(Debug)]
enum State<'v> {
    Done,
    Integers { next: i128, stop: i128, step: i128, is_small: bool },
    Decimals { next: Decimal, stop: Decimal, step: Decimal },
    Moments { next: Timestamp, stop: Timestamp, step: Interval, has_zone: bool },
    Elements(Elements<'v>),
    Parts { parts: Parts<'v>, null: Option<&'v str> },
    Matches { search: Search<'v>, from: Option<usize> },
    Pieces { search: Search<'v>, rest: Option<(usize, usize)> },
    Members { members: Members<'v>, part: Part, is_binary: bool },
}

/// A text and a pattern.
#[derive(Clone, Copy, Debug)]
struct Search<'v> {
    text: &'v str,
    pattern: &'v str,
    flags: Flags,
}

impl<'v> Search<'v> {
    fn new(args: &[Value<'v>]) -> Result<Search<'v>, Problem> {
        let flags = Flags::parse(args::text(args, 2))?;
        Ok(Search { text: args::text(args, 0), pattern: args::text(args, 1), flags })
    }
}

/// Opens a call. Arguments have the types that [`ResolvedTable::argument`] says; a NULL gives no rows where the
/// function is strict.
///
/// # Errors
/// [`Problem`]: the arguments are refused.
pub fn open<'v>(id: TableFunctionId, args: &[Value<'v>], _: &mut Context<'_>) -> Result<Rows<'v>, Problem> {
    let function = id.function();
    let is_null = function.is_strict && args.iter().any(Value::is_null);
    let state = if is_null { State::Done } else { function.kind.open(args, function)? };
    Ok(Rows { state, row: Row::Value(Value::Null) })
}

fn zero_step() -> Problem {
    Problem::new("22023", "step size cannot equal zero")
}

impl Kind {
    fn open<'v>(self, args: &[Value<'v>], function: &TableFunction) -> Result<State<'v>, Problem> {
        let has_step = args.len() > 2;
        match self {
            Kind::Integers => {
                let step = if has_step { args::int(args, 2).into() } else { 1 };
                if step == 0 {
                    return Err(zero_step());
                }
                let is_small = matches!(args::value(args, 0), Value::Integer(_));
                let (next, stop) = (args::int(args, 0).into(), args::int(args, 1).into());
                Ok(State::Integers { next, stop, step, is_small })
            }
            Kind::Decimals => {
                let step = if has_step { args::decimal(args, 2) } else { Decimal::from(1i32) };
                if step.unscaled() == 0 {
                    return Err(zero_step());
                }
                let (next, stop) = (args::decimal(args, 0), args::decimal(args, 1));
                Ok(State::Decimals { next, stop, step })
            }
            Kind::Moments => {
                let step = args::interval(args, 2);
                if step == Interval::ZERO {
                    return Err(zero_step());
                }
                let (next, stop) = (args::timestamp(args, 0), args::timestamp(args, 1));
                let has_zone = matches!(args::value(args, 0), Value::TimestampTz(_));
                Ok(State::Moments { next, stop, step, has_zone })
            }
            Kind::Subscripts => {
                let len = args::array(args, 0).map_or(0, |array| array.len()) as i128;
                Ok(match args::int(args, 1) {
                    1 if args::boolean(args, 2) => {
                        State::Integers { next: len, stop: 1, step: -1, is_small: true }
                    }
                    1 => State::Integers { next: 1, stop: len, step: 1, is_small: true },
                    _ => State::Done,
                })
            }
            Kind::Unnest => {
                Ok(args::array(args, 0).map_or(State::Done, |array| State::Elements(array.iter())))
            }
            Kind::Split => Ok(match args::text_of(args::value(args, 0)) {
                None => State::Done,
                Some(text) => State::Parts {
                    parts: Parts::new(text, args::text_of(args::value(args, 1))),
                    null: args::text_of(args::value(args, 2)),
                },
            }),
            Kind::Matches => Ok(State::Matches { search: Search::new(args)?, from: Some(0) }),
            Kind::SplitByPattern => {
                let search = Search::new(args)?;
                if search.flags.is_global {
                    let message = "regexp_split_to_table() does not support the \"global\" option";
                    return Err(Problem::new("22023", message));
                }
                Ok(State::Pieces { search, rest: Some((0, 0)) })
            }
            Kind::Json(part) => {
                let is_binary = matches!(args::value(args, 0), Value::Jsonb(_));
                let text = args::text(args, 0);
                check_kind(json::Kind::of(text), part, is_binary, function.signature.name)?;
                Ok(State::Members { members: Members::of(text), part, is_binary })
            }
        }
    }
}

/// Refuses a JSON value that has no such parts, with the words of its type.
fn check_kind(kind: json::Kind, part: Part, is_binary: bool, name: &'static str) -> Result<(), Problem> {
    let has_parts = match part {
        Part::Elements | Part::ElementsText => kind == json::Kind::Array,
        _ => kind == json::Kind::Object,
    };
    if has_parts {
        return Ok(());
    }
    let message = match (part, is_binary, kind) {
        (Part::Elements | Part::ElementsText, true, json::Kind::Object) => {
            "cannot extract elements from an object"
        }
        (Part::Elements | Part::ElementsText, true, _) => "cannot extract elements from a scalar",
        (Part::Elements | Part::ElementsText, false, json::Kind::Object) => "cannot call @ on a non-array",
        (Part::Members | Part::MembersText, true, _) => "cannot call @ on a non-object",
        (Part::Members | Part::MembersText, false, json::Kind::Array) => {
            "cannot deconstruct an array as an object"
        }
        (Part::Members | Part::MembersText, false, _) => "cannot deconstruct a scalar",
        (Part::Keys, _, json::Kind::Array) => "cannot call @ on an array",
        _ => "cannot call @ on a scalar",
    };
    Err(Problem::named("22023", message, "", name))
}

impl<'v> Rows<'v> {
    /// Goes to the next row; false when there is none.
    ///
    /// # Errors
    /// [`Problem`]: a value cannot be computed, or the statement was cancelled.
    pub fn advance(&mut self, cx: &mut Context<'_>) -> Result<bool, Problem> {
        let next = self.state.next(cx)?;
        match next {
            Some(row) => self.row = row,
            None => self.state = State::Done,
        }
        Ok(next.is_some())
    }

    /// A column of the row: a value, or bytes that were appended to the sink.
    ///
    /// # Errors
    /// [`Problem::OutOfMemory`], or the statement was cancelled.
    pub fn column(&self, index: usize, cx: &mut Context<'_>) -> Answer<'v> {
        match self.row {
            Row::Value(value) => give(value),
            Row::Match(span) => self.write_match(span, cx),
            Row::Member(member, part) => match (part, index) {
                (Part::Members | Part::MembersText | Part::Keys, 0) if member.key.contains('\\') => {
                    write_unescaped(member.key, cx.sink)?;
                    WRITTEN
                }
                (Part::Members | Part::MembersText | Part::Keys, 0) => give(Value::Text(member.key)),
                (Part::ElementsText | Part::MembersText, _) => give_part_text(Some(member.value), cx.sink),
                _ if matches!(self.state, State::Members { is_binary: true, .. }) => {
                    give(Value::Jsonb(member.value))
                }
                _ => give(Value::Json(member.value)),
            },
        }
    }

    fn write_match(&self, span: Span, cx: &mut Context<'_>) -> Answer<'v> {
        let State::Matches { search, .. } = &self.state else { return Ok(Output::NULL) };
        let Context { site, sink, is_cancelled, .. } = cx;
        site.regex.prepare(search.pattern, search.flags)?;
        let subject = Subject { text: search.text, is_cancelled: *is_cancelled };
        Matches::new(&mut site.regex, subject, 0).write(span, *sink)?;
        WRITTEN
    }
}

impl<'v> State<'v> {
    fn next(&mut self, cx: &mut Context<'_>) -> Result<Option<Row<'v>>, Problem> {
        let value = match self {
            State::Done => None,
            State::Integers { next, stop, step, is_small } => {
                let now = *next;
                if if *step > 0 { now > *stop } else { now < *stop } {
                    return Ok(None);
                }
                *next += *step;
                Some(if *is_small { Value::Integer(now as i32) } else { Value::BigInt(now as i64) })
            }
            State::Decimals { next, stop, step } => {
                let now = *next;
                if if step.unscaled() > 0 { now > *stop } else { now < *stop } {
                    return Ok(None);
                }
                match now.checked_add(*step) {
                    Ok(sum) => *next = sum,
                    Err(_) => *self = State::Done,
                }
                Some(Value::Decimal(now))
            }
            State::Moments { next, stop, step, has_zone } => {
                let now = *next;
                if if *step > Interval::ZERO { now > *stop } else { now < *stop } {
                    return Ok(None);
                }
                *next = later(now, *step, *has_zone, cx)?;
                Some(if *has_zone { Value::TimestampTz(now) } else { Value::Timestamp(now) })
            }
            State::Elements(elements) => elements.next(),
            State::Parts { parts, null } => {
                parts.next().map(|part| if *null == Some(part) { Value::Null } else { Value::Text(part) })
            }
            State::Matches { search, from } => {
                let Some(at) = *from else { return Ok(None) };
                cx.site.regex.prepare(search.pattern, search.flags)?;
                let subject = Subject { text: search.text, is_cancelled: cx.is_cancelled };
                let found = cx.site.regex.find(subject, at)?;
                *from = found
                    .filter(|_| search.flags.is_global)
                    .and_then(|(start, end)| after(search.text, start, end));
                return Ok(found.map(Row::Match));
            }
            State::Pieces { search, rest } => {
                cx.site.regex.prepare(search.pattern, search.flags)?;
                let part = next_part(search.text, rest, &mut cx.site.regex, cx.is_cancelled)?;
                part.map(Value::Text)
            }
            State::Members { members, part, .. } => {
                return Ok(members.next().map(|member| Row::Member(member, *part)));
            }
        };
        Ok(value.map(Row::Value))
    }
}

/// A moment an interval later; with time zone, months and days are those of the session's zone.
fn later(moment: Timestamp, step: Interval, has_zone: bool, cx: &Context<'_>) -> Result<Timestamp, Problem> {
    if !has_zone {
        return Ok(calendar::add_interval(moment, step)?);
    }
    let local = calendar::add_interval(to_local(moment, cx)?, Interval { micros: 0, ..step })?;
    Ok(calendar::add_interval(from_local(local, cx)?, Interval { months: 0, days: 0, ..step })?)
}
