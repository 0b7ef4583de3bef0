//! UNION ALL: the rows of several inputs, one input after the other, in the same columns.
//!
//! Values are copied, and of a text its view: the heap of the input's column goes with it.

use super::join::copy_rows;
use crate::batch::{BatchRows, Store, VectorId};
use crate::error::Error;
use crate::pipeline::Passed;

/// Takes the rows of one input over.
#[derive(Debug)]
pub(crate) struct Concat<'a> {
    from: &'a [VectorId],
    to: &'a [VectorId],
}

impl<'a> Concat<'a> {
    pub(crate) fn open(from: &'a [VectorId], to: &'a [VectorId]) -> Concat<'a> {
        Concat { from, to }
    }

    pub(crate) fn push(&mut self, batch: BatchRows, store: &mut Store<'a>) -> Result<Passed, Error<'a>> {
        for (&source, &target) in self.from.iter().zip(self.to) {
            copy_rows(source, target, batch, store);
        }
        Ok(Passed::Batch(BatchRows::all(store.rows(batch).len())))
    }
}
