//! Binds a whole select.
//!
//! Clauses are bound in the order in which they may refer to each other, which is neither the order of the text nor the
//! order of execution:
//!
//! ```text
//! FROM → WHERE → select list → GROUP BY → HAVING → ORDER BY       names: an alias of the list may stand in GROUP BY, ORDER BY
//! FROM → WHERE → grouping → HAVING → windows → sets → list → DISTINCT → ORDER BY → LIMIT         rows
//! ```

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_sql::views::{
    self, Distinct, Expr as ExprView, Literal, Query, Select, SelectItem, Unary, UnaryOp, Values,
};
use cofferdam_types::{Type, Value};

use super::Binder;
use super::conjuncts;
use super::expression::{Allows, Place, Stage};
use super::fold;
use super::group_by::Groups;
use super::output_name::{has_star, output_name};
use super::query::{Bound, BoundColumn, columns_from};
use super::scope::{ColumnName, Scope, name_error};
use super::subquery::Pending;
use super::window::{Specification, WindowCall};
use crate::Span;
use crate::error::{ClauseProblem, CountProblem, Error, NameProblem};
use crate::expr::same::same;
use crate::expr::{BinaryOp, Column, Expr, ExprKind, Function, UnaryOp as BoundUnaryOp};
use crate::logical::{Call, ColumnId, Key, LogicalId, LogicalKind, Named, NamedAggregate, NamedWindow};
use crate::physical::{Frame, WindowFunction, WindowKind};

/// The most columns that a query may give, hidden sort keys aside.
const OUTPUT_COLUMNS_MAX: usize = 1 << 16;

/// One column of the answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'a> {
    pub(super) expr: &'a Expr<'a>,
    name: &'a str,
    /// Whether it is the text of a row, which has another order than the row.
    is_row: bool,
}

/// One key of ORDER BY.
#[derive(Clone, Copy, Debug)]
pub(super) struct OrderKey<'a> {
    pub(super) target: KeyTarget<'a>,
    descending: bool,
    nulls_first: bool,
    span: Span,
}

/// What a key of ORDER BY is.
#[derive(Clone, Copy, Debug)]
pub(super) enum KeyTarget<'a> {
    /// A column of the answer.
    Output(u32),
    /// Something else.
    Expr(&'a Expr<'a>),
}

/// A select while it is bound.
#[derive(Debug)]
pub(super) struct Block<'s, 'a> {
    pub(super) scope: Scope<'s, 'a>,
    /// The positions that `*` gives, in order.
    pub(super) star: Vec<'s, u32>,
    pub(super) aggregates: Vec<'s, NamedAggregate<'a>>,
    pub(super) windows: Vec<'s, WindowCall<'a>>,
    pub(super) named_windows: Vec<'s, (&'a str, Specification<'a>)>,
    /// Set-returning functions of the select list.
    pub(super) sets: Vec<'s, Call<'a>>,
    /// Queries in expressions that wait to be joined.
    pub(super) pending: Vec<'s, Pending<'a>>,
    pub(super) items: Vec<'s, Item<'a>>,
    pub(super) keys: Vec<'s, OrderKey<'a>>,
    /// Whether FROM has the rows that a recursion has added last.
    pub(super) reads_round: bool,
}

impl Block<'_, '_> {
    /// Whether the select makes the column: in FROM, or as the result of a call.
    pub(super) fn makes(&self, id: ColumnId) -> bool {
        self.scope.position_of(id).is_some()
            || self.aggregates.iter().any(|aggregate| aggregate.id == id)
            || self.windows.iter().any(|window| window.id == id)
    }
}

