//! Finds the parts of an order of keys that a scan has to look at, of a table's key or of an index, and by what its pages'
//! columns lie between.
//!
//! A conjunct that compares a key column with constants of its type bounds it. A range is made of equalities for the
//! first columns of the key and of bounds for the next one; an `IN` makes a range of each of its values, as long as there are not
//! too many. Whatever is of another form (other columns, casts of the column, disjunctions) does not narrow it. The conjuncts stay
//! in the scan: a range may leave out rows that do not pass, and never has to.
//!
//! Values of parameters are known when the plan runs: [`ranges_of_run`] does the same then.
//!
//! ```text
//! KEY (a, b, c)     WHERE b >= 3 AND a = 1 AND b < 9 AND c = 7     ──>   a = 1, 3 <= b < 9
//!                   WHERE a IN (2, 1) AND b = 5                    ──>   a = 1, b = 5     a = 2, b = 5
//! ```
//!
//! - **K1** Ranges ascend in the order of the key and share no key: constants that are equal have equal keys
//!   (`cofferdam_types::key`), so each is taken once.

use std::cmp::Ordering;
use std::ops::Bound;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::Value;

use crate::expr::{BinaryOp, Expr, ExprKind, UnaryOp};
use crate::logical::ColumnId;
use crate::physical::{ColumnRange, KeyRange, Scan};
use crate::table::{KeyColumn, StoredTable};

/// The most ranges of a scan. Of longer lists only the least and the greatest value bound it.
const RANGES_MAX: usize = 1024;

/// What one conjunct says about a column.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit<'a> {
    Equal(Value<'a>),
    Lower(Bound<Value<'a>>),
    Upper(Bound<Value<'a>>),
}

/// What stands for the values of parameters until these are known: neither compared with others nor kept.
const STAND_IN: Value<'static> = Value::Boolean(true);

/// What the columns and constants of conjuncts are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given<'g, 'a> {
    columns: Columns<'g>,
    parameters: Parameters<'g, 'a>,
}

/// Which numbers the columns of a table have in conjuncts over it.
#[derive(Clone, Copy, Debug)]
enum Columns<'g> {
    /// That of the first one; the others follow.
    From(ColumnId),
    /// The position in this list.
    Read(&'g [u32]),
}

/// Values of parameters.
#[derive(Clone, Copy, Debug)]
enum Parameters<'g, 'a> {
    Known(&'g [Value<'a>]),
    /// They will be known.
    Later,
}

impl<'g, 'a> Given<'g, 'a> {
    /// While planning: the first column of the table has the number `first`.
    pub(super) const fn planning(first: ColumnId) -> Given<'static, 'static> {
        Given { columns: Columns::From(first), parameters: Parameters::Later }
    }

    /// While planning: the columns stand in conjuncts by their position in `projection`.
    pub(super) const fn reading(projection: &'g [u32]) -> Given<'g, 'static> {
        Given { columns: Columns::Read(projection), parameters: Parameters::Later }
    }

    /// The same without parameters.
    const fn constants(self) -> Given<'g, 'a> {
        Given { parameters: Parameters::Known(&[]), ..self }
    }

    fn is_column(&self, expr: &Expr<'_>, column: u32) -> bool {
        let ExprKind::Column(found) = expr.kind else { return false };
        match self.columns {
            Columns::From(first) => found.checked_sub(first) == Some(column),
            Columns::Read(list) => list.get(found as usize) == Some(&column),
        }
    }

