//! The global allocator with a budget before it, for structures that live long and change piece by piece.
//!
//! An arena gives back everything at once. A list of open files or a hash map of cached pages lives as long as its
//! database and forgets single entries, so it takes every piece of memory by itself: charged before it is taken,
//! released when it is given back.
//!
//! ```
//! use allocator_api2::vec::Vec;
//! use cofferdam_arena::{AllocError, Budget, BudgetAlloc};
//!
//! let budget = Budget::unlimited("process").unwrap().child("cache", 8 << 10)?;
//! let mut list: Vec<u64, BudgetAlloc> = Vec::new_in(BudgetAlloc::new(&budget));
//! list.try_reserve_exact(500)?; // 4,000 bytes
//! assert_eq!(budget.used(), 4 << 10);
//! assert!(list.try_reserve_exact(1000).is_err());
//! drop(list);
//! assert_eq!(budget.used(), 0);
//! # Ok::<(), AllocError>(())
//! ```
//!
//! What all pieces of an allocator and its clones take together is charged in whole [`UNIT`]s, each piece
//! with 16 bytes for what the global allocator keeps about it. Containers must be grown by their `try_` methods before
//! they are added to: the others abort the process when the budget refuses.

use crate::budget::{Budget, UNIT};
use crate::sync::Mutex;
use alloc::sync::Arc;
use allocator_api2::alloc::{AllocError, Allocator, Global};
use allocator_api2::vec::Vec;
use core::alloc::Layout;
use core::fmt;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU64, Ordering};

/// What the global allocator keeps about a piece: glibc's header and rounding.
const PIECE_OVERHEAD_BYTES: u64 = 16;

/// Bytes of all pieces of the process: a number for those who count what the global allocator gives, and nothing
/// else depends on it.
static PIECES_BYTES: AtomicU64 = AtomicU64::new(0);

/// The most that they were since the allocator was last asked to give pages back.
static PIECES_BYTES_PEAK: AtomicU64 = AtomicU64::new(0);

/// What has to be free before it is worth while, at least; and as a share of the peak.
const TRIM_BYTES: u64 = 1 << 20;
const TRIM_SHARE: u64 = 16;

/// Has the global allocator give free pages back to the system, once pieces have given back a good part of what they held. It
/// would keep them for pieces to come, while whoever had them freed takes other memory: together they would be more than the limit.
pub(crate) fn trim_freed() {
    let peak = PIECES_BYTES_PEAK.load(Ordering::Relaxed);
    let now = PIECES_BYTES.load(Ordering::Relaxed);
    let is_worth_while = peak.saturating_sub(now) >= TRIM_BYTES.max(peak / TRIM_SHARE);
    let order = Ordering::Relaxed;
    if is_worth_while && PIECES_BYTES_PEAK.compare_exchange(peak, now, order, order).is_ok() {
        trim();
    }
}

