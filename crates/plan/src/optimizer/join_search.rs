//! The cheapest order of inner joins, by dynamic programming over sets of relations.
//!
//! Sets are bits of a `u16`. How many rows a set gives does not depend on the order in which it was joined: the product of its
//! relations' rows and of the shares of all edges within it. Each set is put together from the two connected parts that cost least;
//! pairs without an equality are left out, so a graph that only cross products connect has no answer here.
//!
//! Cost: rows that are given + rows that stream + [`HELD`] · rows that are held, over all joins. For n relations and m edges it takes
//! 3ⁿ/2 · m steps and 18 · 2ⁿ bytes of scratch memory.
//!
//! # Source
//! Selinger et al., "Access Path Selection in a Relational Database Management System" (SIGMOD 1979), §5; that bushy trees are among
//! those tried: Vance and Maier, "Rapid Bushy Join-order Optimization with Cartesian Products" (SIGMOD 1996), §3.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};

/// As many relations are searched at most.
pub(super) const RELATIONS_MAX: usize = 10;

/// What a held row costs, where a streamed one costs 1: it is written, hashed, and found again.
const HELD: f64 = 3.0;

/// What is joined.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relation {
    /// How many rows it gives.
    pub(super) rows: f64,
    /// What one of them takes where it is held.
    pub(super) row_bytes: f64,
}

/// A condition between relations.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    /// The relations on the sides of an equality; of other conditions `right` is empty.
    pub(super) left: u16,
    pub(super) right: u16,
    /// The share of all combinations of rows for which it holds.
    pub(super) share: f64,
}

/// One join.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    /// The relations on both sides.
    pub(super) left: u16,
    pub(super) right: u16,
    /// How many rows it gives.
    pub(super) rows: f64,
}

/// What is known of a set of relations.
#[derive(Clone, Copy, Debug)]
struct Set {
    rows: f64,
    row_bytes: f64,
    /// Of the cheapest way to join it; infinite if there is none.
    cost: f64,
    /// One side of the last join of that way.
    left: u16,
}

/// The joins of the cheapest order, each behind those of its sides; `None` if equalities do not connect the relations.
pub(super) fn search<'s>(
    relations: &[Relation],
    edges: &[Edge],
    scratch: &'s Arena,
) -> Result<Option<&'s [Step]>, AllocError> {
    debug_assert!((2..=RELATIONS_MAX).contains(&relations.len()));
    let all = (1u16 << relations.len()) - 1;
    let local = Arena::new(scratch.budget());
    let none = Set { rows: 1.0, row_bytes: 0.0, cost: f64::INFINITY, left: 0 };
    let sets = local.alloc_slice_fill(usize::from(all) + 1, none)?;
    for set in 1..=all {
        let lowest = set & set.wrapping_neg();
        let (relation, rest) = (relations[lowest.trailing_zeros() as usize], sets[usize::from(set ^ lowest)]);
        let decided =
            |edge: &&Edge| (edge.left | edge.right) & !set == 0 && (edge.left | edge.right) & lowest != 0;
        let share: f64 = edges.iter().filter(decided).map(|edge| edge.share).product();
        let mut found = Set {
            rows: rest.rows * relation.rows * share,
            row_bytes: rest.row_bytes + relation.row_bytes,
            cost: if set == lowest { 0.0 } else { f64::INFINITY },
            left: 0,
        };
        // Each pair of parts once: `left` is the part with the lowest relation.
        let others = set ^ lowest;
        let mut right = others;
        while right != 0 {
            let left = set ^ right;
            let cost = cost_of(&found, &sets[usize::from(left)], &sets[usize::from(right)]);
            if cost < found.cost && are_joined(left, right, edges) {
                (found.cost, found.left) = (cost, left);
            }
            right = (right - 1) & others;
        }
        sets[usize::from(set)] = found;
    }
    if sets[usize::from(all)].cost.is_infinite() {
        return Ok(None);
    }
    // From the last join down; in the end turned around.
    let mut steps = Vec::with_capacity_in(relations.len() - 1, scratch)?;
    let mut open = Vec::with_capacity_in(relations.len(), &local)?;
    open.push(all)?;
    while let Some(set) = open.pop() {
        let Set { left, rows, .. } = sets[usize::from(set)];
        if left != 0 {
            steps.push(Step { left, right: set ^ left, rows })?;
            open.extend_from_slice(&[left, set ^ left])?;
        }
    }
    let steps = steps.into_slice();
    steps.reverse();
    Ok(Some(steps))
}

/// What a join and all below it cost.
fn cost_of(joined: &Set, left: &Set, right: &Set) -> f64 {
    let is_left_held = left.rows * left.row_bytes < right.rows * right.row_bytes;
    let (held, streamed) = if is_left_held { (left, right) } else { (right, left) };
    left.cost + right.cost + joined.rows + streamed.rows + HELD * held.rows
}

