//! An embedded ordered multi-version store with typed columns, under a hard memory budget.
#![deny(unsafe_code)]
#![allow(dead_code)]
#![cfg_attr(test, allow(clippy::disallowed_types))]

mod cache;
mod column;
pub mod directory;
mod encode;
mod error;
mod files;
mod group;
mod level;
mod load;
pub mod log;
pub mod manifest;
mod merge;
mod options;
mod page;
mod schema;
mod segment;
mod snapshots;
mod table;
mod version;
pub mod wal;
mod worker;

pub use column::Column;
pub use encode::KeyRange;
pub use error::{Corruption, Duplicate, Error, InputKind, InputProblem, IoProblem, Remedy, Unsupported};
pub use files::{FileId, FileKind};
pub use options::{Durability, MINIMUM_BYTES, Options, Stall};
pub use page::ColumnMut;
pub use schema::{COLUMNS_MAX, ColumnType, KEY_BYTES_MAX, KeyColumn, Schema, TableId, VALUE_BYTES_MAX};
pub use table::{ColumnDef, Table, TableDef};
pub use worker::Worker;

/// Checks of formats that are not public, for `fuzz/`. Each panics when it finds something wrong.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    /// Pages and symbols: what goes in comes out, and any bytes are refused or harmless.
    pub fn page(data: &[u8]) {
        crate::page::fuzz::check_bytes(data);
    }
}
