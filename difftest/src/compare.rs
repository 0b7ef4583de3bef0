//! Whether two outcomes agree.

use std::cmp::Ordering;

use crate::engines::{Kind, Outcome, Rows};

/// The relative difference that floats may have.
const FLOAT_TOLERANCE: f64 = 1e-9;
/// The relative difference that an exact number may have where its digits end earlier.
const NUMBER_TOLERANCE: f64 = 1e-14;

/// How two outcomes compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They agree.
    Same,
    /// They agree, but for what is counted and not held against anybody: numbers with other digits behind the last that counts,
    /// types with other names.
    Nearly(String),
    /// They do not: what failures of one cause have in common, and more about this one.
    Different(String, String),
    /// Cofferdam refuses what it does not know.
    Unsupported(String),
    /// Nothing can be said: a time limit, an error that depends on which rows are looked at first.
    Unknown(&'static str),
}

/// What is known of the statement.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// The order of the rows counts.
    pub is_ordered: bool,
    /// Every expression of it is computed for every row, whatever the plan.
    pub is_simple: bool,
    /// The other engine has SQLSTATEs.
    pub has_sqlstates: bool,
}

/// Compares what Cofferdam gave with what the other engine gave.
pub fn compare(ours: &Outcome, theirs: &Outcome, question: Question) -> Verdict {
    if let Some(verdict) = alone(ours) {
        return verdict;
    }
    match (ours, theirs) {
        (_, Outcome::Error { sqlstate, .. }) if sqlstate == "57014" => {
            Verdict::Unknown("the peer took too long")
        }
        // Its errors are its own, and its integers have 64 bits.
        (Outcome::Error { sqlstate, .. }, _) if !question.has_sqlstates && is_data(sqlstate) => {
            Verdict::Unknown("an error of a value on one side")
        }
        (_, Outcome::Error { .. }) if !question.has_sqlstates => Verdict::Unknown("the peer failed"),
        // Exact numbers have at most 38 digits here, and many more in PostgreSQL.
        (Outcome::Error { sqlstate, message }, _)
            if sqlstate == "22003" && message.starts_with("numeric field overflow") =>
        {
            Verdict::Unknown("an exact number of more than 38 digits")
        }
        (Outcome::Error { sqlstate: a, message }, Outcome::Error { sqlstate: b, message: other }) => {
            // Of two errors either may be met first.
            let is_of_rows = |sqlstate: &str| is_data(sqlstate) || sqlstate.starts_with("23");
            if a[..2] == b[..2] || (!question.is_simple && is_of_rows(a) && is_of_rows(b)) {
                return Verdict::Same;
            }
            Verdict::Different(
                format!("error {a} instead of {b}: {message}"),
                format!("{message}\ninstead of: {other}"),
            )
        }
        (Outcome::Error { sqlstate, message }, _) => match is_data(sqlstate) && !question.is_simple {
            true => Verdict::Unknown("an error of a value on one side"),
            false => Verdict::Different(format!("error {sqlstate}: {message}"), message.clone()),
        },
        (_, Outcome::Error { sqlstate, message }) => match is_data(sqlstate) && !question.is_simple {
            true => Verdict::Unknown("an error of a value on one side"),
            false => {
                Verdict::Different(format!("no error, instead of {sqlstate}: {message}"), message.clone())
            }
        },
        (Outcome::Rows(ours), Outcome::Rows(theirs)) => compare_rows(ours, theirs, question.is_ordered),
        (Outcome::Done(ours), Outcome::Done(theirs)) if ours == theirs => Verdict::Same,
        (Outcome::Done(ours), Outcome::Done(theirs)) => Verdict::Different(
            "wrong count of changed rows".to_owned(),
            format!("{ours} instead of {theirs}"),
        ),
        _ => Verdict::Different("an answer on one side only".to_owned(), String::new()),
    }
}

/// What an outcome of Cofferdam says without a peer.
pub fn alone(ours: &Outcome) -> Option<Verdict> {
    let Outcome::Error { sqlstate, message } = ours else { return None };
    match sqlstate.as_str() {
        "0A000" => Some(Verdict::Unsupported(message.clone())),
        "57014" => Some(Verdict::Unknown("Cofferdam took too long")),
        "53200" => Some(Verdict::Unknown("Cofferdam ran out of memory")),
        state if state.starts_with("XX") => {
            Some(Verdict::Different(format!("error {state}: {message}"), message.clone()))
        }
        _ => None,
    }
}

