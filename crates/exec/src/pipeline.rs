//! Pipelines: a plan cut into pieces through which batches flow, and the loop that carries them.
//!
//! ```text
//!   0 Scan a ─┐                                   pipeline 0:  Scan b ─────────────────> join table of 2
//!             ├─ 2 HashJoin ── 3 HashAggregate    pipeline 1:  Scan a ── probe of 2 ───> groups of 3
//!   1 Scan b ─┘                                   answer:      groups of 3 ────────────> the caller
//! ```
//!
//! A pipeline has one or several *chains* (several below a `Concat`, one after the other), each a *source* and *steps*, and
//! a *sink*; the last one has none: its batches are the answer. An operator has up to three roles and one file, with an
//! `open` for each role:
//!
//! | role | is asked | answers |
//! |---|---|---|
//! | [`Source`] | `next` | [`Output`]: a batch, `Again`, `Round`, `End` |
//! | [`Step`] | `push(batch)`, `more` while it said so, after the input's end `finish` until `End` | [`Passed`], [`Output`] |
//! | [`Sink`] | `take(batch)`, then `finish` until it is done | |
//!
//! To add an operator: a variant in each of its roles in `operators/mod.rs`, what it leaves behind in [`State`], its case in
//! [`Schedule::cut`] if it is of a new shape.
//!
//! **What one pipeline leaves for others** is owned data (no lifetime, [`State`]) in the slot of its operator, found by
//! [`Context::state`]. A sink makes it when it is opened and writes to it there (or takes it out with
//! [`Context::take_state`] and puts it back), so that between two batches whoever is short of memory finds it. The slot is
//! emptied behind the last pipeline that reads it. What a source reads is its own to destroy if [`Opening::consumes`].
//!
//! **Memory.** Every pipeline but the last runs from its begin to its end in one call, with arenas of its own (one for each
//! operator, on the operator's budget, and one for the lists): vectors, programs, scratch and sources are given back with
//! them. A chain is opened when it is its turn. Errors are copied to the statement's arena on the way out.
//!
//! **Rounds.** A `Recursive` is a source that asks for a round ([`Output::Round`]) when the rows of the last one have been handed
//! out. Pipelines that depend on its working table are in a list of their own, which is run for each round; everything
//! else ran before and stays. So a LIMIT above ends an endless recursion.
//!
//! # Invariants
//! - **L1** A pipeline reads what pipelines before it in its list, or in lists around it, left behind.
//! - **L2** A batch is never empty, and its columns are good until its maker is asked again.
//! - **L3** After an error nothing is asked any more.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena, Budget};
use cofferdam_plan::expr::ExprKind;
use cofferdam_plan::physical::{Limit, Operator, OperatorId, OperatorKind, TableFunction};
use cofferdam_store::Pieces;
use cofferdam_types::Value;

use crate::batch::{BatchRows, Kind, Store, VectorId};
use crate::error::Error;
use crate::exchange::{Fed, Feed, Morsels, takes_any_order};
use crate::measure::Laps;
use crate::operators::{KeyFilter, Sink, Source, State, Step};
use crate::progress::Progress;
use crate::spill::SpillSpace;
use crate::tables::{EngineRows, Tables};

/// What a source gives, and a step behind its input's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Rows, in its columns.
    Batch(BatchRows),
    /// Nothing yet: a batch of work is done and gave no rows.
    Again,
    /// The pipelines of this list are to be run before it goes on. Of sources only.
    Round(ListId),
    /// There are no more rows.
    End,
}

/// What a step makes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// These rows, and then the next batch.
    Batch(BatchRows),
    /// These rows, and `more` has to be called.
    More(BatchRows),
    /// No rows so far, and `more` has to be called.
    Again,
    /// No rows.
    Nothing,
    /// These rows, and it wants no more input.
    Last(BatchRows),
    /// It wants no more input.
    Finished,
}

/// A list of pipelines that are run together: 0 those before the answer, others the rounds of a recursion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListId(u32);

/// What operators have at hand while they run.
pub(crate) struct Context<'c> {
    pub(crate) slots: &'c mut [Slot],
    /// What scans of stored tables read.
    pub(crate) tables: &'c Tables<'c>,
    /// Who gives the rows of the engine's own tables.
    pub(crate) engine: Option<&'c dyn EngineRows>,
    /// Where rows go that do not fit into memory.
    pub(crate) spill: Option<&'c SpillSpace>,
    pub(crate) is_cancelled: &'c dyn Fn() -> bool,
    /// By operator.
    pub(crate) counters: &'c mut [Counters],
    /// Who is told how far the statement is.
    pub(crate) progress: Option<&'c Progress>,
    /// Tells the operators' times apart, if somebody wants to know them.
    pub(crate) laps: Option<Laps<'c>>,
}

impl Context<'_> {
    /// The operator was at work until now.
    pub(crate) fn lap(&mut self, operator: OperatorId) {
        if let Some(laps) = &mut self.laps {
            laps.lap(operator, &self.counters[operator.index()]);
        }
    }

    /// Asks whether the statement shall go on. To be called for each batch of work and MiB of I/O that gives no batch.
    ///
    /// # Errors
    /// It shall not.
    pub(crate) fn check<'e>(&self) -> Result<(), Error<'e>> {
        if (self.is_cancelled)() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// What an operator left behind.
    ///
    /// # Panics
    /// If it is of a kind that leaves nothing behind.
    pub(crate) fn state(&mut self, operator: OperatorId) -> &mut State {
        let index = self.slots.binary_search_by_key(&operator, |slot| slot.operator);
        &mut self.slots[index.expect("every operator that keeps something has a slot")].state
    }

    /// What an operator left behind, out of its slot.
    pub(crate) fn take_state(&mut self, operator: OperatorId) -> State {
        core::mem::replace(self.state(operator), State::Empty)
    }

    /// What the build side of a join has of a key, if it is done and knows it.
    pub(crate) fn key_filter(&self, join: OperatorId, key: u32) -> Option<&KeyFilter> {
        let index = self.slots.binary_search_by_key(&join, |slot| slot.operator).ok()?;
        match &self.slots[index].state {
            State::Join(build) => build.key_filter(key),
            _ => None,
        }
    }

    /// Has the operator that holds the most of what can go to files, and at least `bytes`, give memory back; not `asker`. False if
    /// there is none. One that has nothing to give after all leaves it to the next. Where any memory will do, and there is none else,
    /// joins give back what scans know of their keys.
    ///
    /// Whoever is refused memory asks for this before it writes its own rows to files, and asks again when it is given true.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(crate) fn relieve<'e>(&mut self, asker: Option<OperatorId>, bytes: u64) -> Result<bool, Error<'e>> {
        self.relieve_of(|slot| Some(slot.operator) != asker, bytes)
    }

    /// As [`Context::relieve`], for what a batch may have. Whoever hands rows out that have room as they are keeps them.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(crate) fn relieve_for_batches<'e>(&mut self, asker: Option<OperatorId>) -> Result<bool, Error<'e>> {
        self.relieve_of(|slot| Some(slot.operator) != asker && !slot.state.is_handed_out(), 0)
    }

    fn relieve_of<'e>(&mut self, may: impl Fn(&Slot) -> bool, bytes: u64) -> Result<bool, Error<'e>> {
        let mut asked = u64::MAX;
        loop {
            let candidates = self.slots.iter_mut().filter(|slot| {
                let could = slot.state.yieldable_bytes();
                may(slot) && could >= bytes.max(1) && could < asked
            });
            let Some(largest) = candidates.max_by_key(|slot| slot.state.yieldable_bytes()) else {
                return Ok(bytes <= 1 && self.give_up_filters());
            };
            asked = largest.state.yieldable_bytes();
            if largest.state.yield_memory(self.is_cancelled)? {
                return Ok(true);
            }
        }
    }

    fn give_up_filters(&mut self) -> bool {
        let mut is_any = false;
        for slot in self.slots.iter_mut() {
            if let State::Join(build) = &mut slot.state {
                is_any |= build.give_up_filters();
            }
        }
        is_any
    }

    /// The counters of an operator.
    pub(crate) fn counters(&mut self, operator: OperatorId) -> &mut Counters {
        &mut self.counters[operator.index()]
    }
}

