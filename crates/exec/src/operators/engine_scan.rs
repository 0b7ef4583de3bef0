//! Reading what the engine tells of itself: the rows are asked for once, when the scan is opened, and kept.
//!
//! So they are those of one moment as far as who gives them can tell, and nobody is kept waiting between two batches.
//!
//! **Peak bytes**: the values and texts of all rows, and the vectors of a batch.
//!
//! **Ladder**: the typed error.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_plan::Span;
use cofferdam_plan::physical::Scan as PlanScan;
use cofferdam_plan::table::{EngineSource, EngineTable, ViewProperties};
use cofferdam_types::Value;

use super::filter::{Conjuncts, flatten};
use super::values::put;
use crate::batch::{BatchRows, Kind, Store, VectorId};
use crate::error::{Error, StoreProblem};
use crate::expr::Registers;
use crate::pipeline::{Context, Output};
use crate::tables::Tables;

/// Gives the rows of a table of the engine.
#[derive(Debug)]
pub(crate) struct EngineScan<'a> {
    /// The read columns of all rows, row by row.
    values: &'a [Value<'a>],
    rows_count: usize,
    /// The row that comes next.
    next: usize,
    columns: &'a [VectorId],
    conjuncts: Conjuncts<'a>,
    /// How many rows were read last.
    pub(crate) rows_read: usize,
}

impl<'a> EngineScan<'a> {
    pub(crate) fn open(
        plan: &PlanScan<'a>,
        source: EngineSource<'a>,
        store: &mut Store<'a>,
        cx: &Context<'_>,
        arena: &'a Arena,
    ) -> Result<(EngineScan<'a>, &'a [VectorId]), Error<'a>> {
        let columns = arena.alloc_slice_fill(plan.projection.len(), VectorId(0))?;
        for (id, position) in columns.iter_mut().zip(plan.projection) {
            *id = store.add_vector(Kind::of(source.columns[*position as usize].ty), arena)?;
        }
        let columns = &*columns;
        let parts = flatten(plan.conjuncts, arena)?;
        let conjuncts = Conjuncts::compile(parts, columns, store, &mut Registers::new(arena), arena)?;
        let output = arena.alloc_slice_from_iter(plan.output.iter().map(|&slot| columns[slot as usize]))?;
        let mut kept = Kept::new(plan.projection, arena);
        if let Some(engine) = cx.engine {
            // They are looked at twice, so that figures of memory do not change while they are read.
            let mut scratch = Arena::new(arena.budget());
            engine.rows(source.table, &scratch, &mut |row| kept.count(row))?;
            scratch.reset();
            kept.reserve()?;
            engine.rows(source.table, &scratch, &mut |row| kept.add(row))?;
        }
        if source.table == EngineTable::Tables {
            let problem =
                arena.alloc(StoreProblem { error: cofferdam_store::Error::Cancelled, place: None })?;
            match stored_tables(cx.tables, &mut kept) {
                Ok(()) => {}
                Err(cofferdam_store::Error::OutOfMemory(error)) => return Err(Error::OutOfMemory(error)),
                Err(error) => {
                    problem.error = error;
                    return Err(Error::Store(problem));
                }
            }
        }
        let Kept { values, rows_count, .. } = kept;
        let values = &*values.into_slice();
        Ok((EngineScan { values, rows_count, next: 0, columns, conjuncts, rows_read: 0 }, output))
    }

    pub(crate) fn next(&mut self, store: &mut Store<'a>) -> Result<Output, Error<'a>> {
        let count = (self.rows_count - self.next).min(store.capacity);
        self.rows_read = count;
        if count == 0 {
            return Ok(Output::End);
        }
        let width = self.columns.len();
        for (index, &id) in self.columns.iter().enumerate() {
            let mut vector = store.take(id);
            vector.spell_out_validity(count);
            let heap = vector.heap;
            if vector.kind() == Kind::Text {
                store.heap_mut(heap).clear();
            }
            let mut outcome = Ok(());
            for row in 0..count {
                let value = self.values[(self.next + row) * width + index];
                outcome = outcome.and_then(|()| put(&mut vector, row, value, heap, Span::default(), store));
            }
            store.put_back(id, vector);
            outcome?;
        }
        self.next += count;
        let batch = self.conjuncts.apply(BatchRows::all(count), store)?;
        Ok(if store.rows(batch).len() == 0 { Output::Again } else { Output::Batch(batch) })
    }
}

