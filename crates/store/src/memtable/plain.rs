//! Numbers that only the writer changes.

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

/// Where the roots of the tables are that the writer has used: a short way past the directory. Each word has a table's
/// number and its root's offset, or is 0.
#[repr(C, align(64))]
pub(super) struct Recent([AtomicU64; RECENT_COUNT]);

const RECENT_COUNT: usize = 16;

impl Recent {
    pub(super) const fn new() -> Recent {
        Recent([const { AtomicU64::new(0) }; RECENT_COUNT])
    }

    fn word(&self, table: u32) -> &AtomicU64 {
        &self.0[table as usize % RECENT_COUNT]
    }

    /// The offset of a table's root, if it was noted latest of those that share its place.
    #[inline(always)]
    pub(super) fn offset(&self, table: u32) -> Option<u32> {
        let word = self.word(table).load(Ordering::Acquire);
        (word != 0 && (word >> 32) as u32 == table).then_some(word as u32)
    }

    /// Notes the offset of a table's root.
    pub(super) fn note(&self, table: u32, offset: u32) {
        self.word(table).store(u64::from(table) << 32 | u64::from(offset), Ordering::Release);
    }

    pub(super) fn forget(&self) {
        self.0.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }
}
