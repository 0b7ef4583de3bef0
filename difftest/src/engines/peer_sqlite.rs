//! SQLite, in memory.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::{Engine, Kind, Outcome, Rows};

/// What a statement may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A database of SQLite.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
}

impl Sqlite {
    /// An empty one.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn new() -> Result<Sqlite, String> {
        let connection = Connection::open_in_memory().map_err(|error| error.to_string())?;
        // LIKE tells upper and lower case apart, as everywhere else.
        connection.execute_batch("PRAGMA case_sensitive_like = ON").map_err(|error| error.to_string())?;
        Ok(Sqlite { connection })
    }
}

impl Engine for Sqlite {
    fn reset(&mut self) -> Result<(), String> {
        *self = Sqlite::new()?;
        Ok(())
    }

    fn run(&mut self, sql: &str) -> Outcome {
        let deadline = Instant::now() + TIMEOUT;
        // It says true to stop; without the hook a statement runs as long as it likes.
        let _ = self.connection.progress_handler(100_000, Some(move || Instant::now() > deadline));
        self.ask(sql)
            .unwrap_or_else(|error| Outcome::Error { sqlstate: String::new(), message: error.to_string() })
    }
}

impl Sqlite {
    fn ask(&mut self, sql: &str) -> rusqlite::Result<Outcome> {
        let mut statement = self.connection.prepare(sql)?;
        let columns_count = statement.column_count();
        if columns_count == 0 {
            let count = statement.execute([])? as u64;
            // After a definition it is that of the change before.
            let is_change = ["INSERT", "UPDATE", "DELETE"].iter().any(|verb| sql.starts_with(verb));
            return Ok(Outcome::Done(if is_change { count } else { 0 }));
        }
        let mut answer = Rows { types: Vec::new(), kinds: vec![Kind::Text; columns_count], rows: Vec::new() };
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let mut texts = Vec::new();
            for (index, kind) in answer.kinds.iter_mut().enumerate() {
                texts.push(match row.get_ref(index)? {
                    ValueRef::Null => None,
                    ValueRef::Integer(value) => {
                        *kind = Kind::Number;
                        Some(value.to_string())
                    }
                    ValueRef::Real(value) => {
                        *kind = Kind::Float;
                        Some(format!("{value:?}"))
                    }
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                        Some(String::from_utf8_lossy(bytes).into_owned())
                    }
                });
            }
            answer.rows.push(texts);
        }
        Ok(Outcome::Rows(answer))
    }
}
