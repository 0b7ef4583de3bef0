//! What a column of an expression is called: by the table column that it comes from, or by what computes it.

use super::{Column, Expr, ExprKind};
use crate::physical::{
    Aggregate, Delete, HashAggregate, HashJoin, Insert, Limit, NestedLoopJoin, OperatorId, OperatorKind,
    PhysicalPlan, Scan, TableFunction, Update, Window,
};

/// Where the columns of an expression come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    plan: PhysicalPlan<'a>,
    from: Source<'a>,
    /// Whether the plan has several tables, so that their names are needed.
    is_qualified: bool,
    /// Whether this is inside an aggregate. Aggregates of aggregates are not written out: the text could double with
    /// each level.
    is_nested: bool,
}

#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    /// The output of an operator.
    Output(OperatorId),
    /// The columns that a scan reads.
    Read(&'a Scan<'a>),
    /// The outputs of two operators, one behind the other.
    Pair(OperatorId, OperatorId),
    /// Columns under their own names.
    Columns(&'a [Column<'a>]),
}

/// A column, as far as it can be traced.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin<'a> {
    /// A name, with its table where that is needed.
    Name(Option<&'a str>, &'a str),
    /// An expression without a name of its own.
    Expr(&'a Expr<'a>, Names<'a>),
    /// An aggregate.
    Aggregate(&'a Aggregate<'a>, Names<'a>),
}

impl<'a> Names<'a> {
    fn new(plan: PhysicalPlan<'a>, from: Source<'a>) -> Names<'a> {
        let scans = plan.operators.iter().filter(|operator| matches!(operator.kind, OperatorKind::Scan(_)));
        Names { plan, from, is_qualified: scans.count() > 1, is_nested: false }
    }

    /// The name of a parameter, where it has one.
    pub(crate) fn parameter(&self, number: u32) -> Option<&'a str> {
        self.plan.parameter_names.get(number.checked_sub(1)? as usize).copied()
    }

    /// Columns of an operator's output.
    pub(crate) fn of_output(plan: PhysicalPlan<'a>, id: OperatorId) -> Names<'a> {
        Names::new(plan, Source::Output(id))
    }

    /// Columns that a scan reads.
    pub(crate) fn of_scan(plan: PhysicalPlan<'a>, scan: &'a Scan<'a>) -> Names<'a> {
        Names { is_qualified: false, ..Names::new(plan, Source::Read(scan)) }
    }

    /// Columns of a join's probe side, then of its build side.
    pub(crate) fn of_join(plan: PhysicalPlan<'a>, probe: OperatorId, build: OperatorId) -> Names<'a> {
        Names::new(plan, Source::Pair(probe, build))
    }

    /// Columns that are called what they are called, wherever they come from.
    pub(crate) fn of_columns(plan: PhysicalPlan<'a>, columns: &'a [Column<'a>]) -> Names<'a> {
        Names::new(plan, Source::Columns(columns))
    }

    /// The same, for the argument of an aggregate.
    pub(crate) fn inside_aggregate(self) -> Names<'a> {
        Names { is_nested: true, ..self }
    }

    /// Where a column comes from.
    pub(crate) fn origin(&self, position: u32) -> Origin<'a> {
        let mut position = position as usize;
        let mut id = match self.from {
            Source::Output(id) => id,
            Source::Read(scan) => return self.table_column(scan, position),
            Source::Pair(probe, build) => self.side(probe, build, &mut position),
            Source::Columns(columns) => return named_or(columns.get(position), "?"),
        };
        // Each turn goes down one operator.
        loop {
            let operator = &self.plan.operators[id.index()];
            let named = operator.columns.get(position);
            id = match &operator.kind {
                OperatorKind::Filter { input, .. }
                | OperatorKind::Sort { input, .. }
                | OperatorKind::Limit(Limit { input, .. })
                | OperatorKind::Distinct { input }
                | OperatorKind::DistinctOn { input, .. }
                | OperatorKind::Materialize { input }
                | OperatorKind::Insert(Insert { input, .. })
                | OperatorKind::Update(Update { input, .. })
                | OperatorKind::Delete(Delete { input, .. }) => *input,
                OperatorKind::HashJoin(HashJoin { output, .. })
                | OperatorKind::NestedLoopJoin(NestedLoopJoin { output, .. })
                    if position >= output.len() =>
                {
                    return named_or(None, "mark");
                }
                OperatorKind::HashJoin(join) => {
                    position = at(join.output, position);
                    self.side(join.probe, join.build, &mut position)
                }
                OperatorKind::NestedLoopJoin(join) => {
                    position = at(join.output, position);
                    self.side(join.probe, join.build, &mut position)
                }
                OperatorKind::Scan(scan) => return self.table_column(scan, at(scan.output, position)),
                OperatorKind::Values { .. }
                | OperatorKind::CteScan { .. }
                | OperatorKind::WorkingScan { .. }
                | OperatorKind::Concat { .. }
                | OperatorKind::SetOperation { .. }
                | OperatorKind::Recursive { .. } => return named_or(named, "?"),
                OperatorKind::Window(Window { input, .. })
                | OperatorKind::TableFunction(TableFunction { input: Some(input), .. })
                    if position < self.plan.operators[input.index()].columns.len() =>
                {
                    *input
                }
                OperatorKind::Window(_) | OperatorKind::TableFunction(_) => return named_or(named, "?"),
                OperatorKind::Project { input, exprs } => match (exprs.get(position), named) {
                    (Some(Expr { kind: ExprKind::Column(below), .. }), _) => {
                        position = *below as usize;
                        *input
                    }
                    (Some(expr), Some(Column { name: "", .. })) => {
                        return Origin::Expr(expr, self.below(*input));
                    }
                    _ => return named_or(named, "?"),
                },
                OperatorKind::HashAggregate(HashAggregate { input, groups, aggregates, .. }) => {
                    let below = self.below(*input);
                    match (groups.get(position), aggregates.get(position.saturating_sub(groups.len()))) {
                        (Some(Expr { kind: ExprKind::Column(below), .. }), _) => {
                            position = *below as usize;
                            *input
                        }
                        (Some(group), _) => return Origin::Expr(group, below),
                        (None, Some(aggregate)) if self.is_nested => {
                            return named_or(named, aggregate.function.name());
                        }
                        (None, Some(aggregate)) => return Origin::Aggregate(aggregate, below),
                        (None, None) => return named_or(named, "?"),
                    }
                }
            };
        }
    }

    fn below(&self, id: OperatorId) -> Names<'a> {
        Names { from: Source::Output(id), ..*self }
    }

    /// The side of a join that a position is on; the position becomes one of that side.
    fn side(&self, probe: OperatorId, build: OperatorId, position: &mut usize) -> OperatorId {
        let probe_width = self.plan.operators[probe.index()].columns.len();
        match position.checked_sub(probe_width) {
            None => probe,
            Some(rest) => {
                *position = rest;
                build
            }
        }
    }

    fn table_column(&self, scan: &'a Scan<'a>, position: usize) -> Origin<'a> {
        let table = Some(scan.alias).filter(|alias| self.is_qualified && !alias.is_empty());
        let column = scan.source.columns().get(at(scan.projection, position));
        Origin::Name(table, column.map_or("?", |column| column.name))
    }
}

fn at(positions: &[u32], index: usize) -> usize {
    positions.get(index).map_or(usize::MAX, |position| *position as usize)
}

fn named_or<'a>(column: Option<&'a Column<'a>>, otherwise: &'a str) -> Origin<'a> {
    let name = column.map(|column| column.name).filter(|name| !name.is_empty());
    Origin::Name(None, name.unwrap_or(otherwise))
}
