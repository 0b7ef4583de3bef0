//! Pages: the values of one column for at most [`ROWS_MAX`] consecutive rows, encoded, checksummed, and readable
//! without being decoded.

use core::ops::Range;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::column::{Data, Kind};
use cofferdam_types::{Type, Value};

/// The most rows of a page.
pub(crate) const ROWS_MAX: usize = 2048;
/// The most bytes of a text that stands in a page; a longer one is a [`LongRef`].
pub(crate) const INLINE_BYTES_MAX: usize = 8 << 10;
/// The most bytes that the texts of a page's rows have together, long ones not counted: whoever cuts rows into pages
/// begins a new one at the first row behind 64 KiB.
pub(crate) const TEXT_BYTES_MAX: usize = (64 << 10) + INLINE_BYTES_MAX;

/// What is to be encoded: some rows of a column in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageValues<'v> {
    /// The column. The text of a row that is in `longs` needs to be its beginning only, of 16 bytes or more: it is
    /// used for the bounds in [`PageStats`].
    pub(crate) data: &'v Data<'v>,
    /// Which rows are not NULL; `None`: all.
    pub(crate) valid: Option<&'v [bool]>,
    /// What the views of texts point into.
    pub(crate) heap: &'v [u8],
    /// The rows of `data` and `valid` that make the page.
    pub(crate) first: usize,
    /// How many, at most [`ROWS_MAX`].
    pub(crate) rows: usize,
    /// Where the texts of more than [`INLINE_BYTES_MAX`] bytes are, by ascending row, counted from `first`.
    pub(crate) longs: &'v [(u16, LongRef)],
}

/// Where a long text stands in the file of its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LongRef {
    /// The first byte.
    pub(crate) offset: u64,
    /// How many bytes.
    pub(crate) len: u32,
    /// Their crc32c.
    pub(crate) crc: u32,
}

/// A text of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextRef<'t> {
    /// Its bytes, in the page or in the caller's buffer.
    Inline(&'t [u8]),
    /// Where its bytes are.
    Long(LongRef),
}

/// A value of a page, or where it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PageValue<'t> {
    /// The value, NULL included.
    Inline(Value<'t>),
    /// A text that is not in the page.
    Long(LongRef),
}

/// The memory that encoding works in: made once, used for any number of pages.
#[derive(Debug)]
pub(crate) struct EncodeScratch<'a> {
    arena: &'a Arena,
}

impl<'a> EncodeScratch<'a> {
    /// Takes nothing until it is used, then at most 64 KiB of the arena: by kinds of columns and rows of pages.
    pub(crate) fn new_in(arena: &'a Arena) -> EncodeScratch<'a> {
        EncodeScratch { arena }
    }
}

/// A bound of the values of a page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ZoneBound {
    /// Exactly this boolean (0 or 1), integer, date, unscaled decimal or packed interval.
    Int(i128),
    /// Exactly this double; NaN is the greatest, and -0.0 and 0.0 are equal.
    Double(f64),
    /// Texts are not less (as a lower bound) or not greater (as an upper one) than these first bytes.
    Text(TextBound),
    /// Nothing is known.
    Unbounded,
}

/// Up to 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TextBound {
    pub(crate) len: u8,
    pub(crate) bytes: [u8; 16],
}

/// What the values of a page lie between, NULLs not counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Zone {
    pub(crate) min: ZoneBound,
    pub(crate) max: ZoneBound,
}

/// What came of encoding a page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageStats {
    /// Bytes of the page.
    pub(crate) bytes: u32,
    /// Its rows.
    pub(crate) rows: u16,
    /// How many of them are NULL.
    pub(crate) nulls: u16,
    /// How it is encoded.
    pub(crate) encoding: Encoding,
    /// The bounds of its values; `None` where all are NULL. Intervals are bounded as packed integers.
    pub(crate) zone: Option<Zone>,
}

/// How a page is encoded. `Display` is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Encoding {
    pub(crate) shape: Shape,
    /// Texts are written in the symbols of their column's table.
    pub(crate) is_compressed: bool,
    /// Doubles are written as integers of so many decimal digits behind the point.
    pub(crate) digits: Option<u8>,
}

