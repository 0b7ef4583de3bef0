//! Pages: the values of one column for at most [`ROWS_MAX`] consecutive rows, encoded, checksummed, and readable
//! without being decoded.
//!
//! ```text
//! header | validity | long texts | body | length, crc32c             docs/formats/page.md has every byte
//!
//! body of a      series         run length          dictionary                         plain
//!                values         ends, values        codes of rows, distinct values     texts, or integers of 16 bytes
//! ```
//!
//! All numbers inside, be they values, codes, ends or offsets, are *series* (`series.rs`): differences from a line in a
//! fixed number of bits. So there is one loop to unpack and one way to read a single number, and every form has random
//! access: a series in one load, runs by binary search, a dictionary by one number more. A page picks the smallest form
//! (`encode.rs`). Texts of a column can share a [`SymbolTable`], which compresses each text alone.
//!
//! | file | what is in it |
//! |---|---|
//! | `series` | integers in few bits, and the loops over them |
//! | `avx2` | some of these loops for processors that have AVX2: the only file with unsafe code |
//! | `index` | a number for each row: a series, or runs |
//! | `texts`, `symbols` | texts behind one another; compression by symbols (FSST) |
//! | `encode` | statistics, the choice of a form, writing |
//! | `decode` | whole ranges and selected rows into columns |
//! | `zone` | bounds of a page's values |
//!
//! **Memory.** A [`Page`] borrows its bytes and takes nothing. Encoding works in an [`EncodeScratch`], decoding writes to
//! slices of the caller and appends texts to the caller's heap.
//!
//! **Invariants.**
//! - **P1** Bytes are read only behind checks of their bounds; nothing that a page says is trusted for more than how much
//!   of itself is looked at. So a page whose bytes changed after [`Page::parse`] gives other values, and no panic.
//! - **P2** [`Page::parse`] accepts only pages of which every row has a value: reading an accepted one fails for want of
//!   memory or of the right symbols only, or where its texts are more than P3 allows.
//! - **P3** Texts of a page take at most [`TEXT_BYTES_MAX`] bytes of a heap, whatever the page says.

#[cfg_attr(not(target_arch = "x86_64"), path = "page/no_avx2.rs")]
mod avx2;
mod bytes;
mod decode;
mod encode;
mod index;
mod series;
mod symbols;
mod texts;
mod zone;

use core::fmt;
use core::ops::Range;

use cofferdam_arena::AllocError;
use cofferdam_arena::collections::Vec;
use cofferdam_types::column::{Data, Kind, value_of_double, value_of_integer};
use cofferdam_types::row::decode_bytes;
use cofferdam_types::{Type, Value};

pub(crate) use avx2::fetch_ends;
pub(crate) use encode::{EncodeScratch, encode};
pub(crate) use symbols::SymbolTable;
pub(crate) use zone::{TextBound, Zone, ZoneBound};

use bytes::Input;
use index::{Index, Runs};
use series::Series;
use texts::Texts;

/// The most rows of a page.
pub(crate) const ROWS_MAX: usize = 2048;
/// The most bytes of a text that stands in a page; a longer one is a [`LongRef`].
pub(crate) const INLINE_BYTES_MAX: usize = 8 << 10;
/// The most bytes that the texts of a page's rows have together, long ones not counted: whoever cuts rows into pages
/// begins a new one at the first row behind 64 KiB.
pub(crate) const TEXT_BYTES_MAX: usize = (64 << 10) + INLINE_BYTES_MAX;

/// The most bytes of a page: texts, a reference for each row, and codes, offsets and headers.
pub(crate) const PAGE_BYTES_MAX: usize = TEXT_BYTES_MAX + 18 * ROWS_MAX + (8 << 10);

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
    /// The first row of `data` and `valid` that is meant.
    pub(crate) first: usize,
    /// How many rows, at most [`ROWS_MAX`].
    pub(crate) rows: usize,
    /// Where the texts of more than [`INLINE_BYTES_MAX`] bytes are, by ascending row, counted from `first`.
    pub(crate) longs: &'v [(u16, LongRef)],
}

