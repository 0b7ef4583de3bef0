//! Rows that are kept for several readers and over the rounds of recursions, in memory and in files.

use std::cell::Cell;

use cofferdam_exec::Counters;
use cofferdam_plan::expr::{BinaryOp, Column};
use cofferdam_plan::physical::AggregateFunction::CountRows;
use cofferdam_plan::physical::JoinKind::{self, Inner, Right, RightAnti};
use cofferdam_plan::physical::{HashJoin, JoinKey, KeyNulls, OperatorId, OperatorKind};
use cofferdam_types::Type;

use super::support::{E, Plans, Query, Ran, TempFile, never, run_with_files};

const COLUMNS: [(&str, Type); 2] = [("k", Type::BigInt), ("t", Type::Text)];

fn bigint(p: Plans, op: BinaryOp, left: E, right: i64) -> E {
    p.binary(op, left, p.bigint(right), Type::BigInt)
}

/// Rows of a number and a text of `room` characters that says it.
fn file(numbers: impl IntoIterator<Item = i64>, room: usize) -> TempFile {
    TempFile::new("csv", numbers.into_iter().map(|k| format!("{k},t{k:0room$}\n")).collect::<String>())
}

fn scan(query: &mut Query, file: &TempFile) -> OperatorId {
    let source = query.plans.source(file.path(), Some(&COLUMNS));
    query.scan_all(source)
}

fn sorted(mut ran: Ran) -> Ran {
    if let Ok(rows) = &mut ran.outcome {
        rows.sort();
    }
    ran
}

/// What a sweep met.
#[derive(Debug, Default)]
struct Met {
    failures: u32,
    /// The greatest counts of runs that gave the rows.
    counters: Counters,
}

/// Aim: a query gives what it gives with much memory, or the typed error, at every limit. Method: from none on until it succeeded `successes` times.
fn sweep(query: &Query, operator: OperatorId, step: u64, successes: u32, is_ordered: bool) -> Met {
    let order = |ran| if is_ordered { ran } else { sorted(ran) };
    let expected = order(run_with_files(query, operator, u64::MAX, None, &never));
    assert!(expected.outcome.as_ref().is_ok_and(|rows| !rows.is_empty()), "{:?}", expected.outcome);
    assert_eq!(expected.counters.spilled_files, 0);
    let (mut met, mut limit, mut succeeded) = (Met::default(), 0, 0);
    while succeeded < successes {
        let ran = order(run_with_files(query, operator, limit, None, &never));
        match &ran.outcome {
            Err(code) => {
                assert_eq!(code, "53200", "at {limit}");
                met.failures += 1;
            }
            Ok(rows) => {
                let is_same = expected.outcome.as_ref() == Ok(rows);
                let count = expected.outcome.as_ref().map_or(0, Vec::len);
                assert!(is_same, "at {limit}: {} rows of {count}, {:?}", rows.len(), ran.counters);
                succeeded += 1;
                let most = &mut met.counters;
                most.spilled_files = most.spilled_files.max(ran.counters.spilled_files);
                most.spilled_bytes = most.spilled_bytes.max(ran.counters.spilled_bytes);
                most.partitions_spilled = most.partitions_spilled.max(ran.counters.partitions_spilled);
                most.blocks = most.blocks.max(ran.counters.blocks);
            }
        }
        limit += step;
    }
    met
}

/// Aim: whichever charge is refused, the rows or the typed error come out, and nothing stays.
fn refuse_charges(query: &Query, operator: OperatorId, limit: u64) {
    let expected = sorted(run_with_files(query, operator, u64::MAX, None, &never));
    let undisturbed = run_with_files(query, operator, limit, None, &never);
    assert!(
        undisturbed.outcome.is_ok() && undisturbed.counters.spilled_files > 0,
        "{:?} {}",
        undisturbed.counters,
        undisturbed.refusal
    );
    let (mut refused, mut nth) = (0, 1);
    while nth < 1500 {
        let ran = sorted(run_with_files(query, operator, limit, Some(nth), &never));
        match &ran.outcome {
            Ok(_) => assert!(ran.outcome == expected.outcome, "charge {nth}: {:?}", ran.counters),
            Err(code) => assert_eq!(code, "53200", "charge {nth}"),
        }
        refused += u32::from(ran.outcome.is_err());
        // Later charges are of the same places; these are tried more rarely.
        nth += 1 + nth / 3;
    }
    assert!(refused > 3, "{refused}");
}

