//! Computes what constants decide of an expression whose other operands are not known.
//!
//! ```text
//! n / m * NULL                                  NULL
//! CASE 1 WHEN 2 THEN a WHEN 1 THEN b END        b
//! COALESCE(NULL, 7, 1 / n)                      7
//! WHERE n / m BETWEEN NULL AND 7                WHERE false
//! a IN (1, b, 1 / c)                            a = 1 OR a = b OR a = 1 / c
//! ```
//!
//! What is left out is not computed, so it cannot fail: PostgreSQL does the same before it runs a query, and no error is
//! raised for a divisor of 0 there. A constant that fails by itself (`1 / 0 * NULL`) stays, since there it is one. Expressions are bound and grouped by then: names and groups are checked in
//! what is left out, too.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::Value;

use super::late::is_volatile;
use crate::binder::fold;
use crate::expr::fails::may_fail;
use crate::expr::walk::{self, rewrite};
use crate::expr::{BinaryOp, Expr, ExprKind, Function, UnaryOp, When};
use crate::logical::{Join, LogicalKind, LogicalPlan};
use crate::physical::JoinKind;

/// Of how many items a list may be at most to be tested one by one.
const ITEMS_MAX: usize = 16;
/// Of how many parts an expression may be at most to be looked at for each node above it: deep ones would be looked at too often.
const PARTS_MAX: usize = 256;

/// The pass over all nodes, in any order. A plan without NULL, `CASE`, `COALESCE`, `NULLIF` and lists of what is computed is left as
/// it is.
pub(super) fn simplify<'a>(plan: &mut LogicalPlan<'a>, arena: &'a Arena) -> Result<(), AllocError> {
    for kind in &mut plan.nodes {
        let has_expressions = match *kind {
            LogicalKind::Filter { .. } | LogicalKind::Extend { .. } | LogicalKind::Aggregate { .. } => true,
            // The others tell NULL from false.
            LogicalKind::Join(Join { kind, .. }) => {
                matches!(kind, JoinKind::Inner | JoinKind::Left | JoinKind::Right | JoinKind::Full)
            }
            _ => false,
        };
        if !has_expressions {
            continue;
        }
        let mut is_open = false;
        kind.for_each_expr(|expr| walk::for_each(expr, arena, |part| is_open |= may_decide(part)))?;
        if !is_open {
            continue;
        }
        match kind {
            LogicalKind::Filter { conjuncts, .. } | LogicalKind::Join(Join { conjuncts, .. }) => {
                *conjuncts = all_simple(conjuncts, arena)?;
                if let Some(never) = conjuncts.iter().position(|conjunct| is_never_true(conjunct)) {
                    let literal = literal(Value::Boolean(false), conjuncts[never], arena)?;
                    *conjuncts = arena.alloc_slice_copy(&[literal])?;
                }
            }
            LogicalKind::Extend { exprs, .. } => {
                let simple = arena.alloc_slice_copy(exprs)?;
                for named in simple.iter_mut() {
                    named.expr = simple_of(named.expr, arena)?;
                }
                *exprs = simple;
            }
            LogicalKind::Aggregate { aggregates, .. } => {
                let simple = arena.alloc_slice_copy(aggregates)?;
                for named in simple.iter_mut() {
                    named.aggregate.args = all_simple(named.aggregate.args, arena)?;
                    let filter = named.aggregate.filter;
                    named.aggregate.filter = filter.map(|filter| simple_of(filter, arena)).transpose()?;
                }
                *aggregates = simple;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a node is one that a constant may decide, or such a constant.
fn may_decide(expr: &Expr<'_>) -> bool {
    match expr.kind {
        ExprKind::Literal(value) => value.is_null(),
        ExprKind::Case { .. } | ExprKind::Call { function: Function::Coalesce | Function::NullIf, .. } => {
            true
        }
        ExprKind::InList { list, .. } => list.iter().any(|item| item.child_count() > 0),
        ExprKind::Between { high, .. } => high.child_count() > 0,
        _ => false,
    }
}

/// Whether a condition is not true for any row because one of its parts is not.
fn is_never_true(condition: &Expr<'_>) -> bool {
    let mut rest = condition;
    loop {
        match rest.kind {
            ExprKind::Literal(value) => return value != Value::Boolean(true),
            // What two bounds became: the constant stands first.
            ExprKind::Binary { op: BinaryOp::And, left, right } => match fold::value(left) {
                Some(value) if value != Value::Boolean(true) => return true,
                _ => rest = right,
            },
            // Of two bounds, one of them NULL: what is left is decided by the other one.
            ExprKind::Binary { op: BinaryOp::Or, left, right } if fold::value(left) == Some(Value::Null) => {
                rest = right;
            }
            _ => return false,
        }
    }
}

fn all_simple<'a>(exprs: &[&'a Expr<'a>], arena: &'a Arena) -> Result<&'a [&'a Expr<'a>], AllocError> {
    let simple = arena.alloc_slice_copy(exprs)?;
    for expr in simple.iter_mut() {
        *expr = simple_of(expr, arena)?;
    }
    Ok(simple)
}

fn simple_of<'a>(expr: &'a Expr<'a>, arena: &'a Arena) -> Result<&'a Expr<'a>, AllocError> {
    rewrite(expr, arena, |original, rebuilt| {
        if !core::ptr::eq(original, rebuilt)
            && let Some(value) = fold::constant(rebuilt, arena)?
        {
            return literal(value, rebuilt, arena);
        }
        if is_null(rebuilt, arena)? {
            return literal(Value::Null, rebuilt, arena);
        }
        match rebuilt.kind {
            ExprKind::Binary { op: op @ (BinaryOp::And | BinaryOp::Or), left, right } => {
                Ok(fold::junction(op, left, right).unwrap_or(rebuilt))
            }
            ExprKind::Unary { op: UnaryOp::Not, arg } => Ok(negated(arg, arena)?.unwrap_or(rebuilt)),
            ExprKind::Between { arg, low, high, negated } => {
                between(rebuilt, [arg, low, high], negated, arena)
            }
            ExprKind::InList { arg, list, negated } => {
                Ok(one_by_one(rebuilt, arg, list, negated, arena)?.unwrap_or(rebuilt))
            }
            ExprKind::Case { operand, whens, otherwise } => case(rebuilt, operand, whens, otherwise, arena),
            ExprKind::Call { function: Function::Coalesce, args } => coalesce(rebuilt, args, arena),
            ExprKind::Call { function: Function::NullIf, args: [left, right] } => {
                match (fold::value(left), fold::value(right)) {
                    (Some(Value::Null), _) if has_failing_constant(right, arena)? => Ok(rebuilt),
                    (Some(Value::Null), _) | (_, Some(Value::Null)) => Ok(*left),
                    (Some(one), Some(other)) => match fold::compare(BinaryOp::Equal, one, other) {
                        Some(Value::Boolean(true)) => literal(Value::Null, rebuilt, arena),
                        Some(_) => Ok(*left),
                        None => Ok(rebuilt),
                    },
                    _ => Ok(rebuilt),
                }
            }
            _ => Ok(rebuilt),
        }
    })
}

