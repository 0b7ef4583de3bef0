//! Functions by name and argument types.

use cofferdam_arena::collections::Vec;
use cofferdam_sql::views::{Call, CallForm};
use cofferdam_types::datetime::Field;
use cofferdam_types::{Type, Value};

use super::build::{Builder, common, differ_in_scale, is_implicit};
pub(super) use super::calls::{ResolvedAggregate, aggregate, range_offset, set_named, set_returning, window};
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

/// Parts of the grammar that look like calls and are not here.
const UNSUPPORTED: [(&str, &str); 6] = [
    ("current_time", "CURRENT_TIME"),
    ("system_user", "SYSTEM_USER"),
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
        CallForm::TrimBoth => trim(build, Function::TrimBoth, args, span, call.has_text_behind())?,
        CallForm::TrimLeading => trim(build, Function::TrimLeading, args, span, call.has_text_behind())?,
        CallForm::TrimTrailing => trim(build, Function::TrimTrailing, args, span, call.has_text_behind())?,
        CallForm::Position => match *args {
            [part, text] => return by_table(build, name, &[text, part], span),
            _ => None,
        },
        CallForm::Overlay => None,
        CallForm::SubstringForFrom => substring_for_from(build, args, span)?,
        CallForm::SubstringSimilar => None,
        CallForm::NormalizeNfc
        | CallForm::NormalizeNfd
        | CallForm::NormalizeNfkc
        | CallForm::NormalizeNfkd => return Err(Error::NotSupported { what: "NORMALIZE", span }),
    };
    match bound {
        Some(bound) => Ok(bound),
        None => by_table(build, name, args, span),
    }
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
    if args.len() != count || !args.iter().all(|arg| is_implicit(arg.ty, Type::Text)) {
        return Ok(None);
    }
    let args = build.cast_all(args, Type::Text)?;
    build.call(function, args, ty, span).map(Some)
}

/// `(text, start)` or `(text, start, count)`.
fn substring<'a>(build: Builder<'a>, args: &[&'a Expr<'a>], span: Span) -> Bound<'a> {
    let Some((text, numbers @ ([_] | [_, _]))) = args.split_first() else { return Ok(None) };
    if !is_implicit(text.ty, Type::Text)
        || !numbers.iter().all(|arg| is_implicit(arg.ty, Type::Integer) && arg.ty != Type::Unknown)
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
        [arg] if has_loop(arg.ty) => build.call(Function::Abs, args, arg.ty, span).map(Some),
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
        ExprKind::Literal(Value::Integer(digits)) if digits >= 0 => digits,
        _ => return Ok(None),
    };
    let Type::Decimal { precision, scale } = exact else { return Ok(None) };
    let kept = u8::try_from(digits.clamp(0, 38)).unwrap_or(0);
    // One digit more before the point: 9.99 rounds to 10.0. More digits than there are pad with zeros.
    let precision = (precision - scale + 1).saturating_add(kept).min(Type::DECIMAL_DIGITS_MAX).max(kept);
    let arg = build.cast(arg, exact, arg.span)?;
    build.call(Function::Round, &[arg], Type::Decimal { precision, scale: kept }, span).map(Some)
}

/// Functions to whole numbers: of integers in double precision, as PostgreSQL has it.
fn whole<'a>(build: Builder<'a>, function: Function, args: &[&'a Expr<'a>], span: Span) -> Bound<'a> {
    let [arg] = *args else { return Ok(None) };
    let ty = match arg.ty {
        Type::SmallInt | Type::Integer | Type::BigInt | Type::Real | Type::Double | Type::Unknown => {
            Type::Double
        }
        Type::Decimal { precision, scale } => {
            Type::Decimal { precision: (precision - scale + 1).min(Type::DECIMAL_DIGITS_MAX), scale: 0 }
        }
        _ => return Ok(None),
    };
    let arg = if ty == Type::Double { build.cast(arg, Type::Double, arg.span)? } else { arg };
    build.call(function, &[arg], ty, span).map(Some)
}

