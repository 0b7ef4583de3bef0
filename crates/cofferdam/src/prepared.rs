//! Statements that are planned once and run again and again.
//!
//! ```text
//!   prepare        text ──> tree ──> plan        charged to `prepared/parse` and `prepared/plan`, kept
//!   query          values ──> operators ──> rows         charged to `prepared/run` and `prepared/exec`, of one run
//!   query again    the same; what the run before took is given back but for a little
//! ```
//!
//! A run parses nothing and plans nothing. When tables have been made, dropped or changed since, the statement is planned again
//! before it runs: then its columns and the types of its parameters may be others.
//!
//! **Memory.** A statement holds its text, its tree and its plan until it is dropped, and of each operator at most
//! 16 KiB from one run to the next; what a run of [`Prepared::query`] took it holds until the next run or [`Prepared::reset`].

use std::fmt;

use cofferdam_arena::{Borrowing, Budget, Rooted};
use cofferdam_plan::expr::Column;
use cofferdam_types::Type;

use crate::connection::Connection;
use crate::error::Error;
use crate::params::Params;
use crate::plan_cache::Use;
use crate::rows::{Row, Rows};
use crate::statement::{Query, Statement, StatementKind, Text};

/// A statement that has been planned, to be run with values for its parameters as often as one likes.
///
/// ```
/// use cofferdam::{Database, Options};
///
/// let connection = Database::open_in_memory(Options::new())?.connect()?;
/// let mut statement = connection.prepare("SELECT n * $1 FROM (VALUES (1), (2)) AS t(n) WHERE n >= $2")?;
/// assert_eq!(statement.parameter_types().len(), 2);
/// for factor in [10, 100] {
///     let mut rows = statement.query((factor, 2))?;
///     let row = rows.next_row()?.expect("one of the two passes");
///     assert_eq!(row.value(0).to_string(), (2 * factor).to_string());
/// }
/// # Ok::<(), cofferdam::Error>(())
/// ```
pub struct Prepared<'c> {
    connection: &'c Connection,
    rooted: Rooted<Statement<'c>, Plans>,
    budget: Budget,
    /// The definitions of tables that it was planned with.
    version: u64,
    /// How often it was planned.
    plans_count: u64,
    /// Planned and not run yet: whoever cancels now means the run that comes.
    is_fresh: bool,
    /// What the last run left behind is forgotten.
    is_reset: bool,
}

/// Plans that borrow from statements.
#[derive(Debug)]
struct Plans;

impl Borrowing for Plans {
    type Of<'a> = Query<'a>;

    fn shorten<'s, 'a: 's>(query: &'s Query<'a>) -> &'s Query<'s> {
        query
    }
}

impl<'c> Prepared<'c> {
    pub(crate) fn new(connection: &'c Connection, sql: &str, how: Use) -> Result<Prepared<'c>, Error> {
        let statement = Statement::new(connection, "prepared", |budget| Text::kept(sql, budget))?;
        let budget = statement.budget().clone();
        let refused = || Error::refused(&budget);
        let rooted = Rooted::new(&budget, statement.with_parameters().keeping(how)).map_err(|_| refused())?;
        let mut prepared = Prepared {
            connection,
            rooted,
            budget,
            version: 0,
            plans_count: 0,
            is_fresh: false,
            is_reset: false,
        };
        prepared.plan()?;
        Ok(prepared)
    }

    fn plan(&mut self) -> Result<(), Error> {
        // What changes meanwhile is noticed at the next run.
        self.version = self.connection.database().definitions().version();
        self.rooted.make(Statement::prepare)?;
        self.plans_count += 1;
        self.is_fresh = true;
        Ok(())
    }

    /// Sees to a plan that knows of all changes of tables, and to the memory of a run.
    fn ready(&mut self) -> Result<(), Error> {
        if self.rooted.get().is_none() || self.version != self.connection.database().definitions().version() {
            self.plan()?;
        }
        if !std::mem::take(&mut self.is_fresh) {
            self.connection.watch().forget_cancels();
        }
        if std::mem::take(&mut self.is_reset) {
            self.rooted.change(|query| query.follow_limit());
        } else {
            self.reset();
            self.is_reset = false;
        }
        Ok(())
    }

    /// Runs the statement with these values for its parameters.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let mut statement = connection.prepare("SELECT n FROM generate_series(1, $1) AS t(n)")?;
    /// for count in [3, 1, 2] {
    ///     let mut rows = statement.query([count])?;
    ///     while rows.next_row()?.is_some() {}
    ///     assert_eq!(rows.rows_count(), count as u64);
    /// }
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// 08P01 for more or fewer values than parameters; by name 42P02 for a value that no parameter has the name of; 42804 and those of conversions for a value that is none of the
    /// parameter's type; whatever the statement raises.
    pub fn query(&mut self, params: impl Params) -> Result<Rows<'_>, Error> {
        self.ready()?;
        match self.rooted.get() {
            Some(query) => query.rows_with(&params),
            None => unreachable!("it has just been planned"),
        }
    }

    /// Runs the statement to its end, and gives the number of its rows: of its answer, or those that it changed.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.execute("CREATE TABLE t (n integer, s text)")?;
    /// let mut insert = connection.prepare("INSERT INTO t VALUES ($1, $2), ($1 + 1, $2)")?;
    /// assert_eq!(insert.execute((1, "x"))?, 2);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Prepared::query`].
    pub fn execute(&mut self, params: impl Params) -> Result<u64, Error> {
        let outcome = self.query(params).and_then(|mut rows| rows.run_out());
        self.reset();
        outcome
    }

