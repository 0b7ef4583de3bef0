//! One sorted stream out of several: which versions come next, in which order, and which of them count.
//!
//! ```text
//!   memtable      |  3 7 9        |            picks, in order of keys
//!   level 0       |    7   12     |  --------> (memtable, 1 row) (level 1, rows 4..19) (memtable, 1 row) …
//!   level 1       | 4 5 6 … 18 20 |
//! ```
//!
//! Each source shows a *window*: some consecutive rows of which prefixes of keys, sequences and kinds are in memory. A
//! merge looks at windows only and gives *picks*, which are ranges of rows of a source; whoever asked copies the columns
//! that it wants. A range is as long as no other source has a row in between, which is found by a binary search in the
//! prefixes; so sources that do not overlap are copied page by page and cost nothing a row.
//!
//! Two things may be wanted of the versions of a key ([`Filter`]): the one that a reader sees, or all that some reader
//! may still see, for a flush or a compaction.
//!
//! Invariants:
//! - **M1** Rows of a source are sorted by key, then by sequence, newest first; no two are the same in both. Two sources may
//!   have the same version (a flush is being installed); the second one counts as superseded.
//! - **M2** Picks refer to windows as they are. Before a window moves on, the picks must have been copied: [`Merge::step`]
//!   returns [`Step::Window`] and is not called again before.
//! - **M3** The last key is remembered across windows, so that a key's versions may be spread over any windows.

use core::cmp::Ordering;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};

use crate::error::Error;
use crate::schema::KeyShape;

/// Sequences of a transaction's own changes begin here: newer than every committed one.
pub(crate) const OWN_SEQUENCE: u64 = 1 << 60;

/// What the merge sees of a source: rows of equal length slices, sorted (M1).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Window<'w> {
    /// [`KeyShape::prefix`] of each row's key.
    pub(crate) prefixes: &'w [u64],
    /// Each row's sequence.
    pub(crate) sequences: &'w [u64],
    /// True for tombstones.
    pub(crate) deletes: &'w [bool],
    /// Each row counts, whatever the filter, and is the only version of its key in this source, but that the first one may
    /// be a version of the key of the row before the window.
    pub(crate) is_plain: bool,
}

/// Sorted streams of versions, each seen through a window.
pub(crate) trait Sources {
    /// How many there are.
    fn count(&self) -> usize;

    /// The rows of a source that are in memory; none at its end.
    fn window(&self, source: usize) -> Window<'_>;

    /// Appends the encoded key of a row of a source's window.
    fn put_key(&self, source: usize, row: usize, key: &mut Vec<'_, u8>) -> Result<(), Error>;
}

/// Rows of a source's window, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pick {
    /// The source's number.
    pub(crate) source: u16,
    /// The first row in its window.
    pub(crate) start: u32,
    /// How many.
    pub(crate) count: u32,
}

/// Which versions of a key count.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Filter<'f> {
    /// The newest that a snapshot sees, if it is no tombstone.
    Visible {
        /// The snapshot's sequence.
        snapshot: u64,
        /// Of a transaction's own changes, those up to this sequence; below [`OWN_SEQUENCE`] for none.
        own: u64,
    },
    /// Every one that a snapshot of now or later may see.
    Needed {
        /// Sequences of all snapshots, ascending; the last one stands for all later ones.
        snapshots: &'f [u64],
        /// True where no older version can be below: tombstones that every snapshot sees are dropped.
        is_bottom: bool,
    },
    /// Every one up to this sequence.
    UpTo(u64),
}

/// What is known of a key's versions while they are looked at, newest first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyVersions {
    /// The sequence of the last one; the greatest before the first.
    newer: u64,
    /// Older ones cannot be seen.
    settled: bool,
}

impl Default for KeyVersions {
    fn default() -> KeyVersions {
        KeyVersions { newer: u64::MAX, settled: false }
    }
}

