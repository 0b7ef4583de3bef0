//! What plans need: refusals before the start, and the limits that refusals name.

use std::cell::Cell;
use std::collections::BTreeSet;

use cofferdam_arena::{Arena, Budget};
use cofferdam_exec::{Tables, Workspace};
use cofferdam_plan::expr::BinaryOp;
use cofferdam_plan::physical::AggregateFunction::CountRows;
use cofferdam_plan::physical::OperatorId;
use cofferdam_types::Type;

use super::support::{Query, TempFile, never, run_with_files};

const COLUMNS: [(&str, Type); 2] = [("k", Type::BigInt), ("t", Type::Text)];

fn file(rows: i64) -> TempFile {
    TempFile::new("csv", (0..rows).map(|k| format!("{k},t{:040}\n", k % 977)).collect::<String>())
}

fn scan(query: &mut Query, file: &TempFile) -> OperatorId {
    let source = query.plans.source(file.path(), Some(&COLUMNS));
    query.scan_all(source)
}

/// Aim: the limit that a refusal names is enough for rows that do not fit into it. Method: plans of every operator that keeps rows, at
/// many limits; each limit that is named is tried.
#[test]
fn limits_that_are_named_are_enough() {
    let rows = file(2000);
    type Build = fn(&mut Query, OperatorId);
    let plans: [Build; 5] = [
        |query, scan| {
            query.sort(scan, &[(1, false, false), (0, true, false)], None);
        },
        |query, scan| {
            let groups = [query.col(scan, 0)];
            query.aggregate(scan, &groups, &[(CountRows, None, false, Type::BigInt)]);
        },
        |query, scan| {
            query.distinct(scan);
        },
        |query, scan| {
            let cte = query.materialize(scan);
            let (left, right) = (query.cte_scan(cte), query.cte_scan(cte));
            let keys = [(query.col(left, 0), query.col(right, 0))];
            let joined = query.join(left, right, &keys, &[], &[0, 1, 3]);
            query.sort(joined, &[(1, false, false)], None);
        },
        |query, scan| {
            let few = query.less(scan, 400);
            let working = query.working_scan(0, few);
            let p = query.plans;
            let half = p.binary(BinaryOp::Divide, query.col(working, 0), p.bigint(2), Type::BigInt);
            let step = query.project(working, &[half, query.col(working, 1)]);
            query.recursive(few, step, 0, true);
        },
    ];
    for (number, build) in plans.iter().enumerate() {
        let mut query = Query::new();
        let scanned = scan(&mut query, &rows);
        build(&mut query, scanned);
        let run = |limit| {
            let mut ran = run_with_files(&query, scanned, limit, None, &never);
            if let Ok(rows) = &mut ran.outcome {
                rows.sort();
            }
            ran
        };
        let expected = run(u64::MAX);
        assert!(expected.outcome.is_ok(), "{:?}", expected.outcome);
        let mut named = BTreeSet::new();
        for limit in (1..7).map(|step| step * (48 << 10)) {
            let ran = run(limit);
            match &ran.outcome {
                Ok(_) => assert!(ran.outcome == expected.outcome, "plan {number} at {limit}"),
                Err(code) => assert_eq!(code, "53200"),
            }
            if ran.enough_bytes > limit {
                named.insert(ran.enough_bytes);
            }
        }
        assert!(!named.is_empty(), "plan {number}");
        for limit in named {
            let ran = run(limit);
            assert!(ran.outcome == expected.outcome, "plan {number} at {limit}: {}", ran.refusal);
        }
    }
}

/// Aim: no limit is named where rows that are kept cannot go to files, and one is where none are.
#[test]
fn without_files_nothing_is_promised() {
    let rows = file(500);
    for is_sorted in [false, true] {
        let mut query = Query::new();
        let scanned = scan(&mut query, &rows);
        if is_sorted {
            query.sort(scanned, &[(0, false, false)], None);
        }
        let root = Budget::root("root", u64::MAX).unwrap();
        let (plan, arena, mut refused, mut named) = (query.plan(), Arena::new(&root), 0, 0);
        for limit in (4..40).map(|step| step * 512) {
            let (statement, enough) = (root.child("statement", limit).unwrap(), Cell::new(0));
            let Ok(workspace) = Workspace::new(&plan, &statement, &arena) else { continue };
            let workspace = workspace.tell_enough(&enough);
            let outcome = workspace.execute(&plan, Tables::None, &never);
            refused += u32::from(outcome.and_then(|mut execution| execution.next_batch().map(drop)).is_err());
            named += u32::from(enough.get() > 0);
        }
        assert!(refused > 3 && (named == 0) == is_sorted, "{is_sorted}: {named} of {refused}");
    }
}

/// Aim: a plan whose first batch cannot be had is refused before anything is opened. Method: a file that is not there is not missed.
#[test]
fn a_plan_that_cannot_begin_is_refused_before_its_start() {
    let name = |number: usize| &*format!("c{number}").leak();
    let columns: Vec<(&'static str, Type)> = (0..200).map(|number| (name(number), Type::BigInt)).collect();
    let gone = TempFile::new("csv", vec!["1"; 200].join(","));
    let mut query = Query::new();
    let source = query.plans.source(gone.path(), Some(&columns));
    let scanned = query.scan_all(source);
    query.sort(scanned, &[(0, false, false)], None);
    drop(gone);
    let with_much = run_with_files(&query, scanned, 64 << 20, None, &never);
    assert_eq!(with_much.outcome, Err("58P01".to_owned()));
    let ran = run_with_files(&query, scanned, 56 << 10, None, &never);
    assert_eq!(ran.outcome, Err("53200".to_owned()));
    assert!(ran.refusal.contains("root/statement/exec\"") && ran.refusal.contains("open"), "{}", ran.refusal);
    assert!(ran.enough_bytes > 60 << 10 && ran.enough_bytes < 64 << 20, "{}", ran.enough_bytes);
}
