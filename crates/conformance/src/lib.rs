//! Development only: suites that others wrote, run through the public API of [`cofferdam`].
//!
//! | module | runs |
//! |---|---|
//! | [`slt`] | files of sqllogictest, on any engine that can answer a statement; program `slt` |
//! | [`tpch`] | the 22 queries of TPC-H over generated tables, held against known answers; program `tpch` |
//! | [`faults`] | statements with too little memory, on disks that fail, cancelled at any moment; program `faults` |
//! | [`watch`] | a clock that cancels statements which take too long, for both |
//!
//! They are a crate of their own, since their dependencies are many and all other crates' tests are built on `testkit`.
//!
//! **Memory.** Everything here is a tool: it uses the heap freely, and what it measures of a database is what the budgets
//! of that database say.
//!
//! **Neighbours.** Below: `cofferdam` and, for disks in memory, `testkit`. Above: the program `slt` of `testkit`, which
//! starts the one here, and `difftest/`, which runs the same files on other engines.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_types)]
// Errors of the database are large values on purpose: see `cofferdam::Error`.
#![allow(clippy::result_large_err)]

pub mod faults;
pub mod slt;
pub mod tpch;
pub mod watch;
