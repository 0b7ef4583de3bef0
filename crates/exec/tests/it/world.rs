//! Tables in memory behind the traits that the store is behind, and statements as text over them.
//!
//! This is the second implementation of `Tables` and `RowSink`: rows are values in a list, sorted by the key. It is as simple
//! as it can be, so that what is tested is what stands above it.

use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::ops::Bound;

use cofferdam_arena::{Arena, Budget, InlineText};
use cofferdam_exec::{Batch, Refused, RowSink, ScanId, ScanRequest, Tables, Workspace};
use cofferdam_plan::expr::Column;
use cofferdam_plan::physical::{FileSource, KeyRange, PhysicalPlan};
use cofferdam_plan::table::{CheckRule, ColumnRule, KeyColumn, StoredTable, TableSource};
use cofferdam_plan::{
    Catalog, CatalogError, FileRequest, InsertPieces, Span, bind_create_table, bind_drop_tables, plan_copy,
    plan_explain, plan_insert, plan_query,
};
use cofferdam_sql::InsertRows;
use cofferdam_sql::views::forms::{Copy, CreateTable, DropTable, Explain, Insert};
use cofferdam_sql::views::{self};
use cofferdam_store::{ColumnMut, Duplicate, Error, InputKind, InputProblem, TableId};
use cofferdam_types::Value;
use cofferdam_types::column::{Data, TextView};

use crate::support::{show, sniffed};

/// A value that lives as long as the test.
type Owned = Value<'static>;
type Row = Vec<Owned>;

fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

fn owned(value: Value<'_>) -> Owned {
    match value {
        Value::Text(text) => Value::Text(leak(text)),
        Value::Null => Value::Null,
        Value::Boolean(value) => Value::Boolean(value),
        Value::Integer(value) => Value::Integer(value),
        Value::BigInt(value) => Value::BigInt(value),
        Value::Decimal(value) => Value::Decimal(value),
        Value::Double(value) => Value::Double(value),
        Value::Date(value) => Value::Date(value),
        Value::Interval(value) => Value::Interval(value),
    }
}

#[derive(Clone, Debug)]
struct Table {
    id: u32,
    name: &'static str,
    columns: Vec<Column<'static>>,
    rules: Vec<ColumnRule<'static>>,
    checks: Vec<CheckRule<'static>>,
    /// Names and columns; the primary key, if there is one, is the first.
    unique: Vec<(&'static str, Vec<u32>)>,
    has_primary_key: bool,
    rows: Vec<Row>,
}

impl Table {
    fn key(&self) -> &[u32] {
        self.unique.first().filter(|_| self.has_primary_key).map_or(&[], |(_, columns)| columns)
    }

    /// Where a row belongs, and the key that it has in common with another one.
    fn insert(&mut self, row: Row) -> Result<(), Error> {
        for (index, (_, columns)) in self.unique.iter().enumerate() {
            let key = |row: &Row| columns.iter().map(|column| row[*column as usize]).collect::<Vec<_>>();
            let new = key(&row);
            let same = |known: &Row| {
                key(known).iter().zip(&new).all(|(a, b)| a.compare(b) == Some(std::cmp::Ordering::Equal))
            };
            if self.rows.iter().any(same) {
                let mut text = InlineText::EMPTY;
                write!(text, "{}", new.iter().map(|value| show(*value)).collect::<Vec<_>>().join(", "))
                    .unwrap();
                let (table, index) = (TableId(self.id), TableId(self.id + 1000 * index as u32));
                return Err(Error::UniqueViolation(Duplicate { table, index, key: text }));
            }
        }
        self.rows.push(row);
        let key = self.key().to_vec();
        if key.is_empty() {
            return Ok(());
        }
        self.rows.sort_by(|a, b| {
            let orders = key.iter().map(|column| a[*column as usize].total_cmp(&b[*column as usize]));
            orders.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
        });
        Ok(())
    }