fn literal<'a>(value: Value<'a>, of: &Expr<'a>, arena: &'a Arena) -> Result<&'a Expr<'a>, AllocError> {
    Ok(arena.alloc(Expr { kind: ExprKind::Literal(value), ..*of })?)
}

/// The negation of what can be written with `NOT` inside.
fn negated<'a>(arg: &'a Expr<'a>, arena: &'a Arena) -> Result<Option<&'a Expr<'a>>, AllocError> {
    let kind = match arg.kind {
        ExprKind::Between { arg: tested, low, high, negated } => {
            let negated = !negated;
            let kind = ExprKind::Between { arg: tested, low, high, negated };
            let turned = arena.alloc(Expr { kind, ..*arg })?;
            return between(turned, [tested, low, high], negated, arena).map(Some);
        }
        ExprKind::InList { arg: tested, list, negated } => {
            ExprKind::InList { arg: tested, list, negated: !negated }
        }
        // What such bounds became.
        ExprKind::Binary { op, left: null, right: test } if fold::value(null) == Some(Value::Null) => {
            let (ExprKind::Binary { op: compare, left, right }, Some(op)) = (test.kind, turned(op)) else {
                return Ok(None);
            };
            let Some(compare) = compare.negated() else { return Ok(None) };
            let kind = ExprKind::Binary { op: compare, left, right };
            ExprKind::Binary { op, left: null, right: arena.alloc(Expr { kind, ..*test })? }
        }
        _ => return Ok(None),
    };
    Ok(Some(arena.alloc(Expr { kind, ..*arg })?))
}

/// Whether some operand may fail, while what it is compared with can be computed once more for each of them.
fn is_better_apart<'a>(
    arg: &'a Expr<'a>,
    operands: &[&'a Expr<'a>],
    arena: &Arena,
) -> Result<bool, AllocError> {
    for operand in operands {
        if operand.child_count() > 0 && is_small(operand, arena)? && may_fail(operand, arena)? {
            return Ok(is_small(arg, arena)? && !is_volatile(arg, arena)?);
        }
    }
    Ok(false)
}

