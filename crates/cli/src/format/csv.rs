//! RFC 4180: a header, lines that end in CR LF, quotes where they are needed. NULL is empty, an empty text is `""`.

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
                    value => write!(out, "{value}")?,
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
    let needs_quotes =
        text.is_empty() || text.bytes().any(|byte| matches!(byte, b'"' | b',' | b'\r' | b'\n'));
    if !needs_quotes {
        return out.write_all(text.as_bytes());
    }
    out.write_all(b"\"")?;
    for (index, piece) in text.split('"').enumerate() {
        if index > 0 {
            out.write_all(b"\"\"")?;
        }
        out.write_all(piece.as_bytes())?;
    }
    out.write_all(b"\"")
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
    }
}
