//! Calls: arguments with and without names, `VARIADIC`, `DISTINCT`, `ORDER BY`; and what may follow the `)`.

use super::name::is_string;
use super::stack::{Frame, Mode, Then};
use super::{Form, Parsed, Parser, Step, paren};
use crate::Keyword;
use crate::error::Mistake;
use crate::keyword::Category;
use crate::node::{NodeKind, NodeRef, flag};
use crate::token::TokenKind;
use Keyword as K;

/// What a call has said before the argument that is read, in the precedence of its frame.
mod said {
    pub(super) const NOTHING: u8 = 0;
    /// `ALL` or `DISTINCT`: no `VARIADIC`.
    pub(super) const QUANTIFIER: u8 = 1;
    /// `VARIADIC`: no more arguments.
    pub(super) const VARIADIC: u8 = 2;
}

impl<'a> Parser<'a, '_> {
    /// A call of the function that `node` names; the current token is `(`.
    pub(super) fn call(&mut self, node: NodeRef<'a>) -> Parsed<Step<'a>> {
        node.set_kind(NodeKind::Call);
        let start = self.take().start;
        let mut frame = paren(Then::CallArg, Some(node), start);
        match self.token.kind {
            TokenKind::RightParen => return self.end_call(node),
            TokenKind::Star => {
                self.take();
                node.set(flag::STAR);
                if self.token.kind != TokenKind::RightParen {
                    return Err(self.unexpected(&["`)`"]));
                }
                return self.end_call(node);
            }
            TokenKind::Keyword(K::Distinct) => {
                self.take();
                node.set(flag::DISTINCT);
                frame.precedence = said::QUANTIFIER;
            }
            TokenKind::Keyword(K::All) => {
                self.take();
                frame.precedence = said::QUANTIFIER;
            }
            TokenKind::Keyword(K::Variadic) => {
                self.take();
                node.set(flag::VARIADIC);
                frame.precedence = said::VARIADIC;
            }
            _ => {}
        }
        self.want_expr(frame)
    }

    pub(super) fn after_call_arg(
        &mut self,
        mut frame: Frame<'a>,
        mut value: NodeRef<'a>,
    ) -> Parsed<Step<'a>> {
        let node = frame.node();
        match frame.outer.take() {
            Some(named) => {
                named.push(value);
                value = named;
            }
            None if matches!(self.token.kind, TokenKind::Arrow | TokenKind::ColonEqual)
                && self.is_parameter_name(value) =>
            {
                self.take();
                value.set_kind(NodeKind::NamedArgument);
                return self.want_expr(Frame { outer: Some(value), ..frame });
            }
            None => {}
        }
        if self.begins_json_value(node) {
            return self.json_member(frame, value);
        }
        node.push(value);
        match self.token.kind {
            TokenKind::Comma if frame.precedence != said::VARIADIC => {
                self.take();
                let may_be_variadic = frame.precedence == said::NOTHING && !node.has(flag::KEYWORD);
                if self.is(K::Variadic) && may_be_variadic {
                    self.take();
                    node.set(flag::VARIADIC);
                    frame.precedence = said::VARIADIC;
                }
                self.want_expr(frame)
            }
            // `SUBSTRING` and `OVERLAY` have such arguments and nothing else of a call.
            TokenKind::RightParen if node.has(flag::KEYWORD) => {
                self.take();
                node.set_end(self.end);
                Ok(Step::Value(node))
            }
            TokenKind::RightParen if frame.precedence == said::NOTHING => self.end_plain_call(node),
            TokenKind::RightParen => self.end_call(node),
            TokenKind::Keyword(K::Order) if !node.has(flag::KEYWORD) => self.order_in_call(frame),
            _ => {
                self.push_frame(frame)?;
                Err(self.unexpected(&["`)`", "`,`", "an operator"]))
            }
        }
    }

    /// Whether a column that was read can be the name of a parameter: one name that can name a function.
    fn is_parameter_name(&self, value: NodeRef<'a>) -> bool {
        let text = value.span().of(self.lexer.text());
        value.kind() == NodeKind::Column
            && value.qualifier().is_none()
            && !self.is_in_parens(value)
            && Keyword::find(text).is_none_or(|keyword| keyword.category() != Category::ColumnName)
    }

    // ---- ORDER BY in a call

    /// `ORDER BY` after the arguments; the current token is `ORDER`.
    fn order_in_call(&mut self, frame: Frame<'a>) -> Parsed<Step<'a>> {
        let clause = self.node_here(NodeKind::OrderBy)?;
        self.expect_word(K::By, &["BY"])?;
        self.want_expr(Frame { then: Then::CallOrderItem, outer: Some(clause), ..frame })
    }

    pub(super) fn after_call_order_item(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        let (node, clause) = (frame.node(), frame.outer());
        clause.push(self.sort_key(value)?);
        if self.take_if(TokenKind::Comma) {
            return self.want_expr(frame);
        }
        if self.token.kind != TokenKind::RightParen {
            self.push_frame(frame)?;
            return Err(self.unexpected(&["`)`", "`,`", "an operator"]));
        }
        node.set(flag::ORDERED);
        node.push(clause);
        match frame.precedence {
            said::NOTHING => self.end_plain_call(node),
            _ => self.end_call(node),
        }
    }

    // ---- the end of a call

    /// Reads the `)` of a call that has arguments and nothing before them: such a call may turn out to be a type with its
    /// modifiers, before its string.
    fn end_plain_call(&mut self, node: NodeRef<'a>) -> Parsed<Step<'a>> {
        self.take();
        node.set_end(self.end);
        if !is_string(self.token.kind) || self.is_plain_call() {
            return self.after_call(node);
        }
        let is_clause = |child: &NodeRef<'a>| child.kind() == NodeKind::OrderBy;
        let is_named = |child: &NodeRef<'a>| child.kind() == NodeKind::NamedArgument;
        if let Some(child) = node.children().find(is_named).or_else(|| node.children().find(is_clause)) {
            return Err(self.mistake(Mistake::NotAModifier, child.span(), None));
        }
        node.set_kind(NodeKind::Type);
        self.typed_literal(node)
    }

    /// Whether the call on top of the stack can be nothing but one, and not a window function either.
    fn is_plain_call(&self) -> bool {
        self.stack.top().mode == Mode::Call
    }

    /// Reads the `)` of a call.
    fn end_call(&mut self, node: NodeRef<'a>) -> Parsed<Step<'a>> {
        self.take();
        node.set_end(self.end);
        self.after_call(node)
    }

    /// What may follow the `)` of a call.
    fn after_call(&mut self, node: NodeRef<'a>) -> Parsed<Step<'a>> {
        match self.token.kind {
            // Elsewhere these words are an alias.
            TokenKind::Keyword(K::Over | K::Filter | K::Within) if !self.is_plain_call() => {
                self.call_clause(node)
            }
            _ => Ok(Step::Value(node)),
        }
    }

    /// The next clause after a call: `WITHIN GROUP`, `FILTER`, `OVER`, each at most once and in this order.
    fn call_clause(&mut self, node: NodeRef<'a>) -> Parsed<Step<'a>> {
        let form = match self.token.keyword() {
            Some(K::Within) if !node.has(flag::WITHIN | flag::FILTERED | flag::WINDOWED) => Form::WithinGroup,
            Some(K::Filter) if !node.has(flag::FILTERED | flag::WINDOWED) => Form::Filter,
            Some(K::Over) if !node.has(flag::WINDOWED) => Form::Over,
            _ => return self.end_clauses(node),
        };
        self.push_frame(Frame::of(Then::CallClause, node))?;
        self.enter(form)
    }

    pub(super) fn after_call_clause(&mut self, frame: Frame<'a>, clause: NodeRef<'a>) -> Parsed<Step<'a>> {
        let node = frame.node();
        node.set(match clause.form() {
            Some(Form::WithinGroup) => flag::WITHIN,
            Some(Form::Filter) => flag::FILTERED,
            _ => flag::WINDOWED,
        });
        node.push(clause);
        self.call_clause(node)
    }

    fn end_clauses(&mut self, node: NodeRef<'a>) -> Parsed<Step<'a>> {
        let within = node.children().find(|child| child.form() == Some(Form::WithinGroup));
        match within {
            Some(within) if node.has(flag::ORDERED | flag::DISTINCT | flag::VARIADIC) => {
                Err(self.mistake(Mistake::WithinGroup, within.span(), None))
            }
            _ => Ok(Step::Value(node)),
        }
    }
}
