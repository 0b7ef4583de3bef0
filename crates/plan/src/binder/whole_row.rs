//! Rows as values: `SELECT t`, `t::text`, `count(t)`, `row_to_json(t)`, `array_agg(ROW (a, b))`, `(t).a`, `t = u`.
//!
//! There are no values that are rows. A row is counted by a column that is never NULL, is written as JSON by what makes JSON of its
//! columns, and becomes its text where it is shown:
//!
//! ```text
//! t              '(' || field(t.a) || ',' || field(t.b) || ')'
//! to_jsonb(t)    jsonb_build_object('a', t.a, 'b', t.b)
//! row_to_json(t) ('{"a":' || coalesce(to_json(t.a)::text, 'null') || ',"b":' || … || '}')::json
//! ```
//!
//! Where an outer join may have put NULLs in the place of the row, it is NULL, and a column that is never NULL says so.

use cofferdam_arena::collections::{String, Vec};
use cofferdam_sql::views::{Call, CallForm, Expr as ExprView, TableRow};
use cofferdam_types::{Type, Value};

use super::Binder;
use super::expression::Place;
use super::functions;
use super::scope::{ColumnName, Relation, ScopeColumn, name_error};
use crate::Span;
use crate::error::{Error, NameProblem};
use crate::expr::{BinaryOp, Expr, ExprKind, Function, UnaryOp, When};

/// What a call of a row is.
#[derive(Clone, Copy, Debug)]
pub(super) enum RowCall<'a> {
    /// A value.
    Value(&'a Expr<'a>),
    /// The call of these instead.
    Arguments(&'a [&'a Expr<'a>]),
}

/// What a row becomes as the argument of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowForm {
    Counted,
    Json,
    Jsonb,
    Text,
}

impl RowForm {
    fn of(call: Call<'_>) -> Option<RowForm> {
        let schema = call.schema().is_none_or(|schema| schema == "pg_catalog");
        if !schema || call.form() != CallForm::Plain {
            return None;
        }
        Some(match call.name() {
            "count" if call.is_distinct() => RowForm::Text,
            "count" => RowForm::Counted,
            "row_to_json" | "to_json" | "json_agg" | "json_build_object" | "json_build_array"
            | "json_object_agg" => RowForm::Json,
            "to_jsonb" | "jsonb_agg" | "jsonb_build_object" | "jsonb_build_array" | "jsonb_object_agg" => {
                RowForm::Jsonb
            }
            "array_agg" | "concat" | "concat_ws" | "format" => RowForm::Text,
            _ => return None,
        })
    }
}

impl<'a> Binder<'_, 'a, '_> {
    /// What a call is of whose arguments some are rows; nothing where none is, or where the function takes no rows.
    ///
    /// # Errors
    /// 0A000 where nothing says whether an outer join has left a row out.
    pub(super) fn row_call<'q: 'a>(
        &self,
        call: Call<'q>,
        args: &'a [&'a Expr<'a>],
        place: &Place,
    ) -> Result<Option<RowCall<'a>>, Error<'a>> {
        if !args.iter().any(|arg| matches!(arg.kind, ExprKind::Row(_))) {
            return Ok(None);
        }
        let Some(form) = RowForm::of(call) else { return Ok(None) };
        if call.is_distinct() && form != RowForm::Text {
            return Ok(None);
        }
        let changed = self.arena.alloc_slice_copy(args)?;
        for (arg, view) in changed.iter_mut().zip(call.args()) {
            if let ExprKind::Row(_) = arg.kind {
                *arg = self.row_as(form, view, arg, place)?;
            }
        }
        Ok(Some(match (call.name(), &*changed) {
            ("row_to_json" | "to_json" | "to_jsonb", [value]) if call.over().is_none() => {
                RowCall::Value(value)
            }
            (_, changed) => RowCall::Arguments(changed),
        }))
    }

