//! Transactions and savepoints as values: what is not committed is rolled back when they go.
//!
//! ```text
//!   Connection ──transaction()──> Transaction ──savepoint()──> Savepoint ──savepoint()──> …
//!                                     │ commit                     │ release
//!                                     └ drop: ROLLBACK             └ drop: ROLLBACK TO
//! ```
//!
//! They do what `BEGIN`, `SAVEPOINT` and their like do as statements, and without parsing any. While a savepoint lives, the
//! transaction that it stands in is borrowed, so that they end in order.

use std::fmt::Write as _;
use std::ops::Deref;

use cofferdam_arena::InlineText;
use cofferdam_plan::table::TransactionStatement;

use crate::connection::Connection;
use crate::error::Error;

/// A transaction of a connection, from [`Connection::transaction`]. Statements run on it as on the connection. Unless it is committed,
/// all that it did is forgotten when it is dropped.
///
/// ```
/// use cofferdam::{Database, Options};
///
/// let connection = Database::open_in_memory(Options::new())?.connect()?;
/// connection.execute("CREATE TABLE t (n integer)")?;
/// let count = || connection.query_row("SELECT count(*) FROM t", |row| row.get::<i64>(0));
///
/// let transaction = connection.transaction()?;
/// transaction.execute("INSERT INTO t VALUES (1), (2)")?;
/// drop(transaction);
/// assert_eq!(count()?, 0);
///
/// let mut transaction = connection.transaction()?;
/// transaction.execute("INSERT INTO t VALUES (1)")?;
/// let savepoint = transaction.savepoint()?;
/// savepoint.execute("DELETE FROM t")?;
/// savepoint.rollback()?;
/// transaction.commit()?;
/// assert_eq!(count()?, 1);
/// # Ok::<(), cofferdam::Error>(())
/// ```
#[derive(Debug)]
pub struct Transaction<'c> {
    connection: &'c Connection,
    is_over: bool,
}

impl<'c> Transaction<'c> {
    pub(crate) fn new(connection: &'c Connection, read_only: bool) -> Result<Transaction<'c>, Error> {
        connection.state().begin(read_only)?;
        Ok(Transaction { connection, is_over: false })
    }

    /// Makes what the transaction did last.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.execute("CREATE TABLE t (n integer, s text)")?;
    /// let transaction = connection.transaction()?;
    /// connection.execute("INSERT INTO t VALUES (1, 'one')")?;
    /// transaction.commit()?;
    /// assert_eq!(connection.execute("TABLE t")?, 1);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// 25P02 when a statement of it has failed: all of it is rolled back then; 40001 when another transaction has changed the same
    /// rows; what the store refuses.
    pub fn commit(mut self) -> Result<(), Error> {
        self.is_over = true;
        match self.connection.state().apply(TransactionStatement::Commit)? {
            "COMMIT" => Ok(()),
            _ => Err(Error::input(
                "25P02",
                None,
                "a statement of the transaction had failed: it is rolled back",
            )),
        }
    }

    /// Forgets what the transaction did.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.execute("CREATE TABLE t (n integer, s text)")?;
    /// let transaction = connection.transaction()?;
    /// connection.execute("INSERT INTO t VALUES (1, 'one')")?;
    /// transaction.rollback()?;
    /// assert_eq!(connection.execute("TABLE t")?, 0);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// None today; dropping it does the same.
    pub fn rollback(mut self) -> Result<(), Error> {
        self.is_over = true;
        self.connection.state().apply(TransactionStatement::Rollback).map(|_| ())
    }

    /// A point that the transaction can go back to.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.execute("CREATE TABLE t (n integer, s text)")?;
    /// let mut transaction = connection.transaction()?;
    /// let savepoint = transaction.savepoint()?;
    /// connection.execute("INSERT INTO t VALUES (1, 'one')")?;
    /// drop(savepoint);
    /// transaction.commit()?;
    /// assert_eq!(connection.execute("TABLE t")?, 0);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// 25P02 in a failed transaction; [`Error::OutOfMemory`].
    pub fn savepoint(&mut self) -> Result<Savepoint<'_>, Error> {
        Savepoint::new(self.connection, 1)
    }
}

