//! Limits under one thread and under many.

extern crate std;
use super::*;
use crate::sync::finishes;
use crate::{Pressure, PressureEvent};
use core::sync::atomic::{AtomicU64, Ordering as Memory};
use proptest::prelude::*;
use std::string::String;
use std::sync::Mutex;
use std::vec::Vec;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

fn root(limit: u64) -> Budget {
    Budget::root("process", limit).unwrap()
}

#[test]
fn a_root_pays_for_its_own_tree() {
    let refusal = Budget::root("process", 4 * KIB - 1).unwrap_err();
    assert_eq!(
        (refusal.path(), refusal.needed_bytes(), refusal.limit_bytes()),
        ("process", 4 * KIB, 3 * KIB)
    );
    let root = root(4 * KIB);
    assert_eq!((root.used(), root.peak(), root.available()), (4 * KIB, 4 * KIB, 0));
    assert!(root.charge(1).is_err());
}

#[test]
fn many_budgets_are_paid_by_the_page() {
    let root = root(MIB);
    let children: Vec<Budget> =
        (0..100).map(|index| root.child(&std::format!("c{index}"), 5).unwrap()).collect();
    let with_children = root.used();
    assert!((100 * 256..=40 * KIB).contains(&with_children), "{with_children}");
    drop(children);
    let again: Vec<Budget> = (0..100).map(|_| root.child("again", 5).unwrap()).collect();
    assert_eq!(root.used(), with_children, "freed nodes are used again");
    drop(again);
    let small = Budget::root("small", 8 * KIB).unwrap();
    let mut made = Vec::new();
    let refused = loop {
        match small.child("c", u64::MAX) {
            Ok(child) => made.push(child),
            Err(error) => break error,
        }
    };
    assert_eq!(refused, AllocError);
    assert_eq!(small.last_refusal().unwrap().refused_by(), "small");
    assert_eq!(small.used(), 8 * KIB);
}

/// Aim: pages that no node stands in go back before the root refuses anything, and no others. Method: budgets with a record of refusals and
/// without, of which some in the middle stay; then all that there is is charged.
#[test]
fn pages_without_nodes_are_given_back() {
    let root = root(MIB);
    let first = root.child("first", u64::MAX).unwrap();
    let least = root.used();
    for kept_index in [0, 20, 99] {
        let options = BudgetOptions::unlimited();
        let make = |index: u64| if index.is_multiple_of(3) { options.keeps_refusals() } else { options };
        let mut many: Vec<Budget> =
            (0..100).map(|index| root.child_with("many", make(index)).unwrap()).collect();
        assert!(root.used() >= least + 24 * KIB);
        let kept = many.swap_remove(kept_index);
        drop(many);
        assert!(first.charge(root.limit()).is_err(), "all pages that are empty are given up");
        assert!((least..=least + 8 * KIB).contains(&root.used()), "{}", root.used());
        assert_eq!(kept.name(), "many");
        drop(kept);
        first.charge(root.limit() - least).expect("no page is needed any more");
        assert_eq!(root.used(), root.limit());
        first.release(first.used());
        assert_eq!(root.used(), least);
    }
    assert_eq!(root.walk().count(), 2);
}

#[test]
fn every_limit_of_the_path_holds() {
    let root = root(MIB);
    let db = root.child("db", 100 * KIB).unwrap();
    let statement = db.child("statement", 60 * KIB).unwrap();
    statement.charge(60 * KIB).unwrap();
    assert!(statement.charge(1).is_err());
    let refusal = statement.last_refusal().unwrap();
    assert_eq!(refusal.path(), "process/db/statement");
    assert_eq!(refusal.refused_by(), "statement");
    assert_eq!(
        (refusal.asked_bytes(), refusal.used_bytes(), refusal.limit_bytes(), refusal.needed_bytes()),
        (KIB, 60 * KIB, 60 * KIB, 61 * KIB)
    );
    let other = db.child("other", u64::MAX).unwrap();
    assert!(other.charge(41 * KIB).is_err());
    assert_eq!(other.last_refusal().unwrap().refused_by(), "db");
    assert_eq!(other.last_refusal().unwrap().holders().next(), Some(("statement", 60 * KIB)));
    other.charge(40 * KIB).unwrap();
    statement.release(60 * KIB);
    other.charge(60 * KIB).unwrap();
    assert_eq!((db.used(), db.peak(), statement.used()), (100 * KIB, 100 * KIB, 0));
    other.release(100 * KIB);
    assert_eq!(db.used(), 0);
}

#[test]
fn limits_are_floors_and_charges_are_ceilings() {
    let root = root(MIB);
    let child = root.child("child", 2 * KIB + 1023).unwrap();
    assert_eq!(child.limit(), 2 * KIB);
    child.charge(1).unwrap();
    assert_eq!(child.used(), KIB);
    assert!(child.charge(KIB + 1).is_err());
    child.charge(0).unwrap();
    child.release(1);
    assert_eq!(child.used(), 0);
    assert!(child.charge(u64::MAX).is_err());
    assert_eq!(child.last_refusal().unwrap().reason(), Reason::TooLarge);
}

/// Takes all that there is.
fn take_all(budget: &Budget) {
    for kib in (0..12).map(|log2| 2048 >> log2) {
        while budget.charge(kib * KIB).is_ok() {}
    }
}

/// A tree whose chunks come from the global allocator, and one with a reservoir.
fn roots(limit: u64) -> Vec<Budget> {
    #[allow(unused_mut, reason = "there are not reservoirs everywhere")]
    let mut roots = Vec::from([root(limit)]);
    #[cfg(all(feature = "std", unix))]
    {
        let options =
            crate::ReservoirOptions::new(limit).address_bytes(if cfg!(miri) { 2 << 20 } else { 8 << 20 });
        let reservoir = crate::Reservoir::new(options).unwrap();
        roots.push(Budget::root_on_reservoir("process", limit, reservoir).unwrap());
    }
    roots
}

