//! Finds the part of a table that a scan has to look at: of its key's order, and by what its pages' columns lie between.
//!
//! A conjunct that compares a key column with a constant of its type bounds it. The range is made of equalities for the
//! first columns of the key and of bounds for the next one (of several values of an `IN`, the least and the greatest);
//! whatever is of another form (other columns, casts of the column, disjunctions) does not narrow it. The conjuncts stay in the scan: a range may leave out rows that do not pass,
//! and never has to.
//!
//! Values of parameters are known when the plan runs: [`range_of_run`] does the same then.
//!
//! ```text
//! PRIMARY KEY (a, b, c)     WHERE b >= 3 AND a = 1 AND b < 9 AND c = 7     ──>   a = 1, 3 <= b < 9
//! ```

use std::cmp::Ordering;
use std::ops::Bound;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::Value;

use crate::expr::{BinaryOp, Expr, ExprKind};
use crate::physical::{ColumnRange, KeyRange, Scan};
use crate::table::StoredTable;

/// What one conjunct says about a column.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit<'a> {
    Equal(Value<'a>),
    Lower(Bound<Value<'a>>),
    Upper(Bound<Value<'a>>),
}

/// What a column is compared with.
#[derive(Clone, Copy, Debug)]
struct Given<'g, 'a> {
    /// The columns of the table that columns of the conjuncts are; `None` if they are the same.
    projection: Option<&'g [u32]>,
    /// The values of parameters, if they are known.
    parameters: &'g [Value<'a>],
}

impl<'a> Given<'_, 'a> {
    const NOTHING: Given<'static, 'static> = Given { projection: None, parameters: &[] };

    fn is_column(&self, expr: &Expr<'_>, column: u32) -> bool {
        let ExprKind::Column(found) = expr.kind else { return false };
        let of_table = |projection: &[u32]| projection.get(found as usize).copied();
        self.projection.map_or(Some(found), of_table) == Some(column)
    }

    /// The value of what is the same for all rows.
    fn value(&self, expr: &Expr<'a>) -> Option<Value<'a>> {
        match expr.kind {
            ExprKind::Literal(value) => Some(value),
            ExprKind::Parameter(number) => self.parameters.get(number.checked_sub(1)? as usize).copied(),
            _ => None,
        }
    }

    /// The same, if it is not NULL. With NULL a comparison is true for no row, which is left to the filter.
    fn constant(&self, expr: &Expr<'a>) -> Option<Value<'a>> {
        self.value(expr).filter(|value| !value.is_null())
    }
}

/// What a scan has to look at in one run of its plan.
#[derive(Clone, Copy, Debug)]
pub struct RunRange<'a> {
    /// As [`Scan::range`].
    pub range: Option<&'a KeyRange<'a>>,
    /// As [`Scan::column_ranges`].
    pub column_ranges: &'a [ColumnRange<'a>],
    /// Whether no row can pass, since a parameter is NULL.
    pub is_empty: bool,
}

/// The part of a stored table that a scan has to look at when parameters have these values; what is made lives in `arena`.
///
/// # Errors
/// The arena's budget has no room.
pub fn range_of_run<'a>(
    scan: &Scan<'a>,
    table: &StoredTable<'a>,
    parameters: &[Value<'a>],
    arena: &'a Arena,
) -> Result<RunRange<'a>, AllocError> {
    if parameters.is_empty() {
        return Ok(RunRange { range: scan.range, column_ranges: scan.column_ranges, is_empty: false });
    }
    let given = Given { projection: Some(scan.projection), parameters };
    let is_empty = scan.conjuncts.iter().any(|conjunct| compares_with_null(conjunct, given));
    let range = key_range_of(table, scan.conjuncts, given, arena)?;
    Ok(RunRange { range, column_ranges: column_ranges_of(table, scan.conjuncts, given, arena)?, is_empty })
}

