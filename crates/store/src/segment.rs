//! Segments: sorted rows of one table in a file, written once.
//!
//! ```text
//!   file     | header | segment | segment | …                       one segment a table that a flush or compaction writes
//!   segment  | group | group | … | index nodes | statistics | sketches | footer |
//!   group    | pages, column by column | zones | locations | filters | directory |      up to 65,536 rows
//!            | bundle | bundle | … | symbols | zones | …                                in tables of few columns
//!            (long texts stand before the group that refers to them, index nodes between groups)
//!   reading  footer -> root … -> group directory -> filter -> locations -> page
//!                                                          -> bundle
//! ```
//!
//! Rows are cut into *page ranges* of at most 2,048 rows, the same for all columns; a *page* is one column of a range.
//! In a table of up to three columns the pages of a range stand together, in a *bundle*: who reads one row reads one piece.
//! What leads to a page is read piece by piece through the cache, so an open segment takes a `Segment` and nothing else,
//! however many rows it has.
//!
//! A group directory has, for each of its ranges, a separator (see below), the range's sequences and tombstones, and
//! which filter has its keys; so a reader that sees everything in a range need not look at its system columns.
//!
//! **Separators.** A *versioned key* is an encoded key and the complement of its sequence behind it, so newer versions
//! come first and bytes compare as rows do. A range's separator is the shortest beginning of its first versioned key that
//! is greater than the last one before. To find a versioned key: the last range whose separator is not greater (`separators`).
//!
//! Invariants:
//! - **G1** Rows are strictly ascending by versioned key.
//! - **G2** All pages of a range have its rows; ranges of a group follow one another without a gap, and so do groups.
//! - **G3** A zone has every value of its page that is not NULL; a filter every key of its ranges.
//! - **G4** Of a tombstone, only key, sequence and kind are written; its other columns are NULL, whatever the schema says.
//! - **G5** Every byte that is read was checked: pages by column and symbols by their own crc32c, long texts by that of their
//!   reference, all else by one that begins with the file's salt and the piece's place. A page's location repeats the page's
//!   checksum, so a page cannot be taken for another one either. Pages of a bundle have zeros in its place: a checksum of bytes with
//!   their own checksums among them would be the same whatever they are.
//! - **G6** Sequences in a segment count from a base that its reader is told, so that a run can be written before its
//!   transaction knows its sequence.
//!
//! | file | holds |
//! |---|---|
//! | `layout` | the bytes of all pieces: views and writers |
//! | `separators` | what leads to a child of a node, or a range |
//! | `filter`, `zones`, `statistics` | blocked Bloom filters, zone maps, what is known of whole columns |
//! | `distinct`, `sample`, `sketch` | how values are distributed: distinct ones counted, some rows, both as they are written |
//! | `output`, `staging`, `group`, `index`, `writer` | writing, from the bytes up |
//! | `piece`, `search`, `reader`, `cursor` | reading: pieces, places of keys, single rows, rows in order |
//! | `verify`, `describe`, `any`, `lies` | for the tools, and for fuzzing |
//!
//! The format by bytes: `docs/formats/segment.md`.

#[doc(hidden)]
pub mod any;
mod cursor;
mod describe;
pub(crate) mod distinct;
pub(crate) mod filter;
mod group;
mod index;
mod layout;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod lies;
mod output;
mod piece;
mod reader;
pub(crate) mod sample;
mod search;
mod separators;
pub(crate) mod sketch;
mod staging;
mod statistics;
#[cfg(test)]
mod tests;
mod verify;
mod writer;
mod zones;

use cofferdam_arena::collections::Vec;
use cofferdam_types::column::Data;
use cofferdam_types::{Type, Value};

use crate::page::{LongRef, PageValues};
use crate::schema::Schema;

pub(crate) use cursor::SegmentCursor;
#[allow(unused_imports, reason = "names of what others are given")]
pub(crate) use describe::{GroupDescription, PageDescription};
#[allow(unused_imports, reason = "names of what others are given")]
pub(crate) use filter::hash_key;
#[allow(unused_imports, reason = "names of what others are given")]
pub(crate) use layout::{FOOTER_BYTES, KeyBound};
pub(crate) use piece::{PageSource, Scratch, SegmentFile};
#[allow(unused_imports, reason = "names of what others are given")]
pub(crate) use reader::{Found, Look, Segment};
#[allow(unused_imports, reason = "names of what others are given")]
pub(crate) use search::RangePlace;
pub(crate) use statistics::ColumnStatistics;

