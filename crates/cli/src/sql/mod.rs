//! `cofferdam sql`: looking into SQL without running it.
//!
//! | file | holds |
//! |---|---|
//! | `source` | a file or standard input in bounded memory |
//! | `texts` | texts separated by NUL bytes: `check -0`, `print -0`, `fingerprint -0` |
//! | `script` | the statements of a script, past those that are wrong |
//! | `lines` | `check`, `print`, `normalize`, `fingerprint`: at most a line for each statement |
//! | `tree`, `format`, `tokens`, `stats` | the tools of these names; `tree` is `parse` |
//! | `progress` | how far a long input is read |
//!
//! Memory is taken from budgets below one limit, as everywhere:
//!
//! ```text
//!   process          --memory, 256 MiB without it
//!   |- untracked     docs/BUDGETS.md
//!   |- input         what was read and is being looked at
//!   `- statement     what is needed of one text
//!      `- parse      the tree of one statement of a script, the parser's stack
//! ```

mod format;
mod lines;
pub(crate) mod progress;
mod script;
mod source;
mod stats;
mod texts;
mod tokens;
mod tree;

use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write as _};

use cofferdam::{Budget, BudgetOptions, OutOfMemory, human_bytes};
use cofferdam_arena::Arena;

use crate::args::{Limits, Sql};
use crate::input::ReadError;
use crate::session::Refusal;
use crate::untracked::{LIMIT_BYTES, Untracked};
use crate::{FAILED, USAGE, complain, interrupt, session};
use script::Reading;
use source::Source;

/// Where tools write.
type Out = BufWriter<StdoutLock<'static>>;

/// What is written at a time.
const OUTPUT_BYTES: usize = 8 << 10;
/// What a tool needs beside the bound of what is untracked: its buffer, the pages of the tree of budgets, a small
/// statement.
const ROOM_BYTES: u64 = 192 << 10;
/// What an arena keeps from one statement to the next.
const KEPT_BYTES: usize = 64 << 10;

/// The budgets of a tool, and where its output goes.
pub(crate) struct Tool {
    root: Budget,
    input: Budget,
    statement: Budget,
    untracked: Untracked,
    out: Out,
}

/// Runs a tool, and shows the memory tree at the end if that is wanted. Gives the program's exit code.
///
/// # Errors
/// What the system says of the input or the output.
pub(crate) fn run(tool: &Sql, limits: Limits, show_memory: bool) -> io::Result<u8> {
    let mut budgets = match Tool::new(limits) {
        Ok(budgets) => budgets,
        Err(refusal) => return Ok(refusal.complain()),
    };
    let input = budgets.input.clone();
    let room = Arena::new(&input);
    let path = &tool.script().file;
    let source = match Source::open(path, &room) {
        Ok(source) => source,
        Err(ReadError::Io(error)) => {
            complain(format_args!("error[58030]: could not open {}: {error}", path.display()));
            return Ok(USAGE);
        }
        Err(ReadError::OutOfMemory) => {
            complain(format_args!("error[53200]: {}", refusal(&input)));
            return Ok(FAILED);
        }
    };
    if let Err(error) = interrupt::end_work() {
        complain(format_args!("warning: Ctrl-C will end the program at once: {error}"));
    }
    let outcome = interrupt::busy(|| dispatch(tool, &mut budgets, source));
    let code = match (outcome, interrupt::exit_code()) {
        (Err(error), Some(code)) if error.kind() == ErrorKind::Interrupted => {
            complain("error[57014]: canceling due to user request; what follows is not read");
            code
        }
        (outcome, _) => outcome?,
    };
    budgets.out.flush()?;
    budgets.finish(show_memory);
    Ok(code)
}

/// Runs the tool on its input.
fn dispatch(tool: &Sql, budgets: &mut Tool, mut source: Source<'_>) -> io::Result<u8> {
    match tool {
        Sql::Check(texts) if texts.separated_by_nul => return texts::check(budgets, &mut source),
        Sql::Print(texts) if texts.separated_by_nul => return texts::print(budgets, &mut source),
        Sql::Fingerprint(texts) if texts.separated_by_nul => return texts::fingerprint(budgets, &mut source),
        _ => {}
    }
    let reading = &mut Reading::new(budgets, source);
    match tool {
        Sql::Check(_) => lines::check(reading),
        Sql::Print(_) => reading.show(&mut lines::Canonical),
        Sql::Fingerprint(_) => reading.show(&mut lines::Fingerprints),
        Sql::Normalize(_) => reading.show(&mut lines::Normal),
        Sql::Parse(parse) if parse.dot => tree::draw(reading),
        Sql::Parse(_) => reading.show(&mut tree::AsText::default()),
        Sql::Format(options) => format::show(options, reading),
        Sql::Tokens(_) => tokens::show(reading),
        Sql::Stats(_) => stats::show(reading),
    }
}

impl Tool {
    fn new(limits: Limits) -> Result<Tool, Refusal> {
        let (database, untracked) = session::open(None, limits, "this", ROOM_BYTES)?;
        let root = database.budget().clone();
        let child = |name| {
            let options = BudgetOptions::unlimited().keeps_refusals();
            root.child_with(name, options).map_err(|_| Refusal::memory(&root))
        };
        let (input, statement) = (child("input")?, child("statement")?);
        let out = BufWriter::with_capacity(OUTPUT_BYTES, io::stdout().lock());
        Ok(Tool { root, input, statement, untracked, out })
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

/// The record of the last refusal under `budget`.
fn refusal(budget: &Budget) -> OutOfMemory {
    budget.last_refusal().expect("a refusal is recorded")
}
