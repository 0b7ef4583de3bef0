//! What the reservoir asks of the operating system: map addresses, give pages back, and set advice.
//!
//! Under Miri, which has no `madvise`, the same calls are made of an allocation that is zeroed by hand.

use core::ptr::NonNull;

/// A range of addresses that belongs to the reservoir, readable, writable and zero; unmapped when dropped.
pub(super) struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

impl Mapping {
    /// The first byte; its provenance covers the whole mapping.
    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// The length in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

// SAFETY: a mapping is addresses and nothing else; unmapping works from any thread.
unsafe impl Send for Mapping {}
// SAFETY: the shared methods only read two words that never change.
unsafe impl Sync for Mapping {}

#[cfg(not(miri))]
mod real {
    use super::{Mapping, NonNull};
    use core::ffi::c_int;

    #[cfg(any(target_os = "linux", target_os = "android"))]
    const MAP_FLAGS: c_int = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const MAP_FLAGS: c_int = libc::MAP_PRIVATE | libc::MAP_ANON;

    /// The size of a page in bytes.
    pub(in crate::reservoir) fn page_bytes() -> usize {
        // SAFETY: `sysconf` has no preconditions.
        let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        usize::try_from(page_bytes).unwrap_or(4096)
    }

    impl Mapping {
        /// Reserves `bytes` of addresses without committing a page; `None` when the system refuses.
        pub(in crate::reservoir) fn reserve(bytes: usize) -> Option<Mapping> {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            // SAFETY: a new private anonymous mapping at an address of the system's choice touches nothing that exists.
            let start = unsafe { libc::mmap(core::ptr::null_mut(), bytes, protection, MAP_FLAGS, -1, 0) };
            if start == libc::MAP_FAILED {
                return None;
            }
            Some(Mapping { start: NonNull::new(start.cast())?, bytes })
        }

        /// Gives the pages of `offset..offset + bytes` back; they read as zero afterwards. False when refused,
        /// for example because the process has locked its memory; the pages then stay as they are.
        ///
        /// # Safety
        /// 1. Nobody else uses the range, nor relies on what it holds.
        pub(in crate::reservoir) unsafe fn decommit(&self, offset: usize, bytes: usize) -> bool {
            assert!(offset <= self.bytes && bytes <= self.bytes - offset);
            // SAFETY: the assert keeps the sum inside the mapping.
            let start = unsafe { self.start.as_ptr().add(offset) }.cast::<libc::c_void>();
            #[cfg(any(target_os = "linux", target_os = "android"))]
            // SAFETY: the range is inside our own mapping (assert) and nobody's data (1).
            return unsafe { libc::madvise(start, bytes, libc::MADV_DONTNEED) } == 0;
            #[cfg(not(any(target_os = "linux", target_os = "android")))]
            {
                // Elsewhere `MADV_DONTNEED` may keep the pages; a new mapping in their place does not.
                let flags = MAP_FLAGS | libc::MAP_FIXED;
                // SAFETY: replaces pages inside our own mapping (assert) that are nobody's data (1).
                let new =
                    unsafe { libc::mmap(start, bytes, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
                new == start
            }
        }

        /// Allows or forbids huge pages in the range. A system without them refuses, and has none to fear.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        pub(in crate::reservoir) fn advise_huge(&self, offset: usize, bytes: usize, allowed: bool) -> bool {
            assert!(offset <= self.bytes && bytes <= self.bytes - offset);
            let advice = if allowed { libc::MADV_HUGEPAGE } else { libc::MADV_NOHUGEPAGE };
            // SAFETY: the range is inside our own mapping (assert); the advice changes no contents.
            unsafe { libc::madvise(self.start.as_ptr().add(offset).cast(), bytes, advice) == 0 }
        }

        /// Allows or forbids huge pages in the range: only Linux makes them behind a program's back.
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        pub(in crate::reservoir) fn advise_huge(&self, _offset: usize, _bytes: usize, allowed: bool) -> bool {
            !allowed
        }

        /// How many of the mapping's pages have memory behind them, in bytes.
        #[cfg(all(test, target_os = "linux"))]
        #[allow(clippy::disallowed_types)]
        pub(in crate::reservoir) fn resident_bytes(&self) -> usize {
            let page_bytes = page_bytes();
            let mut pages = vec![0u8; self.bytes.div_ceil(page_bytes)];
            // SAFETY: the range is our mapping, which starts on a page; the vector has a byte for each page.
            let status = unsafe { libc::mincore(self.start.as_ptr().cast(), self.bytes, pages.as_mut_ptr()) };
            assert_eq!(status, 0, "mincore failed");
            pages.iter().filter(|page| **page & 1 != 0).count() * page_bytes
        }
    }

    impl Drop for Mapping {
        fn drop(&mut self) {
            // SAFETY: start and length are those of a mapping of ours, which nobody uses once its owner is dropped.
            let status = unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
            debug_assert_eq!(status, 0, "unmapping a whole mapping cannot fail");
        }
    }
}

#[cfg(miri)]
mod interpreted {
    use super::{Mapping, NonNull};
    use alloc::alloc::{Layout, alloc_zeroed, dealloc};

    /// The size of a page in bytes.
    pub(in crate::reservoir) fn page_bytes() -> usize {
        4096
    }

    fn layout_of(bytes: usize) -> Option<Layout> {
        Layout::from_size_align(bytes, page_bytes()).ok()
    }

    impl Mapping {
        pub(in crate::reservoir) fn reserve(bytes: usize) -> Option<Mapping> {
            // The interpreter commits what it reserves: more than this is refused, so that tests stay small.
            if bytes == 0 || bytes > 64 << 20 {
                return None;
            }
            // SAFETY: the layout is not empty.
            let start = unsafe { alloc_zeroed(layout_of(bytes)?) };
            Some(Mapping { start: NonNull::new(start)?, bytes })
        }

        /// # Safety
        /// 1. Nobody else uses the range, nor relies on what it holds.
        pub(in crate::reservoir) unsafe fn decommit(&self, offset: usize, bytes: usize) -> bool {
            assert!(offset <= self.bytes && bytes <= self.bytes - offset);
            // SAFETY: the range is inside the allocation (assert) and nobody's data (1).
            unsafe { self.start.as_ptr().add(offset).write_bytes(0, bytes) };
            true
        }

        pub(in crate::reservoir) fn advise_huge(&self, offset: usize, bytes: usize, allowed: bool) -> bool {
            assert!(offset <= self.bytes && bytes <= self.bytes - offset);
            !allowed
        }
    }

    impl Drop for Mapping {
        fn drop(&mut self) {
            if let Some(layout) = layout_of(self.bytes) {
                // SAFETY: allocated in `reserve` with this layout.
                unsafe { dealloc(self.start.as_ptr(), layout) };
            }
        }
    }
}

#[cfg(miri)]
pub(super) use interpreted::page_bytes;
#[cfg(not(miri))]
pub(super) use real::page_bytes;
