//! Rows of a delimited file as views into the window: the fast splitter where it can, `csv-core` where it must.
//!
//! A line without a quote byte has no structure but delimiters, and [`Splitter`] finds its fields. A record that holds a
//! quote is read by `csv-core`, whose output (never longer than the record) is written over the record in the window,
//! so that its fields are views like all others. The two agree on every line that either may read; a property test
//! holds them to it.
//!
//! What a field means: nothing between two delimiters is NULL, two quotes are the empty text (`field` makes NULL of it in
//! columns that are no texts). A line that is empty is passed over. A carriage return before a newline belongs to the
//! newline.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_plan::physical::CsvFormat;
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
    Complete { next: usize },
    Ragged { fields: u32 },
    Incomplete,
}

impl<'a> RowReader<'a> {
    /// A reader that gives the projected fields of up to `rows_max` rows at a time.
    pub(crate) fn new(
        reader: Reader,
        format: CsvFormat,
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
            match self.split_quoted(window, &mut sink)? {
                Record::Complete { next } => {
                    self.reader.start = next;
                    row += 1;
                }
                Record::Ragged { fields } => return Err(RowProblem::Ragged { fields }),
                Record::Incomplete => break,
            }
        }
        Ok(row)
    }

    /// Splits lines up to the first one with a quote, and gives whether there is one.
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
        let next_quote = match self.quote {
            Some(quote) if self.reader.has_quotes => memchr::memchr(quote, &live[at..]).map(|i| at + i),
            _ => None,
        };
        let quote_at = next_quote.unwrap_or(usize::MAX);
        let mut line = (self.next_line - self.first_line) as u32;
        let mut splitter = Splitter::new(live, self.layout.delimiter, at);
        let mut stops_at_quote = false;
        while *row < rows_max && at < live.len() {
            if let Some(next) = blank_line(live, at) {
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
                    self.scratch.resize(size, 0)?;
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
                let is_null = last_is_empty && !was_quoted;
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
        let newlines = memchr::memchr_iter(b'\n', &live[start..at]).count();
        window[start..start + written].copy_from_slice(&self.scratch[..written]);
        self.lines[sink.row] = (self.next_line - self.first_line) as u32;
        self.next_line += newlines as u64;
        Ok(Record::Complete { next: at })
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
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("cofferdam-rows-{}-{number}", std::process::id()));
        File::create(&path).and_then(|mut file| file.write_all(text)).expect("the folder is writable");
        let budget = Budget::unlimited("test").unwrap();
        let arena = Arena::new(&budget);
        let format = CsvFormat { delimiter: b',', quote, header: false, trailing_delimiter: false };
        let file = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let reader = Reader::new(file, quote, window_bytes);
        let mut rows = RowReader::new(reader, format, FIELDS, &[0, 1, 2], STRIDE, &arena).unwrap();
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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

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
