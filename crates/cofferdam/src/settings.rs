//! Settings: `SET`, `RESET` and `SHOW`, under DuckDB's names.
//!
//! | name | what it is | values |
//! |---|---|---|
//! | `memory_limit` | all that the database may take | bytes with a unit, such as `'16MiB'` |
//! | `threads` | how many threads a statement may use at most | 1 and more |
//! | `temp_directory` | where statements write what does not fit into memory | a directory; `''` for nowhere |
//! | `max_temp_directory_size` | how many bytes that may be at once | bytes with a unit; `'none'` for any number |

use std::num::NonZeroUsize;
use std::path::Path;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena, human_bytes};
use cofferdam_exec::SpillSpace;
use cofferdam_plan::expr::{Column, Expr, ExprKind};
use cofferdam_plan::physical::{Operator, OperatorKind, PhysicalPlan};
use cofferdam_sql::Span;
use cofferdam_sql::views::SettingValue;
use cofferdam_sql::views::forms::{FormRef, ObjectName, Reset, Set, Show};
use cofferdam_types::{Type, Value};

use crate::database::Database;
use crate::error::Error;
use crate::options::parse_bytes;

/// What `SET memory_limit` must leave beyond what is in use, so that statements (the next `SET` among them) can run.
pub(crate) const MEMORY_LIMIT_ROOM_BYTES: u64 = 64 << 10;

/// A setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setting {
    MemoryLimit,
    Threads,
    TempDirectory,
    MaxTempDirectorySize,
}

const ALL: [Setting; 4] =
    [Setting::MemoryLimit, Setting::Threads, Setting::TempDirectory, Setting::MaxTempDirectorySize];

/// A new value for a setting, checked and not yet in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    MemoryLimit(u64),
    Threads(NonZeroUsize),
    /// The path; `None` for nowhere.
    TempDirectory(Option<&'a Path>),
    MaxTempDirectorySize(u64),
    /// All of them as the database was opened.
    All,
}

