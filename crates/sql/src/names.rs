//! The names of a statement as symbols of an interner, for whoever compares them often.
//!
//! The parser does not intern: names are slices of the text, and a symbol is worth its cost only where a name is looked
//! up many times (decision 0007 has the figures). This pass gives symbols to the identifiers of a tree, never to
//! literals, whose number has no bound.
//!
//! ```
//! use cofferdam_arena::{Arena, Budget, Names, Overlay};
//! use cofferdam_sql::{interner, parse};
//!
//! let process = Budget::root("process", 1 << 20).unwrap();
//! let shared = interner(&process.child("interner", 64 << 10)?)?;
//! let arena = Arena::new(&process);
//! let tree = parse("SELECT name, 'text' FROM t AS name", &arena).unwrap();
//! let pin = shared.pin();
//! let mut overlay = Overlay::new(&arena, Names::Pinned(&pin));
//! let mut symbols = Vec::new();
//! tree.intern(&mut overlay, |_, symbol| symbols.push(symbol))?;
//! assert_eq!(symbols.len(), 3); // name, t, name
//! assert_eq!(symbols[0], symbols[2]);
//! # Ok::<(), cofferdam_arena::AllocError>(())
//! ```

use cofferdam_arena::{AllocError, Budget, Identifier, Interner, Overlay, Symbol};

use crate::node::{Node, NodeKind, Visit, flag};
use crate::{Keyword, Tree};

/// An interner that has the keywords: the symbol of [`Keyword`] number `n` is `n`.
///
/// # Errors
/// [`AllocError`] when `budget` has no room; 36 KiB are needed for the 494 words.
pub fn interner(budget: &Budget) -> Result<Interner, AllocError> {
    Interner::new(budget, Keyword::words())
}

impl<'a> Tree<'a> {
    /// Calls `note` with each node that names something and the symbol of its name; where a name has a qualifier, first
    /// with that of the qualifier. Names count as sighted in the interner under `names`.
    ///
    /// # Errors
    /// [`AllocError`] when the arena of `names` has no room for the statement's own names.
    pub fn intern(
        self,
        names: &mut Overlay<'_>,
        mut note: impl FnMut(&'a Node<'a>, Symbol),
    ) -> Result<(), AllocError> {
        for visit in self.walk() {
            let Visit::Enter(node) = visit else { continue };
            if !is_named(node) {
                continue;
            }
            let parts = node.qualifier().into_iter().chain(Some(node.name()).filter(|name| !name.is_empty()));
            for part in parts {
                note(node, names.intern(Identifier::new(part))?);
            }
        }
        Ok(())
    }
}

/// Whether the name of a node is an identifier: no literal, no words of the grammar.
fn is_named(node: &Node<'_>) -> bool {
    use NodeKind::{
        Alias, Aliased, Call, Collate, Column, ColumnDef, Cte, Name, ObjectName, Star, Table, Type,
    };
    match node.kind() {
        Alias | Aliased | Collate | Column | ColumnDef | Cte | Name | ObjectName | Star | Table => true,
        Call | Type => !node.has(flag::KEYWORD),
        _ => false,
    }
}
