//! What is looked for first in the statements that make functions.

use super::forms::{CreateFunction, CreateProcedure, FunctionBlock, FunctionOption};
use crate::{Node, NodeKind};

macro_rules! options {
    ($($view:ident)*) => {$(
        impl<'a> $view<'a> {
            /// The language that it is written in, if it says so: `plpgsql`.
            pub fn language(self) -> Option<&'a str> {
                self.options().find_map(FunctionOption::language)
            }

            /// The text of its body after `AS`, without its quotes; a body of SQL is in `value` or `block`.
            pub fn body(self) -> Option<&'a str> {
                self.options().find_map(FunctionOption::body)
            }

            /// The memory that a call may take, as it is written: `1MB`.
            pub fn memory(self) -> Option<&'a str> {
                self.options().find_map(FunctionOption::memory)
            }
        }
    )*};
}

options! { CreateFunction CreateProcedure }

impl<'a> FunctionBlock<'a> {
    /// Its statements in order: queries, forms, and `RETURN` as [`FunctionReturn`](super::forms::FunctionReturn).
    pub fn statements(self) -> impl Iterator<Item = &'a Node<'a>> {
        self.form().node().children().filter(|child| child.kind() != NodeKind::Words)
    }
}
