//! What a merge reads from: memtables and segments, each shown as windows of rows.
//!
//! | source | window | how long it stays |
//! |---|---|---|
//! | memtable, a transaction's write set | up to [`MEMORY_ROWS`] entries | as long as the memtable is pinned |
//! | a segment, or the segments of a level behind one another | rows of one page range | until it is used up |

use std::sync::Arc;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::row::decode_row;

use crate::cache::Cache;
use crate::encode::EncodedRange;
use crate::error::Error;
use crate::files::FileId;
use crate::memtable::{Cursor, Entry, EntryKind};
use crate::merge::Window;
use crate::page::{ColumnMut, LongRef, ROWS_MAX};
use crate::schema::{KeyShape, Schema, TableId};
use crate::segment::{PageSource, RangePlace, SegmentCursor, SegmentFile, ZoneLimits};
use crate::version::Segment;

/// Entries of a memtable that are looked at together.
pub(crate) const MEMORY_ROWS: usize = 64;

/// A window of a memtable's entries.
pub(crate) struct MemoryInput<'p> {
    cursor: Cursor<'p>,
    table: TableId,
    shape: KeyShape,
    /// Added to sequences: [`OWN_SEQUENCE`](crate::merge::OWN_SEQUENCE) for a transaction's own changes.
    base: u64,
    /// Rows of more bytes together are not shown at once.
    rows_bytes_max: u64,
    entries: [Option<Entry<'p>>; MEMORY_ROWS],
    prefixes: [u64; MEMORY_ROWS],
    sequences: [u64; MEMORY_ROWS],
    deletes: [bool; MEMORY_ROWS],
    count: usize,
}

impl<'p> MemoryInput<'p> {
    /// The entries of a table from a key on, of which versions with at most `sequence`; `rows_bytes_max` is what the rows of a window
    /// have, but for the last of them.
    pub(crate) fn new(
        mut cursor: Cursor<'p>,
        table: TableId,
        shape: KeyShape,
        (base, rows_bytes_max): (u64, u64),
        (key, sequence): (&[u8], u64),
        range: &EncodedRange,
    ) -> MemoryInput<'p> {
        cursor.seek(table, key, sequence.saturating_sub(base));
        let mut input = MemoryInput {
            cursor,
            table,
            shape,
            base,
            rows_bytes_max,
            entries: [None; MEMORY_ROWS],
            prefixes: [0; MEMORY_ROWS],
            sequences: [0; MEMORY_ROWS],
            deletes: [false; MEMORY_ROWS],
            count: 0,
        };
        input.move_on(range);
        input
    }

    /// Shows the next entries; none at the end of the range.
    pub(crate) fn move_on(&mut self, range: &EncodedRange) {
        self.count = 0;
        let mut bytes = 0;
        while self.count < MEMORY_ROWS && bytes <= self.rows_bytes_max {
            let entry = self.cursor.entry().filter(|entry| entry.table == self.table);
            let Some(entry) = entry.filter(|entry| !range.is_behind(entry.key)) else { break };
            self.entries[self.count] = Some(entry);
            self.prefixes[self.count] = self.shape.prefix(entry.key);
            self.sequences[self.count] = self.base + entry.sequence;
            self.deletes[self.count] = entry.kind == EntryKind::Delete;
            bytes += entry.row.len() as u64;
            self.count += 1;
            self.cursor.next();
        }
    }

    pub(crate) fn window(&self) -> Window<'_> {
        Window {
            prefixes: &self.prefixes[..self.count],
            sequences: &self.sequences[..self.count],
            deletes: &self.deletes[..self.count],
            is_plain: false,
        }
    }

    pub(crate) fn key(&self, row: usize) -> &'p [u8] {
        self.entries[row].expect("a row of the window").key
    }

    /// Writes columns of a row to row `at` of `into`.
    pub(crate) fn copy(
        &self,
        row: usize,
        schema: &Schema<'_>,
        columns: &[u16],
        into: &mut [ColumnMut<'_, '_>],
        at: usize,
    ) -> Result<(), AllocError> {
        let mut rest = self.entries[row].expect("a row of the window").row;
        for (column, ty) in schema.columns.iter().enumerate() {
            if rest.is_empty() {
                // A tombstone.
                break;
            }
            let (value, used) = decode_row(rest, ty.ty).expect("it was encoded by the store");
            rest = &rest[used..];
            for (place, _) in columns.iter().enumerate().filter(|(_, wanted)| usize::from(**wanted) == column)
            {
                into[place].put(at, value)?;
            }
        }
        Ok(())
    }
}

