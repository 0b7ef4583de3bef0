//! The system's allocator, which counts only when asked to, so that peers that allocate are not slowed down by it.

use cofferdam_testkit::counting::CountingAllocator;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Counts while [`counting`] runs.
pub struct SwitchedAllocator;

static IS_COUNTING: AtomicBool = AtomicBool::new(false);

/// Runs `work` with counting allocation; on one thread of the program at a time.
pub fn counting<T>(work: impl FnOnce() -> T) -> T {
    IS_COUNTING.store(true, Relaxed);
    let result = work();
    IS_COUNTING.store(false, Relaxed);
    result
}

// SAFETY: both allocators hand out the system's blocks and take each other's back; every call goes to one of them with
// the caller's own arguments.
unsafe impl GlobalAlloc for SwitchedAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc`, which is the same one.
        unsafe {
            if IS_COUNTING.load(Relaxed) { CountingAllocator.alloc(layout) } else { System.alloc(layout) }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc_zeroed`, which is the same one.
        unsafe {
            match IS_COUNTING.load(Relaxed) {
                true => CountingAllocator.alloc_zeroed(layout),
                false => System.alloc_zeroed(layout),
            }
        }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, which is the same one.
        unsafe {
            match IS_COUNTING.load(Relaxed) {
                true => CountingAllocator.dealloc(memory, layout),
                false => System.dealloc(memory, layout),
            }
        }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `realloc`, which is the same one.
        unsafe {
            match IS_COUNTING.load(Relaxed) {
                true => CountingAllocator.realloc(memory, layout, new_size),
                false => System.realloc(memory, layout, new_size),
            }
        }
    }
}
