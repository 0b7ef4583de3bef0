//! The arena: bump allocation in a chain of chunks, each charged to a budget before it is taken.
//!
//! ```text
//!   head                        current                      tail
//!   | full ......|H| -> | full .......|H| -> | used |  free |H| -> | kept from before a reset |H|
//!                                                   ^position ^end
//! ```
//!
//! - `reset` goes back to the head and keeps every chunk; `release` gives the whole chain back in one splice. Neither
//!   looks at objects, and on a reservoir neither looks at chunks.
//! - Whatever is allocated must not need `Drop` (a compile error), or sits in an [`ArenaBox`] that drops it.
//! - A reference to an allocation borrows the arena, so `reset`, which takes `&mut`, cannot be called while one lives:
//!
//! ```compile_fail,E0502
//! # let budget = cofferdam_arena::Budget::unlimited("doc").unwrap();
//! let mut arena = cofferdam_arena::Arena::new(&budget);
//! let number = arena.alloc(7).unwrap();
//! arena.reset();
//! println!("{number}"); // the number's memory is gone
//! ```
//!
//! Fixed cost: an arena is 64 bytes, one cache line, and no two share one. The seed speaks of 16 bytes; ours holds
//! position and end (so that an allocation touches no other line), the chain's two ends, the budget handle, the
//! identity that tells one generation of pointers from the next, and the figures for its statistics.

mod splice;

pub use splice::SpliceError;

use crate::budget::Budget;
use crate::bump;
use crate::chunk::{CHUNK_BYTES_MIN, ChunkHeader, GRANULE_BYTES, chunk_bytes_for, round_chunk_down};
use crate::error::{AllocError, Reason};
use crate::pressure::Pressure;
use crate::scope::Scope;
use crate::stamp::Stamp;
use crate::text::human_bytes;
use core::alloc::Layout;
use core::cell::Cell;
use core::fmt;
use core::mem::{MaybeUninit, needs_drop};
use core::ptr::{self, NonNull};
use core::slice;

/// How the chunks of an arena grow. All sizes are caps: a sixteenth of the smallest limit on the budget's path is
/// another, and what the budget still has is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    first_log2: u8,
    max_log2: u8,
    basis: Basis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Basis {
    /// The next chunk is as large as all chunks together; from [`QUARTERS_FROM`] on, a quarter of that.
    Total,
    /// The next chunk is twice as large as the last.
    Last,
}

/// Bytes from which on a statement's arena grows by quarters.
const QUARTERS_FROM: usize = 32 << 10;

impl Growth {
    /// A statement's: a first chunk of 1 KiB, then as much again each time, so that a simple query stays under 2 KiB;
    /// from 32 KiB on about a quarter as much, up to 1 MiB, so that what is charged stays near what is held.
    pub const STATEMENT: Growth = Growth { first_log2: 10, max_log2: 20, basis: Basis::Total };
    /// The seeds' block chain for work that is known to be large: 64 KiB, 128 KiB, … 1 MiB.
    pub const CHAIN: Growth = Growth { first_log2: 16, max_log2: 20, basis: Basis::Last };

    /// Chunks doubling from `first_bytes` to `max_bytes`, both rounded up to a power of two between 1 KiB and 1 GiB.
    pub const fn doubling(first_bytes: usize, max_bytes: usize) -> Growth {
        const fn log2(bytes: usize) -> u8 {
            let bytes = if bytes < CHUNK_BYTES_MIN { CHUNK_BYTES_MIN } else { bytes };
            let bytes = if bytes > 1 << 30 { 1 << 30 } else { bytes };
            bytes.next_power_of_two().trailing_zeros() as u8
        }
        let (first_log2, max_log2) = (log2(first_bytes), log2(max_bytes));
        Growth {
            first_log2,
            max_log2: if max_log2 < first_log2 { first_log2 } else { max_log2 },
            basis: Basis::Last,
        }
    }

    /// For work whose size is estimated (seed 002): a first chunk of the estimate and half as much again.
    pub const fn for_estimate(expected_bytes: usize) -> Growth {
        Growth::doubling(expected_bytes.saturating_add(expected_bytes / 2), 1 << 20)
    }

    fn next_bytes(self, total_bytes: usize, last_bytes: usize) -> usize {
        let grown = match self.basis {
            Basis::Total if total_bytes < QUARTERS_FROM => total_bytes,
            // The power of two at or below a quarter.
            Basis::Total => 1 << (total_bytes.ilog2() - 2),
            Basis::Last => last_bytes.saturating_mul(2),
        };
        grown.clamp(1 << self.first_log2, 1 << self.max_log2)
    }
}

