//! PostgreSQL's scalar functions and operators as one declarative table.
//!
//! | file | holds |
//! |---|---|
//! | `aggregate` | signatures of aggregate and window functions |
//! | `signature` | what an entry of a table says, and the words that tables are written in |
//! | `table` | the lists of all functions and operators |
//! | `resolve` | which entry a call means: PostgreSQL's rules for overloads |
//! | `table_function` | functions that give rows |
//! | `suggest` | names that might have been meant |
//! | `context` | what a call sees and gives: [`Context`], [`Output`], [`Problem`] |
//! | `convert` | casts whose results are of any length: [`convert()`] |
//! | `args`, `output` | arguments by type; values as text |
//! | `math`, `text`, `pattern`, `array`, `datetime`, `template`, `json`, `misc` | the functions by subject, each with its part of the table |
//! | `regex` | regular expressions as PostgreSQL's, compiled into charged memory |
//!
//! The planner resolves a call to a [`FunctionId`] and learns which casts the arguments need and what type comes out;
//! [`eval`] computes it for one row, in the planner for constants and in the executor for the rest. The documentation
//! is made of the same table.
//!
//! ```
//! use cofferdam_functions::{NotResolved, resolve, resolve_operator};
//! use cofferdam_types::Type;
//!
//! // `substr(x, '2')`: the literal becomes an integer.
//! let call = resolve("substr", &[Type::Text, Type::Unknown]).unwrap();
//! assert_eq!((call.argument(1, Type::Unknown), call.result), (Type::Integer, Type::Text));
//!
//! let call = resolve_operator("+", Some(Type::Date), Type::Interval).unwrap();
//! assert_eq!(call.result, Type::Timestamp);
//! assert_eq!(resolve("substrr", &[Type::Text]).unwrap_err(), NotResolved::NoSuchName);
//! assert_eq!(cofferdam_functions::nearest_name("substrr"), Some("substr"));
//! ```
//!
//! **Memory.** Bytes of results are appended to a [`Sink`] of the caller, or are those of an argument; temporary memory is the
//! caller's scratch arena and is given back within the call; what a calling place keeps between rows (a compiled pattern) is charged to the
//! budget of its [`Site`]. Nothing else is allocated.
//!
//! **Neighbours.** Below: `arena`, `types`. Above: `plan` resolves and folds, `exec` evaluates.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::disallowed_types))]

mod aggregate;
mod args;
mod array;
mod context;
mod convert;
mod datetime;
mod engine;
mod json;
mod math;
mod misc;
mod output;
mod pattern;
mod regex;
mod resolve;
mod signature;
mod suggest;
mod table;
mod table_function;
mod template;
mod text;

use cofferdam_types::{Type, Value};

pub use aggregate::{
    AggregateForm, AggregateFunction, AggregateKind, ResolvedOver, WindowFunction, WindowKind, aggregates,
    resolve_aggregate, resolve_window, windows,
};
pub use context::{Clock, Context, Output, Problem, Random, Refusal, Session, Sink, Site};
pub use convert::convert;
pub use engine::{EngineColumn, EngineTable};
pub use resolve::{ARGUMENTS_MAX, NotResolved};
pub use signature::{Category, Function, Param, Returns, Signature, Volatility};
pub use suggest::{names, nearest_name};
pub use table_function::{
    COLUMNS_MAX, ResolvedTable, Rows, TableFunction, TableFunctionId, open, resolve_table_function,
    table_functions,
};

use resolve::Bound;
use table::{FUNCTIONS, OPERATORS};

/// Names an entry of the table of functions or of operators.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FunctionId(u16);

/// Operators are counted from here.
const FIRST_OPERATOR: u16 = 1 << 15;

impl FunctionId {
    /// The entry.
    pub fn function(self) -> &'static Function {
        let found = match self.0.checked_sub(FIRST_OPERATOR) {
            None => FUNCTIONS.get(usize::from(self.0)),
            Some(index) => OPERATORS.get(usize::from(index)),
        };
        found.expect("ids are made from the tables only")
    }

    /// Whether it is an operator.
    pub const fn is_operator(self) -> bool {
        self.0 >= FIRST_OPERATOR
    }
}

/// What a call means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resolved {
    /// The entry.
    pub id: FunctionId,
    /// The type of the result.
    pub result: Type,
    bound: Bound,
}

impl Resolved {
    /// The type that the argument of this index and type is to be cast to; the same where it needs no cast.
    pub fn argument(&self, index: usize, given: Type) -> Type {
        self.bound.argument(self.id.function().signature(), index, given)
    }
}

/// Finds the function that a call means.
///
/// # Errors
/// [`NotResolved`]: no such name, no or more than one overload for these types.
pub fn resolve(name: &str, args: &[Type]) -> Result<Resolved, NotResolved> {
    let named = numbered(&FUNCTIONS, name);
    let get = |number: u16| FUNCTIONS[usize::from(number)].signature();
    let (number, bound) = resolve::select(named, get, args, false)?;
    Ok(Resolved { id: FunctionId(number), result: bound.result(get(number), args), bound })
}

/// Finds the operator that an operation means; `left` is missing for a prefix operator.
///
/// # Errors
/// As [`resolve()`].
pub fn resolve_operator(symbol: &str, left: Option<Type>, right: Type) -> Result<Resolved, NotResolved> {
    let both = [left.unwrap_or(right), right];
    let args = if left.is_some() { &both } else { both.get(..1).unwrap_or(&[]) };
    let named = numbered(&OPERATORS, symbol);
    let get = |number: u16| OPERATORS[usize::from(number)].signature();
    let (number, bound) = resolve::select(named, get, args, true)?;
    let id = FunctionId(number + FIRST_OPERATOR);
    Ok(Resolved { id, result: bound.result(get(number), args), bound })
}

/// The entries of a name, with their numbers.
fn numbered<'t>(table: &'t [Function], name: &str) -> impl Iterator<Item = (u16, &'t Signature)> {
    let numbered = table.iter().enumerate().map(|(number, entry)| (number as u16, entry.signature()));
    numbered.filter(move |(_, signature)| signature.name() == name)
}

/// Computes a call for one row.
///
/// Arguments have the types that [`Resolved::argument`] says. A strict function that is given a NULL gives NULL. When
/// it fails, the sink has what it had before.
///
/// # Errors
/// [`Problem`]: the arguments are refused, or memory is.
pub fn eval<'v>(id: FunctionId, args: &[Value<'v>], cx: &mut Context<'_>) -> Result<Output<'v>, Problem> {
    let function = id.function();
    if function.is_strict() && args.iter().any(Value::is_null) {
        return Ok(Output::NULL);
    }
    let start = cx.sink.len();
    let result = (function.eval)(args, cx);
    if result.is_err() {
        cx.sink.truncate(start);
    }
    result
}

/// All functions.
pub fn functions() -> impl Iterator<Item = &'static Function> {
    FUNCTIONS.iter()
}

/// All operators.
pub fn operators() -> impl Iterator<Item = &'static Function> {
    OPERATORS.iter()
}
