//! Aggregation against a naive model, at limits that force every rung.

use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use cofferdam_arena::{Arena, Budget};
use cofferdam_plan::expr::{Expr, ExprKind};
use cofferdam_plan::physical::{Aggregate, AggregateFunction as F, AggregateKey, HashAggregate, OperatorId};
use cofferdam_types::{Decimal, Element, Type, Value};
use proptest::prelude::*;

use super::partitions::tests::space;
use super::source::{Given, GroupsSource};
use super::*;
use crate::batch::VectorId;
use crate::operators::state::put_result;

/// A plan and the memory that it lives in.
pub(crate) struct Bench {
    arena: Arena,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench { arena: Arena::new(&Budget::unlimited("plan").unwrap()) }
    }

    pub(crate) fn column(&self, index: u32, ty: Type) -> &Expr<'_> {
        self.arena.alloc(Expr { kind: ExprKind::Column(index), ty, span: Span::default() }).unwrap()
    }

    pub(crate) fn literal(&self, value: Value<'static>) -> &Expr<'_> {
        let (kind, ty) = (ExprKind::Literal(value), value.ty());
        self.arena.alloc(Expr { kind, ty, span: Span::default() }).unwrap()
    }

    pub(crate) fn list<T: Copy>(&self, items: &[T]) -> &[T] {
        self.arena.alloc_slice_copy(items).unwrap()
    }

    pub(crate) fn aggregate<'b>(&'b self, function: F, args: &[&'b Expr<'b>], ty: Type) -> Aggregate<'b> {
        let args = self.list(args);
        let span = Span { start: 7, len: 9 };
        Aggregate { function, args, distinct: false, filter: None, order_by: &[], ty, span }
    }

    pub(crate) fn plan<'b>(
        &'b self,
        groups: &[&'b Expr<'b>],
        sets: &[&[u32]],
        aggregates: &[Aggregate<'b>],
    ) -> HashAggregate<'b> {
        let sets: Vec<&[u32]> = sets.iter().map(|set| self.list(set)).collect();
        HashAggregate {
            input: OperatorId::new(0),
            groups: self.list(groups),
            sets: self.list(&sets),
            aggregates: self.list(aggregates),
            together: &[],
        }
    }
}

