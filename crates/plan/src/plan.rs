//! The pipeline: one flat list of calls for each kind of statement.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{Arena, Stage};
use cofferdam_sql::Keyword;
use cofferdam_sql::views::forms::Explain;
use cofferdam_sql::views::{Query, Statement};
use cofferdam_types::{Type, Value};

use crate::binder::Binder;
use crate::catalog::Catalog;
use crate::error::{Error, NameProblem};
use crate::explain::{ExplainOptions, explain};
use crate::expr::{Column, Expr, ExprKind};
use crate::optimizer::optimize;
use crate::physical::{Operator, OperatorKind, PhysicalPlan};

static BIND: Stage = Stage::new("bind");
static OPTIMIZE: Stage = Stage::new("optimize");
static EXPLAIN: Stage = Stage::new("explain");

/// The physical plan of a query, in `arena`, which also pays for all intermediate work.
///
/// The budget's stage is `bind`, then `optimize`, so that a refusal says how far planning came.
///
/// # Errors
/// Whatever is wrong with the query, with its place in the text; [`Error::OutOfMemory`] when the arena's budget has no
/// room.
pub fn plan_query<'a, 'q: 'a>(
    query: Query<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<PhysicalPlan<'a>, Error<'a>> {
    arena.budget().set_stage(&BIND);
    let logical = Binder::bind(query, catalog, arena)?;
    arena.budget().set_stage(&OPTIMIZE);
    Ok(optimize(logical, arena)?)
}

/// The plan of `EXPLAIN query`: one row of text for each line of the query's plan, in a column `QUERY PLAN`.
///
/// # Errors
/// Those of [`plan_query`]; 42601 for an option that is none, 0A000 for options and statements that are not here yet.
pub fn plan_explain<'a, 'q: 'a>(
    statement: Explain<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<PhysicalPlan<'a>, Error<'a>> {
    let options = explain_options(statement)?;
    let Some(Statement::Query(query)) = statement.statement() else {
        return Err(Error::NotSupported {
            what: "EXPLAIN of a statement that is no query",
            span: statement.form().span(),
        });
    };
    let plan = plan_query(query, catalog, arena)?;
    arena.budget().set_stage(&EXPLAIN);
    let lines = explain(&plan, options, arena)?;
    let mut rows: Vec<'a, &'a [&'a Expr<'a>]> = Vec::with_capacity_in(lines.len(), arena)?;
    for line in lines {
        let (kind, ty, span) = (ExprKind::Literal(Value::Text(line)), Type::Text, statement.form().span());
        let expr: &'a Expr<'a> = arena.alloc(Expr { kind, ty, span })?;
        rows.push(arena.alloc_slice_copy(&[expr])?)?;
    }
    let rows: &'a [&'a [&'a Expr<'a>]] = rows.into_slice();
    let columns = arena.alloc_slice_copy(&[Column { name: "QUERY PLAN", ty: Type::Text }])?;
    let (rows_estimate, bytes_estimate) = (rows.len() as u64, 0);
    let values = Operator { kind: OperatorKind::Values { rows }, columns, rows_estimate, bytes_estimate };
    Ok(PhysicalPlan { operators: arena.alloc_slice_copy(&[values])? })
}

fn explain_options<'q>(statement: Explain<'q>) -> Result<ExplainOptions, Error<'q>> {
    let mut options = ExplainOptions { verbose: statement.verbose(), ..ExplainOptions::default() };
    let form = statement.form();
    if let Some(span) = form.place_of(Keyword::Analyze).or_else(|| form.place_of(Keyword::Analyse)) {
        return Err(Error::NotSupported { what: "EXPLAIN ANALYZE", span });
    }
    for option in statement.options() {
        let (name, span) = (option.name(), option.form().span());
        match (name, option.is_on()) {
            ("costs", Some(is_on)) => options.costs = is_on,
            ("verbose", Some(is_on)) => options.verbose = is_on,
            ("analyze" | "memory" | "buffers" | "timing" | "summary" | "settings" | "wal", Some(false)) => {}
            ("format", _) if option.value().is_some_and(|value| value.text.eq_ignore_ascii_case("text")) => {}
            ("analyze", _) => return Err(Error::NotSupported { what: "EXPLAIN ANALYZE", span }),
            ("memory", _) => return Err(Error::NotSupported { what: "EXPLAIN (MEMORY)", span }),
            ("format", _) => return Err(Error::NotSupported { what: "this format of EXPLAIN", span }),
            _ => {
                let (problem, qualifier, suggestion) = (NameProblem::UndefinedOption, None, None);
                return Err(Error::Name { problem, name, qualifier, suggestion, span });
            }
        }
    }
    Ok(options)
}
