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

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{Arena, BudgetAlloc};
use cofferdam_plan::expr::Expr;
use cofferdam_plan::physical::{
    HashJoin as PlanHashJoin, JoinKind, NestedLoopJoin as PlanNestedLoopJoin, OperatorId,
};

use super::State;
use super::gather::{Joined, Match, kept_columns};
use crate::batch::{BatchRows, Rows, SelectionId, Store, VectorId};
use crate::error::Error;
use crate::expr::{Program, Registers, Test, compile, passing};
use crate::hash_table::{HashTable, hash_of};
use crate::pipeline::{Context, Opening, Passed};
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

/// The build side of a hash join.
#[derive(Debug)]
pub(crate) struct Build {
    rows: RowBlocks,
    table: HashTable,
}

impl Build {
    fn of(state: &mut State) -> &mut Build {
        let State::HashJoin(build) = state else { unreachable!("the sink of the join made it") };
        build
    }
}

/// Keeps the build side.
#[derive(Debug)]
pub(crate) struct BuildSink<'a> {
    id: OperatorId,
    keys: Keys<'a>,
    kept_columns: &'a [VectorId],
    layout: RowLayout<'a>,
    payload: RowEncoder<'a>,
    /// The first row that is not in the table, once all are kept.
    next: Option<usize>,
}

impl<'a> BuildSink<'a> {
    pub(crate) fn open(
        plan: &PlanHashJoin<'a>,
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<BuildSink<'a>, Error<'a>> {
        let arena = opening.arena;
        let columns = opening.columns_of(plan.build);
        let keys = Keys::open(plan.keys.iter().map(|key| key.build), columns, store, arena)?;
        let kept_columns = kept_columns(plan.probe, plan.build, plan.residual, plan.output, opening)?;
        let layout = RowLayout::new(kept_columns.iter().map(|&id| store.vector(id).kind()), arena)?;
        let pieces = BudgetAlloc::new(opening.budget());
        *cx.state(opening.id) =
            State::HashJoin(Build { rows: RowBlocks::new(&pieces), table: HashTable::new(&pieces) });
        let payload = RowEncoder::new(arena);
        Ok(BuildSink { id: opening.id, keys, kept_columns, layout, payload, next: None })
    }

    /// Keeps the rows of a batch.
    pub(crate) fn take(
        &mut self,
        batch: BatchRows,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<(), Error<'a>> {
        let build = Build::of(cx.state(self.id));
        let batch = self.keys.encode(batch, store)?;
        let rows = store.rows(batch);
        self.payload.encode(&self.layout, self.kept_columns, rows, store)?;
        for i in 0..rows.len() {
            let key = self.keys.encoder.row(i);
            let length = (key.len() as u32).to_le_bytes();
            let row = build.rows.push(&[&length, key, self.payload.row(i)])?;
            build.table.push_unlinked(hash_of(key), row)?;
        }
        Ok(())
    }

    pub(crate) fn finish(&mut self, cx: &mut Context<'_>) -> Result<bool, Error<'a>> {
        let table = &mut Build::of(cx.state(self.id)).table;
        if self.next.is_none() {
            table.make_slots()?;
        }
        self.next = table.link_from(self.next.unwrap_or(0), LINKED_ROWS);
        Ok(self.next.is_none())
    }
}

/// Inner equi-join through a hash table over the build side: the probe side.
#[derive(Debug)]
pub(crate) struct HashJoin<'a> {
    id: OperatorId,
    keys: Keys<'a>,
    joined: Joined<'a>,
    state: Place,
}

/// At the key of this number of a probe batch, behind this entry of its chain.
#[derive(Clone, Copy, Debug)]
struct Place {
    batch: BatchRows,
    key: usize,
    after: Option<usize>,
}

impl<'a> HashJoin<'a> {
    pub(crate) fn open(
        plan: &PlanHashJoin<'a>,
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
        _cx: &mut Context<'_>,
    ) -> Result<(HashJoin<'a>, &'a [VectorId]), Error<'a>> {
        if plan.kind != JoinKind::Inner {
            return Err(Error::NotSupported { what: "outer join" });
        }
        let arena = opening.arena;
        let columns = opening.columns_of(plan.probe);
        let keys = Keys::open(plan.keys.iter().map(|key| key.probe), columns, store, arena)?;
        let (joined, columns) =
            Joined::open(plan.probe, plan.build, plan.residual, plan.output, opening, store)?;
        let state = Place { batch: BatchRows::all(0), key: 0, after: None };
        Ok((HashJoin { id: opening.id, keys, joined, state }, columns))
    }

    /// Nothing matches an empty side: the other one need not be read.
    pub(crate) fn is_finished(&self, operator: OperatorId, cx: &mut Context<'_>) -> bool {
        Build::of(cx.state(operator)).table.len() == 0
    }

    pub(crate) fn push(
        &mut self,
        batch: BatchRows,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<Passed, Error<'a>> {
        let batch = self.keys.encode(batch, store)?;
        self.state = Place { batch, key: 0, after: None };
        self.more(store, cx)
    }

    pub(crate) fn more(&mut self, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<Passed, Error<'a>> {
        let build = Build::of(cx.state(self.id));
        let Place { batch, key, after } = self.state;
        let is_through = self.find_matches(build, batch, key, after, store)?;
        if self.joined.matches.is_empty() {
            return Ok(Passed::Nothing);
        }
        let batch = self.joined.emit(&build.rows, payload_start, store)?;
        Ok(match (store.rows(batch).len(), is_through) {
            (0, true) => Passed::Nothing,
            (0, false) => Passed::Again,
            (_, true) => Passed::Batch(batch),
            (_, false) => Passed::More(batch),
        })
    }

