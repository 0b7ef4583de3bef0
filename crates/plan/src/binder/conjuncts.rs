//! Conditions as lists of conjuncts.
//!
//! What all branches of a disjunction ask for is asked for once, in front, where it may become a join's key or move into
//! a scan: `(k = l AND x) OR (k = l AND y)` gives `k = l` and `x OR y`. One column that equals one constant or another is
//! in a list: `k = 1 OR k = 2` becomes `k IN (1, 2)`, which is looked for in a set, and in an index.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::Value;

use super::build::Builder;
use crate::error::Error;
use crate::expr::same::{Fingerprint, same};
use crate::expr::{BinaryOp, Expr, ExprKind};
use crate::parameter::Parameters;

/// How many conjuncts of a disjunction's first branch are looked for in the others.
const COMMON_MAX: usize = 64;

/// Adds the conjuncts of a condition to a list, in order. `true` adds nothing.
///
/// # Errors
/// `OutOfMemory` when the budget has no room for the list or the stack of the walk.
pub(super) fn split<'a>(condition: &'a Expr<'a>, list: &mut Vec<'a, &'a Expr<'a>>) -> Result<(), Error<'a>> {
    if !matches!(
        condition.kind,
        ExprKind::Binary { op: BinaryOp::And | BinaryOp::Or, .. } | ExprKind::Literal(_)
    ) {
        return Ok(list.push(condition)?);
    }
    let scratch = Arena::new(list.arena().budget());
    let mut conjuncts = Vec::new_in(&scratch);
    operands(condition, BinaryOp::And, &mut conjuncts)?;
    for conjunct in conjuncts {
        match conjunct.kind {
            ExprKind::Literal(Value::Boolean(true)) => {}
            ExprKind::Binary { op: BinaryOp::Or, .. } => split_disjunction(conjunct, list)?,
            _ => list.push(conjunct)?,
        }
    }
    Ok(())
}

/// Adds the operands of nested `op`, in order; an expression that is no `op` is its own operand.
pub(crate) fn operands<'a>(
    root: &'a Expr<'a>,
    wanted: BinaryOp,
    list: &mut Vec<'_, &'a Expr<'a>>,
) -> Result<(), AllocError> {
    if !matches!(root.kind, ExprKind::Binary { op, .. } if op == wanted) {
        return list.push(root);
    }
    let scratch = Arena::new(list.arena().budget());
    let mut open = Vec::new_in(&scratch);
    open.push(root)?;
    while let Some(expr) = open.pop() {
        match expr.kind {
            ExprKind::Binary { op, left, right } if op == wanted => open.extend([right, left])?,
            _ => list.push(expr)?,
        }
    }
    Ok(())
}

/// A conjunct of a branch.
#[derive(Clone, Copy)]
struct Part<'a> {
    branch: usize,
    expr: &'a Expr<'a>,
    fingerprint: Fingerprint,
}

fn split_disjunction<'a>(
    disjunction: &'a Expr<'a>,
    list: &mut Vec<'a, &'a Expr<'a>>,
) -> Result<(), Error<'a>> {
    let arena = list.arena();
    let scratch = Arena::new(arena.budget());
    let mut branches = Vec::new_in(&scratch);
    operands(disjunction, BinaryOp::Or, &mut branches)?;
    if let Some(one_of) = one_of(&branches, disjunction, arena)? {
        return Ok(list.push(one_of)?);
    }
    let mut parts: Vec<'_, Part<'a>> = Vec::new_in(&scratch);
    for (branch, expr) in branches.iter().enumerate() {
        let mut conjuncts = Vec::new_in(&scratch);
        operands(expr, BinaryOp::And, &mut conjuncts)?;
        for expr in conjuncts {
            parts.push(Part { branch, expr, fingerprint: Fingerprint::of_tree(expr, arena)? })?;
        }
    }
    let common = common_parts(&parts, branches.len(), &scratch)?;
    if common.is_empty() {
        return Ok(list.push(disjunction)?);
    }
    for part in &common {
        list.push(part.expr)?;
    }
    let build = Builder::new(arena, Parameters::NONE);
    let mut rests = Vec::with_capacity_in(branches.len(), &scratch)?;
    for branch in 0..branches.len() {
        let mut rest = Vec::new_in(&scratch);
        for part in parts.iter().filter(|part| part.branch == branch) {
            if !contains(&common, part, arena)? {
                rest.push(part.expr)?;
            }
        }
        if rest.is_empty() {
            // This branch asks for nothing else, so whatever the others ask for does not matter.
            return Ok(());
        }
        rests.push(build.junction(BinaryOp::And, &rest, disjunction.span)?)?;
    }
    Ok(list.push(build.junction(BinaryOp::Or, &rests, disjunction.span)?)?)
}

/// Branches that compare the same column with a constant of its type each, as a list.
pub(crate) fn one_of<'a>(
    branches: &[&'a Expr<'a>],
    disjunction: &'a Expr<'a>,
    arena: &'a Arena,
) -> Result<Option<&'a Expr<'a>>, AllocError> {
    let is_constant = |expr: &Expr<'_>| matches!(expr.kind, ExprKind::Literal(_) | ExprKind::Parameter(_));
    let equality = |branch: &Expr<'a>| -> Option<(&'a Expr<'a>, &'a Expr<'a>)> {
        let ExprKind::Binary { op: BinaryOp::Equal, left, right } = branch.kind else { return None };
        let (column, constant) = if is_constant(left) { (right, left) } else { (left, right) };
        let is_of_column = matches!(column.kind, ExprKind::Column(_));
        (is_of_column && is_constant(constant) && column.ty == constant.ty).then_some((column, constant))
    };
    let Some((arg, _)) = branches.first().and_then(|branch| equality(branch)) else { return Ok(None) };
    let ExprKind::Column(wanted) = arg.kind else { return Ok(None) };
    let mut list = Vec::with_capacity_in(branches.len(), arena)?;
    for branch in branches {
        match equality(branch) {
            Some((Expr { kind: ExprKind::Column(column), .. }, constant)) if *column == wanted => {
                list.push(constant)?;
            }
            _ => return Ok(None),
        }
    }
    let kind = ExprKind::InList { arg, list: list.into_slice(), negated: false };
    Ok(Some(arena.alloc(Expr { kind, ..*disjunction })?))
}

/// The parts of the first branch that are in every other.
fn common_parts<'s, 'a>(
    parts: &[Part<'a>],
    branches_count: usize,
    scratch: &'s Arena,
) -> Result<Vec<'s, Part<'a>>, AllocError> {
    let mut common: Vec<'s, Part<'a>> = Vec::new_in(scratch);
    common.extend(parts.iter().take_while(|part| part.branch == 0).take(COMMON_MAX).copied())?;
    let mut rest = parts;
    for branch in 0..branches_count {
        let (own, others) = rest.split_at(rest.partition_point(|part| part.branch <= branch));
        rest = others;
        let mut kept = 0;
        for index in 0..common.len() {
            if contains(own, &common[index], scratch)? {
                common[kept] = common[index];
                kept += 1;
            }
        }
        common.truncate(kept);
        if common.is_empty() {
            break;
        }
    }
    Ok(common)
}

fn contains<'a>(parts: &[Part<'a>], wanted: &Part<'a>, arena: &Arena) -> Result<bool, AllocError> {
    for part in parts.iter().filter(|part| part.fingerprint == wanted.fingerprint) {
        if same(part.expr, wanted.expr, arena)? {
            return Ok(true);
        }
    }
    Ok(false)
}