    /// The text of a row, as PostgreSQL writes it.
    ///
    /// # Errors
    /// 0A000 where nothing says whether an outer join has left the row out.
    pub(super) fn row_text<'q: 'a>(
        &self,
        view: ExprView<'q>,
        row: &'a Expr<'a>,
        place: &Place,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        self.row_as(RowForm::Text, view, row, place)
    }

    fn row_as<'q: 'a>(
        &self,
        form: RowForm,
        view: ExprView<'q>,
        row: &'a Expr<'a>,
        place: &Place,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let ExprKind::Row(values) = row.kind else { return Ok(row) };
        let (build, span) = (self.build(), row.span);
        let mut fields: Vec<'a, (&'a str, &'a Expr<'a>)> = Vec::with_capacity_in(values.len(), self.arena)?;
        let mut present = None;
        match self.table_of_row(view, place) {
            Some((level, found)) => {
                let scope = &self.blocks[level].scope;
                let relation = &scope.relations[found as usize];
                let columns =
                    &scope.columns[relation.first_column as usize..][..relation.columns_count as usize];
                present = self.present(relation, columns, span)?;
                for (column, value) in columns.iter().zip(values) {
                    fields.push((column.name, value))?;
                }
            }
            None => {
                for (index, value) in values.iter().enumerate() {
                    let name = self.arena.alloc_fmt(format_args!("f{}", index + 1))?;
                    fields.push((name, build.settle(value)?))?;
                }
            }
        }
        let value = match form {
            RowForm::Counted => match present {
                Some(column) => return Ok(column),
                None => return Ok(build.literal(Value::Boolean(true), Type::Boolean, span)?),
            },
            RowForm::Jsonb => self.jsonb_object(&fields, span)?,
            RowForm::Json => self.json_object(&fields, span)?,
            RowForm::Text => self.text_of_fields(&fields, span)?,
        };
        let Some(column) = present else { return Ok(value) };
        let condition = build.is(UnaryOp::IsNotNull, column, None, span)?;
        let whens = self.arena.alloc_slice_copy(&[When { condition, result: value }])?;
        let kind = ExprKind::Case { operand: None, whens, otherwise: None };
        Ok(self.arena.alloc(Expr { kind, ty: value.ty, span })?)
    }

    /// The table whose row an expression is: its select, and its number there.
    fn table_of_row<'q: 'a>(&self, view: ExprView<'q>, place: &Place) -> Option<(usize, u32)> {
        let name = match view {
            ExprView::Column(column) if column.table().is_none() => column.name(),
            ExprView::TableRow(row) => row.table()?,
            _ => return None,
        };
        self.named_table(ColumnName { table: None, name, span: view.span() }, place)
    }

    /// `t.*` as a value.
    pub(super) fn table_row<'q: 'a>(&self, row: TableRow<'q>) -> Result<&'a Expr<'a>, Error<'a>> {
        let span = ExprView::TableRow(row).span();
        let Some(name) = row.table() else {
            return Err(Error::NotSupported { what: "a row of all tables as a value", span });
        };
        let (level, found) = self.table_of_star(name, span)?;
        self.row_of_table(level, found, span)
    }

    /// The columns of a table as a row.
    pub(super) fn row_of_table(
        &self,
        level: usize,
        found: u32,
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let scope = &self.blocks[level].scope;
        let mut values: Vec<'a, &'a Expr<'a>> = Vec::new_in(self.arena);
        for position in scope.relations[found as usize].positions() {
            let column = &scope.columns[position as usize];
            values.push(self.build().column(column.id, column.ty, span)?)?;
        }
        let (kind, ty) = (ExprKind::Row(values.into_slice()), Type::Unknown);
        Ok(self.arena.alloc(Expr { kind, ty, span })?)
    }

    /// `(t).name`.
    pub(super) fn field_of_row<'q: 'a>(
        &self,
        view: ExprView<'q>,
        row: &'a Expr<'a>,
        name: &'a str,
        place: &Place,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let span = row.span;
        let (ExprKind::Row(values), Some((level, found))) = (row.kind, self.table_of_row(view, place)) else {
            return Err(Error::NotSupported { what: "a field of a value", span });
        };
        let scope = &self.blocks[level].scope;
        let relation = &scope.relations[found as usize];
        let position = relation.positions().position(|at| scope.columns[at as usize].name == name);
        position.and_then(|index| values.get(index).copied()).ok_or(name_error(
            NameProblem::UndefinedColumn,
            ColumnName { table: Some(relation.alias), name, span },
        ))
    }

    /// `t = u` and `t <> u` of whole rows, in which NULLs are equal to each other; nothing for other operands.
    ///
    /// # Errors
    /// 0A000 where an outer join may have left one of them out, and where they are asked which comes first.
    pub(super) fn compare_tables<'q: 'a>(
        &self,
        op: BinaryOp,
        views: [ExprView<'q>; 2],
        operands: [&'a Expr<'a>; 2],
        place: &Place,
        span: Span,
    ) -> Result<Option<&'a Expr<'a>>, Error<'a>> {
        let [ExprKind::Row(left), ExprKind::Row(right)] = operands.map(|operand| operand.kind) else {
            return Ok(None);
        };
        for view in views {
            let Some((level, found)) = self.table_of_row(view, place) else { return Ok(None) };
            if self.blocks[level].scope.relations[found as usize].is_padded {
                let what = "a comparison of a row that an outer join may leave out";
                return Err(Error::NotSupported { what, span });
            }
        }
        let op = match op {
            BinaryOp::Equal => BinaryOp::IsNotDistinctFrom,
            BinaryOp::NotEqual => BinaryOp::IsDistinctFrom,
            _ => return Err(Error::NotSupported { what: "the order of rows as values", span }),
        };
        self.compare_rows(op, left, right, span).map(Some)
    }

    /// Whether the argument of a call is a row.
    pub(super) fn is_of_row<'q: 'a>(&self, call: Call<'q>, place: &Place) -> bool {
        match call.args().next() {
            Some(ExprView::Column(column)) => {
                matches!(self.column(column, place), Ok(Expr { kind: ExprKind::Row(_), .. }))
            }
            Some(ExprView::TableRow(_) | ExprView::Row(_)) => true,
            _ => false,
        }
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

    fn jsonb_object(
        &self,
        fields: &[(&'a str, &'a Expr<'a>)],
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let build = self.build();
        let mut args: Vec<'a, &'a Expr<'a>> = Vec::with_capacity_in(2 * fields.len(), self.arena)?;
        for (name, value) in fields {
            args.push(build.literal(Value::Text(name), Type::Text, span)?)?;
            args.push(value)?;
        }
        functions::by_table(build, "jsonb_build_object", &args, span)
    }

    fn json_object(&self, fields: &[(&'a str, &'a Expr<'a>)], span: Span) -> Result<&'a Expr<'a>, Error<'a>> {
        let build = self.build();
        let text = |text: &'a str| build.literal(Value::Text(text), Type::Text, span);
        let mut whole = text(if fields.is_empty() { "{" } else { "" })?;
        for (index, (name, value)) in fields.iter().enumerate() {
            let before = self.key(if index == 0 { '{' } else { ',' }, name)?;
            let value = functions::by_table(build, "to_json", &[*value], span)?;
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

    /// The text of a row of these values.
    pub(super) fn text_of_fields(
        &self,
        fields: &[(&'a str, &'a Expr<'a>)],
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let build = self.build();
        let text = |text: &'a str| build.literal(Value::Text(text), Type::Text, span);
        let mut whole = text("(")?;
        for (index, (_, value)) in fields.iter().enumerate() {
            if index > 0 {
                whole = build.concat(whole, text(",")?, span)?;
            }
            let value = match value.ty {
                Type::Text | Type::Char | Type::Boolean => value,
                _ => build.cast(value, Type::Text, span)?,
            };
            let field = build.call(Function::Field, &[value], Type::Text, span)?;
            whole = build.concat(whole, field, span)?;
        }
        build.concat(whole, text(")")?, span)
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
