//! What the store says of the values of tables, held against the values.

use std::collections::BTreeMap;

use cofferdam_arena::{Arena, Budget, BudgetOptions};
use cofferdam_store::{
    ColumnStatistics, Durability, Error, MINIMUM_BYTES, Options, Store, TableDef, TableId, TableStatistics,
    View,
};
use cofferdam_testkit::Failure;
use cofferdam_testkit::sweep::Sweep;
use cofferdam_types::{Date, Decimal, Interval, Time, Timestamp, Type, Uuid, Value};
use proptest::prelude::*;

use crate::engine::{KEY, Machine, column, now};

const TYPES: [Type; 7] = [
    Type::BigInt,
    Type::Integer,
    Type::Decimal { precision: 12, scale: 2 },
    Type::Text,
    Type::Double,
    Type::Date,
    Type::Text,
];

/// A value that owns its text.
#[derive(Clone, Debug)]
enum Owned {
    Fixed(Value<'static>),
    Text(String),
}

impl Owned {
    fn value(&self) -> Value<'_> {
        match self {
            Owned::Fixed(value) => *value,
            Owned::Text(text) => Value::Text(text),
        }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    /// Small numbers more often than large ones.
    fn skewed(&mut self, bound: u64) -> u64 {
        let most = self.below(bound) + 1;
        self.below(most)
    }

