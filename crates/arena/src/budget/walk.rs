//! The figures of a tree of budgets, as values and as a drawing.
//!
//! A walk holds a handle to the node that it stands on and takes the tree's lock for one step at a time, so whatever
//! is done with the figures (printing, charging) happens outside the lock. It is no snapshot: budgets may change
//! between two steps.

use super::node::Node;
use super::tree::{direct_units, next_in_preorder, path_of};
use super::word::bytes_of;
use super::{Budget, UNIT};
use crate::pressure::Pressure;
use crate::sync::Ordering;
use crate::text::{InlineText, human_bytes};
use core::fmt;
use core::ptr::NonNull;

/// What one budget holds.
#[derive(Clone, Copy, Debug)]
pub struct NodeStats {
    /// The budget's name.
    pub name: InlineText<31>,
    /// Path, root first.
    pub path: InlineText<127>,
    /// Levels below the budget where the walk began.
    pub depth: u32,
    /// The limit in bytes; `None` where only the budgets above limit it.
    pub limit_bytes: Option<u64>,
    /// Bytes handed out here and below; unspent credit of the children is not in it.
    pub used_bytes: u64,
    /// The part of it that the budget holds itself.
    pub own_bytes: u64,
    /// The most that was handed out at any time; for a budget with children their credit at that time is in it, so
    /// it is an upper bound.
    pub peak_bytes: u64,
    /// The worst level of pressure here and above.
    pub pressure: Pressure,
}

/// Iterator over budgets, parents first. Holds a handle to where it began and one to where it stands.
pub struct Walk {
    /// Dropped before `top`: the warm node keeps no handle of its parent, so this one alone would not keep the tree.
    at: Option<Budget>,
    top: Budget,
    depth_of_top: u32,
}

impl Walk {
    pub(super) fn new(top: Budget) -> Walk {
        let depth_of_top = {
            let _state = top.tree().lock();
            top.node().cold.depth.get()
        };
        Walk { at: Some(top.clone()), top, depth_of_top }
    }
}

impl Iterator for Walk {
    type Item = NodeStats;

    fn next(&mut self) -> Option<NodeStats> {
        let here = self.at.take()?;
        let stats = {
            let _state = here.tree().lock();
            let node = here.node();
            let mut next = next_in_preorder(node, self.top.node());
            // A node that has just lost its last handle is about to be unlinked: it is passed over.
            while let Some(candidate) = NonNull::new(next.cast_mut()) {
                // SAFETY: linked nodes are live under the lock (node.rs I3).
                let candidate_node = unsafe { candidate.as_ref() };
                if revive(candidate_node) {
                    self.at = Some(Budget { node: candidate });
                    break;
                }
                next = next_in_preorder(candidate_node, self.top.node());
            }
            stats_of(node, self.depth_of_top)
        };
        Some(stats)
    }
}

/// Counts one more handle unless there is none left.
pub(super) fn revive(node: &Node) -> bool {
    node.refs
        .fetch_update(
            Ordering::AcqRel,
            Ordering::Relaxed,
            |refs| if refs == 0 { None } else { Some(refs + 1) },
        )
        .is_ok()
}

fn stats_of(node: &Node, depth_of_top: u32) -> NodeStats {
    let limit = bytes_of(node.limit.load(Ordering::Relaxed));
    let unlimited = limit == bytes_of(super::word::UNITS_MAX);
    let own = direct_units(node);
    NodeStats {
        name: node.cold.name,
        path: path_of(node),
        depth: node.cold.depth.get() - depth_of_top,
        limit_bytes: if unlimited { None } else { Some(limit) },
        used_bytes: bytes_of(own) + used_below(node),
        own_bytes: bytes_of(own),
        peak_bytes: bytes_of(node.peak.load(Ordering::Relaxed)),
        pressure: Pressure::from_byte(node.level.load(Ordering::Relaxed)),
    }
}

/// Bytes held by everything below `top`, without credit. Needs the tree's lock.
fn used_below(top: &Node) -> u64 {
    let mut units = 0u64;
    let mut this = next_in_preorder(top, top);
    // SAFETY: linked nodes are live under the lock (node.rs I3).
    while let Some(node) = unsafe { this.as_ref() } {
        units += u64::from(direct_units(node));
        this = next_in_preorder(node, top);
    }
    units * UNIT
}

/// A tree of budgets that prints as a table; see [`Budget::memory_tree`].
///
/// ```text
/// budget                     limit       used       peak  pressure
/// process                  1.0 MiB   68.0 KiB  132.0 KiB  normal
/// `- statement           512.0 KiB   64.0 KiB  128.0 KiB  normal
/// ```
pub struct MemoryTree {
    top: Budget,
}

impl MemoryTree {
    pub(super) fn new(top: Budget) -> MemoryTree {
        MemoryTree { top }
    }
}

const NAME_WIDTH: usize = 32;

impl fmt::Display for MemoryTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:NAME_WIDTH$} {:>10} {:>10} {:>10}  pressure", "budget", "limit", "used", "peak")?;
        for stats in self.top.walk() {
            let mut name = InlineText::<63>::EMPTY;
            for level in 0..stats.depth {
                name.push_str(if level + 1 == stats.depth { "`- " } else { "   " });
            }
            name.push_str(stats.name.as_str());
            write!(f, "\n{name:NAME_WIDTH$} ")?;
            match stats.limit_bytes {
                Some(bytes) => write!(f, "{:>10}", human_bytes(bytes))?,
                None => write!(f, "{:>10}", "-")?,
            }
            write!(
                f,
                " {:>10} {:>10}  {}",
                human_bytes(stats.used_bytes),
                human_bytes(stats.peak_bytes),
                stats.pressure
            )?;
        }
        Ok(())
    }
}