/// What operators that keep rows leave to those that are at work, under a limit: what a batch may have, and more.
pub(crate) fn headroom_bytes(limit_bytes: u64) -> u64 {
    (limit_bytes / 8).clamp(16 << 10, 2 << 20)
}

/// What rows of a batch may have together, where some are long; one row may have more.
pub(crate) fn batch_bytes_max(limit_bytes: u64) -> u64 {
    headroom_bytes(limit_bytes) / 4
}

/// Whether a budget would grant so much.
pub(crate) fn has_room(budget: &Budget, bytes: u64) -> bool {
    // Where nobody has to be asked for it, nothing has to be charged to know.
    if budget.available() >= bytes {
        return true;
    }
    let is_granted = budget.charge(bytes).is_ok();
    if is_granted {
        budget.release(bytes);
    }
    is_granted
}

/// What one operator leaves behind for pipelines after it.
#[derive(Debug)]
pub(crate) struct Slot {
    operator: OperatorId,
    pub(crate) state: State,
}

/// What an operator did, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Rows that it gave.
    pub rows: u64,
    /// Rows that it read from a table, before its filter.
    pub rows_read: u64,
    /// Those of them that were left out because joins have no match for them.
    pub rows_filtered: u64,
    /// Threads that read it beside the statement's own, at most.
    pub workers: u64,
    /// Batches that they came in.
    pub batches: u64,
    /// Bytes that it wrote to temporary files.
    pub spilled_bytes: u64,
    /// Temporary files that it made.
    pub spilled_files: u64,
    /// Partitions that went to files.
    pub partitions_spilled: u64,
    /// Partitions of files that were parted again.
    pub partitions_parted: u64,
    /// Blocks that one partition, which did not fit, was read in.
    pub blocks: u64,
}

/// Where a chain's rows come from.
#[derive(Clone, Copy, Debug)]
enum ChainSource {
    Operator(OperatorId),
    /// No rows of an operator's columns.
    Nothing(OperatorId),
    /// One row without columns, for a table function without an input.
    OneRow,
}

/// A step of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct StepRole {
    operator: OperatorId,
    /// Of a `Concat`: whose columns are taken over.
    input: Option<OperatorId>,
}

#[derive(Clone, Copy, Debug)]
struct Chain<'a> {
    source: ChainSource,
    steps: &'a [StepRole],
}

/// The operator that a pipeline's rows go to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SinkRole {
    pub(crate) operator: OperatorId,
    /// Whose columns it takes: one of the operator's inputs.
    pub(crate) input: OperatorId,
}

/// A piece of a plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pipeline<'a> {
    chains: &'a [Chain<'a>],
    /// Where rows go; `None` if they are the answer.
    pub(crate) sink: Option<SinkRole>,
    list: ListId,
    /// The slots that nobody reads behind it.
    pub(crate) releases: &'a [OperatorId],
}

impl Pipeline<'_> {
    /// How many sources it has. They are read one after the other and all keep what they took, so each gets a part of the limit.
    pub(crate) fn sources_count(&self) -> u64 {
        self.chains.len().max(1) as u64
    }
}

/// The pipelines of a plan, in lists.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule<'a> {
    pub(crate) pipelines: &'a [Pipeline<'a>],
    /// By list, positions in `pipelines` in the order in which they are run.
    lists: &'a [&'a [u32]],
}

/// The begin of a pipeline that several threads can run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beginning<'a> {
    /// The source and the first steps, without a sink.
    pub(crate) pipeline: &'a Pipeline<'a>,
    pub(crate) steps_count: usize,
    pub(crate) source: OperatorId,
    /// The last operator of these.
    pub(crate) last: OperatorId,
}

