//! Coordinators: handles to an arena that stay valid when the structures that hold them move or are copied.
//!
//! ```text
//!   ArenaOwner ---.                                   chunk of 1 KiB, charged
//!   Coordinator ---+--> control block: | pins | references | stamp | arena | ---> its chunks
//!   Coordinator ---'                        ^
//!   Loc<T>: | stamp | place |   checked ----'
//! ```
//!
//! An arena that sits in a structure by value cannot be shared, and a pointer to it breaks when the structure moves
//! (seed 001 shows how). Here the arena stands in a control block that never moves. Its [`ArenaOwner`] decides how
//! long it lives; a [`Coordinator`] is a clone-able handle for everybody else. To touch the arena one *pins* it:
//!
//! | pin | how many | what it may do |
//! |---|---|---|
//! | [`ReadPin`] | any number | resolve a [`Loc`] to a reference |
//! | [`WritePin`] | one, beside the readers | allocate, and everything that a read pin may |
//! | reset, release | alone | forget all values; `Err(Busy)` while anyone pins |
//!
//! A writer beside readers is sound because an allocation never touches what was allocated before, and a reader learns
//! of a new value only from the writer. So that values may be seen by several threads at once, they must be
//! `Send + Sync + 'static`; structures inside link by [`Loc`].
//!
//! A pointer from before a reset, from another arena, or into an arena whose owner is gone, is an error value:
//!
//! ```
//! use cofferdam_arena::{ArenaOwner, Budget, LocError, PinError};
//!
//! let budget = Budget::unlimited("doc").unwrap();
//! let owner = ArenaOwner::new(&budget)?;
//! let handle = owner.coordinator().clone();
//! let moved = Box::new(owner); // the handle does not care
//! let number = handle.write()?.alloc(42u64)?;
//! assert_eq!(handle.read()?.get(number), Ok(&42));
//!
//! let pin = handle.read()?;
//! assert!(matches!(handle.reset(), Err(PinError::Busy { readers_count: 1, .. })));
//! drop(pin);
//! handle.reset()?;
//! assert_eq!(handle.read()?.get(number), Err(LocError::Stale));
//!
//! drop(moved);
//! assert_eq!(handle.read().err(), Some(PinError::Destroyed));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Copy out what must survive:
//!
//! ```
//! # use cofferdam_arena::{ArenaOwner, Budget};
//! # let budget = Budget::unlimited("doc").unwrap();
//! let (memtable, cache) = (ArenaOwner::new(&budget)?, ArenaOwner::new(&budget)?);
//! let row = memtable.write()?.alloc_str("AUTOMOBILE")?;
//! let copy = memtable.read()?.copy_to(row, &cache.write()?)?;
//! memtable.reset()?;
//! assert_eq!(cache.read()?.get(copy), Ok("AUTOMOBILE"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod loc;
mod pins;

pub use loc::{CopyError, Loc, LocError};
pub use pins::PinError;

use crate::arena::{Arena, ArenaStats, Growth};
use crate::budget::Budget;
use crate::chunk::{ChunkHeader, chunk_bytes_for};
use crate::error::AllocError;
use crate::pool::give_back_chunk;
use crate::stamp::Stamp;
use crate::sync::{AtomicUsize, Ordering, fence};
use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;
use pins::Pins;

/// What all handles of an arena share.
///
/// - I1 the block lives while it has references: one per handle, the owner's included. A pin borrows a handle.
/// - I2 `arena` is changed as a whole (`&mut`) only under an exclusive pin, or after the last pin of a destroyed one.
/// - I3 the arena's position and chunk list are touched only by the one writer, or as in I2.
/// - I4 `stamp` changes with every reset and release, and only as in I2. (It is not the arena's own, which names what
///   a reservoir's owner table needs and stays the same while the arena has no chunk.)
#[repr(C, align(64))]
struct Control {
    arena: UnsafeCell<Arena>,
    pins: Pins,
    references: AtomicUsize,
    stamp: UnsafeCell<Stamp>,
    budget: Budget,
    chunk: NonNull<ChunkHeader>,
    #[cfg(loom)]
    track: loom::cell::UnsafeCell<()>,
}

#[cfg(not(loom))]
const _: () = assert!(
    matches!(chunk_bytes_for(size_of::<Control>()), Some(crate::chunk::CHUNK_BYTES_MIN)),
    "the control block fits into the smallest chunk"
);

