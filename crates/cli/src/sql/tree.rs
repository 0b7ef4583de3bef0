//! `parse`: trees as indented text, or as a picture of boxes for Graphviz.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_sql::{Tree, Visit};

use super::Out;
use super::script::{Reading, Show, Statement, Stopped, parse_again};

/// The longest text in a box, in bytes.
const LABEL_BYTES_MAX: usize = 60;

/// `parse`: each statement's place, and its tree with offsets from there.
#[derive(Default)]
pub(super) struct AsText {
    is_behind_one: bool,
}

impl Show for AsText {
    fn right(
        &mut self,
        statement: Statement<'_>,
        _: Tree<'_>,
        arena: &Arena,
        out: &mut Out,
    ) -> Result<(), Stopped> {
        let Statement { number, text, line, offset } = statement.trimmed();
        let tree = parse_again(text, arena)?;
        let gap = if std::mem::replace(&mut self.is_behind_one, true) { "\n" } else { "" };
        writeln!(out, "{gap}statement {number}, line {line}, byte {offset}")?;
        Ok(write!(out, "{}", tree.outline())?)
    }
}

/// `parse --dot`: all trees as one graph in Graphviz's language. Gives the exit code.
///
/// # Errors
/// What the system says of the input or the output.
pub(super) fn draw(reading: &mut Reading<'_>) -> io::Result<u8> {
    writeln!(reading.out(), "digraph sql {{\n  node [shape=box, fontname=\"monospace\"];")?;
    let code = reading.show(&mut AsGraph { boxes_count: 0 })?;
    writeln!(reading.out(), "}}")?;
    Ok(code)
}

struct AsGraph {
    boxes_count: u64,
}

impl Show for AsGraph {
    fn right(
        &mut self,
        statement: Statement<'_>,
        _: Tree<'_>,
        arena: &Arena,
        out: &mut Out,
    ) -> Result<(), Stopped> {
        let tree = parse_again(statement.trimmed().text, arena)?;
        let mut open = Vec::new_in(arena);
        for visit in tree.walk() {
            match visit {
                Visit::Enter(node) => {
                    self.boxes_count += 1;
                    let number = self.boxes_count;
                    let mut label = Label { text: out, bytes_left: LABEL_BYTES_MAX, outcome: Ok(()) };
                    write!(label.text, "  n{number} [label=\"")?;
                    // A label that is full ends its own writing.
                    let _ = write!(label, "{}", node.label());
                    label.outcome?;
                    writeln!(out, "\"];")?;
                    if let Some(parent) = open.last() {
                        writeln!(out, "  n{parent} -> n{number};")?;
                    }
                    open.push(number)?;
                }
                Visit::Leave(_) => drop(open.pop()),
            }
        }
        Ok(())
    }
}

/// Text in a box: quotes and backslashes are escaped, and it ends with `…` where it gets long.
struct Label<'o> {
    text: &'o mut Out,
    bytes_left: usize,
    outcome: io::Result<()>,
}

impl fmt::Write for Label<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            let is_full = self.bytes_left < c.len_utf8();
            self.bytes_left = self.bytes_left.saturating_sub(c.len_utf8());
            self.outcome = match c {
                _ if is_full => write!(self.text, "…"),
                '"' | '\\' => write!(self.text, "\\{c}"),
                _ => write!(self.text, "{c}"),
            };
            if is_full || self.outcome.is_err() {
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}
