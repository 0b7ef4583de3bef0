//! What a file holds, guessed from its first bytes: the delimiter, whether the first row names the columns, and types.
//!
//! - The delimiter goes by the extension (`.tsv` tab, `.tbl` bar, without quotes). For other files it is the first
//!   candidate that cuts the first row into as many fields as the query gives columns; else, in a `.csv`, the comma if it
//!   cuts the first rows all alike; else the candidate that cuts them alike and into the most fields.
//! - The first row is a header if it does not fit the types of the rows below it, or if all columns are text (except in a
//!   `.tbl`, which has no header by custom). Where the query gives the columns, it is a header if its fields are their
//!   names, or if it has words wherever the columns are no texts; texts under other names are therefore data, and so is
//!   a malformed number. Without a header columns are `column0`, `column1`, …
//! - A number is given more room than the sample needs, since what is read later may be longer: integers become
//!   bigint, decimals get 15, 18 or 38 digits. The digits behind the point are those of the sample; a field with more is
//!   an error when it is read, and never rounded.
//!
//! **Peak bytes**: a window of at most 256 KiB (more only if the first line is longer), and 16 bytes for each field of a
//! row, from an arena that is dropped at the end; the answer stays in the caller's.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use cofferdam_arena::collections::{Set, Vec};
use cofferdam_arena::{AllocError, Arena};
use cofferdam_plan::expr::Column;
use cofferdam_plan::physical::{CsvFormat, FieldRules, FileFormat, FileSource};
use cofferdam_types::{Sniffer, Type, cast};

use super::reader::{ReadProblem, Reader, window_bytes};
use super::rows::{RowProblem, RowReader};
use super::split::NULL_VIEW;
use crate::batch::TextView;
use crate::error::{Error, FileProblem, FileProblemKind};

const QUOTE: u8 = b'"';
const CANDIDATES: [u8; 4] = [b',', b'\t', b'|', b';'];
/// Rows that a delimiter is judged by.
const ROWS_JUDGED: usize = 20;
/// Rows that are read at a time.
const ROWS_AT_ONCE: usize = 64;

/// What the caller knows about a file already.
#[derive(Clone, Copy, Debug, Default)]
pub struct SniffOptions<'o> {
    /// The columns, where the query gives them: `AS t(a integer, b text)`. Their number is then not sniffed, and a first
    /// row whose fields are these names, or words where these types are none, is a header.
    pub columns: Option<&'o [Column<'o>]>,
    /// The byte between fields.
    pub delimiter: Option<u8>,
    /// Whether the first row names the columns.
    pub header: Option<bool>,
    /// All there is to know of a file whose columns are given: then it is not read.
    pub format: Option<(FileFormat, FieldRules<'o>)>,
}

/// Finds out how a file is written and what its columns are, from its first bytes.
///
/// The answer lives in `arena`, whose budget also pays for the sample while it is looked at.
///
/// # Errors
/// [`Error::File`] when the file cannot be read, is empty and has no given columns, has rows of different lengths, a NUL
/// byte or an unclosed quote in its sample; [`Error::OutOfMemory`].
pub fn sniff_file<'a>(
    path: &str,
    options: SniffOptions<'_>,
    arena: &'a Arena,
) -> Result<&'a FileSource<'a>, Error<'a>> {
    let problem = arena.alloc(FileProblem {
        path: arena.alloc_str(path)?,
        line: 0,
        kind: FileProblemKind::Io { kind: ErrorKind::Other },
    })?;
    let scratch = Arena::new(arena.budget());
    match sniff(path, options, &scratch, arena) {
        Ok(source) => Ok(source),
        Err(Trouble::OutOfMemory(error)) => Err(Error::OutOfMemory(error)),
        Err(Trouble::File { line, kind }) => {
            problem.line = line;
            problem.kind = kind;
            Err(Error::File(problem))
        }
    }
}

enum Trouble<'a> {
    OutOfMemory(AllocError),
    File { line: u64, kind: FileProblemKind<'a> },
}

impl From<AllocError> for Trouble<'_> {
    fn from(error: AllocError) -> Self {
        Trouble::OutOfMemory(error)
    }
}

