//! What can go wrong between a text and its tree.
//!
//! Error values hold no memory: the beginning of what was found is copied into the value, and everything else is a code
//! or a constant. Making, returning and printing one takes nothing from the budget.

use std::fmt::{self, Write};

use cofferdam_arena::AllocError;

use crate::{Keyword, Span};

/// Why a text did not become a tree, sorted by what the caller can do about it.
#[derive(Clone, Copy, Debug)]
pub enum Error {
    /// The text is not SQL: fix the text.
    Syntax(SyntaxError),
    /// The text is PostgreSQL's SQL, but this parser does not have that part: write it in another way.
    Unsupported(Unsupported),
    /// The text has a NUL byte, which no text in SQL may have.
    NulByte {
        /// The offset of the byte.
        offset: u32,
    },
    /// The text is longer than positions in it can say.
    TextTooLong {
        /// The length of the text in bytes.
        bytes: u64,
    },
    /// A name before a dot is longer than [`QUALIFIER_BYTES_LIMIT`].
    NameTooLong {
        /// The name.
        span: Span,
    },
    /// Whoever asked for the tree has cancelled it.
    Cancelled,
    /// The statement's budget is used up: give it more memory. The budget's last refusal says how much.
    OutOfMemory(AllocError),
}

/// The longest text in bytes that a tree can point into.
pub const TEXT_BYTES_LIMIT: u64 = u32::MAX as u64 - 1;

/// The longest name in bytes that can stand before a dot.
pub const QUALIFIER_BYTES_LIMIT: u32 = u16::MAX as u32;

/// A part of PostgreSQL's SQL that is not supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// What it is called.
    pub what: &'static str,
    /// Where it stands.
    pub span: Span,
}

/// A mistake in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// What is wrong.
    pub mistake: Mistake,
    /// Where it is wrong.
    pub span: Span,
    /// The beginning of what stands there.
    pub found: Excerpt,
    /// What could stand there instead; a short choice, not everything.
    pub expected: &'static [&'static str],
    /// A likely reason.
    pub hint: Option<Hint>,
}

/// What is wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mistake {
    /// Something that cannot stand here.
    Unexpected,
    /// A string without its closing quote.
    UnterminatedString,
    /// A quoted name without its closing quote.
    UnterminatedName,
    /// A comment without its end.
    UnterminatedComment,
    /// A dollar-quoted string without its closing tag.
    UnterminatedDollarString,
    /// `""`, a name without a letter.
    EmptyName,
    /// Letters right after a number or a parameter.
    TrailingJunk,
    /// `0x`, `0o` or `0b` without a digit.
    MissingDigits,
    /// The number of a parameter is beyond 2,147,483,647.
    ParameterTooBig,
    /// An escape in `E'…'` or `U&'…'` that means no character.
    InvalidEscape,
    /// A character after `UESCAPE` that cannot be an escape, or none.
    InvalidEscapeCharacter,
    /// An operator of more than 63 characters.
    OperatorTooLong,
    /// A clause given twice.
    RepeatedClause,
    /// A property that contradicts one before it.
    Contradiction,
    /// A property that a constraint of this kind cannot have.
    NotOfThisConstraint,
    /// `.*` before more of a name.
    MisplacedStar,
    /// A row of `OVERLAPS` that has not two values.
    OverlapsNeedsPairs,
    /// `WITHIN GROUP` after a call with `DISTINCT`, `VARIADIC` or `ORDER BY`.
    WithinGroup,
    /// An argument with a name, or `ORDER BY`, in the modifiers of a type.
    NotAModifier,
    /// A precision of `float` that is not between 1 and 53.
    FloatPrecision,
    /// `WITH TIES` without `ORDER BY`.
    TiesWithoutOrder,
    /// `WITH TIES` and `SKIP LOCKED`.
    TiesWithSkipLocked,
    /// A table's name of more than three parts.
    TooManyNames,
    /// The frame of a window that begins after its row or at the end of all rows.
    FrameStart,
    /// The frame of a window that ends before it begins.
    FrameEnd,
    /// An option that is none.
    UnknownOption,
    /// A second option of the same kind.
    RepeatedOption,
    /// The path of a `JSON_TABLE` that is no string.
    PathIsNoString,
}

