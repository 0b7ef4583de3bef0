//! RFC 4180: a header, lines that end in CR LF, quotes where they are needed. NULL is empty, an empty text is `""`.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use cofferdam::{Rows, Value};

use super::Stopped;

pub(super) fn write(rows: &mut Rows<'_>, out: &mut impl Write) -> Result<(), Stopped> {
    if !rows.kind().has_answer() {
        while rows.next_batch()?.is_some() {}
        return Ok(());
    }
    // A statement that fails before its first row writes nothing, not even a header.
    let columns = rows.columns();
    let mut batch = rows.next_batch()?;
    for (index, column) in columns.iter().enumerate() {
        separate(index, out)?;
        field(column.name, out)?;
    }
    out.write_all(b"\r\n")?;
    while let Some(rows_now) = batch {
        for row in rows_now.rows() {
            for (index, value) in row.values().enumerate() {
                separate(index, out)?;
                match value {
                    Value::Null => {}
                    Value::Text(text) => field(text, out)?,
                    value => field_of(value, out)?,
                }
            }
            out.write_all(b"\r\n")?;
        }
        batch = rows.next_batch()?;
    }
    Ok(())
}

fn separate(index: usize, out: &mut impl Write) -> io::Result<()> {
    if index > 0 { out.write_all(b",") } else { Ok(()) }
}

fn field(text: &str, out: &mut impl Write) -> io::Result<()> {
    if !text.is_empty() && !text.bytes().any(is_special) {
        return out.write_all(text.as_bytes());
    }
    field_in_quotes(text, out)
}

/// A value that is no text: written once to see whether it needs quotes, and once for the answer, so nobody keeps its text.
fn field_of(value: Value<'_>, out: &mut impl Write) -> io::Result<()> {
    let mut plain = Plain { is_plain: true };
    let _ = write!(plain, "{value}");
    match plain.is_plain {
        true => write!(out, "{value}"),
        false => field_in_quotes(value, out),
    }
}

fn field_in_quotes(value: impl fmt::Display, out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"\"")?;
    let mut doubled = Doubled { out, error: None };
    let written = write!(doubled, "{value}");
    match (doubled.error, written) {
        (Some(error), _) => return Err(error),
        (None, written) => written.map_err(io::Error::other)?,
    }
    out.write_all(b"\"")
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b'"' | b',' | b'\r' | b'\n')
}

/// Sees whether a text can stand without quotes.
struct Plain {
    is_plain: bool,
}

impl fmt::Write for Plain {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.is_plain &= !text.bytes().any(is_special);
        Ok(())
    }
}

/// Passes a text on with each of its quotes twice.
struct Doubled<'o, W> {
    out: &'o mut W,
    error: Option<io::Error>,
}

impl<W: Write> fmt::Write for Doubled<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive('"') {
            let mut written = self.out.write_all(piece.as_bytes());
            if piece.ends_with('"') {
                written = written.and_then(|()| self.out.write_all(b"\""));
            }
            if let Err(error) = written {
                self.error = Some(error);
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        for (text, written) in [
            ("plain", "plain"),
            ("", "\"\""),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("\"", "\"\"\"\""),
        ] {
            let mut out = Vec::new();
            field(text, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), written);
        }
        for (value, written) in [
            (Value::Json("{\"a\": 1, \"b\": 2}"), "\"{\"\"a\"\": 1, \"\"b\"\": 2}\""),
            (Value::Json("1"), "1"),
            (Value::Char("a,b "), "\"a,b \""),
            (Value::Integer(-5), "-5"),
        ] {
            let mut out = Vec::new();
            field_of(value, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), written);
        }
    }
}