impl From<std::io::Error> for Trouble<'_> {
    fn from(error: std::io::Error) -> Self {
        Trouble::File { line: 0, kind: FileProblemKind::Io { kind: error.kind() } }
    }
}

impl Trouble<'_> {
    fn of(problem: RowProblem, line: u64, expected: u32) -> Self {
        let (line, kind) = match problem {
            RowProblem::Read(ReadProblem::OutOfMemory(error)) => return Trouble::OutOfMemory(error),
            RowProblem::Read(ReadProblem::Io(kind)) => (0, FileProblemKind::Io { kind }),
            RowProblem::Read(ReadProblem::NulByte { at, newlines }) => {
                (line + newlines, FileProblemKind::NulByte { offset: at as u64 })
            }
            RowProblem::Read(ReadProblem::TooLong) => (line, FileProblemKind::LineTooLong),
            RowProblem::Read(ReadProblem::Shrunk) => (0, FileProblemKind::Shrunk),
            RowProblem::Ragged { fields } => (line, FileProblemKind::Ragged { fields, expected }),
            RowProblem::UnclosedQuote => (line, FileProblemKind::UnclosedQuote),
        };
        Trouble::File { line, kind }
    }
}

fn sniff<'a>(
    path: &str,
    options: SniffOptions<'_>,
    scratch: &Arena,
    arena: &'a Arena,
) -> Result<&'a FileSource<'a>, Trouble<'a>> {
    // Looked at before it is opened: to open a pipe is to wait for somebody to write to it.
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(std::io::Error::from(ErrorKind::IsADirectory).into());
    }
    if !metadata.is_file() {
        return Err(Trouble::File { line: 0, kind: FileProblemKind::NotAFile });
    }
    let file = File::open(path)?;
    if let (Some((format, rules)), Some(columns)) = (options.format, options.columns) {
        return Ok(arena.alloc(FileSource {
            path: arena.alloc_str(path)?,
            format,
            columns: copy_columns(columns, arena)?,
            size_bytes: metadata.len(),
            rows_estimate: None,
            fields: FieldRules { null: arena.alloc_str(rules.null)?, ..rules },
        })?);
    }
    let extension = Path::new(path).extension().unwrap_or_default();
    let is_table = extension.eq_ignore_ascii_case("tbl");
    let quote = (!is_table).then_some(QUOTE);
    let mut reader = Reader::new(file, Some(QUOTE), window_bytes(scratch.budget().limit_on_path()));
    let mut window = Vec::new_in(scratch);
    // A first line that is longer than the window makes it grow.
    while reader.refill(&mut window).map_err(|problem| Trouble::of(problem.into(), 1, 0))? {
        if memchr::memchr(b'\n', &window[reader.start..reader.end]).is_some() {
            break;
        }
        refuse_carriage_returns(&window[reader.start..reader.end], quote)?;
    }
    let sample = &window[reader.start..reader.end];
    refuse_carriage_returns(sample, quote)?;
    let delimiter = options.delimiter.unwrap_or_else(|| match () {
        () if is_table => b'|',
        () if extension.eq_ignore_ascii_case("tsv") => b'\t',
        () => guess_delimiter(sample, options.columns.map(<[_]>::len), extension.eq_ignore_ascii_case("csv")),
    });
    let shape = Shape::of(sample, delimiter, quote, is_table, options.columns);
    let format = CsvFormat {
        delimiter,
        quote,
        header: false,
        trailing_delimiter: shape.trailing_delimiter,
        escapes: false,
    };
    let sample = Sample::read(reader, &mut window, format, shape.fields, scratch)?;
    let header = options.header.unwrap_or_else(|| sample.has_header(options.columns, is_table));
    let columns = match options.columns {
        Some(given) => copy_columns(given, arena)?,
        None => sample.columns(header, scratch, arena)?,
    };
    let rows_estimate = sample.rows_estimate(metadata.len(), header);
    Ok(arena.alloc(FileSource {
        path: arena.alloc_str(path)?,
        format: FileFormat::Csv(CsvFormat { header, ..format }),
        columns,
        size_bytes: metadata.len(),
        rows_estimate,
        fields: FieldRules::AS_IT_STANDS,
    })?)
}