/// Of other allocators is known that they give pages back by themselves, or nothing.
fn trim() {
    #[cfg(all(feature = "std", target_os = "linux", target_env = "gnu", not(miri)))]
    // SAFETY: it may be called at any time, by any thread; whatever it returns is right.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// How often the process took a piece or an account from the global allocator: for those who count, too.
static TAKEN_COUNT: AtomicU64 = AtomicU64::new(0);

/// An allocator that charges a budget before it takes a piece from the global allocator. Clones are the same one.
#[derive(Clone)]
pub struct BudgetAlloc {
    account: Arc<Account>,
}

struct Account {
    budget: Budget,
    /// Of all pieces, with their overhead. The budget is charged for it in whole units.
    bytes: Mutex<u64>,
}

impl Drop for Account {
    /// What was charged for something that is no piece goes back at the latest with the last clone.
    fn drop(&mut self) {
        let held = *self.bytes.lock();
        self.budget.release(held.div_ceil(UNIT) * UNIT);
    }
}

impl BudgetAlloc {
    /// An allocator on a budget; takes nothing from it until the first piece (the account itself is 64 bytes).
    pub fn new(budget: &Budget) -> BudgetAlloc {
        TAKEN_COUNT.fetch_add(1, Ordering::Relaxed);
        BudgetAlloc { account: Arc::new(Account { budget: budget.clone(), bytes: Mutex::new(0) }) }
    }

    /// The budget that pays.
    pub fn budget(&self) -> &Budget {
        &self.account.budget
    }

    /// How many bytes of the global allocator are pieces of such allocators, in the whole process. A piece counts before it is
    /// taken and until after it is given back, so this is never less than what they hold.
    pub fn pieces_bytes() -> u64 {
        PIECES_BYTES.load(Ordering::Relaxed)
    }

    /// How often such allocators have taken something from the global allocator, in the whole process: pieces, 64 bytes for each
    /// allocator that was made, and what [`BudgetAlloc::charge`] and [`BudgetAlloc::count_taken`] were told of.
    pub fn taken_count() -> u64 {
        TAKEN_COUNT.load(Ordering::Relaxed)
    }

    /// Tells that something was taken from the global allocator that a budget was charged for in another way: it counts in
    /// [`BudgetAlloc::taken_count`].
    pub fn count_taken() {
        TAKEN_COUNT.fetch_add(1, Ordering::Relaxed);
    }

    /// Charges for something of so many bytes that is not a piece of this allocator, such as a boxed handle. It is released by
    /// [`BudgetAlloc::release`], or when the allocator and all its clones are gone. It counts in [`BudgetAlloc::taken_count`].
    ///
    /// # Errors
    /// The budget refuses.
    pub fn charge(&self, bytes: usize) -> Result<(), crate::AllocError> {
        BudgetAlloc::count_taken();
        self.charge_quietly(bytes)
    }

    fn charge_quietly(&self, bytes: usize) -> Result<(), crate::AllocError> {
        let bytes = bytes as u64 + PIECE_OVERHEAD_BYTES;
        let mut held = self.account.bytes.lock();
        let mut surplus = 0;
        if units_for(*held, bytes) > 0 {
            drop(held);
            // Without the lock, since a reclaimer that this asks may give back pieces of the same account. Whole units
            // are as much as there can be needed; what is free in the last unit by then goes back.
            let charged = bytes.div_ceil(UNIT);
            self.account.budget.charge(charged * UNIT)?;
            held = self.account.bytes.lock();
            surplus = charged - units_for(*held, bytes);
        }
        *held += bytes;
        drop(held);
        if surplus > 0 {
            self.account.budget.release(surplus * UNIT);
        }
        Ok(())
    }

    /// Gives back what [`BudgetAlloc::charge`] took for so many bytes.
    pub fn release(&self, bytes: usize) {
        let mut held = self.account.bytes.lock();
        let after = *held - (bytes as u64 + PIECE_OVERHEAD_BYTES);
        let units = held.div_ceil(UNIT) - after.div_ceil(UNIT);
        *held = after;
        drop(held);
        self.account.budget.release(units * UNIT);
    }

    /// A piece is the global allocator's again.
    fn give_back(&self, layout: Layout) {
        PIECES_BYTES.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        self.release(layout.size());
    }
}

/// Appends copies of values to a vector, in one piece: its own `extend_from_slice` asks for room at each of them, and ends the
/// process where there is none.
///
/// # Errors
/// The budget refuses; nothing has changed.
#[inline]
pub fn append<T: Copy>(vec: &mut Vec<T, BudgetAlloc>, values: &[T]) -> Result<(), crate::AllocError> {
    vec.try_reserve(values.len()).map_err(|_| crate::AllocError)?;
    let len = vec.len();
    // SAFETY: there is room for all values behind the length; the slice is not of the vector, which is borrowed for
    // writing. They are copied before they count.
    unsafe {
        ptr::copy_nonoverlapping(values.as_ptr(), vec.as_mut_ptr().add(len), values.len());
        vec.set_len(len + values.len());
    }
    Ok(())
}

/// How many units more are charged when `bytes` are added to what is held.
fn units_for(held: u64, bytes: u64) -> u64 {
    (held + bytes).div_ceil(UNIT) - held.div_ceil(UNIT)
}

impl fmt::Debug for BudgetAlloc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BudgetAlloc").field("bytes", &*self.account.bytes.lock()).finish_non_exhaustive()
    }
}

