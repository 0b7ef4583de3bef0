//! Allocation, reset, release, and what they do to the budget.

extern crate std;
use super::*;
use std::string::String;
use std::vec::Vec;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

fn budget(limit: usize) -> Budget {
    Budget::root("process", (limit + 8 * KIB) as u64).unwrap().child("test", limit as u64).unwrap()
}

#[test]
fn an_empty_arena_takes_nothing() {
    let budget = budget(MIB);
    let mut arena = Arena::new(&budget);
    arena.alloc(()).unwrap();
    arena.alloc_slice_copy::<u64>(&[]).unwrap();
    arena.alloc_str("").unwrap();
    arena.reset();
    arena.release();
    assert_eq!(
        arena.stats(),
        ArenaStats { allocated_bytes: 0, used_bytes: 0, wasted_bytes: 0, chunks_count: 0 }
    );
    assert_eq!(budget.used(), 0);
}

#[test]
fn values_of_all_kinds_keep_their_contents() {
    let budget = budget(MIB);
    let arena = Arena::new(&budget);
    let number = arena.alloc(0x0123_4567_89ab_cdef_u64).unwrap();
    let text = arena.alloc_str("größe").unwrap();
    let squares = arena.alloc_slice_fill_with(100, |i| i * i).unwrap();
    let fours = arena.alloc_slice_fill(5, 4u8).unwrap();
    let zeros = arena.alloc_zeroed_slice::<[u32; 3]>(7).unwrap();
    let evens = arena.alloc_slice_from_iter((0..50).filter(|n| n % 2 == 0)).unwrap();
    let formatted = arena.alloc_fmt(format_args!("{}-{:03}", "a", 7)).unwrap();
    assert_eq!(arena.alloc_fmt(format_args!("constant")).unwrap(), "constant");
    text.make_ascii_uppercase();
    *number += 1;
    assert_eq!((*number, &*text, formatted), (0x0123_4567_89ab_cdf0, "GRößE", "a-007"));
    assert!(squares.iter().enumerate().all(|(i, square)| *square == i * i));
    assert_eq!((&*fours, &*zeros), (&[4u8; 5][..], &[[0u32; 3]; 7][..]));
    assert_eq!(evens.len(), 25);
    assert!(arena.owns(text.as_ptr()) && !arena.owns((&raw const budget).cast()));
}

#[test]
fn text_of_every_length_is_copied_whole() {
    let budget = budget(MIB);
    let arena = Arena::new(&budget);
    let text: String = (0..100).map(|i| char::from(b'!' + i % 90)).collect();
    for start in 0..9 {
        for end in (start..text.len()).step_by(if cfg!(miri) { 3 } else { 1 }) {
            let neighbour = arena.alloc(u64::MAX).unwrap();
            assert_eq!(arena.alloc_str(&text[start..end]).unwrap(), &text[start..end]);
            assert_eq!(*neighbour, u64::MAX);
        }
    }
}

#[test]
fn seed_45_every_alignment_up_to_a_page_is_kept() {
    let budget = budget(4 * MIB);
    let arena = Arena::new(&budget);
    for round in 0..3 {
        for align_log2 in 0..=12 {
            let layout = Layout::from_size_align(round * 40 + 3, 1 << align_log2).unwrap();
            let place = arena.alloc_layout(layout).unwrap();
            assert!(place.addr().get().is_multiple_of(1 << align_log2), "{layout:?}");
            assert!(place.addr().get().is_multiple_of(8), "8 bytes at least");
            // SAFETY: fresh memory of that layout.
            unsafe { place.write_bytes(0xab, layout.size()) };
        }
    }
}

