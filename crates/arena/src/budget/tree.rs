//! A tree of budgets: its memory, its lock, and the slow path of charging.
//!
//! # How a charge finds its bytes
//!
//! A node spends its own credit with one compare-and-swap. When the credit is too small, the charge goes to the slow
//! path, which holds the tree's one lock and runs in two passes over the path from the node to the first ancestor
//! that can help:
//!
//! ```text
//!  up:    each node takes what credit it has into its *hand* and asks its parent for the rest, after checking that
//!         its own grant may grow by that much; whoever may not refuses, and everybody puts the hand back
//!  down:  each node's `used` grows by what was asked of it; nothing can fail any more
//! ```
//!
//! So no byte becomes visible as credit before every limit above has agreed to it (I1), and no other charge can take
//! what is held in hand (I2).
//!
//! # Before anything is refused
//!
//! Credit lying about below the refusing node is free memory that nobody else can reach. All words below it are
//! *sealed*, which sends every other charge and release to the lock; the credit is gathered to the refusing node; the
//! charge is tried again under totals that are exact; the seals are broken. Only then, and outside the lock,
//! reclaimers are asked, and only when those have nothing left is the refusal final.

use super::node::{Node, Slot, kept_list};
use super::walk::revive;
use super::word::{Word, bytes_of};
use crate::budget_alloc::BudgetAlloc;
use crate::chunk::{self, CHUNK_BYTES_MIN, ChunkHeader, HEADER_BYTES, Source};
use crate::error::{AllocError, Holder, OutOfMemory, Reason};
use crate::pressure::{Observer, Pressure, PressureEvent};
use crate::reclaim::Reclaim;
use crate::sync::{AtomicBool, AtomicPtr, AtomicU64, Guard, Mutex, Ordering, Turn};
use crate::text::InlineText;
use alloc::sync::Arc;
use core::ptr::{self, NonNull};

/// Pages of nodes are chunks of this size; each is charged to the root before it is taken.
const PAGE_BYTES: usize = 4096;
const PAGE_UNITS: u32 = (PAGE_BYTES / CHUNK_BYTES_MIN) as u32;
/// The most credit that a node keeps for its next charges, in units (1 MiB).
const QUANTUM_MAX: u32 = 1024;
/// From this many trips to the parent on, a node fetches more than it needs.
const REFILLS_BEFORE_QUANTA: u32 = 8;
/// What a node keeps for those below it at most, in units, and which part of its limit.
const KEPT_UNITS_MAX: u32 = 32;
const KEPT_PART: u32 = 64;
/// How often one charge asks reclaimers: others may take what was reclaimed for it, but a reclaimer that claims what it
/// did not give back must not keep it for ever.
const RECLAIMS_MAX: u32 = 1000;

/// What a charge may do to succeed, and what it leaves behind when it does not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Only what is free now; leaves no record. For growth that has a smaller fallback.
    Free,
    /// Ask the instant reclaimers too.
    Instant,
    /// Ask the blocking reclaimers too.
    Waiting,
    /// As `Instant`, and the reserves of every budget on the path may be used.
    Emergency,
}

impl Effort {
    fn is_emergency(self) -> bool {
        self == Effort::Emergency
    }
}

pub(crate) struct Tree {
    lock: Mutex<State>,
    /// Held while instant reclaimers run, so that two refusals do not empty the caches twice.
    reclaiming: Turn,
    pub(crate) source: Source,
    root: *const Node,
    /// Charges until an injected refusal; 0: none is wanted.
    fault: AtomicU64,
    /// Pays for chunks that were given back and wait for their next taker; null where the source keeps none.
    warm: AtomicPtr<Node>,
    /// Some node's level changed and the observer has not heard of it.
    untold: AtomicBool,
}

/// What the lock guards beside the cold parts of the nodes.
pub(crate) struct State {
    observer: Option<Arc<dyn Observer>>,
    /// The page that blocks are cut from, and behind it those that were cut before; the last one has the tree itself.
    pages: *mut ChunkHeader,
    cursor: *mut u8,
    nodes_free: *mut FreeBlock,
    slots_free: *mut FreeBlock,
    pub(crate) nodes_count: u32,
    /// Pages without a block in use.
    empty_pages_count: u32,
}

/// What stands in a block that nobody uses.
struct FreeBlock {
    next: *mut FreeBlock,
    page: *mut ChunkHeader,
}

/// The node whose limit stands in the way.
pub(super) struct Blocked(*const Node);

const SLOT_BYTES: usize = size_of::<Slot>().next_multiple_of(128);

impl Tree {
    /// Makes a tree with a root of `limit` units; the root has one handle.
    pub(crate) fn create(name: &str, limit: u32, source: Source) -> Result<NonNull<Node>, OutOfMemory> {
        let refused = |reason| Tree::refused_root(name, limit, reason);
        if limit < PAGE_UNITS {
            return Err(refused(Reason::Limit));
        }
        let page = chunk::take_global(PAGE_BYTES).ok_or_else(|| refused(Reason::System))?;
        // SAFETY: the page is fresh and ours; the tree is written at its aligned start before anything reads it, the
        // root into a block behind it that `take_block` cuts.
        unsafe {
            let tree_at = align_up((*page.as_ptr()).base, 128).cast::<Tree>();
            let state = State {
                observer: None,
                pages: page.as_ptr(),
                cursor: align_up(tree_at.add(1).cast::<u8>(), 128),
                nodes_free: ptr::null_mut(),
                slots_free: ptr::null_mut(),
                nodes_count: 0,
                empty_pages_count: 1,
            };
            (*page.as_ptr()).chunks_count = 0;
            tree_at.write(Tree {
                lock: Mutex::new(state),
                reclaiming: Turn::new(),
                source,
                root: ptr::null(),
                fault: AtomicU64::new(0),
                warm: AtomicPtr::new(ptr::null_mut()),
                untold: AtomicBool::new(false),
            });
            let mut state = (*tree_at).lock.lock();
            let (root, _) = state.take_block(BlockKind::Node).expect("a page has room for the root");
            let (slot, _) = state.take_block(BlockKind::Slot).expect("a page has room for a slot");
            drop(state);
            let (root, slot) = (root.cast::<Node>(), slot.cast::<Slot>());
            root.write(Node::new(tree_at, ptr::null(), name, limit, 0));
            slot.write(Slot { record: OutOfMemory::NONE, page: page.as_ptr() });
            (*root).cold.page.set(page.as_ptr());
            (*root).cold.slot.set(slot);
            (*root).word.store(Word::new(PAGE_UNITS, 0).0, Ordering::Release);
            (*root).note_peak(PAGE_UNITS);
            (*tree_at).root = root;
            Ok(NonNull::new_unchecked(root))
        }
    }

    /// The record of a tree that could not be made.
    pub(crate) fn refused_root(name: &str, limit: u32, reason: Reason) -> OutOfMemory {
        let mut record = OutOfMemory::NONE;
        record.path = InlineText::new(name);
        record.refused_by = InlineText::new(name);
        record.stage = "open";
        record.reason = reason;
        record.asked_bytes = PAGE_BYTES as u64;
        record.limit_bytes = bytes_of(limit);
        record.needed_bytes = PAGE_BYTES as u64;
        record
    }

