//! Loads: rows that go straight into runs where they come in order, and are what inserts would have made of them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use cofferdam_arena::Budget;
use cofferdam_store::{
    Durability, Error, InputKind, LoadError, RowSource, Savepoint, Store, TableDef, TableId, Transaction,
};
use cofferdam_types::{Type, Value};
use proptest::prelude::*;

use crate::engine::{Machine, column, create_names, now, rows};

/// A memtable of 64 KiB and a write set of 32 KiB: writers of 32 KiB.
const LIMIT_BYTES: u64 = 512 << 10;

/// Rows of a key and a text, some of which are long; the row id of a table without a key is not among them.
struct Source<'s> {
    keys: &'s [i64],
    next: usize,
    text: String,
    /// Fails before this row.
    fails_at: Option<usize>,
    /// Is done before each row.
    between: &'s dyn Fn(usize) -> Result<(), String>,
}

fn no_matter(_: usize) -> Result<(), String> {
    Ok(())
}

impl<'s> Source<'s> {
    fn new(keys: &'s [i64]) -> Source<'s> {
        Source { keys, next: 0, text: String::new(), fails_at: None, between: &no_matter }
    }
}

fn text(key: i64) -> String {
    match key % 997 {
        5 => "long ".repeat(3000),
        6 => "nearly long".repeat(600),
        _ => format!("{} of {key}", "text".repeat(key as usize % 40)),
    }
}

impl RowSource for Source<'_> {
    type Error = String;

    fn advance(&mut self) -> Result<bool, String> {
        (self.between)(self.next)?;
        if self.fails_at == Some(self.next) {
            return Err("no more of this".to_owned());
        }
        let Some(key) = self.keys.get(self.next) else { return Ok(false) };
        (self.text, self.next) = (text(*key), self.next + 1);
        Ok(true)
    }

    fn value(&self, column: usize) -> Value<'_> {
        let key = self.keys[self.next - 1];
        match column {
            0 => Value::BigInt(key),
            _ if key % 11 == 0 => Value::Null,
            _ => Value::Text(&self.text),
        }
    }
}

fn row(key: i64) -> String {
    if key % 11 == 0 { format!("{key} NULL") } else { format!("{key} {}", text(key)) }
}

fn load(
    transaction: &mut Transaction,
    table: TableId,
    source: &mut Source<'_>,
) -> Result<u64, LoadError<String>> {
    Transaction::load(&RefCell::new(transaction), table, source)
}

fn store_error(error: LoadError<String>) -> Error {
    match error {
        LoadError::Store(error) => error,
        LoadError::Source(text) => panic!("{text}"),
    }
}

fn seen(store: &Store) -> Vec<String> {
    rows(store, now(store).view(), "names")
}

fn expected(keys: impl IntoIterator<Item = i64>) -> Vec<String> {
    let mut keys: Vec<i64> = keys.into_iter().collect();
    keys.sort_unstable();
    keys.into_iter().map(row).collect()
}

/// How often the disk is written to while keys become rows of a table: by a load, or by inserts.
fn writes_of(keys: &[i64], is_load: bool) -> u64 {
    let machine = Machine::new(LIMIT_BYTES);
    let store = machine.open();
    let table = create_names(&store, &machine.budget);
    let before = machine.disk.counts().mutations;
    let mut transaction = store.begin(&machine.budget).unwrap();
    let mut source = Source::new(keys);
    if is_load {
        assert_eq!(load(&mut transaction, table, &mut source).unwrap(), keys.len() as u64);
    } else {
        while source.advance().unwrap() {
            transaction.insert(table, &[source.value(0), source.value(1)]).unwrap();
        }
    }
    let all = expected(keys.iter().copied());
    assert!(rows(&store, transaction.view(), "names") == all, "of its own");
    assert!(seen(&store).is_empty());
    transaction.commit(Durability::Full).unwrap();
    let writes = machine.disk.counts().mutations - before;
    assert!(seen(&store) == all, "of the committed");
    drop(store);
    let store = machine.open();
    assert!(seen(&store) == all, "of the reopened");
    writes
}

/// Aim: rows in order are written once, and are all there, before and after the commit and a restart. Method: a load of fifty
/// write sets, beside inserts.
#[test]
fn rows_in_order_are_written_once() {
    // Without those that have to go through the write set.
    let keys: Vec<i64> = (0..20_000).filter(|key| key % 997 != 6).collect();
    let (loaded, inserted) = (writes_of(&keys, true), writes_of(&keys, false));
    println!("{loaded} writes by a load, {inserted} by inserts");
    assert!(loaded < inserted * 2 / 3, "{loaded} writes, {inserted} by inserts");
}

