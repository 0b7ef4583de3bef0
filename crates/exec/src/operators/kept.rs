//! Rows that are kept as they are: of a `Materialize` for the scans that read it, and of a recursion from round to round.
//!
//! ```text
//! base ──> next ──turn──> rows ──> handed out ──> round: step reads rows, writes next ──turn──> …
//!           └── UNION: only rows that `seen` has not
//! ```
//!
//! A `Materialize` is the same with one turn, behind its last row.
//!
//! | file | holds |
//! |---|---|
//! | `queue` | rows in the order they came, in memory or in a file |
//! | `seen` | which rows a recursion has given |
//!
//! **Peak bytes**: the rows with 12 bytes beside each; of a recursion those of two rounds, and with `UNION` the distinct keys
//! with 16 bytes and about 10 of table for each. Before more is held than that, what files need is reserved: two blocks, or one for
//! each of 8 or 16 partitions and four, and a filter.
//!
//! **Ladder**: in memory → the rows go to a file, and those that come behind them too; of a recursion whichever of its parts holds the
//! most ([`Counters::spilled_files`], for seen rows [`Counters::partitions_spilled`]) → rows that wait to be told from seen ones and
//! do not fit are taken block by block ([`Counters::blocks`]) → the typed error. Rows go to files when they are refused memory, when they
//! leave too little for others, and when others ask for it.
//!
//! [`Counters::spilled_files`]: crate::Counters::spilled_files
//! [`Counters::partitions_spilled`]: crate::Counters::partitions_spilled
//! [`Counters::blocks`]: crate::Counters::blocks

mod queue;
mod seen;

use allocator_api2::boxed::Box;
use cofferdam_arena::{AllocError, Budget, BudgetAlloc, InlineText};
use cofferdam_plan::physical::{OperatorId, OperatorKind};

use self::queue::{Position, RowQueue, refusal};
use self::seen::{Passing, Seen};
use super::State;
use super::aggregate::table::hash_of;
use crate::batch::{BatchRows, Store, VectorId};
use crate::canonical::ComparedColumns;
use crate::error::Error;
use crate::pipeline::{
    Context, Counters, ListId, Opening, Output, batch_bytes_max, has_room, headroom_bytes,
};
use crate::rows::{RowEncoder, RowLayout};
use crate::spill::{IsCancelled, Reserve, SpillFailure, SpillSpace, block_bytes};

/// Files are open at once: one that is read, and one that is written.
const QUEUE_SLOTS: usize = 2;

/// The rows of an operator out of line: they are large beside what others leave behind.
pub(crate) type OwnedKept = Box<Kept, BudgetAlloc>;

/// Rows of an operator.
#[derive(Debug)]
pub(crate) struct Kept {
    budget: Budget,
    block_bytes: usize,
    headroom_bytes: u64,
    /// Those that are read: all, or those of the last round.
    rows: RowQueue,
    /// Those that come: all, or those of the round that is under way.
    next: RowQueue,
    /// All rows so far, if they are given once.
    seen: Option<Seen>,
    spilling: Spilling,
}

/// Whether there are files, or could be.
#[derive(Debug)]
enum Spilling {
    Impossible,
    /// The reserve is taken when so many bytes are held.
    Possible {
        space: SpillSpace,
        name: InlineText<32>,
        at_bytes: u64,
    },
    Ready(Reserve),
}

impl Spilling {
    fn reserve(&mut self) -> Option<&mut Reserve> {
        match self {
            Spilling::Ready(reserve) => Some(reserve),
            _ => None,
        }
    }
}

impl Kept {
    fn new(budget: &Budget, space: Option<&SpillSpace>, is_distinct: bool) -> Result<OwnedKept, AllocError> {
        let limit_bytes = budget.limit_on_path();
        let block_bytes = block_bytes(limit_bytes);
        let seen = is_distinct.then(|| Seen::new(budget, block_bytes));
        let mut kept = Kept {
            budget: budget.clone(),
            block_bytes,
            headroom_bytes: headroom_bytes(limit_bytes),
            rows: RowQueue::new(budget, block_bytes),
            next: RowQueue::new(budget, block_bytes),
            seen,
            spilling: Spilling::Impossible,
        };
        if let Some(space) = space.filter(|space| space.is_enabled()) {
            let (space, name) = (space.clone(), InlineText::new(budget.name()));
            kept.spilling = Spilling::Possible { space, name, at_bytes: kept.reserve_bytes() / 2 };
        }
        Box::try_new_in(kept, BudgetAlloc::new(budget)).map_err(|_| AllocError)
    }

