//! Binds GROUP BY: expressions, and grouping sets as lists of positions of these.
//!
//! With grouping sets, a group is an item of the select list where it names one, else the first item that computes the same. So two
//! items that compute the same are two groups, and each of them is NULL where a set lacks it alone:
//!
//! ```text
//! SELECT a AS x, a AS y FROM t GROUP BY x, ROLLUP (y)        groups: x, y        sets: (x, y), (x)
//! ```
//!
//! Without sets they have the same values, and are one group.

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_sql::views::{Expr as ExprView, Grouping as GroupingView, GroupingKind, GroupingSet, Select};

use super::Binder;
use super::expression::{Place, Stage};
use super::select::position_of;
use crate::Span;
use crate::error::{AggregatePlace, CallProblem, CountProblem, Error};
use crate::expr::same::same;
use crate::expr::{Expr, ExprKind};
use crate::logical::{ColumnId, for_each_column};

/// The most grouping sets of a select, as in PostgreSQL.
const SETS_MAX: usize = 4096;

/// One expression of GROUP BY.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group<'a> {
    pub(super) id: ColumnId,
    pub(super) expr: &'a Expr<'a>,
    /// The item of the select list that it is; nothing where it is none, and where there are no grouping sets.
    pub(super) item: Option<u32>,
}

/// What a select is grouped by.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Groups<'a> {
    pub(super) list: &'a [Group<'a>],
    /// Positions of groups, where there is more than the one set of all.
    pub(super) sets: Option<&'a [&'a [u32]]>,
}

impl<'a> Binder<'_, 'a, '_> {
    /// The groups, and the grouping sets.
    pub(super) fn bind_group_by<'q: 'a>(&mut self, select: Select<'q>) -> Result<Groups<'a>, Error<'a>> {
        let mut groups = Listed { list: Vec::new_in(self.arena), has_sets: false };
        groups.has_sets = select.group_by().any(|grouping| matches!(grouping, GroupingView::Set(_)));
        let mut sets: Vec<'a, &'a [u32]> = Vec::new_in(self.arena);
        sets.push(&[])?;
        for grouping in select.group_by() {
            let choices = self.bind_grouping(grouping, &mut groups)?;
            // Elements are multiplied with each other.
            let mut product: Vec<'a, &'a [u32]> = Vec::new_in(self.arena);
            for set in &sets {
                for choice in choices {
                    if product.len() == SETS_MAX {
                        let (expected, found) = (SETS_MAX as u64, SETS_MAX as u64 + 1);
                        let (problem, span) = (CountProblem::Columns, grouping_span(grouping));
                        return Err(Error::Count { problem, name: "", expected, found, span });
                    }
                    product.push(union_of(set, choice, self.arena)?)?;
                }
            }
            sets = product;
        }
        if select.groups_distinct() {
            let mut kept: Vec<'a, &'a [u32]> = Vec::new_in(self.arena);
            for set in &sets {
                if !kept.iter().any(|known| is_same_set(known, set)) {
                    kept.push(set)?;
                }
            }
            sets = kept;
        }
        let sets = groups.has_sets.then(|| &*sets.into_slice());
        Ok(Groups { list: groups.list.into_slice(), sets })
    }