/// Aim: small chunks that come back cost the next taker no charge, and are charged until they are given up. Method: arenas one after
/// the other, and how often the budget asked its parent.
#[test]
fn small_chunks_are_kept_for_the_next_arena() {
    for root in roots(MIB) {
        let keeper = root.child_with("keeper", BudgetOptions::unlimited().keeps_chunks()).unwrap();
        let one = || crate::Arena::with_capacity(&keeper, 100);
        drop(one().unwrap());
        assert_eq!(keeper.used(), KIB);
        for _ in 0..3 {
            let trips_count = || keeper.node().cold.refills_count.get();
            let before = trips_count();
            let arena = one().unwrap();
            assert_eq!((trips_count(), keeper.used()), (before, KIB));
            assert_eq!(*arena.alloc(7).unwrap(), 7);
            assert_eq!((arena.stats().chunks_count, arena.stats().used_bytes), (1, 8));
        }
        let arenas: Vec<_> = (0..6).map(|_| one().unwrap()).collect();
        drop(arenas);
        assert_eq!(keeper.used(), 4 * KIB, "as many as are kept at most");
        let mut arena = one().unwrap();
        while arena.stats().allocated_bytes < 8 << 10 {
            arena.alloc_uninit_slice::<u64>(10).unwrap();
        }
        arena.release();
        assert_eq!(keeper.used(), 4 * KIB, "the small ones of a chain");
        assert_eq!((keeper.give_up_kept(), keeper.used(), keeper.give_up_kept()), (4 * KIB, 0, 0));
        drop(one().unwrap());
        drop((arena, keeper));
        let kept: u64 = root
            .walk()
            .skip(1)
            .filter(|stats| stats.name.as_str() != "warm")
            .map(|stats| stats.used_bytes)
            .sum();
        assert_eq!((kept, root.walk().any(|stats| stats.name.as_str() == "keeper")), (0, false));
    }
}

#[test]
fn what_is_kept_makes_way_before_anything_is_refused() {
    for root in roots(MIB) {
        let db = root.child("db", 100 * KIB).unwrap();
        let options = BudgetOptions::limit(8 * KIB).keeps_chunks();
        let keeper = db.child_with("keeper", options).unwrap();
        let fill = || drop([(); 4].map(|()| crate::Arena::with_capacity(&keeper, 100).unwrap()));
        fill();
        let large = crate::Arena::with_capacity(&keeper, 5 << 10).expect("its own limit");
        assert_eq!(keeper.used(), 8 * KIB);
        drop(large);
        fill();
        let other = db.child("other", u64::MAX).unwrap();
        other.charge(98 * KIB).expect("the limit above");
        assert_eq!(keeper.used(), 0);
        assert!(other.charge(3 * KIB).is_err());
        assert_eq!(other.last_refusal().unwrap().used_bytes(), 98 * KIB);
        other.release(98 * KIB);
        fill();
        assert_eq!(db.used(), 4 * KIB);
        let greedy = root.child("greedy", u64::MAX).unwrap();
        take_all(&greedy);
        assert_eq!(keeper.used(), 0, "the root");
        greedy.release(greedy.used());
    }
}

/// Aim: what one statement gives back the next one takes, and nobody above hears of it. Method: budgets one after the other below one
/// that keeps their chunks; its figures, how often it asked its parent, and limits on the way.
#[test]
fn chunks_of_children_change_to_the_next_child() {
    for root in roots(if cfg!(miri) { 2 * MIB } else { 4 * MIB }) {
        let db = root.child_with("db", BudgetOptions::unlimited().keeps_chunks_of_children()).unwrap();
        let trips_count = || db.node().cold.refills_count.get();
        let run = |limit_bytes: u64| {
            let statement = db.child("statement", limit_bytes)?;
            let plan = statement.child("plan", u64::MAX)?;
            let (parse, plan) = (crate::Arena::new(&statement), crate::Arena::new(&plan));
            parse.alloc_uninit_slice::<u8>(100)?;
            plan.alloc_uninit_slice::<u8>(2000)?;
            plan.alloc_uninit_slice::<u8>(3000)?;
            let plan_bytes = plan.stats().allocated_bytes as u64;
            assert_eq!((plan.budget().used(), statement.used()), (plan_bytes, plan_bytes + KIB));
            assert_eq!((plan.budget().peak(), statement.peak()), (plan_bytes, plan_bytes + KIB));
            Ok::<u64, AllocError>(statement.used())
        };
        let taken = run(u64::MAX).unwrap();
        assert_eq!((db.used(), db.node().load().used()), (0, (taken / KIB) as u32));
        let before = (trips_count(), root.used());
        for _ in 0..3 {
            assert_eq!(run(u64::MAX), Ok(taken));
            assert_eq!((db.used(), trips_count(), root.used()), (0, before.0, before.1));
        }
        assert!(run(taken - KIB).is_err(), "a limit on the way holds");
        assert_eq!((run(taken), db.used()), (Ok(taken), 0));
        db.inject_refusal(2);
        assert!(run(u64::MAX).is_err(), "what is taken so is counted as charges are");
        let large: Vec<_> = (0..if cfg!(miri) { 36 } else { 80 })
            .map(|_| crate::Arena::with_capacity(&db.child("s", u64::MAX).unwrap(), 800).unwrap())
            .collect();
        drop(large);
        assert_eq!(db.node().load().used(), 32, "and no more");
        let greedy = root.child("greedy", u64::MAX).unwrap();
        take_all(&greedy);
        assert_eq!(db.node().load().used(), 0, "it makes way");
        greedy.release(greedy.used());
        run(u64::MAX).unwrap();
        drop(db);
        assert!(!root.walk().any(|stats| stats.name.as_str() == "db"));
    }
}

