//! Calls that are more than a function of a row: what aggregates, window functions and set-returning functions take and give.

use cofferdam_arena::collections::Vec;
use cofferdam_functions::NotResolved;
use cofferdam_sql::views::{Call, CallForm};
use cofferdam_types::{Type, Value};

use super::build::Builder;
use super::functions::{not_resolved, types_of, undefined};
use crate::Span;
use crate::error::Error;
use crate::expr::{Expr, ExprKind};
use crate::physical::{AggregateKey, TableFunctionKind, WindowKind};

/// An aggregate whose arguments have the types that it takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResolvedAggregate<'a> {
    pub(super) args: &'a [&'a Expr<'a>],
    pub(super) order_by: &'a [AggregateKey<'a>],
    pub(super) ty: Type,
}

/// A set-returning function whose arguments have the types that it takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResolvedSet<'a> {
    pub(super) function: TableFunctionKind,
    pub(super) args: &'a [&'a Expr<'a>],
    /// The types of its columns.
    pub(super) columns: &'a [Type],
    /// The names of its columns, where it has several.
    pub(super) names: &'a [&'a str],
}

/// What an aggregate gives, with its arguments cast to what it takes.
///
/// # Errors
/// 42883 when there is no such aggregate of these arguments, 42725 when there are several.
pub(super) fn aggregate<'a>(
    build: Builder<'a>,
    name: &'a str,
    is_ordered_set: bool,
    args: &'a [&'a Expr<'a>],
    order_by: &'a [AggregateKey<'a>],
    span: Span,
) -> Result<ResolvedAggregate<'a>, Error<'a>> {
    let mut types = Vec::with_capacity_in(args.len() + order_by.len(), build.arena)?;
    args.iter().try_for_each(|arg| types.push(arg.ty))?;
    if is_ordered_set {
        order_by.iter().try_for_each(|key| types.push(key.expr.ty))?;
    }
    let resolved = match cofferdam_functions::resolve_aggregate(name, &types) {
        Ok(resolved) => resolved,
        Err(error) => return Err(not_resolved(build, error, name, args, span)),
    };
    let mut cast_args = Vec::with_capacity_in(args.len(), build.arena)?;
    for (index, arg) in args.iter().enumerate() {
        cast_args.push(build.cast(arg, resolved.argument(index, arg.ty), arg.span)?)?;
    }
    let mut keys = Vec::with_capacity_in(order_by.len(), build.arena)?;
    for (index, key) in order_by.iter().enumerate() {
        let expr = match is_ordered_set {
            true => {
                build.cast(key.expr, resolved.argument(args.len() + index, key.expr.ty), key.expr.span)?
            }
            false => key.expr,
        };
        keys.push(AggregateKey { expr, ..*key })?;
    }
    Ok(ResolvedAggregate { args: cast_args.into_slice(), order_by: keys.into_slice(), ty: resolved.result })
}

/// What a window function is, with its arguments cast to what it takes.
///
/// # Errors
/// 42883 when there is no such function of these arguments; 42804 for a literal without a type where that decides the result's.
pub(super) fn window<'a>(
    build: Builder<'a>,
    name: &'a str,
    args: &'a [&'a Expr<'a>],
    span: Span,
) -> Result<(WindowKind<'a>, Type), Error<'a>> {
    let number = |arg: &'a Expr<'a>| build.coerce(arg, Type::Integer, "a window function");
    // A value whose type is that of the result says which one.
    let determined = |arg: &'a Expr<'a>| match arg.ty {
        Type::Unknown => Err(not_resolved(build, NotResolved::Undetermined, name, args, span)),
        _ => Ok(arg),
    };
    let shifted = |args: &[&'a Expr<'a>]| -> Result<_, Error<'a>> {
        let offset = args.get(1).map(|offset| number(offset)).transpose()?;
        let Some(default) = args.get(2) else {
            let value = determined(args[0])?;
            return Ok((value, offset, None, value.ty));
        };
        // With a default, the type is what both can be, or text.
        let value = args[0];
        let ty = build.common_type([value, *default].into_iter(), "a window function's default")?;
        let default = build.cast(default, ty, default.span)?;
        Ok((build.cast(value, ty, value.span)?, offset, Some(default), ty))
    };
    Ok(match (name, args) {
        ("row_number", []) => (WindowKind::RowNumber, Type::BigInt),
        ("rank", []) => (WindowKind::Rank, Type::BigInt),
        ("dense_rank", []) => (WindowKind::DenseRank, Type::BigInt),
        ("percent_rank", []) => (WindowKind::PercentRank, Type::Double),
        ("cume_dist", []) => (WindowKind::CumeDist, Type::Double),
        ("ntile", [buckets]) => (WindowKind::Ntile(number(buckets)?), Type::Integer),
        ("lag", [_] | [_, _] | [_, _, _]) => {
            let (value, offset, default, ty) = shifted(args)?;
            (WindowKind::Lag { value, offset, default }, ty)
        }
        ("lead", [_] | [_, _] | [_, _, _]) => {
            let (value, offset, default, ty) = shifted(args)?;
            (WindowKind::Lead { value, offset, default }, ty)
        }
        ("first_value", [value]) => {
            let value = determined(value)?;
            (WindowKind::FirstValue(value), value.ty)
        }
        ("last_value", [value]) => {
            let value = determined(value)?;
            (WindowKind::LastValue(value), value.ty)
        }
        ("nth_value", [value, nth]) => {
            let value = determined(value)?;
            (WindowKind::NthValue(value, number(nth)?), value.ty)
        }
        _ => return Err(undefined(build, name, args, span)),
    })
}