    pub(crate) fn lock(&self) -> Guard<'_, State> {
        self.lock.lock()
    }

    pub(super) fn root(&self) -> &Node {
        // SAFETY: the root lives as long as the tree (I5).
        unsafe { &*self.root }
    }

    pub(crate) fn set_observer(&self, observer: Option<Arc<dyn Observer>>) {
        let old = core::mem::replace(&mut self.lock().observer, observer);
        drop(old);
    }

    // ---------------------------------------------------------------------------------------------------------
    // Memory of the tree itself

    /// Adds a page of blocks, charged to the root. Takes the lock only to link the page: a source may have to charge
    /// this very tree while it takes.
    fn add_page(&self) -> Result<(), AllocError> {
        let root = self.root();
        self.charge_slow(root, PAGE_UNITS, Effort::Instant)?;
        let Some(page) = chunk::take_global(PAGE_BYTES) else {
            self.release_slow(root, PAGE_UNITS);
            self.record(root, u64::from(PAGE_UNITS), root, Reason::System);
            return Err(AllocError);
        };
        BudgetAlloc::count_taken();
        let mut state = self.lock();
        // SAFETY: the page is fresh and ours; its header links it to the others.
        unsafe {
            (*page.as_ptr()).next = state.pages;
            (*page.as_ptr()).chunks_count = 0;
            state.empty_pages_count += 1;
            state.pages = page.as_ptr();
            state.cursor = align_up((*page.as_ptr()).base, 128);
        }
        Ok(())
    }

    /// Gives back the pages that no node stands in, and what the root was charged for them; returns their bytes. They are kept for nodes
    /// to come until the root is asked for memory.
    fn give_up_pages(&self) -> u64 {
        let (mut gone, count) = {
            let mut state = self.lock();
            let count = state.empty_pages_count;
            if count == 0 {
                return 0;
            }
            state.forget_empty_blocks();
            (state.unlink_empty_pages(), count)
        };
        while let Some(page) = NonNull::new(gone) {
            // SAFETY: the page is ours alone now: none of its blocks is in use or in a list.
            unsafe {
                gone = page.as_ref().next;
                chunk::give_back_global(page, page);
            }
        }
        let units = count * PAGE_UNITS;
        self.release_slow(self.root(), units);
        bytes_of(units)
    }

    // ---------------------------------------------------------------------------------------------------------
    // Nodes

    /// Adds a node below `parent`, with `minimum` units granted at once.
    ///
    /// # Safety
    /// 1. `parent` is a live node of this tree, and the pointer is that of its block: the node that is added keeps it,
    ///    and frees the parent through it when it was the last to hold it. A reference's pointer may not do that.
    pub(crate) unsafe fn add_node(
        &self,
        parent: NonNull<Node>,
        name: &str,
        limit: u32,
        minimum: u32,
        reserve: u32,
        keeps_refusals: bool,
    ) -> Result<NonNull<Node>, AllocError> {
        let node = loop {
            // SAFETY: the caller's promise.
            let made = unsafe { self.make_node(&mut self.lock(), parent, name, limit, keeps_refusals) };
            match made {
                Some(node) => break node,
                None => self.add_page()?,
            }
        };
        // SAFETY: just made; the handle that is returned keeps it alive.
        let made = unsafe { node.as_ref() };
        made.reserve.store(reserve, Ordering::Relaxed);
        if minimum > 0 {
            // First, so that no sweep takes the grant away between the two.
            made.cold_minimum_set(minimum, &self.lock());
            if let Err(error) = self.grant_minimum(made, minimum) {
                // SAFETY: the only handle of the node is given up here.
                unsafe { Tree::drop_handle(self, node) };
                return Err(error);
            }
        }
        Ok(node)
    }

    fn grant_minimum(&self, node: &Node, minimum: u32) -> Result<(), AllocError> {
        self.charge_slow(node, minimum, Effort::Instant)?;
        node.update(|word| Some(word.with(word.used() - minimum, word.credit() + minimum)));
        node.peak.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// Links a new node below `parent`; `None` where the page is full.
    ///
    /// # Safety
    /// As `add_node`.
    unsafe fn make_node(
        &self,
        state: &mut State,
        parent: NonNull<Node>,
        name: &str,
        limit: u32,
        keeps_refusals: bool,
    ) -> Option<NonNull<Node>> {
        let (block, page) = state.take_block(BlockKind::Node)?;
        let mut slot: *mut Slot = ptr::null_mut();
        if keeps_refusals {
            let Some((block_of_slot, page_of_slot)) = state.take_block(BlockKind::Slot) else {
                state.free_block(BlockKind::Node, block, page);
                return None;
            };
            slot = block_of_slot.cast();
            // SAFETY: the block is fresh, aligned and large enough.
            unsafe { slot.write(Slot { record: OutOfMemory::NONE, page: page_of_slot }) };
        }
        let block_of_parent = parent.as_ptr();
        // SAFETY: live by the caller's promise.
        let parent = unsafe { parent.as_ref() };
        let depth = parent.cold.depth.get() + 1;
        let node = Node::new(self, block_of_parent, name, limit, depth);
        node.level.store(parent.level.load(Ordering::Relaxed), Ordering::Relaxed);
        node.cold.slot.set(slot);
        node.cold.page.set(page);
        let first = parent.cold.first_child.get();
        node.cold.next_sibling.set(first);
        let block = block.cast::<Node>();
        // SAFETY: the block is fresh, aligned and large enough; `first` is a live child of a live parent (I5).
        unsafe {
            block.write(node);
            if let Some(first) = first.as_ref() {
                first.cold.previous_sibling.set(block);
            }
        }
        parent.cold.first_child.set(block);
        parent.refs.fetch_add(1, Ordering::Relaxed);
        state.nodes_count += 1;
        NonNull::new(block)
    }

    /// Gives up a handle; with the last one the node goes, and the handle of its parent with it.
    ///
    /// # Safety
    /// 1. `node` is a live node of the live `tree`, and the caller owns one handle of it, which is gone afterwards.
    ///
    /// The tree is a plain pointer because a reference would have to stay valid to the end of this function.
    pub(crate) unsafe fn drop_handle(tree: *const Tree, node: NonNull<Node>) {
        let mut node = node;
        loop {
            // SAFETY: live by condition 1; for the following rounds, the child's handle kept the parent alive.
            let this = unsafe { node.as_ref() };
            if this.refs.fetch_sub(1, Ordering::Release) != 1 {
                return;
            }
            crate::sync::fence(Ordering::Acquire);
            let parent = this.parent;
            if parent.is_null() {
                // SAFETY: the last handle of the root: nobody else can reach the tree.
                unsafe { Tree::destroy(tree.cast_mut()) };
                return;
            }
            // SAFETY: no handle is left, so only the tree's own lists know the node; the lock excludes their readers.
            unsafe {
                (*tree).hand_kept_up(this);
                (*tree).give_up_kept(this);
                (*tree).remove_node(node);
            }
            // SAFETY: a parent pointer that is not null is live (I5).
            node = unsafe { NonNull::new_unchecked(parent.cast_mut()) };
        }
    }

    /// Unlinks a node without handles and returns its grant to the parent.
    ///
    /// # Safety
    /// No handle of `node` is left, and so it has no children.
    unsafe fn remove_node(&self, node: NonNull<Node>) {
        let mut state = self.lock();
        // SAFETY: live until its block is freed below.
        let this = unsafe { node.as_ref() };
        let leaked = this.load().used();
        let observer = if leaked > 0 { state.observer.clone() } else { None };
        let path = if leaked > 0 { path_of(this) } else { InlineText::EMPTY };
        // SAFETY: siblings and parent are live (I5), and the lock is held (I3).
        unsafe {
            let (previous, next) = (this.cold.previous_sibling.get(), this.cold.next_sibling.get());
            match previous.as_ref() {
                Some(previous) => previous.cold.next_sibling.set(next),
                None => (*this.parent).cold.first_child.set(next),
            }
            if let Some(next) = next.as_ref() {
                next.cold.previous_sibling.set(previous);
            }
            self.return_units(&*this.parent, this.load().granted());
            self.pass_surplus_up(&*this.parent);
            self.settle_path(&*this.parent);
        }
        let (slot, page) = (this.cold.slot.get(), this.cold.page.get());
        // SAFETY: a node's slot lives as long as the node.
        if let Some(page) = unsafe { slot.as_ref() }.map(|slot| slot.page) {
            state.free_block(BlockKind::Slot, slot.cast(), page);
        }
        // SAFETY: unlinked and without handles: nobody reads the node any more. The reclaimer's `Arc` is taken out so
        // that foreign code (its drop) runs outside the lock.
        let reclaimer = unsafe {
            let reclaimer = this.cold.reclaimer.take();
            node.as_ptr().drop_in_place();
            reclaimer
        };
        state.free_block(BlockKind::Node, node.as_ptr().cast(), page);
        state.nodes_count -= 1;
        drop(state);
        drop(reclaimer);
        self.tell();
        if let Some(observer) = observer {
            observer.leaked(path.as_str(), bytes_of(leaked));
        }
    }

    /// # Safety
    /// No handle of any node of the tree is left.
    unsafe fn destroy(tree: *mut Tree) {
        // SAFETY: by the condition this is the only access; the pages are given back after the tree was moved out. What
        // is left of the tree's value in its page needs no drop.
        unsafe {
            ptr::drop_in_place((*tree).root.cast_mut());
            let Tree { lock, source, .. } = tree.read();
            drop(source);
            let mut page = lock.lock().pages;
            drop(lock);
            while let Some(header) = NonNull::new(page) {
                page = header.as_ref().next;
                chunk::give_back_global(header, header);
            }
        }
    }

    // ---------------------------------------------------------------------------------------------------------
    // Charging, the slow path

    /// True where a test asked for this charge to fail.
    pub(crate) fn fault_is_due(&self) -> bool {
        if self.fault.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let countdown = |left: u64| left.checked_sub(1);
        self.fault.fetch_update(Ordering::AcqRel, Ordering::Relaxed, countdown) == Ok(1)
    }

    pub(crate) fn inject(&self, nth: u64) {
        self.fault.store(nth, Ordering::Release);
    }

    /// Charges `units` to `node` when its credit was not enough; a refusal is recorded, unless the effort is free.
    #[cold]
    pub(crate) fn charge_slow(&self, node: &Node, units: u32, effort: Effort) -> Result<(), AllocError> {
        self.grant_or_reclaim(node, units, effort).map_err(|Blocked(blocked)| {
            if effort != Effort::Free {
                // SAFETY: the refusing node is `node` or one of its ancestors, which live as long as it does (I5).
                self.record(node, u64::from(units), unsafe { &*blocked }, Reason::Limit);
            }
            AllocError
        })
    }

    /// Charges `units` to `node`, with everything that the effort allows.
    pub(super) fn grant_or_reclaim(&self, node: &Node, units: u32, effort: Effort) -> Result<(), Blocked> {
        let mut reclaims_left = RECLAIMS_MAX;
        loop {
            let blocked = {
                let mut state = self.lock();
                match self.grant_or_sweep(&mut state, node, units, effort.is_emergency()) {
                    Ok(()) => {
                        if effort.is_emergency() {
                            // What comes from the reserve must go back to it, not stay as credit.
                            node.keep.store(0, Ordering::Relaxed);
                        }
                        drop(state);
                        self.tell();
                        return Ok(());
                    }
                    Err(Blocked(blocked)) => blocked,
                }
            };
            // The sweep may have changed levels although it was in vain.
            self.tell();
            let may_ask = effort != Effort::Free && reclaims_left > 0;
            // SAFETY: as in `charge_slow`.
            if !may_ask || !self.reclaim(unsafe { &*blocked }, units, effort) {
                self.tell();
                return Err(Blocked(blocked));
            }
            reclaims_left -= 1;
        }
    }

    pub(super) fn grant_or_sweep(
        &self,
        state: &mut State,
        node: &Node,
        units: u32,
        emergency: bool,
    ) -> Result<(), Blocked> {
        let extra = if emergency { 0 } else { self.extra_for(node, units) };
        self.grant_locked(state, node, units, extra, emergency)
            .or_else(|blocked| self.sweep(blocked, || self.grant_locked(state, node, units, 0, emergency)))
    }

    /// Tries again what a node has refused, after each sweep of the credit below it.
    fn sweep(
        &self,
        mut blocked: Blocked,
        mut again: impl FnMut() -> Result<(), Blocked>,
    ) -> Result<(), Blocked> {
        // Each round sweeps below a node that is higher up than the one before, so this ends at the root.
        loop {
            // SAFETY: an ancestor of a live node (I5).
            let top = unsafe { &*blocked.0 };
            self.gather(top);
            let outcome = again();
            unseal(top);
            match outcome {
                Err(Blocked(higher)) if is_above(higher, top) => blocked = Blocked(higher),
                outcome => return outcome,
            }
        }
    }

    /// How many units of credit to fetch beside what is needed: nothing at first, so that the figures of a short
    /// statement are exact; up to 1 MiB for a node that keeps coming; an eighth of the room at most.
    pub(super) fn extra_for(&self, node: &Node, units: u32) -> u32 {
        let refills = node.cold.refills_count.get();
        node.cold.refills_count.set(refills.saturating_add(1));
        if refills < REFILLS_BEFORE_QUANTA || node.level.load(Ordering::Relaxed) >= Pressure::High as u8 {
            node.keep.store(0, Ordering::Relaxed);
            return 0;
        }
        let quantum = node.peak.load(Ordering::Relaxed).max(units).min(QUANTUM_MAX);
        let extra = quantum.min(room(node) / 8).min(calm_room(node).saturating_sub(units));
        node.keep.store(if extra == 0 { 0 } else { extra.max(units) }, Ordering::Relaxed);
        extra
    }

    /// The two passes: see the head of this file.
    fn grant_locked(
        &self,
        _state: &mut State,
        node: &Node,
        units: u32,
        extra: u32,
        emergency: bool,
    ) -> Result<(), Blocked> {
        self.grant_until(node, units, extra, emergency, ptr::null(), 0)
    }

    /// As `grant_locked`, but the ancestor `meet` has `lifted` units to give, which its word does not show.
    fn grant_until(
        &self,
        node: &Node,
        units: u32,
        extra: u32,
        emergency: bool,
        meet: *const Node,
        lifted: u32,
    ) -> Result<(), Blocked> {
        let mut asked = units;
        let mut extra_here = extra;
        let mut this = node;
        loop {
            let cold = &this.cold;
            cold.demand.set(asked);
            let given = if ptr::eq(this, meet) { lifted.min(asked) } else { 0 };
            let wanted = asked - given;
            let (before, after) = this
                .update(|word| Some(word.with(word.used(), word.credit() - word.credit().min(wanted))))
                .expect("the change never declines");
            let taken = before.credit() - after.credit();
            cold.hand.set(taken);
            let growth = wanted - taken + extra_here;
            let granted = u64::from(before.granted()) + u64::from(given) + u64::from(growth);
            let fits = granted <= u64::from(this.capacity(emergency));
            if growth > 0 && !fits {
                put_hands_back(node, this);
                return Err(Blocked(this));
            }
            if growth == 0 || this.parent.is_null() {
                break;
            }
            asked = growth;
            extra_here = 0;
            // SAFETY: a parent that is not null is live (I5).
            this = unsafe { &*this.parent };
        }
        let last: *const Node = this;
        let mut this = node;
        let mut extra_here = extra;
        loop {
            let asked = this.cold.demand.get();
            let (_, after) = this
                .update(|word| Some(word.with(word.used() + asked, word.credit() + extra_here)))
                .expect("the change never declines");
            extra_here = 0;
            this.note_peak(after.used());
            if ptr::eq(this, last) {
                break;
            }
            // SAFETY: below `last`, which is an ancestor: the parent is live (I5).
            this = unsafe { &*this.parent };
        }
        self.settle_path(node);
        Ok(())
    }

    /// Moves all credit below `top` into `top`'s own, under seals. The seals stay.
    fn gather(&self, top: &Node) {
        for_each_below(top, |node| {
            node.update(|word| Some(word.sealed()));
        });
        for_each_below_last_first(top, |node| {
            let minimum = node.cold.minimum.get();
            let (before, after) = node
                .update(|word| {
                    let spare = word.credit().min(word.granted().saturating_sub(minimum));
                    Some(word.with(word.used(), word.credit() - spare))
                })
                .expect("the change never declines");
            let gathered = before.credit() - after.credit();
            node.keep.store(0, Ordering::Relaxed);
            node.cold.refills_count.set(0);
            // SAFETY: below `top`, so there is a parent (I5).
            self.return_units(unsafe { &*node.parent }, gathered);
        });
    }

    /// What a child was granted and gives back becomes its parent's credit.
    fn return_units(&self, parent: &Node, units: u32) {
        if units > 0 {
            // Credit of the root would be a part of the limit that nobody uses: it simply vanishes, and with it what
            // an emergency charge had drawn from the reserve.
            let credit = if parent.parent.is_null() { 0 } else { units };
            parent.update(|word| Some(word.with(word.used() - units, word.credit() + credit)));
            self.settle(parent);
        }
    }

    /// Takes `units` of a direct charge back under the lock.
    pub(super) fn take_back_locked(&self, node: &Node, units: u32) {
        node.update(|word| {
            assert!(word.used() >= units, "more is given back than was charged");
            Some(word.with(word.used() - units, word.credit() + units))
        });
    }

    /// Gives back `units` of the node's direct charges.
    ///
    /// # Panics
    /// There are not so many; nothing has changed then.
    #[inline]
    pub(super) fn release(&self, node: &Node, units: u32) {
        match node.update(|word: Word| word.refund(units)) {
            Some((_, after)) => {
                if after.credit() > node.keep.load(Ordering::Relaxed) {
                    self.give_surplus(node);
                } else if after.used() < node.down.load(Ordering::SeqCst) {
                    self.threshold_crossed(node);
                }
            }
            None => self.release_slow(node, units),
        }
    }

    /// A release that met a seal, or that left more credit than the node should keep.
    #[cold]
    pub(crate) fn release_slow(&self, node: &Node, units: u32) {
        {
            let _state = self.lock();
            self.take_back_locked(node, units);
            self.pass_surplus_up(node);
            self.settle_path(node);
        }
        self.tell();
    }

    #[cold]
    pub(crate) fn give_surplus(&self, node: &Node) {
        {
            let _state = self.lock();
            self.pass_surplus_up(node);
            self.settle_path(node);
        }
        self.tell();
    }

    /// Passes credit above what each node keeps to its parent, up to the root; what an emergency charge had drawn from
    /// a reserve goes back to that, whatever the node keeps.
    pub(super) fn pass_surplus_up(&self, node: &Node) {
        let mut this = node;
        // SAFETY: a parent that is not null is live (I5).
        while let Some(parent) = unsafe { this.parent.as_ref() } {
            let keep = this.keep.load(Ordering::Relaxed);
            let minimum = this.cold.minimum.get();
            let (before, after) = this
                .update(|word| {
                    let of_reserve = word.granted().saturating_sub(this.capacity(false)).min(word.credit());
                    let surplus = word.credit().saturating_sub(keep).max(of_reserve);
                    let spare = surplus.min(word.granted().saturating_sub(minimum));
                    Some(word.with(word.used(), word.credit() - spare))
                })
                .expect("the change never declines");
            let surplus = before.credit() - after.credit();
            if surplus == 0 {
                return;
            }
            self.return_units(parent, surplus);
            this = parent;
        }
        if this.parent.is_null() {
            // What the root would give back goes nowhere: its credit is a part of the limit that nobody uses.
            let keep = this.keep.load(Ordering::Relaxed);
            this.update(|word| Some(word.with(word.used(), word.credit().min(keep))));
        }
    }

    /// Moves a charge of `units` from one node to another of the same tree without ever counting it twice or not at
    /// all: for memory that changes hands while it stays taken.
    pub(crate) fn transfer(&self, from: &Node, to: &Node, units: u32) -> Result<(), AllocError> {
        let refused = {
            let _state = self.lock();
            let attempt = || self.transfer_locked(from, to, units, true);
            attempt().or_else(|blocked| self.sweep(blocked, attempt))
        };
        self.tell();
        refused.map_err(|Blocked(blocked)| {
            // SAFETY: an ancestor of a live node (I5).
            self.record(to, u64::from(units), unsafe { &*blocked }, Reason::Limit);
            AllocError
        })
    }

    /// Moves a charge under the lock. With `guards`, what a node below the meeting one was guaranteed stays granted to it,
    /// so the move may need more above; without, it needs nothing above and may leave nodes short of their minimum.
    pub(super) fn transfer_locked(
        &self,
        from: &Node,
        to: &Node,
        units: u32,
        guards: bool,
    ) -> Result<(), Blocked> {
        let meet = common_ancestor(from, to);
        let out = lift(from, meet, units, guards);
        match self.grant_until(to, units, 0, false, meet, out) {
            Ok(()) => {
                for_each_up_to(from, meet, |node| {
                    let kept = node.cold.hand.get();
                    node.update(|word| Some(word.with(word.used(), word.credit() + kept)));
                });
                // Credit on the way down to `to` may have served part of it: the rest is the meeting node's credit.
                let served = meet_demand(meet, to, units).min(out);
                if !meet.parent.is_null() {
                    meet.update(|word| Some(word.with(word.used(), word.credit() + (out - served))));
                    self.pass_surplus_up(meet);
                }
                self.settle_path(from);
                Ok(())
            }
            Err(blocked) => {
                for_each_up_to(from, meet, |node| {
                    let lifted = node.cold.demand.get();
                    node.update(|word| Some(word.with(word.used() + lifted, word.credit())));
                });
                meet.update(|word| Some(word.with(word.used() + out, word.credit())));
                Err(blocked)
            }
        }
    }

    /// The node that pays for kept chunks.
    pub(crate) fn warm(&self) -> Option<&Node> {
        // SAFETY: the node is the source's and stays until the tree goes.
        unsafe { self.warm.load(Ordering::Acquire).as_ref() }
    }

    /// Makes `name` the node below the root that pays for kept chunks. It has no handle: it goes with the tree.
    #[cfg(all(feature = "std", unix, not(loom)))]
    pub(crate) fn make_warm(&self, name: &str) -> Result<(), AllocError> {
        // SAFETY: the root lives as long as the tree (I5), and the tree keeps its block's own pointer.
        let node = unsafe {
            let root = NonNull::new_unchecked(self.root.cast_mut());
            self.add_node(root, name, super::word::UNITS_MAX, 0, 0, false)?
        };
        self.root().refs.fetch_sub(1, Ordering::Relaxed);
        self.warm.store(node.as_ptr(), Ordering::Release);
        Ok(())
    }

    /// A charge of `node` becomes the warm node's, without being counted twice or not at all. `None` where the node is to
    /// release its charge itself; otherwise whether the nodes of the path are left short of their minimum, because there
    /// was no room for it beside the warm memory: the caller restores it when that memory can be given up.
    pub(crate) fn hand_to_warm(&self, node: &Node, units: u32) -> Option<bool> {
        let warm = self.warm()?;
        if let Some((_, after)) = warm.update(|word| word.spend(units)) {
            warm.note_peak(after.used());
            return None;
        }
        let is_short = {
            let _state = self.lock();
            let is_short = self.transfer_locked(node, warm, units, true).is_err();
            if is_short {
                let moved = self.transfer_locked(node, warm, units, false);
                assert!(moved.is_ok(), "the warm node has no limit of its own");
            }
            is_short
        };
        self.tell();
        Some(is_short)
    }

    /// Grants `node` and those above it what they lack of their minimum, and gives up warm memory for it.
    #[cold]
    pub(crate) fn restore_minimums(&self, node: &Node) {
        loop {
            let lacking = {
                let _state = self.lock();
                self.grant_minimums(node)
            };
            if lacking == 0 || self.trim_warm(bytes_of(lacking)) == 0 {
                break;
            }
        }
        self.tell();
    }

    /// Grants what is lacking of a minimum, up to the first grant that the root has no room for; returns its units.
    fn grant_minimums(&self, node: &Node) -> u32 {
        let mut this: *const Node = node;
        // SAFETY: a node and its ancestors are live (I5).
        while let Some(node) = unsafe { this.as_ref() } {
            let lacking = node.cold.minimum.get().saturating_sub(node.load().granted());
            let grant = || self.grant_until(node, 0, lacking, false, ptr::null(), 0);
            if lacking > 0
                && let Err(Blocked(blocked)) = grant().or_else(|blocked| self.sweep(blocked, grant))
            {
                return if ptr::eq(blocked, self.root) { lacking } else { 0 };
            }
            this = node.parent;
        }
        0
    }

    // ---------------------------------------------------------------------------------------------------------
    // Chunks kept for the nodes below

    /// A chunk of `bytes` out of the lists of the keeper above `node`, with its charge. Since what the keeper pays for now is what
    /// it grants then, nothing changes at it or above; between it and `node` a limit may be in the way, and then there is none.
    pub(super) fn take_from_keeper(&self, node: &Node, bytes: usize) -> Option<NonNull<ChunkHeader>> {
        // SAFETY: nodes above a live one are live (I5).
        let keeper = unsafe { node.keeper.as_ref() }?;
        let list = kept_list(bytes)?;
        if keeper.kept_units.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let units = (bytes / CHUNK_BYTES_MIN) as u32;
        let chunk = {
            let _state = self.lock();
            let chunk = NonNull::new(keeper.cold.kept[list].get())?;
            let mut fits = true;
            for_each_up_to(node, keeper, |node| {
                fits &= node.load().granted() + units <= node.capacity(false);
            });
            if !fits {
                return None;
            }
            for_each_up_to(node, keeper, |node| {
                let taken = node.update(|word| Some(word.with(word.used() + units, word.credit())));
                node.note_peak(taken.map_or(0, |(_, after)| after.used()));
                self.settle(node);
            });
            keeper.kept_units.fetch_sub(units, Ordering::Relaxed);
            // SAFETY: chunks in the lists are live, and the keeper's (I6).
            unsafe {
                keeper.cold.kept[list].set((*chunk.as_ptr()).next);
                (*chunk.as_ptr()).unlink();
            }
            chunk
        };
        self.tell();
        Some(chunk)
    }

    /// Puts the first chunks of a chain of together `bytes` into the lists of the keeper above `node`, as long as they are small and
    /// there is room; returns what is left of the chain, and its bytes.
    ///
    /// # Safety
    /// As [`Tree::give_back_chunks`]; `node` pays for the chunks.
    pub(super) unsafe fn give_to_keeper(
        &self,
        node: &Node,
        first: NonNull<ChunkHeader>,
        last: NonNull<ChunkHeader>,
        bytes: usize,
    ) -> Option<(NonNull<ChunkHeader>, usize)> {
        let rest = Some((first, bytes));
        // SAFETY: nodes above a live one are live (I5).
        let Some(keeper) = (unsafe { node.keeper.as_ref() }) else { return rest };
        // SAFETY: the caller's promise.
        let is_small = |chunk: NonNull<ChunkHeader>| kept_list(unsafe { (*chunk.as_ptr()).bytes }).is_some();
        if !is_small(first) || keeper.level.load(Ordering::Relaxed) >= Pressure::High as u8 {
            return rest;
        }
        let (mut next, mut left) = (Some(first), bytes);
        {
            let _state = self.lock();
            // What was guaranteed, and what came from a reserve, goes back there.
            let mut is_owed =
                [keeper, self.root()].iter().any(|node| node.load().granted() > node.capacity(false));
            for_each_up_to(node, keeper, |node| is_owed |= node.cold.minimum.get() > 0);
            if is_owed {
                return rest;
            }
            let room = KEPT_UNITS_MAX.min(keeper.limit.load(Ordering::Relaxed) / KEPT_PART);
            let room = room.min(self.root().limit.load(Ordering::Relaxed) / KEPT_PART);
            let mut kept = keeper.kept_units.load(Ordering::Relaxed);
            while let Some(chunk) = next {
                // SAFETY: the chunk is the caller's until it is in a list; behind the last one there is none.
                unsafe {
                    let header = chunk.as_ptr();
                    let units = ((*header).bytes / CHUNK_BYTES_MIN) as u32;
                    let Some(list) = kept_list((*header).bytes).filter(|_| kept + units <= room) else {
                        break;
                    };
                    next = if chunk == last { None } else { NonNull::new((*header).next) };
                    (*header).next = keeper.cold.kept[list].get();
                    keeper.cold.kept[list].set(header);
                    (kept, left) = (kept + units, left - (*header).bytes);
                }
            }
            keeper.kept_units.store(kept, Ordering::Relaxed);
            let units = ((bytes - left) / CHUNK_BYTES_MIN) as u32;
            for_each_up_to(node, keeper, |node| {
                node.update(|word| {
                    assert!(word.used() >= units, "more is given back than was charged");
                    Some(word.with(word.used() - units, word.credit()))
                });
                self.settle(node);
            });
        }
        self.tell();
        next.map(|next| (next, left))
    }

    /// A chunk out of the lists of `node`, which pays for it.
    pub(super) fn take_listed(&self, node: &Node) -> Option<NonNull<ChunkHeader>> {
        if node.kept_units.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let _state = self.lock();
        let list = node.cold.kept.iter().find(|list| !list.get().is_null())?;
        let chunk = NonNull::new(list.get())?;
        // SAFETY: chunks in the lists are live, and the node's (I6).
        unsafe {
            list.set((*chunk.as_ptr()).next);
            (*chunk.as_ptr()).unlink();
            let units = (*chunk.as_ptr()).bytes / CHUNK_BYTES_MIN;
            node.kept_units.fetch_sub(units as u32, Ordering::Relaxed);
        }
        Some(chunk)
    }

    // ---------------------------------------------------------------------------------------------------------
    // Reclaimers

    /// Asks reclaimers at and below `blocked`, one after the other, until the charge would fit or none gives more.
    /// True where it is worth trying again.
    ///
    /// A reclaimer, or an observer that hears of its release, that is itself refused something finds nobody to ask. A
    /// blocking reclaimer runs without the turn, because it may wait for a thread that is refused something.
    fn reclaim(&self, blocked: &Node, units: u32, effort: Effort) -> bool {
        let mut turn = self.reclaiming.take();
        if turn.is_none() {
            return false;
        }
        let warm_releases = self.warm_releases();
        // Somebody may have released, or reclaimed, while we waited for our turn.
        let free = {
            let _state = self.lock();
            free_at(blocked, effort.is_emergency())
        };
        if free >= u64::from(units) {
            return true;
        }
        let bytes = (u64::from(units) - free) * super::word::UNIT;
        let mut freed_bytes = self.give_up_kept_below(blocked, bytes);
        if ptr::eq(blocked, self.root) {
            freed_bytes += self.give_up_pages();
            freed_bytes += self.trim_warm(bytes.saturating_sub(freed_bytes));
        }
        for index in 0.. {
            if freed_bytes >= bytes {
                break;
            }
            let Some(reclaimer) = self.nth_reclaimer(blocked, index) else { break };
            if !reclaimer.is_blocking() {
                freed_bytes = freed_bytes.saturating_add(reclaimer.reclaim(bytes - freed_bytes));
            } else if effort == Effort::Waiting {
                drop(turn.take());
                freed_bytes = freed_bytes.saturating_add(reclaimer.reclaim(bytes - freed_bytes));
                turn = self.reclaiming.take();
            }
        }
        drop(turn);
        if freed_bytes > 0 {
            crate::budget_alloc::trim_freed();
        }
        // Whoever takes a warm chunk pays twice for a moment; when that moment has passed, there is room.
        freed_bytes > 0 || (ptr::eq(blocked, self.root) && self.warm_releases() != warm_releases)
    }

    /// Has nodes at and below `top` give up chunks that they keep, until these are `bytes` or there are no more; returns how many bytes
    /// they were.
    pub(super) fn give_up_kept_below(&self, top: &Node, bytes: u64) -> u64 {
        let mut given_bytes = self.give_up_kept(top);
        while given_bytes < bytes {
            let Some(keeper) = self.keeper_below(top) else { break };
            // SAFETY: revived, so it is live.
            let bytes_here = self.give_up_kept(unsafe { keeper.as_ref() });
            // SAFETY: its handle is given up, once; whoever is refused something has another one of the tree.
            unsafe { Tree::drop_handle(self, keeper) };
            if bytes_here == 0 {
                break;
            }
            given_bytes += bytes_here;
        }
        given_bytes
    }

    /// A node below `top` that keeps chunks, with a handle.
    fn keeper_below(&self, top: &Node) -> Option<NonNull<Node>> {
        let _state = self.lock();
        let mut this = next_in_preorder(top, top);
        // SAFETY: links between nodes are live under the lock (I3, I5).
        while let Some(node) = unsafe { this.as_ref() } {
            // One that loses its last handle gives up what it keeps by itself.
            if node.has_kept() && revive(node) {
                return NonNull::new(this.cast_mut());
            }
            this = next_in_preorder(node, top);
        }
        None
    }

    /// Asks the instant reclaimers on the path where less than `units` are free.
    pub(crate) fn free_up(&self, node: &Node, units: u32) {
        let mut this: *const Node = node;
        // SAFETY: a node and its ancestors are live (I5).
        while let Some(node) = unsafe { this.as_ref() } {
            self.reclaim(node, units, Effort::Instant);
            this = node.parent;
        }
        self.tell();
    }

    fn nth_reclaimer(&self, top: &Node, index: usize) -> Option<Arc<dyn Reclaim>> {
        let _state = self.lock();
        let mut found = None;
        let mut seen = 0;
        let mut look = |node: &Node| {
            if let Some(reclaimer) = node.cold.reclaimer.borrow().as_ref() {
                if seen == index {
                    found = Some(reclaimer.clone());
                }
                seen += 1;
            }
        };
        look(top);
        for_each_below(top, look);
        found
    }

    // ---------------------------------------------------------------------------------------------------------
    // Refusals

    /// Writes the record of a refusal into the slot of the asker's statement.
    #[cold]
    pub(crate) fn record(&self, asker: &Node, asked_units: u64, blocked: &Node, reason: Reason) {
        let _state = self.lock();
        let slot_owner = nearest_slot(asker);
        let word = blocked.load();
        let used = u64::from(word.used()) * super::word::UNIT;
        let asked = asked_units.saturating_mul(super::word::UNIT);
        let reserve = bytes_of(blocked.reserve.load(Ordering::Relaxed));
        let mut record = OutOfMemory::NONE;
        record.path = path_of(asker);
        record.refused_by = blocked.cold.name;
        record.stage = stage_of(asker);
        record.reason = reason;
        record.asked_bytes = asked;
        record.used_bytes = used;
        record.limit_bytes = bytes_of(blocked.limit.load(Ordering::Relaxed));
        record.needed_bytes = used.saturating_add(asked).saturating_add(reserve);
        record.holders = largest_holders(blocked);
        // SAFETY: a slot lives as long as its node, which is the asker or above it; the lock is held (I3).
        unsafe { (*slot_owner.cold.slot.get()).record = record };
        slot_owner.cold.slot_is_filled.set(true);
    }

    pub(crate) fn last_refusal(&self, node: &Node) -> Option<OutOfMemory> {
        let _state = self.lock();
        let owner = nearest_slot(node);
        // SAFETY: as in `record`.
        owner.cold.slot_is_filled.get().then(|| unsafe { (*owner.cold.slot.get()).record })
    }

    pub(crate) fn clear_refusal(&self, node: &Node) {
        let _state = self.lock();
        nearest_slot(node).cold.slot_is_filled.set(false);
    }

    // ---------------------------------------------------------------------------------------------------------
    // Pressure

    /// A charge or release on the fast path crossed a threshold of `node`.
    #[cold]
    pub(crate) fn threshold_crossed(&self, node: &Node) {
        {
            let _state = self.lock();
            self.settle(node);
        }
        self.tell();
    }

    pub(super) fn settle_path(&self, node: &Node) {
        let mut this: *const Node = node;
        // SAFETY: a node and its ancestors are live (I5).
        while let Some(node) = unsafe { this.as_ref() } {
            self.settle(node);
            this = node.parent;
        }
    }

    /// Brings a node's own level up to date with its word, and the levels below it with that.
    pub(super) fn settle(&self, node: &Node) {
        let limit = node.limit.load(Ordering::Relaxed);
        loop {
            let own = Pressure::of(node.load().used(), limit);
            if own == node.cold.own_level.get() {
                return;
            }
            node.cold.own_level.set(own);
            self.untold.store(true, Ordering::Release);
            set_thresholds(node, own, limit);
            spread_level(node);
            for_each_below(node, spread_level);
        }
    }

    /// A new limit: thresholds and level follow.
    pub(crate) fn set_limit(&self, node: &Node, limit: u32) {
        {
            let _state = self.lock();
            self.gather(node);
            unseal(node);
            node.limit.store(limit, Ordering::Relaxed);
            // What is guaranteed is credit already: above the limit it must not be spent.
            node.cold.minimum.set(node.cold.minimum.get().min(limit));
            set_thresholds(node, node.cold.own_level.get(), limit);
            self.settle(node);
            node.keep.store(0, Ordering::Relaxed);
            self.pass_surplus_up(node);
        }
        self.tell();
    }

    /// Tells the observer of every level that changed since it last heard.
    pub(super) fn tell(&self) {
        if !self.untold.load(Ordering::Relaxed) || !self.untold.swap(false, Ordering::AcqRel) {
            return;
        }
        while let Some((observer, event)) = self.next_untold() {
            observer.pressure_changed(&event);
        }
    }

    /// The first node whose level the observer does not know yet; it counts as told from here on.
    fn next_untold(&self) -> Option<(Arc<dyn Observer>, PressureEvent)> {
        let state = self.lock();
        let observer = state.observer.clone()?;
        let mut event = None;
        let mut look = |node: &Node| {
            let (from, to) = (node.cold.told_level.get(), node.cold.own_level.get());
            if event.is_some() || from == to {
                return;
            }
            node.cold.told_level.set(to);
            event = Some(PressureEvent {
                path: path_of(node),
                from,
                to,
                used_bytes: bytes_of(node.load().used()),
                limit_bytes: bytes_of(node.limit.load(Ordering::Relaxed)),
            });
        };
        look(self.root());
        for_each_below(self.root(), look);
        event.map(|event| (observer, event))
    }
}

