//! Where trees begin: a root for each table, and a directory of them.
//!
//! Each table has a tree of its own, so that its keys share what they can, and no record names its table. The directory is a
//! tree as well: its keys are the tables' numbers, big-endian; the row of each is the offset of the table's root.
//!
//! Invariants (cited as *tree T1* …):
//! - **T1** Nothing is ever taken out of a tree while readers see it, and nothing in it changes but: a leaf gets the record of
//!   the same key and sequence in the place of another; a node gets an entry (node N5); a node gives its last entries to a
//!   new node beside it; heads are rewritten in flux.
//! - **T2** A node's range begins with its separator (open at the left edge) and ends with that of the next node at its height. It
//!   only ever gets narrower, at its end.
//! - **T3** A node gives up entries in this order: the new node is filled; the nodes above lead to it; *changes* becomes odd; the
//!   link is set; the count goes down; *changes* becomes even; places behind the count are used again. So while *changes*
//!   is what it was, no place in which a reader may have looked for an entry was given to another one.
//! - **T4** A reader that found *changes* the same before and after going down was in the right leaf, and found what is there. If
//!   it was not, it went to a node after that had given up the target's place, and through one above it before that led to
//!   the new node. But the latter is published before *changes* becomes odd, and the count goes down after: so either
//!   the reader saw the odd number first, and with it the new node; or it saw the count go down and then the odd number.
//! - **T5** A node goes into flux before *changes* goes up by two, and its heads are rewritten after. So while *changes* is what
//!   it was, a reader has seen heads that go with the state it saw, or the state in flux, in which it does not look at them.
//! - **T6** A directory's rows are what [`TreeRef::create`] returned for the same slabs, and nobody else writes them.
//!
//! While *changes* is odd, a leaf may stand with all its entries beside the new one that has copies of the last of them. Whoever
//! goes from the one to the other then looks for its place in the other.
//!
//! *Changes* does not come round within a generation: a new node of 256 bytes brings sixteen at most, a record in the place of
//! another, of 5 bytes and more, two; and all of them fit into 2 GiB.
#![allow(unsafe_code)]

use core::ptr;
use core::sync::atomic::AtomicPtr;

use super::node::{Child, Found, Kind, Leaf, RecordRef, State, Target, Version};
use super::plain::{Plain64, Recent};
use super::record::Record;
use super::slab::{Cutter, LINE_BYTES, Memory, Slabs};
use super::sync::{AtomicU32, Ordering, fence};

pub(super) const ROOT_BYTES: usize = size_of::<Root>().next_multiple_of(LINE_BYTES);

/// Where a tree begins, and how often it has changed its shape.
///
/// `changes` goes up by 1 before a node gives up entries, and by 1 when it has; so it is odd in between. It goes up by 2
/// while a node is in flux for another reason.
#[repr(C, align(64))]
pub(super) struct Root {
    changes: AtomicU32,
    /// The offset of the topmost node; 0 for an empty tree.
    top: AtomicU32,
    /// For the writer alone: the last leaf, where the newest entry was put at its end; null else.
    edge: AtomicPtr<u8>,
}

impl Root {
    /// An empty tree.
    #[cfg(not(loom))]
    pub(super) const fn new() -> Root {
        Root { changes: AtomicU32::new(0), top: AtomicU32::new(0), edge: AtomicPtr::new(ptr::null_mut()) }
    }

    /// An empty tree.
    #[cfg(loom)]
    pub(super) fn new() -> Root {
        Root { changes: AtomicU32::new(0), top: AtomicU32::new(0), edge: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Forgets the tree. For whoever has the arena to itself.
    pub(super) fn forget(&self) {
        self.changes.store(0, Ordering::Relaxed);
        self.top.store(0, Ordering::Relaxed);
        self.edge.store(ptr::null_mut(), Ordering::Relaxed);
    }
}

/// A tree, and the places that its offsets lead to.
#[derive(Clone, Copy)]
pub(super) struct TreeRef<'p> {
    slabs: &'p Slabs,
    root: &'p Root,
}

impl<'p> TreeRef<'p> {
    /// # Safety
    /// 1. What was put into `root` since it was new or forgot is in these slabs, in this generation.
    pub(super) unsafe fn new(slabs: &'p Slabs, root: &'p Root) -> TreeRef<'p> {
        TreeRef { slabs, root }
    }

    /// An empty tree in the memory itself. Needs: `ensure` for its bytes.
    pub(super) fn create<M: Memory>(cutter: &Cutter<'p, M>) -> (TreeRef<'p>, u32) {
        let (offset, at) = cutter.cut_node(ROOT_BYTES);
        let at = at.cast::<Root>();
        // SAFETY: fresh memory of a root's size, aligned to a line; it lives as long as a view of the slabs (slab S3).
        let root = unsafe {
            at.write(Root::new());
            at.as_ref()
        };
        (TreeRef { slabs: cutter.slabs(), root }, offset)
    }

