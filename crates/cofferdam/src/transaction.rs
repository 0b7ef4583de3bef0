//! The transaction of a connection: whether there is one, what it has changed, its savepoints, with PostgreSQL's rules:
//!
//! ```text
//!            BEGIN              a statement fails
//!   idle ──────────────> open ─────────────────────> failed
//!     ^                   │  <── ROLLBACK TO ──────────  │
//!     └── COMMIT, ROLLBACK┴── COMMIT (rolls back), ROLLBACK
//! ```
//!
//! In a failed transaction every statement but `COMMIT`, `ROLLBACK` and `ROLLBACK TO` is refused. A `BEGIN` in a
//! transaction and a `COMMIT` or `ROLLBACK` outside of one change nothing.
//!
//! **What is read.** A statement reads the tables as they were when it began: outside of a transaction a snapshot, in one what
//! the transaction sees up to there. Rows that are still being read when the transaction ends, or goes back to a savepoint,
//! are an error: what they were read from is gone.
//!
//! A transaction of a database in memory that has no tables yet begins in the store when there are some; until then there is nothing to see.
//!
//! **Memory.** Changes, buffers and the names of savepoints, charged to `transaction` below the database's budget as they come, given
//! back when the transaction ends. Outside of a transaction the statement pays.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, Arena, Budget, BudgetAlloc};
use cofferdam_exec::{
    Changes, Lender, Tables, describe, describe_index, describe_view, entries_count, statistics,
};
use cofferdam_plan::catalog::CatalogError;
use cofferdam_plan::physical::KeyRange;
use cofferdam_plan::table::{
    Properties, PropertiesError, StoredIndex, StoredTable, StoredView, TableStatistics, TransactionStatement,
    ViewProperties,
};
use cofferdam_store::{Durability, Savepoint, Store, Table, Transaction, View};

use crate::definitions::{Definitions, Made, Publishing};
use crate::error::{DAMAGED, Error};
use crate::statement::{Statement, guarded};
use crate::stored::StoreSlot;

/// The transaction of a connection.
#[derive(Debug)]
pub(crate) struct TransactionState {
    store: StoreSlot,
    budget: Budget,
    inner: Mutex<Inner>,
    definitions: Arc<Definitions>,
    /// The open transaction has changed some.
    has_defined: AtomicBool,
    /// When the open transaction began, in microseconds since 1970; 0 outside of one.
    began_us: AtomicI64,
}

#[derive(Debug)]
struct Inner {
    phase: Phase,
    is_read_only: bool,
    /// What the store knows of the transaction.
    transaction: Option<Transaction>,
    /// The number of the definitions that the transaction sees, if there was one when it began.
    definitions: Option<u64>,
    /// How often views had been made and tables or views dropped when the transaction was about to do so for the first time.
    dependencies: Option<u64>,
    /// Goes up when what has been read is gone: with each end, and each way back.
    number: u64,
    /// The names of the savepoints, oldest first, one behind the other.
    names: Vec<u8, BudgetAlloc>,
    savepoints: Vec<Named, BudgetAlloc>,
}

/// A savepoint with a name.
#[derive(Clone, Copy, Debug)]
struct Named {
    /// Where the name ends.
    end: usize,
    /// Where the store goes back to.
    point: Option<Savepoint>,
}

/// Where a connection is between `BEGIN` and `COMMIT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Open,
    Failed,
}

impl TransactionState {
    pub(crate) fn new(
        store: &StoreSlot,
        database: &Budget,
        definitions: Arc<Definitions>,
    ) -> Result<TransactionState, Error> {
        let budget = database.child("transaction", u64::MAX).map_err(|_| Error::refused(database))?;
        let inner = Mutex::new(Inner::new(&BudgetAlloc::new(&budget)));
        let has_defined = AtomicBool::new(false);
        let began_us = AtomicI64::new(0);
        Ok(TransactionState { store: store.clone(), budget, inner, definitions, has_defined, began_us })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change is one step, so whoever panicked with the lock has left it whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, with a transaction of the store where there is a store and a transaction.
    ///
    /// # Errors
    /// There is no memory for it.
    fn lock_begun(&self) -> Result<MutexGuard<'_, Inner>, cofferdam_store::Error> {
        let mut inner = self.lock();
        if inner.phase == Phase::Open
            && inner.transaction.is_none()
            && let Some(store) = self.store.get()
        {
            inner.definitions = self.definitions.settled().map(|made| made.version);
            inner.transaction = Some(store.begin(&self.budget)?);
        }
        Ok(inner)
    }

