//! Joins of all kinds against two loops, in memory and in files.

use std::cell::Cell;

use cofferdam_exec::Counters;
use cofferdam_plan::expr::{BinaryOp, Column};
use cofferdam_plan::physical::JoinKind::{
    self, Anti, Full, Inner, Left, Mark, Right, RightAnti, RightSemi, Semi, Single,
};
use cofferdam_plan::physical::KeyNulls::{Equal, Unknown, Unmatched};
use cofferdam_plan::physical::{HashJoin, JoinKey, KeyNulls, NestedLoopJoin, OperatorId, OperatorKind};
use cofferdam_types::Type;
use proptest::prelude::*;

use super::support::{E, Query, Ran, TempFile, never, run_with_files};

const KINDS: [JoinKind; 10] = [Inner, Left, Right, Full, Semi, Anti, RightSemi, RightAnti, Single, Mark];
const COLUMNS: [(&str, Type); 4] =
    [("k", Type::BigInt), ("j", Type::Integer), ("id", Type::BigInt), ("t", Type::Text)];

/// k, j, id, t
type Row = (Option<i64>, Option<i32>, i64, Option<String>);

/// How rows of the sides go together.
#[derive(Clone, Debug)]
struct On {
    /// Columns that are equal, and what NULL is equal to; none for a nested loop.
    keys: Vec<(u32, KeyNulls)>,
    /// Whether also `probe.j <= build.j`.
    has_condition: bool,
    /// Of a nested loop: whether also `probe.k = build.k`.
    compares_k: bool,
}

/// A NULL, or whether the columns are equal.
fn equal(a: &Row, b: &Row, column: u32) -> Option<bool> {
    match column {
        0 => a.0.zip(b.0).map(|(a, b)| a == b),
        1 => a.1.zip(b.1).map(|(a, b)| a == b),
        _ => a.3.as_ref().zip(b.3.as_ref()).map(|(a, b)| a == b),
    }
}

fn are_both_null(a: &Row, b: &Row, column: u32) -> bool {
    match column {
        0 => a.0.is_none() && b.0.is_none(),
        1 => a.1.is_none() && b.1.is_none(),
        _ => a.3.is_none() && b.3.is_none(),
    }
}

impl On {
    /// Whether two rows match; `None` if that is unknown.
    fn matches(&self, a: &Row, b: &Row) -> Option<bool> {
        let keys = self.keys.iter().map(|&(column, nulls)| match (equal(a, b, column), nulls) {
            (Some(is_equal), _) => Some(is_equal),
            (None, Unmatched) => Some(false),
            (None, Equal) => Some(are_both_null(a, b, column)),
            (None, Unknown) => None,
        });
        let condition = self.has_condition.then(|| a.1.zip(b.1).map(|(a, b)| a <= b));
        let compared = self.compares_k.then(|| equal(a, b, 0));
        let all: Vec<_> = keys.chain(condition).chain(compared).collect();
        if all.contains(&Some(false)) {
            return Some(false);
        }
        if all.contains(&None) { None } else { Some(true) }
    }

    /// The rows of a join, sorted, or that there was a second one for a value.
    fn model(&self, kind: JoinKind, probe: &[Row], build: &[Row]) -> Result<Vec<String>, String> {
        let text = |row: Option<&Row>| match row {
            Some((_, _, id, t)) => format!("{id}|{}", t.as_deref().unwrap_or("NULL")),
            None => "NULL|NULL".to_owned(),
        };
        let mut rows = Vec::new();
        let mut has_match = vec![false; build.len()];
        for a in probe {
            let outcomes: Vec<_> = build.iter().map(|b| self.matches(a, b)).collect();
            let found: Vec<usize> = (0..build.len()).filter(|&i| outcomes[i] == Some(true)).collect();
            found.iter().for_each(|&i| has_match[i] = true);
            match kind {
                Semi | Anti if found.is_empty() == (kind == Anti) => rows.push(text(Some(a))),
                Semi | Anti | RightSemi | RightAnti => {}
                Mark => {
                    let is_unknown = outcomes.contains(&None);
                    let mark = if !found.is_empty() {
                        "t"
                    } else if is_unknown {
                        "NULL"
                    } else {
                        "f"
                    };
                    rows.push(format!("{}|{mark}", text(Some(a))));
                }
                Single if found.len() > 1 => return Err("21000".to_owned()),
                _ => {
                    let pairs = found.iter().map(|&i| format!("{}|{}", text(Some(a)), text(Some(&build[i]))));
                    rows.extend(pairs);
                    if found.is_empty() && kind.keeps_probe() {
                        rows.push(format!("{}|{}", text(Some(a)), text(None)));
                    }
                }
            }
        }
        if matches!(kind, Right | Full) {
            let alone = build.iter().zip(&has_match).filter(|(_, has_match)| !**has_match);
            rows.extend(alone.map(|(b, _)| format!("{}|{}", text(None), text(Some(b)))));
        }
        if matches!(kind, RightSemi | RightAnti) {
            let given = build.iter().zip(&has_match).filter(|(_, has)| **has == (kind == RightSemi));
            rows.extend(given.map(|(b, _)| text(Some(b))));
        }
        rows.sort();
        Ok(rows)
    }

