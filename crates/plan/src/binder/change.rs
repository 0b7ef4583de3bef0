//! Binds `UPDATE`, `DELETE` and `TRUNCATE`: a query over the table whose rows tell which of its rows change, and how.
//!
//! ```text
//! DELETE FROM t USING u WHERE …       Join t, u > Filter                                     t's key
//! UPDATE t SET b = x FROM u WHERE …   Join t, u > Filter > Sort, DistinctOn by t's key > Extend    a, x as b's type
//! UPDATE t SET a = a + 1              Scan t > Extend > Join (false), (true) > Sort          a + 1, b, a, false or true
//! ```
//!
//! A row of a table is told by the values of its key, or by the number that the store gives rows of tables without one. A
//! join may give a row several times: it is changed by the first of them, whichever that is. Where a column of a key
//! changes, all old rows go before the first new one comes ([`UpdateWay::InTwoPasses`]), so that what holds for all rows
//! of the table at the end of the statement is what counts.

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_sql::views::forms::{Assignment, Delete, FormRef, ObjectName, Returning, Truncate, Update};
use cofferdam_sql::views::{Expr as ExprView, TableExpr, Target as TargetView};
use cofferdam_types::{Type, Value};

use super::Binder;
use super::assign::{Target, stored_checks, stored_defaults};
use super::expression::{Place, Stage};
use super::insert::{part, stored_table};
use super::query::{Bound, BoundColumn, columns_from};
use super::scope::Scope;
use super::suggest::Suggestion;
use crate::Span;
use crate::catalog::Catalog;
use crate::error::{CountProblem, DefinitionProblem, Error, NameProblem};
use crate::expr::{Column, Expr, ExprKind};
use crate::logical::{ColumnId, Join, Key, LogicalId, LogicalKind, LogicalPlan, Named};
use crate::optimizer::{Sink, SinkKind};
use crate::parameter::Parameters;
use crate::physical::{JoinKind, UpdateWay};
use crate::table::{ColumnRule, StoredTable, TableSource};

/// The table of an `UPDATE` or `DELETE` in the query over it.
#[derive(Clone, Copy)]
struct Changed<'a> {
    table: &'a StoredTable<'a>,
    /// The number of its first column; behind the last one stands the number of the row, where there is no key.
    first: ColumnId,
    /// Where it is named.
    span: Span,
}

impl<'a> Changed<'a> {
    fn column(&self, position: usize) -> ColumnId {
        self.first + position as u32
    }

    /// What tells a row.
    fn identity(&self, arena: &'a Arena) -> Result<&'a [ColumnId], Error<'a>> {
        let row_id = [self.column(self.table.columns.len())];
        match self.table.key {
            [] => Ok(arena.alloc_slice_copy(&row_id)?),
            key => Ok(arena.alloc_slice_from_iter(key.iter().map(|part| self.column(part.column as usize)))?),
        }
    }

