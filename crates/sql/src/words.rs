//! The words of a form: keywords and signs between its parts, kept as a piece of the statement's text.

use std::fmt::{self, Formatter, Write};

use crate::lexer::Lexer;
use crate::token::{Token, TokenKind};

/// The tokens of `words`, without comments and blanks.
pub(crate) fn tokens(words: &str) -> impl Iterator<Item = (Token, &str)> {
    let mut lexer = Lexer::new(words).ok();
    std::iter::from_fn(move || {
        let lexer = lexer.as_mut()?;
        let token = lexer.next_token();
        (token.kind != TokenKind::End).then(|| (token, lexer.slice(token.span())))
    })
}

/// Whether both say the same in whatever letters.
pub(crate) fn same(left: &str, right: &str) -> bool {
    let (mut left, mut right) = (tokens(left), tokens(right));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return true,
            (Some((_, left)), Some((_, right))) if left.eq_ignore_ascii_case(right) => {}
            _ => return false,
        }
    }
}

/// Writes the words in capitals, one blank between them.
pub(crate) fn print(f: &mut Formatter<'_>, words: &str) -> fmt::Result {
    let mut is_tight = true;
    for (token, text) in tokens(words) {
        let joins = matches!(
            token.kind,
            TokenKind::RightParen | TokenKind::Comma | TokenKind::Dot | TokenKind::RightBracket
        );
        if !is_tight && !joins {
            f.write_char(' ')?;
        }
        text.chars().try_for_each(|letter| f.write_char(letter.to_ascii_uppercase()))?;
        is_tight = matches!(token.kind, TokenKind::LeftParen | TokenKind::Dot | TokenKind::LeftBracket);
    }
    Ok(())
}
