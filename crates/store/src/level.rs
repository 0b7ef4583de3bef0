//! Levels: in which order the segments of a table are looked at, and which are merged next.
//!
//! ```text
//!   level 0   [a‥‥‥‥‥‥‥‥z] [c‥‥‥‥‥t] [b‥‥‥‥‥‥‥y]      as they were flushed, newest first; they overlap
//!   level 1   [a‥‥f] [g‥‥‥k] [m‥‥‥z]                    sorted, no overlap: a key is in one of them at most
//!   level 2   [a‥c] [d‥e] [f‥‥h] [i‥k] [k‥p] …          eight times as much as the level above
//! ```
//!
//! Versions of a key are older the deeper they are. A flush adds to level 0; a *compaction* takes some segments of a
//! level and all that they overlap in the next one, and writes them as new segments of that one. (O'Neil et al., "The
//! Log-Structured Merge-Tree", Acta Informatica 33 (1996); leveled as in LevelDB's `doc/impl.md`.)
//!
//! Invariants:
//! - **L1** In a level below 0, segments are sorted by key and share no key: all versions of a key are in one segment.
//! - **L2** Of two versions of a key, the older one is never in a level above the newer one's. So a segment may be put into
//!   a deeper level only where nothing above it overlaps, and nothing in the level itself.
//!
//! This file is arithmetic on what is known of segments; it reads and writes nothing.

use core::ops::Range;

/// How many levels there are; with eight times as much in each, the last one is never full.
pub(crate) const LEVELS: usize = 8;
/// So many segments of level 0 are merged at once.
pub(crate) const LEVEL_0_SEGMENTS: usize = 4;
/// How much more a level holds than the one above.
const FANOUT: u64 = 8;

/// What is known of a segment without reading it.
pub(crate) trait Extent {
    /// Its level.
    fn level(&self) -> usize;
    /// Its first and last keys, encoded.
    fn keys(&self) -> (&[u8], &[u8]);
    /// Its bytes on disk.
    fn bytes(&self) -> u64;
    /// Greater than that of every segment that was there before.
    fn added(&self) -> u64;
}

/// The sizes that levels are held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// What level 1 may hold.
    pub(crate) first_level_bytes: u64,
}

/// Segments that are merged into one level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    /// Those of the upper level, as places in the list of all segments.
    pub(crate) upper: Range<usize>,
    /// Those of the level that the result goes to.
    pub(crate) lower: Range<usize>,
    /// The level that the result goes to.
    pub(crate) to: usize,
    /// True where nothing below the result overlaps it: tombstones end there.
    pub(crate) is_bottom: bool,
    /// True where the one upper segment overlaps nothing and is moved by name, without being read.
    pub(crate) is_move: bool,
}

/// True if the ranges of keys of two segments have a key in common.
pub(crate) fn overlap(a: (&[u8], &[u8]), b: (&[u8], &[u8])) -> bool {
    a.0 <= b.1 && b.0 <= a.1
}

/// The segments of a level. `all` is sorted by level, level 0 newest first, the others by key.
pub(crate) fn of_level<E: Extent>(all: &[E], level: usize) -> Range<usize> {
    let start = all.partition_point(|segment| segment.level() < level);
    let end = all.partition_point(|segment| segment.level() <= level);
    start..end
}

/// The segments of a level below 0 that have a key in common with a range.
pub(crate) fn overlapping<E: Extent>(all: &[E], level: usize, keys: (&[u8], &[u8])) -> Range<usize> {
    debug_assert!(level > 0);
    let places = of_level(all, level);
    let segments = &all[places.clone()];
    let start = segments.partition_point(|segment| segment.keys().1 < keys.0);
    let end = segments.partition_point(|segment| segment.keys().0 <= keys.1);
    places.start + start..places.start + end.max(start)
}

/// True if nothing in the levels below overlaps a range of keys.
fn is_bottom<E: Extent>(all: &[E], level: usize, keys: (&[u8], &[u8])) -> bool {
    (level + 1..LEVELS).all(|below| overlapping(all, below, keys).is_empty())
}

/// The deepest level that a new segment may have (L2): one that overlaps nothing goes where the most data is.
pub(crate) fn level_for_new<E: Extent>(all: &[E], keys: (&[u8], &[u8])) -> usize {
    if all[of_level(all, 0)].iter().any(|segment| overlap(segment.keys(), keys)) {
        return 0;
    }
    let deepest = all.last().map_or(1, |segment| segment.level().max(1));
    let blocked = (1..=deepest).find(|&level| !overlapping(all, level, keys).is_empty());
    // Above what it overlaps, or at the bottom.
    blocked.map_or(deepest, |level| level - 1)
}

/// What is to be merged first and how full its level is in percent, `None` where every level is within its size.
///
/// The level that is most above its size comes first. Of level 0 everything is taken, of the others the segment that was written
/// first, so that compaction goes around the keys.
pub(crate) fn next_job<E: Extent>(all: &[E], sizes: Sizes) -> Option<(u64, Job)> {
    let (level, percent) = fullest(all, sizes)?;
    let places = of_level(all, level);
    let upper = match level {
        0 => places,
        _ => {
            let first = places.min_by_key(|&place| all[place].added())?;
            first..first + 1
        }
    };
    Some((percent, job(all, upper, level)))
}

