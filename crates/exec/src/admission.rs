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
//! **Long values.** Before a plan runs, texts count [`TEXT_BYTES`] each. When memory is refused while it runs, the longest one that was
//! seen so far is known ([`Needs::value_bytes`]): a batch has as many rows then as have [`batch_bytes_max`] together, and one more,
//! and each operator has so many of them in its hands ([`values_at_work`]) or needs room for so many beside the rows that it keeps
//! ([`values_kept`]). Values that are still longer name a larger limit when they come.
//!
//! **What it does not know.** Values that aggregates collect, and what stored tables hold of changes may take more.

use cofferdam_plan::expr::{Expr, ExprKind};
use cofferdam_plan::physical::{Operator, OperatorId, OperatorKind};
use cofferdam_plan::table::TableSource;

use crate::batch::Kind;
use crate::csv::reader::window_bytes;
use crate::exchange::workers_bytes;
use crate::operators::minimum_bytes;
use crate::pipeline::{Pipeline, Schedule, batch_bytes_max, headroom_bytes, keeps_as_step};

/// What a text in a batch counts.
const TEXT_BYTES: u64 = 64;
/// What a short one has at least.
const SHORT_TEXT_BYTES: u64 = 16;
/// What a role has beside its columns: lists, programs, the rest of chunks.
const ROLE_BYTES: u64 = 4 << 10;
/// So many nodes of expressions are in that, and each other one takes so much.
const FEW_NODES: u64 = 24;
const NODE_BYTES: u64 = 1152;
/// How deep expressions are looked into.
const DEPTH_MAX: u32 = 48;
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
    /// The longest value that was seen.
    pub(crate) value_bytes: u64,
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
            // Chunks are not filled to the last byte.
            let needed = needed + needed / 16;
            if needed <= enough {
                return Some(enough);
            }
            enough = needed + needed / 32;
        }
        None
    }

    /// What the plan takes under a limit.
    fn enough_below(&self, limit: u64) -> u64 {
        let pipelines = 0..self.schedule.pipelines.len();
        let of_roles = |index: usize| {
            let lists = PIPELINE_BYTES + self.operators.len() as u64 * OPERATOR_BYTES;
            let steps =
                self.schedule.roles(index).filter(|id| keeps_as_step(&self.operators[id.index()].kind));
            let lists = lists + self.kept_together(steps, limit);
            let capacity = self.capacity(index, limit);
            let limit = limit / self.schedule.pipelines[index].sources_count();
            let role = |id: OperatorId| self.role_bytes(id, limit, capacity);
            lists + self.schedule.roles(index).map(role).sum::<u64>()
        };
        let of_slots = |index: usize| self.kept_together(self.schedule.live_slots(index), limit);
        // The pipelines of a round run one after the other, inside of the one that asks for it.
        let is_round = |index: &usize| !self.schedule.runs_always(*index);
        let coexisting = match pipelines.clone().any(|index| is_round(&index)) {
            true => {
                let most_in = |list: u32| {
                    let of_list = pipelines.clone().filter(|index| self.schedule.list_of(*index) == list);
                    of_list.map(of_roles).max().unwrap_or(0)
                };
                let of_lists = (0..self.schedule.lists_count()).map(most_in).sum::<u64>();
                of_lists + self.kept_together(self.schedule.all_slots(), limit)
            }
            false => pipelines.map(|index| of_roles(index) + of_slots(index)).max().unwrap_or(0),
        };
        // One row that is looked for is read, and handed on.
        let of_row = if self.schedule.pipelines.is_empty() { 3 * self.value_bytes } else { 0 };
        let coexisting = coexisting + of_row;
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
        let of_columns =
            |id: OperatorId| self.columns_bytes(id, capacity) + self.texts_bytes(id, limit, capacity);
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
        let values = values_at_work(&operator.kind) * self.long_bytes(id, None);
        let programs = programs_bytes(&operator.kind);
        ROLE_BYTES + programs + made + encoded + rows + values + 2 * self.window_bytes(id, limit)
    }

    /// The texts of a batch of the operator's columns.
    fn texts_bytes(&self, id: OperatorId, limit: u64, capacity: u64) -> u64 {
        let columns = self.operators[id.index()].columns.iter();
        let texts = columns.filter(|column| Kind::of(column.ty) == Kind::Text).count() as u64;
        let long = self.value_bytes.saturating_mul(capacity).min(batch_bytes_max(limit) + self.value_bytes);
        texts * (capacity * TEXT_BYTES).max(long)
    }

    /// The longest value, if rows of the operator or its input may have one: of one of its inputs, or of all.
    fn long_bytes(&self, id: OperatorId, input: Option<OperatorId>) -> u64 {
        let operator = &self.operators[id.index()];
        let has_text = |id: OperatorId| {
            self.operators[id.index()].columns.iter().any(|column| Kind::of(column.ty) == Kind::Text)
        };
        let is_any = match input {
            Some(input) => has_text(input),
            // A scan may read columns that it does not hand on.
            None => {
                matches!(operator.kind, OperatorKind::Scan(_))
                    || has_text(id)
                    || operator.kind.inputs().iter().any(has_text)
            }
        };
        if is_any && self.value_bytes >= LONG_BYTES { self.value_bytes } else { 0 }
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

    /// What operators that keep rows at the same time take for files, and as much for rows that are in memory.
    fn kept_together(&self, slots: impl Iterator<Item = OperatorId> + Clone, limit: u64) -> u64 {
        let is_join = |id: &OperatorId| matches!(self.operators[id.index()].kind, OperatorKind::HashJoin(_));
        // Joins have smaller files where there is no room for those that they want.
        let joins = slots.clone().filter(is_join).count().max(1) as u64;
        let kept = |id: OperatorId| {
            let kind = &self.operators[id.index()].kind;
            let limit = if is_join(&id) { limit / joins } else { limit };
            2 * minimum_bytes(kind, limit) + values_kept(kind) * self.long_bytes(id, kept_input(kind))
        };
        slots.map(kept).sum()
    }
}

