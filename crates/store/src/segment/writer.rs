//! Writing a segment: rows in order become pages, pages row groups, groups a segment.

use core::cmp::Ordering;
use core::ops::Range;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::column::{Data, Kind};
use cofferdam_types::key::{bigint_key, decode_key, decoded_bytes_max, encode_key, integer_key};
use cofferdam_types::row::{decode_row, decode_row_text};
use cofferdam_types::{Decimal, Type, Value};

use super::distinct::{REGISTERS_MAX, REGISTERS_MIN, Sketches};
use super::filter::hash_key;
use super::group::{ColumnTotals, Group, GroupLimits};
use super::index::{Child, IndexBuilder};
use super::layout::{
    CONTINUES, Footer, HAS_VERSIONS, KeyBound, RANGES_MAX, RangeRecord, SEQUENCE, SYSTEM_COLUMNS,
    SYSTEM_TYPES, is_bundled, is_left_out, schema_hash,
};
use super::output::Output;
use super::piece::SegmentFile;
use super::sample::{self, Sample};
use super::sketch::{self, HeadPlace};
use super::staging::{PREFIX_BYTES, Staging};
use super::{ColumnRef, Location, SegmentSummary, physical_order, statistics};
use crate::error::Error;
use crate::page::{EncodeScratch, INLINE_BYTES_MAX, ROWS_MAX, SymbolTable};
use crate::schema::{KEY_BYTES_MAX, Schema};

/// The allowance from which on texts are compressed with symbols.
const SYMBOLS_FROM_BYTES: usize = 512 << 10;
/// What finding symbols takes for a moment: 88 KiB, in a chunk.
const TRAINING_BYTES: usize = 128 << 10;
/// Texts of a first page from which on symbols are looked for, in bytes.
const SYMBOLS_TEXT_BYTES: usize = 2 << 10;
/// Where texts were found to be none that symbols help, so many groups pass at most before they are looked at again.
const WAIT_GROUPS_MAX: u8 = 32;
/// A filter is closed where it has no room for a whole range more, so it has keys for one to so many ranges of full length; of
/// shorter ranges for more of them.
const FILTER_RANGES: usize = 2;
/// Bytes of the buffer that long texts of other files are copied through.
const COPY_BYTES: usize = 4 << 10;

/// What an arena keeps of a chunk for itself, and some more.
const CHUNK_HEADER_BYTES: usize = 256;
/// From here on chunks are multiples of this.
const CHUNK_STEP_BYTES: usize = 64 << 10;

/// How a writer divides what it is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WriterSizes {
    chunk_bytes: usize,
    page_rows: usize,
    heap_bytes: usize,
    pages_bytes: usize,
    ranges: usize,
    buffer_bytes: usize,
    symbol_tables: usize,
    /// For the estimate of a column's distinct values.
    registers: usize,
    /// Of the sample that goes with it.
    sample_rows: usize,
    row_bytes: usize,
}

impl WriterSizes {
    /// The same without symbols: texts are written as they are.
    pub(crate) fn without_symbols(self) -> WriterSizes {
        WriterSizes { symbol_tables: 0, ..self }
    }

    /// Pages of at most so many rows, to have many of them in tests.
    #[cfg(test)]
    pub(super) fn with_page_rows(self, page_rows: usize) -> WriterSizes {
        WriterSizes { page_rows, ..self }
    }

    /// Groups of at most so many ranges, likewise.
    #[cfg(test)]
    pub(super) fn with_ranges(self, ranges: usize) -> WriterSizes {
        WriterSizes { ranges, ..self }
    }

    /// The most bytes of the pages of a range.
    fn range_bytes_max(&self) -> usize {
        self.page_rows * (self.row_bytes + 33) + self.heap_bytes + 1024
    }

