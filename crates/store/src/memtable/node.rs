//! Nodes of a tree, and the way from one to the next: the only place where offsets become references.
//!
//! ```text
//!   leaf   | count | state | next leaf | low | (head, record) × count, in order | free |
//!   inner  | count | state |           | low | (head, child)  × count, in order | free |    256 bytes each
//! ```
//!
//! - *low* is the node's separator: the record whose key and sequence its range begins with; none at the left edge of the tree.
//!   With the flag *whole* it stands for the record's key with all its versions, so that whoever looks for a version of it finds
//!   the right leaf at once. The separators between an inner node's children are the children's own; its leftmost child's
//!   is its own, and takes no part in searches.
//! - The *head* of an entry is 4 bytes of its key, after the *skip* bytes that all keys which may come into the node share.
//!   Where two heads differ, so do the keys, the same way; where they are equal, the records are compared.
//! - The *state* has the node's height and the skip. It is *unsure* where an inner node's range is open at one end, so that
//!   keys come by which do not share these bytes: those are compared with the first separator. It is *in flux* while the
//!   heads are rewritten for another skip: then heads mean nothing, and records alone are compared.
//!
//! An entry is one atomic word. To make room for another one, the entries behind are moved one place to the right, the last
//! first; so a node is in order at every moment, but for one entry that stands in two places beside each other:
//!
//! ```text
//!   A C D E -     insert B     A C D E E     A C D D E     A C C D E     A B C D E
//! ```
//!
//! Invariants (cited as *node N1* …):
//! - **N1** A word below any count that was ever published holds, from then on, the offset of a record or child that was written
//!   before. Words, counts and links are stored with release and loaded with acquire. So whatever mixture of old and new a
//!   reader sees, every offset in it leads to a record or node.
//! - **N2** Offsets come from the slabs that they lead into: they are read from a node and followed in the same reference's
//!   slabs.
//! - **N3** The words of a node at height 0 (a [`Leaf`]) lead to records, those of one above (an [`Inner`]) to nodes one lower.
//!   A node stays at its height. The link of a leaf leads to a leaf.
//! - **N4** Counts are at most [`SLOTS`]. All words together are in order: those from the count on have heads that are not
//!   less than the last entry's, the highest one unless the node is being split; what they lead to may be anything.
//! - **N5** While a node keeps its entries, an entry moves to the right only. So a reader that finds an entry before its target
//!   and *then*, one place to the right, one that is not before it, has missed none between: an entry to the right of the first
//!   stays there, and what comes first behind it is not behind the entry. The count goes up before entries move out of what
//!   it was: who reaches the count looks at it again.
//! - **N6** One insertion stores words from right to left. So a copy from left to right that at most one of them was at work
//!   beside has all entries in order, but for one that it may have twice, next to each other; and that is so where the count
//!   is the same before and after, and the node kept its entries. Beside two insertions it is not: `C`, copied from the first
//!   place, may be found again behind the `A` and `B` that came before it.
//!
//! # Source
//! Hwang, Kim, Won, Nam: Endurable transient inconsistency in byte-addressable persistent B+-tree (FAST 2018), §3, for N5.
#![allow(unsafe_code)]

use core::cmp::Ordering as Compared;
use core::hint::select_unpredictable;
use core::ptr::NonNull;

use super::record::{Before, Header, Record, read_record, write_record};
use super::slab::{Cutter, LINE_BYTES, Memory, Slabs};
use super::sync::{AtomicU32, AtomicU64, Ordering};
use super::tally::Tally;

/// Entries of a leaf; children of an inner node. Fewer where every step is slow, so that few entries make a high tree.
pub(super) const SLOTS: usize = if cfg!(loom) {
    3
} else if cfg!(miri) {
    6
} else {
    30
};

/// The steps of a search: half of the words, then half of what is left.
const FIRST_STEP: usize = SLOTS.div_ceil(2);
#[cfg(not(any(loom, miri)))]
const STEPS: [usize; 4] = [8, 4, 2, 1];
#[cfg(miri)]
const STEPS: [usize; 2] = [2, 1];
#[cfg(loom)]
const STEPS: [usize; 1] = [1];
const _: () =
    assert!(FIRST_STEP + 2 * STEPS[0] - 1 == SLOTS, "the steps lead to the last word and no further");

#[repr(C, align(64))]
struct Node {
    /// How many entries there are, and whether they come in order ([`Tally`]).
    count: AtomicU32,
    state: AtomicU32,
    /// Of a leaf: the next one; 0 at the end.
    link: AtomicU32,
    /// The separator's record; 0 at the left edge. Never changes.
    low: u32,
    words: [AtomicU64; SLOTS],
}

