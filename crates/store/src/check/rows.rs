//! All versions of the rows of a table in order, as readers meet them: newest first, from the logs down to the last level.

use std::sync::Arc;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::Value;

use crate::cache::Cache;
use crate::column::Column;
use crate::encode::EncodedRange;
use crate::error::Error;
use crate::files::FileId;
use crate::input::{MemoryInput, SegmentInput};
use crate::level::{LEVELS, of_level};
use crate::memtable::Memtable;
use crate::merge::{Filter, Merge, Pick, Sources, Step, Window};
use crate::schema::{Schema, TableId};
use crate::table::Table;
use crate::version::Segment;

/// Rows that are looked at together, at least and at most.
const ROWS_MIN: usize = 32;
const ROWS_MAX: usize = 256;
/// Texts and keys are at most so long all together, or there are [`ROWS_MIN`] of them.
const READ_AHEAD_BYTES_MAX: usize = 64 << 10;

/// A version of a row.
pub(super) struct Seen<'r> {
    /// The encoded key.
    pub(super) key: &'r [u8],
    /// True for a tombstone.
    pub(super) is_delete: bool,
    /// True for the first version of a key: the newest.
    pub(super) is_newest: bool,
    /// True where the version before is an older one's, though it stands above it.
    pub(super) is_misplaced: bool,
    /// Rows of segments among those that were read for it.
    pub(super) place: Option<(FileId, u64)>,
    columns: &'r [Column<'r>],
    row: usize,
}

impl Seen<'_> {
    /// The value of one of the columns that were asked for.
    pub(super) fn value(&self, place: usize) -> Value<'_> {
        self.columns.get(place).map_or(Value::Null, |column| column.value(self.row))
    }
}

/// Reads the versions of a table.
///
/// **Memory.** Of the arena: for each segment of level 0 and each other level, what a [`SegmentInput`] takes for the key and the
/// columns that were asked for; a batch of up to 256 rows of these.
pub(super) struct Versions<'a> {
    table: TableId,
    schema: Schema<'a>,
    columns: &'a [u16],
    chains: Vec<'a, &'a [Arc<Segment>]>,
    inputs: Vec<'a, SegmentInput<'a>>,
    cache: &'a Cache,
    picks: Vec<'a, Pick>,
    batch: Batch<'a>,
    /// The key of the last version and the input that it was in.
    last_key: Vec<'a, u8>,
    last_source: Option<u16>,
    rows_max: usize,
    arena: &'a Arena,
}

/// Versions that were copied out of their inputs.
struct Batch<'a> {
    columns: Vec<'a, Column<'a>>,
    keys: Vec<'a, u8>,
    rows: Vec<'a, BatchRow>,
}

#[derive(Clone, Copy)]
struct BatchRow {
    key_end: usize,
    source: u16,
    is_delete: bool,
    place: Option<(FileId, u64)>,
}

/// The sources of the merge: what is in memory, then the segments from the newest down.
struct Inputs<'i, 'p, 'a> {
    memory: &'i Option<MemoryInput<'p>>,
    segments: &'i [SegmentInput<'a>],
}

impl Sources for Inputs<'_, '_, '_> {
    fn count(&self) -> usize {
        1 + self.segments.len()
    }

    fn window(&self, source: usize) -> Window<'_> {
        match source.checked_sub(1) {
            None => self.memory.as_ref().map_or(Window::default(), MemoryInput::window),
            Some(place) => self.segments[place].window(),
        }
    }

    fn put_key(&self, source: usize, row: usize, key: &mut Vec<'_, u8>) -> Result<(), Error> {
        match (source.checked_sub(1), self.memory) {
            (None, Some(memory)) => Ok(key.extend_from_slice(memory.key(row))?),
            (None, None) => Ok(()),
            (Some(place), _) => self.segments[place].put_key(row, key),
        }
    }
}

