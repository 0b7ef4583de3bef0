//! The logical plan: what a query asks for, before it is decided how.
//!
//! Nodes stand in one list and name their inputs. Every column that a node makes has a number of its own in the whole
//! plan ([`ColumnId`]), and expressions refer to columns by that number wherever they stand, so a condition may move
//! from node to node as it is. Where columns stand in a batch is decided when operators are made of nodes.
//!
//! ```text
//! SELECT a + 1 AS x FROM t WHERE b > (SELECT max(c) FROM u)         t: a #0, b #1     u: c #2
//!
//!   0 Scan t          #0 #1
//!   1 Scan u          #2
//!   2 Aggregate 1     max(#2) = #3
//!   3 Join 0, 2       single
//!   4 Filter 3        #1 > #3
//!   5 Extend 4        #0 + 1 = #4
//! ```
//!
//! # Invariants
//!
//! - **L1** The nodes that are reached from a root form a tree; common table expressions are roots of their own.
//! - **L2** A column is made by one node. A group that is a plain column keeps its number.
//! - **L3** When the optimizer begins, an expression may read columns of a join's left side below its right one, and of
//!   nothing else that stands elsewhere. When `unnest` is done, every expression reads columns of its inputs only.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::Type;

use crate::expr::{Column, Expr, ExprKind, walk};
use crate::physical::{Aggregate, FrameBound, JoinKind, SetOperationKind, TableFunctionKind, WindowFunction};
use crate::table::TableSource;

/// A column, by its number in the plan: a position in [`LogicalPlan::columns`].
pub(crate) type ColumnId = u32;

/// A position in the list of logical nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LogicalId(u32);

impl LogicalId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A column and what it is computed of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a> {
    pub(crate) id: ColumnId,
    pub(crate) expr: &'a Expr<'a>,
}

/// A column and the aggregate that it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NamedAggregate<'a> {
    pub(crate) id: ColumnId,
    pub(crate) aggregate: Aggregate<'a>,
}

/// A column and the window function that it holds; columns in its frame are numbers of the plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NamedWindow<'a> {
    pub(crate) id: ColumnId,
    pub(crate) function: WindowFunction<'a>,
}

/// One key of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) column: ColumnId,
    pub(crate) descending: bool,
    pub(crate) nulls_first: bool,
}

/// A call of a set-returning function and the columns that it makes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) function: TableFunctionKind,
    pub(crate) args: &'a [&'a Expr<'a>],
    pub(crate) columns: &'a [ColumnId],
    pub(crate) span: crate::Span,
}

/// A join of two nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Join<'a> {
    pub(crate) kind: JoinKind,
    pub(crate) left: LogicalId,
    pub(crate) right: LogicalId,
    /// Which pairs match. Of a mark join they are compared in three-valued logic.
    pub(crate) conjuncts: &'a [&'a Expr<'a>],
    /// The column that a mark join makes.
    pub(crate) mark: ColumnId,
}