    /// The least that a writer of this schema is allowed: 32 KiB for up to 8 columns, 64 KiB for up to 72, and so on.
    pub(crate) fn bytes_min(schema: &Schema<'_>) -> usize {
        let bytes = (28 << 10) + schema.columns.len() * 512;
        if bytes <= CHUNK_STEP_BYTES {
            bytes.next_power_of_two()
        } else {
            bytes.next_multiple_of(CHUNK_STEP_BYTES)
        }
    }

    /// What a writer that is allowed `bytes` does with them; less than [`WriterSizes::bytes_min`] counts as that, and what
    /// is between two sizes of chunks (32 KiB, 64 KiB, multiples of 64 KiB) as the smaller one.
    ///
    /// An eighth is for what grows slowly (filters, the index, keys). Of the rest a sixteenth buffers writes, a quarter holds
    /// waiting rows (half of it their texts), seven sixteenths hold encoded pages, and a quarter is for encoding.
    pub(crate) fn of(schema: &Schema<'_>, bytes: usize) -> WriterSizes {
        let allowed_bytes = match bytes {
            CHUNK_STEP_BYTES.. => bytes / CHUNK_STEP_BYTES * CHUNK_STEP_BYTES,
            _ => CHUNK_STEP_BYTES / 2,
        };
        let allowed_bytes = allowed_bytes.max(WriterSizes::bytes_min(schema));
        let finds_symbols = allowed_bytes >= SYMBOLS_FROM_BYTES;
        let chunk_bytes = allowed_bytes - if finds_symbols { TRAINING_BYTES } else { 0 };
        let bytes = chunk_bytes - chunk_bytes / 8;
        let row_bytes: usize = schema.columns.iter().map(|column| column.kind().bytes() + 1).sum();
        let texts = schema.columns.iter().filter(|column| column.kind() == Kind::Text).count();
        let heap_bytes = if texts == 0 {
            0
        } else {
            (bytes / 8).min(texts * super::staging::page_text_bytes_max(schema.columns.len()))
        };
        // Beside its columns a row has its sequence, its kind, the hashes of its key, and 16 bytes while it is encoded.
        let beside_bytes = 25 + 8 * FILTER_RANGES;
        let page_rows = ((bytes / 4 - heap_bytes) / (row_bytes + beside_bytes)).clamp(1, ROWS_MAX);
        // Ranges of bundles are short, and a piece for each column is what others cost.
        let ranges_max = if is_bundled(schema.columns.len()) { RANGES_MAX } else { RANGES_MAX / 2 };
        let places_bytes = (schema.columns.len() + SYSTEM_COLUMNS) * 32;
        // They are for planners, and worth a part of the last eighth; the sample gets as much of what is for pages, if it needs it.
        let (sample_rows, sample_bytes) = sample::rows_for(schema, chunk_bytes / 16);
        let mut registers = [REGISTERS_MAX, REGISTERS_MIN].into_iter();
        let registers = registers.find(|count| count * schema.columns.len() <= chunk_bytes / 32).unwrap_or(0);
        WriterSizes {
            registers,
            sample_rows,
            chunk_bytes,
            page_rows,
            heap_bytes,
            pages_bytes: (bytes / 16 * 7 - sample_bytes.saturating_sub(chunk_bytes / 32)).min(16 << 20),
            ranges: (bytes / 16 / places_bytes).clamp(1, ranges_max),
            buffer_bytes: (bytes / 16).clamp(2 << 10, 256 << 10),
            row_bytes: row_bytes + schema.columns.len() * 64 / page_rows,
            symbol_tables: if finds_symbols { (bytes / 16 / size_of::<SymbolTable>()).min(texts) } else { 0 },
        }
    }
}