    /// The same as a plan.
    fn query(&self, kind: JoinKind, probe: &TempFile, build: &TempFile) -> (Query, OperatorId) {
        let mut query = Query::new();
        let p = query.plans;
        let scan = |query: &mut Query, file: &TempFile| {
            let source = p.source(file.path(), Some(&COLUMNS));
            query.scan_all(source)
        };
        let probe = scan(&mut query, probe);
        let build = scan(&mut query, build);
        let key = |&(column, nulls): &(u32, KeyNulls)| JoinKey {
            probe: query.col(probe, column),
            build: query.col(build, column),
            nulls,
        };
        let keys: Vec<_> = self.keys.iter().map(key).collect();
        let mut conditions: Vec<E> = Vec::new();
        if self.has_condition {
            conditions.push(p.test(
                BinaryOp::LessEqual,
                p.column(1, Type::Integer),
                p.column(5, Type::Integer),
            ));
        }
        if self.compares_k {
            conditions.push(p.test(BinaryOp::Equal, p.column(0, Type::BigInt), p.column(4, Type::BigInt)));
        }
        let mut columns = vec![COLUMNS[2], COLUMNS[3]];
        let output: &[u32] = match (kind.gives_probe(), kind.gives_build()) {
            (true, true) => &[2, 3, 6, 7],
            (true, false) => &[2, 3],
            _ => &[6, 7],
        };
        match kind {
            Mark => columns.push(("mark", Type::Boolean)),
            kind if kind.gives_probe() && kind.gives_build() => columns.extend([COLUMNS[2], COLUMNS[3]]),
            _ => {}
        }
        let columns: Vec<_> = columns.into_iter().map(|(name, ty)| Column { name, ty }).collect();
        let (output, conditions) = (p.list(output), p.list(&conditions));
        let kind = if self.keys.is_empty() {
            let conjuncts = conditions;
            OperatorKind::NestedLoopJoin(NestedLoopJoin { kind, probe, build, conjuncts, output })
        } else {
            let keys = p.list(&keys);
            OperatorKind::HashJoin(HashJoin { kind, probe, build, keys, residual: conditions, output })
        };
        let join = query.push(kind, p.arena.alloc_slice_copy(&columns).unwrap());
        (query, join)
    }
}

fn file(rows: &[Row]) -> TempFile {
    let line = |(k, j, id, t): &Row| {
        let k = k.map_or(String::new(), |k| k.to_string());
        let j = j.map_or(String::new(), |j| j.to_string());
        let t = t.as_ref().map_or(String::new(), |t| format!("\"{t}\""));
        format!("{k},{j},{id},{t}\n")
    };
    let header = "k,j,id,t\n".to_owned();
    TempFile::new("csv", header + &rows.iter().map(line).collect::<String>())
}

/// Runs with files; the rows are sorted.
fn run(
    query: &Query,
    join: OperatorId,
    limit: u64,
    nth: Option<u64>,
    is_cancelled: &dyn Fn() -> bool,
) -> Ran {
    let mut ran = run_with_files(query, join, limit, nth, is_cancelled);
    if let Ok(rows) = &mut ran.outcome {
        rows.sort();
    }
    ran
}

fn on(keys: &[(u32, KeyNulls)], has_condition: bool) -> On {
    On { keys: keys.to_vec(), has_condition, compares_k: keys.is_empty() }
}