#[cfg(not(any(loom, miri)))]
const _: () = assert!(size_of::<Node>() == 256);

pub(super) const NODE_BYTES: usize = size_of::<Node>().next_multiple_of(LINE_BYTES);

/// The word of no entry: its head is not less than any.
const NO_WORD: u64 = (u32::MAX as u64) << 32;

/// See the file's text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct State(u32);

impl State {
    const SKIP_MASK: u32 = 0xffff;
    const UNSURE: u32 = 1 << 16;
    const HEIGHT_SHIFT: u32 = 24;
    /// The most that a skip can be.
    const SKIP_MAX: usize = State::SKIP_MASK as usize - 1;

    const fn of(height: usize) -> State {
        State((height as u32) << State::HEIGHT_SHIFT)
    }

    /// Sure of a skip.
    pub(super) fn sure(self, skip: usize) -> State {
        State(State::of(self.height()).0 | skip.min(State::SKIP_MAX) as u32)
    }

    /// Unsure of a skip.
    pub(super) fn unsure(self, skip: usize) -> State {
        State(self.sure(skip).0 | State::UNSURE)
    }

    /// In flux.
    pub(super) fn flux(self) -> State {
        State(State::of(self.height()).0 | State::SKIP_MASK)
    }

    #[inline(always)]
    pub(super) fn height(self) -> usize {
        (self.0 >> State::HEIGHT_SHIFT) as usize
    }

    #[inline(always)]
    pub(super) fn skip(self) -> usize {
        (self.0 & State::SKIP_MASK) as usize
    }

    #[inline(always)]
    pub(super) fn is_sure(self) -> bool {
        self.0 & State::UNSURE == 0
    }

    #[inline(always)]
    fn is_flux(self) -> bool {
        self.0 & State::SKIP_MASK == State::SKIP_MASK
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

    /// Whether an entry comes before the target, has the target's key (and is not newer), or comes behind.
    #[inline(always)]
    fn side_of(&self, record: &Record<'_>) -> Compared {
        match compare(record.key, self.key) {
            Compared::Equal if record.sequence as i64 > self.sequence => Compared::Less,
            side => side,
        }
    }

    /// Whether an entry comes before the target.
    fn is_behind(&self, record: &Record<'_>) -> bool {
        self.side_of(record) == Compared::Less
    }

    /// Whether a separator does not come behind the target.
    #[inline(always)]
    fn is_from(&self, low: &Low<'_>) -> bool {
        let record = low.record.get();
        match compare(record.key, self.key) {
            Compared::Less => true,
            Compared::Greater => false,
            Compared::Equal => low.is_whole || record.sequence as i64 >= self.sequence,
        }
    }
}

/// Four bytes of a key from `skip` on, as a number; zeros behind its end.
#[inline(always)]
pub(super) fn head(key: &[u8], skip: usize) -> u32 {
    let Some(rest) = key.get(skip..) else { return 0 };
    match (rest.first_chunk::<4>(), key.last_chunk::<4>()) {
        (Some(bytes), _) => u32::from_be_bytes(*bytes),
        // The end of the key, and the bytes before the skip shifted out.
        (None, Some(bytes)) => (u64::from(u32::from_be_bytes(*bytes)) << (32 - 8 * rest.len())) as u32,
        (None, None) => {
            rest.iter().enumerate().fold(0, |head, (at, byte)| head | u32::from(*byte) << (24 - 8 * at))
        }
    }
}

/// Compares bytes. Keys are short: words are faster than a call of `memcmp`. The last word overlaps the one before.
#[inline(always)]
pub(super) fn compare(left: &[u8], right: &[u8]) -> Compared {
    let shared_len = left.len().min(right.len());
    let by_length = left.len().cmp(&right.len());
    let (mut left, mut right) =
        (left.get(..shared_len).unwrap_or(left), right.get(..shared_len).unwrap_or(right));
    if let (Some(_), Some(_)) = (left.first_chunk::<8>(), right.first_chunk::<8>()) {
        while let (true, Some((a, left_tail)), Some((b, right_tail))) =
            (left.len() > 8, left.split_first_chunk::<8>(), right.split_first_chunk::<8>())
        {
            if a != b {
                return u64::from_be_bytes(*a).cmp(&u64::from_be_bytes(*b));
            }
            // All but what the last word covers.
            (left, right) = if left_tail.len() >= 8 { (left_tail, right_tail) } else { break };
        }
        let ends = left.last_chunk::<8>().zip(right.last_chunk::<8>());
        return ends
            .map_or(by_length, |(a, b)| u64::from_be_bytes(*a).cmp(&u64::from_be_bytes(*b)).then(by_length));
    }
    if let (Some(a), Some(b), Some(a_end), Some(b_end)) =
        (left.first_chunk::<4>(), right.first_chunk::<4>(), left.last_chunk::<4>(), right.last_chunk::<4>())
    {
        let number = |begin: &[u8; 4], end: &[u8; 4]| {
            u64::from(u32::from_be_bytes(*begin)) << 32 | u64::from(u32::from_be_bytes(*end))
        };
        return number(a, a_end).cmp(&number(b, b_end)).then(by_length);
    }
    left.iter().cmp(right).then(by_length)
}

/// How many bytes two keys share at their beginnings.
pub(super) fn shared_bytes(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(a, b)| a == b).count()
}

