//! The program `cofferdam`: SQL under a hard memory limit from the command line.
//!
//! | file | holds |
//! |---|---|
//! | `args` | the command line |
//! | `session` | statements and dot commands in order |
//! | `input` | statements from standard input or a file, in a bounded buffer |
//! | `format` | rows as a table, RFC 4180 or JSON, in constant memory |
//! | `holder` | who has a database open |
//! | `interrupt` | Ctrl-C |
//! | `position` | lines and columns |
//! | `report` | errors with the place in the statement |
//! | `untracked` | the counting global allocator, and its budget |
//! | `watch` | how far a statement is, on a terminal |
//! | `sql` | looking into SQL without running it |
//! | `store` | checking, looking into and copying the directory of a database |
//! | `demo` | TPC-H data, queries and answers |
//!
//! Exit codes: 0 all went well; 1 a statement failed or an answer is wrong, statements after it were run, or a database does
//! not open or has problems; 2 the command line is wrong; 130 Ctrl-C ended it; 141 whoever read the output has closed it.
//!
//! The program adds no behaviour to the database: everything here is reading and writing.
#![deny(unsafe_code)]
#![allow(clippy::disallowed_types)]
// The database's errors hold no heap memory, which makes them large.
#![allow(clippy::result_large_err)]

mod args;
mod demo;
mod format;
mod holder;
mod input;
mod interrupt;
mod parameters;
mod position;
mod report;
mod session;
mod sql;
mod store;
#[allow(unsafe_code)]
mod untracked;
mod watch;

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use args::{Cli, Command, Source};
use session::Session;

const FAILED: u8 = 1;
const USAGE: u8 = 2;
/// What shells report of programs that SIGPIPE ended.
const CLOSED: u8 = 141;
/// The name of the database that is no directory.
const IN_MEMORY: &str = ":memory:";

fn main() -> ExitCode {
    let (cli, places) = Cli::read();
    let code = match cli.subcommand {
        Some(_) if cli.database.is_some() || !places.iter().all(Vec::is_empty) => {
            complain("error: a subcommand takes neither a database nor -c or -f");
            return ExitCode::from(USAGE);
        }
        Some(Command::Demo(demo)) => demo::run(&demo, cli.limits),
        Some(Command::Sql(tool)) => sql::run(&tool, cli.limits, cli.show_memory),
        Some(Command::Check(check)) => store::check::run(&check, cli.limits, cli.show_memory),
        Some(Command::Inspect(inspect)) => store::inspect::run(&inspect, cli.limits, cli.show_memory),
        Some(Command::Backup(backup)) => store::backup::run(&backup, cli.limits, cli.show_memory),
        Some(Command::TpchData(data)) => demo::data::write(&data),
        None => statements(&cli, places),
    };
    match code {
        Ok(code) => ExitCode::from(code),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::from(CLOSED),
        Err(error) => {
            complain(format_args!("error: {error}"));
            ExitCode::from(FAILED)
        }
    }
}

/// Runs the statements of the command line and of its files, or of standard input.
fn statements(cli: &Cli, places: [Vec<usize>; 2]) -> io::Result<u8> {
    let directory = cli.database.as_deref().filter(|path| *path != Path::new(IN_MEMORY));
    let mut session = match Session::open(directory, cli.limits, cli.mode, cli.show_memory) {
        Ok(session) => session,
        Err(refusal) => return Ok(refusal.complain()),
    };
    if let Err(error) = interrupt::cancel_statements(&session.connection().canceller()) {
        complain(format_args!("warning: Ctrl-C will end the program at once: {error}"));
    }
    let sources = cli.sources(places);
    for source in &sources {
        match source {
            Source::Text(text) => session.run_text(text, "-c")?,
            Source::File(path) => session.run_file(path)?,
        }
    }
    if sources.is_empty() {
        session.run_stdin()?;
    }
    Ok(interrupt::exit_code().unwrap_or(if session.has_failed() { FAILED } else { 0 }))
}

/// Writes a line to standard error. When that is closed, nobody wants to know.
pub(crate) fn complain(message: impl Display) {
    let _ = writeln!(io::stderr(), "{message}");
}