impl PageValues<'_> {
    /// The bytes of the texts that are not NULL, of long ones too; 0 of other values.
    pub(crate) fn text_bytes(&self) -> u64 {
        let Data::Text(views) = self.data else { return 0 };
        let rows = self.first..self.first + self.rows;
        let views = &views[rows.clone()];
        let here: u64 = match self.valid {
            None => views.iter().map(|view| u64::from(view.len)).sum(),
            Some(valid) => {
                let bytes = views.iter().zip(&valid[rows]);
                bytes.map(|(view, is_valid)| if *is_valid { u64::from(view.len) } else { 0 }).sum()
            }
        };
        // Of long ones the beginning was counted.
        let longs = self.longs.iter().map(|(row, at)| {
            u64::from(at.len) - u64::from(views.get(usize::from(*row)).map_or(0, |view| view.len))
        });
        here + longs.sum::<u64>()
    }
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
    Long(#[cfg_attr(not(test), expect(dead_code, reason = "looked at by tests"))] LongRef),
}

/// What came of encoding a page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageStats {
    /// Bytes of the page.
    pub(crate) bytes: u32,
    /// How many of its rows are NULL.
    pub(crate) nulls: u16,
    /// How it is encoded.
    #[cfg_attr(not(test), expect(dead_code, reason = "looked at by tests"))]
    pub(crate) encoding: Encoding,
    /// The bounds of its values; `None` where all are NULL. Intervals are bounded as packed integers.
    pub(crate) zone: Option<Zone>,
}

/// How a page is encoded. `Display` is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Encoding {
    /// How many values became few bytes.
    pub(crate) shape: Shape,
    /// Texts are written in the symbols of their column's table.
    pub(crate) is_compressed: bool,
    /// Doubles are written as integers, of so many decimal digits behind the point.
    pub(crate) digits: Option<u8>,
}

/// Ways to write many values as few bytes.
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

impl Shape {
    fn of_series(width: u32, is_linear: bool) -> Shape {
        match (width, is_linear) {
            (_, true) => Shape::Linear,
            (0, false) => Shape::Constant,
            (64, false) => Shape::Plain,
            _ => Shape::FrameOfReference,
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.shape {
            Shape::Nothing => "nothing",
            Shape::Constant => "constant",
            Shape::FrameOfReference => "frame of reference",
            Shape::Linear => "linear",
            Shape::RunLength => "run length",
            Shape::Dictionary => "dictionary",
            Shape::Plain => "plain",
        })?;
        if let Some(digits) = self.digits {
            write!(f, ", {digits} digits")?;
        }
        f.write_str(if self.is_compressed { ", compressed" } else { "" })
    }
}

/// Why a page could not be read.
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

/// The first bytes of a page: kind, form, rows (2), NULLs (2), flags, digits.
const HEADER_BYTES: usize = 8;
/// The last bytes of a page: its length and its crc32c. Loads may reach into them (`series.rs` S1).
const TAIL_BYTES: usize = 8;
const _: () = assert!(TAIL_BYTES >= series::SLACK_BYTES);

const FORM_NOTHING: u8 = 0;
const FORM_SERIES: u8 = 1;
const FORM_RUNS: u8 = 2;
const FORM_DICTIONARY: u8 = 3;
const FORM_RUN_DICTIONARY: u8 = 4;
const FORM_PLAIN: u8 = 5;

/// There is a bit a row that says whether it is not NULL.
const HAS_VALIDITY: u8 = 1;
/// Some texts are long.
const HAS_LONGS: u8 = 2;
/// Texts are compressed.
const IS_COMPRESSED: u8 = 4;
/// Integers of 128 bits have 16 bytes each.
const IS_WIDE: u8 = 8;
/// Doubles are integers divided by a power of ten.
const IS_SCALED: u8 = 16;

