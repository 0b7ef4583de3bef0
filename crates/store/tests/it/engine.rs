//! The store as its callers see it: tables, transactions, snapshots, flushes and compactions.

use std::path::Path;
use std::sync::Arc;

use cofferdam_arena::{Arena, Budget};
use cofferdam_store::{
    Column, ColumnDef, Durability, Error, KeyColumn, KeyRange, Options, RowReader, Scan, Snapshot, Store,
    TableDef, TableId, View,
};
use cofferdam_testkit::simfs::{EIO, Fault, Op, Rule, SimDisk};
use cofferdam_types::key::KeyOrder;
use cofferdam_types::{Type, Value};
use cofferdam_vfs::Vfs;

pub(crate) const KEY: [KeyColumn; 1] = [KeyColumn { column: 0, order: KeyOrder::ASC }];

pub(crate) struct Machine {
    pub(crate) disk: SimDisk,
    pub(crate) budget: Budget,
}

impl Machine {
    pub(crate) fn new(limit_bytes: u64) -> Machine {
        let budget = Budget::root("process", limit_bytes + (1 << 20)).unwrap();
        Machine { disk: SimDisk::new(1), budget: budget.child("db", limit_bytes).unwrap() }
    }

    pub(crate) fn open(&self) -> Store {
        self.try_open(&Options::new()).unwrap()
    }

    pub(crate) fn try_open(&self, options: &Options) -> Result<Store, Error> {
        let vfs: Arc<dyn Vfs> = Arc::new(self.disk.clone());
        Store::open(&vfs, Path::new("/db"), &self.budget, options)
    }
}

impl Machine {
    /// What went well, or why not, with the record of the refusal.
    pub(crate) fn ok<T>(&self, outcome: Result<T, Error>) -> T {
        outcome.unwrap_or_else(|error| {
            panic!("{error}: {:?}", self.budget.last_refusal().map(|r| r.to_string()))
        })
    }
}

pub(crate) fn column(name: &str, ty: Type, is_nullable: bool) -> ColumnDef<'_> {
    ColumnDef { name, ty, is_nullable }
}

/// A table `id bigint, name text null` with the key `id`.
pub(crate) fn create_names(store: &Store, budget: &Budget) -> TableId {
    let mut transaction = store.begin(budget).unwrap();
    let columns = [column("id", Type::BigInt, false), column("name", Type::Text, true)];
    let def = TableDef { name: "names", columns: &columns, key: &KEY, properties: b"" };
    let id = transaction.create_table(&def).unwrap();
    transaction.commit(Durability::Full).unwrap();
    id
}

/// All rows of a table, as text.
pub(crate) fn rows(store: &Store, view: View<'_>, table: &str) -> Vec<String> {
    let budget = Budget::unlimited("reader").unwrap();
    let arena = Arena::new(&budget);
    let snapshot = store.snapshot().unwrap();
    let table = snapshot.table(table).expect("the table is there");
    let types: Vec<Type> = table.schema().columns.iter().map(|column| column.ty).collect();
    let all: Vec<u16> = (0..types.len() as u16).collect();
    let mut scan = Scan::new(&table, &all, &KeyRange::ALL, &arena).unwrap();
    let mut columns: Vec<Column<'_>> =
        types.iter().map(|ty| Column::new(*ty, 100, &arena).unwrap()).collect();
    let mut found = vec![];
    loop {
        let mut targets = vec![];
        for column in &mut columns {
            column.clear();
            targets.push(column.target());
        }
        let count = scan.next(view, &mut targets, 100).unwrap();
        drop(targets);
        if count == 0 {
            return found;
        }
        for row in 0..count {
            let values: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
            found.push(values.join(" "));
        }
    }
}

pub(crate) fn now(store: &Store) -> Snapshot {
    store.snapshot().unwrap()
}

