//! Fields of a file to values of a column: one loop per type, over the rows that are still wanted.

use cofferdam_arena::AllocError;
use cofferdam_arena::collections::Vec;
use cofferdam_functions::{Output, Problem};
use cofferdam_types::column::bytes_of;
use cofferdam_types::moment::{parse_date, parse_time, parse_timestamp, parse_timestamptz};
use cofferdam_types::{Date, Decimal, Error, Session, Time, Timestamp, Type, Uuid, Value, number};

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

/// The fields of one column of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'f> {
    /// By row; they point into `window`.
    pub(crate) views: &'f [TextView],
    pub(crate) window: &'f [u8],
    /// Whether all of the window is; otherwise texts are checked to be UTF-8.
    pub(crate) is_ascii: bool,
    /// See `FieldRules::is_assigned`.
    pub(crate) is_assigned: bool,
}

/// Whether values of the type are bytes that are not those of the fields.
pub(crate) const fn is_made(ty: Type) -> bool {
    matches!(ty, Type::Numeric | Type::Bytea | Type::Json | Type::Jsonb | Type::Array(_))
}

/// Converts fields to values of a type whose bytes are made; they go to `heap`.
///
/// # Errors
/// The budget refuses; within, a field that is no value, as [`convert`] says.
pub(crate) fn make<'a>(
    fields: Fields<'_>,
    rows: Rows<'_>,
    ty: Type,
    session: &Session<'_>,
    vector: &mut Vector<'_>,
    heap: &mut Vec<'a, u8>,
) -> Result<Result<(), BadField>, AllocError> {
    let Fields { views, window, is_assigned, .. } = fields;
    heap.clear();
    vector.all_valid = false;
    let texts = TextView::write(&mut vector.data);
    for index in 0..rows.len() {
        let row = rows.nth(index);
        let field = views[row];
        vector.valid[row] = field != NULL_VIEW && (is_assigned || !is_blank(field, window));
        if !vector.valid[row] {
            continue;
        }
        let text = match core::str::from_utf8(field.of(window)) {
            Ok(text) => text,
            Err(error) => {
                let error = FieldError::Utf8(field.start as usize + error.valid_up_to());
                return Ok(Err(BadField { row, error }));
            }
        };
        let start = heap.len();
        match cofferdam_functions::convert(Value::Text(text), ty, session, heap) {
            Ok(Output::Written) => {}
            Ok(Output::Value(value)) => {
                let mut compact = [0; Decimal::COMPACT_BYTES_MAX];
                heap.extend_from_slice(bytes_of(value, &mut compact))?;
            }
            Err(Problem::Value(error)) => return Ok(Err(BadField { row, error: FieldError::Value(error) })),
            Err(Problem::OutOfMemory(error)) => return Err(error),
            Err(_) => return Err(AllocError),
        }
        let place = u32::try_from(start).ok().zip(u32::try_from(heap.len() - start).ok());
        let (start, len) = place.ok_or(AllocError)?;
        texts[row] = TextView { start, len };
    }
    Ok(Ok(()))
}

/// Converts the fields of `rows` to the column's type.
pub(crate) fn convert(
    fields: Fields<'_>,
    rows: Rows<'_>,
    ty: Type,
    session: &Session<'_>,
    vector: &mut Vector<'_>,
) -> Result<(), BadField> {
    match ty {
        Type::Boolean => each(fields, rows, vector, number::parse_bool),
        Type::Integer => each(fields, rows, vector, number::parse_i32),
        Type::BigInt => each(fields, rows, vector, number::parse_i64),
        Type::Decimal { precision, scale } => decimals(fields, rows, precision, scale, vector),
        Type::Double => each(fields, rows, vector, number::parse_f64),
        Type::Date => each(fields, rows, vector, |text| {
            Date::parse(text).or_else(|_| parse_date(text, session)).map(Date::days)
        }),
        Type::Interval => each(fields, rows, vector, |text| {
            // Bytes that are not UTF-8 are no interval; the empty text says so.
            let text = core::str::from_utf8(text).unwrap_or_default();
            cofferdam_types::Interval::parse(text).map(pack_interval)
        }),
        Type::SmallInt => each(fields, rows, vector, |text| number::parse_i16(text).map(i32::from)),
        Type::Real => each(fields, rows, vector, |text| number::parse_f32(text).map(f64::from)),
        Type::Uuid => each(fields, rows, vector, |text| Uuid::parse(text).map(Uuid::to_ordered)),
        Type::Text | Type::Char | Type::Unknown => texts(fields, rows, vector),
        Type::Time => each(fields, rows, vector, |text| parse_time(text, session).map(Time::micros)),
        Type::Timestamp => {
            each(fields, rows, vector, |text| parse_timestamp(text, session).map(Timestamp::micros))
        }
        Type::TimestampTz => {
            each(fields, rows, vector, |text| parse_timestamptz(text, session).map(Timestamp::micros))
        }
        Type::Numeric | Type::Bytea | Type::Json | Type::Jsonb | Type::Array(_) => {
            unreachable!("the values of {ty} are made")
        }
    }
}

fn decimals(
    fields: Fields<'_>,
    rows: Rows<'_>,
    precision: u8,
    scale: u8,
    vector: &mut Vector<'_>,
) -> Result<(), BadField> {
    let rounded = |text: &[u8]| number::parse_unscaled(text, precision, scale);
    let exact = |text: &[u8]| number::parse_unscaled_exact(text, precision, scale);
    // At most 18 digits, so the casts keep the value.
    match (precision <= crate::batch::Kind::I64_DIGITS, fields.is_assigned) {
        (true, true) => each(fields, rows, vector, |text| rounded(text).map(|value| value as i64)),
        (true, false) => each(fields, rows, vector, |text| exact(text).map(|value| value as i64)),
        (false, true) => each(fields, rows, vector, rounded),
        (false, false) => each(fields, rows, vector, exact),
    }
}

/// Converts with `parse`, and marks fields that are NULL: those that have no text, and, unless they are assigned, those of
/// blanks alone, which programs that quote everything write for it.
#[inline(always)]
fn each<T: Element>(
    fields: Fields<'_>,
    rows: Rows<'_>,
    vector: &mut Vector<'_>,
    parse: impl Fn(&[u8]) -> Result<T, Error>,
) -> Result<(), BadField> {
    let Fields { views, window, is_assigned, .. } = fields;
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
            Err(_) if !is_assigned && is_blank(view, window) => {
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

fn texts(fields: Fields<'_>, rows: Rows<'_>, vector: &mut Vector<'_>) -> Result<(), BadField> {
    let Fields { views, window, is_ascii, .. } = fields;
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
