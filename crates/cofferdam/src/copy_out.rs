//! `COPY … TO`: rows as text, to a file or to whoever wants them, in the formats that `COPY … FROM` reads.
//!
//! **Formats**, as PostgreSQL writes them:
//!
//! | | text | csv |
//! |---|---|---|
//! | NULL | `\N`, or what the statement says | nothing, or what the statement says |
//! | a delimiter, a line's end, a backslash in a value | a backslash and a letter or the byte | quotes around the value, those in it doubled |
//! | a value that reads as NULL would | as it is where NULL has no backslash, so it is read as NULL; PostgreSQL has it so | quotes |
//!
//! **Files** are written under another name in the same directory, synced and then renamed, so who looks sees the old file or the whole new
//! one, and an error leaves nothing behind.
//!
//! **Memory.** Rows are written as they come. A buffer of at most 32 KiB, less under small limits, and the text of one value, on the budget
//! of the statement.

use std::fmt::{self, Write as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cofferdam_arena::collections::String;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_plan::physical::{CopyTarget, CsvFormat};
use cofferdam_types::Value;
use cofferdam_vfs::{Directory, File, OpenMode};

use crate::database::{Database, system_vfs};
use crate::error::Error;
use crate::rows::{Batch, Rows};

/// What is written at a time: a share of so many of the limit,
const BUFFER_SHARE: u64 = 64;
/// and this at least and at most.
const BUFFER_BYTES: (u64, u64) = (512, 32 << 10);
/// What the handles of a file that is written take beside its path.
const HANDLES_BYTES: usize = 512;

/// How rows are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CopyFormat<'s> {
    csv: CsvFormat,
    null: &'s str,
}

impl CopyFormat<'_> {
    /// PostgreSQL's format text.
    pub(crate) const TEXT: CopyFormat<'static> = CopyFormat { csv: CsvFormat::TEXT, null: "\\N" };
}

impl<'s> From<&CopyTarget<'s>> for CopyFormat<'s> {
    fn from(target: &CopyTarget<'s>) -> CopyFormat<'s> {
        CopyFormat { csv: target.csv, null: target.null }
    }
}

/// Why rows were not written.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one, on the stack")]
enum Stopped {
    OutOfMemory,
    Output(io::Error),
    Rows(Error),
}

impl From<AllocError> for Stopped {
    fn from(_: AllocError) -> Stopped {
        Stopped::OutOfMemory
    }
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Stopped {
        Stopped::Output(error)
    }
}

/// Writes the rows that are left, and gives their number with those before.
///
/// # Errors
/// Those of the rows; 58030 and the like when `out` takes no more.
pub(crate) fn write(
    rows: &mut Rows<'_>,
    format: CopyFormat<'_>,
    out: &mut dyn io::Write,
) -> Result<u64, Error> {
    let scratch = Arena::new(rows.budget());
    match write_rows(rows, format, out, &scratch) {
        Ok(()) => Ok(rows.rows_count()),
        Err(Stopped::Rows(error)) => Err(error),
        Err(Stopped::OutOfMemory) => Err(rows.failed(Error::refused(rows.budget()))),
        Err(Stopped::Output(error)) => {
            Err(rows.failed(Error::from_output(&error, format_args!("could not write rows"))))
        }
    }
}

fn write_rows(
    rows: &mut Rows<'_>,
    format: CopyFormat<'_>,
    out: &mut dyn io::Write,
    scratch: &Arena,
) -> Result<(), Stopped> {
    let limit = rows.budget().limit_on_path();
    let buffer_bytes = (limit / BUFFER_SHARE).clamp(BUFFER_BYTES.0, BUFFER_BYTES.1) as usize;
    let columns = rows.columns();
    let mut writer = RowWriter {
        scratch,
        out,
        buffer: scratch.alloc_slice_fill(buffer_bytes, 0)?,
        len: 0,
        text: String::new_in(scratch),
        format,
        is_alone: columns.len() == 1,
    };
    if format.csv.header {
        for (index, column) in columns.iter().enumerate() {
            writer.separate(index)?;
            writer.field(column.name)?;
        }
        writer.put(b"\n")?;
    }
    while let Some(batch) = rows.next_batch().map_err(Stopped::Rows)? {
        writer.batch(&batch)?;
    }
    writer.flush()
}

