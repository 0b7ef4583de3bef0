//! Budgets: a tree of hard limits that every chunk is charged to before it is taken.
//!
//! ```text
//!   process 64 MiB
//!   |- warm                 chunks given back, kept for the next taker
//!   |- cache                has a reclaimer
//!   `- db 16 MiB
//!      `- statement 8 MiB   keeps the record of its refusals
//!         |- plan
//!         `- sort
//! ```
//!
//! A charge at `sort` must fit under the limits of `sort`, `statement`, `db` and `process`, and it does at every
//! instant and under any number of threads: the check comes before the byte is taken. Chunks are charged, never
//! objects, so the allocation of an object costs nothing here.
//!
//! What a charge costs: one compare-and-swap while the node has credit; otherwise a walk up the path under the tree's
//! lock, which fetches more at a time for a node that keeps coming. What a node costs: 256 bytes, in pages of 4 KiB
//! that the root is charged for; those that no node stands in go back before the root refuses anything.
//!
//! Small chunks that come back may be kept for the next taker below the same budget, charged to it
//! ([`BudgetOptions::keeps_chunks`], [`BudgetOptions::keeps_chunks_of_children`]; decision 0022).
//!
//! Figures are in units of 1 KiB: a charge is rounded up, a limit down.

mod node;
mod tree;
mod walk;
mod warm;
mod word;

pub use walk::{MemoryTree, NodeStats, Walk};
pub use word::UNIT;

use crate::chunk::{CHUNK_BYTES_MIN, ChunkHeader, Source};
use crate::error::{AllocError, OutOfMemory, Reason, Stage};
use crate::pressure::{Observer, Pressure};
use crate::reclaim::Reclaim;
use crate::sync::Ordering;
use alloc::sync::Arc;
use core::ptr::{self, NonNull};
use node::Node;
use tree::{Effort, Tree};
use warm::NoChunk;
use word::{Word, bytes_of, limit_units, units_of};

/// A handle to a node of a tree of budgets; clones are handles to the same node.
///
/// The node lives as long as it has handles or children. Dropping the last handle returns everything it was granted
/// to its parent; if charges are still open then, that is a leak and the tree's [`Observer`] is told.
pub struct Budget {
    node: NonNull<Node>,
}

// SAFETY: a node is reached through atomics and, for its cold part, under the tree's lock; handles are counted
// atomically. What a node holds of foreign types (observer, reclaimer) is Send + Sync by its trait.
unsafe impl Send for Budget {}
// SAFETY: as above.
unsafe impl Sync for Budget {}

/// What a new budget gets beside its name.
#[derive(Clone, Copy, Debug)]
pub struct BudgetOptions {
    limit_bytes: u64,
    minimum_bytes: u64,
    reserve_bytes: u64,
    keeps_refusals: bool,
    keeps_chunks: bool,
    is_keeper: bool,
}

impl BudgetOptions {
    /// At most `limit_bytes`; [`u64::MAX`] leaves the limit to the budgets above.
    pub fn limit(limit_bytes: u64) -> BudgetOptions {
        BudgetOptions {
            limit_bytes,
            minimum_bytes: 0,
            reserve_bytes: 0,
            keeps_refusals: false,
            keeps_chunks: false,
            is_keeper: false,
        }
    }

    /// No limit of its own.
    pub fn unlimited() -> BudgetOptions {
        BudgetOptions::limit(u64::MAX)
    }

    /// Guaranteed: charged to the parent at once, and never taken back while the budget lives.
    pub fn minimum(mut self, bytes: u64) -> BudgetOptions {
        self.minimum_bytes = bytes;
        self
    }

    /// The emergency reserve: the part of the limit that only [`Budget::charge_emergency`] may use, so that rollback,
    /// error handling and shutdown have room when everything else is taken.
    pub fn reserve(mut self, bytes: u64) -> BudgetOptions {
        self.reserve_bytes = bytes;
        self
    }