    fn failure(&self, error: cofferdam_store::Error) -> Error {
        Error::from_store(error, || Error::refused(&self.budget))
    }

    /// When the open transaction began, in microseconds since 1970; 0 outside of one.
    pub(crate) fn began_us(&self) -> &AtomicI64 {
        &self.began_us
    }

    // --------------------------------------------------------------------------------------------- statements

    /// Whether a statement may run now.
    ///
    /// # Errors
    /// 25P02 in a failed transaction.
    pub(crate) fn admit(&self) -> Result<(), Error> {
        self.lock().admit()
    }

    /// A statement has changed definitions of tables, or tried to: plans that were made before are none any more.
    pub(crate) fn has_defined(&self) {
        self.has_defined.store(self.lock().phase != Phase::Idle, Ordering::Relaxed);
        self.definitions.changed();
    }

    /// What a plan of this connection is made for now; `None` where it sees other definitions of tables than others do, or nobody can say.
    pub(crate) fn made_for(&self) -> Option<Made> {
        let now = self.definitions.settled()?;
        let inner = self.lock();
        let sees_them = match inner.phase {
            Phase::Idle => true,
            Phase::Open => {
                inner.definitions == Some(now.version) && !self.has_defined.load(Ordering::Relaxed)
            }
            Phase::Failed => false,
        };
        sees_them.then_some(now)
    }

