//! What the tests share: a database below a parent budget, and answers as text.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cofferdam::{Budget, Connection, Database, Error, Options, Rows};
use cofferdam_testkit::simfs::SimDisk;
use cofferdam_vfs::Vfs;

/// The folder of the golden scripts.
pub(crate) fn golden_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// A database with a limit of its own below a larger budget, so that a sweep may change the limit. It keeps no plans, so that what a
/// statement takes is the same each time.
pub(crate) fn database(limit_bytes: u64) -> Database {
    let process =
        Database::open_in_memory(Options::new().memory_limit(256 << 20)).expect("room for a process");
    let parent: &Budget = process.budget();
    Database::open_in_memory(
        Options::new()
            .memory_limit(limit_bytes)
            .plan_cache_size(0)
            .parent(parent)
            .temp_directory(Some(Path::new("/var/tmp"))),
    )
    .expect("room for a database")
}

/// A directory on a simulated disk, with the database in it.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) disk: Arc<SimDisk>,
    pub(crate) database: Database,
    process: Database,
    limit_bytes: u64,
}

impl Directory {
    /// An empty one, with a limit of its own below a larger budget.
    pub(crate) fn new(limit_bytes: u64) -> Directory {
        let disk = Arc::new(SimDisk::new(1));
        let process =
            Database::open_in_memory(Options::new().memory_limit(256 << 20)).expect("room for a process");
        let database = open(&disk, &process, limit_bytes).expect("an empty disk");
        Directory { disk, database, process, limit_bytes }
    }

    /// What is there after the process has been killed and the machine has lost what was not synced.
    pub(crate) fn crashed(self) -> Directory {
        let Directory { disk, database, process, limit_bytes } = self;
        disk.kill();
        drop(database);
        disk.restart(1);
        let database = open(&disk, &process, limit_bytes).expect("what a crash leaves is a database");
        Directory { disk, database, process, limit_bytes }
    }
}

fn open(disk: &Arc<SimDisk>, process: &Database, limit_bytes: u64) -> Result<Database, Error> {
    let vfs: Arc<dyn Vfs> = Arc::clone(disk) as Arc<dyn Vfs>;
    // What the disk is asked for follows from the statements alone.
    let options = Options::new()
        .memory_limit(limit_bytes)
        .plan_cache_size(0)
        .parent(process.budget())
        .vfs(&vfs)
        .without_worker();
    Database::open("/db", options)
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
    if !rows.kind().has_answer() {
        writeln!(text, "{}", rows.command_tag()).expect("a string takes all");
    }
    while let Some(row) = rows.next_row()? {
        for (index, value) in row.values().enumerate() {
            write!(text, "{}{value}", if index > 0 { "|" } else { "" }).expect("a string takes all");
        }
        text.push('\n');
    }
    Ok(text)
}

/// The answer, or the error with its place and hint, as a script shows it: EXPLAIN without times and bytes.
pub(crate) fn outcome(connection: &Connection, sql: &str) -> Result<String, Error> {
    as_shown(connection.query(sql, table), sql)
}

/// The same under a limit of the statement, which has to hold nothing afterwards.
pub(crate) fn outcome_under(connection: &Connection, sql: &str, limit_bytes: u64) -> Result<String, Error> {
    let (outcome, budget) = {
        let mut statement = connection.statement(sql)?;
        let budget = statement.budget().clone();
        budget.set_limit(limit_bytes);
        (statement.prepare().and_then(|query| table(&mut query.rows()?)), budget)
    };
    assert_eq!((budget.used(), budget.walk().count()), (0, 1), "{sql}");
    as_shown(outcome, sql)
}

fn as_shown(outcome: Result<String, Error>, sql: &str) -> Result<String, Error> {
    match outcome {
        Ok(text) if sql.starts_with("EXPLAIN") => Ok(masked(&text)),
        Err(error) if error.out_of_memory().is_some() => Err(error),
        Err(error) => Ok(shown(&error, sql)),
        answer => answer,
    }
}

/// What EXPLAIN shows, with `*` for times and bytes, which are not the same in each run.
fn masked(text: &str) -> String {
    const BEFORE: [&str; 10] = [
        "Time: ",
        "time=",
        "..",
        "Memory: ",
        "Peak: ",
        " of ",
        "Time\": ",
        "Memory Bytes\": ",
        "Peak Memory Bytes\": ",
        "Limit Bytes\": ",
    ];
    let mut out = String::new();
    for line in text.lines() {
        let mut rest = line;
        while let Some((at, word)) = BEFORE
            .iter()
            .filter_map(|word| rest.find(word).map(|at| (at + word.len(), word)))
            .min_by_key(|found| found.0)
        {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            // In `1.5..2.5` the first number ends before the points.
            let number = rest[..number].find("..").unwrap_or(number);
            if number == 0 || *word == ".." && !out.contains("time=") {
                continue;
            }
            rest = &rest[number..];
            for unit in [" B", " KiB", " MiB", " GiB"] {
                rest = rest.strip_prefix(unit).unwrap_or(rest);
            }
            out.push('*');
        }
        out.push_str(rest);
        out.push('\n');
    }
    out
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
