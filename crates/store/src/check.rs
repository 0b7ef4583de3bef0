//! Checking a database: everything that can be wrong with its files is looked for, told, and left as it is.
//!
//! ```text
//!   root ──> manifest ──> definitions ──> segments ──> levels ──> rows of tables and of their indexes
//!                 └─────> logs ───────────────────────────────────────────────^
//! ```
//!
//! | step | what it looks at |
//! |---|---|
//! | root, manifest | both slots; every record and item |
//! | `definitions` | tables, indexes, the list of segments, files that nobody needs |
//! | `logs` | every record of every log; keys and rows of their entries |
//! | `segments` | every byte that leads to a row or is one; what the manifest says of each segment; what levels promise |
//! | `rows`, `tail` | the versions of a table in order, those in the logs too |
//! | `agree` | which version is newest, whether a table and its indexes have the same rows, whether unique indexes are |
//!
//! What is damaged is told of and passed over, and what follows from it is not looked at: rows are compared only where
//! all of them can be read.
//!
//! **Nothing is written**, no name is made: the directory is opened to be read. While it is looked at nobody else may write,
//! which the lock of the database sees to, where there is its file.
//!
//! **What a crash leaves** is no problem, since the next opening takes care of it, but it is told ([`Remains`]): a log's torn
//! tail may be a crash's or damage that looks the same.
//!
//! **Memory**, of a child `check` of the caller's budget: definitions and lists ([`Catalog`]), and then, one after the other, the
//! buffers of a log's replay, a segment's verification, or of a scan of a table's keys; the part of a table that is only in the logs is
//! looked at in slices that fit. However large the database is.

mod agree;
mod definitions;
mod logs;
mod rows;
mod segments;
mod tail;

use core::fmt;
use std::path::Path;
use std::sync::Arc;

use cofferdam_arena::{Budget, InlineText};
use cofferdam_types::key::decode_key;
use cofferdam_vfs::Vfs;

use crate::catalog::Catalog;
use crate::directory::{Access, Directory};
use crate::error::{Error, IoProblem, Unsupported};
use crate::files::{FileId, FileKind};
use crate::progress::{Meter, Watch};
use crate::schema::{DECODED_KEY_BYTES_MAX, Schema};
use crate::segment::SegmentFile;
use crate::table::Table;
use crate::wal;

pub(crate) use segments::open as open_listed;

/// Something that is wrong with a database.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'p> {
    /// The file, where it is one file's.
    pub file: Option<FileId>,
    /// Where in the file, in bytes.
    pub offset: Option<u64>,
    /// The table or index that it belongs to.
    pub table: Option<&'p Table>,
    /// The key of the row that it is about, as far as it fits; empty where it is about none.
    pub key: InlineText<96>,
    /// What is wrong.
    pub fault: Fault,
}

/// Kinds of problems.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// Something is not as it was written, or does not fit what else there is.
    Damage(&'static str),
    /// It was written by a version that this one cannot read.
    Unsupported(Unsupported),
    /// The operating system does not give it.
    Io(IoProblem),
}

impl<'p> Problem<'p> {
    fn new(file: Option<FileId>, table: Option<&'p Table>, what: &'static str) -> Problem<'p> {
        Problem { file, offset: None, table, key: InlineText::EMPTY, fault: Fault::Damage(what) }
    }

    /// The problem that an error is; `None` for those that say nothing of the files.
    fn of(error: &Error, table: Option<&'p Table>) -> Option<Problem<'p>> {
        let key = InlineText::EMPTY;
        let (file, offset, fault) = match *error {
            Error::Corrupt(problem) => (problem.file, Some(problem.offset), Fault::Damage(problem.what)),
            Error::Unsupported(problem) => (problem.file, None, Fault::Unsupported(problem)),
            Error::Io(problem) => (problem.file?, None, Fault::Io(problem)),
            _ => return None,
        };
        Some(Problem { file: Some(file), offset, table, key, fault })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Damage(what) => f.write_str(what),
            Fault::Unsupported(problem) => Error::Unsupported(*problem).fmt(f),
            Fault::Io(problem) => problem.fmt(f),
        }
    }
}