impl<'a> Versions<'a> {
    /// The versions of a table in its segments, which are sorted by level, with some columns.
    ///
    /// # Errors
    /// The arena's budget refuses.
    pub(super) fn new(
        table: &Table,
        segments: &'a [Arc<Segment>],
        columns: &[u16],
        cache: &'a Cache,
        arena: &'a Arena,
    ) -> Result<Versions<'a>, AllocError> {
        let schema = table.schema();
        let schema = Schema {
            columns: arena.alloc_slice_copy(schema.columns)?,
            key: arena.alloc_slice_copy(schema.key)?,
        };
        let mut chains: Vec<'_, &[Arc<Segment>]> = Vec::new_in(arena);
        for place in of_level(segments, 0) {
            chains.push(&segments[place..place + 1])?;
        }
        for level in 1..LEVELS {
            let places = of_level(segments, level);
            if !places.is_empty() {
                chains.push(&segments[places])?;
            }
        }
        let limit = usize::try_from(arena.budget().limit_on_path()).unwrap_or(usize::MAX);
        let rows_max = (limit / 4096).clamp(ROWS_MIN, ROWS_MAX);
        let readers = chains.len() * (schema.key.len() + columns.len() + 2);
        let read_ahead_bytes = (limit / 4 / readers.max(1)).min(READ_AHEAD_BYTES_MAX);
        let mut inputs = Vec::with_capacity_in(chains.len(), arena)?;
        for _ in chains.iter() {
            inputs.push(SegmentInput::new(schema, read_ahead_bytes, rows_max, arena)?)?;
        }
        let mut batch = Batch {
            columns: Vec::with_capacity_in(columns.len(), arena)?,
            keys: Vec::new_in(arena),
            rows: Vec::with_capacity_in(rows_max, arena)?,
        };
        for column in columns {
            let ty = schema.columns[usize::from(*column)].ty;
            batch.columns.push(Column::new(ty, rows_max, arena)?)?;
        }
        Ok(Versions {
            table: table.id(),
            schema,
            columns: arena.alloc_slice_copy(columns)?,
            chains,
            inputs,
            cache,
            picks: Vec::new_in(arena),
            batch,
            last_key: Vec::new_in(arena),
            last_source: None,
            rows_max,
            arena,
        })
    }

    /// Gives the versions of a range to `visit`, with those of the table in `memory`. Ranges come one behind the other.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Io`]; the arena's budget refuses; those of `visit`.
    pub(super) fn each(
        &mut self,
        range: &EncodedRange,
        memory: Option<Memtable<'_>>,
        visit: &mut dyn FnMut(&Seen<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let shape = self.schema.key_shape();
        let start = (&range.from[..], u64::MAX);
        let mut memory = memory
            .map(|memory| MemoryInput::new(memory.cursor(), self.table, shape, (0, u64::MAX), start, range));
        for (input, chain) in self.inputs.iter_mut().zip(self.chains.iter()) {
            input.attach(chain.iter().cloned(), 0, &range.from, range, self.cache)?;
            input.move_on(range)?;
        }
        let mut merge = Merge::new(shape, 1 + self.inputs.len(), self.arena)?;
        loop {
            let mut room = self.rows_max;
            let inputs = Inputs { memory: &memory, segments: &self.inputs };
            let step = merge.step(&inputs, &Filter::UpTo(u64::MAX), &mut self.picks, &mut room)?;
            self.copy_picks(&memory)?;
            self.give(visit)?;
            match step {
                Step::Full => {}
                Step::End => return Ok(()),
                Step::Window(source) => {
                    match (source.checked_sub(1), &mut memory) {
                        (None, Some(memory)) => memory.move_on(range),
                        (None, None) => {}
                        (Some(place), _) => self.inputs[place].move_on(range)?,
                    }
                    merge.moved_on(source);
                }
            }
        }
    }

    fn copy_picks(&mut self, memory: &Option<MemoryInput<'_>>) -> Result<(), Error> {
        let Batch { columns, keys, rows: batch } = &mut self.batch;
        keys.clear();
        batch.clear();
        columns.iter_mut().for_each(Column::clear);
        for pick in self.picks.iter() {
            let (rows, at) = (pick.start as usize..(pick.start + pick.count) as usize, batch.len());
            let source = usize::from(pick.source);
            let inputs = Inputs { memory, segments: &self.inputs };
            let window = inputs.window(source);
            for row in rows.clone() {
                inputs.put_key(source, row, keys)?;
                let place = source.checked_sub(1).map(|place| self.inputs[place].place());
                let is_delete = window.deletes[row];
                batch.push(BatchRow { key_end: keys.len(), source: pick.source, is_delete, place })?;
            }
            match (source.checked_sub(1), memory) {
                (Some(place), _) => {
                    for (column, into) in self.columns.iter().zip(columns.iter_mut()) {
                        self.inputs[place].copy(*column, rows.clone(), into.target(), at)?;
                    }
                }
                (None, Some(memory)) => {
                    for (column, into) in self.columns.iter().zip(columns.iter_mut()) {
                        for (place, row) in rows.clone().enumerate() {
                            let mut target = [into.target()];
                            memory.copy(row, &self.schema, &[*column], &mut target, at + place)?;
                        }
                    }
                }
                (None, None) => {}
            }
        }
        self.picks.clear();
        Ok(())
    }

    /// Gives what was copied.
    fn give(&mut self, visit: &mut dyn FnMut(&Seen<'_>) -> Result<(), Error>) -> Result<(), Error> {
        let mut start = 0;
        for (row, version) in self.batch.rows.iter().enumerate() {
            let key = self.batch.keys.get(start..version.key_end).unwrap_or(&[]);
            start = version.key_end;
            let is_newest = self.last_source.is_none() || self.last_key[..] != *key;
            let is_misplaced = !is_newest && self.last_source > Some(version.source);
            let BatchRow { is_delete, place, .. } = *version;
            let columns = &self.batch.columns;
            visit(&Seen { key, is_delete, is_newest, is_misplaced, place, columns, row })?;
            if is_newest {
                self.last_key.clear();
                self.last_key.extend_from_slice(key)?;
            }
            self.last_source = Some(version.source);
        }
        Ok(())
    }
}
