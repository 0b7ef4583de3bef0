//! `SELECT` and its clauses up to `WINDOW`; `TABLE`, which is short for one.

use super::stack::{Frame, Mode, Then};
use super::{Form, Parsed, Parser, Step, paren};
use crate::node::{NodeKind, NodeRef, flag};
use crate::token::TokenKind;
use crate::views::{GroupingKind, IntoKind};
use crate::{Keyword, Span};
use Keyword as K;

impl<'a> Parser<'a, '_> {
    /// `TABLE t`, short for `SELECT * FROM t`, which is what its tree is.
    pub(super) fn table_query(&mut self) -> Parsed<Step<'a>> {
        let select = self.node_here(NodeKind::Select)?;
        select.set(flag::KEYWORD);
        let here = Span { start: self.token.start, len: 0 };
        let star = self.node(NodeKind::Star, here)?;
        let from = self.node(NodeKind::From, here)?;
        let table = self.relation()?;
        from.push(table);
        select.push(star);
        select.push(from);
        Ok(Step::QueryValue(select))
    }

    pub(super) fn select(&mut self) -> Parsed<Step<'a>> {
        let select = self.node_here(NodeKind::Select)?;
        if self.take_word(K::Distinct) {
            select.set(flag::DISTINCT);
            if self.is(K::On) {
                let on = self.node_here(NodeKind::DistinctOn)?;
                let start = self.expect(TokenKind::LeftParen, &["`(`"])?.start;
                let frame = paren(Then::DistinctOnItem, Some(on), start);
                return self.want_expr(Frame { outer: Some(select), ..frame });
            }
            return self.select_item(select);
        }
        self.take_word(K::All);
        if ends_items(self.token.kind) {
            return self.select_from(select);
        }
        self.select_item(select)
    }

    pub(super) fn after_distinct_on_item(
        &mut self,
        frame: Frame<'a>,
        value: NodeRef<'a>,
    ) -> Parsed<Step<'a>> {
        let (on, select) = (frame.node(), frame.outer());
        on.push(value);
        if self.take_if(TokenKind::Comma) {
            return self.want_expr(frame);
        }
        self.close(frame)?;
        on.set_end(self.end);
        select.push(on);
        self.select_item(select)
    }

    fn select_item(&mut self, select: NodeRef<'a>) -> Parsed<Step<'a>> {
        let frame = Frame { mode: Mode::Item, ..Frame::of(Then::SelectItem, select) };
        if self.token.kind == TokenKind::Star {
            let star = self.node_here(NodeKind::Star)?;
            return self.after_select_item(frame, star);
        }
        self.want_expr(frame)
    }

    pub(super) fn after_select_item(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        let select = frame.node();
        let is_star = value.kind() == NodeKind::Star && value.qualifier().is_none();
        let has_label = !is_star && (self.is(K::As) || self.has_bare_label());
        let item = if has_label { self.labelled(value)? } else { value };
        select.push(item);
        match self.token.kind {
            TokenKind::Comma => {
                self.take();
                self.select_item(select)
            }
            _ => self.select_from(select),
        }
    }

    /// Whether the current token is a label without `AS`.
    fn has_bare_label(&mut self) -> bool {
        Self::is_bare_label(self.token.kind) && !self.is_half_a_word()
    }

    pub(super) fn labelled(&mut self, value: NodeRef<'a>) -> Parsed<NodeRef<'a>> {
        if self.take_word(K::As) && !Self::is_label(self.token.kind) {
            return Err(self.unexpected(&["a label"]));
        }
        let item = self.node(NodeKind::Aliased, value.span())?;
        let token = self.take();
        item.set_text(self.name_text(token)?);
        item.push(value);
        item.set_end(self.end);
        Ok(item)
    }

    fn select_from(&mut self, select: NodeRef<'a>) -> Parsed<Step<'a>> {
        if self.is(K::Into) {
            let into = self.made_table()?;
            select.push(into);
        }
        if !self.is(K::From) {
            return self.select_where(select);
        }
        let from = self.node_here(NodeKind::From)?;
        self.push_frame(Frame::of(Then::SelectFrom, select))?;
        self.table_of_from(from)
    }

    pub(super) fn after_select_from(&mut self, frame: Frame<'a>, from: NodeRef<'a>) -> Parsed<Step<'a>> {
        frame.node().push(from);
        self.select_where(frame.node())
    }

    /// `INTO [TEMP] [TABLE] name` after the items of a select.
    fn made_table(&mut self) -> Parsed<NodeRef<'a>> {
        let start = self.take().start;
        let mut kind = IntoKind::Plain;
        let is_global = matches!(self.token.keyword(), Some(K::Local | K::Global));
        if is_global && matches!(self.peek(), TokenKind::Keyword(K::Temp | K::Temporary)) {
            self.take();
            self.take();
            kind = IntoKind::Temporary;
        } else if matches!(self.token.keyword(), Some(K::Temp | K::Temporary | K::Unlogged)) {
            // A name may be one of these words, but then no other follows it.
            let next = self.peek();
            if next == TokenKind::Keyword(K::Table) || Self::is_column_name(next) {
                kind = if self.is(K::Unlogged) { IntoKind::Unlogged } else { IntoKind::Temporary };
                self.take();
            }
        }
        self.take_word(K::Table);
        let into = self.relation_name(NodeKind::Into)?;
        into.set_detail(kind.code());
        into.set_span(Span::new(start, self.end));
        Ok(into)
    }

    fn select_where(&mut self, select: NodeRef<'a>) -> Parsed<Step<'a>> {
        if !self.is(K::Where) {
            return self.select_group(select);
        }
        let clause = self.node_here(NodeKind::Where)?;
        self.want_expr(Frame { outer: Some(select), ..Frame::of(Then::SelectWhere, clause) })
    }

    pub(super) fn after_select_where(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        frame.node().push(value);
        frame.outer().push(frame.node());
        self.select_group(frame.outer())
    }

    fn select_group(&mut self, select: NodeRef<'a>) -> Parsed<Step<'a>> {
        if !self.is(K::Group) {
            return self.select_having(select);
        }
        let clause = self.node_here(NodeKind::GroupBy)?;
        self.expect_word(K::By, &["BY"])?;
        if self.take_word(K::Distinct) {
            clause.set(flag::DISTINCT);
        } else if self.take_word(K::All) {
            clause.set(flag::ALL);
        }
        self.group_item(Frame { outer: Some(select), ..Frame::of(Then::GroupItem, clause) })
    }

    /// One item of `GROUP BY`, whose frame has the select as its outer node, or of `GROUPING SETS`, whose frame has none.
    fn group_item(&mut self, mut frame: Frame<'a>) -> Parsed<Step<'a>> {
        loop {
            let kind = self.token.kind;
            let set = match kind {
                TokenKind::Keyword(K::Rollup) if self.peek() == TokenKind::LeftParen => GroupingKind::Rollup,
                TokenKind::Keyword(K::Cube) if self.peek() == TokenKind::LeftParen => GroupingKind::Cube,
                TokenKind::Keyword(K::Grouping) if self.peeks(K::Sets) => GroupingKind::Sets,
                TokenKind::LeftParen if self.peek() == TokenKind::RightParen => GroupingKind::Empty,
                _ => return self.want_expr(frame),
            };
            self.push_frame(frame)?;
            let node = self.node_here(NodeKind::GroupingSet)?;
            node.set_detail(set.code());
            let start = self.take().start;
            match set {
                GroupingKind::Empty => {
                    node.set_end(self.end);
                    return Ok(Step::Done(node));
                }
                GroupingKind::Rollup | GroupingKind::Cube => {
                    return self.want_expr(paren(Then::GroupingItem, Some(node), start));
                }
                GroupingKind::Sets => {
                    let start = self.expect(TokenKind::LeftParen, &["`(`"])?.start;
                    frame = paren(Then::GroupItem, Some(node), start);
                }
            }
        }
    }

    pub(super) fn after_group_item(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        frame.node().push(value);
        if self.take_if(TokenKind::Comma) {
            return self.group_item(frame);
        }
        match frame.outer {
            Some(select) => {
                select.push(frame.node());
                self.select_having(select)
            }
            None => self.end_grouping_set(frame),
        }
    }

    /// After an expression in `ROLLUP (…)` or `CUBE (…)`.
    pub(super) fn after_grouping_item(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        frame.node().push(value);
        if self.take_if(TokenKind::Comma) {
            return self.want_expr(frame);
        }
        self.end_grouping_set(frame)
    }

    fn end_grouping_set(&mut self, frame: Frame<'a>) -> Parsed<Step<'a>> {
        self.close(frame)?;
        frame.node().set_end(self.end);
        Ok(Step::Done(frame.node()))
    }

    fn select_having(&mut self, select: NodeRef<'a>) -> Parsed<Step<'a>> {
        if !self.is(K::Having) {
            return self.after_having(select);
        }
        let clause = self.node_here(NodeKind::Having)?;
        self.want_expr(Frame { outer: Some(select), ..Frame::of(Then::SelectHaving, clause) })
    }

    pub(super) fn after_select_having(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        frame.node().push(value);
        frame.outer().push(frame.node());
        self.after_having(frame.outer())
    }

    fn after_having(&mut self, select: NodeRef<'a>) -> Parsed<Step<'a>> {
        if self.is(K::Window) { self.select_window(select) } else { self.end_select(select) }
    }

    pub(super) fn end_select(&mut self, select: NodeRef<'a>) -> Parsed<Step<'a>> {
        select.set_end(self.end);
        Ok(Step::QueryValue(select))
    }

    /// `WINDOW w AS (…), …`; the current token is `WINDOW`.
    pub(super) fn select_window(&mut self, select: NodeRef<'a>) -> Parsed<Step<'a>> {
        let clause = self.node_here(NodeKind::Windows)?;
        self.window_item(select, clause)
    }

    fn window_item(&mut self, select: NodeRef<'a>, clause: NodeRef<'a>) -> Parsed<Step<'a>> {
        if !Self::is_column_name(self.token.kind) {
            return Err(self.unexpected(&["the name of a window"]));
        }
        self.push_frame(Frame { outer: Some(select), ..Frame::of(Then::WindowItem, clause) })?;
        self.enter(Form::Window)
    }

    pub(super) fn after_window_item(&mut self, frame: Frame<'a>, window: NodeRef<'a>) -> Parsed<Step<'a>> {
        frame.node().push(window);
        if self.take_if(TokenKind::Comma) {
            return self.window_item(frame.outer(), frame.node());
        }
        frame.outer().push(frame.node());
        self.end_select(frame.outer())
    }
}

/// Whether the items of a select end before such a token: `SELECT FROM t` has none.
pub(super) fn ends_items(kind: TokenKind) -> bool {
    match kind {
        TokenKind::End | TokenKind::Semicolon | TokenKind::RightParen => true,
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
                // What may follow a select inside of other statements.
                | K::On
                | K::Returning
                | K::With
        ),
        _ => false,
    }
}
