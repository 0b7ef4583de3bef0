//! Queries: `WITH`, parentheses, set operations, `VALUES`. A select is in `select.rs`, what follows a query in `tail.rs`.

use super::name::{is_plain_name, is_string};
use super::stack::{Frame, Mode, Then};
use super::{Failed, Form, Parsed, Parser, Rows, Step, paren};
use crate::error::Mistake;
use crate::keyword::Category;
use crate::node::{NodeKind, NodeRef, flag};
use crate::token::{Token, TokenKind};
use crate::views::{Materialized, SetOperator};
use crate::{Keyword, Span};
use Keyword as K;

const QUERY: &[&str] = &["SELECT", "VALUES", "`(`"];
const CONSTANT: &[&str] = &["a constant"];

impl<'a> Parser<'a, '_> {
    pub(super) fn query(&mut self) -> Parsed<Step<'a>> {
        if !self.is(K::With) {
            return self.query_body();
        }
        let with = self.node_here(NodeKind::With)?;
        // `WITH recursive AS (…)` names a query so.
        if self.is(K::Recursive) && !matches!(self.peek(), TokenKind::Keyword(K::As) | TokenKind::LeftParen) {
            self.take();
            with.set(flag::RECURSIVE);
        }
        self.cte(with)
    }

    /// A query without `WITH`: a select, values, or a query in parentheses.
    pub(super) fn query_body(&mut self) -> Parsed<Step<'a>> {
        match self.token.kind {
            TokenKind::Keyword(K::Select) => self.select(),
            TokenKind::Keyword(K::Values) => self.values(),
            TokenKind::Keyword(K::Table) => self.table_query(),
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
        if self.take_word(K::Not) {
            self.expect_word(K::Materialized, &["MATERIALIZED"])?;
            cte.set_detail(Materialized::No.code());
        } else if self.take_word(K::Materialized) {
            cte.set_detail(Materialized::Yes.code());
        }
        let start = self.expect(TokenKind::LeftParen, &["`(`"])?.start;
        self.want_query(Frame { outer: Some(with), ..paren(Then::CteQuery, Some(cte), start) })
    }

    pub(super) fn after_cte_query(&mut self, frame: Frame<'a>, query: NodeRef<'a>) -> Parsed<Step<'a>> {
        self.close_query(frame)?;
        let (cte, with) = (frame.node(), frame.outer());
        cte.push(query);
        cte.set_end(self.end);
        match self.token.keyword() {
            Some(K::Search) => self.cte_search(Form::Search, with, cte),
            Some(K::Cycle) => self.cte_search(Form::Cycle, with, cte),
            _ => self.end_cte(with, cte),
        }
    }

    /// `SEARCH …` or `CYCLE …` after a named query; the current token begins it.
    fn cte_search(&mut self, form: Form, with: NodeRef<'a>, cte: NodeRef<'a>) -> Parsed<Step<'a>> {
        self.push_frame(Frame { outer: Some(with), ..Frame::of(Then::CteSearch, cte) })?;
        self.enter(form)
    }

    pub(super) fn after_cte_search(&mut self, frame: Frame<'a>, form: NodeRef<'a>) -> Parsed<Step<'a>> {
        let (cte, with) = (frame.node(), frame.outer());
        cte.push(form);
        if form.form() == Some(Form::Search) && self.is(K::Cycle) {
            return self.cte_search(Form::Cycle, with, cte);
        }
        self.end_cte(with, cte)
    }

    /// Waits for a constant (`AexprConst`) that goes on as the frame on top says.
    pub(super) fn constant_value(&mut self) -> Parsed<Step<'a>> {
        let begins_constant = match self.token.kind {
            TokenKind::Keyword(keyword) => {
                keyword.category() != Category::Reserved || matches!(keyword, K::True | K::False | K::Null)
            }
            kind => is_plain_name(kind) || is_constant(kind),
        };
        if !begins_constant {
            return Err(self.unexpected(CONSTANT));
        }
        self.want_expr(Frame { mode: Mode::Primary, ..Frame::new(Then::Constant) })
    }

    pub(super) fn after_constant(&mut self, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        use NodeKind::{BitString, Boolean, Integer, Null, Number, String, TypedLiteral};
        match value.kind() {
            BitString | Boolean | Integer | Null | Number | String | TypedLiteral => Ok(Step::Done(value)),
            _ => Err(self.unexpected(&["a string"])),
        }
    }

    fn end_cte(&mut self, with: NodeRef<'a>, cte: NodeRef<'a>) -> Parsed<Step<'a>> {
        with.push(cte);
        if self.take_if(TokenKind::Comma) {
            return self.cte(with);
        }
        let precedence = self.changes_after_with();
        self.push_frame(Frame { precedence, ..Frame::of(Then::WithBody, with) })?;
        Ok(Step::QueryBody)
    }

    pub(super) fn after_with_body(&mut self, frame: Frame<'a>, query: NodeRef<'a>) -> Parsed<Step<'a>> {
        let with = frame.node();
        if query.first_child().is_some_and(|first| first.kind() == NodeKind::With) {
            return Err(self.mistake(Mistake::RepeatedClause, with.span(), None));
        }
        query.insert(with, |_| true);
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

    // ---- VALUES

    fn values(&mut self) -> Parsed<Step<'a>> {
        let values = self.node_here(NodeKind::Values)?;
        if self.rows == Rows::Apart && self.stack.has_one_level() {
            self.rows_of = Some(values);
            return Err(Failed);
        }
        self.values_rows(values)
    }

    /// Reads rows; the first one begins at the current token.
    fn values_rows(&mut self, values: NodeRef<'a>) -> Parsed<Step<'a>> {
        loop {
            let token = self.expect(TokenKind::LeftParen, &["`(`"])?;
            let row = self.node(NodeKind::Row, token.span())?;
            let frame = Frame { outer: Some(values), ..paren(Then::ValuesItem, Some(row), token.start) };
            if let Some(step) = self.values_items(frame)? {
                return Ok(step);
            }
            if let Some(step) = self.end_values_row(frame) {
                return Ok(step);
            }
        }
    }

    /// Reads values up to the `)` of their row. Constants, which most are, need no frame; the step is that to the first
    /// value that is anything else.
    fn values_items(&mut self, frame: Frame<'a>) -> Parsed<Option<Step<'a>>> {
        loop {
            self.look_for_cancel()?;
            let Some(value) = self.plain_constant()? else { return self.want_expr(frame).map(Some) };
            if !matches!(self.token.kind, TokenKind::Comma | TokenKind::RightParen) {
                self.push_frame(frame)?;
                return Ok(Some(Step::Value(value)));
            }
            frame.node().push(value);
            if self.take().kind == TokenKind::RightParen {
                return Ok(None);
            }
        }
    }

    pub(super) fn after_values_item(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        frame.node().push(value);
        if self.take_if(TokenKind::Comma) {
            if let Some(step) = self.values_items(frame)? {
                return Ok(step);
            }
        } else {
            self.close(frame)?;
        }
        match self.end_values_row(frame) {
            Some(step) => Ok(step),
            None => self.values_rows(frame.outer()),
        }
    }

    /// Ends a row whose `)` was read; `None` when another one follows.
    fn end_values_row(&mut self, frame: Frame<'a>) -> Option<Step<'a>> {
        let (row, values) = (frame.node(), frame.outer());
        row.set_end(self.end);
        if self.rows == Rows::One && self.stack.is_empty() {
            return Some(Step::Done(row));
        }
        values.push(row);
        if self.take_if(TokenKind::Comma) { None } else { Some(Step::QueryValue(values)) }
    }

    /// Reads a row of `VALUES` alone, and what stands after it; gives the token that the next row begins with.
    pub(super) fn row_apart(&mut self) -> Parsed<(NodeRef<'a>, Option<Token>)> {
        const AFTER_ROW: &[&str] = &["`,`", "the end of the statement"];
        let token = self.expect(TokenKind::LeftParen, &["`(`"])?;
        let row = self.node(NodeKind::Row, token.span())?;
        let frame = Frame { outer: Some(row), ..paren(Then::ValuesItem, Some(row), token.start) };
        match self.values_items(frame)? {
            Some(step) => _ = self.run_from(step)?,
            None => row.set_end(self.end),
        }
        match self.token.kind {
            TokenKind::Comma => {
                self.take();
                Ok((row, Some(self.token)))
            }
            TokenKind::Semicolon | TokenKind::End => self.finish(row).map(|row| (row, None)),
            TokenKind::Keyword(K::On | K::Returning) => {
                Err(self.unsupported_here("ON CONFLICT or RETURNING after rows that are read one at a time"))
            }
            _ => Err(self.unexpected(AFTER_ROW)),
        }
    }
}

/// Whether the token is a constant by itself.
fn is_constant(kind: TokenKind) -> bool {
    use TokenKind::{BitString, HexString, Integer, Number};
    is_string(kind) || matches!(kind, Integer | Number | BitString | HexString)
}