#[allow(unused_imports, reason = "names of what others are given")]
pub(crate) use verify::{Sight, Verified, look_through, verify};
pub(crate) use writer::{SegmentWriter, WriterSizes, staged_bytes};
#[allow(unused_imports, reason = "names of what others are given")]
pub(crate) use zones::{PageZone, ZoneLimits, is_ordered as zones_are_ordered, union as union_of_zones};

/// Where a segment is in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// The first byte of its footer, which has [`FOOTER_BYTES`].
    pub(crate) footer_offset: u64,
}

/// A column of rows that are to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ColumnRef<'v> {
    /// The values.
    pub(crate) data: &'v Data<'v>,
    /// Which rows are not NULL; `None`: all.
    pub(crate) valid: Option<&'v [bool]>,
    /// What the views of texts point into.
    pub(crate) heap: &'v [u8],
    /// Long texts that are to be copied from files, by ascending row; their views show the first bytes, 16 at least.
    pub(crate) longs: &'v [LongText<'v>],
}

/// A long text of a row that is to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LongText<'v> {
    /// The row in its column.
    pub(crate) row: u32,
    /// The file that has the text.
    pub(crate) file: &'v SegmentFile,
    /// Where it is there.
    pub(crate) at: LongRef,
}

impl<'v> ColumnRef<'v> {
    /// A column without NULLs or long texts of files.
    pub(crate) fn new(data: &'v Data<'v>, heap: &'v [u8]) -> ColumnRef<'v> {
        ColumnRef { data, valid: None, heap, longs: &[] }
    }

    fn is_null(&self, row: usize) -> bool {
        self.valid.is_some_and(|valid| !valid[row])
    }

    fn text(&self, row: usize) -> &'v [u8] {
        match self.data {
            Data::Text(views) if !self.is_null(row) => views[row].of(self.heap),
            _ => &[],
        }
    }

    fn text_len(&self, row: usize) -> usize {
        self.text(row).len()
    }

    fn long_at(&self, row: usize) -> Option<&'v LongText<'v>> {
        let index = self.longs.binary_search_by_key(&row, |long| long.row as usize).ok()?;
        self.longs.get(index)
    }

    fn value(&self, row: usize, ty: Type) -> Value<'v> {
        if self.is_null(row) { Value::Null } else { self.data.value(row, ty, self.heap) }
    }

    fn page_values(&self, first: usize, rows: usize) -> PageValues<'v> {
        let ColumnRef { data, valid, heap, .. } = *self;
        PageValues { data, valid, heap, first, rows, longs: &[] }
    }
}

/// What came of writing a segment.
#[derive(Debug)]
pub(crate) struct SegmentSummary<'a> {
    /// Where its readers begin.
    pub(crate) location: Location,
    /// Its first byte in the file.
    pub(crate) start: u64,
    /// Behind its last byte, where the next segment of the file begins.
    pub(crate) end: u64,
    /// Rows, versions and tombstones counted each.
    pub(crate) rows_count: u64,
    /// Tombstones among them.
    pub(crate) tombstones_count: u64,
    /// The least stored sequence.
    pub(crate) sequence_min: u64,
    /// The greatest stored sequence.
    pub(crate) sequence_max: u64,
    /// The first key, whole.
    pub(crate) smallest_key: Vec<'a, u8>,
    /// The last key, whole.
    pub(crate) largest_key: Vec<'a, u8>,
}

/// The columns of a schema in the order of a file: the key's, then the others. Behind the system columns.
fn physical_order<'s>(schema: &Schema<'s>) -> impl Iterator<Item = u16> + use<'s> {
    let Schema { columns, key } = *schema;
    let is_key = move |index: &u16| key.iter().any(|part| part.column == *index);
    key.iter().map(|part| part.column).chain((0..columns.len() as u16).filter(move |index| !is_key(index)))
}

/// The place in a file of a column of a schema.
fn physical_column(schema: &Schema<'_>, column: usize) -> usize {
    let keys = schema.key.len();
    let place = schema.key.iter().position(|part| usize::from(part.column) == column);
    let before = || schema.key.iter().filter(|part| usize::from(part.column) < column).count();
    layout::SYSTEM_COLUMNS + place.unwrap_or_else(|| keys + column - before())
}
