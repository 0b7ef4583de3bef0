//! Some rows of a segment, chosen by the hashes of their keys: while it is written.
//!
//! A row is in the sample if its key's hash is less than the sample's *limit*; the limit goes down so that there is room for
//! them. So the same rows are chosen whatever the order in which they come, samples of several segments with their limits cut
//! to the least one are a sample of all their rows, and versions of a key are in it together or not at all: whoever
//! reads them can tell which one is the newest.
//!
//! ```text
//!   a row comes     hash < bound?  ──no──> nothing else is done
//!                        │ yes
//!                        v
//!   slots           |hash, row of the open range| …     full: the greatest hash gives its slot away, and is the bound
//!                        │ the range is closed
//!                        v
//!   columns         |value of slot 0|value of slot 1|…  copied from the page's values
//! ```
//!
//! Of a key only the newest version in the segment is chosen, and of texts only the beginning is kept; arrays that are longer than that
//! are NULL in a sample.
//!
//! # Source
//! Bottom-k sketches: E. Cohen, H. Kaplan, "Summarizing data using bottom-k sketches", PODC 2007.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::Type;
use cofferdam_types::column::{Data, Kind, TextView};

use super::staging::data_in;
use crate::page::PageValues;
use crate::schema::Schema;

/// The most rows of a sample.
pub(super) const SAMPLE_ROWS_MAX: usize = 256;
/// Fewer rows are no sample.
const SAMPLE_ROWS_MIN: usize = 8;
/// Bytes of a text that are kept.
pub(crate) const SAMPLE_TEXT_BYTES: usize = 32;
/// A text of fewer bytes is whole: it was not cut before a character that goes beyond [`SAMPLE_TEXT_BYTES`].
pub(crate) const WHOLE_TEXT_BYTES: usize = SAMPLE_TEXT_BYTES - 3;
/// Of so many rows of a segment one is worth its bytes, and so many rows always are.
const ROWS_FOR_EACH: u64 = 32;
const ROWS_WORTH: u64 = 128;

/// No row of the open range.
const IS_COPIED: u16 = u16::MAX;

/// See the file's text.
#[derive(Debug)]
pub(super) struct Sample<'a> {
    capacity: usize,
    /// A hash from here on is not looked at.
    bound: u64,
    slots: Vec<'a, Slot>,
    /// The slots as a heap, the one with the greatest hash on top; none while there are free ones.
    heap: Vec<'a, u16>,
    columns: Vec<'a, SampleColumn<'a>>,
    /// For each text column and slot, room for [`SAMPLE_TEXT_BYTES`].
    texts: Vec<'a, u8>,
    /// Whether the open range has rows that are to be copied.
    is_waiting: bool,
}

/// A row of the sample.
#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u64,
    row: u16,
    is_delete: bool,
}

#[derive(Debug)]
struct SampleColumn<'a> {
    ty: Type,
    data: Data<'a>,
    valid: &'a mut [bool],
    texts_at: u32,
}

/// What [`Sample::close`] has left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closed {
    pub(super) rows: usize,
    /// Every key of the segment whose hash is less is in the sample. `u64::MAX`: all keys are.
    pub(super) limit: u64,
}

/// How many rows a sample of a table has that may take so many bytes, 0 for none; and what it takes.
pub(super) fn rows_for(schema: &Schema<'_>, bytes: usize) -> (usize, usize) {
    let columns = schema.columns.iter().map(|column| {
        let kind = column.kind();
        kind.bytes() + 1 + if kind == Kind::Text { SAMPLE_TEXT_BYTES } else { 0 }
    });
    let row_bytes = columns.sum::<usize>() + size_of::<Slot>() + size_of::<u16>();
    let rows = (bytes / row_bytes).min(SAMPLE_ROWS_MAX);
    if rows < SAMPLE_ROWS_MIN { (0, 0) } else { (rows, rows * row_bytes) }
}