impl Control {
    fn create(arena: Arena) -> Result<NonNull<Control>, AllocError> {
        let budget = arena.budget().clone();
        let bytes = chunk_bytes_for(size_of::<Control>()).expect("a small constant");
        let chunk = budget.take_chunk(bytes, false)?;
        // SAFETY: the chunk is fresh, has room for a control block, and its data begins at a cache line.
        unsafe {
            let control = (*chunk.as_ptr()).base.cast::<Control>();
            control.write(Control {
                stamp: UnsafeCell::new(Stamp::fresh()),
                arena: UnsafeCell::new(arena),
                pins: Pins::new(),
                references: AtomicUsize::new(1),
                budget,
                chunk,
                #[cfg(loom)]
                track: loom::cell::UnsafeCell::new(()),
            });
            Ok(NonNull::new_unchecked(control))
        }
    }

    /// Tells the model checker that a pin uses the arena; nothing elsewhere.
    fn note_use(&self) {
        #[cfg(loom)]
        self.track.with(|_| ());
    }

    /// Tells the model checker that the arena is changed as a whole; nothing elsewhere.
    fn note_change(&self) {
        #[cfg(loom)]
        self.track.with_mut(|_| ());
    }

    /// Changes the arena as a whole, under an exclusive pin.
    fn change(&self, of_sealed: bool, change: impl FnOnce(&mut Arena)) -> Result<(), PinError> {
        self.pins.begin_exclusive(of_sealed)?;
        self.note_change();
        // SAFETY: the exclusive pin makes this the only access to arena and stamp (I2, I4).
        unsafe {
            change(&mut *self.arena.get());
            *self.stamp.get() = (*self.stamp.get()).next();
        }
        if self.pins.end_exclusive() {
            self.tear_down();
        }
        Ok(())
    }

    /// Gives the arena's chunks back. Called once, by whoever saw that the owner is gone and no pin is left (P3).
    #[cold]
    fn tear_down(&self) {
        self.note_change();
        // SAFETY: no pin is left and none will come (P3), so this is the only access (I2).
        unsafe { (*self.arena.get()).release() };
    }
}

/// A handle to an arena that somebody else owns; clones are handles to the same arena.
///
/// Keeps the control block (1 KiB of the arena's budget), not the arena: when the owner goes, every handle gets
/// [`PinError::Destroyed`].
pub struct Coordinator {
    control: NonNull<Control>,
}

// SAFETY: the control block is reached under the pin protocol (pins.rs), and handles are counted atomically.
unsafe impl Send for Coordinator {}
// SAFETY: as above.
unsafe impl Sync for Coordinator {}

impl Coordinator {
    fn control(&self) -> &Control {
        // SAFETY: this handle keeps the control block alive (I1).
        unsafe { self.control.as_ref() }
    }

    /// Pins the arena for reading. Takes no memory.
    ///
    /// # Errors
    /// A reset is under way, or the owner is gone.
    pub fn read(&self) -> Result<ReadPin<'_>, PinError> {
        self.control().pins.begin_read()?;
        self.control().note_use();
        // SAFETY: under a pin the stamp does not change (I4).
        let stamp = unsafe { *self.control().stamp.get() };
        Ok(ReadPin { control: self.control(), stamp })
    }

    /// Pins the arena for writing, beside any readers. Takes no memory.
    ///
    /// # Errors
    /// There is a writer, a reset is under way, the arena is sealed, or the owner is gone.
    pub fn write(&self) -> Result<WritePin<'_>, PinError> {
        self.control().pins.begin_write()?;
        self.control().note_use();
        // SAFETY: under a pin the stamp does not change (I4).
        let stamp = unsafe { *self.control().stamp.get() };
        Ok(WritePin { control: self.control(), stamp, not_sync: PhantomData })
    }

    /// Forgets every value and keeps the chunks; a few steps, whatever was allocated.
    ///
    /// # Errors
    /// Somebody pins the arena, it is sealed and waits to be flushed, or the owner is gone.
    pub fn reset(&self) -> Result<(), PinError> {
        self.control().change(false, Arena::reset)
    }

    /// Forgets every value and gives the chunks back.
    ///
    /// # Errors
    /// As [`Coordinator::reset`].
    pub fn release(&self) -> Result<(), PinError> {
        self.control().change(false, Arena::release)
    }

    /// True where the owner is gone.
    pub fn is_destroyed(&self) -> bool {
        self.control().pins.is_destroyed()
    }

    /// True where both are handles to the same arena.
    pub fn is_same(&self, other: &Coordinator) -> bool {
        self.control == other.control
    }

    /// The budget that pays.
    pub fn budget(&self) -> &Budget {
        &self.control().budget
    }

    /// No more write pins until [`Coordinator::empty_sealed`].
    pub(crate) fn seal(&self) -> Result<(), PinError> {
        self.control().pins.seal()
    }

    /// Empties a sealed arena as `empty` does, and opens it again.
    pub(crate) fn empty_sealed(&self, empty: impl FnOnce(&mut Arena)) -> Result<(), PinError> {
        self.control().change(true, empty)
    }
}

