//! A table of groups that goes to disk when memory is refused, and comes back partition by partition.
//!
//! ```text
//! rung 1   all groups in one table
//! rung 2   the states of all groups go to files by the bits of their hashes, and the table begins again; at the end
//!          the states of one file after the other are merged into a table, and its groups are given
//! rung 3   a file whose groups do not fit is parted by further bits
//! rung 4   one group does not fit: an error that says so
//! ```
//!
//! What is written is states, not rows: they can be merged, and of many rows there are few. A state's blobs follow it,
//! each piece in a row of its own, so that nothing as long as a group is ever put together.
//!
//! | row | bytes |
//! |---|---|
//! | a group | 0, the states, length of the key in 4 bytes, the key, the rest |
//! | a piece of a blob of the group before it | 1, the number of the state, the bytes |
//! | a group whose pieces follow, and nothing else | 2, length of the key, the key, the rest |
//!
//! **Memory.** The table, and [`Partitions`], which are taken when the table has grown to a part of the limit, so that they are
//! there when it may not grow any more.

use cofferdam_arena::{AllocError, Budget};

use super::Disk;
use super::pages::Place;
use super::partitions::{CUT, OwnedPartitions, PartitionCounts, Partitions, Writing};
use super::table::{GroupRow, GroupTable};
use crate::error::Error;
use crate::operators::state::{State, StateError};
use crate::spill::{IsCancelled, SpillFailure};

const GROUP: u8 = 0;
const BLOB: u8 = 1;
const BLANK: u8 = 2;
/// Rows that are read before others are asked whether the statement goes on.
const STEP_ROWS: usize = 4096;

/// Where groups are kept.
#[derive(Debug)]
pub(crate) struct Ladder {
    pub(crate) table: GroupTable,
    partitions: Option<OwnedPartitions>,
    budget: Budget,
    /// Whether the table holds a file's groups, or is about to.
    is_loading: bool,
    /// The group of the row that was merged last.
    current: Option<Place>,
}

/// What can go wrong with groups.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LadderError {
    Spill(SpillFailure),
    /// A state with this number.
    State(usize, StateError),
    /// One group needs more memory than there is.
    TooLarge(AllocError),
}

impl From<SpillFailure> for LadderError {
    fn from(failure: SpillFailure) -> LadderError {
        LadderError::Spill(failure)
    }
}

impl From<AllocError> for LadderError {
    fn from(error: AllocError) -> LadderError {
        LadderError::Spill(SpillFailure::OutOfMemory(error))
    }
}

impl LadderError {
    /// The error of a statement whose aggregates stand at `span_of`.
    pub(crate) fn into_error<'a>(self, span_of: impl Fn(usize) -> cofferdam_plan::Span) -> Error<'a> {
        match self {
            LadderError::Spill(failure) => failure.into(),
            LadderError::State(_, StateError::OutOfMemory(error)) => Error::OutOfMemory(error),
            LadderError::State(state, StateError::Value(error)) => {
                Error::Value { error, span: span_of(state) }
            }
            LadderError::State(state, StateError::Argument(problem)) => {
                Error::Argument { problem, span: span_of(state) }
            }
            LadderError::TooLarge(error) => Error::OutOfMemory(error),
        }
    }
}

impl Ladder {
    /// No groups, which take nothing.
    pub(crate) fn new(budget: &Budget, state_bytes: usize) -> Ladder {
        Ladder {
            table: GroupTable::new(budget, state_bytes),
            partitions: None,
            budget: budget.clone(),
            is_loading: false,
            current: None,
        }
    }

    /// What it did on disk.
    pub(crate) fn counts(&self) -> PartitionCounts {
        self.partitions.as_ref().map_or(PartitionCounts::default(), |partitions| partitions.counts())
    }

    /// Takes what writing takes, while there is memory; see [`Partitions::held_bytes_before`].
    pub(crate) fn prepare(&mut self, disk: &Disk<'_>) {
        if let (Some(space), None) = (disk.space, &self.partitions) {
            // A refusal is none of the statement's concern as long as the table may grow.
            self.partitions = Partitions::new(space, disk.name, &self.budget, disk.share).ok();
        }
    }

    /// As [`Ladder::prepare`], once the table holds a part of the memory.
    pub(crate) fn prepare_in_time(&mut self, disk: &Disk<'_>) {
        let held_bytes = self.table.charged_bytes() as u64;
        if self.partitions.is_none() && held_bytes >= Partitions::held_bytes_before(&self.budget, disk.share)
        {
            self.prepare(disk);
        }
    }

    /// Whether it has what writing takes.
    pub(crate) const fn is_prepared(&self) -> bool {
        self.partitions.is_some()
    }

    /// Writes all groups to files and forgets them.
    ///
    /// # Errors
    /// Those of files; `refused` where there is no place for files, or no room to write them.
    pub(crate) fn flush(
        &mut self,
        states: &[State],
        refused: AllocError,
        disk: &Disk<'_>,
    ) -> Result<(), LadderError> {
        self.flush_from(None, states, refused, disk)
    }

