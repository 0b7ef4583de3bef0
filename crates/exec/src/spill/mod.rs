//! Rows that operators keep: in pages that they own, and in temporary files when memory does not suffice.
//!
//! ```text
//! operator ──> RowPages ───────────────────────────────> rows by place, in order, page by page
//!                 │ a charge is refused
//!                 └─> SpillWriter ──> SpillFile ──> SpillReader
//!                        blocks        named, counted, removed when dropped
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `pages` | [`RowPages`]: kept rows, each with 64 bits beside it (a hash, or the beginning of a key) |
//! | `file` | [`SpillWriter`], [`SpillFile`], [`SpillReader`]: rows in checked blocks; the form of a block |
//! | `reserve` | [`Reserve`]: the memory of several files; [`Spilled`]: a file, or none yet |
//! | `space` | [`SpillSpace`]: where a database's temporary files are, their list, their limit, what crashes left |
//! | `error` | [`SpillProblem`]: why a temporary file could not be used |
//!
//! **Memory.** Pages are charged one by one and given back one by one. What writing and reading needs is taken before memory
//! runs out: an operator that may spill makes its [`SpillIo`] and its [`IoSlot`]s while there is room, and from then on
//! neither writing a file nor reading it back charges anything, but for a row that is longer than a block.
//!
//! **Order of things.** A row is written once, behind all that were written before it, and read from the beginning or from a
//! [`BlockPlace`] that was noted. A file lives until its [`SpillFile`] is dropped; its bytes count against
//! `max_temp_directory_size` from before they are written until it is removed.

mod error;
mod file;
mod pages;
mod reserve;
mod space;
#[cfg(test)]
mod tests;

pub use error::{SpillOp, SpillProblem};
pub use space::{SpillCounts, SpillSpace, TemporaryFile};

pub(crate) use error::SpillFailure;
pub(crate) use file::{BlockPlace, IoSlot, SpillFile, SpillIo, SpillReader, SpillWriter};
pub(crate) use pages::{RowPages, RowRef};
pub(crate) use reserve::{Reserve, Spilled};
pub(crate) use space::SpillOwner;

/// Asked while files are written and read whether the statement is to stop.
pub(crate) type IsCancelled<'c> = &'c dyn Fn() -> bool;

/// The size of an operator's blocks and pages under a limit: an operator with some of them stays a small part of it.
pub(crate) fn block_bytes(limit_bytes: u64) -> usize {
    const BYTES_MIN: u64 = 4 << 10;
    const BYTES_MAX: u64 = 64 << 10;
    // Sizes double at powers of two. A plan may have several joins, each of which has 17 blocks for its files: this small a part of
    // the limit, doubled, is had by whoever has what is below the step.
    let bytes = (limit_bytes / 256).clamp(BYTES_MIN, BYTES_MAX);
    1 << bytes.ilog2()
}

/// What an operator that begins now may count on: less than the limit where others hold much.
pub(crate) fn room_bytes(budget: &cofferdam_arena::Budget) -> u64 {
    budget.limit_on_path().min(budget.available())
}
