//! Grouping sets that are made of groups, not of rows.
//!
//! ```text
//! GROUP BY ROLLUP (a, b)
//!
//! HashAggregate (a, b), (a), ()                 Project  a, b, sum / count
//!   avg(v)                                 ->     HashAggregate (a, b), (a), ()
//!   …                                               sum(sum), sum(count)
//!                                                   HashAggregate (a, b)
//!                                                     sum(v), count(v)
//!                                                     …
//! ```
//!
//! A row is looked up once, and then once for each set together with all rows that agree with it in all columns. That pays where groups
//! are much fewer than rows. Only aggregates are made so whose results do not depend on how their rows are parted: no sums of doubles.

use cofferdam_arena::AllocError;
use cofferdam_arena::collections::Vec;
use cofferdam_types::{Type, Value};

use super::estimate;
use super::lower::Lowering;
use crate::expr::{BinaryOp, Column, Expr, ExprKind, Function};
use crate::physical::{Aggregate, AggregateFunction, HashAggregate, OperatorId, OperatorKind};

/// Fewer rows are grouped at once however often that is done.
pub(super) const ROWS_MIN: f64 = 8192.0;
/// So many rows of the finest groups are to be expected at least.
pub(super) const ROWS_PER_GROUP: f64 = 2.0;

/// How an aggregate of rows is made of those of parts of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Combined {
    /// By this function of the parts' results.
    By(AggregateFunction),
    /// By adding the parts' numbers of rows.
    Counts,
    /// By the sum and the number of values.
    Mean,
    /// It is no matter of rows.
    OfSet,
}

impl Combined {
    pub(super) fn of(aggregate: &Aggregate<'_>) -> Option<Combined> {
        use AggregateFunction as F;
        let is_exact = |ty: Type| {
            matches!(ty, Type::SmallInt | Type::Integer | Type::BigInt | Type::Numeric | Type::Decimal { .. })
        };
        if aggregate.distinct || !aggregate.order_by.is_empty() {
            return None;
        }
        match (aggregate.function, aggregate.args) {
            (F::CountRows | F::Count, _) => Some(Combined::Counts),
            (F::Sum, [arg]) if is_exact(arg.ty) && is_exact(aggregate.ty) => Some(Combined::By(F::Sum)),
            // The quotient of numbers without a scale of their own is a function's, not an operator's.
            (F::Avg, [arg]) if is_exact(arg.ty) && matches!(aggregate.ty, Type::Decimal { .. }) => {
                Some(Combined::Mean)
            }
            (F::Min | F::Max | F::BoolAnd | F::BoolOr | F::BitAnd | F::BitOr | F::BitXor, _) => {
                Some(Combined::By(aggregate.function))
            }
            (F::Grouping, _) => Some(Combined::OfSet),
            _ => None,
        }
    }
}

/// What the two steps compute.
pub(super) struct Steps<'s, 'a> {
    /// Over the input.
    pub(super) parts: Vec<'a, Aggregate<'a>>,
    /// Over what is made of the groups of the first step, whose columns begin with `keys_count` keys.
    pub(super) wholes: Vec<'a, Aggregate<'a>>,
    /// Over the groups of the second step.
    pub(super) results: Vec<'a, &'a Expr<'a>>,
    /// Whether these are more than its columns.
    pub(super) are_computed: bool,
    pub(super) part_columns: Vec<'s, Column<'a>>,
    pub(super) whole_columns: Vec<'s, Column<'a>>,
    pub(super) keys_count: usize,
    /// How many keys the second step has.
    pub(super) groups_count: usize,
}

impl<'s, 'a> Steps<'s, 'a> {
    /// Computes a part by a function, and of all parts the whole, each of its type; gives the column that this is in.
    fn add(
        &mut self,
        of: &Aggregate<'a>,
        (part, part_ty): (AggregateFunction, Type),
        (whole, whole_ty): (AggregateFunction, Type),
    ) -> Result<&'a Expr<'a>, AllocError> {
        let arena = self.parts.arena();
        let column = |at: usize, ty| Expr { kind: ExprKind::Column(at as u32), ty, span: of.span };
        let input = &*arena.alloc(column(self.keys_count + self.parts.len(), part_ty))?;
        let result = &*arena.alloc(column(self.groups_count + self.wholes.len(), whole_ty))?;
        self.parts.push(Aggregate { function: part, ty: part_ty, ..*of })?;
        self.part_columns.push(Column { name: "", ty: part_ty })?;
        let args = arena.alloc_slice_copy(&[input])?;
        self.wholes.push(Aggregate { function: whole, args, filter: None, ty: whole_ty, ..*of })?;
        self.whole_columns.push(Column { name: "", ty: whole_ty })?;
        Ok(result)
    }

