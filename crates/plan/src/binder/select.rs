//! Binds a whole select.
//!
//! Clauses are bound in the order in which they may refer to each other, which is neither the order of the text nor the
//! order of execution:
//!
//! ```text
//! FROM → WHERE → select list → GROUP BY → HAVING → ORDER BY       names: an alias of the list may stand in GROUP BY, ORDER BY
//! FROM → WHERE → grouping → HAVING → projection → DISTINCT → ORDER BY → LIMIT         rows
//! ```

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_sql::views::{
    Distinct, Expr as ExprView, Grouping as GroupingView, Literal, Query, Select, SelectItem, Unary, UnaryOp,
    Values,
};
use cofferdam_types::{Type, Value};

use super::Binder;
use super::aggregate::{Aggregates, Grouping};
use super::build::Builder;
use super::conjuncts;
use super::expression::{ExpressionBinder, Place};
use super::fold;
use super::from::From;
use super::output_name::output_name;
use super::scope::{ColumnName, Scope, name_error};
use crate::Span;
use crate::error::{AggregatePlace, ClauseProblem, CountProblem, Error, NameProblem};
use crate::expr::same::same;
use crate::expr::{Column, Expr, ExprKind, walk};
use crate::logical::{LogicalId, LogicalKind};
use crate::physical::SortKey;

/// The most columns that a query may give, hidden sort keys aside.
const OUTPUT_COLUMNS_MAX: usize = 1 << 16;

/// One column of the answer.
#[derive(Clone, Copy, Debug)]
struct Output<'a> {
    expr: &'a Expr<'a>,
    name: &'a str,
}

/// One key of ORDER BY.
#[derive(Clone, Copy, Debug)]
struct Key<'a> {
    target: KeyTarget<'a>,
    descending: bool,
    nulls_first: bool,
    span: Span,
}

/// What a key of ORDER BY is.
#[derive(Clone, Copy, Debug)]
enum KeyTarget<'a> {
    /// A column of the answer.
    Output(u32),
    /// Something else, over the columns of FROM.
    Expr(&'a Expr<'a>),
}

/// A select while it is bound. Lists lie in a scratch arena.
struct Block<'s, 'a> {
    from: From<'s, 'a>,
    outputs: Vec<'s, Output<'a>>,
    groups: Vec<'s, &'a Expr<'a>>,
    aggregates: Aggregates<'a>,
    having: Option<&'a Expr<'a>>,
    keys: Vec<'s, Key<'a>>,
    distinct: bool,
}

impl<'s, 'a> Block<'s, 'a> {
    fn new(scratch: &'s Arena, arena: &'a Arena) -> Block<'s, 'a> {
        Block {
            from: From::new(scratch, arena),
            outputs: Vec::new_in(scratch),
            groups: Vec::new_in(scratch),
            aggregates: Aggregates::new_in(arena),
            having: None,
            keys: Vec::new_in(scratch),
            distinct: false,
        }
    }

    fn is_grouped(&self) -> bool {
        !self.groups.is_empty() || !self.aggregates.list.is_empty() || self.having.is_some()
    }

    fn place(&self, clause: &'static str) -> Place {
        Place { clause, visible: 0..self.from.scope.relations.len() as u32 }
    }
}

