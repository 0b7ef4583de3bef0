//! Stored tables: how plans know them, what statements read of them, and how rows get into them.
//!
//! A statement reads a snapshot, or what a transaction sees. Since a transaction changes between two reads (by this very
//! statement, where it inserts what it reads), its view is lent for one call at a time.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_plan::expr::Column;
use cofferdam_plan::physical::{Delete, KeyRange as PlanRange, Update, UpdateWay};
use cofferdam_plan::table::{
    ColumnStatistics, CreateIndex, CreateTable, CreateView, DropIndexes, DropTables, EngineTable, KeyColumn,
    Properties, PropertiesError, StoredIndex, StoredTable, StoredView, TableStatistics, UniqueKey,
    ViewProperties,
};
use cofferdam_store::{
    ColumnDef, Error, KeyColumn as StoreKeyColumn, KeyRange, LoadError, RowSource, Savepoint, Scan, Snapshot,
    Table, TableDef, TableId, Transaction, View,
};
use cofferdam_types::key::KeyOrder;
use cofferdam_types::{Type, Value};
use std::ops::{Bound, Range};

/// The stored tables that a statement reads.
#[derive(Debug, Default)]
pub enum Tables<'a> {
    /// It reads none.
    #[default]
    None,
    /// The state of a moment.
    Snapshot(Snapshot),
    /// What somebody lends.
    Lent(&'a dyn Lender),
}

