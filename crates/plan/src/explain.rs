//! EXPLAIN: a physical plan as an indented tree in PostgreSQL's style.
//!
//! ```text
//! Sort  (rows=3000 bytes=187.5 KiB)
//!   Sort Key: revenue DESC, o_orderdate
//!   Top-N: 10
//!   ->  HashAggregate  (rows=3000 bytes=187.5 KiB)
//!         Group Key: l_orderkey
//!         ->  Seq Scan on lineitem  (rows=30000)
//!               Filter: (l_shipdate > '1995-03-15'::date)
//! ```
//!
//! A scan of a stored table that looks at a part of its key's order only is a *key scan* and tells the part.
//!
//! `rows` is the planner's guess of what an operator gives, `bytes` of what it holds at its peak. The first input of a
//! join streams, the second is held.
//!
//! What was measured while the plan ran stands behind that: times and rows of one loop, as PostgreSQL has them (a time is that of the
//! operator with all that it reads), what the operator held (at the end, and its peak), and what it wrote to files.
//! In JSON the same tree has the names that PostgreSQL gives it; bytes are numbers there.

mod measures;
mod options;
mod writer;

use std::fmt;
use std::ops::Bound;

use cofferdam_arena::collections::{String, Vec};
use cofferdam_arena::{AllocError, Arena, human_bytes};

pub use self::measures::{Measured, Measures};
pub use self::options::{ExplainFormat, ExplainOptions};
pub(crate) use self::options::{explain_options, place_of_analyze};
use self::writer::{Millis, Writer};
use crate::expr::Expr;
use crate::expr::names::Names;
use crate::expr::print::{Quoted, append, write_aggregate, write_column, write_expr, write_literal};
use crate::physical::{
    Check, Frame, FrameBound, FrameExclusion, FrameMode, HashAggregate, HashJoin, JoinKind, KeyNulls,
    KeyRange, NestedLoopJoin, Operator, OperatorId, OperatorKind, PhysicalPlan, Scan, ScanIndex,
    SetOperationKind, SortKey, TableFunction, TableFunctionKind, Window, WindowKind,
};
use crate::table::{KeyColumn, StoredTable, TableSource};
use cofferdam_types::Value;

/// A plan as it is shown, in `arena`: the lines of a tree, or one JSON value.
///
/// # Errors
/// `AllocError` when the budget of `arena` has no room.
pub fn explain<'a>(
    plan: &PhysicalPlan<'a>,
    options: ExplainOptions,
    arena: &'a Arena,
) -> Result<&'a [&'a str], AllocError> {
    explain_measured(plan, options, &Measures::default(), arena)
}

/// A plan as it is shown with what was measured.
///
/// # Errors
/// `AllocError` when the budget of `arena` has no room.
pub fn explain_measured<'a>(
    plan: &PhysicalPlan<'a>,
    options: ExplainOptions,
    measures: &Measures<'_>,
    arena: &'a Arena,
) -> Result<&'a [&'a str], AllocError> {
    let scratch = Arena::new(arena.budget());
    let mut open: Vec<'_, Visit> = Vec::new_in(&scratch);
    let root = OperatorId::new(plan.operators.len() as u32 - 1);
    open.push(Visit::Enter { id: root, depth: 0, relationship: "" })?;
    let out = Writer::new(options.format, arena);
    let mut explain = Explain { plan: *plan, options, measures, arena, out };
    if explain.out.is_json() {
        explain.out.json_open("", '[')?;
        explain.out.json_open("", '{')?;
        explain.out.json_open("Plan", '{')?;
    }
    while let Some(visit) = open.pop() {
        let (id, depth, relationship) = match visit {
            Visit::Enter { id, depth, relationship } => (id, depth, relationship),
            Visit::Leave { has_inputs } => {
                if has_inputs {
                    explain.out.json_close(']')?;
                }
                explain.out.json_close('}')?;
                continue;
            }
        };
        if explain.out.is_json() && depth > 0 {
            explain.out.json_open("", '{')?;
        }
        let operator = &plan.operators[id.index()];
        explain.operator(operator, id, depth, relationship)?;
        let leave = open.len();
        if explain.out.is_json() {
            open.push(Visit::Leave { has_inputs: false })?;
        }
        let first = open.len();
        // What is kept for several readers is shown once, below the root.
        if id == root {
            for (index, operator) in plan.operators.iter().enumerate() {
                if matches!(operator.kind, OperatorKind::Materialize { .. }) {
                    let id = OperatorId::new(index as u32);
                    open.push(Visit::Enter { id, depth: depth + 1, relationship: "InitPlan" })?;
                }
            }
        }
        for (index, input) in operator.kind.inputs().iter().enumerate() {
            let relationship = match (&operator.kind, index) {
                (OperatorKind::Concat { .. }, _) => "Member",
                (_, 0) => "Outer",
                _ => "Inner",
            };
            open.push(Visit::Enter { id: input, depth: depth + 1, relationship })?;
        }
        open[first..].reverse();
        if explain.out.is_json() && open.len() > first {
            open[leave] = Visit::Leave { has_inputs: true };
            explain.out.json_open("Plans", '[')?;
        }
    }
    explain.totals()?;
    if explain.out.is_json() {
        explain.out.json_close('}')?;
        explain.out.json_close(']')?;
    }
    explain.out.finish()
}

