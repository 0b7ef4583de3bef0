//! From a text to running operators.
//!
//! ```text
//!   Statement   the text, the budgets, an arena for the tree and one for the plan      connection.statement(sql)
//!   └ Query     the plan, and the arenas of its operators                              statement.prepare()
//!     └ Rows    the operators                                                          query.rows()
//! ```
//!
//! Each borrows the one before, so the compiler sees to it that nothing outlives the memory that it stands in.
//! [`Connection::query`](crate::Connection::query) holds all three for the time of a closure; [`Prepared`](crate::Prepared) holds
//! the first two for as long as one likes.

use std::cell::{Cell, OnceCell};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{
    AllocError, Arena, Budget, BudgetOptions, Buffer, InlineText, OutOfMemory, Reason, Stage,
};
use cofferdam_exec::{Execution, ParameterError, Tables, Workspace, parameter};
use cofferdam_plan::expr::Column;
use cofferdam_plan::physical::{CopyTarget, PhysicalPlan};
use cofferdam_plan::table::TransactionStatement;
use cofferdam_plan::{
    Explained, InsertPieces, bind_create_index, bind_create_recursive_view, bind_create_table,
    bind_create_view, bind_drop_indexes, bind_drop_tables, bind_drop_views, bind_explain,
    bind_parameter_types, bind_transaction, explain_prepared, plan_arguments, plan_copy, plan_copy_to,
    plan_create_table_as, plan_delete, plan_insert, plan_query, plan_truncate, plan_update,
};
use cofferdam_sql::views::forms::{
    Copy, CreateIndex, CreateRecursiveView, CreateTable, CreateTableAs, CreateView, Deallocate, Delete,
    DropIndex, DropTable, DropView, Execute, Explain, FormRef, Insert, Prepare, Reset, Set, Show, Truncate,
    Update,
};
use cofferdam_sql::{InsertRows, views};
use cofferdam_types::row::{decode_row, encode_row, row_bytes};
use cofferdam_types::{Type, Value};

use crate::analyze::{Analyze, Planning};
use crate::by_name;
use crate::catalog::StatementCatalog;
use crate::connection::Connection;
use crate::copy_out;
use crate::definitions::Made;
use crate::error::Error;
use crate::kept_plan::{KeptPlan, Planned, Source};
use crate::params::Params;
use crate::plan_cache::{Checkout, Found, Use};
use crate::rows::Rows;
use crate::session::Deadline;
use crate::settings::{self, Change};
use crate::write::Write;

static PARSE: Stage = Stage::new("parse");
static PLAN: Stage = Stage::new("plan");
static ADMIT: Stage = Stage::new("admit");

/// From this length on, an `INSERT … VALUES` is read a few rows at a time, since its tree is many times as long.
const PIECES_BYTES_MIN: usize = 32 << 10;

/// What errors show of the name of a parameter.
const LABEL_BYTES: usize = 64;

/// What a statement keeps of the memory of a run's values for the next one.
const KEPT_BYTES: usize = 4 << 10;

/// A statement, with the budgets and arenas that everything made of it lives in. Dropping it gives all of that back.
///
/// ```
/// use cofferdam::{Database, Options};
///
/// let connection = Database::open_in_memory(Options::new())?.connect()?;
/// let mut statement = connection.statement("SELECT 1 + 1")?;
/// let query = statement.prepare()?;
/// assert_eq!(query.rows()?.next_row()?.expect("one row").get::<i32>(0)?, 2);
/// drop(query);
/// assert_eq!(statement.sql(), "SELECT 1 + 1");
/// # Ok::<(), cofferdam::Error>(())
/// ```
#[derive(Debug)]
pub struct Statement<'c> {
    connection: &'c Connection,
    text: Text<'c>,
    takes_parameters: bool,
    how: Use,
    /// The plan that is kept beyond the statement, if it is.
    kept: OnceCell<Checkout>,
    budget: Budget,
    parse: Arena,
    plan: Arena,
    deadline: Deadline,
    /// How often views had been made and tables or views dropped when it was planned.
    dependencies: Cell<u64>,
    /// The connection's `statement_memory_limit` as it was last seen.
    limit_bytes: Cell<u64>,
    /// A limit that is enough for the query that ran out of memory last; 0 where none is known.
    enough_bytes: Cell<u64>,
}

/// The text of a statement.
#[derive(Debug)]
pub(crate) enum Text<'c> {
    /// The caller's.
    Given(&'c str),
    /// A copy.
    Kept(Buffer<u8>),
}

impl Text<'_> {
    /// A copy that `budget` pays for.
    pub(crate) fn kept(text: &str, budget: &Budget) -> Result<Text<'static>, AllocError> {
        let mut copy = Buffer::zeroed(budget, text.len())?;
        copy.copy_from_slice(text.as_bytes());
        Ok(Text::Kept(copy))
    }

    fn as_str(&self) -> &str {
        match self {
            Text::Given(text) => text,
            Text::Kept(copy) => std::str::from_utf8(copy).expect("the copy of a text is one"),
        }
    }
}

/// What a statement is.
///
/// ```
/// use cofferdam::{Database, Options};
///
/// let connection = Database::open_in_memory(Options::new())?.connect()?;
/// use cofferdam::StatementKind;
///
/// for (sql, kind) in [
///     ("SELECT 1", StatementKind::Query),
///     ("CREATE TABLE t (n integer)", StatementKind::Definition),
///     ("INSERT INTO t VALUES (1)", StatementKind::Change),
/// ] {
///     assert_eq!(connection.query(sql, |rows| Ok(rows.kind()))?, kind);
/// }
/// # Ok::<(), cofferdam::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatementKind {
    /// `SELECT`, `VALUES`: rows.
    Query,
    /// `EXPLAIN`: rows of text.
    Explain,
    /// `SHOW`: rows of text.
    Show,
    /// `SET` and `RESET`: no rows.
    Set,
    /// `CREATE TABLE`, `DROP TABLE`, `CREATE INDEX`, `DROP INDEX`: no rows.
    Definition,
    /// `INSERT`, `UPDATE`, `DELETE`, `COPY … FROM`: no rows of an answer, some that were changed.
    Change,
    /// `COPY … TO`: rows that are text in a file by the time it has run; those for standard output are written by [`Rows::write_to`].
    CopyTo,
    /// `BEGIN`, `COMMIT`, `ROLLBACK`, `SAVEPOINT`, `RELEASE`: no rows.
    Transaction,
    /// `PREPARE`, `DEALLOCATE`: no rows. An `EXECUTE` is what it runs.
    Prepare,
}

