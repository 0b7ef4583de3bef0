//! Settings: `SET`, `RESET` and `SHOW`, under DuckDB's names where it has them, otherwise PostgreSQL's.
//!
//! | name | whose | what it is | values |
//! |---|---|---|---|
//! | `memory_limit` | the database's | all that the database may take | bytes with a unit, such as `'16MiB'` |
//! | `statement_memory_limit` | the connection's | what one statement may take of that | the same; `'none'` for all |
//! | `statement_timeout` | the connection's | how long a statement may run | a time such as `'90s'`, milliseconds without a unit; 0 for any |
//! | `prepared_memory_limit` | the connection's | what statements with names may take (`PREPARE`) | bytes with a unit; `'none'` for all |
//! | `threads` | the database's | how many threads a statement may use at most | 1 to 1024 |
//! | `temp_directory` | the database's | where statements write what does not fit into memory | a directory; `''` for nowhere |
//! | `max_temp_directory_size` | the database's | how many bytes that may be at once | bytes with a unit; `'none'` for any number |
//! | `plan_cache_size` | the database's | what plans may take that are kept for statements that come again | bytes with a unit; 0 for none |

use std::fmt::{self, Write as _};
use std::num::NonZeroUsize;
use std::path::Path;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena, InlineText, human_bytes};
use cofferdam_exec::SpillSpace;
use cofferdam_plan::expr::{Column, Expr, ExprKind};
use cofferdam_plan::nearest_name;
use cofferdam_plan::physical::{Operator, OperatorKind, PhysicalPlan};
use cofferdam_sql::Span;
use cofferdam_sql::views::SettingValue;
use cofferdam_sql::views::forms::{FormRef, ObjectName, Reset, Set, Show};
use cofferdam_types::{Type, Value};

use crate::connection::Connection;
use crate::database::Database;
use crate::error::Error;
use crate::named::LIMIT_DEFAULT_BYTES;
use crate::options::parse_bytes;
use crate::session::{DurationProblem, TIMEOUT_MS_MAX, parse_milliseconds};

/// What `SET memory_limit` must leave beyond what is in use, so that statements (the next `SET` among them) can run.
pub(crate) const MEMORY_LIMIT_ROOM_BYTES: u64 = 64 << 10;

/// A setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    MemoryLimit,
    StatementMemoryLimit,
    StatementTimeout,
    PreparedMemoryLimit,
    Threads,
    TempDirectory,
    MaxTempDirectorySize,
    PlanCacheSize,
}

/// All settings.
pub(crate) const ALL: [Setting; 8] = [
    Setting::MemoryLimit,
    Setting::StatementMemoryLimit,
    Setting::StatementTimeout,
    Setting::PreparedMemoryLimit,
    Setting::Threads,
    Setting::TempDirectory,
    Setting::MaxTempDirectorySize,
    Setting::PlanCacheSize,
];

/// The most threads that `SET` takes.
const THREADS_MAX: usize = 1024;

/// A new value for a setting, checked and not yet in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    MemoryLimit(u64),
    StatementMemoryLimit(u64),
    /// In milliseconds.
    StatementTimeout(u64),
    PreparedMemoryLimit(u64),
    Threads(NonZeroUsize),
    /// The path; `None` for nowhere.
    TempDirectory(Option<&'a Path>),
    MaxTempDirectorySize(u64),
    PlanCacheSize(u64),
    /// All of them as the database was opened.
    All,
}

