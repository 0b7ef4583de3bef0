//! A whole life with the n-th charge refused, for every n: a typed error, nothing lost, nothing left behind.
//!
//! By default one n of many is tried; all of them with `STORE_EVERY_CHARGE=1`.

use cofferdam_arena::Budget;
use cofferdam_store::{Error, Options};
use cofferdam_testkit::simfs::SimDisk;

use crate::life::{Life, STEPS, Size};

const SIZE: Size = Size { rows: 18, bulk: 40, comment_bytes: 20, long_every: 20 };
const LIMIT_BYTES: u64 = 512 << 10;
/// Small commits go to the memtable, the large one to runs.
const OPTIONS: Options = Options::new().memtable_bytes(24 << 10);

/// What becomes of a step that was refused memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// The store is dropped, and opened again.
    GiveUp,
    /// The step is done once more.
    TryAgain,
}

/// A life with the n-th charge refused. Gives whether a step failed for it: some can do without.
fn live(nth: u64, then: Then) -> bool {
    let process = Budget::unlimited("process").unwrap();
    let budget = process.child("db", LIMIT_BYTES).unwrap();
    let caller = process.child("caller", 8 << 20).unwrap();
    let disk = SimDisk::new(nth);
    let mut life = Life::new(&disk, &budget, &caller, SIZE);
    life.options = OPTIONS;
    process.inject_refusal(nth);
    let outcome = live_on(&mut life, then);
    process.inject_refusal(0);
    let place = format!("charge {nth}, {then:?}");
    let is_refused = match outcome {
        Ok(is_refused) => is_refused,
        Err((_, Error::OutOfMemory(_))) if then == Then::GiveUp => {
            let record = budget.last_refusal().or(caller.last_refusal()).expect("it is recorded");
            assert!(record.path().starts_with("process/"), "{place}: {record}");
            true
        }
        Err((step, error)) => panic!("{place}, {step}: {}", life.text_of(&error)),
    };
    assert_eq!((budget.used(), caller.used()), (0, 0), "{place}: memory is left behind");
    if let Err(what) = life.verify() {
        panic!("{place}: {what}");
    }
    assert_eq!(
        (budget.used(), caller.used()),
        (0, 0),
        "{place}: memory is left behind by the second opening"
    );
    is_refused
}

/// From the opening to the close; gives whether a step was done twice.
fn live_on(life: &mut Life, then: Then) -> Result<bool, (&'static str, Error)> {
    let mut is_refused = false;
    let is_over = |error: &Error| then == Then::GiveUp || !matches!(error, Error::OutOfMemory(_));
    let store = match life.open() {
        Err(error) if is_over(&error) => return Err(("open", error)),
        Err(_) => {
            is_refused = true;
            life.open().map_err(|error| ("open once more", error))?
        }
        Ok(store) => store,
    };
    for (name, step) in STEPS {
        match step(life, &store) {
            Err(error) if is_over(&error) => return Err((name, error)),
            Err(_) => {
                is_refused = true;
                step(life, &store).map_err(|error| (name, error))?;
            }
            Ok(()) => {}
        }
    }
    store.close().map_err(|error| ("close", error))?;
    Ok(is_refused)
}

/// How many charges a life makes that nothing disturbs.
fn charges_count() -> u64 {
    const MANY: u64 = 1 << 24;
    let process = Budget::unlimited("process").unwrap();
    let (budget, caller) =
        (process.child("db", LIMIT_BYTES).unwrap(), process.child("caller", 8 << 20).unwrap());
    let mut life = Life::new(&SimDisk::new(1), &budget, &caller, SIZE);
    life.options = OPTIONS;
    process.inject_refusal(MANY);
    let store = life.open().unwrap();
    life.live_in(&store);
    let counters = store.counters();
    assert!(counters.flushes_count >= 4 && counters.compactions_count >= 2, "{counters:?}");
    store.close().unwrap();
    let left_count = (1..=MANY).find(|_| process.charge(0).is_err()).expect("a life makes fewer charges");
    life.verify().unwrap();
    MANY - left_count
}

fn every_charge(then: Then, by_default: u64) {
    let charges_count = charges_count();
    let is_long = std::env::var_os("STORE_EVERY_CHARGE").is_some();
    let step = if is_long { 1 } else { charges_count / by_default };
    let (mut lives, mut refused) = (0, 0);
    // Most of the first ones are an opening's.
    for nth in (1..=charges_count).filter(|nth| *nth <= 40 && nth % 8 == 0 || nth % step == 0) {
        lives += 1;
        refused += u64::from(live(nth, then));
    }
    println!("{charges_count} charges, {lives} of them refused, {refused} steps failed");
    assert!(refused > lives / 10, "{refused} of {lives}");
}

/// Aim: wherever memory is refused, the step fails with the typed error, everything is given back, and what opens the database next
/// finds all that was acknowledged and nothing else, with nothing to clear up left behind.
#[test]
fn a_life_may_end_at_every_charge() {
    every_charge(Then::GiveUp, 8);
}

/// Aim: an open store goes on after a refusal as if it had not been. Method: the step is done once more, and the rest of the life
/// follows.
#[test]
fn a_life_goes_on_after_every_refused_charge() {
    every_charge(Then::TryAgain, 8);
}