impl<'a> Sample<'a> {
    /// A sample of up to so many rows; of none, it takes nothing.
    pub(super) fn new_in(
        schema: &Schema<'_>,
        capacity: usize,
        arena: &'a Arena,
    ) -> Result<Sample<'a>, AllocError> {
        let mut columns = Vec::new_in(arena);
        let mut text_bytes = 0;
        if capacity > 0 {
            columns.reserve_exact(schema.columns.len())?;
            for column in schema.columns {
                let kind = column.kind();
                columns.push(SampleColumn {
                    ty: column.ty,
                    data: data_in(kind, capacity, arena)?,
                    valid: arena.alloc_slice_fill(capacity, false)?,
                    texts_at: text_bytes as u32,
                })?;
                text_bytes += if kind == Kind::Text { capacity * SAMPLE_TEXT_BYTES } else { 0 };
            }
        }
        let mut texts = Vec::with_capacity_in(text_bytes, arena)?;
        texts.resize(text_bytes, 0)?;
        Ok(Sample {
            capacity,
            bound: if capacity > 0 { u64::MAX } else { 0 },
            slots: Vec::with_capacity_in(capacity, arena)?,
            heap: Vec::with_capacity_in(capacity, arena)?,
            columns,
            texts,
            is_waiting: false,
        })
    }

    /// Whether a key of this hash may be chosen.
    #[inline(always)]
    pub(super) fn wants(&self, hash: u64) -> bool {
        hash < self.bound
    }

    /// Chooses a row of the open range, with the newest version of its key.
    ///
    /// needs: the sample wants the hash.
    #[cold]
    pub(super) fn choose(&mut self, hash: u64, row: u16, is_delete: bool) -> Result<(), AllocError> {
        let slot = Slot { hash, row, is_delete };
        self.is_waiting = true;
        if self.slots.len() < self.capacity {
            self.slots.push(slot)?;
            if self.slots.len() == self.capacity {
                self.heap.extend(0..self.capacity as u16)?;
                (0..self.capacity / 2).rev().for_each(|at| self.sift(at));
                self.note_bound();
            }
            return Ok(());
        }
        let top = usize::from(self.heap[0]);
        self.slots[top] = slot;
        self.sift(0);
        self.note_bound();
        Ok(())
    }

    fn note_bound(&mut self) {
        self.bound = self.slots[usize::from(self.heap[0])].hash;
    }

    /// Puts a slot of the heap below all that have greater hashes.
    fn sift(&mut self, mut at: usize) {
        let hash = |heap: &[u16], at: usize| self.slots[usize::from(heap[at])].hash;
        loop {
            let mut greatest = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < self.heap.len() && hash(&self.heap, child) > hash(&self.heap, greatest) {
                    greatest = child;
                }
            }
            if greatest == at {
                return;
            }
            self.heap.swap(at, greatest);
            at = greatest;
        }
    }

    /// Whether the open range has rows that were chosen.
    #[inline]
    pub(super) fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    /// Copies a column of the rows that were chosen of the open range, whose values are given.
    pub(super) fn copy(&mut self, column: usize, values: &PageValues<'_>) {
        let SampleColumn { ty, data, valid, texts_at } = &mut self.columns[column];
        for (slot, Slot { row, .. }) in
            self.slots.iter().enumerate().filter(|(_, slot)| slot.row != IS_COPIED)
        {
            let (place, row) = (*row, values.first + usize::from(*row));
            valid[slot] = values.valid.is_none_or(|valid| valid[row]);
            match (&mut *data, values.data) {
                (Data::Bool(to), Data::Bool(from)) => to[slot] = from[row],
                (Data::I32(to), Data::I32(from)) => to[slot] = from[row],
                (Data::I64(to), Data::I64(from)) => to[slot] = from[row],
                (Data::I128(to), Data::I128(from)) => to[slot] = from[row],
                (Data::F64(to), Data::F64(from)) => to[slot] = from[row],
                (Data::Text(to), Data::Text(from)) => {
                    let is_long = values.longs.binary_search_by_key(&place, |(row, _)| *row).is_ok();
                    let Some(bytes) = kept_bytes(*ty, from[row].of(values.heap), is_long) else {
                        valid[slot] = false;
                        continue;
                    };
                    let start = *texts_at as usize + slot * SAMPLE_TEXT_BYTES;
                    self.texts[start..start + bytes.len()].copy_from_slice(bytes);
                    to[slot] = TextView { start: start as u32, len: bytes.len() as u32 };
                }
                _ => unreachable!("a page has its column's kind"),
            }
        }
    }

    /// Ends the open range: all of its columns were copied.
    pub(super) fn end_range(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.row = IS_COPIED);
        self.is_waiting = false;
    }

    /// Sorts the sample by hash and gives up what a segment of so many rows is not worth.
    pub(super) fn close(&mut self, rows_count: u64) -> Result<Closed, AllocError> {
        let count = self.slots.len();
        self.heap.clear();
        self.heap.extend(0..count as u16)?;
        self.heap.sort_unstable_by_key(|slot| self.slots[usize::from(*slot)].hash);
        // Of a full sample the last row is given up: whatever was refused has a greater hash.
        let is_full = count == self.capacity && count > 0;
        let worth = (rows_count / ROWS_FOR_EACH).max(ROWS_WORTH);
        let rows = (count - usize::from(is_full)).min(worth as usize);
        let limit = self.heap.get(rows).map_or(u64::MAX, |slot| self.slots[usize::from(*slot)].hash);
        for place in 0..count {
            // What stood where this one is to stand may have been moved on before.
            let mut from = usize::from(self.heap[place]);
            while from < place {
                from = usize::from(self.heap[from]);
            }
            self.slots.swap(place, from);
            self.columns.iter_mut().for_each(|column| column.swap(place, from));
        }
        Ok(Closed { rows, limit })
    }

    /// The hash of a row's key, and whether it is a tombstone. Ascending after [`Sample::close`].
    pub(super) fn row(&self, row: usize) -> (u64, bool) {
        (self.slots[row].hash, self.slots[row].is_delete)
    }

    /// The first rows of a column, of a sample that was closed.
    pub(super) fn column(&self, column: usize, rows: usize) -> PageValues<'_> {
        let SampleColumn { data, valid, .. } = &self.columns[column];
        PageValues { data, valid: Some(valid), heap: &self.texts, first: 0, rows, longs: &[] }
    }
}

