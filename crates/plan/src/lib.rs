//! From a parsed statement to a physical plan.
//!
//! ```text
//! tree of sql ──> binder ──> logical plan ──> optimizer ──> physical plan ──> exec
//!                   │                                            │
//!                   └── Catalog: names and files to tables       └── explain: a tree of text
//! ```
//!
//! | module | what is in it |
//! |---|---|
//! | [`catalog`] | what a host offers: tables by name, files by path |
//! | `binder` | names, types and PostgreSQL's rules; gives a logical plan |
//! | `logical` | what a query asks for, as a flat list |
//! | `parameter` | parameters and their types |
//! | `optimizer` | filters moved down, columns left out, joins ordered; gives a physical plan |
//! | [`table`] | what is known of tables, and what definitions ask for |
//! | [`physical`], [`expr`] | the data that `exec` runs |
//! | [`explain`] | EXPLAIN |
//! | `error` | [`Error`], with PostgreSQL's SQLSTATEs and places in the text |
//!
//! ```
//! use cofferdam_arena::{Arena, Budget};
//! use cofferdam_plan::explain::{ExplainOptions, explain};
//! use cofferdam_plan::{EmptyCatalog, plan_query};
//! use cofferdam_sql::views::Statement;
//!
//! let statement = Budget::root("statement", 1 << 20)?;
//! let (parsed, planned) = (Arena::new(&statement), Arena::new(&statement));
//! let text = "SELECT n, count(*) FROM (VALUES (1), (2)) AS v(n) WHERE n > 1 GROUP BY n";
//! let Statement::Query(query) = cofferdam_sql::parse(text, &parsed)?.statement() else { panic!("a query") };
//! let plan = plan_query(query, &EmptyCatalog, &planned).map_err(|error| error.to_string())?;
//! let lines = explain(&plan, ExplainOptions { costs: false, ..ExplainOptions::default() }, &planned)?;
//! assert_eq!(lines[0], "HashAggregate");
//! assert_eq!(lines[4], "        Filter: (column1 > 1)");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Memory.** Everything that a plan consists of lies in the arena that the caller gives, and lives until that arena is
//! reset; lists and stacks of the passes lie in scratch arenas under the same budget and are given back when the pass ends. Every
//! growing call may fail, with [`Error::OutOfMemory`].
//!
//! **Depth.** Whatever parses is planned or refused with a typed error: no pass recurses natively in the depth of the
//! statement.
//!
//! **Neighbours.** Below: `sql` (trees), `types` (values and rules of types), `arena`. Above: `exec`.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::disallowed_types))]

mod binder;
pub mod catalog;
mod error;
pub mod explain;
pub mod expr;
mod logical;
mod optimizer;
mod parameter;
pub mod physical;
mod plan;
pub mod table;

pub use binder::nearest_name;
pub use catalog::{Catalog, CatalogError, EmptyCatalog, FileRequest};
pub use cofferdam_sql::Span;
pub use error::{
    AggregatePlace, CallProblem, ClauseProblem, CopyProblem, CountProblem, DefinitionProblem, Error, Hint,
    NameProblem, ParameterProblem, Remedy,
};
pub use optimizer::key_range::{RunRanges, ranges_of_run};
pub use optimizer::selectivity;
pub use parameter::PARAMETER_NUMBER_MAX;
pub use physical::PhysicalPlan;
pub use plan::{
    Explained, InsertPiece, InsertPieces, bind_create_index, bind_create_recursive_view, bind_create_table,
    bind_create_view, bind_drop_indexes, bind_drop_tables, bind_drop_views, bind_explain,
    bind_parameter_types, bind_transaction, explain_prepared, plan_arguments, plan_copy, plan_copy_to,
    plan_create_table_as, plan_delete, plan_explain, plan_insert, plan_query, plan_truncate, plan_update,
};
