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

use std::fmt;
use std::ops::Bound;

use cofferdam_arena::collections::{String, Vec};
use cofferdam_arena::{AllocError, Arena, human_bytes};

use crate::expr::Expr;
use crate::expr::names::Names;
use crate::expr::print::{Quoted, append, write_aggregate, write_column, write_expr, write_literal};
use crate::physical::{
    Check, Frame, FrameBound, FrameExclusion, FrameMode, HashAggregate, HashJoin, JoinKind, KeyNulls,
    KeyRange, NestedLoopJoin, Operator, OperatorId, OperatorKind, PhysicalPlan, Scan, SetOperationKind,
    SortKey, TableFunction, TableFunctionKind, Window, WindowKind,
};
use crate::table::{StoredTable, TableSource};

/// What of a plan is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExplainOptions {
    /// The planner's guesses of rows and bytes.
    pub costs: bool,
    /// The columns that each operator gives.
    pub verbose: bool,
}

impl Default for ExplainOptions {
    fn default() -> Self {
        ExplainOptions { costs: true, verbose: false }
    }
}

/// The lines of a plan's tree, in `arena`.
///
/// # Errors
/// `AllocError` when the budget of `arena` has no room.
pub fn explain<'a>(
    plan: &PhysicalPlan<'a>,
    options: ExplainOptions,
    arena: &'a Arena,
) -> Result<&'a [&'a str], AllocError> {
    let scratch = Arena::new(arena.budget());
    let mut open: Vec<'_, (OperatorId, usize)> = Vec::new_in(&scratch);
    let root = OperatorId::new(plan.operators.len() as u32 - 1);
    open.push((root, 0))?;
    let mut explain = Explain { plan: *plan, options, arena, lines: Vec::new_in(arena), depth: 0 };
    while let Some((id, depth)) = open.pop() {
        explain.depth = depth;
        let operator = &plan.operators[id.index()];
        explain.operator(operator, id)?;
        let first = open.len();
        // What is kept for several readers is shown once, below the root.
        if id == root {
            for (index, operator) in plan.operators.iter().enumerate() {
                if matches!(operator.kind, OperatorKind::Materialize { .. }) {
                    open.push((OperatorId::new(index as u32), depth + 1))?;
                }
            }
        }
        for input in operator.kind.inputs().iter() {
            open.push((input, depth + 1))?;
        }
        open[first..].reverse();
    }
    Ok(explain.lines.into_slice())
}

struct Explain<'a> {
    plan: PhysicalPlan<'a>,
    options: ExplainOptions,
    arena: &'a Arena,
    lines: Vec<'a, &'a str>,
    depth: usize,
}

