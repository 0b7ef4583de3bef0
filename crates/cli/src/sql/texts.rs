//! Texts separated by NUL bytes: each has one line or one entry of output, whatever it is.

use std::fmt::Display;
use std::io::{self, Write};
use std::str::Utf8Error;

use cofferdam::Budget;
use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_sql::{Error, Fingerprint, Script, Tree};

use super::source::{Entry, Source};
use super::{KEPT_BYTES, Tool, refusal};
use crate::format::escaped::Escaped;
use crate::interrupt;

/// Why a text is not SQL.
enum Wrong {
    Encoding(Utf8Error),
    Sql(Error),
    /// Of this budget.
    OutOfMemory(Budget),
}

/// `check -0`: a line for each text.
///
/// # Errors
/// What the system says of the input or the output.
pub(super) fn check(tool: &mut Tool, source: &mut Source<'_>) -> io::Result<u8> {
    let mut arena = Arena::new(&tool.statement);
    each_text(tool, source, |tool, text| {
        let outcome = text.and_then(|text| check_text(text, &mut arena, tool));
        interrupt::check()?;
        match outcome {
            Ok(()) => tool.out.write_all(b"OK\n"),
            Err(wrong) => wrong.write(&mut tool.out),
        }
    })
}

fn check_text(text: &str, arena: &mut Arena, tool: &Tool) -> Result<(), Wrong> {
    let mut script = script(text, tool)?;
    loop {
        arena.reset_keeping(KEPT_BYTES);
        match script.next_statement(arena) {
            None => return Ok(()),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(Wrong::sql(error, tool)),
        }
    }
}

fn script<'t>(text: &'t str, tool: &Tool) -> Result<Script<'t>, Wrong> {
    match Script::new(text) {
        Ok(script) => Ok(script.cancellable(interrupt::flag())),
        Err(error) => Err(Wrong::sql(error, tool)),
    }
}

/// `print -0`: an entry for each text, with a NUL byte behind it.
///
/// # Errors
/// What the system says of the input or the output.
pub(super) fn print(tool: &mut Tool, source: &mut Source<'_>) -> io::Result<u8> {
    let mut arena = Arena::new(&tool.statement);
    each_text(tool, source, |tool, text| {
        arena.reset_keeping(KEPT_BYTES);
        let trees = text.and_then(|text| trees_of(text, &arena, tool));
        interrupt::check()?;
        for (index, tree) in trees.iter().flat_map(|trees| trees.iter()).enumerate() {
            write!(tool.out, "{}{tree}", if index == 0 { "" } else { "; " })?;
        }
        tool.out.write_all(&[0])
    })
}

/// `fingerprint -0`: a line for each text, with a blank between the fingerprints of its statements.
///
/// # Errors
/// What the system says of the input or the output.
pub(super) fn fingerprint(tool: &mut Tool, source: &mut Source<'_>) -> io::Result<u8> {
    let mut arena = Arena::new(&tool.statement);
    each_text(tool, source, |tool, text| {
        arena.reset_keeping(KEPT_BYTES);
        let outcome = text.and_then(|text| fingerprints_of(text, &arena, tool));
        interrupt::check()?;
        match outcome {
            Ok(fingerprints) => {
                for (index, fingerprint) in fingerprints.iter().enumerate() {
                    write!(tool.out, "{}{fingerprint}", if index == 0 { "" } else { " " })?;
                }
                writeln!(tool.out)
            }
            Err(wrong) => wrong.write(&mut tool.out),
        }
    })
}

fn fingerprints_of<'t>(text: &'t str, arena: &'t Arena, tool: &Tool) -> Result<Vec<'t, Fingerprint>, Wrong> {
    let mut fingerprints = Vec::new_in(arena);
    for tree in trees_of(text, arena, tool)?.iter() {
        let pushed = tree.fingerprint(arena).and_then(|fingerprint| fingerprints.push(fingerprint));
        pushed.map_err(|error| Wrong::sql(error.into(), tool))?;
    }
    Ok(fingerprints)
}

/// The trees of all statements: nothing is printed of a text that is wrong at its end.
fn trees_of<'t>(text: &'t str, arena: &'t Arena, tool: &Tool) -> Result<Vec<'t, Tree<'t>>, Wrong> {
    let mut script = script(text, tool)?;
    let mut trees = Vec::new_in(arena);
    while let Some(outcome) = script.next_statement(arena) {
        let tree = outcome.map_err(|error| Wrong::sql(error, tool))?;
        trees.push(tree).map_err(|error| Wrong::sql(error.into(), tool))?;
    }
    Ok(trees)
}

/// Calls `look` with each text, or with why it is none.
fn each_text(
    tool: &mut Tool,
    source: &mut Source<'_>,
    mut look: impl FnMut(&mut Tool, Result<&str, Wrong>) -> io::Result<()>,
) -> io::Result<u8> {
    let mut arena = Arena::new(&tool.input);
    loop {
        let text = match source.next_entry(&arena, &mut tool.out)? {
            None => break,
            Some(Entry::Text(bytes)) => str::from_utf8(bytes).map_err(Wrong::Encoding),
            Some(Entry::TooLong) => Err(Wrong::OutOfMemory(tool.input.clone())),
        };
        look(tool, text)?;
        arena.reset_keeping(KEPT_BYTES);
    }
    Ok(0)
}

impl Wrong {
    fn sql(error: Error, tool: &Tool) -> Wrong {
        match error {
            Error::OutOfMemory(_) => Wrong::OutOfMemory(tool.statement.clone()),
            error => Wrong::Sql(error),
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut line =
            |offset: u64, message: &dyn Display| writeln!(out, "ERR {offset} {}", Escaped(message));
        match self {
            Wrong::Encoding(error) => line(error.valid_up_to() as u64, &"the text is not valid UTF-8"),
            Wrong::Sql(error) => line(error.span().map_or(0, |span| u64::from(span.start)), error),
            Wrong::OutOfMemory(budget) => line(0, &refusal(budget)),
        }
    }
}