/// Whether the executor has a loop for functions of such numbers; the rest is in the table of functions.
fn has_loop(ty: Type) -> bool {
    matches!(ty, Type::Integer | Type::BigInt | Type::Decimal { .. } | Type::Double)
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
    let ty = common(left.ty, right.ty).ok_or(Error::UndefinedOperator {
        operator: BinaryOp::Equal.symbol(),
        left: Some(left.ty),
        right: right.ty,
        span,
    })?;
    // Where they are not equal the first comes out as it is.
    let ty = if ty.is_exact_fraction() && differ_in_scale(left.ty, ty) { Type::Numeric } else { ty };
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
    if source.ty == Type::Date && Field::parse(field).is_none() {
        let (name, problem) = (field, NameProblem::UndefinedField);
        return Err(Error::Name { problem, name, qualifier: None, suggestion: None, span });
    }
    let Some(field) = date_field(field).filter(|_| source.ty == Type::Date) else {
        let name = build.literal(Value::Text(field), Type::Text, span)?;
        return by_table(build, "extract", &[name, source], span);
    };
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

/// A symbol that is no fast operator, as an operator of these operands.
///
/// # Errors
/// 42883 when there is none, 42725 when there are several.
pub(super) fn operator<'a>(
    build: Builder<'a>,
    symbol: &'a str,
    left: Option<&'a Expr<'a>>,
    right: &'a Expr<'a>,
    span: Span,
) -> Result<&'a Expr<'a>, Error<'a>> {
    let is_text = |arg: &Expr<'_>| matches!(arg.ty, Type::Text | Type::Char | Type::Unknown);
    if let Some(left) = left.filter(|left| is_text(left) && is_text(right)) {
        // What LIKE and ILIKE stand for.
        match symbol {
            "~~" | "!~~" => return build.like([left, right], Some('\\'), symbol == "!~~", span),
            "~~*" | "!~~*" => return ilike(build, [left, right], None, symbol == "!~~*", span),
            _ => {}
        }
    }
    match cofferdam_functions::resolve_operator(symbol, left.map(|left| left.ty), right.ty) {
        Ok(resolved) => match left {
            Some(left) => scalar(build, resolved, &[left, right], span),
            None => scalar(build, resolved, &[right], span),
        },
        Err(cofferdam_functions::NotResolved::Ambiguous) => Err(Error::Source {
            sqlstate: "42725",
            message: "operator is not unique: could not choose a best candidate operator",
            span,
        }),
        Err(_) => {
            let left = left.map(|left| left.ty);
            Err(Error::UndefinedOperator { operator: symbol, left, right: right.ty, span })
        }
    }
}

/// A call of an entry of the table of functions, with its arguments cast to what it takes.
fn scalar<'a>(
    build: Builder<'a>,
    resolved: cofferdam_functions::Resolved,
    args: &[&'a Expr<'a>],
    span: Span,
) -> Result<&'a Expr<'a>, Error<'a>> {
    let mut cast = Vec::with_capacity_in(args.len(), build.arena)?;
    for (index, arg) in args.iter().enumerate() {
        cast.push(build.cast(arg, resolved.argument(index, arg.ty), arg.span)?)?;
    }
    build.call(Function::Scalar(resolved.id), &cast, resolved.result, span)
}

/// The types of arguments.
pub(super) fn types_of<'a>(build: Builder<'a>, args: &[&'a Expr<'a>]) -> Result<&'a [Type], Error<'a>> {
    Ok(build.arena.alloc_slice_from_iter(args.iter().map(|arg| arg.ty))?)
}

/// A call by name of an entry of the table of functions.
pub(super) fn by_table<'a>(
    build: Builder<'a>,
    name: &'a str,
    args: &[&'a Expr<'a>],
    span: Span,
) -> Result<&'a Expr<'a>, Error<'a>> {
    match cofferdam_functions::resolve(name, types_of(build, args)?) {
        Ok(resolved) => scalar(build, resolved, args, span),
        Err(error) => match *args {
            [arg] => match super::type_name::cast_by_call(build, name, arg, span)? {
                Some(cast) => Ok(cast),
                None => Err(not_resolved(build, error, name, args, span)),
            },
            _ => Err(not_resolved(build, error, name, args, span)),
        },
    }
}

/// The error of a call that means nothing.
pub(super) fn not_resolved<'a>(
    build: Builder<'a>,
    error: cofferdam_functions::NotResolved,
    name: &'a str,
    args: &[&'a Expr<'a>],
    span: Span,
) -> Error<'a> {
    use cofferdam_functions::NotResolved;
    let message = match error {
        NotResolved::NoSuchName | NotResolved::NoMatch => return undefined(build, name, args, span),
        NotResolved::Ambiguous => "function is not unique: could not choose a best candidate function",
        NotResolved::Undetermined => "could not determine polymorphic type because input has type unknown",
        NotResolved::TooManyArguments => "cannot pass more than 100 arguments to a function",
    };
    Error::Source { sqlstate: error.sqlstate(), message, span }
}

