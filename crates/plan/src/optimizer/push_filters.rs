//! Moves conjuncts towards the leaves.
//!
//! Going from the root down, every node receives the conjuncts that the nodes above it have let through, and either hands
//! them on or keeps them:
//!
//! | node | hands on |
//! |---|---|
//! | filter, distinct, sort without limit | everything |
//! | projection | what it reads of plain columns and constants only |
//! | grouping | what it reads of groups that are plain columns |
//! | join | what reads one relation, to that relation; what reads more becomes a condition of the join |
//! | scan | nothing: it tests while it reads |
//! | values, limit | nothing |

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};

use super::replace_columns;
use crate::expr::{Expr, ExprKind, walk};
use crate::logical::{LogicalKind, LogicalPlan};

/// For every node the conjuncts over its output that are tested behind it. A filter keeps none: all have moved.
pub(super) type Filters<'s, 'a> = Vec<'s, Vec<'s, &'a Expr<'a>>>;

/// Moves the conjuncts of filters and joins down; those of scans and joins are left in their nodes, the rest is returned.
pub(super) fn push_filters<'s, 'a>(
    plan: &mut LogicalPlan<'a>,
    arena: &'a Arena,
    scratch: &'s Arena,
) -> Result<Filters<'s, 'a>, AllocError> {
    let mut filters: Filters<'s, 'a> = Vec::with_capacity_in(plan.nodes.len(), scratch)?;
    for _ in 0..plan.nodes.len() {
        filters.push(Vec::new_in(scratch))?;
    }
    let mut pass = Pass { arena, scratch, filters };
    for index in (0..plan.nodes.len()).rev() {
        pass.visit(plan, index)?;
    }
    Ok(pass.filters)
}

struct Pass<'s, 'a> {
    arena: &'a Arena,
    scratch: &'s Arena,
    filters: Filters<'s, 'a>,
}

impl<'s, 'a> Pass<'s, 'a> {
    fn visit(&mut self, plan: &mut LogicalPlan<'a>, index: usize) -> Result<(), AllocError> {
        let mut arrived = std::mem::replace(&mut self.filters[index], Vec::new_in(self.scratch));
        match plan.nodes[index].kind {
            LogicalKind::Scan { source, alias, .. } => {
                let conjuncts = self.arena.alloc_slice_copy(&arrived)?;
                plan.nodes[index].kind = LogicalKind::Scan { source, alias, conjuncts };
            }
            LogicalKind::Values { .. }
            | LogicalKind::Limit { .. }
            | LogicalKind::Sort { limit: Some(_), .. } => {
                self.filters[index] = arrived;
            }
            LogicalKind::Filter { input, conjuncts } => {
                arrived.extend_from_slice(conjuncts)?;
                self.filters[input.index()] = arrived;
            }
            LogicalKind::Sort { input, .. } | LogicalKind::Distinct { input } => {
                self.filters[input.index()] = arrived;
            }
            LogicalKind::Project { input, exprs } => {
                self.push_through(arrived, exprs, index, input.index())?
            }
            LogicalKind::Aggregate { input, groups, .. } => {
                self.push_through(arrived, groups, index, input.index())?;
            }
            LogicalKind::Join { relations, conjuncts } => {
                arrived.extend_from_slice(conjuncts)?;
                let kept = self.push_into_relations(plan, relations, &arrived)?;
                plan.nodes[index].kind = LogicalKind::Join { relations, conjuncts: kept };
            }
        }
        Ok(())
    }

    /// Hands on the conjuncts that read only plain ones of `exprs`, rewritten; at least one of them, so that a grouping
    /// without groups keeps its one row.
    fn push_through(
        &mut self,
        arrived: Vec<'s, &'a Expr<'a>>,
        exprs: &'a [&'a Expr<'a>],
        index: usize,
        input: usize,
    ) -> Result<(), AllocError> {
        for conjunct in arrived {
            let (mut reads_any, mut reads_plain) = (false, true);
            walk::for_each(conjunct, self.scratch, |node| {
                if let ExprKind::Column(position) = node.kind {
                    reads_any = true;
                    reads_plain &= exprs.get(position as usize).is_some_and(|expr| is_plain(expr));
                }
            })?;
            if !reads_any || !reads_plain {
                self.filters[index].push(conjunct)?;
                continue;
            }
            let moved: Result<_, AllocError> =
                walk::rewrite(conjunct, self.arena, |_, rebuilt| match rebuilt.kind {
                    ExprKind::Column(position) => Ok(exprs[position as usize]),
                    _ => Ok(rebuilt),
                });
            self.filters[input].push(moved?)?;
        }
        Ok(())
    }

    /// Hands conjuncts that read one relation, or none, to a relation; returns the others.
    fn push_into_relations(
        &mut self,
        plan: &LogicalPlan<'a>,
        relations: &'a [crate::logical::LogicalId],
        conjuncts: &[&'a Expr<'a>],
    ) -> Result<&'a [&'a Expr<'a>], AllocError> {
        let owners = Owners::new(plan, relations, self.scratch)?;
        let mut kept: Vec<'a, &'a Expr<'a>> = Vec::new_in(self.arena);
        for conjunct in conjuncts {
            let (mut first, mut reads_more) = (None, false);
            walk::for_each(conjunct, self.scratch, |node| {
                if let ExprKind::Column(position) = node.kind {
                    let owner = owners.owner(position);
                    reads_more |= *first.get_or_insert(owner) != owner;
                }
            })?;
            if reads_more {
                kept.push(*conjunct)?;
                continue;
            }
            let owner = first.unwrap_or(0);
            let start = owners.first_column(owner);
            let moved = replace_columns(conjunct, self.arena, |position| position - start)?;
            self.filters[relations[owner].index()].push(moved)?;
        }
        Ok(kept.into_slice())
    }
}

/// Whether an expression costs nothing to compute twice.
fn is_plain(expr: &Expr<'_>) -> bool {
    matches!(expr.kind, ExprKind::Column(_) | ExprKind::Literal(_))
}

/// Which relation of a join a column belongs to.
#[derive(Debug)]
pub(super) struct Owners<'s> {
    /// The first column of every relation, and the number of all columns.
    starts: Vec<'s, u32>,
}

impl<'s> Owners<'s> {
    pub(super) fn new(
        plan: &LogicalPlan<'_>,
        relations: &[crate::logical::LogicalId],
        scratch: &'s Arena,
    ) -> Result<Owners<'s>, AllocError> {
        let mut starts = Vec::with_capacity_in(relations.len() + 1, scratch)?;
        let mut next = 0;
        starts.push(0)?;
        for relation in relations {
            next += plan.columns(*relation).len() as u32;
            starts.push(next)?;
        }
        Ok(Owners { starts })
    }

    /// The position of the relation among the join's relations.
    pub(super) fn owner(&self, column: u32) -> usize {
        self.starts.partition_point(|start| *start <= column) - 1
    }

    /// The position of a relation's first column among the join's columns.
    pub(super) fn first_column(&self, owner: usize) -> u32 {
        self.starts[owner]
    }

    /// The number of columns of all relations.
    pub(super) fn columns_count(&self) -> usize {
        self.starts.last().map_or(0, |count| *count as usize)
    }
}
