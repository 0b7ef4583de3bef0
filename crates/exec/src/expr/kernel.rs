//! Loops over columns: the shapes that all operations share.
//!
//! A loop is made for each operation and shape of its operands (column with column, column with constant), so that
//! decisions stand outside of it. Values of rows that are NULL are computed like others and forgotten, except where
//! computing may fail: a failure counts only if the result would not be NULL.

use core::cmp::Ordering;

use crate::batch::{Element, Rows, Source, Vector};

/// `out[i] = f(a[i])`.
#[inline(always)]
pub(crate) fn map1<A: Copy, R: Copy>(rows: Rows<'_>, a: Source<'_, A>, out: &mut [R], f: impl Fn(A) -> R) {
    match (a, rows) {
        (Source::Rows(a), Rows::All(count)) => {
            for (out, &a) in out[..count].iter_mut().zip(&a[..count]) {
                *out = f(a);
            }
        }
        (Source::Rows(a), Rows::Some(rows)) => {
            for &row in rows {
                out[usize::from(row)] = f(a[usize::from(row)]);
            }
        }
        (Source::Constant(a), rows) => {
            let value = f(a);
            rows.for_each(|row| out[row] = value);
        }
    }
}

/// `out[i] = f(a[i], b[i])`.
#[inline(always)]
pub(crate) fn map2<A: Copy, B: Copy, R: Copy>(
    rows: Rows<'_>,
    a: Source<'_, A>,
    b: Source<'_, B>,
    out: &mut [R],
    f: impl Fn(A, B) -> R,
) {
    match (a, b, rows) {
        (Source::Rows(a), Source::Rows(b), Rows::All(count)) => {
            for ((out, &a), &b) in out[..count].iter_mut().zip(&a[..count]).zip(&b[..count]) {
                *out = f(a, b);
            }
        }
        (Source::Rows(_), Source::Constant(b), rows) => map1(rows, a, out, |a| f(a, b)),
        (Source::Constant(a), Source::Rows(_), rows) => map1(rows, b, out, |b| f(a, b)),
        (a, b, rows) => rows.for_each(|row| out[row] = f(a.get(row), b.get(row))),
    }
}

/// `out[i] = f(a[i])` where `f` may have no result.
///
/// # Errors
/// The first row without a result that is valid in `out`.
#[inline(always)]
pub(crate) fn try1<A: Copy, R: Element>(
    rows: Rows<'_>,
    a: Source<'_, A>,
    out: &mut Vector<'_>,
    f: impl Fn(A) -> Option<R>,
) -> Result<(), usize> {
    let valid: &[bool] = if out.all_valid { &[] } else { out.valid };
    let values = R::write(&mut out.data);
    match a {
        Source::Rows(a) => rows.try_for_each(|row| store(f(a[row]), row, valid, values)),
        Source::Constant(a) => rows.try_for_each(|row| store(f(a), row, valid, values)),
    }
}

/// `out[i] = f(a[i], b[i])` where `f` may have no result.
///
/// # Errors
/// The first row without a result that is valid in `out`.
#[inline(always)]
pub(crate) fn try2<A: Copy, B: Copy, R: Element>(
    rows: Rows<'_>,
    a: Source<'_, A>,
    b: Source<'_, B>,
    out: &mut Vector<'_>,
    f: impl Fn(A, B) -> Option<R>,
) -> Result<(), usize> {
    match (a, b) {
        (Source::Rows(a), Source::Rows(b)) => {
            let valid: &[bool] = if out.all_valid { &[] } else { out.valid };
            let values = R::write(&mut out.data);
            rows.try_for_each(|row| store(f(a[row], b[row]), row, valid, values))
        }
        (a, Source::Constant(b)) => try1(rows, a, out, |a| f(a, b)),
        (Source::Constant(a), b) => try1(rows, b, out, |b| f(a, b)),
    }
}

/// Keeps a result; `valid` is empty if all rows are.
#[inline(always)]
fn store<R: Element>(result: Option<R>, row: usize, valid: &[bool], values: &mut [R]) -> Result<(), usize> {
    match result {
        Some(value) => values[row] = value,
        None if valid.is_empty() || valid[row] => return Err(row),
        None => values[row] = R::default(),
    }
    Ok(())
}

/// Marks a row of `out` valid where it is valid in `a`.
pub(crate) fn validity1(rows: Rows<'_>, a: &Vector<'_>, out: &mut Vector<'_>) {
    out.all_valid = a.all_valid;
    if !a.all_valid {
        rows.for_each(|row| out.valid[row] = a.is_valid(row));
    }
}

/// Marks a row of `out` valid where it is valid in `a` and in `b`.
pub(crate) fn validity2(rows: Rows<'_>, a: &Vector<'_>, b: &Vector<'_>, out: &mut Vector<'_>) {
    out.all_valid = a.all_valid && b.all_valid;
    if !out.all_valid {
        rows.for_each(|row| out.valid[row] = a.is_valid(row) && b.is_valid(row));
    }
}

/// Comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Comparison {
    /// Whether values of this order satisfy the comparison.
    #[inline(always)]
    pub(crate) fn holds(self, order: Ordering) -> bool {
        match self {
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterEqual => order.is_ge(),
        }
    }
}

/// A type with the order of SQL.
pub(crate) trait SqlOrd: Copy {
    fn eq(self, other: Self) -> bool;
    fn lt(self, other: Self) -> bool;

    #[inline(always)]
    fn order(self, other: Self) -> Ordering {
        if self.lt(other) {
            Ordering::Less
        } else if self.eq(other) {
            Ordering::Equal
        } else {
            Ordering::Greater
        }
    }
}

macro_rules! sql_ord {
    ($($ty:ty),*) => {$(
        impl SqlOrd for $ty {
            #[inline(always)]
            fn eq(self, other: $ty) -> bool { self == other }
            #[inline(always)]
            fn lt(self, other: $ty) -> bool { self < other }
        }
    )*};
}
sql_ord!(bool, i32, i64, i128);

/// NaN equals itself and is greater than all other numbers.
impl SqlOrd for f64 {
    #[inline(always)]
    fn eq(self, other: f64) -> bool {
        self == other || (self.is_nan() && other.is_nan())
    }
    #[inline(always)]
    fn lt(self, other: f64) -> bool {
        self < other || (other.is_nan() && !self.is_nan())
    }
}

/// `out[i] = a[i] op b[i]`.
#[inline(always)]
pub(crate) fn compare<T: SqlOrd>(
    op: Comparison,
    rows: Rows<'_>,
    a: Source<'_, T>,
    b: Source<'_, T>,
    out: &mut [bool],
) {
    match op {
        Comparison::Equal => map2(rows, a, b, out, |a, b| a.eq(b)),
        Comparison::NotEqual => map2(rows, a, b, out, |a, b| !a.eq(b)),
        Comparison::Less => map2(rows, a, b, out, |a, b| a.lt(b)),
        Comparison::LessEqual => map2(rows, a, b, out, |a, b| !b.lt(a)),
        Comparison::Greater => map2(rows, a, b, out, |a, b| b.lt(a)),
        Comparison::GreaterEqual => map2(rows, a, b, out, |a, b| !a.lt(b)),
    }
}
