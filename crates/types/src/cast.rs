//! Conversions of values between types, with PostgreSQL's results and errors.
//!
//! [`cast_context`] says which casts there are and what must be written for them; [`cast`] makes one. A text casts to
//! every type by being read, and every value casts to text by being printed. Beside these:
//!
//! | from | to |
//! |---|---|
//! | numbers | numbers: half away from zero from numeric, half to even from floating point, which gives numeric 15 or 6 digits |
//! | boolean | integer, and back |
//! | date | timestamps: its midnight |
//! | timestamp | date, time, timestamp with time zone by the session's zone |
//! | timestamp with time zone | date, time, timestamp: those of the session's zone |
//! | time | interval, and back |
//! | json | jsonb, and back |
//! | jsonb | boolean and numbers, where it is one |
//! | arrays | arrays whose elements cast |
//!
//! NULL casts to everything. What has to be made (a text, bytes, JSON in its normal form, an array) is written to a
//! [`Buffer`] of the caller.
//!
//! Lengths and digits that are no part of a type are applied by [`limit_characters`], [`pad_characters`] and
//! [`round_seconds`].

use core::fmt::Write as _;

use crate::moment::{parse_date, parse_time, parse_timestamp, parse_timestamptz};
use crate::text::Printing;
use crate::time::DAY_MICROS;
use crate::value::trim_blanks;
use crate::{
    ArrayRef, Buffer, Decimal, Element, Error, Interval, Session, TextBuffer, Time, Timestamp, Type, Uuid,
    Value, array, json, number,
};

/// What must be written for a cast.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CastContext {
    /// Nothing.
    Implicit,
    /// Nothing where a value is stored in a column.
    Assignment,
    /// The cast.
    Explicit,
}

/// Which context a cast needs, as in PostgreSQL's `pg_cast` and its rules for casts by way of text; `None` where there is no cast.
pub fn cast_context(from: Type, to: Type) -> Option<CastContext> {
    use CastContext::{Assignment, Explicit, Implicit};
    use Type::{
        Array, BigInt, Boolean, Char, Date, Decimal, Integer, Interval, Json, Jsonb, Numeric, Real, SmallInt,
        Text, Time, Timestamp, TimestampTz, Unknown,
    };
    Some(match (from, to) {
        _ if from == to => Implicit,
        (Unknown, _) | (Text | Char, Text | Char) => Implicit,
        (Array(from), Array(to)) => return cast_context_of_scalars(from.ty(), to.ty()),
        _ if from.is_numeric() && to.is_numeric() => {
            if number_rank(from) <= number_rank(to) {
                Implicit
            } else {
                Assignment
            }
        }
        (Boolean, Integer) | (Integer, Boolean) => Explicit,
        (Date, Timestamp | TimestampTz) | (Timestamp, TimestampTz) | (Time, Interval) => Implicit,
        (Timestamp, Date | Time) | (TimestampTz, Date | Time | Timestamp) | (Interval, Time) => Assignment,
        (Json, Jsonb) | (Jsonb, Json) => Assignment,
        (Jsonb, Boolean | SmallInt | Integer | BigInt | Decimal { .. } | Numeric | Real | Type::Double) => {
            Explicit
        }
        (_, Text | Char) => Assignment,
        (Text | Char, _) => Explicit,
        _ => return None,
    })
}

/// As [`cast_context`], of types that are no arrays: so nothing recurses.
fn cast_context_of_scalars(from: Type, to: Type) -> Option<CastContext> {
    if matches!(from, Type::Array(_)) || matches!(to, Type::Array(_)) { None } else { cast_context(from, to) }
}

/// The order in which numbers become each other without a cast.
const fn number_rank(ty: Type) -> u8 {
    match ty {
        Type::SmallInt => 0,
        Type::Integer => 1,
        Type::BigInt => 2,
        Type::Decimal { .. } | Type::Numeric => 3,
        Type::Real => 4,
        _ => 5,
    }
}

/// Whether `CAST(from AS to)` exists.
pub fn can_cast(from: Type, to: Type) -> bool {
    to == Type::Unknown || cast_context(from, to).is_some()
}

/// The value as one of type `to`, in a session in UTC. See [`cast_in`].
///
/// # Errors
/// Those of [`cast_in`].
pub fn cast<'a, B: Buffer>(value: Value<'a>, to: Type, buffer: &'a mut B) -> Result<Value<'a>, Error> {
    cast_in(value, to, &Session::UTC, buffer)
}

