//! Pools: objects of one size, handed out one by one and recycled one by one.
//!
//! ```text
//!   chunk 1 KiB                     chunk 2 KiB
//!   | live | free | live |H|        | live | free | fresh ...... |H|
//!             |                               ^         ^ next never-used slot
//!             `---- free list, through the slots ---'
//! ```
//!
//! An arena forgets everything at once; a pool is for objects that come and go while their neighbours stay: syntax
//! nodes that a rewrite drops, cursors, hash entries. A free slot holds the address of the next free one, so the list
//! costs no memory; a chunk holds up to 1,024 objects, fewer under a small limit, and is charged before it is taken.
//!
//! | | [`Pool`] | [`SharedPool`] |
//! |---|---|---|
//! | threads | one | any, no locks on `get` and on the way back |
//! | handle | [`PoolBox`]: owns, borrows the pool | [`Shared`]: counts references, keeps the pool alive |
//! | memory goes back | [`Pool::shrink`], or with the pool | [`SharedPool::shrink`], or with the last handle |
//!
//! A slot goes back by dropping its only owner, so it cannot go back twice, and a value that needs `Drop` is dropped.
//!
//! ```
//! use cofferdam_arena::{Budget, Pool};
//!
//! let budget = Budget::unlimited("doc").unwrap();
//! let pool = Pool::new(&budget);
//! let first = pool.get(String::from("a"))?;
//! let place = &raw const *first;
//! drop(first);
//! let second = pool.get(String::from("b"))?;
//! assert_eq!(&raw const *second, place); // the same slot
//! assert_eq!((pool.stats().live_count, pool.stats().recycled_count), (1, 1));
//! # Ok::<(), cofferdam_arena::AllocError>(())
//! ```

mod raw;
mod shared;

pub(crate) use raw::{RawPool, give_back_chunk};
pub use shared::{Shared, SharedPool};

use crate::budget::Budget;
use crate::error::AllocError;
use crate::text::human_bytes;
use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

/// The most objects that one chunk of a pool holds (seed 004).
pub const POOL_CHUNK_OBJECTS: usize = 1024;

/// What a pool holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStats {
    /// Objects handed out and not yet given back.
    pub live_count: usize,
    /// Slots that wait for an object, never-used ones included.
    pub free_count: usize,
    /// How often a slot was given back, to be used again.
    pub recycled_count: u64,
    /// Chunks of objects.
    pub chunks_count: usize,
    /// Charged to the budget, in bytes: chunks with their headers, and the pool's tables where it has some.
    pub allocated_bytes: usize,
}

impl fmt::Display for PoolStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} live and {} free in {} chunks ({}), {} recycled",
            self.live_count,
            self.free_count,
            self.chunks_count,
            human_bytes(self.allocated_bytes as u64),
            self.recycled_count
        )
    }
}

/// A pool of objects for one thread at a time. It takes nothing until the first object.
///
/// Peak bytes: the largest number of live objects, times the size of `T` (8 at least), rounded up to chunks that
/// double from 1 KiB.
pub struct Pool<T> {
    raw: RawPool,
    objects: PhantomData<fn() -> T>,
}

impl<T> Pool<T> {
    /// An empty pool whose chunks are charged to `budget`.
    pub fn new(budget: &Budget) -> Pool<T> {
        Pool { raw: RawPool::new(budget, Layout::new::<T>()), objects: PhantomData }
    }

    /// Moves `value` into a free slot, or into one of a new chunk.
    ///
    /// # Errors
    /// The budget refuses the chunk; the value is dropped.
    #[inline(always)]
    pub fn get(&self, value: T) -> Result<PoolBox<'_, T>, AllocError> {
        self.get_with(|| value)
    }

    /// As [`Pool::get`]; the value is made only when there is a slot, in place where the optimizer can.
    ///
    /// # Errors
    /// The budget refuses the chunk; `make` was not called.
    #[inline(always)]
    pub fn get_with(&self, make: impl FnOnce() -> T) -> Result<PoolBox<'_, T>, AllocError> {
        let place = self.raw.get()?;
        // The guard returns the slot where `make` panics.
        let slot = PutBack { place, pool: &self.raw };
        let value = make();
        core::mem::forget(slot);
        let place = place.cast::<T>();
        // SAFETY: the slot has T's layout and belongs to this call alone.
        unsafe { place.write(value) };
        Ok(PoolBox { place, pool: &self.raw })
    }

    /// Gives back the chunks in which nothing lives, and returns how many bytes that was. Sorts the free list, so it
    /// takes n log n steps for n free slots; afterwards slots are handed out in the order of their addresses.
    pub fn shrink(&self) -> u64 {
        self.raw.shrink()
    }

    /// What the pool holds; constant time.
    pub fn stats(&self) -> PoolStats {
        self.raw.stats()
    }

    /// The budget that pays.
    pub fn budget(&self) -> &Budget {
        self.raw.budget()
    }
}

impl<T> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({}: {})", self.budget().name(), self.stats())
    }
}

/// The owner of an object in a [`Pool`]. Dropping it drops the object and recycles the slot.
///
/// It borrows the pool, so neither outlives the other, and it stays on the pool's thread:
///
/// ```compile_fail,E0505
/// # let budget = cofferdam_arena::Budget::unlimited("doc").unwrap();
/// let pool = cofferdam_arena::Pool::new(&budget);
/// let object = pool.get(1).unwrap();
/// drop(pool);
/// println!("{}", *object);
/// ```
///
/// ```compile_fail,E0277
/// # let budget = cofferdam_arena::Budget::unlimited("doc").unwrap();
/// let pool = cofferdam_arena::Pool::new(&budget);
/// let object = pool.get(1).unwrap();
/// std::thread::scope(|scope| {
///     scope.spawn(move || drop(object));
/// });
/// ```
pub struct PoolBox<'p, T> {
    place: NonNull<T>,
    pool: &'p RawPool,
}

impl<T> Deref for PoolBox<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the slot holds a value from birth to drop, and this box owns it.
        unsafe { self.place.as_ref() }
    }
}

impl<T> DerefMut for PoolBox<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; `&mut self` makes it the only reference.
        unsafe { self.place.as_mut() }
    }
}

impl<T> Drop for PoolBox<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        // The guard recycles the slot even where the value's own drop panics.
        let _slot = PutBack { place: self.place.cast(), pool: self.pool };
        // SAFETY: owned, and dropped once.
        unsafe { self.place.drop_in_place() };
    }
}

/// Returns a slot to its pool at the end of a block.
pub(crate) struct PutBack<'p> {
    pub(crate) place: NonNull<u8>,
    pub(crate) pool: &'p RawPool,
}

impl Drop for PutBack<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: whoever makes the guard owned the slot, came by it from this pool, and does not use it any more.
        unsafe { self.pool.put(self.place) };
    }
}

impl<T: fmt::Debug> fmt::Debug for PoolBox<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod model;
