//! Pools: recycling, drops, charges, growth under limits, shrinking, and threads.

extern crate std;
use super::*;
use std::string::{String, ToString};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::vec::Vec;

const KIB: u64 = 1024;
const ROUNDS: usize = if cfg!(miri) { 40 } else { 4000 };

fn budget(limit: u64) -> Budget {
    Budget::root("process", limit + 64 * KIB).unwrap().child("pool", limit).unwrap()
}

/// Counts its drops.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn an_empty_pool_takes_nothing() {
    let budget = budget(64 * KIB);
    let pool = Pool::<u64>::new(&budget);
    assert_eq!((pool.stats().allocated_bytes, budget.used()), (0, 0));
    assert_eq!(pool.shrink(), 0);
}

#[test]
fn seed_39_a_slot_is_recycled_and_the_figures_show_it() {
    let budget = budget(64 * KIB);
    let pool = Pool::new(&budget);
    let kept = pool.get([1u64; 8]).unwrap();
    for round in 0..100u64 {
        let object = pool.get([round; 8]).unwrap();
        assert_eq!(object[7], round);
    }
    let stats = pool.stats();
    assert_eq!((stats.live_count, stats.recycled_count, stats.chunks_count), (1, 100, 1));
    assert_eq!(stats.allocated_bytes as u64, budget.used());
    assert_eq!(kept[0], 1);
    assert_eq!(stats.to_string(), "1 live and 13 free in 1 chunks (1.0 KiB), 100 recycled");
}

#[test]
fn seed_39_a_chunk_holds_at_most_1024_objects() {
    let budget = budget(64 << 20);
    let pool = Pool::new(&budget);
    let objects: Vec<_> = (0..ROUNDS).map(|n| pool.get(n as u64).unwrap()).collect();
    assert!(objects.iter().enumerate().all(|(n, object)| **object == n as u64));
    let stats = pool.stats();
    assert!((stats.live_count + stats.free_count) <= stats.chunks_count * POOL_CHUNK_OBJECTS);
    if !cfg!(miri) {
        assert!(stats.chunks_count >= 4, "{stats}");
    }
}

#[test]
fn every_alignment_and_size_has_its_slots_apart() {
    #[repr(align(256))]
    struct Wide(u8);
    let budget = budget(1 << 20);
    let (wide, small, empty) = (Pool::new(&budget), Pool::new(&budget), Pool::new(&budget));
    let wides: Vec<_> = (0..40).map(|n| wide.get(Wide(n)).unwrap()).collect();
    let smalls: Vec<_> = (0..200u8).map(|n| small.get(n).unwrap()).collect();
    let _empties: Vec<_> = (0..200).map(|_| empty.get(()).unwrap()).collect();
    for (n, object) in wides.iter().enumerate() {
        assert_eq!((object.0 as usize, (&raw const **object).addr() % 256), (n, 0));
    }
    assert!(smalls.iter().enumerate().all(|(n, object)| **object as usize == n));
}

#[test]
fn values_that_need_drop_are_dropped_once() {
    let budget = budget(64 * KIB);
    let drops = Arc::new(AtomicUsize::new(0));
    let pool = Pool::new(&budget);
    let held: Vec<_> = (0..10).map(|_| pool.get(Counted(drops.clone())).unwrap()).collect();
    drop(pool.get(Counted(drops.clone())));
    assert_eq!(drops.load(Ordering::Relaxed), 1);
    drop(held);
    assert_eq!(drops.load(Ordering::Relaxed), 11);
    drop(pool);
    assert_eq!((drops.load(Ordering::Relaxed), budget.used()), (11, 0));
}

#[test]
fn a_value_whose_drop_panics_gives_its_slot_back() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    let budget = budget(64 * KIB);
    let pool = Pool::new(&budget);
    let shared = SharedPool::new(&budget).unwrap();
    let (object, handle) = (pool.get(Panics).unwrap(), shared.get(Panics).unwrap());
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(object))).is_err());
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(handle))).is_err());
    assert_eq!((pool.stats().live_count, shared.stats().live_count), (0, 0));
}

