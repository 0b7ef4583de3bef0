//! Grouping: rows to groups, and what each group's aggregates are.
//!
//! ```text
//! batch ──> keys of a grouping set ──> groups (table) ──> states of one aggregate after the other
//!      └──> arguments, filters ──┬─────────────────────────┘
//!                                ├─ DISTINCT: what its group has not met (`dedup`) ──────┘
//!                                └─ ORDER BY: sorted by group and order (`ordered`) ─────┘   behind the last row
//! ```
//!
//! A batch is grouped as a whole: its keys are encoded and hashed column by column, then each row's group is found, then each
//! aggregate takes all rows. With several grouping sets that is done for each of them; a key has the number of its set,
//! and NULL where the set lacks a column.
//!
//! | file | holds |
//! |---|---|
//! | `keys` | keys of rows as bytes, and back |
//! | `table`, `pages` | the groups |
//! | `few` | the rows of each group, where groups are few |
//! | `ladder`, `partitions` | groups on disk |
//! | `dedup` | keys that pass once |
//! | `ordered` | aggregates that take rows in an order |
//! | `choose` | percentiles and the mode |
//! | `select` | percentiles of all rows |
//! | `source` | groups as rows |
//! | `passing` | groups of rows that come together, handed out as rows come |
//! | `roles` | what pipelines ask |
//!
//! The states are in [`super::state`].
//!
//! **Ladder**: that of [`ladder`], of [`dedup`], and of sorting. Who is refused memory makes the largest of them go to disk.
//!
//! **Peak bytes**: what is granted; the least is a batch's vectors and what writing to disk takes.

mod choose;
pub(crate) mod dedup;
mod few;
pub(crate) mod keys;
pub(crate) mod ladder;
mod ordered;
pub(crate) mod pages;
pub(crate) mod partitions;
mod passing;
mod roles;
mod select;
mod source;
pub(crate) mod table;
#[cfg(test)]
mod tests;

use core::fmt::Write as _;
use core::ops::Range;

use allocator_api2::vec::Vec as OwnedVec;
use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena, Budget, BudgetAlloc, Growing, InlineText};
use cofferdam_plan::Span;
use cofferdam_plan::physical::{Aggregate as PlanAggregate, AggregateFunction, HashAggregate};
use cofferdam_types::Type;

use self::dedup::{Dedup, Drained, Passing};
use self::few::FewGroups;
use self::keys::{KeyShape, Keys, RowKeys};
use self::ladder::{Ladder, LadderError};
use self::ordered::{OrderedInput, SortedRows};
use self::partitions::{PartitionCounts, Partitions};
use self::select::{Selected, Selector};
use self::source::At;
use self::table::hash_of;
use super::state::cells::{Places, Taken};
use super::state::{State, StateError, Stopped};
use crate::batch::{BatchRows, Kind, Rows, SelectionId, Store, VectorId};
use crate::canonical::Canonical;
use crate::error::Error;
use crate::expr::{Program, Registers, compile};
use crate::operators::filter::Conjuncts;
use crate::rows::{RowEncoder, RowLayout};
use crate::sorter::Sorter;
use crate::spill::{IsCancelled, SpillFailure, SpillSpace};

pub(crate) use self::passing::AggregateStep;
pub(crate) use self::roles::{AggregateSink, AggregateSource};

/// What operators that go to disk have at hand.
#[derive(Clone, Copy)]
pub(crate) struct Disk<'d> {
    /// Where files are made, if anywhere.
    pub(crate) space: Option<&'d SpillSpace>,
    /// The operator's name, for the list of files.
    pub(crate) name: &'d str,
    /// How many structures of the operator go to disk, each in files of its own.
    pub(crate) share: u64,
    pub(crate) is_cancelled: IsCancelled<'d>,
    /// Has another operator that holds at least so many bytes give memory back; false if none does.
    pub(crate) others: Option<&'d dyn Fn(u64) -> bool>,
}

/// The groups of an aggregate.
#[derive(Debug)]
pub(crate) struct Groups {
    ladder: Ladder,
    /// What the groups' states are, for whoever has them written.
    states: OwnedVec<State, BudgetAlloc>,
    /// How far they are handed out, if they are.
    handed_out: Option<At>,
    /// Of the aggregates that take distinct arguments, in their order.
    dedups: OwnedVec<Dedup, BudgetAlloc>,
    /// Of those that take rows in an order.
    sorters: OwnedVec<Sorter, BudgetAlloc>,
    /// Of those that choose from all rows.
    selectors: OwnedVec<Selector, BudgetAlloc>,
    scratch: Growing<u8>,
}

/// Among so many groups the one is looked for whose value takes most of the memory.
const BLAMED_GROUPS_MAX: usize = 1024;

/// The states of a plan's aggregates, and where they stand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct States<'a> {
    list: &'a [State],
    spans: &'a [Span],
    bytes: usize,
}

impl<'a> States<'a> {
    fn of(aggregates: &[PlanAggregate<'a>], arena: &'a Arena) -> Result<States<'a>, AllocError> {
        let mut list = Vec::with_capacity_in(aggregates.len(), arena)?;
        let mut bytes = 0;
        for aggregate in aggregates {
            let mut args = [Type::Unknown; 2];
            for (ty, arg) in args.iter_mut().zip(aggregate.args) {
                *ty = arg.ty;
            }
            let state = State::new(aggregate.function, &args, aggregate.ty, bytes);
            bytes += state.bytes();
            list.push(state)?;
        }
        let spans = arena.alloc_slice_from_iter(aggregates.iter().map(|aggregate| aggregate.span))?;
        Ok(States { list: list.into_slice(), spans, bytes })
    }

