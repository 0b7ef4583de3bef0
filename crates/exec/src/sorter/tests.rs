use std::cmp::Ordering;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering as Memory};
use std::vec::Vec;

use cofferdam_arena::{Arena, Budget};
use cofferdam_plan::physical::SortKey;
use cofferdam_testkit::simfs::{EIO, ENOSPC, Fault, Op, Rule, SimDisk};
use cofferdam_types::{Date, Decimal, Interval, Type, Uuid, Value};
use cofferdam_vfs::Vfs;
use proptest::prelude::*;

use super::*;
use crate::batch::{Kind, Rows, Store, TextView, VectorId, bytes_of, put_value, value_at};
use crate::rows::RowLayout;

/// A value that owns its text.
#[derive(Clone, Debug)]
enum Cell {
    Null,
    Plain(Value<'static>),
    Text(String),
    Char(String),
}

impl Cell {
    fn value(&self) -> Value<'_> {
        match self {
            Cell::Null => Value::Null,
            Cell::Plain(value) => *value,
            Cell::Text(text) => Value::Text(text),
            Cell::Char(text) => Value::Char(text),
        }
    }
}

/// Columns and rows of them.
struct Table {
    types: Vec<Type>,
    rows: Vec<Vec<Cell>>,
}

fn key(column: u32, descending: bool, nulls_first: bool) -> SortKey {
    SortKey { column, descending, nulls_first }
}

/// What a sort must give: a stable sort of values.
fn expected(table: &Table, keys: &[SortKey], limit: Option<u64>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..table.rows.len()).collect();
    order.sort_by(|&a, &b| {
        keys.iter()
            .map(|key| {
                let value = |row: usize| table.rows[row][key.column as usize].value();
                match (value(a), value(b)) {
                    (Value::Null, Value::Null) => Ordering::Equal,
                    (Value::Null, _) if key.nulls_first => Ordering::Less,
                    (Value::Null, _) => Ordering::Greater,
                    (_, Value::Null) if key.nulls_first => Ordering::Greater,
                    (_, Value::Null) => Ordering::Less,
                    (a, b) if key.descending => b.total_cmp(&a),
                    (a, b) => a.total_cmp(&b),
                }
            })
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    });
    order.truncate(limit.map_or(usize::MAX, |limit| limit as usize));
    order
}

/// A sort of a table, whose last column numbers the rows.
struct Run<'r> {
    table: &'r Table,
    keys: &'r [SortKey],
    limit: Option<u64>,
    batch_rows: usize,
    disk: &'r SimDisk,
    /// After so many batches it is asked to yield.
    yields_after: Option<usize>,
    is_cancelled: &'r dyn Fn() -> bool,
}

/// What a sort did.
#[derive(Debug, Default)]
struct Outcome {
    numbers: Vec<usize>,
    spilled: SpillCounts,
    merged_runs: u64,
}

