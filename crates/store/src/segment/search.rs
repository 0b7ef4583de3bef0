//! Finding rows by key: from the root to a page range, and inside of it by one key column after the other.

use core::cmp::Ordering;
use core::convert::Infallible;
use core::ops::Range;

use cofferdam_arena::collections::Vec;
use cofferdam_types::column::Kind;
use cofferdam_types::key::{KeyOrder, Sink, encode_key};
use cofferdam_types::{Type, Value};

use super::filter;
use super::layout::{
    BUNDLE_BYTES_MAX, Bundle, CONTINUES, CRC_BYTES, ColumnLocation, Damage, GroupDirectory, HAS_SYMBOLS,
    HAS_VERSIONS, IS_BUNDLED, IndexNode, PIECE_BYTES_MAX, PageLocation, SYSTEM_TYPES, checked, is_left_out,
    location_bytes, payload, tail_of,
};
use super::physical_column;
use super::piece::{HeldPiece, PageScratch, PageSource, PieceRef};
use super::reader::Segment;
use super::separators::VersionedKey;
use super::zones::{self, PageZone};
use crate::error::Error;
use crate::page::{Page, PageValue, SymbolTable, fetch_ends};
use crate::schema::Schema;

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target<'k> {
    Key(VersionedKey<'k>),
    Row(u64),
}

/// A page range of a segment: what its group's directory says of it, and where to go on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RangePlace {
    /// The range's first row in the segment.
    pub(crate) first_row: u64,
    /// How many rows it has.
    pub(crate) rows: u32,
    /// Its least sequence, relative to the segment's base.
    pub(crate) sequence_min: u64,
    /// Its greatest sequence.
    pub(crate) sequence_max: u64,
    /// How many of its rows are tombstones.
    pub(crate) tombstones: u16,
    /// Which range of its group it is.
    pub(super) index: u16,
    pub(super) ranges_count: u16,
    pub(super) columns_per_piece: u16,
    pub(super) flags: u8,
    /// Of its group.
    pub(super) group_flags: u16,
    /// Which of its group's filters has its keys.
    pub(super) filter: u8,
    pub(super) locations_offset: u64,
    pub(super) directory: (u64, u32),
    /// Where its bundle is, and how many bytes it has.
    pub(super) bundle: (u64, u32),
}

impl RangePlace {
    pub(super) fn new(directory: &GroupDirectory<'_>, place: (u64, u32), index: usize) -> RangePlace {
        let (head, record) = (directory.head, directory.record(index));
        let row_start = directory.row_start(index);
        RangePlace {
            first_row: head.first_row + u64::from(row_start),
            rows: record.row_end - row_start,
            sequence_min: record.sequence_min,
            sequence_max: record.sequence_max,
            tombstones: record.tombstones,
            index: index as u16,
            ranges_count: head.ranges_count,
            columns_per_piece: head.columns_per_piece,
            flags: record.flags,
            group_flags: head.flags,
            filter: record.filter,
            locations_offset: head.locations_offset,
            directory: place,
            bundle: directory.bundle(index),
        }
    }

    /// True where its pages stand together.
    pub(super) fn is_bundled(&self) -> bool {
        self.group_flags & IS_BUNDLED != 0
    }

    /// True where the page of a system column is left out.
    pub(super) fn leaves_out(&self, physical: usize) -> bool {
        is_left_out(physical, self.rows, (self.sequence_min, self.sequence_max), self.tombstones)
    }

    /// Behind the last row, counted in the segment.
    pub(crate) fn end_row(&self) -> u64 {
        self.first_row + u64::from(self.rows)
    }

    /// Where the directory of its row group stands in the file.
    pub(crate) fn group_offset(&self) -> u64 {
        self.directory.0
    }

    /// True where a key has several versions in the range, or one here and one in the range before.
    pub(crate) fn has_versions(&self) -> bool {
        self.flags & HAS_VERSIONS != 0
    }

    /// True where the first key of the range is the last one of the range before.
    pub(crate) fn continues(&self) -> bool {
        self.flags & CONTINUES != 0
    }

