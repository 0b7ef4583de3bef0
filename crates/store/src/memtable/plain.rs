//! Figures of the writer's.

use core::sync::atomic::{AtomicU64, Ordering};

/// A number that one thread writes and others may look at.
pub(super) struct Plain64(AtomicU64);

impl Plain64 {
    pub(super) const fn new(value: u64) -> Plain64 {
        Plain64(AtomicU64::new(value))
    }

    #[inline(always)]
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(super) fn add(&self, more: u64) {
        self.set(self.get().wrapping_add(more));
    }
}
