//! Constant rows: VALUES, and the one row of no columns that a SELECT without FROM reads.

use cofferdam_arena::{AllocError, Arena};
use cofferdam_plan::expr::{Column, Expr};

use super::Step;
use crate::batch::{BatchRows, Data, HeapId, Kind, Store, TextView, VectorId, put_value};
use crate::error::Error;
use crate::expr::{Registers, compile};
use cofferdam_types::Type;

/// Gives rows of expressions that refer to no column.
#[derive(Debug)]
pub(crate) struct Values<'a> {
    rows: &'a [&'a [&'a Expr<'a>]],
    columns: &'a [VectorId],
    types: &'a [Type],
    registers: Registers<'a>,
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
        Ok((Values { rows, columns, types, registers: Registers::new(arena) }, columns))
    }

    pub(crate) fn resume(&mut self, store: &mut Store<'a>) -> Result<Step, Error<'a>> {
        let count = self.rows.len().min(store.capacity);
        let (now, later) = self.rows.split_at(count);
        self.rows = later;
        if count == 0 {
            return Ok(Step::End);
        }
        for &column in self.columns {
            let vector = store.vector_mut(column);
            vector.spell_out_validity(count);
            let (is_text, heap) = (vector.kind() == Kind::Text, vector.heap);
            if is_text {
                store.heap_mut(heap).clear();
            }
        }
        for (row, exprs) in now.iter().enumerate() {
            for (index, expr) in exprs.iter().enumerate() {
                self.put(row, index, expr, store)?;
            }
        }
        Ok(Step::Emit(BatchRows::all(count)))
    }

    /// Evaluates one expression into its place.
    fn put(
        &mut self,
        row: usize,
        index: usize,
        expr: &'a Expr<'a>,
        store: &mut Store<'a>,
    ) -> Result<(), Error<'a>> {
        let mut program = compile(expr, &[], store, &mut self.registers)?;
        program.run(store, BatchRows::all(1))?;
        self.registers.give_back(&program)?;
        let id = self.columns[index];
        let mut vector = store.take(id);
        let value = store.value(program.result, 0, self.types[index]);
        put_value(&mut vector, row, value);
        let outcome = match &mut vector.data {
            Data::Text(views) => append(store, program.result, vector.heap, &mut views[row]),
            _ => Ok(()),
        };
        store.put_back(id, vector);
        Ok(outcome?)
    }
}

/// Copies the text in the first row of `source` to the end of `heap`.
fn append<'a>(
    store: &mut Store<'a>,
    source: VectorId,
    heap: HeapId,
    view: &mut TextView,
) -> Result<(), AllocError> {
    let mut target = store.take_heap(heap);
    let vector = store.vector(source);
    let text = if vector.is_valid(0) { store.text(vector, 0) } else { &[] };
    *view = TextView { start: target.len() as u32, len: text.len() as u32 };
    let outcome = target.extend_from_slice(text);
    store.put_heap_back(heap, target);
    outcome
}
