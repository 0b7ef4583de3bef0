//! External sort: rows in, rows in order out, in as much memory as there is.
//!
//! ```text
//! batch ──> keys, rows ──> segment ─┐ sorted when full          ┌─ run 0 (oldest)
//!                          segment ─┼─ memory is refused: merged ┼─ run 1     …     ──┐
//!                          segment ─┘  into a run on disk        └─ run 2             ├─> loser tree ──> batches
//!                                                      what is in memory at the end ──┘
//! ```
//!
//! A kept row is its key and its bytes; its tag is the key's prefix ([`key`]). A *segment* is pages of rows and an array with an entry for
//! each, prefix and place, which is what is sorted. Segments are small enough for a processor's cache, and merged at the end; so no
//! array ever has to be as long as the input. Rows with equal keys keep the order they came in: places within a segment
//! ascend, and of equal rows the one of the earlier lane comes first.
//!
//! With a limit of N rows, there is one segment, and when it has twice N the worse half is dropped; what comes behind the N-th
//! best so far is not kept at all. Runs and merges have N rows at most.
//!
//! **Ladder**: in memory → sorted runs in temporary files, of at least what the reserve below has, merged so many at a time that
//! buffers suffice, in several passes if need be → the typed error.
//!
//! **Peak bytes**: what is granted. Before a sort holds more than its reserve has (a block for each run that is merged, one to
//! write, one for rows on their way out: [`reserve_bytes`]), it takes that; from then on it needs nothing but rows.
//!
//! **Two parts.** [`KeyEncoder`] and [`SortKeys`] borrow the arena of the pipeline that reads the input. The [`Sorter`] is
//! owned, and handed to the pipeline that reads the rows.

mod key;
#[cfg(test)]
mod tests;
mod tree;

use core::cmp::Ordering;
use core::ops::Range;

use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, Budget, BudgetAlloc, Buffer, Growing, append};

use self::tree::LoserTree;
use crate::pipeline::{batch_bytes_max, has_room, headroom_bytes};
use crate::rows::RowEncoder;
use crate::spill::{
    IoSlot, IsCancelled, RowPages, RowRef, SpillCounts, SpillFailure, SpillFile, SpillIo, SpillOwner,
    SpillReader, SpillSpace, SpillWriter, block_bytes, room_bytes,
};

pub(crate) use key::{KeyEncoder, KeyShape, SortKeys};

/// The most bytes of a segment's entries: 262,000 rows.
const ENTRIES_BYTES_MAX: usize = 4 << 20;
const ENTRIES_BYTES_MIN: usize = 16 << 10;
/// Rows that are sorted in one go: a small part of a second.
const PIECE_ROWS: usize = 1 << 18;
/// Fewer rows with one prefix than that are sorted by their keys as they are.
const SHORT_RUN_ROWS: usize = 8;
/// How many times eight bytes of a key take its prefix's place.
const WORDS_MAX: usize = 6;
/// Rows that a limit may leave waiting before they are thinned out.
const SLACK_ROWS: usize = 1024;
/// After so many bytes of rows it is asked whether the reserve is to be taken.
const PREPARE_BYTES: usize = 8 << 10;
const FAN_IN_MIN: usize = 2;
/// How often a long row is there on its way out: as it was read, in a column, and in what grows for both.
const HANDED_OUT: u64 = 6;
const FAN_IN_MAX: usize = 32;
/// So many times the fan-in is the most runs that there are at once.
const RUNS_PER_LANE: usize = 4;
const KEY_LENGTH_BYTES: usize = 4;
/// Of a lane without more rows. No row has this place.
const DONE: [u64; 2] = [u64::MAX; 2];
/// Of a row on its way out that stands in the block for such rows, or alone.
const OUT: u64 = u64::MAX;
const OUT_LONG: u64 = u64::MAX - 1;

/// Keeps rows, and gives them back in order.
#[derive(Debug)]
pub(crate) struct Sorter {
    budget: Budget,
    /// What was left for it at the beginning, which sizes follow.
    room_bytes: u64,
    shape: KeyShape,
    /// At most so many rows are wanted.
    limit: u64,
    /// How many entries a segment has at most.
    entries_max: usize,
    /// Rows in memory, in the order they came; the last one is filled.
    segments: Vec<Segment, BudgetAlloc>,
    /// Rows in files, which came before those in memory.
    runs: Vec<SpillFile, BudgetAlloc>,
    spilling: Spilling,
    /// The key of the N-th row so far, with a limit: what does not come before it is not kept.
    threshold: Option<u64>,
    threshold_key: Vec<u8, BudgetAlloc>,
    /// What is merged.
    lanes: Lanes,
    /// What stands in the batch that was given last.
    picks: Vec<[u64; 2], BudgetAlloc>,
    /// A row that is longer than the block for rows on their way out.
    long: Growing<u8>,
    /// Rows that are still to be given.
    left: u64,
    /// Whether the input has ended.
    is_reading: bool,
    merged_runs: u64,
}