/// Somebody who has a transaction, and lends what it sees.
pub trait Lender: fmt::Debug {
    /// Gives the view to `read` and returns what that returns.
    ///
    /// # Errors
    /// Those of `read`; those of the lender if there is no transaction any more.
    fn with_view(&self, read: &mut dyn FnMut(View<'_>) -> Result<usize, Error>) -> Result<usize, Error>;
}

/// Somebody who knows what the engine tells of itself.
pub trait EngineRows: fmt::Debug {
    /// Gives each row of a table of the engine, with all its columns, to `put`; of [`EngineTable::Tables`] those that are not stored.
    /// What has to be made for a row is made in `scratch`.
    ///
    /// # Errors
    /// Those of `put`.
    fn rows(
        &self,
        table: EngineTable,
        scratch: &Arena,
        put: &mut dyn FnMut(&[Value<'_>]) -> Result<(), AllocError>,
    ) -> Result<(), AllocError>;
}

impl Tables<'_> {
    /// Gives the view to `read`.
    pub(crate) fn with_view(
        &self,
        read: &mut dyn FnMut(View<'_>) -> Result<usize, Error>,
    ) -> Result<usize, Error> {
        match self {
            Tables::None => Ok(0),
            Tables::Snapshot(snapshot) => read(snapshot.view()),
            Tables::Lent(lender) => lender.with_view(read),
        }
    }

    /// The table of a number.
    pub(crate) fn table(&self, id: u32) -> Result<Arc<Table>, Error> {
        let mut found = None;
        self.with_view(&mut |view| {
            found = Some(view.table(TableId(id))?);
            Ok(0)
        })?;
        found.ok_or_else(|| no_such_table(id))
    }
}

fn no_such_table(id: u32) -> Error {
    let kind = cofferdam_store::InputKind::NoSuchTable;
    Error::Input(cofferdam_store::InputProblem { table: TableId(id), column: None, kind })
}

/// A transaction while one statement changes tables in it. What the statement reads are the tables as they were before it.
#[derive(Debug)]
pub struct Changes<'t> {
    transaction: RefCell<&'t mut Transaction>,
    before: Savepoint,
    /// The table that the statement has made.
    made: Cell<Option<TableId>>,
}

impl<'t> Changes<'t> {
    /// The changes of a statement that begins now.
    pub fn new(transaction: &'t mut Transaction) -> Changes<'t> {
        let before = transaction.savepoint();
        Changes { transaction: RefCell::new(transaction), before, made: Cell::new(None) }
    }

    /// Where the statement began: what goes back to it forgets the statement.
    pub fn before(&self) -> Savepoint {
        self.before
    }

    /// The table of a number, an index too.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn table(&self, id: TableId) -> Result<Arc<Table>, Error> {
        self.transaction.borrow().view().table(id)
    }

    /// Puts the rows of a source into a table, and gives their number. A table of no number yet is the one that the statement has made.
    ///
    /// # Errors
    /// Those of [`Transaction::load`].
    pub(crate) fn load<S: RowSource>(
        &self,
        table: TableId,
        rows: &mut S,
    ) -> Result<u64, LoadError<S::Error>> {
        let table = match table {
            TableId(StoredTable::OF_STATEMENT) => self.made.get().unwrap_or(table),
            table => table,
        };
        Transaction::load(&self.transaction, table, rows)
    }

    /// Puts rows in the place of others, and gives their number. A row of values at a time is in `scratch`.
    ///
    /// # Errors
    /// Those of the source, of [`Transaction::put`], [`Transaction::insert`] and [`Transaction::delete`].
    pub(crate) fn update<S: RowSource>(
        &self,
        update: &Update<'_>,
        rows: &mut S,
        scratch: &mut Arena,
    ) -> Result<u64, LoadError<S::Error>> {
        let (table, width) = (TableId(update.table.id), update.table.columns.len());
        let identity = width..width + identity_width(update.table);
        let pass = identity.end;
        let mut rows_count = 0;
        while rows.advance().map_err(LoadError::Source)? {
            scratch.reset();
            let mut transaction = self.transaction.borrow_mut();
            // Whether the row comes now, for an old one that is gone.
            let comes = match update.way {
                UpdateWay::InPlace => {
                    transaction.put(table, &values(rows, 0..width, scratch).map_err(Error::from)?)?;
                    rows_count += 1;
                    false
                }
                UpdateWay::InTwoPasses if matches!(rows.value(pass), Value::Boolean(true)) => true,
                UpdateWay::InTwoPasses | UpdateWay::OneByOne => {
                    let key = values(rows, identity.clone(), scratch).map_err(Error::from)?;
                    transaction.delete(table, &key)? && update.way == UpdateWay::OneByOne
                }
            };
            if comes {
                transaction.insert(table, &values(rows, 0..width, scratch).map_err(Error::from)?)?;
                rows_count += 1;
            }
        }
        Ok(rows_count)
    }

    /// Removes rows, and gives the number of those that were there. The key of one at a time is in `scratch`.
    ///
    /// # Errors
    /// Those of the source and of [`Transaction::delete`].
    pub(crate) fn delete<S: RowSource>(
        &self,
        delete: &Delete<'_>,
        rows: &mut S,
        scratch: &mut Arena,
    ) -> Result<u64, LoadError<S::Error>> {
        let (table, width) = (TableId(delete.table.id), identity_width(delete.table));
        let mut rows_count = 0;
        while rows.advance().map_err(LoadError::Source)? {
            scratch.reset();
            let key = values(rows, 0..width, scratch).map_err(Error::from)?;
            rows_count += u64::from(self.transaction.borrow_mut().delete(table, &key)?);
        }
        Ok(rows_count)
    }

    /// Makes a table with its keys. The lists that the store takes are made in `arena`.
    ///
    /// # Errors
    /// Those of [`Transaction::create_table`] and [`Transaction::create_index`].
    pub fn create_table(&self, table: &CreateTable<'_>, arena: &Arena) -> Result<(), Error> {
        let mut columns = Vec::with_capacity_in(table.columns.len(), arena)?;
        for (column, rule) in table.columns.iter().zip(table.rules) {
            columns.push(ColumnDef { name: column.name, ty: column.ty, is_nullable: rule.is_nullable })?;
        }
        let primary = table.primary_key.map_or(&[][..], |key| key.columns);
        let ascending = |column: &u32| StoreKeyColumn::ascending(*column as u16);
        let key = arena.alloc_slice_from_iter(primary.iter().map(ascending))?;
        let properties = Properties::of(table).encode(arena)?;
        let def = TableDef { name: table.name, columns: &columns, key, properties };
        let mut transaction = self.transaction.borrow_mut();
        let id = transaction.create_table(&def)?;
        self.made.set(Some(id));
        for UniqueKey { name, columns } in table.unique_keys {
            let columns = arena.alloc_slice_from_iter(columns.iter().map(ascending))?;
            transaction.create_index(id, name, columns, true)?;
        }
        Ok(())
    }

    /// Makes a view, in the place of the one that it replaces. To the store it is a table without rows.
    ///
    /// # Errors
    /// Those of [`Transaction::create_table`] and [`Transaction::drop_table`].
    pub fn create_view(&self, view: &CreateView<'_>, arena: &Arena) -> Result<(), Error> {
        let columns = [ColumnDef { name: "view", ty: Type::Boolean, is_nullable: true }];
        let properties = view.properties.encode(arena)?;
        let mut transaction = self.transaction.borrow_mut();
        if let Some(replaced) = view.replaced {
            transaction.drop_table(TableId(replaced.id))?;
        }
        let def = TableDef { name: view.name, columns: &columns, key: &[], properties };
        transaction.create_table(&def).map(|_| ())
    }

    /// Makes an index with the rows of its table. The list that the store takes is made in `arena`.
    ///
    /// # Errors
    /// Those of [`Transaction::create_index`].
    pub fn create_index(&self, index: &CreateIndex<'_>, arena: &Arena) -> Result<(), Error> {
        let columns = arena.alloc_slice_from_iter(index.key.iter().map(|part| {
            let KeyColumn { column, descending, nulls_first } = *part;
            StoreKeyColumn { column: column as u16, order: KeyOrder { descending, nulls_first } }
        }))?;
        let mut transaction = self.transaction.borrow_mut();
        transaction.create_index(TableId(index.table.id), index.name, columns, index.is_unique).map(|_| ())
    }

    /// Drops indexes.
    ///
    /// # Errors
    /// Those of [`Transaction::drop_table`].
    pub fn drop_indexes(&self, drop: &DropIndexes<'_>) -> Result<(), Error> {
        let mut transaction = self.transaction.borrow_mut();
        drop.indexes.iter().try_for_each(|index| transaction.drop_table(TableId(index.id)))
    }

    /// Drops tables with their keys, and views.
    ///
    /// # Errors
    /// Those of [`Transaction::drop_table`].
    pub fn drop_tables(&self, drop: &DropTables<'_>) -> Result<(), Error> {
        let mut transaction = self.transaction.borrow_mut();
        let ids = drop.tables.iter().map(|table| table.id).chain(drop.views.iter().map(|view| view.id));
        { ids }.try_for_each(|id| transaction.drop_table(TableId(id)))
    }
}

/// How many values tell a row of a table.
fn identity_width(table: &StoredTable<'_>) -> usize {
    table.key.len().max(1)
}

/// Some columns of the row that a source is at.
fn values<'v, S: RowSource>(
    rows: &'v S,
    columns: Range<usize>,
    scratch: &'v Arena,
) -> Result<Vec<'v, Value<'v>>, AllocError> {
    let mut values = Vec::with_capacity_in(columns.len(), scratch)?;
    values.extend(columns.map(|column| rows.value(column)))?;
    Ok(values)
}

impl Lender for Snapshot {
    fn with_view(&self, read: &mut dyn FnMut(View<'_>) -> Result<usize, Error>) -> Result<usize, Error> {
        read(self.view())
    }
}

impl Lender for Changes<'_> {
    fn with_view(&self, read: &mut dyn FnMut(View<'_>) -> Result<usize, Error>) -> Result<usize, Error> {
        read(self.transaction.borrow().view_at(self.before))
    }
}

/// What a plan knows of a table that has about so many rows and these indexes; all of it in `arena`.
///
/// # Errors
/// [`PropertiesError`] when the definition is damaged or of a later version, or the arena's budget has no room.
pub fn describe<'a>(
    table: &Table,
    rows_estimate: u64,
    indexes: &'a mut [StoredIndex<'a>],
    arena: &'a Arena,
) -> Result<&'a StoredTable<'a>, PropertiesError> {
    // With the plan that is made of it: one chunk costs less than two.
    arena.reserve(3940)?;
    let mut columns = Vec::with_capacity_in(table.columns().len(), arena)?;
    for column in table.columns() {
        columns.push(Column { name: arena.alloc_str(column.name)?, ty: column.ty })?;
    }
    let columns: &'a [Column<'a>] = columns.into_slice();
    let bytes: &'a [u8] = arena.alloc_slice_copy(table.properties())?;
    let properties = Properties::decode(bytes, columns.len(), arena)?;
    for index in indexes.iter_mut() {
        index.is_constraint = properties.unique_keys.iter().any(|key| key.name == index.name);
    }
    let key = if table.has_row_id() { &[][..] } else { table.key() };
    let key = arena.alloc_slice_from_iter(key.iter().map(|part| key_column(part.column, part.order)))?;
    Ok(arena.alloc(StoredTable {
        id: table.id().0,
        name: arena.alloc_str(table.name())?,
        columns,
        rules: properties.rules,
        checks: properties.checks,
        key,
        key_name: properties.primary_key.map_or("", |key| key.name),
        indexes,
        rows_estimate,
        statistics: None,
    })?)
}

