//! The index above the group directories: a tree of nodes, written from the bottom while groups are written.
//!
//! A node is filled until it has 4 KiB (two entries at least), then it goes to the file and becomes an entry of the node
//! above. So there is one open node a level, and a segment of any size is opened by its root.
//!
//! **Memory.** A level holds at most 4 KiB, or two separators where these are longer.

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;

use super::layout::{Entry, Put, node_payload_bytes, write_node_head};
use super::output::Output;
use super::separators::{GatheredSeparators, SeparatorSizes};
use crate::error::Error;

/// What a node's payload grows to.
const NODE_BYTES: usize = 4 << 10;

/// A child that was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Child<'k> {
    pub(super) separator: &'k [u8],
    pub(super) offset: u64,
    pub(super) len: u32,
    pub(super) first_row: u64,
}

/// The root of a finished index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Root {
    pub(super) offset: u64,
    pub(super) len: u32,
    /// Levels of nodes; 0 where the root is the only group directory.
    pub(super) height: u16,
}

/// The open nodes, lowest first.
#[derive(Debug)]
pub(super) struct IndexBuilder<'a> {
    arena: &'a Arena,
    nodes: Vec<'a, OpenNode<'a>>,
    piece: Vec<'a, u8>,
}

#[derive(Debug)]
struct OpenNode<'a> {
    entries: Vec<'a, Entry>,
    separators: GatheredSeparators<'a>,
}

impl OpenNode<'_> {
    fn is_full_for(&self, separator: &[u8]) -> bool {
        // More than it will take where they have something in common.
        let rests = (self.separators.len() + separator.len()) as u16;
        let bytes = node_payload_bytes(self.entries.len() + 1, SeparatorSizes { prefix: 0, rests });
        self.entries.len() >= 2 && bytes > NODE_BYTES
    }
}

impl<'a> IndexBuilder<'a> {
    pub(super) fn new_in(arena: &'a Arena) -> IndexBuilder<'a> {
        IndexBuilder { arena, nodes: Vec::new_in(arena), piece: Vec::new_in(arena) }
    }

    /// Adds a group directory; they come in order.
    pub(super) fn add(&mut self, child: Child<'_>, out: &mut Output<'_, '_>) -> Result<(), Error> {
        self.add_at(0, child, out)
    }

    fn add_at(&mut self, level: usize, child: Child<'_>, out: &mut Output<'_, '_>) -> Result<(), Error> {
        if self.nodes.len() == level {
            let (entries, separators) = (Vec::new_in(self.arena), GatheredSeparators::new_in(self.arena));
            let node = OpenNode { entries, separators };
            self.nodes.push(node)?;
        }
        // At most one node a level is written, so this ends at the top.
        if self.nodes[level].is_full_for(child.separator) {
            self.close(level, out)?;
        }
        let node = &mut self.nodes[level];
        node.separators.push(child.separator, &[])?;
        let Child { offset, len, first_row, .. } = child;
        node.entries.push(Entry { offset, len, first_row })?;
        Ok(())
    }

    /// Writes the open node of a level and adds it to the level above.
    fn close(&mut self, level: usize, out: &mut Output<'_, '_>) -> Result<(), Error> {
        let (offset, len) = self.write(level, out)?;
        // The node's own first separator; taken out of it for the time of the call.
        let node = &mut self.nodes[level];
        let mut separators = core::mem::replace(&mut node.separators, GatheredSeparators::new_in(self.arena));
        let first = node.entries.first().copied();
        node.entries.clear();
        if let Some(first) = first {
            let separator = separators.get(0);
            self.add_at(level + 1, Child { separator, offset, len, first_row: first.first_row }, out)?;
        }
        separators.clear();
        self.nodes[level].separators = separators;
        Ok(())
    }

    fn write(&mut self, level: usize, out: &mut Output<'_, '_>) -> Result<(u64, u32), Error> {
        let OpenNode { entries, separators } = &self.nodes[level];
        let sizes = separators.sizes();
        let bytes = node_payload_bytes(entries.len(), sizes);
        self.piece.clear();
        self.piece.resize(bytes, 0)?;
        let mut put = Put::new(&mut self.piece);
        write_node_head(&mut put, level as u8 + 1, entries.len() as u16, sizes);
        entries.iter().for_each(|entry| entry.write(&mut put));
        separators.write(sizes, &mut put);
        out.put_piece(&self.piece)
    }

    /// Writes all open nodes and gives the root.
    ///
    /// needs: there is an entry.
    pub(super) fn finish(&mut self, out: &mut Output<'_, '_>) -> Result<Root, Error> {
        let mut level = 0;
        loop {
            let is_top = level + 1 == self.nodes.len();
            let only = self.nodes[level].entries.first().copied();
            match only {
                // A lone entry needs no node above it.
                Some(Entry { offset, len, .. }) if is_top && self.nodes[level].entries.len() == 1 => {
                    return Ok(Root { offset, len, height: level as u16 });
                }
                _ if is_top => {
                    let (offset, len) = self.write(level, out)?;
                    return Ok(Root { offset, len, height: level as u16 + 1 });
                }
                _ => self.close(level, out)?,
            }
            level += 1;
        }
    }
}
