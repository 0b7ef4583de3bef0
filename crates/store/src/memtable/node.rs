//! Nodes of a tree, and the way from one to the next: the only place where offsets become references.
//!
//! ```text
//!   leaf, 128 bytes    | order | state | next leaf        | 14 × (head, record)             |
//!   inner, 192 bytes   | order | state | leftmost child   | 14 × (head, separator's record) | 14 × child |
//! ```
//!
//! - The *order* ([`Order`]) says which slots are taken. Slot and order are atomic words: an insertion fills a free slot and
//!   publishes it with the order. What readers find between is always one of the two.
//! - The *head* of an entry is 4 bytes of its key, after the *skip* bytes that all keys which may come into the node share.
//!   Where two heads differ, so do the keys, the same way; where they are equal, the records are compared.
//! - The *state* has the skip. It is *unsure* where the node's range is open at one end, so that keys which do not share these
//!   bytes come by: these are compared with the first separator. It is *in flux* while the heads are rewritten for another
//!   skip: then heads mean nothing, and records alone are compared.
//! - A separator stands for its record's key and sequence, or, where the flag *whole* is set, for the key with all its
//!   versions: whoever looks for a version of it then finds the right leaf at once.
//!
//! Invariants (cited as *node N1* …):
//! - **N1** A slot that was ever in a published order holds, from then on, the offset of a record that was written before; of an
//!   inner node, beside it the offset of a child. Slots, orders and links are stored with release and loaded with
//!   acquire. So whatever mixture of old and new a reader sees, every offset in it leads to a record or node.
//! - **N2** Offsets come from the slabs that they lead into: they are read from a node and followed by the same reference's
//!   places, and never leave this file as numbers, but for a table's root, whose record nobody else writes.
//! - **N3** The children of a node at height h are at height h - 1; leaves at height 0. A root's word has its height in it.
#![allow(unsafe_code)]

use core::cmp::Ordering as Compared;
use core::ptr::NonNull;

use super::order::{Order, SLOTS};
use super::record::{Header, Record, read_record, write_record};
use super::slab::{Cutter, LINE_BYTES, Memory, Places};
use super::sync::{AtomicU32, AtomicU64, Ordering};

/// Of both kinds of nodes.
#[repr(C, align(64))]
struct Node {
    order: AtomicU64,
    state: AtomicU32,
    /// The next leaf, or the leftmost child.
    link: AtomicU32,
    slots: [AtomicU64; SLOTS],
}

#[repr(C, align(64))]
struct Inner {
    node: Node,
    children: [AtomicU32; SLOTS],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Node>() == 128 && size_of::<Inner>() == 192);

pub(super) const LEAF_BYTES: usize = size_of::<Node>().next_multiple_of(LINE_BYTES);
pub(super) const INNER_BYTES: usize = size_of::<Inner>().next_multiple_of(LINE_BYTES);

/// See the file's text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct State(u32);

impl State {
    const SKIP_MASK: u32 = 0xffff;
    const UNSURE: u32 = 1 << 16;
    pub(super) const FLUX: State = State(State::SKIP_MASK);
    /// The most that a skip can be.
    pub(super) const SKIP_MAX: usize = State::SKIP_MASK as usize - 1;

    pub(super) fn new(skip: usize, is_sure: bool) -> State {
        State(skip.min(State::SKIP_MAX) as u32 | if is_sure { 0 } else { State::UNSURE })
    }

    #[inline(always)]
    pub(super) fn skip(self) -> usize {
        (self.0 & State::SKIP_MASK) as usize
    }

    #[inline(always)]
    pub(super) fn is_sure(self) -> bool {
        self.0 & State::UNSURE == 0
    }
}

/// What is looked for: the first entry that does not come before the key's versions with this sequence or an older one.
/// Sequences are compared as signed numbers, so that -1 is before all of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'k> {
    pub(super) key: &'k [u8],
    pub(super) sequence: i64,
}

