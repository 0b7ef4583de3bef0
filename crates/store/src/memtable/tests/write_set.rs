//! A transaction's own changes against a map, and what a rollback leaves.

use super::*;

const OWN: u64 = 1 << 60;

fn write_set() -> (Budget, WriteSet) {
    let budget = Budget::root("process", 64 << 20).unwrap().child("transaction", u64::MAX).unwrap();
    let set = WriteSet::new(&budget);
    (budget, set)
}

#[expect(unsafe_code, reason = "a test's way to what is private")]
fn check_set(set: &WriteSet) {
    // SAFETY: the set is borrowed.
    unsafe { check::check(set.side()) };
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u32, Vec<u8>, Vec<u8>),
    Put(u32, Vec<u8>, Vec<u8>),
    Savepoint,
    /// To one of the savepoints that there are.
    RollBack(usize),
    Scan,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0u32..3, keys(), rows()).prop_map(|(table, key, row)| Step::Insert(table, key, row)),
        4 => (0u32..3, keys(), rows()).prop_map(|(table, key, row)| Step::Put(table, key, row)),
        1 => Just(Step::Savepoint),
        1 => (0usize..5).prop_map(Step::RollBack),
        1 => Just(Step::Scan),
    ];
    prop::collection::vec(step, 0..if cfg!(miri) { 30 } else { 200 })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 24 }))]

    /// Aim: a rollback leaves what was there at its savepoint. Method: the model is copied at each savepoint.
    #[test]
    #[cfg_attr(miri, ignore = "takes minutes")]
    fn a_rollback_leaves_what_was_there(steps in steps()) {
        let (_budget, mut set) = write_set();
        let (mut model, mut savepoints, mut sequence) = (Model::new(), vec![(OWN, Model::new())], OWN);
        for step in steps {
            match step {
                Step::Insert(table, key, row) => {
                    sequence += 1;
                    set.insert(TableId(table), &key, sequence, EntryKind::Put, &row).unwrap();
                    model.insert((table, key, Reverse(sequence)), (EntryKind::Put, row));
                }
                Step::Put(table, key, row) => {
                    sequence += 1;
                    let savepoint = savepoints.last().unwrap().0;
                    set.put(TableId(table), &key, sequence, EntryKind::Put, &row, savepoint).unwrap();
                    let newest = model.range((table, key.clone(), Reverse(u64::MAX))..).next().map(|(key, _)| key.clone());
                    if let Some(newest) = newest.filter(|newest| newest.0 == table && newest.1 == key && newest.2.0 > savepoint) {
                        model.remove(&newest);
                    }
                    model.insert((table, key, Reverse(sequence)), (EntryKind::Put, row));
                }
                Step::Savepoint => savepoints.push((sequence, model.clone())),
                Step::RollBack(back) => {
                    savepoints.truncate((savepoints.len() - back % savepoints.len()).max(1));
                    let (to, saved) = savepoints.last().unwrap();
                    set.discard_after(*to);
                    model = saved.clone();
                    check_set(&set);
                    check_scan(set.read(), &model);
                }
                Step::Scan => check_scan(set.read(), &model),
            }
        }
        check_set(&set);
        check_scan(set.read(), &model);
        for (table, key, sequence) in model.keys().step_by(3) {
            check_seek(set.read(), &model, *table, key, sequence.0);
            check_seek(set.read(), &model, *table, key, u64::MAX);
        }
    }
}

#[test]
fn discarded_versions_do_not_come_back() {
    let (budget, mut set) = write_set();
    assert_eq!(budget.used(), 0, "nothing is taken before the first change");
    set.discard_after(0);
    set.insert(TableId(1), b"k", OWN + 1, EntryKind::Put, b"first").unwrap();
    assert_eq!(budget.used(), 1 << 10, "a small transaction takes 1 KiB");
    for round in 0..COUNT {
        set.insert(TableId(1), b"k", OWN + 2 + round, EntryKind::Put, b"second").unwrap();
        set.insert(TableId(2), &bigint(round), OWN + 2 + round, EntryKind::Delete, b"").unwrap();
        set.discard_after(OWN + 1);
        assert_eq!(set.read().get(TableId(1), b"k", u64::MAX).unwrap().row, b"first");
        assert_eq!(set.read().get(TableId(2), &bigint(round), u64::MAX), None);
    }
    assert_eq!((set.figures().entries_count, set.figures().sequences), (1, Some((OWN + 1, OWN + 1))));
    set.discard_after(OWN);
    assert_eq!((set.figures().entries_count, set.figures().sequences), (0, None));
    check_scan(set.read(), &Model::new());
    set.insert(TableId(1), b"k", OWN + 9, EntryKind::Put, b"third").unwrap();
    assert_eq!(set.read().get(TableId(1), b"k", u64::MAX).unwrap().row, b"third");
    check_set(&set);
}