    /// True where a reader that sees sequences up to `stored` sees each row, and nothing else of the same key.
    pub(crate) fn is_all_visible(&self, stored: u64) -> bool {
        self.sequence_max <= stored && self.tombstones == 0 && !self.has_versions()
    }
}

/// How much of a page is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// Its checksum or that of its bundle, by who reads a row: other checks would take longer than that, and what they find is an error or
    /// a wrong value later.
    Sum,
    /// Everything.
    Whole,
}

impl Depth {
    /// What is checked beside a checksum.
    fn check(self, page: &[u8]) -> Result<(), Damage> {
        match self {
            Depth::Sum => Ok(()),
            Depth::Whole => Page::parse_summed(page).map(drop),
        }
    }
}

/// Where the locations of a column are.
struct LocationPlace {
    offset: u64,
    len: u32,
    /// Columns of the piece, and which of them it is.
    columns: usize,
    index: usize,
    ranges: usize,
}

impl LocationPlace {
    fn column<'p>(&self, piece: &'p [u8]) -> ColumnLocation<'p> {
        ColumnLocation::of(payload(piece), self.index, self.ranges)
    }
}

/// The bytes of a page that was checked, and where they stand in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct FoundPage<'s> {
    pub(super) bytes: &'s [u8],
    pub(super) offset: u64,
}