    /// Whether a row lies in a range of the key.
    fn contains(&self, row: &Row, range: &KeyRange<'_>) -> bool {
        let key: Vec<Owned> = self.key().iter().map(|column| row[*column as usize]).collect();
        let (prefix, rest) = key.split_at(range.prefix.len());
        if !prefix.iter().zip(range.prefix).all(|(a, b)| a.compare(b) == Some(std::cmp::Ordering::Equal)) {
            return false;
        }
        let is_above = match range.lower {
            Bound::Unbounded => true,
            Bound::Included(bound) => rest[0].total_cmp(&bound).is_ge(),
            Bound::Excluded(bound) => rest[0].total_cmp(&bound).is_gt(),
        };
        is_above
            && match range.upper {
                Bound::Unbounded => true,
                Bound::Included(bound) => rest[0].total_cmp(&bound).is_le(),
                Bound::Excluded(bound) => rest[0].total_cmp(&bound).is_lt(),
            }
    }
}

/// A scan that is open.
#[derive(Debug)]
struct Scan {
    rows: Vec<Row>,
    at: usize,
    /// What the scan holds.
    _memory: Arena,
}

/// Tables by name, and what statements do to them.
#[derive(Debug)]
pub(crate) struct World {
    tables: RefCell<Vec<Table>>,
    next_id: Cell<u32>,
    scans: RefCell<Vec<Scan>>,
    /// The most rows that a scan gives at once.
    at_once: usize,
    /// How many rows scans have looked at.
    pub(crate) rows_read: Cell<u64>,
    /// The read that fails, counted from 1.
    pub(crate) fails_at: Cell<u64>,
    /// What the execution of the last insert held at its peak.
    pub(crate) execution_bytes_peak: Cell<u64>,
}

/// Why a statement failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) sqlstate: String,
    pub(crate) message: String,
    pub(crate) span: Option<Span>,
    pub(crate) hint: Option<String>,
}

impl Failure {
    fn memory() -> Failure {
        let (sqlstate, message) = ("53200".to_owned(), "out of memory".to_owned());
        Failure { sqlstate, message, span: None, hint: None }
    }

    fn of_plan(error: cofferdam_plan::Error<'_>) -> Failure {
        let (sqlstate, message) = (error.sqlstate().to_owned(), error.to_string());
        Failure { sqlstate, message, span: error.span(), hint: error.hint().map(|hint| hint.to_string()) }
    }

    fn of_exec(error: cofferdam_exec::Error<'_>) -> Failure {
        let (sqlstate, message) = (error.sqlstate().to_owned(), error.to_string());
        Failure { sqlstate, message, span: error.span(), hint: error.hint().map(|hint| hint.to_string()) }
    }
}

impl World {
    pub(crate) fn new(at_once: usize) -> World {
        World {
            tables: RefCell::new(Vec::new()),
            next_id: Cell::new(1),
            scans: RefCell::new(Vec::new()),
            at_once,
            rows_read: Cell::new(0),
            fails_at: Cell::new(0),
            execution_bytes_peak: Cell::new(0),
        }
    }

    /// Runs a statement: its rows or its command tag, a line each.
    pub(crate) fn run(&self, sql: &str, statement: &Budget) -> Result<Vec<String>, Failure> {
        let outcome = self.run_in(sql, statement);
        self.scans.borrow_mut().clear();
        assert_eq!(statement.used(), 0, "everything is given back");
        outcome
    }

    fn run_in(&self, sql: &str, statement: &Budget) -> Result<Vec<String>, Failure> {
        let (parsed, planned) = (Arena::new(statement), Arena::new(statement));
        let tree = cofferdam_sql::parse(sql, &parsed).map_err(|error| match error {
            cofferdam_sql::Error::OutOfMemory(_) => Failure::memory(),
            error => panic!("{sql}: {error}"),
        })?;
        let form = match tree.statement() {
            views::Statement::Query(query) => {
                let plan = plan_query(query, self, &planned).map_err(Failure::of_plan)?;
                return self.rows(&plan, statement);
            }
            views::Statement::Form(form) => form.node(),
        };
        if let Some(explain) = Explain::of(form) {
            let plan = plan_explain(explain, self, &planned).map_err(Failure::of_plan)?;
            return self.rows(&plan, statement);
        }
        let done = |tag: String| Ok(vec![tag]);
        if let Some(create) = CreateTable::of(form) {
            let table = bind_create_table(create, self, &planned).map_err(Failure::of_plan)?;
            if !table.exists {
                self.create(&table);
            }
            return done("CREATE TABLE".to_owned());
        }
        if let Some(drop) = DropTable::of(form) {
            let drop = bind_drop_tables(drop, self, &planned).map_err(Failure::of_plan)?;
            let ids: Vec<u32> = drop.tables.iter().map(|table| table.id).collect();
            self.tables.borrow_mut().retain(|table| !ids.contains(&table.id));
            return done("DROP TABLE".to_owned());
        }
        if let Some(insert) = Insert::of(form) {
            let plan = plan_insert(insert, self, &planned).map_err(Failure::of_plan)?;
            return done(format!("INSERT 0 {}", self.put(&[&plan], statement)?));
        }
        let copy = Copy::of(form).unwrap_or_else(|| panic!("not a statement of these tests: {sql}"));
        let plan = plan_copy(copy, self, &planned).map_err(Failure::of_plan)?;
        done(format!("COPY {}", self.put(&[&plan], statement)?))
    }