// SAFETY: blocks are those of the global allocator, which live until they are given back; clones are the same
// allocator, since it has no state but the budget that counts.
unsafe impl Allocator for BudgetAlloc {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.charge_quietly(layout.size())?;
        let bytes = layout.size() as u64;
        let now = PIECES_BYTES.fetch_add(bytes, Ordering::Relaxed) + bytes;
        // Mostly it is no new peak, and then nobody writes what all threads read.
        if now > PIECES_BYTES_PEAK.load(Ordering::Relaxed) {
            PIECES_BYTES_PEAK.fetch_max(now, Ordering::Relaxed);
        }
        TAKEN_COUNT.fetch_add(1, Ordering::Relaxed);
        Global.allocate(layout).inspect_err(|_| self.give_back(layout))
    }

    unsafe fn deallocate(&self, place: NonNull<u8>, layout: Layout) {
        // SAFETY: by this method's contract the block is one of `allocate`, which took it from the global allocator.
        unsafe { Global.deallocate(place, layout) };
        self.give_back(layout);
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Aim: the pieces of the process are counted. Method: a piece larger than all those of other tests.
    #[test]
    fn pieces_are_counted() {
        const BYTES: usize = 64 << 20;
        let taken = BudgetAlloc::taken_count();
        let pieces = BudgetAlloc::new(&Budget::unlimited("process").unwrap());
        let mut large: Vec<u8, BudgetAlloc> = Vec::new_in(pieces);
        large.try_reserve_exact(BYTES).unwrap();
        assert!(BudgetAlloc::pieces_bytes() >= BYTES as u64);
        assert!(BudgetAlloc::taken_count() >= taken + 2);
        drop(large);
        assert!(BudgetAlloc::pieces_bytes() < BYTES as u64);
    }

    /// Aim: what containers hold is what the budget shows. Method: grow, shrink and drop vectors of one account, and be
    /// refused.
    #[test]
    fn every_piece_is_charged_before_it_is_taken() {
        let budget = Budget::unlimited("process").unwrap().child("pieces", 16 << 10).unwrap();
        let pieces = BudgetAlloc::new(&budget);
        let mut bytes: Vec<u8, BudgetAlloc> = Vec::new_in(pieces.clone());
        let mut others: Vec<u8, BudgetAlloc> = Vec::new_in(pieces.clone());
        bytes.try_reserve_exact(1).unwrap();
        others.try_reserve_exact(900).unwrap();
        assert_eq!(
            (budget.used(), pieces.budget().limit()),
            (1 << 10, 16 << 10),
            "small pieces share a unit"
        );
        append(&mut bytes, &[7]).unwrap();
        bytes.try_reserve_exact(5000).unwrap();
        assert_eq!((bytes[0], budget.used()), (7, 6 << 10));
        // 11 KiB would fit alone, but not beside the old piece.
        assert!(bytes.try_reserve_exact(11 << 10).is_err());
        assert!(append(&mut bytes, &[0; 11 << 10]).is_err());
        assert_eq!((bytes.len(), budget.used()), (1, 6 << 10));
        append(&mut bytes, &[8, 9]).unwrap();
        assert_eq!(bytes[..], [7, 8, 9]);
        bytes.shrink_to_fit();
        assert_eq!(budget.used(), 1 << 10);
        pieces.charge(2000).unwrap();
        assert_eq!(budget.used(), 3 << 10);
        pieces.release(2000);
        pieces.charge(100).unwrap();
        drop((bytes, others));
        assert_eq!(budget.used(), 1 << 10, "the handle is charged");
        drop(pieces);
        assert_eq!(budget.used(), 0);
    }
}
