//! The optimizer: from what a query asks for to how it is answered.
//!
//! Passes, in order; each is a loop over the flat list of logical nodes (see `logical`):
//!
//! | pass | needs | gives | direction |
//! |---|---|---|---|
//! | `push_filters` | the bound plan | every conjunct as far down as it may stand | root to leaves |
//! | `need_columns` | filters in place | which output columns of each node anyone reads | root to leaves |
//! | `lower` | both | physical operators; joins ordered by estimated size | leaves to root |
//!
//! `lower` asks `join_order` for each join, `key_range` for each scan of a stored table and `estimate` for sizes. Lists and maps of the passes lie in a scratch arena
//! under the same budget and are given back when the plan is done.

mod estimate;
mod join_order;
mod key_range;
mod lower;
mod need_columns;
mod push_filters;

use cofferdam_arena::{AllocError, Arena};

use crate::expr::{Expr, ExprKind, walk};
use crate::logical::LogicalPlan;
use crate::physical::{Check, PhysicalPlan};
use crate::table::StoredTable;

/// What the rows of a plan are for, if they are no answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sink<'a> {
    pub(crate) table: &'a StoredTable<'a>,
    pub(crate) checks: &'a [Check<'a>],
}

/// The physical plan of a bound query, in `arena`.
///
/// # Errors
/// `AllocError` when the budget of `arena` has no room.
pub(crate) fn optimize<'a>(
    mut plan: LogicalPlan<'a>,
    sink: Option<Sink<'a>>,
    arena: &'a Arena,
) -> Result<PhysicalPlan<'a>, AllocError> {
    let scratch = Arena::new(arena.budget());
    let filters = push_filters::push_filters(&mut plan, arena, &scratch)?;
    let needs = need_columns::need_columns(&plan, &filters, &scratch)?;
    lower::lower(&plan, &filters, &needs, sink, arena, &scratch)
}

/// The expression with every column replaced by what `replace` says.
fn replace_columns<'a>(
    expr: &'a Expr<'a>,
    arena: &'a Arena,
    mut replace: impl FnMut(u32) -> u32,
) -> Result<&'a Expr<'a>, AllocError> {
    walk::rewrite(expr, arena, |_, rebuilt| match rebuilt.kind {
        ExprKind::Column(old) => match replace(old) {
            new if new == old => Ok(rebuilt),
            new => Ok(&*arena.alloc(Expr { kind: ExprKind::Column(new), ..*rebuilt })?),
        },
        _ => Ok(rebuilt),
    })
}
