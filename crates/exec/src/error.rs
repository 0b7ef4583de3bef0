//! What can go wrong while a query runs, sorted by what the caller can do about it.
//!
//! An error is `Copy` and holds no heap memory. What is too big to travel in it (the place in a file, the value found
//! there) stands in a record that the operator allocated when it opened, so that reporting an error takes no memory
//! from a budget that may be exhausted.

use core::fmt;

use cofferdam_arena::{AllocError, Budget, InlineText, human_bytes};
use cofferdam_functions::{Problem, Refusal};
use cofferdam_plan::Span;
pub use cofferdam_store::Remedy;
use cofferdam_types::{Excerpt, Type};

use crate::spill::SpillProblem;

/// From this part of the limit on a value is said to be what memory was refused for.
const VALUE_SHARE: u64 = 8;

/// An error of a running query.
#[derive(Clone, Copy, Debug)]
pub enum Error<'a> {
    /// Fix the input: a value or a file is not what the query expects of it.
    Value {
        /// What is wrong with the value.
        error: cofferdam_types::Error,
        /// The expression that was evaluated.
        span: Span,
    },
    /// Fix the query: an argument of a function is not allowed.
    Argument {
        /// What is wrong.
        problem: ArgumentProblem,
        /// The expression that was evaluated.
        span: Span,
    },
    /// Fix the input or the query: a function refuses its arguments.
    Refused {
        /// What it has against them.
        refusal: Refusal,
        /// The expression that was evaluated.
        span: Span,
    },
    /// Fix the input: a file cannot be read, or a row of it is malformed.
    File(&'a FileProblem<'a>),
    /// Fix the input: a row is not one that its table takes.
    Violation(&'a Violation<'a>),
    /// A stored table cannot be read or written; what the caller can do depends on why.
    Store(&'a StoreProblem<'a>),
    /// A temporary file could not be written or read; what the caller can do depends on why.
    Spill(SpillProblem),
    /// Give more memory; the details are in the budget's last refusal.
    OutOfMemory(AllocError),
    /// Give more memory: one value takes a large part of what there is. The details are in the budget's last refusal.
    ValueTooLarge {
        /// What the value is the result of: a function, an aggregate, an operator.
        what: &'static str,
        /// How many bytes it had when more were refused.
        bytes: u64,
        /// Its expression.
        span: Span,
    },
    /// Retry if you like: the statement was cancelled.
    Cancelled,
    /// Fix the query or the data: a subquery that stands for a value gave a second row.
    ManyRows,
    /// Write the query in another way: recursions are nested deeper than they are run.
    TooDeep,
    /// Write the query in another way: a part of it cannot be run yet.
    NotSupported {
        /// The part.
        what: &'static str,
    },
}

const _: () = assert!(size_of::<Error<'_>>() <= 120);

/// An argument that a function does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentProblem {
    /// `substring` with a negative length.
    NegativeSubstringLength,
    /// A LIKE pattern that ends in its escape character.
    PatternEndsInEscape,
    /// LIMIT with a negative count.
    NegativeLimit,
    /// OFFSET with a negative count.
    NegativeOffset,
    /// The offset of a frame's bound that is NULL.
    FrameOffsetNull {
        /// Of the bound that it starts with.
        is_start: bool,
    },
    /// The offset of a frame's bound that is less than 0.
    FrameOffsetNegative {
        /// Of the bound that it starts with.
        is_start: bool,
    },
    /// `ntile` of less than one bucket.
    NtileNotPositive,
    /// `nth_value` of a row before the first.
    NthValueNotPositive,
    /// A text that is too long for its column.
    TooManyCharacters {
        /// The most characters that the column takes.
        count: u32,
    },
    /// The fraction of a percentile that is not between 0 and 1.
    FractionOutOfRange {
        /// Its bits.
        fraction: u64,
    },
    /// A field of a JSON object that has no name.
    NullFieldName,
    /// A field of a JSON object whose name is JSON or an array.
    FieldNameNotScalar,
}

/// Where in a file a row comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The file, as the statement names it.
    pub path: &'a str,
    /// The line that the row begins in, from 1.
    pub line: u64,
}

