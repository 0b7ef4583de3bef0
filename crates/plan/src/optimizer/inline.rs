//! Puts common table expressions that are read once in the place where they are read.
//!
//! A recursion too: then whoever reads it decides how many rounds there are, and one without an end may stand below a LIMIT. One that is
//! read in the rounds of another is computed once: each round would begin it again.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};

use crate::Span;
use crate::logical::{LogicalKind, LogicalPlan, Named};

/// The pass: scans of such an expression become new names for its columns.
pub(super) fn inline<'a>(plan: &mut LogicalPlan<'a>, arena: &'a Arena) -> Result<(), AllocError> {
    let scratch = Arena::new(arena.budget());
    let begun_again = read_in_rounds(plan, &scratch)?;
    for index in 0..plan.nodes.len() {
        let LogicalKind::CteScan { cte, columns } = plan.nodes[index] else { continue };
        let found = plan.ctes[cte as usize];
        let is_fenced = found.is_fenced || begun_again.get(cte as usize).is_some_and(|is_so| *is_so);
        if found.scans != 1 || is_fenced {
            continue;
        }
        let mut exprs: Vec<'a, Named<'a>> = Vec::with_capacity_in(columns.len(), arena)?;
        for (id, column) in columns.iter().zip(found.columns) {
            exprs.push(Named { id: *id, expr: plan.read(*column, Span::default(), arena)? })?;
        }
        plan.nodes[index] = LogicalKind::Extend { input: found.node, exprs: exprs.into_slice() };
        // Its nodes belong to the reader now: passes over each expression must not go over them twice.
        plan.ctes[cte as usize].scans = 0;
    }
    Ok(())
}

/// By common table expression: whether it is or has a recursion, and a round of another one reads it. Nothing where there is one recursion
/// at most: it does not read itself so.
fn read_in_rounds<'s>(plan: &LogicalPlan<'_>, scratch: &'s Arena) -> Result<&'s [bool], AllocError> {
    if plan.workings < 2 {
        return Ok(&[]);
    }
    // Each reads only those before it.
    let recursive = scratch.alloc_slice_fill(plan.ctes.len(), false)?;
    for (index, cte) in plan.ctes.iter().enumerate() {
        for id in plan.post_order(cte.node, scratch)? {
            recursive[index] |= match plan.kind(id) {
                LogicalKind::Recursive { .. } => true,
                LogicalKind::CteScan { cte, .. } => recursive[cte as usize],
                _ => false,
            };
        }
    }
    let found = scratch.alloc_slice_fill(plan.ctes.len(), false)?;
    for kind in plan.nodes.iter() {
        let LogicalKind::Recursive { inputs: [_, round], .. } = kind else { continue };
        for id in plan.post_order(*round, scratch)? {
            if let LogicalKind::CteScan { cte, .. } = plan.kind(id) {
                found[cte as usize] |= recursive[cte as usize];
            }
        }
    }
    Ok(found)
}
