//! The operators of a physical plan, each a small state machine.
//!
//! An operator never calls another. It is told what happened ([`Event`]) and says what it wants ([`Step`]); the loop in
//! `execution` carries the message to the operator above or below. Native stack therefore does not grow with the plan:
//!
//! ```text
//!   Pull                 Pull                Batch               Batch
//! ───────► filter ──────────────► scan ─────────────► filter ───────────► (the operator above)
//!                  Step::Pull          Step::Emit            Step::Emit
//! ```
//!
//! After `End` an operator that is pulled again says `End` again.
//!
//! **Memory.** Each operator has an arena under a budget of its own, named after it and its number in the plan. What
//! an operator holds is freed when the arenas are dropped, in one step, whatever state an error left it in.

mod aggregate;
mod filter;
mod gather;
mod insert;
mod join;
mod limit;
mod scan;
mod sort;
mod state;
mod stored_scan;
mod values;

use cofferdam_plan::expr::{Expr, ExprKind};
use cofferdam_plan::physical::{HashAggregate, Limit, Operator as PlanOperator, OperatorId, OperatorKind};
use cofferdam_plan::table::TableSource;
use cofferdam_types::Value;

use crate::batch::{BatchRows, Store, VectorId};
use crate::error::Error;
use cofferdam_arena::Arena;

/// What an operator is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The operator above wants a batch.
    Pull,
    /// The input that was pulled has put a batch into its columns.
    Batch(BatchRows),
    /// The input that was pulled has no more rows.
    End,
}

/// What an operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A batch of an input.
    Pull(OperatorId),
    /// To hand the batch in its columns to the operator above.
    Emit(BatchRows),
    /// To be pulled again at once: a batch of work is done and gave no rows.
    Again,
    /// Nothing: there are no more rows.
    End,
}