impl<'k> Target<'k> {
    /// Before all entries.
    pub(super) const FIRST: Target<'static> = Target { key: &[], sequence: i64::MAX };

    #[inline(always)]
    pub(super) fn new(key: &'k [u8], sequence: u64) -> Target<'k> {
        Target { key, sequence: sequence.min(i64::MAX as u64) as i64 }
    }

    /// What comes behind an entry.
    pub(super) fn after(record: &Record<'k>) -> Target<'k> {
        let Target { key, sequence } = Target::new(record.key, record.sequence);
        Target { key, sequence: sequence - 1 }
    }
}

/// Four bytes of a key from `skip` on, as a number; zeros behind its end.
#[inline(always)]
pub(super) fn head(key: &[u8], skip: usize) -> u32 {
    let Some(rest) = key.get(skip..) else { return 0 };
    if let Some(bytes) = rest.first_chunk::<4>() {
        return u32::from_be_bytes(*bytes);
    }
    match key.last_chunk::<4>() {
        // The end of the key, and the bytes before the skip shifted out.
        Some(bytes) => {
            ((u64::from(u32::from_be_bytes(*bytes)) << (32 - 8 * rest.len())) & 0xffff_ffff) as u32
        }
        None => rest.iter().enumerate().fold(0, |head, (at, byte)| head | u32::from(*byte) << (24 - 8 * at)),
    }
}

/// Compares bytes. Keys are short: eight bytes at a time are faster than a call of `memcmp`.
#[inline(always)]
pub(super) fn compare(left: &[u8], right: &[u8]) -> Compared {
    let (mut left_rest, mut right_rest) = (left, right);
    while let (Some((a, left_tail)), Some((b, right_tail))) =
        (left_rest.split_first_chunk::<8>(), right_rest.split_first_chunk::<8>())
    {
        if a != b {
            return u64::from_be_bytes(*a).cmp(&u64::from_be_bytes(*b));
        }
        (left_rest, right_rest) = (left_tail, right_tail);
    }
    left_rest.iter().cmp(right_rest)
}

/// How many bytes two keys share at their beginnings.
pub(super) fn shared_bytes(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(a, b)| a == b).count()
}

/// A record that is, or will be, in a tree.
#[derive(Clone, Copy)]
pub(super) struct RecordRef<'p> {
    places: Places<'p>,
    offset: u32,
}

impl<'p> RecordRef<'p> {
    /// Writes a record. Needs: `ensure` for its bytes.
    pub(super) fn write<M: Memory>(
        cutter: &Cutter<'p, M>,
        header: &Header,
        record: &Record<'_>,
    ) -> RecordRef<'p> {
        let offset = write_record(cutter, header, record);
        RecordRef { places: cutter.places(), offset }
    }

    #[inline(always)]
    pub(super) fn get(self) -> Record<'p> {
        // SAFETY: a reference is made where a record was written, or read from a slot by an acquire (N1, N2).
        unsafe { read_record(self.places, self.offset) }
    }

    pub(super) fn is_same(self, other: RecordRef<'_>) -> bool {
        self.offset == other.offset
    }

    /// The offset, for the row of another record ([`TreeRef::of_row`]) or to find the record again ([`RecordRef::again`]).
    pub(super) fn offset(self) -> u32 {
        self.offset
    }

    /// # Safety
    /// 1. `offset` is what [`RecordRef::offset`] gave for a record in the same slabs in this generation.
    pub(super) unsafe fn again(places: Places<'p>, offset: u32) -> RecordRef<'p> {
        RecordRef { places, offset }
    }
}

/// What a child of an inner node begins with.
#[derive(Clone, Copy)]
pub(super) struct Separator<'p> {
    pub(super) record: RecordRef<'p>,
    /// The separator stands for all versions of the key.
    pub(super) is_whole: bool,
}

/// The bit of an offset that says that a separator is whole.
const WHOLE: u32 = 1 << 31;