    /// Makes room for what was refused; other errors are the statement's.
    fn make_room<'e>(&self, error: Error<'e>, groups: &mut Groups, disk: &Disk<'_>) -> Result<(), Error<'e>> {
        let Some(refused) = error.refusal() else { return Err(error) };
        groups.make_room(self.list, refused, disk).map_err(|failure| match failure {
            // What was refused first knows more.
            LadderError::TooLarge(_) | LadderError::Spill(SpillFailure::OutOfMemory(_)) => error,
            failure => self.error(failure),
        })
    }

    fn error<'e>(&self, error: LadderError) -> Error<'e> {
        error.into_error(|state| self.spans.get(state).copied().unwrap_or_default())
    }

    /// The error of the statement, which says so where memory was refused and one group's value has a large part of it.
    fn blamed<'e>(&self, error: Error<'e>, groups: &Groups) -> Error<'e> {
        let Error::OutOfMemory(_) = error else { return error };
        let table = &groups.ladder.table;
        let (mut next, mut most) = (table.next(None), (0, 0));
        for _ in 0..BLAMED_GROUPS_MAX {
            let Some(place) = next else { break };
            let row = table.row(place);
            for (number, state) in self.list.iter().enumerate() {
                let bytes = state.blobs(row.states, table.blobs()).map(<[u8]>::len).sum();
                most = most.max((bytes, number));
            }
            next = table.next(next);
        }
        let (bytes, number) = most;
        let Some(state) = self.list.get(number) else { return error };
        let span = self.spans.get(number).copied().unwrap_or_default();
        error.for_value(state.function().name(), bytes, span, groups.scratch.budget())
    }
}

impl Groups {
    fn new(
        states: &States<'_>,
        dedups: usize,
        inputs: &[Input<'_>],
        budget: &Budget,
        disk: &Disk<'_>,
    ) -> Result<Groups, AllocError> {
        let mut sorters = OwnedVec::new_in(BudgetAlloc::new(budget));
        let mut selectors = OwnedVec::new_in(BudgetAlloc::new(budget));
        let sorts = inputs.iter().filter(|input| input.ordered.is_some() || input.selected.is_some());
        // None of them may take what the others need to go to disk.
        let share = budget.limit_on_path() / (1 + sorts.clone().count() as u64);
        for (number, input) in sorts.enumerate() {
            let mut label: InlineText<16> = InlineText::EMPTY;
            // A name that does not fit is cut, which is no error.
            let _ = write!(label, "order_{number}");
            let budget = budget.child(label.as_str(), share)?;
            if let Some(ordered) = &input.ordered {
                sorters.try_reserve_exact(1).map_err(|_| AllocError)?;
                sorters.push(ordered.sorter(&budget, disk));
            } else {
                selectors.try_reserve_exact(1).map_err(|_| AllocError)?;
                selectors.push(Selector::new(&budget));
            }
        }
        let mut list = OwnedVec::new_in(BudgetAlloc::new(budget));
        list.try_reserve_exact(dedups).map_err(|_| AllocError)?;
        for _ in 0..dedups {
            list.push(Dedup::new(budget));
        }
        let mut kept = OwnedVec::new_in(BudgetAlloc::new(budget));
        kept.try_reserve_exact(states.list.len()).map_err(|_| AllocError)?;
        kept.extend(states.list.iter().copied());
        Ok(Groups {
            ladder: Ladder::new(budget, states.bytes),
            states: kept,
            handed_out: None,
            dedups: list,
            sorters,
            selectors,
            scratch: Growing::new(budget),
        })
    }

    /// What was done on disk.
    pub(crate) fn counts(&self) -> PartitionCounts {
        let selections = self.selectors.iter().map(Selector::spilled);
        let sorts = self.sorters.iter().map(Sorter::spilled).chain(selections).map(|counts| {
            PartitionCounts { files: counts.files_total, parted: 0, bytes: counts.bytes_total }
        });
        let dedups = self.dedups.iter().map(Dedup::counts);
        dedups.chain(sorts).fold(self.ladder.counts(), |all, more| PartitionCounts {
            files: all.files + more.files,
            parted: all.parted + more.parted,
            bytes: all.bytes + more.bytes,
        })
    }

    /// How many bytes [`Groups::yield_memory`] gives back: those of its largest part.
    pub(crate) fn yieldable_bytes(&self) -> u64 {
        match self.handed_out {
            None => {}
            Some(At::Groups(_)) => return self.ladder.yieldable_behind_bytes(),
            Some(_) => return 0,
        }
        let dedups = self.dedups.iter().map(Dedup::yieldable_bytes);
        let sorters = self.sorters.iter().map(Sorter::yieldable_bytes);
        dedups.chain(sorters).fold(self.ladder.yieldable_bytes(), u64::max)
    }

    /// Writes all groups to files, or the distinct or ordered arguments of one aggregate if these are more; of groups that are handed out,
    /// those that are still to come. False if there are none.
    pub(crate) fn yield_memory<'e>(&mut self, is_cancelled: IsCancelled<'_>) -> Result<bool, Error<'e>> {
        let most = self.yieldable_bytes();
        if most == 0 {
            return Ok(false);
        }
        if let Some(At::Groups(given)) = self.handed_out {
            self.ladder.yield_behind(given, &self.states, is_cancelled)?;
            self.handed_out = Some(At::File);
            return Ok(true);
        }
        if let Some(dedup) = self.dedups.iter_mut().find(|dedup| dedup.yieldable_bytes() == most) {
            return Ok(dedup.yield_memory(is_cancelled)?);
        }
        if let Some(sorter) = self.sorters.iter_mut().find(|sorter| sorter.yieldable_bytes() == most) {
            return Ok(sorter.spill(is_cancelled)?);
        }
        self.ladder.yield_all(&self.states, is_cancelled)?;
        Ok(true)
    }

    /// Whether they are handed out: whoever needs room for a batch does not have them go to files because of it.
    pub(crate) const fn is_handed_out(&self) -> bool {
        self.handed_out.is_some()
    }

    /// Takes what writing takes, for all of them together, once they hold a part of the memory.
    fn prepare(&mut self, disk: &Disk<'_>) {
        if self.ladder.is_prepared() || disk.space.is_none() {
            return;
        }
        let dedup_bytes = self.dedups.iter().map(Dedup::table_bytes).sum::<usize>();
        let held_bytes = (self.ladder.table.charged_bytes() + dedup_bytes) as u64;
        if held_bytes >= Partitions::held_bytes_before(self.scratch.budget(), disk.share) {
            self.ladder.prepare(disk);
            for dedup in &mut self.dedups {
                dedup.prepare(disk);
            }
        }
    }

    /// Makes the largest holder go to disk, or asks others where there is none.
    fn make_room(
        &mut self,
        states: &[State],
        refused: AllocError,
        disk: &Disk<'_>,
    ) -> Result<(), LadderError> {
        match (self.make_own_room(states, refused, disk), disk.others) {
            (
                Err(LadderError::TooLarge(..) | LadderError::Spill(SpillFailure::OutOfMemory(_))),
                Some(ask),
            ) if ask(1) => Ok(()),
            (outcome, _) => outcome,
        }
    }

    fn make_own_room(
        &mut self,
        states: &[State],
        refused: AllocError,
        disk: &Disk<'_>,
    ) -> Result<(), LadderError> {
        let table_bytes = self.ladder.table.charged_bytes();
        let others = self.dedups.iter().map(Dedup::table_bytes).max().unwrap_or(0).max(table_bytes) as u64;
        if let Some(sorter) = self.sorters.iter_mut().max_by_key(|sorter| sorter.held_bytes())
            && sorter.held_bytes() > others
            && sorter.spill(disk.is_cancelled)?
        {
            return Ok(());
        }
        if let Some(selector) = self.selectors.iter_mut().max_by_key(|selector| selector.held_bytes())
            && selector.held_bytes() > others
            && selector.spill(disk)?
        {
            return Ok(());
        }
        let largest = self.dedups.iter_mut().max_by_key(|dedup| dedup.table_bytes());
        match largest {
            Some(dedup) if dedup.table_bytes() > table_bytes => Ok(dedup.evict(refused, disk)?),
            _ => self.ladder.flush(states, refused, disk),
        }
    }
}

