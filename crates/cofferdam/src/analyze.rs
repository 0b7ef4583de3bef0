//! `EXPLAIN ANALYZE`: runs a statement, throws its rows away, and tells what its operators did.
//!
//! What the statement changes is changed, as PostgreSQL has it.

use std::time::Instant;

use cofferdam_arena::Arena;
use cofferdam_exec::{Execution, Tables, Workspace};
use cofferdam_plan::Explained;
use cofferdam_plan::explain::{Measured, Measures};
use cofferdam_plan::expr::Column;
use cofferdam_plan::physical::Change;
use cofferdam_types::{Type, Value};

use crate::error::Error;
use crate::statement::{Statement, guarded};

/// What planning took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planning {
    ns: u64,
    bytes: u64,
}

impl Planning {
    /// Of a statement whose planning began then and is over.
    pub(crate) fn since(began: Instant, statement: &Statement<'_>) -> Planning {
        let bytes = statement.arena().stats().used_bytes as u64;
        Planning { ns: nanos_since(began), bytes }
    }

    /// The measures of a statement that did not run.
    pub(crate) fn measures(self) -> Measures<'static> {
        Measures { planning_ns: self.ns, planning_bytes: self.bytes, ..Measures::default() }
    }
}

/// A statement that is to be run and explained.
#[derive(Debug)]
pub(crate) struct Analyze<'s> {
    explained: Explained<'s>,
    planning: Planning,
    workspace: Workspace<'s>,
    /// Where the answer is given.
    answer: Workspace<'s>,
    columns: &'s [Column<'s>],
}

impl<'s> Analyze<'s> {
    /// Where the pressure leaves room for it.
    ///
    /// # Errors
    /// It leaves none.
    pub(crate) fn new(
        explained: Explained<'s>,
        planning: Planning,
        statement: &'s Statement<'s>,
    ) -> Result<Analyze<'s>, Error> {
        let empty = explained.empty_answer(statement.arena()).map_err(|_| statement.refused())?;
        let workspace = statement.admit_measured(&explained.plan)?;
        let answer = statement.admit(&empty)?;
        Ok(Analyze { explained, planning, workspace, answer, columns: empty.columns() })
    }

    /// The columns of the answer.
    pub(crate) fn columns(&self) -> &'s [Column<'s>] {
        self.columns
    }

    /// The types of its parameters, by number from 1.
    pub(crate) fn parameter_types(&self) -> &'s [Type] {
        self.explained.plan.parameters
    }

    /// Their names; none where they have numbers alone.
    pub(crate) fn parameter_names(&self) -> &'s [&'s str] {
        self.explained.plan.parameter_names
    }

    /// Forgets what a run left behind.
    pub(crate) fn reset(&mut self) {
        self.workspace.reset();
        self.answer.reset();
    }

    /// What the statement does to a table, if it does anything.
    pub(crate) fn verb(&self) -> Option<&'static str> {
        self.explained.plan.change().map(|change| match change {
            Change::Insert(_) => "INSERT",
            Change::Update(_) => "UPDATE",
            Change::Delete(_) => "DELETE",
        })
    }

    /// Runs the statement with these values for its parameters, and then begins to give the answer, which lives in `arena`.
    ///
    /// # Errors
    /// Whatever the statement raises.
    pub(crate) fn run<'a>(
        &'a self,
        statement: &'a Statement<'a>,
        values: &'a [Value<'a>],
        arena: &'a Arena,
        is_cancelled: &'a dyn Fn() -> bool,
    ) -> Result<Execution<'a>, Error> {
        let began = Instant::now();
        let operators = match self.verb() {
            None => self.query(statement, values, arena, is_cancelled)?,
            Some(verb) => self.change(verb, statement, values, arena, is_cancelled)?,
        };
        let sum = |of: fn(&Measured) -> u64| operators.iter().map(of).sum();
        let measures = Measures {
            operators,
            execution_ns: nanos_since(began),
            memory_bytes_peak: statement.budget().peak(),
            memory_bytes_limit: statement.budget().limit_on_path(),
            temporary_bytes: sum(|operator| operator.spilled_bytes),
            temporary_files: sum(|operator| operator.spilled_files),
            ..self.planning.measures()
        };
        let plan = self.explained.answer(&measures, arena).map_err(|_| statement.refused())?;
        guarded(|| {
            let execution = self.answer.execute_with(&plan, values, Tables::None, is_cancelled);
            execution.map_err(|error| statement.failed(error))
        })
    }

    fn query<'a>(
        &'a self,
        statement: &'a Statement<'a>,
        values: &'a [Value<'a>],
        arena: &'a Arena,
        is_cancelled: &'a dyn Fn() -> bool,
    ) -> Result<&'a [Measured], Error> {
        let plan = &self.explained.plan;
        let tables = match plan.reads_stored_tables() {
            true => statement.connection().state().tables(arena)?,
            false => Tables::None,
        };
        let run = || {
            let mut execution = self.workspace.execute_with(plan, values, tables, is_cancelled)?;
            execution.measure()?;
            while execution.next_batch()?.is_some() {}
            Ok(execution.measured(arena)?)
        };
        guarded(|| run().map_err(|error| statement.failed(error)))
    }

    fn change<'a>(
        &'a self,
        verb: &str,
        statement: &'a Statement<'a>,
        values: &'a [Value<'a>],
        arena: &'a Arena,
        is_cancelled: &'a dyn Fn() -> bool,
    ) -> Result<&'a [Measured], Error> {
        let connection = statement.connection();
        let store = connection.database().store_to_change()?;
        let plan = &self.explained.plan;
        guarded(|| {
            connection.state().change(verb, store, statement, |changes| {
                let run = || {
                    let mut execution =
                        self.workspace.execute_with(plan, values, Tables::Lent(changes), &is_cancelled)?;
                    execution.measure()?;
                    execution.run_into(changes)?;
                    Ok(execution.measured(arena)?)
                };
                run().map_err(|error| statement.failed(error))
            })
        })
    }
}

fn nanos_since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