impl StatementKind {
    /// Whether the statement has an answer, be it without rows.
    ///
    /// ```
    /// use cofferdam::StatementKind;
    ///
    /// assert!(StatementKind::Query.has_answer() && !StatementKind::Change.has_answer());
    /// ```
    pub const fn has_answer(self) -> bool {
        matches!(self, StatementKind::Query | StatementKind::Explain | StatementKind::Show)
    }

    /// Whether its command tag counts rows.
    pub(crate) const fn counts_rows(self) -> bool {
        matches!(self, StatementKind::Query | StatementKind::Change | StatementKind::CopyTo)
    }
}

/// A statement that has been parsed and planned.
///
/// ```
/// use cofferdam::{Database, Options};
///
/// let connection = Database::open_in_memory(Options::new())?.connect()?;
/// let mut statement = connection.statement("SELECT 7 AS n")?;
/// let query = statement.prepare()?;
/// for _ in 0..2 {
///     assert_eq!(query.rows()?.next_row()?.expect("one row").get::<i32>("n")?, 7);
/// }
/// # Ok::<(), cofferdam::Error>(())
/// ```
#[derive(Debug)]
pub struct Query<'s> {
    statement: &'s Statement<'s>,
    kind: StatementKind,
    work: Work<'s>,
    /// The values of an `EXECUTE`: a plan of one row.
    arguments: Option<Arguments<'s>>,
    /// What lives as long as one run: the values of parameters.
    run: Arena,
}

/// The values of an `EXECUTE`: a plan of one row, and what it runs in.
type Arguments<'s> = (PhysicalPlan<'s>, Workspace<'s>);

