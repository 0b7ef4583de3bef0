//! What can go wrong with a statement, sorted by what the caller can do about it.
//!
//! An error stands alone: it borrows nothing, so it may outlive the statement, and it holds no heap memory, so that
//! making, returning and printing one takes nothing from a budget that is used up. That makes it large (under 1 KiB),
//! and texts of more than 255 bytes end in `…`.

use std::fmt::{self, Display, Write as _};
use std::io;
use std::path::Path;

use cofferdam_arena::{Budget, InlineText, OutOfMemory, human_bytes};
use cofferdam_plan::Span;

/// The SQLSTATE of bytes on disk that are not what was written.
pub(crate) const DAMAGED: &str = "XX001";
/// The SQLSTATE of a disk without room.
const DISK_FULL: &str = "53100";
/// The longest message in bytes.
pub(crate) const MESSAGE_BYTES_MAX: usize = 255;
/// The longest hint in bytes.
pub(crate) const HINT_BYTES_MAX: usize = 159;

/// Why a statement failed.
///
/// ```
/// use cofferdam::{Database, Options, Remedy};
///
/// let connection = Database::open_in_memory(Options::new().memory_limit(256 << 10))?.connect()?;
/// let sql = "SELECT 1, nme FROM (VALUES ('x')) AS t(name)";
/// let error = connection.execute(sql).unwrap_err();
/// let span = error.span().expect("a name has a place");
/// assert_eq!((error.sqlstate(), error.remedy()), ("42703", Remedy::FixInput));
/// assert_eq!(&sql[span.start as usize..][..span.len as usize], "nme");
///
/// let error = connection.execute("SELECT repeat('x', 1000000)").unwrap_err();
/// let record = error.out_of_memory().expect("256 KiB are not enough");
/// assert_eq!((error.sqlstate(), error.remedy()), ("53200", Remedy::GiveMemory));
/// assert_eq!(record.limit_bytes(), 256 << 10);
/// assert!(record.path().starts_with("process/db/statement") && record.asked_bytes() > 0);
/// # Ok::<(), cofferdam::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Error {
    /// Fix the input: the statement, a value or a file is not as it must be.
    Input(Fault),
    /// Give more memory: raise `memory_limit`, or ask for less at once.
    OutOfMemory(OutOfMemory),
    /// Retry: nothing is wrong with the statement; it was cancelled.
    Retry(Fault),
    /// Make the file system work (space, permissions, hardware), then open the database again.
    System(Fault),
    /// Restore the database from a backup, or use a newer version: bytes on disk are not what was written.
    Restore(Fault),
    /// Report it: a broken invariant of the database stopped this statement, and this statement only.
    Defect(Fault),
}

const _: () = assert!(size_of::<Error>() <= 1024);

/// What is wrong, as values.
///
/// ```
/// use cofferdam::{Database, Options};
///
/// let connection = Database::open_in_memory(Options::new())?.connect()?;
/// let error = connection.execute("SELECT 1 +").unwrap_err();
/// let cofferdam::Error::Input(fault) = error else { panic!("the statement is wrong") };
/// assert!(fault.message().starts_with("syntax error at the end"));
/// # Ok::<(), cofferdam::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    sqlstate: &'static str,
    span: Option<Span>,
    message: InlineText<MESSAGE_BYTES_MAX>,
    hint: InlineText<HINT_BYTES_MAX>,
}

/// What the caller can do about an error.
///
/// ```
/// use cofferdam::{Database, Options};
///
/// let connection = Database::open_in_memory(Options::new())?.connect()?;
/// use cofferdam::Remedy;
///
/// let remedy = |sql: &str| connection.execute(sql).map_err(|error| error.remedy());
/// assert_eq!(remedy("SELECT nothing"), Err(Remedy::FixInput));
/// assert_eq!(remedy("SELECT repeat('x', 1000000000)"), Err(Remedy::GiveMemory));
/// # Ok::<(), cofferdam::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Correct the statement, the value or the file.
    FixInput,
    /// Raise `memory_limit`, or ask for less at once.
    GiveMemory,
    /// Run the statement again.
    Retry,
    /// See to the file system, then open the database again.
    FixSystem,
    /// Restore the database from a backup, or use a newer version.
    Restore,
    /// Report the defect; other statements are not affected.
    Report,
}

