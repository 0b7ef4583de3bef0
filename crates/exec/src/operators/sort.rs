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
//! Many rows are sorted piece by piece, and the operator comes back to the loop of `execution` after each, so that a
//! statement can be cancelled meanwhile: the median parts a range into halves until they are small.
//!
//! **Peak bytes**: the kept rows and 16 for each; with a limit N, three times N rows at most.
//!
//! **Ladder**: in memory, then the typed error.

use core::cmp::Ordering;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_plan::expr::Column;
use cofferdam_plan::physical::{OperatorId, SortKey};
use cofferdam_types::Type;

use super::{Event, Step};
use crate::batch::{BatchRows, Data, Store, VectorId, unpack_interval};
use crate::error::Error;
use crate::rows::{RowBlocks, RowEncoder, RowLayout, RowRef};

const KEY_LENGTH_BYTES: usize = 4;
/// Rows that a limit may leave waiting before they are thinned out.
const SLACK_ROWS: usize = 1024;

/// Rows that are sorted in one go: a small part of a second.
const PIECE_ROWS: usize = 1 << 18;

/// A kept row in the array that is sorted.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// The first bytes of the key.
    prefix: u64,
    row: RowRef,
}

/// Orders rows.
#[derive(Debug)]
pub(crate) struct Sort<'a> {
    input: OperatorId,
    input_columns: &'a [VectorId],
    keys: &'a [SortKey],
    /// The type of each key.
    types: &'a [Type],
    limit: Option<usize>,
    layout: RowLayout<'a>,
    encoder: RowEncoder<'a>,
    key: Vec<'a, u8>,
    rows: RowBlocks<'a>,
    rows_count: usize,
    /// Where survivors go when a limit thins out the rows.
    spare_rows: RowBlocks<'a>,
    /// With a limit the rows that are kept now; without, filled when all rows are there.
    entries: Vec<'a, Entry>,
    /// The N-th best row at the last thinning.
    threshold: Option<RowRef>,
    output: &'a [VectorId],
    /// The ranges of entries that are not in order, each within itself; all others are where they belong.
    ranges: Vec<'a, (usize, usize)>,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Keeps what the input gives.
    Keeping,
    /// All rows are kept, and ranges of them wait.
    Sorting,
    /// Hands out the rows from this entry on.
    HandingOut { next: usize },
}

