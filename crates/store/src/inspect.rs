//! What there is in a database, as values for those who print or count it: files, logs, tables, levels, segments, row groups,
//! columns with their encodings and bounds. Nothing is written, and nobody writes meanwhile.
//!
//! What the manifest says is at hand once a database is open ([`Inspection`]); what segments say of themselves is read when it is
//! asked for, one segment at a time ([`Inspection::open_segment`]), so that one which is damaged hides no other.
//!
//! **Memory**, of a child `inspect` of the caller's budget: definitions of tables, 250 bytes a segment; for a segment a piece of
//! what leads to pages and a page.

use core::cell::Cell;
use core::fmt::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use cofferdam_arena::{Arena, Budget, InlineText, collections};
use cofferdam_types::column::{value_of_double, value_of_integer};
use cofferdam_types::row::decode_bytes;
use cofferdam_types::{Type, Value};
use cofferdam_vfs::{OpenMode, Vfs};

use crate::catalog::{Catalog, Listed};
use crate::check::{key_text, open_listed};
use crate::error::Error;
use crate::files::{FileId, FileKind};
use crate::flush::BUFFERS;
use crate::manifest::{Counters, DATABASE_VERSION};
use crate::page::{Encoding, Shape, Zone, ZoneBound};
use crate::schema::TableId;
use crate::segment::{PageSource, Scratch, Segment, SegmentCursor};
use crate::table::Table;
use crate::wal;

/// A text that is cut where it is longer.
pub type Shown = InlineText<96>;

/// A database that is looked at.
#[derive(Debug)]
pub struct Inspection {
    catalog: Catalog,
}

/// The database as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseInfo {
    /// The version of its format.
    pub format_version: u32,
    /// Its identity: a random number.
    pub identity: u64,
    /// How often the manifest was switched.
    pub generation: u64,
    /// The manifest that holds.
    pub manifest: FileId,
    /// Its bytes, up to the end of its last record.
    pub manifest_bytes: u64,
    /// Those of its snapshot, with what stands before it.
    pub snapshot_bytes: u64,
    /// Edits behind the snapshot.
    pub edits_count: u64,
    /// The last sequence that is in segments.
    pub last_sequence: u64,
    /// The first log that is needed; `None` while every log is.
    pub oldest_wal: Option<FileId>,
    /// No file has this number or a greater one.
    pub next_file: u64,
    /// No table has this number or a greater one.
    pub next_table: u32,
}

/// A file of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Its name.
    pub id: FileId,
    /// Its bytes.
    pub bytes: u64,
    /// False for one that goes with the next opening.
    pub is_needed: bool,
}

/// A log.
#[derive(Clone, Copy, Debug)]
pub struct LogInfo {
    /// Its name.
    pub id: FileId,
    /// The bytes of the file.
    pub bytes: u64,
    /// Up to where there are complete transactions.
    pub end: u64,
    /// How many.
    pub transactions_count: u64,
    /// Changes in them.
    pub entries_count: u64,
    /// The last sequence; 0 where there is none.
    pub last_sequence: u64,
    /// Why it cannot be read to its end.
    pub problem: Option<Error>,
}

/// Segments, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many.
    pub segments_count: u64,
    /// Rows, versions and tombstones counted each.
    pub rows_count: u64,
    /// Tombstones among them.
    pub tombstones_count: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A segment, as the manifest describes it.
#[derive(Clone, Copy, Debug)]
pub struct SegmentInfo {
    listed: Listed,
    /// Its table.
    pub table: TableId,
    /// Its level.
    pub level: u8,
    /// Its file.
    pub file: FileId,
    /// Its first byte in the file.
    pub start: u64,
    /// Its bytes.
    pub bytes: u64,
    /// Rows, versions and tombstones counted each.
    pub rows_count: u64,
    /// Tombstones among them.
    pub tombstones_count: u64,
    /// The smallest sequence of a row.
    pub sequence_min: u64,
    /// The greatest one.
    pub sequence_max: u64,
}

/// A row group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    /// Its first row in the segment.
    pub first_row: u64,
    /// Rows.
    pub rows_count: u32,
    /// Page ranges: pages that each column has.
    pub ranges_count: u16,
    /// Bytes of its filters.
    pub filter_bytes: u64,
}

/// A column of a segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColumnInfo {
    /// The column of [`Table::schema`].
    pub column: u16,
    /// The type of its values.
    pub ty: Type,
    /// Pages.
    pub pages_count: u32,
    /// Their bytes, with those of their symbols.
    pub bytes: u64,
    /// Rows without a value, tombstones among them.
    pub nulls_count: u64,
    /// How the pages are encoded.
    pub encodings: Encodings,
    /// No value is less; `None` where there is none, or nothing is known.
    pub min: Option<Shown>,
    /// No value is greater.
    pub max: Option<Shown>,
}