/// A window of a segment's rows, or of the segments of a level one after the other.
///
/// **Memory.** 17 bytes for each row of the window, and what its cursor takes for the columns that are read. Both are kept
/// and used again when the input is attached to other segments.
pub(crate) struct SegmentInput<'a> {
    /// By key; what is left of them begins at `next`.
    chain: Vec<'a, Arc<Segment>>,
    next: usize,
    /// None before the first segment.
    cursor: Option<SegmentCursor<'a, 'a>>,
    schema: Schema<'a>,
    read_ahead_bytes: usize,
    keeps_pages: bool,
    /// Of these columns no more bytes of long texts each are in a window, but for one row's.
    texts: &'a [u16],
    texts_bytes_max: u64,
    arena: &'a Arena,
    /// The sequence up to which rows count whatever the filter.
    plain_until: u64,
    /// Page ranges without rows within these may be left out.
    limits: &'a [ZoneLimits<'a>],
    /// Of segments of this level and those below it.
    limits_level: u8,
    /// The cursor came to its page range and did not ask for the limits yet.
    is_new_range: bool,
    /// Behind the last row of the segment that is in the range.
    end_row: u64,
    /// The rows of the window within the cursor's page range.
    start: usize,
    count: usize,
    is_plain: bool,
    /// The window shows these rows.
    is_shown: bool,
    prefixes: Vec<'a, u64>,
    sequences: Vec<'a, u64>,
    deletes: Vec<'a, bool>,
}

