//! Rows of a delimited file as views into the window: the fast splitter where it can, `csv-core` where it must.
//!
//! A line without a quote byte has no structure but delimiters, and [`Splitter`] finds its fields. A record that holds a
//! quote is read by `csv-core`, whose output (never longer than the record) is written over the record in the window,
//! so that its fields are views like all others. The two agree on every line that either may read; a property test
//! holds them to it.
//!
//! What a field means: the text of NULL (usually none) between two delimiters is NULL, two quotes are the empty text
//! (`field` may make NULL of it in columns that are no texts). A line that is empty is passed over, unless fields are
//! assigned: then it is a row of one empty field. A carriage return before a newline belongs to the newline.
//!
//! **PostgreSQL's format text** has no quotes; a backslash gives the byte behind it another meaning, and a record that
//! holds one is read here byte by byte. A line `\\.` ends the data.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_plan::physical::{CsvFormat, FieldRules};
use csv_core::{ReadFieldResult, ReaderBuilder, Terminator};

use super::reader::{ReadProblem, Reader};
use super::split::{Layout, Line, NULL_VIEW, Sink, Splitter};
use crate::batch::TextView;

/// Why rows could not be read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RowProblem {
    Read(ReadProblem),
    Ragged { fields: u32 },
    UnclosedQuote,
}

impl From<ReadProblem> for RowProblem {
    fn from(error: ReadProblem) -> Self {
        RowProblem::Read(error)
    }
}

impl From<AllocError> for RowProblem {
    fn from(error: AllocError) -> Self {
        RowProblem::Read(ReadProblem::OutOfMemory(error))
    }
}

/// Hands out the rows of a file, some at a time.
#[derive(Debug)]
pub(crate) struct RowReader<'a> {
    pub(crate) reader: Reader,
    layout: Layout<'a>,
    quote: Option<u8>,
    /// What a record that is not split the fast way has: a quote, or a backslash.
    special: Option<u8>,
    passes_blank_lines: bool,
    /// The rest of the rows' state is for quoted records.
    quoted: csv_core::Reader,
    scratch: Vec<'a, u8>,
    /// The line of each row of the last batch, counted from `first_line`.
    lines: &'a mut [u32],
    /// The line of the file, from 1, that the last batch began with.
    first_line: u64,
    /// The line that the next batch begins with.
    next_line: u64,
    skips_header: bool,
}

enum Record {
    Complete {
        next: usize,
    },
    Ragged {
        fields: u32,
    },
    Incomplete,
    /// The end of the data, although not of the file.
    End,
}

