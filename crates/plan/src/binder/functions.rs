//! Functions by name and argument types.

use cofferdam_arena::collections::Vec;
use cofferdam_sql::views::{Call, CallForm};
use cofferdam_types::{Type, Value};

use super::build::Builder;
use super::suggest::Suggestion;
use crate::Span;
use crate::error::{Error, NameProblem};
use crate::expr::{BinaryOp, DateField, Expr, ExprKind, Function};

/// Every function that can be called by name.
const NAMES: [&str; 27] = [
    "abs",
    "avg",
    "btrim",
    "ceil",
    "ceiling",
    "char_length",
    "character_length",
    "coalesce",
    "count",
    "floor",
    "greatest",
    "least",
    "length",
    "lower",
    "ltrim",
    "max",
    "min",
    "mod",
    "nullif",
    "round",
    "rtrim",
    "substr",
    "substring",
    "sum",
    "trim",
    "upper",
    "extract",
];

/// Parts of the grammar that look like calls and are not here yet.
const UNSUPPORTED: [(&str, &str); 18] = [
    ("position", "POSITION"),
    ("overlay", "OVERLAY"),
    ("current_date", "CURRENT_DATE"),
    ("current_time", "CURRENT_TIME"),
    ("current_timestamp", "CURRENT_TIMESTAMP"),
    ("localtime", "LOCALTIME"),
    ("localtimestamp", "LOCALTIMESTAMP"),
    ("current_catalog", "CURRENT_CATALOG"),
    ("current_role", "CURRENT_ROLE"),
    ("current_schema", "CURRENT_SCHEMA"),
    ("current_user", "CURRENT_USER"),
    ("session_user", "SESSION_USER"),
    ("system_user", "SYSTEM_USER"),
    ("user", "USER"),
    ("normalize", "NORMALIZE"),
    ("grouping", "GROUPING"),
    ("merge_action", "MERGE_ACTION"),
    ("collation for", "COLLATION FOR"),
];

/// The call of a function that is no aggregate, with its bound arguments.
///
/// # Errors
/// 42883 when no function of this name takes these arguments; 0A000 for what PostgreSQL has and this lacks.
pub(super) fn bind<'a, 'q: 'a>(
    build: Builder<'a>,
    call: Call<'q>,
    args: &[&'a Expr<'a>],
) -> Result<&'a Expr<'a>, Error<'a>> {
    let (name, span) = (call.name(), call.span());
    if let Some((_, what)) = UNSUPPORTED.iter().find(|(known, _)| call.is_keyword() && *known == name) {
        return Err(Error::NotSupported { what, span });
    }
    if call.is_distinct() || call.is_star() || call.schema().is_some_and(|schema| schema != "pg_catalog") {
        return Err(undefined(build, name, args, span));
    }
    let bound = match call.form() {
        CallForm::Plain => by_name(build, name, args, span)?,
        CallForm::SubstringFrom => substring(build, args, span)?,
        CallForm::SubstringFor => substring_for(build, args, span)?,
        CallForm::TrimBoth => trim(build, Function::TrimBoth, args, span, true)?,
        CallForm::TrimLeading => trim(build, Function::TrimLeading, args, span, true)?,
        CallForm::TrimTrailing => trim(build, Function::TrimTrailing, args, span, true)?,
        CallForm::Position => return Err(Error::NotSupported { what: "POSITION", span }),
        CallForm::Overlay => return Err(Error::NotSupported { what: "OVERLAY", span }),
        CallForm::SubstringForFrom => substring_for_from(build, args, span)?,
        CallForm::SubstringSimilar => {
            return Err(Error::NotSupported { what: "SUBSTRING with SIMILAR", span });
        }
        CallForm::NormalizeNfc
        | CallForm::NormalizeNfd
        | CallForm::NormalizeNfkc
        | CallForm::NormalizeNfkd => return Err(Error::NotSupported { what: "NORMALIZE", span }),
    };
    bound.ok_or(()).map_err(|()| undefined(build, name, args, span))
}

/// `None` when the arguments do not fit or the name is unknown.
type Bound<'a> = Result<Option<&'a Expr<'a>>, Error<'a>>;

fn by_name<'a>(build: Builder<'a>, name: &str, args: &[&'a Expr<'a>], span: Span) -> Bound<'a> {
    match name {
        "lower" => texts(build, Function::Lower, args, 1, Type::Text, span),
        "upper" => texts(build, Function::Upper, args, 1, Type::Text, span),
        "length" | "char_length" | "character_length" => {
            texts(build, Function::Length, args, 1, Type::Integer, span)
        }
        "substring" | "substr" => substring(build, args, span),
        "btrim" | "trim" => trim(build, Function::TrimBoth, args, span, false),
        "ltrim" => trim(build, Function::TrimLeading, args, span, false),
        "rtrim" => trim(build, Function::TrimTrailing, args, span, false),
        "abs" => abs(build, args, span),
        "round" => round(build, args, span),
        "floor" => whole(build, Function::Floor, args, span),
        "ceil" | "ceiling" => whole(build, Function::Ceil, args, span),
        "mod" => modulo(build, args, span),
        "coalesce" => of_one_type(build, Function::Coalesce, "COALESCE", args, span),
        "greatest" => of_one_type(build, Function::Greatest, "GREATEST", args, span),
        "least" => of_one_type(build, Function::Least, "LEAST", args, span),
        "nullif" => null_if(build, args, span),
        _ => Ok(None),
    }
}