/// Writes rows through a buffer.
struct RowWriter<'w> {
    scratch: &'w Arena,
    out: &'w mut dyn io::Write,
    buffer: &'w mut [u8],
    len: usize,
    /// The text of a value that is none itself.
    text: String<'w>,
    format: CopyFormat<'w>,
    /// Whether there is one column.
    is_alone: bool,
}

impl RowWriter<'_> {
    fn batch(&mut self, batch: &Batch<'_>) -> Result<(), Stopped> {
        for row in batch.rows() {
            for (index, value) in row.values().enumerate() {
                self.separate(index)?;
                self.value(value)?;
            }
            self.put(b"\n")?;
        }
        Ok(())
    }

    fn separate(&mut self, index: usize) -> Result<(), Stopped> {
        if index > 0 { self.put(&[self.format.csv.delimiter]) } else { Ok(()) }
    }

    fn value(&mut self, value: Value<'_>) -> Result<(), Stopped> {
        match value {
            Value::Null => self.put(self.format.null.as_bytes()),
            Value::Text(text) | Value::Char(text) | Value::Json(text) | Value::Jsonb(text) => {
                self.field(text)
            }
            value => {
                let mut text = std::mem::replace(&mut self.text, String::new_in(self.scratch));
                text.clear();
                // It ends for nothing but memory.
                write!(Growing(&mut text), "{value}").map_err(|_| Stopped::OutOfMemory)?;
                let outcome = self.field(text.as_str());
                self.text = text;
                outcome
            }
        }
    }

    fn field(&mut self, text: &str) -> Result<(), Stopped> {
        match self.format.csv.quote {
            None => self.escaped(text.as_bytes()),
            Some(quote) if self.needs_quotes(text, quote) => self.quoted(text.as_bytes(), quote),
            Some(_) => self.put(text.as_bytes()),
        }
    }

    /// Whether a value would be read as something else without quotes.
    fn needs_quotes(&self, text: &str, quote: u8) -> bool {
        let delimiter = self.format.csv.delimiter;
        let is_special = |byte: u8| byte == delimiter || byte == quote || matches!(byte, b'\n' | b'\r');
        text == self.format.null || self.is_alone && text == "\\." || text.bytes().any(is_special)
    }

    fn quoted(&mut self, text: &[u8], quote: u8) -> Result<(), Stopped> {
        self.put(&[quote])?;
        for (index, part) in text.split(|byte| *byte == quote).enumerate() {
            if index > 0 {
                self.put(&[quote, quote])?;
            }
            self.put(part)?;
        }
        self.put(&[quote])
    }

    fn escaped(&mut self, text: &[u8]) -> Result<(), Stopped> {
        let delimiter = self.format.csv.delimiter;
        let mut rest = text;
        while let Some(at) = rest.iter().position(|byte| escape(*byte, delimiter).is_some()) {
            let (before, from) = rest.split_at(at);
            self.put(before)?;
            if let Some((special, behind)) = from.split_first() {
                self.put(&[b'\\', escape(*special, delimiter).unwrap_or(*special)])?;
                rest = behind;
            }
        }
        self.put(rest)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Stopped> {
        if let Some(room) = self.buffer.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
            self.len += bytes.len();
            return Ok(());
        }
        self.flush()?;
        match self.buffer.get_mut(..bytes.len()) {
            None => Ok(self.out.write_all(bytes)?),
            Some(room) => {
                room.copy_from_slice(bytes);
                self.len = bytes.len();
                Ok(())
            }
        }
    }

    fn flush(&mut self) -> Result<(), Stopped> {
        self.out.write_all(&self.buffer[..self.len])?;
        self.len = 0;
        Ok(())
    }
}

/// What stands behind a backslash for a byte, in the format text.
fn escape(byte: u8, delimiter: u8) -> Option<u8> {
    Some(match byte {
        b'\\' => b'\\',
        b'\x08' => b'b',
        b'\x0c' => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        b'\x0b' => b'v',
        byte if byte == delimiter => byte,
        _ => return None,
    })
}