/// What comes next on the way through a plan.
#[derive(Clone, Copy, Debug)]
enum Visit {
    /// An operator.
    Enter { id: OperatorId, depth: usize, relationship: &'static str },
    /// The end of one, in JSON.
    Leave { has_inputs: bool },
}

struct Explain<'a, 'm> {
    plan: PhysicalPlan<'a>,
    options: ExplainOptions,
    measures: &'m Measures<'m>,
    arena: &'a Arena,
    out: Writer<'a>,
}

impl<'a> Explain<'a, '_> {
    fn operator(
        &mut self,
        operator: &'a Operator<'a>,
        id: OperatorId,
        depth: usize,
        relationship: &'static str,
    ) -> Result<(), AllocError> {
        if self.out.is_json() {
            self.json_head(operator, id, relationship)?;
        } else {
            self.head(operator, id, depth)?;
        }
        if self.options.verbose {
            self.output(operator, id)?;
        }
        self.details(operator)?;
        self.measured(id)
    }

    fn details(&mut self, operator: &'a Operator<'a>) -> Result<(), AllocError> {
        match &operator.kind {
            OperatorKind::Scan(scan) => self.scan(scan),
            OperatorKind::Values { .. }
            | OperatorKind::CteScan { .. }
            | OperatorKind::WorkingScan { .. }
            | OperatorKind::Distinct { .. }
            | OperatorKind::Concat { .. }
            | OperatorKind::SetOperation { .. }
            | OperatorKind::Materialize { .. }
            | OperatorKind::Recursive { .. } => Ok(()),
            OperatorKind::DistinctOn { input, columns } => self.columns("Distinct Key", columns, *input),
            OperatorKind::Window(window) => self.window(window),
            OperatorKind::TableFunction(function) => self.table_function(function),
            OperatorKind::Filter { input, conjuncts } => {
                self.conjuncts("Filter", conjuncts, self.names(*input))
            }
            OperatorKind::Project { input, exprs } => {
                let names = self.names(*input);
                self.exprs("Expressions", exprs, names)
            }
            OperatorKind::HashJoin(join) => self.hash_join(join),
            OperatorKind::NestedLoopJoin(join) => self.nested_loop_join(join),
            OperatorKind::HashAggregate(HashAggregate { input, groups, sets, aggregates, .. }) => {
                let (arena, names) = (self.arena, self.names(*input));
                self.exprs("Group Key", groups, names)?;
                if let [_, _, ..] = sets {
                    self.out.property("Grouping Sets", |out| append(out, format_args!("{}", Sets(sets))))?;
                }
                self.out.list("Aggregates", aggregates, |out, aggregate| {
                    write_aggregate(out, aggregate, names, arena)
                })
            }
            OperatorKind::Sort { input, keys, limit } => self.sort(*input, keys, *limit),
            OperatorKind::Limit(limit) => {
                let names = self.names(limit.input);
                self.exprs("Count", limit.count.as_slice(), names)?;
                self.exprs("Offset", limit.offset.as_slice(), names)?;
                self.columns("Ties", limit.ties.unwrap_or(&[]), limit.input)
            }
            OperatorKind::Insert(insert) => self.checks(insert.table, insert.checks),
            OperatorKind::Update(update) => self.checks(update.table, update.checks),
            OperatorKind::Delete(_) => Ok(()),
        }
    }

