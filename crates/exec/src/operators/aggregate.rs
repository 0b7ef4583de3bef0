//! Grouping and DISTINCT through a hash table of key bytes.
//!
//! The bytes of a GROUP BY key are written once, when its group is first met, into blocks of the operator's arena;
//! [`RowBlocks::push`](crate::rows::RowBlocks::push) is where the budget is asked. Groups are numbered as they come, and
//! each aggregate is an array by group number.
//!
//! **Peak bytes**: per group its key, 4 bytes of length, 16 of table entry, 4 to 8 of slots, and 8 to 24 per aggregate
//! (a text state: twice its longest text); per distinct argument as for a group.
//!
//! **Ladder**: in memory, then the typed error.

use allocator_api2::vec::Vec as OwnedVec;
use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena, BudgetAlloc};
use cofferdam_plan::Span;
use cofferdam_plan::physical::{
    Aggregate as PlanAggregate, AggregateFunction, HashAggregate as PlanHashAggregate, OperatorId,
};
use cofferdam_types::Type;

use super::State;
use super::state::{StateError, States};
use crate::batch::{BatchRows, Kind, SelectionId, Store, VectorId};
use crate::error::Error;
use crate::expr::{Program, Registers, compile};
use crate::hash_table::HashTable;
use crate::pipeline::{Context, Opening, Output, Passed};
use crate::rows::{RowBlocks, RowEncoder, RowLayout};

/// The groups of an aggregate.
#[derive(Debug)]
pub(crate) struct Groups {
    rows: RowBlocks,
    table: HashTable,
    states: OwnedVec<States, BudgetAlloc>,
    count: usize,
}

impl Groups {
    fn grow(&mut self, groups: usize) -> Result<(), AllocError> {
        if groups > self.count {
            self.count = groups;
            self.states.iter_mut().try_for_each(|states| states.grow(groups))?;
        }
        Ok(())
    }

    fn of(state: &mut State) -> &mut Groups {
        let State::Groups(groups) = state else { unreachable!("the sink of the aggregate made it") };
        groups
    }
}

/// Groups rows and aggregates each group.
#[derive(Debug)]
pub(crate) struct GroupsSink<'a> {
    id: OperatorId,
    keys: Vec<'a, Program<'a>>,
    key_columns: &'a [VectorId],
    layout: RowLayout<'a>,
    encoder: RowEncoder<'a>,
    aggregates: Vec<'a, Aggregate<'a>>,
    /// The group of each row of the batch.
    groups: &'a mut [u32],
}

#[derive(Debug)]
struct Aggregate<'a> {
    argument: Option<Program<'a>>,
    distinct: Option<DistinctArguments<'a>>,
    span: Span,
}

/// The arguments that an aggregate has taken, each with its group before it.
#[derive(Debug)]
struct DistinctArguments<'a> {
    layout: RowLayout<'a>,
    encoder: RowEncoder<'a>,
    scratch: Vec<'a, u8>,
    rows: RowBlocks,
    table: HashTable,
    selection: SelectionId,
}

