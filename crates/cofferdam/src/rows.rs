//! The answer of a statement, in batches.

use std::fmt;
use std::io;

use cofferdam_arena::Budget;
use cofferdam_exec::Execution;
use cofferdam_plan::expr::Column;
use cofferdam_types::Value;

use crate::copy_out::{self, CopyFormat};
use crate::error::Error;
use crate::from_value::{ColumnIndex, FromValue, read};
use crate::statement::{Statement, StatementKind, guarded};

/// The rows of a statement that runs: asked for one batch or one row at a time, made while they are asked for.
///
/// **Memory.** The statement's; a batch has at most 2,048 rows, fewer under small limits.
///
/// ```
/// use cofferdam::{Database, Options};
///
/// let connection = Database::open_in_memory(Options::new())?.connect()?;
/// let longest = connection.query("VALUES ('a'), ('ccc'), ('bb')", |rows| {
///     let mut longest = 0;
///     while let Some(row) = rows.next_row()? {
///         longest = longest.max(row.get::<&str>(0)?.len());
///     }
///     Ok(longest)
/// })?;
/// assert_eq!(longest, 3);
/// # Ok::<(), cofferdam::Error>(())
/// ```
pub struct Rows<'q> {
    /// None for a statement without rows, which has run.
    execution: Option<Execution<'q>>,
    kind: StatementKind,
    tag: &'static str,
    /// Rows that were given or changed so far.
    rows_count: u64,
    statement: &'q Statement<'q>,
    /// How they are written as text.
    format: CopyFormat<'q>,
    /// The row of the current batch that [`Rows::next_row`] gives next.
    row: usize,
    is_done: bool,
}

/// What a statement did, in PostgreSQL's words; prints as `INSERT 0 3`, `SELECT 7`, `CREATE TABLE`.
///
/// ```
/// use cofferdam::{Database, Options};
///
/// let connection = Database::open_in_memory(Options::new())?.connect()?;
/// connection.execute("CREATE TABLE t (n integer, s text)")?;
/// let tag = connection.query("INSERT INTO t VALUES (1, 'one')", |rows| Ok(rows.command_tag()))?;
/// assert_eq!(tag.to_string(), "INSERT 0 1");
/// # Ok::<(), cofferdam::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandTag {
    tag: &'static str,
    rows_count: Option<u64>,
}

impl fmt::Display for CommandTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag)?;
        match (self.tag, self.rows_count) {
            // The number of a row that PostgreSQL once gave.
            ("INSERT", Some(count)) => write!(f, " 0 {count}"),
            ("TRUNCATE TABLE", _) => Ok(()),
            (_, Some(count)) => write!(f, " {count}"),
            (_, None) => Ok(()),
        }
    }
}

/// Some rows of an answer, good until the next are asked for. Never empty.
///
/// ```
/// use cofferdam::{Database, Options};
///
/// let connection = Database::open_in_memory(Options::new())?.connect()?;
/// let sum = connection.query("SELECT * FROM generate_series(1, 5000)", |rows| {
///     let (mut sum, mut batches) = (0, 0);
///     while let Some(batch) = rows.next_batch()? {
///         batches += 1;
///         for row in batch.rows() {
///             sum += row.get::<i64>(0)?;
///         }
///     }
///     assert!(batches > 1);
///     Ok(sum)
/// })?;
/// assert_eq!(sum, 5000 * 5001 / 2);
/// # Ok::<(), cofferdam::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Batch<'r> {
    batch: cofferdam_exec::Batch<'r, 'r>,
}

/// One row of an answer.
///
/// ```
/// use cofferdam::{Database, Options};
///
/// let connection = Database::open_in_memory(Options::new())?.connect()?;
/// let (n, text) = connection.query_row("SELECT 1 AS n, 'one'", |row| {
///     Ok((row.get::<i32>("n")?, row.get::<String>(1)?))
/// })?;
/// assert_eq!((n, text.as_str()), (1, "one"));
/// # Ok::<(), cofferdam::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Row<'r> {
    batch: Batch<'r>,
    row: usize,
}

