//! Makes ordinary joins of joins whose right side reads columns of the left one: of queries in expressions that refer to
//! the query around them, and of LATERAL.
//!
//! Four ways are tried, in this order:
//!
//! 0. **Functions are fed.** A function in FROM that reads columns of what stands before it is called for each of its rows.
//! 1. **Conditions move up.** Where the columns are read by conditions alone, and nothing stands between these and the join
//!    that would change what they mean, they become conditions of the join.
//! 2. **Aggregates are grouped.** Where the conditions stand below an aggregate of all rows and are equalities, the aggregate is
//!    made for each value of their inner side, and joined by it:
//!    `(SELECT sum(x) FROM t WHERE t.k = o.k)` becomes `SELECT k, sum(x) FROM t GROUP BY k`, joined by `k = o.k`.
//! 3. **The distinct values of the columns go down.** The left side is kept, its distinct values `D` of the columns that are read are
//!    joined into the right side below whatever reads them, every node above hands them on, and the join is made by them as
//!    well. That is always possible; it costs a pass over the left side and a join.
//!
//! Joins are taken from the root down: what the outer one has given its right side, the inner one finds there.
//!
//! *Source*: T. Neumann, A. Kemper, Unnesting Arbitrary Queries, BTW 2015.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::{Type, Value};

use super::tree::Tree;
use crate::Span;
use crate::error::Error;
use crate::expr::{BinaryOp, Expr, ExprKind, Function, UnaryOp, walk};
use crate::logical::{
    ColumnId, Cte, Join, Key, LogicalId, LogicalKind, LogicalPlan, Named, NamedAggregate, NamedWindow,
    for_each_column,
};
use crate::physical::{AggregateFunction, Frame, JoinKind, WindowFunction, WindowKind};

/// The pass; afterwards no side of a join reads columns of the other (`logical` L3).
pub(super) fn unnest<'a>(plan: &mut LogicalPlan<'a>, arena: &'a Arena) -> Result<(), Error<'a>> {
    // What is kept of a left side is read as a common table expression, and has joins of its own.
    let mut done = 0;
    let root = plan.root;
    plan.root = unnest_below(plan, root, arena)?;
    while done < plan.ctes.len() {
        let Cte { node, scans, .. } = plan.ctes[done];
        if scans > 0 {
            plan.ctes[done].node = unnest_below(plan, node, arena)?;
        }
        done += 1;
    }
    Ok(())
}

fn unnest_below<'a>(
    plan: &mut LogicalPlan<'a>,
    root: LogicalId,
    arena: &'a Arena,
) -> Result<LogicalId, Error<'a>> {
    if !plan.has_joins() {
        return Ok(root);
    }
    let outer = Arena::new(arena.budget());
    let mut open: Vec<'_, LogicalId> = Vec::new_in(&outer);
    open.push(root)?;
    // Rewritten joins may have become other nodes: they are changed in place, so that what reads them need not know.
    while let Some(id) = open.pop() {
        if let LogicalKind::Join(join) = plan.kind(id) {
            let scratch = Arena::new(arena.budget());
            let tree = Tree::new(plan, id, &scratch)?;
            let columns = correlated(plan, &tree, join, &scratch)?;
            refuse_kept(plan, &tree, join, &scratch)?;
            if columns.is_empty() && join.kind == JoinKind::Mark && join.conjuncts.is_empty() {
                want_one_row(plan, id, join, arena)?;
            }
            if !columns.is_empty() {
                let columns: &'a [ColumnId] = arena.alloc_slice_copy(&columns)?;
                let mut pass = Pass { plan, arena, id, join, columns };
                pass.rewrite(&tree)?;
            }
        }
        let mut outcome = Ok(());
        plan.kind(id).for_each_input(|input| {
            if outcome.is_ok() {
                outcome = open.push(input);
            }
        });
        outcome?;
    }
    Ok(root)
}

/// Whether a query gives a row is known with its first one: it need not come to its end.
fn want_one_row<'a>(
    plan: &mut LogicalPlan<'a>,
    id: LogicalId,
    join: Join<'a>,
    arena: &'a Arena,
) -> Result<(), AllocError> {
    let (kind, ty, span) = (ExprKind::Literal(Value::BigInt(1)), Type::BigInt, Span::default());
    let count = Some(&*arena.alloc(Expr { kind, ty, span })?);
    let right = plan.push(LogicalKind::Limit { input: join.right, count, offset: None, ties: None })?;
    plan.nodes[id.index()] = LogicalKind::Join(Join { right, ..join });
    Ok(())
}

/// The columns of the left side that the right one reads.
fn correlated<'s>(
    plan: &LogicalPlan<'_>,
    tree: &Tree<'_>,
    join: Join<'_>,
    scratch: &'s Arena,
) -> Result<Vec<'s, ColumnId>, AllocError> {
    let mut columns = Vec::new_in(scratch);
    for id in tree.below(join.right) {
        plan.kind(*id).for_each_read(scratch, |column| {
            if tree.is_made_below(column, join.left) && !columns.contains(&column) {
                columns.push(column)?;
            }
            Ok(())
        })?;
    }
    Ok(columns)
}

/// What is kept for several scans of the right side may not read columns of the left one.
///
/// # Errors
/// 0A000.
fn refuse_kept<'a>(
    plan: &LogicalPlan<'a>,
    tree: &Tree<'_>,
    join: Join<'_>,
    scratch: &Arena,
) -> Result<(), Error<'a>> {
    if plan.ctes.is_empty() {
        return Ok(());
    }
    let mut seen: Vec<'_, u32> = Vec::new_in(scratch);
    for id in tree.below(join.right) {
        if let LogicalKind::CteScan { cte, .. } = plan.kind(*id)
            && !seen.contains(&cte)
        {
            seen.push(cte)?;
        }
    }
    let mut index = 0;
    while index < seen.len() {
        let nodes = plan.post_order(plan.ctes[seen[index] as usize].node, scratch)?;
        index += 1;
        let mut made: Vec<'_, ColumnId> = Vec::new_in(scratch);
        for id in &nodes {
            plan.kind(*id).for_each_made(|column| made.push(column))?;
        }
        let mut is_refused = false;
        for id in &nodes {
            let kind = plan.kind(*id);
            if let LogicalKind::CteScan { cte, .. } = kind
                && !seen.contains(&cte)
            {
                seen.push(cte)?;
            }
            kind.for_each_read(scratch, |column| {
                is_refused |= tree.is_made_below(column, join.left) && !made.contains(&column);
                Ok(())
            })?;
        }
        if is_refused {
            return Err(unsupported("a query of WITH that reads columns around it and is read twice"));
        }
    }
    Ok(())
}

