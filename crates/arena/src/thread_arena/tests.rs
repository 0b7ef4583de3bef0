//! The size decision, scratch, nodes that are recycled, and parts that are spliced.

extern crate std;
use super::*;
use std::string::ToString;
use std::vec::Vec;

const KIB: u64 = 1024;
const ROUNDS: usize = if cfg!(miri) { 30 } else { 2000 };

fn budgets(limit: u64) -> (Budget, Budget, Budget) {
    let root = Budget::root("process", limit + 64 * KIB).unwrap();
    let (workers, statement) =
        (root.child("workers", limit).unwrap(), root.child("statement", limit).unwrap());
    (root, workers, statement)
}

/// Method: every size, kind, level of pressure and state of the pool against the seed's decision tree as it stands.
#[test]
fn seed_39_the_size_decision_is_the_seeds() {
    use Pressure::*;
    let interesting = [0, 1, 63, 64, 65, 1023, 1024, 1025, 2999];
    let sizes: Vec<usize> = if cfg!(miri) { interesting.into() } else { (0..3000).collect() };
    for size in sizes {
        for (is_node, has_recycled) in [(true, true), (true, false), (false, true), (false, false)] {
            for pressure in [Normal, Moderate, High, Critical] {
                let is_pooled = size <= 64 && (is_node || pressure >= Moderate);
                let want = match (is_pooled, has_recycled) {
                    (true, true) => SizeClass::RecycledNode,
                    (true, false) => SizeClass::PoolNode,
                    _ if size <= 1024 => SizeClass::Small,
                    _ => SizeClass::Large,
                };
                let layout = Layout::from_size_align(size, 8).unwrap();
                assert_eq!(SizeClass::of(layout, is_node, pressure, has_recycled), want, "{size} {pressure}");
            }
        }
    }
    let page = Layout::from_size_align(64, 4096).unwrap();
    assert_eq!(SizeClass::of(page, true, Normal, true), SizeClass::Small, "no slot is aligned to a page");
}

#[test]
fn seed_39_objects_go_where_their_size_says_and_recycling_is_visible() {
    let (_root, workers, _) = budgets(4 << 20);
    let arenas = ThreadArenas::new(&workers, "worker").unwrap();
    assert_eq!(arenas.budget().used(), 0, "taken lazily");
    let node = arenas.alloc_node([1u64; 8]).unwrap();
    assert!(ScratchBox::is_pooled(&node));
    drop(node);
    let node = arenas.alloc_node([2u64; 8]).unwrap();
    let small = arenas.alloc_box([3u8; 64]).unwrap();
    let large = arenas.alloc_box([4u8; 1025]).unwrap();
    assert!(!ScratchBox::is_pooled(&small) && !ScratchBox::is_pooled(&large));
    let stats = arenas.stats();
    assert_eq!(
        (stats.recycled_count, stats.pooled_count, stats.small_count, stats.large_count),
        (1, 1, 1, 1)
    );
    assert_eq!((node[0], small[63], large[1024]), (2, 3, 4));
    let shown = stats.to_string();
    assert!(shown.starts_with("nodes: 1 in used slots, 1 in fresh ones"), "{shown}");
}

#[test]
fn seed_41_pools_are_preferred_from_moderate_pressure_on() {
    let (_root, workers, _) = budgets(64 * KIB);
    let arenas = ThreadArenas::new(&workers, "worker").unwrap();
    assert!(!ScratchBox::is_pooled(&arenas.alloc_box(1u64).unwrap()));
    workers.charge(33 * KIB).unwrap();
    assert_eq!(workers.pressure(), Pressure::Moderate);
    assert!(ScratchBox::is_pooled(&arenas.alloc_box(1u64).unwrap()));
    workers.release(33 * KIB);
    assert!(!ScratchBox::is_pooled(&arenas.alloc_box(1u64).unwrap()));
}

#[test]
fn the_small_arena_stops_at_its_cap_and_overflows_into_the_large_one() {
    let (_root, workers, _) = budgets(16 << 20);
    let mut arenas = ThreadArenas::new(&workers, "worker").unwrap();
    let boxes: Vec<_> = (0..400).map(|n| arenas.alloc_box([n as u64; 128]).unwrap()).collect();
    assert!(boxes.iter().enumerate().all(|(n, object)| object[127] == n as u64));
    drop(boxes);
    let stats = arenas.stats();
    assert!(
        stats.small.allocated_bytes as u64 <= SMALL_BYTES_CAP && stats.large.used_bytes > 100 * 1024,
        "{stats}"
    );
    assert_eq!(workers.last_refusal(), None, "an overflow is no refusal");
    let mut taken = 0;
    while arenas.alloc_box([0u8; 60 * 1024]).is_ok() {
        taken += 60 * KIB;
    }
    assert!(taken > LARGE_BYTES_CAP / 2 && arenas.stats().large.allocated_bytes as u64 <= LARGE_BYTES_CAP);
    assert_eq!(workers.last_refusal().unwrap().refused_by(), "large");
    let charged = workers.used();
    arenas.reset();
    assert_eq!((workers.used(), arenas.stats().large.used_bytes), (charged, 0));
    arenas.release();
    assert_eq!(workers.used(), 0);
}