/// `ILIKE`: both sides in lower case.
pub(super) fn ilike<'a>(
    build: Builder<'a>,
    operands: [&'a Expr<'a>; 2],
    escape: Option<&'a Expr<'a>>,
    negated: bool,
    span: Span,
) -> Result<&'a Expr<'a>, Error<'a>> {
    let escape = match escape {
        None => Some('\\'),
        Some(escape) => super::literal::escape(escape)?,
    };
    let is_text = |ty| matches!(ty, Type::Text | Type::Char | Type::Unknown);
    let [text, pattern] = operands;
    if !is_text(text.ty) || !is_text(pattern.ty) {
        let operator = if negated { "!~~*" } else { "~~*" };
        return Err(Error::UndefinedOperator { operator, left: Some(text.ty), right: pattern.ty, span });
    }
    let lower = |arg: &'a Expr<'a>| {
        let arg = build.cast(arg, Type::Text, arg.span)?;
        build.call(Function::Lower, &[arg], Type::Text, span)
    };
    build.like([lower(text)?, lower(pattern)?], escape, negated, span)
}

/// `SIMILAR TO`: a regular expression made of the pattern.
pub(super) fn similar_to<'a>(
    build: Builder<'a>,
    [text, pattern]: [&'a Expr<'a>; 2],
    escape: Option<&'a Expr<'a>>,
    negated: bool,
    span: Span,
) -> Result<&'a Expr<'a>, Error<'a>> {
    let regex = match escape {
        Some(escape) => by_table(build, "similar_to_escape", &[pattern, escape], span)?,
        None => by_table(build, "similar_to_escape", &[pattern], span)?,
    };
    operator(build, if negated { "!~" } else { "~" }, Some(text), regex, span)
}

/// `value AT TIME ZONE zone`, `value AT LOCAL`.
pub(super) fn at_time_zone<'a>(
    build: Builder<'a>,
    args: &[&'a Expr<'a>],
    span: Span,
) -> Result<&'a Expr<'a>, Error<'a>> {
    match *args {
        [value, zone] => by_table(build, "timezone", &[zone, value], span),
        _ => Err(Error::NotSupported { what: "AT LOCAL", span }),
    }
}

/// The type of arrays of a type, if there are any.
pub(super) fn array_type(element: Type) -> Option<Type> {
    element.array()
}

/// `ARRAY[…]`.
pub(super) fn array<'a>(
    build: Builder<'a>,
    elements: &[&'a Expr<'a>],
    span: Span,
) -> Result<&'a Expr<'a>, Error<'a>> {
    if elements.is_empty() {
        // Of no type until it is cast to one.
        return Ok(build.literal(Value::Text("{}"), Type::Unknown, span)?);
    }
    let element = build.common_type(elements.iter().copied(), "ARRAY")?;
    let what = "an array of more than one dimension";
    let ty = element.array().ok_or(Error::NotSupported { what, span })?;
    let elements = build.cast_all(elements, element)?;
    build.call(Function::Array, elements, ty, span)
}

/// What is taken of a value by `[…]`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subscript<'a> {
    /// One element.
    Index(&'a Expr<'a>),
    /// Those between two positions; from the first one, to the last one, where they are not said.
    Slice { low: Option<&'a Expr<'a>>, high: Option<&'a Expr<'a>> },
}