#[test]
fn what_is_guaranteed_or_of_a_reserve_is_not_kept_for_others() {
    let root = root(MIB);
    let options = BudgetOptions::limit(16 * KIB).reserve(8 * KIB).keeps_chunks_of_children();
    let db = root.child_with("db", options).unwrap();
    let sure = db.child_with("sure", BudgetOptions::unlimited().minimum(2 * KIB)).unwrap();
    drop(crate::Arena::with_capacity(&sure, 800).unwrap());
    assert_eq!((sure.node().load().credit(), db.node().kept_units.load(Ordering::Relaxed)), (2, 0));
    let statement = db.child("statement", u64::MAX).unwrap();
    let arena = crate::Arena::with_capacity(&statement, 800).unwrap();
    db.charge_emergency(8 * KIB).unwrap();
    drop(arena);
    assert_eq!(db.node().kept_units.load(Ordering::Relaxed), 0);
    db.release(8 * KIB);
}

/// Aim: with many threads nothing is lost, and nobody is refused what only waits. Method: some make arenas, some want all that these
/// leave.
#[test]
fn what_is_kept_is_nobodys_loss_under_contention() {
    let rounds = if cfg!(miri) { 10 } else { 2000 };
    for root in roots(MIB) {
        let options = BudgetOptions::limit(64 * KIB).keeps_chunks_of_children();
        let db = root.child_with("db", options).unwrap();
        let keeper = db.child_with("keeper", BudgetOptions::unlimited().keeps_chunks()).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let (db, keeper) = (&db, &keeper);
                scope.spawn(move || {
                    let own = db.child("own", u64::MAX).unwrap();
                    for round in 0..rounds {
                        if thread % 2 == 0 {
                            let arena = crate::Arena::with_capacity(keeper, 100).expect("two need 2 KiB");
                            assert_eq!(*arena.alloc(round).unwrap(), round);
                            if round % 3 == 0 {
                                keeper.give_up_kept();
                            }
                        } else {
                            own.charge(31 * KIB).expect("two need 62 KiB");
                            own.release(31 * KIB);
                        }
                    }
                });
            }
        });
        keeper.give_up_kept();
        // Credit that a budget keeps for its next charges is swept back.
        db.charge(64 * KIB).expect("nobody holds anything");
        db.release(64 * KIB);
        assert_eq!((keeper.used(), db.used()), (0, 0));
    }
}

#[test]
fn credit_kept_by_a_sibling_is_swept_back_before_a_refusal() {
    let root = root(MIB + 4 * KIB);
    let hoarder = root.child("hoarder", u64::MAX).unwrap();
    for _ in 0..64 {
        hoarder.charge(4 * KIB).unwrap();
    }
    for _ in 0..64 {
        hoarder.release(4 * KIB);
    }
    let kept = root.used() - 4 * KIB;
    assert!(kept > 0, "a node that keeps coming keeps credit");
    assert_eq!(hoarder.used(), 0);
    let other = root.child("other", u64::MAX).unwrap();
    other.charge(MIB).unwrap();
    assert_eq!(root.used(), MIB + 4 * KIB);
    assert!(hoarder.charge(1).is_err());
}

#[test]
fn a_minimum_is_always_there() {
    let root = root(64 * KIB);
    let guaranteed = root.child_with("guaranteed", BudgetOptions::limit(40 * KIB).minimum(20 * KIB)).unwrap();
    assert_eq!((root.used(), guaranteed.used()), (24 * KIB, 0));
    let greedy = root.child("greedy", u64::MAX).unwrap();
    greedy.charge(40 * KIB).unwrap();
    assert!(greedy.charge(1).is_err(), "the guaranteed part is not to be had");
    guaranteed.charge(20 * KIB).unwrap();
    assert!(guaranteed.charge(1).is_err());
    guaranteed.release(20 * KIB);
    assert!(greedy.charge(1).is_err());
    assert!(root.child_with("more", BudgetOptions::unlimited().minimum(KIB)).is_err());
    drop(guaranteed);
    greedy.charge(20 * KIB).unwrap();
}

#[test]
fn the_reserve_is_for_emergencies() {
    let root = root(MIB);
    let db = root.child_with("db", BudgetOptions::limit(64 * KIB).reserve(16 * KIB)).unwrap();
    let statement = db.child("statement", u64::MAX).unwrap();
    statement.charge(48 * KIB).unwrap();
    assert!(statement.charge(1).is_err());
    let refusal = statement.last_refusal().unwrap();
    assert_eq!((refusal.used_bytes(), refusal.needed_bytes()), (48 * KIB, 65 * KIB));
    statement.charge_emergency(16 * KIB).unwrap();
    assert!(statement.charge_emergency(1).is_err());
    statement.release(16 * KIB);
    assert!(statement.charge(1).is_err(), "what came from the reserve went back to it");
    statement.charge_emergency(KIB).unwrap();
    statement.release(49 * KIB);
    statement.charge(48 * KIB).unwrap();
    statement.release(48 * KIB);
    assert_eq!(db.used(), 0);
}

#[test]
fn what_came_from_the_reserve_goes_back_to_it() {
    let root = root(MIB);
    let options = BudgetOptions::limit(1000 * KIB).reserve(600 * KIB);
    let db = root.child_with("db", options).unwrap();
    for _ in 0..12 {
        db.charge(16 * KIB).unwrap();
    }
    assert!(root.used() > db.used() + 4 * KIB, "a node that keeps coming keeps credit");
    let statement = db.child("statement", u64::MAX).unwrap();
    while statement.charge(KIB).is_ok() {}
    assert_eq!(db.used(), 400 * KIB);
    statement.charge_emergency(300 * KIB).unwrap();
    statement.release(300 * KIB);
    assert!(db.charge(KIB).is_err(), "not for ordinary charges");
    statement.charge_emergency(600 * KIB).unwrap();
    statement.release(600 * KIB);
    assert_eq!((db.used(), root.used()), (400 * KIB, 404 * KIB));
}

