//! Binds what `INSERT` and `COPY` put into a table: a query whose columns are exactly the table's.
//!
//! ```text
//! INSERT INTO t (b) VALUES (1), (DEFAULT)      Values   [a: default, b: 1], [a: default, b: default]
//! INSERT INTO t (b) SELECT x FROM u            Project  [a: default, b: x as b's type]   over the select
//! COPY t (b) FROM 'file'                       Project  [a: default, b: field]           over a scan of the file
//! ```
//!
//! Rows of `VALUES` are bound one at a time, each value for its column, so that a long list can be bound in pieces
//! ([`InsertTarget::bind_row`]). Rules of the table that a cast cannot express (NOT NULL, CHECK) are left to the operator at
//! the root.

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_sql::views::forms::{Insert, ObjectName};
use cofferdam_sql::views::{Expr as ExprView, Query, QueryBody, Target as TargetView, Values};

use super::Binder;
use super::assign::{Target, stored_checks, stored_defaults};
use super::build::Builder;
use super::define::is_view;
use super::from::undefined_table;
use super::query::{Bound, BoundColumn, columns_from};
use super::scope::Scope;
use super::suggest::Suggestion;
use crate::Span;
use crate::catalog::Catalog;
use crate::error::{CountProblem, DefinitionProblem, Error, NameProblem};
use crate::expr::{Expr, ExprKind};
use crate::logical::{LogicalKind, LogicalPlan, Named};
use crate::optimizer::{Sink, SinkKind};
use crate::parameter::Parameters;
use crate::physical::Check;
use crate::table::{StoredTable, TableSource};

/// A column that is given values, and where the statement names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given {
    column: u32,
    span: Span,
}

/// The table of an `INSERT` or `COPY`, and which of its columns the values are for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InsertTarget<'a> {
    pub(crate) table: &'a StoredTable<'a>,
    pub(crate) checks: &'a [Check<'a>],
    /// The columns that values are for, in the order of the values.
    given: &'a [Given],
    /// Whether the statement names them: then each must have a value.
    is_listed: bool,
    /// What each column of the table gets that no value is for.
    defaults: &'a [&'a Expr<'a>],
    parameters: Parameters<'a>,
    /// Where the table is named.
    span: Span,
}

impl<'a> InsertTarget<'a> {
    /// The target of an `INSERT`, whatever it inserts.
    pub(crate) fn bind<'q: 'a>(
        insert: Insert<'q>,
        catalog: &dyn Catalog,
        parameters: Parameters<'a>,
        arena: &'a Arena,
    ) -> Result<InsertTarget<'a>, Error<'a>> {
        refuse_clauses(insert)?;
        let Some(name) = insert.table() else {
            return Err(Error::NotSupported { what: "INSERT without a table", span: insert.form().span() });
        };
        let table = stored_table(name, catalog, arena)?;
        let mut given: Vec<'a, Given> = Vec::with_capacity_in(insert.columns().len(), arena)?;
        for target in insert.columns() {
            push_given(&mut given, table, target.name(), target.span())?;
            if let Some(span) = part(target) {
                return Err(Error::NotSupported { what: "a part of a column as a target", span });
            }
        }
        InsertTarget::new(table, given, name.span(), parameters, arena)
    }

    /// The target of a `COPY` with these names of columns; all columns without names.
    pub(super) fn of_copy<'q: 'a>(
        name: ObjectName<'q>,
        columns: impl Iterator<Item = (&'q str, Span)>,
        catalog: &dyn Catalog,
        arena: &'a Arena,
    ) -> Result<InsertTarget<'a>, Error<'a>> {
        let table = stored_table(name, catalog, arena)?;
        let mut given: Vec<'a, Given> = Vec::new_in(arena);
        for (column, span) in columns {
            push_given(&mut given, table, column, span)?;
        }
        InsertTarget::new(table, given, name.span(), Parameters::NONE, arena)
    }

    /// The target that a statement makes for its rows.
    pub(super) fn of_new(
        table: &'a StoredTable<'a>,
        span: Span,
        parameters: Parameters<'a>,
        arena: &'a Arena,
    ) -> Result<InsertTarget<'a>, Error<'a>> {
        InsertTarget::new(table, Vec::new_in(arena), span, parameters, arena)
    }

    fn new(
        table: &'a StoredTable<'a>,
        mut given: Vec<'a, Given>,
        span: Span,
        parameters: Parameters<'a>,
        arena: &'a Arena,
    ) -> Result<InsertTarget<'a>, Error<'a>> {
        let is_listed = !given.is_empty();
        if !is_listed {
            given.extend((0..table.columns.len() as u32).map(|column| Given { column, span }))?;
        }
        let checks = stored_checks(arena, table, span)?;
        let defaults = stored_defaults(arena, table, span)?;
        let given = given.into_slice();
        Ok(InsertTarget { table, checks, given, is_listed, defaults, parameters, span })
    }

    /// What the plan's rows are for.
    pub(crate) fn sink(&self) -> Sink<'a> {
        Sink { table: self.table, checks: self.checks, kind: SinkKind::Insert }
    }

