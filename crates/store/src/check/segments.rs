//! Segments, each by itself and beside what the manifest says of it, and what levels promise.

use std::sync::Arc;

use allocator_api2::vec::Vec;
use cofferdam_arena::collections;
use cofferdam_arena::{Arena, BudgetAlloc};
use cofferdam_vfs::OpenMode;

use super::{Check, Problem};
use crate::catalog::{Catalog, Listed};
use crate::directory::Directory;
use crate::error::Error;
use crate::files::FileKind;
use crate::flush::BUFFERS;
use crate::manifest;
use crate::progress::Share;
use crate::segment::{Location, PageSource, Segment, SegmentCursor, SegmentFile, Sight, look_through};
use crate::store::segments_file;
use crate::table::Table;

/// Whether each table's segments are all right, by its place in the catalog.
pub(super) type AreWhole = Vec<bool, BudgetAlloc>;

impl Check<'_> {
    /// Reads all segments.
    pub(super) fn segments(&mut self, catalog: &Catalog) -> Result<AreWhole, Error> {
        let mut are_whole = Vec::new_in(BudgetAlloc::new(&self.budget));
        are_whole.try_reserve_exact(catalog.tables.len())?;
        for table in &catalog.tables {
            let problems_before = self.checked.problems_count;
            let segments = catalog.segments_of(table.id());
            for segment in segments {
                self.segment(catalog, table, segment)?;
            }
            self.levels(table, segments)?;
            are_whole.push(self.checked.problems_count == problems_before);
        }
        self.checked.unused_bytes = unused_bytes(catalog)?;
        Ok(are_whole)
    }

    fn segment(&mut self, catalog: &Catalog, table: &Table, listed: &Listed) -> Result<(), Error> {
        self.checked.segments_count += 1;
        let info = &listed.info;
        let mut share = Share::new(info.bytes, info.rows_count);
        let outcome = open(&catalog.directory, info, table, &catalog.budget);
        if let Some(segment) = self.or_tell(Some(table), outcome)? {
            if let Some(what) = fault_beside(info, &segment) {
                self.problem(&at_footer(table, info, what))?;
            }
            self.look_through(table, &segment, &mut share)?;
            let outcome = self.bounds(table, info, &segment);
            self.or_tell(Some(table), outcome)?;
        }
        self.meter.advance(share.rest())
    }

    fn look_through(&mut self, table: &Table, segment: &Segment, share: &mut Share) -> Result<(), Error> {
        let arena = Arena::with_growth(&self.budget, BUFFERS);
        let verified = look_through(segment, table.schema(), &arena, &mut |sight| match sight {
            Sight::Problem(error) => self.or_tell::<()>(Some(table), Err(*error)).map(drop),
            Sight::Rows(rows) => self.meter.advance(share.take(rows)),
        })?;
        self.checked.pages_count += verified.pages_count;
        self.checked.rows_count += verified.rows_count;
        Ok(())
    }

    /// Whether the first and the last key are within the bounds that the manifest has.
    fn bounds(&mut self, table: &Table, info: &manifest::Segment, segment: &Segment) -> Result<(), Error> {
        let arena = Arena::with_growth(&self.budget, BUFFERS);
        let schema = table.schema();
        let mut cursor = SegmentCursor::new(segment, schema, PageSource::UNCACHED, 0, &arena);
        let mut key = collections::Vec::new_in(&arena);
        for row in [0, segment.rows_count().saturating_sub(1)] {
            let Some(place) = cursor.seek_row(row)? else { continue };
            cursor.load_keys()?;
            key.clear();
            cursor.put_key(place, &mut key)?;
            let is_within = info.smallest.as_bytes() <= &key[..]
                && (info.largest.is_unbounded() || &key[..] <= info.largest.as_bytes());
            if !is_within {
                return self.problem(&at_footer(
                    table,
                    info,
                    "a key outside of the bounds that the manifest has",
                ));
            }
        }
        Ok(())
    }

    /// Levels below 0: no key is in two segments (`level` L1).
    fn levels(&mut self, table: &Table, segments: &[Listed]) -> Result<(), Error> {
        for pair in segments.windows(2) {
            let [Listed { info: before, .. }, Listed { info, .. }] = pair else { continue };
            let is_apart = info.level != before.level
                || info.level == 0
                || (!before.largest.is_unbounded() && before.largest.as_bytes() < info.smallest.as_bytes());
            if !is_apart {
                self.problem(&at_footer(table, info, "segments of a level have keys in common"))?;
            }
        }
        Ok(())
    }
}

fn at_footer<'t>(table: &'t Table, info: &manifest::Segment, what: &'static str) -> Problem<'t> {
    let file = segments_file(info.id.file);
    Problem { offset: Some(info.id.footer_offset), ..Problem::new(Some(file), Some(table), what) }
}

/// Opens a segment that the manifest names.
///
/// # Errors
/// The file is missing, its header or the footer is damaged; those of the system; the budget refuses.
pub(crate) fn open(
    directory: &Arc<Directory>,
    info: &manifest::Segment,
    table: &Table,
    budget: &cofferdam_arena::Budget,
) -> Result<Segment, Error> {
    let file = Arc::new(SegmentFile::open_in(directory, info.id.file, budget)?);
    let location = Location { footer_offset: info.id.footer_offset };
    Segment::open(file, location, info.sequence_base, &table.schema())
}

/// Bytes of files that the manifest names, of no segment of it: of segments that are gone while others of their file are not.
pub(crate) fn unused_bytes(catalog: &Catalog) -> Result<u64, Error> {
    let (mut unused_bytes, mut number) = (0u64, 0);
    while let Some(next) = catalog.directory.next_number(FileKind::Segments, number)? {
        number = next;
        if catalog.needs(segments_file(next)) {
            let file = catalog.directory.open_file(segments_file(next), OpenMode::Read, &catalog.budget);
            let file_bytes = match file.and_then(|file| file.bytes()) {
                Err(error @ Error::OutOfMemory(_)) => return Err(error),
                // What cannot be opened was told.
                file_bytes => file_bytes.unwrap_or(0),
            };
            let own = catalog.segments().iter().filter(|segment| segment.info.id.file == next);
            let used: u64 = own.map(|segment| segment.info.bytes).sum();
            unused_bytes += file_bytes.saturating_sub(used + SegmentFile::HEADER_BYTES);
        }
    }
    Ok(unused_bytes)
}

/// What the manifest says of a segment that the segment does not.
fn fault_beside(info: &manifest::Segment, segment: &Segment) -> Option<&'static str> {
    let (rows, tombstones) = (segment.rows_count(), segment.tombstones_count());
    if (info.rows_count, info.tombstones_count) != (rows, tombstones) {
        return Some("the manifest says another number of rows");
    }
    if info.bytes != segment.bytes() {
        return Some("the manifest says another number of bytes");
    }
    ((info.sequence_min, info.sequence_max) != segment.sequences())
        .then_some("the manifest says other sequences")
}
