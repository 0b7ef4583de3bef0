//! JSON: an array with an object for each row. Numbers are written digit for digit, so decimals stay exact; what JSON has
//! no number for (NaN, infinities) is a string, as in PostgreSQL.

use std::io::{self, Write};

use cofferdam::{Batch, Column, Rows, Value};

use super::Stopped;

pub(super) fn write(rows: &mut Rows<'_>, out: &mut impl Write) -> Result<(), Stopped> {
    if !rows.kind().has_answer() {
        while rows.next_batch()?.is_some() {}
        return Ok(());
    }
    let columns = rows.columns();
    let mut is_first = true;
    while let Some(batch) = next_batch(rows, is_first, out)? {
        for row in batch.rows() {
            out.write_all(if is_first { b"[\n" } else { b",\n" })?;
            is_first = false;
            object(columns, row.values(), out)?;
        }
    }
    out.write_all(if is_first { b"[]\n" } else { b"\n]\n" })?;
    Ok(())
}

/// A row as an object.
pub(super) fn object<'v>(
    columns: &[Column<'_>],
    values: impl Iterator<Item = Value<'v>>,
    out: &mut impl Write,
) -> io::Result<()> {
    out.write_all(b"{")?;
    for (index, value) in values.enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        string(columns[index].name, out)?;
        out.write_all(b":")?;
        write_value(value, out)?;
    }
    out.write_all(b"}")
}

/// A statement that fails before its first row writes nothing; one that fails later leaves an array that is not closed,
/// and what follows begins on a line of its own.
fn next_batch<'r>(
    rows: &'r mut Rows<'_>,
    is_first: bool,
    out: &mut impl Write,
) -> Result<Option<Batch<'r>>, Stopped> {
    match rows.next_batch() {
        Ok(batch) => Ok(batch),
        Err(error) => {
            if !is_first {
                out.write_all(b"\n")?;
            }
            Err(error.into())
        }
    }
}

fn write_value(value: Value<'_>, out: &mut impl Write) -> io::Result<()> {
    match value {
        Value::Null => out.write_all(b"null"),
        Value::Boolean(value) => write!(out, "{value}"),
        Value::Double(number) if !number.is_finite() => write!(out, "\"{value}\""),
        Value::Real(number) if !number.is_finite() => write!(out, "\"{value}\""),
        Value::SmallInt(_)
        | Value::Integer(_)
        | Value::BigInt(_)
        | Value::Decimal(_)
        | Value::Real(_)
        | Value::Double(_) => write!(out, "{value}"),
        Value::Text(text) | Value::Char(text) => string(text, out),
        // What is JSON already stands for itself.
        Value::Json(text) | Value::Jsonb(text) => out.write_all(text.as_bytes()),
        Value::Array(array) => {
            out.write_all(b"[")?;
            for (index, element) in array.iter().enumerate() {
                out.write_all(if index > 0 { b"," } else { b"" })?;
                // Elements are no arrays: this goes one level deep.
                write_value(element, out)?;
            }
            out.write_all(b"]")
        }
        Value::Bytea(_)
        | Value::Date(_)
        | Value::Time(_)
        | Value::Timestamp(_)
        | Value::TimestampTz(_)
        | Value::Interval(_)
        | Value::Uuid(_) => write!(out, "\"{value}\""),
    }
}

pub(super) fn string(text: &str, out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"\"")?;
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| matches!(c, '"' | '\\') || c < ' ') {
        out.write_all(&rest.as_bytes()[..at])?;
        match rest.as_bytes()[at] {
            b'"' => out.write_all(b"\\\"")?,
            b'\\' => out.write_all(b"\\\\")?,
            b'\n' => out.write_all(b"\\n")?,
            b'\r' => out.write_all(b"\\r")?,
            b'\t' => out.write_all(b"\\t")?,
            byte => write!(out, "\\u{byte:04x}")?,
        }
        rest = &rest[at + 1..];
    }
    out.write_all(rest.as_bytes())?;
    out.write_all(b"\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: Value<'_>) -> String {
        let mut out = Vec::new();
        write_value(value, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_valid_json() {
        assert_eq!(written(Value::Null), "null");
        assert_eq!(written(Value::Boolean(true)), "true");
        assert_eq!(written(Value::Double(f64::NAN)), "\"NaN\"");
        assert_eq!(written(Value::Double(1e20)), "1e+20");
        assert_eq!(written(Value::Text("a\"b\\c\nd\u{1}é")), "\"a\\\"b\\\\c\\nd\\u0001é\"");
        let exact = cofferdam::Decimal::parse(b"12345678901234567890.10").unwrap();
        assert_eq!(written(Value::Decimal(exact)), "12345678901234567890.10");
    }
}
