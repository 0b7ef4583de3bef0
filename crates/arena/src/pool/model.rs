//! Every interleaving of a few threads at one shared pool, by loom. Run with
//! `RUSTFLAGS="--cfg loom" cargo test --release -p cofferdam-arena --lib model`.

use super::*;
use loom::thread;

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(model);
}

fn pool<T>(free_count: usize) -> (Budget, SharedPool<T>, Vec<Shared<T>>)
where
    T: Default,
{
    let budget = Budget::unlimited("r").unwrap();
    let pool = SharedPool::new(&budget).unwrap();
    let mut held = alloc::vec![pool.get(T::default()).unwrap()];
    while pool.stats().free_count > free_count {
        held.push(pool.get(T::default()).unwrap());
    }
    (budget, pool, held)
}

/// Two threads take, give back and take again, with two free slots: the pattern in which a stack without a tag hands
/// one slot to both (ABA). Each must find its own value.
#[test]
fn two_threads_never_get_the_same_slot() {
    explore(|| {
        let (_budget, pool, held) = pool::<usize>(2);
        let worker = |pool: SharedPool<usize>, stamp: usize| {
            move || {
                let first = pool.get(stamp).unwrap();
                assert_eq!(*first, stamp);
                drop(first);
                let second = pool.get(stamp + 1).unwrap();
                assert_eq!(*second, stamp + 1);
            }
        };
        let other = thread::spawn(worker(pool.clone(), 10));
        worker(pool.clone(), 20)();
        other.join().unwrap();
        drop(held);
        assert_eq!(pool.stats().live_count, 0);
    });
}

/// Two threads drop the last two handles of an object: its value is dropped once, after both have read it, and the
/// slot comes back. The tracked cell in the slot fails the model where a read is not ordered before the drop.
#[test]
fn the_last_of_two_handles_drops_the_object_once() {
    explore(|| {
        let budget = Budget::unlimited("r").unwrap();
        let pool = SharedPool::new(&budget).unwrap();
        let drops = alloc::sync::Arc::new(());
        let object = pool.get(drops.clone()).unwrap();
        let twin = object.clone();
        let other = thread::spawn(move || {
            assert!(alloc::sync::Arc::strong_count(&twin) >= 1);
        });
        assert!(alloc::sync::Arc::strong_count(&object) >= 1);
        drop(object);
        other.join().unwrap();
        assert_eq!((alloc::sync::Arc::strong_count(&drops), pool.stats().live_count), (1, 0));
        drop(pool);
        assert_eq!(budget.used(), 4096);
    });
}

/// Two threads find the pool empty: one grows it, and the other takes from that chunk instead of taking another.
#[test]
fn two_threads_that_find_the_pool_empty_grow_it_once() {
    explore(|| {
        let budget = Budget::unlimited("r").unwrap();
        let pool = SharedPool::<usize>::new(&budget).unwrap();
        let twin = pool.clone();
        let other = thread::spawn(move || twin.get(1).unwrap());
        let mine = pool.get(2).unwrap();
        let theirs = other.join().unwrap();
        assert_eq!((*mine, *theirs, pool.stats().chunks_count), (2, 1, 1));
    });
}

/// The pool's handle and the last object go in two threads: the core goes once, and all memory comes back.
#[test]
fn the_last_handle_of_any_kind_gives_the_memory_back() {
    explore(|| {
        let budget = Budget::unlimited("r").unwrap();
        let pool = SharedPool::<usize>::new(&budget).unwrap();
        let object = pool.get(1).unwrap();
        let other = thread::spawn(move || drop(object));
        drop(pool);
        other.join().unwrap();
        assert_eq!(budget.used(), 4096);
    });
}
