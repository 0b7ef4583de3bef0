//! Runs a statement through parser and planner and shows what comes out.

use std::fmt::Write;

use cofferdam_arena::{Arena, Budget};
use cofferdam_plan::explain::{ExplainOptions, explain};
use cofferdam_plan::expr::{BinaryOp, Expr, ExprKind, Function, walk};
use cofferdam_plan::physical::{HashAggregate, JoinKind, OperatorKind, PhysicalPlan, UpdateWay};
use cofferdam_plan::{
    Error, bind_create_table, bind_drop_tables, bind_transaction, plan_copy, plan_copy_to, plan_delete,
    plan_explain, plan_insert, plan_query, plan_update,
};
use cofferdam_sql::parse;
use cofferdam_sql::views::Statement;
use cofferdam_sql::views::forms::{Copy, CreateTable, Delete, DropTable, Explain, Insert, Update};
use cofferdam_types::{ArithmeticOp, Type, Value};

use crate::catalog::TestCatalog;

/// A budget node with room for anything that a test does.
pub(crate) fn budget() -> Budget {
    let root = Budget::root("test", 1 << 30).unwrap();
    root.child("statement", u64::MAX).unwrap()
}

/// Plans a statement that parses and gives the outcome to `see`.
pub(crate) fn with_plan<R>(
    sql: &str,
    budget: &Budget,
    see: impl FnOnce(Result<PhysicalPlan<'_>, Error<'_>>, &Arena) -> R,
) -> R {
    let parse_arena = Arena::new(budget);
    let arena = Arena::new(budget);
    let tree = parse(sql, &parse_arena).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let outcome = plan(tree.statement(), &arena);
    if let Ok(plan) = &outcome {
        check(plan, &arena);
    }
    see(outcome, &arena)
}

/// The plan of a statement that has one.
pub(crate) fn plan<'a, 'q: 'a>(
    statement: Statement<'q>,
    arena: &'a Arena,
) -> Result<PhysicalPlan<'a>, Error<'a>> {
    let form = match statement {
        Statement::Query(query) => return plan_query(query, &TestCatalog, arena),
        Statement::Form(form) => form,
    };
    if let Some(insert) = Insert::of(form.node()) {
        return plan_insert(insert, &TestCatalog, arena);
    }
    if let Some(update) = Update::of(form.node()) {
        return plan_update(update, &TestCatalog, arena);
    }
    if let Some(delete) = Delete::of(form.node()) {
        return plan_delete(delete, &TestCatalog, arena);
    }
    if let Some(copy) = Copy::of(form.node()).filter(|copy| copy.to()) {
        return plan_copy_to(copy, &TestCatalog, arena).map(|(plan, _)| plan);
    }
    if let Some(copy) = Copy::of(form.node()) {
        return plan_copy(copy, &TestCatalog, arena);
    }
    let explain = Explain::of(form.node()).unwrap_or_else(|| panic!("not a query: {form:?}"));
    plan_explain(explain, &TestCatalog, arena)
}

/// What a definition or control of transactions was bound to, as text; `None` for statements that have plans.
pub(crate) fn definition<'a, 'q: 'a>(
    statement: Statement<'q>,
    arena: &'a Arena,
) -> Option<Result<String, Error<'a>>> {
    let Statement::Form(form) = statement else { return None };
    if let Some(create) = CreateTable::of(form.node()) {
        return Some(bind_create_table(create, &TestCatalog, arena).map(|table| show_table(&table)));
    }
    if let Some(drop) = DropTable::of(form.node()) {
        return Some(bind_drop_tables(drop, &TestCatalog, arena).map(|drop| {
            let names = drop.tables.iter().map(|table| format!("drop {} {}\n", table.id, table.name));
            names.chain(drop.missing.iter().map(|name| format!("missing {name}\n"))).collect()
        }));
    }
    match bind_transaction(form) {
        Ok(None) => None,
        bound => Some(bound.map(|statement| format!("{:?}\n", statement.unwrap()))),
    }
}