/// What `PREPARE` and `DEALLOCATE` do.
#[derive(Debug)]
enum Naming<'s> {
    /// The statement of this text, which begins at a place of the whole one, gets a name.
    Prepare { name: &'s str, text: &'s str, start: u32, types: &'s [Type] },
    /// A statement, or all of them, loses its name.
    Deallocate(Option<&'s str>),
}

/// What a statement does when it runs.
#[derive(Debug)]
enum Work<'s> {
    /// Gives the rows of a plan.
    Rows { plan: PhysicalPlan<'s>, workspace: Workspace<'s>, tag: &'static str },
    /// Writes the rows of a plan to a file, or gives them to be written.
    Copy { plan: PhysicalPlan<'s>, workspace: Workspace<'s>, target: CopyTarget<'s> },
    /// Changes a setting.
    Set { change: Change<'s>, tag: &'static str },
    /// Begins or ends a transaction, or a part of it.
    Transaction(TransactionStatement<'s>),
    /// Gives a statement a name, or takes it away.
    Name(Naming<'s>),
    /// Changes tables.
    Write { write: Write<'s>, verb: &'static str, tag: &'static str },
    /// Does one or the other, and tells what it took.
    Analyze(Analyze<'s>),
}

impl<'c> Statement<'c> {
    /// A statement without parameters, below the database's budget as `name`.
    pub(crate) fn new(
        connection: &'c Connection,
        name: &str,
        text: impl FnOnce(&Budget) -> Result<Text<'c>, AllocError>,
    ) -> Result<Statement<'c>, Error> {
        let database = connection.database().db();
        let refused = |budget: &Budget| Error::refused(budget);
        let limit_bytes = connection.session().statement_memory_bytes();
        let options = BudgetOptions::limit(limit_bytes).keeps_refusals();
        let budget = database.child_with(name, options).map_err(|_| refused(database))?;
        let parse = budget.child("parse", u64::MAX).map_err(|_| refused(&budget))?;
        // Planning makes a small arena for each of its walks.
        let plan = budget.child_with("plan", BudgetOptions::unlimited().keeps_chunks());
        let plan = plan.map_err(|_| refused(&budget))?;
        let text = text(&parse).map_err(|_| refused(&budget))?;
        let (parse, plan, deadline) = (Arena::from(parse), Arena::from(plan), Deadline::default());
        let limit_bytes = Cell::new(limit_bytes);
        Ok(Statement {
            connection,
            text,
            takes_parameters: false,
            how: Use::Seen,
            kept: OnceCell::new(),
            dependencies: Cell::new(0),
            parse,
            plan,
            budget,
            deadline,
            limit_bytes,
            enough_bytes: Cell::new(0),
        })
    }

    /// The statement, with parameters if its text has any, for which [`Query::rows_with`] takes values.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// assert_eq!(connection.statement("SELECT $1 + 1")?.prepare().unwrap_err().sqlstate(), "42P02");
    /// let mut statement = connection.statement("SELECT $1 + 1")?.with_parameters();
    /// let query = statement.prepare()?;
    /// assert_eq!(query.rows_with(&[41])?.next_row()?.expect("one row").get::<i32>(0)?, 42);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn with_parameters(self) -> Statement<'c> {
        Statement { takes_parameters: true, ..self }
    }

    /// The statement, with another use of the plan cache.
    pub(crate) fn keeping(self, how: Use) -> Statement<'c> {
        Statement { how, ..self }
    }

    /// The plan that the cache has for the text, or makes for it.
    fn kept(&self) -> Option<Planned<'_>> {
        let (connection, sql) = (self.connection, self.sql());
        let (now, plans) = (connection.made_for()?, connection.database().plans());
        let plan = match plans.take(sql, self.takes_parameters, self.how, now) {
            Found::Plan(plan) => plan,
            Found::Nothing => return None,
            Found::Wanted => {
                let takes_parameters = self.takes_parameters;
                let source = Source { text: sql, takes_parameters, parameter_types: &[] };
                match KeptPlan::new(source, connection, now, plans.budget()?) {
                    Ok(plan) if !plan.planned().reads_files() => plan,
                    // What is wrong is said by the call that plans it as always.
                    Ok(_) | Err(_) => {
                        plans.forget_sighting(sql, takes_parameters);
                        return None;
                    }
                }
            }
        };
        Some(self.kept.get_or_init(|| Checkout::new(plans, plan)).planned())
    }

    /// The budget that pays for the statement.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let mut statement = connection.statement("SELECT repeat('x', 10000000)")?;
    /// statement.budget().set_limit(256 << 10);
    /// assert!(statement.prepare()?.rows()?.next_row().unwrap_err().out_of_memory().is_some());
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The text.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// assert_eq!(connection.statement("not even SQL")?.sql(), "not even SQL");
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn sql(&self) -> &str {
        self.text.as_str()
    }

    pub(crate) fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// Where what lives as long as the statement is allocated.
    pub(crate) fn arena(&self) -> &Arena {
        &self.plan
    }

    /// Whether the statement shall end: it is cancelled, or has run for as long as it may.
    pub(crate) fn ends(&self) -> bool {
        self.deadline.ends(self.connection.watch().flag()) || self.connection.watch().handler_ends()
    }

    /// How often views had been made and tables or views dropped when it was planned.
    pub(crate) fn dependencies(&self) -> u64 {
        self.dependencies.get()
    }

    /// An error of a running plan.
    pub(crate) fn failed(&self, error: cofferdam_exec::Error<'_>) -> Error {
        let error = match error {
            cofferdam_exec::Error::Cancelled if self.deadline.is_over() => Error::timeout(),
            error => Error::from_exec(error, || self.refused()),
        };
        match self.kept.get() {
            Some(kept) if kept.is_named() => error.without_span(),
            _ => error,
        }
    }

    /// Why memory ran out: its own budget says so, or that of what the statement shares with others.
    pub(crate) fn refused(&self) -> Error {
        match self.budget.last_refusal() {
            Some(record) => self.with_enough(record).into(),
            None => Error::refused(self.connection.database().db()),
        }
    }

    /// The record with the limit that is enough, where that is known and is the refusing budget's.
    fn with_enough(&self, record: OutOfMemory) -> OutOfMemory {
        let (enough, limit) = (self.enough_bytes.get(), record.limit_bytes());
        let is_limit = record.reason() == Reason::Limit && limit == self.budget.limit_on_path();
        if is_limit && enough > limit { record.with_sufficient_bytes(enough) } else { record }
    }

    /// The arenas that a plan runs in, where the pressure leaves room for what it is expected to need.
    ///
    /// # Errors
    /// It leaves none.
    pub(crate) fn admit(&self, plan: &PhysicalPlan<'_>) -> Result<Workspace<'_>, Error> {
        self.admit_to(plan, Workspace::new)
    }

    /// The same for a plan whose operators are measured.
    pub(crate) fn admit_measured(&self, plan: &PhysicalPlan<'_>) -> Result<Workspace<'_>, Error> {
        self.admit_to(plan, Workspace::of_pipelines)
    }

    fn admit_to<'s>(
        &'s self,
        plan: &PhysicalPlan<'_>,
        make: fn(&PhysicalPlan<'_>, &Budget, &'s Arena) -> Result<Workspace<'s>, AllocError>,
    ) -> Result<Workspace<'s>, Error> {
        self.budget.set_stage(&ADMIT);
        self.budget.admit(plan.bytes_estimate()).map_err(|_| self.refused())?;
        let workspace = make(plan, &self.budget, &self.plan).map_err(|_| self.refused())?;
        let database = self.connection.database();
        let workspace = workspace.spill_to(database.spill_space()).run_by(database.threads());
        let workspace = workspace.tell_of(self.connection).report_to(self.connection.progress_now());
        let workspace = workspace.in_transaction_since(self.connection.state().began_us());
        Ok(workspace.tell_enough(&self.enough_bytes))
    }

    /// Has the budget follow the connection's setting where that has changed: a limit that the caller has set stays otherwise.
    fn follow_limit(&self) {
        let bytes = self.connection.session().statement_memory_bytes();
        if self.limit_bytes.replace(bytes) != bytes {
            self.budget.set_limit(bytes);
        }
    }

    /// Parses and plans the statement. What an earlier call took is given back first.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let mut statement = connection.statement("SELECT * FROM t")?;
    /// assert_eq!(statement.prepare().unwrap_err().sqlstate(), "42P01");
    /// connection.execute("CREATE TABLE t (n integer)")?;
    /// assert_eq!(statement.prepare()?.columns().len(), 1);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// Whatever is wrong with the statement, with its place in the text; [`Error::OutOfMemory`] when the memory limit
    /// leaves no room for its tree or plan, or the pressure none for what it is expected to need. In a transaction every
    /// error ends it.
    pub fn prepare(&mut self) -> Result<Query<'_>, Error> {
        self.kept.take();
        self.parse.release();
        self.plan.release();
        self.budget.clear_refusal();
        self.enough_bytes.set(0);
        self.follow_limit();
        self.connection.watch().forget_cancels();
        self.dependencies.set(self.connection.database().definitions().dependencies());
        let statement: &Statement<'_> = self;
        let prepared = guarded(|| prepare(statement));
        statement.plan.budget().give_up_kept();
        prepared.inspect_err(|_| statement.connection.state().fail())
    }
}

/// The statements that there is a way to run.
enum Kind<'a> {
    Query(views::Query<'a>),
    Explain(Explain<'a>),
    Show(Show<'a>),
    Set(Set<'a>),
    Reset(Reset<'a>),
    Insert(Insert<'a>),
    Update(Update<'a>),
    Delete(Delete<'a>),
    Truncate(Truncate<'a>),
    Copy(Copy<'a>),
    CreateTable(CreateTable<'a>),
    CreateTableAs(CreateTableAs<'a>),
    DropTable(DropTable<'a>),
    CreateView(CreateView<'a>),
    CreateRecursiveView(CreateRecursiveView<'a>),
    DropView(DropView<'a>),
    CreateIndex(CreateIndex<'a>),
    DropIndex(DropIndex<'a>),
    Prepare(Prepare<'a>),
    Execute(Execute<'a>),
    Deallocate(Deallocate<'a>),
    Other(FormRef<'a>),
}

impl<'a> Kind<'a> {
    fn of(statement: views::Statement<'a>) -> Kind<'a> {
        let form = match statement {
            views::Statement::Query(query) => return Kind::Query(query),
            views::Statement::Form(form) => form,
        };
        let node = form.node();
        None.or_else(|| Explain::of(node).map(Kind::Explain))
            .or_else(|| Show::of(node).map(Kind::Show))
            .or_else(|| Set::of(node).map(Kind::Set))
            .or_else(|| Reset::of(node).map(Kind::Reset))
            .or_else(|| Insert::of(node).map(Kind::Insert))
            .or_else(|| Update::of(node).map(Kind::Update))
            .or_else(|| Delete::of(node).map(Kind::Delete))
            .or_else(|| Truncate::of(node).map(Kind::Truncate))
            .or_else(|| Copy::of(node).map(Kind::Copy))
            .or_else(|| CreateTable::of(node).map(Kind::CreateTable))
            .or_else(|| CreateTableAs::of(node).map(Kind::CreateTableAs))
            .or_else(|| DropTable::of(node).map(Kind::DropTable))
            .or_else(|| CreateView::of(node).map(Kind::CreateView))
            .or_else(|| CreateRecursiveView::of(node).map(Kind::CreateRecursiveView))
            .or_else(|| DropView::of(node).map(Kind::DropView))
            .or_else(|| CreateIndex::of(node).map(Kind::CreateIndex))
            .or_else(|| DropIndex::of(node).map(Kind::DropIndex))
            .or_else(|| Prepare::of(node).map(Kind::Prepare))
            .or_else(|| Execute::of(node).map(Kind::Execute))
            .or_else(|| Deallocate::of(node).map(Kind::Deallocate))
            .unwrap_or(Kind::Other(form))
    }
}

/// The pipeline up to the point where the statement runs, one call after the other.
fn prepare<'s>(statement: &'s Statement<'s>) -> Result<Query<'s>, Error> {
    let (connection, budget) = (statement.connection, &statement.budget);
    if let Some(planned) = statement.kept() {
        connection.state().admit()?;
        return planned_of(statement, planned);
    }
    budget.set_stage(&PARSE);
    let wrong = |error: cofferdam_sql::Error| Error::from_sql(error, || statement.refused());
    let failed = |error: cofferdam_plan::Error<'_>| Error::from_plan(error, || statement.refused());
    let (database, arena) = (connection.database(), &statement.plan);
    let takes_parameters = statement.takes_parameters;
    let catalog = StatementCatalog::new(connection.tables(), connection.state(), takes_parameters);
    let sql = statement.sql();
    // A statement with parameters is read as a whole: their types may follow from its last row.
    if sql.len() >= PIECES_BYTES_MIN
        && !takes_parameters
        && let Some(rows) = InsertRows::open(sql, &statement.parse).map_err(wrong)?
        && let views::Statement::Form(head) = rows.head().statement()
        && let Some(insert) = Insert::of(head.node())
    {
        budget.set_stage(&PLAN);
        connection.state().admit()?;
        let pieces = InsertPieces::bind(insert, &catalog, arena).map_err(failed)?;
        return write_of(statement, "INSERT", head, Write::Pieces(pieces));
    }
    let tree =
        cofferdam_sql::parse_cancellable(sql, &statement.parse, connection.watch().flag()).map_err(wrong)?;

    budget.set_stage(&PLAN);
    if let views::Statement::Form(form) = tree.statement()
        && let Some(asked) = bind_transaction(form).map_err(failed)?
    {
        return Ok(query_of(statement, StatementKind::Transaction, Work::Transaction(asked)));
    }
    connection.state().admit()?;
    match Kind::of(tree.statement()) {
        Kind::Query(query) => {
            let plan = plan_query(query, &catalog, arena).map_err(failed)?;
            rows_of(statement, StatementKind::Query, "SELECT", plan)
        }
        Kind::Explain(explain) if let Some(execute) = executed(explain) => {
            let began = Instant::now();
            let (planned, arguments) = execution_of(statement, execute, &catalog)?;
            let explained = explain_prepared(explain, planned.plan, arena).map_err(failed)?;
            let query = explained_of(statement, explained, began)?;
            Ok(Query { arguments, ..query })
        }
        Kind::Explain(explain) => {
            let began = Instant::now();
            let explained = bind_explain(explain, &catalog, arena).map_err(failed)?;
            explained_of(statement, explained, began)
        }
        Kind::Show(show) => {
            let plan = settings::show(show, connection, arena)?.map_err(failed)?;
            rows_of(statement, StatementKind::Show, "SHOW", plan)
        }
        Kind::Set(set) => Ok(set_of(statement, "SET", settings::set_change(set, database)?)),
        Kind::Reset(reset) => Ok(set_of(statement, "RESET", settings::reset_change(reset, database)?)),
        Kind::Insert(insert) => {
            let plan = plan_insert(insert, &catalog, arena).map_err(failed)?;
            write_of(statement, "INSERT", insert.form(), Write::rows(plan, statement)?)
        }
        Kind::Update(update) => {
            let plan = plan_update(update, &catalog, arena).map_err(failed)?;
            write_of(statement, "UPDATE", update.form(), Write::rows(plan, statement)?)
        }
        Kind::Delete(delete) => {
            let plan = plan_delete(delete, &catalog, arena).map_err(failed)?;
            write_of(statement, "DELETE", delete.form(), Write::rows(plan, statement)?)
        }
        Kind::Truncate(truncate) => {
            let plan = plan_truncate(truncate, &catalog, arena).map_err(failed)?;
            write_of(statement, "TRUNCATE TABLE", truncate.form(), Write::rows(plan, statement)?)
        }
        Kind::Copy(copy) if copy.to() => {
            let (plan, target) = plan_copy_to(copy, &catalog, arena).map_err(failed)?;
            let workspace = statement.admit(&plan)?;
            Ok(query_of(statement, StatementKind::CopyTo, Work::Copy { plan, workspace, target }))
        }
        Kind::Copy(copy) => {
            let plan = plan_copy(copy, &catalog, arena).map_err(failed)?;
            write_of(statement, "COPY", copy.form(), Write::rows(plan, statement)?)
        }
        Kind::CreateTable(create) => {
            let table = bind_create_table(create, &catalog, arena).map_err(failed)?;
            write_of(statement, "CREATE TABLE", create.form(), Write::Create(table))
        }
        Kind::CreateTableAs(create) => {
            let (table, plan) = plan_create_table_as(create, &catalog, arena).map_err(failed)?;
            let (tag, write) = match plan {
                None => ("CREATE TABLE AS", Write::Create(table)),
                Some(plan) => {
                    let workspace = statement.admit(&plan)?;
                    ("SELECT", Write::CreateFilled { table, plan, workspace })
                }
            };
            write_of(statement, tag, create.form(), write)
        }
        Kind::DropTable(drop) => {
            let tables = bind_drop_tables(drop, &catalog, arena).map_err(failed)?;
            write_of(statement, "DROP TABLE", drop.form(), Write::Drop(tables))
        }
        Kind::CreateView(create) => {
            let view = bind_create_view(create, &catalog, arena).map_err(failed)?;
            write_of(statement, "CREATE VIEW", create.form(), Write::CreateView(view))
        }
        Kind::CreateRecursiveView(create) => {
            let view = bind_create_recursive_view(create, &catalog, arena).map_err(failed)?;
            write_of(statement, "CREATE VIEW", create.form(), Write::CreateView(view))
        }
        Kind::DropView(drop) => {
            let views = bind_drop_views(drop, &catalog, arena).map_err(failed)?;
            write_of(statement, "DROP VIEW", drop.form(), Write::Drop(views))
        }
        Kind::CreateIndex(create) => {
            let index = bind_create_index(create, &catalog, arena).map_err(failed)?;
            write_of(statement, "CREATE INDEX", create.form(), Write::CreateIndex(index))
        }
        Kind::DropIndex(drop) => {
            let indexes = bind_drop_indexes(drop, &catalog, arena).map_err(failed)?;
            write_of(statement, "DROP INDEX", drop.form(), Write::DropIndexes(indexes))
        }
        Kind::Prepare(prepare) => {
            let types = bind_parameter_types(prepare, arena).map_err(failed)?;
            let (text, start) = text_of(prepare, sql)?;
            let naming = Naming::Prepare { name: prepare.name().unwrap_or_default(), text, start, types };
            Ok(query_of(statement, StatementKind::Prepare, Work::Name(naming)))
        }
        Kind::Execute(execute) => {
            let (planned, arguments) = execution_of(statement, execute, &catalog)?;
            Ok(Query { arguments, ..planned_of(statement, planned)? })
        }
        Kind::Deallocate(deallocate) => {
            let name = (!deallocate.all()).then(|| deallocate.name()).flatten();
            Ok(query_of(statement, StatementKind::Prepare, Work::Name(Naming::Deallocate(name))))
        }
        Kind::Other(form) => {
            let message = format_args!("{} is not supported yet", form.form().name());
            Err(Error::input("0A000", Some(form.span()), message))
        }
    }
}

/// A statement that is explained, and run for that if it shall be.
fn explained_of<'s>(
    statement: &'s Statement<'s>,
    explained: Explained<'s>,
    began: Instant,
) -> Result<Query<'s>, Error> {
    let planning = Planning::since(began, statement);
    if explained.options.analyze {
        return analyze_of(statement, Analyze::new(explained, planning, statement)?);
    }
    let plan = explained.answer(&planning.measures(), &statement.plan).map_err(|_| statement.refused())?;
    rows_of(statement, StatementKind::Explain, "EXPLAIN", plan)
}

/// The text of the statement that gets a name, and where it begins.
fn text_of<'s>(prepare: Prepare<'_>, sql: &'s str) -> Result<(&'s str, u32), Error> {
    let whole = prepare.form().span();
    let inner = match prepare.statement() {
        Some(views::Statement::Query(query)) => query.node().span(),
        Some(views::Statement::Form(form)) => form.span(),
        None => whole,
    };
    let (mut start, end) = (inner.start as usize, (whole.start + whole.len) as usize);
    // Parentheses around the whole of a query are no part of its node.
    loop {
        let before = sql[..start].trim_end();
        if !before.ends_with('(') {
            break;
        }
        start = before.len() - 1;
    }
    Ok((&sql[start..end], start as u32))
}

/// The plan of the statement that has a name, good for now.
fn named_plan<'s>(statement: &'s Statement<'s>, name: &str) -> Result<Planned<'s>, Error> {
    let connection = statement.connection;
    let named = connection.named();
    let mut kept = Checkout::named(named, named.take(name)?);
    let now = connection.made_for().filter(|_| !kept.planned().reads_files());
    if !now.is_some_and(|now| kept.plan().is_good(now)) {
        let budget = named.budget(connection.session().prepared_memory_bytes())?;
        let again = kept.plan().again(connection, now.unwrap_or(Made::NOTHING), budget);
        kept.replace(again.map_err(Error::without_span)?);
    }
    Ok(statement.kept.get_or_init(|| kept).planned())
}

/// The `EXECUTE` that an `EXPLAIN` explains, if it is one.
fn executed(explain: Explain<'_>) -> Option<Execute<'_>> {
    match explain.statement() {
        Some(views::Statement::Form(form)) => Execute::of(form.node()),
        _ => None,
    }
}

/// What an `EXECUTE` runs, and the plan of its values.
fn execution_of<'s>(
    statement: &'s Statement<'s>,
    execute: Execute<'s>,
    catalog: &StatementCatalog<'_>,
) -> Result<(Planned<'s>, Option<Arguments<'s>>), Error> {
    let name = execute.name().unwrap_or_default();
    let planned = named_plan(statement, name)?;
    let types = planned.plan.parameters;
    if types.is_empty() {
        // What is given for no parameters is not looked at, as PostgreSQL has it.
        return Ok((planned, None));
    }
    check_count(name, execute, types.len())?;
    let plan = plan_arguments(execute, types, catalog, &statement.plan);
    let plan = plan.map_err(|error| Error::from_plan(error, || statement.refused()))?;
    Ok((planned, Some((plan, statement.admit(&plan)?))))
}

/// Whether there are as many values as parameters.
fn check_count(name: &str, execute: Execute<'_>, expected: usize) -> Result<(), Error> {
    let given = execute.values().count();
    if given == expected {
        return Ok(());
    }
    let message = format_args!("wrong number of parameters for prepared statement \"{name}\"");
    let hint = format_args!("expected {expected} parameters but got {given}");
    Err(Error::input("42601", None, message).with_hint(hint))
}

/// A statement whose plan is kept.
fn planned_of<'s>(statement: &'s Statement<'s>, planned: Planned<'s>) -> Result<Query<'s>, Error> {
    let (tag, plan) = (planned.tag(), planned.plan);
    if plan.change().is_none() {
        return rows_of(statement, StatementKind::Query, tag, plan);
    }
    statement.connection.state().admit_change(tag)?;
    let write = Write::rows(plan, statement)?;
    Ok(query_of(statement, write.kind(), Work::Write { write, verb: tag, tag }))
}

/// A statement that gives the rows of a plan, where the pressure leaves room for them.
fn rows_of<'s>(
    statement: &'s Statement<'s>,
    kind: StatementKind,
    tag: &'static str,
    plan: PhysicalPlan<'s>,
) -> Result<Query<'s>, Error> {
    let workspace = statement.admit(&plan)?;
    Ok(query_of(statement, kind, Work::Rows { plan, workspace, tag }))
}

fn query_of<'s>(statement: &'s Statement<'s>, kind: StatementKind, work: Work<'s>) -> Query<'s> {
    Query { statement, kind, work, arguments: None, run: Arena::new(statement.plan.budget()) }
}

/// A statement that changes tables.
fn write_of<'s>(
    statement: &'s Statement<'s>,
    tag: &'static str,
    form: FormRef<'_>,
    write: Write<'s>,
) -> Result<Query<'s>, Error> {
    let verb = form.form().name();
    statement.connection.state().admit_change(verb)?;
    Ok(query_of(statement, write.kind(), Work::Write { write, verb, tag }))
}

/// A statement that is run and explained. What changes tables has to be allowed to.
fn analyze_of<'s>(statement: &'s Statement<'s>, analyze: Analyze<'s>) -> Result<Query<'s>, Error> {
    if let Some(verb) = analyze.verb() {
        statement.connection.state().admit_change(verb)?;
    }
    Ok(query_of(statement, StatementKind::Explain, Work::Analyze(analyze)))
}

fn set_of<'s>(statement: &'s Statement<'s>, tag: &'static str, change: Change<'s>) -> Query<'s> {
    query_of(statement, StatementKind::Set, Work::Set { change, tag })
}

impl<'s> Query<'s> {
    /// What the statement is.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let mut statement = connection.statement("SHOW threads")?;
    /// assert_eq!(statement.prepare()?.kind(), cofferdam::StatementKind::Show);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn kind(&self) -> StatementKind {
        self.kind
    }

    /// The columns of its answer; none for a statement without rows.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let mut statement = connection.statement("SELECT 1 AS n")?;
    /// assert_eq!(statement.prepare()?.columns()[0].name, "n");
    /// let mut statement = connection.statement("BEGIN")?;
    /// assert!(statement.prepare()?.columns().is_empty());
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn columns(&self) -> &'s [Column<'s>] {
        match &self.work {
            Work::Rows { plan, .. } | Work::Copy { plan, target: CopyTarget { path: None, .. }, .. } => {
                plan.columns()
            }
            Work::Analyze(analyze) => analyze.columns(),
            Work::Copy { .. }
            | Work::Set { .. }
            | Work::Transaction(_)
            | Work::Name(_)
            | Work::Write { .. } => &[],
        }
    }

    /// The types of its parameters, by number from 1.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let mut statement = connection.statement("SELECT $1::date, $2 || 'x'")?.with_parameters();
    /// assert_eq!(statement.prepare()?.parameter_types(), [cofferdam::Type::Date, cofferdam::Type::Text]);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn parameter_types(&self) -> &'s [Type] {
        if let Some((plan, _)) = &self.arguments {
            return plan.parameters;
        }
        match &self.work {
            Work::Rows { plan, .. } => plan.parameters,
            Work::Write { write, .. } => write.parameter_types(),
            Work::Analyze(analyze) => analyze.parameter_types(),
            Work::Copy { .. } | Work::Set { .. } | Work::Transaction(_) | Work::Name(_) => &[],
        }
    }

    /// The names of its parameters, by number from 1; none where they have numbers alone.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let mut statement = connection.statement("SELECT $b::date, $a || 'x', $b")?.with_parameters();
    /// assert_eq!(statement.prepare()?.parameter_names(), ["b", "a"]);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn parameter_names(&self) -> &'s [&'s str] {
        if let Some((plan, _)) = &self.arguments {
            return plan.parameter_names;
        }
        match &self.work {
            Work::Rows { plan, .. } => plan.parameter_names,
            Work::Write { write, .. } => write.parameter_names(),
            Work::Analyze(analyze) => analyze.parameter_names(),
            Work::Copy { .. } | Work::Set { .. } | Work::Transaction(_) | Work::Name(_) => &[],
        }
    }

    pub(crate) fn sql(&self) -> &'s str {
        self.statement.sql()
    }

    /// Has the budget follow the connection's setting.
    pub(crate) fn follow_limit(&self) {
        self.statement.follow_limit();
    }

    /// Forgets what a run left behind. The next one takes its memory anew, or what is kept of it.
    pub(crate) fn reset(&mut self) {
        self.run.reset_keeping(KEPT_BYTES);
        self.statement.budget.clear_refusal();
        self.statement.follow_limit();
        match &mut self.work {
            Work::Rows { workspace, .. } | Work::Copy { workspace, .. } => workspace.reset(),
            Work::Write { write, .. } => write.reset(),
            Work::Analyze(analyze) => analyze.reset(),
            Work::Set { .. } | Work::Transaction(_) | Work::Name(_) => {}
        }
        if let Some((_, workspace)) = &mut self.arguments {
            workspace.reset();
        }
    }

    /// The values as the plan wants them.
    fn bind(&self, params: &dyn Params) -> Result<&[Value<'_>], Error> {
        let (types, names) = (self.parameter_types(), self.parameter_names());
        let by_name = params.count() > 0 && params.name(0).is_some();
        match by_name {
            true => by_name::check(names, params)?,
            false if params.count() == types.len() => {}
            false => return Err(by_name::wrong_count(types.len(), names, params.count())),
        }
        let refused = |_| self.statement.refused();
        let values = self.run.alloc_slice_fill(types.len(), Value::Null).map_err(refused)?;
        for (index, (value, ty)) in values.iter_mut().zip(types).enumerate() {
            let given = match by_name {
                true => by_name::place_of(names[index], index, params)?,
                false => index,
            };
            let bound = parameter(params.value(given), *ty, &self.run);
            *value = bound.map_err(|error| self.unbound(index, error))?;
        }
        Ok(values)
    }

    #[cold]
    fn unbound(&self, index: usize, error: ParameterError) -> Error {
        let mut name: InlineText<LABEL_BYTES> = InlineText::EMPTY;
        // A long name is cut.
        let _ = match self.parameter_names().get(index) {
            Some(word) => write!(name, "${word}"),
            None => write!(name, "${}", index + 1),
        };
        match error {
            ParameterError::OutOfMemory(_) => self.statement.refused(),
            ParameterError::Value(error) => {
                let fault = Error::input(error.sqlstate(), None, format_args!("parameter {name}: {error}"));
                error.hint().map_or(fault, |hint| fault.with_hint(hint))
            }
            ParameterError::Type { expected, found } => {
                let (expected, found) = (expected.name(), found.name());
                let message =
                    format_args!("parameter {name} is of type {expected} but the value is of type {found}");
                Error::input("42804", None, message)
            }
        }
    }

    /// Runs the statement: begins to give the rows of an answer, or does all that a statement without one does. It may
    /// run again; each run takes its memory anew, and all of it is given back with the query.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.execute("CREATE TABLE t (n integer, s text)")?;
    /// let mut statement = connection.statement("INSERT INTO t VALUES (1, 'one')")?;
    /// let query = statement.prepare()?;
    /// assert_eq!((query.rows()?.rows_count(), query.rows()?.rows_count()), (1, 1));
    /// drop(query);
    /// assert_eq!(connection.execute("TABLE t")?, 2);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// A file that cannot be opened, and [`Error::OutOfMemory`] when the operators cannot begin; whatever is wrong with a
    /// statement without an answer. In a transaction every error ends it.
    pub fn rows(&self) -> Result<Rows<'_>, Error> {
        self.rows_with(&())
    }

    /// The same with values for the parameters of a statement that [`Statement::with_parameters`] lets have some.
    ///
    /// ```
    /// use cofferdam::{Database, Options, named_params};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let mut statement = connection.statement("SELECT $a::integer - $b")?.with_parameters();
    /// let query = statement.prepare()?;
    /// let mut rows = query.rows_with(&named_params! { "b": 2, "a": 44 })?;
    /// assert_eq!(rows.next_row()?.expect("one row").get::<i32>(0)?, 42);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Query::rows`], and those of values for parameters: see [`Prepared::query`](crate::Prepared::query).
    pub fn rows_with(&self, params: &dyn Params) -> Result<Rows<'_>, Error> {
        let transaction = self.statement.connection.state();
        self.bind(params).and_then(|values| self.run(values)).inspect_err(|_| transaction.fail())
    }

    fn run<'r>(&'r self, values: &'r [Value<'r>]) -> Result<Rows<'r>, Error> {
        let (statement, connection) = (self.statement, self.statement.connection);
        let transaction = connection.state();
        statement.deadline.begin(connection.session());
        connection.progress_now().begin();
        let values = match &self.arguments {
            None => values,
            Some((plan, workspace)) => self.arguments(plan, workspace, values)?,
        };
        let (execution, tag, rows_count) = match &self.work {
            Work::Rows { plan, workspace, tag } => (Some(self.begin(plan, workspace, values)?), *tag, 0),
            Work::Copy { plan, workspace, target } => {
                let execution = Some(self.begin(plan, workspace, values)?);
                let rows = Rows::new(execution, self.kind, "COPY", 0, statement);
                let mut rows = rows.in_format(target.into());
                let Some(path) = target.path else { return Ok(rows) };
                let rows_count =
                    guarded(|| copy_out::write_file(&mut rows, target, path, connection.database()))?;
                (None, "COPY", rows_count)
            }
            Work::Analyze(analyze) => {
                transaction.admit()?;
                let is_cancelled = self.run.alloc(|| statement.ends());
                let is_cancelled = is_cancelled.map_err(|_| statement.refused())?;
                (Some(analyze.run(statement, values, &self.run, is_cancelled)?), "EXPLAIN", 0)
            }
            Work::Set { change, tag } => {
                transaction.admit()?;
                change.apply(connection);
                (None, *tag, 0)
            }
            Work::Transaction(asked) => (None, transaction.apply(*asked)?, 0),
            Work::Name(naming) => {
                transaction.admit()?;
                (None, naming.run(connection)?, 0)
            }
            Work::Write { write, verb, tag } => {
                let rows_count = guarded(|| write.run(verb, statement, values))?;
                (None, *tag, rows_count)
            }
        };
        Ok(Rows::new(execution, self.kind, tag, rows_count, statement))
    }
}

