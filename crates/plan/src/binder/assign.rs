//! Values on their way into a column: PostgreSQL's assignment casts, the length of `varchar(n)`, the digits of `timestamp(n)`.
//!
//! | from \ to | number | text | any other type |
//! |---|---|---|---|
//! | number | rounded, and checked when it is computed | yes | no |
//! | quoted literal, NULL | read when the statement is bound | yes | read |
//! | any other type | no | yes | the same type only |

use cofferdam_arena::Arena;
use cofferdam_sql::views::Expr as ExprView;
use cofferdam_types::cast::{CastContext, cast_context};
use cofferdam_types::{Type, Value};

use super::Binder;
use super::build::Builder;
use super::scope::Scope;
use crate::Span;
use crate::error::{DefinitionProblem, Error, NameProblem};
use crate::expr::{Column, Expr, ExprKind, Function, walk};
use crate::parameter::Parameters;
use crate::physical::Check;
use crate::table::{CheckRule, ColumnRule, StoredTable};

/// Definitions of tables have no parameters.
const NONE: Parameters<'static> = Parameters::NONE;

/// A column that takes a value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub(super) name: &'a str,
    pub(super) ty: Type,
    pub(super) characters_max: Option<u32>,
}

impl<'a> Target<'a> {
    pub(super) fn new(column: &Column<'a>, rule: &ColumnRule<'a>) -> Target<'a> {
        Target { name: column.name, ty: column.ty, characters_max: rule.characters_max }
    }

    /// The value as the column takes it.
    ///
    /// # Errors
    /// 42804 when there is no such cast; the cause's code when a quoted literal is no value of the type.
    pub(super) fn assign<'p>(
        &self,
        build: Builder<'p>,
        value: &'p Expr<'p>,
        is_default: bool,
    ) -> Result<&'p Expr<'p>, Error<'p>>
    where
        'a: 'p,
    {
        let span = value.span;
        if !is_assignable(value.ty, self.ty) {
            let (column, expected, found) = (self.name, self.ty, value.ty);
            return Err(Error::Assignment { column, expected, found, is_default, span });
        }
        let value = build.cast(value, self.ty, span)?;
        match self.characters_max {
            Some(count) if self.ty == Type::Char || !is_at_most(value, count) => {
                let function = match self.ty {
                    Type::Time | Type::Timestamp | Type::TimestampTz | Type::Interval => {
                        Function::RoundSeconds
                    }
                    Type::Char => Function::FitCharacters,
                    _ => Function::LimitCharacters,
                };
                let count = build.literal(Value::Integer(count.cast_signed()), Type::Integer, span)?;
                build.call(function, &[value, count], self.ty, span)
            }
            _ => Ok(value),
        }
    }
}

/// Whether a value of one type may stand for one of another in an assignment.
pub(super) fn is_assignable(from: Type, to: Type) -> bool {
    matches!(cast_context(from, to), Some(CastContext::Implicit | CastContext::Assignment))
}

/// Whether it is known that a text has no more characters.
fn is_at_most(value: &Expr<'_>, count: u32) -> bool {
    match value.kind {
        ExprKind::Literal(Value::Null) => true,
        ExprKind::Literal(Value::Text(text)) => text.chars().nth(count as usize).is_none(),
        _ => false,
    }
}

/// The default of a column, as the column takes it.
///
/// # Errors
/// 0A000 when it uses a column, 42803 for an aggregate, and those of [`Target::assign`].
pub(super) fn bind_default<'a, 'q: 'a>(
    arena: &'a Arena,
    value: ExprView<'q>,
    target: Target<'a>,
) -> Result<&'a Expr<'a>, Error<'a>> {
    let scratch = Arena::new(arena.budget());
    let scope = Scope::new_in(&scratch);
    match Binder::bind_alone(arena, &scratch, scope, "DEFAULT expressions", value, NONE) {
        Err(Error::Name {
            problem: NameProblem::UndefinedColumn | NameProblem::MissingFromEntry,
            name,
            span,
            ..
        }) => Err(Error::Definition { problem: DefinitionProblem::ColumnInDefault, name, table: "", span }),
        bound => target.assign(Builder::new(arena, NONE), bound?, true),
    }
}

