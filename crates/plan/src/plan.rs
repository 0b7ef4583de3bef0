//! The pipeline: one flat list of calls for each kind of statement.

use std::cell::Cell;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena, Stage};
use cofferdam_sql::views::forms::{
    self, Copy, Delete, DropTable, Execute, Explain, FormRef, Insert, Prepare, Update,
};
use cofferdam_sql::views::{Query, Row, Statement};
use cofferdam_types::{Type, Value};

use crate::Span;
use crate::binder::insert::{InsertTarget, check_width};
use crate::binder::{Binder, argument, define, index, transaction, view};
use crate::catalog::Catalog;
use crate::error::Error;
use crate::explain::{
    ExplainFormat, ExplainOptions, Measures, explain_measured, explain_options, place_of_analyze,
};
use crate::expr::{Column, Expr, ExprKind};
use crate::logical::LogicalPlan;
use crate::optimizer::{Sink, optimize};
use crate::parameter::Parameters;
use crate::physical::{CopyTarget, Operator, OperatorKind, PhysicalPlan};
use crate::table::{CreateIndex, CreateTable, CreateView, DropIndexes, DropTables, TransactionStatement};

/// What small statements need of a scratch arena: a chunk of four KiB, which costs less than several.
const SCRATCH_BYTES: usize = 3940;

static BIND: Stage = Stage::new("bind");
static OPTIMIZE: Stage = Stage::new("optimize");
static EXPLAIN: Stage = Stage::new("explain");

/// The physical plan of a query, in `arena`, which also pays for all intermediate work.
///
/// The budget's stage is `bind`, then `optimize`, so that a refusal says how far planning came.
///
/// # Errors
/// Whatever is wrong with the query, with its place in the text; [`Error::OutOfMemory`] when the arena's budget has no
/// room.
pub fn plan_query<'a, 'q: 'a>(
    query: Query<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<PhysicalPlan<'a>, Error<'a>> {
    arena.budget().set_stage(&BIND);
    let parameters =
        Parameters::of(query.node(), catalog.takes_parameters(), catalog.parameter_types(), arena)?;
    // What binding needed no more serves the optimizer.
    let mut scratch = Arena::with_capacity(arena.budget(), SCRATCH_BYTES)?;
    let logical = Binder::bind(query, catalog, parameters, arena, &scratch)?;
    scratch.reset_keeping(4 << 10);
    finish(logical, None, parameters, catalog, (arena, &scratch))
}

/// The physical plan of an `INSERT`, in `arena`: its root gives the rows that the table takes.
///
/// # Errors
/// Whatever is wrong with the statement, with its place in the text; [`Error::OutOfMemory`] when the arena's budget has no
/// room.
pub fn plan_insert<'a, 'q: 'a>(
    insert: Insert<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<PhysicalPlan<'a>, Error<'a>> {
    arena.budget().set_stage(&BIND);
    let parameters =
        Parameters::of(insert.form().node(), catalog.takes_parameters(), catalog.parameter_types(), arena)?;
    let target = InsertTarget::bind(insert, catalog, parameters, arena)?;
    let logical = Binder::bind_insert(insert, &target, catalog, arena)?;
    finish(logical, Some(target.sink()), parameters, catalog, (arena, &Arena::new(arena.budget())))
}

/// The physical plan of a `COPY … FROM`, in `arena`: its root gives the rows that the table takes.
///
/// # Errors
/// As [`plan_insert`]; 0A000 for a `COPY` of another kind.
pub fn plan_copy<'a, 'q: 'a>(
    copy: Copy<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<PhysicalPlan<'a>, Error<'a>> {
    arena.budget().set_stage(&BIND);
    let (logical, target) = Binder::bind_copy(copy, catalog, arena)?;
    arena.budget().set_stage(&OPTIMIZE);
    optimize(logical, Some(target.sink()), catalog, arena, &Arena::new(arena.budget()))
}

/// The physical plan of a `COPY … TO`, in `arena`: a query, and where its rows go.
///
/// # Errors
/// As [`plan_query`]; 42809 for a view, 0A000 for what is written nowhere.
pub fn plan_copy_to<'a, 'q: 'a>(
    copy: Copy<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<(PhysicalPlan<'a>, CopyTarget<'a>), Error<'a>> {
    arena.budget().set_stage(&BIND);
    let (logical, target) = Binder::bind_copy_to(copy, catalog, arena)?;
    Ok((finish(logical, None, Parameters::NONE, catalog, (arena, &Arena::new(arena.budget())))?, target))
}

