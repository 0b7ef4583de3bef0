//! A worker thread's own memory: scratch by size class without locks, and results that a statement takes over.
//!
//! ```text
//!   ThreadArenas of one worker            size decision (seed 004)
//!     nodes   pool of 64-byte slots       node of up to 64 B: a recycled slot, or a fresh one of the pool
//!     small   arena, at most 256 KiB      up to 1,024 B
//!     large   arena, at most 2 MiB        more
//!     part    arena for the statement     what must live as long as the statement: spliced into its arena
//! ```
//!
//! The seed hides its pools in `thread_local` variables. Here a worker owns a [`ThreadArenas`] value, which is not
//! `Sync`: so no lock is needed, the charge has a name in the tree, and memory goes back when the worker ends. All
//! sizes are caps; nothing is taken until it is needed. Under pressure (from `Moderate`) every object of up to 64 bytes
//! goes to the pool, where its slot can be used again, instead of to an arena.
//!
//! ```
//! use cofferdam_arena::{Arena, Budget, ThreadArenas};
//!
//! let process = Budget::root("process", 8 << 20).unwrap();
//! let budget = process.child("statement", 1 << 20)?;
//! let statement = Arena::new(&budget);
//!
//! let worker = ThreadArenas::new(&process, "worker 1")?;
//! let sorted = worker.scratch(40 << 10); // forgotten with the worker
//! sorted.alloc_slice_fill(5000, 0u64)?;
//! let name = worker.part().alloc_str("result")?; // for the statement
//!
//! let taken = worker.splice_into(&statement).map_err(|refused| refused.error).unwrap();
//! assert_eq!(taken.get(name), Ok("result"));
//! assert_eq!(statement.stats().allocated_bytes, 1024); // the result's chunk, not the scratch
//! # Ok::<(), cofferdam_arena::AllocError>(())
//! ```
//!
//! An arena itself is for one thread at a time; sharing one is a compile error:
//!
//! ```compile_fail,E0277
//! # let budget = cofferdam_arena::Budget::unlimited("doc").unwrap();
//! let arena = cofferdam_arena::Arena::new(&budget);
//! std::thread::scope(|scope| {
//!     scope.spawn(|| arena.alloc(1).unwrap());
//! });
//! ```

use crate::arena::{Arena, ArenaStats, SpliceError};
use crate::budget::Budget;
use crate::coordinator::{Loc, LocError};
use crate::error::AllocError;
use crate::pool::{PoolStats, PutBack, RawPool};
use crate::pressure::Pressure;
use crate::stamp::Stamp;
use core::alloc::Layout;
use core::cell::Cell;
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

/// The most that a thread's small arena takes, in bytes.
pub const SMALL_BYTES_CAP: u64 = 256 << 10;
/// The most that a thread's large arena takes, in bytes.
pub const LARGE_BYTES_CAP: u64 = 2 << 20;
/// The largest object that goes to the node pool, in bytes; also its alignment.
pub const NODE_BYTES_MAX: usize = 64;
/// The largest object that goes to the small arena, in bytes.
pub const SMALL_OBJECT_BYTES_MAX: usize = 1024;

const NODE_LAYOUT: Layout = match Layout::from_size_align(NODE_BYTES_MAX, NODE_BYTES_MAX) {
    Ok(layout) => layout,
    Err(_) => unreachable!(),
};

/// Where a thread's object goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SizeClass {
    /// A slot of the node pool that was used before.
    RecycledNode,
    /// A fresh slot of the node pool.
    PoolNode,
    /// The small arena.
    Small,
    /// The large arena.
    Large,
}

