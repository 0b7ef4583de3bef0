//! `cofferdam-store`.
//!
//! A table of small rows has its key and its text as columns, and nothing else. A load is one transaction that
//! inserts rows and makes sure of each that its key is new, as SQLite's inserts do; behind a load at random the runs are merged before it counts
//! as done. A commit is a transaction of one insert. Reads share a snapshot, as SQLite's share a transaction; of
//! `cofferdam-snapshots` each has its own. Flushes and compactions run on a worker's thread, which is charged like all.
//!
//! The limit is 256 MiB for everything, 64 MiB where the cache is to be small.

use crate::cell::{Figures, Outcome, Settings};
use crate::kv::{KvEngine, Order, Row, missing};
use crate::lineitem::{LineitemStore, Sums};
use crate::memtable::{OrderedMap, SharedMap};
use crate::{kv, lineitem, memtable as maps};
use cofferdam_arena::{Arena, Budget};
use cofferdam_store::bench::{MemtableMap, column_bytes};
use cofferdam_store::{
    Column, ColumnDef, Durability, KeyColumn, KeyRange, LoadError, Options, RowReader, RowSource, Scan,
    Snapshot, Store, Table, TableDef, Transaction, Worker,
};
use cofferdam_types::column::Element;
use cofferdam_types::key::KeyOrder;
use cofferdam_types::{Date, Decimal, Type, Value};
use cofferdam_vfs::{OsVfs, Vfs};
use std::cell::RefCell;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use tpchgen::generators::LineItem;

/// Ours, as engines of small rows ([`kv::KvEngine`]).
pub const ENGINES: &[&str] = &["cofferdam"];
/// Ours, as engines that rows are read from in other ways.
pub const READERS: &[&str] = &["cofferdam-snapshots"];
/// Ours, as memtables ([`crate::memtable::SharedMap`]).
pub const MEMTABLES: &[&str] = &["cofferdam"];
/// Ours, as stores of `lineitem` ([`lineitem::LineitemStore`]).
pub const LINEITEM_STORES: &[&str] = &["cofferdam"];
/// Ours, as what loads `lineitem` under a limit beside the program: the store alone, in the bench's own process.
pub const LINEITEM_LOADERS: &[&str] = &["cofferdam-direct"];

/// Runs a workload of small rows.
///
/// # Errors
/// None of ours is called `name`.
pub fn engine(name: &str, workload: kv::Workload, settings: &Settings) -> Outcome<Figures> {
    match name {
        "cofferdam" => workload.run::<Ours<false>>(settings),
        "cofferdam-snapshots" => workload.run::<Ours<true>>(settings),
        _ => unknown(name),
    }
}

/// Measures a memtable.
///
/// # Errors
/// None of ours is called `name`.
pub fn memtable(name: &str, settings: &Settings) -> Outcome<Figures> {
    match name {
        "cofferdam" => maps::alone_and_shared::<OurMap>(settings),
        _ => unknown(name),
    }
}

/// Runs a workload on `lineitem`.
///
/// # Errors
/// None of ours is called `name`.
pub fn lineitem(name: &str, workload: lineitem::Workload, settings: &Settings) -> Outcome<Figures> {
    match (name, workload) {
        ("cofferdam", lineitem::Workload::Size) => {
            let mut figures = lineitem::size::<OurTable>(settings)?;
            OurTable::open(&settings.dir)?.add_columns(&mut figures)?;
            Ok(figures)
        }
        ("cofferdam", lineitem::Workload::Sum) => lineitem::sum::<OurTable>(settings),
        ("cofferdam-direct", lineitem::Workload::LoadLimited(limit_mib)) => {
            lineitem::load_directly(settings, limit_mib, |lines| {
                load_lineitem(&settings.dir, (limit_mib << 20) as usize, |put| {
                    lines(&mut |line| put(&values_of_text(line)?))
                })
            })
        }
        _ => unknown(name),
    }
}

fn unknown<T>(name: &str) -> Outcome<T> {
    Err(format!("nobody is called `{name}`").into())
}

// ------------------------------------------------------------------------------------------------------- a store

const LIMIT_BYTES: usize = 256 << 20;
const LIMIT_BYTES_FEW: usize = 64 << 20;
/// A worker's stack, beside the limit.
const WORKER_BYTES: u64 = 1 << 20;

/// A store with what belongs to it. Dropped in this order.
struct Opened {
    store: Store,
    _worker: Worker,
    budget: Budget,
}

