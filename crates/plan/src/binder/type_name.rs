//! Names of types, and casts that are written in the query.

use cofferdam_sql::views::{Expr as ExprView, Literal, TypeName};
use cofferdam_types::cast::can_cast;
use cofferdam_types::{Interval, IntervalUnit, Type, Value};

use super::build::Builder;
use super::functions;
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

/// The type that a column of a file is read with: `smallint`, `real` and `character` with the next wider type, as they stand.
///
/// # Errors
/// Those of [`bind`]; 0A000 for types that fields are not read as.
pub(super) fn bind_of_file<'a, 'q: 'a>(name: TypeName<'q>) -> Result<Type, Error<'a>> {
    match bind(name)? {
        Type::SmallInt => Ok(Type::Integer),
        Type::Real => Ok(Type::Double),
        Type::Char => Ok(Type::Text),
        Type::Numeric => Ok(OPEN_NUMERIC),
        ty => Ok(ty),
    }
}

/// The type that a query names.
///
/// # Errors
/// 42704 for an unknown name, 22023 for modifiers that do not do, 0A000 for types that are not here yet.
pub(super) fn bind<'a, 'q: 'a>(name: TypeName<'q>) -> Result<Type, Error<'a>> {
    let span = name.span();
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
    match name.array_dimensions() {
        0 => Ok(ty),
        _ => ty.array().ok_or(Error::NotSupported { what: "an array of this type", span }),
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
    let to = match (bind(name)?, arg.ty) {
        // Its digits are those that it has.
        (Type::Numeric, Type::Decimal { .. }) => arg.ty,
        (to, _) => to,
    };
    if !can_cast(arg.ty, to) {
        let cause = cofferdam_types::Error::CannotCast { from: arg.ty, to };
        return Err(Error::Value { cause, span });
    }
    let narrowing = Narrowing::of(name, to);
    let whole = match name.interval_fields() {
        "" => build.cast(arg, to, span)?,
        _ => of_fields(build, arg, name, span)?,
    };
    match narrowing {
        Some(_) if matches!(to, Type::Array(_)) => {
            Err(Error::NotSupported { what: "a cast to an array of a type with a length", span })
        }
        Some(Narrowing::Characters(count)) => first_characters(build, whole, count, span),
        Some(Narrowing::Padded(count)) => with_count(build, Function::PadCharacters, whole, count, span),
        Some(Narrowing::Seconds(digits)) => with_count(build, Function::RoundSeconds, whole, digits, span),
        None => Ok(whole),
    }
}

/// The cast that a call like `float8(x)` means, of a type that is called so; nothing where there is none.
///
/// # Errors
/// The cause's code when a quoted literal is no value of the type.
pub(super) fn cast_by_call<'a>(
    build: Builder<'a>,
    name: &str,
    arg: &'a Expr<'a>,
    span: Span,
) -> Result<Option<&'a Expr<'a>>, Error<'a>> {
    let Ok(to) = Type::from_name(name, &[]) else { return Ok(None) };
    if name.contains(' ') || !can_cast(arg.ty, to) || matches!(arg.kind, ExprKind::Row(_)) {
        return Ok(None);
    }
    build.cast(arg, to, span).map(Some)
}

/// What a cast to a type takes away or adds that is no part of the type.
enum Narrowing {
    /// All characters but the first so many.
    Characters(i32),
    /// Exactly so many characters.
    Padded(i32),
    /// All digits of seconds but so many.
    Seconds(i32),
}

impl Narrowing {
    fn of(name: TypeName<'_>, ty: Type) -> Option<Narrowing> {
        let modifier = name.modifiers().next().map(|modifier| match modifier {
            ExprView::Literal(Literal::Integer(node)) => node.name().parse().unwrap_or(i32::MAX),
            _ => i32::MAX,
        });
        let element = if let Type::Array(element) = ty { element.ty() } else { ty };
        match (element, modifier) {
            (Type::Text, Some(count)) => Some(Narrowing::Characters(count)),
            (Type::Char, Some(count)) => Some(Narrowing::Padded(count)),
            (Type::Char, None) if name.name() != "bpchar" => Some(Narrowing::Padded(1)),
            (Type::Time | Type::Timestamp | Type::TimestampTz | Type::Interval, Some(digits)) => {
                Some(Narrowing::Seconds(digits))
            }
            _ => None,
        }
    }
}

/// A function of a value and a constant.
fn with_count<'a>(
    build: Builder<'a>,
    function: Function,
    value: &'a Expr<'a>,
    count: i32,
    span: Span,
) -> Result<&'a Expr<'a>, Error<'a>> {
    let count = build.literal(Value::Integer(count), Type::Integer, span)?;
    build.call(function, &[value, count], value.ty, span)
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

/// An interval of the fields that its type names: a quoted one is read as these say, and nothing below the last of them is left.
fn of_fields<'a, 'q: 'a>(
    build: Builder<'a>,
    arg: &'a Expr<'a>,
    name: TypeName<'q>,
    span: Span,
) -> Result<&'a Expr<'a>, Error<'a>> {
    let fields = name.interval_fields();
    let not_here = |what| Err(Error::NotSupported { what, span });
    let Some(unit) = IntervalUnit::from_name(fields) else { return not_here("an interval of these fields") };
    if name.array_dimensions() > 0 {
        return not_here("a cast to an array of intervals of some fields");
    }
    if let (ExprKind::Literal(Value::Text(text)), Type::Unknown) = (arg.kind, arg.ty) {
        let value = match fields {
            "minute to second" => Interval::parse_minutes_and_seconds(text),
            _ => Interval::parse_unit(text, unit),
        };
        let value = value.map_err(|cause| Error::Value { cause, span: arg.span })?;
        return Ok(build.literal(Value::Interval(value), Type::Interval, span)?);
    }
    let whole = build.cast(arg, Type::Interval, span)?;
    let field = match unit {
        IntervalUnit::Year => "year",
        IntervalUnit::Month => "month",
        IntervalUnit::Day => "day",
        IntervalUnit::Hour => "hour",
        IntervalUnit::Minute => "minute",
        _ => return Ok(whole),
    };
    let field = build.literal(Value::Text(field), Type::Text, span)?;
    functions::by_table(build, "date_trunc", &[field, whole], span)
}