    fn flush_from(
        &mut self,
        after: Option<Place>,
        states: &[State],
        refused: AllocError,
        disk: &Disk<'_>,
    ) -> Result<(), LadderError> {
        let is_exhausted = self.partitions.as_ref().is_some_and(|partitions| partitions.is_exhausted());
        if self.table.is_empty() || (self.is_loading && is_exhausted) {
            return Err(LadderError::TooLarge(refused));
        }
        if self.partitions.is_none() {
            let held_bytes = self.table.charged_bytes();
            self.partitions = Some(Partitions::late(disk, &self.budget, held_bytes, refused)?);
        }
        if let Some(partitions) = &mut self.partitions {
            write_groups(&self.table, after, states, partitions.writing(), disk.is_cancelled)?;
        }
        self.table.release();
        self.current = None;
        Ok(())
    }

    /// Writes the groups behind one that was given, and forgets them all, so that there is room for what is given.
    ///
    /// # Errors
    /// As [`Ladder::flush`].
    pub(crate) fn flush_behind(
        &mut self,
        given: Option<Place>,
        states: &[State],
        refused: AllocError,
        disk: &Disk<'_>,
    ) -> Result<(), LadderError> {
        self.is_loading = true;
        let first = self.table.next(given);
        if first.is_none_or(|first| given.is_none() && self.table.next(Some(first)).is_none()) {
            return Err(LadderError::TooLarge(refused));
        }
        self.flush_from(given, states, refused, disk)
    }

    fn write_all(&mut self, states: &[State], is_cancelled: IsCancelled<'_>) -> Result<(), SpillFailure> {
        match &mut self.partitions {
            Some(partitions) => write_groups(&self.table, None, states, partitions.writing(), is_cancelled),
            None => Ok(()),
        }
    }

    /// What writing the groups gives back that are still to be handed out, if that can be done without a charge.
    pub(crate) fn yieldable_behind_bytes(&self) -> u64 {
        let can_write =
            self.partitions.as_ref().is_some_and(|partitions| !self.is_loading || !partitions.is_exhausted());
        if can_write && !self.table.is_empty() { self.table.charged_bytes() as u64 } else { 0 }
    }

    /// Writes the groups behind one that was handed out, for somebody else who needs the memory, and forgets them all.
    ///
    /// # Errors
    /// Those of files.
    pub(crate) fn yield_behind(
        &mut self,
        given: Option<Place>,
        states: &[State],
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), SpillFailure> {
        self.is_loading = true;
        if let Some(partitions) = &mut self.partitions {
            write_groups(&self.table, given, states, partitions.writing(), is_cancelled)?;
        }
        self.table.release();
        self.current = None;
        Ok(())
    }

    /// What writing all groups gives back, if that can be done without a charge.
    pub(crate) fn yieldable_bytes(&self) -> u64 {
        let can_write = self.partitions.is_some() && !self.is_loading && !self.table.is_empty();
        if can_write { self.table.charged_bytes() as u64 } else { 0 }
    }

    /// Writes all groups to files, for somebody else who needs the memory.
    ///
    /// # Errors
    /// Those of files.
    pub(crate) fn yield_all(
        &mut self,
        states: &[State],
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), SpillFailure> {
        self.write_all(states, is_cancelled)?;
        self.table.release();
        self.current = None;
        Ok(())
    }

    /// After the last row: groups that were written are completed by those of the table.
    ///
    /// # Errors
    /// Those of files.
    pub(crate) fn complete(
        &mut self,
        states: &[State],
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), LadderError> {
        let has_written =
            self.partitions.as_mut().is_some_and(|partitions| partitions.writing().has_written());
        if has_written {
            self.write_all(states, is_cancelled)?;
            self.table.release();
        } else if self.yieldable_bytes() < Partitions::charged_bytes_below(self.budget.limit_on_path()) {
            // Nothing was written, and writing would give nothing back: what is left of memory is for others.
            self.partitions = None;
        }
        Ok(())
    }

    /// The greatest hash that a group of the table can have.
    pub(crate) fn hash_end(&self) -> u64 {
        self.partitions.as_ref().map_or(u64::MAX, |partitions| partitions.hash_end())
    }

    /// Whether there may be groups beyond those of the table.
    pub(crate) fn has_files(&self) -> bool {
        self.partitions.as_ref().is_some_and(|partitions| self.is_loading || partitions.counts().files > 0)
    }

    /// Whether all groups are in files, of which none was read.
    pub(crate) fn is_unread(&self) -> bool {
        !self.is_loading && self.has_files()
    }

    /// Forgets all groups, so that others may come; what is small and will be needed again is kept.
    pub(crate) fn begin_again(&mut self) {
        if self.has_files() {
            self.partitions = None;
            self.table.release();
        } else {
            self.table.clear();
        }
        self.is_loading = false;
        self.current = None;
    }