    /// The value of what is the same for all rows.
    fn value(&self, expr: &Expr<'a>) -> Option<Value<'a>> {
        match (&expr.kind, self.parameters) {
            (ExprKind::Literal(value), _) => Some(*value),
            (ExprKind::Parameter(number), Parameters::Known(values)) => {
                values.get(number.checked_sub(1)? as usize).copied()
            }
            (ExprKind::Parameter(_), Parameters::Later) => Some(STAND_IN),
            _ => None,
        }
    }

    /// The same; NULL for what may be NULL later.
    fn value_or_null(&self, expr: &Expr<'a>) -> Option<Value<'a>> {
        match (&expr.kind, self.parameters) {
            (ExprKind::Parameter(_), Parameters::Later) => Some(Value::Null),
            _ => self.value(expr),
        }
    }

    /// The same, if it is not NULL. With NULL a comparison is true for no row, which is left to the filter.
    fn constant(&self, expr: &Expr<'a>) -> Option<Value<'a>> {
        self.value(expr).filter(|value| !value.is_null())
    }
}

/// What conjuncts say of a key: for how many of its first columns each range has a value, how many ranges there are, and whether they
/// have bounds for the next column. Parameters count as constants that are not NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyShape {
    equal: usize,
    ranges: usize,
    is_bounded: bool,
    has_null: bool,
}

impl KeyShape {
    /// Whether nothing is left out.
    pub(super) fn is_open(self) -> bool {
        self.equal == 0 && !self.is_bounded
    }

    /// How many columns of the key are narrowed.
    pub(super) fn columns_count(self) -> usize {
        self.equal + usize::from(self.is_bounded)
    }

    /// The most rows that the ranges lead to, where no two rows share the values of so many columns that are not NULL.
    pub(super) fn rows_max(self, unique: usize) -> Option<usize> {
        (unique > 0 && self.equal >= unique && !self.has_null).then_some(self.ranges)
    }
}

/// What conjuncts say of a key.
pub(super) fn key_shape(key: &[KeyColumn], conjuncts: &[&Expr<'_>], given: Given<'_, '_>) -> KeyShape {
    let mut shape = KeyShape { equal: 0, ranges: 1, is_bounded: false, has_null: false };
    for part in key {
        if let Some(value) = equal_to(part.column, conjuncts, given) {
            shape.has_null |= value.is_null();
        } else if let Some(values) =
            conjuncts.iter().find_map(|conjunct| list_of(conjunct, part.column, given))
            && let count @ 1.. = values.iter().filter(|item| given.constant(item).is_some()).count()
            && shape.ranges * count <= RANGES_MAX
        {
            shape.ranges *= count;
        } else {
            shape.is_bounded = is_bounded(part.column, conjuncts, given);
            break;
        }
        shape.equal += 1;
    }
    shape
}

/// The ranges of a key that conjuncts leave, ascending; none for all of it.
pub(super) fn key_ranges<'a>(
    key: &[KeyColumn],
    conjuncts: &[&Expr<'a>],
    given: Given<'_, 'a>,
    arena: &'a Arena,
) -> Result<&'a [KeyRange<'a>], AllocError> {
    // What is not known yet narrows nothing.
    let given = if let Parameters::Later = given.parameters { given.constants() } else { given };
    let mut prefixes: &'a [&'a [Value<'a>]] = &[&[]];
    let (mut lower, mut upper) = (Bound::Unbounded, Bound::Unbounded);
    for part in key {
        if let Some(value) = equal_to(part.column, conjuncts, given) {
            prefixes = longer(prefixes, &[value], arena)?;
            continue;
        }
        if let Some(list) = conjuncts.iter().find_map(|conjunct| list_of(conjunct, part.column, given))
            && let Some(values) = distinct_values(list, part.descending, given, arena)?
            && prefixes.len() * values.len() <= RANGES_MAX
        {
            prefixes = longer(prefixes, values, arena)?;
            continue;
        }
        (lower, upper) = tightest(limits(part.column, conjuncts, given));
        break;
    }
    if prefixes == [&[][..]] && lower == Bound::Unbounded && upper == Bound::Unbounded {
        return Ok(&[]);
    }
    Ok(arena.alloc_slice_from_iter(prefixes.iter().map(|prefix| KeyRange { prefix, lower, upper }))?)
}

/// What a scan has to look at in one run of its plan.
#[derive(Clone, Copy, Debug)]
pub struct RunRanges<'a> {
    /// As [`Scan::ranges`].
    pub ranges: &'a [KeyRange<'a>],
    /// As [`Scan::column_ranges`].
    pub column_ranges: &'a [ColumnRange<'a>],
    /// Whether no row can pass, since a parameter is NULL.
    pub is_empty: bool,
}