/// Aim: a load in no order is not cut into small runs where some of its rows happen to be in order. Method: blocks of a hundred rows
/// of which each comes before the last one, beside inserts.
#[test]
fn blocks_of_rows_are_loaded_as_they_are_inserted() {
    let keys: Vec<i64> = (0..20_000).map(|at| (199 - at / 100) * 100 + at % 100).collect();
    let (loaded, inserted) = (writes_of(&keys, true), writes_of(&keys, false));
    println!("{loaded} writes by a load, {inserted} by inserts");
    // How often runs are merged hangs on a few bytes of them: the same rows differ by a fifth from one format to the next.
    assert!(loaded < inserted * 11 / 10, "{loaded} writes, {inserted} by inserts");
}

/// Aim: rows without a key of their own are always in order. Method: a load of such, whose rows come in the order of the source.
#[test]
fn rows_without_a_key_are_loaded_too() {
    let machine = Machine::new(LIMIT_BYTES);
    let store = machine.open();
    let keys: Vec<i64> = (0..8000).map(|at| at * 7919 % 5000).collect();
    let mut transaction = store.begin(&machine.budget).unwrap();
    let columns = [column("id", Type::BigInt, false), column("name", Type::Text, true)];
    let def = TableDef { name: "names", columns: &columns, key: &[], properties: b"" };
    let table = transaction.create_table(&def).unwrap();
    assert_eq!(load(&mut transaction, table, &mut Source::new(&keys)).unwrap(), 8000);
    transaction.insert(table, &[Value::BigInt(1), Value::Null]).unwrap();
    transaction.commit(Durability::Full).unwrap();
    let found = seen(&store);
    assert_eq!(found.len(), 8001);
    for (found, key) in found.iter().zip(&keys) {
        assert!(found.starts_with(&row(*key)), "{found}");
    }
}

/// Aim: a key that is there already is refused wherever it is: in the write set, in a run, in a segment, in the load itself.
#[test]
fn keys_that_are_there_are_refused() {
    let keys: Vec<i64> = (0..9000).collect();
    let with = |more: i64| [&keys[..], &[more]].concat();
    for (there, keys, at) in [
        (None, with(10), 9000),
        (None, with(8999), 9000),
        (None, with(3000), 9000),
        (Some(6000), keys.clone(), 6000),
        (Some(2), keys.clone(), 2),
        (Some(8999), keys.clone(), 8999),
    ] {
        let machine = Machine::new(LIMIT_BYTES);
        let store = machine.open();
        let table = create_names(&store, &machine.budget);
        if let Some(key) = there {
            let mut transaction = store.begin(&machine.budget).unwrap();
            transaction.insert(table, &[Value::BigInt(key), Value::Null]).unwrap();
            transaction.commit(Durability::Full).unwrap();
            store.flush().unwrap();
        }
        let mut transaction = store.begin(&machine.budget).unwrap();
        let before = transaction.savepoint();
        let mut source = Source::new(&keys);
        let error = store_error(load(&mut transaction, table, &mut source).unwrap_err());
        assert!(matches!(error, Error::UniqueViolation(_)), "{there:?} {at}: {error}");
        assert_eq!(source.next, at + 1, "the source stands at the row");
        // What came before is there, until it is gone back from.
        assert_eq!(rows(&store, transaction.view(), "names").len(), at + usize::from(there.is_some()));
        transaction.rollback_to(before).unwrap();
        assert_eq!(rows(&store, transaction.view(), "names").len(), usize::from(there.is_some()));
        transaction.commit(Durability::Full).unwrap();
        assert_eq!(seen(&store).len(), usize::from(there.is_some()));
    }
}