    /// What the columns of an operator's output are called.
    fn names(&self, id: OperatorId) -> Names<'a> {
        Names::of_output(self.plan, id)
    }

    fn output(&mut self, operator: &'a Operator<'a>, id: OperatorId) -> Result<(), AllocError> {
        let (names, arena) = (self.names(id), self.arena);
        let mut position = 0;
        self.out.list("Output", operator.columns, |out, _| {
            position += 1;
            write_column(out, position - 1, names, arena)
        })
    }

    /// The line with an operator's name.
    fn head(&mut self, operator: &'a Operator<'a>, id: OperatorId, depth: usize) -> Result<(), AllocError> {
        let (costs, figures) = (self.options.costs, self.figures(id));
        self.out.head(depth, |line| {
            write_title(line, operator, id)?;
            if costs {
                append(line, format_args!("  (rows={}", operator.rows_estimate))?;
                if operator.bytes_estimate > 0 {
                    append(line, format_args!(" bytes={}", human_bytes(operator.bytes_estimate)))?;
                }
                line.push(')')?;
            }
            match figures {
                None => Ok(()),
                Some(Figures { measured: Measured { loops: 0, .. }, .. }) => {
                    line.push_str(" (never executed)")
                }
                Some(figures) => {
                    line.push_str(" (actual ")?;
                    if figures.has_times {
                        let Measured { startup_ns, total_ns, .. } = figures.measured;
                        append(line, format_args!("time={}..{} ", Millis(startup_ns), Millis(total_ns)))?;
                    }
                    let Measured { rows, loops, .. } = figures.measured;
                    append(line, format_args!("rows={rows} loops={loops})"))
                }
            }
        })
    }

    fn exprs(&mut self, label: &str, exprs: &'a [&'a Expr<'a>], names: Names<'a>) -> Result<(), AllocError> {
        let arena = self.arena;
        self.out.list(label, exprs, |out, expr| write_expr(out, expr, names, arena))
    }

    /// Conditions of which all must be true.
    fn conjuncts(
        &mut self,
        label: &str,
        conjuncts: &'a [&'a Expr<'a>],
        names: Names<'a>,
    ) -> Result<(), AllocError> {
        if conjuncts.is_empty() {
            return Ok(());
        }
        let (several, arena) = (conjuncts.len() > 1, self.arena);
        self.out.property(label, |out| {
            out.push_str(if several { "(" } else { "" })?;
            for (index, conjunct) in conjuncts.iter().enumerate() {
                out.push_str(if index > 0 { " AND " } else { "" })?;
                write_expr(out, conjunct, names, arena)?;
            }
            out.push_str(if several { ")" } else { "" })
        })
    }

    fn scan(&mut self, scan: &'a Scan<'a>) -> Result<(), AllocError> {
        match scan.source {
            TableSource::File(file) => self.out.property("File", |out| out.push_str(file.path))?,
            TableSource::Stored(table) if table.name != scan.alias => {
                self.out.property("Table", |out| append(out, format_args!("{}", Quoted(table.name))))?
            }
            TableSource::Engine(source) if source.table.name() != scan.alias => {
                self.out.property("Function", |out| out.push_str(source.table.name()))?
            }
            TableSource::Stored(_) | TableSource::Engine(_) => {}
        }
        if self.options.verbose {
            let names = scan.source.columns();
            self.out.list("Reads", scan.projection, |out, position| {
                append(
                    out,
                    format_args!(
                        "{}",
                        Quoted(names.get(*position as usize).map_or("?", |column| column.name))
                    ),
                )
            })?;
        }
        if let TableSource::Stored(table) = scan.source {
            self.key_ranges(table, scan)?;
        }
        self.conjuncts("Filter", scan.conjuncts, Names::of_scan(self.plan, scan))?;
        self.key_filters(scan)
    }

    /// The keys of joins that tell which rows count.
    fn key_filters(&mut self, scan: &'a Scan<'a>) -> Result<(), AllocError> {
        let (plan, own, arena) = (self.plan, Names::of_scan(self.plan, scan), self.arena);
        self.out.list("Key Filter", scan.key_filters, |out, filter| {
            let OperatorKind::HashJoin(join) = &plan.operators[filter.join.index()].kind else {
                return Ok(());
            };
            let Some(key) = join.keys.get(filter.key as usize) else { return Ok(()) };
            write_column(out, filter.column, own, arena)?;
            out.push_str(" IN ")?;
            write_expr(out, key.build, Names::of_output(plan, join.build), arena)
        })
    }

    /// The first few parts of the order that are looked at, and how many more there are.
    fn key_ranges(&mut self, table: &StoredTable<'a>, scan: &Scan<'a>) -> Result<(), AllocError> {
        let key = scan.index.map_or(table.key, |used| used.index.key);
        let label = match (scan.index, scan.ranges) {
            (_, []) => return Ok(()),
            (Some(_), _) => "Index Cond",
            (None, [_]) => "Key Range",
            (None, _) => "Key Ranges",
        };
        self.out.property(label, |out| {
            for (index, range) in scan.ranges.iter().take(RANGES_SHOWN).enumerate() {
                out.push_str(if index > 0 { " or " } else { "" })?;
                write_range(out, table, key, range)?;
            }
            match scan.ranges.len().saturating_sub(RANGES_SHOWN) {
                0 => Ok(()),
                more => append(out, format_args!(" or {more} more")),
            }
        })
    }

    fn checks(&mut self, table: &'a StoredTable<'a>, checks: &'a [Check<'a>]) -> Result<(), AllocError> {
        let (names, arena) = (Names::of_columns(self.plan, table.columns), self.arena);
        self.out.list("Checks", checks, |out, check| {
            append(out, format_args!("{} ", Quoted(check.name)))?;
            write_expr(out, check.condition, names, arena)
        })
    }

    fn hash_join(&mut self, join: &'a HashJoin<'a>) -> Result<(), AllocError> {
        let (probe, build, arena) = (self.names(join.probe), self.names(join.build), self.arena);
        self.out.property("Hash Cond", |out| {
            for (index, key) in join.keys.iter().enumerate() {
                out.push_str(if index > 0 { ", (" } else { "(" })?;
                write_expr(out, key.probe, probe, arena)?;
                out.push_str(match key.nulls {
                    KeyNulls::Equal => " IS NOT DISTINCT FROM ",
                    KeyNulls::Unmatched | KeyNulls::Unknown => " = ",
                })?;
                write_expr(out, key.build, build, arena)?;
                out.push(')')?;
            }
            Ok(())
        })?;
        self.conjuncts("Join Filter", join.residual, Names::of_join(self.plan, join.probe, join.build))
    }

    fn nested_loop_join(&mut self, join: &'a NestedLoopJoin<'a>) -> Result<(), AllocError> {
        self.conjuncts("Join Filter", join.conjuncts, Names::of_join(self.plan, join.probe, join.build))
    }

    /// Columns of an input.
    fn columns(&mut self, label: &str, columns: &'a [u32], input: OperatorId) -> Result<(), AllocError> {
        let (names, arena) = (self.names(input), self.arena);
        self.out.list(label, columns, |out, column| write_column(out, *column, names, arena))
    }

    fn window(&mut self, window: &'a Window<'a>) -> Result<(), AllocError> {
        let (names, arena) = (self.names(window.input), self.arena);
        self.columns("Partition Key", window.partition, window.input)?;
        self.sort(window.input, window.order, None)?;
        self.out.list("Functions", window.functions, |out, function| {
            let mut args = [None; 3];
            let name = match function.kind {
                WindowKind::Aggregate(_) => "",
                WindowKind::RowNumber => "row_number",
                WindowKind::Rank => "rank",
                WindowKind::DenseRank => "dense_rank",
                WindowKind::PercentRank => "percent_rank",
                WindowKind::CumeDist => "cume_dist",
                WindowKind::Ntile(buckets) => {
                    args[0] = Some(buckets);
                    "ntile"
                }
                WindowKind::Lag { value, offset, default } => {
                    args = [Some(value), offset, default];
                    "lag"
                }
                WindowKind::Lead { value, offset, default } => {
                    args = [Some(value), offset, default];
                    "lead"
                }
                WindowKind::FirstValue(value) => {
                    args[0] = Some(value);
                    "first_value"
                }
                WindowKind::LastValue(value) => {
                    args[0] = Some(value);
                    "last_value"
                }
                WindowKind::NthValue(value, number) => {
                    args = [Some(value), Some(number), None];
                    "nth_value"
                }
            };
            if let WindowKind::Aggregate(aggregate) = &function.kind {
                write_aggregate(out, aggregate, names, arena)?;
            } else {
                out.push_str(name)?;
                out.push('(')?;
                for (index, arg) in args.into_iter().flatten().enumerate() {
                    out.push_str(if index == 0 { "" } else { ", " })?;
                    write_expr(out, arg, names, arena)?;
                }
                out.push(')')?;
            }
            append(out, format_args!("{}", FrameText(function.frame)))
        })
    }

    fn table_function(&mut self, function: &'a TableFunction<'a>) -> Result<(), AllocError> {
        let names = match function.input {
            Some(input) => self.names(input),
            None => Names::of_columns(self.plan, &[]),
        };
        let arena = self.arena;
        self.out.list("Function Call", function.calls, |out, call| {
            let name = match call.function {
                TableFunctionKind::Rows(id) => id.function().signature().name(),
                TableFunctionKind::Once => "",
            };
            out.push_str(name)?;
            out.push('(')?;
            for (index, arg) in call.args.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " })?;
                write_expr(out, arg, names, arena)?;
            }
            out.push(')')
        })
    }

    fn sort(&mut self, input: OperatorId, keys: &'a [SortKey], limit: Option<u64>) -> Result<(), AllocError> {
        let (names, arena) = (self.names(input), self.arena);
        self.out.list("Sort Key", keys, |out, key| {
            write_column(out, key.column, names, arena)?;
            out.push_str(match (key.descending, key.nulls_first) {
                (false, false) => "",
                (true, true) => " DESC",
                (false, true) => " NULLS FIRST",
                (true, false) => " DESC NULLS LAST",
            })
        })?;
        match limit {
            Some(limit) => self.out.count("Top-N", limit),
            None => Ok(()),
        }
    }

    /// What was measured of an operator, if it was to be.
    fn figures(&self, id: OperatorId) -> Option<Figures> {
        let measured = *self.measures.operators.get(id.index())?;
        let Measured { loops, rows, startup_ns, total_ns, .. } = measured;
        let measured = Measured {
            rows: per_loop(rows, loops),
            startup_ns: per_loop(startup_ns, loops),
            total_ns: per_loop(total_ns, loops),
            ..measured
        };
        let has_times = self.options.timing;
        self.options.analyze.then_some(Figures { measured, has_times })
    }

    /// The first properties of an operator in JSON, under PostgreSQL's names where it has them.
    fn json_head(
        &mut self,
        operator: &'a Operator<'a>,
        id: OperatorId,
        relationship: &'static str,
    ) -> Result<(), AllocError> {
        let kind = &operator.kind;
        self.out.json_text("Node Type", node_type(kind))?;
        self.out.json_text("Strategy", strategy(kind))?;
        self.out.json_text("Operation", operation(kind))?;
        self.out.json_text("Parent Relationship", relationship)?;
        if let OperatorKind::Materialize { .. } = kind {
            self.out.property("Subplan Name", |out| append(out, format_args!("CTE cte_{}", id.index())))?;
        }
        match kind {
            OperatorKind::HashJoin(HashJoin { kind, .. })
            | OperatorKind::NestedLoopJoin(NestedLoopJoin { kind, .. }) => {
                let word = if *kind == JoinKind::Inner { "Inner" } else { join_word(*kind).trim_end() };
                self.out.json_text("Join Type", word)?;
            }
            OperatorKind::Scan(scan) => {
                match scan.source {
                    TableSource::Stored(table) => self.out.json_text("Relation Name", table.name)?,
                    TableSource::Engine(source) => {
                        self.out.json_text("Function Name", source.table.name())?;
                    }
                    TableSource::File(_) => {}
                }
                self.out.json_text("Alias", scan.alias)?;
                if let Some(ScanIndex { index, .. }) = scan.index {
                    self.out.json_text("Index Name", index.name)?;
                }
            }
            OperatorKind::CteScan { cte } => {
                self.out.property("CTE Name", |out| append(out, format_args!("cte_{}", cte.index())))?;
            }
            OperatorKind::WorkingScan { working } | OperatorKind::Recursive { working, .. } => {
                self.out.property("Working Table", |out| append(out, format_args!("working_{working}")))?;
            }
            _ => {
                if let Some(change) = self.plan.change().filter(|_| relationship.is_empty()) {
                    self.out.json_text("Relation Name", change.table().name)?;
                }
            }
        }
        if self.options.costs {
            self.out.json_value("Plan Rows", format_args!("{}", operator.rows_estimate))?;
            self.out.json_value("Plan Bytes", format_args!("{}", operator.bytes_estimate))?;
        }
        let Some(Figures { measured, has_times }) = self.figures(id) else { return Ok(()) };
        if has_times {
            self.out.json_value("Actual Startup Time", format_args!("{}", Millis(measured.startup_ns)))?;
            self.out.json_value("Actual Total Time", format_args!("{}", Millis(measured.total_ns)))?;
        }
        self.out.json_value("Actual Rows", format_args!("{}", measured.rows))?;
        self.out.json_value("Actual Loops", format_args!("{}", measured.loops))
    }

    /// What an operator left out, held and wrote to files.
    fn measured(&mut self, id: OperatorId) -> Result<(), AllocError> {
        let Some(Figures { measured, .. }) = self.figures(id) else { return Ok(()) };
        let (is_json, has_run) = (self.out.is_json(), measured.loops > 0);
        let removed = measures::rows_removed(&self.plan, id.index(), self.measures.operators);
        let removed = removed.map(|rows| per_loop(rows, measured.loops));
        if let Some(rows) = removed.filter(|rows| is_json || *rows > 0) {
            self.out.count("Rows Removed by Filter", rows)?;
        }
        if measured.rows_filtered > 0 {
            let rows = per_loop(measured.rows_filtered, measured.loops);
            self.out.count("Rows Removed by Key Filter", rows)?;
        }
        if measured.workers > 0 {
            self.out.count("Workers", measured.workers)?;
        }
        if self.options.memory && is_json {
            self.out.count("Memory Bytes", measured.memory_bytes)?;
            self.out.count("Peak Memory Bytes", measured.memory_bytes_peak)?;
        } else if self.options.memory && has_run {
            let (now, peak) = (human_bytes(measured.memory_bytes), human_bytes(measured.memory_bytes_peak));
            self.out.property("Memory", |out| append(out, format_args!("{now}  Peak: {peak}")))?;
        }
        if measured.spilled_files == 0 {
            return Ok(());
        }
        let Measured { spilled_bytes, spilled_files, partitions_spilled, partitions_parted, blocks, .. } =
            measured;
        let more = [
            ("Partitions Spilled", " Partitions", partitions_spilled),
            ("Partitions Parted", " Parted", partitions_parted),
            ("Blocks", " Blocks", blocks),
        ];
        if is_json {
            self.out.count("Spilled Bytes", spilled_bytes)?;
            self.out.count("Spilled Files", spilled_files)?;
            return more.iter().try_for_each(|(label, _, count)| self.out.count(label, *count));
        }
        self.out.property("Disk", |out| {
            append(out, format_args!("{}  Files: {spilled_files}", human_bytes(spilled_bytes)))?;
            more.iter()
                .filter(|(_, _, count)| *count > 0)
                .try_for_each(|(_, label, count)| append(out, format_args!(" {label}: {count}")))
        })
    }

    /// The totals behind the tree.
    fn totals(&mut self) -> Result<(), AllocError> {
        let Measures {
            planning_ns,
            planning_bytes,
            execution_ns,
            memory_bytes_peak: peak,
            memory_bytes_limit: limit,
            temporary_bytes,
            temporary_files,
            ..
        } = *self.measures;
        let ExplainOptions { analyze, memory, summary, .. } = self.options;
        if self.out.is_json() {
            // The plan.
            let out = &mut self.out;
            if memory {
                out.json_value("Planning Memory Bytes", format_args!("{planning_bytes}"))?;
            }
            if summary {
                out.json_value("Planning Time", format_args!("{}", Millis(planning_ns)))?;
            }
            if summary && analyze {
                out.json_value("Execution Time", format_args!("{}", Millis(execution_ns)))?;
            }
            if memory && analyze {
                out.json_value("Statement Peak Memory Bytes", format_args!("{peak}"))?;
                out.json_value("Statement Memory Limit Bytes", format_args!("{limit}"))?;
            }
            if analyze && (memory || temporary_files > 0) {
                out.json_value("Temporary Bytes", format_args!("{temporary_bytes}"))?;
                out.json_value("Temporary Files", format_args!("{temporary_files}"))?;
            }
            return Ok(());
        }
        let out = &mut self.out;
        if memory {
            out.line(format_args!("Planning Memory: {}", human_bytes(planning_bytes)))?;
        }
        if summary {
            out.line(format_args!("Planning Time: {} ms", Millis(planning_ns)))?;
        }
        if summary && analyze {
            out.line(format_args!("Execution Time: {} ms", Millis(execution_ns)))?;
        }
        if memory && analyze {
            out.line(format_args!("Peak Memory: {} of {}", human_bytes(peak), human_bytes(limit)))?;
        }
        if analyze && temporary_files > 0 {
            let bytes = human_bytes(temporary_bytes);
            out.line(format_args!("Temporary Files: {bytes} in {temporary_files}"))?;
        }
        Ok(())
    }
}

