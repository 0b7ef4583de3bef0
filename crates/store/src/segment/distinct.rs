//! How many distinct values a column has, about.
//!
//! # Source
//! P. Flajolet, E. Fusy, O. Gandouet, F. Meunier: HyperLogLog, AofA 2007, figure 3, with its correction for few values
//! (linear counting). Hashes have 64 bits, so that for many values needs none. With m registers the estimate is off by
//! about 1.04 / sqrt(m): 13 % for 64, 6.5 % for 256.

use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::column::{Data, Kind};

use super::filter::hash_key;
use crate::page::PageValues;

/// The registers of one column.
pub(super) const REGISTERS_MIN: usize = 64;
/// As many as are worth their memory.
pub(crate) const REGISTERS_MAX: usize = 256;

/// What was seen of the values of a segment's columns: for each column, so many registers of a byte.
#[derive(Debug)]
pub(super) struct Sketches<'a> {
    registers: &'a mut [u8],
    registers_count: usize,
}

impl<'a> Sketches<'a> {
    /// Sketches of so many columns with `registers_count` registers each, a power of two; 0 for none at all.
    pub(super) fn new_in(
        columns: usize,
        registers_count: usize,
        arena: &'a Arena,
    ) -> Result<Sketches<'a>, AllocError> {
        let registers = arena.alloc_slice_fill(columns * registers_count, 0)?;
        Ok(Sketches { registers, registers_count })
    }

    /// Adds the values of a page.
    pub(super) fn add(&mut self, column: usize, values: &PageValues<'_>) {
        let count = self.registers_count;
        let Some(registers) = self.registers.get_mut(column * count..(column + 1) * count) else { return };
        if registers.is_empty() {
            return;
        }
        let rows = values.first..values.first + values.rows;
        let is_valid = |row: usize| values.valid.is_none_or(|valid| valid[row]);
        let mut add = |row: usize, hash: u64| {
            if is_valid(row) {
                note(registers, hash);
            }
        };
        match values.data {
            Data::Bool(v) => rows.for_each(|row| add(row, mix(v[row].into()))),
            Data::I32(v) => rows.for_each(|row| add(row, mix(v[row] as u64))),
            Data::I64(v) => rows.for_each(|row| add(row, mix(v[row] as u64))),
            Data::I128(v) => rows.for_each(|row| add(row, hash_wide(v[row]))),
            Data::F64(v) => rows.for_each(|row| add(row, mix(v[row].to_bits()))),
            Data::Text(v) => rows.for_each(|row| add(row, hash_key(v[row].of(values.heap)))),
        }
    }

    /// The estimate for a column with so many values; 0 where nothing was counted.
    pub(super) fn estimate(&self, column: usize, values_count: u64) -> u64 {
        let registers = self.of(column);
        if registers.is_empty() || values_count == 0 {
            return 0;
        }
        (estimate(registers).round() as u64).clamp(1, values_count)
    }

    /// The registers of a column; none where nothing was counted.
    pub(super) fn of(&self, column: usize) -> &[u8] {
        let count = self.registers_count;
        self.registers.get(column * count..(column + 1) * count).unwrap_or(&[])
    }
}

/// How many distinct values some registers have seen.
pub(crate) fn estimate(registers: &[u8]) -> f64 {
    let m = registers.len() as f64;
    let alpha = 0.7213 / (1.0 + 1.079 / m);
    let sum: f64 = registers.iter().map(|register| (-f64::from(*register)).exp2()).sum();
    let raw = alpha * m * m / sum;
    let empty = registers.iter().filter(|register| **register == 0).count() as f64;
    if raw <= 2.5 * m && empty > 0.0 { m * (m / empty).ln() } else { raw }
}