/// The most digits that doubles are scaled by.
const DIGITS_MAX: u8 = 14;

/// Ten to the power of `digits`, which is exact.
fn power_of_ten(digits: u8) -> f64 {
    const POWERS: [f64; DIGITS_MAX as usize + 1] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14];
    POWERS.get(usize::from(digits)).copied().unwrap_or(f64::NAN)
}

const KINDS: [Kind; 6] = [Kind::Bool, Kind::I32, Kind::I64, Kind::I128, Kind::F64, Kind::Text];

fn kind_byte(kind: Kind) -> u8 {
    match kind {
        Kind::Bool => 0,
        Kind::I32 => 1,
        Kind::I64 => 2,
        Kind::I128 => 3,
        Kind::F64 => 4,
        Kind::Text => 5,
    }
}

/// A page that was checked: reading it cannot leave its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page<'p> {
    kind: Kind,
    rows: usize,
    nulls: usize,
    /// What doubles are divided by; `None` where they are written by their bits.
    digits: Option<u8>,
    /// A bit a row; empty if all or none are NULL.
    validity: &'p [u8],
    longs: Longs<'p>,
    /// `None` if each row has its own value.
    codes: Option<Codes<'p>>,
    values: Values<'p>,
}

/// The number of each row's value in a dictionary, and how many values this has.
type Codes<'p> = (Index<'p>, usize);

