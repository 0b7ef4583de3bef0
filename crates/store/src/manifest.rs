//! The manifest: which tables and segments there are, edit by edit, and where the database stands.
//!
//! ```text
//! root            slot 0: generation 4 -> manifest 9      slot 1: generation 5 -> manifest 31
//! manifest-000031 header | snapshot | edit | edit | edit ...
//! ```
//!
//! A manifest is a [log](crate::log): its first record is a snapshot of everything, each later one an edit. Snapshot and
//! edits are made of the same items ([`Item`]), and count as a whole or not at all. An edit is synced before it is
//! acknowledged.
//! Where the edits have outgrown the snapshot, the next manifest is written with a new snapshot, and the root switches
//! to it (docs/decisions/0009 says why it is done so):
//!
//! 1. `manifest-N` with its snapshot, synced; the directory synced;
//! 2. the root's other slot, synced: from here on the new one holds;
//! 3. the old one removed; the directory synced;
//! 4. only now the next edit.
//!
//! Invariants:
//!
//! - M1. An edit begins with [`Counters`], which never go back; its number is the one after the edit before.
//! - M2. The manifest that a slot of the root names was complete and durable, its name too, before the slot was written.
//! - M3. The manifest that the slot before names is removed only after that.
//! - M4. No edit is acknowledged in a manifest while the name of the one before exists. So if the newer slot becomes
//!   unreadable later, the older one names a file that is missing, and the loss is noticed: old state never passes for new.
//! - M5. A file is durable, its name too, before an edit names it. (The callers' part.)
//!
//! Memory: an item at a time, in a frame of 16 KiB when reading and in the log's buffer when writing. Nothing is kept:
//! the state of tables and levels is built by whoever visits the items, in its own budget.
//!
//! | file | holds |
//! |---|---|
//! | `root` | [`Root`]: the two slots |
//! | `item` | [`Item`], its bytes and their order |
//! | `writer` | [`ManifestWriter`]: edits, snapshots, the switch |
//! | `replay` | [`replay()`]: the items of a manifest, in order |

pub(crate) mod item;
mod replay;
pub(crate) mod root;
mod writer;

pub use item::{
    Column, Counters, DATABASE, Item, KEY_BOUND_BYTES_MAX, KeyBound, LEVELS_MAX, NAME_BYTES_MAX,
    PROPERTIES_BYTES_MAX, Properties, Segment, SegmentId, Table,
};
pub use replay::{Place, Replayed, replay};
pub use root::{DATABASE_VERSION, Root};
pub use writer::{ColumnDefinition, Edit, ManifestWriter, TableDefinition};
pub(crate) use writer::{create, write_snapshot};

use crate::files::FileKind;
use crate::log::header::Format;

const FORMAT: Format = Format {
    kind: FileKind::Manifest,
    magic: *b"cofd-man",
    version: 1,
    reader_features: 0,
    writer_features: 0,
};

/// A record that says everything.
const SNAPSHOT: u8 = 1;
/// A record that says what has changed.
const EDIT: u8 = 2;
