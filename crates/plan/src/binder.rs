//! The binder: from the tree of a statement to a logical plan, with PostgreSQL's meaning and PostgreSQL's errors.
//!
//! | file | binds |
//! |---|---|
//! | `select` | a whole select: its clauses in the order in which they may refer to each other |
//! | `from` | tables, joins and what `*` means |
//! | `scope` | names to columns |
//! | `expression` | expressions, by a walk with an explicit stack |
//! | `literal`, `type_name`, `functions`, `aggregate` | what expressions consist of |
//! | `build` | typed nodes: operators by type, casts made explicit |
//! | `fold` | constants |
//! | `insert`, `copy` | rows for a table |
//! | `assign` | values for a column: assignment casts, defaults and checks |
//! | `define` | `CREATE TABLE`, `DROP TABLE` |
//! | `transaction` | `BEGIN` and the like |
//!
//! **Memory.** What outlives the binding of a select (expressions, logical nodes) lies in the plan arena; scopes, stacks
//! and lists lie in scratch arenas under the same budget and are given back at once.
//!
//! **Depth.** Queries in FROM are bound from the innermost outwards by one walk over the whole tree, which needs no
//! stack; the logical node of each is noted at its node of the tree.

mod aggregate;
mod assign;
mod build;
mod conjuncts;
mod copy;
pub(crate) mod define;
mod expression;
mod fold;
mod from;
mod functions;
pub(crate) mod insert;
mod literal;
mod output_name;
mod scope;
mod select;
mod suggest;
pub(crate) mod transaction;
mod type_name;

use cofferdam_arena::Arena;
use cofferdam_sql::views::{Derived, Query, QueryBody};
use cofferdam_sql::{Visit, Walk};

use crate::catalog::Catalog;
use crate::error::Error;
use crate::logical::{LogicalId, LogicalPlan};

/// Binds one statement.
pub(crate) struct Binder<'a, 'c> {
    arena: &'a Arena,
    catalog: &'c dyn Catalog,
    plan: LogicalPlan<'a>,
    /// Whether NULLs and quoted literals in the select list that is bound keep waiting for a type.
    keeps_unknown: bool,
}

impl<'a, 'c> Binder<'a, 'c> {
    /// The logical plan of a query; its root gives exactly the query's columns.
    ///
    /// # Errors
    /// Whatever is wrong with the query, with its place; `OutOfMemory` when the arena's budget has no room.
    pub(crate) fn bind<'q: 'a>(
        query: Query<'q>,
        catalog: &'c dyn Catalog,
        arena: &'a Arena,
    ) -> Result<LogicalPlan<'a>, Error<'a>> {
        let mut binder = Binder::new(catalog, arena);
        binder.bind_tree(query, false)?;
        Ok(binder.plan)
    }

    fn new(catalog: &'c dyn Catalog, arena: &'a Arena) -> Binder<'a, 'c> {
        Binder { arena, catalog, plan: LogicalPlan::new_in(arena), keeps_unknown: false }
    }

    /// Binds a query with those in its FROM; its node is the last one of the plan.
    fn bind_tree<'q: 'a>(&mut self, query: Query<'q>, keeps_unknown: bool) -> Result<LogicalId, Error<'a>> {
        for visit in Walk::new(query.node()) {
            if let Visit::Leave(node) = visit
                && let Some(derived) = Derived::of(node)
            {
                let id = self.bind_query(derived.query())?;
                node.annotate(id.number());
            }
        }
        self.keeps_unknown = keeps_unknown;
        self.bind_query(query)
    }

    /// What a query in FROM has been bound to; the walk in [`Binder::bind`] has left it before the query around it.
    fn bound_derived(&self, derived: Derived<'_>) -> LogicalId {
        LogicalId::from_number(derived.node().annotation())
    }

    fn bind_query<'q: 'a>(&mut self, query: Query<'q>) -> Result<LogicalId, Error<'a>> {
        if let Some(with) = query.with() {
            return Err(Error::NotSupported { what: "WITH", span: with.span() });
        }
        if let Some(locking) = query.lockings().next() {
            return Err(Error::NotSupported { what: "FOR UPDATE and the like", span: locking.span() });
        }
        if query.has_ties() {
            return Err(Error::NotSupported { what: "WITH TIES", span: query.span() });
        }
        match query.body() {
            QueryBody::Select(select) => self.bind_select(select),
            QueryBody::Values(values) => self.bind_values(values),
            QueryBody::SetOperation(operation) => {
                Err(Error::NotSupported { what: "UNION, INTERSECT or EXCEPT", span: operation.span() })
            }
        }
    }
}
