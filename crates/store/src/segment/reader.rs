//! An open segment, and reading single rows of it.

use core::fmt;
use std::sync::Arc;

use cofferdam_types::column::Kind;
use cofferdam_types::row::decode_bytes;
use cofferdam_types::{Type, Value};

use super::filter::hash_key;
use super::layout::{
    Damage, FOOTER_BYTES, Footer, KIND, SEQUENCE, SYSTEM_COLUMNS, checked, payload, schema_hash,
};
use super::piece::{PageSource, PieceRef, Scratch, SegmentFile};
use super::search::{RangePlace, Target, narrow};
use super::separators::VersionedKey;
use super::sketch::{HeadPlace, Sketch, SketchHead};
use super::{ColumnStatistics, Location, physical_column, statistics};
use crate::error::Error;
use crate::page::{LongRef, PageValue};
use crate::schema::Schema;

/// An open segment.
///
/// **Memory.** The value itself, 120 bytes; everything else is read piece by piece.
#[derive(Clone)]
pub(crate) struct Segment {
    pub(super) file: Arc<SegmentFile>,
    pub(super) start: u64,
    pub(super) footer_offset: u64,
    pub(super) root_offset: u64,
    pub(super) statistics_offset: u64,
    pub(super) rows_count: u64,
    pub(super) tombstones_count: u64,
    pub(super) sequence_min: u64,
    pub(super) sequence_max: u64,
    /// What stored sequences count from.
    pub(super) base: u64,
    pub(super) root_len: u32,
    pub(super) sketches: HeadPlace,
    #[cfg(test)]
    pub(super) groups_count: u32,
    #[cfg(test)]
    pub(super) ranges_count: u32,
    columns_count: u16,
    pub(super) height: u16,
    /// Whether some of its texts stand beside the pages.
    pub(super) has_longs: bool,
}

const _: () = assert!(size_of::<Segment>() <= 128);

/// A version of a row that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(super) range: RangePlace,
    pub(super) row: u16,
    /// Its sequence, or what [`Look`] gives for it.
    pub(crate) sequence: u64,
    /// True for a tombstone.
    pub(crate) is_delete: bool,
}

/// Rows whose keys begin alike; where there are none, an empty range where they would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Narrowed {
    pub(super) rows: core::ops::Range<usize>,
    /// How many bytes of the key they share.
    pub(super) used: usize,
    /// How many key columns that is.
    pub(super) columns: usize,
}

/// What a look for a key is to bring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// Whether the filter is asked: to be told that there is no such key costs a small piece then, and to find one that there is
    /// costs one more.
    pub(crate) filter: bool,
    /// Whether the row's own sequence is wanted; else one that is not less, and not more than is seen.
    pub(crate) sequence: bool,
}

impl Look {
    /// The filter, and the sequence.
    pub(crate) const EXACT: Look = Look { filter: true, sequence: true };
    /// A row, if there is one.
    pub(crate) const ROW: Look = Look { filter: true, sequence: false };
    /// A row where there is one most likely.
    pub(crate) const LIKELY_ROW: Look = Look { filter: false, sequence: false };
}

impl Segment {
    /// Opens a segment: reads its footer. `base` is what its sequences count from.
    ///
    /// # Errors
    /// Those of the system; the footer is damaged, or that of a segment of another schema.
    pub(crate) fn open(
        file: Arc<SegmentFile>,
        location: Location,
        base: u64,
        schema: &Schema<'_>,
    ) -> Result<Segment, Error> {
        let offset = location.footer_offset;
        let mut bytes = [0; FOOTER_BYTES];
        file.read(&mut bytes, offset)?;
        let corrupt = |what| file.corrupt(offset, what);
        let footer = Footer::parse(file.salt(), offset, &bytes).map_err(corrupt)?;
        let columns_count = footer.columns_count as usize;
        // A table may have got columns since; then their values are NULL here.
        if columns_count > schema.columns.len()
            || usize::from(footer.key_columns_count) != schema.key.len()
            || footer.schema_hash != schema_hash(schema, columns_count)
        {
            return Err(corrupt("the segment has columns of other types than its table"));
        }
        if footer.sequence_max.checked_add(base).is_none() {
            return Err(corrupt("a sequence is too large"));
        }
        Ok(Segment {
            start: footer.start,
            footer_offset: offset,
            root_offset: footer.root_offset,
            statistics_offset: footer.statistics_offset,
            rows_count: footer.rows_count,
            tombstones_count: footer.tombstones_count,
            sequence_min: footer.sequence_min,
            sequence_max: footer.sequence_max,
            base,
            root_len: footer.root_len,
            sketches: footer.sketches,
            #[cfg(test)]
            groups_count: footer.groups_count,
            #[cfg(test)]
            ranges_count: footer.ranges_count,
            columns_count: columns_count as u16,
            height: footer.height,
            has_longs: footer.long_bytes > 0,
            file,
        })
    }

