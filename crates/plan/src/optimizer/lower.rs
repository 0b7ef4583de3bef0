//! Turns logical nodes into physical operators, from the leaves to the root.
//!
//! An operator gives only the columns that are needed, so positions shift: for every logical node a map says where each
//! of its output columns has gone. Nodes that have become nothing (filters whose conjuncts have moved, projections that
//! change nothing) stand for their input.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};

use super::Sink;
use super::estimate;
use super::key_range::{column_ranges, key_range};
use super::need_columns::Needs;
use super::push_filters::Filters;
use super::replace_columns;
use crate::expr::{Column, Expr, ExprKind};
use crate::logical::{LogicalId, LogicalKind, LogicalNode, LogicalPlan};
use crate::physical::{
    Aggregate, HashAggregate, Insert, Limit, Operator, OperatorId, OperatorKind, PhysicalPlan, Scan, SortKey,
};
use crate::table::TableSource;
use cofferdam_types::{Type, Value};

/// A column that has no place in an operator's output.
pub(super) const NOWHERE: u32 = u32::MAX;

/// A logical node that has its operator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed<'s> {
    pub(super) operator: OperatorId,
    /// Where each of the node's columns is in the operator's output; `NOWHERE` for those that nobody needs.
    pub(super) map: &'s [u32],
    /// How many rows it will give.
    pub(super) rows: f64,
    /// How many rows the table behind it has, for guesses about its keys.
    pub(super) base_rows: f64,
}

/// The pass.
pub(super) struct Lowering<'s, 'a> {
    pub(super) arena: &'a Arena,
    pub(super) scratch: &'s Arena,
    operators: Vec<'a, Operator<'a>>,
    placed: Vec<'s, Placed<'s>>,
}

/// The physical plan.
pub(super) fn lower<'s, 'a>(
    plan: &LogicalPlan<'a>,
    filters: &Filters<'_, 'a>,
    needs: &Needs<'_>,
    sink: Option<Sink<'a>>,
    arena: &'a Arena,
    scratch: &'s Arena,
) -> Result<PhysicalPlan<'a>, AllocError> {
    let (operators, placed) = (Vec::new_in(arena), Vec::with_capacity_in(plan.nodes.len(), scratch)?);
    let mut lowering: Lowering<'s, 'a> = Lowering { arena, scratch, operators, placed };
    for (index, node) in plan.nodes.iter().enumerate() {
        let placed = lowering.place(plan, node, needs[index])?;
        let placed = lowering.filter(placed, &filters[index])?;
        lowering.placed.push(placed)?;
    }
    lowering.finish(plan, sink)
}