/// A row that breaks a rule of its table.
#[derive(Clone, Copy, Debug)]
pub struct Violation<'a> {
    /// The table.
    pub table: &'a str,
    /// The rule.
    pub kind: ViolationKind<'a>,
    /// The row's values, as far as they fit; of a unique key those of the key.
    pub row: InlineText<160>,
    /// Where the row comes from, if that is a file.
    pub place: Option<Place<'a>>,
}

/// Rules of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViolationKind<'a> {
    /// The column takes no NULL.
    Null {
        /// Its name.
        column: &'a str,
    },
    /// The condition is false.
    Check {
        /// The name of the constraint.
        name: &'a str,
    },
    /// There is a row with the same key.
    Unique {
        /// The name of the constraint.
        name: InlineText<64>,
    },
}

/// What the store refused.
#[derive(Clone, Copy, Debug)]
pub struct StoreProblem<'a> {
    /// Why.
    pub error: cofferdam_store::Error,
    /// Where the row comes from that was to be written, if that is a file.
    pub place: Option<Place<'a>>,
}

/// What would help; prints as a sentence without its stop.
#[derive(Clone, Copy, Debug)]
pub enum Hint<'e> {
    /// Advice.
    Text(&'static str),
    /// The row that the error is about.
    Row(&'e str),
    /// The key that two rows would have.
    Key(&'e str),
}

/// A file and what is wrong with it.
#[derive(Clone, Copy, Debug)]
pub struct FileProblem<'a> {
    /// The file, as the query names it.
    pub path: &'a str,
    /// The line, from 1; 0 when the problem is not in a line.
    pub line: u64,
    /// What is wrong.
    pub kind: FileProblemKind<'a>,
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug)]
pub enum FileProblemKind<'a> {
    /// The operating system would not open or read it.
    Io {
        /// The class of the refusal.
        kind: std::io::ErrorKind,
    },
    /// It is a pipe or a device, which can be read once, and a table is read again and again.
    NotAFile,
    /// It had fewer bytes at its end than when it was opened.
    Shrunk,
    /// A field is not a value of its column's type.
    BadField {
        /// The column's position in the row, from 1.
        column: u32,
        /// The column's name.
        name: &'a str,
        /// What is wrong with the text.
        error: cofferdam_types::Error,
        /// Whether the column is that of a table, which the statement does not declare.
        is_assigned: bool,
    },
    /// A row has too many or too few fields.
    Ragged {
        /// How many it has.
        fields: u32,
        /// How many it should have.
        expected: u32,
    },
    /// A NUL byte, which text cannot hold.
    NulByte {
        /// Where, in bytes from the start of the file.
        offset: u64,
    },
    /// A field is not valid UTF-8.
    InvalidUtf8 {
        /// The first byte that is wrong, in bytes from the start of the file.
        offset: u64,
        /// The column's name.
        name: &'a str,
    },
    /// The file ends inside a quoted field.
    UnclosedQuote,
    /// A value of the row cannot be put into its column.
    Refused {
        /// The column's name.
        name: &'a str,
        /// Why.
        error: RowError,
    },
    /// Lines end in a carriage return and no newline.
    CarriageReturns,
    /// A line is longer than 4 GiB.
    LineTooLong,
}

/// Why a value of a row cannot be computed.
#[derive(Clone, Copy, Debug)]
pub enum RowError {
    /// A value is not one of its type.
    Value(cofferdam_types::Error),
    /// An argument is not allowed.
    Argument(ArgumentProblem),
    /// A function refuses its arguments.
    Refused(Refusal),
}

impl From<AllocError> for Error<'_> {
    fn from(error: AllocError) -> Self {
        Error::OutOfMemory(error)
    }
}