/// The programs of expressions that are larger than most: of so many nodes as [`ROLE_BYTES`] has room for.
fn programs_bytes(kind: &OperatorKind<'_>) -> u64 {
    let nodes = match *kind {
        OperatorKind::Project { exprs, .. } => exprs.iter().map(|expr| nodes_count(expr, DEPTH_MAX)).sum(),
        OperatorKind::Filter { conjuncts, .. } => count_of(conjuncts),
        OperatorKind::Scan(scan) => count_of(scan.conjuncts),
        OperatorKind::HashJoin(join) => count_of(join.residual),
        OperatorKind::NestedLoopJoin(join) => count_of(join.conjuncts),
        OperatorKind::HashAggregate(aggregate) => {
            let args = aggregate.aggregates.iter().map(|one| count_of(one.args));
            count_of(aggregate.groups) + args.sum::<u64>()
        }
        _ => 0,
    };
    nodes.saturating_sub(FEW_NODES) * NODE_BYTES
}

fn count_of(exprs: &[&Expr<'_>]) -> u64 {
    exprs.iter().map(|expr| nodes_count(expr, DEPTH_MAX)).sum()
}

/// The nodes of an expression that are computed, down to a depth. What is deeper is not looked at: there may be no memory for that.
fn nodes_count(expr: &Expr<'_>, depth: u32) -> u64 {
    let children = (0..expr.child_count()).filter_map(|index| expr.child(index));
    match depth {
        0 => 1,
        _ => 1 + children.map(|child| nodes_count(child, depth - 1)).sum::<u64>(),
    }
}

/// From here on a value counts as long.
pub(crate) const LONG_BYTES: u64 = 256;

/// The input whose rows an operator keeps, if it is one of several.
fn kept_input(kind: &OperatorKind<'_>) -> Option<OperatorId> {
    match kind {
        OperatorKind::HashJoin(join) => Some(join.build),
        OperatorKind::NestedLoopJoin(join) => Some(join.build),
        _ => None,
    }
}

/// How many long values an operator has in its hands beside a batch of them: where texts are made or grow, in chunks that double.
fn values_at_work(kind: &OperatorKind<'_>) -> u64 {
    match kind {
        OperatorKind::Scan(_) => 3,
        OperatorKind::Values { .. } | OperatorKind::Filter { .. } => 2,
        OperatorKind::Project { exprs, .. } => {
            4 * exprs.iter().filter(|expr| !matches!(expr.kind, ExprKind::Column(_))).count() as u64
        }
        OperatorKind::Limit(_) => 0,
        OperatorKind::TableFunction(_) | OperatorKind::Recursive { .. } => 4,
        _ => 2,
    }
}

/// How many long values an operator needs room for that keeps rows, once they are in files: those that are read side by side, and one
/// that goes from file to file.
fn values_kept(kind: &OperatorKind<'_>) -> u64 {
    match kind {
        OperatorKind::NestedLoopJoin(_) => 40,
        OperatorKind::HashJoin(_) | OperatorKind::Window(_) => 16,
        OperatorKind::Distinct { .. } => 24,
        OperatorKind::HashAggregate(aggregate) => {
            let ordered = aggregate.aggregates.iter().filter(|one| one.distinct || !one.order_by.is_empty());
            6 + 16 * ordered.count() as u64
        }
        OperatorKind::SetOperation { .. } | OperatorKind::Sort { .. } | OperatorKind::Materialize { .. } => 6,
        OperatorKind::Recursive { distinct, .. } => {
            if *distinct {
                30
            } else {
                8
            }
        }
        _ => 0,
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

/// What a join has for a row of a batch beside the columns that it makes: its key, hash, place and matches, and columns for rows that come
/// from files.
pub(crate) fn beside_bytes(operator: &Operator<'_>, operators: &[Operator<'_>]) -> u64 {
    const MATCH_BYTES: u64 = 64;
    match operator.kind {
        OperatorKind::HashJoin(ref join) => MATCH_BYTES + made_bytes(&operators[join.probe.index()]),
        _ => 0,
    }
}

fn width(kind: Kind) -> u64 {
    match kind {
        Kind::Bool => 1,
        Kind::I32 => 4,
        Kind::I64 | Kind::F64 | Kind::Text => 8,
        Kind::I128 => 16,
    }
}