/// What a step of a query does. Where nothing else is said its output is its input's, with the columns that it makes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LogicalKind<'a> {
    /// All columns and rows of a table, numbered from `first` on.
    Scan { source: TableSource<'a>, alias: &'a str, first: ColumnId, conjuncts: &'a [&'a Expr<'a>] },
    /// Constant rows, columns numbered from `first` on.
    Values { rows: &'a [&'a [&'a Expr<'a>]], width: u32, first: ColumnId },
    /// The rows of a common table expression, under numbers of its own.
    CteScan { cte: u32, columns: &'a [ColumnId] },
    /// The rows that the last round of a recursion has added.
    WorkingScan { working: u32, columns: &'a [ColumnId] },
    /// The rows for which all conjuncts are true.
    Filter { input: LogicalId, conjuncts: &'a [&'a Expr<'a>] },
    /// More columns.
    Extend { input: LogicalId, exprs: &'a [Named<'a>] },
    /// Pairs of rows.
    Join(Join<'a>),
    /// The groups, then the aggregates, and nothing else. Each set is a list of positions in `groups`.
    Aggregate {
        input: LogicalId,
        groups: &'a [Named<'a>],
        sets: &'a [&'a [u32]],
        aggregates: &'a [NamedAggregate<'a>],
    },
    /// Window functions, which share partition and order.
    Window { input: LogicalId, partition: &'a [ColumnId], order: &'a [Key], functions: &'a [NamedWindow<'a>] },
    /// The same rows in order; only the first `limit` are wanted.
    Sort { input: LogicalId, keys: &'a [Key], limit: Option<u64> },
    /// A part of the rows; with ties by these columns.
    Limit {
        input: LogicalId,
        count: Option<&'a Expr<'a>>,
        offset: Option<&'a Expr<'a>>,
        ties: Option<&'a [ColumnId]>,
    },
    /// Each distinct row of these columns once, and no other columns.
    Distinct { input: LogicalId, columns: &'a [ColumnId] },
    /// The first row of each run of rows that are equal in these columns.
    DistinctOn { input: LogicalId, columns: &'a [ColumnId] },
    /// The rows of all inputs, of each the columns that are listed for it.
    Concat { inputs: &'a [LogicalId], sources: &'a [&'a [ColumnId]], columns: &'a [ColumnId] },
    /// Rows of the first input by whether the second has them.
    SetOperation {
        kind: SetOperationKind,
        all: bool,
        inputs: [LogicalId; 2],
        sources: [&'a [ColumnId]; 2],
        columns: &'a [ColumnId],
    },
    /// A recursion.
    Recursive {
        inputs: [LogicalId; 2],
        sources: [&'a [ColumnId]; 2],
        working: u32,
        distinct: bool,
        columns: &'a [ColumnId],
    },
    /// Set-returning functions for each row; of one row of no columns without an input.
    TableFunction {
        input: Option<LogicalId>,
        calls: &'a [Call<'a>],
        ordinality: Option<ColumnId>,
        keeps_empty: bool,
    },
}

/// A common table expression.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cte<'a> {
    pub(crate) node: LogicalId,
    /// Its columns, in order.
    pub(crate) columns: &'a [ColumnId],
    /// How many scans read it.
    pub(crate) scans: u32,
    /// Whether it is computed once whatever reads it (`MATERIALIZED`).
    pub(crate) is_fenced: bool,
}

/// A column of the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output<'a> {
    pub(crate) id: ColumnId,
    pub(crate) name: &'a str,
}

/// So many nodes are walked without lists that grow.
const FEW_NODES: usize = 8;

/// Logical nodes and the columns that they make.
#[derive(Debug)]
pub(crate) struct LogicalPlan<'a> {
    pub(crate) nodes: Vec<'a, LogicalKind<'a>>,
    /// Names, empty for what has none, and types.
    pub(crate) columns: Vec<'a, Column<'a>>,
    /// In an order in which each reads only those before it.
    pub(crate) ctes: Vec<'a, Cte<'a>>,
    /// How many recursions there are.
    pub(crate) workings: u32,
    /// The node that gives the answer.
    pub(crate) root: LogicalId,
    /// The columns of the answer.
    pub(crate) output: &'a [Output<'a>],
}

impl<'a> LogicalPlan<'a> {
    pub(crate) fn new_in(arena: &'a Arena) -> LogicalPlan<'a> {
        LogicalPlan {
            nodes: Vec::new_in(arena),
            columns: Vec::new_in(arena),
            ctes: Vec::new_in(arena),
            workings: 0,
            root: LogicalId(0),
            output: &[],
        }
    }

    /// Adds a node.
    pub(crate) fn push(&mut self, kind: LogicalKind<'a>) -> Result<LogicalId, AllocError> {
        // Each node takes more than a byte of a budget that counts in u64 and of a text shorter than 4 GiB.
        let id = LogicalId(u32::try_from(self.nodes.len()).map_err(|_| AllocError)?);
        self.nodes.push(kind)?;
        Ok(id)
    }

    pub(crate) fn kind(&self, id: LogicalId) -> LogicalKind<'a> {
        self.nodes[id.index()]
    }