impl<'s> Query<'s> {
    /// Begins to give the rows of a plan.
    fn begin<'r>(
        &'r self,
        plan: &'r PhysicalPlan<'s>,
        workspace: &'r Workspace<'s>,
        values: &'r [Value<'r>],
    ) -> Result<Execution<'r>, Error> {
        let (statement, transaction) = (self.statement, self.statement.connection.state());
        // Without values there is no chunk in this query's own arena, and needs not be one.
        let arena = if values.is_empty() { workspace.arena() } else { &self.run };
        let is_cancelled = arena.alloc(|| statement.ends());
        let is_cancelled = is_cancelled.map_err(|_| statement.refused())?;
        let tables = match plan.reads_stored_tables() {
            true => transaction.tables(arena)?,
            false => transaction.admit().map(|()| Tables::None)?,
        };
        guarded(|| {
            let execution = workspace.execute_with(plan, values, tables, is_cancelled);
            execution.map_err(|error| statement.failed(error))
        })
    }
}

impl<'s> Query<'s> {
    /// The values of an `EXECUTE`, computed with these values for its own parameters.
    fn arguments<'r>(
        &'r self,
        plan: &'r PhysicalPlan<'s>,
        workspace: &'r Workspace<'s>,
        values: &'r [Value<'r>],
    ) -> Result<&'r [Value<'r>], Error> {
        let refused = |_| self.statement.refused();
        let execution = Some(self.begin(plan, workspace, values)?);
        let mut rows = Rows::new(execution, StatementKind::Query, "SELECT", 0, self.statement);
        let made = self.run.alloc_slice_fill(plan.columns().len(), Value::Null).map_err(refused)?;
        if let Some(row) = rows.next_row()? {
            for (index, value) in made.iter_mut().enumerate() {
                *value = copied(row.value(index), &self.run).map_err(refused)?;
            }
        }
        Ok(made)
    }
}

