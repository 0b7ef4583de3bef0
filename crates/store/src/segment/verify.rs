//! Reading everything there is in a segment, and telling what is wrong with it.
//!
//! A part that is damaged is told of and passed over: a page leaves the other columns to be looked at, a directory the
//! other groups, an index node its siblings. What is compared with what:
//!
//! | | with |
//! |---|---|
//! | each row's versioned key | the row's before (G1), and the separator of its range |
//! | keys | the range's filter (G3) |
//! | values | the zone of their page (G3), text with UTF-8, long texts with their checksums |
//! | sequences, tombstones, versions | what the directory says of the range |
//! | NULLs | the column's type, zones, locations, statistics; of tombstones, everything but the key (G4) |
//! | rows, groups, ranges, tombstones, sequences, first and last key | the footer |
//! | keys with small hashes, bytes of texts | the sketches |

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_types::Type;
use cofferdam_types::column::Kind;
use cofferdam_types::row::decode_bytes;

use super::cursor::SegmentCursor;
use super::filter::{hash_key, may_contain};
use super::layout::{FOOTER_BYTES, Footer, GroupDirectory, IndexNode, SYSTEM_COLUMNS, payload};
use super::piece::{PageSource, Scratch, sized};
use super::reader::Segment;
use super::search::RangePlace;
use super::separators::VersionedKey;
use super::{physical_order, zones};
use crate::error::{Corruption, Error};
use crate::page::{Page, PageValue, ROWS_MAX, TextRef, Zone, ZoneBound};
use crate::schema::Schema;

/// What a segment turned out to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verified {
    /// Rows that were looked at.
    pub(crate) rows_count: u64,
    /// Pages that were looked at.
    pub(crate) pages_count: u64,
    /// Things that are wrong.
    pub(crate) problems_count: u64,
}

/// What whoever looks on is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sight<'e> {
    /// Damage, or a failure of the system.
    Problem(&'e Error),
    /// So many more rows were looked at.
    Rows(u64),
}

/// Who is told; an error ends the work.
type Visitor<'v> = dyn FnMut(Sight<'_>) -> Result<(), Error> + 'v;

struct Verifier<'v, 's, 'a> {
    segment: &'v Segment,
    schema: Schema<'s>,
    arena: &'a Arena,
    cursor: SegmentCursor<'s, 'a>,
    scratch: Scratch<'a>,
    visitor: &'v mut Visitor<'v>,
    verified: Verified,
    /// The row before, unless what is before could not be read.
    last: Option<LastRow<'a>>,
    key: Vec<'a, u8>,
    sequences: &'a mut [u64],
    deletes: &'a mut [bool],
    nulls: Vec<'a, u64>,
    /// Bytes of texts, by column.
    text_bytes: Vec<'a, u64>,
    sampled: Sampled,
    totals: Totals,
    first_key: Option<super::KeyBound>,
}

struct LastRow<'a> {
    key: Vec<'a, u8>,
    stored: u64,
}