/// The parts of a stored table that a scan has to look at when parameters have these values; what is made lives in `arena`.
///
/// # Errors
/// The arena's budget has no room.
pub fn ranges_of_run<'a>(
    scan: &Scan<'a>,
    table: &StoredTable<'a>,
    parameters: &[Value<'a>],
    arena: &'a Arena,
) -> Result<RunRanges<'a>, AllocError> {
    if parameters.is_empty() {
        return Ok(RunRanges { ranges: scan.ranges, column_ranges: scan.column_ranges, is_empty: false });
    }
    let (columns, parameters) = (Columns::Read(scan.projection), Parameters::Known(parameters));
    let given = Given { columns, parameters };
    let is_empty = scan.conjuncts.iter().any(|conjunct| compares_with_null(conjunct, given));
    let key = scan.index.map_or(table.key, |used| used.index.key);
    let ranges = key_ranges(key, scan.conjuncts, given, arena)?;
    let column_ranges = match scan.index {
        None if !is_by_key(ranges, table) => column_ranges(table, scan.conjuncts, given, arena)?,
        _ => &[],
    };
    Ok(RunRanges { ranges, column_ranges, is_empty })
}

/// Whether ranges of a table's key are whole keys: such rows are left out by nothing else.
pub(super) fn is_by_key(ranges: &[KeyRange<'_>], table: &StoredTable<'_>) -> bool {
    let is_whole = |range: &KeyRange<'_>| range.prefix.len() == table.key.len();
    !table.key.is_empty() && !ranges.is_empty() && ranges.iter().all(is_whole)
}

/// Whether it is a comparison that is true for no row, since what it compares with is NULL.
fn compares_with_null<'a>(conjunct: &Expr<'a>, given: Given<'_, 'a>) -> bool {
    let is_null = |expr: &Expr<'a>| {
        matches!(expr.kind, ExprKind::Parameter(_)) && given.value(expr).is_some_and(|value| value.is_null())
    };
    match conjunct.kind {
        ExprKind::Binary { op, left, right } => {
            op.is_comparison()
                && !matches!(op, BinaryOp::IsDistinctFrom | BinaryOp::IsNotDistinctFrom)
                && (is_null(left) || is_null(right))
        }
        ExprKind::Between { low, high, negated: false, .. } => is_null(low) || is_null(high),
        ExprKind::InList { list, negated: false, .. } => {
            list.iter().all(|item| given.value(item).is_some_and(|value| value.is_null()))
        }
        _ => false,
    }
}

/// Which conjuncts narrow the first columns of a key.
pub(super) fn bounds_of<'c>(
    key: &[KeyColumn],
    conjuncts: &[&'c Expr<'c>],
    given: Given<'_, '_>,
    scratch: &'c Arena,
) -> Result<&'c [&'c Expr<'c>], AllocError> {
    let mut found: Vec<'c, &'c Expr<'c>> = Vec::new_in(scratch);
    for conjunct in conjuncts {
        let narrows = |part: &KeyColumn| {
            equal_to(part.column, &[conjunct], given).is_some() || is_bounded(part.column, &[conjunct], given)
        };
        if key.iter().any(narrows) {
            found.push(conjunct)?;
        }
    }
    Ok(found.into_slice())
}

