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
//! A query may read columns of the selects around it: `unnest` in the optimizer makes an ordinary join of that.

use cofferdam_sql::views::Query;
use cofferdam_types::Type;

use super::Binder;
use super::expression::{Place, Stage};
use super::query::Bound;
use crate::Span;
use crate::error::{CountProblem, Error};
use crate::expr::{BinaryOp, Expr, ExprKind};
use crate::logical::{ColumnId, Join, LogicalId, LogicalKind, NamedAggregate};
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
        self.block_mut().pending.push(Pending { kind, node, conjuncts, mark, stage, span })?;
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
        let pending = Pending { kind: JoinKind::Single, node, conjuncts: &[], mark: id, stage, span };
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
        let op = if all { negated(op) } else { op };
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
                let mut list =
                    cofferdam_arena::collections::Vec::with_capacity_in(operands.len(), self.arena)?;
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

    /// A mark of whether the query has a row for which all conjuncts are true.
    fn mark(
        &mut self,
        node: LogicalId,
        conjuncts: &'a [&'a Expr<'a>],
        stage: Stage,
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let mark = self.plan.column("", Type::Boolean)?;
        let pending = Pending { kind: JoinKind::Mark, node, conjuncts, mark, stage, span };
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
            let Pending { kind, node: right, conjuncts, mark, .. } = pending;
            node = self.plan.push(LogicalKind::Join(Join { kind, left: node, right, conjuncts, mark }))?;
        }
        Ok(node)
    }
}

/// The comparison that holds where this one does not.
fn negated(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Equal => BinaryOp::NotEqual,
        BinaryOp::NotEqual => BinaryOp::Equal,
        BinaryOp::Less => BinaryOp::GreaterEqual,
        BinaryOp::LessEqual => BinaryOp::Greater,
        BinaryOp::Greater => BinaryOp::LessEqual,
        BinaryOp::GreaterEqual => BinaryOp::Less,
        op => op,
    }
}