    /// How many files are open at once, and how many there are at once.
    fn files(&self) -> (usize, usize) {
        files(self.seen.is_some(), self.budget.limit_on_path())
    }

    fn reserve_bytes(&self) -> u64 {
        reserve_bytes(self.seen.is_some(), self.budget.limit_on_path(), self.block_bytes)
    }

    fn held_bytes(&self) -> u64 {
        let seen = self.seen.as_ref().map_or(0, Seen::held_bytes);
        self.rows.held_bytes() + self.next.held_bytes() + seen
    }

    /// What goes to files could give back, if it is worth it.
    pub(crate) fn yieldable_bytes(&self) -> u64 {
        let held = self.held_bytes();
        let is_ready = matches!(self.spilling, Spilling::Ready(_));
        if is_ready && held >= 2 * self.block_bytes as u64 { held } else { 0 }
    }

    /// Gives memory back for others; false if it has none to give.
    ///
    /// # Errors
    /// Those of files.
    pub(crate) fn yield_memory(&mut self, is_cancelled: IsCancelled<'_>) -> Result<bool, SpillFailure> {
        if self.yieldable_bytes() == 0 { Ok(false) } else { self.evict(is_cancelled) }
    }

    /// As [`Kept::prepare`], with the smallest blocks, where there is no room for those that are wanted.
    fn prepare_least(&mut self) -> Result<(), AllocError> {
        let wanted = core::mem::replace(&mut self.block_bytes, block_bytes(0));
        let prepared = self.prepare();
        if prepared.is_err() {
            self.block_bytes = wanted;
        }
        prepared
    }

    /// Takes what files need.
    fn prepare(&mut self) -> Result<(), AllocError> {
        let (slots, files_max) = self.files();
        let Spilling::Possible { space, name, .. } = &self.spilling else { return Ok(()) };
        if !has_room(&self.budget, self.reserve_bytes()) {
            return Err(AllocError);
        }
        let reserve = Reserve::new(space, name.as_str(), &self.budget, self.block_bytes, slots, files_max)?;
        if let Some(seen) = &mut self.seen {
            seen.prepare()?;
        }
        self.spilling = Spilling::Ready(reserve);
        Ok(())
    }

    /// Writes the part that holds the most to files; false if there is nothing to write, or nowhere.
    fn evict(&mut self, is_cancelled: IsCancelled<'_>) -> Result<bool, SpillFailure> {
        let Spilling::Ready(reserve) = &mut self.spilling else { return Ok(false) };
        let seen_bytes = self.seen.as_ref().map_or(0, Seen::held_bytes);
        if let Some(seen) = &mut self.seen
            && seen_bytes >= self.rows.held_bytes().max(self.next.held_bytes())
        {
            return seen.evict(reserve, is_cancelled);
        }
        let rows =
            if self.rows.held_bytes() > self.next.held_bytes() { &mut self.rows } else { &mut self.next };
        rows.evict(reserve, is_cancelled)
    }

