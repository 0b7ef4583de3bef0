//! A vector in an arena.

use crate::arena::Arena;
use crate::error::AllocError;
use allocator_api2::vec;
use core::fmt;
use core::mem::needs_drop;
use core::ops::{Deref, DerefMut};

/// A growing array in an arena: what `std::vec::Vec` is on the heap. Drops its elements.
pub struct Vec<'a, T> {
    inner: vec::Vec<T, &'a Arena>,
}

impl<'a, T> Vec<'a, T> {
    /// An empty vector; takes nothing.
    pub fn new_in(arena: &'a Arena) -> Vec<'a, T> {
        Vec { inner: vec::Vec::new_in(arena) }
    }

    /// An empty vector with room for exactly `capacity` elements.
    ///
    /// # Errors
    /// The budget refuses.
    pub fn with_capacity_in(capacity: usize, arena: &'a Arena) -> Result<Vec<'a, T>, AllocError> {
        let mut vec = Vec::new_in(arena);
        vec.reserve_exact(capacity)?;
        Ok(vec)
    }

    /// The arena.
    pub fn arena(&self) -> &'a Arena {
        self.inner.allocator()
    }

    /// How many elements fit without growing.
    pub fn capacity(&self) -> usize {
        self.inner.capacity()
    }

    /// Makes room for `additional` elements beyond the *length*, growing by doubling.
    ///
    /// # Errors
    /// The budget refuses, or the size is past the address range; nothing has changed.
    pub fn reserve(&mut self, additional: usize) -> Result<(), AllocError> {
        self.inner.try_reserve(additional).map_err(|_| self.refused(additional))
    }

    /// Makes room for exactly `additional` elements beyond the length.
    ///
    /// # Errors
    /// As [`Vec::reserve`].
    pub fn reserve_exact(&mut self, additional: usize) -> Result<(), AllocError> {
        self.inner.try_reserve_exact(additional).map_err(|_| self.refused(additional))
    }

    /// A capacity past the address range never reaches the arena, so its record is made here.
    #[cold]
    fn refused(&self, additional: usize) -> AllocError {
        let fits = self
            .len()
            .checked_add(additional)
            .and_then(|len| core::alloc::Layout::array::<T>(len).ok())
            .is_some();
        if !fits {
            let bytes = (additional as u64).saturating_mul(size_of::<T>() as u64);
            return self.arena().budget().refuse(bytes, crate::Reason::TooLarge);
        }
        AllocError
    }

    /// Appends a value.
    ///
    /// # Errors
    /// The budget refuses; the value is dropped and nothing has changed.
    #[inline(always)]
    pub fn push(&mut self, value: T) -> Result<(), AllocError> {
        if self.inner.len() == self.inner.capacity() {
            self.grow_by_one()?;
        }
        // SAFETY: there is room for one more; the slot behind the last element is written before it counts.
        unsafe {
            let len = self.inner.len();
            self.inner.as_mut_ptr().add(len).write(value);
            self.inner.set_len(len + 1);
        }
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn grow_by_one(&mut self) -> Result<(), AllocError> {
        self.reserve(1)
    }

    /// Inserts a value before `index`.
    ///
    /// # Errors
    /// The budget refuses; the value is dropped and nothing has changed.
    ///
    /// # Panics
    /// `index` is past the length.
    pub fn insert(&mut self, index: usize, value: T) -> Result<(), AllocError> {
        self.reserve(1)?;
        self.inner.insert(index, value);
        Ok(())
    }

    /// Appends copies of the values.
    ///
    /// # Errors
    /// The budget refuses; nothing has changed.
    pub fn extend_from_slice(&mut self, values: &[T]) -> Result<(), AllocError>
    where
        T: Clone,
    {
        self.reserve(values.len())?;
        self.inner.extend_from_slice(values);
        Ok(())
    }

    /// Appends what an iterator gives.
    ///
    /// # Errors
    /// The budget refuses; what was appended so far stays.
    pub fn extend(&mut self, values: impl IntoIterator<Item = T>) -> Result<(), AllocError> {
        let values = values.into_iter();
        self.reserve(values.size_hint().0)?;
        for value in values {
            self.push(value)?;
        }
        Ok(())
    }

    /// Changes the length to `len`, filling with clones of `value` or dropping the rest.
    ///
    /// # Errors
    /// The budget refuses; nothing has changed.
    pub fn resize(&mut self, len: usize, value: T) -> Result<(), AllocError>
    where
        T: Clone,
    {
        self.reserve(len.saturating_sub(self.len()))?;
        self.inner.resize(len, value);
        Ok(())
    }

    /// Takes the last element.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        self.inner.pop()
    }

    /// Drops everything behind the first `len` elements; keeps the capacity.
    pub fn truncate(&mut self, len: usize) {
        self.inner.truncate(len);
    }

    /// Drops every element; keeps the capacity.
    pub fn clear(&mut self) {
        self.inner.clear();
    }

    /// Takes out the element at `index`; the last one takes its place.
    ///
    /// # Panics
    /// `index` is not below the length.
    pub fn swap_remove(&mut self, index: usize) -> T {
        self.inner.swap_remove(index)
    }

    /// Takes out the element at `index`; those behind it move up.
    ///
    /// # Panics
    /// `index` is not below the length.
    pub fn remove(&mut self, index: usize) -> T {
        self.inner.remove(index)
    }

    /// Keeps the elements for which `keep` says so, in order.
    pub fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        self.inner.retain(keep);
    }

    /// The elements as a slice of the arena's lifetime. Where the vector is the arena's latest allocation, its unused
    /// capacity goes back first.
    pub fn into_slice(self) -> &'a mut [T] {
        const { assert!(!needs_drop::<T>(), "nothing would drop the elements: keep the vector") };
        let mut inner = self.inner;
        inner.shrink_to_fit();
        inner.leak()
    }
}

impl<T> Deref for Vec<'_, T> {
    type Target = [T];
    #[inline(always)]
    fn deref(&self) -> &[T] {
        &self.inner
    }
}

impl<T> DerefMut for Vec<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.inner
    }
}

impl<'v, T> IntoIterator for &'v Vec<'_, T> {
    type Item = &'v T;
    type IntoIter = core::slice::Iter<'v, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'v, T> IntoIterator for &'v mut Vec<'_, T> {
    type Item = &'v mut T;
    type IntoIter = core::slice::IterMut<'v, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl<'a, T> IntoIterator for Vec<'a, T> {
    type Item = T;
    type IntoIter = vec::IntoIter<T, &'a Arena>;
    fn into_iter(self) -> Self::IntoIter {
        self.inner.into_iter()
    }
}

impl<T: fmt::Debug> fmt::Debug for Vec<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