/// A region of memory that is allocated from piece by piece and given back as a whole.
#[repr(C, align(64))]
pub struct Arena {
    /// Where the next allocation begins; a multiple of [`bump::MIN_ALIGN`], with the chunk's provenance.
    position: Cell<NonNull<u8>>,
    /// The header of the current chunk: the first address behind its data.
    current: Cell<NonNull<ChunkHeader>>,
    head: Cell<Option<NonNull<ChunkHeader>>>,
    /// First byte of the head chunk, so that a reset touches no chunk.
    head_base: Cell<NonNull<u8>>,
    tail: Cell<NonNull<ChunkHeader>>,
    budget: Budget,
    stamp: Cell<Stamp>,
    /// All chunks together, in KiB.
    charged_kib: Cell<u32>,
    growth: Growth,
    /// A chunk was added since the last reset.
    has_grown: Cell<bool>,
}

const _: () = assert!(size_of::<Arena>() == 64 && align_of::<Arena>() == 64);

// SAFETY: an arena owns its chunks, and references into it borrow it; moving it to another thread moves both. (It is
// not Sync: `Cell`.)
unsafe impl Send for Arena {}

/// Position of an arena without a chunk: not null, aligned, and nothing fits between it and the end.
const NOWHERE: NonNull<u8> = {
    // Its address is the alignment, so it is not null and aligned to everything that an arena aligns by default.
    let dangling: NonNull<NoChunk> = NonNull::dangling();
    dangling.cast()
};
#[repr(align(4096))]
struct NoChunk;

/// What an arena holds, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArenaStats {
    /// Charged: all chunks, headers included.
    pub allocated_bytes: usize,
    /// Handed out since the last reset, alignment included.
    pub used_bytes: usize,
    /// Left behind at the ends of full chunks since the last reset.
    pub wasted_bytes: usize,
    /// How many chunks there are, kept ones included.
    pub chunks_count: usize,
}

impl fmt::Display for ArenaStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} used of {} in {} chunks, {} wasted",
            human_bytes(self.used_bytes as u64),
            human_bytes(self.allocated_bytes as u64),
            self.chunks_count,
            human_bytes(self.wasted_bytes as u64)
        )
    }
}

/// A place in an arena's chain to go back to.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    current: NonNull<ChunkHeader>,
    position: NonNull<u8>,
}

impl Arena {
    /// An empty arena. It takes nothing until the first allocation.
    pub fn new(budget: &Budget) -> Arena {
        Arena::with_growth(budget, Growth::STATEMENT)
    }

    /// An empty arena whose chunks grow as given.
    pub fn with_growth(budget: &Budget, growth: Growth) -> Arena {
        Arena::owning(budget.clone(), growth)
    }

    fn owning(budget: Budget, growth: Growth) -> Arena {
        Arena {
            position: Cell::new(NOWHERE),
            current: Cell::new(NOWHERE.cast()),
            head: Cell::new(None),
            head_base: Cell::new(NOWHERE),
            tail: Cell::new(NOWHERE.cast()),
            budget,
            stamp: Cell::new(Stamp::fresh()),
            charged_kib: Cell::new(0),
            growth,
            has_grown: Cell::new(false),
        }
    }

    /// An arena that has one chunk for `bytes` already.
    ///
    /// # Errors
    /// The budget does not have them.
    pub fn with_capacity(budget: &Budget, bytes: usize) -> Result<Arena, AllocError> {
        let arena = Arena::new(budget);
        arena.reserve(bytes)?;
        Ok(arena)
    }

    /// Makes sure that `bytes` can be allocated without another chunk.
    ///
    /// # Errors
    /// The budget does not have them.
    pub fn reserve(&self, bytes: usize) -> Result<(), AllocError> {
        if bytes <= self.end() - self.position.get().addr().get() {
            return Ok(());
        }
        let layout = Layout::from_size_align(bytes, bump::MIN_ALIGN)
            .map_err(|_| self.budget.refuse(bytes as u64, Reason::TooLarge))?;
        self.enter_chunk_for(layout)
    }

    // ---------------------------------------------------------------------------------------------- allocation

    /// Memory for a layout, contents unspecified. A size of 0 takes nothing.
    ///
    /// # Errors
    /// The budget refuses the chunk that would be needed.
    #[inline(always)]
    pub fn alloc_layout(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let position = self.position.get().addr().get();
        match bump::place_quickly(position, self.end(), layout.size(), layout.align()) {
            // SAFETY: placed between the position and the end.
            Some(placed) => Ok(unsafe { self.advance(placed) }),
            None => self.alloc_layout_slow(layout),
        }
    }

    /// As [`Arena::alloc_layout`], for layouts whose alignment is known at compile time.
    #[inline(always)]
    fn alloc_known(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        if layout.align() > bump::MIN_ALIGN {
            return self.alloc_layout(layout);
        }
        let position = self.position.get().addr().get();
        match bump::place_minimal(position, self.end(), layout.size()) {
            Some(placed) => {
                let start = self.position.get();
                // SAFETY: placed between the position, where it starts, and the end.
                self.position.set(unsafe { start.add(placed.position - position) });
                Ok(start)
            }
            None => self.alloc_layout_slow(layout),
        }
    }