    /// Has whoever holds the most give memory back, itself or another.
    ///
    /// # Errors
    /// `refused` if nobody can. Those of files.
    fn make_room<'a>(
        &mut self,
        id: OperatorId,
        refused: AllocError,
        cx: &mut Context<'_>,
    ) -> Result<(), Error<'a>> {
        let is_made = cx.relieve(Some(id), self.held_bytes())?
            || ((self.prepare().is_ok() || self.prepare_least().is_ok()) && self.evict(cx.is_cancelled)?)
            || cx.relieve(Some(id), 1)?;
        if is_made { Ok(()) } else { Err(refused.into()) }
    }

    /// Between batches: reserves what files need as soon as it is small beside what is held, and leaves room for others.
    fn settle<'a>(&mut self, id: OperatorId, cx: &mut Context<'_>) -> Result<(), Error<'a>> {
        if let Spilling::Possible { at_bytes, .. } = self.spilling
            && self.held_bytes() >= at_bytes
        {
            // Refused, it is asked for again when a row is; then it is an error.
            let _ = self.prepare();
        }
        while self.yieldable_bytes() > 0 && !has_room(&self.budget, self.headroom_bytes) {
            let is_made = cx.relieve(Some(id), self.yieldable_bytes())? || self.evict(cx.is_cancelled)?;
            if !is_made {
                break;
            }
        }
        Ok(())
    }

    /// Behind the last row: what came is what is read, and room for what comes next.
    fn turn(&mut self) {
        core::mem::swap(&mut self.rows, &mut self.next);
        self.next.clear(self.spilling.reserve());
    }

    /// Notes what files took.
    fn count(&self, counters: &mut Counters) {
        if let Spilling::Ready(reserve) = &self.spilling {
            let counts = reserve.io.owner().counts();
            counters.spilled_bytes = counts.bytes_total;
            counters.spilled_files = counts.files_total;
        }
        if let Some(seen) = &self.seen {
            (counters.partitions_spilled, counters.blocks) = seen.counts();
        }
    }
}

/// How many files are open at once, and how many there are at once.
fn files(is_distinct: bool, limit_bytes: u64) -> (usize, usize) {
    match is_distinct {
        true => (seen::slots_count(limit_bytes), seen::files_max(limit_bytes)),
        false => (QUEUE_SLOTS, QUEUE_SLOTS + 1),
    }
}

/// What files need under a limit.
pub(super) fn minimum_bytes(is_distinct: bool, limit_bytes: u64) -> u64 {
    reserve_bytes(is_distinct, limit_bytes, block_bytes(limit_bytes))
}

fn reserve_bytes(is_distinct: bool, limit_bytes: u64, block_bytes: usize) -> u64 {
    let prepared = if is_distinct { seen::prepared_bytes(limit_bytes) } else { 0 };
    Reserve::charged_bytes(files(is_distinct, limit_bytes).0, block_bytes) + prepared
}

fn kept<'c>(cx: &'c mut Context<'_>, id: OperatorId) -> &'c mut Kept {
    let State::Kept(kept) = cx.state(id) else { unreachable!("it is kept until the last scan has read it") };
    kept
}

/// What a sink's rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Materialize,
    /// Those that a recursion begins with.
    Base {
        is_distinct: bool,
    },
    Round,
}

/// Keeps the rows of a `Materialize`, or those that a recursion begins with, or those of a round.
#[derive(Debug)]
pub(crate) struct KeptSink<'a> {
    id: OperatorId,
    role: Role,
    columns: &'a [VectorId],
    layout: RowLayout<'a>,
    encoder: RowEncoder<'a>,
    keys: Option<Keys<'a>>,
}

/// How rows are compared.
#[derive(Debug)]
struct Keys<'a> {
    compared: ComparedColumns<'a>,
    layout: RowLayout<'a>,
    encoder: RowEncoder<'a>,
}

impl<'a> KeptSink<'a> {
    pub(crate) fn open(
        input: OperatorId,
        role: Role,
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<KeptSink<'a>, Error<'a>> {
        let (id, arena) = (opening.id, opening.arena);
        if role != Role::Round {
            let is_distinct = role == Role::Base { is_distinct: true };
            *cx.state(id) = State::Kept(Kept::new(opening.budget(), cx.spill, is_distinct)?);
        }
        let columns = opening.columns_of(input);
        let mut keys = None;
        if kept(cx, id).seen.is_some() {
            let types = opening.operators[input.index()].columns.iter().map(|column| column.ty);
            let compared = ComparedColumns::open(columns.iter().copied().zip(types), store, arena)?;
            let kinds = compared.columns.iter().map(|&id| store.vector(id).kind());
            let layout = RowLayout::keys(kinds, arena)?;
            keys = Some(Keys { compared, layout, encoder: RowEncoder::new(arena) });
        }
        let layout = RowLayout::new(opening.kinds_of(input), arena)?;
        Ok(KeptSink { id, role, columns, layout, encoder: RowEncoder::new(arena), keys })
    }

    pub(crate) fn take(
        &mut self,
        batch: BatchRows,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<(), Error<'a>> {
        self.with_kept(cx, |sink, kept, cx| sink.keep(batch, kept, store, cx))
    }

    /// Lends the rows, whose slot others need not look into meanwhile.
    fn with_kept<T>(
        &mut self,
        cx: &mut Context<'_>,
        work: impl FnOnce(&mut KeptSink<'a>, &mut Kept, &mut Context<'_>) -> Result<T, Error<'a>>,
    ) -> Result<T, Error<'a>> {
        let State::Kept(mut kept) = cx.take_state(self.id) else {
            unreachable!("it was made when this was opened")
        };
        let outcome = work(self, &mut kept, cx);
        *cx.state(self.id) = State::Kept(kept);
        outcome
    }