#[test]
fn seed_36_the_chain_grows_from_64_kib_to_1_mib_and_reset_uses_every_chunk_again() {
    let budget = budget(64 * MIB);
    let mut arena = Arena::with_growth(&budget, Growth::CHAIN);
    const VALUE_BYTES: usize = if cfg!(miri) { 8 * KIB } else { KIB };
    let filled = if cfg!(miri) { 2 * MIB + 100 * KIB } else { 4 * MIB };
    let fill = |arena: &Arena| {
        for _ in 0..filled / VALUE_BYTES {
            arena.alloc([7u8; VALUE_BYTES]).unwrap();
        }
    };
    fill(&arena);
    let sizes: Vec<usize> = arena.chunk_sizes().map(|bytes| bytes / KIB).collect();
    assert_eq!(sizes[..5], [64, 128, 256, 512, 1024]);
    assert!(sizes[5..].iter().all(|&size| size == 1024), "{sizes:?}");
    let before = arena.stats();
    let charged = budget.used();
    assert_eq!(charged, before.allocated_bytes as u64);
    for _ in 0..5 {
        arena.reset();
        assert_eq!(arena.stats().used_bytes, 0);
        fill(&arena);
        let after = arena.stats();
        assert_eq!(
            (after.allocated_bytes, after.chunks_count),
            (before.allocated_bytes, before.chunks_count)
        );
        assert_eq!(budget.used(), charged, "a reset neither leaks nor takes again");
    }
    let mut sizes_after: Vec<usize> = arena.chunk_sizes().map(|bytes| bytes / KIB).collect();
    assert_eq!(sizes_after[0], 1024, "the largest chunk comes first after a reset");
    sizes_after.sort_unstable();
    assert_eq!(sizes_after, sizes, "every chunk is still there");
}

#[test]
fn seed_24_chunks_double() {
    let budget = budget(64 * MIB);
    let arena = Arena::with_growth(&budget, Growth::doubling(1024, 1 << 20));
    for _ in 0..600 {
        arena.alloc([1u8; 512]).unwrap();
    }
    let sizes: Vec<usize> = arena.chunk_sizes().map(|bytes| bytes / KIB).collect();
    assert_eq!(sizes, [1, 2, 4, 8, 16, 32, 64, 128, 256]);
}

#[test]
fn seed_42_a_statement_of_fifteen_nodes_is_charged_less_than_2_kib() {
    let budget = budget(64 * MIB);
    let arena = Arena::new(&budget);
    for _ in 0..15 {
        arena.alloc([0u64; 8]).unwrap();
    }
    assert!(budget.used() <= 2 * KIB as u64);
}

#[test]
fn seed_46_less_than_5_percent_is_left_behind() {
    let budget = budget(64 * MIB);
    let arena = Arena::new(&budget);
    let mut state = 1u32;
    for _ in 0..if cfg!(miri) { 2_000 } else { 20_000 } {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        let layout = Layout::from_size_align((state >> 24) as usize + 1, 8).unwrap();
        arena.alloc_layout(layout).unwrap();
    }
    let stats = arena.stats();
    assert!(stats.wasted_bytes * 20 < stats.allocated_bytes, "{stats}");
}

#[test]
fn seed_15_a_reset_keeps_chunks_and_a_release_returns_them() {
    let budget = budget(64 * MIB);
    let mut arena = Arena::with_growth(&budget, Growth::CHAIN);
    arena.alloc_zeroed_slice::<u8>(3 * MIB).unwrap();
    arena.alloc_zeroed_slice::<u8>(40 * KIB).unwrap();
    let full = budget.used();
    arena.reset();
    assert_eq!(budget.used(), full);
    arena.reset_keeping(usize::MAX);
    assert_eq!(budget.used(), full);
    let mut arena_small = Arena::with_growth(&budget, Growth::CHAIN);
    for _ in 0..2_000 {
        arena_small.alloc([1u8; KIB]).unwrap();
    }
    arena.release();
    arena_small.reset_keeping(200 * KIB);
    assert_eq!(budget.used(), 192 * KIB as u64, "what fits is kept");
    assert_eq!(arena_small.stats().chunks_count, 2);
    arena_small.alloc_zeroed_slice::<u8>(180 * KIB).unwrap();
    arena_small.reset_keeping(10);
    assert_eq!(budget.used(), 0);
}

#[test]
fn a_large_value_gets_a_chunk_of_its_own_and_the_small_ones_go_on() {
    let budget = budget(64 * MIB);
    let arena = Arena::new(&budget);
    arena.alloc(1u8).unwrap();
    arena.alloc_zeroed_slice::<u8>(5 * MIB).unwrap();
    let sizes: Vec<usize> = arena.chunk_sizes().collect();
    assert_eq!(sizes[0], KIB);
    assert!(sizes[1] >= 5 * MIB && sizes[1] < 5 * MIB + 128 * KIB, "{sizes:?}");
}

