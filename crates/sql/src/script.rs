//! The statements of a text, one after the other; what is wrong with one does not hide those after it.
//!
//! The parser itself finds where a statement ends, so a `;` inside of one (in the body of a function, say) does not end
//! it. Where a statement is wrong, the next one is looked for behind the next `;`.
//!
//! ```
//! use cofferdam_arena::{Arena, Budget};
//! use cofferdam_sql::Script;
//!
//! let mut arena = Arena::new(&Budget::root("script", 1 << 20).unwrap());
//! let mut script = Script::new("select 1; select 2 +; ; select 3")?;
//! let mut outcomes = Vec::new();
//! while let Some(outcome) = script.next_statement(&arena) {
//!     outcomes.push(outcome.map(|tree| tree.to_string()).map_err(|error| error.span().unwrap().start));
//!     arena.reset();
//! }
//! assert_eq!(outcomes, [Ok("SELECT 1".to_owned()), Err(20), Ok("SELECT 3".to_owned())]);
//! # Ok::<(), cofferdam_sql::Error>(())
//! ```

use std::sync::atomic::AtomicBool;

use cofferdam_arena::Arena;

use crate::parser::parse_next;
use crate::{Error, Lexer, TokenKind, Tree};

/// The statements of a text that are still to be parsed.
#[derive(Clone, Debug)]
pub struct Script<'a> {
    lexer: Lexer<'a>,
    cancel: Option<&'a AtomicBool>,
}

impl<'a> Script<'a> {
    /// A script at its start.
    ///
    /// # Errors
    /// As [`Lexer::new`].
    pub fn new(text: &'a str) -> Result<Script<'a>, Error> {
        Lexer::new(text).map(|lexer| Script { lexer, cancel: None })
    }

    /// The same script, whose statements are given up soon after another thread has set `cancel`: they are
    /// [`Error::Cancelled`] then.
    pub fn cancellable(self, cancel: &'a AtomicBool) -> Script<'a> {
        Script { cancel: Some(cancel), ..self }
    }

    /// Parses the next statement that is not empty; `None` at the end of the text. Offsets are those in the whole text.
    /// The arena holds the tree, and may be another one, or be reset, for each statement.
    ///
    /// The inner result is as that of [`parse`](crate::parse()). After a failure the next statement begins behind the
    /// next `;`.
    pub fn next_statement<'t>(&mut self, arena: &'t Arena) -> Option<Result<Tree<'t>, Error>>
    where
        'a: 't,
    {
        let mut lexer: Lexer<'t> = self.lexer.clone();
        let first = loop {
            let token = lexer.next_token();
            self.lexer.seek(lexer.offset());
            match token.kind {
                TokenKind::End => return None,
                TokenKind::Semicolon => {}
                _ => break token,
            }
        };
        let outcome = parse_next(first, &mut lexer, arena, self.cancel);
        self.lexer.seek(lexer.offset());
        Some(outcome)
    }

    /// The offset up to which the text was read: that of the first byte behind the last statement and its `;`.
    pub fn offset(&self) -> u32 {
        self.lexer.offset()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_arena::Budget;

    /// What each statement says, or where it is wrong.
    fn outcomes(text: &str) -> Vec<String> {
        let mut arena = Arena::new(&Budget::root("script", 1 << 20).unwrap());
        let mut script = Script::new(text).unwrap();
        let mut found = vec![];
        while let Some(outcome) = script.next_statement(&arena) {
            found.push(match outcome {
                Ok(tree) => tree.to_string(),
                Err(error) => format!("{} {error}", error.span().unwrap().start),
            });
            arena.reset();
        }
        assert!(script.next_statement(&arena).is_none(), "the end stays the end");
        found
    }

    #[test]
    fn a_script_is_cancelled() {
        let text = format!("select 1{}; select 2", "+1".repeat(100_000));
        let arena = Arena::new(&Budget::root("script", 64 << 20).unwrap());
        let cancel = AtomicBool::new(false);
        let mut script = Script::new(&text).unwrap().cancellable(&cancel);
        cancel.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(matches!(script.next_statement(&arena), Some(Err(Error::Cancelled))));
        assert!((script.offset() as usize) < text.len() / 2, "what follows is not looked at");
        cancel.store(false, std::sync::atomic::Ordering::Relaxed);
        let mut script = Script::new(&text).unwrap().cancellable(&cancel);
        assert!(
            script.next_statement(&arena).unwrap().is_ok() && script.next_statement(&arena).unwrap().is_ok()
        );
    }

    #[test]
    fn empty_statements_are_passed_over() {
        for text in ["", " ;; ", "-- a;b\n", ";/* ; */;"] {
            assert!(outcomes(text).is_empty(), "{text}");
        }
        assert_eq!(outcomes(";select 1;;select 2;"), ["SELECT 1", "SELECT 2"]);
    }

    #[test]
    fn each_wrong_statement_is_reported_and_the_next_one_parsed() {
        let expected = [
            "0 syntax error at \"selec\"; expected a statement",
            "SELECT 2",
            "34 syntax error at \";\"; expected an expression",
            "SELECT ';'",
        ];
        let found = outcomes("selec ';' 1; select 2; select (1 +; select ';'");
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_not_closed_ends_the_script() {
        let found = outcomes("select 1; select 'a; select 2; select 3");
        assert_eq!(found[0], "SELECT 1");
        assert!(found[1].starts_with("17 unterminated string"), "{found:?}");
        assert_eq!(found.len(), 2);
        assert!(outcomes("select 1 /* ; select 2")[0].starts_with("9 unterminated comment"));
    }

    #[test]
    fn a_statement_that_takes_too_much_does_not_stop_those_after_it() {
        let budget = Budget::root("script", 16 << 10).unwrap();
        let mut arena = Arena::new(&budget);
        let text = format!("select {}; select 2", vec!["1"; 1000].join(","));
        let mut script = Script::new(&text).unwrap();
        assert!(matches!(script.next_statement(&arena), Some(Err(Error::OutOfMemory(_)))));
        arena.reset();
        assert!(matches!(script.next_statement(&arena), Some(Ok(_))));
        assert_eq!(script.offset() as usize, text.len());
    }
}