/// Every way for rows to go together that a kind allows.
fn ways(kind: JoinKind) -> Vec<On> {
    let mut ways = vec![on(&[], false), on(&[], true)];
    ways.push(On { keys: Vec::new(), has_condition: false, compares_k: false });
    let keys: &[&[(u32, KeyNulls)]] = &[
        &[(0, Unmatched)],
        &[(1, Unmatched)],
        &[(3, Unmatched)],
        &[(0, Equal)],
        &[(3, Equal)],
        &[(0, Unmatched), (1, Equal)],
        &[(1, Equal), (3, Unmatched)],
    ];
    for keys in keys {
        ways.push(on(keys, false));
        ways.push(on(keys, true));
    }
    if kind == Mark {
        let unknown: &[&[(u32, KeyNulls)]] = &[
            &[(0, Unknown)],
            &[(3, Unknown)],
            &[(0, Unknown), (1, Unmatched)],
            &[(1, Equal), (3, Unknown)],
            &[(0, Unknown), (1, Unknown)],
            &[(1, Unknown), (3, Unknown), (0, Unmatched)],
        ];
        ways.extend(unknown.iter().map(|keys| on(keys, false)));
    }
    ways
}

fn rows(max: usize) -> impl Strategy<Value = Vec<Row>> {
    let k = proptest::option::weighted(0.85, -3i64..5);
    let j = proptest::option::weighted(0.85, 0i32..3);
    let t = proptest::option::weighted(0.85, "[a-cé]{0,2}");
    let row = (k, j, any::<u8>(), t).prop_map(|(k, j, id, t)| (k, j, i64::from(id), t));
    proptest::collection::vec(row, 0..max)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    /// Aim: every kind of join gives what two loops give, with NULLs and duplicates, however rows go together.
    #[test]
    fn joins_of_all_kinds_are_two_loops((probe, build) in (rows(60), rows(40))) {
        let (probe_file, build_file) = (file(&probe), file(&build));
        for kind in KINDS {
            for on in ways(kind) {
                let (query, join) = on.query(kind, &probe_file, &build_file);
                let expected = on.model(kind, &probe, &build);
                let ran = run(&query, join, u64::MAX, None, &never);
                prop_assert_eq!(ran.outcome, expected, "{:?} {:?}", kind, on);
            }
        }
    }
}

/// Rows whose keys come `repeats` times each, with some NULLs, and texts that take room.
fn many(count: i64, keys: i64, room: usize) -> Vec<Row> {
    let row = |i: i64| {
        let k = (i % 97 != 0).then_some(i * 7919 % keys);
        let j = (i % 53 != 0).then_some((i % 5) as i32);
        let t = (i % 41 != 0).then(|| format!("{:0room$}", i * 31 % keys));
        (k, j, i, t)
    };
    (0..count).map(row).collect()
}

/// Aim: a join under little memory gives what it gives under much. Method: every kind, in files because rows do not fit; the
/// statistics say that the rungs were taken.
fn assert_same_in_files(
    probe: &[Row],
    build: &[Row],
    ways: &[On],
    limit: u64,
    took: impl Fn(&Counters) -> bool,
) {
    let (probe_file, build_file) = (file(probe), file(build));
    for (i, kind) in KINDS.into_iter().enumerate() {
        for (j, on) in ways.iter().enumerate() {
            // Every other pair, so that each kind and each way has its turn.
            if ways.len() > 2 && (i + j) % 2 == 1 {
                continue;
            }
            let is_in = on.keys.iter().any(|(_, nulls)| *nulls == Unknown);
            if is_in && kind != Mark {
                continue;
            }
            let (query, join) = on.query(kind, &probe_file, &build_file);
            let expected = run(&query, join, u64::MAX, None, &never);
            assert_eq!(expected.counters.spilled_files, 0);
            let ran = run(&query, join, limit, None, &never);
            let is_same = ran.outcome == expected.outcome;
            assert!(
                is_same,
                "{kind:?} {on:?}: {:?} rows, expected {:?}, {:?} {}",
                ran.outcome.as_ref().map(Vec::len),
                expected.outcome.as_ref().map(Vec::len),
                ran.counters,
                ran.refusal
            );
            // Who has found an error need not go on.
            // Others keep keys alone.
            let is_wide = kind.gives_build() && ran.outcome.is_ok();
            assert!(took(&ran.counters) || !is_wide, "{kind:?} {on:?}: {:?}", ran.counters);
        }
    }
}

