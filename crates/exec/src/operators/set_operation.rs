//! INTERSECT and EXCEPT: how often each row is on the left and on the right, in a table that goes to disk.
//!
//! A row is a group with two counts. Which rows are given, and how often, is known when both inputs have been read:
//!
//! | | once | ALL |
//! |---|---|---|
//! | INTERSECT | both have it | as often as the one that has it less often |
//! | EXCEPT | only the left one has it | as often as the left one has it more often |
//!
//! As long as nothing went to disk, rows of the right input that the left one lacks are not kept: they are never given.
//!
//! **Ladder, peak bytes**: those of [`super::aggregate::ladder`].

use cofferdam_arena::{AllocError, Arena};
use cofferdam_plan::Span;
use cofferdam_plan::physical::{AggregateFunction, OperatorId, SetOperationKind};
use cofferdam_types::Type;

use super::State;
use super::aggregate::Disk;
use super::aggregate::keys::{KeyShape, Keys};
use super::aggregate::ladder::{Ladder, LadderError};
use super::aggregate::pages::Place;
use super::state;
use crate::batch::{BatchRows, Store, VectorId};
use crate::error::Error;
use crate::pipeline::{Context, Opening, Output, batch_bytes_max};
use crate::spill::{IsCancelled, SpillFailure};

const COUNT_BYTES: usize = 8;

/// The rows of both inputs with their counts.
#[derive(Debug)]
pub(crate) struct Counted {
    ladder: Ladder,
    /// How far they are handed out, if they are.
    handed_out: Option<At>,
}

impl Counted {
    /// How many bytes [`Counted::yield_memory`] gives back.
    pub(crate) fn yieldable_bytes(&self) -> u64 {
        match self.handed_out {
            None => self.ladder.yieldable_bytes(),
            Some(At::Rows(from)) if is_whole(from) => self.ladder.yieldable_behind_bytes(),
            Some(_) => 0,
        }
    }

    /// Whether they are handed out.
    pub(crate) const fn is_handed_out(&self) -> bool {
        self.handed_out.is_some()
    }

    /// Writes all rows to files, or those that are still to be handed out; false if there are none.
    pub(crate) fn yield_memory<'e>(&mut self, is_cancelled: IsCancelled<'_>) -> Result<bool, Error<'e>> {
        if self.yieldable_bytes() == 0 {
            return Ok(false);
        }
        match self.handed_out {
            Some(At::Rows(from)) => {
                let given = from.map(|(place, _)| place);
                self.ladder.yield_behind(given, &states(), is_cancelled)?;
                self.handed_out = Some(At::File);
            }
            _ => self.ladder.yield_all(&states(), is_cancelled)?,
        }
        Ok(true)
    }
}

fn counted(state: &mut State) -> &mut Counted {
    let State::Counted(counted) = state else { unreachable!("the sink of the left input made it") };
    counted
}

/// The two counts as states of groups.
fn states() -> [state::State; 2] {
    [0, COUNT_BYTES].map(|offset| state::State::new(AggregateFunction::CountRows, &[], Type::BigInt, offset))
}

fn failed<'e>(error: LadderError) -> Error<'e> {
    error.into_error(|_| Span::default())
}

/// Counts the rows of one input.
#[derive(Debug)]
pub(crate) struct SetSink<'a> {
    id: OperatorId,
    name: &'a str,
    is_right: bool,
    keys: Keys<'a>,
    places: &'a mut [u64],
}