/// A node, and the places that its offsets lead to.
#[derive(Clone, Copy)]
pub(super) struct NodeRef<'p> {
    places: Places<'p>,
    at: NonNull<Node>,
    offset: u32,
    height: u32,
}

impl<'p> NodeRef<'p> {
    /// An empty node. Needs: `ensure` for its bytes.
    pub(super) fn new<M: Memory>(cutter: &Cutter<'p, M>, height: u32) -> NodeRef<'p> {
        let node = Node {
            order: AtomicU64::new(Order::EMPTY.word()),
            state: AtomicU32::new(State::new(0, height == 0).0),
            link: AtomicU32::new(0),
            slots: [(); SLOTS].map(|()| AtomicU64::new(0)),
        };
        let (offset, at) = cutter.cut_node(if height == 0 { LEAF_BYTES } else { INNER_BYTES });
        // SAFETY: fresh memory of the node's size, aligned to a line; a line is what nodes are aligned to.
        unsafe {
            if height == 0 {
                at.cast::<Node>().write(node);
            } else {
                let children = [(); SLOTS].map(|()| AtomicU32::new(0));
                at.cast::<Inner>().write(Inner { node, children });
            }
        }
        NodeRef { places: cutter.places(), at: at.cast(), offset, height }
    }

    /// # Safety
    /// 1. The offset was read, by an acquire, from a node or root in these places, and is that of a node (N1, N2).
    /// 2. The node has this height (N3).
    #[inline(always)]
    pub(super) unsafe fn from_offset(places: Places<'p>, offset: u32, height: u32) -> NodeRef<'p> {
        let at = places.address(offset).cast::<Node>();
        debug_assert!(!at.is_null() && offset != 0);
        // SAFETY: an offset of a node has an address in a slab.
        NodeRef { places, at: unsafe { NonNull::new_unchecked(at) }, offset, height }
    }

    #[inline(always)]
    fn node(self) -> &'p Node {
        // SAFETY: a reference is made where a node was written, or read from one by an acquire (N1, N2); nodes live as
        // long as a view of the slabs (slab S3), and all of their fields are atomic.
        unsafe { self.at.as_ref() }
    }

    #[inline(always)]
    fn children(self) -> &'p [AtomicU32; SLOTS] {
        assert!(self.height > 0, "leaves have no children");
        // SAFETY: as in `node`; above the leaves nodes are inner ones (N3), and `at` has the provenance of the slab.
        unsafe { &self.at.cast::<Inner>().as_ref().children }
    }

    pub(super) fn offset(self) -> u32 {
        self.offset
    }

    #[inline(always)]
    pub(super) fn height(self) -> u32 {
        self.height
    }

    #[inline(always)]
    pub(super) fn order(self) -> Order {
        Order::from_word(self.node().order.load(Ordering::Acquire))
    }

    /// Publishes what the order says.
    pub(super) fn set_order(self, order: Order) {
        self.node().order.store(order.word(), Ordering::Release);
    }

    #[inline(always)]
    pub(super) fn state(self) -> State {
        State(self.node().state.load(Ordering::Acquire))
    }

    pub(super) fn set_state(self, state: State) {
        self.node().state.store(state.0, Ordering::Release);
    }

    /// Head, flag and offset of the entry at a rank.
    #[inline(always)]
    fn word(self, order: Order, rank: usize) -> u64 {
        self.node().slots[order.slot(rank)].load(Ordering::Acquire)
    }

