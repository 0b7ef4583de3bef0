//! Puts a grouping into the plan, and rewrites what is computed behind it to stand over the groups.

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_types::{Type, Value};

use super::Binder;
use super::aggregate::Grouping;
use super::expression::Stage;
use super::group_by::{Group, Groups};
use super::select::KeyTarget;
use super::subquery::Pending;
use super::window::WindowCall;
use crate::Span;
use crate::error::{CallProblem, Error};
use crate::expr::{Expr, ExprKind};
use crate::logical::{ColumnId, LogicalId, LogicalKind, Named, NamedAggregate};
use crate::physical::{Aggregate, AggregateFunction};

impl<'a> Binder<'_, 'a, '_> {
    /// Grouping and HAVING; afterwards all expressions of the select stand over groups.
    pub(super) fn push_grouping(
        &mut self,
        input: LogicalId,
        Groups { list: groups, sets }: Groups<'a>,
        having: Option<&'a Expr<'a>>,
    ) -> Result<LogicalId, Error<'a>> {
        // With several sets a group is not what the column is below: where a set lacks it, it is NULL.
        let groups = match sets {
            Some(_) => self.renumbered(groups)?,
            None => groups,
        };
        let grouping = Grouping::new(groups, self.arena)?;
        let mut dependent: Vec<'a, NamedAggregate<'a>> = Vec::new_in(self.arena);
        for index in 0..self.block().items.len() {
            let expr = self.block().items[index].expr;
            let expr = match groups.iter().find(|group| group.item == Some(index as u32)) {
                Some(group) => self.build().column(group.id, group.expr.ty, expr.span)?,
                None => self.over_groups(&grouping, expr, &mut dependent)?,
            };
            self.block_mut().items[index].expr = expr;
        }
        for index in 0..self.block().keys.len() {
            if let KeyTarget::Expr(expr) = self.block().keys[index].target {
                let expr = self.over_groups(&grouping, expr, &mut dependent)?;
                self.block_mut().keys[index].target = KeyTarget::Expr(expr);
            }
        }
        for index in 0..self.block().windows.len() {
            let window = self.window_over_groups(&grouping, self.block().windows[index], &mut dependent)?;
            self.block_mut().windows[index] = window;
        }
        for index in 0..self.block().sets.len() {
            let call = self.block().sets[index];
            let args = self.arena.alloc_slice_copy(call.args)?;
            for arg in args.iter_mut() {
                *arg = self.over_groups(&grouping, arg, &mut dependent)?;
            }
            self.block_mut().sets[index].args = args;
        }
        for index in 0..self.block().pending.len() {
            let pending = self.block().pending[index];
            let conjuncts = self.arena.alloc_slice_copy(pending.conjuncts)?;
            for conjunct in conjuncts.iter_mut() {
                *conjunct = self.over_groups(&grouping, conjunct, &mut dependent)?;
            }
            self.nested_over_groups(&grouping, pending, &mut dependent)?;
            let guard = match pending.guard {
                Some(guard) => Some(self.over_groups(&grouping, guard, &mut dependent)?),
                None => None,
            };
            self.block_mut().pending[index].conjuncts = conjuncts;
            self.block_mut().pending[index].guard = guard;
        }
        let having = match having {
            Some(having) => Some(self.over_groups(&grouping, having, &mut dependent)?),
            None => None,
        };
        let mut aggregates = Vec::new_in(self.arena);
        for index in 0..self.block().aggregates.len() {
            let named = self.block().aggregates[index];
            aggregates.push(self.resolved_grouping(&grouping, named)?)?;
        }
        aggregates.extend_from_slice(&dependent)?;
        let sets = match sets {
            Some(sets) => sets,
            None => {
                let all: &'a [u32] = self.arena.alloc_slice_from_iter(0..groups.len() as u32)?;
                self.arena.alloc_slice_copy(&[all])?
            }
        };
        let named = groups.iter().map(|group| Named { id: group.id, expr: group.expr });
        let groups = &*self.arena.alloc_slice_from_iter(named)?;
        let kind = LogicalKind::Aggregate { input, groups, sets, aggregates: aggregates.into_slice() };
        let node = self.plan.push(kind)?;
        let node = self.attach(Stage::Groups, node)?;
        match having {
            Some(having) => self.push_filter(node, having),
            None => Ok(node),
        }
    }

    /// The same groups under numbers of their own.
    fn renumbered(&mut self, groups: &'a [Group<'a>]) -> Result<&'a [Group<'a>], Error<'a>> {
        let renumbered = self.arena.alloc_slice_copy(groups)?;
        for group in renumbered.iter_mut() {
            if let ExprKind::Column(id) = group.expr.kind {
                let name = self.plan.columns[id as usize].name;
                group.id = self.plan.column(name, group.expr.ty)?;
            }
        }
        Ok(renumbered)
    }

    /// An expression over the groups. A column of a table whose whole primary key is grouped by has one value in each group.
    fn over_groups(
        &mut self,
        grouping: &Grouping<'_, 'a>,
        expr: &'a Expr<'a>,
        dependent: &mut Vec<'a, NamedAggregate<'a>>,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let mut expr = expr;
        loop {
            let scope = &self.block().scope;
            let is_row = |id: ColumnId| {
                scope.position_of(id).is_some() && !dependent.iter().any(|known| known.id == id)
            };
            let (id, span) = match grouping.rewrite(expr, &is_row)? {
                Ok(rewritten) => return Ok(rewritten),
                Err(ungrouped) => ungrouped,
            };
            let position = scope.position_of(id).expect("is_row has found it");
            if !self.depends_on_key(position, grouping)? {
                let column = &self.block().scope.columns[position as usize];
                let table = self.block().scope.relations[column.relation as usize].alias;
                return Err(Error::Ungrouped { name: column.name, table, span });
            }
            let column = &self.block().scope.columns[position as usize];
            let (name, ty) = (column.name, column.ty);
            let is_it = |known: &&NamedAggregate<'a>| matches!(known.aggregate.args, [Expr { kind: ExprKind::Column(found), .. }] if *found == id);
            let value = match dependent.iter().find(is_it) {
                Some(known) => known.id,
                None => {
                    let read = self.plan.read(id, span, self.arena)?;
                    let args = self.arena.alloc_slice_copy(&[read])?;
                    let (function, distinct, filter, order_by) =
                        (AggregateFunction::AnyValue, false, None, &[][..]);
                    let aggregate = Aggregate { function, args, distinct, filter, order_by, ty, span };
                    let id = self.plan.column(name, ty)?;
                    dependent.push(NamedAggregate { id, aggregate })?;
                    id
                }
            };
            expr = crate::expr::walk::rewrite(expr, self.arena, |_, rebuilt| match rebuilt.kind {
                ExprKind::Column(found) if found == id => Ok::<_, cofferdam_arena::AllocError>(
                    &*self.arena.alloc(Expr { kind: ExprKind::Column(value), ..*rebuilt })?,
                ),
                _ => Ok(rebuilt),
            })?;
        }
    }

    /// Whether all columns of the primary key of a column's table are groups.
    fn depends_on_key(&self, position: u32, grouping: &Grouping<'_, 'a>) -> Result<bool, Error<'a>> {
        let scope = &self.block().scope;
        let relation = scope.relations[scope.columns[position as usize].relation as usize];
        let Some(table) = relation.table.filter(|table| !table.key.is_empty()) else { return Ok(false) };
        for key in table.key {
            let column = &scope.columns[(relation.first_column + key.column) as usize];
            let read = self.build().column(column.id, column.ty, Span::default())?;
            if grouping.position_of(read)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A query in an expression reads groups, and what has one value in each, in the place of the columns of rows.
    fn nested_over_groups(
        &mut self,
        grouping: &Grouping<'_, 'a>,
        pending: Pending<'a>,
        dependent: &mut Vec<'a, NamedAggregate<'a>>,
    ) -> Result<(), Error<'a>> {
        let scratch = Arena::new(self.arena.budget());
        let nodes = self.plan.post_order(pending.node, &scratch)?;
        let mut read: Vec<'_, ColumnId> = Vec::new_in(&scratch);
        for id in &nodes {
            self.plan.kind(*id).for_each_read(&scratch, |column| {
                match self.block().scope.position_of(column).is_some() && !read.contains(&column) {
                    true => read.push(column),
                    false => Ok(()),
                }
            })?;
        }
        let mut moved: Vec<'_, (ColumnId, ColumnId)> = Vec::new_in(&scratch);
        for column in &read {
            let expr = self.plan.read(*column, pending.span, self.arena)?;
            let over = self.over_groups(grouping, expr, dependent)?;
            if let ExprKind::Column(group) = over.kind
                && group != *column
            {
                moved.push((*column, group))?;
            }
        }
        if moved.is_empty() {
            return Ok(());
        }
        let arena = self.arena;
        for id in &nodes {
            let change = |expr: &'a Expr<'a>| {
                crate::expr::walk::rewrite(expr, arena, |_, rebuilt| match rebuilt.kind {
                    ExprKind::Column(found) => match moved.iter().find(|(column, _)| *column == found) {
                        Some((_, group)) => Ok::<_, cofferdam_arena::AllocError>(
                            &*arena.alloc(Expr { kind: ExprKind::Column(*group), ..*rebuilt })?,
                        ),
                        None => Ok(rebuilt),
                    },
                    _ => Ok(rebuilt),
                })
            };
            let changed = self.plan.kind(*id).map(arena, change, |column| column)?;
            self.plan.nodes[id.index()] = changed;
        }
        Ok(())
    }

    /// The arguments of GROUPING as positions of groups.
    fn resolved_grouping(
        &self,
        grouping: &Grouping<'_, 'a>,
        named: NamedAggregate<'a>,
    ) -> Result<NamedAggregate<'a>, Error<'a>> {
        if named.aggregate.function != AggregateFunction::Grouping {
            return Ok(named);
        }
        let mut args: Vec<'a, &'a Expr<'a>> = Vec::new_in(self.arena);
        for arg in named.aggregate.args {
            let Some(position) = grouping.position_of(arg)? else {
                return Err(Error::Call { problem: CallProblem::NotGrouped, name: "", span: arg.span });
            };
            args.push(self.build().literal(Value::Integer(position as i32), Type::Integer, arg.span)?)?;
        }
        let aggregate = Aggregate { args: args.into_slice(), ..named.aggregate };
        Ok(NamedAggregate { aggregate, ..named })
    }

    fn window_over_groups(
        &mut self,
        grouping: &Grouping<'_, 'a>,
        window: WindowCall<'a>,
        dependent: &mut Vec<'a, NamedAggregate<'a>>,
    ) -> Result<WindowCall<'a>, Error<'a>> {
        let arena = self.arena;
        let kind = window.kind.map(arena, |expr| self.over_groups(grouping, expr, dependent))?;
        let partition = arena.alloc_slice_copy(window.partition)?;
        for expr in partition.iter_mut() {
            *expr = self.over_groups(grouping, expr, dependent)?;
        }
        let order = arena.alloc_slice_copy(window.order)?;
        for key in order.iter_mut() {
            key.expr = self.over_groups(grouping, key.expr, dependent)?;
        }
        let mut frame = window.frame;
        for bound in [&mut frame.start, &mut frame.end] {
            if let Some(expr) = bound {
                *bound = Some(self.over_groups(grouping, expr, dependent)?);
            }
        }
        Ok(WindowCall { kind, partition, order, frame, ..window })
    }
}