impl<'a> Pipeline<'a> {
    /// The operators that have a role in it, each as often as it has one.
    pub(crate) fn roles(&self) -> impl Iterator<Item = OperatorId> + Clone + use<'a> {
        let Pipeline { chains, sink, .. } = *self;
        let sources = chains.iter().filter_map(|chain| match chain.source {
            ChainSource::Operator(id) | ChainSource::Nothing(id) => Some(id),
            ChainSource::OneRow => None,
        });
        let steps = chains.iter().enumerate().flat_map(move |(at, chain)| {
            let before = if at > 0 { chains.get(at - 1) } else { None };
            // What several chains flow into is there once.
            let is_new = move |role: &&StepRole| match before {
                Some(_) => role.input.is_none() && !is_on(before, **role),
                None => true,
            };
            chain.steps.iter().filter(is_new).map(|role| role.operator)
        });
        sources.chain(steps).chain(sink.map(|sink| sink.operator))
    }

    /// The source with the steps that do nothing but compute, if several threads may run that and the rest takes rows in any order.
    ///
    /// # Errors
    /// There is no room for it.
    pub(crate) fn beginning(
        &self,
        operators: &[Operator<'_>],
        arena: &'a Arena,
    ) -> Result<Option<Beginning<'a>>, AllocError> {
        let kind = |id: OperatorId| &operators[id.index()].kind;
        let (&[Chain { source: ChainSource::Operator(source), steps }], Some(sink)) =
            (self.chains, self.sink)
        else {
            return Ok(None);
        };
        let computes = |role: &&StepRole| {
            matches!(kind(role.operator), OperatorKind::Filter { .. } | OperatorKind::Project { .. })
        };
        let keeps_any_order = |role: &StepRole| {
            !matches!(
                kind(role.operator),
                OperatorKind::Limit(_) | OperatorKind::DistinctOn { .. } | OperatorKind::HashAggregate(_)
            )
        };
        if self.list != ListId(0)
            || !matches!(kind(source), OperatorKind::Scan(scan) if scan.key_filters.is_empty())
            || !takes_any_order(kind(sink.operator))
            || !steps.iter().all(keeps_any_order)
        {
            return Ok(None);
        }
        let first = &steps[..steps.iter().take_while(computes).count()];
        let chains =
            arena.alloc_slice_copy(&[Chain { source: ChainSource::Operator(source), steps: first }])?;
        let pipeline = arena.alloc(Pipeline { chains, sink: None, list: self.list, releases: &[] })?;
        let last = first.last().map_or(source, |role| role.operator);
        Ok(Some(Beginning { pipeline, steps_count: first.len(), source, last }))
    }
}

impl<'a> Schedule<'a> {
    /// No pipelines.
    pub(crate) const EMPTY: Schedule<'static> = Schedule { pipelines: &[], lists: &[] };

    /// Cuts a plan. All of it in `arena`.
    ///
    /// # Errors
    /// There is no room, or the plan has an operator that does not run yet.
    pub(crate) fn cut(operators: &[Operator<'_>], arena: &'a Arena) -> Result<Schedule<'a>, AllocError> {
        let scratch = Arena::new(arena.budget());
        let mut cutter = Cutter {
            operators,
            is_wanted: wanted(operators, &scratch)?,
            flows: scratch.alloc_slice_fill(operators.len(), u32::MAX)?,
            drafts: Vec::new_in(arena),
            closed: Vec::new_in(arena),
            lists: Vec::new_in(arena),
            recursions: Vec::new_in(&scratch),
            arena,
            scratch: &scratch,
        };
        cutter.lists.push(Vec::new_in(arena))?;
        for index in 0..operators.len() {
            if cutter.is_wanted[index] {
                cutter.add(OperatorId::new(index as u32))?;
            }
        }
        cutter.finish()
    }

    /// The positions of a list's pipelines.
    pub(crate) fn list(&self, list: ListId) -> &'a [u32] {
        self.lists[list.0 as usize]
    }

    /// Those that run before the answer.
    pub(crate) fn before_answer(&self) -> &'a [u32] {
        let main = self.lists[0];
        &main[..main.len() - 1]
    }

    /// The pipeline whose rows are the answer.
    pub(crate) fn answer(&self) -> &'a Pipeline<'a> {
        self.pipelines.last().expect("a plan has an answer")
    }

    /// Whether a pipeline is run once, whatever rows there are; not those of rounds.
    pub(crate) fn runs_always(&self, index: usize) -> bool {
        self.pipelines[index].list == ListId(0)
    }

    /// The operator whose rows a pipeline begins with.
    pub(crate) fn first_source(&self, index: usize) -> Option<OperatorId> {
        match self.pipelines[index].chains.first()?.source {
            ChainSource::Operator(id) => Some(id),
            ChainSource::Nothing(_) | ChainSource::OneRow => None,
        }
    }

    /// The operators that have a role in a pipeline, each as often as it has one.
    pub(crate) fn roles(&self, index: usize) -> impl Iterator<Item = OperatorId> + Clone + use<'a> {
        self.pipelines[index].roles()
    }

    /// Slots that are full while a pipeline runs, or are filled by it.
    pub(crate) fn live_slots(&self, index: usize) -> impl Iterator<Item = OperatorId> + Clone + use<'a> {
        let Schedule { pipelines, .. } = *self;
        slots_of(&pipelines[..=index])
            .filter(move |slot| !pipelines[..index].iter().any(|pipeline| pipeline.releases.contains(slot)))
    }

    /// How many lists there are.
    pub(crate) fn lists_count(&self) -> u32 {
        self.lists.len() as u32
    }

    /// The list that a pipeline is in.
    pub(crate) fn list_of(&self, index: usize) -> u32 {
        self.pipelines[index].list.0
    }

    /// All slots.
    pub(crate) fn all_slots(&self) -> impl Iterator<Item = OperatorId> + Clone + use<'a> {
        slots_of(self.pipelines)
    }

    /// An empty slot for each operator that leaves something behind.
    pub(crate) fn slots<'s>(
        &self,
        operators: &[Operator<'_>],
        arena: &'s Arena,
    ) -> Result<Vec<'s, Slot>, AllocError> {
        let is_sink =
            |id: &OperatorId| self.pipelines.iter().any(|p| p.sink.is_some_and(|sink| sink.operator == *id));
        let is_kept = |id: &OperatorId| keeps_as_step(&operators[id.index()].kind) || is_sink(id);
        let kept = || (0..operators.len() as u32).map(OperatorId::new).filter(is_kept);
        let mut slots = Vec::with_capacity_in(kept().count(), arena)?;
        for operator in kept() {
            slots.push(Slot { operator, state: State::Empty })?;
        }
        Ok(slots)
    }
}

/// Whether an operator has a slot, although it is the sink of no pipeline: where others ask it for memory while its own runs.
pub(crate) fn keeps_as_step(kind: &OperatorKind<'_>) -> bool {
    match kind {
        OperatorKind::Distinct { .. } => true,
        OperatorKind::HashAggregate(plan) => plan.gives_as_rows_come(),
        _ => false,
    }
}

/// The slots that pipelines fill, each once.
fn slots_of<'a>(pipelines: &'a [Pipeline<'a>]) -> impl Iterator<Item = OperatorId> + Clone + use<'a> {
    let sinks = pipelines.iter().enumerate().filter_map(|(at, pipeline)| Some((at, pipeline.sink?.operator)));
    sinks.filter_map(|(at, slot)| {
        let is_filled = |pipeline: &Pipeline<'_>| pipeline.sink.is_some_and(|sink| sink.operator == slot);
        (!pipelines[..at].iter().any(is_filled)).then_some(slot)
    })
}

/// Which operators are run: not those below a LIMIT 0, and not what only they read.
fn wanted<'s>(operators: &[Operator<'_>], scratch: &'s Arena) -> Result<&'s [bool], AllocError> {
    let is_wanted = scratch.alloc_slice_fill(operators.len(), false)?;
    if let Some(root) = is_wanted.last_mut() {
        *root = true;
    }
    for (index, operator) in operators.iter().enumerate().rev() {
        if !is_wanted[index] || is_limit_zero(&operator.kind) {
            continue;
        }
        for input in operator.kind.inputs().iter() {
            is_wanted[input.index()] = true;
        }
        if let OperatorKind::CteScan { cte } = operator.kind {
            is_wanted[cte.index()] = true;
        }
    }
    Ok(is_wanted)
}

