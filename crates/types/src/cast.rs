//! Conversions of values between types, with PostgreSQL's results and errors.
//!
//! | from \ to | boolean | integer | bigint | numeric | double | text | date | interval |
//! |---|---|---|---|---|---|---|---|---|
//! | boolean | = | 0, 1 | | | | true, false | | |
//! | integer | not 0 | = | yes | yes | yes | yes | | |
//! | bigint | | checked | = | yes | nearest | yes | | |
//! | numeric | | half away | half away | half away | nearest | yes | | |
//! | double | | half even | half even | 15 digits | = | yes | | |
//! | text | read | read | read | read | read | = | read | read |
//! | date, interval | | | | | | yes | = | = |
//!
//! NULL casts to everything. A cast to text prints into a buffer of the caller; a text is cast to text as it is.

use core::fmt::Write as _;

use crate::{Date, Decimal, Error, Interval, TextBuffer, Type, Uuid, Value, number};

/// Whether `CAST(from AS to)` exists, with the table at the head of this file.
pub fn can_cast(from: Type, to: Type) -> bool {
    match (from, to) {
        // A text of these types is not read yet.
        (Type::Unknown | Type::Text, Type::Array(_)) => false,
        (
            Type::Unknown | Type::Text,
            Type::Bytea | Type::Time | Type::Timestamp | Type::TimestampTz | Type::Json | Type::Jsonb,
        ) => false,
        (Type::Unknown | Type::Text, _) | (_, Type::Unknown | Type::Text) => true,
        (Type::Boolean, Type::Integer) | (Type::Integer, Type::Boolean) => true,
        _ => (from.is_numeric() && to.is_numeric()) || from == to,
    }
}

/// The value as one of type `to`. `buffer` holds the text when the result is text made from something else.
///
/// A cast to [`Type::Unknown`] gives the value as it is.
///
/// # Errors
/// [`Error::CannotCast`] when there is no such cast, [`Error::InvalidText`] for text that is no value of the type,
/// [`Error::OutOfRange`], [`Error::NumericOverflow`] and [`Error::DatetimeOverflow`] for values it cannot hold.
pub fn cast<'a>(value: Value<'a>, to: Type, buffer: &'a mut TextBuffer) -> Result<Value<'a>, Error> {
    match (value, to) {
        (Value::Null, _) => Ok(Value::Null),
        (value, Type::Unknown) => Ok(value),
        (Value::Text(text), Type::Text) => Ok(Value::Text(text)),
        (Value::Char(text), Type::Text) => Ok(Value::Text(crate::value::trim_blanks(text))),
        (Value::Json(text) | Value::Jsonb(text), Type::Text) => Ok(Value::Text(text)),
        (value, Type::Text) => {
            print(value, buffer)?;
            Ok(Value::Text(buffer.as_str()))
        }
        (Value::Text(text), ty) => read(text, ty),
        (value, ty) => convert(value, ty).unwrap_or(Err(Error::CannotCast { from: value.ty(), to: ty })),
    }
}

/// The text of a value that is not text; a cast spells booleans out, while a result shows one letter.
///
/// # Errors
/// [`Error::BufferTooSmall`] for bytes and arrays that are long.
fn print(value: Value<'_>, buffer: &mut TextBuffer) -> Result<(), Error> {
    buffer.clear();
    let printed = match value {
        Value::Boolean(value) => write!(buffer, "{value}"),
        value => write!(buffer, "{value}"),
    };
    let given_bytes = crate::TEXT_BYTES_MAX as u32;
    printed.map_err(|_| Error::BufferTooSmall { needed_bytes: given_bytes + 1, given_bytes })
}

/// The value that a text names.
///
/// # Errors
/// Those of [`cast`].
pub fn read(text: &str, ty: Type) -> Result<Value<'_>, Error> {
    let bytes = text.as_bytes();
    Ok(match ty {
        Type::Boolean => Value::Boolean(number::parse_bool(bytes)?),
        Type::SmallInt => Value::SmallInt(number::parse_i16(bytes)?),
        Type::Real => Value::Real(number::parse_f32(bytes)?),
        Type::Numeric => Value::Decimal(Decimal::parse(bytes)?),
        Type::Char => Value::Char(text),
        Type::Uuid => Value::Uuid(Uuid::parse(bytes)?),
        Type::Bytea
        | Type::Time
        | Type::Timestamp
        | Type::TimestampTz
        | Type::Json
        | Type::Jsonb
        | Type::Array(_) => return Err(Error::CannotCast { from: Type::Text, to: ty }),
        Type::Integer => Value::Integer(number::parse_i32(bytes)?),
        Type::BigInt => Value::BigInt(number::parse_i64(bytes)?),
        Type::Decimal { precision, scale } => {
            Value::Decimal(Decimal::new(number::parse_unscaled(bytes, precision, scale)?, scale)?)
        }
        Type::Double => Value::Double(number::parse_f64(bytes)?),
        Type::Date => Value::Date(Date::parse(bytes)?),
        Type::Interval => Value::Interval(Interval::parse(text)?),
        Type::Text | Type::Unknown => Value::Text(text),
    })
}

/// Casts that neither read nor make text; nothing where there is none.
fn convert<'a>(value: Value<'a>, to: Type) -> Option<Result<Value<'a>, Error>> {
    let converted = match (value, to) {
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
        | (Value::Jsonb(_), Type::Jsonb)
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