/// Rows in memory.
#[derive(Debug)]
struct Segment {
    rows: RowPages,
    /// Prefix and place.
    entries: Growing<[u64; 2]>,
    /// The first entry that was not given.
    next: usize,
    is_sorted: bool,
}

/// Whether there are files, or could be.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a sort has one of them, in place")]
enum Spilling {
    Impossible,
    /// The reserve is taken when so many bytes are held.
    Possible {
        space: SpillSpace,
        name: cofferdam_arena::InlineText<32>,
        at_bytes: u64,
    },
    Ready(Reserve),
}

/// What files are written and read with.
#[derive(Debug)]
struct Reserve {
    io: SpillIo,
    slots: Vec<IoSlot, BudgetAlloc>,
    /// Rows of runs on their way out.
    out: Buffer<u8>,
    fan_in: usize,
    bytes: u64,
}

/// Sorted rows from several places: runs, then segments.
#[derive(Debug)]
struct Lanes {
    readers: Vec<SpillReader, BudgetAlloc>,
    /// Of each lane the prefix of its next row, and its place in a segment.
    heads: Vec<[u64; 2], BudgetAlloc>,
    tree: LoserTree,
}

/// How many runs a sort merges at once under a limit.
fn fan_in(limit_bytes: u64, block_bytes: usize) -> usize {
    let lanes = limit_bytes / (16 * block_bytes as u64);
    usize::try_from(lanes).unwrap_or(usize::MAX).clamp(2 * FAN_IN_MIN, FAN_IN_MAX)
}

/// What a sort takes for files under a limit; with twice as much for rows it can sort any number of them.
pub(crate) fn reserve_bytes(limit_bytes: u64) -> u64 {
    let block = block_bytes(limit_bytes);
    Reserve::bytes(block, fan_in(limit_bytes, block))
}

impl Reserve {
    fn bytes(block: usize, fan_in: usize) -> u64 {
        let list = fan_in * RUNS_PER_LANE * size_of::<SpillFile>() + fan_in * size_of::<SpillReader>();
        (fan_in as u64 + 1) * IoSlot::charged_bytes(block)
            + SpillIo::charged_bytes(block)
            + (block + list) as u64
    }

    fn new(
        space: &SpillSpace,
        name: &str,
        budget: &Budget,
        block: usize,
        fan_in: usize,
    ) -> Result<Reserve, AllocError> {
        let owner = SpillOwner::new(space, name, budget, fan_in * RUNS_PER_LANE + 1)?;
        let io = SpillIo::new(&owner, budget, block)?;
        let mut slots = Vec::new_in(BudgetAlloc::new(budget));
        slots.try_reserve_exact(fan_in + 1).map_err(|_| AllocError)?;
        for _ in 0..=fan_in {
            slots.push(IoSlot::new(budget, block)?);
        }
        let out = Buffer::filling(budget, block)?;
        Ok(Reserve { io, slots, out, fan_in, bytes: Reserve::bytes(block, fan_in) })
    }
}

impl Segment {
    fn new(budget: &Budget, page_bytes: usize) -> Segment {
        Segment {
            rows: RowPages::new(budget, page_bytes),
            entries: Growing::new(budget),
            next: 0,
            is_sorted: false,
        }
    }

    fn held_bytes(&self) -> u64 {
        self.rows.held_bytes() + self.entries.charged_bytes() as u64
    }

    /// Keeps a row; nothing has changed if there is no room.
    #[inline]
    fn keep(&mut self, prefix: u64, parts: &[&[u8]]) -> Result<(), AllocError> {
        self.entries.reserve(1)?;
        let row = self.rows.push(prefix, parts)?;
        self.entries.push([prefix, row.to_bits()])
    }

    fn sort(&mut self, shape: KeyShape, is_cancelled: IsCancelled<'_>) -> Result<(), SpillFailure> {
        if !self.is_sorted {
            sort_entries(&mut self.entries, &self.rows, shape, is_cancelled)?;
            self.is_sorted = true;
        }
        Ok(())
    }

    /// The next entry that was not given.
    #[inline(always)]
    fn head(&self) -> [u64; 2] {
        self.entries.get(self.next).copied().unwrap_or(DONE)
    }

    fn get(&self, bits: u64) -> &[u8] {
        self.rows.get(RowRef::from_bits(bits))
    }
}

impl Lanes {
    fn new(pieces: &BudgetAlloc) -> Lanes {
        Lanes {
            readers: Vec::new_in(pieces.clone()),
            heads: Vec::new_in(pieces.clone()),
            tree: LoserTree::new(pieces),
        }
    }

    /// Makes room for so many lanes.
    fn reserve(&mut self, lanes: usize) -> Result<(), AllocError> {
        self.heads.try_reserve(lanes.saturating_sub(self.heads.len())).map_err(|_| AllocError)?;
        self.tree.reserve(lanes)
    }

