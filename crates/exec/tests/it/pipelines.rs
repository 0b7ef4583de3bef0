//! Plans that are cut into several pipelines: what flows together, what is read again, and rounds of recursions.

use cofferdam_plan::expr::BinaryOp;
use cofferdam_plan::physical::AggregateFunction::CountRows;
use cofferdam_plan::physical::{Limit, OperatorId, OperatorKind};
use cofferdam_types::{Type, Value};

use super::support::{E, Plans, Query, TempFile};

const N: [(&str, Type); 1] = [("n", Type::BigInt)];

fn bigints(query: &mut Query, numbers: impl IntoIterator<Item = i64>) -> OperatorId {
    let p = query.plans;
    let rows: Vec<_> = numbers.into_iter().map(|n| vec![p.bigint(n)]).collect();
    query.values(&N, &rows)
}

fn plus(p: Plans, left: E, right: i64) -> E {
    p.binary(BinaryOp::Add, left, p.bigint(right), Type::BigInt)
}

impl Query {
    pub(crate) fn concat(&mut self, inputs: &[OperatorId]) -> OperatorId {
        let columns = self.columns_of(inputs[0]);
        let inputs = self.plans.list(inputs);
        self.push(OperatorKind::Concat { inputs }, columns)
    }

    pub(crate) fn materialize(&mut self, input: OperatorId) -> OperatorId {
        self.push(OperatorKind::Materialize { input }, self.columns_of(input))
    }

    pub(crate) fn cte_scan(&mut self, cte: OperatorId) -> OperatorId {
        self.push(OperatorKind::CteScan { cte }, self.columns_of(cte))
    }

    pub(crate) fn working_scan(&mut self, working: u32, base: OperatorId) -> OperatorId {
        self.push(OperatorKind::WorkingScan { working }, self.columns_of(base))
    }

    pub(crate) fn recursive(
        &mut self,
        base: OperatorId,
        step: OperatorId,
        working: u32,
        distinct: bool,
    ) -> OperatorId {
        self.push(OperatorKind::Recursive { base, step, working, distinct }, self.columns_of(base))
    }

    pub(crate) fn less(&mut self, input: OperatorId, bound: i64) -> OperatorId {
        let p = self.plans;
        let test = p.test(BinaryOp::Less, self.col(input, 0), p.bigint(bound));
        self.filter(input, &[test])
    }

    pub(crate) fn successor(&mut self, input: OperatorId) -> OperatorId {
        let next = plus(self.plans, self.col(input, 0), 1);
        self.project(input, &[next])
    }
}

fn texts(numbers: impl IntoIterator<Item = i64>) -> Vec<String> {
    numbers.into_iter().map(|n| n.to_string()).collect()
}

/// Aim: chains run one after the other into the same steps, and a step sees the rows of all. Method: inputs of different
/// shapes, texts with heaps of their own, a LIMIT over part of them.
#[test]
fn inputs_flow_one_after_the_other() {
    let file = TempFile::new("csv", "7,x\n8,\n9,\"long text\"\n");
    let mut query = Query::new();
    let p = query.plans;
    let columns = [("n", Type::BigInt), ("t", Type::Text)];
    let source = p.source(file.path(), Some(&columns));
    let scan = query.scan_all(source);
    let odd = p.test(
        BinaryOp::Equal,
        p.binary(BinaryOp::Modulo, query.col(scan, 0), p.bigint(2), Type::BigInt),
        p.bigint(1),
    );
    let scan = query.filter(scan, &[odd]);
    let rows: Vec<_> = (0..3).map(|n| vec![p.bigint(n), p.text(&format!("t{n}"))]).collect();
    let first = query.values(&columns, &rows);
    let nothing = query.values(&columns, &[]);
    let both = query.concat(&[scan, nothing, first]);
    let both = query.limit(both, Some(4), 0);
    let last = query.values(&columns, &[vec![p.bigint(100), p.null(Type::Text)]]);
    let all = query.concat(&[both, last]);
    query.project(all, &[plus(p, query.col(all, 0), 1), query.col(all, 1)]);
    assert_eq!(query.rows(), ["8|x", "10|long text", "1|t0", "2|t1", "101|NULL"]);
}

