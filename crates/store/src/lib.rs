//! An embedded ordered multi-version store with typed columns, under a hard memory budget.
//!
//! Tables of typed columns, sorted by a key; transactions that see a snapshot and commit at once, however large they are;
//! indexes, unique ones too; files that survive what machines do to them. It is what the SQL engine reads and writes, and is
//! of use without it:
//!
//! ```
//! use std::{path::Path, sync::Arc};
//! use cofferdam_arena::{Arena, Budget};
//! use cofferdam_store::{ColumnDef, Durability, KeyColumn, Options, RowReader, Store, TableDef};
//! use cofferdam_types::{Type, Value, key::KeyOrder};
//! use cofferdam_vfs::{OsVfs, Vfs};
//!
//! # let path = std::env::temp_dir().join(format!("cofferdam-doc-{}", std::process::id()));
//! let process = Budget::root("process", 8 << 20)?;
//! let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);
//! let store = Store::open(&vfs, &path, &process, &Options::new())?;
//!
//! let mut transaction = store.begin(&process)?;
//! let columns = [
//!     ColumnDef { name: "id", ty: Type::BigInt, is_nullable: false },
//!     ColumnDef { name: "name", ty: Type::Text, is_nullable: true },
//! ];
//! let key = [KeyColumn { column: 0, order: KeyOrder::ASC }];
//! let names = transaction.create_table(&TableDef { name: "names", columns: &columns, key: &key, properties: b"" })?;
//! transaction.insert(names, &[Value::BigInt(7), Value::Text("seven")])?;
//! transaction.commit(Durability::Full)?;
//!
//! let (snapshot, arena) = (store.snapshot()?, Arena::new(&process));
//! let mut reader = RowReader::new(&snapshot.table("names").expect("it was made"), &arena);
//! let name = reader.get(snapshot.view(), &[Value::BigInt(7)], |row| Ok(row.value(1)?.to_string()))?;
//! assert_eq!(name.as_deref(), Some("seven"));
//! # drop((reader, snapshot, store));
//! # std::fs::remove_dir_all(&path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it works
//!
//! ```text
//!   insert, put, delete ──> write set ──commit──> log ──> memtable ──flush──> segments ──compaction──> fewer segments
//!                               │ full                                          ^
//!                               └──> sorted runs on disk ──commit, one edit─────┘
//!
//!   get, scan <── newest version that the snapshot sees: write set, memtables, segments from level 0 down
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `store` | [`Store`]: open, close, what the parts share, the order of locks |
//! | `options`, `error` | [`Options`] and how a limit is shared; [`Error`], by what the caller can do |
//! | `table`, `schema`, `encode` | definitions, shapes of rows, bytes of keys and rows, [`KeyRange`] |
//! | `transaction`, `run`, `conflict` | [`Transaction`]: changes in memory, those that did not fit, what others did meanwhile |
//! | `commit`, `group`, `flush`, `compaction`, `worker` | the order of changes, shared syncs, and what makes room |
//! | `read`, `scan`, `column` | [`Snapshot`], [`RowReader`], [`Scan`], [`Column`] |
//! | `statistics` | what planners want to know of the values of a table |
//! | `merge`, `input`, `rewrite` | sorted streams of versions out of memtables and segments |
//! | `version`, `level`, `load`, `snapshots` | which segments there are, in which order; which states somebody reads |
//! | `check/`, `inspect`, `backup` | looking at a database without changing it, and copying one that is open |
//! | `memtable/` | an ordered structure in an arena, one writer, readers without locks |
//! | `segment/`, `page/`, `cache/` | immutable sorted files, their encodings, the cache of their pieces |
//! | `log/`, `wal/`, `manifest/`, `directory/` | records that are appended, and what is made of them; formats in `docs/formats/` |
//!
//! **Memory.** Everything is charged to a child `store` of the budget that it is opened with, transactions and scans to the
//! budgets of their callers. [`MINIMUM_BYTES`] is enough for all of it, only slower: memtables are flushed sooner, buffers
//! are smaller, compactions take fewer segments at a time.
//!
//! **Files.** All access goes through [`cofferdam_vfs::Vfs`]: the tests run on simulated disks that tear, forget and fail.
//!
//! **Neighbours.** Below: `arena`, `types`, `vfs`. Above: `exec` and `cofferdam`. It knows nothing of SQL.
#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::disallowed_types))]

mod backup;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod bulk;
mod cache;
mod catalog;
mod change;
mod check;
mod column;
mod commit;
mod compaction;
mod conflict;
pub mod directory;
mod encode;
mod error;
mod files;
mod flush;
mod gap;
mod group;
mod input;
mod inspect;
mod level;
mod load;
pub mod log;
pub mod manifest;
#[allow(dead_code)]
mod memtable;
mod merge;
mod options;
mod page;
mod progress;
mod read;
mod rewrite;
mod run;
mod scan;
mod schema;
#[doc(hidden)]
pub mod segment;
mod snapshots;
mod statistics;
mod store;
mod sum;
mod table;
mod transaction;
mod version;
pub mod wal;
mod worker;

pub use backup::{Backup, backup};
pub use bulk::{LoadError, RowSource};
pub use check::{Checked, Fault, Finding, Problem, Remains, RemainsKind, check};
pub use column::Column;
pub use encode::KeyRange;
pub use error::{Corruption, Duplicate, Error, InputKind, InputProblem, IoProblem, Remedy, Unsupported};
pub use files::{FileId, FileKind};
pub use inspect::{
    ColumnInfo, DatabaseInfo, Encodings, FileInfo, GroupInfo, Inspection, LogInfo, OpenSegment, SegmentInfo,
    Shown, Totals,
};
pub use options::{Durability, MINIMUM_BYTES, Options, Stall};
pub use page::ColumnMut;
pub use progress::{Progress, Watch};
pub use read::{Row, RowReader, Snapshot, View};
pub use scan::{ColumnRange, Part, Pieces, Scan};
pub use schema::{COLUMNS_MAX, ColumnType, KEY_BYTES_MAX, KeyColumn, Schema, TableId, VALUE_BYTES_MAX};
pub use statistics::{ColumnStatistics, TableStatistics};
pub use store::{Store, StoreCounters};
pub use sum::crc32c;
pub use table::{ColumnDef, Table, TableDef};
pub use transaction::{Savepoint, Transaction};
pub use worker::Worker;

/// Checks of formats that are not public, for `fuzz/`. Each panics when it finds something wrong.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    /// Pages and symbols: what goes in comes out, and any bytes are refused or harmless.
    pub fn page(data: &[u8]) {
        crate::page::fuzz::check_bytes(data);
    }

    /// What planners are told of segments whose sketches and statistics lie.
    pub fn statistics(data: &[u8]) {
        crate::statistics::fuzz::check_bytes(data);
    }
}