impl<'a> GroupsSink<'a> {
    pub(crate) fn open(
        plan: &PlanHashAggregate<'a>,
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<GroupsSink<'a>, Error<'a>> {
        let arena = opening.arena;
        let columns = opening.columns_of(plan.input);
        let is_whole = plan.sets.len() == 1 && plan.sets[0].len() == plan.groups.len();
        if !is_whole {
            return Err(Error::NotSupported { what: "grouping sets" });
        }
        let mut registers = Registers::new(arena);
        let mut keys = Vec::with_capacity_in(plan.groups.len(), arena)?;
        for group in plan.groups {
            keys.push(compile(group, columns, store, &mut registers)?)?;
        }
        let key_columns = &*arena.alloc_slice_from_iter(keys.iter().map(|key: &Program<'_>| key.result))?;
        let layout = RowLayout::keys(key_columns.iter().map(|&id| store.vector(id).kind()), arena)?;
        let pieces = BudgetAlloc::new(opening.budget());
        let mut states = OwnedVec::new_in(pieces.clone());
        states.try_reserve_exact(plan.aggregates.len()).map_err(|_| AllocError)?;
        let mut aggregates = Vec::with_capacity_in(plan.aggregates.len(), arena)?;
        for aggregate in plan.aggregates {
            aggregates.push(Aggregate::open(aggregate, columns, &pieces, store, &mut registers, arena)?)?;
            let ty = aggregate.args.first().map_or(Type::Unknown, |argument| argument.ty);
            states.push(States::new(aggregate.function, ty, aggregate.ty, &pieces));
        }
        let (rows, table) = (RowBlocks::new(&pieces), HashTable::new(&pieces));
        *cx.state(opening.id) = State::Groups(Groups { rows, table, states, count: 0 });
        Ok(GroupsSink {
            id: opening.id,
            keys,
            key_columns,
            layout,
            encoder: RowEncoder::new(arena),
            aggregates,
            groups: arena.alloc_slice_fill(store.capacity, 0)?,
        })
    }

    /// Adds the rows of a batch to their groups.
    pub(crate) fn take(
        &mut self,
        batch: BatchRows,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<(), Error<'a>> {
        let groups = Groups::of(cx.state(self.id));
        for key in self.keys.iter_mut() {
            key.run(store, batch)?;
        }
        if self.keys.is_empty() {
            groups.grow(1)?;
        } else {
            let rows = store.rows(batch);
            self.encoder.encode(&self.layout, self.key_columns, rows, store)?;
            for i in 0..rows.len() {
                let (group, _) = groups.table.find_or_insert(self.encoder.row(i), &mut groups.rows)?;
                self.groups[rows.nth(i)] = group as u32;
            }
            groups.grow(groups.table.len())?;
        }
        for (aggregate, states) in self.aggregates.iter_mut().zip(groups.states.iter_mut()) {
            aggregate.take(batch, self.groups, states, store)?;
        }
        Ok(())
    }

    pub(crate) fn finish(&mut self, cx: &mut Context<'_>) -> Result<bool, Error<'a>> {
        // Without keys there is one group even of no rows.
        if self.keys.is_empty() {
            Groups::of(cx.state(self.id)).grow(1)?;
        }
        Ok(true)
    }
}

/// Hands out groups, the keys and then the aggregates.
#[derive(Debug)]
pub(crate) struct GroupsSource<'a> {
    id: OperatorId,
    layout: RowLayout<'a>,
    keys_count: usize,
    spans: &'a [Span],
    output: &'a [VectorId],
    /// The first group that is not handed out.
    next: usize,
}

impl<'a> GroupsSource<'a> {
    pub(crate) fn open(
        plan: &PlanHashAggregate<'a>,
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
    ) -> Result<(GroupsSource<'a>, &'a [VectorId]), Error<'a>> {
        let arena = opening.arena;
        let output = opening.add_columns(store)?;
        let spans = arena.alloc_slice_from_iter(plan.aggregates.iter().map(|aggregate| aggregate.span))?;
        let layout = RowLayout::keys(plan.groups.iter().map(|group| Kind::of(group.ty)), arena)?;
        let keys_count = plan.groups.len();
        Ok((GroupsSource { id: opening.id, layout, keys_count, spans, output, next: 0 }, output))
    }

    pub(crate) fn next(&mut self, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<Output, Error<'a>> {
        let groups = Groups::of(cx.state(self.id));
        let first = self.next;
        let count = store.capacity.min(groups.count - first);
        self.next = first + count;
        if count == 0 {
            return Ok(Output::End);
        }
        let (keys, results) = self.output.split_at(self.keys_count);
        let rows = (first..first + count).map(|group| groups.rows.get(groups.table.row(group)));
        for (index, &target) in keys.iter().enumerate() {
            self.layout.decode(index, rows.clone(), target, store)?;
        }
        for ((states, &span), &target) in groups.states.iter().zip(self.spans).zip(results) {
            let done = states.finish(first, count, target, store);
            done.map_err(|error| state_error(error, span))?;
        }
        Ok(Output::Batch(BatchRows::all(count)))
    }
}

fn state_error<'a>(error: StateError, span: Span) -> Error<'a> {
    match error {
        StateError::OutOfMemory(error) => Error::OutOfMemory(error),
        StateError::Value(error) => Error::Value { error, span },
    }
}

impl<'a> Aggregate<'a> {
    fn open(
        plan: &PlanAggregate<'a>,
        columns: &[VectorId],
        pieces: &BudgetAlloc,
        store: &mut Store<'a>,
        registers: &mut Registers<'a>,
        arena: &'a Arena,
    ) -> Result<Aggregate<'a>, Error<'a>> {
        let is_known = matches!(
            plan.function,
            AggregateFunction::CountRows
                | AggregateFunction::Count
                | AggregateFunction::Sum
                | AggregateFunction::Avg
                | AggregateFunction::Min
                | AggregateFunction::Max
        );
        if !is_known || plan.filter.is_some() {
            return Err(Error::NotSupported { what: plan.function.name() });
        }
        let argument = match plan.args.first() {
            Some(argument) => Some(compile(argument, columns, store, registers)?),
            None => None,
        };
        let mut distinct = None;
        if let Some(program) = &argument {
            // Read before the next aggregate's program runs.
            registers.give_back(program)?;
            if plan.distinct {
                distinct =
                    Some(DistinctArguments::open(store.vector(program.result).kind(), pieces, store, arena)?);
            }
        }
        Ok(Aggregate { argument, distinct, span: plan.span })
    }

    fn take(
        &mut self,
        batch: BatchRows,
        groups: &[u32],
        states: &mut States,
        store: &mut Store<'a>,
    ) -> Result<(), Error<'a>> {
        let Some(program) = &mut self.argument else {
            states.count_rows(store.rows(batch), groups);
            return Ok(());
        };
        program.run(store, batch)?;
        let batch = match &mut self.distinct {
            Some(distinct) => distinct.keep_new(batch, program.result, groups, store)?,
            None => batch,
        };
        let argument = store.vector(program.result);
        let done = states.update(argument, store.rows(batch), groups, store);
        done.map_err(|error| state_error(error, self.span))
    }
}

impl<'a> DistinctArguments<'a> {
    fn open(
        kind: Kind,
        pieces: &BudgetAlloc,
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<DistinctArguments<'a>, Error<'a>> {
        Ok(DistinctArguments {
            layout: RowLayout::keys([kind].into_iter(), arena)?,
            encoder: RowEncoder::new(arena),
            scratch: Vec::new_in(arena),
            rows: RowBlocks::new(pieces),
            table: HashTable::new(pieces),
            selection: store.add_selection(arena)?,
        })
    }

    /// The rows whose argument their group has not met before.
    fn keep_new(
        &mut self,
        batch: BatchRows,
        argument: VectorId,
        groups: &[u32],
        store: &mut Store<'a>,
    ) -> Result<BatchRows, Error<'a>> {
        let mut selection = store.take_selection(self.selection);
        let rows = store.rows(batch);
        self.encoder.encode(&self.layout, &[argument], rows, store)?;
        selection.count = 0;
        for i in 0..rows.len() {
            let row = rows.nth(i);
            self.scratch.clear();
            self.scratch.extend_from_slice(&groups[row].to_le_bytes())?;
            self.scratch.extend_from_slice(self.encoder.row(i))?;
            let (_, is_new) = self.table.find_or_insert(&self.scratch, &mut self.rows)?;
            selection.rows[selection.count] = row as u16;
            selection.count += usize::from(is_new);
        }
        store.put_selection_back(self.selection, selection);
        Ok(BatchRows { count: batch.count, selection: Some(self.selection) })
    }
}

/// Passes each distinct row once, when it is first met.
#[derive(Debug)]
pub(crate) struct Distinct<'a> {
    columns: &'a [VectorId],
    layout: RowLayout<'a>,
    encoder: RowEncoder<'a>,
    rows: RowBlocks,
    table: HashTable,
    selection: SelectionId,
}