impl Setting {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Setting::MemoryLimit => "memory_limit",
            Setting::StatementMemoryLimit => "statement_memory_limit",
            Setting::StatementTimeout => "statement_timeout",
            Setting::PreparedMemoryLimit => "prepared_memory_limit",
            Setting::Threads => "threads",
            Setting::TempDirectory => "temp_directory",
            Setting::MaxTempDirectorySize => "max_temp_directory_size",
            Setting::PlanCacheSize => "plan_cache_size",
        }
    }

    pub(crate) const fn description(self) -> &'static str {
        match self {
            Setting::MemoryLimit => "all that the database may take",
            Setting::StatementMemoryLimit => "what one statement of this connection may take of that",
            Setting::StatementTimeout => "how long a statement of this connection may run; 0 for any time",
            Setting::PreparedMemoryLimit => "what the statements may take that PREPARE has given names",
            Setting::Threads => "how many threads a statement may use at most, the caller's among them",
            Setting::TempDirectory => "where statements write what does not fit into memory",
            Setting::MaxTempDirectorySize => "how many bytes of temporary files there may be",
            Setting::PlanCacheSize => "what plans may take that are kept for statements that come again",
        }
    }

    /// What its values count; empty where that is nothing.
    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Setting::MemoryLimit
            | Setting::StatementMemoryLimit
            | Setting::PreparedMemoryLimit
            | Setting::MaxTempDirectorySize
            | Setting::PlanCacheSize => "bytes",
            Setting::StatementTimeout => "ms",
            Setting::Threads | Setting::TempDirectory => "",
        }
    }

    /// Whose it is.
    pub(crate) const fn scope(self) -> &'static str {
        match self {
            Setting::StatementMemoryLimit | Setting::StatementTimeout | Setting::PreparedMemoryLimit => {
                "connection"
            }
            _ => "database",
        }
    }

    /// The setting that the statement `form` names; `None` is one that has words of its own, such as `TIME ZONE`.
    fn find(name: Option<ObjectName<'_>>, form: FormRef<'_>) -> Result<Setting, Error> {
        let Some(name) = name else {
            let message = "this form of setting is not supported yet";
            return Err(Error::input("0A000", Some(form.span()), message).with_hint(Known));
        };
        let is_plain = name.qualifier().is_none();
        let mut all = ALL.into_iter();
        let found = all.find(|setting| is_plain && setting.name().eq_ignore_ascii_case(name.name()));
        found.ok_or_else(|| {
            let message = format_args!("unrecognized configuration parameter \"{name}\"");
            let error = Error::input("42704", Some(form.span()), message);
            let names = ALL.into_iter().map(Setting::name);
            match nearest_name(name.name(), names).filter(|_| is_plain) {
                Some(known) => error.with_hint(format_args!("did you mean {known}?")),
                None => error.with_hint(Known),
            }
        })
    }

    /// The value as `SHOW` shows it.
    pub(crate) fn shown<'a>(self, connection: &Connection, arena: &'a Arena) -> Result<&'a str, AllocError> {
        self.current(connection, |value| arena.alloc_fmt(format_args!("{value}")))
    }

    /// The value that a connection begins with, or the database, as `SHOW` shows it.
    pub(crate) fn default_shown<'a>(
        self,
        connection: &Connection,
        arena: &'a Arena,
    ) -> Result<&'a str, AllocError> {
        arena.alloc_fmt(format_args!("{}", self.default(connection.database())))
    }

    /// Gives the value of now to `see`.
    fn current<T>(self, connection: &Connection, see: impl FnOnce(Change<'_>) -> T) -> T {
        let (database, session) = (connection.database(), connection.session());
        let space = database.spill_space();
        let value = match self {
            Setting::MemoryLimit => Change::MemoryLimit(database.budget().limit()),
            Setting::StatementMemoryLimit => Change::StatementMemoryLimit(session.statement_memory_bytes()),
            Setting::StatementTimeout => Change::StatementTimeout(session.statement_timeout_ms()),
            Setting::PreparedMemoryLimit => Change::PreparedMemoryLimit(session.prepared_memory_bytes()),
            Setting::Threads => Change::Threads(database.threads()),
            Setting::TempDirectory => {
                return match space {
                    Some(space) => space.with_directory(|path| see(Change::TempDirectory(path))),
                    None => see(Change::TempDirectory(None)),
                };
            }
            Setting::MaxTempDirectorySize => {
                Change::MaxTempDirectorySize(space.map_or(0, SpillSpace::limit_bytes))
            }
            Setting::PlanCacheSize => Change::PlanCacheSize(database.plans().size_bytes()),
        };
        see(value)
    }

    fn default(self, database: &Database) -> Change<'_> {
        let options = database.options();
        match self {
            Setting::MemoryLimit => Change::MemoryLimit(options.memory_limit_bytes),
            Setting::StatementMemoryLimit => Change::StatementMemoryLimit(u64::MAX),
            Setting::StatementTimeout => Change::StatementTimeout(0),
            Setting::PreparedMemoryLimit => Change::PreparedMemoryLimit(LIMIT_DEFAULT_BYTES),
            Setting::Threads => Change::Threads(options.threads),
            Setting::TempDirectory => Change::TempDirectory(database.temp_directory_default()),
            Setting::MaxTempDirectorySize => Change::MaxTempDirectorySize(options.max_temp_bytes),
            Setting::PlanCacheSize => Change::PlanCacheSize(options.plan_cache_bytes),
        }
    }

    fn read<'a>(self, value: SettingValue<'a>, database: &Database) -> Result<Change<'a>, Error> {
        match self {
            Setting::MemoryLimit => {
                let bytes = self.bytes(value, "write a number and a unit, such as '16MiB'")?;
                let used = database.budget().used();
                let least = used + MEMORY_LIMIT_ROOM_BYTES;
                if bytes < least {
                    return Err(self.too_small(bytes, value).with_hint(format_args!(
                        "{} are in use, and statements need {}: the least is {}",
                        human_bytes(used),
                        human_bytes(MEMORY_LIMIT_ROOM_BYTES),
                        human_bytes(least)
                    )));
                }
                Ok(Change::MemoryLimit(bytes))
            }
            Setting::StatementMemoryLimit => {
                let bytes = self.bytes_or_none(value)?;
                if bytes < MEMORY_LIMIT_ROOM_BYTES {
                    let least = human_bytes(MEMORY_LIMIT_ROOM_BYTES);
                    let error = self.too_small(bytes, value);
                    return Err(error.with_hint(format_args!("the least is {least}, or 'none'")));
                }
                Ok(Change::StatementMemoryLimit(bytes))
            }
            Setting::PreparedMemoryLimit => Ok(Change::PreparedMemoryLimit(self.bytes_or_none(value)?)),
            Setting::StatementTimeout => match parse_milliseconds(value.text) {
                Ok(ms) => Ok(Change::StatementTimeout(ms)),
                Err(DurationProblem::NoNumber) => {
                    Err(self.invalid(value).with_hint("write a time, such as '90s' or 1500"))
                }
                Err(DurationProblem::NoUnit) => {
                    Err(self.invalid(value).with_hint("the units are us, ms, s, min, h and d"))
                }
                Err(DurationProblem::OutOfRange(ms)) => {
                    Err(self.outside(format_args!("{ms} ms"), TIMEOUT_MS_MAX, 0, value))
                }
            },
            Setting::Threads => {
                let number: i64 = value
                    .text
                    .parse()
                    .map_err(|_| self.invalid(value).with_hint("write a whole number from 1"))?;
                let threads = usize::try_from(number).ok().filter(|threads| *threads <= THREADS_MAX);
                match threads.and_then(NonZeroUsize::new) {
                    Some(threads) => Ok(Change::Threads(threads)),
                    None => Err(self.outside(format_args!("{number}"), THREADS_MAX as u64, 1, value)),
                }
            }
            Setting::TempDirectory => {
                let path = (!value.text.is_empty()).then(|| Path::new(value.text));
                Ok(Change::TempDirectory(path))
            }
            Setting::MaxTempDirectorySize => Ok(Change::MaxTempDirectorySize(self.bytes_or_none(value)?)),
            Setting::PlanCacheSize => {
                let bytes = self.bytes(value, "write a number and a unit, such as '512KiB', or 0")?;
                Ok(Change::PlanCacheSize(bytes))
            }
        }
    }

    fn bytes(self, value: SettingValue<'_>, hint: &str) -> Result<u64, Error> {
        parse_bytes(value.text).map_err(|_| self.invalid(value).with_hint(hint))
    }

    fn bytes_or_none(self, value: SettingValue<'_>) -> Result<u64, Error> {
        let is_none = ["none", "unlimited", "-1"].iter().any(|none| none.eq_ignore_ascii_case(value.text));
        if is_none {
            return Ok(u64::MAX);
        }
        self.bytes(value, "write a number and a unit, such as '16GiB', or 'none'")
    }

    fn invalid(self, value: SettingValue<'_>) -> Error {
        let message = format_args!("invalid value for parameter \"{}\": \"{}\"", self.name(), value.text);
        Error::input("22023", Some(value.span), message)
    }

    fn too_small(self, bytes: u64, value: SettingValue<'_>) -> Error {
        let message = format_args!("{} {} is too small", self.name(), human_bytes(bytes));
        Error::input("22023", Some(value.span), message)
    }

    fn outside(self, given: fmt::Arguments<'_>, most: u64, least: u64, value: SettingValue<'_>) -> Error {
        let name = self.name();
        let message =
            format_args!("{given} is outside the valid range for parameter \"{name}\" ({least} .. {most})");
        Error::input("22023", Some(value.span), message)
    }
}

