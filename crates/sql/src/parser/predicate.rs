//! Predicates that compare with many values or rows: `= ANY (…)`, `OVERLAPS`, `UNIQUE`.

use super::stack::{Frame, Then};
use super::{Parsed, Parser, Step, paren};
use crate::Keyword as K;
use crate::Span;
use crate::error::Mistake;
use crate::node::{NodeKind, NodeRef, flag};
use crate::token::TokenKind;
use crate::views::LikeKind;

impl<'a> Parser<'a, '_> {
    // ---- ANY, SOME, ALL

    /// `ANY`, `SOME` or `ALL` where an operand begins: only right after an operator that compares with many.
    pub(super) fn quantified(&mut self) -> Parsed<Step<'a>> {
        let top = *self.stack.top();
        let is_like = top.then == Then::LikePattern && top.node().detail() != LikeKind::SimilarTo.code();
        if !(is_like || top.then == Then::Binary) || top.mode.is_simple() {
            return Err(self.unexpected(&["an expression"]));
        }
        self.stack.pop();
        let node = top.node();
        node.set_kind(NodeKind::QuantifiedArray);
        node.set(if is_like { flag::LIKE } else { 0 });
        node.set(if self.is(K::All) { flag::ALL } else { 0 });
        self.take();
        let start = self.expect(TokenKind::LeftParen, &["`(`"])?.start;
        if self.begins_query() {
            node.set_kind(NodeKind::QuantifiedQuery);
            return self.want_query(paren(Then::QuantifiedQuery, Some(node), start));
        }
        self.want_expr(paren(Then::QuantifiedItem, Some(node), start))
    }

    pub(super) fn after_quantified_item(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        let node = frame.node();
        let may_be_query = value.kind() == NodeKind::Subquery;
        if may_be_query && (self.token.kind == TokenKind::RightParen || self.continues_query()) {
            // `= ANY ((SELECT 1))` is a query in more parentheses than it needs.
            let query = value.take_only_child().unwrap_or(value);
            node.set_kind(NodeKind::QuantifiedQuery);
            self.push_frame(paren(Then::QuantifiedQuery, Some(node), frame.start))?;
            return Ok(Step::QueryValue(query));
        }
        node.push(value);
        if self.token.kind != TokenKind::RightParen {
            self.push_frame(frame)?;
            return Err(self.unexpected(&["`)`", "an operator"]));
        }
        self.take();
        node.set_end(self.end);
        Ok(Step::Value(node))
    }

    // ---- OVERLAPS

    /// A row that was just read, which `OVERLAPS` may follow.
    pub(super) fn row_value(&mut self, row: NodeRef<'a>) -> Parsed<Step<'a>> {
        if !self.is(K::Overlaps) || self.stack.top().mode.is_simple() {
            return Ok(Step::Value(row));
        }
        let node = self.node(NodeKind::Overlaps, row.span())?;
        node.push(row);
        self.take();
        let right = self.node(NodeKind::Row, self.token.span())?;
        if self.take_word(K::Row) {
            right.set(flag::EXPLICIT);
        }
        let start = self.expect(TokenKind::LeftParen, &["`(`", "ROW"])?.start;
        let frame = Frame { outer: Some(node), ..paren(Then::OverlapsItem, Some(right), start) };
        if right.has(flag::EXPLICIT) && self.token.kind == TokenKind::RightParen {
            return self.end_overlaps(frame);
        }
        self.want_expr(frame)
    }

    pub(super) fn after_overlaps_item(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        let right = frame.node();
        right.push(value);
        let is_row = right.has(flag::EXPLICIT) || right.children_count() > 1;
        match self.token.kind {
            TokenKind::Comma => {
                self.take();
                self.want_expr(frame)
            }
            TokenKind::RightParen if is_row => self.end_overlaps(frame),
            _ => {
                self.push_frame(frame)?;
                Err(self.unexpected(if is_row { &["`)`", "`,`", "an operator"] } else { &["`,`"] }))
            }
        }
    }

    fn end_overlaps(&mut self, frame: Frame<'a>) -> Parsed<Step<'a>> {
        self.take();
        let (right, node) = (frame.node(), frame.outer());
        right.set_end(self.end);
        let left = node.first_child().unwrap_or(right);
        if let Some(row) = [left, right].into_iter().find(|row| row.children_count() != 2) {
            return Err(self.mistake(Mistake::OverlapsNeedsPairs, row.span(), None));
        }
        node.push(right);
        Ok(Step::Value(node))
    }

    // ---- UNIQUE

    /// `UNIQUE [NULLS [NOT] DISTINCT] (query)`, which PostgreSQL's grammar has and PostgreSQL has not.
    pub(super) fn unique(&mut self) -> Parsed<Step<'a>> {
        if self.stack.top().mode.is_simple() {
            return Err(self.unexpected(&["an expression"]));
        }
        let word = self.take();
        if self.is(K::Nulls) && !self.is_half_a_word() {
            self.take();
            self.take_word(K::Not);
            self.expect_word(K::Distinct, &["DISTINCT"])?;
        }
        let start = self.expect(TokenKind::LeftParen, &["`(`"])?.start;
        let node = self.node(NodeKind::Exists, word.span())?;
        self.want_query(paren(Then::UniqueQuery, Some(node), start))
    }

    pub(super) fn after_unique_query(&mut self, frame: Frame<'a>) -> Parsed<Step<'a>> {
        self.close_query(frame)?;
        let span = Span::new(frame.node().span().start, self.end);
        Err(self.unsupported("the predicate UNIQUE", span))
    }
}

/// Whether `frame` waits for the first argument of `SUBSTRING`, after which `SIMILAR` may stand.
pub(super) fn may_be_similar(frame: &Frame<'_>) -> bool {
    frame.then == Then::FormArg && frame.node().name() == "substring" && frame.node().children_count() == 0
}