/// One join whose right side reads columns of the left one.
struct Pass<'p, 'a> {
    plan: &'p mut LogicalPlan<'a>,
    arena: &'a Arena,
    id: LogicalId,
    join: Join<'a>,
    /// The columns.
    columns: &'a [ColumnId],
}

/// A node that has been rewritten, and what the columns are called in it, if it has them.
#[derive(Clone, Copy)]
struct Given<'a> {
    node: LogicalId,
    map: Option<&'a [ColumnId]>,
}

impl<'a> Pass<'_, 'a> {
    fn rewrite(&mut self, tree: &Tree<'_>) -> Result<(), Error<'a>> {
        if self.feed_function()? || self.move_conditions_up(tree)? || self.group_aggregate(tree)? {
            return Ok(());
        }
        self.push_values_down(tree)
    }

    fn reads(&self, expr: &Expr<'_>) -> Result<bool, AllocError> {
        let mut found = false;
        for_each_column(expr, self.arena, |column| {
            found |= self.columns.contains(&column);
            Ok(())
        })?;
        Ok(found)
    }

    fn node_reads(&self, id: LogicalId) -> Result<bool, AllocError> {
        let mut found = false;
        self.plan.kind(id).for_each_read(self.arena, |column| {
            found |= self.columns.contains(&column);
            Ok(())
        })?;
        Ok(found)
    }

    fn any_reads(&self, nodes: &[LogicalId]) -> Result<bool, AllocError> {
        for id in nodes {
            if self.node_reads(*id)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The conditions below `top` that read the columns, if nothing else there does and they mean the same above it. With
    /// `any_number`, how often rows come does not matter.
    #[allow(clippy::type_complexity, reason = "nodes and conditions")]
    fn liftable<'s>(
        &self,
        tree: &Tree<'_>,
        top: LogicalId,
        any_number: bool,
        scratch: &'s Arena,
    ) -> Result<Option<(Vec<'s, LogicalId>, Vec<'s, &'a Expr<'a>>)>, AllocError> {
        let (mut nodes, mut conditions) = (Vec::new_in(scratch), Vec::new_in(scratch));
        let mut open = Vec::new_in(scratch);
        open.push(top)?;
        while let Some(id) = open.pop() {
            let conjuncts = match self.plan.kind(id) {
                LogicalKind::Filter { input, conjuncts } => {
                    open.push(input)?;
                    conjuncts
                }
                LogicalKind::Join(Join { kind: JoinKind::Inner, left, right, conjuncts, .. }) => {
                    open.extend([left, right])?;
                    conjuncts
                }
                LogicalKind::Extend { input, exprs } => {
                    for named in exprs {
                        if self.reads(named.expr)? {
                            return Ok(None);
                        }
                    }
                    open.push(input)?;
                    continue;
                }
                LogicalKind::Sort { input, limit: None, .. } => {
                    open.push(input)?;
                    continue;
                }
                LogicalKind::Distinct { input, .. } if any_number => {
                    nodes.push(id)?;
                    open.push(input)?;
                    continue;
                }
                _ => {
                    if self.any_reads(tree.below(id))? {
                        return Ok(None);
                    }
                    continue;
                }
            };
            let before = conditions.len();
            for conjunct in conjuncts {
                if self.reads(conjunct)? {
                    conditions.push(*conjunct)?;
                }
            }
            if conditions.len() > before {
                nodes.push(id)?;
            }
        }
        Ok(Some((nodes, conditions)))
    }

    /// Takes conditions out of nodes, and what makes rows distinct.
    fn lift(&mut self, nodes: &[LogicalId]) -> Result<(), AllocError> {
        for id in nodes {
            let kind = match self.plan.kind(*id) {
                LogicalKind::Filter { input, conjuncts } => {
                    LogicalKind::Filter { input, conjuncts: self.without(conjuncts)? }
                }
                LogicalKind::Join(join) => {
                    LogicalKind::Join(Join { conjuncts: self.without(join.conjuncts)?, ..join })
                }
                LogicalKind::Distinct { input, .. } => LogicalKind::Filter { input, conjuncts: &[] },
                kind => kind,
            };
            self.plan.nodes[id.index()] = kind;
        }
        Ok(())
    }

    fn without(&self, conjuncts: &'a [&'a Expr<'a>]) -> Result<&'a [&'a Expr<'a>], AllocError> {
        let mut kept = Vec::new_in(self.arena);
        for conjunct in conjuncts {
            if !self.reads(conjunct)? {
                kept.push(*conjunct)?;
            }
        }
        Ok(kept.into_slice())
    }

    /// The way for functions: what is computed of their rows and asked of them stands above.
    fn feed_function(&mut self) -> Result<bool, Error<'a>> {
        let Join { kind, left, right, conjuncts, .. } = self.join;
        let keeps_empty = match kind {
            JoinKind::Inner => false,
            JoinKind::Left if conjuncts.is_empty() => true,
            _ => return Ok(false),
        };
        let scratch = Arena::new(self.arena.budget());
        let mut above: Vec<'_, LogicalId> = Vec::new_in(&scratch);
        let mut node = right;
        let (calls, ordinality) = loop {
            match self.plan.kind(node) {
                LogicalKind::Extend { input, .. } | LogicalKind::Filter { input, .. } if !keeps_empty => {
                    above.push(node)?;
                    node = input;
                }
                LogicalKind::TableFunction { input: None, calls, ordinality, keeps_empty: false } => {
                    break (calls, ordinality);
                }
                _ => return Ok(false),
            }
        };
        let fed = LogicalKind::TableFunction { input: Some(left), calls, ordinality, keeps_empty };
        let mut input = self.plan.push(fed)?;
        for id in above.iter().rev() {
            let kind = match self.plan.kind(*id) {
                LogicalKind::Extend { exprs, .. } => LogicalKind::Extend { input, exprs },
                LogicalKind::Filter { conjuncts, .. } => LogicalKind::Filter { input, conjuncts },
                kind => kind,
            };
            input = self.plan.push(kind)?;
        }
        self.plan.nodes[self.id.index()] = LogicalKind::Filter { input, conjuncts };
        Ok(true)
    }

    /// The first way.
    fn move_conditions_up(&mut self, tree: &Tree<'_>) -> Result<bool, Error<'a>> {
        let scratch = Arena::new(self.arena.budget());
        let is_mark = self.join.kind == JoinKind::Mark;
        let mut right = self.join.right;
        if is_mark {
            // Whether there is a row does not depend on how many are wanted, if one is.
            while let LogicalKind::Limit { input, count, offset: None, .. } = self.plan.kind(right) {
                match count.map(|count| count.kind) {
                    None | Some(ExprKind::Literal(Value::BigInt(1..))) if self.join.conjuncts.is_empty() => {
                        right = input;
                    }
                    _ => break,
                }
            }
            while let LogicalKind::Sort { input, limit: Some(1..), .. } = self.plan.kind(right)
                && self.join.conjuncts.is_empty()
                && right != self.join.right
            {
                right = input;
            }
        }
        let Some((nodes, conditions)) = self.liftable(tree, right, is_mark, &scratch)? else {
            return Ok(false);
        };
        self.lift(&nodes)?;
        let mut conjuncts = Vec::new_in(self.arena);
        conjuncts.extend_from_slice(self.join.conjuncts)?;
        for condition in &conditions {
            // In a mark only the comparison itself may be unknown: a condition of the query is met or not.
            conjuncts.push(if is_mark { self.is_true(condition)? } else { *condition })?;
        }
        let join = Join { right, conjuncts: conjuncts.into_slice(), ..self.join };
        self.plan.nodes[self.id.index()] = LogicalKind::Join(join);
        Ok(true)
    }

    fn is_true(&self, arg: &'a Expr<'a>) -> Result<&'a Expr<'a>, AllocError> {
        let kind = ExprKind::Unary { op: UnaryOp::IsTrue, arg };
        Ok(self.arena.alloc(Expr { kind, ty: Type::Boolean, span: arg.span })?)
    }

    /// The second way: only of one row with aggregates, and what is computed of them.
    fn group_aggregate(&mut self, tree: &Tree<'_>) -> Result<bool, Error<'a>> {
        let scratch = Arena::new(self.arena.budget());
        if !matches!(self.join.kind, JoinKind::Single | JoinKind::Inner | JoinKind::Left)
            || (self.join.kind != JoinKind::Inner && !self.join.conjuncts.is_empty())
        {
            return Ok(false);
        }
        let mut extends: Vec<'_, &'a [Named<'a>]> = Vec::new_in(&scratch);
        let mut node = self.join.right;
        let (input, aggregates) = loop {
            match self.plan.kind(node) {
                LogicalKind::Extend { input, exprs } => {
                    extends.push(exprs)?;
                    node = input;
                }
                LogicalKind::Sort { input, limit: None, .. } => node = input,
                LogicalKind::Aggregate { input, groups: [], sets: [[]], aggregates } => {
                    break (input, aggregates);
                }
                _ => return Ok(false),
            }
        };
        if self.node_reads(node)? {
            return Ok(false);
        }
        let Some((nodes, conditions)) = self.liftable(tree, input, false, &scratch)? else {
            return Ok(false);
        };
        let mut groups: Vec<'a, Named<'a>> = Vec::new_in(self.arena);
        let mut conjuncts: Vec<'a, &'a Expr<'a>> = Vec::new_in(self.arena);
        for condition in &conditions {
            let ExprKind::Binary { op: BinaryOp::Equal, left, right } = condition.kind else {
                return Ok(false);
            };
            let (outer, inner) = match (self.reads(left)?, self.reads(right)?) {
                (true, false) => (left, right),
                (false, true) => (right, left),
                _ => return Ok(false),
            };
            // The outer side may read nothing of the inner one.
            let mut is_outer = true;
            for_each_column(outer, &scratch, |column| {
                is_outer &= !tree.is_made_below(column, self.join.right);
                Ok(())
            })?;
            if !is_outer {
                return Ok(false);
            }
            let id = self.plan.column("", inner.ty)?;
            groups.push(Named { id, expr: inner })?;
            let read = self.plan.read(id, inner.span, self.arena)?;
            let kind = ExprKind::Binary { op: BinaryOp::Equal, left: outer, right: read };
            conjuncts.push(self.arena.alloc(Expr { kind, ty: Type::Boolean, span: condition.span })?)?;
        }
        self.lift(&nodes)?;
        let (aggregates, counts) = self.raw_counts(aggregates)?;
        let all: &'a [u32] = self.arena.alloc_slice_from_iter(0..groups.len() as u32)?;
        let sets = self.arena.alloc_slice_copy(&[all])?;
        let groups: &'a [Named<'a>] = groups.into_slice();
        let right = self.plan.push(LogicalKind::Aggregate { input, groups, sets, aggregates })?;
        let own = self.join.conjuncts;
        let joined = Join { kind: JoinKind::Left, right, conjuncts: conjuncts.into_slice(), ..self.join };
        let mut top = self.plan.push(LogicalKind::Join(joined))?;
        if !counts.is_empty() {
            top = self.plan.push(LogicalKind::Extend { input: top, exprs: counts })?;
        }
        for exprs in extends.iter().rev() {
            top = self.plan.push(LogicalKind::Extend { input: top, exprs })?;
        }
        self.plan.nodes[self.id.index()] = LogicalKind::Filter { input: top, conjuncts: own };
        Ok(true)
    }

    /// Aggregates of which those that count are 0 where there is no group: they get numbers of their own, and the expressions that
    /// make the old columns of them.
    #[allow(clippy::type_complexity, reason = "aggregates, and columns made of them")]
    fn raw_counts(
        &mut self,
        aggregates: &'a [NamedAggregate<'a>],
    ) -> Result<(&'a [NamedAggregate<'a>], &'a [Named<'a>]), AllocError> {
        let raw = self.arena.alloc_slice_copy(aggregates)?;
        let mut counts: Vec<'a, Named<'a>> = Vec::new_in(self.arena);
        for named in raw.iter_mut() {
            use AggregateFunction as F;
            let (ty, span) = (named.aggregate.ty, named.aggregate.span);
            let zero = match named.aggregate.function {
                F::Count | F::CountRows | F::RegrCount => Value::BigInt(0),
                // No argument is grouped by.
                F::Grouping => Value::Integer(((1_u64 << named.aggregate.args.len()) - 1) as i32),
                _ => continue,
            };
            let id = self.plan.column("", ty)?;
            let read = self.plan.read(id, span, self.arena)?;
            let zero = &*self.arena.alloc(Expr { kind: ExprKind::Literal(zero), ty, span })?;
            let args = self.arena.alloc_slice_copy(&[read, zero])?;
            let kind = ExprKind::Call { function: Function::Coalesce, args };
            let expr = self.arena.alloc(Expr { kind, ty, span })?;
            counts.push(Named { id: named.id, expr })?;
            named.id = id;
        }
        Ok((raw, counts.into_slice()))
    }

    /// The third way.
    fn push_values_down(&mut self, tree: &Tree<'_>) -> Result<(), Error<'a>> {
        let scratch = Arena::new(self.arena.budget());
        let left = self.keep_left(&scratch)?;
        let values = self.distinct_values()?;
        let given = self.rewrite_below(tree, values, &scratch)?;
        let given = self.with_map(given, values)?;
        let map = given.map.expect("with_map gives one");
        let mut conjuncts = Vec::new_in(self.arena);
        conjuncts.extend_from_slice(self.join.conjuncts)?;
        self.push_equal(self.columns, map, &mut conjuncts)?;
        // Where conditions have stood for the values everywhere, nobody else reads the left side.
        let left = if self.plan.ctes[values as usize].scans == 0 { self.join.left } else { left };
        let join = Join { left, right: given.node, conjuncts: conjuncts.into_slice(), ..self.join };
        self.plan.nodes[self.id.index()] = LogicalKind::Join(join);
        Ok(())
    }

    /// Has the left side kept; the join reads what is kept, under the same numbers.
    fn keep_left(&mut self, scratch: &Arena) -> Result<LogicalId, AllocError> {
        let mut columns: Vec<'a, ColumnId> = Vec::new_in(self.arena);
        let plan = &*self.plan;
        plan.output_of(
            self.join.left,
            &mut |column| if columns.contains(&column) { Ok(()) } else { columns.push(column) },
            scratch,
        )?;
        let columns: &'a [ColumnId] = columns.into_slice();
        let cte = self.plan.ctes.len() as u32;
        self.plan.ctes.push(Cte { node: self.join.left, columns, scans: 2, is_fenced: true })?;
        self.plan.push(LogicalKind::CteScan { cte, columns })
    }

    /// The distinct values of the columns, kept too: the number of the expression that has them.
    fn distinct_values(&mut self) -> Result<u32, AllocError> {
        let kept = self.plan.ctes.len() as u32 - 1;
        let all = self.plan.ctes[kept as usize].columns;
        let mut scanned: Vec<'a, ColumnId> = Vec::with_capacity_in(all.len(), self.arena)?;
        for column in all {
            scanned.push(self.plan.column("", self.plan.ty(*column))?)?;
        }
        let scanned: &'a [ColumnId] = scanned.into_slice();
        let of = |column: &ColumnId| {
            let index = all.iter().position(|known| known == column);
            scanned[index.expect("the left side gives the column")]
        };
        let columns: &'a [ColumnId] = self.arena.alloc_slice_from_iter(self.columns.iter().map(of))?;
        let input = self.plan.push(LogicalKind::CteScan { cte: kept, columns: scanned })?;
        let node = self.plan.push(LogicalKind::Distinct { input, columns })?;
        let values = self.plan.ctes.len() as u32;
        self.plan.ctes.push(Cte { node, columns, scans: 0, is_fenced: true })?;
        Ok(values)
    }

    /// A scan of the distinct values.
    fn scan_values(&mut self, values: u32) -> Result<Given<'a>, AllocError> {
        let columns = self.fresh(self.columns)?;
        self.plan.ctes[values as usize].scans += 1;
        let node = self.plan.push(LogicalKind::CteScan { cte: values, columns })?;
        Ok(Given { node, map: Some(columns) })
    }

    /// New columns like these.
    fn fresh(&mut self, columns: &[ColumnId]) -> Result<&'a [ColumnId], AllocError> {
        let mut fresh = Vec::with_capacity_in(columns.len(), self.arena)?;
        for column in columns {
            fresh.push(self.plan.column("", self.plan.ty(*column))?)?;
        }
        Ok(fresh.into_slice())
    }

    /// The node with the values beside its rows.
    fn with_map(&mut self, given: Given<'a>, values: u32) -> Result<Given<'a>, AllocError> {
        if given.map.is_some() {
            return Ok(given);
        }
        let scan = self.scan_values(values)?;
        let (kind, conjuncts, mark) = (JoinKind::Inner, &[][..], 0);
        let join = Join { kind, left: given.node, right: scan.node, conjuncts, mark };
        Ok(Given { node: self.plan.push(LogicalKind::Join(join))?, map: scan.map })
    }

    /// Conditions that hold two lists of columns equal, NULL to NULL.
    fn push_equal(
        &self,
        left: &[ColumnId],
        right: &[ColumnId],
        conjuncts: &mut Vec<'a, &'a Expr<'a>>,
    ) -> Result<(), AllocError> {
        for (left, right) in left.iter().zip(right) {
            let span = Span::default();
            let left = self.plan.read(*left, span, self.arena)?;
            let right = self.plan.read(*right, span, self.arena)?;
            let kind = ExprKind::Binary { op: BinaryOp::IsNotDistinctFrom, left, right };
            conjuncts.push(self.arena.alloc(Expr { kind, ty: Type::Boolean, span })?)?;
        }
        Ok(())
    }

    /// Rewrites the right side from its leaves up.
    fn rewrite_below(
        &mut self,
        tree: &Tree<'_>,
        values: u32,
        scratch: &Arena,
    ) -> Result<Given<'a>, Error<'a>> {
        let nodes = tree.below(self.join.right);
        let mut done: Vec<'_, Given<'a>> = Vec::with_capacity_in(nodes.len(), scratch)?;
        // By place: what the right side of a join reads of its own left side is left for when that join is taken.
        let skipped = scratch.alloc_slice_fill(tree.order.len(), false)?;
        for id in nodes {
            if let LogicalKind::Join(join) = self.plan.kind(*id)
                && !correlated(self.plan, tree, join, scratch)?.is_empty()
            {
                for below in tree.below(join.right) {
                    skipped[tree.place(*below)] = true;
                }
            }
        }
        let mut workings: Vec<'_, u32> = Vec::new_in(scratch);
        for id in nodes {
            if let LogicalKind::Recursive { working, .. } = self.plan.kind(*id)
                && self.any_reads(tree.below(*id))?
            {
                workings.push(working)?;
            }
        }
        let first = tree.place(nodes[0]);
        for id in nodes {
            let given = match skipped[tree.place(*id)] {
                true => Given { node: *id, map: None },
                false => {
                    let given = |input: LogicalId| done[tree.place(input) - first];
                    self.rewrite_node(*id, &given, tree, skipped, &workings, values)?
                }
            };
            done.push(given)?;
        }
        Ok(*done.last().expect("the right side has a node"))
    }

    fn rewrite_node(
        &mut self,
        id: LogicalId,
        given: &dyn Fn(LogicalId) -> Given<'a>,
        tree: &Tree<'_>,
        skipped: &[bool],
        workings: &[u32],
        values: u32,
    ) -> Result<Given<'a>, Error<'a>> {
        let kind = self.plan.kind(id);
        let reads = self.node_reads(id)?;
        match kind {
            LogicalKind::Scan { .. } => Ok(Given { node: id, map: None }),
            LogicalKind::CteScan { cte, .. } => {
                let scratch = Arena::new(self.arena.budget());
                let body = self.plan.post_order(self.plan.ctes[cte as usize].node, &scratch)?;
                match self.any_reads(&body)? {
                    true => {
                        Err(unsupported("a query of WITH that reads columns around it and is read twice"))
                    }
                    false => Ok(Given { node: id, map: None }),
                }
            }
            LogicalKind::WorkingScan { working, columns } => match workings.contains(&working) {
                false => Ok(Given { node: id, map: None }),
                true => {
                    let map = self.fresh(self.columns)?;
                    let columns = self.joined(columns, map)?;
                    let node = self.plan.push(LogicalKind::WorkingScan { working, columns })?;
                    Ok(Given { node, map: Some(map) })
                }
            },
            LogicalKind::Values { .. } if !reads => Ok(Given { node: id, map: None }),
            LogicalKind::Values { rows, width, first } => self.values(rows, width, first, values),
            LogicalKind::Filter { input, conjuncts } => {
                let given = self.filter_input(given(input), conjuncts, reads, tree, input, values)?;
                self.unary(kind, given, None)
            }
            LogicalKind::Extend { input, .. } => {
                let given = self.needing(given(input), reads, values)?;
                self.unary(kind, given, None)
            }
            LogicalKind::TableFunction { input: Some(input), .. } => {
                let given = self.needing(given(input), reads, values)?;
                self.unary(kind, given, None)
            }
            LogicalKind::TableFunction { input: None, .. } if !reads => Ok(Given { node: id, map: None }),
            LogicalKind::TableFunction { input: None, .. } => {
                let given = self.scan_values(values)?;
                self.unary(kind, given, None)
            }
            LogicalKind::Aggregate { input, groups, sets, aggregates } => {
                let given = self.needing(given(input), reads, values)?;
                self.aggregate(kind, given, groups, sets, aggregates, values)
            }
            LogicalKind::Window { input, partition, .. } => {
                let given = self.needing(given(input), reads, values)?;
                let partition = match given.map {
                    Some(map) => self.joined(partition, map)?,
                    None => partition,
                };
                self.unary(kind, given, Some(partition))
            }
            LogicalKind::Sort { input, keys, limit } => {
                let given = given(input);
                let limit = if given.map.is_some() { None } else { limit };
                let node = self.plan.push(LogicalKind::Sort { input: given.node, keys, limit })?;
                Ok(Given { node, map: given.map })
            }
            LogicalKind::Limit { input, .. } => self.limit(kind, given(input)),
            LogicalKind::Distinct { input, columns } => {
                let given = given(input);
                let columns = match given.map {
                    Some(map) => self.joined(columns, map)?,
                    None => columns,
                };
                let node = self.plan.push(LogicalKind::Distinct { input: given.node, columns })?;
                Ok(Given { node, map: given.map })
            }
            LogicalKind::DistinctOn { input, columns } => self.distinct_on(given(input), columns),
            LogicalKind::Concat { inputs, sources, columns } => {
                self.concat(inputs, sources, columns, given, values)
            }
            LogicalKind::SetOperation { kind, all, inputs, sources, columns } => {
                let sides = inputs.map(given);
                if sides.iter().all(|side| side.map.is_none()) {
                    return self.same_inputs(id, sides);
                }
                let (inputs, sources, columns, map) = self.two_sides(sides, sources, columns, values)?;
                let node =
                    self.plan.push(LogicalKind::SetOperation { kind, all, inputs, sources, columns })?;
                Ok(Given { node, map: Some(map) })
            }
            LogicalKind::Recursive { inputs, sources, working, distinct, columns } => {
                let sides = inputs.map(given);
                if sides.iter().all(|side| side.map.is_none()) {
                    return self.same_inputs(id, sides);
                }
                let (inputs, sources, columns, map) = self.two_sides(sides, sources, columns, values)?;
                let kind = LogicalKind::Recursive { inputs, sources, working, distinct, columns };
                Ok(Given { node: self.plan.push(kind)?, map: Some(map) })
            }
            LogicalKind::Join(join) => {
                let is_dependent = skipped[tree.place(join.right)];
                self.nested_join(join, given(join.left), given(join.right), reads, is_dependent, tree, values)
            }
        }
    }

    /// The node, with the values beside its rows if something above it reads them.
    fn needing(&mut self, given: Given<'a>, reads: bool, values: u32) -> Result<Given<'a>, AllocError> {
        if reads { self.with_map(given, values) } else { Ok(given) }
    }

    /// The input of a filter: where it holds every column equal to something of the input, that is the column.
    fn filter_input(
        &mut self,
        given: Given<'a>,
        conjuncts: &'a [&'a Expr<'a>],
        reads: bool,
        tree: &Tree<'_>,
        input: LogicalId,
        values: u32,
    ) -> Result<Given<'a>, Error<'a>> {
        if !reads || given.map.is_some() {
            return Ok(given);
        }
        let mut named: Vec<'a, Named<'a>> = Vec::new_in(self.arena);
        for column in self.columns {
            let mut found = None;
            for conjunct in conjuncts {
                let ExprKind::Binary { op: BinaryOp::Equal, left, right } = conjunct.kind else { continue };
                let is_it = |expr: &Expr<'_>| matches!(expr.kind, ExprKind::Column(id) if id == *column);
                let other = match (is_it(left), is_it(right)) {
                    (true, false) => right,
                    (false, true) => left,
                    _ => continue,
                };
                let mut is_inner = other.ty == self.plan.ty(*column);
                for_each_column(other, self.arena, |read| {
                    is_inner &= tree.is_made_below(read, input);
                    Ok(())
                })?;
                if is_inner {
                    found = Some(other);
                    break;
                }
            }
            let Some(expr) = found else { return Ok(self.with_map(given, values)?) };
            named.push(Named { id: self.plan.column("", expr.ty)?, expr })?;
        }
        let map = self.arena.alloc_slice_from_iter(named.iter().map(|named| named.id))?;
        let node = self.plan.push(LogicalKind::Extend { input: given.node, exprs: named.into_slice() })?;
        Ok(Given { node, map: Some(map) })
    }

    /// A node over its rewritten input.
    fn unary(
        &mut self,
        kind: LogicalKind<'a>,
        given: Given<'a>,
        new_partition: Option<&'a [ColumnId]>,
    ) -> Result<Given<'a>, Error<'a>> {
        let kind = match given.map {
            Some(map) => self.mapped(kind, map)?,
            None => kind,
        };
        let kind = match kind {
            LogicalKind::Filter { conjuncts, .. } => LogicalKind::Filter { input: given.node, conjuncts },
            LogicalKind::Extend { exprs, .. } => LogicalKind::Extend { input: given.node, exprs },
            LogicalKind::Window { partition, order, functions, .. } => {
                let partition = new_partition.unwrap_or(partition);
                LogicalKind::Window { input: given.node, partition, order, functions }
            }
            LogicalKind::TableFunction { calls, ordinality, keeps_empty, .. } => {
                let input = Some(given.node);
                LogicalKind::TableFunction { input, calls, ordinality, keeps_empty }
            }
            kind => kind,
        };
        Ok(Given { node: self.plan.push(kind)?, map: given.map })
    }

    fn values(
        &mut self,
        rows: &'a [&'a [&'a Expr<'a>]],
        width: u32,
        first: ColumnId,
        values: u32,
    ) -> Result<Given<'a>, Error<'a>> {
        let (mut inputs, mut sources) = (Vec::new_in(self.arena), Vec::new_in(self.arena));
        for row in rows {
            let scan = self.scan_values(values)?;
            let map = scan.map.expect("a scan of values gives them");
            let mut exprs: Vec<'a, Named<'a>> = Vec::with_capacity_in(row.len(), self.arena)?;
            for (index, expr) in row.iter().enumerate() {
                let id = match rows {
                    [_] => first + index as u32,
                    _ => self.plan.column("", expr.ty)?,
                };
                exprs.push(Named { id, expr: self.replaced(expr, map)? })?;
            }
            let exprs: &'a [Named<'a>] = exprs.into_slice();
            let node = self.plan.push(LogicalKind::Extend { input: scan.node, exprs })?;
            if rows.len() == 1 {
                return Ok(Given { node, map: Some(map) });
            }
            let made: &'a [ColumnId] =
                self.arena.alloc_slice_from_iter(exprs.iter().map(|named| named.id))?;
            inputs.push(node)?;
            sources.push(self.joined(made, map)?)?;
        }
        let map = self.fresh(self.columns)?;
        let own: &'a [ColumnId] = self.arena.alloc_slice_from_iter(first..first + width)?;
        let columns = self.joined(own, map)?;
        let (inputs, sources) = (inputs.into_slice(), sources.into_slice());
        let node = self.plan.push(LogicalKind::Concat { inputs, sources, columns })?;
        Ok(Given { node, map: Some(map) })
    }

    fn aggregate(
        &mut self,
        kind: LogicalKind<'a>,
        given: Given<'a>,
        groups: &'a [Named<'a>],
        sets: &'a [&'a [u32]],
        aggregates: &'a [NamedAggregate<'a>],
        values: u32,
    ) -> Result<Given<'a>, Error<'a>> {
        let Some(map) = given.map else {
            let kind = LogicalKind::Aggregate { input: given.node, groups, sets, aggregates };
            return Ok(Given { node: self.plan.push(kind)?, map: None });
        };
        let LogicalKind::Aggregate { groups, aggregates, .. } = self.mapped(kind, map)? else {
            unreachable!("mapping keeps the kind")
        };
        // A set of nothing has a row whether there are rows or not.
        let is_whole = match sets.iter().filter(|set| set.is_empty()).count() {
            0 => false,
            1 => true,
            _ => return Err(unsupported("more than one set () in a query that reads columns around it")),
        };
        let (aggregates, counts) = match is_whole {
            true => self.raw_counts(aggregates)?,
            false => (aggregates, &[][..]),
        };
        let mut all: Vec<'a, Named<'a>> = Vec::with_capacity_in(groups.len() + map.len(), self.arena)?;
        all.extend_from_slice(groups)?;
        for column in map {
            let expr = self.plan.read(*column, Span::default(), self.arena)?;
            all.push(Named { id: *column, expr })?;
        }
        let added = groups.len() as u32..all.len() as u32;
        let mut larger: Vec<'a, &'a [u32]> = Vec::with_capacity_in(sets.len(), self.arena)?;
        for set in sets {
            let set = set.iter().copied().chain(added.clone());
            let mut whole = Vec::new_in(self.arena);
            whole.extend(set)?;
            let whole: &'a [u32] = whole.into_slice();
            larger.push(whole)?;
        }
        let (groups, sets) = (all.into_slice(), larger.into_slice());
        let node = self.plan.push(LogicalKind::Aggregate { input: given.node, groups, sets, aggregates })?;
        if !is_whole {
            return Ok(Given { node, map: Some(map) });
        }
        // One row for each of the values, also for those without rows.
        let scan = self.scan_values(values)?;
        let outer = scan.map.expect("a scan of values gives them");
        let mut conjuncts = Vec::new_in(self.arena);
        self.push_equal(outer, map, &mut conjuncts)?;
        let (kind, conjuncts, mark) = (JoinKind::Left, conjuncts.into_slice(), 0);
        let join = Join { kind, left: scan.node, right: node, conjuncts, mark };
        let mut node = self.plan.push(LogicalKind::Join(join))?;
        if !counts.is_empty() {
            node = self.plan.push(LogicalKind::Extend { input: node, exprs: counts })?;
        }
        Ok(Given { node, map: Some(outer) })
    }

    /// So many rows for each of the values: those with the lowest numbers in the order.
    fn limit(&mut self, kind: LogicalKind<'a>, given: Given<'a>) -> Result<Given<'a>, Error<'a>> {
        let LogicalKind::Limit { count, offset, ties, .. } = kind else { unreachable!("a limit") };
        let Some(map) = given.map else {
            let node = self.plan.push(LogicalKind::Limit { input: given.node, count, offset, ties })?;
            return Ok(Given { node, map: None });
        };
        let (input, order): (LogicalId, &'a [Key]) = match self.plan.kind(given.node) {
            LogicalKind::Sort { input, keys, .. } => (input, keys),
            _ => (given.node, &[]),
        };
        let (ty, span) = (Type::BigInt, Span::default());
        let id = self.plan.column("", ty)?;
        let kind = if ties.is_some() { WindowKind::Rank } else { WindowKind::RowNumber };
        let function = WindowFunction { kind, frame: Frame::DEFAULT, ty, span };
        let functions = self.arena.alloc_slice_copy(&[NamedWindow { id, function }])?;
        let node = self.plan.push(LogicalKind::Window { input, partition: map, order, functions })?;
        let number = self.plan.read(id, span, self.arena)?;
        let binary = |op, left, right, ty| -> Result<&'a Expr<'a>, AllocError> {
            Ok(self.arena.alloc(Expr { kind: ExprKind::Binary { op, left, right }, ty, span })?)
        };
        let mut conjuncts: Vec<'a, &'a Expr<'a>> = Vec::new_in(self.arena);
        if let Some(offset) = offset {
            conjuncts.push(binary(BinaryOp::Greater, number, offset, Type::Boolean)?)?;
        }
        if let Some(count) = count {
            let last = match offset {
                Some(offset) => binary(BinaryOp::Add, offset, count, Type::BigInt)?,
                None => count,
            };
            conjuncts.push(binary(BinaryOp::LessEqual, number, last, Type::Boolean)?)?;
        }
        let conjuncts = conjuncts.into_slice();
        let node = self.plan.push(LogicalKind::Filter { input: node, conjuncts })?;
        // Whoever reads the rows in order still does.
        let node = match order {
            [] => node,
            keys => self.plan.push(LogicalKind::Sort { input: node, keys, limit: None })?,
        };
        Ok(Given { node, map: Some(map) })
    }

    fn distinct_on(&mut self, given: Given<'a>, columns: &'a [ColumnId]) -> Result<Given<'a>, Error<'a>> {
        let Some(map) = given.map else {
            let node = self.plan.push(LogicalKind::DistinctOn { input: given.node, columns })?;
            return Ok(Given { node, map: None });
        };
        let (input, order): (LogicalId, &'a [Key]) = match self.plan.kind(given.node) {
            LogicalKind::Sort { input, keys, .. } => (input, keys),
            _ => (given.node, &[]),
        };
        let mut keys: Vec<'a, Key> = Vec::new_in(self.arena);
        keys.extend(map.iter().map(|column| Key { column: *column, descending: false, nulls_first: false }))?;
        keys.extend_from_slice(order)?;
        let node = self.plan.push(LogicalKind::Sort { input, keys: keys.into_slice(), limit: None })?;
        let columns = self.joined(map, columns)?;
        let node = self.plan.push(LogicalKind::DistinctOn { input: node, columns })?;
        Ok(Given { node, map: Some(map) })
    }

    fn concat(
        &mut self,
        inputs: &'a [LogicalId],
        sources: &'a [&'a [ColumnId]],
        columns: &'a [ColumnId],
        given: &dyn Fn(LogicalId) -> Given<'a>,
        values: u32,
    ) -> Result<Given<'a>, Error<'a>> {
        let is_plain = inputs.iter().all(|input| given(*input).map.is_none());
        let (mut nodes, mut lists) = (Vec::new_in(self.arena), Vec::new_in(self.arena));
        for (input, source) in inputs.iter().zip(sources) {
            let side = given(*input);
            if is_plain {
                nodes.push(side.node)?;
                lists.push(*source)?;
                continue;
            }
            let side = self.with_map(side, values)?;
            nodes.push(side.node)?;
            lists.push(self.joined(source, side.map.expect("with_map gives one"))?)?;
        }
        let (inputs, sources) = (nodes.into_slice(), lists.into_slice());
        if is_plain {
            let node = self.plan.push(LogicalKind::Concat { inputs, sources, columns })?;
            return Ok(Given { node, map: None });
        }
        let map = self.fresh(self.columns)?;
        let columns = self.joined(columns, map)?;
        let node = self.plan.push(LogicalKind::Concat { inputs, sources, columns })?;
        Ok(Given { node, map: Some(map) })
    }

    /// A node of two inputs that have stayed as they were.
    fn same_inputs(&mut self, id: LogicalId, _sides: [Given<'a>; 2]) -> Result<Given<'a>, Error<'a>> {
        Ok(Given { node: id, map: None })
    }

    /// Both sides with the values behind their columns.
    #[allow(clippy::type_complexity, reason = "inputs, their columns, the columns made, the values' columns")]
    fn two_sides(
        &mut self,
        sides: [Given<'a>; 2],
        sources: [&'a [ColumnId]; 2],
        columns: &'a [ColumnId],
        values: u32,
    ) -> Result<([LogicalId; 2], [&'a [ColumnId]; 2], &'a [ColumnId], &'a [ColumnId]), Error<'a>> {
        let left = self.with_map(sides[0], values)?;
        let right = self.with_map(sides[1], values)?;
        let map = self.fresh(self.columns)?;
        let lists = [
            self.joined(sources[0], left.map.expect("with_map gives one"))?,
            self.joined(sources[1], right.map.expect("with_map gives one"))?,
        ];
        Ok(([left.node, right.node], lists, self.joined(columns, map)?, map))
    }

    #[allow(clippy::too_many_arguments, reason = "a join, its sides, and what is known of them")]
    fn nested_join(
        &mut self,
        join: Join<'a>,
        mut left: Given<'a>,
        mut right: Given<'a>,
        reads: bool,
        is_dependent: bool,
        tree: &Tree<'_>,
        values: u32,
    ) -> Result<Given<'a>, Error<'a>> {
        if is_dependent {
            // The right side reads the columns of the left one, and from here on the values there too.
            if self.any_reads(tree.below(join.right))? || reads {
                left = self.with_map(left, values)?;
            }
            if let Some(map) = left.map {
                for id in tree.below(join.right) {
                    let kind = self.mapped(self.plan.kind(*id), map)?;
                    self.plan.nodes[id.index()] = kind;
                }
            }
        }
        match join.kind {
            JoinKind::Inner => {
                if reads && left.map.is_none() && right.map.is_none() {
                    left = self.with_map(left, values)?;
                }
            }
            JoinKind::Right => {
                if reads || left.map.is_some() {
                    right = self.with_map(right, values)?;
                }
            }
            JoinKind::Full => {
                if reads || left.map.is_some() || right.map.is_some() {
                    left = self.with_map(left, values)?;
                    right = self.with_map(right, values)?;
                }
            }
            _ => {
                if reads || right.map.is_some() {
                    left = self.with_map(left, values)?;
                }
            }
        }
        let map = match join.kind {
            JoinKind::Right => right.map,
            _ => left.map.or(right.map),
        };
        let mut conjuncts = Vec::new_in(self.arena);
        for conjunct in join.conjuncts {
            conjuncts.push(match map {
                Some(map) => self.replaced(conjunct, map)?,
                None => *conjunct,
            })?;
        }
        if let (Some(left), Some(right)) = (left.map, right.map) {
            self.push_equal(left, right, &mut conjuncts)?;
        }
        let conjuncts = conjuncts.into_slice();
        let sides = (left.map, right.map);
        let join = Join { left: left.node, right: right.node, conjuncts, ..join };
        let node = self.plan.push(LogicalKind::Join(join))?;
        match (join.kind, sides) {
            (JoinKind::Full, (Some(left), Some(right))) => self.either(node, left, right),
            _ => Ok(Given { node, map }),
        }
    }

    /// The values beside rows of which each has those of one side, or the same of both.
    fn either(
        &mut self,
        node: LogicalId,
        left: &[ColumnId],
        right: &[ColumnId],
    ) -> Result<Given<'a>, Error<'a>> {
        let map = self.fresh(self.columns)?;
        let mut exprs: Vec<'a, Named<'a>> = Vec::with_capacity_in(map.len(), self.arena)?;
        for (id, (left, right)) in map.iter().zip(left.iter().zip(right)) {
            let (ty, span) = (self.plan.ty(*id), Span::default());
            let args = [self.plan.read(*left, span, self.arena)?, self.plan.read(*right, span, self.arena)?];
            let args = self.arena.alloc_slice_copy(&args)?;
            let kind = ExprKind::Call { function: Function::Coalesce, args };
            exprs.push(Named { id: *id, expr: self.arena.alloc(Expr { kind, ty, span })? })?;
        }
        let node = self.plan.push(LogicalKind::Extend { input: node, exprs: exprs.into_slice() })?;
        Ok(Given { node, map: Some(map) })
    }

    fn joined(&self, a: &[ColumnId], b: &[ColumnId]) -> Result<&'a [ColumnId], AllocError> {
        let mut all = Vec::with_capacity_in(a.len() + b.len(), self.arena)?;
        all.extend_from_slice(a)?;
        all.extend_from_slice(b)?;
        Ok(all.into_slice())
    }

    /// What a column is called in `map`.
    fn renamed(&self, column: ColumnId, map: &[ColumnId]) -> ColumnId {
        self.columns.iter().position(|known| *known == column).map_or(column, |index| map[index])
    }

    fn replaced(&self, expr: &'a Expr<'a>, map: &[ColumnId]) -> Result<&'a Expr<'a>, AllocError> {
        walk::rewrite(expr, self.arena, |_, rebuilt| match rebuilt.kind {
            ExprKind::Column(column) => match self.renamed(column, map) {
                same if same == column => Ok(rebuilt),
                other => Ok(&*self.arena.alloc(Expr { kind: ExprKind::Column(other), ..*rebuilt })?),
            },
            _ => Ok(rebuilt),
        })
    }

    /// The node over the columns' names in `map`.
    fn mapped(&self, kind: LogicalKind<'a>, map: &[ColumnId]) -> Result<LogicalKind<'a>, AllocError> {
        kind.map(self.arena, |expr| self.replaced(expr, map), |column| self.renamed(column, map))
    }
}

fn unsupported<'a>(what: &'static str) -> Error<'a> {
    Error::NotSupported { what, span: Span::default() }
}
