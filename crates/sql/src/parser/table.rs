//! What stands in `FROM`: tables, files, queries, joins and their aliases.

use super::name::{Last, is_plain_name, is_string};
use super::stack::{Frame, Mode, Then};
use super::{Form, Parsed, Parser, Step, paren};
use crate::error::{Hint, Mistake};
use crate::keyword::Category;
use crate::node::{NodeKind, NodeRef, flag};
use crate::token::TokenKind;
use crate::views::JoinKind;
use crate::{Keyword, Span};
use Keyword as K;

const TABLE: &[&str] = &["a table", "a file in quotes", "`(`"];

/// What the columns of an alias may be; kept in [`Frame::precedence`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Columns {
    /// Names alone.
    Names,
    /// Names with types.
    Typed,
    /// Names alone or with types, each as it likes.
    Mixed,
    /// Names alone or with types, all as the first.
    LikeFirst,
}

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
            TokenKind::Name { .. } | TokenKind::QuotedName { .. } | TokenKind::UnicodeName => {
                self.named_table()
            }
            TokenKind::LeftParen => self.table_in_parens(),
            TokenKind::Keyword(keyword) => self.keyword_table(keyword),
            _ if is_string(kind) => self.file(),
            _ => Err(self.unexpected(TABLE)),
        }
    }

    fn keyword_table(&mut self, keyword: Keyword) -> Parsed<Step<'a>> {
        match keyword {
            K::Lateral => self.lateral(),
            K::Only => {
                let node = self.only()?;
                self.alias(node)
            }
            K::Rows if self.peeks(K::From) => self.rows_from(0),
            K::Xmltable if self.peek() == TokenKind::LeftParen => self.form_table(Form::XmlTable, 0),
            K::JsonTable if self.peek() == TokenKind::LeftParen => self.form_table(Form::JsonTable, 0),
            _ if self.begins_function(keyword) => self.table_function(0),
            _ => match keyword.category() {
                Category::Unreserved | Category::ColumnName => self.named_table(),
                Category::TypeOrFunction => self.table_function(0),
                Category::Reserved => Err(self.unexpected(TABLE)),
            },
        }
    }

    /// A table or a function that begins with the name that is the current token.
    fn named_table(&mut self) -> Parsed<Step<'a>> {
        let first = self.token;
        let node = self.node(NodeKind::Table, first.span())?;
        let has_star = self.dotted_name(node, Last::NameOrStar)?;
        if self.token.kind == TokenKind::LeftParen && !has_star && names_function(first.kind, node) {
            let frame = self.function_frame(0, first.span())?;
            self.push_frame(frame)?;
            return self.call(node);
        }
        self.check_relation_name(node, has_star)?;
        self.take_if(TokenKind::Star);
        self.alias(node)
    }

    /// The name of a table and nothing more (`qualified_name`).
    pub(super) fn relation_name(&mut self, kind: NodeKind) -> Parsed<NodeRef<'a>> {
        if !Self::is_column_name(self.token.kind) {
            return Err(self.unexpected(&["a table"]));
        }
        let node = self.node(kind, self.token.span())?;
        let has_star = self.dotted_name(node, Last::NameOrStar)?;
        self.check_relation_name(node, has_star)?;
        Ok(node)
    }

    fn check_relation_name(&mut self, node: NodeRef<'a>, has_star: bool) -> Parsed<()> {
        self.check_plain_name(node, has_star)?;
        if node.children_count() > 1 {
            return Err(self.mistake(Mistake::TooManyNames, node.span(), None));
        }
        Ok(())
    }

    /// `t`, `t *`, `ONLY t` or `ONLY (t)` (`relation_expr`); `t *` means `t`.
    pub(super) fn relation(&mut self) -> Parsed<NodeRef<'a>> {
        if self.is(K::Only) {
            return self.only();
        }
        let node = self.relation_name(NodeKind::Table)?;
        self.take_if(TokenKind::Star);
        node.set_end(self.end);
        Ok(node)
    }

    fn only(&mut self) -> Parsed<NodeRef<'a>> {
        let start = self.take().start;
        let has_parens = self.take_if(TokenKind::LeftParen);
        let node = self.relation_name(NodeKind::Table)?;
        node.set(flag::ONLY);
        if has_parens {
            self.expect(TokenKind::RightParen, &["`)`"])?;
        }
        node.set_span(Span::new(start, self.end));
        Ok(node)
    }

    // ---- functions

    /// Whether a function with a syntax of its own begins here (`func_expr_common_subexpr`).
    fn begins_function(&mut self, keyword: Keyword) -> bool {
        match keyword {
            K::Cast
            | K::CurrentCatalog
            | K::CurrentDate
            | K::CurrentRole
            | K::CurrentTime
            | K::CurrentTimestamp
            | K::CurrentUser
            | K::Localtime
            | K::Localtimestamp
            | K::SessionUser
            | K::SystemUser
            | K::User => true,
            K::CurrentSchema => self.peek() != TokenKind::LeftParen,
            K::Collation => self.peeks(K::For),
            K::Coalesce
            | K::Extract
            | K::Greatest
            | K::Json
            | K::JsonArray
            | K::JsonArrayagg
            | K::JsonExists
            | K::JsonObject
            | K::JsonObjectagg
            | K::JsonQuery
            | K::JsonScalar
            | K::JsonSerialize
            | K::JsonValue
            | K::Least
            | K::MergeAction
            | K::Normalize
            | K::Nullif
            | K::Overlay
            | K::Position
            | K::Substring
            | K::Treat
            | K::Trim
            | K::Xmlconcat
            | K::Xmlelement
            | K::Xmlexists
            | K::Xmlforest
            | K::Xmlparse
            | K::Xmlpi
            | K::Xmlroot
            | K::Xmlserialize => self.peek() == TokenKind::LeftParen,
            _ => false,
        }
    }

    /// Waits for a call that begins here (`func_expr_windowless`) and goes on as `frame` says.
    pub(super) fn function_call(&mut self, frame: Frame<'a>) -> Parsed<Step<'a>> {
        let kind = self.token.kind;
        if let TokenKind::Keyword(keyword) = kind
            && self.begins_function(keyword)
        {
            self.push_frame(frame)?;
            return self.keyword_operand(keyword);
        }
        let node = self.node(NodeKind::Call, self.token.span())?;
        if Self::is_column_name(kind) {
            let has_star = self.dotted_name(node, Last::NameOrStar)?;
            self.check_plain_name(node, has_star)?;
            if !names_function(kind, node) {
                return Err(self.unexpected(&["`.`"]));
            }
        } else if Self::is_type_or_function_name(kind) {
            let token = self.take();
            node.set_text(self.name_text(token)?);
        } else {
            return Err(self.unexpected(&["a function"]));
        }
        if self.token.kind != TokenKind::LeftParen {
            return Err(self.unexpected(&["`(`"]));
        }
        self.push_frame(frame)?;
        self.call(node)
    }

    /// A frame for a function in `FROM`, which begins at `span`.
    fn function_frame(&mut self, flags: u16, span: Span) -> Parsed<Frame<'a>> {
        let node = self.node(NodeKind::TableFunction, span)?;
        node.set(flags);
        Ok(Frame { mode: Mode::Call, ..Frame::of(Then::TableFunction, node) })
    }

    /// A function in `FROM` that begins here.
    fn table_function(&mut self, flags: u16) -> Parsed<Step<'a>> {
        let frame = self.function_frame(flags, self.token.span())?;
        self.function_call(frame)
    }

    pub(super) fn after_table_function(&mut self, frame: Frame<'a>, call: NodeRef<'a>) -> Parsed<Step<'a>> {
        let node = frame.node();
        node.push(call);
        self.end_function(node)
    }

    /// `WITH ORDINALITY` and the alias of a function.
    fn end_function(&mut self, node: NodeRef<'a>) -> Parsed<Step<'a>> {
        if self.is(K::With) && matches!(self.peek(), TokenKind::Keyword(K::Ordinality | K::Time)) {
            self.take();
            self.expect_word(K::Ordinality, &["ORDINALITY"])?;
            node.set(flag::ORDINALITY);
            node.set_end(self.end);
        }
        self.alias(node)
    }

    /// `ROWS FROM (f(…) [AS (columns)], …)`.
    fn rows_from(&mut self, flags: u16) -> Parsed<Step<'a>> {
        let node = self.node_here(NodeKind::RowsFrom)?;
        node.set(flags);
        self.take();
        let start = self.expect(TokenKind::LeftParen, &["`(`"])?.start;
        self.function_call(Frame { mode: Mode::Call, ..paren(Then::RowsFromItem, Some(node), start) })
    }

    pub(super) fn after_rows_from_item(&mut self, frame: Frame<'a>, call: NodeRef<'a>) -> Parsed<Step<'a>> {
        let function = self.node(NodeKind::TableFunction, call.span())?;
        function.push(call);
        if !self.take_word(K::As) {
            return self.after_rows_from_function(frame, function);
        }
        if self.token.kind != TokenKind::LeftParen {
            return Err(self.unexpected(&["`(`"]));
        }
        self.push_frame(Frame { then: Then::RowsFromFunction, ..frame })?;
        self.alias_without_name(function)
    }

    pub(super) fn after_rows_from_function(
        &mut self,
        frame: Frame<'a>,
        function: NodeRef<'a>,
    ) -> Parsed<Step<'a>> {
        let node = frame.node();
        node.push(function);
        if self.take_if(TokenKind::Comma) {
            return self.function_call(Frame { then: Then::RowsFromItem, ..frame });
        }
        self.close(frame)?;
        node.set_end(self.end);
        self.end_function(node)
    }

    /// `XMLTABLE (…)` or `JSON_TABLE (…)`.
    fn form_table(&mut self, form: Form, flags: u16) -> Parsed<Step<'a>> {
        let node = self.node(NodeKind::TableFunction, self.token.span())?;
        node.set(flags);
        self.push_frame(Frame::of(Then::FormTable, node))?;
        self.enter(form)
    }

    pub(super) fn after_form_table(&mut self, frame: Frame<'a>, form: NodeRef<'a>) -> Parsed<Step<'a>> {
        let node = frame.node();
        node.push(form);
        self.alias(node)
    }

    /// What may follow `LATERAL`: a query or a function.
    fn lateral(&mut self) -> Parsed<Step<'a>> {
        const AFTER_LATERAL: &[&str] = &["a query in parentheses", "a function"];
        let start = self.take().start;
        let kind = self.token.kind;
        match kind {
            TokenKind::LeftParen => {
                let paren_start = self.take().start;
                let node = self.node(NodeKind::Derived, Span { start, len: 0 })?;
                node.set(flag::LATERAL);
                self.want_query(paren(Then::DerivedParen, Some(node), paren_start))
            }
            TokenKind::Keyword(K::Rows) if self.peeks(K::From) => self.rows_from(flag::LATERAL),
            TokenKind::Keyword(K::Xmltable) if self.peek() == TokenKind::LeftParen => {
                self.form_table(Form::XmlTable, flag::LATERAL)
            }
            TokenKind::Keyword(K::JsonTable) if self.peek() == TokenKind::LeftParen => {
                self.form_table(Form::JsonTable, flag::LATERAL)
            }
            TokenKind::Keyword(_) => self.table_function(flag::LATERAL),
            _ if is_plain_name(kind) => self.table_function(flag::LATERAL),
            _ => Err(self.unexpected(AFTER_LATERAL)),
        }
    }

    // ---- files, queries and joins in parentheses

    fn file(&mut self) -> Parsed<Step<'a>> {
        let token = self.take();
        let node = self.node(NodeKind::File, token.span())?;
        node.set_text(self.string_text(token)?);
        self.alias(node)
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
        let node = match frame.node {
            Some(node) => node,
            None => self.node(NodeKind::Derived, Span { start: frame.start, len: 0 })?,
        };
        node.enclose(query);
        node.set_end(self.end);
        self.alias(node)
    }

    pub(super) fn after_table_paren(&mut self, frame: Frame<'a>, table: NodeRef<'a>) -> Parsed<Step<'a>> {
        let is_bare_query =
            table.kind() == NodeKind::Derived && table.children_count() == 1 && !table.has(flag::LATERAL);
        if is_bare_query && self.continues_query() {
            // `((SELECT 1) UNION SELECT 2)`: what looked like a table was the first part of a query.
            let query = table.take_only_child().unwrap_or(table);
            query.set_span(table.span());
            self.push_frame(paren(Then::DerivedParen, None, frame.start))?;
            return Ok(Step::QueryValue(query));
        }
        let is_bare_join = table.kind() == NodeKind::Join && table.child_of_kind(NodeKind::Alias).is_none();
        if table.kind() == NodeKind::File {
            // PostgreSQL has no files here, so it is wrong where it begins.
            return Err(self.mistake(Mistake::Unexpected, table.span(), None));
        }
        if self.token.kind != TokenKind::RightParen || !(is_bare_query || is_bare_join) {
            self.push_frame(frame)?;
            return Err(self.unexpected(&["JOIN", "a query in the parentheses"]));
        }
        self.take();
        table.set_span(Span::new(frame.start, self.end));
        self.alias(table)
    }

    // ---- aliases

    /// `[AS] name [(columns)]` after a table, if present.
    fn alias(&mut self, table: NodeRef<'a>) -> Parsed<Step<'a>> {
        let columns = match table.kind() {
            NodeKind::File => Columns::Mixed,
            NodeKind::RowsFrom => Columns::LikeFirst,
            NodeKind::TableFunction if !is_form_table(table) => Columns::LikeFirst,
            _ => Columns::Names,
        };
        let has_as = self.take_word(K::As);
        if !has_as && (!Self::is_column_name(self.token.kind) || self.is_half_a_word()) {
            return self.end_table(table);
        }
        if table.kind() == NodeKind::Derived {
            table.end_enclosing();
        }
        if has_as && columns == Columns::LikeFirst && self.token.kind == TokenKind::LeftParen {
            return self.alias_without_name(table);
        }
        let (name, span) = self.column_name()?;
        let alias = self.node(NodeKind::Alias, span)?;
        alias.set_text(name);
        if self.token.kind == TokenKind::LeftParen {
            return self.alias_columns(table, alias, columns);
        }
        table.push(alias);
        self.end_table(table)
    }

    /// `(columns with types)` after a function and `AS`.
    fn alias_without_name(&mut self, table: NodeRef<'a>) -> Parsed<Step<'a>> {
        let alias = self.node(NodeKind::Alias, Span { start: self.token.start, len: 0 })?;
        self.alias_columns(table, alias, Columns::Typed)
    }

    /// The columns of an alias; the current token is `(`.
    fn alias_columns(
        &mut self,
        table: NodeRef<'a>,
        alias: NodeRef<'a>,
        columns: Columns,
    ) -> Parsed<Step<'a>> {
        let start = self.take().start;
        let frame = paren(Then::AliasColumn, Some(alias), start);
        self.alias_column(Frame { outer: Some(table), precedence: columns as u8, ..frame })
    }

    /// Columns up to one that has a type, or to the end; the frame says what they may be.
    fn alias_column(&mut self, mut frame: Frame<'a>) -> Parsed<Step<'a>> {
        loop {
            let (name, span) = self.column_name()?;
            let column = self.node(NodeKind::ColumnDef, span)?;
            column.set_text(name);
            let has_ended = matches!(self.token.kind, TokenKind::Comma | TokenKind::RightParen);
            if frame.precedence == Columns::LikeFirst as u8 {
                frame.precedence = if has_ended { Columns::Names } else { Columns::Typed } as u8;
            }
            let is_plain = frame.precedence == Columns::Names as u8;
            if is_plain && !has_ended {
                let is_function =
                    matches!(frame.outer().kind(), NodeKind::TableFunction | NodeKind::RowsFrom);
                let hint = (!is_function).then_some(Hint::TypesBelongToFiles);
                return Err(self.unexpected_with(&["`)`", "`,`"], hint));
            }
            if frame.precedence == Columns::Typed as u8 || !has_ended {
                self.push_frame(frame)?;
                return self.want_type(Frame::of(Then::ColumnType, column));
            }
            frame.node().push(column);
            if !self.take_if(TokenKind::Comma) {
                return self.end_alias(frame);
            }
        }
    }

    /// After the type of a column: its collation, if it has one.
    pub(super) fn after_column_type(&mut self, frame: Frame<'a>, type_name: NodeRef<'a>) -> Parsed<Step<'a>> {
        let column = frame.node();
        column.push(type_name);
        if self.is(K::Collate) {
            let start = self.take().start;
            if !Self::is_column_name(self.token.kind) {
                return Err(self.unexpected(&["the name of a collation"]));
            }
            let collation = self.node(NodeKind::Collate, self.token.span())?;
            self.dotted_name(collation, Last::Name)?;
            collation.set_span(Span::new(start, self.end));
            column.push(collation);
        }
        Ok(Step::Done(column))
    }

    pub(super) fn after_alias_column(&mut self, frame: Frame<'a>, column: NodeRef<'a>) -> Parsed<Step<'a>> {
        frame.node().push(column);
        if self.take_if(TokenKind::Comma) { self.alias_column(frame) } else { self.end_alias(frame) }
    }

    fn end_alias(&mut self, frame: Frame<'a>) -> Parsed<Step<'a>> {
        if self.token.kind != TokenKind::RightParen {
            self.push_frame(frame)?;
            return Err(self.unexpected(&["`)`", "`,`"]));
        }
        self.take();
        let (alias, table) = (frame.node(), frame.outer());
        alias.set_end(self.end);
        table.push(alias);
        self.end_table(table)
    }

    /// After the alias of a table, or where it has none.
    fn end_table(&mut self, table: NodeRef<'a>) -> Parsed<Step<'a>> {
        if self.is(K::Tablesample) && table.kind() == NodeKind::Table {
            self.push_frame(Frame::of(Then::Sample, table))?;
            return self.enter(Form::Sample);
        }
        if self.stack.top().then == Then::RowsFromFunction {
            return Ok(Step::Done(table));
        }
        Ok(Step::TableValue(table))
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
        if self.take_word(K::As) {
            using.set_text(self.column_name()?.0);
            using.set_end(self.end);
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

/// Whether it is `XMLTABLE` or `JSON_TABLE`, whose columns have their types already.
fn is_form_table(function: NodeRef<'_>) -> bool {
    function.first_child().is_some_and(|form| matches!(form.form(), Some(Form::XmlTable | Form::JsonTable)))
}

/// Whether a name that began with this token can be a function's (`func_name`).
fn names_function(first: TokenKind, node: NodeRef<'_>) -> bool {
    match first {
        TokenKind::Keyword(keyword) => {
            keyword.category() == Category::Unreserved || node.qualifier().is_some()
        }
        kind => is_plain_name(kind),
    }
}
