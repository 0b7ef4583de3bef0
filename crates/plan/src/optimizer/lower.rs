//! Turns logical nodes into physical operators, from the leaves to the root.
//!
//! An operator gives only the columns that are needed: of every node it is kept which columns its operator gives, in which
//! order, and expressions are rewritten from numbers of columns to positions. Nodes that have become nothing (filters whose
//! conjuncts have moved, computed columns that nobody reads) stand for their input.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::{Type, Value};

use super::access::WayToRead;
use super::estimate;
use super::key_filters::key_filters;
use super::key_range::{Given, column_ranges, is_by_key};
use super::known::Known;
use super::needs::{Needs, needs};
use super::push_filters::Filters;
use super::tree::Tree;
use super::{Sink, SinkKind};
use crate::Span;
use crate::expr::{BinaryOp, Column, Expr, ExprKind, UnaryOp, walk};
use crate::logical::{
    ColumnId, Join, Key, LogicalId, LogicalKind, LogicalPlan, Named, NamedAggregate, NamedWindow,
    for_each_column,
};
use crate::physical::{
    Aggregate, AggregateFunction, AggregateKey, Delete, FrameBound, HashAggregate, HashJoin, Insert, JoinKey,
    JoinKind, KeyNulls, Limit, NestedLoopJoin, Operator, OperatorId, OperatorKind, PhysicalPlan, Scan,
    SortKey, TableCall, TableFunction, Update, Window, WindowFunction,
};
use crate::table::TableSource;

/// What is no position.
const NOWHERE: u32 = u32::MAX;

/// A logical node that has its operator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed<'s> {
    pub(super) operator: OperatorId,
    /// The columns of the operator's output, in order.
    pub(super) layout: &'s [ColumnId],
    /// How many rows it will give.
    pub(super) rows: f64,
    /// How many rows the table behind it has, for guesses about its keys.
    pub(super) base_rows: f64,
}

/// The pass over one tree.
pub(super) struct Lowering<'p, 's, 'a> {
    pub(super) plan: &'p LogicalPlan<'a>,
    pub(super) tree: &'p Tree<'s>,
    pub(super) arena: &'a Arena,
    pub(super) scratch: &'s Arena,
    operators: &'p mut Vec<'a, Operator<'a>>,
    /// The operators that keep common table expressions.
    kept: &'p [Option<Placed<'s>>],
    placed: Vec<'s, Placed<'s>>,
    /// Hash joins, each with its sides: the one that streams, and the one that is held.
    pub(super) joins: Vec<'s, (OperatorId, [Placed<'s>; 2])>,
    needs: &'p Needs<'s>,
    filters: &'p Filters<'s, 'a>,
    pub(super) known: &'p Known<'s, 'a>,
    /// By column: its position in the layout that expressions are being rewritten for.
    positions: &'s mut [u32],
}

/// The physical plan; `tree` is that of the answer.
pub(super) fn lower<'s, 'a>(
    plan: &LogicalPlan<'a>,
    tree: &Tree<'s>,
    filters: &Filters<'s, 'a>,
    known: &Known<'s, 'a>,
    sink: Option<Sink<'a>>,
    arena: &'a Arena,
    scratch: &'s Arena,
) -> Result<PhysicalPlan<'a>, AllocError> {
    let mut operators: Vec<'a, Operator<'a>> = Vec::new_in(arena);
    let mut kept: Vec<'s, Option<Placed<'s>>> = Vec::new_in(scratch);
    let reads_cte = cte_readers(plan, scratch)?;
    // Each reads only those that were made before it, or that are kept of joins' left sides, whose order `order_of` finds.
    for _ in 0..plan.ctes.len() {
        kept.push(None)?;
    }
    for index in order_of(plan, &reads_cte, scratch)? {
        let cte = plan.ctes[index];
        let tree = Tree::new(plan, cte.node, scratch)?;
        let needs = needs(plan, &tree, filters, cte.columns, scratch)?;
        let placed = {
            let mut lowering =
                Lowering::new(plan, &tree, &needs, filters, known, &mut operators, &kept, arena, scratch)?;
            let placed = lowering.place_all()?;
            let placed = lowering.only(placed, cte.columns)?;
            let columns = lowering.columns(placed.operator);
            let bytes = placed.rows * estimate::held_bytes(columns);
            let kind = OperatorKind::Materialize { input: placed.operator };
            let operator = lowering.push(kind, columns, placed.rows, bytes)?;
            Placed { operator, layout: scratch.alloc_slice_copy(placed.layout)?, ..placed }
        };
        kept[index] = Some(placed);
    }
    let wanted = scratch.alloc_slice_from_iter(plan.output.iter().map(|output| output.id))?;
    let needs = needs(plan, tree, filters, wanted, scratch)?;
    let mut lowering =
        Lowering::new(plan, tree, &needs, filters, known, &mut operators, &kept, arena, scratch)?;
    let placed = lowering.place_all()?;
    lowering.finish(placed, sink)?;
    let operators = operators.into_slice();
    key_filters(operators, arena, scratch)?;
    Ok(PhysicalPlan { operators, parameters: &[], parameter_names: &[] })
}

/// By common table expression: whether anything reads it, directly or through another one.
fn cte_readers<'s>(plan: &LogicalPlan<'_>, scratch: &'s Arena) -> Result<Vec<'s, bool>, AllocError> {
    let mut is_read: Vec<'s, bool> = Vec::new_in(scratch);
    for _ in 0..plan.ctes.len() {
        is_read.push(false)?;
    }
    if is_read.is_empty() {
        return Ok(is_read);
    }
    let mut open: Vec<'s, LogicalId> = Vec::new_in(scratch);
    open.push(plan.root)?;
    while let Some(root) = open.pop() {
        for id in plan.post_order(root, scratch)? {
            if let LogicalKind::CteScan { cte, .. } = plan.kind(id)
                && !is_read[cte as usize]
            {
                is_read[cte as usize] = true;
                open.push(plan.ctes[cte as usize].node)?;
            }
        }
    }
    Ok(is_read)
}