    /// A new column.
    pub(crate) fn column(&mut self, name: &'a str, ty: Type) -> Result<ColumnId, AllocError> {
        let id = u32::try_from(self.columns.len()).map_err(|_| AllocError)?;
        self.columns.push(Column { name, ty })?;
        Ok(id)
    }

    /// New columns in a row, like these; the number of the first.
    pub(crate) fn columns_like(&mut self, columns: &[Column<'a>]) -> Result<ColumnId, AllocError> {
        let first = u32::try_from(self.columns.len()).map_err(|_| AllocError)?;
        self.columns.extend_from_slice(columns)?;
        Ok(first)
    }

    pub(crate) fn ty(&self, column: ColumnId) -> Type {
        self.columns[column as usize].ty
    }

    /// A node of one row without columns.
    pub(crate) fn one_row(&mut self) -> Result<LogicalId, AllocError> {
        self.push(LogicalKind::Values { rows: &[&[]], width: 0, first: 0 })
    }

    /// Whether there is a join.
    pub(crate) fn has_joins(&self) -> bool {
        self.nodes.iter().any(|kind| matches!(kind, LogicalKind::Join(_)))
    }

    /// An expression that reads a column.
    pub(crate) fn read(
        &self,
        column: ColumnId,
        span: crate::Span,
        arena: &'a Arena,
    ) -> Result<&'a Expr<'a>, AllocError> {
        Ok(arena.alloc(Expr { kind: ExprKind::Column(column), ty: self.ty(column), span })?)
    }

    /// The nodes below `root`, each behind its inputs.
    pub(crate) fn post_order<'s>(
        &self,
        root: LogicalId,
        scratch: &'s Arena,
    ) -> Result<Vec<'s, LogicalId>, AllocError> {
        let expected = self.nodes.len().min(FEW_NODES);
        let mut order = Vec::with_capacity_in(expected, scratch)?;
        let mut open = Vec::with_capacity_in(expected, scratch)?;
        open.push(root)?;
        // A node before its inputs, the last one first: backwards that is every node behind its inputs.
        while let Some(id) = open.pop() {
            order.push(id)?;
            let mut outcome = Ok(());
            self.kind(id).for_each_input(|input| {
                if outcome.is_ok() {
                    outcome = open.push(input);
                }
            });
            outcome?;
        }
        order.reverse();
        Ok(order)
    }

    /// The columns that a node gives, given those of its inputs through `of`.
    pub(crate) fn output_of(
        &self,
        id: LogicalId,
        add: &mut dyn FnMut(ColumnId) -> Result<(), AllocError>,
        scratch: &Arena,
    ) -> Result<(), AllocError> {
        let mut open = Vec::new_in(scratch);
        open.push(id)?;
        while let Some(id) = open.pop() {
            let kind = self.kind(id);
            kind.for_each_made(&mut *add)?;
            match kind {
                LogicalKind::Filter { input, .. }
                | LogicalKind::Extend { input, .. }
                | LogicalKind::Window { input, .. }
                | LogicalKind::Sort { input, .. }
                | LogicalKind::Limit { input, .. }
                | LogicalKind::DistinctOn { input, .. }
                | LogicalKind::TableFunction { input: Some(input), .. } => open.push(input)?,
                LogicalKind::Join(join) => {
                    open.push(join.left)?;
                    if join.kind.gives_build() {
                        open.push(join.right)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl<'a> LogicalKind<'a> {
    /// The nodes that it reads, in order.
    pub(crate) fn for_each_input(&self, mut visit: impl FnMut(LogicalId)) {
        match *self {
            LogicalKind::Scan { .. }
            | LogicalKind::Values { .. }
            | LogicalKind::CteScan { .. }
            | LogicalKind::WorkingScan { .. } => {}
            LogicalKind::Filter { input, .. }
            | LogicalKind::Extend { input, .. }
            | LogicalKind::Aggregate { input, .. }
            | LogicalKind::Window { input, .. }
            | LogicalKind::Sort { input, .. }
            | LogicalKind::Limit { input, .. }
            | LogicalKind::Distinct { input, .. }
            | LogicalKind::DistinctOn { input, .. } => visit(input),
            LogicalKind::TableFunction { input, .. } => input.into_iter().for_each(visit),
            LogicalKind::Join(Join { left, right, .. }) => {
                visit(left);
                visit(right);
            }
            LogicalKind::Concat { inputs, .. } => inputs.iter().for_each(|input| visit(*input)),
            LogicalKind::SetOperation { inputs, .. } | LogicalKind::Recursive { inputs, .. } => {
                inputs.into_iter().for_each(visit);
            }
        }
    }

    /// The columns that are numbered here, or handed on by name where nothing else is.
    pub(crate) fn for_each_made<E>(&self, mut visit: impl FnMut(ColumnId) -> Result<(), E>) -> Result<(), E> {
        match *self {
            LogicalKind::Scan { source, first, .. } => {
                (first..first + source.columns().len() as u32).try_for_each(visit)
            }
            LogicalKind::Values { width, first, .. } => (first..first + width).try_for_each(visit),
            LogicalKind::CteScan { columns, .. }
            | LogicalKind::WorkingScan { columns, .. }
            | LogicalKind::Distinct { columns, .. }
            | LogicalKind::Concat { columns, .. }
            | LogicalKind::SetOperation { columns, .. }
            | LogicalKind::Recursive { columns, .. } => columns.iter().copied().try_for_each(visit),
            LogicalKind::Extend { exprs, .. } => exprs.iter().map(|named| named.id).try_for_each(visit),
            LogicalKind::Aggregate { groups, aggregates, .. } => {
                groups.iter().map(|group| group.id).try_for_each(&mut visit)?;
                aggregates.iter().map(|aggregate| aggregate.id).try_for_each(visit)
            }
            LogicalKind::Window { functions, .. } => {
                functions.iter().map(|function| function.id).try_for_each(visit)
            }
            LogicalKind::Join(Join { kind: JoinKind::Mark, mark, .. }) => visit(mark),
            LogicalKind::TableFunction { calls, ordinality, .. } => {
                calls.iter().flat_map(|call| call.columns).copied().try_for_each(&mut visit)?;
                ordinality.into_iter().try_for_each(visit)
            }
            LogicalKind::Join(_)
            | LogicalKind::Filter { .. }
            | LogicalKind::Sort { .. }
            | LogicalKind::Limit { .. }
            | LogicalKind::DistinctOn { .. } => Ok(()),
        }
    }

    /// The expressions in it.
    pub(crate) fn for_each_expr<E>(
        &self,
        mut visit: impl FnMut(&'a Expr<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        match *self {
            LogicalKind::Scan { conjuncts, .. }
            | LogicalKind::Filter { conjuncts, .. }
            | LogicalKind::Join(Join { conjuncts, .. }) => conjuncts.iter().try_for_each(|expr| visit(expr)),
            LogicalKind::Values { rows, .. } => {
                rows.iter().flat_map(|row| *row).try_for_each(|expr| visit(expr))
            }
            LogicalKind::Extend { exprs, .. } => exprs.iter().try_for_each(|named| visit(named.expr)),
            LogicalKind::Aggregate { groups, aggregates, .. } => {
                groups.iter().try_for_each(|group| visit(group.expr))?;
                aggregates.iter().try_for_each(|named| named.aggregate.for_each_expr(&mut visit))
            }
            LogicalKind::Window { functions, .. } => {
                functions.iter().try_for_each(|named| named.function.kind.for_each_expr(&mut visit))
            }
            LogicalKind::Limit { count, offset, .. } => count.into_iter().chain(offset).try_for_each(visit),
            LogicalKind::TableFunction { calls, .. } => {
                calls.iter().flat_map(|call| call.args).try_for_each(|expr| visit(expr))
            }
            LogicalKind::CteScan { .. }
            | LogicalKind::WorkingScan { .. }
            | LogicalKind::Sort { .. }
            | LogicalKind::Distinct { .. }
            | LogicalKind::DistinctOn { .. }
            | LogicalKind::Concat { .. }
            | LogicalKind::SetOperation { .. }
            | LogicalKind::Recursive { .. } => Ok(()),
        }
    }

    /// The columns that it reads beside those in its expressions.
    pub(crate) fn for_each_plain_read<E>(
        &self,
        mut visit: impl FnMut(ColumnId) -> Result<(), E>,
    ) -> Result<(), E> {
        match *self {
            LogicalKind::Window { partition, order, functions, .. } => {
                partition.iter().copied().try_for_each(&mut visit)?;
                order.iter().map(|key| key.column).try_for_each(&mut visit)?;
                let frames = functions.iter().map(|named| named.function.frame);
                frames.flat_map(|frame| [frame.start, frame.end]).try_for_each(|bound| match bound {
                    FrameBound::Preceding(column) | FrameBound::Following(column) => visit(column),
                    FrameBound::Unbounded | FrameBound::CurrentRow => Ok(()),
                })
            }
            LogicalKind::Sort { keys, .. } => keys.iter().map(|key| key.column).try_for_each(visit),
            LogicalKind::Limit { ties, .. } => ties.unwrap_or(&[]).iter().copied().try_for_each(visit),
            LogicalKind::Distinct { columns, .. } | LogicalKind::DistinctOn { columns, .. } => {
                columns.iter().copied().try_for_each(visit)
            }
            LogicalKind::Concat { sources, .. } => {
                sources.iter().flat_map(|source| *source).copied().try_for_each(visit)
            }
            LogicalKind::SetOperation { sources, .. } | LogicalKind::Recursive { sources, .. } => {
                sources.iter().flat_map(|source| *source).copied().try_for_each(visit)
            }
            _ => Ok(()),
        }
    }

    /// Every column that it reads.
    pub(crate) fn for_each_read(
        &self,
        scratch: &Arena,
        mut visit: impl FnMut(ColumnId) -> Result<(), AllocError>,
    ) -> Result<(), AllocError> {
        self.for_each_plain_read(&mut visit)?;
        self.for_each_expr(|expr| for_each_column(expr, scratch, &mut visit))
    }
}

/// Each column that an expression reads, as often as it does.
pub(crate) fn for_each_column(
    expr: &Expr<'_>,
    scratch: &Arena,
    mut visit: impl FnMut(ColumnId) -> Result<(), AllocError>,
) -> Result<(), AllocError> {
    let mut outcome = Ok(());
    walk::for_each(expr, scratch, |node| {
        if let (ExprKind::Column(column), Ok(())) = (node.kind, outcome) {
            outcome = visit(column);
        }
    })?;
    outcome
}

impl<'a> LogicalKind<'a> {
    /// The same node over what `change` makes of its expressions and `rename` of the columns that it reads beside these.
    pub(crate) fn map(
        self,
        arena: &'a Arena,
        mut change: impl FnMut(&'a Expr<'a>) -> Result<&'a Expr<'a>, AllocError>,
        rename: impl Fn(ColumnId) -> ColumnId,
    ) -> Result<LogicalKind<'a>, AllocError> {
        let list = |columns: &'a [ColumnId]| -> Result<&'a [ColumnId], AllocError> {
            Ok(arena.alloc_slice_from_iter(columns.iter().map(|column| rename(*column)))?)
        };
        let keys = |keys: &'a [Key]| -> Result<&'a [Key], AllocError> {
            let renamed = keys.iter().map(|key| Key { column: rename(key.column), ..*key });
            Ok(arena.alloc_slice_from_iter(renamed)?)
        };
        let mut exprs = |exprs: &'a [&'a Expr<'a>]| -> Result<&'a [&'a Expr<'a>], AllocError> {
            let changed = arena.alloc_slice_copy(exprs)?;
            for expr in changed.iter_mut() {
                *expr = change(expr)?;
            }
            Ok(changed)
        };
        Ok(match self {
            LogicalKind::Scan { source, alias, first, conjuncts } => {
                LogicalKind::Scan { source, alias, first, conjuncts: exprs(conjuncts)? }
            }
            LogicalKind::Values { rows, width, first } => {
                let changed = arena.alloc_slice_copy(rows)?;
                for row in changed.iter_mut() {
                    *row = exprs(row)?;
                }
                LogicalKind::Values { rows: changed, width, first }
            }
            LogicalKind::Filter { input, conjuncts } => {
                LogicalKind::Filter { input, conjuncts: exprs(conjuncts)? }
            }
            LogicalKind::Extend { input, exprs } => {
                let changed = arena.alloc_slice_copy(exprs)?;
                for named in changed.iter_mut() {
                    named.expr = change(named.expr)?;
                }
                LogicalKind::Extend { input, exprs: changed }
            }
            LogicalKind::Join(join) => LogicalKind::Join(Join { conjuncts: exprs(join.conjuncts)?, ..join }),
            LogicalKind::Aggregate { input, groups, sets, aggregates } => {
                let changed = arena.alloc_slice_copy(groups)?;
                for named in changed.iter_mut() {
                    let expr = change(named.expr)?;
                    // A plain column is a group under its own number.
                    if matches!(named.expr.kind, ExprKind::Column(id) if id == named.id)
                        && let ExprKind::Column(id) = expr.kind
                    {
                        named.id = id;
                    }
                    named.expr = expr;
                }
                let list = arena.alloc_slice_copy(aggregates)?;
                for named in list.iter_mut() {
                    named.aggregate = named.aggregate.map(arena, &mut change)?;
                }
                LogicalKind::Aggregate { input, groups: changed, sets, aggregates: list }
            }
            LogicalKind::Window { input, partition, order, functions } => {
                let (partition, order) = (list(partition)?, keys(order)?);
                let changed = arena.alloc_slice_copy(functions)?;
                for named in changed.iter_mut() {
                    let function = &mut named.function;
                    function.kind = function.kind.map(arena, &mut change)?;
                    for bound in [&mut function.frame.start, &mut function.frame.end] {
                        if let FrameBound::Preceding(column) | FrameBound::Following(column) = bound {
                            *column = rename(*column);
                        }
                    }
                }
                LogicalKind::Window { input, partition, order, functions: changed }
            }
            LogicalKind::Sort { input, keys: by, limit } => {
                LogicalKind::Sort { input, keys: keys(by)?, limit }
            }
            LogicalKind::Limit { input, count, offset, ties } => LogicalKind::Limit {
                input,
                count: count.map(&mut change).transpose()?,
                offset: offset.map(&mut change).transpose()?,
                ties: ties.map(list).transpose()?,
            },
            LogicalKind::Distinct { input, columns } => {
                LogicalKind::Distinct { input, columns: list(columns)? }
            }
            LogicalKind::DistinctOn { input, columns } => {
                LogicalKind::DistinctOn { input, columns: list(columns)? }
            }
            LogicalKind::Concat { inputs, sources, columns } => {
                let changed = arena.alloc_slice_copy(sources)?;
                for source in changed.iter_mut() {
                    *source = list(source)?;
                }
                LogicalKind::Concat { inputs, sources: changed, columns }
            }
            LogicalKind::SetOperation { kind, all, inputs, sources: [left, right], columns } => {
                let sources = [list(left)?, list(right)?];
                LogicalKind::SetOperation { kind, all, inputs, sources, columns }
            }
            LogicalKind::Recursive { inputs, sources: [left, right], working, distinct, columns } => {
                let sources = [list(left)?, list(right)?];
                LogicalKind::Recursive { inputs, sources, working, distinct, columns }
            }
            LogicalKind::TableFunction { input, calls, ordinality, keeps_empty } => {
                let changed = arena.alloc_slice_copy(calls)?;
                for call in changed.iter_mut() {
                    call.args = exprs(call.args)?;
                }
                LogicalKind::TableFunction { input, calls: changed, ordinality, keeps_empty }
            }
            kind @ (LogicalKind::CteScan { .. } | LogicalKind::WorkingScan { .. }) => kind,
        })
    }
}
