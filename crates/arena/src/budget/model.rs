//! Every interleaving of a few threads at one tree, by loom. Run with
//! `RUSTFLAGS="--cfg loom" cargo test --release -p cofferdam-arena --lib model`.

use super::*;
use core::sync::atomic::{AtomicU64, Ordering as Memory};
use loom::thread;

const KIB: u64 = 1024;

/// A tree whose root has room for `room` KiB beside its own page.
fn root_with_room(room: u64) -> Budget {
    Budget::root("r", (4 + room) * KIB).unwrap()
}

/// Makes a node keep credit from its next charge on, as one that has come back often.
fn make_eager(budget: &Budget) {
    let _state = budget.tree().lock();
    budget.node().cold.refills_count.set(100);
}

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    // Two find what three found in a thirtieth of the time; LOOM_MAX_PREEMPTIONS asks for more.
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(model);
}

/// Two threads under one parent, with room for exactly what both may hold: nobody is ever refused, and what they hold
/// together, counted outside loom, never passes the room.
#[test]
fn two_children_share_a_parent_without_overcommit_or_spurious_refusal() {
    explore(|| {
        let root = root_with_room(2);
        let held = Arc::new(AtomicU64::new(0));
        let worker = |budget: Budget, held: Arc<AtomicU64>| {
            move || {
                for _ in 0..2 {
                    budget.charge(KIB).expect("there is room for both");
                    assert!(held.fetch_add(1, Memory::SeqCst) < 2);
                    held.fetch_sub(1, Memory::SeqCst);
                    budget.release(KIB);
                }
            }
        };
        let a = root.child("a", u64::MAX).unwrap();
        let b = root.child("b", u64::MAX).unwrap();
        let one = thread::spawn(worker(a, held.clone()));
        worker(b, held)();
        one.join().unwrap();
        assert_eq!(root.used(), 4 * KIB);
    });
}

/// One thread keeps spending and refunding its own credit on the fast path while the other needs a sweep to get what
/// is free: the seals must make the sweep see all of it.
#[test]
fn a_sweep_sees_all_credit_while_another_thread_moves_it() {
    explore(|| {
        let root = root_with_room(40);
        let hoarder = root.child("hoarder", u64::MAX).unwrap();
        make_eager(&hoarder);
        hoarder.charge(KIB).unwrap();
        let credit = hoarder.node().load().credit();
        assert!(credit > 0, "the hoarder has credit to be swept");
        let other = root.child("other", u64::MAX).unwrap();
        let mover = thread::spawn(move || {
            hoarder.release(KIB);
            hoarder.charge(KIB).expect("one is always left for the hoarder");
            hoarder
        });
        other.charge(39 * KIB).expect("all but the hoarder's one is free at every instant");
        let hoarder = mover.join().unwrap();
        assert_eq!((root.used(), other.used(), hoarder.used()), (44 * KIB, 39 * KIB, KIB));
        hoarder.release(KIB);
        other.release(39 * KIB);
    });
}

/// A budget with a minimum is made while another thread's sweep looks for credit: only one of the two can have what
/// is free.
#[test]
fn a_minimum_is_safe_from_a_sweep_from_the_first_moment() {
    explore(|| {
        let root = root_with_room(10);
        let other = root.child("other", u64::MAX).unwrap();
        let sweeper = thread::spawn(move || {
            let got = other.charge(8 * KIB).is_ok();
            (other, got)
        });
        let guaranteed = root.child_with("guaranteed", BudgetOptions::unlimited().minimum(4 * KIB));
        let (other, got) = sweeper.join().unwrap();
        if let Ok(guaranteed) = guaranteed {
            assert!(!got, "what was guaranteed is not free");
            guaranteed.charge(4 * KIB).expect("guaranteed");
            guaranteed.release(4 * KIB);
        }
        if got {
            other.release(8 * KIB);
        }
    });
}

/// The last handles of two siblings go in two threads: the tree's lists stay whole and every grant comes back.
#[test]
fn handles_may_be_dropped_anywhere() {
    explore(|| {
        let root = root_with_room(4);
        let a = root.child("a", u64::MAX).unwrap();
        let b = a.child("b", u64::MAX).unwrap();
        b.charge(KIB).unwrap();
        let one = thread::spawn(move || {
            b.release(KIB);
            drop(b);
        });
        drop(a);
        one.join().unwrap();
        assert_eq!(root.used(), 4 * KIB);
        assert_eq!(root.walk().count(), 1);
    });
}

/// A thread makes small arenas of a budget that keeps their chunks while another one wants all that there is: it has it as long as
/// no arena has its chunk, and nothing is lost.
#[test]
fn what_is_kept_is_given_up_or_taken_but_not_both() {
    explore(|| {
        let root = root_with_room(20);
        let keeper = root.child_with("keeper", BudgetOptions::unlimited().keeps_chunks()).unwrap();
        drop(crate::Arena::with_capacity(&keeper, 1).unwrap());
        assert_eq!(keeper.used(), KIB);
        let other = root.child("other", u64::MAX).unwrap();
        let held = Arc::new(AtomicU64::new(0));
        let count = held.clone();
        let maker = thread::spawn(move || {
            if let Ok(arena) = crate::Arena::with_capacity(&keeper, 1) {
                assert!(count.fetch_add(1, Memory::SeqCst) < 2);
                count.fetch_sub(1, Memory::SeqCst);
                drop(arena);
            }
            keeper
        });
        if other.charge(20 * KIB).is_ok() {
            assert_eq!(held.fetch_add(2, Memory::SeqCst), 0);
            held.fetch_sub(2, Memory::SeqCst);
            other.release(20 * KIB);
        }
        let keeper = maker.join().unwrap();
        other.charge(20 * KIB).expect("nobody holds anything");
        assert_eq!((root.used(), keeper.used()), (24 * KIB, 0));
        other.release(20 * KIB);
    });
}