/// With any limit, arenas take exactly what fits: the last chunk is clamped to what the budget still has, and at the
/// end of its budget an arena fails with the typed error and stays usable.
#[test]
fn the_last_chunk_is_clamped_to_what_the_budget_still_has() {
    let limits = [0, 1, 2, 3, 7, 20, 63, 64, 65, 100, 130, 1000];
    for &limit in &limits[..if cfg!(miri) { 6 } else { limits.len() }] {
        let budget = budget(limit * KIB);
        let mut arena = Arena::new(&budget);
        let mut count = 0usize;
        while arena.alloc([count; 8]).is_ok() {
            count += 1;
            assert!(budget.used() <= (limit * KIB) as u64);
        }
        let unused = (limit * KIB) as u64 - budget.used();
        assert!(unused < KIB as u64, "limit {limit} KiB: {unused} bytes were not used");
        assert!(count * 64 * 100 >= limit * KIB * 85, "limit {limit} KiB holds only {count} values");
        let refusal = budget.last_refusal().unwrap();
        assert_eq!((refusal.path(), refusal.asked_bytes()), ("process/test", KIB as u64));
        arena.reset();
        assert_eq!(arena.alloc(1u8).is_ok(), limit > 0);
    }
}

/// The pattern that failed elsewhere: an arena created with the capacity of its limit must not be refused at birth
/// because of rounding, nor be allowed more than the limit.
#[test]
fn a_capacity_equal_to_the_limit_neither_fails_at_birth_nor_fails_open() {
    for limit in [64 * KIB, 100 * KIB, MIB, 3 * MIB + 5 * KIB] {
        let budget = budget(limit);
        let header_and_rounding = 128 * KIB;
        let arena = Arena::with_capacity(&budget, limit.saturating_sub(header_and_rounding)).unwrap();
        assert!(budget.used() <= limit as u64);
        drop(arena);
        assert!(Arena::with_capacity(&budget, limit + 1).is_err());
        assert_eq!(budget.used(), 0);
    }
}

#[test]
fn impossible_sizes_are_refused_with_a_reason() {
    let budget = budget(MIB);
    let arena = Arena::new(&budget);
    assert!(arena.alloc_uninit_slice::<u64>(usize::MAX / 4).is_err());
    assert_eq!(budget.last_refusal().unwrap().reason(), Reason::TooLarge);
    assert!(arena.reserve(usize::MAX - 3).is_err());
    assert!(arena.alloc_layout(Layout::from_size_align(isize::MAX as usize - 4095, 4096).unwrap()).is_err());
    assert_eq!(budget.last_refusal().unwrap().reason(), Reason::TooLarge);
    assert_eq!(budget.used(), 0);
}

#[test]
fn scopes_nest_and_give_back_what_they_took() {
    let budget = budget(MIB);
    let mut arena = Arena::new(&budget);
    {
        let mut outer = arena.scope();
        let kept = outer.alloc_slice_fill_with(10, |i| i).unwrap();
        let used = outer.stats().used_bytes;
        for _ in 0..20 {
            let mut inner = outer.scope();
            inner.alloc_slice_copy(&[9u64; 2000]).unwrap();
            let deepest = inner.scope();
            deepest.alloc_str("deep").unwrap();
        }
        assert_eq!(outer.stats().used_bytes, used);
        assert_eq!(kept[9], 9);
        kept[0] = 1;
    }
    assert_eq!(arena.stats().used_bytes, 0);
    assert!(arena.stats().allocated_bytes <= 40 * KIB, "one chunk serves every round: {}", arena.stats());
}

#[test]
fn a_box_drops_its_value_once() {
    struct Count<'c>(&'c Cell<u32>);
    impl Drop for Count<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let drops = Cell::new(0);
    let budget = budget(MIB);
    let mut arena = Arena::new(&budget);
    let boxed = arena.alloc_box(Count(&drops)).unwrap();
    assert_eq!(boxed.0.get(), 0);
    drop(boxed);
    assert_eq!(drops.get(), 1);
    core::mem::forget(arena.alloc_box(Count(&drops)).unwrap());
    arena.reset();
    assert_eq!(drops.get(), 1);
    let none = Arena::new(&budget.child("none", 0).unwrap()).alloc_box(Count(&drops)).is_err();
    assert!(none && drops.get() == 2, "a refused value is dropped");
}