/// The value with its bytes in an arena.
fn copied<'r>(value: Value<'_>, arena: &'r Arena) -> Result<Value<'r>, AllocError> {
    if let Some(value) = value.without_bytes() {
        return Ok(value);
    }
    let ty = value.ty();
    let mut bytes: Vec<'r, u8> = Vec::with_capacity_in(row_bytes(&value), arena)?;
    encode_row(value, &mut |piece: &[u8]| bytes.extend_from_slice(piece))?;
    let bytes: &'r [u8] = bytes.into_slice();
    // What was encoded is decoded.
    Ok(decode_row(bytes, ty).map_or(Value::Null, |(value, _)| value))
}

impl Naming<'_> {
    /// Does it, and gives the command tag.
    fn run(&self, connection: &Connection) -> Result<&'static str, Error> {
        let named = connection.named();
        match *self {
            Naming::Prepare { name, text, start, types } => {
                named.check_free(name)?;
                let budget = named.budget(connection.session().prepared_memory_bytes())?;
                let source = Source { text, takes_parameters: true, parameter_types: types };
                let made = connection.made_for().unwrap_or(Made::NOTHING);
                let plan = KeptPlan::new(source, connection, made, budget);
                named.add(name, plan.map_err(|error| error.moved(start))?)?;
                Ok("PREPARE")
            }
            Naming::Deallocate(name) => {
                named.remove(name)?;
                Ok(if name.is_some() { "DEALLOCATE" } else { "DEALLOCATE ALL" })
            }
        }
    }
}

/// Stops a panic at the statement. Nothing that is shared is changed half: what a statement writes to is its own, and
/// it is not used again after a panic.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| Err(Error::from_panic(&*payload)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Remedy;

    /// Aim: a panic is the statement's error and nobody else's. Method: panic on purpose, with both kinds of payload.
    #[test]
    fn a_panic_becomes_an_error() {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let plain = guarded::<()>(|| panic!("broken")).unwrap_err();
        let number = 7;
        let formatted = guarded::<()>(|| panic!("broken {number}")).unwrap_err();
        std::panic::set_hook(hook);
        assert_eq!((plain.sqlstate(), plain.remedy()), ("XX000", Remedy::Report));
        assert_eq!(plain.to_string(), "internal error: broken");
        assert_eq!(formatted.to_string(), "internal error: broken 7");
        assert!(formatted.hint().is_some());
    }
}