/// Whether the conjuncts give bounds for a column.
fn is_bounded(column: u32, conjuncts: &[&Expr<'_>], given: Given<'_, '_>) -> bool {
    limits(column, conjuncts, given).next().is_some()
}

/// The constant that a column equals, NULL too.
pub(super) fn equal_to<'a>(column: u32, conjuncts: &[&Expr<'a>], given: Given<'_, 'a>) -> Option<Value<'a>> {
    conjuncts.iter().find_map(|conjunct| match conjunct.kind {
        ExprKind::Unary { op: UnaryOp::IsNull, arg } if given.is_column(arg, column) => Some(Value::Null),
        ExprKind::Binary { op: BinaryOp::IsNotDistinctFrom, left, right } => {
            match (given.is_column(left, column), given.is_column(right, column)) {
                (true, _) => given.value_or_null(right),
                (_, true) => given.value_or_null(left),
                _ => None,
            }
        }
        _ => limits_of(conjunct, column, given).into_iter().flatten().find_map(Limit::equal),
    })
}

/// Each prefix with each of the values behind it.
fn longer<'a>(
    prefixes: &[&'a [Value<'a>]],
    values: &[Value<'a>],
    arena: &'a Arena,
) -> Result<&'a [&'a [Value<'a>]], AllocError> {
    let mut list: Vec<'a, &'a [Value<'a>]> = Vec::with_capacity_in(prefixes.len() * values.len(), arena)?;
    for prefix in prefixes {
        for value in values {
            let longer = prefix.iter().copied().chain([*value]);
            let mut with: Vec<'a, Value<'a>> = Vec::with_capacity_in(prefix.len() + 1, arena)?;
            with.extend(longer)?;
            list.push(with.into_slice())?;
        }
    }
    Ok(list.into_slice())
}

/// The list of what a conjunct has a column equal one of.
fn list_of<'a>(conjunct: &Expr<'a>, column: u32, given: Given<'_, 'a>) -> Option<&'a [&'a Expr<'a>]> {
    match conjunct.kind {
        ExprKind::InList { arg, list, negated: false } if given.is_column(arg, column) => {
            list.iter().all(|item| given.value(item).is_some()).then_some(list)
        }
        _ => None,
    }
}

/// The distinct constants of a list that are not NULL, in the order of a key; `None` if there are none or too many.
fn distinct_values<'a>(
    list: &[&Expr<'a>],
    descending: bool,
    given: Given<'_, 'a>,
    arena: &'a Arena,
) -> Result<Option<&'a [Value<'a>]>, AllocError> {
    if list.len() > RANGES_MAX {
        return Ok(None);
    }
    let mut values: Vec<'a, Value<'a>> = Vec::with_capacity_in(list.len(), arena)?;
    values.extend(list.iter().filter_map(|item| given.constant(item)))?;
    values.sort_unstable_by(|a, b| if descending { b.total_cmp(a) } else { a.total_cmp(b) });
    let mut kept = 0;
    for index in 0..values.len() {
        if kept == 0 || values[kept - 1].total_cmp(&values[index]).is_ne() {
            values[kept] = values[index];
            kept += 1;
        }
    }
    values.truncate(kept);
    Ok(if values.is_empty() { None } else { Some(values.into_slice()) })
}

/// What the conjuncts say of each column by itself, columns of which they say nothing left out.
pub(super) fn column_ranges<'a>(
    table: &StoredTable<'a>,
    conjuncts: &[&Expr<'a>],
    given: Given<'_, 'a>,
    arena: &'a Arena,
) -> Result<&'a [ColumnRange<'a>], AllocError> {
    let given = if let Parameters::Later = given.parameters { given.constants() } else { given };
    let mut ranges = Vec::new_in(arena);
    if conjuncts.is_empty() {
        return Ok(&[]);
    }
    for column in 0..table.columns.len() as u32 {
        let (lower, upper) = tightest(limits(column, conjuncts, given));
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

/// What conjuncts say about a column.
fn limits<'c, 'a>(
    column: u32,
    conjuncts: &'c [&Expr<'a>],
    given: Given<'c, 'a>,
) -> impl Iterator<Item = Limit<'a>> + 'c {
    conjuncts.iter().flat_map(move |conjunct| limits_of(conjunct, column, given)).flatten()
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
