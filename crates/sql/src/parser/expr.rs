//! Expressions: operands, operators by precedence, and what stands between them.

use super::name::is_string;
use super::stack::{Frame, Mode, Then};
use super::{Parsed, Parser, Step, operator, paren};
use crate::error::Hint;
use crate::node::{NodeKind, NodeRef, flag};
use crate::token::TokenKind;
use crate::views::{BinaryOp, IsTest, LikeKind, UnaryOp};
use crate::{Keyword, Span};

/// The precedences of PostgreSQL's grammar, loosest first.
pub(crate) mod precedence {
    pub(crate) const OR: u8 = 1;
    pub(crate) const AND: u8 = 2;
    pub(crate) const NOT: u8 = 3;
    pub(crate) const IS: u8 = 4;
    pub(crate) const COMPARISON: u8 = 5;
    pub(crate) const BETWEEN: u8 = 6;
    pub(crate) const ESCAPE: u8 = 7;
    pub(crate) const OTHER: u8 = 8;
    pub(crate) const SUM: u8 = 9;
    pub(crate) const PRODUCT: u8 = 10;
    pub(crate) const POWER: u8 = 11;
    pub(crate) const AT: u8 = 12;
    pub(crate) const COLLATE: u8 = 13;
    pub(crate) const SIGN: u8 = 14;
    pub(crate) const CAST: u8 = 16;
    /// Of operands that never need parentheses.
    pub(crate) const OPERAND: u8 = 20;
}
use precedence as p;

const EXPRESSION: &[&str] = &["an expression"];

/// What a token does between two operands.
#[derive(Clone, Copy)]
struct Infix {
    precedence: u8,
    is_associative: bool,
    action: Action,
    /// Whether the word ends an item of a select, so that it is a label unless an operator before it claims it.
    may_be_label: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Binary(BinaryOp),
    And,
    Or,
    Cast,
    Is,
    IsNull { is_negated: bool },
    Between,
    In,
    Like(LikeKind),
    Not,
    Escape,
    Collate,
    AtTimeZone,
}

impl Action {
    /// Whether an `AND` goes on in the node of the `AND` before it, or an `OR` in that of an `OR`.
    fn goes_on(self, then: Then) -> bool {
        matches!((self, then), (Action::And, Then::And) | (Action::Or, Then::Or))
    }
}

const fn left(precedence: u8, action: Action) -> Option<Infix> {
    Some(Infix { precedence, is_associative: true, action, may_be_label: false })
}

const fn alone(precedence: u8, action: Action) -> Option<Infix> {
    Some(Infix { precedence, is_associative: false, action, may_be_label: false })
}

