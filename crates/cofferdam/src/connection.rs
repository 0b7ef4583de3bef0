//! A connection: tables by name, and statements one after the other or several at once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cofferdam_arena::{AllocError, Arena};
use cofferdam_exec::Progress;
use cofferdam_sql::statements;
use cofferdam_types::Type;

use crate::appender::Appender;
use crate::catalog::Tables;
use crate::database::Database;
use crate::definitions::Made;
use crate::error::Error;
use crate::guard::Transaction;
use crate::named::Named;
use crate::params::Params;
use crate::plan_cache::Use;
use crate::prepared::Prepared;
use crate::rows::{Row, Rows};
use crate::session::{Session, TIMEOUT_MS_MAX};
use crate::statement::{Statement, Text};
use crate::transaction::TransactionState;
use crate::watch::{Canceller, ProgressHandler, Watch};

/// A connection to a database.
///
/// **Memory.** The names, paths and columns of registered tables are held in `catalog` below the database's budget; names
/// of savepoints while a transaction is open.
///
/// **Transactions.** Each statement is one of its own, or they are those between `BEGIN` and `COMMIT`; when one of these
/// fails, the others are refused until `ROLLBACK`. A transaction sees what was committed when it began, and its own changes;
/// of two that change the same row the first to commit wins, and the other's commit is [`Error::Retry`]. What `COMMIT` has
/// acknowledged is on disk.
///
/// ```
/// use cofferdam::{Database, Options};
///
/// let connection = Database::open_in_memory(Options::new())?.connect()?;
/// connection.execute_batch("CREATE TABLE t (n integer); BEGIN; INSERT INTO t VALUES (1)")?;
/// connection.execute("INSERT INTO t VALUES (1 / 0)").unwrap_err();
/// assert_eq!(connection.execute("SELECT 1").unwrap_err().sqlstate(), "25P02");
/// connection.execute("ROLLBACK")?;
/// assert_eq!(connection.query_row("SELECT count(*) FROM t", |row| row.get::<i64>(0))?, 0);
/// # Ok::<(), cofferdam::Error>(())
/// ```
#[derive(Debug)]
pub struct Connection {
    database: Database,
    tables: Tables,
    transaction: TransactionState,
    session: Session,
    named: Arc<Named>,
    watch: Watch,
    progress: Arc<Progress>,
}

impl Connection {
    pub(crate) fn new(database: Database) -> Result<Connection, Error> {
        let tables = Tables::new(database.db())?;
        let definitions = Arc::clone(database.definitions());
        let transaction = TransactionState::new(database.store(), database.db(), definitions)?;
        let named = Arc::new(Named::new(database.db()));
        let (session, watch, progress) = (Session::new(), Watch::default(), Arc::new(Progress::new()));
        Ok(Connection { database, tables, transaction, session, named, watch, progress })
    }

    /// The database.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let another = connection.database().connect()?;
    /// connection.execute("CREATE TABLE t (n integer)")?;
    /// assert_eq!(another.execute("INSERT INTO t VALUES (1)")?, 1);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Makes a delimited file known as the table `name`. With a `schema` (a name and a type for each column) the file
    /// is opened by the statements that use it; without one they look for a header and sniff the types. A file that
    /// ends in `.tbl` has `|` between fields and at the end of each row, and no header.
    ///
    /// A table that was registered under the same name is forgotten.
    ///
    /// ```
    /// use cofferdam::{Database, Options, Type};
    ///
    /// let path = std::env::temp_dir().join(format!("cofferdam-doc-{}.csv", std::process::id()));
    /// std::fs::write(&path, "1,one\n2,two\n").expect("room for a small file");
    /// let mut connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.register_file("words", &path, Some(&[("n", Type::Integer), ("word", Type::Text)]))?;
    /// let word: String = connection.query_row("SELECT word FROM words WHERE n = 2", |row| row.get(0))?;
    /// assert_eq!(word, "two");
    /// # std::fs::remove_file(&path).expect("it was made above");
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
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

