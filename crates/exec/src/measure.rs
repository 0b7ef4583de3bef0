//! How long operators take and how often they are begun, for EXPLAIN ANALYZE.
//!
//! A pipeline carries one batch at a time, so whatever time passes belongs to the operator that is at work. Who carries the
//! batches says so when it is done with one ([`Context::lap`](crate::pipeline::Context::lap)): the time since it was said last is
//! that operator's *own*. What an operator took in PostgreSQL's sense, with all that it reads, is the sum of the own times in
//! its part of the tree.
//!
//! **Cost.** One reading of the clock for each batch and operator. Where nothing is measured there is no stopwatch, and a lap is a
//! test for that.

use std::time::Instant;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_plan::explain::Measured;
use cofferdam_plan::physical::{Operator, OperatorId, OperatorKind};

use crate::pipeline::Counters;

/// What one operator took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    own_ns: u64,
    /// When it was at work first.
    begun_ns: Option<u64>,
    /// When it had given its first row.
    first_ns: Option<u64>,
    loops: u64,
}

/// A clock that says up to where time has been told apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch {
    began: Instant,
    told_ns: u64,
}

impl Stopwatch {
    /// A stopwatch that runs from now.
    fn start() -> Stopwatch {
        Stopwatch { began: Instant::now(), told_ns: 0 }
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Tells the operators' times apart.
#[derive(Debug)]
pub(crate) struct Laps<'l> {
    stopwatch: &'l mut Stopwatch,
    times: &'l mut [Times],
}

impl Laps<'_> {
    /// The operator was at work until now.
    pub(crate) fn lap(&mut self, operator: OperatorId, counters: &Counters) {
        let (now_ns, told_ns) = (self.stopwatch.now_ns(), self.stopwatch.told_ns);
        let times = &mut self.times[operator.index()];
        times.begun_ns.get_or_insert(told_ns);
        if counters.rows > 0 {
            times.first_ns.get_or_insert(now_ns);
        }
        times.own_ns += now_ns.saturating_sub(told_ns);
        self.stopwatch.told_ns = now_ns;
    }

    /// What passed until now belongs to nobody.
    pub(crate) fn skip(&mut self) {
        self.stopwatch.told_ns = self.stopwatch.now_ns();
    }

    /// The operator is begun.
    pub(crate) fn count_loop(&mut self, operator: OperatorId) {
        self.times[operator.index()].loops += 1;
    }
}

/// What is measured of a plan's operators.
#[derive(Debug)]
pub(crate) struct Timing<'a> {
    stopwatch: Stopwatch,
    times: &'a mut [Times],
}

impl<'a> Timing<'a> {
    /// Measures from now on, for so many operators.
    pub(crate) fn start(operators_count: usize, arena: &'a Arena) -> Result<Timing<'a>, AllocError> {
        let times = arena.alloc_slice_fill(operators_count, Times::default())?;
        Ok(Timing { stopwatch: Stopwatch::start(), times })
    }

    /// For those who are at work.
    pub(crate) fn laps(&mut self) -> Laps<'_> {
        Laps { stopwatch: &mut self.stopwatch, times: self.times }
    }

    /// What operators did, in `arena`; `bytes` gives what one holds and held.
    pub(crate) fn measured<'m>(
        &self,
        operators: &[Operator<'_>],
        counters: &[Counters],
        bytes: impl Fn(usize) -> (u64, u64),
        arena: &'m Arena,
    ) -> Result<&'m [Measured], AllocError> {
        let mut measured = Vec::with_capacity_in(operators.len(), arena)?;
        // When the first operator of a part of the tree was at work, and when it had given a row.
        let scratch = Arena::new(arena.budget());
        let begun: &mut [Option<u64>] = scratch.alloc_slice_fill(operators.len(), None)?;
        for (index, operator) in operators.iter().enumerate() {
            let (times, counters) = (self.times[index], counters[index]);
            let (memory_bytes, memory_bytes_peak) = bytes(index);
            let mut of = Measured {
                loops: times.loops,
                rows: counters.rows,
                rows_read: counters.rows_read,
                rows_filtered: counters.rows_filtered,
                workers: counters.workers,
                startup_ns: 0,
                total_ns: times.own_ns,
                memory_bytes,
                memory_bytes_peak,
                spilled_bytes: counters.spilled_bytes,
                spilled_files: counters.spilled_files,
                partitions_spilled: counters.partitions_spilled,
                partitions_parted: counters.partitions_parted,
                blocks: counters.blocks,
            };
            begun[index] = times.begun_ns;
            for input in operator.kind.inputs().iter() {
                let read: &Measured = &measured[input.index()];
                of.total_ns += read.total_ns;
                begun[index] = match (begun[index], begun[input.index()]) {
                    (Some(own), Some(read)) => Some(own.min(read)),
                    (own, read) => own.or(read),
                };
                if let OperatorKind::Materialize { .. } = operator.kind {
                    // It gives what it takes, to whoever scans it.
                    (of.loops, of.rows) = (read.loops, read.rows);
                }
            }
            let first_ns = times.first_ns.zip(begun[index]).map(|(first, begun)| first.saturating_sub(begun));
            of.startup_ns = first_ns.map_or(of.total_ns, |first_ns| first_ns.min(of.total_ns));
            measured.push(of)?;
        }
        Ok(measured.into_slice())
    }
}
