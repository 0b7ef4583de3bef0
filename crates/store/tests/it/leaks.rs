//! What grows in other engines and must not here: a key that is overwritten, rows that are read.
//!
//! By default fifty thousand times, or five thousand where nothing is optimized; a million times with `STORE_MILLIONS=1`.

use std::path::Path;
use std::sync::Arc;

use cofferdam_arena::{Arena, Budget};
use cofferdam_store::{Column, Durability, KeyRange, Options, RowReader, Scan, Store};
use cofferdam_testkit::counting::Counting;
use cofferdam_types::{Type, Value};
use cofferdam_vfs::{OsVfs, Vfs};

use crate::engine::create_names;
use crate::memory::Temporary;

/// A directory of the system, so that the heap has nothing but what the store takes.
fn open(place: &Temporary, budget: &Budget) -> Store {
    let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);
    Store::open(&vfs, Path::new(&place.0), budget, &Options::new()).unwrap()
}

fn times() -> i64 {
    match std::env::var_os("STORE_MILLIONS") {
        Some(_) => 1_000_000,
        None if cfg!(debug_assertions) => 5_000,
        None => 50_000,
    }
}

/// Memory that the process has for itself, as the system counts it.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// What there is to see of a store's memory at a moment.
#[derive(Clone, Copy, Debug)]
struct Seen {
    used_bytes: u64,
    heap_bytes: i64,
    resident_kib: u64,
}

impl Seen {
    fn now(budget: &Budget, counting: &Counting) -> Seen {
        Seen { used_bytes: budget.used(), heap_bytes: counting.bytes_left(), resident_kib: resident_kib() }
    }
}

/// Aim: a row that is overwritten for ever takes what a memtable may take, and no more: it is flushed. Method: budget and heap at the
/// tenth, at the half and at the end; nothing is compacted away that a budget has not seen.
#[test]
fn seed_13_a_key_overwritten_a_million_times_stays_within_the_budget() {
    const LIMIT_BYTES: u64 = 512 << 10;
    let (times, place) = (times(), Temporary::new("overwrites"));
    let process = Budget::unlimited("process").unwrap();
    let (budget, caller) =
        (process.child("db", LIMIT_BYTES).unwrap(), process.child("caller", 1 << 20).unwrap());
    let counting = Counting::start();
    let store = open(&place, &budget);
    let table = create_names(&store, &caller);
    let name = "n".repeat(1000);
    let mut seen = vec![];
    for time in 1..=times {
        let mut transaction = store.begin(&caller).unwrap();
        transaction.put(table, &[Value::BigInt(7), Value::Text(&name[..100 + time as usize % 900])]).unwrap();
        transaction.commit(Durability::Normal).unwrap();
        if time % (times / 10) == 0 {
            seen.push(Seen::now(&budget, &counting));
        }
    }
    let counters = store.counters();
    println!("{times} overwrites: {counters:?}\n{seen:#?}\npeaks: {} {}", budget.peak(), caller.peak());
    assert!(counters.flushes_count as i64 > times / 500, "{counters:?}");
    assert!(budget.peak() <= LIMIT_BYTES);
    assert_flat(&seen);
    // On the disk is what is left of it: one row, and the last memtable's log.
    let files = std::fs::read_dir(&place.0).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
    let disk_bytes: u64 = files.sum();
    assert!(disk_bytes < 2 << 20, "{disk_bytes}");
    drop(store);
    assert_eq!((budget.used(), caller.used()), (0, 0));
}

/// From the second tenth on nothing grows.
fn assert_flat(seen: &[Seen]) {
    let most = |of: fn(&Seen) -> i64, seen: &[Seen]| seen.iter().map(of).max().unwrap_or(0);
    let (first, last) = seen.split_at(seen.len() / 2);
    let used = |seen: &Seen| seen.used_bytes as i64;
    let heap = |seen: &Seen| seen.heap_bytes;
    assert!(most(used, last) <= most(used, first) + (16 << 10), "{seen:#?}");
    assert!(most(heap, last) <= most(heap, first) + (16 << 10), "{seen:#?}");
    // Other tests of the same process may take something.
    let resident = |seen: &Seen| seen.resident_kib as i64;
    assert!(most(resident, last) <= most(resident, first) + (32 << 10), "{seen:#?}");
}

/// Aim: reads of flushed rows leave nothing behind but what the cache may hold. Method: point reads by one reader that lives long and by
/// many that do not, and scans, over more rows than the cache holds.
#[test]
fn seed_14_a_million_reads_of_flushed_rows_are_flat() {
    const LIMIT_BYTES: u64 = 512 << 10;
    const ROWS: i64 = 4000;
    let (times, place) = (times(), Temporary::new("reads"));
    let process = Budget::unlimited("process").unwrap();
    let (budget, caller) =
        (process.child("db", LIMIT_BYTES).unwrap(), process.child("caller", 2 << 20).unwrap());
    let store = open(&place, &budget);
    let table = create_names(&store, &caller);
    for start in (0..ROWS).step_by(500) {
        let mut transaction = store.begin(&caller).unwrap();
        for id in start..start + 500 {
            let name = format!("{id} {}", "x".repeat(id as usize % 150));
            transaction.put(table, &[Value::BigInt(id), Value::Text(&name)]).unwrap();
        }
        transaction.commit(Durability::Normal).unwrap();
    }
    store.flush().unwrap();
    store.compact().unwrap();
    let snapshot = store.snapshot().unwrap();
    let table = snapshot.table("names").unwrap();
    let counting = Counting::start();
    let long_lived = Arena::new(&caller);
    let mut reader = RowReader::new(&table, &long_lived);
    let read = |reader: &mut RowReader<'_>, id: i64| {
        let found = reader.get(snapshot.view(), &[Value::BigInt(id)], |row| match row.value(1)? {
            Value::Text(name) => Ok(name.len()),
            value => panic!("{value}"),
        });
        assert_eq!(found.unwrap(), Some(id.to_string().len() + 1 + id as usize % 150));
    };
    let (mut seen, mut scanned) = (vec![], 0);
    for time in 1..=times {
        let id = time.wrapping_mul(7919) % ROWS;
        if time % 2 == 0 {
            read(&mut reader, id);
        } else {
            let arena = Arena::new(&caller);
            read(&mut RowReader::new(&table, &arena), id);
        }
        if time % (times / 10) == 0 {
            let arena = Arena::new(&caller);
            let mut scan = Scan::new(&table, &[0, 1], &KeyRange::ALL, &arena).unwrap();
            let mut columns = [Type::BigInt, Type::Text].map(|ty| Column::new(ty, 200, &arena).unwrap());
            loop {
                let mut targets: Vec<_> =
                    columns.iter_mut().map(|column| (column.clear(), column.target()).1).collect();
                match scan.next(snapshot.view(), &mut targets, 200).unwrap() {
                    0 => break,
                    rows => scanned += rows as i64,
                }
            }
        }
        if time % (times / 10) == 0 {
            seen.push(Seen::now(&budget, &counting));
        }
    }
    println!(
        "{times} point reads, {scanned} rows scanned\n{seen:#?}\npeaks: {} {}",
        budget.peak(),
        caller.peak()
    );
    assert_eq!(scanned, 10 * ROWS);
    assert!(budget.peak() <= LIMIT_BYTES && caller.peak() <= 1 << 20, "{} {}", budget.peak(), caller.peak());
    assert_flat(&seen);
}