    /// First address behind the current chunk's data.
    #[inline(always)]
    fn end(&self) -> usize {
        self.current.get().addr().get()
    }

    /// The current chunk, where the arena has one.
    fn current_chunk(&self) -> Option<NonNull<ChunkHeader>> {
        let current = self.current.get();
        (current != NOWHERE.cast()).then_some(current)
    }

    /// Moves the position behind what was placed, and returns its first byte.
    ///
    /// # Safety
    /// 1. `placed` lies between the position and the end (or is empty where there is no chunk).
    #[inline(always)]
    unsafe fn advance(&self, placed: bump::Placed) -> NonNull<u8> {
        let from = self.position.get().as_ptr();
        // SAFETY: addresses within a chunk, or behind `NOWHERE`, are not null.
        unsafe {
            self.position.set(NonNull::new_unchecked(from.with_addr(placed.position)));
            NonNull::new_unchecked(from.with_addr(placed.start))
        }
    }

    #[cold]
    #[inline(never)]
    fn alloc_layout_slow(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        // Not only once: a chunk is chosen to fit, but an observer of its charge may have used this very arena since.
        loop {
            let position = self.position.get().addr().get();
            if let Some(placed) = bump::place(position, self.end(), layout.size(), layout.align()) {
                // SAFETY: placed between the position and the end.
                return Ok(unsafe { self.advance(placed) });
            }
            self.enter_chunk_for(layout)?;
        }
    }

    /// Moves `value` into the arena.
    ///
    /// A type that needs `Drop` is a compile error, because nothing would drop it; see [`Arena::alloc_box`].
    ///
    /// ```compile_fail
    /// # let budget = cofferdam_arena::Budget::unlimited("doc").unwrap();
    /// # let arena = cofferdam_arena::Arena::new(&budget);
    /// arena.alloc(vec![1, 2, 3]).unwrap();
    /// ```
    ///
    /// # Errors
    /// The budget refuses; the value is dropped.
    #[inline(always)]
    pub fn alloc<T>(&self, value: T) -> Result<&mut T, AllocError> {
        self.alloc_with(|| value)
    }

    /// As [`Arena::alloc`]; the value is made only when there is room, in place where the optimizer can.
    ///
    /// # Errors
    /// The budget refuses; `make` was not called.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "each call gives a fresh allocation")]
    pub fn alloc_with<T>(&self, make: impl FnOnce() -> T) -> Result<&mut T, AllocError> {
        const { assert!(!needs_drop::<T>(), "an arena drops nothing: use alloc_box, or a type without Drop") };
        let place = self.alloc_known(Layout::new::<T>())?.cast::<T>();
        // SAFETY: fresh memory of T's layout that nobody else refers to; it lives as long as the arena is borrowed.
        unsafe {
            place.write(make());
            Ok(&mut *place.as_ptr())
        }
    }

