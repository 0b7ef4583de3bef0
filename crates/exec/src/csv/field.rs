//! Fields of a file to values of a column: one loop per type, over the rows that are still wanted.

use cofferdam_types::{Date, Error, Type, number};

use super::split::NULL_VIEW;
use crate::batch::{Element, Rows, TextView, Vector, pack_interval};

/// A field that is no value of its column's type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BadField {
    /// The row of the batch.
    pub(crate) row: usize,
    pub(crate) error: FieldError,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FieldError {
    Value(Error),
    /// The first byte that is not UTF-8, as a position in the window.
    Utf8(usize),
}

/// Converts the fields of `rows` to the column's type. `views` point into `window`; fields are checked to be UTF-8
/// unless the window `is_ascii`.
pub(crate) fn convert(
    views: &[TextView],
    window: &[u8],
    is_ascii: bool,
    rows: Rows<'_>,
    ty: Type,
    vector: &mut Vector<'_>,
) -> Result<(), BadField> {
    match ty {
        Type::Boolean => each(views, window, rows, vector, number::parse_bool),
        Type::Integer => each(views, window, rows, vector, number::parse_i32),
        Type::BigInt => each(views, window, rows, vector, number::parse_i64),
        Type::Decimal { precision, scale } if precision <= crate::batch::Kind::I64_DIGITS => {
            each(views, window, rows, vector, |text| {
                // At most 18 digits, so the cast keeps the value.
                number::parse_unscaled_exact(text, precision, scale).map(|value| value as i64)
            })
        }
        Type::Decimal { precision, scale } => {
            each(views, window, rows, vector, |text| number::parse_unscaled_exact(text, precision, scale))
        }
        Type::Double => each(views, window, rows, vector, number::parse_f64),
        Type::Date => each(views, window, rows, vector, |text| Date::parse(text).map(Date::days)),
        Type::Interval => each(views, window, rows, vector, |text| {
            // Bytes that are not UTF-8 are no interval; the empty text says so.
            let text = core::str::from_utf8(text).unwrap_or_default();
            cofferdam_types::Interval::parse(text).map(pack_interval)
        }),
        Type::Text | Type::Unknown => texts(views, window, is_ascii, rows, vector),
    }
}

/// Converts with `parse`, and marks fields that are NULL: those that have no text, and those of blanks alone, which
/// programs that quote everything write for it.
#[inline(always)]
fn each<T: Element>(
    views: &[TextView],
    window: &[u8],
    rows: Rows<'_>,
    vector: &mut Vector<'_>,
    parse: impl Fn(&[u8]) -> Result<T, Error>,
) -> Result<(), BadField> {
    vector.all_valid = true;
    let values = T::write(&mut vector.data);
    let (mut nulls, mut blanks) = (0usize, 0usize);
    rows.try_for_each(|row| {
        let view = views[row];
        if view == NULL_VIEW {
            nulls += 1;
            return Ok(());
        }
        match parse(view.of(window)) {
            Ok(value) => {
                values[row] = value;
                Ok(())
            }
            Err(_) if is_blank(view, window) => {
                blanks += 1;
                Ok(())
            }
            Err(error) => Err(BadField { row, error: FieldError::Value(error) }),
        }
    })?;
    mark_nulls(views, rows, vector, nulls);
    if blanks > 0 {
        vector.all_valid = false;
        rows.for_each(|row| vector.valid[row] = !is_blank(views[row], window));
    }
    Ok(())
}

fn is_blank(view: TextView, window: &[u8]) -> bool {
    view == NULL_VIEW || view.of(window).trim_ascii().is_empty()
}

fn texts(
    views: &[TextView],
    window: &[u8],
    is_ascii: bool,
    rows: Rows<'_>,
    vector: &mut Vector<'_>,
) -> Result<(), BadField> {
    vector.all_valid = true;
    let texts = TextView::write(&mut vector.data);
    let mut nulls = 0;
    rows.try_for_each(|row| {
        let view = views[row];
        nulls += usize::from(view == NULL_VIEW);
        texts[row] = view;
        match is_ascii {
            true => Ok(()),
            false => check_utf8(view, window).map_err(|at| BadField { row, error: FieldError::Utf8(at) }),
        }
    })?;
    mark_nulls(views, rows, vector, nulls);
    Ok(())
}

fn check_utf8(view: TextView, window: &[u8]) -> Result<(), usize> {
    match core::str::from_utf8(view.of(window)) {
        Ok(_) => Ok(()),
        Err(error) => Err(view.start as usize + error.valid_up_to()),
    }
}

fn mark_nulls(views: &[TextView], rows: Rows<'_>, vector: &mut Vector<'_>, nulls: usize) {
    if nulls > 0 {
        vector.all_valid = false;
        rows.for_each(|row| vector.valid[row] = views[row] != NULL_VIEW);
    }
}
