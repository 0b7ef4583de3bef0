//! What a call sees besides its arguments, and what comes out of it.

use core::fmt::{self, Write as _};

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena, Budget, Growing};
use cofferdam_types::{Excerpt, Value};

use crate::regex::Regex;

/// The bytes that a result may have: what PostgreSQL allows.
pub(crate) const RESULT_BYTES_MAX: usize = 0x3fff_ffff;

/// Where results that are bytes go: appended to what is there, a column's texts for example.
pub trait Sink {
    /// How many bytes are there.
    fn len(&self) -> usize;

    /// Makes room for so many more bytes.
    ///
    /// # Errors
    /// The budget refuses; nothing has changed.
    fn reserve(&mut self, bytes: usize) -> Result<(), AllocError>;

    /// Appends bytes.
    ///
    /// # Errors
    /// The budget refuses; nothing has changed.
    fn append(&mut self, bytes: &[u8]) -> Result<(), AllocError>;

    /// Forgets what is behind the first `len` bytes.
    fn truncate(&mut self, len: usize);

    /// What is there.
    fn bytes(&self) -> &[u8];

    /// What is there, to be changed.
    fn bytes_mut(&mut self) -> &mut [u8];

    /// Whether nothing is there.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Sink for Vec<'_, u8> {
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }

    fn reserve(&mut self, bytes: usize) -> Result<(), AllocError> {
        Vec::reserve(self, bytes)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), AllocError> {
        self.extend_from_slice(bytes)
    }

    fn truncate(&mut self, len: usize) {
        Vec::truncate(self, len);
    }

    fn bytes(&self) -> &[u8] {
        self
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl Sink for Growing<u8> {
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }

    fn reserve(&mut self, bytes: usize) -> Result<(), AllocError> {
        Growing::reserve(self, bytes)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), AllocError> {
        self.extend_from_slice(bytes)
    }

    fn truncate(&mut self, len: usize) {
        Growing::truncate(self, len);
    }

    fn bytes(&self) -> &[u8] {
        self
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
}

/// Who is connected to what: answers of `current_user` and the like.
#[derive(Clone, Copy)]
pub struct Session<'c> {
    /// The database's name.
    pub database: &'c str,
    /// The schema in which tables are made.
    pub schema: &'c str,
    /// The user's name.
    pub user: &'c str,
    /// The program and its version.
    pub version: &'c str,
    /// What texts of values depend on: the start of the transaction, and time zones.
    pub conversions: cofferdam_types::Session<'c>,
}

impl fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("database", &self.database)
            .field("schema", &self.schema)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Pseudo-random numbers of a session: xoshiro256**, seeded from one number.
#[derive(Clone, Copy, Debug)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// The numbers that follow from `seed`.
    pub fn new(seed: u64) -> Random {
        let mut mixed = seed;
        Random { state: [(); 4].map(|()| split_mix(&mut mixed)) }
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number from 0 up to, not including, 1.
    pub fn next_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// One step of SplitMix64.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// What one place of a statement that calls a function keeps from row to row: a compiled pattern, so that a constant
/// one is compiled once. A pattern that changes is compiled into the buffers of the one before.
#[derive(Debug)]
pub struct Site {
    pub(crate) regex: Regex,
}

impl Site {
    /// A place that has kept nothing yet and takes nothing; what it keeps will be charged to `budget`.
    pub fn new(budget: &Budget) -> Site {
        Site { regex: Regex::new(budget) }
    }

    /// What it was charged for.
    pub fn charged_bytes(&self) -> usize {
        self.regex.charged_bytes()
    }
}

/// What a call sees besides its arguments.
pub struct Context<'c> {
    /// The statement's clock.
    pub clock: &'c Clock<'c>,
    /// Who is connected to what.
    pub session: &'c Session<'c>,
    /// Where bytes of results go.
    pub sink: &'c mut dyn Sink,
    /// Memory for the length of a call; it is as before when the call returns.
    pub scratch: &'c mut Arena,
    /// The session's random numbers.
    pub random: &'c mut Random,
    /// What the calling place keeps.
    pub site: &'c mut Site,
    /// Whether the statement was cancelled; asked now and then in calls that may take long.
    pub is_cancelled: &'c dyn Fn() -> bool,
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("session", self.session)
            .field("sink_bytes", &self.sink.len())
            .finish_non_exhaustive()
    }
}

/// The times that a statement sees, in microseconds since 1970 (UTC).
#[derive(Clone, Copy)]
pub struct Clock<'c> {
    /// When the transaction began.
    pub transaction_us: i64,
    /// When the statement began.
    pub statement_us: i64,
    /// What time it is.
    pub now_us: &'c dyn Fn() -> i64,
}

impl fmt::Debug for Clock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock")
            .field("transaction_us", &self.transaction_us)
            .field("statement_us", &self.statement_us)
            .finish_non_exhaustive()
    }
}

/// What a call gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Output<'v> {
    /// A value; bytes in it are those of an argument, or constant.
    Value(Value<'v>),
    /// The bytes that were appended to the sink, as a value of the result's type.
    Written,
}

impl Output<'_> {
    /// No value.
    pub const NULL: Output<'static> = Output::Value(Value::Null);
}

