//! Literals: their text to values.

use cofferdam_sql::views::{self, Literal};
use cofferdam_types::{Decimal, Type, Value, number};

use super::build::Builder;
use super::type_name;
use crate::Span;
use crate::error::Error;
use crate::expr::{Expr, ExprKind};

/// A literal as a typed constant; NULL and quoted text stay of unknown type.
pub(super) fn bind<'a, 'q: 'a>(build: Builder<'a>, literal: Literal<'q>) -> Result<&'a Expr<'a>, Error<'a>> {
    let span = literal.node().span();
    let (value, ty) = match literal {
        Literal::Null(_) => (Value::Null, Type::Unknown),
        Literal::Boolean(boolean) => (Value::Boolean(boolean.value()), Type::Boolean),
        Literal::Integer(_) | Literal::Number(_) => {
            let value = parse_number(build, literal.text(), span)?;
            (value, value.ty())
        }
        Literal::String(_) => (Value::Text(literal.text()), Type::Unknown),
        Literal::BitString(_) => return Err(Error::NotSupported { what: "a bit string", span }),
        Literal::Typed(typed) => return bind_typed(build, typed),
    };
    Ok(build.literal(value, ty, span)?)
}

/// `DATE '…'` and the like.
fn bind_typed<'a, 'q: 'a>(
    build: Builder<'a>,
    typed: views::TypedLiteral<'q>,
) -> Result<&'a Expr<'a>, Error<'a>> {
    let span = typed.span();
    let name = typed.type_name();
    let text = build.literal(Value::Text(typed.text()), Type::Unknown, span)?;
    type_name::cast(build, text, name, span)
}

/// A number as PostgreSQL reads it: integer, bigint or numeric, the first that holds it.
fn parse_number<'a>(build: Builder<'a>, text: &'a str, span: Span) -> Result<Value<'a>, Error<'a>> {
    let value = |cause| Error::Value { cause, span };
    if let Some((digits, radix)) = with_radix(text) {
        return whole_number(digits, radix)
            .ok_or(())
            .or_else(|()| Decimal::parse(text.as_bytes()).map(Value::Decimal).map_err(value));
    }
    if !text.contains('_') {
        return parse_decimal(text).map_err(value);
    }
    let mut plain = cofferdam_arena::collections::String::new_in(build.arena);
    for part in text.split('_') {
        plain.push_str(part)?;
    }
    parse_decimal(plain.as_str()).map_err(value)
}

/// A number without `_`. One with an exponent that `numeric` does not hold is of double precision, where PostgreSQL's `numeric` goes on.
fn parse_decimal(text: &str) -> Result<Value<'static>, cofferdam_types::Error> {
    number::parse_literal(text).or_else(|cause| match text.parse::<f64>() {
        Ok(double) if text.contains(['e', 'E']) && double.is_finite() && double != 0.0 => {
            Ok(Value::Double(double))
        }
        _ => Err(cause),
    })
}

/// The least integer and the least bigint: a minus and digits that are only in range together, which PostgreSQL reads
/// as one number. `arg` is the bound operand of `unary`.
pub(super) fn negated<'a>(unary: views::Unary<'_>, arg: &Expr<'a>) -> Option<Value<'a>> {
    const INTEGER_MAX: i64 = i32::MAX as i64;
    const BIGINT_MAX: i128 = i64::MAX as i128;
    let views::Expr::Literal(Literal::Integer(_) | Literal::Number(_)) = unary.operand() else { return None };
    match arg.kind {
        ExprKind::Literal(Value::BigInt(value)) if value == INTEGER_MAX + 1 => Some(Value::Integer(i32::MIN)),
        ExprKind::Literal(Value::Decimal(value))
            if value.unscaled() == BIGINT_MAX + 1 && value.scale() == 0 =>
        {
            Some(Value::BigInt(i64::MIN))
        }
        _ => None,
    }
}

/// `0x1F`, `0o17`, `0b11`: the digits and their radix.
fn with_radix(text: &str) -> Option<(&str, u32)> {
    let radix = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => 16,
        [b'0', b'o' | b'O', ..] => 8,
        [b'0', b'b' | b'B', ..] => 2,
        _ => return None,
    };
    text.get(2..).map(|digits| (digits, radix))
}

/// A whole number of some radix; `None` beyond 38 decimal digits.
fn whole_number(digits: &str, radix: u32) -> Option<Value<'static>> {
    let digits = digits.chars().filter(|c| *c != '_');
    let value = digits.into_iter().try_fold(0i128, |sum, digit| {
        sum.checked_mul(radix.into())?.checked_add(digit.to_digit(radix)?.into())
    })?;
    if let Ok(small) = i32::try_from(value) {
        return Some(Value::Integer(small));
    }
    if let Ok(middle) = i64::try_from(value) {
        return Some(Value::BigInt(middle));
    }
    Decimal::new(value, 0).ok().map(Value::Decimal)
}

/// The character behind `ESCAPE`; `None` when it is empty.
pub(super) fn escape<'a>(escape: &'a Expr<'a>) -> Result<Option<char>, Error<'a>> {
    let span = escape.span;
    let ExprKind::Literal(Value::Text(text)) = escape.kind else {
        return Err(Error::NotSupported { what: "an ESCAPE that is not a constant text", span });
    };
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (first, None) => Ok(first),
        _ => Err(Error::BadEscape { span }),
    }
}
