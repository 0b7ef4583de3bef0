//! A database on a simulated disk, and statements as text over it.

use std::path::Path;
use std::sync::Arc;

use cofferdam_arena::{Arena, Budget};
use cofferdam_exec::{Changes, Tables, Workspace, describe, statistics};
use cofferdam_plan::physical::{FileSource, PhysicalPlan};
use cofferdam_plan::table::{PropertiesError, StoredTable, TableSource, TableStatistics};
use cofferdam_plan::{
    Catalog, CatalogError, FileRequest, InsertPieces, Span, bind_create_table, bind_drop_tables, plan_copy,
    plan_explain, plan_insert, plan_query,
};
use cofferdam_sql::InsertRows;
use cofferdam_sql::views::forms::{Copy, CreateTable, DropTable, Explain, Insert};
use cofferdam_sql::views::{self};
use cofferdam_store::{Durability, Error, Options, Store};
use cofferdam_testkit::simfs::SimDisk;
use cofferdam_vfs::Vfs;

use crate::support::{show, sniffed};

/// A store, and the budget of its own.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) disk: Arc<SimDisk>,
    pub(crate) store: Store,
    /// What execution held at the peak of the last insert.
    pub(crate) execution_bytes_peak: std::cell::Cell<u64>,
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

    fn of_store(error: Error) -> Failure {
        let (sqlstate, message) = (error.sqlstate().to_owned(), error.to_string());
        Failure { sqlstate, message, span: None, hint: None }
    }
}

impl World {
    pub(crate) fn new() -> World {
        let disk = Arc::new(SimDisk::new(1));
        let store = open(&disk);
        World { disk, store, execution_bytes_peak: std::cell::Cell::new(0) }
    }

    /// The same after the process has ended and begun again.
    pub(crate) fn reopened(self) -> World {
        let World { disk, store, execution_bytes_peak } = self;
        store.close().unwrap();
        let store = open(&disk);
        World { disk, store, execution_bytes_peak }
    }

    /// Runs a statement: its rows or its command tag, a line each.
    pub(crate) fn run(&self, sql: &str, statement: &Budget) -> Result<Vec<String>, Failure> {
        let outcome = self.run_in(sql, statement);
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
                self.change(statement, |changes| {
                    changes.create_table(&table, &planned).map_err(Failure::of_store)
                })?;
            }
            return done("CREATE TABLE".to_owned());
        }
        if let Some(drop) = DropTable::of(form) {
            let drop = bind_drop_tables(drop, self, &planned).map_err(Failure::of_plan)?;
            self.change(statement, |changes| changes.drop_tables(&drop).map_err(Failure::of_store))?;
            return done("DROP TABLE".to_owned());
        }
        let (tag, plan) = match Insert::of(form) {
            Some(insert) => ("INSERT 0", plan_insert(insert, self, &planned)),
            None => ("COPY", plan_copy(Copy::of(form).expect("a statement of these tests"), self, &planned)),
        };
        let plan = plan.map_err(Failure::of_plan)?;
        let count = self.change(statement, |changes| self.put(&plan, changes, statement))?;
        done(format!("{tag} {count}"))
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
        self.change(statement, |changes| {
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
                    count += self.put(&plan, changes, statement)?;
                }
            }
            Ok(())
        })?;
        Ok(vec![format!("INSERT 0 {count}")])
    }

    /// Does something in a transaction of its own.
    fn change<T>(
        &self,
        statement: &Budget,
        work: impl FnOnce(&Changes<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut transaction = self.store.begin(statement).map_err(Failure::of_store)?;
        let outcome = work(&Changes::new(&mut transaction))?;
        transaction.commit(Durability::Normal).map_err(Failure::of_store)?;
        Ok(outcome)
    }

    fn rows(&self, plan: &PhysicalPlan<'_>, statement: &Budget) -> Result<Vec<String>, Failure> {
        let arena = Arena::new(statement);
        let workspace = Workspace::new(plan, statement, &arena).map_err(|_| Failure::memory())?;
        let never = || false;
        let tables = Tables::Snapshot(self.store.snapshot().map_err(Failure::of_store)?);
        let mut execution = workspace.execute(plan, tables, &never).map_err(Failure::of_exec)?;
        let mut rows = Vec::new();
        while let Some(batch) = execution.next_batch().map_err(Failure::of_exec)? {
            for row in 0..batch.rows_count() {
                let values = (0..batch.columns().len()).map(|column| show(batch.value(row, column)));
                rows.push(values.collect::<Vec<_>>().join("|"));
            }
        }
        Ok(rows)
    }

    fn put(
        &self,
        plan: &PhysicalPlan<'_>,
        changes: &Changes<'_>,
        statement: &Budget,
    ) -> Result<u64, Failure> {
        let arena = Arena::new(statement);
        let workspace = Workspace::new(plan, statement, &arena).map_err(|_| Failure::memory())?;
        let never = || false;
        let execution = workspace.execute(plan, Tables::Lent(changes), &never);
        let outcome = execution.map_err(Failure::of_exec)?.run_into(changes);
        self.execution_bytes_peak.set(workspace.budget().peak());
        outcome.map_err(Failure::of_exec)
    }
}

fn open(disk: &Arc<SimDisk>) -> Store {
    let vfs: Arc<dyn Vfs> = Arc::clone(disk) as Arc<dyn Vfs>;
    let budget = Budget::root("store", 8 << 20).unwrap();
    Store::open(&vfs, Path::new("/db"), &budget, &Options::new()).unwrap()
}

impl Catalog for World {
    fn table<'a>(&self, name: &str, arena: &'a Arena) -> Result<Option<TableSource<'a>>, CatalogError<'a>> {
        let snapshot = self.store.snapshot().unwrap();
        let Some(table) = snapshot.table(name) else { return Ok(None) };
        match describe(&table, snapshot.view().rows_estimate(table.id()), &mut [], arena) {
            Ok(table) => Ok(Some(TableSource::Stored(table))),
            Err(PropertiesError::OutOfMemory(error)) => Err(CatalogError::OutOfMemory(error)),
            Err(error) => panic!("{error:?}"),
        }
    }

    fn table_names(&self, _visit: &mut dyn FnMut(&str)) {}

    fn statistics<'a>(
        &self,
        table: &StoredTable<'_>,
        columns: &[u32],
        arena: &'a Arena,
    ) -> Result<Option<&'a TableStatistics<'a>>, CatalogError<'a>> {
        let snapshot = self.store.snapshot().unwrap();
        Ok(statistics(snapshot.view(), table, columns, arena)?)
    }

    fn file<'a>(
        &self,
        request: FileRequest<'_>,
        arena: &'a Arena,
    ) -> Result<&'a FileSource<'a>, CatalogError<'a>> {
        sniffed(request.path, request.columns, request.format, arena)
    }
}
