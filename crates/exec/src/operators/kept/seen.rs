//! The rows that a recursion has given so far, of which none is given again.
//!
//! ```text
//! rung 1   the keys of all rows in a table: a new row passes at once
//! rung 2   keys are in files by the bits of their hashes, and a filter tells of many a key that it is in none of them: its row
//!          passes at once, and its key is in the table, until that is written to the files too.
//!          Other rows wait in files by the same bits, until the round ends: then those of one file after the other come into a
//!          table, the file of keys goes past it, and rows that it did not meet pass
//! rung 3   rows that wait and do not fit come into the table block by block
//! ```
//!
//! So a round reads the keys of those files again for which rows have waited, and no others.
//!
//! | row of a file | bytes | tag |
//! |---|---|---|
//! | a key that was seen | the key | its hash |
//! | a row that waits | length of its key in 4 bytes, the key, the row | the hash of the key |

use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, Budget, BudgetAlloc, Buffer};

use super::queue::RowQueue;
use crate::operators::aggregate::pages::Place;
use crate::operators::aggregate::partitions::CUT;
use crate::operators::aggregate::table::GroupTable;
use crate::pipeline::{has_room, headroom_bytes};
use crate::spill::{IsCancelled, Reserve, SpillFailure, SpillFile, SpillReader, Spilled};

/// Below this limit there are eight partitions, from it on sixteen.
const FEW_PARTITIONS_BYTES: u64 = 6 << 20;
/// What a row in the table has beside its key: whether it was met.
const STATE_BYTES: usize = 8;
/// A filter is such a part of the limit, within bounds.
const FILTER_SHARE: u64 = 64;
const FILTER_BYTES_MIN: u64 = 2 << 10;
const FILTER_BYTES_MAX: u64 = 4 << 20;

/// The rows so far.
#[derive(Debug)]
pub(super) struct Seen {
    budget: Budget,
    block_bytes: usize,
    /// Keys that are in no file.
    table: GroupTable,
    /// Made with the reserve, so that they are there when memory is short.
    parts: Vec<Part, BudgetAlloc>,
    /// Has bits for each key of the files.
    filter: Buffer<u64>,
    has_files: bool,
    /// Some rows that waited.
    loaded: GroupTable,
    draining: Draining,
    partitions_spilled: u64,
    blocks: u64,
}

#[derive(Debug)]
struct Part {
    seen: Spilled,
    waiting: Spilled,
}

/// How far the rows that waited have come.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one for an operator, in place")]
enum Draining {
    No,
    /// The partition that is next.
    Begin(usize),
    Active(Active),
}

#[derive(Debug)]
struct Active {
    at: usize,
    reader: SpillReader,
    _file: SpillFile,
    /// The row that the reader stands at did not fit.
    is_held_back: bool,
    is_at_end: bool,
    blocks: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Rows come into the table.
    Load,
    /// Keys go past it.
    Meet,
    /// Rows pass that are behind this one.
    Pass(Option<Place>),
}

/// What is known of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passing {
    /// It is new, and counts as seen from now on.
    Now,
    /// It was seen.
    Met,
    /// It is not known before the round ends: [`Seen::wait`].
    Waits,
}

/// How many partitions there are below a limit.
fn partitions_count(limit_bytes: u64) -> usize {
    if limit_bytes < FEW_PARTITIONS_BYTES { 8 } else { 16 }
}

/// How many files are open at once: one for each partition, of two queues, and one that keys are written to.
pub(super) fn slots_count(limit_bytes: u64) -> usize {
    partitions_count(limit_bytes) + 3
}

/// How many files there are at once: two for each partition, and the queues'.
pub(super) fn files_max(limit_bytes: u64) -> usize {
    2 * partitions_count(limit_bytes) + 3
}

fn filter_bytes(limit_bytes: u64) -> u64 {
    (limit_bytes / FILTER_SHARE).clamp(FILTER_BYTES_MIN, FILTER_BYTES_MAX)
}

/// What [`Seen::prepare`] takes, but for lists.
pub(super) fn prepared_bytes(limit_bytes: u64) -> u64 {
    filter_bytes(limit_bytes)
}

impl Seen {
    /// No rows, which take nothing.
    pub(super) fn new(budget: &Budget, block_bytes: usize) -> Seen {
        Seen {
            budget: budget.clone(),
            block_bytes,
            table: GroupTable::new(budget, 0),
            parts: Vec::new_in(BudgetAlloc::new(budget)),
            filter: Buffer::empty(budget),
            has_files: false,
            loaded: GroupTable::new(budget, STATE_BYTES),
            draining: Draining::No,
            partitions_spilled: 0,
            blocks: 0,
        }
    }

    /// What [`Seen::evict`] would give back.
    pub(super) fn held_bytes(&self) -> u64 {
        if self.table.is_empty() { 0 } else { self.table.charged_bytes() as u64 }
    }

    /// Partitions that went to files, and blocks that rows of one came back in where they were several.
    pub(super) const fn counts(&self) -> (u64, u64) {
        (self.partitions_spilled, self.blocks)
    }