/// Whether an expression has few enough parts to be looked at once more for each node above it.
fn is_small<'a>(expr: &'a Expr<'a>, arena: &Arena) -> Result<bool, AllocError> {
    if expr.child_count() == 0 {
        return Ok(true);
    }
    let scratch = Arena::new(arena.budget());
    let mut open = Vec::new_in(&scratch);
    open.push(expr)?;
    let mut seen = 0;
    while let Some(part) = open.pop() {
        seen += 1;
        if seen + open.len() + part.child_count() > PARTS_MAX {
            return Ok(false);
        }
        open.extend((0..part.child_count()).filter_map(|index| part.child(index)))?;
    }
    Ok(true)
}

/// The operator that joins negated operands.
fn turned(join: BinaryOp) -> Option<BinaryOp> {
    match join {
        BinaryOp::And => Some(BinaryOp::Or),
        BinaryOp::Or => Some(BinaryOp::And),
        _ => None,
    }
}

/// A comparison with two bounds as two of which the first may decide: where one of them is NULL, it stands first; where the upper one
/// may fail, it is computed behind the lower one.
fn between<'a>(
    expr: &'a Expr<'a>,
    [arg, low, high]: [&'a Expr<'a>; 3],
    negated: bool,
    arena: &'a Arena,
) -> Result<&'a Expr<'a>, AllocError> {
    let is_null = |bound: &Expr<'a>| fold::value(bound) == Some(Value::Null);
    let ops = match negated {
        true => (BinaryOp::Less, BinaryOp::Greater, BinaryOp::Or),
        false => (BinaryOp::GreaterEqual, BinaryOp::LessEqual, BinaryOp::And),
    };
    let has_null = is_null(low) != is_null(high);
    if !has_null && !is_better_apart(arg, &[high], arena)? {
        return Ok(expr);
    }
    let test = |op, bound: &'a Expr<'a>| -> Result<&'a Expr<'a>, AllocError> {
        let kind = match is_null(bound) {
            true => ExprKind::Literal(Value::Null),
            false => ExprKind::Binary { op, left: arg, right: bound },
        };
        Ok(arena.alloc(Expr { kind, ..*expr })?)
    };
    let (low, high) = (test(ops.0, low)?, test(ops.1, high)?);
    let (left, right) = if is_null(high) { (high, low) } else { (low, high) };
    Ok(arena.alloc(Expr { kind: ExprKind::Binary { op: ops.2, left, right }, ..*expr })?)
}

/// A list with items that may fail, as comparisons of which each is made where those before it have not decided; first those with
/// constants.
fn one_by_one<'a>(
    expr: &'a Expr<'a>,
    arg: &'a Expr<'a>,
    list: &'a [&'a Expr<'a>],
    negated: bool,
    arena: &'a Arena,
) -> Result<Option<&'a Expr<'a>>, AllocError> {
    if list.len() > ITEMS_MAX || !is_better_apart(arg, list, arena)? {
        return Ok(None);
    }
    let (compare, join) = match negated {
        true => (BinaryOp::NotEqual, BinaryOp::And),
        false => (BinaryOp::Equal, BinaryOp::Or),
    };
    let is_constant = |item: &&&Expr<'a>| fold::value(item).is_some();
    let items = list.iter().filter(is_constant).chain(list.iter().filter(|item| !is_constant(item)));
    let mut all: Option<&'a Expr<'a>> = None;
    for item in items {
        let kind = ExprKind::Binary { op: compare, left: arg, right: item };
        let one: &'a Expr<'a> = arena.alloc(Expr { kind, ..*expr })?;
        all = Some(match all {
            Some(before) => {
                let kind = ExprKind::Binary { op: join, left: before, right: one };
                arena.alloc(Expr { kind, ..*expr })?
            }
            None => one,
        });
    }
    Ok(all)
}