/// Groups rows and aggregates each group.
#[derive(Debug)]
pub(crate) struct GroupsSink<'a> {
    keys: Keys<'a>,
    states: States<'a>,
    inputs: Vec<'a, Input<'a>>,
    few: Option<FewGroups<'a>>,
    /// The group of each row of the batch.
    places: &'a mut [u64],
    /// What is still to be done with the rows of a batch.
    tasks: Vec<'a, Task>,
    /// Which aggregate takes what has waited or is sorted, behind the last row.
    draining: usize,
    is_sorting: bool,
}

/// The aggregates from one on are still to take the rows at some positions.
#[derive(Clone, Copy, Debug)]
struct Task {
    start: usize,
    end: usize,
    first: usize,
}

/// How many structures there are that aggregates share an operator with.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    dedups: usize,
    sorts: usize,
    selects: usize,
    /// Whether there can be more than one group.
    has_groups: bool,
}

/// What an aggregate takes of the rows of the batch.
#[derive(Debug)]
struct Input<'a> {
    args: Vec<'a, Program<'a>>,
    columns: &'a [VectorId],
    filter: Option<Conjuncts<'a>>,
    /// The rows of the batch that pass the filter.
    rows: BatchRows,
    distinct: Option<DistinctInput<'a>>,
    ordered: Option<OrderedInput<'a>>,
    selected: Option<SelectedInput<'a>>,
    /// Of rows that are taken in order: how they come back.
    sorted: Option<SortedRows<'a>>,
    /// The rows of a batch that count, of those.
    selection: Option<SelectionId>,
}

/// The values that one is chosen from, of all rows.
#[derive(Debug)]
struct SelectedInput<'a> {
    /// Which of the selectors.
    index: usize,
    selected: Selected<'a>,
    value: Program<'a>,
}

/// The arguments of an aggregate that takes each once.
#[derive(Debug)]
struct DistinctInput<'a> {
    /// Which of the dedups.
    index: usize,
    canonicals: Vec<'a, Canonical>,
    key_columns: &'a [VectorId],
    key_layout: RowLayout<'a>,
    key_encoder: RowEncoder<'a>,
    /// The arguments themselves, for those that wait.
    layout: RowLayout<'a>,
    encoder: RowEncoder<'a>,
    /// The rows of the batch that pass.
    selection: SelectionId,
    scratch: Vec<'a, u8>,
    /// What has waited, to be taken.
    waited: Waited<'a>,
}

