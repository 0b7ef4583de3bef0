//! Series: loops over many values against one value after the other.

use super::super::bytes::Input;
use super::super::index::{Index, IndexPlan, Runs};
use super::super::series::{Plan, SLACK_BYTES, Series};
use super::*;

/// The bytes of a series of values on a line, with so many bits of noise and a common divisor.
fn written(values: &[i64]) -> Vec<u8> {
    let arena = arena();
    let mut bytes = collections::Vec::new_in(&arena);
    Plan::of(values.iter().copied()).write(values.iter().copied(), &mut bytes).unwrap();
    bytes.iter().copied().chain([0xa5; SLACK_BYTES]).collect()
}

/// Reads the values in every way.
fn check_series(values: &[i64], from: usize) {
    let bytes = written(values);
    let series = Series::parse(&mut Input::new(&bytes).unwrap(), values.len()).unwrap();
    for (i, value) in values.iter().enumerate() {
        assert_eq!(series.get(i), *value);
    }
    let rest = values.get(from..).unwrap_or_default();
    let mut wide = vec![0i64; rest.len()];
    series.unpack(from, &mut wide);
    assert_eq!(wide, rest);
    let mut narrow = vec![0i32; rest.len()];
    series.unpack(from, &mut narrow);
    assert_eq!(narrow, rest.iter().map(|value| *value as i32).collect::<Vec<_>>());
    // What is said to be small is the same with 32 bits.
    assert!(!series.is_small(values.len()) || values.iter().all(|value| i32::try_from(*value).is_ok()));
}

/// Noise of so many bits.
fn bits_of_noise(i: usize, bits: u32) -> i64 {
    if bits == 0 { 0 } else { (noise(i) >> (64 - bits)) as i64 }
}

/// Aim: no width is unpacked wrong, nor the values at the end, which are loaded otherwise. Method: each width, from each place in
/// a byte on.
#[test]
fn every_width_is_unpacked() {
    for bits in (0..=64).step_by(if cfg!(miri) { 5 } else { 1 }) {
        // Under Miri it is a look at the loads and stores.
        for from in (0..9).step_by(if cfg!(miri) { 5 } else { 1 }) {
            let values: Vec<i64> = (0..75).map(|i| bits_of_noise(i, bits).wrapping_sub(77)).collect();
            check_series(&values, from);
        }
    }
}

proptest! {
    #![proptest_config(config())]

    /// Aim: every loop over a series gives what single reads give, and that is what was written. Method: widths, slopes and
    /// divisors at random, from any value on, to 64 and to 32 bits.
    #[test]
    fn many_values_are_as_single_ones(
        bits in 0u32..=64,
        base in any::<i64>(),
        slope in prop_oneof![Just(0i64), -3000i64..3000, any::<i64>()],
        mul in prop_oneof![Just(1i64), 2i64..1000],
        count in 0usize..400,
        from in 0usize..40,
    ) {
        let value = |i: usize| slope.wrapping_mul(i as i64).wrapping_add(bits_of_noise(i, bits)).wrapping_mul(mul);
        let values: Vec<i64> = (0..count).map(|i| base.wrapping_add(value(i))).collect();
        check_series(&values, from);
    }

    /// Aim: runs give each row its number, from any row on. Method: runs of random lengths, some of them long.
    #[test]
    fn runs_are_as_single_rows(
        lengths in prop::collection::vec(prop_oneof![4 => 1usize..8, 1 => 1usize..90], 1..200),
        slope in -50i64..50,
        from in 0usize..70,
        some in 0usize..70,
    ) {
        let values: Vec<i64> = lengths
            .iter()
            .enumerate()
            .flat_map(|(run, length)| core::iter::repeat_n(slope * run as i64 + (noise(run) % 7) as i64, *length))
            .take(ROWS_MAX)
            .collect();
        let is_end = |row: &usize| values.get(row - 1) != values.get(*row);
        let ends: Vec<u16> = (1..=values.len()).filter(is_end).map(|row| row as u16).collect();
        let of_ends = |row: &u16| values[usize::from(*row) - 1];
        let plan = IndexPlan::Runs {
            ends: Plan::of(ends.iter().map(|end| i64::from(*end))),
            values: Plan::of(ends.iter().map(of_ends)),
        };
        let arena = arena();
        let mut bytes = collections::Vec::new_in(&arena);
        plan.write(&values, &ends, &mut bytes).unwrap();
        bytes.extend_from_slice(&[0xa5; SLACK_BYTES]).unwrap();
        let runs = Runs::parse(&mut Input::new(&bytes).unwrap()).unwrap();
        prop_assert_eq!(runs.check(values.len()), Ok(()));
        prop_assert!(runs.check(values.len() + 1).is_err());
        let index = Index::Runs(runs);
        for range in [from..values.len(), from..from + some] {
            let Some(expected) = values.get(range) else { continue };
            let mut numbers = vec![0i64; expected.len()];
            index.unpack(from, &mut numbers);
            prop_assert_eq!(&numbers[..], expected);
            let mut numbers = vec![0i32; expected.len()];
            index.unpack(from, &mut numbers);
            prop_assert_eq!(numbers, expected.iter().map(|value| *value as i32).collect::<Vec<_>>());
        }
    }
}