/// What a plan knows of a view; `None` where the table is none. All of it in `arena`.
///
/// # Errors
/// As [`describe`].
pub fn describe_view<'a>(
    table: &Table,
    arena: &'a Arena,
) -> Result<Option<&'a StoredView<'a>>, PropertiesError> {
    if !ViewProperties::are_of_view(table.properties()) {
        return Ok(None);
    }
    let bytes: &'a [u8] = arena.alloc_slice_copy(table.properties())?;
    let properties = ViewProperties::decode(bytes, arena)?;
    let name = arena.alloc_str(table.name())?;
    Ok(Some(arena.alloc(StoredView { id: table.id().0, name, properties })?))
}

fn key_column(column: u16, KeyOrder { descending, nulls_first }: KeyOrder) -> KeyColumn {
    KeyColumn { column: column.into(), descending, nulls_first }
}

/// What a plan knows of an index, but whether it is of a constraint, which its table knows; all of it in `arena`.
///
/// # Errors
/// The arena's budget has no room.
pub fn describe_index<'a>(index: &Table, arena: &'a Arena) -> Result<StoredIndex<'a>, AllocError> {
    let columns_count = match index.unique_columns() {
        0 => index.sources().len(),
        count => count,
    };
    let columns = index.sources().iter().take(columns_count).map(|column| u32::from(*column));
    let key = index.key().iter().zip(index.sources()).map(|(part, source)| key_column(*source, part.order));
    Ok(StoredIndex {
        id: index.id().0,
        name: arena.alloc_str(index.name())?,
        columns: arena.alloc_slice_from_iter(columns)?,
        key: arena.alloc_slice_from_iter(key)?,
        is_unique: index.is_unique(),
        is_constraint: false,
    })
}