/// How many pages are encoded in which way. `Display` is for people: `dictionary 3, constant 1, 2 compressed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encodings {
    counts: [u32; SHAPES.len()],
    compressed_count: u32,
    scaled_count: u32,
}

const SHAPES: [Shape; 7] = [
    Shape::Dictionary,
    Shape::FrameOfReference,
    Shape::RunLength,
    Shape::Linear,
    Shape::Constant,
    Shape::Plain,
    Shape::Nothing,
];

impl Encodings {
    fn add(&mut self, encoding: Encoding) {
        if let Some(place) = SHAPES.iter().position(|shape| *shape == encoding.shape) {
            self.counts[place] += 1;
        }
        self.compressed_count += u32::from(encoding.is_compressed);
        self.scaled_count += u32::from(encoding.digits.is_some());
    }
}

impl fmt::Display for Encodings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut part = |what: &dyn fmt::Display, is_first: bool, count: u32| {
            if count == 0 {
                return Ok(());
            }
            let before = core::mem::replace(&mut separator, ", ");
            if is_first { write!(f, "{before}{what} {count}") } else { write!(f, "{before}{count} {what}") }
        };
        for (shape, count) in SHAPES.iter().zip(self.counts) {
            part(&Encoding { shape: *shape, is_compressed: false, digits: None }, true, count)?;
        }
        part(&"compressed", false, self.compressed_count)?;
        part(&"as integers", false, self.scaled_count)
    }
}

impl Inspection {
    /// Opens a database to look at it. Nobody may have it open, and nobody can open it until this is dropped.
    ///
    /// # Errors
    /// [`Error::NotADatabase`], [`Error::Locked`], [`Error::Corrupt`] for its root or manifest, [`Error::Unsupported`],
    /// [`Error::OutOfMemory`], [`Error::Io`].
    pub fn open(vfs: &Arc<dyn Vfs>, path: &Path, budget: &Budget) -> Result<Inspection, Error> {
        let budget = budget.child("inspect", u64::MAX)?;
        Ok(Inspection { catalog: Catalog::open(vfs, path, &budget)? })
    }

    /// The database as a whole.
    pub fn database(&self) -> DatabaseInfo {
        let Catalog { root, replayed, .. } = &self.catalog;
        let Counters { next_file, next_table, last_sequence, oldest_wal } = replayed.counters;
        DatabaseInfo {
            format_version: DATABASE_VERSION,
            identity: root.database,
            generation: root.generation,
            manifest: FileId::new(FileKind::Manifest, root.manifest),
            manifest_bytes: replayed.summary.end,
            snapshot_bytes: replayed.snapshot_bytes,
            edits_count: replayed.edits_count,
            last_sequence,
            oldest_wal: (oldest_wal > 0).then(|| FileId::new(FileKind::Wal, oldest_wal)),
            next_file,
            next_table,
        }
    }

    /// Gives every file of the store to `visit`, by kind and number.
    ///
    /// # Errors
    /// [`Error::Io`]; those of `visit`.
    pub fn files(&self, visit: &mut dyn FnMut(&FileInfo) -> Result<(), Error>) -> Result<(), Error> {
        self.catalog.for_each_file(&mut |id| {
            let bytes = match id {
                FileId::LOCK => 0,
                _ => self.catalog.directory.open_file(id, OpenMode::Read, &self.catalog.budget)?.bytes()?,
            };
            visit(&FileInfo { id, bytes, is_needed: self.catalog.needs(id) })
        })
    }

    /// Gives every log that is needed to `visit`, in order; reads them.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Io`] for the directory; those of `visit`. What is wrong with a log is told in its value.
    pub fn logs(&self, visit: &mut dyn FnMut(&LogInfo) -> Result<(), Error>) -> Result<(), Error> {
        let Catalog { directory, root, budget, .. } = &self.catalog;
        self.catalog.for_each_log(&mut |id| {
            let (transactions, entries) = (Cell::new(0), Cell::new(0));
            let count = |counter: &Cell<u64>| counter.set(counter.get() + 1);
            let outcome = wal::replay_alone(directory, root, id.number, budget, &mut |event| {
                count(if matches!(event, wal::Event::Commit { .. }) { &transactions } else { &entries });
                Ok(())
            });
            let bytes =
                directory.open_file(id, OpenMode::Read, budget).and_then(|file| file.bytes()).unwrap_or(0);
            let (summary, problem) = match outcome {
                Ok(summary) => (summary, None),
                Err(error @ Error::OutOfMemory(_)) => return Err(error),
                Err(error) => (None, Some(error)),
            };
            visit(&LogInfo {
                id,
                bytes,
                end: summary.map_or(0, |summary| summary.end),
                transactions_count: transactions.get(),
                entries_count: entries.get(),
                last_sequence: summary.map_or(0, |summary| summary.last_sequence),
                problem,
            })
        })
    }