/// The names of all settings, for people.
struct Known;

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings are ")?;
        for (index, setting) in ALL.into_iter().enumerate() {
            f.write_str(match index {
                0 => "",
                index if index + 1 == ALL.len() => " and ",
                _ => ", ",
            })?;
            f.write_str(setting.name())?;
        }
        Ok(())
    }
}

/// A value as `SHOW` shows it.
impl fmt::Display for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Change::MemoryLimit(bytes)
            | Change::StatementMemoryLimit(bytes)
            | Change::PreparedMemoryLimit(bytes)
            | Change::MaxTempDirectorySize(bytes)
            | Change::PlanCacheSize(bytes) => write_bytes(f, bytes),
            Change::StatementTimeout(ms) => write_milliseconds(f, ms),
            Change::Threads(threads) => write!(f, "{threads}"),
            Change::TempDirectory(None) => Ok(()),
            Change::TempDirectory(Some(path)) => write!(f, "{}", path.display()),
            Change::All => f.write_str("the defaults"),
        }
    }
}

/// Such that `SET` reads the same number again: with a tenth of a unit where that is exact, else in the largest unit that leaves a whole
/// number.
fn write_bytes(f: &mut fmt::Formatter<'_>, bytes: u64) -> fmt::Result {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let mut text: InlineText<32> = InlineText::EMPTY;
    write!(text, "{}", human_bytes(bytes))?;
    if bytes == u64::MAX || parse_bytes(text.as_str()) == Ok(bytes) {
        return f.write_str(text.as_str());
    }
    let unit = (bytes.trailing_zeros() as usize / 10).min(UNITS.len() - 1);
    write!(f, "{} {}", bytes >> (10 * unit), UNITS[unit])
}

