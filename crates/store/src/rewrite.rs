//! Segments into new segments: what compactions do, and a transaction that goes back into the middle of a run.
//!
//! Rows pass through a batch of columns in memory; long texts go from file to file. Memory does not depend on how much
//! there is to be written.

use std::sync::Arc;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena, Budget};
use cofferdam_types::column::Kind;
use cofferdam_types::key::encode_key;

use crate::column::Column;
use crate::encode::{EncodedRange, KeyRange};
use crate::error::Error;
use crate::input::SegmentInput;
use crate::merge::{Filter, Merge, Pick, Sources, Step, Window};
use crate::page::LongRef;
use crate::schema::Schema;
use crate::segment::{ColumnRef, LongText, SegmentFile, SegmentWriter};
use crate::store::Inner;
use crate::table::Table;
use crate::version::Segment;

/// Rows of a batch at most, and at least.
const BATCH_ROWS_MAX: usize = 1024;
const BATCH_ROWS_MIN: usize = 32;
/// Bytes of a column's texts in a batch, at least and at most: from half of them on a batch is not filled further.
const TEXT_BYTES_MIN: usize = 1 << 10;
const TEXT_BYTES_MAX: usize = 128 << 10;

/// What a chunk of an arena has before its data, and a little more.
const CHUNK_HEADER_BYTES: usize = 256;
/// Smaller chunks are powers of two.
const CHUNK_STEP_BYTES: usize = 64 << 10;

/// How many bytes the texts of a column are given, if `bytes` are for those of all of them and the rest of the batch has `rows_bytes`:
/// so that a small batch fills its chunk.
fn text_bytes(bytes: usize, rows_bytes: usize, texts: usize) -> usize {
    let wanted = (bytes / texts.max(1)).clamp(TEXT_BYTES_MIN, TEXT_BYTES_MAX);
    let batch_bytes = rows_bytes + texts * wanted;
    if texts == 0 || batch_bytes >= CHUNK_STEP_BYTES {
        return wanted;
    }
    let left = (1usize << batch_bytes.ilog2()).saturating_sub(rows_bytes);
    (left / texts).max(TEXT_BYTES_MIN)
}

/// Rows of several sorted inputs as one stream of batches.
///
/// **Memory.** Of the arena: a batch (its rows times what a row has in memory, texts up to a share of what is allowed, more
/// where a page has more), and for each input what [`SegmentInput`] takes for all columns.
pub(crate) struct Rewriter<'a> {
    schema: Schema<'a>,
    range: EncodedRange,
    merge: Merge<'a>,
    picks: Vec<'a, Pick>,
    inputs: Vec<'a, SegmentInput<'a>>,
    columns: Vec<'a, Column<'a>>,
    /// Long texts of the batch, by column, and those that were met last.
    longs: Vec<'a, Vec<'a, Long>>,
    met: Vec<'a, (u32, LongRef)>,
    sequences: Vec<'a, u64>,
    deletes: Vec<'a, bool>,
    rows: usize,
    rows_max: usize,
    text_bytes: usize,
}

/// A long text of a row of the batch.
#[derive(Debug)]
struct Long {
    row: u32,
    file: Arc<SegmentFile>,
    at: LongRef,
}

/// The inputs, for the merge.
struct Inputs<'i, 'a>(&'i [SegmentInput<'a>]);

impl Sources for Inputs<'_, '_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn window(&self, source: usize) -> Window<'_> {
        self.0[source].window()
    }

    fn put_key(&self, source: usize, row: usize, key: &mut Vec<'_, u8>) -> Result<(), Error> {
        self.0[source].put_key(row, key)
    }
}

