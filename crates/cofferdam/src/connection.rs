//! A connection: tables by name, and statements one after the other or several at once.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cofferdam_types::Type;

use crate::catalog::Tables;
use crate::database::Database;
use crate::error::Error;
use crate::rows::Rows;
use crate::statement::Statement;
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
    is_cancelled: Arc<AtomicBool>,
}

impl Connection {
    pub(crate) fn new(database: Database) -> Result<Connection, Error> {
        let tables = Tables::new(database.db())?;
        let transaction = TransactionState::new(database.store(), database.db())?;
        Ok(Connection { database, tables, transaction, is_cancelled: Arc::new(AtomicBool::new(false)) })
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
        Statement::new(self, sql)
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
        self.query(sql, |rows| {
            while rows.next_batch()?.is_some() {}
            Ok(rows.rows_count())
        })
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
