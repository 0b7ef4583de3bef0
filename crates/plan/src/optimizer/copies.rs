//! Gives each scan of a common table expression that reads columns around it a copy of its own.
//!
//! ```text
//! SELECT (WITH c AS (SELECT t.a + 1 AS n) SELECT max(x.n + y.n) FROM c x, c y) FROM t
//! ```
//!
//! What is kept for several scans is computed once, but `c` has other rows for each row of `t`. A copy is an ordinary part of the
//! query around it, which `unnest` knows how to join.

use cofferdam_arena::{AllocError, Arena};

use crate::expr::{Expr, ExprKind, walk};
use crate::logical::{ColumnId, Join, LogicalId, LogicalKind, LogicalPlan, Named};

/// A plan of more nodes is not made larger by copies; each may hold scans that are copied again.
const NODES_MAX: usize = 1 << 14;

/// The pass. Needs: the bound plan. Gives: no common table expression that is read twice reads columns around it, unless the plan
/// would be too large.
pub(super) fn copy_correlated<'a>(plan: &mut LogicalPlan<'a>, arena: &'a Arena) -> Result<(), AllocError> {
    // Each reads only those before it: what is copied into one makes it read columns around it too.
    for cte in 0..plan.ctes.len() {
        let found = plan.ctes[cte];
        if found.scans == 0
            || (found.scans == 1 && !found.is_fenced)
            || !reads_around(plan, found.node, arena)?
        {
            continue;
        }
        for index in 0..plan.nodes.len() {
            let LogicalKind::CteScan { cte: scanned, columns } = plan.nodes[index] else { continue };
            if scanned as usize != cte {
                continue;
            }
            if plan.nodes.len() > NODES_MAX {
                return Ok(());
            }
            let scratch = Arena::new(arena.budget());
            let (input, renamed) = copy(plan, found.node, arena, &scratch)?;
            let mut exprs = cofferdam_arena::collections::Vec::with_capacity_in(columns.len(), arena)?;
            for (id, column) in columns.iter().zip(found.columns) {
                let expr = plan.read(renamed[*column as usize], crate::Span::default(), arena)?;
                exprs.push(Named { id: *id, expr })?;
            }
            plan.nodes[index] = LogicalKind::Extend { input, exprs: exprs.into_slice() };
            plan.ctes[cte].scans -= 1;
        }
    }
    Ok(())
}

/// Whether a node or one below it reads a column that none of them makes.
fn reads_around(plan: &LogicalPlan<'_>, root: LogicalId, arena: &Arena) -> Result<bool, AllocError> {
    let scratch = Arena::new(arena.budget());
    let nodes = plan.post_order(root, &scratch)?;
    let made = scratch.alloc_slice_fill(plan.columns.len(), false)?;
    for id in &nodes {
        plan.kind(*id).for_each_made(|column| {
            made[column as usize] = true;
            Ok::<_, AllocError>(())
        })?;
    }
    let mut found = false;
    for id in &nodes {
        plan.kind(*id).for_each_read(&scratch, |column| {
            found |= !made[column as usize];
            Ok(())
        })?;
    }
    Ok(found)
}