impl SizeClass {
    /// The seed's decision. `is_node`: the object is one of many of its kind that come and go, as syntax nodes do.
    pub const fn of(layout: Layout, is_node: bool, pressure: Pressure, has_recycled: bool) -> SizeClass {
        let fits_a_node = layout.size() <= NODE_BYTES_MAX && layout.align() <= NODE_BYTES_MAX;
        let prefers_pools = !matches!(pressure, Pressure::Normal);
        if fits_a_node && (is_node || prefers_pools) {
            if has_recycled { SizeClass::RecycledNode } else { SizeClass::PoolNode }
        } else if layout.size() <= SMALL_OBJECT_BYTES_MAX {
            SizeClass::Small
        } else {
            SizeClass::Large
        }
    }
}

/// The memory of one worker thread; see the module's text.
#[derive(Debug)]
pub struct ThreadArenas {
    small: Arena,
    large: Arena,
    nodes: RawPool,
    part: StatementPart,
    decisions: [Cell<u64>; 4],
    budget: Budget,
}

/// What a thread's arenas hold, and where its objects went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadStats {
    /// The arena for objects of up to 1,024 bytes.
    pub small: ArenaStats,
    /// The arena for larger ones.
    pub large: ArenaStats,
    /// The pool of 64-byte slots.
    pub nodes: PoolStats,
    /// What waits to be spliced into a statement's arena.
    pub part: ArenaStats,
    /// Objects that got a used slot.
    pub recycled_count: u64,
    /// Objects that got a fresh slot.
    pub pooled_count: u64,
    /// Objects in the small arena.
    pub small_count: u64,
    /// Objects in the large arena.
    pub large_count: u64,
}

impl fmt::Display for ThreadStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "nodes: {} in used slots, {} in fresh ones; {}",
            self.recycled_count, self.pooled_count, self.nodes
        )?;
        writeln!(f, "small: {} objects; {}", self.small_count, self.small)?;
        writeln!(f, "large: {} objects; {}", self.large_count, self.large)?;
        write!(f, "part: {}", self.part)
    }
}

impl ThreadArenas {
    /// A worker's memory as a budget `name` below `parent`; takes nothing but the budget's nodes.
    ///
    /// # Errors
    /// The tree cannot pay for its nodes.
    pub fn new(parent: &Budget, name: &str) -> Result<ThreadArenas, AllocError> {
        let budget = parent.child(name, u64::MAX)?;
        Ok(ThreadArenas {
            small: Arena::new(&budget.child("small", SMALL_BYTES_CAP)?),
            large: Arena::new(&budget.child("large", LARGE_BYTES_CAP)?),
            nodes: RawPool::new(&budget, NODE_LAYOUT),
            part: StatementPart::new(&budget),
            decisions: [const { Cell::new(0) }; 4],
            budget,
        })
    }

