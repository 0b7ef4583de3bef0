//! Reading: what is seen, from where, and single rows.
//!
//! A reader looks at the changes of its own transaction first, then at the memtables, then at the segments from level 0 down. The
//! first version that it finds with a sequence that it sees is the newest one (`level` L2), so it stops there.
//!
//! - **R1** Memtables are pinned before the version is taken: what a flush moves from one to the other meanwhile is found twice
//!   rather than not at all.
//! - **R2** Pins last as long as a call: for a row, or for a batch of rows. A reader that is not called holds up nobody.

use std::sync::Arc;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{Arena, Budget};
use cofferdam_types::row::decode_row;
use cofferdam_types::{Type, Value};

use crate::encode::{Target, put_prefix};
use crate::error::{Error, InputKind, InputProblem};
use crate::level::Extent;
use crate::memtable::{self, EntryKind, Pins};
use crate::merge::OWN_SEQUENCE;
use crate::run::Runs;
use crate::scan::Scan;
use crate::schema::{Schema, TableId};
use crate::segment::{self, Look, PageSource, Scratch, hash_key};
use crate::statistics::net_rows;
use crate::store::{Inner, Store};
use crate::table::Table;
use crate::version::{Segment, Version};

/// The state of the database at a moment, for as long as it is held.
///
/// It keeps versions of rows from being compacted away; nothing of it is memory that others wait for.
#[derive(Debug)]
pub struct Snapshot {
    store: Store,
    sequence: u64,
}

impl Snapshot {
    pub(crate) fn open(store: &Store) -> Result<Snapshot, Error> {
        let sequence = store.inner().snapshots.open()?;
        Ok(Snapshot { store: store.clone(), sequence })
    }

    /// The same state once more, for somebody who holds it on his own.
    ///
    /// # Errors
    /// There is no room to note it.
    pub fn again(&self) -> Result<Snapshot, Error> {
        self.store.inner().snapshots.open_again(self.sequence)?;
        Ok(Snapshot { store: self.store.clone(), sequence: self.sequence })
    }

    /// The last sequence that it sees.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// What readers are given.
    pub fn view(&self) -> View<'_> {
        View { inner: self.store.inner(), snapshot: self.sequence, own: None }
    }

    /// The table of a name.
    pub fn table(&self, name: &str) -> Option<Arc<Table>> {
        let version = self.store.inner().versions.current();
        version.table_named(name).map(|entry| Arc::clone(&entry.table))
    }

    /// Gives every table and every index to `visit`, in the order of their numbers.
    pub fn tables(&self, mut visit: impl FnMut(&Arc<Table>)) {
        let version = self.store.inner().versions.current();
        version.tables().iter().for_each(|entry| visit(&entry.table));
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.store.inner().snapshots.close(self.sequence);
    }
}

/// What a reader sees: a snapshot, and in a transaction its own changes over it.
#[derive(Clone, Copy)]
pub struct View<'r> {
    pub(crate) inner: &'r Inner,
    pub(crate) snapshot: u64,
    pub(crate) own: Option<Own<'r>>,
}

/// A transaction's own changes.
#[derive(Clone, Copy)]
pub(crate) struct Own<'r> {
    pub(crate) writes: memtable::Memtable<'r>,
    pub(crate) runs: &'r Runs,
    /// The last operation that is seen.
    pub(crate) operation: u64,
    /// Tables that the transaction has made.
    pub(crate) created: &'r [Arc<Table>],
    /// Tables that it has dropped.
    pub(crate) dropped: &'r [TableId],
}

impl core::fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("View").field("snapshot", &self.snapshot).finish_non_exhaustive()
    }
}

/// The newest version of a key that is seen.
pub(crate) enum Seen<'v, 'a> {
    Nothing,
    Tombstone { sequence: u64 },
    Row { sequence: u64, row: Row<'v, 'a> },
}

impl<'v, 'a> Seen<'v, 'a> {
    /// The row, where it is one.
    fn row(self) -> Option<Row<'v, 'a>> {
        match self {
            Seen::Row { row, .. } => Some(row),
            Seen::Nothing | Seen::Tombstone { .. } => None,
        }
    }
}

/// A row that was found. Its values are read one by one.
#[derive(Debug)]
pub struct Row<'v, 'a> {
    schema: Schema<'v>,
    place: RowPlace<'v>,
    scratch: &'v mut Scratch<'a>,
}

