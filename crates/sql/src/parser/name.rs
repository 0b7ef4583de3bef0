//! Names and strings.

use super::stack::{Frame, Mode, Then};
use super::{Failed, Parsed, Parser, Step};
use crate::error::{Error, Mistake, QUALIFIER_BYTES_LIMIT};
use crate::keyword::Category;
use crate::node::{NodeKind, NodeRef};
use crate::token::{Token, TokenKind};
use crate::{Keyword, Span};

const NAME: &[&str] = &["a name"];

/// What may stand after the dots of a name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Name,
    NameOrStar,
}

impl Last {
    fn expected(self) -> &'static [&'static str] {
        match self {
            Last::Name => NAME,
            Last::NameOrStar => &["a name", "`*`"],
        }
    }
}

impl<'a> Parser<'a, '_> {
    /// Whether the token can name a column, a table or an alias (`ColId`).
    pub(super) fn is_column_name(kind: TokenKind) -> bool {
        use Category::{ColumnName, Unreserved};
        has_category(kind, |category| matches!(category, Unreserved | ColumnName))
    }

    /// Whether the token can name a function or a type (`type_function_name`).
    pub(super) fn is_type_or_function_name(kind: TokenKind) -> bool {
        use Category::{TypeOrFunction, Unreserved};
        has_category(kind, |category| matches!(category, Unreserved | TypeOrFunction))
    }

    /// Whether the token can be a label after `AS` (`ColLabel`).
    pub(super) fn is_label(kind: TokenKind) -> bool {
        has_category(kind, |_| true)
    }

    /// Whether the token can be a label without `AS` (`BareColLabel`).
    pub(super) fn is_bare_label(kind: TokenKind) -> bool {
        match kind {
            TokenKind::Keyword(keyword) => keyword.is_bare_label(),
            _ => is_plain_name(kind),
        }
    }

    /// What a name says.
    pub(super) fn name_text(&mut self, token: Token) -> Parsed<&'a str> {
        let raw = self.slice(token);
        let result = match token.kind {
            TokenKind::Name { has_capitals: false } => return Ok(raw),
            TokenKind::Name { has_capitals: true } => self.texts.fold(raw),
            TokenKind::Keyword(keyword) => return self.keyword_text(keyword, token),
            kind => self.texts.unquote(kind, raw),
        };
        result.map_err(|error| self.text_failed(error, token.span()))
    }

    /// What a keyword says as a name, unless it is none before the word that stands after it.
    fn keyword_text(&mut self, keyword: Keyword, token: Token) -> Parsed<&'a str> {
        let partners = partners(keyword);
        if !partners.is_empty() {
            let is_taken = self.token.start >= token.end;
            let next = if is_taken { self.token.kind } else { self.peek() };
            if partners.iter().any(|partner| next == TokenKind::Keyword(*partner)) {
                return Err(self.mistake(Mistake::Unexpected, token.span(), None));
            }
        }
        let raw = self.slice(token);
        Ok(if raw == keyword.word() { raw } else { keyword.word() })
    }

    /// Whether the current token and the next are one word to PostgreSQL, which is no name.
    pub(super) fn is_half_a_word(&mut self) -> bool {
        let partners = self.token.keyword().map_or(&[][..], partners);
        !partners.is_empty() && partners.iter().any(|partner| self.peeks(*partner))
    }

    /// What a string says.
    pub(super) fn string_text(&mut self, token: Token) -> Parsed<&'a str> {
        let raw = self.slice(token);
        self.texts.unquote(token.kind, raw).map_err(|error| self.text_failed(error, token.span()))
    }

    /// Reads a name of one part.
    pub(super) fn column_name(&mut self) -> Parsed<(&'a str, Span)> {
        if !Self::is_column_name(self.token.kind) {
            return Err(self.unexpected(NAME));
        }
        let token = self.take();
        Ok((self.name_text(token)?, token.span()))
    }

    /// Reads a name with dots into `node`: its last two parts go into the node, those before become its children. The
    /// first part is the current token and is known to fit. True when the name ended with `.*`.
    pub(super) fn dotted_name(&mut self, node: NodeRef<'a>, end: Last) -> Parsed<bool> {
        let mut last = self.take();
        if last.kind == (TokenKind::Name { has_capitals: false }) && self.token.kind != TokenKind::Dot {
            node.set_text(self.slice(last));
            node.set_end(last.end);
            return Ok(false);
        }
        let mut outer: Option<(Token, &'a str)> = None;
        let mut name = self.name_text(last)?;
        while self.token.kind == TokenKind::Dot {
            self.take();
            let is_star = end == Last::NameOrStar && self.token.kind == TokenKind::Star;
            if !is_star && !Self::is_label(self.token.kind) {
                return Err(self.unexpected(end.expected()));
            }
            if let Some((token, name)) = outer.replace((last, name)) {
                self.push_outer_name(node, token, name)?;
            }
            last = self.take();
            if is_star {
                self.set_star(node, outer)?;
                node.set_end(self.end);
                return Ok(true);
            }
            name = self.name_text(last)?;
        }
        match outer {
            None => node.set_text(name),
            Some((token, qualifier)) => self.set_qualified(node, (token, qualifier), (last, name))?,
        }
        node.set_end(self.end);
        Ok(false)
    }

    /// Hangs a part of a long name under the node of the name.
    pub(super) fn push_outer_name(&mut self, node: NodeRef<'a>, token: Token, name: &'a str) -> Parsed<()> {
        let part = self.node(NodeKind::Name, token.span())?;
        part.set_text(name);
        node.push(part);
        Ok(())
    }

    /// Sees that the name that ends here has no `*` and no subscript, where PostgreSQL reads a name as it reads a column
    /// (`ColId indirection`): it complains at the next token after all that belongs to the column.
    pub(super) fn check_plain_name(&mut self, node: NodeRef<'a>, has_star: bool) -> Parsed<()> {
        if !has_star && self.token.kind != TokenKind::LeftBracket {
            return Ok(());
        }
        node.set_kind(NodeKind::Column);
        self.no_name = Some(node);
        Err(Failed)
    }

    /// What belongs to a column that stands where a name should stand.
    #[cold]
    pub(super) fn rest_of_no_name(&mut self, node: NodeRef<'a>) -> Parsed<Step<'a>> {
        self.push_frame(Frame { mode: Mode::Primary, ..Frame::new(Then::NoName) })?;
        self.indirection(node)
    }

    fn set_star(&mut self, node: NodeRef<'a>, qualifier: Option<(Token, &'a str)>) -> Parsed<()> {
        if let Some((token, text)) = qualifier {
            let bytes = self.qualifier_bytes(token, text)?;
            node.set_qualified(text, bytes, bytes);
        }
        Ok(())
    }

    /// Puts two names into a node: as one slice of the statement's text when both are slices of it and near enough,
    /// otherwise joined in the arena.
    pub(super) fn set_qualified(
        &mut self,
        node: NodeRef<'a>,
        (outer_token, outer): (Token, &'a str),
        (token, name): (Token, &'a str),
    ) -> Parsed<()> {
        let qualifier_bytes = self.qualifier_bytes(outer_token, outer)?;
        if let (Some(from), Some(to)) = (self.place(outer_token, outer), self.place(token, name))
            && let Ok(name_offset) = u16::try_from(to.start - from.start)
        {
            let text = self.lexer.slice(from.to(to));
            node.set_qualified(text, qualifier_bytes, name_offset);
            return Ok(());
        }
        let joined = self.texts.join(&[outer, name]);
        let joined = joined.map_err(|error| self.text_failed(error, token.span()))?;
        node.set_qualified(joined, qualifier_bytes, qualifier_bytes);
        Ok(())
    }

    fn qualifier_bytes(&mut self, token: Token, text: &str) -> Parsed<u16> {
        debug_assert!(u32::from(u16::MAX) == QUALIFIER_BYTES_LIMIT);
        u16::try_from(text.len())
            .map_err(|_| -> Failed { self.fail(Error::NameTooLong { span: token.span() }) })
    }

    /// Where `name` stands in the text; `None` when it had to be folded or unescaped.
    fn place(&self, token: Token, name: &str) -> Option<Span> {
        let quotes = u32::from(matches!(token.kind, TokenKind::QuotedName { .. }));
        let span = Span::new(token.start + quotes, token.end - quotes);
        (self.lexer.slice(span) == name && token.kind != TokenKind::UnicodeName).then_some(span)
    }
}

/// The words that PostgreSQL takes for one with a word before them, as in `NULLS FIRST`; that is no name anywhere.
fn partners(keyword: Keyword) -> &'static [Keyword] {
    use Keyword as K;
    match keyword {
        K::Not => &[K::Between, K::In, K::Like, K::Ilike, K::Similar],
        K::Nulls => &[K::First, K::Last],
        K::With => &[K::Time, K::Ordinality],
        K::Without => &[K::Time],
        K::Format => &[K::Json],
        _ => &[],
    }
}

/// Whether the token is a name that is no keyword.
pub(super) fn is_plain_name(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::Name { .. } | TokenKind::QuotedName { .. } | TokenKind::UnicodeName)
}

/// Whether the token is a string that says text.
pub(super) fn is_string(kind: TokenKind) -> bool {
    use TokenKind::{DollarString, EscapeString, String, UnicodeString};
    matches!(kind, String { .. } | EscapeString | UnicodeString | DollarString)
}

fn has_category(kind: TokenKind, fits: impl Fn(Category) -> bool) -> bool {
    match kind {
        TokenKind::Keyword(keyword) => fits(Keyword::category(keyword)),
        _ => is_plain_name(kind),
    }
}
