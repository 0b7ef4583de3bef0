//! Moves queries that give one value for all rows to the one table that the value is compared with.
//!
//! ```text
//! WHERE d.m = (SELECT …) AND f.k = d.k          Filter d.m = #9              Join f.k = d.k
//!                                                 Single                       f
//!                                                   Join f.k = d.k     ->      Filter d.m = #9
//!                                                   (SELECT …)                   Single
//!                                                                                  d
//!                                                                                  (SELECT …)
//! ```
//!
//! So joins are ordered by how many rows of that table are left, and are told its keys. The value costs the same wherever it is added:
//! it is one for all rows. What is compared with columns of several tables stays where it is.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};

use super::tree::Tree;
use crate::logical::{ColumnId, Join, LogicalId, LogicalKind, LogicalPlan, for_each_column};
use crate::physical::JoinKind;

/// The pass over the nodes below a root; no side of a join reads columns of the other. Nodes that have been replaced are not looked at:
/// they share nodes with those that came for them.
pub(super) fn sink_scalars(
    plan: &mut LogicalPlan<'_>,
    root: LogicalId,
    arena: &Arena,
) -> Result<(), AllocError> {
    if !plan.nodes.iter().any(|kind| matches!(kind, LogicalKind::Join(join) if is_scalar(join))) {
        return Ok(());
    }
    let scratch = Arena::new(arena.budget());
    for filter in plan.post_order(root, &scratch)? {
        let LogicalKind::Filter { input, conjuncts } = plan.kind(filter) else { continue };
        let mut next = Some(input);
        while let Some(id) = next {
            next = match plan.kind(id) {
                LogicalKind::Join(join) if is_scalar(&join) => {
                    let scratch = Arena::new(arena.budget());
                    let tree = Tree::new(plan, id, &scratch)?;
                    let mut compared = Vec::new_in(&scratch);
                    for conjunct in conjuncts {
                        add_compared(conjunct, &tree, &join, &mut compared)?;
                    }
                    if let Some(target) = only_table(plan, &tree, join.left, &compared) {
                        let below = plan.push(plan.kind(target))?;
                        plan.nodes[target.index()] = LogicalKind::Join(Join { left: below, ..join });
                        plan.nodes[id.index()] = LogicalKind::Filter { input: join.left, conjuncts: &[] };
                    }
                    Some(join.left)
                }
                // Other queries of the condition.
                LogicalKind::Join(Join { kind, left, .. })
                    if kind != JoinKind::Inner && kind != JoinKind::Right && kind != JoinKind::Full =>
                {
                    Some(left)
                }
                LogicalKind::Filter { input, .. } => Some(input),
                _ => None,
            };
        }
    }
    Ok(())
}

/// Whether a join adds one value to all rows.
fn is_scalar(join: &Join<'_>) -> bool {
    join.kind == JoinKind::Single && join.conjuncts.is_empty()
}

/// Adds the columns of the left side that a condition reads, if it reads the right one.
fn add_compared(
    conjunct: &crate::expr::Expr<'_>,
    tree: &Tree<'_>,
    join: &Join<'_>,
    compared: &mut Vec<'_, ColumnId>,
) -> Result<(), AllocError> {
    let mut reads_value = false;
    let known = compared.len();
    let scratch = Arena::new(compared.arena().budget());
    for_each_column(conjunct, &scratch, |column| {
        reads_value |= tree.is_made_below(column, join.right);
        if tree.is_made_below(column, join.right) { Ok(()) } else { compared.push(column) }
    })?;
    if !reads_value {
        compared.truncate(known);
    }
    Ok(())
}

/// The table below inner joins that makes all columns; none where several do, or there is but one.
fn only_table(
    plan: &LogicalPlan<'_>,
    tree: &Tree<'_>,
    from: LogicalId,
    columns: &[ColumnId],
) -> Option<LogicalId> {
    let makes_all = |id: LogicalId| columns.iter().all(|column| tree.is_made_below(*column, id));
    if columns.is_empty() || !makes_all(from) {
        return None;
    }
    let mut id = from;
    let mut is_below_join = false;
    loop {
        id = match plan.kind(id) {
            LogicalKind::Filter { input, .. } => input,
            LogicalKind::Join(join) => {
                is_below_join = true;
                match join.kind {
                    JoinKind::Right | JoinKind::Full => return None,
                    _ if makes_all(join.left) => join.left,
                    JoinKind::Inner if makes_all(join.right) => join.right,
                    _ => return None,
                }
            }
            _ => return is_below_join.then_some(id),
        };
    }
}