/// Writes a segment into a file, behind what is there.
///
/// Rows come sorted by key, then by sequence, the newest first. Nothing is synced: whoever writes several segments into
/// a file syncs it once, behind all of them. A writer that is dropped leaves bytes that nobody knows.
///
/// **Memory.** The allowance that [`WriterSizes::of`] was given, all of it from the arena, as one chunk at once. More only
/// for keys longer than some hundred bytes (twice the longest, and two for each level of the index), a row whose texts
/// (of up to 8 KiB each) have more bytes than a sixteenth of the allowance, and segments of more than some hundred
/// groups. Long texts pass through the write buffer.
#[derive(Debug)]
pub(crate) struct SegmentWriter<'f, 's, 'a> {
    schema: Schema<'s>,
    /// The schema's columns in the order of the file.
    order: Vec<'a, u16>,
    out: Output<'f, 'a>,
    start: u64,
    staging: Staging<'a>,
    group: Group<'a>,
    index: IndexBuilder<'a>,
    scratch: EncodeScratch<'a>,
    sizes: WriterSizes,
    totals: Vec<'a, ColumnTotals>,
    sketches: Sketches<'a>,
    sample: Sample<'a>,
    /// The group's tables, by column.
    symbols: Vec<'a, (u16, SymbolTable)>,
    /// By column in the order of the file.
    waits: Vec<'a, Waits>,
    /// Where symbols are looked for; empty otherwise.
    training: Arena,
    /// The open range, and how many rows of it were looked at.
    range: RangeRecord,
    range_rows: usize,
    key: Vec<'a, u8>,
    last: LastRow<'a>,
    smallest: Vec<'a, u8>,
    group_separator: Vec<'a, u8>,
    copy_buffer: Vec<'a, u8>,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    rows: u64,
    /// Rows that are an older version of the row before.
    versions: u64,
    tombstones: u64,
    groups: u32,
    ranges: u32,
    written_rows: u64,
    sequence_min: u64,
    sequence_max: u64,
}

/// The row that was looked at last.
#[derive(Debug)]
struct LastRow<'a> {
    key: Vec<'a, u8>,
    sequence: u64,
}

/// What stands for a row's columns in a range: rows that wait, or rows of a batch.
enum RangeSource<'v> {
    Staged,
    Batch { columns: &'v [ColumnRef<'v>], first: usize, rows: usize },
}