    /// The turn of a statement that makes a view or drops something, and was planned when the number was `seen`. In a transaction it is
    /// the commit that needs one.
    ///
    /// # Errors
    /// 40001 when somebody else has done such a thing since.
    pub(crate) fn publish(&self, seen: u64) -> Result<Option<Publishing<'_>>, Error> {
        let publishing = self.definitions.publish(seen)?;
        let mut inner = self.lock();
        if inner.phase == Phase::Idle {
            drop(inner);
            return Ok(Some(publishing));
        }
        inner.dependencies.get_or_insert(seen);
        Ok(None)
    }

    /// A statement has failed.
    pub(crate) fn fail(&self) {
        let mut inner = self.lock();
        if inner.phase == Phase::Open {
            inner.phase = Phase::Failed;
        }
    }

    /// What a statement reads that begins now.
    ///
    /// # Errors
    /// As [`TransactionState::admit`]; there is no memory for it.
    pub(crate) fn tables<'a>(&'a self, arena: &'a Arena) -> Result<Tables<'a>, Error> {
        let Some(store) = self.store.get() else { return self.admit().map(|()| Tables::None) };
        let inner = self.lock_begun().map_err(|error| self.failure(error))?;
        inner.admit()?;
        let Some(transaction) = &inner.transaction else {
            return Ok(Tables::Snapshot(store.snapshot().map_err(|error| self.failure(error))?));
        };
        let reading = Reading { state: self, number: inner.number, until: transaction.savepoint() };
        Ok(Tables::Lent(arena.alloc(reading).map_err(|_| Error::refused(arena.budget()))?))
    }

    /// Lets a statement change tables: in the transaction, or in one of its own that the statement pays for and that is
    /// committed if all went well.
    ///
    /// # Errors
    /// Those of `work`, those of committing; 25006 in a transaction that changes nothing, 25P02 in a failed one.
    pub(crate) fn change<T>(
        &self,
        verb: &str,
        store: &Store,
        statement: &Statement<'_>,
        work: impl FnOnce(&Changes<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.admit_change(verb)?;
        let mut inner = self.lock_begun().map_err(|error| self.failure(error))?;
        if let Some(transaction) = &mut inner.transaction {
            let outcome = guarded(|| work(&Changes::new(transaction)));
            if let Err(Error::Defect(_)) = outcome {
                // Nobody knows how far the change got.
                inner.abandon();
            }
            return outcome;
        }
        drop(inner);
        let failure = |error| Error::from_store(error, || statement.refused());
        let mut transaction = store.begin(statement.budget()).map_err(failure)?;
        let outcome = work(&Changes::new(&mut transaction))?;
        transaction.commit(Durability::Full).map_err(failure)?;
        Ok(outcome)
    }

    /// Whether a statement that changes tables may run now.
    ///
    /// # Errors
    /// 25006 in a transaction that changes nothing, 25P02 in a failed one.
    pub(crate) fn admit_change(&self, verb: &str) -> Result<(), Error> {
        self.admit()?;
        if self.lock().is_read_only {
            let message = format_args!("cannot execute {verb} in a read-only transaction");
            return Err(Error::input("25006", None, message));
        }
        Ok(())
    }

    // ------------------------------------------------------------------------------------------------- tables

    /// The stored table of a name.
    ///
    /// # Errors
    /// Its definition is damaged or of a later version; there is no memory for it.
    pub(crate) fn table<'a>(
        &self,
        name: &str,
        arena: &'a Arena,
    ) -> Result<Option<&'a StoredTable<'a>>, CatalogError<'a>> {
        let Some(store) = self.store.get() else { return Ok(None) };
        let inner = self.lock_begun().map_err(|_| CatalogError::OutOfMemory(AllocError))?;
        if let Some(transaction) = &inner.transaction {
            let Some(table) = transaction.table(name).filter(|table| !is_view(table)) else {
                return Ok(None);
            };
            return described(&table, transaction.view(), |visit| transaction.tables(visit), arena).map(Some);
        }
        let snapshot = store.snapshot().map_err(|_| CatalogError::OutOfMemory(AllocError))?;
        let Some(table) = snapshot.table(name).filter(|table| !is_view(table)) else { return Ok(None) };
        described(&table, snapshot.view(), |visit| snapshot.tables(visit), arena).map(Some)
    }

    /// The stored view of a name.
    ///
    /// # Errors
    /// As [`TransactionState::table`].
    pub(crate) fn view<'a>(
        &self,
        name: &str,
        arena: &'a Arena,
    ) -> Result<Option<&'a StoredView<'a>>, CatalogError<'a>> {
        let Some(store) = self.store.get() else { return Ok(None) };
        let inner = self.lock_begun().map_err(|_| CatalogError::OutOfMemory(AllocError))?;
        let table = match &inner.transaction {
            Some(transaction) => transaction.table(name),
            None => store.snapshot().map_err(|_| CatalogError::OutOfMemory(AllocError))?.table(name),
        };
        drop(inner);
        let Some(table) = table else { return Ok(None) };
        describe_view(&table, arena).map_err(|error| damaged(table.name(), error, arena))
    }

    /// All stored views.
    ///
    /// # Errors
    /// As [`TransactionState::table`].
    pub(crate) fn views<'a>(&self, arena: &'a Arena) -> Result<&'a [&'a StoredView<'a>], CatalogError<'a>> {
        let mut views = cofferdam_arena::collections::Vec::new_in(arena);
        let mut outcome = Ok(());
        self.for_each_table(&mut |table| {
            if outcome.is_ok() {
                let view = describe_view(table, arena).map_err(|error| damaged(table.name(), error, arena));
                outcome = view.and_then(|view| Ok(views.extend(view)?));
            }
        });
        outcome.map(|()| &*views.into_slice())
    }

    /// The index of a name with its table. Rows are sorted by their primary key and need no other index for it: that of a primary
    /// key's name is the table itself.
    ///
    /// # Errors
    /// As [`TransactionState::table`].
    pub(crate) fn index<'a>(
        &self,
        name: &str,
        arena: &'a Arena,
    ) -> Result<Option<(&'a StoredTable<'a>, StoredIndex<'a>)>, CatalogError<'a>> {
        let mut of = None;
        let mut outcome = Ok(());
        let mut find = |table: &Arc<Table>| match table.parent() {
            Some(parent) if table.name() == name => of = Some(parent),
            None if Properties::has_primary_key(table.properties(), name) => of = Some(table.id()),
            _ => {}
        };
        let mut parent = None;
        self.for_each_table(&mut find);
        self.for_each_table(&mut |table| {
            if of == Some(table.id()) && outcome.is_ok() {
                outcome = arena.alloc_str(table.name()).map(|name| parent = Some(&*name));
            }
        });
        outcome.map_err(CatalogError::OutOfMemory)?;
        let Some(table) = parent.map(|parent| self.table(parent, arena)).transpose()?.flatten() else {
            return Ok(None);
        };
        let index = table.indexes.iter().find(|index| index.name == name).copied();
        let index = match index {
            None if table.key_name == name => {
                let columns = arena.alloc_slice_from_iter(table.key.iter().map(|part| part.column))?;
                let StoredTable { id, key_name, key, .. } = *table;
                Some(StoredIndex { id, name: key_name, columns, key, is_unique: true, is_constraint: true })
            }
            index => index,
        };
        Ok(index.map(|index| (table, index)))
    }

    /// What is known of the values of a stored table.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(crate) fn statistics<'a>(
        &self,
        table: &StoredTable<'_>,
        columns: &[u32],
        arena: &'a Arena,
    ) -> Result<Option<&'a TableStatistics<'a>>, AllocError> {
        let Some(store) = self.store.get() else { return Ok(None) };
        let inner = self.lock_begun().map_err(|_| AllocError)?;
        if let Some(transaction) = &inner.transaction {
            return statistics(transaction.view(), table, columns, arena);
        }
        let snapshot = store.snapshot().map_err(|_| AllocError)?;
        statistics(snapshot.view(), table, columns, arena)
    }

    /// How many entries an index has in these ranges, counted up to `most`.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(crate) fn entries_count(
        &self,
        index: &StoredIndex<'_>,
        ranges: &[KeyRange<'_>],
        most: usize,
        scratch: &Arena,
    ) -> Result<Option<usize>, AllocError> {
        let Some(store) = self.store.get() else { return Ok(None) };
        let inner = self.lock_begun().map_err(|_| AllocError)?;
        if let Some(transaction) = &inner.transaction {
            return entries_count(transaction.view(), index, ranges, most, scratch);
        }
        let snapshot = store.snapshot().map_err(|_| AllocError)?;
        entries_count(snapshot.view(), index, ranges, most, scratch)
    }

    /// Gives the names of the stored tables and views to `visit`.
    pub(crate) fn table_names(&self, visit: &mut dyn FnMut(&str)) {
        self.for_each_table(&mut |table| {
            if table.parent().is_none() {
                visit(table.name());
            }
        });
    }

    /// Gives the stored tables and their indexes to `visit`.
    fn for_each_table(&self, visit: &mut dyn FnMut(&Arc<Table>)) {
        // Without memory for a snapshot there is nothing to see; who needs the table is told so.
        let Ok(inner) = self.lock_begun() else { return };
        match (&inner.transaction, self.store.get()) {
            (Some(transaction), _) => transaction.tables(visit),
            (None, Some(store)) => {
                if let Ok(snapshot) = store.snapshot() {
                    snapshot.tables(visit);
                }
            }
            (None, None) => {}
        }
    }

    // ------------------------------------------------------------------------------------------------ control

    /// Does what a statement asks for, and gives the command tag.
    ///
    /// # Errors
    /// 25P01 for savepoints outside of a transaction, 3B001 for one that there is not, 25P02 in a failed transaction; what the
    /// store refuses, after which there is no transaction where it was to be committed.
    pub(crate) fn apply(&self, statement: TransactionStatement<'_>) -> Result<&'static str, Error> {
        let has_defined = self.has_defined.load(Ordering::Relaxed);
        let _changing = has_defined.then(|| self.definitions.begin());
        let outcome = self.apply_in_turn(statement);
        // What others see of tables has changed, or what this connection does.
        let is_end = self.lock().phase == Phase::Idle;
        let is_way_back = is_end || matches!(statement, TransactionStatement::RollbackTo(_));
        if is_way_back && has_defined {
            self.has_defined.store(!is_end, Ordering::Relaxed);
            self.definitions.changed();
        }
        outcome
    }

    /// A commit of what made a view or dropped something waits for its turn, and comes to nothing where others have had theirs since.
    fn apply_in_turn(&self, statement: TransactionStatement<'_>) -> Result<&'static str, Error> {
        let inner = self.lock();
        let seen = inner.dependencies.filter(|_| inner.phase == Phase::Open);
        drop(inner);
        let (Some(seen), TransactionStatement::Commit) = (seen, statement) else {
            return self.apply_alone(statement);
        };
        match self.definitions.publish(seen) {
            Ok(publishing) => self.apply_alone(statement).inspect(|_| publishing.done()),
            Err(error) => {
                self.apply_alone(TransactionStatement::Rollback)?;
                Err(error)
            }
        }
    }

    /// Whether the connection is in no transaction.
    pub(crate) fn is_idle(&self) -> bool {
        self.lock().phase == Phase::Idle
    }

    /// Begins a transaction of a connection that is in none.
    ///
    /// # Errors
    /// 25001 in a transaction; what the store refuses.
    pub(crate) fn begin(&self, read_only: bool) -> Result<(), Error> {
        let mut inner = self.lock();
        if inner.phase != Phase::Idle {
            return Err(Error::input("25001", None, "there is already a transaction in progress"));
        }
        self.begin_in(&mut inner, read_only)
    }

    fn begin_in(&self, inner: &mut Inner, read_only: bool) -> Result<(), Error> {
        inner.definitions = self.definitions.settled().map(|made| made.version);
        let begin = |store: &Store| store.begin(&self.budget).map_err(|error| self.failure(error));
        inner.transaction = self.store.get().map(begin).transpose()?;
        inner.phase = Phase::Open;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.began_us.store(i64::try_from(since.as_micros()).unwrap_or(i64::MAX), Ordering::Relaxed);
        inner.dependencies = None;
        inner.is_read_only = read_only;
        Ok(())
    }

    fn apply_alone(&self, statement: TransactionStatement<'_>) -> Result<&'static str, Error> {
        let mut inner = self.lock();
        match (statement, inner.phase) {
            (TransactionStatement::Begin { read_only }, Phase::Idle) => {
                self.begin_in(&mut inner, read_only)?;
                Ok("BEGIN")
            }
            (TransactionStatement::Begin { .. }, Phase::Open) => Ok("BEGIN"),
            (TransactionStatement::Commit, Phase::Failed) | (TransactionStatement::Rollback, _) => {
                self.began_us.store(0, Ordering::Relaxed);
                inner.end();
                Ok("ROLLBACK")
            }
            (TransactionStatement::Commit, _) => {
                self.began_us.store(0, Ordering::Relaxed);
                if let Some(transaction) = inner.end() {
                    transaction.commit(Durability::Full).map_err(|error| self.failure(error))?;
                }
                Ok("COMMIT")
            }
            (TransactionStatement::Savepoint(_), Phase::Idle) => Err(outside("SAVEPOINT")),
            (TransactionStatement::RollbackTo(_), Phase::Idle) => Err(outside("ROLLBACK TO SAVEPOINT")),
            (TransactionStatement::Release(_), Phase::Idle) => Err(outside("RELEASE SAVEPOINT")),
            (TransactionStatement::RollbackTo(name), _) => {
                let index = inner.find(name)?;
                inner.back_to(index).map_err(|error| self.failure(error))?;
                Ok("ROLLBACK")
            }
            (_, Phase::Failed) => Err(aborted()),
            (TransactionStatement::Savepoint(name), Phase::Open) => {
                inner.push(name).map_err(|_| Error::refused(&self.budget))?;
                Ok("SAVEPOINT")
            }
            (TransactionStatement::Release(name), Phase::Open) => {
                let index = inner.find(name)?;
                inner.keep(index);
                Ok("RELEASE")
            }
        }
    }
}

/// Whether what the store has as a table is a view.
fn is_view(table: &Table) -> bool {
    ViewProperties::are_of_view(table.properties())
}

/// What a plan knows of a table; `tables` gives all tables and indexes.
fn described<'a>(
    table: &Table,
    view: View<'_>,
    tables: impl FnOnce(&mut dyn FnMut(&Arc<Table>)),
    arena: &'a Arena,
) -> Result<&'a StoredTable<'a>, CatalogError<'a>> {
    let mut indexes = cofferdam_arena::collections::Vec::new_in(arena);
    let mut outcome = Ok(());
    tables(&mut |index| {
        if outcome.is_ok() && index.parent() == Some(table.id()) {
            outcome = describe_index(index, arena).and_then(|index| indexes.push(index));
        }
    });
    outcome.map_err(CatalogError::OutOfMemory)?;
    let described = describe(table, view.rows_estimate(table.id()), indexes.into_slice(), arena);
    described.map_err(|error| damaged(table.name(), error, arena))
}

