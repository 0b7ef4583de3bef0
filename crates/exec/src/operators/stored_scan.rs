//! Reading a stored table: the store decodes into the operator's vectors, and the conjuncts pick the rows that are
//! handed on.
//!
//! **Peak bytes**: the vectors of the read columns; for texts, those of a batch; what the store's scan holds.
//!
//! **Ladder**: smaller batches under a small limit, then the typed error.

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_plan::physical::Scan as PlanScan;
use cofferdam_plan::range_of_run;
use cofferdam_plan::table::StoredTable;
use cofferdam_store::{ColumnMut, ColumnRange, KeyRange, Scan};
use cofferdam_types::Value;

use super::filter::{Conjuncts, flatten};
use crate::batch::{BatchRows, Kind, Store, Vector, VectorId};
use crate::error::{Error, StoreProblem};
use crate::expr::Registers;
use crate::pipeline::{Context, Output};
use crate::tables::{Ends, Tables};

/// Reads the needed columns of a stored table.
#[derive(Debug)]
pub(crate) struct StoredScan<'a> {
    scan: Scan<'a>,
    columns: &'a [VectorId],
    /// The columns while the store writes to them.
    taken: Vec<'a, Taken<'a>>,
    /// For the list of what the store writes to.
    scratch: Arena,
    conjuncts: Conjuncts<'a>,
    problem: Option<&'a mut StoreProblem<'a>>,
    /// How many rows were read last.
    pub(crate) rows_read: usize,
    is_done: bool,
}

/// A vector and its heap, out of their table.
#[derive(Debug)]
struct Taken<'a> {
    vector: Vector<'a>,
    heap: Vec<'a, u8>,
}

impl<'a> StoredScan<'a> {
    pub(crate) fn open(
        plan: &PlanScan<'a>,
        table: &StoredTable<'a>,
        tables: &Tables<'_>,
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<(StoredScan<'a>, &'a [VectorId]), Error<'a>> {
        let columns = arena.alloc_slice_fill(plan.projection.len(), VectorId(0))?;
        for (id, position) in columns.iter_mut().zip(plan.projection) {
            *id = store.add_vector(Kind::of(table.columns[*position as usize].ty), arena)?;
        }
        let columns = &*columns;
        let parts = flatten(plan.conjuncts, arena)?;
        let conjuncts = Conjuncts::compile(parts, columns, store, &mut Registers::new(arena), arena)?;
        let problem = arena.alloc(StoreProblem { error: cofferdam_store::Error::Cancelled, place: None })?;
        let (scan, is_done) = match begin(plan, table, store.statement.parameters, tables, arena) {
            Ok(begun) => begun,
            Err(error) => return Err(describe(problem, error)),
        };
        let output = arena.alloc_slice_from_iter(plan.output.iter().map(|&slot| columns[slot as usize]))?;
        let taken = Vec::with_capacity_in(columns.len(), arena)?;
        let (scratch, problem) = (Arena::new(arena.budget()), Some(problem));
        let rows_read = 0;
        let scan = StoredScan { scan, columns, taken, scratch, conjuncts, problem, rows_read, is_done };
        Ok((scan, output))
    }

    pub(crate) fn next(&mut self, store: &mut Store<'a>, cx: &Context<'_>) -> Result<Output, Error<'a>> {
        self.rows_read = 0;
        if self.is_done {
            return Ok(Output::End);
        }
        let rows = match self.read(store, cx.tables) {
            Ok(rows) => rows,
            Err(error) => {
                let problem = self.problem.take().expect("the first error ends the statement");
                return Err(describe(problem, error));
            }
        };
        self.rows_read = rows;
        if rows == 0 {
            self.is_done = true;
            return Ok(Output::End);
        }
        let batch = self.conjuncts.apply(BatchRows::all(rows), store)?;
        Ok(if store.rows(batch).len() == 0 { Output::Again } else { Output::Batch(batch) })
    }

    /// Has the store write the next rows into the columns.
    fn read(&mut self, store: &mut Store<'a>, tables: &Tables<'_>) -> Result<usize, cofferdam_store::Error> {
        for &id in self.columns {
            let mut vector = store.take(id);
            vector.all_valid = true;
            // Other kinds have no heap: an empty one stands for it, which takes nothing.
            let heap = if vector.kind() == Kind::Text {
                let mut heap = store.take_heap(vector.heap);
                heap.clear();
                heap
            } else {
                store.no_heap()
            };
            self.taken.push(Taken { vector, heap })?;
        }
        let outcome = self.read_taken(tables, store.capacity);
        self.scratch.reset();
        for &id in self.columns.iter().rev() {
            let Some(Taken { vector, heap }) = self.taken.pop() else { break };
            if vector.kind() == Kind::Text {
                store.put_heap_back(vector.heap, heap);
            }
            store.put_back(id, vector);
        }
        outcome
    }

    fn read_taken(&mut self, tables: &Tables<'_>, rows_max: usize) -> Result<usize, cofferdam_store::Error> {
        let mut columns = Vec::with_capacity_in(self.taken.len(), &self.scratch)?;
        for Taken { vector, heap } in self.taken.iter_mut() {
            let Vector { data, valid, all_valid, .. } = vector;
            columns.push(ColumnMut { data, valid, all_valid, heap })?;
        }
        let scan = &mut self.scan;
        tables.with_view(&mut |view| scan.next(view, &mut columns, rows_max))
    }
}

/// Begins to read the part of the table that the plan's range leaves; also whether that is known to have no rows.
fn begin<'a>(
    plan: &PlanScan<'a>,
    table: &StoredTable<'a>,
    parameters: &[Value<'a>],
    tables: &Tables<'_>,
    arena: &'a Arena,
) -> Result<(Scan<'a>, bool), cofferdam_store::Error> {
    let run = range_of_run(plan, table, parameters, arena)?;
    let columns = arena.alloc_slice_from_iter(plan.projection.iter().map(|&position| position as u16))?;
    let Ends { from, to } = match run.range {
        Some(range) => Ends::of(range, table, arena)?,
        None => Ends::ALL,
    };
    let mut scan = Scan::new(&tables.table(table.id)?, columns, &KeyRange { from, to }, arena)?;
    let scratch = Arena::new(arena.budget());
    let ranges = run.column_ranges.iter().map(|range| ColumnRange {
        column: range.column as u16,
        from: range.lower,
        to: range.upper,
    });
    scan.leave_out_all_but(scratch.alloc_slice_from_iter(ranges)?)?;
    Ok((scan, run.is_empty))
}

#[cold]
fn describe<'a>(problem: &'a mut StoreProblem<'a>, error: cofferdam_store::Error) -> Error<'a> {
    match error {
        cofferdam_store::Error::OutOfMemory(error) => Error::OutOfMemory(error),
        error => {
            problem.error = error;
            Error::Store(problem)
        }
    }
}
