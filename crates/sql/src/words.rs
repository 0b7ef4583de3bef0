//! The words of a form: keywords and signs between its parts, kept as a piece of the statement's text.

use std::fmt::{self, Formatter, Write};

use crate::Node;
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

/// How many of the first words of a run can be marked as noise: the other bits of its flags are taken.
const MARKS_COUNT: usize = 15;

/// Marks the last of the words in `run` as noise, which counts for nothing.
pub(crate) fn mark_last(run: &Node<'_>) {
    let index = tokens(run.name()).count().saturating_sub(1);
    if index < MARKS_COUNT {
        run.set(1 << index);
    }
}

/// The words in `run` that are not noise.
pub(crate) fn meant<'a>(run: &Node<'a>) -> impl Iterator<Item = (Token, &'a str)> {
    let marks = run.flags();
    let is_noise = move |index: usize| index < MARKS_COUNT && marks & (1 << index) != 0;
    tokens(run.name()).enumerate().filter(move |(index, _)| !is_noise(*index)).map(|(_, word)| word)
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