    /// The file that it is in.
    pub(crate) fn file(&self) -> &Arc<SegmentFile> {
        &self.file
    }

    /// Rows, versions and tombstones counted each.
    pub(crate) fn rows_count(&self) -> u64 {
        self.rows_count
    }

    /// Tombstones among them.
    pub(crate) fn tombstones_count(&self) -> u64 {
        self.tombstones_count
    }

    /// Bytes in the file.
    pub(crate) fn bytes(&self) -> u64 {
        self.footer_offset + FOOTER_BYTES as u64 - self.start
    }

    /// The least and the greatest sequence, the base added.
    pub(crate) fn sequences(&self) -> (u64, u64) {
        (self.base + self.sequence_min, self.base + self.sequence_max)
    }

    /// Columns that it was written with; those that its table got later are NULL.
    pub(crate) fn columns_count(&self) -> usize {
        self.columns_count.into()
    }

    pub(super) fn physical_columns(&self) -> usize {
        self.columns_count() + SYSTEM_COLUMNS
    }

    // ------------------------------------------------------------------------------------------------- one row

    /// The newest version of a key with a sequence of at most `sequence`, tombstones included.
    ///
    /// # Errors
    /// Those of the system; damage; the scratch's budget refuses.
    pub(crate) fn get(
        &self,
        schema: &Schema<'_>,
        key: &[u8],
        sequence: u64,
        source: PageSource<'_>,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Found>, Error> {
        self.get_hashed(schema, (key, hash_key(key)), sequence, Look::EXACT, source, scratch)
    }

    /// [`Segment::get`] with the key's hash, for several segments that are asked for the same key, and with what is wanted.
    ///
    /// # Errors
    /// As [`Segment::get`].
    pub(crate) fn get_hashed(
        &self,
        schema: &Schema<'_>,
        (key, hash): (&[u8], u64),
        sequence: u64,
        wanted: Look,
        source: PageSource<'_>,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<Found>, Error> {
        // What counts from a later base is not visible at all.
        let Some(stored) = sequence.checked_sub(self.base) else { return Ok(None) };
        let target = Target::Key(VersionedKey::new(key, stored));
        let mut range = self.find_range(target, source, &mut scratch.pages)?;
        if wanted.filter && !self.may_contain(&range, hash, source, &mut scratch.pages)? {
            return Ok(None);
        }
        loop {
            let rows = self.rows_of_key(schema, &range, key, source, scratch)?;
            if rows.is_empty() {
                return Ok(None);
            }
            let reaches_end = rows.end == range.rows as usize;
            if let Some((row, sequence)) =
                self.newest_of(schema, &range, rows, (stored, wanted), source, scratch)?
            {
                let is_delete = self.is_delete(schema, &range, row, source, scratch)?;
                return Ok(Some(Found { range, row: row as u16, sequence: sequence + self.base, is_delete }));
            }
            // All of these are newer: the versions go on in the next range, if anywhere.
            match self.range_after(&range, source, &mut scratch.pages)? {
                Some(next) if reaches_end && next.continues() => range = next,
                _ => return Ok(None),
            }
        }
    }

    /// The rows of a range that have this key, one key column after the other.
    fn rows_of_key(
        &self,
        schema: &Schema<'_>,
        range: &RangePlace,
        key: &[u8],
        source: PageSource<'_>,
        scratch: &mut Scratch<'_>,
    ) -> Result<core::ops::Range<usize>, Error> {
        let narrowed = self.narrow_by_key(schema, range, key, source, scratch)?;
        // A longer key is in no row, nor is the beginning of one.
        let is_whole = narrowed.used == key.len() && narrowed.columns == schema.key.len();
        Ok(if is_whole { narrowed.rows } else { 0..0 })
    }