impl Run<'_> {
    /// Sorts under a budget. What is read and given stands in vectors that another one pays for.
    fn sort(&self, budget: &Budget) -> Result<Outcome, SpillFailure> {
        let vfs: Arc<dyn Vfs> = Arc::new(self.disk.clone());
        let space = SpillSpace::new(&vfs, Some(Path::new("/tmp")), u64::MAX, budget);
        let outside = Budget::unlimited("outside").unwrap();
        let arena = Arena::new(&outside);
        let mut store = Store::new(self.batch_rows, &arena);
        let kinds = || self.table.types.iter().map(|ty| Kind::of(*ty));
        let (inputs, outputs) = (add_to(&mut store, kinds(), &arena), add_to(&mut store, kinds(), &arena));
        let layout = RowLayout::new(kinds(), &arena).unwrap();
        let keys = SortKeys::new(self.keys, |column| self.table.types[column], &arena).unwrap();
        let (mut key_encoder, mut row_encoder) = (KeyEncoder::new(&arena), RowEncoder::new(&arena));
        let mut sorter = Sorter::new(budget, keys.shape(), self.limit, Some(&space), "sort_1");
        for (i, batch) in self.table.rows.chunks(self.batch_rows).enumerate() {
            fill(&mut store, &inputs, batch);
            let rows = Rows::All(batch.len());
            key_encoder.encode(&keys, &inputs, rows, &store).unwrap();
            row_encoder.encode(&layout, &inputs, rows, &store).unwrap();
            sorter.put(&key_encoder, &row_encoder, &mut (0..batch.len()), self.is_cancelled)?;
            if self.yields_after == Some(i) {
                sorter.spill(self.is_cancelled)?;
            }
        }
        sorter.finish(self.batch_rows, self.is_cancelled)?;
        let mut outcome = Outcome::default();
        let number = self.table.types.len() - 1;
        for given in 0.. {
            if self.yields_after == Some(given) {
                let bytes = sorter.yieldable_bytes();
                let yielded = sorter.spill(self.is_cancelled)?;
                assert!(!yielded || bytes > 0 || budget.limit() < 1 << 20);
            }
            let count = sorter.advance(self.batch_rows, self.is_cancelled)?;
            if count == 0 {
                break;
            }
            assert_eq!(sorter.rows().len(), count);
            for (column, &target) in outputs.iter().enumerate() {
                layout.decode(column, sorter.rows(), target, &mut store).unwrap();
            }
            for row in 0..count {
                let value = |column: usize| {
                    let vector = store.vector(outputs[column]);
                    value_at(&store, vector, row, self.table.types[column])
                };
                let Value::Integer(at) = value(number) else { panic!("{:?}", value(number)) };
                for (column, cell) in self.table.rows[at as usize].iter().enumerate() {
                    let (got, put) = (value(column), cell.value());
                    assert_eq!(format!("{got:?}"), format!("{put:?}"));
                }
                outcome.numbers.push(at as usize);
            }
        }
        (outcome.spilled, outcome.merged_runs) = (sorter.spilled(), sorter.merged_runs());
        Ok(outcome)
    }
}

fn add_to<'a>(store: &mut Store<'a>, kinds: impl Iterator<Item = Kind>, arena: &'a Arena) -> Vec<VectorId> {
    kinds.map(|kind| store.add_vector(kind, arena).unwrap()).collect()
}

/// Puts rows into vectors.
fn fill(store: &mut Store<'_>, inputs: &[VectorId], rows: &[Vec<Cell>]) {
    for (column, &id) in inputs.iter().enumerate() {
        let mut vector = store.take(id);
        if vector.kind() == Kind::Text {
            store.heap_mut(vector.heap).clear();
        }
        vector.all_valid = true;
        vector.spell_out_validity(rows.len());
        for (at, row) in rows.iter().enumerate() {
            let value = row[column].value();
            put_value(&mut vector, at, value);
            if let crate::batch::Data::Text(views) = &mut vector.data {
                let (heap, mut compact) = (store.heap_mut(vector.heap), [0; Decimal::COMPACT_BYTES_MAX]);
                let bytes = bytes_of(value, &mut compact);
                views[at] = TextView { start: heap.len() as u32, len: bytes.len() as u32 };
                heap.extend_from_slice(bytes).unwrap();
            }
        }
        vector.all_valid = vector.valid[..rows.len()].iter().all(|valid| *valid);
        store.put_back(id, vector);
    }
}

fn never() -> bool {
    false
}

fn child(limit: u64) -> Budget {
    Budget::unlimited("process").unwrap().child("sort_1", limit).unwrap()
}