#[test]
fn partitions_go_to_files() {
    let (probe, build) = (many(1000, 1500, 8), many(4000, 3000, 60));
    let ways = [
        on(&[(0, Unmatched)], false),
        on(&[(0, Equal), (1, Unmatched)], true),
        on(&[(3, Unmatched)], true),
        on(&[(0, Unknown)], false),
        on(&[(3, Unknown), (1, Unmatched)], false),
    ];
    let took = |counters: &Counters| {
        counters.partitions_spilled > 0 && counters.partitions_parted == 0 && counters.spilled_bytes > 0
    };
    assert_same_in_files(&probe, &build, &ways, 480 << 10, took);
}

#[test]
fn partitions_are_parted_again() {
    let (probe, build) = (many(500, 4000, 8), many(9000, 9000, 80));
    let ways = [on(&[(0, Unmatched)], false), on(&[(0, Equal), (1, Unmatched)], true)];
    assert_same_in_files(&probe, &build, &ways, 360 << 10, |counters| counters.partitions_parted > 0);
}

/// Aim: rows of one key that do not fit are joined block by block.
#[test]
fn one_key_is_joined_in_blocks() {
    let mut build = many(5000, 1, 70);
    let probe: Vec<_> = many(40, 9, 8);
    build.extend(many(50, 9, 8));
    let ways = [on(&[(0, Unmatched)], true), on(&[(0, Unknown)], false), on(&[(0, Equal)], true)];
    assert_same_in_files(&probe, &build, &ways, 400 << 10, |counters| counters.blocks > 1);
}

/// Aim: a nested loop keeps what fits and reads the rest block by block.
#[test]
fn a_nested_loop_is_joined_in_blocks() {
    let (probe, build) = (many(40, 40, 8), many(2500, 300, 90));
    let ways = [on(&[], false), on(&[], true)];
    assert_same_in_files(&probe, &build, &ways, 320 << 10, |counters| counters.blocks > 1);
}

/// Aim: blocks of many build rows beside one probe row after the other give what two loops give. Method: more build rows than a batch has at
/// one limit and less than at another one, NULLs on both sides, pairs that all pass and pairs that few pass.
#[test]
fn blocks_beside_probe_rows_are_two_loops() {
    let (probe, build) = (many(25, 40, 2), many(700, 45, 4));
    let (probe_file, build_file) = (file(&probe), file(&build));
    for kind in [Inner, Left, Semi, Anti] {
        for on in &ways(kind)[..3] {
            let (query, join) = on.query(kind, &probe_file, &build_file);
            let expected = on.model(kind, &probe, &build);
            for limit in [u64::MAX, 512 << 10] {
                let ran = run(&query, join, limit, None, &never);
                assert_eq!(ran.outcome, expected, "{kind:?} {on:?} {limit}");
            }
        }
    }
}

/// Aim: an error is typed, and nothing stays, at every limit; enough is enough.
#[test]
fn every_limit_gives_the_rows_or_the_typed_error() {
    let (probe, build) = (many(100, 300, 8), many(1500, 400, 60));
    let (probe_file, build_file) = (file(&probe), file(&build));
    let mut rungs = Counters::default();
    for kind in [Full, Mark, Single] {
        for on in [on(&[(0, Unmatched)], false), on(&[], false)] {
            let (query, join) = on.query(kind, &probe_file, &build_file);
            let expected = run(&query, join, u64::MAX, None, &never).outcome;
            let (mut limit, mut failures, mut successes) = (0, 0, 0);
            while successes < 8 {
                let ran = run(&query, join, limit, None, &never);
                rungs.partitions_spilled += ran.counters.partitions_spilled;
                rungs.blocks += ran.counters.blocks;
                if ran.outcome == expected {
                    successes += 1;
                } else {
                    assert_eq!(ran.outcome.unwrap_err(), "53200", "{kind:?} {on:?} at {limit}");
                    failures += 1;
                }
                limit += 20 << 10;
            }
            assert!(failures > 3, "{kind:?} {on:?}");
        }
    }
    assert!(rungs.partitions_spilled > 0 && rungs.blocks > 0, "{rungs:?}");
}