impl Segment {
    /// The piece at a place that another piece named.
    fn inner_piece<'s>(
        &self,
        (offset, len): (u64, u32),
        source: PageSource<'_>,
        scratch: &'s mut Vec<'_, u8>,
        check: impl Fn(&[u8]) -> Result<(), Damage>,
    ) -> Result<PieceRef<'s>, Error> {
        self.check_inside((offset, len), PIECE_BYTES_MAX)?;
        let salt = self.file.salt();
        source.piece(&self.file, offset, len as usize, scratch, |bytes| check(checked(salt, offset, bytes)?))
    }

    /// As [`Segment::inner_piece`], kept for the next look.
    fn inner_held<'s>(
        &self,
        (offset, len): (u64, u32),
        source: PageSource<'_>,
        scratch: (&'s mut Vec<'_, u8>, &'s mut HeldPiece),
        check: impl Fn(&[u8]) -> Result<(), Damage>,
    ) -> Result<&'s [u8], Error> {
        self.check_inside((offset, len), PIECE_BYTES_MAX)?;
        let salt = self.file.salt();
        let check = |bytes: &[u8]| check(checked(salt, offset, bytes)?);
        source.held_piece(&self.file, offset, len as usize, scratch, check)
    }

    fn check_inside(&self, (offset, len): (u64, u32), bytes_max: usize) -> Result<(), Error> {
        let is_inside = offset >= self.start
            && len as usize <= bytes_max
            && offset.checked_add(len.into()).is_some_and(|end| end <= self.footer_offset);
        if is_inside {
            Ok(())
        } else {
            Err(self.file.corrupt(offset, "a part of the segment is outside of it"))
        }
    }

    /// The directory of a group, at its place.
    pub(super) fn directory<'s>(
        &self,
        place: (u64, u32),
        source: PageSource<'_>,
        scratch: &'s mut Vec<'_, u8>,
    ) -> Result<PieceRef<'s>, Error> {
        self.inner_piece(place, source, scratch, |bytes| GroupDirectory::check(bytes))
    }

    /// An index node, at its place.
    pub(super) fn node<'s>(
        &self,
        place: (u64, u32),
        level: u16,
        source: PageSource<'_>,
        scratch: &'s mut Vec<'_, u8>,
    ) -> Result<PieceRef<'s>, Error> {
        self.inner_piece(place, source, scratch, |bytes| IndexNode::check(bytes, level))
    }

    /// A piece without a structure of its own.
    pub(super) fn plain_piece<'s>(
        &self,
        place: (u64, u32),
        source: PageSource<'_>,
        scratch: &'s mut Vec<'_, u8>,
    ) -> Result<PieceRef<'s>, Error> {
        self.inner_piece(place, source, scratch, |_| Ok(()))
    }

    /// The place of the directory of the group in which the target is, or would be.
    pub(super) fn find_group(
        &self,
        target: Target<'_>,
        source: PageSource<'_>,
        scratch: &mut PageScratch<'_>,
    ) -> Result<(u64, u32), Error> {
        let mut place = (self.root_offset, self.root_len);
        for level in (1..=self.height).rev() {
            let PageScratch { bytes, root, .. } = &mut *scratch;
            let other;
            let piece = if level == self.height {
                self.inner_held(place, source, (bytes, root), |bytes| IndexNode::check(bytes, level))?
            } else {
                other = self.node(place, level, source, bytes)?;
                &other
            };
            let node = IndexNode::parse(payload(piece)).map_err(|what| self.file.corrupt(place.0, what))?;
            let entry = match target {
                Target::Key(key) => node.find(key),
                Target::Row(row) => node.find_row(row),
            };
            place = (entry.offset, entry.len);
        }
        Ok(place)
    }

    /// The directory of a group, kept for the next look.
    fn held_directory<'s>(
        &self,
        place: (u64, u32),
        source: PageSource<'_>,
        scratch: &'s mut PageScratch<'_>,
    ) -> Result<GroupDirectory<'s>, Error> {
        let PageScratch { bytes, directory, .. } = scratch;
        let piece =
            self.inner_held(place, source, (bytes, directory), |bytes| GroupDirectory::check(bytes))?;
        GroupDirectory::parse(payload(piece)).map_err(|what| self.file.corrupt(place.0, what))
    }

    /// The page range in which the target is, or would be.
    pub(super) fn find_range(
        &self,
        target: Target<'_>,
        source: PageSource<'_>,
        scratch: &mut PageScratch<'_>,
    ) -> Result<RangePlace, Error> {
        let place = self.find_group(target, source, scratch)?;
        let directory = self.held_directory(place, source, scratch)?;
        let index = match target {
            Target::Key(key) => directory.separators.find(key),
            Target::Row(row) => {
                let row = row.checked_sub(directory.head.first_row);
                let row = row.and_then(|row| u32::try_from(row).ok());
                let row = row.filter(|row| *row < directory.head.rows_count);
                let other = "a row group has other rows than the index says";
                directory.find_row(row.ok_or_else(|| self.file.corrupt(place.0, other))?)
            }
        };
        Ok(RangePlace::new(&directory, place, index))
    }

    /// The range behind this one, where there is one.
    pub(super) fn range_after(
        &self,
        range: &RangePlace,
        source: PageSource<'_>,
        scratch: &mut PageScratch<'_>,
    ) -> Result<Option<RangePlace>, Error> {
        if range.end_row() >= self.rows_count {
            return Ok(None);
        }
        if range.index + 1 == range.ranges_count {
            return self.find_range(Target::Row(range.end_row()), source, scratch).map(Some);
        }
        let directory = self.held_directory(range.directory, source, scratch)?;
        Ok(Some(RangePlace::new(&directory, range.directory, usize::from(range.index) + 1)))
    }

    /// False where a key of this hash is not in the range.
    pub(super) fn may_contain(
        &self,
        range: &RangePlace,
        hash: u64,
        source: PageSource<'_>,
        scratch: &mut PageScratch<'_>,
    ) -> Result<bool, Error> {
        let place = self.held_directory(range.directory, source, scratch)?.filter(range.filter);
        let piece = self.plain_piece(place, source, &mut scratch.bytes)?;
        Ok(filter::may_contain(payload(&piece), hash))
    }

    /// Calls `look` with the locations of a column in the group of a range.
    pub(super) fn with_location<T>(
        &self,
        range: &RangePlace,
        physical: usize,
        source: PageSource<'_>,
        scratch: &mut Vec<'_, u8>,
        look: impl FnOnce(&ColumnLocation<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let place = self.location_place(range, physical);
        let piece = self.locations(&place, source, scratch)?;
        look(&place.column(&piece))
    }

    fn location_place(&self, range: &RangePlace, physical: usize) -> LocationPlace {
        // Those of bundles are with the bundles.
        let ranges = if range.is_bundled() { 0 } else { usize::from(range.ranges_count) };
        let per_piece = usize::from(range.columns_per_piece);
        let bytes = location_bytes(ranges);
        let (number, index) = (physical / per_piece, physical % per_piece);
        let columns = self.physical_columns().saturating_sub(number * per_piece).min(per_piece);
        let offset = range.locations_offset.saturating_add((number * (per_piece * bytes + CRC_BYTES)) as u64);
        LocationPlace { offset, len: (columns * bytes + CRC_BYTES) as u32, columns, index, ranges }
    }

    fn locations<'s>(
        &self,
        place: &LocationPlace,
        source: PageSource<'_>,
        scratch: &'s mut Vec<'_, u8>,
    ) -> Result<PieceRef<'s>, Error> {
        self.inner_piece((place.offset, place.len), source, scratch, |bytes| {
            self.check_locations(place, bytes)
        })
    }

    fn check_locations(&self, place: &LocationPlace, bytes: &[u8]) -> Result<(), Damage> {
        let column = |index| ColumnLocation::of(bytes, index, place.ranges);
        (0..place.columns).try_for_each(|index| column(index).check(self.start, self.footer_offset))
    }

    /// The locations of a column in the group of a range.
    fn column_location<'s>(
        &self,
        range: &RangePlace,
        physical: usize,
        source: PageSource<'_>,
        scratch: &'s mut PageScratch<'_>,
    ) -> Result<ColumnLocation<'s>, Error> {
        let place = self.location_place(range, physical);
        self.check_inside((place.offset, place.len), PIECE_BYTES_MAX)?;
        let PageScratch { bytes, located, .. } = scratch;
        let salt = self.file.salt();
        let check = |bytes: &[u8]| self.check_locations(&place, checked(salt, place.offset, bytes)?);
        let piece =
            source.held_piece(&self.file, place.offset, place.len as usize, (bytes, located), check)?;
        Ok(place.column(piece))
    }

    /// Where the symbols of a column in the group of a range are, and how many bytes; `None` for a column without.
    #[inline]
    pub(super) fn symbols_place(
        &self,
        range: &RangePlace,
        (physical, ty): (usize, Type),
        source: PageSource<'_>,
        scratch: &mut PageScratch<'_>,
    ) -> Result<Option<(u64, usize)>, Error> {
        if range.group_flags & HAS_SYMBOLS == 0 || Kind::of(ty) != Kind::Text {
            return Ok(None);
        }
        Ok(self.column_location(range, physical, source, scratch)?.symbols())
    }

    /// What every page of a range must be.
    pub(super) fn check_page(
        bytes: &[u8],
        location: &PageLocation,
        kind: Kind,
        rows: u32,
        depth: Depth,
    ) -> Result<(), Damage> {
        Segment::check_tail(bytes, location)?;
        Page::check_sum(bytes)?;
        depth.check(bytes)?;
        Segment::check_place(bytes, kind, rows)
    }

    /// What [`Page::parse`] cannot know: which page it is.
    pub(super) fn check_tail(bytes: &[u8], location: &PageLocation) -> Result<(), Damage> {
        match tail_of(bytes) == location.tail {
            true => Ok(()),
            false => Err("a page has another checksum than its location says"),
        }
    }

    /// What a page of a range must be that was checked otherwise.
    pub(super) fn check_place(bytes: &[u8], kind: Kind, rows: u32) -> Result<(), Damage> {
        match Page::head(bytes) == Some((kind, rows as usize)) {
            true => Ok(()),
            false => Err("a page belongs to another range or column"),
        }
    }

    /// What a bundle of a range must be.
    pub(super) fn check_bundle(
        &self,
        schema: &Schema<'_>,
        range: &RangePlace,
        bytes: &[u8],
        depth: Depth,
    ) -> Result<(), Damage> {
        let columns_count = self.physical_columns();
        let bundle = Bundle::of(bytes, columns_count);
        bundle.check(self.file.salt(), range.bundle.0)?;
        for physical in 0..columns_count {
            if range.leaves_out(physical) {
                if !bundle.page(physical).is_empty() {
                    return Err("a bundle has a page that is left out");
                }
                continue;
            }
            let page = bundle.page(physical);
            depth.check(page)?;
            Segment::check_place(page, Kind::of(physical_type(schema, physical)), range.rows)?;
        }
        Ok(())
    }

    /// The place of the bundle of a range.
    pub(super) fn bundle_place(&self, range: &RangePlace) -> Result<(u64, u32), Error> {
        self.check_inside(range.bundle, BUNDLE_BYTES_MAX)?;
        Ok(range.bundle)
    }

    /// The page of bytes that were found.
    #[inline(always)]
    pub(super) fn parse<'s>(&self, found: &FoundPage<'s>) -> Result<Page<'s>, Error> {
        Page::parse_again(found.bytes).map_err(|what| self.file.corrupt(found.offset, what))
    }

    /// A page of a range, checked.
    #[inline]
    pub(super) fn page<'s>(
        &self,
        schema: &Schema<'_>,
        range: &RangePlace,
        physical: usize,
        source: PageSource<'_>,
        scratch: &'s mut PageScratch<'_>,
    ) -> Result<FoundPage<'s>, Error> {
        let (offset, bytes) = if range.is_bundled() {
            let (offset, len) = self.bundle_place(range)?;
            let check = |bytes: &[u8]| self.check_bundle(schema, range, bytes, Depth::Sum);
            let piece = source.page(&self.file, offset, len as usize, &mut scratch.last, check)?;
            fetch_ends(piece);
            let bundle = Bundle::of(piece, self.physical_columns());
            (offset + bundle.place(physical).start as u64, bundle.page(physical))
        } else {
            let location = self.column_location(range, physical, source, scratch)?.page(range.index.into());
            let PageLocation { offset, len, .. } = location;
            let kind = Kind::of(physical_type(schema, physical));
            let check = |bytes: &[u8]| Segment::check_page(bytes, &location, kind, range.rows, Depth::Sum);
            (offset, source.page(&self.file, offset, len as usize, &mut scratch.last, check)?)
        };
        Ok(FoundPage { bytes, offset })
    }

    /// The zone of a column in a range.
    pub(super) fn zone_of(
        &self,
        schema: &Schema<'_>,
        range: &RangePlace,
        column: usize,
        source: PageSource<'_>,
        scratch: &mut Vec<'_, u8>,
    ) -> Result<PageZone, Error> {
        let kind = schema.columns.get(column).map_or(Kind::Bool, |column| column.kind());
        let rows = range.rows;
        if column >= self.columns_count() {
            return Ok(PageZone { rows, nulls: rows, zone: None });
        }
        let physical = physical_column(schema, column);
        let offset =
            self.with_location(range, physical, source, scratch, |column| Ok(column.zones_offset()))?;
        let len = usize::from(range.ranges_count) * zones::entry_bytes(kind) + CRC_BYTES;
        let piece = self.plain_piece((offset, len as u32), source, scratch)?;
        let (nulls, zone) = zones::read(payload(&piece), range.index.into(), kind);
        Ok(PageZone { rows, nulls, zone })
    }
}