/// A record that is, or will be, in a tree.
#[derive(Clone, Copy)]
pub(super) struct RecordRef<'p> {
    slabs: &'p Slabs,
    offset: u32,
}

impl<'p> RecordRef<'p> {
    /// Writes a record. Needs: `ensure` for its bytes.
    pub(super) fn write<M: Memory>(
        cutter: &Cutter<'p, M>,
        header: &Header,
        record: &Record<'_>,
        before: Before,
    ) -> RecordRef<'p> {
        RecordRef { slabs: cutter.slabs(), offset: write_record(cutter, header, record, before) }
    }

    #[inline(always)]
    pub(super) fn get(self) -> Record<'p> {
        // SAFETY: a reference is made where a record was written, or read from a node by an acquire (N1, N2).
        unsafe { read_record(self.slabs, self.offset) }
    }

    /// Asks for the record's memory: a short one lies across two lines at most.
    #[inline(always)]
    fn prefetch(self) {
        let at = self.slabs.address(self.offset);
        prefetch(at);
        prefetch(at.wrapping_add(24));
    }

    pub(super) fn is_same(self, other: RecordRef<'_>) -> bool {
        self.offset == other.offset
    }

    /// The offset, to find the record again ([`RecordRef::again`]).
    pub(super) fn offset(self) -> u32 {
        self.offset
    }

    /// # Safety
    /// 1. `offset` is what [`RecordRef::offset`] gave for a record in the same slabs in this generation, in this thread.
    pub(super) unsafe fn again(slabs: &'p Slabs, offset: u32) -> RecordRef<'p> {
        RecordRef { slabs, offset }
    }
}

/// A separator: what a node's range begins with.
#[derive(Clone, Copy)]
pub(super) struct Low<'p> {
    pub(super) record: RecordRef<'p>,
    /// It stands for all versions of the key.
    pub(super) is_whole: bool,
}

/// The bit of an offset that says that a separator is whole.
const WHOLE: u32 = 1 << 31;

/// A node in some slabs.
#[derive(Clone, Copy)]
pub(super) struct NodeRef<'p> {
    slabs: &'p Slabs,
    at: NonNull<Node>,
}

/// A node, and the offset that leads to it.
#[derive(Clone, Copy)]
pub(super) struct Child<'p> {
    pub(super) node: NodeRef<'p>,
    offset: u32,
}

impl<'p> Child<'p> {
    /// An empty node. Needs: `ensure` for its bytes.
    fn new<M: Memory>(cutter: &Cutter<'p, M>, height: usize, low: Option<Low<'p>>) -> Child<'p> {
        let (offset, at) = cutter.cut_node(NODE_BYTES);
        let at = at.cast::<Node>();
        // SAFETY: fresh memory of a node's size, aligned to a line, which is what nodes are aligned to.
        unsafe {
            at.write(Node {
                count: AtomicU32::new(Tally::EMPTY.word()),
                state: AtomicU32::new(State::of(height).0),
                link: AtomicU32::new(0),
                low: low.map_or(0, |low| low.record.offset | if low.is_whole { WHOLE } else { 0 }),
                words: [(); SLOTS].map(|()| AtomicU64::new(NO_WORD)),
            });
        }
        Child { node: NodeRef { slabs: cutter.slabs(), at }, offset }
    }

    /// # Safety
    /// 1. The offset was read, by an acquire, from a node or root in these slabs, and is that of a node (N1, N2).
    #[inline(always)]
    pub(super) unsafe fn from_offset(slabs: &'p Slabs, offset: u32) -> Child<'p> {
        let at = slabs.address(offset).cast::<Node>();
        debug_assert!(!at.is_null() && offset != 0);
        // SAFETY: an offset of a node has an address in a slab.
        Child { node: NodeRef { slabs, at: unsafe { NonNull::new_unchecked(at) } }, offset }
    }

    pub(super) fn offset(self) -> u32 {
        self.offset
    }
}

