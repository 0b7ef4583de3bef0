//! A connection: tables by name, and statements one after the other or several at once.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cofferdam_types::Type;

use crate::catalog::Tables;
use crate::database::Database;
use crate::error::Error;
use crate::params::Params;
use crate::prepared::Prepared;
use crate::rows::{Row, Rows};
use crate::session::Session;
use crate::statement::{Statement, Text};
use crate::transaction::TransactionState;

/// A connection to a database.
///
/// **Memory.** The names, paths and columns of registered tables are held in `catalog` below the database's budget; names
/// of savepoints while a transaction is open.
///
/// **Transactions.** Each statement is one of its own, or they are those between `BEGIN` and `COMMIT`; when one of these
/// fails, the others are refused until `ROLLBACK`. A transaction sees what was committed when it began, and its own changes;
/// of two that change the same row the first to commit wins, and the other's commit is [`Error::Retry`]. What `COMMIT` has
/// acknowledged is on disk.
#[derive(Debug)]
pub struct Connection {
    database: Database,
    tables: Tables,
    transaction: TransactionState,
    session: Session,
    is_cancelled: Arc<AtomicBool>,
}

impl Connection {
    pub(crate) fn new(database: Database) -> Result<Connection, Error> {
        let tables = Tables::new(database.db())?;
        let transaction =
            TransactionState::new(database.store(), database.db(), database.tables_version_counter())?;
        let (session, is_cancelled) = (Session::new(), Arc::new(AtomicBool::new(false)));
        Ok(Connection { database, tables, transaction, session, is_cancelled })
    }

    /// The database.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Makes a delimited file known as the table `name`. With a `schema` (a name and a type for each column) the file
    /// is opened by the statements that use it; without one they look for a header and sniff the types. A file that
    /// ends in `.tbl` has `|` between fields and at the end of each row, and no header.
    ///
    /// A table that was registered under the same name is forgotten.
    ///
    /// # Errors
    /// [`Error::Input`] for a path that is not UTF-8, [`Error::OutOfMemory`] when the database has no room for the
    /// names.
    pub fn register_file(
        &mut self,
        name: &str,
        path: impl AsRef<Path>,
        schema: Option<&[(&str, Type)]>,
    ) -> Result<(), Error> {
        let path = path.as_ref();
        let path = path.to_str().ok_or_else(|| {
            Error::input("22021", None, format_args!("the path \"{}\" is not UTF-8", path.display()))
        })?;
        self.tables.register(name, path, schema)
    }

    /// A statement that will be parsed and planned by [`Statement::prepare`].
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] when the database has no room for the statement's budgets.
    pub fn statement<'c>(&'c self, sql: &'c str) -> Result<Statement<'c>, Error> {
        Statement::new(self, "statement", |_| Ok(Text::Given(sql)))
    }

    /// Plans a statement that may have parameters `$1`, `$2` …, to be run with values for them as often as one likes.
    ///
    /// # Errors
    /// Whatever is wrong with the statement; 42P18 for a parameter whose type cannot be told.
    pub fn prepare(&self, sql: &str) -> Result<Prepared<'_>, Error> {
        Prepared::new(self, sql)
    }

    /// Runs one statement, hands its answer to `read`, and gives all its memory back.
    ///
    /// # Errors
    /// Whatever is wrong with the statement, and what `read` returns.
    pub fn query<T>(
        &self,
        sql: &str,
        read: impl FnOnce(&mut Rows<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut statement = self.statement(sql)?;
        let query = statement.prepare()?;
        let mut rows = query.rows()?;
        read(&mut rows)
    }

    /// Runs one statement to its end, and gives the number of its rows: of its answer, or those that it changed.
    ///
    /// # Errors
    /// Whatever is wrong with the statement.
    pub fn execute(&self, sql: &str) -> Result<u64, Error> {
        self.query(sql, |rows| rows.run_out())
    }

    /// As [`Connection::query`], with values for the parameters `$1`, `$2` …
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let rows_count = connection.query_with("VALUES ($1), ($1 + 1)", [5], |rows| {
    ///     while rows.next_row()?.is_some() {}
    ///     Ok(rows.rows_count())
    /// })?;
    /// assert_eq!(rows_count, 2);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Connection::query`], and those of values for parameters: see [`Prepared::query`].
    pub fn query_with<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&mut Rows<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut statement = self.statement(sql)?.takes_parameters();
        let query = statement.prepare()?;
        let mut rows = query.rows_with(&params)?;
        read(&mut rows)
    }

    /// Runs one statement, and hands the first row of its answer to `read`.
    ///
    /// # Errors
    /// Whatever is wrong with the statement; P0002 when there is no row; those of `read`.
    pub fn query_row<T>(
        &self,
        sql: &str,
        read: impl FnOnce(Row<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.query(sql, |rows| rows.first(read))
    }

    /// As [`Connection::query_row`], with values for parameters.
    ///
    /// # Errors
    /// As [`Connection::query_row`] and [`Connection::query_with`].
    pub fn query_row_with<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(Row<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.query_with(sql, params, |rows| rows.first(read))
    }

    /// As [`Connection::execute`], with values for parameters.
    ///
    /// # Errors
    /// As [`Connection::query_with`].
    pub fn execute_with(&self, sql: &str, params: impl Params) -> Result<u64, Error> {
        self.query_with(sql, params, |rows| rows.run_out())
    }

    /// A handle that cancels the statements of this connection from another thread or a signal's handler.
    pub fn canceller(&self) -> Canceller {
        Canceller { flag: Arc::clone(&self.is_cancelled) }
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.tables
    }

    pub(crate) fn transaction(&self) -> &TransactionState {
        &self.transaction
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// What was cancelled before is over.
    pub(crate) fn forget_cancels(&self) {
        self.is_cancelled.store(false, Ordering::Relaxed);
    }

    pub(crate) fn cancel_flag(&self) -> &AtomicBool {
        &self.is_cancelled
    }
}

/// Cancels the statements of a connection: see [`Connection::canceller`].
#[derive(Clone, Debug)]
pub struct Canceller {
    flag: Arc<AtomicBool>,
}

impl Canceller {
    /// Ends every statement that runs on the connection now with SQLSTATE 57014, at its next batch. Statements that are
    /// prepared later are not affected.
    pub fn cancel(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// The flag that [`Canceller::cancel`] sets, for those who can set a flag and call nothing: registries of signal
    /// handlers.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }
}
