//! Shares held against what columns of known values have.

use super::*;
use Bound::{Excluded, Included, Unbounded};
use std::vec::Vec;

const ROWS: f64 = 1e6;

fn near(share: f64, expected: f64, tolerance: f64) {
    assert!((share - expected).abs() <= tolerance, "{share}, not about {expected}");
}

/// Numbers from 0 to 1000, spread evenly, a tenth NULL.
fn even<'b>(bounds: &'b [Value<'b>]) -> ColumnStatistics<'b> {
    ColumnStatistics {
        null_fraction: 0.1,
        distinct: 1001.0,
        average_bytes: 4.0,
        min: bounds.first().copied(),
        max: bounds.last().copied(),
        common: &[],
        histogram: bounds,
    }
}

fn hundreds() -> Vec<Value<'static>> {
    (0..=10).map(|n| Value::Integer(n * 100)).collect()
}

#[test]
fn ranges_are_read_off_the_histogram() {
    let bounds = hundreds();
    let column = even(&bounds);
    let value = Value::Integer;
    let share = |lower: Bound<Value<'_>>, upper: Bound<Value<'_>>| {
        range(&column, ROWS, lower.as_ref(), upper.as_ref())
    };
    near(share(Unbounded, Unbounded), 0.9, 1e-9);
    near(share(Unbounded, Excluded(value(500))), 0.45, 1e-3);
    near(share(Included(value(250)), Included(value(350))), 0.09, 2e-3);
    near(share(Excluded(value(999)), Unbounded), 0.0009, 2e-3);
    near(share(Excluded(value(1000)), Unbounded), 1.0 / ROWS, 1e-9);
    near(share(Included(value(7)), Excluded(value(3))), 1.0 / ROWS, 1e-9);
    assert_eq!(share(Included(Value::Null), Unbounded), 0.0);
    // Other types of numbers are compared as numbers.
    near(share(Unbounded, Excluded(Value::Double(500.0))), 0.45, 1e-3);
    // Without a histogram, between the bounds; without these, a guess.
    let bare = ColumnStatistics { histogram: &[], ..column };
    near(range(&bare, ROWS, Unbounded, Excluded(&value(250))), 0.225, 1e-3);
    let nothing = ColumnStatistics::UNKNOWN;
    near(range(&nothing, ROWS, Unbounded, Excluded(&value(250))), INEQUALITY, 1e-9);
    near(range(&nothing, ROWS, Included(&value(1)), Excluded(&value(250))), RANGE, 1e-9);
    near(range_unknown(&column, false), 0.3, 1e-9);
}

/// Aim: the share that a range is said to keep is the one that it keeps. Method: numbers that grow by squares, with their exact
/// bounds; every range of some values.
#[test]
fn ranges_of_uneven_values_are_near() {
    let values: Vec<i64> = (0..2000i64).map(|n| n * n).collect();
    let bounds: Vec<Value<'_>> = (0..33).map(|n| Value::BigInt(values[n * 1999 / 32])).collect();
    let column = ColumnStatistics { null_fraction: 0.0, distinct: 2000.0, ..even(&bounds) };
    for low in (0..2000).step_by(61) {
        for high in (low..2000).step_by(73) {
            let (from, to) = (Value::BigInt(values[low]), Value::BigInt(values[high]));
            let share = range(&column, 2000.0, Included(&from), Excluded(&to));
            near(share, (high - low) as f64 / 2000.0, 0.012);
        }
    }
}

#[test]
fn a_bound_that_stands_in_several_buckets_counts_for_all_of_them() {
    let bounds: Vec<Value<'_>> = [0, 5, 5, 5, 10].map(Value::Integer).into();
    let column = ColumnStatistics { null_fraction: 0.0, distinct: 11.0, ..even(&bounds) };
    near(range(&column, ROWS, Included(&Value::Integer(5)), Included(&Value::Integer(5))), 0.5, 0.1);
    near(range(&column, ROWS, Unbounded, Excluded(&Value::Integer(5))), 0.25, 1e-9);
    near(range(&column, ROWS, Excluded(&Value::Integer(5)), Unbounded), 0.25, 1e-9);
}

