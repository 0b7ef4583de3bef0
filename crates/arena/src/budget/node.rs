//! One node of a tree of budgets: the hot word and its thresholds in one cache line, everything else behind it.

use super::tree::Tree;
use super::word::Word;
use crate::chunk::{CHUNK_BYTES_MIN, ChunkHeader};
use crate::error::{OutOfMemory, Stage};
use crate::pressure::Pressure;
use crate::reclaim::Reclaim;
use crate::sync::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use crate::text::InlineText;
use alloc::sync::Arc;
use core::cell::{Cell, RefCell};
use core::ptr::{self, NonNull};

/// A node. Invariants, cited in `tree.rs`:
///
/// - I1 `word.used` = direct charges + what the children were granted; `word.granted() <= limit`.
/// - I2 `granted` changes only under the tree's lock; the split between used and credit may change without it.
/// - I3 `cold` is touched only under the tree's lock.
/// - I4 the sum of all direct charges and all credits of a tree is the root's `granted`.
/// - I5 a node lives while it has handles; children hold a handle of their parent.
/// - I6 a chunk in `kept` is charged to the node, of the smallest size, and belongs to whoever swaps it out; one in `cold.kept` is charged
///   to the node.
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
    /// Whether small chunks that come back are kept for the node's own takers.
    pub(crate) keeps_chunks: AtomicBool,
    /// Whether small chunks that nodes below give back are kept for those.
    pub(crate) is_keeper: AtomicBool,
    /// What `cold.kept` takes.
    pub(crate) kept_units: AtomicU32,
    pub(crate) refs: AtomicUsize,
    pub(crate) tree: *const Tree,
    pub(crate) parent: *const Node,
    pub(crate) stage: AtomicPtr<Stage>,
    /// The nearest node above that keeps chunks for those below; null where there is none.
    pub(crate) keeper: *const Node,
    /// Small chunks that wait for the node's next taker, charged to it; null where none does.
    pub(crate) kept: [AtomicPtr<ChunkHeader>; KEPT_CHUNKS_MAX],
    pub(crate) cold: Cold,
}

/// How many chunks a node keeps for itself at most.
pub(crate) const KEPT_CHUNKS_MAX: usize = 4;

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
    /// The page of the tree that the node stands in.
    pub(crate) page: Cell<*mut ChunkHeader>,
    /// Where refusals of this node and the nodes below are recorded; null: ask the parent.
    pub(crate) slot: Cell<*mut Slot>,
    pub(crate) slot_is_filled: Cell<bool>,
    pub(crate) name: InlineText<31>,
    /// Chunks that nodes below gave back, by [`kept_list`], linked by `next`.
    pub(crate) kept: [Cell<*mut ChunkHeader>; KEPT_LISTS],
    pub(crate) reclaimer: RefCell<Option<Arc<dyn Reclaim>>>,
}

/// Where the refusals of a node are recorded.
pub(crate) struct Slot {
    pub(crate) record: OutOfMemory,
    /// The page of the tree that it stands in.
    pub(crate) page: *mut ChunkHeader,
}

/// Sizes of chunks that are kept for the nodes below: 1, 2 and 4 KiB.
const KEPT_LISTS: usize = 3;

/// Which list of kept chunks one of this size belongs to; none for larger ones.
pub(crate) fn kept_list(bytes: usize) -> Option<usize> {
    let list = bytes.checked_div(CHUNK_BYTES_MIN)?.checked_ilog2()? as usize;
    (list < KEPT_LISTS).then_some(list)
}

const _: () = assert!(size_of::<Node>() == Node::BLOCK_BYTES && align_of::<Node>() == 128);

impl Node {
    /// What a node costs, in bytes; charged to its tree page by page. Atomics of the model checker are larger.
    pub(crate) const BLOCK_BYTES: usize = if cfg!(loom) { 384 } else { 256 };

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
            keeps_chunks: AtomicBool::new(false),
            is_keeper: AtomicBool::new(false),
            kept_units: AtomicU32::new(0),
            refs: AtomicUsize::new(1),
            tree,
            parent,
            stage: AtomicPtr::new(ptr::null_mut()),
            // SAFETY: a parent that is not null is live (I5).
            keeper: match unsafe { parent.as_ref() } {
                Some(parent) if parent.is_keeper.load(Ordering::Relaxed) => parent,
                Some(parent) => parent.keeper,
                None => ptr::null(),
            },
            kept: core::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
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
                page: Cell::new(ptr::null_mut()),
                slot: Cell::new(ptr::null_mut()),
                slot_is_filled: Cell::new(false),
                name: InlineText::new(name),
                kept: core::array::from_fn(|_| Cell::new(ptr::null_mut())),
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

    /// A chunk of the smallest size that the node keeps, with its charge.
    #[inline]
    pub(crate) fn take_kept(&self) -> Option<NonNull<ChunkHeader>> {
        if !self.keeps_chunks.load(Ordering::Relaxed) {
            return None;
        }
        for place in &self.kept {
            if place.load(Ordering::Relaxed).is_null() {
                continue;
            }
            if let Some(chunk) = NonNull::new(place.swap(ptr::null_mut(), Ordering::Acquire)) {
                // SAFETY: the chunk is ours alone now (I6), and has its base and its size still.
                unsafe { (*chunk.as_ptr()).unlink() };
                return Some(chunk);
            }
        }
        None
    }

    /// Whether it keeps chunks.
    pub(crate) fn has_kept(&self) -> bool {
        self.kept_units.load(Ordering::Relaxed) > 0
            || self.kept.iter().any(|place| !place.load(Ordering::Relaxed).is_null())
    }

    /// Keeps a chunk for the next taker; false where there is no place for it.
    ///
    /// # Safety
    /// The chunk is of the smallest size, charged to this node, and the caller's alone; if it is kept, not any more.
    #[inline]
    pub(crate) unsafe fn keep_chunk(&self, chunk: NonNull<ChunkHeader>) -> bool {
        self.kept.iter().any(|place| {
            place.load(Ordering::Relaxed).is_null()
                && place
                    .compare_exchange(ptr::null_mut(), chunk.as_ptr(), Ordering::Release, Ordering::Relaxed)
                    .is_ok()
        })
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