/// Ways to write many values as fewer bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Shape {
    /// There is no value: no row, or all are NULL.
    Nothing,
    /// One value.
    Constant,
    /// Differences from the least value, in as many bits as the greatest needs.
    FrameOfReference,
    /// Differences from a straight line.
    Linear,
    /// Values that stand in several rows in succession, and where they end.
    RunLength,
    /// Distinct values, and a number for each row.
    Dictionary,
    /// Values as they are.
    Plain,
}

/// Why a page could not be read or written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PageError {
    /// The budget refuses.
    Memory(AllocError),
    /// The bytes are not what was written.
    Corrupt(&'static str),
}

impl From<AllocError> for PageError {
    fn from(error: AllocError) -> PageError {
        PageError::Memory(error)
    }
}

/// Where the values of a column are decoded to. The slices are the caller's, whose budget paid.
#[derive(Debug)]
pub struct ColumnMut<'b, 'a> {
    /// The values, of the column's kind.
    pub data: &'b mut Data<'a>,
    /// Which rows are not NULL; looked at only where `all_valid` is false.
    pub valid: &'b mut [bool],
    /// True while no row is NULL.
    pub all_valid: &'b mut bool,
    /// What the views of texts point into; decoding appends to it.
    pub heap: &'b mut Vec<'a, u8>,
}

/// Writes some rows of a column as a page behind `out`.
///
/// Takes room in `out` for the page (at most 16 bytes a row more than its values have) and what [`EncodeScratch`] says.
/// `symbols`, if given, is the table that readers of the page will have; it is used where it makes texts smaller.
///
/// # Errors
/// A budget refuses; `out` has its length of before.
///
/// # Panics
/// If there are more rows or longer texts than a page takes, or the slices are too short.
pub(crate) fn encode(
    values: &PageValues<'_>,
    symbols: Option<&SymbolTable>,
    scratch: &mut EncodeScratch<'_>,
    out: &mut Vec<'_, u8>,
) -> Result<PageStats, AllocError> {
    let _ = (values, symbols, scratch, out);
    unreachable!("not written yet")
}

/// A page that was checked: reading it cannot leave its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page<'p> {
    bytes: &'p [u8],
    kind: Kind,
    rows: u16,
    nulls: u16,
}