    /// Moves `value` to where its size says, behind a box that drops it and recycles a node's slot.
    ///
    /// # Errors
    /// The thread's cap or a budget above refuses; the value is dropped.
    #[inline]
    pub fn alloc_box<T>(&self, value: T) -> Result<ScratchBox<'_, T>, AllocError> {
        self.place(value, false)
    }

    /// As [`ThreadArenas::alloc_box`], for one of many objects of its kind that come and go: always from the pool.
    ///
    /// An object larger than 64 bytes is a compile error.
    ///
    /// # Errors
    /// As [`ThreadArenas::alloc_box`].
    #[inline]
    pub fn alloc_node<T>(&self, value: T) -> Result<ScratchBox<'_, T>, AllocError> {
        const {
            assert!(
                size_of::<T>() <= NODE_BYTES_MAX && align_of::<T>() <= NODE_BYTES_MAX,
                "a node is at most 64 bytes: use alloc_box"
            );
        };
        self.place(value, true)
    }

    fn place<T>(&self, value: T, is_node: bool) -> Result<ScratchBox<'_, T>, AllocError> {
        let layout = Layout::new::<T>();
        let class = SizeClass::of(layout, is_node, self.budget.pressure(), self.nodes.has_free());
        let (place, pool) = match class {
            SizeClass::RecycledNode | SizeClass::PoolNode => (self.nodes.get()?, Some(&self.nodes)),
            // A full small arena overflows into the large one.
            SizeClass::Small if self.small.can_take(layout) => (self.small.alloc_layout(layout)?, None),
            SizeClass::Small | SizeClass::Large => (self.large.alloc_layout(layout)?, None),
        };
        let count = &self.decisions[class as usize];
        count.set(count.get() + 1);
        let place = place.cast::<T>();
        // SAFETY: fresh memory of at least T's layout that belongs to this call alone.
        unsafe { place.write(value) };
        Ok(ScratchBox { place, pool })
    }

    /// The arena for scratch of about `expected_bytes`, for collections and other work that grows.
    pub fn scratch(&self, expected_bytes: usize) -> &Arena {
        let layout = Layout::from_size_align(expected_bytes, 8);
        match layout {
            Ok(layout) if expected_bytes <= SMALL_OBJECT_BYTES_MAX && self.small.can_take(layout) => {
                &self.small
            }
            _ => &self.large,
        }
    }

    /// Where results for the current statement go.
    pub fn part(&self) -> &StatementPart {
        &self.part
    }

    /// Hands out the current statement's results and begins a new part; the thread goes on with its scratch.
    pub fn take_part(&mut self) -> StatementPart {
        let next = StatementPart::new(&self.budget);
        core::mem::replace(&mut self.part, next)
    }

    /// Ends the thread's memory: what was allocated for the statement goes to its arena, everything else goes back.
    ///
    /// # Errors
    /// As [`StatementPart::splice_into`]; the results come back with the error then.
    pub fn splice_into(mut self, statement: &Arena) -> Result<Spliced<'_>, SpliceRefused> {
        self.take_part().splice_into(statement)
    }

    /// Forgets all scratch and keeps its chunks; nodes have gone one by one, results stay.
    pub fn reset(&mut self) {
        self.small.reset();
        self.large.reset();
    }

    /// Forgets all scratch and gives its memory back, and that of unused nodes; results stay.
    pub fn release(&mut self) {
        self.small.release();
        self.large.release();
        self.nodes.shrink();
    }

    /// What is held, and where objects went; constant time.
    pub fn stats(&self) -> ThreadStats {
        let count = |class: SizeClass| self.decisions[class as usize].get();
        ThreadStats {
            small: self.small.stats(),
            large: self.large.stats(),
            nodes: self.nodes.stats(),
            part: self.part.arena.stats(),
            recycled_count: count(SizeClass::RecycledNode),
            pooled_count: count(SizeClass::PoolNode),
            small_count: count(SizeClass::Small),
            large_count: count(SizeClass::Large),
        }
    }

    /// The thread's budget.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }
}

/// The owner of an object in a thread's memory. Dropping it drops the object, and recycles its slot where it has one.
pub struct ScratchBox<'a, T> {
    place: NonNull<T>,
    /// `None`: in an arena, whose memory goes back as a whole.
    pool: Option<&'a RawPool>,
}

impl<T> ScratchBox<'_, T> {
    /// True where the object has a slot of its own that will be used again.
    pub fn is_pooled(this: &ScratchBox<'_, T>) -> bool {
        this.pool.is_some()
    }
}

impl<T> Deref for ScratchBox<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the place holds a value from birth to drop, and this box owns it.
        unsafe { self.place.as_ref() }
    }
}

impl<T> DerefMut for ScratchBox<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; `&mut self` makes it the only reference.
        unsafe { self.place.as_mut() }
    }
}

impl<T> Drop for ScratchBox<'_, T> {
    fn drop(&mut self) {
        // The guard recycles the slot even where the value's own drop panics.
        let _slot = self.pool.map(|pool| PutBack { place: self.place.cast(), pool });
        // SAFETY: owned, and dropped once.
        unsafe { self.place.drop_in_place() };
    }
}

