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

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_plan::Span;
use cofferdam_plan::expr::Expr;
use cofferdam_plan::physical::{Aggregate as PlanAggregate, OperatorId};
use cofferdam_types::Type;

use super::state::{StateError, States};
use super::{Event, Step};
use crate::batch::{BatchRows, Kind, SelectionId, Store, VectorId};
use crate::error::Error;
use crate::expr::{Program, Registers, compile};
use crate::hash_table::HashTable;
use crate::rows::{RowBlocks, RowEncoder, RowLayout};

/// Groups rows and aggregates each group.
#[derive(Debug)]
pub(crate) struct HashAggregate<'a> {
    input: OperatorId,
    keys: Vec<'a, Program<'a>>,
    key_columns: &'a [VectorId],
    layout: RowLayout<'a>,
    encoder: RowEncoder<'a>,
    rows: RowBlocks<'a>,
    table: HashTable<'a>,
    aggregates: Vec<'a, Aggregate<'a>>,
    /// The group of each row of the batch.
    groups: &'a mut [u32],
    /// The key columns, then the aggregates'.
    output: &'a [VectorId],
    /// The first group that is not handed out, once the input is read.
    next_group: Option<usize>,
    groups_count: usize,
    arena: &'a Arena,
}

#[derive(Debug)]
struct Aggregate<'a> {
    argument: Option<Program<'a>>,
    states: States<'a>,
    distinct: Option<DistinctArguments<'a>>,
    span: Span,
}

/// The arguments that an aggregate has taken, each with its group before it.
#[derive(Debug)]
struct DistinctArguments<'a> {
    layout: RowLayout<'a>,
    encoder: RowEncoder<'a>,
    scratch: Vec<'a, u8>,
    rows: RowBlocks<'a>,
    table: HashTable<'a>,
    selection: SelectionId,
}