fn is_limit_zero(kind: &OperatorKind<'_>) -> bool {
    if let OperatorKind::Sort { limit: Some(0), .. } = kind {
        return true;
    }
    let OperatorKind::Limit(Limit { count: Some(count), offset, .. }) = kind else { return false };
    // An OFFSET may be an error.
    let is_plain = offset.is_none_or(|offset| matches!(offset.kind, ExprKind::Literal(Value::BigInt(0..))));
    is_plain && matches!(count.kind, ExprKind::Literal(Value::BigInt(0)))
}

/// Of more pipelines the order is not looked at.
const ORDERED_MAX: usize = 200;

/// A chain under construction.
#[derive(Debug)]
struct Draft<'a> {
    source: ChainSource,
    steps: Vec<'a, StepRole>,
}

/// A recursion: its operator, and its list of rounds.
#[derive(Clone, Copy, Debug)]
struct Recursion {
    operator: OperatorId,
    list: ListId,
}

struct Cutter<'o, 'a, 's> {
    operators: &'o [Operator<'o>],
    is_wanted: &'s [bool],
    /// The draft that gives an operator's rows.
    flows: &'s mut [u32],
    drafts: Vec<'a, Vec<'a, Draft<'a>>>,
    closed: Vec<'a, Pipeline<'a>>,
    lists: Vec<'a, Vec<'a, u32>>,
    recursions: Vec<'s, Recursion>,
    arena: &'a Arena,
    scratch: &'s Arena,
}

