//! The logical plan: what a query asks for, before it is decided how.
//!
//! Nodes stand in one list, inputs before the nodes that read them, so that every pass of the optimizer is a loop: from
//! the front when facts flow up (sizes, positions of columns), from the back when they flow down (filters, needs).
//!
//! # Invariants
//!
//! - **L1** A node's inputs have smaller ids; every node but the last is the input of exactly one.
//! - **L2** `Column(i)` in an expression of a node is output column `i` of its input; in a join it is a position in the
//!   concatenated outputs of its relations, in their order.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};

use crate::expr::{Column, Expr};
use crate::physical::{Aggregate, SortKey};
use crate::table::TableSource;

/// A position in the list of logical nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LogicalId(u32);

impl LogicalId {
    /// For notes in the tree of the statement.
    pub(crate) fn number(self) -> u32 {
        self.0
    }

    /// The id that was noted.
    pub(crate) fn from_number(number: u32) -> LogicalId {
        LogicalId(number)
    }

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// One step of a query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogicalNode<'a> {
    pub(crate) kind: LogicalKind<'a>,
    /// The columns of its output.
    pub(crate) columns: &'a [Column<'a>],
}

/// What a step does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LogicalKind<'a> {
    /// All columns and rows of a table.
    Scan { source: TableSource<'a>, alias: &'a str, conjuncts: &'a [&'a Expr<'a>] },
    /// Constant rows.
    Values { rows: &'a [&'a [&'a Expr<'a>]] },
    /// Every combination of rows of the relations for which all conjuncts are true. Two relations or more.
    Join { relations: &'a [LogicalId], conjuncts: &'a [&'a Expr<'a>] },
    /// The rows for which all conjuncts are true.
    Filter { input: LogicalId, conjuncts: &'a [&'a Expr<'a>] },
    /// One output column for each expression.
    Project { input: LogicalId, exprs: &'a [&'a Expr<'a>] },
    /// Groups, then aggregates.
    Aggregate { input: LogicalId, groups: &'a [&'a Expr<'a>], aggregates: &'a [Aggregate<'a>] },
    /// The same rows in order; only the first `limit` are wanted.
    Sort { input: LogicalId, keys: &'a [SortKey], limit: Option<u64> },
    /// A window of the rows.
    Limit { input: LogicalId, count: Option<u64>, offset: u64 },
    /// Each distinct row once.
    Distinct { input: LogicalId },
}

/// A growing list of logical nodes; the root is the last.
#[derive(Debug)]
pub(crate) struct LogicalPlan<'a> {
    pub(crate) nodes: Vec<'a, LogicalNode<'a>>,
}

impl<'a> LogicalPlan<'a> {
    pub(crate) fn new_in(arena: &'a Arena) -> LogicalPlan<'a> {
        LogicalPlan { nodes: Vec::new_in(arena) }
    }

    /// Adds a node whose inputs are there already.
    pub(crate) fn push(
        &mut self,
        kind: LogicalKind<'a>,
        columns: &'a [Column<'a>],
    ) -> Result<LogicalId, AllocError> {
        // Each node takes more than a byte of a budget that counts in u64 and of a text shorter than 4 GiB.
        let id = LogicalId(u32::try_from(self.nodes.len()).map_err(|_| AllocError)?);
        self.nodes.push(LogicalNode { kind, columns })?;
        Ok(id)
    }

    /// The node that was added last. There is one when a query has been bound.
    pub(crate) fn last(&self) -> LogicalId {
        LogicalId(self.nodes.len() as u32 - 1)
    }

    pub(crate) fn columns(&self, id: LogicalId) -> &'a [Column<'a>] {
        self.nodes[id.index()].columns
    }
}