impl Error<'_> {
    /// The five characters that SQL clients tell errors apart by.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Error::Value { error, .. } => error.sqlstate(),
            Error::Argument { problem, .. } => problem.sqlstate(),
            Error::Refused { refusal, .. } => refusal.sqlstate(),
            Error::File(problem) => problem.kind.sqlstate(),
            Error::Violation(violation) => match violation.kind {
                ViolationKind::Null { .. } => "23502",
                ViolationKind::Check { .. } => "23514",
                ViolationKind::Unique { .. } => "23505",
            },
            Error::Store(problem) => problem.error.sqlstate(),
            Error::Spill(problem) => problem.sqlstate(),
            Error::OutOfMemory(_) | Error::ValueTooLarge { .. } => "53200",
            Error::Cancelled => "57014",
            Error::ManyRows => "21000",
            Error::TooDeep => "54001",
            Error::NotSupported { .. } => "0A000",
        }
    }

    /// What the caller can do.
    pub fn remedy(&self) -> Remedy {
        match self {
            Error::Value { .. }
            | Error::Argument { .. }
            | Error::Refused { .. }
            | Error::File(_)
            | Error::Violation(_)
            | Error::ManyRows
            | Error::TooDeep
            | Error::NotSupported { .. } => Remedy::FixInput,
            Error::Store(problem) => problem.error.remedy(),
            Error::Spill(problem) => problem.remedy(),
            Error::OutOfMemory(_) | Error::ValueTooLarge { .. } => Remedy::GiveMemory,
            Error::Cancelled => Remedy::Retry,
        }
    }

    /// The part of the statement that the error is about.
    pub fn span(&self) -> Option<Span> {
        match self {
            // PostgreSQL gives these no place.
            Error::Argument {
                problem: ArgumentProblem::NegativeLimit | ArgumentProblem::NegativeOffset,
                ..
            } => None,
            Error::Value { span, .. }
            | Error::Argument { span, .. }
            | Error::Refused { span, .. }
            | Error::ValueTooLarge { span, .. } => Some(*span),
            Error::File(_)
            | Error::Violation(_)
            | Error::Store(_)
            | Error::Spill(_)
            | Error::OutOfMemory(_)
            | Error::Cancelled
            | Error::ManyRows
            | Error::TooDeep
            | Error::NotSupported { .. } => None,
        }
    }

    /// What would help, where something would.
    pub fn hint(&self) -> Option<Hint<'_>> {
        match self {
            Error::Value { error, .. } => error.hint().map(Hint::Text),
            Error::Refused { refusal, .. } => refusal.hint().map(Hint::Text),
            Error::Argument { .. }
            | Error::Cancelled
            | Error::ManyRows
            | Error::TooDeep
            | Error::NotSupported { .. }
            | Error::Store(_) => None,
            Error::File(problem) => problem.kind.hint().map(Hint::Text),
            Error::Spill(problem) => Some(Hint::Text(problem.hint())),
            Error::Violation(Violation { kind: ViolationKind::Unique { .. }, row, .. }) => {
                Some(Hint::Key(row.as_str()))
            }
            Error::Violation(violation) => Some(Hint::Row(violation.row.as_str())),
            Error::OutOfMemory(_) => Some(Hint::Text("raise memory_limit, or select fewer rows or columns")),
            Error::ValueTooLarge { .. } => {
                Some(Hint::Text("raise memory_limit, or aggregate fewer rows into one value"))
            }
        }
    }

    /// Whether memory was refused: the same may be asked for again when somebody has made room.
    pub(crate) const fn refusal(&self) -> Option<AllocError> {
        match self {
            Error::OutOfMemory(_) | Error::ValueTooLarge { .. } => Some(AllocError),
            _ => None,
        }
    }

    /// The error where memory was refused for a value of so many bytes: it is to blame if these are a part of the limit that leaves
    /// little room for what is made of it.
    #[cold]
    pub(crate) fn for_value(self, what: &'static str, bytes: usize, span: Span, budget: &Budget) -> Self {
        let bytes = bytes as u64;
        match self {
            Error::OutOfMemory(_) if bytes >= budget.limit_on_path() / VALUE_SHARE => {
                Error::ValueTooLarge { what, bytes, span }
            }
            error => error,
        }
    }

    /// What a call of the expression at `span` has run into.
    #[cold]
    pub(crate) fn of_call(problem: Problem, span: Span) -> Self {
        match problem {
            Problem::OutOfMemory(error) => Error::OutOfMemory(error),
            Problem::Cancelled => Error::Cancelled,
            Problem::Value(error) => Error::Value { error, span },
            Problem::Refused(refusal) => Error::Refused { refusal, span },
        }
    }

    /// The texts of one batch reach 4 GiB.
    pub(crate) fn too_much_text(span: Span) -> Self {
        let error = cofferdam_types::Error::OutOfRange { ty: Type::Text, text: Excerpt::new(b"") };
        Error::Value { error, span }
    }

    /// The same error of an expression, which lives as long as the caller wants.
    pub(crate) fn detached<'b>(self) -> Error<'b> {
        match self {
            Error::Value { error, span } => Error::Value { error, span },
            Error::Argument { problem, span } => Error::Argument { problem, span },
            Error::Refused { refusal, span } => Error::Refused { refusal, span },
            Error::OutOfMemory(error) => Error::OutOfMemory(error),
            Error::ValueTooLarge { what, bytes, span } => Error::ValueTooLarge { what, bytes, span },
            Error::Cancelled => Error::Cancelled,
            Error::ManyRows => Error::ManyRows,
            Error::TooDeep => Error::TooDeep,
            Error::NotSupported { what } => Error::NotSupported { what },
            Error::Spill(problem) => Error::Spill(problem),
            Error::File(_) | Error::Violation(_) | Error::Store(_) => {
                unreachable!("an expression reads no file and no table")
            }
        }
    }

    /// What is wrong with a value, where it is known which row's it is.
    pub(crate) fn of_row(&self) -> Option<RowError> {
        match *self {
            Error::Value { error, .. } => Some(RowError::Value(error)),
            Error::Argument { problem, .. } => Some(RowError::Argument(problem)),
            Error::Refused { refusal, .. } => Some(RowError::Refused(refusal)),
            _ => None,
        }
    }
}

