//! Expressions: operands, operators by precedence, and what stands between them.

use super::name::{Last, is_string};
use super::predicate::may_be_similar;
use super::select::ends_items;
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
    Operator,
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

/// Which keywords do something between two operands: those that `infix_word` knows.
static IS_INFIX: [bool; Keyword::COUNT] = {
    use Keyword as K;
    let words = [
        K::And,
        K::Or,
        K::Is,
        K::Isnull,
        K::Notnull,
        K::Between,
        K::In,
        K::Like,
        K::Ilike,
        K::Similar,
        K::Not,
        K::Escape,
        K::Collate,
        K::At,
        K::Operator,
    ];
    let mut table = [false; Keyword::COUNT];
    let mut index = 0;
    while index < words.len() {
        table[words[index] as usize] = true;
        index += 1;
    }
    table
};

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

    /// Reads a constant that says what it shows; `None` where there is none.
    pub(super) fn plain_constant(&mut self) -> Parsed<Option<NodeRef<'a>>> {
        let (kind, flags) = match self.token.kind {
            TokenKind::Integer => (NodeKind::Integer, 0),
            TokenKind::Number => (NodeKind::Number, 0),
            TokenKind::String { has_escapes: false } => (NodeKind::String, 0),
            TokenKind::Keyword(Keyword::Null) => (NodeKind::Null, 0),
            TokenKind::Keyword(Keyword::True) => (NodeKind::Boolean, flag::TRUE),
            TokenKind::Keyword(Keyword::False) => (NodeKind::Boolean, 0),
            _ => return Ok(None),
        };
        let token = self.take();
        let node = self.node(kind, token.span())?;
        match kind {
            NodeKind::Null | NodeKind::Boolean => node.set(flags),
            _ => node.set_text(self.string_text(token)?),
        }
        Ok(Some(node))
    }

    fn bit_string(&mut self, detail: u8) -> Parsed<Step<'a>> {
        let step = self.literal(NodeKind::BitString)?;
        if let Step::Value(node) = step {
            node.set_detail(detail);
        }
        Ok(step)
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
        self.indirection(node)
    }

    /// A prefix operator.
    fn prefix(&mut self, op: UnaryOp, precedence: u8) -> Parsed<Step<'a>> {
        let mode = self.stack.top().mode;
        if mode == Mode::Primary {
            return Err(self.unexpected(&["a value without operators"]));
        }
        let node = self.node_here(NodeKind::Unary)?;
        node.set_detail(op.code());
        if op == UnaryOp::Other {
            node.set_text(node.span().of(self.lexer.text()));
        }
        self.want_expr(operator(Then::Unary, node, precedence, mode))
    }

    pub(super) fn not_operand(&mut self) -> Parsed<Step<'a>> {
        let mode = self.stack.top().mode;
        if mode.is_simple() {
            return Err(self.unexpected(&["an expression without NOT"]));
        }
        let node = self.node_here(NodeKind::Not)?;
        self.want_expr(operator(Then::Not, node, p::NOT, mode))
    }

    /// `OPERATOR(schema.+)` before its operand.
    pub(super) fn prefix_by_name(&mut self) -> Parsed<Step<'a>> {
        let mode = self.stack.top().mode;
        if mode == Mode::Primary {
            // Where no operator can stand it is the name of a function.
            return self.named_operand();
        }
        let node = self.node(NodeKind::Unary, self.token.span())?;
        node.set_detail(UnaryOp::Other.code());
        node.push(self.operator_in_parens()?);
        self.want_expr(operator(Then::Unary, node, p::OTHER, mode))
    }

    /// An operand that begins with a name that is no keyword: a column, a call, or a type before its string.
    pub(super) fn named_operand(&mut self) -> Parsed<Step<'a>> {
        let node = self.node(NodeKind::Column, self.token.span())?;
        if self.dotted_name(node, Last::NameOrStar)? {
            node.set_kind(NodeKind::Star);
            return self.indirection(node);
        }
        match self.token.kind {
            TokenKind::LeftParen => self.call(node),
            TokenKind::LeftBracket => self.indirection(node),
            kind if is_string(kind) => {
                node.set_kind(NodeKind::Type);
                self.typed_literal(node)
            }
            _ => Ok(Step::Value(node)),
        }
    }

    /// `DEFAULT`, which PostgreSQL's grammar lets stand for any value.
    pub(super) fn default(&mut self) -> Parsed<Step<'a>> {
        if self.stack.top().mode.is_simple() {
            return Err(self.unexpected(EXPRESSION));
        }
        Ok(Step::Value(self.node_here(NodeKind::Default)?))
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
                self.indirection(value)
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
        self.row_value(row)
    }

    /// Whether a value begins with a parenthesis; so does a query that may have clauses from inside.
    pub(super) fn is_in_parens(&self, value: NodeRef<'a>) -> bool {
        self.lexer.text().as_bytes().get(value.span().start as usize) == Some(&b'(')
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
        let is_value = kind == NodeKind::Subquery;
        if is_value {
            node.enclose(query)
        } else {
            node.push(query)
        }
        node.set_span(Span::new(start, self.end));
        if is_value { self.indirection(node) } else { Ok(Step::Value(node)) }
    }

    // ---- operators

    /// A value stands before the current token: completes the operators that end here and starts the one that follows.
    pub(super) fn infix(&mut self, mut value: NodeRef<'a>) -> Parsed<Step<'a>> {
        let mut infix = if self.may_be_infix() { self.infix_here()? } else { None };
        if infix.is_none() {
            // The expression ends here, and with it all operators that wait for this operand.
            while self.stack.top().then.is_operator() {
                let frame = self.stack.pop();
                frame.node().push(value);
                value = frame.node();
            }
            return Ok(Step::Done(value));
        }
        loop {
            let top = *self.stack.top();
            let is_operator = top.then.is_operator();
            let waits_inside = is_operator && infix.is_some_and(|infix| top.precedence < infix.precedence);
            if infix.is_none() && !is_operator {
                break;
            }
            if !is_operator || waits_inside {
                // A label is no operator, once no operator claims it; nor is ESCAPE, which only the LIKE before it can
                // claim, over all that waits inside.
                let is_stray = infix.is_some_and(|infix| match infix.action {
                    _ if matches!(top.mode, Mode::Primary | Mode::Call) => true,
                    Action::Escape => top.then != Then::LikePattern,
                    _ => infix.may_be_label && !waits_inside,
                });
                if !is_stray {
                    break;
                }
                if !is_operator {
                    infix = None;
                    continue;
                }
            }
            if let Some(infix) = infix
                && top.precedence == infix.precedence
            {
                if !infix.is_associative {
                    return Err(self.not_associative(infix.precedence));
                }
                if infix.action.goes_on(top.then) && !infix.may_be_label {
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

    /// Whether the current token can stand between two operands, or end a value in another way than by not belonging to it.
    fn may_be_infix(&self) -> bool {
        match self.token.kind {
            TokenKind::Comma | TokenKind::RightParen | TokenKind::End | TokenKind::Semicolon => false,
            TokenKind::Keyword(keyword) => IS_INFIX[keyword as usize],
            _ => true,
        }
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
            _ => None,
        })
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
            K::Similar => alone(p::BETWEEN, Action::Like(LikeKind::SimilarTo)),
            K::Not if self.negates() => alone(p::BETWEEN, Action::Not),
            K::Escape => alone(p::ESCAPE, Action::Escape),
            K::Collate => left(p::COLLATE, Action::Collate),
            K::At => left(p::AT, Action::AtTimeZone),
            K::Operator => left(p::OTHER, Action::Operator),
            _ => None,
        };
        let infix =
            infix.filter(|infix| !mode.is_simple() || matches!(infix.action, Action::Is | Action::Operator));
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
        let next = self.peek();
        next == TokenKind::Comma || ends_items(next)
    }

    fn apply(&mut self, infix: Infix, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        match infix.action {
            Action::Binary(op) => self.binary(op, infix.precedence, value),
            Action::Operator => self.binary_by_name(value),
            Action::And => self.junction(NodeKind::And, Then::And, p::AND, value),
            Action::Or => self.junction(NodeKind::Or, Then::Or, p::OR, value),
            Action::Cast => self.cast_suffix(value),
            Action::Is => self.is_test(value),
            Action::IsNull { is_negated } => {
                self.take();
                Ok(Step::Value(self.is_node(value, IsTest::Null, is_negated)?))
            }
            Action::Not => {
                self.take();
                self.negated(value)
            }
            Action::Between => self.between(value, 0),
            Action::In => self.in_operator(value, 0),
            Action::Like(LikeKind::SimilarTo) => self.similar(value),
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

    /// `value OPERATOR(schema.+)`.
    fn binary_by_name(&mut self, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        let node = self.around(NodeKind::Binary, value)?;
        node.set_detail(BinaryOp::Other.code());
        node.push(self.operator_in_parens()?);
        self.want_right(Then::Binary, node, p::OTHER)
    }

    /// Reads `OPERATOR(schema.+)`; the current token is the word.
    pub(super) fn operator_in_parens(&mut self) -> Parsed<NodeRef<'a>> {
        let start = self.take().start;
        self.expect(TokenKind::LeftParen, &["`(`"])?;
        let node = self.operator_name()?;
        self.expect(TokenKind::RightParen, &["`)`"])?;
        node.set_span(Span::new(start, self.end));
        Ok(node)
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
        self.want_type(Frame::of(Then::CastSuffix, node))
    }

    pub(super) fn after_cast_suffix(&mut self, frame: Frame<'a>, type_name: NodeRef<'a>) -> Parsed<Step<'a>> {
        frame.node().push(type_name);
        Ok(Step::Value(frame.node()))
    }

    fn is_test(&mut self, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        use Keyword as K;
        const TESTS: &[&str] = &["NULL", "TRUE", "FALSE", "UNKNOWN", "DISTINCT FROM"];
        self.take();
        if self.is(K::Not) && self.is_half_a_word() {
            return Err(self.unexpected(TESTS));
        }
        let is_negated = self.take_word(K::Not);
        let is_simple = self.stack.top().mode.is_simple();
        let test = match self.token.keyword() {
            Some(K::Distinct) => return self.distinct_from(value, is_negated),
            Some(K::Document) => IsTest::Document,
            _ if is_simple => return Err(self.unexpected(&["DISTINCT FROM", "DOCUMENT"])),
            Some(K::Null) => IsTest::Null,
            Some(K::True) => IsTest::True,
            Some(K::False) => IsTest::False,
            Some(K::Unknown) => IsTest::Unknown,
            Some(K::Normalized) => IsTest::Normalized,
            Some(form @ (K::Nfc | K::Nfd | K::Nfkc | K::Nfkd)) => {
                self.take();
                if !self.is(K::Normalized) {
                    return Err(self.unexpected(&["NORMALIZED"]));
                }
                match form {
                    K::Nfc => IsTest::NormalizedNfc,
                    K::Nfd => IsTest::NormalizedNfd,
                    K::Nfkc => IsTest::NormalizedNfkc,
                    _ => IsTest::NormalizedNfkd,
                }
            }
            Some(K::Json) => return self.is_json(value, is_negated),
            _ => return Err(self.unexpected(TESTS)),
        };
        self.take();
        let node = self.is_node(value, test, is_negated)?;
        Ok(Step::Value(node))
    }

    /// `IS JSON [VALUE | ARRAY | OBJECT | SCALAR] [{WITH | WITHOUT} UNIQUE [KEYS]]`.
    fn is_json(&mut self, value: NodeRef<'a>, is_negated: bool) -> Parsed<Step<'a>> {
        use Keyword as K;
        self.take();
        let word = self.token.keyword();
        let test = match word {
            Some(K::Value) => IsTest::Json,
            Some(K::Array) => IsTest::JsonArray,
            Some(K::Object) => IsTest::JsonObject,
            Some(K::Scalar) => IsTest::JsonScalar,
            _ => IsTest::Json,
        };
        if test != IsTest::Json || word == Some(K::Value) {
            self.take();
        }
        let node = self.is_node(value, test, is_negated)?;
        let is_unique = self.is(K::With);
        if self.begins_with() || (self.is(K::Without) && !self.peeks(K::Time)) {
            self.take();
            self.expect_word(K::Unique, &["UNIQUE"])?;
            self.take_word(K::Keys);
            node.set(if is_unique { flag::UNIQUE_KEYS } else { 0 });
            node.set_end(self.end);
        }
        Ok(Step::Value(node))
    }

    /// Whether the current token is a `WITH` of its own: before `TIME` or `ORDINALITY` it belongs to what follows.
    pub(super) fn begins_with(&mut self) -> bool {
        self.is(Keyword::With)
            && !matches!(self.peek(), TokenKind::Keyword(Keyword::Time | Keyword::Ordinality))
    }

    fn is_node(&mut self, value: NodeRef<'a>, test: IsTest, is_negated: bool) -> Parsed<NodeRef<'a>> {
        let node = self.around(NodeKind::Is, value)?;
        node.set_detail(test.code());
        node.set(if is_negated { flag::NOT } else { 0 });
        node.set_end(self.end);
        Ok(node)
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

    /// `SIMILAR TO`, or the `SIMILAR` in `SUBSTRING(a SIMILAR b ESCAPE c)`.
    fn similar(&mut self, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        if may_be_similar(self.stack.top()) && !self.peeks(Keyword::To) {
            return Ok(Step::Done(value));
        }
        self.like(LikeKind::SimilarTo, value, 0)
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
        self.dotted_name(node, Last::Name)?;
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
        self.expect_word(Keyword::Time, &["TIME ZONE", "LOCAL"])?;
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
