//! Queries in expressions: each becomes a join below what reads its result, a column.
//!
//! | written | join | column |
//! |---|---|---|
//! | `(SELECT …)` | single | the query's |
//! | `EXISTS (…)` | mark without a condition | the mark |
//! | `x IN (…)`, `x = ANY (…)` | mark with `x = ` the query's column | the mark |
//! | `x < ALL (…)` | mark with `x >= ` the query's column | `NOT` the mark |
//! | `ARRAY (…)` | single, of an aggregate | the array |
//!
//! A query in a branch of `CASE` and the like gives nothing where the branch is not taken: its join has a column that says where it is,
//! and what may fail in the query is computed there alone (`guarded`).
//!
//! A query may read columns of the selects around it: `unnest` in the optimizer makes an ordinary join of that.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_sql::views::Query;
use cofferdam_types::{Type, Value};

use super::Binder;
use super::expression::{Place, Stage};
use super::query::Bound;
use crate::Span;
use crate::error::{CountProblem, Error};
use crate::expr::fails::may_fail;
use crate::expr::{BinaryOp, Expr, ExprKind, When};
use crate::logical::{
    ColumnId, Join, LogicalId, LogicalKind, LogicalPlan, Named, NamedAggregate, for_each_column,
};
use crate::physical::{Aggregate, AggregateFunction, JoinKind};

/// A join that is to stand below what is being bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending<'a> {
    pub(super) kind: JoinKind,
    pub(super) node: LogicalId,
    pub(super) conjuncts: &'a [&'a Expr<'a>],
    /// The column that it makes.
    pub(super) mark: ColumnId,
    pub(super) stage: Stage,
    pub(super) span: Span,
    /// When its value is asked for, if not always: over the columns of the select.
    pub(super) guard: Option<&'a Expr<'a>>,
}

impl<'a> Binder<'_, 'a, '_> {
    /// Binds a query in an expression of the innermost select.
    fn bind_nested<'q: 'a>(&mut self, query: Query<'q>, place: &Place) -> Result<Bound<'a>, Error<'a>> {
        let span = query.span();
        if !place.allows.queries {
            return Err(Error::NoQuery { clause: place.clause, span });
        }
        self.enter(span)?;
        let bound = self.bind_query(query)?;
        self.nesting -= 1;
        Ok(bound)
    }

    /// `EXISTS (query)`.
    pub(super) fn exists<'q: 'a>(
        &mut self,
        query: Query<'q>,
        stage: Stage,
        place: &Place,
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let bound = self.bind_nested(query, place)?;
        self.mark(bound.node, &[], stage, span)
    }

    /// `(query)` as a value.
    pub(super) fn scalar<'q: 'a>(
        &mut self,
        query: Query<'q>,
        stage: Stage,
        place: &Place,
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let bound = self.bind_nested(query, place)?;
        let bound = self.settle(bound)?;
        let [column] = bound.columns else {
            let (problem, found) = (CountProblem::Subquery, bound.columns.len() as u64);
            return Err(Error::Count { problem, name: "", expected: 1, found, span });
        };
        let pending = Pending {
            kind: JoinKind::Single,
            node: bound.node,
            conjuncts: &[],
            mark: column.id,
            stage,
            span,
            guard: None,
        };
        self.block_mut().pending.push(pending)?;
        Ok(self.plan.read(column.id, span, self.arena)?)
    }

    /// A query that gives the values of one row.
    pub(super) fn row_of_query<'q: 'a>(
        &mut self,
        query: Query<'q>,
        place: &Place,
        span: Span,
    ) -> Result<Bound<'a>, Error<'a>> {
        let bound = self.bind_nested(query, place)?;
        let bound = self.settle(bound)?;
        let (node, mark) = (bound.node, bound.columns.first().map_or(0, |column| column.id));
        let (kind, conjuncts, stage) = (JoinKind::Single, &[][..], Stage::Rows);
        self.block_mut().pending.push(Pending { kind, node, conjuncts, mark, stage, span, guard: None })?;
        Ok(bound)
    }

