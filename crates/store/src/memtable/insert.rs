//! Writing: how an entry comes into a tree.
//!
//! ```text
//!   parent | A  M  T |               parent | A  M  P  T |
//!              |                                |  |
//!   leaf   | M N O P Q R |   + Pa    leaf | M N O |  | P Pa Q R |
//! ```
//!
//! An entry is written to memory and put into its leaf, whose later entries move one place to the right (node N5). Where the leaf
//! is full, a new leaf beside it gets its upper half and the nodes above get a new child, in the order that tree T3 asks
//! for; they are split the same way where they are full. Entries that come in order, up or down, leave full leaves behind.
//! An entry behind all others is put there without a search if the one before was: the tree's *edge* is known.
//!
//! Nothing can fail halfway: what an insertion takes of memory is known when its leaf is found, and made sure of before
//! anything is changed. *Reserve* makes sure of what many insertions can take at worst.

use cofferdam_arena::AllocError;

use super::EntryKind;
use super::node::{
    Child, Found, Inner, Kind, Leaf, Low, NODE_BYTES, NewInner, NewLeaf, NodeRef, RecordRef, SLOTS, State,
    Target, shared_bytes,
};
use super::record::{
    BEFORE_BYTES, Before, HEADER_BYTES_MAX, Header, Record, TRACK_BYTES, record_bytes, refuse_record,
};
use super::slab::{Cutter, Memory, NEEDS_BYTES_MAX, Needs};
use super::tally::Tally;
use super::tree::{Directory, HEIGHT_MAX, ROOT_BYTES, Side, TreeRef};

/// How many more bytes of a key the skip must leave out before heads are rewritten for it.
const SKIP_GAIN: usize = 2;

/// The writer of a side.
pub(super) struct Inserter<'w, M: Memory> {
    side: &'w Side,
    directory: Directory<'w>,
    cutter: Cutter<'w, M>,
}

/// What an insertion into a tree will do.
#[expect(clippy::large_enum_variant, reason = "on the stack, for the length of one insertion")]
enum Plan<'w> {
    /// Make the first leaf.
    Begin,
    /// Put the record in the place of one with the same key and sequence.
    Replace { leaf: Leaf<'w>, rank: usize },
    /// Put the record into a leaf.
    Fill { leaf: Leaf<'w>, rank: usize },
    /// Split the leaf.
    Split(Path<'w>),
}

impl Plan<'_> {
    fn nodes_bytes(&self) -> usize {
        match self {
            Plan::Begin => NODE_BYTES,
            Plan::Replace { .. } | Plan::Fill { .. } => 0,
            Plan::Split(path) => path.nodes_bytes(),
        }
    }
}

/// An inner node on the way to a leaf, and the rank of the child to go to.
#[derive(Clone, Copy)]
struct Step<'w> {
    node: Inner<'w>,
    rank: usize,
}

/// The way from the top to a leaf.
struct Path<'w> {
    leaf: Leaf<'w>,
    /// How many of the leaf's records are before the target.
    rank: usize,
    /// The inner nodes, from the leaf upwards.
    steps: [Option<Step<'w>>; HEIGHT_MAX],
}

impl<'w> Path<'w> {
    /// The way to a leaf, where the target has this rank.
    fn new(top: NodeRef<'w>, leaf: Leaf<'w>, rank: usize, target: &Target<'_>) -> Path<'w> {
        let mut path = Path { leaf, rank, steps: [None; HEIGHT_MAX] };
        let mut node = top;
        while let (Kind::Inner(inner), state) = node.kind() {
            let (rank, child) = inner.child_for(state, target);
            path.steps[state.height() - 1] = Some(Step { node: inner, rank });
            node = child;
        }
        path
    }

    /// The inner nodes from some height on, upwards.
    fn above(&self, height: usize) -> impl Iterator<Item = Step<'w>> {
        self.steps.iter().skip(height).map_while(|step| *step)
    }

    /// What splitting takes: a node beside each full one from the leaf up to the first that is not, or a new top.
    fn nodes_bytes(&self) -> usize {
        let full_count = self.above(0).take_while(|step| step.node.is_full()).count();
        let has_room = full_count < self.above(0).count();
        (1 + full_count + usize::from(!has_room)) * NODE_BYTES
    }

