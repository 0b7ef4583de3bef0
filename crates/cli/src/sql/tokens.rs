//! `tokens`: the words and signs of a script with their offsets, a line each.

use std::fmt::Debug;
use std::io::{self, Write};

use cofferdam_sql::{Category, Lexer, TokenKind};

use super::script::{Reading, each_statement};
use crate::format::escaped::Escaped;
use crate::interrupt;

/// The longest text of a token that is shown, in bytes.
const TEXT_BYTES_MAX: usize = 80;

/// Shows the tokens. Gives the exit code: 1 where a token is wrong.
///
/// # Errors
/// What the system says of the input or the output.
pub(super) fn show(reading: &mut Reading<'_>) -> io::Result<u8> {
    writeln!(reading.out(), "{:>10} {:>10}  {:<24}  text", "start", "end", "kind")?;
    reading.pieces(|reading, piece, is_last| {
        each_statement(piece, is_last, |bytes| {
            match str::from_utf8(bytes) {
                Ok(text) => {
                    show_text(reading, text)?;
                    reading.pass(text);
                }
                Err(error) => reading.not_utf8(bytes, error.valid_up_to()),
            }
            Ok(())
        })
    })
}

/// Shows the tokens of the text that is looked at.
fn show_text(reading: &mut Reading<'_>, text: &str) -> io::Result<()> {
    let mut lexer = match Lexer::new(text) {
        Ok(lexer) => lexer,
        Err(error) => {
            reading.wrong(&error, text, 0);
            return Ok(());
        }
    };
    loop {
        interrupt::check()?;
        let token = lexer.next_token();
        if token.kind == TokenKind::End {
            return Ok(());
        }
        if matches!(token.kind, TokenKind::Bad(_) | TokenKind::Stray) {
            reading.wrong_count += 1;
        }
        let offset = reading.offset();
        let (start, end) = (offset + u64::from(token.start), offset + u64::from(token.end));
        let whole = lexer.slice(token.span());
        let shown = &whole[..whole.floor_char_boundary(TEXT_BYTES_MAX)];
        let more = if shown.len() < whole.len() { "…" } else { "" };
        write!(reading.out(), "{start:>10} {end:>10}  ")?;
        match token.kind {
            TokenKind::Bad(mistake) => write!(reading.out(), "wrong: {:<17}", words(mistake)),
            kind => write!(reading.out(), "{:<24}", name(kind)),
        }?;
        writeln!(reading.out(), "  {}{more}", Escaped(shown))?;
    }
}

/// What people call a token.
fn name(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::Keyword(keyword) => match keyword.category() {
            Category::Reserved => "keyword, reserved",
            Category::Unreserved => "keyword",
            Category::ColumnName => "keyword, no function",
            Category::TypeOrFunction => "keyword, no column",
        },
        TokenKind::Name { .. } => "name",
        TokenKind::QuotedName { .. } => "quoted name",
        TokenKind::UnicodeName => "quoted name, U&",
        TokenKind::Integer => "integer",
        TokenKind::Number => "number",
        TokenKind::Parameter => "parameter",
        TokenKind::String { .. } => "string",
        TokenKind::EscapeString => "string, E",
        TokenKind::UnicodeString => "string, U&",
        TokenKind::DollarString => "string, dollar-quoted",
        TokenKind::BitString => "bit string, B",
        TokenKind::HexString => "bit string, X",
        TokenKind::Stray => "stray character",
        kind if kind.is_operator() => "operator",
        _ => "sign",
    }
}

/// The name of a variant as words: `EmptyName` is `empty name`.
fn words(variant: impl Debug) -> String {
    let mut words = String::new();
    for letter in format!("{variant:?}").chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}
