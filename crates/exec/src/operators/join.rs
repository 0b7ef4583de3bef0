//! Inner joins. The build side is held as bytes in the operator's arena, the probe side streams past it.
//!
//! A kept row of a hash join is the key, then the columns that are read later:
//!
//! ```text
//! | bytes of the key, 4 | key columns | kept columns |
//! ```
//!
//! **Peak bytes**: the kept rows, 4 bytes of length and 16 of table entry for each, 4 for each slot of the table (as
//! many as rows, rounded up to a power of two), and one batch of output columns.
//!
//! **Ladder**: in memory, then the typed error.

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_plan::expr::Expr;
use cofferdam_plan::physical::{HashJoin as PlanHashJoin, NestedLoopJoin as PlanNestedLoopJoin, OperatorId};

use super::gather::{Joined, Match};
use super::{Event, Step};
use crate::batch::{BatchRows, Rows, SelectionId, Store, VectorId};
use crate::error::Error;
use crate::expr::{Program, Registers, Test, compile, passing};
use crate::hash_table::{HashTable, hash_of};
use crate::rows::{RowBlocks, RowEncoder, RowLayout, RowRef};

const KEY_LENGTH_BYTES: usize = 4;
/// Rows of the build side that are linked into the table in one go: a small part of a second. In between a statement can
/// be cancelled.
const LINKED_ROWS: usize = 1 << 20;

/// The key expressions of one side.
#[derive(Debug)]
struct Keys<'a> {
    programs: Vec<'a, Program<'a>>,
    columns: &'a [VectorId],
    layout: RowLayout<'a>,
    encoder: RowEncoder<'a>,
    selection: SelectionId,
}

