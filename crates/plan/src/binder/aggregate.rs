//! Aggregates and groups.
//!
//! While a select is bound, its expressions stand over the columns of FROM, positions `0..n`, and the k-th aggregate is
//! the column `n + k`. When all clauses are bound, every expression that is computed after grouping is rewritten to
//! stand over the output of the grouping: the groups first, then the aggregates.
//!
//! ```text
//! SELECT a + 1, sum(b) FROM t GROUP BY a + 1        bound:      (#0 + 1), #2         groups: (#0 + 1)   aggregates: sum(#1)
//!   #0 = a, #1 = b, #2 = first aggregate            rewritten:  #0,       #1
//! ```

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_sql::views::{Call, CallForm};
use cofferdam_types::{self as types, Type};

use super::build::Builder;
use super::scope::Scope;
use crate::Span;
use crate::error::Error;
use crate::expr::same::{Fingerprint, same};
use crate::expr::walk::PostOrder;
use crate::expr::{Expr, ExprKind};
use crate::physical::{Aggregate, AggregateFunction};

/// The aggregates of one select; equal ones are computed once.
#[derive(Debug)]
pub(super) struct Aggregates<'a> {
    pub(super) list: Vec<'a, Aggregate<'a>>,
    /// Of the arguments.
    fingerprints: Vec<'a, Option<Fingerprint>>,
}

/// Which aggregate a call has become.
#[derive(Clone, Copy, Debug)]
pub(super) struct AggregateRef {
    pub(super) index: u32,
    pub(super) ty: Type,
}

impl<'a> Aggregates<'a> {
    pub(super) fn new_in(arena: &'a Arena) -> Aggregates<'a> {
        Aggregates { list: Vec::new_in(arena), fingerprints: Vec::new_in(arena) }
    }

    /// The aggregate function that a call names, if it names one.
    pub(super) fn function(call: Call<'_>) -> Option<AggregateFunction> {
        let schema = call.schema().is_none_or(|schema| schema == "pg_catalog");
        if call.form() != CallForm::Plain || !schema {
            return None;
        }
        Some(match call.name() {
            "count" if call.is_star() => AggregateFunction::CountRows,
            "count" => AggregateFunction::Count,
            "sum" => AggregateFunction::Sum,
            "avg" => AggregateFunction::Avg,
            "min" => AggregateFunction::Min,
            "max" => AggregateFunction::Max,
            _ => return None,
        })
    }

    /// Takes in a call of `function` with its bound arguments.
    pub(super) fn add<'q: 'a>(
        &mut self,
        build: Builder<'a>,
        call: Call<'q>,
        function: AggregateFunction,
        args: &[&'a Expr<'a>],
    ) -> Result<AggregateRef, Error<'a>> {
        let span = call.span();
        let undefined = |args: &[&'a Expr<'a>]| super::functions::undefined(build, call.name(), args, span);
        let (args, ty): (&'a [&'a Expr<'a>], Type) = match (function, args) {
            (AggregateFunction::CountRows, []) => (&[], Type::BigInt),
            (AggregateFunction::CountRows, _) | (_, [] | [_, _, ..]) => return Err(undefined(args)),
            (_, [argument]) => {
                let argument = build.settle_for(argument, function)?;
                let ty = Type::aggregate(type_rule(function), argument.ty).map_err(|_| undefined(args))?;
                (build.arena.alloc_slice_copy(&[argument])?, ty)
            }
        };
        // A least or greatest value is the same with and without DISTINCT.
        let distinct = call.is_distinct()
            && matches!(function, AggregateFunction::Count | AggregateFunction::Sum | AggregateFunction::Avg);
        let (filter, order_by) = (None, &[][..]);
        let aggregate = Aggregate { function, args, distinct, filter, order_by, ty, span };
        Ok(AggregateRef { index: self.intern(aggregate, build.arena)?, ty })
    }

