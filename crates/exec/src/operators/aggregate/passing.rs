//! Groups of rows that come together: they are handed out while rows still come.
//!
//! ```text
//! batch         a a b b | c c           where the columns that decide change last
//! before it     with the groups that are held: whole, so all of them are handed out, and everything begins anew
//! behind it     the begin of a group whose other rows are still to come
//! ```
//!
//! What fills the groups and hands them out is the sink and the source of any aggregate, one after the other, again and again. So
//! groups that do not fit have the same ladder, and each new begin is in memory again. Where few groups are whole, they wait for more,
//! so that batches are not small.
//!
//! **Ladder**: that of the sink. **Peak bytes**: the groups of a batch or two, or those of the rows that are equal in the columns that decide.

use cofferdam_arena::AllocError;
use cofferdam_arena::collections::Vec;
use cofferdam_plan::physical::{HashAggregate, OperatorId};

use super::partitions::PartitionCounts;
use super::roles::work;
use super::source::{Given, GroupsSource};
use super::{Groups, GroupsSink};
use crate::batch::{BatchRows, Rows, SelectionId, Store, VectorId};
use crate::canonical::ComparedColumns;
use crate::error::Error;
use crate::operators::State;
use crate::pipeline::{Context, Opening, Output, Passed};
use crate::rows::{RowEncoder, RowLayout};

/// Rows at the end of a batch that are looked at first.
const TAIL_ROWS: usize = 32;
/// What is held may wait for more until it has so many bytes, or a part of the limit.
const HELD_BYTES_MAX: u64 = 256 << 10;
const HELD_SHARE: u64 = 32;

/// Groups rows that come together, and aggregates each group.
#[derive(Debug)]
pub(crate) struct AggregateStep<'a> {
    id: OperatorId,
    name: &'a str,
    sink: GroupsSink<'a>,
    source: GroupsSource<'a>,
    changes: Changes<'a>,
    /// The rows of the batch before the last change, and behind it.
    before: SelectionId,
    behind: SelectionId,
    /// Those behind it, while groups are handed out.
    waiting: Option<BatchRows>,
    stage: Stage,
    /// What is held does not wait for more when it has so many bytes.
    enough_bytes: u64,
    /// What was done on disk for groups that are gone.
    spilled: PartitionCounts,
}

/// What is done with the groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Filling,
    Completing,
    Giving,
}

/// Where the columns that decide change.
#[derive(Debug)]
struct Changes<'a> {
    columns: ComparedColumns<'a>,
    layout: RowLayout<'a>,
    encoder: RowEncoder<'a>,
    /// Their values in the last row, if there was one.
    last: Vec<'a, u8>,
    has_last: bool,
    next: Vec<'a, u8>,
    tail: SelectionId,
}

impl<'a> AggregateStep<'a> {
    /// Gives the columns of the groups as well.
    pub(crate) fn open(
        plan: &HashAggregate<'a>,
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<(AggregateStep<'a>, &'a [VectorId]), Error<'a>> {
        let (id, name, arena) = (opening.id, opening.budget().name(), opening.arena);
        let input = opening.columns_of(plan.input);
        let types = opening.operators[plan.input.index()].columns;
        let column = |&column: &u32| (input[column as usize], types[column as usize].ty);
        let columns = ComparedColumns::open(plan.together.iter().map(column), store, arena)?;
        let layout = RowLayout::keys(columns.columns.iter().map(|&id| store.vector(id).kind()), arena)?;
        let changes = Changes {
            columns,
            layout,
            encoder: RowEncoder::new(arena),
            last: Vec::new_in(arena),
            has_last: false,
            next: Vec::new_in(arena),
            tail: store.add_selection(arena)?,
        };
        let (sink, groups) = GroupsSink::open(plan, input, store, arena, &cx.disk(name))?;
        *cx.state(id) = State::Groups(groups);
        let columns = opening.add_columns(store)?;
        let source = GroupsSource::open(plan, columns, store, arena)?;
        let (before, behind) = (store.add_selection(arena)?, store.add_selection(arena)?);
        let (waiting, stage, spilled) = (None, Stage::Filling, PartitionCounts::default());
        let enough_bytes = HELD_BYTES_MAX.min(opening.budget().limit_on_path() / HELD_SHARE);
        let step = AggregateStep {
            id,
            name,
            sink,
            source,
            changes,
            before,
            behind,
            waiting,
            stage,
            enough_bytes,
            spilled,
        };
        Ok((step, columns))
    }

    pub(crate) fn push(
        &mut self,
        batch: BatchRows,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<Passed, Error<'a>> {
        debug_assert!(self.stage == Stage::Filling);
        let (start, is_change) = loop {
            match self.changes.find_last(batch, store) {
                Ok(found) => break found,
                Err(refused) if !cx.relieve(None, 1)? => return Err(refused.into()),
                Err(_) => {}
            }
        };
        let (groups, bytes) = match cx.state(self.id) {
            State::Groups(groups) => groups.held(),
            _ => (0, 0),
        };
        let is_enough = groups + start >= (store.capacity / 4).max(1) || bytes >= self.enough_bytes;
        if !(is_change && is_enough) {
            self.take(batch, store, cx)?;
            return Ok(Passed::Nothing);
        }
        let end = store.rows(batch).len();
        if start > 0 {
            let before = part(batch, 0..start, self.before, store);
            self.take(before, store, cx)?;
        }
        self.waiting = Some(part(batch, start..end, self.behind, store));
        self.stage = Stage::Completing;
        Ok(Passed::Again)
    }

