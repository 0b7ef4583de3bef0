//! A life of a database that touches all of the store, and what must be there after each of its commits.
//!
//! ```text
//!   open  tables, indexes  small commits  flush  compact  more than memory  savepoints  reads  an index on what is there
//!   deletes  backup  close  check  open again
//! ```
//!
//! A life is a sequence of steps, each of which commits at most once; what was acknowledged is noted, and [`Life::verify`]
//! compares that with what a database has. Callers say what becomes of a step that fails.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use cofferdam_arena::{Arena, Budget};
use cofferdam_store::{
    Column, ColumnDef, Durability, Error, KeyColumn, KeyRange, Options, RowReader, Scan, Store, TableDef,
    TableId, Transaction, View, Watch, backup,
};
use cofferdam_testkit::simfs::SimDisk;
use cofferdam_types::{Date, Decimal, Type, Value};
use cofferdam_vfs::Vfs;

use crate::check::check_at;
use crate::engine::{KEY, column};

/// Where the database and its copy stand.
pub(crate) const PATH: &str = "/db";
pub(crate) const COPY: &str = "/copy";

/// How large a life is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Keys of the small commits.
    pub(crate) rows: i64,
    /// Keys of the transaction that is larger than memory.
    pub(crate) bulk: i64,
    /// Bytes of the comment of a row.
    pub(crate) comment_bytes: usize,
    /// Every so many rows have a text that stands out of line; 0 for none.
    pub(crate) long_every: i64,
}

/// The columns of the table `wide`.
pub(crate) fn wide_columns() -> [ColumnDef<'static>; 20] {
    [
        column("id", Type::BigInt, false),
        column("code", Type::Text, false),
        column("branch", Type::Integer, true),
        column("price", Type::Decimal { precision: 12, scale: 2 }, true),
        column("weight", Type::Double, true),
        column("is_open", Type::Boolean, true),
        column("day", Type::Date, true),
        column("kind", Type::Text, true),
        column("comment", Type::Text, true),
        column("constant", Type::BigInt, false),
        column("counter", Type::BigInt, false),
        column("spread", Type::BigInt, true),
        column("small", Type::Integer, false),
        column("tax", Type::Decimal { precision: 38, scale: 4 }, true),
        column("due", Type::Date, true),
        column("sometimes", Type::Text, true),
        column("digits", Type::Text, false),
        column("ratio", Type::Double, false),
        column("flag", Type::Boolean, false),
        column("long", Type::Text, true),
    ]
}