/// What a view knows of some columns of a table, for planners: `None` where they have to do without, since there is little memory or what
/// was to be read is damaged. `columns` ascend.
///
/// # Errors
/// The arena's budget has no room for what was found.
pub fn statistics<'a>(
    view: View<'_>,
    table: &StoredTable<'_>,
    columns: &[u32],
    arena: &'a Arena,
) -> Result<Option<&'a TableStatistics<'a>>, AllocError> {
    let scratch = Arena::new(arena.budget());
    let asked = scratch.alloc_slice_from_iter(columns.iter().map(|column| *column as u16))?;
    let Ok(table) = view.table(TableId(table.id)) else { return Ok(None) };
    let Ok(found) = view.statistics(&table, asked, arena) else { return Ok(None) };
    let known = columns.iter().zip(found.columns).map(|(position, column)| {
        let cofferdam_store::ColumnStatistics {
            null_fraction,
            distinct,
            average_bytes,
            min,
            max,
            common,
            histogram,
        } = *column;
        let known = ColumnStatistics { null_fraction, distinct, average_bytes, min, max, common, histogram };
        (*position, known)
    });
    let columns = arena.alloc_slice_from_iter(known)?;
    Ok(Some(arena.alloc(TableStatistics { rows: found.rows as f64, columns })?))
}