    fn position<'q: 'a>(&self, target: TargetView<'q>) -> Result<usize, Error<'a>> {
        let (name, span) = (target.name(), target.span());
        let Some(position) = self.table.columns.iter().position(|column| column.name == name) else {
            let mut suggestion = Suggestion::new(name);
            self.table.columns.iter().for_each(|column| suggestion.offer(column.name));
            let (problem, qualifier, suggestion) =
                (NameProblem::NoSuchTarget, Some(self.table.name), suggestion.best());
            return Err(Error::Name { problem, name, qualifier, suggestion, span });
        };
        match part(target) {
            Some(span) => Err(Error::NotSupported { what: "a part of a column as a target", span }),
            None => Ok(position),
        }
    }
}

/// The values of an `UPDATE`, by column of the table.
struct Assigned<'s, 'a> {
    /// What the column gets; nothing where it stays as it is.
    values: Vec<'s, Option<&'a Expr<'a>>>,
    /// What `DEFAULT` means.
    defaults: &'a [&'a Expr<'a>],
}

impl<'a, 'c> Binder<'_, 'a, 'c> {
    /// The logical plan of an `UPDATE`, and what its rows are for.
    ///
    /// # Errors
    /// Whatever is wrong with the statement, with its place.
    pub(crate) fn bind_update<'q: 'a>(
        update: Update<'q>,
        catalog: &'c dyn Catalog,
        parameters: Parameters<'a>,
        arena: &'a Arena,
    ) -> Result<(LogicalPlan<'a>, Sink<'a>), Error<'a>> {
        let form = update.form();
        refuse_clauses(form, update.cursor(), update.returning())?;
        let scratch = Arena::new(arena.budget());
        let mut binder = Binder::new(catalog, parameters, arena, &scratch);
        binder.bind_with(update.with())?;
        let (node, changed) = binder.begin_change(update.table(), update.alias(), form)?;
        let (node, is_joined) = binder.join_others(node, update.from(), update.condition())?;
        let node = if is_joined { binder.first_of_each(node, changed)? } else { node };
        let mut assigned = Assigned {
            values: Vec::new_in(&scratch),
            defaults: stored_defaults(arena, changed.table, changed.span)?,
        };
        for _ in changed.table.columns {
            assigned.values.push(None)?;
        }
        for assignment in update.assignments() {
            binder.bind_assignment(assignment, changed, &mut assigned)?;
        }
        let node = binder.attach(Stage::Rows, node)?;
        let way = way_of(changed.table, &assigned.values);
        let bound = binder.new_rows(node, changed, &assigned.values, way)?;
        let checks = stored_checks(arena, changed.table, changed.span)?;
        let sink = Sink { table: changed.table, checks, kind: SinkKind::Update(way) };
        Ok((binder.finish(bound)?, sink))
    }

    /// The logical plan of a `DELETE`, and what its rows are for.
    ///
    /// # Errors
    /// Whatever is wrong with the statement, with its place.
    pub(crate) fn bind_delete<'q: 'a>(
        delete: Delete<'q>,
        catalog: &'c dyn Catalog,
        parameters: Parameters<'a>,
        arena: &'a Arena,
    ) -> Result<(LogicalPlan<'a>, Sink<'a>), Error<'a>> {
        let form = delete.form();
        refuse_clauses(form, delete.cursor(), delete.returning())?;
        let scratch = Arena::new(arena.budget());
        let mut binder = Binder::new(catalog, parameters, arena, &scratch);
        binder.bind_with(delete.with())?;
        let (node, changed) = binder.begin_change(delete.table(), delete.alias(), form)?;
        let (node, _) = binder.join_others(node, delete.using(), delete.condition())?;
        let mut columns = Vec::new_in(arena);
        for id in changed.identity(arena)? {
            columns.push(binder.output_column(*id, changed.span))?;
        }
        let sink = Sink { table: changed.table, checks: &[], kind: SinkKind::Delete };
        Ok((binder.finish(Bound { node, columns: columns.into_slice() })?, sink))
    }

    /// The same for a `TRUNCATE`: all rows of the table.
    ///
    /// # Errors
    /// As [`Binder::bind_delete`]; 0A000 for several tables.
    pub(crate) fn bind_truncate<'q: 'a>(
        truncate: Truncate<'q>,
        catalog: &'c dyn Catalog,
        arena: &'a Arena,
    ) -> Result<(LogicalPlan<'a>, Sink<'a>), Error<'a>> {
        let form = truncate.form();
        let mut tables = truncate.tables();
        let (table, None) = (tables.next().and_then(|relation| relation.table()), tables.next()) else {
            return Err(Error::NotSupported { what: "TRUNCATE of several tables", span: form.span() });
        };
        let scratch = Arena::new(arena.budget());
        let mut binder = Binder::new(catalog, Parameters::NONE, arena, &scratch);
        let (node, changed) = binder.begin_change(table, None, form)?;
        let mut columns = Vec::new_in(arena);
        for id in changed.identity(arena)? {
            columns.push(binder.output_column(*id, changed.span))?;
        }
        let sink = Sink { table: changed.table, checks: &[], kind: SinkKind::Delete };
        Ok((binder.finish(Bound { node, columns: columns.into_slice() })?, sink))
    }

    /// A scan of the table, whose columns are the first that names may mean.
    fn begin_change<'q: 'a>(
        &mut self,
        name: Option<ObjectName<'q>>,
        alias: Option<&'q str>,
        form: FormRef<'q>,
    ) -> Result<(LogicalId, Changed<'a>), Error<'a>> {
        let Some(name) = name else {
            return Err(Error::NotSupported { what: "a change without a table", span: form.span() });
        };
        let span = name.span();
        let table = stored_table(name, self.catalog, self.arena)?;
        let source = TableSource::Stored(with_row_id(table, self.arena)?);
        let alias = alias.unwrap_or(table.name);
        let first = self.plan.columns_like(source.columns())?;
        let node = self.plan.push(LogicalKind::Scan { source, alias, first, conjuncts: &[] })?;
        self.push_block(Scope::new_in(self.scratch))?;
        let columns = columns_from(table.columns, first, span, self.arena)?;
        self.add_relation(alias, columns, Some(table), span)?;
        Ok((node, Changed { table, first, span }))
    }

    /// Joins the other tables of the statement and picks rows; tells whether there are other tables.
    fn join_others<'q: 'a>(
        &mut self,
        node: LogicalId,
        others: impl Iterator<Item = TableExpr<'q>>,
        condition: Option<ExprView<'q>>,
    ) -> Result<(LogicalId, bool), Error<'a>> {
        let (mut node, mut is_joined) = (node, false);
        for table in others {
            self.bind_within(table.node())?;
            let right = self.bind_table_expr(table)?;
            node = self.cross(node, right)?;
            is_joined = true;
        }
        if let Some(condition) = condition {
            let condition = self.bind_condition(&Place::of_rows("WHERE", self.visible()), condition)?;
            node = self.attach(Stage::Rows, node)?;
            node = self.push_filter(node, condition)?;
        }
        Ok((node, is_joined))
    }

    /// Of all rows of a join that are of the same row of the table one.
    fn first_of_each(&mut self, node: LogicalId, changed: Changed<'a>) -> Result<LogicalId, Error<'a>> {
        let columns = changed.identity(self.arena)?;
        let keys =
            columns.iter().map(|column| Key { column: *column, descending: false, nulls_first: false });
        let keys = &*self.arena.alloc_slice_from_iter(keys)?;
        let input = self.plan.push(LogicalKind::Sort { input: node, keys, limit: None })?;
        Ok(self.plan.push(LogicalKind::DistinctOn { input, columns })?)
    }

    fn bind_assignment<'q: 'a>(
        &mut self,
        assignment: Assignment<'q>,
        changed: Changed<'a>,
        assigned: &mut Assigned<'_, 'a>,
    ) -> Result<(), Error<'a>> {
        let span = assignment.form().span();
        let Some(value) = assignment.value() else {
            return Err(Error::NotSupported { what: "an assignment without a value", span });
        };
        if let Some(target) = assignment.column() {
            return self.bind_value(target, value, changed, assigned);
        }
        let targets = assignment.columns();
        let expected = targets.len() as u64;
        let wrong = |found: u64| {
            let (problem, span) = (CountProblem::Assigned, value.span());
            Error::Count { problem, name: "", expected, found, span }
        };
        match value {
            ExprView::Row(row) if row.elements().len() as u64 != expected => {
                Err(wrong(row.elements().len() as u64))
            }
            ExprView::Row(row) => {
                let mut pairs = targets.zip(row.elements());
                pairs.try_for_each(|(target, value)| self.bind_value(target, value, changed, assigned))
            }
            ExprView::Subquery(query) => {
                let place = Place::of_rows("UPDATE", self.visible());
                let bound = self.row_of_query(query.query(), &place, value.span())?;
                if bound.columns.len() as u64 != expected {
                    return Err(wrong(bound.columns.len() as u64));
                }
                for (target, column) in targets.zip(bound.columns) {
                    let value = self.plan.read(column.id, column.span, self.arena)?;
                    self.assign(target, value, changed, assigned)?;
                }
                Ok(())
            }
            _ => {
                let what = "a source of several columns that is neither a query nor a row";
                Err(Error::NotSupported { what, span: value.span() })
            }
        }
    }

    fn bind_value<'q: 'a>(
        &mut self,
        target: TargetView<'q>,
        value: ExprView<'q>,
        changed: Changed<'a>,
        assigned: &mut Assigned<'_, 'a>,
    ) -> Result<(), Error<'a>> {
        if let ExprView::Default(_) = value {
            let position = changed.position(target)?;
            return assigned.put(position, assigned.defaults[position], target);
        }
        let value = self.bind_expr(&Place::of_rows("UPDATE", self.visible()), value)?;
        self.assign(target, value, changed, assigned)
    }

    fn assign<'q: 'a>(
        &mut self,
        target: TargetView<'q>,
        value: &'a Expr<'a>,
        changed: Changed<'a>,
        assigned: &mut Assigned<'_, 'a>,
    ) -> Result<(), Error<'a>> {
        let position = changed.position(target)?;
        let column = Target::new(&changed.table.columns[position], &changed.table.rules[position]);
        assigned.put(position, column.assign(self.build(), value, false)?, target)
    }

    /// The rows as they are to be, and what an update of this way wants beside them.
    fn new_rows(
        &mut self,
        input: LogicalId,
        changed: Changed<'a>,
        values: &[Option<&'a Expr<'a>>],
        way: UpdateWay,
    ) -> Result<Bound<'a>, Error<'a>> {
        let mut node = input;
        let mut columns: Vec<'a, BoundColumn<'a>> = Vec::new_in(self.arena);
        let mut computed: Vec<'a, Named<'a>> = Vec::new_in(self.arena);
        for (position, (value, column)) in values.iter().zip(changed.table.columns).enumerate() {
            let id = match value {
                None => changed.column(position),
                Some(Expr { kind: ExprKind::Column(id), .. }) => *id,
                Some(expr) => {
                    let id = self.plan.column(column.name, column.ty)?;
                    computed.push(Named { id, expr })?;
                    id
                }
            };
            columns.push(BoundColumn { id, name: column.name, open: None, span: changed.span })?;
        }
        if !computed.is_empty() {
            node = self.plan.push(LogicalKind::Extend { input: node, exprs: computed.into_slice() })?;
        }
        if way != UpdateWay::InPlace {
            for id in changed.identity(self.arena)? {
                columns.push(self.output_column(*id, changed.span))?;
            }
        }
        if way == UpdateWay::InTwoPasses {
            let pass;
            (node, pass) = self.twice(node, changed.span)?;
            columns.push(self.output_column(pass, changed.span))?;
        }
        Ok(Bound { node, columns: columns.into_slice() })
    }

    /// Every row twice: all with false first, then all with true, in the column that is given as well.
    fn twice(&mut self, node: LogicalId, span: Span) -> Result<(LogicalId, ColumnId), Error<'a>> {
        let build = self.build();
        let first = self.plan.column("pass", Type::Boolean)?;
        let mut rows: Vec<'a, &'a [&'a Expr<'a>]> = Vec::with_capacity_in(2, self.arena)?;
        for pass in [false, true] {
            let pass = build.literal(Value::Boolean(pass), Type::Boolean, span)?;
            rows.push(self.arena.alloc_slice_copy(&[pass])?)?;
        }
        let right = self.plan.push(LogicalKind::Values { rows: rows.into_slice(), width: 1, first })?;
        let (kind, conjuncts, mark) = (JoinKind::Inner, &[][..], 0);
        let input = self.plan.push(LogicalKind::Join(Join { kind, left: node, right, conjuncts, mark }))?;
        let keys =
            self.arena.alloc_slice_copy(&[Key { column: first, descending: false, nulls_first: false }])?;
        Ok((self.plan.push(LogicalKind::Sort { input, keys, limit: None })?, first))
    }

    fn output_column(&self, id: ColumnId, span: Span) -> BoundColumn<'a> {
        BoundColumn { id, name: self.plan.columns[id as usize].name, open: None, span }
    }
}