    /// Begins with the first rows of all readers and segments; readers are at their first row.
    fn begin(&mut self, segments: &[Segment], shape: KeyShape) -> Result<(), AllocError> {
        self.heads.clear();
        self.reserve(self.readers.len() + segments.len())?;
        self.heads.extend(self.readers.iter().map(|reader| [reader.row().0, 0]));
        self.heads.extend(segments.iter().map(Segment::head));
        let Lanes { readers, heads, tree } = self;
        tree.build(heads.len(), |a, b| is_less(heads, readers, segments, shape, a, b))
    }

    /// The lane with the next row, if there is one.
    #[inline(always)]
    fn winner(&self) -> Option<usize> {
        let lane = self.tree.winner();
        (self.heads[lane] != DONE).then_some(lane)
    }

    /// The next row, which is that of the winner.
    #[inline(always)]
    fn row<'l>(&'l self, lane: usize, segments: &'l [Segment]) -> &'l [u8] {
        row_of(&self.heads, &self.readers, segments, lane)
    }

    /// Goes on with the next row of the winner.
    #[inline(always)]
    fn advance(
        &mut self,
        lane: usize,
        segments: &mut [Segment],
        shape: KeyShape,
        io: Option<&mut SpillIo>,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), SpillFailure> {
        let Lanes { readers, heads, tree } = self;
        heads[lane] = match (readers.get_mut(lane), io) {
            (Some(reader), Some(io)) => match reader.advance(io, is_cancelled)? {
                true => [reader.row().0, 0],
                false => DONE,
            },
            _ => {
                let segment = &mut segments[lane - readers.len()];
                segment.next += 1;
                segment.head()
            }
        };
        tree.replay(|a, b| is_less(heads, readers, segments, shape, a, b));
        Ok(())
    }
}

#[inline(always)]
fn row_of<'l>(
    heads: &[[u64; 2]],
    readers: &'l [SpillReader],
    segments: &'l [Segment],
    lane: usize,
) -> &'l [u8] {
    match readers.get(lane) {
        Some(reader) => reader.row().1,
        None => segments[lane - readers.len()].get(heads[lane][1]),
    }
}

/// Whether the next row of lane `a` comes before that of lane `b`.
#[inline(always)]
fn is_less(
    heads: &[[u64; 2]],
    readers: &[SpillReader],
    segments: &[Segment],
    shape: KeyShape,
    a: usize,
    b: usize,
) -> bool {
    let (prefix, other) = (heads[a][0], heads[b][0]);
    if prefix != other {
        return prefix < other;
    }
    is_less_slow(heads, readers, segments, shape, a, b)
}

/// As [`is_less`], of lanes whose rows have equal prefixes, or no rows.
#[inline(never)]
fn is_less_slow(
    heads: &[[u64; 2]],
    readers: &[SpillReader],
    segments: &[Segment],
    shape: KeyShape,
    a: usize,
    b: usize,
) -> bool {
    if heads[a] == DONE || heads[b] == DONE {
        return heads[a] != DONE;
    }
    if shape.is_decided_by(heads[a][0]) {
        return a < b;
    }
    let key = |lane| shape.split(row_of(heads, readers, segments, lane)).0;
    key(a).cmp(key(b)).then(a.cmp(&b)) == Ordering::Less
}

impl KeyShape {
    /// Whether keys with this prefix are equal.
    #[inline(always)]
    fn is_decided_by(self, prefix: u64) -> bool {
        (self.is_whole && prefix != 0 && prefix != u64::MAX) || self.kept_bytes == Some(0)
    }

    /// The key and the bytes of a kept row.
    #[inline(always)]
    fn split(self, row: &[u8]) -> (&[u8], &[u8]) {
        match self.kept_bytes {
            Some(bytes) => row.split_at(bytes),
            None => {
                let (length, rest) = row.split_at(KEY_LENGTH_BYTES);
                let mut bytes = [0; KEY_LENGTH_BYTES];
                bytes.copy_from_slice(length);
                rest.split_at(u32::from_le_bytes(bytes) as usize)
            }
        }
    }
}

/// Sorts entries, a piece at a time where there are many.
fn sort_entries(
    entries: &mut [[u64; 2]],
    rows: &RowPages,
    shape: KeyShape,
    is_cancelled: IsCancelled<'_>,
) -> Result<(), SpillFailure> {
    // Each halving leaves one range waiting.
    let mut ranges = [(0, 0); usize::BITS as usize];
    ranges[0] = (0, entries.len());
    let mut count = 1;
    while count > 0 {
        if is_cancelled() {
            return Err(SpillFailure::Cancelled);
        }
        count -= 1;
        let (start, end) = ranges[count];
        let range = &mut entries[start..end];
        if range.len() <= PIECE_ROWS {
            sort_piece(range, rows, shape);
            continue;
        }
        let middle = range.len() / 2;
        range.select_nth_unstable_by(middle, |a, b| compare(rows, shape, a, b));
        ranges[count] = (start + middle, end);
        ranges[count + 1] = (start, start + middle);
        count += 2;
    }
    Ok(())
}

