//! A running query: the loop that carries batches between operators.
//!
//! ```text
//! Workspace      an arena per operator, under budgets of their own     the caller holds it while the query runs
//! └ Execution    the operators, their columns, the loop                borrows the workspace and the plan
//!   └ Batch      the rows of the root's columns                        good until the next batch is asked for
//! ```
//!
//! The budgets form a subtree of the statement's: `exec` with a child for each operator, named after it and its number
//! in the plan. When the workspace is dropped all of them are back at zero, whatever happened before.

use core::fmt::Write as _;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena, Budget, InlineText, Stage};
use cofferdam_plan::expr::Column;
use cofferdam_plan::physical::{Insert, OperatorId, OperatorKind, PhysicalPlan};
use cofferdam_plan::table::{StoredTable, TableSource};
use cofferdam_store::{LoadError, RowSource, TableId};
use cofferdam_types::Value;

use crate::batch::{BATCH_ROWS_MAX, BatchRows, Store, VectorId, batch_rows};
use crate::error::{Error, Place, StoreProblem, Violation, ViolationKind};
use crate::operators::{Event, Node, Step, name};
use crate::tables::{Changes, Tables};

static OPEN: Stage = Stage::new("open");
static EXECUTE: Stage = Stage::new("execute");

/// The arenas that a query runs in.
#[derive(Debug)]
pub struct Workspace<'s> {
    budget: Budget,
    /// One per operator, in the order of the plan, and one for what they share.
    arenas: Vec<'s, Arena>,
}

impl<'s> Workspace<'s> {
    /// The budgets and arenas for a plan's operators, below `statement`. Nothing but their own 64 bytes each, in
    /// `arena`, is taken until the query runs.
    ///
    /// # Errors
    /// `AllocError` when `arena` has no room for the list, or the tree none for the budgets.
    pub fn new(
        plan: &PhysicalPlan<'_>,
        statement: &Budget,
        arena: &'s Arena,
    ) -> Result<Workspace<'s>, AllocError> {
        let budget = statement.child("exec", u64::MAX)?;
        let mut arenas = Vec::with_capacity_in(plan.operators.len() + 1, arena)?;
        for (index, operator) in plan.operators.iter().enumerate() {
            let mut label: InlineText<32> = InlineText::EMPTY;
            // A name that does not fit is cut, which is no error.
            let _ = write!(label, "{}_{index}", name(&operator.kind));
            arenas.push(Arena::new(&budget.child(label.as_str(), u64::MAX)?))?;
        }
        arenas.push(Arena::new(&budget))?;
        Ok(Workspace { budget, arenas })
    }

    /// The budget of the whole execution; its children are the operators'.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Opens the operators of the plan that this workspace was made for. Scans of stored tables read `tables`;
    /// `is_cancelled` is asked before each batch.
    ///
    /// # Errors
    /// [`Error::File`] for a file that cannot be opened, [`Error::Store`] for a table, [`Error::OutOfMemory`], and what
    /// constant expressions raise.
    pub fn execute<'a>(
        &'a self,
        plan: &PhysicalPlan<'a>,
        tables: Tables<'a>,
        is_cancelled: &'a dyn Fn() -> bool,
    ) -> Result<Execution<'a>, Error<'a>> {
        self.budget.set_stage(&OPEN);
        let (shared, arenas) = self.arenas.split_last().expect("made with one arena more than operators");
        assert_eq!(arenas.len(), plan.operators.len(), "a workspace is for one plan");
        let mut store = Store::new(rows_per_batch(plan, &self.budget), shared);
        store.tables = tables;
        let notes_lines = is_file_to_table(plan);
        let mut nodes: Vec<'a, Node<'a>> = Vec::with_capacity_in(plan.operators.len(), shared)?;
        for (index, (operator, arena)) in plan.operators.iter().zip(arenas).enumerate() {
            let node = Node::open(operator, &nodes, notes_lines, &mut store, arena)?;
            nodes.push(node)?;
            for input in operator.kind.inputs().iter() {
                nodes[input.index()].parent = Some(OperatorId::new(index as u32));
            }
        }
        let insert = match plan.insert() {
            Some(insert) => Some(Target::new(insert, shared)?),
            None => None,
        };
        self.budget.set_stage(&EXECUTE);
        let (columns, current, is_done) = (plan.columns(), None, false);
        Ok(Execution { nodes, store, columns, insert, is_cancelled, current, is_done })
    }
}

