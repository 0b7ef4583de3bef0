//! The values of an `EXECUTE`, on their way into parameters: the casts of an assignment, as for columns.

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_sql::views::{Expr as ExprView, TypeName};
use cofferdam_types::Type;

use super::Binder;
use super::assign::is_assignable;
use super::build::Builder;
use super::scope::Scope;
use super::type_name;
use crate::error::{Error, ParameterProblem};
use crate::expr::Expr;
use crate::parameter::Parameters;

/// What messages call the place.
const CLAUSE: &str = "EXECUTE parameters";

/// The values as parameters of these types take them, as many as there are of both.
///
/// # Errors
/// Whatever is wrong with a value; 42804 where there is no such cast.
pub(crate) fn bind<'a, 'q: 'a>(
    values: impl Iterator<Item = ExprView<'q>>,
    types: &[Type],
    parameters: Parameters<'a>,
    arena: &'a Arena,
) -> Result<&'a [&'a Expr<'a>], Error<'a>> {
    let build = Builder::new(arena, parameters);
    let mut row: Vec<'a, &'a Expr<'a>> = Vec::with_capacity_in(types.len(), arena)?;
    for (value, ty) in values.zip(types) {
        let span = value.span();
        let scratch = Arena::new(arena.budget());
        let bound = Binder::bind_alone(arena, &scratch, Scope::new_in(&scratch), CLAUSE, value, parameters);
        let bound = bound.map_err(|error| match error {
            // PostgreSQL has the singular here.
            Error::NoQuery { span, .. } => Error::NoQuery { clause: "EXECUTE parameter", span },
            error => error,
        })?;
        if !is_assignable(bound.ty, *ty) {
            let problem = ParameterProblem::NotCoercible { found: bound.ty, wanted: *ty };
            let number = row.len() as u32 + 1;
            return Err(Error::Parameter { problem, number, name: "", span });
        }
        row.push(build.cast(bound, *ty, span)?)?;
    }
    Ok(row.into_slice())
}

/// A type that a `PREPARE` declares.
///
/// # Errors
/// 42704 for a name that no type has, 0A000 for types that are not here.
pub(crate) fn declared_type<'a, 'q: 'a>(name: TypeName<'q>) -> Result<Type, Error<'a>> {
    if name.name() == "unknown" { Ok(Type::Unknown) } else { type_name::bind(name) }
}