    /// A statement that will be parsed and planned by [`Statement::prepare`]. [`Connection::query`] and its like do all that at once.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let mut statement = connection.statement("VALUES (1), (2)")?;
    /// let query = statement.prepare()?;
    /// assert_eq!(query.columns()[0].name, "column1");
    /// let mut rows = query.rows()?;
    /// assert_eq!(rows.next_row()?.expect("two rows").get::<i32>(0)?, 1);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] when the database has no room for the statement's budgets.
    pub fn statement<'c>(&'c self, sql: &'c str) -> Result<Statement<'c>, Error> {
        Statement::new(self, "statement", |_| Ok(Text::Given(sql)))
    }

    /// Plans a statement that may have parameters `$1`, `$2` …, to be run with values for them as often as one likes.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.execute("CREATE TABLE t (id integer PRIMARY KEY, name text)")?;
    /// let mut insert = connection.prepare("INSERT INTO t VALUES ($1, $2)")?;
    /// for (id, name) in [(1, Some("one")), (2, None)] {
    ///     assert_eq!(insert.execute((id, name))?, 1);
    /// }
    /// let mut get = connection.prepare("SELECT name FROM t WHERE id = $1")?;
    /// assert_eq!(get.query_row([1], |row| row.get::<Option<String>>(0))?.as_deref(), Some("one"));
    /// assert_eq!(get.query_row([2], |row| row.get::<Option<String>>(0))?, None);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// Whatever is wrong with the statement; 42P18 for a parameter whose type cannot be told.
    pub fn prepare(&self, sql: &str) -> Result<Prepared<'_>, Error> {
        Prepared::new(self, sql, Use::Never)
    }

    /// The same of a plan that is kept when the value goes, and found again by its text, by whatever connection, as long as it is good and
    /// there is memory: the setting `plan_cache_size`. Texts that [`Connection::query`] and its like run again are kept as well.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.execute("CREATE TABLE t (id integer PRIMARY KEY, name text)")?;
    /// let name_of = |id: i32| {
    ///     let mut get = connection.prepare_cached("SELECT name FROM t WHERE id = $1")?;
    ///     get.query_row([id], |row| row.get::<String>(0))
    /// };
    /// assert_eq!(name_of(1).unwrap_err().sqlstate(), "P0002");
    /// connection.execute("INSERT INTO t VALUES (1, 'one')")?;
    /// assert_eq!(name_of(1)?, "one");
    /// assert_eq!(connection.database().plan_cache_counts().hits_count, 1);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Connection::prepare`].
    pub fn prepare_cached(&self, sql: &str) -> Result<Prepared<'_>, Error> {
        Prepared::new(self, sql, Use::Always)
    }

    /// Runs one statement, hands its answer to `read`, and gives all its memory back.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let total = connection.query("SELECT n FROM (VALUES (1), (2), (3)) AS t(n)", |rows| {
    ///     let mut total = 0;
    ///     while let Some(row) = rows.next_row()? {
    ///         total += row.get::<i64>("n")?;
    ///     }
    ///     Ok(total)
    /// })?;
    /// assert_eq!(total, 6);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
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
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.execute("CREATE TABLE t (n integer)")?;
    /// assert_eq!(connection.execute("INSERT INTO t VALUES (1), (2)")?, 2);
    /// assert_eq!(connection.execute("UPDATE t SET n = n + 1 WHERE n = 2")?, 1);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
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
        let mut statement = self.statement(sql)?.with_parameters();
        let query = statement.prepare()?;
        let mut rows = query.rows_with(&params)?;
        read(&mut rows)
    }

    /// Runs one statement, and hands the first row of its answer to `read`.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let pi: f64 = connection.query_row("SELECT pi()", |row| row.get(0))?;
    /// assert_eq!(pi, std::f64::consts::PI);
    /// let none = connection.query_row("SELECT 1 WHERE false", |row| row.get::<i32>(0));
    /// assert_eq!(none.unwrap_err().sqlstate(), "P0002");
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
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
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let sum: i32 = connection.query_row_with("SELECT $1 + $2::integer", (40, 2), |row| row.get(0))?;
    /// assert_eq!(sum, 42);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
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
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.execute("CREATE TABLE t (n integer, s text)")?;
    /// assert_eq!(connection.execute_with("INSERT INTO t VALUES ($1, $2)", (1, "one"))?, 1);
    /// assert_eq!(connection.execute_with("DELETE FROM t WHERE n = $1", [2])?, 0);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Connection::query_with`].
    pub fn execute_with(&self, sql: &str, params: impl Params) -> Result<u64, Error> {
        self.query_with(sql, params, |rows| rows.run_out())
    }

    /// Runs the statements of a text one after the other, each of them as [`Connection::execute`] does: outside of a transaction each is
    /// one of its own. Answers are thrown away.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.execute_batch("CREATE TABLE t (n integer); INSERT INTO t VALUES (1), (2);")?;
    /// assert_eq!(connection.query_row("SELECT sum(n) FROM t", |row| row.get::<i64>(0))?, 3);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of the first statement that fails, with its place in the whole text; those before it have been run.
    pub fn execute_batch(&self, sql: &str) -> Result<(), Error> {
        for span in statements(sql) {
            let (start, end) = (span.start as usize, span.start as usize + span.len as usize);
            self.execute(&sql[start..end]).map_err(|error| error.moved(span.start))?;
        }
        Ok(())
    }

    /// Puts many rows into the table of this name, in bounded memory: see [`Appender`]. The name is taken as it is written, without folding.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.execute("CREATE TABLE t (n integer, s text)")?;
    /// let mut appender = connection.appender("t")?;
    /// appender.append((1, Some("one")))?;
    /// appender.append((2, None::<&str>))?;
    /// assert_eq!(appender.finish()?, 2);
    /// assert_eq!(connection.appender("T").unwrap_err().sqlstate(), "42P01");
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// 42P01 when there is no such table; [`Error::OutOfMemory`].
    pub fn appender(&self, table: &str) -> Result<Appender<'_>, Error> {
        Appender::new(self, table, None)
    }

    /// The same for some columns of the table, in this order; the others have their defaults.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.execute("CREATE TABLE t (n integer, s text DEFAULT 'none')")?;
    /// let mut appender = connection.appender_of("t", &["n"])?;
    /// appender.append([7])?;
    /// appender.finish()?;
    /// assert_eq!(connection.query_row("SELECT s FROM t", |row| row.get::<String>(0))?, "none");
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Connection::appender`]; 42703 when there is no such column, 42701 for one that comes twice.
    pub fn appender_of(&self, table: &str, columns: &[&str]) -> Result<Appender<'_>, Error> {
        Appender::new(self, table, Some(columns))
    }

    /// Plans a statement whose text is made for it.
    pub(crate) fn prepare_text(
        &self,
        text: impl for<'a> FnOnce(&'a Arena) -> Result<&'a str, AllocError>,
    ) -> Result<Prepared<'_>, Error> {
        let db = self.database.db();
        let arena = Arena::new(db);
        self.prepare(text(&arena).map_err(|_| Error::refused(db))?)
    }

    /// Begins a transaction that is rolled back when the value goes, unless it is committed.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.execute("CREATE TABLE t (n integer, s text)")?;
    /// let transaction = connection.transaction()?;
    /// connection.execute("INSERT INTO t VALUES (1, 'one')")?;
    /// drop(transaction);
    /// assert_eq!(connection.query_row("SELECT count(*) FROM t", |row| row.get::<i64>(0))?, 0);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// 25001 when the connection is in one already; [`Error::OutOfMemory`].
    pub fn transaction(&self) -> Result<Transaction<'_>, Error> {
        Transaction::new(self, false)
    }

    /// The same of a transaction that changes nothing (25006): it sees the tables as they were when it began.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.execute("CREATE TABLE t (n integer, s text)")?;
    /// let transaction = connection.read_transaction()?;
    /// assert_eq!(connection.execute("INSERT INTO t VALUES (1, 'one')").unwrap_err().sqlstate(), "25006");
    /// transaction.rollback()?;
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Connection::transaction`].
    pub fn read_transaction(&self) -> Result<Transaction<'_>, Error> {
        Transaction::new(self, true)
    }

    /// Ends statements that run longer than this, counted from when they begin to run, with SQLSTATE 57014; `None` lets them run as
    /// long as they like, as at first. It is the setting `statement_timeout`, in whole milliseconds. It is asked before each batch of rows and
    /// inside of long work.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.set_statement_timeout(Some(Duration::from_millis(5)));
    /// let endless = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s) SELECT count(*) FROM s";
    /// let error = connection.execute(endless).unwrap_err();
    /// assert_eq!(error.sqlstate(), "57014");
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn set_statement_timeout(&self, timeout: Option<Duration>) {
        // Not below what is asked for, and some time where some is asked for.
        let ms = timeout.map_or(0, |timeout| timeout.as_nanos().div_ceil(1_000_000).max(1));
        self.session.set_statement_timeout_ms(u64::try_from(ms).unwrap_or(u64::MAX).min(TIMEOUT_MS_MAX));
    }

    /// How long statements may run.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// assert_eq!(connection.statement_timeout(), None);
    /// connection.execute("SET statement_timeout = '1.5s'")?;
    /// assert_eq!(connection.statement_timeout().map(|time| time.as_millis()), Some(1500));
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn statement_timeout(&self) -> Option<Duration> {
        Some(self.session.statement_timeout_ms()).filter(|ms| *ms > 0).map(Duration::from_millis)
    }

    /// Has this called every so often while a statement runs (before each batch of rows, and inside of long work), in place of what was
    /// called before; when it returns `true`, the statement ends with SQLSTATE 57014. It may use the connection for nothing else than to
    /// look at its budgets.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let calls = Arc::new(AtomicU64::new(0));
    /// let counted = Arc::clone(&calls);
    /// connection.set_progress_handler(Some(Arc::new(move || counted.fetch_add(1, Ordering::Relaxed) >= 20)));
    /// let endless = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s) SELECT count(*) FROM s";
    /// let error = connection.execute(endless).unwrap_err();
    /// assert_eq!((error.sqlstate(), calls.load(Ordering::Relaxed)), ("57014", 21));
    /// connection.set_progress_handler(None);
    /// connection.execute("SELECT 1")?;
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn set_progress_handler(&self, handler: Option<ProgressHandler>) {
        self.watch.set_handler(handler);
    }

    /// A handle that cancels the statements of this connection from another thread or a signal's handler.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let mut statement = connection.statement("SELECT 1")?;
    /// let query = statement.prepare()?;
    /// let canceller = connection.canceller();
    /// std::thread::spawn(move || canceller.cancel()).join().expect("no panic");
    /// assert_eq!(query.rows()?.next_row().unwrap_err().sqlstate(), "57014");
    /// assert_eq!(connection.execute("SELECT 1")?, 1, "the next one is not affected");
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn canceller(&self) -> Canceller {
        Canceller::new(&self.watch)
    }

    /// How far the statement of this connection is that has begun last, to be looked at from another thread while it runs.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let progress = connection.progress();
    /// connection.execute("CREATE TABLE t (n integer)")?;
    /// connection.execute("INSERT INTO t VALUES (1), (2), (3)")?;
    /// connection.execute("SELECT sum(n) FROM t")?;
    /// assert_eq!((progress.rows_read(), progress.rows_expected()), (3, Some(3)));
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    pub(crate) fn progress_now(&self) -> &Progress {
        &self.progress
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// What a plan of this connection is made for now; `None` where it is made for nobody else.
    pub(crate) fn made_for(&self) -> Option<Made> {
        self.transaction.made_for().filter(|_| self.tables.is_empty())
    }

    pub(crate) fn state(&self) -> &TransactionState {
        &self.transaction
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Its statements with names.
    pub(crate) fn named(&self) -> &Arc<Named> {
        &self.named
    }

    pub(crate) fn watch(&self) -> &Watch {
        &self.watch
    }
}