pub(crate) fn name_of(store: &Store, id: i64) -> Option<String> {
    let budget = Budget::unlimited("reader").unwrap();
    let arena = Arena::new(&budget);
    let snapshot = now(store);
    let mut reader = RowReader::new(&snapshot.table("names").unwrap(), &arena);
    reader.get(snapshot.view(), &[Value::BigInt(id)], |row| Ok(row.value(1)?.to_string())).unwrap()
}

#[test]
fn what_was_committed_is_read_and_read_again_after_a_restart() {
    let machine = Machine::new(8 << 20);
    let store = machine.open();
    let table = create_names(&store, &machine.budget);
    let mut transaction = store.begin(&machine.budget).unwrap();
    transaction.insert(table, &[Value::BigInt(2), Value::Text("two")]).unwrap();
    transaction.insert(table, &[Value::BigInt(1), Value::Null]).unwrap();
    assert_eq!(rows(&store, now(&store).view(), "names"), Vec::<String>::new());
    assert_eq!(rows(&store, transaction.view(), "names"), ["1 NULL", "2 two"]);
    transaction.commit(Durability::Full).unwrap();
    assert_eq!(rows(&store, now(&store).view(), "names"), ["1 NULL", "2 two"]);
    assert_eq!((name_of(&store, 2), name_of(&store, 3)), (Some("two".into()), None));
    drop(store);
    let store = machine.open();
    assert_eq!(rows(&store, now(&store).view(), "names"), ["1 NULL", "2 two"]);
    store.flush().unwrap();
    assert_eq!(rows(&store, now(&store).view(), "names"), ["1 NULL", "2 two"]);
    assert_eq!(name_of(&store, 2), Some("two".into()));
    drop(store);
    let store = machine.open();
    assert_eq!(rows(&store, now(&store).view(), "names"), ["1 NULL", "2 two"]);
}

#[test]
fn a_snapshot_sees_what_was_there_when_it_was_taken() {
    let machine = Machine::new(8 << 20);
    let store = machine.open();
    let table = create_names(&store, &machine.budget);
    let put = |id: i64, name: &str| {
        let mut transaction = store.begin(&machine.budget).unwrap();
        transaction.put(table, &[Value::BigInt(id), Value::Text(name)]).unwrap();
        transaction.commit(Durability::Normal).unwrap();
    };
    put(1, "a");
    put(2, "b");
    let before = now(&store);
    put(1, "c");
    let mut transaction = store.begin(&machine.budget).unwrap();
    assert!(transaction.delete(table, &[Value::BigInt(2)]).unwrap());
    assert!(!transaction.delete(table, &[Value::BigInt(7)]).unwrap());
    transaction.commit(Durability::Full).unwrap();
    for step in 0..3 {
        assert_eq!(rows(&store, before.view(), "names"), ["1 a", "2 b"], "step {step}");
        assert_eq!(rows(&store, now(&store).view(), "names"), ["1 c"], "step {step}");
        match step {
            0 => store.flush().unwrap(),
            _ => store.compact().unwrap(),
        }
    }
}

#[test]
fn the_first_committer_wins() {
    let machine = Machine::new(8 << 20);
    let store = machine.open();
    let table = create_names(&store, &machine.budget);
    for is_flushed in [false, true] {
        let (mut first, mut second) =
            (store.begin(&machine.budget).unwrap(), store.begin(&machine.budget).unwrap());
        let mut third = store.begin(&machine.budget).unwrap();
        first.put(table, &[Value::BigInt(1), Value::Text("first")]).unwrap();
        second.put(table, &[Value::BigInt(1), Value::Text("second")]).unwrap();
        third.put(table, &[Value::BigInt(2), Value::Text("third")]).unwrap();
        first.commit(Durability::Full).unwrap();
        if is_flushed {
            store.flush().unwrap();
        }
        let error = second.commit(Durability::Full).unwrap_err();
        assert!(matches!(error, Error::Conflict(id) if id == table), "{error}");
        third.commit(Durability::Full).unwrap();
        assert_eq!(rows(&store, now(&store).view(), "names"), ["1 first", "2 third"]);
    }
}