/// The merge of some segments of a level with what they overlap in the next one.
pub(crate) fn job<E: Extent>(all: &[E], upper: Range<usize>, level: usize) -> Job {
    let to = level + 1;
    let segments = &all[upper.clone()];
    let first = segments.iter().map(|segment| segment.keys().0).min().unwrap_or(&[]);
    let last = segments.iter().map(|segment| segment.keys().1).max().unwrap_or(&[]);
    let lower = overlapping(all, to, (first, last));
    let whole = all[lower.clone()].iter().fold((first, last), |(first, last), segment| {
        let keys = segment.keys();
        (first.min(keys.0), last.max(keys.1))
    });
    let is_bottom = is_bottom(all, to, whole);
    let is_move = lower.is_empty() && upper.len() == 1;
    Job { upper, lower, to, is_bottom, is_move }
}

/// The level that is most above its size, and how full it is in percent. The last level has none.
fn fullest<E: Extent>(all: &[E], sizes: Sizes) -> Option<(usize, u64)> {
    let mut fullest = None;
    let mut most = 100;
    let mut room = sizes.first_level_bytes.max(1);
    for level in 0..LEVELS - 1 {
        let places = of_level(all, level);
        let percent = match level {
            0 => places.len() as u64 * 100 / LEVEL_0_SEGMENTS as u64,
            _ => {
                let bytes: u64 = all[places].iter().map(Extent::bytes).sum();
                let percent = bytes.saturating_mul(100) / room;
                room = room.saturating_mul(FANOUT);
                // A level that is exactly full is not above its size.
                percent.saturating_sub(1)
            }
        };
        if percent >= most {
            (fullest, most) = (Some((level, percent)), percent + 1);
        }
    }
    fullest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Known(usize, &'static str, &'static str, u64, u64);

    impl Extent for Known {
        fn level(&self) -> usize {
            self.0
        }
        fn keys(&self) -> (&[u8], &[u8]) {
            (self.1.as_bytes(), self.2.as_bytes())
        }
        fn bytes(&self) -> u64 {
            self.3
        }
        fn added(&self) -> u64 {
            self.4
        }
    }

    const SIZES: Sizes = Sizes { first_level_bytes: 100 };

    fn next(all: &[Known]) -> Option<Job> {
        next_job(all, SIZES).map(|(_, job)| job)
    }

    #[test]
    fn a_table_within_its_sizes_is_left_alone() {
        let all = [
            Known(0, "a", "z", 900, 0),
            Known(0, "c", "d", 900, 0),
            Known(1, "a", "m", 100, 0),
            Known(2, "a", "z", 800, 0),
        ];
        assert_eq!(next(&all), None);
        assert_eq!(next(&[]), None);
    }

    #[test]
    fn all_of_level_0_is_merged_with_what_it_overlaps() {
        let all = [
            Known(0, "c", "d", 1, 0),
            Known(0, "e", "h", 1, 0),
            Known(0, "d", "e", 1, 0),
            Known(0, "c", "c", 1, 0),
            Known(1, "a", "b", 1, 0),
            Known(1, "c", "d", 1, 0),
            Known(1, "h", "k", 1, 0),
            Known(1, "l", "z", 1, 0),
            Known(2, "i", "j", 1, 0),
        ];
        let job = next(&all).unwrap();
        // [i‥j] lies below [h‥k], which is a part of the merge.
        let expected = Job { upper: 0..4, lower: 5..7, to: 1, is_bottom: false, is_move: false };
        assert_eq!(job, expected);
    }

    #[test]
    fn a_full_level_gives_one_segment_after_the_other() {
        let all = |ages: [u64; 3]| {
            [
                Known(1, "a", "c", 60, ages[0]),
                Known(1, "d", "f", 60, ages[1]),
                Known(1, "g", "i", 60, ages[2]),
                Known(2, "b", "e", 1, 9),
                Known(2, "h", "h", 1, 9),
            ]
        };
        let first = Job { upper: 0..1, lower: 3..4, to: 2, is_bottom: true, is_move: false };
        assert_eq!(next(&all([1, 2, 3])).unwrap(), first);
        assert_eq!(next(&all([7, 2, 3])).unwrap(), Job { upper: 1..2, ..first.clone() });
        assert_eq!(next(&all([7, 8, 3])).unwrap(), Job { upper: 2..3, lower: 4..5, ..first.clone() });
    }

    #[test]
    fn what_overlaps_nothing_is_moved() {
        let all = [Known(1, "a", "c", 200, 0), Known(2, "d", "e", 1, 0)];
        let job = next(&all).unwrap();
        assert_eq!(job, Job { upper: 0..1, lower: 1..1, to: 2, is_bottom: true, is_move: true });
    }

    #[test]
    fn the_level_that_is_most_above_its_size_comes_first() {
        let all = [Known(1, "a", "c", 150, 0), Known(2, "a", "m", 1700, 0), Known(3, "x", "z", 1, 0)];
        assert_eq!(next(&all).unwrap().to, 3);
        let all = [Known(1, "a", "c", 250, 0), Known(2, "a", "m", 1700, 0)];
        assert_eq!(next(&all).unwrap().to, 2);
    }

    #[test]
    fn a_new_segment_goes_as_deep_as_nothing_overlaps_it() {
        let all = [Known(0, "a", "c", 1, 0), Known(1, "f", "h", 1, 0), Known(3, "k", "m", 1, 0)];
        let level = |first: &str, last: &str| level_for_new(&all, (first.as_bytes(), last.as_bytes()));
        assert_eq!(level("b", "d"), 0);
        assert_eq!(level("e", "g"), 0);
        assert_eq!(level("d", "e"), 3);
        assert_eq!(level("l", "l"), 2);
        assert_eq!(level("n", "z"), 3);
        assert_eq!(level_for_new::<Known>(&[], (b"a", b"b")), 1);
    }
}