fn show_table(table: &cofferdam_plan::table::CreateTable<'_>) -> String {
    let mut out = format!("table {}{}\n", table.name, if table.exists { " exists" } else { "" });
    for (column, rule) in table.columns.iter().zip(table.rules) {
        write!(out, "  {} {}", column.name, column.ty).unwrap();
        rule.characters_max.iter().for_each(|max| write!(out, "({max})").unwrap());
        out.push_str(if rule.is_nullable { "" } else { " not null" });
        rule.default.iter().for_each(|text| write!(out, " default {text}").unwrap());
        out.push('\n');
    }
    let names = |columns: &[u32]| {
        let names = columns.iter().map(|column| table.columns[*column as usize].name);
        names.collect::<Vec<_>>().join(", ")
    };
    for key in table.primary_key.iter() {
        writeln!(out, "  primary key {} ({})", key.name, names(key.columns)).unwrap();
    }
    for key in table.unique_keys {
        writeln!(out, "  unique {} ({})", key.name, names(key.columns)).unwrap();
    }
    for check in table.checks {
        writeln!(out, "  check {} ({})", check.name, check.condition).unwrap();
    }
    out
}

/// What is promised of every plan (`physical` P1 and P2, `expr` X2 and X3), seen from outside.
fn check(plan: &PhysicalPlan<'_>, arena: &Arena) {
    let mut readers = vec![0; plan.operators.len()];
    for (index, operator) in plan.operators.iter().enumerate() {
        let mut width = 0;
        for input in operator.kind.inputs().iter() {
            assert!(input.index() < index);
            readers[input.index()] += 1;
            width += plan.operators[input.index()].columns.len();
        }
        check_operator(plan, &operator.kind, operator.columns.len(), width, arena);
    }
    let (root, others) = readers.split_last().unwrap();
    assert_eq!(*root, 0);
    for (readers, operator) in others.iter().zip(plan.operators) {
        let is_kept = matches!(operator.kind, OperatorKind::Materialize { .. });
        assert_eq!(*readers, usize::from(!is_kept), "{:?}", operator.kind);
    }
    assert!(plan.columns().iter().all(|column| column.ty != Type::Unknown));
}

