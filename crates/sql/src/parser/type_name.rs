//! Types: `decimal(10, 2)`, `timestamp with time zone`, `text[]`, `interval day to second`.
//!
//! Modifiers are constants here. PostgreSQL's grammar lets any expression stand there for types that it does not know
//! itself, and refuses all but constants later.

use super::name::is_string;
use super::{Parsed, Parser};
use crate::Keyword;
use crate::node::{NodeKind, NodeRef, flag};
use crate::token::TokenKind;
use crate::views::expr::INTERVAL_SHIFT;
use Keyword as K;

const TYPE: &[&str] = &["a type"];

impl<'a> Parser<'a, '_> {
    /// Reads a type (`Typename`).
    pub(super) fn type_name(&mut self) -> Parsed<NodeRef<'a>> {
        self.any_type(false)
    }

    /// Reads the type of an argument or a result (`func_type`), which may be that of a column: `t.c%TYPE`.
    pub(super) fn function_type(&mut self) -> Parsed<NodeRef<'a>> {
        self.any_type(true)
    }

    /// Reads a type that is no set and no array (`SimpleTypename`).
    pub(super) fn simple_type(&mut self) -> Parsed<NodeRef<'a>> {
        let node = self.node(NodeKind::Type, self.token.span())?;
        match self.token.keyword() {
            Some(keyword) if self.is_own_type(keyword) => self.own_type(node, keyword)?,
            _ => self.other_type(node, false)?,
        }
        node.set_end(self.end);
        Ok(node)
    }

    fn any_type(&mut self, may_be_of_column: bool) -> Parsed<NodeRef<'a>> {
        let node = self.node(NodeKind::Type, self.token.span())?;
        if self.take_word(K::Setof) {
            node.set(flag::SETOF);
        }
        match self.token.keyword() {
            Some(keyword) if self.is_own_type(keyword) => self.own_type(node, keyword)?,
            _ => self.other_type(node, may_be_of_column)?,
        }
        if !node.has(flag::COLUMN_TYPE) {
            self.array_bounds(node)?;
        }
        node.set_end(self.end);
        Ok(node)
    }

    /// Whether the grammar itself knows the type that begins with this keyword.
    fn is_own_type(&mut self, keyword: Keyword) -> bool {
        match keyword {
            K::Double => self.peeks(K::Precision),
            K::Bigint | K::Bit | K::Boolean | K::Char | K::Character | K::Dec | K::Decimal | K::Float => true,
            K::Int | K::Integer | K::Interval | K::Json | K::National | K::Nchar | K::Numeric | K::Real => {
                true
            }
            K::Smallint | K::Time | K::Timestamp | K::Varchar => true,
            _ => false,
        }
    }

    fn own_type(&mut self, node: NodeRef<'a>, keyword: Keyword) -> Parsed<()> {
        self.take();
        node.set(flag::KEYWORD);
        node.set_text(match keyword {
            K::Int => "integer",
            K::Dec => "decimal",
            K::Double => {
                self.take();
                "double precision"
            }
            _ => keyword.word(),
        });
        match keyword {
            K::Decimal | K::Dec | K::Numeric => self.modifiers(node),
            K::Float => self.precision_if_any(node),
            K::Bit => {
                if self.take_word(K::Varying) {
                    node.set_text("bit varying");
                }
                self.modifiers(node)
            }
            K::Char | K::Character | K::Nchar | K::National | K::Varchar => {
                self.character_type(node, keyword)
            }
            K::Time | K::Timestamp => self.time_type(node, keyword),
            K::Interval => {
                if self.token.kind == TokenKind::LeftParen {
                    return self.precision(node);
                }
                self.interval_qualifier(node)
            }
            _ => Ok(()),
        }
    }

    fn character_type(&mut self, node: NodeRef<'a>, keyword: Keyword) -> Parsed<()> {
        if keyword == K::National && !self.take_word(K::Char) && !self.take_word(K::Character) {
            return Err(self.unexpected(&["CHARACTER"]));
        }
        let is_varying = keyword == K::Varchar || self.take_word(K::Varying);
        let is_national = matches!(keyword, K::National | K::Nchar);
        node.set_text(match (is_national, is_varying) {
            (false, false) => "character",
            (false, true) => "character varying",
            (true, false) => "nchar",
            (true, true) => "nchar varying",
        });
        self.precision_if_any(node)
    }

    fn time_type(&mut self, node: NodeRef<'a>, keyword: Keyword) -> Parsed<()> {
        self.precision_if_any(node)?;
        let zone = match self.token.keyword() {
            Some(zone @ (K::With | K::Without)) if self.peeks(K::Time) => zone,
            _ => return Ok(()),
        };
        self.take();
        self.take();
        self.expect_word(K::Zone, &["ZONE"])?;
        match (keyword, zone) {
            (K::Time, K::With) => node.set_text("time with time zone"),
            (K::Timestamp, K::With) => node.set_text("timestamp with time zone"),
            // Without a zone is what the short name means.
            _ => {}
        }
        Ok(())
    }

    /// `YEAR TO MONTH` and the like, if present.
    pub(super) fn interval_qualifier(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        let Some(from) = self.interval_field() else { return Ok(()) };
        self.take();
        let mut to = None;
        if self.is(K::To) {
            self.take();
            to = self.interval_field();
            if to.is_none() {
                return Err(self.unexpected(&["a field of an interval"]));
            }
            self.take();
        }
        let code = match (from, to) {
            (K::Year, None) => 1,
            (K::Month, None) => 2,
            (K::Day, None) => 3,
            (K::Hour, None) => 4,
            (K::Minute, None) => 5,
            (K::Second, None) => 6,
            (K::Year, Some(K::Month)) => 7,
            (K::Day, Some(K::Hour)) => 8,
            (K::Day, Some(K::Minute)) => 9,
            (K::Day, Some(K::Second)) => 10,
            (K::Hour, Some(K::Minute)) => 11,
            (K::Hour, Some(K::Second)) => 12,
            (K::Minute, Some(K::Second)) => 13,
            _ => return Err(self.unexpected(&["a smaller field of an interval"])),
        };
        node.set(code << INTERVAL_SHIFT);
        if to.unwrap_or(from) == K::Second && self.token.kind == TokenKind::LeftParen {
            self.precision(node)?;
        }
        node.set_end(self.end);
        Ok(())
    }

    fn interval_field(&self) -> Option<Keyword> {
        let field = self.token.keyword()?;
        matches!(field, K::Year | K::Month | K::Day | K::Hour | K::Minute | K::Second).then_some(field)
    }

    /// A type by name (`GenericType`).
    fn other_type(&mut self, node: NodeRef<'a>, may_be_of_column: bool) -> Parsed<()> {
        if !Self::is_type_or_function_name(self.token.kind) {
            return Err(self.unexpected(TYPE));
        }
        if self.dotted_name(node)? {
            return Err(self.unexpected(TYPE));
        }
        if may_be_of_column && self.token.kind == TokenKind::Percent && node.qualifier().is_some() {
            self.take();
            self.expect_word(K::Type, &["TYPE"])?;
            node.set(flag::COLUMN_TYPE);
            return Ok(());
        }
        self.modifiers(node)
    }

    /// `(10, 2)`, if present.
    fn modifiers(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        if !self.take_if(TokenKind::LeftParen) {
            return Ok(());
        }
        loop {
            let modifier = self.modifier()?;
            node.push(modifier);
            if !self.take_if(TokenKind::Comma) {
                break;
            }
        }
        self.expect(TokenKind::RightParen, &["`)`", "`,`"])?;
        Ok(())
    }

    fn modifier(&mut self) -> Parsed<NodeRef<'a>> {
        if self.token.kind == TokenKind::Minus && self.peek() == TokenKind::Integer {
            let minus = self.node_here(NodeKind::Unary)?;
            let number = self.integer()?;
            minus.push(number);
            return Ok(minus);
        }
        let kind = match self.token.kind {
            TokenKind::Integer => NodeKind::Integer,
            kind if is_string(kind) => NodeKind::String,
            kind if Self::is_column_name(kind) => NodeKind::Column,
            TokenKind::RightParen | TokenKind::Comma => return Err(self.unexpected(&["a number"])),
            _ => return Err(self.unsupported_here("this modifier of a type")),
        };
        let token = self.take();
        let node = self.node(kind, token.span())?;
        node.set_text(self.name_text(token)?);
        Ok(node)
    }

    fn integer(&mut self) -> Parsed<NodeRef<'a>> {
        let token = self.expect(TokenKind::Integer, &["a number"])?;
        let node = self.node(NodeKind::Integer, token.span())?;
        node.set_text(self.slice(token));
        Ok(node)
    }

    fn precision_if_any(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        match self.token.kind {
            TokenKind::LeftParen => self.precision(node),
            _ => Ok(()),
        }
    }

    /// `(3)`: one number; the current token is `(`.
    pub(super) fn precision(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        self.take();
        let number = self.integer()?;
        node.push(number);
        self.expect(TokenKind::RightParen, &["`)`"])?;
        Ok(())
    }

    /// `[]`, `[3]`, `ARRAY`: the sizes mean nothing in PostgreSQL and are not kept.
    fn array_bounds(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        if self.is(K::Array) {
            return Err(self.unsupported_here("ARRAY after a type"));
        }
        let mut dimensions = 0_u8;
        while self.take_if(TokenKind::LeftBracket) {
            self.take_if(TokenKind::Integer);
            self.expect(TokenKind::RightBracket, &["`]`"])?;
            dimensions = dimensions.saturating_add(1);
        }
        node.set_detail(dimensions);
        Ok(())
    }
}