/// What is shown of what an operator did, of one loop.
#[derive(Clone, Copy, Debug)]
struct Figures {
    measured: Measured,
    has_times: bool,
}

/// A figure of all loops as that of one, as PostgreSQL shows it.
fn per_loop(figure: u64, loops: u64) -> u64 {
    let loops = loops.max(1);
    figure.saturating_add(loops / 2) / loops
}

/// The name of an operator, as it stands on its first line.
fn write_title(line: &mut String<'_>, operator: &Operator<'_>, id: OperatorId) -> Result<(), AllocError> {
    match &operator.kind {
        OperatorKind::Scan(scan) => {
            line.push_str(scan_type(scan))?;
            if let Some(ScanIndex { index, .. }) = scan.index {
                append(line, format_args!(" using {}", Quoted(index.name)))?;
            }
            append(line, format_args!(" on {}", Quoted(scan.alias)))
        }
        OperatorKind::Values { rows } => match rows {
            [[]] => line.push_str("Result"),
            _ => line.push_str("Values Scan"),
        },
        OperatorKind::Filter { .. } => line.push_str("Filter"),
        OperatorKind::Project { .. } => line.push_str("Project"),
        OperatorKind::CteScan { cte } => append(line, format_args!("CTE Scan on cte_{}", cte.index())),
        OperatorKind::WorkingScan { working } => {
            append(line, format_args!("WorkTable Scan on working_{working}"))
        }
        OperatorKind::HashJoin(join) => append(line, format_args!("Hash {}Join", join_word(join.kind))),
        OperatorKind::NestedLoopJoin(join) => match join.kind {
            JoinKind::Inner => line.push_str("Nested Loop"),
            kind => append(line, format_args!("Nested Loop {}Join", join_word(kind))),
        },
        OperatorKind::HashAggregate(HashAggregate { groups: [], .. }) => line.push_str("Aggregate"),
        OperatorKind::HashAggregate(plan) if plan.gives_as_rows_come() => line.push_str("GroupAggregate"),
        OperatorKind::HashAggregate(_) => line.push_str("HashAggregate"),
        OperatorKind::Window(_) => line.push_str("WindowAgg"),
        OperatorKind::DistinctOn { .. } => line.push_str("Unique"),
        OperatorKind::Concat { .. } => line.push_str("Append"),
        OperatorKind::SetOperation { kind, all, .. } => {
            let kind = match kind {
                SetOperationKind::Intersect => "Intersect",
                SetOperationKind::Except => "Except",
            };
            append(line, format_args!("HashSetOp {kind}{}", if *all { " All" } else { "" }))
        }
        OperatorKind::Materialize { .. } => append(line, format_args!("CTE cte_{}", id.index())),
        OperatorKind::Recursive { working, .. } => {
            append(line, format_args!("Recursive Union working_{working}"))
        }
        OperatorKind::TableFunction(function) => match function.input {
            None => line.push_str("Function Scan"),
            Some(_) => line.push_str("ProjectSet"),
        },
        OperatorKind::Sort { .. } => line.push_str("Sort"),
        OperatorKind::Limit { .. } => line.push_str("Limit"),
        OperatorKind::Distinct { .. } => line.push_str("Distinct"),
        OperatorKind::Insert(insert) => append(line, format_args!("Insert on {}", Quoted(insert.table.name))),
        OperatorKind::Update(update) => append(line, format_args!("Update on {}", Quoted(update.table.name))),
        OperatorKind::Delete(delete) => append(line, format_args!("Delete on {}", Quoted(delete.table.name))),
    }
}