impl Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            // Without an error: there is nobody to be told, and nothing is left to be done.
            let _ = self.connection.state().apply(TransactionStatement::Rollback);
        }
    }
}

/// A point in a transaction, from [`Transaction::savepoint`]. What is done from there on is forgotten when it is dropped, and stays in
/// the transaction when it is released. It is also the way back from a statement that has failed.
///
/// ```
/// use cofferdam::{Database, Options};
///
/// let connection = Database::open_in_memory(Options::new())?.connect()?;
/// connection.execute("CREATE TABLE t (n integer, s text)")?;
/// let mut transaction = connection.transaction()?;
/// connection.execute("INSERT INTO t VALUES (1, 'kept')")?;
/// let savepoint = transaction.savepoint()?;
/// connection.execute("INSERT INTO t VALUES (1 / 0, 'wrong')").unwrap_err();
/// drop(savepoint);
/// transaction.commit()?;
/// assert_eq!(connection.execute("TABLE t")?, 1);
/// # Ok::<(), cofferdam::Error>(())
/// ```
#[derive(Debug)]
pub struct Savepoint<'t> {
    connection: &'t Connection,
    depth: u32,
    is_over: bool,
}

impl<'t> Savepoint<'t> {
    fn new(connection: &'t Connection, depth: u32) -> Result<Savepoint<'t>, Error> {
        connection.state().apply(TransactionStatement::Savepoint(name(depth).as_str()))?;
        Ok(Savepoint { connection, depth, is_over: false })
    }

    /// Keeps what was done since, as part of the transaction.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.execute("CREATE TABLE t (n integer, s text)")?;
    /// let mut transaction = connection.transaction()?;
    /// let savepoint = transaction.savepoint()?;
    /// connection.execute("INSERT INTO t VALUES (1, 'one')")?;
    /// savepoint.release()?;
    /// transaction.commit()?;
    /// assert_eq!(connection.execute("TABLE t")?, 1);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// 25P02 when a statement has failed since; what was done since is forgotten then, and the transaction goes on.
    pub fn release(mut self) -> Result<(), Error> {
        let name = name(self.depth);
        self.connection.state().apply(TransactionStatement::Release(name.as_str()))?;
        self.is_over = true;
        Ok(())
    }

    /// Forgets what was done since. The transaction goes on, even if a statement had failed.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.execute("CREATE TABLE t (n integer, s text)")?;
    /// let mut transaction = connection.transaction()?;
    /// let savepoint = transaction.savepoint()?;
    /// connection.execute("INSERT INTO t VALUES (1, 'one')")?;
    /// savepoint.rollback()?;
    /// transaction.commit()?;
    /// assert_eq!(connection.execute("TABLE t")?, 0);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of the store; the transaction has failed then.
    pub fn rollback(mut self) -> Result<(), Error> {
        self.is_over = true;
        self.back()
    }

    /// A point behind this one.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.execute("CREATE TABLE t (n integer, s text)")?;
    /// let mut transaction = connection.transaction()?;
    /// let mut outer = transaction.savepoint()?;
    /// connection.execute("INSERT INTO t VALUES (1, 'outer')")?;
    /// let inner = outer.savepoint()?;
    /// connection.execute("INSERT INTO t VALUES (2, 'inner')")?;
    /// inner.rollback()?;
    /// outer.release()?;
    /// transaction.commit()?;
    /// assert_eq!(connection.execute("TABLE t")?, 1);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Transaction::savepoint`].
    pub fn savepoint(&mut self) -> Result<Savepoint<'_>, Error> {
        Savepoint::new(self.connection, self.depth + 1)
    }

    fn back(&self) -> Result<(), Error> {
        let name = name(self.depth);
        self.connection.state().apply(TransactionStatement::RollbackTo(name.as_str()))?;
        self.connection.state().apply(TransactionStatement::Release(name.as_str())).map(|_| ())
    }
}

impl Deref for Savepoint<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl Drop for Savepoint<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            // A failure leaves a failed transaction, which its own end tells.
            let _ = self.back();
        }
    }
}

/// The name of a savepoint, which no statement is likely to use.
fn name(depth: u32) -> InlineText<24> {
    let mut name = InlineText::EMPTY;
    write!(name, "savepoint {depth}").expect("a number fits");
    name
}
