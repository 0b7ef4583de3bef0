//! What benchmarks measure and callers do not see: the memtable alone, and what columns take on the disk.
//!
//! Behind the feature `bench`, and no part of the interface.

use cofferdam_arena::{AllocError, Arena, Budget};

use crate::error::Error;
use crate::memtable::{EntryKind, Memtables};
use crate::read::Snapshot;
use crate::schema::TableId;
use crate::segment::{PageSource, Scratch};

const TABLE: TableId = TableId(1);

/// A pair of memtables used as one ordered map.
///
/// Each call pins what it looks at, as a commit or a read of one row does.
pub struct MemtableMap {
    memtables: Memtables,
}

impl core::fmt::Debug for MemtableMap {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("MemtableMap").finish_non_exhaustive()
    }
}

impl MemtableMap {
    /// An empty one.
    ///
    /// # Errors
    /// The budget has no room for the minima of both memtables.
    pub fn new(budget: &Budget, minimum_bytes: usize) -> Result<MemtableMap, AllocError> {
        Ok(MemtableMap { memtables: Memtables::new(budget, minimum_bytes)? })
    }

    /// Adds an entry, as a commit of one row does. One thread at a time.
    ///
    /// # Errors
    /// The budget refuses.
    #[inline]
    pub fn insert(&self, key: &[u8], sequence: u64, row: &[u8]) -> Result<(), AllocError> {
        let writer = self.memtables.writer().map_err(|_| AllocError)?;
        writer.insert(TABLE, key, sequence, EntryKind::Put, row)
    }

    /// Gives the newest row of a key to `visit`.
    #[inline]
    pub fn get<T>(&self, key: &[u8], visit: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let pins = self.memtables.pin().ok()?;
        let entry = pins.active().get(TABLE, key, u64::MAX)?;
        Some(visit(entry.row))
    }

    /// Gives every entry, in order.
    pub fn scan(&self, mut visit: impl FnMut(&[u8], &[u8])) {
        let Ok(pins) = self.memtables.pin() else { return };
        let mut cursor = pins.active().cursor();
        cursor.seek_first();
        while let Some(entry) = cursor.entry() {
            visit(entry.key, entry.row);
            cursor.next();
        }
    }

    /// Seals what was filled, as before a flush.
    pub fn seal(&self) -> bool {
        self.memtables.swap().is_ok() && self.memtables.mark_flushed().is_ok()
    }

    /// Resets what was sealed, as after a flush; keeps so many bytes.
    pub fn reset(&self, keep_bytes: usize) -> bool {
        self.memtables.reset_sealed(keep_bytes).is_ok()
    }
}

/// Gives the name and the bytes of the pages of each column of a table, and `None` with those of the whole segments.
///
/// # Errors
/// Those of reading.
pub fn column_bytes(
    snapshot: &Snapshot,
    table: &str,
    budget: &Budget,
    mut visit: impl FnMut(Option<&str>, u64),
) -> Result<(), Error> {
    let view = snapshot.view();
    let version = view.inner.versions.current();
    let Some(entry) = version.table_named(table) else { return Ok(()) };
    let arena = Arena::new(budget);
    let mut scratch = Scratch::new_in(&arena);
    let schema = entry.table.schema();
    for place in 0..schema.columns.len() {
        let mut bytes = 0;
        for segment in entry.segments() {
            let source = PageSource::UNCACHED;
            let statistics = segment.reader.statistics(&schema, place, source, &mut scratch)?;
            bytes += statistics.map_or(0, |statistics| statistics.bytes);
        }
        visit(Some(entry.table.column_name(place)), bytes);
    }
    visit(None, entry.segments().iter().map(|segment| segment.info.bytes).sum());
    Ok(())
}
