//! How many rows conditions keep, by what is known of columns.
//!
//! Every function gives a *share* from 0 to 1: of the rows of a table, or of the pairs of rows of two. A row for which a
//! condition is unknown is not kept, so NULLs count for no comparison. Where nothing is known there are guesses, the
//! constants of this file.
//!
//! A column is NULLs, common values with their shares, and the rest: so many distinct values, spread as the bounds of
//! the histogram say.
//!
//! ```text
//!   | NULL | 'AIR' .31 | 'RAIL' .12 |   rest: 5 distinct values, from 'FOB' to 'TRUCK'   |
//!                                       '--b0--'--b1--'--------b2--------'--b3--'
//! ```
//!
//! ```
//! use cofferdam_plan::selectivity;
//! use cofferdam_plan::table::ColumnStatistics;
//! use cofferdam_types::Value;
//!
//! let common = [(Value::Text("AIR"), 0.3)];
//! let mode = ColumnStatistics { distinct: 8.0, common: &common, ..ColumnStatistics::UNKNOWN };
//! assert_eq!(selectivity::equal(&mode, 1e6, Some(&Value::Text("AIR"))), 0.3);
//! assert!((selectivity::equal(&mode, 1e6, Some(&Value::Text("SHIP"))) - 0.1).abs() < 1e-9);
//! ```

#[cfg(test)]
mod tests;

use core::cmp::Ordering;
use core::ops::Bound;

use cofferdam_types::Value;

use crate::table::ColumnStatistics;

/// An equality of which nothing is known.
pub const EQUAL: f64 = 0.005;
/// An inequality, likewise.
pub const INEQUALITY: f64 = 1.0 / 3.0;
/// Two inequalities that make a range, likewise.
pub const RANGE: f64 = 0.05;
/// Distinct values of a column of which nothing is known.
pub const DISTINCT: f64 = 200.0;

/// A run of so many characters anywhere in a text keeps half as many rows for each character, but not less than this.
const RUN_LEAST: f64 = 0.05;
/// Bytes of the beginning of a pattern that are looked at: more than histograms have.
const PREFIX_BYTES: usize = 64;
/// Shares that are multiplied by [`conjunction`]; what comes behind them hardly counts.
const DAMPED_MAX: usize = 5;

// -------------------------------------------------------------------------------------------------- one column

/// `column = value`, in a table of so many rows; `None`: a value that is not known yet.
pub fn equal(column: &ColumnStatistics<'_>, rows: f64, value: Option<&Value<'_>>) -> f64 {
    let Some(value) = value else { return equal_unknown(column) };
    if value.is_null() {
        return 0.0;
    }
    if let Some((_, share)) = column.common.iter().find(|(common, _)| same(common, value)) {
        return *share;
    }
    let one_row = 1.0 / rows.max(1.0);
    if is_outside(column, value) {
        return one_row.min(1.0);
    }
    let rest = column.rest_fraction();
    if column.distinct <= 0.0 {
        return EQUAL.min(rest);
    }
    let others = column.distinct - column.common.len() as f64;
    // What is not common is rarer than what is.
    let least_common = column.common.last().map_or(1.0, |(_, share)| *share);
    let share = if others < 0.5 { 0.0 } else { rest / others.max(1.0) };
    share.min(least_common).max(one_row.min(rest)).min(1.0)
}

fn equal_unknown(column: &ColumnStatistics<'_>) -> f64 {
    let values = 1.0 - column.null_fraction;
    if column.distinct <= 0.0 { EQUAL.min(values) } else { values / column.distinct.max(1.0) }
}

/// `column <> value`.
pub fn not_equal(column: &ColumnStatistics<'_>, rows: f64, value: Option<&Value<'_>>) -> f64 {
    match value {
        Some(value) if value.is_null() => 0.0,
        value => (1.0 - column.null_fraction - equal(column, rows, value)).clamp(0.0, 1.0),
    }
}

/// `column IN (…)`: the values, with `None` for those that are not known yet.
pub fn in_list<'v>(
    column: &ColumnStatistics<'_>,
    rows: f64,
    values: impl IntoIterator<Item = Option<&'v Value<'v>>>,
) -> f64 {
    let sum: f64 = values.into_iter().map(|value| equal(column, rows, value)).sum();
    sum.min(1.0 - column.null_fraction)
}

