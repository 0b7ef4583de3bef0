//! What the process holds beside what budgets say: alone in its process, since the figure is the process's.
#![allow(clippy::disallowed_types)]
#![cfg(all(target_os = "linux", target_env = "gnu", not(miri), not(loom)))]

use std::sync::{Arc, Mutex};

use cofferdam_arena::{Budget, BudgetAlloc, Reclaim};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// A reclaimer that is a closure.
struct Asked<F>(F);

impl<F: Fn() -> u64 + Send + Sync> Reclaim for Asked<F> {
    fn reclaim(&self, _: u64) -> u64 {
        (self.0)()
    }
}

/// Aim: what a cache gives up for others is not kept by the global allocator, which would hold it beside what the others take. Method: pieces
/// with small ones between them, which stay, so that the free ones are not at the end of the allocator's memory.
#[test]
fn pages_of_freed_pieces_go_back_to_the_system() {
    let resident_bytes = || {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap();
        text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4 * KIB
    };
    let root = Budget::root("root", 64 * MIB).unwrap();
    let budget = root.child("cache", u64::MAX).unwrap();
    let alloc = BudgetAlloc::new(&budget);
    let piece = |bytes: usize| {
        let mut piece = allocator_api2::vec::Vec::new_in(alloc.clone());
        piece.try_reserve_exact(bytes).unwrap();
        piece.resize(bytes, 1u8);
        piece
    };
    let (large, _small): (Vec<_>, Vec<_>) = (0..500).map(|_| (piece(60_000), piece(100))).unzip();
    let large = Mutex::new(large);
    let gives = {
        let budget = budget.clone();
        move || {
            let before = budget.used();
            large.lock().unwrap().clear();
            before - budget.used()
        }
    };
    budget.set_reclaimer(Some(Arc::new(Asked(gives))));
    let before = resident_bytes();
    root.child("asker", u64::MAX).unwrap().charge(60 * MIB).unwrap();
    let after = resident_bytes();
    assert!(after + 20 * MIB < before, "{before} bytes were resident, now {after}");
    budget.set_reclaimer(None);
}