impl ArgumentProblem {
    fn sqlstate(self) -> &'static str {
        match self {
            ArgumentProblem::NegativeSubstringLength => "22011",
            ArgumentProblem::PatternEndsInEscape => "22025",
            ArgumentProblem::FrameOffsetNull { .. } => "22004",
            ArgumentProblem::FrameOffsetNegative { .. } => "22013",
            ArgumentProblem::NtileNotPositive => "22014",
            ArgumentProblem::NthValueNotPositive => "22016",
            ArgumentProblem::NegativeLimit => "2201W",
            ArgumentProblem::NegativeOffset => "2201X",
            ArgumentProblem::TooManyCharacters { .. } => "22001",
            ArgumentProblem::FractionOutOfRange { .. } => "22003",
            ArgumentProblem::NullFieldName | ArgumentProblem::FieldNameNotScalar => "22023",
        }
    }
}

fn bound_name(is_start: bool) -> &'static str {
    if is_start { "starting" } else { "ending" }
}

impl fmt::Display for ArgumentProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArgumentProblem::NegativeSubstringLength => f.write_str("negative substring length not allowed"),
            ArgumentProblem::PatternEndsInEscape => {
                f.write_str("LIKE pattern must not end with escape character")
            }
            ArgumentProblem::NegativeLimit => f.write_str("LIMIT must not be negative"),
            ArgumentProblem::NegativeOffset => f.write_str("OFFSET must not be negative"),
            ArgumentProblem::FrameOffsetNull { is_start } => {
                write!(f, "frame {} offset must not be null", bound_name(*is_start))
            }
            ArgumentProblem::FrameOffsetNegative { is_start } => {
                write!(f, "frame {} offset must not be negative", bound_name(*is_start))
            }
            ArgumentProblem::NtileNotPositive => f.write_str("argument of ntile must be greater than zero"),
            ArgumentProblem::NthValueNotPositive => {
                f.write_str("argument of nth_value must be greater than zero")
            }
            ArgumentProblem::TooManyCharacters { count } => {
                write!(f, "value too long for type character varying({count})")
            }
            ArgumentProblem::FractionOutOfRange { fraction } => {
                let fraction = cofferdam_types::Value::Double(f64::from_bits(*fraction));
                write!(f, "percentile value {fraction} is not between 0 and 1")
            }
            ArgumentProblem::NullFieldName => f.write_str("field name must not be null"),
            ArgumentProblem::FieldNameNotScalar => {
                f.write_str("key value must be scalar, not array, composite, or json")
            }
        }
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RowError::Value(error) => error.fmt(f),
            RowError::Refused(refusal) => refusal.fmt(f),
            RowError::Argument(problem) => problem.fmt(f),
        }
    }
}