    /// The columns that values are for, in the order of the values.
    pub(super) fn given_columns(&self) -> impl ExactSizeIterator<Item = u32> + use<'a> {
        self.given.iter().map(|given| given.column)
    }

    /// The row of the table that a row of `VALUES` is.
    ///
    /// # Errors
    /// 42601 for more or fewer values than columns, and whatever is wrong with a value.
    pub(crate) fn bind_row<'p, 'q: 'p>(
        &self,
        values: impl ExactSizeIterator<Item = ExprView<'q>>,
        arena: &'p Arena,
    ) -> Result<&'p [&'p Expr<'p>], Error<'p>>
    where
        'a: 'p,
    {
        let build = Builder::new(arena, self.parameters);
        let defaults: &[&'p Expr<'p>] = self.defaults;
        let row = arena.alloc_slice_copy(defaults)?;
        let count = values.len();
        let is_counted = count <= self.given.len() && self.check_count(count).is_ok();
        for (index, value) in values.enumerate() {
            let given = self.given.get(index);
            let Some(given) = given else { return Err(self.too_many(count, value.span())) };
            if let ExprView::Default(_) = value {
                continue;
            }
            let scratch = Arena::new(arena.budget());
            let scope = Scope::new_in(&scratch);
            let bound = Binder::bind_alone(arena, &scratch, scope, "VALUES", value, self.parameters)?;
            // Of a row of another width its columns say nothing.
            if is_counted {
                row[given.column as usize] = self.column(given.column).assign(build, bound, false)?;
            }
        }
        self.check_count(count)?;
        Ok(row)
    }

    /// A row of defaults alone.
    pub(crate) fn default_row(&self) -> &'a [&'a Expr<'a>] {
        self.defaults
    }

    fn column(&self, column: u32) -> Target<'a> {
        Target::new(&self.table.columns[column as usize], &self.table.rules[column as usize])
    }

    /// Whether the columns that the statement names all have one of so many values.
    fn check_count<'p>(&self, count: usize) -> Result<(), Error<'p>> {
        match self.given.get(count) {
            Some(given) if self.is_listed => Err(Error::Count {
                problem: CountProblem::InsertColumns,
                name: "",
                expected: count as u64,
                found: self.given.len() as u64,
                span: given.span,
            }),
            _ => Ok(()),
        }
    }

    fn too_many<'p>(&self, count: usize, span: Span) -> Error<'p> {
        let (expected, found) = (self.given.len() as u64, count as u64);
        Error::Count { problem: CountProblem::InsertValues, name: "", expected, found, span }
    }
}

/// Whether a row of `VALUES` has as many values as the first one; `span` is for a row without any.
pub(crate) fn check_width<'a, 'q>(
    expected: Option<usize>,
    mut row: impl ExactSizeIterator<Item = ExprView<'q>>,
    span: Span,
) -> Result<(), Error<'a>> {
    let found = row.len();
    let Some(expected) = expected.filter(|expected| *expected != found) else { return Ok(()) };
    let span = row.next().map_or(span, |first| first.span());
    let (problem, expected, found) = (CountProblem::ValuesRows, expected as u64, found as u64);
    Err(Error::Count { problem, name: "", expected, found, span })
}

/// Parts of an `INSERT` that are not here yet.
fn refuse_clauses<'a>(insert: Insert<'_>) -> Result<(), Error<'a>> {
    let refused = [
        ("ON CONFLICT", insert.conflict().map(|conflict| conflict.form().span())),
        ("RETURNING", insert.returning().map(|returning| returning.form().span())),
    ];
    for (what, span) in refused {
        if let Some(span) = span {
            return Err(Error::NotSupported { what, span });
        }
    }
    if insert.overriding_system() || insert.overriding_user() {
        return Err(Error::NotSupported { what: "OVERRIDING", span: insert.form().span() });
    }
    Ok(())
}