/// `column IS NULL`.
pub fn is_null(column: &ColumnStatistics<'_>) -> f64 {
    column.null_fraction
}

/// `column IS NOT NULL`.
pub fn is_not_null(column: &ColumnStatistics<'_>) -> f64 {
    1.0 - column.null_fraction
}

/// `column` between two bounds, each included, excluded or none.
pub fn range(
    column: &ColumnStatistics<'_>,
    rows: f64,
    lower: Bound<&Value<'_>>,
    upper: Bound<&Value<'_>>,
) -> f64 {
    let is_null = |bound: &Bound<&Value<'_>>| match bound {
        Bound::Included(value) | Bound::Excluded(value) => value.is_null(),
        Bound::Unbounded => false,
    };
    if is_null(&lower) || is_null(&upper) {
        return 0.0;
    }
    let is_within = |value: &Value<'_>| {
        let is_above = match lower {
            Bound::Included(bound) => value.total_cmp(bound).is_ge(),
            Bound::Excluded(bound) => value.total_cmp(bound).is_gt(),
            Bound::Unbounded => true,
        };
        let is_below = match upper {
            Bound::Included(bound) => value.total_cmp(bound).is_le(),
            Bound::Excluded(bound) => value.total_cmp(bound).is_lt(),
            Bound::Unbounded => true,
        };
        is_above && is_below
    };
    let common: f64 =
        column.common.iter().filter(|(value, _)| is_within(value)).map(|(_, share)| share).sum();
    let below_lower = match lower {
        Bound::Included(bound) => share_below(column, bound, false),
        Bound::Excluded(bound) => share_below(column, bound, true),
        Bound::Unbounded => Some(0.0),
    };
    let below_upper = match upper {
        Bound::Included(bound) => share_below(column, bound, true),
        Bound::Excluded(bound) => share_below(column, bound, false),
        Bound::Unbounded => Some(1.0),
    };
    let of_rest = match (below_lower, below_upper) {
        (Some(lower), Some(upper)) => (upper - lower).max(0.0),
        _ if matches!((lower, upper), (Bound::Unbounded, _) | (_, Bound::Unbounded)) => INEQUALITY,
        _ => RANGE,
    };
    let one_row = 1.0 / rows.max(1.0);
    (common + of_rest * column.rest_fraction()).max(one_row.min(1.0 - column.null_fraction)).clamp(0.0, 1.0)
}

/// `column` between bounds that are not known yet: one of them, or both.
pub fn range_unknown(column: &ColumnStatistics<'_>, is_both: bool) -> f64 {
    (1.0 - column.null_fraction) * if is_both { RANGE } else { INEQUALITY }
}

/// The share of the rest that is less than a value, or not greater if it `counts` itself; `None` where nothing is known.
fn share_below(column: &ColumnStatistics<'_>, value: &Value<'_>, counts: bool) -> Option<f64> {
    let equal = if counts { 1.0 / (column.distinct - column.common.len() as f64).max(1.0) } else { 0.0 };
    let bounds = column.histogram;
    let (Some(first), Some(last)) = (bounds.first(), bounds.last()) else {
        let (min, max) = (column.min?, column.max?);
        return Some(match (value.total_cmp(&min), value.total_cmp(&max)) {
            (Ordering::Less, _) => 0.0,
            (_, Ordering::Greater) => 1.0,
            _ => (place_between(value, &min, &max) + equal).min(1.0),
        });
    };
    let buckets = (bounds.len() - 1).max(1) as f64;
    let less = bounds.partition_point(|bound| bound.total_cmp(value).is_lt());
    let not_greater = bounds.partition_point(|bound| bound.total_cmp(value).is_le());
    if less < not_greater {
        // The value is a bound, of several buckets if it stands there more than once.
        let bound = if counts { not_greater - 1 } else { less };
        let within = if counts && not_greater == less + 1 { equal } else { 0.0 };
        return Some((bound as f64 / buckets + within).min(1.0));
    }
    if value.total_cmp(first).is_lt() {
        return Some(0.0);
    }
    if value.total_cmp(last).is_gt() {
        return Some(1.0);
    }
    let (low, high) = (bounds.get(less.checked_sub(1)?)?, bounds.get(less)?);
    Some(((less - 1) as f64 + place_between(value, low, high)) / buckets)
}

