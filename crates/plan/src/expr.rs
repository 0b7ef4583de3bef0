//! Bound expressions: every name resolved to a position in the operator's input, every cast explicit, every node typed.
//!
//! The binder makes them, the optimizer rewrites them, `exec` evaluates them. Nodes live in the statement's plan arena
//! and are shared freely: a node is immutable once it is reachable, and two parents may point at one child.
//!
//! # What a bound expression guarantees
//!
//! - **X1** Operands have the types that the operator's docstring names; no implicit conversion is left to evaluation.
//! - **X2** Operands of a comparison, of `Between`, `InList`, `Coalesce`, `NullIf` and `Case` have one common type,
//!   decimals with the same precision and scale. Operands of arithmetic have the types of `Type::arithmetic`.
//! - **X3** No node has type `Unknown`, except a bare NULL or string literal that nothing asked to be otherwise, and
//!   those are turned into text before they reach an output column.
//! - **X4** Any node may evaluate to NULL; three-valued logic is PostgreSQL's.
//! - **X5** Depth is bounded by memory only: whoever walks an expression does so with an explicit stack
//!   (`Expr::children`), never by native recursion.

use cofferdam_arena::{AllocError, Arena};
use cofferdam_functions::FunctionId;
use cofferdam_types::{ArrayRef, Type, Value};

use crate::Span;

pub(crate) mod fails;
pub(crate) mod names;
pub(crate) mod print;
pub(crate) mod same;
pub mod walk;

/// A named and typed column of a source or of an operator's output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Column<'a> {
    /// The name as a client sees it, not necessarily unique; empty inside a plan for what the query gives no name.
    pub name: &'a str,
    /// The type of every value in the column; any value may be NULL.
    pub ty: Type,
}

/// A bound, typed expression.
#[derive(Clone, Copy, Debug)]
pub struct Expr<'a> {
    /// What is computed.
    pub kind: ExprKind<'a>,
    /// The type of the result.
    pub ty: Type,
    /// Where in the statement's text it comes from; run-time errors point here.
    pub span: Span,
}

/// What an expression computes.
#[derive(Clone, Copy, Debug)]
pub enum ExprKind<'a> {
    /// The value of a column of the input batch, by position from 0.
    Column(u32),
    /// A constant; its type is the expression's.
    Literal(Value<'a>),
    /// A value that is given when the plan runs, by number from 1. Of unknown type where nothing but whether it is NULL is asked.
    Parameter(u32),
    /// Several values that stand side by side. Only while a statement is bound: a plan has none.
    Row(&'a [&'a Expr<'a>]),
    /// An operator with one operand.
    Unary {
        /// The operator.
        op: UnaryOp,
        /// Its operand.
        arg: &'a Expr<'a>,
    },
    /// An operator with two operands.
    Binary {
        /// The operator.
        op: BinaryOp,
        /// The left operand.
        left: &'a Expr<'a>,
        /// The right operand.
        right: &'a Expr<'a>,
    },
    /// The operand converted to this expression's type; text that cannot be converted is an error at run time.
    Cast(&'a Expr<'a>),
    /// `arg BETWEEN low AND high`: `arg >= low AND arg <= high` with `arg` evaluated once. Boolean.
    Between {
        /// The value that is tested.
        arg: &'a Expr<'a>,
        /// The lower bound, inclusive.
        low: &'a Expr<'a>,
        /// The upper bound, inclusive.
        high: &'a Expr<'a>,
        /// `NOT BETWEEN`.
        negated: bool,
    },
    /// `arg IN (list)`: true on a match, else NULL if `arg` or an item is NULL, else false. Boolean.
    InList {
        /// The value that is looked for.
        arg: &'a Expr<'a>,
        /// At least one item; literals unless the query says otherwise.
        list: &'a [&'a Expr<'a>],
        /// `NOT IN`.
        negated: bool,
    },
    /// `text LIKE pattern`: `%` matches any run of characters, `_` one character. Boolean.
    Like {
        /// The text that is tested.
        text: &'a Expr<'a>,
        /// The pattern, text.
        pattern: &'a Expr<'a>,
        /// The character that takes the special meaning from the next one; a pattern that ends in it is an error
        /// (SQLSTATE 22025). `None` for `ESCAPE ''`.
        escape: Option<char>,
        /// `NOT LIKE`.
        negated: bool,
    },
    /// The result of the first branch that is taken. Branches that are not taken are not evaluated.
    Case {
        /// With an operand a branch is taken when the operand, evaluated once, equals the branch's condition;
        /// without one, when the condition is true.
        operand: Option<&'a Expr<'a>>,
        /// The branches in order; at least one.
        whens: &'a [When<'a>],
        /// The result when no branch is taken; NULL if absent.
        otherwise: Option<&'a Expr<'a>>,
    },
    /// A function of its arguments.
    Call {
        /// The function.
        function: Function,
        /// As many arguments as the function's docstring names.
        args: &'a [&'a Expr<'a>],
    },
}

