//! Transactions of hundreds of spills: their runs are merged, and nothing else is different.

use std::collections::BTreeMap;

use cofferdam_store::{Durability, Savepoint, Store, TableId, Transaction};
use cofferdam_testkit::simfs::{EIO, Fault, Op, Rule};
use cofferdam_types::Value;

use crate::engine::{Machine, create_names, now, rows};

const LIMIT_BYTES: u64 = 512 << 10;
/// Half of it for a transaction's changes would be less than twenty of these.
const TEXT_BYTES: usize = 1800;
const KEYS: u64 = 400;
/// Far fewer than spills.
const FILES_MAX: usize = 60;

/// Numbers without a pattern (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

type Model = BTreeMap<u64, u64>;

fn text(salt: u64) -> String {
    let mut random = Random(salt);
    let tail = (0..TEXT_BYTES).map(|_| char::from(b'!' + random.below(94) as u8));
    format!("{salt} {}", tail.collect::<String>())
}

/// Puts or deletes a row at a random key.
fn change(transaction: &mut Transaction, table: TableId, random: &mut Random, model: &mut Model) -> bool {
    let (id, salt) = (random.below(KEYS), random.below(1 << 40));
    let key = Value::BigInt(id as i64);
    if random.below(8) == 0 {
        let Ok(was_there) = transaction.delete(table, &[key]) else { return false };
        assert_eq!(was_there, model.remove(&id).is_some());
    } else {
        if transaction.put(table, &[key, Value::Text(&text(salt))]).is_err() {
            return false;
        }
        model.insert(id, salt);
    }
    true
}

fn expected(model: &Model) -> Vec<String> {
    model.iter().map(|(id, salt)| format!("{id} {}", text(*salt))).collect()
}

fn files(machine: &Machine) -> usize {
    machine.disk.image().keys().filter(|path| path.contains("segments")).count()
}

fn assert_is(store: &Store, transaction: &Transaction, model: &Model) {
    assert!(
        rows(store, transaction.view(), "names") == expected(model),
        "other rows than those of the model"
    );
}

/// Aim: going back to savepoints in the middle of merged runs gives what was there then, and the commit what was there last.
/// Method: a model beside it, over more than two hundred spills; savepoints are kept at random and gone back to at random.
#[test]
fn savepoints_lie_in_the_middle_of_merged_runs() {
    let machine = Machine::new(LIMIT_BYTES);
    let store = machine.open();
    let table = create_names(&store, &machine.budget);
    let mut transaction = store.begin(&machine.budget).unwrap();
    let (mut random, mut model) = (Random(7), Model::new());
    let mut savepoints: Vec<(Savepoint, Model)> = vec![(transaction.savepoint(), Model::new())];
    let (mut files_max, mut cuts) = (0, 0);
    for step in 1..=4000 {
        assert!(change(&mut transaction, table, &mut random, &mut model));
        if random.below(150) == 0 {
            savepoints.push((transaction.savepoint(), model.clone()));
        }
        if random.below(700) == 0 {
            let place = savepoints.len() - 1 - random.below(savepoints.len().min(4) as u64) as usize;
            savepoints.truncate(place + 1);
            let (savepoint, then) = savepoints[place].clone();
            machine.ok(transaction.rollback_to(savepoint));
            model = then;
            cuts += 1;
            assert_is(&store, &transaction, &model);
        }
        if step % 100 == 0 {
            files_max = files_max.max(files(&machine));
        }
    }
    println!("{files_max} files at most, {cuts} times back");
    assert!(files_max <= FILES_MAX && cuts > 2, "{files_max} files, {cuts} times back");
    assert_is(&store, &transaction, &model);
    assert_eq!(rows(&store, now(&store).view(), "names").len(), 0);
    machine.ok(transaction.commit(Durability::Full));
    assert!(rows(&store, now(&store).view(), "names") == expected(&model));
    machine.ok(store.compact());
    drop(store);
    let store = machine.open();
    assert!(rows(&store, now(&store).view(), "names") == expected(&model));
}

/// Aim: what a transaction can load does not end with the handles of its runs; rolled back, it leaves nothing. Method: rows in the
/// order of their keys and in none, many times the limit.
#[test]
fn hundreds_of_spills_are_committed_or_rolled_back() {
    for (is_sorted, is_kept) in [(true, true), (false, true), (false, false)] {
        let machine = Machine::new(LIMIT_BYTES);
        let store = machine.open();
        let table = create_names(&store, &machine.budget);
        let mut transaction = store.begin(&machine.budget).unwrap();
        let count = 4000u64;
        let texts = text(1);
        for row in 0..count {
            let id = if is_sorted { row } else { row * 2741 % count };
            let values = [Value::BigInt(id as i64), Value::Text(&texts)];
            machine.ok(transaction.insert(table, &values));
        }
        assert!(files(&machine) <= FILES_MAX, "{}", files(&machine));
        let found = rows(&store, transaction.view(), "names").len() as u64;
        assert_eq!(found, count);
        if is_kept {
            machine.ok(transaction.commit(Durability::Full));
        } else {
            transaction.rollback();
            assert_eq!(files(&machine), 0);
        }
        drop(store);
        let store = machine.open();
        let found = rows(&store, now(&store).view(), "names").len() as u64;
        assert_eq!(found, if is_kept { count } else { 0 });
    }
}

/// Aim: what fails while runs are written or merged changes nothing. Method: in each round one access in some hundred fails; after it
/// the rows are those of the model, and the change is left out.
#[test]
fn failures_while_runs_are_merged_change_nothing() {
    let machine = Machine::new(LIMIT_BYTES);
    let store = machine.open();
    let table = create_names(&store, &machine.budget);
    let mut transaction = store.begin(&machine.budget).unwrap();
    let (mut random, mut model) = (Random(11), Model::new());
    let mut failures = 0;
    for round in 0..60 {
        let op = [Op::Write, Op::Read, Op::Create][round % 3];
        let nth = 1 + random.below(if op == Op::Create { 5 } else { 20 });
        machine.disk.inject(Rule::new([op], Fault::Error(EIO)).file("segments-*").nth(nth));
        for _ in 0..60 {
            if !change(&mut transaction, table, &mut random, &mut model) {
                failures += 1;
                break;
            }
        }
        machine.disk.clear_rules();
        if round % 10 == 9 {
            assert_is(&store, &transaction, &model);
        }
    }
    println!("{failures} failures");
    assert!(failures > 20, "{failures}");
    machine.ok(transaction.commit(Durability::Full));
    assert!(rows(&store, now(&store).view(), "names") == expected(&model));
}
