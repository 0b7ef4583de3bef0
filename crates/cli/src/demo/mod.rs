//! `cofferdam demo`: TPC-H data in a database, three of its queries under a memory limit, and a check of their answers.
//!
//! ```text
//!   child process      cofferdam tpch-data   customer.tbl, orders.tbl, lineitem.tbl   in a directory on a disk
//!   this process       a session under --memory: the files into a database beside them, queries 1, 3 and 6,
//!                      check, memory tree
//! ```

mod check;
pub(crate) mod data;
mod directory;
mod load;

use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use cofferdam::{Error, human_bytes};

use crate::args::{Demo, Limits, Mode, Table};
use crate::position::Position;
use crate::report::{Place, report};
use crate::session::{Session, check_store_limit};
use crate::{FAILED, interrupt};
use check::{Answer, Verdict};
use directory::Directory;

/// The limit unless the command line gives one: 16 MiB.
const MEMORY_BYTES: u64 = 16 << 20;

/// The time between two looks at the child process.
const CHILD_WAIT: Duration = Duration::from_millis(20);

/// The tables that the queries read.
const TABLES: [Table; 3] = [Table::Customer, Table::Orders, Table::Lineitem];

/// A query and what it must answer at the scales for which that is known.
struct DemoQuery {
    name: &'static str,
    sql: &'static str,
    answers: [(f64, &'static str); 3],
}

macro_rules! query {
    ($number:literal) => {
        DemoQuery {
            name: concat!("q", $number),
            sql: include_str!(concat!("q", $number, ".sql")),
            answers: [
                (0.01, include_str!(concat!("q", $number, "-sf0.01.answer"))),
                (0.1, include_str!(concat!("q", $number, "-sf0.1.answer"))),
                (1.0, include_str!(concat!("q", $number, "-sf1.answer"))),
            ],
        }
    };
}

static QUERIES: [DemoQuery; 3] = [query!("01"), query!("03"), query!("06")];

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
    for query in &QUERIES {
        if interrupt::exit_code().is_some() {
            return Ok(FAILED);
        }
        all_well &= run_query(&mut session, query, scale)?;
    }
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
    let tables: Vec<&str> = TABLES.iter().map(|table| table.name()).collect();
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

/// Runs one query, shows its rows, time and verdict; gives whether all is well.
fn run_query(session: &mut Session, query: &DemoQuery, scale: f64) -> io::Result<bool> {
    let started = Instant::now();
    let outcome = session.connection().query(query.sql, Answer::read);
    let seconds = started.elapsed().as_secs_f64();
    let answer = match outcome {
        Ok(answer) => answer,
        Err(error) => return failed(session, query.name, query.sql, &error),
    };
    let expected = query.answers.iter().find(|(known, _)| *known == scale).map(|(_, text)| *text);
    let verdict = expected.map_or(Verdict::Unknown, |text| answer.check(text));
    let out = session.out();
    writeln!(out, "{}: {} rows in {seconds:.2} s, {verdict}", query.name, answer.rows_count())?;
    writeln!(out, "{answer}\n{}\n", answer.memory())?;
    out.flush()?;
    Ok(!matches!(verdict, Verdict::Wrong(_)))
}

fn failed(session: &mut Session, name: &str, sql: &str, error: &Error) -> io::Result<bool> {
    session.out().flush()?;
    report(error, sql, Place { origin: name, position: Position::START }, Mode::Table);
    Ok(false)
}
