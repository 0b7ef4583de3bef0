//! Names of types, and casts that are written in the query.

use cofferdam_sql::views::{Expr as ExprView, Literal, TypeName};
use cofferdam_types::cast::can_cast;
use cofferdam_types::{Decimal, Interval, IntervalUnit, Type, Value};

use super::build::Builder;
use crate::Span;
use crate::error::{Error, NameProblem};
use crate::expr::{Expr, ExprKind, Function};

/// Types of PostgreSQL that have no values here yet.
const UNSUPPORTED: [(&str, &str); 5] = [
    ("time with time zone", "the type time with time zone"),
    ("timetz", "the type time with time zone"),
    ("bit", "the type bit"),
    ("bit varying", "the type bit varying"),
    ("money", "the type money"),
];

/// Types that have values and no operators yet.
fn without_operators(ty: Type) -> Option<&'static str> {
    Some(match ty {
        Type::Bytea => "the type bytea",
        Type::Time => "the type time",
        Type::Timestamp => "the type timestamp",
        Type::TimestampTz => "the type timestamp with time zone",
        Type::Uuid => "the type uuid",
        Type::Json => "the type json",
        Type::Jsonb => "the type jsonb",
        _ => return None,
    })
}

/// The type that a query names. Columns of files may be declared with `smallint`, `real` and `character`, and are read with
/// the next wider type.
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
    let ty = Type::from_name(name.name(), &modifiers[..count]).map_err(|cause| match cause {
        cofferdam_types::Error::UnknownType { .. } => Error::Name {
            problem: NameProblem::UndefinedType,
            name: name.name(),
            qualifier: None,
            suggestion: None,
            span,
        },
        cause => Error::Value { cause, span },
    })?;
    match (ty, without_operators(ty)) {
        (_, Some(what)) => Err(Error::NotSupported { what, span }),
        (Type::SmallInt, _) => Ok(Type::Integer),
        (Type::Real, _) => Ok(Type::Double),
        (Type::Char, _) => Ok(Type::Text),
        (Type::Numeric, _) => Ok(OPEN_NUMERIC),
        _ => Ok(ty),
    }
}

/// What a column of a file declared as `numeric` keeps.
const OPEN_NUMERIC: Type = Type::Decimal { precision: 38, scale: 10 };

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
    let to = if is_open { open_numeric(arg, span)? } else { ty };
    if !can_cast(arg.ty, to) {
        let cause = cofferdam_types::Error::CannotCast { from: arg.ty, to };
        return Err(Error::Value { cause, span });
    }
    let narrowing = Narrowing::of(name);
    if let Some(Narrowing::Unsupported(what)) = narrowing {
        return Err(Error::NotSupported { what, span });
    }
    let whole = build.cast(arg, to, span)?;
    match narrowing {
        Some(Narrowing::Characters(count)) => first_characters(build, whole, count, span),
        _ => Ok(whole),
    }
}

/// What a cast to a type takes away that the type it is kept as would hold. Columns of files may be declared with such
/// types, since they are read as they stand.
enum Narrowing {
    /// All characters but the first so many.
    Characters(i32),
    /// Digits or blanks that nothing here takes away.
    Unsupported(&'static str),
}

impl Narrowing {
    fn of(name: TypeName<'_>) -> Option<Narrowing> {
        /// Up to so many bits `float` is `real`.
        const REAL_BITS_MAX: u32 = 24;
        let modifier = name.modifiers().next().map(|modifier| match modifier {
            ExprView::Literal(Literal::Integer(node)) => node.name().parse().unwrap_or(u32::MAX),
            _ => u32::MAX,
        });
        match (name.name(), modifier) {
            ("varchar" | "character varying", Some(count)) => {
                Some(Narrowing::Characters(i32::try_from(count).unwrap_or(i32::MAX)))
            }
            ("char" | "character", _) | ("bpchar", Some(_)) => {
                Some(Narrowing::Unsupported("a cast to the type character"))
            }
            ("smallint" | "int2", _) => Some(Narrowing::Unsupported("a cast to the type smallint")),
            ("real" | "float4", _) => Some(Narrowing::Unsupported("a cast to the type real")),
            ("float", Some(bits)) if bits <= REAL_BITS_MAX => {
                Some(Narrowing::Unsupported("a cast to the type real"))
            }
            _ => None,
        }
    }
}

fn first_characters<'a>(
    build: Builder<'a>,
    text: &'a Expr<'a>,
    count: i32,
    span: Span,
) -> Result<&'a Expr<'a>, Error<'a>> {
    if let ExprKind::Literal(Value::Text(whole)) = text.kind {
        let end = whole.char_indices().nth(count as usize).map_or(whole.len(), |(at, _)| at);
        return Ok(build.literal(Value::Text(&whole[..end]), Type::Text, span)?);
    }
    let start = build.literal(Value::Integer(1), Type::Integer, span)?;
    let count = build.literal(Value::Integer(count), Type::Integer, span)?;
    build.call(Function::Substring, &[text, start, count], Type::Text, span)
}

/// What `numeric` without precision and scale means for this operand: all of its digits.
///
/// # Errors
/// 0A000 where their number is not known before the query runs, since digits would be lost.
fn open_numeric<'a>(arg: &Expr<'_>, span: Span) -> Result<Type, Error<'a>> {
    match (arg.ty, arg.kind) {
        (Type::Integer, _) => Ok(Type::Decimal { precision: 10, scale: 0 }),
        (Type::BigInt, _) => Ok(Type::Decimal { precision: 19, scale: 0 }),
        (Type::Decimal { .. }, _) => Ok(arg.ty),
        (Type::Unknown | Type::Text, ExprKind::Literal(Value::Text(text))) => {
            Ok(Decimal::parse(text.as_bytes()).map_or(OPEN_NUMERIC, Decimal::ty))
        }
        (_, ExprKind::Literal(Value::Null)) => Ok(OPEN_NUMERIC),
        (Type::Text, _) => Err(Error::NotSupported {
            what: "a cast from text to numeric without digits, such as numeric(38,10),",
            span,
        }),
        (Type::Double, _) => Err(Error::NotSupported {
            what: "a cast from double precision to numeric without digits, such as numeric(38,10),",
            span,
        }),
        _ => Ok(OPEN_NUMERIC),
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
