//! Writes the properties of a tree of operators: as lines for people, or as JSON.

use std::fmt;

use cofferdam_arena::collections::{String, Vec};
use cofferdam_arena::{AllocError, Arena};

use super::options::ExplainFormat;
use crate::expr::print::append;

/// Nanoseconds as milliseconds with three digits, as PostgreSQL shows them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Millis(pub(super) u64);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.saturating_add(500) / 1000;
        write!(f, "{}.{:03}", micros / 1000, micros % 1000)
    }
}

/// Takes properties one after the other.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    pub(super) format: ExplainFormat,
    arena: &'a Arena,
    /// The lines of the text, or the one value of JSON.
    lines: Vec<'a, &'a str>,
    json: String<'a>,
    /// How many objects and lists of JSON are open.
    open: usize,
    /// Whether something stands before in the innermost of them.
    is_behind: bool,
    /// The level of the operator that is written.
    depth: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(format: ExplainFormat, arena: &'a Arena) -> Writer<'a> {
        let (lines, json) = (Vec::new_in(arena), String::new_in(arena));
        Writer { format, arena, lines, json, open: 0, is_behind: false, depth: 0 }
    }

    /// All that was written: lines, or one JSON value.
    pub(super) fn finish(mut self) -> Result<&'a [&'a str], AllocError> {
        if self.format == ExplainFormat::Json {
            self.lines.push(self.json.into_str())?;
        }
        Ok(self.lines.into_slice())
    }

    pub(super) fn is_json(&self) -> bool {
        self.format == ExplainFormat::Json
    }

    // --------------------------------------------------------------------------------------------------- text

    /// An operator of a level begins: what stands on its first line. Only in the text.
    pub(super) fn head(
        &mut self,
        depth: usize,
        write: impl FnOnce(&mut String<'a>) -> Result<(), AllocError>,
    ) -> Result<(), AllocError> {
        self.depth = depth;
        let mut line = self.indented(match depth {
            0 => 0,
            depth => 6 * depth - 4,
        })?;
        if depth > 0 {
            line.push_str("->  ")?;
        }
        write(&mut line)?;
        self.lines.push(line.into_str())
    }

    /// A line at the left edge. Only in the text.
    pub(super) fn line(&mut self, text: fmt::Arguments<'_>) -> Result<(), AllocError> {
        let mut line = self.indented(0)?;
        append(&mut line, text)?;
        self.lines.push(line.into_str())
    }

    fn indented(&self, spaces: usize) -> Result<String<'a>, AllocError> {
        let mut line = String::with_capacity_in(spaces + 32, self.arena)?;
        for _ in 0..spaces {
            line.push(' ')?;
        }
        Ok(line)
    }

    // --------------------------------------------------------------------------------------------- properties

    /// A property of an operator, which is a text.
    pub(super) fn property(
        &mut self,
        label: &str,
        write: impl FnOnce(&mut String<'a>) -> Result<(), AllocError>,
    ) -> Result<(), AllocError> {
        if self.is_json() {
            let mut text = String::new_in(self.arena);
            write(&mut text)?;
            return self.json_text(label, text.as_str());
        }
        let mut line = self.indented(6 * self.depth + 2)?;
        append(&mut line, format_args!("{label}: "))?;
        write(&mut line)?;
        self.lines.push(line.into_str())
    }

    /// A property of an operator, which is a list; none where it is empty.
    pub(super) fn list<T>(
        &mut self,
        label: &str,
        items: &'a [T],
        mut write: impl FnMut(&mut String<'a>, &'a T) -> Result<(), AllocError>,
    ) -> Result<(), AllocError> {
        if items.is_empty() {
            return Ok(());
        }
        if !self.is_json() {
            return self.property(label, |line| {
                for (index, item) in items.iter().enumerate() {
                    line.push_str(if index > 0 { ", " } else { "" })?;
                    write(line, item)?;
                }
                Ok(())
            });
        }
        self.json_label(label)?;
        self.json.push('[')?;
        for (index, item) in items.iter().enumerate() {
            let mut text = String::new_in(self.arena);
            write(&mut text, item)?;
            self.json.push_str(if index > 0 { ", " } else { "" })?;
            write_json_text(&mut self.json, text.as_str())?;
        }
        self.json.push(']')
    }

    /// A number, which is a property of its own in both forms.
    pub(super) fn count(&mut self, label: &str, count: u64) -> Result<(), AllocError> {
        if self.is_json() {
            return self.json_value(label, format_args!("{count}"));
        }
        self.property(label, |line| append(line, format_args!("{count}")))
    }

    // --------------------------------------------------------------------------------------------------- JSON

    /// A text, unless it is empty. Only in JSON.
    pub(super) fn json_text(&mut self, label: &str, text: &str) -> Result<(), AllocError> {
        if text.is_empty() {
            return Ok(());
        }
        self.json_label(label)?;
        write_json_text(&mut self.json, text)
    }

    /// A value that is written as it stands: a number, a truth value. Only in JSON.
    pub(super) fn json_value(&mut self, label: &str, value: fmt::Arguments<'_>) -> Result<(), AllocError> {
        self.json_label(label)?;
        append(&mut self.json, value)
    }

    /// Opens an object (`{`) or a list (`[`), under a label or as an element of a list. Only in JSON.
    pub(super) fn json_open(&mut self, label: &str, bracket: char) -> Result<(), AllocError> {
        self.json_label(label)?;
        self.json.push(bracket)?;
        self.open += 1;
        self.is_behind = false;
        Ok(())
    }

    /// Closes what was opened last with the bracket that belongs to it.
    pub(super) fn json_close(&mut self, bracket: char) -> Result<(), AllocError> {
        self.open -= 1;
        self.json_line()?;
        self.is_behind = true;
        self.json.push(bracket)
    }

    fn json_label(&mut self, label: &str) -> Result<(), AllocError> {
        if self.is_behind {
            self.json.push(',')?;
        }
        self.is_behind = true;
        if self.open > 0 {
            self.json_line()?;
        }
        if label.is_empty() {
            return Ok(());
        }
        write_json_text(&mut self.json, label)?;
        self.json.push_str(": ")
    }

    fn json_line(&mut self) -> Result<(), AllocError> {
        self.json.push('\n')?;
        for _ in 0..self.open {
            self.json.push_str("  ")?;
        }
        Ok(())
    }
}