/// The set-returning function that a call names, if it names one.
///
/// # Errors
/// 42883 when none of its name takes these arguments.
pub(super) fn set_returning<'a, 'q: 'a>(
    build: Builder<'a>,
    call: Call<'q>,
    args: &'a [&'a Expr<'a>],
) -> Result<Option<ResolvedSet<'a>>, Error<'a>> {
    let schema = call.schema().is_none_or(|schema| schema == "pg_catalog");
    if !schema || call.form() != CallForm::Plain {
        return Ok(None);
    }
    set_named(build, call.name(), args, call.span())
}

/// A function that gives rows, by its name.
pub(super) fn set_named<'a>(
    build: Builder<'a>,
    name: &'a str,
    args: &[&'a Expr<'a>],
    span: Span,
) -> Result<Option<ResolvedSet<'a>>, Error<'a>> {
    let resolved = match cofferdam_functions::resolve_table_function(name, types_of(build, args)?) {
        Ok(resolved) => resolved,
        Err(NotResolved::NoSuchName) => return Ok(None),
        Err(error) => return Err(not_resolved(build, error, name, args, span)),
    };
    let mut cast = Vec::with_capacity_in(args.len(), build.arena)?;
    for (index, arg) in args.iter().enumerate() {
        cast.push(build.cast(arg, resolved.argument(index, arg.ty), arg.span)?)?;
    }
    let mut names = Vec::new_in(build.arena);
    for name in resolved.id.function().column_names() {
        names.push(name)?;
    }
    Ok(Some(ResolvedSet {
        function: TableFunctionKind::Rows(resolved.id),
        args: cast.into_slice(),
        columns: build.arena.alloc_slice_copy(resolved.columns())?,
        names: names.into_slice(),
    }))
}

/// The distance of a frame's bound in RANGE, as a value that may be added to the key. It may not be negative.
pub(super) fn range_offset<'a>(
    build: Builder<'a>,
    offset: &'a Expr<'a>,
    key: Type,
    span: Span,
) -> Result<&'a Expr<'a>, Error<'a>> {
    let has_distances = key.is_numeric()
        || matches!(key, Type::Date | Type::Time | Type::Timestamp | Type::TimestampTz | Type::Interval);
    if !has_distances {
        return Err(Error::NotSupported { what: "RANGE with an offset over keys of this type", span });
    }
    let offset = match (offset.ty, key) {
        (Type::Unknown, Type::Date) => build.cast(offset, Type::Interval, offset.span)?,
        (Type::Unknown, _) => build.cast(offset, key, offset.span)?,
        _ => offset,
    };
    let is_negative = match offset.kind {
        ExprKind::Literal(Value::Integer(value)) => value < 0,
        ExprKind::Literal(Value::BigInt(value)) => value < 0,
        ExprKind::Literal(Value::Decimal(value)) => value.unscaled() < 0,
        ExprKind::Literal(Value::Double(value)) => value < 0.0,
        ExprKind::Literal(_) => false,
        _ => return Err(Error::NotSupported { what: "a frame offset that is not constant", span }),
    };
    match is_negative {
        true => Err(Error::Source {
            sqlstate: "22013",
            message: "invalid preceding or following size in window function",
            span,
        }),
        false => Ok(offset),
    }
}
