//! Joins: one side is kept, the other one streams past it.
//!
//! | file | holds |
//! |---|---|
//! | `keys` | the keys of rows, how they are compared, what NULL in them means |
//! | `build` | the kept side: partitions, hash tables, what goes to files |
//! | `probe` | the streaming side: matches of a batch, and what each kind of join makes of them |
//! | `drain` | behind the last probe row: build rows with or without a match, partitions that are in files |
//! | `gather` | matches to columns |
//! | `key_filter` | what scans below the streaming side are told of the keys |
//!
//! A nested loop join is the same with one partition and no keys: every pair is a candidate.
//!
//! **Peak bytes**: the kept rows with 21 bytes each and their key, 8 to 16 for the hash table's slots, and batches of output
//! columns, keys and matches. Before more is held than spilling needs (a block for each of 8 or 16 partitions and two more), that is
//! reserved.
//!
//! **Ladder**: in memory → the largest partitions in files, with the probe rows that belong to them ([`Counters::partitions_spilled`]) → a
//! partition that does not fit when it is read again is parted by other bits ([`Counters::partitions_parted`]) → one that cannot be
//! parted, such as rows of one key, is joined block by block ([`Counters::blocks`]) → the typed error. Partitions go to files when
//! the join is refused memory, when it leaves too little for others, and when others ask for it.
//!
//! [`Counters::partitions_spilled`]: crate::Counters::partitions_spilled
//! [`Counters::partitions_parted`]: crate::Counters::partitions_parted
//! [`Counters::blocks`]: crate::Counters::blocks

mod build;
mod drain;
mod gather;
mod key_filter;
mod keys;
mod probe;

use cofferdam_plan::expr::Expr;
use cofferdam_plan::physical::{HashJoin, JoinKey, JoinKind, NestedLoopJoin, OperatorId, OperatorKind};

use self::build::{MATCHED, UNLINKED};
use self::gather::kept_columns;
use self::keys::{Class, KeyMode, Keys};
use super::State;
use crate::batch::{BatchRows, Store, VectorId};
use crate::error::Error;
use crate::pipeline::{Context, Opening};
use crate::rows::{RowEncoder, RowLayout};
use crate::spill::SpillFailure;

pub(crate) use self::build::Build;
pub(super) use self::gather::copy_rows;
pub(crate) use self::key_filter::KeyFilter;
pub(crate) use self::probe::Join;

/// What both kinds of joins have.
#[derive(Clone, Copy, Debug)]
struct Plan<'a> {
    kind: JoinKind,
    probe: OperatorId,
    build: OperatorId,
    keys: &'a [JoinKey<'a>],
    conjuncts: &'a [&'a Expr<'a>],
    output: &'a [u32],
}

impl<'a> Plan<'a> {
    fn of(opening: &Opening<'_, 'a>) -> Plan<'a> {
        match opening.operator().kind {
            OperatorKind::HashJoin(HashJoin { kind, probe, build, keys, residual, output }) => {
                Plan { kind, probe, build, keys, conjuncts: residual, output }
            }
            OperatorKind::NestedLoopJoin(NestedLoopJoin { kind, probe, build, conjuncts, output }) => {
                Plan { kind, probe, build, keys: &[], conjuncts, output }
            }
            _ => unreachable!("only joins are opened as joins"),
        }
    }
}

/// Whether build rows without a match are given.
fn gives_unmatched_build(kind: JoinKind) -> bool {
    matches!(kind, JoinKind::Right | JoinKind::Full | JoinKind::RightAnti)
}

/// Whether build rows are given behind the last probe row: so they note which of them have a match.
fn gives_build_rows(kind: JoinKind) -> bool {
    gives_unmatched_build(kind) || kind == JoinKind::RightSemi
}

/// What a join takes for files under a limit.
pub(super) fn minimum_bytes(limit_bytes: u64) -> u64 {
    build::reserve_bytes(limit_bytes)
}

fn build_of(state: &mut State) -> &mut Build {
    let State::Join(build) = state else { unreachable!("the sink of the join made it") };
    build
}

/// Keeps the build side.
#[derive(Debug)]
pub(crate) struct BuildSink<'a> {
    id: OperatorId,
    kind: JoinKind,
    keys: Keys<'a>,
    kept_columns: &'a [VectorId],
    layout: RowLayout<'a>,
    encoder: RowEncoder<'a>,
}