/// Aim: a step that has enough ends the chains that flow into it and no others.
#[test]
fn enough_rows_end_all_chains_before_the_limit() {
    let missing = TempFile::new("csv", "1\n2\n");
    let mut query = Query::new();
    let p = query.plans;
    let source = p.source(missing.path(), Some(&N));
    let few = bigints(&mut query, [1, 2, 3]);
    let unread = query.scan_all(source);
    let inner = query.concat(&[few, unread]);
    let inner = query.limit(inner, Some(2), 1);
    let other = bigints(&mut query, [9]);
    query.concat(&[inner, other]);
    // The second chain would fail: its file is gone.
    drop(missing);
    assert_eq!(query.rows(), texts([2, 3, 9]));
}

#[test]
fn a_limit_of_zero_reads_nothing() {
    let file = TempFile::new("csv", "1\n");
    for is_sorted in [false, true] {
        let mut query = Query::new();
        let source = query.plans.source(file.path(), Some(&N));
        let scan = query.scan_all(source);
        let counted = query.aggregate(scan, &[query.col(scan, 0)], &[(CountRows, None, false, Type::BigInt)]);
        match is_sorted {
            true => query.sort(counted, &[(0, false, false)], Some(0)),
            false => query.limit(counted, Some(0), 0),
        };
        let bad = TempFile::new("csv", "not a number\n");
        std::fs::copy(bad.path(), file.path()).unwrap();
        assert_eq!(query.rows(), [""; 0]);
        std::fs::write(file.path(), "1\n").unwrap();
    }
}

fn limited(count: Option<E>, offset: Option<E>, ties: bool, query: &mut Query, input: OperatorId) {
    let ties = ties.then_some(&[0u32][..]);
    query.push(OperatorKind::Limit(Limit { input, count, offset, ties }), query.columns_of(input));
}

/// Aim: rows equal to the last one come with it, across batches, and NULL is equal to NULL.
#[test]
fn ties_are_passed_as_long_as_they_last() {
    let numbers: Vec<i64> = (0..5000).map(|n| n / 1500).collect();
    let cases = [(1, 0, 1500), (1500, 0, 1500), (1501, 0, 3000), (1, 2999, 1), (1, 3000, 1500), (0, 10, 0)];
    for (count, offset, expected) in cases {
        let mut query = Query::new();
        let p = query.plans;
        let rows = bigints(&mut query, numbers.iter().copied());
        limited(Some(p.bigint(count)), Some(p.bigint(offset)), true, &mut query, rows);
        let end = (offset as usize + expected).min(numbers.len());
        assert_eq!(query.rows(), texts(numbers[offset as usize..end].iter().copied()), "{count} {offset}");
    }
}

/// Aim: counts are expressions; NULL is all, negative numbers have PostgreSQL's errors.
#[test]
fn limits_are_evaluated() {
    let run = |count: fn(Plans) -> Option<E>, offset: fn(Plans) -> Option<E>| {
        let mut query = Query::new();
        let p = query.plans;
        let rows = bigints(&mut query, 0..5);
        limited(count(p), offset(p), false, &mut query, rows);
        query.run(u64::MAX)
    };
    let null = |p: Plans| Some(p.null(Type::BigInt));
    assert_eq!(run(null, |_| None).unwrap(), texts(0..5));
    assert_eq!(run(|p| Some(plus(p, p.bigint(1), 1)), |p| Some(p.bigint(1))).unwrap(), texts([1, 2]));
    let (sqlstate, message) = run(|p| Some(p.bigint(-1)), null).unwrap_err();
    assert_eq!((&*sqlstate, &*message), ("2201W", "LIMIT must not be negative"));
    let (sqlstate, message) = run(|p| Some(p.bigint(0)), |p| Some(p.bigint(-1))).unwrap_err();
    assert_eq!((&*sqlstate, &*message), ("2201X", "OFFSET must not be negative"));
}