    /// Runs an `INSERT … VALUES` so many rows at a time.
    pub(crate) fn run_in_pieces(
        &self,
        sql: &str,
        at_once: usize,
        statement: &Budget,
    ) -> Result<Vec<String>, Failure> {
        let arena = Arena::new(statement);
        let mut stream = InsertRows::open(sql, &arena).unwrap().expect("an INSERT with VALUES");
        let views::Statement::Form(head) = stream.head().statement() else { panic!("a form") };
        let insert = Insert::of(head.node()).unwrap();
        let pieces = InsertPieces::bind(insert, self, &arena).map_err(Failure::of_plan)?;
        let (mut count, mut is_done) = (0, false);
        let before = self.tables.borrow().clone();
        while !is_done {
            let (parsed, planned) = (Arena::new(statement), Arena::new(statement));
            let mut piece = pieces.piece(&planned);
            while piece.rows_count() < at_once {
                let Some(row) = stream.next_row(&parsed).expect("SQL") else {
                    is_done = true;
                    break;
                };
                piece.push(row).map_err(Failure::of_plan)?;
            }
            if piece.rows_count() > 0 {
                let plan = piece.finish().map_err(|_| Failure::memory())?;
                count += self
                    .put(&[&plan], statement)
                    .inspect_err(|_| *self.tables.borrow_mut() = before.clone())?;
            }
        }
        Ok(vec![format!("INSERT 0 {count}")])
    }

    fn create(&self, table: &cofferdam_plan::table::CreateTable<'_>) {
        let id = self.next_id.replace(self.next_id.get() + 1);
        let columns = table.columns.iter().map(|column| Column { name: leak(column.name), ty: column.ty });
        let rules = table.rules.iter().map(|rule| ColumnRule {
            is_nullable: rule.is_nullable,
            characters_max: rule.characters_max,
            default: rule.default.map(leak),
        });
        let checks = table.checks.iter();
        let checks =
            checks.map(|check| CheckRule { name: leak(check.name), condition: leak(check.condition) });
        let keys = table.primary_key.iter().chain(table.unique_keys);
        self.tables.borrow_mut().push(Table {
            id,
            name: leak(table.name),
            columns: columns.collect(),
            rules: rules.collect(),
            checks: checks.collect(),
            unique: keys.map(|key| (leak(key.name), key.columns.to_vec())).collect(),
            has_primary_key: table.primary_key.is_some(),
            rows: Vec::new(),
        });
    }

    fn rows(&self, plan: &PhysicalPlan<'_>, statement: &Budget) -> Result<Vec<String>, Failure> {
        let arena = Arena::new(statement);
        let workspace = Workspace::new(plan, statement, &arena).map_err(|_| Failure::memory())?;
        let never = || false;
        let mut execution = workspace.execute(plan, self, &never).map_err(Failure::of_exec)?;
        let mut rows = Vec::new();
        while let Some(batch) = execution.next_batch().map_err(Failure::of_exec)? {
            for row in 0..batch.rows_count() {
                let values = (0..batch.columns().len()).map(|column| show(batch.value(row, column)));
                rows.push(values.collect::<Vec<_>>().join("|"));
            }
        }
        Ok(rows)
    }