    /// Goes on to hand out groups; behind the last one the rest of the batch is taken.
    pub(crate) fn more(&mut self, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<Passed, Error<'a>> {
        Ok(match self.give(store, cx)? {
            Output::Batch(rows) => Passed::More(rows),
            Output::End => {
                self.stage = Stage::Filling;
                if let Some(rest) = self.waiting.take() {
                    self.take(rest, store, cx)?;
                }
                Passed::Nothing
            }
            _ => Passed::Again,
        })
    }

    /// After the last batch: the groups that are held.
    pub(crate) fn finish(
        &mut self,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<Output, Error<'a>> {
        if self.stage == Stage::Filling {
            self.stage = Stage::Completing;
        }
        let output = self.give(store, cx)?;
        if output == Output::End {
            *cx.state(self.id) = State::Empty;
        }
        Ok(output)
    }

    fn take(
        &mut self,
        rows: BatchRows,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<(), Error<'a>> {
        let AggregateStep { id, name, sink, .. } = self;
        work((*id, name), cx, |groups, disk| {
            sink.take(rows, groups, store, disk).map_err(|error| sink.states().blamed(error, groups))
        })
    }

    /// The next groups, all of which are whole; at the end everything is ready for others.
    fn give(&mut self, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<Output, Error<'a>> {
        let AggregateStep { id, name, sink, source, stage, .. } = self;
        if *stage == Stage::Completing {
            let is_complete = work((*id, name), cx, |groups, disk| {
                sink.finish(groups, store, disk).map_err(|error| sink.states().blamed(error, groups))
            })?;
            if is_complete {
                *stage = Stage::Giving;
            }
            return Ok(Output::Again);
        }
        let (given, counts) = work((*id, name), cx, |groups, disk| {
            let given = source.next(groups, store, disk);
            let given = given.map_err(|error| source.states().blamed(error, groups))?;
            let counts = groups.counts();
            if given == Given::End {
                sink.begin_again(groups, disk)?;
            }
            Ok((given, counts))
        })?;
        let counts = self.spilled.and(counts);
        cx.counters(self.id).note_partitions(counts);
        Ok(match given {
            Given::Groups(count) => Output::Batch(BatchRows::all(count)),
            Given::Nothing => Output::Again,
            Given::End => {
                self.spilled = counts;
                Output::End
            }
        })
    }
}

impl Changes<'_> {
    /// The first of the rows at the end of a batch that are equal in the columns that decide, and whether a row before it, of this batch or
    /// the last one, is another. May be done again after a refusal.
    fn find_last(&mut self, batch: BatchRows, store: &mut Store<'_>) -> Result<(usize, bool), AllocError> {
        self.columns.run(batch, store)?;
        let count = store.rows(batch).len();
        let mut first = count.saturating_sub(TAIL_ROWS);
        let found = loop {
            let tail = part(batch, first..count, self.tail, store);
            self.encoder.encode(&self.layout, self.columns.columns, store.rows(tail), store)?;
            let row = |at: usize| self.encoder.row(at - first);
            match (first + 1..count).rev().find(|&at| row(at) != row(at - 1)) {
                Some(at) => break (at, true),
                None if first > 0 => first = 0,
                None => break (0, self.has_last && self.last[..] != *row(0)),
            }
        };
        self.next.clear();
        self.next.extend_from_slice(self.encoder.row(count - 1 - first))?;
        core::mem::swap(&mut self.last, &mut self.next);
        self.has_last = true;
        Ok(found)
    }
}

/// Some of the rows of a batch, by position among them.
fn part(
    batch: BatchRows,
    positions: core::ops::Range<usize>,
    id: SelectionId,
    store: &mut Store<'_>,
) -> BatchRows {
    if batch.selection.is_none() && positions.start == 0 {
        return BatchRows::all(positions.end);
    }
    let mut selection = store.take_selection(id);
    selection.count = positions.len();
    match store.rows(batch) {
        Rows::All(_) => {
            selection.rows.iter_mut().zip(positions).for_each(|(to, row)| *to = row as u16);
        }
        Rows::Some(rows) => selection.rows[..selection.count].copy_from_slice(&rows[positions]),
    }
    store.put_selection_back(id, selection);
    BatchRows { count: batch.count, selection: Some(id) }
}

impl PartitionCounts {
    /// These and others.
    fn and(self, more: PartitionCounts) -> PartitionCounts {
        PartitionCounts {
            files: self.files + more.files,
            parted: self.parted + more.parted,
            bytes: self.bytes + more.bytes,
        }
    }
}

impl Groups {
    /// How many groups there are, and what all that is kept for them takes.
    fn held(&self) -> (usize, u64) {
        let dedups: usize = self.dedups.iter().map(super::dedup::Dedup::table_bytes).sum();
        let sorters: u64 = self.sorters.iter().map(crate::sorter::Sorter::held_bytes).sum();
        (self.ladder.table.len(), (self.ladder.table.held_bytes() + dedups) as u64 + sorters)
    }
}