    fn row(&mut self, id: i64, spread: u64) -> Vec<Owned> {
        let fixed = Owned::Fixed;
        vec![
            fixed(Value::BigInt(id)),
            fixed(Value::Integer(self.skewed(spread) as i32)),
            fixed(Value::Decimal(Decimal::new(i128::from(self.below(1_000_000)) - 500_000, 2).unwrap())),
            if self.below(4) == 0 {
                fixed(Value::Null)
            } else {
                Owned::Text(
                    ["AIR", "MAIL", "SHIP", "a name that is longer than samples keep", "é"]
                        [self.skewed(5) as usize]
                        .into(),
                )
            },
            fixed(Value::Double(self.below(50) as f64 / 4.0)),
            fixed(Value::Date(Date::from_days(9000 + id / 10).unwrap())),
            Owned::Text(format!("{:x} {}", self.below(1 << 40), "text ".repeat(self.below(20) as usize))),
        ]
    }
}

/// What a table ought to have.
type Model = BTreeMap<i64, Vec<Owned>>;

fn create(store: &Store, budget: &Budget) -> TableId {
    let names = ["id", "category", "amount", "mode", "share", "day", "remark"];
    let columns: Vec<_> = names.iter().zip(TYPES).map(|(name, ty)| column(name, ty, *name != "id")).collect();
    let mut transaction = store.begin(budget).unwrap();
    let def = TableDef { name: "facts", columns: &columns, key: &KEY, properties: b"" };
    let id = transaction.create_table(&def).unwrap();
    transaction.commit(Durability::Full).unwrap();
    id
}

fn put(store: &Store, budget: &Budget, table: TableId, rows: impl Iterator<Item = Vec<Owned>>) {
    let mut transaction = store.begin(budget).unwrap();
    for row in rows {
        let values: Vec<Value<'_>> = row.iter().map(Owned::value).collect();
        transaction.put(table, &values).unwrap();
    }
    transaction.commit(Durability::Full).unwrap();
}

fn statistics<'a>(view: View<'_>, table: TableId, arena: &'a Arena) -> TableStatistics<'a> {
    let columns: Vec<u16> = (0..TYPES.len() as u16).collect();
    view.statistics(&view.table(table).unwrap(), &columns, arena).unwrap()
}

/// How far estimates may be off.
struct Tolerance {
    rows: f64,
    share: f64,
    distinct: f64,
    /// Whether all rows are in segments, or are few: then bounds are right.
    has_bounds: bool,
}

const EXACT: Tolerance = Tolerance { rows: 0.0, share: 1e-9, distinct: 0.0, has_bounds: true };

fn check(model: &Model, found: &TableStatistics<'_>, tolerance: &Tolerance) {
    let rows = model.len() as f64;
    let off = (found.rows as f64 - rows).abs();
    assert!(off <= tolerance.rows * rows, "{} rows told of {rows}", found.rows);
    for (index, column) in found.columns.iter().enumerate() {
        let mut values: Vec<Value<'_>> = model.values().map(|row| row[index].value()).collect();
        let nulls = values.iter().filter(|value| value.is_null()).count();
        values.retain(|value| !value.is_null());
        values.sort_unstable_by(Value::total_cmp);
        check_column(index, &values, nulls, column, tolerance);
    }
}

fn check_column(
    index: usize,
    values: &[Value<'_>],
    nulls: usize,
    found: &ColumnStatistics<'_>,
    tolerance: &Tolerance,
) {
    let rows = (values.len() + nulls) as f64;
    let below = |bound: &Value<'_>| values.partition_point(|value| value.total_cmp(bound).is_lt());
    let up_to = |bound: &Value<'_>| values.partition_point(|value| value.total_cmp(bound).is_le());
    let near = |what: &str, told: f64, is: f64| {
        assert!((told - is).abs() <= tolerance.share, "column {index}, {what}: {told} told, it is {is}");
    };
    near("NULLs", found.null_fraction, nulls as f64 / rows);
    let distinct = values.chunk_by(|a, b| a == b).count() as f64;
    assert!(
        (found.distinct - distinct).abs() <= tolerance.distinct * distinct + 1e-9,
        "column {index}: {} distinct values told, there are {distinct}",
        found.distinct
    );
    let (first, last) = (values.first().unwrap(), values.last().unwrap());
    let is_below = found.min.unwrap().total_cmp(first).is_le() || !tolerance.has_bounds;
    assert!(is_below, "column {index}: {:?} above {first:?}", found.min);
    if TYPES[index] != Type::Text {
        let is_above = found.max.unwrap().total_cmp(last).is_ge() || !tolerance.has_bounds;
        assert!(is_above, "column {index}: {:?} below {last:?}", found.max);
    } else {
        let bytes: usize = values.iter().map(|value| value.to_string().len()).sum();
        let average = bytes as f64 / values.len() as f64;
        let off = (found.average_bytes / average - 1.0).abs();
        assert!(off <= 0.15 * f64::from(tolerance.rows > 0.0) + 1e-9, "{} of {average}", found.average_bytes);
    }
    assert!(found.common.is_sorted_by(|(_, a), (_, b)| a >= b), "{:?}", found.common);
    let mut common_share = 0.0;
    for (value, share) in found.common {
        let count = (up_to(value) - below(value)) as f64;
        near("a common value", *share, count / rows);
        common_share += share;
    }
    assert!(common_share + found.null_fraction <= 1.0 + 1e-9);
    if let Some(commonest) = values.chunk_by(|a, b| a == b).max_by_key(|group| group.len())
        && commonest.len() as f64 > 0.3 * rows
        && commonest[0].to_string().len() < 29
    {
        assert!(
            found.common.iter().any(|(value, _)| *value == commonest[0]),
            "column {index}: {commonest:?}"
        );
    }
    // Between the bounds there are about as many values each, common ones left out.
    let bounds = found.histogram;
    assert!(bounds.is_sorted_by(|a, b| a.total_cmp(b).is_le()), "{bounds:?}");
    let is_rest = |value: &&Value<'_>| !found.common.iter().any(|(common, _)| common == *value);
    let rest: Vec<Value<'_>> = values.iter().filter(is_rest).map(cut).collect();
    if bounds.is_empty() {
        let whole = Tolerance { ..*tolerance };
        assert!(
            rest.len() as f64 <= (0.05 + whole.share) * rows,
            "column {index}: {} values are not told of",
            rest.len()
        );
        return;
    }
    for (place, bound) in bounds.iter().enumerate() {
        let position = place as f64 / (bounds.len() - 1) as f64;
        let low = rest.partition_point(|value| value.total_cmp(bound).is_lt()) as f64 / rest.len() as f64;
        let high = rest.partition_point(|value| value.total_cmp(bound).is_le()) as f64 / rest.len() as f64;
        let slack = tolerance.share + 1.0 / (bounds.len() - 1) as f64 + 1e-9;
        assert!(
            low - slack <= position && position <= high + slack,
            "column {index}: bound {place} of {} is {bound:?} at {low}..{high}",
            bounds.len()
        );
    }
}

/// A text as samples have it.
fn cut<'v>(value: &Value<'v>) -> Value<'v> {
    match value {
        Value::Text(text) => Value::Text(&text[..text.floor_char_boundary(32)]),
        value => *value,
    }
}

