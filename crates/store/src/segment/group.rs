//! A row group while it is written: its pages encoded, one range after the other, and then put into the file one
//! column after the other; those of a table of few columns as they are, each range a bundle.
//!
//! ```text
//!   in memory    range 0: |sequence|kind|key|a|b|   range 1: |sequence|kind|key|a|b|   …
//!   by column    sequence: |0|1|…|   kind: |0|1|…|   key: |0|1|…|   a: |symbols|0|1|…|   b …
//!   bundled      |ends|sequence|kind|key|a|   |ends|sequence|kind|key|a|   …   symbols of a
//!                then zones, locations, filters, the directory
//! ```

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_types::column::Kind;

use super::filter::{self, LINE_BYTES};
use super::layout::{
    BLOCK_BYTES, BUNDLED_COLUMNS_MAX, Bundle, ColumnLocation, GROUP_ROWS_MAX, GroupHead, HAS_SEQUENCES,
    HAS_SYMBOLS, IS_BUNDLED, Put, RangeRecord, SEPARATORS_BYTES_MAX, SYSTEM_COLUMNS, is_bundled,
    location_bytes, tail_of,
};
use super::output::Output;
use super::separators::GatheredSeparators;
use super::zones;
use crate::error::Error;
use crate::page::{EncodeScratch, PageStats, PageValues, SymbolTable, Zone, encode};

/// What a piece of locations is filled to.
const LOCATIONS_BYTES: usize = 3900;

/// Pages of so many bytes are worth the zeros before them.
const ALIGNED_FROM_BYTES: usize = 64 << 10;
/// Of the bytes of bundles, such a part may be added as zeros.
const ZEROS_SHARE: usize = 24;

/// What is known of a column of the segment so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct ColumnTotals {
    pub(super) kind: Kind,
    pub(super) nulls: u64,
    pub(super) bytes: u64,
    /// Bytes of its texts, of long ones too.
    pub(super) text_bytes: u64,
    /// Estimated when the segment ends.
    pub(super) distinct: u64,
    pub(super) zone: Option<Zone>,
}

/// What is known of a column of the group, in the order of the file.
#[derive(Clone, Copy, Debug)]
struct GroupColumn {
    kind: Kind,
    /// Its entry in a range's row of zones; none for system columns.
    zone_at: u32,
    nulls: u32,
    /// Its symbols in `Group::symbols`.
    symbols_at: u32,
    symbols_len: u32,
    data_offset: u64,
    zones_offset: u64,
}

#[derive(Clone, Copy, Debug)]
struct PagePlace {
    start: u32,
    len: u32,
}

fn bytes_of(places: &[PagePlace]) -> usize {
    places.iter().map(|place| place.len as usize).sum()
}

/// A row group that is being filled.
#[derive(Debug)]
pub(super) struct Group<'a> {
    columns: Vec<'a, GroupColumn>,
    /// Of each range, its pages in the order of the file.
    places: Vec<'a, PagePlace>,
    pages: Vec<'a, u8>,
    /// Of each range, the zones of its columns.
    zones: Vec<'a, u8>,
    zones_row_bytes: usize,
    symbols: Vec<'a, u8>,
    ranges: Vec<'a, RangeRecord>,
    separators: GatheredSeparators<'a>,
    /// Hashes of the keys that the open filter will have.
    hashes: Vec<'a, u64>,
    hashes_max: usize,
    filters: Vec<'a, u8>,
    /// Where each closed filter ends, in lines.
    filter_ends: Vec<'a, u16>,
    rows: u32,
    piece: Vec<'a, u8>,
    ranges_max: usize,
    pages_bytes_max: usize,
}

/// How large a group may become.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupLimits {
    pub(super) ranges: usize,
    pub(super) pages_bytes: usize,
    /// What encoding may take for a moment behind the pages.
    pub(super) slack_bytes: usize,
    /// Keys of a filter; no fewer than a range has rows.
    pub(super) filter_keys: usize,
}

/// A group that was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct WrittenGroup {
    pub(super) offset: u64,
    pub(super) len: u32,
    pub(super) rows: u32,
}

impl ColumnTotals {
    /// Adds a page of these values.
    pub(super) fn add(&mut self, values: &PageValues<'_>, stats: &PageStats) {
        self.nulls += u64::from(stats.nulls);
        self.bytes += u64::from(stats.bytes);
        self.text_bytes += values.text_bytes();
        self.zone = zones::union(self.zone, stats.zone);
    }
}

