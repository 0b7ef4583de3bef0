//! Owned slices of memory that a budget pays for: what outlives a call, changes threads, or is given back piece by piece.
//!
//! An arena gives everything back at once, and what lies in it borrows it. The pages of rows that a join keeps, the slots
//! of a hash table, the buffers of a spill file come and go one by one instead, and move between threads with the
//! operator that owns them. A [`Buffer`] is one chunk with a fixed number of elements; a [`Growing`] is a list of elements
//! in a buffer that is replaced by a larger one when it is full.
//!
//! ```
//! use cofferdam_arena::{Budget, Buffer, Growing};
//!
//! let process = Budget::root("process", 1 << 20).unwrap();
//! let budget = process.child("join", 64 << 10)?;
//! let slots = Buffer::<u64>::zeroed(&budget, 100)?;
//! assert_eq!((slots.len(), slots[99], budget.used()), (100, 0, 1024));
//! let mut rows = Growing::new(&budget);
//! rows.push(7u32)?;
//! assert_eq!(&rows[..], [7]);
//! drop((slots, rows));
//! assert_eq!(budget.used(), 0);
//! # Ok::<(), cofferdam_arena::AllocError>(())
//! ```
//!
//! **Bytes**: those of the elements and 64 to 128 more, rounded up to a power of two below 64 KiB and to a multiple of
//! 64 KiB above. So a buffer of 65,536 bytes takes 128 KiB: [`Buffer::filling`] gives as many elements as a chunk holds.

use core::fmt;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::slice;

use crate::arena::Zeroable;
use crate::budget::Budget;
use crate::chunk::{ChunkHeader, chunk_bytes_for, data_bytes_within, round_chunk_up};
use crate::error::AllocError;

/// A fixed number of elements in a chunk of their own.
pub struct Buffer<T: Zeroable> {
    /// The first element; dangling where there is no chunk.
    first: NonNull<T>,
    len: usize,
    chunk: Option<NonNull<ChunkHeader>>,
    budget: Budget,
}

// SAFETY: a buffer owns its chunk alone, and budgets may be used from any thread.
unsafe impl<T: Zeroable + Send> Send for Buffer<T> {}
// SAFETY: a shared buffer gives shared elements and nothing else.
unsafe impl<T: Zeroable + Sync> Sync for Buffer<T> {}

impl<T: Zeroable> Buffer<T> {
    const FITS: () = assert!(align_of::<T>() <= 64 && size_of::<T>() > 0);

    /// A buffer without elements, which takes nothing.
    pub fn empty(budget: &Budget) -> Buffer<T> {
        Buffer { first: NonNull::dangling(), len: 0, chunk: None, budget: budget.clone() }
    }

    /// So many elements of zero bytes.
    ///
    /// # Errors
    /// The budget refuses the chunk.
    pub fn zeroed(budget: &Budget, len: usize) -> Result<Buffer<T>, AllocError> {
        if len == 0 {
            return Ok(Buffer::empty(budget));
        }
        let bytes = len.checked_mul(size_of::<T>()).and_then(chunk_bytes_for).ok_or(AllocError)?;
        Buffer::in_chunk(budget, bytes, len)
    }

    /// As many elements of zero bytes as a chunk of `bytes` holds, header included: so nothing is lost to rounding where
    /// `bytes` is a power of two from 1 KiB to 64 KiB, or a multiple of 64 KiB.
    ///
    /// # Errors
    /// The budget refuses the chunk.
    pub fn filling(budget: &Budget, bytes: usize) -> Result<Buffer<T>, AllocError> {
        let bytes = round_chunk_up(bytes).ok_or(AllocError)?;
        Buffer::in_chunk(budget, bytes, Buffer::<T>::len_filling(bytes))
    }

    /// How many elements [`Buffer::filling`] gives.
    pub fn len_filling(bytes: usize) -> usize {
        round_chunk_up(bytes).map_or(0, data_bytes_within) / size_of::<T>()
    }