#[test]
fn a_box_drops_its_value_wherever_it_lies() {
    let (_root, workers, _) = budgets(1 << 20);
    let arenas = ThreadArenas::new(&workers, "worker").unwrap();
    let value = std::sync::Arc::new(());
    let held = (
        arenas.alloc_node(value.clone()).unwrap(),
        arenas.alloc_box(value.clone()).unwrap(),
        arenas.alloc_box((value.clone(), [0u8; 2000])).unwrap(),
    );
    assert_eq!(std::sync::Arc::strong_count(&value), 4);
    drop(held);
    assert_eq!(std::sync::Arc::strong_count(&value), 1);
}

#[test]
fn scratch_is_served_by_size_class() {
    let (_root, workers, _) = budgets(1 << 20);
    let arenas = ThreadArenas::new(&workers, "worker").unwrap();
    let mut text = crate::collections::String::new_in(arenas.scratch(100));
    text.push_str("short").unwrap();
    arenas.scratch(100_000).alloc_slice_fill(1000, 1u64).unwrap();
    let stats = arenas.stats();
    assert!((5..100).contains(&stats.small.used_bytes) && stats.large.used_bytes >= 8000, "{stats}");
}

#[test]
fn a_splice_takes_the_statements_results_and_leaves_the_scratch() {
    let (_root, workers, budget) = budgets(1 << 20);
    let mut statement = Arena::new(&budget);
    let own = statement.alloc(1u64).unwrap();
    let arenas = ThreadArenas::new(&workers, "worker").unwrap();
    arenas.scratch(9000).alloc_slice_fill(2000, 0u64).unwrap();
    let locs: Vec<_> = (0..ROUNDS).map(|n| arenas.part().alloc([n; 3]).unwrap()).collect();
    let name = arenas.part().alloc_str("name").unwrap();
    let part_bytes = arenas.stats().part.allocated_bytes as u64;
    let taken = arenas.splice_into(&statement).unwrap();
    assert_eq!((workers.used(), budget.used()), (0, part_bytes + KIB));
    *own += 1;
    let more: Vec<_> = (0..ROUNDS).map(|n| statement.alloc([n; 2]).unwrap()).collect();
    assert!(locs.iter().enumerate().all(|(n, loc)| taken.get(*loc) == Ok(&[n; 3])));
    assert!(more.iter().enumerate().all(|(n, value)| **value == [n; 2]));
    assert_eq!((taken.get(name), *own), (Ok("name"), 2));
    let stats = statement.stats();
    assert_eq!(statement.chunk_sizes().sum::<usize>(), stats.allocated_bytes);
    assert_eq!(statement.chunk_sizes().count(), stats.chunks_count);
    assert!(stats.used_bytes >= ROUNDS * 40);
    statement.reset();
    let charged = budget.used();
    for n in 0..ROUNDS {
        statement.alloc([n; 5]).unwrap();
    }
    assert_eq!(budget.used(), charged, "the adopted chunks are used again");
    statement.release();
    assert_eq!(budget.used(), 0);
}

#[test]
fn an_empty_statement_goes_on_behind_the_last_result() {
    let (_root, workers, budget) = budgets(1 << 20);
    let statement = Arena::new(&budget);
    for worker in 0..3u64 {
        let part = StatementPart::new(&workers);
        let loc = part.alloc(worker).unwrap();
        assert_eq!(part.get(loc), Ok(&worker));
        let taken = part.splice_into(&statement).unwrap();
        let after = statement.alloc(worker + 10).unwrap();
        assert_eq!((taken.get(loc), *after), (Ok(&worker), worker + 10));
    }
    assert_eq!((workers.used(), budget.used(), statement.stats().chunks_count), (0, 3 * KIB, 3));
    assert_eq!(statement.stats().used_bytes, 48);
    let empty = StatementPart::new(&workers).splice_into(&statement).unwrap();
    assert_eq!(statement.stats().chunks_count, 3);
    let part = StatementPart::new(&workers);
    let foreign = part.alloc(1u8).unwrap();
    assert_eq!(empty.get(foreign), Err(LocError::Foreign));
}

#[test]
fn chunks_that_hold_nothing_stay_with_whoever_paid() {
    let (_root, workers, budget) = budgets(4 << 20);
    let statement = Arena::new(&budget);
    let mut arena = Arena::new(&workers);
    for _ in 0..100 {
        arena.alloc([0u8; 900]).unwrap();
    }
    arena.reset();
    arena.alloc(1u8).unwrap();
    let first = arena.chunk_sizes().next().unwrap() as u64;
    assert!(first < workers.used());
    statement.adopt(arena).unwrap();
    assert_eq!((workers.used(), budget.used()), (0, first));
    let mut unused = Arena::new(&workers);
    unused.alloc(1u8).unwrap();
    unused.reset();
    statement.adopt(unused).unwrap();
    assert_eq!((workers.used(), budget.used()), (0, first));
}