impl<'a> Keys<'a> {
    fn open(
        exprs: impl ExactSizeIterator<Item = &'a Expr<'a>>,
        columns: &[VectorId],
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<Keys<'a>, Error<'a>> {
        let mut registers = Registers::new(arena);
        let mut programs = Vec::with_capacity_in(exprs.len(), arena)?;
        for expr in exprs {
            programs.push(compile(expr, columns, store, &mut registers)?)?;
        }
        let columns = &*arena.alloc_slice_from_iter(programs.iter().map(|key: &Program<'_>| key.result))?;
        let layout = RowLayout::keys(columns.iter().map(|&id| store.vector(id).kind()), arena)?;
        let selection = store.add_selection(arena)?;
        Ok(Keys { programs, columns, layout, encoder: RowEncoder::new(arena), selection })
    }

    /// Encodes the keys of a batch, and gives the rows that have one: a NULL matches nothing.
    fn encode(&mut self, mut batch: BatchRows, store: &mut Store<'a>) -> Result<BatchRows, Error<'a>> {
        for (program, &column) in self.programs.iter_mut().zip(self.columns) {
            program.run(store, batch)?;
            if store.vector(column).all_valid {
                continue;
            }
            let mut selection = store.take_selection(self.selection);
            let vector = store.vector(column);
            if batch.selection == Some(self.selection) {
                selection.count = keep_valid(vector, selection.rows, selection.count);
            } else {
                selection.count = passing(vector, Test::NotNull, store.rows(batch), selection.rows);
            }
            store.put_selection_back(self.selection, selection);
            batch.selection = Some(self.selection);
        }
        self.encoder.encode(&self.layout, self.columns, store.rows(batch), store)?;
        Ok(batch)
    }
}

fn keep_valid(vector: &crate::batch::Vector<'_>, rows: &mut [u16], count: usize) -> usize {
    let mut kept = 0;
    for i in 0..count {
        let row = rows[i];
        rows[kept] = row;
        kept += usize::from(vector.is_valid(usize::from(row)));
    }
    kept
}

/// Inner equi-join through a hash table over the build side.
#[derive(Debug)]
pub(crate) struct HashJoin<'a> {
    probe: OperatorId,
    build: OperatorId,
    build_keys: Keys<'a>,
    probe_keys: Keys<'a>,
    /// The build side's columns that are kept, and how they become bytes.
    kept_columns: &'a [VectorId],
    payload: RowEncoder<'a>,
    rows: RowBlocks<'a>,
    table: HashTable<'a>,
    joined: Joined<'a>,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Building,
    /// All rows are kept, and those from this one on are not in the table yet.
    Linking {
        next: usize,
    },
    /// Waits for a probe batch.
    Probing,
    /// In a probe batch whose keys are encoded: at the key of this number, behind this entry of its chain.
    Matching {
        batch: BatchRows,
        key: usize,
        after: Option<usize>,
    },
    Done,
}

impl<'a> HashJoin<'a> {
    pub(crate) fn open(
        plan: &PlanHashJoin<'a>,
        probe_columns: &'a [VectorId],
        build_columns: &[VectorId],
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<(HashJoin<'a>, &'a [VectorId]), Error<'a>> {
        let keys = plan.keys;
        let build_keys = Keys::open(keys.iter().map(|key| key.build), build_columns, store, arena)?;
        let probe_keys = Keys::open(keys.iter().map(|key| key.probe), probe_columns, store, arena)?;
        let (joined, columns) =
            Joined::open(probe_columns, build_columns, plan.residual, plan.output, store, arena)?;
        let join = HashJoin {
            probe: plan.probe,
            build: plan.build,
            build_keys,
            probe_keys,
            kept_columns: joined.kept_columns(build_columns, arena)?,
            payload: RowEncoder::new(arena),
            rows: RowBlocks::new(arena),
            table: HashTable::new(arena),
            joined,
            state: State::Building,
        };
        Ok((join, columns))
    }

    pub(crate) fn resume(&mut self, event: Event, store: &mut Store<'a>) -> Result<Step, Error<'a>> {
        match (self.state, event) {
            (State::Building, Event::Pull) => return Ok(Step::Pull(self.build)),
            (State::Building, Event::Batch(batch)) => {
                self.keep(batch, store)?;
                return Ok(Step::Pull(self.build));
            }
            (State::Building, Event::End) => {
                self.table.make_slots()?;
                // Nothing matches an empty side: the other one need not be read.
                self.state = if self.table.len() == 0 { State::Done } else { State::Linking { next: 0 } };
            }
            (State::Probing, Event::Batch(batch)) => {
                let batch = self.probe_keys.encode(batch, store)?;
                self.state = State::Matching { batch, key: 0, after: None };
            }
            (State::Probing, Event::End) => self.state = State::Done,
            _ => {}
        }
        self.go_on(store)
    }

    /// Keeps the rows of a build batch.
    fn keep(&mut self, batch: BatchRows, store: &mut Store<'a>) -> Result<(), Error<'a>> {
        let batch = self.build_keys.encode(batch, store)?;
        let rows = store.rows(batch);
        self.payload.encode(self.joined.layout(), self.kept_columns, rows, store)?;
        for i in 0..rows.len() {
            let key = self.build_keys.encoder.row(i);
            let length = (key.len() as u32).to_le_bytes();
            let row = self.rows.push(&[&length, key, self.payload.row(i)])?;
            self.table.push_unlinked(hash_of(key), row)?;
        }
        Ok(())
    }

    fn go_on(&mut self, store: &mut Store<'a>) -> Result<Step, Error<'a>> {
        loop {
            match self.state {
                State::Building => return Ok(Step::Pull(self.build)),
                State::Linking { next } => match self.table.link_from(next, LINKED_ROWS) {
                    Some(next) => {
                        self.state = State::Linking { next };
                        return Ok(Step::Again);
                    }
                    None => self.state = State::Probing,
                },
                State::Done => return Ok(Step::End),
                State::Probing => return Ok(Step::Pull(self.probe)),
                State::Matching { batch, key, after } => {
                    self.state = self.find_matches(batch, key, after, store)?;
                    if self.joined.matches.is_empty() {
                        continue;
                    }
                    let batch = self.joined.emit(&self.rows, payload_start, store)?;
                    let is_empty = store.rows(batch).len() == 0;
                    return Ok(if is_empty { Step::Again } else { Step::Emit(batch) });
                }
            }
        }
    }

    /// Collects matches until a batch is full or the probe batch is through, and gives the state to go on from.
    fn find_matches(
        &mut self,
        batch: BatchRows,
        mut key: usize,
        mut after: Option<usize>,
        store: &Store<'a>,
    ) -> Result<State, Error<'a>> {
        let rows = store.rows(batch);
        while key < rows.len() {
            let bytes = self.probe_keys.encoder.row(key);
            let hash = hash_of(bytes);
            while let Some(entry) = self.table.find(hash, after) {
                if self.joined.matches.len() == store.capacity {
                    return Ok(State::Matching { batch, key, after });
                }
                after = Some(entry);
                let build = self.table.row(entry);
                if key_of(self.rows.get(build)) == bytes {
                    self.joined.matches.push(Match { probe: rows.nth(key) as u16, build })?;
                }
            }
            key += 1;
            after = None;
        }
        Ok(State::Probing)
    }
}

fn key_of(row: &[u8]) -> &[u8] {
    &row[KEY_LENGTH_BYTES..payload_start(row)]
}

/// Where the kept columns begin in a row.
fn payload_start(row: &[u8]) -> usize {
    let mut length = [0; KEY_LENGTH_BYTES];
    length.copy_from_slice(&row[..KEY_LENGTH_BYTES]);
    KEY_LENGTH_BYTES + u32::from_le_bytes(length) as usize
}

/// Inner join of every pair of rows that satisfies the conjuncts; the build side is held.
#[derive(Debug)]
pub(crate) struct NestedLoopJoin<'a> {
    probe: OperatorId,
    build: OperatorId,
    kept_columns: &'a [VectorId],
    payload: RowEncoder<'a>,
    rows: RowBlocks<'a>,
    joined: Joined<'a>,
    state: LoopState,
}

#[derive(Clone, Copy, Debug)]
enum LoopState {
    Building,
    Probing,
    /// At the probe row of this number, before the build row at this place.
    Pairing {
        batch: BatchRows,
        probe: usize,
        build: RowRef,
    },
    Done,
}

impl<'a> NestedLoopJoin<'a> {
    pub(crate) fn open(
        plan: &PlanNestedLoopJoin<'a>,
        probe_columns: &'a [VectorId],
        build_columns: &[VectorId],
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<(NestedLoopJoin<'a>, &'a [VectorId]), Error<'a>> {
        let (joined, columns) =
            Joined::open(probe_columns, build_columns, plan.conjuncts, plan.output, store, arena)?;
        let join = NestedLoopJoin {
            probe: plan.probe,
            build: plan.build,
            kept_columns: joined.kept_columns(build_columns, arena)?,
            payload: RowEncoder::new(arena),
            rows: RowBlocks::new(arena),
            joined,
            state: LoopState::Building,
        };
        Ok((join, columns))
    }

    pub(crate) fn resume(&mut self, event: Event, store: &mut Store<'a>) -> Result<Step, Error<'a>> {
        match (self.state, event) {
            (LoopState::Building, Event::Batch(batch)) => {
                let rows = store.rows(batch);
                self.payload.encode(self.joined.layout(), self.kept_columns, rows, store)?;
                for i in 0..rows.len() {
                    self.rows.push(&[self.payload.row(i)])?;
                }
            }
            (LoopState::Building, Event::End) => {
                let is_empty = self.rows.next(RowRef::default()).is_none();
                self.state = if is_empty { LoopState::Done } else { LoopState::Probing };
            }
            (LoopState::Probing, Event::Batch(batch)) => {
                self.state = LoopState::Pairing { batch, probe: 0, build: RowRef::default() };
            }
            (LoopState::Probing, Event::End) => self.state = LoopState::Done,
            _ => {}
        }
        match self.state {
            LoopState::Building => Ok(Step::Pull(self.build)),
            LoopState::Done => Ok(Step::End),
            LoopState::Probing => Ok(Step::Pull(self.probe)),
            LoopState::Pairing { batch, probe, build } => {
                self.state = self.pair(batch, probe, build, store.rows(batch), store.capacity)?;
                let batch = self.joined.emit(&self.rows, |_| 0, store)?;
                let is_empty = store.rows(batch).len() == 0;
                Ok(if is_empty { Step::Again } else { Step::Emit(batch) })
            }
        }
    }

    /// Collects pairs until a batch is full or the probe batch is through.
    fn pair(
        &mut self,
        batch: BatchRows,
        mut probe: usize,
        mut build: RowRef,
        rows: Rows<'_>,
        capacity: usize,
    ) -> Result<LoopState, Error<'a>> {
        while probe < rows.len() {
            while let Some((row, next)) = self.rows.next(build) {
                if self.joined.matches.len() == capacity {
                    return Ok(LoopState::Pairing { batch, probe, build });
                }
                self.joined.matches.push(Match { probe: rows.nth(probe) as u16, build: row })?;
                build = next;
            }
            probe += 1;
            build = RowRef::default();
        }
        Ok(LoopState::Probing)
    }
}
