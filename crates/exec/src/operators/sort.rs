//! Sorting, and the first N rows of an order: the roles around a [`Sorter`], which tells how it is done and what it takes.
//!
//! The sink encodes keys and rows of a batch and leaves the sorter behind; the source hands out its rows.
//!
//! **Ladder**: in memory → sorted runs in temporary files → the typed error.

use cofferdam_arena::AllocError;
use cofferdam_plan::physical::{OperatorId, SortKey};

use super::State;
use crate::batch::{BatchRows, Rows, Store, VectorId};
use crate::error::Error;
use crate::pipeline::{Context, Opening, Output};
use crate::rows::{RowEncoder, RowLayout};
use crate::sorter::{KeyEncoder, SortKeys, Sorter};
use crate::spill::SpillFailure;

fn sorter_of(state: &mut State) -> &mut Sorter {
    let State::Sorted(sorter) = state else { unreachable!("the sink made it") };
    sorter
}

/// Encodes the rows of batches for a sorter, and what they are sorted by.
#[derive(Debug)]
pub(super) struct SortInput<'a> {
    columns: &'a [VectorId],
    keys: SortKeys<'a>,
    layout: RowLayout<'a>,
    key_encoder: KeyEncoder<'a>,
    row_encoder: RowEncoder<'a>,
}

impl<'a> SortInput<'a> {
    /// For the rows of an input. `opening` is that of the sink.
    pub(super) fn open(
        input: OperatorId,
        keys: &[SortKey],
        opening: &Opening<'_, 'a>,
    ) -> Result<SortInput<'a>, AllocError> {
        let arena = opening.arena;
        let columns = opening.operators[input.index()].columns;
        Ok(SortInput {
            columns: opening.columns_of(input),
            keys: SortKeys::new(keys, |column| columns[column].ty, arena)?,
            layout: RowLayout::new(opening.kinds_of(input), arena)?,
            key_encoder: KeyEncoder::new(arena),
            row_encoder: RowEncoder::new(arena),
        })
    }

    /// A sorter for such rows.
    pub(super) fn sorter(&self, limit: Option<u64>, opening: &Opening<'_, '_>, cx: &Context<'_>) -> Sorter {
        let budget = opening.budget();
        Sorter::new(budget, self.keys.shape(), limit, cx.spill, budget.name())
    }

    fn encode(&mut self, rows: Rows<'_>, store: &Store<'_>) -> Result<(), AllocError> {
        self.key_encoder.encode(&self.keys, self.columns, rows, store)?;
        self.row_encoder.encode(&self.layout, self.columns, rows, store)
    }

    /// Puts the rows of a batch into the sorter of an operator. Without room the operator that holds the most gives some of it up.
    ///
    /// # Errors
    /// There is room neither in memory nor for files; those of files.
    pub(super) fn put<'e>(
        &mut self,
        batch: BatchRows,
        operator: OperatorId,
        store: &Store<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Error<'e>> {
        let (rows, is_cancelled) = (store.rows(batch), cx.is_cancelled);
        while let Err(error) = self.encode(rows, store) {
            // Longer texts than in all batches before.
            if !cx.relieve(None, 0)? {
                return Err(error.into());
            }
        }
        let mut rest = 0..rows.len();
        loop {
            let sorter = sorter_of(cx.state(operator));
            match sorter.put(&self.key_encoder, &self.row_encoder, &mut rest, is_cancelled) {
                Err(SpillFailure::OutOfMemory(error)) => {
                    if !cx.relieve(Some(operator), 0)? {
                        return Err(error.into());
                    }
                }
                outcome => return Ok(outcome?),
            }
        }
    }
}

/// Keeps rows and orders them.
#[derive(Debug)]
pub(crate) struct SortSink<'a> {
    id: OperatorId,
    input: SortInput<'a>,
}

impl<'a> SortSink<'a> {
    pub(crate) fn open(
        input: OperatorId,
        keys: &'a [SortKey],
        limit: Option<u64>,
        opening: &Opening<'_, 'a>,
        cx: &mut Context<'_>,
    ) -> Result<SortSink<'a>, Error<'a>> {
        let input = SortInput::open(input, keys, opening)?;
        *cx.state(opening.id) = State::Sorted(input.sorter(limit, opening, cx));
        Ok(SortSink { id: opening.id, input })
    }

    /// Keeps the rows of a batch, or those that may be among the first N.
    pub(crate) fn take(
        &mut self,
        batch: BatchRows,
        store: &Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<(), Error<'a>> {
        self.input.put(batch, self.id, store, cx)
    }

    pub(crate) fn finish(&mut self, store: &Store<'a>, cx: &mut Context<'_>) -> Result<bool, Error<'a>> {
        let is_cancelled = cx.is_cancelled;
        let sorter = sorter_of(cx.state(self.id));
        sorter.finish(store.capacity, is_cancelled)?;
        let counts = sorter.spilled();
        let counters = cx.counters(self.id);
        (counters.spilled_bytes, counters.spilled_files) = (counts.bytes_total, counts.files_total);
        Ok(true)
    }
}

/// Hands out rows in order.
#[derive(Debug)]
pub(crate) struct SortedSource<'a> {
    id: OperatorId,
    layout: RowLayout<'a>,
    output: &'a [VectorId],
}

impl<'a> SortedSource<'a> {
    pub(crate) fn open(
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
    ) -> Result<(SortedSource<'a>, &'a [VectorId]), Error<'a>> {
        let output = opening.add_columns(store)?;
        let layout = RowLayout::new(opening.kinds_of(opening.id), opening.arena)?;
        Ok((SortedSource { id: opening.id, layout, output }, output))
    }

    pub(crate) fn next(&mut self, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<Output, Error<'a>> {
        let is_cancelled = cx.is_cancelled;
        let sorter = sorter_of(cx.state(self.id));
        let count = sorter.advance(store.capacity, is_cancelled)?;
        if count == 0 {
            return Ok(Output::End);
        }
        for (index, &target) in self.output.iter().enumerate() {
            self.layout.decode(index, sorter.rows(), target, store)?;
        }
        Ok(Output::Batch(BatchRows::all(count)))
    }
}
