//! Limits: what the memory of writers and readers is, and what happens where there is not enough.

use super::model::*;
use super::*;
use crate::error::Error;
use cofferdam_arena::BudgetOptions;
use cofferdam_testkit::Failure;
use cofferdam_testkit::inject::Injection;
use cofferdam_testkit::sweep::Sweep;

fn failure(budget: &Budget, error: &Error) -> Failure {
    Failure::of(budget, error, matches!(error, Error::OutOfMemory(_)))
}

fn store() -> Budget {
    let root = Budget::root("process", 64 << 20).unwrap();
    root.child_with("store", BudgetOptions::unlimited().keeps_refusals()).unwrap()
}

/// Writes, opens, gets, scans and verifies a table, all under one budget, with a small cache.
fn life(table: &Table, budget: &Budget) -> Result<u64, Error> {
    let memory = MemoryFile::new();
    let file = std::sync::Arc::new(table.new_file(&memory));
    let location = {
        let arena = Arena::new(budget);
        table
            .try_write_at(&file, SegmentFile::HEADER_BYTES, 0, true, 0, &arena)?
            .map(|summary| summary.location)
    };
    let schema = table.schema();
    let segment = Segment::open(file, location.unwrap(), table.base, &schema)?;
    let cache = Cache::new(budget, 32 << 10)?;
    let source = PageSource::cached(&cache);
    let mut found = 0;
    {
        let arena = Arena::new(budget);
        let mut scratch = Scratch::new_in(&arena);
        for row in table.rows.iter().step_by(17) {
            let key = table.encoded_key(row);
            let version =
                segment.get(&schema, &key, table.base + row.sequence, source, &mut scratch)?.unwrap();
            for column in 0..table.columns.len() {
                let value = segment.value(&schema, &version, column, source, &mut scratch)?;
                assert_eq!(Owned::of(value), row.values[column]);
                found += 1;
            }
        }
    }
    let arena = Arena::new(budget);
    let mut cursor = SegmentCursor::new(&segment, schema, source, 4 << 10, &arena);
    cursor.seek_row(0)?;
    while let Some(range) = cursor.range().copied() {
        let rows = range.rows as usize;
        let room = Arena::with_capacity(budget, rows * 40)?;
        for (index, ty) in table.columns.iter().enumerate() {
            // The target's memory is not what is tested.
            let unlimited = Budget::unlimited("target").unwrap();
            let target = Arena::new(&unlimited);
            let mut column = Column::new(*ty, rows, &target);
            cursor.decode(index, 0..rows, column.target(), 0)?;
            found += (0..rows).filter(|row| column.get(*row) != Owned::Null).count() as u64;
        }
        drop(room);
        cursor.next_range()?;
    }
    let verified = verify(&segment, schema, &arena, &mut |problem| Err(Error::Corrupt(*problem)))?;
    Ok(found + verified.rows_count)
}

#[test]
fn every_limit_gives_the_rows_or_a_refusal() {
    let table = Table::random(11, 200, 5);
    let budget = store();
    let expected = life(&table, &budget).unwrap();
    let work = |budget: &Budget| life(&table, budget).map_err(|error| failure(budget, &error));
    let swept = Sweep::new().run_under(&budget, work).unwrap();
    assert_eq!(swept.value, expected);
    assert!(swept.limit_bytes <= 100 << 10, "{}", swept.limit_bytes);
    assert!(swept.refusals_count > 1, "{swept:?}");
}

#[test]
fn any_refused_charge_leaves_nothing() {
    let table = Table::random(12, 60, 4);
    let budget = store();
    let work = |budget: &Budget| life(&table, budget).map_err(|error| failure(budget, &error));
    let injected = Injection::new().bounds(60, 20).run(&budget, work).unwrap();
    assert!(injected.refused_count > 4, "{injected:?}");
}

/// Aim: a writer keeps to its allowance. Method: tables of several widths under several allowances; the arena's charge is
/// held against the formula.
#[test]
fn a_writer_takes_about_what_it_is_allowed() {
    for (types, rows) in [
        (&[Type::BigInt, Type::Text][..], 2500),
        (&[Type::Integer; 40][..], 400),
        (&[Type::Text; 12][..], 400),
        (
            &[Type::BigInt, Type::Decimal { precision: 38, scale: 2 }, Type::Text, Type::Date, Type::Double]
                [..],
            3000,
        ),
    ] {
        let mut table = Table::of(types, &[(0, KeyOrder::ASC)]);
        let mut random = Random(9);
        for i in 0..rows {
            let values: std::vec::Vec<Owned> = types
                .iter()
                .map(|ty| match ty {
                    Type::BigInt => Owned::BigInt(random.next() as i64),
                    Type::Integer => Owned::Integer(random.next() as i32),
                    Type::Text => Owned::Text(std::format!("{:x}", random.next()).repeat(1 + i % 20)),
                    Type::Date => Owned::Date(Date::from_days(random.below(10000) as i64).unwrap()),
                    Type::Double => Owned::Double(f64::to_bits(random.next() as f64)),
                    _ => Owned::Decimal(Decimal::new((random.next() as i128) << 40, 2).unwrap()),
                })
                .collect();
            table.put(&values, 1, false);
        }
        table.sort();
        for bytes in [0, 64 << 10, 256 << 10, 1 << 20] {
            let allowed = bytes.max(WriterSizes::bytes_min(&table.schema()));
            let budget = store();
            let memory = MemoryFile::new();
            let file = table.new_file(&memory);
            let arena = Arena::new(&budget);
            table.try_write_at(&file, SegmentFile::HEADER_BYTES, bytes, true, 0, &arena).unwrap().unwrap();
            let peak = budget.peak() as usize;
            assert!(peak <= allowed + (34 << 10), "{types:?}: {peak} bytes of {allowed}");
        }
    }
}

#[test]
fn an_open_segment_takes_its_value_only() {
    const { assert!(size_of::<Segment>() <= 200) };
    let table = Table::random(2, 900, 3);
    let budget = store();
    let arena = Arena::new(&budget);
    let segment = table.write(&MemoryFile::new(), 0, true, 0, &arena);
    let before = budget.used();
    let copies: std::vec::Vec<Segment> = (0..100).map(|_| segment.clone()).collect();
    assert_eq!(budget.used(), before);
    drop(copies);
}

/// Aim: reads of flushed rows are flat. Method: gets of all rows, many times over, through a small cache.
#[test]
fn gets_do_not_grow_long_lived_memory() {
    let table = Table::random(21, 300, 3);
    let budget = store();
    let arena = Arena::new(&budget);
    let segment = table.write(&MemoryFile::new(), 0, true, 0, &arena);
    let cache = Cache::new(&budget, 24 << 10).unwrap();
    let (schema, source) = (table.schema(), PageSource::cached(&cache));
    let mut scratch = Scratch::new_in(&arena);
    let mut after_first = 0;
    let rounds = if cfg!(debug_assertions) { 200 } else { 3500 };
    for round in 0..rounds {
        for row in &table.rows {
            let key = table.encoded_key(row);
            let found =
                segment.get(&schema, &key, table.base + row.sequence, source, &mut scratch).unwrap().unwrap();
            for column in 0..table.columns.len() {
                assert_eq!(
                    Owned::of(segment.value(&schema, &found, column, source, &mut scratch).unwrap()),
                    row.values[column]
                );
            }
        }
        if round == 60 {
            after_first = budget.peak();
        }
    }
    assert_eq!(budget.peak(), after_first, "flat");
}