/// Registers of the values that two sets of them have seen, into the first one, which has no more than the second. Both
/// have powers of two: a register of the smaller one stands for those whose numbers end alike.
pub(crate) fn merge(registers: &mut [u8], others: &[u8]) {
    debug_assert!(registers.len().is_power_of_two() && others.len().is_multiple_of(registers.len()));
    for some in others.chunks(registers.len()) {
        registers.iter_mut().zip(some).for_each(|(register, other)| *register = (*other).max(*register));
    }
}

/// Notes a value by its bytes, as [`Sketches::add`] does: of a text these, of any other the number that it is.
pub(crate) fn note_value(registers: &mut [u8], kind: Kind, number: i128, text: &[u8]) {
    let hash = match kind {
        Kind::Text => hash_key(text),
        Kind::I128 => hash_wide(number),
        _ => mix(number as u64),
    };
    note(registers, hash);
}

fn hash_wide(value: i128) -> u64 {
    mix(value as u64 ^ mix((value >> 64) as u64))
}

/// Spreads a value over all bits of a hash.
///
/// # Source
/// The finalizer of splitmix64: Steele, Lea, Flood, OOPSLA 2014.
#[inline]
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[inline]
fn note(registers: &mut [u8], hash: u64) {
    // The low bits choose the register, the high ones tell how rare the hash is.
    let index = hash as usize & (registers.len() - 1);
    let rank = hash.leading_zeros() as u8 + 1;
    let register = &mut registers[index];
    *register = rank.max(*register);
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_arena::Budget;

    #[test]
    fn estimates_are_near() {
        let budget = Budget::unlimited("test").unwrap();
        let arena = Arena::new(&budget);
        for (registers, tolerance) in [(REGISTERS_MIN, 0.45), (REGISTERS_MAX, 0.2)] {
            for distinct in [1i64, 2, 10, 100, 1000, 20_000] {
                let mut sketches = Sketches::new_in(2, registers, &arena).unwrap();
                let mut values: Vec<i64> = (0..40_000).map(|i| i % distinct * 1000).collect();
                let data = Data::I64(&mut values);
                let valid: Vec<bool> = (0..40_000).map(|i| i < 39_999).collect();
                let page = PageValues {
                    data: &data,
                    valid: Some(&valid),
                    heap: &[],
                    first: 0,
                    rows: 40_000,
                    longs: &[],
                };
                sketches.add(1, &page);
                let estimate = sketches.estimate(1, 39_999);
                let error = (estimate as f64 / distinct as f64 - 1.0).abs();
                assert!(error <= tolerance, "{estimate} for {distinct} with {registers} registers");
                assert_eq!(sketches.estimate(0, 0), 0);
            }
        }
        assert_eq!(Sketches::new_in(3, 0, &arena).unwrap().estimate(1, 10), 0);
    }

    /// Aim: registers that were merged are those of all values. Method: two halves that overlap, with as many registers and with
    /// fewer; and values that are noted one by one.
    #[test]
    fn registers_are_merged() {
        let budget = Budget::unlimited("test").unwrap();
        let arena = Arena::new(&budget);
        let sketch = |registers: usize, values: core::ops::Range<i64>| {
            let mut sketches = Sketches::new_in(1, registers, &arena).unwrap();
            let mut values: Vec<i64> = values.map(|value| value * 7).collect();
            let rows = values.len();
            let data = Data::I64(&mut values);
            sketches.add(0, &PageValues { data: &data, valid: None, heap: &[], first: 0, rows, longs: &[] });
            sketches.of(0).to_vec()
        };
        for (first, second) in [(256, 256), (64, 256), (64, 64)] {
            let mut merged = sketch(first, 0..3000);
            merge(&mut merged, &sketch(second, 2000..5000));
            assert_eq!(merged, sketch(first, 0..5000), "{first}, {second}");
        }
        let mut noted = [0; 64];
        (0..3000).for_each(|value| note_value(&mut noted, Kind::I64, value * 7, &[]));
        assert_eq!(noted[..], sketch(64, 0..3000));
    }
}