/// The value as one of type `to`, as an explicit cast makes it. What has to be made stands in `buffer`, whose former content goes.
///
/// A cast to [`Type::Unknown`] gives the value as it is.
///
/// # Errors
/// [`Error::CannotCast`] when there is no such cast, [`Error::InvalidText`] for text that is no value of the type,
/// [`Error::OutOfRange`], [`Error::NumericOverflow`] and [`Error::DatetimeOverflow`] for values it cannot hold; those of
/// the buffer.
pub fn cast_in<'a, B: Buffer>(
    value: Value<'a>,
    to: Type,
    session: &Session<'_>,
    buffer: &'a mut B,
) -> Result<Value<'a>, Error> {
    match (value, to) {
        (Value::Null, _) => Ok(Value::Null),
        (value, Type::Unknown) => Ok(value),
        (Value::Text(text), Type::Text) => Ok(Value::Text(text)),
        (Value::Text(text) | Value::Char(text), Type::Char) => Ok(Value::Char(text)),
        (Value::Char(text), Type::Text) => Ok(Value::Text(trim_blanks(text))),
        (Value::Json(text) | Value::Jsonb(text), Type::Text) => Ok(Value::Text(text)),
        (Value::Jsonb(text), Type::Json) => Ok(Value::Json(text)),
        (Value::Json(text), Type::Jsonb) => read_in(text, to, session, buffer),
        (Value::Text(text), ty) => read_in(text, ty, session, buffer),
        (Value::Char(text), ty) => read_in(trim_blanks(text), ty, session, buffer),
        (Value::Array(from), Type::Array(element)) if from.element() != element => {
            cast_array(from, element, session, buffer)
        }
        (value, Type::Text | Type::Char) => {
            buffer.truncate(0);
            print(value, session, buffer)?;
            let text = core::str::from_utf8(buffer.as_bytes()).unwrap_or_default();
            Ok(if to == Type::Text { Value::Text(text) } else { Value::Char(text) })
        }
        (value, ty) => {
            convert(value, ty, session).unwrap_or(Err(Error::CannotCast { from: value.ty(), to: ty }))
        }
    }
}

/// Prints a value that is no text as a cast does: booleans are spelled out, while a result shows one letter.
fn print<B: Buffer>(value: Value<'_>, session: &Session<'_>, buffer: &mut B) -> Result<(), Error> {
    let mut out = Printing { buffer, refused: None };
    let printed = match value {
        Value::Boolean(value) => write!(out, "{value}"),
        value => write_text(value, session, &mut out),
    };
    let unknown = Error::BufferTooSmall { needed_bytes: 0, given_bytes: 0 };
    printed.map_err(|_| out.refused.unwrap_or(unknown))
}

/// Writes the text form of a value that is not NULL; timestamps with time zone are shown in the zone of the session.
///
/// # Errors
/// Those of `out`.
pub fn write_text(
    value: Value<'_>,
    session: &Session<'_>,
    out: &mut impl core::fmt::Write,
) -> core::fmt::Result {
    match value {
        Value::TimestampTz(instant) => {
            let offset = session.zones.offset_at(None, instant).unwrap_or(0);
            out.write_str(instant.to_text_at(offset).as_str())
        }
        value => write!(out, "{value}"),
    }
}

/// The value that a text names, of a type that needs no buffer and no session.
///
/// # Errors
/// Those of [`cast_in`]; [`Error::BufferTooSmall`] for bytes, JSON and arrays.
pub fn read(text: &str, ty: Type) -> Result<Value<'_>, Error> {
    read_fixed(text, ty, &Session::UTC)
}