impl<'a> Rewriter<'a> {
    /// A stream of the rows of `chains`, each of which is segments that follow one another. Rows with sequences up to `plain_until`
    /// count whatever the filter. About `bytes` are taken, or as little as it can do with.
    pub(crate) fn new(
        inner: &Inner,
        table: &Table,
        chains: &[&[Arc<Segment>]],
        plain_until: u64,
        bytes: usize,
        arena: &'a Arena,
    ) -> Result<Rewriter<'a>, Error> {
        let shape = table.schema().key_shape();
        let schema = table.schema();
        let schema = Schema {
            columns: arena.alloc_slice_copy(schema.columns)?,
            key: arena.alloc_slice_copy(schema.key)?,
        };
        let row_bytes: usize = schema.columns.iter().map(|column| column.kind().bytes() + 1).sum();
        let rows_max = (bytes / 16 / (row_bytes + 16)).clamp(BATCH_ROWS_MIN, BATCH_ROWS_MAX);
        let readers = chains.len() * (schema.columns.len() + 2);
        let read_ahead_bytes = (bytes / 2 / readers.max(1)).min(64 << 10);
        let range = EncodedRange::new(table.id(), &schema, &KeyRange::ALL, inner.catalog())?;
        let mut inputs = Vec::with_capacity_in(chains.len(), arena)?;
        for chain in chains {
            let mut input = SegmentInput::new(schema, read_ahead_bytes, rows_max, arena)?;
            input.attach(chain.iter().cloned(), plain_until, &[], &range, &inner.cache)?;
            input.move_on(&range)?;
            inputs.push(input)?;
        }
        let mut columns = Vec::with_capacity_in(schema.columns.len(), arena)?;
        let mut longs = Vec::with_capacity_in(schema.columns.len(), arena)?;
        let texts = schema.columns.iter().filter(|column| column.kind() == Kind::Text).count();
        let rows_bytes = CHUNK_HEADER_BYTES + rows_max * (row_bytes + 9) + schema.columns.len() * 48;
        let text_bytes = text_bytes(bytes / 4, rows_bytes, texts);
        // The batch in one chunk, so that nothing is lost at the ends of several.
        arena.reserve(rows_bytes + texts * text_bytes - CHUNK_HEADER_BYTES)?;
        for column in schema.columns {
            let mut rows = Column::new(column.ty, rows_max, arena)?;
            if column.kind() == Kind::Text {
                // Growing in an arena leaves behind what was outgrown.
                rows.target().heap.reserve_exact(text_bytes)?;
            }
            columns.push(rows)?;
            longs.push(Vec::new_in(arena))?;
        }
        let (mut sequences, mut deletes) = (Vec::new_in(arena), Vec::new_in(arena));
        sequences.resize(rows_max, 0)?;
        deletes.resize(rows_max, false)?;
        Ok(Rewriter {
            schema,
            range,
            merge: Merge::new(shape, inputs.len(), arena)?,
            picks: Vec::new_in(arena),
            inputs,
            columns,
            longs,
            met: Vec::new_in(arena),
            sequences,
            deletes,
            rows: 0,
            rows_max,
            text_bytes,
        })
    }

    /// What its memory is charged to.
    pub(crate) fn budget(&self) -> &'a Budget {
        self.columns.arena().budget()
    }

    /// Fills the batch with the next rows that count; 0 at the end.
    pub(crate) fn next(&mut self, filter: &Filter<'_>) -> Result<usize, Error> {
        self.rows = 0;
        for (column, longs) in self.columns.iter_mut().zip(self.longs.iter_mut()) {
            column.clear();
            longs.clear();
        }
        let mut room = self.rows_max;
        loop {
            let step = self.merge.step(&Inputs(&self.inputs), filter, &mut self.picks, &mut room)?;
            self.copy_picks()?;
            match step {
                Step::Full | Step::End => return Ok(self.rows),
                Step::Window(source) => {
                    self.inputs[source].move_on(&self.range)?;
                    self.merge.moved_on(source);
                }
            }
            let texts = self.columns.iter().map(|column| column.heap().len()).max().unwrap_or(0);
            if texts >= self.text_bytes / 2 && self.rows > 0 {
                return Ok(self.rows);
            }
        }
    }

    fn copy_picks(&mut self) -> Result<(), Error> {
        for pick in self.picks.iter() {
            let rows = pick.start as usize..(pick.start + pick.count) as usize;
            let input = &mut self.inputs[usize::from(pick.source)];
            let (at, count) = (self.rows, rows.len());
            let window = input.window();
            self.sequences[at..at + count].copy_from_slice(&window.sequences[rows.clone()]);
            self.deletes[at..at + count].copy_from_slice(&window.deletes[rows.clone()]);
            for (place, column) in self.columns.iter_mut().enumerate() {
                self.met.clear();
                input.copy_to_copy(place as u16, rows.clone(), column.target(), at, &mut self.met)?;
                for (row, long) in self.met.iter() {
                    self.longs[place].push(Long { row: *row, file: input.file(), at: *long })?;
                }
            }
            self.rows += count;
        }
        self.picks.clear();
        Ok(())
    }

    /// Gives rows of the batch other sequences: `change` of each.
    pub(crate) fn map_sequences(&mut self, change: impl Fn(u64) -> u64) {
        for sequence in &mut self.sequences[..self.rows] {
            *sequence = change(*sequence);
        }
    }

    /// Appends the encoded key of a row of the batch.
    pub(crate) fn put_key(&self, row: usize, key: &mut Vec<'_, u8>) -> Result<(), AllocError> {
        for part in self.schema.key {
            let value = self.columns[usize::from(part.column)].value(row);
            encode_key(value, part.order, &mut |bytes: &[u8]| key.extend_from_slice(bytes))?;
        }
        Ok(())
    }

    /// Writes the rows of the batch to a segment.
    pub(crate) fn write(&self, writer: &mut SegmentWriter<'_, '_, '_>, scratch: &Arena) -> Result<(), Error> {
        let mut columns = Vec::with_capacity_in(self.columns.len(), scratch)?;
        for (column, longs) in self.columns.iter().zip(self.longs.iter()) {
            let longs = longs.iter().map(|long| LongText { row: long.row, file: &long.file, at: long.at });
            let longs = scratch.alloc_slice_from_iter(longs)?;
            columns.push(ColumnRef {
                data: column.data(),
                valid: column.valid(),
                heap: column.heap(),
                longs,
            })?;
        }
        writer.push_batch(&columns, &self.sequences[..self.rows], &self.deletes[..self.rows], 0..self.rows)
    }
}
