//! Limits: from nothing up, every failure is the typed error, and everything is given back.

use std::sync::atomic::{AtomicU32, Ordering};

use cofferdam_arena::{Arena, Budget};
use cofferdam_exec::{Error, Remedy, Tables, Workspace};
use cofferdam_plan::expr::{BinaryOp, Function};
use cofferdam_plan::physical::AggregateFunction::{Avg, Count, CountRows, Max, Min, Sum};
use cofferdam_types::Type;

use super::support::{Query, TempFile, decimal};

fn numbers(rows: u32) -> TempFile {
    let text: String = (0..rows)
        .map(|i| format!("{i}|{}|name number {}|{}.{:02}|\n", i % 97, i % 389, i % 1000, i % 100))
        .collect();
    TempFile::new("tbl", text)
}

/// Raises the limit step by step until the query succeeds, and compares the answer with that of no limit.
fn sweep(name: &str, query: &Query) {
    let expected = query.rows();
    let (mut limit, mut failures) = (0u64, 0);
    loop {
        match query.run(limit) {
            Ok(rows) => {
                assert_eq!(rows, expected, "{name} at {limit} bytes");
                break;
            }
            Err((sqlstate, message)) => {
                assert_eq!(sqlstate, "53200", "{name} at {limit} bytes: {message}");
                failures += 1;
            }
        }
        limit += (limit / 16).max(1024);
        assert!(limit < 64 << 20, "{name} does not succeed");
    }
    assert!(failures > 0, "{name} never failed");
}

#[test]
fn every_operator_fails_cleanly_at_every_limit() {
    let file = numbers(3000);
    let base = Query::new();
    let p = base.plans;
    let source = p.source(file.path(), None);
    let scan_of = || {
        let mut query = Query::new();
        let scan = query.scan_all(source);
        (query, scan)
    };

    let (query, _) = scan_of();
    sweep("scan", &query);

    let (mut query, scan) = scan_of();
    let even = p.test(
        BinaryOp::Equal,
        p.binary(BinaryOp::Modulo, query.col(scan, 0), p.bigint(2), Type::BigInt),
        p.bigint(0),
    );
    let filter = query.filter(scan, &[even]);
    let upper = p.call(Function::Upper, &[query.col(filter, 2)], Type::Text);
    query.project(filter, &[query.col(filter, 0), upper]);
    sweep("filter and project", &query);

    let (mut query, scan) = scan_of();
    let groups = [query.col(scan, 2)];
    let amount = query.col(scan, 3);
    let aggregates = [
        (CountRows, None, false, Type::BigInt),
        (Sum, Some(amount), false, decimal(38, 2)),
        (Avg, Some(amount), false, decimal(38, 16)),
        (Min, Some(query.col(scan, 2)), false, Type::Text),
        (Max, Some(query.col(scan, 0)), false, Type::BigInt),
        (Count, Some(query.col(scan, 1)), true, Type::BigInt),
    ];
    query.aggregate(scan, &groups, &aggregates);
    sweep("aggregate", &query);

    let (mut query, scan) = scan_of();
    query.sort(scan, &[(1, true, false), (0, false, false)], None);
    sweep("sort", &query);

    let (mut query, scan) = scan_of();
    query.sort(scan, &[(3, true, false), (0, false, false)], Some(7));
    sweep("top n", &query);

    let (mut query, scan) = scan_of();
    let names = query.project(scan, &[query.col(scan, 1), query.col(scan, 2)]);
    query.distinct(names);
    sweep("distinct", &query);

    let (mut query, left) = scan_of();
    let right = query.scan_all(source);
    let keys = [(query.col(left, 0), query.col(right, 0))];
    query.join(left, right, &keys, &[], &[0, 6, 7]);
    sweep("hash join", &query);

    let mut query = Query::new();
    let small = p.test(BinaryOp::Less, p.column(0, Type::BigInt), p.bigint(40));
    let left = query.scan(source, &[0, 2], &[small], &[0, 1]);
    let right = query.scan(source, &[0], &[small], &[0]);
    let less = p.test(BinaryOp::Less, p.column(0, Type::BigInt), p.column(2, Type::BigInt));
    query.nested_loop(left, right, &[less], &[0, 1, 2]);
    sweep("nested loop join", &query);

    let mut query = Query::new();
    let rows: Vec<_> = (0..100).map(|i| vec![p.int(i), p.text("some text")]).collect();
    let values = query.values(&[("a", Type::Integer), ("b", Type::Text)], &rows);
    query.limit(values, Some(10), 5);
    sweep("values and limit", &query);
}

#[test]
fn a_refusal_at_any_charge_leaves_nothing_behind() {
    let file = numbers(500);
    let mut query = Query::new();
    let source = query.plans.source(file.path(), None);
    let scan = query.scan_all(source);
    let groups = [query.col(scan, 2)];
    let grouped = query.aggregate(scan, &groups, &[(CountRows, None, false, Type::BigInt)]);
    query.sort(grouped, &[(0, false, false)], None);
    let plan = query.plan();
    let mut refused = 0;
    // More charges than the query makes. Some refusals are survived: an arena asks for less when it is refused much.
    for nth in 1..=150 {
        let root = Budget::unlimited("root").unwrap();
        let statement = root.child("statement", u64::MAX).unwrap();
        root.inject_refusal(nth);
        let outcome = {
            let arena = Arena::new(&statement);
            run_through(&plan, &statement, &arena)
        };
        assert_eq!(statement.used(), 0, "after a refusal of charge {nth}");
        assert!(outcome == Ok(389) || outcome == Err("53200"), "charge {nth}: {outcome:?}");
        refused += u32::from(outcome.is_err());
        assert!(nth < 150 || outcome.is_ok(), "the query makes more charges than were tried");
    }
    assert!(refused > 10, "only {refused} refusals were felt");
}