impl<'a> Parser<'a, '_> {
    // ---- operands

    pub(super) fn operand(&mut self) -> Parsed<Step<'a>> {
        match self.token.kind {
            TokenKind::Keyword(keyword) => self.keyword_operand(keyword),
            TokenKind::Name { .. } | TokenKind::QuotedName { .. } | TokenKind::UnicodeName => {
                self.named_operand()
            }
            TokenKind::Integer => self.literal(NodeKind::Integer),
            TokenKind::Number => self.literal(NodeKind::Number),
            TokenKind::BitString => self.bit_string(0),
            TokenKind::HexString => self.bit_string(1),
            kind if is_string(kind) => self.literal(NodeKind::String),
            TokenKind::NationalString => self.national_string(),
            TokenKind::Parameter => self.parameter(),
            TokenKind::LeftParen => self.left_paren(),
            TokenKind::Plus => self.prefix(UnaryOp::Plus, p::SIGN),
            TokenKind::Minus => self.prefix(UnaryOp::Minus, p::SIGN),
            TokenKind::Operator => self.prefix(UnaryOp::Other, p::OTHER),
            _ => Err(self.unexpected(EXPRESSION)),
        }
    }

    fn literal(&mut self, kind: NodeKind) -> Parsed<Step<'a>> {
        let token = self.take();
        let node = self.node(kind, token.span())?;
        node.set_text(self.string_text(token)?);
        Ok(Step::Value(node))
    }

    fn bit_string(&mut self, detail: u8) -> Parsed<Step<'a>> {
        let step = self.literal(NodeKind::BitString)?;
        if let Step::Value(node) = step {
            node.set_detail(detail);
        }
        Ok(step)
    }

    /// `N'…'` is a string of type `nchar`.
    fn national_string(&mut self) -> Parsed<Step<'a>> {
        let span = self.token.span();
        let type_name = self.node(NodeKind::Type, Span { start: span.start, len: 1 })?;
        type_name.set_text("nchar");
        type_name.set(flag::KEYWORD);
        self.typed_literal(type_name)
    }

    /// The string after a type.
    pub(super) fn typed_literal(&mut self, type_name: NodeRef<'a>) -> Parsed<Step<'a>> {
        let token = self.take();
        let node = self.node(NodeKind::TypedLiteral, type_name.span())?;
        node.set_text(self.string_text(token)?);
        node.push(type_name);
        node.set_end(self.end);
        Ok(Step::Value(node))
    }

    fn parameter(&mut self) -> Parsed<Step<'a>> {
        let node = self.node_here(NodeKind::Parameter)?;
        node.set_text(node.span().of(self.lexer.text()).get(1..).unwrap_or(""));
        Ok(Step::Value(node))
    }

    /// A prefix operator.
    fn prefix(&mut self, op: UnaryOp, precedence: u8) -> Parsed<Step<'a>> {
        let mode = self.stack.top().mode;
        let node = self.node_here(NodeKind::Unary)?;
        node.set_detail(op.code());
        if op == UnaryOp::Other {
            node.set_text(node.span().of(self.lexer.text()));
        }
        self.want_expr(operator(Then::Unary, node, precedence, mode))
    }

    pub(super) fn not_operand(&mut self) -> Parsed<Step<'a>> {
        let mode = self.stack.top().mode;
        if mode == Mode::Simple {
            return Err(self.unexpected(&["an expression without NOT"]));
        }
        let node = self.node_here(NodeKind::Not)?;
        self.want_expr(operator(Then::Not, node, p::NOT, mode))
    }

    /// An operand that begins with a name that is no keyword: a column, a call, or a type before its string.
    pub(super) fn named_operand(&mut self) -> Parsed<Step<'a>> {
        let node = self.node(NodeKind::Column, self.token.span())?;
        if self.dotted_name(node)? {
            return self.star_of_table(node);
        }
        match self.token.kind {
            TokenKind::LeftParen => self.call(node),
            kind if is_string(kind) => {
                node.set_kind(NodeKind::Type);
                self.typed_literal(node)
            }
            _ => Ok(Step::Value(node)),
        }
    }

    /// `t.*`, which only an item of a select can be.
    fn star_of_table(&mut self, node: NodeRef<'a>) -> Parsed<Step<'a>> {
        if self.stack.top().then != Then::SelectItem {
            return Err(self.unsupported("a table's row as a value (`t.*`)", node.span()));
        }
        node.set_kind(NodeKind::Star);
        Ok(Step::Done(node))
    }

    // ---- parentheses

    fn left_paren(&mut self) -> Parsed<Step<'a>> {
        let start = self.take().start;
        if self.begins_query() {
            return self.want_query(paren(Then::SubqueryParen, None, start));
        }
        self.want_expr(paren(Then::Paren, None, start))
    }

    /// Whether a query begins at the current token, parentheses aside.
    pub(super) fn begins_query(&mut self) -> bool {
        match self.token.kind {
            TokenKind::Keyword(Keyword::Select | Keyword::With | Keyword::Table) => true,
            TokenKind::Keyword(Keyword::Values) => self.peek() == TokenKind::LeftParen,
            _ => false,
        }
    }

    /// Whether a query in parentheses goes on after them: a set operation, or `ORDER BY` and the like.
    pub(super) fn continues_query(&self) -> bool {
        use Keyword::{Except, Fetch, For, Intersect, Limit, Offset, Order, Union};
        matches!(
            self.token.kind,
            TokenKind::Keyword(Union | Intersect | Except | Order | Limit | Offset | Fetch | For)
        )
    }

    pub(super) fn after_paren(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        match self.token.kind {
            TokenKind::RightParen => {
                self.take();
                value.set_span(Span::new(frame.start, self.end));
                Ok(Step::Value(value))
            }
            TokenKind::Comma => {
                let row = self.node(NodeKind::Row, Span { start: frame.start, len: 1 })?;
                row.push(value);
                self.take();
                self.want_expr(paren(Then::RowItem, Some(row), frame.start))
            }
            // `((SELECT 1) UNION SELECT 2)`: what looked like a value was the first part of a query.
            _ if value.kind() == NodeKind::Subquery && self.continues_query() => {
                let query = value.take_only_child().unwrap_or(value);
                query.set_span(value.span());
                self.push_frame(paren(Then::SubqueryParen, None, frame.start))?;
                Ok(Step::QueryValue(query))
            }
            _ => {
                self.push_frame(frame)?;
                Err(self.unexpected(&["`)`", "an operator"]))
            }
        }
    }

    pub(super) fn after_row_item(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        let row = frame.node();
        row.push(value);
        if self.take_if(TokenKind::Comma) {
            return self.want_expr(frame);
        }
        self.close(frame)?;
        row.set_end(self.end);
        Ok(Step::Value(row))
    }

    /// Reads the `)` of `frame`.
    pub(super) fn close(&mut self, frame: Frame<'a>) -> Parsed<()> {
        if self.token.kind != TokenKind::RightParen {
            self.push_frame(frame)?;
            return Err(self.unexpected(&["`)`", "`,`", "an operator"]));
        }
        self.take();
        Ok(())
    }

    /// After a query that is a value or the argument of `EXISTS`.
    pub(super) fn after_subquery(
        &mut self,
        frame: Frame<'a>,
        query: NodeRef<'a>,
        kind: NodeKind,
    ) -> Parsed<Step<'a>> {
        self.close_query(frame)?;
        let start = frame.node.map_or(frame.start, |node| node.span().start);
        let node = match frame.node {
            Some(node) => node,
            None => self.node(kind, Span { start, len: 0 })?,
        };
        node.push(query);
        node.set_span(Span::new(start, self.end));
        Ok(Step::Value(node))
    }

    // ---- operators

    /// A value stands before the current token: completes the operators that end here and starts the one that follows.
    pub(super) fn infix(&mut self, mut value: NodeRef<'a>) -> Parsed<Step<'a>> {
        let mut infix = self.infix_here()?;
        loop {
            let top = *self.stack.top();
            let is_operator = top.then.is_operator();
            let waits_inside = is_operator && infix.is_some_and(|infix| top.precedence < infix.precedence);
            if infix.is_none() && !is_operator {
                break;
            }
            if !is_operator || waits_inside {
                // Without a LIKE that waits for it, ESCAPE is no operator; nor is a label, once no operator claims it.
                let is_stray = infix.is_some_and(|infix| match infix.action {
                    Action::Escape if top.then != Then::LikePattern => true,
                    _ if matches!(top.mode, Mode::Primary | Mode::Call) => true,
                    _ => infix.may_be_label && !waits_inside,
                });
                if !is_stray {
                    break;
                }
                infix = None;
                continue;
            }
            if let Some(infix) = infix
                && top.precedence == infix.precedence
            {
                if !infix.is_associative {
                    return Err(self.not_associative(infix.precedence));
                }
                if infix.action.goes_on(top.then) {
                    // `a AND b AND c` is one node: its frame stays and waits for the next operand.
                    top.node().push(value);
                    self.take();
                    return Ok(Step::Operand);
                }
            }
            self.stack.pop();
            top.node().push(value);
            value = top.node();
        }
        match infix {
            Some(infix) => self.apply(infix, value),
            None => Ok(Step::Done(value)),
        }
    }

    fn not_associative(&mut self, precedence: u8) -> super::Failed {
        let hint = (precedence == p::COMPARISON).then_some(Hint::ComparisonChain);
        self.unexpected_with(&[], hint)
    }

    /// What the current token does after a value; `None` when the expression ends before it.
    fn infix_here(&mut self) -> Parsed<Option<Infix>> {
        use BinaryOp as B;
        let binary = |precedence, op| left(precedence, Action::Binary(op));
        let compare = |op| alone(p::COMPARISON, Action::Binary(op));
        Ok(match self.token.kind {
            TokenKind::Comma | TokenKind::RightParen | TokenKind::End | TokenKind::Semicolon => None,
            TokenKind::Keyword(keyword) => return self.infix_word(keyword),
            TokenKind::Plus => binary(p::SUM, B::Add),
            TokenKind::Minus => binary(p::SUM, B::Subtract),
            TokenKind::Star => binary(p::PRODUCT, B::Multiply),
            TokenKind::Slash => binary(p::PRODUCT, B::Divide),
            TokenKind::Percent => binary(p::PRODUCT, B::Modulo),
            TokenKind::Caret => binary(p::POWER, B::Power),
            TokenKind::Equal => compare(B::Equal),
            TokenKind::NotEqual => compare(B::NotEqual),
            TokenKind::Less => compare(B::Less),
            TokenKind::LessOrEqual => compare(B::LessOrEqual),
            TokenKind::Greater => compare(B::Greater),
            TokenKind::GreaterOrEqual => compare(B::GreaterOrEqual),
            TokenKind::Operator if self.slice(self.token) == "||" => binary(p::OTHER, B::Concat),
            TokenKind::Operator => binary(p::OTHER, B::Other),
            TokenKind::ColonColon => left(p::CAST, Action::Cast),
            TokenKind::LeftBracket => return Err(self.unsupported_here("an array subscript")),
            TokenKind::Dot if self.ends_in_parens() => {
                return Err(self.unsupported_here("the field of a value"));
            }
            _ => None,
        })
    }

    /// Whether the last token is a `)`, after which PostgreSQL can select a field.
    fn ends_in_parens(&self) -> bool {
        self.lexer.text().as_bytes().get(..self.end as usize).is_some_and(|text| text.ends_with(b")"))
    }

    fn infix_word(&mut self, keyword: Keyword) -> Parsed<Option<Infix>> {
        use Keyword as K;
        let mode = self.stack.top().mode;
        let infix = match keyword {
            K::And => left(p::AND, Action::And),
            K::Or => left(p::OR, Action::Or),
            K::Is => alone(p::IS, Action::Is),
            K::Isnull => alone(p::IS, Action::IsNull { is_negated: false }),
            K::Notnull => alone(p::IS, Action::IsNull { is_negated: true }),
            K::Between => alone(p::BETWEEN, Action::Between),
            K::In => alone(p::BETWEEN, Action::In),
            K::Like => alone(p::BETWEEN, Action::Like(LikeKind::Like)),
            K::Ilike => alone(p::BETWEEN, Action::Like(LikeKind::ILike)),
            K::Similar if self.peeks(K::To) => alone(p::BETWEEN, Action::Like(LikeKind::SimilarTo)),
            K::Not if self.negates() => alone(p::BETWEEN, Action::Not),
            K::Escape => alone(p::ESCAPE, Action::Escape),
            K::Collate => left(p::COLLATE, Action::Collate),
            K::At if matches!(self.peek(), TokenKind::Keyword(K::Time | K::Local)) => {
                left(p::AT, Action::AtTimeZone)
            }
            K::Overlaps => return Err(self.unsupported_here("OVERLAPS")),
            K::Operator if self.peek() == TokenKind::LeftParen => {
                return Err(self.unsupported_here("an operator with a schema"));
            }
            _ => None,
        };
        let infix = infix.filter(|infix| mode != Mode::Simple || infix.action == Action::Is);
        let may_be_label =
            infix.is_some() && mode == Mode::Item && keyword.is_bare_label() && self.label_ends_here();
        Ok(infix.map(|infix| Infix { may_be_label, ..infix }))
    }

    /// Whether `NOT` is followed by what it can negate after a value.
    fn negates(&mut self) -> bool {
        use Keyword::{Between, Ilike, In, Like, Similar};
        matches!(self.peek(), TokenKind::Keyword(Between | In | Like | Ilike | Similar))
    }

    /// Whether the token after the current one ends an item of a select, so that the current one is its label.
    fn label_ends_here(&mut self) -> bool {
        use Keyword as K;
        match self.peek() {
            TokenKind::Comma | TokenKind::RightParen | TokenKind::Semicolon | TokenKind::End => true,
            TokenKind::Keyword(keyword) => matches!(
                keyword,
                K::From
                    | K::Into
                    | K::Where
                    | K::Group
                    | K::Having
                    | K::Window
                    | K::Union
                    | K::Intersect
                    | K::Except
                    | K::Order
                    | K::Limit
                    | K::Offset
                    | K::Fetch
                    | K::For
            ),
            _ => false,
        }
    }

    fn apply(&mut self, infix: Infix, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        match infix.action {
            Action::Binary(op) => self.binary(op, infix.precedence, value),
            Action::And => self.junction(NodeKind::And, Then::And, p::AND, value),
            Action::Or => self.junction(NodeKind::Or, Then::Or, p::OR, value),
            Action::Cast => self.cast_suffix(value),
            Action::Is => self.is_test(value),
            Action::IsNull { is_negated } => {
                self.take();
                self.is_node(value, IsTest::Null, is_negated)
            }
            Action::Not => {
                self.take();
                self.negated(value)
            }
            Action::Between => self.between(value, 0),
            Action::In => self.in_operator(value, 0),
            Action::Like(kind) => self.like(kind, value, 0),
            Action::Escape => self.escape(value),
            Action::Collate => self.collate(value),
            Action::AtTimeZone => self.at_time_zone(value),
        }
    }

    /// A node around `value`, from the value's start to the token just read.
    fn around(&mut self, kind: NodeKind, value: NodeRef<'a>) -> Parsed<NodeRef<'a>> {
        let node = self.node(kind, value.span())?;
        node.push(value);
        Ok(node)
    }

    /// Waits for the right operand of `node`.
    fn want_right(&mut self, then: Then, node: NodeRef<'a>, precedence: u8) -> Parsed<Step<'a>> {
        let mode = self.stack.top().mode;
        self.want_expr(operator(then, node, precedence, mode))
    }

    fn binary(&mut self, op: BinaryOp, precedence: u8, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        let node = self.around(NodeKind::Binary, value)?;
        node.set_detail(op.code());
        let token = self.take();
        if op == BinaryOp::Other {
            node.set_text(self.slice(token));
        }
        self.want_right(Then::Binary, node, precedence)
    }

    /// `AND` or `OR`; one that is already on the left takes the operand in, as in PostgreSQL's own tree.
    fn junction(
        &mut self,
        kind: NodeKind,
        then: Then,
        precedence: u8,
        value: NodeRef<'a>,
    ) -> Parsed<Step<'a>> {
        let node = if value.kind() == kind { value } else { self.around(kind, value)? };
        self.take();
        self.want_right(then, node, precedence)
    }

    fn cast_suffix(&mut self, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        let node = self.around(NodeKind::Cast, value)?;
        self.take();
        node.push(self.type_name()?);
        Ok(Step::Value(node))
    }

    fn is_test(&mut self, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        use Keyword as K;
        const TESTS: &[&str] = &["NULL", "TRUE", "FALSE", "UNKNOWN", "DISTINCT FROM"];
        self.take();
        let is_negated = self.take_word(K::Not);
        let is_simple = self.stack.top().mode == Mode::Simple;
        let test = match self.token.keyword() {
            Some(K::Distinct) => return self.distinct_from(value, is_negated),
            Some(K::Document | K::Normalized | K::Nfc | K::Nfd | K::Nfkc | K::Nfkd | K::Json) => {
                return Err(self.unsupported_here("this test after IS"));
            }
            _ if is_simple => return Err(self.unexpected(&["DISTINCT FROM"])),
            Some(K::Null) => IsTest::Null,
            Some(K::True) => IsTest::True,
            Some(K::False) => IsTest::False,
            Some(K::Unknown) => IsTest::Unknown,
            _ => return Err(self.unexpected(TESTS)),
        };
        self.take();
        self.is_node(value, test, is_negated)
    }

    fn is_node(&mut self, value: NodeRef<'a>, test: IsTest, is_negated: bool) -> Parsed<Step<'a>> {
        let node = self.around(NodeKind::Is, value)?;
        node.set_detail(test.code());
        node.set(if is_negated { flag::NOT } else { 0 });
        node.set_end(self.end);
        Ok(Step::Value(node))
    }

    fn distinct_from(&mut self, value: NodeRef<'a>, is_negated: bool) -> Parsed<Step<'a>> {
        self.take();
        self.expect_word(Keyword::From, &["FROM"])?;
        let node = self.around(NodeKind::DistinctFrom, value)?;
        node.set(if is_negated { flag::NOT } else { 0 });
        self.want_right(Then::DistinctFrom, node, p::IS)
    }

    /// After `value NOT`.
    fn negated(&mut self, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        match self.token.keyword() {
            Some(Keyword::Between) => self.between(value, flag::NOT),
            Some(Keyword::In) => self.in_operator(value, flag::NOT),
            Some(Keyword::Like) => self.like(LikeKind::Like, value, flag::NOT),
            Some(Keyword::Ilike) => self.like(LikeKind::ILike, value, flag::NOT),
            _ => self.like(LikeKind::SimilarTo, value, flag::NOT),
        }
    }

    fn between(&mut self, value: NodeRef<'a>, flags: u16) -> Parsed<Step<'a>> {
        let node = self.around(NodeKind::Between, value)?;
        node.set(flags);
        self.take();
        if self.take_word(Keyword::Symmetric) {
            node.set(flag::SYMMETRIC);
        } else {
            self.take_word(Keyword::Asymmetric);
        }
        self.want_expr(Frame { mode: Mode::Simple, ..Frame::of(Then::BetweenLow, node) })
    }

    pub(super) fn after_between_low(&mut self, frame: Frame<'a>, low: NodeRef<'a>) -> Parsed<Step<'a>> {
        frame.node().push(low);
        self.expect_word(Keyword::And, &["AND"])?;
        self.want_right(Then::BetweenHigh, frame.node(), p::BETWEEN)
    }

    fn like(&mut self, kind: LikeKind, value: NodeRef<'a>, flags: u16) -> Parsed<Step<'a>> {
        let node = self.around(NodeKind::Like, value)?;
        node.set_detail(kind.code());
        node.set(flags);
        self.take();
        if kind == LikeKind::SimilarTo {
            self.expect_word(Keyword::To, &["TO"])?;
        }
        self.want_right(Then::LikePattern, node, p::BETWEEN)
    }

    /// `ESCAPE` after the pattern of the `LIKE` on top of the stack.
    fn escape(&mut self, pattern: NodeRef<'a>) -> Parsed<Step<'a>> {
        self.take();
        let frame = self.stack.pop();
        frame.node().push(pattern);
        self.want_right(Then::LikeEscape, frame.node(), p::BETWEEN)
    }

    fn collate(&mut self, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        self.take();
        if !Self::is_column_name(self.token.kind) {
            return Err(self.unexpected(&["the name of a collation"]));
        }
        let node = self.node(NodeKind::Collate, value.span())?;
        if self.dotted_name(node)? {
            return Err(self.unexpected(&["the name of a collation"]));
        }
        node.push(value);
        node.set_span(Span::new(value.span().start, self.end));
        Ok(Step::Value(node))
    }

    fn at_time_zone(&mut self, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        let node = self.around(NodeKind::AtTimeZone, value)?;
        self.take();
        if self.take_word(Keyword::Local) {
            node.set_end(self.end);
            return Ok(Step::Value(node));
        }
        self.take();
        self.expect_word(Keyword::Zone, &["ZONE"])?;
        self.want_right(Then::AtTimeZone, node, p::AT)
    }

    fn in_operator(&mut self, value: NodeRef<'a>, flags: u16) -> Parsed<Step<'a>> {
        let node = self.around(NodeKind::InList, value)?;
        node.set(flags);
        self.take();
        let start = self.expect(TokenKind::LeftParen, &["`(`"])?.start;
        if self.begins_query() {
            node.set_kind(NodeKind::InQuery);
            return self.want_query(paren(Then::InQueryParen, Some(node), start));
        }
        self.want_expr(paren(Then::InItem, Some(node), start))
    }

    pub(super) fn after_in_item(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        let node = frame.node();
        let is_only = node.children_count() == 1 && value.kind() == NodeKind::Subquery;
        if is_only && (self.token.kind == TokenKind::RightParen || self.continues_query()) {
            // `a IN ((SELECT 1))` is a query in more parentheses than it needs.
            let query = value.take_only_child().unwrap_or(value);
            query.set_span(value.span());
            node.set_kind(NodeKind::InQuery);
            self.push_frame(paren(Then::InQueryParen, Some(node), frame.start))?;
            return Ok(Step::QueryValue(query));
        }
        node.push(value);
        if self.take_if(TokenKind::Comma) {
            return self.want_expr(frame);
        }
        self.close(frame)?;
        node.set_end(self.end);
        Ok(Step::Value(node))
    }

    pub(super) fn after_in_query(&mut self, frame: Frame<'a>, query: NodeRef<'a>) -> Parsed<Step<'a>> {
        self.close_query(frame)?;
        let node = frame.node();
        node.push(query);
        node.set_end(self.end);
        Ok(Step::Value(node))
    }
}
