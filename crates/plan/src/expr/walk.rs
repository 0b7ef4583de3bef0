//! Walks over expressions with explicit stacks, so that depth costs memory of a budget and never native stack.
//!
//! Stacks live in a scratch arena under the same budget as the plan and are given back when the walk ends.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};

use super::{Expr, ExprKind, When};

impl<'a> Expr<'a> {
    /// The number of operands, arguments and branches.
    pub fn child_count(&self) -> usize {
        match &self.kind {
            ExprKind::Column(_) | ExprKind::Literal(_) | ExprKind::Parameter(_) => 0,
            ExprKind::Unary { .. } | ExprKind::Cast(_) => 1,
            ExprKind::Binary { .. } | ExprKind::Like { .. } => 2,
            ExprKind::Between { .. } => 3,
            ExprKind::InList { list, .. } => list.len() + 1,
            ExprKind::Case { operand, whens, otherwise } => {
                usize::from(operand.is_some()) + 2 * whens.len() + usize::from(otherwise.is_some())
            }
            ExprKind::Call { args, .. } | ExprKind::Row(args) => args.len(),
        }
    }

    /// The child at a position, in the order of the text; `None` past the last.
    pub fn child(&self, index: usize) -> Option<&'a Expr<'a>> {
        match self.kind {
            ExprKind::Column(_) | ExprKind::Literal(_) | ExprKind::Parameter(_) => None,
            ExprKind::Unary { arg, .. } | ExprKind::Cast(arg) => (index == 0).then_some(arg),
            ExprKind::Binary { left, right, .. } => [left, right].get(index).copied(),
            ExprKind::Like { text, pattern, .. } => [text, pattern].get(index).copied(),
            ExprKind::Between { arg, low, high, .. } => [arg, low, high].get(index).copied(),
            ExprKind::InList { arg, list, .. } => match index {
                0 => Some(arg),
                _ => list.get(index - 1).copied(),
            },
            ExprKind::Case { operand, whens, otherwise } => case_child(operand, whens, otherwise, index),
            ExprKind::Call { args, .. } | ExprKind::Row(args) => args.get(index).copied(),
        }
    }

    /// The same computation over other children, in the order of [`Expr::child`].
    ///
    /// # Errors
    /// `AllocError` when the arena's budget has no room for the new node.
    ///
    /// # Panics
    /// If there are not exactly [`Expr::child_count`] children.
    pub fn with_children(
        &self,
        children: &[&'a Expr<'a>],
        arena: &'a Arena,
    ) -> Result<&'a Expr<'a>, AllocError> {
        assert_eq!(children.len(), self.child_count());
        let kind = match self.kind {
            ExprKind::Column(_) | ExprKind::Literal(_) | ExprKind::Parameter(_) => self.kind,
            ExprKind::Row(_) => ExprKind::Row(arena.alloc_slice_copy(children)?),
            ExprKind::Unary { op, .. } => ExprKind::Unary { op, arg: children[0] },
            ExprKind::Cast(_) => ExprKind::Cast(children[0]),
            ExprKind::Binary { op, .. } => ExprKind::Binary { op, left: children[0], right: children[1] },
            ExprKind::Like { escape, negated, .. } => {
                ExprKind::Like { text: children[0], pattern: children[1], escape, negated }
            }
            ExprKind::Between { negated, .. } => {
                ExprKind::Between { arg: children[0], low: children[1], high: children[2], negated }
            }
            ExprKind::InList { negated, .. } => {
                ExprKind::InList { arg: children[0], list: arena.alloc_slice_copy(&children[1..])?, negated }
            }
            ExprKind::Case { operand, whens, otherwise } => {
                let start = usize::from(operand.is_some());
                let whens = arena.alloc_slice_fill_with(whens.len(), |index| When {
                    condition: children[start + 2 * index],
                    result: children[start + 2 * index + 1],
                })?;
                ExprKind::Case {
                    operand: operand.and(children.first().copied()),
                    whens,
                    otherwise: otherwise.and(children.last().copied()),
                }
            }
            ExprKind::Call { function, .. } => {
                ExprKind::Call { function, args: arena.alloc_slice_copy(children)? }
            }
        };
        Ok(arena.alloc(Expr { kind, ty: self.ty, span: self.span })?)
    }

    /// Whether the expression is a constant that needs no evaluation.
    pub fn is_literal(&self) -> bool {
        matches!(self.kind, ExprKind::Literal(_))
    }
}