/// Aim: while rows are on their way nothing else is changed, and what reads sees what was there before; where the source fails,
/// its error comes back, and the transaction goes on.
#[test]
fn a_source_may_read_and_not_write() {
    let machine = Machine::new(LIMIT_BYTES);
    let store = machine.open();
    let table = create_names(&store, &machine.budget);
    let keys: Vec<i64> = (0..9000).collect();
    let mut transaction = store.begin(&machine.budget).unwrap();
    let before = transaction.savepoint();
    {
        let shared = RefCell::new(&mut transaction);
        let refused = RefCell::new(0);
        let between = |row: usize| {
            // Where all rows are seen they were inserted one by one.
            if row % 500 == 499 && rows(&store, shared.borrow().view(), "names").len() < row {
                let outcome = shared.borrow_mut().insert(table, &[Value::BigInt(-1), Value::Null]);
                let Err(Error::Input(problem)) = outcome else { return Err(format!("{outcome:?}")) };
                assert_eq!((problem.kind, problem.table), (InputKind::Loading, table));
                *refused.borrow_mut() += 1;
            }
            Ok(())
        };
        let mut source = Source { between: &between, ..Source::new(&keys) };
        assert_eq!(Transaction::load(&shared, table, &mut source).unwrap(), 9000);
        assert!(*refused.borrow() > 6, "{refused:?}");
    }
    assert!(rows(&store, transaction.view(), "names") == expected(0..9000));
    let more: Vec<i64> = (9000..15_000).collect();
    let between = transaction.savepoint();
    let mut source = Source { fails_at: Some(5000), ..Source::new(&more) };
    let error = load(&mut transaction, table, &mut source).unwrap_err();
    assert!(matches!(error, LoadError::Source(text) if text == "no more of this"));
    transaction.rollback_to(between).unwrap();
    assert_eq!(load(&mut transaction, table, &mut Source::new(&more[..100])).unwrap(), 100);
    assert!(rows(&store, transaction.view(), "names") == expected(0..9100));
    transaction.rollback_to(between).unwrap();
    transaction.insert(table, &[Value::BigInt(9000), Value::Text(&text(9000))]).unwrap();
    transaction.commit(Durability::Full).unwrap();
    assert!(seen(&store) == expected(0..9001));
    let mut transaction = store.begin(&machine.budget).unwrap();
    assert!(matches!(
        transaction.rollback_to(before).and_then(|()| transaction.delete(table, &[Value::BigInt(0)])),
        Ok(true)
    ));
}

/// Aim: under every limit of the transaction all rows are there or none, with the typed error; nothing stays taken. Method: limits
/// from nothing to what is enough, in steps.
#[test]
fn every_limit_gives_everything_or_a_typed_error() {
    let machine = Machine::new(LIMIT_BYTES);
    let store = machine.open();
    let table = create_names(&store, &machine.budget);
    let keys: Vec<i64> = (0..3000).collect();
    let process = Budget::unlimited("process").unwrap();
    let caller = process.child("caller", 0).unwrap();
    let mut refusals = 0;
    for limit in (0..160u64).map(|step| step << 10) {
        caller.set_limit(limit);
        let outcome = store.begin(&caller).and_then(|mut transaction| {
            load(&mut transaction, table, &mut Source::new(&keys)).map_err(store_error)?;
            assert!(rows(&store, transaction.view(), "names") == expected(0..3000), "{limit}");
            // Given up, so that the next one has them to load.
            drop(transaction);
            Ok(())
        });
        match outcome {
            Ok(()) => {}
            Err(Error::OutOfMemory(_)) => refusals += 1,
            Err(error) => panic!("{limit}: {error}"),
        }
        assert_eq!(caller.used(), 0, "{limit}");
        assert!(seen(&store).is_empty());
    }
    println!("{refusals} of 160 limits refused it");
    assert!((1..100).contains(&refusals));
}

/// Aim: a refused charge costs a load that ends with the typed error, or nothing. Method: the n-th charge refused, of the transaction
/// or the store.
#[test]
fn charges_may_be_refused() {
    let process = Budget::unlimited("process").unwrap();
    let machine = Machine { budget: process.child("db", LIMIT_BYTES).unwrap(), ..Machine::new(LIMIT_BYTES) };
    let store = machine.open();
    let table = create_names(&store, &machine.budget);
    let keys: Vec<i64> = (0..2500).collect();
    let caller = process.child("caller", 1 << 20).unwrap();
    let attempt = |nth: u64| {
        process.inject_refusal(nth);
        let outcome = store.begin(&caller).and_then(|mut transaction| {
            let count = load(&mut transaction, table, &mut Source::new(&keys)).map_err(store_error)?;
            process.inject_refusal(0);
            assert_eq!(count, 2500);
            assert!(rows(&store, transaction.view(), "names") == expected(0..2500), "charge {nth}");
            Ok(())
        });
        process.inject_refusal(0);
        assert_eq!(caller.used(), 0, "charge {nth}");
        outcome
    };
    const CHARGES_MAX: u64 = 2000;
    let mut refusals = 0;
    for nth in (1..120).chain((120..CHARGES_MAX).step_by(100)) {
        match attempt(nth) {
            Ok(()) => {}
            Err(Error::OutOfMemory(_)) => refusals += 1,
            Err(error) => panic!("charge {nth}: {error}"),
        }
    }
    println!("{refusals} loads were refused");
    assert!(refusals > 3);
    attempt(CHARGES_MAX).unwrap();
}

