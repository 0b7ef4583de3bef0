//! What the simulation asks of an engine. Two are judged: the store, and [`Ledger`](super::ledger::Ledger), which is
//! simple enough to be believed and can be broken on purpose.

use std::fmt;
use std::sync::Arc;

use cofferdam_store::{Error, InputKind};
use cofferdam_testkit::simfs::{ENOSPC, GONE};
use cofferdam_vfs::Vfs;

use super::cell::{Cell, IndexSpec, Range, Row, TableInfo, TableSpec};

/// A transactional store of tables over simulated files. All methods are called by one thread at a time.
pub(crate) trait Engine: Sized {
    type Txn;
    type Snap;
    type Savepoint: Clone;

    /// What the engine promises beyond the usual.
    const PROMISES: Promises;

    /// Opens the database, and makes it where there is none.
    fn open(vfs: &Arc<dyn Vfs>, options: &OpenOptions) -> Result<Self, Failure>;
    /// Closes it: everything committed is durable.
    fn close(self) -> Result<(), Failure>;

    fn snapshot(&self) -> Result<Self::Snap, Failure>;
    fn sequence(snap: &Self::Snap) -> u64;
    fn begin(&self, memory_bytes: u64) -> Result<Self::Txn, Failure>;

    fn tables(&self, snap: &Self::Snap) -> Result<Vec<TableInfo>, Failure>;
    /// The row of a key.
    fn get(&self, from: View<'_, Self>, table: u32, key: &[Cell]) -> Result<Option<Row>, Failure>;
    /// The rows of a range in the order of the key, given to `visit` batch by batch, until that says stop.
    fn scan(
        &self,
        from: View<'_, Self>,
        table: u32,
        range: &Range,
        visit: &mut dyn FnMut(&[Row]) -> bool,
    ) -> Result<(), Failure>;

    fn create_table(&self, txn: &mut Self::Txn, spec: &TableSpec) -> Result<u32, Failure>;
    fn create_index(&self, txn: &mut Self::Txn, table: u32, spec: &IndexSpec) -> Result<u32, Failure>;
    fn drop_table(&self, txn: &mut Self::Txn, table: u32) -> Result<(), Failure>;
    /// Inserts a row, without its row id, which is given back where there is one.
    fn insert(&self, txn: &mut Self::Txn, table: u32, row: &[Cell]) -> Result<Option<i64>, Failure>;
    /// Inserts rows, as many as it can. Gives how many were inserted, and what went wrong with the next one; where the last ones are
    /// among those that were refused, one less than all.
    fn load(&self, txn: &mut Self::Txn, table: u32, rows: &[Vec<Cell>]) -> (usize, Result<(), Failure>) {
        for (place, row) in rows.iter().enumerate() {
            if let Err(failure) = self.insert(txn, table, row) {
                return (place, Err(failure));
            }
        }
        (rows.len(), Ok(()))
    }
    /// Inserts or replaces a row of a table with a key.
    fn put(&self, txn: &mut Self::Txn, table: u32, row: &[Cell]) -> Result<(), Failure>;
    /// Deletes a row; true if there was one.
    fn delete(&self, txn: &mut Self::Txn, table: u32, key: &[Cell]) -> Result<bool, Failure>;
    fn savepoint(&self, txn: &mut Self::Txn) -> Result<Self::Savepoint, Failure>;
    fn rollback_to(&self, txn: &mut Self::Txn, savepoint: &Self::Savepoint) -> Result<(), Failure>;
    fn commit(&self, txn: Self::Txn, durability: Durability) -> Result<u64, Failure>;
    fn rollback(&self, txn: Self::Txn) -> Result<(), Failure>;

    fn sync(&self) -> Result<(), Failure>;
    fn flush(&self) -> Result<(), Failure>;
    /// Compacts a little; true if there is more to do.
    fn compact(&self) -> Result<bool, Failure>;
    /// Verifies the files of a database that nobody has open, and tells every problem.
    fn check(vfs: &Arc<dyn Vfs>, problem: &mut dyn FnMut(String)) -> Result<(), Failure>;

    /// The files that faults are given, as patterns of names.
    const FILES: &'static [&'static str];