    /// Runs the statement, and hands the first row of its answer to `read`.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let mut statement = connection.prepare("SELECT $1 * 2 WHERE $1 > 0")?;
    /// assert_eq!(statement.query_row([4], |row| row.get::<i32>(0))?, 8);
    /// assert_eq!(statement.query_row([-4], |row| row.get::<i32>(0)).unwrap_err().sqlstate(), "P0002");
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Prepared::query`]; P0002 when there is no row; those of `read`.
    pub fn query_row<T>(
        &mut self,
        params: impl Params,
        read: impl FnOnce(Row<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let outcome = self.query(params).and_then(|mut rows| rows.first(read));
        self.reset();
        outcome
    }

    /// Gives back what the last run took, but for a little; the next run does so as well.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let mut statement = connection.prepare("SELECT repeat('x', $1)")?;
    /// statement.query([1_000_000])?.next_row()?;
    /// let held = statement.budget().used();
    /// statement.reset();
    /// assert!(statement.budget().used() < held);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn reset(&mut self) {
        self.rooted.change(|query| query.reset());
        self.is_reset = true;
    }

    /// The text.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// assert_eq!(connection.prepare("SELECT 1")?.sql(), "SELECT 1");
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn sql(&self) -> &str {
        self.rooted.get().map_or("", |query| query.sql())
    }

    /// What the statement is.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// use cofferdam::StatementKind;
    ///
    /// assert_eq!(connection.prepare("VALUES (1)")?.kind(), StatementKind::Query);
    /// assert_eq!(connection.prepare("BEGIN")?.kind(), StatementKind::Transaction);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn kind(&self) -> StatementKind {
        self.rooted.get().map_or(StatementKind::Query, |query| query.kind())
    }

    /// The columns of its answer; none for a statement without rows.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let statement = connection.prepare("SELECT 1 AS n, 'x' AS s")?;
    /// let names: Vec<&str> = statement.columns().iter().map(|column| column.name).collect();
    /// assert_eq!(names, ["n", "s"]);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn columns(&self) -> &[Column<'_>] {
        self.rooted.get().map_or(&[], |query| query.columns())
    }

    /// The types of its parameters `$1`, `$2` …, as they follow from where these stand.
    ///
    /// ```
    /// use cofferdam::{Database, Options, Type};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let statement = connection.prepare("SELECT $1::date + 1, $2 || 'x' WHERE $3")?;
    /// assert_eq!(statement.parameter_types(), [Type::Date, Type::Text, Type::Boolean]);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn parameter_types(&self) -> &[Type] {
        self.rooted.get().map_or(&[], |query| query.parameter_types())
    }

    /// The number from 1 of the parameter `$name`, in the order of first places; the `$` may be left out. `None` where there is none of
    /// this name.
    ///
    /// ```
    /// use cofferdam::{Database, Options, named_params};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let mut statement = connection.prepare("SELECT $low::integer < $high::integer, $high + 1")?;
    /// assert_eq!((statement.parameter_index("high"), statement.parameter_index("$low")), (Some(2), Some(1)));
    /// assert_eq!((statement.parameter_name(2), statement.parameter_index("hi")), (Some("high"), None));
    /// let row = |row: cofferdam::Row<'_>| Ok((row.get::<bool>(0)?, row.get::<i32>(1)?));
    /// assert_eq!(statement.query_row(named_params! { "high": 8, "low": 9 }, row)?, (false, 9));
    /// assert_eq!(statement.query_row((9, 8), row)?, (false, 9), "in order as well");
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn parameter_index(&self, name: &str) -> Option<usize> {
        let name = name.strip_prefix('$').unwrap_or(name);
        self.parameter_names().iter().position(|known| *known == name).map(|index| index + 1)
    }

    /// The name of a parameter by its number from 1; `None` where it has a number alone, and where there is none.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let statement = connection.prepare("SELECT $a::text || $b")?;
    /// assert_eq!((statement.parameter_name(1), statement.parameter_name(3)), (Some("a"), None));
    /// assert_eq!(connection.prepare("SELECT $1::text")?.parameter_name(1), None);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn parameter_name(&self, number: usize) -> Option<&str> {
        self.parameter_names().get(number.checked_sub(1)?).copied()
    }

    fn parameter_names(&self) -> &[&str] {
        self.rooted.get().map_or(&[], |query| query.parameter_names())
    }

    /// How often it was planned: once, and once more for each run before which tables had changed.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.execute("CREATE TABLE t (n integer, s text)")?;
    /// let mut statement = connection.prepare("SELECT * FROM t")?;
    /// statement.execute(())?;
    /// connection.execute("CREATE INDEX i ON t (n)")?;
    /// statement.execute(())?;
    /// assert_eq!(statement.plans_count(), 2);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn plans_count(&self) -> u64 {
        self.plans_count
    }

    /// The budget that pays for the statement. Its limit is none of its own until somebody sets one.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let mut statement = connection.prepare("SELECT repeat('x', $1)")?;
    /// statement.budget().set_limit(256 << 10);
    /// assert!(statement.execute([10_000_000]).unwrap_err().out_of_memory().is_some());
    /// assert_eq!(statement.execute([10])?, 1);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn budget(&self) -> &Budget {
        &self.budget
    }
}

impl fmt::Debug for Prepared<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("sql", &self.sql()).finish_non_exhaustive()
    }
}