/// How a scan finds its rows.
fn scan_type(scan: &Scan<'_>) -> &'static str {
    match scan.index {
        _ if matches!(scan.source, TableSource::Engine(_)) => "Function Scan",
        None if scan.ranges.is_empty() => "Seq Scan",
        None => "Key Scan",
        Some(ScanIndex { is_only: false, .. }) => "Index Scan",
        Some(ScanIndex { is_only: true, .. }) => "Index Only Scan",
    }
}

/// The kind of an operator in JSON, as PostgreSQL calls it where it has it.
fn node_type(kind: &OperatorKind<'_>) -> &'static str {
    match kind {
        OperatorKind::Scan(scan) => scan_type(scan),
        OperatorKind::Values { rows: [[]] } => "Result",
        OperatorKind::Values { .. } => "Values Scan",
        OperatorKind::Filter { .. } => "Filter",
        OperatorKind::Project { .. } => "Project",
        OperatorKind::CteScan { .. } => "CTE Scan",
        OperatorKind::WorkingScan { .. } => "WorkTable Scan",
        OperatorKind::HashJoin(_) => "Hash Join",
        OperatorKind::NestedLoopJoin(_) => "Nested Loop",
        OperatorKind::HashAggregate(_) => "Aggregate",
        OperatorKind::Window(_) => "WindowAgg",
        OperatorKind::DistinctOn { .. } => "Unique",
        OperatorKind::Concat { .. } => "Append",
        OperatorKind::SetOperation { .. } => "SetOp",
        OperatorKind::Materialize { .. } => "Materialize",
        OperatorKind::Recursive { .. } => "Recursive Union",
        OperatorKind::TableFunction(TableFunction { input: None, .. }) => "Function Scan",
        OperatorKind::TableFunction(_) => "ProjectSet",
        OperatorKind::Sort { .. } => "Sort",
        OperatorKind::Limit(_) => "Limit",
        OperatorKind::Distinct { .. } => "Distinct",
        OperatorKind::Insert(_) | OperatorKind::Update(_) | OperatorKind::Delete(_) => "ModifyTable",
    }
}

fn strategy(kind: &OperatorKind<'_>) -> &'static str {
    match kind {
        OperatorKind::HashAggregate(HashAggregate { groups: [], .. }) => "Plain",
        OperatorKind::HashAggregate(plan) if plan.gives_as_rows_come() => "Sorted",
        OperatorKind::HashAggregate(_)
        | OperatorKind::SetOperation { .. }
        | OperatorKind::Distinct { .. }
        | OperatorKind::Recursive { distinct: true, .. } => "Hashed",
        _ => "",
    }
}

fn operation(kind: &OperatorKind<'_>) -> &'static str {
    match kind {
        OperatorKind::SetOperation { kind: SetOperationKind::Intersect, all: false, .. } => "Intersect",
        OperatorKind::SetOperation { kind: SetOperationKind::Intersect, .. } => "Intersect All",
        OperatorKind::SetOperation { kind: SetOperationKind::Except, all: false, .. } => "Except",
        OperatorKind::SetOperation { kind: SetOperationKind::Except, .. } => "Except All",
        OperatorKind::Insert(_) => "Insert",
        OperatorKind::Update(_) => "Update",
        OperatorKind::Delete(_) => "Delete",
        _ => "",
    }
}

/// The word for a kind of join, with a blank behind it.
fn join_word(kind: JoinKind) -> &'static str {
    match kind {
        JoinKind::Inner => "",
        JoinKind::Left => "Left ",
        JoinKind::Right => "Right ",
        JoinKind::Full => "Full ",
        JoinKind::Semi => "Semi ",
        JoinKind::Anti => "Anti ",
        JoinKind::RightSemi => "Right Semi ",
        JoinKind::RightAnti => "Right Anti ",
        JoinKind::Single => "Single ",
        JoinKind::Mark => "Mark ",
    }
}

/// Grouping sets, as lists of the groups' numbers from 1.
struct Sets<'a>(&'a [&'a [u32]]);

impl fmt::Display for Sets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, set) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "(" } else { ", (" })?;
            for (index, group) in set.iter().enumerate() {
                write!(f, "{}{}", if index == 0 { "" } else { ", " }, group + 1)?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

/// A frame, where it is not the usual one.
struct FrameText(Frame);

impl fmt::Display for FrameText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Frame { mode, start, end, exclusion } = self.0;
        if self.0 == Frame::DEFAULT {
            return Ok(());
        }
        let bound = |bound: FrameBound, is_start: bool| match (bound, is_start) {
            (FrameBound::Unbounded, true) => "UNBOUNDED PRECEDING",
            (FrameBound::Unbounded, false) => "UNBOUNDED FOLLOWING",
            (FrameBound::CurrentRow, _) => "CURRENT ROW",
            (FrameBound::Preceding(_), _) => "offset PRECEDING",
            (FrameBound::Following(_), _) => "offset FOLLOWING",
        };
        let mode = match mode {
            FrameMode::Rows => "ROWS",
            FrameMode::Range => "RANGE",
            FrameMode::Groups => "GROUPS",
        };
        write!(f, " {mode} BETWEEN {} AND {}", bound(start, true), bound(end, false))?;
        f.write_str(match exclusion {
            FrameExclusion::NoOthers => "",
            FrameExclusion::CurrentRow => " EXCLUDE CURRENT ROW",
            FrameExclusion::Group => " EXCLUDE GROUP",
            FrameExclusion::Ties => " EXCLUDE TIES",
        })
    }
}

