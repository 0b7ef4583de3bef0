//! Decoding: ranges of rows, or selected ones, into columns.
//!
//! Ranges of series are unpacked straight into the column; what needs another step on the way (codes to values, bits to
//! doubles) goes through blocks of [`BLOCK`] numbers on the stack. There is no unsafe code here: the loops are over slices of
//! equal lengths or arrays, and the compiler drops the checks.

use core::ops::Range;

use cofferdam_arena::collections::Vec;
use cofferdam_types::column::{Data, Kind, TextView};

use super::index::Index;
use super::series::Lane;
use super::symbols::SymbolTable;
use super::texts::Texts;
use super::{ColumnMut, OTHER_KIND, Page, PageError, ROWS_MAX, TEXT_BYTES_MAX, Values, double_of, wide_at};

/// Numbers that are on the stack at a time.
const BLOCK: usize = 256;
/// Entries of a dictionary of texts that are copied once for all rows.
const SHARED_ENTRIES_MAX: usize = 512;

/// Which rows are decoded.
#[derive(Clone, Copy)]
enum Picked<'r> {
    /// These in succession, from the first.
    All { first: usize },
    /// These, which ascend.
    Some(&'r [u16]),
}

impl Picked<'_> {
    /// The numbers of the picked rows, as many as `out` takes.
    #[inline(always)]
    fn numbers<T: Lane>(&self, index: &Index<'_>, out: &mut [T]) {
        match self {
            Picked::All { first } => index.unpack(*first, out),
            Picked::Some(rows) => index.gather(rows, out),
        }
    }

    /// Without the first `count` rows.
    fn behind(self, count: usize) -> Self {
        match self {
            Picked::All { first } => Picked::All { first: first + count },
            Picked::Some(rows) => Picked::Some(rows.get(count..).unwrap_or(&[])),
        }
    }

    /// The `i`-th picked row.
    #[inline(always)]
    fn row(&self, i: usize) -> usize {
        match self {
            Picked::All { first } => first + i,
            Picked::Some(rows) => rows.get(i).copied().map_or(usize::MAX, usize::from),
        }
    }
}

