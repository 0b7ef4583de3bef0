//! Why something could not be done, sorted by what the caller can do about it.
//!
//! Errors hold no heap memory: making, returning and printing one takes nothing from a budget that is used up.

use core::fmt;
use std::io;

use cofferdam_arena::{AllocError, InlineText, human_bytes};

use crate::files::FileId;
use crate::schema::TableId;

/// Why something could not be done.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The caller's values do not fit the table.
    Input(InputProblem),
    /// The row would be the second with its unique key.
    UniqueViolation(Duplicate),
    /// Another transaction that has committed since this one began changed the same row: begin again.
    Conflict(TableId),
    /// Nothing could be taken from the budget, which keeps the record of why.
    OutOfMemory(AllocError),
    /// The store's budget is below what it needs to open at all.
    LimitTooSmall {
        /// The smallest limit that suffices, in bytes.
        minimum_bytes: u64,
        /// The limit that there is, in bytes.
        limit_bytes: u64,
    },
    /// Both memtables are full, and no flush made room in time.
    Stalled {
        /// How long the writer waited, in nanoseconds.
        waited_ns: u64,
    },
    /// The caller's flag was set.
    Cancelled,
    /// Somebody else has the database open.
    Locked,
    /// There is no database at the path, or something that is none.
    NotADatabase,
    /// The directory has files, and what is to be made there needs an empty one.
    NotEmpty,
    /// The file was written by a version that this one cannot read.
    Unsupported(Unsupported),
    /// Bytes of a file are not what was written: restore them from a backup.
    Corrupt(Corruption),
    /// The operating system refused.
    Io(IoProblem),
    /// An earlier failure left it unknown what is on disk: no write is acknowledged until the database is opened again.
    Poisoned,
    /// The store was closed by another handle.
    Closed,
}

/// What the caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Give other values.
    FixInput,
    /// Raise a limit.
    GiveMemory,
    /// Try the same again.
    Retry,
    /// Make the file system work: space, permissions, hardware. Then open again.
    FixSystem,
    /// Restore the database from a backup, or use a newer version.
    Restore,
}

/// What is wrong with values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputProblem {
    /// The table.
    pub table: TableId,
    /// The column, from 0; `None` where it is the row or the table.
    pub column: Option<u16>,
    /// What is wrong.
    pub kind: InputKind,
}

/// Kinds of [`InputProblem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InputKind {
    /// NULL in a column that takes none.
    Null,
    /// A value of another type than the column's.
    Type,
    /// More or fewer values than columns.
    Count,
    /// A key of more bytes than keys may have.
    KeyTooLong,
    /// A value of more bytes than values may have.
    ValueTooLong,
    /// There is no such table or index.
    NoSuchTable,
    /// There is a table of this name already: the one that is named.
    NameTaken,
    /// The definition of a table is not one: no columns, too many, a key of none of them.
    Definition,
    /// The transaction is in the middle of a load into this table, and takes no other changes.
    Loading,
}

/// The key that is there already, as far as it fits.
#[derive(Clone, Copy, Debug)]
pub struct Duplicate {
    /// The table.
    pub table: TableId,
    /// The index that is unique; the table itself for its primary key.
    pub index: TableId,
    /// The values, as text.
    pub key: InlineText<96>,
}

/// A file of a newer version.
#[derive(Clone, Copy, Debug)]
pub struct Unsupported {
    /// The file.
    pub file: FileId,
    /// What this version does not know.
    pub what: &'static str,
    /// The version or feature bits that the file has.
    pub found: u64,
}

/// Bytes that are not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corruption {
    /// The file.
    pub file: FileId,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// What is wrong there.
    pub what: &'static str,
}

/// What the operating system refused.
#[derive(Clone, Copy, Debug)]
pub struct IoProblem {
    /// What was tried: `read`, `write`, `sync`, `create`, …
    pub operation: &'static str,
    /// The file; `None` for the directory.
    pub file: Option<FileId>,
    /// The kind of error.
    pub kind: io::ErrorKind,
    /// The system's number, where there is one.
    pub code: Option<i32>,
}

impl From<AllocError> for Error {
    fn from(error: AllocError) -> Error {
        Error::OutOfMemory(error)
    }
}

impl From<allocator_api2::collections::TryReserveError> for Error {
    fn from(error: allocator_api2::collections::TryReserveError) -> Error {
        Error::OutOfMemory(error.into())
    }
}

impl From<Corruption> for Error {
    fn from(error: Corruption) -> Error {
        Error::Corrupt(error)
    }
}

impl Error {
    /// An error of the system, with what was tried; of files in memory, the budget that refused.
    pub(crate) fn io(operation: &'static str, file: impl Into<Option<FileId>>, error: &io::Error) -> Error {
        let (kind, code) = (error.kind(), error.raw_os_error());
        if (kind, code) == (io::ErrorKind::OutOfMemory, None) {
            return Error::OutOfMemory(AllocError);
        }
        Error::Io(IoProblem { operation, file: file.into(), kind, code })
    }

    /// Bytes that are not what was written.
    pub(crate) fn corrupt(file: FileId, offset: u64, what: &'static str) -> Error {
        Error::Corrupt(Corruption { file, offset, what })
    }

