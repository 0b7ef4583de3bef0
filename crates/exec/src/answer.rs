//! What an execution gives: some rows, wherever they stand.

use cofferdam_plan::expr::Column;
use cofferdam_types::Value;

use crate::batch::{BatchRows, Store, VectorId};

/// Some rows of an answer, borrowed from the execution.
#[derive(Clone, Copy)]
pub struct Batch<'e, 'a> {
    pub(crate) columns: &'a [Column<'a>],
    pub(crate) rows: AnswerRows<'e, 'a>,
}

/// Where they are.
#[derive(Clone, Copy)]
pub(crate) enum AnswerRows<'e, 'a> {
    Vectors {
        store: &'e Store<'a>,
        ids: &'a [VectorId],
        rows: BatchRows,
    },
    /// One row: by column, which of the values is its.
    Row {
        places: &'a [u16],
        values: &'e [Value<'a>],
    },
}

impl<'e, 'a> Batch<'e, 'a> {
    /// The number of rows, at least one.
    pub fn rows_count(&self) -> usize {
        match self.rows {
            AnswerRows::Vectors { store, rows, .. } => store.rows(rows).len(),
            AnswerRows::Row { .. } => 1,
        }
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
        assert!(row < self.rows_count(), "row {row} of a batch of {} rows", self.rows_count());
        match self.rows {
            AnswerRows::Vectors { store, ids, rows } => {
                store.value(ids[column], store.rows(rows).nth(row), self.columns[column].ty)
            }
            AnswerRows::Row { places, values } => values[usize::from(places[column])],
        }
    }
}

impl core::fmt::Debug for Batch<'_, '_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (rows, columns) = (self.rows_count(), self.columns.len());
        f.debug_struct("Batch").field("rows", &rows).field("columns", &columns).finish()
    }
}