/// Aim: kept rows are read several times, by a build side and a probe side and twice in one pipeline.
#[test]
fn kept_rows_are_read_again_and_again() {
    let mut query = Query::new();
    let numbers = bigints(&mut query, 0..3000);
    let cte = query.materialize(numbers);
    let (left, right) = (query.cte_scan(cte), query.cte_scan(cte));
    let right = query.successor(right);
    let keys = [(query.col(left, 0), query.col(right, 0))];
    let joined = query.join(left, right, &keys, &[], &[0]);
    let again = query.cte_scan(cte);
    let all = query.concat(&[joined, again]);
    query.aggregate(all, &[], &[(CountRows, None, false, Type::BigInt)]);
    assert_eq!(query.rows(), ["5999"]);
}

/// Aim: of a run of equal rows the first passes, across batches, NULL being equal to NULL.
#[test]
fn the_first_of_each_run_passes() {
    let mut query = Query::new();
    let p = query.plans;
    let row = |n: i64| vec![if n / 900 == 2 { p.null(Type::BigInt) } else { p.bigint(n / 900) }, p.bigint(n)];
    let rows: Vec<_> = (0..5000).map(row).collect();
    let columns = [("k", Type::BigInt), ("n", Type::BigInt)];
    let input = query.values(&columns, &rows);
    query.push(OperatorKind::DistinctOn { input, columns: p.list(&[0]) }, query.columns_of(input));
    assert_eq!(query.rows(), ["0|0", "1|900", "NULL|1800", "3|2700", "4|3600", "5|4500"]);
}

#[test]
fn a_recursion_counts() {
    let mut query = Query::new();
    let base = bigints(&mut query, [1, 10]);
    let working = query.working_scan(0, base);
    let smaller = query.less(working, 12);
    let next = query.successor(smaller);
    query.recursive(base, next, 0, false);
    let rounds = (0..12).flat_map(|round| [1 + round, 10 + round]).filter(|&n| n <= 12);
    assert_eq!(query.rows(), texts(rounds));
}

/// Aim: UNION gives a row once and so ends on a cycle. Method: a graph with cycles; what is joined in each round does not
/// depend on the round, an aggregate below it neither.
#[test]
fn a_recursion_without_duplicates_ends_on_cycles() {
    let mut query = Query::new();
    let p = query.plans;
    let base = bigints(&mut query, [0]);
    let working = query.working_scan(7, base);
    let edges = [(0, 1), (0, 2), (1, 3), (2, 3), (3, 0), (3, 4), (5, 6)];
    let rows: Vec<_> = edges.iter().map(|&(from, to)| vec![p.bigint(from), p.bigint(to)]).collect();
    let edges = query.values(&[("a", Type::BigInt), ("b", Type::BigInt)], &rows);
    let groups = [query.col(edges, 0), query.col(edges, 1)];
    let edges = query.aggregate(edges, &groups, &[(CountRows, None, false, Type::BigInt)]);
    let keys = [(query.col(working, 0), query.col(edges, 0))];
    let reached = query.join(working, edges, &keys, &[], &[2]);
    let all = query.recursive(base, reached, 7, true);
    query.sort(all, &[(0, false, false)], None);
    assert_eq!(query.rows(), texts(0..5));
}

/// Aim: in a round the build side and an aggregate may depend on the working table, and are made anew.
#[test]
fn what_depends_on_the_round_is_made_anew() {
    let mut query = Query::new();
    let p = query.plans;
    let base = bigints(&mut query, [1]);
    let working = query.working_scan(0, base);
    let grouped =
        query.aggregate(working, &[query.col(working, 0)], &[(CountRows, None, false, Type::BigInt)]);
    let probe = bigints(&mut query, 0..10);
    let keys = [(query.col(probe, 0), query.col(grouped, 0))];
    let joined = query.join(probe, grouped, &keys, &[], &[0]);
    let doubled = p.binary(BinaryOp::Multiply, query.col(joined, 0), p.bigint(2), Type::BigInt);
    let doubled = query.project(joined, &[doubled]);
    query.recursive(base, doubled, 0, false);
    assert_eq!(query.rows(), texts([1, 2, 4, 8, 16]));
}