impl<'a> SegmentInput<'a> {
    /// An input of no segments, with windows of so many rows.
    pub(crate) fn new(
        schema: Schema<'a>,
        read_ahead_bytes: usize,
        window_rows: usize,
        arena: &'a Arena,
    ) -> Result<SegmentInput<'a>, AllocError> {
        let rows = window_rows.clamp(1, ROWS_MAX);
        let mut input = SegmentInput {
            chain: Vec::new_in(arena),
            next: 0,
            cursor: None,
            schema,
            read_ahead_bytes,
            keeps_pages: false,
            texts: &[],
            texts_bytes_max: u64::MAX,
            arena,
            plain_until: 0,
            limits: &[],
            limits_level: 0,
            is_new_range: false,
            end_row: 0,
            start: 0,
            count: 0,
            is_plain: false,
            is_shown: false,
            prefixes: Vec::new_in(arena),
            sequences: Vec::new_in(arena),
            deletes: Vec::new_in(arena),
        };
        input.prefixes.resize(rows, 0)?;
        input.sequences.resize(rows, 0)?;
        input.deletes.resize(rows, false)?;
        Ok(input)
    }

    /// The pages that it reads are kept in the cache where this has room, as they will be read again.
    pub(crate) fn keeping_pages(mut self) -> Self {
        self.keeps_pages = true;
        self
    }

    /// Windows have rows of so many bytes of long texts in each of these columns at most, or one row.
    pub(crate) fn bounded(mut self, texts: &'a [u16], texts_bytes_max: u64) -> Self {
        (self.texts, self.texts_bytes_max) = (texts, texts_bytes_max);
        self
    }

    /// Reads these segments from a key on, one behind the other. Sequences up to `plain_until` count whatever the filter.
    /// Nothing is shown before [`SegmentInput::move_on`].
    pub(crate) fn attach(
        &mut self,
        segments: impl Iterator<Item = Arc<Segment>>,
        plain_until: u64,
        key: &[u8],
        range: &EncodedRange,
        cache: &Cache,
    ) -> Result<(), Error> {
        self.chain.clear();
        self.chain.extend(segments)?;
        (self.next, self.plain_until, self.limits) = (0, plain_until, &[]);
        if let (None, Some(first)) = (&self.cursor, self.chain.first()) {
            let source = PageSource::cached(cache);
            let mut cursor =
                SegmentCursor::new(&first.reader, self.schema, source, self.read_ahead_bytes, self.arena);
            if self.keeps_pages {
                cursor.keep_pages();
            }
            self.cursor = Some(cursor);
        }
        self.enter_segment(Some(key), range)
    }

    /// Leaves out page ranges that have no row within the limits, of segments of this level and those below it. Only where no other
    /// input has older versions than these: what is left out hides nothing then.
    pub(crate) fn leave_out(&mut self, limits: &'a [ZoneLimits<'a>], least_level: u8) {
        (self.limits, self.limits_level) = (limits, least_level);
    }

    /// Lets go of the segments.
    pub(crate) fn detach(&mut self) {
        self.chain.clear();
        (self.next, self.count, self.is_shown) = (0, 0, false);
        self.at_end();
    }

    fn at_end(&mut self) {
        if let Some(cursor) = &mut self.cursor {
            cursor.detach();
        }
    }

    fn cursor_mut(&mut self) -> &mut SegmentCursor<'a, 'a> {
        self.cursor.as_mut().expect("it is attached")
    }

    /// Goes to the next segment: to the first row that is not below `key`, or to its first row.
    fn enter_segment(&mut self, key: Option<&[u8]>, range: &EncodedRange) -> Result<(), Error> {
        (self.count, self.is_shown) = (0, false);
        while let Some(segment) = self.chain.get(self.next) {
            self.next += 1;
            let cursor = self.cursor.as_mut().expect("it is attached");
            cursor.attach(&segment.reader);
            self.end_row = match &range.to {
                // Only the segment with the end of the range need be asked where that is.
                Some(to) if segment.keys().1 >= &to[..] => match cursor.seek(to)? {
                    Some(row) => cursor.range().map_or(0, |range| range.first_row) + row as u64,
                    None => segment.info.rows_count,
                },
                _ => segment.info.rows_count,
            };
            let place = match key {
                Some(key) if segment.keys().0 < key => cursor.seek(key)?,
                _ => cursor.seek_row(0)?,
            };
            if let Some(place) = place {
                (self.start, self.is_new_range) = (place, true);
                return Ok(());
            }
        }
        self.at_end();
        Ok(())
    }

    /// Goes on to the next rows, so many at most, without looking at them; false behind the last.
    pub(crate) fn advance(&mut self, rows_max: usize, range: &EncodedRange) -> Result<bool, Error> {
        self.start += self.count;
        (self.count, self.is_shown) = (0, false);
        while let Some(place) = self.cursor.as_ref().and_then(|cursor| cursor.range().copied()) {
            let end = (self.end_row.saturating_sub(place.first_row)).min(place.rows.into()) as usize;
            let is_new = core::mem::take(&mut self.is_new_range);
            if is_new && self.start < end && self.has_limits() && self.leave_unwanted()? {
                if self.cursor.as_ref().is_none_or(|cursor| cursor.range().is_none()) {
                    self.enter_segment(None, range)?;
                }
                continue;
            }
            if self.start < end {
                self.count = rows_max.min(end - self.start);
                if !self.texts.is_empty() {
                    let (texts, rows) = (self.texts, self.start..self.start + self.count);
                    let bytes_max = self.texts_bytes_max;
                    self.count = self.cursor_mut().rows_within(texts, rows, bytes_max)?;
                }
                let plain_until = self.plain_until;
                self.is_plain = self.cursor_mut().is_all_visible(plain_until);
                return Ok(true);
            }
            (self.start, self.is_new_range) = (0, true);
            let is_over = place.end_row() >= self.end_row;
            if is_over || !self.cursor_mut().next_range()? {
                self.enter_segment(None, range)?;
            }
        }
        Ok(false)
    }

    /// Whether the segment that is read is one of those that have limits.
    fn has_limits(&self) -> bool {
        let segment = self.next.checked_sub(1).and_then(|at| self.chain.get(at));
        !self.limits.is_empty() && segment.is_some_and(|segment| segment.info.level >= self.limits_level)
    }

    /// Goes on to the next page range if nothing in this one is wanted.
    fn leave_unwanted(&mut self) -> Result<bool, Error> {
        let (limits, plain_until) = (self.limits, self.plain_until);
        let has_left = self.cursor_mut().leave_unwanted(limits, plain_until)?;
        if has_left {
            (self.start, self.is_new_range) = (0, true);
        }
        Ok(has_left)
    }

    /// Shows the next rows; none behind the last.
    pub(crate) fn move_on(&mut self, range: &EncodedRange) -> Result<(), Error> {
        let has_rows = self.advance(self.prefixes.len(), range)?;
        self.is_shown = true;
        if !has_rows {
            return Ok(());
        }
        let (rows, count) = (self.start..self.start + self.count, self.count);
        let cursor = self.cursor.as_mut().expect("it is attached");
        cursor.prefixes(rows.clone(), &mut self.prefixes[..count])?;
        cursor.sequences(rows.clone(), &mut self.sequences[..count])?;
        cursor.deletes(rows, &mut self.deletes[..count])
    }

    /// Whether the window shows the rows that it went on to last.
    pub(crate) fn is_shown(&self) -> bool {
        self.is_shown
    }

    /// Whether the first of the rows that it went on to last may be a version of the key of the row before.
    pub(crate) fn continues(&self) -> bool {
        let range = self.cursor.as_ref().and_then(|cursor| cursor.range());
        self.start == 0 && range.is_some_and(|range| range.continues())
    }

    /// Goes back to the first of the rows that it went on to last.
    pub(crate) fn step_back(&mut self) {
        self.count = 0;
    }

    /// How many rows it went on to last.
    pub(crate) fn rows_count(&self) -> usize {
        self.count
    }

    /// Whether the rows that it went on to last count whatever the filter.
    pub(crate) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Appends the key of one of the rows that it went on to last, whose window need not be shown.
    pub(crate) fn put_key_of(&mut self, row: usize, key: &mut Vec<'_, u8>) -> Result<(), Error> {
        let row = self.start + row;
        self.cursor_mut().load_keys()?;
        self.cursor_mut().put_key(row, key)
    }

    pub(crate) fn window(&self) -> Window<'_> {
        Window {
            prefixes: &self.prefixes[..self.count],
            sequences: &self.sequences[..self.count],
            deletes: &self.deletes[..self.count],
            is_plain: self.is_plain,
        }
    }

    pub(crate) fn put_key(&self, row: usize, key: &mut Vec<'_, u8>) -> Result<(), Error> {
        self.cursor.as_ref().expect("it is attached").put_key(self.start + row, key)
    }

    /// The file of the segment whose rows the window shows.
    pub(crate) fn file(&self) -> Arc<SegmentFile> {
        Arc::clone(self.cursor.as_ref().expect("it is attached").segment().file())
    }

    /// The file of the rows that the window shows, and where the directory of their row group is.
    pub(crate) fn place(&self) -> (FileId, u64) {
        let cursor = self.cursor.as_ref().expect("it is attached");
        (cursor.segment().file().id(), cursor.range().map_or(0, RangePlace::group_offset))
    }

    /// [`SegmentInput::copy`] for rows that are written to another segment: see [`SegmentCursor::decode_to_copy`].
    pub(crate) fn copy_to_copy(
        &mut self,
        column: u16,
        rows: core::ops::Range<usize>,
        into: ColumnMut<'_, '_>,
        at: usize,
        longs: &mut Vec<'_, (u32, LongRef)>,
    ) -> Result<(), Error> {
        let rows = self.start + rows.start..self.start + rows.end;
        self.cursor_mut().decode_to_copy(column.into(), rows, into, at, longs)
    }

    /// Writes a column of some of the rows that it went on to last, which ascend, to the rows of `into` from `at` on.
    pub(crate) fn gather(
        &mut self,
        column: u16,
        rows: &[u16],
        into: ColumnMut<'_, '_>,
        at: usize,
    ) -> Result<(), Error> {
        let (start, mut places) = (self.start as u16, [0; ROWS_MAX]);
        let places = &mut places[..rows.len()];
        places.iter_mut().zip(rows).for_each(|(place, row)| *place = start + row);
        self.cursor_mut().gather(column.into(), places, into, at)
    }

    /// Writes a column of rows of the window to the rows of `into` from `at` on.
    pub(crate) fn copy(
        &mut self,
        column: u16,
        rows: core::ops::Range<usize>,
        into: ColumnMut<'_, '_>,
        at: usize,
    ) -> Result<(), Error> {
        let rows = self.start + rows.start..self.start + rows.end;
        self.cursor_mut().decode(column.into(), rows, into, at)
    }
}