/// Rows that have waited: their keys, and their arguments in columns.
#[derive(Debug)]
struct Waited<'a> {
    columns: &'a [VectorId],
    keys: RowKeys<'a>,
    args: Vec<'a, u8>,
    /// Where the arguments of each row begin, and where the last ones end.
    starts: Vec<'a, usize>,
}

impl<'a> GroupsSink<'a> {
    /// The sink, and the groups that it fills.
    pub(crate) fn open(
        plan: &HashAggregate<'a>,
        columns: &[VectorId],
        store: &mut Store<'a>,
        arena: &'a Arena,
        disk: &Disk<'_>,
    ) -> Result<(GroupsSink<'a>, Groups), Error<'a>> {
        let mut registers = Registers::new(arena);
        let keys = Keys::open(plan, columns, store, &mut registers, arena)?;
        let states = States::of(plan.aggregates, arena)?;
        let mut inputs = Vec::with_capacity_in(plan.aggregates.len(), arena)?;
        let mut counts = Counts { has_groups: keys.shape.has_groups(), ..Counts::default() };
        for (aggregate, state) in plan.aggregates.iter().zip(states.list) {
            let input = Input::open(aggregate, state, columns, &mut counts, store, &mut registers, arena)?;
            inputs.push(input)?;
        }
        let is_plain = |(input, state): (&Input<'_>, &State)| input.is_plain() && state.is_plain();
        let few = match inputs.iter().zip(states.list).all(is_plain) {
            true => FewGroups::open(&keys, store, arena)?,
            false => None,
        };
        let groups = Groups::new(&states, counts.dedups, &inputs, arena.budget(), disk)?;
        let tasks = Vec::with_capacity_in(2 * (inputs.len() + 2), arena)?;
        let places = arena.alloc_slice_fill(store.capacity, 0)?;
        let (draining, is_sorting) = (0, false);
        Ok((GroupsSink { keys, states, inputs, few, places, tasks, draining, is_sorting }, groups))
    }

    /// Adds the rows of a batch to their groups.
    pub(crate) fn take(
        &mut self,
        batch: BatchRows,
        groups: &mut Groups,
        store: &mut Store<'a>,
        disk: &Disk<'_>,
    ) -> Result<(), Error<'a>> {
        let disk = &Disk {
            share: 1 + (groups.dedups.len() + groups.sorters.len() + groups.selectors.len()) as u64,
            ..*disk
        };
        let states = self.states;
        while let Err(error) = self.compute(batch, store) {
            states.make_room(error, groups, disk)?;
        }
        if let Some(few) = &mut self.few
            && few.find(batch, &groups.ladder.table, store)
        {
            return self.take_few(batch, groups, store);
        }
        for set in 0..self.keys.sets_count() {
            groups.prepare(disk);
            while let Err(refused) = self.keys.encode(set, batch, store) {
                states.make_room(refused.into(), groups, disk)?;
            }
            for input in self.inputs.iter_mut() {
                input.keep_new(batch, &self.keys.rows, &states, groups, store, disk)?;
                input.sort(batch, &self.keys.rows, &states, groups, store, disk)?;
                input.select(&states, groups, store, disk)?;
            }
            let GroupsSink { keys, states, inputs, places, tasks, .. } = self;
            let work = Work { keys: &keys.rows, states, inputs, only: None, places, tasks };
            let releases = groups.ladder.table.releases();
            work.absorb(store.rows(batch), groups, store, disk).map_err(|error| states.error(error))?;
            if let Some(few) = &mut self.few
                && releases == groups.ladder.table.releases()
            {
                few.learn(batch, self.places, releases, store);
            }
        }
        Ok(())
    }

    /// Lets each aggregate take the rows of one group after the other.
    fn take_few(
        &mut self,
        batch: BatchRows,
        groups: &mut Groups,
        store: &Store<'a>,
    ) -> Result<(), Error<'a>> {
        let GroupsSink { states, inputs, few: Some(few), .. } = self else { return Ok(()) };
        let Groups { ladder, scratch, .. } = groups;
        for (index, (state, input)) in states.list.iter().zip(inputs.iter()).enumerate() {
            for (place, taken) in few.rows_by_group(batch) {
                let done =
                    state.update(&mut ladder.table, Places::One(place), taken, input.columns, store, scratch);
                if let Err(Stopped { error, .. }) = done {
                    return Err(states.error(LadderError::State(index, error)));
                }
            }
        }
        Ok(())
    }