/// Puts rows into the columns of a batch.
pub(crate) fn fill(rows: &[Vec<Value<'_>>], types: &[Type], ids: &[VectorId], store: &mut Store<'_>) {
    for (column, (&id, _)) in ids.iter().zip(types).enumerate() {
        let mut vector = store.take(id);
        let is_text = vector.kind() == Kind::Text;
        let mut heap = if is_text { store.take_heap(vector.heap) } else { store.no_heap() };
        heap.clear();
        vector.all_valid = false;
        for (at, row) in rows.iter().enumerate() {
            put_result(row[column], at, &mut vector, &mut heap).unwrap();
        }
        if is_text {
            store.put_heap_back(vector.heap, heap);
        }
        vector.all_valid = vector.valid[..rows.len()].iter().all(|is_valid| *is_valid);
        store.put_back(id, vector);
    }
}

pub(crate) fn texts(
    count: usize,
    columns: &[VectorId],
    types: &[Type],
    store: &Store<'_>,
    out: &mut Vec<Vec<String>>,
) {
    for row in 0..count {
        out.push(columns.iter().zip(types).map(|(&id, &ty)| store.value(id, row, ty).to_string()).collect());
    }
}

/// What was seen of a run.
#[derive(Debug)]
struct Seen {
    rows: Vec<Vec<String>>,
    counts: PartitionCounts,
}

/// Runs an aggregation at a limit of the operator's own, in batches; `output` are the types of its columns.
fn run<'b>(
    plan: &HashAggregate<'b>,
    input: &[Type],
    rows: &[Vec<Value<'_>>],
    output: &[Type],
    limit: u64,
    is_cancelled: IsCancelled<'_>,
) -> Result<Seen, String> {
    let process = Budget::root("process", u64::MAX).unwrap();
    let space = space(&process);
    let operator = process.child("aggregate_1", limit).unwrap();
    let outcome = run_in((plan, false), input, rows, output, &operator, &process, &space, is_cancelled);
    assert_eq!((operator.used(), space.counts().files_now), (0, 0), "everything is given back");
    outcome
}

/// What [`run`] sees, of an aggregation whose groups are given to others again and again while they are handed out.
fn run_asked<'b>(
    plan: &HashAggregate<'b>,
    input: &[Type],
    rows: &[Vec<Value<'_>>],
    output: &[Type],
    limit: u64,
) -> Vec<Vec<String>> {
    let process = Budget::root("process", u64::MAX).unwrap();
    let space = space(&process);
    let operator = process.child("aggregate_1", limit).unwrap();
    let seen = run_in((plan, true), input, rows, output, &operator, &process, &space, &never).unwrap();
    assert_eq!((operator.used(), space.counts().files_now), (0, 0), "everything is given back");
    seen.rows
}

/// The rows of an aggregation that nobody cancels.
pub(crate) fn run_plain<'b>(
    plan: &HashAggregate<'b>,
    input: &[Type],
    rows: &[Vec<Value<'_>>],
    output: &[Type],
    limit: u64,
) -> Result<Vec<Vec<String>>, String> {
    run(plan, input, rows, output, limit, &never).map(|seen| seen.rows)
}

#[expect(clippy::too_many_arguments)]
fn run_in<'b>(
    (plan, is_asked): (&HashAggregate<'b>, bool),
    input: &[Type],
    rows: &[Vec<Value<'_>>],
    output: &[Type],
    operator: &Budget,
    process: &Budget,
    space: &SpillSpace,
    is_cancelled: IsCancelled<'_>,
) -> Result<Seen, String> {
    const BATCH_ROWS: usize = 64;
    let disk = Disk { space: Some(space), name: "aggregate_1", share: 1, is_cancelled, others: None };
    let describe = |error: Error<'_>| format!("{} {error}", error.sqlstate());
    let mut groups = {
        // The vectors of the input are others'.
        let (others, arena) = (Arena::new(process), Arena::new(operator));
        let mut store = Store::new(BATCH_ROWS, &others);
        let ids: Vec<_> = input.iter().map(|&ty| store.add_vector(Kind::of(ty), &others).unwrap()).collect();
        let (mut sink, mut groups) =
            GroupsSink::open(plan, &ids, &mut store, &arena, &disk).map_err(describe)?;
        for rows in rows.chunks(BATCH_ROWS) {
            fill(rows, input, &ids, &mut store);
            let taken = sink.take(BatchRows::all(rows.len()), &mut groups, &mut store, &disk);
            taken.map_err(|error| describe(sink.states().blamed(error, &groups)))?;
        }
        while !sink.finish(&mut groups, &mut store, &disk).map_err(describe)? {}
        groups
    };
    let (others, arena) = (Arena::new(process), Arena::new(operator));
    let mut store = Store::new(BATCH_ROWS, &others);
    let ids: Vec<_> = output.iter().map(|&ty| store.add_vector(Kind::of(ty), &others).unwrap()).collect();
    let ids = others.alloc_slice_copy(&ids).unwrap();
    let mut source = GroupsSource::open(plan, ids, &mut store, &arena).map_err(describe)?;
    let mut seen = Vec::new();
    loop {
        let given = source.next(&mut groups, &mut store, &disk);
        match given.map_err(|error| describe(source.states().blamed(error, &groups)))? {
            Given::Groups(count) => {
                texts(count, ids, output, &store, &mut seen);
                let yieldable_bytes = groups.yieldable_bytes();
                if is_asked && yieldable_bytes > 0 {
                    let used_bytes = operator.used();
                    assert!(groups.yield_memory(is_cancelled).map_err(describe)?);
                    assert!(used_bytes - operator.used() >= yieldable_bytes / 2, "{yieldable_bytes}");
                }
            }
            Given::Nothing => {}
            Given::End => break,
        }
    }
    seen.sort();
    Ok(Seen { rows: seen, counts: groups.counts() })
}

fn never() -> bool {
    false
}

/// A row of the property tests.
#[derive(Clone, Debug)]
struct Row {
    key: Option<u32>,
    name: String,
    number: Option<i32>,
    scaled: (i32, u8),
}

const TYPES: [Type; 5] = [Type::Integer, Type::Char, Type::Integer, Type::Numeric, Type::Text];
const LIST: fn() -> Type = || Type::Array(Element::of(Type::Integer).unwrap());

impl Row {
    fn values(&self) -> Vec<Value<'_>> {
        let number = self.number.map_or(Value::Null, Value::Integer);
        vec![
            self.key.map_or(Value::Null, |key| Value::Integer(key as i32)),
            Value::Char(&self.name),
            number,
            Value::Decimal(Decimal::new(self.scaled.0.into(), self.scaled.1).unwrap()),
            Value::Text(&self.name),
        ]
    }

    /// What equal keys share.
    fn key(&self) -> (Option<u32>, String) {
        (self.key, self.name.trim_end_matches(' ').to_string())
    }
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let keys = prop_oneof![Just(3u32), Just(40), Just(5000)];
    let row = |keys: u32| {
        let number = prop_oneof![4 => (-50..50i32).prop_map(Some), 1 => Just(None)];
        (
            prop_oneof![9 => (0..keys).prop_map(Some), 1 => Just(None)],
            "[ab]{1,2} {0,2}",
            number,
            (0..30i32, 0..3u8),
        )
            .prop_map(|(key, name, number, scaled)| Row { key, name, number, scaled })
    };
    (keys, 0..1500usize).prop_flat_map(move |(keys, count)| proptest::collection::vec(row(keys), count))
}

/// The aggregates of the property tests.
fn some_aggregates(bench: &Bench) -> Vec<Aggregate<'_>> {
    let (number, scaled, text) =
        (bench.column(2, Type::Integer), bench.column(3, Type::Numeric), bench.column(4, Type::Text));
    let comma = bench.literal(Value::Text(","));
    let mut distinct = bench.aggregate(F::Count, &[scaled], Type::BigInt);
    distinct.distinct = true;
    let mut filtered_distinct = bench.aggregate(F::Sum, &[number], Type::BigInt);
    filtered_distinct.distinct = true;
    let is_null = ExprKind::Unary { op: cofferdam_plan::expr::UnaryOp::IsNotNull, arg: number };
    let filter = Expr { kind: is_null, ty: Type::Boolean, span: Span::default() };
    let mut filtered = bench.aggregate(F::CountRows, &[], Type::BigInt);
    filtered.filter = Some(bench.arena.alloc(filter).unwrap());
    filtered_distinct.filter = filtered.filter;
    vec![
        bench.aggregate(F::CountRows, &[], Type::BigInt),
        bench.aggregate(F::Sum, &[number], Type::BigInt),
        bench.aggregate(F::Max, &[text], Type::Text),
        bench.aggregate(F::StringAgg, &[text, comma], Type::Text),
        bench.aggregate(F::ArrayAgg, &[number], LIST()),
        distinct,
        filtered,
        filtered_distinct,
    ]
}