/// The keys that the sample of the sketches is to have, and those that it has: how many, and the exclusive or of their hashes and
/// of what kind their newest versions are.
#[derive(Clone, Copy, Debug, Default)]
struct Sampled {
    limit: u64,
    /// All keys of the segment.
    keys_count: u64,
    expected: Keys,
    found: Keys,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Keys {
    count: u64,
    hashes: u64,
    tombstones: u64,
}

impl Keys {
    fn add(&mut self, hash: u64, is_delete: bool) {
        self.count += 1;
        self.hashes ^= hash;
        self.tombstones += u64::from(is_delete);
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    groups: u32,
    ranges: u32,
    rows: u64,
    keys: u64,
    tombstones: u64,
    sequence_min: u64,
    sequence_max: u64,
    is_whole: bool,
}

/// [`look_through`] for who wants to know of damage only.
///
/// # Errors
/// Those of the system and of the visitor; the arena's budget refuses. Damage is no error here.
pub(crate) fn verify(
    segment: &Segment,
    schema: Schema<'_>,
    arena: &Arena,
    visitor: &mut dyn FnMut(&Corruption) -> Result<(), Error>,
) -> Result<Verified, Error> {
    look_through(segment, schema, arena, &mut |sight| match sight {
        Sight::Problem(Error::Corrupt(problem)) => visitor(problem),
        Sight::Problem(error) => Err(*error),
        Sight::Rows(_) => Ok(()),
    })
}

/// Reads a whole segment and gives everything that is wrong with it to `visitor`, and how far it is.
///
/// **Memory**, of the arena: a page, a directory and an index node a level, 18 KiB for sequences and kinds, 8 bytes a column.
///
/// # Errors
/// Those of the visitor; the arena's budget refuses. Damage is no error here, nor is what cannot be read.
pub(crate) fn look_through(
    segment: &Segment,
    schema: Schema<'_>,
    arena: &Arena,
    visitor: &mut Visitor<'_>,
) -> Result<Verified, Error> {
    let mut nulls = Vec::new_in(arena);
    nulls.resize(segment.columns_count(), 0)?;
    let mut text_bytes = Vec::new_in(arena);
    text_bytes.resize(segment.columns_count(), 0)?;
    let last = Some(LastRow { key: Vec::new_in(arena), stored: u64::MAX });
    let mut verifier = Verifier {
        segment,
        schema,
        arena,
        cursor: SegmentCursor::new(segment, schema, PageSource::UNCACHED, 0, arena),
        scratch: Scratch::new_in(arena),
        visitor,
        verified: Verified::default(),
        last,
        key: Vec::new_in(arena),
        sequences: arena.alloc_slice_fill(ROWS_MAX, 0)?,
        deletes: arena.alloc_slice_fill(ROWS_MAX, false)?,
        nulls,
        text_bytes,
        sampled: Sampled::default(),
        totals: Totals { sequence_min: u64::MAX, is_whole: true, ..Totals::default() },
        first_key: None,
    };
    let result = verifier.sampled_keys();
    verifier.tell(result)?;
    let root = (segment.root_offset, segment.root_len);
    verifier.node(root, segment.height, &[], 0)?;
    let result = verifier.footer();
    verifier.tell(result)?;
    let result = verifier.statistics();
    verifier.tell(result)?;
    let result = verifier.sketches();
    verifier.tell(result)?;
    Ok(verifier.verified)
}

impl<'a> Verifier<'_, '_, 'a> {
    /// Tells of damage and of what cannot be read; other errors end the work.
    fn tell(&mut self, result: Result<(), Error>) -> Result<(), Error> {
        match result {
            Err(error @ (Error::Corrupt(_) | Error::Io(_))) => {
                self.verified.problems_count += 1;
                (self.visitor)(Sight::Problem(&error))
            }
            result => result,
        }
    }

    fn problem(&self, offset: u64, what: &'static str) -> Error {
        self.segment.file.corrupt(offset, what)
    }

    /// A node of the index and everything below it; of level 0, a group.
    fn node(&mut self, place: (u64, u32), level: u16, separator: &[u8], first_row: u64) -> Result<(), Error> {
        if level == 0 {
            let result = self.group(place, separator, first_row);
            return self.tell_of_gap(result);
        }
        // Each level keeps its node, since its children use the scratch.
        let mut copy = Vec::new_in(self.arena);
        let result = self.read_node(place, level, &mut copy);
        if result.is_err() {
            return self.tell_of_gap(result);
        }
        let node = IndexNode::parse(&copy).map_err(|what| self.problem(place.0, what))?;
        if node.entry(0).first_row != first_row {
            let problem = self.problem(place.0, "an index node begins elsewhere than its entry says");
            self.tell(Err(problem))?;
        }
        let mut own = Vec::new_in(self.arena);
        for index in 0..node.count() {
            let entry = node.entry(index);
            own.clear();
            node.separators.put(index, &mut own)?;
            // What is before a node is before its first child.
            let separator = if index == 0 { separator } else { &own };
            self.node((entry.offset, entry.len), level - 1, separator, entry.first_row)?;
        }
        Ok(())
    }

    fn read_node(&mut self, place: (u64, u32), level: u16, copy: &mut Vec<'_, u8>) -> Result<(), Error> {
        let piece = self.segment.node(place, level, PageSource::UNCACHED, &mut self.scratch.pages.bytes)?;
        Ok(copy.extend_from_slice(payload(&piece))?)
    }

    /// Tells of damage that leaves out rows, so that what follows is not compared with what was before.
    fn tell_of_gap(&mut self, result: Result<(), Error>) -> Result<(), Error> {
        if result.is_err() {
            self.totals.is_whole = false;
            self.last = None;
        }
        self.tell(result)
    }