    /// The states that it fills.
    const fn states(&self) -> &States<'a> {
        &self.states
    }

    /// Computes keys and arguments for the rows of a batch; may be done again.
    fn compute(&mut self, batch: BatchRows, store: &mut Store<'a>) -> Result<(), Error<'a>> {
        self.keys.run(batch, store)?;
        self.inputs.iter_mut().try_for_each(|input| input.run(batch, store))
    }

    /// After the last batch; is called until it gives true.
    pub(crate) fn finish(
        &mut self,
        groups: &mut Groups,
        store: &mut Store<'a>,
        disk: &Disk<'_>,
    ) -> Result<bool, Error<'a>> {
        let disk = &Disk {
            share: 1 + (groups.dedups.len() + groups.sorters.len() + groups.selectors.len()) as u64,
            ..*disk
        };
        if self.draining < self.inputs.len() {
            let is_drained = self.drain(self.draining, groups, store, disk)?
                && self.take_sorted(self.draining, groups, store, disk)?;
            self.draining += usize::from(is_drained);
            return Ok(false);
        }
        // A set without keys has a group even of no rows.
        for set in 0..self.keys.sets_count() {
            if self.keys.is_empty_set(set) {
                self.keys.encode(set, BatchRows::all(1), store)?;
                let (hash, key, rest) = self.keys.rows.row(0);
                while let Err(refused) = groups.ladder.table.find_or_add(hash, key, rest) {
                    let room = groups.make_room(self.states.list, refused, disk);
                    room.map_err(|error| self.states.error(error))?;
                }
            }
        }
        groups.dedups.clear();
        let completed = groups.ladder.complete(self.states.list, disk.is_cancelled);
        completed.map_err(|error| self.states.error(error))?;
        Ok(true)
    }

    /// Forgets all groups, which were handed out, for others. None of the aggregates chooses.
    fn begin_again(&mut self, groups: &mut Groups, disk: &Disk<'_>) -> Result<(), AllocError> {
        debug_assert!(groups.selectors.is_empty());
        (self.draining, self.is_sorting) = (0, false);
        let budget = groups.scratch.budget();
        for input in self.inputs.iter() {
            if let Some(ordered) = &input.ordered {
                let sorter = &mut groups.sorters[ordered.index];
                let budget = sorter.budget().clone();
                *sorter = ordered.sorter(&budget, disk);
            }
            if input.distinct.is_some() {
                groups.dedups.try_reserve(1).map_err(|_| AllocError)?;
                groups.dedups.push(Dedup::new(budget));
            }
        }
        groups.ladder.begin_again();
        groups.handed_out = None;
        Ok(())
    }

    /// Lets an aggregate take sorted rows; gives whether there are no more.
    fn take_sorted(
        &mut self,
        index: usize,
        groups: &mut Groups,
        store: &mut Store<'a>,
        disk: &Disk<'_>,
    ) -> Result<bool, Error<'a>> {
        let Input { ordered: Some(ordered), sorted, selection, .. } = &mut self.inputs[index] else {
            return Ok(true);
        };
        let sort = ordered.index;
        if !self.is_sorting {
            groups.sorters[sort].finish(store.capacity, disk.is_cancelled)?;
            self.is_sorting = true;
        }
        // What is chosen is chosen when all groups are there.
        let (Some(sorted), Some(selection)) = (sorted, *selection) else {
            self.is_sorting = false;
            return Ok(true);
        };
        if groups.sorters[sort].advance(store.capacity, disk.is_cancelled)? == 0 {
            self.is_sorting = false;
            return Ok(true);
        }
        while let Err(refused) = sorted.decode(&groups.sorters[sort], store) {
            self.states.make_room(refused.into(), groups, disk)?;
        }
        let mut first = 0;
        loop {
            let Input { sorted: Some(sorted), .. } = &mut self.inputs[index] else { return Ok(true) };
            let (end, refused) = sorted.gather(first, selection, &self.keys.shape, store)?;
            let count = sorted.rows_count();
            let GroupsSink { states, inputs, places, tasks, .. } = self;
            if let Some(sorted) = &inputs[index].sorted {
                let rows = store.rows(BatchRows { count, selection: Some(selection) });
                let only = Some((index, sorted.columns));
                let work = Work { keys: &sorted.keys, states, inputs, only, places, tasks };
                work.absorb(rows, groups, store, disk).map_err(|error| states.error(error))?;
            }
            if end == count {
                return Ok(false);
            }
            if let Some(refused) = refused {
                self.states.make_room(refused.into(), groups, disk)?;
            }
            first = end;
        }
    }

    /// Lets an aggregate take arguments that have waited; gives whether there are no more.
    fn drain(
        &mut self,
        index: usize,
        groups: &mut Groups,
        store: &mut Store<'a>,
        disk: &Disk<'_>,
    ) -> Result<bool, Error<'a>> {
        let Some(distinct) = &mut self.inputs[index].distinct else { return Ok(true) };
        let waited = &mut distinct.waited;
        waited.clear()?;
        let dedup = &mut groups.dedups[distinct.index];
        let capacity = store.capacity;
        let drained = dedup.drain(disk.is_cancelled, |key, belongings| {
            waited.push(key, belongings, &self.keys.shape)?;
            Ok(waited.is_full(capacity))
        });
        let rows = waited.rows_count();
        let drained = drained?;
        if let (Drained::Refused(refused), 0) = (drained, rows) {
            self.states.make_room(refused.into(), groups, disk)?;
        }
        if rows > 0 {
            while let Err(refused) = distinct.waited.decode(&distinct.layout, store) {
                self.states.make_room(refused.into(), groups, disk)?;
            }
            let GroupsSink { states, inputs, places, tasks, .. } = self;
            let waited = match &inputs[index].distinct {
                Some(distinct) => &distinct.waited,
                None => unreachable!("it is distinct, as was seen above"),
            };
            let work = Work {
                keys: &waited.keys,
                states,
                inputs,
                only: Some((index, waited.columns)),
                places,
                tasks,
            };
            work.absorb(Rows::All(rows), groups, store, disk).map_err(|error| states.error(error))?;
        }
        Ok(matches!(drained, Drained::All))
    }
}

