//! Nested lifetimes in one chain of chunks.
//!
//! A scope takes its parent by `&mut`, so while it lives nothing can be allocated in the parent, and what is allocated
//! in the scope cannot outlive it. When it ends, the arena goes back to where it was; chunks taken in between are
//! kept for the next allocation. Temporary work beside a collection that is still growing needs its own arena instead.
//!
//! ```
//! # let budget = cofferdam_arena::Budget::unlimited("doc").unwrap();
//! let mut arena = cofferdam_arena::Arena::new(&budget);
//! let mut outer = arena.scope();
//! let kept = outer.alloc(1).unwrap();
//! {
//!     let inner = outer.scope();
//!     let temporary = inner.alloc_str("gone soon").unwrap();
//!     *kept += temporary.len();
//! }
//! assert_eq!(*kept, 10);
//! ```
//!
//! ```compile_fail,E0499
//! # let budget = cofferdam_arena::Budget::unlimited("doc").unwrap();
//! let mut arena = cofferdam_arena::Arena::new(&budget);
//! let mut outer = arena.scope();
//! let inner = outer.scope();
//! let escapes = inner.alloc(1).unwrap();
//! drop(inner);
//! outer.scope(); // `escapes` still borrows `outer`
//! *escapes = 2;
//! ```

use crate::arena::{Arena, Mark};
use crate::error::AllocError;
use core::ops::Deref;

/// A nested lifetime of an [`Arena`]; see the module's text.
///
/// Allocations made by the scope's own methods live for `'s`, the time for which the parent is borrowed; those made
/// through the arena that it dereferences to (collections) borrow the scope itself.
pub struct Scope<'s> {
    arena: &'s Arena,
    mark: Mark,
}

impl<'s> Scope<'s> {
    pub(crate) fn new(arena: &'s mut Arena) -> Scope<'s> {
        Scope { mark: arena.mark(), arena }
    }

    /// A scope within this one.
    pub fn scope(&mut self) -> Scope<'_> {
        Scope { mark: self.arena.mark(), arena: self.arena }
    }

    /// As [`Arena::alloc`], for the scope's lifetime.
    ///
    /// # Errors
    /// The budget refuses.
    pub fn alloc<T>(&self, value: T) -> Result<&'s mut T, AllocError> {
        self.arena.alloc(value)
    }

    /// As [`Arena::alloc_str`], for the scope's lifetime.
    ///
    /// # Errors
    /// The budget refuses.
    pub fn alloc_str(&self, text: &str) -> Result<&'s mut str, AllocError> {
        self.arena.alloc_str(text)
    }

    /// As [`Arena::alloc_slice_copy`], for the scope's lifetime.
    ///
    /// # Errors
    /// The budget refuses.
    pub fn alloc_slice_copy<T: Copy>(&self, values: &[T]) -> Result<&'s mut [T], AllocError> {
        self.arena.alloc_slice_copy(values)
    }

    /// As [`Arena::alloc_slice_fill_with`], for the scope's lifetime.
    ///
    /// # Errors
    /// The budget refuses.
    pub fn alloc_slice_fill_with<T>(
        &self,
        len: usize,
        make: impl FnMut(usize) -> T,
    ) -> Result<&'s mut [T], AllocError> {
        self.arena.alloc_slice_fill_with(len, make)
    }
}

impl Deref for Scope<'_> {
    type Target = Arena;

    /// The arena, borrowed from the scope: it cannot be used after the scope's end or beside a nested scope.
    fn deref(&self) -> &Arena {
        self.arena
    }
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        // SAFETY: the mark is this arena's. What was allocated since borrows either the scope, which is ending, or
        // its parent for 's; while such a borrow lives the parent cannot allocate, so rewound memory is not handed
        // out again before the last reference to it is gone, and chunks are kept.
        unsafe { self.arena.rewind(self.mark) };
    }
}