/// What a statement of a transaction reads: what that had seen when the statement began.
#[derive(Clone, Copy, Debug)]
struct Reading<'c> {
    state: &'c TransactionState,
    number: u64,
    until: Savepoint,
}

impl Lender for Reading<'_> {
    fn with_view(
        &self,
        read: &mut dyn FnMut(View<'_>) -> Result<usize, cofferdam_store::Error>,
    ) -> Result<usize, cofferdam_store::Error> {
        let inner = self.state.lock();
        match &inner.transaction {
            Some(transaction) if inner.number == self.number => read(transaction.view_at(self.until)),
            _ => Err(cofferdam_store::Error::Cancelled),
        }
    }
}

impl Inner {
    /// As [`TransactionState::admit`].
    fn admit(&self) -> Result<(), Error> {
        match self.phase {
            Phase::Idle | Phase::Open => Ok(()),
            Phase::Failed => Err(aborted()),
        }
    }

    fn new(alloc: &BudgetAlloc) -> Inner {
        let (names, savepoints) = (Vec::new_in(alloc.clone()), Vec::new_in(alloc.clone()));
        Inner {
            phase: Phase::Idle,
            is_read_only: false,
            transaction: None,
            definitions: None,
            dependencies: None,
            number: 0,
            names,
            savepoints,
        }
    }