impl Setting {
    fn name(self) -> &'static str {
        match self {
            Setting::MemoryLimit => "memory_limit",
            Setting::Threads => "threads",
            Setting::TempDirectory => "temp_directory",
            Setting::MaxTempDirectorySize => "max_temp_directory_size",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Setting::MemoryLimit => "all that the database may take",
            Setting::Threads => "how many threads a statement may use at most",
            Setting::TempDirectory => "where statements write what does not fit into memory",
            Setting::MaxTempDirectorySize => "how many bytes of temporary files there may be",
        }
    }

    /// The setting that the statement `form` names; `None` is one that has words of its own, such as `TIME ZONE`.
    fn find(name: Option<ObjectName<'_>>, form: FormRef<'_>) -> Result<Setting, Error> {
        const HINT: &str =
            "the settings are memory_limit, threads, temp_directory and max_temp_directory_size";
        let Some(name) = name else {
            let message = "this form of setting is not supported yet";
            return Err(Error::input("0A000", Some(form.span()), message).with_hint(HINT));
        };
        let is_plain = name.qualifier().is_none();
        let mut all = ALL.into_iter();
        let found = all.find(|setting| is_plain && setting.name().eq_ignore_ascii_case(name.name()));
        found.ok_or_else(|| {
            let message = format_args!("unrecognized configuration parameter \"{name}\"");
            Error::input("42704", Some(form.span()), message).with_hint(HINT)
        })
    }

    fn shown<'a>(self, database: &Database, arena: &'a Arena) -> Result<&'a str, AllocError> {
        match self {
            Setting::MemoryLimit => {
                arena.alloc_fmt(format_args!("{}", human_bytes(database.budget().limit())))
            }
            Setting::Threads => arena.alloc_fmt(format_args!("{}", database.threads())),
            Setting::TempDirectory => database.spill_space().map_or(Ok(""), |space| {
                space.with_directory(|path| match path {
                    Some(path) => arena.alloc_fmt(format_args!("{}", path.display())),
                    None => Ok(""),
                })
            }),
            Setting::MaxTempDirectorySize => {
                let bytes = database.spill_space().map_or(0, SpillSpace::limit_bytes);
                arena.alloc_fmt(format_args!("{}", human_bytes(bytes)))
            }
        }
    }

    fn default(self, database: &Database) -> Change<'_> {
        let options = database.options();
        match self {
            Setting::MemoryLimit => Change::MemoryLimit(options.memory_limit_bytes),
            Setting::Threads => Change::Threads(options.threads),
            Setting::TempDirectory => Change::TempDirectory(database.temp_directory_default()),
            Setting::MaxTempDirectorySize => Change::MaxTempDirectorySize(options.max_temp_bytes),
        }
    }

    fn read<'a>(self, value: SettingValue<'a>, database: &Database) -> Result<Change<'a>, Error> {
        let invalid = |hint: &str| {
            let message = format_args!("invalid value for parameter \"{}\": \"{}\"", self.name(), value.text);
            Error::input("22023", Some(value.span), message).with_hint(hint)
        };
        match self {
            Setting::MemoryLimit => {
                let bytes = parse_bytes(value.text)
                    .ok_or_else(|| invalid("write a number and a unit, such as '16MiB'"))?;
                let least = database.budget().used() + MEMORY_LIMIT_ROOM_BYTES;
                if bytes < least {
                    let message = format_args!("memory_limit {} is too small", human_bytes(bytes));
                    return Err(Error::input("22023", Some(value.span), message).with_hint(format_args!(
                        "{} are in use, and statements need {}: the least is {}",
                        human_bytes(database.budget().used()),
                        human_bytes(MEMORY_LIMIT_ROOM_BYTES),
                        human_bytes(least)
                    )));
                }
                Ok(Change::MemoryLimit(bytes))
            }
            Setting::Threads => {
                let threads = value.text.parse().map_err(|_| invalid("write a whole number from 1"))?;
                Ok(Change::Threads(threads))
            }
            Setting::TempDirectory => {
                let path = (!value.text.is_empty()).then(|| Path::new(value.text));
                Ok(Change::TempDirectory(path))
            }
            Setting::MaxTempDirectorySize => {
                let is_none =
                    ["none", "unlimited", "-1"].iter().any(|none| none.eq_ignore_ascii_case(value.text));
                let bytes = if is_none { Some(u64::MAX) } else { parse_bytes(value.text) };
                let bytes =
                    bytes.ok_or_else(|| invalid("write a number and a unit, such as '16GiB', or 'none'"))?;
                Ok(Change::MaxTempDirectorySize(bytes))
            }
        }
    }
}

impl Change<'_> {
    pub(crate) fn apply(&self, database: &Database) {
        match *self {
            Change::MemoryLimit(bytes) => database.set_memory_limit(bytes),
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
            Change::All => ALL.into_iter().for_each(|setting| setting.default(database).apply(database)),
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
    database: &Database,
    arena: &'a Arena,
) -> Result<Result<PhysicalPlan<'a>, cofferdam_plan::Error<'a>>, Error> {
    let form = show.form();
    if show.all() {
        return Ok(show_all(form.span(), database, arena).map_err(Into::into));
    }
    let setting = Setting::find(show.setting(), form)?;
    let plan = setting
        .shown(database, arena)
        .and_then(|text| text_rows(&[setting.name()], &[&[text]], form.span(), arena));
    Ok(plan.map_err(Into::into))
}

fn show_all<'a>(span: Span, database: &Database, arena: &'a Arena) -> Result<PhysicalPlan<'a>, AllocError> {
    let mut rows: [[&'a str; 3]; ALL.len()] = [[""; 3]; ALL.len()];
    for (row, setting) in rows.iter_mut().zip(ALL) {
        *row = [setting.name(), setting.shown(database, arena)?, setting.description()];
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
    Ok(PhysicalPlan { operators: arena.alloc_slice_copy(&[operator])?, parameters: &[] })
}