/// Where a value lies between two others, from 0 to 1, if values are spread evenly.
fn place_between(value: &Value<'_>, low: &Value<'_>, high: &Value<'_>) -> f64 {
    let place = match (number_of(value), number_of(low), number_of(high)) {
        (Some(value), Some(low), Some(high)) if high > low => (value - low) / (high - low),
        (None, None, None) => match (value.heap_bytes(), low.heap_bytes(), high.heap_bytes()) {
            (Some(value), Some(low), Some(high)) => place_of_bytes(value, low, high),
            _ => 0.5,
        },
        _ => 0.5,
    };
    if place.is_nan() { 0.5 } else { place.clamp(0.0, 1.0) }
}

/// The first bytes behind what both bounds begin with, as a fraction.
fn place_of_bytes(value: &[u8], low: &[u8], high: &[u8]) -> f64 {
    let common = low.iter().zip(high).take_while(|(a, b)| a == b).count();
    let fraction = |bytes: &[u8]| {
        let rest = bytes.get(common..).unwrap_or(&[]);
        (0..8).fold(0.0, |sum, at| sum * 256.0 + f64::from(rest.get(at).copied().unwrap_or(0)))
    };
    let (low, high) = (fraction(low), fraction(high));
    if high > low { (fraction(value) - low) / (high - low) } else { 0.5 }
}

/// A number in the order of the values of its type, where there is one.
fn number_of(value: &Value<'_>) -> Option<f64> {
    const DAY_MICROS: f64 = 86_400e6;
    Some(match value {
        Value::Boolean(value) => f64::from(u8::from(*value)),
        Value::SmallInt(value) => f64::from(*value),
        Value::Integer(value) => f64::from(*value),
        Value::BigInt(value) => *value as f64,
        Value::Decimal(value) => value.to_f64(),
        Value::Real(value) => f64::from(*value),
        Value::Double(value) => *value,
        Value::Date(value) => f64::from(value.days()) * DAY_MICROS,
        Value::Time(value) => value.micros() as f64,
        Value::Timestamp(value) | Value::TimestampTz(value) => value.micros() as f64,
        Value::Interval(value) => {
            (f64::from(value.months) * 30.0 + f64::from(value.days)) * DAY_MICROS + value.micros as f64
        }
        Value::Uuid(value) => value.to_ordered() as f64,
        _ => return None,
    })
}

fn same(a: &Value<'_>, b: &Value<'_>) -> bool {
    a.total_cmp(b).is_eq()
}

fn is_outside(column: &ColumnStatistics<'_>, value: &Value<'_>) -> bool {
    let is_below = column.min.is_some_and(|min| value.total_cmp(&min).is_lt());
    // The greatest text that is known of may be the beginning of one.
    let is_above = column.max.is_some_and(|max| max.heap_bytes().is_none() && value.total_cmp(&max).is_gt());
    is_below || is_above
}

// ---------------------------------------------------------------------------------------------------- patterns

/// `column LIKE pattern`: `%` is any run of characters, `_` any one of them, and what follows `escape` is itself.
pub fn like(column: &ColumnStatistics<'_>, rows: f64, pattern: &str, escape: Option<char>) -> f64 {
    let mut buffer = [0; PREFIX_BYTES];
    let (prefix, rest) = split_prefix(pattern, escape, &mut buffer);
    let Some(rest) = rest else { return equal(column, rows, Some(&Value::Text(prefix))) };
    let matching = column.common.iter().filter(|(value, _)| match value {
        Value::Text(text) | Value::Char(text) => matches_pattern(text, pattern, escape),
        _ => false,
    });
    let common: f64 = matching.map(|(_, share)| share).sum();
    let one_row = 1.0 / rows.max(1.0);
    let of_rest = prefix_share(column, prefix).max(one_row) * runs_share(rest, escape);
    (common + of_rest * column.rest_fraction()).clamp(0.0, 1.0)
}

/// `column NOT LIKE pattern`.
pub fn not_like(column: &ColumnStatistics<'_>, rows: f64, pattern: &str, escape: Option<char>) -> f64 {
    (1.0 - column.null_fraction - like(column, rows, pattern, escape)).clamp(0.0, 1.0)
}