impl Opened {
    fn open(dir: &Path, limit_bytes: usize, options: &Options) -> Outcome<Opened> {
        let root = Budget::root("bench", limit_bytes as u64 + WORKER_BYTES)?;
        let budget = root.child("database", limit_bytes as u64)?;
        let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);
        let store = Store::open(&vfs, &dir.join("rows.cofferdam"), &budget, options)?;
        let worker = Worker::start(&root).map_err(|_| "no worker")?;
        store.attach(&worker)?;
        Ok(Opened { store, _worker: worker, budget })
    }

    /// The table of a name, which is made where there is none.
    fn table(&self, def: &TableDef<'_>) -> Outcome<Arc<Table>> {
        if let Some(table) = self.store.snapshot()?.table(def.name) {
            return Ok(table);
        }
        let mut transaction = self.store.begin(&self.budget)?;
        transaction.create_table(def)?;
        transaction.commit(Durability::Full)?;
        Ok(self.store.snapshot()?.table(def.name).ok_or("the table was made")?)
    }
}

fn column(name: &str, ty: Type) -> ColumnDef<'_> {
    ColumnDef { name, ty, is_nullable: false }
}

const fn ascending(column: u16) -> KeyColumn {
    KeyColumn { column, order: KeyOrder::ASC }
}

// ---------------------------------------------------------------------------------------------------- small rows

/// A store and its one table. Reads have a snapshot each where the parameter says so.
pub struct Ours<const SNAPSHOT_PER_GET: bool> {
    opened: Opened,
    table: Arc<Table>,
}

impl<const SNAPSHOT_PER_GET: bool> Ours<SNAPSHOT_PER_GET> {
    fn get(
        reader: &mut RowReader<'_>,
        snapshot: &Snapshot,
        key: u64,
        seen: &mut impl FnMut(&[u8]),
    ) -> Outcome<()> {
        let found = reader.get(snapshot.view(), &[Value::BigInt(key as i64)], |row| {
            if let Value::Text(text) = row.value(1)? {
                seen(text.as_bytes());
            }
            Ok(())
        })?;
        found.map_or_else(|| missing(key), Ok)
    }
}

/// Rows to be loaded.
struct SmallRows<'r> {
    rows: std::slice::Iter<'r, Row>,
    row: Option<&'r Row>,
}

impl RowSource for SmallRows<'_> {
    type Error = Infallible;

    fn advance(&mut self) -> Result<bool, Infallible> {
        self.row = self.rows.next();
        Ok(self.row.is_some())
    }

    fn value(&self, column: usize) -> Value<'_> {
        match (self.row, column) {
            (Some(row), 0) => Value::BigInt(row.key as i64),
            (Some(row), _) => Value::Text(row.text()),
            (None, _) => Value::Null,
        }
    }
}

impl<const SNAPSHOT_PER_GET: bool> KvEngine for Ours<SNAPSHOT_PER_GET> {
    fn open(dir: &Path, cache_bytes: usize) -> Outcome<Self> {
        let is_small = cache_bytes < LIMIT_BYTES_FEW;
        let limit_bytes = if is_small { LIMIT_BYTES_FEW } else { LIMIT_BYTES };
        // More than the table needs, and the rest for all else.
        let cache_bytes = cache_bytes.min(limit_bytes / 4 * 3);
        let options = Options::new().cache_bytes(cache_bytes as u64);
        let opened = Opened::open(dir, limit_bytes, &options)?;
        let columns = [column("key", Type::BigInt), column("value", Type::Text)];
        let def = TableDef { name: "rows", columns: &columns, key: &[ascending(0)], properties: b"" };
        let table = opened.table(&def)?;
        Ok(Ours { opened, table })
    }

    fn load(&self, rows: &[Row], order: Order) -> Outcome<()> {
        let mut transaction = self.opened.store.begin(&self.opened.budget)?;
        let mut source = SmallRows { rows: rows.iter(), row: None };
        let loaded = Transaction::load(&RefCell::new(&mut transaction), self.table.id(), &mut source);
        loaded.map_err(|LoadError::Store(error)| error)?;
        transaction.commit(Durability::Full)?;
        match order {
            Order::Ascending => Ok(()),
            Order::Random => Ok(self.opened.store.compact()?),
        }
    }

    fn settle(&self) -> Outcome<()> {
        self.opened.store.flush()?;
        Ok(self.opened.store.compact()?)
    }

