//! The binder: from the tree of a statement to a logical plan, with PostgreSQL's meaning and PostgreSQL's errors.
//!
//! | file | binds |
//! |---|---|
//! | `query` | queries in FROM, in WITH and in set operations, from the innermost outwards |
//! | `select` | a select: its clauses in the order in which they may refer to each other |
//! | `group_by`, `grouped` | groups and grouping sets; what stands over them |
//! | `from` | tables, joins and what `*` means |
//! | `outer_join` | queries in the conditions of outer joins |
//! | `scope` | names to columns |
//! | `expression` | expressions, by a walk with an explicit stack |
//! | `subquery` | queries in expressions, to joins |
//! | `whole_row` | rows as values: as text and as JSON, counted, compared |
//! | `literal`, `type_name`, `functions`, `calls`, `named_argument`, `aggregate`, `window` | what expressions consist of |
//! | `build` | typed nodes: operators by type, casts made explicit |
//! | `fold` | constants |
//! | `insert`, `copy` | rows for a table |
//! | `change` | which rows of a table change, and how |
//! | `assign` | values for a column: assignment casts, defaults and checks |
//! | `define` | `CREATE TABLE`, `DROP TABLE`, `DROP VIEW` |
//! | `view` | `CREATE VIEW`, and views in FROM |
//! | `index` | `CREATE INDEX`, `DROP INDEX` |
//! | `transaction` | `BEGIN` and the like |
//!
//! **Memory.** What outlives the binding (expressions, logical nodes) lies in the plan arena; scopes, stacks and lists lie
//! in scratch arenas under the same budget and are given back when the statement is bound.
//!
//! **Depth.** Queries in FROM, WITH and set operations are bound by one walk over the tree, which needs no native stack.
//! Queries in expressions, and those after LATERAL, see the names around them while these are bound, and views are bound where they are
//! read: they do nest natively, [`NESTING_MAX`] deep at most.

mod aggregate;
pub(crate) mod argument;
mod assign;
mod build;
mod calls;
pub(crate) mod change;
pub(crate) mod conjuncts;
mod copy;
pub(crate) mod define;
mod expression;
pub(crate) mod fold;
mod from;
mod functions;
mod group_by;
mod grouped;
pub(crate) mod index;
pub(crate) mod insert;
mod literal;
mod named_argument;
mod outer_join;
mod output_name;
mod query;
mod scope;
mod select;
mod subquery;
mod suggest;
pub(crate) mod transaction;
mod type_name;
pub(crate) mod view;
mod whole_row;
mod window;

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_sql::views::Query;

use self::build::Builder;
use self::query::{Bound, Recursion, VisibleCte};
use self::select::Block;
pub use self::suggest::nearest_name;
use self::view::NewView;
use crate::Span;
use crate::catalog::Catalog;
use crate::error::Error;
use crate::logical::LogicalPlan;
use crate::parameter::Parameters;

/// How deep queries in expressions and views may nest.
const NESTING_MAX: usize = 64;

/// Binds one statement.
pub(crate) struct Binder<'s, 'a, 'c> {
    arena: &'a Arena,
    scratch: &'s Arena,
    catalog: &'c dyn Catalog,
    parameters: Parameters<'a>,
    plan: LogicalPlan<'a>,
    /// The selects that are being bound, the innermost last.
    blocks: Vec<'s, Block<'s, 'a>>,
    /// What names of WITH stand for here, the newest last.
    ctes: Vec<'s, VisibleCte<'a>>,
    /// Recursive queries of WITH that are being bound.
    recursions: Vec<'s, Recursion<'a>>,
    /// Queries that are bound; their nodes in the tree have their number.
    bound: Vec<'s, Bound<'a>>,
    /// Queries in expressions and views around the place that is being bound.
    nesting: usize,
    /// What `DEFAULT` means in the rows of `INSERT` that are to be bound next, by column.
    defaults: &'a [&'a crate::expr::Expr<'a>],
    /// The view that the query is for.
    new_view: Option<NewView<'s, 'a>>,
    /// Columns that are texts of rows.
    row_texts: Vec<'s, crate::logical::ColumnId>,
    /// The stacks of the walk over an expression, where no walk has them.
    stacks: Option<expression::Stacks<'s, 'a>>,
}

impl<'s, 'a, 'c> Binder<'s, 'a, 'c> {
    /// The logical plan of a query, in `arena`; what lies in `scratch` is not asked for afterwards.
    ///
    /// # Errors
    /// Whatever is wrong with the query, with its place; `OutOfMemory` when the arena's budget has no room.
    pub(crate) fn bind<'q: 'a>(
        query: Query<'q>,
        catalog: &'c dyn Catalog,
        parameters: Parameters<'a>,
        arena: &'a Arena,
        scratch: &'s Arena,
    ) -> Result<LogicalPlan<'a>, Error<'a>> {
        let mut binder = Binder::new(catalog, parameters, arena, scratch);
        let bound = binder.bind_query(query)?;
        let bound = binder.settle(bound)?;
        binder.finish(bound)
    }

    fn new(
        catalog: &'c dyn Catalog,
        parameters: Parameters<'a>,
        arena: &'a Arena,
        scratch: &'s Arena,
    ) -> Binder<'s, 'a, 'c> {
        Binder {
            arena,
            scratch,
            catalog,
            parameters,
            plan: LogicalPlan::new_in(arena),
            blocks: Vec::new_in(scratch),
            ctes: Vec::new_in(scratch),
            recursions: Vec::new_in(scratch),
            bound: Vec::new_in(scratch),
            nesting: 0,
            defaults: &[],
            new_view: None,
            row_texts: Vec::new_in(scratch),
            stacks: None,
        }
    }

    /// The plan whose answer is what was bound last.
    fn finish(mut self, bound: Bound<'a>) -> Result<LogicalPlan<'a>, Error<'a>> {
        self.plan.root = bound.node;
        self.plan.output = bound.outputs(self.arena)?;
        Ok(self.plan)
    }

    fn build(&self) -> Builder<'a> {
        Builder::new(self.arena, self.parameters)
    }

    /// Goes into a query in an expression or into a view, if that is not too deep.
    fn enter(&mut self, span: Span) -> Result<(), Error<'a>> {
        if self.nesting == NESTING_MAX {
            return Err(Error::TooDeep { limit: NESTING_MAX as u32, span });
        }
        self.nesting += 1;
        Ok(())
    }
}