impl<'a> Assigned<'_, 'a> {
    fn put<'q: 'a>(
        &mut self,
        position: usize,
        value: &'a Expr<'a>,
        target: TargetView<'q>,
    ) -> Result<(), Error<'a>> {
        if self.values[position].is_some() {
            let (problem, name, span) = (DefinitionProblem::AssignedTwice, target.name(), target.span());
            return Err(Error::Definition { problem, name, table: "", span });
        }
        self.values[position] = Some(value);
        Ok(())
    }
}

/// Parts of an `UPDATE` or `DELETE` that are not here yet.
fn refuse_clauses<'a>(
    form: FormRef<'_>,
    cursor: Option<&str>,
    returning: Option<Returning<'_>>,
) -> Result<(), Error<'a>> {
    let refused = [
        ("RETURNING", returning.map(|returning| returning.form().span())),
        ("WHERE CURRENT OF", cursor.map(|_| form.span())),
    ];
    match refused.into_iter().find_map(|(what, span)| span.map(|span| (what, span))) {
        Some((what, span)) => Err(Error::NotSupported { what, span }),
        None => Ok(()),
    }
}

/// The table with the number that the store gives its rows as one column more, where it has no key.
fn with_row_id<'a>(table: &'a StoredTable<'a>, arena: &'a Arena) -> Result<&'a StoredTable<'a>, Error<'a>> {
    if !table.key.is_empty() {
        return Ok(table);
    }
    let row_id = Column { name: "row", ty: Type::BigInt };
    let rule = ColumnRule { is_nullable: false, characters_max: None, default: None };
    let columns = arena.alloc_slice_from_iter(table.columns.iter().copied().chain([row_id]))?;
    let rules = arena.alloc_slice_from_iter(table.rules.iter().copied().chain([rule]))?;
    Ok(arena.alloc(StoredTable { columns, rules, ..*table })?)
}

/// How new rows may come, by what is assigned.
fn way_of(table: &StoredTable<'_>, values: &[Option<&Expr<'_>>]) -> UpdateWay {
    let is_assigned = |column: &u32| values[*column as usize].is_some();
    let mut unique = table.indexes.iter().filter(|index| index.is_unique);
    if table.key.iter().any(|part| is_assigned(&part.column))
        || unique.any(|index| index.columns.iter().any(is_assigned))
    {
        UpdateWay::InTwoPasses
    } else if table.key.is_empty() {
        UpdateWay::OneByOne
    } else {
        UpdateWay::InPlace
    }
}