    fn commit(&self, row: &Row) -> Outcome<()> {
        let mut transaction = self.opened.store.begin(&self.opened.budget)?;
        transaction.insert(self.table.id(), &[Value::BigInt(row.key as i64), Value::Text(row.text())])?;
        transaction.commit(Durability::Full)?;
        Ok(())
    }

    fn get_each(&self, keys: impl Iterator<Item = u64>, mut seen: impl FnMut(&[u8])) -> Outcome<()> {
        let arena = Arena::new(&self.opened.budget);
        let mut reader = RowReader::new(&self.table, &arena);
        let mut snapshot = self.opened.store.snapshot()?;
        for key in keys {
            if SNAPSHOT_PER_GET {
                snapshot = self.opened.store.snapshot()?;
            }
            Self::get(&mut reader, &snapshot, key, &mut seen)?;
        }
        Ok(())
    }

    fn close(self) -> Outcome<()> {
        Ok(self.opened.store.close()?)
    }
}

// ------------------------------------------------------------------------------------------------- the memtable

/// A memtable. Keys are encoded as those of a table are: a byte that says that it is not NULL, and the number.
pub struct OurMap(MemtableMap);

impl OurMap {
    fn key(key: u64) -> [u8; 9] {
        let mut bytes = [1; 9];
        bytes[1..].copy_from_slice(&key.to_be_bytes());
        bytes
    }
}

impl OrderedMap for OurMap {
    fn new(_entries_count: usize) -> Outcome<OurMap> {
        Ok(OurMap(MemtableMap::new(&Budget::unlimited("memtable")?, 16 << 10)?))
    }

    fn insert(&mut self, key: u64, value: u64) -> Outcome<()> {
        self.insert_shared(key, value)
    }

    fn get(&self, key: u64) -> Option<u64> {
        self.0.get(&OurMap::key(key), |row| row.first_chunk().map(|row| u64::from_le_bytes(*row)))?
    }

    fn scan(&self, mut seen: impl FnMut(u64, u64)) {
        self.0.scan(|key, row| {
            if let (Some(key), Some(row)) = (key.last_chunk(), row.first_chunk()) {
                seen(u64::from_be_bytes(*key), u64::from_le_bytes(*row));
            }
        });
    }

    /// Sealing it is a part of that; chunks are given back but for what a flush keeps.
    fn reset(&mut self) {
        self.0.seal();
        self.0.reset(1 << 30);
    }
}

impl SharedMap for OurMap {
    fn insert_shared(&self, key: u64, value: u64) -> Outcome<()> {
        Ok(self.0.insert(&OurMap::key(key), 1, &value.to_le_bytes())?)
    }
}

// ------------------------------------------------------------------------------------------------------ lineitem

/// Rows of a batch of a scan.
const BATCH_ROWS: usize = 2048;
const AMOUNT: Type = Type::Decimal { precision: 15, scale: 2 };
const LINEITEM: [(&str, Type); 16] = [
    ("l_orderkey", Type::BigInt),
    ("l_partkey", Type::BigInt),
    ("l_suppkey", Type::BigInt),
    ("l_linenumber", Type::Integer),
    ("l_quantity", AMOUNT),
    ("l_extendedprice", AMOUNT),
    ("l_discount", AMOUNT),
    ("l_tax", AMOUNT),
    ("l_returnflag", Type::Text),
    ("l_linestatus", Type::Text),
    ("l_shipdate", Type::Date),
    ("l_commitdate", Type::Date),
    ("l_receiptdate", Type::Date),
    ("l_shipinstruct", Type::Text),
    ("l_shipmode", Type::Text),
    ("l_comment", Type::Text),
];

/// `lineitem` in a store, with the primary key that TPC-H says.
pub struct OurTable {
    opened: Opened,
    table: Arc<Table>,
}

fn open_lineitem(dir: &Path, limit_bytes: usize) -> Outcome<OurTable> {
    let opened = Opened::open(dir, limit_bytes, &Options::new())?;
    let columns = LINEITEM.map(|(name, ty)| column(name, ty));
    let key = [ascending(0), ascending(3)];
    let table =
        opened.table(&TableDef { name: "lineitem", columns: &columns, key: &key, properties: b"" })?;
    Ok(OurTable { opened, table })
}