fn case_child<'a>(
    operand: Option<&'a Expr<'a>>,
    whens: &'a [When<'a>],
    otherwise: Option<&'a Expr<'a>>,
    index: usize,
) -> Option<&'a Expr<'a>> {
    let index = match (operand, index) {
        (Some(operand), 0) => return Some(operand),
        (Some(_), index) => index - 1,
        (None, index) => index,
    };
    match whens.get(index / 2) {
        Some(when) if index % 2 == 0 => Some(when.condition),
        Some(when) => Some(when.result),
        None if index == 2 * whens.len() => otherwise,
        None => None,
    }
}

/// Gives the nodes of an expression, children before parents, left to right.
///
/// Peak bytes: 24 for each level of depth, rounded up as vectors grow.
pub struct PostOrder<'s, 'a> {
    stack: Vec<'s, (&'a Expr<'a>, usize)>,
}

impl<'s, 'a> PostOrder<'s, 'a> {
    /// A walk over `root` with its stack in `scratch`.
    ///
    /// # Errors
    /// `AllocError` when the scratch arena's budget has no room.
    pub fn new_in(root: &'a Expr<'a>, scratch: &'s Arena) -> Result<PostOrder<'s, 'a>, AllocError> {
        let mut stack = Vec::new_in(scratch);
        stack.push((root, 0))?;
        Ok(PostOrder { stack })
    }

    /// The next node; `None` after the root.
    ///
    /// # Errors
    /// `AllocError` when the scratch arena's budget has no room for a deeper stack.
    #[allow(
        clippy::should_implement_trait,
        reason = "each step may fail, and an Iterator of Results invites collect()"
    )]
    pub fn next(&mut self) -> Result<Option<&'a Expr<'a>>, AllocError> {
        loop {
            let Some((expr, visited)) = self.stack.last_mut() else { return Ok(None) };
            let child = expr.child(*visited);
            *visited += 1;
            match child {
                Some(child) => self.stack.push((child, 0))?,
                None => {
                    let done = *expr;
                    self.stack.pop();
                    return Ok(Some(done));
                }
            }
        }
    }
}

/// Rewrites an expression from its leaves up: `replace` is given each original node and the node over its rewritten
/// children (the same one when nothing below changed) and returns what stands in its place.
///
/// # Errors
/// What `replace` returns, or `AllocError` when the budget has no room for the stacks or the new nodes.
pub fn rewrite<'a, E: From<AllocError>>(
    root: &'a Expr<'a>,
    arena: &'a Arena,
    mut replace: impl FnMut(&'a Expr<'a>, &'a Expr<'a>) -> Result<&'a Expr<'a>, E>,
) -> Result<&'a Expr<'a>, E> {
    if root.child_count() == 0 {
        return replace(root, root);
    }
    if let Some([left, right]) = leaves(root) {
        let new = [replace(left, left)?, replace(right, right)?];
        let is_same = std::ptr::eq(left, new[0]) && std::ptr::eq(right, new[1]);
        let rebuilt = if is_same { root } else { root.with_children(&new, arena)? };
        return replace(root, rebuilt);
    }
    let scratch = Arena::new(arena.budget());
    let mut walk = PostOrder::new_in(root, &scratch)?;
    let mut done: Vec<'_, &'a Expr<'a>> = Vec::new_in(&scratch);
    while let Some(original) = walk.next()? {
        let first = done.len() - original.child_count();
        let same = done[first..]
            .iter()
            .enumerate()
            .all(|(index, &new)| original.child(index).is_some_and(|old| std::ptr::eq(old, new)));
        let rebuilt = if same { original } else { original.with_children(&done[first..], arena)? };
        done.truncate(first);
        done.push(replace(original, rebuilt)?)?;
    }
    Ok(done.pop().expect("the root is rewritten last"))
}

/// The children of a node that has two, which have none: most conditions are such, and need no stack.
fn leaves<'a>(root: &'a Expr<'a>) -> Option<[&'a Expr<'a>; 2]> {
    let ExprKind::Binary { left, right, .. } = root.kind else { return None };
    (left.child_count() == 0 && right.child_count() == 0).then_some([left, right])
}

/// Calls `visit` for every node, children before parents.
///
/// # Errors
/// `AllocError` when the budget of `arena`, which pays for the stack, has no room.
pub fn for_each<'a>(
    root: &'a Expr<'a>,
    arena: &Arena,
    mut visit: impl FnMut(&'a Expr<'a>),
) -> Result<(), AllocError> {
    if root.child_count() == 0 {
        visit(root);
        return Ok(());
    }
    if let Some(children) = leaves(root) {
        children.into_iter().chain([root]).for_each(visit);
        return Ok(());
    }
    let scratch = Arena::new(arena.budget());
    let mut walk = PostOrder::new_in(root, &scratch)?;
    while let Some(expr) = walk.next()? {
        visit(expr);
    }
    Ok(())
}
