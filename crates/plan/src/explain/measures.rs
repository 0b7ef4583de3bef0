//! What a plan's operators did when it ran, in numbers.

use crate::physical::{OperatorKind, PhysicalPlan};

/// What one operator did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// How often it was begun: more than once inside of a recursion, never where nobody asked for its rows.
    pub loops: u64,
    /// Rows that it gave, in all loops.
    pub rows: u64,
    /// Rows that it read from a table, before its filter; of scans only.
    pub rows_read: u64,
    /// Those of them that joins above had no match for, and that were left out for that; of scans only.
    pub rows_filtered: u64,
    /// How many threads helped to read it, beside the statement's own; of scans only.
    pub workers: u64,
    /// When it and what it reads had given the first row, in nanoseconds since the first of them began.
    pub startup_ns: u64,
    /// What it and what it reads took, in nanoseconds.
    pub total_ns: u64,
    /// Bytes that it holds at the end.
    pub memory_bytes: u64,
    /// The most that it held.
    pub memory_bytes_peak: u64,
    /// Bytes that it wrote to temporary files.
    pub spilled_bytes: u64,
    /// Temporary files that it made.
    pub spilled_files: u64,
    /// Partitions that went to files.
    pub partitions_spilled: u64,
    /// Partitions of files that were parted again.
    pub partitions_parted: u64,
    /// Blocks that a partition, which did not fit, was read in.
    pub blocks: u64,
}

/// What a statement did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measures<'a> {
    /// By operator; empty if the statement did not run.
    pub operators: &'a [Measured],
    /// How long it took to parse and plan, in nanoseconds.
    pub planning_ns: u64,
    /// What the plan takes, with all that was made on the way, in bytes.
    pub planning_bytes: u64,
    /// How long it ran, in nanoseconds.
    pub execution_ns: u64,
    /// The most bytes that the statement held.
    pub memory_bytes_peak: u64,
    /// What it may hold.
    pub memory_bytes_limit: u64,
    /// Bytes that it wrote to temporary files.
    pub temporary_bytes: u64,
    /// Temporary files that it made.
    pub temporary_files: u64,
}

/// How many rows an operator has read and not given, because they did not pass its filter; `None` if it has none.
pub(super) fn rows_removed(plan: &PhysicalPlan<'_>, index: usize, operators: &[Measured]) -> Option<u64> {
    let rows = operators.get(index)?.rows + operators.get(index)?.rows_filtered;
    let read = match &plan.operators.get(index)?.kind {
        OperatorKind::Scan(scan) if !scan.conjuncts.is_empty() => operators.get(index)?.rows_read,
        OperatorKind::Filter { input, .. } => operators.get(input.index())?.rows,
        _ => return None,
    };
    Some(read.saturating_sub(rows))
}