fn sort_piece(entries: &mut [[u64; 2]], rows: &RowPages, shape: KeyShape) {
    sort_by_words(entries);
    if shape.is_whole {
        // NULLs, and the values that have their prefixes.
        let low = entries.partition_point(|entry| entry[0] == 0);
        let high = entries.partition_point(|entry| entry[0] < u64::MAX);
        entries[..low].sort_unstable_by(|a, b| compare(rows, shape, a, b));
        entries[high..].sort_unstable_by(|a, b| compare(rows, shape, a, b));
    } else if shape.kept_bytes != Some(0) {
        let runs = entries.chunk_by_mut(|a, b| a[0] == b[0]);
        runs.for_each(|run| sort_run(run, rows, shape, 0));
    }
}

fn sort_by_words(entries: &mut [[u64; 2]]) {
    entries.sort_unstable_by_key(|entry| u128::from(entry[0]) << 64 | u128::from(entry[1]));
}

/// Sorts entries that have one prefix, and the order of their places, by their keys: eight bytes behind what all keys have in common
/// take the prefix's place meanwhile, so each key is looked at few times and numbers are compared. `depth` says how often
/// that was done before; it is done a few times at most, however long keys are.
fn sort_run(run: &mut [[u64; 2]], rows: &RowPages, shape: KeyShape, depth: usize) {
    let [first, others @ ..] = &*run else { return };
    if others.len() < SHORT_RUN_ROWS || depth == WORDS_MAX {
        run.sort_unstable_by(|a, b| compare(rows, shape, a, b));
        return;
    }
    let key = |entry: &[u64; 2]| shape.split(rows.get(RowRef::from_bits(entry[1]))).0;
    let (prefix, first) = (first[0], key(first));
    let common = others.iter().fold(first.len(), |common, entry| common_bytes(&first[..common], key(entry)));
    // No key is another one's beginning: they are equal.
    if common == first.len() {
        return;
    }
    for entry in run.iter_mut() {
        entry[0] = word_of(&key(entry)[common..]);
    }
    sort_by_words(run);
    run.chunk_by_mut(|a, b| a[0] == b[0]).for_each(|run| sort_run(run, rows, shape, depth + 1));
    run.iter_mut().for_each(|entry| entry[0] = prefix);
}

/// How many bytes two keys have in common at the beginning.
#[inline(always)]
fn common_bytes(a: &[u8], b: &[u8]) -> usize {
    let words = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
    let start = 8 * words.take_while(|(a, b)| a == b).count();
    start + a[start..].iter().zip(&b[start..]).take_while(|(a, b)| a == b).count()
}

/// The first bytes as a number that has their order; zeros stand for those that are not there.
#[inline(always)]
fn word_of(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(word) => u64::from_be_bytes(*word),
        None => bytes.iter().rev().fold(0, |word, &byte| word >> 8 | u64::from(byte) << 56),
    }
}

#[inline(always)]
fn compare(rows: &RowPages, shape: KeyShape, a: &[u64; 2], b: &[u64; 2]) -> Ordering {
    let key = |entry: &[u64; 2]| shape.split(rows.get(RowRef::from_bits(entry[1]))).0;
    let by_prefix = a[0].cmp(&b[0]);
    by_prefix
        .then_with(|| if shape.is_decided_by(a[0]) { Ordering::Equal } else { key(a).cmp(key(b)) })
        .then(a[1].cmp(&b[1]))
}

impl Sorter {
    /// A sort of rows with keys of a shape. `budget` pays. Without a `space` rows stay in memory; `name` is the operator's, for the
    /// list of files.
    pub(crate) fn new(
        budget: &Budget,
        shape: KeyShape,
        limit: Option<u64>,
        space: Option<&SpillSpace>,
        name: &str,
    ) -> Sorter {
        let limit_bytes = room_bytes(budget);
        let at_bytes = reserve_bytes(limit_bytes);
        let spilling = match space.filter(|space| space.is_enabled()) {
            Some(space) => Spilling::Possible {
                space: space.clone(),
                name: cofferdam_arena::InlineText::new(name),
                at_bytes,
            },
            None => Spilling::Impossible,
        };
        let pieces = BudgetAlloc::new(budget);
        let entries_bytes = usize::try_from(limit_bytes / 16).unwrap_or(usize::MAX);
        let entries_bytes = entries_bytes.clamp(ENTRIES_BYTES_MIN, ENTRIES_BYTES_MAX);
        Sorter {
            budget: budget.clone(),
            room_bytes: limit_bytes,
            shape,
            limit: limit.unwrap_or(u64::MAX),
            entries_max: match limit {
                None => Buffer::<[u64; 2]>::len_filling(entries_bytes),
                // Thinned out, or all of them wanted.
                Some(_) => usize::MAX,
            },
            segments: Vec::new_in(pieces.clone()),
            runs: Vec::new_in(pieces.clone()),
            spilling,
            threshold: None,
            threshold_key: Vec::new_in(pieces.clone()),
            lanes: Lanes::new(&pieces),
            picks: Vec::new_in(pieces),
            long: Growing::new(budget),
            left: 0,
            is_reading: false,
            merged_runs: 0,
        }
    }

