//! Words and signs.

use crate::error::Mistake;
use crate::{Keyword, Span};

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenKind {
    /// The end of the text.
    End,
    /// A keyword, reserved or not.
    Keyword(Keyword),
    /// A name without quotes that is no keyword.
    Name {
        /// Whether it has capital letters, so that it must be folded.
        has_capitals: bool,
    },
    /// `"name"`.
    QuotedName {
        /// Whether it has doubled quotes.
        has_escapes: bool,
    },
    /// `U&"name"`, with `UESCAPE` if there is one.
    UnicodeName,
    /// Digits, perhaps with a radix.
    Integer,
    /// Digits with a point or an exponent.
    Number,
    /// `$1` or `$name`.
    Parameter,
    /// `'text'`.
    String {
        /// Whether it has doubled quotes or goes on after a line break.
        has_escapes: bool,
    },
    /// `E'text'`.
    EscapeString,
    /// `U&'text'`, with `UESCAPE` if there is one.
    UnicodeString,
    /// `$tag$text$tag$`.
    DollarString,
    /// `B'0101'`.
    BitString,
    /// `X'1fe'`.
    HexString,
    /// `(`.
    LeftParen,
    /// `)`.
    RightParen,
    /// `[`.
    LeftBracket,
    /// `]`.
    RightBracket,
    /// `,`.
    Comma,
    /// `;`.
    Semicolon,
    /// `.`.
    Dot,
    /// `..`.
    DotDot,
    /// `:`.
    Colon,
    /// `::`.
    ColonColon,
    /// `:=`.
    ColonEqual,
    /// `=>`.
    Arrow,
    /// `+`.
    Plus,
    /// `-`.
    Minus,
    /// `*`.
    Star,
    /// `/`.
    Slash,
    /// `%`.
    Percent,
    /// `^`.
    Caret,
    /// `<`.
    Less,
    /// `>`.
    Greater,
    /// `=`.
    Equal,
    /// `<=`.
    LessOrEqual,
    /// `>=`.
    GreaterOrEqual,
    /// `<>` or `!=`.
    NotEqual,
    /// Any other operator.
    Operator,
    /// A character that starts nothing.
    Stray,
    /// A word or sign that is not well formed.
    Bad(Mistake),
}

impl TokenKind {
    /// Whether it is an operator, as PostgreSQL's `all_Op` has them.
    pub const fn is_operator(self) -> bool {
        matches!(
            self,
            TokenKind::Operator
                | TokenKind::Plus
                | TokenKind::Minus
                | TokenKind::Star
                | TokenKind::Slash
                | TokenKind::Percent
                | TokenKind::Caret
                | TokenKind::Less
                | TokenKind::Greater
                | TokenKind::Equal
                | TokenKind::LessOrEqual
                | TokenKind::GreaterOrEqual
                | TokenKind::NotEqual
        )
    }
}

/// A word or sign and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// The offset of its first byte.
    pub start: u32,
    /// The offset just after its last byte.
    pub end: u32,
}

impl Token {
    /// Where it stands.
    pub fn span(self) -> Span {
        Span::new(self.start, self.end)
    }

    /// The keyword that it is.
    pub fn keyword(self) -> Option<Keyword> {
        match self.kind {
            TokenKind::Keyword(keyword) => Some(keyword),
            _ => None,
        }
    }
}

const _: () = assert!(size_of::<Token>() == 12, "tokens are passed in registers");
