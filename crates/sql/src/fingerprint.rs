//! Which statements are the same but for their literals.
//!
//! The fingerprint of a statement is a hash over its tree from the leaves up. Two statements have the same one when they
//! have the same one in `pg_query` (libpg_query 18) and in the tools that are built on it; the numbers themselves differ
//! from theirs. So these count for nothing:
//!
//! - literals and parameters, casts of them, and clauses that consist of nothing else: `a IN (1, 2)` is `a = 3`;
//! - the order of select items, tables, values and arguments, and that one of them comes twice;
//! - names of select items, of queries and functions in `FROM`, of prepared statements, cursors and savepoints;
//! - two digits and more in a row in the name of a table, and its schema in a query;
//! - noise and what is the default: `WORK`, `COLUMN`, `INNER`, `RESTRICT`, `USING btree`.
//!
//! Only what lies a hundred nodes deep and more, which counts for nothing there, counts here. The numbers may change when
//! the grammar does.
//!
//! A table with an alias goes by its alias. How that is done: each node gives a `Hash`, which may be nothing; a list is
//! nothing when its elements are, and is its element when there is one. The modules beside this one say what each
//! construct is made of: `query`, `expr`, `name` (names and types), `form` (what the grammar declares) and `session` (settings,
//! cursors, options).

mod expr;
mod form;
mod hash;
mod name;
mod query;
mod session;

use std::fmt;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};

use self::hash::{Hash, NOTHING};
use crate::Tree;
use crate::node::{Node, NodeKind, Visit};

/// A hash of a statement without its literals: see [`Tree::fingerprint`]. The same in every process and on every machine;
/// shown as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Fingerprint(pub u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Tree<'_> {
    /// The fingerprint of the statement: the same for statements that differ only in literals, in the order of things
    /// that have none, or in names that mean nothing outside of the statement.
    ///
    /// `scratch` holds 8 bytes for each child of each node on the way from the root to where the hash is, and 8 for each
    /// level; at most twice that while it grows. The time is linear in the number of nodes, and n log n in that of the
    /// elements of a list.
    ///
    /// ```
    /// use cofferdam_arena::{Arena, Budget};
    ///
    /// let budget = Budget::root("process", 1 << 20).unwrap();
    /// let (arena, scratch) = (Arena::new(&budget), Arena::new(&budget));
    /// let of = |text| cofferdam_sql::parse(text, &arena).unwrap().fingerprint(&scratch).unwrap();
    ///
    /// assert_eq!(of("SELECT a, b FROM t WHERE a IN (1, 2)"), of("select b, a AS x from t where a in ($1)"));
    /// assert_ne!(of("SELECT a, b FROM t WHERE a IN (1, 2)"), of("SELECT a, b FROM t WHERE b IN (1, 2)"));
    /// ```
    ///
    /// # Errors
    /// [`AllocError`] when the budget of `scratch` is used up.
    pub fn fingerprint(self, scratch: &Arena) -> Result<Fingerprint, AllocError> {
        let mut hashes = Vec::new_in(scratch);
        // Where the hashes of the children of each open node begin.
        let mut starts = Vec::new_in(scratch);
        for visit in self.walk() {
            match visit {
                Visit::Enter(_) => starts.push(hashes.len())?,
                Visit::Leave(node) if goes_on_in_parent(node) => drop(starts.pop()),
                Visit::Leave(node) => {
                    let start = starts.pop().unwrap_or(0);
                    let hash = hash_of(node, hashes.get_mut(start..).unwrap_or_default());
                    hashes.truncate(start);
                    hashes.push(hash)?;
                }
            }
        }
        Ok(Fingerprint(hashes.last().copied().unwrap_or(NOTHING)))
    }
}

/// The hash of `node` from those of its children.
fn hash_of<'a>(node: &'a Node<'a>, children: &mut [Hash]) -> Hash {
    use NodeKind as N;
    match node.kind() {
        N::Select
        | N::Values
        | N::SetOperation
        | N::With
        | N::Cte
        | N::DistinctOn
        | N::Aliased
        | N::From
        | N::Where
        | N::Into
        | N::GroupBy
        | N::GroupingSet
        | N::Having
        | N::OrderBy
        | N::SortKey
        | N::Limit
        | N::Offset
        | N::Locking
        | N::Table
        | N::File
        | N::Derived
        | N::TableFunction
        | N::RowsFrom
        | N::Join
        | N::Using
        | N::On
        | N::Alias
        | N::ColumnDef => query::hash(node, children),
        N::Name | N::ObjectName | N::Field | N::AllFields | N::Target | N::Type | N::ArrayBound => {
            name::hash(node, children)
        }
        N::Form | N::List | N::Words => form::hash(node, children),
        _ => expr::hash(node, children),
    }
}

/// Whether the children of `node` count as those of its parent: `(a AND b) AND c` is one list in PostgreSQL, and the four
/// values of an `OVERLAPS` are arguments of one function.
fn goes_on_in_parent<'a>(node: &'a Node<'a>) -> bool {
    let Some(parent) = node.parent() else { return false };
    match node.kind() {
        NodeKind::And | NodeKind::Or => {
            parent.kind() == node.kind()
                && parent.first_child().is_some_and(|first| std::ptr::eq(first, node))
        }
        NodeKind::Row => parent.kind() == NodeKind::Overlaps,
        _ => false,
    }
}