impl Node {
    fn cold_minimum_set(&self, minimum: u32, _state: &Guard<'_, State>) {
        self.cold.minimum.set(minimum);
    }
}

#[derive(Clone, Copy)]
enum BlockKind {
    Node,
    Slot,
}

impl BlockKind {
    fn bytes(self) -> usize {
        match self {
            BlockKind::Node => Node::BLOCK_BYTES,
            BlockKind::Slot => SLOT_BYTES,
        }
    }

    fn free_list(self, state: &mut State) -> &mut *mut FreeBlock {
        match self {
            BlockKind::Node => &mut state.nodes_free,
            BlockKind::Slot => &mut state.slots_free,
        }
    }
}

impl State {
    /// Reuses a block that was freed, or cuts one from the current page; gives its page too. `None` where there is no room.
    fn take_block(&mut self, kind: BlockKind) -> Option<(*mut u8, *mut ChunkHeader)> {
        let free = *kind.free_list(self);
        // SAFETY: what is in a list is a free block, which nobody else uses.
        let (block, page) = match unsafe { free.as_ref() } {
            Some(&FreeBlock { next, page }) => {
                *kind.free_list(self) = next;
                (free.cast(), page)
            }
            None if self.cursor.addr() + kind.bytes() > self.pages.addr() => return None,
            None => {
                let block = self.cursor;
                self.cursor = self.cursor.wrapping_add(kind.bytes());
                (block, self.pages)
            }
        };
        // SAFETY: the page of a block is live, and the lock of this state guards its header.
        unsafe {
            self.empty_pages_count -= u32::from((*page).chunks_count == 0);
            (*page).chunks_count += 1;
        }
        Some((block, page))
    }

