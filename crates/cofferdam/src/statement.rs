//! From a text to running operators.
//!
//! ```text
//!   Statement   the text, the budgets, an arena for the tree and one for the plan      connection.statement(sql)
//!   └ Query     the plan, and the arenas of its operators                              statement.prepare()
//!     └ Rows    the operators                                                          query.rows()
//! ```
//!
//! Each borrows the one before, so the compiler sees to it that nothing outlives the memory that it stands in.
//! [`Connection::query`](crate::Connection::query) holds all three for the time of a closure.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use cofferdam_arena::{Arena, Budget, BudgetOptions, Stage};
use cofferdam_exec::{NoTables, Workspace};
use cofferdam_plan::expr::Column;
use cofferdam_plan::physical::PhysicalPlan;
use cofferdam_plan::{plan_explain, plan_query};
use cofferdam_sql::views::forms::{Explain, FormRef, Show};
use cofferdam_sql::{Form, views};

use crate::catalog::StatementCatalog;
use crate::connection::Connection;
use crate::error::Error;
use crate::rows::Rows;
use crate::settings::{self, Change};

static PARSE: Stage = Stage::new("parse");
static PLAN: Stage = Stage::new("plan");
static ADMIT: Stage = Stage::new("admit");

/// A statement, with the budgets and arenas that everything made of it lives in. Dropping it gives all of that back.
#[derive(Debug)]
pub struct Statement<'c> {
    connection: &'c Connection,
    sql: &'c str,
    budget: Budget,
    parse: Arena,
    plan: Arena,
}

/// What a statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementKind {
    /// `SELECT`, `VALUES`: rows.
    Query,
    /// `EXPLAIN`: rows of text.
    Explain,
    /// `SHOW`: rows of text.
    Show,
    /// `SET` and `RESET`: no rows.
    Set,
}

/// A statement that has been parsed and planned.
#[derive(Debug)]
pub struct Query<'s> {
    statement: &'s Statement<'s>,
    kind: StatementKind,
    plan: PhysicalPlan<'s>,
    workspace: Workspace<'s>,
    change: Option<Change>,
}

impl<'c> Statement<'c> {
    pub(crate) fn new(connection: &'c Connection, sql: &'c str) -> Result<Statement<'c>, Error> {
        let database = connection.database().db();
        let refused = |budget: &Budget| Error::refused(budget);
        let options = BudgetOptions::unlimited().keeps_refusals();
        let budget = database.child_with("statement", options).map_err(|_| refused(database))?;
        let parse = budget.child("parse", u64::MAX).map_err(|_| refused(&budget))?;
        let plan = budget.child("plan", u64::MAX).map_err(|_| refused(&budget))?;
        Ok(Statement { connection, sql, parse: Arena::new(&parse), plan: Arena::new(&plan), budget })
    }

    /// The budget that pays for the statement.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The text.
    pub fn sql(&self) -> &'c str {
        self.sql
    }

    /// Parses and plans the statement. What an earlier call took is given back first.
    ///
    /// # Errors
    /// Whatever is wrong with the statement, with its place in the text; [`Error::OutOfMemory`] when the memory limit
    /// leaves no room for its tree or plan, or the pressure none for what it is expected to need.
    pub fn prepare(&mut self) -> Result<Query<'_>, Error> {
        self.parse.release();
        self.plan.release();
        self.budget.clear_refusal();
        self.connection.cancel_flag().store(false, Ordering::Relaxed);
        let statement: &Statement<'_> = self;
        guarded(|| prepare(statement))
    }
}