#[test]
fn a_value_that_cannot_be_made_gives_its_slot_back() {
    let pool = Pool::<u64>::new(&budget(64 * KIB));
    let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = pool.get_with(|| panic!("on purpose"));
    }));
    assert!(made.is_err());
    assert_eq!((pool.stats().live_count, *pool.get_with(|| 7).unwrap()), (0, 7));
}

#[test]
fn a_forgotten_box_leaks_its_value_and_no_budget() {
    let budget = budget(64 * KIB);
    let pool = Pool::new(&budget);
    core::mem::forget(pool.get(7u64).unwrap());
    drop(pool);
    assert_eq!(budget.used(), 0);
}

#[test]
fn a_refused_chunk_is_a_typed_error_and_the_pool_goes_on() {
    let budget = budget(4 * KIB);
    let drops = Arc::new(AtomicUsize::new(0));
    let pool = Pool::new(&budget);
    let mut held = Vec::new();
    while let Ok(object) = pool.get((Counted(drops.clone()), [0u64; 15])) {
        held.push(object);
    }
    assert_eq!(drops.load(Ordering::Relaxed), 1, "the refused value is dropped");
    assert_eq!((budget.used(), budget.last_refusal().unwrap().refused_by()), (4 * KIB, "pool"));
    assert!(held.len() >= 24, "{}", held.len());
    held.pop();
    held.push(pool.get((Counted(drops.clone()), [0u64; 15])).unwrap());
}

#[test]
fn one_object_larger_than_a_share_of_the_limit_still_fits() {
    let budget = budget(64 * KIB);
    let pool = Pool::new(&budget);
    let object = pool.get([7u8; 20 * KIB as usize]).unwrap();
    assert_eq!(object[20 * KIB as usize - 1], 7);
    assert_eq!(budget.used(), 32 * KIB);
}

#[test]
fn shrink_gives_back_the_chunks_in_which_nothing_lives() {
    let budget = budget(4 << 20);
    let pool = Pool::new(&budget);
    let mut objects: Vec<_> = (0..ROUNDS).map(|n| pool.get([n; 8]).unwrap()).collect();
    let peak = budget.used();
    assert_eq!(pool.shrink(), 0, "everything lives");
    let mut kept = Vec::new();
    for (n, object) in objects.drain(..).enumerate() {
        if n % (ROUNDS / 2) == 5 {
            kept.push(object);
        }
    }
    let released = pool.shrink();
    assert_eq!(budget.used(), peak - released);
    assert!(pool.stats().chunks_count <= 3, "{}", pool.stats());
    let more: Vec<_> = (0..ROUNDS).map(|n| pool.get([n + 1; 8]).unwrap()).collect();
    assert!(more.iter().enumerate().all(|(n, object)| **object == [n + 1; 8]));
    assert_eq!((kept[0][0], kept[1][0]), (5, ROUNDS / 2 + 5));
    drop((more, kept));
    pool.shrink();
    assert_eq!((budget.used(), pool.stats().chunks_count, pool.stats().free_count), (0, 0, 0));
    assert_eq!(*pool.get([3; 8]).unwrap(), [3; 8]);
}