fn run_through(
    plan: &cofferdam_plan::physical::PhysicalPlan<'static>,
    statement: &Budget,
    arena: &Arena,
) -> Result<usize, &'static str> {
    let workspace = Workspace::new(plan, statement, arena).map_err(|_| "53200")?;
    let never = || false;
    let mut execution = workspace.execute(plan, Tables::None, &never).map_err(|error| error.sqlstate())?;
    let mut rows = 0;
    while let Some(batch) = execution.next_batch().map_err(|error| error.sqlstate())? {
        rows += batch.rows_count();
    }
    Ok(rows)
}

#[test]
fn a_longer_file_needs_no_more_memory() {
    let peak = |rows| {
        let file = numbers(rows);
        let mut query = Query::new();
        let source = query.plans.source(file.path(), None);
        let scan = query.scan_all(source);
        let amount = query.col(scan, 3);
        query.aggregate(scan, &[], &[(Sum, Some(amount), false, decimal(38, 2))]);
        let root = Budget::root("root", 8 << 20).unwrap();
        let arena = Arena::new(&root);
        assert_eq!(run_through(&query.plan(), &root, &arena), Ok(1));
        root.peak()
    };
    let (short, long) = (peak(20_000), peak(100_000));
    // A chunk more or less: where chunks begin, and so what fits into the last one, is the system's choice.
    assert!(long.abs_diff(short) <= 64 << 10, "{short} bytes for a short file, {long} for a long one");
}

#[test]
fn top_n_holds_no_more_than_a_few_times_n() {
    let file = numbers(60_000);
    let peak = |limit| {
        let mut query = Query::new();
        let source = query.plans.source(file.path(), None);
        let scan = query.scan_all(source);
        // Each row is better than all before it, so that every one is kept for a while.
        query.sort(scan, &[(0, true, false)], limit);
        let root = Budget::unlimited("root").unwrap();
        let arena = Arena::new(&root);
        run_through(&query.plan(), &root, &arena).unwrap();
        root.peak()
    };
    let (few, all) = (peak(Some(10)), peak(None));
    assert!(few + (4 << 20) < all, "{few} bytes for ten rows, {all} for all");
}

#[test]
fn the_error_names_the_operator_that_asked() {
    let file = numbers(50_000);
    let mut query = Query::new();
    let source = query.plans.source(file.path(), None);
    let scan = query.scan_all(source);
    query.sort(scan, &[(0, true, false)], None);
    let root = Budget::root("root", u64::MAX).unwrap();
    let statement = root.child("statement", 2 << 20).unwrap();
    let (plan, never) = (query.plan(), || false);
    let arena = Arena::new(&statement);
    let workspace = Workspace::new(&plan, &statement, &arena).unwrap();
    let mut execution = workspace.execute(&plan, Tables::None, &never).unwrap();
    let error = execution.next_batch().unwrap_err();
    assert!(matches!(error, Error::OutOfMemory(_)) && error.remedy() == Remedy::GiveMemory);
    let refusal = statement.last_refusal().unwrap();
    assert_eq!(refusal.path(), "root/statement/exec/sort_1");
    assert_eq!(refusal.stage(), "execute");
    assert!(execution.next_batch().unwrap().is_none(), "an error ends the query");
}

#[test]
fn a_query_can_be_cancelled_between_batches() {
    let file = numbers(20_000);
    let mut query = Query::new();
    let source = query.plans.source(file.path(), None);
    let scan = query.scan_all(source);
    query.sort(scan, &[(0, true, false)], None);
    let plan = query.plan();
    let root = Budget::unlimited("root").unwrap();
    let arena = Arena::new(&root);
    let asked = AtomicU32::new(0);
    let cancel = || asked.fetch_add(1, Ordering::Relaxed) == 5;
    let workspace = Workspace::new(&plan, &root, &arena).unwrap();
    let mut execution = workspace.execute(&plan, Tables::None, &cancel).unwrap();
    let error = execution.next_batch().unwrap_err();
    assert_eq!((error.sqlstate(), error.remedy()), ("57014", Remedy::Retry));
}

#[test]
fn a_select_of_constants_takes_few_bytes() {
    let mut query = Query::new();
    let p = query.plans;
    let one = query.one_row();
    query.project(one, &[p.binary(BinaryOp::Add, p.int(1), p.int(2), Type::Integer), p.text("x")]);
    let plan = query.plan();
    let root = Budget::unlimited("root").unwrap();
    let statement = root.child("statement", u64::MAX).unwrap();
    let arena = Arena::new(&statement);
    assert_eq!(run_through(&plan, &statement, &arena), Ok(1));
    assert!(statement.peak() <= 9 << 10, "{} bytes", statement.peak());
}