/// The statements that there is a way to run.
enum Kind<'a> {
    Query(views::Query<'a>),
    Explain(Explain<'a>),
    Show(Show<'a>),
    Set,
    Other(FormRef<'a>),
}

impl<'a> Kind<'a> {
    fn of(statement: views::Statement<'a>) -> Kind<'a> {
        let form = match statement {
            views::Statement::Query(query) => return Kind::Query(query),
            views::Statement::Form(form) => form,
        };
        let node = form.node();
        match form.form() {
            Form::Set | Form::Reset => Kind::Set,
            _ => Explain::of(node)
                .map(Kind::Explain)
                .or_else(|| Show::of(node).map(Kind::Show))
                .unwrap_or(Kind::Other(form)),
        }
    }
}

/// The pipeline up to the point where rows are asked for, one call after the other.
fn prepare<'s>(statement: &'s Statement<'s>) -> Result<Query<'s>, Error> {
    let (connection, budget) = (statement.connection, &statement.budget);
    budget.set_stage(&PARSE);
    let tree = cofferdam_sql::parse_cancellable(statement.sql, &statement.parse, connection.cancel_flag())
        .map_err(|error| Error::from_sql(error, budget))?;

    budget.set_stage(&PLAN);
    let catalog = StatementCatalog::new(connection.tables());
    let arena = &statement.plan;
    let (kind, planned) = match Kind::of(tree.statement()) {
        Kind::Query(query) => (StatementKind::Query, plan_query(query, &catalog, arena)),
        Kind::Explain(explain) => (StatementKind::Explain, plan_explain(explain, &catalog, arena)),
        Kind::Show(show) => (StatementKind::Show, settings::show(show, connection.database(), arena)?),
        Kind::Set => (StatementKind::Set, settings::no_rows(arena)),
        Kind::Other(form) => {
            let message = format_args!("{} is not supported yet", form.form().name());
            return Err(Error::input("0A000", Some(form.span()), message));
        }
    };
    let plan = planned.map_err(|error| Error::from_plan(error, budget))?;
    let change = settings::change(tree.statement(), connection.database())?;

    budget.set_stage(&ADMIT);
    budget.admit(plan.bytes_estimate()).map_err(|_| Error::refused(budget))?;
    let workspace = Workspace::new(&plan, budget, arena).map_err(|_| Error::refused(budget))?;
    Ok(Query { statement, kind, plan, workspace, change })
}

impl<'s> Query<'s> {
    /// What the statement is.
    pub fn kind(&self) -> StatementKind {
        self.kind
    }

    /// The columns of its answer; none for a statement without rows.
    pub fn columns(&self) -> &'s [Column<'s>] {
        self.plan.columns()
    }

    /// Runs the statement; a changed setting holds from here on. It may run again; each run takes its memory anew, and all
    /// of it is given back with the query.
    ///
    /// # Errors
    /// A file that cannot be opened, and [`Error::OutOfMemory`] when the operators cannot begin.
    pub fn rows(&self) -> Result<Rows<'_>, Error> {
        let (connection, budget) = (self.statement.connection, &self.statement.budget);
        if let Some(change) = &self.change {
            change.apply(connection.database());
        }
        let flag = connection.cancel_flag();
        let is_cancelled =
            self.statement.plan.alloc(|| flag.load(Ordering::Relaxed)).map_err(|_| Error::refused(budget))?;
        let execution = guarded(|| {
            self.workspace
                .execute(&self.plan, &NoTables, is_cancelled)
                .map_err(|error| Error::from_exec(error, budget))
        })?;
        Ok(Rows::new(execution, self.kind, budget))
    }
}

/// Stops a panic at the statement. Nothing that is shared is changed half: what a statement writes to is its own, and
/// it is not used again after a panic.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| Err(Error::from_panic(&*payload)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Remedy;

    /// Aim: a panic is the statement's error and nobody else's. Method: panic on purpose, with both kinds of payload.
    #[test]
    fn a_panic_becomes_an_error() {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let plain = guarded::<()>(|| panic!("broken")).unwrap_err();
        let number = 7;
        let formatted = guarded::<()>(|| panic!("broken {number}")).unwrap_err();
        std::panic::set_hook(hook);
        assert_eq!((plain.sqlstate(), plain.remedy()), ("XX000", Remedy::Report));
        assert_eq!(plain.to_string(), "internal error: broken");
        assert_eq!(formatted.to_string(), "internal error: broken 7");
        assert!(formatted.hint().is_some());
    }
}