/// Where a target is more than a column: an element or a field of it.
pub(super) fn part(target: TargetView<'_>) -> Option<Span> {
    target.selections().next().map(|_| target.span())
}

fn push_given<'a, 'q: 'a>(
    given: &mut Vec<'a, Given>,
    table: &'a StoredTable<'a>,
    name: &'q str,
    span: Span,
) -> Result<(), Error<'a>> {
    let Some(column) = table.columns.iter().position(|column| column.name == name) else {
        let mut suggestion = Suggestion::new(name);
        table.columns.iter().for_each(|column| suggestion.offer(column.name));
        let (problem, qualifier, suggestion) =
            (NameProblem::NoSuchTarget, Some(table.name), suggestion.best());
        return Err(Error::Name { problem, name, qualifier, suggestion, span });
    };
    let column = column as u32;
    if given.iter().any(|known| known.column == column) {
        let (problem, table) = (DefinitionProblem::ColumnTwice, table.name);
        return Err(Error::Definition { problem, name, table, span });
    }
    Ok(given.push(Given { column, span })?)
}

/// The stored table of a name.
///
/// # Errors
/// 42P01 when there is none, 42809 when it is a file, 0A000 for a view or a schema.
pub(super) fn stored_table<'a, 'q: 'a>(
    name: ObjectName<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<&'a StoredTable<'a>, Error<'a>> {
    let span = name.span();
    let table = plain_name(name)?;
    match catalog.table(table, arena).map_err(|error| Error::from_catalog(error, span))? {
        Some(TableSource::Stored(table)) => Ok(table),
        Some(TableSource::File(_) | TableSource::Engine(_)) => {
            let problem = DefinitionProblem::NotStored;
            Err(Error::Definition { problem, name: table, table, span })
        }
        None if is_view(table, catalog, arena, span)? => {
            Err(Error::NotSupported { what: "a change through a view", span })
        }
        None => Err(undefined_table(catalog, arena, NameProblem::UndefinedTable, table, span)),
    }
}

/// The name of a table without its schema, which may only be `public`.
pub(super) fn plain_name<'a, 'q: 'a>(name: ObjectName<'q>) -> Result<&'q str, Error<'a>> {
    let is_plain = name.qualifier().is_none_or(|schema| schema == "public") && name.outer().next().is_none();
    match is_plain {
        true => Ok(name.name()),
        false => Err(Error::NotSupported { what: "a table with a schema", span: name.span() }),
    }
}