/// A function of texts alone.
fn texts<'a>(
    build: Builder<'a>,
    function: Function,
    args: &[&'a Expr<'a>],
    count: usize,
    ty: Type,
    span: Span,
) -> Bound<'a> {
    if args.len() != count || !args.iter().all(|arg| arg.ty.is_implicit_to(Type::Text)) {
        return Ok(None);
    }
    let args = build.cast_all(args, Type::Text)?;
    build.call(function, args, ty, span).map(Some)
}

/// `(text, start)` or `(text, start, count)`.
fn substring<'a>(build: Builder<'a>, args: &[&'a Expr<'a>], span: Span) -> Bound<'a> {
    let Some((text, numbers @ ([_] | [_, _]))) = args.split_first() else { return Ok(None) };
    if !text.ty.is_implicit_to(Type::Text) || !numbers.iter().all(|arg| arg.ty.is_implicit_to(Type::Integer))
    {
        return Ok(None);
    }
    let mut all = Vec::with_capacity_in(3, build.arena)?;
    all.push(build.cast(text, Type::Text, text.span)?)?;
    all.extend_from_slice(build.cast_all(numbers, Type::Integer)?)?;
    build.call(Function::Substring, &all, Type::Text, span).map(Some)
}

/// `SUBSTRING(text FOR count)` counts from the first character.
fn substring_for<'a>(build: Builder<'a>, args: &[&'a Expr<'a>], span: Span) -> Bound<'a> {
    let [text, count] = *args else { return Ok(None) };
    let start = build.literal(Value::Integer(1), Type::Integer, span)?;
    substring(build, &[text, start, count], span)
}

/// `SUBSTRING(text FOR count FROM start)`.
fn substring_for_from<'a>(build: Builder<'a>, args: &[&'a Expr<'a>], span: Span) -> Bound<'a> {
    let [text, count, start] = *args else { return Ok(None) };
    substring(build, &[text, start, count], span)
}

/// `(text)` or `(text, characters)`; where `TRIM(… FROM …)` was written the text comes last.
fn trim<'a>(
    build: Builder<'a>,
    function: Function,
    args: &[&'a Expr<'a>],
    span: Span,
    text_is_last: bool,
) -> Bound<'a> {
    let (text, characters) = match *args {
        [text] => (text, build.literal(Value::Text(" "), Type::Text, span)?),
        [characters, text] if text_is_last => (text, characters),
        [text, characters] => (text, characters),
        _ => return Ok(None),
    };
    texts(build, function, &[text, characters], 2, Type::Text, span)
}

fn abs<'a>(build: Builder<'a>, args: &[&'a Expr<'a>], span: Span) -> Bound<'a> {
    match args {
        [arg] if arg.ty.is_numeric() => build.call(Function::Abs, args, arg.ty, span).map(Some),
        [arg] if arg.ty == Type::Unknown => {
            let arg = build.cast(arg, Type::Double, arg.span)?;
            build.call(Function::Abs, &[arg], Type::Double, span).map(Some)
        }
        _ => Ok(None),
    }
}

/// `(decimal)`, `(double)`, or `(decimal, digits)`.
fn round<'a>(build: Builder<'a>, args: &[&'a Expr<'a>], span: Span) -> Bound<'a> {
    let [arg, digits] = *args else { return whole(build, Function::Round, args, span) };
    let exact = match arg.ty {
        Type::Integer => Type::Decimal { precision: 10, scale: 0 },
        Type::BigInt => Type::Decimal { precision: 19, scale: 0 },
        Type::Decimal { .. } => arg.ty,
        _ => return Ok(None),
    };
    let digits = match digits.kind {
        _ if !digits.ty.is_implicit_to(Type::Integer) => return Ok(None),
        ExprKind::Literal(Value::Integer(digits)) => digits,
        _ => {
            return Err(Error::NotSupported {
                what: "round to a number of digits that is not constant",
                span,
            });
        }
    };
    let Type::Decimal { precision, scale } = exact else { return Ok(None) };
    let kept = u8::try_from(digits.clamp(0, 38)).unwrap_or(0);
    if digits < 0 {
        return Err(Error::NotSupported { what: "round to a negative number of digits", span });
    }
    // One digit more before the point: 9.99 rounds to 10.0. More digits than there are pad with zeros.
    let precision = (precision - scale + 1).saturating_add(kept).min(Type::DECIMAL_DIGITS_MAX).max(kept);
    let arg = build.cast(arg, exact, arg.span)?;
    build.call(Function::Round, &[arg], Type::Decimal { precision, scale: kept }, span).map(Some)
}