impl<'a> Group<'a> {
    /// A group of columns of these kinds, in the order of the file.
    pub(super) fn new_in(
        kinds: impl ExactSizeIterator<Item = Kind>,
        limits: GroupLimits,
        arena: &'a Arena,
    ) -> Result<Group<'a>, Error> {
        let mut columns = Vec::with_capacity_in(kinds.len(), arena)?;
        let (mut zones_row_bytes, columns_count) = (0, kinds.len());
        for (index, kind) in kinds.enumerate() {
            let (zone_at, nulls) = (zones_row_bytes as u32, 0);
            if index >= SYSTEM_COLUMNS {
                zones_row_bytes += zones::entry_bytes(kind);
            }
            let (symbols_at, symbols_len, data_offset, zones_offset) = (0, 0, 0, 0);
            columns.push(GroupColumn {
                kind,
                zone_at,
                nulls,
                symbols_at,
                symbols_len,
                data_offset,
                zones_offset,
            })?;
        }
        Ok(Group {
            columns,
            places: Vec::with_capacity_in(limits.ranges * columns_count, arena)?,
            pages: Vec::with_capacity_in(limits.pages_bytes + limits.slack_bytes, arena)?,
            zones: Vec::with_capacity_in(limits.ranges * zones_row_bytes, arena)?,
            zones_row_bytes,
            symbols: Vec::new_in(arena),
            ranges: Vec::with_capacity_in(limits.ranges, arena)?,
            separators: GatheredSeparators::with_capacity_in(limits.ranges, arena)?,
            hashes: Vec::with_capacity_in(limits.filter_keys, arena)?,
            hashes_max: limits.filter_keys,
            filters: Vec::new_in(arena),
            filter_ends: Vec::new_in(arena),
            rows: 0,
            piece: Vec::new_in(arena),
            ranges_max: limits.ranges,
            pages_bytes_max: limits.pages_bytes,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether another range of up to `rows` rows and `bytes` encoded bytes fits; and separators stay short.
    pub(super) fn has_room_for(&self, rows: usize, bytes: usize) -> bool {
        self.ranges.len() < self.ranges_max
            && self.rows as usize + rows <= GROUP_ROWS_MAX
            && self.pages.len() + bytes <= self.pages_bytes_max
            && self.separators.len() <= SEPARATORS_BYTES_MAX
    }

    // ----------------------------------------------------------------------------------------------- filling

    /// Begins a range behind this separator, given in two parts; true where its keys go into a new filter.
    pub(super) fn begin_range(
        &mut self,
        start: &[u8],
        suffix: &[u8],
        rows_max: usize,
    ) -> Result<bool, Error> {
        let is_new = self.hashes.is_empty() || self.hashes.len() + rows_max > self.hashes_max;
        if is_new {
            self.close_filter()?;
        }
        self.separators.push(start, suffix)?;
        Ok(is_new)
    }

    /// Adds a key to the open filter.
    pub(super) fn add_key(&mut self, hash: u64) -> Result<(), Error> {
        Ok(self.hashes.push(hash)?)
    }

    /// Adds a table of symbols for a column, before its first page.
    pub(super) fn add_symbols(&mut self, column: usize, table: &SymbolTable) -> Result<(), Error> {
        let start = self.symbols.len();
        table.write(&mut self.symbols)?;
        let column = &mut self.columns[column];
        (column.symbols_at, column.symbols_len) = (start as u32, (self.symbols.len() - start) as u32);
        Ok(())
    }

    /// Encodes the next column of the open range.
    pub(super) fn add_page(
        &mut self,
        values: &PageValues<'_>,
        symbols: Option<&SymbolTable>,
        scratch: &mut EncodeScratch<'_>,
    ) -> Result<PageStats, Error> {
        let start = self.pages.len() as u32;
        let stats = encode(values, symbols, scratch, &mut self.pages)?;
        let index = self.places.len() % self.columns.len();
        self.places.push(PagePlace { start, len: self.pages.len() as u32 - start })?;
        let column = &mut self.columns[index];
        column.nulls += u32::from(stats.nulls);
        if index >= SYSTEM_COLUMNS {
            let at = self.zones.len();
            let bytes = zones::entry_bytes(column.kind);
            self.zones.resize(at + bytes, 0)?;
            let mut put = Put::new(&mut self.zones[at..]);
            zones::write(&mut put, column.kind, stats.nulls, stats.zone.as_ref());
        }
        Ok(stats)
    }

    /// Leaves the next column of the open range out.
    pub(super) fn leave_out_page(&mut self) -> Result<(), Error> {
        Ok(self.places.push(PagePlace { start: self.pages.len() as u32, len: 0 })?)
    }

    /// Ends the open range; what the group knows itself is filled in. Gives the bytes of its bundle, if it is to be one, and of the
    /// largest page in it.
    pub(super) fn end_range(
        &mut self,
        rows: usize,
        mut record: RangeRecord,
    ) -> Result<Option<(usize, usize)>, Error> {
        self.rows += rows as u32;
        record.row_end = self.rows;
        record.filter = self.filter_ends.len() as u8;
        self.ranges.push(record)?;
        let columns_count = self.columns.len();
        let pages = &self.places[self.places.len() - columns_count..];
        let largest = pages.iter().map(|page| page.len as usize).max().unwrap_or(0);
        Ok(self.is_bundled().then(|| (Bundle::bytes(columns_count, bytes_of(pages)), largest)))
    }

    fn close_filter(&mut self) -> Result<(), Error> {
        if self.hashes.is_empty() {
            return Ok(());
        }
        let lines = filter::lines_for(self.hashes.len());
        let start = self.filters.len();
        self.filters.resize(start + lines * LINE_BYTES, 0)?;
        let bits = &mut self.filters[start..];
        self.hashes.iter().for_each(|hash| filter::insert(bits, *hash));
        self.hashes.clear();
        let before = self.filter_ends.last().copied().unwrap_or(0);
        Ok(self.filter_ends.push(before + lines as u16)?)
    }

    // ----------------------------------------------------------------------------------------------- writing

    /// Writes the group and empties it.
    ///
    /// needs: no range is open, and there is one.
    pub(super) fn write(&mut self, first_row: u64, out: &mut Output<'_, '_>) -> Result<WrittenGroup, Error> {
        self.close_filter()?;
        let bundles_offset = if self.is_bundled() { self.write_bundles(out)? } else { 0 };
        self.write_columns(out)?;
        self.write_zones(out)?;
        let (locations_offset, columns_per_piece) = self.write_locations(out)?;
        let filters_offset = self.write_filters(out)?;
        let sequence_min = self.ranges.iter().map(|range| range.sequence_min).min().unwrap_or(0);
        let sequence_max = self.ranges.iter().map(|range| range.sequence_max).max().unwrap_or(0);
        let is_common =
            |range: &RangeRecord| (range.sequence_min, range.sequence_max) == (sequence_min, sequence_max);
        let has_sequences = if self.ranges.iter().all(is_common) { 0 } else { HAS_SEQUENCES };
        let head = GroupHead {
            ranges_count: self.ranges.len() as u16,
            filters_count: self.filter_ends.len() as u8,
            rows_count: self.rows,
            first_row,
            locations_offset,
            columns_per_piece,
            flags: self.flags() | has_sequences,
            separators: self.separators.sizes(),
            filters_offset,
            bundles_offset,
            sequence_min,
            sequence_max,
        };
        let (offset, len) = self.write_directory(&head, out)?;
        let written = WrittenGroup { offset, len, rows: self.rows };
        self.clear();
        Ok(written)
    }

    /// The memory of pages and of pieces, for other uses: of a group that was written.
    pub(super) fn buffers(&mut self) -> (&mut Vec<'a, u8>, &mut Vec<'a, u8>) {
        debug_assert!(self.is_empty());
        (&mut self.pages, &mut self.piece)
    }

    fn clear(&mut self) {
        self.places.clear();
        self.pages.clear();
        self.zones.clear();
        self.symbols.clear();
        self.ranges.clear();
        self.separators.clear();
        self.filters.clear();
        self.filter_ends.clear();
        self.rows = 0;
        for column in self.columns.iter_mut() {
            (column.nulls, column.symbols_at, column.symbols_len) = (0, 0, 0);
        }
    }

    fn page(&self, range: usize, column: usize) -> &[u8] {
        let PagePlace { start, len } = self.places[range * self.columns.len() + column];
        &self.pages[start as usize..(start + len) as usize]
    }

    fn is_bundled(&self) -> bool {
        is_bundled(self.columns.len() - SYSTEM_COLUMNS)
    }

    fn flags(&self) -> u16 {
        let flag = |is_set: bool, flag: u16| if is_set { flag } else { 0 };
        flag(self.is_bundled(), IS_BUNDLED) | flag(!self.symbols.is_empty(), HAS_SYMBOLS)
    }

    /// How many pages of a column stand behind its symbols.
    fn located_pages(&self) -> usize {
        if self.is_bundled() { 0 } else { self.ranges.len() }
    }

    /// Bundles that fit a block of the file stand within one, so that the system looks for one block only when it reads them: what
    /// is left of the block before is zeros.
    fn write_bundles(&mut self, out: &mut Output<'_, '_>) -> Result<u64, Error> {
        let left_of_block =
            |out: &Output<'_, '_>| (out.position().wrapping_neg() % BLOCK_BYTES as u64) as usize;
        let mut zeros_allowed = 0;
        if self.pages.len() >= ALIGNED_FROM_BYTES {
            out.put_zeros(left_of_block(out))?;
            // The first bundle of a segment is a guess.
            zeros_allowed = BLOCK_BYTES / 2;
        }
        let offset = out.position();
        let columns_count = self.columns.len();
        let mut table = [0; Bundle::table_bytes(BUNDLED_COLUMNS_MAX + SYSTEM_COLUMNS)];
        let table = &mut table[..Bundle::table_bytes(columns_count)];
        for range in 0..self.ranges.len() {
            let places = &self.places[range * columns_count..(range + 1) * columns_count];
            let bytes = Bundle::bytes(columns_count, bytes_of(places));
            let left = left_of_block(out);
            if range > 0 && bytes > left && bytes <= BLOCK_BYTES && left <= zeros_allowed {
                out.put_zeros(left)?;
                zeros_allowed -= left;
                self.ranges[range - 1].bundle_end = (out.position() - offset) as u32;
            }
            zeros_allowed += bytes / ZEROS_SHARE;
            let start = places[0].start;
            let (mut put, mut end) = (Put::new(table), start);
            for place in places {
                end = place.start + place.len;
                Bundle::write_end(&mut put, end - start);
            }
            out.put_piece_of([table, &self.pages[start as usize..end as usize]])?;
            self.ranges[range].bundle_end = (out.position() - offset) as u32;
        }
        Ok(offset)
    }

    fn write_columns(&mut self, out: &mut Output<'_, '_>) -> Result<(), Error> {
        for index in 0..self.columns.len() {
            self.columns[index].data_offset = out.position();
            let GroupColumn { symbols_at, symbols_len, .. } = self.columns[index];
            out.put(&self.symbols[symbols_at as usize..][..symbols_len as usize])?;
            for range in 0..self.located_pages() {
                out.put(self.page(range, index))?;
            }
        }
        Ok(())
    }

    fn write_zones(&mut self, out: &mut Output<'_, '_>) -> Result<(), Error> {
        for index in SYSTEM_COLUMNS..self.columns.len() {
            let GroupColumn { kind, zone_at, .. } = self.columns[index];
            self.piece.clear();
            for range in 0..self.ranges.len() {
                let start = range * self.zones_row_bytes + zone_at as usize;
                self.piece.extend_from_slice(&self.zones[start..start + zones::entry_bytes(kind)])?;
            }
            self.columns[index].zones_offset = out.put_piece(&self.piece)?.0;
        }
        Ok(())
    }

    fn write_locations(&mut self, out: &mut Output<'_, '_>) -> Result<(u64, u16), Error> {
        let ranges = self.located_pages();
        let bytes = location_bytes(ranges);
        let per_piece = (LOCATIONS_BYTES / bytes).clamp(1, self.columns.len());
        let offset = out.position();
        for first in (0..self.columns.len()).step_by(per_piece) {
            let columns = first..(first + per_piece).min(self.columns.len());
            let mut piece = core::mem::replace(&mut self.piece, Vec::new_in(self.pages.arena()));
            piece.clear();
            piece.resize(columns.len() * bytes, 0)?;
            let mut put = Put::new(&mut piece);
            for index in columns {
                let GroupColumn { data_offset, zones_offset, symbols_len, nulls, .. } = self.columns[index];
                ColumnLocation::write_head(&mut put, data_offset, zones_offset, symbols_len, nulls);
                let mut end = 0;
                for range in 0..ranges {
                    let page = self.page(range, index);
                    end += page.len() as u32;
                    ColumnLocation::write_page(&mut put, end, tail_of(page));
                }
            }
            out.put_piece(&piece)?;
            self.piece = piece;
        }
        Ok((offset, per_piece as u16))
    }

    fn write_filters(&mut self, out: &mut Output<'_, '_>) -> Result<u64, Error> {
        let offset = out.position();
        let mut start = 0;
        for end in self.filter_ends.iter().map(|end| usize::from(*end) * LINE_BYTES) {
            out.put_piece(&self.filters[start..end])?;
            start = end;
        }
        Ok(offset)
    }

    fn write_directory(&mut self, head: &GroupHead, out: &mut Output<'_, '_>) -> Result<(u64, u32), Error> {
        self.piece.clear();
        self.piece.resize(head.payload_bytes(), 0)?;
        let mut put = Put::new(&mut self.piece);
        head.write(&mut put);
        self.ranges.iter().for_each(|range| range.write(&mut put));
        if head.flags & HAS_SEQUENCES != 0 {
            self.ranges.iter().for_each(|range| range.write_sequences(&mut put));
        }
        self.filter_ends.iter().for_each(|end| _ = put.u16(*end));
        self.separators.write(head.separators, &mut put);
        out.put_piece(&self.piece)
    }
}