fn read_fixed<'a>(text: &'a str, ty: Type, session: &Session<'_>) -> Result<Value<'a>, Error> {
    let bytes = text.as_bytes();
    Ok(match ty {
        Type::Boolean => Value::Boolean(number::parse_bool(bytes)?),
        Type::SmallInt => Value::SmallInt(number::parse_i16(bytes)?),
        Type::Integer => Value::Integer(number::parse_i32(bytes)?),
        Type::BigInt => Value::BigInt(number::parse_i64(bytes)?),
        Type::Decimal { precision, scale } => {
            Value::Decimal(Decimal::new(number::parse_unscaled(bytes, precision, scale)?, scale)?)
        }
        Type::Numeric => Value::Decimal(Decimal::parse(bytes)?),
        Type::Real => Value::Real(number::parse_f32(bytes)?),
        Type::Double => Value::Double(number::parse_f64(bytes)?),
        Type::Date => Value::Date(parse_date(bytes, session)?),
        Type::Time => Value::Time(parse_time(bytes, session)?),
        Type::Timestamp => Value::Timestamp(parse_timestamp(bytes, session)?),
        Type::TimestampTz => Value::TimestampTz(parse_timestamptz(bytes, session)?),
        Type::Interval => Value::Interval(Interval::parse(text)?),
        Type::Uuid => Value::Uuid(Uuid::parse(bytes)?),
        Type::Text | Type::Unknown => Value::Text(text),
        Type::Char => Value::Char(text),
        Type::Json => {
            json::check(text)?;
            Value::Json(text)
        }
        Type::Bytea | Type::Jsonb | Type::Array(_) => {
            return Err(Error::BufferTooSmall {
                needed_bytes: crate::error::saturate(bytes.len()),
                given_bytes: 0,
            });
        }
    })
}

/// The value that a text names.
///
/// # Errors
/// Those of [`cast_in`].
pub fn read_in<'a, B: Buffer>(
    text: &'a str,
    ty: Type,
    session: &Session<'_>,
    buffer: &'a mut B,
) -> Result<Value<'a>, Error> {
    match ty {
        Type::Bytea => {
            buffer.truncate(0);
            read_bytea(text, buffer)?;
            Ok(Value::Bytea(buffer.as_bytes()))
        }
        Type::Jsonb => {
            buffer.truncate(0);
            json::normalize(text, buffer)?;
            Ok(Value::Jsonb(core::str::from_utf8(buffer.as_bytes()).unwrap_or_default()))
        }
        Type::Array(element) => {
            buffer.truncate(0);
            array::read(text, element, session, buffer)?;
            ArrayRef::new(buffer.as_bytes(), element).map(Value::Array)
        }
        ty => read_fixed(text, ty, session),
    }
}

/// Appends the bytes that a text names: `\x` and digits, or bytes with `\\` and `\nnn` for some of them.
///
/// # Errors
/// [`Error::InvalidText`]; those of the buffer.
pub(crate) fn read_bytea<B: Buffer>(text: &str, buffer: &mut B) -> Result<(), Error> {
    let bytes = text.as_bytes();
    let fault = |at, reason| Error::invalid(Type::Bytea, bytes, at, reason);
    if let Some(digits) = bytes.strip_prefix(b"\\x") {
        let mut high = None;
        for (index, byte) in digits.iter().enumerate() {
            match (char::from(*byte).to_digit(16), high) {
                (Some(digit), None) => high = Some(digit as u8),
                (Some(digit), Some(first)) => {
                    buffer.push_bytes(&[first << 4 | digit as u8])?;
                    high = None;
                }
                // Between bytes there may be white space.
                (None, None) if array::is_space(*byte) => {}
                (None, _) => return Err(fault(2 + index, "expected a hexadecimal digit").hexadecimal()),
            }
        }
        return if high.is_some() {
            Err(fault(bytes.len(), "odd number of digits").hexadecimal())
        } else {
            Ok(())
        };
    }
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let rest = bytes.get(at + 1..).unwrap_or(&[]);
        match (byte, rest) {
            (b'\\', [b'\\', ..]) => {
                buffer.push_bytes(b"\\")?;
                at += 2;
            }
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..]) => {
                buffer.push_bytes(&[(a - b'0') << 6 | (b - b'0') << 3 | (c - b'0')])?;
                at += 4;
            }
            (b'\\', _) => return Err(fault(at, "no such escape")),
            _ => {
                buffer.push_bytes(&[byte])?;
                at += 1;
            }
        }
    }
    Ok(())
}

/// An array with its elements cast.
fn cast_array<'a, B: Buffer>(
    from: ArrayRef<'_>,
    element: Element,
    session: &Session<'_>,
    buffer: &'a mut B,
) -> Result<Value<'a>, Error> {
    buffer.truncate(0);
    buffer.push_bytes(&crate::error::saturate(from.len()).to_le_bytes())?;
    for value in from.iter() {
        let mut made = TextBuffer::new();
        if matches!(value, Value::Array(_)) {
            return Err(Error::CannotCast { from: value.ty(), to: element.ty() });
        }
        let value = cast_scalar(value, element.ty(), session, &mut made)?;
        crate::row::encode_row(value, &mut |bytes: &[u8]| buffer.push_bytes(bytes))?;
    }
    ArrayRef::new(buffer.as_bytes(), element).map(Value::Array)
}

