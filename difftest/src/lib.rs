//! Random SQL on Cofferdam, judged by engines that are known to be right or by logic alone.
//!
//! ```text
//!   seed ─> schema, rows ─> statements ─> Cofferdam ─┐
//!                                   └──> the oracle ─┴─> compare ─> minimize ─> a script that shows the difference
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `types` | the types that columns have, each with values that are worth asking about |
//! | `functions` | operators, functions and aggregates, one line each; forms of statements, with a probe for each |
//! | `sql` | queries as trees that print as SQL, and the smaller ones that each can become |
//! | `generate` | schemas, rows, queries and changes from a seed |
//! | `engines` | Cofferdam, PostgreSQL, SQLite: each runs a statement and gives rows as texts |
//! | `compare` | whether two outcomes agree |
//! | `identities` | what must hold without any other engine |
//! | `minimize` | a failing case made smaller as long as it fails in the same way |
//!
//! To have a new type, function or form tested, add a line to its table. At the start each line is tried on Cofferdam, and those
//! that it refuses are left out, so that one refusal does not hide what stands beside it.
#![forbid(unsafe_code)]
#![allow(clippy::result_large_err)]

pub mod compare;
pub mod engines;
pub mod functions;
pub mod generate;
pub mod identities;
pub mod minimize;
pub mod sql;
pub mod types;
