//! Groups of an outer join whose aggregates read the side that may be missing: its rows are grouped before they are joined.
//!
//! ```text
//! SELECT c.id, c.name, count(o.id) FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id, c.name
//!
//! HashAggregate c.id, c.name               Project c.id, c.name, coalesce(count, 0)
//!   count(o.id)                        ->    Hash Left Join o.c = c.id
//!   Hash Left Join o.c = c.id                  c
//!     c                                        HashAggregate o.c
//!     o                                          count(o.id)
//!                                                o
//! ```
//!
//! As many rows are grouped, and fewer are joined: of those that agree in the keys of the join, one. Where the groups of the query are
//! not told apart by a key of the side that is kept, they are made of these rows. Only where most of the groups below are expected to
//! be wanted, and only of aggregates that [`Combined`] knows, over columns: what is computed of rows that nobody joins can fail.

use cofferdam_arena::AllocError;
use cofferdam_arena::collections::Vec;
use cofferdam_types::{Type, Value};

use super::estimate;
use super::finest::{Combined, ROWS_MIN, ROWS_PER_GROUP};
use super::lower::{Lowering, Placed};
use crate::expr::{BinaryOp, Expr, ExprKind, Function};
use crate::logical::{ColumnId, Join, LogicalId, LogicalKind, Named, NamedAggregate, for_each_column};
use crate::physical::{Aggregate, AggregateFunction, HashAggregate, HashJoin, JoinKind, OperatorKind};
use crate::table::TableSource;

/// Of the groups below the join at least one in so many is to be wanted.
const GROUPS_PER_ROW: f64 = 2.0;