const RESULTS: fn() -> [Type; 8] =
    || [Type::BigInt, Type::BigInt, Type::Text, Type::Text, LIST(), Type::BigInt, Type::BigInt, Type::BigInt];

/// What the model says of a group.
fn model(rows: &[&Row]) -> Vec<String> {
    let show = |value: Option<String>| value.unwrap_or("NULL".into());
    let numbers: Vec<i64> = rows.iter().filter_map(|row| row.number.map(i64::from)).collect();
    let sum = |numbers: &[i64]| show((!numbers.is_empty()).then(|| numbers.iter().sum::<i64>().to_string()));
    let names: Vec<&str> = rows.iter().map(|row| &*row.name).collect();
    let list: Vec<String> = rows.iter().map(|row| show(row.number.map(|n| n.to_string()))).collect();
    let scaled: std::collections::BTreeSet<i64> =
        rows.iter().map(|row| i64::from(row.scaled.0) * 10i64.pow(3 - u32::from(row.scaled.1))).collect();
    let distinct: Vec<i64> =
        numbers.iter().copied().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
    vec![
        rows.len().to_string(),
        sum(&numbers),
        show(names.iter().max().map(|name| name.to_string())),
        show((!names.is_empty()).then(|| names.join(","))),
        show((!rows.is_empty()).then(|| format!("{{{}}}", list.join(",")))),
        scaled.len().to_string(),
        numbers.len().to_string(),
        sum(&distinct),
    ]
}

