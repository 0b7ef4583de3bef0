//! Changing a tree: a part is replaced by another, names are changed, parts are copied.
//!
//! A tree that was changed prints as what it now says. Its spans still tell where the old parts stood, and those of new
//! parts refer to the text that they were parsed from, so [`format`](crate::format()), which lays out the old text, is
//! for trees as they were parsed.
//!
//! ```
//! use cofferdam_arena::{Arena, Budget};
//! use cofferdam_sql::{NodeKind, Visit, parse, parse_expression};
//!
//! let arena = Arena::new(&Budget::root("rewrite", 1 << 20).unwrap());
//! let tree = parse("SELECT a FROM t WHERE b = 1", &arena)?;
//! for visit in tree.walk() {
//!     if let Visit::Leave(node) = visit
//!         && node.kind() == NodeKind::Column
//!         && node.name() == "b"
//!     {
//!         node.replace(parse_expression("b + $1", &arena)?).unwrap();
//!     }
//! }
//! assert_eq!(tree.to_string(), "SELECT a FROM t WHERE b + $1 = 1");
//! # Ok::<(), cofferdam_sql::Error>(())
//! ```

use std::fmt;

use cofferdam_arena::{AllocError, Arena};

use crate::node::{Node, NodeKind, Span, Visit, Walk, flag};
use crate::views::{Expr, TableExpr};

/// Why a tree was not changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RewriteError {
    /// A root stands nowhere, so nothing can be put in its place.
    Root,
    /// The new part is part of a tree already; a copy of it could be used.
    Used,
    /// The new part contains the old one; a copy of the old one could be used.
    Cycle,
    /// The new part cannot stand where the old one does: an expression for a query, say.
    Kind {
        /// What the old part is.
        old: NodeKind,
        /// What the new part is.
        new: NodeKind,
    },
    /// The node has no name.
    Nameless,
    /// The name does not fit into a node: see [`QUALIFIER_BYTES_LIMIT`](crate::QUALIFIER_BYTES_LIMIT).
    NameTooLong,
    /// The budget is used up.
    OutOfMemory(AllocError),
}

impl From<AllocError> for RewriteError {
    fn from(error: AllocError) -> RewriteError {
        RewriteError::OutOfMemory(error)
    }
}

