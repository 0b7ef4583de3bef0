//! What pipelines ask of an aggregate: its sink, which fills the groups in its slot, and its source.

use core::cell::{Cell, RefCell};

use cofferdam_plan::physical::{HashAggregate, OperatorId};

use super::partitions::PartitionCounts;
use super::source::{Given, GroupsSource};
use super::{Disk, Groups, GroupsSink};
use crate::batch::{BatchRows, Store, VectorId};
use crate::error::Error;
use crate::operators::State;
use crate::pipeline::{Context, Counters, Opening, Output};

impl<'c> Context<'c> {
    /// What goes to disk is told here where.
    pub(crate) fn disk<'d>(&self, name: &'d str) -> Disk<'d>
    where
        'c: 'd,
    {
        Disk { space: self.spill, name, share: 1, is_cancelled: self.is_cancelled, others: None }
    }
}

/// Groups rows and aggregates each group.
#[derive(Debug)]
pub(crate) struct AggregateSink<'a> {
    id: OperatorId,
    name: &'a str,
    sink: GroupsSink<'a>,
}

impl<'a> AggregateSink<'a> {
    pub(crate) fn open(
        plan: &HashAggregate<'a>,
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<AggregateSink<'a>, Error<'a>> {
        let columns = opening.columns_of(plan.input);
        let disk = cx.disk(opening.budget().name());
        let (sink, groups) = GroupsSink::open(plan, columns, store, opening.arena, &disk)?;
        *cx.state(opening.id) = State::Groups(groups);
        Ok(AggregateSink { id: opening.id, name: opening.budget().name(), sink })
    }

    pub(crate) fn take(
        &mut self,
        batch: BatchRows,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<(), Error<'a>> {
        let AggregateSink { id, name, sink } = self;
        work((*id, name), cx, |groups, disk| {
            sink.take(batch, groups, store, disk).map_err(|error| sink.states().blamed(error, groups))
        })
    }

    pub(crate) fn finish(&mut self, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<bool, Error<'a>> {
        let AggregateSink { id, name, sink } = self;
        work((*id, name), cx, |groups, disk| {
            sink.finish(groups, store, disk).map_err(|error| sink.states().blamed(error, groups))
        })
    }
}

/// Does something with the groups of an operator, which are out of their slot until it is done, so that others can be asked for memory.
pub(super) fn work<'a, T>(
    (id, name): (OperatorId, &str),
    cx: &mut Context<'_>,
    work: impl FnOnce(&mut Groups, &Disk<'_>) -> Result<T, Error<'a>>,
) -> Result<T, Error<'a>> {
    let State::Groups(mut groups) = cx.take_state(id) else {
        unreachable!("the sink of the aggregate made it")
    };
    let disk = cx.disk(name);
    let (asking, failure) = (RefCell::new(&mut *cx), Cell::new(None));
    let others = |bytes: u64| {
        let outcome: Result<bool, Error<'static>> = asking.borrow_mut().relieve(Some(id), bytes);
        outcome.unwrap_or_else(|error| {
            failure.set(Some(error));
            false
        })
    };
    let outcome = work(&mut groups, &Disk { others: Some(&others), ..disk });
    *cx.state(id) = State::Groups(groups);
    match failure.take() {
        Some(error) => Err(error),
        None => outcome,
    }
}

impl Counters {
    /// Says what an operator with partitions did on disk.
    pub(super) fn note_partitions(&mut self, counts: PartitionCounts) {
        self.spilled_bytes = counts.bytes;
        self.spilled_files = counts.files;
        self.partitions_spilled = counts.files;
        self.partitions_parted = counts.parted;
    }
}

/// Hands out groups.
#[derive(Debug)]
pub(crate) struct AggregateSource<'a> {
    id: OperatorId,
    name: &'a str,
    source: GroupsSource<'a>,
}

impl<'a> AggregateSource<'a> {
    pub(crate) fn open(
        plan: &HashAggregate<'a>,
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
    ) -> Result<(AggregateSource<'a>, &'a [VectorId]), Error<'a>> {
        let columns = opening.add_columns(store)?;
        let source = GroupsSource::open(plan, columns, store, opening.arena)?;
        Ok((AggregateSource { id: opening.id, name: opening.budget().name(), source }, columns))
    }

    pub(crate) fn next(&mut self, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<Output, Error<'a>> {
        let AggregateSource { id, name, source } = self;
        let (given, counts) = work((*id, name), cx, |groups, disk| {
            let given = source.next(groups, store, disk);
            Ok((given.map_err(|error| source.states().blamed(error, groups))?, groups.counts()))
        })?;
        cx.counters(*id).note_partitions(counts);
        Ok(match given {
            Given::Groups(count) => Output::Batch(BatchRows::all(count)),
            Given::Nothing => Output::Again,
            Given::End => Output::End,
        })
    }
}