/// Aim: a LIMIT ends a recursion that never ends by itself, in the answer and below an aggregate.
#[test]
fn a_limit_ends_an_endless_recursion() {
    for is_counted in [false, true] {
        let mut query = Query::new();
        let base = bigints(&mut query, [1]);
        let working = query.working_scan(0, base);
        let next = query.successor(working);
        let endless = query.recursive(base, next, 0, false);
        let few = query.limit(endless, Some(5), 0);
        if is_counted {
            query.aggregate(few, &[], &[(CountRows, None, false, Type::BigInt)]);
        }
        let expected = if is_counted { texts([5]) } else { texts(1..6) };
        assert_eq!(query.rows(), expected);
    }
}

/// Nested recursions: n and all that come behind it up to 3, for each n up to 3 in the outer one.
fn nested(query: &mut Query, depth: u32) -> OperatorId {
    let base = bigints(query, [1]);
    let mut open = vec![(base, query.working_scan(0, base))];
    for working in 1..depth {
        let base = query.less(open[working as usize - 1].1, 3);
        open.push((base, query.working_scan(working, base)));
    }
    let mut step = None;
    for (working, &(base, scan)) in open.iter().enumerate().rev() {
        let input = step.unwrap_or(scan);
        let smaller = query.less(input, 3);
        let next = query.successor(smaller);
        step = Some(query.recursive(base, next, working as u32, true));
    }
    step.unwrap()
}

/// Aim: a recursion in the rounds of another begins anew in each; too deep ones are the typed error.
#[test]
fn recursions_nest_up_to_a_depth() {
    let mut query = Query::new();
    let base = bigints(&mut query, [1]);
    let outer = query.working_scan(0, base);
    let start = query.less(outer, 4);
    let inner = query.working_scan(1, start);
    let inner = query.less(inner, 3);
    let inner = query.successor(inner);
    let inner = query.recursive(start, inner, 1, false);
    let more = query.successor(inner);
    query.recursive(base, more, 0, false);
    let expected = {
        let (mut all, mut working) = (vec![1], vec![1i64]);
        while !working.is_empty() {
            let mut round: Vec<i64> = working.iter().copied().filter(|&n| n < 4).collect();
            let mut rows = round.clone();
            while !round.is_empty() {
                round = round.iter().filter(|&&n| n < 3).map(|n| n + 1).collect();
                rows.extend(&round);
            }
            working = rows.iter().map(|n| n + 1).collect();
            all.extend(&working);
        }
        all
    };
    assert_eq!(query.rows(), texts(expected));

    let mut query = Query::new();
    let deep = nested(&mut query, 3);
    query.sort(deep, &[(0, false, false)], None);
    assert_eq!(query.rows(), texts(1..4));
    let mut query = Query::new();
    nested(&mut query, 40);
    assert_eq!(query.error(), ("54001".to_owned(), "recursive queries are nested too deep".to_owned()));
}

/// Aim: an error in a pipeline whose arenas are gone names file, line and column.
#[test]
fn errors_outlive_their_pipeline() {
    let file = TempFile::new("csv", "1\n2\nx\n");
    let mut query = Query::new();
    let source = query.plans.source(file.path(), Some(&N));
    let scan = query.scan_all(source);
    query.aggregate(scan, &[], &[(CountRows, None, false, Type::BigInt)]);
    let counted = query.error();
    // Without the column nothing is converted.
    assert_eq!(counted.0, "22P02");
    let place = format!("file \"{}\", line 3, column 1 (\"n\")", file.path());
    assert!(counted.1.starts_with(&place), "{}", counted.1);
}