    /// Takes what files need beside the reserve.
    ///
    /// # Errors
    /// The budget refuses.
    pub(super) fn prepare(&mut self) -> Result<(), AllocError> {
        let limit_bytes = self.budget.limit_on_path();
        let count = partitions_count(limit_bytes);
        if self.parts.is_empty() {
            if self.filter.is_empty() {
                self.filter = Buffer::filling(&self.budget, filter_bytes(limit_bytes) as usize)?;
            }
            self.parts.try_reserve_exact(count).map_err(|_| AllocError)?;
            self.parts.extend((0..count).map(|_| Part { seen: Spilled::No, waiting: Spilled::No }));
        }
        Ok(())
    }

    fn part_of(&self, hash: u64) -> usize {
        (hash >> (u64::BITS - self.parts.len().ilog2())) as usize
    }

    /// The word and the bits of the filter that a hash has.
    fn bits_of(&self, hash: u64) -> (usize, u64) {
        // The table goes by other bits, and partitions by the highest.
        let word = (u128::from(hash << 4) * self.filter.len() as u128) >> 64;
        let bit = |shift: u32| 1 << (hash >> shift & 63);
        (word as usize, bit(0) | bit(6) | bit(12) | bit(18))
    }

    fn is_perhaps_in_files(&self, hash: u64) -> bool {
        let (word, bits) = self.bits_of(hash);
        self.filter[word] & bits == bits
    }

    /// What is known of the row with a key.
    ///
    /// # Errors
    /// There is no room for the key; nothing has changed.
    pub(super) fn pass(&mut self, hash: u64, key: &[u8]) -> Result<Passing, AllocError> {
        if self.has_files {
            if self.table.get(hash, key).is_some() {
                return Ok(Passing::Met);
            }
            if self.is_perhaps_in_files(hash) {
                return Ok(Passing::Waits);
            }
        }
        let (_, is_new) = self.table.find_or_add(hash, key, &[])?;
        Ok(if is_new { Passing::Now } else { Passing::Met })
    }

    /// Has a row wait.
    ///
    /// # Errors
    /// Those of files.
    pub(super) fn wait(
        &mut self,
        hash: u64,
        key: &[u8],
        row: &[u8],
        reserve: &mut Reserve,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), SpillFailure> {
        let at = self.part_of(hash);
        let writer = self.parts[at].waiting.open(reserve, &self.budget, self.block_bytes)?;
        let key_bytes = (key.len() as u32).to_le_bytes();
        writer.push(hash, &[&key_bytes, key, row], &mut reserve.io, is_cancelled)
    }