/// What an `INSERT` takes its rows from.
enum Source<'q> {
    /// `DEFAULT VALUES`.
    Defaults,
    /// Rows that are bound value by value.
    Rows(Values<'q>),
    /// Anything else.
    Query(Query<'q>),
}

impl<'q> Source<'q> {
    fn of(insert: Insert<'q>) -> Source<'q> {
        let Some(query) = insert.query() else { return Source::Defaults };
        match query.body() {
            // With an order or a limit it is a table of its own, whose columns have types of their own.
            QueryBody::Values(values)
                if query.order_by().next().is_none()
                    && query.limit().is_none()
                    && query.offset().is_none()
                    && query.with().is_none()
                    && query.lockings().next().is_none() =>
            {
                Source::Rows(values)
            }
            _ => Source::Query(query),
        }
    }
}

impl<'a, 'c> Binder<'_, 'a, 'c> {
    /// The logical plan of the rows that an `INSERT` puts into its target.
    ///
    /// # Errors
    /// Whatever is wrong with the statement, with its place.
    pub(crate) fn bind_insert<'q: 'a>(
        insert: Insert<'q>,
        target: &InsertTarget<'a>,
        catalog: &'c dyn Catalog,
        arena: &'a Arena,
    ) -> Result<LogicalPlan<'a>, Error<'a>> {
        let scratch = Arena::new(arena.budget());
        let mut binder = Binder::new(catalog, target.parameters, arena, &scratch);
        binder.bind_with(insert.with())?;
        let bound = match Source::of(insert) {
            Source::Defaults => {
                let rows = arena.alloc_slice_copy(&[target.default_row()])?;
                binder.push_rows(target, rows)?
            }
            Source::Rows(values) => match binder.bind_insert_rows(values, target) {
                // A value that is a query makes a query of the list, whose columns have types of their own.
                Err(Error::NoQuery { .. }) => {
                    let defaults = target.given_columns().map(|column| target.defaults[column as usize]);
                    binder.defaults = arena.alloc_slice_from_iter(defaults)?;
                    let bound = binder.bind_query(values.query())?;
                    binder.push_target(bound, target)?
                }
                rows => {
                    let rows = rows?;
                    binder.push_rows(target, rows)?
                }
            },
            Source::Query(query) => {
                let bound = binder.bind_query(query)?;
                binder.push_target(bound, target)?
            }
        };
        binder.finish(bound)
    }

    fn bind_insert_rows<'q: 'a>(
        &self,
        values: Values<'q>,
        target: &InsertTarget<'a>,
    ) -> Result<&'a [&'a [&'a Expr<'a>]], Error<'a>> {
        let mut rows: Vec<'a, &'a [&'a Expr<'a>]> = Vec::new_in(self.arena);
        let mut width = None;
        for row in values.rows() {
            width = width.or(Some(row.len()));
            check_width(width, row.clone(), values.span())?;
            rows.push(target.bind_row(row, self.arena)?)?;
        }
        Ok(rows.into_slice())
    }

    /// Constant rows of the table's columns.
    fn push_rows(
        &mut self,
        target: &InsertTarget<'a>,
        rows: &'a [&'a [&'a Expr<'a>]],
    ) -> Result<Bound<'a>, Error<'a>> {
        let columns = target.table.columns;
        let first = self.plan.columns_like(columns)?;
        let width = columns.len() as u32;
        let node = self.plan.push(LogicalKind::Values { rows, width, first })?;
        Ok(Bound { node, columns: columns_from(columns, first, target.span, self.arena)? })
    }

    /// The plan of some rows for a table.
    pub(crate) fn plan_of_rows(
        target: &InsertTarget<'a>,
        rows: &'a [&'a [&'a Expr<'a>]],
        arena: &'a Arena,
    ) -> Result<LogicalPlan<'a>, Error<'a>> {
        let scratch = Arena::new(arena.budget());
        let mut binder = Binder::new(&crate::EmptyCatalog, Parameters::NONE, arena, &scratch);
        let bound = binder.push_rows(target, rows)?;
        binder.finish(bound)
    }

    /// Makes the columns of a query, which are those that values are for, the columns of the table.
    pub(super) fn push_target(
        &mut self,
        bound: Bound<'a>,
        target: &InsertTarget<'a>,
    ) -> Result<Bound<'a>, Error<'a>> {
        if let Some(column) = bound.columns.get(target.given.len()) {
            return Err(target.too_many(bound.columns.len(), column.span));
        }
        target.check_count(bound.columns.len())?;
        let build = self.build();
        let mut values: Vec<'a, Named<'a>> = Vec::with_capacity_in(target.defaults.len(), self.arena)?;
        for (expr, column) in target.defaults.iter().zip(target.table.columns) {
            values.push(Named { id: self.plan.column(column.name, column.ty)?, expr })?;
        }
        for (column, given) in bound.columns.iter().zip(target.given) {
            // A quoted literal has waited for its column's type.
            let value = self.read_bound(column)?;
            values[given.column as usize].expr = target.column(given.column).assign(build, value, false)?;
        }
        let mut columns: Vec<'a, BoundColumn<'a>> = Vec::with_capacity_in(values.len(), self.arena)?;
        let mut computed: Vec<'a, Named<'a>> = Vec::new_in(self.arena);
        for (value, column) in values.iter().zip(target.table.columns) {
            let id = match value.expr.kind {
                ExprKind::Column(id) => id,
                _ => {
                    computed.push(*value)?;
                    value.id
                }
            };
            columns.push(BoundColumn { id, name: column.name, open: None, span: target.span })?;
        }
        let columns = columns.into_slice();
        let node = match computed.is_empty() {
            true => bound.node,
            false => {
                let exprs = computed.into_slice();
                self.plan.push(LogicalKind::Extend { input: bound.node, exprs })?
            }
        };
        Ok(Bound { node, columns })
    }
}