/// As [`cast_in`], for elements: what is made fits a small buffer, or is refused.
fn cast_scalar<'a>(
    value: Value<'a>,
    to: Type,
    session: &Session<'_>,
    buffer: &'a mut TextBuffer,
) -> Result<Value<'a>, Error> {
    match (value, to) {
        (Value::Text(text), Type::Text) | (Value::Char(text), Type::Char) if !text.is_empty() => {
            Ok(if to == Type::Text { Value::Text(text) } else { Value::Char(text) })
        }
        (_, Type::Array(_)) => Err(Error::CannotCast { from: value.ty(), to }),
        _ => cast_in(value, to, session, buffer),
    }
}

/// A text of at most `length` characters: cut where the cast is written; where a value is stored, only blanks may be lost.
///
/// # Errors
/// [`Error::TooLong`].
pub fn limit_characters(text: &str, length: u32, ty: Type, context: CastContext) -> Result<&str, Error> {
    let Some((end, _)) = text.char_indices().nth(length as usize) else { return Ok(text) };
    let (kept, lost) = text.split_at_checked(end).unwrap_or((text, ""));
    match context == CastContext::Explicit || trim_blanks(lost).is_empty() {
        true => Ok(kept),
        false => Err(Error::TooLong { ty, length }),
    }
}

/// A text of exactly `length` characters, with blanks behind it where it is shorter.
///
/// # Errors
/// Those of [`limit_characters`] and of the buffer.
pub fn pad_characters<'a, B: Buffer>(
    text: &'a str,
    length: u32,
    context: CastContext,
    buffer: &'a mut B,
) -> Result<&'a str, Error> {
    let kept = limit_characters(text, length, Type::Char, context)?;
    let missing = (length as usize).saturating_sub(kept.chars().count());
    if missing == 0 {
        return Ok(kept);
    }
    const BLANKS: [u8; 64] = [b' '; 64];
    buffer.truncate(0);
    buffer.push_bytes(kept.as_bytes())?;
    let mut left = missing;
    while left > 0 {
        let piece = left.min(BLANKS.len());
        buffer.push_bytes(BLANKS.get(..piece).unwrap_or(&BLANKS))?;
        left -= piece;
    }
    Ok(core::str::from_utf8(buffer.as_bytes()).unwrap_or_default())
}