#[test]
fn equal_values_are_common_or_share_the_rest() {
    let common = [(Value::Text("AIR"), 0.4), (Value::Text("MAIL"), 0.2)];
    let column = ColumnStatistics {
        null_fraction: 0.1,
        distinct: 5.0,
        common: &common,
        min: Some(Value::Text("AIR")),
        max: Some(Value::Text("TRUCK")),
        ..ColumnStatistics::UNKNOWN
    };
    let text = |text: &'static str| equal(&column, ROWS, Some(&Value::Text(text)));
    near(text("AIR"), 0.4, 1e-9);
    near(text("SHIP"), 0.1, 1e-9);
    near(text("A"), 1.0 / ROWS, 1e-12);
    near(equal(&column, ROWS, None), 0.18, 1e-9);
    assert_eq!(equal(&column, ROWS, Some(&Value::Null)), 0.0);
    near(not_equal(&column, ROWS, Some(&Value::Text("AIR"))), 0.5, 1e-9);
    assert_eq!(not_equal(&column, ROWS, Some(&Value::Null)), 0.0);
    let listed = [Value::Text("AIR"), Value::Text("SHIP")];
    near(in_list(&column, ROWS, listed.iter().map(Some)), 0.5, 1e-9);
    near(in_list(&column, ROWS, [Some(&listed[0]); 4]), 0.9, 1e-9);
    near(is_null(&column), 0.1, 1e-9);
    near(is_not_null(&column), 0.9, 1e-9);
    // Where all values are known, others are hardly there; and what is not common is rarer than what is.
    let all = ColumnStatistics { distinct: 2.0, null_fraction: 0.4, ..column };
    near(equal(&all, ROWS, Some(&Value::Text("SHIP"))), 0.0, 1e-5);
    let few = ColumnStatistics { distinct: 3.0, null_fraction: 0.0, ..column };
    near(equal(&few, ROWS, Some(&Value::Text("SHIP"))), 0.2, 1e-9);
    near(equal(&ColumnStatistics::UNKNOWN, ROWS, Some(&Value::Integer(1))), EQUAL, 1e-9);
}

#[test]
fn patterns_go_by_their_beginnings_and_common_values() {
    let bounds: Vec<Value<'_>> =
        ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"].map(Value::Text).into();
    let column = ColumnStatistics { null_fraction: 0.0, distinct: 500.0, ..even(&bounds) };
    near(like(&column, ROWS, "c%", Some('\\')), 0.1, 0.01);
    near(like(&column, ROWS, "c%x%", Some('\\')), 0.05, 0.01);
    near(like(&column, ROWS, "%", Some('\\')), 1.0, 1e-9);
    near(like(&column, ROWS, "%special%requests%", Some('\\')), 0.0025, 1e-6);
    near(like(&column, ROWS, "z%", Some('\\')), 0.0, 1e-5);
    near(like(&column, ROWS, "c", Some('\\')), 1.0 / 500.0, 1e-9);
    near(not_like(&column, ROWS, "c%", Some('\\')), 0.9, 0.01);
    let common = [(Value::Text("50% off"), 0.3), (Value::Text("500 off"), 0.2)];
    let column = ColumnStatistics { common: &common, distinct: 2.0, ..ColumnStatistics::UNKNOWN };
    let rest = 0.5;
    let share = |pattern| like(&column, ROWS, pattern, Some('\\'));
    assert!((0.3..=0.3 + rest * 0.2).contains(&share("50\\%%")), "{}", share("50\\%%"));
    assert!((0.5..=0.5 + rest * 0.2).contains(&share("50_ o%")), "{}", share("50_ o%"));
    assert!((0.5..=1.0).contains(&share("%off")));
}

#[test]
fn patterns_match_as_they_ought_to() {
    for (text, pattern, expected) in [
        ("", "", true),
        ("", "%", true),
        ("a", "", false),
        ("abc", "a%c", true),
        ("abc", "a_c", true),
        ("abc", "a__c", false),
        ("aXbXbc", "a%bc", true),
        ("aaaab", "%a_b", true),
        ("a%c", "a\\%c", true),
        ("abc", "a\\%c", false),
        ("ünüt", "_n%t", true),
        ("ab", "ab%%", true),
        ("abab", "%ab%ab%ab", false),
    ] {
        assert_eq!(matches_pattern(text, pattern, Some('\\')), expected, "{text} LIKE {pattern}");
    }
    let mut buffer = [0; PREFIX_BYTES];
    assert_eq!(split_prefix("a\\_b%c", Some('\\'), &mut buffer), ("a_b", Some("%c")));
    assert_eq!(split_prefix("plain", Some('\\'), &mut buffer), ("plain", None));
    let long = "é".repeat(50);
    assert_eq!(split_prefix(&long, None, &mut buffer).0.len(), 64);
}

#[test]
fn conditions_that_come_together_are_damped() {
    near(conjunction(&[]), 1.0, 1e-9);
    near(conjunction(&[0.2]), 0.2, 1e-9);
    near(conjunction(&[0.25, 0.01]), 0.01 * 0.5, 1e-9);
    let many = [0.5; 40];
    let share = conjunction(&many);
    assert!((0.2..0.3).contains(&share), "{share}");
    assert_eq!(conjunction(&[0.3, 0.0]), 0.0);
    // The order does not matter, and one more never keeps more.
    near(conjunction(&[0.9, 0.1, 0.5]), conjunction(&[0.5, 0.9, 0.1]), 1e-12);
    assert!(conjunction(&[0.9, 0.1, 0.5, 0.7]) < conjunction(&[0.9, 0.1, 0.5]));
    near(disjunction(0.5, 0.5), 0.75, 1e-9);
}

