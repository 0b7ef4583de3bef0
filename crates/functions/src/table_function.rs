//! Functions that give rows: `generate_series` and its like.
//!
//! A call is opened with its arguments and then advanced row by row. What it keeps between rows is a few words, whatever the number
//! of rows: a series is counted on, a text or an array is read on.

use cofferdam_types::{Decimal, Type, Value};

use crate::args::{self, Answer, give};
use crate::context::{Context, Problem};
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
    Subscripts,
    Unnest,
    Split,
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
/// As [`crate::resolve`].
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

static TABLE_FUNCTIONS: [TableFunction; 6] = [
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
        "generate_subscripts",
        &[ANYARRAY, INT4, BOOL],
        &[("generate_subscripts", results::INT4)],
        Kind::Subscripts,
        "the subscripts of a dimension, backwards if the third is true",
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

/// A call that is giving rows. Arguments that are bytes stay where they are as long as it lives.
#[derive(Debug)]
pub struct Rows<'v> {
    state: State<'v>,
    row: [Value<'v>; COLUMNS_MAX],
}

#[derive(Debug)]
enum State<'v> {
    Done,
    Integers { next: i128, stop: i128, step: i128, is_small: bool },
    Decimals { next: Decimal, stop: Decimal, step: Decimal },
    Elements(cofferdam_types::array::Elements<'v>),
    Parts { parts: Parts<'v>, null: Option<&'v str> },
}

/// Opens a call. Arguments have the types that [`ResolvedTable::argument`] says; a NULL gives no rows where the
/// function is strict.
///
/// # Errors
/// [`Problem`]: the arguments are refused.
pub fn open<'v>(id: TableFunctionId, args: &[Value<'v>], _: &mut Context<'_>) -> Result<Rows<'v>, Problem> {
    let function = id.function();
    let is_null = function.is_strict && args.iter().any(Value::is_null);
    let state = if is_null { State::Done } else { function.kind.open(args)? };
    Ok(Rows { state, row: [Value::Null; COLUMNS_MAX] })
}

fn zero_step() -> Problem {
    Problem::new("22023", "step size cannot equal zero")
}

impl Kind {
    fn open<'v>(self, args: &[Value<'v>]) -> Result<State<'v>, Problem> {
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
        }
    }
}

impl<'v> Rows<'v> {
    /// Goes to the next row; false when there is none.
    ///
    /// # Errors
    /// [`Problem`]: a value cannot be computed.
    pub fn advance(&mut self, _: &mut Context<'_>) -> Result<bool, Problem> {
        let next = self.state.next()?;
        match next {
            Some(value) => self.row[0] = value,
            None => self.state = State::Done,
        }
        Ok(next.is_some())
    }

    /// A column of the row: a value, or bytes that were appended to the sink.
    ///
    /// # Errors
    /// [`Problem::OutOfMemory`].
    pub fn column(&self, index: usize, _: &mut Context<'_>) -> Answer<'v> {
        give(self.row.get(index).copied().unwrap_or(Value::Null))
    }
}

impl<'v> State<'v> {
    fn next(&mut self) -> Result<Option<Value<'v>>, Problem> {
        Ok(match self {
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
            State::Elements(elements) => elements.next(),
            State::Parts { parts, null } => {
                parts.next().map(|part| if *null == Some(part) { Value::Null } else { Value::Text(part) })
            }
        })
    }
}