    /// The transaction is over, whichever way.
    fn end(&mut self) -> Option<Transaction> {
        let (alloc, number) = (self.names.allocator().clone(), self.number + 1);
        std::mem::replace(self, Inner { number, ..Inner::new(&alloc) }).transaction
    }

    /// Forgets everything that the transaction did. Nothing but its end is left to do.
    fn abandon(&mut self) {
        self.end();
        self.phase = Phase::Failed;
    }

    fn push(&mut self, name: &str) -> Result<(), AllocError> {
        self.savepoints.try_reserve(1).map_err(|_| AllocError)?;
        self.names.try_reserve(name.len()).map_err(|_| AllocError)?;
        self.names.extend_from_slice(name.as_bytes());
        let point = self.transaction.as_ref().map(Transaction::savepoint);
        self.savepoints.push(Named { end: self.names.len(), point });
        Ok(())
    }

    /// The newest savepoint of a name.
    fn find(&self, name: &str) -> Result<usize, Error> {
        let start = |index: usize| {
            index.checked_sub(1).and_then(|before| self.savepoints.get(before)).map_or(0, |named| named.end)
        };
        let is_it = |index: &usize| {
            let end = self.savepoints.get(*index).map_or(0, |named| named.end);
            self.names.get(start(*index)..end) == Some(name.as_bytes())
        };
        (0..self.savepoints.len())
            .rev()
            .find(is_it)
            .ok_or_else(|| Error::input("3B001", None, format_args!("savepoint \"{name}\" does not exist")))
    }