    /// Puts a block that [`State::take_block`] gave, and that nobody uses any more, into its list.
    fn free_block(&mut self, kind: BlockKind, block: *mut u8, page: *mut ChunkHeader) {
        let list = kind.free_list(self);
        let free = block.cast::<FreeBlock>();
        // SAFETY: the block is free, aligned and large enough; its page is live, and the lock of this state guards its header.
        unsafe {
            free.write(FreeBlock { next: *list, page });
            *list = free;
            (*page).chunks_count -= 1;
            self.empty_pages_count += u32::from((*page).chunks_count == 0);
        }
    }

    /// Takes the blocks of pages without a block in use out of the lists.
    fn forget_empty_blocks(&mut self) {
        for kind in [BlockKind::Node, BlockKind::Slot] {
            let mut place: *mut *mut FreeBlock = kind.free_list(self);
            // SAFETY: `place` is a list's begin or the link of a free block in it; pages of free blocks are live.
            unsafe {
                while let Some(free) = (*place).as_mut() {
                    if (*free.page).chunks_count == 0 {
                        *place = free.next;
                    } else {
                        place = &raw mut free.next;
                    }
                }
            }
        }
    }

    /// Takes the pages without a block in use out of the chain, and gives them as one of their own.
    fn unlink_empty_pages(&mut self) -> *mut ChunkHeader {
        let mut gone: *mut ChunkHeader = ptr::null_mut();
        let current = self.pages;
        let mut place: *mut *mut ChunkHeader = &raw mut self.pages;
        // SAFETY: `place` is the chain's begin or the link of a page in it; pages in the chain are live.
        unsafe {
            while let Some(page) = (*place).as_mut() {
                if page.chunks_count == 0 {
                    let empty = *place;
                    *place = page.next;
                    page.next = gone;
                    gone = empty;
                } else {
                    place = &raw mut page.next;
                }
            }
        }
        if self.pages != current {
            // What is the first page now was cut to its end.
            self.cursor = self.pages.cast();
        }
        self.empty_pages_count = 0;
        gone
    }
}