impl KeyVersions {
    /// Whether the next version counts.
    #[inline]
    pub(crate) fn admit(&mut self, filter: &Filter<'_>, sequence: u64, is_delete: bool) -> bool {
        // M1: a second copy of a version is not older than the first.
        if self.settled || sequence >= self.newer {
            return false;
        }
        let newer = core::mem::replace(&mut self.newer, sequence);
        match *filter {
            Filter::UpTo(limit) => sequence <= limit,
            Filter::Visible { snapshot, own } => {
                self.settled = if sequence < OWN_SEQUENCE { sequence <= snapshot } else { sequence <= own };
                self.settled && !is_delete
            }
            Filter::Needed { snapshots, is_bottom } => {
                // The oldest snapshot that sees this version, if it does not see the newer one.
                let first = snapshots.partition_point(|&snapshot| snapshot < sequence);
                let is_needed = snapshots.get(first).is_none_or(|&snapshot| snapshot < newer);
                self.settled = first == 0;
                is_needed && !(is_delete && is_bottom && first == 0)
            }
        }
    }

    /// The newest sequence that the next version may have to count.
    fn next_sequence(&self) -> u64 {
        if self.settled { 0 } else { self.newer.saturating_sub(1) }
    }
}

/// What the caller does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// There are as many rows as were asked for.
    Full,
    /// The window of this source is used up: copy the picks, move it on, call [`Merge::moved_on`], go on.
    Window(usize),
    /// All sources are at their ends.
    End,
}

/// The state of a merge.
///
/// **Memory.** 24 bytes a source, and three keys.
#[derive(Debug)]
pub(crate) struct Merge<'a> {
    shape: KeyShape,
    heads: Vec<'a, Head>,
    /// The key of the last row that was looked at, and what is known of its versions.
    last: Last<'a>,
    left: Vec<'a, u8>,
    right: Vec<'a, u8>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Head {
    /// The next row in the window.
    at: usize,
    is_done: bool,
}

#[derive(Debug)]
struct Last<'a> {
    /// Where the key is: a row of a window, or in `key`.
    place: Place,
    prefix: u64,
    key: Vec<'a, u8>,
    versions: KeyVersions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// There was no row yet.
    Nowhere,
    Row {
        source: usize,
        row: usize,
    },
    Copied,
}

