//! Aggregates over frames.
//!
//! A frame that has all rows of the one before takes the new ones; any other begins anew. So frames that begin with the partition
//! take each row once, and others each row as often as it is in a frame, in the order of rows: results of doubles and of
//! lists are those that a plain aggregate over the frame has.
//!
//! Exact aggregates over frames that slide are kept as two stacks instead. The rows of a frame are split at some row: for each of
//! those before it there is the state of the rows from there to the split (the *front*), those behind it are aggregated as
//! they come (the *back*). A frame is the two merged, and what leaves it is taken off the front; when that is empty, the rows of the back are
//! turned over. So each row is taken twice, however large frames are. Without room for the front a frame is aggregated anew.
//!
//! ```text
//!   frame   │ 3 4 5 6 │ 7 8 9 │          front: 3456, 456, 56, 6      back: 789        result: 3456 + 789
//!           start   split   end
//! ```
//!
//! Rows are aggregated from vectors, into which those that come next are decoded together.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_plan::physical::Aggregate;
use cofferdam_types::{Type, Value};

use super::accumulator::{Accumulator, Part};
use super::frame::Ranges;
use super::{Partition, begin_column};
use crate::batch::{Kind, Store, VectorId};
use crate::error::Error;
use crate::operators::state::{StateError, Stopped};
use crate::spill::IsCancelled;

/// An aggregate over frames.
pub(super) struct FrameAggregate<'a> {
    states: Accumulator,
    /// Columns of kept rows.
    args: &'a [(usize, Type)],
    filter: Option<usize>,
    /// Where arguments of rows stand while they are taken.
    vectors: &'a [VectorId],
    /// The rows in them.
    fed: (u64, u64),
    /// Of these rows those that the filter passes, by position; unused without a filter.
    passing: Vec<'a, u16>,
    /// The rows that the states have.
    covered: Ranges,
    /// Where the frame is split, if it is kept as two stacks.
    split: Option<u64>,
    /// Whether frames may be kept so.
    slides: bool,
}

impl<'a> FrameAggregate<'a> {
    pub(super) fn open(
        plan: &Aggregate<'a>,
        args: &'a [(usize, Type)],
        filter: Option<usize>,
        only_grows: bool,
        arena: &'a Arena,
        store: &mut Store<'a>,
    ) -> Result<FrameAggregate<'a>, Error<'a>> {
        let vectors = arena.alloc_slice_fill(args.len(), VectorId(0))?;
        for (id, (_, ty)) in vectors.iter_mut().zip(args) {
            *id = store.add_vector(Kind::of(*ty), arena)?;
        }
        let states = Accumulator::new(plan, args, arena, arena.budget())?;
        let slides = states.is_exact() && !only_grows;
        Ok(FrameAggregate {
            states,
            args,
            filter,
            vectors,
            fed: (0, 0),
            passing: Vec::new_in(arena),
            covered: Ranges::default(),
            split: None,
            slides,
        })
    }

    /// Another partition begins.
    ///
    /// # Errors
    /// The budget refuses a page.
    pub(super) fn begin(&mut self) -> Result<(), AllocError> {
        self.fed = (0, 0);
        self.reset()
    }

    fn reset(&mut self) -> Result<(), AllocError> {
        (self.covered, self.split) = (Ranges::default(), None);
        self.states.clear_front();
        self.states.reset(Part::Back)
    }

    /// How many rows from the partition's first on were taken, where frames only grow.
    pub(super) fn taken_rows(&self) -> u64 {
        self.covered.single().map_or(0, |(_, end)| end)
    }

