//! Settings: `SET`, `RESET` and `SHOW`, under DuckDB's names.
//!
//! | name | what it is | values |
//! |---|---|---|
//! | `memory_limit` | all that the database may take | bytes with a unit, such as `'16MiB'` |
//! | `threads` | how many threads a statement may use at most | 1 and more |

use std::num::NonZeroUsize;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena, human_bytes};
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
}

const ALL: [Setting; 2] = [Setting::MemoryLimit, Setting::Threads];

/// A new value for a setting, checked and not yet in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    MemoryLimit(u64),
    Threads(NonZeroUsize),
    All { memory_limit_bytes: u64, threads: NonZeroUsize },
}

impl Setting {
    fn name(self) -> &'static str {
        match self {
            Setting::MemoryLimit => "memory_limit",
            Setting::Threads => "threads",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Setting::MemoryLimit => "all that the database may take",
            Setting::Threads => "how many threads a statement may use at most",
        }
    }

    /// The setting that the statement `form` names; `None` is one that has words of its own, such as `TIME ZONE`.
    fn find(name: Option<ObjectName<'_>>, form: FormRef<'_>) -> Result<Setting, Error> {
        const HINT: &str = "the settings are memory_limit and threads";
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
        }
    }

    fn default(self, database: &Database) -> Change {
        let options = database.options();
        match self {
            Setting::MemoryLimit => Change::MemoryLimit(options.memory_limit_bytes),
            Setting::Threads => Change::Threads(options.threads),
        }
    }

    fn read(self, value: SettingValue<'_>, database: &Database) -> Result<Change, Error> {
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
        }
    }
}

impl Change {
    pub(crate) fn apply(&self, database: &Database) {
        match *self {
            Change::MemoryLimit(bytes) => database.budget().set_limit(bytes),
            Change::Threads(threads) => database.set_threads(threads),
            Change::All { memory_limit_bytes, threads } => {
                database.budget().set_limit(memory_limit_bytes);
                database.set_threads(threads);
            }
        }
    }
}

/// What a `RESET` will change.
pub(crate) fn reset_change(reset: Reset<'_>, database: &Database) -> Result<Change, Error> {
    if reset.all() {
        let options = database.options();
        let (memory_limit_bytes, threads) = (options.memory_limit_bytes, options.threads);
        return Ok(Change::All { memory_limit_bytes, threads });
    }
    Ok(Setting::find(reset.setting(), reset.form())?.default(database))
}

/// What a `SET` will change.
pub(crate) fn set_change(set: Set<'_>, database: &Database) -> Result<Change, Error> {
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
    Ok(PhysicalPlan { operators: arena.alloc_slice_copy(&[operator])? })
}