/// The model's groups of the sets (both columns), (key) and ().
fn model_groups(rows: &[Row], has_sets: bool) -> Vec<Vec<String>> {
    type Key = (u8, Option<u32>, String);
    let mut groups: BTreeMap<Key, (String, Vec<&Row>)> = BTreeMap::new();
    if has_sets {
        groups.insert((2, None, String::new()), ("NULL".into(), Vec::new()));
    }
    for row in rows {
        let (key, name) = row.key();
        let mut add = |set, key, name: String, shown: String| {
            groups.entry((set, key, name)).or_insert((shown, Vec::new())).1.push(row);
        };
        add(0, key, name, row.name.clone());
        if has_sets {
            add(1, key, String::new(), "NULL".into());
            add(2, None, String::new(), "NULL".into());
        }
    }
    let mut out: Vec<Vec<String>> = groups
        .iter()
        .map(|((set, key, _), (shown, rows))| {
            let key = key.map_or("NULL".into(), |key| key.to_string());
            let mut line = vec![key, shown.clone()];
            line.extend(model(rows));
            if has_sets {
                line.push(["0", "1", "3"][usize::from(*set)].into());
            }
            line
        })
        .collect();
    out.sort();
    out
}

fn check(rows: &[Row], has_sets: bool, limit: u64) -> PartitionCounts {
    let bench = Bench::new();
    let groups = [bench.column(0, Type::Integer), bench.column(1, Type::Char)];
    let mut aggregates = some_aggregates(&bench);
    let mut output = [&[Type::Integer, Type::Char][..], &RESULTS()].concat();
    if has_sets {
        let args = [bench.literal(Value::Integer(0)), bench.literal(Value::Integer(1))];
        aggregates.push(bench.aggregate(F::Grouping, &args, Type::Integer));
        output.push(Type::Integer);
    }
    let sets: &[&[u32]] = if has_sets { &[&[0, 1], &[0], &[]] } else { &[&[0, 1]] };
    let plan = bench.plan(&groups, sets, &aggregates);
    let values: Vec<_> = rows.iter().map(Row::values).collect();
    let seen = run(&plan, &TYPES, &values, &output, limit, &never).unwrap();
    assert_eq!(seen.rows, model_groups(rows, has_sets));
    if limit < u64::MAX {
        assert_eq!(run_asked(&plan, &TYPES, &values, &output, limit), seen.rows);
    }
    seen.counts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Aim: groups and aggregates are those of the model, whatever went to disk. Method: few and many groups, with and without grouping
    /// sets, at several limits.
    #[test]
    fn groups_are_those_of_the_model(
        rows in rows(),
        has_sets in any::<bool>(),
        limit in prop_oneof![Just(u64::MAX), Just(512u64 << 10), Just(360 << 10)],
    ) {
        check(&rows, has_sets, limit);
    }
}