fn copy_columns<'a>(given: &[Column<'_>], arena: &'a Arena) -> Result<&'a [Column<'a>], AllocError> {
    let mut columns = Vec::with_capacity_in(given.len(), arena)?;
    for column in given {
        columns.push(Column { name: arena.alloc_str(column.name)?, ty: column.ty })?;
    }
    Ok(columns.into_slice())
}

/// How many fields a row has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    fields: u32,
    trailing_delimiter: bool,
}

impl Shape {
    /// Judged by the first row; a `.tbl` row ends in a delimiter that opens no field.
    fn of(
        sample: &[u8],
        delimiter: u8,
        quote: Option<u8>,
        is_table: bool,
        given: Option<&[Column<'_>]>,
    ) -> Shape {
        let row = first_row(sample, quote);
        let fields = delimiters_in(row, delimiter, quote) + 1;
        let ends_open = row.last() == Some(&delimiter);
        match given {
            Some(given) => {
                let wanted = given.len() as u32;
                Shape { fields: wanted, trailing_delimiter: ends_open && fields == wanted + 1 }
            }
            None if is_table && ends_open => Shape { fields: fields - 1, trailing_delimiter: true },
            None => Shape { fields, trailing_delimiter: false },
        }
    }
}

/// Carriage returns as line ends would make the whole file one row: an error when the first row has one.
fn refuse_carriage_returns<'a>(sample: &[u8], quote: Option<u8>) -> Result<(), Trouble<'a>> {
    let row = first_row(sample, quote);
    let mut is_quoted = false;
    for &byte in row {
        if Some(byte) == quote {
            is_quoted = !is_quoted;
        } else if byte == b'\r' && !is_quoted {
            return Err(Trouble::File { line: 1, kind: FileProblemKind::CarriageReturns });
        }
    }
    Ok(())
}

/// The first row that is not empty, without its line ending.
fn first_row(sample: &[u8], quote: Option<u8>) -> &[u8] {
    let mut rest = sample;
    loop {
        let (row, next) = next_row(rest, quote);
        let row = row.strip_suffix(b"\r").unwrap_or(row);
        if !row.is_empty() || next.is_empty() {
            return row;
        }
        rest = next;
    }
}

/// The next row, up to a newline outside quotes, and what follows it.
fn next_row(sample: &[u8], quote: Option<u8>) -> (&[u8], &[u8]) {
    let mut is_quoted = false;
    for (at, &byte) in sample.iter().enumerate() {
        if Some(byte) == quote {
            is_quoted = !is_quoted;
        } else if byte == b'\n' && !is_quoted {
            return (&sample[..at], &sample[at + 1..]);
        }
    }
    (sample, &[])
}

fn delimiters_in(row: &[u8], delimiter: u8, quote: Option<u8>) -> u32 {
    let (mut is_quoted, mut count) = (false, 0);
    for &byte in row {
        if Some(byte) == quote {
            is_quoted = !is_quoted;
        } else if byte == delimiter && !is_quoted {
            count += 1;
        }
    }
    count
}

/// The delimiter that gives the wanted number of fields, or that cuts the first rows into the most fields and all alike
/// (in a `.csv` a comma that cuts them alike is enough); a comma if there is none.
fn guess_delimiter(sample: &[u8], fields: Option<usize>, prefers_comma: bool) -> u8 {
    let row = first_row(sample, Some(QUOTE));
    let count_of = |candidate| delimiters_in(row, candidate, Some(QUOTE));
    if let Some(fields) = fields
        && let Some(fits) =
            CANDIDATES.into_iter().find(|&candidate| count_of(candidate) as usize + 1 == fields)
        && fields > 1
    {
        return fits;
    }
    let mut best = (0, b',');
    for candidate in CANDIDATES {
        let count = count_of(candidate);
        if prefers_comma && best.0 > 0 && best.1 == b',' {
            break;
        }
        if count > best.0 && cuts_alike(sample, candidate, count) {
            best = (count, candidate);
        }
    }
    best.1
}

fn cuts_alike(sample: &[u8], delimiter: u8, count: u32) -> bool {
    let mut rest = sample;
    for _ in 0..ROWS_JUDGED {
        let (row, next) = next_row(rest, Some(QUOTE));
        // The last row of a sample may be cut off.
        if next.is_empty() {
            break;
        }
        let is_empty = row.is_empty() || row == b"\r";
        if !is_empty && delimiters_in(row, delimiter, Some(QUOTE)) != count {
            return false;
        }
        rest = next;
    }
    true
}

/// What the rows of a sample have in common.
struct Sample<'s> {
    /// The first row's fields, `None` for NULL.
    first: &'s [Option<&'s [u8]>],
    /// Over the rows behind the first.
    sniffers: &'s [Sniffer],
    rows_count: u64,
    bytes: u64,
    is_whole_file: bool,
}