/// A leaf.
#[derive(Clone, Copy)]
pub(super) struct Leaf<'p>(NodeRef<'p>);

/// An inner node.
#[derive(Clone, Copy)]
pub(super) struct Inner<'p>(NodeRef<'p>);

/// What a node is.
pub(super) enum Kind<'p> {
    Leaf(Leaf<'p>),
    Inner(Inner<'p>),
}

impl<'p> core::ops::Deref for Leaf<'p> {
    type Target = NodeRef<'p>;

    #[inline(always)]
    fn deref(&self) -> &NodeRef<'p> {
        &self.0
    }
}

impl<'p> core::ops::Deref for Inner<'p> {
    type Target = NodeRef<'p>;

    #[inline(always)]
    fn deref(&self) -> &NodeRef<'p> {
        &self.0
    }
}

/// What both kinds have.
impl<'p> NodeRef<'p> {
    #[inline(always)]
    fn node(self) -> &'p Node {
        // SAFETY: a reference is made where a node was written, or read from one by an acquire (N1, N2); nodes live as
        // long as a view of the slabs (slab S3); what changes in them is atomic.
        unsafe { self.at.as_ref() }
    }

    /// What it is, and a state that it had.
    #[inline(always)]
    pub(super) fn kind(self) -> (Kind<'p>, State) {
        let state = self.state();
        // Decided by the node itself, and for ever (N3).
        (if state.height() == 0 { Kind::Leaf(Leaf(self)) } else { Kind::Inner(Inner(self)) }, state)
    }

    #[inline(always)]
    pub(super) fn tally(self) -> Tally {
        Tally::from_word(self.node().count.load(Ordering::Acquire))
    }

    /// How many entries there are.
    #[inline(always)]
    pub(super) fn count(self) -> usize {
        self.tally().count()
    }

    pub(super) fn is_full(self) -> bool {
        self.count() == SLOTS
    }

    /// What the range begins with; none at the left edge of the tree.
    pub(super) fn low(self) -> Option<Low<'p>> {
        let low = self.node().low;
        let record = RecordRef { slabs: self.slabs, offset: low & !WHOLE };
        (low != 0).then_some(Low { record, is_whole: low & WHOLE != 0 })
    }

    #[inline(always)]
    pub(super) fn state(self) -> State {
        State(self.node().state.load(Ordering::Acquire))
    }

    pub(super) fn set_state(self, state: State) {
        assert!(state.height() == self.height(), "a node stays at its height (N3)");
        self.node().state.store(state.0, Ordering::Release);
    }

    pub(super) fn height(self) -> usize {
        self.state().height()
    }

    #[inline(always)]
    fn word(self, rank: usize) -> u64 {
        debug_assert!(rank < SLOTS);
        // SAFETY: every caller's rank is below the number of words: below a count (N4), or as `lower_bound` says.
        unsafe { self.node().words.get_unchecked(rank) }.load(Ordering::Acquire)
    }

    /// Asks for the lines of the node that are not looked at first.
    #[inline(always)]
    pub(super) fn prefetch(self) {
        for line in 1..NODE_BYTES / LINE_BYTES {
            prefetch(self.at.as_ptr().cast::<u8>().wrapping_add(line * LINE_BYTES));
        }
    }

    /// How many words are less than another one, as far as can be told while words move. Whatever they are, only ranks below
    /// the number of words are looked at: the steps together are [`SLOTS`].
    #[inline(always)]
    fn lower_bound(self, wanted: u64) -> usize {
        // Always the same steps: no branch depends on what is found. One less than a power of two is left after the first.
        let mut low = select_unpredictable(self.word(FIRST_STEP - 1) < wanted, FIRST_STEP, 0);
        for half in STEPS {
            low = select_unpredictable(self.word(low + half - 1) < wanted, low + half, low);
        }
        low
    }

    /// The place between the words that are before and those that are not, behind the first `low` ones.
    #[inline(always)]
    fn place(self, mut low: usize, is_before: impl Fn(u64) -> bool) -> Place {
        let mut end = self.count();
        while low < end {
            let middle = low.midpoint(end);
            if is_before(self.word(middle)) { low = middle + 1 } else { end = middle }
        }
        // Once more, from left to right (N5).
        let mut before = if low > 0 { self.word(low - 1) } else { 0 };
        loop {
            if low >= self.count() {
                return Place { rank: low, before, behind: None };
            }
            let behind = self.word(low);
            if !is_before(behind) {
                return Place { rank: low, before, behind: Some(behind) };
            }
            (low, before) = (low + 1, behind);
        }
    }

    // ------------------------------------------------------------------------------ changes, for the writer alone

    #[inline(always)]
    fn insert_word(self, rank: usize, word: u64) {
        let node = self.node();
        let tally = self.tally();
        let count = tally.count();
        assert!(count < SLOTS && rank <= count, "N4");
        let with_it = tally.with(rank).word();
        if rank == count {
            node.words[count].store(word, Ordering::Release);
            return node.count.store(with_it, Ordering::Release);
        }
        node.words[count].store(node.words[count - 1].load(Ordering::Relaxed), Ordering::Release);
        node.count.store(with_it, Ordering::Release);
        for to in (rank + 1..count).rev() {
            node.words[to].store(node.words[to - 1].load(Ordering::Relaxed), Ordering::Release);
        }
        node.words[rank].store(word, Ordering::Release);
    }

    /// Fills an empty node that nobody sees yet with the entries of another one from a rank on.
    pub(super) fn take_from(self, other: NodeRef<'p>, rank: usize) {
        let (state, from, to) = (self.state(), other.node(), self.node());
        assert!(state.height() == other.height(), "N3");
        let is_same = other.state().skip() == state.skip();
        let count = other.count() - rank;
        for at in 0..count {
            let word = from.words[rank + at].load(Ordering::Relaxed);
            let word = match is_same {
                _ if state.height() > 0 && at == 0 => word & !NO_WORD,
                true => word,
                false => other.headed_again(word, state.skip()),
            };
            to.words[at].store(word, Ordering::Relaxed);
        }
        to.count.store(Tally::of(count).word(), Ordering::Release);
    }

    /// Gives up all entries but so many, or forgets that they came in order. Needs: one that has no more of them.
    pub(super) fn keep(self, tally: Tally) {
        assert!(tally.count() <= self.count(), "N4");
        self.node().count.store(tally.word(), Ordering::Release);
    }

    /// Makes the words from the count on such that no search stops at them (N4). What they led to stays.
    pub(super) fn clear(self) {
        for word in self.node().words.iter().skip(self.count()).rev() {
            word.store(word.load(Ordering::Relaxed) | NO_WORD, Ordering::Release);
        }
    }

    /// A word of this node below its count with the head for another skip.
    fn headed_again(self, word: u64, skip: usize) -> u64 {
        let record = match self.kind().0 {
            Kind::Leaf(leaf) => leaf.record_of(word),
            Kind::Inner(inner) => inner.low_of(word).record,
        };
        u64::from(head(record.get().key, skip)) << 32 | word & !NO_WORD
    }

    /// Rewrites all heads. Needs: the state is in flux.
    pub(super) fn set_heads(self, skip: usize) {
        for rank in usize::from(self.height() > 0)..self.count() {
            let word = &self.node().words[rank];
            word.store(self.headed_again(word.load(Ordering::Relaxed), skip), Ordering::Release);
        }
    }
}