/// Why a call gives nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Problem {
    /// The budget refused (53200); its last refusal says why.
    OutOfMemory(AllocError),
    /// The statement was cancelled (57014).
    Cancelled,
    /// A value cannot be computed or read.
    Value(cofferdam_types::Error),
    /// The function refuses its arguments.
    Refused(Refusal),
}

/// What a function has against its arguments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Refusal {
    pub(crate) sqlstate: &'static str,
    /// The message: `%` stands for the text, `#` for the number, `@` for the name.
    pub(crate) message: &'static str,
    pub(crate) text: Excerpt,
    pub(crate) number: i64,
    pub(crate) name: &'static str,
    pub(crate) hint: Option<&'static str>,
}

impl Refusal {
    /// The five characters that SQL clients tell errors apart by.
    pub const fn sqlstate(&self) -> &'static str {
        self.sqlstate
    }

    /// What the user can do, where there is something.
    pub const fn hint(&self) -> Option<&'static str> {
        self.hint
    }
}

impl Problem {
    /// A message without parts.
    #[cold]
    pub(crate) fn new(sqlstate: &'static str, message: &'static str) -> Problem {
        Problem::with(sqlstate, message, "", 0)
    }

    /// A message about a text.
    #[cold]
    pub(crate) fn about(sqlstate: &'static str, message: &'static str, text: &str) -> Problem {
        Problem::with(sqlstate, message, text, 0)
    }

    /// A message about a number.
    #[cold]
    pub(crate) fn count(sqlstate: &'static str, message: &'static str, number: i64) -> Problem {
        Problem::with(sqlstate, message, "", number)
    }

    /// A message about a text and a number.
    #[cold]
    pub(crate) fn with(sqlstate: &'static str, message: &'static str, text: &str, number: i64) -> Problem {
        let text = Excerpt::new(text.as_bytes());
        Problem::Refused(Refusal { sqlstate, message, text, number, name: "", hint: None })
    }

    /// A message about a text and something that has a name.
    #[cold]
    pub(crate) fn named(
        sqlstate: &'static str,
        message: &'static str,
        text: &str,
        name: &'static str,
    ) -> Problem {
        let text = Excerpt::new(text.as_bytes());
        Problem::Refused(Refusal { sqlstate, message, text, number: 0, name, hint: None })
    }

    /// The same with a hint, where it is a refusal.
    #[cold]
    pub(crate) fn hinted(self, hint: &'static str) -> Problem {
        match self {
            Problem::Refused(refusal) => Problem::Refused(Refusal { hint: Some(hint), ..refusal }),
            other => other,
        }
    }

    /// The result would be longer than any may be.
    #[cold]
    pub(crate) fn too_long() -> Problem {
        Problem::new("54000", "requested length too large")
    }

    /// The five characters that SQL clients tell errors apart by.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Problem::OutOfMemory(_) => "53200",
            Problem::Cancelled => "57014",
            Problem::Value(error) => error.sqlstate(),
            Problem::Refused(refusal) => refusal.sqlstate,
        }
    }

    /// What the user can do, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Problem::Value(error) => error.hint(),
            Problem::Refused(refusal) => refusal.hint,
            Problem::OutOfMemory(_) | Problem::Cancelled => None,
        }
    }
}

impl From<AllocError> for Problem {
    fn from(error: AllocError) -> Problem {
        Problem::OutOfMemory(error)
    }
}

impl From<cofferdam_types::Error> for Problem {
    fn from(error: cofferdam_types::Error) -> Problem {
        Problem::Value(error)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::OutOfMemory(error) => error.fmt(f),
            Problem::Cancelled => f.write_str("canceling statement due to user request"),
            Problem::Value(error) => error.fmt(f),
            Problem::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl core::error::Error for Problem {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.message.split_inclusive(['%', '#', '@']) {
            if let Some(before) = part.strip_suffix('%') {
                write!(f, "{before}{}", self.text)?;
            } else if let Some(before) = part.strip_suffix('#') {
                write!(f, "{before}{}", self.number)?;
            } else if let Some(before) = part.strip_suffix('@') {
                write!(f, "{before}{}", self.name)?;
            } else {
                f.write_str(part)?;
            }
        }
        Ok(())
    }
}

/// Writes formatted text to a sink, and remembers why it could not.
pub(crate) struct Writer<'s> {
    pub(crate) sink: &'s mut dyn Sink,
    refused: Option<AllocError>,
}

impl<'s> Writer<'s> {
    pub(crate) fn new(sink: &'s mut dyn Sink) -> Writer<'s> {
        Writer { sink, refused: None }
    }

    /// Writes what `write!` makes.
    pub(crate) fn format(&mut self, arguments: fmt::Arguments<'_>) -> Result<(), AllocError> {
        self.with(|out| out.write_fmt(arguments))
    }

    /// Writes what a function writes.
    pub(crate) fn with(&mut self, write: impl FnOnce(&mut Self) -> fmt::Result) -> Result<(), AllocError> {
        match write(self) {
            Ok(()) => Ok(()),
            Err(fmt::Error) => Err(self.refused.unwrap_or(AllocError)),
        }
    }
}

impl fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.sink.append(text.as_bytes()).map_err(|error| {
            self.refused = Some(error);
            fmt::Error
        })
    }
}