/// A likely reason for a mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// A comma may be missing.
    MissingComma,
    /// A comma too many before what was found.
    ExtraComma,
    /// `=>` where `>=` was meant.
    ArrowForGreaterOrEqual,
    /// A keyword where a name is needed.
    ReservedWord(Keyword),
    /// A keyword that is a label only after `AS`.
    LabelNeedsAs(Keyword),
    /// The quote or comment that is not closed opened at this offset.
    OpenedAt(u32),
    /// The parenthesis that is not closed opened at this offset.
    ParenthesisOpenedAt(u32),
    /// A parenthesis is closed that was never opened.
    NeverOpened,
    /// Comparisons in a row.
    ComparisonChain,
    /// More text after the `;` of the statement.
    OneStatement,
    /// Column types after a table that is no file.
    TypesBelongToFiles,
    /// A join without its condition.
    JoinNeedsCondition,
    /// `LIMIT a, b`.
    LimitComma,
    /// A name with a subscript or `.*` where it can have none.
    PlainName,
    /// `==` for `=`.
    EqualSign,
    /// A word where a string is needed.
    StringQuotes,
    /// A word that is nearly this keyword.
    Misspelled(Keyword),
}

impl Error {
    /// The SQLSTATE code of PostgreSQL for this error.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Error::Syntax(SyntaxError { mistake: Mistake::FloatPrecision, .. }) => "22023",
            Error::Syntax(SyntaxError { mistake: Mistake::FrameStart | Mistake::FrameEnd, .. }) => "42P20",
            Error::Syntax(_) => "42601",
            Error::Unsupported(_) => "0A000",
            Error::NulByte { .. } => "22021",
            Error::TextTooLong { .. } => "54000",
            Error::NameTooLong { .. } => "42622",
            Error::Cancelled => "57014",
            Error::OutOfMemory(_) => "53200",
        }
    }

    /// Where in the text it is, in bytes.
    pub fn span(&self) -> Option<Span> {
        match *self {
            Error::Syntax(SyntaxError { span, .. })
            | Error::Unsupported(Unsupported { span, .. })
            | Error::NameTooLong { span } => Some(span),
            Error::NulByte { offset } => Some(Span { start: offset, len: 1 }),
            Error::TextTooLong { .. } | Error::Cancelled | Error::OutOfMemory(_) => None,
        }
    }

    /// A likely reason, as a value that prints a sentence.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Error::Syntax(error) => error.hint,
            _ => None,
        }
    }
}

