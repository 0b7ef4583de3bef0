//! TPC-H: tables generated and loaded, the 22 queries run one by one, their answers held against known ones.
//!
//! The queries and answers are those of `cofferdam-tpch`, unless the caller names a folder of files `queries/q01.sql` and
//! `answers/sf0.01/q01.csv`. Without an answer a query is run and not judged.

mod data;

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use cofferdam::{Connection, Error, Rows};
use cofferdam_tpch::{QUERIES, check};

use crate::watch::Watch;
pub use data::load;

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

/// Runs query `number`, from 1, and judges its answer for `scale`; of the folder `corpus`, where one is given.
///
/// # Errors
/// There is no such query.
pub fn run_query(
    connection: &Connection,
    watch: &Watch,
    corpus: Option<&Path>,
    number: u8,
    scale: f64,
) -> io::Result<Outcome> {
    let missing = || io::Error::new(io::ErrorKind::NotFound, format!("there is no query {number}"));
    let own = QUERIES.iter().find(|query| query.number == number).ok_or_else(missing)?;
    let name = own.name;
    let sql = match corpus {
        None => own.sql.to_owned(),
        Some(corpus) => {
            let path = corpus.join(format!("queries/{name}.sql"));
            let named =
                |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
            std::fs::read_to_string(&path).map_err(named)?
        }
    };
    // The last statement's stop.
    let sql = sql.trim_end().trim_end_matches(';');
    let of_folder =
        |corpus: &Path| std::fs::read_to_string(corpus.join(format!("answers/sf{scale}/{name}.csv"))).ok();
    // Some answers of other folders are about other tables: the own ones come first.
    let known = own.answer(scale).map(str::to_owned).or_else(|| corpus.and_then(of_folder));
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