impl<'s, 'a> Lowering<'_, 's, 'a> {
    /// The operator of an aggregate over `joined`, the node `input`, if it is better made with groups below that.
    pub(super) fn groups_below_join(
        &mut self,
        input: LogicalId,
        joined: Placed<'s>,
        groups: &'a [Named<'a>],
        sets: &'a [&'a [u32]],
        aggregates: &[&NamedAggregate<'a>],
    ) -> Result<Option<Placed<'s>>, AllocError> {
        let LogicalKind::Join(join @ Join { kind: JoinKind::Left, .. }) = self.plan.kind(input) else {
            return Ok(None);
        };
        let is_whole_set = matches!(sets, [set] if set.len() == groups.len() && !groups.is_empty());
        let OperatorKind::HashJoin(HashJoin { residual: [], .. }) = self.kind_of(joined.operator) else {
            return Ok(None);
        };
        let (left, right) = (self.placed(join.left), self.placed(join.right));
        let Some(keys) = self.right_keys(&join, left, right)? else { return Ok(None) };
        let mut needed: Vec<'s, ColumnId> = Vec::new_in(self.scratch);
        for group in groups {
            for_each_column(group.expr, self.scratch, |column| needed.push(column))?;
        }
        let mut of_right: Vec<'s, &NamedAggregate<'a>> = Vec::new_in(self.scratch);
        for named in aggregates {
            match is_of_row(&named.aggregate) {
                true => for_each_column(named.aggregate.args[0], self.scratch, |column| needed.push(column))?,
                false if is_of(&named.aggregate, right.layout) => of_right.push(named)?,
                false => return Ok(None),
            }
        }
        if !is_whole_set || of_right.is_empty() {
            return Ok(None);
        }
        if !needed.iter().all(|column| left.layout.contains(column)) {
            return Ok(None);
        }
        let mut key_exprs: Vec<'s, &'a Expr<'a>> = Vec::new_in(self.scratch);
        for key in keys {
            key_exprs.push(self.plan.read(*key, Default::default(), self.arena)?)?;
        }
        let rows = self.known.groups(key_exprs.iter().copied(), right.rows);
        let is_worth_it = right.rows >= ROWS_MIN
            && rows * ROWS_PER_GROUP <= right.rows
            && left.rows * GROUPS_PER_ROW >= rows;
        if !is_worth_it || !self.take_back(joined.operator) {
            return Ok(None);
        }
        let right = self.grouped(right, keys, &key_exprs, &of_right, rows)?;
        needed.extend(of_right.iter().map(|named| named.id))?;
        let joined = self.outer_join_of(join, left, right, &needed)?;
        match self.is_told_apart(join.left, groups) {
            true => self.results_of_rows(joined, groups, aggregates),
            false => self.results_of_groups(joined, groups, sets, aggregates),
        }
        .map(Some)
    }

    /// The columns of the right side that are compared with columns of the left one, if nothing else is asked of a pair.
    fn right_keys(
        &self,
        join: &Join<'a>,
        left: Placed<'s>,
        right: Placed<'s>,
    ) -> Result<Option<&'s [ColumnId]>, AllocError> {
        let mut keys: Vec<'s, ColumnId> = Vec::new_in(self.scratch);
        for conjunct in join.conjuncts {
            let ExprKind::Binary { op: BinaryOp::Equal, left: a, right: b } = conjunct.kind else {
                return Ok(None);
            };
            let (ExprKind::Column(a), ExprKind::Column(b)) = (a.kind, b.kind) else { return Ok(None) };
            let is_pair = |a, b| left.layout.contains(&a) && right.layout.contains(&b);
            match (is_pair(a, b), is_pair(b, a)) {
                (true, _) if !keys.contains(&b) => keys.push(b)?,
                (_, true) if !keys.contains(&a) => keys.push(a)?,
                _ => return Ok(None),
            }
        }
        Ok(if keys.is_empty() { None } else { Some(keys.into_slice()) })
    }

    /// The right side's groups by the keys of the join, with the aggregates under their own numbers.
    fn grouped(
        &mut self,
        right: Placed<'s>,
        keys: &[ColumnId],
        key_exprs: &[&'a Expr<'a>],
        aggregates: &[&NamedAggregate<'a>],
        rows: f64,
    ) -> Result<Placed<'s>, AllocError> {
        let mut layout: Vec<'s, ColumnId> = Vec::new_in(self.scratch);
        layout.extend_from_slice(keys)?;
        let groups = self.placed_exprs(key_exprs, right.layout, 0)?;
        let mut parts: Vec<'a, Aggregate<'a>> = Vec::with_capacity_in(aggregates.len(), self.arena)?;
        for named in aggregates {
            layout.push(named.id)?;
            parts.push(self.placed_aggregate(&named.aggregate, right.layout)?)?;
        }
        let all = &*self.arena.alloc_slice_from_iter(0..keys.len() as u32)?;
        let plan = HashAggregate {
            input: right.operator,
            groups,
            sets: self.arena.alloc_slice_copy(&[all])?,
            aggregates: parts.into_slice(),
            together: self.groups_together(right, key_exprs, groups)?,
        };
        let columns = self.described(&layout)?;
        let bytes = rows * estimate::held_bytes(columns);
        let operator = self.push(OperatorKind::HashAggregate(plan), columns, rows, bytes)?;
        Ok(Placed { operator, layout: layout.into_slice(), rows, base_rows: rows })
    }

    /// Whether no two rows of a node are in one group: it gives the rows of a table, whose key is among the groups.
    fn is_told_apart(&self, mut node: LogicalId, groups: &[Named<'a>]) -> bool {
        while let LogicalKind::Filter { input, .. } = self.plan.kind(node) {
            node = input;
        }
        let LogicalKind::Scan { source: TableSource::Stored(table), first, .. } = self.plan.kind(node) else {
            return false;
        };
        let is_group = |column: ColumnId| {
            groups.iter().any(|group| matches!(group.expr.kind, ExprKind::Column(id) if id == column))
        };
        !table.key.is_empty() && table.key.iter().all(|key| is_group(first + key.column))
    }

    /// A row for each group, where each joined row is one.
    fn results_of_rows(
        &mut self,
        joined: Placed<'s>,
        groups: &'a [Named<'a>],
        aggregates: &[&NamedAggregate<'a>],
    ) -> Result<Placed<'s>, AllocError> {
        let (mut layout, mut exprs) = (Vec::new_in(self.scratch), Vec::new_in(self.scratch));
        for group in groups {
            layout.push(group.id)?;
            exprs.push(group.expr)?;
        }
        for named in aggregates {
            layout.push(named.id)?;
            exprs.push(self.result_of_part(named)?)?;
        }
        let exprs = self.placed_exprs(&exprs, joined.layout, 0)?;
        let columns = self.described(&layout)?;
        let kind = OperatorKind::Project { input: joined.operator, exprs };
        let operator = self.push(kind, columns, joined.rows, 0.0)?;
        Ok(Placed { operator, layout: layout.into_slice(), ..joined })
    }

    /// Groups of the joined rows.
    fn results_of_groups(
        &mut self,
        joined: Placed<'s>,
        groups: &'a [Named<'a>],
        sets: &'a [&'a [u32]],
        aggregates: &[&NamedAggregate<'a>],
    ) -> Result<Placed<'s>, AllocError> {
        let mut layout: Vec<'s, ColumnId> = Vec::new_in(self.scratch);
        let mut exprs: Vec<'s, &'a Expr<'a>> = Vec::new_in(self.scratch);
        for group in groups {
            layout.push(group.id)?;
            exprs.push(group.expr)?;
        }
        let rows = self.known.groups(exprs.iter().copied(), joined.rows);
        let placed_groups = self.placed_exprs(&exprs, joined.layout, 0)?;
        let mut wholes: Vec<'a, Aggregate<'a>> = Vec::with_capacity_in(aggregates.len(), self.arena)?;
        for named in aggregates {
            layout.push(named.id)?;
            let function = match Combined::of(&named.aggregate) {
                Some(Combined::By(function)) => function,
                Some(_) => AggregateFunction::Sum,
                None => named.aggregate.function,
            };
            let args = self.placed_exprs(&[self.result_of_part(named)?], joined.layout, 0)?;
            wholes.push(Aggregate { function, args, ..named.aggregate })?;
        }
        let columns = self.described(&layout)?;
        let bytes = rows * estimate::held_bytes(columns);
        let plan = HashAggregate {
            input: joined.operator,
            groups: placed_groups,
            sets,
            aggregates: wholes.into_slice(),
            together: &[],
        };
        let operator = self.push(OperatorKind::HashAggregate(plan), columns, rows, bytes)?;
        Ok(Placed { operator, layout: layout.into_slice(), rows, base_rows: rows })
    }

    /// What an aggregate is for a row of the join: that of its group, or of one row of NULLs.
    fn result_of_part(&self, named: &NamedAggregate<'a>) -> Result<&'a Expr<'a>, AllocError> {
        let Aggregate { function, ty, span, args, .. } = named.aggregate;
        if is_of_row(&named.aggregate) {
            return Ok(args[0]);
        }
        let part = self.plan.read(named.id, span, self.arena)?;
        let missing = match function {
            AggregateFunction::Count => 0,
            AggregateFunction::CountRows => 1,
            _ => return Ok(part),
        };
        let kind = ExprKind::Literal(Value::BigInt(missing));
        let missing = &*self.arena.alloc(Expr { kind, ty: Type::BigInt, span })?;
        let args = self.arena.alloc_slice_copy(&[part, missing])?;
        Ok(self.arena.alloc(Expr {
            kind: ExprKind::Call { function: Function::Coalesce, args },
            ty,
            span,
        })?)
    }
}

/// Whether an aggregate can be made of parts of its rows, and is one of columns of these; that is NULL for a row that has none of them.
fn is_of(aggregate: &Aggregate<'_>, columns: &[ColumnId]) -> bool {
    let is_made_so = matches!(Combined::of(aggregate), Some(Combined::By(_) | Combined::Counts));
    let is_column = |arg: &&Expr<'_>| matches!(arg.kind, ExprKind::Column(id) if columns.contains(&id));
    is_made_so && aggregate.filter.is_none() && aggregate.args.iter().all(is_column)
}

/// Whether an aggregate is of one row, whichever it is: columns that depend on the groups are asked for so.
fn is_of_row(aggregate: &Aggregate<'_>) -> bool {
    aggregate.function == AggregateFunction::AnyValue
        && matches!(aggregate.args, [Expr { kind: ExprKind::Column(_), .. }])
        && !aggregate.distinct
        && aggregate.filter.is_none()
        && aggregate.order_by.is_empty()
}
