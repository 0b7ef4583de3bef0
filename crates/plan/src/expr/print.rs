//! Bound expressions as text, for EXPLAIN: SQL in PostgreSQL's spelling, every operation in parentheses.

use std::fmt::{self, Write};

use cofferdam_arena::collections::{String, Vec};
use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::{Type, Value};

use super::names::{Names, Origin};
use super::{DateField, Expr, ExprKind, Function, UnaryOp};
use crate::physical::{Aggregate, AggregateFunction};

/// A name as a query would have to write it: in quotes where it would be folded or misread without.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit();
        match self.0.starts_with(|c: char| plain(c) && !c.is_ascii_digit()) && self.0.chars().all(plain) {
            true => f.write_str(self.0),
            false => {
                f.write_char('"')?;
                write_doubling(f, self.0, '"')?;
                f.write_char('"')
            }
        }
    }
}

/// Writes `text` with every `quote` in it twice.
fn write_doubling(out: &mut impl Write, text: &str, quote: char) -> fmt::Result {
    for (index, part) in text.split(quote).enumerate() {
        if index > 0 {
            out.write_char(quote)?;
            out.write_char(quote)?;
        }
        out.write_str(part)?;
    }
    Ok(())
}

/// Writes text with every quote in it twice.
struct Doubling<'o, 's>(&'o mut String<'s>);

impl Write for Doubling<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_doubling(self.0, text, '\'')
    }
}

/// What is left to write; the top of the stack comes first.
#[derive(Clone, Copy)]
enum Piece<'a> {
    Expr(&'a Expr<'a>, Names<'a>),
    Name(Option<&'a str>, &'a str),
    Text(&'static str),
    Type(Type),
    Escape(char),
}

/// Appends an expression to `out`. The stack of the walk lies in the same arena as the text and is given back.
///
/// # Errors
/// `AllocError` when the arena's budget has no room.
pub(crate) fn write_expr<'a>(
    out: &mut String<'_>,
    root: &'a Expr<'a>,
    names: Names<'a>,
    arena: &Arena,
) -> Result<(), AllocError> {
    let scratch = Arena::new(arena.budget());
    let mut pieces = Vec::new_in(&scratch);
    pieces.push(Piece::Expr(root, names))?;
    write_pieces(out, pieces)
}

/// Writes what is on the stack, from its top.
fn write_pieces<'a>(out: &mut String<'_>, mut pieces: Vec<'_, Piece<'a>>) -> Result<(), AllocError> {
    while let Some(piece) = pieces.pop() {
        match piece {
            Piece::Text(text) => out.push_str(text)?,
            Piece::Name(table, name) => {
                if let Some(table) = table {
                    append(out, format_args!("{}.", Quoted(table)))?;
                }
                append(out, format_args!("{}", Quoted(name)))?;
            }
            Piece::Type(ty) => append(out, format_args!("{ty}"))?,
            Piece::Escape(escape) => append(out, format_args!(" ESCAPE '{escape}'"))?,
            Piece::Expr(expr, names) => {
                let first = pieces.len();
                write_node(out, expr, names, &mut pieces)?;
                pieces[first..].reverse();
            }
        }
    }
    Ok(())
}

/// Adds the pieces of a column in the order in which they are to be written.
fn push_origin<'a>(origin: Origin<'a>, pieces: &mut Vec<'_, Piece<'a>>) -> Result<(), AllocError> {
    match origin {
        Origin::Name(table, name) => pieces.push(Piece::Name(table, name)),
        Origin::Expr(expr, names) => pieces.push(Piece::Expr(expr, names)),
        Origin::Aggregate(aggregate, names) => {
            let distinct = if aggregate.distinct { "(DISTINCT " } else { "(" };
            pieces.extend([Piece::Text(aggregate.function.name()), Piece::Text(distinct)])?;
            let names = names.inside_aggregate();
            if aggregate.function == AggregateFunction::CountRows {
                pieces.push(Piece::Text("*"))?;
            }
            for (index, argument) in aggregate.args.iter().enumerate() {
                pieces.extend([
                    Piece::Text(if index == 0 { "" } else { ", " }),
                    Piece::Expr(argument, names),
                ])?;
            }
            for (index, key) in aggregate.order_by.iter().enumerate() {
                let before = if index == 0 { " ORDER BY " } else { ", " };
                let after = match (key.descending, key.nulls_first) {
                    (false, false) => "",
                    (true, true) => " DESC",
                    (false, true) => " NULLS FIRST",
                    (true, false) => " DESC NULLS LAST",
                };
                pieces.extend([Piece::Text(before), Piece::Expr(key.expr, names), Piece::Text(after)])?;
            }
            pieces.push(Piece::Text(")"))?;
            match aggregate.filter {
                None => Ok(()),
                Some(filter) => pieces.extend([
                    Piece::Text(" FILTER (WHERE "),
                    Piece::Expr(filter, names),
                    Piece::Text(")"),
                ]),
            }
        }
    }
}