impl<'s, 'a> Binder<'s, 'a, '_> {
    /// Goes into a select whose names are those of `scope`.
    pub(super) fn push_block(&mut self, scope: Scope<'s, 'a>) -> Result<(), Error<'a>> {
        let scratch = self.scratch;
        Ok(self.blocks.push(Block {
            scope,
            star: Vec::new_in(scratch),
            aggregates: Vec::new_in(scratch),
            windows: Vec::new_in(scratch),
            named_windows: Vec::new_in(scratch),
            sets: Vec::new_in(scratch),
            pending: Vec::new_in(scratch),
            items: Vec::new_in(scratch),
            keys: Vec::new_in(scratch),
            reads_round: false,
        })?)
    }

    /// The innermost select.
    pub(super) fn block(&self) -> &Block<'s, 'a> {
        self.blocks.last().expect("a select is being bound")
    }

    pub(super) fn block_mut(&mut self) -> &mut Block<'s, 'a> {
        self.blocks.last_mut().expect("a select is being bound")
    }

    /// Whether a column is one of the selects around the innermost: what this one hands on is made here.
    pub(super) fn is_outer(&self, id: ColumnId) -> bool {
        match self.blocks.split_last() {
            Some((own, outer)) => !own.makes(id) && outer.iter().any(|block| block.makes(id)),
            None => false,
        }
    }

    /// All tables of the innermost FROM.
    pub(super) fn visible(&self) -> std::ops::Range<u32> {
        0..self.block().scope.relations.len() as u32
    }

    /// A clause that is computed after grouping.
    fn grouped(&self, clause: &'static str, sets: bool) -> Place {
        let allows = Allows { aggregates: true, windows: sets, sets, queries: true };
        Place { clause, visible: self.visible(), allows }
    }

    pub(super) fn bind_select<'q: 'a>(&mut self, select: Select<'q>) -> Result<Bound<'a>, Error<'a>> {
        if let Some(into) = select.made_table() {
            return Err(Error::NotSupported { what: "SELECT INTO", span: into.span() });
        }
        self.push_block(Scope::new_in(self.scratch))?;
        let node = self.bind_from(select)?;
        let node = self.bind_where(node, select)?;
        for window in select.windows() {
            let place = self.grouped("WINDOW", false);
            self.add_named_window(window, &place)?;
        }
        self.bind_items(select)?;
        let bound = self.finish_select(node, Some(select), select.query())?;
        self.blocks.pop();
        Ok(bound)
    }

    /// `VALUES` is a table whose columns are all selected.
    pub(super) fn bind_values<'q: 'a>(&mut self, values: Values<'q>) -> Result<Bound<'a>, Error<'a>> {
        let query = values.query();
        let bound = self.bind_rows(values)?;
        if query.order_by().next().is_none() && query.limit().is_none() && query.offset().is_none() {
            return Ok(bound);
        }
        self.push_block(Scope::new_in(self.scratch))?;
        self.add_relation("", bound.columns, None, values.span())?;
        self.add_star(0..bound.columns.len(), values.span())?;
        let bound = self.finish_select(bound.node, None, query)?;
        self.blocks.pop();
        Ok(bound)
    }

    /// The rows of VALUES. Rows with queries in them are selects of their own.
    fn bind_rows<'q: 'a>(&mut self, values: Values<'q>) -> Result<Bound<'a>, Error<'a>> {
        let scratch = Arena::new(self.arena.budget());
        let place = Place::of_rows("VALUES", 0..0);
        let mut rows: Vec<'_, Vec<'_, &'a Expr<'a>>> = Vec::new_in(&scratch);
        let mut waiting: Vec<'_, Vec<'_, Pending<'a>>> = Vec::new_in(&scratch);
        let mut has_queries = false;
        let defaults = std::mem::take(&mut self.defaults);
        self.push_block(Scope::new_in(self.scratch))?;
        for row in values.rows() {
            let mut bound = Vec::with_capacity_in(row.len(), &scratch)?;
            let mut span = values.span();
            for (index, expr) in row.enumerate() {
                span = expr.span();
                bound.push(match (expr, defaults.get(index)) {
                    (views::Expr::Default(_), Some(default)) => default,
                    _ => self.bind_expr(&place, expr)?,
                })?;
            }
            if let Some(first) = rows.first().filter(|first| first.len() != bound.len()) {
                let (expected, found) = (first.len() as u64, bound.len() as u64);
                let problem = CountProblem::ValuesRows;
                return Err(Error::Count { problem, name: "", expected, found, span });
            }
            rows.push(bound)?;
            let mut pending = Vec::new_in(&scratch);
            pending.extend_from_slice(&self.block().pending)?;
            self.block_mut().pending.clear();
            has_queries |= !pending.is_empty();
            waiting.push(pending)?;
        }
        let build = self.build();
        let width = rows.first().map_or(0, |row| row.len());
        let mut columns = Vec::with_capacity_in(width, self.arena)?;
        for index in 0..width {
            let ty = build.common_type(rows.iter().map(|row| row[index]), "VALUES")?;
            for row in &mut rows {
                row[index] = build.cast(row[index], ty, row[index].span)?;
            }
            let name = self.arena.alloc_fmt(format_args!("column{}", index + 1))?;
            columns.push(Column { name, ty })?;
        }
        let columns: &'a [Column<'a>] = columns.into_slice();
        let node = match has_queries {
            true => self.rows_with_queries(&rows, &waiting, columns)?,
            false => {
                let mut kept: Vec<'a, &'a [&'a Expr<'a>]> = Vec::with_capacity_in(rows.len(), self.arena)?;
                for row in &rows {
                    kept.push(self.arena.alloc_slice_copy(row)?)?;
                }
                let first = self.plan.columns_like(columns)?;
                let (rows, width) = (kept.into_slice(), width as u32);
                let node = self.plan.push(LogicalKind::Values { rows, width, first })?;
                (node, first)
            }
        };
        self.blocks.pop();
        let columns = columns_from(columns, node.1, values.span(), self.arena)?;
        Ok(Bound { node: node.0, columns })
    }

    /// Each row computed over a row of no columns that its queries are joined to.
    fn rows_with_queries(
        &mut self,
        rows: &[Vec<'_, &'a Expr<'a>>],
        waiting: &[Vec<'_, Pending<'a>>],
        columns: &[Column<'a>],
    ) -> Result<(LogicalId, ColumnId), Error<'a>> {
        let (mut inputs, mut sources) = (Vec::new_in(self.arena), Vec::new_in(self.arena));
        for (row, pending) in rows.iter().zip(waiting) {
            self.block_mut().pending.extend_from_slice(pending)?;
            let node = self.plan.one_row()?;
            let node = self.attach(Stage::Rows, node)?;
            let mut exprs = Vec::with_capacity_in(row.len(), self.arena)?;
            let mut ids = Vec::with_capacity_in(row.len(), self.arena)?;
            for expr in row {
                let id = self.plan.column("", expr.ty)?;
                exprs.push(Named { id, expr })?;
                ids.push(id)?;
            }
            inputs.push(self.plan.push(LogicalKind::Extend { input: node, exprs: exprs.into_slice() })?)?;
            let ids: &'a [ColumnId] = ids.into_slice();
            sources.push(ids)?;
        }
        let first = self.plan.columns_like(columns)?;
        let ids = self.arena.alloc_slice_from_iter(first..first + columns.len() as u32)?;
        let (inputs, sources) = (inputs.into_slice(), sources.into_slice());
        Ok((self.plan.push(LogicalKind::Concat { inputs, sources, columns: ids })?, first))
    }

    fn bind_where<'q: 'a>(&mut self, node: LogicalId, select: Select<'q>) -> Result<LogicalId, Error<'a>> {
        let Some(filter) = select.filter() else { return Ok(node) };
        let condition = self.bind_condition(&Place::of_rows("WHERE", self.visible()), filter)?;
        let node = self.attach(Stage::Rows, node)?;
        self.push_filter(node, condition)
    }

    /// A filter, where the condition leaves one.
    pub(super) fn push_filter(
        &mut self,
        input: LogicalId,
        condition: &'a Expr<'a>,
    ) -> Result<LogicalId, Error<'a>> {
        let mut list = Vec::new_in(self.arena);
        conjuncts::split(condition, &mut list)?;
        match list.into_slice() {
            [] => Ok(input),
            conjuncts => Ok(self.plan.push(LogicalKind::Filter { input, conjuncts })?),
        }
    }

    fn bind_items<'q: 'a>(&mut self, select: Select<'q>) -> Result<(), Error<'a>> {
        for item in select.items() {
            match item {
                SelectItem::Star { qualifier: None, span } => {
                    if self.block().scope.relations.is_empty() {
                        return Err(Error::StarWithoutTables { span });
                    }
                    let first = self.block().items.len();
                    self.add_star(0..self.block().star.len(), span)?;
                    self.note_star(span, first)?;
                }
                SelectItem::Star { qualifier: Some(table), span } => self.add_table(table, span)?,
                // Its columns keep their names.
                SelectItem::Expr { expr: ExprView::TableRow(row), .. } if row.table().is_some() => {
                    self.add_table(row.table().unwrap_or_default(), ExprView::TableRow(row).span())?;
                }
                SelectItem::Expr { expr, alias } => {
                    let place = self.grouped("SELECT", true);
                    let mut bound = self.bind_row(&place, expr)?;
                    let is_row = matches!(bound.kind, ExprKind::Row(_));
                    if is_row {
                        bound = self.row_text(expr, bound, &place)?;
                    }
                    let name = match alias {
                        Some(name) => name,
                        None => self.name_of_star(expr).unwrap_or_else(|| output_name(expr)),
                    };
                    self.add_item(Item { expr: bound, name, is_row }, expr.span())?;
                }
            }
        }
        Ok(())
    }

    /// The name of the column of `(SELECT * …)`, which is not in the text.
    fn name_of_star<'q: 'a>(&self, expr: ExprView<'q>) -> Option<&'a str> {
        let mut expr = expr;
        while let ExprView::Cast(cast) = expr {
            expr = cast.operand();
        }
        let ExprView::Subquery(subquery) = expr else { return None };
        match has_star(subquery.query()) {
            true => self.bound_query(subquery.query()).columns.first().map(|column| column.name),
            false => None,
        }
    }

    /// The columns of a table, in the select or in one around it.
    fn add_table(&mut self, table: &'a str, span: Span) -> Result<(), Error<'a>> {
        let (level, relation) = self.table_of_star(table, span)?;
        let first = self.block().items.len();
        for position in self.blocks[level].scope.relations[relation as usize].positions() {
            let column = &self.blocks[level].scope.columns[position as usize];
            let (id, name, ty) = (column.id, column.name, column.ty);
            let expr = self.build().column(id, ty, span)?;
            self.add_item(Item { expr, name, is_row: false }, span)?;
        }
        self.note_star(span, first)?;
        Ok(())
    }

    /// The select, the innermost one that has it, and the table of `t.*`.
    pub(super) fn table_of_star(&self, table: &'a str, span: Span) -> Result<(usize, u32), Error<'a>> {
        let innermost = self.blocks.len() - 1;
        let found = self.block().scope.resolve_relation(table, span, self.visible());
        let Err(missing) = found else { return Ok((innermost, found?)) };
        for level in (0..innermost).rev() {
            let scope = &self.blocks[level].scope;
            if let Ok(relation) = scope.resolve_relation(table, span, 0..scope.relations.len() as u32) {
                return Ok((level, relation));
            }
        }
        Err(missing)
    }

    /// Adds columns of `*`, by their position in it.
    fn add_star(&mut self, range: std::ops::Range<usize>, span: Span) -> Result<(), Error<'a>> {
        for index in range {
            let position = self.block().star[index];
            self.add_column(position, span)?;
        }
        Ok(())
    }

    fn add_column(&mut self, position: u32, span: Span) -> Result<(), Error<'a>> {
        let (id, name, ty) = {
            let column = &self.block().scope.columns[position as usize];
            (column.id, column.name, column.ty)
        };
        let expr = self.build().column(id, ty, span)?;
        self.add_item(Item { expr, name, is_row: false }, span)
    }

    fn add_item(&mut self, item: Item<'a>, span: Span) -> Result<(), Error<'a>> {
        if self.block().items.len() == OUTPUT_COLUMNS_MAX {
            let (expected, found) = (OUTPUT_COLUMNS_MAX as u64, OUTPUT_COLUMNS_MAX as u64 + 1);
            return Err(Error::Count { problem: CountProblem::Columns, name: "", expected, found, span });
        }
        Ok(self.block_mut().items.push(item)?)
    }

    /// Gives a type to an item that is compared with others.
    pub(super) fn settle_item(&mut self, index: usize) -> Result<&'a Expr<'a>, Error<'a>> {
        let settled = self.build().settle(self.block().items[index].expr)?;
        self.block_mut().items[index].expr = settled;
        Ok(settled)
    }

    /// Binds the clauses behind the select list and puts all of them together, bottom up.
    fn finish_select<'q: 'a>(
        &mut self,
        node: LogicalId,
        select: Option<Select<'q>>,
        query: Query<'q>,
    ) -> Result<Bound<'a>, Error<'a>> {
        let distinct = select.map_or(Distinct::All, |select| select.distinct());
        if !matches!(distinct, Distinct::All) {
            (0..self.block().items.len()).try_for_each(|index| self.settle_item(index).map(|_| ()))?;
        }
        let groups = match select {
            Some(select) => self.bind_group_by(select)?,
            None => Groups::default(),
        };
        let having = match select.and_then(|select| select.having()) {
            Some(having) => {
                let place = self.grouped("HAVING", false);
                let bound = self.bind_expr(&place, having)?;
                Some(self.build().coerce(bound, Type::Boolean, "HAVING")?)
            }
            None => None,
        };
        self.bind_order_by(query)?;
        let is_distinct = matches!(distinct, Distinct::Distinct);
        let on = match distinct {
            Distinct::On(exprs) => Some(self.bind_distinct_on(exprs)?),
            _ => None,
        };
        if let (true, Some(named)) = (self.block().reads_round, self.block().aggregates.first()) {
            let message = "aggregate functions are not allowed in a recursive query's recursive term";
            return Err(Error::Source { sqlstate: "42P19", message, span: named.aggregate.span });
        }
        let mut node = self.attach(Stage::Rows, node)?;
        let is_grouped = !groups.list.is_empty() || groups.sets.is_some() || having.is_some();
        if is_grouped || !self.block().aggregates.is_empty() {
            node = self.push_grouping(node, groups, having)?;
        } else {
            node = self.attach(Stage::Groups, node)?;
        }
        node = self.push_windows(node)?;
        node = self.push_sets(node)?;
        self.push_output(node, is_distinct, on, query)
    }

    fn bind_order_by<'q: 'a>(&mut self, query: Query<'q>) -> Result<(), Error<'a>> {
        for key in query.order_by() {
            if key.operator().is_some() {
                return Err(Error::NotSupported { what: "USING in ORDER BY", span: key.span() });
            }
            let (descending, nulls_first) = (key.is_descending(), key.nulls_first());
            let mut push = |expr: ExprView<'q>| -> Result<(), Error<'a>> {
                let target = self.bind_key(expr, "ORDER BY")?;
                let key = OrderKey { target, descending, nulls_first, span: key.span() };
                Ok(self.block_mut().keys.push(key)?)
            };
            match key.expr() {
                // A row comes where its first values say, and of equal ones where the next say.
                ExprView::Row(row) => row.elements().try_for_each(&mut push)?,
                expr => push(expr)?,
            }
        }
        Ok(())
    }

    /// An alias of the select list before a column of FROM, a position in the list, or any expression.
    fn bind_key<'q: 'a>(
        &mut self,
        expr: ExprView<'q>,
        clause: &'static str,
    ) -> Result<KeyTarget<'a>, Error<'a>> {
        let by_output = match expr {
            ExprView::Column(column) if column.table().is_none() => {
                self.item_by_name(column.name(), clause, expr.span())?
            }
            _ => position_of(expr, self.block().items.len(), clause)?.map(|index| index as u32),
        };
        if let Some(index) = by_output {
            let item = self.settle_item(index as usize)?;
            if self.block().items[index as usize].is_row || self.is_row_text(item) {
                return Err(Error::NotSupported { what: "the order of rows as values", span: expr.span() });
            }
            return Ok(KeyTarget::Output(index));
        }
        let bound = self.bind_expr(&self.grouped(clause, true), expr)?;
        let bound = self.build().settle(bound)?;
        if self.is_row_text(bound) {
            return Err(Error::NotSupported { what: "the order of rows as values", span: expr.span() });
        }
        for (index, item) in self.block().items.iter().enumerate() {
            if same(item.expr, bound, self.arena)? {
                return Ok(KeyTarget::Output(index as u32));
            }
        }
        Ok(KeyTarget::Expr(bound))
    }

    /// Whether a column is the text of a row.
    pub(super) fn is_row_text(&self, expr: &Expr<'_>) -> bool {
        matches!(expr.kind, ExprKind::Column(id) if self.row_texts.contains(&id))
    }

    fn bind_distinct_on<'q: 'a>(
        &mut self,
        exprs: impl Iterator<Item = ExprView<'q>>,
    ) -> Result<&'a [KeyTarget<'a>], Error<'a>> {
        let mut targets = Vec::new_in(self.arena);
        for expr in exprs {
            targets.push(self.bind_key(expr, "DISTINCT ON")?)?;
        }
        Ok(targets.into_slice())
    }

    /// The item of a name; two that compute the same count as one.
    pub(super) fn item_by_name(
        &self,
        name: &'a str,
        clause: &'static str,
        span: Span,
    ) -> Result<Option<u32>, Error<'a>> {
        let items = &self.block().items;
        let mut found: Option<usize> = None;
        for (index, item) in items.iter().enumerate().filter(|(_, item)| item.name == name) {
            match found {
                None => found = Some(index),
                Some(first) if same(items[first].expr, item.expr, self.arena)? => {}
                Some(_) if clause != "GROUP BY" => {
                    let problem = ClauseProblem::Ambiguous;
                    return Err(Error::Clause { problem, clause, given: 0, span });
                }
                Some(_) => {
                    let wanted = ColumnName { table: None, name, span };
                    return Err(name_error(NameProblem::AmbiguousColumn, wanted));
                }
            }
        }
        Ok(found.map(|index| index as u32))
    }

    /// The column that an expression is, or becomes.
    pub(super) fn column_of(
        &mut self,
        expr: &'a Expr<'a>,
        named: &mut Vec<'a, Named<'a>>,
    ) -> Result<ColumnId, Error<'a>> {
        if let ExprKind::Column(id) = expr.kind
            && !self.is_outer(id)
        {
            return Ok(id);
        }
        for known in named.iter() {
            if same(known.expr, expr, self.arena)? {
                return Ok(known.id);
            }
        }
        let id = self.plan.column("", expr.ty)?;
        named.push(Named { id, expr })?;
        Ok(id)
    }

    /// Set-returning functions of the select list, all side by side.
    fn push_sets(&mut self, input: LogicalId) -> Result<LogicalId, Error<'a>> {
        if self.block().sets.is_empty() {
            return Ok(input);
        }
        let calls = self.arena.alloc_slice_copy(&self.block().sets)?;
        let (input, ordinality, keeps_empty) = (Some(input), None, false);
        Ok(self.plan.push(LogicalKind::TableFunction { input, calls, ordinality, keeps_empty })?)
    }

    /// The select list, sort keys that are not in it, DISTINCT, ORDER BY and LIMIT.
    fn push_output<'q: 'a>(
        &mut self,
        input: LogicalId,
        distinct: bool,
        on: Option<&'a [KeyTarget<'a>]>,
        query: Query<'q>,
    ) -> Result<Bound<'a>, Error<'a>> {
        let mut named: Vec<'a, Named<'a>> = Vec::new_in(self.arena);
        let mut columns: Vec<'a, BoundColumn<'a>> =
            Vec::with_capacity_in(self.block().items.len(), self.arena)?;
        for index in 0..self.block().items.len() {
            let Item { expr, name, is_row } = self.block().items[index];
            let (open, span) = (None, expr.span);
            let column = match expr.kind {
                ExprKind::Column(id) if !self.is_outer(id) => BoundColumn { id, name, open, span },
                ExprKind::Literal(_) | ExprKind::Parameter(_) if expr.ty == Type::Unknown => {
                    BoundColumn { id: self.plan.column(name, Type::Unknown)?, name, open: Some(expr), span }
                }
                _ => {
                    let id = self.plan.column(name, expr.ty)?;
                    named.push(Named { id, expr })?;
                    BoundColumn { id, name, open, span }
                }
            };
            if is_row {
                self.row_texts.push(column.id)?;
            }
            columns.push(column)?;
        }
        let columns: &'a [BoundColumn<'a>] = columns.into_slice();
        let mut keys: Vec<'a, Key> = Vec::new_in(self.arena);
        for index in 0..self.block().keys.len() {
            let OrderKey { target, descending, nulls_first, span } = self.block().keys[index];
            let column = match target {
                KeyTarget::Output(index) => columns[index as usize].id,
                KeyTarget::Expr(_) if distinct => {
                    let (problem, clause) = (ClauseProblem::NotInSelectList, "ORDER BY");
                    return Err(Error::Clause { problem, clause, given: 0, span });
                }
                KeyTarget::Expr(expr) => self.column_of(expr, &mut named)?,
            };
            // A column that has decided before decides nothing again.
            if keys.iter().all(|known| known.column != column) {
                keys.push(Key { column, descending, nulls_first })?;
            }
        }
        let on = match on {
            None => None,
            Some(targets) => {
                let mut on: Vec<'a, ColumnId> = Vec::new_in(self.arena);
                for target in targets {
                    let column = match *target {
                        KeyTarget::Output(index) => columns[index as usize].id,
                        KeyTarget::Expr(expr) => self.column_of(expr, &mut named)?,
                    };
                    if !on.contains(&column) {
                        on.push(column)?;
                    }
                }
                Some(&*on.into_slice())
            }
        };
        let mut node = input;
        if !named.is_empty() {
            node = self.plan.push(LogicalKind::Extend { input: node, exprs: named.into_slice() })?;
        }
        if distinct {
            let mut ids: Vec<'a, ColumnId> = Vec::with_capacity_in(columns.len(), self.arena)?;
            for column in columns {
                if !ids.contains(&column.id) {
                    ids.push(column.id)?;
                }
            }
            node = self.plan.push(LogicalKind::Distinct { input: node, columns: ids.into_slice() })?;
        }
        if let Some(on) = on {
            node = self.push_distinct_on(node, on, &mut keys)?;
            // It is in the order of the keys.
            let keys: &'a [Key] = &[];
            node = self.push_order_and_limit_of(node, keys, query, true)?;
            return Ok(Bound { node, columns });
        }
        let node = self.push_order_and_limit(node, keys.into_slice(), query)?;
        Ok(Bound { node, columns })
    }

    /// The first row of each group in the order of the keys, which begin with the columns of DISTINCT ON.
    fn push_distinct_on(
        &mut self,
        input: LogicalId,
        on: &'a [ColumnId],
        keys: &mut Vec<'a, Key>,
    ) -> Result<LogicalId, Error<'a>> {
        let leading = keys.iter().take_while(|key| on.contains(&key.column)).count();
        if leading < on.len() && leading < keys.len() {
            let (problem, clause) = (ClauseProblem::NotFirst, "DISTINCT ON");
            let span = self.block().keys.first().map_or(Span::default(), |key| key.span);
            return Err(Error::Clause { problem, clause, given: 0, span });
        }
        let mut sorted: Vec<'a, Key> = Vec::new_in(self.arena);
        sorted.extend_from_slice(&keys[..leading])?;
        for column in on {
            if !sorted.iter().any(|key| key.column == *column) {
                sorted.push(Key { column: *column, descending: false, nulls_first: false })?;
            }
        }
        sorted.extend_from_slice(&keys[leading..])?;
        let sorted: &'a [Key] = sorted.into_slice();
        let node = match sorted {
            [] => input,
            keys => self.plan.push(LogicalKind::Sort { input, keys, limit: None })?,
        };
        Ok(self.plan.push(LogicalKind::DistinctOn { input: node, columns: on })?)
    }

    pub(super) fn push_order_and_limit<'q: 'a>(
        &mut self,
        input: LogicalId,
        keys: &'a [Key],
        query: Query<'q>,
    ) -> Result<LogicalId, Error<'a>> {
        self.push_order_and_limit_of(input, keys, query, false)
    }

    fn push_order_and_limit_of<'q: 'a>(
        &mut self,
        input: LogicalId,
        keys: &'a [Key],
        query: Query<'q>,
        is_ordered: bool,
    ) -> Result<LogicalId, Error<'a>> {
        let (count, offset) =
            (self.bind_count(query.limit(), "LIMIT"), self.bind_count(query.offset(), "OFFSET"));
        let asks =
            matches!(count, Err(Error::NoQuery { .. })) || matches!(offset, Err(Error::NoQuery { .. }));
        if asks && !is_ordered {
            return self.push_limit_of_queries(input, keys, query);
        }
        let (count, offset) = (count?, offset?);
        let number = |expr: &'a Expr<'a>| match expr.kind {
            ExprKind::Literal(Value::BigInt(number)) => u64::try_from(number).ok(),
            _ => None,
        };
        let ties = match query.has_ties() && !is_ordered {
            false => None,
            true if keys.is_empty() => {
                let what = "WITH TIES without ORDER BY";
                return Err(Error::NotSupported { what, span: query.span() });
            }
            true => Some(&*self.arena.alloc_slice_from_iter(keys.iter().map(|key| key.column))?),
        };
        let mut node = input;
        if !keys.is_empty() {
            let skipped = offset.map_or(Some(0), number);
            let limit = match (count.and_then(number), skipped, ties) {
                (Some(count), Some(skipped), None) => Some(count.saturating_add(skipped)),
                _ => None,
            };
            node = self.plan.push(LogicalKind::Sort { input: node, keys, limit })?;
        }
        if count.is_some() || offset.is_some() {
            node = self.plan.push(LogicalKind::Limit { input: node, count, offset, ties })?;
        }
        Ok(node)
    }

    /// LIMIT and OFFSET that have queries in them: conditions on the number of the row, or on its rank where ties count.
    fn push_limit_of_queries<'q: 'a>(
        &mut self,
        input: LogicalId,
        keys: &'a [Key],
        query: Query<'q>,
    ) -> Result<LogicalId, Error<'a>> {
        let (build, span) = (self.build(), query.span());
        let number = |kind| WindowFunction { kind, frame: Frame::DEFAULT, ty: Type::BigInt, span };
        let row = self.plan.column("", Type::BigInt)?;
        let mut functions: Vec<'a, NamedWindow<'a>> = Vec::new_in(self.arena);
        functions.push(NamedWindow { id: row, function: number(WindowKind::RowNumber) })?;
        let mut last = row;
        if query.has_ties() {
            last = self.plan.column("", Type::BigInt)?;
            functions.push(NamedWindow { id: last, function: number(WindowKind::Rank) })?;
        }
        let (partition, functions) = (&[][..], functions.into_slice());
        let mut node = self.plan.push(LogicalKind::Window { input, partition, order: keys, functions })?;
        self.push_block(Scope::new_in(self.scratch))?;
        let mut bound = |expr: Option<ExprView<'q>>, clause| {
            let Some(expr) = expr else { return Ok(None) };
            let bound = self.bind_expr(&Place::of_rows(clause, 0..0), expr)?;
            match bound.ty {
                ty if ty.is_numeric() || ty == Type::Unknown => {
                    self.build().cast(bound, Type::BigInt, expr.span()).map(Some)
                }
                found => {
                    let expected = Type::BigInt;
                    Err(Error::WrongType { place: clause, expected, found, span: expr.span() })
                }
            }
        };
        let (count, offset) = (bound(query.limit(), "LIMIT")?, bound(query.offset(), "OFFSET")?);
        node = self.attach(Stage::Rows, node)?;
        self.blocks.pop();
        let zero = build.literal(Value::BigInt(0), Type::BigInt, span)?;
        let skipped = match offset {
            Some(offset) => build.call(Function::Coalesce, &[offset, zero], Type::BigInt, span)?,
            None => zero,
        };
        let mut conjuncts: Vec<'a, &'a Expr<'a>> = Vec::new_in(self.arena);
        if offset.is_some() {
            let row = self.plan.read(row, span, self.arena)?;
            conjuncts.push(build.compare(BinaryOp::Greater, row, skipped, span)?)?;
        }
        if let Some(count) = count {
            // NULL is no limit.
            let unlimited = build.is(BoundUnaryOp::IsNull, count, None, span)?;
            let row = self.plan.read(last, span, self.arena)?;
            let row = build.arithmetic(BinaryOp::Subtract, row, skipped, span)?;
            let within = build.compare(BinaryOp::LessEqual, row, count, span)?;
            conjuncts.push(build.junction(BinaryOp::Or, &[unlimited, within], span)?)?;
        }
        node = self.plan.push(LogicalKind::Filter { input: node, conjuncts: conjuncts.into_slice() })?;
        match keys {
            [] => Ok(node),
            keys => Ok(self.plan.push(LogicalKind::Sort { input: node, keys, limit: None })?),
        }
    }

    /// The bigint of LIMIT or OFFSET; `None` when absent or NULL, or an OFFSET of 0.
    fn bind_count<'q: 'a>(
        &mut self,
        expr: Option<ExprView<'q>>,
        clause: &'static str,
    ) -> Result<Option<&'a Expr<'a>>, Error<'a>> {
        let Some(expr) = expr else { return Ok(None) };
        let span = expr.span();
        let not_constant = Error::Clause { problem: ClauseProblem::NotConstant, clause, given: 0, span };
        // Columns of selects around it are no constants either.
        let scratch = Arena::new(self.arena.budget());
        let mut alone = Binder::new(self.catalog, self.parameters, self.arena, &scratch);
        alone.push_block(Scope::new_in(&scratch))?;
        let bound = match alone.bind_expr(&Place::of_columns(clause, 0..0), expr) {
            Err(Error::Name {
                problem: NameProblem::UndefinedColumn | NameProblem::MissingFromEntry,
                ..
            }) => {
                return Err(not_constant);
            }
            bound => bound?,
        };
        let bound = match bound.ty {
            ty if ty.is_numeric() || ty == Type::Unknown => self.build().cast(bound, Type::BigInt, span)?,
            found => return Err(Error::WrongType { place: clause, expected: Type::BigInt, found, span }),
        };
        match bound.kind {
            ExprKind::Literal(Value::Null) => Ok(None),
            ExprKind::Literal(Value::BigInt(0)) if clause == "OFFSET" => Ok(None),
            ExprKind::Literal(Value::BigInt(given)) if given < 0 => {
                Err(Error::Clause { problem: ClauseProblem::Negative, clause, given, span })
            }
            // A constant that is no bigint: the cast says why.
            ExprKind::Cast(Expr { kind: ExprKind::Literal(value), .. }) => {
                fold::cast(*value, Type::BigInt, span, self.arena)?;
                Err(not_constant)
            }
            _ => Ok(Some(bound)),
        }
    }
}

