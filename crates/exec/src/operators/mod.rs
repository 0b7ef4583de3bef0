//! The operators of a physical plan, each in one file with its roles: source, step, sink.
//!
//! What the roles are asked and answer is told in [`pipeline`](crate::pipeline). An operator never calls another: the loop
//! there carries batches, so the native stack does not grow with the plan.
//!
//! | operator | source | step | sink | leaves behind |
//! |---|---|---|---|---|
//! | `scan`, `stored_scan`, `engine_scan`, `values` | rows | | | |
//! | `filter` (and projection), `limit`, `insert`, `distinct_on`, `concat` | | as rows pass | | |
//! | `aggregate` | groups | as rows come, if they come together | rows | [`State::Groups`] |
//! | `distinct` | | as rows pass, and what has waited | | [`State::Distinct`], while its pipeline runs |
//! | `table_function` | | as rows pass | | |
//! | `set_operation` | rows | | rows of both inputs | [`State::Counted`] |
//! | `sort` | rows in order | | rows | [`State::Sorted`] |
//! | `window` | rows with results | | rows | [`State::Sorted`] |
//! | `join` | | the probe side | the build side | [`State::Join`] |
//! | `kept` (`Materialize`, `Recursive` and their scans) | rows | | rows | [`State::Kept`] |
//!
//! **Memory.** Each operator has a budget of its own, named after it and its number in the plan. It pays for what the
//! operator's roles hold while their pipelines run, and for what they leave behind.

mod aggregate;
mod concat;
mod distinct;
mod distinct_on;
mod engine_scan;
mod filter;
mod insert;
mod join;
mod kept;
mod key_tests;
mod limit;
mod scan;
mod set_operation;
mod sort;
mod state;
mod stored_scan;
mod table_function;
mod values;
mod window;

use cofferdam_arena::{Arena, ArenaBox};
use cofferdam_plan::physical::{OperatorId, OperatorKind};
use cofferdam_plan::table::TableSource;

use crate::batch::{BatchRows, Store, VectorId};
use crate::error::Error;
use crate::pipeline::{Context, Opening, Output, Passed};
use crate::sorter::{Sorter, reserve_bytes};
use crate::spill::IsCancelled;

pub(crate) use self::join::KeyFilter;

/// What an operator leaves behind for pipelines after the one that made it: owned, without a lifetime.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one for an operator, in place")]
pub(crate) enum State {
    /// Nothing, not yet, or not any more.
    Empty,
    Groups(aggregate::Groups),
    Sorted(Sorter),
    Join(join::Build),
    Kept(kept::OwnedKept),
    Counted(set_operation::Counted),
    Distinct(aggregate::dedup::Dedup),
}

impl State {
    /// How many bytes it could give back by writing rows to files.
    pub(crate) fn yieldable_bytes(&self) -> u64 {
        match self {
            State::Join(build) => build.yieldable_bytes(),
            State::Sorted(sorter) => sorter.yieldable_bytes(),
            State::Kept(kept) => kept.yieldable_bytes(),
            State::Groups(groups) => groups.yieldable_bytes(),
            State::Counted(counted) => counted.yieldable_bytes(),
            State::Distinct(dedup) => dedup.yieldable_bytes(),
            State::Empty => 0,
        }
    }

    /// Whether they are groups, or counted rows, that are handed out.
    pub(crate) const fn is_handed_out(&self) -> bool {
        match self {
            State::Groups(groups) => groups.is_handed_out(),
            State::Counted(counted) => counted.is_handed_out(),
            _ => false,
        }
    }

    /// Gives some of them back; false if it cannot.
    pub(crate) fn yield_memory<'e>(&mut self, is_cancelled: IsCancelled<'_>) -> Result<bool, Error<'e>> {
        match self {
            State::Join(build) => Ok(build.yield_memory(is_cancelled)?),
            State::Sorted(sorter) => Ok(sorter.spill(is_cancelled)?),
            State::Kept(kept) => Ok(kept.yield_memory(is_cancelled)?),
            State::Groups(groups) => groups.yield_memory(is_cancelled),
            State::Counted(counted) => counted.yield_memory(is_cancelled),
            State::Distinct(dedup) => Ok(dedup.yield_memory(is_cancelled)?),
            State::Empty => Ok(false),
        }
    }
}

