//! Chunks for arenas: where they come from, and who pays while nobody holds them.
//!
//! On a reservoir, chunks that come back stay committed for the next taker. The tree's *warm* node pays for them, and
//! for what the reservoir commits beside a chunk; the root pays for the reservoir's tables, as it does for the tree's
//! own pages.
//!
//! Order of locks: the reservoir's, then the tree's. So nothing here is called under the tree's lock, and what the
//! reservoir calls (the account, `reservoir.rs`) neither asks reclaimers nor tells observers: that waits until both are free.

use super::node::Node;
use super::tree::Tree;
use super::word::units_of;
use crate::chunk::{self, CHUNK_BYTES_MIN, ChunkHeader, Source};
use core::ptr::NonNull;

/// Why there is no chunk.
pub(crate) enum NoChunk {
    /// The root has no room for what comes with the chunk: so many bytes.
    #[cfg(all(feature = "std", unix, not(loom)))]
    Budget(u64),
    /// The system, or the global allocator, has no more.
    System,
}

impl Tree {
    /// Takes a chunk of `bytes`, which somebody has been charged for already.
    ///
    /// needs: `bytes` is a size that [`chunk::round_chunk_up`] gives.
    pub(crate) fn take_chunk(&self, bytes: usize) -> Result<NonNull<ChunkHeader>, NoChunk> {
        match &self.source {
            Source::Global => chunk::take_global(bytes).ok_or(NoChunk::System),
            #[cfg(all(feature = "std", unix, not(loom)))]
            Source::Reservoir(reservoir) => {
                let taken = reservoir.take(self, bytes);
                self.tell();
                match taken {
                    // SAFETY: the reservoir gives `bytes` bytes, aligned to at least 1,024, to one taker.
                    Ok(base) => Ok(unsafe { chunk::write_reserved_header(base, bytes) }),
                    Err(crate::reservoir::Shortage::Budget { bytes }) => Err(NoChunk::Budget(bytes as u64)),
                    Err(crate::reservoir::Shortage::Addresses) => Err(NoChunk::System),
                }
            }
        }
    }

    /// Takes back a chain of chunks linked by `next` from `first` to `last`, together `bytes`; `release` gives their
    /// charge up. On a reservoir the cost does not depend on how many there are.
    ///
    /// # Safety
    /// 1. Every chunk of the chain came from this tree's `take_chunk` and is given back once.
    /// 2. Nobody uses their memory any more.
    pub(crate) unsafe fn give_back_chunks(
        &self,
        first: NonNull<ChunkHeader>,
        last: NonNull<ChunkHeader>,
        bytes: usize,
        release: impl FnOnce(),
    ) {
        match &self.source {
            Source::Global => {
                let _ = bytes;
                // SAFETY: the caller's promises.
                unsafe { chunk::give_back_global(first, last) };
                release();
            }
            #[cfg(all(feature = "std", unix, not(loom)))]
            Source::Reservoir(reservoir) => {
                // SAFETY: 1, 2: the caller's promises; the headers were written by `take_chunk`. 3: the account is
                // always this tree, which alone has the reservoir.
                unsafe { reservoir.give_back(self, first, last, bytes, release) };
                self.tell();
            }
        }
    }

    /// Takes back a chain of chunks that `node` pays for, and their charge with them: where the source keeps them, its own node pays
    /// from here on.
    ///
    /// # Safety
    /// As [`Tree::give_back_chunks`].
    pub(crate) unsafe fn give_back_chunks_of(
        &self,
        node: &Node,
        first: NonNull<ChunkHeader>,
        last: NonNull<ChunkHeader>,
        bytes: usize,
    ) {
        let units = units_of(bytes as u64).expect("what is given back was charged");
        // Whether budgets are short of their minimum until some of what is warm is given up.
        let mut is_short = false;
        let release = || match self.hand_to_warm(node, units) {
            Some(handed_is_short) => is_short = handed_is_short,
            None => self.release(node, units),
        };
        // SAFETY: the caller's promises.
        unsafe { self.give_back_chunks(first, last, bytes, release) };
        if is_short {
            self.restore_minimums(node);
        }
    }