/// Gives the row of a key, as it was written in a round, to `visit`.
pub(crate) fn with_row<T>(size: Size, id: i64, round: u64, visit: impl FnOnce(&[Value<'_>]) -> T) -> T {
    let mixed = (id as u64 ^ (round << 40)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let code = format!("{:07}-{round}", id * 7919 % 1_000_003);
    let kind = ["open", "closed", "waiting", "under way"][(mixed >> 60) as usize % 4];
    let comment: String =
        (0..size.comment_bytes).map(|at| char::from(b'a' + (mixed >> (at % 50)) as u8 % 26)).collect();
    let digits = (mixed % 100_000).to_string();
    let is_long = size.long_every > 0 && id % size.long_every == 0;
    let long = if is_long { format!("{mixed} ").repeat(600) } else { String::new() };
    let null_in = |every: i64, value: Value<'static>| if id % every == 0 { Value::Null } else { value };
    let decimal = |unscaled: u64, scale| Value::Decimal(Decimal::new(unscaled.into(), scale).unwrap());
    let date = |days: u64| Value::Date(Date::from_days(days as i64).unwrap());
    visit(&[
        Value::BigInt(id),
        Value::Text(&code),
        null_in(11, Value::Integer((id % 7) as i32)),
        null_in(13, decimal(mixed % 1_000_000, 2)),
        null_in(17, Value::Double(mixed as f64 / 1e6)),
        null_in(5, Value::Boolean(mixed.is_multiple_of(3))),
        null_in(19, date(mixed % 20_000)),
        Value::Text(kind),
        Value::Text(&comment),
        Value::BigInt(42),
        Value::BigInt(id * 10 + round as i64),
        null_in(3, Value::BigInt(mixed as i64)),
        Value::Integer((mixed % 10) as i32),
        null_in(7, decimal(mixed, 4)),
        null_in(2, date(10_000 + id as u64 % 30)),
        if id % 4 == 0 { Value::Text("there") } else { Value::Null },
        Value::Text(&digits),
        Value::Double(id as f64 / 3.0),
        Value::Boolean(id % 2 == 0),
        if is_long { Value::Text(&long) } else { Value::Null },
    ])
}

/// A row as text.
fn row_text(size: Size, id: i64, round: u64) -> String {
    with_row(size, id, round, |values| joined(values.iter()))
}

fn joined<'v>(values: impl Iterator<Item = &'v Value<'v>>) -> String {
    values.map(|value| value.to_string()).collect::<Vec<String>>().join("|")
}

/// What was acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) has_table: bool,
    /// An index that was made on what was there.
    pub(crate) has_late_index: bool,
    /// The round in which each key was written last.
    pub(crate) rows: BTreeMap<i64, u64>,
}

/// A database, what it is opened with, and what it must have.
pub(crate) struct Life {
    pub(crate) vfs: Arc<dyn Vfs>,
    /// Of the store.
    pub(crate) budget: Budget,
    /// Of transactions and scans.
    pub(crate) caller: Budget,
    pub(crate) options: Options,
    pub(crate) size: Size,
    pub(crate) known: Known,
    /// What the copy must have, where there is one.
    copied: Option<Known>,
}

/// A step of a life; some of them commit.
pub(crate) type Step = (&'static str, fn(&mut Life, &Store) -> Result<(), Error>);

/// The steps of a life, in order, between opening and closing.
pub(crate) const STEPS: [Step; 23] = [
    ("make tables", Life::make_tables),
    ("commit 0", |life, store| life.put_some(store, 0, 1, 3, Durability::Full)),
    ("flush 0", |_, store| store.flush()),
    ("commit 1", |life, store| life.put_some(store, 1, 1, 3, Durability::Normal)),
    ("flush 1", |_, store| store.flush()),
    ("commit 2", |life, store| life.put_some(store, 2, 1, 3, Durability::Full)),
    ("flush 2", |_, store| store.flush()),
    ("overwrite", |life, store| life.put_some(store, 0, 2, 2, Durability::Normal)),
    ("sync", |_, store| store.sync()),
    ("read rows", Life::read_rows),
    ("flush 3", |_, store| store.flush()),
    ("overwrite again", |life, store| life.put_some(store, 1, 3, 5, Durability::Full)),
    ("delete", Life::delete_some),
    ("flush 4", |_, store| store.flush()),
    ("compact", |_, store| store.compact()),
    ("bulk", Life::bulk),
    ("scan", |life, store| life.compare(store)),
    ("compact again", |_, store| store.compact()),
    ("index", Life::make_late_index),
    ("scan again", |life, store| life.compare(store)),
    ("last commit", |life, store| life.put_some(store, 3, 5, 6, Durability::Full)),
    ("backup", Life::back_up),
    ("a commit nobody waits for", |life, store| life.put_some(store, 4, 6, 6, Durability::Normal)),
];

impl Life {
    pub(crate) fn new(disk: &SimDisk, budget: &Budget, caller: &Budget, size: Size) -> Life {
        Life {
            vfs: Arc::new(disk.clone()),
            budget: budget.clone(),
            caller: caller.clone(),
            options: Options::new(),
            size,
            known: Known::default(),
            copied: None,
        }
    }

    pub(crate) fn open(&self) -> Result<Store, Error> {
        self.open_at(PATH)
    }

    fn open_at(&self, path: &str) -> Result<Store, Error> {
        Store::open(&self.vfs, Path::new(path), &self.budget, &self.options)
    }

    /// What an error says, with the record of a refusal.
    pub(crate) fn text_of(&self, error: &Error) -> String {
        let record = self.budget.last_refusal().or(self.caller.last_refusal());
        format!("{error}: {}", record.map_or(String::new(), |record| record.to_string()))
    }

    /// Lives from the opening to the close, without trouble.
    pub(crate) fn live(&mut self) {
        let store = self.open().unwrap_or_else(|error| panic!("open: {}", self.text_of(&error)));
        self.live_in(&store);
        store.close().unwrap();
    }

    /// All steps in an open database.
    pub(crate) fn live_in(&mut self, store: &Store) {
        for (name, step) in STEPS {
            step(self, store).unwrap_or_else(|error| {
                panic!("{name}: {}\n{}", self.text_of(&error), self.budget.memory_tree())
            });
        }
    }

    fn begin(&self, store: &Store) -> Result<Transaction, Error> {
        store.begin(&self.caller)
    }

    fn make_tables(&mut self, store: &Store) -> Result<(), Error> {
        let mut transaction = self.begin(store)?;
        let columns = wide_columns();
        let def = TableDef { name: "wide", columns: &columns, key: &KEY, properties: b"of the caller" };
        let wide = transaction.create_table(&def)?;
        transaction.create_index(wide, "by_code", &[1].map(KeyColumn::ascending), true)?;
        transaction.create_index(wide, "by_branch", &[2].map(KeyColumn::ascending), false)?;
        transaction.commit(Durability::Full)?;
        self.known.has_table = true;
        Ok(())
    }

    fn wide(transaction: &Transaction) -> TableId {
        transaction.table("wide").expect("it was made").id()
    }

    /// Writes every `every`-th key from `from` on in one transaction.
    fn put_some(
        &mut self,
        store: &Store,
        from: i64,
        round: u64,
        every: usize,
        durability: Durability,
    ) -> Result<(), Error> {
        let mut transaction = self.begin(store)?;
        let table = Life::wide(&transaction);
        let ids: Vec<i64> = (from..self.size.rows).step_by(every).collect();
        for &id in &ids {
            with_row(self.size, id, round, |values| transaction.put(table, values))?;
        }
        transaction.commit(durability)?;
        self.known.rows.extend(ids.into_iter().map(|id| (id, round)));
        Ok(())
    }

    fn delete_some(&mut self, store: &Store) -> Result<(), Error> {
        let mut transaction = self.begin(store)?;
        let table = Life::wide(&transaction);
        let ids: Vec<i64> = (0..self.size.rows + 20).step_by(7).collect();
        for id in &ids {
            let was_there = transaction.delete(table, &[Value::BigInt(*id)])?;
            assert_eq!(was_there, self.known.rows.contains_key(id), "{id}");
        }
        transaction.commit(Durability::Full)?;
        self.known.rows.retain(|id, _| id % 7 != 0);
        Ok(())
    }

    /// A transaction that is larger than memory, with savepoints: into the middle of a run, and behind one.
    fn bulk(&mut self, store: &Store) -> Result<(), Error> {
        let (first, bulk) = (self.size.rows + 1000, self.size.bulk);
        let mut transaction = self.begin(store)?;
        let table = Life::wide(&transaction);
        let put = |transaction: &mut Transaction, from: i64, to: i64, round| {
            for id in from..to {
                // Not in order.
                let id = first + (id - first) * 37 % bulk;
                with_row(self.size, id, round, |values| transaction.put(table, values))?;
            }
            Ok::<(), Error>(())
        };
        put(&mut transaction, first, first + bulk / 3, 4)?;
        let inside = transaction.savepoint();
        put(&mut transaction, first + bulk / 3, first + bulk, 9)?;
        transaction.rollback_to(inside)?;
        put(&mut transaction, first + bulk / 3, first + bulk, 4)?;
        let at_the_end = transaction.savepoint();
        transaction.delete(table, &[Value::BigInt(first)])?;
        transaction.rollback_to(at_the_end)?;
        transaction.commit(Durability::Full)?;
        self.known.rows.extend((first..first + bulk).map(|id| (id, 4)));
        Ok(())
    }

    fn make_late_index(&mut self, store: &Store) -> Result<(), Error> {
        let mut transaction = self.begin(store)?;
        let table = Life::wide(&transaction);
        transaction.create_index(table, "by_day", &[6, 7].map(KeyColumn::ascending), false)?;
        transaction.commit(Durability::Full)?;
        self.known.has_late_index = true;
        Ok(())
    }

    /// A copy, of which nothing is left where it fails.
    fn back_up(&mut self, store: &Store) -> Result<(), Error> {
        backup(store, &self.vfs, Path::new(COPY), Watch::NOBODY)?;
        self.copied = Some(self.known.clone());
        Ok(())
    }

    fn read_rows(&mut self, store: &Store) -> Result<(), Error> {
        let snapshot = store.snapshot()?;
        let table = snapshot.table("wide").expect("it was made");
        for id in 0..self.size.rows + 3 {
            let arena = Arena::new(&self.caller);
            let mut reader = RowReader::new(&table, &arena);
            let found = reader.get(snapshot.view(), &[Value::BigInt(id)], |row| {
                let mut texts = vec![];
                for column in 0..row.columns_count() {
                    texts.push(row.value(column)?.to_string());
                }
                Ok(texts.join("|"))
            })?;
            let expected = self.known.rows.get(&id).map(|round| row_text(self.size, id, *round));
            assert_eq!(found, expected, "{id}");
        }
        Ok(())
    }

    /// Compares what a store has with what was acknowledged.
    pub(crate) fn compare(&mut self, store: &Store) -> Result<(), Error> {
        let snapshot = store.snapshot()?;
        assert_eq!(snapshot.table("wide").is_some(), self.known.has_table);
        if !self.known.has_table {
            return Ok(());
        }
        let mut expected = self.known.rows.iter();
        for_each_row(snapshot.view(), snapshot.table("wide").map(|table| table.id()), &self.caller, |row| {
            let (id, round) = expected.next().expect("no row that was never written");
            assert_eq!(row, row_text(self.size, *id, *round));
        })?;
        assert_eq!(expected.next(), None, "a row is lost");
        let mut indexes = vec![];
        snapshot.tables(|table| {
            if table.parent().is_some() {
                indexes.push((table.name().to_owned(), table.id()));
            }
        });
        let has_late = indexes.iter().any(|(name, _)| name == "by_day");
        assert_eq!((has_late, indexes.len()), (self.known.has_late_index, 2 + usize::from(has_late)));
        for (name, id) in indexes {
            let mut rows = 0;
            for_each_row(snapshot.view(), Some(id), &self.caller, |_| rows += 1)?;
            assert_eq!(rows, self.known.rows.len(), "{name}");
        }
        Ok(())
    }

    /// Opens the database once more, compares what it has, and checks it; the same with its copy.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn verify(&mut self) -> Result<(), String> {
        self.verify_at(PATH)?;
        let Some(copied) = self.copied.clone() else { return Ok(()) };
        let known = std::mem::replace(&mut self.known, copied);
        let outcome = self.verify_at(COPY);
        self.known = known;
        outcome
    }

    fn verify_at(&mut self, path: &str) -> Result<(), String> {
        let text =
            |life: &Life, what: &str, error: Error| format!("{path}: {what}: {}", life.text_of(&error));
        let store = self.open_at(path).map_err(|error| text(self, "open again", error))?;
        self.compare(&store).map_err(|error| text(self, "compare", error))?;
        store.close().map_err(|error| text(self, "close again", error))?;
        let budget = Budget::unlimited("check").unwrap();
        let found = check_at(&self.vfs, Path::new(path), &budget).map_err(|error| error.to_string())?;
        if !found.problems.is_empty() || !found.remains.is_empty() {
            return Err(format!("{path}: {found:?}"));
        }
        Ok(())
    }
}

/// Gives every row of a table, as text, to `visit`.
pub(crate) fn for_each_row(
    view: View<'_>,
    table: Option<TableId>,
    budget: &Budget,
    mut visit: impl FnMut(String),
) -> Result<(), Error> {
    const ROWS: usize = 16;
    let table = view.table(table.expect("it is there"))?;
    let arena = Arena::new(budget);
    let all: Vec<u16> = (0..table.schema().columns.len() as u16).collect();
    let mut scan = Scan::new(&table, &all, &KeyRange::ALL, &arena)?;
    let mut columns = vec![];
    for column in table.schema().columns {
        columns.push(Column::new(column.ty, ROWS, &arena)?);
    }
    loop {
        let mut targets: Vec<_> =
            columns.iter_mut().map(|column| (column.clear(), column.target()).1).collect();
        let count = scan.next(view, &mut targets, ROWS)?;
        drop(targets);
        if count == 0 {
            return Ok(());
        }
        for row in 0..count {
            let values: Vec<Value<'_>> = columns.iter().map(|column| column.value(row)).collect();
            visit(joined(values.iter()));
        }
    }
}