    fn group(&mut self, place: (u64, u32), separator: &[u8], first_row: u64) -> Result<(), Error> {
        let mut copy = Vec::new_in(self.arena);
        let piece = self.segment.directory(place, PageSource::UNCACHED, &mut self.scratch.pages.bytes)?;
        copy.extend_from_slice(payload(&piece))?;
        let directory = GroupDirectory::parse(&copy).map_err(|what| self.problem(place.0, what))?;
        if directory.head.first_row != first_row {
            let problem = self.problem(place.0, "a row group begins elsewhere than its entry says");
            self.tell(Err(problem))?;
        }
        self.totals.groups += 1;
        let mut nulls = Vec::new_in(self.arena);
        nulls.resize(self.segment.columns_count(), 0u32)?;
        let mut own = Vec::new_in(self.arena);
        for index in 0..directory.ranges_count() {
            let range = RangePlace::new(&directory, place, index);
            self.cursor.stand_at(range);
            own.clear();
            directory.separators.put(index, &mut own)?;
            let separator = if index == 0 { separator } else { &own };
            let result = self.keys(&range, separator, directory.filter(range.filter));
            self.tell_of_gap(result)?;
            let orders = physical_order(&self.schema);
            for (physical, column) in orders.enumerate() {
                if usize::from(column) >= nulls.len() {
                    continue;
                }
                let result = self.column(&range, physical + SYSTEM_COLUMNS, column.into(), &mut nulls);
                self.tell(result)?;
            }
            self.totals.ranges += 1;
            self.totals.rows += u64::from(range.rows);
            self.verified.rows_count += u64::from(range.rows);
            (self.visitor)(Sight::Rows(range.rows.into()))?;
        }
        self.nulls_of_group(place, &directory, &nulls)
    }

    fn nulls_of_group(
        &mut self,
        place: (u64, u32),
        directory: &GroupDirectory<'_>,
        nulls: &[u32],
    ) -> Result<(), Error> {
        let range = RangePlace::new(directory, place, 0);
        for (column, nulls) in nulls.iter().enumerate() {
            let physical = super::physical_column(&self.schema, column);
            let (segment, bytes) = (self.segment, &mut self.scratch.pages.bytes);
            let told = segment.with_location(&range, physical, PageSource::UNCACHED, bytes, |column| {
                Ok(column.nulls_count())
            })?;
            if told != *nulls {
                return Err(
                    self.problem(place.0, "a column has another number of NULLs than its location says")
                );
            }
            self.nulls[column] += u64::from(*nulls);
        }
        Ok(())
    }

    /// Keys, sequences and kinds of a range.
    fn keys(&mut self, range: &RangePlace, separator: &[u8], filter: (u64, u32)) -> Result<(), Error> {
        let offset = range.directory.0;
        let rows = range.rows as usize;
        self.cursor.load_keys()?;
        self.cursor.sequences(0..rows, &mut self.sequences[..rows])?;
        self.cursor.deletes(0..rows, &mut self.deletes[..rows])?;
        let mut lines = Vec::new_in(self.arena);
        let piece = self.segment.plain_piece(filter, PageSource::UNCACHED, &mut self.scratch.pages.bytes)?;
        lines.extend_from_slice(payload(&piece))?;
        let mut has_versions = false;
        for row in 0..rows {
            let stored = self.sequences[row] - self.segment.base;
            self.key.clear();
            self.cursor.put_key(row, &mut self.key)?;
            let this = VersionedKey::new(&self.key, stored);
            let mut is_newest = true;
            if row == 0 && range.first_row == 0 {
                self.first_key = Some(super::KeyBound::new(&self.key));
            }
            if row == 0 && this.compare(separator).is_lt() {
                return Err(self.problem(offset, "the first key of a range is before its separator"));
            }
            if let Some(last) = &self.last {
                let is_version = last.key[..] == self.key[..];
                let is_before = VersionedKey::new(&last.key, last.stored);
                let is_first = self.totals.rows == 0 && row == 0;
                if !is_first && (last.key[..] > self.key[..] || (is_version && last.stored <= stored)) {
                    return Err(self.problem(offset, "rows are out of order"));
                }
                if !is_first
                    && row == 0
                    && (is_before.compare(separator).is_ge() || range.continues() != is_version)
                {
                    return Err(self.problem(offset, "a separator does not separate"));
                }
                has_versions |= is_version && !is_first;
                is_newest = is_first || !is_version;
            }
            let hash = hash_key(&self.key);
            self.totals.keys += u64::from(is_newest);
            if is_newest && hash < self.sampled.limit {
                self.sampled.found.add(hash, self.deletes[row]);
            }
            if !may_contain(&lines, hash) {
                return Err(self.problem(filter.0, "a filter denies a key that is there"));
            }
            match &mut self.last {
                Some(last) => {
                    core::mem::swap(&mut last.key, &mut self.key);
                    last.stored = stored;
                }
                None => {
                    let key = core::mem::replace(&mut self.key, Vec::new_in(self.arena));
                    self.last = Some(LastRow { key, stored });
                }
            }
        }
        self.versions(range, rows, has_versions)
    }