/// Aim: a table of which everything was sampled is known exactly. Method: few rows, in the memtable, in segments, in both, with rows
/// that were changed and deleted.
#[test]
fn small_tables_are_known_exactly() {
    let machine = Machine::new(8 << 20);
    let store = machine.open();
    let table = create(&store, &machine.budget);
    let (budget, mut random, mut model) = (Budget::unlimited("plan").unwrap(), Random(5), Model::new());
    let arena = Arena::new(&budget);
    let empty = statistics(now(&store).view(), table, &arena);
    assert_eq!((empty.rows, empty.columns.len()), (0, TYPES.len()));
    assert!(empty.columns.iter().all(|column| column.common.is_empty() && column.histogram.is_empty()));
    for round in 0..4 {
        let rows: Vec<_> = (0..25).map(|n| random.row(n * 2 + round, 6)).collect();
        for (n, row) in rows.iter().enumerate() {
            model.insert(n as i64 * 2 + round, row.clone());
        }
        put(&store, &machine.budget, table, rows.into_iter());
        if round > 0 {
            let mut transaction = store.begin(&machine.budget).unwrap();
            for id in [round, round + 20] {
                transaction.delete(table, &[Value::BigInt(id)]).unwrap();
                model.remove(&id);
            }
            transaction.commit(Durability::Full).unwrap();
        }
        check_small(&model, &statistics(now(&store).view(), table, &arena));
        if round % 2 == 0 {
            store.flush().unwrap();
            check_small(&model, &statistics(now(&store).view(), table, &arena));
        }
    }
    store.compact().unwrap();
    let found = statistics(now(&store).view(), table, &arena);
    check_small(&model, &found);
    // What was changed counts as often as it was written, until it is merged.
    assert!(now(&store).view().rows_estimate(table) >= model.len() as u64);
}

/// Texts that samples cut are counted by estimate, and what segments say of their bytes counts those that are gone.
fn check_small(model: &Model, found: &TableStatistics<'_>) {
    check(model, &TableStatistics { columns: &[], ..*found }, &EXACT);
    let loose = Tolerance { rows: 1e-9, share: 0.01, distinct: 0.4, has_bounds: true };
    for (index, column) in found.columns.iter().enumerate() {
        let mut values: Vec<Value<'_>> = model.values().map(|row| row[index].value()).collect();
        let nulls = values.iter().filter(|value| value.is_null()).count();
        values.retain(|value| !value.is_null());
        values.sort_unstable_by(Value::total_cmp);
        if TYPES[index] == Type::Text {
            let average_bytes = average(&values);
            assert!((column.average_bytes / average_bytes - 1.0).abs() < 0.3, "{column:?}");
            check_column(index, &values, nulls, &ColumnStatistics { average_bytes, ..*column }, &loose);
        } else {
            check_column(index, &values, nulls, column, &EXACT);
        }
    }
}