/// Where rows come from.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a pipeline has one of them, in place")]
pub(crate) enum Source<'a> {
    Scan(ArenaBox<'a, scan::Scan<'a>>),
    StoredScan(ArenaBox<'a, stored_scan::StoredScan<'a>>),
    EngineScan(engine_scan::EngineScan<'a>),
    Values(values::Values<'a>),
    /// One row of no columns.
    OneRow {
        is_given: bool,
    },
    Groups(ArenaBox<'a, aggregate::AggregateSource<'a>>),
    Sorted(sort::SortedSource<'a>),
    Window(ArenaBox<'a, window::WindowSource<'a>>),
    Kept(kept::KeptSource<'a>),
    Recursion(kept::RecursionSource<'a>),
    Set(set_operation::SetSource<'a>),
}

/// What is done to rows as they pass.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    Filter(filter::Filter<'a>),
    Project(filter::Project<'a>),
    Limit(limit::Limit<'a>),
    Distinct(ArenaBox<'a, distinct::Distinct<'a>>),
    Groups(ArenaBox<'a, aggregate::AggregateStep<'a>>),
    DistinctOn(distinct_on::DistinctOn<'a>),
    Join(ArenaBox<'a, join::Join<'a>>),
    Concat(concat::Concat<'a>),
    Insert(insert::Insert<'a>),
    TableFunction(ArenaBox<'a, table_function::TableFunction<'a>>),
}

/// Where rows go.
#[derive(Debug)]
pub(crate) enum Sink<'a> {
    Groups(ArenaBox<'a, aggregate::AggregateSink<'a>>),
    Sort(sort::SortSink<'a>),
    Window(window::WindowSink<'a>),
    Join(ArenaBox<'a, join::BuildSink<'a>>),
    Kept(ArenaBox<'a, kept::KeptSink<'a>>),
    Set(ArenaBox<'a, set_operation::SetSink<'a>>),
}

impl<'a> Source<'a> {
    /// Gives the columns that its rows stand in as well.
    pub(crate) fn open(
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<(Source<'a>, &'a [VectorId]), Error<'a>> {
        let (operator, arena) = (opening.operator(), opening.arena);
        Ok(match &operator.kind {
            OperatorKind::Scan(scan) => match scan.source {
                TableSource::File(file) => {
                    let (notes_lines, sources) = (opening.notes_lines, opening.sources_count);
                    let (scan, columns) = scan::Scan::open(scan, file, notes_lines, sources, store, arena)?;
                    (Source::Scan(arena.alloc_box(scan)?), columns)
                }
                TableSource::Stored(table) => {
                    let (scan, columns) = stored_scan::StoredScan::open(scan, table, cx, store, arena)?;
                    (Source::StoredScan(arena.alloc_box(scan)?), columns)
                }
                TableSource::Engine(source) => {
                    let (scan, columns) = engine_scan::EngineScan::open(scan, source, store, cx, arena)?;
                    (Source::EngineScan(scan), columns)
                }
            },
            OperatorKind::Values { rows } => {
                let (values, columns) = values::Values::open(rows, operator.columns, store, arena)?;
                (Source::Values(values), columns)
            }
            OperatorKind::HashAggregate(plan) => {
                let (groups, columns) = aggregate::AggregateSource::open(plan, opening, store)?;
                (Source::Groups(arena.alloc_box(groups)?), columns)
            }
            OperatorKind::Sort { .. } => {
                let (sorted, columns) = sort::SortedSource::open(opening, store)?;
                (Source::Sorted(sorted), columns)
            }
            OperatorKind::Window(plan) => {
                let (window, columns) = window::WindowSource::open(plan, opening, store, cx)?;
                (Source::Window(arena.alloc_box(window)?), columns)
            }
            OperatorKind::CteScan { cte } => {
                let (kept, columns) = kept::KeptSource::open_cte(*cte, opening, store)?;
                (Source::Kept(kept), columns)
            }
            OperatorKind::WorkingScan { working } => {
                let (kept, columns) = kept::KeptSource::open_working(*working, opening, store)?;
                (Source::Kept(kept), columns)
            }
            OperatorKind::Recursive { .. } => {
                let (recursion, columns) = kept::RecursionSource::open(opening, store)?;
                (Source::Recursion(recursion), columns)
            }
            OperatorKind::SetOperation { kind, all, .. } => {
                let (set, columns) = set_operation::SetSource::open(*kind, *all, opening, store)?;
                (Source::Set(set), columns)
            }
            other => return Err(not_supported(other)),
        })
    }

    pub(crate) fn next(&mut self, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<Output, Error<'a>> {
        match self {
            Source::Scan(scan) => scan.next(store),
            Source::StoredScan(scan) => scan.next(store, cx),
            Source::EngineScan(scan) => scan.next(store),
            Source::Values(values) => values.next(store),
            Source::OneRow { is_given: true } => Ok(Output::End),
            Source::OneRow { is_given } => {
                *is_given = true;
                Ok(Output::Batch(BatchRows::all(1)))
            }
            Source::Groups(groups) => groups.next(store, cx),
            Source::Sorted(sorted) => sorted.next(store, cx),
            Source::Window(window) => window.next(store, cx),
            Source::Kept(kept) => kept.next(store, cx),
            Source::Recursion(recursion) => recursion.next(store, cx),
            Source::Set(set) => set.next(store, cx),
        }
    }
}

impl Source<'_> {
    /// How many of the rows that it has read were left out because a join has no match for them.
    pub(crate) fn rows_filtered(&self) -> u64 {
        match self {
            Source::StoredScan(scan) => scan.rows_filtered as u64,
            _ => 0,
        }
    }

    /// How many rows it has read from its table for what it gave last.
    pub(crate) fn rows_read(&self) -> u64 {
        match self {
            Source::Scan(scan) => scan.rows_read as u64,
            Source::StoredScan(scan) => scan.rows_read as u64,
            Source::EngineScan(scan) => scan.rows_read as u64,
            _ => 0,
        }
    }
}

impl<'a> Step<'a> {
    /// Gives the columns that its rows stand in as well.
    pub(crate) fn open(
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<(Step<'a>, &'a [VectorId]), Error<'a>> {
        let (operator, arena) = (opening.operator(), opening.arena);
        Ok(match &operator.kind {
            OperatorKind::Filter { input, conjuncts } => {
                let columns = opening.columns_of(*input);
                (Step::Filter(filter::Filter::open(conjuncts, columns, store, arena)?), columns)
            }
            OperatorKind::Project { input, exprs } => {
                let columns = opening.columns_of(*input);
                let (project, columns) =
                    filter::Project::open(exprs, operator.columns, columns, store, arena)?;
                (Step::Project(project), columns)
            }
            OperatorKind::Limit(plan) => {
                let columns = opening.columns_of(plan.input);
                (Step::Limit(limit::Limit::open(plan, columns, operator.columns, store, arena)?), columns)
            }
            OperatorKind::Distinct { input } => {
                let columns = opening.columns_of(*input);
                let (distinct, columns) = distinct::Distinct::open(columns, opening, store, cx)?;
                (Step::Distinct(arena.alloc_box(distinct)?), columns)
            }
            OperatorKind::HashAggregate(plan) => {
                let (groups, columns) = aggregate::AggregateStep::open(plan, opening, store, cx)?;
                (Step::Groups(arena.alloc_box(groups)?), columns)
            }
            OperatorKind::DistinctOn { input, columns: keys } => {
                let columns = opening.columns_of(*input);
                (
                    Step::DistinctOn(distinct_on::DistinctOn::open(
                        keys,
                        columns,
                        operator.columns,
                        store,
                        arena,
                    )?),
                    columns,
                )
            }
            OperatorKind::HashJoin(_) | OperatorKind::NestedLoopJoin(_) => {
                let (join, columns) = join::Join::open(opening, store, cx)?;
                // It is large beside the others.
                (Step::Join(arena.alloc_box(join)?), columns)
            }
            OperatorKind::TableFunction(plan) => {
                let (function, columns) = table_function::TableFunction::open(plan, opening, store)?;
                (Step::TableFunction(arena.alloc_box(function)?), columns)
            }
            OperatorKind::Insert(insert) => {
                let columns = opening.columns_of(insert.input);
                let rules = insert::Insert::open(insert.table, insert.checks, columns, store, arena)?;
                (Step::Insert(rules), columns)
            }
            OperatorKind::Update(update) => {
                let columns = opening.columns_of(update.input);
                let new = &columns[..update.table.columns.len()];
                let rules = insert::Insert::open(update.table, update.checks, new, store, arena)?;
                (Step::Insert(rules), columns)
            }
            // Rows that go break no rule.
            OperatorKind::Delete(delete) => {
                let columns = opening.columns_of(delete.input);
                (Step::Insert(insert::Insert::open(delete.table, &[], &[], store, arena)?), columns)
            }
            other => return Err(not_supported(other)),
        })
    }

    /// What takes the rows of one input of a `Concat` over into its columns.
    pub(crate) fn open_concat(
        from: &'a [VectorId],
        to: &'a [VectorId],
        _arena: &'a Arena,
    ) -> Result<Step<'a>, Error<'a>> {
        Ok(Step::Concat(concat::Concat::open(from, to)))
    }

    /// Whether no row will pass, whatever comes.
    pub(crate) fn is_finished(&self, cx: &mut Context<'_>) -> bool {
        match self {
            Step::Limit(limit) => limit.is_finished(),
            Step::Join(join) => join.is_finished(cx),
            _ => false,
        }
    }

    pub(crate) fn push(
        &mut self,
        batch: BatchRows,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<Passed, Error<'a>> {
        match self {
            Step::Filter(_) | Step::Project(_) => loop {
                let passed = match self {
                    Step::Filter(filter) => filter.push(batch, store),
                    Step::Project(project) => project.push(batch, store),
                    _ => unreachable!("it is one of these"),
                };
                match passed {
                    // Nothing is kept of a batch that was computed in part.
                    Err(error) if error.refusal().is_some() && cx.relieve(None, 1)? => {}
                    passed => return passed,
                }
            },
            Step::Limit(limit) => limit.push(batch, store),
            Step::Distinct(distinct) => distinct.push(batch, store, cx),
            Step::Groups(groups) => groups.push(batch, store, cx),
            Step::DistinctOn(distinct) => distinct.push(batch, store),
            Step::Join(join) => join.push(batch, store, cx),
            Step::Concat(concat) => concat.push(batch, store),
            Step::Insert(insert) => insert.push(batch, store),
            Step::TableFunction(function) => function.push(batch, store),
        }
    }

    /// Goes on with the batch that was pushed last.
    pub(crate) fn more(&mut self, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<Passed, Error<'a>> {
        match self {
            Step::Join(join) => join.more(store, cx),
            Step::Groups(groups) => groups.more(store, cx),
            Step::TableFunction(function) => function.more(store),
            _ => unreachable!("the step never says that it has more"),
        }
    }

    /// After the last batch: what is left to give.
    pub(crate) fn finish(
        &mut self,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<Output, Error<'a>> {
        match self {
            Step::Distinct(distinct) => distinct.finish(store, cx),
            Step::Groups(groups) => groups.finish(store, cx),
            Step::Join(join) => join.finish(store, cx),
            _ => Ok(Output::End),
        }
    }
}

impl<'a> Sink<'a> {
    /// The sink of an operator for the rows of one of its inputs.
    pub(crate) fn open(
        opening: &Opening<'_, 'a>,
        input: OperatorId,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<Sink<'a>, Error<'a>> {
        Ok(match &opening.operator().kind {
            OperatorKind::HashAggregate(plan) => Sink::Groups(
                opening.arena.alloc_box(aggregate::AggregateSink::open(plan, opening, store, cx)?)?,
            ),
            OperatorKind::Sort { input, keys, limit } => {
                Sink::Sort(sort::SortSink::open(*input, keys, *limit, opening, cx)?)
            }
            OperatorKind::Window(plan) => Sink::Window(window::WindowSink::open(plan, opening, cx)?),
            OperatorKind::HashJoin(_) | OperatorKind::NestedLoopJoin(_) => {
                Sink::Join(opening.arena.alloc_box(join::BuildSink::open(opening, store, cx)?)?)
            }
            OperatorKind::Materialize { .. } => {
                let sink = kept::KeptSink::open(input, kept::Role::Materialize, opening, store, cx)?;
                Sink::Kept(opening.arena.alloc_box(sink)?)
            }
            OperatorKind::Recursive { base, distinct, .. } => {
                let role = match input == *base {
                    true => kept::Role::Base { is_distinct: *distinct },
                    false => kept::Role::Round,
                };
                Sink::Kept(opening.arena.alloc_box(kept::KeptSink::open(input, role, opening, store, cx)?)?)
            }
            OperatorKind::SetOperation { right, .. } => {
                let sink = set_operation::SetSink::open(input, input == *right, opening, store, cx)?;
                Sink::Set(opening.arena.alloc_box(sink)?)
            }
            other => return Err(not_supported(other)),
        })
    }

    pub(crate) fn take(
        &mut self,
        batch: BatchRows,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<(), Error<'a>> {
        match self {
            Sink::Groups(sink) => sink.take(batch, store, cx),
            Sink::Sort(sink) => sink.take(batch, store, cx),
            Sink::Window(sink) => sink.take(batch, store, cx),
            Sink::Join(sink) => sink.take(batch, store, cx),
            Sink::Kept(sink) => sink.take(batch, store, cx),
            Sink::Set(sink) => sink.take(batch, store, cx),
        }
    }

    /// After the last batch; is called until it gives true. In between the statement can be cancelled.
    pub(crate) fn finish(&mut self, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<bool, Error<'a>> {
        match self {
            Sink::Groups(sink) => sink.finish(store, cx),
            Sink::Sort(sink) => sink.finish(store, cx),
            Sink::Window(sink) => sink.finish(store, cx),
            Sink::Join(sink) => sink.finish(cx),
            Sink::Kept(sink) => sink.finish(cx),
            Sink::Set(sink) => sink.finish(cx),
        }
    }
}

/// What an operator takes at least under a limit for rows that it keeps and that do not fit: what files are written and read with.
/// With as much again for rows it goes on, whatever their number.
pub(crate) fn minimum_bytes(kind: &OperatorKind<'_>, limit_bytes: u64) -> u64 {
    let partitions = aggregate::partitions::Partitions::charged_bytes_below(limit_bytes);
    match kind {
        OperatorKind::HashJoin(_) | OperatorKind::NestedLoopJoin(_) => join::minimum_bytes(limit_bytes),
        OperatorKind::Sort { .. } => reserve_bytes(limit_bytes),
        OperatorKind::Window(window) => {
            reserve_bytes(limit_bytes) + window::minimum_bytes(window.functions.len(), limit_bytes)
        }
        OperatorKind::HashAggregate(aggregate) => {
            let distinct = aggregate.aggregates.iter().filter(|aggregate| aggregate.distinct).count();
            partitions * (1 + distinct as u64)
        }
        OperatorKind::Distinct { .. } | OperatorKind::SetOperation { .. } => partitions,
        OperatorKind::Materialize { .. } => kept::minimum_bytes(false, limit_bytes),
        OperatorKind::Recursive { distinct, .. } => kept::minimum_bytes(*distinct, limit_bytes),
        _ => 0,
    }
}

/// An operator that does not run yet.
fn not_supported<'a>(kind: &OperatorKind<'_>) -> Error<'a> {
    Error::NotSupported { what: name(kind) }
}

/// The name of an operator in the memory tree and in errors.
pub(crate) fn name(kind: &OperatorKind<'_>) -> &'static str {
    match kind {
        OperatorKind::Scan(_) => "scan",
        OperatorKind::Values { .. } => "values",
        OperatorKind::Filter { .. } => "filter",
        OperatorKind::Project { .. } => "project",
        OperatorKind::CteScan { .. } => "cte_scan",
        OperatorKind::WorkingScan { .. } => "working_scan",
        OperatorKind::Window(_) => "window",
        OperatorKind::DistinctOn { .. } => "distinct_on",
        OperatorKind::Concat { .. } => "concat",
        OperatorKind::SetOperation { .. } => "set_operation",
        OperatorKind::Materialize { .. } => "materialize",
        OperatorKind::Recursive { .. } => "recursive",
        OperatorKind::TableFunction(_) => "table_function",
        OperatorKind::HashJoin(_) => "hash_join",
        OperatorKind::NestedLoopJoin(_) => "nested_loop_join",
        OperatorKind::HashAggregate(_) => "aggregate",
        OperatorKind::Sort { limit: None, .. } => "sort",
        OperatorKind::Sort { limit: Some(_), .. } => "top_n",
        OperatorKind::Limit(_) => "limit",
        OperatorKind::Distinct { .. } => "distinct",
        OperatorKind::Insert(_) => "insert",
        OperatorKind::Update(_) => "update",
        OperatorKind::Delete(_) => "delete",
    }
}
