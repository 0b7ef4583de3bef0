//! Rows of tables as arguments: `count(t)`, `row_to_json(t)`, `to_json(t)`, `to_jsonb(t)`, `json_agg(t)`, `jsonb_agg(t)`.
//!
//! There are no values that are rows. A row is counted by a column that is never NULL, and is written as JSON by what makes JSON of its
//! columns:
//!
//! ```text
//! to_jsonb(t)      jsonb_build_object('a', t.a, 'b', t.b)
//! row_to_json(t)   ('{"a":' || coalesce(to_json(t.a)::text, 'null') || ',"b":' || … || '}')::json
//! ```
//!
//! Where an outer join may have put NULLs in the place of the row, it is NULL, and a column that is never NULL says so.

use cofferdam_arena::collections::{String, Vec};
use cofferdam_sql::views::{Call, CallForm, Expr as ExprView};
use cofferdam_types::{Type, Value};

use super::Binder;
use super::expression::Place;
use super::functions;
use super::scope::{ColumnName, Relation, ScopeColumn};
use crate::Span;
use crate::error::Error;
use crate::expr::{Expr, ExprKind, Function, UnaryOp, When};

/// What a call of a row is.
#[derive(Clone, Copy, Debug)]
pub(super) enum RowCall<'a> {
    /// A value.
    Value(&'a Expr<'a>),
    /// The call of these instead.
    Arguments(&'a [&'a Expr<'a>]),
}

/// Whether a call takes the row of a table as its argument.
pub(super) fn takes_row(call: Call<'_>) -> bool {
    const NAMES: [&str; 6] = ["count", "row_to_json", "to_json", "to_jsonb", "json_agg", "jsonb_agg"];
    let schema = call.schema().is_none_or(|schema| schema == "pg_catalog");
    schema && call.form() == CallForm::Plain && NAMES.contains(&call.name())
}

impl<'a> Binder<'_, 'a, '_> {
    /// What a call is whose only argument is the row of a table; nothing where it is none.
    ///
    /// # Errors
    /// 0A000 where nothing says whether an outer join has left the row out.
    pub(super) fn row_call<'q: 'a>(
        &self,
        call: Call<'q>,
        args: &'a [&'a Expr<'a>],
        place: &Place,
    ) -> Result<Option<RowCall<'a>>, Error<'a>> {
        let (&[row], Some(ExprView::Column(column))) = (args, call.args().next()) else { return Ok(None) };
        if !matches!(row.kind, ExprKind::Row(_)) || !takes_row(call) || call.is_distinct() {
            return Ok(None);
        }
        let (build, span) = (self.build(), row.span);
        let wanted = ColumnName { table: None, name: column.name(), span };
        let Some((level, found)) = self.named_table(wanted, place) else { return Ok(None) };
        let scope = &self.blocks[level].scope;
        let relation = &scope.relations[found as usize];
        let columns = &scope.columns[relation.first_column as usize..][..relation.columns_count as usize];
        let present = self.present(relation, columns, span)?;
        let value = match call.name() {
            "count" => match present {
                Some(column) => column,
                None => build.literal(Value::Boolean(true), Type::Boolean, span)?,
            },
            name => {
                let object = match name {
                    "to_jsonb" | "jsonb_agg" => self.jsonb_object(columns, span)?,
                    _ => self.json_object(columns, span)?,
                };
                match present {
                    None => object,
                    Some(column) => {
                        let condition = build.is(UnaryOp::IsNotNull, column, None, span)?;
                        let whens = self.arena.alloc_slice_copy(&[When { condition, result: object }])?;
                        let kind = ExprKind::Case { operand: None, whens, otherwise: None };
                        self.arena.alloc(Expr { kind, ty: object.ty, span })?
                    }
                }
            }
        };
        Ok(Some(match call.name() {
            "row_to_json" | "to_json" | "to_jsonb" if call.over().is_none() => RowCall::Value(value),
            _ => RowCall::Arguments(self.arena.alloc_slice_copy(&[value])?),
        }))
    }

    /// Whether the argument of a call is the row of a table.
    pub(super) fn is_of_row<'q: 'a>(&self, call: Call<'q>, place: &Place) -> bool {
        let Some(ExprView::Column(column)) = call.args().next() else { return false };
        takes_row(call) && matches!(self.column(column, place), Ok(Expr { kind: ExprKind::Row(_), .. }))
    }

    /// A column that is NULL where an outer join has left the row out and never else; nothing where none can have done so.
    fn present(
        &self,
        relation: &Relation<'a>,
        columns: &[ScopeColumn<'a>],
        span: Span,
    ) -> Result<Option<&'a Expr<'a>>, Error<'a>> {
        if !relation.is_padded {
            return Ok(None);
        }
        let rules = relation.table.map_or(&[][..], |table| table.rules);
        match columns.iter().zip(rules).find(|(_, rule)| !rule.is_nullable) {
            Some((column, _)) => Ok(Some(self.build().column(column.id, column.ty, span)?)),
            None => Err(Error::NotSupported {
                what: "the row of a table that an outer join may leave out and that has no column that is never NULL",
                span,
            }),
        }
    }

    fn jsonb_object(&self, columns: &[ScopeColumn<'a>], span: Span) -> Result<&'a Expr<'a>, Error<'a>> {
        let build = self.build();
        let mut args: Vec<'a, &'a Expr<'a>> = Vec::with_capacity_in(2 * columns.len(), self.arena)?;
        for column in columns {
            args.push(build.literal(Value::Text(column.name), Type::Text, span)?)?;
            args.push(build.column(column.id, column.ty, span)?)?;
        }
        functions::by_table(build, "jsonb_build_object", &args, span)
    }

    fn json_object(&self, columns: &[ScopeColumn<'a>], span: Span) -> Result<&'a Expr<'a>, Error<'a>> {
        let build = self.build();
        let text = |text: &'a str| build.literal(Value::Text(text), Type::Text, span);
        let mut whole = text(if columns.is_empty() { "{" } else { "" })?;
        for (index, column) in columns.iter().enumerate() {
            let before = self.key(if index == 0 { '{' } else { ',' }, column.name)?;
            let value = build.column(column.id, column.ty, span)?;
            let value = functions::by_table(build, "to_json", &[value], span)?;
            let value = build.cast(value, Type::Text, span)?;
            let value = build.call(Function::Coalesce, &[value, text("null")?], Type::Text, span)?;
            whole = match index {
                0 => text(before)?,
                _ => build.concat(whole, text(before)?, span)?,
            };
            whole = build.concat(whole, value, span)?;
        }
        let whole = build.concat(whole, text("}")?, span)?;
        build.cast(whole, Type::Json, span)
    }

    /// `,"name":`
    fn key(&self, before: char, name: &str) -> Result<&'a str, Error<'a>> {
        let mut key = String::new_in(self.arena);
        key.push(before)?;
        key.push('"')?;
        for character in name.chars() {
            match character {
                '"' | '\\' => {
                    key.push('\\')?;
                    key.push(character)?;
                }
                '\0'..='\x1f' => {
                    key.push_str(self.arena.alloc_fmt(format_args!("\\u{:04x}", character as u32))?)?
                }
                character => key.push(character)?,
            }
        }
        key.push_str("\":")?;
        Ok(self.arena.alloc_str(&key)?)
    }
}