impl<'a> Distinct<'a> {
    pub(crate) fn open(
        columns: &'a [VectorId],
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<Distinct<'a>, Error<'a>> {
        let pieces = &BudgetAlloc::new(arena.budget());
        let layout = RowLayout::keys(columns.iter().map(|&id| store.vector(id).kind()), arena)?;
        Ok(Distinct {
            columns,
            layout,
            encoder: RowEncoder::new(arena),
            rows: RowBlocks::new(pieces),
            table: HashTable::new(pieces),
            selection: store.add_selection(arena)?,
        })
    }

    pub(crate) fn push(&mut self, batch: BatchRows, store: &mut Store<'a>) -> Result<Passed, Error<'a>> {
        let mut selection = store.take_selection(self.selection);
        let rows = store.rows(batch);
        self.encoder.encode(&self.layout, self.columns, rows, store)?;
        selection.count = 0;
        for i in 0..rows.len() {
            let (_, is_new) = self.table.find_or_insert(self.encoder.row(i), &mut self.rows)?;
            selection.rows[selection.count] = rows.nth(i) as u16;
            selection.count += usize::from(is_new);
        }
        let is_empty = selection.count == 0;
        store.put_selection_back(self.selection, selection);
        let passed = BatchRows { count: batch.count, selection: Some(self.selection) };
        Ok(if is_empty { Passed::Nothing } else { Passed::Batch(passed) })
    }
}