    /// Gives back the chunks that `node` keeps for itself, and returns their bytes: to the keeper above it as far as that takes them.
    pub(crate) fn hand_kept_up(&self, node: &Node) -> u64 {
        let Some(first) = node.take_kept() else { return 0 };
        let (mut last, mut bytes) = (first, CHUNK_BYTES_MIN);
        while let Some(chunk) = node.take_kept() {
            // SAFETY: both chunks are ours alone (node.rs I6).
            unsafe { (*last.as_ptr()).next = chunk.as_ptr() };
            (last, bytes) = (chunk, bytes + CHUNK_BYTES_MIN);
        }
        // SAFETY: the chain is ours, of this tree's, charged to the node, and given back once.
        unsafe {
            if let Some((first, bytes)) = self.give_to_keeper(node, first, last, bytes) {
                self.give_back_chunks_of(node, first, last, bytes);
            }
        }
        bytes as u64
    }

    /// Gives back all chunks that `node` keeps, to the source, and returns their bytes.
    pub(crate) fn give_up_kept(&self, node: &Node) -> u64 {
        let mut given_bytes = 0;
        while let Some(chunk) = node.take_kept().or_else(|| self.take_listed(node)) {
            // SAFETY: the chunk is ours alone (node.rs I6), of this tree's, and given back once.
            unsafe {
                let bytes = (*chunk.as_ptr()).bytes;
                self.give_back_chunks_of(node, chunk, chunk, bytes);
                given_bytes += bytes as u64;
            }
        }
        given_bytes
    }

    /// Changes whenever warm memory is released: see [`Reservoir::releases`](crate::reservoir::Reservoir::releases).
    pub(crate) fn warm_releases(&self) -> usize {
        match &self.source {
            Source::Global => 0,
            #[cfg(all(feature = "std", unix, not(loom)))]
            Source::Reservoir(reservoir) => reservoir.releases(),
        }
    }

    /// Gives at least `bytes` of warm chunks back to the system, if there is so much; returns how many.
    pub(crate) fn trim_warm(&self, bytes: u64) -> u64 {
        match &self.source {
            Source::Global => {
                let _ = bytes;
                0
            }
            #[cfg(all(feature = "std", unix, not(loom)))]
            Source::Reservoir(reservoir) => {
                reservoir.trim(self, usize::try_from(bytes).unwrap_or(usize::MAX)) as u64
            }
        }
    }
}

#[cfg(all(feature = "std", unix, not(loom)))]
mod account {
    use super::super::tree::Effort;
    use super::*;
    use crate::reservoir::Account;
    use crate::sync::Ordering;

    impl Tree {
        /// Takes a warm chunk of `bytes` and its charge for `node`, whose own charge was refused at the root.
        pub(crate) fn take_warm_chunk(&self, node: &Node, bytes: usize) -> Option<NonNull<ChunkHeader>> {
            let Source::Reservoir(reservoir) = &self.source else { return None };
            let (warm, units) = (self.warm()?, units_of(bytes as u64)?);
            let transfer = || {
                let _state = self.lock();
                self.transfer_locked(warm, node, units, true).is_ok()
            };
            let base = reservoir.take_with_charge(self, bytes, transfer)?;
            self.tell();
            // SAFETY: the reservoir gives `bytes` bytes, aligned to at least 1,024, to one taker.
            Some(unsafe { chunk::write_reserved_header(base, bytes) })
        }

        /// Asks the reclaimers of the whole tree until the root has `bytes` free; false where it never has.
        pub(crate) fn make_room(&self, bytes: u64) -> bool {
            let Some(units) = units_of(bytes) else { return false };
            let has_room = self.grant_or_reclaim(self.root(), units, Effort::Instant).is_ok();
            if has_room {
                self.release_slow(self.root(), units);
            }
            has_room
        }

        fn charge_quietly(&self, node: &Node, bytes: usize) -> bool {
            let Some(units) = units_of(bytes as u64) else { return false };
            match node.update(|word| word.spend(units)) {
                Some((_, after)) => {
                    node.note_peak(after.used());
                    true
                }
                None => {
                    let mut state = self.lock();
                    self.grant_or_sweep(&mut state, node, units, false).is_ok()
                }
            }
        }
    }

    impl Account for Tree {
        fn charge_warm(&self, bytes: usize) -> bool {
            self.warm().is_some_and(|warm| self.charge_quietly(warm, bytes))
        }

        fn release_warm(&self, bytes: usize) {
            let warm = self.warm().expect("only what the warm node was charged is released");
            let units = units_of(bytes as u64).expect("what is released was charged");
            let refunded = warm.update(|word| word.refund(units));
            if refunded.is_some_and(|(_, after)| after.credit() <= warm.keep.load(Ordering::Relaxed)) {
                return;
            }
            let _state = self.lock();
            if refunded.is_none() {
                self.take_back_locked(warm, units);
            }
            // What is taken comes back: a node that keeps coming may keep the credit for it.
            self.extra_for(warm, units);
            self.pass_surplus_up(warm);
            self.settle_path(warm);
        }