    /// As [`Segment::rows_of_key`] for the beginning of a key.
    pub(super) fn narrow_by_key(
        &self,
        schema: &Schema<'_>,
        range: &RangePlace,
        key: &[u8],
        source: PageSource<'_>,
        scratch: &mut Scratch<'_>,
    ) -> Result<Narrowed, Error> {
        let mut narrowed = Narrowed { rows: 0..range.rows as usize, used: 0, columns: 0 };
        for (place, part) in schema.key.iter().enumerate() {
            let rest = key.get(narrowed.used..).unwrap_or(&[]);
            if narrowed.rows.is_empty() || rest.is_empty() {
                break;
            }
            let ty = schema.columns.get(usize::from(part.column)).map_or(Type::Unknown, |column| column.ty);
            let physical = SYSTEM_COLUMNS + place;
            let Scratch { pages, text, symbols } = scratch;
            let symbols_place = self.symbols_place(range, (physical, ty), source, pages)?;
            let table = symbols.load(&self.file, symbols_place, source, &mut pages.bytes)?;
            let page = self.page(schema, range, physical, source, pages)?;
            let found = narrow(&self.parse(&page)?, narrowed.rows, rest, (ty, part.order), table, text);
            let (rows, used) = found.map_err(|error| self.file.page_error(page.offset, error))?;
            narrowed = Narrowed { rows, used: narrowed.used + used, columns: place + 1 };
        }
        Ok(narrowed)
    }

    /// The first of some rows with the same key whose sequence is at most `stored`, with its sequence.
    fn newest_of(
        &self,
        schema: &Schema<'_>,
        range: &RangePlace,
        rows: core::ops::Range<usize>,
        (stored, wanted): (u64, Look),
        source: PageSource<'_>,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<(usize, u64)>, Error> {
        if range.leaves_out(SEQUENCE) {
            return Ok((range.sequence_max <= stored).then_some((rows.start, range.sequence_max)));
        }
        if !wanted.sequence && range.sequence_max <= stored {
            return Ok(Some((rows.start, range.sequence_max)));
        }
        if range.sequence_min > stored {
            return Ok(None);
        }
        let page = self.parse(&self.page(schema, range, SEQUENCE, source, &mut scratch.pages)?)?;
        let row = page.partition_point(rows.clone(), |sequence| sequence as u64 > stored);
        Ok((row < rows.end).then(|| (row, page.i64_at(row) as u64)))
    }

    fn is_delete(
        &self,
        schema: &Schema<'_>,
        range: &RangePlace,
        row: usize,
        source: PageSource<'_>,
        scratch: &mut Scratch<'_>,
    ) -> Result<bool, Error> {
        if range.leaves_out(KIND) {
            return Ok(range.tombstones > 0);
        }
        let page = self.parse(&self.page(schema, range, KIND, source, &mut scratch.pages)?)?;
        Ok(page.i64_at(row) != 0)
    }