/// Aim: a query in files can be cancelled wherever it looks.
fn cancel(query: &Query, operator: OperatorId, limit: u64) {
    let looks = Cell::new(0u32);
    let count = || {
        looks.set(looks.get() + 1);
        false
    };
    let ran = run_with_files(query, operator, limit, None, &count);
    assert!(ran.outcome.is_ok() && ran.counters.spilled_files > 0, "{:?}", ran.counters);
    let all = looks.get();
    for cancel_at in (1..=all).step_by(1 + all as usize / 8) {
        looks.set(0);
        let cancel = || {
            looks.set(looks.get() + 1);
            looks.get() == cancel_at
        };
        let ran = run_with_files(query, operator, limit, None, &cancel);
        // Hashes differ from run to run, and with them the looks.
        if looks.get() >= cancel_at {
            assert_eq!(ran.outcome, Err("57014".to_owned()), "at look {cancel_at} of {all}");
        }
    }
}

/// A `Materialize` that a build side, a probe side and two chains of one pipeline read.
fn read_four_times(numbers: &TempFile) -> (Query, OperatorId) {
    let mut query = Query::new();
    let numbers = scan(&mut query, numbers);
    let cte = query.materialize(numbers);
    let (left, right) = (query.cte_scan(cte), query.cte_scan(cte));
    let groups = [query.col(right, 0)];
    let right = query.aggregate(right, &groups, &[(CountRows, None, false, Type::BigInt)]);
    let keys = [(query.col(left, 0), query.col(right, 0))];
    let joined = query.join(left, right, &keys, &[], &[0, 1]);
    let (third, fourth) = (query.cte_scan(cte), query.cte_scan(cte));
    query.concat(&[third, joined, fourth]);
    (query, cte)
}

/// Aim: rows that are read by several come in order from a file as they do from memory, those longer than a block too.
#[test]
fn kept_rows_are_read_from_files() {
    let long = (0..40).map(|k| format!("{k},{}\n", "x".repeat(9000))).collect::<String>();
    for numbers in [file(0..3000, 100), TempFile::new("csv", long)] {
        let mut query = Query::new();
        let rows = scan(&mut query, &numbers);
        let cte = query.materialize(rows);
        let (one, two) = (query.cte_scan(cte), query.cte_scan(cte));
        query.concat(&[one, two]);
        let met = sweep(&query, cte, 72 << 10, 6, true);
        assert!(met.failures > 0 && met.counters.spilled_files == 1, "{met:?}");
        assert!(met.counters.spilled_bytes > 0, "{met:?}");
    }
    let numbers = file(0..2000, 100);
    let (query, cte) = read_four_times(&numbers);
    let met = sweep(&query, cte, 80 << 10, 6, false);
    assert!(met.failures > 0 && met.counters.spilled_files == 1, "{met:?}");
}

#[test]
fn every_charge_of_kept_rows_may_be_refused() {
    let numbers = file(0..2000, 100);
    let (query, cte) = read_four_times(&numbers);
    refuse_charges(&query, cte, 480 << 10);
    cancel(&query, cte, 480 << 10);
}

/// A recursion over `numbers` numbers, in which each leads to two others; rows have a text of `room` characters.
fn reachable(numbers: i64, room: usize, is_distinct: bool) -> (Query, OperatorId, TempFile) {
    let seed = file([1], room);
    let mut query = Query::new();
    let p = query.plans;
    let base = scan(&mut query, &seed);
    let working = query.working_scan(0, base);
    let branches: Vec<OperatorId> = [(2, 0), (2, 1)]
        .map(|(factor, more)| {
            let next = bigint(p, BinaryOp::Multiply, query.col(working, 0), factor);
            let next = bigint(p, BinaryOp::Add, next, more);
            let next = bigint(p, BinaryOp::Modulo, next, numbers);
            (next, more)
        })
        .into_iter()
        .map(|(next, more)| {
            let input = if more == 0 { working } else { query.working_scan(0, base) };
            // With duplicates it has to end by itself.
            let input = if is_distinct { input } else { query.less(input, numbers / 2) };
            query.project(input, &[next, query.col(input, 1)])
        })
        .collect();
    let step = query.concat(&branches);
    let all = query.recursive(base, step, 0, is_distinct);
    (query, all, seed)
}

/// Aim: a recursion whose rounds do not fit goes on in files; with UNION each row comes once, however the seen ones are kept.
#[test]
fn recursions_go_to_files() {
    let (query, all, _seed) = reachable(2000, 100, false);
    let met = sweep(&query, all, 80 << 10, 5, false);
    assert!(met.failures > 0 && met.counters.spilled_files > 1, "{met:?}");
    let (query, all, _seed) = reachable(3000, 100, true);
    let met = sweep(&query, all, 120 << 10, 5, false);
    assert!(met.failures > 0 && met.counters.partitions_spilled > 0, "{met:?}");
}