/// Whether it is a comparison that is true for no row, since one side is NULL.
fn compares_with_null(conjunct: &Expr<'_>, given: Given<'_, '_>) -> bool {
    let ExprKind::Binary { op, left, right } = conjunct.kind else { return false };
    let is_null = |expr: &Expr<'_>| match expr.kind {
        ExprKind::Parameter(number) => {
            given.parameters.get((number as usize).wrapping_sub(1)).is_some_and(Value::is_null)
        }
        _ => false,
    };
    op.is_comparison()
        && !matches!(op, BinaryOp::IsDistinctFrom | BinaryOp::IsNotDistinctFrom)
        && (is_null(left) || is_null(right))
}

/// The range of the table's key that conjuncts over the table's columns leave; `None` for all of it.
pub(super) fn key_range<'a>(
    table: &StoredTable<'a>,
    conjuncts: &[&'a Expr<'a>],
    arena: &'a Arena,
) -> Result<Option<&'a KeyRange<'a>>, AllocError> {
    key_range_of(table, conjuncts, Given::NOTHING, arena)
}

fn key_range_of<'a>(
    table: &StoredTable<'a>,
    conjuncts: &[&'a Expr<'a>],
    given: Given<'_, 'a>,
    arena: &'a Arena,
) -> Result<Option<&'a KeyRange<'a>>, AllocError> {
    let mut prefix: Vec<'a, Value<'a>> = Vec::new_in(arena);
    let (mut lower, mut upper) = (Bound::Unbounded, Bound::Unbounded);
    for key in table.key {
        let limits =
            || conjuncts.iter().flat_map(|conjunct| limits_of(conjunct, key.column, given)).flatten();
        if let Some(value) = limits().find_map(Limit::equal) {
            prefix.push(value)?;
            continue;
        }
        (lower, upper) = tightest(limits());
        break;
    }
    if prefix.is_empty() && lower == Bound::Unbounded && upper == Bound::Unbounded {
        return Ok(None);
    }
    Ok(Some(arena.alloc(KeyRange { prefix: prefix.into_slice(), lower, upper })?))
}

/// What the conjuncts say of each column by itself, columns of which they say nothing left out.
pub(super) fn column_ranges<'a>(
    table: &StoredTable<'a>,
    conjuncts: &[&'a Expr<'a>],
    arena: &'a Arena,
) -> Result<&'a [ColumnRange<'a>], AllocError> {
    column_ranges_of(table, conjuncts, Given::NOTHING, arena)
}

fn column_ranges_of<'a>(
    table: &StoredTable<'a>,
    conjuncts: &[&'a Expr<'a>],
    given: Given<'_, 'a>,
    arena: &'a Arena,
) -> Result<&'a [ColumnRange<'a>], AllocError> {
    let mut ranges = Vec::new_in(arena);
    for column in 0..table.columns.len() as u32 {
        let limits = conjuncts.iter().flat_map(|conjunct| limits_of(conjunct, column, given)).flatten();
        let (lower, upper) = tightest(limits);
        if lower != Bound::Unbounded || upper != Bound::Unbounded {
            ranges.push(ColumnRange { column, lower, upper })?;
        }
    }
    Ok(ranges.into_slice())
}

/// The bounds within which a column passes all limits.
fn tightest<'a>(limits: impl Iterator<Item = Limit<'a>>) -> (Bound<Value<'a>>, Bound<Value<'a>>) {
    let (mut lower, mut upper) = (Bound::Unbounded, Bound::Unbounded);
    for limit in limits {
        let (least, greatest) = match limit {
            Limit::Equal(value) => (Bound::Included(value), Bound::Included(value)),
            Limit::Lower(bound) => (bound, Bound::Unbounded),
            Limit::Upper(bound) => (Bound::Unbounded, bound),
        };
        lower = tighter(lower, least, Ordering::Greater);
        upper = tighter(upper, greatest, Ordering::Less);
    }
    (lower, upper)
}

