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

/// Writes the words in capitals, one blank between them; true when what follows joins without a blank.
pub(crate) fn print(f: &mut Formatter<'_>, words: &str) -> Result<bool, fmt::Error> {
    let mut is_tight = true;
    for (token, text) in tokens(words) {
        if !is_tight && !is_joined(token.kind) {
            f.write_char(' ')?;
        }
        text.chars().try_for_each(|letter| f.write_char(letter.to_ascii_uppercase()))?;
        is_tight = matches!(token.kind, TokenKind::LeftParen | TokenKind::Dot | TokenKind::LeftBracket);
    }
    Ok(is_tight)
}

/// Whether no blank stands before the words.
pub(crate) fn joins(words: &str) -> bool {
    tokens(words).next().is_some_and(|(token, _)| is_joined(token.kind))
}

fn is_joined(kind: TokenKind) -> bool {
    use TokenKind::{Comma, Dot, RightBracket, RightParen, Semicolon};
    matches!(kind, RightParen | Comma | Dot | RightBracket | Semicolon)
}
