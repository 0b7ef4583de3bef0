//! How far statements are, for whoever looks from another thread.
//!
//! Scans count the rows of tables and files that they have read, once for each batch. What they will read is the planner's guess of the
//! tables' sizes; there is none where a part of a table is read, or a part of the plan is run again and again.

use std::sync::atomic::{AtomicU64, Ordering};

use cofferdam_plan::physical::{OperatorKind, PhysicalPlan};

/// What stands for rows of which nobody knows how many they will be.
const UNKNOWN: u64 = u64::MAX;

/// How far the statement is that has begun last.
///
/// Nothing is guarded: the two figures may be of two statements for the moment in which one follows the other.
#[derive(Debug)]
pub struct Progress {
    rows_read: AtomicU64,
    rows_expected: AtomicU64,
}

impl Progress {
    /// Before any statement.
    pub const fn new() -> Progress {
        Progress { rows_read: AtomicU64::new(0), rows_expected: AtomicU64::new(UNKNOWN) }
    }

    /// Rows of tables and files that the statement has read so far.
    pub fn rows_read(&self) -> u64 {
        self.rows_read.load(Ordering::Relaxed)
    }

    /// About how many rows it will read, if that is known and it reads any.
    pub fn rows_expected(&self) -> Option<u64> {
        Some(self.rows_expected.load(Ordering::Relaxed)).filter(|rows| *rows != UNKNOWN)
    }

    /// A statement begins of which nothing is known yet.
    pub fn begin(&self) {
        self.rows_read.store(0, Ordering::Relaxed);
        self.rows_expected.store(UNKNOWN, Ordering::Relaxed);
    }

    /// It runs this plan.
    pub(crate) fn expect(&self, plan: &PhysicalPlan<'_>) {
        self.begin();
        self.rows_expected.store(rows_expected(plan).unwrap_or(UNKNOWN), Ordering::Relaxed);
    }

    pub(crate) fn count_read(&self, rows: u64) {
        self.rows_read.fetch_add(rows, Ordering::Relaxed);
    }
}

impl Default for Progress {
    fn default() -> Progress {
        Progress::new()
    }
}

/// How many rows the scans of a plan read, as far as anybody knows.
fn rows_expected(plan: &PhysicalPlan<'_>) -> Option<u64> {
    let mut sum: Option<u64> = None;
    for operator in plan.operators {
        let rows = match operator.kind {
            OperatorKind::Scan(scan) => scan.rows_to_read()?,
            OperatorKind::Recursive { .. } => return None,
            _ => continue,
        };
        sum = Some(sum.unwrap_or(0).saturating_add(rows));
    }
    sum
}
