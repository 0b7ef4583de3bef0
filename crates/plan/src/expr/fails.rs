//! Which expressions may end in an error, by what they compute.

use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::{Type, Value};

use super::{BinaryOp, Expr, ExprKind, Function, UnaryOp, walk};

/// Whether an expression may end in an error for some row. A decimal or double that grows too large is not looked for: a query
/// would be slower for the sake of what does not happen.
///
/// # Errors
/// `AllocError` when the budget has no room for the walk.
pub(crate) fn may_fail(expr: &Expr<'_>, scratch: &Arena) -> Result<bool, AllocError> {
    fails(expr, true, scratch)
}

/// Whether an expression may end in an error for other values than very large ones.
///
/// # Errors
/// `AllocError` when the budget has no room for the walk.
pub(crate) fn fails_by_value(expr: &Expr<'_>, scratch: &Arena) -> Result<bool, AllocError> {
    fails(expr, false, scratch)
}

fn fails(expr: &Expr<'_>, overflow: bool, scratch: &Arena) -> Result<bool, AllocError> {
    let local = Arena::new(scratch.budget());
    let mut walk = walk::PostOrder::new_in(expr, &local)?;
    while let Some(expr) = walk.next()? {
        let fails = match expr.kind {
            ExprKind::Binary { op: BinaryOp::Divide | BinaryOp::Modulo, right, .. } => !is_not_zero(right),
            ExprKind::Binary { op: BinaryOp::Add | BinaryOp::Subtract | BinaryOp::Multiply, .. }
            | ExprKind::Unary { op: UnaryOp::Negate, .. } => {
                overflow && (expr.ty.is_integer() || matches!(expr.ty, Type::Date | Type::Interval))
            }
            ExprKind::Cast(arg) => cast_may_fail(arg.ty, expr.ty),
            ExprKind::Call { function, .. } => matches!(
                function,
                Function::Scalar(_)
                    | Function::LimitCharacters
                    | Function::FitCharacters
                    | Function::Substring
                    | Function::Abs
            ),
            _ => false,
        };
        if fails {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a divisor is a constant by which everything can be divided.
fn is_not_zero(divisor: &Expr<'_>) -> bool {
    match divisor.kind {
        ExprKind::Literal(Value::Integer(value)) => value != 0,
        ExprKind::Literal(Value::BigInt(value)) => value != 0,
        ExprKind::Literal(Value::Decimal(value)) => value.unscaled() != 0,
        ExprKind::Literal(Value::Double(value)) => value != 0.0,
        _ => false,
    }
}

fn cast_may_fail(from: Type, to: Type) -> bool {
    match (from, to) {
        (_, Type::Text) | (Type::SmallInt, Type::Integer) => false,
        (Type::SmallInt | Type::Integer, Type::BigInt) => false,
        (from, Type::Numeric | Type::Double) => !(from.is_integer() || from.is_exact_fraction()),
        (Type::Integer | Type::SmallInt, Type::Decimal { precision, scale }) => precision - scale < 10,
        (Type::Date, Type::Timestamp) => false,
        (Type::Decimal { precision: p1, scale: s1 }, Type::Decimal { precision: p2, scale: s2 }) => {
            p1 - s1 > p2 - s2 || s1 > s2
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Span;
    use cofferdam_arena::Budget;

    #[test]
    fn divisions_and_narrow_casts_may_fail() {
        let budget = Budget::unlimited("test").unwrap();
        let arena = Arena::new(&budget);
        let expr = |kind, ty| Expr { kind, ty, span: Span::default() };
        let (int, two, zero) = (
            expr(ExprKind::Column(0), Type::Integer),
            expr(ExprKind::Literal(Value::Integer(2)), Type::Integer),
            expr(ExprKind::Literal(Value::Integer(0)), Type::Integer),
        );
        let fails = |kind, ty| may_fail(&expr(kind, ty), &arena).unwrap();
        let divide = |right| ExprKind::Binary { op: BinaryOp::Divide, left: &int, right };
        assert!(fails(divide(&int), Type::Integer));
        assert!(fails(divide(&zero), Type::Integer));
        assert!(!fails(divide(&two), Type::Integer));
        assert!(!fails(ExprKind::Column(0), Type::Integer));
        assert!(!fails(ExprKind::Cast(&int), Type::BigInt));
        assert!(fails(ExprKind::Cast(&int), Type::SmallInt));
        let sum = ExprKind::Binary { op: BinaryOp::Add, left: &int, right: &two };
        assert!(fails(sum, Type::Integer));
        assert!(!fails_by_value(&expr(sum, Type::Integer), &arena).unwrap());
        let quotient = expr(divide(&int), Type::Integer);
        assert!(fails(ExprKind::Unary { op: UnaryOp::IsNull, arg: &quotient }, Type::Boolean));
    }
}
