//! The global allocator with a budget before it, for structures that live long and change piece by piece.
//!
//! An arena gives back everything at once. A list of open files or a hash map of cached pages lives as long as its
//! database and forgets single entries, so it takes every piece of memory by itself: charged before it is taken,
//! released when it is given back.
//!
//! ```
//! use allocator_api2::vec::Vec;
//! use cofferdam_arena::{Budget, BudgetAlloc};
//!
//! let budget = Budget::unlimited("process").unwrap().child("cache", 8 << 10)?;
//! let mut list: Vec<u64, BudgetAlloc> = Vec::new_in(BudgetAlloc::new(&budget));
//! list.try_reserve_exact(512)?; // 4 KiB
//! assert_eq!(budget.used(), 4 << 10);
//! assert!(list.try_reserve_exact(4096).is_err());
//! drop(list);
//! assert_eq!(budget.used(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A piece is charged in whole [`UNIT`](crate::UNIT)s of 1 KiB, so this is for few and larger pieces; many small ones belong into an
//! arena or a [`Pool`](crate::Pool). Containers must be grown by their `try_` methods before they are added to:
//! the others abort the process when the budget refuses.

use crate::budget::Budget;
use allocator_api2::alloc::{AllocError, Allocator, Global};
use core::alloc::Layout;
use core::ptr::{self, NonNull};

/// An allocator that charges a budget for each piece, rounded up to 1 KiB, and takes it from the global allocator.
#[derive(Clone, Debug)]
pub struct BudgetAlloc {
    budget: Budget,
}

impl BudgetAlloc {
    /// Takes nothing by itself.
    pub fn new(budget: &Budget) -> BudgetAlloc {
        BudgetAlloc { budget: budget.clone() }
    }

    /// The budget that pays.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }
}

// SAFETY: blocks are those of the global allocator, which live until they are given back; clones are the same
// allocator, since it has no state but the budget that counts.
unsafe impl Allocator for BudgetAlloc {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.budget.charge(layout.size() as u64)?;
        Global.allocate(layout).inspect_err(|_| self.budget.release(layout.size() as u64))
    }

    unsafe fn deallocate(&self, place: NonNull<u8>, layout: Layout) {
        // SAFETY: by this method's contract the block is one of `allocate`, which took it from the global allocator.
        unsafe { Global.deallocate(place, layout) };
        self.budget.release(layout.size() as u64);
    }

    unsafe fn grow(&self, place: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // While it grows a block may stand in two places, so the new one is charged as a whole first.
        let moved = self.allocate(new)?;
        // SAFETY: `moved` is fresh and larger than the old block, which by this method's contract is ours.
        unsafe {
            ptr::copy_nonoverlapping(place.as_ptr(), moved.as_ptr().cast::<u8>(), old.size());
            self.deallocate(place, old);
        }
        Ok(moved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use allocator_api2::vec::Vec;

    /// Aim: what a container holds is what its budget shows. Method: grow, shrink and drop a vector, and be refused.
    #[test]
    fn every_piece_is_charged_before_it_is_taken() {
        let budget = Budget::unlimited("process").unwrap().child("pieces", 16 << 10).unwrap();
        let mut bytes: Vec<u8, BudgetAlloc> = Vec::new_in(BudgetAlloc::new(&budget));
        bytes.try_reserve_exact(1).unwrap();
        assert_eq!((budget.used(), bytes.allocator().budget().limit()), (1 << 10, 16 << 10));
        bytes.extend_from_slice(&[7]);
        bytes.try_reserve_exact(5000).unwrap();
        assert_eq!((bytes[0], budget.used()), (7, 5 << 10));
        assert_eq!(budget.peak(), 6 << 10, "old and new piece stood side by side");
        // 12 KiB would fit alone, but not beside the old piece.
        assert!(bytes.try_reserve_exact(12 << 10).is_err());
        assert_eq!((bytes.len(), budget.used()), (1, 5 << 10));
        bytes.shrink_to_fit();
        assert_eq!(budget.used(), 1 << 10);
        drop(bytes);
        assert_eq!(budget.used(), 0);
    }
}
