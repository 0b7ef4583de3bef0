//! DISTINCT ON: of each run of rows that are equal in some columns the first one passes.
//!
//! **Peak bytes**: the keys of a batch, and that of the last row.

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_plan::expr::Column;

use crate::batch::{BatchRows, SelectionId, Store, VectorId};
use crate::canonical::ComparedColumns;
use crate::error::Error;
use crate::pipeline::Passed;
use crate::rows::{RowEncoder, RowLayout};

/// Passes the first row of each run.
#[derive(Debug)]
pub(crate) struct DistinctOn<'a> {
    columns: ComparedColumns<'a>,
    layout: RowLayout<'a>,
    encoder: RowEncoder<'a>,
    /// The key of the last row, once there was one.
    last: Option<Vec<'a, u8>>,
    selection: SelectionId,
    arena: &'a Arena,
}

impl<'a> DistinctOn<'a> {
    pub(crate) fn open(
        keys: &[u32],
        columns: &[VectorId],
        types: &[Column<'a>],
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<DistinctOn<'a>, Error<'a>> {
        let column = |&key: &u32| (columns[key as usize], types[key as usize].ty);
        let columns = ComparedColumns::open(keys.iter().map(column), store, arena)?;
        let layout = RowLayout::keys(columns.columns.iter().map(|&id| store.vector(id).kind()), arena)?;
        let (encoder, selection) = (RowEncoder::new(arena), store.add_selection(arena)?);
        Ok(DistinctOn { columns, layout, encoder, last: None, selection, arena })
    }

    pub(crate) fn push(&mut self, batch: BatchRows, store: &mut Store<'a>) -> Result<Passed, Error<'a>> {
        self.columns.run(batch, store)?;
        let mut selection = store.take_selection(self.selection);
        let rows = store.rows(batch);
        self.encoder.encode(&self.layout, self.columns.columns, rows, store)?;
        selection.count = 0;
        for i in 0..rows.len() {
            let before = match i {
                0 => self.last.as_deref(),
                _ => Some(self.encoder.row(i - 1)),
            };
            selection.rows[selection.count] = rows.nth(i) as u16;
            selection.count += usize::from(before != Some(self.encoder.row(i)));
        }
        let last = self.last.get_or_insert(Vec::new_in(self.arena));
        last.clear();
        last.extend_from_slice(self.encoder.row(rows.len() - 1))?;
        let is_empty = selection.count == 0;
        store.put_selection_back(self.selection, selection);
        let passed = BatchRows { count: batch.count, selection: Some(self.selection) };
        Ok(if is_empty { Passed::Nothing } else { Passed::Batch(passed) })
    }
}
