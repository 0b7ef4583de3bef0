//! Moves what may fail for some values above the joins that leave rows out, so that it is computed for the rows that are left.
//!
//! ```text
//! SELECT a.id, q FROM a JOIN (SELECT id, 1 / n AS q FROM b) AS b ON a.id = b.id
//!
//! Join a, b.id = a.id                  Extend q = 1 / n
//!   Scan a                       →       Join a, b.id = a.id
//!   Extend q = 1 / n                       Scan a
//!     Scan b                               Scan b
//! ```
//!
//! So a row of `b` whose `n` is 0 and that nobody looks for is no error, as in PostgreSQL, which puts sub-queries into the query around
//! them. Above an outer join on the side that may be missing only what is NULL where all of its columns are.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_functions::Volatility;

use crate::expr::fails::fails_by_value;
use crate::expr::{BinaryOp, Expr, ExprKind, Function, UnaryOp, walk};
use crate::logical::{ColumnId, Join, LogicalId, LogicalKind, LogicalPlan, Named, for_each_column};
use crate::physical::JoinKind;

/// The pass over the nodes below a root, from the leaves up. Needs: no side of a join reads the other (`logical` L3).
pub(super) fn compute_late<'a>(
    plan: &mut LogicalPlan<'a>,
    root: LogicalId,
    arena: &'a Arena,
) -> Result<(), AllocError> {
    let is_extend = |kind: &LogicalKind<'_>| matches!(kind, LogicalKind::Extend { .. });
    if !plan.nodes.iter().any(is_extend) || !plan.has_joins() {
        return Ok(());
    }
    let scratch = Arena::new(arena.budget());
    for id in plan.post_order(root, &scratch)? {
        let LogicalKind::Join(mut join) = plan.kind(id) else { continue };
        let mut layers: Vec<'_, &'a [Named<'a>]> = Vec::new_in(&scratch);
        if matches!(join.kind, JoinKind::Inner | JoinKind::Right) {
            let may_be_missing = join.kind == JoinKind::Right;
            join.left = lifted(plan, join.left, join, may_be_missing, &mut layers, arena, &scratch)?;
        }
        if matches!(join.kind, JoinKind::Inner | JoinKind::Left | JoinKind::Single) {
            let may_be_missing = join.kind != JoinKind::Inner;
            join.right = lifted(plan, join.right, join, may_be_missing, &mut layers, arena, &scratch)?;
        }
        let Some((last, below)) = layers.split_last() else { continue };
        let mut node = plan.push(LogicalKind::Join(join))?;
        for exprs in below {
            node = plan.push(LogicalKind::Extend { input: node, exprs })?;
        }
        plan.nodes[id.index()] = LogicalKind::Extend { input: node, exprs: last };
    }
    Ok(())
}

/// A side of a join without what is computed above it instead; that is added to `layers`, each reading those before it.
fn lifted<'s, 'a>(
    plan: &mut LogicalPlan<'a>,
    side: LogicalId,
    join: Join<'a>,
    may_be_missing: bool,
    layers: &mut Vec<'s, &'a [Named<'a>]>,
    arena: &'a Arena,
    scratch: &'s Arena,
) -> Result<LogicalId, AllocError> {
    let mut chain: Vec<'s, &'a [Named<'a>]> = Vec::new_in(scratch);
    let mut node = side;
    while let LogicalKind::Extend { input, exprs } = plan.kind(node) {
        chain.push(exprs)?;
        node = input;
    }
    let mut columns: Vec<'s, ColumnId> = Vec::new_in(scratch);
    for named in chain.iter().rev().flat_map(|exprs| exprs.iter()) {
        if is_late(named.expr, &columns, scratch)? {
            if is_volatile(named.expr, scratch)? || may_be_missing && !is_strict(named.expr, scratch)? {
                return Ok(side);
            }
            columns.push(named.id)?;
        }
    }
    let mut is_read = columns.is_empty();
    for conjunct in join.conjuncts {
        is_read = is_read || reads(conjunct, &columns, scratch)?;
    }
    if is_read {
        return Ok(side);
    }
    for exprs in chain.iter().rev() {
        let (mut kept, mut late) = (Vec::new_in(arena), Vec::new_in(arena));
        for named in *exprs {
            let list = if columns.contains(&named.id) { &mut late } else { &mut kept };
            list.push(*named)?;
        }
        if !kept.is_empty() {
            node = plan.push(LogicalKind::Extend { input: node, exprs: kept.into_slice() })?;
        }
        if !late.is_empty() {
            layers.push(late.into_slice())?;
        }
    }
    Ok(node)
}

/// Whether an expression may fail for some values, or reads what does.
fn is_late(expr: &Expr<'_>, late: &[ColumnId], scratch: &Arena) -> Result<bool, AllocError> {
    Ok(fails_by_value(expr, scratch)? || reads(expr, late, scratch)?)
}

fn reads(expr: &Expr<'_>, columns: &[ColumnId], scratch: &Arena) -> Result<bool, AllocError> {
    let mut found = false;
    for_each_column(expr, scratch, |column| {
        found |= columns.contains(&column);
        Ok(())
    })?;
    Ok(found)
}

/// Whether an expression gives something else each time, so that it matters for how many rows it is computed.
pub(super) fn is_volatile(expr: &Expr<'_>, scratch: &Arena) -> Result<bool, AllocError> {
    let local = Arena::new(scratch.budget());
    let mut walk = walk::PostOrder::new_in(expr, &local)?;
    while let Some(expr) = walk.next()? {
        if let ExprKind::Call { function: Function::Scalar(id), .. } = expr.kind
            && id.function().volatility() == Volatility::Volatile
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether an expression reads a column, and is NULL where all that it reads are.
fn is_strict(expr: &Expr<'_>, scratch: &Arena) -> Result<bool, AllocError> {
    let local = Arena::new(scratch.budget());
    let mut walk = walk::PostOrder::new_in(expr, &local)?;
    let mut has_column = false;
    while let Some(expr) = walk.next()? {
        match expr.kind {
            ExprKind::Column(_) => has_column = true,
            ExprKind::Literal(_) | ExprKind::Parameter(_) | ExprKind::Cast(_) => {}
            ExprKind::Unary { op: UnaryOp::Not | UnaryOp::Negate, .. } => {}
            ExprKind::Binary { op, .. }
                if !matches!(
                    op,
                    BinaryOp::And | BinaryOp::Or | BinaryOp::IsDistinctFrom | BinaryOp::IsNotDistinctFrom
                ) => {}
            _ => return Ok(false),
        }
    }
    Ok(has_column)
}