/// Errors of values, which a plan may meet or not: in rows that it need not look at, in operands that it need not compute.
fn is_data(sqlstate: &str) -> bool {
    sqlstate.starts_with("22") || sqlstate == "21000"
}

/// Compares answers, as multisets where their order does not count.
pub fn compare_rows(ours: &Rows, theirs: &Rows, is_ordered: bool) -> Verdict {
    if ours.kinds.len() != theirs.kinds.len() {
        let what = format!("{} columns instead of {}", ours.kinds.len(), theirs.kinds.len());
        return Verdict::Different("wrong number of columns".to_owned(), what);
    }
    if ours.rows.len() != theirs.rows.len() {
        let what =
            format!("{} rows instead of {}{}", ours.rows.len(), theirs.rows.len(), shown(ours, theirs));
        return Verdict::Different("wrong number of rows".to_owned(), what);
    }
    let mut rows = [ours.rows.clone(), theirs.rows.clone()];
    if !is_ordered {
        let is_float = |index: usize| ours.kinds[index] == Kind::Float || theirs.kinds[index] == Kind::Float;
        let digits: Vec<usize> =
            (0..ours.kinds.len()).map(|index| if is_float(index) { 6 } else { 13 }).collect();
        rows.iter_mut().for_each(|rows| rows.sort_by(|a, b| order(a, b, &digits)));
    }
    let mut is_exact = true;
    for (row, other) in rows[0].iter().zip(&rows[1]) {
        for (index, (value, expected)) in row.iter().zip(other).enumerate() {
            match same(value.as_deref(), expected.as_deref(), ours.kinds[index], theirs.kinds[index]) {
                Some(exact) => is_exact &= exact,
                None if is_ordered && is_same_set(ours, theirs) => {
                    return Verdict::Different("right rows in a wrong order".to_owned(), shown(ours, theirs));
                }
                None => {
                    let ty = ours.types.get(index).cloned().unwrap_or_default();
                    return Verdict::Different(format!("wrong value of type {ty}"), shown(ours, theirs));
                }
            }
        }
    }
    for (ours, theirs) in ours.types.iter().zip(&theirs.types) {
        if ours != theirs {
            return Verdict::Nearly(format!("type {ours} instead of {theirs}"));
        }
    }
    if is_exact { Verdict::Same } else { Verdict::Nearly("other digits of the same number".to_owned()) }
}

fn is_same_set(ours: &Rows, theirs: &Rows) -> bool {
    !matches!(compare_rows(ours, theirs, false), Verdict::Different(..))
}

/// An order in which numbers that are nearly equal are neighbours: by so many digits behind the first, then by text.
fn order(a: &[Option<String>], b: &[Option<String>], digits: &[usize]) -> Ordering {
    for ((a, b), &digits) in a.iter().zip(b).zip(digits) {
        let ordering = match (a, b) {
            (Some(a), Some(b)) => match (rounded(a, digits), rounded(b, digits)) {
                (Some(a), Some(b)) => a.total_cmp(&b),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => a.cmp(b),
            },
            _ => a.is_some().cmp(&b.is_some()),
        };
        if ordering.is_ne() {
            return ordering;
        }
    }
    a.cmp(b)
}

/// A number to some digits, so that what is nearly equal is mostly equal; true and false are the numbers that SQLite has for
/// them.
fn rounded(text: &str, digits: usize) -> Option<f64> {
    let number: f64 = match text {
        "t" => 1.0,
        "f" => 0.0,
        text => text.parse().ok()?,
    };
    format!("{number:.digits$e}").parse().ok().map(|number: f64| number + 0.0)
}

/// Whether two values are the same, and whether their texts are too.
fn same(ours: Option<&str>, theirs: Option<&str>, kind: Kind, other: Kind) -> Option<bool> {
    let (ours, theirs) = match (ours, theirs) {
        (None, None) => return Some(true),
        (Some(ours), Some(theirs)) => (ours, theirs),
        _ => return None,
    };
    if ours == theirs {
        return Some(true);
    }
    let tolerance = match (kind, other) {
        (Kind::Boolean, Kind::Number) => {
            return (theirs == if ours == "t" { "1" } else { "0" }).then_some(true);
        }
        (Kind::Float, _) | (_, Kind::Float) => FLOAT_TOLERANCE,
        (Kind::Number, Kind::Number) => NUMBER_TOLERANCE,
        _ => return None,
    };
    let (a, b): (f64, f64) = (ours.parse().ok()?, theirs.parse().ok()?);
    let difference = (a - b).abs();
    let is_near = a == b || difference <= tolerance * a.abs().max(b.abs()) || difference < f64::MIN_POSITIVE;
    // What is left of nearly equal summands.
    let is_rest = tolerance == FLOAT_TOLERANCE && difference < 1e-9;
    // Quotients have sixteen digits behind the point at least.
    let is_scale = tolerance == NUMBER_TOLERANCE && difference <= 1e-15;
    (is_near || is_rest || is_scale).then_some(tolerance == FLOAT_TOLERANCE)
}