    /// Moves `value` into the arena, behind a box that drops it.
    ///
    /// # Errors
    /// The budget refuses; the value is dropped.
    pub fn alloc_box<T>(&self, value: T) -> Result<ArenaBox<'_, T>, AllocError> {
        let place = self.alloc_known(Layout::new::<T>())?.cast::<T>();
        // SAFETY: fresh memory of T's layout.
        unsafe { place.write(value) };
        Ok(ArenaBox { place, arena: core::marker::PhantomData })
    }

    /// A copy of the text.
    ///
    /// # Errors
    /// The budget refuses.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "each call gives a fresh allocation")]
    pub fn alloc_str(&self, text: &str) -> Result<&mut str, AllocError> {
        // SAFETY: `len` bytes aligned to 1 are a layout, as `text` shows.
        let layout = unsafe { Layout::from_size_align_unchecked(text.len(), 1) };
        let place = self.alloc_known(layout)?.as_ptr();
        // SAFETY: fresh memory of the text's length, which cannot overlap what is borrowed; a copy of valid UTF-8.
        unsafe {
            copy_text(text.as_ptr(), place, text.len());
            Ok(core::str::from_utf8_unchecked_mut(slice::from_raw_parts_mut(place, text.len())))
        }
    }

    /// The text that the arguments make, as `format_args!` gives them.
    ///
    /// # Errors
    /// The budget refuses, or a value's own `Display` fails.
    pub fn alloc_fmt(&self, arguments: fmt::Arguments<'_>) -> Result<&str, AllocError> {
        if let Some(text) = arguments.as_str() {
            return self.alloc_str(text).map(|text| &*text);
        }
        let mut text = crate::collections::String::new_in(self);
        fmt::Write::write_fmt(&mut text, arguments).map_err(|_| AllocError)?;
        Ok(text.into_str())
    }

    /// A copy of the slice.
    ///
    /// # Errors
    /// The budget refuses.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "each call gives a fresh allocation")]
    pub fn alloc_slice_copy<T: Copy>(&self, values: &[T]) -> Result<&mut [T], AllocError> {
        let place = self.alloc_known(Layout::for_value(values))?.cast::<T>();
        // SAFETY: fresh memory for exactly these values, which are Copy; it cannot overlap what is borrowed.
        unsafe {
            ptr::copy_nonoverlapping(values.as_ptr(), place.as_ptr(), values.len());
            Ok(slice::from_raw_parts_mut(place.as_ptr(), values.len()))
        }
    }

    /// `len` values that `make` gives for each index, in order.
    ///
    /// # Errors
    /// The budget refuses, or `len` values are more than an address range holds; `make` was not called.
    #[expect(clippy::mut_from_ref, reason = "each call gives a fresh allocation")]
    pub fn alloc_slice_fill_with<T>(
        &self,
        len: usize,
        mut make: impl FnMut(usize) -> T,
    ) -> Result<&mut [T], AllocError> {
        const { assert!(!needs_drop::<T>(), "an arena drops nothing: use a type without Drop") };
        let values = self.alloc_uninit_slice(len)?;
        for (index, value) in values.iter_mut().enumerate() {
            value.write(make(index));
        }
        // SAFETY: every element was written by the loop.
        Ok(unsafe { &mut *(ptr::from_mut(values) as *mut [T]) })
    }

    /// `len` copies of a value.
    ///
    /// # Errors
    /// As [`Arena::alloc_slice_fill_with`].
    pub fn alloc_slice_fill<T: Copy>(&self, len: usize, value: T) -> Result<&mut [T], AllocError> {
        self.alloc_slice_fill_with(len, |_| value)
    }

    /// Room for `len` values. The memory is not initialized, and the type says so.
    ///
    /// # Errors
    /// The budget refuses, or `len` values are more than an address range holds.
    #[expect(clippy::mut_from_ref, reason = "each call gives a fresh allocation")]
    pub fn alloc_uninit_slice<T>(&self, len: usize) -> Result<&mut [MaybeUninit<T>], AllocError> {
        let layout = Layout::array::<T>(len).map_err(|_| {
            self.budget.refuse((len as u64).saturating_mul(size_of::<T>() as u64), Reason::TooLarge)
        })?;
        let place = self.alloc_known(layout)?.cast::<MaybeUninit<T>>();
        // SAFETY: fresh memory for `len` values; MaybeUninit needs no initialization.
        Ok(unsafe { slice::from_raw_parts_mut(place.as_ptr(), len) })
    }

    /// All that is left of a chunk, as values that `make` gives for each index: of the current chunk where it holds
    /// `len_min` of them, else of the next kept one, else of a new one. For structures that cut up memory themselves.
    ///
    /// # Errors
    /// The budget refuses, or `len_min` values are more than an address range holds; `make` was not called.
    pub fn alloc_rest_with<T>(
        &self,
        len_min: usize,
        make: impl FnMut(usize) -> T,
    ) -> Result<&mut [T], AllocError> {
        const { assert!(size_of::<T>() > 0, "there is no end to values without a size") };
        let too_large =
            |_| self.budget.refuse((len_min as u64).saturating_mul(size_of::<T>() as u64), Reason::TooLarge);
        let least = Layout::array::<T>(len_min.max(1)).map_err(too_large)?;
        // Not only once: an observer of the charge may have used this very arena since.
        loop {
            let position = self.position.get().addr().get();
            let start = bump::round_up(position, align_of::<T>()).unwrap_or(usize::MAX);
            let len = self.end().saturating_sub(start) / size_of::<T>();
            if len >= len_min.max(1) {
                return self.alloc_slice_fill_with(len, make);
            }
            self.enter_chunk_for(least)?;
        }
    }

    /// `len` values whose bytes are all zero.
    ///
    /// # Errors
    /// As [`Arena::alloc_uninit_slice`].
    #[expect(clippy::mut_from_ref, reason = "each call gives a fresh allocation")]
    pub fn alloc_zeroed_slice<T: Zeroable>(&self, len: usize) -> Result<&mut [T], AllocError> {
        let values = self.alloc_uninit_slice::<T>(len)?;
        // SAFETY: the slice is valid for writes; all-zero bytes are a value of T by its `Zeroable`.
        unsafe {
            ptr::write_bytes(values.as_mut_ptr(), 0, len);
            Ok(&mut *(ptr::from_mut(values) as *mut [T]))
        }
    }

    /// The values of an iterator, whose length need not be known.
    ///
    /// # Errors
    /// The budget refuses; what the iterator gave so far is lost.
    pub fn alloc_slice_from_iter<T>(
        &self,
        values: impl IntoIterator<Item = T>,
    ) -> Result<&mut [T], AllocError> {
        const { assert!(!needs_drop::<T>(), "an arena drops nothing: use a type without Drop") };
        let values = values.into_iter();
        let mut gathered = crate::collections::Vec::with_capacity_in(values.size_hint().0, self)?;
        for value in values {
            gathered.push(value)?;
        }
        Ok(gathered.into_slice())
    }

    // --------------------------------------------------------------------------------- the latest allocation

    /// Grows an allocation in place where it is the latest one and the chunk has room.
    ///
    /// # Safety
    /// `place` came from this arena with `old` size and has not been given back or reset since.
    #[inline]
    pub(crate) unsafe fn grow_in_place(&self, place: NonNull<u8>, old_size: usize, new_size: usize) -> bool {
        let position = self.position.get().addr().get();
        let start = place.addr().get();
        let Some(rounded_old) = bump::round_up(old_size, bump::MIN_ALIGN) else { return false };
        if old_size == 0 || start + rounded_old != position {
            return false;
        }
        match bump::place_minimal(start, self.end(), new_size) {
            Some(placed) => {
                // SAFETY: `placed` lies within the current chunk, behind the position's old place.
                self.position.set(unsafe { self.position.get().add(placed.position - position) });
                true
            }
            None => false,
        }
    }

    /// Takes back the end of an allocation where it is the latest one.
    ///
    /// # Safety
    /// As [`Arena::grow_in_place`]; nothing behind `new_size` is used any more.
    #[inline]
    pub(crate) unsafe fn shrink_in_place(&self, place: NonNull<u8>, old_size: usize, new_size: usize) {
        let (Some(old), Some(new)) =
            (bump::round_up(old_size, bump::MIN_ALIGN), bump::round_up(new_size, bump::MIN_ALIGN))
        else {
            return;
        };
        if old_size > 0 && place.addr().get() + old == self.position.get().addr().get() {
            // SAFETY: `new` is at most `old`, so this lies within the latest allocation.
            self.position.set(unsafe { self.position.get().sub(old - new) });
        }
    }

    // ---------------------------------------------------------------------------------------------- chunks

    /// Makes a chunk current in which `layout` fits: the next kept one, or a new one.
    fn enter_chunk_for(&self, layout: Layout) -> Result<(), AllocError> {
        let slack = layout.align().saturating_sub(bump::MIN_ALIGN);
        let too_large = || self.budget.refuse(layout.size() as u64, Reason::TooLarge);
        let data_bytes = layout.size().checked_add(slack).ok_or_else(too_large)?;
        let next = match self.current_chunk() {
            // SAFETY: the chain's headers are live while the arena owns them.
            Some(current) => NonNull::new(unsafe { (*current.as_ptr()).next }),
            None => self.head.get(),
        };
        if let Some(next) = next
            && data_bytes <= data_bytes_of(next)
        {
            self.enter(next);
            return Ok(());
        }
        let needed = chunk_bytes_for(data_bytes).ok_or_else(too_large)?;
        let chunk = self.take_chunk(needed)?;
        self.insert_after_current(chunk);
        self.enter(chunk);
        if self.budget.pressure() == Pressure::High {
            self.acquire_ahead(chunk);
        }
        Ok(())
    }

    /// Takes a new chunk of the size that growth proposes, or of what the budget still has, or of what is needed.
    fn take_chunk(&self, needed: usize) -> Result<NonNull<ChunkHeader>, AllocError> {
        // SAFETY: as in `enter_chunk_for`.
        let last = self.current_chunk().map_or(0, |current| unsafe { (*current.as_ptr()).bytes });
        let total = self.charged_kib.get() as usize * CHUNK_BYTES_MIN;
        let grown = self.growth.next_bytes(total, last);
        let proposed = if grown <= CHUNK_BYTES_MIN {
            // No limit makes it less.
            CHUNK_BYTES_MIN
        } else {
            let share = usize::try_from(self.budget.limit_on_path() / 16).unwrap_or(usize::MAX);
            round_chunk_down(grown.min(share).max(CHUNK_BYTES_MIN))
        };
        let proposed = proposed.max(needed);
        if proposed == needed {
            return self.take_chunk_of(needed, false);
        }
        if let Ok(chunk) = self.take_chunk_of(proposed, true) {
            return Ok(chunk);
        }
        let free = usize::try_from(self.budget.available()).unwrap_or(usize::MAX).min(proposed);
        let clamped = round_chunk_down(free);
        if clamped > needed
            && let Ok(chunk) = self.take_chunk_of(clamped, true)
        {
            return Ok(chunk);
        }
        self.take_chunk_of(needed, false)
    }

    fn take_chunk_of(&self, bytes: usize, only_if_free: bool) -> Result<NonNull<ChunkHeader>, AllocError> {
        let Ok(kib) = u32::try_from(bytes / CHUNK_BYTES_MIN) else {
            return Err(self.budget.refuse(bytes as u64, Reason::TooLarge));
        };
        let chunk = self.budget.take_chunk(bytes, only_if_free)?;
        // Added to what is charged *now*: an observer of the charge may have used this very arena. A tree counts fewer
        // units than a u32 can hold.
        self.charged_kib.set(self.charged_kib.get() + kib);
        Ok(chunk)
    }

    /// Under high pressure the chunk after the one just taken is acquired too, while there still is one to have.
    fn acquire_ahead(&self, chunk: NonNull<ChunkHeader>) {
        // SAFETY: the chain's headers are live while the arena owns them.
        let (bytes, next) = unsafe { ((*chunk.as_ptr()).bytes, (*chunk.as_ptr()).next) };
        if next.is_null()
            && bytes <= GRANULE_BYTES
            && let Ok(ahead) = self.take_chunk_of(bytes, true)
        {
            self.insert_after_current(ahead);
        }
    }

    /// Links a fresh chunk behind the current one, before those that are kept; at the front where none is current.
    fn insert_after_current(&self, chunk: NonNull<ChunkHeader>) {
        self.has_grown.set(true);
        let fresh = chunk.as_ptr();
        // SAFETY: the chain's headers are live while the arena owns them; `chunk` is fresh and belongs to nobody else.
        unsafe {
            let previous = self.current_chunk().map_or(ptr::null_mut(), NonNull::as_ptr);
            let head = self.head.get();
            let next = if previous.is_null() {
                head.map_or(ptr::null_mut(), NonNull::as_ptr)
            } else {
                (*previous).next
            };
            (*fresh).previous = previous;
            (*fresh).next = next;
            match NonNull::new(next) {
                Some(next) => (*next.as_ptr()).previous = fresh,
                None => self.tail.set(chunk),
            }
            let chunks_count = head.map_or(0, |head| (*head.as_ptr()).chunks_count) + 1;
            if previous.is_null() {
                self.set_head(chunk);
            } else {
                (*previous).next = fresh;
            }
            (*self.head.get().unwrap_or(chunk).as_ptr()).chunks_count = chunks_count;
        }
    }

    /// # Safety
    /// `chunk` is the arena's.
    unsafe fn set_head(&self, chunk: NonNull<ChunkHeader>) {
        // SAFETY: the header is live, by the condition; a chunk's base is not null.
        unsafe {
            (*chunk.as_ptr()).previous = ptr::null_mut();
            (*chunk.as_ptr()).used_before = 0;
            (*chunk.as_ptr()).wasted_before = 0;
            self.head_base.set(NonNull::new_unchecked((*chunk.as_ptr()).base));
        }
        self.head.set(Some(chunk));
    }

    /// Makes the chunk after the current one, or the head, the current one.
    fn enter(&self, chunk: NonNull<ChunkHeader>) {
        // SAFETY: the chain's headers are live while the arena owns them; a chunk's base is not null, and aligned to
        // 16 at least.
        unsafe {
            let header = chunk.as_ptr();
            if let Some(current) = self.current_chunk() {
                let left = current.as_ptr();
                let position = self.position.get().addr().get();
                (*header).used_before = (*left).used_before + (position - (*left).base.addr());
                (*header).wasted_before = (*left).wasted_before + (self.end() - position);
            }
            self.current.set(chunk);
            self.position.set(NonNull::new_unchecked((*header).base));
            self.own(chunk);
        }
    }

    /// Writes the arena's identity into the reservoir's owner table.
    ///
    /// # Safety
    /// `chunk` is the arena's.
    unsafe fn own(&self, chunk: NonNull<ChunkHeader>) {
        #[cfg(all(feature = "std", unix, not(loom)))]
        if let Some(reservoir) = self.budget.reservoir() {
            // SAFETY: the header is live, by the condition.
            let (base, bytes) = unsafe { ((*chunk.as_ptr()).base, (*chunk.as_ptr()).bytes) };
            reservoir.set_owner(base, bytes, self.stamp.get().identity());
        }
        let _ = chunk;
    }

    // ---------------------------------------------------------------------------------------------- giving back

    /// Forgets every allocation and keeps every chunk for the next ones. The same few steps for ten objects or ten
    /// million, and where no chunk was added since the last reset it touches no memory but the arena itself.
    ///
    /// The largest chunk comes first afterwards, so that work of the same size needs as few chunks as possible.
    pub fn reset(&mut self) {
        let Some(head) = self.head.get() else { return };
        let before = self.stamp.replace(self.stamp.get().next());
        if self.has_grown.replace(false) {
            self.move_tail_to_front(head);
        }
        let head = self.head.get().unwrap_or(head);
        self.current.set(head);
        self.position.set(self.head_base.get());
        if before.identity() != self.stamp.get().identity() {
            // SAFETY: the head is the arena's.
            unsafe { self.own(head) };
        }
    }

    /// Chunks grow, so the last is the largest: it becomes the first where that is so.
    fn move_tail_to_front(&self, head: NonNull<ChunkHeader>) {
        let tail = self.tail.get();
        // SAFETY: the chain's headers are live while the arena owns them; a tail that is not the head has a previous.
        unsafe {
            if (*tail.as_ptr()).bytes <= (*head.as_ptr()).bytes {
                return;
            }
            let previous = NonNull::new_unchecked((*tail.as_ptr()).previous);
            (*previous.as_ptr()).next = ptr::null_mut();
            self.tail.set(previous);
            (*tail.as_ptr()).next = head.as_ptr();
            (*tail.as_ptr()).chunks_count = (*head.as_ptr()).chunks_count;
            (*head.as_ptr()).previous = tail.as_ptr();
            self.set_head(tail);
        }
    }

    /// Forgets every allocation; keeps chunks of up to `bytes` together and gives the others back. Looks at each chunk
    /// where they are more than that.
    pub fn reset_keeping(&mut self, bytes: usize) {
        if self.charged_kib.get() as usize * CHUNK_BYTES_MIN <= bytes {
            return self.reset();
        }
        let mut chunk = self.head.get();
        let (mut kept, mut out) = (Chain::EMPTY, Chain::EMPTY);
        while let Some(here) = chunk {
            // SAFETY: the chain's headers are live while the arena owns them.
            unsafe {
                chunk = NonNull::new((*here.as_ptr()).next);
                let fits = kept.bytes + (*here.as_ptr()).bytes <= bytes;
                if fits { kept.append(here) } else { out.append(here) }
            }
        }
        if let Some((first, last)) = out.ends {
            self.stamp.set(Stamp::fresh());
            self.head.set(None);
            self.current.set(NOWHERE.cast());
            self.position.set(NOWHERE);
            self.charged_kib.set((kept.bytes / CHUNK_BYTES_MIN) as u32);
            // SAFETY: the chunks were unlinked from the arena's chain, and nothing refers into them (`&mut self`).
            unsafe { self.budget.give_back_chunks(first, last, out.bytes) };
            if let Some((first, last)) = kept.ends {
                // SAFETY: these are the arena's chunks.
                unsafe {
                    self.set_head(first);
                    (*first.as_ptr()).chunks_count = kept.chunks_count;
                }
                self.tail.set(last);
            }
        }
        self.reset();
    }

    /// Forgets every allocation and gives every chunk back. On a reservoir the cost does not depend on their number.
    pub fn release(&mut self) {
        if self.head.get().is_some() {
            self.stamp.set(Stamp::fresh());
            self.current.set(NOWHERE.cast());
            self.position.set(NOWHERE);
            self.has_grown.set(false);
            self.give_chunks_back();
        }
    }

    fn give_chunks_back(&mut self) {
        let Some(head) = self.head.take() else { return };
        let charged = self.charged_kib.replace(0) as usize * CHUNK_BYTES_MIN;
        // SAFETY: head and tail are the two ends of the arena's chain; nothing refers into the chunks (`&mut self`).
        unsafe { self.budget.give_back_chunks(head, self.tail.get(), charged) };
    }

    /// Opens a nested lifetime: what is allocated in the scope is forgotten when the scope ends.
    pub fn scope(&mut self) -> Scope<'_> {
        Scope::new(self)
    }

    /// Moves the arena and its charge under another budget of the same tree: a plan into the plan cache.
    ///
    /// # Errors
    /// The other budget refuses; nothing has changed then.
    pub fn rehome(&mut self, budget: &Budget) -> Result<(), AllocError> {
        self.budget.transfer(budget, u64::from(self.charged_kib.get()) * crate::UNIT)?;
        self.budget = budget.clone();
        Ok(())
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { current: self.current.get(), position: self.position.get() }
    }

    /// Goes back to a mark of this arena; chunks taken since are kept.
    ///
    /// # Safety
    /// The mark was made by this arena since its last reset, and nothing allocated since is used any more.
    pub(crate) unsafe fn rewind(&self, mark: Mark) {
        self.current.set(mark.current);
        self.position.set(mark.position);
    }

    // ---------------------------------------------------------------------------------------------- figures

    /// The budget that pays.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What the arena holds; constant time.
    pub fn stats(&self) -> ArenaStats {
        // SAFETY: the chain's headers are live while the arena owns them.
        let (used_bytes, wasted_bytes) = self.current_chunk().map_or((0, 0), |current| unsafe {
            let header = current.as_ptr();
            let in_current = self.position.get().addr().get() - (*header).base.addr();
            ((*header).used_before + in_current, (*header).wasted_before)
        });
        // SAFETY: as above.
        let chunks_count = self.head.get().map_or(0, |head| unsafe { (*head.as_ptr()).chunks_count });
        ArenaStats {
            allocated_bytes: self.charged_kib.get() as usize * CHUNK_BYTES_MIN,
            used_bytes,
            wasted_bytes,
            chunks_count,
        }
    }

    /// The sizes of the arena's chunks in bytes, in the order in which they are filled.
    pub fn chunk_sizes(&self) -> impl Iterator<Item = usize> {
        let mut chunk = self.head.get();
        core::iter::from_fn(move || {
            let here = chunk?;
            // SAFETY: the chain's headers are live while the arena owns them; the iterator borrows the arena.
            let (bytes, next) = unsafe { ((*here.as_ptr()).bytes, (*here.as_ptr()).next) };
            chunk = NonNull::new(next);
            Some(bytes)
        })
    }

    /// True where `place` points into a chunk of this arena; walks the chunks.
    pub fn owns(&self, place: *const u8) -> bool {
        let mut chunk = self.head.get();
        while let Some(here) = chunk {
            // SAFETY: the chain's headers are live while the arena owns them.
            let (base, next) = unsafe { ((*here.as_ptr()).base.addr(), (*here.as_ptr()).next) };
            if (base..here.addr().get()).contains(&place.addr()) {
                return true;
            }
            chunk = NonNull::new(next);
        }
        false
    }
}