    /// What rows in memory are charged for: what [`Sorter::spill`] gives back most of.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.segments.iter().map(Segment::held_bytes).sum()
    }

    /// Who pays.
    pub(crate) const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What its files have and had.
    pub(crate) fn spilled(&self) -> SpillCounts {
        match &self.spilling {
            Spilling::Ready(reserve) => reserve.io.owner().counts(),
            _ => SpillCounts::default(),
        }
    }

    /// How many runs were merged into others before the last merge.
    #[cfg(test)]
    pub(crate) fn merged_runs(&self) -> u64 {
        self.merged_runs
    }

    /// Keeps those of the rows that were encoded whose numbers are in `rest`, or of these those that may be among the first N. What is kept is
    /// taken out of `rest`, so that after an error whoever makes room can go on.
    ///
    /// # Errors
    /// There is room neither in memory nor for files; those of files.
    pub(crate) fn put(
        &mut self,
        keys: &KeyEncoder<'_>,
        rows: &RowEncoder<'_>,
        rest: &mut Range<usize>,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), SpillFailure> {
        let mut fresh_bytes = 0;
        while rest.start < rest.end {
            let i = rest.start;
            let (prefix, key) = (keys.prefix(i), keys.key(i));
            if self.comes_too_late(prefix, key) {
                rest.start += 1;
                continue;
            }
            let length = (key.len() as u32).to_le_bytes();
            let length = if self.shape.kept_bytes.is_some() { &[][..] } else { &length[..] };
            let parts = [length, key, rows.row(i)];
            fresh_bytes += key.len() + parts[2].len();
            if fresh_bytes > PREPARE_BYTES {
                self.prepare();
                fresh_bytes = 0;
            }
            while let Err(error) = self.keep(prefix, &parts, is_cancelled)? {
                self.make_room(error, is_cancelled)?;
            }
            rest.start += 1;
        }
        self.prepare();
        Ok(())
    }

    /// What [`Sorter::spill`] would give back about.
    pub(crate) fn yieldable_bytes(&self) -> u64 {
        let has_rows = self.segments.iter().any(|segment| segment.next < segment.entries.len());
        match &self.spilling {
            Spilling::Ready(reserve) if has_rows => self.held_bytes().saturating_sub(reserve.bytes / 2),
            Spilling::Possible { .. } if has_rows => self.held_bytes(),
            _ => 0,
        }
    }

    /// Writes the rows that are in memory to a file, so that others may have it; false where there is nothing to be had. Rows that
    /// [`Sorter::advance`] went to are not good any more.
    ///
    /// # Errors
    /// Those of files.
    pub(crate) fn spill(&mut self, is_cancelled: IsCancelled<'_>) -> Result<bool, SpillFailure> {
        self.take_reserve();
        let has_rows = self.segments.iter().any(|segment| segment.next < segment.entries.len());
        if !has_rows || !matches!(self.spilling, Spilling::Ready(_)) {
            return Ok(false);
        }
        if !self.is_reading {
            self.write_run(is_cancelled)?;
            return Ok(true);
        }
        self.picks.clear();
        if let Spilling::Ready(reserve) = &mut self.spilling {
            for lane in (0..self.lanes.readers.len()).rev() {
                if self.lanes.heads.get(lane) == Some(&DONE) {
                    reserve.slots.push(self.lanes.readers.remove(lane).into_slot());
                }
            }
        }
        // The readers wait at their rows while the rest of what is in memory becomes a run behind theirs.
        let mut readers = Vec::new_in(self.lanes.readers.allocator().clone());
        core::mem::swap(&mut readers, &mut self.lanes.readers);
        self.write_run(is_cancelled)?;
        core::mem::swap(&mut readers, &mut self.lanes.readers);
        let Sorter { spilling, lanes, segments, runs, shape, .. } = self;
        segments.clear();
        let Spilling::Ready(reserve) = spilling else { return Ok(true) };
        let run = runs.last().expect("it was just written");
        lanes.readers.try_reserve(1).map_err(|_| AllocError)?;
        open_run(reserve, lanes, run, is_cancelled)?;
        lanes.begin(segments, *shape)?;
        Ok(true)
    }

    #[inline(always)]
    fn comes_too_late(&self, prefix: u64, key: &[u8]) -> bool {
        match self.threshold {
            None => self.limit == 0,
            Some(worst) if prefix != worst => prefix > worst,
            Some(_) => *key >= self.threshold_key[..],
        }
    }

    /// Keeps a row in the last segment, or in a new one behind it. The inner error says that there is no room.
    #[inline(always)]
    fn keep(
        &mut self,
        prefix: u64,
        parts: &[&[u8]],
        is_cancelled: IsCancelled<'_>,
    ) -> Result<Result<(), AllocError>, SpillFailure> {
        let is_room = |segment: &Segment| !segment.is_sorted && segment.entries.len() < self.entries_max;
        if !self.segments.last().is_some_and(is_room)
            && let Err(error) = self.add_segment(is_cancelled)?
        {
            return Ok(Err(error));
        }
        let segment = self.segments.last_mut().expect("there is one with room");
        if let Err(error) = segment.keep(prefix, parts) {
            return Ok(Err(error));
        }
        let kept = segment.entries.len() as u64;
        // Behind it the saturated numbers of no limit are never.
        let many = self.limit.saturating_mul(2).max(self.limit.saturating_add(SLACK_ROWS as u64));
        if kept >= many {
            // What cannot be thinned out for want of memory is spilled when the next row finds none.
            let _ = self.thin_out();
        }
        Ok(Ok(()))
    }

    #[cold]
    fn add_segment(&mut self, is_cancelled: IsCancelled<'_>) -> Result<Result<(), AllocError>, SpillFailure> {
        if let Some(last) = self.segments.last_mut() {
            last.sort(self.shape, is_cancelled)?;
        }
        let fan_in = match &self.spilling {
            Spilling::Ready(reserve) => reserve.fan_in,
            _ => 0,
        };
        let reserved = self.segments.try_reserve(1).map_err(|_| AllocError);
        if let Err(error) = reserved.and_then(|()| self.lanes.reserve(self.segments.len() + 1 + fan_in)) {
            return Ok(Err(error));
        }
        let page_bytes = block_bytes(self.room_bytes);
        self.segments.push(Segment::new(&self.budget, page_bytes));
        Ok(Ok(()))
    }

    /// Takes the reserve when more is held than it has. Where it is refused, rows stay in memory as long as that suffices.
    fn prepare(&mut self) {
        if let Spilling::Possible { at_bytes, .. } = self.spilling
            && self.held_bytes() >= at_bytes
        {
            self.take_reserve();
        }
    }

    fn take_reserve(&mut self) {
        let held = self.held_bytes();
        let Spilling::Possible { space, name, at_bytes } = &mut self.spilling else { return };
        let limit_bytes = self.room_bytes;
        let block = block_bytes(limit_bytes);
        let reserve = Reserve::new(space, name.as_str(), &self.budget, block, fan_in(limit_bytes, block))
            .or_else(|_| Reserve::new(space, name.as_str(), &self.budget, block_bytes(0), FAN_IN_MIN))
            .and_then(|reserve| {
                self.runs.try_reserve_exact(reserve.fan_in * RUNS_PER_LANE).map_err(|_| AllocError)?;
                self.lanes.readers.try_reserve_exact(reserve.fan_in).map_err(|_| AllocError)?;
                self.lanes.reserve(self.segments.len() + 1 + reserve.fan_in)?;
                Ok(reserve)
            });
        match reserve {
            Ok(reserve) => self.spilling = Spilling::Ready(reserve),
            Err(_) => *at_bytes = held * 2,
        }
    }

    /// Makes room for a row that found none.
    #[cold]
    fn make_room(&mut self, error: AllocError, is_cancelled: IsCancelled<'_>) -> Result<(), SpillFailure> {
        let kept = self.segments.last().map_or(0, |segment| segment.entries.len()) as u64;
        if self.limit < u64::MAX && kept > self.limit && self.thin_out().is_ok() {
            return Ok(());
        }
        self.take_reserve();
        if self.spill(is_cancelled)? { Ok(()) } else { Err(error.into()) }
    }

    /// With a limit, keeps the first N rows in memory and drops the others. They move to pages of their own; without room for
    /// these nothing changes.
    fn thin_out(&mut self) -> Result<(), AllocError> {
        let (shape, limit) = (self.shape, self.limit as usize);
        let Some(segment) = self.segments.last_mut() else { return Ok(()) };
        if limit == 0 || segment.entries.len() <= limit {
            return Ok(());
        }
        let page_bytes = block_bytes(self.room_bytes);
        let Segment { rows, entries, .. } = segment;
        entries.select_nth_unstable_by(limit - 1, |a, b| compare(rows, shape, a, b));
        let [prefix, worst] = entries[limit - 1];
        let key = shape.split(rows.get(RowRef::from_bits(worst))).0;
        self.threshold_key.clear();
        self.threshold = None;
        self.threshold_key.try_reserve(key.len()).map_err(|_| AllocError)?;
        // In the order they came, so that the new places have that order too.
        entries[..limit].sort_unstable_by_key(|entry| entry[1]);
        let mut survivors = RowPages::new(&self.budget, page_bytes);
        for &[prefix, row] in &entries[..limit] {
            survivors.push(prefix, &[rows.get(RowRef::from_bits(row))])?;
        }
        self.threshold = Some(prefix);
        append(&mut self.threshold_key, key)?;
        entries.truncate(limit);
        let mut place = RowRef::default();
        for entry in entries.iter_mut() {
            let (row, next) = survivors.next(place).expect("a survivor for each entry");
            entry[1] = row.to_bits();
            place = next;
        }
        *rows = survivors;
        Ok(())
    }

    fn sort_segments(&mut self, is_cancelled: IsCancelled<'_>) -> Result<(), SpillFailure> {
        self.segments.iter_mut().try_for_each(|segment| segment.sort(self.shape, is_cancelled))
    }

    /// Writes all rows in memory to a run, and keeps so many bytes of pages that the next run is not shorter than it has to be.
    fn write_run(&mut self, is_cancelled: IsCancelled<'_>) -> Result<(), SpillFailure> {
        self.sort_segments(is_cancelled)?;
        let Sorter { spilling, lanes, segments, runs, shape, limit, threshold, threshold_key, .. } = self;
        let Spilling::Ready(reserve) = spilling else { return Ok(()) };
        if !self.is_reading && runs.len() + 1 >= reserve.fan_in * RUNS_PER_LANE {
            self.merged_runs +=
                merge_runs(reserve, lanes, runs, (*shape, *limit), &self.budget, is_cancelled)?;
        }
        lanes.begin(segments, *shape)?;
        let slot = reserve.slots.pop().expect("no file is open");
        let mut writer = SpillWriter::create(slot, &reserve.io)?;
        while let Some(lane) = lanes.winner().filter(|_| writer.rows_count() < *limit) {
            let (prefix, row) = (lanes.heads[lane][0], lanes.row(lane, segments));
            writer.push(prefix, &[row], &mut reserve.io, is_cancelled)?;
            if writer.rows_count() == *limit {
                // Without room for its key more rows are kept than need be.
                threshold_key.clear();
                *threshold = append(threshold_key, shape.split(row).0).is_ok().then_some(prefix);
            }
            lanes.advance(lane, segments, *shape, None, is_cancelled)?;
        }
        let (run, slot) = writer.finish(&mut reserve.io, is_cancelled)?;
        reserve.slots.push(slot);
        runs.push(run);
        // Half of what was there when the reserve was taken.
        let kept_bytes = reserve.bytes / 2;
        segments.truncate(1);
        if let Some(first) = segments.first_mut() {
            first.rows.clear();
            first.rows.shrink(kept_bytes);
            if first.entries.charged_bytes() as u64 > kept_bytes {
                first.entries.release();
            }
            first.entries.clear();
            (first.next, first.is_sorted) = (0, false);
        }
        Ok(())
    }

    /// Ends the input. What is in memory stays there until the last row is given, or others need it.
    ///
    /// # Errors
    /// Those of files; the budget refuses the list of a batch.
    pub(crate) fn finish(
        &mut self,
        batch_rows: usize,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), SpillFailure> {
        self.left = self.limit;
        if !self.runs.is_empty() {
            // Others have use for the memory, which was short already.
            self.spill(is_cancelled)?;
            self.segments.clear();
        }
        let rows_count = self.segments.iter().map(|segment| segment.entries.len()).sum::<usize>();
        let picks = if self.runs.is_empty() { batch_rows.min(rows_count) } else { batch_rows };
        if self.picks.try_reserve_exact(picks).is_err() {
            self.spill(is_cancelled)?;
            self.picks.try_reserve_exact(batch_rows).map_err(|_| AllocError)?;
        }
        self.sort_segments(is_cancelled)?;
        let Sorter { spilling, lanes, runs, shape, limit, .. } = self;
        match spilling {
            Spilling::Ready(reserve) if !runs.is_empty() => {
                while runs.len() > fan_in_now(reserve, runs, &self.budget) {
                    self.merged_runs +=
                        merge_runs(reserve, lanes, runs, (*shape, *limit), &self.budget, is_cancelled)?;
                }
                open_runs(reserve, lanes, runs, is_cancelled)?;
            }
            _ => {}
        }
        self.lanes.begin(&self.segments, self.shape)?;
        self.is_reading = true;
        Ok(())
    }

    /// Goes to the next rows, at most `rows_max`, and gives how many there are: none behind the last. They are good until the next call.
    ///
    /// # Errors
    /// Those of files; the budget refuses the length of a row longer than a block.
    pub(crate) fn advance(
        &mut self,
        rows_max: usize,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<usize, SpillFailure> {
        self.picks.clear();
        let (mut used, mut picked_bytes) = (0, 0);
        let bytes_max = batch_bytes_max(self.room_bytes);
        let Sorter { spilling, lanes, segments, shape, picks, .. } = self;
        if lanes.heads.is_empty() {
            return Ok(0);
        }
        let mut reserve = match spilling {
            Spilling::Ready(reserve) => Some(reserve),
            _ => None,
        };
        let rows_max = rows_max.min(picks.capacity()).min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let lanes_of_runs = lanes.readers.len();
        while let Some(lane) = lanes.winner().filter(|_| picks.len() < rows_max) {
            if lane >= lanes_of_runs {
                let place = lanes.heads[lane][1];
                picks.push([(lane - lanes_of_runs) as u64, place]);
                picked_bytes += segments[lane - lanes_of_runs].get(place).len() as u64;
            } else {
                let out = &mut reserve.as_mut().expect("runs are read with it").out;
                let row = shape.split(lanes.row(lane, segments)).1;
                let end = used + row.len();
                if end + 4 > out.len() && !picks.is_empty() {
                    break;
                }
                if end + 4 > out.len() {
                    self.long.clear();
                    self.long.extend_from_slice(row)?;
                    picks.push([OUT_LONG, 0]);
                } else {
                    out[used..used + 4].copy_from_slice(&(row.len() as u32).to_le_bytes());
                    out[used + 4..end + 4].copy_from_slice(row);
                    picks.push([OUT, used as u64]);
                    used = end + 4;
                }
            }
            let io = reserve.as_mut().map(|reserve| &mut reserve.io);
            lanes.advance(lane, segments, *shape, io, is_cancelled)?;
            if picked_bytes >= bytes_max || picks.last().is_some_and(|pick| pick[0] == OUT_LONG) {
                break;
            }
        }
        self.left -= picks.len() as u64;
        Ok(picks.len())
    }

    /// The rows that [`Sorter::advance`] went to, without their keys.
    pub(crate) fn rows(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone + '_ {
        self.picks.iter().map(|pick| self.picked(*pick))
    }

    fn picked(&self, [segment, place]: [u64; 2]) -> &[u8] {
        match (segment, &self.spilling) {
            (OUT_LONG, _) => &self.long,
            (OUT, Spilling::Ready(reserve)) => {
                let at = place as usize;
                let mut length = [0; 4];
                length.copy_from_slice(&reserve.out[at..at + 4]);
                &reserve.out[at + 4..at + 4 + u32::from_le_bytes(length) as usize]
            }
            _ => self.shape.split(self.segments[segment as usize].get(place)).1,
        }
    }
}