/// Values of a type, few of them often, with NULLs among them.
fn cell(ty: Type) -> BoxedStrategy<Cell> {
    let plain = |value: Value<'static>| Cell::Plain(value);
    let values = match ty {
        Type::Boolean => any::<bool>().prop_map(move |v| plain(Value::Boolean(v))).boxed(),
        Type::Integer => prop_oneof![Just(i32::MIN), Just(i32::MAX), -3..3i32, any::<i32>()]
            .prop_map(move |v| plain(Value::Integer(v)))
            .boxed(),
        Type::BigInt => prop_oneof![Just(i64::MIN), Just(i64::MAX), -3..3i64, any::<i64>()]
            .prop_map(move |v| plain(Value::BigInt(v)))
            .boxed(),
        Type::Double => prop_oneof![Just(0.0), Just(-0.0), Just(f64::NAN), Just(f64::INFINITY), any::<f64>()]
            .prop_map(move |v| plain(Value::Double(v)))
            .boxed(),
        Type::Date => {
            (-800_000..800_000i64).prop_map(move |v| plain(Value::Date(Date::from_days(v).unwrap()))).boxed()
        }
        Type::Decimal { scale, .. } => prop_oneof![-5..5i128, any::<i64>().prop_map(i128::from)]
            .prop_map(move |v| plain(Value::Decimal(Decimal::new(v, scale).unwrap())))
            .boxed(),
        Type::Interval => (-3..3i32, -70..70i32)
            .prop_map(move |(months, days)| plain(Value::Interval(Interval { months, days, micros: 0 })))
            .boxed(),
        Type::Numeric => (-50..50i128, 0..4u8)
            .prop_map(move |(v, scale)| plain(Value::Decimal(Decimal::new(v, scale).unwrap())))
            .boxed(),
        Type::Uuid => any::<u128>().prop_map(move |v| plain(Value::Uuid(Uuid::from_u128(v)))).boxed(),
        Type::Char => "[ab]{0,2} {0,2}".prop_map(Cell::Char).boxed(),
        Type::Text => prop_oneof![
            "[a-c\u{0}]{0,4}".prop_map(Cell::Text),
            "same beginning[a-d\u{0}]{0,3}".prop_map(Cell::Text),
            (0usize..6000).prop_map(|len| Cell::Text("long ".repeat(len / 5))),
        ]
        .boxed(),
        ty => unreachable!("{ty:?}"),
    };
    prop_oneof![9 => values, 1 => Just(Cell::Null)].boxed()
}

const TYPES: [Type; 12] = [
    Type::Boolean,
    Type::Integer,
    Type::BigInt,
    Type::Double,
    Type::Date,
    Type::Decimal { precision: 12, scale: 2 },
    Type::Decimal { precision: 30, scale: 4 },
    Type::Interval,
    Type::Numeric,
    Type::Uuid,
    Type::Char,
    Type::Text,
];

/// Some columns of any types, and one that numbers the rows.
fn table(rows_max: usize) -> impl Strategy<Value = Table> {
    prop::collection::vec(prop::sample::select(&TYPES[..]), 1..4).prop_flat_map(move |mut types| {
        let row: Vec<_> = types.iter().map(|ty| cell(*ty)).collect();
        types.push(Type::Integer);
        prop::collection::vec(row, 0..rows_max).prop_map(move |mut rows| {
            for (number, row) in rows.iter_mut().enumerate() {
                row.push(Cell::Plain(Value::Integer(number as i32)));
            }
            Table { types: types.clone(), rows }
        })
    })
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?}", self.types, self.rows)
    }
}

/// Rows of a bigint that repeats and of a text that does not compress.
fn many_rows(count: usize, text_bytes: usize) -> Table {
    let mut state = 88_172_645_463_325_252u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let rows = (0..count).map(|number| {
        let value = Value::BigInt((random() % 1000) as i64 - 500);
        let text: String = (0..text_bytes / 8).map(|_| format!("{:08x}", random() as u32)).collect();
        vec![Cell::Plain(value), Cell::Text(text), Cell::Plain(Value::Integer(number as i32))]
    });
    Table { types: vec![Type::BigInt, Type::Text, Type::Integer], rows: rows.collect() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Aim: any table is sorted by any keys, in their directions and with their places for NULL, stably, with any limit of rows,
    /// whether it fits into memory or not; nothing is left. Method: a stable sort of values beside it, under a budget of any size; where that
    /// is too small, the error says so.
    #[test]
    fn tables_are_sorted(
        table in table(150),
        orders in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), any::<bool>()), 0..4),
        limit in prop::option::of(0u64..200),
        memory in prop_oneof![Just(u64::MAX), 40u64 << 10..400 << 10],
        batch_rows in 1usize..64,
        yields_after in prop::option::of(0usize..5),
    ) {
        let keys: Vec<_> = orders
            .iter()
            .map(|(column, descending, first)| key(column.index(table.types.len() - 1) as u32, *descending, *first))
            .collect();
        let disk = SimDisk::new(3);
        let budget = child(memory);
        let run = Run { table: &table, keys: &keys, limit, batch_rows, disk: &disk, yields_after, is_cancelled: &never };
        match run.sort(&budget) {
            Ok(outcome) => prop_assert_eq!(outcome.numbers, expected(&table, &keys, limit)),
            Err(SpillFailure::OutOfMemory(_)) => prop_assert!(memory < 400 << 10),
            Err(other) => panic!("{other:?}"),
        }
        prop_assert_eq!(budget.used(), 0);
        prop_assert_eq!(disk.used_bytes(), 0);
    }
}