/// Rows of many groups, some of them in several places.
fn many(count: usize) -> Vec<Row> {
    (0..count as u32)
        .map(|i| Row {
            key: Some(i.wrapping_mul(7919) % (count as u32 / 2)),
            name: ["a", "a ", "b"][i as usize % 3].into(),
            number: (i % 5 != 0).then_some(i as i32 % 100),
            scaled: (i as i32 % 40, (i % 3) as u8),
        })
        .collect()
}

/// Aim: every rung is reached and gives the same. Method: limits, and counters.
#[test]
fn rungs_are_reached() {
    let rows = many(8000);
    assert_eq!(check(&rows, false, u64::MAX), PartitionCounts::default());
    let counts = check(&rows, false, 1 << 20);
    assert!(counts.files > 0, "{counts:?}");
    let counts = check(&rows, true, 360 << 10);
    assert!(counts.parted > 0, "{counts:?}");
}

/// Aim: at each limit the answer is right or the error is the typed one, and everything is given back. Method: limits from
/// nothing to what suffices.
#[test]
fn every_limit_gives_the_answer_or_a_refusal() {
    let rows = many(1500);
    let bench = Bench::new();
    let groups = [bench.column(0, Type::Integer), bench.column(1, Type::Char)];
    let plan = bench.plan(&groups, &[&[0, 1]], &some_aggregates(&bench));
    let values: Vec<_> = rows.iter().map(Row::values).collect();
    let output = [&[Type::Integer, Type::Char][..], &RESULTS()].concat();
    let expected = model_groups(&rows, false);
    let (mut refusals, mut answers, mut spilled) = (0, 0, 0);
    for limit in (4..620).step_by(12).map(|kib: u64| kib << 10) {
        match run(&plan, &TYPES, &values, &output, limit, &never) {
            Ok(seen) => {
                assert_eq!(seen.rows, expected, "at {limit}");
                answers += 1;
                spilled += u32::from(seen.counts.files > 0);
            }
            Err(error) => {
                assert!(error.starts_with("53200"), "{error}");
                refusals += 1;
            }
        }
    }
    assert!(refusals > 3 && answers > 10 && spilled > 5, "{refusals} {answers} {spilled}");
}

/// Aim: a value larger than memory is said to be that. Method: one group whose list does not fit.
#[test]
fn a_value_larger_than_memory_is_an_error_that_says_so() {
    let bench = Bench::new();
    let text = bench.column(1, Type::Text);
    let list = Type::Array(Element::of(Type::Text).unwrap());
    let plan = bench.plan(
        &[bench.column(0, Type::Integer)],
        &[&[0]],
        &[bench.aggregate(F::CountRows, &[], Type::BigInt), bench.aggregate(F::ArrayAgg, &[text], list)],
    );
    let long = "x".repeat(1000);
    let rows: Vec<_> = (0..600).map(|_| vec![Value::Integer(1), Value::Text(&long)]).collect();
    let output = [Type::Integer, Type::BigInt, list];
    let error = run(&plan, &[Type::Integer, Type::Text], &rows, &output, 256 << 10, &never).unwrap_err();
    assert!(error.starts_with("53200 one value of array_agg had come to "), "{error}");
    let enough = run(&plan, &[Type::Integer, Type::Text], &rows, &output, 4 << 20, &never).unwrap();
    assert_eq!(enough.rows[0][1], "600");
}

/// Aim: without rows there is a group for a set without keys, and for no other.
#[test]
fn an_empty_set_has_a_group_of_no_rows() {
    let bench = Bench::new();
    let count = bench.aggregate(F::CountRows, &[], Type::BigInt);
    let sum = bench.aggregate(F::Sum, &[bench.column(0, Type::Integer)], Type::BigInt);
    let plan = bench.plan(&[], &[&[]], &[count, sum]);
    let output = [Type::BigInt, Type::BigInt];
    let seen = run(&plan, &[Type::Integer], &[], &output, u64::MAX, &never).unwrap();
    assert_eq!(seen.rows, [["0", "NULL"]]);
    let rows = [vec![Value::Integer(4)], vec![Value::Null], vec![Value::Integer(5)]];
    let seen = run(&plan, &[Type::Integer], &rows, &output, u64::MAX, &never).unwrap();
    assert_eq!(seen.rows, [["3", "9"]]);
    let plan = bench.plan(&[bench.column(0, Type::Integer)], &[&[0]], &[count]);
    let seen = run(&plan, &[Type::Integer], &[], &[Type::Integer, Type::BigInt], u64::MAX, &never).unwrap();
    assert_eq!(seen.rows.len(), 0);
}