    /// # Safety
    /// 1. `offset` is what `create` returned for a tree in the same slabs in this generation, before it was published to
    ///    whoever calls this.
    #[inline(always)]
    unsafe fn of_offset(slabs: &'p Slabs, offset: u32) -> TreeRef<'p> {
        // SAFETY: by 1 a root was written here.
        TreeRef { slabs, root: unsafe { &*slabs.address(offset).cast::<Root>() } }
    }

    pub(super) fn slabs(self) -> &'p Slabs {
        self.slabs
    }

    /// How often the tree has changed its shape.
    #[inline(always)]
    pub(super) fn changes(self) -> u32 {
        self.root.changes.load(Ordering::Acquire)
    }

    /// As often as it had when `changes` was asked before, so that all that was read since is of one shape.
    #[inline(always)]
    pub(super) fn is_unchanged(self, changes: u32) -> bool {
        fence(Ordering::Acquire);
        self.root.changes.load(Ordering::Relaxed) == changes
    }

    /// One half of a change: before a node gives up entries, and after.
    pub(super) fn half_change(self) {
        self.root.changes.store(self.root.changes.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    }

    /// A change that no node gives up entries in.
    pub(super) fn change(self) {
        self.root.changes.store(self.root.changes.load(Ordering::Relaxed).wrapping_add(2), Ordering::Release);
    }

    /// The topmost node.
    #[inline(always)]
    pub(super) fn top(self) -> Option<Child<'p>> {
        match self.root.top.load(Ordering::Acquire) {
            0 => None,
            // SAFETY: read by an acquire from a root, which leads to a node in the same slabs.
            offset => Some(unsafe { Child::from_offset(self.slabs, offset) }),
        }
    }

    /// Publishes a new topmost node.
    pub(super) fn set_top(self, top: Child<'p>) {
        self.root.top.store(top.offset(), Ordering::Release);
    }

    /// The last leaf, where the newest entry was put at its end. For the writer.
    #[inline(always)]
    pub(super) fn edge(self) -> Option<Leaf<'p>> {
        // SAFETY: `note_edge` has put the address of a leaf of this tree there since `forget` was called, under which
        // the slabs are forgotten as well.
        unsafe { Leaf::from_address(self.slabs, self.root.edge.load(Ordering::Relaxed)) }
    }

    /// Says what [`TreeRef::edge`] gives from now on: a leaf of this tree, if it is the last one. For the writer.
    #[inline(always)]
    pub(super) fn note_edge(self, leaf: Option<Leaf<'p>>) {
        let address = leaf.filter(|leaf| leaf.next().is_none()).map_or(ptr::null_mut(), Leaf::address);
        // Readers look at the same line.
        if self.root.edge.load(Ordering::Relaxed) != address {
            self.root.edge.store(address, Ordering::Relaxed);
        }
    }
}

/// The most that a tree can be high: nodes are of 128 bytes and more, and each level has at least fourteen times as many as the
/// one above, so 2 GiB are used up before.
pub(super) const HEIGHT_MAX: usize = 10;

/// All trees of one memory, and what is known of them.
#[repr(C, align(64))]
pub(super) struct Side {
    slabs: Slabs,
    /// In these slabs alone (T6).
    directory: Root,
    recent: Recent,
    pub(super) figures: Figures,
}

/// What a side holds. Written by the writer alone.
#[repr(C, align(64))]
pub(super) struct Figures {
    pub(super) entries_count: Plain64,
    pub(super) tables_count: Plain64,
    /// `u64::MAX` without entries.
    pub(super) sequence_min: Plain64,
    pub(super) sequence_max: Plain64,
    /// What the arena holds.
    pub(super) held_bytes: Plain64,
    /// How many nodes there are at each height; at 0 leaves.
    pub(super) node_counts: [Plain64; HEIGHT_MAX],
}

impl Side {
    pub(super) fn new(held_bytes: u64) -> Side {
        Side {
            slabs: Slabs::new(),
            directory: Root::new(),
            recent: Recent::new(),
            figures: Figures {
                entries_count: Plain64::new(0),
                tables_count: Plain64::new(0),
                sequence_min: Plain64::new(u64::MAX),
                sequence_max: Plain64::new(0),
                held_bytes: Plain64::new(held_bytes),
                node_counts: [const { Plain64::new(0) }; HEIGHT_MAX],
            },
        }
    }

    /// Forgets everything, because the arena was reset and holds so much now. For whoever has the arena to itself.
    pub(super) fn forget(&self, held_bytes: u64) {
        self.slabs.forget();
        self.directory.forget();
        self.recent.forget();
        let figures = &self.figures;
        let zero = [&figures.entries_count, &figures.tables_count, &figures.sequence_max];
        zero.into_iter().chain(&figures.node_counts).for_each(|figure| figure.set(0));
        figures.sequence_min.set(u64::MAX);
        figures.held_bytes.set(held_bytes);
    }

    pub(super) fn slabs(&self) -> &Slabs {
        &self.slabs
    }