/// Asks for a line of memory, if the processor can be asked.
#[inline(always)]
pub(super) fn prefetch(at: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a hint; no memory is accessed, whatever the address.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
    let _ = at;
}

/// Where a target belongs in a node.
#[derive(Clone, Copy)]
struct Place {
    /// How many entries are before it (in an inner node: not behind it).
    rank: usize,
    /// The word of the last of them, where there is one.
    before: u64,
    /// The word behind, where there is one.
    behind: Option<u64>,
}

/// See N5 for why what is found is right beside a writer.
impl<'p> Inner<'p> {
    /// Needs: one of its words below the count, or a word that was.
    #[inline(always)]
    fn child_of(self, word: u64) -> Child<'p> {
        // SAFETY: read by an acquire from a node above the leaves (N3).
        unsafe { Child::from_offset(self.slabs, word as u32) }
    }

    /// The separator of a child that is not the leftmost one. Needs: as `child_of`.
    #[inline(always)]
    fn low_of(self, word: u64) -> Low<'p> {
        self.child_of(word).node.low().expect("children but the leftmost one have separators")
    }

    /// The child at a rank below the count.
    pub(super) fn child(self, rank: usize) -> NodeRef<'p> {
        assert!(rank < self.count(), "N4");
        self.child_of(self.word(rank)).node
    }

    /// The child in whose range a target is, and its rank. `state` is one that the node had.
    #[inline(always)]
    pub(super) fn child_for(self, state: State, target: &Target<'_>) -> (usize, NodeRef<'p>) {
        if !state.is_flux() && (state.is_sure() || self.aside(target, state.skip()) == Compared::Equal) {
            let head = head(target.key, state.skip());
            // The leftmost child's word has the head 0, and is before every target.
            let behind = self.lower_bound(u64::from(head) << 32).max(1);
            let word = self.word(behind - 1);
            if behind == SLOTS || (self.word(behind) >> 32) as u32 > head {
                return (behind - 1, self.child_of(word).node);
            }
        }
        self.child_for_slowly(state, target)
    }

    /// Whether what all separators share is before a target (or behind it), so that all of them are.
    fn aside(self, target: &Target<'_>, skip: usize) -> Compared {
        if self.count() < 2 {
            return Compared::Equal;
        }
        let shared = self.low_of(self.word(1)).record.get().key;
        compare(shared.get(..skip).unwrap_or(shared), target.key.get(..skip).unwrap_or(target.key))
    }

    /// As `child_for`, where heads do not suffice.
    #[inline(never)]
    fn child_for_slowly(self, state: State, target: &Target<'_>) -> (usize, NodeRef<'p>) {
        let place = if state.is_flux() {
            self.place(1, |word| target.is_from(&self.low_of(word)))
        } else {
            let aside = if state.is_sure() { Compared::Equal } else { self.aside(target, state.skip()) };
            let head = head(target.key, state.skip());
            self.place(1, |word| match aside.then(((word >> 32) as u32).cmp(&head)) {
                Compared::Less => true,
                Compared::Greater => false,
                Compared::Equal => target.is_from(&self.low_of(word)),
            })
        };
        (place.rank - 1, self.child_of(place.before).node)
    }

    /// Puts a child into a node that is not full; the first one is the leftmost one. For the writer.
    pub(super) fn insert_child(self, rank: usize, child: Child<'p>) {
        let state = self.state();
        assert!(state.height() == child.node.height() + 1, "N3");
        assert!((rank == 0) == (self.count() == 0), "nothing comes before the leftmost child");
        let head = match (rank, child.node.low()) {
            (1.., Some(low)) => head(low.record.get().key, state.skip()),
            _ => 0,
        };
        self.insert_word(rank, u64::from(head) << 32 | u64::from(child.offset));
    }
}