impl<'q> Rows<'q> {
    pub(crate) fn new(
        execution: Option<Execution<'q>>,
        kind: StatementKind,
        tag: &'static str,
        rows_count: u64,
        statement: &'q Statement<'q>,
    ) -> Rows<'q> {
        let is_done = execution.is_none();
        let format = CopyFormat::TEXT;
        Rows { execution, kind, tag, rows_count, statement, format, row: 0, is_done }
    }

    /// The same rows, to be written like this.
    pub(crate) fn in_format(self, format: CopyFormat<'q>) -> Rows<'q> {
        Rows { format, ..self }
    }

    /// They end with an error, and the transaction with them.
    pub(crate) fn failed(&mut self, error: Error) -> Error {
        self.is_done = true;
        self.statement.connection().state().fail();
        error
    }

    /// Writes the rows that are left as text, and gives the number of all: in the format that a `COPY … TO STDOUT` says, the rows of other
    /// statements in PostgreSQL's format text. `out` gets pieces of some KiB.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let mut text = Vec::new();
    /// let sql = "COPY (VALUES (1, 'a,b'), (2, NULL)) TO STDOUT WITH (FORMAT csv, HEADER)";
    /// connection.query(sql, |rows| rows.write_to(&mut text))?;
    /// assert_eq!(text, b"column1,column2\n1,\"a,b\"\n2,\n");
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Rows::next_batch`]; [`Error::System`] when `out` takes no more.
    pub fn write_to(&mut self, out: &mut dyn io::Write) -> Result<u64, Error> {
        copy_out::write(self, self.format, out)
    }

    /// The number of rows of the answer that were given so far, or that the statement changed.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.execute("CREATE TABLE t (n integer, s text)")?;
    /// connection.query("INSERT INTO t SELECT n, 'x' FROM generate_series(1, 7) AS g(n)", |rows| {
    ///     assert_eq!(rows.rows_count(), 7);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn rows_count(&self) -> u64 {
        self.rows_count
    }

    /// What the statement did, in PostgreSQL's words: `SELECT 3`, `BEGIN`. Of an answer the rows that were given so far
    /// are counted.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.query("VALUES (1), (2)", |rows| {
    ///     while rows.next_row()?.is_some() {}
    ///     assert_eq!(rows.command_tag().to_string(), "SELECT 2");
    ///     Ok(())
    /// })?;
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn command_tag(&self) -> CommandTag {
        CommandTag { tag: self.tag, rows_count: self.kind.counts_rows().then_some(self.rows_count) }
    }

    /// What the statement is.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let kind = connection.query("EXPLAIN SELECT 1", |rows| Ok(rows.kind()))?;
    /// assert_eq!(kind, cofferdam::StatementKind::Explain);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn kind(&self) -> StatementKind {
        self.kind
    }

    /// The columns of the answer; none for a statement without rows.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.query("SELECT 1::bigint AS n, 'x' AS s", |rows| {
    ///     let columns = rows.columns();
    ///     assert_eq!((columns[0].name, columns[1].name), ("n", "s"));
    ///     assert_eq!(columns[0].ty, cofferdam::Type::BigInt);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn columns(&self) -> &'q [Column<'q>] {
        self.execution.as_ref().map_or(&[], Execution::columns)
    }

    /// The budget of the statement, to see what it holds while it runs.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.query("SELECT 1", |rows| {
    ///     rows.next_row()?;
    ///     assert!(rows.budget().used() > 0);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn budget(&self) -> &'q Budget {
        self.statement.budget()
    }

    /// The next rows, `None` after the last.
    ///
    /// ```
    /// use cofferdam::{Database, Options, Value};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.query("VALUES (1, 'one'), (2, 'two')", |rows| {
    ///     while let Some(batch) = rows.next_batch()? {
    ///         assert_eq!((batch.rows_count(), batch.columns().len()), (2, 2));
    ///         assert_eq!(batch.value(1, 1), Value::Text("two"));
    ///     }
    ///     assert_eq!((rows.rows_count(), rows.command_tag().to_string().as_str()), (2, "SELECT 2"));
    ///     Ok(())
    /// })?;
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// Whatever the statement raises while it runs; after that there are no more rows.
    pub fn next_batch(&mut self) -> Result<Option<Batch<'_>>, Error> {
        if self.is_done {
            return Ok(None);
        }
        self.row = 0;
        let Some(execution) = &mut self.execution else { return Ok(None) };
        let statement = self.statement;
        self.is_done = true;
        guarded(|| {
            let outcome = execution.next_batch().map(|_| ());
            outcome.map_err(|error| statement.failed(error))
        })
        .inspect_err(|_| statement.connection().state().fail())?;
        let batch = execution.batch();
        self.is_done = batch.is_none();
        self.rows_count += batch.map_or(0, |batch| batch.rows_count() as u64);
        Ok(batch.map(|batch| Batch { batch }))
    }

    /// Runs to the end, and gives the number of rows: of the answer, or those that were changed.
    pub(crate) fn run_out(&mut self) -> Result<u64, Error> {
        while self.next_batch()?.is_some() {}
        Ok(self.rows_count())
    }

    /// Hands the first of the rows that are left to `read`.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let first = connection.query("VALUES (3), (1), (2)", |rows| rows.first(|row| row.get::<i32>(0)))?;
    /// assert_eq!(first, 3);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Rows::next_batch`]; P0002 when there is none; those of `read`.
    pub fn first<T>(&mut self, read: impl FnOnce(Row<'_>) -> Result<T, Error>) -> Result<T, Error> {
        match self.next_row()? {
            Some(row) => read(row),
            None => Err(Error::input("P0002", None, "the query gave no row")),
        }
    }

    /// The next row, `None` after the last. Rows of the batch that [`Rows::next_batch`] gave last come first.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.query("VALUES (3), (1)", |rows| {
    ///     assert_eq!(rows.next_row()?.expect("the first").get::<i32>(0)?, 3);
    ///     assert_eq!(rows.next_row()?.expect("the second").get::<i32>(0)?, 1);
    ///     assert!(rows.next_row()?.is_none());
    ///     Ok(())
    /// })?;
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Rows::next_batch`].
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>, Error> {
        let batch = self.execution.as_ref().and_then(Execution::batch);
        let rest = batch.map_or(0, |batch| batch.rows_count().saturating_sub(self.row));
        if rest == 0 && self.next_batch()?.is_none() {
            return Ok(None);
        }
        let row = self.row;
        self.row += 1;
        let batch = self.execution.as_ref().and_then(Execution::batch);
        Ok(batch.map(|batch| Row { batch: Batch { batch }, row }))
    }
}

impl fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows")
            .field("kind", &self.kind)
            .field("is_done", &self.is_done)
            .finish_non_exhaustive()
    }
}

impl<'r> Batch<'r> {
    /// The number of rows, at least one.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.query("SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS t(n, s)", |rows| {
    ///     let batch = rows.next_batch()?.expect("two rows");
    ///     assert_eq!(batch.rows_count(), 2);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn rows_count(&self) -> usize {
        self.batch.rows_count()
    }

    /// The columns of the answer.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.query("SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS t(n, s)", |rows| {
    ///     let batch = rows.next_batch()?.expect("two rows");
    ///     assert_eq!(batch.columns()[1].name, "s");
    ///     Ok(())
    /// })?;
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn columns(&self) -> &'r [Column<'r>] {
        self.batch.columns()
    }

    /// The value in a row and column, both from 0.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.query("SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS t(n, s)", |rows| {
    ///     let batch = rows.next_batch()?.expect("two rows");
    ///     assert_eq!(batch.value(1, 0), cofferdam::Value::Integer(2));
    ///     Ok(())
    /// })?;
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Panics
    /// If there is no such row or column.
    pub fn value(&self, row: usize, column: usize) -> Value<'r> {
        self.batch.value(row, column)
    }

    /// The rows in order.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.query("SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS t(n, s)", |rows| {
    ///     let batch = rows.next_batch()?.expect("two rows");
    ///     let texts: Vec<String> = batch.rows().map(|row| row.value(1).to_string()).collect();
    ///     assert_eq!(texts, ["a", "b"]);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Row<'r>> + use<'r> {
        let batch = *self;
        (0..self.rows_count()).map(move |row| Row { batch, row })
    }
}

impl<'r> Row<'r> {
    /// The columns of the answer.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let name = connection.query_row("SELECT 1 AS n", |row| Ok(row.columns()[0].name.to_owned()))?;
    /// assert_eq!(name, "n");
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn columns(&self) -> &'r [Column<'r>] {
        self.batch.columns()
    }

    /// The value in a column, from 0.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let shown = connection.query_row("SELECT date '2024-02-29' + 1", |row| Ok(row.value(0).to_string()))?;
    /// assert_eq!(shown, "2024-03-01");
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Panics
    /// If there is no such column.
    pub fn value(&self, column: usize) -> Value<'r> {
        self.batch.value(self.row, column)
    }

    /// The value in a column, named by its position from 0 or by its name, as a type of Rust's.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.query("SELECT 42 AS n, 'text' AS t, NULL::float8 AS x", |rows| {
    ///     while let Some(row) = rows.next_row()? {
    ///         assert_eq!(row.get::<i64>(0)?, 42);
    ///         let (text, x): (&str, Option<f64>) = (row.get("t")?, row.get("x")?);
    ///         assert_eq!((text, x), ("text", None));
    ///         assert_eq!(row.get::<u8>("y").unwrap_err().sqlstate(), "42703");
    ///         assert_eq!(row.get::<f64>("x").unwrap_err().sqlstate(), "22002");
    ///     }
    ///     Ok(())
    /// })?;
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// 42703 when there is no such column, 22002 for NULL where the type is no `Option`, 22003 for a number that does not fit,
    /// 42804 for a value that is not read as this type: see [`FromValue`].
    pub fn get<T: FromValue<'r>>(&self, column: impl ColumnIndex) -> Result<T, Error> {
        let columns = self.columns();
        let index = column.position(columns)?;
        read(self.value(index), &columns[index])
    }

    /// The values in order.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let line = connection.query_row("SELECT 1, NULL, 'x'", |row| {
    ///     Ok(row.values().map(|value| value.to_string()).collect::<Vec<_>>().join(","))
    /// })?;
    /// assert_eq!(line, "1,NULL,x");
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn values(&self) -> impl ExactSizeIterator<Item = Value<'r>> + use<'r> {
        let row = *self;
        (0..self.columns().len()).map(move |column| row.value(column))
    }
}