/// Whether an equality is between two sets.
fn are_joined(left: u16, right: u16, edges: &[Edge]) -> bool {
    let joins = |a: u16, b: u16| a & !left == 0 && b & !right == 0;
    edges.iter().any(|edge| edge.right != 0 && (joins(edge.left, edge.right) || joins(edge.right, edge.left)))
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use cofferdam_arena::Budget;
    use proptest::prelude::*;

    use super::*;

    fn relation(rows: f64) -> Relation {
        Relation { rows, row_bytes: 8.0 }
    }

    fn with_steps(relations: &[Relation], edges: &[Edge], check: impl FnOnce(Option<&[Step]>)) {
        let root = Budget::unlimited("plan").unwrap();
        let arena = Arena::new(&root);
        check(search(relations, edges, &arena).unwrap());
    }

    /// The least cost by trying all parts of all sets.
    fn least(relations: &[Relation], edges: &[Edge], set: u16) -> f64 {
        if set.is_power_of_two() {
            return 0.0;
        }
        let known = |set: u16| Set { cost: least(relations, edges, set), ..whole(relations, edges, set) };
        let parts = (1..set).filter(|left| left & !set == 0 && are_joined(*left, set ^ left, edges));
        parts
            .map(|left| cost_of(&whole(relations, edges, set), &known(left), &known(set ^ left)))
            .fold(f64::INFINITY, f64::min)
    }

    fn whole(relations: &[Relation], edges: &[Edge], set: u16) -> Set {
        let members = (0..relations.len()).filter(|at| set >> at & 1 == 1);
        let within = edges.iter().filter(|edge| (edge.left | edge.right) & !set == 0);
        Set {
            rows: members.clone().map(|at| relations[at].rows).product::<f64>()
                * within.map(|edge| edge.share).product::<f64>(),
            row_bytes: members.map(|at| relations[at].row_bytes).sum(),
            cost: 0.0,
            left: 0,
        }
    }

    /// Aim: a fact table is joined with the selective side first, and small sides join each other where that pays.
    #[test]
    fn the_selective_relation_comes_first() {
        let relations = [relation(1e6), relation(1e4), relation(10.0)];
        let edges = [
            Edge { left: 1, right: 2, share: 1e-4 },
            // Ten of a thousand.
            Edge { left: 1, right: 4, share: 1e-3 },
        ];
        with_steps(&relations, &edges, |steps| {
            let steps = steps.unwrap();
            assert_eq!(
                steps.iter().map(|step| (step.left, step.right)).collect::<Vec<_>>(),
                [(1, 4), (5, 2)]
            );
            assert!((steps[0].rows - 1e4).abs() < 1e-6 && (steps[1].rows - 1e4).abs() < 1e-6, "{steps:?}");
        });
    }

    #[test]
    fn relations_that_nothing_connects_have_no_order() {
        let relations = [relation(10.0); 3];
        let edges = [
            Edge { left: 1, right: 2, share: 0.1 },
            // No equality.
            Edge { left: 6, right: 0, share: 0.1 },
        ];
        with_steps(&relations, &edges, |steps| assert_eq!(steps, None));
    }

    proptest! {
        /// Aim: no order is cheaper, each join joins what is joined, and all are joined in the end.
        #[test]
        fn no_order_is_cheaper(
            rows in proptest::collection::vec((1.0f64..1e6, 1.0f64..200.0), 2..6),
            picks in proptest::collection::vec((0usize..6, 0usize..6, 1e-6f64..1.0, any::<bool>()), 1..9),
        ) {
            let relations: Vec<_> = rows.iter().map(|&(rows, row_bytes)| Relation { rows, row_bytes }).collect();
            let count = relations.len();
            let pairs = picks.iter().map(|&(a, b, share, is_equality)| (a % count, b % count, share, is_equality));
            let edges: Vec<_> = pairs
                .filter(|(a, b, ..)| a != b)
                .map(|(a, b, share, is_equality)| match is_equality {
                    true => Edge { left: 1 << a, right: 1 << b, share },
                    false => Edge { left: 1 << a | 1 << b, right: 0, share },
                })
                .collect();
            let all = (1 << count) - 1;
            let least = least(&relations, &edges, all);
            with_steps(&relations, &edges, |steps| {
                let Some(steps) = steps else { return assert!(least.is_infinite()) };
                let mut cost = 0.0;
                let mut made: Vec<u16> = (0..count).map(|at| 1 << at).collect();
                for step in steps {
                    assert!(are_joined(step.left, step.right, &edges));
                    let sides = |set: &u16| *set == step.left || *set == step.right;
                    assert_eq!(made.iter().filter(|set| sides(set)).count(), 2, "both sides are there");
                    made.retain(|set| !sides(set));
                    made.push(step.left | step.right);
                    let known = |set| whole(&relations, &edges, set);
                    cost += cost_of(&known(step.left | step.right), &known(step.left), &known(step.right));
                }
                assert_eq!(made, [all]);
                assert!((cost - least).abs() <= least * 1e-9, "{cost} {least}");
            });
        }
    }
}
