//! Sorting, and the first N rows of an order.
//!
//! A kept row is its key in bytes whose order is the order of the rows, then the row:
//!
//! ```text
//! | bytes of the key, 4 | key | row |      key, per column: | NULL or not, 1 | value, inverted if descending |
//!
//! value: integers big-endian with the sign flipped, doubles likewise, text up to a terminator
//! ```
//!
//! so that comparing two rows is comparing bytes, most often the first eight, which stand beside the row's place in
//! the array that is sorted. Rows with equal keys keep the order they came in.
//!
//! With a limit, rows that come behind the N-th best so far are not kept, and when twice N are there the worse half is
//! dropped: the survivors move to a second set of blocks, and the first is used again.
//!
//! Many rows are sorted piece by piece, and the sink comes back to the loop of the pipeline after each, so that a
//! statement can be cancelled meanwhile: the median parts a range into halves until they are small.
//!
//! **Peak bytes**: the kept rows and 16 for each; with a limit N, three times N rows at most.
//!
//! **Ladder**: in memory, then the typed error.

use core::cmp::Ordering;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, BudgetAlloc, Growing};
use cofferdam_plan::physical::{OperatorId, SortKey};
use cofferdam_types::Type;

use super::State;
use crate::batch::{BatchRows, Data, Store, VectorId, unpack_interval};
use crate::error::Error;
use crate::pipeline::{Context, Opening, Output};
use crate::rows::{RowBlocks, RowEncoder, RowLayout, RowRef};

const KEY_LENGTH_BYTES: usize = 4;
/// Rows that a limit may leave waiting before they are thinned out.
const SLACK_ROWS: usize = 1024;

/// Rows that are sorted in one go: a small part of a second.
const PIECE_ROWS: usize = 1 << 18;

/// A kept row in the array that is sorted: the first bytes of its key, and where it stands.
type Entry = [u64; 2];

fn entry(prefix: u64, row: RowRef) -> Entry {
    [prefix, row.to_bits()]
}

fn row_of(entry: &Entry) -> RowRef {
    RowRef::from_bits(entry[1])
}

/// Rows that are kept, and at last in order.
#[derive(Debug)]
pub(crate) struct Sorted {
    limit: Option<usize>,
    rows: RowBlocks,
    rows_count: usize,
    /// Where survivors go when a limit thins out the rows.
    spare_rows: RowBlocks,
    /// With a limit the rows that are kept now; without, filled when all rows are there.
    entries: Growing<Entry>,
    /// The N-th best row at the last thinning.
    threshold: Option<RowRef>,
    /// The ranges of entries that are not in order, each within itself; all others are where they belong.
    ranges: Growing<[u64; 2]>,
}

impl Sorted {
    fn of(state: &mut State) -> &mut Sorted {
        let State::Sorted(sorted) = state else { unreachable!("the sink of the sort made it") };
        sorted
    }

    fn keep(&mut self, key: &[u8], row: &[u8]) -> Result<(), AllocError> {
        if self.threshold.is_some_and(|worst| *key >= *key_of(self.rows.get(worst))) {
            return Ok(());
        }
        let length = (key.len() as u32).to_le_bytes();
        let row = self.rows.push(&[&length, key, row])?;
        self.rows_count += 1;
        if let Some(limit) = self.limit {
            self.entries.push(entry(prefix_of(key), row))?;
            if self.entries.len() >= limit.saturating_mul(2).max(limit.saturating_add(SLACK_ROWS)) {
                self.thin_out(limit)?;
            }
        }
        Ok(())
    }

    /// Keeps the first `limit` rows and drops the others.
    fn thin_out(&mut self, limit: usize) -> Result<(), AllocError> {
        self.spare_rows.clear();
        if limit == 0 {
            self.entries.clear();
            self.rows.clear();
            return Ok(());
        }
        let rows = &self.rows;
        self.entries.select_nth_unstable_by(limit - 1, |a, b| compare(rows, a, b));
        let worst = self.entries[limit - 1][1];
        self.entries.truncate(limit);
        // In the order they came, so that the new places have that order too.
        self.entries.sort_unstable_by_key(|entry| entry[1]);
        for entry in self.entries.iter_mut() {
            let is_worst = entry[1] == worst;
            let row = self.spare_rows.push(&[self.rows.get(row_of(entry))])?;
            entry[1] = row.to_bits();
            if is_worst {
                self.threshold = Some(row);
            }
        }
        core::mem::swap(&mut self.rows, &mut self.spare_rows);
        Ok(())
    }

