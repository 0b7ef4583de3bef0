//! Cofferdam: an embedded SQL database in which every byte of working memory is taken from arenas under a tree of hard
//! budgets.
//!
//! ```
//! use cofferdam::{Database, Options};
//!
//! # fn main() -> Result<(), cofferdam::Error> {
//! let database = Database::open_in_memory(Options::new().memory_limit(16 << 20))?;
//! let connection = database.connect()?;
//! let sum = connection.query("SELECT sum(n) AS total FROM (VALUES (1), (2), (39)) AS t(n)", |rows| {
//!     assert_eq!(rows.columns()[0].name, "total");
//!     let row = rows.next_row()?.expect("an aggregate gives one row");
//!     Ok(row.get::<i64>(0)?)
//! })?;
//! assert_eq!(sum, 42);
//! # Ok(())
//! # }
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `options`, `settings`, `session` | what a database is opened with, and what `SET` changes later, for all or for a connection |
//! | `database` | [`Database`]: one limit, any number of connections |
//! | `connection` | [`Connection`]: tables by name, statements |
//! | `catalog` | what the planner learns of registered tables and of files |
//! | `statement` | [`Statement`] and [`Query`]: **the whole pipeline, one call after the other** |
//! | `prepared`, `params`, `by_name` | [`Prepared`]: planned once, run with values for its parameters again and again |
//! | `plan_cache`, `kept_plan`, `definitions` | plans of statements that come again; what they were made for |
//! | `named` | `PREPARE`, `EXECUTE`, `DEALLOCATE` |
//! | `stored` | the store, on disk or in memory |
//! | `transaction`, `guard` | the transaction of a connection: what it reads and changes, its savepoints; [`Transaction`], [`Savepoint`] |
//! | `watch` | who ends a statement before it is through |
//! | `introspect` | what the engine tells of itself in FROM: memory, settings, temporary files, tables |
//! | `appender` | [`Appender`]: many rows into one table |
//! | `analyze` | `EXPLAIN ANALYZE`: statements that tell what they took |
//! | `write` | statements that change tables |
//! | `copy_out` | `COPY … TO`: rows as text, to a file or a writer |
//! | `rows`, `from_value` | [`Rows`], [`Batch`] and [`Row`]: the answer; its values as Rust's types |
//! | `error` | [`Error`], sorted by what the caller can do |
//!
//! **Who owns memory.** A statement has a budget of its own below the database's, with a child for each stage, and an
//! arena under each. Dropping the [`Statement`] gives all of it back in one step, whatever state an error left it in,
//! and the next statement runs as if nothing had happened:
//!
//! ```text
//!   process 16 MiB          Options::memory_limit, SET memory_limit
//!   |- warm                 chunks given back, kept for the next taker
//!   `- db
//!      |- catalog           registered tables
//!      |- transaction       changes that are not committed
//!      |- named             what PREPARE has planned
//!      |- plans             plans of statements that came before; gives way to all others
//!      |- prepared          a statement that is planned once; below it as below `statement`
//!      |- appender          rows that have not gone to their table
//!      `- statement         keeps the record of its refusals
//!         |- parse          the tree of the text
//!         |- plan           bound expressions, the plan
//!         `- exec           an operator each
//! ```
//!
//! **Neighbours.** Below: `sql`, `plan`, `exec`. Above: the program and whoever embeds the database.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::disallowed_types))]
// Errors hold no heap memory, so that reporting one takes nothing from a budget that is used up: they are large.
#![allow(clippy::result_large_err)]

mod analyze;
mod appender;
mod by_name;
mod catalog;
mod connection;
mod copy_out;
mod database;
mod definitions;
mod error;
mod from_value;
mod guard;
mod introspect;
mod kept_plan;
mod named;
mod options;
mod params;
mod plan_cache;
mod prepared;
mod rows;
mod session;
mod settings;
mod statement;
mod stored;
mod transaction;
mod watch;
mod write;

pub use appender::Appender;
pub use cofferdam_arena::{Budget, BudgetOptions, MemoryTree, NodeStats, OutOfMemory, human_bytes};
pub use cofferdam_exec::{Progress, SpillCounts, TemporaryFile};
pub use cofferdam_plan::Span;
pub use cofferdam_plan::expr::Column;
pub use cofferdam_plan::table::{PropertiesError, ViewColumn, ViewProperties};
pub use cofferdam_sql::{Splitter, statements};
pub use cofferdam_store::Worker;
pub use cofferdam_types::{ArrayRef, Date, Decimal, Interval, Time, Timestamp, Type, Uuid, Value};
pub use connection::Connection;
pub use database::Database;
pub use error::{Error, Fault, Remedy};
pub use from_value::{ColumnIndex, FromValue, Mismatch};
pub use guard::{Savepoint, Transaction};
pub use options::{NotBytes, Options, parse_bytes};
pub use params::{Params, ToValue};
pub use plan_cache::PlanCacheCounts;
pub use prepared::Prepared;
pub use rows::{Batch, CommandTag, Row, Rows};
pub use statement::{Query, Statement, StatementKind};
pub use watch::{Canceller, ProgressHandler};