impl Error {
    /// The five characters that SQL clients tell errors apart by.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// assert_eq!(connection.execute("SELECT 1 / 0").unwrap_err().sqlstate(), "22012");
    /// assert_eq!(connection.execute("TABLE missing").unwrap_err().sqlstate(), "42P01");
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn sqlstate(&self) -> &'static str {
        self.fault().map_or("53200", |fault| fault.sqlstate)
    }

    /// What is wrong, where memory is not.
    fn fault(&self) -> Option<&Fault> {
        match self {
            Error::Input(fault)
            | Error::Retry(fault)
            | Error::System(fault)
            | Error::Restore(fault)
            | Error::Defect(fault) => Some(fault),
            Error::OutOfMemory(_) => None,
        }
    }

    /// What the caller can do.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// match connection.execute("SELECT 1 / 0").unwrap_err().remedy() {
    ///     cofferdam::Remedy::Retry => panic!("would fail again"),
    ///     remedy => assert_eq!(remedy, cofferdam::Remedy::FixInput),
    /// }
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn remedy(&self) -> Remedy {
        match self {
            Error::Input(_) => Remedy::FixInput,
            Error::OutOfMemory(_) => Remedy::GiveMemory,
            Error::Retry(_) => Remedy::Retry,
            Error::System(_) => Remedy::FixSystem,
            Error::Restore(_) => Remedy::Restore,
            Error::Defect(_) => Remedy::Report,
        }
    }

    /// The part of the statement's text that the error is about, in bytes.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let sql = "SELECT 1, missing";
    /// let span = connection.execute(sql).unwrap_err().span().expect("a name has a place");
    /// assert_eq!(&sql[span.start as usize..][..span.len as usize], "missing");
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn span(&self) -> Option<Span> {
        self.fault().and_then(|fault| fault.span)
    }

    /// What would help, where something would; prints as a sentence without its stop.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.execute("CREATE TABLE people (name text)")?;
    /// let error = connection.execute("SELECT nmae FROM people").unwrap_err();
    /// assert_eq!(error.hint().expect("there is one").to_string(), "did you mean name?");
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn hint(&self) -> Option<impl Display + '_> {
        let hint = match self {
            Error::OutOfMemory(record) => memory_hint(record),
            _ => self.fault().map_or(InlineText::EMPTY, |fault| fault.hint),
        };
        (!hint.as_str().is_empty()).then_some(hint)
    }

    /// Who asked for how much, who refused and who holds it, when memory ran out.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new().memory_limit(1 << 20))?.connect()?;
    /// let error = connection.execute("SELECT repeat('x', 10000000)").unwrap_err();
    /// let record = error.out_of_memory().expect("1 MiB is not enough");
    /// assert!(record.asked_bytes() > 0 && record.used_bytes() <= record.limit_bytes());
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn out_of_memory(&self) -> Option<&OutOfMemory> {
        match self {
            Error::OutOfMemory(record) => Some(record),
            _ => None,
        }
    }

    pub(crate) fn input(sqlstate: &'static str, span: Option<Span>, message: impl Display) -> Error {
        Error::Input(Fault::new(sqlstate, span, message))
    }

    /// Nothing is wrong with the statement.
    pub(crate) fn retry(sqlstate: &'static str, message: impl Display) -> Error {
        Error::Retry(Fault::new(sqlstate, None, message))
    }

    pub(crate) fn with_hint(mut self, hint: impl Display) -> Error {
        match &mut self {
            Error::Input(fault)
            | Error::Retry(fault)
            | Error::System(fault)
            | Error::Restore(fault)
            | Error::Defect(fault) => fault.hint = text(hint),
            Error::OutOfMemory(_) => {}
        }
        self
    }

    /// The refusal that `budget` keeps the record of.
    pub(crate) fn refused(budget: &Budget) -> Error {
        match budget.last_refusal() {
            Some(record) => Error::OutOfMemory(record),
            None => Error::Defect(Fault::new("53200", None, "out of memory, and no budget says where")),
        }
    }

    /// An error of the parser; `refused` says why memory ran out.
    pub(crate) fn from_sql(error: cofferdam_sql::Error, refused: impl FnOnce() -> Error) -> Error {
        if let cofferdam_sql::Error::OutOfMemory(_) = error {
            return refused();
        }
        let fault = Error::input(error.sqlstate(), error.span(), error);
        match error.hint() {
            Some(hint) => fault.with_hint(hint),
            None => fault,
        }
    }

    /// An error of the planner; `refused` says why memory ran out.
    pub(crate) fn from_plan(error: cofferdam_plan::Error<'_>, refused: impl FnOnce() -> Error) -> Error {
        if let cofferdam_plan::Error::OutOfMemory(_) = error {
            return refused();
        }
        let fault = Fault::new(error.sqlstate(), error.span(), error);
        // The one thing that a planner finds and the statement is not to blame for.
        let fault = if error.sqlstate() == DAMAGED { Error::Restore(fault) } else { Error::Input(fault) };
        match error.hint() {
            Some(hint) => fault.with_hint(hint),
            None => fault,
        }
    }

    /// An error of a running plan; `refused` says why memory ran out.
    pub(crate) fn from_exec(error: cofferdam_exec::Error<'_>, refused: impl FnOnce() -> Error) -> Error {
        let fault = Fault::new(error.sqlstate(), error.span(), error);
        let fault = Error::with_remedy(error.remedy(), fault, refused);
        if let (Error::OutOfMemory(record), cofferdam_exec::Error::ValueTooLarge { what, bytes, .. }) =
            (fault, error)
        {
            return record.with_value(what, bytes).into();
        }
        match (error.hint(), error) {
            (Some(hint), _) => fault.with_hint(hint),
            (None, cofferdam_exec::Error::Store(problem)) => fault.with_hint(store_hint(&problem.error)),
            (None, _) => fault,
        }
    }

    /// An error of the store; `refused` says why memory ran out.
    pub(crate) fn from_store(error: cofferdam_store::Error, refused: impl FnOnce() -> Error) -> Error {
        let hint = store_hint(&error);
        Error::with_remedy(error.remedy(), Fault::new(error.sqlstate(), None, error), refused).with_hint(hint)
    }

    /// An error of opening the directory of a database.
    pub(crate) fn from_open(error: cofferdam_store::Error, path: &Path, db: &Budget) -> Error {
        let message = format_args!("could not open database \"{}\": {error}", path.display());
        let fault = Fault::new(error.sqlstate(), None, message);
        let hint = match error {
            cofferdam_store::Error::NotADatabase => {
                "a database is a directory: name one that is empty, or one that is to be made in a directory that is there"
            }
            cofferdam_store::Error::Locked => {
                "one process has it open at a time; try again when it is closed"
            }
            cofferdam_store::Error::Corrupt(_) => {
                "`cofferdam check` tells everything that is wrong; restore the database from a backup"
            }
            _ => "",
        };
        Error::with_remedy(error.remedy(), fault, || Error::refused(db)).with_hint(hint)
    }

    fn with_remedy(remedy: cofferdam_store::Remedy, fault: Fault, refused: impl FnOnce() -> Error) -> Error {
        match remedy {
            cofferdam_store::Remedy::GiveMemory => refused(),
            cofferdam_store::Remedy::FixInput => Error::Input(fault),
            cofferdam_store::Remedy::Retry => Error::Retry(fault),
            cofferdam_store::Remedy::FixSystem => Error::System(fault),
            cofferdam_store::Remedy::Restore => Error::Restore(fault),
        }
    }

    /// A file, or whoever takes rows, that takes no more.
    pub(crate) fn from_output(error: &io::Error, what: impl Display) -> Error {
        let explained = error.raw_os_error().and_then(cofferdam_vfs::explain);
        let message = fmt::from_fn(|f| match explained {
            Some(explained) => write!(f, "{what}: {explained}"),
            None => write!(f, "{what}: {}", error.kind()),
        });
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::input("58P01", None, message),
            io::ErrorKind::PermissionDenied => Error::input("42501", None, message),
            io::ErrorKind::IsADirectory => Error::input("42809", None, message),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Error::System(Fault::new(DISK_FULL, None, message)).with_hint("make room on the disk")
            }
            _ => Error::System(Fault::new("58030", None, message)),
        }
    }

    /// A statement that has run for as long as `statement_timeout` lets it.
    pub(crate) fn timeout() -> Error {
        Error::Retry(Fault::new("57014", None, "canceling statement due to statement timeout"))
            .with_hint("raise statement_timeout, or set it to 0")
    }

    /// The error of a text that is not the caller's.
    pub(crate) fn without_span(mut self) -> Error {
        match &mut self {
            Error::Input(fault)
            | Error::Retry(fault)
            | Error::System(fault)
            | Error::Restore(fault)
            | Error::Defect(fault) => fault.span = None,
            Error::OutOfMemory(_) => {}
        }
        self
    }

    /// The error of a part of a text that begins at this byte of it.
    pub(crate) fn moved(mut self, by: u32) -> Error {
        match &mut self {
            Error::Input(fault)
            | Error::Retry(fault)
            | Error::System(fault)
            | Error::Restore(fault)
            | Error::Defect(fault) => {
                if let Some(span) = &mut fault.span {
                    span.start = span.start.saturating_add(by);
                }
            }
            Error::OutOfMemory(_) => {}
        }
        self
    }

    /// A panic that was stopped at the statement.
    pub(crate) fn from_panic(payload: &(dyn std::any::Any + Send)) -> Error {
        let place = payload
            .downcast_ref::<&'static str>()
            .copied()
            .or_else(|| owned_text(payload))
            .unwrap_or("no message");
        Error::Defect(Fault::new("XX000", None, format_args!("internal error: {place}")))
            .with_hint("this is a defect of the database; other statements are not affected")
    }
}