impl<'p> Page<'p> {
    /// Checks the checksum and everything that the page says of itself.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn parse(bytes: &'p [u8]) -> Result<Page<'p>, &'static str> {
        let _ = bytes;
        Err("not written yet")
    }

    /// The page of bytes that [`Page::parse`] has accepted before, in constant time: for pages in the cache. (For
    /// other bytes it gives an error or wrong values, but reads nothing beside them.)
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn parse_again(bytes: &'p [u8]) -> Result<Page<'p>, &'static str> {
        Page::parse(bytes)
    }

    /// How its values are held in memory.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.rows.into()
    }

    /// How many of them are NULL.
    pub(crate) fn nulls(&self) -> usize {
        self.nulls.into()
    }

    /// How it is encoded.
    pub(crate) fn encoding(&self) -> Encoding {
        unreachable!("not written yet")
    }

    /// Whether a row is NULL; true where there is no such row.
    pub(crate) fn is_null(&self, row: usize) -> bool {
        let _ = row;
        unreachable!("not written yet")
    }

    /// The value of a row of a `Bool` (0 or 1), `I32` or `I64` page; some value where it is NULL or there is none.
    #[inline]
    pub(crate) fn i64_at(&self, row: usize) -> i64 {
        let _ = row;
        unreachable!("not written yet")
    }

    /// The value of a row of any page of integers; some value where it is NULL or there is none.
    pub(crate) fn i128_at(&self, row: usize) -> i128 {
        let _ = row;
        unreachable!("not written yet")
    }

    /// The value of a row of an `F64` page; some value where it is NULL or there is none.
    pub(crate) fn f64_at(&self, row: usize) -> f64 {
        let _ = row;
        unreachable!("not written yet")
    }

    /// The text of a row; an empty one where it is NULL or there is none. `symbols` are those of the column's row
    /// group, `buffer` holds the text where it is compressed (its former content goes).
    ///
    /// # Errors
    /// The buffer's budget refuses (it grows to [`INLINE_BYTES_MAX`] at most); no or other symbols.
    pub(crate) fn text_at<'t>(
        &self,
        row: usize,
        symbols: Option<&SymbolTable>,
        buffer: &'t mut Vec<'_, u8>,
    ) -> Result<TextRef<'t>, PageError>
    where
        'p: 't,
    {
        let _ = (row, symbols, buffer);
        unreachable!("not written yet")
    }

    /// The value of a row as its type, NULL where it is NULL.
    ///
    /// # Errors
    /// As [`Page::text_at`]; the type is of another kind than the page; text that is not UTF-8.
    pub(crate) fn value_at<'t>(
        &self,
        row: usize,
        ty: Type,
        symbols: Option<&SymbolTable>,
        buffer: &'t mut Vec<'_, u8>,
    ) -> Result<PageValue<'t>, PageError>
    where
        'p: 't,
    {
        let _ = (row, ty, symbols, buffer);
        unreachable!("not written yet")
    }

    /// The first row of `range` for which `before` is false, where it is false for all behind it; the end of the range
    /// if there is none. For `Bool`, `I32` and `I64` pages without NULLs in the range.
    pub(crate) fn partition_point(&self, range: Range<usize>, before: impl FnMut(i64) -> bool) -> usize {
        let _ = (range, before);
        unreachable!("not written yet")
    }

    /// Writes the rows of `range` to the rows of `into` from `at` on. A row that is NULL gets some value; one with a
    /// long text gets an empty one: see [`Page::longs`].
    ///
    /// # Errors
    /// The budget of `into.heap` refuses, no or other symbols, another kind. Rows of `into` may have been written then.
    ///
    /// # Panics
    /// If the slices of `into` are too short, or the heap has 4 GiB.
    pub(crate) fn decode(
        &self,
        range: Range<usize>,
        into: ColumnMut<'_, '_>,
        at: usize,
        symbols: Option<&SymbolTable>,
    ) -> Result<(), PageError> {
        let _ = (range, into, at, symbols);
        unreachable!("not written yet")
    }

    /// [`Page::decode`] of `rows`, which ascend.
    ///
    /// # Errors
    /// As [`Page::decode`].
    pub(crate) fn gather(
        &self,
        rows: &[u16],
        into: ColumnMut<'_, '_>,
        at: usize,
        symbols: Option<&SymbolTable>,
    ) -> Result<(), PageError> {
        let _ = (rows, into, at, symbols);
        unreachable!("not written yet")
    }

    /// The rows of `range` whose text is long, ascending.
    pub(crate) fn longs(&self, range: Range<usize>) -> impl Iterator<Item = (usize, LongRef)> + use<'p> {
        let _ = range;
        core::iter::empty()
    }
}

/// Up to 255 byte strings of 1 to 8 bytes that stand often in a column's texts, each written as one byte.
///
/// A plain value of about 3 KiB: who keeps it charges `size_of::<SymbolTable>()`. Serves encoding and decoding.
#[derive(Clone, Debug)]
pub(crate) struct SymbolTable {
    count: u8,
}

impl SymbolTable {
    /// A table for texts like `samples`, of which the first 16 KiB are looked at: give texts from all over the column.
    /// `None` if it would save less than it takes.
    ///
    /// # Errors
    /// The scratch's budget refuses: at most 80 KiB, which the caller gives back by resetting the arena.
    pub(crate) fn train<'s>(
        samples: impl Iterator<Item = &'s [u8]>,
        scratch: &Arena,
    ) -> Result<Option<SymbolTable>, AllocError> {
        let _ = (samples, scratch);
        Ok(None)
    }

    /// Appends the form in files, its checksum included; at most 2.3 KiB.
    ///
    /// # Errors
    /// The budget refuses; `out` has its length of before.
    pub(crate) fn write(&self, out: &mut Vec<'_, u8>) -> Result<(), AllocError> {
        let _ = out;
        unreachable!("not written yet")
    }

    /// Reads what [`SymbolTable::write`] wrote, and nothing else.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn parse(bytes: &[u8]) -> Result<SymbolTable, &'static str> {
        let _ = bytes;
        Err("not written yet")
    }
}