/// Aim: a statement ends soon after it is cancelled, at every moment, and everything is given back. Method: the n-th question is
/// answered with yes, for every n.
#[test]
fn it_can_be_cancelled_while_it_spills() {
    let rows = many(1500);
    let bench = Bench::new();
    let groups = [bench.column(0, Type::Integer), bench.column(1, Type::Char)];
    let plan = bench.plan(&groups, &[&[0, 1]], &some_aggregates(&bench));
    let values: Vec<_> = rows.iter().map(Row::values).collect();
    let output = [&[Type::Integer, Type::Char][..], &RESULTS()].concat();
    let run_until = |n: u32| {
        let asked = core::cell::Cell::new(0);
        let is_cancelled = || {
            asked.set(asked.get() + 1);
            asked.get() > n
        };
        (run(&plan, &TYPES, &values, &output, 320 << 10, &is_cancelled).map(|_| ()), asked.get())
    };
    let (done, questions) = run_until(u32::MAX);
    assert!(done.is_ok() && questions > 10, "{done:?} {questions}");
    for n in (0..questions).step_by(1 + questions as usize / 20) {
        let (outcome, _) = run_until(n);
        assert!(outcome.unwrap_err().starts_with("57014"));
    }
}

/// Aggregates that take rows in an order, and what they are over rows of [`ordered_values`].
fn ordered_aggregates(bench: &Bench) -> (Vec<Aggregate<'_>>, Vec<Type>) {
    let (number, text, double) =
        (bench.column(2, Type::Integer), bench.column(4, Type::Text), bench.column(5, Type::Double));
    let by = |expr, descending| AggregateKey { expr, descending, nulls_first: false };
    let mut joined = bench.aggregate(F::StringAgg, &[text, bench.literal(Value::Text(","))], Type::Text);
    joined.order_by = bench.list(&[by(number, true), by(text, false)]);
    let mut list = bench.aggregate(F::ArrayAgg, &[number], LIST());
    list.distinct = true;
    let half = bench.literal(Value::Double(0.5));
    let mut median = bench.aggregate(F::PercentileDisc, &[half], Type::Integer);
    median.order_by = bench.list(&[by(number, false)]);
    let mut between = bench.aggregate(F::PercentileCont, &[half], Type::Double);
    between.order_by = bench.list(&[by(double, false)]);
    let mut mode = bench.aggregate(F::Mode, &[], Type::Integer);
    mode.order_by = bench.list(&[by(number, false)]);
    let count = bench.aggregate(F::CountRows, &[], Type::BigInt);
    let types = vec![Type::Text, LIST(), Type::Integer, Type::Double, Type::Integer, Type::BigInt];
    (vec![joined, list, median, between, mode, count], types)
}

fn ordered_values(row: &Row) -> Vec<Value<'_>> {
    let mut values = row.values();
    values.push(row.number.map_or(Value::Null, |number| Value::Double(number.into())));
    values
}

