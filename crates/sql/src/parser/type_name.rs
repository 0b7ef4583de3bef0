//! Types: `decimal(10, 2)`, `timestamp with time zone`, `SETOF text[]`, `interval day to second`.
//!
//! PostgreSQL's grammar lets any expressions be the modifiers of a type, and refuses all but constants and names later.
//! Plain ones are read on the spot; for the others the type waits on the stack like everything else.

use super::name::{Last, is_plain_name, is_string};
use super::stack::{Frame, Then};
use super::{Parsed, Parser, Step, paren};
use crate::Keyword;
use crate::error::Mistake;
use crate::node::{NodeKind, NodeRef, flag};
use crate::token::{Token, TokenKind};
use crate::views::type_name::INTERVAL_SHIFT;
use Keyword as K;

/// The detail byte of the first bound that is a node.
pub(crate) const FIRST_BOUND: u8 = 1;

/// Marks the frame of a modifier in a type that can be no array.
const WITHOUT_BOUNDS: u8 = 1;

const TYPE: &[&str] = &["a type"];

impl<'a> Parser<'a, '_> {
    /// Waits for a type (`Typename`) that goes on as `frame` says.
    pub(super) fn want_type(&mut self, frame: Frame<'a>) -> Parsed<Step<'a>> {
        self.push_frame(frame)?;
        self.any_type(false)
    }

    /// Waits for the type of an argument or a result (`func_type`), which may be that of a column: `t.c%TYPE`.
    pub(super) fn want_function_type(&mut self, frame: Frame<'a>) -> Parsed<Step<'a>> {
        self.push_frame(frame)?;
        self.any_type(true)
    }

    /// Waits for a type that is no set and no array (`SimpleTypename`).
    pub(super) fn want_simple_type(&mut self, frame: Frame<'a>) -> Parsed<Step<'a>> {
        self.push_frame(frame)?;
        let node = self.node(NodeKind::Type, self.token.span())?;
        if self.type_words(node, false)? {
            let frame = paren(Then::TypeModifier, Some(node), self.token.start);
            return self.want_expr(Frame { precedence: WITHOUT_BOUNDS, ..frame });
        }
        node.set_end(self.end);
        Ok(Step::Done(node))
    }

    fn any_type(&mut self, may_be_of_column: bool) -> Parsed<Step<'a>> {
        let node = self.node(NodeKind::Type, self.token.span())?;
        if self.take_word(K::Setof) {
            node.set(flag::SETOF);
        }
        if self.type_words(node, may_be_of_column)? {
            return self.type_modifier(node, None);
        }
        self.end_type(node)
    }

    /// `double precision '1.5'`, `timestamp(3) '…'`: a type that the grammar knows, before its string.
    pub(super) fn type_before_string(&mut self) -> Parsed<Step<'a>> {
        let node = self.node(NodeKind::Type, self.token.span())?;
        if self.type_words(node, false)? {
            return self.type_modifier(node, Some(node));
        }
        self.string_after_type(node)
    }

    fn string_after_type(&mut self, node: NodeRef<'a>) -> Parsed<Step<'a>> {
        node.set_end(self.end);
        if !is_string(self.token.kind) {
            return Err(self.unexpected(&["a string after the type"]));
        }
        self.typed_literal(node)
    }

    /// Waits for a modifier that is not plain. `before_string` is the type again when its string is to follow.
    fn type_modifier(&mut self, node: NodeRef<'a>, before_string: Option<NodeRef<'a>>) -> Parsed<Step<'a>> {
        let frame = paren(Then::TypeModifier, Some(node), self.token.start);
        self.want_expr(Frame { outer: before_string, ..frame })
    }

    pub(super) fn after_type_modifier(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        let node = frame.node();
        node.push(value);
        if self.take_if(TokenKind::Comma) {
            return self.want_expr(frame);
        }
        self.close(frame)?;
        match frame.outer {
            Some(node) => self.string_after_type(node),
            None if frame.precedence == WITHOUT_BOUNDS => {
                node.set_end(self.end);
                Ok(Step::Done(node))
            }
            None => self.end_type(node),
        }
    }

    fn end_type(&mut self, node: NodeRef<'a>) -> Parsed<Step<'a>> {
        if !node.has(flag::COLUMN_TYPE) {
            self.array_bounds(node)?;
        }
        node.set_end(self.end);
        Ok(Step::Done(node))
    }

    /// Reads a type up to the bounds of arrays (`SimpleTypename`). True when a modifier stands next that is not plain.
    fn type_words(&mut self, node: NodeRef<'a>, may_be_of_column: bool) -> Parsed<bool> {
        match self.token.keyword() {
            Some(keyword) if self.is_own_type(keyword) => self.own_type(node, keyword),
            _ => self.other_type(node, may_be_of_column),
        }
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

    fn own_type(&mut self, node: NodeRef<'a>, keyword: Keyword) -> Parsed<bool> {
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
            K::Decimal | K::Dec | K::Numeric => return self.modifiers(node),
            K::Bit => {
                if self.take_word(K::Varying) {
                    node.set_text("bit varying");
                }
                return self.modifiers(node);
            }
            K::Float => self.float_precision(node)?,
            K::Char | K::Character | K::Nchar | K::National | K::Varchar => {
                self.character_type(node, keyword)?;
            }
            K::Time | K::Timestamp => self.time_type(node, keyword)?,
            K::Interval if self.token.kind == TokenKind::LeftParen => self.precision(node)?,
            K::Interval => self.interval_qualifier(node)?,
            _ => {}
        }
        Ok(false)
    }

    fn float_precision(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        self.precision_if_any(node)?;
        match node.first_child() {
            Some(bits) if !(1..=53).contains(&small_integer(bits.name()).unwrap_or(0)) => {
                Err(self.mistake(Mistake::FloatPrecision, bits.span(), None))
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
            Some(zone @ K::With) if matches!(self.peek(), TokenKind::Keyword(K::Time | K::Ordinality)) => {
                zone
            }
            Some(zone @ K::Without) if self.peeks(K::Time) => zone,
            _ => return Ok(()),
        };
        self.take();
        self.expect_word(K::Time, &["TIME"])?;
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
        let mut code = match from {
            K::Year => 1,
            K::Month => 2,
            K::Day => 3,
            K::Hour => 4,
            K::Minute => 5,
            _ => 6,
        };
        let mut last = from;
        if !matches!(from, K::Month | K::Second) && self.take_word(K::To) {
            last = self.interval_field().unwrap_or(from);
            code = match (from, last) {
                (K::Year, K::Month) => 7,
                (K::Day, K::Hour) => 8,
                (K::Day, K::Minute) => 9,
                (K::Day, K::Second) => 10,
                (K::Hour, K::Minute) => 11,
                (K::Hour, K::Second) => 12,
                (K::Minute, K::Second) => 13,
                _ => return Err(self.unexpected(&["a smaller field of an interval"])),
            };
            self.take();
        }
        node.set(code << INTERVAL_SHIFT);
        if last == K::Second && self.token.kind == TokenKind::LeftParen {
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
    fn other_type(&mut self, node: NodeRef<'a>, may_be_of_column: bool) -> Parsed<bool> {
        if !Self::is_type_or_function_name(self.token.kind) {
            return Err(self.unexpected(TYPE));
        }
        self.dotted_name(node, Last::Name)?;
        if may_be_of_column && self.token.kind == TokenKind::Percent && node.qualifier().is_some() {
            self.take();
            self.expect_word(K::Type, &["TYPE"])?;
            node.set(flag::COLUMN_TYPE);
            return Ok(false);
        }
        self.modifiers(node)
    }

    /// `(10, 2)`, if present. True when a modifier stands next that is not plain.
    fn modifiers(&mut self, node: NodeRef<'a>) -> Parsed<bool> {
        if !self.take_if(TokenKind::LeftParen) {
            return Ok(false);
        }
        loop {
            let Some(modifier) = self.plain_modifier()? else { return Ok(true) };
            node.push(modifier);
            if !self.take_if(TokenKind::Comma) {
                break;
            }
        }
        self.expect(TokenKind::RightParen, &["`)`", "`,`"])?;
        Ok(false)
    }

    /// A modifier that is one token or a number with its sign; nothing is read when it is more.
    fn plain_modifier(&mut self) -> Parsed<Option<NodeRef<'a>>> {
        if self.token.kind == TokenKind::Minus {
            let is_plain = self.peek() == TokenKind::Integer
                && matches!(self.lexer.clone().next_token().kind, TokenKind::RightParen | TokenKind::Comma);
            return if is_plain { self.negative_modifier().map(Some) } else { Ok(None) };
        }
        let kind = match self.token.kind {
            TokenKind::Integer => NodeKind::Integer,
            kind if is_string(kind) => NodeKind::String,
            kind if is_plain_name(kind) => NodeKind::Column,
            _ => return Ok(None),
        };
        if !matches!(self.peek(), TokenKind::RightParen | TokenKind::Comma) {
            return Ok(None);
        }
        let token = self.take();
        let node = self.node(kind, token.span())?;
        node.set_text(self.name_text(token)?);
        Ok(Some(node))
    }

    fn negative_modifier(&mut self) -> Parsed<NodeRef<'a>> {
        let minus = self.node_here(NodeKind::Unary)?;
        let number = self.node_here(NodeKind::Integer)?;
        number.set_text(number.span().of(self.lexer.text()));
        minus.push(number);
        Ok(minus)
    }

    /// Reads an integer that is no bigger than 2,147,483,647 (`Iconst`).
    fn integer(&mut self) -> Parsed<NodeRef<'a>> {
        if !self.is_small_integer(self.token) {
            return Err(self.unexpected(&["a number"]));
        }
        let node = self.node_here(NodeKind::Integer)?;
        node.set_text(node.span().of(self.lexer.text()));
        Ok(node)
    }

    pub(super) fn is_small_integer(&self, token: Token) -> bool {
        token.kind == TokenKind::Integer && small_integer(self.slice(token)).is_some()
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

    /// `[]`, `[3]`, `ARRAY`, `ARRAY[3]`. Bounds without a size are counted in the detail byte, up to the first that has
    /// one; from there on each is a child.
    fn array_bounds(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        if self.take_word(K::Array) {
            if self.token.kind != TokenKind::LeftBracket {
                node.set_detail(1);
                return Ok(());
            }
            self.take();
            let size = self.integer()?;
            self.expect(TokenKind::RightBracket, &["`]`"])?;
            size.set_kind(NodeKind::ArrayBound);
            size.set_detail(FIRST_BOUND);
            node.push(size);
            return Ok(());
        }
        let mut has_sizes = false;
        while self.token.kind == TokenKind::LeftBracket {
            let open = self.take();
            let has_size = self.token.kind != TokenKind::RightBracket;
            if !has_size && !has_sizes && node.detail() < u8::MAX {
                self.take();
                node.set_detail(node.detail() + 1);
                continue;
            }
            let bound =
                if has_size { self.integer()? } else { self.node(NodeKind::ArrayBound, open.span())? };
            self.expect(TokenKind::RightBracket, &["`]`"])?;
            bound.set_kind(NodeKind::ArrayBound);
            bound.set_detail(if has_sizes { 0 } else { FIRST_BOUND });
            has_sizes = true;
            node.push(bound);
        }
        Ok(())
    }
}

/// The value of an integer with or without a radix, when it is below 2³¹.
pub(crate) fn small_integer(text: &str) -> Option<u32> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', digits @ ..] => (digits, 16),
        [b'0', b'o' | b'O', digits @ ..] => (digits, 8),
        [b'0', b'b' | b'B', digits @ ..] => (digits, 2),
        digits => (digits, 10),
    };
    let mut value = 0_u32;
    for digit in digits.iter().filter(|digit| **digit != b'_') {
        value = value.checked_mul(radix)?.checked_add(char::from(*digit).to_digit(radix)?)?;
    }
    i32::try_from(value).is_ok().then_some(value)
}