    /// Forgets all savepoints but the first so many.
    fn keep(&mut self, count: usize) {
        self.savepoints.truncate(count);
        self.names.truncate(self.savepoints.last().map_or(0, |named| named.end));
    }

    /// Forgets what was done since a savepoint, which stays.
    fn back_to(&mut self, index: usize) -> Result<(), cofferdam_store::Error> {
        self.number += 1;
        let point = self.savepoints.get(index).and_then(|named| named.point);
        match (&mut self.transaction, point) {
            (Some(transaction), Some(point)) => {
                self.phase = Phase::Failed;
                transaction.rollback_to(point)?;
            }
            // There was no store yet: all of it came later.
            (_, None) => self.transaction = None,
            (None, Some(_)) => {}
        }
        self.keep(index + 1);
        self.phase = Phase::Open;
        Ok(())
    }
}

/// A definition that cannot be read.
fn damaged<'a>(table: &str, error: PropertiesError, arena: &'a Arena) -> CatalogError<'a> {
    let (sqlstate, message) = match error {
        PropertiesError::OutOfMemory(error) => return CatalogError::OutOfMemory(error),
        PropertiesError::Version(version) => (
            "0A000",
            arena.alloc_fmt(format_args!(
                "the definition of table \"{table}\" is of the newer version {version}"
            )),
        ),
        PropertiesError::Corrupt { at, expected } => (
            DAMAGED,
            arena.alloc_fmt(format_args!(
                "the definition of table \"{table}\" is damaged at byte {at}: {expected} was expected"
            )),
        ),
    };
    match message {
        Ok(message) => CatalogError::Source { sqlstate, message },
        Err(error) => CatalogError::OutOfMemory(error),
    }
}

