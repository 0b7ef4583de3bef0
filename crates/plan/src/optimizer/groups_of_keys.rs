//! Groups of an inner join by columns of the side that is held: the other side's rows are grouped by the key of the join first.
//!
//! ```text
//! SELECT i.name, sum(s.n) FROM sale AS s, item AS i WHERE s.item = i.id GROUP BY i.name
//!
//! HashAggregate i.name                     HashAggregate i.name
//!   sum(s.n)                                 sum(sum)
//!   Hash Join s.item = i.id          ->      Hash Join s.item = i.id
//!     s                                        HashAggregate s.item
//!     i                                          sum(s.n)
//!                                                s
//!                                              i
//! ```
//!
//! So a row of the larger side is looked up by a key of a few bytes and not joined at all, and names are gathered and compared once for each
//! key. Each pair of rows is in one group of its key and that is joined with the same row, so nothing else changes, whether keys of the
//! held side are unique or not.
//!
//! Only where there are several rows for each key, about all of which are expected to have a match (what the join leaves out would be grouped for
//! nobody), where these groups are not many more than the rows that are held anyway, and where the groups that are asked for
//! are more than a few. Arguments may not fail for rows that have no match.

use cofferdam_arena::AllocError;
use cofferdam_arena::collections::Vec;

use super::estimate;
use super::finest::{Combined, ROWS_MIN, Steps};
use super::lower::{Lowering, Placed};
use crate::expr::fails::fails_by_value;
use crate::expr::walk::{self, rewrite};
use crate::expr::{Column, Expr, ExprKind};
use crate::physical::{HashAggregate, HashJoin, JoinKey, JoinKind, KeyNulls, OperatorId, OperatorKind};

/// Rows for each key, at least.
const ROWS_PER_KEY: f64 = 4.0;
/// So many rows may go into the join for each that comes out of it, at most.
const ROWS_PER_MATCH: f64 = 2.0;
/// So many groups may be held for each row of the other side, at most.
const GROUPS_PER_HELD_ROW: f64 = 2.0;
/// So few groups are found by themselves at no cost.
const FEW_GROUPS: f64 = 32.0;

/// What the second step reads of the joined rows.
struct Joined<'s> {
    /// By column of the join: where it stands, if it is read.
    places: &'s mut [Option<u32>],
    /// Columns of the join that groups read.
    read: Vec<'s, u32>,
    /// Columns of the streaming side that the first step groups by.
    keys: Vec<'s, u32>,
}