    /// A column of a row that was found. A text lies in the page or in the scratch; a long one is read into the scratch.
    ///
    /// # Errors
    /// As [`Segment::get`].
    pub(crate) fn value<'v>(
        &self,
        schema: &Schema<'_>,
        found: &Found,
        column: usize,
        source: PageSource<'_>,
        scratch: &'v mut Scratch<'_>,
    ) -> Result<Value<'v>, Error> {
        let Some(ty) = schema.columns.get(column).map(|column| column.ty) else { return Ok(Value::Null) };
        if column >= self.columns_count() {
            return Ok(Value::Null);
        }
        let physical = physical_column(schema, column);
        let Scratch { pages, text, symbols } = scratch;
        let symbols_place = self.symbols_place(&found.range, (physical, ty), source, pages)?;
        let table = symbols.load(&self.file, symbols_place, source, &mut pages.bytes)?;
        let place = self.page(schema, &found.range, physical, source, pages)?;
        let (page, offset) = (self.parse(&place)?, place.offset);
        let row = usize::from(found.row);
        let long = if page.kind() == Kind::Text { page.longs(row..row + 1).next() } else { None };
        match long {
            Some((_, at)) => self.long_value(at, ty, text),
            None => match page.value_at(row, ty, table, text) {
                Ok(PageValue::Inline(value)) => Ok(value),
                Ok(PageValue::Long(_)) => Err(self.file.corrupt(offset, "a long text has no row")),
                Err(error) => Err(self.file.page_error(offset, error)),
            },
        }
    }

    fn long_value<'v>(
        &self,
        at: LongRef,
        ty: Type,
        text: &'v mut cofferdam_arena::collections::Vec<'_, u8>,
    ) -> Result<Value<'v>, Error> {
        self.check_long(at)?;
        text.clear();
        self.file.append_long(at, text)?;
        decode_bytes(text, ty).map_err(|_| self.file.corrupt(at.offset, "a long value is none of its type"))
    }

    /// A long text must lie in its segment; so no more memory is asked for than the segment has bytes.
    pub(super) fn check_long(&self, at: LongRef) -> Result<(), Error> {
        let end = at.offset.checked_add(at.len.into());
        let is_inside = at.offset >= self.start && end.is_some_and(|end| end <= self.footer_offset);
        if is_inside {
            Ok(())
        } else {
            Err(self.file.corrupt(at.offset, "a long text is outside of its segment"))
        }
    }

    /// What the segment knows of a column; `None` for one that its table got later.
    ///
    /// # Errors
    /// As [`Segment::get`].
    pub(crate) fn statistics(
        &self,
        schema: &Schema<'_>,
        column: usize,
        source: PageSource<'_>,
        scratch: &mut Scratch<'_>,
    ) -> Result<Option<ColumnStatistics>, Error> {
        let Some(ty) = schema.columns.get(column).filter(|_| column < self.columns_count()) else {
            return Ok(None);
        };
        let (before, len, index) = statistics::place(column, self.columns_count());
        let place = (self.statistics_offset.saturating_add(before), len as u32);
        let piece = self.piece_at(place, source, &mut scratch.pages.bytes)?;
        Ok(Some(statistics::read(payload(&piece), index, ty.kind())))
    }
}

impl Segment {
    /// Gives the head of the segment's sketches to `visit`; `None` where it has none.
    ///
    /// # Errors
    /// As [`Segment::get`]; those of `visit`.
    pub(crate) fn with_sketches<T>(
        &self,
        source: PageSource<'_>,
        scratch: &mut Scratch<'_>,
        visit: impl FnOnce(&SketchHead<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let HeadPlace { offset, len } = self.sketches;
        if len == 0 {
            return Ok(None);
        }
        let piece = self.piece_at((offset, len), source, &mut scratch.pages.bytes)?;
        let head = SketchHead::parse(payload(&piece), self.columns_count());
        let head = head.map_err(|what| self.file.corrupt(offset, what))?;
        if !head.is_inside(self.start..self.footer_offset) {
            return Err(self.file.corrupt(offset, "a sketch is outside of its segment"));
        }
        visit(&head).map(Some)
    }

    /// Gives the sketch of a column to `visit`; `None` where there is none, or no such column.
    ///
    /// # Errors
    /// As [`Segment::with_sketches`].
    pub(crate) fn with_sketch<T>(
        &self,
        kind: Kind,
        column: usize,
        source: PageSource<'_>,
        scratch: &mut Scratch<'_>,
        visit: impl FnOnce(&Sketch<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        if column >= self.columns_count() {
            return Ok(None);
        }
        let place = self.with_sketches(source, scratch, |head| Ok((head.place(column), head.shape())))?;
        let Some((place, shape)) = place else { return Ok(None) };
        let piece = self.piece_at(place, source, &mut scratch.pages.bytes)?;
        let sketch = Sketch::parse(payload(&piece), kind, shape);
        visit(&sketch.map_err(|what| self.file.corrupt(place.0, what))?).map(Some)
    }

    /// Damage of the sketches.
    pub(crate) fn sketches_corrupt(&self, what: Damage) -> Error {
        self.file.corrupt(self.sketches.offset, what)
    }

    fn piece_at<'s>(
        &self,
        (offset, len): (u64, u32),
        source: PageSource<'_>,
        bytes: &'s mut cofferdam_arena::collections::Vec<'_, u8>,
    ) -> Result<PieceRef<'s>, Error> {
        let salt = self.file.salt();
        let check = |bytes: &[u8]| -> Result<(), Damage> { checked(salt, offset, bytes).map(drop) };
        source.piece(&self.file, offset, len as usize, bytes, check)
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Segment({} at {}, {} rows)", self.file.id(), self.start, self.rows_count)
    }
}