const _: () = assert!(
    size_of::<Tree>() + Node::BLOCK_BYTES + SLOT_BYTES + 3 * 128 + HEADER_BYTES <= PAGE_BYTES,
    "the first page holds the tree, its root and the root's slot"
);

fn align_up(pointer: *mut u8, align: usize) -> *mut u8 {
    pointer.wrapping_add(pointer.align_offset(align))
}

// -------------------------------------------------------------------------------------------------------------
// Walking; every function here needs the tree's lock (I3)

/// Takes a charge of `units` out of `from` and of the grants above it, and returns how much of it left the node below
/// `meet`. Each node's part is in its `demand`; what of that its minimum keeps, with `guards`, is in its hand.
fn lift(from: &Node, meet: &Node, units: u32, guards: bool) -> u32 {
    let mut out = units;
    let take = |node: &Node, out: u32| {
        node.update(|word| {
            assert!(word.used() >= out, "more is moved than was charged");
            Some(word.with(word.used() - out, word.credit()))
        })
        .map_or(0, |(_, after)| after.granted())
    };
    for_each_up_to(from, meet, |node| {
        let granted = take(node, out);
        let kept = if guards { node.cold.minimum.get().saturating_sub(granted).min(out) } else { 0 };
        node.cold.demand.set(out);
        node.cold.hand.set(kept);
        out -= kept;
    });
    take(meet, out);
    out
}