    /// What a file is for, by its name.
    fn role(name: &str) -> Role;
}

/// What is read from.
pub(crate) enum View<'e, E: Engine> {
    Snap(&'e E::Snap),
    Txn(&'e E::Txn),
}

/// What an engine promises beyond what every one must.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promises {
    /// What a commit that failed would have written is not seen by who reads later in the same process.
    pub(crate) failed_commits_stay_unseen: bool,
    /// A snapshot reads a table that was dropped after it.
    pub(crate) snapshots_keep_dropped_tables: bool,
    /// No two indexes have one name.
    pub(crate) index_names_differ: bool,
    /// Changes of the catalog take part in savepoints and rollbacks.
    pub(crate) savepoints_of_definitions: bool,
    /// Opening writes once more what a failed sync may have left in the system's cache and nowhere else; without this the
    /// machine must be restarted after a failed sync.
    pub(crate) rewrites_what_syncs_forgot: bool,
    /// A log whose last records are damaged is an error, never taken for one that a crash cut.
    pub(crate) damaged_tails_are_told: bool,
    /// Where a damaged log is taken for one that a crash has cut, what is left is the state after some commit all the same.
    pub(crate) damaged_logs_leave_a_prefix: bool,
    /// There is a check that sees every damage that reading can meet.
    pub(crate) has_check: bool,
    /// So many bytes are left on disk of a database that everything was dropped from.
    pub(crate) empty_bytes_max: u64,
}

/// How long a commit takes to be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    Full,
    Normal,
}

/// How the database is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenOptions {
    pub(crate) limit_bytes: u64,
    pub(crate) memtable_bytes: Option<u64>,
}

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Commits are appended to it: its end may be torn.
    Log,
    /// Gone when the database has been opened.
    Temporary,
    /// Anything else.
    Lasting,
}

/// Why an operation failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) text: String,
}

/// What the driver makes of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum FailureKind {
    /// There is a row with the unique key.
    Unique,
    /// Another transaction was first.
    Conflict,
    OutOfMemory,
    /// The limit is below what the engine opens with.
    LimitTooSmall,
    Stalled,
    /// The file system failed.
    Io,
    /// The disk is full.
    NoSpace,
    /// After a failed sync.
    Poisoned,
    /// The machine is gone.
    Gone,
    Corrupt,
    Unsupported,
    NotADatabase,
    NoSuchTable,
    /// Anything that the driver never gives cause for.
    Other,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, text: impl fmt::Display) -> Failure {
        Failure { kind, text: text.to_string() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.text)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let kind = match &error {
            Error::UniqueViolation(_) => FailureKind::Unique,
            Error::Conflict(_) => FailureKind::Conflict,
            Error::OutOfMemory(_) => FailureKind::OutOfMemory,
            Error::LimitTooSmall { .. } => FailureKind::LimitTooSmall,
            Error::Stalled { .. } => FailureKind::Stalled,
            Error::Io(problem) if problem.code == Some(GONE) => FailureKind::Gone,
            Error::Io(problem) if problem.code == Some(ENOSPC) => FailureKind::NoSpace,
            Error::Io(_) => FailureKind::Io,
            Error::Poisoned => FailureKind::Poisoned,
            Error::Corrupt(_) => FailureKind::Corrupt,
            Error::Unsupported(_) => FailureKind::Unsupported,
            Error::NotADatabase => FailureKind::NotADatabase,
            Error::Input(problem) if problem.kind == InputKind::NoSuchTable => FailureKind::NoSuchTable,
            _ => FailureKind::Other,
        };
        Failure::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_the_store_are_told_apart() {
        let io = |code| {
            let kind = std::io::Error::from_raw_os_error(code).kind();
            Error::Io(cofferdam_store::IoProblem { operation: "write", file: None, kind, code: Some(code) })
        };
        let kinds =
            [io(GONE), io(ENOSPC), io(5), Error::Poisoned, Error::Locked].map(|e| Failure::from(e).kind);
        let expected = [
            FailureKind::Gone,
            FailureKind::NoSpace,
            FailureKind::Io,
            FailureKind::Poisoned,
            FailureKind::Other,
        ];
        assert_eq!(kinds, expected);
    }
}