impl<'a> Limit<'a> {
    fn equal(self) -> Option<Value<'a>> {
        match self {
            Limit::Equal(value) => Some(value),
            Limit::Lower(_) | Limit::Upper(_) => None,
        }
    }
}

/// What a conjunct says about a column: at most two limits.
fn limits_of<'a>(conjunct: &Expr<'a>, column: u32, given: Given<'_, 'a>) -> [Option<Limit<'a>>; 2] {
    let is_column = |expr: &Expr<'_>| given.is_column(expr, column);
    let constant = |expr: &Expr<'a>| given.constant(expr);
    match conjunct.kind {
        ExprKind::Binary { op, left, right } if is_column(left) => [limit(op, constant(right)), None],
        ExprKind::Binary { op, left, right } if is_column(right) => {
            [swapped(op).and_then(|op| limit(op, constant(left))), None]
        }
        ExprKind::Between { arg, low, high, negated: false } if is_column(arg) => {
            [limit(BinaryOp::GreaterEqual, constant(low)), limit(BinaryOp::LessEqual, constant(high))]
        }
        ExprKind::InList { arg, list, negated: false } if is_column(arg) => limits_of_list(list, given),
        _ => [None, None],
    }
}

/// What equality with one of several constants says: the least and the greatest of them.
fn limits_of_list<'a>(list: &[&Expr<'a>], given: Given<'_, 'a>) -> [Option<Limit<'a>>; 2] {
    if let [item] = list {
        return [limit(BinaryOp::Equal, given.constant(item)), None];
    }
    let mut ends: Option<(Value<'a>, Value<'a>)> = None;
    for item in list {
        // What is NULL equals nothing, and what is no constant may be anything.
        let Some(value) = given.value(item) else { return [None, None] };
        if value.is_null() {
            continue;
        }
        let (least, greatest) = ends.unwrap_or((value, value));
        ends = Some((
            if value.total_cmp(&least).is_lt() { value } else { least },
            if value.total_cmp(&greatest).is_gt() { value } else { greatest },
        ));
    }
    match ends {
        Some((least, greatest)) => {
            [limit(BinaryOp::GreaterEqual, Some(least)), limit(BinaryOp::LessEqual, Some(greatest))]
        }
        None => [None, None],
    }
}

/// What `column op value` says about the column.
fn limit(op: BinaryOp, value: Option<Value<'_>>) -> Option<Limit<'_>> {
    let value = value?;
    Some(match op {
        BinaryOp::Equal | BinaryOp::IsNotDistinctFrom => Limit::Equal(value),
        BinaryOp::Less => Limit::Upper(Bound::Excluded(value)),
        BinaryOp::LessEqual => Limit::Upper(Bound::Included(value)),
        BinaryOp::Greater => Limit::Lower(Bound::Excluded(value)),
        BinaryOp::GreaterEqual => Limit::Lower(Bound::Included(value)),
        _ => return None,
    })
}

/// The comparison with its sides exchanged.
fn swapped(op: BinaryOp) -> Option<BinaryOp> {
    Some(match op {
        BinaryOp::Equal | BinaryOp::IsNotDistinctFrom => op,
        BinaryOp::Less => BinaryOp::Greater,
        BinaryOp::LessEqual => BinaryOp::GreaterEqual,
        BinaryOp::Greater => BinaryOp::Less,
        BinaryOp::GreaterEqual => BinaryOp::LessEqual,
        _ => return None,
    })
}

/// The bound that leaves less; `wins` is how its value compares with that of the other.
fn tighter<'a>(known: Bound<Value<'a>>, new: Bound<Value<'a>>, wins: Ordering) -> Bound<Value<'a>> {
    let (Bound::Included(old) | Bound::Excluded(old)) = known else { return new };
    let (Bound::Included(value) | Bound::Excluded(value)) = new else { return known };
    match value.total_cmp(&old) {
        Ordering::Equal if matches!(new, Bound::Excluded(_)) => new,
        order if order == wins => new,
        _ => known,
    }
}
