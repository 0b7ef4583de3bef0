//! One SQL value, its text form and its order.
//!
//! Values are what the planner folds and what a row shows; columns are arrays of their payloads. A text is borrowed
//! from whoever holds it, so a value is `Copy` and needs no memory of its own.

use core::cmp::Ordering;
use core::fmt;

use crate::{ArrayRef, Date, Decimal, Interval, Time, Timestamp, Type, Uuid, number};

/// A value of any type.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub enum Value<'a> {
    /// No value.
    #[default]
    Null,
    /// True or false.
    Boolean(bool),
    /// 16 bits.
    SmallInt(i16),
    /// 32 bits.
    Integer(i32),
    /// 64 bits.
    BigInt(i64),
    /// An exact number.
    Decimal(Decimal),
    /// A number of 32 bits; NaN is greater than every other number and equal to itself.
    Real(f32),
    /// A double; NaN is greater than every other number and equal to itself.
    Double(f64),
    /// A text, owned by somebody else.
    Text(&'a str),
    /// A text padded with blanks, which do not count in comparisons.
    Char(&'a str),
    /// Bytes, owned by somebody else.
    Bytea(&'a [u8]),
    /// A day.
    Date(Date),
    /// A time of day.
    Time(Time),
    /// A day and a time.
    Timestamp(Timestamp),
    /// An instant, counted in UTC.
    TimestampTz(Timestamp),
    /// Months, days and microseconds.
    Interval(Interval),
    /// 128 bits that name something.
    Uuid(Uuid),
    /// JSON as it was written.
    Json(&'a str),
    /// JSON in its normal form.
    Jsonb(&'a str),
    /// An array, owned by somebody else.
    Array(ArrayRef<'a>),
}

const _: () = assert!(size_of::<Value<'_>>() == 32);

impl<'a> Value<'a> {
    /// The bytes of a value that is bytes of somebody else: a text, character, bytea, json, jsonb or array.
    #[inline]
    pub fn heap_bytes(&self) -> Option<&'a [u8]> {
        match *self {
            Value::Text(text) | Value::Char(text) | Value::Json(text) | Value::Jsonb(text) => {
                Some(text.as_bytes())
            }
            Value::Bytea(bytes) => Some(bytes),
            Value::Array(array) => Some(array.as_bytes()),
            _ => None,
        }
    }
}

impl Value<'_> {
    /// The value without the borrow, if it is of a type whose values have no bytes of their own elsewhere; `None` for texts, byte
    /// strings, JSON and arrays.
    pub const fn without_bytes(&self) -> Option<Value<'static>> {
        Some(match *self {
            Value::Null => Value::Null,
            Value::Boolean(value) => Value::Boolean(value),
            Value::SmallInt(value) => Value::SmallInt(value),
            Value::Integer(value) => Value::Integer(value),
            Value::BigInt(value) => Value::BigInt(value),
            Value::Decimal(value) => Value::Decimal(value),
            Value::Real(value) => Value::Real(value),
            Value::Double(value) => Value::Double(value),
            Value::Date(value) => Value::Date(value),
            Value::Time(value) => Value::Time(value),
            Value::Timestamp(value) => Value::Timestamp(value),
            Value::TimestampTz(value) => Value::TimestampTz(value),
            Value::Interval(value) => Value::Interval(value),
            Value::Uuid(value) => Value::Uuid(value),
            Value::Text(_)
            | Value::Char(_)
            | Value::Bytea(_)
            | Value::Json(_)
            | Value::Jsonb(_)
            | Value::Array(_) => return None,
        })
    }

    /// The narrowest type of the value; NULL is [`Type::Unknown`].
    pub fn ty(&self) -> Type {
        match self {
            Value::Null => Type::Unknown,
            Value::Boolean(_) => Type::Boolean,
            Value::SmallInt(_) => Type::SmallInt,
            Value::Real(_) => Type::Real,
            Value::Char(_) => Type::Char,
            Value::Bytea(_) => Type::Bytea,
            Value::Time(_) => Type::Time,
            Value::Timestamp(_) => Type::Timestamp,
            Value::TimestampTz(_) => Type::TimestampTz,
            Value::Uuid(_) => Type::Uuid,
            Value::Json(_) => Type::Json,
            Value::Jsonb(_) => Type::Jsonb,
            Value::Array(array) => Type::Array(array.element()),
            Value::Integer(_) => Type::Integer,
            Value::BigInt(_) => Type::BigInt,
            Value::Decimal(decimal) => decimal.ty(),
            Value::Double(_) => Type::Double,
            Value::Text(_) => Type::Text,
            Value::Date(_) => Type::Date,
            Value::Interval(_) => Type::Interval,
        }
    }

    /// Whether the value is NULL.
    pub const fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The order of two values in a comparison: unknown (`None`) when either is NULL.
    ///
    /// Numbers of different types compare as numbers, exactly unless one is a double. Values of types that SQL
    /// cannot compare have an order too, by type, but the binder does not let them get here.
    pub fn compare(&self, other: &Value<'_>) -> Option<Ordering> {
        if self.is_null() || other.is_null() { None } else { Some(self.total_cmp(other)) }
    }

    /// The order of ORDER BY ascending: NULL is last, text is ordered by bytes, NaN is the greatest double.
    ///
    /// It is a total order of the values of one column. Across a mixture of doubles and exact numbers it compares
    /// as doubles, and is only as transitive as these are.
    pub fn total_cmp(&self, other: &Value<'_>) -> Ordering {
        match (self, other) {
            (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
            (Value::SmallInt(a), Value::SmallInt(b)) => a.cmp(b),
            (Value::Real(a), Value::Real(b)) => compare_f64((*a).into(), (*b).into()),
            (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Value::Char(a), Value::Char(b)) => trim_blanks(a).as_bytes().cmp(trim_blanks(b).as_bytes()),
            (Value::Bytea(a), Value::Bytea(b)) => a.cmp(b),
            (Value::Json(a), Value::Json(b)) | (Value::Jsonb(a), Value::Jsonb(b)) => {
                a.as_bytes().cmp(b.as_bytes())
            }
            (Value::Time(a), Value::Time(b)) => a.cmp(b),
            (Value::Timestamp(a), Value::Timestamp(b)) | (Value::TimestampTz(a), Value::TimestampTz(b)) => {
                a.cmp(b)
            }
            (Value::Uuid(a), Value::Uuid(b)) => a.cmp(b),
            (Value::Array(a), Value::Array(b)) => a.cmp(b),
            (Value::Date(a), Value::Date(b)) => a.cmp(b),
            (Value::Interval(a), Value::Interval(b)) => a.cmp(b),
            (Value::Integer(a), Value::Integer(b)) => a.cmp(b),
            (Value::BigInt(a), Value::BigInt(b)) => a.cmp(b),
            (Value::Double(a), Value::Double(b)) => compare_f64(*a, *b),
            (a, b) => match (a.to_f64_if_double(b), b.to_f64_if_double(a)) {
                (Some(x), Some(y)) => compare_f64(x, y),
                _ => match (a.to_decimal(), b.to_decimal()) {
                    (Some(x), Some(y)) => x.cmp(&y),
                    _ => a.rank().cmp(&b.rank()),
                },
            },
        }
    }

    /// The exact number, where the value is one.
    pub(crate) fn to_decimal(self) -> Option<Decimal> {
        match self {
            Value::SmallInt(value) => Some(i32::from(value).into()),
            Value::Integer(value) => Some(value.into()),
            Value::BigInt(value) => Some(value.into()),
            Value::Decimal(value) => Some(value),
            _ => None,
        }
    }

    /// The nearest double, where the value is a number.
    pub(crate) fn to_f64(self) -> Option<f64> {
        match self {
            Value::Double(value) => Some(value),
            Value::Real(value) => Some(value.into()),
            Value::SmallInt(value) => Some(value.into()),
            Value::Integer(value) => Some(value.into()),
            Value::BigInt(value) => Some(value as f64),
            Value::Decimal(value) => Some(value.to_f64()),
            _ => None,
        }
    }

    /// The value as a double when it or `other` is one, and both are numbers.
    fn to_f64_if_double(self, other: &Value<'_>) -> Option<f64> {
        let is_float = |value: &Value<'_>| matches!(value, Value::Real(_) | Value::Double(_));
        let is_double = is_float(&self) || is_float(other);
        if is_double { self.to_f64() } else { None }
    }

    /// The place of the type among types that do not compare.
    const fn rank(&self) -> u8 {
        match self {
            Value::Boolean(_) => 0,
            Value::SmallInt(_)
            | Value::Integer(_)
            | Value::BigInt(_)
            | Value::Decimal(_)
            | Value::Real(_)
            | Value::Double(_) => 1,
            Value::Text(_) => 2,
            Value::Char(_) => 3,
            Value::Bytea(_) => 4,
            Value::Date(_) => 5,
            Value::Time(_) => 6,
            Value::Timestamp(_) => 7,
            Value::TimestampTz(_) => 8,
            Value::Interval(_) => 9,
            Value::Uuid(_) => 10,
            Value::Json(_) => 11,
            Value::Jsonb(_) => 12,
            Value::Array(_) => 13,
            Value::Null => 14,
        }
    }
}

/// A text of type character as it counts in comparisons: without the blanks at its end.
pub fn trim_blanks(text: &str) -> &str {
    text.trim_end_matches(' ')
}

/// The order of doubles in PostgreSQL: NaN equals itself and is greater than the rest, both zeros are equal.
#[inline]
pub(crate) fn compare_f64(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// Writes `\x` and two digits for each byte.
fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("\\x")?;
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// PostgreSQL's text form: `t` and `f`, digits, the shortest double, ISO dates, moments with time zone in UTC. NULL is
/// `NULL`; what a result shows instead is up to whoever prints it.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("NULL"),
            Value::Boolean(value) => f.write_str(if *value { "t" } else { "f" }),
            Value::SmallInt(value) => number::write_i64((*value).into(), f),
            Value::Real(value) => number::write_f32(*value, f),
            Value::Char(value) | Value::Json(value) | Value::Jsonb(value) => f.write_str(value),
            Value::Bytea(value) => write_hex(value, f),
            Value::Time(value) => f.write_str(value.to_text().as_str()),
            Value::Timestamp(value) => f.write_str(value.to_text().as_str()),
            Value::TimestampTz(value) => f.write_str(value.to_text_at(0).as_str()),
            Value::Uuid(value) => f.write_str(value.to_text().as_str()),
            Value::Array(value) => fmt::Display::fmt(value, f),
            Value::Integer(value) => number::write_i64((*value).into(), f),
            Value::BigInt(value) => number::write_i64(*value, f),
            Value::Decimal(value) => f.write_str(value.to_text().as_str()),
            Value::Double(value) => number::write_f64(*value, f),
            Value::Text(value) => f.write_str(value),
            Value::Date(value) => f.write_str(value.to_text().as_str()),
            Value::Interval(value) => f.write_str(value.to_text().as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    fn dec(text: &str) -> Value<'_> {
        Value::Decimal(Decimal::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn null_is_last_in_order_and_unknown_in_comparisons() {
        assert_eq!(Value::Null.compare(&Value::Integer(1)), None);
        assert_eq!(Value::Integer(1).compare(&Value::Null), None);
        assert_eq!(Value::Null.compare(&Value::Null), None);
        assert_eq!(Value::Null.total_cmp(&Value::Double(f64::NAN)), Ordering::Greater);
        assert_eq!(Value::Null.total_cmp(&Value::Interval(Interval::ZERO)), Ordering::Greater);
        assert_eq!(Value::Null.total_cmp(&Value::Null), Ordering::Equal);
    }

    #[test]
    fn numbers_compare_across_types() {
        let ascending = [
            Value::Double(f64::NEG_INFINITY),
            Value::BigInt(i64::MIN),
            dec("-1.5"),
            Value::Integer(-1),
            dec("-0.00000000000000000001"),
            Value::Integer(0),
            Value::Double(0.5),
            dec("0.75"),
            Value::BigInt(1),
            dec("99999999999999999999999999999999999999"),
            Value::Double(f64::INFINITY),
            Value::Double(f64::NAN),
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(a.compare(b), Some(i.cmp(&j)), "{a} and {b}");
            }
        }
        assert_eq!(dec("1.0").compare(&Value::Integer(1)), Some(Ordering::Equal));
        assert_eq!(Value::Double(-0.0).compare(&Value::Double(0.0)), Some(Ordering::Equal));
        // Neighbours that the same double stands for.
        let (a, b) = (Value::BigInt(i64::MAX), dec("9223372036854775807.5"));
        assert_eq!(a.compare(&b), Some(Ordering::Less));
    }

    #[test]
    fn text_is_ordered_by_bytes() {
        assert_eq!(Value::Text("Z").compare(&Value::Text("a")), Some(Ordering::Less));
        assert_eq!(Value::Text("z").compare(&Value::Text("é")), Some(Ordering::Less));
        assert_eq!(Value::Text("a").compare(&Value::Text("a ")), Some(Ordering::Less));
    }

    #[test]
    fn text_form_is_that_of_postgresql() {
        assert_eq!(Value::Null.to_string(), "NULL");
        assert_eq!(Value::Boolean(true).to_string(), "t");
        assert_eq!(Value::Integer(i32::MIN).to_string(), "-2147483648");
        assert_eq!(Value::BigInt(0).to_string(), "0");
        assert_eq!(dec("-0.50").to_string(), "-0.50");
        assert_eq!(Value::Double(1e20).to_string(), "1e+20");
        assert_eq!(Value::Text("é").to_string(), "é");
        assert_eq!(Value::Date(Date::from_days(0).unwrap()).to_string(), "1970-01-01");
        assert_eq!(Value::Interval(Interval { months: 0, days: 1, micros: 0 }).to_string(), "1 day");
    }
}
