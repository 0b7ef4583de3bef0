//! The statements of a script, and those tools that look at each.

use std::io::{self, Write};

use cofferdam::Splitter;
use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_sql::{Error, Script, Tree};

use super::source::{ReadError, Source};
use super::{KEPT_BYTES, Tool, refusal};
use crate::args::Sql;
use crate::report::{Finding, Place};
use crate::{FAILED, complain};

/// What is known of a script so far.
struct Reading<'p> {
    origin: &'p str,
    /// The line and the offset of the first byte of the piece that is looked at.
    line: usize,
    statements_count: u64,
    wrong_count: u64,
}

/// Runs a tool over the statements of a script. Gives 1 if any of them is wrong.
///
/// # Errors
/// What the system says of the output.
pub(super) fn run(tool: &Sql, budgets: &mut Tool, source: &mut Source<'_>) -> io::Result<u8> {
    let origin = source.origin();
    let mut reading = Reading { origin, line: 1, statements_count: 0, wrong_count: 0 };
    let outcome = reading.pieces(tool, budgets, source);
    let code = match outcome {
        Ok(()) => 0,
        Err(ReadError::Io(error)) => return Err(error),
        Err(ReadError::OutOfMemory) => {
            let (line, record) = (reading.line, refusal(&budgets.input));
            complain(format_args!(
                "error[53200]: the statement at line {line} of {origin} does not fit; what follows is not read: {record}"
            ));
            FAILED
        }
    };
    if matches!(tool, Sql::Check(_)) {
        let (wrong, all) = (reading.wrong_count, reading.statements_count);
        writeln!(budgets.out, "{wrong} of {all} statements wrong")?;
    }
    budgets.out.flush()?;
    Ok(if reading.wrong_count > 0 { FAILED } else { code })
}

impl Reading<'_> {
    /// Looks at the script piece by piece.
    fn pieces(&mut self, tool: &Sql, budgets: &mut Tool, source: &mut Source<'_>) -> Result<(), ReadError> {
        let mut trees = Arena::new(&budgets.statement);
        loop {
            let arena = Arena::new(&budgets.input);
            let mut piece = Vec::new_in(&arena);
            let mut least = 0;
            let is_last = loop {
                let is_last = source.fill(&mut piece, least, &mut budgets.out)?;
                let mut look = Look { reading: self, tool, budgets, source, trees: &mut trees };
                let read = look.piece(&piece, is_last)?;
                if read == piece.len() {
                    break is_last;
                }
                // The last `;` may be inside of its statement: twice as much of the text will tell.
                piece.copy_within(read.., 0);
                piece.truncate(piece.len() - read);
                least = 2 * piece.len();
            };
            if is_last {
                return Ok(());
            }
        }
    }
}

/// A look at one piece.
struct Look<'l, 'p, 's> {
    reading: &'l mut Reading<'p>,
    tool: &'l Sql,
    budgets: &'l mut Tool,
    source: &'l Source<'s>,
    trees: &'l mut Arena,
}

impl Look<'_, '_, '_> {
    /// Looks at the statements of a piece. Gives how much of it was read: less than all where the last statement may go
    /// on behind the piece.
    fn piece(&mut self, piece: &[u8], is_last: bool) -> io::Result<usize> {
        if !piece.contains(&0)
            && let Ok(text) = str::from_utf8(piece)
        {
            return self.statements(text, is_last);
        }
        // What is wrong with the text of one statement says nothing of the others.
        let (mut splitter, mut start) = (Splitter::new(), 0);
        while start < piece.len() {
            let end = splitter.find_end(&piece[start..]).map_or(piece.len(), |length| start + length);
            match str::from_utf8(&piece[start..end]) {
                Ok(text) => drop(self.statements(text, true)?),
                Err(error) => self.not_utf8(&piece[start..end], error.valid_up_to()),
            }
            start = end;
        }
        Ok(piece.len())
    }

    /// As [`Look::piece`].
    fn statements(&mut self, text: &str, is_last: bool) -> io::Result<usize> {
        // The line of the reading is that of the byte at `seen`.
        let mut seen = 0;
        let mut script = match Script::new(text) {
            Ok(script) => script,
            Err(error) => {
                self.reading.statements_count += 1;
                self.wrong(&error, text, 0);
                self.reading.line += count_lines(text.as_bytes());
                return Ok(text.len());
            }
        };
        loop {
            let start = script.offset() as usize;
            self.trees.reset_keeping(KEPT_BYTES);
            let outcome = script.next_statement(self.trees);
            let Some(outcome) = outcome else { break };
            if let Err(error) = &outcome
                && !is_last
                && ends_too_early(error, text)
            {
                self.reading.line += count_lines(&text.as_bytes()[seen..start]);
                return Ok(start);
            }
            self.reading.statements_count += 1;
            match outcome {
                Ok(tree) => show(self.tool, tree, &mut self.budgets.out)?,
                Err(error) => {
                    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1).max(seen);
                    self.reading.line += count_lines(&text.as_bytes()[seen..line_start]);
                    seen = line_start;
                    self.wrong(&error, text, seen);
                }
            }
        }
        self.reading.line += count_lines(&text.as_bytes()[seen..]);
        Ok(text.len())
    }

    /// Reports a wrong statement. The line of the reading is that of the byte at `seen` in `text`.
    fn wrong(&mut self, error: &Error, text: &str, seen: usize) {
        self.reading.wrong_count += 1;
        let refusal = matches!(error, Error::OutOfMemory(_)).then(|| refusal(&self.budgets.statement));
        let hint = error.hint();
        let finding = Finding::of_sql(error, hint.as_ref(), refusal.as_ref());
        let place = Place { origin: self.reading.origin, line: self.reading.line };
        self.source.progress().suspend(|| finding.report(text, seen, place));
    }

    fn not_utf8(&mut self, bytes: &[u8], valid_up_to: usize) {
        self.reading.statements_count += 1;
        self.reading.wrong_count += 1;
        let line = self.reading.line + count_lines(&bytes[..valid_up_to]);
        let origin = self.reading.origin;
        self.source
            .progress()
            .suspend(|| complain(format_args!("error[22021]: {origin} line {line} is not valid UTF-8")));
        self.reading.line += count_lines(bytes);
    }
}

/// Whether the text may only have been cut at the wrong `;`.
fn ends_too_early(error: &Error, text: &str) -> bool {
    text.ends_with(';') && error.span().is_some_and(|span| span.start as usize == text.len() - 1)
}

fn show(tool: &Sql, tree: Tree<'_>, out: &mut impl Write) -> io::Result<()> {
    match tool {
        Sql::Check(_) => Ok(()),
        Sql::Print(_) => writeln!(out, "{tree};"),
    }
}

fn count_lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}
