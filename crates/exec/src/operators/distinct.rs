//! DISTINCT: each row passes when it is first met, or, where memory does not suffice to know that, behind the last row.
//!
//! Rows pass in columns of their own, so that those that have waited in files come in the same ones.
//!
//! **Ladder, peak bytes**: those of [`super::aggregate::dedup`]; beside it 16 KiB of rows that have waited. The keys are in the operator's
//! slot between two batches, where others that need memory can ask for them ([`State::Distinct`]).

use cofferdam_arena::AllocError;
use cofferdam_arena::collections::Vec;
use cofferdam_plan::physical::OperatorId;

use super::State;
use super::aggregate::dedup::{Dedup, Drained, Passing};
use super::aggregate::partitions::Partitions;
use super::aggregate::table::hash_of;
use super::join::copy_rows;
use crate::batch::{BatchRows, HeapId, SelectionId, Store, VectorId};
use crate::canonical::Canonical;
use crate::error::Error;
use crate::pipeline::{Context, Opening, Output, Passed};
use crate::rows::{RowEncoder, RowLayout};
use crate::spill::SpillFailure;

/// The most bytes of rows that have waited and are taken at once, but for one row.
const WAITED_BYTES: usize = 16 << 10;

/// Passes each distinct row once.
#[derive(Debug)]
pub(crate) struct Distinct<'a> {
    id: OperatorId,
    name: &'a str,
    input: &'a [VectorId],
    columns: &'a [VectorId],
    /// The heaps of the columns' own; rows that pass at once bring those of the input.
    heaps: &'a [HeapId],
    canonicals: Vec<'a, Canonical>,
    key_columns: &'a [VectorId],
    key_layout: RowLayout<'a>,
    key_encoder: RowEncoder<'a>,
    layout: RowLayout<'a>,
    encoder: RowEncoder<'a>,
    selection: SelectionId,
    waited: Vec<'a, u8>,
    /// Where each row that has waited begins, and where the last one ends.
    starts: Vec<'a, usize>,
}

impl<'a> Distinct<'a> {
    /// Gives the columns that rows pass in as well.
    pub(crate) fn open(
        input: &'a [VectorId],
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<(Distinct<'a>, &'a [VectorId]), Error<'a>> {
        let arena = opening.arena;
        *cx.state(opening.id) = State::Distinct(Dedup::new(opening.budget()));
        let columns = opening.add_columns(store)?;
        let mut canonicals = Vec::new_in(arena);
        let mut key_columns = Vec::with_capacity_in(input.len(), arena)?;
        for (&id, column) in input.iter().zip(opening.operator().columns) {
            let canonical = Canonical::open(id, column.ty, store, arena)?;
            key_columns.push(canonical.map_or(id, |canonical| canonical.column()))?;
            if let Some(canonical) = canonical {
                canonicals.push(canonical)?;
            }
        }
        let key_columns = &*key_columns.into_slice();
        let heaps = arena.alloc_slice_from_iter(columns.iter().map(|&id| store.vector(id).heap))?;
        let distinct = Distinct {
            id: opening.id,
            name: opening.budget().name(),
            input,
            columns,
            heaps,
            canonicals,
            key_columns,
            key_layout: RowLayout::keys(key_columns.iter().map(|&id| store.vector(id).kind()), arena)?,
            key_encoder: RowEncoder::new(arena),
            layout: RowLayout::new(opening.kinds_of(opening.id), arena)?,
            encoder: RowEncoder::new(arena),
            selection: store.add_selection(arena)?,
            waited: Vec::new_in(arena),
            starts: Vec::new_in(arena),
        };
        Ok((distinct, columns))
    }

