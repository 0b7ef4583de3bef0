//! The clauses after a query: `ORDER BY`, `LIMIT` and the like, `FOR UPDATE` and the like.

use super::stack::{Frame, Mode, Then};
use super::{Parsed, Parser, Step};
use crate::error::{Hint, Mistake};
use crate::node::{NodeKind, NodeRef, flag};
use crate::print::is_primary;
use crate::token::TokenKind;
use crate::views::{LockStrength, UnaryOp};
use crate::{Keyword, Lexer, Span};
use Keyword as K;

/// What a query has had of the clauses at its end: [`Frame::precedence`] while one of them is being read.
mod had {
    pub(super) const ORDER: u8 = 1;
    pub(super) const LIMIT: u8 = 1 << 1;
    pub(super) const OFFSET: u8 = 1 << 2;
    pub(super) const LOCKS: u8 = 1 << 3;
    pub(super) const TIES: u8 = 1 << 4;
    /// `SKIP LOCKED`.
    pub(super) const SKIPS: u8 = 1 << 5;
}

impl<'a> Parser<'a, '_> {
    /// `ORDER BY`, and then `LIMIT` and the like with `FOR UPDATE` and the like before or after them.
    pub(super) fn query_tail(&mut self, query: NodeRef<'a>) -> Parsed<Step<'a>> {
        match self.token.keyword() {
            Some(K::Order) => {
                let clause = self.node_here(NodeKind::OrderBy)?;
                self.expect_word(K::By, &["BY"])?;
                self.order_item(query, clause)
            }
            Some(K::Limit | K::Offset | K::Fetch | K::For) => self.next_clause(query, 0),
            _ => Ok(Step::Done(query)),
        }
    }

    /// The next of the clauses that may follow a query which has had those in `had`.
    fn next_clause(&mut self, query: NodeRef<'a>, had: u8) -> Parsed<Step<'a>> {
        match self.token.keyword() {
            Some(K::Limit) if had & had::LIMIT == 0 => {
                let clause = self.node_here(NodeKind::Limit)?;
                if self.take_word(K::All) {
                    return self.end_limit(query, clause, had);
                }
                self.want_count(Then::Limit, query, clause, had)
            }
            Some(K::Fetch) if had & had::LIMIT == 0 => self.fetch_first(query, had),
            Some(K::Offset) if had & had::OFFSET == 0 => {
                let clause = self.node_here(NodeKind::Offset)?;
                self.want_count(Then::Offset, query, clause, had)
            }
            Some(K::For) if had & had::LOCKS == 0 => {
                let skips = if self.locks(query)? { had::SKIPS } else { 0 };
                // After a limit and locks there is nothing more; after locks alone a limit may follow.
                let is_over = had & (had::LIMIT | had::OFFSET) != 0;
                let over = if is_over { had::LIMIT | had::OFFSET } else { 0 };
                self.next_clause(query, had | had::LOCKS | skips | over)
            }
            Some(K::Limit | K::Fetch) if query.child_of_kind(NodeKind::Limit).is_some() => self.given_twice(),
            Some(K::Offset) if query.child_of_kind(NodeKind::Offset).is_some() => self.given_twice(),
            _ => self.end_tail(query, had),
        }
    }

    fn given_twice(&mut self) -> Parsed<Step<'a>> {
        let span = self.token.span();
        Err(self.mistake(Mistake::RepeatedClause, span, None))
    }

    fn want_count(
        &mut self,
        then: Then,
        query: NodeRef<'a>,
        clause: NodeRef<'a>,
        had: u8,
    ) -> Parsed<Step<'a>> {
        self.want_expr(Frame { outer: Some(query), precedence: had, ..Frame::of(then, clause) })
    }

    /// Hangs a clause under a query, where it belongs among the others, and reads on.
    fn end_clause(&mut self, query: NodeRef<'a>, clause: NodeRef<'a>, had: u8, is: u8) -> Parsed<Step<'a>> {
        clause.set_end(self.end);
        if had & !had::ORDER == 0 && !self.is_in_parens(query) {
            query.push(clause);
        } else {
            let rank = clause_rank(clause.kind());
            query.insert(clause, |other| clause_rank(other) > rank);
        }
        self.next_clause(query, had | is)
    }

    /// All clauses of a query are there: sees that they go together.
    fn end_tail(&mut self, query: NodeRef<'a>, had: u8) -> Parsed<Step<'a>> {
        if had != 0 && self.is_in_parens(query) {
            self.join_inner_clauses(query, had)?;
        }
        if had & had::TIES != 0 {
            self.refuse_lone_ties(query)?;
        }
        Ok(Step::Done(query))
    }

    /// The query may have clauses from inside of its parentheses too, as in `(SELECT … LIMIT 1) FOR UPDATE`.
    #[cold]
    fn join_inner_clauses(&mut self, query: NodeRef<'a>, had: u8) -> Parsed<()> {
        if had & (had::ORDER | had::LIMIT | had::OFFSET) != 0 {
            self.refuse_repeated(query)?;
        }
        if !query.has(flag::TIED) || had & had::TIES != 0 {
            return Ok(());
        }
        if had & had::OFFSET != 0 {
            // As in PostgreSQL, which takes it for a limit of its own.
            query.clear(flag::TIED);
            if let Some(limit) = query.child_of_kind(NodeKind::Limit) {
                limit.clear(flag::TIES);
            }
        } else if had & had::SKIPS != 0 && !query.has(flag::LOCKED_OUTSIDE) {
            query.set(flag::LOCKED_OUTSIDE);
            if let Some(lock) = query.child_of_kind(NodeKind::Locking) {
                lock.set(flag::FIRST_OUTSIDE);
            }
        }
        Ok(())
    }

    /// `(SELECT … LIMIT 1) LIMIT 2` and the like.
    fn refuse_repeated(&mut self, query: NodeRef<'a>) -> Parsed<()> {
        for kind in [NodeKind::OrderBy, NodeKind::Offset, NodeKind::Limit] {
            let mut clauses = query.children().filter(|child| child.kind() == kind);
            let (Some(_), Some(second)) = (clauses.next(), clauses.next()) else { continue };
            let span = match second.first_child() {
                Some(key) if kind == NodeKind::OrderBy => key.span(),
                _ => second.span(),
            };
            return Err(self.mistake(Mistake::RepeatedClause, self.without_parens(span), None));
        }
        Ok(())
    }

    /// `span` without the parentheses that it begins with.
    fn without_parens(&self, span: Span) -> Span {
        let text = self.lexer.slice(span);
        let inside = text.trim_start_matches(|letter: char| letter == '(' || letter.is_ascii_whitespace());
        Span::new(span.end() - inside.len() as u32, span.end())
    }

    /// `WITH TIES` needs an order, and no `SKIP LOCKED`.
    #[cold]
    fn refuse_lone_ties(&mut self, query: NodeRef<'a>) -> Parsed<()> {
        let mistake = if query.child_of_kind(NodeKind::OrderBy).is_none() {
            Mistake::TiesWithoutOrder
        } else if query.children().any(skips_locked) {
            Mistake::TiesWithSkipLocked
        } else {
            return Ok(());
        };
        let limit = query.child_of_kind(NodeKind::Limit).map_or(query.span(), |limit| limit.span());
        Err(self.mistake(mistake, self.ties(limit), None))
    }

    /// Where `WITH TIES` stands in a `FETCH FIRST`.
    fn ties(&self, limit: Span) -> Span {
        let Ok(mut lexer) = Lexer::new(self.lexer.slice(limit)) else { return limit };
        let mut with = None;
        loop {
            let token = lexer.next_token();
            match token.kind {
                TokenKind::End => break,
                TokenKind::Keyword(K::With) => with = Some(token.start),
                _ => {}
            }
        }
        Span::new(limit.start + with.unwrap_or(0), limit.end())
    }

    fn order_item(&mut self, query: NodeRef<'a>, clause: NodeRef<'a>) -> Parsed<Step<'a>> {
        self.want_expr(Frame { outer: Some(query), ..Frame::of(Then::OrderItem, clause) })
    }

    pub(super) fn after_order_item(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        frame.node().push(self.sort_key(value)?);
        if self.take_if(TokenKind::Comma) {
            return self.order_item(frame.outer(), frame.node());
        }
        self.end_clause(frame.outer(), frame.node(), 0, had::ORDER)
    }

    /// The key of an `ORDER BY` whose expression was read, with the words after it.
    pub(super) fn sort_key(&mut self, value: NodeRef<'a>) -> Parsed<NodeRef<'a>> {
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
            Some(K::Using) => self.sort_operator(key)?,
            _ => {}
        }
        if self.is(K::Nulls) {
            // Only with one of these words after it does it belong to the key.
            match self.peek() {
                TokenKind::Keyword(K::First) => key.set(flag::NULLS_FIRST),
                TokenKind::Keyword(K::Last) => key.set(flag::NULLS_LAST),
                _ => return Err(self.unexpected(&["NULLS FIRST", "NULLS LAST"])),
            }
            self.take();
            self.take();
        }
        key.set_end(self.end);
        Ok(key)
    }

    /// `USING <` or `USING OPERATOR(schema.<)`.
    fn sort_operator(&mut self, key: NodeRef<'a>) -> Parsed<()> {
        self.take();
        let operator = match self.token.keyword() {
            Some(K::Operator) => self.operator_in_parens()?,
            _ => self.operator_sign()?,
        };
        key.push(operator);
        Ok(())
    }

    pub(super) fn after_limit(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        frame.node().push(value);
        self.end_limit(frame.outer(), frame.node(), frame.precedence)
    }

    fn end_limit(&mut self, query: NodeRef<'a>, clause: NodeRef<'a>, had: u8) -> Parsed<Step<'a>> {
        if self.take_if(TokenKind::Comma) {
            return self.want_count(Then::LimitComma, query, clause, had);
        }
        self.end_clause(query, clause, had, had::LIMIT)
    }

    /// `LIMIT 1, 2` is read to its end, as PostgreSQL does, and then refused.
    pub(super) fn after_limit_comma(&mut self, frame: Frame<'a>) -> Parsed<Step<'a>> {
        let span = Span { len: K::Limit.word().len() as u32, ..frame.node().span() };
        Err(self.mistake(Mistake::Unexpected, span, Some(Hint::LimitComma)))
    }

    pub(super) fn after_offset(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        if matches!(self.token.keyword(), Some(K::Row | K::Rows)) {
            if !self.is_plain_count(value) {
                return Err(self.unexpected(&["LIMIT", "the end of the statement"]));
            }
            self.take();
        }
        frame.node().push(value);
        self.end_clause(frame.outer(), frame.node(), frame.precedence, had::OFFSET)
    }

    /// Whether a value may stand before `ROWS`: no operator outside of parentheses but the sign of a number.
    fn is_plain_count(&self, value: NodeRef<'a>) -> bool {
        let is_signed = value.kind() == NodeKind::Unary && value.detail() != UnaryOp::Other.code();
        self.is_primary(value)
            || value.first_child().is_some_and(|number| {
                let is_number = matches!(number.kind(), NodeKind::Integer | NodeKind::Number);
                is_signed && is_number && !self.is_in_parens(number)
            })
    }

    /// Whether a value was written without an operator outside of parentheses (`c_expr`).
    pub(super) fn is_primary(&self, value: NodeRef<'a>) -> bool {
        let start = value.span().start;
        let begins_itself = value.first_child().is_none_or(|first| first.span().start != start);
        if begins_itself && self.is_in_parens(value) {
            return true;
        }
        match value.kind() {
            NodeKind::Cast => begins_itself,
            _ => is_primary(value),
        }
    }

    /// `FETCH FIRST 3 ROWS ONLY`: a limit; without a count it is one row.
    fn fetch_first(&mut self, query: NodeRef<'a>, had: u8) -> Parsed<Step<'a>> {
        let clause = self.node_here(NodeKind::Limit)?;
        if !self.take_word(K::First) && !self.take_word(K::Next) {
            return Err(self.unexpected(&["FIRST", "NEXT"]));
        }
        let frame = Frame {
            outer: Some(query),
            precedence: had,
            mode: Mode::Primary,
            ..Frame::of(Then::FetchCount, clause)
        };
        let kind = self.token.kind;
        match kind {
            TokenKind::Keyword(K::Row | K::Rows)
                if matches!(self.peek(), TokenKind::Keyword(K::Only | K::With)) =>
            {
                let one = self.node(NodeKind::Integer, self.token.span())?;
                one.set_text("1");
                self.after_fetch_count(frame, one)
            }
            TokenKind::Plus | TokenKind::Minus => {
                let number = self.signed_count()?;
                self.after_fetch_count(frame, number)
            }
            _ => self.want_expr(frame),
        }
    }

    /// `+ 1` or `- 1.5`.
    fn signed_count(&mut self) -> Parsed<NodeRef<'a>> {
        let op = if self.token.kind == TokenKind::Minus { UnaryOp::Minus } else { UnaryOp::Plus };
        let node = self.node_here(NodeKind::Unary)?;
        node.set_detail(op.code());
        let kind = match self.token.kind {
            TokenKind::Integer => NodeKind::Integer,
            TokenKind::Number => NodeKind::Number,
            _ => return Err(self.unexpected(&["a number"])),
        };
        let token = self.take();
        let number = self.node(kind, token.span())?;
        number.set_text(self.slice(token));
        node.push(number);
        Ok(node)
    }

    pub(super) fn after_fetch_count(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        let clause = frame.node();
        clause.push(value);
        if !self.take_word(K::Row) && !self.take_word(K::Rows) {
            return Err(self.unexpected(&["ROW", "ROWS"]));
        }
        let mut is = had::LIMIT;
        match self.token.keyword() {
            Some(K::Only) => {
                self.take();
            }
            Some(K::With) if !matches!(self.peek(), TokenKind::Keyword(K::Time | K::Ordinality)) => {
                self.take();
                self.expect_word(K::Ties, &["TIES"])?;
                clause.set(flag::TIES);
                frame.outer().set(flag::TIED);
                is |= had::TIES;
            }
            _ => return Err(self.unexpected(&["ONLY", "WITH TIES"])),
        }
        self.end_clause(frame.outer(), clause, frame.precedence, is)
    }

    // ---- FOR UPDATE and the like

    /// One or more locking clauses, or `FOR READ ONLY`, which means nothing. True when one of them skips locked rows.
    fn locks(&mut self, query: NodeRef<'a>) -> Parsed<bool> {
        let (mut is_first, mut skips_locked) = (true, false);
        while self.is(K::For) {
            let lock = self.node_here(NodeKind::Locking)?;
            let strength = match self.token.keyword() {
                Some(K::Update) => LockStrength::Update,
                Some(K::Share) => LockStrength::Share,
                Some(K::No) => {
                    self.take();
                    self.expect_word(K::Key, &["KEY"])?;
                    LockStrength::NoKeyUpdate
                }
                Some(K::Key) => {
                    self.take();
                    LockStrength::KeyShare
                }
                Some(K::Read) if is_first => {
                    self.take();
                    self.expect_word(K::Only, &["ONLY"])?;
                    if !query.has(flag::LOCKED) {
                        query.set(flag::READ_ONLY);
                    }
                    query.set_end(self.end);
                    return Ok(false);
                }
                _ => return Err(self.unexpected(&["UPDATE", "SHARE", "NO KEY UPDATE", "KEY SHARE"])),
            };
            match strength {
                LockStrength::Update | LockStrength::NoKeyUpdate => {
                    self.expect_word(K::Update, &["UPDATE"])?
                }
                LockStrength::Share | LockStrength::KeyShare => self.expect_word(K::Share, &["SHARE"])?,
            };
            lock.set_detail(strength.code());
            self.lock_tables(lock)?;
            if self.take_word(K::Nowait) {
                lock.set(flag::NOWAIT);
            } else if self.take_word(K::Skip) {
                self.expect_word(K::Locked, &["LOCKED"])?;
                lock.set(flag::SKIP_LOCKED);
                skips_locked = true;
            }
            lock.set_end(self.end);
            query.clear(flag::READ_ONLY);
            query.set(flag::LOCKED);
            query.push(lock);
            is_first = false;
        }
        Ok(skips_locked)
    }

    /// `OF a, b`, if present.
    fn lock_tables(&mut self, lock: NodeRef<'a>) -> Parsed<()> {
        if !self.take_word(K::Of) {
            return Ok(());
        }
        loop {
            let table = self.relation_name(NodeKind::Table)?;
            lock.push(table);
            if !self.take_if(TokenKind::Comma) {
                return Ok(());
            }
        }
    }
}

fn skips_locked(clause: NodeRef<'_>) -> bool {
    clause.kind() == NodeKind::Locking && clause.has(flag::SKIP_LOCKED)
}

/// The order of clauses under a query; what is no clause comes before those that end it.
fn clause_rank(kind: NodeKind) -> u8 {
    match kind {
        NodeKind::With => 0,
        NodeKind::OrderBy => 2,
        NodeKind::Limit => 3,
        NodeKind::Offset => 4,
        NodeKind::Locking => 5,
        _ => 1,
    }
}
