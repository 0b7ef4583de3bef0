//! What pipelines ask of an aggregate: its sink, which fills the groups in its slot, and its source.

use cofferdam_plan::physical::{HashAggregate, OperatorId};

use super::source::{Given, GroupsSource};
use super::{Disk, Groups, GroupsSink};
use crate::batch::{BatchRows, Store, VectorId};
use crate::error::Error;
use crate::operators::State;
use crate::pipeline::{Context, Opening, Output};

impl<'c> Context<'c> {
    /// What goes to disk is told here where.
    pub(crate) fn disk<'d>(&self, name: &'d str) -> Disk<'d>
    where
        'c: 'd,
    {
        Disk { space: self.spill, name, share: 1, is_cancelled: self.is_cancelled }
    }
}

fn groups_of(state: &mut State) -> &mut Groups {
    let State::Groups(groups) = state else { unreachable!("the sink of the aggregate made it") };
    groups
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
        let disk = cx.disk(self.name);
        self.sink.take(batch, groups_of(cx.state(self.id)), store, &disk)
    }

    pub(crate) fn finish(&mut self, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<bool, Error<'a>> {
        let disk = cx.disk(self.name);
        self.sink.finish(groups_of(cx.state(self.id)), store, &disk)
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
        let disk = cx.disk(self.name);
        let groups = groups_of(cx.state(self.id));
        let given = self.source.next(groups, store, &disk)?;
        let counts = groups.counts();
        let counters = cx.counters(self.id);
        counters.spilled_bytes = counts.bytes;
        counters.spilled_files = counts.files;
        counters.partitions_spilled = counts.files;
        counters.partitions_parted = counts.parted;
        Ok(match given {
            Given::Groups(count) => Output::Batch(BatchRows::all(count)),
            Given::Nothing => Output::Again,
            Given::End => Output::End,
        })
    }
}