impl Fault {
    fn new(sqlstate: &'static str, span: Option<Span>, message: impl Display) -> Fault {
        Fault { sqlstate, span, message: text(message), hint: InlineText::EMPTY }
    }

    /// The message, at most 255 bytes.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let cofferdam::Error::Input(fault) = connection.execute("SELECT 1 / 0").unwrap_err() else { panic!() };
    /// assert_eq!(fault.message(), "division by zero");
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn message(&self) -> &str {
        self.message.as_str()
    }
}

/// What would help; empty where nothing is known that the error does not say.
fn store_hint(error: &cofferdam_store::Error) -> &'static str {
    match error {
        cofferdam_store::Error::Io(_) if error.sqlstate() == DISK_FULL => {
            "make room on the disk, then open the database again; what was committed is there"
        }
        cofferdam_store::Error::Io(_) | cofferdam_store::Error::Poisoned => {
            "open the database again when the system is well; what was committed is there"
        }
        _ => "",
    }
}

fn text<const N: usize>(value: impl Display) -> InlineText<N> {
    let mut text = InlineText::EMPTY;
    // What does not fit is cut, and that is shown.
    let _ = write!(text, "{value}");
    text
}

/// The message of a panic that was formatted: the one place where the runtime hands out a heap string.
#[allow(clippy::disallowed_types)]
fn owned_text(payload: &(dyn std::any::Any + Send)) -> Option<&str> {
    payload.downcast_ref::<String>().map(String::as_str)
}

fn memory_hint(record: &OutOfMemory) -> InlineText<HINT_BYTES_MAX> {
    let setting = match record.refused_by() {
        "statement" => "statement_memory_limit",
        _ => "memory_limit",
    };
    if record.value().is_some() {
        return text(format_args!(
            "raise {setting} to several times the size of the value, or make shorter values"
        ));
    }
    match record.sufficient_bytes() {
        Some(bytes) => {
            text(format_args!("raise {setting} to {}, which is known to suffice", human_bytes(bytes)))
        }
        // What is known without it is a lower bound, which would be taken for advice.
        None => text(format_args!("raise {setting}, or ask for fewer rows or columns at once")),
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::OutOfMemory(record) => record.fmt(f),
            _ => f.write_str(self.fault().map_or("", Fault::message)),
        }
    }
}

impl std::error::Error for Error {}

impl From<OutOfMemory> for Error {
    fn from(record: OutOfMemory) -> Error {
        Error::OutOfMemory(record)
    }
}