impl Clone for Coordinator {
    fn clone(&self) -> Coordinator {
        self.control().references.fetch_add(1, Ordering::Relaxed);
        Coordinator { control: self.control }
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        if self.control().references.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        fence(Ordering::Acquire);
        // SAFETY: the last handle is gone, the owner's included, so no pin is left and nobody reaches the block (I1).
        // It is moved out before its own chunk goes back; the arena in it is empty (P3).
        unsafe {
            let Control { arena, budget, chunk, .. } = self.control.read();
            drop(arena);
            give_back_chunk(&budget, chunk);
        }
    }
}

impl fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_destroyed() { "destroyed" } else { "live" };
        write!(f, "Coordinator({}: {state})", self.budget().name())
    }
}

/// The owner of a coordinated arena: the arena lives until the owner is dropped and the last pin after it.
///
/// Dereferences to its own [`Coordinator`]. A pin that was taken through the owner cannot outlive it:
///
/// ```compile_fail,E0505
/// # let budget = cofferdam_arena::Budget::unlimited("doc").unwrap();
/// let owner = cofferdam_arena::ArenaOwner::new(&budget).unwrap();
/// let pin = owner.read().unwrap();
/// drop(owner);
/// drop(pin);
/// ```
#[derive(Debug)]
pub struct ArenaOwner {
    coordinator: Coordinator,
}

impl ArenaOwner {
    /// An arena with a control block of 1 KiB; the arena itself takes nothing until the first allocation.
    ///
    /// # Errors
    /// The budget refuses the control block.
    pub fn new(budget: &Budget) -> Result<ArenaOwner, AllocError> {
        ArenaOwner::with_growth(budget, Growth::STATEMENT)
    }

    /// As [`ArenaOwner::new`], with chunks that grow as given.
    ///
    /// # Errors
    /// As [`ArenaOwner::new`].
    pub fn with_growth(budget: &Budget, growth: Growth) -> Result<ArenaOwner, AllocError> {
        ArenaOwner::of(Arena::with_growth(budget, growth))
    }

    /// Becomes the owner of an arena, with all that it holds.
    ///
    /// # Errors
    /// As [`ArenaOwner::new`]; the arena is released.
    pub fn of(arena: Arena) -> Result<ArenaOwner, AllocError> {
        Ok(ArenaOwner { coordinator: Coordinator { control: Control::create(arena)? } })
    }

    /// The handle for everybody else.
    pub fn coordinator(&self) -> &Coordinator {
        &self.coordinator
    }
}

impl Deref for ArenaOwner {
    type Target = Coordinator;

    fn deref(&self) -> &Coordinator {
        &self.coordinator
    }
}

impl Drop for ArenaOwner {
    fn drop(&mut self) {
        if self.coordinator.control().pins.destroy() {
            self.coordinator.control().tear_down();
        }
    }
}

/// Keeps an arena from being reset while its values are read. Costs one atomic change to take and one to end.
pub struct ReadPin<'c> {
    control: &'c Control,
    stamp: Stamp,
}

// SAFETY: a read pin gives out `&T` of values that are Sync, and its end is an atomic change.
unsafe impl Send for ReadPin<'_> {}
// SAFETY: as above.
unsafe impl Sync for ReadPin<'_> {}

impl ReadPin<'_> {
    /// The value at a location.
    ///
    /// # Errors
    /// The location is from before the last reset, or from another arena.
    #[inline]
    pub fn get<T: ?Sized>(&self, loc: Loc<T>) -> Result<&T, LocError> {
        self.control.note_use();
        // SAFETY: the stamp matches, so the value was allocated in this generation, which lasts while the pin does.
        // Values that several threads may see are Sync (`WritePin::alloc`), and never written once located.
        Ok(unsafe { &*loc.place_under(self.stamp)?.as_ptr() })
    }

    /// Copies a value to another arena. Copies what the value holds as it is: locations in it still point here.
    ///
    /// # Errors
    /// The location does not lead to a value, or the other arena's budget refuses.
    pub fn copy_to<T: CopyTo + ?Sized>(&self, loc: Loc<T>, to: &WritePin<'_>) -> Result<Loc<T>, CopyError> {
        Ok(self.get(loc)?.copy_to(to)?)
    }
}

impl Drop for ReadPin<'_> {
    fn drop(&mut self) {
        if self.control.pins.end_read() {
            self.control.tear_down();
        }
    }
}

impl fmt::Debug for ReadPin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadPin({}, arena {})", self.control.budget.name(), self.stamp.identity())
    }
}

/// The one right to allocate in a coordinated arena.
pub struct WritePin<'c> {
    control: &'c Control,
    stamp: Stamp,
    /// Allocation is for one thread at a time.
    not_sync: PhantomData<core::cell::Cell<()>>,
}

