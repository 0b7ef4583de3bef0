//! The arena as an allocator of the crates `allocator-api2` and `hashbrown`.
//!
//! Implemented for `&Arena` only. An *owned* arena must not be an allocator: a vector could then hand it out by
//! `&mut`, and a safe `reset` would pull the memory from under the vector.
//!
//! ```compile_fail,E0277
//! # let budget = cofferdam_arena::Budget::unlimited("doc").unwrap();
//! let arena = cofferdam_arena::Arena::new(&budget);
//! allocator_api2::vec::Vec::<u8, _>::new_in(arena);
//! ```

use crate::arena::Arena;
use allocator_api2::alloc::{AllocError, Allocator};
use core::alloc::Layout;
use core::ptr::{self, NonNull};

// SAFETY: memory lives as long as the arena is borrowed, so copies of the `&Arena` see the same blocks; a block that
// is given back is reused only by going back over the latest allocation.
unsafe impl Allocator for &Arena {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let place = self.alloc_layout(layout)?;
        Ok(NonNull::slice_from_raw_parts(place, layout.size()))
    }

    #[inline]
    unsafe fn deallocate(&self, place: NonNull<u8>, layout: Layout) {
        // SAFETY: by this method's contract the block is this arena's and no longer used.
        unsafe { self.shrink_in_place(place, layout.size(), 0) };
    }

    #[inline]
    unsafe fn grow(&self, place: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let aligned = place.addr().get().is_multiple_of(new.align());
        // SAFETY: by this method's contract the block is this arena's, with the size of `old`.
        if aligned && unsafe { self.grow_in_place(place, old.size(), new.size()) } {
            return Ok(NonNull::slice_from_raw_parts(place, new.size()));
        }
        let moved = self.alloc_layout(new)?;
        // SAFETY: `moved` is fresh and larger than the old block, which stays readable.
        unsafe { ptr::copy_nonoverlapping(place.as_ptr(), moved.as_ptr(), old.size()) };
        Ok(NonNull::slice_from_raw_parts(moved, new.size()))
    }

    #[inline]
    unsafe fn shrink(
        &self,
        place: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if !place.addr().get().is_multiple_of(new.align()) {
            let moved = self.alloc_layout(new)?;
            // SAFETY: `moved` is fresh, and the old block has at least the new size.
            unsafe { ptr::copy_nonoverlapping(place.as_ptr(), moved.as_ptr(), new.size()) };
            return Ok(NonNull::slice_from_raw_parts(moved, new.size()));
        }
        // SAFETY: by this method's contract the block is this arena's, with the size of `old`.
        unsafe { self.shrink_in_place(place, old.size(), new.size()) };
        Ok(NonNull::slice_from_raw_parts(place, new.size()))
    }
}