/// In the largest unit that leaves a whole number, as PostgreSQL shows times.
fn write_milliseconds(f: &mut fmt::Formatter<'_>, ms: u64) -> fmt::Result {
    const UNITS: [(u64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s")];
    if ms == 0 {
        return f.write_str("0");
    }
    match UNITS.iter().find(|(unit, _)| ms.is_multiple_of(*unit)) {
        Some((unit, name)) => write!(f, "{}{name}", ms / unit),
        None => write!(f, "{ms}ms"),
    }
}

impl Change<'_> {
    pub(crate) fn apply(&self, connection: &Connection) {
        let (database, session) = (connection.database(), connection.session());
        match *self {
            Change::MemoryLimit(bytes) => database.set_memory_limit(bytes),
            Change::StatementMemoryLimit(bytes) => session.set_statement_memory_bytes(bytes),
            Change::StatementTimeout(ms) => session.set_statement_timeout_ms(ms),
            Change::PreparedMemoryLimit(bytes) => session.set_prepared_memory_bytes(bytes),
            Change::Threads(threads) => database.set_threads(threads),
            Change::TempDirectory(path) => {
                if let Some(space) = database.spill_space() {
                    space.set_directory(path);
                }
            }
            Change::MaxTempDirectorySize(bytes) => {
                if let Some(space) = database.spill_space() {
                    space.set_limit_bytes(bytes);
                }
            }
            Change::PlanCacheSize(bytes) => database.plans().set_size_bytes(bytes),
            Change::All => ALL.into_iter().for_each(|setting| setting.default(database).apply(connection)),
        }
    }
}

/// What a `RESET` will change.
pub(crate) fn reset_change<'a>(reset: Reset<'_>, database: &'a Database) -> Result<Change<'a>, Error> {
    if reset.all() {
        return Ok(Change::All);
    }
    Ok(Setting::find(reset.setting(), reset.form())?.default(database))
}

/// What a `SET` will change.
pub(crate) fn set_change<'a>(set: Set<'a>, database: &'a Database) -> Result<Change<'a>, Error> {
    let setting = Setting::find(set.setting(), set.form())?;
    if set.local() {
        let message = "SET LOCAL is not supported: settings do not end with a transaction";
        return Err(Error::input("0A000", Some(set.form().span()), message));
    }
    let mut values = set.values();
    match (values.next(), values.next()) {
        (None, _) => Ok(setting.default(database)),
        (Some(value), None) => setting.read(value, database),
        (Some(_), Some(second)) => {
            let message = format_args!("SET {} takes only one argument", setting.name());
            Err(Error::input("22023", Some(second.span), message))
        }
    }
}

/// The plan of `SHOW`: rows of text.
pub(crate) fn show<'a>(
    show: Show<'a>,
    connection: &Connection,
    arena: &'a Arena,
) -> Result<Result<PhysicalPlan<'a>, cofferdam_plan::Error<'a>>, Error> {
    let form = show.form();
    if show.all() {
        return Ok(show_all(form.span(), connection, arena).map_err(Into::into));
    }
    let setting = Setting::find(show.setting(), form)?;
    let plan = setting
        .shown(connection, arena)
        .and_then(|text| text_rows(&[setting.name()], &[&[text]], form.span(), arena));
    Ok(plan.map_err(Into::into))
}