/// The physical plan of an `UPDATE`, in `arena`: its root gives the rows as they are to be.
///
/// # Errors
/// As [`plan_insert`].
pub fn plan_update<'a, 'q: 'a>(
    update: Update<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<PhysicalPlan<'a>, Error<'a>> {
    arena.budget().set_stage(&BIND);
    let parameters =
        Parameters::of(update.form().node(), catalog.takes_parameters(), catalog.parameter_types(), arena)?;
    let (logical, sink) = Binder::bind_update(update, catalog, parameters, arena)?;
    finish(logical, Some(sink), parameters, catalog, (arena, &Arena::new(arena.budget())))
}

/// The physical plan of a `TRUNCATE`, in `arena`: its root gives what tells the rows that go, which are all.
///
/// # Errors
/// As [`plan_insert`]; 0A000 for several tables.
pub fn plan_truncate<'a, 'q: 'a>(
    truncate: forms::Truncate<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<PhysicalPlan<'a>, Error<'a>> {
    arena.budget().set_stage(&BIND);
    let (logical, sink) = Binder::bind_truncate(truncate, catalog, arena)?;
    finish(logical, Some(sink), Parameters::NONE, catalog, (arena, &Arena::new(arena.budget())))
}

/// The physical plan of a `DELETE`, in `arena`: its root gives what tells the rows that go.
///
/// # Errors
/// As [`plan_insert`].
pub fn plan_delete<'a, 'q: 'a>(
    delete: Delete<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<PhysicalPlan<'a>, Error<'a>> {
    arena.budget().set_stage(&BIND);
    let parameters =
        Parameters::of(delete.form().node(), catalog.takes_parameters(), catalog.parameter_types(), arena)?;
    let (logical, sink) = Binder::bind_delete(delete, catalog, parameters, arena)?;
    finish(logical, Some(sink), parameters, catalog, (arena, &Arena::new(arena.budget())))
}

/// The plan of the values of an `EXECUTE`, in `arena`: one row, whose columns are of these types.
///
/// # Errors
/// Whatever is wrong with a value; 42804 for one that does not become one of its type in an assignment; [`Error::OutOfMemory`].
pub fn plan_arguments<'a, 'q: 'a>(
    execute: Execute<'q>,
    types: &[Type],
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<PhysicalPlan<'a>, Error<'a>> {
    arena.budget().set_stage(&BIND);
    let node = execute.form().node();
    let parameters = Parameters::of(node, catalog.takes_parameters(), catalog.parameter_types(), arena)?;
    let row = argument::bind(execute.values(), types, parameters, arena)?;
    let columns =
        arena.alloc_slice_from_iter(types.iter().map(|ty| Column { name: "parameter", ty: *ty }))?;
    let kind = OperatorKind::Values { rows: arena.alloc_slice_copy(&[row])? };
    let values = Operator { kind, columns, rows_estimate: 1, bytes_estimate: 0 };
    Ok(PhysicalPlan {
        operators: arena.alloc_slice_copy(&[values])?,
        parameters: parameters.decided(arena)?,
        parameter_names: parameters.names(),
    })
}

/// The types that a `PREPARE` declares for its parameters, in `arena`; [`Type::Unknown`] for `unknown`, which is told by its places.
///
/// # Errors
/// 42704 for a name that no type has, 0A000 for types that are not here; [`Error::OutOfMemory`].
pub fn bind_parameter_types<'a, 'q: 'a>(
    prepare: Prepare<'q>,
    arena: &'a Arena,
) -> Result<&'a [Type], Error<'a>> {
    arena.budget().set_stage(&BIND);
    let mut types: Vec<'a, Type> = Vec::new_in(arena);
    for name in prepare.types() {
        types.push(argument::declared_type(name)?)?;
    }
    Ok(types.into_slice())
}

/// The last steps of a plan: every parameter has its type now.
fn finish<'a>(
    logical: LogicalPlan<'a>,
    sink: Option<Sink<'a>>,
    parameters: Parameters<'a>,
    catalog: &dyn Catalog,
    (arena, scratch): (&'a Arena, &Arena),
) -> Result<PhysicalPlan<'a>, Error<'a>> {
    let (parameters, parameter_names) = (parameters.decided(arena)?, parameters.names());
    arena.budget().set_stage(&OPTIMIZE);
    Ok(PhysicalPlan { parameters, parameter_names, ..optimize(logical, sink, catalog, arena, scratch)? })
}