impl<'a> Merge<'a> {
    /// A merge of so many sources, all of which have their first windows.
    pub(crate) fn new(shape: KeyShape, sources: usize, arena: &'a Arena) -> Result<Merge<'a>, AllocError> {
        let mut heads = Vec::with_capacity_in(sources, arena)?;
        heads.resize(sources, Head::default())?;
        let last = Last {
            place: Place::Nowhere,
            prefix: 0,
            key: Vec::new_in(arena),
            versions: KeyVersions::default(),
        };
        Ok(Merge { shape, heads, last, left: Vec::new_in(arena), right: Vec::new_in(arena) })
    }

    /// Says that the window of a source was moved on, or is another one; an empty one is its end.
    pub(crate) fn moved_on(&mut self, source: usize) {
        self.heads[source] = Head::default();
    }

    /// Adds picks of up to `room` rows, and says how many are still missing and what to do next.
    ///
    /// # Errors
    /// The arena has no room for a key or for the picks.
    pub(crate) fn step<S: Sources + ?Sized>(
        &mut self,
        sources: &S,
        filter: &Filter<'_>,
        picks: &mut Vec<'_, Pick>,
        room: &mut usize,
    ) -> Result<Step, Error> {
        loop {
            if *room == 0 {
                return Ok(Step::Full);
            }
            if let Some(source) = self.used_up(sources) {
                self.copy_last_key(sources, source)?;
                return Ok(Step::Window(source));
            }
            let Some(source) = self.smallest(sources)? else { return Ok(Step::End) };
            let end = self.end_of_run(sources, source)?;
            self.take(sources, source, end, filter, picks, room)?;
        }
    }

    /// A source whose window has no more rows and that is not at its end.
    fn used_up<S: Sources + ?Sized>(&mut self, sources: &S) -> Option<usize> {
        for (index, head) in self.heads.iter_mut().enumerate() {
            let rows = sources.window(index).prefixes.len();
            if !head.is_done && head.at >= rows {
                if rows == 0 {
                    head.is_done = true;
                    continue;
                }
                return Some(index);
            }
        }
        None
    }

    /// M3: the key of the last row is copied before its window goes.
    fn copy_last_key<S: Sources + ?Sized>(&mut self, sources: &S, moving: usize) -> Result<(), Error> {
        if let Place::Row { source, row } = self.last.place
            && source == moving
        {
            self.last.key.clear();
            sources.put_key(source, row, &mut self.last.key)?;
            self.last.place = Place::Copied;
        }
        Ok(())
    }

    /// The source whose next row comes first.
    fn smallest<S: Sources + ?Sized>(&mut self, sources: &S) -> Result<Option<usize>, Error> {
        let mut best = None;
        for index in 0..sources.count() {
            if self.heads[index].is_done {
                continue;
            }
            best = match best {
                Some(best) if self.compare_heads(sources, best, index)? != Ordering::Greater => Some(best),
                _ => Some(index),
            };
        }
        Ok(best)
    }

    /// The order of the next rows of two sources.
    fn compare_heads<S: Sources + ?Sized>(
        &mut self,
        sources: &S,
        a: usize,
        b: usize,
    ) -> Result<Ordering, Error> {
        let (at_a, at_b) = (self.heads[a].at, self.heads[b].at);
        let (left, right) = (sources.window(a), sources.window(b));
        let by_key = match left.prefixes[at_a].cmp(&right.prefixes[at_b]) {
            Ordering::Equal if !self.shape.is_exact => {
                self.left.clear();
                self.right.clear();
                sources.put_key(a, at_a, &mut self.left)?;
                sources.put_key(b, at_b, &mut self.right)?;
                self.left.cmp(&self.right)
            }
            order => order,
        };
        Ok(by_key.then(right.sequences[at_b].cmp(&left.sequences[at_a])))
    }

    /// The end of the rows of a source that come before the next row of every other: at least one row.
    fn end_of_run<S: Sources + ?Sized>(&self, sources: &S, source: usize) -> Result<usize, Error> {
        let others = self.heads.iter().enumerate().filter(|(other, head)| *other != source && !head.is_done);
        let bound = others.map(|(other, head)| sources.window(other).prefixes[head.at]).min();
        let (at, prefixes) = (self.heads[source].at, sources.window(source).prefixes);
        let Some(bound) = bound else { return Ok(prefixes.len()) };
        Ok(first_not_below(prefixes, at, bound).max(at + 1))
    }

    /// Looks at the rows of a source up to `end` and picks those that count, up to `room` of them.
    fn take<S: Sources + ?Sized>(
        &mut self,
        sources: &S,
        source: usize,
        end: usize,
        filter: &Filter<'_>,
        picks: &mut Vec<'_, Pick>,
        room: &mut usize,
    ) -> Result<(), Error> {
        let window = sources.window(source);
        let first = self.heads[source].at;
        let mut row = first;
        while row < end && *room > 0 {
            if window.is_plain && row > first {
                // No other source has a row in between, so each key is a new one.
                let count = (end - row).min(*room);
                push_picks(picks, source, row, count)?;
                *room -= count;
                row += count;
                let prefix = window.prefixes[row - 1];
                let versions = KeyVersions { newer: window.sequences[row - 1], settled: true };
                self.last.place = Place::Row { source, row: row - 1 };
                (self.last.prefix, self.last.versions) = (prefix, versions);
                break;
            }
            let (sequence, prefix) = (window.sequences[row], window.prefixes[row]);
            let is_same = self.is_last_key(sources, source, row, prefix)?;
            if !is_same {
                self.last.versions = KeyVersions::default();
            }
            self.last.place = Place::Row { source, row };
            self.last.prefix = prefix;
            if self.last.versions.admit(filter, sequence, window.deletes[row]) {
                push_picks(picks, source, row, 1)?;
                *room -= 1;
            }
            row += 1;
        }
        self.heads[source].at = row;
        Ok(())
    }

    /// True if a row has the key of the row that was looked at before it.
    #[inline]
    fn is_last_key<S: Sources + ?Sized>(
        &mut self,
        sources: &S,
        source: usize,
        row: usize,
        prefix: u64,
    ) -> Result<bool, Error> {
        if self.last.place == Place::Nowhere || self.last.prefix != prefix {
            return Ok(false);
        }
        if self.shape.is_exact {
            return Ok(true);
        }
        self.right.clear();
        sources.put_key(source, row, &mut self.right)?;
        if let Place::Row { source, row } = self.last.place {
            self.left.clear();
            sources.put_key(source, row, &mut self.left)?;
            return Ok(*self.left == *self.right);
        }
        Ok(*self.last.key == *self.right)
    }

    /// Copies what is remembered out of the windows, which may all go then.
    ///
    /// # Errors
    /// The arena has no room for a key.
    pub(crate) fn detach<S: Sources + ?Sized>(&mut self, sources: &S) -> Result<(), Error> {
        match self.last.place {
            Place::Row { source, .. } => self.copy_last_key(sources, source),
            Place::Nowhere | Place::Copied => Ok(()),
        }
    }

    /// Where a detached merge goes on: with the versions of this key up to this sequence. `None`: with the first key.
    pub(crate) fn position(&self) -> Option<(&[u8], u64)> {
        let newest = self.last.versions.next_sequence();
        (self.last.place != Place::Nowhere).then_some((&self.last.key, newest))
    }

    /// Says that all versions of a key, which `put` appends, and of those before it have been looked at elsewhere.
    ///
    /// # Errors
    /// That of `put`.
    pub(crate) fn set_position(
        &mut self,
        put: impl FnOnce(&mut Vec<'_, u8>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.last.key.clear();
        put(&mut self.last.key)?;
        self.last.place = Place::Copied;
        self.last.prefix = self.shape.prefix(&self.last.key);
        self.last.versions = KeyVersions { newer: 0, settled: true };
        Ok(())
    }

    /// Forgets where it is: it begins again with the first key of what it is attached to next.
    pub(crate) fn restart(&mut self) {
        self.last.place = Place::Nowhere;
        self.last.versions = KeyVersions::default();
        self.heads.clear();
    }

    /// Goes on with other sources, all of which begin at [`Merge::position`] or before it.
    ///
    /// # Errors
    /// The arena has no room for their heads.
    pub(crate) fn attach(&mut self, sources: usize) -> Result<(), Error> {
        debug_assert!(!matches!(self.last.place, Place::Row { .. }), "detached before");
        self.heads.clear();
        Ok(self.heads.resize(sources, Head::default())?)
    }
}

/// Adds rows to the picks: to the last one where they go on there.
fn push_picks(picks: &mut Vec<'_, Pick>, source: usize, row: usize, count: usize) -> Result<(), AllocError> {
    let (source, start, count) = (source as u16, row as u32, count as u32);
    if let Some(last) = picks.last_mut()
        && last.source == source
        && last.start + last.count == start
    {
        last.count += count;
        return Ok(());
    }
    picks.push(Pick { source, start, count })
}

/// The first row from `at` on whose prefix is not below `bound`: by steps that double, then by halves, since runs are
/// either short or go on to the end.
fn first_not_below(prefixes: &[u64], at: usize, bound: u64) -> usize {
    let rest = &prefixes[at..];
    let mut step = 1;
    while step < rest.len() && rest[step - 1] < bound {
        step *= 2;
    }
    let known = step / 2;
    let reach = step.min(rest.len());
    at + known + rest[known..reach].partition_point(|&prefix| prefix < bound)
}

#[cfg(test)]
mod tests;