impl<'a, 's> Cutter<'_, 'a, 's> {
    fn add(&mut self, id: OperatorId) -> Result<(), AllocError> {
        match self.operators[id.index()].kind {
            OperatorKind::Scan(_)
            | OperatorKind::Values { .. }
            | OperatorKind::CteScan { .. }
            | OperatorKind::WorkingScan { .. } => self.begin(id, ChainSource::Operator(id)),
            OperatorKind::TableFunction(TableFunction { input: None, .. }) => {
                self.begin(id, ChainSource::OneRow)?;
                self.step(id, id)
            }
            OperatorKind::Limit(Limit { input, .. }) | OperatorKind::Sort { input, .. }
                if !self.is_wanted[input.index()] =>
            {
                self.begin(id, ChainSource::Nothing(id))
            }
            OperatorKind::Filter { input, .. }
            | OperatorKind::Project { input, .. }
            | OperatorKind::Limit(Limit { input, .. })
            | OperatorKind::Distinct { input }
            | OperatorKind::DistinctOn { input, .. }
            | OperatorKind::TableFunction(TableFunction { input: Some(input), .. }) => self.step(id, input),
            OperatorKind::HashAggregate(ref plan) if plan.gives_as_rows_come() => self.step(id, plan.input),
            OperatorKind::Insert(ref insert) => self.step(id, insert.input),
            OperatorKind::Update(ref update) => self.step(id, update.input),
            OperatorKind::Delete(ref delete) => self.step(id, delete.input),
            OperatorKind::HashJoin(ref join) => {
                self.close(join.build, id)?;
                self.step(id, join.probe)
            }
            OperatorKind::NestedLoopJoin(ref join) => {
                self.close(join.build, id)?;
                self.step(id, join.probe)
            }
            OperatorKind::Materialize { input } => self.close(input, id),
            OperatorKind::HashAggregate(_)
            | OperatorKind::Window(_)
            | OperatorKind::Sort { .. }
            | OperatorKind::SetOperation { .. } => {
                for input in self.operators[id.index()].kind.inputs().iter() {
                    self.close(input, id)?;
                }
                self.begin(id, ChainSource::Operator(id))
            }
            OperatorKind::Recursive { base, step, working, .. } => {
                self.close(base, id)?;
                self.close(step, id)?;
                self.separate_rounds(id, step, working)?;
                self.begin(id, ChainSource::Operator(id))
            }
            OperatorKind::Concat { inputs } => self.concat(id, inputs),
        }
    }

    /// A flow begins.
    fn begin(&mut self, id: OperatorId, source: ChainSource) -> Result<(), AllocError> {
        let mut chains = Vec::new_in(self.arena);
        chains.push(Draft { source, steps: Vec::new_in(self.arena) })?;
        self.flows[id.index()] = self.drafts.len() as u32;
        self.drafts.push(chains)
    }

    /// The operator works on the rows of `input` as they pass.
    fn step(&mut self, id: OperatorId, input: OperatorId) -> Result<(), AllocError> {
        let flow = self.flows[input.index()];
        self.flows[id.index()] = flow;
        for chain in self.drafts[flow as usize].iter_mut() {
            chain.steps.push(StepRole { operator: id, input: None })?;
        }
        Ok(())
    }

    /// The chains of all inputs, one after the other. What a `Concat` right below does is left to this one.
    fn concat(&mut self, id: OperatorId, inputs: &[OperatorId]) -> Result<(), AllocError> {
        let mut chains: Option<Vec<'a, Draft<'a>>> = None;
        for &input in inputs {
            let flow = self.flows[input.index()] as usize;
            let mut parts = core::mem::replace(&mut self.drafts[flow], Vec::new_in(self.arena));
            for chain in parts.iter_mut() {
                let role = match chain.steps.last() {
                    Some(&last) if last.operator == input && last.input.is_some() => {
                        chain.steps.pop();
                        StepRole { operator: id, ..last }
                    }
                    _ => StepRole { operator: id, input: Some(input) },
                };
                chain.steps.push(role)?;
            }
            // The list of the first input goes on: in a long UNION ALL that is nearly all of them each time.
            chains = match chains.take() {
                None => Some(parts),
                Some(mut chains) => {
                    for chain in parts {
                        chains.push(chain)?;
                    }
                    Some(chains)
                }
            };
        }
        let chains = chains.unwrap_or_else(|| Vec::new_in(self.arena));
        self.flows[id.index()] = self.drafts.len() as u32;
        self.drafts.push(chains)
    }

    /// The rows of `input` go to the operator, and that is all.
    fn close(&mut self, input: OperatorId, operator: OperatorId) -> Result<(), AllocError> {
        self.close_with(input, Some(SinkRole { operator, input }))
    }

    fn close_with(&mut self, input: OperatorId, sink: Option<SinkRole>) -> Result<(), AllocError> {
        let flow = self.flows[input.index()] as usize;
        let drafts = core::mem::replace(&mut self.drafts[flow], Vec::new_in(self.arena));
        let mut chains = Vec::with_capacity_in(drafts.len(), self.arena)?;
        for draft in drafts {
            chains.push(Chain { source: draft.source, steps: draft.steps.into_slice() })?;
        }
        self.lists[0].push(self.closed.len() as u32)?;
        let chains = &*chains.into_slice();
        self.closed.push(Pipeline { chains, sink, list: ListId(0), releases: &[] })
    }

    /// Pipelines that depend on the rows of a round go to a list of their own.
    fn separate_rounds(&mut self, id: OperatorId, step: OperatorId, working: u32) -> Result<(), AllocError> {
        let depends = self.depending_on(id, working)?;
        let list = ListId(self.lists.len() as u32);
        let mut rounds = Vec::new_in(self.arena);
        let mut others = Vec::new_in(self.arena);
        for &index in &self.lists[0] {
            let pipeline = &mut self.closed[index as usize];
            let sink = pipeline.sink.expect("the answer is closed last");
            let is_round = match self.operators[sink.operator.index()].kind {
                OperatorKind::Recursive { .. } if sink.operator == id => sink.input == step,
                OperatorKind::HashJoin(_) | OperatorKind::NestedLoopJoin(_) => depends[sink.input.index()],
                _ => depends[sink.operator.index()],
            };
            if is_round {
                pipeline.list = list;
                rounds.push(index)?;
            } else {
                others.push(index)?;
            }
        }
        self.lists[0] = others;
        self.lists.push(rounds)?;
        self.recursions.push(Recursion { operator: id, list })
    }

    /// By operator before `id`, whether its rows are others in each round.
    fn depending_on(&self, id: OperatorId, working: u32) -> Result<&'s [bool], AllocError> {
        let depends = self.scratch.alloc_slice_fill(id.index(), false)?;
        for index in 0..depends.len() {
            let kind = &self.operators[index].kind;
            depends[index] = match *kind {
                OperatorKind::WorkingScan { working: of } => of == working,
                OperatorKind::CteScan { cte } => depends[cte.index()],
                _ => kind.inputs().iter().any(|input| depends[input.index()]),
            };
        }
        Ok(depends)
    }

    fn finish(mut self) -> Result<Schedule<'a>, AllocError> {
        self.put_key_filters_first()?;
        let root = OperatorId::new(self.operators.len() as u32 - 1);
        self.close_with(root, None)?;
        let last_readers = self.last_readers()?;
        for index in 0..self.closed.len() {
            let released = last_readers.iter().filter(|(_, reader)| *reader == index as u32);
            let mut operators = Vec::with_capacity_in(released.clone().count(), self.arena)?;
            for (operator, _) in released {
                operators.push(*operator)?;
            }
            self.closed[index].releases = operators.into_slice();
        }
        let mut lists = Vec::with_capacity_in(self.lists.len(), self.arena)?;
        for list in self.lists {
            lists.push(&*list.into_slice())?;
        }
        Ok(Schedule { pipelines: self.closed.into_slice(), lists: lists.into_slice() })
    }

    /// Puts pipelines that keep the build side of a join before those with scans that are told its keys, and leaves the others in
    /// their order. Where there are recursions the order stays; a scan that comes too early is told nothing.
    fn put_key_filters_first(&mut self) -> Result<(), AllocError> {
        let has_filters = |operator: &Operator<'_>| matches!(operator.kind, OperatorKind::Scan(scan) if !scan.key_filters.is_empty());
        let count = self.closed.len();
        if !self.recursions.is_empty() || count > ORDERED_MAX || !self.operators.iter().any(has_filters) {
            return Ok(());
        }
        let is_placed = self.scratch.alloc_slice_fill(count, false)?;
        let mut ordered = Vec::with_capacity_in(count, self.arena)?;
        while ordered.len() < count {
            let waiting = || (0..count).filter(|index| !is_placed[*index]);
            let ready = waiting().find(|index| self.is_ready(*index, is_placed, true));
            let ready = ready.or_else(|| waiting().find(|index| self.is_ready(*index, is_placed, false)));
            let next = ready.expect("what is read is made by an earlier one");
            is_placed[next] = true;
            ordered.push(self.closed[next])?;
        }
        self.closed = ordered;
        Ok(())
    }

    /// Whether all pipelines are placed that one needs before it, of those that fill a slot for it and, if wanted, of those that
    /// know keys for its scans.
    fn is_ready(&self, index: usize, is_placed: &[bool], with_filters: bool) -> bool {
        let pipeline = &self.closed[index];
        let own = pipeline.sink.map(|sink| sink.operator);
        // Of the inputs of one operator the first comes first.
        let waits_for = |slot: OperatorId, before: usize| {
            let fills = |other: &usize| self.closed[*other].sink.is_some_and(|sink| sink.operator == slot);
            (0..before).filter(|other| !is_placed[*other]).any(|other| fills(&other))
        };
        let all = self.closed.len();
        let mut needs_more = own.is_some_and(|own| waits_for(own, index));
        for chain in pipeline.chains {
            if let ChainSource::Operator(id) = chain.source {
                needs_more |= self.slot_read_by(id).is_some_and(|slot| waits_for(slot, all));
                if let OperatorKind::Scan(scan) = self.operators[id.index()].kind {
                    needs_more |=
                        with_filters && scan.key_filters.iter().any(|filter| waits_for(filter.join, all));
                }
            }
            needs_more |= chain.steps.iter().any(|step| waits_for(step.operator, all));
        }
        !needs_more
    }

    /// Slots, each with the pipeline behind which nobody reads it, in the list of the pipeline that fills it.
    fn last_readers(&self) -> Result<Vec<'s, (OperatorId, u32)>, AllocError> {
        let mut last: Vec<'s, (OperatorId, u32)> = Vec::new_in(self.scratch);
        for index in 0..self.closed.len() {
            for chain in self.closed[index].chains {
                let source = match chain.source {
                    ChainSource::Operator(id) => self.slot_read_by(id),
                    _ => None,
                };
                let steps = chain.steps.iter().map(|step| step.operator);
                let joins = steps.filter(|id| {
                    matches!(
                        self.operators[id.index()].kind,
                        OperatorKind::HashJoin(_) | OperatorKind::NestedLoopJoin(_)
                    )
                });
                for step in chain.steps {
                    let slot = (step.operator, index as u32);
                    if keeps_as_step(&self.operators[step.operator.index()].kind) && !last.contains(&slot) {
                        last.push(slot)?;
                    }
                }
                for slot in source.into_iter().chain(joins) {
                    let Some(reader) = self.outermost_reader(slot, index as u32) else { continue };
                    match last.iter_mut().find(|(known, _)| *known == slot) {
                        // Positions in the plan's list of pipelines ascend within each list.
                        Some((_, known)) => *known = reader.max(*known),
                        None => last.push((slot, reader))?,
                    }
                }
            }
        }
        Ok(last)
    }

    /// Whose slot a source reads.
    fn slot_read_by(&self, id: OperatorId) -> Option<OperatorId> {
        match self.operators[id.index()].kind {
            OperatorKind::CteScan { cte } => Some(cte),
            OperatorKind::Scan(_) | OperatorKind::Values { .. } => None,
            // The rows of a round are the recursion's, which reads them last.
            OperatorKind::WorkingScan { .. } => None,
            _ => Some(id),
        }
    }

    /// The pipeline in the list of the one that fills the slot, during which `reader` runs.
    fn outermost_reader(&self, slot: OperatorId, mut reader: u32) -> Option<u32> {
        let fills = |pipeline: &&Pipeline<'_>| pipeline.sink.is_some_and(|sink| sink.operator == slot);
        // Of a recursion the base comes first.
        let list = self.closed.iter().find(fills)?.list;
        while self.closed[reader as usize].list != list {
            let inner = self.closed[reader as usize].list;
            let recursion = self.recursions.iter().find(|recursion| recursion.list == inner)?;
            let reads = |pipeline: &Pipeline<'_>| {
                let is_it = |chain: &Chain<'_>| matches!(chain.source, ChainSource::Operator(id) if id == recursion.operator);
                pipeline.chains.iter().any(is_it)
            };
            reader = self.closed.iter().position(reads)? as u32;
        }
        Some(reader)
    }
}