    /// `ARRAY (query)`.
    pub(super) fn array_of<'q: 'a>(
        &mut self,
        query: Query<'q>,
        stage: Stage,
        place: &Place,
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let bound = self.bind_nested(query, place)?;
        let bound = self.settle(bound)?;
        let [column] = bound.columns else {
            let (problem, found) = (CountProblem::Subquery, bound.columns.len() as u64);
            return Err(Error::Count { problem, name: "", expected: 1, found, span });
        };
        let element = self.plan.ty(column.id);
        let Some(ty) = super::functions::array_type(element) else {
            return Err(Error::NotSupported { what: "an array of this type", span });
        };
        let read = self.plan.read(column.id, column.span, self.arena)?;
        let args = self.arena.alloc_slice_copy(&[read])?;
        let function = AggregateFunction::ArrayAgg;
        let aggregate = Aggregate { function, args, distinct: false, filter: None, order_by: &[], ty, span };
        let id = self.plan.column("array", ty)?;
        let aggregates = self.arena.alloc_slice_copy(&[NamedAggregate { id, aggregate }])?;
        let sets: &'a [&'a [u32]] = &[&[]];
        let kind = LogicalKind::Aggregate { input: bound.node, groups: &[], sets, aggregates };
        let node = self.plan.push(kind)?;
        let (kind, conjuncts, guard) = (JoinKind::Single, &[][..], None);
        let pending = Pending { kind, node, conjuncts, mark: id, stage, span, guard };
        self.block_mut().pending.push(pending)?;
        let read = self.plan.read(id, span, self.arena)?;
        super::functions::array_or_empty(self.build(), read, span)
    }

    /// `operand op ANY (query)` or `operand op ALL (query)`.
    #[allow(clippy::too_many_arguments, reason = "the parts of the construct, and where it stands")]
    pub(super) fn quantified<'q: 'a>(
        &mut self,
        operand: &'a Expr<'a>,
        op: BinaryOp,
        all: bool,
        query: Query<'q>,
        stage: Stage,
        place: &Place,
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let bound = self.bind_nested(query, place)?;
        // All are smaller if none is not smaller.
        let op = if all { op.negated().unwrap_or(op) } else { op };
        let operands: &'a [&'a Expr<'a>] = match operand.kind {
            ExprKind::Row(values) => values,
            _ => self.arena.alloc_slice_copy(&[operand])?,
        };
        if operands.len() != bound.columns.len() {
            let (expected, found) = (operands.len() as u64, bound.columns.len() as u64);
            let problem = if operands.len() == 1 { CountProblem::Subquery } else { CountProblem::Row };
            return Err(Error::Count { problem, name: "", expected, found, span });
        }
        let settled = self.settle(bound)?;
        let columns = self.arena.alloc_slice_fill(operands.len(), operand)?;
        for (slot, column) in columns.iter_mut().zip(settled.columns) {
            *slot = self.plan.read(column.id, column.span, self.arena)?;
        }
        let conjuncts: &'a [&'a Expr<'a>] = match (op, operands, &*columns) {
            (BinaryOp::Equal, operands, columns) => {
                let mut list = Vec::with_capacity_in(operands.len(), self.arena)?;
                for (operand, column) in operands.iter().zip(columns) {
                    list.push(self.compare(op, operand, column, span)?)?;
                }
                list.into_slice()
            }
            (op, operands, columns) => {
                let condition = self.compare_rows(op, operands, columns, span)?;
                self.arena.alloc_slice_copy(&[condition])?
            }
        };
        let found = self.mark(settled.node, conjuncts, stage, span)?;
        if all { self.build().not(found, span) } else { Ok(found) }
    }

    /// A query of one column, in an expression of the innermost select.
    pub(super) fn column_of_query<'q: 'a>(
        &mut self,
        query: Query<'q>,
        place: &Place,
        span: Span,
    ) -> Result<Bound<'a>, Error<'a>> {
        let bound = self.bind_nested(query, place)?;
        if bound.columns.len() != 1 {
            let (problem, found) = (CountProblem::Subquery, bound.columns.len() as u64);
            return Err(Error::Count { problem, name: "", expected: 1, found, span });
        }
        self.settle(bound)
    }

    /// Whether a condition holds for one of the rows, or for all.
    pub(super) fn marked(
        &mut self,
        node: LogicalId,
        condition: &'a Expr<'a>,
        all: bool,
        stage: Stage,
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        // It holds for all if it fails for none.
        let condition = if all { self.build().not(condition, span)? } else { condition };
        let conjuncts = self.arena.alloc_slice_copy(&[condition])?;
        let found = self.mark(node, conjuncts, stage, span)?;
        if all { self.build().not(found, span) } else { Ok(found) }
    }

    /// A mark of whether the query has a row for which all conjuncts are true.
    fn mark(
        &mut self,
        node: LogicalId,
        conjuncts: &'a [&'a Expr<'a>],
        stage: Stage,
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let mark = self.plan.column("", Type::Boolean)?;
        let pending = Pending { kind: JoinKind::Mark, node, conjuncts, mark, stage, span, guard: None };
        self.block_mut().pending.push(pending)?;
        Ok(self.plan.read(mark, span, self.arena)?)
    }

    /// Puts the joins of a stage that wait in the innermost select above its node.
    pub(super) fn attach(&mut self, stage: Stage, node: LogicalId) -> Result<LogicalId, Error<'a>> {
        let mut node = node;
        let mut index = 0;
        while index < self.block().pending.len() {
            let pending = self.block().pending[index];
            if pending.stage != stage {
                index += 1;
                continue;
            }
            self.block_mut().pending.remove(index);
            let (left, conjuncts) = self.guarded(node, pending)?;
            let Pending { kind, node: right, mark, .. } = pending;
            node = self.plan.push(LogicalKind::Join(Join { kind, left, right, conjuncts, mark }))?;
        }
        Ok(node)
    }

    /// Says of the joins from `first` to `end` that wait when their values are asked for.
    pub(super) fn guard(
        &mut self,
        waiting: std::ops::Range<usize>,
        guard: &'a Expr<'a>,
    ) -> Result<(), Error<'a>> {
        for index in waiting {
            let own = self.block().pending[index].guard;
            let both = match own {
                None => guard,
                Some(own) => self.choice(&[(guard, Some(own))], false)?,
            };
            self.block_mut().pending[index].guard = Some(both);
        }
        Ok(())
    }

    /// `CASE` of booleans: of each condition what it gives, false where that is not said; then what is given where none is true.
    pub(super) fn choice(
        &self,
        whens: &[(&'a Expr<'a>, Option<&'a Expr<'a>>)],
        otherwise: bool,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let span = whens.first().map_or(Span::default(), |(condition, _)| condition.span);
        let truth = |value| self.build().literal(Value::Boolean(value), Type::Boolean, span);
        let (never, otherwise) = (truth(false)?, truth(otherwise)?);
        let whens =
            whens.iter().map(|(condition, result)| When { condition, result: result.unwrap_or(never) });
        let whens = &*self.arena.alloc_slice_from_iter(whens)?;
        let kind = ExprKind::Case { operand: None, whens, otherwise: Some(otherwise) };
        Ok(self.arena.alloc(Expr { kind, ty: Type::Boolean, span })?)
    }

    /// The left side and the conditions of a join whose value is asked for where its guard is true: what may fail in the query is
    /// computed there alone.
    fn guarded(
        &mut self,
        left: LogicalId,
        pending: Pending<'a>,
    ) -> Result<(LogicalId, &'a [&'a Expr<'a>]), Error<'a>> {
        let Pending { kind, node, conjuncts, guard, span, .. } = pending;
        let Some(guard) = guard else { return Ok((left, conjuncts)) };
        let scratch = Arena::new(self.arena.budget());
        if self.reads_late(guard, &scratch)? {
            return Ok((left, conjuncts));
        }
        let nodes = self.plan.post_order(node, &scratch)?;
        let mut fails = kind == JoinKind::Single && !is_one_row(&self.plan, node);
        for id in &nodes {
            self.plan.kind(*id).for_each_expr(|expr| {
                fails = fails || may_fail(expr, &scratch)?;
                Ok::<_, AllocError>(())
            })?;
        }
        for conjunct in conjuncts {
            fails = fails || may_fail(conjunct, &scratch)?;
        }
        if !fails {
            return Ok((left, conjuncts));
        }
        let id = self.plan.column("", Type::Boolean)?;
        let exprs = self.arena.alloc_slice_copy(&[Named { id, expr: guard }])?;
        let left = self.plan.push(LogicalKind::Extend { input: left, exprs })?;
        let asked = self.plan.read(id, span, self.arena)?;
        for id in &nodes {
            let kind = self.plan.kind(*id);
            if !matches!(kind, LogicalKind::Limit { .. }) {
                let kind =
                    kind.map(self.arena, |expr| where_asked(expr, asked, self.arena), |column| column)?;
                self.plan.nodes[id.index()] = kind;
            }
        }
        let mut kept: Vec<'a, &'a Expr<'a>> = Vec::with_capacity_in(conjuncts.len() + 1, self.arena)?;
        for conjunct in conjuncts {
            kept.push(where_asked(conjunct, asked, self.arena)?)?;
        }
        // A row too many is one too many where somebody asks.
        if kind == JoinKind::Single && !is_one_row(&self.plan, node) {
            kept.push(asked)?;
        }
        Ok((left, kept.into_slice()))
    }

    /// Whether an expression reads what is made above the joins that wait: windows, and functions that give rows.
    fn reads_late(&self, expr: &'a Expr<'a>, scratch: &Arena) -> Result<bool, AllocError> {
        let block = self.block();
        let mut late = false;
        for_each_column(expr, scratch, |column| {
            late |= block.windows.iter().any(|window| window.id == column)
                || block.sets.iter().any(|call| call.columns.contains(&column));
            Ok(())
        })?;
        Ok(late)
    }
}

