//! Decides in which order relations are joined, and which side of each join is held.
//!
//! Greedy operator ordering: all relations start as components of their own; again and again the two components whose
//! join is expected to be the smallest become one, and of the two the one with fewer bytes is the build side. Unlike a
//! left-deep order this finds bushy plans, which is what keeps build sides small:
//!
//! ```text
//! lineitem ⋈ orders ⋈ customer, filters on all three
//!
//!   left-deep                           greedy
//!   HashJoin                            HashJoin
//!   ├─ HashJoin                         ├─ lineitem                 streams
//!   │  ├─ lineitem      streams         └─ HashJoin                 held: orders of the wanted customers
//!   │  └─ orders        held: all          ├─ orders                streams
//!   └─ customer         held               └─ customer              held
//! ```
//!
//! Cost: one look at every unused equality for each join, so a query of n tables and m conditions takes n · m steps.
//!
//! # Source
//! Fegaras, "A New Heuristic for Optimizing Large Queries" (DEXA 1998).

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};

use super::estimate;
use super::lower::{Lowering, NOWHERE, Placed};
use super::push_filters::Owners;
use super::replace_columns;
use crate::expr::{BinaryOp, Column, Expr, ExprKind, walk};
use crate::logical::{LogicalId, LogicalKind, LogicalNode, LogicalPlan};
use crate::physical::{HashJoin, JoinKey, JoinKind, KeyNulls, NestedLoopJoin, OperatorId, OperatorKind};

/// Relations that are joined already.
#[derive(Clone, Copy, Debug)]
struct Component {
    operator: OperatorId,
    rows: f64,
    is_alive: bool,
}

/// A condition that no join has used yet.
#[derive(Clone, Copy, Debug)]
struct Condition<'s, 'a> {
    expr: &'a Expr<'a>,
    /// The relations that it reads, ascending.
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
    /// A guess of how many different keys there are.
    keys_count: f64,
}

/// Two components that can be joined, and how many rows that would give.
#[derive(Clone, Copy, Debug)]
struct Choice {
    left: usize,
    right: usize,
    rows: f64,
}

struct JoinOrder<'s, 'a> {
    scratch: &'s Arena,
    arena: &'a Arena,
    components: Vec<'s, Component>,
    /// The component of each relation.
    component_of: Vec<'s, usize>,
    /// The relation of each column of the join.
    owners: Owners<'s>,
    /// Where each column is in its component's output.
    places: &'s mut [u32],
    /// How many readers each column still has.
    readers: &'s mut [u32],
    conditions: Vec<'s, Condition<'s, 'a>>,
    alive_count: usize,
}

/// The operators of a join of two relations or more.
pub(super) fn join<'s, 'a>(
    lowering: &mut Lowering<'s, 'a>,
    plan: &LogicalPlan<'a>,
    node: &LogicalNode<'a>,
    relations: &[LogicalId],
    conjuncts: &[&'a Expr<'a>],
    needed: &[bool],
) -> Result<Placed<'s>, AllocError> {
    let mut order = JoinOrder::new(lowering, plan, relations, needed)?;
    for conjunct in conjuncts {
        order.add_condition(lowering, plan, relations, conjunct)?;
    }
    while order.alive_count > 1 {
        let choice = match order.cheapest() {
            Some(choice) => choice,
            None => order.smallest_pair(),
        };
        order.join_pair(lowering, node, choice)?;
    }
    let root = order.components[order.component_of[0]];
    Ok(Placed { operator: root.operator, map: order.places, rows: root.rows, base_rows: root.rows })
}

impl<'s, 'a> JoinOrder<'s, 'a> {
    fn new(
        lowering: &Lowering<'s, 'a>,
        plan: &LogicalPlan<'a>,
        relations: &[LogicalId],
        needed: &[bool],
    ) -> Result<JoinOrder<'s, 'a>, AllocError> {
        let scratch = lowering.scratch;
        let owners = Owners::new(plan, relations, scratch)?;
        let mut components = Vec::with_capacity_in(relations.len(), scratch)?;
        let mut component_of = Vec::with_capacity_in(relations.len(), scratch)?;
        let mut places = Vec::with_capacity_in(owners.columns_count(), scratch)?;
        for (index, relation) in relations.iter().enumerate() {
            let placed = lowering.placed(*relation);
            components.push(Component { operator: placed.operator, rows: placed.rows, is_alive: true })?;
            component_of.push(index)?;
            places.extend_from_slice(placed.map)?;
        }
        let readers = scratch.alloc_slice_fill_with(needed.len(), |column| u32::from(needed[column]))?;
        Ok(JoinOrder {
            scratch,
            arena: lowering.arena,
            alive_count: components.len(),
            components,
            component_of,
            owners,
            places: places.into_slice(),
            readers,
            conditions: Vec::new_in(scratch),
        })
    }