/// Functions to whole numbers: of integers in double precision, as PostgreSQL has it.
fn whole<'a>(build: Builder<'a>, function: Function, args: &[&'a Expr<'a>], span: Span) -> Bound<'a> {
    let [arg] = *args else { return Ok(None) };
    let ty = match arg.ty {
        Type::Integer | Type::BigInt | Type::Double | Type::Unknown => Type::Double,
        Type::Decimal { precision, scale } => {
            Type::Decimal { precision: (precision - scale + 1).min(Type::DECIMAL_DIGITS_MAX), scale: 0 }
        }
        _ => return Ok(None),
    };
    let arg = if ty == Type::Double { build.cast(arg, Type::Double, arg.span)? } else { arg };
    build.call(function, &[arg], ty, span).map(Some)
}

fn modulo<'a>(build: Builder<'a>, args: &[&'a Expr<'a>], span: Span) -> Bound<'a> {
    let fits = |arg: &Expr<'a>| arg.ty.is_numeric() || arg.ty == Type::Unknown;
    match *args {
        [left, right] if fits(left) && fits(right) && (left.ty.is_numeric() || right.ty.is_numeric()) => {
            build.arithmetic(BinaryOp::Modulo, left, right, span).map(Some)
        }
        _ => Ok(None),
    }
}

/// A function of one or more arguments, which become one type, to a value of that type.
fn of_one_type<'a>(
    build: Builder<'a>,
    function: Function,
    construct: &'static str,
    args: &[&'a Expr<'a>],
    span: Span,
) -> Bound<'a> {
    if args.is_empty() {
        return Ok(None);
    }
    let ty = build.common_type(args.iter().copied(), construct)?;
    let args = build.cast_all(args, ty)?;
    build.call(function, args, ty, span).map(Some)
}

fn null_if<'a>(build: Builder<'a>, args: &[&'a Expr<'a>], span: Span) -> Bound<'a> {
    let [left, right] = *args else { return Ok(None) };
    let ty = left.ty.common_type(right.ty).map_err(|_| Error::UndefinedOperator {
        operator: BinaryOp::Equal.symbol(),
        left: Some(left.ty),
        right: right.ty,
        span,
    })?;
    let args = build.cast_all(args, ty)?;
    build.call(Function::NullIf, args, ty, span).map(Some)
}

/// `EXTRACT(field FROM source)`.
pub(super) fn extract<'a, 'q: 'a>(
    build: Builder<'a>,
    field: &'q str,
    source: &'a Expr<'a>,
    span: Span,
) -> Result<&'a Expr<'a>, Error<'a>> {
    let Some(field) = date_field(field) else {
        let (name, problem) = (field, NameProblem::UndefinedField);
        return Err(Error::Name { problem, name, qualifier: None, suggestion: None, span });
    };
    if source.ty != Type::Date {
        return Err(undefined(build, "extract", &[source], span));
    }
    // 20 digits hold the seconds of any date.
    build.call(Function::Extract(field), &[source], Type::Decimal { precision: 20, scale: 0 }, span)
}

fn date_field(name: &str) -> Option<DateField> {
    const FIELDS: [(&str, DateField); 12] = [
        ("century", DateField::Century),
        ("day", DateField::Day),
        ("decade", DateField::Decade),
        ("dow", DateField::DayOfWeek),
        ("doy", DateField::DayOfYear),
        ("epoch", DateField::Epoch),
        ("isodow", DateField::IsoDayOfWeek),
        ("isoyear", DateField::IsoYear),
        ("month", DateField::Month),
        ("quarter", DateField::Quarter),
        ("week", DateField::Week),
        ("year", DateField::Year),
    ];
    FIELDS.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, field)| *field)
}

/// 42883, with the nearest name when there is no function of this one.
pub(super) fn undefined<'a>(
    build: Builder<'a>,
    name: &'a str,
    args: &[&'a Expr<'a>],
    span: Span,
) -> Error<'a> {
    let mut nearest = Suggestion::new(name);
    if !NAMES.contains(&name) {
        NAMES.iter().for_each(|known| nearest.offer(known));
    }
    let suggestion = nearest.best();
    match build.arena.alloc_slice_fill_with(args.len(), |index| args[index].ty) {
        Ok(arguments) => Error::UndefinedFunction { name, arguments, suggestion, span },
        Err(error) => Error::OutOfMemory(error),
    }
}