/// Puts a row somewhere.
type Put<'p> = &'p mut dyn FnMut(&[Value<'_>; 16]) -> Outcome<()>;

/// One transaction for all that `rows` puts.
fn load_lineitem(dir: &Path, limit_bytes: usize, rows: impl FnOnce(Put<'_>) -> Outcome<()>) -> Outcome<()> {
    let OurTable { opened, table } = open_lineitem(dir, limit_bytes)?;
    let mut transaction = opened.store.begin(&opened.budget)?;
    rows(&mut |row| Ok(transaction.insert(table.id(), row)?))?;
    transaction.commit(Durability::Full)?;
    Ok(opened.store.close()?)
}

/// The values of a line of `lineitem.tbl`.
fn values_of_text(line: &str) -> Outcome<[Value<'_>; 16]> {
    let mut values = [Value::Null; 16];
    let mut fields = line.split('|');
    for (value, (name, ty)) in values.iter_mut().zip(LINEITEM) {
        let text = fields.next().ok_or_else(|| format!("no {name}"))?;
        *value = match ty {
            Type::BigInt => Value::BigInt(text.parse()?),
            Type::Integer => Value::Integer(text.parse()?),
            Type::Date => Value::Date(Date::parse(text.as_bytes())?),
            // The generator writes quantities without digits behind the point.
            AMOUNT => Value::Decimal(Decimal::parse(text.as_bytes())?.rescale(2)?),
            _ => Value::Text(text),
        };
    }
    Ok(values)
}

fn lineitem_values<'r>(row: &LineItem<'r>) -> Outcome<[Value<'r>; 16]> {
    let amount = |unscaled: i64| Decimal::new(unscaled.into(), 2).map(Value::Decimal);
    let date = |days: i32| Date::from_days(days.into()).map(Value::Date);
    Ok([
        Value::BigInt(row.l_orderkey),
        Value::BigInt(row.l_partkey),
        Value::BigInt(row.l_suppkey),
        Value::Integer(row.l_linenumber),
        amount(row.l_quantity * 100)?,
        amount(row.l_extendedprice.into_inner())?,
        amount(row.l_discount.into_inner())?,
        amount(row.l_tax.into_inner())?,
        Value::Text(row.l_returnflag),
        Value::Text(row.l_linestatus),
        date(row.l_shipdate.to_unix_epoch())?,
        date(row.l_commitdate.to_unix_epoch())?,
        date(row.l_receiptdate.to_unix_epoch())?,
        Value::Text(row.l_shipinstruct),
        Value::Text(row.l_shipmode),
        Value::Text(row.l_comment),
    ])
}

impl LineitemStore for OurTable {
    fn store<'r>(dir: &Path, rows: impl Iterator<Item = LineItem<'r>>) -> Outcome<()> {
        load_lineitem(dir, LIMIT_BYTES, |put| {
            let mut rows = rows;
            rows.try_for_each(|row| put(&lineitem_values(&row)?))
        })
    }

    fn open(dir: &Path) -> Outcome<OurTable> {
        open_lineitem(dir, LIMIT_BYTES)
    }

    fn sums(&self) -> Outcome<Sums> {
        let arena = Arena::new(&self.opened.budget);
        let snapshot = self.opened.store.snapshot()?;
        let mut scan = Scan::new(&self.table, &[0, 1, 2], &KeyRange::ALL, &arena)?;
        let mut columns = Vec::new();
        for _ in 0..3 {
            columns.push(Column::new(Type::BigInt, BATCH_ROWS, &arena)?);
        }
        let mut sums = [0; 3];
        loop {
            let [a, b, c] = &mut columns[..] else { return Err("there are three".into()) };
            let mut targets = [a.target(), b.target(), c.target()];
            let rows = scan.next(snapshot.view(), &mut targets, BATCH_ROWS)?;
            if rows == 0 {
                return Ok(sums);
            }
            // From the column that was written last, which the processor still has near.
            for (sum, column) in sums.iter_mut().zip(&columns).rev() {
                // No sum of a batch comes near 2^63.
                *sum += i128::from(i64::read(column.data())[..rows].iter().sum::<i64>());
            }
        }
    }
}

impl OurTable {
    /// What each column takes on the disk.
    fn add_columns(&self, figures: &mut Figures) -> Outcome<()> {
        let mib = |bytes: u64| bytes as f64 / (1 << 20) as f64;
        let snapshot = self.opened.store.snapshot()?;
        column_bytes(&snapshot, "lineitem", &self.opened.budget, |name, bytes| {
            figures.add(&format!("column_{}_mib", name.unwrap_or("all")), mib(bytes));
        })?;
        Ok(())
    }
}