/// Copies text. Names are short, and two overlapping words are faster than a call of `memcpy`.
///
/// # Safety
/// `from` is readable and `to` writable for `len` bytes, and they do not overlap.
#[inline(always)]
unsafe fn copy_text(from: *const u8, to: *mut u8, len: usize) {
    /// # Safety
    /// As `copy_text`, and `len` is between the size of `W` and twice that.
    #[inline(always)]
    unsafe fn ends<W>(from: *const u8, to: *mut u8, len: usize) {
        let back = len - size_of::<W>();
        // SAFETY: the first and the last word lie within the `len` bytes.
        unsafe {
            let first = from.cast::<W>().read_unaligned();
            let last = from.add(back).cast::<W>().read_unaligned();
            to.cast::<W>().write_unaligned(first);
            to.add(back).cast::<W>().write_unaligned(last);
        }
    }
    // SAFETY: each arm's range is the condition of what it calls.
    unsafe {
        match len {
            0 => {}
            1 => to.write(from.read()),
            2..=3 => ends::<u16>(from, to, len),
            4..=7 => ends::<u32>(from, to, len),
            8..=16 => ends::<u64>(from, to, len),
            17..=32 => ends::<u128>(from, to, len),
            _ => ptr::copy_nonoverlapping(from, to, len),
        }
    }
}