impl<'f, 's, 'a> SegmentWriter<'f, 's, 'a> {
    /// A writer behind byte `offset` of a file.
    ///
    /// # Errors
    /// The arena's budget refuses what `sizes` say.
    pub(crate) fn new(
        file: &'f SegmentFile,
        offset: u64,
        schema: Schema<'s>,
        sizes: WriterSizes,
        arena: &'a Arena,
    ) -> Result<SegmentWriter<'f, 's, 'a>, Error> {
        // One chunk for all, so that nothing is lost at the ends of several.
        arena.reserve(sizes.chunk_bytes - CHUNK_HEADER_BYTES)?;
        let mut order = Vec::with_capacity_in(schema.columns.len(), arena)?;
        order.extend(physical_order(&schema))?;
        let kinds =
            (0..order.len() + SYSTEM_COLUMNS).map(|physical| match physical.checked_sub(SYSTEM_COLUMNS) {
                Some(index) => schema.columns[usize::from(order[index])].kind(),
                None => Kind::of(SYSTEM_TYPES[physical]),
            });
        let limits = GroupLimits {
            ranges: sizes.ranges,
            pages_bytes: sizes.pages_bytes,
            slack_bytes: 16 * sizes.page_rows + 1024,
            filter_keys: FILTER_RANGES * sizes.page_rows,
        };
        let mut totals = Vec::with_capacity_in(schema.columns.len(), arena)?;
        for column in schema.columns {
            let kind = column.kind();
            totals.push(ColumnTotals { kind, nulls: 0, bytes: 0, text_bytes: 0, distinct: 0, zone: None })?;
        }
        let mut waits = Vec::with_capacity_in(schema.columns.len(), arena)?;
        waits.resize(schema.columns.len(), Waits { groups: 0, next: 1 })?;
        Ok(SegmentWriter {
            group: Group::new_in(kinds, limits, arena)?,
            out: Output::new(file, offset, sizes.buffer_bytes, arena)?,
            start: offset,
            staging: Staging::new_in(&schema, sizes.page_rows, sizes.heap_bytes, arena)?,
            index: IndexBuilder::new_in(arena),
            sketches: Sketches::new_in(schema.columns.len(), sizes.registers, arena)?,
            sample: Sample::new_in(&schema, sizes.sample_rows, arena)?,
            scratch: match EncodeScratch::new_in(arena) {
                scratch if is_bundled(schema.columns.len()) => scratch.without_sums(),
                scratch => scratch,
            },
            training: Arena::new(arena.budget()),
            symbols: Vec::with_capacity_in(sizes.symbol_tables, arena)?,
            waits,
            range: RangeRecord::default(),
            range_rows: 0,
            key: Vec::new_in(arena),
            last: LastRow { key: Vec::new_in(arena), sequence: 0 },
            smallest: Vec::new_in(arena),
            group_separator: Vec::new_in(arena),
            copy_buffer: Vec::new_in(arena),
            counts: Counts { sequence_min: u64::MAX, ..Counts::default() },
            schema,
            order,
            sizes,
            totals,
        })
    }

    /// Bytes that the segment has in the file so far; what waits in memory is not in it.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.out.position() - self.start
    }

    /// Appends the rows `rows` of a batch, one column for each of the schema's. `sequences` are relative to the base that
    /// readers will be told, `deletes` says which rows are tombstones: of these only the key is kept.
    ///
    /// # Errors
    /// Those of the system; a budget refuses; the rows are out of order. The writer is of no use then.
    ///
    /// # Panics
    /// If a slice is too short, or a column of another kind.
    pub(crate) fn push_batch(
        &mut self,
        columns: &[ColumnRef<'_>],
        sequences: &[u64],
        deletes: &[bool],
        rows: Range<usize>,
    ) -> Result<(), Error> {
        assert_eq!(columns.len(), self.schema.columns.len(), "a batch has the schema's columns");
        let mut at = rows.start;
        while at < rows.end {
            let direct = self.staging.fit_directly(columns, deletes, at..rows.end);
            let count = if direct > 0 { direct } else { self.staging.fit(columns, at..rows.end) };
            if count == 0 {
                self.close_range(&RangeSource::Staged)?;
                continue;
            }
            let now = at..at + count;
            for row in now.clone() {
                self.encode_key(columns, row)?;
                self.note_row(sequences[row], deletes[row])?;
            }
            self.staging.put_versions(&sequences[now.clone()], &deletes[now.clone()]);
            if direct > 0 {
                self.close_range(&RangeSource::Batch { columns, first: at, rows: count })?;
            } else {
                let buffer = copy_buffer(&mut self.copy_buffer, columns)?;
                self.staging.append(&self.schema, columns, deletes, now, &mut self.out, buffer)?;
                if self.staging.is_full() {
                    self.close_range(&RangeSource::Staged)?;
                }
            }
            at += count;
        }
        Ok(())
    }

    /// Appends a row: `row` is its columns as [`cofferdam_types::row`] encodes them, one behind the other; of a
    /// tombstone it is not looked at.
    ///
    /// # Errors
    /// As [`SegmentWriter::push_batch`]; bytes that are no such row.
    pub(crate) fn push_row(
        &mut self,
        key: &[u8],
        sequence: u64,
        is_delete: bool,
        row: &[u8],
    ) -> Result<(), Error> {
        if self.staging.is_full()
            || (self.staging.rows() > 0 && !self.staging.fits_bytes(row.len().max(key.len())))
        {
            self.close_range(&RangeSource::Staged)?;
        }
        self.key.clear();
        self.key.extend_from_slice(key)?;
        self.note_row(sequence, is_delete)?;
        self.staging.put_version(sequence, is_delete);
        if is_delete {
            self.stage_key(key)?
        } else {
            self.stage_row(row)?
        }
        self.staging.end_row();
        Ok(())
    }

    /// Appends a row whose key is above that of the last one and that has a value for each column, of its type. `bytes` is what [`staged_bytes`] says of all of them, at most a
    /// sixteenth of what the writer was allowed.
    ///
    /// # Errors
    /// As [`SegmentWriter::push_batch`].
    pub(crate) fn push_values(
        &mut self,
        key: &[u8],
        sequence: u64,
        values: &[Value<'_>],
        bytes: usize,
    ) -> Result<(), Error> {
        if self.staging.is_full() || (self.staging.rows() > 0 && !self.staging.fits_bytes(bytes)) {
            self.close_range(&RangeSource::Staged)?;
        }
        self.key.clear();
        self.key.extend_from_slice(key)?;
        debug_assert!(self.counts.rows == 0 || self.last.key[..] < self.key[..], "rows come in order");
        self.note_row_behind(false, sequence, false)?;
        self.staging.put_version(sequence, false);
        for (index, value) in values.iter().enumerate() {
            self.staging.put_value(index, *value, &mut self.out)?;
        }
        self.staging.end_row();
        Ok(())
    }

    fn stage_row(&mut self, mut row: &[u8]) -> Result<(), Error> {
        self.staging.reserve_texts(&self.schema, row)?;
        for (index, column) in self.schema.columns.iter().enumerate() {
            let used = if column.kind() == Kind::Text && column.ty != Type::Numeric {
                let (text, used) = decode_row_text(row).map_err(|_| self.refused("a row is damaged"))?;
                self.staging.put_text_value(index, text, &mut self.out)?;
                used
            } else {
                let (value, used) =
                    decode_row(row, column.ty).map_err(|_| self.refused("a row is damaged"))?;
                self.staging.put_value(index, value, &mut self.out)?;
                used
            };
            row = row.get(used..).unwrap_or(&[]);
        }
        Ok(())
    }

    fn stage_key(&mut self, mut key: &[u8]) -> Result<(), Error> {
        for index in 0..self.schema.columns.len() {
            self.staging.put_value(index, Value::Null, &mut self.out)?;
        }
        for part in self.schema.key {
            let index = usize::from(part.column);
            let ty = self.schema.columns[index].ty;
            // No text of a key is longer than the key.
            let text = super::piece::sized(&mut self.copy_buffer, decoded_bytes_max(key.len()))?;
            let decoded = decode_key(key, ty, part.order, text);
            let (value, used) =
                decoded.map_err(|_| Error::corrupt(self.out.file().id(), 0, "a key is damaged"))?;
            self.staging.put_value(index, value, &mut self.out)?;
            key = key.get(used..).unwrap_or(&[]);
        }
        Ok(())
    }

    /// Writes what waits and the rest of the segment. `None` where no row came; then nothing was written.
    ///
    /// # Errors
    /// As [`SegmentWriter::push_batch`].
    pub(crate) fn finish(mut self) -> Result<Option<SegmentSummary<'a>>, Error> {
        if self.counts.rows == 0 {
            return Ok(None);
        }
        if self.range_rows > 0 {
            self.close_range(&RangeSource::Staged)?;
        }
        self.close_group()?;
        let root = self.index.finish(&mut self.out)?;
        for (index, totals) in self.totals.iter_mut().enumerate() {
            totals.distinct = self.sketches.estimate(index, self.counts.rows - totals.nulls);
        }
        let statistics_offset = statistics::write(&self.totals, &mut self.out)?;
        let sketches = self.write_sketches()?;
        let Counts { rows, tombstones, groups, ranges, sequence_min, sequence_max, .. } = self.counts;
        let footer = Footer {
            columns_count: self.schema.columns.len() as u32,
            key_columns_count: self.schema.key.len() as u16,
            height: root.height,
            groups_count: groups,
            ranges_count: ranges,
            root_len: root.len,
            rows_count: rows,
            tombstones_count: tombstones,
            sequence_min,
            sequence_max,
            start: self.start,
            root_offset: root.offset,
            statistics_offset,
            schema_hash: schema_hash(&self.schema, self.schema.columns.len()),
            long_bytes: self.out.long_bytes(),
            smallest: KeyBound::new(&self.smallest),
            largest: KeyBound::new(&self.last.key),
            sketches,
        };
        let footer_offset = self.out.position();
        self.out.put(&footer.write(self.out.file().salt(), footer_offset))?;
        self.out.flush()?;
        Ok(Some(SegmentSummary {
            location: Location { footer_offset },
            start: self.start,
            end: self.out.position(),
            rows_count: rows,
            tombstones_count: tombstones,
            sequence_min,
            sequence_max,
            smallest_key: self.smallest,
            largest_key: self.last.key,
        }))
    }

    /// Writes what planners want to know; no part of the reservation is needed any more for pages.
    fn write_sketches(&mut self) -> Result<HeadPlace, Error> {
        let closed = self.sample.close(self.counts.rows)?;
        let (buffer, piece) = self.group.buffers();
        sketch::write(
            &self.totals,
            self.counts.rows - self.counts.versions,
            (&self.sketches, &self.sample, closed),
            (&mut self.scratch, buffer, piece),
            &mut self.out,
        )
    }

    // ------------------------------------------------------------------------------------------------- keys

    /// The encoded key of a row of a batch, into `self.key`.
    fn encode_key(&mut self, columns: &[ColumnRef<'_>], row: usize) -> Result<(), Error> {
        self.key.clear();
        for part in self.schema.key {
            let index = usize::from(part.column);
            let (column, ty) = (&columns[index], self.schema.columns[index].ty);
            // The usual keys, without a detour.
            if !part.order.descending && !column.is_null(row) {
                match (column.data, ty) {
                    (Data::I64(values), Type::BigInt) => {
                        let mut key = [1; 9];
                        key[1..].copy_from_slice(&bigint_key(values[row]));
                        self.key.extend_from_slice(&key)?;
                        continue;
                    }
                    (Data::I32(values), Type::Integer | Type::Date) => {
                        let mut key = [1; 5];
                        key[1..].copy_from_slice(&integer_key(values[row]));
                        self.key.extend_from_slice(&key)?;
                        continue;
                    }
                    _ => {}
                }
            }
            encode_key(column.value(row, ty), part.order, &mut |bytes: &[u8]| {
                self.key.extend_from_slice(bytes)
            })?;
        }
        Ok(())
    }

    /// Looks at the version of `self.key` that comes next: is it in order, does a range begin with it?
    fn note_row(&mut self, sequence: u64, is_delete: bool) -> Result<(), Error> {
        let order = if self.counts.rows == 0 { Ordering::Less } else { self.last.key[..].cmp(&self.key[..]) };
        let is_version = match order {
            Ordering::Less => false,
            Ordering::Equal if sequence < self.last.sequence => true,
            _ => return Err(self.refused("rows are written out of order")),
        };
        self.note_row_behind(is_version, sequence, is_delete)
    }

    /// [`SegmentWriter::note_row`] for one that is known to be in order: a further version of the last key or not.
    fn note_row_behind(&mut self, is_version: bool, sequence: u64, is_delete: bool) -> Result<(), Error> {
        if self.key.len() > KEY_BYTES_MAX {
            return Err(self.refused("a key is longer than keys are"));
        }
        let is_new_filter = self.range_rows == 0 && self.begin_range(is_version, sequence)?;
        if !is_version || is_new_filter {
            let hash = hash_key(&self.key);
            self.group.add_key(hash)?;
            if self.sample.wants(hash) && !is_version {
                self.sample.choose(hash, self.range_rows as u16, is_delete)?;
            }
        }
        if self.counts.rows == 0 {
            self.smallest.extend_from_slice(&self.key)?;
        }
        self.range.flags |= if is_version { HAS_VERSIONS } else { 0 };
        self.range.tombstones += u16::from(is_delete);
        self.range.sequence_min = self.range.sequence_min.min(sequence);
        self.range.sequence_max = self.range.sequence_max.max(sequence);
        self.range_rows += 1;
        self.counts.rows += 1;
        self.counts.versions += u64::from(is_version);
        self.counts.tombstones += u64::from(is_delete);
        self.last.sequence = sequence;
        core::mem::swap(&mut self.last.key, &mut self.key);
        Ok(())
    }

    #[cold]
    fn refused(&self, what: &'static str) -> Error {
        Error::corrupt(self.out.file().id(), self.out.position(), what)
    }

    /// Begins a range with `self.key`; true where it begins a filter too.
    fn begin_range(&mut self, is_version: bool, sequence: u64) -> Result<bool, Error> {
        if !self.group.is_empty()
            && !self.group.has_room_for(self.sizes.page_rows, self.sizes.range_bytes_max())
        {
            self.close_group()?;
        }
        let flags = if is_version { CONTINUES } else { 0 };
        self.range = RangeRecord { flags, sequence_min: u64::MAX, ..RangeRecord::default() };
        // The shortest bytes that are greater than the last versioned key and not greater than this one.
        let common = self.last.key.iter().zip(self.key.iter()).take_while(|(a, b)| a == b).count();
        let is_first = self.group.is_empty();
        if is_first {
            self.group_separator.clear();
        }
        let (last, this) = ((!self.last.sequence).to_be_bytes(), (!sequence).to_be_bytes());
        let common_suffix = last.iter().zip(&this).take_while(|(a, b)| a == b).count();
        let (start, suffix): (&[u8], &[u8]) = match (self.counts.rows, is_version) {
            (0, _) => (&[], &[]),
            (_, false) => (self.key.get(..=common).unwrap_or(&self.key), &[]),
            (_, true) => (&self.key, this.get(..=common_suffix).unwrap_or(&this)),
        };
        if is_first {
            self.group_separator.extend_from_slice(start)?;
            self.group_separator.extend_from_slice(suffix)?;
        }
        self.group.begin_range(start, suffix, self.sizes.page_rows)
    }

    // ------------------------------------------------------------------------------------- ranges and groups

    /// Encodes the open range.
    fn close_range(&mut self, source: &RangeSource<'_>) -> Result<(), Error> {
        let rows = match source {
            RangeSource::Staged => self.staging.rows(),
            RangeSource::Batch { rows, .. } => *rows,
        };
        debug_assert_eq!(rows, self.range_rows);
        for physical in 0..SYSTEM_COLUMNS {
            let RangeRecord { sequence_min, sequence_max, tombstones, .. } = self.range;
            if is_left_out(physical, rows as u32, (sequence_min, sequence_max), tombstones) {
                self.group.leave_out_page()?;
                continue;
            }
            let values = match physical {
                SEQUENCE => self.staging.sequences(rows),
                _ => self.staging.deletes(rows),
            };
            self.group.add_page(&values, None, &mut self.scratch)?;
        }
        let is_first = self.group.is_empty();
        for physical in 0..self.order.len() {
            let index = usize::from(self.order[physical]);
            if is_first && self.schema.columns[index].kind() == Kind::Text {
                self.find_symbols(physical, index, source)?;
            }
            let table = self.symbols.iter().find(|(column, _)| usize::from(*column) == physical);
            let values = match source {
                RangeSource::Staged => self.staging.column(index)?,
                RangeSource::Batch { columns, first, rows } => columns[index].page_values(*first, *rows),
            };
            let stats = self.group.add_page(&values, table.map(|(_, table)| table), &mut self.scratch)?;
            self.totals[index].add(&values, &stats);
            self.sketches.add(index, &values);
            if self.sample.is_waiting() {
                self.sample.copy(index, &values);
            }
        }
        if self.sample.is_waiting() {
            self.sample.end_range();
        }
        if let Some(sizes) = self.group.end_range(rows, self.range)? {
            self.staging.aim(sizes);
        }
        self.counts.ranges += 1;
        self.counts.sequence_min = self.counts.sequence_min.min(self.range.sequence_min);
        self.counts.sequence_max = self.counts.sequence_max.max(self.range.sequence_max);
        self.range_rows = 0;
        self.staging.clear();
        Ok(())
    }

    /// Looks for symbols in the first page of a column in a group.
    fn find_symbols(&mut self, physical: usize, index: usize, source: &RangeSource<'_>) -> Result<(), Error> {
        let waits = &mut self.waits[physical];
        if waits.groups > 0 {
            waits.groups -= 1;
            return Ok(());
        }
        if self.symbols.len() >= self.sizes.symbol_tables
            || self.training.reserve(TRAINING_BYTES - CHUNK_HEADER_BYTES).is_err()
        {
            return Ok(());
        }
        let table = match source {
            RangeSource::Staged => train(|| self.staging.texts(index), &self.training),
            RangeSource::Batch { columns, first, rows } => {
                train(|| (*first..first + rows).map(|row| columns[index].text(row)), &self.training)
            }
        };
        self.training.release();
        // Without memory for it, texts are written as they are.
        let waits = &mut self.waits[physical];
        waits.next = if matches!(table, Ok(None)) { (waits.next * 4).min(WAIT_GROUPS_MAX) } else { 1 };
        waits.groups = waits.next - 1;
        if let Ok(Some(table)) = table {
            self.group.add_symbols(physical + SYSTEM_COLUMNS, &table)?;
            self.symbols.push((physical as u16, table))?;
        }
        Ok(())
    }

    fn close_group(&mut self) -> Result<(), Error> {
        let first_row = self.counts.written_rows;
        let written = self.group.write(first_row, &mut self.out)?;
        let separator = &self.group_separator;
        let child = Child { separator, offset: written.offset, len: written.len, first_row };
        self.index.add(child, &mut self.out)?;
        self.counts.written_rows += u64::from(written.rows);
        self.counts.groups += 1;
        self.symbols.clear();
        Ok(())
    }
}

/// How many bytes of a value wait beside its column at most: those of a text, or the beginning of a long one.
pub(crate) fn staged_bytes(value: &Value<'_>) -> usize {
    match value {
        // Of a column whose numbers have scales of their own; the others take nothing.
        Value::Decimal(_) => Decimal::COMPACT_BYTES_MAX,
        value => match value.heap_bytes().map_or(0, <[u8]>::len) {
            bytes if bytes > INLINE_BYTES_MAX => PREFIX_BYTES,
            bytes => bytes,
        },
    }
}

/// How long a column's texts are not looked at for symbols, since they had none that help: four times as long each time.
#[derive(Clone, Copy, Debug)]
struct Waits {
    /// So many groups from now on.
    groups: u8,
    /// One less than so many behind the next look.
    next: u8,
}

/// A table for texts like these, if there are enough of them.
fn train<'t, I: Iterator<Item = &'t [u8]>>(
    texts: impl Fn() -> I,
    scratch: &Arena,
) -> Result<Option<SymbolTable>, AllocError> {
    if texts().map(<[u8]>::len).sum::<usize>() < SYMBOLS_TEXT_BYTES {
        return Ok(None);
    }
    SymbolTable::train(texts(), scratch)
}

/// A buffer for copying long texts, where a batch has any.
fn copy_buffer<'b>(buffer: &'b mut Vec<'_, u8>, columns: &[ColumnRef<'_>]) -> Result<&'b mut [u8], Error> {
    let has_longs = columns.iter().any(|column| !column.longs.is_empty());
    super::piece::sized(buffer, if has_longs { COPY_BYTES } else { 0 })
}