/// Calls `visit` for `node` and the nodes above it that are below `end`.
fn for_each_up_to(node: &Node, end: &Node, mut visit: impl FnMut(&Node)) {
    let mut this = node;
    while !ptr::eq(this, end) {
        visit(this);
        // SAFETY: below `end`: the parent is live (I5).
        this = unsafe { &*this.parent };
    }
}

fn put_hands_back(from: &Node, last: &Node) {
    let mut this = from;
    loop {
        let taken = this.cold.hand.get();
        this.update(|word| Some(word.with(word.used(), word.credit() + taken)));
        if ptr::eq(this, last) {
            return;
        }
        // SAFETY: below `last`: the parent is live (I5).
        this = unsafe { &*this.parent };
    }
}

/// What the grant that just ended asked of `meet`: 0 where credit below it served everything.
fn meet_demand(meet: &Node, to: &Node, units: u32) -> u32 {
    let mut left = units;
    let mut this = to;
    while !ptr::eq(this, meet) {
        left -= this.cold.hand.get().min(left);
        if left == 0 {
            return 0;
        }
        // SAFETY: below `meet`: the parent is live (I5).
        this = unsafe { &*this.parent };
    }
    left
}

fn unseal(top: &Node) {
    for_each_below(top, |node| {
        node.update(|word| Some(word.unsealed()));
    });
}