    /// Tables and indexes, by number.
    pub fn tables(&self) -> impl ExactSizeIterator<Item = &Table> {
        self.catalog.tables.iter()
    }

    /// The table or index of a number.
    pub fn table(&self, table: TableId) -> Option<&Table> {
        self.catalog.table(table)
    }

    /// The segments of a table or index: by level, level 0 newest first, the others by key.
    pub fn segments(&self, table: TableId) -> impl ExactSizeIterator<Item = SegmentInfo> {
        self.catalog.segments_of(table).iter().map(SegmentInfo::of)
    }

    /// The levels of a table or index that have segments, with what they have.
    pub fn levels(&self, table: TableId) -> impl Iterator<Item = (u8, Totals)> {
        let levels = self.catalog.segments_of(table).chunk_by(|a, b| a.info.level == b.info.level);
        levels.filter_map(|level| Some((level.first()?.info.level, Totals::of(level))))
    }

    /// All segments of a table or index together.
    pub fn totals(&self, table: TableId) -> Totals {
        Totals::of(self.catalog.segments_of(table))
    }

    /// Opens a segment to look into it.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a file that is missing, or a damaged header or footer; [`Error::Unsupported`], [`Error::OutOfMemory`],
    /// [`Error::Io`].
    pub fn open_segment(&self, segment: &SegmentInfo) -> Result<OpenSegment<'_>, Error> {
        let info = &segment.listed.info;
        let table = self.catalog.table(info.table).ok_or(Error::NotADatabase)?;
        let segment = open_listed(&self.catalog.directory, info, table, &self.catalog.budget)?;
        Ok(OpenSegment { segment, table, budget: &self.catalog.budget })
    }
}

impl Totals {
    fn of(segments: &[Listed]) -> Totals {
        segments.iter().fold(Totals::default(), |totals, Listed { info, .. }| Totals {
            segments_count: totals.segments_count + 1,
            rows_count: totals.rows_count + info.rows_count,
            tombstones_count: totals.tombstones_count + info.tombstones_count,
            bytes: totals.bytes + info.bytes,
        })
    }
}

impl SegmentInfo {
    fn of(listed: &Listed) -> SegmentInfo {
        let info = &listed.info;
        let end = info.id.footer_offset.saturating_add(info.footer_bytes.into());
        SegmentInfo {
            listed: *listed,
            table: info.table,
            level: info.level,
            file: FileId::new(FileKind::Segments, info.id.file),
            start: end.saturating_sub(info.bytes),
            bytes: info.bytes,
            rows_count: info.rows_count,
            tombstones_count: info.tombstones_count,
            sequence_min: info.sequence_min,
            sequence_max: info.sequence_max,
        }
    }
}

/// A segment that is looked into.
#[derive(Debug)]
pub struct OpenSegment<'i> {
    segment: Segment,
    table: &'i Table,
    budget: &'i Budget,
}

impl OpenSegment<'_> {
    /// The first and the last key, as people read them.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::OutOfMemory`], [`Error::Io`].
    pub fn keys(&self) -> Result<(Shown, Shown), Error> {
        let arena = Arena::with_growth(self.budget, BUFFERS);
        let schema = self.table.schema();
        let mut cursor = SegmentCursor::new(&self.segment, schema, PageSource::UNCACHED, 0, &arena);
        let mut key = collections::Vec::new_in(&arena);
        let mut text = |row| -> Result<Shown, Error> {
            let Some(place) = cursor.seek_row(row)? else { return Ok(Shown::EMPTY) };
            cursor.load_keys()?;
            key.clear();
            cursor.put_key(place, &mut key)?;
            Ok(key_text(&schema, &key))
        };
        Ok((text(0)?, text(self.segment.rows_count().saturating_sub(1))?))
    }

    /// Gives each row group to `visit`, in order.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::OutOfMemory`], [`Error::Io`]; those of `visit`.
    pub fn groups(&self, visit: &mut dyn FnMut(&GroupInfo) -> Result<(), Error>) -> Result<(), Error> {
        let arena = Arena::with_growth(self.budget, BUFFERS);
        let scratch = &mut Scratch::new_in(&arena);
        self.segment.describe_groups(PageSource::UNCACHED, scratch, |group| {
            visit(&GroupInfo {
                first_row: group.first_row,
                rows_count: group.rows,
                ranges_count: group.ranges,
                filter_bytes: group.filter_bytes,
            })
        })
    }

    /// Gives each column that the segment has to `visit`, in the order of the table; reads all pages.
    ///
    /// # Errors
    /// As [`OpenSegment::groups`].
    pub fn columns(&self, visit: &mut dyn FnMut(&ColumnInfo) -> Result<(), Error>) -> Result<(), Error> {
        let (schema, source) = (self.table.schema(), PageSource::UNCACHED);
        for (place, column) in schema.columns.iter().enumerate().take(self.segment.columns_count()) {
            let arena = Arena::with_growth(self.budget, BUFFERS);
            let scratch = &mut Scratch::new_in(&arena);
            let Some(statistics) = self.segment.statistics(&schema, place, source, scratch)? else {
                continue;
            };
            let (mut encodings, mut pages_count) = (Encodings::default(), 0);
            self.segment.describe_pages(&schema, place, source, scratch, |_, page| {
                encodings.add(page.encoding);
                pages_count += 1;
                Ok(())
            })?;
            let bound = |bound: fn(&Zone) -> ZoneBound| {
                statistics.zone.as_ref().and_then(|zone| bound_text(bound(zone), column.ty))
            };
            visit(&ColumnInfo {
                column: place as u16,
                ty: column.ty,
                pages_count,
                bytes: statistics.bytes,
                nulls_count: statistics.nulls_count,
                encodings,
                min: bound(|zone| zone.min),
                max: bound(|zone| zone.max),
            })?;
        }
        Ok(())
    }
}