/// What is done in a random history.
#[derive(Clone, Debug)]
enum Action {
    /// Keys from one on, in steps; of 100 some come from elsewhere.
    Load {
        from: i64,
        count: i64,
        step: i64,
        out_of_order: i64,
    },
    Delete {
        from: i64,
        count: i64,
    },
    Savepoint,
    RollBackTo {
        place: usize,
    },
    Commit,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let load = (0..3000i64, 1..1500i64, 1..4i64, prop_oneof![Just(0), Just(0), 0..3i64])
        .prop_map(|(from, count, step, out_of_order)| Action::Load { from, count, step, out_of_order });
    let action = prop_oneof![
        6 => load,
        1 => (0..6000i64, 1..300i64).prop_map(|(from, count)| Action::Delete { from, count }),
        2 => Just(Action::Savepoint),
        2 => (0..4usize).prop_map(|place| Action::RollBackTo { place }),
        2 => Just(Action::Commit),
    ];
    proptest::collection::vec(action, 1..14)
}

type Model = BTreeMap<i64, ()>;

/// Loads what is new of some keys, and then once more all of them, which is refused if there was something that is not.
fn load_some(transaction: &mut Transaction, table: TableId, keys: &[i64], model: &mut Model) {
    let mut seen = model.clone();
    let new: Vec<i64> = keys.iter().copied().filter(|key| seen.insert(*key, ()).is_none()).collect();
    let before = transaction.savepoint();
    let all = load(transaction, table, &mut Source::new(keys));
    if new.len() == keys.len() {
        assert_eq!(all.unwrap(), keys.len() as u64);
    } else {
        assert!(matches!(store_error(all.unwrap_err()), Error::UniqueViolation(_)));
        transaction.rollback_to(before).unwrap();
        assert_eq!(load(transaction, table, &mut Source::new(&new)).unwrap(), new.len() as u64);
    }
    *model = seen;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Aim: loads among deletes, savepoints and commits are what a model of them says. Method: random histories under a small limit.
    #[test]
    fn loads_agree_with_a_model(actions in actions()) {
        let machine = Machine::new(LIMIT_BYTES);
        let store = machine.open();
        let table = create_names(&store, &machine.budget);
        let mut model = Model::new();
        let mut transaction = store.begin(&machine.budget).unwrap();
        let mut savepoints: Vec<(Savepoint, Model)> = vec![];
        for action in actions {
            match action {
                Action::Load { from, count, step, out_of_order } => {
                    let key = |at: i64| match at % 100 < out_of_order {
                        true => (at * 7919 + from) % 6000,
                        false => from + at * step,
                    };
                    let keys: Vec<i64> = (0..count).map(key).collect();
                    load_some(&mut transaction, table, &keys, &mut model);
                }
                Action::Delete { from, count } => {
                    for key in from..from + count {
                        let was_there = transaction.delete(table, &[Value::BigInt(key)]).unwrap();
                        prop_assert_eq!(was_there, model.remove(&key).is_some());
                    }
                }
                Action::Savepoint => savepoints.push((transaction.savepoint(), model.clone())),
                Action::RollBackTo { place } => {
                    savepoints.truncate(place + 1);
                    if let Some((savepoint, then)) = savepoints.last().cloned() {
                        transaction.rollback_to(savepoint).unwrap();
                        model = then;
                    }
                }
                Action::Commit => {
                    transaction.commit(Durability::Normal).unwrap();
                    prop_assert!(seen(&store) == expected(model.keys().copied()));
                    savepoints.clear();
                    transaction = store.begin(&machine.budget).unwrap();
                }
            }
            let found = rows(&store, transaction.view(), "names");
            prop_assert!(found == expected(model.keys().copied()), "{} rows, {} expected", found.len(), model.len());
        }
    }
}