/// Rows as they come.
struct Kept<'a> {
    projection: &'a [u32],
    values: Vec<'a, Value<'a>>,
    rows_count: usize,
    /// What rows that are counted will take.
    values_expected: usize,
    text_bytes_expected: usize,
    arena: &'a Arena,
}

impl<'a> Kept<'a> {
    fn new(projection: &'a [u32], arena: &'a Arena) -> Kept<'a> {
        let values = Vec::new_in(arena);
        Kept { projection, values, rows_count: 0, values_expected: 0, text_bytes_expected: 0, arena }
    }

    /// Notes what a row will take.
    fn count(&mut self, row: &[Value<'_>]) -> Result<(), AllocError> {
        for position in self.projection {
            if let Value::Text(text) = row[*position as usize] {
                self.text_bytes_expected += text.len();
            }
        }
        self.values_expected += self.projection.len();
        Ok(())
    }

    /// Takes the memory for the rows that are counted, and for some more.
    fn reserve(&mut self) -> Result<(), AllocError> {
        let (values, text_bytes) = (self.values_expected * 5 / 4, self.text_bytes_expected * 5 / 4);
        self.arena.reserve(values * size_of::<Value<'_>>() + text_bytes + align_of::<Value<'_>>())?;
        self.values = Vec::with_capacity_in(values, self.arena)?;
        Ok(())
    }

    /// Keeps of a row what is read of it.
    fn add(&mut self, row: &[Value<'_>]) -> Result<(), AllocError> {
        for position in self.projection {
            self.values.push(match row[*position as usize] {
                Value::Text(text) => Value::Text(self.arena.alloc_str(text)?),
                Value::Boolean(value) => Value::Boolean(value),
                Value::Integer(value) => Value::Integer(value),
                Value::BigInt(value) => Value::BigInt(value),
                _ => Value::Null,
            })?;
        }
        self.rows_count += 1;
        Ok(())
    }
}

/// The stored tables and indexes that the statement sees.
fn stored_tables(tables: &Tables<'_>, kept: &mut Kept<'_>) -> Result<(), cofferdam_store::Error> {
    let whole = |count: u64| Value::BigInt(i64::try_from(count).unwrap_or(i64::MAX));
    let small = |count: usize| Value::Integer(i32::try_from(count).unwrap_or(i32::MAX));
    tables.with_view(&mut |view| {
        let mut outcome = Ok(());
        view.tables(&mut |table| {
            if outcome.is_err() {
                return;
            }
            let parent = table.parent().map(|parent| view.table(parent)).transpose();
            let parent = match &parent {
                Ok(parent) => parent.as_ref().map(|parent| parent.name()),
                // Dropped meanwhile.
                Err(_) => return,
            };
            let is_view = ViewProperties::are_of_view(table.properties());
            let columns = match parent {
                None if is_view => ViewProperties::columns_count(table.properties()).unwrap_or_default(),
                None => table.columns().len(),
                Some(_) => index_columns_count(table),
            };
            let kind = match parent {
                None if is_view => "view",
                None => "table",
                Some(_) => "index",
            };
            let mut indexes_count = 0;
            view.tables(&mut |other| indexes_count += usize::from(other.parent() == Some(table.id())));
            outcome = kept.add(&[
                Value::Text(table.name()),
                Value::Text(kind),
                parent.map_or(Value::Null, Value::Text),
                small(columns),
                if is_view { Value::Null } else { whole(view.rows_estimate(table.id())) },
                whole(view.bytes_of_segments(table.id())),
                small(indexes_count),
            ]);
        });
        outcome?;
        Ok(0)
    })?;
    Ok(())
}

/// How many columns an index sorts by, those left out that only tell its rows apart.
fn index_columns_count(index: &cofferdam_store::Table) -> usize {
    match index.unique_columns() {
        0 => index.sources().len(),
        count => count,
    }
}
