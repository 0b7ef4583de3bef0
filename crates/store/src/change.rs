//! A change of a row, with those of its indexes, before it is written.

use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, Arena, BudgetAlloc, collections};

use crate::encode::Bytes;
use crate::error::Error;
use crate::memtable::EntryKind;
use crate::run::RunItem;
use crate::schema::TableId;

/// Buffers of a change that are kept for the next one have so many bytes at most.
const KEPT_BYTES_MAX: usize = 4 << 10;

/// A change of a row and of the entries that indexes have of it, before it is written.
#[derive(Debug)]
pub(crate) struct RowChange {
    pub(crate) table: Option<(TableId, EntryKind)>,
    pub(crate) key: Bytes,
    pub(crate) row: Bytes,
    /// Keys that indexes have of the row that was there, in the order of the indexes.
    pub(crate) old: OldKeys,
    /// Keys and rows that indexes get.
    pub(crate) new: Bytes,
    pub(crate) index_rows: Bytes,
    pub(crate) entries: Vec<IndexEntry, BudgetAlloc>,
    pub(crate) indexes_seen: usize,
}

#[derive(Debug)]
pub(crate) struct OldKeys {
    pub(crate) bytes: Bytes,
    /// Where each begins and ends.
    pub(crate) ends: Vec<(usize, usize), BudgetAlloc>,
}

/// An entry that an index gets or loses: of which the bytes stand in the change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexEntry {
    pub(crate) index: TableId,
    pub(crate) kind: EntryKind,
    /// In the old keys where it goes, in the new ones where it comes.
    pub(crate) key: (usize, usize),
    pub(crate) row: (usize, usize),
}

impl RowChange {
    /// No change.
    pub(crate) fn new(alloc: &BudgetAlloc) -> RowChange {
        let bytes = || Vec::new_in(alloc.clone());
        RowChange {
            table: None,
            key: bytes(),
            row: bytes(),
            old: OldKeys { bytes: bytes(), ends: Vec::new_in(alloc.clone()) },
            new: bytes(),
            index_rows: bytes(),
            entries: Vec::new_in(alloc.clone()),
            indexes_seen: 0,
        }
    }

    /// Notes that an index loses an entry, if there is one.
    pub(crate) fn remove_from(&mut self, index: TableId, old: Option<(usize, usize)>) -> Result<(), Error> {
        if let Some(key) = old {
            self.entries.try_reserve(1)?;
            self.entries.push(IndexEntry { index, kind: EntryKind::Delete, key, row: (0, 0) });
        }
        Ok(())
    }

    /// Bytes of all keys and rows.
    pub(crate) fn bytes(&self) -> usize {
        self.key.len() + self.row.len() + self.old.bytes.len() + self.new.len() + self.index_rows.len()
    }

    /// The longest row.
    pub(crate) fn row_bytes_max(&self) -> usize {
        let rows = self.entries.iter().map(|entry| entry.row.1 - entry.row.0);
        rows.max().unwrap_or(0).max(self.row.len())
    }

    /// What is to be written, each key at most once.
    pub(crate) fn items(&self) -> impl Iterator<Item = RunItem<'_>> {
        let of_table = self.table.map(|(table, kind)| {
            let row = if kind == EntryKind::Put { &self.row[..] } else { &[] };
            RunItem { table, kind, key: &self.key, row }
        });
        let of_indexes = self.entries.iter().map(|entry| {
            let keys = if entry.kind == EntryKind::Put { &self.new } else { &self.old.bytes };
            let (key, row) = (&keys[entry.key.0..entry.key.1], &self.index_rows[entry.row.0..entry.row.1]);
            RunItem { table: entry.index, kind: entry.kind, key, row }
        });
        of_table.into_iter().chain(of_indexes)
    }

    /// [`RowChange::items`] in the order of runs.
    pub(crate) fn sorted_items<'i>(&'i self, arena: &'i Arena) -> Result<&'i [RunItem<'i>], AllocError> {
        let mut items = collections::Vec::with_capacity_in(self.entries.len() + 1, arena)?;
        items.extend(self.items())?;
        items.sort_unstable_by(|a: &RunItem<'_>, b| (a.table, a.key).cmp(&(b.table, b.key)));
        Ok(items.into_slice())
    }

    /// Forgets the change and keeps its buffers.
    pub(crate) fn clear(&mut self) {
        let RowChange { table, key, row, old, new, index_rows, entries, indexes_seen } = self;
        (*table, *indexes_seen) = (None, 0);
        [key, row, &mut old.bytes, new, index_rows].into_iter().for_each(Bytes::clear);
        old.ends.clear();
        entries.clear();
    }

    /// Whether its buffers are small enough to be kept.
    pub(crate) fn is_small(&self) -> bool {
        let buffers = [&self.key, &self.row, &self.old.bytes, &self.new, &self.index_rows];
        buffers.into_iter().map(Bytes::capacity).sum::<usize>() <= KEPT_BYTES_MAX
    }
}