/// Aim: memory of a pipeline is given back before the next one needs it. Method: ten sorts one above the other run in the
/// memory of two, but for what each has for its lists.
#[test]
fn a_pipeline_gives_back_what_it_took() {
    let least = |sorts: usize| {
        let mut query = Query::new();
        let base = bigints(&mut query, [0]);
        let working = query.working_scan(0, base);
        let smaller = query.less(working, 3000);
        let next = query.successor(smaller);
        let mut input = query.recursive(base, next, 0, false);
        for _ in 0..sorts {
            input = query.sort(input, &[(0, true, false)], None);
        }
        let limits = (0..200).map(|step| step * (8 << 10));
        limits.into_iter().find(|&limit| query.run(limit).is_ok()).expect("some limit is enough")
    };
    let (two, ten) = (least(2), least(10));
    assert!(ten <= two + (16 << 10), "{ten} bytes for ten sorts, {two} for two");
}

#[test]
fn operators_count_what_they_give() {
    let mut query = Query::new();
    let numbers = bigints(&mut query, 0..3000);
    let few = query.less(numbers, 10);
    query.sort(few, &[(0, true, false)], None);
    let root = cofferdam_arena::Budget::unlimited("root").unwrap();
    let (plan, arena) = (query.plan(), cofferdam_arena::Arena::new(&root));
    let workspace = cofferdam_exec::Workspace::new(&plan, &root, &arena).unwrap();
    let never = || false;
    let mut execution = workspace.execute(&plan, cofferdam_exec::Tables::None, &never).unwrap();
    while execution.next_batch().unwrap().is_some() {}
    let counted: Vec<_> =
        execution.counters().iter().map(|counters| (counters.rows, counters.batches)).collect();
    assert_eq!(counted, [(3000, 2), (10, 1), (10, 1)]);
}

/// Aim: plans with many pipelines fail cleanly under every limit and at every charge.
#[test]
fn pipelines_fail_cleanly_at_every_limit() {
    let build = || {
        let mut query = Query::new();
        let p = query.plans;
        let base = query.values(&N, &[vec![p.literal(Value::BigInt(1), Type::BigInt)]]);
        let working = query.working_scan(0, base);
        let smaller = query.less(working, 300);
        let next = query.successor(smaller);
        let numbers = query.recursive(base, next, 0, true);
        let cte = query.materialize(numbers);
        let (one, two) = (query.cte_scan(cte), query.cte_scan(cte));
        let all = query.concat(&[one, two]);
        let sorted = query.sort(all, &[(0, false, false)], None);
        query.push(
            OperatorKind::DistinctOn { input: sorted, columns: p.list(&[0]) },
            query.columns_of(sorted),
        );
        query
    };
    let query = build();
    let expected = query.rows();
    assert_eq!(expected, texts(1..=300));
    let (mut limit, mut failures) = (0, 0);
    loop {
        match query.run(limit) {
            Ok(rows) => break assert_eq!(rows, expected),
            Err((sqlstate, message)) => assert_eq!(sqlstate, "53200", "{limit}: {message}"),
        }
        failures += 1;
        limit += 512;
    }
    assert!(failures > 10, "{failures}");
}

/// Aim: the sources of a long UNION ALL take little, though none gives back what it took before the last has ended. Method: one list
/// in the other, as the parser makes them.
#[test]
fn a_long_union_runs_in_little_memory() {
    let file = TempFile::new("csv", "1\n2\n3\n");
    let mut query = Query::new();
    let source = query.plans.source(file.path(), Some(&N));
    let mut all = query.scan_all(source);
    for _ in 1..400 {
        let next = query.scan_all(source);
        all = query.concat(&[all, next]);
    }
    query.aggregate(all, &[], &[(CountRows, None, false, Type::BigInt)]);
    assert_eq!(query.run(12 << 20).unwrap(), ["1200"]);
}
