//! Makes windows of all rows aggregates of a second reading.
//!
//! ```text
//! SELECT a, sum(a) OVER () FROM t          Window sum(#0) = #1             Join
//!                                            Scan t  #0           ->         Scan t  #0
//!                                                                            Aggregate sum(#2) = #1
//!                                                                              Scan t  #2
//! ```
//!
//! A window has to keep all rows until the last one has come, in a file where memory does not suffice. A table that is read twice, with
//! filters and what is computed of a row alone, gives the same rows twice, and nothing has to be kept. So conditions on columns of the table move below,
//! too. Not where rows are few, for then they are kept at less cost; nor for what collects values in the order of rows.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};

use super::late::is_volatile;
use crate::expr::walk::rewrite;
use crate::expr::{Expr, ExprKind};
use crate::logical::{
    ColumnId, Join, LogicalId, LogicalKind, LogicalPlan, Named, NamedAggregate, NamedWindow,
};
use crate::physical::{Frame, FrameBound, FrameExclusion, FrameMode, JoinKind, WindowKind};
use crate::table::TableSource;

/// With fewer rows nothing is gained.
const ROWS_MIN: u64 = 8_192;

/// The pass over all nodes; no side of a join reads columns of the other.
pub(super) fn read_twice<'a>(plan: &mut LogicalPlan<'a>, arena: &'a Arena) -> Result<(), AllocError> {
    for index in 0..plan.nodes.len() {
        let LogicalKind::Window { input, partition: [], order: [], functions } = plan.nodes[index] else {
            continue;
        };
        if !functions.iter().all(is_of_all_rows) || !may_be_read_twice(plan, input, arena)? {
            continue;
        }
        let scratch = Arena::new(arena.budget());
        let mut renamed = Vec::new_in(&scratch);
        let again = copied(plan, input, &mut renamed, arena)?;
        let mut aggregates: Vec<'a, NamedAggregate<'a>> = Vec::with_capacity_in(functions.len(), arena)?;
        for named in functions {
            let WindowKind::Aggregate(aggregate) = named.function.kind else { continue };
            let aggregate = aggregate.map(arena, |expr| replaced(expr, &renamed, arena))?;
            aggregates.push(NamedAggregate { id: named.id, aggregate })?;
        }
        let aggregates = aggregates.into_slice();
        let right =
            plan.push(LogicalKind::Aggregate { input: again, groups: &[], sets: &[&[]], aggregates })?;
        let join = Join { kind: JoinKind::Inner, left: input, right, conjuncts: &[], mark: 0 };
        plan.nodes[index] = LogicalKind::Join(join);
    }
    Ok(())
}

/// Whether a function is the same for all rows of a window that has neither partitions nor an order.
fn is_of_all_rows(named: &NamedWindow<'_>) -> bool {
    let Frame { mode, start, end, exclusion } = named.function.frame;
    let is_to_end = match end {
        FrameBound::Unbounded => true,
        // All rows are peers.
        FrameBound::CurrentRow => mode != FrameMode::Rows,
        FrameBound::Preceding(_) | FrameBound::Following(_) => false,
    };
    let takes_any_order = match named.function.kind {
        WindowKind::Aggregate(aggregate) => {
            !aggregate.function.collects() && aggregate.order_by.is_empty() && !aggregate.distinct
        }
        _ => false,
    };
    takes_any_order && start == FrameBound::Unbounded && is_to_end && exclusion == FrameExclusion::NoOthers
}

/// Whether a node gives the same rows when it is read twice, and that costs less than to keep them.
fn may_be_read_twice(plan: &LogicalPlan<'_>, node: LogicalId, arena: &Arena) -> Result<bool, AllocError> {
    let mut next = node;
    loop {
        let kind = plan.kind(next);
        let mut is_same = true;
        kind.for_each_expr(|expr| is_volatile(expr, arena).map(|is_so| is_same &= !is_so))?;
        match kind {
            _ if !is_same => return Ok(false),
            LogicalKind::Filter { input, .. } | LogicalKind::Extend { input, .. } => next = input,
            LogicalKind::Scan { source: TableSource::Stored(table), .. } => {
                return Ok(table.rows_estimate >= ROWS_MIN);
            }
            _ => return Ok(false),
        }
    }
}

/// The same nodes with columns of their own; adds by which column each is replaced.
fn copied<'a>(
    plan: &mut LogicalPlan<'a>,
    node: LogicalId,
    renamed: &mut Vec<'_, (ColumnId, ColumnId)>,
    arena: &'a Arena,
) -> Result<LogicalId, AllocError> {
    let scratch = Arena::new(arena.budget());
    let mut last = node;
    for id in plan.post_order(node, &scratch)? {
        let kind = plan.kind(id);
        if let LogicalKind::Scan { source, first, .. } = kind {
            let width = source.columns().len() as u32;
            let columns =
                scratch.alloc_slice_copy(&plan.columns[first as usize..(first + width) as usize])?;
            let copy_first = plan.columns_like(columns)?;
            renamed.extend((0..width).map(|at| (first + at, copy_first + at)))?;
        }
        let kind = kind.map(arena, |expr| replaced(expr, renamed, arena), |column| column)?;
        let copy = match kind {
            LogicalKind::Scan { source, alias, first, conjuncts } => {
                LogicalKind::Scan { source, alias, first: renamed_to(first, renamed), conjuncts }
            }
            LogicalKind::Extend { exprs, .. } => {
                let copies = arena.alloc_slice_copy(exprs)?;
                for named in copies.iter_mut() {
                    let Named { id, .. } = *named;
                    let column = plan.columns[id as usize];
                    named.id = plan.column(column.name, column.ty)?;
                    renamed.push((id, named.id))?;
                }
                LogicalKind::Extend { input: last, exprs: copies }
            }
            LogicalKind::Filter { conjuncts, .. } => LogicalKind::Filter { input: last, conjuncts },
            other => other,
        };
        last = plan.push(copy)?;
    }
    Ok(last)
}

/// An expression over the copies.
fn replaced<'a>(
    expr: &'a Expr<'a>,
    renamed: &[(ColumnId, ColumnId)],
    arena: &'a Arena,
) -> Result<&'a Expr<'a>, AllocError> {
    rewrite(expr, arena, |_, expr| match expr.kind {
        ExprKind::Column(column) => {
            let kind = ExprKind::Column(renamed_to(column, renamed));
            Ok(&*arena.alloc(Expr { kind, ..*expr })?)
        }
        _ => Ok(expr),
    })
}

fn renamed_to(column: ColumnId, renamed: &[(ColumnId, ColumnId)]) -> ColumnId {
    renamed.iter().find(|(from, _)| *from == column).map_or(column, |(_, to)| *to)
}