/// Opens all runs, each at its first row; none is empty.
fn open_runs(
    reserve: &mut Reserve,
    lanes: &mut Lanes,
    runs: &[SpillFile],
    is_cancelled: IsCancelled<'_>,
) -> Result<(), SpillFailure> {
    lanes.readers.clear();
    runs.iter().try_for_each(|run| open_run(reserve, lanes, run, is_cancelled))
}

/// Opens a run at its first row; it is not empty. There is room for another reader.
fn open_run(
    reserve: &mut Reserve,
    lanes: &mut Lanes,
    run: &SpillFile,
    is_cancelled: IsCancelled<'_>,
) -> Result<(), SpillFailure> {
    let slot = reserve.slots.pop().expect("a slot for each run that is merged");
    let mut reader = run.read(slot, &reserve.io)?;
    if !reader.advance(&mut reserve.io, is_cancelled)? {
        return Err(reader.lacks_rows());
    }
    lanes.readers.push(reader);
    Ok(())
}

/// How many runs can be read side by side, two at least: each has room for its longest row, if that is longer than a block.
fn fan_in_now(reserve: &Reserve, runs: &[SpillFile], budget: &Budget) -> usize {
    let longest = runs.iter().map(SpillFile::row_bytes_max).max().unwrap_or(0);
    if longest <= reserve.out.len() {
        return reserve.fan_in;
    }
    // A row that is handed out is there a few times more, and others have something, too.
    let others_bytes = headroom_bytes(budget.limit_on_path());
    let fits = |lanes: &usize| has_room(budget, others_bytes + (*lanes as u64 + HANDED_OUT) * longest as u64);
    (FAN_IN_MIN..=reserve.fan_in.min(runs.len())).rev().find(fits).unwrap_or(FAN_IN_MIN)
}