impl SampleColumn<'_> {
    fn swap(&mut self, a: usize, b: usize) {
        self.valid.swap(a, b);
        match &mut self.data {
            Data::Bool(values) => values.swap(a, b),
            Data::I32(values) => values.swap(a, b),
            Data::I64(values) => values.swap(a, b),
            Data::I128(values) => values.swap(a, b),
            Data::F64(values) => values.swap(a, b),
            Data::Text(values) => values.swap(a, b),
        }
    }
}

/// What is kept of the bytes of a value, of one that is long of its first ones: the beginning of a text, without blanks that do not
/// count. Nothing of a value that is more than that and has no beginning.
pub(crate) fn kept_bytes(ty: Type, bytes: &[u8], is_long: bool) -> Option<&[u8]> {
    let beginning = bytes.get(..SAMPLE_TEXT_BYTES).unwrap_or(bytes);
    match ty {
        Type::Text | Type::Json | Type::Jsonb | Type::Unknown => Some(whole_characters(beginning)),
        Type::Char => {
            let text = whole_characters(beginning);
            let blanks = text.iter().rev().take_while(|byte| **byte == b' ').count();
            Some(&text[..text.len() - blanks])
        }
        Type::Bytea => Some(beginning),
        _ => (!is_long && bytes.len() <= SAMPLE_TEXT_BYTES).then_some(bytes),
    }
}

/// A beginning without the character at its end that is not whole.
pub(crate) fn whole_characters(text: &[u8]) -> &[u8] {
    match core::str::from_utf8(text) {
        Ok(_) => text,
        Err(error) => &text[..error.valid_up_to()],
    }
}

