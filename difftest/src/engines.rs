//! What runs statements: each gives rows as texts, or an error with its SQLSTATE.

mod ours;
mod peer_postgres;
mod peer_sqlite;

pub use ours::Cofferdam;
pub use peer_postgres::{Postgres, Server};
pub use peer_sqlite::Sqlite;

use cofferdam_conformance::slt::{Answer, Cell, EngineError};

/// What the values of a column are, as far as their texts are compared differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `t` and `f`.
    Boolean,
    /// Exact numbers.
    Number,
    /// Numbers that may differ in their last digits.
    Float,
    /// Anything else.
    Text,
}

/// What a statement came to.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// An answer.
    Rows(Rows),
    /// So many rows were changed.
    Done(u64),
    /// It failed.
    Error {
        /// The five characters; empty where the engine has none.
        sqlstate: String,
        /// What is wrong.
        message: String,
    },
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// The names of the columns' types; empty where the engine has none.
    pub types: Vec<String>,
    /// What the columns' values are.
    pub kinds: Vec<Kind>,
    /// The rows; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
}

/// Something that runs statements on a database of its own.
pub trait Engine {
    /// Makes the database empty.
    ///
    /// # Errors
    /// The engine cannot go on.
    fn reset(&mut self) -> Result<(), String>;

    /// Runs one statement.
    fn run(&mut self, sql: &str) -> Outcome;
}

impl Outcome {
    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        matches!(self, Outcome::Error { .. })
    }

    /// The SQLSTATE of an error.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Outcome::Error { sqlstate, .. } => Some(sqlstate),
            _ => None,
        }
    }
}

/// An engine as the runner of sqllogictest's files sees it. All connections are one.
#[derive(Debug)]
pub struct Single<E>(pub E);

impl<E: Engine> cofferdam_conformance::slt::Engine for Single<E> {
    fn run(&mut self, _connection: &str, sql: &str) -> Result<Answer, EngineError> {
        let rows = match self.0.run(sql) {
            Outcome::Rows(rows) => rows,
            Outcome::Done(count) => return Ok(Answer::Done(count)),
            Outcome::Error { sqlstate, message } => return Err(EngineError { sqlstate, message }),
        };
        let cell = |(value, kind): (Option<String>, &Kind)| match (value, kind) {
            (None, _) => Cell::Null,
            (Some(text), Kind::Boolean) => Cell::Boolean(text == "t"),
            (Some(text), Kind::Number | Kind::Float) => Cell::Number(text),
            (Some(text), Kind::Text) => Cell::Text(text),
        };
        let columns_count = rows.kinds.len();
        let cells = |row: Vec<Option<String>>| row.into_iter().zip(&rows.kinds).map(cell).collect();
        Ok(Answer::Rows { columns_count, rows: rows.rows.into_iter().map(cells).collect() })
    }
}