    /// What the range of the node at a height ends with; none where it is open.
    fn end(&self, height: usize) -> Option<Low<'w>> {
        let step = self.above(height).find(|step| step.rank + 1 < step.node.count())?;
        step.node.child(step.rank + 1).low()
    }
}

/// How many bytes all keys between two separators share; none where the range is open.
fn skip_between(begin: Option<Low<'_>>, end: Option<Low<'_>>) -> Option<usize> {
    Some(shared_bytes(begin?.record.get().key, end?.record.get().key))
}

impl<'w, M: Memory> Inserter<'w, M> {
    /// # Safety
    /// 1. The cutter is of the side's slabs.
    #[expect(unsafe_code, reason = "listed in the module's text")]
    pub(super) unsafe fn new(side: &'w Side, cutter: Cutter<'w, M>) -> Inserter<'w, M> {
        // SAFETY: who has a cutter has promised that the arena is not reset (`Cutter::new`).
        Inserter { side, directory: unsafe { side.directory() }, cutter }
    }

    /// Inserts a record; one with the same table, key and sequence gives its place to it.
    ///
    /// # Errors
    /// As [`Cutter::ensure`]; nothing has changed then.
    #[inline(always)]
    pub(super) fn insert(
        &self,
        table: u32,
        record: &Record<'_>,
        before: Before,
    ) -> Result<RecordRef<'w>, AllocError> {
        debug_assert!(record.sequence <= i64::MAX as u64, "sequences are compared as signed numbers");
        let (header, records_bytes) = self.header(record, before)?;
        let inserted = match self.directory.table(table) {
            Some(tree) => {
                let plan = self.plan(tree, &Target::new(record.key, record.sequence));
                self.ensure(Needs { records_bytes, nodes_bytes: plan.nodes_bytes() })?;
                let inserted = RecordRef::write(&self.cutter, &header, record, before);
                if !self.carry_out(tree, plan, inserted, record.key) {
                    return Ok(inserted);
                }
                self.directory.note(table);
                inserted
            }
            None => self.insert_first(table, &header, record, before)?,
        };
        self.side.figures.entries_count.add(1);
        self.note_sequence(record.sequence);
        Ok(inserted)
    }

    /// Gives the place of a key's newest version to a record that is not older; none, and nothing changed, where there is no
    /// version newer than `savepoint`.
    ///
    /// # Errors
    /// As [`Cutter::ensure`]; nothing has changed then.
    pub(super) fn replace_newest(
        &self,
        table: u32,
        record: &Record<'_>,
        before: [u8; BEFORE_BYTES],
        savepoint: u64,
    ) -> Result<Option<RecordRef<'w>>, AllocError> {
        let newest = Target::new(record.key, u64::MAX);
        let found = self.directory.table(table).and_then(|tree| Some((tree, tree.find(&newest)?)));
        let Some((tree, (leaf, found))) = found else { return Ok(None) };
        let may_go = |version: Record<'_>| (savepoint + 1..=record.sequence).contains(&version.sequence);
        if !found.same_key.is_some_and(may_go) {
            return Ok(None);
        }
        let (header, records_bytes) = self.header(record, Some(before))?;
        self.ensure(Needs { records_bytes, nodes_bytes: 0 })?;
        let written = RecordRef::write(&self.cutter, &header, record, Some(before));
        self.carry_out(tree, Plan::Replace { leaf, rank: found.rank }, written, record.key);
        self.note_sequence(record.sequence);
        Ok(Some(written))
    }

    #[inline(always)]
    fn header(&self, record: &Record<'_>, before: Before) -> Result<(Header, usize), AllocError> {
        let header = Header::new(record, self.cutter.set_base_sequence(record.sequence));
        let bytes =
            record_bytes(&header, record, before).ok_or_else(|| refuse_record(self.cutter.memory()))?;
        Ok((header, bytes))
    }

    #[inline(always)]
    fn note_sequence(&self, sequence: u64) {
        let figures = &self.side.figures;
        if sequence < figures.sequence_min.get() {
            figures.sequence_min.set(sequence);
        }
        if sequence > figures.sequence_max.get() {
            figures.sequence_max.set(sequence);
        }
    }

    /// Makes sure that so many entries of so many tables can be inserted, with keys and rows of `bytes` together, by table and key in
    /// ascending order: these do not fail.
    ///
    /// # Errors
    /// As [`Cutter::ensure`]; nothing has changed then.
    pub(super) fn reserve(&self, tables: usize, entries: usize, bytes: usize) -> Result<(), AllocError> {
        // A table may be new: a root, a leaf, and an entry of the directory.
        let records_bytes = (HEADER_BYTES_MAX + TRACK_BYTES)
            .saturating_mul(entries.saturating_add(tables))
            .saturating_add(bytes)
            .saturating_add(tables.saturating_mul(8));
        let counts = self.side.figures.node_counts.each_ref().map(|count| count.get() as usize);
        let leaves = new_leaves_max(counts[0], tables, entries);
        let nodes_bytes = NODE_BYTES
            .saturating_mul(leaves.saturating_add(inner_nodes_max(&counts, tables, leaves)))
            .saturating_add(ROOT_BYTES.saturating_mul(tables));
        self.ensure(Needs { records_bytes, nodes_bytes })
    }

    fn ensure(&self, needs: Needs) -> Result<(), AllocError> {
        if self.cutter.ensure(needs)? {
            self.side.figures.held_bytes.set(self.cutter.memory().held_bytes() as u64);
        }
        Ok(())
    }

    /// Inserts the first record of a table: its tree is complete before the directory leads to it.
    #[cold]
    fn insert_first(
        &self,
        table: u32,
        header: &Header,
        record: &Record<'_>,
        before: Before,
    ) -> Result<RecordRef<'w>, AllocError> {
        let directory = self.directory.tree;
        let key = table.to_be_bytes();
        let mut entry = Record { key: &key, sequence: 0, kind: EntryKind::Put, row: &[0; 4] };
        let entry_header = Header::new(&entry, self.side.slabs().base_sequence());
        let bytes_of = |header: &Header, record: &Record<'_>, before| {
            record_bytes(header, record, before).unwrap_or(NEEDS_BYTES_MAX)
        };
        let plan = self.plan(directory, &Target::new(&key, 0));
        self.ensure(Needs {
            records_bytes: bytes_of(header, record, before) + bytes_of(&entry_header, &entry, None),
            nodes_bytes: plan.nodes_bytes() + ROOT_BYTES + NODE_BYTES,
        })?;
        let (tree, offset) = TreeRef::create(&self.cutter);
        let inserted = RecordRef::write(&self.cutter, header, record, before);
        self.carry_out(tree, Plan::Begin, inserted, record.key);
        let row = offset.to_le_bytes();
        entry.row = &row;
        let entry_record = RecordRef::write(&self.cutter, &entry_header, &entry, None);
        self.carry_out(directory, plan, entry_record, &key);
        self.side.figures.tables_count.add(1);
        Ok(inserted)
    }

    #[inline(always)]
    fn plan(&self, tree: TreeRef<'w>, target: &Target<'_>) -> Plan<'w> {
        let edge = tree.edge().and_then(|leaf| Some((leaf, leaf.is_passed_by(target)?, None)));
        let found = edge.or_else(|| {
            let (leaf, state) = tree.leaf_for(target)?;
            let Found { rank, same_key, .. } = leaf.find(state, target);
            Some((leaf, rank, same_key))
        });
        let Some((leaf, rank, same_key)) = found else { return Plan::Begin };
        if same_key.is_some_and(|record| record.sequence as i64 == target.sequence) {
            Plan::Replace { leaf, rank }
        } else if leaf.is_full() {
            tree.top().map_or(Plan::Begin, |top| Plan::Split(Path::new(top.node, leaf, rank, target)))
        } else {
            Plan::Fill { leaf, rank }
        }
    }

    /// True where there is one more entry.
    #[inline(always)]
    fn carry_out(&self, tree: TreeRef<'w>, plan: Plan<'w>, record: RecordRef<'w>, key: &[u8]) -> bool {
        match plan {
            Plan::Fill { leaf, rank } => {
                tree.note_edge(Some(leaf).filter(|leaf| rank == leaf.count()));
                leaf.insert_record(rank, record, key);
            }
            Plan::Replace { leaf, rank } => {
                // Whoever is copying the leaf begins again, so that nobody has both.
                tree.change();
                leaf.replace_record(rank, record);
                return false;
            }
            Plan::Begin => {
                let new = self.new_leaf(None);
                new.leaf.insert_record(0, record, key);
                tree.set_top(new.child);
            }
            Plan::Split(path) => self.split_leaf(tree, &path, record, key),
        }
        true
    }

    #[inline(never)]
    fn split_leaf(&self, tree: TreeRef<'w>, path: &Path<'w>, record: RecordRef<'w>, key: &[u8]) {
        let Path { leaf, rank, .. } = *path;
        let tally = leaf.tally();
        let kept_count = tally.split_rank(rank, leaf.next().is_none());
        let is_new_first = kept_count == SLOTS;
        let first = if is_new_first { record } else { leaf.record(kept_count) };
        let last_key = match kept_count.checked_sub(1) {
            _ if rank == kept_count && !is_new_first => Some(key),
            Some(last) => Some(leaf.record(last).get().key),
            None => None,
        };
        let low = Low { record: first, is_whole: last_key != Some(first.get().key) };

        let new = self.new_leaf(Some(low));
        let (right, state) = (new.leaf, leaf.state());
        let is_gain = |shared: &usize| *shared >= state.skip() + SKIP_GAIN;
        let right_skip = skip_between(Some(low), path.end(0)).filter(is_gain);
        right.set_state(state.sure(right_skip.unwrap_or(state.skip())));
        right.take_from(*leaf, kept_count);
        if is_new_first {
            right.insert_record(0, record, key);
        } else if rank > kept_count {
            right.insert_record(rank - kept_count, record, key);
        }
        right.set_next_of(leaf);

        self.add_child(tree, path, 1, new.child);
        tree.note_edge(None);
        if is_new_first {
            leaf.set_next(new);
            tree.note_edge(Some(right));
            // The next one that comes here is no streak.
            leaf.keep(Tally::of(SLOTS));
        } else {
            tree.half_change();
            leaf.set_next(new);
            leaf.keep(if rank == kept_count { tally.keep(kept_count) } else { Tally::of(kept_count) });
            tree.half_change();
            leaf.clear();
        }
        if let Some(shared) = skip_between(leaf.low(), Some(low)).filter(is_gain) {
            reshape(tree, *leaf, state.sure(shared));
        }
        if rank <= kept_count && !is_new_first {
            leaf.insert_record(rank, record, key);
        }
    }

    /// Leads from the nodes above to a new node beside the one at `height - 1`.
    fn add_child(&self, tree: TreeRef<'w>, path: &Path<'w>, height: usize, child: Child<'w>) {
        let Some(Step { node, rank }) = path.above(height - 1).next() else {
            return self.add_top(tree, height, child);
        };
        let rank = rank + 1;
        if !node.is_full() {
            return insert_child(tree, node, rank, child);
        }
        let end = path.end(height);
        if rank == SLOTS && node.tally().is_ascending(rank) {
            // The node stays full, and the new one begins with the child.
            let new = self.new_inner(height, child.node.low());
            new.inner.insert_child(0, child);
            settle(tree, new.inner, end);
            self.add_child(tree, path, height + 1, new.child);
            node.keep(Tally::of(SLOTS));
            return settle(tree, node, new.inner.low());
        }
        let kept_count = SLOTS / 2;
        let new = self.new_inner(height, node.child(kept_count).low());
        new.inner.set_state(node.state());
        new.inner.take_from(*node, kept_count);
        settle(tree, new.inner, end);
        if rank > kept_count {
            insert_child(tree, new.inner, rank - kept_count, child);
        }
        self.add_child(tree, path, height + 1, new.child);
        tree.half_change();
        node.keep(Tally::of(kept_count));
        tree.half_change();
        node.clear();
        settle(tree, node, new.inner.low());
        if rank <= kept_count {
            insert_child(tree, node, rank, child);
        }
    }

    /// Puts a new topmost node above the one that there was and a child beside that.
    fn add_top(&self, tree: TreeRef<'w>, height: usize, child: Child<'w>) {
        let new = self.new_inner(height, None);
        if let Some(before) = tree.top() {
            new.inner.insert_child(0, before);
            insert_child(tree, new.inner, 1, child);
            tree.set_top(new.child);
        }
    }

    fn new_leaf(&self, low: Option<Low<'w>>) -> NewLeaf<'w> {
        self.side.figures.node_counts[0].add(1);
        NewLeaf::new(&self.cutter, low)
    }

    fn new_inner(&self, height: usize, low: Option<Low<'w>>) -> NewInner<'w> {
        self.side.figures.node_counts[height].add(1);
        NewInner::new(&self.cutter, height, low)
    }
}

/// The most leaves that insertions of so many entries into so many trees make, where there are `count` of them already and entries
/// come in ascending order.
///
/// Who goes up comes to a leaf once. There it splits it, twice if the first split leaves a full one before it. From then on a leaf
/// that it fills was half empty, or was left by a streak that is at least [`STREAK_MIN`](super::tally) entries long: fewer
/// than a fifth of the entries of a leaf never fill one.
fn new_leaves_max(count: usize, tables: usize, entries: usize) -> usize {
    let met = count.min(entries).saturating_mul(2);
    let filled = entries / (SLOTS / 6).max(1);
    // A table may be new: a leaf of its own, and one of the directory.
    met.saturating_add(filled).min(entries).saturating_add(tables.saturating_mul(2))
}

/// The most inner nodes that so many new leaves in so many trees make, where there are `counts` of them at each height already.
///
/// At a height where so many separators arrive, each splits a node at most, and only a full
/// one: one of those that there are, or one that became full, which takes half a node of separators after a split in the
/// middle and a whole one after a split at the end; splits at the end leave a full node behind, but only once a tree.
fn inner_nodes_max(counts: &[usize; HEIGHT_MAX], tables: usize, leaves: usize) -> usize {
    // The directory's tree gets an entry for each new table.
    let trees = tables.saturating_add(1);
    let mut arriving = leaves.saturating_add(tables);
    // New tops.
    let mut total = trees.saturating_add(arriving / SLOTS);
    for count in counts.iter().skip(1) {
        let full = if *count == 0 { 0 } else { count.saturating_add(trees) };
        arriving = arriving.min(full.saturating_add(arriving / (SLOTS / 3)));
        total = total.saturating_add(arriving);
    }
    total
}

/// Puts a child that is not the leftmost one into an inner node that has room.
fn insert_child<'w>(tree: TreeRef<'w>, node: Inner<'w>, rank: usize, child: Child<'w>) {
    let (state, low) = (node.state(), child.node.low());
    if node.count() < 2 || !state.is_sure() {
        // What all separators share, the new one among them.
        let shared = match node.count() {
            2.. => skip_between(low, node.child(1).low()).unwrap_or(0).min(state.skip()),
            _ => low.map_or(0, |low| low.record.get().key.len()),
        };
        let wanted = open_state(state, shared);
        if wanted != state {
            reshape(tree, *node, wanted);
        }
    }
    node.insert_child(rank, child);
}

