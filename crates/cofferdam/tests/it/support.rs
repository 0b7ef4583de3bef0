//! What the tests share: a database below a parent budget, and answers as text.

use std::fmt::Write;
use std::path::PathBuf;

use cofferdam::{Budget, Connection, Database, Error, Options, Rows};

/// The folder of the golden scripts.
pub(crate) fn golden_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// A database with a limit of its own below a larger budget, so that a sweep may change the limit.
pub(crate) fn database(limit_bytes: u64) -> Database {
    let process =
        Database::open_in_memory(Options::new().memory_limit(256 << 20)).expect("room for a process");
    let parent: &Budget = process.budget();
    Database::open_in_memory(Options::new().memory_limit(limit_bytes).parent(parent))
        .expect("room for a database")
}

/// The answer as text: a line of names with `|` between them, then a line for each row.
pub(crate) fn table(rows: &mut Rows<'_>) -> Result<String, Error> {
    let mut text = String::new();
    let columns = rows.columns();
    for (index, column) in columns.iter().enumerate() {
        let separator = if index > 0 { "|" } else { "" };
        write!(text, "{separator}{} {}", column.name, column.ty).expect("a string takes all");
    }
    if !columns.is_empty() {
        text.push('\n');
    }
    while let Some(row) = rows.next_row()? {
        for (index, value) in row.values().enumerate() {
            write!(text, "{}{value}", if index > 0 { "|" } else { "" }).expect("a string takes all");
        }
        text.push('\n');
    }
    Ok(text)
}

/// The answer, or the error with its place and hint, as a script shows it.
pub(crate) fn outcome(connection: &Connection, sql: &str) -> Result<String, Error> {
    match connection.query(sql, table) {
        Err(error) if error.out_of_memory().is_some() => Err(error),
        Err(error) => Ok(shown(&error, sql)),
        answer => answer,
    }
}

/// An error as a script shows it.
pub(crate) fn shown(error: &Error, sql: &str) -> String {
    let mut text = format!("error {}: {error}\n", error.sqlstate());
    if let Some(span) = error.span() {
        let (start, end) = (span.start as usize, (span.start + span.len) as usize);
        writeln!(text, "at {start}: {:?}", &sql[start..end]).expect("a string takes all");
    }
    if let Some(hint) = error.hint() {
        writeln!(text, "hint: {hint}").expect("a string takes all");
    }
    text
}
