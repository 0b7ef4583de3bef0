//! What there is in a segment, for people.

use super::layout::GroupDirectory;
use super::layout::payload;
use super::physical_column;
use super::piece::{PageSource, Scratch};
use super::reader::Segment;
use super::search::{RangePlace, Target};
use super::zones::PageZone;
use crate::error::Error;
use crate::page::Encoding;
use crate::schema::Schema;

/// A row group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupDescription {
    /// Its first row in the segment.
    pub(crate) first_row: u64,
    /// How many rows it has.
    pub(crate) rows: u32,
    /// In how many page ranges.
    pub(crate) ranges: u16,
    /// Bytes of its filters.
    pub(crate) filter_bytes: u64,
}

/// A page of a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PageDescription {
    /// Where it stands in the file.
    pub(crate) offset: u64,
    /// Bytes.
    pub(crate) bytes: u32,
    /// How it is encoded.
    pub(crate) encoding: Encoding,
    /// Rows, NULLs, bounds.
    pub(crate) zone: PageZone,
}

impl Segment {
    /// Gives each row group to `visit`, in order.
    ///
    /// # Errors
    /// Those of the system and of `visit`; damage; the scratch's budget refuses.
    pub(crate) fn describe_groups(
        &self,
        source: PageSource<'_>,
        scratch: &mut Scratch<'_>,
        mut visit: impl FnMut(&GroupDescription) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut row = 0;
        while row < self.rows_count {
            let place = self.find_group(Target::Row(row), source, &mut scratch.pages)?;
            let piece = self.directory(place, source, &mut scratch.pages.bytes)?;
            let directory = GroupDirectory::parse(payload(&piece));
            let directory = directory.map_err(|what| self.file.corrupt(place.0, what))?;
            let head = directory.head;
            let filter_bytes =
                (0..head.filters_count).map(|filter| u64::from(directory.filter(filter).1)).sum();
            visit(&GroupDescription {
                first_row: head.first_row,
                rows: head.rows_count,
                ranges: head.ranges_count,
                filter_bytes,
            })?;
            // A group has rows (its check), so this goes on.
            row = row.max(head.first_row).saturating_add(head.rows_count.into());
        }
        Ok(())
    }

    /// Gives each page of a column to `visit`, in order; reads them all.
    ///
    /// # Errors
    /// As [`Segment::describe_groups`].
    pub(crate) fn describe_pages(
        &self,
        schema: &Schema<'_>,
        column: usize,
        source: PageSource<'_>,
        scratch: &mut Scratch<'_>,
        mut visit: impl FnMut(&RangePlace, &PageDescription) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if column >= self.columns_count() {
            return Ok(());
        }
        let physical = physical_column(schema, column);
        let mut next = Some(self.find_range(Target::Row(0), source, &mut scratch.pages)?);
        while let Some(range) = next {
            let zone = self.zone_of(schema, &range, column, source, &mut scratch.pages.bytes)?;
            let place = self.page(schema, &range, physical, source, &mut scratch.pages)?;
            let (offset, bytes, encoding) =
                (place.offset, place.bytes.len() as u32, self.parse(&place)?.encoding());
            visit(&range, &PageDescription { offset, bytes, encoding, zone })?;
            next = self.range_after(&range, source, &mut scratch.pages)?;
        }
        Ok(())
    }
}
