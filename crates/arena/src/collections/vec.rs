//! A vector in an arena.
//!
//! Pointer, capacity and length are plain fields, and the slow path of `push` takes and returns them by value: a loop
//! of pushes then keeps them in registers, which is worth a factor of two. Everything that is not about speed
//! (`insert`, `retain`, …) is lent to the vector of `allocator-api2`, made of the same parts.

use crate::arena::Arena;
use crate::error::AllocError;
use allocator_api2::vec;
use core::alloc::Layout;
use core::fmt;
use core::mem::{ManuallyDrop, needs_drop};
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};
use core::slice;

/// A growing array in an arena: what `std::vec::Vec` is on the heap. Drops its elements.
pub struct Vec<'a, T> {
    place: NonNull<T>,
    capacity: usize,
    len: usize,
    arena: &'a Arena,
    owns: core::marker::PhantomData<T>,
}

impl<'a, T> Vec<'a, T> {
    /// An empty vector; takes nothing.
    #[inline(always)]
    pub fn new_in(arena: &'a Arena) -> Vec<'a, T> {
        let capacity = if size_of::<T>() == 0 { usize::MAX } else { 0 };
        Vec { place: NonNull::dangling(), capacity, len: 0, arena, owns: core::marker::PhantomData }
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
        self.arena
    }

    /// How many elements fit without growing.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Makes room for `additional` elements beyond the *length*, growing by doubling.
    ///
    /// # Errors
    /// The budget refuses, or the size is past the address range; nothing has changed.
    #[inline]
    pub fn reserve(&mut self, additional: usize) -> Result<(), AllocError> {
        if additional > self.capacity - self.len {
            let least = grown_capacity::<T>(self.capacity);
            let wanted =
                self.len.checked_add(additional).ok_or_else(|| too_large::<T>(self.arena, additional))?;
            (self.place, self.capacity) = grow(self.arena, self.place, self.capacity, wanted.max(least))?;
        }
        Ok(())
    }

    /// Makes room for exactly `additional` elements beyond the length.
    ///
    /// # Errors
    /// As [`Vec::reserve`].
    pub fn reserve_exact(&mut self, additional: usize) -> Result<(), AllocError> {
        if additional > self.capacity - self.len {
            let wanted =
                self.len.checked_add(additional).ok_or_else(|| too_large::<T>(self.arena, additional))?;
            (self.place, self.capacity) = grow(self.arena, self.place, self.capacity, wanted)?;
        }
        Ok(())
    }

    /// Appends a value.
    ///
    /// # Errors
    /// The budget refuses; the value is dropped and nothing has changed.
    #[inline(always)]
    pub fn push(&mut self, value: T) -> Result<(), AllocError> {
        if self.len == self.capacity {
            (self.place, self.capacity) = grow_by_doubling(self.arena, self.place, self.capacity)?;
        }
        // SAFETY: the length is below the capacity, so the slot is the vector's and empty.
        unsafe { self.place.add(self.len).write(value) };
        self.len += 1;
        Ok(())
    }

    /// Lends the parts to a vector of `allocator-api2`, and takes them back even when it panics.
    fn lend(&mut self) -> Lent<'_, 'a, T> {
        let len = core::mem::replace(&mut self.len, 0);
        // SAFETY: place and capacity are a block of this arena (or dangling with a capacity of 0, or of a type without
        // size), and the first `len` elements are initialized. The vector forgets them until they come back.
        let inner =
            unsafe { vec::Vec::from_raw_parts_in(self.place.as_ptr(), len, self.capacity, self.arena) };
        Lent { inner: ManuallyDrop::new(inner), owner: self }
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
        self.lend().insert(index, value);
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
        // Not by the lent vector: that asks for room at each element, which keeps bytes from being copied as one.
        // SAFETY: there is room for all behind the length, where there are no elements. Should a clone panic, those
        // before it do not count and are not dropped.
        let room = unsafe { self.place.add(self.len) };
        for (index, value) in values.iter().enumerate() {
            // SAFETY: the index is below the number of values, for which there is room.
            unsafe { room.add(index).write(value.clone()) };
        }
        self.len += values.len();
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
        self.reserve(len.saturating_sub(self.len))?;
        self.lend().resize(len, value);
        Ok(())
    }

    /// Takes the last element.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        // SAFETY: the element was the last one and does not count any more.
        Some(unsafe { self.place.add(self.len).read() })
    }

    /// Drops everything behind the first `len` elements; keeps the capacity.
    pub fn truncate(&mut self, len: usize) {
        self.lend().truncate(len);
    }

    /// Drops every element; keeps the capacity.
    #[inline]
    pub fn clear(&mut self) {
        let elements: *mut [T] = &raw mut self[..];
        self.len = 0;
        // SAFETY: the elements do not count any more, so they are dropped once even when a drop panics.
        unsafe { ptr::drop_in_place(elements) };
    }

    /// Takes out the element at `index`; the last one takes its place.
    ///
    /// # Panics
    /// `index` is not below the length.
    pub fn swap_remove(&mut self, index: usize) -> T {
        self.lend().swap_remove(index)
    }

    /// Takes out the element at `index`; those behind it move up.
    ///
    /// # Panics
    /// `index` is not below the length.
    pub fn remove(&mut self, index: usize) -> T {
        self.lend().remove(index)
    }