/// A checked `CREATE TABLE`, in `arena`.
///
/// # Errors
/// Whatever is wrong with the definition, with its place in the text; [`Error::OutOfMemory`].
pub fn bind_create_table<'a, 'q: 'a>(
    create: forms::CreateTable<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<CreateTable<'a>, Error<'a>> {
    arena.budget().set_stage(&BIND);
    define::create_table(create, catalog, arena)
}

/// A checked `CREATE TABLE … AS`, in `arena`: the table, and the plan whose root gives its rows. There is no plan where the table exists and
/// may, and for `WITH NO DATA`.
///
/// # Errors
/// Whatever is wrong with the query, with its place in the text; 42P07 for a name that is taken, 42701 for two columns of a name, 42601 for
/// more names than columns; [`Error::OutOfMemory`].
pub fn plan_create_table_as<'a, 'q: 'a>(
    create: forms::CreateTableAs<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<(CreateTable<'a>, Option<PhysicalPlan<'a>>), Error<'a>> {
    arena.budget().set_stage(&BIND);
    let node = create.form().node();
    let parameters = Parameters::of(node, catalog.takes_parameters(), catalog.parameter_types(), arena)?;
    let define::TableOfQuery { table, rows } = define::create_table_as(create, catalog, parameters, arena)?;
    let Some((logical, target)) = rows else { return Ok((table, None)) };
    let scratch = Arena::new(arena.budget());
    let plan = finish(logical, Some(target.sink()), parameters, catalog, (arena, &scratch))?;
    Ok((table, Some(plan)))
}

/// A checked `CREATE VIEW`, in `arena`. Its query is changed: columns stand in the place of every `*`.
///
/// # Errors
/// Whatever is wrong with the query, with its place in the text; 42P07 for a name that is taken, 42809 where it is not a view's, 42P16
/// where the columns of a view that is replaced do not stay, 42P17 for one that reads itself; [`Error::OutOfMemory`].
pub fn bind_create_view<'a, 'q: 'a>(
    create: forms::CreateView<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<CreateView<'a>, Error<'a>> {
    arena.budget().set_stage(&BIND);
    view::create_view(create, catalog, arena)
}

/// A checked `CREATE RECURSIVE VIEW`, in `arena`.
///
/// # Errors
/// As [`bind_create_view`].
pub fn bind_create_recursive_view<'a, 'q: 'a>(
    create: forms::CreateRecursiveView<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<CreateView<'a>, Error<'a>> {
    arena.budget().set_stage(&BIND);
    view::create_recursive_view(create, catalog, arena)
}

/// What a `DROP VIEW` drops, in `arena`.
///
/// # Errors
/// 42P01 for a name that no view has, 42809 for a table; 2BP01 for a view that others read; [`Error::OutOfMemory`].
pub fn bind_drop_views<'a, 'q: 'a>(
    drop: forms::DropView<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<DropTables<'a>, Error<'a>> {
    arena.budget().set_stage(&BIND);
    define::drop_views(drop, catalog, arena)
}

/// What a `DROP TABLE` drops, in `arena`.
///
/// # Errors
/// 42P01 for a name that no table has, 42809 for a file or a view; 2BP01 for a table that a view reads; [`Error::OutOfMemory`].
pub fn bind_drop_tables<'a, 'q: 'a>(
    drop: DropTable<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<DropTables<'a>, Error<'a>> {
    arena.budget().set_stage(&BIND);
    define::drop_tables(drop, catalog, arena)
}

/// A checked `CREATE INDEX`, in `arena`.
///
/// # Errors
/// Whatever is wrong with the definition, with its place in the text; [`Error::OutOfMemory`].
pub fn bind_create_index<'a, 'q: 'a>(
    create: forms::CreateIndex<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<CreateIndex<'a>, Error<'a>> {
    arena.budget().set_stage(&BIND);
    index::create_index(create, catalog, arena)
}

/// The indexes that a `DROP INDEX` names, in `arena`.
///
/// # Errors
/// 42704 for a name that no index has, 42809 for a table, 2BP01 for the index of a constraint; [`Error::OutOfMemory`].
pub fn bind_drop_indexes<'a, 'q: 'a>(
    drop: forms::DropIndex<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<DropIndexes<'a>, Error<'a>> {
    arena.budget().set_stage(&BIND);
    index::drop_indexes(drop, catalog, arena)
}