/// Columns exist and operands have the types that their operator takes.
fn check_node(node: &Expr<'_>, width: usize) {
    let same = |exprs: &[&Expr<'_>]| assert!(exprs.iter().all(|expr| expr.ty == exprs[0].ty), "{node:?}");
    assert_ne!(node.ty, Type::Unknown, "{node:?}");
    match node.kind {
        ExprKind::Column(position) => assert!((position as usize) < width, "column {position} of {width}"),
        ExprKind::Binary { op, left, right } => match arithmetic_op(op) {
            Some(arithmetic) => {
                let types = Type::arithmetic(arithmetic, left.ty, right.ty).unwrap();
                assert_eq!((types.left, types.right, types.result), (left.ty, right.ty, node.ty));
            }
            None => same(&[left, right]),
        },
        ExprKind::Between { arg, low, high, .. } => same(&[arg, low, high]),
        ExprKind::InList { arg, list, .. } => list.iter().for_each(|item| same(&[arg, item])),
        ExprKind::Like { text, pattern, .. } => assert_eq!((text.ty, pattern.ty), (Type::Text, Type::Text)),
        ExprKind::Case { operand, whens, otherwise } => {
            let tested = operand.map_or(Type::Boolean, |operand| operand.ty);
            assert!(whens.iter().all(|when| when.condition.ty == tested && when.result.ty == node.ty));
            assert!(otherwise.is_none_or(|otherwise| otherwise.ty == node.ty));
        }
        ExprKind::Call { function: Function::Coalesce | Function::NullIf, args } => {
            assert!(args.iter().all(|arg| arg.ty == node.ty), "{node:?}");
        }
        _ => {}
    }
}

fn arithmetic_op(op: BinaryOp) -> Option<ArithmeticOp> {
    Some(match op {
        BinaryOp::Add => ArithmeticOp::Add,
        BinaryOp::Subtract => ArithmeticOp::Sub,
        BinaryOp::Multiply => ArithmeticOp::Mul,
        BinaryOp::Divide => ArithmeticOp::Div,
        BinaryOp::Modulo => ArithmeticOp::Rem,
        _ => return None,
    })
}

fn check_operator(
    plan: &PhysicalPlan<'_>,
    kind: &OperatorKind<'_>,
    columns: usize,
    width: usize,
    arena: &Arena,
) {
    let exprs = |exprs: &[&Expr<'_>], width: usize| {
        for expr in exprs {
            walk::for_each(expr, arena, |node| check_node(node, width)).unwrap();
        }
    };
    match kind {
        OperatorKind::Scan(scan) => {
            assert!(scan.projection.is_sorted());
            assert_eq!(scan.output.len(), columns);
            exprs(scan.conjuncts, scan.projection.len());
            for filter in scan.key_filters {
                let OperatorKind::HashJoin(join) = plan.operators[filter.join.index()].kind else {
                    panic!("{filter:?} is of no hash join");
                };
                assert!(!join.kind.keeps_probe(), "{filter:?}");
                let column = scan.projection[filter.column as usize] as usize;
                assert_eq!(scan.source.columns()[column].ty, join.keys[filter.key as usize].build.ty);
            }
        }
        OperatorKind::Values { rows } => {
            for row in *rows {
                assert_eq!(row.len(), columns);
                exprs(row, 0);
            }
        }
        OperatorKind::Filter { conjuncts, .. } => exprs(conjuncts, width),
        OperatorKind::Project { exprs: list, .. } => {
            assert_eq!(list.len(), columns);
            exprs(list, width);
        }
        OperatorKind::HashJoin(join) => {
            let probe = plan.operators[join.probe.index()].columns.len();
            for key in join.keys {
                assert_eq!(key.probe.ty, key.build.ty);
                exprs(&[key.probe], probe);
                exprs(&[key.build], width - probe);
            }
            exprs(join.residual, width);
            assert!(join.output.iter().all(|position| (*position as usize) < width));
            assert_eq!(join.output.len() + usize::from(join.kind == JoinKind::Mark), columns);
        }
        OperatorKind::NestedLoopJoin(join) => {
            exprs(join.conjuncts, width);
            assert!(join.output.iter().all(|position| (*position as usize) < width));
        }
        OperatorKind::HashAggregate(HashAggregate { groups, sets, aggregates, .. }) => {
            assert_eq!(groups.len() + aggregates.len(), columns);
            assert!(sets.iter().flat_map(|set| *set).all(|group| (*group as usize) < groups.len()));
            assert!(!sets.is_empty());
            exprs(groups, width);
            for aggregate in *aggregates {
                exprs(aggregate.args, width);
                exprs(aggregate.filter.as_slice(), width);
                aggregate.order_by.iter().for_each(|key| exprs(&[key.expr], width));
            }
        }
        OperatorKind::Sort { keys, .. } => assert!(keys.iter().all(|key| (key.column as usize) < width)),
        OperatorKind::Limit(_)
        | OperatorKind::Distinct { .. }
        | OperatorKind::DistinctOn { .. }
        | OperatorKind::Materialize { .. } => assert_eq!(columns, width),
        OperatorKind::CteScan { .. } | OperatorKind::WorkingScan { .. } => assert_eq!(width, 0),
        OperatorKind::Concat { inputs } => assert_eq!(columns * inputs.len(), width),
        OperatorKind::SetOperation { .. } | OperatorKind::Recursive { .. } => {
            assert_eq!(columns * 2, width);
        }
        OperatorKind::Window(window) => assert_eq!(columns, width + window.functions.len()),
        OperatorKind::TableFunction(function) => {
            let given: u32 = function.calls.iter().map(|call| call.columns_count).sum();
            assert_eq!(columns, width + given as usize + usize::from(function.with_ordinality));
        }
        OperatorKind::Insert(insert) => {
            let input = plan.operators[insert.input.index()].columns;
            assert!(
                input.iter().map(|column| column.ty).eq(insert.table.columns.iter().map(|column| column.ty))
            );
            assert_eq!((columns, width), (insert.table.columns.len(), insert.table.columns.len()));
            assert_eq!(plan.change().map(|root| root.table().id), Some(insert.table.id), "only at the root");
            insert.checks.iter().for_each(|check| exprs(&[check.condition], width));
        }
        OperatorKind::Update(update) => {
            let table = update.table;
            let identity = table.key.len().max(1);
            let beside = match update.way {
                UpdateWay::InPlace => 0,
                UpdateWay::OneByOne => identity,
                UpdateWay::InTwoPasses => identity + 1,
            };
            let input = plan.operators[update.input.index()].columns;
            let types = input.iter().map(|column| column.ty).take(table.columns.len());
            assert!(types.eq(table.columns.iter().map(|column| column.ty)));
            assert_eq!((columns, width), (table.columns.len() + beside, table.columns.len() + beside));
            assert_eq!(plan.change().map(|root| root.table().id), Some(table.id), "only at the root");
            update.checks.iter().for_each(|check| exprs(&[check.condition], width));
        }
        OperatorKind::Delete(delete) => {
            let identity = delete.table.key.len().max(1);
            assert_eq!((columns, width), (identity, identity));
            assert_eq!(plan.change().map(|root| root.table().id), Some(delete.table.id), "only at the root");
        }
    }
}

/// The columns and the tree of a plan, or the error, as text.
pub(crate) fn show(sql: &str) -> String {
    if let Some(text) = show_definition(sql) {
        return text;
    }
    with_plan(sql, &budget(), |outcome, arena| {
        let mut out = String::new();
        match outcome {
            Ok(plan) if sql.trim_start().to_ascii_lowercase().starts_with("explain") => {
                show_rows(&plan, &mut out)
            }
            Ok(plan) => {
                let columns: Vec<String> =
                    plan.columns().iter().map(|column| format!("{} {}", column.name, column.ty)).collect();
                writeln!(out, "{}", columns.join(", ")).unwrap();
                let options = ExplainOptions { costs: false, ..ExplainOptions::default() };
                for line in explain(&plan, options, arena).unwrap() {
                    writeln!(out, "{line}").unwrap();
                }
            }
            Err(error) => show_error(sql, &error, &mut out),
        }
        out
    })
}

fn show_definition(sql: &str) -> Option<String> {
    let budget = budget();
    let (parse_arena, arena) = (Arena::new(&budget), Arena::new(&budget));
    let tree = parse(sql, &parse_arena).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let outcome = definition(tree.statement(), &arena)?;
    let mut out = String::new();
    match outcome {
        Ok(text) => out = text,
        Err(error) => show_error(sql, &error, &mut out),
    }
    Some(out)
}

fn show_rows(plan: &PhysicalPlan<'_>, out: &mut String) {
    let OperatorKind::Values { rows } = plan.root().kind else { panic!("EXPLAIN gives rows") };
    for row in rows {
        let ExprKind::Literal(Value::Text(line) | Value::Json(line)) = row[0].kind else {
            panic!("EXPLAIN gives text")
        };
        writeln!(out, "{line}").unwrap();
    }
}

fn show_error(sql: &str, error: &Error<'_>, out: &mut String) {
    writeln!(out, "{}: {error}", error.sqlstate()).unwrap();
    if let Some(span) = error.span() {
        writeln!(out, "at: {}", span.of(sql)).unwrap();
    }
    if let Some(hint) = error.hint() {
        writeln!(out, "hint: {hint}").unwrap();
    }
}