    /// The budget is a statement's (or a session's): refusals of it and of everything below it are recorded here
    /// and not further up. Costs one more block of the tree.
    pub fn keeps_refusals(mut self) -> BudgetOptions {
        self.keeps_refusals = true;
        self
    }

    /// For a budget with short lives below it, statements of a database: chunks of up to 4 KiB that budgets below give back stay here,
    /// up to 32 KiB and a 64th of the limit, and change to the next budget below that takes one. That costs a walk from there to here,
    /// and neither the source nor what is above hears of it. They count as charged to this budget, but [`Budget::used`] does not
    /// tell; they go when the budget does, and before anything is refused by a limit at or above it.
    pub fn keeps_chunks_of_children(mut self) -> BudgetOptions {
        self.is_keeper = true;
        self
    }

    /// For work that makes one small arena after the other: up to 4 chunks of 1 KiB that come back stay charged, for the
    /// next takers, which then cost an exchange of a pointer. They go when the budget does, before anything is refused by a limit at
    /// or above it, and by [`Budget::give_up_kept`].
    pub fn keeps_chunks(mut self) -> BudgetOptions {
        self.keeps_chunks = true;
        self
    }
}

impl Budget {
    /// The root of a new tree whose chunks come from the global allocator.
    ///
    /// The root is charged 4 KiB at once for the tree itself.
    ///
    /// # Errors
    /// The limit is below 4 KiB, or the global allocator has no memory.
    pub fn root(name: &str, limit_bytes: u64) -> Result<Budget, OutOfMemory> {
        Budget::root_on(name, limit_bytes, Source::Global)
    }

    /// The root of a new tree on the global allocator without a limit: for programs that want arenas and figures but
    /// no limits.
    ///
    /// # Errors
    /// The global allocator has no memory.
    pub fn unlimited(name: &str) -> Result<Budget, OutOfMemory> {
        Budget::root(name, u64::MAX)
    }

    /// The root of a new tree whose chunks come from a reservoir, which the tree owns from here on.
    ///
    /// Chunks that are given back stay warm, charged to the node `warm` below the root, until others need the room.
    /// The root pays for the reservoir's tables: about 16 KiB with the first chunk, then 8 KiB for each 8 MiB of
    /// addresses in use, and 4 KiB for each 512 KiB that have chunks below 64 KiB. They go back when what they tell of does.
    ///
    /// # Errors
    /// The limit is below 4 KiB, or the global allocator has no memory for the tree.
    #[cfg(all(feature = "std", unix, not(loom)))]
    pub fn root_on_reservoir(
        name: &str,
        limit_bytes: u64,
        reservoir: crate::reservoir::Reservoir,
    ) -> Result<Budget, OutOfMemory> {
        let root = Budget::root_on(name, limit_bytes, Source::Reservoir(reservoir))?;
        match root.tree().make_warm("warm") {
            Ok(()) => Ok(root),
            Err(AllocError) => Err(Tree::refused_root(name, limit_units(limit_bytes), Reason::Limit)),
        }
    }

    /// The reservoir that this tree's chunks come from; none on the global allocator.
    #[cfg(all(feature = "std", unix, not(loom)))]
    pub fn reservoir(&self) -> Option<&crate::reservoir::Reservoir> {
        match &self.tree().source {
            Source::Global => None,
            Source::Reservoir(reservoir) => Some(reservoir),
        }
    }

    pub(crate) fn root_on(name: &str, limit_bytes: u64, source: Source) -> Result<Budget, OutOfMemory> {
        Ok(Budget { node: Tree::create(name, limit_units(limit_bytes), source)? })
    }

    /// A budget below this one with a limit of its own; [`u64::MAX`] leaves the limit to the budgets above.
    ///
    /// # Errors
    /// The root cannot pay for one more page of nodes.
    pub fn child(&self, name: &str, limit_bytes: u64) -> Result<Budget, AllocError> {
        self.child_with(name, BudgetOptions::limit(limit_bytes))
    }