    /// Makes the entries of all rows, and one range of them that is to be sorted.
    fn collect(&mut self) -> Result<(), AllocError> {
        if self.limit.is_none() {
            // The number is known now, so the array is made once.
            self.entries.reserve(self.rows_count)?;
            let mut place = RowRef::default();
            while let Some((row, next)) = self.rows.next(place) {
                self.entries.push(entry(prefix_of(key_of(self.rows.get(row))), row))?;
                place = next;
            }
        }
        self.ranges.push([0, self.entries.len() as u64])
    }

    /// Sorts one range, or parts it into two; whether all are sorted.
    fn sort_on(&mut self) -> Result<bool, AllocError> {
        let rows = &self.rows;
        let [start, end] = self.ranges.pop().unwrap_or_default().map(|end| end as usize);
        let range = &mut self.entries[start..end];
        if range.len() <= PIECE_ROWS {
            range.sort_unstable_by(|a, b| compare(rows, a, b));
        } else {
            let middle = range.len() / 2;
            range.select_nth_unstable_by(middle, |a, b| compare(rows, a, b));
            let middle = (start + middle) as u64;
            self.ranges.push([middle, end as u64])?;
            self.ranges.push([start as u64, middle])?;
        }
        if !self.ranges.is_empty() {
            return Ok(false);
        }
        self.entries.truncate(self.limit.unwrap_or(usize::MAX));
        Ok(true)
    }
}

/// Keeps rows and orders them.
#[derive(Debug)]
pub(crate) struct SortSink<'a> {
    id: OperatorId,
    input_columns: &'a [VectorId],
    keys: &'a [SortKey],
    /// The type of each key.
    types: &'a [Type],
    layout: RowLayout<'a>,
    encoder: RowEncoder<'a>,
    key: Vec<'a, u8>,
    is_collected: bool,
}

impl<'a> SortSink<'a> {
    pub(crate) fn open(
        input: OperatorId,
        keys: &'a [SortKey],
        limit: Option<u64>,
        opening: &Opening<'_, 'a>,
        store: &Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<SortSink<'a>, Error<'a>> {
        let arena = opening.arena;
        let input_columns = opening.columns_of(input);
        let columns = opening.operator().columns;
        let types = arena.alloc_slice_from_iter(keys.iter().map(|key| columns[key.column as usize].ty))?;
        let layout = RowLayout::new(input_columns.iter().map(|&id| store.vector(id).kind()), arena)?;
        let (budget, pieces) = (opening.budget(), BudgetAlloc::new(opening.budget()));
        *cx.state(opening.id) = State::Sorted(Sorted {
            limit: limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
            rows: RowBlocks::new(&pieces),
            rows_count: 0,
            spare_rows: RowBlocks::new(&pieces),
            entries: Growing::new(budget),
            threshold: None,
            ranges: Growing::new(budget),
        });
        Ok(SortSink {
            id: opening.id,
            input_columns,
            keys,
            types,
            layout,
            encoder: RowEncoder::new(arena),
            key: Vec::new_in(arena),
            is_collected: false,
        })
    }

    /// Keeps the rows of a batch, or those that may be among the first N.
    pub(crate) fn take(
        &mut self,
        batch: BatchRows,
        store: &Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<(), Error<'a>> {
        let sorted = Sorted::of(cx.state(self.id));
        let rows = store.rows(batch);
        self.encoder.encode(&self.layout, self.input_columns, rows, store)?;
        for i in 0..rows.len() {
            self.encode_key(rows.nth(i), store)?;
            sorted.keep(&self.key, self.encoder.row(i))?;
        }
        Ok(())
    }

    pub(crate) fn finish(&mut self, cx: &mut Context<'_>) -> Result<bool, Error<'a>> {
        let sorted = Sorted::of(cx.state(self.id));
        if !self.is_collected {
            sorted.collect()?;
            self.is_collected = true;
        }
        Ok(sorted.sort_on()?)
    }

    /// Writes the key of a row.
    fn encode_key(&mut self, row: usize, store: &Store<'_>) -> Result<(), AllocError> {
        self.key.clear();
        for (key, &ty) in self.keys.iter().zip(self.types) {
            let vector = store.vector(self.input_columns[key.column as usize]);
            if !vector.is_valid(row) {
                self.key.push(if key.nulls_first { 0 } else { 2 })?;
                continue;
            }
            self.key.push(1)?;
            let start = self.key.len();
            let at = vector.at(row);
            match &vector.data {
                Data::Bool(values) => self.key.push(u8::from(values[at]))?,
                Data::I32(values) => self.key.extend_from_slice(&(values[at] ^ i32::MIN).to_be_bytes())?,
                Data::I64(values) => self.key.extend_from_slice(&(values[at] ^ i64::MIN).to_be_bytes())?,
                Data::I128(values) => {
                    let value = match ty {
                        Type::Interval => unpack_interval(values[at]).comparable_micros(),
                        _ => values[at],
                    };
                    self.key.extend_from_slice(&(value ^ i128::MIN).to_be_bytes())?;
                }
                Data::F64(values) => self.key.extend_from_slice(&double_key(values[at]).to_be_bytes())?,
                Data::Text(views) => encode_text(views[at].of(store.heap(vector.heap)), &mut self.key)?,
            }
            if key.descending {
                for byte in &mut self.key[start..] {
                    *byte = !*byte;
                }
            }
        }
        Ok(())
    }
}

/// Hands out rows in order.
#[derive(Debug)]
pub(crate) struct SortedSource<'a> {
    id: OperatorId,
    layout: RowLayout<'a>,
    output: &'a [VectorId],
    /// The first entry that is not handed out.
    next: usize,
}

impl<'a> SortedSource<'a> {
    pub(crate) fn open(
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
    ) -> Result<(SortedSource<'a>, &'a [VectorId]), Error<'a>> {
        let output = opening.add_columns(store)?;
        let layout = RowLayout::new(opening.kinds_of(opening.id), opening.arena)?;
        Ok((SortedSource { id: opening.id, layout, output, next: 0 }, output))
    }