/// How many entries a view has of an index in these ranges, counted up to `most`: `None` where planners have to do without, as for
/// [`statistics`].
///
/// # Errors
/// The budget of `scratch` has no room for the ends of the ranges.
pub fn entries_count(
    view: View<'_>,
    index: &StoredIndex<'_>,
    ranges: &[PlanRange<'_>],
    most: usize,
    scratch: &Arena,
) -> Result<Option<usize>, AllocError> {
    let Ok(index) = view.table(TableId(index.id)) else { return Ok(None) };
    let (mut count, mut scan) = (0, None);
    for range in ranges {
        let ends = KeyRange::from(Ends::of(range, index.key(), scratch)?);
        let scan = match &mut scan {
            None => match Scan::new(&index, &[], &ends, scratch) {
                Ok(begun) => scan.insert(begun),
                Err(_) => return Ok(None),
            },
            Some(scan) => match scan.restart(&ends) {
                Ok(()) => scan,
                Err(_) => return Ok(None),
            },
        };
        while count < most {
            match scan.next(view, &mut [], most - count) {
                Ok(0) => break,
                Ok(rows) => count += rows,
                Err(_) => return Ok(None),
            }
        }
    }
    Ok(Some(count))
}

/// The ends of a range of a key, as the store takes them: values of the first key columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends<'a> {
    pub(crate) from: Bound<&'a [Value<'a>]>,
    pub(crate) to: Bound<&'a [Value<'a>]>,
}

impl<'a> Ends<'a> {
    /// Everything.
    pub(crate) const ALL: Ends<'static> = Ends { from: Bound::Unbounded, to: Bound::Unbounded };

    /// The ends of a range of a key.
    pub(crate) fn of(
        range: &PlanRange<'a>,
        key: &[StoreKeyColumn],
        arena: &'a Arena,
    ) -> Result<Ends<'a>, AllocError> {
        let with = |value: Value<'a>| -> Result<&'a [Value<'a>], AllocError> {
            let mut values = Vec::with_capacity_in(range.prefix.len() + 1, arena)?;
            values.extend_from_slice(range.prefix)?;
            values.push(value)?;
            Ok(&*values.into_slice())
        };
        let order = key.get(range.prefix.len()).map_or(KeyOrder::ASC, |part| part.order);
        // Where only one side is bounded, NULLs are left out on the other one.
        let is_bounded = range.lower != Bound::Unbounded || range.upper != Bound::Unbounded;
        let end = |bound: Bound<Value<'a>>, has_nulls: bool| -> Result<Bound<&'a [Value<'a>]>, AllocError> {
            Ok(match bound {
                Bound::Included(value) => Bound::Included(with(value)?),
                Bound::Excluded(value) => Bound::Excluded(with(value)?),
                Bound::Unbounded if is_bounded && has_nulls => Bound::Excluded(with(Value::Null)?),
                // All that begins with the prefix.
                Bound::Unbounded if range.prefix.is_empty() => Bound::Unbounded,
                Bound::Unbounded => Bound::Included(range.prefix),
            })
        };
        let (from, to) =
            if order.descending { (range.upper, range.lower) } else { (range.lower, range.upper) };
        Ok(Ends { from: end(from, order.nulls_first)?, to: end(to, !order.nulls_first)? })
    }
}

impl<'a> From<Ends<'a>> for KeyRange<'a> {
    fn from(Ends { from, to }: Ends<'a>) -> KeyRange<'a> {
        KeyRange { from, to }
    }
}