fn is_above(node: *const Node, other: &Node) -> bool {
    // SAFETY: both are on one path of live nodes (I5).
    unsafe { (*node).cold.depth.get() < other.cold.depth.get() }
}

fn common_ancestor<'n>(a: &'n Node, b: &'n Node) -> &'n Node {
    let (mut a, mut b) = (a, b);
    while !ptr::eq(a, b) {
        // SAFETY: the deeper of two different nodes is not the root, so it has a live parent (I5).
        unsafe { if a.cold.depth.get() >= b.cold.depth.get() { a = &*a.parent } else { b = &*b.parent } }
    }
    a
}

/// Calls `visit` for every node below `top`, parents before children.
fn for_each_below(top: &Node, mut visit: impl FnMut(&Node)) {
    let mut this = next_in_preorder(top, top);
    // SAFETY: links between nodes are live under the lock (I3, I5).
    while let Some(node) = unsafe { this.as_ref() } {
        visit(node);
        this = next_in_preorder(node, top);
    }
}

/// The node after `node` in the walk over everything below `top`, parents first; null at the end.
pub(crate) fn next_in_preorder(node: &Node, top: &Node) -> *const Node {
    let child = node.cold.first_child.get();
    if !child.is_null() {
        return child;
    }
    let mut this = node;
    while !ptr::eq(this, top) {
        let sibling = this.cold.next_sibling.get();
        if !sibling.is_null() {
            return sibling;
        }
        // SAFETY: below `top`: the parent is live (I5).
        this = unsafe { &*this.parent };
    }
    ptr::null()
}

