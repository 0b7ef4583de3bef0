//! Runs files of sqllogictest, in SQLite's original form and in that of the crate `sqllogictest`.
//!
//! ```text
//!   file ── prepare ──> text ── the crate's parser ──> records ── run ──> Report ── report ──> lines, groups
//!          comments behind                                        │
//!          conditions, halts                                      └ Engine: an answer for each statement
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `prepare` | what the original form has and the crate's parser does not know |
//! | `engine` | [`Engine`]: what can be tested; [`Cofferdam`] in a directory of its own or on a disk in memory |
//! | `format` | values as text by the letter of their column, sorting, hashes |
//! | `run` | the records of a file, one after the other: [`run_file`] |
//! | `report` | failures as lines and in groups |
//!
//! **Conditions** hold for the engine `postgresql`, whatever is tested: the SQL that is asked for is PostgreSQL's.
//!
//! # Source
//! <https://www.sqlite.org/sqllogictest/doc/trunk/about.wiki>

mod engine;
mod format;
mod prepare;
mod report;
mod run;

pub use engine::{Answer, Cell, Cofferdam, Engine, EngineError, Place};
pub use report::{Failure, Report, summary};
pub use run::{files_below, run_file, run_text};
