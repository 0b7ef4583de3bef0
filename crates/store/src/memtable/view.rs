//! Reading: lookups and cursors. Nothing here waits for anybody.
//!
//! A reader goes down without a lock, beside the writer. It looks at the number of the tree's changes before and after: if
//! that is the same, no node gave up entries meanwhile, and what it found is right (tree T4). Otherwise it goes down again;
//! that happens only because the writer has split a node, which it does once for about ten insertions.
//!
//! A cursor copies where a leaf's entries are, then gives them one by one without looking at the leaf again. It moves on to the
//! next leaf by the link while *changes* stays the same, and looks from the top for what comes behind its last entry
//! where it does not. A cursor that has passed two leaves is a scan: it copies one leaf ahead and asks for the memory of its
//! records, which are anywhere if they came in random order.

use super::node::{LeafCopy, Target};
use super::tree::{Directory, Side, TreeRef};
use super::{Entry, Figures};
use crate::schema::TableId;

/// A memtable, or a write set, as readers see it: what was inserted before it was made, and perhaps what came later.
#[derive(Clone, Copy)]
pub(crate) struct Memtable<'p> {
    side: &'p Side,
    directory: Directory<'p>,
}

impl<'p> Memtable<'p> {
    /// # Safety
    /// 1. While `'p` lasts, nobody resets the side's arena or forgets its trees.
    #[expect(unsafe_code, reason = "listed in the module's text")]
    pub(super) unsafe fn new(side: &'p Side) -> Memtable<'p> {
        // SAFETY: the caller's promise.
        Memtable { side, directory: unsafe { side.directory() } }
    }

    /// The newest version of a key whose sequence is at most `sequence`; a tombstone is one.
    #[inline]
    pub(crate) fn get(&self, table: TableId, key: &[u8], sequence: u64) -> Option<Entry<'p>> {
        let tree = self.directory.table(table.0)?;
        Some(Entry::new(table.0, tree.get(&Target::new(key, sequence))?))
    }

    /// A cursor that stands nowhere yet.
    pub(crate) fn cursor(&self) -> Cursor<'p> {
        Cursor {
            directory: self.directory,
            tree: self.directory.tree,
            table: 0,
            changes: 0,
            leaf: LeafCopy::empty(self.directory.tree.slabs()),
            at: 0,
            ahead: None,
            passed_count: 0,
        }
    }

    /// The first table from a number on that has entries.
    pub(crate) fn table_from(&self, table: TableId) -> Option<TableId> {
        let mut cursor = self.cursor();
        cursor.seek(table, &[], u64::MAX);
        cursor.entry().map(|entry| entry.table)
    }

    /// What it holds.
    pub(crate) fn figures(&self) -> Figures {
        Figures::of(self.side)
    }
}

/// A place between the entries of a memtable.
#[derive(Clone)]
pub(crate) struct Cursor<'p> {
    directory: Directory<'p>,
    tree: TreeRef<'p>,
    table: u32,
    /// Of the tree, when the leaf was copied.
    changes: u32,
    leaf: LeafCopy<'p>,
    /// The rank of the entry in the leaf; the count at the end.
    at: usize,
    /// The leaf behind, copied while *changes* was what it is.
    ahead: Option<LeafCopy<'p>>,
    /// Leaves that were passed since the last seek.
    passed_count: u32,
}

impl<'p> Cursor<'p> {
    /// Goes to the first entry from there on: the key's newest version whose sequence is at most `sequence`, else what comes
    /// behind it.
    pub(crate) fn seek(&mut self, table: TableId, key: &[u8], sequence: u64) {
        (self.ahead, self.passed_count) = (None, 0);
        match self.directory.table(table.0) {
            Some(tree) => {
                (self.table, self.tree) = (table.0, tree);
                self.find(Target::new(key, sequence), false);
            }
            None if self.enter_table(Some(table.0)) => self.find(Target::FIRST, false),
            None => {}
        }
    }

    /// Goes to the first entry of all.
    pub(crate) fn seek_first(&mut self) {
        (self.ahead, self.passed_count) = (None, 0);
        if self.enter_table(Some(0)) {
            self.find(Target::FIRST, false);
        }
    }