    fn versions(&mut self, range: &RangePlace, rows: usize, has_versions: bool) -> Result<(), Error> {
        let sequences = self.sequences.get(..rows).unwrap_or(&[]);
        let base = self.segment.base;
        let least = sequences.iter().min().map_or(0, |least| least - base);
        let greatest = sequences.iter().max().map_or(0, |greatest| greatest - base);
        let tombstones = self.deletes.iter().take(rows).filter(|is_delete| **is_delete).count();
        let totals = &mut self.totals;
        totals.tombstones += tombstones as u64;
        totals.sequence_min = totals.sequence_min.min(least);
        totals.sequence_max = totals.sequence_max.max(greatest);
        let is_right = (least, greatest) == (range.sequence_min, range.sequence_max)
            && tombstones == usize::from(range.tombstones)
            && (has_versions == range.has_versions() || !totals.is_whole);
        if is_right {
            Ok(())
        } else {
            Err(self.problem(range.directory.0, "a range has other versions than its directory says"))
        }
    }

    /// A column of a range, with its zone.
    fn column(
        &mut self,
        range: &RangePlace,
        physical: usize,
        column: usize,
        nulls: &mut [u32],
    ) -> Result<(), Error> {
        let source = PageSource::UNCACHED;
        let zone =
            self.segment.zone_of(&self.schema, range, column, source, &mut self.scratch.pages.bytes)?;
        self.verified.pages_count += 1;
        let (page, offset, ty, table) = self.cursor.page_of(physical)?;
        let is_key = self.schema.key.iter().any(|part| usize::from(part.column) == column);
        let is_nullable = self.schema.columns.get(column).is_none_or(|column| column.is_nullable);
        let damaged = |what| Err(self.segment.file.corrupt(offset, what));
        let mut found = 0;
        for row in 0..page.rows() {
            let is_delete = self.deletes.get(row) == Some(&true);
            if page.is_null(row) {
                if !is_nullable && !is_delete {
                    return damaged("a NULL in a column that takes none");
                }
                found += 1;
                continue;
            }
            if is_delete && !is_key {
                return damaged("a tombstone has a value beside its key");
            }
            let is_inside = match page.kind() {
                Kind::Text => {
                    let text = page.text_at(row, table, &mut self.scratch.text);
                    match text.map_err(|error| self.segment.file.page_error(offset, error))? {
                        TextRef::Inline(text) if decode_bytes(text, ty).is_err() => {
                            return damaged("the bytes of a value are none of its type");
                        }
                        TextRef::Inline(text) => {
                            self.text_bytes[column] += text.len() as u64;
                            has_text(zone.zone.as_ref(), text)
                        }
                        TextRef::Long(at) => {
                            self.text_bytes[column] += u64::from(at.len);
                            self.segment.check_long(at)?;
                            let buffer = sized(&mut self.scratch.pages.bytes, 4 << 10)?;
                            let mut is_inside = true;
                            let mut is_first = true;
                            self.segment.file.read_long(at, buffer, |piece| {
                                // The bounds of a page look at the first 16 bytes only.
                                is_inside &= !is_first || has_text(zone.zone.as_ref(), piece);
                                is_first = false;
                                Ok(())
                            })?;
                            is_inside
                        }
                    }
                }
                kind => has_value(zone.zone.as_ref(), &bound_of(&page, kind, row)),
            };
            if !is_inside {
                return damaged("a zone does not have a value of its page");
            }
            let value = page.value_at(row, ty, table, &mut self.scratch.text);
            if let PageValue::Inline(value) =
                value.map_err(|error| self.segment.file.page_error(offset, error))?
                && value.is_null()
            {
                return damaged("a value is none of its type");
            }
        }
        if found != zone.nulls {
            return damaged("a page has another number of NULLs than its zone says");
        }
        nulls[column] += found;
        Ok(())
    }