/// Values of rows, or of a dictionary.
#[derive(Clone, Copy, Debug)]
enum Values<'p> {
    Nothing,
    Numbers(Index<'p>),
    WideSeries(Series<'p>),
    /// 16 bytes each.
    WidePlain(&'p [u8]),
    Texts(Texts<'p>),
}

/// Which rows have long texts, and where these are.
#[derive(Clone, Copy, Debug)]
struct Longs<'p> {
    rows: &'p [[u8; 2]],
    places: &'p [[u8; 16]],
}

impl<'p> Longs<'p> {
    const NONE: Longs<'static> = Longs { rows: &[], places: &[] };

    fn parse(input: &mut Input<'p>) -> Result<Longs<'p>, &'static str> {
        let count = input.short()?;
        let (rows, places) = (input.take(2 * count)?, input.take(16 * count)?);
        Ok(Longs { rows: rows.as_chunks().0, places: places.as_chunks().0 })
    }

    fn check(&self, page: &Page<'_>) -> Result<(), &'static str> {
        let row = |bytes: &[u8; 2]| usize::from(u16::from_le_bytes(*bytes));
        if self.rows.is_empty() || !self.rows.is_sorted_by(|a, b| row(a) < row(b)) {
            return Err("the rows of long texts do not ascend");
        }
        if self.rows.iter().any(|bytes| row(bytes) >= page.rows || page.is_null(row(bytes))) {
            return Err("a long text has no row");
        }
        if self.all().any(|(_, long)| long.len as usize <= INLINE_BYTES_MAX) {
            return Err("a long text is short");
        }
        Ok(())
    }

    fn all(self) -> impl Iterator<Item = (usize, LongRef)> + use<'p> {
        let row = |bytes: &[u8; 2]| usize::from(u16::from_le_bytes(*bytes));
        self.rows.iter().map(row).zip(self.places.iter().map(long_of))
    }

    fn find(&self, row: usize) -> Option<LongRef> {
        let found = self.rows.binary_search_by_key(&row, |bytes| u16::from_le_bytes(*bytes).into());
        self.places.get(found.ok()?).map(long_of)
    }
}

fn long_of(place: &[u8; 16]) -> LongRef {
    let [o0, o1, o2, o3, o4, o5, o6, o7, l0, l1, l2, l3, c0, c1, c2, c3] = *place;
    LongRef {
        offset: u64::from_le_bytes([o0, o1, o2, o3, o4, o5, o6, o7]),
        len: u32::from_le_bytes([l0, l1, l2, l3]),
        crc: u32::from_le_bytes([c0, c1, c2, c3]),
    }
}

impl<'p> Page<'p> {
    /// Checks the checksum and everything that the page says of itself.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn parse(bytes: &'p [u8]) -> Result<Page<'p>, &'static str> {
        Page::check_sum(bytes)?;
        Page::parse_summed(bytes)
    }

    /// [`Page::parse`] of a page whose checksum, or that of more than it, was found to be right.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn parse_summed(bytes: &'p [u8]) -> Result<Page<'p>, &'static str> {
        let page = Page::parse_again(bytes)?;
        // Not by who parses it again: the end of a page may be far from the processor, and its begin near.
        let length = bytes.get(bytes.len() - TAIL_BYTES..).and_then(|tail| tail.first_chunk());
        if length.map(|length| u32::from_le_bytes(*length) as usize) != Some(bytes.len()) {
            return Err("the page has another length");
        }
        page.check()?;
        Ok(page)
    }

    /// Checks the checksum alone: for who looks at few of the values.
    ///
    /// # Errors
    /// It is wrong.
    pub(crate) fn check_sum(bytes: &[u8]) -> Result<(), &'static str> {
        let (body, crc) = bytes.split_last_chunk().ok_or("the page ends too early")?;
        match crate::sum::crc32c(body) == u32::from_le_bytes(*crc) {
            true => Ok(()),
            false => Err("the checksum of the page is wrong"),
        }
    }

    /// The page of bytes that [`Page::parse`] has accepted before, in constant time: for pages in the cache. (For
    /// other bytes it gives an error or wrong values, but reads nothing beside them.)
    ///
    /// # Errors
    /// What is wrong.
    // A page has some hundred bytes, which are not copied where the call is inlined.
    #[inline(always)]
    pub(crate) fn parse_again(bytes: &'p [u8]) -> Result<Page<'p>, &'static str> {
        let mut input = Input::new(bytes)?;
        let [kind, form, r0, r1, n0, n1, flags, digits] = input.fixed()?;
        let kind = *KINDS.get(usize::from(kind)).ok_or("no such kind of values")?;
        let rows = usize::from(u16::from_le_bytes([r0, r1]));
        let nulls = usize::from(u16::from_le_bytes([n0, n1]));
        if rows > ROWS_MAX || nulls > rows {
            return Err("more rows than a page takes");
        }
        check_flags(kind, form, flags, digits)?;
        let has_some_nulls = nulls > 0 && nulls < rows;
        if has_some_nulls != (flags & HAS_VALIDITY != 0) || (form == FORM_NOTHING) != (nulls == rows) {
            return Err("the number of NULLs is wrong");
        }
        let validity = if has_some_nulls { input.take(rows.div_ceil(8))? } else { &[] };
        let longs = if flags & HAS_LONGS != 0 { Longs::parse(&mut input)? } else { Longs::NONE };
        let codes = parse_codes(&mut input, form, rows)?;
        let count = codes.as_ref().map_or(rows, |(_, entries)| *entries);
        let values = parse_values(&mut input, kind, form, flags, count)?;
        if input.left() != 0 {
            return Err("there is more than the page's values");
        }
        let digits = (flags & IS_SCALED != 0).then_some(digits);
        Ok(Page { kind, rows, nulls, digits, validity, longs, codes, values })
    }

    /// What a page says of the kind of its values and how many rows it has; `None` where it says nothing that can be.
    pub(crate) fn head(bytes: &[u8]) -> Option<(Kind, usize)> {
        let [kind, _, r0, r1, ..] = *bytes.first_chunk::<HEADER_BYTES>()?;
        Some((*KINDS.get(usize::from(kind))?, usize::from(u16::from_le_bytes([r0, r1]))))
    }

    /// What takes more than constant time to check.
    fn check(&self) -> Result<(), &'static str> {
        if !self.validity.is_empty() {
            let valid: u32 = self.validity.iter().map(|byte| byte.count_ones()).sum();
            let behind = self.validity.last().map_or(0, |last| u32::from(*last) >> ((self.rows - 1) % 8 + 1));
            if valid as usize != self.rows - self.nulls || behind != 0 {
                return Err("the number of NULLs is wrong");
            }
        }
        if !self.longs.rows.is_empty() {
            self.longs.check(self)?;
        }
        let index_check = |index: &Index<'_>| match index {
            Index::Runs(runs) => runs.check(self.rows),
            Index::Series(_) => Ok(()),
        };
        if let Some((codes, entries)) = &self.codes {
            index_check(codes)?;
            if (0..self.rows).any(|row| usize::try_from(codes.get(row)).map_or(true, |code| code >= *entries))
            {
                return Err("a code of the dictionary has no entry");
            }
        }
        match &self.values {
            Values::Numbers(index) => index_check(index),
            Values::Texts(texts) => texts.check(),
            Values::Nothing | Values::WideSeries(_) | Values::WidePlain(_) => Ok(()),
        }
    }
}