/// A JSON string (RFC 8259): quotes, backslashes and control characters escaped, all else as it is.
fn write_json_text(out: &mut String<'_>, text: &str) -> Result<(), AllocError> {
    out.push('"')?;
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\"")?,
            '\\' => out.push_str("\\\\")?,
            '\n' => out.push_str("\\n")?,
            '\r' => out.push_str("\\r")?,
            '\t' => out.push_str("\\t")?,
            '\0'..='\x1f' => append(out, format_args!("\\u{:04x}", u32::from(character)))?,
            _ => out.push(character)?,
        }
    }
    out.push('"')
}

#[cfg(test)]
mod tests {
    use cofferdam_arena::Budget;

    use super::*;

    /// Aim: objects and lists are separated and nested as JSON has it, and texts escaped. Method: a small value.
    #[test]
    fn json_is_nested_and_escaped() {
        let budget = Budget::root("test", 1 << 20).unwrap();
        let arena = Arena::new(&budget);
        let mut writer = Writer::new(ExplainFormat::Json, &arena);
        writer.json_open("", '[').unwrap();
        writer.json_open("", '{').unwrap();
        writer.json_text("a", "q\"b\\n\n\u{1}é").unwrap();
        writer.json_value("b", format_args!("{}", Millis(1_234_567))).unwrap();
        writer.list("c", &["x", "y"], |out, item| out.push_str(item)).unwrap();
        writer.json_open("d", '[').unwrap();
        for _ in 0..2 {
            writer.json_open("", '{').unwrap();
            writer.json_close('}').unwrap();
        }
        writer.json_close(']').unwrap();
        writer.json_close('}').unwrap();
        writer.json_close(']').unwrap();
        let text = writer.finish().unwrap();
        let expected = "[\n  {\n    \"a\": \"q\\\"b\\\\n\\n\\u0001é\",\n    \"b\": 1.235,\n    \"c\": [\"x\", \"y\"],\n    \
                        \"d\": [\n      {\n      },\n      {\n      }\n    ]\n  }\n]";
        assert_eq!(text, [expected]);
    }

    /// Aim: times are rounded to microseconds. Method: around the ends.
    #[test]
    fn times_are_milliseconds() {
        for (ns, text) in [
            (0, "0.000"),
            (499, "0.000"),
            (500, "0.001"),
            (1_999_999_500, "2000.000"),
            (12_345_678, "12.346"),
        ] {
            assert_eq!(Millis(ns).to_string(), text);
        }
    }
}