/// What a statement asks of the transaction; `None` for a statement of another kind.
///
/// # Errors
/// 0A000 for what transactions do not do.
pub fn bind_transaction<'a, 'q: 'a>(
    form: FormRef<'q>,
) -> Result<Option<TransactionStatement<'a>>, Error<'a>> {
    transaction::bind(form)
}

/// An `INSERT … VALUES` of which the rows are planned piece by piece, so that a list of any length needs the memory of a
/// piece: see `InsertRows` of `sql`, which reads such a statement row by row.
///
/// ```
/// use cofferdam_arena::{Arena, Budget};
/// use cofferdam_plan::{EmptyCatalog, InsertPieces};
/// use cofferdam_sql::InsertRows;
/// use cofferdam_sql::views::{Statement, forms::Insert};
///
/// let budget = Budget::root("statement", 1 << 20)?;
/// let arena = Arena::new(&budget);
/// let rows = InsertRows::open("INSERT INTO t VALUES (1), (2)", &arena)?.expect("an INSERT with VALUES");
/// let Statement::Form(head) = rows.head().statement() else { panic!("a form") };
/// let insert = Insert::of(head.node()).expect("an INSERT");
/// let error = InsertPieces::bind(insert, &EmptyCatalog, &arena).unwrap_err();
/// assert_eq!(error.to_string(), "relation \"t\" does not exist");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct InsertPieces<'a> {
    target: InsertTarget<'a>,
    /// How many values the first row has; every row has as many.
    width: Cell<Option<usize>>,
}

impl<'a> InsertPieces<'a> {
    /// Binds all of the statement but its rows; what it makes lives in `arena`.
    ///
    /// # Errors
    /// As [`plan_insert`].
    pub fn bind<'q: 'a>(
        insert: Insert<'q>,
        catalog: &dyn Catalog,
        arena: &'a Arena,
    ) -> Result<InsertPieces<'a>, Error<'a>> {
        arena.budget().set_stage(&BIND);
        Ok(InsertPieces {
            target: InsertTarget::bind(insert, catalog, Parameters::NONE, arena)?,
            width: Cell::new(None),
        })
    }

    /// A piece without rows yet, whose plan will live in `arena`.
    pub fn piece<'p>(&'p self, arena: &'p Arena) -> InsertPiece<'p>
    where
        'a: 'p,
    {
        InsertPiece { pieces: self, rows: Vec::new_in(arena) }
    }
}

/// Some rows of an `INSERT … VALUES`.
#[derive(Debug)]
pub struct InsertPiece<'p> {
    pieces: &'p InsertPieces<'p>,
    rows: Vec<'p, &'p [&'p Expr<'p>]>,
}

impl<'p> InsertPiece<'p> {
    /// Binds one row more.
    ///
    /// # Errors
    /// 42601 for more or fewer values than columns, and whatever is wrong with a value.
    pub fn push<'q: 'p>(&mut self, row: Row<'q>) -> Result<(), Error<'p>> {
        let width = Some(self.pieces.width.get().unwrap_or(row.elements().len()));
        self.pieces.width.set(width);
        check_width(width, row.elements(), row.span())?;
        let row = self.pieces.target.bind_row(row.elements(), self.rows.arena())?;
        Ok(self.rows.push(row)?)
    }

    /// How many rows there are.
    pub fn rows_count(&self) -> usize {
        self.rows.len()
    }

    /// The plan of the rows.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] when the arena's budget has no room.
    pub fn finish(self) -> Result<PhysicalPlan<'p>, Error<'p>> {
        let arena = self.rows.arena();
        let target = &self.pieces.target;
        let logical = Binder::plan_of_rows(target, self.rows.into_slice(), arena)?;
        optimize(logical, Some(target.sink()), &crate::EmptyCatalog, arena, &Arena::new(arena.budget()))
    }
}

/// An `EXPLAIN` whose statement is planned, in `arena`.
///
/// # Errors
/// Those of planning a query, an `INSERT`, an `UPDATE` or a `DELETE`; 42601 and 22023 for options that are none, 0A000 for options and
/// statements that are not here.
pub fn bind_explain<'a, 'q: 'a>(
    statement: Explain<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<Explained<'a>, Error<'a>> {
    let options = explain_options(statement, arena)?;
    let plan = plan_explained(statement, catalog, arena)?;
    Ok(Explained { plan, options, span: statement.form().span() })
}

/// An `EXPLAIN` of an `EXECUTE`, whose plan is there.
///
/// # Errors
/// Those of [`bind_explain`] for options; [`Error::OutOfMemory`].
pub fn explain_prepared<'a, 'q: 'a>(
    statement: Explain<'q>,
    plan: PhysicalPlan<'a>,
    arena: &'a Arena,
) -> Result<Explained<'a>, Error<'a>> {
    let options = explain_options(statement, arena)?;
    Ok(Explained { plan, options, span: statement.form().span() })
}