/// The last to hold a budget may be its child: the parent goes with it, its block serves the next one, and the tree
/// lives until its last node has gone.
#[test]
fn a_parent_goes_with_its_last_child() {
    let root = root(MIB);
    let base = root.used();
    for _ in 0..2 {
        let parent = root.child_with("parent", BudgetOptions::limit(8 * KIB).keeps_refusals()).unwrap();
        let child = parent.child("child", u64::MAX).unwrap();
        drop(parent);
        assert!(child.charge(9 * KIB).is_err());
        assert_eq!(child.last_refusal().unwrap().path(), "process/parent/child");
        drop(child);
        assert_eq!((root.walk().count(), root.used()), (1, base));
    }
    let last = root.child("parent", KIB).unwrap().child("last", u64::MAX).unwrap();
    drop(root);
    last.charge(KIB).unwrap();
    assert!(last.charge(1).is_err());
    last.release(KIB);
}

struct Cache {
    budget: Budget,
    held: AtomicU64,
    blocking: bool,
}

impl Reclaim for Cache {
    fn reclaim(&self, bytes: u64) -> u64 {
        let give = bytes.min(self.held.load(Memory::Relaxed));
        self.held.fetch_sub(give, Memory::Relaxed);
        self.budget.release(give);
        give
    }
    fn is_blocking(&self) -> bool {
        self.blocking
    }
}

#[test]
fn reclaimers_are_asked_before_a_refusal() {
    let root = root(128 * KIB + 4 * KIB);
    let make = |name: &str, blocking| {
        let budget = root.child(name, u64::MAX).unwrap();
        budget.charge(50 * KIB).unwrap();
        let cache = Arc::new(Cache { budget: budget.clone(), held: AtomicU64::new(50 * KIB), blocking });
        budget.set_reclaimer(Some(cache.clone()));
        cache
    };
    let instant = make("cache", false);
    let flush = make("memtable", true);
    let asker = root.child("asker", u64::MAX).unwrap();
    asker.charge(60 * KIB).unwrap();
    assert_eq!(instant.held.load(Memory::Relaxed), 18 * KIB);
    assert!(asker.charge(30 * KIB).is_err(), "flushing is only for those who may wait");
    assert_eq!(flush.held.load(Memory::Relaxed), 50 * KIB);
    asker.charge_waiting(60 * KIB).unwrap();
    assert!(flush.held.load(Memory::Relaxed) < 50 * KIB);
    instant.budget.set_reclaimer(None);
    flush.budget.set_reclaimer(None);
}

/// Aim: a statement starts where a cache can give what it needs, and not where it cannot.
#[test]
fn reclaimers_are_asked_before_a_statement_is_not_started() {
    let root = Budget::root("root", 100 * UNIT).unwrap();
    let statement = root.child("statement", u64::MAX).unwrap();
    let budget = root.child("cache", u64::MAX).unwrap();
    let free = root.available();
    budget.charge(free - 4 * UNIT).unwrap();
    assert!(statement.admit(8 * UNIT).is_err());
    let gives = {
        let budget = budget.clone();
        move |bytes: u64| {
            let bytes = bytes.min(budget.used()).min(20 * UNIT);
            budget.release(bytes);
            bytes
        }
    };
    budget.set_reclaimer(Some(Arc::new(Asked { gives, blocking: false })));
    statement.admit(8 * UNIT).unwrap();
    assert_eq!(root.available(), 16 * UNIT, "no more than half of it shall be taken");
    budget.set_reclaimer(None);
    budget.release(budget.used());
}

/// A reclaimer that is a closure.
struct Asked<F> {
    gives: F,
    blocking: bool,
}

impl<F: Fn(u64) -> u64 + Send + Sync> Reclaim for Asked<F> {
    fn reclaim(&self, bytes: u64) -> u64 {
        (self.gives)(bytes)
    }
    fn is_blocking(&self) -> bool {
        self.blocking
    }
}

/// An observer that is a closure.
struct Told<F>(F);

impl<F: Fn(&PressureEvent) + Send + Sync> Observer for Told<F> {
    fn pressure_changed(&self, event: &PressureEvent) {
        (self.0)(event);
    }
}

/// A release too many stops its caller, and nobody else's figures change.
#[test]
fn more_than_was_charged_cannot_be_given_back() {
    let root = root(MIB);
    let (mistaken, other) =
        (root.child("mistaken", u64::MAX).unwrap(), root.child("other", u64::MAX).unwrap());
    other.charge(KIB).unwrap();
    let message = |mistake: &dyn Fn()| {
        let payload = std::panic::catch_unwind(core::panic::AssertUnwindSafe(mistake)).unwrap_err();
        *payload.downcast_ref::<&str>().unwrap()
    };
    assert_eq!(message(&|| mistaken.release(KIB)), "more is given back than was charged");
    assert_eq!(message(&|| mistaken.transfer(&other, 1).unwrap()), "more is moved than was charged");
    mistaken.charge(2 * KIB).unwrap();
    assert_eq!((mistaken.used(), root.used()), (2 * KIB, 7 * KIB));
    mistaken.release(2 * KIB);
    drop(mistaken);
    assert_eq!(root.used(), 5 * KIB);
}

#[test]
fn a_reclaimer_that_claims_too_much_is_asked_no_more() {
    let root = root(64 * KIB);
    let db = root.child("db", u64::MAX).unwrap();
    let cache = db.child("cache", u64::MAX).unwrap();
    cache.charge(50 * KIB).unwrap();
    let own = cache.clone();
    let gives = move |_| {
        own.release(own.used());
        u64::MAX
    };
    cache.set_reclaimer(Some(Arc::new(Asked { gives, blocking: false })));
    db.set_reclaimer(Some(Arc::new(Asked { gives: |_| 1, blocking: false })));
    root.child("statement", u64::MAX).unwrap().charge(30 * KIB).unwrap();
    cache.set_reclaimer(None);
    db.set_reclaimer(None);
}