/// A text that grows while there is memory.
struct Growing<'g, 't>(&'g mut String<'t>);

impl fmt::Write for Growing<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.push_str(text).map_err(|_| fmt::Error)
    }
}

/// Writes the rows to the file of `target`, and gives their number.
///
/// # Errors
/// Those of the rows; 58P01, 42501, 42809, 53100 and 58030 of the file. There is no part of it then.
pub(crate) fn write_file(
    rows: &mut Rows<'_>,
    target: &CopyTarget<'_>,
    path: &str,
    database: &Database,
) -> Result<u64, Error> {
    let (vfs, is_system) = match database.vfs() {
        Some(vfs) => (Arc::clone(vfs), false),
        None => (system_vfs()?, true),
    };
    let failed = |error: io::Error, what: &str| {
        Error::from_output(&error, format_args!("could not {what} file \"{path}\""))
    };
    let scratch = Arena::new(rows.budget());
    let refused = |_: AllocError| Error::refused(scratch.budget());
    // The handles hold the path a few times.
    scratch.alloc_slice_fill(HANDLES_BYTES + 4 * path.len(), 0u8).map_err(refused)?;
    let outcome = (|| {
        let place = if is_system { regular(Path::new(path), target)? } else { PathBuf::from(path) };
        let name = place.file_name().and_then(|name| name.to_str());
        let (Some(name), Some(folder)) = (name, place.parent()) else {
            return Err(is_directory(path, target));
        };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let directory = vfs.directory(folder, false).map_err(|error| failed(error, "open"))?;
        let own_name = scratch.alloc_fmt(format_args!(".cofferdam-copy-{:016x}", vfs.random_u64()));
        let own_name: &str = own_name.map_err(refused)?;
        let file = directory.open(own_name, OpenMode::CreateNew).map_err(|error| failed(error, "create"))?;
        let mut staged = Staged { directory: &*directory, name: own_name, file: Some(file), offset: 0 };
        let rows_count = match write_rows(rows, target.into(), &mut staged, &scratch) {
            Ok(()) => rows.rows_count(),
            Err(Stopped::Rows(error)) => return Err(error),
            Err(Stopped::OutOfMemory) => return Err(Error::refused(scratch.budget())),
            Err(Stopped::Output(error)) => return Err(failed(error, "write")),
        };
        staged.take_place(name).map_err(|error| failed(error, "write"))?;
        Ok(rows_count)
    })();
    outcome.map_err(|error| rows.failed(error))
}

/// The path of a file that may be replaced: of what a link leads to, and not of a device.
#[allow(clippy::disallowed_types)]
fn regular(path: &Path, target: &CopyTarget<'_>) -> Result<PathBuf, Error> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(is_directory(&path.to_string_lossy(), target)),
        Ok(found) if !found.is_file() => {
            let message =
                format_args!("COPY TO \"{}\", which is no regular file, is not supported", path.display());
            Err(Error::input("0A000", Some(target.span), message).with_hint("use COPY … TO STDOUT"))
        }
        // Without a path that leads there, it is replaced where it stands.
        Ok(_) => Ok(std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())),
        Err(_) => Ok(path.to_owned()),
    }
}

fn is_directory(path: &str, target: &CopyTarget<'_>) -> Error {
    Error::input("42809", Some(target.span), format_args!("\"{path}\" is a directory"))
}

/// A file under a name of its own until it is whole.
struct Staged<'d> {
    directory: &'d dyn Directory,
    name: &'d str,
    /// None once it has its place.
    #[allow(clippy::disallowed_types)]
    file: Option<Box<dyn File>>,
    offset: u64,
}

impl Staged<'_> {
    fn take_place(mut self, name: &str) -> io::Result<()> {
        if let Some(file) = &self.file {
            file.sync()?;
            self.directory.rename(self.name, name)?;
            self.file = None;
        }
        self.directory.sync()
    }
}

impl io::Write for Staged<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(file) = &self.file else { return Ok(0) };
        let count = file.write_at(bytes, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // What cannot be removed stays under a name that says what it is.
            let _ = self.directory.remove(self.name);
        }
    }
}