    /// Collects matches until a batch is full or the probe batch is through, which it gives.
    fn find_matches(
        &mut self,
        build: &Build,
        batch: BatchRows,
        mut key: usize,
        mut after: Option<usize>,
        store: &Store<'a>,
    ) -> Result<bool, Error<'a>> {
        let rows = store.rows(batch);
        while key < rows.len() {
            let bytes = self.keys.encoder.row(key);
            let hash = hash_of(bytes);
            while let Some(entry) = build.table.find(hash, after) {
                if self.joined.matches.len() == store.capacity {
                    self.state = Place { batch, key, after };
                    return Ok(false);
                }
                after = Some(entry);
                let row = build.table.row(entry);
                if key_of(build.rows.get(row)) == bytes {
                    self.joined.matches.push(Match { probe: rows.nth(key) as u16, build: row })?;
                }
            }
            key += 1;
            after = None;
        }
        Ok(true)
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

/// The build side of a nested loop join.
#[derive(Debug)]
pub(crate) struct Pages {
    rows: RowBlocks,
}

impl Pages {
    fn of(state: &mut State) -> &mut Pages {
        let State::LoopJoin(pages) = state else { unreachable!("the sink of the join made it") };
        pages
    }
}

/// Keeps the build side of a nested loop join.
#[derive(Debug)]
pub(crate) struct PagesSink<'a> {
    id: OperatorId,
    kept_columns: &'a [VectorId],
    layout: RowLayout<'a>,
    payload: RowEncoder<'a>,
}

impl<'a> PagesSink<'a> {
    pub(crate) fn open(
        plan: &PlanNestedLoopJoin<'a>,
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<PagesSink<'a>, Error<'a>> {
        let arena = opening.arena;
        let kept_columns = kept_columns(plan.probe, plan.build, plan.conjuncts, plan.output, opening)?;
        let layout = RowLayout::new(kept_columns.iter().map(|&id| store.vector(id).kind()), arena)?;
        let pieces = BudgetAlloc::new(opening.budget());
        *cx.state(opening.id) = State::LoopJoin(Pages { rows: RowBlocks::new(&pieces) });
        Ok(PagesSink { id: opening.id, kept_columns, layout, payload: RowEncoder::new(arena) })
    }

    pub(crate) fn take(
        &mut self,
        batch: BatchRows,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<(), Error<'a>> {
        let pages = Pages::of(cx.state(self.id));
        let rows = store.rows(batch);
        self.payload.encode(&self.layout, self.kept_columns, rows, store)?;
        for i in 0..rows.len() {
            pages.rows.push(&[self.payload.row(i)])?;
        }
        Ok(())
    }
}

/// Inner join of every pair of rows that satisfies the conjuncts; the build side is held.
#[derive(Debug)]
pub(crate) struct NestedLoopJoin<'a> {
    id: OperatorId,
    joined: Joined<'a>,
    batch: BatchRows,
    /// At the probe row of this number, before the build row at this place.
    probe: usize,
    build: RowRef,
}

impl<'a> NestedLoopJoin<'a> {
    pub(crate) fn open(
        plan: &PlanNestedLoopJoin<'a>,
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
        _cx: &mut Context<'_>,
    ) -> Result<(NestedLoopJoin<'a>, &'a [VectorId]), Error<'a>> {
        if plan.kind != JoinKind::Inner {
            return Err(Error::NotSupported { what: "outer join" });
        }
        let (joined, columns) =
            Joined::open(plan.probe, plan.build, plan.conjuncts, plan.output, opening, store)?;
        let (batch, build) = (BatchRows::all(0), RowRef::default());
        Ok((NestedLoopJoin { id: opening.id, joined, batch, probe: 0, build }, columns))
    }

    /// Nothing goes with an empty side: the other one need not be read.
    pub(crate) fn is_finished(&self, operator: OperatorId, cx: &mut Context<'_>) -> bool {
        Pages::of(cx.state(operator)).rows.next(RowRef::default()).is_none()
    }

    pub(crate) fn push(
        &mut self,
        batch: BatchRows,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<Passed, Error<'a>> {
        (self.batch, self.probe, self.build) = (batch, 0, RowRef::default());
        self.more(store, cx)
    }

    pub(crate) fn more(&mut self, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<Passed, Error<'a>> {
        let pages = Pages::of(cx.state(self.id));
        let is_through = self.pair(pages, store.rows(self.batch), store.capacity)?;
        let batch = self.joined.emit(&pages.rows, |_| 0, store)?;
        Ok(match (store.rows(batch).len(), is_through) {
            (0, true) => Passed::Nothing,
            (0, false) => Passed::Again,
            (_, true) => Passed::Batch(batch),
            (_, false) => Passed::More(batch),
        })
    }

    /// Collects pairs until a batch is full or the probe batch is through, which it gives.
    fn pair(&mut self, pages: &Pages, rows: Rows<'_>, capacity: usize) -> Result<bool, Error<'a>> {
        while self.probe < rows.len() {
            while let Some((row, next)) = pages.rows.next(self.build) {
                if self.joined.matches.len() == capacity {
                    return Ok(false);
                }
                self.joined.matches.push(Match { probe: rows.nth(self.probe) as u16, build: row })?;
                self.build = next;
            }
            self.probe += 1;
            self.build = RowRef::default();
        }
        Ok(true)
    }
}