    pub(crate) fn next(&mut self, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<Output, Error<'a>> {
        let sorted = Sorted::of(cx.state(self.id));
        let first = self.next;
        let count = store.capacity.min(sorted.entries.len() - first);
        self.next = first + count;
        if count == 0 {
            return Ok(Output::End);
        }
        let rows = sorted.entries[first..first + count].iter().map(|entry| {
            let row = sorted.rows.get(row_of(entry));
            &row[row_start(row)..]
        });
        for (index, &target) in self.output.iter().enumerate() {
            self.layout.decode(index, rows.clone(), target, store)?;
        }
        Ok(Output::Batch(BatchRows::all(count)))
    }
}

/// Text and two zero bytes; a zero inside is followed by 255, which sorts it behind the end.
fn encode_text(text: &[u8], key: &mut Vec<'_, u8>) -> Result<(), AllocError> {
    let mut rest = text;
    while let Some(zero) = memchr::memchr(0, rest) {
        key.extend_from_slice(&rest[..=zero])?;
        key.push(u8::MAX)?;
        rest = &rest[zero + 1..];
    }
    key.extend_from_slice(rest)?;
    key.extend_from_slice(&[0, 0])
}

/// An integer whose order is the order of doubles: both zeros are one, NaN is the greatest.
fn double_key(value: f64) -> u64 {
    let bits = if value.is_nan() { f64::NAN.to_bits() & i64::MAX as u64 } else { (value + 0.0).to_bits() };
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

fn prefix_of(key: &[u8]) -> u64 {
    let mut prefix = [0; 8];
    let len = key.len().min(8);
    prefix[..len].copy_from_slice(&key[..len]);
    u64::from_be_bytes(prefix)
}

#[inline]
fn compare(rows: &RowBlocks, a: &Entry, b: &Entry) -> Ordering {
    let by_prefix = a[0].cmp(&b[0]);
    by_prefix
        .then_with(|| key_of(rows.get(row_of(a))).cmp(key_of(rows.get(row_of(b)))))
        .then_with(|| a[1].cmp(&b[1]))
}

fn key_of(row: &[u8]) -> &[u8] {
    &row[KEY_LENGTH_BYTES..row_start(row)]
}

/// Where the row begins behind its key.
fn row_start(row: &[u8]) -> usize {
    let mut length = [0; KEY_LENGTH_BYTES];
    length.copy_from_slice(&row[..KEY_LENGTH_BYTES]);
    KEY_LENGTH_BYTES + u32::from_le_bytes(length) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn double_keys_have_the_order_of_doubles(a in any::<f64>(), b in any::<f64>()) {
            if let Some(order) = a.partial_cmp(&b) {
                prop_assert_eq!(double_key(a).cmp(&double_key(b)), order);
            }
        }
    }

    #[test]
    fn zeros_are_equal_and_nan_is_greatest() {
        assert_eq!(double_key(0.0), double_key(-0.0));
        assert!(double_key(f64::NAN) > double_key(f64::INFINITY));
        assert_eq!(double_key(f64::NAN), double_key(-f64::NAN));
    }
}
