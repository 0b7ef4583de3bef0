//! Aggregates and groups.
//!
//! While a select is bound, a call of an aggregate becomes a column of the plan, and the select keeps the list of these.
//! When all clauses are bound, every expression that is computed after grouping is rewritten: what computes the same as a
//! group becomes that group's column.
//!
//! ```text
//! SELECT a + 1, sum(b) FROM t GROUP BY a + 1        a #0, b #1        groups: #3 = #0 + 1     aggregates: #2 = sum(#1)
//!   bound: (#0 + 1), #2          rewritten: #3, #2
//! ```
//!
//! A group that is a plain column keeps the column's number, so queries in expressions may read it as they stand.

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_sql::views::{Call, CallForm, SortKey};
use cofferdam_types::{Type, Value};

use super::expression::{Allows, Place};
use super::group_by::Group;
use super::{Binder, functions};
use crate::Span;
use crate::error::{AggregatePlace, CallProblem, Error};
use crate::expr::same::{Fingerprint, same};
use crate::expr::walk::PostOrder;
use crate::expr::{BinaryOp, Expr, ExprKind, Function, UnaryOp};
use crate::logical::{ColumnId, NamedAggregate, for_each_column};
use crate::physical::{Aggregate, AggregateFunction, AggregateKey};

/// Whether a call names an aggregate.
pub(super) fn aggregate_named(call: Call<'_>) -> bool {
    function_named(call).is_some()
}

/// The aggregate that a call names, and whether it takes the rows of an ordered set.
fn function_named(call: Call<'_>) -> Option<(AggregateFunction, bool)> {
    let schema = call.schema().is_none_or(|schema| schema == "pg_catalog");
    if call.form() != CallForm::Plain || !schema {
        return None;
    }
    use AggregateFunction as F;
    Some((
        match call.name() {
            "count" if call.is_star() => F::CountRows,
            "count" => F::Count,
            "sum" => F::Sum,
            "avg" => F::Avg,
            "min" => F::Min,
            "max" => F::Max,
            "bool_and" | "every" => F::BoolAnd,
            "bool_or" => F::BoolOr,
            "bit_and" => F::BitAnd,
            "bit_or" => F::BitOr,
            "bit_xor" => F::BitXor,
            "any_value" => F::AnyValue,
            "string_agg" => F::StringAgg,
            "array_agg" => F::ArrayAgg,
            "json_agg" | "jsonb_agg" => F::JsonAgg,
            "json_object_agg" | "jsonb_object_agg" => F::JsonObjectAgg,
            "var_pop" => F::VarPop,
            "var_samp" | "variance" => F::VarSamp,
            "stddev_pop" => F::StddevPop,
            "stddev_samp" | "stddev" => F::StddevSamp,
            "corr" => F::Corr,
            "covar_pop" => F::CovarPop,
            "covar_samp" => F::CovarSamp,
            "regr_avgx" => F::RegrAvgX,
            "regr_avgy" => F::RegrAvgY,
            "regr_count" => F::RegrCount,
            "regr_intercept" => F::RegrIntercept,
            "regr_r2" => F::RegrR2,
            "regr_slope" => F::RegrSlope,
            "regr_sxx" => F::RegrSxx,
            "regr_sxy" => F::RegrSxy,
            "regr_syy" => F::RegrSyy,
            "percentile_cont" => return Some((F::PercentileCont, true)),
            "percentile_disc" => return Some((F::PercentileDisc, true)),
            "mode" => return Some((F::Mode, true)),
            _ => return None,
        },
        false,
    ))
}

impl<'a> Binder<'_, 'a, '_> {
    /// A call of an aggregate: the column that it becomes, of the select whose columns it reads.
    pub(super) fn aggregate_call<'q: 'a>(
        &mut self,
        call: Call<'q>,
        args: &'a [&'a Expr<'a>],
        place: &Place,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let aggregate = self.aggregate_of(call, args, place)?;
        self.aggregate_column(aggregate, place, call.span())
    }