/// A condition over the columns of one table.
///
/// # Errors
/// Whatever is wrong with it; 42804 when it is no boolean.
pub(super) fn bind_check<'a, 'q: 'a>(
    arena: &'a Arena,
    condition: ExprView<'q>,
    table: &'a str,
    columns: &[Column<'a>],
) -> Result<&'a Expr<'a>, Error<'a>> {
    let scratch = Arena::new(arena.budget());
    let mut scope = Scope::new_in(&scratch);
    let numbered = columns.iter().enumerate().map(|(index, column)| (index as u32, *column));
    scope.add_relation(table, numbered, condition.span())?;
    let bound = Binder::bind_alone(arena, &scratch, scope, "check constraints", condition, NONE)?;
    Builder::new(arena, NONE).coerce(bound, Type::Boolean, "CHECK")
}

/// The defaults of a table's columns, NULL where there is none. They stand at `span` of the statement that uses them.
pub(super) fn stored_defaults<'a>(
    arena: &'a Arena,
    table: &StoredTable<'a>,
    span: Span,
) -> Result<&'a [&'a Expr<'a>], Error<'a>> {
    let build = Builder::new(arena, NONE);
    let mut defaults = cofferdam_arena::collections::Vec::with_capacity_in(table.columns.len(), arena)?;
    for (column, rule) in table.columns.iter().zip(table.rules) {
        let default = match rule.default {
            None => build.literal(Value::Null, column.ty, span)?,
            Some(text) => {
                let value = parse_stored(arena, text, span)?;
                let bound = bind_default(arena, value, Target::new(column, rule));
                at(arena, bound.map_err(|error| unreadable(error, span))?, span)?
            }
        };
        defaults.push(default)?;
    }
    Ok(defaults.into_slice())
}

/// The checks of a table by name, in the order in which a row is tested.
pub(super) fn stored_checks<'a>(
    arena: &'a Arena,
    table: &StoredTable<'a>,
    span: Span,
) -> Result<&'a [Check<'a>], Error<'a>> {
    let mut checks = cofferdam_arena::collections::Vec::with_capacity_in(table.checks.len(), arena)?;
    for CheckRule { name, condition } in table.checks {
        let condition = parse_stored(arena, condition, span)?;
        let bound = bind_check(arena, condition, table.name, table.columns);
        let condition = at(arena, bound.map_err(|error| unreadable(error, span))?, span)?;
        checks.push(Check { name, condition })?;
    }
    checks.sort_unstable_by_key(|check| check.name);
    Ok(checks.into_slice())
}

/// An expression that the catalog keeps as text.
fn parse_stored<'a>(arena: &'a Arena, text: &'a str, span: Span) -> Result<ExprView<'a>, Error<'a>> {
    match cofferdam_sql::parse_expression(text, arena) {
        Ok(node) => Ok(ExprView::of(node)),
        Err(cofferdam_sql::Error::OutOfMemory(error)) => Err(Error::OutOfMemory(error)),
        Err(_) => Err(unreadable_expression(span)),
    }
}

/// It was bound when the table was made, so it is damaged, or a later version made it.
fn unreadable<'a>(error: Error<'a>, span: Span) -> Error<'a> {
    match error {
        Error::OutOfMemory(_) => error,
        _ => unreadable_expression(span),
    }
}

fn unreadable_expression<'a>(span: Span) -> Error<'a> {
    let message = "an expression in the definition of the table cannot be read";
    Error::Source { sqlstate: "XX001", message, span }
}

/// The expression with all of its nodes at one place: it does not come from the statement's text.
fn at<'a>(arena: &'a Arena, expr: &'a Expr<'a>, span: Span) -> Result<&'a Expr<'a>, Error<'a>> {
    walk::rewrite(expr, arena, |_, rebuilt| Ok(&*arena.alloc(Expr { span, ..*rebuilt })?))
}