impl Page<'_> {
    /// Writes the rows of `range` to the rows of `into` from `at` on. A row that is NULL gets some value; one with a
    /// long text gets an empty one: see [`Page::longs`].
    ///
    /// # Errors
    /// The budget of `into.heap` refuses, no or other symbols, another kind. Rows of `into` may have been written then.
    ///
    /// # Panics
    /// If there are no such rows, the slices of `into` are too short, or the heap has 4 GiB.
    pub(crate) fn decode(
        &self,
        range: Range<usize>,
        into: ColumnMut<'_, '_>,
        at: usize,
        symbols: Option<&SymbolTable>,
    ) -> Result<(), PageError> {
        assert!(range.start <= range.end && range.end <= self.rows, "the page has no such rows");
        self.write_to(Picked::All { first: range.start }, range.len(), into, at, symbols)
    }

    /// [`Page::decode`] of `rows`, which ascend.
    ///
    /// # Errors
    /// As [`Page::decode`].
    ///
    /// # Panics
    /// As [`Page::decode`].
    pub(crate) fn gather(
        &self,
        rows: &[u16],
        into: ColumnMut<'_, '_>,
        at: usize,
        symbols: Option<&SymbolTable>,
    ) -> Result<(), PageError> {
        assert!(rows.iter().all(|row| usize::from(*row) < self.rows), "the page has no such rows");
        self.write_to(Picked::Some(rows), rows.len(), into, at, symbols)
    }

    /// The values of succeeding rows of a `Bool` (0 or 1), `I32` or `I64` page, as [`Page::i64_at`] gives them.
    pub(crate) fn integers(&self, first: usize, out: &mut [i64]) {
        self.numbers(Picked::All { first }, out);
        match self.kind {
            Kind::I64 => {}
            Kind::I32 => out.iter_mut().for_each(|number| *number = i64::from(*number as i32)),
            _ => out.iter_mut().for_each(|number| *number = i64::from(*number as i32 != 0)),
        }
    }

    fn write_to(
        &self,
        picked: Picked<'_>,
        count: usize,
        into: ColumnMut<'_, '_>,
        at: usize,
        symbols: Option<&SymbolTable>,
    ) -> Result<(), PageError> {
        let ColumnMut { data, valid, all_valid, heap } = into;
        if data.kind() != self.kind {
            return Err(OTHER_KIND);
        }
        let rows = at..at + count;
        self.write_validity(picked, rows.clone(), valid, all_valid);
        match data {
            Data::I32(values) => self.numbers(picked, &mut values[rows]),
            Data::I64(values) => self.numbers(picked, &mut values[rows]),
            Data::Bool(values) => self.converted(picked, &mut values[rows], |number: i32| number != 0),
            Data::F64(values) => match self.digits {
                None => self.converted(picked, &mut values[rows], |bits: i64| f64::from_bits(bits as u64)),
                Some(_) => {
                    self.converted(picked, &mut values[rows], |number: i64| double_of(number, self.digits));
                }
            },
            Data::I128(values) => self.wide(picked, &mut values[rows]),
            Data::Text(views) => self.texts(picked, &mut views[rows], heap, symbols)?,
        }
        Ok(())
    }

    fn write_validity(
        &self,
        picked: Picked<'_>,
        rows: Range<usize>,
        valid: &mut [bool],
        all_valid: &mut bool,
    ) {
        if self.nulls == 0 {
            if !*all_valid {
                valid[rows].fill(true);
            }
            return;
        }
        let (before, rest) = valid.split_at_mut(rows.start);
        let (written, behind) = rest.split_at_mut(rows.len());
        match picked {
            Picked::All { first } => self.unpack_validity(first, written),
            Picked::Some(rows) => {
                written.iter_mut().zip(rows).for_each(|(valid, row)| *valid = !self.is_null((*row).into()));
            }
        }
        if *all_valid && written.contains(&false) {
            *all_valid = false;
            // They were not looked at until now, and had no NULL.
            before.fill(true);
            behind.fill(true);
        }
    }

    fn unpack_validity(&self, first: usize, out: &mut [bool]) {
        for (eight, bit) in out.chunks_mut(8).zip((first..).step_by(8)) {
            // All of them are in two bytes; there are none where all rows are NULL.
            let byte = |at: usize| self.validity.get(at).copied().unwrap_or(0);
            let bits = u16::from_le_bytes([byte(bit / 8), byte(bit / 8 + 1)]) >> (bit % 8);
            for (i, valid) in eight.iter_mut().enumerate() {
                *valid = bits >> i & 1 != 0;
            }
        }
    }

    /// Integers, and doubles as they are written.
    fn numbers<T: Lane>(&self, picked: Picked<'_>, out: &mut [T]) {
        match (&self.codes, &self.values) {
            (None, Values::Numbers(index)) => picked.numbers(index, out),
            (Some((codes, entries)), Values::Numbers(values)) if *entries <= BLOCK => {
                let mut table = [T::of(0); BLOCK];
                values.unpack(0, table.get_mut(..*entries).unwrap_or_default());
                by_codes(codes, picked, out, |code| table.get(code % BLOCK).copied().unwrap_or(T::of(0)));
            }
            (Some((codes, _)), Values::Numbers(values)) => {
                by_codes(codes, picked, out, |code| T::of(values.get(code)));
            }
            _ => out.fill(T::of(0)),
        }
    }

    /// Numbers that become something else.
    fn converted<T: Lane, U>(&self, picked: Picked<'_>, out: &mut [U], convert: impl Fn(T) -> U) {
        let mut numbers = [T::of(0); BLOCK];
        for (i, block) in out.chunks_mut(BLOCK).enumerate() {
            let numbers = numbers.get_mut(..block.len()).unwrap_or_default();
            self.numbers(picked.behind(i * BLOCK), numbers);
            block.iter_mut().zip(numbers).for_each(|(value, number)| *value = convert(*number));
        }
    }

    fn wide(&self, picked: Picked<'_>, out: &mut [i128]) {
        match (&self.codes, &self.values, picked) {
            (Some((codes, _)), Values::WideSeries(values), _) => {
                by_codes(codes, picked, out, |code| values.get_wide(code));
            }
            (Some((codes, _)), Values::WidePlain(values), _) => {
                by_codes(codes, picked, out, |code| wide_at(values, code));
            }
            (None, Values::WideSeries(values), Picked::All { first }) => {
                let mut differences = [0; BLOCK];
                for (i, block) in out.chunks_mut(BLOCK).enumerate() {
                    let differences = differences.get_mut(..block.len()).unwrap_or_default();
                    values.unpack_differences(first + i * BLOCK, differences);
                    for (value, difference) in block.iter_mut().zip(differences) {
                        *value = values.widen(*difference as u64);
                    }
                }
            }
            _ => out.iter_mut().enumerate().for_each(|(i, value)| *value = self.i128_at(picked.row(i))),
        }
    }

    fn texts(
        &self,
        picked: Picked<'_>,
        views: &mut [TextView],
        heap: &mut Vec<'_, u8>,
        symbols: Option<&SymbolTable>,
    ) -> Result<(), PageError> {
        let Values::Texts(texts) = &self.values else {
            views.fill(TextView::default());
            return Ok(());
        };
        assert!(
            heap.len() <= u32::MAX as usize - TEXT_BYTES_MAX,
            "views of texts reach no further than 4 GiB"
        );
        let table = texts.table(symbols)?;
        match (&self.codes, picked) {
            (Some((codes, _)), _) => dictionary_texts(codes, texts, table, picked, views, heap)?,
            (None, Picked::All { first }) => {
                let (range, mut slots) = (first..first + views.len(), views.iter_mut());
                let each = |view| slots.next().into_iter().for_each(|slot| *slot = view);
                texts.append_all(range, table, heap, each)?;
            }
            (None, Picked::Some(rows)) => {
                let end = heap.len() + TEXT_BYTES_MAX;
                for (view, row) in views.iter_mut().zip(rows) {
                    *view = texts.append_one((*row).into(), table, end - heap.len(), heap)?;
                }
            }
        }
        self.forget_longs(picked, views);
        Ok(())
    }

    /// Empties the texts of rows whose text is elsewhere.
    fn forget_longs(&self, picked: Picked<'_>, views: &mut [TextView]) {
        for (row, _) in self.longs.all() {
            let place = match picked {
                Picked::All { first } => row.checked_sub(first),
                Picked::Some(rows) => rows.binary_search_by_key(&row, |row| usize::from(*row)).ok(),
            };
            place
                .and_then(|place| views.get_mut(place))
                .into_iter()
                .for_each(|view| *view = TextView::default());
        }
    }
}