impl From<AllocError> for Error {
    fn from(error: AllocError) -> Error {
        Error::OutOfMemory(error)
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Syntax(error) => error.fmt(f),
            Error::Unsupported(unsupported) => unsupported.fmt(f),
            Error::NulByte { offset } => write!(f, "the text has a NUL byte at offset {offset}"),
            Error::TextTooLong { bytes } => {
                write!(f, "the text has {bytes} bytes; a statement can have {TEXT_BYTES_LIMIT} bytes")
            }
            Error::NameTooLong { span } => {
                write!(
                    f,
                    "a name before a dot has {} bytes; it can have {QUALIFIER_BYTES_LIMIT} bytes",
                    span.len
                )
            }
            Error::Cancelled => f.write_str("the statement was cancelled"),
            Error::OutOfMemory(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_keyword = Keyword::find(self.what).is_some();
        for letter in self.what.chars() {
            f.write_char(if is_keyword { letter.to_ascii_uppercase() } else { letter })?;
        }
        f.write_str(" is not supported yet")
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.mistake {
            Mistake::Unexpected => "syntax error",
            Mistake::UnterminatedString => "unterminated string",
            Mistake::UnterminatedName => "unterminated quoted name",
            Mistake::UnterminatedComment => "unterminated comment",
            Mistake::UnterminatedDollarString => "unterminated dollar-quoted string",
            Mistake::EmptyName => "a quoted name is empty",
            Mistake::TrailingJunk => "letters right after a number",
            Mistake::MissingDigits => "a number without digits",
            Mistake::ParameterTooBig => "a parameter number above 2147483647",
            Mistake::InvalidEscape => "an escape that means no character",
            Mistake::InvalidEscapeCharacter => "UESCAPE without a usable escape character",
            Mistake::OperatorTooLong => "an operator of more than 63 characters",
            Mistake::RepeatedClause => "a clause is given twice",
            Mistake::Contradiction => "a property contradicts one before it",
            Mistake::NotOfThisConstraint => "a constraint of this kind has no such property",
            Mistake::MisplacedStar => "`*` stands before more of a name",
            Mistake::OverlapsNeedsPairs => "OVERLAPS needs two values on each side",
            Mistake::WithinGroup => "WITHIN GROUP after DISTINCT, VARIADIC or ORDER BY in the call",
            Mistake::NotAModifier => "this cannot be a modifier of a type",
            Mistake::FloatPrecision => "the precision of float must be from 1 to 53",
            Mistake::TiesWithoutOrder => "WITH TIES without ORDER BY",
            Mistake::TiesWithSkipLocked => "WITH TIES and SKIP LOCKED together",
            Mistake::FrameStart => "a frame of a window cannot start here",
            Mistake::FrameEnd => "a frame of a window cannot end here",
            Mistake::UnknownOption => "an unknown option",
            Mistake::RepeatedOption => "an option is given twice",
            Mistake::PathIsNoString => "the path of a JSON_TABLE must be a string",
            Mistake::TooManyNames => "a table's name has more than three parts",
        })?;
        if self.found.is_empty() {
            f.write_str(" at the end of the text")?;
        } else {
            write!(f, " at {}", self.found)?;
        }
        for (index, expected) in self.expected.iter().enumerate() {
            let separator = match index {
                0 => "; expected ",
                _ if index + 1 == self.expected.len() => " or ",
                _ => ", ",
            };
            write!(f, "{separator}{expected}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hint::MissingComma => f.write_str("a comma may be missing before it"),
            Hint::ExtraComma => f.write_str("there is a comma too many before it"),
            Hint::ArrowForGreaterOrEqual => f.write_str("greater than or equal is written `>=`"),
            Hint::ReservedWord(word) => {
                let word = word.word();
                write!(f, "`{word}` is a reserved word; as a name it is written \"{word}\"")
            }
            Hint::LabelNeedsAs(word) => write!(f, "as a label, `{}` needs `AS` before it", word.word()),
            Hint::OpenedAt(offset) => write!(f, "it opened at offset {offset} and is never closed"),
            Hint::ParenthesisOpenedAt(offset) => {
                write!(f, "the parenthesis that opened at offset {offset} is not closed")
            }
            Hint::NeverOpened => f.write_str("no parenthesis is open here"),
            Hint::ComparisonChain => {
                f.write_str("comparisons in a row need parentheses, or `AND` between them")
            }
            Hint::OneStatement => {
                f.write_str("one statement is parsed at a time; `statements` finds their ends")
            }
            Hint::TypesBelongToFiles => {
                f.write_str("only columns of files and functions can be given types here")
            }
            Hint::JoinNeedsCondition => {
                f.write_str("a join needs `ON` or `USING`; `CROSS JOIN` has no condition")
            }
            Hint::PlainName => f.write_str("the name before it can have no subscript and no `.*`"),
            Hint::EqualSign => f.write_str("equality is written `=`"),
            Hint::StringQuotes => f.write_str("a string is written in single quotes"),
            Hint::LimitComma => f.write_str("write `LIMIT count OFFSET start`"),
            Hint::Misspelled(word) => write!(f, "was `{}` meant?", word.word()),
        }
    }
}

/// The first bytes of a piece of text, kept in place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Excerpt {
    bytes: [u8; Excerpt::BYTES],
    len: u8,
    is_cut: bool,
}

impl Excerpt {
    const BYTES: usize = 22;

    /// The beginning of the first line of `text`, cut between characters.
    pub(crate) fn of(text: &str) -> Excerpt {
        let mut bytes = [0; Excerpt::BYTES];
        let line_bytes = text.bytes().take(Excerpt::BYTES).position(|byte| byte == b'\n');
        let len = line_bytes.unwrap_or_else(|| text.floor_char_boundary(Excerpt::BYTES));
        for (to, from) in bytes.iter_mut().zip(text.bytes().take(len)) {
            *to = from;
        }
        Excerpt { bytes, len: len as u8, is_cut: len < text.len() }
    }

    /// Whether nothing was found: the text had ended.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.bytes.get(..usize::from(self.len)).and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or("")
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.is_cut { "…" } else { "" };
        write!(f, "\"{}{more}\"", self.as_str())
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const _: () = assert!(size_of::<Error>() <= 88, "an error is small enough to return");
