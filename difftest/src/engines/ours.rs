//! Cofferdam, on a disk in memory.

use std::num::NonZeroUsize;
use std::panic;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cofferdam::{Connection, Database, Error, Options, Type, Value};
use cofferdam_conformance::watch::Watch;
use cofferdam_testkit::simfs::SimDisk;
use cofferdam_vfs::Vfs;

use super::{Engine, Kind, Outcome, Rows};

/// A database of Cofferdam under a limit.
#[derive(Debug)]
pub struct Cofferdam {
    memory_bytes: u64,
    threads: NonZeroUsize,
    timeout: Duration,
    open: Option<(Watch, Connection)>,
}

/// Where the last panic was.
static PANIC: Mutex<String> = Mutex::new(String::new());

/// Has panics noted in place of printed: the database stops them, and their places tell defects apart.
fn note_panics() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }));
}

impl Cofferdam {
    /// None is open before [`Engine::reset`].
    pub fn new(memory_bytes: u64, threads: NonZeroUsize, timeout: Duration) -> Cofferdam {
        note_panics();
        Cofferdam { memory_bytes, threads, timeout, open: None }
    }
}

impl Engine for Cofferdam {
    fn reset(&mut self) -> Result<(), String> {
        self.open = None;
        let disk: Arc<dyn Vfs> = Arc::new(SimDisk::new(1));
        let options = Options::new().memory_limit(self.memory_bytes).threads(self.threads).vfs(&disk);
        let said = |error: Error| format!("{}: {error}", error.sqlstate());
        let connection = Database::open("/database", options).map_err(said)?.connect().map_err(said)?;
        self.open = Some((Watch::new(connection.canceller(), self.timeout), connection));
        Ok(())
    }

    fn run(&mut self, sql: &str) -> Outcome {
        let Some((watch, connection)) = &self.open else {
            return Outcome::Error {
                sqlstate: "08003".to_owned(),
                message: "no database is open".to_owned(),
            };
        };
        let outcome = watch.during(|| {
            connection.query(sql, |rows| {
                let mut answer = Rows::default();
                for column in rows.columns() {
                    answer.types.push(column.ty.name().to_owned());
                    answer.kinds.push(kind(column.ty));
                }
                while let Some(row) = rows.next_row()? {
                    let text = |value: Value<'_>| (!value.is_null()).then(|| value.to_string());
                    answer.rows.push(row.values().map(text).collect());
                }
                let has_answer = rows.kind().has_answer() || !answer.kinds.is_empty();
                Ok(if has_answer { Outcome::Rows(answer) } else { Outcome::Done(rows.rows_count()) })
            })
        });
        outcome.unwrap_or_else(|error| {
            let mut message = error.to_string();
            if error.sqlstate() == "XX000" {
                message += &format!(" at {}", PANIC.lock().unwrap_or_else(PoisonError::into_inner));
            }
            Outcome::Error { sqlstate: error.sqlstate().to_owned(), message }
        })
    }
}

fn kind(ty: Type) -> Kind {
    match ty.name() {
        "boolean" => Kind::Boolean,
        "smallint" | "integer" | "bigint" | "numeric" => Kind::Number,
        "real" | "double precision" => Kind::Float,
        _ => Kind::Text,
    }
}
