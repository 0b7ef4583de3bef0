//! The first committer wins: what others have committed since a transaction began, held against what it has changed.
//!
//! Asked with the order of commits held still, so what is found is all that there is. Tables that nobody else has changed since the
//! snapshot, which are most of them, cost a comparison.

use std::sync::Arc;

use cofferdam_arena::{Arena, Budget};
use cofferdam_types::key::decode_key;

use crate::encode::{EncodedRange, KeyRange};
use crate::error::Error;
use crate::input::SegmentInput;
use crate::memtable::{Entry, EntryKind, Memtable};
use crate::merge::OWN_SEQUENCE;
use crate::read::{Seen, View};
use crate::schema::{DECODED_KEY_BYTES_MAX, Schema, TableId};
use crate::segment::{Look, PageSource, Scratch};
use crate::store::Inner;
use crate::table::Table;
use crate::version::{Segment, Version};

/// A snapshot that sees everything that is committed, published or not.
const EVERYTHING: u64 = OWN_SEQUENCE - 1;
/// Rows of a segment that are looked at together.
const WINDOW_ROWS: usize = 256;

/// What a transaction's changes are held against.
///
/// **Memory.** Of the transaction's budget: what pages of keys take that the cache has no room for.
pub(crate) struct ConflictCheck<'c> {
    pub(crate) inner: &'c Inner,
    pub(crate) version: &'c Version,
    pub(crate) snapshot: u64,
    /// The tables that the transaction has made.
    pub(crate) created: &'c [Arc<Table>],
    pub(crate) writes: Memtable<'c>,
    pub(crate) budget: &'c Budget,
}

impl ConflictCheck<'_> {
    /// The table of a change if somebody else has changed it since the snapshot.
    fn changed_table(&self, id: TableId) -> Result<Option<&Arc<Table>>, Error> {
        match self.version.table(id) {
            Some(entry) => Ok(Some(&entry.table).filter(|table| table.changed_at() > self.snapshot)),
            None if self.created.iter().any(|table| table.id() == id) => Ok(None),
            // It was dropped.
            None => Err(Error::Conflict(id)),
        }
    }

    /// Whether a change in memory may be committed.
    ///
    /// # Errors
    /// [`Error::Conflict`]; those of reading.
    pub(crate) fn entry(&self, entry: &Entry<'_>) -> Result<(), Error> {
        let Some(table) = self.changed_table(entry.table)? else { return Ok(()) };
        let arena = Arena::new(self.budget);
        let view = View { inner: self.inner, snapshot: EVERYTHING, own: None };
        let newest = view.seek(table, entry.key, Look::EXACT, &mut Scratch::new_in(&arena), |seen| {
            Ok(match seen {
                Seen::Nothing => 0,
                Seen::Tombstone { sequence } | Seen::Row { sequence, .. } => sequence,
            })
        })?;
        if newest > self.snapshot {
            return Err(Error::Conflict(table.parent().unwrap_or(table.id())));
        }
        if table.unique_columns() > 0 && entry.kind == EntryKind::Put {
            self.unique_prefix(table, entry.key, view)?;
        }
        Ok(())
    }

    /// Whether nobody else has put a row with the same first columns into a unique index.
    fn unique_prefix(&self, index: &Arc<Table>, key: &[u8], view: View<'_>) -> Result<(), Error> {
        let Some(bytes) = unique_prefix_bytes(&index.schema(), index.unique_columns(), key) else {
            return Ok(());
        };
        let is_other = |other: &[u8]| self.writes.get(index.id(), other, u64::MAX).is_none();
        match view.has_prefix(index, &key[..bytes], self.budget, is_other)? {
            true => Err(Error::Conflict(index.parent().unwrap_or(index.id()))),
            false => Ok(()),
        }
    }

    /// Whether a run may be committed. Others' changes of its table are in segments, not in memtables.
    ///
    /// Where others have changed a unique index that the run has entries of, that counts as a conflict, whatever the entries are.
    ///
    /// # Errors
    /// [`Error::Conflict`]; those of reading.
    pub(crate) fn run(&self, run: &Segment) -> Result<(), Error> {
        let Some(table) = self.changed_table(run.info.table)? else { return Ok(()) };
        let conflict = Err(Error::Conflict(table.parent().unwrap_or(table.id())));
        if table.unique_columns() > 0 {
            return conflict;
        }
        let entry = self.version.table(table.id()).expect("it was found");
        for segment in entry.segments().iter().filter(|segment| segment.info.sequence_max > self.snapshot) {
            if self.shares_key(run, segment, table)? {
                return conflict;
            }
        }
        Ok(())
    }

    /// Whether a run has a key of which a segment has a version that is newer than the snapshot.
    fn shares_key(&self, run: &Segment, segment: &Arc<Segment>, table: &Table) -> Result<bool, Error> {
        let arena = Arena::new(self.budget);
        let schema = table.schema();
        let range = EncodedRange::new(table.id(), &schema, &KeyRange::ALL, self.inner.catalog())?;
        let mut input = SegmentInput::new(schema, 0, WINDOW_ROWS, &arena)?;
        let mut scratch = Scratch::new_in(&arena);
        let mut key = cofferdam_arena::collections::Vec::new_in(&arena);
        let source = PageSource::cached(&self.inner.cache);
        input.attach(core::iter::once(Arc::clone(segment)), 0, run.keys().0, &range, &self.inner.cache)?;
        loop {
            input.move_on(&range)?;
            let window = input.window();
            if window.prefixes.is_empty() {
                return Ok(false);
            }
            for (row, _) in window.sequences.iter().enumerate().filter(|(_, at)| **at > self.snapshot) {
                key.clear();
                input.put_key(row, &mut key)?;
                if run.reader.get(&schema, &key, u64::MAX, source, &mut scratch)?.is_some() {
                    return Ok(true);
                }
            }
        }
    }
}

/// How many bytes of a unique index's key are of its unique columns; `None` where one of these is NULL, which is like no other.
pub(crate) fn unique_prefix_bytes(schema: &Schema<'_>, columns: usize, key: &[u8]) -> Option<usize> {
    let mut rest = key;
    let mut text = [0; DECODED_KEY_BYTES_MAX];
    for part in schema.key.iter().take(columns) {
        let ty = schema.columns[usize::from(part.column)].ty;
        let (value, used) = decode_key(rest, ty, part.order, &mut text).ok()?;
        if value.is_null() {
            return None;
        }
        rest = &rest[used..];
    }
    Some(key.len() - rest.len())
}
