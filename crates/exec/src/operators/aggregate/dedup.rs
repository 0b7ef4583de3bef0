//! Keys that are let through once, in as much memory as there is.
//!
//! ```text
//! rung 1   all keys in a table: a new one passes at once
//! rung 2   the table is full: a key that it lacks waits in the file of its hash, with what belongs to it; behind the last
//!          row one file after the other is read, and its keys pass as they are met first
//! rung 3   a file whose keys do not fit is parted by further bits
//! ```
//!
//! When the table has to go, its keys are written as *seen*: they have passed, and do not again.
//!
//! | row | bytes |
//! |---|---|
//! | a key that waits | 0, its length in 4 bytes, the key, what belongs to it |
//! | one that was seen | 1, its length in 4 bytes, the key |

use cofferdam_arena::{AllocError, Budget};

use super::Disk;
use super::partitions::{CUT, OwnedPartitions, PartitionCounts, Partitions, Writing};
use super::table::GroupTable;
use crate::spill::{IsCancelled, SpillFailure};

const WAITING: u8 = 0;
const SEEN: u8 = 1;
/// A file is not parted because of fewer keys.
const KEYS_MIN: usize = 16;

/// The keys that have passed.
#[derive(Debug)]
pub(crate) struct Dedup {
    table: GroupTable,
    partitions: Option<OwnedPartitions>,
    /// Whether keys that the table lacks wait in files.
    is_full: bool,
    is_reading: bool,
    budget: Budget,
}

/// Whether a key passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passing {
    /// It is met first.
    Now,
    /// It has passed.
    Met,
    /// It is not known: [`Dedup::wait`].
    Waits,
}

/// How far reading has come.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Drained {
    /// There may be more.
    More,
    /// There is one more, for which there is no room: [`Dedup::evict`], or another holder, makes it.
    Refused(AllocError),
    /// All keys have passed.
    All,
}

impl Dedup {
    pub(crate) fn new(budget: &Budget) -> Dedup {
        let table = GroupTable::new(budget, 0);
        Dedup { table, partitions: None, is_full: false, is_reading: false, budget: budget.clone() }
    }

    /// What it did on disk.
    pub(crate) fn counts(&self) -> PartitionCounts {
        self.partitions.as_ref().map_or(PartitionCounts::default(), |partitions| partitions.counts())
    }

    /// Who pays.
    pub(crate) const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What eviction gives back.
    pub(crate) fn table_bytes(&self) -> usize {
        if self.table.is_empty() { 0 } else { self.table.charged_bytes() }
    }

    /// What [`Dedup::yield_memory`] would give back.
    pub(crate) fn yieldable_bytes(&self) -> u64 {
        match &self.partitions {
            Some(partitions) if !(self.is_reading && self.is_worth_nothing(partitions)) => {
                self.table_bytes() as u64
            }
            _ => 0,
        }
    }

    /// Gives the memory of the table to others; false if there is none, or the files are not prepared.
    ///
    /// # Errors
    /// Those of files.
    pub(crate) fn yield_memory(&mut self, is_cancelled: IsCancelled<'_>) -> Result<bool, SpillFailure> {
        if self.yieldable_bytes() == 0 {
            return Ok(false);
        }
        self.is_full = true;
        self.write_table(is_cancelled)?;
        Ok(true)
    }

    /// So few keys are no reason to write the rest of a file once more.
    fn is_worth_nothing(&self, partitions: &Partitions) -> bool {
        partitions.is_exhausted() || self.table.len() < KEYS_MIN
    }

    /// Takes what writing takes, while there is memory; see [`Partitions::held_bytes_before`]. False if it is not to be had now, which
    /// is none of the statement's concern as long as the table may grow.
    pub(crate) fn prepare(&mut self, disk: &Disk<'_>) -> bool {
        if let (Some(space), None) = (disk.space, &self.partitions) {
            self.partitions = Partitions::new(space, disk.name, &self.budget, disk.share).ok();
            return self.partitions.is_some();
        }
        true
    }

    /// Whether a key passes now.
    ///
    /// # Errors
    /// There is neither memory nor a place for files.
    #[inline]
    pub(crate) fn pass(&mut self, hash: u64, key: &[u8], disk: &Disk<'_>) -> Result<Passing, SpillFailure> {
        if !self.is_full {
            match self.table.find_or_add(hash, key, &[]) {
                Ok((_, true)) => return Ok(Passing::Now),
                Ok((_, false)) => return Ok(Passing::Met),
                Err(refused) => self.fill_up(refused, disk)?,
            }
        }
        Ok(if self.table.get(hash, key).is_some() { Passing::Met } else { Passing::Waits })
    }

