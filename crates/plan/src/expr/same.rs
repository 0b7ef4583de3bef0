//! Whether two expressions compute the same.
//!
//! Structure, positions and constants count, spans do not. A fingerprint, made from the leaves up, tells most different
//! expressions apart without looking inside.

use std::mem::discriminant;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::Value;

use super::{Expr, ExprKind, walk};

/// A number that equal expressions share and different ones rarely do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of a node with these children.
    pub(crate) fn of(expr: &Expr<'_>, children: impl IntoIterator<Item = Fingerprint>) -> Fingerprint {
        let own = match expr.kind {
            ExprKind::Column(position) => mix(1, u64::from(position)),
            ExprKind::Literal(value) => mix(2, literal_bits(value)),
            ExprKind::Parameter(number) => mix(11, u64::from(number)),
            ExprKind::Row(values) => mix(12, values.len() as u64),
            ExprKind::Unary { op, .. } => mix(3, op as u64),
            ExprKind::Binary { op, .. } => mix(4, op as u64),
            ExprKind::Cast(_) => 5,
            ExprKind::Between { negated, .. } => mix(6, u64::from(negated)),
            ExprKind::InList { negated, .. } => mix(7, u64::from(negated)),
            ExprKind::Like { negated, .. } => mix(8, u64::from(negated)),
            ExprKind::Case { operand, .. } => mix(9, u64::from(operand.is_some())),
            ExprKind::Call { args, .. } => mix(10, args.len() as u64),
        };
        Fingerprint(children.into_iter().fold(own, |sum, child| mix(sum, child.0)))
    }

    /// The fingerprint of a whole expression.
    pub(crate) fn of_tree(root: &Expr<'_>, arena: &Arena) -> Result<Fingerprint, AllocError> {
        let scratch = Arena::new(arena.budget());
        let mut walk = walk::PostOrder::new_in(root, &scratch)?;
        let mut done: Vec<'_, Fingerprint> = Vec::new_in(&scratch);
        while let Some(expr) = walk.next()? {
            let first = done.len() - expr.child_count();
            let print = Fingerprint::of(expr, done[first..].iter().copied());
            done.truncate(first);
            done.push(print)?;
        }
        Ok(done.pop().expect("the root comes last"))
    }
}

/// Multiplication by an odd constant spreads the bits of the sum over the high half, rotation brings them back.
fn mix(sum: u64, next: u64) -> u64 {
    (sum.rotate_left(23) ^ next).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Some bits of a constant.
fn literal_bits(value: Value<'_>) -> u64 {
    match value {
        Value::Null => 0,
        Value::SmallInt(value) => u64::from(value.cast_unsigned()),
        Value::Real(value) => u64::from(value.to_bits()),
        Value::Char(text) | Value::Json(text) | Value::Jsonb(text) => bytes_bits(text.as_bytes()),
        Value::Bytea(bytes) => bytes_bits(bytes),
        Value::Array(array) => bytes_bits(array.as_bytes()),
        Value::Time(value) => value.micros().cast_unsigned(),
        Value::Timestamp(value) | Value::TimestampTz(value) => value.micros().cast_unsigned(),
        Value::Uuid(value) => value.to_u128() as u64,
        Value::Boolean(value) => u64::from(value) + 1,
        Value::Integer(value) => u64::from(value.cast_unsigned()),
        Value::BigInt(value) => value.cast_unsigned(),
        Value::Decimal(value) => value.unscaled() as u64,
        Value::Double(value) => value.to_bits(),
        Value::Text(text) => bytes_bits(text.as_bytes()),
        Value::Date(value) => u64::from(value.days().cast_unsigned()),
        Value::Interval(value) => {
            let days = mix(u64::from(value.months.cast_unsigned()), u64::from(value.days.cast_unsigned()));
            mix(days, value.micros.cast_unsigned())
        }
    }
}

fn bytes_bits(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| mix(sum, u64::from(*byte)))
}

/// Whether two constants of one type are interchangeable. That is more than being equal: a month equals 30 days, but
/// added to a date it gives something else.
fn same_value(left: Value<'_>, right: Value<'_>) -> bool {
    match (left, right) {
        (Value::Double(a), Value::Double(b)) => a.to_bits() == b.to_bits(),
        (Value::Real(a), Value::Real(b)) => a.to_bits() == b.to_bits(),
        (Value::Decimal(a), Value::Decimal(b)) => a == b && a.scale() == b.scale(),
        (Value::Char(a), Value::Char(b)) => a == b,
        (Value::Array(a), Value::Array(b)) => a.element() == b.element() && a.as_bytes() == b.as_bytes(),
        (Value::Interval(a), Value::Interval(b)) => {
            (a.months, a.days, a.micros) == (b.months, b.days, b.micros)
        }
        (a, b) => a == b,
    }
}

/// Whether two expressions compute the same from the same input.
///
/// # Errors
/// `AllocError` when the budget of `arena`, which pays for the stack, has no room.
pub(crate) fn same<'a>(left: &'a Expr<'a>, right: &'a Expr<'a>, arena: &Arena) -> Result<bool, AllocError> {
    if !same_node(left, right) || left.child_count() == 0 {
        return Ok(same_node(left, right));
    }
    let scratch = Arena::new(arena.budget());
    let mut open: Vec<'_, (&Expr<'a>, &Expr<'a>)> = Vec::new_in(&scratch);
    open.push((left, right))?;
    while let Some((left, right)) = open.pop() {
        if std::ptr::eq(left, right) {
            continue;
        }
        if !same_node(left, right) {
            return Ok(false);
        }
        for index in 0..left.child_count() {
            if let (Some(left), Some(right)) = (left.child(index), right.child(index)) {
                open.push((left, right))?;
            }
        }
    }
    Ok(true)
}

/// Whether two nodes are the same but for their children, of which they have equally many.
fn same_node(left: &Expr<'_>, right: &Expr<'_>) -> bool {
    if left.ty != right.ty || left.child_count() != right.child_count() {
        return false;
    }
    match (left.kind, right.kind) {
        (ExprKind::Column(a), ExprKind::Column(b)) => a == b,
        (ExprKind::Literal(a), ExprKind::Literal(b)) => same_value(a, b),
        (ExprKind::Unary { op: a, .. }, ExprKind::Unary { op: b, .. }) => a == b,
        (ExprKind::Binary { op: a, .. }, ExprKind::Binary { op: b, .. }) => a == b,
        (ExprKind::Between { negated: a, .. }, ExprKind::Between { negated: b, .. })
        | (ExprKind::InList { negated: a, .. }, ExprKind::InList { negated: b, .. }) => a == b,
        (ExprKind::Like { escape: e1, negated: n1, .. }, ExprKind::Like { escape: e2, negated: n2, .. }) => {
            (e1, n1) == (e2, n2)
        }
        (ExprKind::Case { operand: a, .. }, ExprKind::Case { operand: b, .. }) => a.is_some() == b.is_some(),
        (ExprKind::Call { function: a, .. }, ExprKind::Call { function: b, .. }) => a == b,
        (a, b) => discriminant(&a) == discriminant(&b),
    }
}