#[test]
fn keys_and_unique_indexes_are_unique() {
    let machine = Machine::new(8 << 20);
    let store = machine.open();
    let table = create_names(&store, &machine.budget);
    let mut transaction = store.begin(&machine.budget).unwrap();
    transaction.create_index(table, "by_name", &[1].map(KeyColumn::ascending), true).unwrap();
    transaction.insert(table, &[Value::BigInt(1), Value::Text("one")]).unwrap();
    transaction.insert(table, &[Value::BigInt(2), Value::Null]).unwrap();
    transaction.insert(table, &[Value::BigInt(3), Value::Null]).unwrap();
    transaction.commit(Durability::Full).unwrap();
    for _ in 0..2 {
        let mut transaction = store.begin(&machine.budget).unwrap();
        let error = transaction.insert(table, &[Value::BigInt(1), Value::Text("uno")]).unwrap_err();
        assert_eq!(error.to_string(), "there is a row with the key (1) already");
        let error = transaction.insert(table, &[Value::BigInt(4), Value::Text("one")]).unwrap_err();
        assert_eq!(error.to_string(), "there is a row with the key (one) already");
        // Another row may have the name once the first has given it up.
        transaction.put(table, &[Value::BigInt(1), Value::Text("uno")]).unwrap();
        transaction.insert(table, &[Value::BigInt(4), Value::Text("one")]).unwrap();
        assert_eq!(rows(&store, transaction.view(), "names"), ["1 uno", "2 NULL", "3 NULL", "4 one"]);
        transaction.rollback();
        store.flush().unwrap();
    }
    // Two at once, with the same name for different rows.
    let (mut first, mut second) =
        (store.begin(&machine.budget).unwrap(), store.begin(&machine.budget).unwrap());
    first.insert(table, &[Value::BigInt(10), Value::Text("ten")]).unwrap();
    second.insert(table, &[Value::BigInt(11), Value::Text("ten")]).unwrap();
    first.commit(Durability::Full).unwrap();
    assert!(matches!(second.commit(Durability::Full), Err(Error::Conflict(_))));
}

#[test]
fn a_transaction_larger_than_memory_is_committed_at_once() {
    let machine = Machine::new(512 << 10);
    let store = machine.open();
    let table = create_names(&store, &machine.budget);
    let text = "x".repeat(100);
    let mut transaction = store.begin(&machine.budget).unwrap();
    let mut savepoint = transaction.savepoint();
    for id in 0..6_000i64 {
        if id == 3_456 {
            savepoint = transaction.savepoint();
        }
        let id = (id * 7919) % 6_000;
        transaction.insert(table, &[Value::BigInt(id), Value::Text(&text)]).unwrap();
    }
    let error = transaction.insert(table, &[Value::BigInt(1919), Value::Text("again")]).unwrap_err();
    assert!(matches!(error, Error::UniqueViolation(_)), "{error}");
    assert_eq!(rows(&store, transaction.view(), "names").len(), 6_000);
    machine.ok(transaction.rollback_to(savepoint));
    let expected: Vec<String> = {
        let mut ids: Vec<i64> = (0..3_456i64).map(|id| (id * 7919) % 6_000).collect();
        ids.sort();
        ids.iter().map(|id| format!("{id} {text}")).collect()
    };
    assert_eq!(rows(&store, transaction.view(), "names"), expected);
    assert_eq!(rows(&store, now(&store).view(), "names").len(), 0);
    transaction.commit(Durability::Full).unwrap();
    assert_eq!(rows(&store, now(&store).view(), "names"), expected);
    drop(store);
    let store = machine.open();
    assert_eq!(rows(&store, now(&store).view(), "names"), expected);
    machine.ok(store.compact());
    assert_eq!(rows(&store, now(&store).view(), "names"), expected);
}

