//! What the program takes outside of the budgets: counted, shown as the budget `untracked`, and bounded.
//!
//! The database takes its memory from the budgets: in chunks of their reservoir, or from the global allocator piece by piece,
//! each charged before it is taken. What is left for the global allocator is listed with its bounds in
//! `docs/BUDGETS.md`; together at most [`LIMIT_BYTES`], which is guaranteed to this budget when the program starts, so
//! that the root limit covers it.
//!
//! This file holds the program's only unsafe code: a global allocator that passes every call on and counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use cofferdam::{Budget, Database};
use cofferdam_arena::BudgetAlloc;

/// All that may be taken outside of the budgets: 2 MiB.
pub(crate) const LIMIT_BYTES: u64 = 2 << 20;

/// The system's allocator with a count of the live bytes.
struct Counted;

#[global_allocator]
static ALLOCATOR: Counted = Counted;

static LIVE_BYTES: AtomicUsize = AtomicUsize::new(0);
static PEAK_BYTES: AtomicUsize = AtomicUsize::new(0);

fn took(bytes: usize) {
    let live = LIVE_BYTES.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK_BYTES.fetch_max(without_pieces(live), Ordering::Relaxed);
}

/// What of so many live bytes no budget pays for: all but the pieces of those who charge each for itself.
fn without_pieces(live: usize) -> usize {
    live.saturating_sub(BudgetAlloc::pieces_bytes() as usize)
}

fn gave_back(bytes: usize) {
    LIVE_BYTES.fetch_sub(bytes, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator with the caller's own arguments, and what it returns is returned
// unchanged; counting touches two integers and neither allocates nor panics.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc`, which is the same one.
        let memory = unsafe { System.alloc(layout) };
        if !memory.is_null() {
            took(layout.size());
        }
        memory
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc_zeroed`, which is the same one.
        let memory = unsafe { System.alloc_zeroed(layout) };
        if !memory.is_null() {
            took(layout.size());
        }
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and the block came from the system's allocator.
        unsafe { System.dealloc(memory, layout) };
        gave_back(layout.size());
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `realloc`, and the block came from the system's allocator.
        let moved = unsafe { System.realloc(memory, layout, new_size) };
        if !moved.is_null() {
            took(new_size);
            gave_back(layout.size());
        }
        moved
    }
}

/// The budget `untracked`.
pub(crate) struct Untracked {
    budget: Budget,
    charged_bytes: u64,
}

impl Untracked {
    /// What is charged to the budget of a database that was opened with [`LIMIT_BYTES`] for it.
    pub(crate) fn of(database: &Database) -> Untracked {
        let budget = database.untracked().expect("the options ask for it").clone();
        Untracked { budget, charged_bytes: 0 }
    }

    /// Brings the budget up to date, its peak included.
    ///
    /// # Errors
    /// The peak in bytes, when it is above the bound: a defect of the program.
    pub(crate) fn update(&mut self) -> Result<(), u64> {
        let peak = PEAK_BYTES.load(Ordering::Relaxed) as u64;
        self.hold(peak.min(LIMIT_BYTES));
        let live = without_pieces(LIVE_BYTES.load(Ordering::Relaxed)) as u64;
        self.hold(live.min(LIMIT_BYTES));
        if peak > LIMIT_BYTES { Err(peak) } else { Ok(()) }
    }

    fn hold(&mut self, bytes: u64) {
        self.budget.release(self.charged_bytes);
        self.charged_bytes = 0;
        if self.budget.charge(bytes).is_ok() {
            self.charged_bytes = bytes;
        }
    }
}

impl Drop for Untracked {
    fn drop(&mut self) {
        self.budget.release(self.charged_bytes);
    }
}
