//! What can be tested: something that answers statements.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cofferdam::{Connection, Database, Error, Options, Rows, Value};
use cofferdam_testkit::simfs::SimDisk;
use cofferdam_vfs::Vfs;
use tempfile::TempDir;

use crate::watch::Watch;

/// A value of an answer, as far as the letters of columns tell values apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// No value.
    Null,
    /// True or false.
    Boolean(bool),
    /// A number in its text form.
    Number(String),
    /// Anything else, in its text form.
    Text(String),
}

/// What a statement gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Rows, each with as many cells as there are columns.
    Rows {
        /// How many columns there are, also where there is no row.
        columns_count: usize,
        /// The rows in the order in which they came.
        rows: Vec<Vec<Cell>>,
    },
    /// None; so many rows were changed.
    Done(u64),
}

/// Why a statement failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineError {
    /// The five characters; empty for an engine without.
    pub sqlstate: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Something that answers statements. Connections of one engine see one database, which is empty at first.
pub trait Engine {
    /// Runs one statement on the connection called `connection`, which is made when it is first named.
    ///
    /// # Errors
    /// Whatever the engine says of the statement.
    fn run(&mut self, connection: &str, sql: &str) -> Result<Answer, EngineError>;
}

/// Where the database of a file is.
#[derive(Clone, Debug)]
pub enum Place {
    /// A new directory in the system's folder for temporary files, which goes with the engine.
    Folder,
    /// A disk in memory, which no budget pays for.
    Memory,
}

/// A database of Cofferdam.
#[derive(Debug)]
pub struct Cofferdam {
    // Dropped in this order: nobody waits for a connection that is gone, and the folder goes last.
    connections: Vec<(String, Watch, Connection)>,
    database: Database,
    timeout: Duration,
    _folder: Option<TempDir>,
}

impl Cofferdam {
    /// An empty database; statements that take longer than `timeout` are cancelled.
    ///
    /// # Errors
    /// The folder cannot be made, or the limit is too small.
    pub fn new(place: &Place, options: &Options, timeout: Duration) -> Result<Cofferdam, EngineError> {
        let wrong = |error: Error| EngineError::from(error);
        let (database, folder) = match place {
            Place::Folder => {
                let folder = TempDir::with_prefix("cofferdam-slt-").map_err(|error| EngineError {
                    sqlstate: "58030".to_owned(),
                    message: format!("no folder for the database: {error}"),
                })?;
                let path: PathBuf = folder.path().join("database");
                (Database::open(path, options.clone()).map_err(wrong)?, Some(folder))
            }
            Place::Memory => {
                let disk: Arc<dyn Vfs> = Arc::new(SimDisk::new(1));
                (Database::open("/database", options.clone().vfs(&disk)).map_err(wrong)?, None)
            }
        };
        Ok(Cofferdam { connections: Vec::new(), database, timeout, _folder: folder })
    }

    fn connection(&mut self, name: &str) -> Result<&(String, Watch, Connection), EngineError> {
        let found = self.connections.iter().position(|(known, ..)| known == name);
        let index = match found {
            Some(index) => index,
            None => {
                let connection = self.database.connect()?;
                let watch = Watch::new(connection.canceller(), self.timeout);
                self.connections.push((name.to_owned(), watch, connection));
                self.connections.len() - 1
            }
        };
        Ok(&self.connections[index])
    }
}

impl Engine for Cofferdam {
    fn run(&mut self, connection: &str, sql: &str) -> Result<Answer, EngineError> {
        let (_, watch, connection) = self.connection(connection)?;
        Ok(watch.during(|| connection.query(sql, answer))?)
    }
}

impl From<Error> for EngineError {
    fn from(error: Error) -> EngineError {
        EngineError { sqlstate: error.sqlstate().to_owned(), message: error.to_string() }
    }
}

fn answer(rows: &mut Rows<'_>) -> Result<Answer, Error> {
    let columns_count = rows.columns().len();
    let mut cells = Vec::new();
    while let Some(row) = rows.next_row()? {
        cells.push(row.values().map(cell).collect());
    }
    Ok(match rows.kind().has_answer() || columns_count > 0 {
        true => Answer::Rows { columns_count, rows: cells },
        false => Answer::Done(rows.rows_count()),
    })
}

fn cell(value: Value<'_>) -> Cell {
    match value {
        Value::Null => Cell::Null,
        Value::Boolean(value) => Cell::Boolean(value),
        Value::Text(text) => Cell::Text(text.to_owned()),
        Value::Integer(_) | Value::BigInt(_) | Value::Decimal(_) | Value::Double(_) => {
            Cell::Number(value.to_string())
        }
        // Whatever else there is has a text form and nothing more.
        _ => Cell::Text(value.to_string()),
    }
}