/// The item that a constant in GROUP BY or ORDER BY points at.
pub(super) fn position_of<'a>(
    expr: ExprView<'_>,
    items: usize,
    clause: &'static str,
) -> Result<Option<usize>, Error<'a>> {
    let span = expr.span();
    let literal = match expr {
        ExprView::Literal(literal) => literal,
        ExprView::Unary(unary) => return no_position(unary, clause),
        _ => return Ok(None),
    };
    match literal {
        Literal::Typed(_) => Ok(None),
        Literal::Integer(node) => {
            let given = node.name().parse().unwrap_or(i64::MAX);
            let index = given.checked_sub(1).and_then(|index| usize::try_from(index).ok());
            match index.filter(|index| *index < items) {
                Some(index) => Ok(Some(index)),
                None => Err(Error::Clause { problem: ClauseProblem::NoSuchPosition, clause, given, span }),
            }
        }
        _ => Err(Error::Clause { problem: ClauseProblem::NotAPosition, clause, given: 0, span }),
    }
}

/// A minus and a number are a constant too, and never a position.
fn no_position<'a>(unary: Unary<'_>, clause: &'static str) -> Result<Option<usize>, Error<'a>> {
    let span = unary.span();
    match (unary.op(), unary.operand()) {
        (UnaryOp::Minus, ExprView::Literal(Literal::Integer(node))) => {
            let given = node.name().parse().map_or(i64::MIN, |digits: i64| -digits);
            Err(Error::Clause { problem: ClauseProblem::NoSuchPosition, clause, given, span })
        }
        (UnaryOp::Minus, ExprView::Literal(Literal::Number(_))) => {
            Err(Error::Clause { problem: ClauseProblem::NotAPosition, clause, given: 0, span })
        }
        _ => Ok(None),
    }
}
