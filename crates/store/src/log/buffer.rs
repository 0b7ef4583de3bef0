//! A buffer of a fixed size that belongs to a budget.
//!
//! The vectors of `allocator-api2` append bytes one at a time; here a slice is copied as a whole.

use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, BudgetAlloc};

/// Bytes that are appended to and cleared; the room for them is taken and given back as a whole.
#[derive(Debug)]
pub(crate) struct Buffer {
    /// As long as the room is.
    bytes: Vec<u8, BudgetAlloc>,
    len: usize,
}

impl Buffer {
    /// Without room.
    pub(crate) fn new(alloc: &BudgetAlloc) -> Buffer {
        Buffer { bytes: Vec::new_in(alloc.clone()), len: 0 }
    }

    /// Room for `bytes`; less than that is given back first.
    ///
    /// # Errors
    /// The budget refuses; there is no room then.
    ///
    /// # Panics
    /// It is not empty.
    pub(crate) fn reserve(&mut self, bytes: usize) -> Result<(), AllocError> {
        assert!(self.is_empty(), "an empty buffer is made larger");
        if self.bytes.len() < bytes {
            self.release();
            self.bytes.try_reserve_exact(bytes).map_err(|_| AllocError)?;
            self.bytes.resize(bytes, 0);
        }
        Ok(())
    }

    /// Gives the room back.
    pub(crate) fn release(&mut self) {
        *self = Buffer::new(self.bytes.allocator());
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends bytes.
    ///
    /// # Panics
    /// There is no room for them.
    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        self.bytes[self.len..end].copy_from_slice(bytes);
        self.len = end;
    }

    /// Appends zeros up to a length.
    ///
    /// # Panics
    /// There is no room for them.
    pub(crate) fn pad(&mut self, len: usize) {
        self.bytes[self.len..len].fill(0);
        self.len = len;
    }

    /// Forgets what is behind the first `len` bytes.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// All of the room, whatever is in it.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}