    /// A budget below this one.
    ///
    /// # Errors
    /// The root cannot pay for one more page of nodes, or this budget cannot grant the minimum.
    pub fn child_with(&self, name: &str, options: BudgetOptions) -> Result<Budget, AllocError> {
        let too_large = |bytes: u64| {
            self.tree().record(self.node(), bytes.div_ceil(UNIT), self.node(), Reason::TooLarge);
            AllocError
        };
        let minimum = units_of(options.minimum_bytes).ok_or_else(|| too_large(options.minimum_bytes))?;
        let reserve = units_of(options.reserve_bytes).ok_or_else(|| too_large(options.reserve_bytes))?;
        let limit = limit_units(options.limit_bytes);
        // SAFETY: this handle keeps the node alive (node.rs I5) and holds its block's own pointer.
        let node = unsafe {
            self.tree().add_node(self.node, name, limit, minimum, reserve, options.keeps_refusals)?
        };
        let budget = Budget { node };
        budget.node().keeps_chunks.store(options.keeps_chunks, Ordering::Relaxed);
        budget.node().is_keeper.store(options.is_keeper, Ordering::Relaxed);
        Ok(budget)
    }

    #[inline(always)]
    fn node(&self) -> &Node {
        // SAFETY: this handle keeps the node alive (node.rs I5).
        unsafe { self.node.as_ref() }
    }

    #[inline(always)]
    fn tree(&self) -> &Tree {
        // SAFETY: the tree lives as long as its root, which lives as long as any node (I5).
        unsafe { &*self.node().tree }
    }

    /// True where a charge can move from one to the other.
    pub(crate) fn is_same_tree(&self, other: &Budget) -> bool {
        ptr::eq(self.node().tree, other.node().tree)
    }

    /// True where both handles lead to the same node.
    pub fn is_same(&self, other: &Budget) -> bool {
        self.node == other.node
    }

    // ------------------------------------------------------------------------------------------------ charging

    /// Charges `bytes`, rounded up to whole units. Before it refuses, it sweeps back the credit of the whole tree and
    /// asks the instant reclaimers.
    ///
    /// # Errors
    /// The bytes do not fit under a limit of the path; [`Budget::last_refusal`] tells which.
    #[inline]
    pub fn charge(&self, bytes: u64) -> Result<(), AllocError> {
        self.charge_with(bytes, Effort::Instant)
    }

    /// As [`Budget::charge`], and blocking reclaimers (flushes) may be asked as well. The caller must not hold
    /// anything that a reclaimer needs.
    ///
    /// # Errors
    /// As [`Budget::charge`].
    pub fn charge_waiting(&self, bytes: u64) -> Result<(), AllocError> {
        self.charge_with(bytes, Effort::Waiting)
    }

    /// As [`Budget::charge`], and the emergency reserves of the path may be used: for rollback, for telling of an
    /// error, for shutting down. Release it as soon as that is done.
    ///
    /// # Errors
    /// Not even the reserve has room.
    pub fn charge_emergency(&self, bytes: u64) -> Result<(), AllocError> {
        self.charge_with(bytes, Effort::Emergency)
    }

    #[inline]
    pub(crate) fn charge_with(&self, bytes: u64, effort: Effort) -> Result<(), AllocError> {
        if self.tree().fault_is_due() {
            return Err(self.refuse(bytes, Reason::Injected));
        }
        self.charge_now(bytes, effort)
    }

    #[inline]
    fn charge_now(&self, bytes: u64, effort: Effort) -> Result<(), AllocError> {
        let node = self.node();
        let Some(units) = units_of(bytes) else {
            return Err(self.refuse(bytes, Reason::TooLarge));
        };
        match node.update(|word: Word| word.spend(units)) {
            Some((_, after)) => {
                node.note_peak(after.used());
                if after.used() >= node.up.load(Ordering::SeqCst) {
                    self.tree().threshold_crossed(node);
                }
                Ok(())
            }
            None => self.tree().charge_slow(node, units, effort),
        }
    }