/// One branch of a `CASE`.
#[derive(Clone, Copy, Debug)]
pub struct When<'a> {
    /// A boolean, or with an operand a value of the operand's type.
    pub condition: &'a Expr<'a>,
    /// The result if the branch is taken; of the type of the whole `CASE`.
    pub result: &'a Expr<'a>,
}

/// Operators with one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// Boolean negation; NULL stays NULL.
    Not,
    /// Arithmetic negation of a number or an interval; overflow is an error.
    Negate,
    /// `IS NULL`, of any type; never NULL.
    IsNull,
    /// `IS NOT NULL`, of any type; never NULL.
    IsNotNull,
    /// `IS TRUE`, of a boolean; never NULL.
    IsTrue,
    /// `IS NOT TRUE`, of a boolean; never NULL.
    IsNotTrue,
    /// `IS FALSE`, of a boolean; never NULL.
    IsFalse,
    /// `IS NOT FALSE`, of a boolean; never NULL.
    IsNotFalse,
}

/// Operators with two operands. Unless stated otherwise the result is NULL when an operand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// Sum of numbers, of a date and days or an interval, of intervals. Overflow is an error.
    ///
    /// The operands and the result of all arithmetic have the types of `Type::arithmetic`: two integers, bigints or
    /// doubles of one type, or two decimals, each with its own scale; the result has the scale of the expression's type.
    Add,
    /// Difference of numbers, of a date and days or an interval, of two dates (an integer), of intervals. Overflow is an error.
    Subtract,
    /// Product of numbers, or of an interval and an integer. Overflow is an error.
    Multiply,
    /// Quotient; integers truncate towards zero. Division by zero is an error.
    Divide,
    /// Remainder with the sign of the dividend. Division by zero is an error.
    Modulo,
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `IS DISTINCT FROM`: inequality where NULL equals NULL; never NULL.
    IsDistinctFrom,
    /// `IS NOT DISTINCT FROM`: equality where NULL equals NULL; never NULL.
    IsNotDistinctFrom,
    /// Boolean conjunction: false if either is false, else NULL if either is NULL.
    And,
    /// Boolean disjunction: true if either is true, else NULL if either is NULL.
    Or,
    /// `||` of two texts.
    Concat,
}

/// Functions of a row. Unless stated otherwise the result is NULL when an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// `(text) -> text` in lower case.
    Lower,
    /// `(text) -> text` in upper case.
    Upper,
    /// `(text) -> integer`: the number of characters.
    Length,
    /// `(text, count integer) -> text`: the text if it has at most so many characters, or its first so many if all behind
    /// them are blanks; else an error (SQLSTATE 22001). The assignment to `varchar(count)`.
    LimitCharacters,
    /// `(character, count integer) -> character`: exactly so many characters, with blanks behind fewer and without what is
    /// behind more. The cast to `character(count)`.
    PadCharacters,
    /// As [`Function::PadCharacters`], but more characters are an error (SQLSTATE 22001) unless they are blanks. The
    /// assignment to `character(count)`.
    FitCharacters,
    /// `(time, timestamp or interval, digits integer) -> same type`, with so many digits of seconds.
    RoundSeconds,
    /// `(text, start integer) -> text` or `(text, start integer, count integer) -> text`: characters from the 1-based
    /// `start`, which may lie before the text; a negative count is an error (SQLSTATE 22011).
    Substring,
    /// `(text, characters text) -> text` without leading and trailing characters of the set.
    TrimBoth,
    /// `(text, characters text) -> text` without leading characters of the set.
    TrimLeading,
    /// `(text, characters text) -> text` without trailing characters of the set.
    TrimTrailing,
    /// `(number) -> same type`: the absolute value; overflow is an error.
    Abs,
    /// `(decimal) -> decimal` rounded half away from zero to the scale of the expression's type, or
    /// `(double) -> double` rounded half to even, to an integral value.
    Round,
    /// `(decimal) -> decimal` with scale 0 or `(double) -> double`: the largest integral value not above the argument.
    Floor,
    /// `(decimal) -> decimal` with scale 0 or `(double) -> double`: the smallest integral value not below the argument.
    Ceil,
    /// One or more arguments of one type: the first that is not NULL. Later arguments are not evaluated.
    Coalesce,
    /// `(a, b)` of one type: NULL if they are equal, else `a`.
    NullIf,
    /// One or more arguments of one type: the greatest that is not NULL; NULL if all are.
    Greatest,
    /// One or more arguments of one type: the least that is not NULL; NULL if all are.
    Least,
    /// A function or operator of the table of functions, with arguments of the types that it takes.
    Scalar(FunctionId),
    /// Values of one type: an array of them, NULLs among them.
    Array,
    /// `(array, integer) -> element`: the element at a position from 1; NULL where there is none.
    Subscript,
    /// `(array, integer, integer) -> array`: the elements between two positions, both included.
    Slice,
    /// `(text, char or boolean) -> text`: a field in the text of a row, as PostgreSQL quotes it; of NULL the empty text.
    Field,
    /// `(any value, array)`: whether the comparison holds for one element, as `OR` of all.
    AnyElement(BinaryOp),
    /// `(any value, array)`: whether the comparison holds for all elements, as `AND` of all.
    AllElements(BinaryOp),
    /// `(date) -> decimal` with scale 0: a field of the date.
    Extract(DateField),
}