/// Rows on their way to their groups.
struct Work<'w, 'a> {
    keys: &'w RowKeys<'a>,
    states: &'w States<'a>,
    inputs: &'w [Input<'a>],
    /// One aggregate that takes them, from these columns; else all do.
    only: Option<(usize, &'a [VectorId])>,
    places: &'w mut [u64],
    tasks: &'w mut Vec<'a, Task>,
}

impl<'a> Work<'_, 'a> {
    /// Lets aggregates take the rows whose keys are there; `rows` tells which rows of the batch these are.
    ///
    /// Where memory is refused, it is made, and what is left is done with groups that are found anew.
    fn absorb(
        self,
        rows: Rows<'_>,
        groups: &mut Groups,
        store: &Store<'a>,
        disk: &Disk<'_>,
    ) -> Result<(), LadderError> {
        let aggregates = match self.only {
            Some((index, _)) => index..index + 1,
            None => 0..self.inputs.len(),
        };
        self.tasks.clear();
        self.tasks.push(Task { start: 0, end: rows.len(), first: aggregates.start })?;
        while let Some(Task { start, end, first }) = self.tasks.pop() {
            if start == end {
                continue;
            }
            let is_fresh = groups.ladder.table.is_empty();
            let (found, refused) = self.keys.find(start..end, rows, &mut groups.ladder.table, self.places);
            if found < end {
                self.tasks.push(Task { start: found, end, first })?;
            }
            let stopped = self.update(first..aggregates.end, start..found, rows, groups, store);
            let (aggregate, at, error) = match (stopped, refused) {
                (None, None) => continue,
                (None, Some(refused)) => {
                    groups.make_room(self.states.list, refused, disk)?;
                    continue;
                }
                (Some(stopped), _) => stopped,
            };
            let StateError::OutOfMemory(refused) = error else {
                return Err(LadderError::State(aggregate, error));
            };
            let has_moved = at > start || aggregate > first;
            if is_fresh && !has_moved {
                if found - start == 1 {
                    // The table has the one group; what else there is can go.
                    let Some(dedup) = groups.dedups.iter_mut().find(|dedup| dedup.table_bytes() > 0) else {
                        return Err(LadderError::TooLarge(refused));
                    };
                    dedup.evict(refused, disk)?;
                }
                // Perhaps it is the groups of the other rows that leave no room.
                let half = start + (found - start) / 2;
                self.tasks.push(Task { start: half, end: found, first })?;
                self.tasks.push(Task { start, end: half, first })?;
            } else {
                self.tasks.push(Task { start: at, end: found, first: aggregate })?;
                if aggregate + 1 < aggregates.end {
                    self.tasks.push(Task { start, end: at, first: aggregate + 1 })?;
                }
            }
            groups.make_room(self.states.list, refused, disk)?;
        }
        Ok(())
    }

    /// Lets aggregates take the rows at some positions; gives the aggregate that was stopped, the position, and why.
    fn update(
        &self,
        aggregates: Range<usize>,
        positions: Range<usize>,
        rows: Rows<'_>,
        groups: &mut Groups,
        store: &Store<'a>,
    ) -> Option<(usize, usize, StateError)> {
        if positions.is_empty() {
            return None;
        }
        let bounds = rows.nth(positions.start)..rows.nth(positions.end - 1) + 1;
        let places = self.keys.places(rows.nth(positions.start), self.places);
        for aggregate in aggregates {
            let state = &self.states.list[aggregate];
            if self.only.is_none() && self.inputs[aggregate].sorted.is_some() {
                continue;
            }
            let (taken, columns) = match self.only {
                Some((_, columns)) => (Taken::of(rows, bounds.clone()), columns),
                None => {
                    let input = &self.inputs[aggregate];
                    (Taken::of(store.rows(input.taken_rows()), bounds.clone()), input.columns)
                }
            };
            let Groups { ladder, scratch, .. } = groups;
            let done = state.update(&mut ladder.table, places, taken, columns, store, scratch);
            if let Err(Stopped { row, error }) = done {
                let at = match rows {
                    Rows::All(_) => row,
                    Rows::Some(list) => list.partition_point(|&listed| usize::from(listed) < row),
                };
                return Some((aggregate, at.max(positions.start), error));
            }
        }
        None
    }
}

