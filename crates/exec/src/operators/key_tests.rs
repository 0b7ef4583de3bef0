//! Key filters as scans use them: rows without a match in the build side of a join above are left out.
//!
//! What a join knows is asked for at each batch, since it is given back when memory is short. A filter that most rows pass is not
//! asked any more.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_plan::physical::KeyFilter;

use crate::batch::{BatchRows, SelectionId, Store, VectorId};
use crate::pipeline::Context;

/// So many rows are tested before a filter is judged.
const JUDGED_ROWS: u64 = 16 << 10;

/// The key filters of a scan.
#[derive(Debug)]
pub(super) struct KeyTests<'a> {
    tests: Vec<'a, KeyTest>,
    /// Two, so that one is read while the other one is written.
    selections: [SelectionId; 2],
}

#[derive(Debug)]
struct KeyTest {
    filter: KeyFilter,
    column: VectorId,
    rows_tested: u64,
    rows_passed: u64,
}

impl KeyTest {
    /// Whether so many rows pass that testing them costs more than it saves.
    fn is_useless(&self) -> bool {
        self.rows_tested >= JUDGED_ROWS && self.rows_passed > self.rows_tested / 8 * 7
    }
}

impl<'a> KeyTests<'a> {
    /// The filters of a scan that reads these columns.
    pub(super) fn open(
        filters: &[KeyFilter],
        columns: &[VectorId],
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<KeyTests<'a>, AllocError> {
        let mut tests = Vec::with_capacity_in(filters.len(), arena)?;
        for &filter in filters {
            let column = columns[filter.column as usize];
            tests.push(KeyTest { filter, column, rows_tested: 0, rows_passed: 0 })?;
        }
        let mut selections = [SelectionId(0); 2];
        if !tests.is_empty() {
            for selection in selections.iter_mut() {
                *selection = store.add_selection(arena)?;
            }
        }
        Ok(KeyTests { tests, selections })
    }

    /// The rows of the batch that joins may have a match for.
    pub(super) fn apply(
        &mut self,
        mut batch: BatchRows,
        store: &mut Store<'a>,
        cx: &Context<'_>,
    ) -> BatchRows {
        for test in self.tests.iter_mut().filter(|test| !test.is_useless()) {
            let Some(filter) = cx.key_filter(test.filter.join, test.filter.key) else { continue };
            let target = self.selections[usize::from(batch.selection == Some(self.selections[0]))];
            let mut selection = store.take_selection(target);
            let rows = store.rows(batch);
            selection.count = filter.passing(store.vector(test.column), rows, selection.rows);
            test.rows_tested += rows.len() as u64;
            test.rows_passed += selection.count as u64;
            store.put_selection_back(target, selection);
            batch.selection = Some(target);
        }
        batch
    }
}

/// The ranges of values that a join has in a key, both ends included, ascending; `None` if nothing is known.
pub(super) fn ranges_of<'a>(
    filter: &KeyFilter,
    cx: &Context<'_>,
    arena: &'a Arena,
) -> Result<Option<&'a [(i64, i64)]>, AllocError> {
    let Some(known) = cx.key_filter(filter.join, filter.key) else { return Ok(None) };
    let (least, greatest) = known.bounds();
    let mut ranges = Vec::new_in(arena);
    match known.values() {
        Some(values) => {
            for &value in values {
                match ranges.last_mut() {
                    Some((_, end)) if value == *end + 1 => *end = value,
                    _ => ranges.push((value, value))?,
                }
            }
        }
        None => ranges.push((least, greatest))?,
    }
    Ok(Some(ranges.into_slice()))
}