/// A chain of chunks under construction.
struct Chain {
    ends: Option<(NonNull<ChunkHeader>, NonNull<ChunkHeader>)>,
    bytes: usize,
    chunks_count: usize,
}

impl Chain {
    const EMPTY: Chain = Chain { ends: None, bytes: 0, chunks_count: 0 };

    /// # Safety
    /// All chunks of the chain are live and belong to whoever builds it.
    unsafe fn append(&mut self, chunk: NonNull<ChunkHeader>) {
        let last = self.ends.map_or(ptr::null_mut(), |(_, last)| last.as_ptr());
        // SAFETY: live by the condition.
        unsafe {
            (*chunk.as_ptr()).next = ptr::null_mut();
            (*chunk.as_ptr()).previous = last;
            if !last.is_null() {
                (*last).next = chunk.as_ptr();
            }
            self.bytes += (*chunk.as_ptr()).bytes;
        }
        self.chunks_count += 1;
        self.ends = Some((self.ends.map_or(chunk, |(first, _)| first), chunk));
    }
}

fn data_bytes_of(chunk: NonNull<ChunkHeader>) -> usize {
    // SAFETY: called for chunks of a live chain.
    let base = unsafe { (*chunk.as_ptr()).base };
    chunk.addr().get() - base.addr()
}