/// The values of the codes of the picked rows.
#[inline(always)]
fn by_codes<T>(codes: &Index<'_>, picked: Picked<'_>, out: &mut [T], value: impl Fn(usize) -> T) {
    let mut block_codes = [0i32; BLOCK];
    for (i, block) in out.chunks_mut(BLOCK).enumerate() {
        let block_codes = block_codes.get_mut(..block.len()).unwrap_or_default();
        picked.behind(i * BLOCK).numbers(codes, block_codes);
        for (slot, code) in block.iter_mut().zip(block_codes) {
            *slot = value(*code as usize % (2 * ROWS_MAX));
        }
    }
}

/// The texts of the codes of the picked rows. A small dictionary goes to the heap as a whole; of a large one, the text of
/// each row, so that a few rows do not take all of it.
fn dictionary_texts(
    codes: &Index<'_>,
    texts: &Texts<'_>,
    table: Option<&SymbolTable>,
    picked: Picked<'_>,
    views: &mut [TextView],
    heap: &mut Vec<'_, u8>,
) -> Result<(), PageError> {
    let entries = texts.count();
    if entries <= SHARED_ENTRIES_MAX && entries <= views.len() {
        let mut shared = [TextView::default(); SHARED_ENTRIES_MAX];
        let mut slots = shared.iter_mut();
        texts.append_all(0..entries, table, heap, |view| {
            slots.next().into_iter().for_each(|slot| *slot = view);
        })?;
        by_codes(codes, picked, views, |code| shared.get(code).copied().unwrap_or_default());
        return Ok(());
    }
    let end = heap.len() + TEXT_BYTES_MAX;
    let mut last = (usize::MAX, TextView::default());
    let mut block_codes = [0i32; BLOCK];
    for (i, block) in views.chunks_mut(BLOCK).enumerate() {
        let block_codes = block_codes.get_mut(..block.len()).unwrap_or_default();
        picked.behind(i * BLOCK).numbers(codes, block_codes);
        for (view, code) in block.iter_mut().zip(block_codes) {
            let code = *code as usize % (2 * ROWS_MAX);
            if code != last.0 {
                last = (code, texts.append_one(code, table, end - heap.len(), heap)?);
            }
            *view = last.1;
        }
    }
    Ok(())
}