#[derive(Debug)]
enum RowPlace<'v> {
    Encoded(&'v [u8]),
    Segment { segment: &'v segment::Segment, found: segment::Found, source: PageSource<'v> },
}

impl Row<'_, '_> {
    /// How many columns there are, the row id included.
    pub fn columns_count(&self) -> usize {
        self.schema.columns.len()
    }

    /// A value. It is good until the next one is read.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Io`]; [`Error::OutOfMemory`] for a text that is compressed or long, as long as it is.
    pub fn value(&mut self, column: usize) -> Result<Value<'_>, Error> {
        match &self.place {
            RowPlace::Segment { segment, found, source } => {
                segment.value(&self.schema, found, column, *source, self.scratch)
            }
            RowPlace::Encoded(bytes) => {
                let mut rest = *bytes;
                for (place, ty) in self.schema.columns.iter().enumerate() {
                    let (value, used) = decode_row(rest, ty.ty).expect("it was encoded by the store");
                    if place == column {
                        return Ok(value);
                    }
                    rest = &rest[used..];
                }
                Ok(Value::Null)
            }
        }
    }
}

impl Row<'_, '_> {
    /// Gives the values of some columns, which ascend, to `visit`, each with its place among these.
    ///
    /// # Errors
    /// As [`Row::value`]; those of `visit`.
    pub fn each(
        &mut self,
        columns: &[u16],
        mut visit: impl FnMut(usize, Value<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let RowPlace::Encoded(bytes) = &self.place else {
            return (columns.iter().enumerate())
                .try_for_each(|(place, column)| visit(place, self.value((*column).into())?));
        };
        let (mut rest, mut place) = (*bytes, 0);
        for (column, ty) in self.schema.columns.iter().enumerate() {
            if place == columns.len() {
                break;
            }
            let (value, used) = decode_row(rest, ty.ty).expect("it was encoded by the store");
            rest = &rest[used..];
            if usize::from(columns[place]) == column {
                visit(place, value)?;
                place += 1;
            }
        }
        Ok(())
    }
}

impl<'r> View<'r> {
    /// Gives the newest version of a key that is seen to `visit`.
    pub(crate) fn seek<'a, T>(
        &self,
        table: &Table,
        key: &[u8],
        wanted: Look,
        scratch: &mut Scratch<'a>,
        visit: impl FnOnce(Seen<'_, 'a>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        // R1
        let pins = self.inner.memtables.pin().expect("fewer than 2^32 readers");
        let version = self.inner.versions.current();
        self.seek_in((pins, &version), table, key, wanted, scratch, visit)
    }