impl<'s> Sample<'s> {
    /// Reads the rows that are complete in the window.
    fn read<'a>(
        mut reader: Reader,
        window: &mut Vec<'_, u8>,
        format: CsvFormat,
        fields: u32,
        scratch: &'s Arena,
    ) -> Result<Sample<'s>, Trouble<'a>> {
        let is_whole_file = reader.at_end;
        reader.at_end = true;
        let projection = &*scratch.alloc_slice_from_iter(0..fields)?;
        let mut rows = RowReader::new(
            reader,
            format,
            FieldRules::AS_IT_STANDS,
            fields,
            projection,
            ROWS_AT_ONCE,
            scratch,
        )?;
        let views = scratch.alloc_slice_fill(fields as usize * ROWS_AT_ONCE, NULL_VIEW)?;
        let first = scratch.alloc_slice_fill(fields as usize, None)?;
        let sniffers = scratch.alloc_slice_fill(fields as usize, Sniffer::new())?;
        let mut rows_count = 0;
        loop {
            let count = match rows.next_rows(window, views, ROWS_AT_ONCE) {
                Ok(0) => break,
                Ok(count) => count,
                // The sample ends inside a quoted field.
                Err(RowProblem::UnclosedQuote) if !is_whole_file => break,
                Err(problem) => return Err(Trouble::of(problem, rows.line_reached(), fields)),
            };
            for (slot, places) in views.chunks_exact(ROWS_AT_ONCE).enumerate() {
                for (row, &view) in places[..count].iter().enumerate() {
                    let field = field_of(view, window);
                    if rows_count == 0 && row == 0 {
                        first[slot] = match field {
                            Some(field) => Some(&*scratch.alloc_slice_copy(field)?),
                            None => None,
                        };
                    } else if let Some(field) = field {
                        sniffers[slot].feed(field);
                    }
                }
            }
            rows_count += count as u64;
        }
        let bytes = rows.reader.offset + rows.reader.start as u64;
        Ok(Sample { first, sniffers, rows_count, bytes, is_whole_file })
    }

    /// Whether the first row names the columns.
    fn has_header(&self, given: Option<&[Column<'_>]>, is_table: bool) -> bool {
        if let Some(given) = given {
            return self.rows_count > 0 && (self.are_names(given) || self.look_like_names(given));
        }
        let fields = self.first.iter().enumerate();
        if self.rows_count == 0 {
            return false;
        }
        let mut all_text = true;
        for (index, field) in fields {
            let below = self.sniffers[index].ty();
            let Some(field) = field else {
                // A header names every column.
                return false;
            };
            let mut with_first = self.sniffers[index];
            with_first.feed(field);
            if with_first.ty() == Type::Text && below != Type::Text {
                return true;
            }
            all_text &= with_first.ty() == Type::Text;
        }
        all_text && !is_table
    }

    /// Whether the fields of the first row are the names of these columns, in any case.
    fn are_names(&self, given: &[Column<'_>]) -> bool {
        self.first.len() == given.len()
            && self.first.iter().zip(given).all(|(field, column)| {
                field.is_some_and(|field| field.trim_ascii().eq_ignore_ascii_case(column.name.as_bytes()))
            })
    }

    /// Whether the first row has no value where these columns want one that is no text, but words. A number or date
    /// that is malformed is no word: it must not make a row of data vanish.
    fn look_like_names(&self, given: &[Column<'_>]) -> bool {
        let mut words = 0;
        for (field, column) in self.first.iter().zip(given) {
            let (Some(field), false) = (field, column.ty == Type::Text) else { continue };
            match field.trim_ascii() {
                [] => continue,
                [b'0'..=b'9' | b'+' | b'-' | b'.', ..] => return false,
                field if reads_as(field, column.ty) => return false,
                _ => words += 1,
            }
        }
        words > 0
    }

    fn columns<'a>(
        &self,
        header: bool,
        scratch: &Arena,
        arena: &'a Arena,
    ) -> Result<&'a [Column<'a>], Trouble<'a>> {
        let mut columns = Vec::with_capacity_in(self.first.len(), arena)?;
        let mut names = Set::new_in(scratch);
        for (index, (first, sniffer)) in self.first.iter().zip(self.sniffers).enumerate() {
            let mut sniffer = *sniffer;
            let mut name = None;
            match first {
                Some(first) if header => name = core::str::from_utf8(first.trim_ascii()).ok(),
                Some(first) => sniffer.feed(first),
                None => {}
            }
            let name = match name {
                Some(name) if !name.is_empty() && !names.contains(name) => {
                    names.insert(name)?;
                    &*arena.alloc_str(name)?
                }
                _ => arena.alloc_fmt(format_args!("column{index}"))?,
            };
            columns.push(Column { name, ty: with_room(sniffer.ty()) })?;
        }
        Ok(columns.into_slice())
    }

    /// The number of rows: exact if all were looked at, else by the size of those that were.
    fn rows_estimate(&self, size_bytes: u64, header: bool) -> Option<u64> {
        let rows = self.rows_count - u64::from(header && self.rows_count > 0);
        if self.is_whole_file {
            return Some(rows);
        }
        let estimate = u128::from(rows) * u128::from(size_bytes) / u128::from(self.bytes.max(1));
        u64::try_from(estimate).ok().filter(|_| size_bytes > 0)
    }
}

