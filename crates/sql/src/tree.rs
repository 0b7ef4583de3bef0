//! A statement's tree and the text that it points into.

use crate::views::Statement;
use crate::{Node, Walk, same_tree};

/// The tree of one statement: a root node and the text. Both live as long as the text and the arena that the parser was
/// given; the value itself is three words and may be copied.
#[derive(Clone, Copy, Debug)]
pub struct Tree<'a> {
    text: &'a str,
    root: &'a Node<'a>,
}

impl<'a> Tree<'a> {
    pub(crate) fn new(text: &'a str, root: &'a Node<'a>) -> Tree<'a> {
        Tree { text, root }
    }

    /// The text that spans refer to.
    pub fn text(self) -> &'a str {
        self.text
    }

    /// The node of the statement.
    pub fn root(self) -> &'a Node<'a> {
        self.root
    }

    /// The statement.
    pub fn statement(self) -> Statement<'a> {
        Statement::of(self.root).expect("the parser gives a statement as the root")
    }

    /// A walk through all nodes in the order of the text; needs no memory.
    pub fn walk(self) -> Walk<'a> {
        Walk::new(self.root)
    }

    /// Whether both say the same; see [`same_tree`].
    pub fn same(self, other: Tree<'_>) -> bool {
        same_tree(self.root, other.root)
    }
}