/// Calls `visit` for every node below `top`, children before parents.
fn for_each_below_last_first(top: &Node, mut visit: impl FnMut(&Node)) {
    // SAFETY: links between nodes are live under the lock (I3, I5).
    unsafe {
        let deepest_first = |mut node: *const Node| {
            while !(*node).cold.first_child.get().is_null() {
                node = (*node).cold.first_child.get();
            }
            node
        };
        let mut this = deepest_first(top);
        while !ptr::eq(this, top) {
            visit(&*this);
            let sibling = (*this).cold.next_sibling.get();
            this = if sibling.is_null() { (*this).parent } else { deepest_first(sibling) };
        }
    }
}

/// Sets the uses at which a node leaves its level. Whoever crosses one of them meanwhile without having seen it has
/// changed the word by now: the caller looks at that again.
fn set_thresholds(node: &Node, level: Pressure, limit: u32) {
    node.up.store(level.up(limit), Ordering::Relaxed);
    node.down.store(level.down(limit), Ordering::Relaxed);
    crate::sync::fence(Ordering::SeqCst);
}

fn spread_level(node: &Node) {
    // SAFETY: a parent that is not null is live (I5).
    let above = unsafe { node.parent.as_ref() }.map_or(0, |parent| parent.level.load(Ordering::Relaxed));
    let level = above.max(node.cold.own_level.get() as u8);
    node.level.store(level, Ordering::Relaxed);
    if level >= Pressure::High as u8 {
        node.keep.store(0, Ordering::Relaxed);
    }
}

/// Units that an ordinary charge at `node` could get without a sweep.
pub(crate) fn room(node: &Node) -> u32 {
    let mut credits = 0u64;
    let mut room = u64::MAX;
    let mut this: *const Node = node;
    // SAFETY: a node and its ancestors are live (I5).
    while let Some(node) = unsafe { this.as_ref() } {
        let word = node.load();
        room = room.min(credits + u64::from(node.capacity(false).saturating_sub(word.used())));
        credits += u64::from(word.credit());
        this = node.parent;
    }
    u32::try_from(room).unwrap_or(u32::MAX)
}

/// Units that can be granted to `node` before a budget above it would enter another level of pressure: credit alone
/// must not raise it.
fn calm_room(node: &Node) -> u32 {
    let mut room = u32::MAX;
    let mut this = node.parent;
    // SAFETY: the ancestors of a live node are live (I5).
    while let Some(above) = unsafe { this.as_ref() } {
        let up = above.up.load(Ordering::Relaxed);
        room = room.min(up.saturating_sub(above.load().used()).saturating_sub(1));
        this = above.parent;
    }
    room
}

fn free_at(node: &Node, emergency: bool) -> u64 {
    u64::from(node.capacity(emergency)).saturating_sub(u64::from(node.load().used()))
}

fn nearest_slot(node: &Node) -> &Node {
    let mut this = node;
    while this.cold.slot.get().is_null() {
        // SAFETY: the root has a slot, so a node without one has a live parent (I5).
        this = unsafe { &*this.parent };
    }
    this
}

fn stage_of(node: &Node) -> &'static str {
    let mut this: *const Node = node;
    // SAFETY: a node and its ancestors are live (I5); stages are `&'static`.
    unsafe {
        while let Some(node) = this.as_ref() {
            if let Some(stage) = node.stage.load(Ordering::Acquire).as_ref() {
                return stage.name();
            }
            this = node.parent;
        }
    }
    ""
}

/// `root/…/node`; where the whole is too long, the front is cut so that the node itself stays readable.
pub(crate) fn path_of(node: &Node) -> InlineText<127> {
    let mut path = InlineText::EMPTY;
    let depth = node.cold.depth.get();
    for level in 0..=depth {
        let mut this = node;
        while this.cold.depth.get() > level {
            // SAFETY: deeper than `level`, so there is a live parent (I5).
            this = unsafe { &*this.parent };
        }
        if level > 0 {
            path.push_str("/");
        }
        path.push_str(this.cold.name.as_str());
    }
    path
}

/// What a node holds itself, without its children's grants, in units.
pub(crate) fn direct_units(node: &Node) -> u32 {
    let mut granted = 0u32;
    // Chunks that are kept for the nodes below are nobody's at the moment.
    let mut child = node.cold.first_child.get();
    // SAFETY: children are live under the lock (I3, I5).
    while let Some(node) = unsafe { child.as_ref() } {
        granted += node.load().granted();
        child = node.cold.next_sibling.get();
    }
    let kept = node.kept_units.load(Ordering::Relaxed);
    node.load().used().saturating_sub(granted).saturating_sub(kept)
}

fn largest_holders(top: &Node) -> [Holder; crate::error::HOLDERS_MAX] {
    let mut holders = OutOfMemory::NONE.holders;
    let mut consider = |node: &Node| {
        let mut holder = Holder { name: node.cold.name, bytes: bytes_of(direct_units(node)) };
        for place in &mut holders {
            if holder.bytes > place.bytes {
                core::mem::swap(place, &mut holder);
            }
        }
    };
    consider(top);
    for_each_below(top, consider);
    holders
}
