//! What stands in `FROM`: tables, files, queries, joins and their aliases.

use super::name::{Last, is_string};
use super::stack::{Frame, Then};
use super::{Parsed, Parser, Step, paren};
use crate::error::Hint;
use crate::node::{NodeKind, NodeRef, flag};
use crate::token::TokenKind;
use crate::views::JoinKind;
use crate::{Keyword, Span};
use Keyword as K;

const TABLE: &[&str] = &["a table", "a file in quotes", "`(`"];

impl<'a> Parser<'a, '_> {
    /// One table of `FROM`, which goes on in `from`.
    pub(super) fn table_of_from(&mut self, from: NodeRef<'a>) -> Parsed<Step<'a>> {
        self.push_frame(Frame::of(Then::FromItem, from))?;
        Ok(Step::Table)
    }

    pub(super) fn after_from_item(&mut self, frame: Frame<'a>, table: NodeRef<'a>) -> Parsed<Step<'a>> {
        frame.node().push(table);
        if self.take_if(TokenKind::Comma) {
            return self.table_of_from(frame.node());
        }
        Ok(Step::Done(frame.node()))
    }

    /// A table without joins (`table_ref` of PostgreSQL's grammar, its first alternatives).
    pub(super) fn table(&mut self) -> Parsed<Step<'a>> {
        let kind = self.token.kind;
        match kind {
            TokenKind::LeftParen => self.table_in_parens(),
            _ if is_string(kind) => self.file(),
            TokenKind::Keyword(K::Lateral) => Err(self.unsupported_here("LATERAL")),
            TokenKind::Keyword(K::Only) => Err(self.unsupported_here("ONLY")),
            TokenKind::Keyword(K::Rows) if self.peeks(K::From) => Err(self.unsupported_here("ROWS FROM")),
            TokenKind::Keyword(K::Xmltable | K::JsonTable) if self.peek() == TokenKind::LeftParen => {
                Err(self.unsupported_here("a function in FROM"))
            }
            _ if Self::is_column_name(kind) => self.named_table(),
            _ if Self::is_type_or_function_name(kind) && self.peek() == TokenKind::LeftParen => {
                Err(self.unsupported_here("a function in FROM"))
            }
            TokenKind::Keyword(
                K::CurrentDate | K::CurrentTime | K::CurrentTimestamp | K::CurrentUser | K::User | K::Cast,
            ) => Err(self.unsupported_here("a function in FROM")),
            _ => Err(self.unexpected(TABLE)),
        }
    }

    fn named_table(&mut self) -> Parsed<Step<'a>> {
        let node = self.node(NodeKind::Table, self.token.span())?;
        self.dotted_name(node, Last::Name)?;
        match self.token.kind {
            TokenKind::LeftParen => return Err(self.unsupported("a function in FROM", node.span())),
            TokenKind::Star => return Err(self.unsupported_here("`*` after a table")),
            _ => self.alias(node)?,
        }
        if self.is(K::Tablesample) {
            return Err(self.unsupported_here("TABLESAMPLE"));
        }
        Ok(Step::TableValue(node))
    }

    fn file(&mut self) -> Parsed<Step<'a>> {
        let token = self.take();
        let node = self.node(NodeKind::File, token.span())?;
        node.set_text(self.string_text(token)?);
        self.alias(node)?;
        Ok(Step::TableValue(node))
    }

    fn table_in_parens(&mut self) -> Parsed<Step<'a>> {
        let start = self.take().start;
        if self.begins_query() {
            return self.want_query(paren(Then::DerivedParen, None, start));
        }
        self.push_frame(paren(Then::TableParen, None, start))?;
        Ok(Step::Table)
    }

    pub(super) fn after_derived(&mut self, frame: Frame<'a>, query: NodeRef<'a>) -> Parsed<Step<'a>> {
        self.close_query(frame)?;
        let node = self.node(NodeKind::Derived, Span { start: frame.start, len: 0 })?;
        node.push(query);
        node.set_end(self.end);
        self.alias(node)?;
        Ok(Step::TableValue(node))
    }

    pub(super) fn after_table_paren(&mut self, frame: Frame<'a>, table: NodeRef<'a>) -> Parsed<Step<'a>> {
        let is_bare_query = table.kind() == NodeKind::Derived && table.children_count() == 1;
        if is_bare_query && self.continues_query() {
            // `((SELECT 1) UNION SELECT 2)`: what looked like a table was the first part of a query.
            let query = table.take_only_child().unwrap_or(table);
            self.push_frame(paren(Then::DerivedParen, None, frame.start))?;
            return Ok(Step::QueryValue(query));
        }
        let is_bare_join = table.kind() == NodeKind::Join && table.child_of_kind(NodeKind::Alias).is_none();
        if self.token.kind != TokenKind::RightParen || !(is_bare_query || is_bare_join) {
            self.push_frame(frame)?;
            return Err(self.unexpected(&["JOIN", "a query in the parentheses"]));
        }
        self.take();
        table.set_span(Span::new(frame.start, self.end));
        self.alias(table)?;
        Ok(Step::TableValue(table))
    }

    // ---- aliases

    /// `[AS] name [(columns)]` after a table, if present.
    fn alias(&mut self, table: NodeRef<'a>) -> Parsed<()> {
        let has_as = self.take_word(K::As);
        if !has_as && !Self::is_column_name(self.token.kind) {
            return Ok(());
        }
        if has_as && self.token.kind == TokenKind::LeftParen {
            return Err(self.unsupported_here("columns without an alias"));
        }
        let (name, span) = self.column_name()?;
        let alias = self.node(NodeKind::Alias, span)?;
        alias.set_text(name);
        if self.token.kind == TokenKind::LeftParen {
            self.alias_columns(alias, table.kind())?;
        }
        table.push(alias);
        Ok(())
    }

    /// The columns of an alias; those of a file may have types.
    fn alias_columns(&mut self, alias: NodeRef<'a>, table: NodeKind) -> Parsed<()> {
        self.take();
        loop {
            let (name, span) = self.column_name()?;
            let column = self.node(NodeKind::ColumnDef, span)?;
            column.set_text(name);
            if !matches!(self.token.kind, TokenKind::Comma | TokenKind::RightParen) {
                if table != NodeKind::File {
                    return Err(self.unexpected_with(&["`)`", "`,`"], Some(Hint::TypesBelongToFiles)));
                }
                column.push(self.type_name()?);
            }
            alias.push(column);
            if !self.take_if(TokenKind::Comma) {
                break;
            }
        }
        self.expect(TokenKind::RightParen, &["`)`", "`,`"])?;
        alias.set_end(self.end);
        Ok(())
    }

    /// `(a, b)`: names, as children of `node`; the current token is `(`.
    pub(super) fn names_in_parens(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        self.expect(TokenKind::LeftParen, &["`(`"])?;
        loop {
            let (name, span) = self.column_name()?;
            let column = self.node(NodeKind::ColumnDef, span)?;
            column.set_text(name);
            node.push(column);
            if !self.take_if(TokenKind::Comma) {
                break;
            }
        }
        self.expect(TokenKind::RightParen, &["`)`", "`,`"])?;
        node.set_end(self.end);
        Ok(())
    }

    // ---- joins

    /// A table stands before the current token: completes the joins that end here and starts the next.
    pub(super) fn join(&mut self, mut table: NodeRef<'a>) -> Parsed<Step<'a>> {
        loop {
            let top = *self.stack.top();
            let is_right_side = top.then == Then::JoinRight;
            let needs_condition = is_right_side && needs_condition(top.node());
            if needs_condition && matches!(self.token.keyword(), Some(K::On | K::Using)) {
                self.stack.pop();
                return self.join_condition(top.node(), table);
            }
            if is_right_side && !needs_condition {
                self.stack.pop();
                top.node().push(table);
                table = top.node();
                continue;
            }
            // A join inside of one that still waits for its condition: `a JOIN b JOIN c ON … ON …`.
            if let Some(join) = self.join_words(table)? {
                self.push_frame(Frame::of(Then::JoinRight, join))?;
                return Ok(Step::Table);
            }
            if needs_condition {
                return Err(self.unexpected_with(&["ON", "USING"], Some(Hint::JoinNeedsCondition)));
            }
            return Ok(Step::Done(table));
        }
    }

    /// Only a tree that ends in the middle of a join comes here.
    pub(super) fn after_join_right(&mut self, frame: Frame<'a>, table: NodeRef<'a>) -> Parsed<Step<'a>> {
        self.push_frame(frame)?;
        Ok(Step::TableValue(table))
    }

    /// `[NATURAL] [INNER | LEFT [OUTER] | …] JOIN`: a join whose left side is `table`, if its words stand here.
    fn join_words(&mut self, table: NodeRef<'a>) -> Parsed<Option<NodeRef<'a>>> {
        let word = match self.token.keyword() {
            Some(word @ (K::Join | K::Inner | K::Left | K::Right | K::Full | K::Cross | K::Natural)) => word,
            _ => return Ok(None),
        };
        let join = self.node(NodeKind::Join, table.span())?;
        join.push(table);
        let mut kind_word = word;
        if word == K::Natural {
            self.take();
            join.set(flag::NATURAL);
            kind_word = self.token.keyword().unwrap_or(word);
        }
        let (kind, has_outer) = match kind_word {
            K::Left => (JoinKind::Left, true),
            K::Right => (JoinKind::Right, true),
            K::Full => (JoinKind::Full, true),
            K::Cross if word == K::Cross => (JoinKind::Cross, false),
            _ => (JoinKind::Inner, false),
        };
        join.set_detail(kind.code());
        if has_outer || matches!(kind_word, K::Inner) || kind == JoinKind::Cross {
            self.take();
        }
        if has_outer {
            self.take_word(K::Outer);
        }
        self.expect_word(K::Join, &["JOIN"])?;
        Ok(Some(join))
    }

    fn join_condition(&mut self, join: NodeRef<'a>, table: NodeRef<'a>) -> Parsed<Step<'a>> {
        join.push(table);
        if self.is(K::On) {
            let on = self.node_here(NodeKind::On)?;
            return self.want_expr(Frame { outer: Some(join), ..Frame::of(Then::JoinOn, on) });
        }
        let using = self.node_here(NodeKind::Using)?;
        self.names_in_parens(using)?;
        if self.is(K::As) {
            return Err(self.unsupported_here("an alias of USING"));
        }
        join.push(using);
        Ok(Step::TableValue(join))
    }

    pub(super) fn after_join_on(&mut self, frame: Frame<'a>, condition: NodeRef<'a>) -> Parsed<Step<'a>> {
        frame.node().push(condition);
        frame.outer().push(frame.node());
        Ok(Step::TableValue(frame.outer()))
    }
}

fn needs_condition(join: NodeRef<'_>) -> bool {
    join.detail() != JoinKind::Cross.code() && !join.has(flag::NATURAL)
}
