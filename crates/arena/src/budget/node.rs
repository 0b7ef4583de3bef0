//! One node of a tree of budgets: the hot word and its thresholds in one cache line, everything else behind it.

use super::tree::Tree;
use super::word::Word;
use crate::error::{OutOfMemory, Stage};
use crate::pressure::Pressure;
use crate::reclaim::Reclaim;
use crate::sync::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use crate::text::InlineText;
use alloc::sync::Arc;
use core::cell::{Cell, RefCell};
use core::ptr;

/// A node. Invariants, cited in `tree.rs`:
///
/// - I1 `word.used` = direct charges + what the children were granted; `word.granted() <= limit`.
/// - I2 `granted` changes only under the tree's lock; the split between used and credit may change without it.
/// - I3 `cold` is touched only under the tree's lock.
/// - I4 the sum of all direct charges and all credits of a tree is the root's `granted`.
/// - I5 a node lives while it has handles; children hold a handle of their parent.
#[repr(C, align(128))]
pub(crate) struct Node {
    pub(crate) word: AtomicU64,
    /// Largest `used` so far, in units.
    pub(crate) peak: AtomicU32,
    /// A use from here on has reached the next level of pressure.
    pub(crate) up: AtomicU32,
    /// A use below this has left the level.
    pub(crate) down: AtomicU32,
    /// Credit above this goes back to the parent.
    pub(crate) keep: AtomicU32,
    pub(crate) limit: AtomicU32,
    /// The part of the limit that only emergency charges may use.
    pub(crate) reserve: AtomicU32,
    /// The worse of the node's own level and its parent's.
    pub(crate) level: AtomicU8,
    pub(crate) refs: AtomicUsize,
    pub(crate) tree: *const Tree,
    pub(crate) parent: *const Node,
    pub(crate) stage: AtomicPtr<Stage>,
    pub(crate) cold: Cold,
}

/// What only holders of the tree's lock touch (I3).
pub(crate) struct Cold {
    pub(crate) own_level: Cell<Pressure>,
    /// The level that the observer was last told.
    pub(crate) told_level: Cell<Pressure>,
    pub(crate) depth: Cell<u32>,
    /// Never granted less than this while the node lives.
    pub(crate) minimum: Cell<u32>,
    /// How often credit was fetched from the parent: the reason to fetch more at a time.
    pub(crate) refills_count: Cell<u32>,
    /// Units of credit held in hand between the two passes of a grant.
    pub(crate) hand: Cell<u32>,
    /// Units asked of this node by the grant under way.
    pub(crate) demand: Cell<u32>,
    pub(crate) first_child: Cell<*const Node>,
    pub(crate) next_sibling: Cell<*const Node>,
    pub(crate) previous_sibling: Cell<*const Node>,
    /// Where refusals of this node and the nodes below are recorded; null: ask the parent.
    pub(crate) slot: Cell<*mut OutOfMemory>,
    pub(crate) slot_is_filled: Cell<bool>,
    pub(crate) name: InlineText<31>,
    pub(crate) reclaimer: RefCell<Option<Arc<dyn Reclaim>>>,
}

const _: () = assert!(size_of::<Node>() == Node::BLOCK_BYTES && align_of::<Node>() == 128);

impl Node {
    /// What a node costs, in bytes; charged to its tree page by page.
    pub(crate) const BLOCK_BYTES: usize = 256;

    pub(crate) fn new(tree: *const Tree, parent: *const Node, name: &str, limit: u32, depth: u32) -> Node {
        let calm = Pressure::Normal;
        Node {
            word: AtomicU64::new(0),
            peak: AtomicU32::new(0),
            up: AtomicU32::new(calm.up(limit)),
            down: AtomicU32::new(0),
            keep: AtomicU32::new(0),
            limit: AtomicU32::new(limit),
            reserve: AtomicU32::new(0),
            level: AtomicU8::new(calm as u8),
            refs: AtomicUsize::new(1),
            tree,
            parent,
            stage: AtomicPtr::new(ptr::null_mut()),
            cold: Cold {
                own_level: Cell::new(calm),
                told_level: Cell::new(calm),
                depth: Cell::new(depth),
                minimum: Cell::new(0),
                refills_count: Cell::new(0),
                hand: Cell::new(0),
                demand: Cell::new(0),
                first_child: Cell::new(ptr::null()),
                next_sibling: Cell::new(ptr::null()),
                previous_sibling: Cell::new(ptr::null()),
                slot: Cell::new(ptr::null_mut()),
                slot_is_filled: Cell::new(false),
                name: InlineText::new(name),
                reclaimer: RefCell::new(None),
            },
        }
    }

    #[inline]
    pub(crate) fn load(&self) -> Word {
        Word(self.word.load(Ordering::Acquire))
    }

    /// Replaces the word by `change` of it until no other thread came between; returns the words before and after,
    /// or `None` where `change` declined.
    ///
    /// SeqCst, as the loads of `up` and `down` that follow: whoever moves the thresholds meanwhile sees the new word, or
    /// this thread sees the new thresholds (`Tree::settle`).
    #[inline]
    pub(crate) fn update(&self, change: impl Fn(Word) -> Option<Word>) -> Option<(Word, Word)> {
        let mut before = self.load();
        loop {
            let after = change(before)?;
            match self.word.compare_exchange_weak(before.0, after.0, Ordering::SeqCst, Ordering::Acquire) {
                Ok(_) => return Some((before, after)),
                Err(now) => before = Word(now),
            }
        }
    }

    /// What ordinary charges may have granted here.
    pub(crate) fn capacity(&self, emergency: bool) -> u32 {
        let limit = self.limit.load(Ordering::Relaxed);
        if emergency { limit } else { limit.saturating_sub(self.reserve.load(Ordering::Relaxed)) }
    }

    #[inline]
    pub(crate) fn note_peak(&self, used: u32) {
        if used > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(used, Ordering::Relaxed);
        }
    }
}