/// An expression that is computed where `asked` is true if it may fail; of a comparison its sides, so that it stays one.
fn where_asked<'a>(
    expr: &'a Expr<'a>,
    asked: &'a Expr<'a>,
    arena: &'a Arena,
) -> Result<&'a Expr<'a>, AllocError> {
    if !may_fail(expr, arena)? {
        return Ok(expr);
    }
    if let ExprKind::Binary { op, left, right } = expr.kind
        && op.is_comparison()
    {
        let side = |side: &'a Expr<'a>| match may_fail(side, arena)? {
            true => only_where(side, asked, arena),
            false => Ok(side),
        };
        let kind = ExprKind::Binary { op, left: side(left)?, right: side(right)? };
        return Ok(arena.alloc(Expr { kind, ..*expr })?);
    }
    only_where(expr, asked, arena)
}

/// `CASE WHEN asked THEN expr END`.
fn only_where<'a>(
    result: &'a Expr<'a>,
    asked: &'a Expr<'a>,
    arena: &'a Arena,
) -> Result<&'a Expr<'a>, AllocError> {
    let whens = arena.alloc_slice_copy(&[When { condition: asked, result }])?;
    let kind = ExprKind::Case { operand: None, whens, otherwise: None };
    Ok(arena.alloc(Expr { kind, ..*result })?)
}

/// Whether a query gives one row at most, by its form.
fn is_one_row(plan: &LogicalPlan<'_>, node: LogicalId) -> bool {
    let mut node = node;
    loop {
        match plan.kind(node) {
            LogicalKind::Extend { input, .. } | LogicalKind::Sort { input, .. } => node = input,
            LogicalKind::Values { rows, .. } => return rows.len() <= 1,
            LogicalKind::Aggregate { groups: [], sets: [[]], .. } => return true,
            _ => return false,
        }
    }
}
