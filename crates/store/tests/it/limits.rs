//! Limits: what is refused below the least, and a whole life at the least and at every step above it.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use cofferdam_arena::{Arena, Budget};
use cofferdam_store::{
    Durability, Error, KeyColumn, MINIMUM_BYTES, Options, RowReader, Store, TableDef, TableId,
};
use cofferdam_testkit::simfs::SimDisk;
use cofferdam_types::{Type, Value};
use cofferdam_vfs::Vfs;

use crate::check::check_disk;
use crate::engine::{KEY, column};
use crate::life::{Life, Size, for_each_row};

fn budget(limit_bytes: u64) -> Budget {
    let process = Budget::root("process", limit_bytes + (64 << 10)).unwrap();
    process.child("db", limit_bytes).unwrap()
}

const SIZE: Size = Size { rows: 150, bulk: 400, comment_bytes: 60, long_every: 50 };

/// Aim: below the least limit nothing opens, and the error says what the least is.
#[test]
fn less_than_the_minimum_is_refused_with_the_minimum() {
    for limit_bytes in [0, 4 << 10, MINIMUM_BYTES / 2, MINIMUM_BYTES - 1] {
        let (disk, budget) = (SimDisk::new(1), budget(limit_bytes));
        let error = Life::new(&disk, &budget, &budget, SIZE).open().unwrap_err();
        assert!(
            matches!(error, Error::LimitTooSmall { minimum_bytes: MINIMUM_BYTES, limit_bytes: had } if had <= limit_bytes),
            "{error}"
        );
        assert!(error.to_string().contains("needs 256.0 KiB at least"), "{error}");
        assert_eq!((budget.used(), disk.counts().mutations), (0, 0), "{limit_bytes}");
    }
}

/// Aim: the least limit is enough for everything, and so is every larger one. Method: a whole life, with the caller's transactions and
/// scans on another budget. All steps with `STORE_EVERY_CHARGE=1`.
#[test]
fn a_whole_life_fits_the_minimum_and_every_step_above_it() {
    let steps_kib: &[u64] = match std::env::var_os("STORE_EVERY_CHARGE") {
        Some(_) => &[0, 1, 2, 4, 8, 16, 32, 64, 128, 192, 256, 384, 512, 640, 768],
        None => &[0, 64, 768],
    };
    for limit_bytes in steps_kib.iter().map(|step| MINIMUM_BYTES + (step << 10)) {
        let (disk, budget) = (SimDisk::new(1), budget(limit_bytes));
        let caller = Budget::unlimited("callers").unwrap().child("caller", 4 << 20).unwrap();
        let mut life = Life::new(&disk, &budget, &caller, SIZE);
        life.live();
        life.verify().unwrap_or_else(|what| panic!("{limit_bytes}: {what}"));
        println!(
            "{} KiB: the store took {} KiB at most, its callers {} KiB",
            limit_bytes >> 10,
            budget.peak() >> 10,
            caller.peak() >> 10
        );
        assert_eq!((budget.used(), caller.used()), (0, 0));
        assert!(budget.peak() <= limit_bytes);
    }
}

/// A table as programs have them: an id, a text of a few hundred bytes with words in it, and now and then a long one.
fn create_notes(store: &Store, caller: &Budget) -> TableId {
    let columns = [
        column("id", Type::BigInt, false),
        column("text", Type::Text, false),
        column("long", Type::Text, true),
    ];
    let mut transaction = store.begin(caller).unwrap();
    let def = TableDef { name: "notes", columns: &columns, key: &KEY, properties: b"" };
    let table = transaction.create_table(&def).unwrap();
    transaction.create_index(table, "by_text", &[1].map(KeyColumn::ascending), false).unwrap();
    transaction.commit(Durability::Full).unwrap();
    table
}

fn note(id: i64, round: i64) -> (String, Option<String>) {
    let words = ["the quick brown fox ", "jumps over ", "the lazy dog ", "and comes back "];
    let text =
        (0..8).map(|place| words[(id + place * round) as usize % 4]).collect::<String>() + &id.to_string();
    (text, (id % 500 == 0).then(|| format!("{id} ").repeat(5000)))
}

fn put_notes(
    store: &Store,
    caller: &Budget,
    table: TableId,
    ids: Range<i64>,
    round: i64,
) -> Result<(), Error> {
    let mut transaction = store.begin(caller)?;
    for id in ids {
        let (text, long) = note(id, round);
        let long = long.as_deref().map_or(Value::Null, Value::Text);
        transaction.put(table, &[Value::BigInt(id), Value::Text(&text), long])?;
    }
    transaction.commit(Durability::Full).map(|_| ())
}