    #[inline(always)]
    fn record_of(self, word: u64) -> RecordRef<'p> {
        RecordRef { places: self.places, offset: word as u32 & !WHOLE }
    }

    /// The head of the entry at a rank below the count.
    pub(super) fn head(self, order: Order, rank: usize) -> u32 {
        (self.word(order, rank) >> 32) as u32
    }

    /// Whether the entry at a rank of a leaf has the target's key and sequence.
    #[inline(always)]
    pub(super) fn is_at(self, order: Order, rank: usize, target: &Target<'_>) -> bool {
        if rank >= order.count() {
            return false;
        }
        let (word, state) = (self.word(order, rank), self.state());
        if state != State::FLUX && (word >> 32) as u32 != head(target.key, state.skip()) {
            return false;
        }
        let record = self.record_of(word).get();
        record.key == target.key && record.sequence as i64 == target.sequence
    }

    /// The record of the entry at a rank below the count.
    #[inline(always)]
    pub(super) fn record(self, order: Order, rank: usize) -> RecordRef<'p> {
        self.record_of(self.word(order, rank))
    }

    /// The separator at a rank below the count.
    pub(super) fn separator(self, order: Order, rank: usize) -> Separator<'p> {
        let word = self.word(order, rank);
        Separator { record: self.record_of(word), is_whole: word as u32 & WHOLE != 0 }
    }

    /// The child behind so many separators: the leftmost one behind none.
    #[inline(always)]
    pub(super) fn child(self, order: Order, rank: usize) -> NodeRef<'p> {
        let children = self.children();
        let offset = match rank {
            0 => self.node().link.load(Ordering::Acquire),
            _ => children[order.slot(rank - 1)].load(Ordering::Acquire),
        };
        // SAFETY: read by an acquire from a node that is not a leaf; children are one lower (N3).
        unsafe { NodeRef::from_offset(self.places, offset, self.height - 1) }
    }

    /// The leaf after this one.
    #[inline(always)]
    pub(super) fn next(self) -> Option<NodeRef<'p>> {
        assert!(self.height == 0, "leaves are linked");
        match self.node().link.load(Ordering::Acquire) {
            0 => None,
            // SAFETY: read by an acquire from a leaf, whose link is to a leaf (N3).
            offset => Some(unsafe { NodeRef::from_offset(self.places, offset, 0) }),
        }
    }

    /// Links a leaf to the next one.
    pub(super) fn set_next(self, next: Option<NodeRef<'p>>) {
        assert!(
            self.height == 0 && next.is_none_or(|next| next.height == 0),
            "leaves are linked to leaves (N3)"
        );
        self.node().link.store(next.map_or(0, |next| next.offset), Ordering::Release);
    }

    /// Gives an inner node that nobody sees yet its leftmost child.
    pub(super) fn set_leftmost(self, child: NodeRef<'p>) {
        assert!(self.height == child.height + 1, "N3");
        self.node().link.store(child.offset, Ordering::Release);
    }

    /// Fills a slot of a leaf: a free one, or with a record of the same order.
    #[inline(always)]
    pub(super) fn set_record(self, slot: usize, head: u32, record: RecordRef<'p>) {
        assert!(self.height == 0, "separators have children");
        self.node().slots[slot].store(u64::from(head) << 32 | u64::from(record.offset), Ordering::Release);
    }

    /// Fills a free slot of an inner node.
    pub(super) fn set_separator(self, slot: usize, head: u32, separator: Separator<'p>, child: NodeRef<'p>) {
        assert!(self.height == child.height + 1, "N3");
        self.children()[slot].store(child.offset, Ordering::Release);
        let reference = separator.record.offset | if separator.is_whole { WHOLE } else { 0 };
        self.node().slots[slot].store(u64::from(head) << 32 | u64::from(reference), Ordering::Release);
    }

    /// Gives the entry in a slot another head. Needs: the state is in flux.
    pub(super) fn set_head(self, slot: usize, skip: usize) {
        let word = self.node().slots[slot].load(Ordering::Relaxed);
        let head = head(self.record_of(word).get().key, skip);
        self.node().slots[slot].store(u64::from(head) << 32 | word & 0xffff_ffff, Ordering::Release);
    }

    /// How many of the node's entries are before the target: in an inner node, how many separators are not behind it, so
    /// the number of the child to go to.
    #[inline(always)]
    pub(super) fn rank<const INNER: bool>(self, order: Order, target: &Target<'_>) -> usize {
        let state = self.state();
        let count = order.count();
        if state == State::FLUX {
            return self.rank_within::<INNER>(order, 0, count, target);
        }
        if count == 0 {
            return 0;
        }
        let skip = state.skip();
        if INNER && !state.is_sure() {
            let shared = self.record(order, 0).get().key;
            let shared = shared.get(..skip).unwrap_or(shared);
            match compare(shared, target.key.get(..skip).unwrap_or(target.key)) {
                Compared::Less => return count,
                Compared::Greater => return 0,
                Compared::Equal => {}
            }
        }
        let wanted = u64::from(head(target.key, skip)) << 32;
        let (mut low, mut len) = (0, count);
        while len > 1 {
            let half = len / 2;
            low += if self.word(order, low + half - 1) < wanted { half } else { 0 };
            len -= half;
        }
        let word = self.word(order, low);
        let is_before = word < wanted;
        low += usize::from(is_before);
        let word = if is_before && low < count { self.word(order, low) } else { word };
        if low < count && word >> 32 == wanted >> 32 {
            return self.rank_among_equals::<INNER>(order, low, wanted, target);
        }
        low
    }

    /// The rank of a target whose head is that of the entry at rank `low`, and of no entry before.
    #[inline(always)]
    fn rank_among_equals<const INNER: bool>(
        self,
        order: Order,
        low: usize,
        wanted: u64,
        target: &Target<'_>,
    ) -> usize {
        let count = order.count();
        let end =
            (low + 1..count).find(|rank| self.word(order, *rank) >> 32 != wanted >> 32).unwrap_or(count);
        self.rank_within::<INNER>(order, low, end, target)
    }

    /// The rank of a target, which lies between two ranks, by comparison of records.
    #[inline(always)]
    fn rank_within<const INNER: bool>(
        self,
        order: Order,
        mut low: usize,
        mut end: usize,
        target: &Target<'_>,
    ) -> usize {
        while low < end {
            let middle = low.midpoint(end);
            let word = self.word(order, middle);
            let record = self.record_of(word).get();
            let is_before = match compare(record.key, target.key) {
                Compared::Less => true,
                Compared::Greater => false,
                Compared::Equal if INNER => {
                    word as u32 & WHOLE != 0 || record.sequence as i64 >= target.sequence
                }
                Compared::Equal => record.sequence as i64 > target.sequence,
            };
            if is_before { low = middle + 1 } else { end = middle }
        }
        low
    }

    /// As `rank` for a leaf, without a look at heads: for targets that the leaf may not be the right one for.
    #[cold]
    pub(super) fn rank_by_records(self, order: Order, target: &Target<'_>) -> usize {
        self.rank_within::<false>(order, 0, order.count(), target)
    }

    /// A leaf's entries in this order, and what comes after.
    #[inline(always)]
    pub(super) fn copy(self, order: Order) -> LeafCopy<'p> {
        let mut offsets = [0; SLOTS];
        for (rank, offset) in offsets.iter_mut().enumerate().take(order.count()) {
            *offset = self.word(order, rank) as u32;
        }
        LeafCopy { places: self.places, offsets, count: order.count(), next: self.next() }
    }
}

/// A leaf's entries as they were at one moment.
#[derive(Clone, Copy)]
pub(super) struct LeafCopy<'p> {
    places: Places<'p>,
    offsets: [u32; SLOTS],
    count: usize,
    next: Option<NodeRef<'p>>,
}

impl<'p> LeafCopy<'p> {
    pub(super) fn empty(places: Places<'p>) -> LeafCopy<'p> {
        LeafCopy { places, offsets: [0; SLOTS], count: 0, next: None }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn next(&self) -> Option<NodeRef<'p>> {
        self.next
    }

    /// The record at a rank.
    #[inline(always)]
    pub(super) fn record(&self, rank: usize) -> Option<Record<'p>> {
        if rank >= self.count {
            return None;
        }
        Some(RecordRef { places: self.places, offset: self.offsets[rank] }.get())
    }
}