    /// Gives back `bytes` of earlier charges, rounded up as they were. Never fails.
    ///
    /// # Panics
    /// The budget has not so much in use; nothing has changed then.
    #[inline]
    pub fn release(&self, bytes: u64) {
        let units = units_of(bytes).expect("what is released was charged");
        self.tree().release(self.node(), units);
    }

    /// Moves a charge of `bytes` from this budget to another of the same tree, without counting it twice or not at all.
    /// What this budget and those above it were guaranteed stays granted to them.
    ///
    /// # Errors
    /// A limit on the other's path refuses; nothing has changed then.
    ///
    /// # Panics
    /// The budgets belong to different trees, or this one has not so much in use.
    pub fn transfer(&self, to: &Budget, bytes: u64) -> Result<(), AllocError> {
        assert!(ptr::eq(self.node().tree, to.node().tree), "a charge stays in its tree");
        let units = units_of(bytes).expect("what is moved was charged");
        self.tree().transfer(self.node(), to.node(), units)
    }

    /// Charges `bytes` and takes a chunk of that size; with `only_if_free`, asks nobody and leaves no record.
    ///
    /// # Errors
    /// As [`Budget::charge`], or the system has no more.
    pub(crate) fn take_chunk(
        &self,
        bytes: usize,
        only_if_free: bool,
    ) -> Result<NonNull<ChunkHeader>, AllocError> {
        if self.tree().fault_is_due() {
            return Err(self.refuse(bytes as u64, Reason::Injected));
        }
        let node = self.node();
        if bytes == CHUNK_BYTES_MIN
            && let Some(chunk) = node.take_kept()
        {
            return Ok(chunk);
        }
        if let Some(chunk) = self.tree().take_from_keeper(node, bytes) {
            return Ok(chunk);
        }
        let effort = if only_if_free { Effort::Free } else { Effort::Instant };
        if let Err(error) = self.charge_now(bytes as u64, effort) {
            return if only_if_free { Err(error) } else { self.take_warm_chunk(bytes).ok_or(error) };
        }
        self.tree().take_chunk(bytes).or_else(|none| self.take_chunk_again(bytes, none, only_if_free))
    }

    /// Goes on where the source had no chunk for a charge that was made: tries again with more room, or releases it.
    #[cold]
    fn take_chunk_again(
        &self,
        bytes: usize,
        none: NoChunk,
        only_if_free: bool,
    ) -> Result<NonNull<ChunkHeader>, AllocError> {
        #[cfg(all(feature = "std", unix, not(loom)))]
        let none = match none {
            NoChunk::Budget(more_bytes) if !only_if_free => match self.take_chunk_beside(bytes, more_bytes) {
                Ok(chunk) => return Ok(chunk),
                Err(none) => none,
            },
            none => none,
        };
        self.release(bytes as u64);
        Err(match none {
            _ if only_if_free => AllocError,
            #[cfg(all(feature = "std", unix, not(loom)))]
            NoChunk::Budget(beside_bytes) => {
                let units = (bytes as u64).saturating_add(beside_bytes).div_ceil(UNIT);
                self.tree().record(self.node(), units, self.tree().root(), Reason::Limit);
                AllocError
            }
            NoChunk::System => self.refuse(bytes as u64, Reason::System),
        })
    }

    /// Takes a chunk beside which the root must pay for `more_bytes`. They are charged under the reservoir's lock, where
    /// nobody can be asked to give up memory; so that is done first, for more each time.
    #[cfg(all(feature = "std", unix, not(loom)))]
    fn take_chunk_beside(&self, bytes: usize, more_bytes: u64) -> Result<NonNull<ChunkHeader>, NoChunk> {
        let mut beside_bytes = more_bytes;
        while self.tree().make_room(beside_bytes) {
            match self.tree().take_chunk(bytes) {
                Err(NoChunk::Budget(more_bytes)) => beside_bytes = beside_bytes.saturating_add(more_bytes),
                outcome => return outcome,
            }
        }
        Err(NoChunk::Budget(beside_bytes))
    }