/// `value[index]`, `value[low:high]`, `value[index][index]`.
///
/// # Errors
/// 42804 for a value that has no elements, and for positions that are no numbers; 0A000 for several slices.
pub(super) fn subscript<'a>(
    build: Builder<'a>,
    value: &'a Expr<'a>,
    subscripts: &[Subscript<'a>],
    span: Span,
) -> Result<&'a Expr<'a>, Error<'a>> {
    // As PostgreSQL assigns a number to an integer.
    let position = |index: &'a Expr<'a>| match index.ty {
        ty if ty.is_numeric() => build.cast(index, Type::Integer, index.span),
        _ => build.coerce(index, Type::Integer, "array subscript"),
    };
    match (value.ty, subscripts) {
        (Type::Jsonb, _) => element_of_json(build, value, subscripts, span),
        (Type::Array(element), [Subscript::Index(index), further @ ..]) => {
            let index = position(index)?;
            for subscript in further {
                let Subscript::Index(index) = subscript else {
                    return Err(Error::NotSupported { what: "a slice beside a subscript", span });
                };
                position(index)?;
            }
            match further {
                [] => build.call(Function::Subscript, &[value, index], element.ty(), span),
                // An array has one dimension.
                _ => Ok(build.literal(Value::Null, element.ty(), span)?),
            }
        }
        (Type::Array(_), &[Subscript::Slice { low, high }]) => {
            let bound = |bound: Option<&'a Expr<'a>>, open: i32| match bound {
                Some(bound) => position(bound),
                None => Ok(build.literal(Value::Integer(open), Type::Integer, span)?),
            };
            let args = [value, bound(low, i32::MIN)?, bound(high, i32::MAX)?];
            build.call(Function::Slice, &args, value.ty, span)
        }
        (Type::Array(_), _) => Err(Error::NotSupported { what: "several slices of an array", span }),
        _ => {
            let message = "cannot subscript a value that is no array";
            Err(Error::Source { sqlstate: "42804", message, span })
        }
    }
}

/// `value['key'][0]`: what stands at the end of a path.
fn element_of_json<'a>(
    build: Builder<'a>,
    value: &'a Expr<'a>,
    subscripts: &[Subscript<'a>],
    span: Span,
) -> Result<&'a Expr<'a>, Error<'a>> {
    let mut path = Vec::with_capacity_in(subscripts.len(), build.arena)?;
    for subscript in subscripts {
        let Subscript::Index(index) = subscript else {
            let message = "jsonb subscript does not support slices";
            return Err(Error::Source { sqlstate: "0A000", message, span });
        };
        if !(index.ty.is_integer() || index.ty.is_text() || index.ty == Type::Unknown) {
            let message = "subscript type is not supported: a jsonb subscript must be coercible to either integer or text";
            return Err(Error::Source { sqlstate: "42804", message, span: index.span });
        }
        path.push(build.cast(index, Type::Text, index.span)?)?;
    }
    let ty = Type::Text.array().ok_or(Error::NotSupported { what: "an array of this type", span })?;
    let path = build.call(Function::Array, &path, ty, span)?;
    operator(build, "#>", Some(value), path, span)
}

/// An array, or one without elements instead of NULL.
pub(super) fn array_or_empty<'a>(
    build: Builder<'a>,
    array: &'a Expr<'a>,
    span: Span,
) -> Result<&'a Expr<'a>, Error<'a>> {
    let empty = build.literal(Value::Text("{}"), Type::Unknown, span)?;
    let empty = build.cast(empty, array.ty, span)?;
    build.call(Function::Coalesce, &[array, empty], array.ty, span)
}

/// `value op ANY (array)`, `value op ALL (array)`.
pub(super) fn over_elements<'a>(
    build: Builder<'a>,
    function: Function,
    op: BinaryOp,
    value: &'a Expr<'a>,
    array: &'a Expr<'a>,
    span: Span,
) -> Result<&'a Expr<'a>, Error<'a>> {
    let given = match array.ty {
        Type::Array(element) => element.ty(),
        Type::Unknown => value.ty,
        _ => {
            let message = "op ANY/ALL (array) requires array on right side";
            return Err(Error::Source { sqlstate: "42809", message, span });
        }
    };
    let undefined =
        || Error::UndefinedOperator { operator: op.symbol(), left: Some(value.ty), right: given, span };
    let element = common(value.ty, given).filter(|ty| *ty != Type::Json).ok_or_else(undefined)?;
    let elements = element.array().ok_or_else(undefined)?;
    let value = build.cast(value, element, value.span)?;
    let array = build.cast(array, elements, array.span)?;
    build.call(function, &[value, array], Type::Boolean, span)
}

/// 42883, with the nearest name when there is no function of this one.
pub(super) fn undefined<'a>(
    build: Builder<'a>,
    name: &'a str,
    args: &[&'a Expr<'a>],
    span: Span,
) -> Error<'a> {
    let mut nearest = Suggestion::new(name);
    let all = || NAMES.iter().copied().chain(cofferdam_functions::names());
    if !all().any(|known| known == name) {
        all().for_each(|known| nearest.offer(known));
    }
    let suggestion = nearest.best();
    match build.arena.alloc_slice_fill_with(args.len(), |index| args[index].ty) {
        Ok(arguments) => Error::UndefinedFunction { name, arguments, suggestion, span },
        Err(error) => Error::OutOfMemory(error),
    }
}