impl<'a> RowReader<'a> {
    /// A reader that gives the projected fields of up to `rows_max` rows at a time.
    pub(crate) fn new(
        reader: Reader,
        format: CsvFormat,
        rules: FieldRules<'a>,
        fields: u32,
        projection: &'a [u32],
        rows_max: usize,
        arena: &'a Arena,
    ) -> Result<RowReader<'a>, AllocError> {
        let layout = Layout {
            projection,
            fields,
            delimiter: format.delimiter,
            trailing_delimiter: format.trailing_delimiter,
            null: rules.null.as_bytes(),
        };
        let quoted = ReaderBuilder::new()
            .delimiter(format.delimiter)
            .quote(format.quote.unwrap_or(b'"'))
            .terminator(Terminator::Any(b'\n'))
            .build();
        Ok(RowReader {
            reader,
            layout,
            quote: format.quote,
            special: special_byte(format),
            passes_blank_lines: !rules.is_assigned,
            quoted,
            scratch: Vec::new_in(arena),
            lines: arena.alloc_slice_fill(rows_max, 0)?,
            first_line: 1,
            next_line: 1,
            skips_header: format.header,
        })
    }

    /// The line of the file, from 1, that a row of the last batch stands in.
    pub(crate) fn line_of(&self, row: usize) -> u64 {
        self.first_line + u64::from(self.lines.get(row).copied().unwrap_or(0))
    }

    /// The line that reading stopped at, for errors of [`RowReader::next_rows`].
    pub(crate) fn line_reached(&self) -> u64 {
        self.next_line
    }

    /// Fills `views[slot * stride + row]` with the projected fields of the next rows, and gives how many; 0 at the end.
    ///
    /// The views point into `window` and are good until the next call.
    pub(crate) fn next_rows(
        &mut self,
        window: &mut Vec<'_, u8>,
        views: &mut [TextView],
        stride: usize,
    ) -> Result<usize, RowProblem> {
        loop {
            let rows_max = if self.skips_header { 1 } else { self.lines.len() };
            self.first_line = self.next_line;
            let rows = self.split(window, views, stride, rows_max)?;
            if rows > 0 {
                if !core::mem::take(&mut self.skips_header) {
                    return Ok(rows);
                }
            } else if !self.reader.refill(window)? {
                let is_consumed = self.reader.start == self.reader.end;
                return if is_consumed { Ok(0) } else { Err(RowProblem::UnclosedQuote) };
            }
        }
    }

    /// Splits what stands in the window, as far as it is complete.
    fn split(
        &mut self,
        window: &mut Vec<'_, u8>,
        views: &mut [TextView],
        stride: usize,
        rows_max: usize,
    ) -> Result<usize, RowProblem> {
        let mut row = 0;
        while row < rows_max {
            let quote = self.split_plain(window, views, stride, rows_max, &mut row)?;
            if !quote || row == rows_max {
                break;
            }
            let mut sink = Sink { views: &mut *views, stride, row };
            let record = match self.quote {
                Some(_) => self.split_quoted(window, &mut sink)?,
                None => self.split_escaped(window, &mut sink)?,
            };
            match record {
                Record::Complete { next } => {
                    self.reader.start = next;
                    row += 1;
                }
                Record::Ragged { fields } => return Err(RowProblem::Ragged { fields }),
                Record::Incomplete => break,
                Record::End => {
                    self.reader.finish();
                    break;
                }
            }
        }
        Ok(row)
    }

    /// Splits lines up to the first one with a quote or backslash, and gives whether there is one.
    fn split_plain(
        &mut self,
        window: &[u8],
        views: &mut [TextView],
        stride: usize,
        rows_max: usize,
        row: &mut usize,
    ) -> Result<bool, RowProblem> {
        let live = &window[..self.reader.end];
        let mut at = self.reader.start;
        let next_quote = match self.special {
            Some(quote) if self.reader.has_quotes => memchr::memchr(quote, &live[at..]).map(|i| at + i),
            _ => None,
        };
        let quote_at = next_quote.unwrap_or(usize::MAX);
        let mut line = (self.next_line - self.first_line) as u32;
        let mut splitter = Splitter::new(live, self.layout.delimiter, at);
        let mut stops_at_quote = false;
        while *row < rows_max && at < live.len() {
            if let Some(next) = blank_line(live, at).filter(|_| self.passes_blank_lines) {
                at = next;
                line += 1;
                splitter.seek(at);
                continue;
            }
            let mut sink = Sink { views: &mut *views, stride, row: *row };
            let found = splitter.line(at, &self.layout, &mut sink);
            let end = match found {
                Line::Complete { next } | Line::Ragged { next, .. } => next,
                Line::Incomplete => live.len(),
            };
            if quote_at < end {
                stops_at_quote = true;
                break;
            }
            match found {
                Line::Complete { next } => {
                    self.lines[*row] = line;
                    *row += 1;
                    line += 1;
                    at = next;
                }
                Line::Ragged { fields, .. } => {
                    self.next_line = self.first_line + u64::from(line);
                    return Err(RowProblem::Ragged { fields });
                }
                Line::Incomplete => break,
            }
        }
        self.reader.start = at;
        self.next_line = self.first_line + u64::from(line);
        Ok(stops_at_quote)
    }

    /// Reads one record with `csv-core` and writes its fields over it.
    fn split_quoted(&mut self, window: &mut [u8], sink: &mut Sink<'_>) -> Result<Record, RowProblem> {
        let start = self.reader.start;
        let live = &window[..self.reader.end];
        self.quoted.reset();
        let (mut at, mut written, mut fields, mut slot) = (start, 0, 0, 0);
        let mut last_is_empty;
        loop {
            let field_start = written;
            let was_quoted = live.get(at).copied() == self.quote;
            let record_ended = loop {
                // To `csv-core` no input means the end of the file.
                if at == live.len() {
                    return Ok(Record::Incomplete);
                }
                if self.scratch.len() == written {
                    let size = (self.scratch.len() * 2).max(256);
                    self.scratch.resize_zeroed(size)?;
                }
                let (result, read, output) =
                    self.quoted.read_field(&live[at..], &mut self.scratch[written..]);
                at += read;
                written += output;
                match result {
                    ReadFieldResult::InputEmpty | ReadFieldResult::End => return Ok(Record::Incomplete),
                    ReadFieldResult::OutputFull => {}
                    ReadFieldResult::Field { record_end } => break record_end,
                }
            };
            let mut end = written;
            if record_ended
                && live[..at].ends_with(b"\r\n")
                && self.scratch[field_start..end].ends_with(b"\r")
            {
                end -= 1;
            }
            last_is_empty = field_start == end;
            if self.layout.projection.get(slot) == Some(&fields) {
                let view = TextView { start: (start + field_start) as u32, len: (end - field_start) as u32 };
                let is_null = !was_quoted && self.layout.is_null(&self.scratch[field_start..end]);
                sink.views[slot * sink.stride + sink.row] = if is_null { NULL_VIEW } else { view };
                slot += 1;
            }
            fields += 1;
            if record_ended {
                break;
            }
        }
        if !self.layout.accepts(fields, last_is_empty) || slot < self.layout.projection.len() {
            return Ok(Record::Ragged { fields });
        }
        Ok(self.complete(window, written, at, sink.row))
    }

    /// Puts the fields of a record that ends at `next` over it, and counts its lines.
    fn complete(&mut self, window: &mut [u8], written: usize, next: usize, row: usize) -> Record {
        let start = self.reader.start;
        let newlines = memchr::memchr_iter(b'\n', &window[start..next]).count();
        window[start..start + written].copy_from_slice(&self.scratch[..written]);
        self.lines[row] = (self.next_line - self.first_line) as u32;
        self.next_line += newlines as u64;
        Record::Complete { next }
    }

    /// Reads one record of PostgreSQL's format text and writes its fields over it.
    ///
    /// # Source
    /// `CopyReadLineText` and `CopyReadAttributesText` in PostgreSQL's `copyfromparse.c`.
    fn split_escaped(&mut self, window: &mut [u8], sink: &mut Sink<'_>) -> Result<Record, RowProblem> {
        let start = self.reader.start;
        let live = &window[..self.reader.end];
        if live[start..].starts_with(b"\\.\n") || live[start..].starts_with(b"\\.\r\n") {
            return Ok(Record::End);
        }
        let (mut at, mut written, mut fields, mut slot) = (start, 0, 0, 0);
        let (mut raw_start, mut field_start, mut has_escape) = (start, 0, false);
        loop {
            let Some(&byte) = live.get(at) else { return Ok(Record::Incomplete) };
            at += 1;
            let is_newline = byte == b'\n';
            if byte == b'\\' {
                let Some(escape) = Escape::read(&live[at..]) else { return Ok(Record::Incomplete) };
                if escape.byte == 0 {
                    return Err(RowProblem::Read(ReadProblem::NulByte { at, newlines: 0 }));
                }
                self.reader.is_ascii &= escape.byte.is_ascii();
                self.put_byte(&mut written, escape.byte)?;
                at += escape.len;
                has_escape = true;
                continue;
            }
            if byte != self.layout.delimiter && !is_newline {
                self.put_byte(&mut written, byte)?;
                continue;
            }
            let (mut raw_end, mut end) = (at - 1, written);
            if is_newline && raw_end > raw_start && live[raw_end - 1] == b'\r' {
                (raw_end, end) = (raw_end - 1, end - 1);
            }
            if self.layout.projection.get(slot) == Some(&fields) {
                sink.put(
                    slot,
                    start + field_start,
                    start + end,
                    self.layout.is_null(&live[raw_start..raw_end]),
                );
                slot += 1;
            }
            fields += 1;
            if is_newline {
                let last_is_empty = end == field_start && !has_escape;
                if !self.layout.accepts(fields, last_is_empty) || slot < self.layout.projection.len() {
                    return Ok(Record::Ragged { fields });
                }
                return Ok(self.complete(window, written, at, sink.row));
            }
            (raw_start, field_start, has_escape) = (at, written, false);
        }
    }

    fn put_byte(&mut self, written: &mut usize, byte: u8) -> Result<(), AllocError> {
        if self.scratch.len() == *written {
            let size = (self.scratch.len() * 2).max(256);
            self.scratch.resize_zeroed(size)?;
        }
        self.scratch[*written] = byte;
        *written += 1;
        Ok(())
    }
}

