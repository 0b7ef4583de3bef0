//! Transactions: changes that nobody sees until they are committed, all at once.
//!
//! A transaction reads the state of its beginning and its own changes over it. Changes stand in a [`WriteSet`]; what does
//! not fit there goes to disk as sorted *runs*, segments that no manifest names yet. A commit that fits the memtable goes
//! through the WAL; one with runs, or with tables made or dropped, is one edit of the manifest.
//!
//! ```text
//!   insert, put, delete ──> write set ──full──> run 1, run 2, …           commit
//!        each change has the next operation's number                       small: WAL + memtable, one sequence for all
//!                                                                          large: sync the runs, one manifest edit
//! ```
//!
//! - **T1** The first committer wins: a commit is refused ([`Error::Conflict`]) if a row that it changed has a version newer
//!   than its snapshot. A key of a unique index counts as a row.
//! - **T2** Operations are numbered from 1. A savepoint is a number; going back to it forgets all operations with larger
//!   numbers: those of the write set are discarded, runs that begin later are removed, and the one run that it cuts through is
//!   written again without them.
//! - **T3** In a run, stored sequences are numbers of operations. The edit gives it the base that makes them follow all
//!   sequences that were given before, so later changes of a key win.

use std::sync::Arc;

use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, Arena, Budget, BudgetAlloc, InlineText};
use cofferdam_types::Value;

use crate::bulk::Direct;
use crate::change::{IndexEntry, RowChange};
use crate::column::Column;
use crate::commit::{Changes, Replacement};
use crate::conflict::ConflictCheck;
use crate::encode::{self, KeyRange};
use crate::error::{Duplicate, Error, InputKind, InputProblem};
use crate::flush::NewSegments;
use crate::gap::Gap;
use crate::memtable::{self, EntryKind, WriteSet};
use crate::options::Durability;
use crate::read::{Own, Seen, View, no_such_table, put_whole_key};
use crate::run::{RunItem, Runs};
use crate::scan::Scan;
use crate::schema::{KeyColumn, TableId};
use crate::segment::{Look, Scratch};
use crate::store::Store;
use crate::table::{Table, TableDef, check_definition};
use crate::version::{Segment, Version};
use crate::wal::ROW_BYTES_MAX;

/// A transaction. It is rolled back when it is dropped.
///
/// **Memory.** Its changes, up to half a memtable of a store that has the limit alone, and its buffers: charged to the budget that it was begun with. What does
/// not fit there goes to disk.
#[derive(Debug)]
pub struct Transaction {
    store: Store,
    alloc: BudgetAlloc,
    budget: Budget,
    snapshot: u64,
    writes: WriteSet,
    /// The number of the last operation (T2).
    operation: u64,
    runs: Runs,
    known: Vec<Known, BudgetAlloc>,
    /// The tables that were ever known, with all the indexes that they had then, whatever the transaction itself has made or
    /// dropped since: what it has written went to these, so at the commit they must be the same.
    met: Vec<Known, BudgetAlloc>,
    created: Vec<Arc<Table>, BudgetAlloc>,
    dropped: Vec<TableId, BudgetAlloc>,
    /// A change failed in its middle: nothing but a rollback is possible.
    is_broken: bool,
    /// Rows are on their way into a run of this table (`bulk`, B1).
    loading: Option<TableId>,
    /// For the next change.
    change: Option<RowChange>,
    gap: Gap,
}

/// A load has written so many bytes of changes, or as many as are kept in memory, before it is one that goes straight into runs.
const DIRECT_FROM_BYTES: u64 = 1 << 20;
/// And so many rows have come one behind the other.
const DIRECT_FROM_ROWS: u64 = 256;
/// Rows of a table that are read at once to fill an index.
const INDEX_ROWS: usize = 256;

/// A table that the transaction has changed, with its indexes.
#[derive(Clone, Debug)]
struct Known {
    table: Arc<Table>,
    indexes: Arc<Vec<Arc<Table>, BudgetAlloc>>,
}

/// A point of a transaction that it can go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Savepoint {
    operation: u64,
    created: usize,
    dropped: usize,
}