    /// Keeps the elements for which `keep` says so, in order.
    pub fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        self.lend().retain(keep);
    }

    /// The elements as a slice of the arena's lifetime. Where the vector is the arena's latest allocation, its unused
    /// capacity goes back first.
    pub fn into_slice(self) -> &'a mut [T] {
        const { assert!(!needs_drop::<T>(), "nothing would drop the elements: keep the vector") };
        let this = ManuallyDrop::new(self);
        // SAFETY: the block is the arena's and nothing behind the length is used any more; the elements are initialized
        // and, the vector being gone, nobody else's.
        unsafe {
            if size_of::<T>() > 0 {
                this.arena.shrink_in_place(
                    this.place.cast(),
                    this.capacity * size_of::<T>(),
                    this.len * size_of::<T>(),
                );
            }
            slice::from_raw_parts_mut(this.place.as_ptr(), this.len)
        }
    }
}

impl Vec<'_, u8> {
    /// Changes the length to `len`, filling with zeros: what [`Vec::resize`] does for any value and byte by byte, unless a
    /// compiler that optimizes sees through it.
    ///
    /// # Errors
    /// As [`Vec::resize`].
    pub fn resize_zeroed(&mut self, len: usize) -> Result<(), AllocError> {
        if let Some(more) = len.checked_sub(self.len) {
            self.reserve(more)?;
            // SAFETY: there is room for so many bytes behind the length; the place of a vector without room is dangling,
            // and then nothing is written.
            unsafe { ptr::write_bytes(self.place.as_ptr().add(self.len), 0, more) };
        }
        self.len = len;
        Ok(())
    }
}

/// What doubling gives, at least so much that the first growths of small elements are not all in vain.
#[inline]
fn grown_capacity<T>(capacity: usize) -> usize {
    let least = if size_of::<T>() == 1 { 8 } else { 4 };
    capacity.saturating_mul(2).max(least)
}

#[cold]
fn too_large<T>(arena: &Arena, elements: usize) -> AllocError {
    arena.budget().refuse((elements as u64).saturating_mul(size_of::<T>() as u64), crate::Reason::TooLarge)
}

#[cold]
#[inline(never)]
fn grow_by_doubling<T>(
    arena: &Arena,
    place: NonNull<T>,
    capacity: usize,
) -> Result<(NonNull<T>, usize), AllocError> {
    grow(arena, place, capacity, grown_capacity::<T>(capacity))
}

/// Moves or extends a block of `capacity` elements to one of `wanted`; both parts come back by value.
fn grow<T>(
    arena: &Arena,
    place: NonNull<T>,
    capacity: usize,
    wanted: usize,
) -> Result<(NonNull<T>, usize), AllocError> {
    let old_bytes = capacity * size_of::<T>();
    let Ok(layout) = Layout::array::<T>(wanted) else { return Err(too_large::<T>(arena, wanted)) };
    // SAFETY: the block is this arena's, with `old_bytes`.
    if capacity > 0 && unsafe { arena.grow_in_place(place.cast(), old_bytes, layout.size()) } {
        return Ok((place, wanted));
    }
    let moved = arena.alloc_layout(layout)?.cast::<T>();
    // SAFETY: `moved` is fresh and has room for more than `capacity` elements; moving bytes moves them.
    unsafe { ptr::copy_nonoverlapping(place.as_ptr(), moved.as_ptr(), capacity) };
    Ok((moved, wanted))
}

/// A vector's parts while `allocator-api2` works on them.
struct Lent<'v, 'a, T> {
    inner: ManuallyDrop<vec::Vec<T, &'a Arena>>,
    owner: &'v mut Vec<'a, T>,
}

impl<'a, T> Deref for Lent<'_, 'a, T> {
    type Target = vec::Vec<T, &'a Arena>;
    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

impl<T> DerefMut for Lent<'_, '_, T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.inner
    }
}

impl<T> Drop for Lent<'_, '_, T> {
    fn drop(&mut self) {
        // SAFETY: a vector's pointer is never null.
        self.owner.place = unsafe { NonNull::new_unchecked(self.inner.as_mut_ptr()) };
        self.owner.capacity = self.inner.capacity();
        self.owner.len = self.inner.len();
    }
}

impl<T> Drop for Vec<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if needs_drop::<T>() {
            self.clear();
        }
        if size_of::<T>() > 0 {
            // SAFETY: the block is this arena's and not used any more.
            unsafe { self.arena.shrink_in_place(self.place.cast(), self.capacity * size_of::<T>(), 0) };
        }
    }
}

impl<T> Deref for Vec<'_, T> {
    type Target = [T];
    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: the first `len` elements are initialized.
        unsafe { slice::from_raw_parts(self.place.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for Vec<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`; `&mut self` makes this the only reference.
        unsafe { slice::from_raw_parts_mut(self.place.as_ptr(), self.len) }
    }
}

impl<'v, T> IntoIterator for &'v Vec<'_, T> {
    type Item = &'v T;
    type IntoIter = slice::Iter<'v, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'v, T> IntoIterator for &'v mut Vec<'_, T> {
    type Item = &'v mut T;
    type IntoIter = slice::IterMut<'v, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl<'a, T> IntoIterator for Vec<'a, T> {
    type Item = T;
    type IntoIter = vec::IntoIter<T, &'a Arena>;
    fn into_iter(self) -> Self::IntoIter {
        let mut this = ManuallyDrop::new(self);
        let lent = ManuallyDrop::new(this.lend());
        // SAFETY: neither the lent parts nor the vector are used or dropped any more: the iterator owns them.
        ManuallyDrop::into_inner(unsafe { ptr::read(&lent.inner) }).into_iter()
    }
}

impl<T: fmt::Debug> fmt::Debug for Vec<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