fn show_all<'a>(
    span: Span,
    connection: &Connection,
    arena: &'a Arena,
) -> Result<PhysicalPlan<'a>, AllocError> {
    let mut rows: [[&'a str; 3]; ALL.len()] = [[""; 3]; ALL.len()];
    for (row, setting) in rows.iter_mut().zip(ALL) {
        *row = [setting.name(), setting.shown(connection, arena)?, setting.description()];
    }
    let rows: [&[&'a str]; ALL.len()] = rows.each_ref().map(|row| row.as_slice());
    text_rows(&["name", "setting", "description"], &rows, span, arena)
}

fn text_rows<'a>(
    names: &[&'static str],
    rows: &[&[&'a str]],
    span: Span,
    arena: &'a Arena,
) -> Result<PhysicalPlan<'a>, AllocError> {
    let columns = arena.alloc_slice_fill_with(names.len(), |i| Column { name: names[i], ty: Type::Text })?;
    let mut made: Vec<'a, &'a [&'a Expr<'a>]> = Vec::with_capacity_in(rows.len(), arena)?;
    for row in rows {
        let mut exprs: Vec<'a, &'a Expr<'a>> = Vec::with_capacity_in(row.len(), arena)?;
        for text in *row {
            let kind = ExprKind::Literal(Value::Text(text));
            exprs.push(arena.alloc(Expr { kind, ty: Type::Text, span })?)?;
        }
        made.push(exprs.into_slice())?;
    }
    values(columns, made.into_slice(), arena)
}

fn values<'a>(
    columns: &'a [Column<'a>],
    rows: &'a [&'a [&'a Expr<'a>]],
    arena: &'a Arena,
) -> Result<PhysicalPlan<'a>, AllocError> {
    let kind = OperatorKind::Values { rows };
    let operator = Operator { kind, columns, rows_estimate: rows.len() as u64, bytes_estimate: 0 };
    Ok(PhysicalPlan {
        operators: arena.alloc_slice_copy(&[operator])?,
        parameters: &[],
        parameter_names: &[],
    })
}
