//! Puts common table expressions that are read once in the place where they are read.
//!
//! A recursion too: then whoever reads it decides how many rounds there are, and one without an end may stand below a LIMIT. Of several
//! recursions each is computed once: one may stand in a round of another, which would begin it again each time.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};

use crate::Span;
use crate::logical::{LogicalKind, LogicalPlan, Named};

/// The pass: scans of such an expression become new names for its columns.
pub(super) fn inline<'a>(plan: &mut LogicalPlan<'a>, arena: &'a Arena) -> Result<(), AllocError> {
    for index in 0..plan.nodes.len() {
        let LogicalKind::CteScan { cte, columns } = plan.nodes[index] else { continue };
        let found = plan.ctes[cte as usize];
        let is_fenced = found.is_fenced || found.is_recursive && plan.workings > 1;
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
