//! What a plan needs: the least that it cannot begin without, and a limit that is enough for it.
//!
//! ```text
//! pipeline 0   Scan b ──> join table of 2                    needs  columns of 1                          + table of 2
//! pipeline 1   Scan a ── probe of 2 ──> groups of 3          needs  columns of 0 and 2      + table of 2  + groups of 3
//! answer       groups of 3                                   needs  columns of 3                          + groups of 3
//! ```
//!
//! Pipelines run one after the other, so what has to coexist is what the roles of one pipeline take, and what pipelines before it
//! left for it or for one behind it. A plan needs what its greediest pipeline does.
//!
//! | figure | of a role | of what is left behind | used |
//! |---|---|---|---|
//! | [`Needs::least_bytes`] | the columns and the window that its source has as soon as it is open | nothing | a plan is refused before it starts if they are not to be had |
//! | [`Needs::enough_bytes`] | columns, texts, encoded rows, the window of a file | what files need, and as much for rows | the limit that a refusal names |
//!
//! Most sizes follow the limit, so the second is the least limit below which its own figure fits. From there on operators that keep
//! rows go to files, whatever their number.
//!
//! **What it does not know.** Texts count [`TEXT_BYTES`] each: rows that are much longer, values that aggregates collect, and what
//! stored tables hold of changes may take more.

use cofferdam_plan::physical::{Operator, OperatorId, OperatorKind};
use cofferdam_plan::table::TableSource;

use crate::batch::Kind;
use crate::csv::reader::window_bytes;
use crate::exchange::workers_bytes;
use crate::operators::minimum_bytes;
use crate::pipeline::{Pipeline, Schedule, headroom_bytes, keeps_as_step};

/// What a text in a batch counts.
const TEXT_BYTES: u64 = 64;
/// What a short one has at least.
const SHORT_TEXT_BYTES: u64 = 16;
/// What a role has beside its columns: lists, programs, the rest of chunks.
const ROLE_BYTES: u64 = 4 << 10;
/// What a pipeline has for its lists.
const PIPELINE_BYTES: u64 = 8 << 10;
/// What lists have for each operator of the plan.
const OPERATOR_BYTES: u64 = 1 << 10;
/// Above this nobody is helped by being told.
const ENOUGH_BYTES_MAX: u64 = 1 << 40;

/// A plan, cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs<'p> {
    pub(crate) operators: &'p [Operator<'p>],
    pub(crate) schedule: Schedule<'p>,
    /// Rows in a batch of a pipeline under a limit.
    pub(crate) capacity: fn(&Pipeline<'_>, &[Operator<'_>], u64) -> usize,
    pub(crate) threads_count: usize,
}

