//! Why a temporary file could not be written or read.

use core::fmt;
use std::io;

use cofferdam_arena::{AllocError, human_bytes};
use cofferdam_store::Remedy;
use cofferdam_vfs::explain;

use crate::error::Error;

/// Why a temporary file could not be written or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpillProblem {
    /// All temporary files together would be larger than the setting `max_temp_directory_size`.
    DirectoryFull {
        /// The setting, in bytes.
        limit_bytes: u64,
        /// What temporary files have.
        used_bytes: u64,
        /// What was to be written.
        asked_bytes: u64,
    },
    /// The disk has no room.
    DiskFull,
    /// The system refused.
    Io {
        /// What was done.
        op: SpillOp,
        /// The class of the refusal.
        kind: io::ErrorKind,
        /// Its number in the system, 0 for none.
        code: i32,
    },
    /// A block is not what was written.
    Damaged {
        /// The number of the file.
        file: u64,
        /// Where the block begins.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The directory's files would be memory.
    InMemory,
}

/// What is done with a temporary file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpillOp {
    /// Open the directory.
    OpenDirectory,
    /// Make a file.
    Create,
    /// Open it again.
    Open,
    /// Write a block.
    Write,
    /// Read a block.
    Read,
}

/// What can end writing or reading.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SpillFailure {
    OutOfMemory(AllocError),
    Cancelled,
    Problem(SpillProblem),
}

/// The number of "no space left" (ENOSPC), and of "quota exceeded" (EDQUOT) on Linux.
const NO_SPACE: [i32; 2] = [28, 122];

impl SpillProblem {
    pub(super) fn io(op: SpillOp, error: &io::Error) -> SpillProblem {
        let code = error.raw_os_error().unwrap_or(0);
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => SpillProblem::DiskFull,
            _ if cfg!(unix) && op == SpillOp::Write && NO_SPACE.contains(&code) => SpillProblem::DiskFull,
            kind => SpillProblem::Io { op, kind, code },
        }
    }

    /// The five characters that SQL clients tell errors apart by.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            SpillProblem::DirectoryFull { .. } => "53400",
            SpillProblem::DiskFull => "53100",
            SpillProblem::Io { .. } | SpillProblem::InMemory => "58030",
            SpillProblem::Damaged { .. } => "XX001",
        }
    }

    /// What the caller can do.
    pub fn remedy(&self) -> Remedy {
        match self {
            SpillProblem::DirectoryFull { .. } | SpillProblem::InMemory => Remedy::FixInput,
            SpillProblem::DiskFull | SpillProblem::Io { .. } | SpillProblem::Damaged { .. } => {
                Remedy::FixSystem
            }
        }
    }

    /// What would help.
    pub fn hint(&self) -> &'static str {
        match self {
            SpillProblem::DirectoryFull { .. } => {
                "raise max_temp_directory_size, or memory_limit so that less is written"
            }
            SpillProblem::DiskFull => {
                "make room on the disk, set temp_directory to one with more, or raise memory_limit"
            }
            SpillProblem::Io { .. } | SpillProblem::InMemory => {
                "set temp_directory to a directory on a disk, where files can be made"
            }
            SpillProblem::Damaged { .. } => {
                "run the statement again; if it happens again, the disk is failing"
            }
        }
    }
}

impl fmt::Display for SpillProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            SpillProblem::DirectoryFull { limit_bytes, used_bytes, asked_bytes } => write!(
                f,
                "temporary files exceed max_temp_directory_size ({}): {} are in use, {} more are needed",
                human_bytes(limit_bytes),
                human_bytes(used_bytes),
                human_bytes(asked_bytes)
            ),
            SpillProblem::DiskFull => f.write_str("could not write temporary file: no space left on device"),
            SpillProblem::Io { op, kind, code } => {
                let what = match op {
                    SpillOp::OpenDirectory => "open the directory of temporary files",
                    SpillOp::Create => "create temporary file",
                    SpillOp::Open => "open temporary file",
                    SpillOp::Write => "write temporary file",
                    SpillOp::Read => "read temporary file",
                };
                match explain(code) {
                    Some(reason) => write!(f, "could not {what}: {reason}"),
                    None => write!(f, "could not {what}: {kind}"),
                }
            }
            SpillProblem::Damaged { file, offset, what } => {
                write!(f, "temporary file {file} is damaged at offset {offset}: {what}")
            }
            SpillProblem::InMemory => {
                f.write_str("could not open the directory of temporary files: it is in memory (tmpfs)")
            }
        }
    }
}

impl core::error::Error for SpillProblem {}

impl From<AllocError> for SpillFailure {
    fn from(error: AllocError) -> SpillFailure {
        SpillFailure::OutOfMemory(error)
    }
}

impl From<SpillProblem> for SpillFailure {
    fn from(problem: SpillProblem) -> SpillFailure {
        SpillFailure::Problem(problem)
    }
}

impl From<SpillFailure> for Error<'_> {
    fn from(failure: SpillFailure) -> Self {
        match failure {
            SpillFailure::OutOfMemory(error) => Error::OutOfMemory(error),
            SpillFailure::Cancelled => Error::Cancelled,
            SpillFailure::Problem(problem) => Error::Spill(problem),
        }
    }
}