/// Without the branches that are never taken.
fn case<'a>(
    expr: &'a Expr<'a>,
    operand: Option<&'a Expr<'a>>,
    whens: &'a [When<'a>],
    otherwise: Option<&'a Expr<'a>>,
    arena: &'a Arena,
) -> Result<&'a Expr<'a>, AllocError> {
    let decided = |when: &When<'a>| -> Result<Option<Value<'a>>, AllocError> {
        let Some(operand) = operand else { return Ok(fold::value(when.condition)) };
        Ok(match (fold::value(operand), fold::value(when.condition)) {
            (Some(Value::Null), None) if !has_failing_constant(when.condition, arena)? => Some(Value::Null),
            (Some(Value::Null), Some(_)) | (Some(_), Some(Value::Null)) => Some(Value::Null),
            (Some(operand), Some(wanted)) => fold::compare(BinaryOp::Equal, operand, wanted),
            _ => None,
        })
    };
    let mut kept: Vec<'a, When<'a>> = Vec::new_in(arena);
    let mut otherwise = otherwise;
    for when in whens {
        match decided(when)? {
            Some(Value::Boolean(true)) => {
                otherwise = Some(when.result);
                break;
            }
            Some(_) => {}
            None => kept.push(*when)?,
        }
    }
    match (otherwise, kept.is_empty()) {
        (Some(otherwise), true) => Ok(otherwise),
        (None, true) => literal(Value::Null, expr, arena),
        (_, false) if kept.len() == whens.len() => Ok(expr),
        (_, false) => {
            let kind = ExprKind::Case { operand, whens: kept.into_slice(), otherwise };
            Ok(arena.alloc(Expr { kind, ..*expr })?)
        }
    }
}

/// Without NULLs, and without what follows a constant.
fn coalesce<'a>(
    expr: &'a Expr<'a>,
    args: &'a [&'a Expr<'a>],
    arena: &'a Arena,
) -> Result<&'a Expr<'a>, AllocError> {
    let is_null = |arg: &&Expr<'a>| fold::value(arg) == Some(Value::Null);
    let last = args.iter().position(|arg| fold::value(arg).is_some_and(|value| !value.is_null()));
    let reached = &args[..last.map_or(args.len(), |last| last + 1)];
    let count = reached.iter().filter(|arg| !is_null(arg)).count();
    match (count, reached.iter().find(|arg| !is_null(arg))) {
        (_, None) => literal(Value::Null, expr, arena),
        (1, Some(only)) => Ok(only),
        _ if count == args.len() => Ok(expr),
        _ => {
            let mut kept: Vec<'a, &'a Expr<'a>> = Vec::with_capacity_in(count, arena)?;
            kept.extend(reached.iter().filter(|arg| !is_null(arg)).copied())?;
            let kind = ExprKind::Call { function: Function::Coalesce, args: kept.into_slice() };
            Ok(arena.alloc(Expr { kind, ..*expr })?)
        }
    }
}

/// Whether an expression is NULL because an operand is, whatever the others are.
fn is_null<'a>(expr: &'a Expr<'a>, arena: &Arena) -> Result<bool, AllocError> {
    let is_strict = match expr.kind {
        ExprKind::Binary { op, .. } => !matches!(
            op,
            BinaryOp::And | BinaryOp::Or | BinaryOp::IsDistinctFrom | BinaryOp::IsNotDistinctFrom
        ),
        ExprKind::Like { .. } => true,
        // Of a list and of two bounds the first operand alone decides; without items there is nothing to compare with.
        ExprKind::InList { arg, list: [_, ..], .. } => fold::value(arg) == Some(Value::Null),
        ExprKind::Between { arg, low, high, .. } => {
            let is_null = |operand| fold::value(operand) == Some(Value::Null);
            is_null(arg) || is_null(low) && is_null(high)
        }
        ExprKind::Call { function: Function::Scalar(id), .. } => id.function().is_strict(),
        ExprKind::Call { function, .. } => matches!(
            function,
            Function::Substring
                | Function::TrimBoth
                | Function::TrimLeading
                | Function::TrimTrailing
                | Function::LimitCharacters
                | Function::PadCharacters
                | Function::FitCharacters
                | Function::RoundSeconds
        ),
        _ => false,
    };
    let mut children = (0..expr.child_count()).filter_map(|index| expr.child(index));
    if !is_strict || !children.clone().any(|child| fold::value(child) == Some(Value::Null)) {
        return Ok(false);
    }
    children.try_fold(true, |is_sound, child| Ok(is_sound && !has_failing_constant(child, arena)?))
}

/// Whether some part has only constants for operands and was not computed, since it fails; so it is said of what is large, too.
fn has_failing_constant<'a>(expr: &'a Expr<'a>, arena: &Arena) -> Result<bool, AllocError> {
    if !is_small(expr, arena)? {
        return Ok(true);
    }
    let mut found = false;
    walk::for_each(expr, arena, |part| {
        let mut children = (0..part.child_count()).filter_map(|index| part.child(index));
        found |= part.child_count() > 0 && children.all(|child| fold::value(child).is_some());
    })?;
    Ok(found)
}