#[test]
fn a_reclaimer_that_is_refused_a_charge_of_its_own_goes_on() {
    finishes(|| {
        let root = root(64 * KIB);
        let cache = root.child("cache", u64::MAX).unwrap();
        cache.charge(50 * KIB).unwrap();
        let own = cache.clone();
        let gives = move |_| {
            assert!(own.charge(64 * KIB).is_err());
            let used = own.used();
            own.release(used);
            used
        };
        cache.set_reclaimer(Some(Arc::new(Asked { gives, blocking: false })));
        root.child("statement", u64::MAX).unwrap().charge(40 * KIB).unwrap();
        cache.set_reclaimer(None);
    });
}

#[test]
#[cfg_attr(miri, ignore = "it is believed many thousand times, which is nothing for an interpreter")]
fn a_reclaimer_that_claims_what_it_did_not_give_back_ends_in_a_refusal() {
    finishes(|| {
        let root = root(64 * KIB);
        let cache = root.child("cache", u64::MAX).unwrap();
        cache.charge(50 * KIB).unwrap();
        cache.set_reclaimer(Some(Arc::new(Asked { gives: |bytes| bytes, blocking: false })));
        assert!(root.child("statement", u64::MAX).unwrap().charge(40 * KIB).is_err());
        cache.set_reclaimer(None);
    });
}

#[test]
fn an_observer_may_charge_when_a_reclaimer_releases() {
    finishes(|| {
        let root = root(64 * KIB);
        let cache = root.child("cache", u64::MAX).unwrap();
        let (log, own) = (root.child("log", u64::MAX).unwrap(), cache.clone());
        let told = move |event: &PressureEvent| {
            if event.to < event.from {
                assert!(log.charge(64 * KIB).is_err());
            }
        };
        root.set_observer(Some(Arc::new(Told(told))));
        cache.charge(58 * KIB).unwrap();
        let gives = move |_| {
            let used = own.used();
            own.release(used);
            used
        };
        cache.set_reclaimer(Some(Arc::new(Asked { gives, blocking: false })));
        root.child("statement", u64::MAX).unwrap().charge(20 * KIB).unwrap();
        cache.set_reclaimer(None);
        root.set_observer(None);
    });
}

/// The thread that flushes needs a buffer, does not get it, and goes on without.
#[test]
fn a_flush_may_be_refused_a_charge_on_another_thread() {
    finishes(|| {
        let root = root(64 * KIB);
        let memtable = root.child("memtable", u64::MAX).unwrap();
        memtable.charge(50 * KIB).unwrap();
        let own = memtable.clone();
        let flush = move || {
            assert!(own.charge(64 * KIB).is_err());
            let used = own.used();
            own.release(used);
            used
        };
        let gives = move |_| std::thread::scope(|scope| scope.spawn(&flush).join().unwrap());
        memtable.set_reclaimer(Some(Arc::new(Asked { gives, blocking: true })));
        root.child("statement", u64::MAX).unwrap().charge_waiting(20 * KIB).unwrap();
        memtable.set_reclaimer(None);
    });
}

#[derive(Default)]
struct Events {
    seen: Mutex<Vec<PressureEvent>>,
    leaks: Mutex<Vec<(String, u64)>>,
}

impl Observer for Events {
    fn pressure_changed(&self, event: &PressureEvent) {
        self.seen.lock().unwrap().push(*event);
    }
    fn leaked(&self, path: &str, bytes: u64) {
        self.leaks.lock().unwrap().push((path.into(), bytes));
    }
}

/// Charges 1 KiB at a time up to the limit and back; every level must be entered exactly at its percentage, with one
/// event each, and be visible below and not above.
#[test]
fn seed_41_pressure_changes_at_50_75_and_90_percent_with_an_event_each() {
    let root = root(MIB);
    let events = Arc::new(Events::default());
    root.set_observer(Some(events.clone()));
    let db = root.child("db", 100 * KIB).unwrap();
    let statement = db.child("statement", u64::MAX).unwrap();
    let want = |used: u64| match used {
        0..50 => Pressure::Normal,
        50..75 => Pressure::Moderate,
        75..90 => Pressure::High,
        _ => Pressure::Critical,
    };
    for used in 1..=100 {
        statement.charge(KIB).unwrap();
        assert_eq!(db.pressure(), want(used), "{used} %");
        assert_eq!(statement.pressure(), want(used), "a budget is under the pressure of those above it");
    }
    assert_eq!(root.pressure(), Pressure::Normal);
    for used in (0..100).rev() {
        statement.release(KIB);
        assert_eq!(db.pressure(), want(used), "{used} %");
    }
    let seen = events.seen.lock().unwrap();
    let levels: Vec<_> =
        seen.iter().map(|event| (event.path.as_str(), event.from as u8, event.to as u8)).collect();
    let db = "process/db";
    assert_eq!(levels, [(db, 0, 1), (db, 1, 2), (db, 2, 3), (db, 3, 2), (db, 2, 1), (db, 1, 0)]);
    assert_eq!(
        std::format!("{}", seen[2]),
        "memory pressure of process/db: high -> critical, 90.0 KiB of 100.0 KiB used"
    );
}

#[test]
fn seed_41_large_statements_are_refused_under_critical_pressure() {
    let root = root(MIB);
    let db = root.child("db", 100 * KIB).unwrap();
    db.admit(99 * KIB).unwrap();
    db.charge(90 * KIB).unwrap();
    db.admit(5 * KIB).unwrap();
    assert!(db.admit(6 * KIB).is_err());
    let refusal = db.last_refusal().unwrap();
    assert_eq!(refusal.reason(), Reason::Pressure);
    assert!(refusal.to_string().contains("large statements are not started"), "{refusal}");
    db.release(90 * KIB);
}