/// A time, timestamp or interval with so many digits of seconds, at most 6; rounded half away from zero. Other values stay.
///
/// # Errors
/// [`Error::DatetimeOverflow`] outside of the type's range.
pub fn round_seconds(value: Value<'_>, digits: u8) -> Result<Value<'_>, Error> {
    let unit = 10i64.pow(6 - u32::from(digits.min(Type::SECONDS_DIGITS_MAX)));
    let round = |micros: i64| {
        let half = if micros < 0 { -(unit / 2) } else { unit / 2 };
        micros.saturating_add(half) / unit * unit
    };
    Ok(match value {
        Value::Time(time) => Value::Time(Time::from_micros(round(time.micros()))?),
        Value::Timestamp(moment) if !moment.is_infinite() => {
            Value::Timestamp(Timestamp::from_micros(round(moment.micros()))?)
        }
        Value::TimestampTz(moment) if !moment.is_infinite() => {
            Value::TimestampTz(Timestamp::from_micros(round(moment.micros()))?)
        }
        Value::Interval(interval) => Value::Interval(Interval { micros: round(interval.micros), ..interval }),
        other => other,
    })
}

/// Casts that neither read nor make text; nothing where there is none.
fn convert<'a>(value: Value<'a>, to: Type, session: &Session<'_>) -> Option<Result<Value<'a>, Error>> {
    let local = |instant| session.to_local(instant, None);
    let converted = match (value, to) {
        (Value::Date(date), Type::Timestamp) => {
            Timestamp::from_parts(date, Time::MIDNIGHT).map(Value::Timestamp)
        }
        (Value::Date(date), Type::TimestampTz) => Timestamp::from_parts(date, Time::MIDNIGHT)
            .and_then(|midnight| session.to_instant(midnight, None))
            .map(Value::TimestampTz),
        (Value::Timestamp(moment), Type::Date) => Ok(Value::Date(moment.date())),
        (Value::Timestamp(moment), Type::Time) => Ok(time_of(moment)),
        (Value::Timestamp(moment), Type::TimestampTz) => {
            session.to_instant(moment, None).map(Value::TimestampTz)
        }
        (Value::TimestampTz(instant), Type::Date) => local(instant).map(|moment| Value::Date(moment.date())),
        (Value::TimestampTz(instant), Type::Time) => local(instant).map(time_of),
        (Value::TimestampTz(instant), Type::Timestamp) => local(instant).map(Value::Timestamp),
        (Value::Time(time), Type::Interval) => {
            Ok(Value::Interval(Interval { months: 0, days: 0, micros: time.micros() }))
        }
        (Value::Interval(interval), Type::Time) => {
            Time::from_micros(interval.micros.rem_euclid(DAY_MICROS)).map(Value::Time)
        }
        (Value::Jsonb(_), Type::Jsonb) => Ok(value),
        (Value::Jsonb(text), to) => return of_jsonb(text, to, session),
        (Value::Boolean(_), Type::Boolean)
        | (Value::Integer(_), Type::Integer)
        | (Value::BigInt(_), Type::BigInt)
        | (Value::Double(_), Type::Double)
        | (Value::Date(_), Type::Date)
        | (Value::SmallInt(_), Type::SmallInt)
        | (Value::Decimal(_), Type::Numeric)
        | (Value::Real(_), Type::Real)
        | (Value::Char(_), Type::Char)
        | (Value::Bytea(_), Type::Bytea)
        | (Value::Time(_), Type::Time)
        | (Value::Timestamp(_), Type::Timestamp)
        | (Value::TimestampTz(_), Type::TimestampTz)
        | (Value::Uuid(_), Type::Uuid)
        | (Value::Json(_), Type::Json)
        | (Value::Interval(_), Type::Interval) => Ok(value),
        (Value::Array(array), Type::Array(element)) if array.element() == element => Ok(value),
        (value, Type::SmallInt) if value.ty().is_numeric() => to_smallint(value),
        (value, Type::Numeric) if value.ty().is_numeric() => match value {
            Value::Real(value) => Decimal::from_f32(value).map(Value::Decimal),
            Value::Double(value) => Decimal::from_f64(value).map(Value::Decimal),
            value => Ok(Value::Decimal(value.to_decimal()?)),
        },
        (value, Type::Real) if value.ty().is_numeric() => to_real(value),
        (Value::Boolean(value), Type::Integer) => Ok(Value::Integer(value.into())),
        (Value::Integer(value), Type::Boolean) => Ok(Value::Boolean(value != 0)),
        (value, Type::Integer) if value.ty().is_numeric() => to_integer(value),
        (value, Type::BigInt) if value.ty().is_numeric() => to_whole(value, Type::BigInt).map(Value::BigInt),
        (Value::Double(value), Type::Decimal { precision, scale }) => {
            Decimal::from_f64(value).and_then(|exact| exact.fit(precision, scale)).map(Value::Decimal)
        }
        (Value::Real(value), Type::Decimal { precision, scale }) => {
            Decimal::from_f32(value).and_then(|exact| exact.fit(precision, scale)).map(Value::Decimal)
        }
        (value, Type::Decimal { precision, scale }) => {
            value.to_decimal()?.fit(precision, scale).map(Value::Decimal)
        }
        (value, Type::Double) => Ok(Value::Double(value.to_f64()?)),
        _ => return None,
    };
    Some(converted)
}

/// The time of day of a moment; NULL of an infinite one.
fn time_of<'a>(moment: Timestamp) -> Value<'a> {
    if moment.is_infinite() { Value::Null } else { Value::Time(moment.time()) }
}

/// A boolean or a number of JSON.
fn of_jsonb<'a>(text: &str, to: Type, session: &Session<'_>) -> Option<Result<Value<'a>, Error>> {
    match (text, to) {
        (_, Type::Jsonb) => None,
        ("true" | "false", Type::Boolean) => Some(Ok(Value::Boolean(text == "true"))),
        (_, ty) if ty.is_numeric() => {
            let number = match Decimal::parse(text.as_bytes()) {
                Ok(number) => Value::Decimal(number),
                Err(_) => return Some(Err(Error::CannotCastJson { to })),
            };
            if to == Type::Numeric { Some(Ok(number)) } else { convert_number(number, to, session) }
        }
        (_, Type::Boolean) => Some(Err(Error::CannotCastJson { to })),
        _ => None,
    }
}

