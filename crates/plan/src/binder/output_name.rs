//! What a column of the answer is called when the query does not say.

use cofferdam_sql::views::{
    Call, CallForm, Expr, Literal, Query, QueryBody, SelectItem, Selection, TypeName,
};

/// The name that PostgreSQL would give: a column's or a function's own, otherwise `?column?`.
pub(super) fn output_name<'q>(expr: Expr<'q>) -> &'q str {
    // A weaker name that is used when nothing inside has a better one: the outermost wins.
    let mut weak = None;
    let mut expr = expr;
    loop {
        expr = match expr {
            Expr::Column(column) => return column.name(),
            Expr::TableRow(row) => return row.table().or(weak).unwrap_or("?column?"),
            Expr::Call(call) => return call_name(call),
            Expr::Extract(_) => return "extract",
            Expr::Exists(_) => return "exists",
            Expr::AtTimeZone(_) => return "timezone",
            Expr::Overlaps(_) => return "overlaps",
            Expr::Indirection(indirection) => {
                let fields = indirection.selections().filter_map(|selection| match selection {
                    Selection::Field(name) => Some(name),
                    _ => None,
                });
                match fields.last() {
                    Some(name) => return name,
                    None => indirection.operand(),
                }
            }
            Expr::Array(_) | Expr::ArrayQuery(_) => return "array",
            Expr::Subquery(subquery) => {
                // The name of its column, strong even where that has none.
                weak = None;
                match first_column(subquery.query()) {
                    Named::As(name) => return name,
                    Named::By(first) => first,
                    Named::Unknown => break,
                }
            }
            Expr::Row(_) => return "row",
            Expr::Cast(cast) => {
                weak = weak.or(Some(type_name(cast.type_name())));
                cast.operand()
            }
            Expr::Case(case) => {
                weak = weak.or(Some("case"));
                match case.otherwise() {
                    Some(otherwise) => otherwise,
                    None => break,
                }
            }
            Expr::Collate(collate) => collate.operand(),
            Expr::Literal(Literal::Typed(typed)) => return weak.unwrap_or(type_name(typed.type_name())),
            Expr::Literal(Literal::Boolean(_)) => return weak.unwrap_or("bool"),
            _ => break,
        };
    }
    weak.unwrap_or("?column?")
}

/// Whether the first column of a query is one that a star stands for.
pub(super) fn has_star(query: Query<'_>) -> bool {
    matches!(first_column(query), Named::Unknown)
}

/// What the first column of a query is called after.
enum Named<'q> {
    As(&'q str),
    By(Expr<'q>),
    /// What a star stands for is not in the text.
    Unknown,
}

fn first_column(mut query: Query<'_>) -> Named<'_> {
    loop {
        query = match query.body() {
            QueryBody::Values(_) => return Named::As("column1"),
            QueryBody::SetOperation(operation) => operation.left(),
            QueryBody::Select(select) => {
                return match select.items().next() {
                    Some(SelectItem::Expr { alias: Some(alias), .. }) => Named::As(alias),
                    Some(SelectItem::Expr { expr, alias: None }) => Named::By(expr),
                    Some(SelectItem::Star { .. }) | None => Named::Unknown,
                };
            }
        }
    }
}

fn call_name<'q>(call: Call<'q>) -> &'q str {
    match call.form() {
        CallForm::TrimBoth => "btrim",
        CallForm::TrimLeading => "ltrim",
        CallForm::TrimTrailing => "rtrim",
        _ => call.name(),
    }
}

/// PostgreSQL's internal name of a type.
fn type_name<'q>(name: TypeName<'q>) -> &'q str {
    match name.name() {
        "integer" | "int" => "int4",
        "bigint" => "int8",
        "smallint" => "int2",
        "double precision" | "float" => "float8",
        "real" => "float4",
        "boolean" => "bool",
        "decimal" | "dec" => "numeric",
        "character varying" => "varchar",
        "character" | "char" => "bpchar",
        "timestamp with time zone" => "timestamptz",
        "timestamp without time zone" => "timestamp",
        "time without time zone" => "time",
        name => name,
    }
}