    /// Goes on to the next file, whose groups replace those of the table. Gives whether there is one.
    ///
    /// # Errors
    /// Those of files.
    pub(crate) fn next_file(&mut self, is_cancelled: IsCancelled<'_>) -> Result<bool, LadderError> {
        self.table.release();
        self.current = None;
        self.is_loading = true;
        match &mut self.partitions {
            Some(partitions) => Ok(partitions.next_file(is_cancelled)?),
            None => Ok(false),
        }
    }

    /// Merges some rows of the file into the table, and gives whether all of them are there. Where they do not fit, whoever holds
    /// more than they makes room, or else the file is parted: then the table is empty and the next file is to be asked for.
    ///
    /// # Errors
    /// Those of files and states; one group does not fit.
    pub(crate) fn load(&mut self, states: &[State], disk: &Disk<'_>) -> Result<bool, LadderError> {
        let is_cancelled = disk.is_cancelled;
        let Ladder { table, partitions: Some(partitions), current, .. } = self else { return Ok(true) };
        for _ in 0..STEP_ROWS {
            let is_exhausted = partitions.is_exhausted();
            let Some((record, writing)) = partitions.next(is_cancelled)? else { return Ok(true) };
            let merged = merge_record(table, record.hash, record.bytes, states, current);
            let refused = match merged {
                Ok(()) => continue,
                Err(
                    LadderError::State(_, StateError::OutOfMemory(refused))
                    | LadderError::Spill(SpillFailure::OutOfMemory(refused)),
                ) => refused,
                Err(error) => return Err(error),
            };
            let is_stuck = table.len() <= 1 || is_exhausted;
            let less_bytes = if is_stuck { 1 } else { table.charged_bytes() as u64 };
            if disk.others.is_some_and(|ask| ask(less_bytes)) {
                partitions.hold_back();
                continue;
            }
            if is_stuck {
                return Err(LadderError::TooLarge(refused));
            }
            // The file is parted: first what is in the table, then this row and the rest.
            write_groups(table, None, states, writing, is_cancelled)?;
            if record.bytes.first() == Some(&BLOB)
                && let Some(place) = *current
            {
                // The rows that follow belong to the group that was written just before them.
                write_group(writing, &table.row(place), true, is_cancelled)?;
            }
            writing.push(record.hash, &[record.bytes], is_cancelled)?;
            table.release();
            *current = None;
            partitions.part_rest(is_cancelled)?;
            return Ok(true);
        }
        Ok(false)
    }
}

fn write_groups(
    table: &GroupTable,
    after: Option<Place>,
    states: &[State],
    writing: &mut Writing,
    is_cancelled: IsCancelled<'_>,
) -> Result<(), SpillFailure> {
    let mut next = table.next(after);
    while let Some(place) = next {
        let row = table.row(place);
        write_group(writing, &row, false, is_cancelled)?;
        for (number, state) in states.iter().enumerate() {
            for piece in state.blobs(row.states, table.blobs()) {
                let head = [BLOB, number as u8, (number >> 8) as u8];
                writing.push(row.hash, &[&head, piece], is_cancelled)?;
            }
        }
        next = table.next(Some(place));
    }
    Ok(())
}

/// Writes a group without its blobs, with the states of no rows if it `is_blank`.
fn write_group(
    writing: &mut Writing,
    row: &GroupRow<'_>,
    is_blank: bool,
    is_cancelled: IsCancelled<'_>,
) -> Result<(), SpillFailure> {
    let kind = if is_blank { BLANK } else { GROUP };
    let states = if is_blank { &[][..] } else { row.states };
    let key_bytes = (row.key.len() as u32).to_le_bytes();
    writing.push(row.hash, &[&[kind], states, &key_bytes, row.key, row.rest], is_cancelled)
}

/// Adds a record of a file to the groups.
fn merge_record(
    table: &mut GroupTable,
    hash: u64,
    bytes: &[u8],
    states: &[State],
    current: &mut Option<Place>,
) -> Result<(), LadderError> {
    let damaged = || LadderError::Spill(SpillFailure::Problem(CUT));
    let (&kind, bytes) = bytes.split_first().ok_or_else(damaged)?;
    if kind != BLOB {
        let state_bytes = if kind == GROUP { states.iter().map(State::bytes).sum() } else { 0 };
        let (other, rest) = bytes.split_at_checked(state_bytes).ok_or_else(damaged)?;
        let (key_bytes, rest) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        let key_bytes = u32::from_le_bytes(*key_bytes) as usize;
        let (key, rest) = rest.split_at_checked(key_bytes).ok_or_else(damaged)?;
        let (place, _) = table.find_or_add(hash, key, rest)?;
        *current = Some(place);
        if kind == BLANK {
            return Ok(());
        }
        for (number, state) in states.iter().enumerate() {
            state.merge(table, place, other).map_err(|error| LadderError::State(number, error))?;
        }
        return Ok(());
    }
    let (number, piece) = bytes.split_first_chunk::<2>().ok_or_else(damaged)?;
    let number = usize::from(u16::from_le_bytes(*number));
    let (Some(state), Some(place)) = (states.get(number), *current) else { return Err(damaged()) };
    state.merge_blob(table, place, piece).map_err(|error| LadderError::State(number, error))
}