/// The common table expressions that are read, each behind those that it reads.
fn order_of<'s>(
    plan: &LogicalPlan<'_>,
    is_read: &[bool],
    scratch: &'s Arena,
) -> Result<Vec<'s, usize>, AllocError> {
    let mut order: Vec<'s, usize> = Vec::new_in(scratch);
    let mut open: Vec<'s, (usize, bool)> = Vec::new_in(scratch);
    for index in (0..plan.ctes.len()).rev().filter(|index| is_read[*index]) {
        open.push((index, false))?;
    }
    while let Some((index, is_entered)) = open.pop() {
        if order.contains(&index) {
            continue;
        }
        if is_entered {
            order.push(index)?;
            continue;
        }
        open.push((index, true))?;
        for id in plan.post_order(plan.ctes[index].node, scratch)? {
            if let LogicalKind::CteScan { cte, .. } = plan.kind(id) {
                open.push((cte as usize, false))?;
            }
        }
    }
    Ok(order)
}

impl<'p, 's, 'a> Lowering<'p, 's, 'a> {
    #[allow(clippy::too_many_arguments, reason = "what the pass reads and what it writes")]
    fn new(
        plan: &'p LogicalPlan<'a>,
        tree: &'p Tree<'s>,
        needs: &'p Needs<'s>,
        filters: &'p Filters<'s, 'a>,
        known: &'p Known<'s, 'a>,
        operators: &'p mut Vec<'a, Operator<'a>>,
        kept: &'p [Option<Placed<'s>>],
        arena: &'a Arena,
        scratch: &'s Arena,
    ) -> Result<Lowering<'p, 's, 'a>, AllocError> {
        let placed = Vec::with_capacity_in(tree.order.len(), scratch)?;
        let positions = scratch.alloc_slice_fill(plan.columns.len(), NOWHERE)?;
        let joins = Vec::new_in(scratch);
        Ok(Lowering {
            plan,
            tree,
            arena,
            scratch,
            operators,
            kept,
            placed,
            joins,
            needs,
            filters,
            known,
            positions,
        })
    }

    /// Places every node of the tree; gives the root's.
    fn place_all(&mut self) -> Result<Placed<'s>, AllocError> {
        let tree = self.tree;
        // Inner joins below other inner joins are ordered with these.
        let inside = self.scratch.alloc_slice_fill(tree.order.len(), false)?;
        for place in (0..tree.order.len()).rev() {
            match self.plan.kind(tree.order[place]) {
                LogicalKind::Join(Join { kind: JoinKind::Inner, left, right, .. }) => {
                    inside[tree.place(left)] = true;
                    inside[tree.place(right)] = true;
                }
                LogicalKind::Filter { input, .. } => inside[tree.place(input)] = inside[place],
                _ => {}
            }
        }
        for (place, &id) in tree.order.iter().enumerate() {
            let is_inner = |id: LogicalId| {
                matches!(self.plan.kind(id), LogicalKind::Join(Join { kind: JoinKind::Inner, .. }))
            };
            let placed = match inside[place] && is_inner(id) {
                // A stand-in: its relations are placed, and nobody asks for the join itself.
                true => self.placed[place - 1],
                false => {
                    let placed = self.place(id, place)?;
                    self.filter(placed, &self.filters[id.index()])?
                }
            };
            self.placed.push(placed)?;
        }
        Ok(*self.placed.last().expect("a tree has a root"))
    }

    pub(super) fn placed(&self, id: LogicalId) -> Placed<'s> {
        self.placed[self.tree.place(id)]
    }

    pub(super) fn columns(&self, operator: OperatorId) -> &'a [Column<'a>] {
        self.operators[operator.index()].columns
    }

    fn place(&mut self, id: LogicalId, place: usize) -> Result<Placed<'s>, AllocError> {
        let needs = self.needs;
        let needed: &[ColumnId] = &needs[place];
        match self.plan.kind(id) {
            LogicalKind::Scan { source, alias, first, conjuncts } => {
                self.scan(source, alias, first, conjuncts, needed)
            }
            LogicalKind::Values { rows, width, first } => self.values(rows, first..first + width, needed),
            LogicalKind::CteScan { cte, columns } => {
                let kept = self.kept[cte as usize].expect("it was made before what reads it");
                let kind = OperatorKind::CteScan { cte: kept.operator };
                let described = self.described(columns)?;
                let operator = self.push(kind, described, kept.rows, 0.0)?;
                let layout = self.scratch.alloc_slice_copy(columns)?;
                Ok(Placed { operator, layout, rows: kept.rows, base_rows: kept.rows })
            }
            LogicalKind::WorkingScan { working, columns } => {
                let described = self.described(columns)?;
                let operator =
                    self.push(OperatorKind::WorkingScan { working }, described, ROWS_OF_A_ROUND, 0.0)?;
                let layout = self.scratch.alloc_slice_copy(columns)?;
                Ok(Placed { operator, layout, rows: ROWS_OF_A_ROUND, base_rows: ROWS_OF_A_ROUND })
            }
            LogicalKind::Filter { input, .. } => Ok(self.placed(input)),
            LogicalKind::Extend { input, exprs } => self.extend(self.placed(input), exprs, needed),
            LogicalKind::Join(join) if join.kind == JoinKind::Inner => self.inner_joins(id, needed),
            LogicalKind::Join(join) => {
                let (left, right) = (self.placed(join.left), self.placed(join.right));
                self.outer_join_of(join, left, right, needed)
            }
            LogicalKind::Aggregate { input, groups, sets, aggregates } => {
                self.aggregate(input, groups, sets, aggregates, needed)
            }
            LogicalKind::Window { input, partition, order, functions } => {
                self.window(self.placed(input), partition, order, functions, needed)
            }
            LogicalKind::Sort { input, keys, limit } => self.sort(self.placed(input), keys, limit),
            LogicalKind::Limit { input, count, offset, ties } => {
                self.limit(self.placed(input), count, offset, ties)
            }
            LogicalKind::Distinct { input, columns } => {
                let input = self.only(self.placed(input), columns)?;
                let described = self.columns(input.operator);
                let rows = estimate::group_rows(input.rows, columns.len());
                let all = &*self.arena.alloc_slice_from_iter(0..described.len() as u32)?;
                let (kind, bytes) = match self.are_together(input, all)? {
                    true => (OperatorKind::DistinctOn { input: input.operator, columns: all }, 0.0),
                    false => {
                        let bytes = rows * estimate::held_bytes(described);
                        (OperatorKind::Distinct { input: input.operator }, bytes)
                    }
                };
                let operator = self.push(kind, described, rows, bytes)?;
                Ok(Placed { operator, rows, ..input })
            }
            LogicalKind::DistinctOn { input, columns } => {
                let input = self.placed(input);
                let columns = self.positions_in(columns, input.layout)?;
                let kind = OperatorKind::DistinctOn { input: input.operator, columns };
                let rows = estimate::group_rows(input.rows, columns.len());
                let operator = self.push(kind, self.columns(input.operator), rows, 0.0)?;
                Ok(Placed { operator, rows, ..input })
            }
            LogicalKind::Concat { inputs, sources, columns } => self.concat(inputs, sources, columns, needed),
            LogicalKind::SetOperation { kind, all, inputs, sources, columns } => {
                let left = self.only_as(self.placed(inputs[0]), sources[0], columns)?;
                let right = self.only_as(self.placed(inputs[1]), sources[1], columns)?;
                let described = self.columns(left.operator);
                let bytes = left.rows * estimate::held_bytes(described);
                let kind =
                    OperatorKind::SetOperation { left: left.operator, right: right.operator, kind, all };
                let operator = self.push(kind, described, left.rows, bytes)?;
                Ok(Placed { operator, ..left })
            }
            LogicalKind::Recursive { inputs, sources, working, distinct, columns } => {
                let base = self.only_as(self.placed(inputs[0]), sources[0], columns)?;
                let step = self.only_as(self.placed(inputs[1]), sources[1], columns)?;
                let described = self.columns(base.operator);
                let rows = base.rows * 10.0;
                let bytes = rows * estimate::held_bytes(described);
                let (base_id, step_id) = (base.operator, step.operator);
                let kind = OperatorKind::Recursive { base: base_id, step: step_id, working, distinct };
                let operator = self.push(kind, described, rows, bytes)?;
                Ok(Placed { operator, rows, ..base })
            }
            LogicalKind::TableFunction { input, calls, ordinality, keeps_empty } => {
                self.table_function(input, calls, ordinality, keeps_empty)
            }
        }
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

    /// Takes the operator back that was made last; false if it is another one.
    pub(super) fn take_back(&mut self, operator: OperatorId) -> bool {
        let is_last = operator.index() + 1 == self.operators.len();
        if is_last {
            self.operators.pop();
        }
        is_last
    }

    /// Names and types of columns.
    pub(super) fn described(&self, columns: &[ColumnId]) -> Result<&'a [Column<'a>], AllocError> {
        let plan = self.plan;
        Ok(self.arena.alloc_slice_from_iter(columns.iter().map(|column| plan.columns[*column as usize]))?)
    }

    /// Expressions over an operator's output.
    pub(super) fn placed_exprs(
        &mut self,
        exprs: &[&'a Expr<'a>],
        layout: &[ColumnId],
        shift: u32,
    ) -> Result<&'a [&'a Expr<'a>], AllocError> {
        let placed = self.arena.alloc_slice_copy(exprs)?;
        for (position, column) in (shift..).zip(layout) {
            let slot = &mut self.positions[*column as usize];
            *slot = (*slot).min(position);
        }
        for expr in placed.iter_mut() {
            *expr = self.placed_expr(expr)?;
        }
        layout.iter().for_each(|column| self.positions[*column as usize] = NOWHERE);
        Ok(placed)
    }

    fn placed_expr(&self, expr: &'a Expr<'a>) -> Result<&'a Expr<'a>, AllocError> {
        walk::rewrite(expr, self.arena, |_, rebuilt| match rebuilt.kind {
            ExprKind::Column(column) => {
                let position = self.positions[column as usize];
                debug_assert!(position != NOWHERE, "column {column} is nowhere");
                Ok(&*self.arena.alloc(Expr { kind: ExprKind::Column(position), ..*rebuilt })?)
            }
            _ => Ok(rebuilt),
        })
    }

    fn one_expr(&mut self, expr: &'a Expr<'a>, layout: &[ColumnId]) -> Result<&'a Expr<'a>, AllocError> {
        Ok(self.placed_exprs(&[expr], layout, 0)?[0])
    }

    /// Where columns are in a layout.
    fn positions_in(&self, columns: &[ColumnId], layout: &[ColumnId]) -> Result<&'a [u32], AllocError> {
        let position = |column: &ColumnId| {
            let found = layout.iter().position(|known| known == column);
            found.expect("what is read of an input is in it") as u32
        };
        Ok(self.arena.alloc_slice_from_iter(columns.iter().map(position))?)
    }

    fn sort_keys(&self, keys: &[Key], layout: &[ColumnId]) -> Result<&'a [SortKey], AllocError> {
        let placed = keys.iter().map(|key| {
            let found = layout.iter().position(|known| *known == key.column);
            SortKey {
                column: found.expect("what is read of an input is in it") as u32,
                descending: key.descending,
                nulls_first: key.nulls_first,
            }
        });
        Ok(self.arena.alloc_slice_from_iter(placed)?)
    }

    /// A filter behind an operator, where there are conjuncts.
    pub(super) fn filter(
        &mut self,
        input: Placed<'s>,
        conjuncts: &[&'a Expr<'a>],
    ) -> Result<Placed<'s>, AllocError> {
        if conjuncts.is_empty() {
            return Ok(input);
        }
        let rows = input.rows * self.known.share(conjuncts, self.scratch)?;
        let ordered = estimate::cheap_first(conjuncts, self.scratch)?;
        let conjuncts = self.placed_exprs(ordered, input.layout, 0)?;
        let kind = OperatorKind::Filter { input: input.operator, conjuncts };
        let operator = self.push(kind, self.columns(input.operator), rows, 0.0)?;
        Ok(Placed { operator, rows, ..input })
    }

    /// The operator's output as these columns, in order; each may stand there several times.
    fn only(&mut self, input: Placed<'s>, columns: &[ColumnId]) -> Result<Placed<'s>, AllocError> {
        self.only_as(input, columns, columns)
    }

    /// The same under other numbers.
    fn only_as(
        &mut self,
        input: Placed<'s>,
        columns: &[ColumnId],
        under: &[ColumnId],
    ) -> Result<Placed<'s>, AllocError> {
        let layout = self.scratch.alloc_slice_copy(under)?;
        if input.layout == columns {
            return Ok(Placed { layout, ..input });
        }
        if self.rearrange(input, columns, under)? {
            return Ok(Placed { layout, ..input });
        }
        let mut exprs: Vec<'s, &'a Expr<'a>> = Vec::with_capacity_in(columns.len(), self.scratch)?;
        for column in columns {
            exprs.push(self.plan.read(*column, Span::default(), self.arena)?)?;
        }
        let exprs = self.placed_exprs(&exprs, input.layout, 0)?;
        let described = self.described(under)?;
        let kind = OperatorKind::Project { input: input.operator, exprs };
        let operator = self.push(kind, described, input.rows, 0.0)?;
        Ok(Placed { operator, layout, ..input })
    }

    /// Has the operator itself give these columns, where it was made last and can.
    fn rearrange(
        &mut self,
        input: Placed<'s>,
        columns: &[ColumnId],
        under: &[ColumnId],
    ) -> Result<bool, AllocError> {
        let last = self.operators.len() - 1;
        if input.operator.index() != last {
            return Ok(false);
        }
        let places = self.positions_in(columns, input.layout)?;
        // Operators that pass their input on as it is, down to the one that puts columns together.
        let mut at = last;
        loop {
            let below = match self.operators[at].kind {
                OperatorKind::Sort { input, keys, .. } => {
                    if keys.iter().any(|key| !places.contains(&key.column)) {
                        return Ok(false);
                    }
                    input
                }
                OperatorKind::Limit(Limit { input, ties: None, .. }) => input,
                OperatorKind::Scan(_) | OperatorKind::Project { .. } => break,
                OperatorKind::HashJoin(HashJoin { kind, .. })
                | OperatorKind::NestedLoopJoin(NestedLoopJoin { kind, .. }) => match kind {
                    JoinKind::Mark => return Ok(false),
                    _ => break,
                },
                _ => return Ok(false),
            };
            at = below.index();
        }
        let described = self.described(under)?;
        let list =
            |old: &[u32]| self.arena.alloc_slice_from_iter(places.iter().map(|place| old[*place as usize]));
        let kind = match self.operators[at].kind {
            OperatorKind::Scan(scan) => OperatorKind::Scan(Scan { output: list(scan.output)?, ..scan }),
            OperatorKind::HashJoin(join) => {
                OperatorKind::HashJoin(HashJoin { output: list(join.output)?, ..join })
            }
            OperatorKind::NestedLoopJoin(join) => {
                OperatorKind::NestedLoopJoin(NestedLoopJoin { output: list(join.output)?, ..join })
            }
            OperatorKind::Project { input, exprs } => {
                let exprs = places.iter().map(|place| exprs[*place as usize]);
                OperatorKind::Project { input, exprs: self.arena.alloc_slice_from_iter(exprs)? }
            }
            kind => kind,
        };
        self.operators[at].kind = kind;
        self.operators[at].columns = described;
        for above in at + 1..=last {
            if let OperatorKind::Sort { input, keys, limit } = self.operators[above].kind {
                let moved = keys.iter().map(|key| {
                    let column = places.iter().position(|place| *place == key.column);
                    SortKey { column: column.expect("it was looked for") as u32, ..*key }
                });
                let keys = self.arena.alloc_slice_from_iter(moved)?;
                self.operators[above].kind = OperatorKind::Sort { input, keys, limit };
            }
            self.operators[above].columns = described;
        }
        Ok(true)
    }

    fn scan(
        &mut self,
        source: TableSource<'a>,
        alias: &'a str,
        first: ColumnId,
        conjuncts: &[&'a Expr<'a>],
        needed: &[ColumnId],
    ) -> Result<Placed<'s>, AllocError> {
        let count = source.columns().len();
        let (read, handed_on) =
            (self.scratch.alloc_slice_fill(count, false)?, self.scratch.alloc_slice_fill(count, false)?);
        for column in needed {
            handed_on[(column - first) as usize] = true;
            read[(column - first) as usize] = true;
        }
        for conjunct in conjuncts {
            for_each_column(conjunct, self.scratch, |column| {
                read[(column - first) as usize] = true;
                Ok(())
            })?;
        }
        let (mut projection, mut output) = (Vec::new_in(self.arena), Vec::new_in(self.arena));
        let (mut layout, mut read_layout) = (Vec::new_in(self.scratch), Vec::new_in(self.scratch));
        for position in (0..count).filter(|position| read[*position]) {
            if handed_on[position] {
                output.push(projection.len() as u32)?;
                layout.push(first + position as u32)?;
            }
            projection.push(position as u32)?;
            read_layout.push(first + position as u32)?;
        }
        let ordered = estimate::cheap_first(conjuncts, self.scratch)?;
        let placed = self.placed_exprs(ordered, &read_layout, 0)?;
        let projection = &*projection.into_slice();
        let base_rows = estimate::source_rows(source);
        let way = match source {
            TableSource::Stored(table) => self.way_to_read(table, first, conjuncts, projection, base_rows)?,
            TableSource::File(_) | TableSource::Engine(_) => WayToRead::default(),
        };
        let scan = Scan {
            source,
            alias,
            projection,
            conjuncts: placed,
            output: output.into_slice(),
            index: way.index,
            ranges: way.ranges,
            rows_max: way.rows_max,
            column_ranges: match (source, way.index) {
                (TableSource::Stored(table), None) if !is_by_key(way.ranges, table) => {
                    column_ranges(table, conjuncts, Given::planning(first), self.arena)?
                }
                _ => &[],
            },
            key_filters: &[],
        };
        let rows = match (way.rows_max, way.rows_count) {
            (Some(1), _) => 1.0,
            (_, Some(counted)) => counted as f64,
            (most, None) => {
                let rows = base_rows * self.known.share(conjuncts, self.scratch)?;
                most.map_or(rows, |most| rows.min(most as f64))
            }
        };
        let columns = self.described(&layout)?;
        let operator = self.push(OperatorKind::Scan(scan), columns, rows, 0.0)?;
        Ok(Placed { operator, layout: layout.into_slice(), rows, base_rows })
    }

    fn values(
        &mut self,
        rows: &'a [&'a [&'a Expr<'a>]],
        columns: std::ops::Range<ColumnId>,
        needed: &[ColumnId],
    ) -> Result<Placed<'s>, AllocError> {
        let mut layout: Vec<'s, ColumnId> = Vec::new_in(self.scratch);
        layout.extend(columns.clone().filter(|column| needed.contains(column)))?;
        let kept: &'a [&'a [&'a Expr<'a>]] = match layout.len() == columns.len() {
            true => rows,
            false => {
                let mut kept = Vec::with_capacity_in(rows.len(), self.arena)?;
                for row in rows {
                    let values = layout.iter().map(|column| row[(column - columns.start) as usize]);
                    let values: &'a [&'a Expr<'a>] = self.arena.alloc_slice_from_iter(values)?;
                    kept.push(values)?;
                }
                kept.into_slice()
            }
        };
        let count = rows.len() as f64;
        let described = self.described(&layout)?;
        let operator = self.push(OperatorKind::Values { rows: kept }, described, count, 0.0)?;
        Ok(Placed { operator, layout: layout.into_slice(), rows: count, base_rows: count })
    }

    /// The needed columns, computed or passed on.
    fn extend(
        &mut self,
        input: Placed<'s>,
        exprs: &'a [Named<'a>],
        needed: &[ColumnId],
    ) -> Result<Placed<'s>, AllocError> {
        let mut layout: Vec<'s, ColumnId> = Vec::new_in(self.scratch);
        let mut values: Vec<'s, &'a Expr<'a>> = Vec::new_in(self.scratch);
        for column in input.layout.iter().filter(|column| needed.contains(column)) {
            layout.push(*column)?;
            values.push(self.plan.read(*column, Span::default(), self.arena)?)?;
        }
        let passed = layout.len();
        for named in exprs.iter().filter(|named| needed.contains(&named.id)) {
            layout.push(named.id)?;
            values.push(named.expr)?;
        }
        if layout.len() == passed {
            // Nothing is computed; what is not needed is left out further up.
            return Ok(input);
        }
        let exprs = self.placed_exprs(&values, input.layout, 0)?;
        let columns = self.described(&layout)?;
        let kind = OperatorKind::Project { input: input.operator, exprs };
        let operator = self.push(kind, columns, input.rows, 0.0)?;
        Ok(Placed { operator, layout: layout.into_slice(), ..input })
    }

    /// The inner joins below a node that are not below another node, in the best order.
    fn inner_joins(&mut self, id: LogicalId, needed: &[ColumnId]) -> Result<Placed<'s>, AllocError> {
        let mut relations: Vec<'s, LogicalId> = Vec::new_in(self.scratch);
        let mut conjuncts: Vec<'s, &'a Expr<'a>> = Vec::new_in(self.scratch);
        let mut open: Vec<'s, LogicalId> = Vec::new_in(self.scratch);
        open.push(id)?;
        while let Some(id) = open.pop() {
            match self.plan.kind(id) {
                LogicalKind::Join(Join { kind: JoinKind::Inner, left, right, conjuncts: own, .. }) => {
                    conjuncts.extend_from_slice(own)?;
                    open.extend([right, left])?;
                }
                LogicalKind::Filter { input, .. } => open.push(input)?,
                _ => relations.push(id)?,
            }
        }
        super::join_order::join(self, relations.into_slice(), &conjuncts, needed)
    }

    /// A join of sides that are placed.
    pub(super) fn outer_join_of(
        &mut self,
        join: Join<'a>,
        left: Placed<'s>,
        right: Placed<'s>,
        needed: &[ColumnId],
    ) -> Result<Placed<'s>, AllocError> {
        let mark = (join.kind == JoinKind::Mark).then_some(join.mark);
        let bytes = |placed: Placed<'s>| placed.rows * estimate::held_bytes(self.columns(placed.operator));
        // The smaller side is held, where it may be.
        let (kind, left, right) = match join.kind {
            JoinKind::Left if bytes(left) < bytes(right) => (JoinKind::Right, right, left),
            JoinKind::Right if bytes(left) < bytes(right) => (JoinKind::Left, right, left),
            JoinKind::Full if bytes(left) < bytes(right) => (JoinKind::Full, right, left),
            JoinKind::Semi if bytes(left) < bytes(right) => (JoinKind::RightSemi, right, left),
            JoinKind::Anti if bytes(left) < bytes(right) => (JoinKind::RightAnti, right, left),
            kind => (kind, left, right),
        };
        let rows = match kind {
            JoinKind::Semi | JoinKind::Anti => left.rows * 0.5,
            JoinKind::RightSemi | JoinKind::RightAnti => right.rows * 0.5,
            JoinKind::Right => right.rows,
            JoinKind::Full => left.rows + right.rows,
            _ => left.rows,
        };
        self.join_sides(kind, left, right, join.conjuncts, needed, mark, rows)
    }

    /// A join of two operators: by equal keys where the conjuncts have some.
    #[allow(clippy::too_many_arguments, reason = "a join, its sides, and what is read of it")]
    pub(super) fn join_sides(
        &mut self,
        kind: JoinKind,
        left: Placed<'s>,
        right: Placed<'s>,
        conjuncts: &[&'a Expr<'a>],
        needed: &[ColumnId],
        mark: Option<ColumnId>,
        rows: f64,
    ) -> Result<Placed<'s>, AllocError> {
        let (keys, residual) = self.keys_of(kind, conjuncts, left.layout, right.layout)?;
        let mut both: Vec<'s, ColumnId> = Vec::new_in(self.scratch);
        both.extend_from_slice(left.layout)?;
        both.extend_from_slice(right.layout)?;
        let (mut output, mut layout) = (Vec::new_in(self.arena), Vec::new_in(self.scratch));
        for (position, column) in both.iter().enumerate() {
            let is_probe = position < left.layout.len();
            let is_given = if is_probe { kind.gives_probe() } else { kind.gives_build() };
            if is_given && needed.contains(column) && !layout.contains(column) {
                output.push(position as u32)?;
                layout.push(*column)?;
            }
        }
        if let Some(mark) = mark {
            layout.push(mark)?;
        }
        let columns = self.described(&layout)?;
        let bytes = right.rows * estimate::held_bytes(self.columns(right.operator));
        let (probe, build, output) = (left.operator, right.operator, &*output.into_slice());
        let (operator, rows) = match !keys.is_empty() {
            true => {
                let rows = rows * self.known.share(&residual, self.scratch)?;
                let ordered = estimate::cheap_first(&residual, self.scratch)?;
                let residual = self.placed_exprs(ordered, &both, 0)?;
                let join = HashJoin { kind, probe, build, keys: keys.into_slice(), residual, output };
                let operator = self.push(OperatorKind::HashJoin(join), columns, rows, bytes)?;
                self.joins.push((operator, [left, right]))?;
                (operator, rows)
            }
            false => {
                let share = self.known.share(conjuncts, self.scratch)?;
                let ordered = estimate::cheap_first(conjuncts, self.scratch)?;
                let conjuncts = self.placed_exprs(ordered, &both, 0)?;
                let rows = if kind == JoinKind::Inner { rows * share } else { rows };
                let join = NestedLoopJoin { kind, probe, build, conjuncts, output };
                (self.push(OperatorKind::NestedLoopJoin(join), columns, rows, bytes)?, rows)
            }
        };
        Ok(Placed { operator, layout: layout.into_slice(), rows, base_rows: rows })
    }

    /// The keys among conjuncts, and the rest. What may be unknown is a key of a mark join only if nothing else is left beside exact
    /// keys.
    #[allow(clippy::type_complexity, reason = "keys, and what is tested beside them")]
    fn keys_of(
        &mut self,
        kind: JoinKind,
        conjuncts: &[&'a Expr<'a>],
        left: &[ColumnId],
        right: &[ColumnId],
    ) -> Result<(Vec<'a, JoinKey<'a>>, Vec<'s, &'a Expr<'a>>), AllocError> {
        let mut found: Vec<'s, (&'a Expr<'a>, Option<JoinKey<'a>>)> = Vec::new_in(self.scratch);
        for conjunct in conjuncts {
            found.push((*conjunct, self.key_of(kind, conjunct, left, right)?))?;
        }
        let is_unknown = |key: &Option<JoinKey<'a>>| key.is_some_and(|key| key.nulls == KeyNulls::Unknown);
        let unknowns = found.iter().filter(|(_, key)| is_unknown(key)).count();
        let may_be_unknown = unknowns == 1 && found.iter().all(|(_, key)| key.is_some());
        let (mut keys, mut residual) = (Vec::new_in(self.arena), Vec::new_in(self.scratch));
        for (conjunct, key) in &found {
            match key {
                Some(key) if may_be_unknown || key.nulls != KeyNulls::Unknown => keys.push(*key)?,
                _ => residual.push(*conjunct)?,
            }
        }
        Ok((keys, residual))
    }

    /// The key that a conjunct is, if it holds something of the left side equal to something of the right one.
    fn key_of(
        &mut self,
        kind: JoinKind,
        conjunct: &'a Expr<'a>,
        left: &[ColumnId],
        right: &[ColumnId],
    ) -> Result<Option<JoinKey<'a>>, AllocError> {
        let (equality, is_tested) = match conjunct.kind {
            ExprKind::Unary { op: UnaryOp::IsTrue, arg } => (arg, true),
            _ => (conjunct, false),
        };
        let ExprKind::Binary { op, left: a, right: b } = equality.kind else { return Ok(None) };
        let nulls = match op {
            BinaryOp::Equal if kind == JoinKind::Mark && !is_tested => KeyNulls::Unknown,
            BinaryOp::Equal => KeyNulls::Unmatched,
            BinaryOp::IsNotDistinctFrom => KeyNulls::Equal,
            _ => return Ok(None),
        };
        let reads = |expr: &'a Expr<'a>, layout: &[ColumnId]| -> Result<(bool, bool), AllocError> {
            let (mut any, mut all) = (false, true);
            for_each_column(expr, self.scratch, |column| {
                any = true;
                all &= layout.contains(&column);
                Ok(())
            })?;
            Ok((any, all))
        };
        let is_of = |expr, layout: &[ColumnId]| reads(expr, layout).map(|(any, all)| any && all);
        let (probe, build) = if is_of(a, left)? && is_of(b, right)? {
            (a, b)
        } else if is_of(b, left)? && is_of(a, right)? {
            (b, a)
        } else if kind == JoinKind::Mark && reads(a, left)?.1 && is_of(b, right)? {
            // A constant that is looked for.
            (a, b)
        } else {
            return Ok(None);
        };
        let probe = self.one_expr(probe, left)?;
        let build = self.one_expr(build, right)?;
        Ok(Some(JoinKey { probe, build, nulls }))
    }

    fn aggregate(
        &mut self,
        input: LogicalId,
        groups: &'a [Named<'a>],
        sets: &'a [&'a [u32]],
        aggregates: &'a [NamedAggregate<'a>],
        needed: &[ColumnId],
    ) -> Result<Placed<'s>, AllocError> {
        let mut wanted: Vec<'s, &NamedAggregate<'a>> = Vec::new_in(self.scratch);
        wanted.extend(aggregates.iter().filter(|named| needed.contains(&named.id)))?;
        let below = self.placed(input);
        if let Some(placed) = self.groups_below_join(input, below, groups, sets, &wanted)? {
            return Ok(placed);
        }
        let input = below;
        let mut layout: Vec<'s, ColumnId> = Vec::new_in(self.scratch);
        let mut exprs: Vec<'s, &'a Expr<'a>> = Vec::new_in(self.scratch);
        // Groups decide which rows there are, so they stay whether or not anyone reads them.
        for group in groups {
            layout.push(group.id)?;
            exprs.push(group.expr)?;
        }
        let placed_groups = self.placed_exprs(&exprs, input.layout, 0)?;
        let mut kept: Vec<'a, Aggregate<'a>> = Vec::new_in(self.arena);
        for named in &wanted {
            layout.push(named.id)?;
            kept.push(self.placed_aggregate(&named.aggregate, input.layout)?)?;
        }
        let input = match (groups, &kept[..]) {
            ([], [aggregate]) => self.least_first(input, aggregate)?,
            _ => input,
        };
        let input = match groups {
            [] => self.distinct_first(input, &mut kept)?,
            _ => input,
        };
        let columns = self.described(&layout)?;
        let finest = self.known.groups(groups.iter().map(|group| group.expr), input.rows);
        let rows = finest * sets.len() as f64;
        let is_chosen = |aggregate: &Aggregate<'_>| aggregate.function.is_chosen();
        let together = match sets {
            [set] if set.len() == groups.len() && !kept.iter().any(is_chosen) => {
                self.groups_together(input, &exprs, placed_groups)?
            }
            _ => &[],
        };
        let plan = HashAggregate {
            input: input.operator,
            groups: placed_groups,
            sets,
            aggregates: kept.into_slice(),
            together,
        };
        let in_steps = match self.groups_of_key_groups(&plan, columns, input, finest)? {
            None => self.sets_of_groups(&plan, columns, input.rows, finest)?,
            found => found,
        };
        let operator = match in_steps {
            Some(operator) => operator,
            None => {
                let held_rows = if together.is_empty() { rows } else { rows.min(GROUPS_OF_A_BATCH) };
                let bytes = held_rows * estimate::held_bytes(columns);
                self.push(OperatorKind::HashAggregate(plan), columns, rows, bytes)?
            }
        };
        Ok(Placed { operator, layout: layout.into_slice(), rows, base_rows: rows })
    }

    /// The columns of the input, all of them groups, that say when groups are whole.
    pub(super) fn groups_together(
        &self,
        input: Placed<'_>,
        groups: &[&'a Expr<'a>],
        placed: &[&'a Expr<'a>],
    ) -> Result<&'a [u32], AllocError> {
        let wanted = placed.iter().zip(groups).map(|(placed, numbered)| (placed.kind, *numbered));
        Ok(self.together(input, wanted)?.map_or(&[], |together| together.columns))
    }

    /// Whether rows that are equal in some columns of the input stand one behind the other.
    fn are_together(&self, input: Placed<'_>, columns: &[u32]) -> Result<bool, AllocError> {
        let mut wanted: Vec<'_, (ExprKind<'a>, &'a Expr<'a>)> = Vec::new_in(self.scratch);
        for &column in columns {
            let id = input.layout[column as usize];
            let numbered = Expr { kind: ExprKind::Column(id), ty: self.plan.ty(id), span: Span::default() };
            wanted.push((ExprKind::Column(column), self.arena.alloc(numbered)?))?;
        }
        let together = self.together(input, wanted.iter().copied())?;
        Ok(together.is_some_and(|together| together.are_equal_together))
    }

    /// Where all that is asked for of all rows is of the distinct values of one column, and equal ones stand one behind the other: the first
    /// of each, of which nothing has to be kept.
    fn distinct_first(
        &mut self,
        input: Placed<'s>,
        aggregates: &mut [Aggregate<'a>],
    ) -> Result<Placed<'s>, AllocError> {
        let column_of = |aggregate: &Aggregate<'_>| match (aggregate.args, aggregate.filter) {
            ([Expr { kind: ExprKind::Column(column), .. }], None) => Some(*column),
            _ => None,
        };
        let Some(column) = aggregates.first().and_then(column_of) else { return Ok(input) };
        let is_once = |aggregate: &Aggregate<'_>| {
            aggregate.distinct
                || matches!(aggregate.function, AggregateFunction::Min | AggregateFunction::Max)
        };
        if !aggregates.iter().all(|aggregate| is_once(aggregate) && column_of(aggregate) == Some(column))
            || !aggregates.iter().any(|aggregate| aggregate.distinct)
            || !self.are_together(input, &[column])?
        {
            return Ok(input);
        }
        aggregates.iter_mut().for_each(|aggregate| aggregate.distinct = false);
        let columns = &*self.arena.alloc_slice_copy(&[column])?;
        let kind = OperatorKind::DistinctOn { input: input.operator, columns };
        let rows = estimate::group_rows(input.rows, 1);
        let operator = self.push(kind, self.columns(input.operator), rows, 0.0)?;
        Ok(Placed { operator, rows, ..input })
    }

    /// Where all that is asked for is the least or the greatest value of a column and rows come in its order: the first row.
    fn least_first(
        &mut self,
        input: Placed<'s>,
        aggregate: &Aggregate<'a>,
    ) -> Result<Placed<'s>, AllocError> {
        let descending = match aggregate.function {
            AggregateFunction::Min => false,
            AggregateFunction::Max => true,
            _ => return Ok(input),
        };
        let (None, [Expr { kind: ExprKind::Column(column), .. }]) = (aggregate.filter, aggregate.args) else {
            return Ok(input);
        };
        let key = SortKey { column: *column, descending, nulls_first: false };
        if !self.comes_in_order(input.operator, &[key], Some(1), input.rows)? {
            return Ok(input);
        }
        let one = Expr { kind: ExprKind::Literal(Value::BigInt(1)), ty: Type::BigInt, span: aggregate.span };
        let count = Some(&*self.arena.alloc(one)?);
        self.limit(input, count, None, None)
    }

    /// What an operator does.
    pub(super) fn kind_of(&self, operator: OperatorId) -> OperatorKind<'a> {
        self.operators[operator.index()].kind
    }

    /// Has a scan find its rows another way.
    pub(super) fn replace_scan(&mut self, operator: OperatorId, scan: Scan<'a>) {
        self.operators[operator.index()].kind = OperatorKind::Scan(scan);
    }

    pub(super) fn placed_aggregate(
        &mut self,
        aggregate: &Aggregate<'a>,
        layout: &[ColumnId],
    ) -> Result<Aggregate<'a>, AllocError> {
        let args = self.placed_exprs(aggregate.args, layout, 0)?;
        let filter = aggregate.filter.map(|filter| self.one_expr(filter, layout)).transpose()?;
        let mut order_by: Vec<'a, AggregateKey<'a>> = Vec::new_in(self.arena);
        for key in aggregate.order_by {
            order_by.push(AggregateKey { expr: self.one_expr(key.expr, layout)?, ..*key })?;
        }
        Ok(Aggregate { args, filter, order_by: order_by.into_slice(), ..*aggregate })
    }

    fn window(
        &mut self,
        input: Placed<'s>,
        partition: &[ColumnId],
        order: &[Key],
        functions: &'a [NamedWindow<'a>],
        needed: &[ColumnId],
    ) -> Result<Placed<'s>, AllocError> {
        let mut layout: Vec<'s, ColumnId> = Vec::new_in(self.scratch);
        layout.extend_from_slice(input.layout)?;
        let mut kept: Vec<'a, WindowFunction<'a>> = Vec::new_in(self.arena);
        for named in functions.iter().filter(|named| needed.contains(&named.id)) {
            layout.push(named.id)?;
            let mut function = named.function;
            function.kind = match function.kind {
                crate::physical::WindowKind::Aggregate(aggregate) => {
                    crate::physical::WindowKind::Aggregate(self.placed_aggregate(&aggregate, input.layout)?)
                }
                kind => {
                    let arena = self.arena;
                    kind.map(arena, |expr| self.one_expr(expr, input.layout))?
                }
            };
            for bound in [&mut function.frame.start, &mut function.frame.end] {
                if let FrameBound::Preceding(column) | FrameBound::Following(column) = bound {
                    *column = self.positions_in(&[*column], input.layout)?[0];
                }
            }
            kept.push(function)?;
        }
        if kept.is_empty() {
            return Ok(input);
        }
        let columns = self.described(&layout)?;
        let kind = OperatorKind::Window(Window {
            input: input.operator,
            partition: self.positions_in(partition, input.layout)?,
            order: self.sort_keys(order, input.layout)?,
            functions: kept.into_slice(),
        });
        let bytes = input.rows * estimate::held_bytes(columns);
        let operator = self.push(kind, columns, input.rows, bytes)?;
        Ok(Placed { operator, layout: layout.into_slice(), ..input })
    }

    fn sort(
        &mut self,
        input: Placed<'s>,
        keys: &[Key],
        limit: Option<u64>,
    ) -> Result<Placed<'s>, AllocError> {
        let keys = self.sort_keys(keys, input.layout)?;
        if self.comes_in_order(input.operator, keys, limit, input.rows)? {
            return Ok(input);
        }
        let columns = self.columns(input.operator);
        let rows = limit.map_or(input.rows, |limit| input.rows.min(limit as f64));
        let bytes = rows * estimate::held_bytes(columns);
        let kind = OperatorKind::Sort { input: input.operator, keys, limit };
        let operator = self.push(kind, columns, rows, bytes)?;
        Ok(Placed { operator, rows, ..input })
    }

    fn limit(
        &mut self,
        input: Placed<'s>,
        count: Option<&'a Expr<'a>>,
        offset: Option<&'a Expr<'a>>,
        ties: Option<&'a [ColumnId]>,
    ) -> Result<Placed<'s>, AllocError> {
        let number = |expr: Option<&Expr<'_>>| match expr.map(|expr| expr.kind) {
            Some(ExprKind::Literal(Value::BigInt(number))) => u64::try_from(number).ok(),
            _ => None,
        };
        if let OperatorKind::Sort { limit: Some(limit), .. } = self.operators[input.operator.index()].kind
            && offset.is_none()
            && ties.is_none()
            && number(count).is_some_and(|count| limit <= count)
        {
            // The sort gives no more than so many rows already.
            return Ok(input);
        }
        let left = (input.rows - number(offset).unwrap_or(0) as f64).max(0.0);
        let rows = number(count).map_or(left, |count| left.min(count as f64));
        let ties = ties.map(|ties| self.positions_in(ties, input.layout)).transpose()?;
        let kind = OperatorKind::Limit(Limit { input: input.operator, count, offset, ties });
        let operator = self.push(kind, self.columns(input.operator), rows, 0.0)?;
        Ok(Placed { operator, rows, ..input })
    }

    /// The rows of all inputs; those of concatenations among them at once.
    fn concat(
        &mut self,
        inputs: &[LogicalId],
        sources: &[&[ColumnId]],
        columns: &[ColumnId],
        needed: &[ColumnId],
    ) -> Result<Placed<'s>, AllocError> {
        let mut layout: Vec<'s, ColumnId> = Vec::new_in(self.scratch);
        layout.extend(columns.iter().copied().filter(|column| needed.contains(column)))?;
        let layout: &'s [ColumnId] = layout.into_slice();
        let mut operators: Vec<'a, OperatorId> = Vec::with_capacity_in(inputs.len(), self.arena)?;
        let mut rows = 0.0;
        for (input, source) in inputs.iter().zip(sources) {
            let mut wanted: Vec<'s, ColumnId> = Vec::new_in(self.scratch);
            for (column, from) in columns.iter().zip(*source) {
                if layout.contains(column) {
                    wanted.push(*from)?;
                }
            }
            let placed = self.only_as(self.placed(*input), &wanted, layout)?;
            rows += placed.rows;
            match self.operators[placed.operator.index()].kind {
                // It was made just now, nobody else reads it, and nothing stands behind it.
                OperatorKind::Concat { inputs } if placed.operator.index() + 1 == self.operators.len() => {
                    operators.extend_from_slice(inputs)?;
                    self.operators.pop();
                }
                _ => operators.push(placed.operator)?,
            }
        }
        let described = self.described(layout)?;
        let operator =
            self.push(OperatorKind::Concat { inputs: operators.into_slice() }, described, rows, 0.0)?;
        Ok(Placed { operator, layout, rows, base_rows: rows })
    }

    fn table_function(
        &mut self,
        input: Option<LogicalId>,
        calls: &'a [crate::logical::Call<'a>],
        ordinality: Option<ColumnId>,
        keeps_empty: bool,
    ) -> Result<Placed<'s>, AllocError> {
        let input = input.map(|input| self.placed(input));
        let below: &'s [ColumnId] = input.map_or(&[], |input| input.layout);
        let mut layout: Vec<'s, ColumnId> = Vec::new_in(self.scratch);
        layout.extend_from_slice(below)?;
        let mut placed: Vec<'a, TableCall<'a>> = Vec::with_capacity_in(calls.len(), self.arena)?;
        for call in calls {
            layout.extend_from_slice(call.columns)?;
            let args = self.placed_exprs(call.args, below, 0)?;
            let columns_count = call.columns.len() as u32;
            placed.push(TableCall { function: call.function, args, columns_count, span: call.span })?;
        }
        layout.extend(ordinality)?;
        let columns = self.described(&layout)?;
        let rows = input.map_or(1.0, |input| input.rows) * ROWS_OF_A_CALL;
        let kind = OperatorKind::TableFunction(TableFunction {
            input: input.map(|input| input.operator),
            calls: placed.into_slice(),
            with_ordinality: ordinality.is_some(),
            keeps_empty,
        });
        let operator = self.push(kind, columns, rows, 0.0)?;
        Ok(Placed { operator, layout: layout.into_slice(), rows, base_rows: rows })
    }

    /// Makes sure that the root gives the query's columns, in order and under their names, and puts the sink above it.
    fn finish(&mut self, placed: Placed<'s>, sink: Option<Sink<'a>>) -> Result<(), AllocError> {
        let output = self.plan.output;
        let wanted = self.scratch.alloc_slice_from_iter(output.iter().map(|output| output.id))?;
        let placed = self.only(placed, wanted)?;
        let plan = self.plan;
        let named = output.iter().map(|output| Column { name: output.name, ty: plan.ty(output.id) });
        let columns: &'a [Column<'a>] = self.arena.alloc_slice_from_iter(named)?;
        self.operators[placed.operator.index()].columns = columns;
        if let Some(Sink { table, checks, kind }) = sink {
            let input = placed.operator;
            let kind = match kind {
                SinkKind::Insert => OperatorKind::Insert(Insert { input, table, checks }),
                SinkKind::Update(way) => OperatorKind::Update(Update { input, table, checks, way }),
                SinkKind::Delete => OperatorKind::Delete(Delete { input, table }),
            };
            self.push(kind, columns, placed.rows, 0.0)?;
        }
        Ok(())
    }
}

/// About so many groups are held where they are given as rows come.
const GROUPS_OF_A_BATCH: f64 = 2_048.0;
/// A guess of the rows that a round of a recursion adds.
const ROWS_OF_A_ROUND: f64 = 100.0;
/// A guess of the rows of a set-returning function.
const ROWS_OF_A_CALL: f64 = 100.0;
