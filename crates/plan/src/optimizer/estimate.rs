//! Guesses of sizes. There are no statistics yet: what is known of a file is its size and its columns, of a stored table
//! the number of its rows.
//!
//! An inequality keeps a third, as PostgreSQL's planner guesses in the same ignorance (`DEFAULT_INEQ_SEL`); equality,
//! ranges and LIKE are taken less selective than there, because filters over files are mostly on categories.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::Type;

use crate::expr::{BinaryOp, Column, Expr, ExprKind, UnaryOp, walk};
use crate::physical::FileSource;
use crate::table::TableSource;

const EQUAL: f64 = 0.05;
const INEQUALITY: f64 = 1.0 / 3.0;
const RANGE: f64 = 0.1;
const MATCH: f64 = 0.05;
const NULL: f64 = 0.05;
const UNKNOWN: f64 = 0.5;

/// Rows of a file of unknown size.
const ROWS_UNKNOWN: f64 = 1000.0;

/// Rows of a table of the engine: some dozens.
const ROWS_OF_THE_ENGINE: f64 = 30.0;

/// Bytes that a held row takes beside its values: a hash, a link, alignment.
const ROW_OVERHEAD_BYTES: f64 = 24.0;

/// The rows of a table before any filter.
pub(crate) fn source_rows(source: TableSource<'_>) -> f64 {
    match source {
        TableSource::File(file) => file_rows(file),
        TableSource::Stored(table) => (table.rows_estimate as f64).max(1.0),
        TableSource::Engine(_) => ROWS_OF_THE_ENGINE,
    }
}

fn file_rows(source: &FileSource<'_>) -> f64 {
    match source.rows_estimate {
        Some(rows) => (rows as f64).max(1.0),
        None if source.size_bytes == 0 => ROWS_UNKNOWN,
        None => {
            let line: f64 = source.columns.iter().map(|column| text_bytes(column.ty)).sum();
            (source.size_bytes as f64 / line.max(2.0)).max(1.0)
        }
    }
}

/// The bytes that a value takes in a file, with its delimiter.
fn text_bytes(ty: Type) -> f64 {
    match ty {
        Type::Boolean => 3.0,
        Type::SmallInt => 5.0,
        Type::Integer => 6.0,
        Type::BigInt => 9.0,
        Type::Decimal { .. } | Type::Numeric | Type::Real | Type::Double => 9.0,
        Type::Date => 11.0,
        Type::Time => 9.0,
        Type::Timestamp => 20.0,
        Type::TimestampTz => 23.0,
        Type::Uuid => 37.0,
        Type::Text
        | Type::Char
        | Type::Bytea
        | Type::Interval
        | Type::Json
        | Type::Jsonb
        | Type::Array(_)
        | Type::Unknown => 17.0,
    }
}

/// The bytes that a row of these columns takes where it is held.
pub(super) fn held_bytes(columns: &[Column<'_>]) -> f64 {
    let values: f64 = columns.iter().map(|column| value_bytes(column.ty)).sum();
    values + ROW_OVERHEAD_BYTES
}

/// The bytes that a value takes where it is held.
pub(super) fn value_bytes(ty: Type) -> f64 {
    match ty {
        Type::Boolean => 1.0,
        Type::SmallInt | Type::Integer | Type::Date => 4.0,
        Type::BigInt | Type::Real | Type::Double | Type::Time | Type::Timestamp | Type::TimestampTz => 8.0,
        Type::Decimal { .. } | Type::Interval | Type::Uuid => 16.0,
        Type::Text
        | Type::Char
        | Type::Bytea
        | Type::Numeric
        | Type::Json
        | Type::Jsonb
        | Type::Array(_)
        | Type::Unknown => 24.0,
    }
}

/// The groups of so many rows.
pub(super) fn group_rows(rows: f64, groups_count: usize) -> f64 {
    match groups_count {
        0 => 1.0,
        _ => (rows * 0.1).max(1.0),
    }
}

/// A guess as the plan shows it.
pub(super) fn whole(guess: f64) -> u64 {
    guess.max(0.0).round() as u64
}

/// The conjuncts in the order in which they are best tested: by what they cost, otherwise as the query has them. What
/// may fail comes last, so that other conjuncts can keep it from the rows for which it would.
pub(super) fn cheap_first<'s, 'a>(
    conjuncts: &[&'a Expr<'a>],
    scratch: &'s Arena,
) -> Result<&'s [&'a Expr<'a>], AllocError> {
    if conjuncts.len() < 2 {
        return Ok(scratch.alloc_slice_copy(conjuncts)?);
    }
    let mut ranked = Vec::with_capacity_in(conjuncts.len(), scratch)?;
    for (index, conjunct) in conjuncts.iter().enumerate() {
        let mut rank = Cost::Compare;
        walk::for_each(conjunct, scratch, |node| rank = rank.max(node_cost(node)))?;
        ranked.push((rank, index))?;
    }
    // The index keeps equals in order, so the sort needs no memory to be stable.
    ranked.sort_unstable();
    Ok(scratch.alloc_slice_fill_with(ranked.len(), |place| conjuncts[ranked[place].1])?)
}