/// The byte that keeps a record from being split the fast way.
pub(crate) fn special_byte(format: CsvFormat) -> Option<u8> {
    format.quote.or(format.escapes.then_some(b'\\'))
}

/// What stands behind a backslash: the byte that it means, and how many bytes say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Escape {
    byte: u8,
    len: usize,
}

impl Escape {
    /// Nothing when `text` may go on with more digits.
    fn read(text: &[u8]) -> Option<Escape> {
        let first = *text.first()?;
        let one = |byte| Some(Escape { byte, len: 1 });
        match first {
            b'b' => one(8),
            b'f' => one(12),
            b'n' => one(b'\n'),
            b'r' => one(b'\r'),
            b't' => one(b'\t'),
            b'v' => one(11),
            b'0'..=b'7' => Escape::digits(text, 8, 3),
            b'x' => match text.get(1)?.is_ascii_hexdigit() {
                true => Escape::digits(&text[1..], 16, 2)
                    .map(|Escape { byte, len }| Escape { byte, len: len + 1 }),
                false => one(first),
            },
            _ => one(first),
        }
    }

    /// Up to `digits_max` digits; PostgreSQL keeps the low byte of three octal ones.
    fn digits(text: &[u8], radix: u32, digits_max: usize) -> Option<Escape> {
        let (mut value, mut len) = (0u32, 0);
        while len < digits_max {
            let Some(digit) = char::from(*text.get(len)?).to_digit(radix) else { break };
            value = value * radix + digit;
            len += 1;
        }
        Some(Escape { byte: value as u8, len })
    }
}