    /// Puts the aggregate of some rows into row `at` of a column.
    pub(super) fn compute(
        &mut self,
        ranges: Ranges,
        at: usize,
        result: VectorId,
        partition: &mut Partition<'a>,
        store: &mut Store<'a>,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), Error<'a>> {
        if ranges != self.covered {
            self.go_to(ranges, partition, store, is_cancelled)?;
        } else if let Some(before) = at.checked_sub(1) {
            // What the row before has, in the same batch.
            store.vector_mut(result).repeat(before);
            return Ok(());
        }
        let part = match self.split {
            None => Part::Back,
            Some(_) => {
                self.states.join().map_err(|error| self.states.failed(error))?;
                Part::Work
            }
        };
        self.states.finish(part, at, result, store).map_err(|error| self.states.failed(error))
    }

    fn go_to(
        &mut self,
        ranges: Ranges,
        partition: &mut Partition<'a>,
        store: &mut Store<'a>,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), Error<'a>> {
        let follows = match (ranges.single(), self.covered.single()) {
            (Some(frame), Some(old)) if old.0 < old.1 && frame.0 >= old.0 && frame.1 >= old.1 => {
                Some((frame, old))
            }
            _ => None,
        };
        match follows {
            Some(((start, end), (old_start, old_end))) if start == old_start => {
                self.take(Part::Back, old_end, end, partition, store, is_cancelled)?;
            }
            Some(((start, end), (old_start, old_end))) if self.slides && start < old_end => {
                self.slide(old_start, start, old_end, partition, store, is_cancelled)?;
                self.take(Part::Back, old_end, end, partition, store, is_cancelled)?;
            }
            _ => {
                self.reset()?;
                for (start, end) in ranges.iter() {
                    self.take(Part::Back, start, end, partition, store, is_cancelled)?;
                }
            }
        }
        self.covered = ranges;
        Ok(())
    }

    /// Lets the rows before `start` go from a frame that ends with `end` and begins with `old_start`.
    fn slide(
        &mut self,
        old_start: u64,
        start: u64,
        end: u64,
        partition: &mut Partition<'a>,
        store: &mut Store<'a>,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), Error<'a>> {
        if let Some(split) = self.split {
            for _ in old_start..start.min(split) {
                let has_state = self.states.pop_front();
                debug_assert!(has_state, "the front has a state for each row before the split");
            }
            if start <= split {
                return Ok(());
            }
        }
        // The rows of the back are turned over.
        self.states.clear_front();
        self.states.reset(Part::Work)?;
        for row in (start..end).rev() {
            if !(self.fed.0..self.fed.1).contains(&row) {
                let first = (row + 1).saturating_sub(store.capacity as u64).max(start);
                self.feed(first, partition, store, is_cancelled)?;
            }
            self.take(Part::Work, row, row + 1, partition, store, is_cancelled)?;
            if self.states.push_front().is_err() {
                self.reset()?;
                return self.take(Part::Back, start, end, partition, store, is_cancelled);
            }
        }
        self.split = Some(end);
        Ok(self.states.reset(Part::Back)?)
    }

    /// Takes rows.
    fn take(
        &mut self,
        part: Part,
        start: u64,
        end: u64,
        partition: &mut Partition<'a>,
        store: &mut Store<'a>,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), Error<'a>> {
        let mut row = start;
        while row < end {
            if !(self.fed.0..self.fed.1).contains(&row) {
                self.feed(row, partition, store, is_cancelled)?;
            }
            let (first, last) = (row - self.fed.0, end.min(self.fed.1) - self.fed.0);
            let range = first as usize..last as usize;
            let passing = self.filter.map(|_| {
                let at = |row: usize| self.passing.partition_point(|&passing| usize::from(passing) < row);
                &self.passing[at(range.start)..at(range.end)]
            });
            row = match self.states.take(part, range, passing, self.vectors, store) {
                Ok(()) => self.fed.0 + last,
                // The partition's rows make room for what the state holds.
                Err(Stopped { row: stopped, error: StateError::OutOfMemory(error) }) => {
                    if !partition.log.spill(is_cancelled)? {
                        return Err(error.into());
                    }
                    self.fed.0 + stopped as u64
                }
                Err(Stopped { error, .. }) => return Err(self.states.failed(error)),
            };
        }
        Ok(())
    }

    /// Decodes the arguments of a row, and of those behind it that are there.
    fn feed(
        &mut self,
        row: u64,
        partition: &mut Partition<'a>,
        store: &mut Store<'a>,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), Error<'a>> {
        if is_cancelled() {
            return Err(Error::Cancelled);
        }
        let Partition { log, columns, .. } = partition;
        let count = (log.rows_count() - row).min(store.capacity as u64);
        self.fed = (row, row + count);
        self.passing.clear();
        for &id in self.vectors {
            begin_column(store, id);
        }
        if let Some(rows) = log.rows_in_memory(row, count as usize) {
            for (&(column, _), &id) in self.args.iter().zip(self.vectors) {
                columns.layout.decode(column, rows.clone(), id, store)?;
            }
            if let Some(filter) = self.filter {
                for (at, bytes) in rows.enumerate() {
                    if columns.value(bytes, filter) == Value::Boolean(true) {
                        self.passing.push(at as u16)?;
                    }
                }
            }
            return Ok(());
        }
        for at in 0..count {
            let (_, bytes) = log.get(row + at, is_cancelled)?;
            for (&(column, _), &id) in self.args.iter().zip(self.vectors) {
                columns.layout.put(column, bytes, at as usize, id, store)?;
            }
            if let Some(filter) = self.filter
                && columns.value(bytes, filter) == Value::Boolean(true)
            {
                self.passing.push(at as u16)?;
            }
        }
        Ok(())
    }
}