impl fmt::Display for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = self.file {
            write!(f, "{file}")?;
            if let Some(offset) = self.offset {
                write!(f, " at byte {offset}")?;
            }
            f.write_str(": ")?;
        }
        if let Some(table) = self.table {
            write!(f, "{} {}: ", if table.parent().is_some() { "index" } else { "table" }, table.name())?;
        }
        self.fault.fmt(f)?;
        match self.key.as_str() {
            "" => Ok(()),
            key => write!(f, " ({key})"),
        }
    }
}

/// Something that a crash may have left. The next opening of the database removes it, or reads on without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remains {
    /// The file.
    pub file: FileId,
    /// Where in the file it begins, in bytes.
    pub offset: u64,
    /// What it is.
    pub kind: RemainsKind,
}

/// Kinds of [`Remains`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemainsKind {
    /// A file that nobody needs.
    Orphan,
    /// Bytes behind the last complete record of a log or manifest: so many.
    TornTail(u64),
    /// A slot of the root that cannot be read; the other one holds.
    TornSlot,
}

impl fmt::Display for RemainsKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RemainsKind::Orphan => f.write_str("nobody needs the file"),
            RemainsKind::TornTail(bytes) => write!(f, "{bytes} bytes behind the last record"),
            RemainsKind::TornSlot => f.write_str("the slot cannot be read, the other one holds"),
        }
    }
}

impl fmt::Display for Remains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            RemainsKind::Orphan => write!(f, "{}: {}", self.file, self.kind),
            kind => write!(f, "{} at byte {}: {kind}", self.file, self.offset),
        }
    }
}

/// What a check tells.
#[derive(Clone, Copy, Debug)]
pub enum Finding<'f> {
    /// Something is wrong.
    Problem(&'f Problem<'f>),
    /// A crash may have left something.
    Remains(&'f Remains),
}

/// What a check has looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Tables.
    pub tables_count: u64,
    /// Indexes.
    pub indexes_count: u64,
    /// Segments.
    pub segments_count: u64,
    /// Row groups' pages, the system columns' not counted.
    pub pages_count: u64,
    /// Rows of segments, versions and tombstones counted each.
    pub rows_count: u64,
    /// Bytes of files of segments that belong to no segment any more: nothing is known of them, and nothing is wrong with that.
    pub unused_bytes: u64,
    /// Transactions in logs.
    pub transactions_count: u64,
    /// Indexes that were compared with their tables.
    pub compared_count: u64,
    /// Problems that were told.
    pub problems_count: u64,
    /// Remains that were told.
    pub remains_count: u64,
}

/// Who hears of findings; an error ends the work.
type Visit<'v> = dyn FnMut(&Finding<'_>) -> Result<(), Error> + 'v;

/// A check that is under way.
struct Check<'c> {
    meter: Meter<'c>,
    visit: &'c mut Visit<'c>,
    checked: Checked,
    /// The last damage that was told.
    told: Option<(FileId, u64, &'static str)>,
    budget: Budget,
}