/// Aim: a row that is changed a million times within one statement is one entry.
#[test]
fn putting_takes_the_place_of_what_nobody_goes_back_to() {
    let (_budget, set) = write_set();
    for round in 1..=100 {
        set.put(TableId(1), b"k", OWN + round, EntryKind::Put, &round.to_le_bytes(), OWN).unwrap();
    }
    assert_eq!(set.figures().entries_count, 1);
    assert_eq!(set.figures().sequences, Some((OWN + 1, OWN + 100)));
    set.put(TableId(1), b"k", OWN + 101, EntryKind::Put, b"after a savepoint", OWN + 100).unwrap();
    assert_eq!(set.figures().entries_count, 2);
    assert_eq!(set.read().get(TableId(1), b"k", OWN + 100).unwrap().row, 100u64.to_le_bytes());
    check_set(&set);
}

#[test]
fn a_write_set_is_read_while_it_grows() {
    let (_budget, set) = write_set();
    for at in 0..COUNT {
        set.insert(TableId(1), &bigint(at * 10), OWN + at, EntryKind::Put, b"row").unwrap();
    }
    let mut cursor = set.read().cursor();
    cursor.seek_first();
    let mut seen = 0;
    while let Some(entry) = cursor.entry() {
        if entry.sequence < OWN + COUNT {
            assert_eq!(entry.key, bigint(seen * 10), "what was there comes in order");
            set.insert(TableId(1), &bigint(seen * 10 + 5), OWN + COUNT + seen, EntryKind::Put, b"new")
                .unwrap();
            seen += 1;
        }
        cursor.next();
    }
    assert_eq!(seen, COUNT);
    check_set(&set);
}

#[test]
fn a_reset_keeps_the_memory_and_a_release_gives_it_back() {
    let (budget, mut set) = write_set();
    for turn in 0..3 {
        let mut model = Model::new();
        for at in 0..COUNT / 10 {
            set.insert(TableId(turn), &bigint(at), OWN + at, EntryKind::Put, b"row").unwrap();
            model.insert((turn, bigint(at).to_vec(), Reverse(OWN + at)), (EntryKind::Put, b"row".to_vec()));
        }
        check_scan(set.read(), &model);
        assert_eq!(set.figures().held_bytes, budget.used());
        set.reset();
        check_scan(set.read(), &Model::new());
        assert_eq!(set.figures().held_bytes, budget.used());
    }
    set.release();
    assert_eq!((set.figures().held_bytes, budget.used()), (0, 0));
    set.insert(TableId(1), b"k", OWN, EntryKind::Put, b"again").unwrap();
    check_set(&set);
}

/// Aim: a refused change is none. Method: every charge is refused once.
#[test]
fn a_refused_change_changes_nothing() {
    let budget = Budget::root("process", 64 << 20).unwrap().child("transaction", u64::MAX).unwrap();
    let work = |budget: &Budget| {
        let set = WriteSet::new(budget);
        let (mut model, mut failure) = (Model::new(), None);
        for at in 0..if cfg!(miri) { 20 } else { 400 } {
            let (key, row) = (bigint(at * 7 % 100), vec![3; at as usize % 90]);
            let change = || match at % 3 {
                0 => set.put(TableId(1), &key, OWN + at, EntryKind::Put, &row, OWN + at),
                _ => set.insert(TableId(1), &key, OWN + at, EntryKind::Put, &row),
            };
            if let Err(error) = change() {
                failure = Some(Failure::of(budget, &error, true));
                check_set(&set);
                check_scan(set.read(), &model);
                change().map_err(|error| Failure::of(budget, &error, true))?;
            }
            model.insert((1, key.to_vec(), Reverse(OWN + at)), (EntryKind::Put, row));
        }
        check_scan(set.read(), &model);
        failure.map_or(Ok(model.len()), Err)
    };
    println!("{:?}", Injection::new().run(&budget, work).unwrap());
}
