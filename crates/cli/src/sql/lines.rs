//! `check`, `print`, `normalize` and `fingerprint` of a script: at most a line for each statement.

use std::fmt;
use std::io::{self, Write};

use cofferdam_arena::Arena;
use cofferdam_sql::{Tree, normalize};

use super::Out;
use super::script::{Reading, Show, Statement, Stopped};
use crate::format::escaped::Escaped;

/// `check`: what is wrong is reported, and at the end how many there were. Gives the exit code.
///
/// # Errors
/// What the system says of the input or the output.
pub(super) fn check(reading: &mut Reading<'_>) -> io::Result<u8> {
    let code = reading.show(&mut Nothing)?;
    let (wrong, all) = (reading.wrong_count, reading.statements_count);
    writeln!(reading.out(), "{wrong} of {all} statements wrong")?;
    Ok(code)
}

struct Nothing;

impl Show for Nothing {
    fn right(&mut self, _: Statement<'_>, _: Tree<'_>, _: &Arena, _: &mut Out) -> Result<(), Stopped> {
        Ok(())
    }
}

/// `print`: each statement in canonical form, with a `;`.
pub(super) struct Canonical;

impl Show for Canonical {
    fn right(&mut self, _: Statement<'_>, tree: Tree<'_>, _: &Arena, out: &mut Out) -> Result<(), Stopped> {
        Ok(writeln!(out, "{tree};")?)
    }
}

/// `normalize`: each statement in canonical form with parameters for its literals, with a `;`.
pub(super) struct Normal;

impl Show for Normal {
    fn right(&mut self, _: Statement<'_>, tree: Tree<'_>, _: &Arena, out: &mut Out) -> Result<(), Stopped> {
        Ok(writeln!(out, "{};", Normalized(tree))?)
    }
}

struct Normalized<'a>(Tree<'a>);

impl fmt::Display for Normalized<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        normalize(self.0, f)
    }
}

/// `fingerprint`: each statement's fingerprint, and the statement in canonical form, on one line for people.
pub(super) struct Fingerprints;

impl Show for Fingerprints {
    fn right(
        &mut self,
        _: Statement<'_>,
        tree: Tree<'_>,
        arena: &Arena,
        out: &mut Out,
    ) -> Result<(), Stopped> {
        let fingerprint = tree.fingerprint(arena)?;
        Ok(writeln!(out, "{fingerprint}  {};", Escaped(tree))?)
    }
}
