//! Runs physical plans: operators over typed column batches, in arenas under the statement's budgets.
//!
//! ```text
//! file ──> scan ──> filter ──> join ──> aggregate ──> sort ──> batches of values
//!            └── csv: window, fields, types       expr: programs over column vectors
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `execution`, `answer` | [`Workspace`], [`Execution`], [`Batch`]: the loop that carries batches between operators |
//! | `lookup` | plans that look for one row by its key, without all that |
//! | `admission` | what a plan needs at least, and what is enough for it |
//! | `exchange` | several threads at the begin of a pipeline |
//! | `operators/` | scans, filter and project, joins, aggregate and distinct, sort and top-N, limit, values, insert |
//! | `tables` | [`Tables`] and [`Changes`]: where rows of stored tables come from and go to |
//! | `expr/` | bound expressions as flat programs |
//! | `csv/` | delimited files; [`sniff_file`] |
//! | `measure` | how long operators take, for EXPLAIN ANALYZE |
//! | `progress` | [`Progress`]: how far a statement is |
//! | `parameter` | values for parameters |
//! | `statement` | clock, session and random numbers that expressions see |
//! | `batch` | column vectors and the table they stand in |
//! | `sorter/` | external sort: keys as bytes, runs, merges |
//! | `spill/` | rows in owned pages and in temporary files: [`SpillSpace`] |
//! | `rows` | rows that operators keep, as bytes |
//! | `error` | [`Error`], with SQLSTATEs and places in files |
//!
//! **Memory.** A workspace has one arena per operator, each under a budget `exec/<operator>_<number in the plan>`, so the
//! memory tree shows who holds what. Vectors, registers, selections and read buffers are taken once, when the query is
//! opened, and used again for every batch: a pipeline that keeps no rows needs the same memory for any number of them.
//! What is kept (groups, join sides, rows to sort) is bytes in blocks; every block is charged before it is written, and
//! a refusal ends the query with [`Error::OutOfMemory`] while the budget remembers who asked. Dropping the workspace
//! gives everything back, whatever state an error left the operators in.
//!
//! **Small limits.** Batches (32 to 2,048 rows) and the read window (4 to 256 KiB) are cut to the limit.
//!
//! **Depth.** Neither plans nor expressions are walked by native recursion.
//!
//! **Neighbours.** Below: `plan` (the data that is run), `store` (the tables), `types`, `arena`. Above: `cofferdam`, which
//! brings snapshots and transactions.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::disallowed_types))]

mod admission;
mod answer;
mod batch;
mod canonical;
mod csv;
mod error;
mod exchange;
mod execution;
mod expr;
mod lookup;
mod measure;
mod operators;
mod parameter;
mod pipeline;
mod progress;
mod rows;
mod sorter;
// What pages and files can do is more than all operators of now ask of them.
#[allow(dead_code)]
mod spill;
mod statement;
mod tables;

pub use answer::Batch;
pub use csv::sniff::{SniffOptions, sniff_file};
pub use error::{
    ArgumentProblem, Error, FileProblem, FileProblemKind, Hint, Place, Remedy, RowError, StoreProblem,
    Violation, ViolationKind,
};
pub use execution::{Execution, Workspace};
pub use parameter::{ParameterError, parameter};
pub use pipeline::Counters;
pub use progress::Progress;
pub use spill::{SpillCounts, SpillOp, SpillProblem, SpillSpace, TemporaryFile};
pub use tables::{
    Changes, EngineRows, Lender, Tables, describe, describe_index, describe_view, entries_count, statistics,
};