std::thread_local! {
    static SHRINKING: std::cell::Cell<Option<&'static Pool<u64>>> = const { std::cell::Cell::new(None) };
    static TAKEN: std::cell::RefCell<Vec<PoolBox<'static, u64>>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Takes what a pool has whenever it hears of pressure.
struct Taker;

impl crate::Observer for Taker {
    fn pressure_changed(&self, _event: &crate::PressureEvent) {
        let Some(pool) = SHRINKING.get() else { return };
        while let Ok(object) = pool.get(0) {
            TAKEN.with_borrow_mut(|taken| taken.push(object));
        }
    }
}

/// A shrink passes all levels of pressure on its way down, and at each the observer empties the pool.
#[test]
fn an_observer_may_use_the_pool_that_shrinks() {
    let root = Budget::root("process", 20 * KIB).unwrap();
    let place = Box::into_raw(Box::new(Pool::new(&root)));
    // SAFETY: it is dropped at the end of the test, after the last use.
    let pool: &'static Pool<u64> = unsafe { &*place };
    root.set_observer(Some(Arc::new(Taker)));
    let mut held: Vec<_> = core::iter::from_fn(|| pool.get(u64::MAX).ok()).collect();
    held.truncate(10);
    SHRINKING.set(Some(pool));
    assert!(pool.shrink() > 0);
    SHRINKING.set(None);
    let mut taken = TAKEN.take();
    assert!(taken.len() > 10);
    for (value, object) in taken.iter_mut().enumerate() {
        **object = value as u64;
    }
    assert!(taken.iter().enumerate().all(|(value, object)| **object == value as u64), "each its own slot");
    assert!(held.iter().all(|object| **object == u64::MAX));
    assert_eq!(pool.stats().live_count, held.len() + taken.len());
    assert_eq!(pool.stats().allocated_bytes as u64 + 4 * KIB, root.used());
    root.set_observer(None);
    drop((held, taken));
    // SAFETY: made above; nobody refers to it any more.
    drop(unsafe { Box::from_raw(place) });
    assert_eq!(root.used(), 4 * KIB);
}

/// Method: a random walk of get, drop and shrink against a vector of what should be there.
#[test]
fn any_order_of_gets_drops_and_shrinks_keeps_the_objects_apart() {
    let budget = budget(4 << 20);
    let pool = Pool::new(&budget);
    let mut held: Vec<(u64, PoolBox<'_, [u64; 3]>)> = Vec::new();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for step in 0..ROUNDS as u64 * 4 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match (random >> 33) % 16 {
            0 if random >> 40 & 7 == 0 => {
                pool.shrink();
            }
            0..=6 if !held.is_empty() => {
                let at = (random >> 35) as usize % held.len();
                let (stamp, object) = held.swap_remove(at);
                assert_eq!(*object, [stamp; 3]);
            }
            _ => held.push((step, pool.get([step; 3]).unwrap())),
        }
        assert_eq!(pool.stats().live_count, held.len());
    }
    assert!(held.iter().all(|(stamp, object)| **object == [*stamp; 3]));
    drop(held);
    pool.shrink();
    assert_eq!(budget.used(), 0);
}

#[test]
fn seed_40_an_object_lives_as_long_as_its_last_handle() {
    let budget = budget(64 * KIB);
    let drops = Arc::new(AtomicUsize::new(0));
    let pool = SharedPool::new(&budget).unwrap();
    let mut first = pool.get(Counted(drops.clone())).unwrap();
    assert!(Shared::get_mut(&mut first).is_some());
    let second = first.clone();
    assert!(Shared::get_mut(&mut first).is_none() && Shared::is_same(&first, &second));
    assert_eq!(Shared::references_count(&second), 2);
    drop(first);
    assert_eq!((drops.load(Ordering::Relaxed), pool.stats().live_count), (0, 1));
    drop(pool);
    assert!(budget.used() > 0, "the handle keeps the pool's memory");
    drop(second);
    assert_eq!((drops.load(Ordering::Relaxed), budget.used()), (1, 0));
}

#[test]
fn seed_40_shared_slots_are_recycled_and_the_figures_show_it() {
    let budget = budget(1 << 20);
    let pool = SharedPool::new(&budget).unwrap();
    let held: Vec<_> = (0..ROUNDS / 4).map(|n| pool.get(n).unwrap()).collect();
    for n in 0..ROUNDS {
        assert_eq!(*pool.get(n).unwrap(), n);
    }
    assert!(held.iter().enumerate().all(|(n, object)| **object == n));
    let stats = pool.stats();
    assert_eq!((stats.live_count, stats.recycled_count as usize), (ROUNDS / 4, ROUNDS));
    assert_eq!(stats.allocated_bytes as u64, budget.used());
}