impl<'a> SetSink<'a> {
    pub(crate) fn open(
        input: OperatorId,
        is_right: bool,
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<SetSink<'a>, Error<'a>> {
        if !is_right {
            let ladder = Ladder::new(opening.budget(), 2 * COUNT_BYTES);
            *cx.state(opening.id) = State::Counted(Counted { ladder, handed_out: None });
        }
        let types = opening.operator().columns.iter().map(|column| column.ty);
        let keys = Keys::of_columns(opening.columns_of(input), types, store, opening.arena)?;
        let places = opening.arena.alloc_slice_fill(store.capacity, 0)?;
        Ok(SetSink { id: opening.id, name: opening.budget().name(), is_right, keys, places })
    }

    pub(crate) fn take(
        &mut self,
        batch: BatchRows,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<(), Error<'a>> {
        let disk = cx.disk(self.name);
        counted(cx.state(self.id)).ladder.prepare_in_time(&disk);
        loop {
            let encoded = match self.keys.run(batch, store) {
                Ok(()) => self.keys.encode(0, batch, store).map_err(Error::from),
                Err(error) => Err(error),
            };
            match encoded {
                Ok(()) => break,
                Err(error) => match error.refusal() {
                    Some(refused) => self.make_room(refused, cx)?,
                    None => return Err(error),
                },
            }
        }
        let offset = COUNT_BYTES * usize::from(self.is_right);
        let rows = store.rows(batch);
        let ladder = &mut counted(cx.state(self.id)).ladder;
        if self.is_right && !ladder.has_files() {
            for position in 0..rows.len() {
                let (hash, key, _) = self.keys.rows.row(position);
                if let Some(place) = ladder.table.get(hash, key) {
                    count(ladder, place, offset);
                }
            }
            return Ok(());
        }
        let mut position = 0;
        while position < rows.len() {
            let ladder = &mut counted(cx.state(self.id)).ladder;
            let table = &mut ladder.table;
            let (end, refused) = self.keys.rows.find(position..rows.len(), rows, table, self.places);
            for at in position..end {
                let place = self.keys.rows.place(rows.nth(position), rows.nth(at), self.places);
                count(ladder, place, offset);
            }
            position = end;
            if let Some(refused) = refused {
                self.make_room(refused, cx)?;
            }
        }
        Ok(())
    }

    /// Has the rows go to files, or others give memory back where these hold none.
    fn make_room(&self, refused: AllocError, cx: &mut Context<'_>) -> Result<(), Error<'a>> {
        let disk = cx.disk(self.name);
        match counted(cx.state(self.id)).ladder.flush(&states(), refused, &disk) {
            Err(LadderError::TooLarge(..) | LadderError::Spill(SpillFailure::OutOfMemory(_)))
                if cx.relieve(Some(self.id), 1)? =>
            {
                Ok(())
            }
            outcome => outcome.map_err(failed),
        }
    }

    pub(crate) fn finish(&mut self, cx: &mut Context<'_>) -> Result<bool, Error<'a>> {
        if self.is_right {
            let disk = cx.disk(self.name);
            let ladder = &mut counted(cx.state(self.id)).ladder;
            ladder.complete(&states(), disk.is_cancelled).map_err(failed)?;
        }
        Ok(true)
    }
}

/// Whether all of the row at a place was given, and not only some of those that are equal to it.
fn is_whole(from: Option<(Place, u64)>) -> bool {
    from.is_none_or(|(_, left)| left == 0)
}

fn count(ladder: &mut Ladder, place: Place, offset: usize) {
    let state = ladder.table.state_mut(place, offset);
    let count = read(state, 0) + 1;
    state[..COUNT_BYTES].copy_from_slice(&count.to_le_bytes());
}

fn read(states: &[u8], offset: usize) -> u64 {
    let mut count = [0; COUNT_BYTES];
    count.copy_from_slice(&states[offset..offset + COUNT_BYTES]);
    u64::from_le_bytes(count)
}

/// Hands out the rows of the operation.
#[derive(Debug)]
pub(crate) struct SetSource<'a> {
    id: OperatorId,
    name: &'a str,
    kind: SetOperationKind,
    all: bool,
    shape: KeyShape<'a>,
    columns: &'a [VectorId],
    /// The rows of a batch.
    places: &'a mut [u64],
    /// What they have together, but for the last one.
    batch_bytes_max: u64,
}

#[derive(Clone, Copy, Debug)]
enum At {
    /// The row at a place so many times more, then those behind it; or from the first on.
    Rows(Option<(Place, u64)>),
    File,
    Loading,
    End,
}

impl<'a> SetSource<'a> {
    pub(crate) fn open(
        kind: SetOperationKind,
        all: bool,
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
    ) -> Result<(SetSource<'a>, &'a [VectorId]), Error<'a>> {
        let arena: &'a Arena = opening.arena;
        let columns = opening.add_columns(store)?;
        let types = opening.operator().columns.iter().map(|column| column.ty);
        let source = SetSource {
            id: opening.id,
            name: opening.budget().name(),
            kind,
            all,
            shape: KeyShape::new(types, false, arena)?,
            columns,
            places: arena.alloc_slice_fill(store.capacity, 0)?,
            batch_bytes_max: batch_bytes_max(arena.budget().limit_on_path()),
        };
        Ok((source, columns))
    }

    /// How often a row is given.
    fn times(&self, states: &[u8]) -> u64 {
        let (left, right) = (read(states, 0), read(states, COUNT_BYTES));
        match (self.kind, self.all) {
            (SetOperationKind::Intersect, true) => left.min(right),
            (SetOperationKind::Intersect, false) => u64::from(left > 0 && right > 0),
            (SetOperationKind::Except, true) => left.saturating_sub(right),
            (SetOperationKind::Except, false) => u64::from(left > 0 && right == 0),
        }
    }

    pub(crate) fn next(&mut self, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<Output, Error<'a>> {
        let disk = cx.disk(self.name);
        let Counted { ladder, handed_out } = counted(cx.state(self.id));
        let mut output = Output::Again;
        let next = match *handed_out.get_or_insert(At::Rows(None)) {
            At::End => return Ok(Output::End),
            At::Rows(from) => match self.pick(from, ladder, store.capacity) {
                (0, _) if ladder.has_files() => At::File,
                (0, _) => At::End,
                (count, next) => {
                    let (next, given) = self.give(from, (count, next), ladder, store, &disk)?;
                    output = given;
                    next
                }
            },
            At::File => match ladder.next_file(disk.is_cancelled).map_err(failed)? {
                true => At::Loading,
                false => At::End,
            },
            At::Loading => match ladder.load(&states(), &disk).map_err(failed)? {
                true => At::Rows(None),
                false => At::Loading,
            },
        };
        *handed_out = Some(next);
        let counts = ladder.counts();
        let counters = cx.counters(self.id);
        counters.spilled_bytes = counts.bytes;
        counters.spilled_files = counts.files;
        counters.partitions_spilled = counts.files;
        counters.partitions_parted = counts.parted;
        Ok(output)
    }

    /// Finds the next rows, and gives how many there are and where to go on.
    fn pick(&mut self, from: Option<(Place, u64)>, ladder: &Ladder, capacity: usize) -> (usize, At) {
        let (mut count, mut bytes) = (0, 0);
        let mut current = from;
        loop {
            let (place, left) = match current {
                Some((place, left)) if left > 0 => (place, left),
                before => match ladder.table.next(before.map(|(place, _)| place)) {
                    Some(place) => (place, self.times(ladder.table.row(place).states)),
                    None => break,
                },
            };
            let mut now = usize::try_from(left).unwrap_or(usize::MAX).min(capacity - count);
            if now > 0 {
                let row_bytes = ladder.table.row(place).key.len() as u64;
                let affordable = (self.batch_bytes_max - bytes).div_ceil(row_bytes.max(1));
                now = now.min(usize::try_from(affordable).unwrap_or(usize::MAX));
                bytes = (bytes + row_bytes.saturating_mul(now as u64)).min(self.batch_bytes_max);
            }
            self.places[count..count + now].fill(place.bits());
            count += now;
            current = Some((place, left - now as u64));
            if count == capacity || bytes == self.batch_bytes_max {
                break;
            }
        }
        (count, At::Rows(current))
    }

    /// Writes the rows that were found behind `from`, and gives what comes `next`; fewer, where there is no room for all.
    fn give(
        &mut self,
        from: Option<(Place, u64)>,
        (mut count, mut next): (usize, At),
        ladder: &mut Ladder,
        store: &mut Store<'a>,
        disk: &Disk<'_>,
    ) -> Result<(At, Output), Error<'a>> {
        while let Err(refused) = self.write(count, ladder, store) {
            if count > 1 {
                (count, next) = self.pick(from, ladder, count / 2);
                continue;
            }
            // A row that was given in part is written with all its counts: there is no way to give the rest later.
            if !is_whole(from) {
                return Err(refused.into());
            }
            let given = from.map(|(place, _)| place);
            ladder.flush_behind(given, &states(), refused, disk).map_err(failed)?;
            return Ok((At::File, Output::Again));
        }
        Ok((next, Output::Batch(BatchRows::all(count))))
    }

    fn write(&self, count: usize, ladder: &Ladder, store: &mut Store<'a>) -> Result<(), AllocError> {
        let row = |bits: &u64| ladder.table.row(Place::from_bits(*bits).expect("a row was found"));
        let rows = self.places[..count].iter().map(row);
        for (column, &target) in self.columns.iter().enumerate() {
            self.shape.decode(column, rows.clone(), target, store)?;
        }
        Ok(())
    }
}