/// The type of a physical column.
pub(super) fn physical_type(schema: &Schema<'_>, physical: usize) -> Type {
    match SYSTEM_TYPES.get(physical) {
        Some(ty) => *ty,
        None => super::physical_order(schema)
            .nth(physical - SYSTEM_TYPES.len())
            .and_then(|column| schema.columns.get(usize::from(column)))
            .map_or(Type::Unknown, |column| column.ty),
    }
}

// ------------------------------------------------------------------------------------------------ inside a page

/// The rows of `rows` whose column equals what `key` begins with, as a range that is empty where there are none (and
/// then stands where they would be); and how many bytes of `key` that was.
pub(super) fn narrow(
    page: &Page<'_>,
    rows: Range<usize>,
    key: &[u8],
    (ty, order): (Type, KeyOrder),
    symbols: Option<&SymbolTable>,
    text: &mut Vec<'_, u8>,
) -> Result<(Range<usize>, usize), crate::page::PageError> {
    if let Some((wanted, used)) = integer_of(page, key, ty, order) {
        let is_before = |value: i64| if order.descending { value > wanted } else { value < wanted };
        let start = page.partition_point(rows.clone(), is_before);
        // Most keys are in one row.
        let mut end = start;
        if start < rows.end && page.i64_at(start) == wanted {
            end = start + 1;
            if end < rows.end && page.i64_at(end) == wanted {
                end = page.partition_point(end..rows.end, |value| value == wanted || is_before(value));
            }
        }
        return Ok((start..end, used));
    }
    let mut used = 0;
    let mut place = |row: usize, used: &mut usize| -> Result<Ordering, crate::page::PageError> {
        // Keys are never long: a long text in a key column stands for none.
        let value = match page.value_at(row, ty, symbols, text)? {
            PageValue::Inline(value) => value,
            PageValue::Long(_) => Value::Null,
        };
        let (ordering, len) = compare_encoded(value, order, key);
        if ordering == Ordering::Equal {
            *used = len;
        }
        Ok(ordering)
    };
    let (mut low, mut high) = (rows.start, rows.end);
    while low < high {
        let middle = low.midpoint(high);
        if place(middle, &mut used)? == Ordering::Less { low = middle + 1 } else { high = middle }
    }
    let start = low;
    high = rows.end;
    while low < high {
        let middle = low.midpoint(high);
        if place(middle, &mut used)? == Ordering::Greater { high = middle } else { low = middle + 1 }
    }
    Ok((start..low, used))
}

