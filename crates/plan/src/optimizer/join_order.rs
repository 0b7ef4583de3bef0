//! Decides in which order relations are joined, and which side of each join is held.
//!
//! Relations that equalities connect are joined in the cheapest order, which `join_search` finds where they are few enough. For
//! more, and for what only cross products connect: greedy operator ordering. All begin as components of their own; again and again the
//! two components whose join is expected to be the smallest become one, and of the two the one with fewer bytes is the build
//! side. Both find bushy plans, which is what keeps build sides small:
//!
//! ```text
//! lineitem ⋈ orders ⋈ customer, filters on all three
//!
//!   left-deep                           bushy
//!   HashJoin                            HashJoin
//!   ├─ HashJoin                         ├─ lineitem                 streams
//!   │  ├─ lineitem      streams         └─ HashJoin                 held: orders of the wanted customers
//!   │  └─ orders        held: all          ├─ orders                streams
//!   └─ customer         held               └─ customer              held
//! ```
//!
//! Cost of the greedy order: one look at every unused equality for each join, so a query of n tables and m conditions takes n · m
//! steps.
//!
//! # Source
//! Fegaras, "A New Heuristic for Optimizing Large Queries" (DEXA 1998).

use cofferdam_arena::AllocError;
use cofferdam_arena::collections::Vec;

use super::join_search::{self, Edge, RELATIONS_MAX, Relation};
use super::lower::{Lowering, Placed};
use super::{estimate, selectivity};
use crate::expr::{BinaryOp, Expr, ExprKind};
use crate::logical::{ColumnId, LogicalId, LogicalKind, for_each_column};
use crate::physical::JoinKind;

/// Relations that are joined already.
#[derive(Clone, Copy, Debug)]
struct Component<'s> {
    placed: Placed<'s>,
    is_alive: bool,
}

/// A condition that no join has used yet.
#[derive(Clone, Copy, Debug)]
struct Condition<'s, 'a> {
    expr: &'a Expr<'a>,
    /// The relations that it reads, each once.
    relations: &'s [usize],
    /// What an equality reads on either side.
    sides: Option<Sides<'s>>,
    is_used: bool,
}

/// The relations on the two sides of an equality.
#[derive(Clone, Copy, Debug)]
struct Sides<'s> {
    left: &'s [usize],
    right: &'s [usize],
    /// The share of all pairs of rows for which it holds, if that is known.
    share: Option<f64>,
    /// Otherwise a guess of how many different keys there are.
    keys_count: f64,
}

impl Sides<'_> {
    fn share(&self) -> f64 {
        self.share.unwrap_or(1.0 / self.keys_count.max(1.0))
    }
}

/// Two components that can be joined, and how many rows that would give.
#[derive(Clone, Copy, Debug)]
struct Choice {
    left: usize,
    right: usize,
    rows: f64,
}

struct JoinOrder<'s, 'a> {
    components: Vec<'s, Component<'s>>,
    /// The component of each relation.
    component_of: Vec<'s, usize>,
    relations: &'s [LogicalId],
    conditions: Vec<'s, Condition<'s, 'a>>,
    alive_count: usize,
}

/// The operators of inner joins of some relations, all of which have theirs; `wanted` is read of them.
pub(super) fn join<'s, 'a>(
    lowering: &mut Lowering<'_, 's, 'a>,
    relations: &'s [LogicalId],
    conjuncts: &[&'a Expr<'a>],
    wanted: &[ColumnId],
) -> Result<Placed<'s>, AllocError> {
    let scratch = lowering.scratch;
    let (mut components, mut component_of) = (Vec::new_in(scratch), Vec::new_in(scratch));
    for (index, relation) in relations.iter().enumerate() {
        components.push(Component { placed: lowering.placed(*relation), is_alive: true })?;
        component_of.push(index)?;
    }
    let alive_count = components.len();
    let conditions = Vec::new_in(scratch);
    let mut order = JoinOrder { components, component_of, relations, conditions, alive_count };
    for conjunct in conjuncts {
        order.add_condition(lowering, conjunct)?;
    }
    // What reads no relation is tested once, in front.
    order.test_constants(lowering)?;
    order.join_connected(lowering, wanted)?;
    while order.alive_count > 1 {
        let choice = match order.cheapest() {
            Some(choice) => choice,
            None => order.smallest_pair(),
        };
        order.join_pair(lowering, choice, wanted)?;
    }
    Ok(order.components[order.component_of[0]].placed)
}

