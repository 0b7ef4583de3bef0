//! Statements, and the small ones whole: `EXPLAIN`, `SET`, `SHOW`, `RESET`.

use super::name::is_string;
use super::stack::{Frame, Then};
use super::{Parsed, Parser, Step};
use crate::Keyword;
use crate::error::Hint;
use crate::node::{NodeKind, NodeRef, flag};
use crate::token::TokenKind;
use Keyword as K;

const STATEMENT: &[&str] = &["a statement"];

impl<'a> Parser<'a, '_> {
    pub(super) fn statement(&mut self) -> Parsed<Step<'a>> {
        match self.token.kind {
            TokenKind::Keyword(K::Select | K::Values | K::With | K::Table) | TokenKind::LeftParen => {
                Ok(Step::Query)
            }
            TokenKind::Keyword(K::Explain) => self.explain_statement(),
            TokenKind::Keyword(K::Set) => self.set_statement(),
            TokenKind::Keyword(K::Show) => self.show_statement(NodeKind::Show),
            TokenKind::Keyword(K::Reset) => self.show_statement(NodeKind::Reset),
            TokenKind::Keyword(_) => self.declared_statement(),
            _ => Err(self.unexpected(STATEMENT)),
        }
    }

    // ---- EXPLAIN

    fn explain_statement(&mut self) -> Parsed<Step<'a>> {
        let node = self.node_here(NodeKind::Explain)?;
        if self.token.kind == TokenKind::LeftParen && self.is_option_list() {
            self.explain_options(node)?;
        } else {
            for keyword in [K::Analyze, K::Verbose] {
                let is_there = self.is(keyword) || (keyword == K::Analyze && self.is(K::Analyse));
                if is_there {
                    let option = self.node_here(NodeKind::ExplainOption)?;
                    option.set_text(keyword.word());
                    node.push(option);
                }
            }
        }
        match self.token.keyword() {
            Some(K::Explain) => Err(self.unexpected(&["SELECT", "VALUES", "WITH"])),
            Some(K::Set | K::Show | K::Reset) => Err(self.unexpected(&["SELECT", "VALUES", "WITH"])),
            _ => {
                self.push_frame(Frame::of(Then::Explain, node))?;
                self.statement()
            }
        }
    }

    /// Whether the `(` after `EXPLAIN` opens options and not a query.
    fn is_option_list(&mut self) -> bool {
        !matches!(
            self.peek(),
            TokenKind::LeftParen | TokenKind::Keyword(K::Select | K::Values | K::With | K::Table)
        )
    }

    fn explain_options(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        self.take();
        loop {
            let is_name = Self::is_column_name(self.token.kind)
                || Self::is_type_or_function_name(self.token.kind)
                || matches!(self.token.keyword(), Some(K::Analyze | K::Analyse));
            if !is_name {
                return Err(self.unexpected(&["an option of EXPLAIN"]));
            }
            let token = self.take();
            let option = self.node(NodeKind::ExplainOption, token.span())?;
            let name = match token.keyword() {
                Some(K::Analyse) => K::Analyze.word(),
                _ => self.name_text(token)?,
            };
            option.set_text(name);
            if !matches!(self.token.kind, TokenKind::Comma | TokenKind::RightParen) {
                let value = self.setting_value()?;
                option.push(value);
            }
            node.push(option);
            if !self.take_if(TokenKind::Comma) {
                break;
            }
        }
        self.expect(TokenKind::RightParen, &["`)`", "`,`"])?;
        Ok(())
    }

    pub(super) fn after_explained(&mut self, frame: Frame<'a>, query: NodeRef<'a>) -> Parsed<Step<'a>> {
        frame.node().push(query);
        Ok(Step::Done(frame.node()))
    }

    // ---- settings

    fn set_statement(&mut self) -> Parsed<Step<'a>> {
        let node = self.node_here(NodeKind::Set)?;
        match self.token.keyword() {
            // `SET LOCAL = 1` sets a setting of that name.
            Some(K::Local | K::Session)
                if matches!(self.peek(), TokenKind::Equal | TokenKind::Dot | TokenKind::Keyword(K::To)) => {}
            Some(K::Local) => {
                self.take();
                node.set(flag::LOCAL);
            }
            Some(K::Session)
                if !matches!(self.peek(), TokenKind::Keyword(K::Authorization | K::Characteristics)) =>
            {
                self.take();
            }
            _ => {}
        }
        self.refuse_special_setting()?;
        self.setting_name(node)?;
        if !self.take_if(TokenKind::Equal) && !self.take_word(K::To) {
            if self.is(K::From) && self.peeks(K::Current) {
                return Err(self.unsupported_here("SET … FROM CURRENT"));
            }
            return Err(self.unexpected(&["`=`", "TO"]));
        }
        if !self.take_word(K::Default) {
            loop {
                let value = self.setting_value()?;
                node.push(value);
                if !self.take_if(TokenKind::Comma) {
                    break;
                }
            }
        }
        node.set_end(self.end);
        Ok(Step::Done(node))
    }

    /// What `SET`, `SHOW` and `RESET` have words of their own for.
    fn refuse_special_setting(&mut self) -> Parsed<()> {
        let is_special = match self.token.keyword() {
            Some(K::Time) => self.peeks(K::Zone),
            Some(K::Transaction) => !matches!(self.peek(), TokenKind::Equal | TokenKind::Keyword(K::To)),
            Some(K::Session) => {
                matches!(self.peek(), TokenKind::Keyword(K::Authorization | K::Characteristics))
            }
            Some(K::Constraints | K::Role | K::Names | K::Schema | K::Catalog) => {
                !matches!(self.peek(), TokenKind::Equal | TokenKind::Dot | TokenKind::Keyword(K::To))
            }
            Some(K::Xml) => self.peeks(K::Option),
            _ => false,
        };
        if is_special { Err(self.unsupported_here("this form of setting")) } else { Ok(()) }
    }

    /// `a` or `a.b`, as one name.
    fn setting_name(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        let (mut name, mut span) = self.column_name()?;
        while self.take_if(TokenKind::Dot) {
            let (part, part_span) = self.column_name()?;
            span = span.to(part_span);
            let raw = self.lexer.slice(span);
            let is_contiguous =
                raw.len() == name.len() + 1 + part.len() && raw.starts_with(name) && raw.ends_with(part);
            name = if is_contiguous {
                raw
            } else {
                let joined = self.texts.join(&[name, ".", part]);
                joined.map_err(|error| self.text_failed(error, span))?
            };
        }
        node.set_text(name);
        node.set_end(self.end);
        Ok(())
    }

    /// A value of a setting: a word, a string, or a number with its sign.
    fn setting_value(&mut self) -> Parsed<NodeRef<'a>> {
        let start = self.token.start;
        if matches!(self.token.kind, TokenKind::Plus | TokenKind::Minus)
            && matches!(self.peek(), TokenKind::Integer | TokenKind::Number)
        {
            let sign = self.take();
            let number = self.take();
            let node = self.node(NodeKind::Number, sign.span().to(number.span()))?;
            let is_joined = sign.end == number.start && sign.kind == TokenKind::Minus;
            node.set_text(match (is_joined, sign.kind) {
                (true, _) => node.span().of(self.lexer.text()),
                (false, TokenKind::Plus) => self.slice(number),
                _ => {
                    let joined = self.texts.join(&["-", self.lexer.slice(number.span())]);
                    joined.map_err(|error| self.text_failed(error, number.span()))?
                }
            });
            return Ok(node);
        }
        let kind = match self.token.kind {
            TokenKind::Integer | TokenKind::Number => NodeKind::Number,
            kind if is_string(kind) => NodeKind::String,
            TokenKind::Keyword(K::True | K::False | K::On) => NodeKind::Name,
            kind if Self::is_column_name(kind) || Self::is_type_or_function_name(kind) => NodeKind::Name,
            _ => return Err(self.unexpected(&["a value"])),
        };
        let token = self.take();
        debug_assert!(token.start == start);
        let node = self.node(kind, token.span())?;
        node.set_text(self.name_text(token)?);
        Ok(node)
    }

    fn show_statement(&mut self, kind: NodeKind) -> Parsed<Step<'a>> {
        let node = self.node_here(kind)?;
        if self.is(K::All) {
            self.take();
            node.set_text(K::All.word());
            node.set(flag::KEYWORD);
            node.set_end(self.end);
            return Ok(Step::Done(node));
        }
        self.refuse_special_setting()?;
        if self.is(K::Transaction) && self.peeks(K::Isolation) {
            return Err(self.unsupported_here("this form of setting"));
        }
        self.setting_name(node)?;
        Ok(Step::Done(node))
    }

    /// A hint for a statement that begins with a word that is none.
    pub(super) fn misspelled_statement(&self, word: &str) -> Option<Hint> {
        const WORDS: &[Keyword] = &[K::Select, K::Values, K::With, K::Explain, K::Show, K::Set, K::Reset];
        super::recovery::nearest(word, WORDS).map(Hint::Misspelled)
    }
}