const _: () = assert!(cofferdam_types::Decimal::COMPACT_BYTES_MAX <= SAMPLE_TEXT_BYTES);
// What waits of a long text is enough.
const _: () = assert!(super::staging::PREFIX_BYTES >= SAMPLE_TEXT_BYTES);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::ColumnType;
    use cofferdam_arena::Budget;
    use cofferdam_types::Element;

    /// Aim: the sample is the rows with the least hashes, with their values, whatever came in which order. Method: ranges of
    /// rows with random hashes, held against the sorted list.
    #[test]
    fn the_least_hashes_are_chosen() {
        let budget = Budget::unlimited("test").unwrap();
        let columns = [Type::BigInt, Type::Text].map(|ty| ColumnType { ty, is_nullable: true });
        let schema = Schema { columns: &columns, key: &[] };
        for (rows_count, capacity) in
            [(1usize, 64usize), (40, 64), (64, 64), (65, 64), (5000, 64), (50_000, 256)]
        {
            let arena = Arena::new(&budget);
            let mut sample = Sample::new_in(&schema, capacity, &arena).unwrap();
            let hash = |n: usize| (n as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (n as u64) << 7;
            let text = |n: usize| std::format!("{n} é {}", "long enough to be cut, twice".repeat(n % 3));
            for first in (0..rows_count).step_by(1000) {
                let rows = 1000.min(rows_count - first);
                for row in 0..rows {
                    if sample.wants(hash(first + row)) {
                        sample.choose(hash(first + row), row as u16, (first + row) % 9 == 0).unwrap();
                    }
                }
                if !sample.is_waiting() {
                    continue;
                }
                let mut numbers: std::vec::Vec<i64> = (first..first + rows).map(|n| n as i64).collect();
                let valid: std::vec::Vec<bool> = (first..first + rows).map(|n| n % 5 != 0).collect();
                let (mut heap, mut views) = (std::vec::Vec::new(), std::vec::Vec::new());
                for n in first..first + rows {
                    let (start, text) = (heap.len() as u32, text(n));
                    heap.extend_from_slice(text.as_bytes());
                    views.push(TextView { start, len: text.len() as u32 });
                }
                let (numbers, views) = (Data::I64(&mut numbers), Data::Text(&mut views));
                let page = PageValues {
                    data: &numbers,
                    valid: Some(&valid),
                    heap: &heap,
                    first: 0,
                    rows,
                    longs: &[],
                };
                sample.copy(0, &page);
                sample.copy(1, &PageValues { data: &views, valid: None, ..page });
                sample.end_range();
            }
            let mut expected: std::vec::Vec<(u64, usize)> = (0..rows_count).map(|n| (hash(n), n)).collect();
            expected.sort_unstable();
            let closed = sample.close(1 << 20).unwrap();
            let is_whole = rows_count < capacity;
            assert_eq!(closed.rows, if is_whole { rows_count } else { capacity - 1 });
            let limit = if is_whole { u64::MAX } else { expected[closed.rows].0 };
            assert_eq!(closed.limit, limit);
            let (numbers, texts) = (sample.column(0, closed.rows), sample.column(1, closed.rows));
            let (Data::I64(values), Data::Text(views)) = (numbers.data, texts.data) else { panic!() };
            for (row, (hash, n)) in expected[..closed.rows].iter().enumerate() {
                assert_eq!(sample.row(row), (*hash, n % 9 == 0));
                assert_eq!((values[row], numbers.valid.unwrap()[row]), (*n as i64, n % 5 != 0));
                assert!(texts.valid.unwrap()[row]);
                let (text, kept) = (text(*n), views[row].of(texts.heap));
                assert!(text.as_bytes().starts_with(kept) && core::str::from_utf8(kept).is_ok());
                assert_eq!(kept.len() == text.len(), text.len() <= SAMPLE_TEXT_BYTES);
                assert!(kept.len() == text.len() || kept.len() >= WHOLE_TEXT_BYTES);
            }
            // A small segment is worth fewer.
            let closed = sample.close(100).unwrap();
            assert!(closed.rows <= 128 && (closed.limit < u64::MAX || is_whole));
        }
        let arena = Arena::new(&budget);
        let cut = |ty, text: &'static str| kept_bytes(ty, text.as_bytes(), false);
        assert_eq!(cut(Type::Char, "a b   "), Some(&b"a b"[..]));
        assert_eq!(cut(Type::Char, "a b                                 c"), Some(&b"a b"[..]));
        assert_eq!(cut(Type::Numeric, "123"), Some(&b"123"[..]));
        let array = Type::Array(Element::of(Type::Integer).expect("integers are elements"));
        assert_eq!(kept_bytes(array, &[0; 33], false), None);
        assert_eq!(kept_bytes(array, &[0; 32], true), None);
        let mut none = Sample::new_in(&schema, rows_for(&schema, 500).0, &arena).unwrap();
        assert!(!none.wants(0) && none.close(5).unwrap().rows == 0);
    }
}