impl<'s, 'a> JoinOrder<'s, 'a> {
    fn add_condition(
        &mut self,
        lowering: &Lowering<'_, 's, 'a>,
        expr: &'a Expr<'a>,
    ) -> Result<(), AllocError> {
        let relations = self.relations_of(lowering, expr)?;
        let mut sides = None;
        if let ExprKind::Binary { op: BinaryOp::Equal | BinaryOp::IsNotDistinctFrom, left, right } = expr.kind
        {
            let (on_left, on_right) =
                (self.relations_of(lowering, left)?, self.relations_of(lowering, right)?);
            let is_key = !on_left.is_empty()
                && !on_right.is_empty()
                && on_left.iter().all(|relation| !on_right.contains(relation));
            if is_key {
                let keys = |expr, relation| self.keys_count(lowering, expr, relation);
                sides = Some(Sides {
                    left: on_left,
                    right: on_right,
                    share: lowering.known.equal_pairs(
                        (left, self.kept(lowering, on_left)),
                        (right, self.kept(lowering, on_right)),
                    ),
                    keys_count: shared_keys(keys(left, on_left), keys(right, on_right)),
                });
            }
        }
        self.conditions.push(Condition { expr, relations, sides, is_used: false })
    }

    /// The share of the rows of its table that a relation keeps; of several nobody asks.
    fn kept(&self, lowering: &Lowering<'_, 's, 'a>, relations: &[usize]) -> f64 {
        match relations {
            [relation] => {
                let Placed { rows, base_rows, .. } = lowering.placed(self.relations[*relation]);
                rows / base_rows.max(1.0)
            }
            _ => 1.0,
        }
    }

