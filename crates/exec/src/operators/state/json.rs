//! Values as JSON, as PostgreSQL writes them into what `json_agg` gives.

use core::fmt::{self, Write};

use cofferdam_types::Value;

/// Writes a value: numbers, booleans and JSON as they are, arrays as arrays, moments in ISO form, all else as a string.
///
/// # Errors
/// Those of `out`.
pub(super) fn write_value(value: &Value<'_>, out: &mut impl Write) -> fmt::Result {
    match value {
        Value::Null => out.write_str("null"),
        Value::Boolean(value) => out.write_str(if *value { "true" } else { "false" }),
        Value::Json(text) | Value::Jsonb(text) => out.write_str(text),
        Value::SmallInt(_) | Value::Integer(_) | Value::BigInt(_) | Value::Decimal(_) => {
            write!(out, "{value}")
        }
        Value::Real(number) if number.is_finite() => write!(out, "{value}"),
        Value::Double(number) if number.is_finite() => write!(out, "{value}"),
        Value::Timestamp(_) => write_moment(value, "", out),
        // Moments are shown in UTC, whose distance has its minutes here.
        Value::TimestampTz(_) => write_moment(value, ":00", out),
        Value::Array(array) => {
            out.write_str("[")?;
            for (index, element) in array.iter().enumerate() {
                if index > 0 {
                    out.write_str(",")?;
                }
                write_value(&element, out)?;
            }
            out.write_str("]")
        }
        value => write_string(value, out),
    }
}

/// Writes the text form of a value as a string.
///
/// # Errors
/// Those of `out`.
pub(super) fn write_string(value: &Value<'_>, out: &mut impl Write) -> fmt::Result {
    out.write_str("\"")?;
    write!(Escaping(out), "{value}")?;
    out.write_str("\"")
}

fn write_moment(value: &Value<'_>, behind: &str, out: &mut impl Write) -> fmt::Result {
    let mut text = cofferdam_types::TextBuffer::new();
    write!(text, "{value}")?;
    match text.as_str().split_once(' ') {
        Some((date, time)) => write!(out, "\"{date}T{time}{behind}\""),
        None => write!(out, "\"{}\"", text.as_str()),
    }
}

struct Escaping<'o, W>(&'o mut W);

impl<W: Write> Write for Escaping<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_special = |c: char| matches!(c, '"' | '\\') || c < ' ';
        for piece in text.split_inclusive(is_special) {
            let plain = piece.trim_end_matches(is_special);
            self.0.write_str(plain)?;
            for special in piece[plain.len()..].chars() {
                match special {
                    '"' => self.0.write_str("\\\"")?,
                    '\\' => self.0.write_str("\\\\")?,
                    '\n' => self.0.write_str("\\n")?,
                    '\r' => self.0.write_str("\\r")?,
                    '\t' => self.0.write_str("\\t")?,
                    '\u{8}' => self.0.write_str("\\b")?,
                    '\u{c}' => self.0.write_str("\\f")?,
                    control => write!(self.0, "\\u{:04x}", u32::from(control))?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_types::{Date, Decimal};
    use std::string::String;

    fn json(value: Value<'_>) -> String {
        let mut out = String::new();
        write_value(&value, &mut out).unwrap();
        out
    }

    #[test]
    fn values_are_written_as_postgresql_writes_them() {
        assert_eq!(json(Value::Null), "null");
        assert_eq!(json(Value::Boolean(true)), "true");
        assert_eq!(json(Value::Decimal(Decimal::parse(b"1.50").unwrap())), "1.50");
        assert_eq!(json(Value::Double(f64::NAN)), "\"NaN\"");
        assert_eq!(json(Value::Double(1e20)), "1e+20");
        assert_eq!(json(Value::Date(Date::from_ymd(2020, 1, 1).unwrap())), "\"2020-01-01\"");
        assert_eq!(json(Value::Text("a\nb\t\"\\/\u{1}é")), r#""a\nb\t\"\\/\u0001é""#);
        assert_eq!(json(Value::Text("")), "\"\"");
    }
}
