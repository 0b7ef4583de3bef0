//! Queries: `SELECT`, `VALUES`, set operations, `WITH`, and the clauses after them.

use super::stack::{Frame, Mode, Then};
use super::{Parsed, Parser, Step, paren};
use crate::error::{Hint, Mistake};
use crate::node::{NodeKind, NodeRef, flag};
use crate::token::TokenKind;
use crate::views::SetOperator;
use crate::{Keyword, Span};
use Keyword as K;

const QUERY: &[&str] = &["SELECT", "VALUES", "`(`"];

impl<'a> Parser<'a, '_> {
    pub(super) fn query(&mut self) -> Parsed<Step<'a>> {
        if !self.is(K::With) {
            return self.query_body();
        }
        let with = self.node_here(NodeKind::With)?;
        if self.take_word(K::Recursive) {
            with.set(flag::RECURSIVE);
        }
        self.cte(with)
    }

    /// A query without `WITH`: a select, values, or a query in parentheses.
    pub(super) fn query_body(&mut self) -> Parsed<Step<'a>> {
        match self.token.kind {
            TokenKind::Keyword(K::Select) => self.select(),
            TokenKind::Keyword(K::Values) => self.values(),
            TokenKind::Keyword(K::Table) => Err(self.unsupported_here("TABLE as a query")),
            TokenKind::LeftParen => {
                let start = self.take().start;
                self.want_query(paren(Then::QueryParen, None, start))
            }
            _ => match self.change_in_query() {
                Some(form) => self.enter(form),
                None => Err(self.unexpected(QUERY)),
            },
        }
    }

    // ---- WITH

    /// One named query of `with`.
    fn cte(&mut self, with: NodeRef<'a>) -> Parsed<Step<'a>> {
        let (name, span) = self.column_name()?;
        let cte = self.node(NodeKind::Cte, span)?;
        cte.set_text(name);
        if self.token.kind == TokenKind::LeftParen {
            self.names_in_parens(cte)?;
        }
        self.expect_word(K::As, &["AS"])?;
        if self.is(K::Materialized) || (self.is(K::Not) && self.peeks(K::Materialized)) {
            return Err(self.unsupported_here("MATERIALIZED"));
        }
        let start = self.expect(TokenKind::LeftParen, &["`(`"])?.start;
        self.want_query(Frame { outer: Some(with), ..paren(Then::CteQuery, Some(cte), start) })
    }

    pub(super) fn after_cte_query(&mut self, frame: Frame<'a>, query: NodeRef<'a>) -> Parsed<Step<'a>> {
        self.close_query(frame)?;
        let (cte, with) = (frame.node(), frame.outer());
        cte.push(query);
        cte.set_end(self.end);
        with.push(cte);
        match self.token.kind {
            TokenKind::Comma => {
                self.take();
                self.cte(with)
            }
            TokenKind::Keyword(K::Search | K::Cycle) => Err(self.unsupported_here("SEARCH or CYCLE")),
            _ => {
                let precedence = u8::from(self.may_change_data());
                self.push_frame(Frame { precedence, ..Frame::of(Then::WithBody, with) })?;
                Ok(Step::QueryBody)
            }
        }
    }

    pub(super) fn after_with_body(&mut self, frame: Frame<'a>, query: NodeRef<'a>) -> Parsed<Step<'a>> {
        self.add_clause(query, frame.node())?;
        Ok(Step::Done(query))
    }

    // ---- parentheses and set operations

    /// Reads the `)` after a query.
    pub(super) fn close_query(&mut self, frame: Frame<'a>) -> Parsed<()> {
        if self.token.kind != TokenKind::RightParen {
            self.push_frame(frame)?;
            return Err(self.unexpected(&["`)`"]));
        }
        self.take();
        Ok(())
    }

    pub(super) fn after_query_paren(&mut self, frame: Frame<'a>, query: NodeRef<'a>) -> Parsed<Step<'a>> {
        self.close_query(frame)?;
        query.set_span(Span::new(frame.start, self.end));
        Ok(Step::QueryValue(query))
    }

    /// A query stands before the current token: completes the set operations that end here and starts the next.
    pub(super) fn set_operation(&mut self, mut query: NodeRef<'a>) -> Parsed<Step<'a>> {
        let next = match self.token.keyword() {
            Some(K::Union) => Some((SetOperator::Union, 1)),
            Some(K::Except) => Some((SetOperator::Except, 1)),
            Some(K::Intersect) => Some((SetOperator::Intersect, 2)),
            _ => None,
        };
        while self.stack.top().then == Then::SetOperation
            && next.is_none_or(|(_, precedence)| self.stack.top().precedence >= precedence)
        {
            let frame = self.stack.pop();
            frame.node().push(query);
            query = frame.node();
        }
        let Some((operator, precedence)) = next else { return Ok(Step::QueryTail(query)) };
        let node = self.node(NodeKind::SetOperation, query.span())?;
        node.push(query);
        node.set_detail(operator.code());
        self.take();
        if self.take_word(K::All) {
            node.set(flag::ALL);
        } else {
            self.take_word(K::Distinct);
        }
        self.push_frame(Frame { precedence, ..Frame::of(Then::SetOperation, node) })?;
        Ok(Step::QueryBody)
    }

    // ---- the clauses after a query

    pub(super) fn query_tail(&mut self, query: NodeRef<'a>) -> Parsed<Step<'a>> {
        match self.token.keyword() {
            Some(K::Order) => {
                let clause = self.node_here(NodeKind::OrderBy)?;
                self.expect_word(K::By, &["BY"])?;
                self.sort_key(query, clause)
            }
            Some(K::Limit) => self.limit(query),
            Some(K::Offset) => {
                let clause = self.node_here(NodeKind::Offset)?;
                self.want_expr(Frame { outer: Some(query), ..Frame::of(Then::Offset, clause) })
            }
            Some(K::Fetch) => self.fetch_first(query),
            Some(K::For) => Err(self.unsupported_here("FOR after a query")),
            _ => Ok(Step::Done(query)),
        }
    }

    /// Hangs a clause under a query, where it belongs among the others.
    fn add_clause(&mut self, query: NodeRef<'a>, clause: NodeRef<'a>) -> Parsed<()> {
        let kind = clause.kind();
        if query.child_of_kind(kind).is_some() {
            let span = clause.span();
            return Err(self.mistake(Mistake::RepeatedClause, span, None));
        }
        let rank = clause_rank(kind);
        query.insert(clause, |other| clause_rank(other) > rank);
        Ok(())
    }

    fn sort_key(&mut self, query: NodeRef<'a>, clause: NodeRef<'a>) -> Parsed<Step<'a>> {
        self.want_expr(Frame { outer: Some(query), ..Frame::of(Then::OrderItem, clause) })
    }

    pub(super) fn after_order_item(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        let key = self.node(NodeKind::SortKey, value.span())?;
        key.push(value);
        match self.token.keyword() {
            Some(K::Asc) => {
                self.take();
                key.set(flag::ASCENDING);
            }
            Some(K::Desc) => {
                self.take();
                key.set(flag::DESCENDING);
            }
            Some(K::Using) => return Err(self.unsupported_here("USING in ORDER BY")),
            _ => {}
        }
        if self.take_word(K::Nulls) {
            match self.token.keyword() {
                Some(K::First) => key.set(flag::NULLS_FIRST),
                Some(K::Last) => key.set(flag::NULLS_LAST),
                _ => return Err(self.unexpected(&["FIRST", "LAST"])),
            }
            self.take();
        }
        key.set_end(self.end);
        frame.node().push(key);
        if self.take_if(TokenKind::Comma) {
            return self.sort_key(frame.outer(), frame.node());
        }
        self.add_clause(frame.outer(), frame.node())?;
        Ok(Step::QueryTail(frame.outer()))
    }

    fn limit(&mut self, query: NodeRef<'a>) -> Parsed<Step<'a>> {
        let clause = self.node_here(NodeKind::Limit)?;
        if self.take_word(K::All) {
            clause.set_end(self.end);
            self.add_clause(query, clause)?;
            return Ok(Step::QueryTail(query));
        }
        self.want_expr(Frame { outer: Some(query), ..Frame::of(Then::Limit, clause) })
    }

    pub(super) fn after_limit(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        if self.token.kind == TokenKind::Comma {
            return Err(self.unexpected_with(&["OFFSET"], Some(Hint::LimitComma)));
        }
        self.after_count(frame, value)
    }

    pub(super) fn after_offset(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        let rows = self.token.span();
        let has_rows = self.take_word(K::Row) || self.take_word(K::Rows);
        if has_rows && !is_plain_count(value.kind()) {
            return Err(self.unsupported("an expression before ROWS", rows));
        }
        self.after_count(frame, value)
    }

    fn after_count(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        let (clause, query) = (frame.node(), frame.outer());
        clause.push(value);
        clause.set_end(self.end);
        self.add_clause(query, clause)?;
        Ok(Step::QueryTail(query))
    }

    /// `FETCH FIRST 3 ROWS ONLY`: a limit; without a count it is one row.
    fn fetch_first(&mut self, query: NodeRef<'a>) -> Parsed<Step<'a>> {
        let clause = self.node_here(NodeKind::Limit)?;
        if !self.take_word(K::First) && !self.take_word(K::Next) {
            return Err(self.unexpected(&["FIRST", "NEXT"]));
        }
        let count = match self.token.kind {
            TokenKind::Integer => NodeKind::Integer,
            TokenKind::Number => NodeKind::Number,
            TokenKind::Keyword(K::Row | K::Rows) => {
                let one = self.node(NodeKind::Integer, self.token.span())?;
                one.set_text("1");
                clause.push(one);
                return self.rows_only(query, clause);
            }
            _ => return Err(self.unsupported_here("a count in FETCH that is no number")),
        };
        let token = self.take();
        let node = self.node(count, token.span())?;
        node.set_text(self.slice(token));
        clause.push(node);
        self.rows_only(query, clause)
    }

    fn rows_only(&mut self, query: NodeRef<'a>, clause: NodeRef<'a>) -> Parsed<Step<'a>> {
        if !self.take_word(K::Row) && !self.take_word(K::Rows) {
            return Err(self.unexpected(&["ROW", "ROWS"]));
        }
        if self.is(K::With) {
            return Err(self.unsupported_here("WITH TIES"));
        }
        self.expect_word(K::Only, &["ONLY"])?;
        clause.set_end(self.end);
        self.add_clause(query, clause)?;
        Ok(Step::QueryTail(query))
    }

    // ---- VALUES

    fn values(&mut self) -> Parsed<Step<'a>> {
        let values = self.node_here(NodeKind::Values)?;
        self.values_row(values)
    }

    fn values_row(&mut self, values: NodeRef<'a>) -> Parsed<Step<'a>> {
        let token = self.expect(TokenKind::LeftParen, &["`(`"])?;
        let row = self.node(NodeKind::Row, token.span())?;
        self.want_expr(Frame { outer: Some(values), ..paren(Then::ValuesItem, Some(row), token.start) })
    }

    pub(super) fn after_values_item(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        let (row, values) = (frame.node(), frame.outer());
        row.push(value);
        if self.take_if(TokenKind::Comma) {
            return self.want_expr(frame);
        }
        self.close(frame)?;
        row.set_end(self.end);
        values.push(row);
        if self.take_if(TokenKind::Comma) {
            return self.values_row(values);
        }
        Ok(Step::QueryValue(values))
    }

    // ---- SELECT

    fn select(&mut self) -> Parsed<Step<'a>> {
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
        if self.ends_items() {
            return self.select_from(select);
        }
        self.select_item(select)
    }

    /// Whether the list of items is empty: `SELECT FROM t`.
    fn ends_items(&self) -> bool {
        match self.token.kind {
            TokenKind::End | TokenKind::Semicolon | TokenKind::RightParen => true,
            TokenKind::Keyword(keyword) => matches!(
                keyword,
                K::From
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
                    | K::Into
            ),
            _ => false,
        }
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
        let is_star = value.kind() == NodeKind::Star;
        let has_label = !is_star && (self.is(K::As) || Self::is_bare_label(self.token.kind));
        if is_star && value.qualifier().is_some() && (self.is(K::As) || Self::is_bare_label(self.token.kind))
        {
            return Err(self.unsupported_here("a label of `t.*`"));
        }
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
            return Err(self.unsupported_here("SELECT INTO"));
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
        if matches!(self.token.keyword(), Some(K::All | K::Distinct)) {
            return Err(self.unsupported_here("GROUP BY ALL or DISTINCT"));
        }
        self.group_item(Frame { outer: Some(select), ..Frame::of(Then::GroupItem, clause) })
    }

    fn group_item(&mut self, frame: Frame<'a>) -> Parsed<Step<'a>> {
        let is_set = match self.token.keyword() {
            Some(K::Cube | K::Rollup) => self.peek() == TokenKind::LeftParen,
            Some(K::Grouping) => self.peeks(K::Sets),
            _ => self.token.kind == TokenKind::LeftParen && self.peek() == TokenKind::RightParen,
        };
        if is_set {
            return Err(self.unsupported_here("grouping sets"));
        }
        self.want_expr(frame)
    }

    pub(super) fn after_group_item(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        frame.node().push(value);
        if self.take_if(TokenKind::Comma) {
            return self.group_item(frame);
        }
        frame.outer().push(frame.node());
        self.select_having(frame.outer())
    }

    fn select_having(&mut self, select: NodeRef<'a>) -> Parsed<Step<'a>> {
        if !self.is(K::Having) {
            return self.end_select(select);
        }
        let clause = self.node_here(NodeKind::Having)?;
        self.want_expr(Frame { outer: Some(select), ..Frame::of(Then::SelectHaving, clause) })
    }

    pub(super) fn after_select_having(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        frame.node().push(value);
        frame.outer().push(frame.node());
        self.end_select(frame.outer())
    }

    fn end_select(&mut self, select: NodeRef<'a>) -> Parsed<Step<'a>> {
        if self.is(K::Window) {
            return Err(self.unsupported_here("WINDOW"));
        }
        select.set_end(self.end);
        Ok(Step::QueryValue(select))
    }
}

/// The order of clauses under a query; what is no clause comes before those that end it.
fn clause_rank(kind: NodeKind) -> u8 {
    match kind {
        NodeKind::With => 0,
        NodeKind::OrderBy => 2,
        NodeKind::Limit => 3,
        NodeKind::Offset => 4,
        _ => 1,
    }
}

/// Whether a value can stand before `ROWS` without parentheses, which the tree does not keep.
fn is_plain_count(kind: NodeKind) -> bool {
    matches!(
        kind,
        NodeKind::Integer | NodeKind::Number | NodeKind::Parameter | NodeKind::Column | NodeKind::Subquery
    )
}