impl From<Budget> for Arena {
    /// As [`Arena::new`], for who needs the budget no more.
    fn from(budget: Budget) -> Arena {
        Arena::owning(budget, Growth::STATEMENT)
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        self.give_chunks_back();
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arena({}: {})", self.budget.name(), self.stats())
    }
}

/// An owned value in an arena: dropped with the box, its memory given back with the arena.
pub struct ArenaBox<'a, T> {
    place: NonNull<T>,
    arena: core::marker::PhantomData<&'a mut T>,
}

// SAFETY: the box owns its value, as `Box` does.
unsafe impl<T: Send> Send for ArenaBox<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for ArenaBox<'_, T> {}

impl<T> core::ops::Deref for ArenaBox<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the value was written at birth and is owned by the box.
        unsafe { self.place.as_ref() }
    }
}

impl<T> core::ops::DerefMut for ArenaBox<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; `&mut self` makes it the only reference.
        unsafe { self.place.as_mut() }
    }
}

impl<T> Drop for ArenaBox<'_, T> {
    fn drop(&mut self) {
        // SAFETY: owned, and dropped once.
        unsafe { self.place.drop_in_place() };
    }
}

impl<T: fmt::Debug> fmt::Debug for ArenaBox<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Types for which all-zero bytes are a value.
///
/// # Safety
/// All-zero bytes are a valid value of the type.
pub unsafe trait Zeroable: Copy {}

macro_rules! zeroable {
    ($($t:ty)*) => { $(
        // SAFETY: a number (or `false`) of all-zero bytes is a value.
        unsafe impl Zeroable for $t {}
    )* };
}
zeroable!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64 bool);
// SAFETY: an array of zeroable values is its elements.
unsafe impl<T: Zeroable, const N: usize> Zeroable for [T; N] {}

#[cfg(all(test, not(loom)))]
mod tests;