#[test]
fn a_refused_splice_gives_the_part_back_with_the_reason() {
    let (_root, workers, _) = budgets(1 << 20);
    let small = workers.child("statement", 2 * KIB).unwrap();
    let statement = Arena::new(&small);
    let mut arenas = ThreadArenas::new(&workers, "worker").unwrap();
    let loc = arenas.part().alloc([7u8; 5000]).unwrap();
    let used = arenas.budget().used();
    let refused = arenas.take_part().splice_into(&statement).unwrap_err();
    assert_eq!((refused.error, small.used()), (SpliceError::OutOfMemory(AllocError), 0));
    assert_eq!(small.last_refusal().unwrap().refused_by(), "statement");
    assert_eq!((refused.part.get(loc), arenas.budget().used()), (Ok(&[7; 5000]), used));
    let elsewhere = Budget::unlimited("elsewhere").unwrap();
    let foreign = Arena::new(&elsewhere);
    let refused = refused.part.splice_into(&foreign).unwrap_err();
    assert_eq!(refused.error, SpliceError::OtherTree);
    assert!(refused.to_string().contains("copy the values instead"));
    drop(refused);
    assert_eq!(arenas.budget().used(), 0);
}

#[test]
fn a_splice_within_a_scope_lives_as_long_as_the_scope() {
    let (_root, workers, budget) = budgets(1 << 20);
    let mut statement = Arena::new(&budget);
    {
        let scope = statement.scope();
        let part = StatementPart::new(&workers);
        let loc = part.alloc(5u64).unwrap();
        let taken = part.splice_into(&scope).unwrap();
        let beside = scope.alloc([1u8; 3000]).unwrap();
        assert_eq!((taken.get(loc), beside[0]), (Ok(&5), 1));
    }
    for n in 0..100u64 {
        assert_eq!(*statement.alloc(n).unwrap(), n);
    }
    statement.release();
    assert_eq!(budget.used(), 0);
}

/// Method: workers on threads of their own build lists and send them over; the statement's thread splices them all.
#[test]
fn workers_send_their_results_to_the_statement() {
    struct Row {
        value: usize,
        next: Option<Loc<Row>>,
    }
    let (_root, workers, budget) = budgets(4 << 20);
    let statement = Arena::new(&budget);
    let parts: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .map(|worker| {
                let workers = &workers;
                scope.spawn(move || {
                    let mut arenas = ThreadArenas::new(workers, "worker").unwrap();
                    let mut first = None;
                    for n in 0..ROUNDS {
                        let _scratch = arenas.alloc_node(n).unwrap();
                        let row = Row { value: worker * ROUNDS + n, next: first };
                        first = Some(arenas.part().alloc(row).unwrap());
                    }
                    (first, arenas.take_part())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut sum = 0;
    for (first, part) in parts {
        let taken = part.splice_into(&statement).unwrap();
        let mut at = first;
        while let Some(loc) = at {
            let row = taken.get(loc).unwrap();
            (sum, at) = (sum + row.value, row.next);
        }
    }
    assert_eq!(sum, (0..3 * ROUNDS).sum::<usize>());
    assert_eq!(workers.used(), 0);
    assert_eq!(budget.used(), statement.stats().allocated_bytes as u64);
}

/// Method: pools, a coordinated arena and a splice on a reservoir, so that their chunks come from its warm lists and its
/// owner table is written.
#[test]
#[cfg(all(feature = "std", unix))]
fn everything_works_on_a_reservoir_and_gives_its_chunks_back() {
    let options = crate::ReservoirOptions::new(16 << 20);
    let options = if cfg!(miri) { options.address_bytes(4 << 20) } else { options };
    let reservoir = crate::Reservoir::new(options).unwrap();
    let root = Budget::root_on_reservoir("process", 16 << 20, reservoir).unwrap();
    let (workers, budget) =
        (root.child("workers", 8 << 20).unwrap(), root.child("statement", 8 << 20).unwrap());
    for _ in 0..3 {
        let mut statement = Arena::new(&budget);
        let own = statement.alloc(1u64).unwrap();
        let pool = crate::SharedPool::new(&workers).unwrap();
        let held: Vec<_> = (0..ROUNDS).map(|n| pool.get(n).unwrap()).collect();
        let owner = crate::ArenaOwner::new(&workers).unwrap();
        let loc = owner.write().unwrap().alloc(5u64).unwrap();
        let arenas = ThreadArenas::new(&workers, "worker").unwrap();
        let _node = (0..ROUNDS).map(|n| *arenas.alloc_node(n).unwrap()).sum::<usize>();
        let locs: Vec<_> = (0..ROUNDS).map(|n| arenas.part().alloc([n; 9]).unwrap()).collect();
        let taken = arenas.splice_into(&statement).unwrap();
        assert!(locs.iter().enumerate().all(|(n, loc)| taken.get(*loc) == Ok(&[n; 9])));
        assert!(held.iter().enumerate().all(|(n, object)| **object == n));
        assert_eq!((owner.read().unwrap().get(loc), *own), (Ok(&5), 1));
        drop((held, pool, owner));
        assert_eq!(workers.used(), 0);
        statement.reset();
        statement.alloc([0u8; 5000]).unwrap();
        statement.release();
        assert_eq!(budget.used(), 0);
    }
}