    /// A warm chunk that changes hands with its charge, after a limit refused to pay for it beside the warm node.
    #[cold]
    fn take_warm_chunk(&self, bytes: usize) -> Option<NonNull<ChunkHeader>> {
        #[cfg(all(feature = "std", unix, not(loom)))]
        if self.last_refusal().is_some_and(|refusal| refusal.reason() == Reason::Limit) {
            let chunk = self.tree().take_warm_chunk(self.node(), bytes)?;
            self.clear_refusal();
            return Some(chunk);
        }
        let _ = bytes;
        None
    }

    /// Gives back the chunks that the budget keeps for itself ([`BudgetOptions::keeps_chunks`]), and returns their bytes.
    pub fn give_up_kept(&self) -> u64 {
        self.tree().hand_kept_up(self.node())
    }

    /// Gives a chain of chunks of together `bytes` back to where they came from, and their charge with them.
    ///
    /// # Safety
    /// 1. Every chunk of the chain came from `take_chunk` of this tree and is given back once.
    /// 2. Nobody uses their memory any more.
    pub(crate) unsafe fn give_back_chunks(
        &self,
        first: NonNull<ChunkHeader>,
        last: NonNull<ChunkHeader>,
        bytes: usize,
    ) {
        let (node, mut first, mut bytes) = (self.node(), first, bytes);
        // SAFETY: the caller's promises; a chunk that is not the last of the chain has a next one.
        unsafe {
            while node.keeps_chunks.load(Ordering::Relaxed) {
                let ChunkHeader { next, bytes: here, .. } = *first.as_ptr();
                if here != CHUNK_BYTES_MIN || !node.keep_chunk(first) {
                    break;
                }
                if first == last {
                    return;
                }
                (first, bytes) = (NonNull::new_unchecked(next), bytes - here);
            }
            let Some((first, bytes)) = self.tree().give_to_keeper(node, first, last, bytes) else { return };
            self.tree().give_back_chunks_of(node, first, last, bytes);
        }
    }

    /// Records a refusal that no limit caused, and returns the token for it.
    #[cold]
    pub(crate) fn refuse(&self, bytes: u64, reason: Reason) -> AllocError {
        self.tree().record(self.node(), bytes.div_ceil(UNIT), self.node(), reason);
        AllocError
    }

    /// Asks whether a statement that expects to need `bytes` may start: refused while the pressure is critical and
    /// the statement would take more than half of what is still free, when the instant reclaimers have given what they
    /// can. Nothing is charged.
    ///
    /// # Errors
    /// The statement should not start now; [`Budget::last_refusal`] says so with [`Reason::Pressure`].
    pub fn admit(&self, bytes: u64) -> Result<(), AllocError> {
        let is_too_much = || self.pressure() == Pressure::Critical && bytes > self.available() / 2;
        if is_too_much()
            && let Some(units) = units_of(bytes.saturating_mul(2))
        {
            self.tree().free_up(self.node(), units);
        }
        // What would have to be free.
        if is_too_much() { Err(self.refuse(bytes.saturating_mul(2), Reason::Pressure)) } else { Ok(()) }
    }

    // ------------------------------------------------------------------------------------------------- figures

    /// Bytes handed out: direct charges, and what the children were granted (their unspent credit included).
    pub fn used(&self) -> u64 {
        let kept = self.node().kept_units.load(Ordering::Relaxed);
        bytes_of(self.node().load().used().saturating_sub(kept))
    }

    /// The largest [`Budget::used`] so far.
    pub fn peak(&self) -> u64 {
        bytes_of(self.node().peak.load(Ordering::Relaxed))
    }