impl fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hint::Text(text) => f.write_str(text),
            Hint::Row(row) => write!(f, "the row is {row}"),
            Hint::Key(key) => write!(f, "the key is {key}"),
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file \"{}\", line {}", self.path, self.line)
    }
}

impl fmt::Display for Violation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place {
            write!(f, "{place}: ")?;
        }
        let table = self.table;
        match self.kind {
            ViolationKind::Null { column } => write!(
                f,
                "null value in column \"{column}\" of relation \"{table}\" violates not-null constraint"
            ),
            ViolationKind::Check { name } => {
                write!(f, "new row for relation \"{table}\" violates check constraint \"{name}\"")
            }
            ViolationKind::Unique { name } => {
                write!(f, "duplicate key value violates unique constraint \"{}\"", name.as_str())
            }
        }
    }
}

impl fmt::Display for StoreProblem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some(place) => write!(f, "{place}: {}", self.error),
            None => self.error.fmt(f),
        }
    }
}

impl FileProblemKind<'_> {
    fn sqlstate(&self) -> &'static str {
        match self {
            FileProblemKind::Io { kind: std::io::ErrorKind::NotFound } => "58P01",
            FileProblemKind::Io { kind: std::io::ErrorKind::PermissionDenied } => "42501",
            FileProblemKind::Io { kind: std::io::ErrorKind::IsADirectory } => "42809",
            FileProblemKind::NotAFile => "42809",
            FileProblemKind::Io { .. } | FileProblemKind::Shrunk => "58030",
            FileProblemKind::BadField { error, .. } => error.sqlstate(),
            FileProblemKind::Ragged { .. }
            | FileProblemKind::UnclosedQuote
            | FileProblemKind::CarriageReturns => "22P04",
            FileProblemKind::NulByte { .. } | FileProblemKind::InvalidUtf8 { .. } => "22021",
            FileProblemKind::Refused { error: RowError::Value(error), .. } => error.sqlstate(),
            FileProblemKind::Refused { error: RowError::Argument(problem), .. } => problem.sqlstate(),
            FileProblemKind::Refused { error: RowError::Refused(refusal), .. } => refusal.sqlstate(),
            FileProblemKind::LineTooLong => "54000",
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            FileProblemKind::BadField { error, is_assigned: true, .. } => error.hint(),
            FileProblemKind::BadField { .. } => {
                Some("give the column a type that has all its values: FROM 'file' AS t(column type, ...)")
            }
            FileProblemKind::Ragged { .. } => Some("every row needs as many fields as the first one"),
            FileProblemKind::NulByte { .. } => Some("text files only; UTF-16 must be converted to UTF-8"),
            FileProblemKind::InvalidUtf8 { .. } => Some("convert the file to UTF-8"),
            FileProblemKind::UnclosedQuote => Some("write a quote inside a quoted field twice"),
            FileProblemKind::CarriageReturns => Some("end lines in newlines"),
            FileProblemKind::NotAFile => Some("write what it gives to a file"),
            FileProblemKind::Refused { error: RowError::Value(error), .. } => error.hint(),
            FileProblemKind::Refused { error: RowError::Refused(refusal), .. } => refusal.hint(),
            FileProblemKind::Io { .. }
            | FileProblemKind::Shrunk
            | FileProblemKind::LineTooLong
            | FileProblemKind::Refused { .. } => None,
        }
    }
}

