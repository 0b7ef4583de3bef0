//! `cofferdam sql`: looking into SQL without running it.
//!
//! | file | holds |
//! |---|---|
//! | `source` | a file or standard input in bounded memory |
//! | `texts` | texts separated by NUL bytes: `check -0`, `print -0` |
//! | `script` | the statements of a script, and those tools that look at each |
//! | `progress` | how far a long input is read |
//!
//! Memory is taken from budgets below one limit, as everywhere:
//!
//! ```text
//!   process          --memory, 256 MiB without it
//!   |- untracked     docs/BUDGETS.md
//!   |- input         what was read and is being looked at
//!   `- statement     the tree of one statement, the parser's stack
//! ```

mod progress;
mod script;
mod source;
mod texts;

use std::io::{self, BufWriter, StdoutLock};

use cofferdam::{Budget, BudgetOptions, OutOfMemory, human_bytes};
use cofferdam_arena::Arena;

use crate::args::{Limits, Sql};
use crate::untracked::{LIMIT_BYTES, Untracked};
use crate::{FAILED, USAGE, complain, session};
use source::{ReadError, Source};

/// What is written at a time.
const OUTPUT_BYTES: usize = 8 << 10;
/// What a tool needs beside the bound of what is untracked: its buffer, the pages of the tree of budgets, a small
/// statement.
const ROOM_BYTES: u64 = 192 << 10;
/// What an arena keeps from one statement to the next.
const KEPT_BYTES: usize = 64 << 10;

/// The budgets of a tool, and where its output goes.
pub(crate) struct Tool {
    input: Budget,
    statement: Budget,
    untracked: Untracked,
    out: BufWriter<StdoutLock<'static>>,
}

/// Runs a tool. Gives the program's exit code.
///
/// # Errors
/// What the system says of the input or the output.
pub(crate) fn run(tool: &Sql, limits: Limits) -> io::Result<u8> {
    let mut budgets = match Tool::new(limits) {
        Ok(budgets) => budgets,
        Err(message) => {
            complain(format_args!("error: {message}"));
            return Ok(USAGE);
        }
    };
    let (path, separated_by_nul) = match tool {
        Sql::Check(texts) | Sql::Print(texts) => (&texts.script.file, texts.separated_by_nul),
    };
    let room = Arena::new(&budgets.input);
    let mut source = match Source::open(path, &room) {
        Ok(source) => source,
        Err(ReadError::Io(error)) => {
            complain(format_args!("error[58030]: could not open {}: {error}", path.display()));
            return Ok(USAGE);
        }
        Err(ReadError::OutOfMemory) => {
            complain(format_args!("error[53200]: {}", refusal(&budgets.input)));
            return Ok(FAILED);
        }
    };
    let code = match (tool, separated_by_nul) {
        (Sql::Check(_), true) => texts::check(&mut budgets, &mut source),
        (Sql::Print(_), true) => texts::print(&mut budgets, &mut source),
        _ => script::run(tool, &mut budgets, &mut source),
    }?;
    budgets.finish();
    Ok(code)
}

impl Tool {
    fn new(limits: Limits) -> Result<Tool, String> {
        let (database, untracked) = session::open(limits, "this", ROOM_BYTES)?;
        let root = database.budget();
        let child = |name| {
            let options = BudgetOptions::unlimited().keeps_refusals();
            root.child_with(name, options).map_err(|_| refusal(root).to_string())
        };
        let (input, statement) = (child("input")?, child("statement")?);
        let out = BufWriter::with_capacity(OUTPUT_BYTES, io::stdout().lock());
        Ok(Tool { input, statement, untracked, out })
    }

    /// Says so where more was taken outside of the budgets than may be.
    fn finish(&mut self) {
        if let Err(peak) = self.untracked.update() {
            let (peak, limit) = (human_bytes(peak), human_bytes(LIMIT_BYTES));
            complain(format_args!(
                "warning: {peak} were taken outside of the budgets, above the bound of {limit}"
            ));
        }
    }
}

/// The record of the last refusal under `budget`.
fn refusal(budget: &Budget) -> OutOfMemory {
    budget.last_refusal().expect("a refusal is recorded")
}