/// The state of an inner node whose range is open, where all separators share so much: unsure, unless that is hardly
/// worth the comparison.
fn open_state(state: State, shared: usize) -> State {
    if shared < SKIP_GAIN { state.sure(0) } else { state.unsure(shared) }
}

/// Gives an inner node the state that goes with its range: sure of what all keys in it share, or, where it is open, unsure
/// of what all separators in it share.
fn settle<'w>(tree: TreeRef<'w>, node: Inner<'w>, end: Option<Low<'w>>) {
    let (state, count) = (node.state(), node.count());
    let wanted = match skip_between(node.low(), end) {
        Some(shared) if state.is_sure() && shared < state.skip() + SKIP_GAIN => return,
        Some(shared) => state.sure(shared),
        None if count < 2 => state.sure(0),
        None => {
            let shared = skip_between(node.child(1).low(), node.child(count - 1).low());
            open_state(state, shared.unwrap_or(0))
        }
    };
    if wanted != state {
        reshape(tree, *node, wanted);
    }
}

/// Rewrites a node's heads for another skip (tree T5).
#[inline(never)]
pub(super) fn reshape(tree: TreeRef<'_>, node: NodeRef<'_>, state: State) {
    node.set_state(state.flux());
    tree.change();
    node.set_heads(state.skip());
    node.set_state(state);
}
