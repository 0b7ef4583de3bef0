//! Statements that change tables: what they do once they are planned.
//!
//! Each runs to its end in one call, in the connection's transaction or in one of its own: either all of it is done, or none.

use cofferdam_arena::{Arena, Stage};
use cofferdam_exec::{Changes, Tables, Workspace};
use cofferdam_plan::physical::PhysicalPlan;
use cofferdam_plan::table::{CreateIndex, CreateTable, CreateView, DropIndexes, DropTables};
use cofferdam_plan::{InsertPieces, Span};
use cofferdam_sql::InsertRows;
use cofferdam_store::InputKind;
use cofferdam_types::{Type, Value};

use crate::error::Error;
use crate::statement::{Statement, StatementKind};

static PIECE: Stage = Stage::new("piece");

/// The most rows of a long `VALUES` that are bound at once.
const PIECE_ROWS_MAX: usize = 128;
/// A piece ends at this part of the limit,
const PIECE_LIMIT_PART: u64 = 64;
/// and at so many bytes at most.
const PIECE_BYTES_MAX: u64 = 256 << 10;

/// What a statement does to tables.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one, on the stack")]
pub(crate) enum Write<'s> {
    /// Does with the rows of a plan what its root says.
    Rows { plan: PhysicalPlan<'s>, workspace: Workspace<'s> },
    /// Puts the rows of a long `VALUES` into a table, some at a time.
    Pieces(InsertPieces<'s>),
    /// Makes a table.
    Create(CreateTable<'s>),
    /// Makes a table and puts the rows of a plan into it.
    CreateFilled { table: CreateTable<'s>, plan: PhysicalPlan<'s>, workspace: Workspace<'s> },
    /// Makes a view.
    CreateView(CreateView<'s>),
    /// Drops tables or views.
    Drop(DropTables<'s>),
    /// Makes an index.
    CreateIndex(CreateIndex<'s>),
    /// Drops indexes.
    DropIndexes(DropIndexes<'s>),
}

impl<'s> Write<'s> {
    /// The rows of a plan.
    ///
    /// # Errors
    /// The pressure leaves no room for it.
    pub(crate) fn rows(plan: PhysicalPlan<'s>, statement: &'s Statement<'s>) -> Result<Write<'s>, Error> {
        let workspace = statement.admit(&plan)?;
        Ok(Write::Rows { plan, workspace })
    }

    /// What the statement is.
    pub(crate) fn kind(&self) -> StatementKind {
        match self {
            // Its command tag counts rows.
            Write::Rows { .. } | Write::Pieces(_) | Write::CreateFilled { .. } => StatementKind::Change,
            Write::Create(_)
            | Write::CreateView(_)
            | Write::Drop(_)
            | Write::CreateIndex(_)
            | Write::DropIndexes(_) => StatementKind::Definition,
        }
    }

    /// Does it, and gives the number of rows that were changed.
    ///
    /// # Errors
    /// Whatever the statement raises and the store refuses; nothing has changed then, or the transaction has failed.
    pub(crate) fn run(
        &self,
        verb: &str,
        statement: &Statement<'_>,
        values: &[Value<'_>],
    ) -> Result<u64, Error> {
        let connection = statement.connection();
        let database = connection.database();
        let store = database.store_to_change()?;
        let definitions = database.definitions();
        let is_definition =
            self.kind() == StatementKind::Definition || matches!(self, Write::CreateFilled { .. });
        let _changing = is_definition.then(|| definitions.begin());
        let depends = matches!(self, Write::CreateView(_) | Write::Drop(_));
        let publishing = match depends {
            true => connection.state().publish(statement.dependencies())?,
            false => None,
        };
        let gives_back = matches!(self, Write::Drop(_) | Write::DropIndexes(_));
        let _reserve = gives_back.then(|| database.store().reserve(database.db()));
        let outcome = connection.state().change(verb, store, statement, |changes| match self {
            Write::Rows { plan, workspace } => put(plan, workspace, values, changes, statement),
            Write::Pieces(pieces) => put_pieces(pieces, changes, statement),
            Write::Create(table) => create(table, changes, statement),
            Write::CreateFilled { table, plan, workspace } => {
                create(table, changes, statement)?;
                put(plan, workspace, values, changes, statement)
            }
            Write::CreateView(view) => create_view(view, changes, statement),
            Write::Drop(drop) => {
                let failure = |error| Error::from_store(error, || statement.refused());
                changes.drop_tables(drop).map_err(failure).map(|()| 0)
            }
            Write::CreateIndex(index) => create_index(index, changes, statement),
            Write::DropIndexes(drop) => {
                let failure = |error| Error::from_store(error, || statement.refused());
                changes.drop_indexes(drop).map_err(failure).map(|()| 0)
            }
        });
        if let (Ok(_), Some(publishing)) = (&outcome, publishing) {
            publishing.done();
        }
        match outcome {
            _ if is_definition => connection.state().has_defined(),
            Ok(rows_count) => definitions.add_rows(rows_count),
            Err(_) => {}
        }
        outcome
    }

    /// The types of its parameters, by number from 1.
    pub(crate) fn parameter_types(&self) -> &'s [Type] {
        match self {
            Write::Rows { plan, .. } | Write::CreateFilled { plan, .. } => plan.parameters,
            _ => &[],
        }
    }

    /// Their names; none where they have numbers alone.
    pub(crate) fn parameter_names(&self) -> &'s [&'s str] {
        match self {
            Write::Rows { plan, .. } | Write::CreateFilled { plan, .. } => plan.parameter_names,
            _ => &[],
        }
    }

    /// Forgets what a run left behind.
    pub(crate) fn reset(&mut self) {
        if let Write::Rows { workspace, .. } | Write::CreateFilled { workspace, .. } = self {
            workspace.reset();
        }
    }
}

/// Has the rows of a plan change the table at its root.
fn put(
    plan: &PhysicalPlan<'_>,
    workspace: &Workspace<'_>,
    values: &[Value<'_>],
    changes: &Changes<'_>,
    statement: &Statement<'_>,
) -> Result<u64, Error> {
    let is_cancelled = || statement.ends();
    let execution = workspace.execute_with(plan, values, Tables::Lent(changes), &is_cancelled);
    let outcome = execution.and_then(|mut execution| execution.run_into(changes));
    outcome.map_err(|error| statement.failed(error))
}

/// Puts the rows of a `VALUES` into its table, with the trees and plans of a few of them at a time.
fn put_pieces(
    pieces: &InsertPieces<'_>,
    changes: &Changes<'_>,
    statement: &Statement<'_>,
) -> Result<u64, Error> {
    let budget = statement.budget();
    // Up to the rows it is read once more: what reads them is no part of a plan.
    let head = Arena::new(budget);
    let rows = InsertRows::open(statement.sql(), &head);
    let rows = rows.map_err(|error| Error::from_sql(error, || statement.refused()))?;
    let Some(mut rows) = rows else { return Ok(0) };
    let piece_bytes_max = (budget.limit_on_path() / PIECE_LIMIT_PART).min(PIECE_BYTES_MAX);
    let memory = budget.child("piece", u64::MAX).map_err(|_| statement.refused())?;
    let mut arena = Arena::new(&memory);
    let (mut rows_count, mut is_done) = (0, false);
    while !is_done {
        budget.set_stage(&PIECE);
        arena.reset();
        let mut piece = pieces.piece(&arena);
        while piece.rows_count() == 0
            || piece.rows_count() < PIECE_ROWS_MAX && memory.used() < piece_bytes_max
        {
            let row = rows.next_row(&arena);
            let Some(row) = row.map_err(|error| Error::from_sql(error, || statement.refused()))? else {
                is_done = true;
                break;
            };
            piece.push(row).map_err(|error| Error::from_plan(error, || statement.refused()))?;
        }
        if piece.rows_count() > 0 {
            let plan = piece.finish().map_err(|_| statement.refused())?;
            let workspace = Workspace::new(&plan, budget, &arena).map_err(|_| statement.refused())?;
            rows_count += put(&plan, &workspace, &[], changes, statement)?;
        }
    }
    Ok(rows_count)
}

fn create(table: &CreateTable<'_>, changes: &Changes<'_>, statement: &Statement<'_>) -> Result<u64, Error> {
    if table.exists {
        return Ok(0);
    }
    let made = changes.create_table(table, statement.arena()).map(|()| 0);
    made.map_err(|error| made_meanwhile(error, table.name, table.span, statement))
}

fn create_view(
    view: &CreateView<'_>,
    changes: &Changes<'_>,
    statement: &Statement<'_>,
) -> Result<u64, Error> {
    let made = changes.create_view(view, statement.arena()).map(|()| 0);
    made.map_err(|error| made_meanwhile(error, view.name, view.span, statement))
}

/// Why a table or view was not made, which others may have made since the statement was planned.
fn made_meanwhile(error: cofferdam_store::Error, name: &str, span: Span, statement: &Statement<'_>) -> Error {
    match error {
        cofferdam_store::Error::Input(problem) if problem.kind == InputKind::NameTaken => {
            Error::input("42P07", Some(span), format_args!("relation \"{name}\" already exists"))
        }
        error => Error::from_store(error, || statement.refused()),
    }
}

fn create_index(
    index: &CreateIndex<'_>,
    changes: &Changes<'_>,
    statement: &Statement<'_>,
) -> Result<u64, Error> {
    if index.exists {
        return Ok(0);
    }
    changes.create_index(index, statement.arena()).map(|()| 0).map_err(|error| match error {
        cofferdam_store::Error::UniqueViolation(duplicate) => {
            let message = format_args!("could not create unique index \"{}\"", index.name);
            let hint = format_args!("several rows have the key ({})", duplicate.key.as_str());
            Error::input("23505", None, message).with_hint(hint)
        }
        error => Error::from_store(error, || statement.refused()),
    })
}