/// What was found in a leaf.
#[derive(Clone, Copy)]
pub(super) struct Found<'p> {
    /// How many records are before the target.
    pub(super) rank: usize,
    /// The first record that is not.
    pub(super) at: Option<RecordRef<'p>>,
    /// The same, if it has the target's key.
    pub(super) same_key: Option<Record<'p>>,
}

/// What is known of a version after a look at the leaf where it belongs.
pub(super) enum Version<'p> {
    Found(Record<'p>),
    /// There is none.
    None,
    /// It takes another look, perhaps at the next leaf.
    Unclear,
}

/// See N5 for why what is found is right beside a writer.
impl<'p> Leaf<'p> {
    /// Needs: one of its words below the count, or a word that was.
    #[inline(always)]
    fn record_of(self, word: u64) -> RecordRef<'p> {
        RecordRef { slabs: self.slabs, offset: word as u32 }
    }

    /// The record at a rank below the count.
    pub(super) fn record(self, rank: usize) -> RecordRef<'p> {
        assert!(rank < self.count(), "N4");
        self.record_of(self.word(rank))
    }

    /// The address, to find the leaf again ([`Leaf::from_address`]).
    #[inline(always)]
    pub(super) fn address(self) -> *mut u8 {
        self.at.as_ptr().cast()
    }

    /// # Safety
    /// 1. `address` is null, or what [`Leaf::address`] gave for a leaf in the same slabs in this generation, in this thread or
    ///    in one that has passed on what it knows since.
    #[inline(always)]
    pub(super) unsafe fn from_address(slabs: &'p Slabs, address: *mut u8) -> Option<Leaf<'p>> {
        NonNull::new(address.cast()).map(|at| Leaf(NodeRef { slabs, at }))
    }

    /// How many records there are, if all of them are before a target. For the writer.
    #[inline(always)]
    pub(super) fn is_passed_by(self, target: &Target<'_>) -> Option<usize> {
        let count = self.count();
        let last = self.record_of(self.word(count.checked_sub(1)?)).get();
        (target.side_of(&last) == Compared::Less).then_some(count)
    }

    /// The leaf after this one.
    #[inline(always)]
    pub(super) fn next(self) -> Option<Leaf<'p>> {
        match self.node().link.load(Ordering::Acquire) {
            0 => None,
            // SAFETY: read by an acquire from a leaf, whose link leads to a leaf (N3).
            offset => Some(Leaf(unsafe { Child::from_offset(self.slabs, offset) }.node)),
        }
    }

    /// The first record that is not before a target. `state` is one that the leaf had.
    #[inline(always)]
    pub(super) fn find(self, state: State, target: &Target<'_>) -> Found<'p> {
        if !state.is_flux() {
            let head = head(target.key, state.skip());
            let rank = self.lower_bound(u64::from(head) << 32);
            if rank < self.count() {
                let word = self.word(rank);
                let at = self.record_of(word);
                match ((word >> 32) as u32).cmp(&head) {
                    Compared::Greater => return Found { rank, at: Some(at), same_key: None },
                    Compared::Equal => {
                        let record = at.get();
                        match target.side_of(&record) {
                            Compared::Less => {}
                            Compared::Equal => return Found { rank, at: Some(at), same_key: Some(record) },
                            Compared::Greater => return Found { rank, at: Some(at), same_key: None },
                        }
                    }
                    Compared::Less => {}
                }
            }
        }
        self.find_slowly(state, target)
    }

    /// The target's version of its key, if it is in this leaf for certain, or certainly nowhere. `state` as for `find`.
    #[inline(always)]
    pub(super) fn version(self, state: State, target: &Target<'_>) -> Version<'p> {
        if state.is_flux() {
            return Version::Unclear;
        }
        let head = head(target.key, state.skip());
        let rank = self.lower_bound(u64::from(head) << 32);
        if rank >= self.count() {
            return Version::Unclear;
        }
        let word = self.word(rank);
        match ((word >> 32) as u32).cmp(&head) {
            Compared::Greater => Version::None,
            Compared::Less => Version::Unclear,
            Compared::Equal => {
                let record = self.record_of(word);
                record.prefetch();
                let record = record.get();
                match target.side_of(&record) {
                    Compared::Equal => Version::Found(record),
                    Compared::Greater => Version::None,
                    Compared::Less => Version::Unclear,
                }
            }
        }
    }

    #[inline(never)]
    fn find_slowly(self, state: State, target: &Target<'_>) -> Found<'p> {
        if state.is_flux() {
            return self.find_by_records(target);
        }
        let head = head(target.key, state.skip());
        let place = self.place(0, |word| match ((word >> 32) as u32).cmp(&head) {
            Compared::Less => true,
            Compared::Greater => false,
            Compared::Equal => target.is_behind(&self.record_of(word).get()),
        });
        self.found(target, place)
    }

    /// As `find`, without a look at heads: for targets that the leaf may not be the right one for.
    #[inline(never)]
    pub(super) fn find_by_records(self, target: &Target<'_>) -> Found<'p> {
        self.found(target, self.place(0, |word| target.is_behind(&self.record_of(word).get())))
    }

    fn found(self, target: &Target<'_>, place: Place) -> Found<'p> {
        let at = place.behind.map(|word| self.record_of(word));
        let same_key = at.map(RecordRef::get).filter(|record| target.side_of(record) == Compared::Equal);
        Found { rank: place.rank, at, same_key }
    }

    /// The entries, and what comes after. With `PREFETCH`, the memory of all that is asked for.
    #[inline(always)]
    pub(super) fn copy<const PREFETCH: bool>(self) -> LeafCopy<'p> {
        let mut copy = LeafCopy::empty(self.slabs);
        let mut tally = self.tally();
        loop {
            self.copy_words::<PREFETCH>(&mut copy, tally.count());
            // Two insertions meanwhile can leave entries behind those that they belong before (N6).
            match self.tally() {
                same if same == tally => break,
                other => tally = other,
            }
        }
        copy.next = self.next();
        if let (true, Some(next)) = (PREFETCH, copy.next) {
            prefetch(next.at.as_ptr().cast());
            next.prefetch();
        }
        copy
    }

    #[inline(always)]
    fn copy_words<const PREFETCH: bool>(self, copy: &mut LeafCopy<'p>, count: usize) {
        let (mut copied, mut last) = (0, 0);
        for rank in 0..count {
            let offset = self.word(rank) as u32;
            // An entry that is being moved stands in two places.
            if offset != last
                && let Some(room) = copy.offsets.get_mut(copied)
            {
                (*room, last) = (offset, offset);
                copied += 1;
                if PREFETCH {
                    RecordRef { slabs: self.slabs, offset }.prefetch();
                }
            }
        }
        copy.count = copied;
    }

    // ------------------------------------------------------------------------------ changes, for the writer alone

    /// Links the leaf to the next one.
    pub(super) fn set_next(self, next: NewLeaf<'p>) {
        self.node().link.store(next.child.offset, Ordering::Release);
    }

    /// Links the leaf to where another one is linked to.
    pub(super) fn set_next_of(self, other: Leaf<'p>) {
        self.node().link.store(other.node().link.load(Ordering::Relaxed), Ordering::Release);
    }

    /// Puts a record into a leaf that is not full.
    #[inline(always)]
    pub(super) fn insert_record(self, rank: usize, record: RecordRef<'p>, key: &[u8]) {
        self.insert_word(rank, u64::from(head(key, self.state().skip())) << 32 | u64::from(record.offset));
    }

    /// Puts a record in the place of one with the same key, and no other version between them.
    pub(super) fn replace_record(self, rank: usize, record: RecordRef<'p>) {
        assert!(rank < self.count(), "N4");
        let word = &self.node().words[rank];
        word.store(word.load(Ordering::Relaxed) & NO_WORD | u64::from(record.offset), Ordering::Release);
    }

    /// Takes a record out. For a tree that nobody reads meanwhile.
    pub(super) fn remove(self, rank: usize) {
        let node = self.node();
        let count = self.count();
        assert!(rank < count, "N4");
        for to in rank..count - 1 {
            node.words[to].store(node.words[to + 1].load(Ordering::Relaxed), Ordering::Release);
        }
        self.keep(Tally::of(count - 1));
        self.clear();
    }
}

/// A leaf that was just made.
#[derive(Clone, Copy)]
pub(super) struct NewLeaf<'p> {
    pub(super) child: Child<'p>,
    pub(super) leaf: Leaf<'p>,
}

impl<'p> NewLeaf<'p> {
    /// An empty leaf. Needs: `ensure` for its bytes.
    pub(super) fn new<M: Memory>(cutter: &Cutter<'p, M>, low: Option<Low<'p>>) -> NewLeaf<'p> {
        let child = Child::new(cutter, 0, low);
        NewLeaf { child, leaf: Leaf(child.node) }
    }
}

/// An inner node that was just made.
#[derive(Clone, Copy)]
pub(super) struct NewInner<'p> {
    pub(super) child: Child<'p>,
    pub(super) inner: Inner<'p>,
}

