//! The directory of a database as a whole: checking it, looking into it, copying it.
//!
//! | file | holds |
//! |---|---|
//! | `check` | `cofferdam check` |
//! | `inspect` | `cofferdam inspect` |
//! | `backup` | `cofferdam backup` |
//!
//! Memory is taken from budgets below one limit, as everywhere:
//!
//! ```text
//!   process          --memory, 256 MiB without it
//!   |- untracked     docs/BUDGETS.md
//!   `- directory     what is read, or the store that is copied
//!      `- output     the first rows of a table, until its widths are known
//! ```

pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod inspect;

use std::fmt::Display;
use std::io::{self, BufWriter, StdoutLock};
use std::path::Path;
use std::sync::Arc;

use cofferdam::{Budget, BudgetOptions, human_bytes};
use cofferdam_store::{Error, Progress, Watch};
use cofferdam_vfs::{OsVfs, Vfs};

use crate::args::Limits;
use crate::position::Position;
use crate::report::{Finding, Place};
use crate::session::Refusal;
use crate::sql::progress;
use crate::untracked::{LIMIT_BYTES, Untracked};
use crate::{FAILED, USAGE, complain, interrupt, session};

/// Where tools write.
type Out = BufWriter<StdoutLock<'static>>;

/// What is written at a time.
const OUTPUT_BYTES: usize = 8 << 10;
/// What a tool needs beside the bound of what is untracked: the least limit of a store, and what it copies through.
const ROOM_BYTES: u64 = 512 << 10;

/// The budgets of a tool.
struct Tool {
    root: Budget,
    budget: Budget,
    vfs: Arc<dyn Vfs>,
    untracked: Untracked,
}

/// Why a tool did not come to its end.
enum Stopped {
    /// The store says why.
    Store(Box<Error>),
    /// The output takes no more.
    Output(io::Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Stopped {
        Stopped::Store(Box::new(error))
    }
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Stopped {
        Stopped::Output(error)
    }
}

/// An error of the output on its way through the store, which knows none.
fn through(slot: &mut Option<io::Error>, outcome: io::Result<()>) -> Result<(), Error> {
    outcome.map_err(|error| {
        *slot = Some(error);
        Error::Cancelled
    })
}

/// The outcome of what the store did, with the error of the output that may have ended it.
fn ended<T>(outcome: Result<T, Error>, failure: Option<io::Error>) -> Result<T, Stopped> {
    match failure {
        Some(error) => Err(error.into()),
        None => outcome.map_err(Stopped::from),
    }
}

/// Runs a tool, and gives the program's exit code.
///
/// # Errors
/// The output takes no more.
fn run(
    limits: Limits,
    show_memory: bool,
    path: &Path,
    work: impl FnOnce(&Tool) -> Result<u8, Stopped>,
) -> io::Result<u8> {
    let mut tool = match Tool::new(limits) {
        Ok(tool) => tool,
        Err(refusal) => return Ok(refusal.complain()),
    };
    if let Err(error) = interrupt::end_work() {
        complain(format_args!("warning: Ctrl-C will end the program at once: {error}"));
    }
    let outcome = interrupt::busy(|| work(&tool));
    let code = match outcome {
        Ok(code) => code,
        Err(Stopped::Output(error)) => return Err(error),
        Err(Stopped::Store(error)) => match (&*error, interrupt::exit_code()) {
            (Error::Cancelled, Some(code)) => {
                complain("error[57014]: canceling due to user request");
                code
            }
            (error, _) => {
                tool.report(path.display(), error, None);
                exit_code(error)
            }
        },
    };
    tool.finish(show_memory);
    Ok(code)
}

/// Whether the command line is to blame, or what it names.
fn exit_code(error: &Error) -> u8 {
    match error {
        Error::NotADatabase | Error::NotEmpty => USAGE,
        _ => FAILED,
    }
}

impl Tool {
    fn new(limits: Limits) -> Result<Tool, Refusal> {
        let (database, untracked) = session::open(None, limits, "this", ROOM_BYTES)?;
        let root = database.budget().clone();
        let options = BudgetOptions::unlimited().keeps_refusals();
        let budget = root.child_with("directory", options);
        let budget = budget.map_err(|_| Refusal::memory(&root))?;
        Ok(Tool { root, budget, vfs: Arc::new(OsVfs), untracked })
    }

    /// Writes an error about a directory to standard error, with what would help.
    fn report(&self, place: impl Display, error: &Error, hint: Option<&str>) {
        let message = format!("{place}: {error}");
        let refusal = matches!(error, Error::OutOfMemory(_)).then(|| self.budget.last_refusal()).flatten();
        let hint = hint.or(hint_of(error));
        let finding = Finding {
            sqlstate: error.sqlstate(),
            message: &message,
            span: None,
            opened: None,
            hint: hint.as_ref().map(|hint| hint as &dyn Display),
            out_of_memory: refusal.as_ref(),
        };
        finding.report("", 0, Place { origin: "", position: Position::START });
    }

    /// Says so where more was taken outside of the budgets than may be, and shows the memory tree beside the output.
    fn finish(&mut self, show_memory: bool) {
        if let Err(peak) = self.untracked.update() {
            let (peak, limit) = (human_bytes(peak), human_bytes(LIMIT_BYTES));
            complain(format_args!(
                "warning: {peak} were taken outside of the budgets, above the bound of {limit}"
            ));
        }
        if show_memory {
            complain(self.root.memory_tree());
        }
    }
}

/// What would help.
fn hint_of(error: &Error) -> Option<&'static str> {
    match error {
        Error::OutOfMemory(_) => Some("raise --memory"),
        Error::Locked => Some("try again when it is closed"),
        Error::NotEmpty => Some("name a directory that is empty, or that is not there yet"),
        Error::Corrupt(_) => Some("`cofferdam check` tells everything that is wrong"),
        _ => None,
    }
}

/// Work with a bar on a terminal, which Ctrl-C ends.
fn watched<T>(progress: &progress::Progress, work: impl FnOnce(Watch<'_>) -> T) -> T {
    let report = |at: Progress| progress.reach(at.done_bytes, at.total_bytes);
    work(Watch { cancelled: &|| interrupt::check().is_err(), progress: &report })
}

/// Standard output.
fn output() -> Out {
    BufWriter::with_capacity(OUTPUT_BYTES, io::stdout().lock())
}

/// A count with its noun: `1 table`, `2 tables`.
fn counted(count: u64, one: &'static str, many: &'static str) -> impl Display {
    struct Counted(u64, &'static str);
    impl Display for Counted {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "{} {}", self.0, self.1)
        }
    }
    Counted(count, if count == 1 { one } else { many })
}