fn average(values: &[Value<'_>]) -> f64 {
    values.iter().map(|value| value.to_string().len()).sum::<usize>() as f64 / values.len() as f64
}

/// Aim: estimates of large tables are near. Method: tables of random spreads that are loaded in parts, of which some rows are
/// changed and deleted, under limits from the least on, held against the rows themselves.
#[test]
fn estimates_of_large_tables_are_near() {
    let config =
        ProptestConfig { failure_persistence: None, max_shrink_iters: 5, ..ProptestConfig::with_cases(3) };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let strategy = (any::<u64>(), 4_000..12_000i64, prop_oneof![Just(4u64), Just(60), Just(3000)], 1..4u32);
    runner
        .run(&strategy, |(seed, count, spread, parts)| {
            let machine = Machine::new(if seed % 2 == 0 { 4 << 20 } else { 16 << 20 });
            let store = machine.open();
            let table = create(&store, &machine.budget);
            let (mut random, mut model) = (Random(seed), Model::new());
            for part in 0..parts {
                let ids = (0..count).filter(|id| id % i64::from(parts) == i64::from(part));
                let rows: Vec<_> = ids.map(|id| random.row(id, spread)).collect();
                for row in &rows {
                    let Owned::Fixed(Value::BigInt(id)) = row[0] else { panic!() };
                    model.insert(id, row.clone());
                }
                put(&store, &machine.budget, table, rows.into_iter());
                store.flush().unwrap();
            }
            let loose = Tolerance { rows: 0.15, share: 0.14, distinct: 0.45, has_bounds: true };
            let budget = Budget::unlimited("plan").unwrap();
            let arena = Arena::new(&budget);
            let found = statistics(now(&store).view(), table, &arena);
            assert_eq!(found.rows, count as u64, "nothing was changed");
            check(&model, &found, &loose);
            // A third is changed, a third is deleted.
            let mut transaction = store.begin(&machine.budget).unwrap();
            for id in (0..count).filter(|id| id % 3 == 1) {
                transaction.delete(table, &[Value::BigInt(id)]).unwrap();
                model.remove(&id);
            }
            transaction.commit(Durability::Full).unwrap();
            let rows: Vec<_> = (0..count).filter(|id| id % 3 == 0).map(|id| random.row(id, spread)).collect();
            for (n, row) in rows.iter().enumerate() {
                model.insert(3 * n as i64, row.clone());
            }
            put(&store, &machine.budget, table, rows.into_iter());
            for is_compacted in [false, true] {
                if is_compacted {
                    store.flush().unwrap();
                    store.compact().unwrap();
                }
                let found = statistics(now(&store).view(), table, &arena);
                check(&model, &found, &Tolerance { has_bounds: is_compacted, ..loose });
            }
            Ok(())
        })
        .unwrap();
}

/// Aim: a transaction plans with what it has done. Method: rows that are in its write set, then in runs, and committed ones.
#[test]
fn a_transaction_sees_its_own_rows() {
    let machine = Machine::new(1 << 20);
    let store = machine.open();
    let table = create(&store, &machine.budget);
    let mut random = Random(8);
    put(&store, &machine.budget, table, (0..300).map(|id| random.row(id, 9)));
    let budget = Budget::unlimited("plan").unwrap();
    let arena = Arena::new(&budget);
    let mut transaction = store.begin(&machine.budget).unwrap();
    for (step, until) in [(0, 350), (1, 6000)] {
        for id in if step == 0 { 300..until } else { 350..until } {
            let row = random.row(id, 9);
            let values: Vec<Value<'_>> = row.iter().map(Owned::value).collect();
            transaction.insert(table, &values).unwrap();
        }
        let found = statistics(transaction.view(), table, &arena);
        assert!((found.rows as f64 / until as f64 - 1.0).abs() < 0.2, "{} of {until}", found.rows);
        assert!(transaction.view().rows_estimate(table) * 2 > until as u64);
        assert_eq!(found.columns[0].max.map(|max| max.total_cmp(&Value::BigInt(320)).is_gt()), Some(true));
        assert_eq!(statistics(now(&store).view(), table, &arena).rows, 300);
    }
}

/// Aim: what it costs is bounded, and any refusal leaves the store as it was. Method: a limit sweep of a planner's budget over a
/// table in several segments and in memory.
#[test]
fn statistics_fit_a_small_budget() {
    let machine = Machine::new(8 << 20);
    let store = machine.open();
    let table = create(&store, &machine.budget);
    let mut random = Random(8);
    for part in 0..5i64 {
        put(&store, &machine.budget, table, (0..2500).map(|id| random.row(part * 2500 + id, 9)));
        if part < 4 {
            store.flush().unwrap();
        }
    }
    let root = Budget::root("process", 64 << 20).unwrap();
    let plan = root.child_with("plan", BudgetOptions::unlimited().keeps_refusals()).unwrap();
    let work = |budget: &Budget| {
        let arena = Arena::new(budget);
        let columns: Vec<u16> = (0..TYPES.len() as u16).collect();
        let snapshot = now(&store);
        let table = snapshot.view().table(table).unwrap();
        match snapshot.view().statistics(&table, &columns, &arena) {
            Ok(found) => Ok(format!("{found:?}")),
            Err(error) => Err(Failure::of(budget, &error, matches!(error, Error::OutOfMemory(_)))),
        }
    };
    let expected = work(&plan).unwrap();
    let swept = Sweep::new().run_under(&plan, work).unwrap();
    assert_eq!(swept.value, expected);
    assert!(swept.limit_bytes <= 300 << 10, "{} bytes", swept.limit_bytes);
    assert!(swept.refusals_count > 3, "{swept:?}");
}

/// Aim: under the least limit there are fewer sketches, and still rows and bounds.
#[test]
fn the_least_limit_gives_less_and_no_nonsense() {
    let machine = Machine::new(MINIMUM_BYTES);
    let store = machine.try_open(&Options::new()).unwrap();
    let table = create(&store, &machine.budget);
    let (mut random, mut model) = (Random(1), Model::new());
    // Transactions for which there is room beside a new log.
    for part in 0..40i64 {
        let rows: Vec<_> = (0..50).map(|id| random.row(part * 50 + id, 9)).collect();
        for (n, row) in rows.iter().enumerate() {
            model.insert(part * 50 + n as i64, row.clone());
        }
        put(&store, &machine.budget, table, rows.into_iter());
    }
    store.flush().unwrap();
    let budget = Budget::unlimited("plan").unwrap();
    let arena = Arena::new(&budget);
    let found = statistics(now(&store).view(), table, &arena);
    assert_eq!(found.rows, 2000);
    for (index, column) in found.columns.iter().enumerate() {
        let nulls = model.values().filter(|row| row[index].value().is_null()).count() as f64 / 2000.0;
        assert!((column.null_fraction - nulls).abs() < 0.1);
        assert!(column.distinct <= 2000.0 && column.min.is_some(), "{column:?}");
    }
}

/// Aim: columns of every type have statistics, whatever samples make of their bytes. Method: few rows of each type, in the memtable and
/// in a segment.
#[test]
fn columns_of_every_type_are_known() {
    let types = [
        Type::SmallInt,
        Type::Numeric,
        Type::Real,
        Type::Char,
        Type::Bytea,
        Type::Time,
        Type::Timestamp,
        Type::Interval,
        Type::Uuid,
        Type::Jsonb,
        Type::Boolean,
    ];
    let machine = Machine::new(8 << 20);
    let store = machine.open();
    let names = ["id", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"];
    let all = || std::iter::once(Type::BigInt).chain(types);
    let columns: Vec<_> = names.iter().zip(all()).map(|(name, ty)| column(name, ty, *name != "id")).collect();
    let mut transaction = store.begin(&machine.budget).unwrap();
    let def = TableDef { name: "all", columns: &columns, key: &KEY, properties: b"" };
    let table = transaction.create_table(&def).unwrap();
    for id in 0..60i64 {
        let n = id % 5;
        let long = format!("{n} {}", "and so on ".repeat(n as usize * 3));
        let padded = format!("{n:<40}");
        let json = format!("{{\"n\": {n}}}");
        let values = [
            Value::BigInt(id),
            Value::SmallInt(n as i16),
            Value::Decimal(Decimal::new(i128::from(n) * 1_000_003, 4).unwrap()),
            Value::Real(n as f32 / 2.0),
            Value::Char(&padded),
            Value::Bytea(long.as_bytes()),
            Value::Time(Time::from_micros(n * 1_000_000).unwrap()),
            Value::Timestamp(Timestamp::from_micros(n * 86_400_000_000).unwrap()),
            Value::Interval(Interval { months: 0, days: n as i32, micros: n }),
            Value::Uuid(Uuid::from_bytes([n as u8; 16])),
            Value::Jsonb(&json),
            if id % 4 == 0 { Value::Null } else { Value::Boolean(n > 1) },
        ];
        transaction.insert(table, &values).unwrap();
    }
    transaction.commit(Durability::Full).unwrap();
    let budget = Budget::unlimited("plan").unwrap();
    let arena = Arena::new(&budget);
    for is_flushed in [false, true] {
        if is_flushed {
            store.flush().unwrap();
        }
        let view = now(&store);
        let table = view.view().table(table).unwrap();
        let asked: Vec<u16> = (0..names.len() as u16).collect();
        let found = view.view().statistics(&table, &asked, &arena).unwrap();
        assert_eq!(found.rows, 60);
        for (column, ty) in found.columns.iter().zip(all()).skip(1) {
            let (nulls, distinct) = if ty == Type::Boolean { (0.25, 2.0) } else { (0.0, 5.0) };
            assert_eq!(
                (column.null_fraction, column.distinct.round()),
                (nulls, distinct),
                "{ty:?}: {column:?}"
            );
            assert!(column.min.unwrap().total_cmp(&column.max.unwrap()).is_lt(), "{ty:?}: {column:?}");
            let share: f64 = column.common.iter().map(|(_, share)| share).sum();
            // Of the five byte strings one is certainly shorter than what samples keep.
            let expected = if ty == Type::Bytea { 0.2 } else { 1.0 - nulls };
            assert!((share - expected).abs() < 1e-9, "{ty:?}: {column:?}");
        }
    }
}

/// The processor's time of this thread: others may be busy.
fn processor_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// `cargo test --release -p cofferdam-store --test it statistics::measure -- --ignored --nocapture`
#[test]
#[ignore = "prints times"]
fn measure_statistics() {
    let machine = Machine::new(64 << 20);
    let store = machine.open();
    let table = create(&store, &machine.budget);
    let mut random = Random(8);
    for part in 0..10i64 {
        put(&store, &machine.budget, table, (0..20_000).map(|id| random.row(part * 20_000 + id, 900)));
        store.flush().unwrap();
    }
    let budget = Budget::root("plan", 64 << 20).unwrap();
    for is_compacted in [false, true] {
        if is_compacted {
            store.compact().unwrap();
        }
        for columns in [&[1u16][..], &[0, 1, 2, 3, 4, 5, 6]] {
            let (rounds, start) = (200, processor_ns());
            let mut rows = 0;
            for _ in 0..rounds {
                let (view, arena) = (now(&store), Arena::new(&budget));
                let table = view.view().table(table).unwrap();
                rows = view.view().statistics(&table, columns, &arena).unwrap().rows;
            }
            let micros = (processor_ns() - start) as f64 / 1e3 / f64::from(rounds);
            println!(
                "{} columns of {rows} rows, compacted {is_compacted}: {micros:.0} us, peak {} KiB",
                columns.len(),
                budget.peak() >> 10
            );
        }
        let (rounds, start) = (10_000, processor_ns());
        let total: u64 = (0..rounds).map(|_| now(&store).view().rows_estimate(table)).sum();
        println!(
            "rows_estimate: {:.0} ns, {}",
            (processor_ns() - start) as f64 / f64::from(rounds),
            total / 10_000
        );
    }
}