impl Needs<'_> {
    /// Whether some operator keeps rows, whatever their number.
    pub(crate) fn keeps_rows(&self) -> bool {
        self.operators.iter().any(|operator| minimum_bytes(&operator.kind, 0) > 0)
    }

    /// What the plan cannot begin without under a limit.
    pub(crate) fn least_bytes(&self, limit: u64) -> u64 {
        let of_pipeline = |index: usize| {
            let capacity = self.capacity(index, limit);
            let limit = limit / self.schedule.pipelines[index].sources_count();
            let source = self.schedule.first_source(index).filter(|id| self.has_columns(*id));
            source.map_or(0, |id| self.columns_bytes(id, capacity) + self.window_bytes(id, limit))
        };
        let always = (0..self.schedule.pipelines.len()).filter(|&index| self.schedule.runs_always(index));
        always.map(of_pipeline).max().unwrap_or(0)
    }

    /// A limit that is enough for the plan, where `others` bytes are in use beside it; `None` if none is known.
    pub(crate) fn enough_bytes(&self, others: u64) -> Option<u64> {
        // What it takes grows with the limit, and ends to grow.
        let mut enough = others + PIPELINE_BYTES;
        while enough < ENOUGH_BYTES_MAX {
            let needed = others + self.enough_below(enough);
            if needed <= enough {
                return Some(enough);
            }
            enough = needed + needed / 32;
        }
        None
    }

    /// What the plan takes under a limit.
    fn enough_below(&self, limit: u64) -> u64 {
        let kept = |id: OperatorId| self.kept_bytes(id, limit);
        let has_rounds = (0..self.schedule.pipelines.len()).any(|index| !self.schedule.runs_always(index));
        let pipelines = 0..self.schedule.pipelines.len();
        let of_roles = pipelines.clone().map(|index| {
            let lists = PIPELINE_BYTES + self.operators.len() as u64 * OPERATOR_BYTES;
            let steps =
                self.schedule.roles(index).filter(|id| keeps_as_step(&self.operators[id.index()].kind));
            let lists = lists + steps.map(kept).sum::<u64>();
            let capacity = self.capacity(index, limit);
            let limit = limit / self.schedule.pipelines[index].sources_count();
            let role = |id: OperatorId| self.role_bytes(id, limit, capacity);
            lists + self.schedule.roles(index).map(role).sum::<u64>()
        });
        let of_slots = pipelines.map(|index| self.schedule.live_slots(index).map(kept).sum::<u64>());
        // The pipelines of a round run inside of the one that asks for it.
        let coexisting = match has_rounds {
            true => of_roles.sum::<u64>() + self.schedule.all_slots().map(kept).sum::<u64>(),
            false => of_roles.zip(of_slots).map(|(roles, slots)| roles + slots).max().unwrap_or(0),
        };
        coexisting + headroom_bytes(limit) + workers_bytes(limit, self.threads_count)
    }

    fn capacity(&self, pipeline: usize, limit: u64) -> u64 {
        (self.capacity)(&self.schedule.pipelines[pipeline], self.operators, limit) as u64
    }

    /// Whether the operator as a source has columns of its own.
    fn has_columns(&self, id: OperatorId) -> bool {
        matches!(
            self.operators[id.index()].kind,
            OperatorKind::Scan(_)
                | OperatorKind::Sort { .. }
                | OperatorKind::CteScan { .. }
                | OperatorKind::Recursive { .. }
        )
    }

    /// The vectors of the operator's columns.
    fn columns_bytes(&self, id: OperatorId, capacity: u64) -> u64 {
        let columns = self.operators[id.index()].columns.iter();
        // A value, and whether there is one.
        columns.map(|column| capacity * (width(Kind::of(column.ty)) + 1)).sum()
    }

    /// What a role of an operator takes while its pipeline runs.
    fn role_bytes(&self, id: OperatorId, limit: u64, capacity: u64) -> u64 {
        let operator = &self.operators[id.index()];
        let inputs = operator.kind.inputs();
        let of_columns = |id: OperatorId| {
            let texts =
                self.operators[id.index()].columns.iter().filter(|column| Kind::of(column.ty) == Kind::Text);
            self.columns_bytes(id, capacity) + texts.count() as u64 * capacity * TEXT_BYTES
        };
        // Some pass columns on as they are, or have registers for as much as they compute on the way.
        let made = match operator.kind {
            OperatorKind::Limit(_) | OperatorKind::Distinct { .. } | OperatorKind::DistinctOn { .. } => 0,
            OperatorKind::Filter { .. } => self.columns_bytes(id, capacity),
            _ => of_columns(id),
        };
        // Others have rows encoded beside.
        let encoded = match operator.kind {
            OperatorKind::Filter { .. } | OperatorKind::Project { .. } | OperatorKind::Limit(_) => 0,
            _ => inputs.iter().map(of_columns).sum::<u64>(),
        };
        // Selections, hashes and matches.
        let rows = capacity * 32;
        ROLE_BYTES + made + encoded + rows + 2 * self.window_bytes(id, limit)
    }

    /// The part of a file that is in memory.
    fn window_bytes(&self, id: OperatorId, limit: u64) -> u64 {
        match self.operators[id.index()].kind {
            OperatorKind::Scan(scan) if matches!(scan.source, TableSource::File(_)) => {
                window_bytes(limit) as u64
            }
            _ => 0,
        }
    }

    /// What an operator takes for files, and as much for rows that are in memory.
    fn kept_bytes(&self, id: OperatorId, limit: u64) -> u64 {
        2 * minimum_bytes(&self.operators[id.index()].kind, limit)
    }
}

/// What an operator has for a row of a batch: the columns that it makes.
pub(crate) fn made_bytes(operator: &Operator<'_>) -> u64 {
    if matches!(
        operator.kind,
        OperatorKind::Filter { .. }
            | OperatorKind::Limit(_)
            | OperatorKind::Distinct { .. }
            | OperatorKind::DistinctOn { .. }
    ) {
        return 0;
    }
    let bytes = |kind: Kind| width(kind) + 1 + if kind == Kind::Text { SHORT_TEXT_BYTES } else { 0 };
    operator.columns.iter().map(|column| bytes(Kind::of(column.ty))).sum()
}

fn width(kind: Kind) -> u64 {
    match kind {
        Kind::Bool => 1,
        Kind::I32 => 4,
        Kind::I64 | Kind::F64 | Kind::Text => 8,
        Kind::I128 => 16,
    }
}
