//! Looks at every node of a side's trees, and at what the invariants say of it.

use super::node::{Kind, Leaf, Low, NodeRef, RecordRef, SLOTS, shared_bytes};
use super::tree::{HEIGHT_MAX, Side, TreeRef};

/// What a check goes through: leaves and entries in order.
#[derive(Default)]
struct Seen<'p> {
    leaves: Vec<Leaf<'p>>,
    records: Vec<RecordRef<'p>>,
    node_counts: [u64; HEIGHT_MAX],
}

/// True where an entry, or a separator, is before another entry.
fn is_before(left: RecordRef<'_>, right: RecordRef<'_>) -> bool {
    let (left, right) = (left.get(), right.get());
    (left.key, u64::MAX - left.sequence) < (right.key, u64::MAX - right.sequence)
}

/// True where an entry belongs behind a separator.
fn is_from(low: &Low<'_>, record: RecordRef<'_>) -> bool {
    if low.is_whole { low.record.get().key <= record.get().key } else { !is_before(record, low.record) }
}

/// Checks a node whose range is `begin..end`, and all below.
fn check_node<'p>(node: NodeRef<'p>, end: Option<Low<'p>>, height: usize, seen: &mut Seen<'p>) {
    assert_eq!(node.height(), height, "node N3");
    assert!(node.count() <= SLOTS, "node N4");
    assert!(
        node.free_heads().all(|head| head == u32::MAX),
        "no search stops behind the last entry (node N4)"
    );
    let (state, begin) = (node.state(), node.low());
    for rank in usize::from(height > 0)..node.count() {
        let (head, expected) = node.heads(rank);
        assert_eq!(head, expected, "heads go with the state (tree T5)");
    }
    let range = begin.zip(end).map(|(begin, end)| shared_bytes(begin.record.get().key, end.record.get().key));
    if state.is_sure() {
        assert!(state.skip() <= range.unwrap_or(0), "all keys that may come share what is skipped");
    }
    let inner = match node.kind().0 {
        Kind::Inner(inner) => inner,
        Kind::Leaf(leaf) => {
            for rank in 0..leaf.count() {
                let record = leaf.record(rank);
                assert!(begin.is_none_or(|begin| is_from(&begin, record)), "tree T2");
                assert!(end.is_none_or(|end| !is_from(&end, record)), "tree T2");
                assert!(
                    seen.records.last().is_none_or(|last| is_before(*last, record)),
                    "entries are in order"
                );
                seen.records.push(record);
            }
            seen.node_counts[0] += 1;
            return seen.leaves.push(leaf);
        }
    };
    seen.node_counts[height] += 1;
    assert!(node.count() > 0, "an inner node has a leftmost child");
    let first = (node.count() > 1).then(|| inner.child(1).low().expect("a separator").record.get().key);
    for rank in 0..node.count() {
        let child = inner.child(rank);
        let low = child.low();
        if rank == 0 {
            let same = |low: Option<Low<'_>>| low.map(|low| (low.record.offset(), low.is_whole));
            assert_eq!(same(low), same(begin), "a leftmost child's separator is its parent's");
        } else {
            let key = low.expect("a separator").record.get().key;
            let shared = shared_bytes(key, first.expect("the first separator"));
            assert!(state.is_sure() || shared >= state.skip(), "separators share what is skipped");
        }
        let child_end = if rank + 1 < node.count() { inner.child(rank + 1).low() } else { end };
        check_node(child, child_end, height - 1, seen);
    }
}

/// Checks a tree; returns how many entries and leaves it has, and counts its nodes.
fn check_tree(tree: TreeRef<'_>, node_counts: &mut [u64; HEIGHT_MAX]) -> (usize, usize) {
    let Some(top) = tree.top() else { return (0, 0) };
    assert!(tree.changes().is_multiple_of(2), "nobody is at work");
    let mut seen = Seen::default();
    check_node(top.node, None, top.node.height(), &mut seen);
    let mut linked = seen.leaves.first().copied();
    for leaf in &seen.leaves {
        assert!(linked.is_some_and(|linked| linked.is_same(**leaf)), "leaves are linked in order");
        linked = leaf.next();
    }
    assert!(linked.is_none(), "the last leaf is linked to none");
    node_counts.iter_mut().zip(seen.node_counts).for_each(|(sum, count)| *sum += count);
    (seen.records.len(), seen.leaves.len())
}

/// Checks all trees of a side that nobody changes meanwhile; returns how many leaves its tables have.
///
/// # Safety
/// 1. Nobody resets the side's arena meanwhile.
#[expect(unsafe_code, reason = "a test's way to what is private")]
pub(super) unsafe fn check(side: &Side) -> usize {
    // SAFETY: the caller's promise.
    let directory = unsafe { side.directory() };
    let mut node_counts = [0; HEIGHT_MAX];
    let (tables_count, _) = check_tree(directory.tree, &mut node_counts);
    assert_eq!(tables_count as u64, side.figures.tables_count.get());
    let (mut entries_count, mut leaves_count, mut next) = (0, 0, Some(0));
    while let Some((table, tree)) = next.and_then(|next| directory.table_from(next)) {
        let (entries, leaves) = check_tree(tree, &mut node_counts);
        (entries_count, leaves_count) = (entries_count + entries, leaves_count + leaves);
        next = table.checked_add(1);
    }
    assert_eq!(entries_count as u64, side.figures.entries_count.get());
    for (height, count) in node_counts.iter().enumerate() {
        assert_eq!(*count, side.figures.node_counts[height].get(), "nodes at height {height}");
    }
    leaves_count
}
