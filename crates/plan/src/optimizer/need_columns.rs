//! Finds out which output columns of each node are read by anyone, so that scans read and joins keep only those.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};

use super::push_filters::{Filters, Owners};
use crate::expr::{Expr, ExprKind, walk};
use crate::logical::{LogicalId, LogicalKind, LogicalPlan};

/// For every node, for every output column, whether it is read.
pub(super) type Needs<'s> = Vec<'s, &'s mut [bool]>;

/// What every node's readers need of it. The root's columns are all read.
pub(super) fn need_columns<'s, 'a>(
    plan: &LogicalPlan<'a>,
    filters: &Filters<'_, 'a>,
    scratch: &'s Arena,
) -> Result<Needs<'s>, AllocError> {
    let mut needs: Needs<'s> = Vec::with_capacity_in(plan.nodes.len(), scratch)?;
    for node in &plan.nodes {
        needs.push(scratch.alloc_slice_fill(node.columns.len(), false)?)?;
    }
    if let Some(root) = needs.last_mut() {
        root.fill(true);
    }
    for index in (0..plan.nodes.len()).rev() {
        // What is tested behind a node is read from it, too.
        for conjunct in &filters[index] {
            mark(conjunct, needs[index], scratch)?;
        }
        let (below, this) = needs.split_at_mut(index);
        visit(plan, &plan.nodes[index].kind, this[0], below, scratch)?;
    }
    Ok(needs)
}

fn visit<'a>(
    plan: &LogicalPlan<'a>,
    kind: &LogicalKind<'a>,
    own: &[bool],
    below: &mut [&mut [bool]],
    scratch: &Arena,
) -> Result<(), AllocError> {
    match *kind {
        LogicalKind::Scan { .. } | LogicalKind::Values { .. } => {}
        LogicalKind::Filter { input, .. } | LogicalKind::Limit { input, .. } => {
            or_into(below[input.index()], own);
        }
        LogicalKind::Sort { input, keys, .. } => {
            or_into(below[input.index()], own);
            for key in keys {
                below[input.index()][key.column as usize] = true;
            }
        }
        LogicalKind::Distinct { input } => below[input.index()].fill(true),
        LogicalKind::Project { input, exprs } => {
            for (expr, _) in exprs.iter().zip(own).filter(|(_, needed)| **needed) {
                mark(expr, below[input.index()], scratch)?;
            }
        }
        LogicalKind::Aggregate { input, groups, aggregates } => {
            for group in groups {
                mark(group, below[input.index()], scratch)?;
            }
            let needed = own.get(groups.len()..).unwrap_or(&[]);
            for (aggregate, _) in aggregates.iter().zip(needed).filter(|(_, needed)| **needed) {
                for argument in aggregate.args {
                    mark(argument, below[input.index()], scratch)?;
                }
            }
        }
        LogicalKind::Join { relations, conjuncts } => {
            visit_join(plan, relations, conjuncts, own, below, scratch)?;
        }
    }
    Ok(())
}

fn visit_join<'a>(
    plan: &LogicalPlan<'a>,
    relations: &[LogicalId],
    conjuncts: &[&'a Expr<'a>],
    own: &[bool],
    below: &mut [&mut [bool]],
    scratch: &Arena,
) -> Result<(), AllocError> {
    let owners = Owners::new(plan, relations, scratch)?;
    for (owner, relation) in relations.iter().enumerate() {
        let start = owners.first_column(owner) as usize;
        or_into(below[relation.index()], &own[start..]);
    }
    for conjunct in conjuncts {
        walk::for_each(conjunct, scratch, |node| {
            if let ExprKind::Column(position) = node.kind {
                let owner = owners.owner(position);
                let column = position - owners.first_column(owner);
                below[relations[owner].index()][column as usize] = true;
            }
        })?;
    }
    Ok(())
}

/// Marks the columns that an expression reads.
fn mark<'a>(expr: &'a Expr<'a>, needed: &mut [bool], scratch: &Arena) -> Result<(), AllocError> {
    walk::for_each(expr, scratch, |node| {
        if let ExprKind::Column(position) = node.kind {
            needed[position as usize] = true;
        }
    })
}

fn or_into(target: &mut [bool], source: &[bool]) {
    for (target, source) in target.iter_mut().zip(source) {
        *target |= source;
    }
}
