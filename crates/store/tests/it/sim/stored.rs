//! The store, as the simulation asks it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cofferdam_arena::{Arena, Budget};
use cofferdam_store as store;
use cofferdam_store::{
    Column, ColumnDef, FileId, FileKind, KeyColumn, KeyRange, LoadError, Options, RowReader, RowSource, Scan,
    Snapshot, Store, Table, TableDef, TableId, Transaction, Worker,
};
use cofferdam_types::{Date, Decimal, Value};
use cofferdam_vfs::Vfs;

use super::cell::{Cell, IndexSpec, Range, Row, TableInfo, TableSpec};
use super::engine::{Durability, Engine, Failure, FailureKind, OpenOptions, Promises, Role, View};

const PATH: &str = "/db";
/// How many rows scans are asked for at once, one after the other.
const BATCHES: [usize; 4] = [3, 40, 1, 100];

/// An open store.
pub(crate) struct Stored {
    /// `None` from the closing on.
    store: Option<Store>,
    process: Budget,
    /// Definitions by number: the store hands them out by name.
    tables: Mutex<BTreeMap<u32, Arc<Table>>>,
    scans: AtomicUsize,
}

/// A transaction.
pub(crate) struct StoredTxn {
    transaction: Transaction,
    /// The greatest row id of each table that rows were put into.
    row_ids: BTreeMap<u32, i64>,
    /// Why it can only be rolled back: a row is in it that nobody knows the row id of.
    is_lost: Option<Failure>,
}

/// Aim: whatever has happened, nothing is charged when the store is gone.
impl Drop for Stored {
    fn drop(&mut self) {
        self.known().clear();
        self.store = None;
        let bytes = self.process.used();
        assert!(bytes == 0 || std::thread::panicking(), "{bytes} bytes are charged for nothing");
    }
}

impl Stored {
    fn store(&self) -> &Store {
        self.store.as_ref().expect("it is not closed")
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<u32, Arc<Table>>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a background thread flush and compact.
    pub(crate) fn attach(&self, worker: &Worker) -> Result<(), Failure> {
        Ok(self.store().attach(worker)?)
    }

    fn table(&self, id: u32) -> Result<Arc<Table>, Failure> {
        let known = self.known().get(&id).cloned();
        known.ok_or_else(|| Failure::new(FailureKind::NoSuchTable, format!("table {id} is not known")))
    }

    /// A budget that is nobody's business.
    fn aside(&self) -> Result<Budget, Failure> {
        Budget::unlimited("reader").map_err(|error| Failure::new(FailureKind::Other, error))
    }

    /// Scans some columns.
    fn rows(
        &self,
        view: store::View<'_>,
        table: &Arc<Table>,
        columns: &[u16],
        range: &Range,
        visit: &mut dyn FnMut(&[Row]) -> bool,
    ) -> Result<(), Failure> {
        let budget = self.aside()?;
        let arena = Arena::new(&budget);
        let batch = BATCHES[self.scans.fetch_add(1, Ordering::Relaxed) % BATCHES.len()];
        let out = |_| Failure::new(FailureKind::Other, "the reader's memory");
        let types = columns.iter().map(|column| table.schema().columns[usize::from(*column)].ty);
        let mut into =
            types.map(|ty| Column::new(ty, batch, &arena)).collect::<Result<Vec<_>, _>>().map_err(out)?;
        let ends = [&range.from, &range.to].map(|end| match end {
            Bound::Unbounded => (Vec::new(), None),
            Bound::Included(cells) => (values(cells), Some(true)),
            Bound::Excluded(cells) => (values(cells), Some(false)),
        });
        let [from, to] = ends.each_ref().map(|(values, is_included)| match is_included {
            None => Bound::Unbounded,
            Some(true) => Bound::Included(&values[..]),
            Some(false) => Bound::Excluded(&values[..]),
        });
        let mut scan = Scan::new(table, columns, &KeyRange { from, to }, &arena)?;
        loop {
            let mut targets: Vec<_> = into
                .iter_mut()
                .map(|column| {
                    column.clear();
                    column.target()
                })
                .collect();
            let count = scan.next(view, &mut targets, batch)?;
            drop(targets);
            let row = |at| into.iter().map(|column| cell(&column.value(at))).collect();
            let rows: Vec<Row> = (0..count).map(row).collect();
            if count == 0 || !visit(&rows) {
                return Ok(());
            }
        }
    }

    /// The row id of the row that was just inserted: the greatest of the table.
    fn new_row_id(&self, txn: &mut StoredTxn, table: &Arc<Table>) -> Result<Option<i64>, Failure> {
        let before = txn.row_ids.get(&table.id().0).copied();
        let from = before.map_or(Bound::Unbounded, |id| Bound::Excluded(vec![Cell::Big(id)]));
        let range = Range { from, to: Bound::Unbounded };
        let column = table.schema().columns.len() as u16 - 1;
        let mut newest = None;
        self.rows(txn.transaction.view(), table, &[column], &range, &mut |rows| {
            newest = rows.last().map(|row| row[0].clone());
            true
        })?;
        let Some(Cell::Big(id)) = newest else { return Ok(None) };
        txn.row_ids.insert(table.id().0, id);
        Ok(Some(id))
    }

    fn info(&self, table: &Arc<Table>) -> TableInfo {
        let schema = table.schema();
        let names: Vec<String> =
            (0..schema.columns.len()).map(|column| table.column_name(column).to_owned()).collect();
        let parent = table.parent().and_then(|parent| self.table(parent.0).ok());
        let sources = parent.as_ref().map_or(Vec::new(), |parent| {
            let count = parent.schema().columns.len();
            let source = |name: &String| (0..count).find(|column| parent.column_name(*column) == name);
            names.iter().filter_map(source).map(|source| source as u16).collect()
        });
        let columns = names.iter().zip(schema.columns);
        TableInfo {
            id: table.id().0,
            name: table.name().to_owned(),
            columns: columns.map(|(name, column)| (name.clone(), column.ty, column.is_nullable)).collect(),
            key: schema.key.iter().map(|part| (part.column, part.order)).collect(),
            parent: table.parent().map(|parent| parent.0),
            sources,
            unique_columns: table.unique_columns(),
        }
    }
}

/// A value of the store's.
fn value(cell: &Cell) -> Value<'_> {
    match cell {
        Cell::Null => Value::Null,
        Cell::Bool(value) => Value::Boolean(*value),
        Cell::Int(value) => Value::Integer(*value),
        Cell::Big(value) => Value::BigInt(*value),
        Cell::Decimal(unscaled, scale) => {
            Value::Decimal(Decimal::new(*unscaled, *scale).expect("it is short"))
        }
        Cell::Double(ordered) => Value::Double(Cell::double_of(*ordered)),
        Cell::Text(text) => Value::Text(text),
        Cell::Date(days) => Value::Date(Date::from_days(i64::from(*days)).expect("it is near")),
    }
}

