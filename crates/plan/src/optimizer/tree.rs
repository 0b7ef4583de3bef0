//! A tree of logical nodes, numbered so that it is known at once which node makes a column and whether one node is below
//! another.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};

use crate::logical::{ColumnId, LogicalId, LogicalPlan};

/// What has no number.
const NONE: u32 = u32::MAX;

/// The nodes below a root, each behind its inputs.
#[derive(Debug)]
pub(super) struct Tree<'s> {
    pub(super) order: Vec<'s, LogicalId>,
    /// By node: its place in the order.
    places: &'s mut [u32],
    /// By place: the first place of what is below it.
    firsts: Vec<'s, u32>,
    /// By column: the place of the node that makes it.
    makers: &'s mut [u32],
}

impl<'s> Tree<'s> {
    pub(super) fn new(
        plan: &LogicalPlan<'_>,
        root: LogicalId,
        scratch: &'s Arena,
    ) -> Result<Tree<'s>, AllocError> {
        let order = plan.post_order(root, scratch)?;
        let places = scratch.alloc_slice_fill(plan.nodes.len(), NONE)?;
        let makers = scratch.alloc_slice_fill(plan.columns.len(), NONE)?;
        let mut firsts = Vec::with_capacity_in(order.len(), scratch)?;
        for (place, id) in order.iter().enumerate() {
            places[id.index()] = place as u32;
            let mut first = place as u32;
            let kind = plan.kind(*id);
            kind.for_each_input(|input| {
                first = first.min(firsts.get(places[input.index()] as usize).copied().unwrap_or(first));
            });
            firsts.push(first)?;
            kind.for_each_made(|column| {
                let maker = &mut makers[column as usize];
                // Where a column is handed on under its number, the lowest node makes it.
                if *maker == NONE {
                    *maker = place as u32;
                }
                Ok::<(), AllocError>(())
            })?;
        }
        Ok(Tree { order, places, firsts, makers })
    }

    /// The place of a node in the order.
    pub(super) fn place(&self, id: LogicalId) -> usize {
        self.places[id.index()] as usize
    }

    /// Whether a column is made by a node or below it.
    pub(super) fn is_made_below(&self, column: ColumnId, id: LogicalId) -> bool {
        let (Some(maker), place) = (self.makers.get(column as usize), self.places[id.index()]) else {
            return false;
        };
        place != NONE && *maker <= place && *maker >= self.firsts[place as usize]
    }

    /// The nodes below a node and itself, each behind its inputs.
    pub(super) fn below(&self, id: LogicalId) -> &[LogicalId] {
        let place = self.place(id);
        &self.order[self.firsts[place] as usize..=place]
    }
}