    /// The relations that an expression reads, each once.
    fn relations_of(
        &self,
        lowering: &Lowering<'_, 's, 'a>,
        expr: &'a Expr<'a>,
    ) -> Result<&'s [usize], AllocError> {
        let mut read: Vec<'s, usize> = Vec::new_in(lowering.scratch);
        for_each_column(expr, lowering.scratch, |column| {
            let makes = |relation: &LogicalId| lowering.tree.is_made_below(column, *relation);
            match self.relations.iter().position(makes) {
                Some(owner) if !read.contains(&owner) => read.push(owner),
                _ => Ok(()),
            }
        })?;
        Ok(read.into_slice())
    }

    /// How many different values a side of an equality has, and whether it is likely to be its table's key.
    fn keys_count(
        &self,
        lowering: &Lowering<'_, 's, 'a>,
        expr: &Expr<'a>,
        relations: &[usize],
    ) -> (f64, bool) {
        let (ExprKind::Column(column), [owner]) = (expr.kind, relations) else {
            return (f64::INFINITY, false);
        };
        let relation = self.relations[*owner];
        let base_rows = lowering.placed(relation).base_rows;
        // Tables put their key first.
        let is_first = match lowering.plan.kind(relation) {
            LogicalKind::Scan { first, .. } => column == first,
            _ => false,
        };
        (base_rows, is_first)
    }

    /// Whether all of `relations` are in component `component`.
    fn is_within(&self, relations: &[usize], component: usize) -> bool {
        relations.iter().all(|relation| self.component_of[*relation] == component)
    }

    fn test_constants(&mut self, lowering: &mut Lowering<'_, 's, 'a>) -> Result<(), AllocError> {
        let mut constant: Vec<'s, &'a Expr<'a>> = Vec::new_in(lowering.scratch);
        for condition in self.conditions.iter_mut().filter(|condition| condition.relations.is_empty()) {
            condition.is_used = true;
            constant.push(condition.expr)?;
        }
        if let Some(first) = self.components.first_mut() {
            first.placed = lowering.filter(first.placed, &constant)?;
        }
        Ok(())
    }

    /// Joins the relations that equalities connect, where they are few enough to look for the cheapest order.
    fn join_connected(
        &mut self,
        lowering: &mut Lowering<'_, 's, 'a>,
        wanted: &[ColumnId],
    ) -> Result<(), AllocError> {
        let scratch = lowering.scratch;
        let count = self.relations.len();
        // By relation: the lowest of those that it is connected with.
        let group_of = scratch.alloc_slice_from_iter(0..count)?;
        for sides in self.conditions.iter().filter_map(|condition| condition.sides) {
            let connected = || sides.left.iter().chain(sides.right);
            let lowest = connected().map(|relation| group_of[*relation]).min().unwrap_or(0);
            for relation in connected() {
                let group = group_of[*relation];
                if group != lowest {
                    group_of.iter_mut().filter(|other| **other == group).for_each(|other| *other = lowest);
                }
            }
        }
        for group in 0..count {
            let mut members: Vec<'s, usize> = Vec::new_in(scratch);
            for relation in (group..count).filter(|relation| group_of[*relation] == group) {
                members.push(relation)?;
            }
            if (3..=RELATIONS_MAX).contains(&members.len()) {
                self.join_group(lowering, &members, wanted)?;
            }
        }
        Ok(())
    }

    fn join_group(
        &mut self,
        lowering: &mut Lowering<'_, 's, 'a>,
        members: &[usize],
        wanted: &[ColumnId],
    ) -> Result<(), AllocError> {
        let scratch = lowering.scratch;
        let mut relations: Vec<'s, Relation> = Vec::with_capacity_in(members.len(), scratch)?;
        for member in members {
            let Placed { rows, operator, .. } = self.components[self.component_of[*member]].placed;
            let row_bytes = estimate::held_bytes(lowering.columns(operator));
            relations.push(Relation { rows: rows.max(1.0), row_bytes })?;
        }
        let edges = self.edges(lowering, members)?;
        let Some(steps) = join_search::search(&relations, edges, scratch)? else { return Ok(()) };
        for step in steps {
            let component = |set: u16| self.component_of[members[set.trailing_zeros() as usize]];
            let choice = Choice { left: component(step.left), right: component(step.right), rows: step.rows };
            self.join_pair(lowering, choice, wanted)?;
        }
        Ok(())
    }

    /// The conditions between members of a group.
    fn edges(&self, lowering: &Lowering<'_, 's, 'a>, members: &[usize]) -> Result<&'s [Edge], AllocError> {
        let scratch = lowering.scratch;
        // Bits for members; `None` if one is none.
        let set = |relations: &[usize]| {
            relations.iter().try_fold(0u16, |set, relation| {
                members.iter().position(|member| member == relation).map(|at| set | 1 << at)
            })
        };
        let mut edges: Vec<'s, Edge> = Vec::new_in(scratch);
        for condition in self.conditions.iter().filter(|condition| !condition.is_used) {
            let Some(all) = set(condition.relations) else { continue };
            edges.push(match condition.sides {
                Some(sides) => Edge {
                    left: set(sides.left).unwrap_or(all),
                    right: set(sides.right).unwrap_or(0),
                    share: sides.share(),
                },
                None => {
                    Edge { left: all, right: 0, share: lowering.known.share(&[condition.expr], scratch)? }
                }
            })?;
        }
        // Conditions between the same relations are seldom independent: the first of them stands for all.
        let edges = edges.into_slice();
        let mut shares: Vec<'s, f64> = Vec::new_in(scratch);
        for at in 0..edges.len() {
            let all = edges[at].left | edges[at].right;
            shares.clear();
            for edge in edges[at..].iter_mut().filter(|edge| edge.left | edge.right == all) {
                shares.push(core::mem::replace(&mut edge.share, 1.0))?;
            }
            edges[at].share = selectivity::conjunction(&shares);
        }
        Ok(edges)
    }

    /// The join of two components by equalities that is expected to give the fewest rows.
    fn cheapest(&self) -> Option<Choice> {
        let mut best: Option<Choice> = None;
        for condition in self.conditions.iter().filter(|condition| !condition.is_used) {
            let Some(sides) = condition.sides else { continue };
            let (left, right) = (self.component_of[sides.left[0]], self.component_of[sides.right[0]]);
            if left == right || !self.is_within(sides.left, left) || !self.is_within(sides.right, right) {
                continue;
            }
            let rows = self.rows_of_join(left, right);
            if best.is_none_or(|best| rows < best.rows) {
                best = Some(Choice { left, right, rows });
            }
        }
        best
    }

    /// How many rows the equalities between two components leave of their pairs. Further ones are seldom independent of the first: each
    /// counts half as much as the one before, the most selective first.
    fn rows_of_join(&self, left: usize, right: usize) -> f64 {
        const COUNTED: usize = 4;
        let mut shares = [1.0; COUNTED];
        for condition in self.conditions.iter().filter(|condition| !condition.is_used) {
            let Some(sides) = condition.sides else { continue };
            let straight = self.is_within(sides.left, left) && self.is_within(sides.right, right);
            let turned = self.is_within(sides.left, right) && self.is_within(sides.right, left);
            if straight || turned {
                let mut share = sides.share();
                for known in &mut shares {
                    if share < *known {
                        core::mem::swap(known, &mut share);
                    }
                }
            }
        }
        self.rows(left) * self.rows(right) * selectivity::conjunction(&shares)
    }

    fn rows(&self, component: usize) -> f64 {
        self.components[component].placed.rows
    }

    /// The two smallest components, for which there is no equality.
    fn smallest_pair(&self) -> Choice {
        let alive = |index: &usize| self.components[*index].is_alive;
        let smallest = |but: Option<usize>| {
            (0..self.components.len())
                .filter(|index| alive(index) && Some(*index) != but)
                .min_by(|a, b| self.rows(*a).total_cmp(&self.rows(*b)))
                .expect("two components are left")
        };
        let left = smallest(None);
        let right = smallest(Some(left));
        Choice { left, right, rows: self.rows(left) * self.rows(right) }
    }

    /// Joins two components.
    fn join_pair(
        &mut self,
        lowering: &mut Lowering<'_, 's, 'a>,
        choice: Choice,
        wanted: &[ColumnId],
    ) -> Result<(), AllocError> {
        let (probe, build) = self.sides(lowering, choice);
        let scratch = lowering.scratch;
        let mut conjuncts: Vec<'s, &'a Expr<'a>> = Vec::new_in(scratch);
        for index in 0..self.conditions.len() {
            let condition = self.conditions[index];
            let is_ready = condition.relations.iter().all(|relation| {
                let component = self.component_of[*relation];
                component == probe || component == build
            });
            if !condition.is_used && is_ready {
                self.conditions[index].is_used = true;
                conjuncts.push(condition.expr)?;
            }
        }
        // What is read above, or by conditions that wait.
        let mut needed: Vec<'s, ColumnId> = Vec::new_in(scratch);
        needed.extend_from_slice(wanted)?;
        for condition in self.conditions.iter().filter(|condition| !condition.is_used) {
            for_each_column(condition.expr, scratch, |column| {
                if needed.contains(&column) { Ok(()) } else { needed.push(column) }
            })?;
        }
        let (left, right) = (self.components[probe].placed, self.components[build].placed);
        let joined =
            lowering.join_sides(JoinKind::Inner, left, right, &conjuncts, &needed, None, choice.rows)?;
        self.components[probe].placed = joined;
        self.components[build].is_alive = false;
        for component in self.component_of.iter_mut().filter(|component| **component == build) {
            *component = probe;
        }
        self.alive_count -= 1;
        Ok(())
    }

    /// Which component streams and which is held: the one with fewer bytes.
    fn sides(&self, lowering: &Lowering<'_, 's, 'a>, choice: Choice) -> (usize, usize) {
        let bytes = |component: usize| {
            let placed = self.components[component].placed;
            placed.rows * estimate::held_bytes(lowering.columns(placed.operator))
        };
        match bytes(choice.left) < bytes(choice.right) {
            true => (choice.right, choice.left),
            false => (choice.left, choice.right),
        }
    }
}

/// How many different keys two sides have in common, at a guess. A key of a table bounds it; otherwise the number of different
/// values is unknown and taken to be the root of the smaller table.
fn shared_keys(left: (f64, bool), right: (f64, bool)) -> f64 {
    match (left, right) {
        ((left, true), (right, true)) => left.min(right),
        ((left, true), _) => left,
        (_, (right, true)) => right,
        ((left, false), (right, false)) => match left.min(right) {
            rows if rows.is_finite() => rows.sqrt(),
            _ => 10.0,
        },
    }
}