impl<'a> BuildSink<'a> {
    pub(crate) fn open(
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<BuildSink<'a>, Error<'a>> {
        let (plan, arena) = (Plan::of(opening), opening.arena);
        let columns = opening.columns_of(plan.build);
        let keys = Keys::open(plan.keys, |key| key.build, columns, store, arena)?;
        let kept_columns = kept_columns(plan.probe, plan.build, plan.conjuncts, plan.output, opening)?;
        let layout = RowLayout::new(kept_columns.iter().map(|&id| store.vector(id).kind()), arena)?;
        let mut build = Build::new(KeyMode::of(plan.keys), opening.budget(), cx.spill)?;
        let rows_estimate = opening.operators[plan.build.index()].rows_estimate;
        (0..plan.keys.len() as u32)
            .filter(|key| opening.filters_scans(*key))
            .try_for_each(|key| build.add_filter(key, rows_estimate))?;
        *cx.state(opening.id) = State::Join(build);
        let encoder = RowEncoder::new(arena);
        Ok(BuildSink { id: opening.id, kind: plan.kind, keys, kept_columns, layout, encoder })
    }

    /// Keeps the rows of a batch.
    pub(crate) fn take(
        &mut self,
        batch: BatchRows,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<(), Error<'a>> {
        let State::Join(mut build) = cx.take_state(self.id) else {
            unreachable!("it was made at the opening")
        };
        let outcome = self.keep(batch, &mut build, store, cx);
        *cx.state(self.id) = State::Join(build);
        outcome
    }

    fn keep(
        &mut self,
        batch: BatchRows,
        build: &mut Build,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<(), Error<'a>> {
        let is_cancelled = cx.is_cancelled;
        loop {
            let encoded = self.keys.compute(batch, store).and_then(|()| {
                Ok(self.encoder.encode(&self.layout, self.kept_columns, store.rows(batch), store)?)
            });
            match encoded {
                Err(error)
                    if error.refusal().is_some()
                        && (cx.relieve(Some(self.id), 1)? || build.yield_memory(is_cancelled)?) => {}
                outcome => break outcome?,
            }
        }
        let rows = store.rows(batch);
        build.rows_count += rows.len() as u64;
        for filter in build.filters.iter_mut() {
            filter.note(store.vector(self.keys.column(filter.key)), rows);
        }
        for i in 0..rows.len() {
            let class = self.keys.classes[i];
            build.has_unknown |= class == Class::Unknown;
            let flags = match class {
                Class::Usual => 0,
                // It is given without a match, and needs no table for that.
                _ if gives_unmatched_build(self.kind) => UNLINKED,
                _ => continue,
            };
            let (hash, key, row) = (self.keys.hashes[i], self.keys.key(i), self.encoder.row(i));
            loop {
                match build.push(hash, flags, key, row, is_cancelled) {
                    Err(SpillFailure::OutOfMemory(_)) if cx.relieve(Some(self.id), 1)? => {}
                    outcome => break outcome?,
                }
            }
        }
        // Of several the one that holds the most gives way.
        while build.is_short() && cx.relieve(Some(self.id), build.yieldable_bytes())? {}
        build.settle(is_cancelled)?;
        Ok(())
    }

    /// Makes the tables.
    pub(crate) fn finish(&mut self, cx: &mut Context<'_>) -> Result<bool, Error<'a>> {
        let is_cancelled = cx.is_cancelled;
        let is_done = loop {
            match build_of(cx.state(self.id)).finish(is_cancelled) {
                Err(SpillFailure::OutOfMemory(_)) if cx.relieve(Some(self.id), 1)? => {}
                outcome => break outcome?,
            }
        };
        if is_done {
            let State::Join(build) = cx.take_state(self.id) else { unreachable!("it was there just now") };
            build.count(cx.counters(self.id));
            *cx.state(self.id) = State::Join(build);
        }
        Ok(is_done)
    }
}

/// Whether a kept row is among those that are given behind the last probe row.
fn is_given(kind: JoinKind, flags: u8) -> bool {
    (flags & MATCHED != 0) == (kind == JoinKind::RightSemi)
}