    fn keep(
        &mut self,
        batch: BatchRows,
        kept: &mut Kept,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<(), Error<'a>> {
        while let Err(refused) = self.encode(batch, store) {
            kept.make_room(self.id, refused, cx)?;
        }
        for i in 0..store.rows(batch).len() {
            if let (Some(keys), Some(_)) = (&self.keys, &kept.seen) {
                let (key, row) = (keys.encoder.row(i), self.encoder.row(i));
                if !self.passes(key, row, kept, cx)? {
                    continue;
                }
            }
            loop {
                let pushed = kept.next.push(self.encoder.row(i), kept.spilling.reserve(), cx.is_cancelled);
                let Err(failure) = pushed else { break };
                kept.make_room(self.id, refusal(failure)?, cx)?;
            }
        }
        kept.settle(self.id, cx)
    }

    fn encode(&mut self, batch: BatchRows, store: &mut Store<'a>) -> Result<(), AllocError> {
        if let Some(Keys { compared, layout, encoder }) = &mut self.keys {
            compared.run(batch, store)?;
            encoder.encode(layout, compared.columns, store.rows(batch), store)?;
        }
        self.encoder.encode(&self.layout, self.columns, store.rows(batch), store)
    }

    /// Whether a row is new, as far as that is known.
    fn passes(
        &self,
        key: &[u8],
        row: &[u8],
        kept: &mut Kept,
        cx: &mut Context<'_>,
    ) -> Result<bool, Error<'a>> {
        let hash = hash_of(key);
        loop {
            let Kept { seen: Some(seen), spilling, .. } = kept else { return Ok(true) };
            let outcome = match (seen.pass(hash, key), spilling.reserve()) {
                (Ok(Passing::Waits), Some(reserve)) => {
                    seen.wait(hash, key, row, reserve, cx.is_cancelled).map(|()| false)
                }
                (Ok(passing), _) => Ok(passing == Passing::Now),
                (Err(refused), _) => Err(refused.into()),
            };
            match outcome {
                Ok(is_new) => return Ok(is_new),
                Err(failure) => kept.make_room(self.id, refusal(failure)?, cx)?,
            }
        }
    }

    /// Tells the rows that have waited from those that were seen.
    pub(crate) fn finish(&mut self, cx: &mut Context<'_>) -> Result<bool, Error<'a>> {
        self.with_kept(cx, |sink, kept, cx| {
            let is_through = loop {
                let Kept { next, seen, spilling, .. } = &mut *kept;
                let outcome = match (seen, spilling.reserve()) {
                    (Some(seen), Some(reserve)) => seen.drain(next, reserve, cx.is_cancelled),
                    _ => Ok(true),
                };
                match outcome {
                    Ok(is_through) => break is_through,
                    Err(failure) => kept.make_room(sink.id, refusal(failure)?, cx)?,
                }
            };
            if is_through {
                if let Some(reserve) = kept.spilling.reserve() {
                    kept.next.finish(reserve, cx.is_cancelled)?;
                }
                if sink.role == Role::Materialize {
                    kept.turn();
                }
            } else {
                kept.settle(sink.id, cx)?;
            }
            kept.count(cx.counters(sink.id));
            Ok(is_through)
        })
    }
}

/// Reads kept rows.
#[derive(Debug)]
pub(crate) struct KeptSource<'a> {
    whose: OperatorId,
    /// Whether rows are given back behind the reading.
    consumes: bool,
    position: Position,
    /// The rows of a batch.
    batch: RowEncoder<'a>,
    /// So many of them at most, but for one.
    batch_bytes_max: u64,
    layout: RowLayout<'a>,
    output: &'a [VectorId],
}