    /// Puts the rows of plans into their table, all or none.
    fn put(&self, plans: &[&PhysicalPlan<'_>], statement: &Budget) -> Result<u64, Failure> {
        let mut count = 0;
        for plan in plans {
            let arena = Arena::new(statement);
            let workspace = Workspace::new(plan, statement, &arena).map_err(|_| Failure::memory())?;
            let never = || false;
            let mut execution = workspace.execute(plan, self, &never).map_err(Failure::of_exec)?;
            let id = plan.insert().expect("an insert").table.id;
            let table =
                self.tables.borrow().iter().find(|table| table.id == id).expect("it was bound").clone();
            let mut sink = Sink { table };
            count += execution.run_into(&mut sink).map_err(|error| self.failure_of(error, &sink.table))?;
            self.execution_bytes_peak.set(workspace.budget().peak());
            let mut tables = self.tables.borrow_mut();
            *tables.iter_mut().find(|table| table.id == id).expect("it was there") = sink.table;
        }
        Ok(count)
    }

    /// The store knows numbers; whoever is above it knows names.
    fn failure_of(&self, error: cofferdam_exec::Error<'_>, table: &Table) -> Failure {
        let mut failure = Failure::of_exec(error);
        if let cofferdam_exec::Error::Store(problem) = error
            && let Error::UniqueViolation(duplicate) = problem.error
        {
            let index = (duplicate.index.0 / 1000) as usize;
            let place = problem.place.map_or(String::new(), |place| format!("{place}: "));
            let name = table.unique[index].0;
            failure.message = format!("{place}duplicate key value violates unique constraint \"{name}\"");
            failure.hint = Some(format!("the key is ({})", duplicate.key.as_str()));
        }
        failure
    }
}

/// What an insert writes to.
struct Sink {
    table: Table,
}

impl RowSink for Sink {
    fn put(&mut self, batch: &Batch<'_, '_>) -> Result<(), Refused> {
        for row in 0..batch.rows_count() {
            let values = (0..batch.columns().len()).map(|column| owned(batch.value(row, column)));
            self.table.insert(values.collect()).map_err(|error| Refused { row, error })?;
        }
        Ok(())
    }
}

impl Tables for World {
    fn open(&self, request: &ScanRequest<'_>) -> Result<ScanId, Error> {
        let tables = self.tables.borrow();
        let Some(table) = tables.iter().find(|table| table.id == request.table) else {
            let (table, kind) = (TableId(request.table), InputKind::NoSuchTable);
            return Err(Error::Input(InputProblem { table, column: None, kind }));
        };
        assert!(request.columns.is_sorted());
        let memory = Arena::new(request.budget);
        memory.alloc([0u8; 100])?;
        let wanted = |row: &&Row| request.range.is_none_or(|range| table.contains(row, range));
        let cut = |row: &Row| request.columns.iter().map(|column| row[*column as usize]).collect();
        let rows: Vec<Row> = table.rows.iter().filter(wanted).map(cut).collect();
        self.rows_read.set(self.rows_read.get() + rows.len() as u64);
        let mut scans = self.scans.borrow_mut();
        scans.push(Scan { rows, at: 0, _memory: memory });
        Ok(ScanId(scans.len() as u32 - 1))
    }

    fn next(&self, scan: ScanId, rows_max: usize, columns: &mut [ColumnMut<'_, '_>]) -> Result<usize, Error> {
        let fails_at = self.fails_at.get();
        self.fails_at.set(fails_at.saturating_sub(1));
        if fails_at == 1 {
            return Err(Error::Poisoned);
        }
        let mut scans = self.scans.borrow_mut();
        let scan = &mut scans[scan.0 as usize];
        let count = (scan.rows.len() - scan.at).min(rows_max).min(self.at_once);
        for (row, values) in scan.rows[scan.at..scan.at + count].iter().enumerate() {
            assert_eq!(values.len(), columns.len());
            for (column, value) in columns.iter_mut().zip(values) {
                put(column, row, *value)?;
            }
        }
        scan.at += count;
        Ok(count)
    }
}

/// Writes a value as the store does: `valid` only once there is a NULL.
fn put(column: &mut ColumnMut<'_, '_>, row: usize, value: Owned) -> Result<(), Error> {
    if value.is_null() {
        if *column.all_valid {
            column.valid[..row].fill(true);
            *column.all_valid = false;
        }
        column.valid[row] = false;
        return Ok(());
    }
    if !*column.all_valid {
        column.valid[row] = true;
    }
    match (&mut *column.data, value) {
        (Data::Text(views), Value::Text(text)) => {
            views[row] = TextView { start: column.heap.len() as u32, len: text.len() as u32 };
            column.heap.extend_from_slice(text.as_bytes())?;
        }
        (data, value) => data.put(row, value),
    }
    Ok(())
}

impl Catalog for World {
    fn table<'a>(&self, name: &str, arena: &'a Arena) -> Result<Option<TableSource<'a>>, CatalogError<'a>> {
        let tables = self.tables.borrow();
        let Some(table) = tables.iter().find(|table| table.name == name) else { return Ok(None) };
        let key: Vec<KeyColumn> = table.key().iter().copied().map(KeyColumn::ascending).collect();
        Ok(Some(TableSource::Stored(arena.alloc(StoredTable {
            id: table.id,
            name: table.name,
            columns: arena.alloc_slice_copy(&table.columns)?,
            rules: arena.alloc_slice_copy(&table.rules)?,
            checks: arena.alloc_slice_copy(&table.checks)?,
            key: arena.alloc_slice_copy(&key)?,
            rows_estimate: table.rows.len() as u64,
        })?)))
    }

    fn table_names(&self, visit: &mut dyn FnMut(&str)) {
        self.tables.borrow().iter().for_each(|table| visit(table.name));
    }

    fn file<'a>(
        &self,
        request: FileRequest<'_>,
        arena: &'a Arena,
    ) -> Result<&'a FileSource<'a>, CatalogError<'a>> {
        sniffed(request.path, request.columns, request.format, arena)
    }
}