    fn footer(&mut self) -> Result<(), Error> {
        let segment = self.segment;
        let mut bytes = [0; FOOTER_BYTES];
        segment.file.read(&mut bytes, segment.footer_offset)?;
        let footer = Footer::parse(segment.file.salt(), segment.footer_offset, &bytes);
        let footer = footer.map_err(|what| self.problem(segment.footer_offset, what))?;
        let totals = self.totals;
        if !totals.is_whole {
            return Ok(());
        }
        let is_right = footer.groups_count == totals.groups
            && footer.ranges_count == totals.ranges
            && footer.rows_count == totals.rows
            && footer.tombstones_count == totals.tombstones
            && (footer.sequence_min, footer.sequence_max) == (totals.sequence_min, totals.sequence_max)
            && self.first_key == Some(footer.smallest)
            && self.last.as_ref().is_some_and(|last| super::KeyBound::new(&last.key) == footer.largest);
        if is_right {
            Ok(())
        } else {
            Err(self.problem(segment.footer_offset, "a segment has other rows than its footer says"))
        }
    }

    fn statistics(&mut self) -> Result<(), Error> {
        for column in 0..self.segment.columns_count() {
            let source = PageSource::UNCACHED;
            let statistics = self.segment.statistics(&self.schema, column, source, &mut self.scratch)?;
            let nulls = statistics.map_or(0, |statistics| statistics.nulls_count);
            if self.totals.is_whole && self.verified.problems_count == 0 && nulls != self.nulls[column] {
                let offset = self.segment.statistics_offset;
                return Err(
                    self.problem(offset, "a column has another number of NULLs than its statistics say")
                );
            }
        }
        Ok(())
    }

    /// The keys that the sketches have a sample of.
    fn sampled_keys(&mut self) -> Result<(), Error> {
        let sampled = self.segment.with_sketches(PageSource::UNCACHED, &mut self.scratch, |head| {
            let (limit, keys_count) = (head.limit(), head.keys_count());
            let mut sampled = Sampled { limit, keys_count, ..Sampled::default() };
            for (hash, is_delete) in (0..head.rows()).map(|row| head.row(row)) {
                sampled.expected.add(hash, is_delete);
            }
            Ok(if head.rows() == 0 { Sampled { limit: 0, ..sampled } } else { sampled })
        })?;
        self.sampled = sampled.unwrap_or_default();
        Ok(())
    }

    /// Whether the sketches have the keys and the texts that were seen, if all were.
    fn sketches(&mut self) -> Result<(), Error> {
        let is_whole = self.totals.is_whole && self.verified.problems_count == 0;
        let (segment, offset) = (self.segment, self.segment.sketches.offset);
        for column in 0..segment.columns_count() {
            let kind = self.schema.columns.get(column).map_or(Kind::Bool, |column| column.kind());
            let (source, scratch) = (PageSource::UNCACHED, &mut self.scratch);
            let bytes = segment.with_sketch(kind, column, source, scratch, |sketch| {
                if let Some(sample) = &sketch.sample {
                    let mut text = Vec::new_in(self.arena);
                    for row in 0..sample.rows() {
                        let ty = self.schema.columns.get(column).map_or(Type::Unknown, |column| column.ty);
                        let value = sample.value_at(row, ty, None, &mut text);
                        value.map_err(|error| segment.file.page_error(offset, error))?;
                    }
                }
                Ok(sketch.text_bytes)
            })?;
            if is_whole && bytes.is_some_and(|bytes| bytes != self.text_bytes[column]) {
                return Err(self.problem(offset, "a column has other texts than its sketch says"));
            }
        }
        let is_right =
            self.sampled.expected == self.sampled.found && self.sampled.keys_count == self.totals.keys;
        if is_whole && segment.sketches.len > 0 && !is_right {
            return Err(self.problem(offset, "a sample has other keys than its segment"));
        }
        Ok(())
    }
}

fn bound_of(page: &Page<'_>, kind: Kind, row: usize) -> ZoneBound {
    match kind {
        Kind::F64 => ZoneBound::Double(page.f64_at(row)),
        _ => ZoneBound::Int(page.i128_at(row)),
    }
}

fn has_value(zone: Option<&Zone>, value: &ZoneBound) -> bool {
    zone.is_some_and(|zone| {
        zones::compare(&zone.min, value).is_le() && zones::compare(value, &zone.max).is_le()
    })
}

/// Whether a zone has a text. Its bounds are beginnings, so of a longer text they are compared with the beginning.
fn has_text(zone: Option<&Zone>, text: &[u8]) -> bool {
    zone.is_some_and(|zone| {
        let is_above = match &zone.min {
            ZoneBound::Text(bound) => bound.as_bytes() <= text,
            _ => false,
        };
        let is_below = match &zone.max {
            ZoneBound::Text(bound) => text <= bound.as_bytes(),
            bound => *bound == ZoneBound::Unbounded,
        };
        is_above && is_below
    })
}