impl<'a> Input<'a> {
    fn open(
        plan: &PlanAggregate<'a>,
        state: &State,
        columns: &[VectorId],
        counts: &mut Counts,
        store: &mut Store<'a>,
        registers: &mut Registers<'a>,
        arena: &'a Arena,
    ) -> Result<Input<'a>, Error<'a>> {
        let filter = match plan.filter {
            Some(filter) => Some(Conjuncts::compile(&[filter], columns, store, registers, arena)?),
            None => None,
        };
        let is_literal = plan.function == AggregateFunction::Grouping;
        let mut args = Vec::with_capacity_in(plan.args.len(), arena)?;
        for arg in plan.args.iter().filter(|_| !is_literal) {
            // Its register stays taken: the arguments of all aggregates are there at once.
            args.push(compile(arg, columns, store, registers)?)?;
        }
        let input_columns = columns;
        let mut columns = &*arena.alloc_slice_from_iter(args.iter().map(|arg: &Program<'_>| arg.result))?;
        let (mut ordered, mut sorted, mut distinct, mut selection) = (None, None, None, None);
        let mut selected_input = None;
        let is_chosen = state.is_chosen();
        if let Some(selected) = Selected::of(plan, counts.has_groups) {
            let index = counts.selects;
            counts.selects += 1;
            let value = compile(plan.order_by[0].expr, input_columns, store, registers)?;
            // What is counted is the values.
            columns = arena.alloc_slice_fill(1, value.result)?;
            selected_input = Some(SelectedInput { index, selected, value });
        } else if state.is_sorted(plan) {
            let index = counts.sorts;
            counts.sorts += 1;
            let what = (index, is_chosen, counts.has_groups);
            let input = OrderedInput::open(plan, what, columns, input_columns, store, registers, arena)?;
            if is_chosen {
                // What is counted is the values.
                columns = arena.alloc_slice_from_iter(input.value())?;
            } else {
                sorted = Some(SortedRows::open(plan, (false, counts.has_groups), store, arena)?);
                selection = Some(store.add_selection(arena)?);
            }
            ordered = Some(input);
        } else if plan.distinct && !args.is_empty() {
            distinct = Some(DistinctInput::open(plan, counts.dedups, columns, store, arena)?);
            counts.dedups += 1;
        }
        let (rows, selected) = (BatchRows::all(0), selected_input);
        Ok(Input { args, columns, filter, rows, distinct, ordered, selected, sorted, selection })
    }

    /// Whether it takes all rows as they are.
    fn is_plain(&self) -> bool {
        self.filter.is_none() && self.distinct.is_none() && self.ordered.is_none() && self.selected.is_none()
    }

    /// Computes the arguments for the rows of a batch that pass the filter.
    fn run(&mut self, batch: BatchRows, store: &mut Store<'a>) -> Result<(), Error<'a>> {
        self.rows = match &mut self.filter {
            Some(filter) => filter.apply(batch, store)?,
            None => batch,
        };
        for arg in self.args.iter_mut() {
            arg.run(store, self.rows)?;
        }
        if let Some(distinct) = &mut self.distinct {
            distinct.encode(self.rows, self.columns, store)?;
        }
        if let Some(selected) = &mut self.selected {
            selected.value.run(store, self.rows)?;
        }
        match &mut self.ordered {
            Some(ordered) => ordered.run(self.rows, store),
            None => Ok(()),
        }
    }

    /// Gives the values of the batch to the selector, of an aggregate that chooses from all rows.
    fn select(
        &self,
        states: &States<'_>,
        groups: &mut Groups,
        store: &Store<'a>,
        disk: &Disk<'_>,
    ) -> Result<(), Error<'a>> {
        let Some(SelectedInput { index, selected, value }) = &self.selected else { return Ok(()) };
        let vector = store.vector(value.result);
        store.rows(self.rows).try_for_each(|row| {
            if !vector.is_valid(row) {
                return Ok(());
            }
            let word = selected.word(vector, row);
            while let Err(failure) = groups.selectors[*index].put(word, disk) {
                states.make_room(failure.into(), groups, disk)?;
            }
            Ok(())
        })
    }

    /// Gives the rows of the batch to the sort, of an aggregate that takes them in an order.
    fn sort(
        &mut self,
        batch: BatchRows,
        keys: &RowKeys<'a>,
        states: &States<'_>,
        groups: &mut Groups,
        store: &mut Store<'a>,
        disk: &Disk<'_>,
    ) -> Result<(), Error<'a>> {
        let Some(ordered) = &mut self.ordered else { return Ok(()) };
        let count = loop {
            match ordered.encode(batch, self.rows, keys, store) {
                Ok(count) => break count,
                Err(refused) => states.make_room(refused.into(), groups, disk)?,
            }
        };
        let mut rest = 0..count;
        while let Err(failure) = ordered.put(&mut rest, &mut groups.sorters[ordered.index], disk) {
            states.make_room(failure.into(), groups, disk)?;
        }
        Ok(())
    }

    /// The rows of the batch that it takes.
    fn taken_rows(&self) -> BatchRows {
        match &self.distinct {
            Some(distinct) => BatchRows { count: self.rows.count, selection: Some(distinct.selection) },
            None => self.rows,
        }
    }

    /// Of an aggregate that takes distinct arguments: picks the rows whose group has not met theirs.
    fn keep_new(
        &mut self,
        batch: BatchRows,
        keys: &RowKeys<'a>,
        states: &States<'_>,
        groups: &mut Groups,
        store: &mut Store<'a>,
        disk: &Disk<'_>,
    ) -> Result<(), Error<'a>> {
        let Some(distinct) = &mut self.distinct else { return Ok(()) };
        let mut selection = store.take_selection(distinct.selection);
        let (of_batch, rows) = (store.rows(batch), store.rows(self.rows));
        selection.count = 0;
        // Both ascend, and the rows that passed the filter are among those of the batch.
        let mut position = 0;
        for i in 0..rows.len() {
            let row = rows.nth(i);
            while of_batch.nth(position) != row {
                position += 1;
            }
            let (_, key, rest) = keys.row(position);
            while let Err(refused) = distinct.join_key(key, i) {
                states.make_room(refused.into(), groups, disk)?;
            }
            let rest_bytes = (rest.len() as u32).to_le_bytes();
            let hash = hash_of(&distinct.scratch);
            let rest = [&rest_bytes, rest];
            let is_new = loop {
                match groups.offer(distinct, hash, &rest, i, disk) {
                    Err(SpillFailure::OutOfMemory(refused)) => {
                        states.make_room(refused.into(), groups, disk)?
                    }
                    offered => break offered?,
                }
            };
            selection.rows[selection.count] = row as u16;
            selection.count += usize::from(is_new);
        }
        store.put_selection_back(distinct.selection, selection);
        Ok(())
    }
}

