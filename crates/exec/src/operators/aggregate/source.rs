//! The groups of an aggregate as rows: from the table, then from one file of states after the other.
//!
//! Between two batches others may be short of memory. Then the groups of the table that are still to be given go to files
//! ([`Groups::yield_memory`]), so how far they are given is noted beside them.

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_plan::expr::ExprKind;
use cofferdam_plan::physical::{Aggregate as PlanAggregate, AggregateFunction, HashAggregate};
use cofferdam_types::Value;

use super::choose::{Chooser, Chosen};
use super::keys::KeyShape;
use super::ladder::LadderError;
use super::pages::Place;
use super::select::Selected;
use super::table::GroupRow;
use super::{Disk, Groups, States};
use crate::batch::{Data, Kind, Store, VectorId};
use crate::error::Error;
use crate::pipeline::batch_bytes_max;

/// Hands out groups: the keys, then the aggregates.
#[derive(Debug)]
pub(crate) struct GroupsSource<'a> {
    shape: KeyShape<'a>,
    states: States<'a>,
    aggregates: &'a [PlanAggregate<'a>],
    sets: &'a [&'a [u32]],
    keys_count: usize,
    columns: &'a [VectorId],
    /// The groups of a batch.
    places: &'a mut [u64],
    /// Whether keys may be long, and what those of a batch have, but for the last one.
    has_texts: bool,
    batch_bytes_max: u64,
    choosers: Vec<'a, Chooser<'a>>,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
pub(super) enum At {
    /// The groups of the table behind this one, or from the first on.
    Groups(Option<Place>),
    /// The next file.
    File,
    /// Rows of a file, which are merged into the table.
    Loading,
    /// What is chosen for the groups of the table, by chooser.
    Choosing(usize),
    End,
}

/// What a source of groups gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// So many groups, in its columns.
    Groups(usize),
    /// Work was done.
    Nothing,
    /// There are no more.
    End,
}

impl<'a> GroupsSource<'a> {
    /// A source that writes to `columns`.
    pub(crate) fn open(
        plan: &HashAggregate<'a>,
        columns: &'a [VectorId],
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<GroupsSource<'a>, Error<'a>> {
        let states = States::of(plan.aggregates, arena)?;
        let shape = KeyShape::of(plan, arena)?;
        let mut choosers = Vec::new_in(arena);
        let (mut sort, mut selects) = (0, 0);
        for (index, (aggregate, state)) in plan.aggregates.iter().zip(states.list).enumerate() {
            let selected = Selected::of(aggregate, shape.has_groups()).map(|selected| (selects, selected));
            if state.is_chosen() {
                let of = (sort, selected);
                choosers.push(Chooser::open(aggregate, index, of, shape.has_groups(), store, arena)?)?;
            }
            selects += usize::from(selected.is_some());
            sort += usize::from(state.is_sorted(aggregate) && selected.is_none());
        }
        Ok(GroupsSource {
            shape,
            states,
            choosers,
            aggregates: plan.aggregates,
            sets: plan.sets,
            keys_count: plan.groups.len(),
            columns,
            places: arena.alloc_slice_fill(store.capacity, 0)?,
            has_texts: columns[..plan.groups.len()].iter().any(|id| store.vector(*id).kind() == Kind::Text),
            batch_bytes_max: batch_bytes_max(arena.budget().limit_on_path()),
        })
    }

    /// The states that results are made of.
    pub(super) const fn states(&self) -> &States<'a> {
        &self.states
    }

