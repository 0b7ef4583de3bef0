//! Key filters: which scans may leave out rows because a join above them knows what keys its build side has.
//!
//! ```text
//!   HashJoin  l_partkey = p_partkey                     the build side is done before its probe side begins
//!   ├─ HashAggregate  by l_partkey                      groups with other keys would find no match
//!   │  └─ Scan lineitem      key filter: p_partkey      so their rows need not be read
//!   └─ Scan part  p_brand = 'Brand#23'
//! ```
//!
//! From each key of a join that gives nothing for a probe row without a match, a column is followed down the probe side as long as
//! rows with other values change nothing above: through filters, projections that pass it on, groups and partitions by it, and other
//! joins. Where such a join holds it equal to a column of its other side, it is followed there too.
//!
//! Needs: the operators of a plan. Gives: [`Scan::key_filters`].

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_functions::Volatility;
use cofferdam_types::column::Kind;

use crate::expr::{Expr, ExprKind, Function, walk};
use crate::physical::{
    HashAggregate, HashJoin, JoinKey, JoinKind, KeyFilter, KeyNulls, NestedLoopJoin, Operator, OperatorId,
    OperatorKind, Scan, SetOperationKind, Window,
};
use crate::table::TableSource;

/// Of fewer rows nobody notices whether they are read.
const ROWS_MIN: u64 = 2048;

/// What is known of an operator before scans are looked for.
#[derive(Clone, Copy, Debug, Default)]
struct Traits {
    /// Some condition leaves rows out below it or in it.
    is_reduced: bool,
    /// Its rows are others in each round of a recursion.
    is_of_round: bool,
    /// It calls what must be called for each row.
    is_volatile: bool,
}

/// Adds key filters to the scans of a plan.
///
/// # Errors
/// The budget of an arena has no room.
pub(super) fn key_filters<'a>(
    operators: &mut [Operator<'a>],
    arena: &'a Arena,
    scratch: &Arena,
) -> Result<(), AllocError> {
    let is_join = |operator: &Operator<'_>| matches!(operator.kind, OperatorKind::HashJoin(_));
    if !operators.iter().any(is_join) {
        return Ok(());
    }
    let traits = traits(operators, scratch)?;
    let mut found: Vec<'_, (OperatorId, KeyFilter)> = Vec::new_in(scratch);
    let mut open: Vec<'_, (OperatorId, u32)> = Vec::new_in(scratch);
    for index in 0..operators.len() {
        let OperatorKind::HashJoin(join) = operators[index].kind else { continue };
        let build = traits[join.build.index()];
        if join.kind.keeps_probe() || !build.is_reduced || build.is_of_round {
            continue;
        }
        for (number, key) in join.keys.iter().enumerate() {
            let Some((column, _)) = columns_of(key) else { continue };
            open.push((join.probe, column))?;
            while let Some((id, column)) = open.pop() {
                if traits[id.index()].is_volatile {
                    continue;
                }
                if let OperatorKind::Scan(scan) = operators[id.index()].kind {
                    let join = OperatorId::new(index as u32);
                    let filter = KeyFilter { join, key: number as u32, column: scan.output[column as usize] };
                    let is_known = found.contains(&(id, filter));
                    if !is_known && takes_filters(&operators[id.index()], &scan) {
                        found.push((id, filter))?;
                    }
                } else {
                    follow(operators, id, column, &mut open)?;
                }
            }
        }
    }
    for (index, operator) in operators.iter_mut().enumerate() {
        let OperatorKind::Scan(scan) = &mut operator.kind else { continue };
        let of_scan = || found.iter().filter(|(id, _)| id.index() == index);
        let mut filters = Vec::with_capacity_in(of_scan().count(), arena)?;
        of_scan().try_for_each(|(_, filter)| filters.push(*filter))?;
        scan.key_filters = filters.into_slice();
    }
    Ok(())
}

fn traits<'s>(operators: &[Operator<'_>], scratch: &'s Arena) -> Result<&'s [Traits], AllocError> {
    let traits: &mut [Traits] = scratch.alloc_slice_fill(operators.len(), Traits::default())?;
    for (index, operator) in operators.iter().enumerate() {
        let mut own = Traits::default();
        for input in operator.kind.inputs().iter() {
            let below = traits[input.index()];
            own.is_reduced |= below.is_reduced;
            own.is_of_round |= below.is_of_round;
        }
        match operator.kind {
            OperatorKind::Scan(scan) => {
                own.is_reduced = !scan.conjuncts.is_empty() || !scan.ranges.is_empty();
                own.is_volatile = any_volatile(scan.conjuncts, scratch)?;
            }
            OperatorKind::Filter { conjuncts, .. } => {
                own.is_reduced = true;
                own.is_volatile = any_volatile(conjuncts, scratch)?;
            }
            OperatorKind::Project { exprs, .. } => own.is_volatile = any_volatile(exprs, scratch)?,
            OperatorKind::Values { .. }
            | OperatorKind::Limit(_)
            | OperatorKind::Sort { limit: Some(_), .. }
            | OperatorKind::SetOperation { .. } => own.is_reduced = true,
            OperatorKind::HashJoin(HashJoin { kind, .. })
            | OperatorKind::NestedLoopJoin(NestedLoopJoin { kind, .. }) => {
                own.is_reduced |= matches!(
                    kind,
                    JoinKind::Semi | JoinKind::Anti | JoinKind::RightSemi | JoinKind::RightAnti
                );
            }
            OperatorKind::CteScan { cte } => {
                own = Traits { is_reduced: true, ..traits[cte.index()] };
            }
            OperatorKind::WorkingScan { .. } => own = Traits { is_of_round: true, ..own },
            _ => {}
        }
        traits[index] = own;
    }
    Ok(traits)
}

