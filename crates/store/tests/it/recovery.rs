//! Logs that are longer than the memtable they are replayed into: the replay flushes, and may be interrupted.

use cofferdam_arena::Budget;
use cofferdam_store::{Durability, MINIMUM_BYTES, Options, Store, TableDef, TableId, Watch, check};
use cofferdam_testkit::simfs::CrashPolicy;
use cofferdam_types::{Type, Value};
use cofferdam_vfs::Vfs;
use std::path::Path;
use std::sync::Arc;

use crate::engine::{KEY, Machine, column, create_names, name_of, now, rows};

/// A memtable that the tests' logs do not fit.
const SMALL: Options = Options::new().memtable_bytes(16 << 10);

fn put_names(store: &Store, budget: &Budget, table: TableId, ids: std::ops::Range<i64>, name: &str) {
    let mut transaction = store.begin(budget).unwrap();
    for id in ids {
        let name = format!("{name} {id} {}", "-".repeat(200));
        transaction.put(table, &[Value::BigInt(id), Value::Text(&name)]).unwrap();
    }
    transaction.commit(Durability::Normal).unwrap();
}

/// The rows of the table `names`, as far as their first word.
fn names(store: &Store) -> Vec<String> {
    let rows = rows(store, now(store).view(), "names");
    rows.iter().map(|row| row.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
}

fn expected(ids: std::ops::Range<i64>, name: &str) -> Vec<String> {
    ids.map(|id| format!("{id} {name}")).collect()
}

fn check_nothing(machine: &Machine) {
    let vfs: Arc<dyn Vfs> = Arc::new(machine.disk.clone());
    let budget = Budget::unlimited("check").unwrap();
    check(&vfs, Path::new("/db"), &budget, Watch::NOBODY, &mut |finding| {
        if let cofferdam_store::Finding::Problem(problem) = finding {
            panic!("{problem}");
        }
        Ok(())
    })
    .unwrap();
}

/// Aim: what a replay has flushed is not replayed again over what was committed later. Method: a log with rows of two tables, of
/// which the first are flushed by the replay and then updated by a transaction that goes past the log.
#[test]
fn a_log_is_not_replayed_again_over_later_commits() {
    let machine = Machine::new(8 << 20);
    let store = machine.open();
    let table = create_names(&store, &machine.budget);
    let mut transaction = store.begin(&machine.budget).unwrap();
    let columns = [column("id", Type::BigInt, false), column("name", Type::Text, true)];
    let def = TableDef { name: "others", columns: &columns, key: &KEY, properties: b"" };
    let others = transaction.create_table(&def).unwrap();
    transaction.commit(Durability::Full).unwrap();
    put_names(&store, &machine.budget, table, 0..100, "old");
    put_names(&store, &machine.budget, others, 0..100, "other");
    store.close().unwrap();

    let store = machine.try_open(&SMALL).unwrap();
    put_names(&store, &machine.budget, table, 0..100, "new");
    assert_eq!(names(&store), expected(0..100, "new"));
    machine.disk.kill();
    drop(store);
    check_nothing(&machine);
    // All of the log fits the last one, where it would hide what is in segments.
    for options in [SMALL, SMALL, Options::new()] {
        let store = machine.try_open(&options).unwrap();
        assert_eq!(names(&store), expected(0..100, "new"));
        let found = (0..100).filter_map(|id| name_of(&store, id));
        assert!(found.filter(|name| name.starts_with("new")).count() == 100);
        drop(store);
        check_nothing(&machine);
    }
    let store = machine.try_open(&SMALL).unwrap();
    // Nor do deleted rows come back when nothing is left that says so.
    let mut transaction = store.begin(&machine.budget).unwrap();
    for id in 0..100 {
        assert!(transaction.delete(table, &[Value::BigInt(id)]).unwrap());
    }
    transaction.commit(Durability::Full).unwrap();
    store.flush().unwrap();
    store.compact().unwrap();
    store.close().unwrap();
    let store = machine.try_open(&SMALL).unwrap();
    assert_eq!(names(&store), expected(0..0, ""));
    drop(store);
    check_nothing(&machine);
}

/// Aim: a replay that is interrupted begins again, with nothing out of order. Method: the machine is gone at each of its changes of
/// the disk.
#[test]
fn an_interrupted_replay_leaves_everything_in_order() {
    let machine = Machine::new(8 << 20);
    let store = machine.open();
    let table = create_names(&store, &machine.budget);
    for round in 0..5 {
        put_names(&store, &machine.budget, table, 0..30, &format!("name{round}"));
    }
    store.close().unwrap();
    for nth in (1..60).step_by(4) {
        let machine = Machine { disk: machine.disk.duplicate(), budget: machine.budget.clone() };
        for attempt in 0..2 {
            machine.disk.crash_at(nth + attempt);
            drop(machine.try_open(&SMALL));
            machine.disk.crash_at(u64::MAX);
            machine.disk.crash_with(&CrashPolicy::default(), nth);
            check_nothing(&machine);
        }
        let store = machine.try_open(&SMALL).unwrap();
        assert_eq!(names(&store), expected(0..30, "name4"), "change {nth}");
        store.close().unwrap();
        check_nothing(&machine);
    }
}

/// Aim: a replay makes no half of a commit durable. Method: a commit that was not synced when its process ended; the
/// machine is gone while the next one replays it.
#[test]
fn a_replay_makes_no_half_commit_durable() {
    let machine = Machine::new(8 << 20);
    let store = machine.open();
    let table = create_names(&store, &machine.budget);
    store.flush().unwrap();
    put_names(&store, &machine.budget, table, 0..110, "new");
    machine.disk.kill();
    drop(store);
    let mut are_there = 0;
    for nth in 1..30 {
        let machine = Machine { disk: machine.disk.duplicate(), budget: machine.budget.clone() };
        machine.disk.crash_at(nth);
        drop(machine.try_open(&SMALL));
        machine.disk.crash_at(u64::MAX);
        machine.disk.crash_with(&CrashPolicy::lose_everything(), nth);
        let names = names(&machine.try_open(&SMALL).unwrap());
        assert!(names.is_empty() || names == expected(0..110, "new"), "change {nth}: {} rows", names.len());
        are_there += usize::from(!names.is_empty());
    }
    assert!((1..29).contains(&are_there), "{are_there}");
}

/// Aim: what was written under a large limit is replayed under the least one, whatever is in the log. Method: rows of many sizes.
#[test]
fn every_log_is_replayed_under_the_least_limit() {
    for bytes in [100, 2_000, 8_400, 16_000] {
        let machine = Machine::new(8 << 20);
        let store = machine.open();
        let table = create_names(&store, &machine.budget);
        let long = "x".repeat(bytes);
        let mut count = 0;
        for round in 0..4 {
            let mut transaction = store.begin(&machine.budget).unwrap();
            for id in 0..(100_000 / bytes as i64).clamp(1, 150) {
                let name = if id % 3 == 0 { &long[..] } else { "short" };
                transaction.put(table, &[Value::BigInt(round * 1_000 + id), Value::Text(name)]).unwrap();
                count += 1;
            }
            transaction.commit(Durability::Normal).unwrap();
        }
        store.close().unwrap();
        let machine = Machine { disk: machine.disk, ..Machine::new(MINIMUM_BYTES) };
        let store = machine.ok(machine.try_open(&Options::new()));
        assert_eq!(rows(&store, now(&store).view(), "names").len(), count);
    }
}

/// Aim: a long log does not become more segments than a small limit has room for. Method: a log of twenty times the memtable.
#[test]
fn a_long_log_is_replayed_under_a_small_limit() {
    let machine = Machine::new(32 << 20);
    let store = machine.open();
    let table = create_names(&store, &machine.budget);
    for round in 0..5 {
        put_names(&store, &machine.budget, table, round * 400..(round + 2) * 400, "name");
    }
    machine.disk.kill();
    drop(store);
    let machine = Machine { disk: machine.disk, ..Machine::new(384 << 10) };
    let store = machine.ok(machine.try_open(&Options::new()));
    assert_eq!(names(&store).len(), 6 * 400);
}

/// Aim: logs of dropped tables do not stay for ever.
#[test]
fn a_log_that_says_nothing_any_more_goes_with_the_next_flush() {
    let machine = Machine::new(8 << 20);
    let store = machine.open();
    let table = create_names(&store, &machine.budget);
    put_names(&store, &machine.budget, table, 0..200, "gone");
    let mut transaction = store.begin(&machine.budget).unwrap();
    transaction.drop_table(table).unwrap();
    transaction.commit(Durability::Full).unwrap();
    store.close().unwrap();
    let store = machine.open();
    store.flush().unwrap();
    store.close().unwrap();
    let bytes: usize = machine.disk.image().values().map(Vec::len).sum();
    assert!(bytes < 16 << 10, "{bytes} bytes of an empty database");
}
