//! Writing pages: statistics of the values, then the form that takes the fewest bytes.
//!
//! Every candidate is *planned*, which gives its exact bytes, and the smallest plan is written. In order:
//!
//! 1. a series (constant, frame of reference or line: `series.rs` picks among these);
//! 2. runs, if there are at most half as many as rows;
//! 3. a dictionary, if few distinct values can save something. The search for them ends as soon as there are too many.
//!
//! Forms whose random access costs more must save more: runs an eighth, a dictionary a sixteenth. Doubles are first
//! tried as integers (17.25 as 1725 with two digits), and else taken by their bits. For texts the dictionary is weighed
//! against the texts themselves by a guess of how well both compress, from 32 of the rows.
//!
//! A NULL is written as the value before it, so that it costs no new value, bit or run.

use core::cmp::Ordering;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::column::{Data, Kind, TextView};

use super::index::IndexPlan;
use super::series::{Plan, bits_of, packed_bytes};
use super::symbols::SymbolTable;
use super::zone::{Zone, zone_of_doubles, zone_of_integers, zone_of_texts};
use super::{
    DIGITS_MAX, Encoding, FORM_DICTIONARY, FORM_NOTHING, FORM_PLAIN, FORM_RUN_DICTIONARY, FORM_RUNS,
    FORM_SERIES, HAS_LONGS, HAS_VALIDITY, INLINE_BYTES_MAX, IS_COMPRESSED, IS_SCALED, IS_WIDE,
    PAGE_BYTES_MAX, PageStats, PageValues, ROWS_MAX, Shape, TEXT_BYTES_MAX, kind_byte, power_of_ten, texts,
};

/// Rows whose texts are compressed to guess what all will take.
const GUESS_ROWS: usize = 32;
/// If so many of the first rows have more than so many different values, all rows of a page hardly have less than nine tenths: by how
/// many rows the page has at least.
const TRIALS: [(usize, usize, usize); 3] = [(257, 256, 252), (65, 32, 31), (0, 12, 11)];
/// Bits of an offset of a text, for the same guess.
const GUESS_OFFSET_BITS: usize = 10;

/// The memory that encoding works in: made once, used for any number of pages.
///
/// Takes nothing until it is used, then at most 18 bytes a row (of the largest page, rounded up to a power of two),
/// and 16 more where a column has decimals of more than 18 digits: for full pages 36 or 68 KiB, which are 48 or 112 in
/// an arena's chunks. Pages that grow one after the other leave as much behind in the arena.
#[derive(Debug)]
pub(crate) struct EncodeScratch<'a> {
    /// The values of all rows; of texts, the offsets.
    words: Vec<'a, i64>,
    /// Values of 128 bits.
    wide: Vec<'a, i128>,
    distinct: Distinct<'a>,
    /// Where runs of equal values or codes end.
    ends: Vec<'a, u16>,
    has_sums: bool,
}

impl<'a> EncodeScratch<'a> {
    /// Scratch that takes from `arena`.
    pub(crate) fn new_in(arena: &'a Arena) -> EncodeScratch<'a> {
        EncodeScratch {
            words: Vec::new_in(arena),
            wide: Vec::new_in(arena),
            distinct: Distinct {
                slots: Vec::new_in(arena),
                firsts: Vec::new_in(arena),
                codes: Vec::new_in(arena),
            },
            ends: Vec::new_in(arena),
            has_sums: true,
        }
    }

    /// For pages that have a checksum in common: zeros stand for their own.
    pub(crate) fn without_sums(self) -> EncodeScratch<'a> {
        EncodeScratch { has_sums: false, ..self }
    }
}

/// An empty vector with room for `len` elements: for a power of two, and one more, which offsets have.
fn prepare<T>(vec: &mut Vec<'_, T>, len: usize) -> Result<(), AllocError> {
    vec.clear();
    if vec.capacity() >= len {
        return Ok(());
    }
    vec.reserve_exact(len.saturating_sub(1).next_power_of_two() + 1)
}

/// Writes some rows of a column as a page behind `out`.
///
/// Takes room in `out` for the page (about what its values have, at most twice the bytes of its texts while it tries to
/// compress them) and what [`EncodeScratch`] says. `symbols`, if given, is the table that readers of the page will
/// have; it is used where it makes texts smaller.
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
    let rows = Rows::of(values);
    let mark = out.len();
    let written = write_page(&rows, symbols, scratch, out, mark);
    if written.is_err() {
        out.truncate(mark);
    }
    written
}