impl<'a> Explain<'a> {
    fn operator(&mut self, operator: &'a Operator<'a>, id: OperatorId) -> Result<(), AllocError> {
        self.head(operator, id)?;
        if self.options.verbose {
            self.output(operator, id)?;
        }
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
            OperatorKind::HashAggregate(HashAggregate { input, groups, sets, aggregates }) => {
                let (arena, names) = (self.arena, self.names(*input));
                self.exprs("Group Key", groups, names)?;
                if let [_, _, ..] = sets {
                    self.detail(format_args!("Grouping Sets: {}", Sets(sets)))?;
                }
                self.list("Aggregates", aggregates, |out, aggregate| {
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
        self.list("Output", operator.columns, |out, _| {
            position += 1;
            write_column(out, position - 1, names, arena)
        })
    }

    /// The line with an operator's name.
    fn head(&mut self, operator: &'a Operator<'a>, id: OperatorId) -> Result<(), AllocError> {
        let mut line = self.indented(match self.depth {
            0 => 0,
            depth => 6 * depth - 4,
        })?;
        if self.depth > 0 {
            line.push_str("->  ")?;
        }
        match &operator.kind {
            OperatorKind::Scan(scan) => {
                let how = if scan.range.is_some() { "Key" } else { "Seq" };
                append(&mut line, format_args!("{how} Scan on {}", Quoted(scan.alias)))?
            }
            OperatorKind::Values { rows } => match rows {
                [[]] => line.push_str("Result")?,
                _ => line.push_str("Values Scan")?,
            },
            OperatorKind::Filter { .. } => line.push_str("Filter")?,
            OperatorKind::Project { .. } => line.push_str("Project")?,
            OperatorKind::CteScan { cte } => {
                append(&mut line, format_args!("CTE Scan on cte_{}", cte.index()))?
            }
            OperatorKind::WorkingScan { working } => {
                append(&mut line, format_args!("WorkTable Scan on working_{working}"))?
            }
            OperatorKind::HashJoin(join) => {
                append(&mut line, format_args!("Hash {}Join", join_word(join.kind)))?
            }
            OperatorKind::NestedLoopJoin(join) => match join.kind {
                JoinKind::Inner => line.push_str("Nested Loop")?,
                kind => append(&mut line, format_args!("Nested Loop {}Join", join_word(kind)))?,
            },
            OperatorKind::HashAggregate(HashAggregate { groups: [], .. }) => line.push_str("Aggregate")?,
            OperatorKind::HashAggregate(_) => line.push_str("HashAggregate")?,
            OperatorKind::Window(_) => line.push_str("WindowAgg")?,
            OperatorKind::DistinctOn { .. } => line.push_str("Unique")?,
            OperatorKind::Concat { .. } => line.push_str("Append")?,
            OperatorKind::SetOperation { kind, all, .. } => {
                let kind = match kind {
                    SetOperationKind::Intersect => "Intersect",
                    SetOperationKind::Except => "Except",
                };
                append(&mut line, format_args!("HashSetOp {kind}{}", if *all { " All" } else { "" }))?
            }
            OperatorKind::Materialize { .. } => append(&mut line, format_args!("CTE cte_{}", id.index()))?,
            OperatorKind::Recursive { working, .. } => {
                append(&mut line, format_args!("Recursive Union working_{working}"))?
            }
            OperatorKind::TableFunction(function) => match function.input {
                None => line.push_str("Function Scan")?,
                Some(_) => line.push_str("ProjectSet")?,
            },
            OperatorKind::Sort { .. } => line.push_str("Sort")?,
            OperatorKind::Limit { .. } => line.push_str("Limit")?,
            OperatorKind::Distinct { .. } => line.push_str("Distinct")?,
            OperatorKind::Insert(insert) => {
                append(&mut line, format_args!("Insert on {}", Quoted(insert.table.name)))?
            }
            OperatorKind::Update(update) => {
                append(&mut line, format_args!("Update on {}", Quoted(update.table.name)))?
            }
            OperatorKind::Delete(delete) => {
                append(&mut line, format_args!("Delete on {}", Quoted(delete.table.name)))?
            }
        }
        if self.options.costs {
            append(&mut line, format_args!("  (rows={}", operator.rows_estimate))?;
            if operator.bytes_estimate > 0 {
                append(&mut line, format_args!(" bytes={}", human_bytes(operator.bytes_estimate)))?;
            }
            line.push(')')?;
        }
        self.lines.push(line.into_str())
    }

    fn indented(&self, spaces: usize) -> Result<String<'a>, AllocError> {
        let mut line = String::with_capacity_in(spaces + 32, self.arena)?;
        for _ in 0..spaces {
            line.push(' ')?;
        }
        Ok(line)
    }

    /// The beginning of a line under an operator.
    fn detail_line(&self) -> Result<String<'a>, AllocError> {
        self.indented(6 * self.depth + 2)
    }

    fn detail(&mut self, text: fmt::Arguments<'_>) -> Result<(), AllocError> {
        let mut line = self.detail_line()?;
        append(&mut line, text)?;
        self.lines.push(line.into_str())
    }

    /// A line with a list after a label; none for an empty list.
    fn list<T>(
        &mut self,
        label: &str,
        items: &'a [T],
        mut write: impl FnMut(&mut String<'a>, &'a T) -> Result<(), AllocError>,
    ) -> Result<(), AllocError> {
        if items.is_empty() {
            return Ok(());
        }
        let mut line = self.detail_line()?;
        append(&mut line, format_args!("{label}: "))?;
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                line.push_str(", ")?;
            }
            write(&mut line, item)?;
        }
        self.lines.push(line.into_str())
    }

    fn exprs(&mut self, label: &str, exprs: &'a [&'a Expr<'a>], names: Names<'a>) -> Result<(), AllocError> {
        let arena = self.arena;
        self.list(label, exprs, |out, expr| write_expr(out, expr, names, arena))
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
        let mut line = self.detail_line()?;
        append(&mut line, format_args!("{label}: "))?;
        let several = conjuncts.len() > 1;
        line.push_str(if several { "(" } else { "" })?;
        for (index, conjunct) in conjuncts.iter().enumerate() {
            line.push_str(if index > 0 { " AND " } else { "" })?;
            write_expr(&mut line, conjunct, names, self.arena)?;
        }
        line.push_str(if several { ")" } else { "" })?;
        self.lines.push(line.into_str())
    }

    fn scan(&mut self, scan: &'a Scan<'a>) -> Result<(), AllocError> {
        match scan.source {
            TableSource::File(file) => self.detail(format_args!("File: {}", file.path))?,
            TableSource::Stored(table) if table.name != scan.alias => {
                self.detail(format_args!("Table: {}", Quoted(table.name)))?
            }
            TableSource::Stored(_) => {}
        }
        if self.options.verbose {
            let names = scan.source.columns();
            self.list("Reads", scan.projection, |out, position| {
                append(
                    out,
                    format_args!(
                        "{}",
                        Quoted(names.get(*position as usize).map_or("?", |column| column.name))
                    ),
                )
            })?;
        }
        if let (TableSource::Stored(table), Some(range)) = (scan.source, scan.range) {
            self.key_range(table, range)?;
        }
        self.conjuncts("Filter", scan.conjuncts, Names::of_scan(self.plan, scan))
    }

    fn key_range(&mut self, table: &StoredTable<'a>, range: &KeyRange<'a>) -> Result<(), AllocError> {
        let bounds = [(range.lower, " > ", " >= "), (range.upper, " < ", " <= ")];
        let bounds = bounds.into_iter().filter_map(|(bound, excluded, included)| match bound {
            Bound::Excluded(value) => Some((range.prefix.len(), excluded, value)),
            Bound::Included(value) => Some((range.prefix.len(), included, value)),
            Bound::Unbounded => None,
        });
        let equalities = range.prefix.iter().enumerate().map(|(index, value)| (index, " = ", *value));
        let mut line = self.detail_line()?;
        line.push_str("Key Range: ")?;
        for (index, (key, operator, value)) in equalities.chain(bounds).enumerate() {
            let Some(column) = table.key.get(key).and_then(|key| table.columns.get(key.column as usize))
            else {
                continue;
            };
            line.push_str(if index > 0 { ", " } else { "" })?;
            append(&mut line, format_args!("{}{operator}", Quoted(column.name)))?;
            write_literal(&mut line, value, column.ty)?;
        }
        self.lines.push(line.into_str())
    }

    fn checks(&mut self, table: &'a StoredTable<'a>, checks: &'a [Check<'a>]) -> Result<(), AllocError> {
        let (names, arena) = (Names::of_columns(self.plan, table.columns), self.arena);
        self.list("Checks", checks, |out, check| {
            append(out, format_args!("{} ", Quoted(check.name)))?;
            write_expr(out, check.condition, names, arena)
        })
    }

    fn hash_join(&mut self, join: &'a HashJoin<'a>) -> Result<(), AllocError> {
        let (probe, build, arena) = (self.names(join.probe), self.names(join.build), self.arena);
        self.list("Hash Cond", join.keys, |out, key| {
            out.push('(')?;
            write_expr(out, key.probe, probe, arena)?;
            out.push_str(match key.nulls {
                KeyNulls::Equal => " IS NOT DISTINCT FROM ",
                KeyNulls::Unmatched | KeyNulls::Unknown => " = ",
            })?;
            write_expr(out, key.build, build, arena)?;
            out.push(')')
        })?;
        self.conjuncts("Join Filter", join.residual, Names::of_join(self.plan, join.probe, join.build))
    }

    fn nested_loop_join(&mut self, join: &'a NestedLoopJoin<'a>) -> Result<(), AllocError> {
        self.conjuncts("Join Filter", join.conjuncts, Names::of_join(self.plan, join.probe, join.build))
    }

    /// Columns of an input.
    fn columns(&mut self, label: &str, columns: &'a [u32], input: OperatorId) -> Result<(), AllocError> {
        let (names, arena) = (self.names(input), self.arena);
        self.list(label, columns, |out, column| write_column(out, *column, names, arena))
    }

    fn window(&mut self, window: &'a Window<'a>) -> Result<(), AllocError> {
        let (names, arena) = (self.names(window.input), self.arena);
        self.columns("Partition Key", window.partition, window.input)?;
        self.sort(window.input, window.order, None)?;
        self.list("Functions", window.functions, |out, function| {
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
        self.list("Function Call", function.calls, |out, call| {
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
        self.list("Sort Key", keys, |out, key| {
            write_column(out, key.column, names, arena)?;
            out.push_str(match (key.descending, key.nulls_first) {
                (false, false) => "",
                (true, true) => " DESC",
                (false, true) => " NULLS FIRST",
                (true, false) => " DESC NULLS LAST",
            })
        })?;
        match limit {
            Some(limit) => self.detail(format_args!("Top-N: {limit}")),
            None => Ok(()),
        }
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