impl<'p> NewInner<'p> {
    /// An empty inner node, at least at height 1. Needs: `ensure` for its bytes.
    pub(super) fn new<M: Memory>(
        cutter: &Cutter<'p, M>,
        height: usize,
        low: Option<Low<'p>>,
    ) -> NewInner<'p> {
        assert!(height > 0, "N3");
        let child = Child::new(cutter, height, low);
        NewInner { child, inner: Inner(child.node) }
    }
}

/// For tests that look at the structure.
#[cfg(all(test, not(loom)))]
impl NodeRef<'_> {
    /// The head of the entry at a rank, and what it should be.
    pub(super) fn heads(self, rank: usize) -> (u32, u32) {
        let word = self.word(rank);
        ((word >> 32) as u32, (self.headed_again(word, self.state().skip()) >> 32) as u32)
    }

    /// The heads of the words behind the last entry.
    pub(super) fn free_heads(self) -> impl Iterator<Item = u32> {
        (self.count()..SLOTS).map(move |rank| (self.word(rank) >> 32) as u32)
    }

    pub(super) fn is_same(self, other: Self) -> bool {
        self.at == other.at
    }
}

/// A leaf's entries as they were at one moment.
#[derive(Clone, Copy)]
pub(super) struct LeafCopy<'p> {
    slabs: &'p Slabs,
    offsets: [u32; SLOTS],
    count: usize,
    next: Option<Leaf<'p>>,
}

impl<'p> LeafCopy<'p> {
    pub(super) fn empty(slabs: &'p Slabs) -> LeafCopy<'p> {
        LeafCopy { slabs, offsets: [0; SLOTS], count: 0, next: None }
    }

    #[inline(always)]
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn next(&self) -> Option<Leaf<'p>> {
        self.next
    }

    /// The record at a rank.
    #[inline(always)]
    pub(super) fn record(&self, rank: usize) -> Option<Record<'p>> {
        if rank >= self.count {
            return None;
        }
        Some(RecordRef { slabs: self.slabs, offset: *self.offsets.get(rank)? }.get())
    }

    /// The rank of a record; the count where it is not there.
    pub(super) fn rank_of(&self, record: Option<RecordRef<'p>>) -> usize {
        let found = record
            .and_then(|record| self.offsets.iter().take(self.count).position(|at| *at == record.offset));
        found.unwrap_or(self.count)
    }
}