/// A failure with the budget's reasons.
fn explained(error: store::Error, budget: &Budget) -> Failure {
    let refusal = budget.last_refusal().filter(|_| matches!(error, store::Error::OutOfMemory(_)));
    let mut failure = Failure::from(error);
    if let Some(refusal) = refusal {
        failure.text = refusal.to_string();
    }
    failure
}

fn values(cells: &[Cell]) -> Vec<Value<'_>> {
    cells.iter().map(value).collect()
}

fn cell(value: &Value<'_>) -> Cell {
    match value {
        Value::Null => Cell::Null,
        Value::Boolean(value) => Cell::Bool(*value),
        Value::Integer(value) => Cell::Int(*value),
        Value::BigInt(value) => Cell::Big(*value),
        Value::Decimal(value) => Cell::Decimal(value.unscaled(), value.scale()),
        Value::Double(value) => Cell::double(*value),
        Value::Text(text) => Cell::text(text),
        Value::Date(date) => Cell::Date(date.days()),
        _ => unreachable!("no column has such values"),
    }
}

fn view_of<'e>(from: &View<'e, Stored>) -> store::View<'e> {
    match from {
        View::Snap(snap) => snap.view(),
        View::Txn(txn) => txn.transaction.view(),
    }
}

/// Rows for a load.
struct RowsOf<'r> {
    rows: &'r [Vec<Cell>],
    next: usize,
}

impl RowSource for RowsOf<'_> {
    type Error = Infallible;

    fn advance(&mut self) -> Result<bool, Infallible> {
        let has_row = self.next < self.rows.len();
        self.next += usize::from(has_row);
        Ok(has_row)
    }

    fn value(&self, column: usize) -> Value<'_> {
        value(&self.rows[self.next - 1][column])
    }
}

impl Engine for Stored {
    type Txn = StoredTxn;
    type Snap = Snapshot;
    type Savepoint = store::Savepoint;