/// The position after an empty line at `at`, if there is one.
#[inline(always)]
fn blank_line(live: &[u8], at: usize) -> Option<usize> {
    match live[at] {
        b'\n' => Some(at + 1),
        b'\r' if live.get(at + 1) == Some(&b'\n') => Some(at + 2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_arena::Budget;
    use proptest::prelude::*;
    use std::fs::File;
    use std::io::Write;
    use std::sync::atomic::{AtomicU32, Ordering};

    const FIELDS: u32 = 3;
    const STRIDE: usize = 7;

    type Fields = std::vec::Vec<Option<std::vec::Vec<u8>>>;

    /// Rows as this reader gives them, with a window of few bytes, and the line of the row that is malformed.
    fn read(text: &[u8], quote: Option<u8>, window_bytes: usize) -> (std::vec::Vec<Fields>, Option<u64>) {
        let format = CsvFormat { quote, ..CsvFormat::CSV };
        read_as(text, format, FieldRules::AS_IT_STANDS, window_bytes)
    }

    fn read_as(
        text: &[u8],
        format: CsvFormat,
        rules: FieldRules<'_>,
        window_bytes: usize,
    ) -> (std::vec::Vec<Fields>, Option<u64>) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("cofferdam-rows-{}-{number}", std::process::id()));
        File::create(&path).and_then(|mut file| file.write_all(text)).expect("the folder is writable");
        let budget = Budget::unlimited("test").unwrap();
        let arena = Arena::new(&budget);
        let file = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let reader = Reader::new(file, special_byte(format), window_bytes);
        let mut rows = RowReader::new(reader, format, rules, FIELDS, &[0, 1, 2], STRIDE, &arena).unwrap();
        let mut window = Vec::new_in(&arena);
        let mut views = [NULL_VIEW; FIELDS as usize * STRIDE];
        let mut all = std::vec::Vec::new();
        loop {
            let count = match rows.next_rows(&mut window, &mut views, STRIDE) {
                Ok(0) => return (all, None),
                Ok(count) => count,
                Err(_) => return (all, Some(rows.line_reached())),
            };
            for row in 0..count {
                let view = |slot: usize| views[slot * STRIDE + row];
                let field = |view: TextView| (view != NULL_VIEW).then(|| view.of(&window).to_vec());
                all.push((0..FIELDS as usize).map(|slot| field(view(slot))).collect());
            }
        }
    }

    /// Rows as `csv-core` gives them when it reads the whole text, up to the first of another length.
    fn read_by_csv_core(text: &[u8]) -> std::vec::Vec<std::vec::Vec<std::vec::Vec<u8>>> {
        let mut reader = ReaderBuilder::new().terminator(Terminator::Any(b'\n')).build();
        let (mut output, mut ends) = (vec![0; text.len() + 1], vec![0; text.len() + 2]);
        let (mut input, mut rows) = (text, std::vec::Vec::new());
        loop {
            let (result, read, _, count) = reader.read_record(input, &mut output, &mut ends);
            input = &input[read..];
            // No input tells `csv-core` that the text ends.
            let (_, count) = match result {
                csv_core::ReadRecordResult::Record => (result, count),
                csv_core::ReadRecordResult::InputEmpty => {
                    let (result, _, _, more) = reader.read_record(
                        &[],
                        &mut output[ends[..count].last().copied().unwrap_or(0)..],
                        &mut ends[count..],
                    );
                    (result, count + more)
                }
                _ => return rows,
            };
            if count == 0 {
                return rows;
            }
            let starts = std::iter::once(0).chain(ends.iter().copied());
            rows.push(starts.zip(&ends[..count]).map(|(start, &end)| output[start..end].to_vec()).collect());
        }
    }

    /// A text as PostgreSQL writes it in its format text.
    fn escaped(text: &str) -> String {
        let mut out = String::new();
        for character in text.chars() {
            match character {
                '\n' => out += "\\n",
                '\t' => out += "\\t",
                '\r' => out += "\\r",
                '\\' => out += "\\\\",
                other => out.push(other),
            }
        }
        out
    }

    fn text_rules() -> FieldRules<'static> {
        FieldRules { null: "\\N", is_assigned: true }
    }

    #[test]
    fn escapes_are_those_of_postgresql() {
        let cases = [
            ("\\b\\f\\v", "\u{8}\u{c}\u{b}"),
            ("\\101\\60x", "A0x"),
            ("\\x41\\x4z\\xz", "A\u{4}zxz"),
            ("\\303\\251", "é"),
            ("\\N1", "N1"),
            ("a\\\nb", "a\nb"),
            ("\\.x", ".x"),
            ("\\\t", "\t"),
        ];
        for (text, expected) in cases {
            let line = format!("{text}\t\\N\t\n1\t2\t3\n");
            let (rows, malformed) = read_as(line.as_bytes(), CsvFormat::TEXT, text_rules(), 64);
            assert_eq!(malformed, None, "{text}");
            let first = vec![Some(expected.as_bytes().to_vec()), None, Some(vec![])];
            assert_eq!(rows[0], first, "{text}");
            assert_eq!(rows.len(), 2);
        }
        let read = |text: &str| read_as(text.as_bytes(), CsvFormat::TEXT, text_rules(), 64);
        assert_eq!(read("a\tb\tc\n\\.\nx\n"), (read("a\tb\tc\n").0, None), "the data ends before the file");
        assert_eq!(read("a\tb\tc\nd\\\ne\tf\n").1, Some(2), "lines are counted by where records begin");
        assert_eq!(read("a\tb\t\\0\n").1, Some(1), "there is no NUL in a text");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Aim: what is written in the format text is read back, wherever the window ends.
        #[test]
        fn format_text_reads_back(
            rows in proptest::collection::vec(proptest::collection::vec(proptest::option::of("[ab\\\\\n\t\rNé]{0,6}"), 3), 0..30),
            window_bytes in 32usize..200,
        ) {
            let field = |field: &Option<String>| field.as_ref().map_or("\\N".to_owned(), |text| escaped(text));
            let line = |row: &std::vec::Vec<Option<String>>| row.iter().map(field).collect::<std::vec::Vec<_>>().join("\t") + "\n";
            let text: String = rows.iter().map(line).collect();
            let (found, malformed) = read_as(text.as_bytes(), CsvFormat::TEXT, text_rules(), window_bytes);
            prop_assert_eq!(malformed, None);
            let expected: std::vec::Vec<Fields> = rows.iter()
                .map(|row| row.iter().map(|field| field.as_ref().map(|text| text.clone().into_bytes())).collect())
                .collect();
            prop_assert_eq!(found, expected);
        }

        /// Aim: bytes of any kind end in rows or in an error in the format text, too.
        #[test]
        fn any_bytes_are_text_or_an_error(
            text in proptest::collection::vec(prop_oneof![Just(b'\t'), Just(b'\\'), Just(b'\n'), Just(b'x'), any::<u8>()], 0..300),
            window_bytes in 32usize..200,
        ) {
            let (rows, _) = read_as(&text, CsvFormat::TEXT, text_rules(), window_bytes);
            prop_assert!(rows.iter().all(|row| row.len() == 3));
        }

        /// Aim: on text without quotes the fast path and `csv-core` find the same fields, wherever the window ends.
        #[test]
        fn fast_path_agrees_with_csv_core(
            lines in proptest::collection::vec("[ab]{0,9},[ab\r]{0,9},[ab]{0,9}", 0..40),
            window_bytes in 32usize..200,
        ) {
            let text = lines.join("\n") + "\n";
            let (rows, malformed) = read(text.as_bytes(), None, window_bytes);
            prop_assert_eq!(malformed, None);
            let expected: std::vec::Vec<Fields> = if lines.is_empty() { vec![] } else {
                let fields = read_by_csv_core(text.as_bytes());
                let nullable = |field: std::vec::Vec<u8>| (!field.is_empty()).then_some(field);
                fields.into_iter().map(|row| row.into_iter().map(nullable).collect()).collect()
            };
            prop_assert_eq!(rows, expected);
        }

        /// Aim: quoting a field changes nothing but that an empty one is a text.
        #[test]
        fn quoted_and_plain_fields_are_the_same(
            lines in proptest::collection::vec(proptest::collection::vec("[ab]{1,9}", 3), 0..40),
            quoted in proptest::collection::vec(any::<bool>(), 120),
            window_bytes in 32usize..200,
        ) {
            let mut quotes = quoted.iter().cycle();
            let mut text = String::new();
            for line in &lines {
                let fields = line.iter().map(|field| match quotes.next() {
                    Some(true) => format!("\"{field}\""),
                    _ => field.clone(),
                });
                text += &(fields.collect::<std::vec::Vec<_>>().join(",") + "\n");
            }
            let (rows, malformed) = read(text.as_bytes(), Some(b'"'), window_bytes);
            prop_assert_eq!(malformed, None);
            let expected: std::vec::Vec<Fields> =
                lines.iter().map(|line| line.iter().map(|field| Some(field.clone().into_bytes())).collect()).collect();
            prop_assert_eq!(rows, expected);
        }

        /// Aim: bytes of any kind end in rows or in an error, and never in a panic.
        #[test]
        fn any_bytes_are_rows_or_an_error(
            text in proptest::collection::vec(prop_oneof![Just(b','), Just(b'"'), Just(b'\n'), Just(b'\r'), any::<u8>()], 0..300),
            window_bytes in 32usize..200,
        ) {
            let (rows, _) = read(&text, Some(b'"'), window_bytes);
            prop_assert!(rows.iter().all(|row| row.len() == 3));
        }
    }

    #[test]
    fn lines_are_counted_through_quoted_newlines() {
        let text = b"a,b,c\n\n\"x\ny\",b,c\nmalformed\n";
        assert_eq!(read(text, Some(b'"'), 64).1, Some(5));
    }
}