        fn charge_tables(&self, bytes: usize) -> bool {
            self.charge_quietly(self.root(), bytes)
        }

        fn release_tables(&self, bytes: usize) {
            let units = units_of(bytes as u64).expect("what is released was charged");
            let _state = self.lock();
            self.take_back_locked(self.root(), units);
            self.pass_surplus_up(self.root());
            self.settle_path(self.root());
        }
    }
}

#[cfg(all(test, feature = "std", unix, not(loom)))]
#[allow(clippy::disallowed_types)]
mod tests {
    use crate::{Arena, Budget, Reason, Reservoir, ReservoirOptions};

    use std::vec::Vec;

    const KIB: u64 = 1024;
    const BYTES: usize = 64 << 10;

    fn root(limit_bytes: u64) -> Budget {
        let options =
            ReservoirOptions::new(limit_bytes).address_bytes(if cfg!(miri) { 2 << 20 } else { 8 << 20 });
        Budget::root_on_reservoir("process", limit_bytes, Reservoir::new(options).unwrap()).unwrap()
    }

    #[test]
    fn an_arena_on_a_reservoir_gives_its_chunks_to_the_warm_node_and_takes_them_again() {
        let root = root(4 << 20);
        let statement = root.child("statement", 2 << 20).unwrap();
        let mut arena = Arena::new(&statement);
        for round in 0..5 {
            for value in 0..if cfg!(miri) { 300u64 } else { 30_000 } {
                assert_eq!(*arena.alloc(value).unwrap(), value);
            }
            let held = statement.used();
            let stats = root.reservoir().unwrap().stats();
            assert!(held > 0 && stats.committed_bytes as u64 >= held, "round {round}");
            arena.release();
            assert_eq!(statement.used(), 0);
            let warm_bytes = root.reservoir().unwrap().stats().warm_bytes as u64;
            assert!(warm_bytes >= held.min(512 * KIB), "{warm_bytes} of {held} bytes stay warm");
        }
        drop(arena);
        drop(statement);
        let stats = root.reservoir().unwrap().stats();
        let tree_bytes = 4 * KIB;
        assert_eq!(root.used(), (stats.warm_bytes + stats.tables_bytes) as u64 + tree_bytes);
    }

    #[test]
    fn warm_chunks_make_way_for_others() {
        let root = root(1 << 20);
        let (a, b) = (root.child("a", u64::MAX).unwrap(), root.child("b", u64::MAX).unwrap());
        let mut arena = Arena::new(&a);
        while arena.alloc_uninit_slice::<u8>(100 << 10).is_ok() {}
        assert_eq!(a.last_refusal().unwrap().reason(), Reason::Limit);
        arena.release();
        b.charge(900 * KIB).expect("what is warm can be charged by others");
        b.release(900 * KIB);
        let large = Arena::new(&b);
        assert!(large.alloc_uninit_slice::<u8>(800 << 10).is_ok());
    }

    #[test]
    fn a_minimum_survives_chunks_that_stay_warm() {
        let root = root(1 << 20);
        let options = crate::BudgetOptions::unlimited().minimum(512 * KIB);
        let tenant = root.child_with("tenant", options).unwrap();
        let statement = tenant.child("statement", u64::MAX).unwrap();
        for greedy_first in [false, true] {
            let mut arena = Arena::with_growth(&statement, crate::Growth::CHAIN);
            while statement.used() < 384 * KIB {
                arena.alloc_uninit_slice::<u8>(60 << 10).unwrap();
            }
            let greedy = root.child("greedy", u64::MAX).unwrap();
            let fill = || [32 * KIB, KIB].iter().for_each(|bytes| while greedy.charge(*bytes).is_ok() {});
            if greedy_first {
                fill();
            }
            arena.release();
            fill();
            tenant.charge(512 * KIB).expect("it is guaranteed, whoever fills the rest");
            tenant.release(512 * KIB);
            greedy.release(greedy.used());
        }
    }

    /// Gives up exactly what it is asked for.
    struct Cache(Budget);

    impl crate::Reclaim for Cache {
        fn reclaim(&self, bytes: u64) -> u64 {
            let give = bytes.min(self.0.used());
            self.0.release(give);
            give
        }
    }

