//! Cancelling: statements look often enough whether they shall go on, inside of long work too.

use std::cell::Cell;

use cofferdam_arena::{Arena, Budget};
use cofferdam_exec::{Error, Tables, Workspace};
use cofferdam_types::Type;

use super::support::{Query, TempFile};

const ROWS: usize = 1_100_000;
const COLUMN: [(&str, Type); 1] = [("n", Type::Integer)];

fn numbers() -> TempFile {
    TempFile::new("tbl", (0..ROWS).map(|n| format!("{}|\n", n * 7919 % ROWS)).collect::<String>())
}

/// Runs up to the first batch, or up to the look of this number; gives how often it looked, and whether it was
/// cancelled.
fn looks_until_first_batch(query: &Query, cancel_at: usize) -> (usize, bool) {
    let budget = Budget::unlimited("test").unwrap();
    let (plan, arena, looks) = (query.plan(), Arena::new(&budget), Cell::new(0));
    let is_cancelled = || {
        looks.set(looks.get() + 1);
        looks.get() == cancel_at
    };
    let workspace = Workspace::new(&plan, &budget, &arena).unwrap();
    let mut execution = workspace.execute(&plan, Tables::None, &is_cancelled).unwrap();
    let was_cancelled = match execution.next_batch() {
        Ok(Some(_)) => false,
        Err(Error::Cancelled) => true,
        outcome => panic!("{outcome:?}"),
    };
    (looks.get(), was_cancelled)
}

/// Aim: long work that gives no rows can be cancelled. Method: between the input's end and the first batch it must look
/// so many times, and the first and last of these looks can end it.
fn assert_looks_after_input(query: &Query, least: usize) {
    // For each batch of the input it looks twice: before the scan reads it, and before the operator takes it.
    let batches = ROWS.div_ceil(2048);
    let (looks, _) = looks_until_first_batch(query, usize::MAX);
    assert!(looks >= batches + least, "{looks} looks over {batches} batches");
    for cancel_at in [looks - least, looks] {
        assert_eq!(looks_until_first_batch(query, cancel_at), (cancel_at, true));
    }
}

#[test]
fn sorting_can_be_cancelled() {
    let file = numbers();
    let mut query = Query::new();
    let source = query.plans.source(file.path(), Some(&COLUMN));
    let scan = query.scan_all(source);
    query.sort(scan, &[(0, false, false)], None);
    // Eight pieces and seven halvings.
    assert_looks_after_input(&query, 15);
}

#[test]
fn building_a_hash_table_can_be_cancelled() {
    let (file, one) = (numbers(), TempFile::new("tbl", "5|\n"));
    let mut query = Query::new();
    let columns = Some(COLUMN.as_slice());
    let (probe, build) = (query.plans.source(one.path(), columns), query.plans.source(file.path(), columns));
    let (probe, build) = (query.scan_all(probe), query.scan_all(build));
    let keys = [(query.col(probe, 0), query.col(build, 0))];
    query.join(probe, build, &keys, &[], &[0, 1]);
    // Two parts, then the probe's batch.
    assert_looks_after_input(&query, 3);
}