/// Looks for everything that is wrong with the database in `path`, and gives it to `visit`, one after the other.
///
/// # Errors
/// Those of `visit`, which end it. [`Error::NotADatabase`]; [`Error::Locked`] while somebody has it open; [`Error::Cancelled`];
/// [`Error::OutOfMemory`]; [`Error::Io`] for the directory. What is wrong with files is no error.
pub fn check(
    vfs: &Arc<dyn Vfs>,
    path: &Path,
    budget: &Budget,
    watch: Watch<'_>,
    visit: &mut dyn FnMut(&Finding<'_>) -> Result<(), Error>,
) -> Result<Checked, Error> {
    let budget = budget.child("check", u64::MAX)?;
    let outcome = Directory::open(vfs, path, Access::Read, &budget);
    let (meter, checked) = (Meter::new(watch), Checked::default());
    let mut check = Check { meter, visit, checked, told: None, budget };
    if let Some((directory, root)) = check.or_tell(None, outcome)? {
        if let Some(offset) = root.torn_slot {
            check.remains(FileId::ROOT, offset, RemainsKind::TornSlot)?;
        }
        let directory = Arc::new(directory);
        let outcome = Catalog::read(&directory, root, &check.budget);
        match check.or_tell(None, outcome)? {
            Some(catalog) => check.database(&catalog)?,
            None => check.without_manifest(&directory, &root)?,
        }
    }
    Ok(check.checked)
}

impl Check<'_> {
    fn database(&mut self, catalog: &Catalog) -> Result<(), Error> {
        self.expect(catalog)?;
        self.definitions(catalog)?;
        self.files(catalog)?;
        let logs = self.logs(catalog)?;
        let are_whole = self.segments(catalog)?;
        self.rows(catalog, &logs, &are_whole)
    }

    /// What there is to do, in bytes.
    fn expect(&mut self, catalog: &Catalog) -> Result<(), Error> {
        let manifest = catalog.replayed.summary.file_bytes;
        self.meter.expect(manifest + logs::bytes(catalog)?);
        let segments: u64 = catalog.segments().iter().map(|segment| segment.info.bytes).sum();
        self.meter.expect(segments + agree::bytes(catalog));
        self.meter.advance(manifest)
    }

    /// What can be looked at where nobody knows what belongs together.
    fn without_manifest(
        &mut self,
        directory: &Arc<Directory>,
        root: &crate::manifest::Root,
    ) -> Result<(), Error> {
        for kind in [FileKind::Wal, FileKind::Segments] {
            let mut number = 0;
            while let Some(next) = directory.next_number(kind, number)? {
                self.meter.check()?;
                let outcome = match kind {
                    FileKind::Wal => {
                        wal::replay_alone(directory, root, next, &self.budget, &mut |_| Ok(())).map(drop)
                    }
                    _ => SegmentFile::open_in(directory, next, &self.budget).map(drop),
                };
                self.or_tell(None, outcome)?;
                number = next;
            }
        }
        Ok(())
    }

    fn problem(&mut self, problem: &Problem<'_>) -> Result<(), Error> {
        if let (Some(file), Some(offset), Fault::Damage(what)) = (problem.file, problem.offset, problem.fault)
            && problem.key.as_str().is_empty()
        {
            // Several ways may lead to one place.
            let told = (file, offset, what);
            if self.told.replace(told) == Some(told) {
                return Ok(());
            }
        }
        self.checked.problems_count += 1;
        (self.visit)(&Finding::Problem(problem))
    }

    fn remains(&mut self, file: FileId, offset: u64, kind: RemainsKind) -> Result<(), Error> {
        self.checked.remains_count += 1;
        (self.visit)(&Finding::Remains(&Remains { file, offset, kind }))
    }

    /// What came of something, or `None` where it is a problem, which is told.
    ///
    /// # Errors
    /// Those that say nothing of the files.
    fn or_tell<T>(&mut self, table: Option<&Table>, outcome: Result<T, Error>) -> Result<Option<T>, Error> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(error) => match Problem::of(&error, table) {
                Some(problem) => self.problem(&problem).map(|()| None),
                None => Err(error),
            },
        }
    }
}

/// A key as people read it, as far as it fits.
pub(crate) fn key_text(schema: &Schema<'_>, key: &[u8]) -> InlineText<96> {
    use fmt::Write as _;
    let mut text = InlineText::EMPTY;
    let (mut rest, mut room) = (key, [0; DECODED_KEY_BYTES_MAX]);
    for (place, part) in schema.key.iter().enumerate() {
        let Some(column) = schema.columns.get(usize::from(part.column)) else { break };
        let Ok((value, used)) = decode_key(rest, column.ty, part.order, &mut room) else { break };
        // What does not fit is cut, which is no error.
        let _ = write!(text, "{}{value}", if place == 0 { "" } else { ", " });
        rest = rest.get(used..).unwrap_or(&[]);
    }
    text
}