    /// Has a key wait with what belongs to it, whose parts are put behind one another.
    ///
    /// # Errors
    /// Those of files.
    pub(crate) fn wait(
        &mut self,
        hash: u64,
        key: &[u8],
        belongings: &[&[u8]; 3],
        disk: &Disk<'_>,
    ) -> Result<(), SpillFailure> {
        let partitions = self.partitions.as_mut().expect("made when the table was full");
        let key_bytes = (key.len() as u32).to_le_bytes();
        let parts = [&[WAITING][..], &key_bytes, key, belongings[0], belongings[1], belongings[2]];
        partitions.writing().push(hash, &parts, disk.is_cancelled)
    }

    #[cold]
    fn fill_up(&mut self, refused: AllocError, disk: &Disk<'_>) -> Result<(), SpillFailure> {
        if self.partitions.is_none() {
            let held_bytes = self.table.charged_bytes();
            self.partitions = Some(Partitions::late(disk, &self.budget, held_bytes, refused)?);
        }
        self.is_full = true;
        Ok(())
    }

    /// Gives the memory of the table back: its keys are written as seen.
    ///
    /// # Errors
    /// Those of files; there is no place for them.
    pub(crate) fn evict(&mut self, refused: AllocError, disk: &Disk<'_>) -> Result<(), SpillFailure> {
        if self.table.is_empty() {
            // Slots without keys would be made again at once.
            return Err(refused.into());
        }
        self.fill_up(refused, disk)?;
        if self.yieldable_bytes() == 0 {
            return Err(refused.into());
        }
        self.write_table(disk.is_cancelled)
    }

    /// Writes the keys of the table as seen.
    fn write_table(&mut self, is_cancelled: IsCancelled<'_>) -> Result<(), SpillFailure> {
        if let Some(partitions) = &mut self.partitions {
            write_seen(&self.table, partitions.writing(), is_cancelled)?;
            if self.is_reading {
                // What is still to be read of the file meets the keys that were seen in the next level.
                partitions.part_rest(is_cancelled)?;
            }
        }
        self.table.release();
        Ok(())
    }

    /// After the last row: hands keys that waited, each with what belongs to it, to `take`, until it says that it has enough. What it
    /// has no room for it is asked again, when there is more.
    ///
    /// # Errors
    /// Those of files; one key does not fit.
    pub(crate) fn drain(
        &mut self,
        is_cancelled: IsCancelled<'_>,
        mut take: impl FnMut(&[u8], &[u8]) -> Result<bool, AllocError>,
    ) -> Result<Drained, SpillFailure> {
        let Some(partitions) = self.partitions.as_mut().filter(|_| self.is_full) else {
            return Ok(Drained::All);
        };
        if !self.is_reading {
            if !partitions.writing().has_written() {
                return Ok(Drained::All);
            }
            write_seen(&self.table, partitions.writing(), is_cancelled)?;
            self.table.release();
            self.is_reading = partitions.next_file(is_cancelled)?;
        }
        loop {
            let Some((record, _)) = partitions.next(is_cancelled)? else {
                self.table.release();
                match partitions.next_file(is_cancelled)? {
                    true => return Ok(Drained::More),
                    false => return Ok(Drained::All),
                }
            };
            let (kind, key, belongings) = parts(record.bytes)?;
            if self.table.get(record.hash, key).is_some() {
                continue;
            }
            let room = self.table.reserve_one(key.len());
            let taken = match (room, kind) {
                (Err(refused), _) => Err(refused),
                (Ok(()), WAITING) => take(key, belongings),
                (Ok(()), _) => Ok(false),
            };
            match taken {
                Ok(is_enough) => {
                    self.table.find_or_add(record.hash, key, &[])?;
                    if is_enough {
                        return Ok(Drained::More);
                    }
                }
                Err(refused) => {
                    partitions.hold_back();
                    return Ok(Drained::Refused(refused));
                }
            }
        }
    }
}

fn parts(bytes: &[u8]) -> Result<(u8, &[u8], &[u8]), SpillFailure> {
    let split = |bytes: &'_ [u8]| -> Option<(u8, usize)> {
        let (&kind, rest) = bytes.split_first()?;
        let len = u32::from_le_bytes(*rest.first_chunk::<4>()?) as usize;
        (rest.len() - 4 >= len).then_some((kind, len))
    };
    let (kind, len) = split(bytes).ok_or(SpillFailure::Problem(CUT))?;
    let (key, belongings) = bytes[5..].split_at(len);
    Ok((kind, key, belongings))
}

fn write_key(
    hash: u64,
    key: &[u8],
    writing: &mut Writing,
    is_cancelled: IsCancelled<'_>,
) -> Result<(), SpillFailure> {
    writing.push(hash, &[&[SEEN], &(key.len() as u32).to_le_bytes(), key], is_cancelled)
}

