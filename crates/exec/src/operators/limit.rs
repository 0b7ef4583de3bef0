//! OFFSET and LIMIT: rows are skipped and cut by selection, and the input is not pulled again once there are enough.

use cofferdam_arena::Arena;
use cofferdam_plan::physical::OperatorId;

use super::{Event, Step};
use crate::batch::{BatchRows, SelectionId, Store};
use crate::error::Error;

/// Skips rows, then passes so many.
#[derive(Debug)]
pub(crate) struct Limit {
    input: OperatorId,
    /// Rows still to skip.
    skip: u64,
    /// Rows still to pass.
    pass: u64,
    selection: SelectionId,
}

impl Limit {
    pub(crate) fn open<'a>(
        input: OperatorId,
        count: Option<u64>,
        offset: u64,
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<Limit, Error<'a>> {
        let selection = store.add_selection(arena)?;
        Ok(Limit { input, skip: offset, pass: count.unwrap_or(u64::MAX), selection })
    }

    pub(crate) fn resume<'a>(&mut self, event: Event, store: &mut Store<'a>) -> Result<Step, Error<'a>> {
        match event {
            Event::End => self.pass = 0,
            Event::Pull => {}
            Event::Batch(batch) => {
                let rows = store.rows(batch).len() as u64;
                let skipped = self.skip.min(rows);
                let passed = self.pass.min(rows - skipped);
                self.skip -= skipped;
                self.pass -= passed;
                if passed == rows {
                    return Ok(Step::Emit(batch));
                }
                if passed > 0 {
                    return Ok(Step::Emit(self.cut(batch, skipped as usize, passed as usize, store)));
                }
            }
        }
        Ok(if self.pass == 0 { Step::End } else { Step::Pull(self.input) })
    }

    /// The rows of a batch from position `skipped` on, `passed` of them.
    fn cut(&self, batch: BatchRows, skipped: usize, passed: usize, store: &mut Store<'_>) -> BatchRows {
        let mut selection = store.take_selection(self.selection);
        let rows = store.rows(batch);
        for (i, slot) in selection.rows[..passed].iter_mut().enumerate() {
            *slot = rows.nth(skipped + i) as u16;
        }
        selection.count = passed;
        store.put_selection_back(self.selection, selection);
        BatchRows { count: batch.count, selection: Some(self.selection) }
    }
}