impl<'a> Binder<'a, '_> {
    pub(super) fn bind_select<'q: 'a>(&mut self, select: Select<'q>) -> Result<LogicalId, Error<'a>> {
        let scratch = Arena::new(self.arena.budget());
        let mut block = Block::new(&scratch, self.arena);
        block.distinct = match select.distinct() {
            Distinct::All => false,
            Distinct::Distinct => true,
            Distinct::On(_) => {
                return Err(Error::NotSupported { what: "DISTINCT ON", span: select.span() });
            }
        };
        if let Some(into) = select.made_table() {
            return Err(Error::NotSupported { what: "SELECT INTO", span: into.span() });
        }
        if let Some(window) = select.windows().next() {
            return Err(Error::NotSupported { what: "WINDOW", span: window.form().span() });
        }
        for table in select.from() {
            self.bind_table_expr(&mut block.from, table, &scratch)?;
        }
        self.bind_where(&mut block, select)?;
        self.bind_items(&mut block, select)?;
        if block.distinct {
            (0..block.outputs.len()).try_for_each(|index| self.settle_output(&mut block, index))?;
        }
        self.bind_group_by(&mut block, select)?;
        self.bind_having(&mut block, select)?;
        self.finish(block, select.query())
    }

    /// `VALUES` is a table whose columns are all selected.
    pub(super) fn bind_values<'q: 'a>(&mut self, values: Values<'q>) -> Result<LogicalId, Error<'a>> {
        let scratch = Arena::new(self.arena.budget());
        let (node, columns) = self.bind_rows(values)?;
        let mut block = Block::new(&scratch, self.arena);
        block.from.add("", node, columns, values.span())?;
        self.add_star(&mut block, 0..columns.len(), values.span())?;
        self.finish(block, values.query())
    }

    fn bind_rows<'q: 'a>(&mut self, values: Values<'q>) -> Result<(LogicalId, &'a [Column<'a>]), Error<'a>> {
        let scratch = Arena::new(self.arena.budget());
        let scope = Scope::new_in(&scratch);
        let build = Builder { arena: self.arena };
        let mut rows: Vec<'_, Vec<'_, &'a Expr<'a>>> = Vec::new_in(&scratch);
        for row in values.rows() {
            let mut bound = Vec::with_capacity_in(row.len(), &scratch)?;
            let mut span = values.span();
            for expr in row {
                span = expr.span();
                let place = Place { clause: "VALUES", visible: 0..0 };
                bound.push(ExpressionBinder::new(self.arena, &scope, place, None).bind(expr)?)?;
            }
            if let Some(first) = rows.first().filter(|first| first.len() != bound.len()) {
                let (expected, found) = (first.len() as u64, bound.len() as u64);
                return Err(Error::Count {
                    problem: CountProblem::ValuesRows,
                    name: "",
                    expected,
                    found,
                    span,
                });
            }
            rows.push(bound)?;
        }
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
        let mut kept: Vec<'a, &'a [&'a Expr<'a>]> = Vec::with_capacity_in(rows.len(), self.arena)?;
        for row in &rows {
            kept.push(self.arena.alloc_slice_copy(row)?)?;
        }
        Ok((self.plan.push(LogicalKind::Values { rows: kept.into_slice() }, columns)?, columns))
    }

    fn bind_where<'q: 'a>(&self, block: &mut Block<'_, 'a>, select: Select<'q>) -> Result<(), Error<'a>> {
        let Some(filter) = select.filter() else { return Ok(()) };
        let place = block.place("WHERE");
        let condition =
            ExpressionBinder::new(self.arena, &block.from.scope, place, None).bind_condition(filter)?;
        conjuncts::split(condition, &mut block.from.conjuncts)
    }

    fn bind_items<'q: 'a>(&self, block: &mut Block<'_, 'a>, select: Select<'q>) -> Result<(), Error<'a>> {
        for item in select.items() {
            match item {
                SelectItem::Star { qualifier: None, span } => {
                    if block.from.scope.relations.is_empty() {
                        return Err(Error::StarWithoutTables { span });
                    }
                    self.add_star(block, 0..block.from.star.len(), span)?;
                }
                SelectItem::Star { qualifier: Some(table), span } => {
                    let visible = block.place("SELECT").visible;
                    let relation = block.from.scope.resolve_relation(table, span, visible)?;
                    for position in block.from.scope.relations[relation as usize].positions() {
                        self.add_column(block, position, span)?;
                    }
                }
                SelectItem::Expr { expr, alias } => {
                    let bound = self.bind_grouped(block, expr, "SELECT")?;
                    let bound = match self.keeps_unknown {
                        true => bound,
                        false => Builder { arena: self.arena }.settle(bound)?,
                    };
                    let name = alias.unwrap_or_else(|| output_name(expr));
                    self.add_output(block, Output { expr: bound, name }, expr.span())?;
                }
            }
        }
        Ok(())
    }

    /// Adds columns of `*`, by their position in it.
    fn add_star(
        &self,
        block: &mut Block<'_, 'a>,
        range: std::ops::Range<usize>,
        span: Span,
    ) -> Result<(), Error<'a>> {
        for index in range {
            let position = block.from.star[index];
            self.add_column(block, position, span)?;
        }
        Ok(())
    }

    fn add_column(&self, block: &mut Block<'_, 'a>, position: u32, span: Span) -> Result<(), Error<'a>> {
        let column = block.from.scope.columns[position as usize];
        let expr = Builder { arena: self.arena }.column(position, column.ty, span)?;
        self.add_output(block, Output { expr, name: column.name }, span)
    }

    /// Gives a type to an output that is compared with others.
    fn settle_output(&self, block: &mut Block<'_, 'a>, index: usize) -> Result<(), Error<'a>> {
        let output = &mut block.outputs[index];
        output.expr = Builder { arena: self.arena }.settle(output.expr)?;
        Ok(())
    }

    fn add_output(&self, block: &mut Block<'_, 'a>, output: Output<'a>, span: Span) -> Result<(), Error<'a>> {
        if block.outputs.len() == OUTPUT_COLUMNS_MAX {
            let (expected, found) = (OUTPUT_COLUMNS_MAX as u64, OUTPUT_COLUMNS_MAX as u64 + 1);
            return Err(Error::Count { problem: CountProblem::Columns, name: "", expected, found, span });
        }
        Ok(block.outputs.push(output)?)
    }

    /// Binds an expression that is computed after grouping.
    fn bind_grouped<'q: 'a>(
        &self,
        block: &mut Block<'_, 'a>,
        expr: ExprView<'q>,
        clause: &'static str,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let place = block.place(clause);
        ExpressionBinder::new(self.arena, &block.from.scope, place, Some(&mut block.aggregates)).bind(expr)
    }

    fn bind_group_by<'q: 'a>(&self, block: &mut Block<'_, 'a>, select: Select<'q>) -> Result<(), Error<'a>> {
        for grouping in select.group_by() {
            let group = match grouping {
                GroupingView::Expr(expr) => self.bind_group(block, expr)?,
                GroupingView::Set(set) => {
                    return Err(Error::NotSupported { what: "a grouping set", span: set.span() });
                }
            };
            // A constant puts all rows into one group, which having groups at all does already; but it must be found.
            block.groups.push(group)?;
        }
        Ok(())
    }

    /// A column of FROM before an alias of the select list, a position in it, or any expression.
    fn bind_group<'q: 'a>(
        &self,
        block: &mut Block<'_, 'a>,
        expr: ExprView<'q>,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let span = expr.span();
        let by_output = match expr {
            ExprView::Column(column)
                if column.table().is_none() && !block.from.scope.has_column(column.name()) =>
            {
                self.output_by_name(block, column.name(), "GROUP BY", span)?
            }
            _ => output_by_position(block, expr, "GROUP BY")?,
        };
        match by_output {
            Some(index) => {
                self.settle_output(block, index as usize)?;
                let output = block.outputs[index as usize].expr;
                self.refuse_aggregates(block, output, "GROUP BY", span)?;
                Ok(output)
            }
            None => {
                let place = block.place("GROUP BY");
                let bound = ExpressionBinder::new(self.arena, &block.from.scope, place, None).bind(expr)?;
                Builder { arena: self.arena }.settle(bound)
            }
        }
    }

    fn refuse_aggregates(
        &self,
        block: &Block<'_, 'a>,
        expr: &'a Expr<'a>,
        clause: &'static str,
        span: Span,
    ) -> Result<(), Error<'a>> {
        let first = block.from.scope.columns_count();
        let mut found = false;
        walk::for_each(expr, self.arena, |node| {
            found |= matches!(node.kind, ExprKind::Column(position) if position >= first);
        })?;
        match found {
            true => Err(Error::MisplacedAggregate { place: AggregatePlace::Clause(clause), span }),
            false => Ok(()),
        }
    }

    fn bind_having<'q: 'a>(&self, block: &mut Block<'_, 'a>, select: Select<'q>) -> Result<(), Error<'a>> {
        let Some(having) = select.having() else { return Ok(()) };
        let bound = self.bind_grouped(block, having, "HAVING")?;
        block.having = Some(Builder { arena: self.arena }.coerce(bound, Type::Boolean, "HAVING")?);
        Ok(())
    }

    fn bind_order_by<'q: 'a>(&self, block: &mut Block<'_, 'a>, query: Query<'q>) -> Result<(), Error<'a>> {
        for key in query.order_by() {
            if key.operator().is_some() {
                return Err(Error::NotSupported { what: "USING in ORDER BY", span: key.span() });
            }
            let target = self.bind_key(block, key.expr())?;
            let (descending, nulls_first) = (key.is_descending(), key.nulls_first());
            block.keys.push(Key { target, descending, nulls_first, span: key.span() })?;
        }
        Ok(())
    }

    /// An alias of the select list before a column of FROM, a position in the list, or any expression.
    fn bind_key<'q: 'a>(
        &self,
        block: &mut Block<'_, 'a>,
        expr: ExprView<'q>,
    ) -> Result<KeyTarget<'a>, Error<'a>> {
        let by_output = match expr {
            ExprView::Column(column) if column.table().is_none() => {
                self.output_by_name(block, column.name(), "ORDER BY", expr.span())?
            }
            _ => output_by_position(block, expr, "ORDER BY")?,
        };
        if let Some(index) = by_output {
            self.settle_output(block, index as usize)?;
            return Ok(KeyTarget::Output(index));
        }
        let bound = self.bind_grouped(block, expr, "ORDER BY")?;
        let bound = Builder { arena: self.arena }.settle(bound)?;
        for (index, output) in block.outputs.iter().enumerate() {
            if same(output.expr, bound, self.arena)? {
                return Ok(KeyTarget::Output(index as u32));
            }
        }
        Ok(KeyTarget::Expr(bound))
    }

    /// The output of a name; two that compute the same count as one.
    fn output_by_name(
        &self,
        block: &Block<'_, 'a>,
        name: &'a str,
        clause: &'static str,
        span: Span,
    ) -> Result<Option<u32>, Error<'a>> {
        let mut found: Option<usize> = None;
        for (index, output) in block.outputs.iter().enumerate().filter(|(_, output)| output.name == name) {
            match found {
                None => found = Some(index),
                Some(first) if same(block.outputs[first].expr, output.expr, self.arena)? => {}
                Some(_) if clause == "ORDER BY" => {
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

    /// Puts the bound clauses together, bottom up.
    fn finish<'q: 'a>(&mut self, mut block: Block<'_, 'a>, query: Query<'q>) -> Result<LogicalId, Error<'a>> {
        self.bind_order_by(&mut block, query)?;
        let count = self.bind_count(query.limit(), "LIMIT")?;
        let offset = self.bind_count(query.offset(), "OFFSET")?.unwrap_or(0);
        let mut node = self.push_from(&mut block.from)?;
        if block.is_grouped() {
            node = self.push_grouping(&mut block, node)?;
        }
        node = self.push_outputs(&mut block, node)?;
        if !block.keys.is_empty() {
            node = self.push_sort(&block, node, count.map(|count| count.saturating_add(offset)))?;
        }
        if count.is_some() || offset > 0 {
            node =
                self.plan.push(LogicalKind::Limit { input: node, count, offset }, self.plan.columns(node))?;
        }
        self.push_without_hidden(&block, node)
    }

    /// The tables of FROM, joined and filtered.
    fn push_from(&mut self, from: &mut From<'_, 'a>) -> Result<LogicalId, Error<'a>> {
        let conjuncts: &'a [&'a Expr<'a>] =
            std::mem::replace(&mut from.conjuncts, Vec::new_in(self.arena)).into_slice();
        let input = match &from.scope.relations[..] {
            [] => {
                let row: &'a [&'a Expr<'a>] = &[];
                let rows = self.arena.alloc_slice_copy(&[row])?;
                self.plan.push(LogicalKind::Values { rows }, &[])?
            }
            [relation] => relation.node,
            relations => {
                let nodes =
                    self.arena.alloc_slice_fill_with(relations.len(), |index| relations[index].node)?;
                let columns = self.arena.alloc_slice_fill_with(from.scope.columns.len(), |index| {
                    let column = from.scope.columns[index];
                    Column { name: column.name, ty: column.ty }
                })?;
                return Ok(self.plan.push(LogicalKind::Join { relations: nodes, conjuncts }, columns)?);
            }
        };
        match conjuncts {
            [] => Ok(input),
            _ => Ok(self.plan.push(LogicalKind::Filter { input, conjuncts }, self.plan.columns(input))?),
        }
    }

    /// Grouping and HAVING; afterwards all expressions of the block stand over the grouping's output.
    fn push_grouping(&mut self, block: &mut Block<'_, 'a>, input: LogicalId) -> Result<LogicalId, Error<'a>> {
        let groups: &'a [&'a Expr<'a>] = self.arena.alloc_slice_copy(&block.groups)?;
        let grouping = Grouping::new(&block.from.scope, groups, self.arena)?;
        for output in &mut block.outputs {
            output.expr = grouping.rewrite(output.expr)?;
        }
        for key in &mut block.keys {
            if let KeyTarget::Expr(expr) = key.target {
                key.target = KeyTarget::Expr(grouping.rewrite(expr)?);
            }
        }
        let having = block.having.map(|having| grouping.rewrite(having)).transpose()?;
        let aggregates: &'a [_] = self.arena.alloc_slice_copy(&block.aggregates.list)?;
        let columns = self.grouped_columns(block, groups)?;
        let mut node = self.plan.push(LogicalKind::Aggregate { input, groups, aggregates }, columns)?;
        if let Some(having) = having {
            let mut conjuncts = Vec::new_in(self.arena);
            conjuncts::split(having, &mut conjuncts)?;
            let conjuncts = conjuncts.into_slice();
            node = self.plan.push(LogicalKind::Filter { input: node, conjuncts }, columns)?;
        }
        Ok(node)
    }

    /// Groups under their column's name; what is computed has none.
    fn grouped_columns(
        &self,
        block: &Block<'_, 'a>,
        groups: &[&'a Expr<'a>],
    ) -> Result<&'a [Column<'a>], Error<'a>> {
        let mut columns = Vec::with_capacity_in(groups.len() + block.aggregates.list.len(), self.arena)?;
        for group in groups {
            let name = match group.kind {
                ExprKind::Column(position) => block.from.scope.columns[position as usize].name,
                _ => "",
            };
            columns.push(Column { name, ty: group.ty })?;
        }
        for aggregate in &block.aggregates.list {
            columns.push(Column { name: "", ty: aggregate.ty })?;
        }
        Ok(columns.into_slice())
    }

    /// The select list, sort keys that are not in it, and DISTINCT.
    fn push_outputs(&mut self, block: &mut Block<'_, 'a>, input: LogicalId) -> Result<LogicalId, Error<'a>> {
        let mut exprs = Vec::with_capacity_in(block.outputs.len() + block.keys.len(), self.arena)?;
        let mut columns = Vec::with_capacity_in(block.outputs.len() + block.keys.len(), self.arena)?;
        for output in &block.outputs {
            exprs.push(output.expr)?;
            columns.push(Column { name: output.name, ty: output.expr.ty })?;
        }
        for key in &mut block.keys {
            let KeyTarget::Expr(expr) = key.target else { continue };
            if block.distinct {
                let (problem, clause) = (ClauseProblem::NotInSelectList, "ORDER BY");
                return Err(Error::Clause { problem, clause, given: 0, span: key.span });
            }
            key.target = KeyTarget::Output(exprs.len() as u32);
            exprs.push(expr)?;
            columns.push(Column { name: "", ty: expr.ty })?;
        }
        let columns: &'a [Column<'a>] = columns.into_slice();
        let mut node = self.plan.push(LogicalKind::Project { input, exprs: exprs.into_slice() }, columns)?;
        if block.distinct {
            node = self.plan.push(LogicalKind::Distinct { input: node }, columns)?;
        }
        Ok(node)
    }

    fn push_sort(
        &mut self,
        block: &Block<'_, 'a>,
        input: LogicalId,
        limit: Option<u64>,
    ) -> Result<LogicalId, Error<'a>> {
        let mut keys: Vec<'a, SortKey> = Vec::with_capacity_in(block.keys.len(), self.arena)?;
        for key in &block.keys {
            let KeyTarget::Output(column) = key.target else { continue };
            // A column that has decided before decides nothing again.
            if keys.iter().all(|known| known.column != column) {
                keys.push(SortKey { column, descending: key.descending, nulls_first: key.nulls_first })?;
            }
        }
        let kind = LogicalKind::Sort { input, keys: keys.into_slice(), limit };
        Ok(self.plan.push(kind, self.plan.columns(input))?)
    }

    /// The select list alone, where sort keys stand behind it.
    fn push_without_hidden(
        &mut self,
        block: &Block<'_, 'a>,
        input: LogicalId,
    ) -> Result<LogicalId, Error<'a>> {
        let columns = self.plan.columns(input);
        let shown = block.outputs.len();
        if columns.len() == shown {
            return Ok(input);
        }
        let build = Builder { arena: self.arena };
        let mut exprs = Vec::with_capacity_in(shown, self.arena)?;
        for (index, output) in block.outputs.iter().enumerate() {
            exprs.push(build.column(index as u32, output.expr.ty, output.expr.span)?)?;
        }
        Ok(self.plan.push(LogicalKind::Project { input, exprs: exprs.into_slice() }, &columns[..shown])?)
    }

    /// The constant of LIMIT or OFFSET; `None` when absent or NULL.
    fn bind_count<'q: 'a>(
        &self,
        expr: Option<ExprView<'q>>,
        clause: &'static str,
    ) -> Result<Option<u64>, Error<'a>> {
        let Some(expr) = expr else { return Ok(None) };
        let span = expr.span();
        let scratch = Arena::new(self.arena.budget());
        let scope = Scope::new_in(&scratch);
        let not_constant = Error::Clause { problem: ClauseProblem::NotConstant, clause, given: 0, span };
        let mut binder = ExpressionBinder::new(self.arena, &scope, Place { clause, visible: 0..0 }, None);
        let bound = match binder.bind(expr) {
            Err(Error::Name {
                problem: NameProblem::UndefinedColumn | NameProblem::MissingFromEntry,
                ..
            }) => {
                return Err(not_constant);
            }
            bound => bound?,
        };
        let bound = match bound.ty {
            Type::Integer | Type::BigInt | Type::Decimal { .. } | Type::Double | Type::Unknown => {
                Builder { arena: self.arena }.cast(bound, Type::BigInt, span)?
            }
            found => return Err(Error::WrongType { place: clause, expected: Type::BigInt, found, span }),
        };
        match bound.kind {
            ExprKind::Literal(Value::Null) => Ok(None),
            ExprKind::Literal(Value::BigInt(given)) => u64::try_from(given)
                .map(Some)
                .map_err(|_| Error::Clause { problem: ClauseProblem::Negative, clause, given, span }),
            // A constant that is no bigint: the cast says why.
            ExprKind::Cast(Expr { kind: ExprKind::Literal(value), .. }) => {
                fold::cast(*value, Type::BigInt, span, self.arena)?;
                Err(not_constant)
            }
            _ => Err(Error::NotSupported { what: "LIMIT or OFFSET with such an expression", span }),
        }
    }
}

/// The output that a constant in GROUP BY or ORDER BY points at, from 1.
fn output_by_position<'a>(
    block: &Block<'_, 'a>,
    expr: ExprView<'_>,
    clause: &'static str,
) -> Result<Option<u32>, Error<'a>> {
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
            match index.filter(|index| *index < block.outputs.len()) {
                Some(index) => Ok(Some(index as u32)),
                None => Err(Error::Clause { problem: ClauseProblem::NoSuchPosition, clause, given, span }),
            }
        }
        _ => Err(Error::Clause { problem: ClauseProblem::NotAPosition, clause, given: 0, span }),
    }
}

/// A minus and a number are a constant too, and never a position.
fn no_position<'a>(unary: Unary<'_>, clause: &'static str) -> Result<Option<u32>, Error<'a>> {
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