/// An operator of a running query.
#[derive(Debug)]
pub(crate) enum Operator<'a> {
    Scan(scan::Scan<'a>),
    StoredScan(stored_scan::StoredScan<'a>),
    Values(values::Values<'a>),
    Filter(filter::Filter<'a>),
    Project(filter::Project<'a>),
    HashJoin(join::HashJoin<'a>),
    NestedLoopJoin(join::NestedLoopJoin<'a>),
    HashAggregate(aggregate::HashAggregate<'a>),
    Distinct(aggregate::Distinct<'a>),
    Sort(sort::Sort<'a>),
    Limit(limit::Limit),
    Insert(insert::Insert<'a>),
}

/// An operator and the columns that its batches stand in.
#[derive(Debug)]
pub(crate) struct Node<'a> {
    pub(crate) operator: Operator<'a>,
    pub(crate) columns: &'a [VectorId],
    pub(crate) parent: Option<OperatorId>,
}

impl<'a> Node<'a> {
    /// Makes the operator at a position of the plan; its inputs have been made. `arena` pays for it. With `notes_lines`, a
    /// scan of a file notes the lines of its rows.
    pub(crate) fn open(
        plan: &'a PlanOperator<'a>,
        inputs: &[Node<'a>],
        notes_lines: bool,
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<Node<'a>, Error<'a>> {
        let columns_of = |id: OperatorId| inputs[id.index()].columns;
        let (operator, columns) = match &plan.kind {
            OperatorKind::Scan(scan) => match scan.source {
                TableSource::File(file) => {
                    let (scan, columns) = scan::Scan::open(scan, file, notes_lines, store, arena)?;
                    (Operator::Scan(scan), columns)
                }
                TableSource::Stored(table) => {
                    let (scan, columns) = stored_scan::StoredScan::open(scan, table, store, arena)?;
                    (Operator::StoredScan(scan), columns)
                }
            },
            OperatorKind::Values { rows } => {
                let (values, columns) = values::Values::open(rows, plan.columns, store, arena)?;
                (Operator::Values(values), columns)
            }
            OperatorKind::Filter { input, conjuncts } => {
                let columns = columns_of(*input);
                let filter = filter::Filter::open(*input, conjuncts, columns, store, arena)?;
                (Operator::Filter(filter), columns)
            }
            OperatorKind::Project { input, exprs } => {
                let (project, columns) =
                    filter::Project::open(*input, exprs, plan.columns, columns_of(*input), store, arena)?;
                (Operator::Project(project), columns)
            }
            OperatorKind::HashJoin(join) => {
                let (probe, build) = (columns_of(join.probe), columns_of(join.build));
                let (join, columns) = join::HashJoin::open(join, probe, build, store, arena)?;
                (Operator::HashJoin(join), columns)
            }
            OperatorKind::NestedLoopJoin(join) => {
                let (probe, build) = (columns_of(join.probe), columns_of(join.build));
                let (join, columns) = join::NestedLoopJoin::open(join, probe, build, store, arena)?;
                (Operator::NestedLoopJoin(join), columns)
            }
            OperatorKind::HashAggregate(HashAggregate { input, groups, aggregates, .. }) => {
                let (aggregate, columns) = aggregate::HashAggregate::open(
                    *input,
                    groups,
                    aggregates,
                    columns_of(*input),
                    store,
                    arena,
                )?;
                (Operator::HashAggregate(aggregate), columns)
            }
            OperatorKind::Sort { input, keys, limit } => {
                let (sort, columns) =
                    sort::Sort::open(*input, keys, *limit, columns_of(*input), plan.columns, store, arena)?;
                (Operator::Sort(sort), columns)
            }
            OperatorKind::Limit(Limit { input, count, offset, .. }) => {
                let number = |expr: Option<&Expr<'_>>| match expr.map(|expr| expr.kind) {
                    Some(ExprKind::Literal(Value::BigInt(number))) => u64::try_from(number).ok(),
                    _ => None,
                };
                let (count, offset) = (number(*count), number(*offset).unwrap_or(0));
                let limit = limit::Limit::open(*input, count, offset, store, arena)?;
                (Operator::Limit(limit), columns_of(*input))
            }
            OperatorKind::Distinct { input } => {
                let columns = columns_of(*input);
                (Operator::Distinct(aggregate::Distinct::open(*input, columns, store, arena)?), columns)
            }
            OperatorKind::Insert(insert) => {
                let columns = columns_of(insert.input);
                (Operator::Insert(insert::Insert::open(insert, columns, store, arena)?), columns)
            }
            other => return Err(Error::NotSupported { what: name(other) }),
        };
        Ok(Node { operator, columns, parent: None })
    }

    pub(crate) fn resume(&mut self, event: Event, store: &mut Store<'a>) -> Result<Step, Error<'a>> {
        match &mut self.operator {
            Operator::Scan(scan) => scan.resume(store),
            Operator::StoredScan(scan) => scan.resume(store),
            Operator::Values(values) => values.resume(store),
            Operator::Filter(filter) => filter.resume(event, store),
            Operator::Project(project) => project.resume(event, store),
            Operator::HashJoin(join) => join.resume(event, store),
            Operator::NestedLoopJoin(join) => join.resume(event, store),
            Operator::HashAggregate(aggregate) => aggregate.resume(event, store),
            Operator::Distinct(distinct) => distinct.resume(event, store),
            Operator::Sort(sort) => sort.resume(event, store),
            Operator::Limit(limit) => limit.resume(event, store),
            Operator::Insert(insert) => insert.resume(event, store),
        }
    }
}

/// The name of an operator in the memory tree and in errors.
pub(crate) fn name(kind: &OperatorKind<'_>) -> &'static str {
    match kind {
        OperatorKind::Scan(_) => "scan",
        OperatorKind::Values { .. } => "values",
        OperatorKind::Filter { .. } => "filter",
        OperatorKind::Project { .. } => "project",
        OperatorKind::CteScan { .. } => "cte_scan",
        OperatorKind::WorkingScan { .. } => "working_scan",
        OperatorKind::Window(_) => "window",
        OperatorKind::DistinctOn { .. } => "distinct_on",
        OperatorKind::Concat { .. } => "concat",
        OperatorKind::SetOperation { .. } => "set_operation",
        OperatorKind::Materialize { .. } => "materialize",
        OperatorKind::Recursive { .. } => "recursive",
        OperatorKind::TableFunction(_) => "table_function",
        OperatorKind::HashJoin(_) => "hash_join",
        OperatorKind::NestedLoopJoin(_) => "nested_loop_join",
        OperatorKind::HashAggregate(_) => "aggregate",
        OperatorKind::Sort { limit: None, .. } => "sort",
        OperatorKind::Sort { limit: Some(_), .. } => "top_n",
        OperatorKind::Limit(_) => "limit",
        OperatorKind::Distinct { .. } => "distinct",
        OperatorKind::Insert(_) => "insert",
    }
}