impl fmt::Display for RewriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RewriteError::Root => f.write_str("a root stands nowhere, so it cannot be replaced"),
            RewriteError::Used => f.write_str("the new part belongs to a tree already; use a copy"),
            RewriteError::Cycle => {
                f.write_str("the new part contains the old one; use a copy of the old one")
            }
            RewriteError::Kind { old, new } => write!(f, "{new:?} cannot stand in the place of {old:?}"),
            RewriteError::Nameless => f.write_str("the node has no name"),
            RewriteError::NameTooLong => f.write_str("the name before the dot is longer than 65535 bytes"),
            RewriteError::OutOfMemory(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for RewriteError {}

impl<'a> Node<'a> {
    /// Puts `new` in the place of this node, which is a root of its own afterwards. In a [`Walk`] this is safe at the
    /// node's `Leave`. Costs a step for each child of the parent and for each level above.
    ///
    /// # Errors
    /// [`RewriteError::Root`], [`RewriteError::Used`], [`RewriteError::Cycle`], [`RewriteError::Kind`]; nothing is
    /// changed then.
    pub fn replace(&'a self, new: &'a Node<'a>) -> Result<(), RewriteError> {
        let parent = self.parent().ok_or(RewriteError::Root)?;
        if new.parent().is_some() {
            return Err(RewriteError::Used);
        }
        let mut above = Some(parent);
        while let Some(node) = above {
            if std::ptr::eq(node, new) {
                return Err(RewriteError::Cycle);
            }
            above = node.parent();
        }
        if !can_stand_for(new, self) {
            return Err(RewriteError::Kind { old: self.kind(), new: new.kind() });
        }
        if parent.kind() == NodeKind::Form && self.has(flag::PARENS) {
            new.set(flag::PARENS);
        }
        if new.kind().has_slot() {
            new.set_detail(self.slot());
        }
        self.swap(new, parent);
        Ok(())
    }

    /// Gives the node another name; outer parts of a longer name (`c` in `c.s.t`) stay as they are.
    ///
    /// # Errors
    /// [`RewriteError::Nameless`] for nodes that have none, [`RewriteError::NameTooLong`], and
    /// [`RewriteError::OutOfMemory`] when `arena` has no room for the name.
    pub fn rename(&self, qualifier: Option<&str>, name: &str, arena: &'a Arena) -> Result<(), RewriteError> {
        use NodeKind as N;
        let takes_qualifier = matches!(self.kind(), N::Column | N::Table | N::ObjectName | N::Call | N::Type);
        let takes_name = takes_qualifier || matches!(self.kind(), N::Alias | N::Aliased | N::Cte | N::Name);
        if !takes_name || (qualifier.is_some() && !takes_qualifier) || self.has_own_word() {
            return Err(RewriteError::Nameless);
        }
        let qualifier = qualifier.unwrap_or("");
        let bytes = u16::try_from(qualifier.len()).map_err(|_| RewriteError::NameTooLong)?;
        let text = arena.alloc_fmt(format_args!("{qualifier}{name}"))?;
        self.set_qualified(text, bytes, bytes);
        Ok(())
    }

    /// Puts columns, each with the table before its dot, in the place of a `*` or `t.*` among the items of a select, which is a root of
    /// its own afterwards. A `TABLE t` becomes a select with that. Takes 64 bytes and the names for each column.
    ///
    /// # Errors
    /// [`RewriteError::Kind`] for anything but such a star, or without columns; [`RewriteError::NameTooLong`];
    /// [`RewriteError::OutOfMemory`] when `arena` has no room. Nothing is changed then.
    pub fn expand_star(
        &'a self,
        columns: &[(Option<&str>, &str)],
        arena: &'a Arena,
    ) -> Result<(), RewriteError> {
        let wrong = RewriteError::Kind { old: self.kind(), new: NodeKind::Column };
        let parent = self.parent().filter(|parent| parent.kind() == NodeKind::Select).ok_or(wrong)?;
        if self.kind() != NodeKind::Star || columns.is_empty() {
            return Err(wrong);
        }
        let mut made = cofferdam_arena::collections::Vec::with_capacity_in(columns.len(), arena)?;
        for (qualifier, name) in columns {
            let node: &'a Node<'a> = arena.alloc(Node::new(NodeKind::Column, self.span()))?;
            node.rename(*qualifier, name, arena)?;
            made.push(node)?;
        }
        let mut last: Option<&'a Node<'a>> = None;
        for node in made.iter().copied() {
            match last {
                None => self.swap(node, parent),
                Some(last) => last.insert_behind(node, parent),
            }
            last = Some(node);
        }
        parent.clear(flag::KEYWORD);
        Ok(())
    }

    /// Says of this node and of all under it that they stand at `span`: those of a text of its own, in a statement that means it there.
    pub fn place_at(&'a self, span: Span) {
        for visit in Walk::new(self) {
            if let Visit::Enter(node) = visit {
                node.set_span(span);
            }
        }
    }

    /// A copy of the node with all that is under it, as a root of its own in `arena`. The texts are not copied.
    ///
    /// # Errors
    /// [`AllocError`] when `arena` has no room; 64 bytes for each node.
    pub fn copy(&self, arena: &'a Arena) -> Result<&'a Node<'a>, AllocError> {
        let root = arena.alloc(self.duplicate())?;
        let mut open: &'a Node<'a> = root;
        let mut is_inside = false;
        for visit in self.children().flat_map(Walk::new) {
            match visit {
                Visit::Enter(node) => {
                    let copy: &'a Node<'a> = arena.alloc(node.duplicate())?;
                    // Its children are hung on before it is itself, so the way back up is kept in the parent link.
                    copy.set_parent(Some(open));
                    open = copy;
                    is_inside = true;
                }
                Visit::Leave(_) => {
                    let parent = open.parent().unwrap_or(root);
                    let span = parent.span();
                    open.set_parent(None);
                    let above = parent.parent();
                    parent.set_parent(None);
                    parent.push(open);
                    parent.set_span(span);
                    parent.set_parent(above);
                    open = parent;
                }
            }
        }
        if is_inside {
            root.finish_root();
        }
        Ok(root)
    }

    /// Whether its name is a word of the grammar.
    fn has_own_word(&self) -> bool {
        matches!(self.kind(), NodeKind::Call | NodeKind::Type) && self.has(flag::KEYWORD)
    }
}

/// Whether `new` can stand where `old` does.
fn can_stand_for<'a>(new: &'a Node<'a>, old: &'a Node<'a>) -> bool {
    use NodeKind::{Select, SetOperation, Values};
    let is_expr = |node| !matches!(Expr::of(node), Expr::Invalid(_));
    let is_query = |kind| matches!(kind, Select | Values | SetOperation);
    let is_table = |node| TableExpr::of(node).is_some();
    match (new.kind(), old.kind()) {
        _ if is_expr(old) => is_expr(new),
        _ if is_table(old) => is_table(new),
        (new, old) if is_query(old) => is_query(new),
        (NodeKind::Form, NodeKind::Form) => new.form() == old.form(),
        (new, old) => new == old,
    }
}