/// A bound as people read it; `None` for one that says nothing.
fn bound_text(bound: ZoneBound, ty: Type) -> Option<Shown> {
    let mut text = Shown::EMPTY;
    let value = match (bound, ty) {
        (ZoneBound::Unbounded, _) => return None,
        (ZoneBound::Double(value), ty) => value_of_double(value, ty),
        (ZoneBound::Text(bound), Type::Text | Type::Char | Type::Json | Type::Jsonb) => {
            // The beginning of a text may end within a character.
            let bytes = bound.as_bytes();
            bytes.utf8_chunks().for_each(|chunk| text.push_str(chunk.valid()));
            return Some(text);
        }
        (ZoneBound::Text(bound), Type::Numeric) => {
            // A number of more than 15 bytes is cut, and so is none.
            let number = decode_bytes(bound.as_bytes(), Type::Numeric).ok()?;
            let _ = write!(text, "{number}");
            return Some(text);
        }
        (ZoneBound::Text(bound), _) => {
            let _ = write!(text, "{}", Value::Bytea(bound.as_bytes()));
            return Some(text);
        }
        (ZoneBound::Int(value), ty) => value_of_integer(value, ty)?,
    };
    // What does not fit is cut, which is no error.
    let _ = write!(text, "{value}");
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::TextBound;

    #[test]
    fn bounds_are_shown_as_values_of_their_types() {
        let shown = |bound, ty| bound_text(bound, ty).map_or("nothing".to_owned(), |text| text.to_string());
        let price = Type::Decimal { precision: 9, scale: 2 };
        assert_eq!(shown(ZoneBound::Int(1250), price), "12.50");
        assert_eq!(shown(ZoneBound::Int(1250), Type::BigInt), "1250");
        assert_eq!(shown(ZoneBound::Int(1), Type::Boolean), "t");
        assert_eq!(shown(ZoneBound::Int(0), Type::Date), "1970-01-01");
        assert_eq!(shown(ZoneBound::Int(3 << 64), Type::Interval), "3 days");
        assert_eq!(shown(ZoneBound::Double(0.5), Type::Double), "0.5");
        assert_eq!(shown(ZoneBound::Text(TextBound::of("äöüäöüäöx".as_bytes())), Type::Text), "äöüäöüäö");
        assert_eq!(shown(ZoneBound::Text(TextBound::of("xäöüäöüäöx".as_bytes())), Type::Text), "xäöüäöüä");
        assert_eq!(shown(ZoneBound::Unbounded, Type::Text), "nothing");
        // What no value of the type is, is shown as nothing.
        assert_eq!(shown(ZoneBound::Int(i128::MAX), Type::Date), "nothing");
        assert_eq!(shown(ZoneBound::Int(i128::MAX), Type::BigInt), "nothing");
    }

    #[test]
    fn encodings_are_counted_and_put_into_words() {
        let mut encodings = Encodings::default();
        assert_eq!(encodings.to_string(), "");
        let of = |shape, is_compressed, digits| Encoding { shape, is_compressed, digits };
        encodings.add(of(Shape::Plain, true, None));
        assert_eq!(encodings.to_string(), "plain 1, 1 compressed");
        encodings.add(of(Shape::FrameOfReference, false, Some(2)));
        encodings.add(of(Shape::Plain, false, None));
        assert_eq!(encodings.to_string(), "frame of reference 1, plain 2, 1 compressed, 1 as integers");
    }
}