impl Groups {
    fn offer(
        &mut self,
        distinct: &DistinctInput<'_>,
        hash: u64,
        rest: &[&[u8]; 2],
        i: usize,
        disk: &Disk<'_>,
    ) -> Result<bool, SpillFailure> {
        let dedup = &mut self.dedups[distinct.index];
        let belongings = [rest[0], rest[1], distinct.encoder.row(i)];
        Ok(match dedup.pass(hash, &distinct.scratch, disk)? {
            Passing::Now => true,
            Passing::Met => false,
            Passing::Waits => {
                dedup.wait(hash, &distinct.scratch, &belongings, disk)?;
                false
            }
        })
    }
}

impl<'a> DistinctInput<'a> {
    fn open(
        plan: &PlanAggregate<'a>,
        index: usize,
        columns: &[VectorId],
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<DistinctInput<'a>, Error<'a>> {
        let mut canonicals = Vec::new_in(arena);
        let mut key_columns = Vec::with_capacity_in(columns.len(), arena)?;
        let mut waited = Vec::with_capacity_in(columns.len(), arena)?;
        for (&column, arg) in columns.iter().zip(plan.args) {
            let canonical = Canonical::open(column, arg.ty, store, arena)?;
            key_columns.push(canonical.map_or(column, |canonical| canonical.column()))?;
            if let Some(canonical) = canonical {
                canonicals.push(canonical)?;
            }
            waited.push(store.add_vector(Kind::of(arg.ty), arena)?)?;
        }
        let key_columns = &*key_columns.into_slice();
        let kinds = |of: &[VectorId], store: &Store<'a>| {
            let kinds = of.iter().map(|&id| store.vector(id).kind());
            arena.alloc_slice_from_iter(kinds).map(|kinds| kinds.iter().copied())
        };
        Ok(DistinctInput {
            index,
            canonicals,
            key_columns,
            key_layout: RowLayout::keys(kinds(key_columns, store)?, arena)?,
            key_encoder: RowEncoder::new(arena),
            layout: RowLayout::new(kinds(columns, store)?, arena)?,
            encoder: RowEncoder::new(arena),
            selection: store.add_selection(arena)?,
            scratch: Vec::new_in(arena),
            waited: Waited {
                columns: waited.into_slice(),
                keys: RowKeys::new(arena),
                args: Vec::new_in(arena),
                starts: Vec::new_in(arena),
            },
        })
    }

    /// Puts the key of a group and the arguments of the `i`-th row behind one another.
    fn join_key(&mut self, key: &[u8], i: usize) -> Result<(), AllocError> {
        self.scratch.clear();
        self.scratch.extend_from_slice(&(key.len() as u32).to_le_bytes())?;
        self.scratch.extend_from_slice(key)?;
        self.scratch.extend_from_slice(self.key_encoder.row(i))
    }

    fn encode(
        &mut self,
        rows: BatchRows,
        columns: &[VectorId],
        store: &mut Store<'a>,
    ) -> Result<(), AllocError> {
        for canonical in self.canonicals.iter() {
            canonical.run(rows, store)?;
        }
        let rows = store.rows(rows);
        self.key_encoder.encode(&self.key_layout, self.key_columns, rows, store)?;
        self.encoder.encode(&self.layout, columns, rows, store)
    }
}

impl<'a> Waited<'a> {
    /// The most bytes of arguments that are taken at once, but for one row.
    const ARGS_BYTES: usize = 16 << 10;

    fn clear(&mut self) -> Result<(), AllocError> {
        self.keys.clear()?;
        self.args.clear();
        self.starts.clear();
        self.starts.push(0)
    }

    /// Adds a row: the key of its group with its length before it, then of what belongs to it the group's rest, likewise, and
    /// the arguments.
    fn push(&mut self, key: &[u8], belongings: &[u8], shape: &KeyShape<'_>) -> Result<(), AllocError> {
        let part = |bytes: &'_ [u8]| -> Option<(usize, usize)> {
            Some((4, u32::from_le_bytes(*bytes.first_chunk()?) as usize))
        };
        let ((at, len), (rest_at, rest_len)) = part(key).zip(part(belongings)).ok_or(AllocError)?;
        let group = key.get(at..at + len).ok_or(AllocError)?;
        let rest = belongings.get(rest_at..rest_at + rest_len).ok_or(AllocError)?;
        let args = belongings.get(rest_at + rest_len..).unwrap_or(&[]);
        self.args.reserve(args.len())?;
        self.starts.reserve(1)?;
        self.keys.push(shape.hash(group), group, rest)?;
        self.args.extend_from_slice(args)?;
        self.starts.push(self.args.len())
    }

    fn rows_count(&self) -> usize {
        self.starts.len() - 1
    }

    fn is_full(&self, capacity: usize) -> bool {
        self.rows_count() == capacity || self.args.len() >= Self::ARGS_BYTES
    }

    /// Puts the arguments into columns.
    fn decode(&self, layout: &RowLayout<'_>, store: &mut Store<'a>) -> Result<(), AllocError> {
        let rows = (0..self.rows_count()).map(|row| &self.args[self.starts[row]..self.starts[row + 1]]);
        for (index, &column) in self.columns.iter().enumerate() {
            layout.decode(index, rows.clone(), column, store)?;
        }
        Ok(())
    }
}