#[test]
fn a_budget_dropped_with_open_charges_is_a_leak_that_is_told_and_returned() {
    let root = root(MIB);
    let events = Arc::new(Events::default());
    root.set_observer(Some(events.clone()));
    let before = root.used();
    let child = root.child("forgetful", MIB).unwrap();
    child.charge(10 * KIB).unwrap();
    drop(child);
    assert_eq!(root.used(), before);
    assert_eq!(*events.leaks.lock().unwrap(), [("process/forgetful".into(), 10 * KIB)]);
}

#[test]
fn what_a_dropped_budget_was_granted_goes_all_the_way_up() {
    let root = root(8 * MIB);
    let events = Arc::new(Events::default());
    root.set_observer(Some(events.clone()));
    let db = root.child("db", u64::MAX).unwrap();
    let statement = db.child("statement", u64::MAX).unwrap();
    for _ in 0..64 {
        statement.charge(16 * KIB).unwrap();
    }
    statement.release(MIB);
    assert!(root.used() > 4 * KIB, "a node that keeps coming keeps credit");
    drop(statement);
    assert_eq!((db.used(), root.used()), (0, 4 * KIB));
    let guaranteed = db.child_with("g", BudgetOptions::unlimited().minimum(5 * MIB)).unwrap();
    assert_eq!(root.pressure(), Pressure::Moderate);
    drop(guaranteed);
    assert_eq!((root.used(), root.pressure()), (4 * KIB, Pressure::Normal));
    let told: Vec<Pressure> = events.seen.lock().unwrap().iter().map(|event| event.to).collect();
    assert_eq!(told, [Pressure::Moderate, Pressure::Normal], "and is told of at once");
}

#[test]
fn a_level_that_a_sweep_in_vain_has_left_is_told_of() {
    let root = root(MIB);
    let events = Arc::new(Events::default());
    root.set_observer(Some(events.clone()));
    let hoarder = root.child("hoarder", u64::MAX).unwrap();
    for _ in 0..32 {
        hoarder.charge(4 * KIB).unwrap();
    }
    hoarder.release(128 * KIB);
    let credit = root.used() - 4 * KIB;
    let other = root.child("other", u64::MAX).unwrap();
    other.charge(512 * KIB - credit).unwrap();
    assert_eq!((root.pressure(), events.seen.lock().unwrap().len()), (Pressure::Moderate, 1));
    assert!(other.charge(MIB).is_err());
    assert_eq!((root.pressure(), events.seen.lock().unwrap().len()), (Pressure::Normal, 2));
}

#[test]
fn a_transfer_is_never_counted_twice() {
    let root = root(104 * KIB);
    let a = root.child("a", u64::MAX).unwrap();
    let b = root.child("b", 60 * KIB).unwrap();
    let below_b = b.child("below", u64::MAX).unwrap();
    a.charge(100 * KIB).unwrap();
    assert_eq!(root.available(), 0);
    a.transfer(&below_b, 60 * KIB).unwrap();
    assert_eq!((a.used(), b.used(), below_b.used(), root.used()), (40 * KIB, 60 * KIB, 60 * KIB, 104 * KIB));
    assert!(a.transfer(&below_b, KIB).is_err());
    assert_eq!((a.used(), b.used()), (40 * KIB, 60 * KIB));
    below_b.transfer(&b, 10 * KIB).unwrap();
    b.transfer(&a, 10 * KIB).unwrap();
    assert_eq!((a.used(), b.used(), below_b.used(), root.used()), (50 * KIB, 50 * KIB, 50 * KIB, 104 * KIB));
    below_b.transfer(&below_b, 5 * KIB).unwrap();
    below_b.release(50 * KIB);
    a.release(50 * KIB);
    assert_eq!(root.used(), 4 * KIB);
}

#[test]
fn a_minimum_survives_a_transfer() {
    let root = root(128 * KIB);
    let options = BudgetOptions::limit(60 * KIB).minimum(50 * KIB);
    let tenant = root.child_with("tenant", options).unwrap();
    let (statement, other) =
        (tenant.child("statement", u64::MAX).unwrap(), root.child("other", u64::MAX).unwrap());
    statement.charge(60 * KIB).unwrap();
    other.charge(30 * KIB).unwrap();
    assert!(statement.transfer(&other, 50 * KIB).is_err(), "there is no room for the minimum and the charge");
    assert_eq!((statement.used(), tenant.used(), other.used()), (60 * KIB, 60 * KIB, 30 * KIB));
    assert_eq!(root.used(), 94 * KIB);
    statement.transfer(&other, 40 * KIB).unwrap();
    assert_eq!((statement.used(), tenant.used(), other.used()), (20 * KIB, 20 * KIB, 70 * KIB));
    assert_eq!(root.used(), 124 * KIB);
    while other.charge(KIB).is_ok() {}
    statement.charge(30 * KIB).expect("it is guaranteed, whoever fills the rest");
    statement.release(50 * KIB);
    other.release(other.used());
    drop((statement, tenant));
    assert_eq!(root.used(), 4 * KIB);
}

#[test]
fn a_transfer_sweeps_before_it_is_refused() {
    let root = root(4 * MIB);
    let db = root.child("db", 512 * KIB).unwrap();
    let hoarder = db.child("hoarder", u64::MAX).unwrap();
    for _ in 0..16 {
        hoarder.charge(8 * KIB).unwrap();
    }
    hoarder.release(128 * KIB);
    assert!(root.used() > 4 * KIB, "a node that keeps coming keeps credit");
    let (plan, cache) = (root.child("plan", u64::MAX).unwrap(), db.child("cache", u64::MAX).unwrap());
    plan.charge(512 * KIB).unwrap();
    plan.transfer(&cache, 512 * KIB).unwrap();
    assert_eq!((plan.used(), db.used(), root.used()), (0, 512 * KIB, 516 * KIB));
    cache.release(512 * KIB);
}