    /// What the caller can do.
    pub fn remedy(&self) -> Remedy {
        match self {
            Error::Input(_) | Error::UniqueViolation(_) | Error::NotADatabase | Error::NotEmpty => {
                Remedy::FixInput
            }
            Error::OutOfMemory(_) | Error::LimitTooSmall { .. } => Remedy::GiveMemory,
            Error::Conflict(_) | Error::Stalled { .. } | Error::Cancelled | Error::Locked | Error::Closed => {
                Remedy::Retry
            }
            Error::Io(_) | Error::Poisoned => Remedy::FixSystem,
            Error::Corrupt(_) | Error::Unsupported(_) => Remedy::Restore,
        }
    }

    /// The SQLSTATE.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Error::Input(problem) => match problem.kind {
                InputKind::Null => "23502",
                InputKind::Type => "42804",
                InputKind::Count => "42601",
                InputKind::KeyTooLong | InputKind::ValueTooLong => "54000",
                InputKind::NoSuchTable => "42P01",
                InputKind::NameTaken => "42P07",
                InputKind::Definition => "42P16",
                InputKind::Loading => "55006",
            },
            Error::UniqueViolation(_) => "23505",
            Error::Conflict(_) => "40001",
            Error::OutOfMemory(_) | Error::LimitTooSmall { .. } => "53200",
            Error::Stalled { .. } => "55P03",
            Error::Cancelled => "57014",
            Error::Locked => "55006",
            Error::Closed => "08003",
            Error::NotADatabase => "58P01",
            Error::NotEmpty => "58P02",
            Error::Unsupported(_) => "0A000",
            Error::Corrupt(_) => "XX001",
            Error::Io(problem) if problem.kind == io::ErrorKind::StorageFull => "53100",
            Error::Io(_) | Error::Poisoned => "58030",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Input(problem) => problem.fmt(f),
            Error::UniqueViolation(duplicate) => {
                write!(f, "there is a row with the key ({}) already", duplicate.key.as_str())
            }
            Error::Conflict(_) => {
                f.write_str("another transaction changed the row since this one began; begin again")
            }
            Error::OutOfMemory(error) => error.fmt(f),
            Error::LimitTooSmall { minimum_bytes, limit_bytes } => write!(
                f,
                "the store needs {} at least, its limit is {}; raise memory_limit",
                human_bytes(*minimum_bytes),
                human_bytes(*limit_bytes)
            ),
            Error::Stalled { waited_ns } => write!(
                f,
                "both memtables are full and no flush made room within {} ms; try again, or raise the limit",
                waited_ns / 1_000_000
            ),
            Error::Cancelled => f.write_str("cancelled"),
            Error::Locked => {
                f.write_str("the database is open in another process, or in this one by another handle")
            }
            Error::Closed => f.write_str("the database was closed; open it again"),
            Error::NotADatabase => f.write_str("there is no database here"),
            Error::NotEmpty => f.write_str("the directory is not empty"),
            Error::Unsupported(what) => {
                write!(f, "{}: {} {:#x} is of a newer version", what.file, what.what, what.found)
            }
            Error::Corrupt(problem) => problem.fmt(f),
            Error::Io(problem) => problem.fmt(f),
            Error::Poisoned => f.write_str(
                "an earlier failure left it unknown what is on disk; open the database again to go on",
            ),
        }
    }
}

impl core::error::Error for Error {}

impl fmt::Display for InputProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            InputKind::Null => "NULL in a column that takes none",
            InputKind::Type => "a value of another type than its column",
            InputKind::Count => "another number of values than columns",
            InputKind::KeyTooLong => "the key is longer than 8 KiB",
            InputKind::ValueTooLong => "a value is longer than 1 GiB",
            InputKind::NoSuchTable => "there is no such table",
            InputKind::NameTaken => "there is a table of this name already",
            InputKind::Definition => "this is no definition of a table",
            InputKind::Loading => "rows are being loaded; nothing else can be changed before that is over",
        })?;
        match self.column {
            Some(column) => write!(f, " (column {})", column + 1),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is damaged at byte {}: {}", self.file, self.offset, self.what)
    }
}

impl fmt::Display for IoProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} ", self.operation)?;
        match self.file {
            Some(file) => write!(f, "{file}")?,
            None => f.write_str("the directory")?,
        }
        match (self.code, self.code.and_then(cofferdam_vfs::explain)) {
            (Some(code), Some(meaning)) => write!(f, ": {meaning} (error {code})"),
            // The kind's own words; made without the heap.
            (Some(code), None) => write!(f, ": {} (error {code})", self.kind),
            (None, _) => write!(f, ": {}", self.kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_refuses_is_put_into_words() {
        let text = |code| Error::io("open", FileId::ROOT, &io::Error::from_raw_os_error(code)).to_string();
        assert_eq!(
            text(24),
            "cannot open root: the process is out of file descriptors: raise its limit (ulimit -n) (error 24)"
        );
        assert_eq!(text(28), "cannot open root: no storage space (error 28)");
    }
}
