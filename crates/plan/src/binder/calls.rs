//! Calls that are more than a function of a row: what aggregates, window functions and set-returning functions take and give.

use cofferdam_arena::collections::Vec;
use cofferdam_sql::views::{Call, CallForm};
use cofferdam_types::{self as types, Type, Value};

use super::build::Builder;
use super::functions::{not_resolved, types_of, undefined};
use crate::Span;
use crate::error::Error;
use crate::expr::{Expr, ExprKind};
use crate::physical::{AggregateFunction, AggregateKey, TableFunctionKind, WindowKind};

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
/// 42883 when there is no such aggregate of these arguments.
pub(super) fn aggregate<'a>(
    build: Builder<'a>,
    name: &'a str,
    function: AggregateFunction,
    args: &'a [&'a Expr<'a>],
    order_by: &'a [AggregateKey<'a>],
    span: Span,
) -> Result<ResolvedAggregate<'a>, Error<'a>> {
    use AggregateFunction as F;
    let no_such = || Err(undefined(build, name, args, span));
    let cast = |types: &[Type]| -> Result<Option<&'a [&'a Expr<'a>]>, Error<'a>> {
        if types.len() != args.len() {
            return Ok(None);
        }
        let mut cast = Vec::with_capacity_in(args.len(), build.arena)?;
        for (arg, ty) in args.iter().zip(types) {
            if !super::build::is_implicit(arg.ty, *ty) {
                return Ok(None);
            }
            cast.push(build.cast(arg, *ty, arg.span)?)?;
        }
        Ok(Some(&*cast.into_slice()))
    };
    let (args, ty) = match (function, args) {
        (F::CountRows, []) => (args, Type::BigInt),
        (F::Count, [arg]) => (build.arena.alloc_slice_copy(&[build.settle(arg)?])? as &[_], Type::BigInt),
        (F::Sum | F::Avg, [arg]) => {
            let rule = if function == F::Sum { types::Aggregate::Sum } else { types::Aggregate::Avg };
            match Type::aggregate(rule, arg.ty) {
                Ok(ty) => (args, ty),
                Err(_) => return no_such(),
            }
        }
        (F::Min | F::Max, [arg]) => {
            let arg = build.settle(arg)?;
            match Type::aggregate(types::Aggregate::Min, arg.ty) {
                Ok(ty) => (build.arena.alloc_slice_copy(&[arg])? as &[_], ty),
                Err(_) => return no_such(),
            }
        }
        (F::AnyValue, [arg]) => {
            let arg = build.settle(arg)?;
            (build.arena.alloc_slice_copy(&[arg])? as &[_], arg.ty)
        }
        (F::BoolAnd | F::BoolOr, _) => match cast(&[Type::Boolean])? {
            Some(args) => (args, Type::Boolean),
            None => return no_such(),
        },
        (F::BitAnd | F::BitOr | F::BitXor, [arg]) if matches!(arg.ty, Type::Integer | Type::BigInt) => {
            (args, arg.ty)
        }
        (F::StringAgg, _) => match cast(&[Type::Text, Type::Text])? {
            Some(args) => (args, Type::Text),
            None => return no_such(),
        },
        (F::VarPop | F::VarSamp | F::StddevPop | F::StddevSamp, [arg]) if arg.ty.is_numeric() => {
            match cast(&[Type::Double])? {
                Some(args) => (args, Type::Double),
                None => return no_such(),
            }
        }
        (
            F::Corr
            | F::CovarPop
            | F::CovarSamp
            | F::RegrAvgX
            | F::RegrAvgY
            | F::RegrIntercept
            | F::RegrR2
            | F::RegrSlope
            | F::RegrSxx
            | F::RegrSxy
            | F::RegrSyy
            | F::RegrCount,
            _,
        ) => match cast(&[Type::Double, Type::Double])? {
            Some(args) if function == F::RegrCount => (args, Type::BigInt),
            Some(args) => (args, Type::Double),
            None => return no_such(),
        },
        (F::PercentileCont, _) => match (cast(&[Type::Double])?, order_by) {
            (Some(args), [key]) if key.expr.ty.is_numeric() => {
                let expr = build.cast(key.expr, Type::Double, key.expr.span)?;
                let order_by = build.arena.alloc_slice_copy(&[AggregateKey { expr, ..*key }])?;
                return Ok(ResolvedAggregate { args, order_by, ty: Type::Double });
            }
            _ => return no_such(),
        },
        (F::PercentileDisc, _) => match (cast(&[Type::Double])?, order_by) {
            (Some(args), [key]) => (args, key.expr.ty),
            _ => return no_such(),
        },
        (F::Mode, []) => match order_by {
            [key] => (args, key.expr.ty),
            _ => return no_such(),
        },
        _ => return no_such(),
    };
    Ok(ResolvedAggregate { args, order_by, ty })
}

/// What a window function is, with its arguments cast to what it takes.
///
/// # Errors
/// 42883 when there is no such function of these arguments.
pub(super) fn window<'a>(
    build: Builder<'a>,
    name: &'a str,
    args: &'a [&'a Expr<'a>],
    span: Span,
) -> Result<(WindowKind<'a>, Type), Error<'a>> {
    let number = |arg: &'a Expr<'a>| build.coerce(arg, Type::Integer, "a window function");
    let shifted = |args: &[&'a Expr<'a>]| -> Result<_, Error<'a>> {
        let value = build.settle(args[0])?;
        let offset = args.get(1).map(|offset| number(offset)).transpose()?;
        let Some(default) = args.get(2) else { return Ok((value, offset, None, value.ty)) };
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
            let value = build.settle(value)?;
            (WindowKind::FirstValue(value), value.ty)
        }
        ("last_value", [value]) => {
            let value = build.settle(value)?;
            (WindowKind::LastValue(value), value.ty)
        }
        ("nth_value", [value, nth]) => {
            let value = build.settle(value)?;
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
    let resolved = match cofferdam_functions::resolve_table_function(call.name(), types_of(build, args)?) {
        Ok(resolved) => resolved,
        Err(cofferdam_functions::NotResolved::NoSuchName) => return Ok(None),
        Err(error) => return Err(not_resolved(build, error, call.name(), args, call.span())),
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