/// Ranges of a scan that are shown.
const RANGES_SHOWN: usize = 4;

/// Writes what a range of a key holds.
fn write_range<'a>(
    line: &mut String<'_>,
    table: &StoredTable<'a>,
    key: &[KeyColumn],
    range: &KeyRange<'a>,
) -> Result<(), AllocError> {
    let bounds = [(range.lower, " > ", " >= "), (range.upper, " < ", " <= ")];
    let bounds = bounds.into_iter().filter_map(|(bound, excluded, included)| match bound {
        Bound::Excluded(value) => Some((range.prefix.len(), excluded, value)),
        Bound::Included(value) => Some((range.prefix.len(), included, value)),
        Bound::Unbounded => None,
    });
    let equal = |value: &Value<'a>| if value.is_null() { " IS " } else { " = " };
    let equalities = range.prefix.iter().enumerate().map(|(index, value)| (index, equal(value), *value));
    for (index, (part, operator, value)) in equalities.chain(bounds).enumerate() {
        let column = key.get(part).and_then(|part| table.columns.get(part.column as usize));
        line.push_str(if index > 0 { ", " } else { "" })?;
        append(line, format_args!("{}{operator}", Quoted(column.map_or("?", |column| column.name))))?;
        match column {
            Some(column) if !value.is_null() => write_literal(line, value, column.ty)?,
            _ => line.push_str("NULL")?,
        }
    }
    Ok(())
}