#[test]
fn a_limit_can_be_lowered_below_what_is_used() {
    let root = root(MIB);
    let db = root.child("db", 100 * KIB).unwrap();
    db.charge(50 * KIB).unwrap();
    db.set_limit(40 * KIB);
    assert_eq!(db.pressure(), Pressure::Critical);
    assert!(db.charge(1).is_err());
    db.release(20 * KIB);
    db.charge(10 * KIB).unwrap();
    assert!(db.charge(1).is_err());
    db.set_limit(MIB);
    assert_eq!(db.pressure(), Pressure::Normal);
    db.charge(500 * KIB).unwrap();
    db.release(540 * KIB);
}

#[test]
fn a_limit_below_the_minimum_holds() {
    let root = root(MIB);
    let db = root.child_with("db", BudgetOptions::limit(100 * KIB).minimum(50 * KIB)).unwrap();
    db.set_limit(10 * KIB);
    assert!(db.charge(11 * KIB).is_err());
    assert_eq!(root.used(), 14 * KIB, "what is guaranteed no more went back");
    db.charge(10 * KIB).unwrap();
    db.release(10 * KIB);
    db.set_limit(0);
    assert!(db.charge(1).is_err());
    assert_eq!((db.used(), root.used()), (0, 4 * KIB));
}

/// The root's own charges leave credit behind like any other node's; a lower limit must not find it still granted.
#[test]
fn a_root_that_is_charged_itself_keeps_to_a_lowered_limit() {
    let root = root(4 * MIB);
    for round in 1..=16 {
        root.charge(round * 8 * KIB).unwrap();
    }
    for round in 1..=16 {
        root.release(round * 8 * KIB);
    }
    root.set_limit(135 * KIB);
    let mut held = 0;
    while root.charge(8 * KIB).is_ok() {
        held += 8 * KIB;
        assert!(root.used() <= 135 * KIB, "{} is over the limit", root.used());
    }
    assert_eq!(held, 128 * KIB);
    root.release(held);
}

#[test]
fn refusals_are_kept_by_the_statement() {
    static PLAN: Stage = Stage::new("plan");
    let root = root(MIB);
    let one = root.child_with("one", BudgetOptions::limit(10 * KIB).keeps_refusals()).unwrap();
    let two = root.child_with("two", BudgetOptions::limit(10 * KIB).keeps_refusals()).unwrap();
    let sort = one.child("sort", u64::MAX).unwrap();
    one.set_stage(&PLAN);
    assert!(sort.charge(11 * KIB).is_err());
    assert_eq!(two.last_refusal(), None);
    assert_eq!(root.last_refusal(), None);
    let refusal = one.last_refusal().unwrap();
    assert_eq!((refusal.path(), refusal.stage(), refusal.refused_by()), ("process/one/sort", "plan", "one"));
    assert_eq!(
        refusal.with_sufficient_bytes(12 * KIB).to_string(),
        "out of memory in process/one/sort at stage plan: asked 11.0 KiB, one uses 0 B of its limit 10.0 KiB; \
         a limit of 12.0 KiB is known to suffice"
    );
    let refusal = refusal.with_sufficient_bytes(12 * KIB).with_value("repeat", 9 * KIB);
    assert_eq!((refusal.value(), refusal.sufficient_bytes()), (Some(("repeat", 9 * KIB)), None));
    assert_eq!(
        refusal.to_string(),
        "out of memory in process/one/sort at stage plan: asked 11.0 KiB, one uses 0 B of its limit 10.0 KiB; \
         one value of repeat had come to 9.0 KiB"
    );
    one.clear_refusal();
    assert_eq!(sort.last_refusal(), None);
}

#[test]
fn an_injected_refusal_hits_the_nth_charge_and_no_other() {
    let root = root(MIB);
    let a = root.child("a", MIB).unwrap();
    root.inject_refusal(3);
    assert_eq!(
        [a.charge(1), a.charge(1), a.charge(1), a.charge(1)],
        [Ok(()), Ok(()), Err(AllocError), Ok(())]
    );
    assert_eq!(a.last_refusal().unwrap().reason(), Reason::Injected);
    a.release(3 * KIB);
}

#[test]
fn seed_34_the_memory_tree_reads_well() {
    let root = root(64 * MIB);
    let db = root.child("db", MIB).unwrap();
    let statement = db.child("statement", u64::MAX).unwrap();
    statement.charge(600 * KIB).unwrap();
    statement.release(88 * KIB);
    let want = "\
budget                                limit       used       peak  pressure
process                            64.0 MiB  516.0 KiB  604.0 KiB  normal
`- db                               1.0 MiB  512.0 KiB  600.0 KiB  moderate
   `- statement                           -  512.0 KiB  600.0 KiB  moderate";
    assert_eq!(root.memory_tree().to_string(), want);
    let paths: Vec<_> = root.walk().map(|stats| stats.path.as_str().len()).collect();
    assert_eq!(paths, ["process".len(), "process/db".len(), "process/db/statement".len()]);
    statement.release(512 * KIB);
}

/// A budget as the dullest possible program keeps it.
#[derive(Clone)]
struct Model {
    parent: Option<usize>,
    limit: u64,
    own: u64,
}