/// Appends a column of an operator's output to `out`.
///
/// # Errors
/// `AllocError` when the arena's budget has no room.
pub(crate) fn write_column(
    out: &mut String<'_>,
    position: u32,
    names: Names<'_>,
    arena: &Arena,
) -> Result<(), AllocError> {
    let scratch = Arena::new(arena.budget());
    let mut pieces = Vec::new_in(&scratch);
    push_origin(names.origin(position), &mut pieces)?;
    pieces.reverse();
    write_pieces(out, pieces)
}

/// Appends an aggregate over columns of `names` to `out`.
///
/// # Errors
/// `AllocError` when the arena's budget has no room.
pub(crate) fn write_aggregate<'a>(
    out: &mut String<'_>,
    aggregate: &'a Aggregate<'a>,
    names: Names<'a>,
    arena: &Arena,
) -> Result<(), AllocError> {
    let scratch = Arena::new(arena.budget());
    let mut pieces = Vec::new_in(&scratch);
    push_origin(Origin::Aggregate(aggregate, names), &mut pieces)?;
    pieces.reverse();
    write_pieces(out, pieces)
}

/// Appends formatted text.
pub(crate) fn append(out: &mut String<'_>, text: fmt::Arguments<'_>) -> Result<(), AllocError> {
    out.write_fmt(text).map_err(|_| AllocError)
}

/// Writes a leaf, or adds the pieces of a node in the order in which they are to be written.
fn write_node<'a>(
    out: &mut String<'_>,
    expr: &Expr<'a>,
    names: Names<'a>,
    pieces: &mut Vec<'_, Piece<'a>>,
) -> Result<(), AllocError> {
    use Piece::{Escape, Text};
    let sub = |expr| Piece::Expr(expr, names);
    let not = |negated: bool, yes: &'static str, no: &'static str| Text(if negated { no } else { yes });
    match expr.kind {
        ExprKind::Column(position) => push_origin(names.origin(position), pieces),
        ExprKind::Literal(value) => write_literal(out, value, expr.ty),
        ExprKind::Parameter(number) => match names.parameter(number) {
            Some(name) => append(out, format_args!("${name}")),
            None => append(out, format_args!("${number}")),
        },
        ExprKind::Row(values) => {
            pieces.push(Text("ROW("))?;
            push_list(pieces, values, names)?;
            pieces.push(Text(")"))
        }
        ExprKind::Unary { op, arg } => {
            let (before, after) = unary_text(op);
            pieces.extend([Text(before), sub(arg), Text(after)])
        }
        ExprKind::Binary { op, left, right } => pieces.extend([
            Text("("),
            sub(left),
            Text(" "),
            Text(op.symbol()),
            Text(" "),
            sub(right),
            Text(")"),
        ]),
        ExprKind::Cast(arg) => pieces.extend([Text("("), sub(arg), Text(")::"), Piece::Type(expr.ty)]),
        ExprKind::Between { arg, low, high, negated } => {
            let between = not(negated, " BETWEEN ", " NOT BETWEEN ");
            pieces.extend([Text("("), sub(arg), between, sub(low), Text(" AND "), sub(high), Text(")")])
        }
        ExprKind::InList { arg, list, negated } => {
            pieces.extend([Text("("), sub(arg), not(negated, " IN (", " NOT IN (")])?;
            push_list(pieces, list, names)?;
            pieces.push(Text("))"))
        }
        ExprKind::Like { text, pattern, escape, negated } => {
            pieces.extend([Text("("), sub(text), not(negated, " LIKE ", " NOT LIKE "), sub(pattern)])?;
            match escape {
                Some('\\') => {}
                Some(escape) => pieces.push(Escape(escape))?,
                None => pieces.push(Text(" ESCAPE ''"))?,
            }
            pieces.push(Text(")"))
        }
        ExprKind::Case { operand, whens, otherwise } => {
            pieces.push(Text("CASE"))?;
            if let Some(operand) = operand {
                pieces.extend([Text(" "), sub(operand)])?;
            }
            for when in whens {
                pieces.extend([Text(" WHEN "), sub(when.condition), Text(" THEN "), sub(when.result)])?;
            }
            if let Some(otherwise) = otherwise {
                pieces.extend([Text(" ELSE "), sub(otherwise)])?;
            }
            pieces.push(Text(" END"))
        }
        ExprKind::Call { function, args } => {
            pieces.extend([Text(function.name()), Text("(")])?;
            if let Function::Extract(field) = function {
                pieces.extend([Text(field.name()), Text(" FROM ")])?;
            }
            push_list(pieces, args, names)?;
            pieces.push(Text(")"))
        }
    }
}