#[test]
fn an_arena_can_move_to_another_budget_and_to_another_thread() {
    let root = Budget::root("process", MIB as u64).unwrap();
    let (statement, cache) =
        (root.child("statement", u64::MAX).unwrap(), root.child("cache", 70 * KIB as u64).unwrap());
    let mut arena = Arena::new(&statement);
    arena.alloc_zeroed_slice::<u8>(50 * KIB).unwrap();
    let charged = statement.used();
    arena.rehome(&cache).unwrap();
    assert_eq!((statement.used(), cache.used()), (0, charged));
    let mut second = Arena::new(&statement);
    second.alloc(1u8).unwrap();
    second.alloc_zeroed_slice::<u8>(60 * KIB).unwrap();
    assert!(second.rehome(&cache).is_err());
    assert_eq!(cache.used(), charged);
    std::thread::spawn(move || {
        arena.reset();
        arena.alloc_str("elsewhere").unwrap();
    })
    .join()
    .unwrap();
    assert_eq!(cache.used(), 0);
}

#[test]
fn under_high_pressure_the_next_chunk_is_acquired_ahead() {
    let budget = budget(100 * KIB);
    budget.charge(76 * KIB as u64).unwrap();
    let arena = Arena::new(&budget);
    arena.alloc(1u8).unwrap();
    assert_eq!(arena.stats().chunks_count, 2);
    let charged = budget.used();
    for _ in 0..20 {
        arena.alloc([0u64; 8]).unwrap();
    }
    assert_eq!(budget.used(), charged, "the second chunk was there already");
    budget.release(76 * KIB as u64);
}

std::thread_local! {
    static LOG: Cell<Option<&'static Arena>> = const { Cell::new(None) };
}

/// Writes to this thread's log whenever it hears of pressure.
struct Logging;

impl crate::Observer for Logging {
    fn pressure_changed(&self, event: &crate::PressureEvent) {
        if let Some(arena) = LOG.get() {
            let _refused = arena.alloc_str(&std::format!("{event} {:>1000}", ""));
        }
    }
}

/// The log's own growth crosses every level, so the observer is called in the middle of it; so does what it adopts.
#[test]
fn an_observer_may_use_the_arena_that_grows() {
    let rounds = if cfg!(miri) { &[1, 3][..] } else { &[1, 2, 3, 8] };
    for first_bytes in rounds.iter().map(|kib| kib * KIB) {
        let limit = if cfg!(miri) { 24 * KIB } else { 64 * KIB };
        let root = Budget::root("process", limit as u64).unwrap();
        root.set_observer(Some(std::sync::Arc::new(Logging)));
        let budget = root.child("log", u64::MAX).unwrap();
        let part = Arena::new(&root.child("part", u64::MAX).unwrap());
        part.alloc([0u8; 3000]).unwrap();
        let place =
            Box::into_raw(Box::new(Arena::with_growth(&budget, Growth::doubling(first_bytes, first_bytes))));
        // SAFETY: it is dropped at the end of the round, after the last use.
        let arena: &'static Arena = unsafe { &*place };
        LOG.set(Some(arena));
        let mut values: Vec<&mut [u8; 100]> = core::iter::from_fn(|| arena.alloc([7; 100]).ok()).collect();
        values.iter_mut().enumerate().for_each(|(index, value)| **value = [index as u8; 100]);
        assert!(values.iter().enumerate().all(|(index, value)| **value == [index as u8; 100]));
        arena.adopt(part).unwrap();
        LOG.set(None);
        assert_eq!(arena.stats().allocated_bytes, arena.chunk_sizes().sum::<usize>());
        assert_eq!(arena.stats().allocated_bytes as u64, budget.used());
        root.set_observer(None);
        // SAFETY: made above; nobody refers to it any more.
        drop(unsafe { Box::from_raw(place) });
        assert_eq!(budget.used(), 0);
    }
}
