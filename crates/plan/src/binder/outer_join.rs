//! Queries in the condition of an outer join.
//!
//! A query over one side is joined to that side before. One over both sides is asked for pairs of rows, so the other side becomes one
//! that reads the row which is kept, as with LATERAL:
//!
//! ```text
//! a LEFT JOIN b ON c      a LEFT JOIN LATERAL (b WHERE c) ON true
//! a RIGHT JOIN b ON c     b LEFT JOIN LATERAL (a WHERE c) ON true
//! a FULL JOIN b ON c      (a LEFT JOIN LATERAL (n WHERE c) ON true) AS m FULL JOIN n ON m.number = n.number
//! ```
//!
//! where `n` is `b` with a number in each row, which is read twice: the condition reads the columns of the first under other numbers.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::Type;

use super::Binder;
use super::expression::Stage;
use super::from::Item;
use crate::Span;
use crate::error::Error;
use crate::expr::{BinaryOp, Expr, ExprKind, walk};
use crate::logical::{ColumnId, Cte, Join, LogicalId, LogicalKind, NamedWindow, for_each_column};
use crate::physical::{Frame, JoinKind, WindowFunction, WindowKind};

impl<'a> Binder<'_, 'a, '_> {
    /// Puts the queries that wait, those of an outer join's condition, above the side whose columns they read; nothing is done where
    /// they read both.
    pub(super) fn attach_to_sides(
        &mut self,
        left: &Item,
        right: &Item,
    ) -> Result<Option<(LogicalId, LogicalId)>, Error<'a>> {
        let (mut reads_left, mut reads_right) = (false, false);
        let scratch = Arena::new(self.arena.budget());
        let scope = &self.block().scope;
        let mut note = |id: ColumnId| {
            if let Some(position) = scope.position_of(id) {
                let relation = scope.columns[position as usize].relation;
                reads_left |= left.relations.contains(&relation);
                reads_right |= right.relations.contains(&relation);
            }
            Ok(())
        };
        for pending in &self.block().pending {
            for conjunct in pending.conjuncts.iter().chain(&pending.guard) {
                for_each_column(conjunct, &scratch, &mut note)?;
            }
            for id in self.nodes_of(pending.node, &scratch)? {
                self.plan.kind(id).for_each_read(&scratch, &mut note)?;
            }
        }
        match (reads_left, reads_right) {
            (true, true) => Ok(None),
            (true, false) => Ok(Some((self.attach(Stage::Rows, left.node)?, right.node))),
            (false, _) => Ok(Some((left.node, self.attach(Stage::Rows, right.node)?))),
        }
    }

    /// The outer join whose condition reads the queries that wait, for each pair of rows.
    pub(super) fn join_by_queries(
        &mut self,
        kind: JoinKind,
        left: &Item,
        right: &Item,
        condition: &'a Expr<'a>,
        span: Span,
    ) -> Result<LogicalId, Error<'a>> {
        match kind {
            JoinKind::Left => self.join_matching(left.node, right.node, condition),
            JoinKind::Right => self.join_matching(right.node, left.node, condition),
            _ => self.full_join(left.node, right.node, condition, span),
        }
    }

    /// The rows of `kept`, each with those of `other` for which the condition is true.
    fn join_matching(
        &mut self,
        kept: LogicalId,
        other: LogicalId,
        condition: &'a Expr<'a>,
    ) -> Result<LogicalId, Error<'a>> {
        let node = self.attach(Stage::Rows, other)?;
        let right = self.push_filter(node, condition)?;
        let join = Join { kind: JoinKind::Left, left: kept, right, conjuncts: &[], mark: 0 };
        Ok(self.plan.push(LogicalKind::Join(join))?)
    }

    fn full_join(
        &mut self,
        left: LogicalId,
        right: LogicalId,
        condition: &'a Expr<'a>,
        span: Span,
    ) -> Result<LogicalId, Error<'a>> {
        let scratch = Arena::new(self.arena.budget());
        let number = self.plan.column("", Type::BigInt)?;
        let function =
            WindowFunction { kind: WindowKind::RowNumber, frame: Frame::DEFAULT, ty: Type::BigInt, span };
        let functions = self.arena.alloc_slice_copy(&[NamedWindow { id: number, function }])?;
        let kind = LogicalKind::Window { input: right, partition: &[], order: &[], functions };
        let node = self.plan.push(kind)?;
        let mut columns: Vec<'a, ColumnId> = Vec::new_in(self.arena);
        self.plan.output_of(
            node,
            &mut |column| if columns.contains(&column) { Ok(()) } else { columns.push(column) },
            &scratch,
        )?;
        let columns: &'a [ColumnId] = columns.into_slice();
        let mut matching: Vec<'a, ColumnId> = Vec::with_capacity_in(columns.len(), self.arena)?;
        for column in columns {
            matching.push(self.plan.column("", self.plan.ty(*column))?)?;
        }
        let matching: &'a [ColumnId] = matching.into_slice();
        let cte = self.plan.ctes.len() as u32;
        self.plan.ctes.push(Cte { node, columns, scans: 2, is_fenced: true })?;

        let renamed = |column: ColumnId| {
            columns.iter().position(|known| *known == column).map_or(column, |index| matching[index])
        };
        let condition = self.rename_queries(condition, &renamed, &scratch)?;
        let other = self.plan.push(LogicalKind::CteScan { cte, columns: matching })?;
        let left = self.join_matching(left, other, condition)?;
        let right = self.plan.push(LogicalKind::CteScan { cte, columns })?;
        let numbers =
            [self.plan.read(renamed(number), span, self.arena)?, self.plan.read(number, span, self.arena)?];
        let same = self.build().compare(BinaryOp::Equal, numbers[0], numbers[1], span)?;
        let conjuncts = self.arena.alloc_slice_copy(&[same])?;
        let join = Join { kind: JoinKind::Full, left, right, conjuncts, mark: 0 };
        Ok(self.plan.push(LogicalKind::Join(join))?)
    }

    /// Gives columns other numbers in the condition and in the queries that wait.
    fn rename_queries(
        &mut self,
        condition: &'a Expr<'a>,
        renamed: &dyn Fn(ColumnId) -> ColumnId,
        scratch: &Arena,
    ) -> Result<&'a Expr<'a>, AllocError> {
        let arena = self.arena;
        let change = |expr: &'a Expr<'a>| {
            walk::rewrite(expr, arena, |_, rebuilt| match rebuilt.kind {
                ExprKind::Column(column) if renamed(column) != column => {
                    Ok(&*arena.alloc(Expr { kind: ExprKind::Column(renamed(column)), ..*rebuilt })?)
                }
                _ => Ok::<_, AllocError>(rebuilt),
            })
        };
        for index in 0..self.block().pending.len() {
            let mut pending = self.block().pending[index];
            for id in self.nodes_of(pending.node, scratch)? {
                self.plan.nodes[id.index()] = self.plan.kind(id).map(arena, change, renamed)?;
            }
            let conjuncts = arena.alloc_slice_copy(pending.conjuncts)?;
            for conjunct in conjuncts.iter_mut() {
                *conjunct = change(conjunct)?;
            }
            pending.conjuncts = conjuncts;
            pending.guard = pending.guard.map(change).transpose()?;
            self.block_mut().pending[index] = pending;
        }
        change(condition)
    }

    /// The nodes of a query, with those of the queries of WITH that it reads.
    fn nodes_of<'t>(&self, node: LogicalId, scratch: &'t Arena) -> Result<Vec<'t, LogicalId>, AllocError> {
        let mut nodes = self.plan.post_order(node, scratch)?;
        let mut seen: Vec<'_, u32> = Vec::new_in(scratch);
        let mut index = 0;
        while index < nodes.len() {
            if let LogicalKind::CteScan { cte, .. } = self.plan.kind(nodes[index])
                && !seen.contains(&cte)
            {
                seen.push(cte)?;
                nodes
                    .extend_from_slice(&self.plan.post_order(self.plan.ctes[cte as usize].node, scratch)?)?;
            }
            index += 1;
        }
        Ok(nodes)
    }
}
