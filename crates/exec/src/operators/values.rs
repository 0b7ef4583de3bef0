//! Constant rows: VALUES, and the one row of no columns that a SELECT without FROM reads.
//!
//! Most values are literals and are written where they belong. Another expression (a call, a computation that may fail) is
//! compiled and run for its one row in an arena that is emptied behind it, so that a list of any length needs the
//! memory of a batch.

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_plan::Span;
use cofferdam_plan::expr::{Column, Expr, ExprKind};
use cofferdam_types::column::bytes_of;
use cofferdam_types::{Decimal, Type, Value};

use crate::batch::{BatchRows, Data, HeapId, Kind, Store, TextView, Vector, VectorId, put_value};
use crate::error::Error;
use crate::expr::{Registers, compile, typed};
use crate::pipeline::Output;
use crate::statement::Statement;

/// Gives rows of expressions that refer to no column.
#[derive(Debug)]
pub(crate) struct Values<'a> {
    rows: &'a [&'a [&'a Expr<'a>]],
    columns: &'a [VectorId],
    types: &'a [Type],
    /// Where single expressions are computed.
    scratch: Arena,
}

impl<'a> Values<'a> {
    pub(crate) fn open(
        rows: &'a [&'a [&'a Expr<'a>]],
        columns: &[Column<'a>],
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<(Values<'a>, &'a [VectorId]), Error<'a>> {
        let ids = arena.alloc_slice_fill(columns.len(), VectorId(0))?;
        for (id, column) in ids.iter_mut().zip(columns) {
            *id = store.add_vector(Kind::of(column.ty), arena)?;
        }
        let types = arena.alloc_slice_from_iter(columns.iter().map(|column| column.ty))?;
        let columns = &*ids;
        Ok((Values { rows, columns, types, scratch: Arena::new(arena.budget()) }, columns))
    }

    pub(crate) fn next(&mut self, store: &mut Store<'a>) -> Result<Output, Error<'a>> {
        let count = self.rows.len().min(store.capacity);
        let (now, later) = self.rows.split_at(count);
        self.rows = later;
        if count == 0 {
            return Ok(Output::End);
        }
        for index in 0..self.columns.len() {
            let id = self.columns[index];
            let mut vector = store.take(id);
            let outcome = self.fill(index, now, &mut vector, store);
            store.put_back(id, vector);
            outcome?;
        }
        Ok(Output::Batch(BatchRows::all(count)))
    }

    /// Evaluates one column of some rows.
    fn fill(
        &mut self,
        index: usize,
        rows: &[&'a [&'a Expr<'a>]],
        vector: &mut Vector<'a>,
        store: &mut Store<'a>,
    ) -> Result<(), Error<'a>> {
        let (ty, heap) = (self.types[index], vector.heap);
        vector.spell_out_validity(rows.len());
        if vector.kind() == Kind::Text {
            store.heap_mut(heap).clear();
        }
        for (row, exprs) in rows.iter().enumerate() {
            let expr = exprs[index];
            let constant = match expr.kind {
                ExprKind::Literal(value) => Some(value),
                ExprKind::Parameter(number) => Some(store.statement.parameter(number)),
                _ => None,
            };
            match constant {
                Some(value) => {
                    let span = expr.span;
                    let mut made = Vec::new_in(&self.scratch);
                    let value =
                        typed(value, ty, &mut made).map_err(|problem| Error::of_call(problem, span))?;
                    put(vector, row, value, heap, span, store)?;
                    let is_used = made.capacity() > 0;
                    drop(made);
                    if is_used {
                        self.scratch.reset();
                    }
                }
                _ => {
                    let mut statement = store.statement;
                    let outcome = evaluate(expr, ty, &mut statement, &self.scratch, |value| {
                        put(vector, row, value, heap, expr.span, store)
                    });
                    store.statement.random = statement.random;
                    let outcome = outcome.map_err(Error::detached).and_then(|done| done);
                    self.scratch.reset();
                    outcome?;
                }
            }
        }
        Ok(())
    }
}

/// Hands the value of an expression without columns to `see`; what is made for it lies in `scratch`.
pub(super) fn evaluate<'s, R>(
    expr: &'s Expr<'s>,
    ty: Type,
    statement: &mut Statement<'s>,
    scratch: &'s Arena,
    see: impl FnOnce(Value<'_>) -> R,
) -> Result<R, Error<'s>> {
    let mut store = Store::new(1, scratch);
    store.statement = *statement;
    let mut program = compile(expr, &[], &mut store, &mut Registers::new(scratch))?;
    program.run(&mut store, BatchRows::all(1))?;
    statement.random = store.statement.random;
    Ok(see(store.value(program.result, 0, ty)))
}

/// Stores a value; a text goes to the end of the heap.
pub(super) fn put<'a>(
    vector: &mut Vector<'_>,
    row: usize,
    value: Value<'_>,
    heap: HeapId,
    span: Span,
    store: &mut Store<'a>,
) -> Result<(), Error<'a>> {
    put_value(vector, row, value);
    if let (Data::Text(views), false) = (&mut vector.data, value.is_null()) {
        let mut compact = [0; Decimal::COMPACT_BYTES_MAX];
        let text = bytes_of(value, &mut compact);
        let heap = store.heap_mut(heap);
        let start =
            u32::try_from(heap.len()).ok().filter(|start| start.checked_add(text.len() as u32).is_some());
        let start = start.ok_or_else(|| Error::too_much_text(span))?;
        heap.extend_from_slice(text)?;
        views[row] = TextView { start, len: text.len() as u32 };
    }
    Ok(())
}
