//! Reading a segment in order of its rows, one page range after the other.
//!
//! ```text
//!   seek or first -> range -> decode, gather, sequences, prefixes of keys … -> next range -> … -> none
//! ```
//!
//! Pages are read through one buffer a column: where ranges follow one another, a read fetches as many of the column's
//! pages as fit the buffer. What leads to the pages (directories, locations, zones) comes from the source, which may be
//! the cache. The pages themselves go past the cache unless the cursor is told to keep them ([`SegmentCursor::keep_pages`]):
//!
//! ```text
//!   pages of a column of a group   | 0  1  2  3 | 4  5  6 | 7  8  9  10 | 11 ...       each stretch is one piece of the cache
//! ```
//!
//! The pages of a column are cut into *stretches* of as many pages as fit [`Cache::stretch_bytes`]. A stretch that is read
//! from its begin to its end is kept if the cache has room that nobody uses, and if all its pages are right; in one that was kept they
//! are not checked again.
//!
//! Bundles are read past the cache, through one buffer for all columns, ahead in the same way.
//!
//! **Memory**, of the arena, for each column that is asked for: its buffer (the larger of the read-ahead and a page, at
//! most what its group has; none for pages that were kept, of which a stretch is held), and 8 bytes a page of its group;
//! for a column with symbols their table, 3 KiB. Once for all: a directory, where the source has no room for it; in
//! bundled groups the one buffer, of the larger of the read-ahead and a bundle.

use core::cell::RefCell;
use core::fmt;
use core::ops::Range;

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_types::column::{Data, Kind, TextView};
use cofferdam_types::key::encode_key;
use cofferdam_types::{Type, Value};

use super::layout::{Bundle, ColumnLocation, KIND, PageLocation, SEQUENCE, SYSTEM_COLUMNS};
use super::physical_column;
use super::piece::{PageSource, Scratch, SymbolsSlot, sized};
use super::reader::{Narrowed, Segment};
use super::search::{Depth, RangePlace, Target, physical_type};
use super::separators::VersionedKey;
use super::staging::PREFIX_BYTES;
use super::zones::{PageZone, ZoneLimits};
use crate::cache::{Cache, Piece, PieceKey};
use crate::error::Error;
use crate::page::{ColumnMut, LongRef, Page, PageError, PageValue, SymbolTable};
use crate::schema::Schema;

/// A position in a segment: a page range.
pub(crate) struct SegmentCursor<'s, 'a> {
    segment: Segment,
    schema: Schema<'s>,
    /// Where what leads to pages is read; `None`: from the file.
    cache: Option<Cache>,
    arena: &'a Arena,
    read_ahead_bytes: usize,
    keeps_pages: bool,
    readers: Vec<'a, ColumnReader<'a>>,
    bundles: BundleReader<'a>,
    range: Option<RangePlace>,
    scratch: Scratch<'a>,
    /// For texts of keys that are compressed.
    text: RefCell<Vec<'a, u8>>,
}

/// What reads a column.
struct ColumnReader<'a> {
    physical: usize,
    ty: Type,
    /// The group whose locations these are, by its directory's place.
    group: u64,
    locations: Vec<'a, u8>,
    buffer: Vec<'a, u8>,
    stretch: Stretch,
    /// The range whose page was read last, by its first row.
    read: Option<u64>,
    page: PageLocation,
    /// The page is in the bundle that was read last.
    is_bundled: bool,
    symbols: SymbolsSlot<'a>,
}

/// What reads bundles, for all columns.
struct BundleReader<'a> {
    buffer: Vec<'a, u8>,
    /// Which bytes of the file are in the buffer.
    buffered: Range<u64>,
    /// The range whose bundle was read last, by its first row.
    read: Option<u64>,
}

/// Pages of a column behind one another in memory.
#[derive(Default)]
struct Stretch {
    /// Which bytes of the file they are.
    bytes: Range<u64>,
    /// The cache's piece that has them; `None`: the reader's buffer has.
    kept: Option<Piece>,
    /// Each of them is a page and has the checksum that its location says.
    is_checked: bool,
}