    const PROMISES: Promises = Promises {
        failed_commits_stay_unseen: true,
        snapshots_keep_dropped_tables: false,
        index_names_differ: false,
        savepoints_of_definitions: true,
        rewrites_what_syncs_forgot: false,
        damaged_tails_are_told: false,
        damaged_logs_leave_a_prefix: false,
        has_check: true,
        empty_bytes_max: 96 << 10,
    };
    const FILES: &'static [&'static str] =
        &["*", "wal-*", "manifest-*", "segments-*", "temp-*", "root", "db"];

    fn open(vfs: &Arc<dyn Vfs>, options: &OpenOptions) -> Result<Stored, Failure> {
        let out = |error| Failure::new(FailureKind::Other, error);
        let machine = Budget::unlimited("machine").map_err(out)?;
        let process = machine.child("process", u64::MAX).map_err(store::Error::from)?;
        let budget = process.child("db", options.limit_bytes).map_err(store::Error::from)?;
        let mut opened = Options::new();
        if let Some(bytes) = options.memtable_bytes {
            opened = opened.memtable_bytes(bytes);
        }
        let opened = Store::open(vfs, Path::new(PATH), &budget, &opened);
        drop(budget);
        let store = opened.map_err(|error| {
            assert_eq!(process.used(), 0, "an opening that fails gives everything back");
            explained(error, &process)
        })?;
        Ok(Stored { store: Some(store), process, tables: Mutex::default(), scans: AtomicUsize::new(0) })
    }

    fn close(mut self) -> Result<(), Failure> {
        let store = self.store.take();
        Ok(store.map_or(Ok(()), Store::close)?)
    }

    fn snapshot(&self) -> Result<Snapshot, Failure> {
        Ok(self.store().snapshot()?)
    }

    fn sequence(snap: &Snapshot) -> u64 {
        snap.sequence()
    }

    fn begin(&self, memory_bytes: u64) -> Result<StoredTxn, Failure> {
        let budget = self.process.child("transaction", memory_bytes).map_err(store::Error::from)?;
        Ok(StoredTxn { transaction: self.store().begin(&budget)?, row_ids: BTreeMap::new(), is_lost: None })
    }

    fn tables(&self, snap: &Snapshot) -> Result<Vec<TableInfo>, Failure> {
        let mut all = Vec::new();
        snap.tables(|table| all.push(Arc::clone(table)));
        self.known().extend(all.iter().map(|table| (table.id().0, Arc::clone(table))));
        Ok(all.iter().map(|table| self.info(table)).collect())
    }

    fn get(&self, from: View<'_, Stored>, table: u32, key: &[Cell]) -> Result<Option<Row>, Failure> {
        let table = self.table(table)?;
        let budget = self.aside()?;
        let arena = Arena::new(&budget);
        let mut reader = RowReader::new(&table, &arena);
        let row = reader.get(view_of(&from), &values(key), |row| {
            (0..row.columns_count()).map(|column| Ok(cell(&row.value(column)?))).collect()
        })?;
        Ok(row)
    }

    fn scan(
        &self,
        from: View<'_, Stored>,
        table: u32,
        range: &Range,
        visit: &mut dyn FnMut(&[Row]) -> bool,
    ) -> Result<(), Failure> {
        let table = self.table(table)?;
        let columns: Vec<u16> = (0..table.schema().columns.len() as u16).collect();
        self.rows(view_of(&from), &table, &columns, range, visit)
    }

    fn create_table(&self, txn: &mut StoredTxn, spec: &TableSpec) -> Result<u32, Failure> {
        let columns: Vec<ColumnDef<'_>> = spec
            .columns
            .iter()
            .map(|column| ColumnDef { name: column.name, ty: column.ty, is_nullable: column.is_nullable })
            .collect();
        let key: Vec<KeyColumn> =
            spec.key.iter().map(|&(column, order)| KeyColumn { column, order }).collect();
        // Long ones where there is room, so that manifests grow and the next one begins.
        let has_room = self.store().budget().limit_on_path() >= 8 << 20;
        let properties = vec![7; if has_room { 12 << 10 } else { 9 }];
        let def = TableDef { name: &spec.name, columns: &columns, key: &key, properties: &properties };
        let id = txn.transaction.create_table(&def)?;
        let table = txn.transaction.table(&spec.name);
        let table = table.ok_or_else(|| Failure::new(FailureKind::Other, "a new table is not there"))?;
        self.known().insert(id.0, table);
        Ok(id.0)
    }

    fn create_index(&self, txn: &mut StoredTxn, table: u32, spec: &IndexSpec) -> Result<u32, Failure> {
        let columns: Vec<KeyColumn> =
            spec.parts().map(|(column, order)| KeyColumn { column, order }).collect();
        Ok(txn.transaction.create_index(TableId(table), &spec.name, &columns, spec.is_unique)?.0)
    }

    fn drop_table(&self, txn: &mut StoredTxn, table: u32) -> Result<(), Failure> {
        Ok(txn.transaction.drop_table(TableId(table))?)
    }

    fn insert(&self, txn: &mut StoredTxn, table: u32, row: &[Cell]) -> Result<Option<i64>, Failure> {
        let known = self.table(table)?;
        if known.has_row_id() && !txn.row_ids.contains_key(&table) {
            self.new_row_id(txn, &known)?;
        }
        let before = txn.transaction.savepoint();
        txn.transaction.insert(TableId(table), &values(row))?;
        if !known.has_row_id() {
            return Ok(None);
        }
        self.new_row_id(txn, &known).inspect_err(|failure| {
            // The row is there, but the disk does not say under which number.
            if txn.transaction.rollback_to(before).is_err() {
                txn.is_lost = Some(failure.clone());
            }
        })
    }

    fn load(&self, txn: &mut StoredTxn, table: u32, rows: &[Vec<Cell>]) -> (usize, Result<(), Failure>) {
        let mut source = RowsOf { rows, next: 0 };
        let transaction = RefCell::new(&mut txn.transaction);
        match Transaction::load(&transaction, TableId(table), &mut source) {
            Ok(count) => (count as usize, Ok(())),
            // It stands at the row, or behind all of them.
            Err(LoadError::Store(error)) => (source.next.saturating_sub(1), Err(error.into())),
        }
    }

    fn put(&self, txn: &mut StoredTxn, table: u32, row: &[Cell]) -> Result<(), Failure> {
        Ok(txn.transaction.put(TableId(table), &values(row))?)
    }

    fn delete(&self, txn: &mut StoredTxn, table: u32, key: &[Cell]) -> Result<bool, Failure> {
        Ok(txn.transaction.delete(TableId(table), &values(key))?)
    }

    fn savepoint(&self, txn: &mut StoredTxn) -> Result<store::Savepoint, Failure> {
        Ok(txn.transaction.savepoint())
    }

    fn rollback_to(&self, txn: &mut StoredTxn, savepoint: &store::Savepoint) -> Result<(), Failure> {
        Ok(txn.transaction.rollback_to(*savepoint)?)
    }

    fn commit(&self, txn: StoredTxn, durability: Durability) -> Result<u64, Failure> {
        if let Some(failure) = txn.is_lost {
            return Err(failure);
        }
        Ok(txn.transaction.commit(match durability {
            Durability::Full => store::Durability::Full,
            Durability::Normal => store::Durability::Normal,
        })?)
    }

    fn rollback(&self, txn: StoredTxn) -> Result<(), Failure> {
        txn.transaction.rollback();
        Ok(())
    }

    fn sync(&self) -> Result<(), Failure> {
        Ok(self.store().sync()?)
    }

    fn flush(&self) -> Result<(), Failure> {
        Ok(self.store().flush()?)
    }

    fn compact(&self) -> Result<bool, Failure> {
        self.store().compact()?;
        Ok(false)
    }

    fn check(vfs: &Arc<dyn Vfs>, problem: &mut dyn FnMut(String)) -> Result<(), Failure> {
        let machine = Budget::unlimited("machine");
        let machine = machine.map_err(|error| Failure::new(FailureKind::Other, error))?;
        let budget = machine.child("process", u64::MAX).map_err(store::Error::from)?;
        let watch = store::Watch::NOBODY;
        store::check(vfs, Path::new(PATH), &budget, watch, &mut |finding| {
            if let store::Finding::Problem(what) = finding {
                problem(what.to_string());
            }
            Ok(())
        })?;
        match budget.used() {
            0 => Ok(()),
            bytes => Err(Failure::new(FailureKind::Other, format!("{bytes} bytes are still charged"))),
        }
    }

    fn role(name: &str) -> Role {
        match FileId::parse(name).map(|id| id.kind) {
            Some(FileKind::Wal | FileKind::Manifest) => Role::Log,
            Some(FileKind::Temporary) => Role::Temporary,
            _ => Role::Lasting,
        }
    }
}