/// As [`convert`], of what is no JSON: so nothing recurses.
fn convert_number<'a>(
    number: Value<'a>,
    to: Type,
    session: &Session<'_>,
) -> Option<Result<Value<'a>, Error>> {
    if matches!(number, Value::Decimal(_)) { convert(number, to, session) } else { None }
}

fn to_smallint<'a>(value: Value<'a>) -> Result<Value<'a>, Error> {
    let whole = to_whole(value, Type::SmallInt)?;
    i16::try_from(whole).map(Value::SmallInt).map_err(|_| Error::out_of_range(Type::SmallInt, &[]))
}

/// The nearest number of 32 bits; one that would become infinite or zero is out of range.
fn to_real<'a>(value: Value<'a>) -> Result<Value<'a>, Error> {
    let out_of_range = || Error::out_of_range(Type::Real, &[]);
    let real = match value {
        Value::Real(value) => return Ok(Value::Real(value)),
        // Correctly rounded by way of the text: a double in between would round twice.
        Value::Decimal(value) => number::parse_f32(value.to_text().as_bytes()).map_err(|_| out_of_range())?,
        Value::SmallInt(value) => value.into(),
        Value::Integer(value) => value as f32,
        Value::BigInt(value) => value as f32,
        value => {
            let wide = value.to_f64().ok_or_else(out_of_range)?;
            let real = wide as f32;
            if (real.is_infinite() && wide.is_finite()) || (real == 0.0 && wide != 0.0) {
                return Err(out_of_range());
            }
            real
        }
    };
    Ok(Value::Real(real))
}

fn to_integer<'a>(value: Value<'a>) -> Result<Value<'a>, Error> {
    let whole = to_whole(value, Type::Integer)?;
    i32::try_from(whole).map(Value::Integer).map_err(|_| Error::out_of_range(Type::Integer, &[]))
}

/// The nearest whole number: half away from zero for decimals, half to even for doubles.
fn to_whole(value: Value<'_>, ty: Type) -> Result<i64, Error> {
    let whole = match value {
        Value::SmallInt(value) => Some(value.into()),
        Value::Integer(value) => Some(value.into()),
        Value::BigInt(value) => Some(value),
        Value::Real(value) => double_to_i64(value.into()),
        Value::Double(value) => double_to_i64(value),
        value => value.to_decimal().and_then(|exact| exact.to_i64().ok()),
    };
    whole.ok_or_else(|| Error::out_of_range(ty, &[]))
}