    /// The column that an aggregate becomes.
    fn aggregate_column(
        &mut self,
        aggregate: Aggregate<'a>,
        place: &Place,
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let level = self.level_of(&aggregate)?;
        let innermost = self.blocks.len() - 1;
        if level == innermost && !place.allows.aggregates {
            return Err(self.refuse_aggregate(place, span));
        }
        let mut nested = None;
        aggregate.for_each_expr(|expr| {
            for_each_column(expr, self.arena, |id| {
                let block = &self.blocks[level];
                if let Some(inner) = block.aggregates.iter().find(|known| known.id == id) {
                    let (place, span) = (AggregatePlace::Aggregate, inner.aggregate.span);
                    nested = nested.or(Some(Error::MisplacedAggregate { place, span }));
                }
                if block.windows.iter().any(|known| known.id == id) {
                    let (problem, name) = (CallProblem::WindowInAggregate, "");
                    nested = nested.or(Some(Error::Call { problem, name, span }));
                }
                Ok(())
            })
        })?;
        if let Some(error) = nested {
            return Err(error);
        }
        let id = self.intern(aggregate, level)?;
        Ok(self.build().column(id, aggregate.ty, span)?)
    }

    /// `rank(a, …) WITHIN GROUP (ORDER BY k, …)` and its like: where a row of the arguments would stand among those of the group. They are
    /// counts of the rows that come before it, and of those that come with it.
    ///
    /// # Errors
    /// 42883 for other arguments than keys, 42803 for an aggregate among them.
    pub(super) fn hypothetical_call<'q: 'a>(
        &mut self,
        call: Call<'q>,
        args: &'a [&'a Expr<'a>],
        place: &Place,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let (build, span, name) = (self.build(), call.span(), call.name());
        let known = matches!(name, "rank" | "dense_rank" | "percent_rank" | "cume_dist");
        if !known {
            return Err(Error::Call { problem: CallProblem::NoOrderedSet, name, span });
        }
        let inner = Place {
            allows: Allows { queries: place.allows.queries, ..Allows::default() },
            clause: "an aggregate's clause",
            ..place.clone()
        };
        let mut keys: Vec<'a, AggregateKey<'a>> = Vec::new_in(self.arena);
        for key in call.within_group().into_iter().flat_map(|group| group.order()) {
            keys.push(self.aggregate_key(key, &inner)?)?;
        }
        if keys.len() != args.len() || keys.is_empty() {
            return Err(functions::undefined(build, name, args, span));
        }
        let own = match call.filter().and_then(|filter| filter.condition()) {
            Some(condition) => {
                let condition = self.bind_expr(&inner, condition)?;
                Some(build.coerce(condition, Type::Boolean, "FILTER")?)
            }
            None => None,
        };
        let no = build.literal(Value::Boolean(false), Type::Boolean, span)?;
        let (mut before, mut same): (Option<&'a Expr<'a>>, Option<&'a Expr<'a>>) = (None, None);
        let mut fields: Vec<'a, (&'a str, &'a Expr<'a>)> = Vec::new_in(self.arena);
        for (key, arg) in keys.iter().zip(args).rev() {
            let ty = build.common_type([key.expr, *arg].into_iter(), "WITHIN GROUP")?;
            let (value, arg) = (build.cast(key.expr, ty, span)?, build.cast(arg, ty, span)?);
            let op = if key.descending { BinaryOp::Greater } else { BinaryOp::Less };
            let smaller = build.compare(op, value, arg, span)?;
            let smaller = build.call(Function::Coalesce, &[smaller, no], Type::Boolean, span)?;
            let (null, other) = if key.nulls_first { (value, arg) } else { (arg, value) };
            let null = build.is(UnaryOp::IsNull, null, None, span)?;
            let other = build.is(UnaryOp::IsNotNull, other, None, span)?;
            let apart = build.junction(BinaryOp::And, &[null, other], span)?;
            let smaller = build.junction(BinaryOp::Or, &[smaller, apart], span)?;
            let equal = build.compare(BinaryOp::IsNotDistinctFrom, value, arg, span)?;
            before = Some(match before {
                Some(rest) => {
                    let tied = build.junction(BinaryOp::And, &[equal, rest], span)?;
                    build.junction(BinaryOp::Or, &[smaller, tied], span)?
                }
                None => smaller,
            });
            same = Some(match same {
                Some(rest) => build.junction(BinaryOp::And, &[equal, rest], span)?,
                None => equal,
            });
            let value = match value.ty {
                Type::Numeric => functions::by_table(build, "trim_scale", &[value], span)?,
                _ => value,
            };
            fields.push(("", value))?;
        }
        let (Some(before), Some(same)) = (before, same) else {
            return Err(functions::undefined(build, name, args, span));
        };
        let whole = self.text_of_fields(&fields, span)?;
        let mut count = |condition: Option<&'a Expr<'a>>, of: Option<&'a Expr<'a>>| {
            let filter = match (own, condition) {
                (Some(own), Some(condition)) => {
                    Some(build.junction(BinaryOp::And, &[own, condition], span)?)
                }
                (own, condition) => own.or(condition),
            };
            let (function, args) = match of {
                Some(of) => (AggregateFunction::Count, &*self.arena.alloc_slice_copy(&[of])?),
                None => (AggregateFunction::CountRows, &[][..]),
            };
            let (distinct, order_by, ty) = (of.is_some(), &[][..], Type::BigInt);
            let aggregate = Aggregate { function, args, distinct, filter, order_by, ty, span };
            self.aggregate_column(aggregate, place, span)
        };
        let one = build.literal(Value::BigInt(1), Type::BigInt, span)?;
        let sum = |a, b| build.arithmetic(BinaryOp::Add, a, b, span);
        let ratio = |a: &'a Expr<'a>, b: &'a Expr<'a>| {
            let (a, b) = (build.cast(a, Type::Double, span)?, build.cast(b, Type::Double, span)?);
            build.arithmetic(BinaryOp::Divide, a, b, span)
        };
        match name {
            "rank" => sum(count(Some(before), None)?, one),
            "dense_rank" => {
                let earlier = count(Some(before), Some(whole))?;
                sum(earlier, one)
            }
            "cume_dist" => {
                let upto = build.junction(BinaryOp::Or, &[before, same], span)?;
                ratio(sum(count(Some(upto), None)?, one)?, sum(count(None, None)?, one)?)
            }
            _ => {
                let (earlier, all) = (count(Some(before), None)?, count(None, None)?);
                let zero = build.literal(Value::BigInt(0), Type::BigInt, span)?;
                let none = build.compare(BinaryOp::Equal, all, zero, span)?;
                let nothing = build.literal(Value::Double(0.0), Type::Double, span)?;
                build.case(&[none, nothing, ratio(earlier, all)?], false, span)
            }
        }
    }

    /// The aggregate that a call is, with its clauses.
    pub(super) fn aggregate_of<'q: 'a>(
        &mut self,
        call: Call<'q>,
        args: &'a [&'a Expr<'a>],
        place: &Place,
    ) -> Result<Aggregate<'a>, Error<'a>> {
        let (span, name) = (call.span(), call.name());
        let Some((function, is_ordered_set)) = function_named(call) else {
            let problem = CallProblem::NoWindowFunction;
            return Err(Error::Call { problem, name, span });
        };
        if function == AggregateFunction::Count && args.is_empty() {
            let message = "count(*) must be used to call a parameterless aggregate function";
            return Err(Error::Source { sqlstate: "42809", message, span });
        }
        let inner = Place {
            allows: Allows { queries: place.allows.queries, ..Allows::default() },
            clause: "an aggregate's clause",
            ..place.clone()
        };
        let mut order_by: Vec<'a, AggregateKey<'a>> = Vec::new_in(self.arena);
        match (call.within_group(), is_ordered_set) {
            (None, true) => return Err(Error::Call { problem: CallProblem::NeedsWithinGroup, name, span }),
            (Some(_), false) => return Err(Error::Call { problem: CallProblem::NoOrderedSet, name, span }),
            (Some(group), true) => {
                for key in group.order() {
                    order_by.push(self.aggregate_key(key, &inner)?)?;
                }
            }
            (None, false) => {
                for key in call.order_by() {
                    order_by.push(self.aggregate_key(key, &inner)?)?;
                }
            }
        }
        let filter = match call.filter().and_then(|filter| filter.condition()) {
            Some(condition) => {
                let condition = self.bind_expr(&inner, condition)?;
                Some(self.build().coerce(condition, Type::Boolean, "FILTER")?)
            }
            None => None,
        };
        let resolved =
            functions::aggregate(self.build(), name, is_ordered_set, args, order_by.into_slice(), span)?;
        let functions::ResolvedAggregate { args, order_by, ty } = resolved;
        let mut distinct = call.is_distinct();
        if distinct && !is_ordered_set {
            for key in order_by {
                let mut found = false;
                for arg in args {
                    found |= same(arg, key.expr, self.arena)?;
                }
                if !found {
                    return Err(Error::Call {
                        problem: CallProblem::DistinctOrder,
                        name,
                        span: key.expr.span,
                    });
                }
            }
        }
        use AggregateFunction as F;
        // For these it is the same whether equal arguments count once.
        distinct &= !matches!(function, F::Min | F::Max | F::BoolAnd | F::BoolOr | F::BitAnd | F::BitOr);
        // And for these it is the same in which order they are taken.
        let is_ordered = is_ordered_set
            || matches!(
                function,
                F::StringAgg | F::ArrayAgg | F::JsonAgg | F::JsonAggRows | F::JsonObjectAgg | F::AnyValue
            );
        let order_by = if is_ordered { order_by } else { &[] };
        let function = match function {
            F::JsonAgg if name == "json_agg" && self.is_of_row(call, place) => F::JsonAggRows,
            function => function,
        };
        Ok(Aggregate { function, args, distinct, filter, order_by, ty, span })
    }

    fn aggregate_key<'q: 'a>(
        &mut self,
        key: SortKey<'q>,
        place: &Place,
    ) -> Result<AggregateKey<'a>, Error<'a>> {
        if key.operator().is_some() {
            return Err(Error::NotSupported { what: "USING in ORDER BY", span: key.span() });
        }
        let expr = self.bind_expr(place, key.expr())?;
        let expr = self.build().settle(expr)?;
        Ok(AggregateKey { expr, descending: key.is_descending(), nulls_first: key.nulls_first() })
    }

    /// The select whose aggregate it is: the innermost one of which it reads a column, in a query in it too; the innermost of all if it
    /// reads none.
    fn level_of(&self, aggregate: &Aggregate<'a>) -> Result<usize, Error<'a>> {
        let innermost = self.blocks.len() - 1;
        let owner = |id| self.blocks.iter().rposition(|block| block.makes(id));
        let (mut level, mut query) = (None, None);
        aggregate.for_each_expr(|expr| {
            for_each_column(expr, self.arena, |id| {
                level = level.max(owner(id));
                let Some(pending) = self.block().pending.iter().find(|pending| pending.mark == id) else {
                    return Ok(());
                };
                query = Some(pending.span);
                let mut read = |id| {
                    level = level.max(owner(id));
                    Ok(())
                };
                for conjunct in pending.conjuncts {
                    for_each_column(conjunct, self.scratch, &mut read)?;
                }
                for node in self.plan.post_order(pending.node, self.scratch)?.iter() {
                    self.plan.kind(*node).for_each_read(self.scratch, &mut read)?;
                }
                Ok(())
            })
        })?;
        match (level.unwrap_or(innermost), query) {
            // The query is joined to the select that it stands in.
            (level, Some(span)) if level < innermost => {
                let what = "a query in an aggregate of an outer query";
                Err(Error::NotSupported { what, span })
            }
            (level, _) => Ok(level),
        }
    }

    /// The column of an aggregate of a select; equal ones are computed once.
    fn intern(&mut self, wanted: Aggregate<'a>, level: usize) -> Result<ColumnId, Error<'a>> {
        for index in 0..self.blocks[level].aggregates.len() {
            let known = self.blocks[level].aggregates[index];
            if same_aggregate(&known.aggregate, &wanted, self.arena)? {
                return Ok(known.id);
            }
        }
        let id = self.plan.column("", wanted.ty)?;
        self.blocks[level].aggregates.push(NamedAggregate { id, aggregate: wanted })?;
        Ok(id)
    }

    /// `GROUPING (…)`: resolved when the groups are known.
    pub(super) fn grouping_call(
        &mut self,
        args: &'a [&'a Expr<'a>],
        place: &Place,
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        if !place.allows.aggregates {
            return Err(Error::Call { problem: CallProblem::MisplacedGrouping, name: place.clause, span });
        }
        let (function, ty) = (AggregateFunction::Grouping, Type::Integer);
        let aggregate = Aggregate { function, args, distinct: false, filter: None, order_by: &[], ty, span };
        let id = self.intern(aggregate, self.blocks.len() - 1)?;
        Ok(self.build().column(id, ty, span)?)
    }
}

fn same_aggregate<'a>(a: &Aggregate<'a>, b: &Aggregate<'a>, arena: &Arena) -> Result<bool, Error<'a>> {
    let is_other = a.function != b.function
        || a.distinct != b.distinct
        || a.ty != b.ty
        || a.args.len() != b.args.len()
        || a.order_by.len() != b.order_by.len()
        || a.filter.is_some() != b.filter.is_some();
    if is_other {
        return Ok(false);
    }
    let orders = a.order_by.iter().zip(b.order_by);
    if orders.clone().any(|(a, b)| (a.descending, a.nulls_first) != (b.descending, b.nulls_first)) {
        return Ok(false);
    }
    let pairs = a.args.iter().copied().zip(b.args.iter().copied());
    let pairs = pairs.chain(a.filter.into_iter().zip(b.filter));
    for (a, b) in pairs.chain(orders.map(|(a, b)| (a.expr, b.expr))) {
        if !same(a, b, arena)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Rewrites expressions over the rows of FROM to expressions over groups.
pub(super) struct Grouping<'b, 'a> {
    groups: &'b [Group<'a>],
    fingerprints: Vec<'a, Fingerprint>,
    arena: &'a Arena,
}

/// A rewritten subexpression.
#[derive(Clone, Copy)]
struct Rewritten<'a> {
    expr: &'a Expr<'a>,
    /// Of the original.
    fingerprint: Fingerprint,
    /// A column in it that is not grouped by, and its place.
    ungrouped: Option<(ColumnId, Span)>,
}

impl<'b, 'a> Grouping<'b, 'a> {
    pub(super) fn new(groups: &'b [Group<'a>], arena: &'a Arena) -> Result<Grouping<'b, 'a>, Error<'a>> {
        let mut fingerprints = Vec::with_capacity_in(groups.len(), arena)?;
        for group in groups {
            fingerprints.push(Fingerprint::of_tree(group.expr, arena)?)?;
        }
        Ok(Grouping { groups, fingerprints, arena })
    }

    /// The expression over groups; or the first column in it that `is_row` says is one of a row, and that is no group.
    pub(super) fn rewrite(
        &self,
        root: &'a Expr<'a>,
        is_row: &dyn Fn(ColumnId) -> bool,
    ) -> Result<Result<&'a Expr<'a>, (ColumnId, Span)>, Error<'a>> {
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
            let (expr, ungrouped) = match (self.group_of(original, fingerprint)?, original.kind) {
                (Some(id), _) => {
                    let kind = ExprKind::Column(id);
                    (&*self.arena.alloc(Expr { kind, ty: original.ty, span: original.span })?, None)
                }
                (None, ExprKind::Column(id)) if is_row(id) => (original, Some((id, original.span))),
                (None, ExprKind::Column(_) | ExprKind::Literal(_) | ExprKind::Parameter(_)) => {
                    (original, None)
                }
                _ => (original.with_children(&children, self.arena)?, ungrouped),
            };
            done.push(Rewritten { expr, fingerprint, ungrouped })?;
        }
        let root = done.pop().expect("the root is rewritten last");
        Ok(root.ungrouped.map_or(Ok(root.expr), Err))
    }

    /// The group that computes the same; of several the one that comes first in the select list.
    fn group_of(&self, expr: &'a Expr<'a>, fingerprint: Fingerprint) -> Result<Option<ColumnId>, Error<'a>> {
        // A constant is one everywhere, whatever a set leaves out.
        if expr.is_literal() {
            return Ok(None);
        }
        let mut found: Option<&Group<'a>> = None;
        for (group, print) in self.groups.iter().zip(&self.fingerprints[..]) {
            if *print == fingerprint
                && found.is_none_or(|found| group.item < found.item)
                && same(group.expr, expr, self.arena)?
            {
                found = Some(group);
            }
        }
        Ok(found.map(|group| group.id))
    }

    /// The position of the first group that computes the same.
    pub(super) fn position_of(&self, expr: &'a Expr<'a>) -> Result<Option<u32>, Error<'a>> {
        let print = Fingerprint::of_tree(expr, self.arena)?;
        for (index, group) in self.groups.iter().enumerate() {
            if self.fingerprints[index] == print && same(group.expr, expr, self.arena)? {
                return Ok(Some(index as u32));
            }
        }
        Ok(None)
    }
}