    pub(super) fn add_aggregate(
        &mut self,
        of: &Aggregate<'a>,
        way: Combined,
        has_empty_set: bool,
    ) -> Result<(), AllocError> {
        let arena = self.parts.arena();
        let expr = |kind, ty| Ok::<_, AllocError>(&*arena.alloc(Expr { kind, ty, span: of.span })?);
        let result = match way {
            Combined::By(function) => self.add(of, (of.function, of.ty), (function, of.ty))?,
            Combined::Counts => {
                let count = self.add(of, (of.function, of.ty), (AggregateFunction::Sum, of.ty))?;
                // A set without columns has a group even of no rows.
                match has_empty_set {
                    true => {
                        self.are_computed = true;
                        let zero = expr(ExprKind::Literal(Value::BigInt(0)), of.ty)?;
                        let args = arena.alloc_slice_copy(&[count, zero])?;
                        expr(ExprKind::Call { function: Function::Coalesce, args }, of.ty)?
                    }
                    false => count,
                }
            }
            Combined::Mean => {
                self.are_computed = true;
                // What the state of a mean divides.
                let sum_ty = match of.args[0].ty {
                    Type::Decimal { scale, .. } => decimal(scale),
                    _ => decimal(0),
                };
                let by = AggregateFunction::Sum;
                let sum = self.add(of, (by, sum_ty), (by, sum_ty))?;
                let count = self.add(of, (AggregateFunction::Count, Type::BigInt), (by, decimal(0)))?;
                expr(ExprKind::Binary { op: BinaryOp::Divide, left: sum, right: count }, of.ty)?
            }
            Combined::OfSet => {
                let at = self.groups_count + self.wholes.len();
                self.wholes.push(*of)?;
                self.whole_columns.push(Column { name: "", ty: of.ty })?;
                expr(ExprKind::Column(at as u32), of.ty)?
            }
        };
        self.results.push(result)
    }
}

/// Exact numbers of a scale, with as many digits as there can be.
fn decimal(scale: u8) -> Type {
    Type::Decimal { precision: Type::DECIMAL_DIGITS_MAX, scale }
}

impl<'s, 'a> Lowering<'_, 's, 'a> {
    /// The operator that gives the columns of `plan`, an aggregate of `rows` rows in `groups_rows` groups of the finest kind, if it is better made in two
    /// steps. Keys and arguments are over the input's columns.
    pub(super) fn sets_of_groups(
        &mut self,
        plan: &HashAggregate<'a>,
        columns: &'a [Column<'a>],
        rows: f64,
        groups_rows: f64,
    ) -> Result<Option<OperatorId>, AllocError> {
        if plan.sets.len() < 2 || rows < ROWS_MIN || groups_rows * ROWS_PER_GROUP > rows {
            return Ok(None);
        }
        let (arena, scratch) = (self.arena, self.scratch);
        let (keys, _) = columns.split_at(plan.groups.len());
        let mut steps = Steps {
            parts: Vec::new_in(arena),
            wholes: Vec::new_in(arena),
            results: Vec::new_in(arena),
            are_computed: false,
            part_columns: Vec::new_in(scratch),
            whole_columns: Vec::new_in(scratch),
            keys_count: plan.groups.len(),
            groups_count: plan.groups.len(),
        };
        let mut key_columns: Vec<'a, &'a Expr<'a>> = Vec::with_capacity_in(plan.groups.len(), arena)?;
        for (at, group) in plan.groups.iter().enumerate() {
            let column = arena.alloc(Expr { kind: ExprKind::Column(at as u32), ..**group })?;
            key_columns.push(column)?;
        }
        let key_columns = &*key_columns.into_slice();
        steps.part_columns.extend_from_slice(keys)?;
        steps.whole_columns.extend_from_slice(keys)?;
        steps.results.extend_from_slice(key_columns)?;
        let has_empty_set = plan.sets.iter().any(|set| set.is_empty());
        for aggregate in plan.aggregates {
            let Some(way) = Combined::of(aggregate) else { return Ok(None) };
            steps.add_aggregate(aggregate, way, has_empty_set)?;
        }
        let all = &*arena.alloc_slice_from_iter(0..plan.groups.len() as u32)?;
        let finest = HashAggregate {
            sets: arena.alloc_slice_copy(&[all])?,
            aggregates: steps.parts.into_slice(),
            ..*plan
        };
        let part_columns = arena.alloc_slice_copy(&steps.part_columns)?;
        let bytes = groups_rows * estimate::held_bytes(part_columns);
        let input = self.push(OperatorKind::HashAggregate(finest), part_columns, groups_rows, bytes)?;
        let sets = HashAggregate {
            input,
            groups: key_columns,
            sets: plan.sets,
            aggregates: steps.wholes.into_slice(),
            together: &[],
        };
        let whole_columns = match steps.are_computed {
            true => arena.alloc_slice_copy(&steps.whole_columns)?,
            false => columns,
        };
        let sets_rows = groups_rows * plan.sets.len() as f64;
        let bytes = sets_rows * estimate::held_bytes(whole_columns);
        let whole = self.push(OperatorKind::HashAggregate(sets), whole_columns, sets_rows, bytes)?;
        if !steps.are_computed {
            return Ok(Some(whole));
        }
        let kind = OperatorKind::Project { input: whole, exprs: steps.results.into_slice() };
        Ok(Some(self.push(kind, columns, sets_rows, 0.0)?))
    }
}