impl<'a> HashAggregate<'a> {
    pub(crate) fn open(
        input: OperatorId,
        groups: &[&'a Expr<'a>],
        aggregates: &[PlanAggregate<'a>],
        columns: &[VectorId],
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<(HashAggregate<'a>, &'a [VectorId]), Error<'a>> {
        let mut registers = Registers::new(arena);
        let mut keys = Vec::with_capacity_in(groups.len(), arena)?;
        let mut output = Vec::with_capacity_in(groups.len() + aggregates.len(), arena)?;
        for group in groups {
            keys.push(compile(group, columns, store, &mut registers)?)?;
            output.push(store.add_vector(Kind::of(group.ty), arena)?)?;
        }
        let key_columns = &*arena.alloc_slice_from_iter(keys.iter().map(|key: &Program<'_>| key.result))?;
        let layout = RowLayout::keys(key_columns.iter().map(|&id| store.vector(id).kind()), arena)?;
        let mut opened = Vec::with_capacity_in(aggregates.len(), arena)?;
        for aggregate in aggregates {
            opened.push(Aggregate::open(aggregate, columns, store, &mut registers, arena)?)?;
            output.push(store.add_vector(Kind::of(aggregate.ty), arena)?)?;
        }
        let output = &*output.into_slice();
        let aggregate = HashAggregate {
            input,
            keys,
            key_columns,
            layout,
            encoder: RowEncoder::new(arena),
            rows: RowBlocks::new(arena),
            table: HashTable::new(arena),
            aggregates: opened,
            groups: arena.alloc_slice_fill(store.capacity, 0)?,
            output,
            next_group: None,
            groups_count: 0,
            arena,
        };
        Ok((aggregate, output))
    }

    pub(crate) fn resume(&mut self, event: Event, store: &mut Store<'a>) -> Result<Step, Error<'a>> {
        match (event, self.next_group) {
            (Event::Pull, None) => Ok(Step::Pull(self.input)),
            (Event::Batch(batch), _) => {
                self.take(batch, store)?;
                Ok(Step::Pull(self.input))
            }
            (Event::End, _) => {
                // Without keys there is one group even of no rows.
                if self.keys.is_empty() {
                    self.grow(1)?;
                }
                self.hand_out(0, store)
            }
            (Event::Pull, Some(next)) => self.hand_out(next, store),
        }
    }

    /// Adds the rows of a batch to their groups.
    fn take(&mut self, batch: BatchRows, store: &mut Store<'a>) -> Result<(), Error<'a>> {
        for key in self.keys.iter_mut() {
            key.run(store, batch)?;
        }
        if self.keys.is_empty() {
            self.grow(1)?;
        } else {
            let rows = store.rows(batch);
            self.encoder.encode(&self.layout, self.key_columns, rows, store)?;
            for i in 0..rows.len() {
                let (group, _) = self.table.find_or_insert(self.encoder.row(i), &mut self.rows)?;
                self.groups[rows.nth(i)] = group as u32;
            }
            self.grow(self.table.len())?;
        }
        for aggregate in self.aggregates.iter_mut() {
            aggregate.take(batch, self.groups, store, self.arena)?;
        }
        Ok(())
    }

    fn grow(&mut self, groups: usize) -> Result<(), Error<'a>> {
        if groups > self.groups_count {
            self.groups_count = groups;
            for aggregate in self.aggregates.iter_mut() {
                aggregate.states.grow(groups)?;
            }
        }
        Ok(())
    }

    /// Writes the next groups into the output columns.
    fn hand_out(&mut self, first: usize, store: &mut Store<'a>) -> Result<Step, Error<'a>> {
        let count = store.capacity.min(self.groups_count - first);
        self.next_group = Some(first + count);
        if count == 0 {
            return Ok(Step::End);
        }
        let (keys, results) = self.output.split_at(self.keys.len());
        let rows = (first..first + count).map(|group| self.rows.get(self.table.row(group)));
        for (index, &target) in keys.iter().enumerate() {
            self.layout.decode(index, rows.clone(), target, store)?;
        }
        for (aggregate, &target) in self.aggregates.iter().zip(results) {
            let done = aggregate.states.finish(first, count, target, store);
            done.map_err(|error| state_error(error, aggregate.span))?;
        }
        Ok(Step::Emit(BatchRows::all(count)))
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
        store: &mut Store<'a>,
        registers: &mut Registers<'a>,
        arena: &'a Arena,
    ) -> Result<Aggregate<'a>, Error<'a>> {
        let argument = match plan.args.first() {
            Some(argument) => Some(compile(argument, columns, store, registers)?),
            None => None,
        };
        let mut distinct = None;
        if let Some(program) = &argument {
            // Read before the next aggregate's program runs.
            registers.give_back(program)?;
            if plan.distinct {
                distinct = Some(DistinctArguments::open(store.vector(program.result).kind(), store, arena)?);
            }
        }
        let ty = plan.args.first().map_or(Type::Unknown, |argument| argument.ty);
        let states = States::new(plan.function, ty, plan.ty, arena);
        Ok(Aggregate { argument, states, distinct, span: plan.span })
    }

    fn take(
        &mut self,
        batch: BatchRows,
        groups: &[u32],
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<(), Error<'a>> {
        let Some(program) = &mut self.argument else {
            self.states.count_rows(store.rows(batch), groups);
            return Ok(());
        };
        program.run(store, batch)?;
        let batch = match &mut self.distinct {
            Some(distinct) => distinct.keep_new(batch, program.result, groups, store)?,
            None => batch,
        };
        let argument = store.vector(program.result);
        let done = self.states.update(argument, store.rows(batch), groups, store, arena);
        done.map_err(|error| state_error(error, self.span))
    }
}

impl<'a> DistinctArguments<'a> {
    fn open(kind: Kind, store: &mut Store<'a>, arena: &'a Arena) -> Result<DistinctArguments<'a>, Error<'a>> {
        Ok(DistinctArguments {
            layout: RowLayout::keys([kind].into_iter(), arena)?,
            encoder: RowEncoder::new(arena),
            scratch: Vec::new_in(arena),
            rows: RowBlocks::new(arena),
            table: HashTable::new(arena),
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
    input: OperatorId,
    columns: &'a [VectorId],
    layout: RowLayout<'a>,
    encoder: RowEncoder<'a>,
    rows: RowBlocks<'a>,
    table: HashTable<'a>,
    selection: SelectionId,
}

impl<'a> Distinct<'a> {
    pub(crate) fn open(
        input: OperatorId,
        columns: &'a [VectorId],
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<Distinct<'a>, Error<'a>> {
        let layout = RowLayout::keys(columns.iter().map(|&id| store.vector(id).kind()), arena)?;
        Ok(Distinct {
            input,
            columns,
            layout,
            encoder: RowEncoder::new(arena),
            rows: RowBlocks::new(arena),
            table: HashTable::new(arena),
            selection: store.add_selection(arena)?,
        })
    }

    pub(crate) fn resume(&mut self, event: Event, store: &mut Store<'a>) -> Result<Step, Error<'a>> {
        let batch = match event {
            Event::Pull => return Ok(Step::Pull(self.input)),
            Event::End => return Ok(Step::End),
            Event::Batch(batch) => batch,
        };
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
        Ok(if is_empty { Step::Pull(self.input) } else { Step::Emit(passed) })
    }
}