    /// The entry that the cursor stands at; none at the end.
    #[inline]
    pub(crate) fn entry(&self) -> Option<Entry<'p>> {
        self.leaf.record(self.at).map(|record| Entry::new(self.table, record))
    }

    /// Goes to the next entry.
    #[inline]
    pub(crate) fn next(&mut self) {
        self.at += 1;
        if self.at >= self.leaf.count() {
            self.leave_leaf();
        }
    }

    #[inline(never)]
    fn leave_leaf(&mut self) {
        match self.ahead.take() {
            Some(ahead) => (self.leaf, self.at) = (ahead, 0),
            None => self.leave_leaf_slowly(),
        }
        self.passed_count = self.passed_count.saturating_add(1);
        if self.passed_count >= 2 {
            self.look_ahead();
        }
    }

    /// Copies the leaf behind, if it is certain which one that is.
    fn look_ahead(&mut self) {
        if !self.changes.is_multiple_of(2) {
            return;
        }
        if let Some(next) = self.leaf.next() {
            let ahead = next.copy::<true>();
            if self.tree.is_unchanged(self.changes) && ahead.count() > 0 {
                self.ahead = Some(ahead);
            }
        }
    }

    fn leave_leaf_slowly(&mut self) {
        self.at = self.leaf.count();
        if let Some(last) = self.at.checked_sub(1).and_then(|last| self.leaf.record(last)) {
            self.find(Target::after(&last), true);
        }
    }

    /// Goes to the first entry from the target on, in the table or behind it: from the leaf where the cursor stands, if
    /// all entries from there up to the cursor are before the target, or from the top.
    fn find(&mut self, mut target: Target<'_>, mut is_near: bool) {
        loop {
            if !is_near {
                self.descend(&target);
            }
            match self.follow(&target) {
                Followed::Found => return,
                Followed::Changed => is_near = false,
                Followed::TableEnds => {
                    if !self.enter_table(self.table.checked_add(1)) {
                        return;
                    }
                    (target, is_near) = (Target::FIRST, false);
                }
            }
        }
    }

    /// Takes the first table from a number on; false, and the cursor at the end, where there is none.
    fn enter_table(&mut self, from: Option<u32>) -> bool {
        (self.leaf, self.at) = (LeafCopy::empty(self.tree.slabs()), 0);
        let found = from.and_then(|from| self.directory.table_from(from));
        if let Some(found) = found {
            (self.table, self.tree) = found;
        }
        found.is_some()
    }

    /// Goes from the top to the leaf where the target belongs.
    fn descend(&mut self, target: &Target<'_>) {
        loop {
            self.changes = self.tree.changes();
            (self.leaf, self.at) = match self.tree.leaf_for(target) {
                Some((leaf, state)) => {
                    // What is found first is still there when the leaf is copied.
                    let found = leaf.find(state, target);
                    let copy = leaf.copy::<false>();
                    (copy, copy.rank_of(found.at))
                }
                None => (LeafCopy::empty(self.tree.slabs()), 0),
            };
            if self.tree.is_unchanged(self.changes) {
                return;
            }
        }
    }

    /// Goes on to the first leaf that has an entry from the target on.
    fn follow(&mut self, target: &Target<'_>) -> Followed {
        while self.at >= self.leaf.count() {
            let Some(next) = self.leaf.next() else {
                let is_end = self.tree.is_unchanged(self.changes);
                return if is_end { Followed::TableEnds } else { Followed::Changed };
            };
            // While *changes* is odd, a leaf may have copied entries to the next one and not yet given them up.
            let is_odd = !self.changes.is_multiple_of(2);
            let first = if is_odd { next.find_by_records(target).at } else { None };
            let leaf = next.copy::<false>();
            if !self.tree.is_unchanged(self.changes) {
                return Followed::Changed;
            }
            (self.leaf, self.at) = (leaf, if is_odd { leaf.rank_of(first) } else { 0 });
        }
        Followed::Found
    }
}

/// Where a cursor came when it followed the links.
enum Followed {
    Found,
    /// A node has given up entries meanwhile.
    Changed,
    TableEnds,
}
