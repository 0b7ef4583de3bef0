//! How the sweep and the injection look into the errors of the work that they rerun.

use cofferdam_arena::{Budget, OutOfMemory};
use std::fmt;

/// An error that may be a refusal of memory.
pub trait Refused: fmt::Display {
    /// The record, when the error is a refusal of memory; `None` for every other error.
    fn refusal(&self) -> Option<OutOfMemory>;
}

impl Refused for OutOfMemory {
    fn refusal(&self) -> Option<OutOfMemory> {
        Some(*self)
    }
}

/// The error of a work whose own errors carry the thin token only.
#[derive(Clone, Debug)]
pub enum Failure {
    /// Memory was refused.
    OutOfMemory(Box<OutOfMemory>),
    /// Anything else, as text; a sweep or an injection must never meet it.
    Other(String),
}

impl Failure {
    /// Translates `error`, which `is_refusal` calls a refusal, with the record that `budget` kept of it.
    ///
    /// A token without a record is a defect and comes out as [`Failure::Other`].
    pub fn of(budget: &Budget, error: &dyn fmt::Display, is_refusal: bool) -> Failure {
        match (is_refusal, budget.last_refusal()) {
            (true, Some(record)) => record.into(),
            (true, None) => Failure::Other(format!("{error}, but `{}` has no record of it", budget.name())),
            (false, _) => Failure::Other(error.to_string()),
        }
    }
}

impl From<OutOfMemory> for Failure {
    fn from(record: OutOfMemory) -> Failure {
        Failure::OutOfMemory(Box::new(record))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::OutOfMemory(record) => record.fmt(f),
            Failure::Other(text) => f.write_str(text),
        }
    }
}

impl Refused for Failure {
    fn refusal(&self) -> Option<OutOfMemory> {
        match self {
            Failure::OutOfMemory(record) => Some(**record),
            Failure::Other(_) => None,
        }
    }
}

/// What is asked of every refusal: that it is one, and that it says who asked.
pub(crate) fn checked(error: &impl Refused) -> Result<OutOfMemory, String> {
    let record = error.refusal().ok_or_else(|| format!("not a refusal of memory: {error}"))?;
    if record.path().is_empty() {
        return Err(format!("a refusal without a path: {error}"));
    }
    Ok(record)
}

/// What is held below a watched budget, without unspent credit of its children.
pub(crate) fn held_bytes(budget: &Budget) -> u64 {
    budget.walk().next().map_or(0, |stats| stats.used_bytes)
}