/// The fields that `EXTRACT` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DateField {
    /// The century, 21 for 2001 to 2100.
    Century,
    /// The day of the month, 1 to 31.
    Day,
    /// The year divided by ten, rounded down.
    Decade,
    /// The day of the week, 0 (Sunday) to 6.
    DayOfWeek,
    /// The day of the year, 1 to 366.
    DayOfYear,
    /// Seconds since 1970-01-01.
    Epoch,
    /// The ISO day of the week, 1 (Monday) to 7 (Sunday).
    IsoDayOfWeek,
    /// The year of the ISO week.
    IsoYear,
    /// The month, 1 to 12.
    Month,
    /// The quarter, 1 to 4.
    Quarter,
    /// The ISO week, 1 to 53.
    Week,
    /// The year.
    Year,
}

/// The value with its bytes in `arena`, which pays for them.
///
/// # Errors
/// `AllocError` when the arena's budget has no room.
pub fn copy_value<'a>(value: Value<'_>, arena: &'a Arena) -> Result<Value<'a>, AllocError> {
    Ok(match value {
        Value::Text(text) => Value::Text(arena.alloc_str(text)?),
        Value::Char(text) => Value::Char(arena.alloc_str(text)?),
        Value::Json(text) => Value::Json(arena.alloc_str(text)?),
        Value::Jsonb(text) => Value::Jsonb(arena.alloc_str(text)?),
        Value::Bytea(bytes) => Value::Bytea(arena.alloc_slice_copy(bytes)?),
        Value::Array(array) => {
            let bytes = arena.alloc_slice_copy(array.as_bytes())?;
            Value::Array(ArrayRef::new(bytes, array.element()).expect("a copy of an array is one"))
        }
        value => value.without_bytes().expect("all values with bytes are above"),
    })
}

impl BinaryOp {
    /// The comparison that is true where this one is false.
    pub(crate) const fn negated(self) -> Option<BinaryOp> {
        Some(match self {
            BinaryOp::Equal => BinaryOp::NotEqual,
            BinaryOp::NotEqual => BinaryOp::Equal,
            BinaryOp::Less => BinaryOp::GreaterEqual,
            BinaryOp::LessEqual => BinaryOp::Greater,
            BinaryOp::Greater => BinaryOp::LessEqual,
            BinaryOp::GreaterEqual => BinaryOp::Less,
            _ => return None,
        })
    }

    /// Whether it compares two operands of one type.
    pub const fn is_comparison(self) -> bool {
        matches!(
            self,
            BinaryOp::Equal
                | BinaryOp::NotEqual
                | BinaryOp::Less
                | BinaryOp::LessEqual
                | BinaryOp::Greater
                | BinaryOp::GreaterEqual
                | BinaryOp::IsDistinctFrom
                | BinaryOp::IsNotDistinctFrom
        )
    }

    /// The operator as SQL writes it.
    pub const fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Subtract => "-",
            BinaryOp::Multiply => "*",
            BinaryOp::Divide => "/",
            BinaryOp::Modulo => "%",
            BinaryOp::Equal => "=",
            BinaryOp::NotEqual => "<>",
            BinaryOp::Less => "<",
            BinaryOp::LessEqual => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterEqual => ">=",
            BinaryOp::IsDistinctFrom => "IS DISTINCT FROM",
            BinaryOp::IsNotDistinctFrom => "IS NOT DISTINCT FROM",
            BinaryOp::And => "AND",
            BinaryOp::Or => "OR",
            BinaryOp::Concat => "||",
        }
    }
}