    /// The sets that an element of GROUP BY stands for.
    fn bind_grouping<'q: 'a>(
        &mut self,
        grouping: GroupingView<'q>,
        groups: &mut Listed<'a>,
    ) -> Result<&'a [&'a [u32]], Error<'a>> {
        let set = match grouping {
            GroupingView::Expr(expr) => {
                let set = self.bind_group_list(expr, groups)?;
                return Ok(self.arena.alloc_slice_copy(&[set])?);
            }
            GroupingView::Set(set) => set,
        };
        let mut sets: Vec<'a, &'a [u32]> = Vec::new_in(self.arena);
        match set.kind() {
            GroupingKind::Empty => sets.push(&[])?,
            GroupingKind::Sets => return self.bind_sets(set, groups),
            kind => {
                let mut parts: Vec<'a, &'a [u32]> = Vec::new_in(self.arena);
                for element in set.elements() {
                    match element {
                        GroupingView::Expr(expr) => parts.push(self.bind_group_list(expr, groups)?)?,
                        GroupingView::Set(inner) => {
                            let what = "a grouping set in ROLLUP or CUBE";
                            return Err(Error::NotSupported { what, span: inner.span() });
                        }
                    }
                }
                if kind == GroupingKind::Rollup {
                    for count in (0..=parts.len()).rev() {
                        sets.push(self.merged(parts[..count].iter().copied())?)?;
                    }
                } else {
                    if parts.len() > 12 {
                        let (expected, found) = (12, parts.len() as u64);
                        let (problem, span) = (CountProblem::Columns, set.span());
                        return Err(Error::Count { problem, name: "", expected, found, span });
                    }
                    for mask in (0..1u32 << parts.len()).rev() {
                        let last = parts.len() - 1;
                        let chosen =
                            parts.iter().enumerate().filter(|(index, _)| mask >> (last - index) & 1 == 1);
                        sets.push(self.merged(chosen.map(|(_, part)| *part))?)?;
                    }
                }
            }
        }
        Ok(sets.into_slice())
    }

    /// `GROUPING SETS (…)`, which may nest: an explicit stack holds what is open.
    fn bind_sets<'q: 'a>(
        &mut self,
        set: GroupingSet<'q>,
        groups: &mut Listed<'a>,
    ) -> Result<&'a [&'a [u32]], Error<'a>> {
        let mut sets: Vec<'a, &'a [u32]> = Vec::new_in(self.arena);
        let mut open: Vec<'a, GroupingView<'q>> = Vec::new_in(self.arena);
        open.extend(set.elements())?;
        open.reverse();
        while let Some(element) = open.pop() {
            match element {
                GroupingView::Set(inner) if inner.kind() == GroupingKind::Sets => {
                    let first = open.len();
                    open.extend(inner.elements())?;
                    open[first..].reverse();
                }
                element => sets.extend_from_slice(self.bind_grouping(element, groups)?)?,
            }
        }
        Ok(sets.into_slice())
    }

    fn merged(&self, parts: impl Iterator<Item = &'a [u32]>) -> Result<&'a [u32], Error<'a>> {
        let mut all: &'a [u32] = &[];
        for part in parts {
            all = union_of(all, part, self.arena)?;
        }
        Ok(all)
    }

    /// An expression of GROUP BY, or several in parentheses: positions among the groups.
    fn bind_group_list<'q: 'a>(
        &mut self,
        expr: ExprView<'q>,
        groups: &mut Listed<'a>,
    ) -> Result<&'a [u32], Error<'a>> {
        let mut list: Vec<'a, u32> = Vec::new_in(self.arena);
        match expr {
            ExprView::Row(row) => {
                for element in row.elements() {
                    list.push(self.bind_group(element, groups)?)?;
                }
            }
            expr => list.push(self.bind_group(expr, groups)?)?,
        }
        Ok(list.into_slice())
    }

    /// A column of FROM before an alias of the select list, a position in it, or any expression.
    fn bind_group<'q: 'a>(&mut self, expr: ExprView<'q>, groups: &mut Listed<'a>) -> Result<u32, Error<'a>> {
        let span = expr.span();
        let by_output = match expr {
            ExprView::Column(column)
                if column.table().is_none() && !self.block().scope.has_column(column.name()) =>
            {
                self.item_by_name(column.name(), "GROUP BY", span)?
            }
            _ => position_of(expr, self.block().items.len(), "GROUP BY")?.map(|index| index as u32),
        };
        let group = match by_output {
            Some(index) => {
                let item = self.settle_item(index as usize)?;
                self.refuse_calls(item, "GROUP BY", span)?;
                item
            }
            None => {
                let bound = self.bind_expr(&Place::of_rows("GROUP BY", self.visible()), expr)?;
                self.build().settle(bound)?
            }
        };
        let item = match (groups.has_sets, by_output) {
            (false, _) => None,
            (true, Some(index)) => Some(index),
            (true, None) => self.item_same_as(group)?,
        };
        for (index, known) in groups.list.iter().enumerate() {
            if known.item == item && same(known.expr, group, self.arena)? {
                return Ok(index as u32);
            }
        }
        let id = match group.kind {
            ExprKind::Column(id) if !self.is_outer(id) => id,
            _ => self.plan.column("", group.ty)?,
        };
        // What a query in it makes is made of rows.
        let block = self.blocks.last_mut().expect("a select is being bound");
        for_each_column(group, self.arena, |id| {
            let pending = block.pending.iter_mut().find(|pending| pending.mark == id);
            pending.into_iter().for_each(|pending| pending.stage = Stage::Rows);
            Ok(())
        })?;
        groups.list.push(Group { id, expr: group, item })?;
        Ok(groups.list.len() as u32 - 1)
    }

    /// The first item of the select list that computes the same.
    fn item_same_as(&self, expr: &'a Expr<'a>) -> Result<Option<u32>, Error<'a>> {
        for (index, item) in self.block().items.iter().enumerate() {
            if same(item.expr, expr, self.arena)? {
                return Ok(Some(index as u32));
            }
        }
        Ok(None)
    }

    /// Aggregates and window functions may not stand in a clause that is computed before them.
    fn refuse_calls(&self, expr: &'a Expr<'a>, clause: &'static str, span: Span) -> Result<(), Error<'a>> {
        let mut found = Ok(());
        for_each_column(expr, self.arena, |id| {
            let block = self.block();
            if block.aggregates.iter().any(|aggregate| aggregate.id == id) {
                found = Err(Error::MisplacedAggregate { place: AggregatePlace::Clause(clause), span });
            }
            if block.windows.iter().any(|window| window.id == id) {
                found = Err(Error::Call { problem: CallProblem::MisplacedWindow, name: clause, span });
            }
            Ok(())
        })?;
        found
    }
}

/// The groups that were found up to now.
struct Listed<'a> {
    list: Vec<'a, Group<'a>>,
    /// Whether there are grouping sets anywhere in the clause.
    has_sets: bool,
}

fn grouping_span(grouping: GroupingView<'_>) -> Span {
    match grouping {
        GroupingView::Expr(expr) => expr.span(),
        GroupingView::Set(set) => set.span(),
    }
}

/// The groups of either set, those of the first in front.
fn union_of<'a>(a: &'a [u32], b: &'a [u32], arena: &'a Arena) -> Result<&'a [u32], Error<'a>> {
    if b.iter().all(|group| a.contains(group)) {
        return Ok(a);
    }
    let mut union = Vec::with_capacity_in(a.len() + b.len(), arena)?;
    union.extend_from_slice(a)?;
    for group in b {
        if !union.contains(group) {
            union.push(*group)?;
        }
    }
    Ok(union.into_slice())
}

fn is_same_set(a: &[u32], b: &[u32]) -> bool {
    a.len() == b.len() && a.iter().all(|group| b.contains(group))
}