/// Whether the flags are those of the kind and form.
fn check_flags(kind: Kind, form: u8, flags: u8, digits: u8) -> Result<(), &'static str> {
    let allowed = match (kind, form) {
        (_, FORM_NOTHING) => 0,
        (Kind::Text, FORM_DICTIONARY | FORM_RUN_DICTIONARY | FORM_PLAIN) => HAS_LONGS | IS_COMPRESSED,
        (Kind::I128, FORM_SERIES) => 0,
        (Kind::I128, FORM_DICTIONARY | FORM_RUN_DICTIONARY | FORM_PLAIN) => IS_WIDE,
        (Kind::F64, FORM_SERIES | FORM_RUNS | FORM_DICTIONARY | FORM_RUN_DICTIONARY) => IS_SCALED,
        (
            Kind::Bool | Kind::I32 | Kind::I64,
            FORM_SERIES | FORM_RUNS | FORM_DICTIONARY | FORM_RUN_DICTIONARY,
        ) => 0,
        _ => return Err("no such form of these values"),
    };
    if flags & !(allowed | HAS_VALIDITY) != 0 || (kind, form, flags & IS_WIDE) == (Kind::I128, FORM_PLAIN, 0)
    {
        return Err("no such flags of these values");
    }
    if digits > DIGITS_MAX || (digits != 0 && flags & IS_SCALED == 0) {
        return Err("no such number of digits");
    }
    Ok(())
}

/// The codes, if the form has some.
#[inline(always)]
fn parse_codes<'p>(input: &mut Input<'p>, form: u8, rows: usize) -> Result<Option<Codes<'p>>, &'static str> {
    if form != FORM_DICTIONARY && form != FORM_RUN_DICTIONARY {
        return Ok(None);
    }
    let entries = input.short()?;
    let codes = match form {
        FORM_DICTIONARY => Index::Series(Series::parse(input, rows)?),
        _ => Index::Runs(Runs::parse(input)?),
    };
    if entries == 0 || entries > ROWS_MAX {
        return Err("no such number of entries of a dictionary");
    }
    Ok(Some((codes, entries)))
}

/// So many values.
#[inline(always)]
fn parse_values<'p>(
    input: &mut Input<'p>,
    kind: Kind,
    form: u8,
    flags: u8,
    count: usize,
) -> Result<Values<'p>, &'static str> {
    Ok(match kind {
        _ if form == FORM_NOTHING => Values::Nothing,
        Kind::Text => Values::Texts(Texts::parse(input, count, flags & IS_COMPRESSED != 0)?),
        Kind::I128 if flags & IS_WIDE != 0 => Values::WidePlain(input.take(16 * count)?),
        Kind::I128 => Values::WideSeries(Series::parse(input, count)?),
        _ if form == FORM_RUNS => Values::Numbers(Index::Runs(Runs::parse(input)?)),
        _ => Values::Numbers(Index::Series(Series::parse(input, count)?)),
    })
}

