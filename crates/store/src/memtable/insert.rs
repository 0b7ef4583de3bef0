//! Writing: how an entry comes into a tree.
//!
//! ```text
//!   parent | A  M  T |               parent | A  M  P  T |
//!              |                                |  |
//!   leaf   | M N O P Q R |   + Pa    leaf | M N O |  | P Pa Q R |
//! ```
//!
//! An entry is written to memory, put into a free slot of its leaf and published by the leaf's order. Where the leaf is full, a
//! new leaf beside it gets its upper half and the nodes above get a separator, in the order that tree T3 asks for; they are
//! split the same way where they are full. Entries that come in order, up or down, leave full leaves behind.
//!
//! Nothing can fail halfway: what an insertion takes of memory is known when its leaf is found, and made sure of before
//! anything is changed. *Reserve* makes sure of what many insertions can take at worst.

use cofferdam_arena::AllocError;

use super::EntryKind;
use super::node::{
    INNER_BYTES, LEAF_BYTES, NodeRef, RecordRef, Separator, State, Target, head, shared_bytes,
};
use super::order::{Order, SLOTS};
use super::record::{HEADER_BYTES_MAX, Header, Record, TRACK_BYTES, record_bytes, refuse_record};
use super::slab::{Cutter, Memory, Pieces};
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
    Replace { leaf: NodeRef<'w>, order: Order, rank: usize },
    /// Put the record into a free slot.
    Fill { leaf: NodeRef<'w>, order: Order, rank: usize },
    /// Split the leaf.
    Split(Path<'w>),
}

impl Plan<'_> {
    fn nodes_bytes(&self) -> usize {
        match self {
            Plan::Begin => LEAF_BYTES,
            Plan::Replace { .. } | Plan::Fill { .. } => 0,
            Plan::Split(path) => path.nodes_bytes(),
        }
    }
}

#[derive(Clone, Copy)]
struct Step<'w> {
    node: NodeRef<'w>,
    order: Order,
    /// Of the target in the node.
    rank: usize,
}

/// The way from the top to a leaf; step 0 is the leaf.
struct Path<'w> {
    steps: [Step<'w>; HEIGHT_MAX],
    height: usize,
}

impl<'w> Path<'w> {
    /// The way to the target's leaf.
    fn new(top: NodeRef<'w>, target: &Target<'_>) -> Path<'w> {
        let step = |node: NodeRef<'w>| {
            let order = node.order();
            let rank = if node.height() > 0 {
                node.rank::<true>(order, target)
            } else {
                node.rank::<false>(order, target)
            };
            Step { node, order, rank }
        };
        let first = step(top);
        let mut path = Path { steps: [first; HEIGHT_MAX], height: top.height() as usize };
        for height in (0..path.height).rev() {
            let above = &path.steps[height + 1];
            path.steps[height] = step(above.node.child(above.order, above.rank));
        }
        path
    }

    /// What splitting takes: a node beside each full one from the leaf up to the first that is not, or a new top.
    fn nodes_bytes(&self) -> usize {
        let full_count = self.steps[..=self.height].iter().take_while(|step| step.order.is_full()).count();
        let inner_count = full_count - 1 + usize::from(full_count > self.height);
        LEAF_BYTES + inner_count * INNER_BYTES
    }

    /// Between which separators the range of the node at a height lies; none where it is open.
    fn range(&self, height: usize) -> [Option<RecordRef<'w>>; 2] {
        let [mut begin, mut end] = [None, None];
        for Step { node, order, rank } in self.steps.iter().take(self.height + 1).skip(height + 1) {
            if begin.is_none() && *rank > 0 {
                begin = Some(node.record(*order, rank - 1));
            }
            if end.is_none() && *rank < order.count() {
                end = Some(node.record(*order, *rank));
            }
        }
        [begin, end]
    }
}