impl Store {
    /// Begins a transaction, whose memory is charged to `budget`.
    ///
    /// # Errors
    /// There is no room for its first bytes; the store is closed or poisoned.
    pub fn begin(&self, budget: &Budget) -> Result<Transaction, Error> {
        self.inner().check_writable()?;
        let alloc = BudgetAlloc::new(budget);
        let writes = WriteSet::new(budget);
        let snapshot = self.inner().snapshots.open()?;
        Ok(Transaction {
            store: self.clone(),
            budget: budget.clone(),
            snapshot,
            writes,
            operation: 0,
            runs: Runs::new(&alloc),
            known: Vec::new_in(alloc.clone()),
            met: Vec::new_in(alloc.clone()),
            created: Vec::new_in(alloc.clone()),
            dropped: Vec::new_in(alloc.clone()),
            change: None,
            gap: Gap::new(&alloc),
            alloc,
            is_broken: false,
            loading: None,
        })
    }
}

impl Transaction {
    /// The last sequence that it sees of others.
    pub fn snapshot_sequence(&self) -> u64 {
        self.snapshot
    }

    /// What readers are given: the snapshot and the changes so far.
    pub fn view(&self) -> View<'_> {
        View {
            inner: self.store.inner(),
            snapshot: self.snapshot,
            own: Some(Own {
                writes: self.writes.read(),
                runs: &self.runs,
                operation: self.operation,
                created: &self.created,
                dropped: &self.dropped,
            }),
        }
    }

    /// The same without what was changed since a savepoint: for a statement that reads what it changes.
    pub fn view_at(&self, savepoint: Savepoint) -> View<'_> {
        let mut view = self.view();
        if let Some(own) = &mut view.own {
            own.operation = savepoint.operation;
        }
        view
    }

    /// The table of a name.
    pub fn table(&self, name: &str) -> Option<Arc<Table>> {
        let is_dropped = |table: &Table| self.dropped.contains(&table.id());
        let is_it =
            |table: &&Arc<Table>| table.name() == name && table.parent().is_none() && !is_dropped(table);
        if let Some(table) = self.created.iter().find(is_it) {
            return Some(Arc::clone(table));
        }
        let version = self.store.inner().versions.current();
        let entry = version.table_named(name)?;
        (!is_dropped(&entry.table)).then(|| Arc::clone(&entry.table))
    }

    /// Gives every table and every index that it sees to `visit`, in the order of their numbers.
    pub fn tables(&self, mut visit: impl FnMut(&Arc<Table>)) {
        self.view().tables(&mut visit);
    }

    fn check_usable(&self) -> Result<(), Error> {
        match self.loading {
            Some(table) => Err(input(table, None, InputKind::Loading)),
            None if self.is_broken => Err(Error::Poisoned),
            None => Ok(()),
        }
    }

    // ------------------------------------------------------------------------------------------------- tables

    /// Makes a table, which others see from the commit on.
    ///
    /// # Errors
    /// [`Error::Input`] for a definition that is none or a name that is taken; [`Error::OutOfMemory`].
    pub fn create_table(&mut self, def: &TableDef<'_>) -> Result<TableId, Error> {
        self.check_usable()?;
        let id = self.store.inner().next_table_id();
        check_definition(id, def)?;
        if let Some(taken) = self.table(def.name) {
            return Err(input(taken.id(), None, InputKind::NameTaken));
        }
        let table = Table::define(id, def, self.store.inner().catalog())?;
        self.add_created(table)
    }

    /// Makes an index on columns of a table, each in an order of its own, with its rows of now.
    ///
    /// # Errors
    /// [`Error::Input`]; [`Error::UniqueViolation`] if it is unique and rows of the table are not; those of reading and writing.
    pub fn create_index(
        &mut self,
        table: TableId,
        name: &str,
        columns: &[KeyColumn],
        is_unique: bool,
    ) -> Result<TableId, Error> {
        self.check_usable()?;
        let of = self.view().table(table)?;
        let columns_count = of.schema().columns.len() - usize::from(of.has_row_id());
        for (place, KeyColumn { column, .. }) in columns.iter().enumerate() {
            let is_repeated = columns[..place].iter().any(|before| before.column == *column);
            if usize::from(*column) >= columns_count || is_repeated {
                return Err(input(table, Some(*column), InputKind::Definition));
            }
        }
        if columns.is_empty() || of.parent().is_some() || name.is_empty() {
            return Err(input(table, None, InputKind::Definition));
        }
        let id = self.store.inner().next_table_id();
        let index = Table::define_index(id, &of, name, columns, is_unique, self.store.inner().catalog())?;
        let before = self.savepoint();
        let id = self.add_created(index)?;
        if let Err(error) = self.fill_index(&of, id) {
            self.rollback_to(before)?;
            return Err(error);
        }
        Ok(id)
    }

    fn add_created(&mut self, table: Table) -> Result<TableId, Error> {
        let id = table.id();
        self.created.try_reserve(1)?;
        self.created.push(Arc::new(table));
        self.known.clear();
        Ok(id)
    }

    /// Puts the rows of a table into an index of it.
    fn fill_index(&mut self, of: &Arc<Table>, index: TableId) -> Result<(), Error> {
        let index = self.view().table(index)?;
        let arena = Arena::new(&self.budget);
        let mut columns = cofferdam_arena::collections::Vec::new_in(&arena);
        for source in index.sources() {
            columns.push(Column::new(of.schema().columns[usize::from(*source)].ty, INDEX_ROWS, &arena)?)?;
        }
        let mut scan = Scan::new(of, index.sources(), &KeyRange::ALL, &arena)?;
        let mut scratch = Arena::new(&self.budget);
        loop {
            let rows = {
                let mut targets =
                    cofferdam_arena::collections::Vec::with_capacity_in(columns.len(), &scratch)?;
                for column in columns.iter_mut() {
                    column.clear();
                    targets.push(column.target())?;
                }
                scan.next(self.view(), &mut targets, INDEX_ROWS)?
            };
            scratch.reset();
            if rows == 0 {
                return Ok(());
            }
            for row in 0..rows {
                self.put_index_row(&index, |column| columns[column].value(row))?;
            }
        }
    }

    /// Drops a table with its indexes, or an index. Others see it until the commit; from then on a reader whose snapshot is older
    /// gets an error that it is gone.
    ///
    /// # Errors
    /// [`Error::Input`] if it is gone; [`Error::OutOfMemory`].
    pub fn drop_table(&mut self, table: TableId) -> Result<(), Error> {
        self.check_usable()?;
        let version = self.store.inner().versions.current();
        let with_indexes = |candidate: &Table| candidate.id() == table || candidate.parent() == Some(table);
        let candidates = version.tables().iter().map(|entry| &entry.table).chain(self.created.iter());
        let before = self.dropped.len();
        for candidate in candidates.filter(|candidate| with_indexes(candidate)) {
            if !self.dropped.contains(&candidate.id()) {
                self.dropped.try_reserve(1)?;
                self.dropped.push(candidate.id());
            }
        }
        self.known.clear();
        match self.dropped.len() > before {
            true => Ok(()),
            false => Err(no_such_table(table)),
        }
    }

    // --------------------------------------------------------------------------------------------------- rows

    /// Adds a row. Of a table without a key, `values` has no row id: the store gives one.
    ///
    /// # Errors
    /// [`Error::Input`]; [`Error::UniqueViolation`] for the table's key or a unique index; [`Error::OutOfMemory`], [`Error::Io`]; nothing
    /// has changed then.
    pub fn insert(&mut self, table: TableId, values: &[Value<'_>]) -> Result<(), Error> {
        self.insert_row(table, values, false)
    }

    /// Adds a row, or puts it in the place of the one with the same key.
    ///
    /// # Errors
    /// As [`Transaction::insert`], of which only a unique index is violated.
    pub fn put(&mut self, table: TableId, values: &[Value<'_>]) -> Result<(), Error> {
        self.insert_row(table, values, true)
    }

    fn insert_row(&mut self, table: TableId, values: &[Value<'_>], replaces: bool) -> Result<(), Error> {
        self.with_change(|transaction, change| transaction.insert_change(table, values, replaces, change))
    }

    /// Gives a change with nothing in it to `make`: the one that was used last, so that its buffers are there already.
    fn with_change<T>(
        &mut self,
        make: impl FnOnce(&mut Transaction, &mut RowChange) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut change = match self.change.take() {
            Some(change) => change,
            None => RowChange::new(&self.alloc),
        };
        let outcome = make(self, &mut change);
        change.clear();
        if change.is_small() {
            self.change = Some(change);
        }
        outcome
    }

    fn insert_change(
        &mut self,
        table: TableId,
        values: &[Value<'_>],
        replaces: bool,
        change: &mut RowChange,
    ) -> Result<(), Error> {
        let known = self.take_known(table)?;
        let outcome = self.insert_known(&known, values, replaces, change);
        self.known.push(known);
        outcome
    }

    fn insert_known(
        &mut self,
        known: &Known,
        values: &[Value<'_>],
        replaces: bool,
        change: &mut RowChange,
    ) -> Result<(), Error> {
        let table = known.table.id();
        known.table.check(values)?;
        let schema = known.table.schema();
        let row_id = [Value::BigInt(known.table.next_row_id() as i64)];
        let row_id = if known.table.has_row_id() { &row_id[..] } else { &[] };
        encode::put_row(values, &mut change.row)?;
        encode::put_row(row_id, &mut change.row)?;
        if row_id.is_empty() {
            encode::put_key(table, &schema, values, &mut change.key)?;
            let is_there = !self.gap.is_free(table, &change.key) && self.find_old(known, change)?;
            if is_there && !replaces {
                return Err(violation(table, &known.table, known.table.key().len(), |column| values[column]));
            }
        } else {
            encode::put_prefix(table, known.table.key(), row_id, &mut change.key)?;
        }
        let value = |column: usize| values.get(column).copied().unwrap_or_else(|| row_id[0]);
        for index in known.indexes.iter() {
            self.add_index_change(index, Some(&value), change)?;
        }
        self.apply(known, change, EntryKind::Put)?;
        if row_id.is_empty() && matches!(self.gap.inserted(table, &change.key), Ok(true)) {
            // The row is there, whatever comes of this: where nothing is known, the next one is looked for.
            let _ = self.find_gap(known);
        }
        Ok(())
    }

    // -------------------------------------------------------------------------------------------------- loads

    /// What its memory is charged to.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What writes rows to runs at once, if that is worth while and they are in order from this one on (B1-B3 of `bulk`).
    #[inline]
    pub(crate) fn begin_direct(
        &mut self,
        table: TableId,
        values: &[Value<'_>],
    ) -> Result<Option<Direct>, Error> {
        if self.writes.used_bytes() < (self.write_bytes_max() / 8 * 7).min(DIRECT_FROM_BYTES) {
            return Ok(None);
        }
        self.check_usable()?;
        // Most of what is in the write set, so that one load in no order is not cut into small runs.
        let entries_count = self.writes.figures().entries_count;
        let rows_ordered = self.gap.filled(table).map_or(0, u64::from);
        let is_ordered = rows_ordered >= DIRECT_FROM_ROWS && rows_ordered > entries_count / 2;
        let known = self.take_known(table)?;
        let is_possible = known.indexes.is_empty()
            && Direct::is_possible(&self.store, &known.table, is_ordered, values)
            && self.spill().is_ok();
        let table = Arc::clone(&known.table);
        self.known.push(known);
        if !is_possible {
            return Ok(None);
        }
        self.runs.merge(&self.store, &self.created)?;
        self.writes.release();
        let (id, gap) = (table.id(), core::mem::replace(&mut self.gap, Gap::new(&self.alloc)));
        let direct = Direct::new(&self.store, &self.budget, table, gap, self.operation + 1)?;
        self.operation += 1;
        self.loading = Some(id);
        Ok(Some(direct))
    }

    /// Takes runs that were written for it.
    pub(crate) fn add_runs(&mut self, new: &NewSegments<'_, '_>) -> Result<(), Error> {
        self.runs.add_unfiltered(new)?;
        self.runs.merge(&self.store, &self.created)
    }

    /// Ends what [`Transaction::begin_direct`] began; the gap is the one behind the last row, if it is known.
    pub(crate) fn end_direct(&mut self, gap: Option<Gap>) {
        self.loading = None;
        self.gap = gap.unwrap_or_else(|| Gap::new(&self.alloc));
    }

    /// Looks for the next row behind the one that was inserted last: those that are inserted up to it need not be looked for.
    #[cold]
    fn find_gap(&mut self, known: &Known) -> Result<(), Error> {
        let arena = Arena::new(&self.budget);
        let mut scan = Scan::behind(&known.table, self.gap.last(), &arena)?;
        let is_end = scan.next(self.view(), &mut [], 1)? == 0;
        Ok(self.gap.set_end(scan.last_key().filter(|_| !is_end))?)
    }

    /// Removes the row of a key (for a table without one: of a row id); false if there is none.
    ///
    /// # Errors
    /// [`Error::Input`] for values that are no key; [`Error::OutOfMemory`], [`Error::Io`]; nothing has changed then.
    pub fn delete(&mut self, table: TableId, key: &[Value<'_>]) -> Result<bool, Error> {
        self.with_change(|transaction, change| transaction.delete_change(table, key, change))
    }

    fn delete_change(
        &mut self,
        table: TableId,
        key: &[Value<'_>],
        change: &mut RowChange,
    ) -> Result<bool, Error> {
        let known = self.take_known(table)?;
        let outcome = self.delete_known(&known, key, change);
        self.known.push(known);
        outcome
    }

    fn delete_known(
        &mut self,
        known: &Known,
        key: &[Value<'_>],
        change: &mut RowChange,
    ) -> Result<bool, Error> {
        put_whole_key(&known.table, key, &mut change.key)?;
        if !self.find_old(known, change)? {
            return Ok(false);
        }
        for index in known.indexes.iter() {
            self.add_index_change(index, None, change)?;
        }
        self.apply(known, change, EntryKind::Delete)?;
        Ok(true)
    }

    /// Looks for the row that a change is about; its entries in indexes are noted. True if there is one.
    fn find_old(&self, known: &Known, change: &mut RowChange) -> Result<bool, Error> {
        let RowChange { key, old, .. } = change;
        let arena = Arena::new(&self.budget);
        self.view().seek(&known.table, key, Look::ROW, &mut Scratch::new_in(&arena), |seen| {
            let Seen::Row { mut row, .. } = seen else { return Ok(false) };
            for index in known.indexes.iter() {
                let start = old.bytes.len();
                for (part, source) in index.key().iter().zip(index.sources()) {
                    let value = row.value(usize::from(*source))?;
                    encode::put_prefix(index.id(), &[*part], &[value], &mut old.bytes)?;
                }
                old.ends.try_reserve(1)?;
                old.ends.push((start, old.bytes.len()));
            }
            Ok(true)
        })
    }

    /// Notes what a change does to an index: the old entry goes, unless the new one is the same.
    fn add_index_change<'v>(
        &self,
        index: &Arc<Table>,
        value: Option<&dyn Fn(usize) -> Value<'v>>,
        change: &mut RowChange,
    ) -> Result<(), Error> {
        let place = change.indexes_seen;
        change.indexes_seen += 1;
        let old = change.old.ends.get(place).copied();
        let Some(value) = value else {
            return change.remove_from(index.id(), old);
        };
        let start = change.new.len();
        let mut prefix_end = start;
        let mut has_null = false;
        for (number, (part, source)) in index.key().iter().zip(index.sources()).enumerate() {
            let value = value(usize::from(*source));
            if number < index.unique_columns() {
                has_null |= value.is_null();
            }
            encode::put_prefix(index.id(), &[*part], &[value], &mut change.new)?;
            if number + 1 == index.unique_columns() {
                prefix_end = change.new.len();
            }
        }
        let key = start..change.new.len();
        if old.is_some_and(|(start, end)| change.old.bytes[start..end] == change.new[key.clone()]) {
            change.new.truncate(start);
            return Ok(());
        }
        let old_key = old.map_or(&[][..], |(start, end)| &change.old.bytes[start..end]);
        if index.unique_columns() > 0
            && !has_null
            && self.has_prefix(index, &change.new[start..prefix_end], old_key)?
        {
            let parent = index.parent().unwrap_or(index.id());
            return Err(violation(parent, index, index.unique_columns(), |column| {
                value(usize::from(index.sources()[column]))
            }));
        }
        change.remove_from(index.id(), old)?;
        let row_start = change.index_rows.len();
        for source in index.sources() {
            encode::put_row(&[value(usize::from(*source))], &mut change.index_rows)?;
        }
        let row = row_start..change.index_rows.len();
        change.entries.try_reserve(1)?;
        change.entries.push(IndexEntry {
            index: index.id(),
            kind: EntryKind::Put,
            key: (key.start, key.end),
            row: (row.start, row.end),
        });
        Ok(())
    }

    /// Whether an index has an entry that begins with these bytes, beside one that is about to go.
    fn has_prefix(&self, index: &Arc<Table>, prefix: &[u8], except: &[u8]) -> Result<bool, Error> {
        let view = self.view();
        view.has_prefix(index, prefix, &self.budget, |key| key != except)
    }

    /// Adds a row to an index that is being filled; `value` gives its columns.
    fn put_index_row<'v>(
        &mut self,
        index: &Arc<Table>,
        value: impl Fn(usize) -> Value<'v>,
    ) -> Result<(), Error> {
        let of_source = |source: usize| {
            let place = index.sources().iter().position(|from| usize::from(*from) == source);
            place.map_or(Value::Null, &value)
        };
        self.with_change(|transaction, change| {
            transaction.add_index_change(index, Some(&of_source), change)?;
            transaction.write(change)
        })
    }

    /// Writes a change of a row with those of its indexes, all or nothing.
    fn apply(&mut self, known: &Known, change: &mut RowChange, kind: EntryKind) -> Result<(), Error> {
        change.table = Some((known.table.id(), kind));
        self.write(change)
    }

    fn write(&mut self, change: &RowChange) -> Result<(), Error> {
        self.check_usable()?;
        let bytes = change.bytes();
        let operation = self.operation + 1;
        if change.row_bytes_max() as u64 > self.write_bytes_max().min(ROW_BYTES_MAX as u64) {
            // Past the write set, and past memtables that could not be flushed for such a row; but in order: what is there is older.
            self.spill()?;
            let arena = Arena::new(&self.budget);
            let items = change.sorted_items(&arena)?;
            self.runs.write_items(&self.store, operation, items, &self.created)?;
            self.runs.merge(&self.store, &self.created)?;
            self.operation = operation;
            return Ok(());
        }
        let is_full = self.writes.used_bytes() + bytes as u64 > self.write_bytes_max();
        if is_full || self.write_items(change, operation).is_err() {
            self.spill()?;
            self.runs.merge(&self.store, &self.created)?;
            self.write_items(change, operation)?;
        }
        self.operation = operation;
        Ok(())
    }

    /// Writes a change to the write set, all of it or nothing.
    fn write_items(&mut self, change: &RowChange, operation: u64) -> Result<(), AllocError> {
        let outcome = change.items().try_for_each(|RunItem { table, kind, key, row }| {
            self.writes.insert(table, key, operation, kind, row)
        });
        if outcome.is_err() {
            self.writes.discard_after(self.operation);
        }
        outcome
    }

    /// How many bytes of changes are kept in memory.
    fn write_bytes_max(&self) -> u64 {
        self.store.inner().sizing.writes_bytes
    }

    // -------------------------------------------------------------------------------------------------- the end

    /// A point that the transaction can go back to.
    pub fn savepoint(&self) -> Savepoint {
        Savepoint { operation: self.operation, created: self.created.len(), dropped: self.dropped.len() }
    }

    /// Forgets everything since a savepoint, and the savepoints after it.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Io`] where a run must be written again: the transaction can only be rolled back then.
    pub fn rollback_to(&mut self, savepoint: Savepoint) -> Result<(), Error> {
        self.check_usable()?;
        self.created.truncate(savepoint.created);
        self.dropped.truncate(savepoint.dropped);
        self.known.clear();
        // What was deleted since may be there again.
        self.gap.forget();
        self.writes.discard_after(savepoint.operation);
        self.is_broken = true;
        self.runs.cut(&self.store, savepoint.operation, &self.created)?;
        self.is_broken = false;
        Ok(())
    }

    /// Makes all changes visible and durable at once, and gives the sequence of that.
    ///
    /// # Errors
    /// [`Error::Conflict`]: begin again. [`Error::Stalled`], [`Error::OutOfMemory`]: nothing has happened; it may be tried again with a new
    /// transaction. [`Error::Io`], [`Error::Poisoned`]: it is not known whether the changes will be there when the database is opened the
    /// next time.
    pub fn commit(mut self, durability: Durability) -> Result<u64, Error> {
        self.check_usable()?;
        let inner = Arc::clone(self.store.inner());
        if !self.runs.is_empty() || !self.created.is_empty() || !self.dropped.is_empty() {
            self.spill()?;
            return inner.commit_edit(&self);
        }
        if self.writes.figures().entries_count == 0 {
            return Ok(self.snapshot);
        }
        match inner.commit(&self, durability) {
            // More than a memtable holds.
            Err(Error::OutOfMemory(_)) => {
                self.spill()?;
                inner.commit_edit(&self)
            }
            outcome => outcome,
        }
    }

    /// Forgets all changes, as dropping the transaction does.
    pub fn rollback(self) {}

    /// A table with its indexes; taken out of `known`, where there is room for it to come back.
    fn take_known(&mut self, id: TableId) -> Result<Known, Error> {
        if let Some(place) = self.known.iter().position(|known| known.table.id() == id) {
            return Ok(self.known.swap_remove(place));
        }
        let met = self.met(id)?;
        let table = self.view().table(id)?;
        let mut indexes = Vec::new_in(self.alloc.clone());
        let candidates = met.indexes.iter().chain(self.created.iter());
        for index in candidates.filter(|index| index.parent() == Some(id)) {
            if !self.dropped.contains(&index.id()) {
                indexes.try_reserve(1)?;
                indexes.push(Arc::clone(index));
            }
        }
        self.alloc.charge(size_of::<Vec<Arc<Table>, BudgetAlloc>>())?;
        self.known.try_reserve(1)?;
        Ok(Known { table, indexes: Arc::new(indexes) })
    }

    /// A table with the indexes that it had when the transaction first met it.
    fn met(&mut self, id: TableId) -> Result<Known, Error> {
        if let Some(met) = self.met.iter().find(|met| met.table.id() == id) {
            return Ok(met.clone());
        }
        let table = self.view().table(id)?;
        if table.parent().is_some() {
            return Err(no_such_table(id));
        }
        let mut indexes = Vec::new_in(self.alloc.clone());
        let version = self.store.inner().versions.current();
        for index in version.indexes(id) {
            indexes.try_reserve(1)?;
            indexes.push(Arc::clone(&index.table));
        }
        self.alloc.charge(size_of::<Vec<Arc<Table>, BudgetAlloc>>())?;
        let met = Known { table, indexes: Arc::new(indexes) };
        self.met.try_reserve(1)?;
        self.met.push(met.clone());
        Ok(met)
    }

    /// Writes the changes in memory to a run.
    fn spill(&mut self) -> Result<(), Error> {
        if self.writes.figures().entries_count > 0 {
            loop {
                match self.runs.write(&self.store, &self.writes, &self.created) {
                    // Handles of runs may be what takes the room.
                    Err(Error::OutOfMemory(_)) if self.runs.merge_newest(&self.store, &self.created)? => {}
                    outcome => break outcome?,
                }
            }
            self.writes.reset();
        }
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.store.inner().snapshots.close(self.snapshot);
    }
}

fn input(table: TableId, column: Option<u16>, kind: InputKind) -> Error {
    Error::Input(InputProblem { table, column, kind })
}

/// The row would be the second with its key: of the table itself, or the first columns of an index.
fn violation<'v>(table: TableId, index: &Table, columns: usize, value: impl Fn(usize) -> Value<'v>) -> Error {
    use core::fmt::Write as _;
    let mut key: InlineText<96> = InlineText::EMPTY;
    for (place, part) in index.key().iter().take(columns).enumerate() {
        let separator = if place == 0 { "" } else { ", " };
        // What does not fit is cut, which is no error.
        let _ = write!(key, "{separator}{}", value(usize::from(part.column)));
    }
    Error::UniqueViolation(Duplicate { table, index: index.id(), key })
}

impl Changes for Transaction {
    fn size(&self) -> (usize, usize, usize) {
        let figures = self.writes.figures();
        // Keys and rows take no more than the set that they are in.
        (figures.tables_count as usize, figures.entries_count as usize, figures.used_bytes as usize)
    }

    fn for_each(
        &self,
        visit: &mut dyn FnMut(&memtable::Entry<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut cursor = self.writes.read().cursor();
        cursor.seek_first();
        let mut last: Option<(TableId, &[u8])> = None;
        while let Some(entry) = cursor.entry() {
            // Newest first: the others are what the transaction itself has replaced.
            if last != Some((entry.table, entry.key)) {
                visit(&entry)?;
            }
            last = Some((entry.table, entry.key));
            cursor.next();
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        let version = self.store.inner().versions.current();
        let check = ConflictCheck {
            inner: self.store.inner(),
            version: &version,
            snapshot: self.snapshot,
            created: &self.created,
            writes: self.writes.read(),
            budget: &self.budget,
        };
        self.check_tables(&version)?;
        self.for_each(&mut |entry| check.entry(entry))?;
        self.runs.segments().iter().try_for_each(|run| check.run(run))
    }

    fn note(&self, sequence: u64) {
        let version = self.store.inner().versions.current();
        for entry in version.tables().iter().filter(|entry| self.changes(entry.table.id())) {
            entry.table.changed(sequence);
        }
    }
}

impl Replacement for Transaction {
    fn tables(&self) -> (&[Arc<Table>], &[TableId]) {
        (&self.created, &self.dropped)
    }

    fn runs(&self) -> &[Arc<Segment>] {
        self.runs.segments()
    }

    fn operations_count(&self) -> u64 {
        self.operation
    }
}

impl Transaction {
    /// Whether the tables are those that the transaction has seen: no name is taken by now, nobody has made or dropped an index of
    /// a table that it changed, nobody has changed a table that it made an index of.
    fn check_tables(&self, version: &Version) -> Result<(), Error> {
        let is_dropped = |id: TableId| self.dropped.contains(&id);
        let is_created = |id: TableId| self.created.iter().any(|table| table.id() == id);
        for table in self.created.iter().filter(|table| !is_dropped(table.id())) {
            let parent = table.parent().filter(|parent| !is_created(*parent));
            let is_conflict = match parent {
                Some(parent) => {
                    version.table(parent).is_none_or(|entry| entry.table.changed_at() > self.snapshot)
                }
                None => {
                    let taken = version.table_named(table.name()).filter(|_| table.parent().is_none());
                    taken.is_some_and(|entry| !is_dropped(entry.table.id()))
                }
            };
            if is_conflict {
                return Err(Error::Conflict(parent.unwrap_or(table.id())));
            }
        }
        // An index that somebody has made meanwhile would stay behind.
        let has_new_index = |id: &&TableId| version.indexes(**id).any(|entry| !is_dropped(entry.table.id()));
        if let Some(id) = self.dropped.iter().find(has_new_index) {
            return Err(Error::Conflict(*id));
        }
        for met in self.met.iter().filter(|met| !is_dropped(met.table.id()) && !is_created(met.table.id())) {
            let id = met.table.id();
            let now = version.indexes(id).map(|entry| entry.table.id());
            if !now.eq(met.indexes.iter().map(|index| index.id())) {
                return Err(Error::Conflict(id));
            }
        }
        Ok(())
    }

    /// Whether a table has changes of the transaction.
    fn changes(&self, table: TableId) -> bool {
        self.writes.read().table_from(table) == Some(table)
            || self.runs.segments().iter().any(|run| run.info.table == table)
    }
}

const _: () = {
    const fn can_go_to_another_thread<T: Send>() {}
    can_go_to_another_thread::<Transaction>();
    can_go_to_another_thread::<crate::read::Snapshot>();
    const fn can_be_shared<T: Send + Sync>() {}
    can_be_shared::<Store>();
};
