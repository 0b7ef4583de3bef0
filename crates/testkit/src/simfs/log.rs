//! What was done on a disk, operation by operation, to be printed for a seed that fails.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use super::fault::{Fault, Op};

/// One operation.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its number among all operations of the disk, from 1.
    pub number: u64,
    /// Its number among those that change the disk; 0 where it does not.
    pub mutation: u64,
    /// Its number among the syncs of files and directories; 0 where it is none.
    pub sync: u64,
    /// What it was.
    pub op: Op,
    /// The file's name when it was opened, or the directory's name.
    pub file: Arc<str>,
    /// The new name.
    pub to: Option<Arc<str>>,
    /// Where in the file; for [`Op::SetLen`] the new length.
    pub offset: u64,
    /// How many bytes.
    pub len: u64,
    /// What went wrong.
    pub fault: Option<Fault>,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6} {:?} {}", self.number, self.op, self.file)?;
        match (self.op, &self.to) {
            (_, Some(to)) => write!(f, " -> {to}")?,
            (Op::Read | Op::Write, _) => write!(f, " {}+{}", self.offset, self.len)?,
            (Op::SetLen, _) => write!(f, " {}", self.offset)?,
            _ => {}
        }
        match (self.sync, self.mutation) {
            (0, 0) => {}
            (0, mutation) => write!(f, "  [mutation {mutation}]")?,
            (sync, mutation) => write!(f, "  [mutation {mutation}, sync {sync}]")?,
        }
        match &self.fault {
            Some(fault) => write!(f, ": {fault}"),
            None => Ok(()),
        }
    }
}

/// The last operations.
#[derive(Clone, Debug)]
pub(super) struct Log {
    entries: VecDeque<Entry>,
    len_max: usize,
}

impl Log {
    pub(super) fn new(len_max: usize) -> Log {
        Log { entries: VecDeque::new(), len_max }
    }

    pub(super) fn push(&mut self, entry: Entry) {
        if self.len_max == 0 {
            return;
        }
        if self.entries.len() >= self.len_max {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }
}