/// Aim: every rung of the ladder gives the same rows: memory, one merge, several passes. Method: one table under smaller and smaller
/// budgets, with keys that the prefix decides and others.
#[test]
fn every_rung_gives_the_same_rows() {
    let table = many_rows(20_000, 100);
    for keys in [
        vec![key(0, false, false)],
        vec![key(0, true, true), key(1, false, false)],
        vec![key(1, true, false)],
    ] {
        let want = expected(&table, &keys, None);
        let mut rungs = Vec::new();
        for limit in [64 << 20, 2 << 20, 600 << 10, 160 << 10] {
            let disk = SimDisk::new(3);
            let budget = child(limit);
            let (table, keys) = (&table, &keys[..]);
            let run = Run {
                table,
                keys,
                limit: None,
                batch_rows: 512,
                disk: &disk,
                yields_after: None,
                is_cancelled: &never,
            };
            let outcome = run.sort(&budget).unwrap();
            assert!(outcome.numbers == want, "under {limit}");
            assert!(budget.peak() <= limit && budget.used() == 0);
            rungs.push((outcome.spilled.files_total, outcome.merged_runs, outcome.spilled.bytes_total));
        }
        assert_eq!(rungs[0], (0, 0, 0));
        assert!(rungs[1].0 >= 1 && rungs[1].1 == 0, "{rungs:?}");
        assert!(rungs[3].1 > 0 && rungs[3].2 > rungs[1].2, "{rungs:?}");
    }
}

/// Aim: the first N rows of an order take memory for some N rows, whatever the input; where these do not fit, they are spilled.
#[test]
fn the_first_rows_need_room_for_them_only() {
    let table = many_rows(20_000, 100);
    let keys = [key(0, false, false), key(1, false, false)];
    for (rows, memory, spills) in [(10, 400 << 10, false), (1000, 1 << 20, false), (9000, 700 << 10, true)] {
        let disk = SimDisk::new(3);
        let budget = child(memory);
        let limit = Some(rows);
        let run = Run {
            table: &table,
            keys: &keys,
            limit,
            batch_rows: 512,
            disk: &disk,
            yields_after: None,
            is_cancelled: &never,
        };
        let outcome = run.sort(&budget).unwrap();
        assert_eq!(outcome.numbers, expected(&table, &keys, limit));
        assert_eq!(outcome.spilled.files_total > 0, spills, "{rows}: {:?}", outcome.spilled);
    }
}

/// Aim: under every limit the sort gives the right rows or the typed error, and from what it declares on always the rows.
#[test]
fn limits_are_swept() {
    let table = many_rows(3000, 60);
    let keys = [key(1, false, false)];
    let want = expected(&table, &keys, None);
    let (mut fits, mut refused) = (0, 0);
    for limit in (4..400).step_by(6).map(|kib| kib << 10) {
        let disk = SimDisk::new(3);
        let budget = child(limit);
        let run = Run {
            table: &table,
            keys: &keys,
            limit: None,
            batch_rows: 64,
            disk: &disk,
            yields_after: None,
            is_cancelled: &never,
        };
        match run.sort(&budget) {
            Ok(outcome) => {
                assert!(outcome.numbers == want);
                fits += 1;
            }
            Err(SpillFailure::OutOfMemory(_)) => {
                assert!(limit < 3 * reserve_bytes(limit), "{limit} of {}", reserve_bytes(limit));
                refused += 1;
            }
            Err(other) => panic!("{other:?}"),
        }
        assert_eq!((budget.used(), disk.used_bytes()), (0, 0));
    }
    assert!(fits > 20 && refused > 2, "{fits} {refused}");
}

