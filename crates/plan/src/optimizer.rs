//! The optimizer: from what a query asks for to how it is answered.
//!
//! Passes, in order; each is a loop over the nodes below a root (see `logical`):
//!
//! | pass | needs | gives | direction |
//! |---|---|---|---|
//! | `simplify` | the bound plan | expressions without what constants decide | |
//! | `copies` | the bound plan | common table expressions that read columns around them once for each reader | |
//! | `inline` | that | common table expressions that are read once in their place | |
//! | `unnest` | queries in expressions as joins | joins whose sides read nothing of each other | root to leaves |
//! | `whole_windows` | that | windows of all rows of a table as aggregates of a second reading | |
//! | `late` | that | above the joins that leave rows out, what may fail | leaves to root |
//! | `sink_scalars` | joins | values that are one for all rows at the table that they are compared with | |
//! | `push_filters` | that | every conjunct as far down as it may stand; outer and mark joins made simpler | root to leaves |
//! | `narrow` | where they stand | what all scans of a common table expression ask for, as conjuncts of it | readers first |
//! | `needs` | filters in place | which columns of each node anyone reads | root to leaves |
//! | `lower` | both | physical operators; inner joins in the cheapest order | leaves to root |
//! | `key_filters` | operators | what scans may leave out when joins above know their keys | root to leaves |
//!
//! `lower` asks `join_order` for inner joins, `access` for each scan of a stored table (which asks `key_range`), `order` whether rows come sorted, `finest` for grouping sets, `eager` and `groups_of_keys` for groups below joins, and `known` for sizes, which has them
//! of the tables' statistics by `selectivity`, or else of the guesses in `estimate`. `tree` tells which
//! node makes a column, `selectivity` what statistics say of conditions. Lists and maps of the passes lie in a scratch arena under
//! the same budget and are given back when the plan is done.

mod access;
mod copies;
mod eager;
mod estimate;
mod finest;
mod groups_of_keys;
mod inline;
mod join_order;
mod join_search;
mod key_filters;
pub(crate) mod key_range;
mod known;
mod late;
mod lower;
mod narrow;
mod needs;
mod order;
mod push_filters;
pub mod selectivity;
mod simplify;
mod sink_scalars;
mod tree;
mod unnest;
mod whole_windows;

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;

pub(crate) use self::estimate::source_rows;
use self::known::Known;
use self::tree::Tree;
use crate::catalog::Catalog;
use crate::error::Error;
use crate::logical::{Cte, LogicalPlan};
use crate::physical::{Check, PhysicalPlan, UpdateWay};
use crate::table::StoredTable;

/// What the rows of a plan are for, if they are no answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sink<'a> {
    pub(crate) table: &'a StoredTable<'a>,
    pub(crate) checks: &'a [Check<'a>],
    pub(crate) kind: SinkKind,
}

/// What rows do to the table that they are for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SinkKind {
    Insert,
    Update(UpdateWay),
    Delete,
}

/// The physical plan of a bound query, in `arena`. What lies in `scratch` is not asked for afterwards.
///
/// # Errors
/// `OutOfMemory` when the budget of `arena` has no room; 0A000 for a correlated query of a form that cannot be run.
pub(crate) fn optimize<'a>(
    mut plan: LogicalPlan<'a>,
    sink: Option<Sink<'a>>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
    scratch: &Arena,
) -> Result<PhysicalPlan<'a>, Error<'a>> {
    simplify::simplify(&mut plan, arena)?;
    if !plan.ctes.is_empty() {
        copies::copy_correlated(&mut plan, arena)?;
    }
    inline::inline(&mut plan, arena)?;
    unnest::unnest(&mut plan, arena)?;
    whole_windows::read_twice(&mut plan, arena)?;
    let root = plan.root;
    late::compute_late(&mut plan, root, arena)?;
    sink_scalars::sink_scalars(&mut plan, root, arena)?;
    for index in 0..plan.ctes.len() {
        let Cte { node, scans, .. } = plan.ctes[index];
        if scans > 0 {
            late::compute_late(&mut plan, node, arena)?;
            sink_scalars::sink_scalars(&mut plan, node, arena)?;
        }
    }
    let mut filters = Vec::new_in(scratch);
    let has_joins = plan.has_joins();
    let mut tree = Tree::new(&plan, plan.root, scratch)?;
    push_filters::push_filters(&mut plan, &tree, &mut filters, arena, scratch)?;
    // Each reads only those before it.
    for index in (0..plan.ctes.len()).rev() {
        let Cte { node, scans, .. } = plan.ctes[index];
        if scans == 0 {
            continue;
        }
        narrow::narrow(&plan, index, &mut filters, arena)?;
        let local = Arena::new(scratch.budget());
        let tree = Tree::new(&plan, node, &local)?;
        push_filters::push_filters(&mut plan, &tree, &mut filters, arena, scratch)?;
    }
    if has_joins {
        tree = Tree::new(&plan, plan.root, scratch)?;
    }
    let known = Known::new(&plan, catalog, arena, scratch)?;
    Ok(lower::lower(&plan, &tree, &filters, &known, sink, arena, scratch)?)
}