impl<'p> Page<'p> {
    /// How its values are held in memory.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// How many of them are NULL.
    pub(crate) fn nulls(&self) -> usize {
        self.nulls
    }

    /// How it is encoded.
    pub(crate) fn encoding(&self) -> Encoding {
        let series_shape = |series: &Series<'_>| Shape::of_series(series.width(), series.is_linear());
        let shape = match (&self.codes, &self.values) {
            (_, Values::Nothing) => Shape::Nothing,
            (Some((_, 1)), _) => Shape::Constant,
            (Some((Index::Runs(_), _)), _) | (None, Values::Numbers(Index::Runs(_))) => Shape::RunLength,
            (Some(_), _) => Shape::Dictionary,
            (None, Values::Numbers(Index::Series(series)) | Values::WideSeries(series)) => {
                series_shape(series)
            }
            (None, Values::WidePlain(_) | Values::Texts(_)) => Shape::Plain,
        };
        let is_compressed = matches!(&self.values, Values::Texts(texts) if texts.is_compressed());
        Encoding { shape, is_compressed, digits: self.digits }
    }

    /// Whether a row is NULL; true where there is no such row.
    #[inline]
    pub(crate) fn is_null(&self, row: usize) -> bool {
        if row >= self.rows {
            return true;
        }
        match self.validity.get(row / 8) {
            Some(byte) => byte >> (row % 8) & 1 == 0,
            None => self.nulls == self.rows,
        }
    }

    /// Where a row's value is among the values.
    #[inline(always)]
    fn place(&self, row: usize) -> usize {
        match &self.codes {
            None => row,
            Some((codes, _)) => codes.get(row) as usize & (2 * ROWS_MAX - 1),
        }
    }

    /// The number that is written for a row: an integer, or a double by its bits or scaled.
    #[inline(always)]
    fn number_at(&self, row: usize) -> i64 {
        match &self.values {
            Values::Numbers(index) => index.get(self.place(row)),
            _ => 0,
        }
    }

    /// The value of a row of a `Bool` (0 or 1), `I32` or `I64` page; some value where it is NULL or there is none.
    #[inline]
    pub(crate) fn i64_at(&self, row: usize) -> i64 {
        let number = self.number_at(row);
        match self.kind {
            Kind::I64 => number,
            Kind::I32 => (number as i32).into(),
            // By 32 bits, as decoding looks at it.
            _ => (number as i32 != 0).into(),
        }
    }

    /// The value of a row of any page of integers; some value where it is NULL or there is none.
    #[inline]
    pub(crate) fn i128_at(&self, row: usize) -> i128 {
        match &self.values {
            Values::WideSeries(series) => series.get_wide(self.place(row)),
            Values::WidePlain(bytes) => wide_at(bytes, self.place(row)),
            _ => self.i64_at(row).into(),
        }
    }

    /// The value of a row of an `F64` page; some value where it is NULL or there is none.
    #[inline]
    pub(crate) fn f64_at(&self, row: usize) -> f64 {
        double_of(self.number_at(row), self.digits)
    }