    /// The directory, as it is now or later.
    ///
    /// # Safety
    /// 1. While it is used, nobody resets the arena of these slabs or forgets them.
    #[inline(always)]
    pub(super) unsafe fn directory(&self) -> Directory<'_> {
        // SAFETY: what the directory's root leads to was made by an inserter of these slabs (T6); `forget` empties both, and
        // by 1 nobody calls it.
        Directory { tree: unsafe { TreeRef::new(&self.slabs, &self.directory) }, recent: &self.recent }
    }
}

/// The tree that leads to the tables' trees.
#[derive(Clone, Copy)]
pub(super) struct Directory<'p> {
    pub(super) tree: TreeRef<'p>,
    recent: &'p Recent,
}

impl<'p> Directory<'p> {
    /// The tree of a table.
    #[inline(always)]
    pub(super) fn table(self, table: u32) -> Option<TreeRef<'p>> {
        let Some(offset) = self.recent.offset(table) else { return self.table_slowly(table) };
        // SAFETY: `note` has put the offset of this table's root there, and `forget` has not been called since.
        Some(unsafe { TreeRef::of_offset(self.tree.slabs, offset) })
    }

    #[inline(never)]
    fn table_slowly(self, table: u32) -> Option<TreeRef<'p>> {
        let found = self.tree.get(&Target::new(&table.to_be_bytes(), 0))?;
        self.of_record(&found)
    }

    /// Notes a table that will be asked for again. For the writer.
    pub(super) fn note(self, table: u32) {
        if self.recent.offset(table).is_none()
            && let Some(found) = self.tree.get(&Target::new(&table.to_be_bytes(), 0))
            && let Some(offset) = found.row.first_chunk::<4>()
        {
            self.recent.note(table, u32::from_le_bytes(*offset));
        }
    }

    /// The first table from this number on.
    pub(super) fn table_from(self, table: u32) -> Option<(u32, TreeRef<'p>)> {
        let found = self.tree.first_from(&Target::new(&table.to_be_bytes(), 0))?;
        Some((u32::from_be_bytes(*found.key.first_chunk::<4>()?), self.of_record(&found)?))
    }

    #[inline(always)]
    fn of_record(self, record: &Record<'p>) -> Option<TreeRef<'p>> {
        let offset = u32::from_le_bytes(*record.row.first_chunk::<4>()?);
        // SAFETY: a record of the directory (T6), which lies in the same slabs.
        Some(unsafe { TreeRef::of_offset(self.tree.slabs, offset) })
    }
}

impl<'p> TreeRef<'p> {
    /// The leaf in whose range the target is, and a state that it had.
    #[inline(always)]
    pub(super) fn leaf_for(self, target: &Target<'_>) -> Option<(Leaf<'p>, State)> {
        let mut node = self.top()?.node;
        loop {
            node.prefetch();
            match node.kind() {
                (Kind::Leaf(leaf), state) => return Some((leaf, state)),
                (Kind::Inner(inner), state) => node = inner.child_for(state, target).1,
            }
        }
    }

    /// The target's version of its key: the newest one that is not newer than the target.
    #[inline(always)]
    pub(super) fn get(self, target: &Target<'_>) -> Option<Record<'p>> {
        loop {
            let changes = self.changes();
            let (leaf, state) = self.leaf_for(target)?;
            match leaf.version(state, target) {
                Version::Found(record) if self.is_unchanged(changes) => return Some(record),
                Version::None if self.is_unchanged(changes) => return None,
                Version::Found(_) | Version::None => {}
                Version::Unclear => {
                    let found = version_slowly(leaf, state, target);
                    if self.is_unchanged(changes) {
                        return found.map(RecordRef::get);
                    }
                }
            }
        }
    }

    /// The first entry from the target on.
    pub(super) fn first_from(self, target: &Target<'_>) -> Option<Record<'p>> {
        loop {
            let changes = self.changes();
            let found = self.find(target).and_then(|(_, found)| found.at);
            if self.is_unchanged(changes) {
                return found.map(RecordRef::get);
            }
        }
    }

    /// The first entry from the target on, and its leaf, as far as can be told while nodes are split.
    #[inline(always)]
    pub(super) fn find(self, target: &Target<'_>) -> Option<(Leaf<'p>, Found<'p>)> {
        let (leaf, state) = self.leaf_for(target)?;
        let found = leaf.find(state, target);
        if found.at.is_some() { Some((leaf, found)) } else { find_behind(leaf, target) }
    }
}

/// The target's version of its key, in the leaf where it belongs or behind it.
#[inline(never)]
fn version_slowly<'p>(leaf: Leaf<'p>, state: State, target: &Target<'_>) -> Option<RecordRef<'p>> {
    let found = leaf.find(state, target);
    let found = if found.at.is_some() { found } else { find_behind(leaf, target)?.1 };
    found.same_key.and(found.at)
}

/// The first entry from the target on in the leaves behind one.
#[inline(never)]
fn find_behind<'p>(mut leaf: Leaf<'p>, target: &Target<'_>) -> Option<(Leaf<'p>, Found<'p>)> {
    loop {
        leaf = leaf.next()?;
        // Not its first one where the leaf before has copied entries to here, and has not yet given them up.
        let found = leaf.find_by_records(target);
        if found.at.is_some() {
            return Some((leaf, found));
        }
    }
}
