//! Finds which columns of each node anyone reads, from the root down.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};

use super::push_filters::Filters;
use super::tree::Tree;
use crate::logical::{ColumnId, Join, LogicalId, LogicalKind, LogicalPlan, for_each_column};

/// By place in the tree: the columns of a node's output that are read, in no order, each once.
pub(super) type Needs<'s> = Vec<'s, Vec<'s, ColumnId>>;

/// What is read of each node below a root of which `wanted` is.
pub(super) fn needs<'s>(
    plan: &LogicalPlan<'_>,
    tree: &Tree<'_>,
    filters: &Filters<'_, '_>,
    wanted: &[ColumnId],
    scratch: &'s Arena,
) -> Result<Needs<'s>, AllocError> {
    let mut needs: Needs<'s> = Vec::with_capacity_in(tree.order.len(), scratch)?;
    for _ in 0..tree.order.len() {
        needs.push(Vec::new_in(scratch))?;
    }
    if let Some(root) = needs.last_mut() {
        wanted.iter().try_for_each(|column| add(root, *column))?;
    }
    let mut pass = Pass { tree, needs, scratch };
    for place in (0..tree.order.len()).rev() {
        let id = tree.order[place];
        for conjunct in &filters[id.index()] {
            let own = &mut pass.needs[place];
            for_each_column(conjunct, scratch, |column| add(own, column))?;
        }
        pass.visit(place, plan.kind(id))?;
    }
    Ok(pass.needs)
}

fn add(list: &mut Vec<'_, ColumnId>, column: ColumnId) -> Result<(), AllocError> {
    // Lists are short but where tables are wide: then most of them is read anyway.
    if list.contains(&column) { Ok(()) } else { list.push(column) }
}

struct Pass<'p, 's> {
    tree: &'p Tree<'p>,
    needs: Needs<'s>,
    scratch: &'s Arena,
}

impl Pass<'_, '_> {
    fn of(&mut self, input: LogicalId, column: ColumnId) -> Result<(), AllocError> {
        add(&mut self.needs[self.tree.place(input)], column)
    }

    /// Hands on what the node itself does not make.
    fn hand_on(&mut self, place: usize, kind: &LogicalKind<'_>, input: LogicalId) -> Result<(), AllocError> {
        for index in 0..self.needs[place].len() {
            let column = self.needs[place][index];
            let mut is_made = false;
            kind.for_each_made(|made| {
                is_made |= made == column;
                Ok::<(), AllocError>(())
            })?;
            if !is_made {
                self.of(input, column)?;
            }
        }
        Ok(())
    }

    fn visit(&mut self, place: usize, kind: LogicalKind<'_>) -> Result<(), AllocError> {
        let is_needed = |pass: &Self, column: ColumnId| pass.needs[place].contains(&column);
        let scratch = self.scratch;
        match kind {
            LogicalKind::Scan { .. }
            | LogicalKind::Values { .. }
            | LogicalKind::CteScan { .. }
            | LogicalKind::WorkingScan { .. }
            | LogicalKind::TableFunction { input: None, .. } => {}
            LogicalKind::Filter { input, .. } => self.hand_on(place, &kind, input)?,
            LogicalKind::Extend { input, exprs } => {
                self.hand_on(place, &kind, input)?;
                for named in exprs {
                    if is_needed(self, named.id) {
                        for_each_column(named.expr, scratch, |column| self.of(input, column))?;
                    }
                }
            }
            LogicalKind::Aggregate { input, groups, aggregates, .. } => {
                for group in groups {
                    for_each_column(group.expr, scratch, |column| self.of(input, column))?;
                }
                for named in aggregates {
                    if is_needed(self, named.id) {
                        named.aggregate.for_each_expr(|expr| {
                            for_each_column(expr, scratch, |column| self.of(input, column))
                        })?;
                    }
                }
            }
            LogicalKind::Distinct { input, columns } => {
                columns.iter().try_for_each(|column| self.of(input, *column))?;
            }
            LogicalKind::Window { input, .. }
            | LogicalKind::Sort { input, .. }
            | LogicalKind::Limit { input, .. }
            | LogicalKind::DistinctOn { input, .. }
            | LogicalKind::TableFunction { input: Some(input), .. } => {
                self.hand_on(place, &kind, input)?;
                kind.for_each_read(scratch, |column| self.of(input, column))?;
            }
            LogicalKind::Concat { inputs, sources, columns } => {
                for (input, source) in inputs.iter().zip(sources) {
                    for (column, from) in columns.iter().zip(*source) {
                        if is_needed(self, *column) {
                            self.of(*input, *from)?;
                        }
                    }
                }
            }
            LogicalKind::SetOperation { inputs, sources, .. }
            | LogicalKind::Recursive { inputs, sources, .. } => {
                for (input, source) in inputs.into_iter().zip(sources) {
                    source.iter().try_for_each(|column| self.of(input, *column))?;
                }
            }
            LogicalKind::Join(Join { left, right, conjuncts, .. }) => {
                for index in 0..self.needs[place].len() {
                    self.of_side(left, right, self.needs[place][index])?;
                }
                for conjunct in conjuncts {
                    for_each_column(conjunct, scratch, |column| self.of_side(left, right, column))?;
                }
            }
        }
        Ok(())
    }

    fn of_side(&mut self, left: LogicalId, right: LogicalId, column: ColumnId) -> Result<(), AllocError> {
        if self.tree.is_made_below(column, left) {
            self.of(left, column)
        } else if self.tree.is_made_below(column, right) {
            self.of(right, column)
        } else {
            // The mark that the join itself makes.
            Ok(())
        }
    }
}
