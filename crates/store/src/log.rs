//! Records that are appended: the framing that the write-ahead log and the manifest share.
//!
//! ```text
//! file    | header, 96 bytes | frame | frame | frame | ...
//! frame   | checksum, length, type, sequence, durable | payload, at most 16 KiB | zeros to 8 bytes |
//! record  = one frame (whole), or several in a row (first, middle ..., last); its payload ends in a trailer
//! ```
//!
//! A record is what counts as a whole or not at all: a transaction, an edit. It may be of any length and is neither
//! written nor read in one piece: both sides hold a frame at a time.
//!
//! **Torn or damaged?** After a crash any subset of the sectors that were not synced may be there, so the end of a
//! log may hold anything: half a frame, zeros, good frames behind broken ones. That tail was promised to nobody and is
//! cut. The same bytes further ahead are damage, and cutting there would lose what was promised. So each frame says up
//! to which offset the log was durable when the frame was written. A reader that meets a broken frame at p looks for
//! frame headers in all that follows: one that says "durable beyond p" proves that p was durable once, and the reader
//! reports damage. Without such a witness it is the end of the log. Headers have checksums of their own, so that a
//! witness counts even where its payload is torn, and the search is one pass over the rest of the file with the
//! reader's buffer.
//!
//! The witness of the last sync is what is written after it: the next frame, or a *mark*, a frame without a record
//! that [`LogWriter::mark`] appends when nothing else is to come. A log that was followed by another one has its
//! length in that one's header.
//!
//! Invariants:
//!
//! - L1. The header is durable before the first frame is written. So a file that is longer than its header has one.
//! - L2. Frames stand at multiples of 8 without gaps. A header's checksum covers the file's salt (random) and the
//!   frame's offset, so that neither stale bytes nor a log inside of a payload nor a misplaced sector look like one.
//! - L3. `durable` is at most the frame's own offset and was durable when the frame was written.
//! - L4. What is durable is never overwritten, and never cut but for a record that never ended.
//! - L5. A record's sequence is above the last sequence of the record before.
//! - L6. Where a log is written on after a restart, what no witness calls durable is written once more in place, and
//!   synced: what could be read may have been in the system's cache only, and a failed sync may have made
//!   those pages look clean.
//!
//! | file | holds |
//! |---|---|
//! | `header` | how a file begins |
//! | `frame` | headers of frames, trailers of records |
//! | `writer` | [`LogWriter`]: records into a buffer, the buffer to the file, the file to the disk |
//! | `reader` | frames from a file, torn tails told from damage |
//! | `records` | records from frames; [`Summary`], the first pass over a log |
//! | `bytes` | numbers to bytes and back |
//! | `buffer` | a fixed piece of memory of a budget |
//!
//! # Source
//! Fragments of records as in LevelDB's log format (`doc/log_format.md`); blocks of a fixed size, which it
//! needs to find the next frame after a broken one, are not needed where headers have checksums of their own. That a
//! failed sync leaves pages that look clean: Rebello and others, Can applications recover from fsync failures?, ATC 2020.

pub(crate) mod buffer;
pub(crate) mod bytes;
pub(crate) mod frame;
pub(crate) mod header;
pub(crate) mod reader;
pub(crate) mod records;
#[cfg(test)]
mod tests;
pub(crate) mod writer;

pub use frame::FRAME_BYTES_MAX;
pub use header::{HEADER_BYTES, Header};
pub use records::Summary;
pub use writer::{LogCounters, LogEnd, LogWriter, PendingSync};