    #[test]
    fn reclaimers_make_room_for_what_comes_with_a_chunk() {
        let root = root(1 << 20);
        let cache = root.child("cache", u64::MAX).unwrap();
        cache.set_reclaimer(Some(std::sync::Arc::new(Cache(cache.clone()))));
        let statement = root.child("statement", u64::MAX).unwrap();
        cache.charge(root.available()).unwrap();
        let arena = Arena::new(&statement);
        arena.alloc(1u8).expect("the cache has room for the chunk, its neighbours and the tables");
        assert!(root.used() <= 1 << 20 && cache.used() > 900 * KIB);
        assert!(arena.alloc_uninit_slice::<u8>(1 << 20).is_err(), "more than there is");
        cache.set_reclaimer(None);
        cache.release(cache.used());
    }

    #[test]
    fn small_arenas_share_a_page_to_the_last_slot() {
        let root = root(1 << 20);
        let statement = root.child("statement", u64::MAX).unwrap();
        let tiny = || Arena::new(&statement);
        let first = tiny();
        first.alloc(1u8).unwrap();
        let rest = statement.child("rest", u64::MAX).unwrap();
        for kib in (0..10).map(|log2| 512 >> log2) {
            while rest.charge(kib * KIB).is_ok() {}
        }
        let others = [tiny(), tiny(), tiny()];
        let per_page = root.reservoir().unwrap().stats().committed_bytes as u64 / KIB;
        for arena in others.iter().take(per_page as usize - 1) {
            assert!(arena.alloc(2u8).is_ok(), "a warm slot changes hands at the limit");
        }
        assert!(statement.last_refusal().is_none(), "nothing was refused in the end");
        rest.release(rest.used());
    }

    #[test]
    fn a_walk_that_stands_on_the_warm_node_may_be_the_last_to_hold_the_tree() {
        let root = root(1 << 20);
        let mut walk = root.walk();
        assert_eq!(walk.next().unwrap().name.as_str(), "process");
        drop(root);
        drop(walk);
    }

    #[test]
    fn nobody_is_refused_while_chunks_change_hands() {
        // Four chunks fit, and each of four threads wants one at a time.
        let threads = if cfg!(miri) { 2 } else { 4u64 };
        let generous = root(16 << 20);
        let budgets: Vec<Budget> =
            (0..threads).map(|_| generous.child("worker", u64::MAX).unwrap()).collect();
        let chunks: Vec<_> = budgets.iter().map(|budget| budget.take_chunk(BYTES, false).unwrap()).collect();
        let root = root(generous.used());
        for (budget, chunk) in budgets.iter().zip(chunks) {
            // SAFETY: the chunk came from this budget's tree, is given back once and not used any more.
            unsafe { budget.give_back_chunks(chunk, chunk, BYTES) };
        }
        let budgets: Vec<Budget> = (0..threads).map(|_| root.child("worker", u64::MAX).unwrap()).collect();
        std::thread::scope(|scope| {
            for budget in &budgets {
                scope.spawn(move || {
                    for round in 0..if cfg!(miri) { 5 } else { 3000 } {
                        let taken = budget.take_chunk(BYTES, false);
                        let refusal = budget.last_refusal();
                        let chunk = taken.unwrap_or_else(|_| panic!("refused in round {round}: {refusal:?}"));
                        // SAFETY: as above.
                        unsafe { budget.give_back_chunks(chunk, chunk, BYTES) };
                    }
                });
            }
        });
    }

    #[test]
    fn threads_on_a_reservoir_never_exceed_its_root() {
        let root = root(1 << 20);
        let rounds = if cfg!(miri) { 5 } else { 500 };
        std::thread::scope(|scope| {
            for thread in 0..if cfg!(miri) { 2 } else { 8u64 } {
                let root = &root;
                scope.spawn(move || {
                    let budget = root.child("worker", u64::MAX).unwrap();
                    let mut arena = Arena::new(&budget);
                    for round in 0..rounds {
                        for size in 1..if cfg!(miri) { 4usize } else { 40 } {
                            if let Ok(slice) = arena.alloc_slice_fill(size * 97, thread) {
                                assert!(slice.iter().all(|value| *value == thread));
                            }
                            assert!(root.used() <= 1 << 20);
                        }
                        if round % 3 == 0 { arena.release() } else { arena.reset() }
                    }
                });
            }
        });
        let stats = root.reservoir().unwrap().stats();
        assert_eq!(stats.committed_bytes, stats.warm_bytes, "nobody holds anything");
    }
}