/// Aim: rows that wait and do not fit are told from seen ones block by block. Method: one round of many rows, most of them twice.
#[test]
fn rows_that_wait_come_in_blocks() {
    let seed = file(0..6000, 60);
    let mut query = Query::new();
    let p = query.plans;
    let base = scan(&mut query, &seed);
    let working = query.working_scan(0, base);
    let next = bigint(p, BinaryOp::Add, query.col(working, 0), 3000);
    let next = bigint(p, BinaryOp::Modulo, next, 9000);
    let step = query.project(working, &[next, query.col(working, 1)]);
    let all = query.recursive(base, step, 0, true);
    let met = sweep(&query, all, 120 << 10, 5, false);
    assert!(met.counters.partitions_spilled > 0 && met.counters.blocks > 0, "{met:?}");
}

#[test]
fn every_charge_of_a_recursion_may_be_refused() {
    for is_distinct in [false, true] {
        let (query, all, _seed) = reachable(2500, 100, is_distinct);
        refuse_charges(&query, all, 400 << 10);
        cancel(&query, all, 400 << 10);
    }
}

/// Aim: a LIMIT ends a recursion that never ends by itself and whose rounds are in files.
#[test]
fn a_limit_ends_an_endless_recursion_in_files() {
    let seed = file(0..1500, 100);
    let mut query = Query::new();
    let base = scan(&mut query, &seed);
    let working = query.working_scan(0, base);
    let next = bigint(query.plans, BinaryOp::Add, query.col(working, 0), 1500);
    let step = query.project(working, &[next, query.col(working, 1)]);
    let endless = query.recursive(base, step, 0, false);
    query.limit(endless, Some(5000), 0);
    let met = sweep(&query, endless, 80 << 10, 4, true);
    assert!(met.counters.spilled_files > 3, "{met:?}");
}

fn hash_join(
    query: &mut Query,
    kind: JoinKind,
    (probe, build): (OperatorId, OperatorId),
    key: (E, E),
    output: &[u32],
) -> OperatorId {
    let p = query.plans;
    let all: Vec<_> = query.columns_of(probe).iter().chain(query.columns_of(build)).copied().collect();
    let columns: Vec<Column<'static>> = output.iter().map(|&position| all[position as usize]).collect();
    let keys = p.list(&[JoinKey { probe: key.0, build: key.1, nulls: KeyNulls::Unmatched }]);
    let output = p.list(output);
    let join = HashJoin { kind, probe, build, keys, residual: &[], output };
    query.push(OperatorKind::HashJoin(join), p.list(&columns))
}

/// Aim: a build side that stays over the rounds of a recursion knows of the matches of the round that is under way and of no other, when a
/// partition goes to a file in the middle of a round. Method: what passes before the join takes more and more memory.
#[test]
fn build_rows_that_go_to_files_in_a_round_forget_their_matches() {
    let build_rows = file((0..3000).map(|row| row % 600), 60);
    let (seed, room) = (file(0..300, 1), file(100_000..106_000, 1));
    for kind in [Right, RightAnti] {
        let mut query = Query::new();
        let [base, others] = [&seed, &room].map(|file| {
            let rows = scan(&mut query, file);
            query.project(rows, &[query.col(rows, 0)])
        });
        let working = query.working_scan(0, base);
        let probe = query.concat(&[working, others]);
        let probe = query.distinct(probe);
        let build = scan(&mut query, &build_rows);
        let key = (query.col(probe, 0), query.col(build, 0));
        let joined = hash_join(&mut query, kind, (probe, build), key, &[1, 2]);
        let step = query.project(joined, &[query.col(joined, 0)]);
        query.recursive(base, step, 0, true);
        let met = sweep(&query, joined, 192 << 10, 2, false);
        assert!(met.counters.partitions_spilled > 0, "{kind:?} {met:?}");
    }
}

/// Aim: a join that a LIMIT ends in the middle, in a round, is whole in the next one.
#[test]
fn a_join_that_was_given_up_is_whole_in_the_next_round() {
    let (build_rows, seed) = (file(0..1500, 60), file([0], 10));
    for kind in [Inner, Right] {
        let mut query = Query::new();
        let base = scan(&mut query, &seed);
        let working = query.working_scan(0, base);
        let build = scan(&mut query, &build_rows);
        let next = bigint(query.plans, BinaryOp::Add, query.col(working, 0), 187);
        let key = (next, query.col(build, 0));
        let joined = hash_join(&mut query, kind, (working, build), key, &[2, 3, 0]);
        // Those without a probe row are none of the step's.
        let p = query.plans;
        let matched = p.test(BinaryOp::Less, query.col(joined, 2), query.col(joined, 0));
        let matched = query.filter(joined, &[matched]);
        let one = query.limit(matched, Some(1), 0);
        let step = query.project(one, &[query.col(one, 0), query.col(one, 1)]);
        query.recursive(base, step, 0, false);
        let met = sweep(&query, joined, 60 << 10, 6, true);
        assert!(met.counters.partitions_spilled > 0, "{kind:?} {met:?}");
    }
}