impl fmt::Display for Error<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Value { error, .. } => error.fmt(f),
            Error::Argument { problem, .. } => problem.fmt(f),
            Error::Refused { refusal, .. } => refusal.fmt(f),
            Error::File(problem) => problem.fmt(f),
            Error::Violation(violation) => violation.fmt(f),
            Error::Store(problem) => problem.fmt(f),
            Error::Spill(problem) => problem.fmt(f),
            Error::OutOfMemory(error) => error.fmt(f),
            Error::ValueTooLarge { what, bytes, .. } => {
                write!(f, "one value of {what} had come to {} when memory ran out", human_bytes(*bytes))
            }
            Error::Cancelled => f.write_str("canceling statement due to user request"),
            Error::ManyRows => f.write_str("more than one row returned by a subquery used as an expression"),
            Error::TooDeep => f.write_str("recursive queries are nested too deep"),
            Error::NotSupported { what } => write!(f, "the operator {what} is not supported yet"),
        }
    }
}

impl fmt::Display for FileProblem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path;
        match self.kind {
            FileProblemKind::Io { kind } => return write!(f, "could not read file \"{path}\": {kind}"),
            FileProblemKind::NotAFile => {
                return write!(f, "could not read file \"{path}\": is a pipe or a device");
            }
            FileProblemKind::Shrunk => {
                return write!(f, "could not read file \"{path}\": it became shorter meanwhile");
            }
            _ => write!(f, "file \"{path}\", line {}", self.line)?,
        }
        match self.kind {
            FileProblemKind::Io { .. } | FileProblemKind::NotAFile | FileProblemKind::Shrunk => Ok(()),
            FileProblemKind::BadField { column, name, error, .. } => {
                write!(f, ", column {column} (\"{name}\"): {error}")
            }
            FileProblemKind::Ragged { fields, expected } => {
                write!(f, ": {fields} fields instead of {expected}")
            }
            FileProblemKind::NulByte { offset } => write!(f, ": NUL byte at offset {offset}"),
            FileProblemKind::InvalidUtf8 { offset, name } => {
                write!(f, ", column \"{name}\": invalid UTF-8 at offset {offset}")
            }
            FileProblemKind::Refused { name, error } => write!(f, ", column \"{name}\": {error}"),
            FileProblemKind::UnclosedQuote => f.write_str(": a quoted field is not closed"),
            FileProblemKind::CarriageReturns => {
                f.write_str(": a carriage return without a newline outside of quotes")
            }
            FileProblemKind::LineTooLong => f.write_str(": the line is longer than 4 GiB"),
        }
    }
}

impl core::error::Error for Error<'_> {}
impl core::error::Error for FileProblem<'_> {}
impl core::error::Error for Violation<'_> {}
impl core::error::Error for StoreProblem<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Aim: every kind of error has its own SQLSTATE class, a message with the place, and a remedy.
    #[test]
    fn errors_name_their_place_and_remedy() {
        let problem = |kind| FileProblem { path: "f.csv", line: 7, kind };
        let cases = [
            (FileProblemKind::Io { kind: std::io::ErrorKind::PermissionDenied }, "42501", "\"f.csv\""),
            (FileProblemKind::Io { kind: std::io::ErrorKind::Other }, "58030", "\"f.csv\""),
            (FileProblemKind::LineTooLong, "54000", "line 7: the line is longer than 4 GiB"),
            (FileProblemKind::UnclosedQuote, "22P04", "line 7: a quoted field is not closed"),
            (FileProblemKind::Ragged { fields: 3, expected: 4 }, "22P04", "line 7: 3 fields instead of 4"),
        ];
        for (kind, sqlstate, message) in cases {
            let problem = problem(kind);
            let error = Error::File(&problem);
            assert_eq!((error.sqlstate(), error.remedy(), error.span()), (sqlstate, Remedy::FixInput, None));
            assert!(error.to_string().contains(message), "{error}");
        }
        assert_eq!((Error::Cancelled.sqlstate(), Error::Cancelled.remedy()), ("57014", Remedy::Retry));
        let memory = Error::from(AllocError);
        assert_eq!((memory.sqlstate(), memory.remedy()), ("53200", Remedy::GiveMemory));
        assert!(memory.hint().is_some_and(|hint| hint.to_string().contains("memory_limit")));
    }
}