    /// The budget's own limit in bytes, in whole units; about 2 TiB where it has none.
    pub fn limit(&self) -> u64 {
        bytes_of(self.node().limit.load(Ordering::Relaxed))
    }

    /// The smallest limit of this budget and those above it.
    pub fn limit_on_path(&self) -> u64 {
        let mut limit = u32::MAX;
        let mut node: *const Node = self.node();
        // SAFETY: a node and its ancestors are live (I5).
        while let Some(this) = unsafe { node.as_ref() } {
            limit = limit.min(this.limit.load(Ordering::Relaxed));
            node = this.parent;
        }
        bytes_of(limit)
    }

    /// Bytes that an ordinary charge could get right now, as far as one look over the path can tell: credit of
    /// other budgets and what reclaimers hold is not in it.
    pub fn available(&self) -> u64 {
        bytes_of(tree::room(self.node()))
    }

    /// The worst level of pressure of this budget and those above it: one load.
    #[inline]
    pub fn pressure(&self) -> Pressure {
        Pressure::from_byte(self.node().level.load(Ordering::Relaxed))
    }

    /// The budget's name.
    pub fn name(&self) -> &str {
        self.node().cold.name.as_str()
    }

    /// The stats of this budget and all below it, one after the other, parents first.
    pub fn walk(&self) -> Walk {
        Walk::new(self.clone())
    }

    /// This budget and all below it as a text table, drawn as a tree; prints without allocating.
    pub fn memory_tree(&self) -> MemoryTree {
        MemoryTree::new(self.clone())
    }

    // -------------------------------------------------------------------------------------------------- changes

    /// Sets a new limit. Below what is handed out it is allowed: nothing more is granted until enough has come back.
    /// A guaranteed minimum above the limit is lowered to it, for good. Chunks that are kept at the budget or below it go.
    pub fn set_limit(&self, bytes: u64) {
        self.tree().give_up_kept_below(self.node(), u64::MAX);
        self.tree().set_limit(self.node(), limit_units(bytes));
    }

    /// Names the stage that work under this budget is in; refusals are recorded with it.
    pub fn set_stage(&self, stage: &'static Stage) {
        self.node().stage.store(ptr::from_ref(stage).cast_mut(), Ordering::Release);
    }

    /// Registers who can give up memory of this budget, in place of the one before.
    pub fn set_reclaimer(&self, reclaimer: Option<Arc<dyn Reclaim>>) {
        let old = {
            let _state = self.tree().lock();
            self.node().cold.reclaimer.replace(reclaimer)
        };
        drop(old);
    }

    /// Sets who hears of pressure and leaks in the whole tree, in place of the one before.
    pub fn set_observer(&self, observer: Option<Arc<dyn Observer>>) {
        self.tree().set_observer(observer);
    }

    // ------------------------------------------------------------------------------------------------- refusals

    /// The last refusal recorded for this budget's statement (the nearest budget upwards that keeps refusals).
    pub fn last_refusal(&self) -> Option<OutOfMemory> {
        self.tree().last_refusal(self.node())
    }

    /// Forgets the last refusal.
    pub fn clear_refusal(&self) {
        self.tree().clear_refusal(self.node());
    }

    /// Makes the `nth` charge from now on, counted over the whole tree, fail as if its limit refused it; 0 takes an
    /// injection back. For tests of what happens then.
    pub fn inject_refusal(&self, nth: u64) {
        self.tree().inject(nth);
    }
}

impl Clone for Budget {
    fn clone(&self) -> Budget {
        self.node().refs.fetch_add(1, Ordering::Relaxed);
        Budget { node: self.node }
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        let tree: *const Tree = self.node().tree;
        // SAFETY: the tree outlives this handle's node; the handle is given up here, once.
        unsafe { Tree::drop_handle(tree, self.node) };
    }
}

impl core::fmt::Debug for Budget {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Budget")
            .field("name", &self.name())
            .field("used", &self.used())
            .field("limit", &self.limit())
            .finish()
    }
}

#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod tests;
