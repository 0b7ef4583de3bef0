//! Leaves rows out of a common table expression that is kept for several scans, where none of them wants these rows.
//!
//! ```text
//! WITH c AS (SELECT y, m, sum(v) AS s FROM t GROUP BY y, m)
//! SELECT … FROM c AS a, c AS b WHERE a.m = 1 AND a.y = 7 AND b.m = 2 AND b.s > 0          c keeps m IN (1, 2)
//! ```
//!
//! What each scan tests of one column alone, a disjunction tests for all, which then moves towards the leaves as any other condition.
//! Scans keep their own tests. Conditions that can fail stay where they are: rows that none would have seen may reach the disjunction.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};

use super::push_filters::{Filters, IMPLIED_PARTS_MAX, any_of, junction};
use crate::expr::fails::may_fail;
use crate::expr::same::same;
use crate::expr::{BinaryOp, Expr, ExprKind, walk};
use crate::logical::{ColumnId, LogicalKind, LogicalPlan, for_each_column};

/// Adds what all scans of an expression ask for to the conjuncts of its node. Those of the scans have arrived there.
pub(super) fn narrow<'a>(
    plan: &LogicalPlan<'a>,
    cte: usize,
    filters: &mut Filters<'_, 'a>,
    arena: &'a Arena,
) -> Result<(), AllocError> {
    let wanted = plan.ctes[cte];
    if wanted.is_fenced {
        return Ok(());
    }
    let scratch = Arena::new(arena.budget());
    // By scan: what it asks for of single columns, by their positions.
    let mut scans: Vec<'_, Vec<'_, (usize, &'a Expr<'a>)>> = Vec::new_in(&scratch);
    for (index, kind) in plan.nodes.iter().enumerate() {
        let LogicalKind::CteScan { cte: of, columns } = *kind else { continue };
        if of as usize != cte {
            continue;
        }
        if filters[index].is_empty() || scans.len() == IMPLIED_PARTS_MAX {
            return Ok(());
        }
        let mut asked: Vec<'_, (usize, &'a Expr<'a>)> = Vec::new_in(&scratch);
        for conjunct in &filters[index] {
            let Some(column) = only_column(conjunct, &scratch)? else { continue };
            let Some(at) = columns.iter().position(|known| *known == column) else { continue };
            let renamed = renamed(conjunct, wanted.columns[at], arena)?;
            match asked.iter_mut().find(|(known, _)| *known == at) {
                Some((_, all)) => *all = junction(BinaryOp::And, Some(*all), renamed, arena)?,
                None => asked.push((at, renamed))?,
            }
        }
        scans.push(asked)?;
    }
    let Some(first) = scans.first() else { return Ok(()) };
    for &(at, conjunct) in first {
        let mut parts = Vec::with_capacity_in(scans.len(), &scratch)?;
        let mut is_asked_by_all = true;
        for scan in &scans {
            match scan.iter().find(|(known, _)| *known == at) {
                Some((_, part)) if !has_same(&parts, part, &scratch)? => parts.push(*part)?,
                Some(_) => {}
                None => is_asked_by_all = false,
            }
        }
        if is_asked_by_all && let Some(any) = any_of(&parts, conjunct, arena)? {
            filters[wanted.node.index()].push(any)?;
        }
    }
    Ok(())
}

fn has_same<'a>(parts: &[&'a Expr<'a>], wanted: &'a Expr<'a>, scratch: &Arena) -> Result<bool, AllocError> {
    for part in parts {
        if same(part, wanted, scratch)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The column that a condition reads, if it is one alone and the condition cannot fail.
fn only_column(conjunct: &Expr<'_>, scratch: &Arena) -> Result<Option<ColumnId>, AllocError> {
    let (mut found, mut is_only) = (None, true);
    for_each_column(conjunct, scratch, |column| {
        is_only &= *found.get_or_insert(column) == column;
        Ok(())
    })?;
    Ok(if is_only && !may_fail(conjunct, scratch)? { found } else { None })
}

/// The condition over another column.
fn renamed<'a>(
    conjunct: &'a Expr<'a>,
    column: ColumnId,
    arena: &'a Arena,
) -> Result<&'a Expr<'a>, AllocError> {
    walk::rewrite(conjunct, arena, |_, rebuilt| match rebuilt.kind {
        ExprKind::Column(_) => Ok(&*arena.alloc(Expr { kind: ExprKind::Column(column), ..*rebuilt })?),
        _ => Ok(rebuilt),
    })
}