impl<'s, 'a> SegmentCursor<'s, 'a> {
    /// A cursor that stands nowhere. Takes nothing yet.
    pub(crate) fn new(
        segment: &Segment,
        schema: Schema<'s>,
        source: PageSource<'_>,
        read_ahead_bytes: usize,
        arena: &'a Arena,
    ) -> SegmentCursor<'s, 'a> {
        SegmentCursor {
            segment: segment.clone(),
            schema,
            cache: source.cache().cloned(),
            arena,
            read_ahead_bytes,
            keeps_pages: false,
            readers: Vec::new_in(arena),
            bundles: BundleReader { buffer: Vec::new_in(arena), buffered: 0..0, read: None },
            range: None,
            scratch: Scratch::new_in(arena),
            text: RefCell::new(Vec::new_in(arena)),
        }
    }

    /// From here on pages are looked for in the cache, and kept there where it has room.
    pub(crate) fn keep_pages(&mut self) {
        self.keeps_pages = true;
    }

    /// Goes to another segment of the same schema, where it stands nowhere. Buffers are used again.
    pub(crate) fn attach(&mut self, segment: &Segment) {
        self.segment = segment.clone();
        self.detach();
    }

    /// Stands nowhere, and holds no piece of the cache.
    pub(crate) fn detach(&mut self) {
        self.range = None;
        for reader in self.readers.iter_mut() {
            (reader.group, reader.read, reader.stretch) = (0, None, Stretch::default());
        }
        (self.bundles.buffered, self.bundles.read) = (0..0, None);
        self.scratch.pages.let_go();
    }

    /// True where a reader that sees sequences up to `sequence` sees each row of the range, and nothing else of the same key.
    pub(crate) fn is_all_visible(&self, sequence: u64) -> bool {
        let stored = sequence.checked_sub(self.segment.base);
        self.range.zip(stored).is_some_and(|(range, stored)| range.is_all_visible(stored))
    }

    /// The segment.
    pub(crate) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// The range where the cursor stands; `None` before the first call and behind the last range.
    pub(crate) fn range(&self) -> Option<&RangePlace> {
        self.range.as_ref()
    }

    // ---------------------------------------------------------------------------------------------- positions

    /// Goes to the range of a row of the segment, and gives the row's place in it; `None` behind the last row.
    ///
    /// # Errors
    /// Those of the system; damage; the arena's budget refuses.
    pub(crate) fn seek_row(&mut self, row: u64) -> Result<Option<usize>, Error> {
        if row >= self.segment.rows_count {
            self.range = None;
            return Ok(None);
        }
        let source = PageSource::of(self.cache.as_ref());
        let range = self.segment.find_range(Target::Row(row), source, &mut self.scratch.pages)?;
        self.range = Some(range);
        Ok(Some((row - range.first_row) as usize))
    }

    /// Goes to the range of the first row whose key is not less than `key`, and gives the row's place in the range; `None`
    /// where there is none. `key` is a key or the beginning of one, or any bytes that do not begin with a whole key.
    ///
    /// # Errors
    /// As [`SegmentCursor::seek_row`].
    pub(crate) fn seek(&mut self, key: &[u8]) -> Result<Option<usize>, Error> {
        let target = VersionedKey::before(key);
        let source = PageSource::of(self.cache.as_ref());
        let range = self.segment.find_range(Target::Key(target), source, &mut self.scratch.pages)?;
        let Narrowed { rows, used, .. } =
            self.segment.narrow_by_key(&self.schema, &range, target.key, source, &mut self.scratch)?;
        // Rows whose whole keys are only the beginning of `key` come before it.
        let row = if used < target.key.len() { rows.end } else { rows.start };
        if row < range.rows as usize {
            self.range = Some(range);
            return Ok(Some(row));
        }
        self.seek_row(range.end_row())
    }

    /// Goes to the next range; false behind the last one.
    ///
    /// # Errors
    /// As [`SegmentCursor::seek_row`].
    pub(crate) fn next_range(&mut self) -> Result<bool, Error> {
        if let Some(range) = self.range {
            let source = PageSource::of(self.cache.as_ref());
            self.range = self.segment.range_after(&range, source, &mut self.scratch.pages)?;
        }
        Ok(self.range.is_some())
    }