/// How many bytes all keys between two share; none where the range is open.
fn skip_between(begin: Option<RecordRef<'_>>, end: Option<RecordRef<'_>>) -> Option<usize> {
    Some(shared_bytes(begin?.get().key, end?.get().key))
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
    pub(super) fn insert(&self, table: u32, record: &Record<'_>) -> Result<RecordRef<'w>, AllocError> {
        let base = self.cutter.set_base_sequence(record.sequence);
        let header = Header::new(record, base);
        let records_bytes =
            record_bytes(&header, record).ok_or_else(|| refuse_record(self.cutter.memory()))?;
        let inserted = match self.directory.table(table) {
            Some(tree) => {
                let plan = self.plan(tree, &Target::new(record.key, record.sequence));
                self.ensure(Pieces { records_bytes, nodes_bytes: plan.nodes_bytes() })?;
                let inserted = RecordRef::write(&self.cutter, &header, record);
                if !self.carry_out(tree, plan, inserted, record.key) {
                    return Ok(inserted);
                }
                inserted
            }
            None => self.insert_first(table, &header, record, records_bytes)?,
        };
        let figures = &self.side.figures;
        figures.entries_count.add(1);
        if record.sequence < figures.sequence_min.get() {
            figures.sequence_min.set(record.sequence);
        }
        if record.sequence > figures.sequence_max.get() {
            figures.sequence_max.set(record.sequence);
        }
        Ok(inserted)
    }

    /// Makes sure that so many entries of so many tables can be inserted, with keys and rows of `bytes` together: these do
    /// not fail.
    ///
    /// # Errors
    /// As [`Cutter::ensure`]; nothing has changed then.
    pub(super) fn reserve(&self, tables: usize, entries: usize, bytes: usize) -> Result<(), AllocError> {
        // A table may be new: a root, a leaf, and an entry of the directory.
        let records_bytes = (HEADER_BYTES_MAX + TRACK_BYTES)
            .saturating_mul(entries.saturating_add(tables))
            .saturating_add(bytes)
            .saturating_add(tables.saturating_mul(8));
        let counts = self.side.figures.inner_counts.each_ref().map(|count| count.get() as usize);
        let nodes_bytes = LEAF_BYTES
            .saturating_mul(entries.saturating_add(tables.saturating_mul(2)))
            .saturating_add(ROOT_BYTES.saturating_mul(tables))
            .saturating_add(INNER_BYTES.saturating_mul(inner_nodes_max(&counts, tables, entries)));
        self.ensure(Pieces { records_bytes, nodes_bytes })
    }

    fn ensure(&self, pieces: Pieces) -> Result<(), AllocError> {
        self.cutter.ensure(pieces)?;
        self.side.figures.held_bytes.set(self.cutter.memory().held_bytes() as u64);
        Ok(())
    }

    /// Inserts the first record of a table: its tree is complete before the directory leads to it.
    #[cold]
    fn insert_first(
        &self,
        table: u32,
        header: &Header,
        record: &Record<'_>,
        records_bytes: usize,
    ) -> Result<RecordRef<'w>, AllocError> {
        let directory = self.directory.tree;
        let key = table.to_be_bytes();
        let mut entry = Record { key: &key, sequence: 0, kind: EntryKind::Put, row: &[0; 4] };
        let entry_header = Header::new(&entry, self.side.slabs().base_sequence());
        let entry_bytes = record_bytes(&entry_header, &entry).unwrap_or(0);
        let plan = self.plan(directory, &Target::new(&key, 0));
        self.ensure(Pieces {
            records_bytes: records_bytes + entry_bytes,
            nodes_bytes: plan.nodes_bytes() + ROOT_BYTES + LEAF_BYTES,
        })?;
        let (tree, offset) = TreeRef::create(&self.cutter);
        let inserted = RecordRef::write(&self.cutter, header, record);
        self.carry_out(tree, Plan::Begin, inserted, record.key);
        let row = offset.to_le_bytes();
        entry.row = &row;
        let entry_record = RecordRef::write(&self.cutter, &entry_header, &entry);
        self.carry_out(directory, plan, entry_record, &key);
        self.side.figures.tables_count.add(1);
        Ok(inserted)
    }

    #[inline(always)]
    fn plan(&self, tree: TreeRef<'w>, target: &Target<'_>) -> Plan<'w> {
        let Some((leaf, order)) = tree.leaf_of(target) else { return Plan::Begin };
        let rank = leaf.rank::<false>(order, target);
        if leaf.is_at(order, rank, target) {
            Plan::Replace { leaf, order, rank }
        } else if order.is_full() {
            tree.top().map_or(Plan::Begin, |top| Plan::Split(Path::new(top, target)))
        } else {
            Plan::Fill { leaf, order, rank }
        }
    }

    /// True where there is one more entry.
    #[inline(always)]
    fn carry_out(&self, tree: TreeRef<'w>, plan: Plan<'w>, record: RecordRef<'w>, key: &[u8]) -> bool {
        match plan {
            Plan::Fill { leaf, order, rank } => fill(leaf, order, rank, record, key),
            Plan::Replace { leaf, order, rank } => {
                leaf.set_record(order.slot(rank), leaf.head(order, rank), record);
                return false;
            }
            Plan::Begin => {
                let leaf = NodeRef::new(&self.cutter, 0);
                fill(leaf, leaf.order(), 0, record, key);
                tree.set_top(leaf);
            }
            Plan::Split(path) => self.split_leaf(tree, &path, record, key),
        }
        true
    }

    #[inline(never)]
    fn split_leaf(&self, tree: TreeRef<'w>, path: &Path<'w>, record: RecordRef<'w>, key: &[u8]) {
        let Step { node: leaf, order, rank } = path.steps[0];
        let [begin, end] = path.range(0);
        let kept_count = order.split_place(rank);
        let is_new_first = kept_count == SLOTS;
        let first = if is_new_first { record } else { leaf.record(order, kept_count) };
        let last_kept_is_new = rank == kept_count && !is_new_first;
        let last_key = match kept_count.checked_sub(1) {
            _ if last_kept_is_new => Some(key),
            Some(last) => Some(leaf.record(order, last).get().key),
            None => None,
        };
        let separator = Separator { record: first, is_whole: last_key != Some(first.get().key) };

        let right = NodeRef::new(&self.cutter, 0);
        let skip = leaf.state().skip();
        let right_skip =
            skip_between(Some(first), end).filter(|shared| *shared >= skip + SKIP_GAIN).unwrap_or(skip);
        right.set_state(State::new(right_skip, true));
        let mut right_order = Order::EMPTY;
        for at in kept_count..SLOTS {
            let moved = leaf.record(order, at);
            let head =
                if right_skip == skip { leaf.head(order, at) } else { head(moved.get().key, right_skip) };
            right_order = append(right, right_order, head, moved);
        }
        right.set_order(right_order);
        if is_new_first {
            fill(right, right_order, 0, record, key);
        }
        right.set_next(leaf.next());

        self.add_child(tree, path, 1, separator, right);
        if is_new_first {
            leaf.set_next(Some(right));
            // The next one that comes here is no run.
            leaf.set_order(order.first(SLOTS));
        } else {
            tree.half_change();
            leaf.set_next(Some(right));
            leaf.set_order(order.first(kept_count));
            tree.half_change();
        }
        if let Some(shared) = skip_between(begin, Some(first))
            && shared >= skip + SKIP_GAIN
        {
            reshape(tree, leaf, State::new(shared, true));
        }
        match rank {
            _ if is_new_first => {}
            _ if rank <= kept_count => fill(leaf, leaf.order(), rank, record, key),
            _ => fill(right, right.order(), rank - kept_count, record, key),
        }
    }

    /// Leads from the nodes above to a new node beside the one at `height - 1`.
    fn add_child(
        &self,
        tree: TreeRef<'w>,
        path: &Path<'w>,
        height: usize,
        separator: Separator<'w>,
        child: NodeRef<'w>,
    ) {
        if height > path.height {
            let top = self.new_inner(height);
            top.set_leftmost(path.steps[height - 1].node);
            add_separator(tree, top, 0, separator, child);
            return tree.set_top(top);
        }
        let Step { node, order, rank } = path.steps[height];
        if !order.is_full() {
            return add_separator(tree, node, rank, separator, child);
        }
        let [begin, end] = path.range(height);
        let right = self.new_inner(height);
        if order.is_ascending(rank) {
            // The node stays full, and the new one begins with the child.
            right.set_leftmost(child);
            settle(tree, right, Some(separator.record), end);
            self.add_child(tree, path, height + 1, separator, right);
            node.set_order(order.first(SLOTS));
            return settle(tree, node, begin, Some(separator.record));
        }
        let kept_count = SLOTS / 2;
        let middle = node.separator(order, kept_count);
        right.set_leftmost(node.child(order, kept_count + 1));
        let mut right_order = Order::EMPTY;
        for at in kept_count + 1..SLOTS {
            let (next, slot) = right_order.with(at - kept_count - 1);
            let head = node.head(order, at);
            right.set_separator(slot, head, node.separator(order, at), node.child(order, at + 1));
            right_order = next;
        }
        right.set_state(node.state());
        right.set_order(right_order.first(right_order.count()));
        settle(tree, right, Some(middle.record), end);
        if rank > kept_count {
            add_separator(tree, right, rank - kept_count - 1, separator, child);
        }
        self.add_child(tree, path, height + 1, middle, right);
        tree.half_change();
        node.set_order(order.first(kept_count));
        tree.half_change();
        settle(tree, node, begin, Some(middle.record));
        if rank <= kept_count {
            add_separator(tree, node, rank, separator, child);
        }
    }

    fn new_inner(&self, height: usize) -> NodeRef<'w> {
        self.side.figures.inner_counts[height].add(1);
        NodeRef::new(&self.cutter, height as u32)
    }
}

