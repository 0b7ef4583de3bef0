//! A tree of losers: which of several sorted lanes has the least row.
//!
//! ```text
//!            0 winner                 each inner node keeps the lane that lost there;
//!              1                      the lane that won against all stands in node 0
//!          ┌───┴───┐
//!          2       3                  when its lane goes on, the winner plays once more against
//!        ┌─┴─┐   ┌─┴─┐                the losers on its way up: one comparison a level
//!       l0   l1 l2   l3
//! ```
//!
//! # Source
//! Knuth, The Art of Computer Programming, volume 3, section 5.4.1.

use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, BudgetAlloc};

/// Which lane stands where in the tree.
#[derive(Debug)]
pub(super) struct LoserTree {
    nodes: Vec<u32, BudgetAlloc>,
}

impl LoserTree {
    pub(super) fn new(pieces: &BudgetAlloc) -> LoserTree {
        LoserTree { nodes: Vec::new_in(pieces.clone()) }
    }

    /// Makes room for so many lanes, so that [`LoserTree::build`] needs none.
    pub(super) fn reserve(&mut self, lanes: usize) -> Result<(), AllocError> {
        self.nodes.try_reserve(lanes.saturating_sub(self.nodes.len())).map_err(|_| AllocError)
    }

    /// Plays all lanes against each other. `is_less` says whether the first lane's row comes before the second's; of lanes without
    /// rows it must be false.
    pub(super) fn build(
        &mut self,
        lanes: usize,
        is_less: impl Fn(usize, usize) -> bool,
    ) -> Result<(), AllocError> {
        const NOBODY: u32 = u32::MAX;
        self.nodes.clear();
        self.reserve(lanes)?;
        self.nodes.resize(lanes, NOBODY);
        for lane in 0..lanes {
            let mut winner = lane;
            let mut node = (lane + lanes) / 2;
            while node > 0 && self.nodes[node] != NOBODY {
                let other = self.nodes[node] as usize;
                if is_less(other, winner) {
                    self.nodes[node] = winner as u32;
                    winner = other;
                }
                node /= 2;
            }
            // The first to come to a node waits there for the other one.
            self.nodes[node] = winner as u32;
        }
        Ok(())
    }

    /// The lane with the least row.
    #[inline(always)]
    pub(super) fn winner(&self) -> usize {
        self.nodes[0] as usize
    }

    /// Plays the winner again, whose lane has gone on.
    #[inline(always)]
    pub(super) fn replay(&mut self, is_less: impl Fn(usize, usize) -> bool) {
        let mut winner = self.nodes[0];
        let mut node = (winner as usize + self.nodes.len()) / 2;
        while node > 0 {
            let other = self.nodes[node];
            if is_less(other as usize, winner as usize) {
                self.nodes[node] = winner;
                winner = other;
            }
            node /= 2;
        }
        self.nodes[0] = winner;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_arena::Budget;
    use proptest::prelude::*;

    proptest! {
        /// Aim: lanes come out merged, ties in the order of lanes. Method: sort all of them.
        #[test]
        fn lanes_come_out_in_order(mut lanes in prop::collection::vec(prop::collection::vec(0u8..20, 0..30), 1..12)) {
            let budget = Budget::unlimited("test").unwrap();
            lanes.iter_mut().for_each(|lane| lane.sort());
            let mut expected: std::vec::Vec<_> =
                lanes.iter().enumerate().flat_map(|(i, lane)| lane.iter().map(move |value| (*value, i))).collect();
            expected.sort();
            let mut at = vec![0; lanes.len()];
            let head = |lane: usize, at: &[usize]| lanes[lane].get(at[lane]).copied();
            let is_less = |a: usize, b: usize, at: &[usize]| match (head(a, at), head(b, at)) {
                (Some(x), Some(y)) => (x, a) < (y, b),
                (Some(_), None) => true,
                _ => false,
            };
            let mut tree = LoserTree::new(&BudgetAlloc::new(&budget));
            tree.reserve(lanes.len()).unwrap();
            tree.build(lanes.len(), |a, b| is_less(a, b, &at)).unwrap();
            let mut got = std::vec::Vec::new();
            while let Some(value) = head(tree.winner(), &at) {
                got.push((value, tree.winner()));
                at[tree.winner()] += 1;
                tree.replay(|a, b| is_less(a, b, &at));
            }
            prop_assert_eq!(got, expected);
        }
    }
}
