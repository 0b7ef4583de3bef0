//! `cofferdam demo`: TPC-H data in a database, its 22 queries under a memory limit, and a check of their answers.
//!
//! ```text
//!   child process      cofferdam tpch-data   region.tbl to lineitem.tbl   in a directory on a disk
//!   this process       a session under --memory: the files into a database beside them, queries 1 to 22, each answer
//!                      checked, the plan of the slowest with what each operator took, the memory tree
//! ```

pub(crate) mod data;
mod directory;
mod load;

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use cofferdam::{Error, Rows, human_bytes};
use cofferdam_tpch::{Checker, QUERIES, Query, Table};

use crate::args::{Demo, Limits, Mode};
use crate::position::Position;
use crate::report::{Place, report};
use crate::session::{Session, check_store_limit};
use crate::{FAILED, interrupt};
use directory::Directory;

/// The limit unless the command line gives one: 16 MiB.
const MEMORY_BYTES: u64 = 16 << 20;

/// The time between two looks at the child process.
const CHILD_WAIT: Duration = Duration::from_millis(20);

/// What there is to say of an answer.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It is the known one.
    Right,
    /// It is not: where it differs.
    Wrong(String),
    /// None is known at this scale.
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Right => f.write_str("the answer is right"),
            Verdict::Wrong(difference) => write!(f, "the answer is WRONG: {difference}"),
            Verdict::Unknown => f.write_str("no answer is known for this scale"),
        }
    }
}

/// Runs the demo, and gives the exit code.
///
/// # Errors
/// The output takes no more, or the files cannot be written.
pub(crate) fn run(demo: &Demo, mut limits: Limits) -> io::Result<u8> {
    limits.memory.get_or_insert(MEMORY_BYTES);
    if let Err(refusal) = check_store_limit(limits) {
        return Ok(refusal.complain());
    }
    // Before there is anything to clean up.
    interrupt::clean_up_first()?;
    let directory = Directory::new(demo.dir.as_deref(), demo.keep_data)?;
    let outcome = run_in(&directory, demo.scale, limits);
    drop(directory);
    interrupt::exit_code().map_or(outcome, Ok)
}

/// Generates the files, loads them and runs the queries, until a signal comes.
fn run_in(directory: &Directory, scale: f64, limits: Limits) -> io::Result<u8> {
    let mut out = io::stdout();
    writeln!(out, "TPC-H at scale {} in {}", scale, directory.path().display())?;
    out.flush()?;
    let started = Instant::now();
    generate(scale, directory.path())?;
    let bytes = load::files_bytes(directory.path())?;
    let seconds = started.elapsed().as_secs_f64();
    let size = human_bytes(bytes);
    writeln!(out, "{size} of files generated in {seconds:.1} s, by a process of its own")?;
    let mut session = match Session::open(Some(&load::database(directory.path())), limits, Mode::Table, false)
    {
        Ok(session) => session,
        Err(refusal) => return Ok(refusal.complain()),
    };
    interrupt::cancel_too(&session.connection().canceller())?;
    let memory_bytes = limits.memory.unwrap_or(MEMORY_BYTES);
    writeln!(session.out(), "memory limit of this process: {}", human_bytes(memory_bytes))?;
    if !load::load(&mut session, directory.path())? {
        return Ok(FAILED);
    }
    let mut all_well = true;
    let mut slowest = (Duration::ZERO, &QUERIES[0]);
    for query in &QUERIES {
        if interrupt::exit_code().is_some() {
            return Ok(FAILED);
        }
        let started = Instant::now();
        all_well &= run_query(&mut session, query, scale)?;
        if started.elapsed() > slowest.0 {
            slowest = (started.elapsed(), query);
        }
    }
    explain(&mut session, slowest.1)?;
    session.show_tree()?;
    let peak = session.connection().database().budget().peak();
    all_well &= peak <= memory_bytes;
    let verdict = if peak <= memory_bytes { "below" } else { "ABOVE" };
    writeln!(
        session.out(),
        "\npeak {} is {verdict} the limit of {}",
        human_bytes(peak),
        human_bytes(memory_bytes)
    )?;
    session.out().flush()?;
    Ok(if all_well && !session.has_failed() { 0 } else { FAILED })
}

/// Has a child process write the files that are not there yet.
fn generate(scale: f64, directory: &Path) -> io::Result<()> {
    let tables = Table::ALL.map(Table::name);
    let mut child = Command::new(std::env::current_exe()?)
        .args(["tpch-data", "--scale", &scale.to_string(), "--tables", &tables.join(","), "--out"])
        .arg(directory)
        .spawn()?;
    loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(_) => return Err(io::Error::other("the process that generates the data failed")),
            None if interrupt::exit_code().is_some() => {
                // It may have got the same signal and be gone.
                let _ = child.kill();
                child.wait()?;
                return Err(ErrorKind::Interrupted.into());
            }
            None => thread::sleep(CHILD_WAIT),
        }
    }
}

/// Runs one query, shows what it took and the verdict; gives whether all is well.
fn run_query(session: &mut Session, query: &Query, scale: f64) -> io::Result<bool> {
    let started = Instant::now();
    let outcome = session.connection().query(query.sql, |rows| {
        let (rows_count, verdict) = judge(rows, query, scale)?;
        Ok((rows_count, verdict, rows.budget().peak()))
    });
    let (rows_count, verdict, peak_bytes) = match outcome {
        Ok(judged) => judged,
        Err(error) => return failed(session, query.name, query.sql, &error),
    };
    let (name, seconds, peak) = (query.name, started.elapsed().as_secs_f64(), human_bytes(peak_bytes));
    let rows = if rows_count == 1 { "row" } else { "rows" };
    let out = session.out();
    writeln!(out, "{name}: {rows_count} {rows} in {seconds:.2} s and {peak}, {verdict}")?;
    out.flush()?;
    Ok(!matches!(verdict, Verdict::Wrong(_)))
}

/// Reads all rows, and compares them as they come; gives their number too.
fn judge(rows: &mut Rows<'_>, query: &Query, scale: f64) -> Result<(u64, Verdict), Error> {
    let mut checker = query.answer(scale).map(|known| Checker::new(query.number, known));
    let mut rows_count = 0;
    let mut verdict = if checker.is_some() { Verdict::Right } else { Verdict::Unknown };
    while let Some(row) = rows.next_row()? {
        rows_count += 1;
        let Some(Ok(checker)) = &mut checker else { continue };
        let text =
            |value: cofferdam::Value<'_>| if value.is_null() { String::new() } else { value.to_string() };
        if verdict == Verdict::Right
            && let Err(difference) = checker.row(row.values().map(text).collect())
        {
            verdict = Verdict::Wrong(difference);
        }
    }
    if verdict == Verdict::Right
        && let Some(Err(difference)) = checker.map(|checker| checker.and_then(Checker::end))
    {
        verdict = Verdict::Wrong(difference);
    }
    Ok((rows_count, verdict))
}

/// Runs the query once more, and shows its plan with what each operator took.
fn explain(session: &mut Session, query: &Query) -> io::Result<()> {
    writeln!(session.out(), "\n{} was the slowest:\n\n{}\n", query.name, query.sql)?;
    let sql = format!("EXPLAIN (ANALYZE, MEMORY) {}", query.sql);
    session.run_statement(&sql, Place { origin: query.name, position: Position::START })
}

fn failed(session: &mut Session, name: &str, sql: &str, error: &Error) -> io::Result<bool> {
    session.out().flush()?;
    report(error, sql, Place { origin: name, position: Position::START }, Mode::Table);
    Ok(false)
}