/// Whether a plan puts the rows of one file into a table, and a row of a batch stays where it is on the way.
fn is_file_to_table(plan: &PhysicalPlan<'_>) -> bool {
    let is_on_the_way = |kind: &OperatorKind<'_>| match kind {
        OperatorKind::Scan(scan) => matches!(scan.source, TableSource::File(_)),
        OperatorKind::Filter { .. } | OperatorKind::Project { .. } | OperatorKind::Insert(_) => true,
        _ => false,
    };
    plan.insert().is_some() && plan.operators.iter().all(|operator| is_on_the_way(&operator.kind))
}

/// How many rows a batch has: what the limit affords, and no more than a plan of constants can give.
fn rows_per_batch(plan: &PhysicalPlan<'_>, budget: &Budget) -> usize {
    let (mut constant_rows, mut columns) = (1usize, 0);
    for operator in plan.operators {
        columns = columns.max(operator.columns.len());
        match &operator.kind {
            OperatorKind::Scan(_) => constant_rows = BATCH_ROWS_MAX,
            OperatorKind::Values { rows } => constant_rows = constant_rows.saturating_mul(rows.len().max(1)),
            _ => {}
        }
    }
    constant_rows.min(batch_rows(budget.limit_on_path(), columns))
}

/// A query that runs.
///
/// **Memory.** All of it is the workspace's; see the operators for what each holds at its peak.
pub struct Execution<'a> {
    nodes: Vec<'a, Node<'a>>,
    store: Store<'a>,
    columns: &'a [Column<'a>],
    insert: Option<Target<'a>>,
    is_cancelled: &'a dyn Fn() -> bool,
    /// The batch that stands in the root's columns.
    current: Option<BatchRows>,
    /// After the last batch, or an error.
    is_done: bool,
}

/// The table that rows are put into.
struct Target<'a> {
    table: &'a StoredTable<'a>,
    /// Where a refusal of the store is described.
    problem: &'a mut StoreProblem<'a>,
    /// Where a second row of a key is described.
    violation: &'a mut Violation<'a>,
}

impl<'a> Execution<'a> {
    /// The columns of the answer.
    pub fn columns(&self) -> &'a [Column<'a>] {
        self.columns
    }

    /// The next rows of the answer, `None` after the last. A batch is never empty.
    ///
    /// # Errors
    /// Whatever the query raises; after that there are no more rows.
    pub fn next_batch(&mut self) -> Result<Option<Batch<'_, 'a>>, Error<'a>> {
        self.current = None;
        if self.is_done {
            return Ok(None);
        }
        let outcome = self.run();
        self.is_done = !matches!(outcome, Ok(Some(_)));
        self.current = outcome?;
        Ok(self.batch())
    }

    /// The batch that [`Execution::next_batch`] gave last, as long as it is good.
    pub fn batch(&self) -> Option<Batch<'_, 'a>> {
        let root = self.nodes.last()?;
        let rows = self.current?;
        Some(Batch { store: &self.store, ids: root.columns, columns: self.columns, rows })
    }

    /// Runs a plan whose root is an insert to its end, puts its rows into the table, and gives their number.
    ///
    /// # Errors
    /// Whatever the statement raises, and what the store refuses; then some rows are in the table already.
    ///
    /// # Panics
    /// If the root is no insert.
    pub fn run_into(&mut self, changes: &Changes<'_>) -> Result<u64, Error<'a>> {
        let table = TableId(self.insert.as_ref().expect("the root is an insert").table.id);
        let mut rows = Answer { execution: self, next: 0, row: 0 };
        let outcome = changes.load(table, &mut rows);
        let row = rows.row;
        match outcome {
            Ok(rows_count) => Ok(rows_count),
            Err(LoadError::Source(error)) => Err(error),
            Err(LoadError::Store(error)) => {
                let place = self.current.and_then(|_| self.store.place_of(row));
                self.is_done = true;
                let target = self.insert.take().expect("the first error ends the statement");
                Err(target.refused(error, place, changes))
            }
        }
    }

    /// Runs operators until the root has a batch.
    fn run(&mut self) -> Result<Option<BatchRows>, Error<'a>> {
        let root = self.nodes.len() - 1;
        let (mut at, mut event) = (root, Event::Pull);
        loop {
            if (self.is_cancelled)() {
                return Err(Error::Cancelled);
            }
            let node = &mut self.nodes[at];
            let step = node.resume(event, &mut self.store)?;
            let parent = node.parent.map(OperatorId::index);
            (at, event) = match (step, parent) {
                (Step::Pull(input), _) => (input.index(), Event::Pull),
                (Step::Again, _) => (at, Event::Pull),
                (Step::Emit(rows), Some(parent)) => (parent, Event::Batch(rows)),
                (Step::Emit(rows), None) => return Ok(Some(rows)),
                (Step::End, Some(parent)) => (parent, Event::End),
                (Step::End, None) => return Ok(None),
            };
        }
    }
}