/// The share of the rest that begins with a prefix.
fn prefix_share(column: &ColumnStatistics<'_>, prefix: &str) -> f64 {
    if prefix.is_empty() {
        return 1.0;
    }
    // Above all texts that begin with it: the greatest character behind it.
    let mut above = [0; PREFIX_BYTES + 4];
    let len = prefix.len().min(PREFIX_BYTES);
    above[..len].copy_from_slice(&prefix.as_bytes()[..len]);
    let last = char::MAX.encode_utf8(&mut above[len..]).len();
    let above = core::str::from_utf8(&above[..len + last]).unwrap_or(prefix);
    let from = share_below(column, &Value::Text(prefix), false);
    let to = share_below(column, &Value::Text(above), true);
    match (from, to) {
        (Some(from), Some(to)) => (to - from).max(0.0),
        _ => 0.5f64.powi(prefix.len().min(PREFIX_BYTES) as i32).max(RUN_LEAST),
    }
}

/// What a pattern begins with, unescaped and cut to the buffer, and the pattern behind it; `None` where there is no wildcard.
fn split_prefix<'b, 'p>(
    pattern: &'p str,
    escape: Option<char>,
    buffer: &'b mut [u8; PREFIX_BYTES],
) -> (&'b str, Option<&'p str>) {
    let (mut len, mut is_full, mut rest) = (0, false, None);
    let mut characters = pattern.char_indices();
    while let Some((at, character)) = characters.next() {
        let literal = match character {
            _ if Some(character) == escape => characters.next().map_or(character, |(_, next)| next),
            '%' | '_' => {
                rest = pattern.get(at..);
                break;
            }
            _ => character,
        };
        is_full |= len + literal.len_utf8() > PREFIX_BYTES;
        if !is_full {
            len += literal.encode_utf8(&mut buffer[len..]).len();
        }
    }
    (core::str::from_utf8(&buffer[..len]).unwrap_or(""), rest)
}

/// The share of texts that have the runs of characters that stand between wildcards.
fn runs_share(pattern: &str, escape: Option<char>) -> f64 {
    let (mut share, mut run) = (1.0, 1.0f64);
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            _ if Some(character) == escape => {
                characters.next();
                run *= 0.5;
            }
            '%' => {
                share *= run.max(RUN_LEAST);
                run = 1.0;
            }
            '_' => {}
            _ => run *= 0.5,
        }
    }
    share * run.max(RUN_LEAST)
}

/// Whether a text is like a pattern: goes back to the last `%` where it went wrong.
fn matches_pattern(text: &str, pattern: &str, escape: Option<char>) -> bool {
    let (mut text, mut pattern) = (text.chars(), pattern.chars());
    let mut back = None;
    loop {
        let mut after = pattern.clone();
        let wanted = after.next();
        if wanted == Some('%') && escape != Some('%') {
            pattern = after.clone();
            back = Some((text.clone(), after));
            continue;
        }
        let is_escape = wanted.is_some() && wanted == escape;
        let wanted_literal = if is_escape { after.next() } else { wanted };
        let is_any = wanted == Some('_') && !is_escape;
        let mut left = text.clone();
        match (left.next(), wanted_literal) {
            (None, None) => return true,
            (Some(found), Some(literal)) if is_any || found == literal => {
                (text, pattern) = (left, after);
            }
            _ => {
                let Some((from, behind)) = &mut back else { return false };
                if from.next().is_none() {
                    return false;
                }
                (text, pattern) = (from.clone(), behind.clone());
            }
        }
    }
}

// ---------------------------------------------------------------------------------------------- combinations

/// All of some conditions. They are seldom independent, so each further one counts half as much as the one before, the
/// most selective first: its share to the power of 1/2, 1/4, …
pub fn conjunction(shares: &[f64]) -> f64 {
    // Few are looked at, so the least ones are found one after the other.
    let mut least = [1.0; DAMPED_MAX];
    for share in shares.iter().map(|share| share.clamp(0.0, 1.0)) {
        let place = least.partition_point(|other| *other <= share);
        if place < DAMPED_MAX {
            least[place..].rotate_right(1);
            least[place] = share;
        }
    }
    const POWERS: [f64; DAMPED_MAX] = [1.0, 0.5, 0.25, 0.125, 0.0625];
    least.iter().zip(POWERS).map(|(share, power)| share.powf(power)).product()
}