    /// The text of a row; an empty one where it is NULL or there is none. `symbols` are those of the column's row
    /// group, `buffer` holds the text where it is compressed (its former content goes).
    ///
    /// # Errors
    /// The buffer's budget refuses (it grows to [`INLINE_BYTES_MAX`] and 8 bytes at most); no or other symbols.
    pub(crate) fn text_at<'t>(
        &self,
        row: usize,
        symbols: Option<&SymbolTable>,
        buffer: &'t mut Vec<'_, u8>,
    ) -> Result<TextRef<'t>, PageError>
    where
        'p: 't,
    {
        if let Some(long) = self.longs.find(row) {
            return Ok(TextRef::Long(long));
        }
        match &self.values {
            Values::Texts(texts) if !self.is_null(row) => {
                texts.text(self.place(row), symbols, buffer).map(TextRef::Inline)
            }
            _ => Ok(TextRef::Inline(&[])),
        }
    }

    /// The value of a row as its type, NULL where it is NULL.
    ///
    /// # Errors
    /// As [`Page::text_at`]; the type is of another kind than the page; bytes that are no value of the type.
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
        const NO_VALUE: PageError = PageError::Corrupt("a value is out of its type's range");
        if Kind::of(ty) != self.kind {
            return Err(OTHER_KIND);
        }
        if self.is_null(row) {
            return Ok(PageValue::Inline(Value::Null));
        }
        Ok(PageValue::Inline(match self.kind {
            Kind::Text => match self.text_at(row, symbols, buffer)? {
                TextRef::Long(long) => return Ok(PageValue::Long(long)),
                TextRef::Inline(bytes) => decode_bytes(bytes, ty)
                    .map_err(|_| PageError::Corrupt("the bytes of a value are none of its type"))?,
            },
            Kind::F64 => value_of_double(self.f64_at(row), ty),
            Kind::I128 => value_of_integer(self.i128_at(row), ty).ok_or(NO_VALUE)?,
            _ => value_of_integer(self.i64_at(row).into(), ty).ok_or(NO_VALUE)?,
        }))
    }

    /// The first row of `range` for which `before` is false, where it is false for all behind it; the end of the range
    /// if there is none. For `Bool`, `I32` and `I64` pages without NULLs in the range.
    pub(crate) fn partition_point(&self, range: Range<usize>, mut before: impl FnMut(i64) -> bool) -> usize {
        if let (None, Values::Numbers(Index::Runs(runs))) = (&self.codes, &self.values) {
            return runs.partition_point(range, before);
        }
        match (self.kind, &self.codes, &self.values) {
            // Most keys: nothing has to be asked for each value.
            (Kind::I64, None, Values::Numbers(Index::Series(series))) => {
                partition_point(range, |row| before(series.get(row)))
            }
            _ => partition_point(range, |row| before(self.i64_at(row))),
        }
    }

    /// The rows of `range` whose text is long, ascending.
    pub(crate) fn longs(&self, range: Range<usize>) -> impl Iterator<Item = (usize, LongRef)> + use<'p> {
        self.longs
            .all()
            .skip_while(move |(row, _)| *row < range.start)
            .take_while(move |(row, _)| *row < range.end)
    }
}

/// The first row of `range` for which `before` is false, where it is false for all behind it; its end if there is none.
#[inline(always)]
fn partition_point(range: Range<usize>, mut before: impl FnMut(usize) -> bool) -> usize {
    let (mut first, mut left) = (range.start, range.len());
    while left > 0 {
        let half = left / 2;
        if before(first + half) {
            first += half + 1;
            left -= half + 1;
        } else {
            left = half;
        }
    }
    first
}

const OTHER_KIND: PageError = PageError::Corrupt("the page is of another kind of values");

/// A double from the number that is written for it.
#[inline(always)]
fn double_of(number: i64, digits: Option<u8>) -> f64 {
    match digits {
        None => f64::from_bits(number as u64),
        Some(digits) => number as f64 / power_of_ten(digits),
    }
}

/// An integer of 16 bytes; 0 if there is none.
#[inline(always)]
fn wide_at(bytes: &[u8], i: usize) -> i128 {
    let found = bytes.get(16 * i..).and_then(|rest| rest.first_chunk());
    found.map_or(0, |bytes| i128::from_le_bytes(*bytes))
}

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzz;
#[cfg(test)]
mod measure;
#[cfg(any(test, feature = "fuzzing"))]
mod model;
#[cfg(test)]
mod tests;