/// Aim: whichever charge is refused, the rows are right or the error is the one of memory, and everything comes back.
#[test]
fn every_charge_may_be_refused() {
    let table = many_rows(1500, 60);
    let keys = [key(1, false, false)];
    let want = expected(&table, &keys, None);
    for limit in [None, Some(200)] {
        let (mut survived, mut refused) = (0, 0);
        // Every one of the first, then some.
        for nth in (1..40).chain((40..).step_by(29)) {
            let disk = SimDisk::new(3);
            let process = Budget::root("process", 300 << 10).unwrap();
            let budget = process.child("sort_1", u64::MAX).unwrap();
            process.inject_refusal(nth);
            let run = Run {
                table: &table,
                keys: &keys,
                limit,
                batch_rows: 64,
                disk: &disk,
                yields_after: None,
                is_cancelled: &never,
            };
            let outcome = run.sort(&budget);
            let is_over = process.last_refusal().is_none();
            match outcome {
                Ok(outcome) => {
                    assert!(outcome.numbers == want[..limit.map_or(want.len(), |limit| limit as usize)]);
                    survived += 1;
                }
                Err(SpillFailure::OutOfMemory(_)) => refused += 1,
                Err(other) => panic!("{other:?}"),
            }
            assert_eq!((budget.used(), disk.used_bytes()), (0, 0));
            if is_over || nth > 400 {
                break;
            }
        }
        assert!(survived > 1 && refused > 1, "{survived} {refused}");
    }
}

/// Aim: failures of the disk end a sort with their errors, at whatever operation, and leave nothing behind.
#[test]
fn failures_of_the_disk_end_the_sort() {
    let table = many_rows(6000, 100);
    let keys = [key(1, false, false)];
    let want = expected(&table, &keys, None);
    let run_on = |disk: &SimDisk| {
        let budget = child(200 << 10);
        let run = Run {
            table: &table,
            keys: &keys,
            limit: None,
            batch_rows: 256,
            disk,
            yields_after: None,
            is_cancelled: &never,
        };
        let outcome = run.sort(&budget);
        assert_eq!(budget.used(), 0);
        outcome
    };
    let faults = [
        (Op::Write, Fault::Error(ENOSPC), "53100"),
        (Op::Write, Fault::FlipStored, "XX001"),
        (Op::Read, Fault::Error(EIO), "58030"),
        (Op::Read, Fault::FlipOnce, "XX001"),
        (Op::Create, Fault::Error(EIO), "58030"),
        (Op::Open, Fault::Error(EIO), "58030"),
    ];
    for (op, fault, state) in faults {
        let mut failures = 0;
        for nth in [1, 2, 3, 5, 8, 12, 20, 30, 100] {
            let disk = SimDisk::new(9);
            disk.inject(Rule::new([op], fault).file("cofferdam-*-*-*").nth(nth));
            match run_on(&disk) {
                Ok(outcome) => assert!(outcome.numbers == want, "{op:?} {fault:?} {nth}"),
                Err(SpillFailure::Problem(problem)) => {
                    assert_eq!(problem.sqlstate(), state, "{problem}");
                    failures += 1;
                }
                Err(other) => panic!("{other:?}"),
            }
            disk.clear_rules();
            assert_eq!(disk.used_bytes(), 0);
        }
        assert!(failures > 0, "{op:?} {fault:?}: {failures}");
    }
}