impl<'a> Target<'a> {
    /// The records of errors are made before there are any: then memory may be short.
    fn new(insert: &Insert<'a>, arena: &'a Arena) -> Result<Target<'a>, AllocError> {
        let error = cofferdam_store::Error::Cancelled;
        let kind = ViolationKind::Unique { name: InlineText::EMPTY };
        let (table, row) = (insert.table, InlineText::EMPTY);
        Ok(Target {
            table,
            problem: arena.alloc(StoreProblem { error, place: None })?,
            violation: arena.alloc(Violation { table: table.name, kind, row, place: None })?,
        })
    }

    #[cold]
    fn refused(
        self,
        error: cofferdam_store::Error,
        place: Option<Place<'a>>,
        changes: &Changes<'_>,
    ) -> Error<'a> {
        match error {
            cofferdam_store::Error::OutOfMemory(error) => Error::OutOfMemory(error),
            cofferdam_store::Error::UniqueViolation(duplicate) => {
                let index = changes.table(duplicate.index);
                let index = index.as_ref().ok().filter(|index| index.parent().is_some());
                let (mut name, mut row) = (InlineText::EMPTY, InlineText::EMPTY);
                // What does not fit is cut, which is no error.
                let _ = name.write_str(index.map_or(self.table.key_name, |index| index.name()));
                let _ = write!(row, "({})", duplicate.key.as_str());
                let kind = ViolationKind::Unique { name };
                *self.violation = Violation { table: self.table.name, kind, row, place };
                Error::Violation(self.violation)
            }
            error => {
                // Of what no row is to blame for, the row says nothing.
                let place = place.filter(|_| error.remedy() == cofferdam_store::Remedy::FixInput);
                *self.problem = StoreProblem { error, place };
                Error::Store(self.problem)
            }
        }
    }
}

/// The rows of an execution, for a load.
struct Answer<'e, 'a> {
    execution: &'e mut Execution<'a>,
    /// The place in the batch of the row that comes next.
    next: usize,
    /// Where the row of now is in the vectors.
    row: usize,
}

impl<'a> RowSource for Answer<'_, 'a> {
    type Error = Error<'a>;

    fn advance(&mut self) -> Result<bool, Error<'a>> {
        let is_batch_over = |execution: &Execution<'_>, next| {
            execution.current.is_none_or(|batch| next >= execution.store.rows(batch).len())
        };
        if is_batch_over(self.execution, self.next) {
            self.next = 0;
            if self.execution.next_batch()?.is_none() {
                return Ok(false);
            }
        }
        let Some(batch) = self.execution.current else { return Ok(false) };
        self.row = self.execution.store.rows(batch).nth(self.next);
        self.next += 1;
        Ok(true)
    }

    fn value(&self, column: usize) -> Value<'_> {
        let Execution { nodes, store, columns, .. } = &*self.execution;
        match nodes.last() {
            Some(root) => store.value(root.columns[column], self.row, columns[column].ty),
            None => Value::Null,
        }
    }
}

impl core::fmt::Debug for Execution<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Execution")
            .field("operators", &self.nodes.len())
            .field("is_done", &self.is_done)
            .finish()
    }
}

/// Some rows of an answer, borrowed from the execution.
#[derive(Clone, Copy)]
pub struct Batch<'e, 'a> {
    store: &'e Store<'a>,
    ids: &'a [VectorId],
    columns: &'a [Column<'a>],
    rows: BatchRows,
}

impl<'e, 'a> Batch<'e, 'a> {
    /// The number of rows, at least one.
    pub fn rows_count(&self) -> usize {
        self.store.rows(self.rows).len()
    }

    /// The columns of the answer.
    pub fn columns(&self) -> &'a [Column<'a>] {
        self.columns
    }

    /// The value in a row and column, both from 0.
    ///
    /// # Panics
    /// If there is no such row or column.
    pub fn value(&self, row: usize, column: usize) -> Value<'e> {
        let store: &'e Store<'a> = self.store;
        assert!(row < self.rows_count(), "row {row} of a batch of {} rows", self.rows_count());
        store.value(self.ids[column], store.rows(self.rows).nth(row), self.columns[column].ty)
    }
}

impl core::fmt::Debug for Batch<'_, '_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Batch").field("rows", &self.rows_count()).field("columns", &self.ids.len()).finish()
    }
}