/// What the roles of operators are opened with.
pub(crate) struct Opening<'o, 'a> {
    pub(crate) id: OperatorId,
    pub(crate) operators: &'a [Operator<'a>],
    /// Where the columns of operators stand that are in the pipeline before this one.
    columns: &'o [&'a [VectorId]],
    /// What the operator's budget pays for, as long as the pipeline runs.
    pub(crate) arena: &'a Arena,
    /// Whether nobody reads behind this source what it reads.
    pub(crate) consumes: bool,
    /// Whether scans of files note the lines of rows.
    pub(crate) notes_lines: bool,
    /// Of a recursion: its rounds.
    pub(crate) rounds: Option<ListId>,
    /// How many sources the pipeline has.
    pub(crate) sources_count: u64,
}

impl<'a> Opening<'_, 'a> {
    /// The operator in the plan.
    pub(crate) fn operator(&self) -> &'a Operator<'a> {
        &self.operators[self.id.index()]
    }

    /// Where the columns of an operator stand.
    pub(crate) fn columns_of(&self, id: OperatorId) -> &'a [VectorId] {
        self.columns[id.index()]
    }

    /// Whether a scan asks for what this join knows of one of its keys.
    pub(crate) fn filters_scans(&self, key: u32) -> bool {
        self.operators.iter().any(|operator| match operator.kind {
            OperatorKind::Scan(scan) => {
                scan.key_filters.iter().any(|filter| filter.join == self.id && filter.key == key)
            }
            _ => false,
        })
    }

    /// The kinds of an operator's columns, whether it is in this pipeline or not.
    pub(crate) fn kinds_of(&self, id: OperatorId) -> impl ExactSizeIterator<Item = Kind> + use<'a> {
        self.operators[id.index()].columns.iter().map(|column| Kind::of(column.ty))
    }

    /// The operator's budget.
    pub(crate) fn budget(&self) -> &'a Budget {
        self.arena.budget()
    }

    /// Vectors of the operator's columns.
    pub(crate) fn add_columns(&self, store: &mut Store<'a>) -> Result<&'a [VectorId], AllocError> {
        let ids = self.arena.alloc_slice_fill(self.operator().columns.len(), VectorId(0))?;
        for (id, kind) in ids.iter_mut().zip(self.kinds_of(self.id)) {
            *id = store.add_vector(kind, self.arena)?;
        }
        Ok(ids)
    }
}

/// The arenas of a running pipeline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arenas<'a> {
    /// By operator.
    pub(crate) of_operators: &'a [Arena],
    /// For lists.
    pub(crate) home: &'a Arena,
}

/// A pipeline that runs, up to its sink.
pub(crate) struct Flow<'a> {
    operators: &'a [Operator<'a>],
    schedule: Schedule<'a>,
    pipeline: &'a Pipeline<'a>,
    arenas: Arenas<'a>,
    notes_lines: bool,
    /// By operator, where its columns stand if it is in the pipeline and open.
    columns: &'a mut [&'a [VectorId]],
    source: Option<(Option<OperatorId>, Source<'a>)>,
    /// All steps that are open, those of chains that are done too.
    steps: Vec<'a, (StepRole, Step<'a>)>,
    /// The steps of this chain, by position in `steps`.
    path: Vec<'a, u32>,
    /// Positions in the path of steps that have more to give of their last batch, ascending.
    pending: Vec<'a, u32>,
    /// The chain that is open.
    chain: usize,
    state: FlowState,
    /// Whether it is counted that the operators of the chain have begun.
    is_counted: bool,
    /// How many of the steps are counted.
    counted_steps: usize,
}

#[derive(Clone, Copy, Debug)]
enum FlowState {
    Reading,
    /// The steps of the path from this one on are finished.
    Finishing(usize),
    Done,
}

/// What a pipeline gives.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Given {
    Batch(BatchRows),
    Round(ListId),
    End,
}

impl<'a> Flow<'a> {
    /// Opens a pipeline at its first chain.
    ///
    /// # Errors
    /// What the operators raise when they are opened.
    pub(crate) fn open(
        pipeline: &'a Pipeline<'a>,
        schedule: Schedule<'a>,
        operators: &'a [Operator<'a>],
        arenas: Arenas<'a>,
        notes_lines: bool,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<Flow<'a>, Error<'a>> {
        let home = arenas.home;
        let columns = home.alloc_slice_fill(operators.len(), &[][..])?;
        let mut flow = Flow {
            operators,
            schedule,
            pipeline,
            arenas,
            notes_lines,
            columns,
            source: None,
            steps: Vec::new_in(home),
            path: Vec::new_in(home),
            pending: Vec::new_in(home),
            chain: 0,
            state: FlowState::Reading,
            is_counted: false,
            counted_steps: 0,
        };
        flow.open_chain(store, cx)?;
        Ok(flow)
    }