    fn add_condition(
        &mut self,
        lowering: &Lowering<'s, 'a>,
        plan: &LogicalPlan<'a>,
        relations: &[LogicalId],
        expr: &'a Expr<'a>,
    ) -> Result<(), AllocError> {
        let read = self.relations_of(expr)?;
        walk::for_each(expr, self.scratch, |node| {
            if let ExprKind::Column(position) = node.kind {
                self.readers[position as usize] += 1;
            }
        })?;
        let mut sides = None;
        if let ExprKind::Binary { op: BinaryOp::Equal, left, right } = expr.kind {
            let (on_left, on_right) = (self.relations_of(left)?, self.relations_of(right)?);
            let is_key = !on_left.is_empty()
                && !on_right.is_empty()
                && on_left.iter().all(|relation| !on_right.contains(relation));
            if is_key {
                let keys = |expr| self.keys_count(lowering, plan, relations, expr);
                sides = Some(Sides {
                    left: on_left,
                    right: on_right,
                    keys_count: shared_keys(keys(left), keys(right)),
                });
            }
        }
        self.conditions.push(Condition { expr, relations: read, sides, is_used: false })
    }

    /// The relations that an expression reads, ascending, each once.
    fn relations_of(&self, expr: &'a Expr<'a>) -> Result<&'s [usize], AllocError> {
        let mut read: Vec<'s, usize> = Vec::new_in(self.scratch);
        let mut refusal = None;
        walk::for_each(expr, self.scratch, |node| {
            if let ExprKind::Column(position) = node.kind {
                let owner = self.owners.owner(position);
                if let Err(at) = read.binary_search(&owner)
                    && let Err(error) = read.insert(at, owner)
                {
                    refusal = Some(error);
                }
            }
        })?;
        match refusal {
            Some(error) => Err(error),
            None => Ok(read.into_slice()),
        }
    }

    /// How many different values a side of an equality has, and whether it is likely to be its table's key.
    fn keys_count(
        &self,
        lowering: &Lowering<'s, 'a>,
        plan: &LogicalPlan<'a>,
        relations: &[LogicalId],
        expr: &Expr<'a>,
    ) -> (f64, bool) {
        let ExprKind::Column(position) = expr.kind else { return (f64::INFINITY, false) };
        let owner = self.owners.owner(position);
        let relation = relations[owner];
        let base_rows = lowering.placed(relation).base_rows;
        // Files put their key first.
        let is_first = position == self.owners.first_column(owner);
        let is_file = matches!(plan.nodes[relation.index()].kind, LogicalKind::Scan { .. });
        (base_rows, is_first && is_file)
    }

    /// Whether all of `relations` are in component `component`.
    fn is_within(&self, relations: &[usize], component: usize) -> bool {
        relations.iter().all(|relation| self.component_of[*relation] == component)
    }

    /// The join of two components by an equality that is expected to give the fewest rows.
    fn cheapest(&self) -> Option<Choice> {
        let mut best: Option<Choice> = None;
        for condition in self.conditions.iter().filter(|condition| !condition.is_used) {
            let Some(sides) = condition.sides else { continue };
            let (left, right) = (self.component_of[sides.left[0]], self.component_of[sides.right[0]]);
            if left == right || !self.is_within(sides.left, left) || !self.is_within(sides.right, right) {
                continue;
            }
            let rows = self.components[left].rows * self.components[right].rows / sides.keys_count.max(1.0);
            if best.is_none_or(|best| rows < best.rows) {
                best = Some(Choice { left, right, rows });
            }
        }
        best
    }

    /// The two smallest components, for which there is no equality.
    fn smallest_pair(&self) -> Choice {
        let alive = |index: &usize| self.components[*index].is_alive;
        let smallest = |but: Option<usize>| {
            (0..self.components.len())
                .filter(|index| alive(index) && Some(*index) != but)
                .min_by(|a, b| self.components[*a].rows.total_cmp(&self.components[*b].rows))
                .expect("two components are left")
        };
        let left = smallest(None);
        let right = smallest(Some(left));
        Choice { left, right, rows: self.components[left].rows * self.components[right].rows }
    }

    /// Joins two components.
    fn join_pair(
        &mut self,
        lowering: &mut Lowering<'s, 'a>,
        node: &LogicalNode<'a>,
        choice: Choice,
    ) -> Result<(), AllocError> {
        let (probe, build) = self.sides(lowering, choice);
        let probe_width = lowering.columns(self.components[probe].operator).len() as u32;
        self.shift(build, probe_width);
        let keys = self.take_keys(probe, build, probe_width)?;
        let residual = self.take_residual(probe, build)?;
        let rows = choice.rows * estimate::selectivity(residual, self.scratch)?;
        let (output, columns) = self.take_output(node, probe, build)?;
        let bytes = self.components[build].rows
            * estimate::held_bytes(lowering.columns(self.components[build].operator));
        let (probe_id, build_id) = (self.components[probe].operator, self.components[build].operator);
        let kind = match keys {
            [] => OperatorKind::NestedLoopJoin(NestedLoopJoin {
                kind: JoinKind::Inner,
                probe: probe_id,
                build: build_id,
                conjuncts: residual,
                output,
            }),
            _ => OperatorKind::HashJoin(HashJoin {
                kind: JoinKind::Inner,
                probe: probe_id,
                build: build_id,
                keys,
                residual,
                output,
            }),
        };
        let operator = lowering.push(kind, columns, rows, bytes)?;
        self.components[probe] = Component { operator, rows, is_alive: true };
        self.components[build].is_alive = false;
        for component in self.component_of.iter_mut().filter(|component| **component == build) {
            *component = probe;
        }
        self.alive_count -= 1;
        Ok(())
    }

    /// Which component streams and which is held: the one with fewer bytes.
    fn sides(&self, lowering: &Lowering<'s, 'a>, choice: Choice) -> (usize, usize) {
        let bytes = |component: usize| {
            let component = self.components[component];
            component.rows * estimate::held_bytes(lowering.columns(component.operator))
        };
        match bytes(choice.left) < bytes(choice.right) {
            true => (choice.right, choice.left),
            false => (choice.left, choice.right),
        }
    }

    /// Places of the build side's columns behind the probe side's.
    fn shift(&mut self, build: usize, by: u32) {
        for column in 0..self.places.len() {
            let is_build = self.component_of[self.owners.owner(column as u32)] == build;
            if is_build && self.places[column] != NOWHERE {
                self.places[column] += by;
            }
        }
    }

    /// The equalities between two components, as keys over either side's own columns.
    fn take_keys(
        &mut self,
        probe: usize,
        build: usize,
        probe_width: u32,
    ) -> Result<&'a [JoinKey<'a>], AllocError> {
        let mut keys: Vec<'a, JoinKey<'a>> = Vec::new_in(self.arena);
        for index in 0..self.conditions.len() {
            let condition = self.conditions[index];
            let (Some(sides), false) = (condition.sides, condition.is_used) else { continue };
            let ExprKind::Binary { left, right, .. } = condition.expr.kind else { continue };
            let (on_probe, on_build) =
                if self.is_within(sides.left, probe) && self.is_within(sides.right, build) {
                    (left, right)
                } else if self.is_within(sides.right, probe) && self.is_within(sides.left, build) {
                    (right, left)
                } else {
                    continue;
                };
            let probe = self.placed(on_probe, 0)?;
            let build = self.placed(on_build, probe_width)?;
            keys.push(JoinKey { probe, build, nulls: KeyNulls::Unmatched })?;
            self.mark_used(index)?;
        }
        Ok(keys.into_slice())
    }

    /// The other conditions that read these two components alone, over the columns of both.
    fn take_residual(&mut self, probe: usize, build: usize) -> Result<&'a [&'a Expr<'a>], AllocError> {
        let mut residual: Vec<'a, &'a Expr<'a>> = Vec::new_in(self.arena);
        for index in 0..self.conditions.len() {
            let condition = self.conditions[index];
            let is_here = condition
                .relations
                .iter()
                .all(|relation| [probe, build].contains(&self.component_of[*relation]));
            if is_here && !condition.is_used {
                residual.push(self.placed(condition.expr, 0)?)?;
                self.mark_used(index)?;
            }
        }
        Ok(residual.into_slice())
    }

    /// The columns of both components that still have readers; updates their places.
    fn take_output(
        &mut self,
        node: &LogicalNode<'a>,
        probe: usize,
        build: usize,
    ) -> Result<(&'a [u32], &'a [Column<'a>]), AllocError> {
        let mut output = Vec::new_in(self.arena);
        let mut columns = Vec::new_in(self.arena);
        for column in 0..self.places.len() {
            let component = self.component_of[self.owners.owner(column as u32)];
            if component != probe && component != build {
                continue;
            }
            if self.readers[column] == 0 || self.places[column] == NOWHERE {
                self.places[column] = NOWHERE;
                continue;
            }
            let place = output.len() as u32;
            output.push(self.places[column])?;
            columns.push(node.columns[column])?;
            self.places[column] = place;
        }
        Ok((output.into_slice(), columns.into_slice()))
    }

    /// The expression over the columns at their places, `base` further left.
    fn placed(&self, expr: &'a Expr<'a>, base: u32) -> Result<&'a Expr<'a>, AllocError> {
        replace_columns(expr, self.arena, |column| self.places[column as usize] - base)
    }

    /// A used condition does not read its columns again.
    fn mark_used(&mut self, index: usize) -> Result<(), AllocError> {
        self.conditions[index].is_used = true;
        walk::for_each(self.conditions[index].expr, self.scratch, |node| {
            if let ExprKind::Column(position) = node.kind {
                self.readers[position as usize] -= 1;
            }
        })
    }
}

/// How many different keys two sides of an equality share. A side that is a key has as many as its table has rows, and
/// the other side refers to it; if neither is, both are categories of which there are few.
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