    /// The next groups.
    pub(crate) fn next(
        &mut self,
        groups: &mut Groups,
        store: &mut Store<'a>,
        disk: &Disk<'_>,
    ) -> Result<Given, Error<'a>> {
        let at = *groups.handed_out.get_or_insert(At::Choosing(0));
        let (next, given) = match at {
            At::End => (At::End, Given::End),
            At::Groups(after) => match self.pick(after, groups, store.capacity) {
                0 if groups.ladder.has_files() => (At::File, Given::Nothing),
                0 => (At::End, Given::Nothing),
                count => self.give(after, count, groups, store, disk)?,
            },
            At::File => {
                let has_file = groups.ladder.next_file(disk.is_cancelled);
                let has_file = has_file.map_err(|error| self.states.error(error))?;
                (if has_file { At::Loading } else { At::End }, Given::Nothing)
            }
            At::Loading => {
                let is_loaded = groups.ladder.load(self.states.list, disk);
                let is_loaded = is_loaded.map_err(|error| self.states.error(error))?;
                (if is_loaded { At::Choosing(0) } else { At::Loading }, Given::Nothing)
            }
            // All groups went to files when the input was read.
            At::Choosing(_) if groups.ladder.is_unread() => (At::File, Given::Nothing),
            At::Choosing(index) => (self.choose(index, groups, store, disk)?, Given::Nothing),
        };
        groups.handed_out = Some(next);
        Ok(given)
    }

    /// Lets a chooser go on, and gives what comes next.
    fn choose(
        &mut self,
        index: usize,
        groups: &mut Groups,
        store: &mut Store<'a>,
        disk: &Disk<'_>,
    ) -> Result<At, Error<'a>> {
        let Some(chooser) = self.choosers.get_mut(index) else { return Ok(At::Groups(None)) };
        let Groups { ladder, sorters, selectors, .. } = groups;
        let rows = (&mut sorters[..], &mut selectors[..]);
        let states = (&self.states.list[chooser.aggregate], self.states.list);
        let chosen = chooser.run(rows, ladder, states, &self.shape, store, disk);
        Ok(match chosen.map_err(|error| self.states.error(error))? {
            Chosen::More => At::Choosing(index),
            Chosen::All => At::Choosing(index + 1),
            Chosen::Flushed => At::File,
        })
    }

    /// Finds the next groups and gives how many there are.
    fn pick(&mut self, after: Option<Place>, groups: &Groups, capacity: usize) -> usize {
        let (mut count, mut last, mut bytes) = (0, after, 0);
        while count < capacity
            && bytes < self.batch_bytes_max
            && let Some(place) = groups.ladder.table.next(last)
        {
            self.places[count] = place.bits();
            if self.has_texts {
                bytes += groups.ladder.table.row(place).key.len() as u64;
            }
            count += 1;
            last = Some(place);
        }
        count
    }

    /// Gives the groups that were found behind `after`, and what comes next; fewer, where there is no room for all. For the first
    /// one room is made.
    fn give(
        &mut self,
        after: Option<Place>,
        mut count: usize,
        groups: &mut Groups,
        store: &mut Store<'a>,
        disk: &Disk<'_>,
    ) -> Result<(At, Given), Error<'a>> {
        loop {
            match self.write(count, groups, store) {
                Ok(()) => break,
                Err(error) if error.refusal().is_some() && count > 1 => count /= 2,
                Err(error) if let Some(refused) = error.refusal() => {
                    match (groups.ladder.flush_behind(after, self.states.list, refused, disk), disk.others) {
                        (Ok(()), _) => return Ok((At::File, Given::Nothing)),
                        (Err(LadderError::TooLarge(..)), Some(ask)) if ask(1) => {}
                        (Err(error), _) => return Err(self.states.error(error)),
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok((At::Groups(Place::from_bits(self.places[count - 1])), Given::Groups(count)))
    }

    /// Writes the groups that were found into the columns.
    fn write(&self, count: usize, groups: &Groups, store: &mut Store<'a>) -> Result<(), Error<'a>> {
        let table = &groups.ladder.table;
        let row = |bits: &u64| table.row(Place::from_bits(*bits).expect("a group was found"));
        let rows = self.places[..count].iter().map(row);
        let (keys, results) = self.columns.split_at(self.keys_count);
        for (column, &target) in keys.iter().enumerate() {
            self.shape.decode(column, rows.clone(), target, store)?;
        }
        for (index, &target) in results.iter().enumerate() {
            self.write_results(index, rows.clone(), groups, target, store)?;
        }
        Ok(())
    }

    fn write_results<'r>(
        &self,
        index: usize,
        rows: impl Iterator<Item = GroupRow<'r>>,
        groups: &Groups,
        target: VectorId,
        store: &mut Store<'a>,
    ) -> Result<(), Error<'a>> {
        let (state, aggregate) = (&self.states.list[index], &self.aggregates[index]);
        let mut vector = store.take(target);
        let is_text = vector.kind() == Kind::Text;
        let mut heap = if is_text { store.take_heap(vector.heap) } else { store.no_heap() };
        heap.clear();
        vector.all_valid = false;
        let mut outcome = Ok(());
        for (at, row) in rows.enumerate() {
            if aggregate.function == AggregateFunction::Grouping {
                vector.valid[at] = true;
                if let Data::I32(out) = &mut vector.data {
                    out[at] = grouping(aggregate, self.sets[self.shape.set_of(row.key)]);
                }
                continue;
            }
            outcome = state.finish(row.states, groups.ladder.table.blobs(), at, &mut vector, &mut heap);
            if outcome.is_err() {
                break;
            }
        }
        if is_text {
            store.put_heap_back(vector.heap, heap);
        }
        store.put_back(target, vector);
        outcome.map_err(|error| self.states.error(LadderError::State(index, error)))
    }
}

/// A bit for each argument, the last one lowest: set if the grouping set lacks the group.
fn grouping(aggregate: &PlanAggregate<'_>, set: &[u32]) -> i32 {
    aggregate.args.iter().fold(0, |bits, arg| {
        let group = match arg.kind {
            ExprKind::Literal(Value::Integer(group)) => u32::try_from(group).unwrap_or(u32::MAX),
            _ => u32::MAX,
        };
        bits << 1 | i32::from(!set.contains(&group))
    })
}
