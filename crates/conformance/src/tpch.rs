//! TPC-H: tables generated and loaded, the 22 queries run one by one, their answers held against known ones.
//!
//! | file | holds |
//! |---|---|
//! | `data` | the files of the tables, and the tables themselves: [`load`] |
//! | `answer` | whether an answer is the known one: [`check`] |
//!
//! The queries and the answers of scale factors 0.01, 0.1 and 1 are files of a folder that the caller names: `queries/q01.sql`,
//! `answers/sf0.01/q01.csv`. Without an answer a query is run and not judged.
//!
//! DuckDB's generator, whose answers these are, writes other addresses and comments than `tpchgen`, which writes those of the
//! benchmark's own. Five queries show them or search in them; what is known of these is in `tpch/answers`: PostgreSQL 15 gave it for
//! the tables of `tpchgen`.

mod answer;
mod data;

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use cofferdam::{Connection, Error, Rows};

use crate::watch::Watch;
pub use answer::check;
pub use data::{SCHEMA, TABLES, load};

/// How many queries there are.
pub const QUERIES_COUNT: u8 = 22;

/// What became of a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// From the text to the last row.
    pub duration: Duration,
    /// The most that the statement's budget held.
    pub peak_bytes: u64,
    /// What is to be said of the answer.
    pub verdict: Verdict,
}

/// What is to be said of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the known one; with the number of rows.
    Right(usize),
    /// It is not: where it differs.
    Wrong(String),
    /// There is none: what the database says, with its SQLSTATE.
    Failed(String),
    /// None is known for this scale; with the number of rows.
    Unknown(usize),
}

impl Verdict {
    /// Whether nothing speaks against the answer.
    pub fn is_well(&self) -> bool {
        matches!(self, Verdict::Right(_) | Verdict::Unknown(_))
    }
}

/// Runs a query of the folder `corpus` and judges its answer for `scale`.
///
/// # Errors
/// The folder has no such query.
pub fn run_query(
    connection: &Connection,
    watch: &Watch,
    corpus: &Path,
    number: u8,
    scale: f64,
) -> io::Result<Outcome> {
    let name = format!("q{number:02}");
    let path = corpus.join(format!("queries/{name}.sql"));
    let sql = std::fs::read_to_string(&path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    // The last statement's stop.
    let sql = sql.trim_end().trim_end_matches(';');
    let answer = format!("answers/sf{scale}/{name}.csv");
    let own = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/tpch")).join(&answer);
    let known = std::fs::read_to_string(own).or_else(|_| std::fs::read_to_string(corpus.join(&answer))).ok();
    let started = Instant::now();
    let (rows, peak_bytes) = watch.during(|| answer_of(connection, sql));
    let verdict = match (rows, known) {
        (Err(error), _) => Verdict::Failed(format!("{}: {error}", error.sqlstate())),
        (Ok(rows), None) => Verdict::Unknown(rows.len()),
        (Ok(rows), Some(known)) => match check(number, &rows, &known) {
            Ok(()) => Verdict::Right(rows.len()),
            Err(difference) => Verdict::Wrong(difference),
        },
    };
    Ok(Outcome { duration: started.elapsed(), peak_bytes, verdict })
}

/// The rows as texts, NULL as an empty one, and the peak of the statement's budget.
fn answer_of(connection: &Connection, sql: &str) -> (Result<Vec<Vec<String>>, Error>, u64) {
    let mut statement = match connection.statement(sql) {
        Ok(statement) => statement,
        Err(error) => return (Err(error), 0),
    };
    let outcome = statement.prepare().and_then(|query| {
        let mut rows = query.rows()?;
        texts(&mut rows)
    });
    (outcome, statement.budget().peak())
}

fn texts(rows: &mut Rows<'_>) -> Result<Vec<Vec<String>>, Error> {
    let mut all = Vec::new();
    while let Some(row) = rows.next_row()? {
        let text =
            |value: cofferdam::Value<'_>| if value.is_null() { String::new() } else { value.to_string() };
        all.push(row.values().map(text).collect());
    }
    Ok(all)
}