/// One of two conditions, or both.
pub fn disjunction(left: f64, right: f64) -> f64 {
    (left + right - left * right).clamp(0.0, 1.0)
}

/// Distinct values of a column, or a guess.
fn distinct_or_guess(column: &ColumnStatistics<'_>, rows: f64) -> f64 {
    if column.distinct > 0.0 { column.distinct.max(1.0) } else { DISTINCT.min(rows.max(1.0)) }
}

/// `left = right` for columns of two tables of so many rows: the share of all pairs of rows.
///
/// Common values of both are matched one by one. Of the rest, each value of the column with fewer distinct ones is
/// taken to be among those of the other.
pub fn join_equal(
    (left, left_rows): (&ColumnStatistics<'_>, f64),
    (right, right_rows): (&ColumnStatistics<'_>, f64),
) -> f64 {
    let pairs = (left_rows * right_rows).max(1.0);
    if are_apart(left, right) || are_apart(right, left) {
        return 1.0 / pairs;
    }
    let (mut both, mut matched_left, mut matched_right, mut matches) = (0.0, 0.0, 0.0, 0.0);
    for (value, share) in left.common {
        if let Some((_, other)) = right.common.iter().find(|(other, _)| same(other, value)) {
            both += share * other;
            matched_left += share;
            matched_right += other;
            matches += 1.0;
        }
    }
    let left_rest = (1.0 - left.null_fraction - matched_left).max(0.0);
    let right_rest = (1.0 - right.null_fraction - matched_right).max(0.0);
    let distinct = distinct_or_guess(left, left_rows).max(distinct_or_guess(right, right_rows));
    let share = both + left_rest * right_rest / (distinct - matches).max(1.0);
    share.clamp(1.0 / pairs, 1.0)
}

/// The share of the values of a column that lie between the least and the greatest one of another; 1 where that is not known.
pub fn within(column: &ColumnStatistics<'_>, rows: f64, other: &ColumnStatistics<'_>) -> f64 {
    let (Some(min), Some(max)) = (other.min, other.max) else { return 1.0 };
    let values = 1.0 - column.null_fraction;
    let is_known = column.min.is_some() && min.heap_bytes().is_none() && values > 0.0;
    match is_known && !are_apart(column, other) && !are_apart(other, column) {
        true => (range(column, rows, Bound::Included(&min), Bound::Included(&max)) / values).min(1.0),
        false => 1.0,
    }
}

/// All values of one column are below those of the other.
fn are_apart(low: &ColumnStatistics<'_>, high: &ColumnStatistics<'_>) -> bool {
    match (low.max, high.min) {
        (Some(max), Some(min)) => max.heap_bytes().is_none() && max.total_cmp(&min).is_lt(),
        _ => false,
    }
}

/// The share of the rows on the left that have one on the right with the same value, of `right_kept` of its distinct values.
pub fn semi_join(
    (left, left_rows): (&ColumnStatistics<'_>, f64),
    (right, right_rows): (&ColumnStatistics<'_>, f64),
    right_kept: f64,
) -> f64 {
    let right_distinct = distinct_or_guess(right, right_rows) * right_kept.clamp(0.0, 1.0);
    let share = (right_distinct / distinct_or_guess(left, left_rows)).min(1.0);
    share * (1.0 - left.null_fraction)
}

/// How many of so many distinct values are left where a share of the rows is, if it has nothing to do with them.
pub fn distinct_left(distinct: f64, rows: f64, share: f64) -> f64 {
    if distinct <= 1.0 || rows <= 0.0 {
        return distinct.max(0.0);
    }
    let each = rows / distinct;
    (distinct * (1.0 - (1.0 - share.clamp(0.0, 1.0)).powf(each))).max(1.0).min(distinct)
}

/// How many groups so many rows make by columns with so many distinct values each.
pub fn groups(distinct: impl IntoIterator<Item = f64>, rows: f64) -> f64 {
    distinct.into_iter().map(|count| count.max(1.0)).product::<f64>().min(rows).max(1.0)
}