    /// Where the columns of an operator of the pipeline stand.
    pub(crate) fn columns_of(&self, id: OperatorId) -> &'a [VectorId] {
        self.columns[id.index()]
    }

    /// What a role of an operator is opened with.
    pub(crate) fn opening(&self, id: OperatorId) -> Opening<'_, 'a> {
        let releases = match self.operators[id.index()].kind {
            OperatorKind::CteScan { cte } => cte,
            _ => id,
        };
        Opening {
            id,
            operators: self.operators,
            columns: self.columns,
            arena: &self.arenas.of_operators[id.index()],
            consumes: self.pipeline.releases.contains(&releases) && !self.reads_again(releases),
            notes_lines: self.notes_lines,
            rounds: self.rounds_of(id),
            sources_count: self.pipeline.sources_count(),
        }
    }

    /// Whether another chain that comes later reads the same slot.
    fn reads_again(&self, slot: OperatorId) -> bool {
        self.pipeline.chains[self.chain + 1..].iter().any(|chain| match chain.source {
            ChainSource::Operator(id) => {
                matches!(self.operators[id.index()].kind, OperatorKind::CteScan { cte } if cte == slot)
            }
            _ => false,
        })
    }

    /// The list of the pipeline that fills the operator's slot with a round's rows.
    fn rounds_of(&self, id: OperatorId) -> Option<ListId> {
        let OperatorKind::Recursive { step, .. } = self.operators[id.index()].kind else { return None };
        let is_step = |pipeline: &&Pipeline<'_>| {
            pipeline.sink.is_some_and(|sink| sink.operator == id && sink.input == step)
        };
        self.schedule.pipelines.iter().find(is_step).map(|pipeline| pipeline.list)
    }

    /// The sink that the pipeline's rows go to.
    ///
    /// # Errors
    /// What the operator raises when it is opened.
    pub(crate) fn open_sink(
        &self,
        role: SinkRole,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<Sink<'a>, Error<'a>> {
        let sink = Sink::open(&self.opening(role.operator), role.input, store, cx)?;
        cx.lap(role.operator);
        Ok(sink)
    }

    fn open_chain(&mut self, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<(), Error<'a>> {
        let chain = &self.pipeline.chains[self.chain];
        self.source = match chain.source {
            ChainSource::OneRow => Some((None, Source::OneRow { is_given: false })),
            ChainSource::Nothing(id) => {
                self.columns[id.index()] = self.opening(id).add_columns(store)?;
                None
            }
            ChainSource::Operator(id) => {
                let (source, columns) = Source::open(&self.opening(id), store, cx)?;
                self.columns[id.index()] = columns;
                cx.lap(id);
                Some((Some(id), source))
            }
        };
        self.is_counted = false;
        self.path.clear();
        for &role in chain.steps {
            // Only what several chains flow into can be open.
            let is_shared = |(known, _): &(StepRole, Step<'_>)| *known == role;
            let open = if self.chain > 0 { self.steps.iter().position(is_shared) } else { None };
            let position = match open {
                Some(position) => position,
                None => self.open_step(role, store, cx)?,
            };
            self.path.push(position as u32)?;
        }
        self.state = FlowState::Reading;
        // Some see already that they pass no rows.
        for at in (0..self.path.len()).rev() {
            if self.steps[self.path[at] as usize].1.is_finished(cx) {
                self.stop(at);
                break;
            }
        }
        Ok(())
    }

    fn open_step(
        &mut self,
        role: StepRole,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<usize, Error<'a>> {
        let index = role.operator.index();
        let opening = self.opening(role.operator);
        let (step, columns) = match role.input {
            None => Step::open(&opening, store, cx)?,
            // The first chain makes the columns that all write to.
            Some(input) => {
                let columns = match self.columns[index] {
                    [] => opening.add_columns(store)?,
                    known => known,
                };
                (Step::open_concat(opening.columns_of(input), columns, opening.arena)?, columns)
            }
        };
        self.columns[index] = columns;
        cx.lap(role.operator);
        self.steps.push((role, step))?;
        Ok(self.steps.len() - 1)
    }

    /// The pieces that its source can be cut into for several threads, if it can be.
    pub(crate) fn pieces(
        &self,
        tables: &Tables<'_>,
        threads_count: usize,
        arena: &'a Arena,
    ) -> Option<Pieces<'a>> {
        match (&self.source, self.state) {
            (Some((_, Source::StoredScan(scan))), FlowState::Reading) => {
                scan.pieces(tables, threads_count, arena)
            }
            _ => None,
        }
    }

    /// Has its source read pieces that nobody else reads.
    ///
    /// # Errors
    /// The source's.
    pub(crate) fn share(&mut self, morsels: &'a Morsels<'a>) -> Result<(), Error<'a>> {
        match &mut self.source {
            Some((_, Source::StoredScan(scan))) => scan.share(morsels),
            _ => Ok(()),
        }
    }

    /// Has its source read a piece that somebody else has not read to its end.
    fn read_again(&mut self, piece: usize) -> Result<(), Error<'a>> {
        match &mut self.source {
            Some((_, Source::StoredScan(scan))) => scan.read_again(piece),
            _ => Ok(()),
        }
    }

    /// The piece of its table that the source is at, where it shares it.
    pub(crate) fn piece(&self) -> Option<usize> {
        match &self.source {
            Some((_, Source::StoredScan(scan))) => scan.piece(),
            _ => None,
        }
    }

    /// The next batch; `feed` brings those of workers.
    ///
    /// # Errors
    /// What the operators raise, and [`Error::Cancelled`].
    pub(crate) fn next(
        &mut self,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
        mut feed: Option<&mut Feed<'_, 'a>>,
    ) -> Result<Given, Error<'a>> {
        loop {
            cx.check()?;
            let (mut batch, mut at) = match self.advance(store, cx, feed.as_deref_mut())? {
                Moved::Batch(batch, at) => (batch, at),
                Moved::Nothing => continue,
                Moved::Round(list) => return Ok(Given::Round(list)),
                Moved::Done => return Ok(Given::End),
            };
            loop {
                if let Some(feed) = feed.as_deref_mut()
                    && at == feed.steps_count
                {
                    match feed.without_skipped(batch, store) {
                        Some(rows) => batch = rows,
                        None => break,
                    }
                }
                let Some(&position) = self.path.get(at) else { return Ok(Given::Batch(batch)) };
                let passed = self.steps[position as usize].1.push(batch, store, cx)?;
                match self.note(at, passed, store, cx)? {
                    Some(rows) => (batch, at) = (rows, at + 1),
                    None => break,
                }
            }
        }
    }

    /// Counts, where that is measured, that the operators of the chain have begun.
    fn count_loops(&mut self, cx: &mut Context<'_>) {
        let Some(laps) = &mut cx.laps else { return };
        if let ChainSource::Operator(id) | ChainSource::Nothing(id) = self.pipeline.chains[self.chain].source
        {
            laps.count_loop(id);
        }
        // A `Concat` is one step in each of its chains.
        let is_first = |role: &StepRole| role.input.is_none() || self.chain == 0;
        for (role, _) in self.steps[self.counted_steps..].iter().filter(|(role, _)| is_first(role)) {
            laps.count_loop(role.operator);
        }
        self.counted_steps = self.steps.len();
    }

    /// Asks whoever has more to give, the last step first.
    fn advance(
        &mut self,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
        mut feed: Option<&mut Feed<'_, 'a>>,
    ) -> Result<Moved, Error<'a>> {
        if !self.is_counted {
            self.is_counted = true;
            self.count_loops(cx);
        }
        if let Some(at) = self.pending.pop().map(|at| at as usize) {
            let passed = self.steps[self.path[at] as usize].1.more(store, cx)?;
            let rows = self.note(at, passed, store, cx)?;
            return Ok(rows.map_or(Moved::Nothing, |rows| Moved::Batch(rows, at + 1)));
        }
        match self.state {
            FlowState::Done => Ok(Moved::Done),
            FlowState::Reading => {
                if let Some(feed) = feed.as_deref_mut() {
                    feed.give_back(store);
                    if let Fed::Batch(rows) = feed.next(false, store, cx)? {
                        return Ok(Moved::Batch(rows, feed.steps_count));
                    }
                }
                let output = match &mut self.source {
                    Some((id, source)) => {
                        let output = source.next(store, cx)?;
                        if let Some(id) = *id {
                            if let Output::Batch(rows) = output {
                                cx.counters(id).count(rows, store);
                            }
                            cx.counters(id).rows_read += source.rows_read();
                            cx.counters(id).rows_filtered += source.rows_filtered();
                            if let Some(progress) = cx.progress {
                                progress.count_read(source.rows_read());
                            }
                            cx.lap(id);
                        }
                        output
                    }
                    None => Output::End,
                };
                match output {
                    Output::Batch(rows) => Ok(Moved::Batch(rows, 0)),
                    Output::Again => Ok(Moved::Nothing),
                    Output::Round(list) => Ok(Moved::Round(list)),
                    Output::End => {
                        if let Some(feed) = feed {
                            match feed.next(true, store, cx)? {
                                Fed::Batch(rows) => return Ok(Moved::Batch(rows, feed.steps_count)),
                                Fed::Leftover(piece) => {
                                    self.read_again(piece)?;
                                    return Ok(Moved::Nothing);
                                }
                                Fed::Nothing => {}
                            }
                        }
                        self.source = None;
                        self.state = FlowState::Finishing(0);
                        Ok(Moved::Nothing)
                    }
                }
            }
            FlowState::Finishing(at) => self.finish_step(at, store, cx),
        }
    }

    fn finish_step(
        &mut self,
        at: usize,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<Moved, Error<'a>> {
        let chains = self.pipeline.chains;
        let is_over = match self.path.get(at) {
            None => true,
            // Rows of the next chain will come to it.
            Some(&position) => is_on(chains.get(self.chain + 1), self.steps[position as usize].0),
        };
        if is_over {
            if self.chain + 1 == chains.len() {
                self.state = FlowState::Done;
                return Ok(Moved::Done);
            }
            self.chain += 1;
            self.open_chain(store, cx)?;
            return Ok(Moved::Nothing);
        }
        let (role, step) = &mut self.steps[self.path[at] as usize];
        let output = step.finish(store, cx)?;
        if let Output::Batch(rows) = output {
            cx.counters(role.operator).count(rows, store);
        }
        cx.lap(role.operator);
        match output {
            Output::Batch(rows) => Ok(Moved::Batch(rows, at + 1)),
            Output::Again => Ok(Moved::Nothing),
            Output::End => {
                self.state = FlowState::Finishing(at + 1);
                Ok(Moved::Nothing)
            }
            Output::Round(_) => unreachable!("only sources ask for rounds"),
        }
    }

    /// Notes what a step said, and gives its rows.
    fn note(
        &mut self,
        at: usize,
        passed: Passed,
        store: &Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<Option<BatchRows>, AllocError> {
        if matches!(passed, Passed::More(_) | Passed::Again) {
            self.pending.push(at as u32)?;
        }
        if matches!(passed, Passed::Last(_) | Passed::Finished) {
            self.stop(at);
        }
        let operator = self.steps[self.path[at] as usize].0.operator;
        let rows = match passed {
            Passed::Batch(rows) | Passed::More(rows) | Passed::Last(rows) => {
                cx.counters(operator).count(rows, store);
                Some(rows)
            }
            Passed::Again | Passed::Nothing | Passed::Finished => None,
        };
        cx.lap(operator);
        Ok(rows)
    }

    /// The step wants no more rows: what comes before it has no use any more.
    fn stop(&mut self, at: usize) {
        debug_assert!(self.pending.iter().all(|&pending| (pending as usize) < at));
        self.pending.clear();
        self.source = None;
        self.state = FlowState::Finishing(at + 1);
        let role = self.steps[self.path[at] as usize].0;
        while is_on(self.pipeline.chains.get(self.chain + 1), role) {
            self.chain += 1;
        }
    }
}

/// Whether a step is one of a chain.
fn is_on(chain: Option<&Chain<'_>>, role: StepRole) -> bool {
    chain.is_some_and(|chain| chain.steps.contains(&role))
}

/// Where rows are after a move.
#[derive(Clone, Copy, Debug)]
enum Moved {
    /// Before the step at this position of the path.
    Batch(BatchRows, usize),
    Nothing,
    Round(ListId),
    Done,
}

impl Counters {
    /// Adds what the operator did elsewhere.
    pub(crate) fn add(&mut self, more: &Counters) {
        self.rows += more.rows;
        self.batches += more.batches;
        self.rows_read += more.rows_read;
        self.rows_filtered += more.rows_filtered;
        self.workers += more.workers;
    }

    fn count(&mut self, rows: BatchRows, store: &Store<'_>) {
        self.rows += store.rows(rows).len() as u64;
        self.batches += 1;
    }
}