fn any_volatile(exprs: &[&Expr<'_>], scratch: &Arena) -> Result<bool, AllocError> {
    let mut found = false;
    for expr in exprs {
        walk::for_each(expr, scratch, |expr| {
            if let ExprKind::Call { function: Function::Scalar(id), .. } = expr.kind {
                found |= id.function().volatility() == Volatility::Volatile;
            }
        })?;
    }
    Ok(found)
}

/// The columns of the probe side and of the build side that a key is, where values of one are comparable to those of the other as
/// they stand.
fn columns_of(key: &JoinKey<'_>) -> Option<(u32, u32)> {
    let is_number = matches!(Kind::of(key.probe.ty), Kind::I32 | Kind::I64);
    match (key.probe.kind, key.build.kind) {
        (ExprKind::Column(probe), build)
            if is_number && key.probe.ty == key.build.ty && key.nulls == KeyNulls::Unmatched =>
        {
            // Of the build side any expression will do where nobody asks for its column.
            Some((probe, if let ExprKind::Column(build) = build { build } else { u32::MAX }))
        }
        _ => None,
    }
}

/// Whether it is worth it, and possible.
fn takes_filters(operator: &Operator<'_>, scan: &Scan<'_>) -> bool {
    let is_table = matches!(scan.source, TableSource::Stored(_));
    is_table && operator.rows_estimate >= ROWS_MIN && scan.rows_max.is_none()
}

/// Notes the inputs, and the columns of these, from which rows may be left out whose value in a column of the operator is not
/// wanted.
fn follow(
    operators: &[Operator<'_>],
    id: OperatorId,
    column: u32,
    open: &mut Vec<'_, (OperatorId, u32)>,
) -> Result<(), AllocError> {
    let width = |id: OperatorId| operators[id.index()].columns.len() as u32;
    match operators[id.index()].kind {
        OperatorKind::Filter { input, .. }
        | OperatorKind::Sort { input, limit: None, .. }
        | OperatorKind::Distinct { input } => open.push((input, column)),
        OperatorKind::DistinctOn { input, columns } if columns.contains(&column) => {
            open.push((input, column))
        }
        OperatorKind::Project { input, exprs } => match exprs[column as usize].kind {
            ExprKind::Column(below) => open.push((input, below)),
            _ => Ok(()),
        },
        OperatorKind::HashAggregate(HashAggregate { input, groups, sets, .. }) => {
            match groups.get(column as usize).map(|group| group.kind) {
                Some(ExprKind::Column(below)) if sets.iter().all(|set| set.contains(&column)) => {
                    open.push((input, below))
                }
                _ => Ok(()),
            }
        }
        OperatorKind::Window(Window { input, partition, .. }) if partition.contains(&column) => {
            open.push((input, column))
        }
        OperatorKind::Concat { inputs } => inputs.iter().try_for_each(|input| open.push((*input, column))),
        OperatorKind::SetOperation { left, right, kind, .. } => {
            // Both are asked for whole rows, so what is left out of both changes no other row.
            debug_assert!(matches!(kind, SetOperationKind::Intersect | SetOperationKind::Except));
            open.extend([(left, column), (right, column)])
        }
        OperatorKind::HashJoin(HashJoin { kind, probe, build, keys, output, .. }) => {
            let Some(&place) = output.get(column as usize) else { return Ok(()) };
            let (of_probe, of_build) = (place < width(probe), place.wrapping_sub(width(probe)));
            let is_inner = kind == JoinKind::Inner;
            if of_probe && gives_by_probe(kind) {
                open.push((probe, place))?;
            }
            if !of_probe && gives_by_build(kind) {
                open.push((build, of_build))?;
            }
            let equal = keys.iter().filter_map(columns_of);
            for (in_probe, in_build) in equal.filter(|(_, in_build)| *in_build != u32::MAX) {
                if of_probe && in_probe == place && (is_inner || kind == JoinKind::Semi) {
                    open.push((build, in_build))?;
                }
                if !of_probe && in_build == of_build && (is_inner || kind == JoinKind::RightSemi) {
                    open.push((probe, in_probe))?;
                }
            }
            Ok(())
        }
        OperatorKind::NestedLoopJoin(NestedLoopJoin { kind, probe, build, output, .. }) => {
            match output.get(column as usize) {
                Some(&place) if place < width(probe) && gives_by_probe(kind) => open.push((probe, place)),
                Some(&place) if place >= width(probe) && gives_by_build(kind) => {
                    open.push((build, place - width(probe)))
                }
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// Whether a probe row decides on the rows that are given for it, and on no other row.
fn gives_by_probe(kind: JoinKind) -> bool {
    matches!(
        kind,
        JoinKind::Inner
            | JoinKind::Left
            | JoinKind::Semi
            | JoinKind::Anti
            | JoinKind::Single
            | JoinKind::Mark
    )
}

/// Whether a build row decides on the rows that are given with it, and on no other row.
fn gives_by_build(kind: JoinKind) -> bool {
    matches!(kind, JoinKind::Inner | JoinKind::Right | JoinKind::RightSemi | JoinKind::RightAnti)
}