#[test]
fn joins_go_by_distinct_and_common_values() {
    let bounds = hundreds();
    let key = ColumnStatistics { null_fraction: 0.0, distinct: 1000.0, ..even(&bounds) };
    let foreign = ColumnStatistics { null_fraction: 0.5, distinct: 600.0, ..even(&bounds) };
    // Each row that is not NULL has one key.
    let rows = join_equal((&key, 1000.0), (&foreign, 1e5)) * 1000.0 * 1e5;
    near(rows, 5e4, 1.0);
    near(semi_join((&key, 1000.0), (&foreign, 1e5), 1.0), 0.6, 1e-9);
    near(semi_join((&foreign, 1e5), (&key, 1000.0), 1.0), 0.5, 1e-9);
    near(semi_join((&foreign, 1e5), (&key, 1000.0), 0.06), 0.05, 1e-9);
    // Values that are common in both make many pairs.
    let (many, some) = ([(Value::Integer(1), 0.5)], [(Value::Integer(1), 0.2)]);
    let left = ColumnStatistics { common: &many, ..key };
    let right = ColumnStatistics { common: &some, ..key };
    near(join_equal((&left, 1e4), (&right, 1e4)), 0.1 + 0.4 / 999.0, 1e-6);
    // What does not overlap does not match.
    let above: Vec<Value<'_>> = (0..=10).map(|n| Value::Integer(5000 + n)).collect();
    assert_eq!(join_equal((&key, 1e3), (&even(&above), 1e3)), 1e-6);
    assert_eq!(join_equal((&even(&above), 1e3), (&key, 1e3)), 1e-6);
    near(join_equal((&ColumnStatistics::UNKNOWN, 1e6), (&ColumnStatistics::UNKNOWN, 1e6)), 0.005, 1e-9);
}

#[test]
fn distinct_values_and_groups_are_bounded() {
    near(distinct_left(100.0, 1e6, 0.5), 100.0, 1e-6);
    near(distinct_left(1e6, 1e6, 0.01), 1e4, 1.0);
    near(distinct_left(1000.0, 2000.0, 0.5), 750.0, 1e-6);
    assert_eq!(distinct_left(0.0, 0.0, 1.0), 0.0);
    near(groups([3.0, 2.0], 1e6), 6.0, 1e-9);
    near(groups([1e5, 1e5], 1e6), 1e6, 1e-9);
    near(groups([], 1e6), 1.0, 1e-9);
}

#[test]
fn every_share_is_one() {
    let bounds = hundreds();
    let odd = [Value::Double(f64::NAN), Value::Text(""), Value::Integer(i32::MIN), Value::Null];
    let empty = ColumnStatistics { null_fraction: 1.0, ..ColumnStatistics::UNKNOWN };
    for column in [even(&bounds), ColumnStatistics::UNKNOWN, empty] {
        for value in &odd {
            for share in [
                equal(&column, 0.0, Some(value)),
                not_equal(&column, 0.0, Some(value)),
                range(&column, 0.0, Included(value), Unbounded),
                range(&column, 1e9, Excluded(value), Included(value)),
                like(&column, 0.0, "%", None),
                join_equal((&column, 0.0), (&column, 1e9)),
            ] {
                assert!((0.0..=1.0).contains(&share), "{share} for {value:?} of {column:?}");
            }
        }
    }
}

/// Aim: how much of a column another one can meet, from NULLs to columns of which nothing is known. Method: bounds by hand.
#[test]
fn values_within_others() {
    let (bounds, part) = (hundreds(), [Value::Integer(250), Value::Integer(350)]);
    let (all, few) = (even(&bounds), even(&part));
    near(within(&all, ROWS, &few), 0.1, 1e-2);
    near(within(&few, ROWS, &all), 1.0, 1e-9);
    let above = [Value::Integer(2000), Value::Integer(3000)];
    let texts = [Value::Text("a"), Value::Text("b")];
    for other in [even(&above), even(&texts), ColumnStatistics::UNKNOWN] {
        assert_eq!(within(&all, ROWS, &other), 1.0);
        assert_eq!(within(&other, ROWS, &all), 1.0);
    }
    let nothing = ColumnStatistics { null_fraction: 1.0, ..all };
    assert_eq!(within(&nothing, ROWS, &few), 1.0);
}