/// Aim: what was written with much memory opens with the least: its log is replayed, its rows are read, one by one and all, more is written,
/// flushed and compacted. Method: row groups, pages and symbols of a store with 64 MiB, and a log of many times the memtable; then the
/// least limit, the caller's memory apart.
#[test]
fn a_database_of_a_large_limit_works_under_the_least_one() {
    const ROWS: i64 = 1200;
    let disk = SimDisk::new(1);
    let caller = Budget::unlimited("callers").unwrap().child("caller", 64 << 20).unwrap();
    let open = |limit_bytes: u64| {
        let (vfs, budget): (Arc<dyn Vfs>, Budget) = (Arc::new(disk.clone()), budget(limit_bytes));
        (Store::open(&vfs, Path::new("/db"), &budget, &Options::new()), budget)
    };
    let (store, _budget) = open(64 << 20);
    let store = store.unwrap();
    let table = create_notes(&store, &caller);
    for round in 1..=5 {
        for from in (0..ROWS).step_by(400) {
            put_notes(&store, &caller, table, from..from + 400, round).unwrap();
        }
        store.flush().unwrap();
    }
    store.compact().unwrap();
    // In the log only, and much more than a small memtable.
    put_notes(&store, &caller, table, 0..300, 6).unwrap();
    disk.kill();
    drop(store);
    let (store, budget) = open(MINIMUM_BYTES);
    let store =
        store.unwrap_or_else(|error| panic!("{error}: {:?}", budget.last_refusal().map(|r| r.to_string())));
    let tell = |what: &str, error: Error| -> ! {
        panic!(
            "{what}: {error}: {:?}\n{}",
            budget.last_refusal().map(|r| r.to_string()),
            budget.memory_tree()
        )
    };
    let compare = |rounds: &dyn Fn(i64) -> i64| {
        let snapshot = store.snapshot().unwrap();
        let table = snapshot.table("notes").unwrap();
        for id in (0..ROWS).step_by(97) {
            let arena = Arena::new(&caller);
            let found = RowReader::new(&table, &arena)
                .get(snapshot.view(), &[Value::BigInt(id)], |row| {
                    Ok((row.value(1)?.to_string(), row.value(2)?.to_string()))
                })
                .unwrap_or_else(|error| tell("read", error));
            let (text, long) = note(id, rounds(id));
            assert_eq!(found, Some((text, long.unwrap_or("NULL".to_owned()))), "{id}");
        }
        let mut id = 0;
        let outcome = for_each_row(snapshot.view(), Some(table.id()), &caller, |row| {
            let (text, long) = note(id, rounds(id));
            assert_eq!(row, format!("{id}|{text}|{}", long.unwrap_or("NULL".to_owned())));
            id += 1;
        });
        outcome.unwrap_or_else(|error| tell("scan", error));
        assert_eq!(id, ROWS);
    };
    compare(&|id| if id < 300 { 6 } else { 5 });
    for from in (0..500).step_by(50) {
        put_notes(&store, &caller, table, from..from + 50, 7).unwrap_or_else(|error| tell("put", error));
    }
    store.flush().unwrap_or_else(|error| tell("flush", error));
    compare(&|id| if id < 500 { 7 } else { 5 });
    store.compact().unwrap_or_else(|error| tell("compact", error));
    compare(&|id| if id < 500 { 7 } else { 5 });
    println!("peak {} KiB", budget.peak() >> 10);
    store.close().unwrap();
    let (store, _budget) = open(MINIMUM_BYTES);
    store.unwrap().close().unwrap();
    let found = check_disk(&disk);
    assert!(found.problems.is_empty() && found.remains.is_empty(), "{found:?}");
}

/// Aim: every row that is committed can be flushed under the least limit; one that cannot be is refused before, and costs nothing.
/// Method: rows of the greatest lengths, by themselves, so that nothing else makes room.
#[test]
fn the_largest_rows_are_flushed_under_the_least_limit() {
    let disk = SimDisk::new(1);
    let caller = Budget::unlimited("callers").unwrap().child("caller", 64 << 20).unwrap();
    let (vfs, budget): (Arc<dyn Vfs>, Budget) = (Arc::new(disk.clone()), budget(MINIMUM_BYTES));
    let store = Store::open(&vfs, Path::new("/db"), &budget, &Options::new()).unwrap();
    let columns = [
        column("id", Type::BigInt, false),
        column("a", Type::Text, true),
        column("b", Type::Text, true),
        column("c", Type::Text, true),
        column("d", Type::Text, true),
        column("e", Type::Text, true),
        column("f", Type::Text, true),
        column("g", Type::Text, true),
        column("h", Type::Text, true),
    ];
    let mut transaction = store.begin(&caller).unwrap();
    let def = TableDef { name: "texts", columns: &columns, key: &KEY, properties: b"" };
    let table = transaction.create_table(&def).unwrap();
    transaction.commit(Durability::Full).unwrap();
    let (mut expected, mut refused) = (vec![], 0);
    for (place, bytes) in
        [8191usize, 8000, 7000, 4096, 8191, 300_000, 60_000, 8192, 8193].into_iter().enumerate()
    {
        let text = format!("{place}").repeat(bytes);
        let mut values = vec![Value::BigInt(place as i64)];
        values.extend([Value::Text(&text); 8]);
        let mut transaction = store.begin(&caller).unwrap();
        let tell = |what: &str, error: Error| -> ! {
            panic!(
                "{bytes}, {what}: {error}: {:?}\n{}",
                budget.last_refusal().map(|r| r.to_string()),
                budget.memory_tree()
            )
        };
        let outcome = transaction.put(table, &values).and_then(|()| transaction.commit(Durability::Full));
        match outcome {
            Ok(_) => {}
            Err(Error::OutOfMemory(_)) if bytes >= 4096 => {
                refused += 1;
                continue;
            }
            Err(error) => tell("put", error),
        }
        if place % 2 == 0 {
            store.flush().unwrap_or_else(|error| tell("flush", error));
        }
        expected.push(format!("{place}|{}", [text.as_str(); 8].join("|")));
    }
    for _ in 0..2 {
        let snapshot = store.snapshot().unwrap();
        let mut found = vec![];
        for_each_row(snapshot.view(), Some(table), &caller, |row| found.push(row)).unwrap();
        assert!(found == expected);
        store.flush().unwrap();
        store
            .compact()
            .unwrap_or_else(|error| panic!("{error}: {:?}", budget.last_refusal().map(|r| r.to_string())));
    }
    assert!(budget.peak() <= MINIMUM_BYTES && refused < 7, "{refused} rows refused");
}
