//! The rows of an `INSERT … VALUES` one at a time, for statements whose tree would be many times as large as their text.
//!
//! ```
//! use cofferdam_arena::{Arena, Budget};
//! use cofferdam_sql::InsertRows;
//!
//! let process = Budget::root("process", 1 << 20).unwrap();
//! let (head, mut row_arena) = (Arena::new(&process), Arena::new(&process));
//! let text = "INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y')";
//! let mut rows = InsertRows::open(text, &head)?.expect("an INSERT with VALUES");
//! assert_eq!(rows.head().to_string(), "INSERT INTO t (a, b) VALUES");
//! let mut count = 0;
//! while let Some(row) = rows.next_row(&row_arena)? {
//!     assert_eq!(row.elements().count(), 2);
//!     count += 1;
//!     row_arena.reset();
//! }
//! assert_eq!(count, 2);
//! # Ok::<(), cofferdam_sql::Error>(())
//! ```

use cofferdam_arena::Arena;

use crate::lexer::Lexer;
use crate::parser::{RowsHead, parse_row, parse_rows_head};
use crate::token::Token;
use crate::views::Row;
use crate::{Error, Tree};

/// An `INSERT … VALUES` whose rows are still to be read: [`InsertRows::open`].
#[derive(Clone, Debug)]
pub struct InsertRows<'a> {
    head: Tree<'a>,
    lexer: Lexer<'a>,
    /// The token that the next row begins with; `None` behind the last row.
    next: Option<Token>,
}

impl<'a> InsertRows<'a> {
    /// Reads an `INSERT` up to its `VALUES`; that much of its tree is in `arena`. `None` when the statement is another
    /// one, or an `INSERT` from another query or with a `WITH`: such a statement is for [`parse`](crate::parse()).
    ///
    /// # Errors
    /// As [`parse`](crate::parse()), for what was read.
    pub fn open(text: &'a str, arena: &'a Arena) -> Result<Option<InsertRows<'a>>, Error> {
        let head = parse_rows_head(text, arena)?;
        Ok(head.map(|RowsHead { tree, lexer, token }| InsertRows { head: tree, lexer, next: Some(token) }))
    }

    /// The statement without its rows.
    pub fn head(&self) -> Tree<'a> {
        self.head
    }

    /// Reads the next row into `arena`, which may be reset when the row is no longer needed; `None` behind the last one.
    ///
    /// # Errors
    /// As [`parse`](crate::parse()); after one there are no more rows. [`Error::Unsupported`] when the statement goes on
    /// after its rows, with `ON CONFLICT` or `RETURNING`.
    pub fn next_row<'r>(&mut self, arena: &'r Arena) -> Result<Option<Row<'r>>, Error>
    where
        'a: 'r,
    {
        let Some(token) = self.next.take() else { return Ok(None) };
        let (row, next) = parse_row(token, self.lexer.clone(), arena)?;
        if let Some(next) = next {
            self.lexer.seek(next.end);
            self.next = Some(next);
        }
        Ok(Some(row))
    }
}
