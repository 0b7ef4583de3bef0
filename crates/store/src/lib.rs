//! An embedded ordered multi-version store with typed columns, under a hard memory budget.
#![deny(unsafe_code)]
#![allow(dead_code)]
#![cfg_attr(test, allow(clippy::disallowed_types))]

pub mod directory;
mod error;
mod files;
pub mod log;
pub mod manifest;
mod schema;
pub mod wal;

pub use error::{Corruption, Duplicate, Error, InputKind, InputProblem, IoProblem, Remedy, Unsupported};
pub use files::{FileId, FileKind};
pub use schema::{COLUMNS_MAX, ColumnType, KEY_BYTES_MAX, KeyColumn, Schema, TableId, VALUE_BYTES_MAX};