// SAFETY: there is one write pin, so moving it moves the right to touch the arena; its end is an atomic change.
unsafe impl Send for WritePin<'_> {}

impl WritePin<'_> {
    fn arena(&self) -> &Arena {
        self.control.note_use();
        // SAFETY: shared access to the arena's cells is for the one writer (I3), which is not Sync.
        unsafe { &*self.control.arena.get() }
    }

    /// Moves `value` into the arena. What others may see from any thread must be `Send + Sync + 'static`.
    ///
    /// # Errors
    /// The budget refuses; the value is dropped.
    #[inline]
    pub fn alloc<T: Send + Sync + 'static>(&self, value: T) -> Result<Loc<T>, AllocError> {
        Ok(Loc::new(self.stamp, self.arena().alloc(value)?))
    }

    /// A copy of the text.
    ///
    /// # Errors
    /// The budget refuses.
    pub fn alloc_str(&self, text: &str) -> Result<Loc<str>, AllocError> {
        Ok(Loc::new(self.stamp, self.arena().alloc_str(text)?))
    }

    /// A copy of the slice.
    ///
    /// # Errors
    /// The budget refuses.
    pub fn alloc_slice_copy<T: Copy + Send + Sync + 'static>(
        &self,
        values: &[T],
    ) -> Result<Loc<[T]>, AllocError> {
        Ok(Loc::new(self.stamp, self.arena().alloc_slice_copy(values)?))
    }

    /// `len` values that `make` gives for each index, in order.
    ///
    /// # Errors
    /// As [`Arena::alloc_slice_fill_with`].
    pub fn alloc_slice_fill_with<T: Send + Sync + 'static>(
        &self,
        len: usize,
        make: impl FnMut(usize) -> T,
    ) -> Result<Loc<[T]>, AllocError> {
        Ok(Loc::new(self.stamp, self.arena().alloc_slice_fill_with(len, make)?))
    }

    /// All that is left of a chunk, as [`Arena::alloc_rest_with`].
    ///
    /// # Errors
    /// As [`Arena::alloc_rest_with`].
    pub fn alloc_rest_with<T: Send + Sync + 'static>(
        &self,
        len_min: usize,
        make: impl FnMut(usize) -> T,
    ) -> Result<Loc<[T]>, AllocError> {
        Ok(Loc::new(self.stamp, self.arena().alloc_rest_with(len_min, make)?))
    }

    /// The value at a location, as [`ReadPin::get`].
    ///
    /// # Errors
    /// As [`ReadPin::get`].
    #[inline]
    pub fn get<T: ?Sized>(&self, loc: Loc<T>) -> Result<&T, LocError> {
        let place = loc.place_under(self.stamp)?;
        debug_assert!(
            // SAFETY: as below; only the size is looked at.
            size_of_val(unsafe { place.as_ref() }) == 0 || self.arena().owns(place.as_ptr().cast()),
            "a location with this arena's stamp points into its chunks"
        );
        // SAFETY: as in `ReadPin::get`.
        Ok(unsafe { &*place.as_ptr() })
    }

    /// Copies a value to another arena, as [`ReadPin::copy_to`].
    ///
    /// # Errors
    /// As [`ReadPin::copy_to`].
    pub fn copy_to<T: CopyTo + ?Sized>(&self, loc: Loc<T>, to: &WritePin<'_>) -> Result<Loc<T>, CopyError> {
        Ok(self.get(loc)?.copy_to(to)?)
    }

    /// What the arena holds.
    pub fn stats(&self) -> ArenaStats {
        self.arena().stats()
    }
}

impl Drop for WritePin<'_> {
    fn drop(&mut self) {
        if self.control.pins.end_write() {
            self.control.tear_down();
        }
    }
}

impl fmt::Debug for WritePin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WritePin({}: {})", self.control.budget.name(), self.stats())
    }
}

/// What can be copied from one coordinated arena to another: `Copy` values, slices of them, text.
pub trait CopyTo {
    /// Copies the value to where `to` allocates.
    ///
    /// # Errors
    /// The budget refuses.
    fn copy_to(&self, to: &WritePin<'_>) -> Result<Loc<Self>, AllocError>;
}

impl<T: Copy + Send + Sync + 'static> CopyTo for T {
    fn copy_to(&self, to: &WritePin<'_>) -> Result<Loc<T>, AllocError> {
        to.alloc(*self)
    }
}

impl<T: Copy + Send + Sync + 'static> CopyTo for [T] {
    fn copy_to(&self, to: &WritePin<'_>) -> Result<Loc<[T]>, AllocError> {
        to.alloc_slice_copy(self)
    }
}

impl CopyTo for str {
    fn copy_to(&self, to: &WritePin<'_>) -> Result<Loc<str>, AllocError> {
        to.alloc_str(self)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod model;
