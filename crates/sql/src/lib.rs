//! PostgreSQL's SQL: text to tokens to a tree in the caller's arena, and back to text.
//!
//! The promises: every byte that a statement's tree takes is charged to the caller's budget before it is taken; names and
//! literals are slices of the statement's own text; depth is bounded by the budget and never by the native stack; time
//! is linear in the text; what PostgreSQL's grammar rejects is rejected, with a place, and what it accepts but this parser
//! lacks is an error that says so.
//!
//! ```
//! use cofferdam_arena::{Arena, Budget};
//! use cofferdam_sql::views::{QueryBody, SelectItem, Statement};
//!
//! let process = Budget::root("process", 1 << 20).unwrap();
//! let statement = process.child("statement", 64 << 10)?;
//! let arena = Arena::new(&statement);
//!
//! let tree = cofferdam_sql::parse("select a, t.b AS x from 'f.csv' t where a between 1 and 3", &arena).unwrap();
//! let Statement::Query(query) = tree.statement() else { unreachable!() };
//! let QueryBody::Select(select) = query.body() else { unreachable!() };
//! assert_eq!(select.items().count(), 2);
//! assert!(matches!(select.items().last(), Some(SelectItem::Expr { alias: Some("x"), .. })));
//! assert_eq!(tree.to_string(), "SELECT a, t.b AS x FROM 'f.csv' AS t WHERE a BETWEEN 1 AND 3");
//! assert_eq!(statement.used(), 1024); // one chunk holds it all
//!
//! let error = cofferdam_sql::parse("select a b c from t", &arena).unwrap_err();
//! assert_eq!(error.to_string(), "syntax error at \"c\"; expected the end of the statement");
//! assert_eq!(error.hint().unwrap().to_string(), "a comma may be missing before it");
//! # Ok::<(), cofferdam_arena::AllocError>(())
//! ```
//!
//! | file | what is in it |
//! |---|---|
//! | `lexer`, `token`, `keyword` | text to tokens, one at a time, by PostgreSQL's lexical rules and keyword table |
//! | `window` | sixteen bytes of a text at once; the only file with `unsafe`, for the instructions of x86-64 |
//! | `text` | what names and strings say: folding and unescaping into the arena, packed between the nodes |
//! | `parser` | queries and expressions: functions, an explicit stack of what is open, operators by precedence |
//! | `grammar/`, `build/` | all other statements and clauses: rules, compiled to a table that `parser/forms.rs` runs |
//! | `node`, `tree` | the uniform tree: 64 bytes a node, walks without a stack |
//! | [`views`] | typed views over the nodes, which is what consumers read |
//! | `print`, `words`, `outline` | a tree as canonical SQL, and as indented text for people |
//! | `format` | a tree laid out in lines, its comments kept |
//! | `fingerprint`, `normalize` | what statements have in common: a hash, a text with parameters for literals |
//! | `names` | a tree's names as symbols of an interner that knows the keywords |
//! | `rewrite` | changes to a tree |
//! | `split` | where statements end in a script, also while it streams in |
//! | `script` | the statements of a text, one after the other, the wrong ones included |
//! | `rows` | the rows of an `INSERT` one at a time |
//! | `error` | what went wrong, where, what was expected, and a hint |
//!
//! Who owns memory: the caller's arena owns the nodes and the few rewritten texts; the text itself is borrowed. The
//! parser's stack has 24 levels inside of it, 64 in that arena, and an arena of its own on the same budget for deeper
//! nesting. Nothing here takes memory from anywhere else (`docs/BUDGETS.md`); `docs/ARCHITECTURE.md` tells how the parts
//! work together.
#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::disallowed_types))]

mod error;
mod fingerprint;
mod format;
mod keyword;
mod lexer;
mod names;
mod node;
mod normalize;
mod outline;
mod parser;
mod print;
mod rewrite;
mod rows;
mod script;
mod split;
mod text;
mod token;
mod tree;
pub mod views;
mod window;
mod words;

pub use error::{
    Error, Excerpt, Hint, Mistake, QUALIFIER_BYTES_LIMIT, SyntaxError, TEXT_BYTES_LIMIT, Unsupported,
};
pub use fingerprint::Fingerprint;
pub use format::{FormatError, KeywordCase, Layout, format};
pub use keyword::{Category, Keyword};
pub use lexer::Lexer;
pub use names::interner;
pub use node::{Children, Node, NodeKind, Span, Visit, Walk, same_tree};
pub use normalize::normalize;
pub use outline::{Label, Outline};
pub use parser::{Form, PARSER_BYTES, parse, parse_cancellable, parse_expression};
pub use rewrite::RewriteError;
pub use rows::InsertRows;
pub use script::Script;
pub use split::{Open, Splitter, Statements, statements};
pub use token::{Token, TokenKind};
pub use tree::Tree;