impl<'s, 'a> Lowering<'s, 'a> {
    fn place(
        &mut self,
        plan: &LogicalPlan<'a>,
        node: &LogicalNode<'a>,
        needed: &[bool],
    ) -> Result<Placed<'s>, AllocError> {
        match node.kind {
            LogicalKind::Scan { source, alias, conjuncts } => {
                let (range, column_ranges) = match source {
                    TableSource::Stored(table) => (
                        key_range(table, conjuncts, self.arena)?,
                        column_ranges(table, conjuncts, self.arena)?,
                    ),
                    TableSource::File(_) => (None, &[][..]),
                };
                let (projection, output) = (&[], &[]);
                let scan = Scan { source, alias, projection, conjuncts, output, range, column_ranges };
                self.scan(node, scan, needed)
            }
            LogicalKind::Values { rows } => self.values(node, rows, needed),
            LogicalKind::Join { relations, conjuncts } => {
                super::join_order::join(self, plan, node, relations, conjuncts, needed)
            }
            LogicalKind::Filter { input, .. } => Ok(self.placed(input)),
            LogicalKind::Project { input, exprs } => self.project(node, input, exprs, needed),
            LogicalKind::Aggregate { input, groups, aggregates } => {
                self.aggregate(node, input, groups, aggregates, needed)
            }
            LogicalKind::Sort { input, keys, limit } => self.sort(input, keys, limit),
            LogicalKind::Limit { input, count, offset } => self.limit(input, count, offset),
            LogicalKind::Distinct { input } => self.distinct(input),
        }
    }

    pub(super) fn placed(&self, id: LogicalId) -> Placed<'s> {
        self.placed[id.index()]
    }

    pub(super) fn columns(&self, operator: OperatorId) -> &'a [Column<'a>] {
        self.operators[operator.index()].columns
    }

    /// Adds an operator.
    pub(super) fn push(
        &mut self,
        kind: OperatorKind<'a>,
        columns: &'a [Column<'a>],
        rows: f64,
        bytes: f64,
    ) -> Result<OperatorId, AllocError> {
        let id = OperatorId::new(self.operators.len() as u32);
        let (rows_estimate, bytes_estimate) = (estimate::whole(rows), estimate::whole(bytes));
        self.operators.push(Operator { kind, columns, rows_estimate, bytes_estimate })?;
        Ok(id)
    }

    /// The expressions over an operator's output.
    fn mapped(
        &self,
        exprs: impl ExactSizeIterator<Item = &'a Expr<'a>>,
        map: &[u32],
    ) -> Result<&'a [&'a Expr<'a>], AllocError> {
        let mut mapped = Vec::with_capacity_in(exprs.len(), self.arena)?;
        for expr in exprs {
            mapped.push(replace_columns(expr, self.arena, |position| map[position as usize])?)?;
        }
        Ok(mapped.into_slice())
    }

    /// A filter behind an operator, where there are conjuncts.
    fn filter(&mut self, input: Placed<'s>, conjuncts: &[&'a Expr<'a>]) -> Result<Placed<'s>, AllocError> {
        if conjuncts.is_empty() {
            return Ok(input);
        }
        let conjuncts =
            self.mapped(estimate::cheap_first(conjuncts, self.scratch)?.iter().copied(), input.map)?;
        let rows = input.rows * estimate::selectivity(conjuncts, self.scratch)?;
        let kind = OperatorKind::Filter { input: input.operator, conjuncts };
        let operator = self.push(kind, self.columns(input.operator), rows, 0.0)?;
        Ok(Placed { operator, rows, ..input })
    }

    /// A map that numbers the needed columns from 0.
    fn numbered(&self, needed: impl ExactSizeIterator<Item = bool>) -> Result<&'s [u32], AllocError> {
        let mut map = Vec::with_capacity_in(needed.len(), self.scratch)?;
        let mut next = 0;
        for is_needed in needed {
            map.push(if is_needed { next } else { NOWHERE })?;
            next += u32::from(is_needed);
        }
        Ok(map.into_slice())
    }

    /// Those of `items` that have a place, in order.
    fn kept<T: Copy>(&self, items: &[T], map: &[u32]) -> Result<&'a [T], AllocError> {
        let mut kept = Vec::new_in(self.arena);
        kept.extend(items.iter().zip(map).filter(|(_, place)| **place != NOWHERE).map(|(item, _)| *item))?;
        Ok(kept.into_slice())
    }

    fn scan(
        &mut self,
        node: &LogicalNode<'a>,
        scan: Scan<'a>,
        needed: &[bool],
    ) -> Result<Placed<'s>, AllocError> {
        let read = self.scratch.alloc_slice_copy(needed)?;
        for conjunct in scan.conjuncts {
            crate::expr::walk::for_each(conjunct, self.scratch, |expr| {
                if let ExprKind::Column(position) = expr.kind {
                    read[position as usize] = true;
                }
            })?;
        }
        let read_map = self.numbered(read.iter().copied())?;
        let mut projection = Vec::new_in(self.arena);
        let mut output = Vec::new_in(self.arena);
        for (position, place) in read_map.iter().enumerate().filter(|(_, place)| **place != NOWHERE) {
            projection.push(position as u32)?;
            if needed[position] {
                output.push(*place)?;
            }
        }
        let map = self.numbered(needed.iter().copied())?;
        let conjuncts = estimate::cheap_first(scan.conjuncts, self.scratch)?;
        let conjuncts = self.mapped(conjuncts.iter().copied(), read_map)?;
        let base_rows = estimate::source_rows(scan.source);
        let rows = match is_one_row(&scan) {
            true => 1.0,
            false => base_rows * estimate::selectivity(conjuncts, self.scratch)?,
        };
        let columns = self.kept(node.columns, map)?;
        let scan =
            Scan { projection: projection.into_slice(), conjuncts, output: output.into_slice(), ..scan };
        let operator = self.push(OperatorKind::Scan(scan), columns, rows, 0.0)?;
        Ok(Placed { operator, map, rows, base_rows })
    }

    fn values(
        &mut self,
        node: &LogicalNode<'a>,
        rows: &'a [&'a [&'a Expr<'a>]],
        needed: &[bool],
    ) -> Result<Placed<'s>, AllocError> {
        let map = self.numbered(needed.iter().copied())?;
        let columns = self.kept(node.columns, map)?;
        let mut kept = Vec::with_capacity_in(rows.len(), self.arena)?;
        for row in rows {
            kept.push(self.kept(row, map)?)?;
        }
        let count = rows.len() as f64;
        let operator = self.push(OperatorKind::Values { rows: kept.into_slice() }, columns, count, 0.0)?;
        Ok(Placed { operator, map, rows: count, base_rows: count })
    }

    fn project(
        &mut self,
        node: &LogicalNode<'a>,
        input: LogicalId,
        exprs: &'a [&'a Expr<'a>],
        needed: &[bool],
    ) -> Result<Placed<'s>, AllocError> {
        let input = self.placed(input);
        let map = self.numbered(needed.iter().copied())?;
        if !needed.contains(&true) {
            // Only the number of rows matters.
            return Ok(Placed { map, ..input });
        }
        let columns = self.kept(node.columns, map)?;
        let exprs = self.mapped(self.kept(exprs, map)?.iter().copied(), input.map)?;
        if self.changes_nothing(input.operator, exprs) {
            self.rename(input.operator, columns);
            return Ok(Placed { map, ..input });
        }
        let operator =
            self.push(OperatorKind::Project { input: input.operator, exprs }, columns, input.rows, 0.0)?;
        Ok(Placed { operator, map, ..input })
    }

    /// Whether a projection would give its input's columns as they are, but for their names.
    fn changes_nothing(&self, input: OperatorId, exprs: &[&Expr<'a>]) -> bool {
        self.columns(input).len() == exprs.len()
            && exprs.iter().enumerate().all(
                |(index, expr)| matches!(expr.kind, ExprKind::Column(position) if position as usize == index),
            )
    }

    /// Gives an operator's output the names that its only reader would give it.
    fn rename(&mut self, operator: OperatorId, columns: &'a [Column<'a>]) {
        self.operators[operator.index()].columns = columns;
    }

    fn aggregate(
        &mut self,
        node: &LogicalNode<'a>,
        input: LogicalId,
        groups: &'a [&'a Expr<'a>],
        aggregates: &'a [Aggregate<'a>],
        needed: &[bool],
    ) -> Result<Placed<'s>, AllocError> {
        let input = self.placed(input);
        // Groups decide which rows there are, so they stay whether or not anyone reads them.
        let is_kept = |(index, needed): (usize, &bool)| *needed || index < groups.len();
        let map = self.numbered(needed.iter().enumerate().map(is_kept))?;
        let columns = self.kept(node.columns, map)?;
        let groups = self.mapped(groups.iter().copied(), input.map)?;
        let mut kept = Vec::new_in(self.arena);
        for (aggregate, _) in
            aggregates.iter().zip(&map[groups.len()..]).filter(|(_, place)| **place != NOWHERE)
        {
            let args = self.mapped(aggregate.args.iter().copied(), input.map)?;
            kept.push(Aggregate { args, ..*aggregate })?;
        }
        let rows = estimate::group_rows(input.rows, groups.len());
        let bytes = rows * (estimate::held_bytes(columns));
        let kind = OperatorKind::HashAggregate(HashAggregate {
            input: input.operator,
            groups,
            sets: self.whole_set(groups.len())?,
            aggregates: kept.into_slice(),
        });
        let operator = self.push(kind, columns, rows, bytes)?;
        Ok(Placed { operator, map, rows, base_rows: rows })
    }

    fn sort(
        &mut self,
        input: LogicalId,
        keys: &'a [SortKey],
        limit: Option<u64>,
    ) -> Result<Placed<'s>, AllocError> {
        let input = self.placed(input);
        let mut mapped = Vec::with_capacity_in(keys.len(), self.arena)?;
        for key in keys {
            mapped.push(SortKey { column: input.map[key.column as usize], ..*key })?;
        }
        let columns = self.columns(input.operator);
        let rows = limit.map_or(input.rows, |limit| input.rows.min(limit as f64));
        let bytes = rows * estimate::held_bytes(columns);
        let kind = OperatorKind::Sort { input: input.operator, keys: mapped.into_slice(), limit };
        let operator = self.push(kind, columns, rows, bytes)?;
        Ok(Placed { operator, rows, ..input })
    }

    fn limit(&mut self, input: LogicalId, count: Option<u64>, offset: u64) -> Result<Placed<'s>, AllocError> {
        let input = self.placed(input);
        if let OperatorKind::Sort { limit: Some(limit), .. } = self.operators[input.operator.index()].kind
            && offset == 0
            && count.is_none_or(|count| limit <= count)
        {
            // The sort gives no more than so many rows already.
            return Ok(input);
        }
        let left = (input.rows - offset as f64).max(0.0);
        let rows = count.map_or(left, |count| left.min(count as f64));
        let count = count.map(|count| self.bigint(count)).transpose()?;
        let offset = if offset == 0 { None } else { Some(self.bigint(offset)?) };
        let kind = OperatorKind::Limit(Limit { input: input.operator, count, offset, ties: None });
        let operator = self.push(kind, self.columns(input.operator), rows, 0.0)?;
        Ok(Placed { operator, rows, ..input })
    }

    /// The grouping set of all groups.
    fn whole_set(&self, groups: usize) -> Result<&'a [&'a [u32]], AllocError> {
        let set: &'a [u32] = self.arena.alloc_slice_from_iter(0..groups as u32)?;
        Ok(self.arena.alloc_slice_copy(&[set])?)
    }

    fn bigint(&self, value: u64) -> Result<&'a Expr<'a>, AllocError> {
        let value = Value::BigInt(i64::try_from(value).unwrap_or(i64::MAX));
        let (kind, ty) = (ExprKind::Literal(value), Type::BigInt);
        Ok(self.arena.alloc(Expr { kind, ty, span: crate::Span::default() })?)
    }

    fn distinct(&mut self, input: LogicalId) -> Result<Placed<'s>, AllocError> {
        let input = self.placed(input);
        let columns = self.columns(input.operator);
        let rows = estimate::group_rows(input.rows, columns.len());
        let bytes = rows * estimate::held_bytes(columns);
        let operator = self.push(OperatorKind::Distinct { input: input.operator }, columns, rows, bytes)?;
        Ok(Placed { operator, rows, ..input })
    }

    /// Makes sure that the root gives the query's columns, in order and under their names, and puts the sink above it.
    fn finish(
        mut self,
        plan: &LogicalPlan<'a>,
        sink: Option<Sink<'a>>,
    ) -> Result<PhysicalPlan<'a>, AllocError> {
        let (root, placed) = match (plan.nodes.last(), self.placed.last()) {
            (Some(root), Some(placed)) => (*root, *placed),
            _ => unreachable!("a bound query has a root"),
        };
        let mut exprs = Vec::with_capacity_in(placed.map.len(), self.arena)?;
        for (column, place) in root.columns.iter().zip(placed.map) {
            let span = crate::Span::default();
            exprs.push(&*self.arena.alloc(Expr {
                kind: ExprKind::Column(*place),
                ty: column.ty,
                span,
            })?)?;
        }
        if self.changes_nothing(placed.operator, &exprs) {
            self.rename(placed.operator, root.columns);
        } else {
            let kind = OperatorKind::Project { input: placed.operator, exprs: exprs.into_slice() };
            self.push(kind, root.columns, placed.rows, 0.0)?;
        }
        if let Some(Sink { table, checks }) = sink {
            let input = OperatorId::new(self.operators.len() as u32 - 1);
            let kind = OperatorKind::Insert(Insert { input, table, checks });
            self.push(kind, root.columns, placed.rows, 0.0)?;
        }
        Ok(PhysicalPlan { operators: self.operators.into_slice() })
    }
}

/// Whether the scan gives the value of every column of a key, which no two rows share.
fn is_one_row(scan: &Scan<'_>) -> bool {
    match (scan.source, scan.range) {
        (TableSource::Stored(table), Some(range)) => range.prefix.len() == table.key.len(),
        _ => false,
    }
}