impl<T: fmt::Debug> fmt::Debug for ScratchBox<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Results that a worker makes for a statement: an arena that the statement's arena takes over.
///
/// Its pointers are [`Loc`]s, because they outlive the part: [`Spliced`] resolves them afterwards. It can be sent to
/// the statement's thread, so values must be `Send`; structures inside link by `Loc`.
#[derive(Debug)]
pub struct StatementPart {
    arena: Arena,
    stamp: Stamp,
}

impl StatementPart {
    /// An empty part, charged to the worker's budget until it is spliced.
    pub fn new(budget: &Budget) -> StatementPart {
        StatementPart { arena: Arena::new(budget), stamp: Stamp::fresh() }
    }

    /// Moves `value` into the part.
    ///
    /// # Errors
    /// The budget refuses; the value is dropped.
    #[inline]
    pub fn alloc<T: Send + 'static>(&self, value: T) -> Result<Loc<T>, AllocError> {
        Ok(Loc::new(self.stamp, self.arena.alloc(value)?))
    }

    /// A copy of the text.
    ///
    /// # Errors
    /// The budget refuses.
    pub fn alloc_str(&self, text: &str) -> Result<Loc<str>, AllocError> {
        Ok(Loc::new(self.stamp, self.arena.alloc_str(text)?))
    }

    /// A copy of the slice.
    ///
    /// # Errors
    /// The budget refuses.
    pub fn alloc_slice_copy<T: Copy + Send + 'static>(&self, values: &[T]) -> Result<Loc<[T]>, AllocError> {
        Ok(Loc::new(self.stamp, self.arena.alloc_slice_copy(values)?))
    }

    /// The value at a location.
    ///
    /// # Errors
    /// The location was made elsewhere.
    pub fn get<T: ?Sized>(&self, loc: Loc<T>) -> Result<&T, LocError> {
        let place = loc.place_under(self.stamp)?;
        // SAFETY: the stamp matches, so the value is in this part, which is never reset, and nobody writes it.
        Ok(unsafe { &*place.as_ptr() })
    }

    /// What the part holds.
    pub fn stats(&self) -> ArenaStats {
        self.arena.stats()
    }

    /// Gives the part's chunks and their charge to the statement's arena. Nothing is copied, and what the part had in
    /// reserve goes back.
    ///
    /// # Errors
    /// The statement's budget refuses the charge, or belongs to another tree; the part comes back with the error.
    pub fn splice_into(self, statement: &Arena) -> Result<Spliced<'_>, SpliceRefused> {
        let StatementPart { arena, stamp } = self;
        match statement.adopt(arena) {
            Ok(()) => Ok(Spliced { stamp, statement }),
            Err((arena, error)) => Err(SpliceRefused { part: StatementPart { arena, stamp }, error }),
        }
    }
}

/// Resolves the locations of a part that a statement's arena has taken over. Lives as long as the arena is borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Spliced<'s> {
    stamp: Stamp,
    statement: &'s Arena,
}

impl<'s> Spliced<'s> {
    /// The value at a location of the part.
    ///
    /// # Errors
    /// The location was made elsewhere.
    pub fn get<T: ?Sized>(&self, loc: Loc<T>) -> Result<&'s T, LocError> {
        let place = loc.place_under(self.stamp)?;
        // SAFETY: the stamp matches, so the value is in the part's chunks. They belong to the statement's arena, which
        // cannot be reset while 's lasts, and nobody writes the value.
        let value = unsafe { &*place.as_ptr() };
        debug_assert!(
            size_of_val(value) == 0 || self.statement.owns(place.as_ptr().cast()),
            "the chunks came over"
        );
        Ok(value)
    }
}

/// A part that a statement's arena did not take, and why.
#[derive(Debug)]
pub struct SpliceRefused {
    /// The part, unchanged except for reserves that went back.
    pub part: StatementPart,
    /// Why.
    pub error: SpliceError,
}

impl fmt::Display for SpliceRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl core::error::Error for SpliceRefused {}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod model;
