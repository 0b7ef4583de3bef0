//! Splicing: one arena takes over the chunks of another, and nothing that was allocated moves.
//!
//! ```text
//!   before   statement: | full | -> | current |        part: | full | -> | current | -> | kept, empty |
//!   after    statement: | full | -> | current |  ----- part's two go in front: they are full ---->
//!            | part, full | -> | part, was current | -> | full | -> | current |      the empty one went back
//! ```
//!
//! The charge of the chunks that hold something moves to the other budget in one step (`Budget::transfer`), so it is
//! never counted twice and never not at all; chunks without an allocation stay with whoever paid for them.

use super::{Arena, NOWHERE, data_bytes_of};
use crate::chunk::{CHUNK_BYTES_MIN, ChunkHeader, chunk_bytes_for};
use crate::error::AllocError;
use core::alloc::Layout;
use core::fmt;
use core::ptr::{self, NonNull};

/// Why an arena did not take over the chunks of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpliceError {
    /// The two are charged to different trees of budgets: a charge stays in its tree.
    OtherTree,
    /// The receiving budget has no room for the charge; its last refusal says why.
    OutOfMemory(AllocError),
}

impl fmt::Display for SpliceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpliceError::OtherTree => {
                f.write_str("the arenas are charged to different trees of budgets: copy the values instead")
            }
            SpliceError::OutOfMemory(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SpliceError {}

impl Arena {
    /// Takes over the chunks of `part` in which something was allocated, and their charge. Values stay where they are
    /// and live as long as this arena's own; what `part` had kept empty goes back. Looks at the empty chunks only.
    ///
    /// References into `part` have ended before, because it is moved; see [`StatementPart`](crate::StatementPart) for pointers that
    /// survive it.
    ///
    /// # Errors
    /// The arenas belong to different trees, or the budget refuses; `part` comes back unchanged then.
    pub fn adopt(&self, mut part: Arena) -> Result<(), (Arena, SpliceError)> {
        if !self.budget.is_same_tree(&part.budget) {
            return Err((part, SpliceError::OtherTree));
        }
        part.give_back_unused();
        let (Some(first), Some(last)) = (part.head.get(), part.current_chunk()) else { return Ok(()) };
        let kib = part.charged_kib.get();
        let bytes = u64::from(kib) * CHUNK_BYTES_MIN as u64;
        if let Err(error) = part.budget.transfer(&self.budget, bytes) {
            return Err((part, SpliceError::OutOfMemory(error)));
        }
        // Added to what is charged now: an observer of the transfer may have used this very arena.
        self.charged_kib.set(self.charged_kib.get() + kib);
        part.charged_kib.set(0);
        // SAFETY: the chain from `first` to `last` is the part's, which lets go of it.
        unsafe { self.put_in_front(&part, first, last) };
        part.head.set(None);
        part.current.set(NOWHERE.cast());
        part.position.set(NOWHERE);
        Ok(())
    }

    /// Links another arena's chain in front of this one's, and goes on behind its last allocation where this arena
    /// has no current chunk.
    ///
    /// # Safety
    /// 1. `first` to `last` is the whole chain of `part`, `last` its current chunk, and `part` does not use it any more.
    unsafe fn put_in_front(&self, part: &Arena, first: NonNull<ChunkHeader>, last: NonNull<ChunkHeader>) {
        let stats = part.stats();
        // SAFETY: both chains' headers are live, and they are disjoint.
        unsafe {
            match self.head.get() {
                Some(head) => {
                    (*last.as_ptr()).next = head.as_ptr();
                    (*head.as_ptr()).previous = last.as_ptr();
                    (*first.as_ptr()).chunks_count += (*head.as_ptr()).chunks_count;
                }
                None => self.tail.set(last),
            }
            match self.current_chunk() {
                Some(current) => {
                    let left_bytes = part.end() - part.position.get().addr().get();
                    (*current.as_ptr()).used_before += stats.used_bytes;
                    (*current.as_ptr()).wasted_before += stats.wasted_bytes + left_bytes;
                }
                None => {
                    self.current.set(last);
                    self.position.set(part.position.get());
                }
            }
            self.set_head(first);
            self.has_grown.set(true);
            let mut chunk = first;
            loop {
                self.own(chunk);
                match NonNull::new((*chunk.as_ptr()).next) {
                    Some(next) if chunk != last => chunk = next,
                    _ => break,
                }
            }
        }
    }

    /// True where an allocation of that layout would not be refused, as far as one look can tell.
    pub(crate) fn can_take(&self, layout: Layout) -> bool {
        let Some(bytes) = layout.size().checked_add(layout.align()) else { return false };
        if bytes <= self.end() - self.position.get().addr().get() {
            return true;
        }
        let next = match self.current_chunk() {
            // SAFETY: the chain's headers are live while the arena owns them.
            Some(current) => NonNull::new(unsafe { (*current.as_ptr()).next }),
            None => self.head.get(),
        };
        if next.is_some_and(|next| bytes <= data_bytes_of(next)) {
            return true;
        }
        chunk_bytes_for(bytes).is_some_and(|chunk_bytes| chunk_bytes as u64 <= self.budget.available())
    }

    /// Gives back the chunks behind the current one; all of them where nothing was allocated.
    pub(crate) fn give_back_unused(&mut self) {
        let used_bytes = self.stats().used_bytes;
        let (Some(current), Some(head)) = (self.current_chunk(), self.head.get()) else {
            return self.release();
        };
        if used_bytes == 0 {
            return self.release();
        }
        // SAFETY: the chain's headers are live while the arena owns them; nothing is allocated behind the current one.
        unsafe {
            let Some(first_out) = NonNull::new((*current.as_ptr()).next) else { return };
            let last_out = self.tail.replace(current);
            (*current.as_ptr()).next = ptr::null_mut();
            let (mut out_bytes, mut out_count, mut chunk) = (0, 0, first_out.as_ptr());
            while let Some(here) = chunk.as_ref() {
                out_bytes += here.bytes;
                out_count += 1;
                chunk = here.next;
            }
            (*head.as_ptr()).chunks_count -= out_count;
            self.charged_kib.set(self.charged_kib.get() - (out_bytes / CHUNK_BYTES_MIN) as u32);
            self.budget.give_back_chunks(first_out, last_out, out_bytes);
        }
    }
}