#[test]
fn a_shared_pool_shrinks_only_when_nobody_can_see_its_slots() {
    let budget = budget(1 << 20);
    let mut pool = SharedPool::new(&budget).unwrap();
    let base = budget.used();
    let object = pool.get([1u8; 100]).unwrap();
    assert_eq!(pool.shrink(), 0, "an object is live");
    drop(object);
    let other = pool.clone();
    assert_eq!(pool.shrink(), 0, "there is another handle");
    drop(other);
    assert!(pool.shrink() > 0);
    assert_eq!(budget.used(), base);
    assert_eq!(*pool.get([2u8; 100]).unwrap(), [2u8; 100]);
    assert_eq!((pool.stats().recycled_count, pool.stats().live_count), (2, 0));
}

#[test]
fn a_shared_pool_at_its_limit_refuses_and_goes_on() {
    let budget = budget(4 * KIB);
    let pool = SharedPool::new(&budget).unwrap();
    let mut held = Vec::new();
    while let Ok(object) = pool.get([held.len(); 8]) {
        held.push(object);
    }
    assert_eq!(budget.last_refusal().unwrap().refused_by(), "pool");
    assert!(held.iter().enumerate().all(|(n, object)| **object == [n; 8]));
    held.pop();
    assert!(pool.get([0; 8]).is_ok());
}

/// Looks at the figures of a pool, and takes from it, whenever it hears of pressure.
struct Curious {
    pool: SharedPool<[u64; 64]>,
    chunks_seen: AtomicUsize,
    refused: AtomicUsize,
}

impl crate::Observer for Curious {
    fn pressure_changed(&self, _event: &crate::PressureEvent) {
        self.chunks_seen.fetch_add(self.pool.stats().chunks_count, Ordering::Relaxed);
        self.refused.fetch_add(usize::from(self.pool.get([2; 64]).is_err()), Ordering::Relaxed);
    }
}

#[test]
fn an_observer_may_use_the_shared_pool_that_grows() {
    crate::sync::finishes(|| {
        let root = Budget::root("process", 64 * KIB).unwrap();
        let pool = SharedPool::new(&root).unwrap();
        let curious =
            Curious { pool: pool.clone(), chunks_seen: AtomicUsize::new(0), refused: AtomicUsize::new(0) };
        let curious = Arc::new(curious);
        root.set_observer(Some(curious.clone()));
        let held: Vec<_> = core::iter::from_fn(|| pool.get([1u64; 64]).ok()).collect();
        assert!(held.iter().all(|object| **object == [1; 64]));
        assert!(curious.chunks_seen.load(Ordering::Relaxed) > 0);
        assert!(curious.refused.load(Ordering::Relaxed) > 0, "the pool was empty at that moment");
        root.set_observer(None);
        drop(held);
        assert_eq!(pool.stats().live_count, 0);
    });
}

/// Method: four threads take, share and drop objects of one pool; each object must keep the text that was put there.
#[test]
fn seed_40_threads_never_get_the_same_slot() {
    let budget = budget(4 << 20);
    let pool = SharedPool::<String>::new(&budget).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let pool = pool.clone();
            scope.spawn(move || {
                let mut held: Vec<(String, Shared<String>)> = Vec::new();
                for round in 0..ROUNDS {
                    let text = std::format!("{thread}/{round}");
                    held.push((text.clone(), pool.get(text).unwrap()));
                    if round % 3 == 0 {
                        let (text, object) = held.swap_remove(round / 3 % held.len());
                        assert_eq!(*object, text);
                        drop(object.clone());
                    }
                    if held.len() > 20 {
                        held.clear();
                    }
                }
                assert!(held.iter().all(|(text, object)| **object == *text));
            });
        }
    });
    assert_eq!(pool.stats().live_count, 0);
    drop(pool);
    assert_eq!(budget.used(), 0);
}