/// What an integer column is compared with, where key and page allow to compare integers.
fn integer_of(page: &Page<'_>, key: &[u8], ty: Type, order: KeyOrder) -> Option<(i64, usize)> {
    if page.nulls() > 0 || key.first() != Some(&1) {
        return None;
    }
    let mask = if order.descending { u64::MAX } else { 0 };
    match ty {
        Type::BigInt | Type::Time | Type::Timestamp | Type::TimestampTz => {
            let bits = u64::from_be_bytes(*key.get(1..)?.first_chunk()?) ^ mask;
            Some((bits as i64 ^ i64::MIN, 9))
        }
        Type::Integer | Type::Date => {
            let bits = u32::from_be_bytes(*key.get(1..)?.first_chunk()?) ^ mask as u32;
            Some(((bits as i32 ^ i32::MIN).into(), 5))
        }
        Type::SmallInt => {
            let bits = u16::from_be_bytes(*key.get(1..)?.first_chunk()?) ^ mask as u16;
            Some(((bits as i16 ^ i16::MIN).into(), 3))
        }
        _ => None,
    }
}

/// Compares what it is given with the beginning of a key.
struct Compare<'k> {
    rest: &'k [u8],
    ordering: Ordering,
}

impl Sink for Compare<'_> {
    type Error = Infallible;

    fn put(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        if self.ordering != Ordering::Equal {
            return Ok(());
        }
        let common = bytes.len().min(self.rest.len());
        let (now, later) = self.rest.split_at(common);
        // What goes on behind the end of the key is greater.
        self.ordering = bytes.get(..common).unwrap_or(&[]).cmp(now).then(bytes.len().cmp(&common));
        self.rest = later;
        Ok(())
    }
}

/// How a value, encoded, compares with as much of the beginning of `key`; and how much that was.
fn compare_encoded(value: Value<'_>, order: KeyOrder, key: &[u8]) -> (Ordering, usize) {
    let mut compare = Compare { rest: key, ordering: Ordering::Equal };
    let Ok(()) = encode_key(value, order, &mut compare);
    (compare.ordering, key.len() - compare.rest.len())
}
