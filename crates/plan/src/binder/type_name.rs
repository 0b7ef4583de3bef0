//! Names of types, and casts that are written in the query.

use cofferdam_sql::views::{Expr as ExprView, Literal, TypeName};
use cofferdam_types::cast::can_cast;
use cofferdam_types::{Decimal, Interval, IntervalUnit, Type, Value};

use super::build::Builder;
use crate::Span;
use crate::error::{Error, NameProblem};
use crate::expr::{Expr, ExprKind};

/// Types of PostgreSQL that have no values here yet.
const UNSUPPORTED: [(&str, &str); 14] = [
    ("timestamp without time zone", "the type timestamp"),
    ("timestamp with time zone", "the type timestamp with time zone"),
    ("time without time zone", "the type time"),
    ("time with time zone", "the type time with time zone"),
    ("timestamp", "the type timestamp"),
    ("timestamptz", "the type timestamptz"),
    ("time", "the type time"),
    ("bit", "the type bit"),
    ("bit varying", "the type bit varying"),
    ("bytea", "the type bytea"),
    ("uuid", "the type uuid"),
    ("json", "the type json"),
    ("jsonb", "the type jsonb"),
    ("money", "the type money"),
];

/// The type that a query names. `numeric` without precision and scale is `Type::NUMERIC`.
///
/// # Errors
/// 42704 for an unknown name, 22023 for modifiers that do not do, 0A000 for types that are not here yet.
pub(super) fn bind<'a, 'q: 'a>(name: TypeName<'q>) -> Result<Type, Error<'a>> {
    let span = name.span();
    if name.array_dimensions() > 0 {
        return Err(Error::NotSupported { what: "an array type", span });
    }
    if let Some((_, what)) = UNSUPPORTED.iter().find(|(known, _)| *known == name.name()) {
        return Err(Error::NotSupported { what, span });
    }
    let mut modifiers = [0u32; 3];
    let mut count = 0;
    for modifier in name.modifiers() {
        let ExprView::Literal(Literal::Integer(node)) = modifier else {
            return Err(Error::NotSupported {
                what: "a type modifier that is not a number",
                span: modifier.span(),
            });
        };
        let slot = modifiers.get_mut(count);
        let too_many = Error::NotSupported { what: "a type with more than three modifiers", span };
        *slot.ok_or(too_many)? = node.name().parse().unwrap_or(u32::MAX);
        count += 1;
    }
    Type::from_name(name.name(), &modifiers[..count]).map_err(|cause| match cause {
        cofferdam_types::Error::UnknownType { .. } => Error::Name {
            problem: NameProblem::UndefinedType,
            name: name.name(),
            qualifier: None,
            suggestion: None,
            span,
        },
        cause => Error::Value { cause, span },
    })
}

/// A cast that the query asks for.
///
/// # Errors
/// What [`bind`] says about the name; 42846 when there is no such cast; the cause's code when a quoted literal is no
/// value of the type.
pub(super) fn cast<'a, 'q: 'a>(
    build: Builder<'a>,
    arg: &'a Expr<'a>,
    name: TypeName<'q>,
    span: Span,
) -> Result<&'a Expr<'a>, Error<'a>> {
    let ty = bind(name)?;
    let is_open = matches!(ty, Type::Decimal { .. }) && name.modifiers().next().is_none();
    let to = if is_open { open_numeric(arg) } else { ty };
    if !can_cast(arg.ty, to) {
        let cause = cofferdam_types::Error::CannotCast { from: arg.ty, to };
        return Err(Error::Value { cause, span });
    }
    build.cast(arg, to, span)
}

/// What `numeric` without precision and scale means for this operand: all of its digits, where their number is known.
fn open_numeric(arg: &Expr<'_>) -> Type {
    match (arg.ty, arg.kind) {
        (Type::Integer, _) => Type::Decimal { precision: 10, scale: 0 },
        (Type::BigInt, _) => Type::Decimal { precision: 19, scale: 0 },
        (Type::Decimal { .. }, _) => arg.ty,
        (Type::Unknown | Type::Text, ExprKind::Literal(Value::Text(text))) => {
            Decimal::parse(text.as_bytes()).map_or(Type::NUMERIC, Decimal::ty)
        }
        _ => Type::NUMERIC,
    }
}

/// The value of `INTERVAL '…' unit`.
pub(super) fn interval<'a, 'q: 'a>(
    text: &'q str,
    name: TypeName<'q>,
    span: Span,
) -> Result<Value<'a>, Error<'a>> {
    let Some(unit) = IntervalUnit::from_name(name.interval_fields()) else {
        return Err(Error::NotSupported {
            what: "an interval with hours, minutes, seconds or a range of fields",
            span,
        });
    };
    Interval::parse_unit(text, unit).map(Value::Interval).map_err(|cause| Error::Value { cause, span })
}
