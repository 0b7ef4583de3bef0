//! The write-ahead log: what was committed since the last flush.
//!
//! ```text
//! record = transaction | entry | entry | ... | trailer: entries, last sequence, chain |
//! entry  = kind and step of the sequence, table, lengths | key | row |
//! ```
//!
//! A transaction is one record of a [log](crate::log), so it counts as a whole or not at all, and it may be larger than any
//! buffer. Entries follow each other in frames of at most 16 KiB; one that fits into a frame is never divided, so that
//! a reader hands out most of them where they are; a longer one goes on in the next frames and is put together.
//!
//! Logs follow each other: the next one is made when the one before is closed and durable, and says which
//! that was and how long (W1). So of all logs but the last each byte is known to be durable, and a log that is missing is
//! noticed.
//!
//! Invariants:
//!
//! - W1. A log begins only when the one before is durable to its end.
//! - W2. Sequences go up: from transaction to transaction, and from log to log.
//! - W3. Only complete transactions are replayed.
//! - W4. A log that has nothing but a header, or not even that, counts only where the manifest names it or
//!   another log follows it: its making may have failed at the last step, so that its name is not durable.
//!   It is removed, durably before the log before, which is the last one now, is written on: that would no longer have the length
//!   that the removed one says.
//!
//! Memory: the writer's buffer of 8 to 256 KiB; for a replay, whatever the log holds, a buffer of 16 to 128 KiB, and
//! 72 KiB at most for an entry that is longer than a frame.
//!
//! | file | holds |
//! |---|---|
//! | `entry` | [`Entry`] and its bytes |
//! | `writer` | [`WalWriter`], [`Transaction`] |
//! | `replay` | the entries of one log |
//! | `recover` | [`recover()`]: all logs of a database, in order |

mod entry;
mod recover;
mod replay;
mod writer;

pub use entry::{Change, Entry, ROW_BYTES_MAX};
pub use recover::{Recovered, Tail, recover};
pub(crate) use recover::{recover_each, replay_alone};
pub use replay::Event;
pub use writer::{Transaction, WalWriter};

use crate::files::FileKind;
use crate::log::header::Format;

const FORMAT: Format =
    Format { kind: FileKind::Wal, magic: *b"cofd-wal", version: 1, reader_features: 0, writer_features: 0 };

/// A record that is a transaction.
const TRANSACTION: u8 = 1;