/// Adds expressions with commas between them.
fn push_list<'a>(
    pieces: &mut Vec<'_, Piece<'a>>,
    list: &[&'a Expr<'a>],
    names: Names<'a>,
) -> Result<(), AllocError> {
    for (index, item) in list.iter().enumerate() {
        if index > 0 {
            pieces.push(Piece::Text(", "))?;
        }
        pieces.push(Piece::Expr(item, names))?;
    }
    Ok(())
}

/// Appends a constant of a type to `out`.
pub(crate) fn write_literal(out: &mut String<'_>, value: Value<'_>, ty: Type) -> Result<(), AllocError> {
    match value {
        Value::Null => out.push_str("NULL"),
        Value::Boolean(value) => out.push_str(if value { "true" } else { "false" }),
        Value::Text(text) => {
            out.push('\'')?;
            write_doubling(out, text, '\'').map_err(|_| AllocError)?;
            out.push('\'')
        }
        Value::Integer(_) | Value::BigInt(_) | Value::Decimal(_) | Value::Double(_) => {
            append(out, format_args!("{value}"))
        }
        Value::Char(text) | Value::Json(text) | Value::Jsonb(text) => {
            out.push('\'')?;
            write_doubling(out, text, '\'').map_err(|_| AllocError)?;
            append(out, format_args!("'::{ty}"))
        }
        Value::Array(array) => {
            out.push('\'')?;
            let mut quoted = Doubling(out);
            write!(quoted, "{array}").map_err(|_| AllocError)?;
            append(out, format_args!("'::{ty}"))
        }
        Value::SmallInt(_)
        | Value::Real(_)
        | Value::Bytea(_)
        | Value::Date(_)
        | Value::Time(_)
        | Value::Timestamp(_)
        | Value::TimestampTz(_)
        | Value::Interval(_)
        | Value::Uuid(_) => append(out, format_args!("'{value}'::{ty}")),
    }
}

fn unary_text(op: UnaryOp) -> (&'static str, &'static str) {
    match op {
        UnaryOp::Not => ("(NOT ", ")"),
        UnaryOp::Negate => ("(- ", ")"),
        UnaryOp::IsNull => ("(", " IS NULL)"),
        UnaryOp::IsNotNull => ("(", " IS NOT NULL)"),
        UnaryOp::IsTrue => ("(", " IS TRUE)"),
        UnaryOp::IsNotTrue => ("(", " IS NOT TRUE)"),
        UnaryOp::IsFalse => ("(", " IS FALSE)"),
        UnaryOp::IsNotFalse => ("(", " IS NOT FALSE)"),
    }
}

impl Function {
    /// The function's name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Function::Lower => "lower",
            Function::Upper => "upper",
            Function::Length => "length",
            Function::LimitCharacters => "varchar",
            Function::PadCharacters | Function::FitCharacters => "bpchar",
            Function::RoundSeconds => "round_seconds",
            Function::Substring => "substring",
            Function::TrimBoth => "btrim",
            Function::TrimLeading => "ltrim",
            Function::TrimTrailing => "rtrim",
            Function::Abs => "abs",
            Function::Round => "round",
            Function::Floor => "floor",
            Function::Ceil => "ceil",
            Function::Coalesce => "coalesce",
            Function::NullIf => "nullif",
            Function::Greatest => "greatest",
            Function::Least => "least",
            Function::Scalar(id) => id.function().signature().name(),
            Function::Array => "array",
            Function::Subscript => "subscript",
            Function::Slice => "slice",
            Function::Field => "row_field",
            Function::AnyElement(_) => "any",
            Function::AllElements(_) => "all",
            Function::Extract(_) => "extract",
        }
    }
}

impl DateField {
    /// The field's name in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            DateField::Century => "century",
            DateField::Day => "day",
            DateField::Decade => "decade",
            DateField::DayOfWeek => "dow",
            DateField::DayOfYear => "doy",
            DateField::Epoch => "epoch",
            DateField::IsoDayOfWeek => "isodow",
            DateField::IsoYear => "isoyear",
            DateField::Month => "month",
            DateField::Quarter => "quarter",
            DateField::Week => "week",
            DateField::Year => "year",
        }
    }
}