    /// The same in memtables and a version that are at hand.
    fn seek_in<'a, T>(
        &self,
        (pins, version): (Pins<'_>, &Version),
        table: &Table,
        key: &[u8],
        wanted: Look,
        scratch: &mut Scratch<'a>,
        visit: impl FnOnce(Seen<'_, 'a>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (id, schema) = (table.id(), table.schema());
        let hash = hash_key(key);
        let source = PageSource::cached(&self.inner.cache);
        if let Some(own) = &self.own {
            if let Some(entry) = own.writes.get(id, key, own.operation) {
                return visit(seen_entry(&entry, schema, scratch));
            }
            for run in own.runs.with_key(id, key, hash) {
                let limit = OWN_SEQUENCE + own.operation;
                let wanted = Look { filter: true, ..wanted };
                if let Some(found) = look(run, &schema, (key, hash), limit, wanted, source, scratch)? {
                    return visit(seen_in_segment(&run.reader, found, schema, source, scratch));
                }
            }
        }
        let entry = pins.active().get(id, key, self.snapshot);
        let entry = entry.or_else(|| pins.sealed()?.get(id, key, self.snapshot));
        if let Some(entry) = entry {
            return visit(seen_entry(&entry, schema, scratch));
        }
        drop(pins);
        let Some(segments) = version.table(id).map(|entry| entry.segments()) else {
            // Of a table that was dropped nothing is known any more, which is not the same as that it has no rows.
            let is_own = self.own.is_some_and(|own| own.created.iter().any(|table| table.id() == id));
            return if is_own { visit(Seen::Nothing) } else { Err(no_such_table(id)) };
        };
        let mut rest = segments;
        while let Some(level) = rest.first().map(|segment| segment.level()) {
            let count = rest.partition_point(|segment| segment.level() == level);
            let (candidates, behind) = rest.split_at(count);
            // Of a level below 0 only those whose keys are around this one.
            let start =
                if level == 0 { 0 } else { candidates.partition_point(|segment| segment.keys().1 < key) };
            let candidates = candidates.iter().skip(start);
            let candidates = candidates.take_while(|segment| level == 0 || segment.keys().0 <= key);
            // Where it is not in the last place, there is no row.
            let is_last = behind.is_empty() && (level > 0 || count == 1);
            let wanted = if is_last { wanted } else { Look { filter: true, ..wanted } };
            for segment in candidates {
                if let Some(found) =
                    look(segment, &schema, (key, hash), self.snapshot, wanted, source, scratch)?
                {
                    return visit(seen_in_segment(&segment.reader, found, schema, source, scratch));
                }
            }
            rest = behind;
        }
        visit(Seen::Nothing)
    }

    /// Whether a table has a row whose key begins with these bytes, of those for which `counts` says so.
    pub(crate) fn has_prefix(
        &self,
        table: &Arc<Table>,
        prefix: &[u8],
        budget: &Budget,
        counts: impl Fn(&[u8]) -> bool,
    ) -> Result<bool, Error> {
        let arena = Arena::new(budget);
        let mut scan = Scan::of_prefix(table, prefix, &arena)?;
        while scan.next(*self, &mut [], 1)? > 0 {
            if counts(scan.last_key().unwrap_or(&[])) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// About how many rows a table has, without looking at any of them: those of its segments, less tombstones and as many
    /// rows, and those in memory.
    pub fn rows_estimate(&self, table: TableId) -> u64 {
        let version = self.inner.versions.current();
        let own = self.own.map_or(&[][..], |own| own.runs.segments());
        let own = own.iter().filter(|run| run.info.table == table);
        let rows: u64 = own.map(|segment| net_rows(&segment.reader)).sum();
        let stored = version.table(table).map_or(0, |entry| entry.net_rows());
        rows + stored + self.rows_in_memory(table)
    }

    /// Bytes of the files that have a table's rows; those in memory and in logs are not in it.
    pub fn bytes_of_segments(&self, table: TableId) -> u64 {
        let version = self.inner.versions.current();
        let own = self.own.map_or(&[][..], |own| own.runs.segments());
        let own = own.iter().filter(|run| run.info.table == table);
        let stored = version.table(table).map_or(&[][..], |entry| entry.segments());
        own.chain(stored).map(|segment| segment.reader.bytes()).sum()
    }

    /// Gives every table and every index that it sees to `visit`, in the order of their numbers.
    pub fn tables(&self, visit: &mut dyn FnMut(&Arc<Table>)) {
        let version = self.inner.versions.current();
        let (created, dropped) = self.own.map_or((&[][..], &[][..]), |own| (own.created, own.dropped));
        let tables = version.tables().iter().map(|entry| &entry.table).chain(created);
        tables.filter(|table| !dropped.contains(&table.id())).for_each(visit);
    }

    /// The table of a number, also one that the transaction has made.
    ///
    /// # Errors
    /// [`Error::Input`] if there is none.
    pub fn table(&self, id: TableId) -> Result<Arc<Table>, Error> {
        self.table_in(&self.inner.versions.current(), id).map(Arc::clone)
    }

    fn table_in<'v>(&'v self, version: &'v Version, id: TableId) -> Result<&'v Arc<Table>, Error> {
        let own = self.own.iter().flat_map(|own| own.created).find(|table| table.id() == id);
        let table = own.or_else(|| version.table(id).map(|entry| &entry.table));
        let is_dropped = self.own.is_some_and(|own| own.dropped.contains(&id));
        table.filter(|_| !is_dropped).ok_or(no_such_table(id))
    }

    /// Gives the row of a key to `visit`; `None` if there is none. For who reads one row of a table and no more: others make a
    /// [`RowReader`].
    ///
    /// **Memory.** As that.
    ///
    /// # Errors
    /// As [`RowReader::get`], and as [`View::table`].
    pub fn row<'a, T>(
        &self,
        table: TableId,
        key: &[Value<'_>],
        arena: &'a Arena,
        visit: impl FnOnce(&mut Row<'_, 'a>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        // R1
        let pins = self.inner.memtables.pin().expect("fewer than 2^32 readers");
        let version = self.inner.versions.current();
        let table = self.table_in(&version, table)?;
        let (mut encoded, mut scratch) = (Vec::new_in(arena), Scratch::new_in(arena));
        put_whole_key(table, key, &mut encoded)?;
        self.seek_in((pins, &version), table, &encoded, Look::LIKELY_ROW, &mut scratch, |seen| {
            seen.row().map(|mut row| visit(&mut row)).transpose()
        })
    }
}

/// There is no such table.
pub(crate) fn no_such_table(table: TableId) -> Error {
    Error::Input(InputProblem { table, column: None, kind: InputKind::NoSuchTable })
}

fn look(
    segment: &Segment,
    schema: &Schema<'_>,
    (key, hash): (&[u8], u64),
    sequence: u64,
    wanted: Look,
    source: PageSource<'_>,
    scratch: &mut Scratch<'_>,
) -> Result<Option<segment::Found>, Error> {
    let (first, last) = segment.keys();
    if key < first || key > last || sequence < segment.info.sequence_min {
        return Ok(None);
    }
    segment.reader.get_hashed(schema, (key, hash), sequence, wanted, source, scratch)
}

fn seen_entry<'v, 'a>(
    entry: &memtable::Entry<'v>,
    schema: Schema<'v>,
    scratch: &'v mut Scratch<'a>,
) -> Seen<'v, 'a> {
    let sequence = entry.sequence;
    match entry.kind {
        EntryKind::Delete => Seen::Tombstone { sequence },
        EntryKind::Put => {
            Seen::Row { sequence, row: Row { schema, place: RowPlace::Encoded(entry.row), scratch } }
        }
    }
}

fn seen_in_segment<'v, 'a>(
    segment: &'v segment::Segment,
    found: segment::Found,
    schema: Schema<'v>,
    source: PageSource<'v>,
    scratch: &'v mut Scratch<'a>,
) -> Seen<'v, 'a> {
    let sequence = found.sequence;
    if found.is_delete {
        return Seen::Tombstone { sequence };
    }
    let place = RowPlace::Segment { segment, found, source };
    Seen::Row { sequence, row: Row { schema, place, scratch } }
}

/// Reads single rows of a table, any number of them.
///
/// **Memory.** A key's bytes, and what pages need that the cache has no room for: see [`Row::value`].
#[derive(Debug)]
pub struct RowReader<'a> {
    table: Arc<Table>,
    key: Vec<'a, u8>,
    scratch: Scratch<'a>,
}

impl<'a> RowReader<'a> {
    /// Takes nothing before it reads.
    pub fn new(table: &Arc<Table>, arena: &'a Arena) -> RowReader<'a> {
        RowReader { table: Arc::clone(table), key: Vec::new_in(arena), scratch: Scratch::new_in(arena) }
    }

    /// Gives the row of a key to `visit`; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Input`] for values that are no key of the table; [`Error::Corrupt`], [`Error::Io`], [`Error::OutOfMemory`]; those of
    /// `visit`.
    pub fn get<T>(
        &mut self,
        view: View<'_>,
        key: &[Value<'_>],
        visit: impl FnOnce(&mut Row<'_, 'a>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        put_whole_key(&self.table, key, &mut self.key)?;
        view.seek(&self.table, &self.key, Look::LIKELY_ROW, &mut self.scratch, |seen| {
            seen.row().map(|mut row| visit(&mut row)).transpose()
        })
    }
}

/// The encoded key of values that are one.
///
/// # Errors
/// [`Error::Input`] for another number of values, another type, or too many bytes.
pub(crate) fn put_whole_key(
    table: &Table,
    values: &[Value<'_>],
    into: &mut impl Target,
) -> Result<(), Error> {
    let problem = |column, kind| Err(Error::Input(InputProblem { table: table.id(), column, kind }));
    if values.len() != table.key().len() {
        return problem(None, InputKind::Count);
    }
    for (value, part) in values.iter().zip(table.key()) {
        let ty = table.schema().columns[usize::from(part.column)].ty;
        let is_right = match (value.ty(), ty) {
            (Type::Decimal { .. }, Type::Decimal { .. }) => true,
            (value, ty) => value == ty,
        };
        if !is_right && !value.is_null() {
            return problem(Some(part.column), InputKind::Type);
        }
    }
    into.clear();
    put_prefix(table.id(), table.key(), values, into)
}