    /// Leaves the range where the cursor stands for the next one if a reader who sees sequences up to `sequence` misses
    /// nothing: each row and nothing else is visible to it, none is wanted by all of `limits`, and no key has older versions behind
    /// it, which would be taken for the newest. True if it went on, perhaps behind the last range.
    ///
    /// # Errors
    /// As [`SegmentCursor::seek_row`].
    pub(crate) fn leave_unwanted(&mut self, limits: &[ZoneLimits<'_>], sequence: u64) -> Result<bool, Error> {
        if !self.is_all_visible(sequence) {
            return Ok(false);
        }
        for limit in limits {
            if self.zone(limit.column.into())?.is_some_and(|zone| limit.exclude(&zone)) {
                let here = self.range;
                if self.next_range()? && self.range.is_some_and(|next| next.continues()) {
                    self.range = here;
                    return Ok(false);
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What is known of a column in the range where the cursor stands.
    ///
    /// # Errors
    /// As [`SegmentCursor::seek_row`].
    pub(super) fn zone(&mut self, column: usize) -> Result<Option<PageZone>, Error> {
        let Some(range) = self.range else { return Ok(None) };
        self.segment
            .zone_of(
                &self.schema,
                &range,
                column,
                PageSource::of(self.cache.as_ref()),
                &mut self.scratch.pages.bytes,
            )
            .map(Some)
    }

    // ------------------------------------------------------------------------------------------------ columns

    /// Writes rows of the range to the rows of `into` from `at` on. Long texts are read into its heap.
    ///
    /// # Errors
    /// As [`SegmentCursor::seek_row`]; the heap's budget refuses. Rows of `into` may have been written then.
    ///
    /// # Panics
    /// If the cursor stands nowhere, there are no such rows, or the slices of `into` are too short.
    pub(crate) fn decode(
        &mut self,
        column: usize,
        rows: Range<usize>,
        mut into: ColumnMut<'_, '_>,
        at: usize,
    ) -> Result<(), Error> {
        let Some(reader) = self.load_column(column)? else {
            fill_null(into, at, rows.len());
            return Ok(());
        };
        let (segment, reader) = (&self.segment, &self.readers[reader]);
        let page = self.page(reader)?;
        let decoded = page.decode(rows.clone(), reborrow(&mut into), at, reader.table());
        decoded.map_err(|error| reader.page_error(segment, error))?;
        // At once, since an arena keeps what a growing heap leaves behind.
        reserve_longs(segment, page.longs(rows.clone()), &mut into)?;
        for (row, long) in page.longs(rows.clone()) {
            read_long(segment, long, &mut into, at + row - rows.start)?;
        }
        Ok(())
    }

    /// How many of the rows of the range, from the first on, have long texts of so many bytes together in none of some columns; one
    /// at least.
    ///
    /// # Errors
    /// As [`SegmentCursor::seek_row`].
    pub(crate) fn rows_within(
        &mut self,
        columns: &[u16],
        rows: Range<usize>,
        bytes_max: u64,
    ) -> Result<usize, Error> {
        let mut end = rows.end;
        if !self.segment.has_longs {
            return Ok(rows.len());
        }
        for &column in columns {
            let Some(reader) = self.load_column(column.into())? else { continue };
            let mut bytes = 0;
            for (row, long) in self.page(&self.readers[reader])?.longs(rows.start..end) {
                bytes += u64::from(long.len);
                if bytes > bytes_max {
                    end = row.max(rows.start + 1);
                    break;
                }
            }
        }
        Ok(end - rows.start)
    }

    /// [`SegmentCursor::decode`] of some rows of the range, which ascend.
    ///
    /// # Errors
    /// As [`SegmentCursor::decode`].
    pub(crate) fn gather(
        &mut self,
        column: usize,
        rows: &[u16],
        mut into: ColumnMut<'_, '_>,
        at: usize,
    ) -> Result<(), Error> {
        let Some(reader) = self.load_column(column)? else {
            fill_null(into, at, rows.len());
            return Ok(());
        };
        let (segment, reader) = (&self.segment, &self.readers[reader]);
        let page = self.page(reader)?;
        let gathered = page.gather(rows, reborrow(&mut into), at, reader.table());
        gathered.map_err(|error| reader.page_error(segment, error))?;
        let place = |row: usize| rows.binary_search(&(row as u16)).ok();
        let longs = || page.longs(0..page.rows()).filter_map(|(row, long)| Some((place(row)?, long)));
        reserve_longs(segment, longs(), &mut into)?;
        for (place, long) in longs() {
            read_long(segment, long, &mut into, at + place)?;
        }
        Ok(())
    }

    /// [`SegmentCursor::decode`] for rows that are copied to another segment: of a long text the first bytes are read,
    /// and its place is added to `longs`, with its row in `into`.
    ///
    /// # Errors
    /// As [`SegmentCursor::decode`]; no room in `longs`.
    pub(crate) fn decode_to_copy(
        &mut self,
        column: usize,
        rows: Range<usize>,
        mut into: ColumnMut<'_, '_>,
        at: usize,
        longs: &mut Vec<'_, (u32, LongRef)>,
    ) -> Result<(), Error> {
        let Some(reader) = self.load_column(column)? else {
            fill_null(into, at, rows.len());
            return Ok(());
        };
        let (segment, reader) = (&self.segment, &self.readers[reader]);
        let page = self.page(reader)?;
        let decoded = page.decode(rows.clone(), reborrow(&mut into), at, reader.table());
        decoded.map_err(|error| reader.page_error(segment, error))?;
        for (row, long) in page.longs(rows.clone()) {
            segment.check_long(long)?;
            let place = at + row - rows.start;
            let mut start = [0; PREFIX_BYTES];
            let start = start.get_mut(..PREFIX_BYTES.min(long.len as usize)).unwrap_or(&mut []);
            segment.file.read(start, long.offset)?;
            put_text(&mut into, place, start)?;
            longs.push((place as u32, long))?;
        }
        Ok(())
    }

    /// The sequences of rows of the range, the base added.
    ///
    /// # Errors
    /// As [`SegmentCursor::decode`].
    pub(crate) fn sequences(&mut self, rows: Range<usize>, into: &mut [u64]) -> Result<(), Error> {
        let base = self.segment.base;
        match self.range {
            Some(range) if range.leaves_out(SEQUENCE) => into.fill(base.saturating_add(range.sequence_min)),
            _ => {
                let reader = self.load(SEQUENCE)?;
                let page = self.page(&self.readers[reader])?;
                each_integer(&page, rows, into, |to, sequence| *to = base.saturating_add(sequence as u64));
            }
        }
        Ok(())
    }

    /// Which rows of the range are tombstones.
    ///
    /// # Errors
    /// As [`SegmentCursor::decode`].
    pub(crate) fn deletes(&mut self, rows: Range<usize>, into: &mut [bool]) -> Result<(), Error> {
        match self.range {
            Some(range) if range.leaves_out(KIND) => into.fill(range.tombstones > 0),
            _ => {
                let reader = self.load(KIND)?;
                let page = self.page(&self.readers[reader])?;
                each_integer(&page, rows, into, |to, kind| *to = kind != 0);
            }
        }
        Ok(())
    }

    // --------------------------------------------------------------------------------------------------- keys

    /// Makes the keys of the range ready for [`SegmentCursor::put_key`].
    ///
    /// # Errors
    /// As [`SegmentCursor::decode`].
    pub(crate) fn load_keys(&mut self) -> Result<(), Error> {
        for place in 0..self.schema.key.len() {
            self.load(SYSTEM_COLUMNS + place)?;
        }
        Ok(())
    }

    /// [`crate::schema::KeyShape::prefix`] of the keys of rows of the range.
    ///
    /// # Errors
    /// As [`SegmentCursor::decode`].
    pub(crate) fn prefixes(&mut self, rows: Range<usize>, into: &mut [u64]) -> Result<(), Error> {
        self.load_keys()?;
        if self.integer_prefixes(rows.clone(), into)? {
            return Ok(());
        }
        let shape = self.schema.key_shape();
        // Most keys are short; of a longer one, enough is encoded for the prefix.
        let mut key = Vec::new_in(self.arena);
        for (to, row) in into.iter_mut().zip(rows) {
            key.clear();
            self.put_key_until(row, &mut key, usize::from(shape.skip) + 8)?;
            *to = shape.prefix(&key);
        }
        Ok(())
    }

    /// Prefixes of keys whose first column is an integer that is never NULL; false for others.
    fn integer_prefixes(&self, rows: Range<usize>, into: &mut [u64]) -> Result<bool, Error> {
        let shape = self.schema.key_shape();
        let Some(part) = self.schema.key.first() else { return Ok(false) };
        let Some(reader) = self.reader(SYSTEM_COLUMNS) else { return Ok(false) };
        let page = self.page(reader)?;
        let is_bigint = reader.ty == Type::BigInt;
        // Of two bytes, as a smallint's, the prefix is another.
        let has_four_bytes = shape.is_exact && page.kind() == Kind::I32 && reader.ty != Type::SmallInt;
        if shape.skip != 1 || page.nulls() > 0 || !(is_bigint || has_four_bytes) {
            return Ok(false);
        }
        let turned = if part.order.descending { u64::MAX } else { 0 };
        each_integer(&page, rows, into, |to, value| {
            *to = if is_bigint {
                (value ^ i64::MIN) as u64 ^ turned
            } else {
                u64::from((value as i32 ^ i32::MIN) as u32 ^ turned as u32) << 32
            };
        });
        Ok(true)
    }

    /// Appends the encoded key of a row of the range, whose keys were made ready.
    ///
    /// # Errors
    /// The budget of `key` refuses; damage.
    pub(crate) fn put_key(&self, row: usize, key: &mut Vec<'_, u8>) -> Result<(), Error> {
        self.put_key_until(row, key, usize::MAX)
    }

    fn put_key_until(&self, row: usize, key: &mut Vec<'_, u8>, bytes: usize) -> Result<(), Error> {
        let start = key.len();
        for (place, part) in self.schema.key.iter().enumerate() {
            if key.len() - start >= bytes {
                break;
            }
            let Some(reader) = self.reader(SYSTEM_COLUMNS + place) else { break };
            let page = self.page(reader)?;
            let text = &mut *self.text.borrow_mut();
            let value = page.value_at(row, reader.ty, reader.table(), text);
            let value = match value.map_err(|error| reader.page_error(&self.segment, error))? {
                PageValue::Inline(value) => value,
                // No key is long.
                PageValue::Long(_) => Value::Null,
            };
            encode_key(value, part.order, &mut |bytes: &[u8]| key.extend_from_slice(bytes))?;
        }
        Ok(())
    }

    // -------------------------------------------------------------------------------------------------- pages

    fn reader(&self, physical: usize) -> Option<&ColumnReader<'a>> {
        self.readers.iter().find(|reader| reader.physical == physical)
    }

    /// The reader of a column with the page of the range; `None` for a column that the segment does not have.
    fn load_column(&mut self, column: usize) -> Result<Option<usize>, Error> {
        if column >= self.segment.columns_count() {
            return Ok(None);
        }
        self.load(physical_column(&self.schema, column)).map(Some)
    }

    /// Goes to a range that was found otherwise.
    pub(super) fn stand_at(&mut self, range: RangePlace) {
        self.range = Some(range);
    }

    /// The page of a physical column, where it stands, its type and its symbols.
    pub(super) fn page_of(
        &mut self,
        physical: usize,
    ) -> Result<(Page<'_>, u64, Type, Option<&SymbolTable>), Error> {
        let index = self.load(physical)?;
        let reader = &self.readers[index];
        Ok((self.page(reader)?, reader.page.offset, reader.ty, reader.table()))
    }

    fn load(&mut self, physical: usize) -> Result<usize, Error> {
        let range = self.range.expect("the cursor stands at a range");
        let index = match self.readers.iter().position(|reader| reader.physical == physical) {
            Some(index) => index,
            None => {
                let ty = physical_type(&self.schema, physical);
                self.readers.push(ColumnReader::new_in(physical, ty, self.arena))?;
                self.readers.len() - 1
            }
        };
        let is_there = self.readers[index].read == Some(range.first_row)
            && (!range.is_bundled() || self.bundles.read == Some(range.first_row));
        if !is_there {
            self.read_page(index, &range)?;
        }
        Ok(index)
    }

    /// Reads and checks a column's page of a range.
    fn read_page(&mut self, index: usize, range: &RangePlace) -> Result<(), Error> {
        let SegmentCursor { segment, schema, readers, bundles, scratch, read_ahead_bytes, .. } = self;
        let reader = &mut readers[index];
        let source = PageSource::of(self.cache.as_ref());
        reader.enter_group(segment, range, source, &mut scratch.pages.bytes)?;
        reader.is_bundled = range.is_bundled();
        if !range.is_bundled() {
            let keeper = self.cache.as_ref().filter(|_| self.keeps_pages);
            return reader.read_page(segment, range, *read_ahead_bytes, keeper);
        }
        reader.read = None;
        let bytes = bundles.read(segment, schema, range, *read_ahead_bytes)?;
        let place = Bundle::of(bytes, segment.physical_columns()).place(reader.physical);
        let (offset, len) = (range.bundle.0 + place.start as u64, place.len() as u32);
        reader.page = PageLocation { offset, len, tail: 0 };
        reader.read = Some(range.first_row);
        Ok(())
    }

    /// The page that a column's reader has read last.
    fn page<'c>(&'c self, reader: &'c ColumnReader<'a>) -> Result<Page<'c>, Error> {
        let PageLocation { offset, len, .. } = reader.page;
        let bytes = if reader.is_bundled { self.bundles.get((offset, len)) } else { reader.page_bytes() };
        Page::parse_again(bytes).map_err(|what| self.segment.file.corrupt(offset, what))
    }
}

impl BundleReader<'_> {
    /// Reads and checks the bundle of a range, and gives it; with those behind it, if they are read one after the other.
    fn read(
        &mut self,
        segment: &Segment,
        schema: &Schema<'_>,
        range: &RangePlace,
        read_ahead_bytes: usize,
    ) -> Result<&[u8], Error> {
        let (offset, len) = segment.bundle_place(range)?;
        if self.read == Some(range.first_row) {
            return Ok(self.get((offset, len)));
        }
        self.read = None;
        let end = offset + u64::from(len);
        if offset < self.buffered.start || end > self.buffered.end {
            let follows = offset == self.buffered.end || range.index == 0;
            let wanted = if follows { read_ahead_bytes as u64 } else { 0 };
            // What lies between the bundles and the locations is little.
            let read_end = end.max(range.locations_offset.min(offset.saturating_add(wanted)));
            self.buffered = 0..0;
            let bytes = sized(&mut self.buffer, (read_end - offset) as usize)?;
            segment.file.read(bytes, offset)?;
            self.buffered = offset..read_end;
        }
        let checked = segment.check_bundle(schema, range, self.get((offset, len)), Depth::Whole);
        checked.map_err(|what| segment.file.corrupt(offset, what))?;
        self.read = Some(range.first_row);
        Ok(self.get((offset, len)))
    }

    /// Bytes that were read.
    fn get(&self, (offset, len): (u64, u32)) -> &[u8] {
        let start = offset.checked_sub(self.buffered.start).map_or(usize::MAX, |start| start as usize);
        self.buffer.get(start..start.saturating_add(len as usize)).unwrap_or(&[])
    }
}

impl<'a> ColumnReader<'a> {
    fn new_in(physical: usize, ty: Type, arena: &'a Arena) -> ColumnReader<'a> {
        ColumnReader {
            physical,
            ty,
            group: 0,
            locations: Vec::new_in(arena),
            buffer: Vec::new_in(arena),
            stretch: Stretch::default(),
            read: None,
            page: PageLocation { offset: 0, len: 0, tail: 0 },
            is_bundled: false,
            symbols: SymbolsSlot::new_in(arena),
        }
    }

    /// Reads and checks the page of a range of the group that was entered.
    fn read_page(
        &mut self,
        segment: &Segment,
        range: &RangePlace,
        read_ahead_bytes: usize,
        keeper: Option<&Cache>,
    ) -> Result<(), Error> {
        self.read = None;
        self.page = ColumnLocation::whole(&self.locations).page(range.index.into());
        let end = self.page.offset + u64::from(self.page.len);
        if self.page.offset < self.stretch.bytes.start || end > self.stretch.bytes.end {
            self.read_stretch(segment, range, read_ahead_bytes, keeper)?;
        }
        let (bytes, kind) = (self.page_bytes(), Kind::of(self.ty));
        let checked = if self.stretch.is_checked {
            Segment::check_place(bytes, kind, range.rows)
        } else {
            Segment::check_page(bytes, &self.page, kind, range.rows, Depth::Whole)
        };
        checked.map_err(|what| segment.file.corrupt(self.page.offset, what))?;
        self.read = Some(range.first_row);
        Ok(())
    }

    /// Brings the page, and those behind it if pages are read one after the other.
    fn read_stretch(
        &mut self,
        segment: &Segment,
        range: &RangePlace,
        read_ahead_bytes: usize,
        keeper: Option<&Cache>,
    ) -> Result<(), Error> {
        let (locations, page) = (ColumnLocation::whole(&self.locations), self.page);
        let before = core::mem::take(&mut self.stretch).bytes;
        let keeper = keeper.map(|cache| {
            let bytes = stretch_of(&locations, range.index.into(), cache.stretch_bytes());
            // The highest bit tells stretches from pages, which are pieces for reads of single rows.
            let offset = bytes.start | 1 << 63;
            (cache, PieceKey { file_number: segment.file.id().number, offset }, bytes)
        });
        if let Some((cache, key, bytes)) = &keeper
            // The limit, and with it the stretches, may have been others when it was kept.
            && let Some(piece) = cache.get(*key).filter(|piece| piece.len() as u64 == bytes.end - bytes.start)
        {
            self.stretch = Stretch { bytes: bytes.clone(), kept: Some(piece), is_checked: true };
            return Ok(());
        }
        let follows = page.offset == before.end || range.index == 0;
        let wanted = if follows { read_ahead_bytes as u64 } else { 0 };
        let most = keeper.as_ref().map_or(locations.end_offset(), |(_, _, bytes)| bytes.end);
        let end = page.offset + u64::from(page.len);
        let read_end = end.max(most.min(page.offset.saturating_add(wanted)));
        let bytes = sized(&mut self.buffer, (read_end - page.offset) as usize)?;
        segment.file.read(bytes, page.offset)?;
        let is_checked = keeper.is_some_and(|(cache, key, whole)| {
            let are_right = || are_pages(&locations, whole.clone(), bytes);
            whole == (page.offset..read_end) && cache.keep_copy(key, bytes, are_right)
        });
        self.stretch = Stretch { bytes: page.offset..read_end, kept: None, is_checked };
        Ok(())
    }

    fn enter_group(
        &mut self,
        segment: &Segment,
        range: &RangePlace,
        source: PageSource<'_>,
        scratch: &mut Vec<'_, u8>,
    ) -> Result<(), Error> {
        if self.group == range.directory.0 {
            return Ok(());
        }
        (self.group, self.read) = (0, None);
        let locations = &mut self.locations;
        let symbols = segment.with_location(range, self.physical, source, scratch, |column| {
            locations.clear();
            locations.extend_from_slice(column.bytes())?;
            Ok(column.symbols())
        })?;
        self.symbols.load(&segment.file, symbols, source, scratch)?;
        if symbols.is_none() {
            self.symbols.forget();
        }
        self.group = range.directory.0;
        Ok(())
    }

    fn page_bytes(&self) -> &[u8] {
        let start = (self.page.offset - self.stretch.bytes.start) as usize;
        let bytes = self.stretch.kept.as_deref().unwrap_or(&self.buffer);
        bytes.get(start..start + self.page.len as usize).unwrap_or(&[])
    }

    fn table(&self) -> Option<&SymbolTable> {
        self.symbols.loaded()
    }

    fn page_error(&self, segment: &Segment, error: PageError) -> Error {
        segment.file.page_error(self.page.offset, error)
    }
}

impl fmt::Debug for SegmentCursor<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentCursor")
            .field("segment", &self.segment)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

/// The bytes of the stretch of a page: pages from the first on are taken together as long as they have so many bytes at most.
fn stretch_of(locations: &ColumnLocation<'_>, index: usize, bytes: u64) -> Range<u64> {
    let start = locations.page(0).offset;
    let mut stretch = start..start;
    for number in 0..locations.pages_count() {
        let page = locations.page(number);
        let end = page.offset + u64::from(page.len);
        if end - stretch.start > bytes && stretch.end > stretch.start {
            if number > index {
                break;
            }
            stretch.start = page.offset;
        }
        stretch.end = end;
    }
    stretch
}

/// Whether all pages of a stretch are pages, and those that their locations mean.
fn are_pages(locations: &ColumnLocation<'_>, stretch: Range<u64>, bytes: &[u8]) -> bool {
    (0..locations.pages_count())
        .map(|number| locations.page(number))
        .filter(|page| stretch.contains(&page.offset))
        .all(|page| {
            let start = (page.offset - stretch.start) as usize;
            let bytes = bytes.get(start..start + page.len as usize).unwrap_or(&[]);
            // A system column's page may be left out.
            bytes.is_empty()
                || Segment::check_tail(bytes, &page).and_then(|()| Page::parse(bytes).map(drop)).is_ok()
        })
}

/// Rows that are looked at together.
const BLOCK: usize = 64;

/// Gives `put` the values of rows of a page of integers, each with its place of `into`.
#[inline(always)]
fn each_integer<T>(page: &Page<'_>, rows: Range<usize>, into: &mut [T], put: impl Fn(&mut T, i64)) {
    let mut values = [0; BLOCK];
    let into = into.get_mut(..rows.len()).unwrap_or_default();
    for (places, first) in into.chunks_mut(BLOCK).zip(rows.step_by(BLOCK)) {
        let values = values.get_mut(..places.len()).unwrap_or_default();
        page.integers(first, values);
        places.iter_mut().zip(values).for_each(|(place, value)| put(place, *value));
    }
}

/// The same target for a call in between.
fn reborrow<'v, 'a>(into: &'v mut ColumnMut<'_, 'a>) -> ColumnMut<'v, 'a> {
    ColumnMut { data: into.data, valid: into.valid, all_valid: into.all_valid, heap: into.heap }
}

/// Rows of a column that the segment does not have.
fn fill_null(into: ColumnMut<'_, '_>, at: usize, rows: usize) {
    if rows == 0 {
        return;
    }
    if *into.all_valid {
        into.valid.fill(true);
        *into.all_valid = false;
    }
    into.valid[at..at + rows].fill(false);
}

/// Makes room for long texts.
fn reserve_longs(
    segment: &Segment,
    longs: impl Iterator<Item = (usize, LongRef)>,
    into: &mut ColumnMut<'_, '_>,
) -> Result<(), Error> {
    let mut bytes = 0;
    for (_, long) in longs {
        // What is damaged asks for nothing.
        segment.check_long(long)?;
        bytes += long.len as usize;
    }
    Ok(into.heap.reserve(bytes)?)
}

fn read_long(segment: &Segment, at: LongRef, into: &mut ColumnMut<'_, '_>, row: usize) -> Result<(), Error> {
    segment.check_long(at)?;
    let start = into.heap.len() as u32;
    segment.file.append_long(at, into.heap)?;
    if let Data::Text(views) = into.data {
        views[row] = TextView { start, len: at.len };
    }
    Ok(())
}

fn put_text(into: &mut ColumnMut<'_, '_>, row: usize, text: &[u8]) -> Result<(), Error> {
    let start = into.heap.len() as u32;
    into.heap.extend_from_slice(text)?;
    if let Data::Text(views) = into.data {
        views[row] = TextView { start, len: text.len() as u32 };
    }
    Ok(())
}