impl<'a> Sort<'a> {
    pub(crate) fn open(
        input: OperatorId,
        keys: &'a [SortKey],
        limit: Option<u64>,
        input_columns: &'a [VectorId],
        columns: &[Column<'a>],
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<(Sort<'a>, &'a [VectorId]), Error<'a>> {
        let output = arena.alloc_slice_fill(input_columns.len(), VectorId(0))?;
        for (target, &source) in output.iter_mut().zip(input_columns) {
            *target = store.add_vector(store.vector(source).kind(), arena)?;
        }
        let output = &*output;
        let types = arena.alloc_slice_from_iter(keys.iter().map(|key| columns[key.column as usize].ty))?;
        let layout = RowLayout::new(output.iter().map(|&id| store.vector(id).kind()), arena)?;
        let sort = Sort {
            input,
            input_columns,
            keys,
            types,
            limit: limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
            layout,
            encoder: RowEncoder::new(arena),
            key: Vec::new_in(arena),
            rows: RowBlocks::new(arena),
            rows_count: 0,
            spare_rows: RowBlocks::new(arena),
            entries: Vec::new_in(arena),
            threshold: None,
            output,
            ranges: Vec::new_in(arena),
            state: State::Keeping,
        };
        Ok((sort, output))
    }

    pub(crate) fn resume(&mut self, event: Event, store: &mut Store<'a>) -> Result<Step, Error<'a>> {
        match (event, self.state) {
            (Event::Pull, State::Keeping) if self.limit == Some(0) => Ok(Step::End),
            (Event::Pull, State::Keeping) => Ok(Step::Pull(self.input)),
            (Event::Batch(batch), _) => {
                self.keep(batch, store)?;
                Ok(Step::Pull(self.input))
            }
            (Event::End, _) => {
                self.collect()?;
                self.sort_on(store)
            }
            (Event::Pull, State::Sorting) => self.sort_on(store),
            (Event::Pull, State::HandingOut { next }) => self.hand_out(next, store),
        }
    }

    /// Keeps the rows of a batch, or those that may be among the first N.
    fn keep(&mut self, batch: BatchRows, store: &Store<'a>) -> Result<(), Error<'a>> {
        let rows = store.rows(batch);
        self.encoder.encode(&self.layout, self.input_columns, rows, store)?;
        for i in 0..rows.len() {
            self.encode_key(rows.nth(i), store)?;
            if self.threshold.is_some_and(|worst| *self.key >= *key_of(self.rows.get(worst))) {
                continue;
            }
            let length = (self.key.len() as u32).to_le_bytes();
            let row = self.rows.push(&[&length, &self.key, self.encoder.row(i)])?;
            self.rows_count += 1;
            if let Some(limit) = self.limit {
                self.entries.push(Entry { prefix: prefix_of(&self.key), row })?;
                if self.entries.len() >= limit.saturating_mul(2).max(limit.saturating_add(SLACK_ROWS)) {
                    self.thin_out(limit)?;
                }
            }
        }
        Ok(())
    }

    /// Keeps the first `limit` rows and drops the others.
    fn thin_out(&mut self, limit: usize) -> Result<(), AllocError> {
        let rows = &self.rows;
        self.entries.select_nth_unstable_by(limit - 1, |a, b| compare(rows, a, b));
        let worst = self.entries[limit - 1].row;
        self.entries.truncate(limit);
        // In the order they came, so that the new places have that order too.
        self.entries.sort_unstable_by_key(|entry| entry.row);
        self.spare_rows.clear();
        for entry in self.entries.iter_mut() {
            let is_worst = entry.row == worst;
            entry.row = self.spare_rows.push(&[self.rows.get(entry.row)])?;
            if is_worst {
                self.threshold = Some(entry.row);
            }
        }
        core::mem::swap(&mut self.rows, &mut self.spare_rows);
        Ok(())
    }

    /// Makes the entries of all rows, and one range of them that is to be sorted.
    fn collect(&mut self) -> Result<(), AllocError> {
        if self.limit.is_none() {
            // The number is known now, so the array is made once and leaves nothing behind.
            self.entries.reserve_exact(self.rows_count)?;
            let mut place = RowRef::default();
            while let Some((row, next)) = self.rows.next(place) {
                self.entries.push(Entry { prefix: prefix_of(key_of(self.rows.get(row))), row })?;
                place = next;
            }
        }
        // Each halving leaves one range waiting.
        let halvings = (self.entries.len() / PIECE_ROWS).checked_ilog2().map_or(0, |log| log as usize + 1);
        self.ranges.reserve_exact(halvings + 1)?;
        self.ranges.push((0, self.entries.len()))?;
        self.state = State::Sorting;
        Ok(())
    }

    /// Sorts one range, or parts it into two.
    fn sort_on(&mut self, store: &mut Store<'a>) -> Result<Step, Error<'a>> {
        let rows = &self.rows;
        let (start, end) = self.ranges.pop().unwrap_or_default();
        let range = &mut self.entries[start..end];
        if range.len() <= PIECE_ROWS {
            range.sort_unstable_by(|a, b| compare(rows, a, b));
        } else {
            let middle = range.len() / 2;
            range.select_nth_unstable_by(middle, |a, b| compare(rows, a, b));
            self.ranges.push((start + middle, end))?;
            self.ranges.push((start, start + middle))?;
        }
        if !self.ranges.is_empty() {
            return Ok(Step::Again);
        }
        if let Some(limit) = self.limit {
            self.entries.truncate(limit);
        }
        self.hand_out(0, store)
    }

    fn hand_out(&mut self, first: usize, store: &mut Store<'a>) -> Result<Step, Error<'a>> {
        let count = store.capacity.min(self.entries.len() - first);
        self.state = State::HandingOut { next: first + count };
        if count == 0 {
            return Ok(Step::End);
        }
        let rows = self.entries[first..first + count].iter().map(|entry| {
            let row = self.rows.get(entry.row);
            &row[row_start(row)..]
        });
        for (index, &target) in self.output.iter().enumerate() {
            self.layout.decode(index, rows.clone(), target, store)?;
        }
        Ok(Step::Emit(BatchRows::all(count)))
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
fn compare(rows: &RowBlocks<'_>, a: &Entry, b: &Entry) -> Ordering {
    let by_prefix = a.prefix.cmp(&b.prefix);
    by_prefix
        .then_with(|| key_of(rows.get(a.row)).cmp(key_of(rows.get(b.row))))
        .then_with(|| a.row.cmp(&b.row))
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