/// The same nodes with columns of other numbers; by column what it is called in them.
fn copy<'a, 's>(
    plan: &mut LogicalPlan<'a>,
    root: LogicalId,
    arena: &'a Arena,
    scratch: &'s Arena,
) -> Result<(LogicalId, &'s [ColumnId]), AllocError> {
    let nodes = plan.post_order(root, scratch)?;
    let renamed = scratch.alloc_slice_from_iter(0..plan.columns.len() as ColumnId)?;
    for id in &nodes {
        plan.kind(*id).for_each_made(|column| {
            let slot = &mut renamed[column as usize];
            // What is handed on has its number from below.
            if *slot == column {
                let like = plan.columns[column as usize];
                *slot = plan.column(like.name, like.ty)?;
            }
            Ok::<_, AllocError>(())
        })?;
    }
    let renamed = &*renamed;
    let rename = |column: ColumnId| renamed.get(column as usize).copied().unwrap_or(column);
    let change = |expr: &'a Expr<'a>| {
        walk::rewrite(expr, arena, |_, rebuilt| match rebuilt.kind {
            ExprKind::Column(column) if rename(column) != column => {
                let kind = ExprKind::Column(rename(column));
                Ok::<_, AllocError>(&*arena.alloc(Expr { kind, ..*rebuilt })?)
            }
            _ => Ok(rebuilt),
        })
    };
    let list = |columns: &[ColumnId]| -> Result<&'a [ColumnId], AllocError> {
        Ok(&*arena.alloc_slice_from_iter(columns.iter().map(|column| rename(*column)))?)
    };
    let copies = scratch.alloc_slice_fill(plan.nodes.len(), root)?;
    let first_working = plan.workings;
    let workings = scratch.alloc_slice_from_iter(0..plan.workings)?;
    for id in &nodes {
        if let LogicalKind::Recursive { working, .. } = plan.kind(*id) {
            workings[working as usize] = plan.workings;
            plan.workings += 1;
        }
    }
    let working_of = |working: u32| match working < first_working {
        true => workings[working as usize],
        false => working,
    };
    for id in &nodes {
        let mut kind = plan.kind(*id).map(arena, change, rename)?;
        match &mut kind {
            LogicalKind::Scan { first, .. } | LogicalKind::Values { first, width: 1.., .. } => {
                *first = rename(*first);
            }
            LogicalKind::Values { .. } => {}
            LogicalKind::CteScan { cte, columns } => {
                plan.ctes[*cte as usize].scans += 1;
                *columns = list(columns)?;
            }
            LogicalKind::WorkingScan { working, columns } => {
                *working = working_of(*working);
                *columns = list(columns)?;
            }
            LogicalKind::Filter { input, .. }
            | LogicalKind::Sort { input, .. }
            | LogicalKind::Limit { input, .. }
            | LogicalKind::Distinct { input, .. }
            | LogicalKind::DistinctOn { input, .. } => *input = copies[input.index()],
            LogicalKind::Extend { input, exprs } => {
                *input = copies[input.index()];
                let named = exprs.iter().map(|named| Named { id: rename(named.id), ..*named });
                *exprs = arena.alloc_slice_from_iter(named)?;
            }
            LogicalKind::Join(Join { left, right, mark, .. }) => {
                (*left, *right) = (copies[left.index()], copies[right.index()]);
                *mark = rename(*mark);
            }
            LogicalKind::Aggregate { input, groups, aggregates, .. } => {
                *input = copies[input.index()];
                let named = groups.iter().map(|group| Named { id: rename(group.id), ..*group });
                *groups = arena.alloc_slice_from_iter(named)?;
                let changed = arena.alloc_slice_copy(aggregates)?;
                changed.iter_mut().for_each(|named| named.id = rename(named.id));
                *aggregates = changed;
            }
            LogicalKind::Window { input, functions, .. } => {
                *input = copies[input.index()];
                let changed = arena.alloc_slice_copy(functions)?;
                changed.iter_mut().for_each(|named| named.id = rename(named.id));
                *functions = changed;
            }
            LogicalKind::Concat { inputs, columns, .. } => {
                *inputs = arena.alloc_slice_from_iter(inputs.iter().map(|input| copies[input.index()]))?;
                *columns = list(columns)?;
            }
            LogicalKind::SetOperation { inputs, columns, .. } => {
                *inputs = inputs.map(|input| copies[input.index()]);
                *columns = list(columns)?;
            }
            LogicalKind::Recursive { inputs, working, columns, .. } => {
                *inputs = inputs.map(|input| copies[input.index()]);
                *working = working_of(*working);
                *columns = list(columns)?;
            }
            LogicalKind::TableFunction { input, calls, ordinality, .. } => {
                *input = input.map(|input| copies[input.index()]);
                let changed = arena.alloc_slice_copy(calls)?;
                for call in changed.iter_mut() {
                    call.columns = list(call.columns)?;
                }
                *calls = changed;
                *ordinality = ordinality.map(rename);
            }
        }
        let made = plan.push(kind)?;
        if let Some(slot) = copies.get_mut(id.index()) {
            *slot = made;
        }
    }
    Ok((copies[root.index()], renamed))
}