    /// Writes the keys of the table to files. False if there are none. [`Seen::prepare`] was called.
    ///
    /// # Errors
    /// Those of files.
    pub(super) fn evict(
        &mut self,
        reserve: &mut Reserve,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<bool, SpillFailure> {
        if self.table.is_empty() || self.parts.is_empty() {
            return Ok(false);
        }
        self.has_files = true;
        for at in 0..self.parts.len() {
            let mut next = self.table.next(None);
            while let Some(place) = next {
                let row = self.table.row(place);
                if self.part_of(row.hash) == at {
                    let (word, bits) = self.bits_of(row.hash);
                    let seen = &mut self.parts[at].seen;
                    self.partitions_spilled += u64::from(seen.is_no());
                    let writer = seen.open(reserve, &self.budget, self.block_bytes)?;
                    writer.push(row.hash, &[row.key], &mut reserve.io, is_cancelled)?;
                    self.filter[word] |= bits;
                }
                next = self.table.next(Some(place));
            }
            self.parts[at].seen.finish(reserve, is_cancelled)?;
        }
        self.table.release();
        Ok(true)
    }

    /// Behind the last row of a round: adds those that waited and are new to `next`. Gives whether all are through; some work is
    /// done each time.
    ///
    /// # Errors
    /// Memory is refused: then it goes on where it was when there is more. Those of files.
    pub(super) fn drain(
        &mut self,
        next: &mut RowQueue,
        reserve: &mut Reserve,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<bool, SpillFailure> {
        let mut active = match core::mem::replace(&mut self.draining, Draining::No) {
            Draining::Active(active) => active,
            Draining::No => {
                // They are read soon, and all memory for files may be in use.
                self.parts.iter_mut().try_for_each(|part| part.waiting.finish(reserve, is_cancelled))?;
                self.draining = Draining::Begin(0);
                return Ok(false);
            }
            Draining::Begin(at) => {
                self.draining = Draining::Begin(at);
                let has_rows = |part: &Part| !part.waiting.is_no();
                let Some(at) = (at..self.parts.len()).find(|&at| has_rows(&self.parts[at])) else {
                    self.draining = Draining::No;
                    return Ok(true);
                };
                self.begin(at, reserve)?
            }
        };
        let outcome = self.go_on(&mut active, next, reserve, is_cancelled);
        self.draining = match active.stage {
            Stage::Load if active.is_at_end && self.loaded.is_empty() && outcome.is_ok() => {
                reserve.give_slot(active.reader.into_slot());
                Draining::Begin(active.at + 1)
            }
            _ => Draining::Active(active),
        };
        outcome.map(|()| false)
    }

    fn begin(&mut self, at: usize, reserve: &mut Reserve) -> Result<Active, SpillFailure> {
        let waiting = &mut self.parts[at].waiting;
        let Spilled::Written(file) = waiting else { unreachable!("it was finished") };
        let long = file.long_row(&self.budget, &reserve.io)?;
        let slot = reserve.take_slot(&self.budget, self.block_bytes)?;
        let file = waiting.take_file().expect("it was there just now");
        let reader = file.read_with(slot, long)?;
        Ok(Active {
            at,
            reader,
            _file: file,
            is_held_back: false,
            is_at_end: false,
            blocks: 0,
            stage: Stage::Load,
        })
    }

    /// One stage.
    fn go_on(
        &mut self,
        active: &mut Active,
        next: &mut RowQueue,
        reserve: &mut Reserve,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), SpillFailure> {
        active.stage = match active.stage {
            Stage::Load => {
                self.load(active, reserve, is_cancelled)?;
                if self.loaded.is_empty() { Stage::Load } else { Stage::Meet }
            }
            Stage::Meet => {
                self.meet(active.at, reserve, is_cancelled)?;
                Stage::Pass(None)
            }
            Stage::Pass(_) => {
                self.give(active, next, reserve, is_cancelled)?;
                self.loaded.release();
                Stage::Load
            }
        };
        Ok(())
    }

    /// Reads as many rows that waited as fit, one at least.
    fn load(
        &mut self,
        active: &mut Active,
        reserve: &mut Reserve,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), SpillFailure> {
        let headroom = headroom_bytes(self.budget.limit_on_path());
        let mut held = self.loaded.charged_bytes();
        let mut is_full = false;
        loop {
            if !active.is_held_back && !active.reader.advance(&mut reserve.io, is_cancelled)? {
                active.is_at_end = true;
                break;
            }
            active.is_held_back = true;
            let (hash, bytes) = active.reader.row();
            let (key, row) = parts(bytes).ok_or(SpillFailure::Problem(CUT))?;
            if is_full && self.loaded.get(hash, key).is_none() {
                break;
            }
            match self.loaded.find_or_add(hash, key, row) {
                Ok(_) => active.is_held_back = false,
                Err(refused) if self.loaded.is_empty() => return Err(refused.into()),
                Err(_) => break,
            }
            if self.loaded.charged_bytes() != held {
                held = self.loaded.charged_bytes();
                is_full = !has_room(&self.budget, headroom);
            }
        }
        if !self.loaded.is_empty() {
            active.blocks += 1;
            self.blocks += u64::from(!active.is_at_end || active.blocks > 1);
        }
        Ok(())
    }

    /// Marks the loaded rows whose keys are in the file.
    fn meet(
        &mut self,
        at: usize,
        reserve: &mut Reserve,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), SpillFailure> {
        // Keys of this round are in no file with rows that wait for it, but others' files may have been written since.
        self.parts[at].seen.finish(reserve, is_cancelled)?;
        let Spilled::Written(file) = &self.parts[at].seen else { return Ok(()) };
        let long = file.long_row(&self.budget, &reserve.io)?;
        let slot = reserve.take_slot(&self.budget, self.block_bytes)?;
        let mut reader = file.read_with(slot, long)?;
        while let Some((hash, key)) = reader.next(&mut reserve.io, is_cancelled)? {
            if let Some(place) = self.loaded.get(hash, key) {
                self.loaded.state_mut(place, 0)[0] = 1;
            }
        }
        reserve.give_slot(reader.into_slot());
        Ok(())
    }

    /// Gives the loaded rows that were not met, and writes their keys behind the others.
    fn give(
        &mut self,
        active: &mut Active,
        next: &mut RowQueue,
        reserve: &mut Reserve,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), SpillFailure> {
        let Stage::Pass(given) = &mut active.stage else { return Ok(()) };
        while let Some(place) = self.loaded.next(*given) {
            let row = self.loaded.row(place);
            if row.states[0] == 0 {
                let (word, bits) = self.bits_of(row.hash);
                let writer = self.parts[active.at].seen.open(reserve, &self.budget, self.block_bytes)?;
                writer.push(row.hash, &[row.key], &mut reserve.io, is_cancelled)?;
                self.filter[word] |= bits;
                // If it is refused, the key comes twice, which is no harm.
                next.push(row.rest, Some(reserve), is_cancelled)?;
            }
            *given = Some(place);
        }
        self.parts[active.at].seen.finish(reserve, is_cancelled)
    }
}

/// The key of a row that waits, and the row.
fn parts(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, bytes) = bytes.split_first_chunk::<4>()?;
    bytes.split_at_checked(u32::from_le_bytes(*len) as usize)
}