/// Aim: a cancelled sort stops soon wherever it is. Method: cancel at each call of the question; count the bytes that are still moved.
#[test]
fn a_sort_can_be_cancelled_anywhere() {
    let table = many_rows(4000, 100);
    let keys = [key(1, false, false)];
    let calls = AtomicU64::new(0);
    let mut ends = 0;
    for end in (0..).step_by(23) {
        calls.store(0, Memory::Relaxed);
        let is_cancelled = || calls.fetch_add(1, Memory::Relaxed) >= end;
        let disk = SimDisk::new(9);
        let budget = child(200 << 10);
        let run = Run {
            table: &table,
            keys: &keys,
            limit: None,
            batch_rows: 256,
            disk: &disk,
            yields_after: None,
            is_cancelled: &is_cancelled,
        };
        let outcome = run.sort(&budget);
        assert_eq!((budget.used(), disk.used_bytes()), (0, 0));
        match outcome {
            Ok(_) => break,
            Err(SpillFailure::Cancelled) => {
                assert_eq!(calls.load(Memory::Relaxed), end + 1, "the first answer counts");
                ends += 1;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(ends > 8, "{ends}");
}

/// Aim: how fast it is. Not for every day: `cargo test --release -p cofferdam-exec --lib sorter -- --ignored --nocapture`.
#[test]
#[ignore = "measures"]
fn six_million_rows() {
    const COUNT: usize = 6_000_000;
    for (name, memory) in [("in memory", 4u64 << 30), ("64 MiB", 64 << 20), ("8 MiB", 8 << 20)] {
        let budget = Budget::unlimited("process").unwrap().child("sort_1", memory).unwrap();
        let vfs: Arc<dyn Vfs> = Arc::new(cofferdam_vfs::OsVfs);
        let path = std::env::temp_dir().join(format!("cofferdam-sort-{}", std::process::id()));
        let space = SpillSpace::new(&vfs, Some(&path), u64::MAX, &Budget::unlimited("space").unwrap());
        let outside = Budget::unlimited("outside").unwrap();
        let arena = Arena::new(&outside);
        let mut store = Store::new(2048, &arena);
        let kinds = || [Kind::I64, Kind::I64].into_iter();
        let (inputs, outputs) = (add_to(&mut store, kinds(), &arena), add_to(&mut store, kinds(), &arena));
        let layout = RowLayout::new(kinds(), &arena).unwrap();
        let keys = SortKeys::new(&[key(0, false, false)], |_| Type::BigInt, &arena).unwrap();
        let (mut key_encoder, mut row_encoder) = (KeyEncoder::new(&arena), RowEncoder::new(&arena));
        let mut sorter = Sorter::new(&budget, keys.shape(), None, Some(&space), "sort_1");
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 17) as i64
        };
        let mut plain: Vec<[u64; 2]> = (0..COUNT).map(|i| [random() as u64, i as u64]).collect();
        let start = std::time::Instant::now();
        for batch in plain.chunks(2048) {
            for (column, &id) in inputs.iter().enumerate() {
                let vector = store.vector_mut(id);
                let crate::batch::Data::I64(out) = &mut vector.data else { unreachable!() };
                out.iter_mut().zip(batch).for_each(|(out, row)| *out = row[column] as i64);
            }
            key_encoder.encode(&keys, &inputs, Rows::All(batch.len()), &store).unwrap();
            row_encoder.encode(&layout, &inputs, Rows::All(batch.len()), &store).unwrap();
            sorter.put(&key_encoder, &row_encoder, &mut (0..batch.len()), &never).unwrap();
        }
        let kept = start.elapsed();
        sorter.finish(2048, &never).unwrap();
        let finished = start.elapsed();
        let (mut rows, mut last) = (0, i64::MIN);
        loop {
            let count = sorter.advance(2048, &never).unwrap();
            if count == 0 {
                break;
            }
            for (column, &target) in outputs.iter().enumerate() {
                layout.decode(column, sorter.rows(), target, &mut store).unwrap();
            }
            let crate::batch::Data::I64(out) = &store.vector(outputs[0]).data else { unreachable!() };
            assert!(out[0] >= last && out[..count].is_sorted());
            last = out[count - 1];
            rows += count;
        }
        let read = start.elapsed();
        assert_eq!(rows, COUNT);
        let begin = std::time::Instant::now();
        plain.sort_unstable_by_key(|row| row[0]);
        let spilled = sorter.spilled();
        println!(
            "{name}: kept {kept:?}, sorted {finished:?}, read {read:?}; 16-byte entries alone {:?}; peak {} KiB, {} files, {} MiB, {} runs merged",
            begin.elapsed(),
            budget.peak() >> 10,
            spilled.files_total,
            spilled.bytes_total >> 20,
            sorter.merged_runs(),
        );
        drop((sorter, space));
        std::fs::remove_dir_all(&path).ok();
    }
}