fn aborted() -> Error {
    let message = "current transaction is aborted, commands ignored until end of transaction block";
    Error::input("25P02", None, message).with_hint("ROLLBACK ends it")
}

fn outside(what: &str) -> Error {
    let message = format_args!("{what} can only be used in transaction blocks");
    Error::input("25P01", None, message).with_hint("BEGIN starts one")
}

#[cfg(test)]
mod tests {
    use super::*;
    use TransactionStatement::{Begin, Commit, Release, Rollback, RollbackTo, Savepoint};

    const BEGIN: TransactionStatement<'_> = Begin { read_only: false };

    fn state() -> TransactionState {
        let budget = Budget::unlimited("db").unwrap();
        TransactionState::new(&StoreSlot::default(), &budget, Arc::default()).unwrap()
    }

    /// The tags and SQLSTATEs of statements one after the other.
    fn run(state: &TransactionState, statements: &[TransactionStatement<'_>]) -> std::vec::Vec<&'static str> {
        let outcome = |statement: &TransactionStatement<'_>| match state.apply(*statement) {
            Ok(tag) => tag,
            Err(error) => error.sqlstate(),
        };
        statements.iter().map(outcome).collect()
    }

    #[test]
    fn savepoints_are_a_stack_of_names() {
        let state = state();
        let statements = [
            Savepoint("a"),
            BEGIN,
            Savepoint("a"),
            Savepoint("b"),
            Savepoint("a"),
            RollbackTo("b"),
            RollbackTo("b"),
            Release("b"),
            RollbackTo("b"),
            RollbackTo("a"),
            Release("a"),
            Release("a"),
            Commit,
            Release("a"),
            RollbackTo("a"),
        ];
        let expected = [
            "25P01",
            "BEGIN",
            "SAVEPOINT",
            "SAVEPOINT",
            "SAVEPOINT",
            "ROLLBACK",
            "ROLLBACK",
            "RELEASE",
            "3B001",
            "ROLLBACK",
            "RELEASE",
            "3B001",
            "COMMIT",
            "25P01",
            "25P01",
        ];
        assert_eq!(run(&state, &statements), expected);
    }

    #[test]
    fn a_failed_transaction_takes_nothing_but_its_end() {
        let state = state();
        state.fail();
        assert!(state.admit().is_ok(), "outside of a transaction a failure is over at once");
        assert_eq!(run(&state, &[BEGIN, Savepoint("a")]), ["BEGIN", "SAVEPOINT"]);
        state.fail();
        assert_eq!(state.admit().unwrap_err().sqlstate(), "25P02");
        assert_eq!(run(&state, &[Savepoint("b"), BEGIN, Release("a")]), ["25P02", "25P02", "25P02"]);
        assert_eq!(run(&state, &[RollbackTo("b"), RollbackTo("a")]), ["3B001", "ROLLBACK"]);
        assert!(state.admit().is_ok());
        state.fail();
        assert_eq!(run(&state, &[Commit, Commit, Rollback]), ["ROLLBACK", "COMMIT", "ROLLBACK"]);
        assert!(state.admit().is_ok());
    }

    #[test]
    fn names_are_paid_for() {
        let budget = Budget::root("root", 1 << 20).unwrap().child("db", 4 << 10).unwrap();
        let state = TransactionState::new(&StoreSlot::default(), &budget, Arc::default()).unwrap();
        let name = "n".repeat(1000);
        assert_eq!(run(&state, &[BEGIN]), ["BEGIN"]);
        let taken = (0..10).take_while(|_| run(&state, &[Savepoint(&name)]) == ["SAVEPOINT"]).count();
        assert!((1..10).contains(&taken) && budget.used() > 0, "{taken}");
        assert_eq!(run(&state, &[Rollback]), ["ROLLBACK"]);
        assert_eq!(budget.used(), 0);
    }
}
