//! An embedded ordered multi-version store with typed columns, under a hard memory budget.
#![deny(unsafe_code)]
#![allow(dead_code)]
#![cfg_attr(test, allow(clippy::disallowed_types))]

#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod cache;
mod column;
mod commit;
mod compaction;
mod conflict;
pub mod directory;
mod encode;
mod error;
mod files;
mod flush;
mod group;
mod input;
mod level;
mod load;
pub mod log;
pub mod manifest;
mod memtable;
mod merge;
mod options;
mod page;
mod read;
mod rewrite;
mod run;
mod scan;
mod schema;
#[doc(hidden)]
pub mod segment;
mod snapshots;
mod store;
mod table;
mod transaction;
mod version;
pub mod wal;
mod worker;

pub use column::Column;
pub use encode::KeyRange;
pub use error::{Corruption, Duplicate, Error, InputKind, InputProblem, IoProblem, Remedy, Unsupported};
pub use files::{FileId, FileKind};
pub use options::{Durability, MINIMUM_BYTES, Options, Stall};
pub use page::ColumnMut;
pub use read::{Row, RowReader, Snapshot, View};
pub use scan::Scan;
pub use schema::{COLUMNS_MAX, ColumnType, KEY_BYTES_MAX, KeyColumn, Schema, TableId, VALUE_BYTES_MAX};
pub use store::Store;
pub use table::{ColumnDef, Table, TableDef};
pub use transaction::{Savepoint, Transaction};
pub use worker::Worker;