    fn intern(&mut self, wanted: Aggregate<'a>, arena: &Arena) -> Result<u32, Error<'a>> {
        let fingerprint =
            wanted.args.first().map(|argument| Fingerprint::of_tree(argument, arena)).transpose()?;
        for (index, known) in self.list.iter().enumerate() {
            let is_other = known.function != wanted.function || known.distinct != wanted.distinct;
            if is_other || self.fingerprints[index] != fingerprint {
                continue;
            }
            let equal = match (known.args, wanted.args) {
                ([a], [b]) => same(a, b, arena)?,
                (a, b) => a.is_empty() && b.is_empty(),
            };
            if equal {
                return Ok(index as u32);
            }
        }
        self.list.push(wanted)?;
        self.fingerprints.push(fingerprint)?;
        Ok(self.list.len() as u32 - 1)
    }
}

/// The function in the words of `types`.
fn type_rule(function: AggregateFunction) -> types::Aggregate {
    match function {
        AggregateFunction::Sum => types::Aggregate::Sum,
        AggregateFunction::Avg => types::Aggregate::Avg,
        AggregateFunction::Min => types::Aggregate::Min,
        AggregateFunction::Max => types::Aggregate::Max,
        _ => types::Aggregate::Count,
    }
}

/// Rewrites expressions over the columns of FROM to expressions over the output of a grouping.
#[derive(Debug)]
pub(super) struct Grouping<'b, 'a> {
    scope: &'b Scope<'b, 'a>,
    groups: &'b [&'a Expr<'a>],
    fingerprints: Vec<'a, Fingerprint>,
    arena: &'a Arena,
}

/// A rewritten subexpression.
#[derive(Clone, Copy)]
struct Rewritten<'a> {
    expr: &'a Expr<'a>,
    /// Of the original.
    fingerprint: Fingerprint,
    /// A column in it that is not grouped by: its position and place.
    ungrouped: Option<(u32, Span)>,
}

impl<'b, 'a> Grouping<'b, 'a> {
    pub(super) fn new(
        scope: &'b Scope<'b, 'a>,
        groups: &'b [&'a Expr<'a>],
        arena: &'a Arena,
    ) -> Result<Grouping<'b, 'a>, Error<'a>> {
        let mut fingerprints = Vec::with_capacity_in(groups.len(), arena)?;
        for group in groups {
            fingerprints.push(Fingerprint::of_tree(group, arena)?)?;
        }
        Ok(Grouping { scope, groups, fingerprints, arena })
    }

    /// The expression over groups and aggregates.
    ///
    /// # Errors
    /// 42803 when it uses a column that is neither.
    pub(super) fn rewrite(&self, root: &'a Expr<'a>) -> Result<&'a Expr<'a>, Error<'a>> {
        let scratch = Arena::new(self.arena.budget());
        let mut walk = PostOrder::new_in(root, &scratch)?;
        let mut done: Vec<'_, Rewritten<'a>> = Vec::new_in(&scratch);
        let mut children: Vec<'_, &'a Expr<'a>> = Vec::new_in(&scratch);
        while let Some(original) = walk.next()? {
            let first = done.len() - original.child_count();
            children.clear();
            for child in &done[first..] {
                children.push(child.expr)?;
            }
            let fingerprint = Fingerprint::of(original, done[first..].iter().map(|child| child.fingerprint));
            let ungrouped = done[first..].iter().find_map(|child| child.ungrouped);
            done.truncate(first);
            done.push(self.rewrite_node(original, fingerprint, ungrouped, &children)?)?;
        }
        let root = done.pop().expect("the root is rewritten last");
        match root.ungrouped {
            Some((position, span)) => Err(self.ungrouped(position, span)),
            None => Ok(root.expr),
        }
    }

    fn rewrite_node(
        &self,
        original: &'a Expr<'a>,
        fingerprint: Fingerprint,
        ungrouped: Option<(u32, Span)>,
        children: &[&'a Expr<'a>],
    ) -> Result<Rewritten<'a>, Error<'a>> {
        let build = Builder { arena: self.arena };
        if let Some(index) = self.group_of(original, fingerprint)? {
            let expr = build.column(index, original.ty, original.span)?;
            return Ok(Rewritten { expr, fingerprint, ungrouped: None });
        }
        let inputs_count = self.scope.columns_count();
        let (expr, ungrouped) = match original.kind {
            ExprKind::Column(position) if position >= inputs_count => {
                let position = position - inputs_count + self.groups.len() as u32;
                (build.column(position, original.ty, original.span)?, None)
            }
            ExprKind::Column(position) => (original, Some((position, original.span))),
            ExprKind::Literal(_) => (original, None),
            _ => (original.with_children(children, self.arena)?, ungrouped),
        };
        Ok(Rewritten { expr, fingerprint, ungrouped })
    }

    /// The group that computes the same.
    fn group_of(&self, expr: &'a Expr<'a>, fingerprint: Fingerprint) -> Result<Option<u32>, Error<'a>> {
        for (index, (group, print)) in self.groups.iter().zip(&self.fingerprints[..]).enumerate() {
            if *print == fingerprint && same(group, expr, self.arena)? {
                return Ok(Some(index as u32));
            }
        }
        Ok(None)
    }

    fn ungrouped(&self, position: u32, span: Span) -> Error<'a> {
        let column = self.scope.columns[position as usize];
        let table = self.scope.relations[column.relation as usize].alias;
        Error::Ungrouped { name: column.name, table, span }
    }
}