impl<'s, 'a> Lowering<'_, 's, 'a> {
    /// The operator that gives the columns of `plan`, an aggregate of joined rows in so many groups, if it is better made of groups by the key
    /// of the join.
    pub(super) fn groups_of_key_groups(
        &mut self,
        plan: &HashAggregate<'a>,
        columns: &'a [Column<'a>],
        input: Placed<'s>,
        groups_rows: f64,
    ) -> Result<Option<OperatorId>, AllocError> {
        let OperatorKind::HashJoin(join @ HashJoin { kind: JoinKind::Inner, residual: [], .. }) =
            self.kind_of(plan.input)
        else {
            return Ok(None);
        };
        let sides = self.joins.iter().rev().find(|(operator, _)| *operator == plan.input);
        let Some((_, [streams, held])) = sides.copied() else { return Ok(None) };
        let is_small = input.rows < ROWS_MIN || groups_rows <= FEW_GROUPS;
        if is_small || plan.groups.is_empty() || streams.rows > input.rows * ROWS_PER_MATCH {
            return Ok(None);
        }
        let Some(joined) = self.read_of(plan, &join)? else { return Ok(None) };
        let mut key_exprs: Vec<'s, &'a Expr<'a>> = Vec::new_in(self.scratch);
        for key in &joined.keys {
            let column = streams.layout[*key as usize];
            key_exprs.push(self.plan.read(column, Default::default(), self.arena)?)?;
        }
        let keys_rows = self.known.groups(key_exprs.iter().copied(), streams.rows);
        if keys_rows * ROWS_PER_KEY > input.rows.min(streams.rows)
            || keys_rows > held.rows * GROUPS_PER_HELD_ROW
            || !self.take_back(plan.input)
        {
            return Ok(None);
        }
        let keys = (&key_exprs[..], keys_rows);
        let rows = (input.rows, groups_rows);
        self.in_two_steps(plan, &join, columns, (streams, held), joined, keys, rows).map(Some)
    }

    /// What is read of a join for groups in two steps, if they can be made so.
    fn read_of(
        &self,
        plan: &HashAggregate<'a>,
        join: &HashJoin<'a>,
    ) -> Result<Option<Joined<'s>>, AllocError> {
        let scratch = self.scratch;
        let width = self.columns(join.probe).len() as u32;
        let of_probe = |column: u32| Some(join.output[column as usize]).filter(|place| *place < width);
        for aggregate in plan.aggregates {
            let mut is_it = Combined::of(aggregate).is_some();
            aggregate.for_each_expr(|expr| {
                is_it = is_it && !fails_by_value(expr, scratch)?;
                walk::for_each(expr, scratch, |part| {
                    if let ExprKind::Column(column) = part.kind {
                        is_it &= of_probe(column).is_some();
                    }
                })
            })?;
            if !is_it {
                return Ok(None);
            }
        }
        let mut joined = Joined {
            places: scratch.alloc_slice_fill(join.output.len(), None)?,
            read: Vec::new_in(scratch),
            keys: Vec::new_in(scratch),
        };
        for key in join.keys {
            let (ExprKind::Column(column), KeyNulls::Unmatched) = (key.probe.kind, key.nulls) else {
                return Ok(None);
            };
            if !joined.keys.contains(&column) {
                joined.keys.push(column)?;
            }
        }
        for group in plan.groups {
            let mut outcome = Ok(());
            walk::for_each(group, scratch, |part| {
                if let (ExprKind::Column(column), Ok(())) = (part.kind, outcome)
                    && joined.places[column as usize].is_none()
                {
                    joined.places[column as usize] = Some(joined.read.len() as u32);
                    outcome = joined.read.push(column);
                }
            })?;
            outcome?;
        }
        for column in &joined.read {
            if let Some(place) = of_probe(*column)
                && !joined.keys.contains(&place)
            {
                joined.keys.push(place)?;
            }
        }
        Ok(Some(joined))
    }

    #[allow(clippy::too_many_arguments, reason = "an aggregate of a join, and what is known of both")]
    fn in_two_steps(
        &mut self,
        plan: &HashAggregate<'a>,
        join: &HashJoin<'a>,
        columns: &'a [Column<'a>],
        (streams, held): (Placed<'s>, Placed<'s>),
        joined: Joined<'s>,
        (key_exprs, keys_rows): (&[&'a Expr<'a>], f64),
        (rows, groups_rows): (f64, f64),
    ) -> Result<OperatorId, AllocError> {
        let (arena, scratch) = (self.arena, self.scratch);
        let (probe_columns, held_columns) = (self.columns(join.probe), self.columns(join.build));
        let column = |at: usize, ty| Expr { kind: ExprKind::Column(at as u32), ty, span: Default::default() };
        let mut steps = Steps {
            parts: Vec::new_in(arena),
            wholes: Vec::new_in(arena),
            results: Vec::new_in(arena),
            are_computed: false,
            part_columns: Vec::new_in(scratch),
            whole_columns: Vec::new_in(scratch),
            keys_count: joined.read.len(),
            groups_count: plan.groups.len(),
        };
        // The first step: groups by the key.
        let mut key_columns: Vec<'a, &'a Expr<'a>> = Vec::with_capacity_in(joined.keys.len(), arena)?;
        for key in &joined.keys {
            let described = probe_columns[*key as usize];
            key_columns.push(arena.alloc(column(*key as usize, described.ty))?)?;
            steps.part_columns.push(described)?;
        }
        let key_columns = &*key_columns.into_slice();
        for (at, group) in plan.groups.iter().enumerate() {
            steps.results.push(arena.alloc(column(at, group.ty))?)?;
            steps.whole_columns.push(columns[at])?;
        }
        let has_empty_set = plan.sets.iter().any(|set| set.is_empty());
        for aggregate in plan.aggregates {
            let way = Combined::of(aggregate).expect("it was asked before");
            let of_probe = |at: u32| join.output[at as usize];
            let below = aggregate.map(arena, |expr| moved(expr, of_probe, arena))?;
            steps.add_aggregate(&below, way, has_empty_set)?;
        }
        let parts_count = steps.parts.len();
        let all = &*arena.alloc_slice_from_iter(0..joined.keys.len() as u32)?;
        let first = HashAggregate {
            input: join.probe,
            groups: key_columns,
            sets: arena.alloc_slice_copy(&[all])?,
            aggregates: steps.parts.into_slice(),
            together: self.groups_together(streams, key_exprs, key_columns)?,
        };
        let part_columns = arena.alloc_slice_copy(&steps.part_columns)?;
        let bytes = keys_rows * estimate::held_bytes(part_columns);
        let first = self.push(OperatorKind::HashAggregate(first), part_columns, keys_rows, bytes)?;

        // The join: what the groups read, and the parts.
        let is_turned = bytes < held.rows * estimate::held_bytes(held_columns);
        let (of_first, of_held) = match is_turned {
            true => (held_columns.len() as u32, 0),
            false => (0, part_columns.len() as u32),
        };
        let key_place = |key: u32| joined.keys.iter().position(|known| *known == key).unwrap_or(0) as u32;
        let width = probe_columns.len() as u32;
        let mut output: Vec<'a, u32> = Vec::with_capacity_in(joined.read.len() + parts_count, arena)?;
        let mut output_columns: Vec<'a, Column<'a>> =
            Vec::with_capacity_in(joined.read.len() + parts_count, arena)?;
        for read in &joined.read {
            let place = join.output[*read as usize];
            let (at, described) = match place.checked_sub(width) {
                None => (of_first + key_place(place), probe_columns[place as usize]),
                Some(place) => (of_held + place, held_columns[place as usize]),
            };
            output.push(at)?;
            output_columns.push(described)?;
        }
        for (at, described) in part_columns.iter().enumerate().skip(joined.keys.len()) {
            output.push(of_first + at as u32)?;
            output_columns.push(*described)?;
        }
        let mut keys: Vec<'a, JoinKey<'a>> = Vec::with_capacity_in(join.keys.len(), arena)?;
        for key in join.keys {
            let probe = moved(key.probe, key_place, arena)?;
            keys.push(match is_turned {
                true => JoinKey { probe: key.build, build: probe, nulls: key.nulls },
                false => JoinKey { probe, ..*key },
            })?;
        }
        let (probe, build) = if is_turned { (join.build, first) } else { (first, join.build) };
        let held_bytes = if is_turned { bytes } else { held.rows * estimate::held_bytes(held_columns) };
        let joined_rows = keys_rows * (rows / streams.rows.max(1.0));
        let output_columns = &*output_columns.into_slice();
        let new = HashJoin { probe, build, keys: keys.into_slice(), output: output.into_slice(), ..*join };
        let above = self.push(OperatorKind::HashJoin(new), output_columns, joined_rows, held_bytes)?;

        // The second step.
        let mut groups: Vec<'a, &'a Expr<'a>> = Vec::with_capacity_in(plan.groups.len(), arena)?;
        for group in plan.groups {
            let place = |at: u32| joined.places[at as usize].unwrap_or(0);
            groups.push(moved(group, place, arena)?)?;
        }
        let second = HashAggregate {
            input: above,
            groups: groups.into_slice(),
            sets: plan.sets,
            aggregates: steps.wholes.into_slice(),
            together: &[],
        };
        let whole_columns = match steps.are_computed {
            true => arena.alloc_slice_copy(&steps.whole_columns)?,
            false => columns,
        };
        let whole_rows = groups_rows.min(joined_rows) * plan.sets.len() as f64;
        let bytes = whole_rows * estimate::held_bytes(whole_columns);
        let whole = self.push(OperatorKind::HashAggregate(second), whole_columns, whole_rows, bytes)?;
        if !steps.are_computed {
            return Ok(whole);
        }
        let kind = OperatorKind::Project { input: whole, exprs: steps.results.into_slice() };
        self.push(kind, columns, whole_rows, 0.0)
    }
}

/// An expression over columns that stand elsewhere.
fn moved<'a>(
    expr: &'a Expr<'a>,
    place: impl Fn(u32) -> u32,
    arena: &'a cofferdam_arena::Arena,
) -> Result<&'a Expr<'a>, AllocError> {
    rewrite(expr, arena, |_, expr| match expr.kind {
        ExprKind::Column(at) => Ok(&*arena.alloc(Expr { kind: ExprKind::Column(place(at)), ..*expr })?),
        _ => Ok(expr),
    })
}
