//! Values of an answer as Rust's types: the other way of `params`.
//!
//! | Rust | SQL |
//! |---|---|
//! | `bool` | boolean |
//! | `i8` … `i128`, `u8` … `u64`, `usize`, `isize` | whole numbers that fit: smallint, integer, bigint, and numeric without a fraction |
//! | `f64` | every number; of a numeric the nearest |
//! | `f32` | real |
//! | `&str` | text, character, json, jsonb |
//! | `String` | everything that is not NULL, in its text form |
//! | `&[u8]`, `Vec<u8>` | bytea |
//! | [`Decimal`] | numeric and whole numbers |
//! | [`Date`], [`Time`], [`Timestamp`], [`Interval`], [`Uuid`] | date, time, timestamp with and without time zone, interval, uuid |
//! | [`Value`] | everything |
//! | `Option<T>` | NULL, or as `T` |
//!
//! **Memory.** Borrowed types point into the batch; `String` and `Vec` are the caller's, from the caller's allocator.
#![allow(clippy::disallowed_types, reason = "callers ask for such values, and pay for them")]

use cofferdam_plan::expr::Column;
use cofferdam_types::{Date, Decimal, Interval, Time, Timestamp, Uuid, Value};

use crate::error::Error;

/// A type that values of an answer can be read as, by [`Row::get`](crate::Row::get).
///
/// ```
/// use cofferdam::{Database, FromValue, Mismatch, Options, Value};
///
/// struct Meters(f64);
///
/// impl FromValue<'_> for Meters {
///     fn from_value(value: Value<'_>) -> Result<Meters, Mismatch> {
///         f64::from_value(value).map(Meters)
///     }
/// }
///
/// let connection = Database::open_in_memory(Options::new())?.connect()?;
/// let length = connection.query_row("SELECT 1.5", |row| row.get::<Meters>(0))?;
/// assert_eq!(length.0, 1.5);
/// # Ok::<(), cofferdam::Error>(())
/// ```
pub trait FromValue<'r>: Sized {
    /// The value as this type; it may borrow from the row.
    ///
    /// # Errors
    /// [`Mismatch`].
    fn from_value(value: Value<'r>) -> Result<Self, Mismatch>;
}

/// Why a value cannot be read as a type.
///
/// ```
/// use cofferdam::{Database, Options};
///
/// let connection = Database::open_in_memory(Options::new())?.connect()?;
/// let error = connection.query_row("SELECT NULL::integer", |row| row.get::<i32>(0)).unwrap_err();
/// assert_eq!(error.sqlstate(), "22002");
/// let none = connection.query_row("SELECT NULL::integer", |row| row.get::<Option<i32>>(0))?;
/// assert_eq!(none, None);
/// # Ok::<(), cofferdam::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// It is NULL, and the type is no `Option`.
    Null,
    /// Values of its type are not read as this one.
    Type,
    /// It is a number that does not fit.
    Range,
}