    pub(crate) fn push(
        &mut self,
        batch: BatchRows,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<Passed, Error<'a>> {
        let mut dedup = self.take(cx);
        let disk = cx.disk(self.name);
        if dedup.table_bytes() as u64 >= Partitions::held_bytes_before(dedup.budget(), 1) {
            while !dedup.prepare(&disk) && cx.relieve(Some(self.id), 1)? {}
        }
        while let Err(refused) = self.encode(batch, store) {
            // Others that hold rows write theirs first.
            if !cx.relieve(Some(self.id), 1)? {
                dedup.evict(refused, &disk)?;
            }
        }
        let mut selection = store.take_selection(self.selection);
        let rows = store.rows(batch);
        selection.count = 0;
        let mut is_encoded = false;
        for i in 0..rows.len() {
            let key = self.key_encoder.row(i);
            let hash = hash_of(key);
            selection.rows[selection.count] = rows.nth(i) as u16;
            let passing = loop {
                match dedup.pass(hash, key, &disk) {
                    Err(SpillFailure::OutOfMemory(_)) if cx.relieve(Some(self.id), 1)? => {}
                    outcome => break outcome?,
                }
            };
            match passing {
                Passing::Now => selection.count += 1,
                Passing::Met => {}
                Passing::Waits => {
                    while !is_encoded {
                        match self.encoder.encode(&self.layout, self.input, rows, store) {
                            Ok(()) => is_encoded = true,
                            Err(_) if cx.relieve(Some(self.id), 1)? => {}
                            Err(refused) => dedup.evict(refused, &disk)?,
                        }
                    }
                    dedup.wait(hash, key, &[self.encoder.row(i), &[], &[]], &disk)?;
                }
            }
        }
        let count = selection.count;
        store.put_selection_back(self.selection, selection);
        *cx.state(self.id) = State::Distinct(dedup);
        if count == 0 {
            return Ok(Passed::Nothing);
        }
        let passed = BatchRows { count: batch.count, selection: Some(self.selection) };
        for (&source, &target) in self.input.iter().zip(self.columns) {
            copy_rows(source, target, passed, store);
        }
        Ok(Passed::Batch(BatchRows::all(count)))
    }

    /// The keys, out of the slot until the batch is done.
    fn take(&self, cx: &mut Context<'_>) -> Dedup {
        let State::Distinct(dedup) = cx.take_state(self.id) else {
            unreachable!("it is there from the begin")
        };
        dedup
    }

    fn encode(&mut self, batch: BatchRows, store: &mut Store<'a>) -> Result<(), AllocError> {
        for canonical in self.canonicals.iter() {
            canonical.run(batch, store)?;
        }
        self.key_encoder.encode(&self.key_layout, self.key_columns, store.rows(batch), store)
    }

    /// After the last batch: rows that have waited.
    pub(crate) fn finish(
        &mut self,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<Output, Error<'a>> {
        let mut dedup = self.take(cx);
        let disk = cx.disk(self.name);
        let Distinct { waited, starts, .. } = self;
        waited.clear();
        starts.clear();
        starts.push(0)?;
        let capacity = store.capacity;
        let drained = dedup.drain(disk.is_cancelled, |_, row| {
            waited.reserve(row.len())?;
            starts.reserve(1)?;
            waited.extend_from_slice(row)?;
            starts.push(waited.len())?;
            Ok(starts.len() > capacity || waited.len() >= WAITED_BYTES)
        })?;
        let counts = dedup.counts();
        let counters = cx.counters(self.id);
        counters.spilled_bytes = counts.bytes;
        counters.spilled_files = counts.files;
        counters.partitions_spilled = counts.files;
        counters.partitions_parted = counts.parted;
        let count = self.starts.len() - 1;
        if count == 0 {
            if let Drained::Refused(refused) = drained {
                dedup.evict(refused, &disk)?;
            }
            *cx.state(self.id) = State::Distinct(dedup);
            return Ok(if matches!(drained, Drained::All) { Output::End } else { Output::Again });
        }
        let rows = (0..count).map(|row| &self.waited[self.starts[row]..self.starts[row + 1]]);
        for (index, (&column, &heap)) in self.columns.iter().zip(self.heaps).enumerate() {
            store.vector_mut(column).heap = heap;
            while let Err(refused) = self.layout.decode(index, rows.clone(), column, store) {
                dedup.evict(refused, &disk)?;
            }
        }
        *cx.state(self.id) = State::Distinct(dedup);
        Ok(Output::Batch(BatchRows::all(count)))
    }
}