/// The most inner nodes that insertions of so many entries into so many trees make, where there are `counts` of them at each
/// height already.
///
/// Every entry may split a leaf. At a height where so many separators arrive, each splits a node at most, and only a full
/// one: one of those that there are, or one that became full, which takes six separators after a split in the middle and
/// fourteen after one at the end; splits at the end leave a full node behind, but only once a tree.
fn inner_nodes_max(counts: &[usize; HEIGHT_MAX], tables: usize, entries: usize) -> usize {
    // The directory's tree gets an entry for each new table.
    let trees = tables.saturating_add(1);
    let mut arriving = entries.saturating_add(tables);
    // New tops.
    let mut total = trees.saturating_add(arriving / 14);
    for count in counts.iter().skip(1) {
        let full = if *count == 0 { 0 } else { count.saturating_add(trees) };
        arriving = arriving.min(full.saturating_add(arriving / 4));
        total = total.saturating_add(arriving);
    }
    total
}

/// Puts a record into a free slot and publishes it.
#[inline(always)]
fn fill(leaf: NodeRef<'_>, order: Order, rank: usize, record: RecordRef<'_>, key: &[u8]) {
    let (order, slot) = order.with(rank);
    leaf.set_record(slot, head(key, leaf.state().skip()), record);
    leaf.set_order(order);
}