fn model_used(models: &[Model], index: usize) -> u64 {
    let below: u64 = (0..models.len())
        .filter(|&child| models[child].parent == Some(index))
        .map(|child| model_used(models, child))
        .sum();
    models[index].own + below
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 3 } else { 256 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Any interleaving of charges, releases and transfers in a tree of five: every charge succeeds exactly when the
    /// model says that it fits under every limit (no over-commit, no spurious refusal, nothing stranded), and no
    /// parent ever shows more than its limit.
    #[test]
    fn seed_10_children_never_exceed_a_parent(
        limits in proptest::collection::vec(1u64..64, 5),
        steps in proptest::collection::vec(
            (0usize..5, 0u8..3, 0u64..40, 0usize..5), 1..if cfg!(miri) { 30 } else { 120 }
        ),
    ) {
        let root = Budget::root("r", (limits[0] + 8) * KIB).unwrap();
        let parents = [None, Some(0), Some(0), Some(1), Some(1)];
        let mut budgets = std::vec![root.clone()];
        for index in 1..5 {
            budgets.push(budgets[parents[index].unwrap()].child("n", limits[index] * KIB).unwrap());
        }
        let pages = root.used() / KIB;
        let mut models: Vec<Model> =
            (0..5).map(|i| Model { parent: parents[i], limit: limits[i], own: 0 }).collect();
        models[0].limit = limits[0] + 8 - pages;
        for (at, action, amount, to) in steps {
            let fits = |models: &[Model]| (0..5).all(|i| model_used(models, i) <= models[i].limit);
            let mut next = models.clone();
            match action {
                0 => {
                    next[at].own += amount;
                    let granted = budgets[at].charge(amount * KIB).is_ok();
                    prop_assert_eq!(granted, fits(&next), "charge {} at {}", amount, at);
                    if granted { models = next; }
                }
                1 => {
                    let amount = amount.min(models[at].own);
                    models[at].own -= amount;
                    budgets[at].release(amount * KIB);
                }
                _ => {
                    let amount = amount.min(models[at].own);
                    next[at].own -= amount;
                    next[to].own += amount;
                    let granted = budgets[at].transfer(&budgets[to], amount * KIB).is_ok();
                    prop_assert_eq!(granted, fits(&next), "transfer {} from {} to {}", amount, at, to);
                    if granted { models = next; }
                }
            }
            for (index, budget) in budgets.iter().enumerate() {
                prop_assert!(budget.used() <= budget.limit());
                let own = budget.walk().next().unwrap().own_bytes / KIB;
                prop_assert_eq!(own, models[index].own + if index == 0 { pages } else { 0 });
            }
        }
        for index in (0..5).rev() {
            budgets[index].release(models[index].own * KIB);
        }
    }
}

/// Eight threads charge and release under one parent that has room for exactly what they may hold together: none may
/// ever be refused, and the sum that they hold, counted independently, may never pass the limit.
#[test]
fn no_overcommit_and_no_spurious_refusal_under_contention() {
    let rounds = if cfg!(miri) { 30 } else { 3_000 };
    let threads = if cfg!(miri) { 3 } else { 8 };
    let each = 8 * KIB;
    let root = root(4 * KIB * 4 + threads * each);
    let children: Vec<Budget> = (0..threads).map(|_| root.child("worker", u64::MAX).unwrap()).collect();
    let slack = root.limit() - root.used() - threads * each;
    root.charge(slack).unwrap();
    let held = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for child in &children {
            let held = &held;
            scope.spawn(move || {
                let mut state = ptr::from_ref(child).addr() as u64 | 1;
                for _ in 0..rounds {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    let bytes = (state >> 33) % (each / KIB) * KIB + KIB;
                    child.charge(bytes).expect("there is room for everybody");
                    let now = held.fetch_add(bytes, Memory::Relaxed) + bytes;
                    assert!(now <= threads * each);
                    held.fetch_sub(bytes, Memory::Relaxed);
                    child.release(bytes);
                }
            });
        }
    });
    drop(children);
    root.release(slack);
}

/// Eight threads want twice what there is: whatever is granted must fit, whoever is refused must have a reason, and in
/// the end everything is back.
#[test]
fn what_is_granted_under_contention_never_exceeds_the_limit() {
    let rounds = if cfg!(miri) { 30 } else { 3_000 };
    let threads = if cfg!(miri) { 3u64 } else { 8 };
    let root = root(MIB);
    let db = root.child("db", 64 * KIB).unwrap();
    let held = AtomicU64::new(0);
    let refused = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for index in 0..threads {
            let child = db.child("worker", u64::MAX).unwrap();
            let (held, refused, db) = (&held, &refused, &db);
            scope.spawn(move || {
                for round in 0..rounds {
                    let bytes = ((index * 7 + round * 13) % 16 + 1) * KIB;
                    if child.charge(bytes).is_err() {
                        refused.fetch_add(1, Memory::Relaxed);
                        continue;
                    }
                    let now = held.fetch_add(bytes, Memory::SeqCst) + bytes;
                    assert!(now <= 64 * KIB && db.used() <= 64 * KIB && db.peak() <= 64 * KIB);
                    held.fetch_sub(bytes, Memory::SeqCst);
                    child.release(bytes);
                }
            });
        }
    });
    assert_eq!(db.used(), 0);
    db.charge(64 * KIB).unwrap();
    db.release(64 * KIB);
    let _ = refused;
}

/// One thread leaves a level by a release while another comes back to it by a charge, at every distance in time that
/// two threads meet by chance.
#[test]
fn a_level_that_two_threads_leave_and_enter_at_once_is_right_afterwards() {
    let rounds = if cfg!(miri) { 10 } else { 30_000 };
    let root = root(MIB);
    let options = BudgetOptions::limit(100 * KIB).minimum(100 * KIB);
    let budget = root.child_with("budget", options).unwrap();
    budget.charge(50 * KIB).unwrap();
    let turn = AtomicU64::new(0);
    let wait_for = |wanted| {
        for look in 1u32.. {
            if turn.load(Memory::Acquire) == wanted {
                return;
            }
            if look % 1000 == 0 { std::thread::yield_now() } else { core::hint::spin_loop() }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..rounds {
                wait_for(2 * round + 1);
                (0..round % 40).for_each(|_| core::hint::spin_loop());
                budget.charge(KIB).unwrap();
                turn.store(2 * round + 2, Memory::Release);
            }
        });
        for round in 0..rounds {
            turn.store(2 * round + 1, Memory::Release);
            (0..round / 40 % 40).for_each(|_| core::hint::spin_loop());
            budget.release(KIB);
            wait_for(2 * round + 2);
            assert_eq!((budget.used(), budget.pressure()), (50 * KIB, Pressure::Moderate), "round {round}");
        }
    });
}
