//! A statement without its literals, as text: a parameter for each.

use std::fmt::{self, Formatter, Write};

use crate::node::{Node, NodeKind, Visit};
use crate::{Tree, print};

/// Writes the statement as canonical SQL with a parameter for each literal: `$n`, numbered from 1, or on from the highest
/// parameter that the statement has already.
///
/// What is written parses again and has the fingerprint of the statement. A literal with its type, `DATE '…'`, becomes a
/// cast; a sign belongs to its number. Literals stay where PostgreSQL's grammar has no expressions: modifiers of types,
/// options, bodies of functions, values of settings. Takes no memory, and linear time.
///
/// ```
/// use cofferdam_arena::{Arena, Budget};
///
/// let budget = Budget::root("process", 1 << 20).unwrap();
/// let arena = Arena::new(&budget);
/// let tree = cofferdam_sql::parse("select * from t where d < date '2024-05-01' and n in (-1, $2) limit 10", &arena).unwrap();
/// let mut text = String::new();
/// cofferdam_sql::normalize(tree, &mut text)?;
/// assert_eq!(text, "SELECT * FROM t WHERE d < CAST($3 AS date) AND n IN ($4, $2) LIMIT $5");
/// # Ok::<(), std::fmt::Error>(())
/// ```
///
/// # Errors
/// [`fmt::Error`] when `out` fails.
pub fn normalize(tree: Tree<'_>, out: &mut dyn Write) -> fmt::Result {
    let parameters = tree.walk().filter_map(|visit| match visit {
        Visit::Enter(node) if node.kind() == NodeKind::Parameter => node.name().parse::<u64>().ok(),
        _ => None,
    });
    let next = parameters.max().unwrap_or(0).saturating_add(1);
    write!(out, "{}", Normalized { root: tree.root(), next })
}

struct Normalized<'a> {
    root: &'a Node<'a>,
    next: u64,
}

impl fmt::Display for Normalized<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        print::print_with(self.root, f, Some(self.next))
    }
}