fn field_of(view: TextView, window: &[u8]) -> Option<&[u8]> {
    (view != NULL_VIEW).then(|| view.of(window))
}

fn reads_as(field: &[u8], ty: Type) -> bool {
    core::str::from_utf8(field).is_ok_and(|text| cast::read(text, ty).is_ok())
}

/// A type that also holds what a longer file of the same kind is likely to have.
fn with_room(ty: Type) -> Type {
    match ty {
        Type::Integer => Type::BigInt,
        Type::Decimal { precision, scale: 0 } => Type::Decimal { precision: precision.max(38), scale: 0 },
        Type::Decimal { precision, scale } => {
            let roomy = [15, 18].into_iter().find(|&room| precision + 3 <= room);
            Type::Decimal { precision: roomy.unwrap_or(Type::DECIMAL_DIGITS_MAX), scale }
        }
        ty => ty,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiter_is_the_one_that_cuts_all_rows_alike() {
        let cases: [(&[u8], u8); 5] = [
            (b"a,b;c\n1,2;3\n", b','),
            (b"a;b\n1,5;2\n2;3\n", b';'),
            (b"a\tb\tc\n1\t2\t3\n", b'\t'),
            (b"\"x,y\"|b\n\"1,2,3\"|2\n", b'|'),
            (b"word\nother\n", b','),
        ];
        for (sample, expected) in cases {
            assert_eq!(guess_delimiter(sample, None, false), expected, "{}", String::from_utf8_lossy(sample));
        }
        let sample = b"a,b;c;d\n1,2;3;4\n";
        assert_eq!(guess_delimiter(sample, None, false), b';');
        assert_eq!(guess_delimiter(sample, None, true), b',');
        assert_eq!(guess_delimiter(sample, Some(3), true), b';');
        assert_eq!(guess_delimiter(sample, Some(2), false), b',');
        assert_eq!(guess_delimiter(b"a,b;c\n1;2\n3;4\n", None, true), b';');
    }

    #[test]
    fn numbers_get_room() {
        let decimal = |precision, scale| Type::Decimal { precision, scale };
        assert_eq!(with_room(Type::Integer), Type::BigInt);
        assert_eq!(with_room(decimal(8, 2)), decimal(15, 2));
        assert_eq!(with_room(decimal(14, 2)), decimal(18, 2));
        assert_eq!(with_room(decimal(16, 2)), decimal(38, 2));
        assert_eq!(with_room(decimal(20, 0)), decimal(38, 0));
    }
}