/// What a node costs for each row, cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cost {
    /// Comparisons and arithmetic of fixed-size values.
    Compare,
    /// Text is looked at.
    Text,
    /// Text is searched or made, branches are taken.
    Compute,
    /// A value may be refused: division by zero, text that is no number.
    MayFail,
}

fn node_cost(expr: &Expr<'_>) -> Cost {
    let reads_text = |arg: &Expr<'_>| arg.ty == Type::Text;
    match expr.kind {
        ExprKind::Binary { op: BinaryOp::Divide | BinaryOp::Modulo, .. } => Cost::MayFail,
        ExprKind::Cast(arg) if reads_text(arg) => Cost::MayFail,
        ExprKind::Like { .. } | ExprKind::Case { .. } | ExprKind::Call { .. } => Cost::Compute,
        ExprKind::Binary { op: BinaryOp::Concat, .. } => Cost::Compute,
        ExprKind::Binary { left, .. } if reads_text(left) => Cost::Text,
        ExprKind::Between { arg, .. } | ExprKind::InList { arg, .. } if reads_text(arg) => Cost::Text,
        _ => Cost::Compare,
    }
}

/// The share of a node, given those of its children where they are conditions.
pub(super) fn node_selectivity(expr: &Expr<'_>, children: &[f64]) -> f64 {
    let not = |negated: bool, share: f64| if negated { 1.0 - share } else { share };
    match expr.kind {
        ExprKind::Binary { op, .. } => match (op, children) {
            (BinaryOp::And, [left, right]) => left * right,
            (BinaryOp::Or, [left, right]) => left + right - left * right,
            (BinaryOp::Equal | BinaryOp::IsNotDistinctFrom, _) => EQUAL,
            (BinaryOp::NotEqual | BinaryOp::IsDistinctFrom, _) => 1.0 - EQUAL,
            (BinaryOp::Less | BinaryOp::LessEqual | BinaryOp::Greater | BinaryOp::GreaterEqual, _) => {
                INEQUALITY
            }
            _ => UNKNOWN,
        },
        ExprKind::Unary { op, .. } => match (op, children) {
            (UnaryOp::Not | UnaryOp::IsNotTrue | UnaryOp::IsFalse, [share]) => 1.0 - share,
            (UnaryOp::IsTrue | UnaryOp::IsNotFalse, [share]) => *share,
            (UnaryOp::IsNull, _) => NULL,
            (UnaryOp::IsNotNull, _) => 1.0 - NULL,
            _ => UNKNOWN,
        },
        ExprKind::Between { negated, .. } => not(negated, RANGE),
        ExprKind::InList { list, negated, .. } => not(negated, (list.len() as f64 * EQUAL).min(UNKNOWN)),
        ExprKind::Like { negated, .. } => not(negated, MATCH),
        _ => UNKNOWN,
    }
}