    fn in_chunk(budget: &Budget, bytes: usize, len: usize) -> Result<Buffer<T>, AllocError> {
        let () = Self::FITS;
        let chunk = budget.take_chunk(bytes, false)?;
        // SAFETY: the chunk was just taken, so its header is live and nobody else has it.
        let first = unsafe { NonNull::new_unchecked((*chunk.as_ptr()).base) }.cast::<T>();
        debug_assert!(len * size_of::<T>() <= data_bytes_within(bytes) && first.is_aligned());
        // SAFETY: the chunk's data begins at a multiple of 64 and holds `len` elements, by `chunk_bytes_for` or
        // `data_bytes_within`; nobody else has it.
        unsafe { first.write_bytes(0, len) };
        Ok(Buffer { first, len, chunk: Some(chunk), budget: budget.clone() })
    }

    /// The budget that pays.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What it was charged for.
    pub fn charged_bytes(&self) -> usize {
        // SAFETY: the header is live as long as the buffer has its chunk.
        self.chunk.map_or(0, |chunk| unsafe { (*chunk.as_ptr()).bytes })
    }
}

impl<T: Zeroable> Drop for Buffer<T> {
    fn drop(&mut self) {
        if let Some(chunk) = self.chunk {
            let bytes = self.charged_bytes();
            // SAFETY: the chunk came from this budget's tree, is given back once, and its elements need no drop.
            unsafe { self.budget.give_back_chunks(chunk, chunk, bytes) };
        }
    }
}

impl<T: Zeroable> Deref for Buffer<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: `first` begins `len` initialized elements that the buffer owns; without a chunk `len` is 0.
        unsafe { slice::from_raw_parts(self.first.as_ptr(), self.len) }
    }
}

impl<T: Zeroable> DerefMut for Buffer<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and the buffer is borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.first.as_ptr(), self.len) }
    }
}

impl<T: Zeroable> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("len", &self.len)
            .field("charged_bytes", &self.charged_bytes())
            .finish()
    }
}

/// A list of elements that grows: see [`Buffer`].
///
/// Peak bytes: while it grows, the old buffer and one twice as large.
pub struct Growing<T: Zeroable> {
    buffer: Buffer<T>,
    len: usize,
}

impl<T: Zeroable> Growing<T> {
    /// An empty list, which takes nothing.
    pub fn new(budget: &Budget) -> Growing<T> {
        Growing { buffer: Buffer::empty(budget), len: 0 }
    }

    /// Appends an element.
    ///
    /// # Errors
    /// The budget refuses a larger buffer; the list is as it was.
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), AllocError> {
        if self.len == self.buffer.len() {
            self.reserve(1)?;
        }
        self.buffer[self.len] = value;
        self.len += 1;
        Ok(())
    }

    /// Appends copies of elements.
    ///
    /// # Errors
    /// As [`Growing::push`].
    pub fn extend_from_slice(&mut self, values: &[T]) -> Result<(), AllocError> {
        self.reserve(values.len())?;
        self.buffer[self.len..self.len + values.len()].copy_from_slice(values);
        self.len += values.len();
        Ok(())
    }

    /// Makes room for `more` elements.
    ///
    /// # Errors
    /// The budget refuses a larger buffer; the list is as it was.
    pub fn reserve(&mut self, more: usize) -> Result<(), AllocError> {
        let needed = self.len.checked_add(more).ok_or(AllocError)?;
        if needed <= self.buffer.len() {
            return Ok(());
        }
        let budget = &self.buffer.budget;
        let doubled = self.buffer.charged_bytes().saturating_mul(2);
        let mut larger = match doubled {
            bytes if Buffer::<T>::len_filling(bytes) >= needed => Buffer::filling(budget, bytes)?,
            _ => {
                let bytes = needed.checked_mul(size_of::<T>()).and_then(chunk_bytes_for).ok_or(AllocError)?;
                Buffer::filling(budget, bytes)?
            }
        };
        larger[..self.len].copy_from_slice(&self.buffer[..self.len]);
        self.buffer = larger;
        Ok(())
    }

    /// Makes the list `len` long, with copies of `value` for what is new.
    ///
    /// # Errors
    /// As [`Growing::reserve`].
    pub fn resize(&mut self, len: usize, value: T) -> Result<(), AllocError> {
        if len > self.len {
            self.reserve(len - self.len)?;
            self.buffer[self.len..len].fill(value);
        }
        self.len = len;
        Ok(())
    }

    /// Removes the last element.
    pub fn pop(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        Some(self.buffer[self.len])
    }

    /// Forgets what is behind the first `len` elements; the buffer stays.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Forgets all elements; the buffer stays.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Forgets all elements and gives the buffer back.
    pub fn release(&mut self) {
        *self = Growing::new(&self.buffer.budget);
    }

    /// What it was charged for.
    pub fn charged_bytes(&self) -> usize {
        self.buffer.charged_bytes()
    }

    /// The budget that pays.
    pub fn budget(&self) -> &Budget {
        self.buffer.budget()
    }
}