fn ordered_model(rows: &[&Row]) -> Vec<String> {
    let show = |value: Option<String>| value.unwrap_or("NULL".into());
    let mut joined = rows.to_vec();
    joined.sort_by_key(|row| (row.number.map_or(i64::MAX, |number| -i64::from(number)), &row.name));
    let joined: Vec<&str> = joined.iter().map(|row| &*row.name).collect();
    let mut numbers: Vec<i32> = rows.iter().filter_map(|row| row.number).collect();
    numbers.sort_unstable();
    let mut list: Vec<String> = numbers.iter().map(i32::to_string).collect();
    list.dedup();
    if rows.iter().any(|row| row.number.is_none()) {
        list.push("NULL".into());
    }
    let count = numbers.len();
    let median = (count > 0).then(|| numbers[count.div_ceil(2).max(1) - 1]);
    let between = (count > 0).then(|| {
        let (low, high) = (numbers[(count - 1) / 2], numbers[count / 2]);
        (f64::from(low) + f64::from(high)) / 2.0
    });
    let times = |number: i32| numbers.iter().filter(|&&other| other == number).count();
    let mode = numbers.iter().copied().max_by_key(|&number| (times(number), -number));
    vec![
        joined.join(","),
        format!("{{{}}}", list.join(",")),
        show(median.map(|number| number.to_string())),
        show(between.map(|number| Value::Double(number).to_string())),
        show(mode.map(|number| number.to_string())),
        rows.len().to_string(),
    ]
}

fn check_ordered(rows: &[Row], limit: u64) -> PartitionCounts {
    let bench = Bench::new();
    let (aggregates, types) = ordered_aggregates(&bench);
    let plan = bench.plan(&[bench.column(0, Type::Integer)], &[&[0]], &aggregates);
    let values: Vec<_> = rows.iter().map(ordered_values).collect();
    let input = [&TYPES[..], &[Type::Double]].concat();
    let output = [&[Type::Integer][..], &types].concat();
    let seen = run(&plan, &input, &values, &output, limit, &never).unwrap();
    if limit < u64::MAX {
        assert_eq!(run_asked(&plan, &input, &values, &output, limit), seen.rows);
    }
    let mut groups: BTreeMap<Option<u32>, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        groups.entry(row.key).or_default().push(row);
    }
    let lines = groups.iter().map(|(key, rows)| {
        let mut line = vec![key.map_or("NULL".into(), |key| key.to_string())];
        line.extend(ordered_model(rows));
        line
    });
    let mut expected: Vec<_> = lines.collect();
    expected.sort();
    for (row, expected) in seen.rows.iter().zip(&expected) {
        assert_eq!(row, expected, "at {limit}: {:?}", seen.counts);
    }
    assert_eq!(seen.rows.len(), expected.len());
    seen.counts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// Aim: aggregates that take rows in an order are those of the model, whatever went to disk.
    #[test]
    fn ordered_aggregates_are_those_of_the_model(
        rows in rows(),
        limit in prop_oneof![Just(u64::MAX), Just(2u64 << 20), Just(1536 << 10)],
    ) {
        check_ordered(&rows, limit);
    }
}

/// Aim: sorts and groups both go to disk, and what is chosen finds its groups in each file. Method: limits, and counters.
#[test]
fn ordered_rows_and_groups_go_to_disk() {
    let rows = many(24_000);
    assert_eq!(check_ordered(&rows, u64::MAX), PartitionCounts::default());
    let counts = check_ordered(&rows, 2 << 20);
    assert!(counts.files > 4, "{counts:?}");
}

/// Aim: a fraction that is none is an error with its place.
#[test]
fn a_fraction_beyond_one_is_an_error() {
    let bench = Bench::new();
    let double = bench.column(0, Type::Double);
    let mut beyond = bench.aggregate(F::PercentileCont, &[bench.literal(Value::Double(1.5))], Type::Double);
    beyond.order_by = bench.list(&[AggregateKey { expr: double, descending: false, nulls_first: false }]);
    let plan = bench.plan(&[], &[&[]], &[beyond]);
    let rows = [vec![Value::Double(1.0)]];
    let error = run(&plan, &[Type::Double], &rows, &[Type::Double], u64::MAX, &never).unwrap_err();
    assert_eq!(error, "22003 percentile value 1.5 is not between 0 and 1");
    let none = run(&plan, &[Type::Double], &[], &[Type::Double], u64::MAX, &never).unwrap();
    assert_eq!(none.rows, [["NULL"]]);
}
