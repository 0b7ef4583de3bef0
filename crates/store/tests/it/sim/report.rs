//! What a run finds and counts.

use std::collections::BTreeMap;
use std::fmt;

use super::engine::FailureKind;

/// Something that must not be.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// What is wrong, in a word or two: what a smaller script must show as well.
    pub(crate) kind: &'static str,
    pub(crate) what: String,
}

impl Finding {
    pub(crate) fn new(kind: &'static str, what: impl fmt::Display) -> Finding {
        Finding { kind, what: what.to_string() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.what)
    }
}

/// What happened, for those who want to know that a run is one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stats {
    pub(crate) runs: u64,
    pub(crate) counts: BTreeMap<&'static str, u64>,
    /// Failures that had a cause, by operation.
    pub(crate) failures: BTreeMap<(&'static str, FailureKind), u64>,
}

impl Stats {
    pub(crate) fn count(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    pub(crate) fn add(&mut self, what: &'static str, count: u64) {
        *self.counts.entry(what).or_default() += count;
    }

    pub(crate) fn of(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    pub(crate) fn failed(&mut self, operation: &'static str, kind: FailureKind) {
        *self.failures.entry((operation, kind)).or_default() += 1;
    }

    pub(crate) fn merge(&mut self, other: &Stats) {
        self.runs += other.runs;
        for (what, count) in &other.counts {
            self.add(what, *count);
        }
        for (what, count) in &other.failures {
            *self.failures.entry(*what).or_default() += count;
        }
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>9} runs", self.runs)?;
        for (what, count) in &self.counts {
            writeln!(f, "{count:>9} {what}")?;
        }
        for ((operation, kind), count) in &self.failures {
            writeln!(f, "{count:>9} {operation} failed: {kind:?}")?;
        }
        Ok(())
    }
}

/// What was done, as text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    pub(crate) is_kept: bool,
    lines: Vec<String>,
}

impl Trace {
    pub(crate) fn new(is_kept: bool) -> Trace {
        Trace { is_kept, lines: Vec::new() }
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if self.is_kept {
            self.lines.push(line());
        }
    }

    /// The last `count` lines.
    pub(crate) fn last(&self, count: usize) -> &[String] {
        &self.lines[self.lines.len().saturating_sub(count)..]
    }
}