/// The rows of the page, sliced.
struct Rows<'v> {
    count: usize,
    nulls: usize,
    valid: Option<&'v [bool]>,
    data: Sliced<'v>,
    heap: &'v [u8],
    longs: &'v [(u16, super::LongRef)],
}

/// [`Data`] of the page's rows.
#[derive(Clone, Copy)]
enum Sliced<'v> {
    Bool(&'v [bool]),
    I32(&'v [i32]),
    I64(&'v [i64]),
    I128(&'v [i128]),
    F64(&'v [f64]),
    Text(&'v [TextView]),
}

impl<'v> Rows<'v> {
    fn of(values: &PageValues<'v>) -> Rows<'v> {
        let (first, count) = (values.first, values.rows);
        assert!(count <= ROWS_MAX, "a page has at most {ROWS_MAX} rows");
        let range = first..first + count;
        let valid = values.valid.map(|valid| &valid[range.clone()]);
        let nulls = valid.map_or(0, |valid| valid.iter().filter(|valid| !**valid).count());
        let data = match values.data {
            Data::Bool(values) => Sliced::Bool(&values[range]),
            Data::I32(values) => Sliced::I32(&values[range]),
            Data::I64(values) => Sliced::I64(&values[range]),
            Data::I128(values) => Sliced::I128(&values[range]),
            Data::F64(values) => Sliced::F64(&values[range]),
            Data::Text(values) => Sliced::Text(&values[range]),
        };
        Rows {
            count,
            nulls,
            valid: valid.filter(|_| nulls > 0),
            data,
            heap: values.heap,
            longs: values.longs,
        }
    }

    fn kind(&self) -> Kind {
        match self.data {
            Sliced::Bool(_) => Kind::Bool,
            Sliced::I32(_) => Kind::I32,
            Sliced::I64(_) => Kind::I64,
            Sliced::I128(_) => Kind::I128,
            Sliced::F64(_) => Kind::F64,
            Sliced::Text(_) => Kind::Text,
        }
    }

    fn is_valid(&self, row: usize) -> bool {
        self.valid.is_none_or(|valid| valid.get(row) == Some(&true))
    }

    /// The values of the rows that are not NULL.
    fn valid_values<T: Copy>(&self, values: &'v [T]) -> impl Iterator<Item = T> + Clone + use<'v, T> {
        let valid = self.valid;
        values.iter().enumerate().filter_map(move |(row, value)| match valid {
            Some(valid) if valid.get(row) != Some(&true) => None,
            _ => Some(*value),
        })
    }

    fn is_long(&self, row: usize) -> bool {
        self.longs.binary_search_by_key(&row, |(long, _)| usize::from(*long)).is_ok()
    }

    /// Appends the values with every NULL replaced by the value before it, or by the first one.
    fn fill<T: Copy, W: Copy>(
        &self,
        values: &'v [T],
        convert: impl Fn(T) -> W,
        words: &mut Vec<'_, W>,
    ) -> Result<(), AllocError> {
        prepare(words, self.count)?;
        let Some(valid) = self.valid else { return words.extend(values.iter().map(|value| convert(*value))) };
        let Some(first) = self.valid_values(values).next() else { return Ok(()) };
        let mut before = convert(first);
        words.extend(values.iter().zip(valid).map(|(value, valid)| {
            if *valid {
                before = convert(*value);
            }
            before
        }))
    }
}

/// What the body of a page turned out to be.
struct Body {
    form: u8,
    flags: u8,
    digits: u8,
    shape: Shape,
    zone: Option<Zone>,
}

impl Body {
    fn new(form: u8, shape: Shape) -> Body {
        Body { form, flags: 0, digits: 0, shape, zone: None }
    }
}

fn write_page(
    rows: &Rows<'_>,
    symbols: Option<&SymbolTable>,
    scratch: &mut EncodeScratch<'_>,
    out: &mut Vec<'_, u8>,
    start: usize,
) -> Result<PageStats, AllocError> {
    let (count, nulls) = (rows.count, rows.nulls);
    let [r0, r1] = (count as u16).to_le_bytes();
    let [n0, n1] = (nulls as u16).to_le_bytes();
    out.extend_from_slice(&[kind_byte(rows.kind()), 0, r0, r1, n0, n1, 0, 0])?;
    let mut flags = 0;
    if let Some(valid) = rows.valid
        && nulls < count
    {
        flags |= HAS_VALIDITY;
        write_validity(valid, out)?;
    }
    if !rows.longs.is_empty() {
        flags |= HAS_LONGS;
        write_longs(rows, out)?;
    }
    let body = match rows.data {
        _ if nulls == count => Body::new(FORM_NOTHING, Shape::Nothing),
        Sliced::Text(views) => write_texts(rows, views, symbols, scratch, out)?,
        Sliced::I128(values) => write_wide(rows, values, scratch, out)?,
        _ => write_numbers(rows, scratch, out)?,
    };
    for (place, byte) in [(1, body.form), (6, flags | body.flags), (7, body.digits)] {
        out.get_mut(start + place).into_iter().for_each(|slot| *slot = byte);
    }
    let bytes = (out.len() - start + 8) as u32;
    assert!(bytes as usize <= PAGE_BYTES_MAX, "a page has at most {PAGE_BYTES_MAX} bytes");
    out.extend_from_slice(&bytes.to_le_bytes())?;
    let crc = if scratch.has_sums { crate::sum::crc32c(out.get(start..).unwrap_or(&[])) } else { 0 };
    out.extend_from_slice(&crc.to_le_bytes())?;
    let encoding = Encoding {
        shape: body.shape,
        is_compressed: body.flags & IS_COMPRESSED != 0,
        digits: (body.flags & IS_SCALED != 0).then_some(body.digits),
    };
    Ok(PageStats { bytes, nulls: nulls as u16, encoding, zone: body.zone })
}

/// A bit a row, the first one lowest.
fn write_validity(valid: &[bool], out: &mut Vec<'_, u8>) -> Result<(), AllocError> {
    out.extend(
        valid.chunks(8).map(|eight| eight.iter().rev().fold(0, |byte, valid| byte << 1 | u8::from(*valid))),
    )
}

fn write_longs(rows: &Rows<'_>, out: &mut Vec<'_, u8>) -> Result<(), AllocError> {
    let longs = rows.longs;
    assert!(matches!(rows.data, Sliced::Text(_)), "only texts are long");
    assert!(longs.is_sorted_by(|a, b| a.0 < b.0), "long texts are given by ascending row");
    assert!(
        longs.last().is_some_and(|last| usize::from(last.0) < rows.count),
        "a long text has a row of the page"
    );
    out.extend_from_slice(&(longs.len() as u16).to_le_bytes())?;
    for (row, long) in longs {
        assert!(rows.is_valid(usize::from(*row)), "a long text is not NULL");
        assert!(long.len as usize > INLINE_BYTES_MAX, "a long text is longer than one in a page");
        out.extend_from_slice(&row.to_le_bytes())?;
    }
    for (_, long) in longs {
        out.extend_from_slice(&long.offset.to_le_bytes())?;
        out.extend_from_slice(&long.len.to_le_bytes())?;
        out.extend_from_slice(&long.crc.to_le_bytes())?;
    }
    Ok(())
}

/// Booleans, integers and doubles.
fn write_numbers(
    rows: &Rows<'_>,
    scratch: &mut EncodeScratch<'_>,
    out: &mut Vec<'_, u8>,
) -> Result<Body, AllocError> {
    let words = &mut scratch.words;
    let (mut flags, mut digits) = (0, 0);
    match rows.data {
        Sliced::Bool(values) => rows.fill(values, i64::from, words)?,
        Sliced::I32(values) => rows.fill(values, i64::from, words)?,
        Sliced::I64(values) => rows.fill(values, |value| value, words)?,
        Sliced::F64(values) => match digits_of(rows.valid_values(values)) {
            Some(found) => {
                (flags, digits) = (IS_SCALED, found);
                let power = power_of_ten(found);
                rows.fill(values, |value| (value * power).round() as i64, words)?;
            }
            None => rows.fill(values, |value| value.to_bits() as i64, words)?,
        },
        Sliced::I128(_) | Sliced::Text(_) => unreachable!("wide values and texts are written elsewhere"),
    }
    let body = write_words(words, &mut scratch.distinct, &mut scratch.ends, out)?;
    let zone = match rows.data {
        Sliced::F64(values) => zone_of_doubles(rows.valid_values(values)),
        _ => zone_of_integers(words),
    };
    Ok(Body { flags, digits, zone, ..body })
}

/// How many digits behind the point the doubles have, if each is exactly an integer divided by a power of ten.
fn digits_of(values: impl Iterator<Item = f64> + Clone) -> Option<u8> {
    let is_exact = |value: f64, digits: u8| {
        let power = power_of_ten(digits);
        let scaled = (value * power).round();
        // Beyond 2^53 integers are not exact; not true for NaN either. The bits tell -0.0 from 0.0.
        scaled.abs() < (1u64 << 53) as f64 && (scaled as i64 as f64 / power).to_bits() == value.to_bits()
    };
    let mut digits = 0;
    for value in values.clone() {
        while !is_exact(value, digits) {
            digits += 1;
            if digits > DIGITS_MAX {
                return None;
            }
        }
    }
    values.clone().all(|value| is_exact(value, digits)).then_some(digits)
}

/// Fills `ends` with where runs of equal numbers end; leaves it empty if there are more than half as many as numbers.
fn find_runs<N: PartialEq>(numbers: &[N], ends: &mut Vec<'_, u16>) -> Result<(), AllocError> {
    prepare(ends, numbers.len())?;
    for (end, pair) in (1u16..).zip(numbers.windows(2)) {
        if let [a, b] = pair
            && a != b
        {
            ends.push(end)?;
        }
    }
    ends.push(numbers.len() as u16)?;
    if ends.len() > numbers.len() / 2 {
        ends.clear();
    }
    Ok(())
}

fn write_words(
    words: &[i64],
    distinct: &mut Distinct<'_>,
    ends: &mut Vec<'_, u16>,
    out: &mut Vec<'_, u8>,
) -> Result<Body, AllocError> {
    // Of values that are all the same it is known what they become.
    let is_constant = words.first().is_some_and(|first| words.iter().all(|word| word == first));
    if is_constant {
        ends.clear()
    } else {
        find_runs(words, ends)?
    }
    let plan = IndexPlan::of(words, ends);
    let value = |row: usize| words.get(row).copied().unwrap_or(0);
    let entries_max = dictionary_entries_max(words.len(), plan.bytes(), plan.width() as usize);
    let is_found = distinct.find(
        words.len(),
        entries_max,
        |_| false,
        |row| mix(value(row) as u64),
        |a, b| value(a) == value(b),
    )?;
    if is_found {
        distinct.sort(|a, b| value(a).cmp(&value(b)));
        find_runs(&distinct.codes, ends)?;
        let codes = IndexPlan::of(&distinct.codes, ends);
        let entries = distinct.firsts.iter().map(|row| value(usize::from(*row)));
        let values = Plan::of(entries.clone());
        if 2 + codes.bytes() + values.bytes() < plan.bytes() / 16 * 15 {
            let body = write_codes(&codes, distinct, ends, out)?;
            values.write(entries, out)?;
            return Ok(body);
        }
        find_runs(words, ends)?;
    }
    plan.write(words, ends, out)?;
    Ok(match plan {
        IndexPlan::Series(plan) => Body::new(FORM_SERIES, shape_of(&plan)),
        IndexPlan::Runs { .. } => Body::new(FORM_RUNS, Shape::RunLength),
    })
}

fn shape_of(plan: &Plan) -> Shape {
    Shape::of_series(plan.width(), plan.is_linear())
}

/// The number of entries and the codes of a dictionary.
fn write_codes(
    codes: &IndexPlan,
    distinct: &Distinct<'_>,
    ends: &[u16],
    out: &mut Vec<'_, u8>,
) -> Result<Body, AllocError> {
    out.extend_from_slice(&(distinct.firsts.len() as u16).to_le_bytes())?;
    codes.write(&distinct.codes, ends, out)?;
    Ok(match codes {
        _ if distinct.firsts.len() == 1 => Body::new(FORM_DICTIONARY, Shape::Constant),
        IndexPlan::Series(_) => Body::new(FORM_DICTIONARY, Shape::Dictionary),
        IndexPlan::Runs { .. } => Body::new(FORM_RUN_DICTIONARY, Shape::RunLength),
    })
}

/// How many distinct values of `width` bits there may be for a dictionary to save a sixteenth of `bytes`: 0 if it is
/// not to be tried.
fn dictionary_entries_max(rows: usize, bytes: usize, width: usize) -> usize {
    let takes = |entries: usize| {
        let code_bits = bits_of(entries as u64 - 1);
        // Entries are sorted, so what they take is less than their width.
        packed_bytes(rows, code_bits) + entries * width.saturating_sub(code_bits as usize) / 8
    };
    let saves = |entries: &usize| takes(*entries) < bytes / 16 * 15;
    let power = (1..=10).map(|bits| 1 << bits).take_while(saves).last().unwrap_or(0);
    // Between two powers the entries take more and more, the codes as much.
    (power..2 * power).step_by((power / 8).max(1)).skip(1).take_while(saves).last().unwrap_or(power)
}

/// Integers of 128 bits: by 64-bit differences where these suffice.
fn write_wide(
    rows: &Rows<'_>,
    values: &[i128],
    scratch: &mut EncodeScratch<'_>,
    out: &mut Vec<'_, u8>,
) -> Result<Body, AllocError> {
    let EncodeScratch { wide, distinct, ends, .. } = scratch;
    rows.fill(values, |value| value, wide)?;
    let zone = zone_of_integers(wide);
    let value = |row: usize| wide.get(row).copied().unwrap_or(0);
    let plan = WidePlan::of(wide.iter().copied());
    let (plan_bytes, plan_width) = (plan.bytes(), plan.width());
    find_runs(wide, ends)?;
    let entries_max = match ends.len() {
        0 => dictionary_entries_max(wide.len(), plan_bytes, plan_width),
        // Runs are written as a dictionary whose codes have runs.
        runs => runs.max(dictionary_entries_max(wide.len(), plan_bytes, plan_width)),
    };
    let is_found = plan_width > 0
        && distinct.find(
            wide.len(),
            entries_max,
            |_| false,
            |row| mix(value(row) as u64 ^ mix((value(row) >> 64) as u64)),
            |a, b| value(a) == value(b),
        )?;
    if is_found {
        distinct.sort(|a, b| value(a).cmp(&value(b)));
        find_runs(&distinct.codes, ends)?;
        let codes = IndexPlan::of(&distinct.codes, ends);
        let entries = distinct.firsts.iter().map(|row| value(usize::from(*row)));
        let values = WidePlan::of(entries.clone());
        if 2 + codes.bytes() + values.bytes() < plan_bytes / 16 * 15 {
            let body = write_codes(&codes, distinct, ends, out)?;
            let flags = values.write(entries, out)?;
            return Ok(Body { flags, zone, ..body });
        }
    }
    let flags = plan.write(wide.iter().copied(), out)?;
    let body = match plan {
        WidePlan::Series(plan) => Body::new(FORM_SERIES, shape_of(&plan)),
        WidePlan::Plain(_) => Body::new(FORM_PLAIN, Shape::Plain),
    };
    Ok(Body { flags, zone, ..body })
}

/// How integers of 128 bits will be written.
enum WidePlan {
    Series(Plan),
    /// So many, of 16 bytes each.
    Plain(usize),
}

impl WidePlan {
    fn of(values: impl Iterator<Item = i128> + Clone) -> WidePlan {
        Plan::of_wide(values.clone()).map_or_else(|| WidePlan::Plain(values.count()), WidePlan::Series)
    }

    fn bytes(&self) -> usize {
        match self {
            WidePlan::Series(plan) => plan.bytes(),
            WidePlan::Plain(count) => 16 * count,
        }
    }

    fn width(&self) -> usize {
        match self {
            WidePlan::Series(plan) => plan.width() as usize,
            WidePlan::Plain(_) => 128,
        }
    }

    /// Appends the values and gives the page's flag for them.
    fn write(&self, values: impl Iterator<Item = i128>, out: &mut Vec<'_, u8>) -> Result<u8, AllocError> {
        match self {
            WidePlan::Series(plan) => plan.write_wide(values, out).map(|()| 0),
            WidePlan::Plain(count) => {
                out.reserve(16 * count)?;
                for value in values {
                    out.extend_from_slice(&value.to_le_bytes())?;
                }
                Ok(IS_WIDE)
            }
        }
    }
}

fn write_texts(
    rows: &Rows<'_>,
    views: &[TextView],
    symbols: Option<&SymbolTable>,
    scratch: &mut EncodeScratch<'_>,
    out: &mut Vec<'_, u8>,
) -> Result<Body, AllocError> {
    let EncodeScratch { words, distinct, ends, .. } = scratch;
    // Texts of rows that are NULL or long do not count: a dictionary gives them the code of the row before.
    let is_filler = |row: usize| !rows.is_valid(row) || rows.is_long(row);
    let given = |row: usize| views.get(row).map_or(&[][..], |view| view.of(rows.heap));
    let text = |row: usize| if is_filler(row) { &[] } else { given(row) };
    let mut sizes = TextSizes::of((0..rows.count).map(text));
    assert!(sizes.longest <= INLINE_BYTES_MAX, "a text of more than {INLINE_BYTES_MAX} bytes is long");
    assert!(sizes.raw_bytes <= TEXT_BYTES_MAX, "the texts of a page have at most {TEXT_BYTES_MAX} bytes");
    sizes.guess(rows.count, text, symbols);
    let has_longs = !rows.longs.is_empty();
    let valid_rows = (0..rows.count).filter(|row| rows.is_valid(*row));
    let zone_of_rows = || zone_of_texts(valid_rows.clone().map(given), has_longs);

    prepare(words, rows.count + 1)?;
    let entries_max = rows.count - rows.count / 8;
    let hash = |row: usize| hash_text(text(row));
    if distinct.find(rows.count, entries_max, is_filler, hash, |a, b| text(a) == text(b))? {
        distinct.sort(|a, b| text(a).cmp(text(b)));
        find_runs(&distinct.codes, ends)?;
        let codes = IndexPlan::of(&distinct.codes, ends);
        let entries = distinct.firsts.iter().map(|row| text(usize::from(*row)));
        let takes = codes.bytes() + sizes.guessed(entries.clone().map(<[u8]>::len).sum(), entries.len());
        if takes < sizes.guessed(sizes.raw_bytes, rows.count) / 16 * 15 {
            // The entries are sorted.
            let outer = [entries.clone().next(), entries.clone().next_back()].into_iter().flatten();
            let zone = if has_longs { zone_of_rows() } else { zone_of_texts(outer, false) };
            let body = write_codes(&codes, distinct, ends, out)?;
            let is_compressed = texts::write(entries, symbols, words, out)?;
            return Ok(Body { flags: if is_compressed { IS_COMPRESSED } else { 0 }, zone, ..body });
        }
    }
    let is_compressed = texts::write((0..rows.count).map(text), symbols, words, out)?;
    let flags = if is_compressed { IS_COMPRESSED } else { 0 };
    Ok(Body { flags, zone: zone_of_rows(), ..Body::new(FORM_PLAIN, Shape::Plain) })
}

/// What is known of the texts before they are written.
struct TextSizes {
    raw_bytes: usize,
    longest: usize,
    /// How many of 256 bytes compression leaves.
    ratio: usize,
}

impl TextSizes {
    fn of<'t>(texts: impl Iterator<Item = &'t [u8]>) -> TextSizes {
        let sizes = TextSizes { raw_bytes: 0, longest: 0, ratio: 256 };
        texts.fold(sizes, |sizes, text| TextSizes {
            raw_bytes: sizes.raw_bytes + text.len(),
            longest: sizes.longest.max(text.len()),
            ..sizes
        })
    }

    fn guess<'t>(&mut self, rows: usize, text: impl Fn(usize) -> &'t [u8], symbols: Option<&SymbolTable>) {
        let Some(table) = symbols else { return };
        let sample = (0..rows).step_by(rows.div_ceil(GUESS_ROWS).max(1)).map(text);
        let (raw, left) = sample.fold((0, 0), |(raw, left), text| {
            // The beginning tells enough, and long texts would make the guess dear.
            let text = text.get(..256).unwrap_or(text);
            (raw + text.len(), left + table.encoded_bytes(text))
        });
        self.ratio = (256 * left / raw.max(1)).min(256);
    }

    fn guessed(&self, raw_bytes: usize, count: usize) -> usize {
        raw_bytes * self.ratio / 256 + count * GUESS_OFFSET_BITS / 8
    }
}

/// The distinct values of a page's rows: a hash table of rows.
#[derive(Debug)]
struct Distinct<'a> {
    /// Open addressing: 0, or 1 more than a code. Later the rank of each code.
    slots: Vec<'a, u16>,
    /// By code, the first row that has the value.
    firsts: Vec<'a, u16>,
    /// By row.
    codes: Vec<'a, u16>,
}

impl Distinct<'_> {
    /// Numbers the values by their first row; false if there are none, more than `entries_max`, or probably too many
    /// different ones for a dictionary to be of use. A filler has the code of the row before.
    fn find(
        &mut self,
        rows: usize,
        entries_max: usize,
        is_filler: impl Fn(usize) -> bool,
        hash: impl Fn(usize) -> u64,
        is_same: impl Fn(usize, usize) -> bool,
    ) -> Result<bool, AllocError> {
        if entries_max == 0 {
            return Ok(false);
        }
        let slots_count = (2 * rows).next_power_of_two();
        prepare(&mut self.slots, slots_count)?;
        self.slots.resize(slots_count, 0)?;
        prepare(&mut self.firsts, rows)?;
        prepare(&mut self.codes, rows)?;
        let mask = slots_count - 1;
        let trial = TRIALS.into_iter().find(|(rows_min, ..)| rows >= *rows_min);
        let (_, trial_rows, trial_entries_max) = trial.unwrap_or_default();
        let mut code = 0;
        // Values made to collide would take the square of the rows.
        let mut steps_left = 8 * rows;
        for row in 0..rows {
            if !is_filler(row) {
                let mut at = hash(row) as usize & mask;
                code = loop {
                    let Some(slot) = self.slots.get_mut(at) else { return Ok(false) };
                    let first = self.firsts.get(usize::from(*slot).wrapping_sub(1));
                    match first {
                        None if self.firsts.len() == entries_max => return Ok(false),
                        None => {
                            self.firsts.push(row as u16)?;
                            *slot = self.firsts.len() as u16;
                            break *slot - 1;
                        }
                        Some(first) if is_same((*first).into(), row) => break *slot - 1,
                        Some(_) => at = (at + 1) & mask,
                    }
                    steps_left -= 1;
                    if steps_left == 0 {
                        return Ok(false);
                    }
                };
            }
            self.codes.push(code)?;
            if row + 1 == trial_rows && self.firsts.len() > trial_entries_max {
                return Ok(false);
            }
        }
        Ok(!self.firsts.is_empty())
    }

    /// Numbers the values by their order instead.
    fn sort(&mut self, order: impl Fn(usize, usize) -> Ordering) {
        let Distinct { slots, firsts, codes } = self;
        firsts.sort_unstable_by(|a, b| order((*a).into(), (*b).into()));
        for (rank, first) in (0u16..).zip(firsts.iter()) {
            let code = codes.get(usize::from(*first)).copied().unwrap_or(0);
            slots.get_mut(usize::from(code)).into_iter().for_each(|slot| *slot = rank);
        }
        for code in codes.iter_mut() {
            *code = slots.get(usize::from(*code)).copied().unwrap_or(0);
        }
    }
}

/// Spreads a number over 64 bits; nothing on disk depends on it.
fn mix(value: u64) -> u64 {
    let product = u128::from(value ^ 0x9E37_79B9_7F4A_7C15) * 0xD6E8_FEB8_6659_FD93;
    (product >> 64) as u64 ^ product as u64
}

fn hash_text(text: &[u8]) -> u64 {
    let len = text.len() as u64;
    // The end overlaps what is before it, so that no loop is over single bytes.
    if let Some(last) = text.last_chunk() {
        let (words, _) = text.as_chunks::<8>();
        let first = mix(u64::from_le_bytes(*last) ^ len);
        words.iter().fold(first, |hash, word| mix(hash ^ u64::from_le_bytes(*word)))
    } else if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        mix(u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last)) ^ len)
    } else {
        let byte = |at: usize| u64::from(text.get(at).copied().unwrap_or(0));
        mix(byte(0) | byte(1) << 8 | byte(2) << 16 | len << 24)
    }
}