#[test]
fn many_small_commits_are_flushed_and_compacted_within_the_limit() {
    let machine = Machine::new(512 << 10);
    let store = machine.open();
    let table = create_names(&store, &machine.budget);
    let mut model = std::collections::BTreeMap::new();
    for step in 0..6000i64 {
        let id = (step * 37) % 1500;
        let name = format!("name {step} {}", "y".repeat(60));
        let mut transaction = store.begin(&machine.budget).unwrap();
        if step % 5 == 4 {
            machine.ok(transaction.delete(table, &[Value::BigInt(id)]));
            model.remove(&id);
        } else {
            machine.ok(transaction.put(table, &[Value::BigInt(id), Value::Text(&name)]));
            model.insert(id, name);
        }
        machine.ok(transaction.commit(Durability::Normal));
        if step % 1000 == 999 {
            machine.ok(store.compact());
            let expected: Vec<String> = model.iter().map(|(id, name)| format!("{id} {name}")).collect();
            assert_eq!(rows(&store, now(&store).view(), "names"), expected, "step {step}");
        }
    }
    drop(store);
    let store = machine.open();
    let expected: Vec<String> = model.iter().map(|(id, name)| format!("{id} {name}")).collect();
    assert_eq!(rows(&store, now(&store).view(), "names"), expected);
}

/// Aim: a row id is given once in the life of a database. Method: rows in segments, in the log, and in neither, between openings.
#[test]
fn row_ids_go_on_where_they_were_when_the_database_opens_again() {
    let machine = Machine::new(8 << 20);
    let insert = |store: &Store, name: &str| {
        let mut transaction = store.begin(&machine.budget).unwrap();
        let table = transaction.table("log").unwrap().id();
        transaction.insert(table, &[Value::Text(name)]).unwrap();
        transaction.commit(Durability::Full).unwrap();
    };
    let store = machine.open();
    let mut transaction = store.begin(&machine.budget).unwrap();
    let columns = [column("text", Type::Text, false)];
    transaction
        .create_table(&TableDef { name: "log", columns: &columns, key: &[], properties: b"" })
        .unwrap();
    transaction.commit(Durability::Full).unwrap();
    insert(&store, "a");
    store.flush().unwrap();
    drop(store);
    let store = machine.open();
    insert(&store, "b");
    drop(store);
    let store = machine.open();
    insert(&store, "c");
    store.flush().unwrap();
    store.compact().unwrap();
    drop(store);
    let store = machine.open();
    insert(&store, "d");
    assert_eq!(rows(&store, now(&store).view(), "log"), ["a 1", "b 2", "c 3", "d 4"]);
}

/// Aim: an opening that fails leaves the database as it was. Method: each write and sync of an opening fails once, while the last
/// log has something that must be written on.
#[test]
fn an_opening_that_fails_leaves_the_database_as_it_was() {
    for op in [Op::Sync, Op::Write, Op::Create, Op::Read] {
        let machine = Machine::new(8 << 20);
        let store = machine.open();
        let table = create_names(&store, &machine.budget);
        let mut transaction = store.begin(&machine.budget).unwrap();
        transaction.put(table, &[Value::BigInt(1), Value::Text("one")]).unwrap();
        transaction.commit(Durability::Full).unwrap();
        machine.disk.kill();
        drop(store);
        for nth in 1.. {
            machine.disk.inject(Rule::new([op], Fault::Error(EIO)).nth(nth));
            let outcome = machine.try_open(&Options::new());
            machine.disk.clear_rules();
            let is_open = outcome.is_ok();
            drop(outcome);
            machine.disk.kill();
            let store = machine.ok(machine.try_open(&Options::new()));
            assert_eq!(rows(&store, now(&store).view(), "names"), ["1 one"], "{op:?} {nth}");
            machine.disk.kill();
            drop(store);
            if is_open {
                break;
            }
        }
    }
}