/// The plan of an `EXPLAIN` that does not run its statement: its answer.
///
/// # Errors
/// Those of [`bind_explain`]; 0A000 for `ANALYZE`, for which a host runs the plan of [`Explained`].
pub fn plan_explain<'a, 'q: 'a>(
    statement: Explain<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<PhysicalPlan<'a>, Error<'a>> {
    let explained = bind_explain(statement, catalog, arena)?;
    if explained.options.analyze {
        return Err(Error::NotSupported { what: "EXPLAIN ANALYZE", span: place_of_analyze(statement) });
    }
    Ok(explained.answer(&Measures::default(), arena)?)
}

/// A statement that is to be explained.
#[derive(Clone, Copy, Debug)]
pub struct Explained<'a> {
    /// Its plan.
    pub plan: PhysicalPlan<'a>,
    /// What is to be shown.
    pub options: ExplainOptions,
    span: Span,
}

impl<'a> Explained<'a> {
    /// The plan of the answer, of one operator: a row of text for each line, or one of JSON, in a column `QUERY PLAN`.
    ///
    /// # Errors
    /// `AllocError` when the budget of `arena` has no room.
    pub fn answer(&self, measures: &Measures<'_>, arena: &'a Arena) -> Result<PhysicalPlan<'a>, AllocError> {
        arena.budget().set_stage(&EXPLAIN);
        let lines = explain_measured(&self.plan, self.options, measures, arena)?;
        self.rows(lines, arena)
    }

    /// The plan of an answer without rows yet: what [`Explained::answer`] gives has as many operators and the same columns.
    ///
    /// # Errors
    /// `AllocError` when the budget of `arena` has no room.
    pub fn empty_answer(&self, arena: &'a Arena) -> Result<PhysicalPlan<'a>, AllocError> {
        self.rows(&[], arena)
    }

    fn rows(&self, lines: &[&'a str], arena: &'a Arena) -> Result<PhysicalPlan<'a>, AllocError> {
        let ty = match self.options.format {
            ExplainFormat::Text => Type::Text,
            ExplainFormat::Json => Type::Json,
        };
        let mut rows: Vec<'a, &'a [&'a Expr<'a>]> = Vec::with_capacity_in(lines.len(), arena)?;
        for line in lines {
            let value = match self.options.format {
                ExplainFormat::Text => Value::Text(line),
                ExplainFormat::Json => Value::Json(line),
            };
            let expr: &'a Expr<'a> =
                arena.alloc(Expr { kind: ExprKind::Literal(value), ty, span: self.span })?;
            rows.push(arena.alloc_slice_copy(&[expr])?)?;
        }
        let rows: &'a [&'a [&'a Expr<'a>]] = rows.into_slice();
        let columns = arena.alloc_slice_copy(&[Column { name: "QUERY PLAN", ty }])?;
        let (rows_estimate, bytes_estimate) = (rows.len() as u64, 0);
        let values = Operator { kind: OperatorKind::Values { rows }, columns, rows_estimate, bytes_estimate };
        Ok(PhysicalPlan { operators: arena.alloc_slice_copy(&[values])?, ..self.plan })
    }
}

fn plan_explained<'a, 'q: 'a>(
    statement: Explain<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<PhysicalPlan<'a>, Error<'a>> {
    let node = match statement.statement() {
        Some(Statement::Query(query)) => return plan_query(query, catalog, arena),
        Some(Statement::Form(form)) => Some(form.node()),
        None => None,
    };
    if let Some(insert) = node.and_then(Insert::of) {
        plan_insert(insert, catalog, arena)
    } else if let Some(update) = node.and_then(Update::of) {
        plan_update(update, catalog, arena)
    } else if let Some(delete) = node.and_then(Delete::of) {
        plan_delete(delete, catalog, arena)
    } else {
        let what = "EXPLAIN of a statement that neither asks for rows nor changes them";
        Err(Error::NotSupported { what, span: statement.form().span() })
    }
}