fn write_seen(
    table: &GroupTable,
    writing: &mut Writing,
    is_cancelled: IsCancelled<'_>,
) -> Result<(), SpillFailure> {
    let mut next = table.next(None);
    while let Some(place) = next {
        let row = table.row(place);
        write_key(row.hash, row.key, writing, is_cancelled)?;
        next = table.next(Some(place));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::partitions::tests::{never, space};
    use super::super::table::hash_of;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// Keys of numbers, passed through at a limit, with evictions where `evicts` says; gives how often files were parted.
    fn pass_once(numbers: &[u32], limit: u64, evicts: impl Fn(usize) -> bool) -> PartitionCounts {
        let process = Budget::root("process", u64::MAX).unwrap();
        let budget = process.child("test", limit).unwrap();
        let space = space(&process);
        let disk = Disk { space: Some(&space), name: "test_0", share: 1, is_cancelled: &never, others: None };
        let mut dedup = Dedup::new(&budget);
        let (mut passed, mut oracle) = (Vec::new(), std::collections::HashSet::new());
        for (index, number) in numbers.iter().enumerate() {
            let key = number.to_le_bytes().repeat(10);
            if dedup.table_bytes() as u64 >= Partitions::held_bytes_before(&budget, 1) {
                dedup.prepare(&disk);
            }
            oracle.insert(*number);
            let belongings = [&key[..4], &b"x"[..], b""];
            match dedup.pass(hash_of(&key), &key, &disk).unwrap() {
                Passing::Now => passed.push(*number),
                Passing::Met => {}
                Passing::Waits => dedup.wait(hash_of(&key), &key, &belongings, &disk).unwrap(),
            }
            if evicts(index) && dedup.table_bytes() > 0 {
                dedup.prepare(&disk);
                // At small limits there may be no room to write; then nothing changes.
                let is_evicted = dedup.evict(AllocError, &disk).is_ok();
                assert!(!is_evicted || dedup.table_bytes() == 0);
            }
        }
        let mut asked = 0;
        let mut take = |key: &[u8], belongings: &[u8]| {
            assert_eq!(belongings, [&key[..4], b"x"].concat());
            asked += 1;
            if asked % 11 == 0 {
                return Err(AllocError);
            }
            passed.push(u32::from_le_bytes(key[..4].try_into().unwrap()));
            Ok(passed.len() % 7 == 0)
        };
        let mut drains = 0;
        loop {
            drains += 1;
            match dedup.drain(&never, &mut take).unwrap() {
                Drained::All => break,
                Drained::Refused(refused) if dedup.table_bytes() > 8 << 10 => {
                    dedup.evict(refused, &disk).unwrap()
                }
                _ if evicts(drains) && dedup.table_bytes() > 4 << 10 => {
                    dedup.evict(AllocError, &disk).unwrap()
                }
                _ => {}
            }
        }
        passed.sort_unstable();
        let mut expected: Vec<_> = oracle.into_iter().collect();
        expected.sort_unstable();
        assert_eq!(passed, expected);
        let counts = dedup.counts();
        drop(dedup);
        assert_eq!((budget.used(), space.counts().files_now), (0, 0));
        counts
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        /// Aim: each key passes exactly once, whatever is evicted and when.
        #[test]
        fn each_key_passes_once(
            numbers in proptest::collection::vec(0..3000u32, 0..4000),
            limit in prop_oneof![Just(u64::MAX), Just(48 << 10), Just(80 << 10)],
            evict_every in prop_oneof![Just(usize::MAX), 50..900usize],
        ) {
            pass_once(&numbers, limit, |index| index % evict_every == evict_every - 1);
        }
    }

    /// Aim: every rung is reached. Method: limits, and counters.
    #[test]
    fn rungs_are_reached() {
        let numbers: Vec<u32> = (0..20_000).chain(0..20_000).collect();
        assert_eq!(pass_once(&numbers, u64::MAX, |_| false), PartitionCounts::default());
        let counts = pass_once(&numbers, 512 << 10, |_| false);
        assert!(counts.files > 0 && counts.bytes > 0, "{counts:?}");
        let counts = pass_once(&numbers, 64 << 10, |_| false);
        assert!(counts.parted > 0, "{counts:?}");
    }

    /// Aim: without a place for files a full table is a refusal.
    #[test]
    fn without_files_it_is_refused() {
        let budget = Budget::unlimited("root").unwrap().child("test", 8 << 10).unwrap();
        let mut dedup = Dedup::new(&budget);
        let disk = Disk { space: None, name: "test_0", share: 1, is_cancelled: &never, others: None };
        let outcome = (0..1000u32).try_for_each(|number| {
            let key = number.to_le_bytes();
            dedup.pass(hash_of(&key), &key, &disk).map(|_| ())
        });
        assert!(matches!(outcome, Err(SpillFailure::OutOfMemory(_))), "{outcome:?}");
    }
}