/// Puts a record behind the others of a leaf that nobody sees yet.
fn append<'w>(leaf: NodeRef<'w>, order: Order, head: u32, record: RecordRef<'w>) -> Order {
    let (order, slot) = order.with(order.count());
    leaf.set_record(slot, head, record);
    order.first(order.count())
}

/// Puts a separator and the child behind it into an inner node that has room.
fn add_separator<'w>(
    tree: TreeRef<'w>,
    node: NodeRef<'w>,
    rank: usize,
    separator: Separator<'w>,
    child: NodeRef<'w>,
) {
    let order = node.order();
    let key = separator.record.get().key;
    let state = node.state();
    if !state.is_sure() {
        // What all separators share, the new one among them.
        let shared = match order.count() {
            0 => key.len(),
            _ => shared_bytes(key, node.record(order, 0).get().key).min(state.skip()),
        };
        if shared != state.skip() {
            reshape(tree, node, State::new(shared, false));
        }
    }
    let (order, slot) = order.with(rank);
    node.set_separator(slot, head(key, node.state().skip()), separator, child);
    node.set_order(order);
}

/// Gives an inner node the state that goes with its range: sure of what all keys in it share, or, where it is open, unsure
/// of what all separators in it share.
fn settle<'w>(
    tree: TreeRef<'w>,
    node: NodeRef<'w>,
    begin: Option<RecordRef<'w>>,
    end: Option<RecordRef<'w>>,
) {
    let (state, order) = (node.state(), node.order());
    let wanted = match (skip_between(begin, end), order.count()) {
        (Some(shared), _) if state.is_sure() && shared < state.skip() + SKIP_GAIN => return,
        (Some(shared), _) => State::new(shared, true),
        (None, 0) => State::new(0, false),
        (None, count) => {
            let [first, last] = [0, count - 1].map(|rank| node.record(order, rank).get().key);
            State::new(shared_bytes(first, last), false)
        }
    };
    if wanted != state {
        reshape(tree, node, wanted);
    }
}

/// Rewrites a node's heads for another skip (tree T5).
#[inline(never)]
fn reshape(tree: TreeRef<'_>, node: NodeRef<'_>, state: State) {
    node.set_state(State::FLUX);
    tree.half_change();
    tree.half_change();
    let order = node.order();
    for rank in 0..order.count() {
        node.set_head(order.slot(rank), state.skip());
    }
    node.set_state(state);
}