/// What names a column of an answer: its position from 0, or its name, of which the first column that has it is meant.
///
/// ```
/// use cofferdam::{Database, Options};
///
/// let connection = Database::open_in_memory(Options::new())?.connect()?;
/// let same = connection.query_row("SELECT 7 AS n", |row| Ok(row.get::<i32>(0)? == row.get::<i32>("n")?))?;
/// assert!(same);
/// let error = connection.query_row("SELECT 7 AS n", |row| row.get::<i32>("m")).unwrap_err();
/// assert_eq!(error.sqlstate(), "42703");
/// # Ok::<(), cofferdam::Error>(())
/// ```
pub trait ColumnIndex {
    /// The position of the column.
    ///
    /// # Errors
    /// 42703 when there is no such column.
    fn position(&self, columns: &[Column<'_>]) -> Result<usize, Error>;
}

impl ColumnIndex for usize {
    fn position(&self, columns: &[Column<'_>]) -> Result<usize, Error> {
        if *self < columns.len() {
            return Ok(*self);
        }
        let message = format_args!("there is no column {self} in an answer of {}", columns.len());
        Err(Error::input("42703", None, message).with_hint("columns are counted from 0"))
    }
}

impl ColumnIndex for &str {
    fn position(&self, columns: &[Column<'_>]) -> Result<usize, Error> {
        let found = columns.iter().position(|column| column.name == *self);
        found.ok_or_else(|| {
            Error::input("42703", None, format_args!("there is no column \"{self}\" in the answer"))
        })
    }
}

/// The value of a column as a type of Rust's.
///
/// # Errors
/// 22002 for NULL where the type has none, 22003 for a number that does not fit, 42804 for a value of another type.
pub(crate) fn read<'r, T: FromValue<'r>>(value: Value<'r>, column: &Column<'_>) -> Result<T, Error> {
    T::from_value(value).map_err(|mismatch| {
        let (name, ty, wanted) = (column.name, column.ty, std::any::type_name::<T>());
        match mismatch {
            Mismatch::Null => {
                Error::input("22002", None, format_args!("column \"{name}\" is NULL, which is no {wanted}"))
                    .with_hint("read it as an Option")
            }
            Mismatch::Type => {
                let message =
                    format_args!("column \"{name}\" is of type {ty}, which is not read as {wanted}");
                Error::input("42804", None, message)
            }
            Mismatch::Range => {
                let message = format_args!("column \"{name}\" is {value}, which does not fit {wanted}");
                Error::input("22003", None, message)
            }
        }
    })
}

/// A whole number.
fn whole(value: Value<'_>) -> Result<i128, Mismatch> {
    match value {
        Value::Null => Err(Mismatch::Null),
        Value::SmallInt(value) => Ok(value.into()),
        Value::Integer(value) => Ok(value.into()),
        Value::BigInt(value) => Ok(value.into()),
        Value::Decimal(value) => {
            let value = value.normalized();
            if value.scale() == 0 { Ok(value.unscaled()) } else { Err(Mismatch::Range) }
        }
        _ => Err(Mismatch::Type),
    }
}

macro_rules! whole_from_value {
    ($($ty:ty),*) => {
        $(impl FromValue<'_> for $ty {
            fn from_value(value: Value<'_>) -> Result<$ty, Mismatch> {
                whole(value)?.try_into().map_err(|_| Mismatch::Range)
            }
        })*
    };
}

whole_from_value!(i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, usize);

macro_rules! from_value {
    ($($ty:ty => $($pattern:pat => $made:expr),+;)*) => {
        $(impl<'r> FromValue<'r> for $ty {
            fn from_value(value: Value<'r>) -> Result<$ty, Mismatch> {
                match value {
                    $($pattern => Ok($made),)+
                    Value::Null => Err(Mismatch::Null),
                    _ => Err(Mismatch::Type),
                }
            }
        })*
    };
}

from_value! {
    bool => Value::Boolean(value) => value;
    f32 => Value::Real(value) => value;
    f64 =>
        Value::Double(value) => value,
        Value::Real(value) => value.into(),
        Value::SmallInt(value) => value.into(),
        Value::Integer(value) => value.into(),
        Value::BigInt(value) => value as f64,
        Value::Decimal(value) => value.to_f64();
    &'r str => Value::Text(text) | Value::Char(text) | Value::Json(text) | Value::Jsonb(text) => text;
    &'r [u8] => Value::Bytea(bytes) => bytes;
    Vec<u8> => Value::Bytea(bytes) => bytes.to_vec();
    Date => Value::Date(value) => value;
    Time => Value::Time(value) => value;
    Timestamp => Value::Timestamp(value) | Value::TimestampTz(value) => value;
    Interval => Value::Interval(value) => value;
    Uuid => Value::Uuid(value) => value;
}

impl FromValue<'_> for Decimal {
    fn from_value(value: Value<'_>) -> Result<Decimal, Mismatch> {
        match value {
            Value::Decimal(value) => Ok(value),
            value => Decimal::new(whole(value)?, 0).map_err(|_| Mismatch::Range),
        }
    }
}

impl FromValue<'_> for String {
    fn from_value(value: Value<'_>) -> Result<String, Mismatch> {
        if value.is_null() { Err(Mismatch::Null) } else { Ok(value.to_string()) }
    }
}

impl<'r> FromValue<'r> for Value<'r> {
    fn from_value(value: Value<'r>) -> Result<Value<'r>, Mismatch> {
        Ok(value)
    }
}

impl<'r, T: FromValue<'r>> FromValue<'r> for Option<T> {
    fn from_value(value: Value<'r>) -> Result<Option<T>, Mismatch> {
        if value.is_null() { Ok(None) } else { T::from_value(value).map(Some) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is<'r, T: FromValue<'r> + PartialEq + std::fmt::Debug>(
        value: Value<'r>,
        expected: Result<T, Mismatch>,
    ) {
        assert_eq!(T::from_value(value), expected, "{value:?}");
    }

    /// Aim: a number is read as every type that it fits, and as no other.
    #[test]
    fn numbers_fit_or_not() {
        let decimal = |text: &str| Value::Decimal(Decimal::parse(text.as_bytes()).unwrap());
        is(Value::SmallInt(-1), Ok(-1i64));
        is(Value::SmallInt(-1), Err::<u8, _>(Mismatch::Range));
        is(Value::BigInt(255), Ok(255u8));
        is(Value::BigInt(256), Err::<u8, _>(Mismatch::Range));
        is(Value::BigInt(i64::MIN), Ok(i64::MIN));
        is(decimal("18446744073709551615"), Ok(u64::MAX));
        is(decimal("12.00"), Ok(12i32));
        is(decimal("12.50"), Err::<i32, _>(Mismatch::Range));
        is(decimal("12.50"), Ok(12.5f64));
        is(Value::Integer(7), Ok(Decimal::new(7, 0).unwrap()));
        is(Value::Double(7.0), Err::<i32, _>(Mismatch::Type));
        is(Value::Double(7.0), Err::<f32, _>(Mismatch::Type));
        is(Value::Real(0.5), Ok(0.5f32));
        is(Value::Boolean(true), Err::<i32, _>(Mismatch::Type));
        is(Value::Null, Err::<i32, _>(Mismatch::Null));
        is(Value::Null, Ok(None::<i32>));
    }

    #[test]
    fn texts_and_bytes_are_borrowed() {
        is(Value::Text("text"), Ok("text"));
        is(Value::Jsonb("{}"), Ok(Some("{}")));
        is(Value::Integer(1), Err::<&str, _>(Mismatch::Type));
        is(Value::Date(Date::parse(b"2024-02-29").unwrap()), Ok("2024-02-29".to_owned()));
        is(Value::Null, Err::<String, _>(Mismatch::Null));
        is(Value::Bytea(b"\x00\x01"), Ok(&b"\x00\x01"[..]));
        is(Value::Text("text"), Err::<Vec<u8>, _>(Mismatch::Type));
    }
}