/// The whole number nearest to a double, half to even; nothing for NaN and what 64 bits cannot hold.
pub fn double_to_i64(value: f64) -> Option<i64> {
    // From 2^52 on every double is whole; below, adding 2^52 leaves no room for a fraction and rounds it away.
    const WHOLE: f64 = (1u64 << 52) as f64;
    let shift = WHOLE.copysign(value);
    let rounded = if value.abs() < WHOLE { (value + shift) - shift } else { value };
    (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&rounded).then_some(rounded as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Date;
    use proptest::prelude::*;
    use std::string::{String, ToString as _};

    const EVERY: [Type; 8] = [
        Type::Boolean,
        Type::Integer,
        Type::BigInt,
        Type::Decimal { precision: 10, scale: 2 },
        Type::Double,
        Type::Text,
        Type::Date,
        Type::Interval,
    ];

    fn dec(text: &str) -> Value<'_> {
        Value::Decimal(Decimal::parse(text.as_bytes()).unwrap())
    }

    /// The text of the result, or the SQLSTATE.
    fn cast_text(value: Value<'_>, to: Type) -> String {
        match cast(value, to, &mut TextBuffer::new()) {
            Ok(value) => value.to_string(),
            Err(error) => error.sqlstate().to_string(),
        }
    }

    #[test]
    fn casts_exist_exactly_where_the_table_says() {
        let samples = [
            Value::Boolean(true),
            Value::Integer(1),
            Value::BigInt(1),
            dec("1.00"),
            Value::Double(1.0),
            Value::Text("1"),
            Value::Date(Date::parse(b"1998-12-01").unwrap()),
            Value::Interval(Interval { months: 1, days: 0, micros: 0 }),
        ];
        for (value, from) in samples.into_iter().zip(EVERY) {
            for to in EVERY {
                let mut buffer = TextBuffer::new();
                let result = cast(value, to, &mut buffer);
                let is_missing = matches!(result, Err(Error::CannotCast { .. }));
                assert_eq!(is_missing, !can_cast(value.ty(), to), "{from} to {to}");
                if let Ok(cast) = result {
                    assert_eq!(cast.ty().name(), to.name());
                }
            }
        }
    }

    #[test]
    fn null_casts_to_everything() {
        for to in EVERY {
            assert_eq!(cast(Value::Null, to, &mut TextBuffer::new()), Ok(Value::Null));
        }
    }

    #[test]
    fn results_are_those_of_postgresql() {
        let numeric = Type::Decimal { precision: 5, scale: 2 };
        let cases = [
            (Value::Boolean(true), Type::Integer, "1"),
            (Value::Boolean(false), Type::Text, "false"),
            (Value::Integer(-5), Type::Boolean, "t"),
            (Value::BigInt(2_147_483_648), Type::Integer, "22003"),
            (dec("2.5"), Type::Integer, "3"),
            (dec("-2.5"), Type::BigInt, "-3"),
            (dec("9223372036854775807.5"), Type::BigInt, "22003"),
            (Value::Double(2.5), Type::Integer, "2"),
            (Value::Double(3.5), Type::Integer, "4"),
            (Value::Double(-0.5), Type::BigInt, "0"),
            (Value::Double(f64::NAN), Type::Integer, "22003"),
            (Value::Double(9.3e18), Type::BigInt, "22003"),
            (Value::Double(-9.223372036854775e18), Type::BigInt, "-9223372036854774784"),
            (Value::Integer(7), numeric, "7.00"),
            (Value::Integer(1000), numeric, "22003"),
            (dec("1.005"), numeric, "1.01"),
            (Value::Double(1.005), numeric, "1.01"),
            (Value::Double(f64::INFINITY), numeric, "22003"),
            (Value::Text(" 999.994 "), numeric, "999.99"),
            (Value::Text("999.995"), numeric, "22003"),
            (Value::Text("abc"), numeric, "22P02"),
            (Value::Text("12"), Type::Integer, "12"),
            (Value::Text("1e3"), Type::Integer, "22P02"),
            (Value::Text("1e3"), Type::Double, "1000"),
            (Value::Text("yes"), Type::Boolean, "t"),
            (Value::Text("1998-02-30"), Type::Date, "22008"),
            (Value::Text("1 year"), Type::Interval, "1 year"),
            (Value::Double(1e20), Type::Text, "1e+20"),
            (dec("1.50"), Type::Double, "1.5"),
            (Value::Text("as it is"), Type::Unknown, "as it is"),
        ];
        for (value, to, expected) in cases {
            assert_eq!(cast_text(value, to), expected, "{value} to {to}");
        }
    }

    #[test]
    fn a_missing_cast_names_both_types() {
        let date = Value::Date(Date::parse(b"1998-12-01").unwrap());
        let error = cast(date, Type::Integer, &mut TextBuffer::new()).unwrap_err();
        assert_eq!(error.to_string(), "cannot cast type date to integer");
        assert_eq!((error.sqlstate(), error.hint()), ("42846", Some("cast to text first")));
    }

    proptest! {
        #[test]
        fn doubles_round_as_std_rounds(value in prop_oneof![any::<f64>(), -1e6..1e6f64, (-1000..1000i32).prop_map(|n| f64::from(n) / 2.0)]) {
            let rounded = value.round_ties_even();
            let fits = rounded >= -(2f64.powi(63)) && rounded < 2f64.powi(63);
            prop_assert_eq!(double_to_i64(value), fits.then_some(rounded as i64));
        }

        #[test]
        fn text_reads_back(whole in any::<i64>(), double in any::<f64>(), day in Date::MIN.days()..=Date::MAX.days()) {
            let values = [
                (Value::BigInt(whole), Type::BigInt),
                (Value::Double(double), Type::Double),
                (Value::Date(Date::from_days(day.into()).unwrap()), Type::Date),
            ];
            for (value, ty) in values {
                let mut buffer = TextBuffer::new();
                let text = cast(value, Type::Text, &mut buffer).unwrap();
                let mut unused = TextBuffer::new();
                prop_assert!(cast(text, ty, &mut unused).unwrap().total_cmp(&value).is_eq());
            }
        }
    }
}