impl<'a> KeptSource<'a> {
    fn open(
        whose: OperatorId,
        consumes: bool,
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
    ) -> Result<(KeptSource<'a>, &'a [VectorId]), Error<'a>> {
        let output = opening.add_columns(store)?;
        let source = KeptSource {
            whose,
            consumes,
            position: Position::default(),
            batch: RowEncoder::new(opening.arena),
            batch_bytes_max: batch_bytes_max(opening.budget().limit_on_path()),
            layout: RowLayout::new(opening.kinds_of(opening.id), opening.arena)?,
            output,
        };
        Ok((source, output))
    }

    /// Reads what a `Materialize` keeps.
    pub(crate) fn open_cte(
        cte: OperatorId,
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
    ) -> Result<(KeptSource<'a>, &'a [VectorId]), Error<'a>> {
        KeptSource::open(cte, opening.consumes, opening, store)
    }

    /// Reads the last round of the recursion of this number.
    pub(crate) fn open_working(
        working: u32,
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
    ) -> Result<(KeptSource<'a>, &'a [VectorId]), Error<'a>> {
        let is_it = |kind: &OperatorKind<'_>| matches!(kind, OperatorKind::Recursive { working: of, .. } if *of == working);
        let index = opening.operators.iter().position(|operator| is_it(&operator.kind));
        let index = index.expect("a working table is that of a recursion of the plan");
        KeptSource::open(OperatorId::new(index as u32), false, opening, store)
    }

    pub(crate) fn next(&mut self, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<Output, Error<'a>> {
        let position = self.position;
        loop {
            let refused = match self.read(store, cx) {
                Err(Error::OutOfMemory(refused)) => refused,
                outcome => return outcome,
            };
            // Rows may be elsewhere afterwards, so all are read again.
            self.position = position;
            if !cx.relieve(None, 1)? {
                return Err(Error::OutOfMemory(refused));
            }
        }
    }

    fn read(&mut self, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<Output, Error<'a>> {
        let is_cancelled = cx.is_cancelled;
        let kept = kept(cx, self.whose);
        self.batch.clear()?;
        let (mut count, mut bytes) = (0, 0);
        while count < store.capacity && bytes < self.batch_bytes_max {
            let row = kept.rows.next(&mut self.position, kept.spilling.reserve(), is_cancelled)?;
            let Some(row) = row else { break };
            self.batch.push(row)?;
            (count, bytes) = (count + 1, bytes + row.len() as u64);
        }
        if count == 0 {
            let mut counters = *cx.counters(self.whose);
            self::kept(cx, self.whose).count(&mut counters);
            *cx.counters(self.whose) = counters;
            return Ok(Output::End);
        }
        let rows = (0..count).map(|row| self.batch.row(row));
        for (index, &target) in self.output.iter().enumerate() {
            self.layout.decode(index, rows.clone(), target, store)?;
        }
        if self.consumes {
            kept.rows.release_before(&self.position);
        }
        Ok(Output::Batch(BatchRows::all(count)))
    }
}

/// Hands out the rows of a recursion, and asks for rounds.
#[derive(Debug)]
pub(crate) struct RecursionSource<'a> {
    id: OperatorId,
    rounds: ListId,
    rows: KeptSource<'a>,
    /// Whether the rows of the last round are being handed out.
    is_handing_out: bool,
}

impl<'a> RecursionSource<'a> {
    pub(crate) fn open(
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
    ) -> Result<(RecursionSource<'a>, &'a [VectorId]), Error<'a>> {
        let (rows, columns) = KeptSource::open(opening.id, false, opening, store)?;
        let rounds = opening.rounds.expect("a recursion has rounds");
        Ok((RecursionSource { id: opening.id, rounds, rows, is_handing_out: false }, columns))
    }

    pub(crate) fn next(&mut self, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<Output, Error<'a>> {
        if !self.is_handing_out {
            // A round is over.
            let kept = kept(cx, self.id);
            kept.turn();
            if kept.rows.is_empty() {
                return Ok(Output::End);
            }
            self.rows.position = Position::default();
            self.is_handing_out = true;
        }
        let output = self.rows.next(store, cx)?;
        if output == Output::End {
            self.is_handing_out = false;
            return Ok(Output::Round(self.rounds));
        }
        Ok(output)
    }
}