/// Aim: each single charge may be refused. Method: the n-th is, for every n, where rows are in files and parted.
#[test]
fn every_charge_may_be_refused() {
    let (probe, build) = (many(60, 300, 8), many(1500, 400, 90));
    let (probe_file, build_file) = (file(&probe), file(&build));
    for on in [on(&[(0, Unmatched)], true), on(&[], true)] {
        let (query, join) = on.query(Full, &probe_file, &build_file);
        let expected = run(&query, join, u64::MAX, None, &never).outcome;
        let limit = 320 << 10;
        let (mut refused, mut nth) = (0, 1);
        loop {
            let ran = run(&query, join, limit, Some(nth), &never);
            match &ran.outcome {
                Ok(rows) => {
                    let expected = expected.as_ref().map_or(0, Vec::len);
                    let (rows, counters) = (rows.len(), ran.counters);
                    assert!(
                        rows == expected,
                        "charge {nth}: {rows}, {expected} expected, {counters:?} {}",
                        ran.refusal
                    );
                }
                Err(code) => assert_eq!(code, "53200", "charge {nth}"),
            }
            refused += u32::from(ran.outcome.is_err());
            // Later charges are of the same places; these are tried more rarely.
            nth += 1 + nth / 10;
            if nth > 1000 {
                break;
            }
        }
        assert!(refused > 10, "{refused}");
    }
}

/// Aim: joins in files can be cancelled wherever they look.
#[test]
fn joins_in_files_can_be_cancelled() {
    let (probe, build) = (many(60, 300, 8), many(2000, 400, 90));
    let (probe_file, build_file) = (file(&probe), file(&build));
    for on in [on(&[(0, Unmatched)], false), on(&[], true)] {
        let (query, join) = on.query(Left, &probe_file, &build_file);
        let looks = Cell::new(0u32);
        let count = || {
            looks.set(looks.get() + 1);
            false
        };
        let ran = run(&query, join, 360 << 10, None, &count);
        assert!(ran.outcome.is_ok() && ran.counters.spilled_files > 0, "{:?}", ran.counters);
        let all = looks.get();
        for cancel_at in (1..=all).step_by(1 + all as usize / 25) {
            looks.set(0);
            let cancel = || {
                looks.set(looks.get() + 1);
                looks.get() == cancel_at
            };
            let ran = run(&query, join, 360 << 10, None, &cancel);
            assert_eq!(ran.outcome, Err("57014".to_owned()), "at look {cancel_at} of {all}");
        }
    }
}

/// Aim: of two build sides the one that holds more gives way to the other, and both to the pipeline that probes them.
#[test]
fn joins_make_room_for_each_other() {
    let (probe, small, large) = (many(500, 900, 8), many(1200, 600, 40), many(4000, 900, 60));
    let (probe, small, large) = (file(&probe), file(&small), file(&large));
    let (mut query, lower) = on(&[(0, Unmatched)], false).query(Left, &probe, &large);
    let p = query.plans;
    let source = p.source(small.path(), Some(&COLUMNS));
    let build = query.scan_all(source);
    // id, t, id, t of the first join; k, j, id, t of the other side.
    let key = JoinKey { probe: query.col(lower, 0), build: query.col(build, 2), nulls: Unmatched };
    let (keys, output) = (p.list(&[key]), p.list(&[0, 3, 6, 7]));
    let columns: Vec<_> = [COLUMNS[2], COLUMNS[3], COLUMNS[2], COLUMNS[3]]
        .map(|(name, ty)| Column { name, ty })
        .into_iter()
        .collect();
    let columns = p.arena.alloc_slice_copy(&columns).unwrap();
    let upper = HashJoin { kind: Full, probe: lower, build, keys, residual: &[], output };
    query.push(OperatorKind::HashJoin(upper), columns);
    let expected = run(&query, lower, u64::MAX, None, &never);
    assert_eq!(expected.counters.partitions_spilled, 0);
    // Where memory is short of what one batch takes, it is the typed error.
    let spilled = (10..24).filter(|step| {
        let ran = run(&query, lower, step * (64 << 10), None, &never);
        match &ran.outcome {
            Ok(_) => assert!(ran.outcome == expected.outcome, "{:?}", ran.counters),
            Err(code) => assert_eq!(code, "53200", "{}", ran.refusal),
        }
        ran.outcome.is_ok() && ran.counters.partitions_spilled > 0
    });
    assert!(spilled.count() > 0);
}
