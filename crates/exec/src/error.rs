//! What can go wrong while a query runs, sorted by what the caller can do about it.
//!
//! An error is `Copy` and holds no heap memory. What is too big to travel in it (the place in a file, the value found
//! there) stands in a record that the operator allocated when it opened, so that reporting an error takes no memory
//! from a budget that may be exhausted.

use core::fmt;

use cofferdam_arena::AllocError;
use cofferdam_plan::Span;

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
    /// Fix the input: a file cannot be read, or a row of it is malformed.
    File(&'a FileProblem<'a>),
    /// Give more memory; the details are in the budget's last refusal.
    OutOfMemory(AllocError),
    /// Retry if you like: the statement was cancelled.
    Cancelled,
}

const _: () = assert!(size_of::<Error<'_>>() <= 72);

/// What the caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Correct the query, the file or the value.
    FixInput,
    /// Raise the memory limit.
    GiveMemory,
    /// Run the statement again.
    Retry,
}

/// An argument that a function does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentProblem {
    /// `substring` with a negative length.
    NegativeSubstringLength,
    /// A LIKE pattern that ends in its escape character.
    PatternEndsInEscape,
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
    /// Lines end in a carriage return and no newline.
    CarriageReturns,
    /// A line is longer than 4 GiB.
    LineTooLong,
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
            Error::Argument { problem: ArgumentProblem::NegativeSubstringLength, .. } => "22011",
            Error::Argument { problem: ArgumentProblem::PatternEndsInEscape, .. } => "22025",
            Error::File(problem) => problem.kind.sqlstate(),
            Error::OutOfMemory(_) => "53200",
            Error::Cancelled => "57014",
        }
    }

    /// What the caller can do.
    pub fn remedy(&self) -> Remedy {
        match self {
            Error::Value { .. } | Error::Argument { .. } | Error::File(_) => Remedy::FixInput,
            Error::OutOfMemory(_) => Remedy::GiveMemory,
            Error::Cancelled => Remedy::Retry,
        }
    }

    /// The part of the statement that the error is about.
    pub fn span(&self) -> Option<Span> {
        match self {
            Error::Value { span, .. } | Error::Argument { span, .. } => Some(*span),
            Error::File(_) | Error::OutOfMemory(_) | Error::Cancelled => None,
        }
    }

    /// What would help, where something would.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::Value { error, .. } => error.hint(),
            Error::Argument { .. } | Error::Cancelled => None,
            Error::File(problem) => problem.kind.hint(),
            Error::OutOfMemory(_) => Some("raise memory_limit, or select fewer rows or columns"),
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
            FileProblemKind::LineTooLong => "54000",
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            FileProblemKind::BadField { .. } => {
                Some("give the column a type that has all its values: FROM 'file' AS t(column type, ...)")
            }
            FileProblemKind::Ragged { .. } => Some("every row needs as many fields as the first one"),
            FileProblemKind::NulByte { .. } => Some("text files only; UTF-16 must be converted to UTF-8"),
            FileProblemKind::InvalidUtf8 { .. } => Some("convert the file to UTF-8"),
            FileProblemKind::UnclosedQuote => Some("write a quote inside a quoted field twice"),
            FileProblemKind::CarriageReturns => Some("end lines in newlines"),
            FileProblemKind::NotAFile => Some("write what it gives to a file"),
            FileProblemKind::Io { .. } | FileProblemKind::Shrunk | FileProblemKind::LineTooLong => None,
        }
    }
}

impl fmt::Display for Error<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Value { error, .. } => error.fmt(f),
            Error::Argument { problem: ArgumentProblem::NegativeSubstringLength, .. } => {
                f.write_str("negative substring length not allowed")
            }
            Error::Argument { problem: ArgumentProblem::PatternEndsInEscape, .. } => {
                f.write_str("LIKE pattern must not end with escape character")
            }
            Error::File(problem) => problem.fmt(f),
            Error::OutOfMemory(error) => error.fmt(f),
            Error::Cancelled => f.write_str("canceling statement due to user request"),
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
            FileProblemKind::BadField { column, name, error } => {
                write!(f, ", column {column} (\"{name}\"): {error}")
            }
            FileProblemKind::Ragged { fields, expected } => {
                write!(f, ": {fields} fields instead of {expected}")
            }
            FileProblemKind::NulByte { offset } => write!(f, ": NUL byte at offset {offset}"),
            FileProblemKind::InvalidUtf8 { offset, name } => {
                write!(f, ", column \"{name}\": invalid UTF-8 at offset {offset}")
            }
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
        assert!(memory.hint().is_some_and(|hint| hint.contains("memory_limit")));
    }
}
