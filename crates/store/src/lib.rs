//! An embedded ordered multi-version store with typed columns, under a hard memory budget.
#![deny(unsafe_code)]
#![allow(dead_code)]
#![cfg_attr(test, allow(clippy::disallowed_types))]

mod encode;
mod error;
mod files;
mod group;
mod level;
mod memtable;
mod merge;
mod options;
mod schema;
mod snapshots;
mod table;
mod version;
mod worker;

pub use encode::KeyRange;
pub use error::{Corruption, Duplicate, Error, InputKind, InputProblem, IoProblem, Remedy, Unsupported};
pub use files::{FileId, FileKind};
pub use options::{Durability, MINIMUM_BYTES, Options, Stall};
pub use schema::{COLUMNS_MAX, ColumnType, KEY_BYTES_MAX, KeyColumn, Schema, TableId, VALUE_BYTES_MAX};
pub use table::{ColumnDef, Table, TableDef};
pub use worker::Worker;