/// Merges as many neighbouring runs as lanes allow into one that stands in their place: those with the fewest bytes together. Gives how
/// many these were.
fn merge_runs(
    reserve: &mut Reserve,
    lanes: &mut Lanes,
    runs: &mut Vec<SpillFile, BudgetAlloc>,
    (shape, limit): (KeyShape, u64),
    budget: &Budget,
    is_cancelled: IsCancelled<'_>,
) -> Result<u64, SpillFailure> {
    let fan_in = fan_in_now(reserve, runs, budget).min(runs.len());
    let bytes = |first: usize| runs[first..first + fan_in].iter().map(SpillFile::bytes).sum::<u64>();
    let first = (0..=runs.len() - fan_in).min_by_key(|first| bytes(*first)).unwrap_or(0);
    open_runs(reserve, lanes, &runs[first..first + fan_in], is_cancelled)?;
    lanes.begin(&[], shape)?;
    let slot = reserve.slots.pop().expect("one slot more than runs are merged");
    let mut writer = SpillWriter::create(slot, &reserve.io)?;
    while let Some(lane) = lanes.winner().filter(|_| writer.rows_count() < limit) {
        writer.push(lanes.heads[lane][0], &[lanes.row(lane, &[])], &mut reserve.io, is_cancelled)?;
        lanes.advance(lane, &mut [], shape, Some(&mut reserve.io), is_cancelled)?;
    }
    let (merged, slot) = writer.finish(&mut reserve.io, is_cancelled)?;
    reserve.slots.push(slot);
    for reader in lanes.readers.drain(..) {
        reserve.slots.push(reader.into_slot());
    }
    runs[first] = merged;
    runs.drain(first + 1..first + fan_in);
    Ok(fan_in as u64)
}