impl<T: Zeroable> Deref for Growing<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        &self.buffer[..self.len]
    }
}

impl<T: Zeroable> DerefMut for Growing<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.buffer[..self.len]
    }
}

impl<T: Zeroable> fmt::Debug for Growing<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Growing")
            .field("len", &self.len)
            .field("charged_bytes", &self.charged_bytes())
            .finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn child(limit: u64) -> Budget {
        Budget::unlimited("root").unwrap().child("test", limit).unwrap()
    }

    /// Aim: a buffer is charged before it is there, lies within its charge, and gives it back. Method: sizes around those
    /// of chunks, every element written.
    #[test]
    fn buffers_are_charged_for_what_they_hold() {
        let budget = child(4 << 20);
        // An interpreter takes its time for each element.
        let most = if cfg!(miri) { 16_384 } else { usize::MAX };
        for len in [0, 1, 100, 240, 241, 1000, 16_000, 16_384, 100_000].into_iter().filter(|len| *len < most)
        {
            let mut buffer = Buffer::<u32>::zeroed(&budget, len).unwrap();
            assert!(buffer.iter().all(|element| *element == 0));
            buffer.fill(u32::MAX);
            assert_eq!(buffer.len(), len);
            assert!(buffer.charged_bytes() >= len * 4 && budget.used() == buffer.charged_bytes() as u64);
        }
        for bytes in [1, 1024, 4096, 65_536, 131_072, 1 << 20].into_iter().filter(|bytes| *bytes / 8 < most) {
            let mut buffer = Buffer::<u64>::filling(&budget, bytes).unwrap();
            buffer.fill(u64::MAX);
            assert_eq!(buffer.charged_bytes(), bytes.max(1024));
            assert!(buffer.charged_bytes() - buffer.len() * 8 <= 128);
        }
        assert_eq!(budget.used(), 0);
    }

    /// Aim: a refusal leaves the list as it was. Method: a limit that the list reaches.
    #[test]
    fn lists_grow_up_to_the_limit() {
        let budget = child(8 << 10);
        let mut list = Growing::new(&budget);
        let mut count = 0u64;
        while list.push(count).is_ok() {
            count += 1;
        }
        assert!(count > 200 && list.len() as u64 == count);
        assert!(list.iter().copied().eq(0..count));
        assert_eq!(list.pop(), Some(count - 1));
        list.truncate(10);
        list.resize(12, 5).unwrap();
        assert_eq!(&list[8..], [8, 9, 5, 5]);
        assert!(list.extend_from_slice(&[0; 4000]).is_err());
        assert_eq!(list.len(), 12);
        list.release();
        assert_eq!((list.len(), budget.used()), (0, 0));
    }

    /// Aim: buffers move between threads.
    #[test]
    fn buffers_change_threads() {
        let budget = child(1 << 20);
        let mut buffer = Buffer::<u8>::zeroed(&budget, 5000).unwrap();
        let buffer = std::thread::spawn(move || {
            buffer[4999] = 1;
            buffer
        });
        assert_eq!(buffer.join().unwrap()[4999], 1);
        assert_eq!(budget.used(), 0);
    }
}