/// The first rows of both.
fn shown(ours: &Rows, theirs: &Rows) -> String {
    let text = |rows: &Rows| {
        let line = |row: &Vec<Option<String>>| {
            let cells: Vec<&str> = row.iter().map(|cell| cell.as_deref().unwrap_or("NULL")).collect();
            format!("\n    {}", cells.join(" | "))
        };
        let lines: String = rows.rows.iter().take(8).map(line).collect();
        format!("{}{lines}{}", rows.rows.len(), if rows.rows.len() > 8 { "\n    …" } else { "" })
    };
    format!("\n  rows: {}\n  instead of: {}", text(ours), text(theirs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(kind: Kind, values: &[Option<&str>]) -> Rows {
        let rows = values.iter().map(|value| vec![value.map(str::to_owned)]).collect();
        Rows { types: Vec::new(), kinds: vec![kind], rows }
    }

    fn error(sqlstate: &str) -> Outcome {
        Outcome::Error { sqlstate: sqlstate.to_owned(), message: "m".to_owned() }
    }

    const PLAIN: Question = Question { is_ordered: false, is_simple: true, has_sqlstates: true };

    #[test]
    fn answers_are_multisets_unless_they_are_ordered() {
        let a = rows(Kind::Number, &[Some("2"), None, Some("1"), Some("1")]);
        let b = rows(Kind::Number, &[Some("1"), Some("1"), Some("2"), None]);
        assert_eq!(compare_rows(&a, &b, false), Verdict::Same);
        assert!(
            matches!(compare_rows(&a, &b, true), Verdict::Different(group, _) if group.contains("order"))
        );
        let c = rows(Kind::Number, &[Some("1"), Some("2"), Some("2"), None]);
        assert!(matches!(compare_rows(&a, &c, false), Verdict::Different(..)));
    }

    #[test]
    fn numbers_that_differ_late_are_matched_with_their_like() {
        let a = rows(Kind::Number, &[Some("2147483650"), Some("2147483645"), Some("12345678901234567")]);
        let b = rows(Kind::Number, &[Some("2147483645"), Some("12345678901234567"), Some("2147483650")]);
        assert_eq!(compare_rows(&a, &b, false), Verdict::Same);
    }

    #[test]
    fn floats_may_differ_a_little_and_numbers_in_their_scale() {
        let one = |kind, text| rows(kind, &[Some(text)]);
        let same = |kind, a, b| compare_rows(&one(kind, a), &one(kind, b), false);
        assert_eq!(same(Kind::Float, "0.30000000000000004", "0.3"), Verdict::Same);
        assert!(matches!(same(Kind::Float, "0.3001", "0.3"), Verdict::Different(..)));
        assert!(matches!(
            same(Kind::Number, "0.33333333333333333333", "0.3333333333333333"),
            Verdict::Nearly(_)
        ));
        assert!(matches!(same(Kind::Number, "1", "2"), Verdict::Different(..)));
        assert!(matches!(same(Kind::Text, "1.0", "1"), Verdict::Different(..)));
        assert_eq!(compare_rows(&one(Kind::Boolean, "t"), &one(Kind::Number, "1"), false), Verdict::Same);
    }

    #[test]
    fn errors_are_compared_by_class() {
        assert_eq!(compare(&error("22012"), &error("22003"), PLAIN), Verdict::Same);
        assert!(matches!(compare(&error("42883"), &error("22003"), PLAIN), Verdict::Different(..)));
        assert!(matches!(compare(&error("22012"), &Outcome::Done(1), PLAIN), Verdict::Different(..)));
        let complex = Question { is_simple: false, ..PLAIN };
        assert!(matches!(compare(&error("22012"), &Outcome::Done(1), complex), Verdict::Unknown(_)));
        assert!(matches!(compare(&error("0A000"), &Outcome::Done(1), complex), Verdict::Unsupported(_)));
        assert!(matches!(compare(&error("XX000"), &error("XX000"), complex), Verdict::Different(..)));
        assert!(matches!(compare(&Outcome::Done(1), &Outcome::Done(2), complex), Verdict::Different(..)));
    }
}
