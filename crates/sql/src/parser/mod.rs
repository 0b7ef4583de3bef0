//! Tokens to a tree: recursive descent without recursion.
//!
//! The grammar is written as functions that read on as long as they can. Where one needs a whole expression, query or
//! table first, it pushes a [`Frame`] that says what comes after it, and returns a [`Step`] that says what comes next.
//! [`Parser::run`] is the only loop. So `CASE WHEN` pushes a frame `CaseWhen` and asks for an operand; when that
//! expression is complete, `resume` finds the frame, expects `THEN`, and so on:
//!
//! ```text
//!  text        CASE WHEN a = 1 THEN …          frames (innermost last)
//!  at `a`                                      … SelectItem, CaseWhen
//!  at `1`                                      … SelectItem, CaseWhen, Binary(=)
//!  at `THEN`   no operator: Binary is complete, its node is complete, resume(CaseWhen) reads THEN
//!              and pushes CaseResult
//! ```
//!
//! Operators compare their precedence with the operator frame on top, as a table-driven LR parser does, so PostgreSQL's
//! precedences hold exactly: a higher one waits inside, a lower one completes the frame, an equal one is left
//! associative or, for comparisons and the like, an error.
//!
//! To add an expression: a frame in [`stack::Then`], a place in `expr.rs` that pushes it and a function that `resume`
//! calls. To add a statement: a rule in `grammar/`, see its `README.md`.

mod call;
mod check;
mod expr;
mod forms;
mod indirection;
mod json;
mod keyword_operand;
mod name;
mod object;
mod predicate;
mod query;
mod recovery;
mod select;
mod setting;
mod stack;
mod statement;
mod table;
mod tail;
mod type_name;

use std::sync::atomic::{AtomicBool, Ordering};

use cofferdam_arena::Arena;

use crate::error::{Error, Hint, Unsupported};
use crate::lexer::Lexer;
use crate::node::{Node, NodeKind, NodeRef};
use crate::text::{TextError, Texts};
use crate::token::{Token, TokenKind};
use crate::views::Row;
use crate::{Keyword, Span, Tree};
pub(crate) use expr::precedence;
pub use forms::Form;
pub(crate) use indirection::ends;
use stack::{Frame, Mode, Room, Stack, Then};
pub(crate) use type_name::{FIRST_BOUND, small_integer};

/// Parses one statement, with or without a `;` at its end.
///
/// The tree and the few texts that had to be folded or unescaped are in `arena`; everything else points into `text`.
/// Nesting deeper than 24 levels takes 2 KiB more of `arena`; what is needed beyond 88 levels is charged to the same budget
/// and returned at the end.
///
/// # Errors
/// [`Error::Syntax`] and [`Error::Unsupported`] for the text, [`Error::OutOfMemory`] when the budget is used up; the
/// arena may then hold parts of a tree, which its reset removes.
pub fn parse<'a>(text: &'a str, arena: &'a Arena) -> Result<Tree<'a>, Error> {
    parse_unless(None, text, arena)
}

/// Parses like [`parse`], and gives up soon after another thread has set `cancel`.
///
/// # Errors
/// As [`parse`], and [`Error::Cancelled`].
pub fn parse_cancellable<'a>(
    text: &'a str,
    arena: &'a Arena,
    cancel: &AtomicBool,
) -> Result<Tree<'a>, Error> {
    parse_unless(Some(cancel), text, arena)
}

fn parse_unless<'a>(cancel: Option<&AtomicBool>, text: &'a str, arena: &'a Arena) -> Result<Tree<'a>, Error> {
    let mut lexer = Lexer::new(text)?;
    let mut room = Room::new(arena);
    let mut parser = Parser::new(lexer.next_token(), lexer, arena, &mut room);
    parser.cancel = cancel;
    match parser.run().and_then(|root| parser.finish(root)) {
        Ok(root) => {
            root.finish_root();
            Ok(Tree::new(text, root))
        }
        Err(failed) => Err(parser.explain(failed)),
    }
}

/// Parses the statement that begins with `first`, behind which `lexer` stands, up to its `;` or the end of the text, and
/// leaves `lexer` behind that `;`, also where the statement is wrong; not where it is cancelled.
pub(crate) fn parse_next<'a>(
    first: Token,
    lexer: &mut Lexer<'a>,
    arena: &'a Arena,
    cancel: Option<&AtomicBool>,
) -> Result<Tree<'a>, Error> {
    let mut room = Room::new(arena);
    let mut parser = Parser::new(first, lexer.clone(), arena, &mut room);
    parser.cancel = cancel;
    let outcome = parser.run().and_then(|root| parser.finish_one(root));
    if !matches!(parser.failure, Some(Error::Cancelled)) {
        lexer.seek(parser.behind_semicolon());
    }
    match outcome {
        Ok(root) => {
            root.finish_root();
            Ok(Tree::new(lexer.text(), root))
        }
        Err(failed) => Err(parser.explain(failed)),
    }
}

/// An `INSERT … VALUES` that was read up to its first row.
pub(crate) struct RowsHead<'a> {
    pub(crate) tree: Tree<'a>,
    pub(crate) lexer: Lexer<'a>,
    /// What stands where the first row must begin; the lexer is behind it.
    pub(crate) token: Token,
}

/// Reads an `INSERT` up to its `VALUES`; `None` when there are none where rows can be read apart.
pub(crate) fn parse_rows_head<'a>(text: &'a str, arena: &'a Arena) -> Result<Option<RowsHead<'a>>, Error> {
    let mut lexer = Lexer::new(text)?;
    let mut room = Room::new(arena);
    let first = lexer.next_token();
    if first.kind != TokenKind::Keyword(Keyword::Insert) {
        return Ok(None);
    }
    let mut parser = Parser::new(first, lexer, arena, &mut room);
    parser.rows = Rows::Apart;
    let failed = match parser.run() {
        Ok(root) => return parser.finish(root).map(|_| None).map_err(|failed| parser.explain(failed)),
        Err(failed) => failed,
    };
    let Some(values) = parser.rows_of else { return Err(parser.explain(failed)) };
    let insert = parser.stack.top().node();
    insert.push(values);
    insert.finish_root();
    let mut lexer = parser.lexer.clone();
    lexer.seek(parser.token.end);
    Ok(Some(RowsHead { tree: Tree::new(text, insert), lexer, token: parser.token }))
}

/// Reads the row that begins with `first`, behind which `lexer` stands. Gives the token that the next row begins with, if
/// there is one.
pub(crate) fn parse_row<'a>(
    first: Token,
    lexer: Lexer<'a>,
    arena: &'a Arena,
) -> Result<(Row<'a>, Option<Token>), Error> {
    let mut room = Room::new(arena);
    let mut parser = Parser::new(first, lexer, arena, &mut room);
    parser.rows = Rows::One;
    match parser.row_apart() {
        Ok((row, next)) => {
            row.finish_root();
            Ok((Row::of(row).expect("the parser gives a row"), next))
        }
        Err(failed) => Err(parser.explain(failed)),
    }
}

/// Parses one expression, such as a condition that is put into a query.
///
/// # Errors
/// As [`parse`].
pub fn parse_expression<'a>(text: &'a str, arena: &'a Arena) -> Result<&'a Node<'a>, Error> {
    let mut lexer = Lexer::new(text)?;
    let mut room = Room::new(arena);
    let mut parser = Parser::new(lexer.next_token(), lexer, arena, &mut room);
    match parser.run_from(Step::Operand).and_then(|root| parser.finish(root)) {
        Ok(root) => {
            root.finish_root();
            Ok(root)
        }
        Err(failed) => Err(parser.explain(failed)),
    }
}

/// Steps of the parser, of tens of nanoseconds each, between two looks at whether it is cancelled.
const STEPS_BETWEEN_LOOKS: u32 = 1 << 14;

/// The parser gave up; the reason is in [`Parser::failure`].
pub(crate) struct Failed;

pub(crate) type Parsed<T> = Result<T, Failed>;

/// What the parser does next.
#[derive(Clone, Copy)]
pub(crate) enum Step<'a> {
    /// An expression begins here, or the operand of an operator.
    Operand,
    /// This is an operand; an operator may follow.
    Value(NodeRef<'a>),
    /// A query begins here.
    Query,
    /// A query begins here that has no `WITH` of its own.
    QueryBody,
    /// This is a query; a set operation or `ORDER BY` and the like may follow.
    QueryValue(NodeRef<'a>),
    /// This is a query with its set operations; `ORDER BY` and the like may follow.
    QueryTail(NodeRef<'a>),
    /// A table begins here.
    Table,
    /// This is a table; a join may follow.
    TableValue(NodeRef<'a>),
    /// Any statement begins here.
    Statement,
    /// The construct on top of the stack has what it waited for.
    Done(NodeRef<'a>),
}

pub(crate) struct Parser<'a, 's> {
    arena: &'a Arena,
    texts: Texts<'a>,
    lexer: Lexer<'a>,
    /// The token to be read next, and the one after it where it was looked at already.
    token: Token,
    ahead: Option<Token>,
    /// The end of the token that was read last.
    end: u32,
    stack: Stack<'s, 'a>,
    failure: Option<Error>,
    /// What looked like a name but goes on as no name does: it is read to its end before it is refused.
    no_name: Option<NodeRef<'a>>,
    /// Who asks for the tree no longer wants it.
    cancel: Option<&'s AtomicBool>,
    steps: u32,
    rows: Rows,
    /// The `VALUES` before whose rows the parser stopped.
    rows_of: Option<NodeRef<'a>>,
}

/// How much of `VALUES` is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// All rows.
    All,
    /// None, where they are those of the statement itself.
    Apart,
    /// One row alone.
    One,
}

/// What a parser takes of the native stack, in bytes: its place in the text, the tokens that it looked ahead at, and the
/// stack of what is open, up to the depth at which it goes on in the statement's budget.
pub const PARSER_BYTES: usize = size_of::<Parser<'_, '_>>() + size_of::<Room<'_>>();

impl<'a, 's> Parser<'a, 's> {
    /// A parser at `token`, behind which `lexer` stands.
    fn new(token: Token, lexer: Lexer<'a>, arena: &'a Arena, room: &'s mut Room<'a>) -> Parser<'a, 's> {
        Parser {
            arena,
            texts: Texts::new(arena),
            lexer,
            token,
            ahead: None,
            end: 0,
            stack: Stack::new(room),
            failure: None,
            no_name: None,
            cancel: None,
            steps: 0,
            rows: Rows::All,
            rows_of: None,
        }
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed))
    }

    /// Counts a step, and gives up when the parser is cancelled.
    #[inline(always)]
    fn look_for_cancel(&mut self) -> Parsed<()> {
        self.steps = self.steps.wrapping_add(1);
        if self.steps.is_multiple_of(STEPS_BETWEEN_LOOKS) && self.is_cancelled() {
            return Err(self.fail(Error::Cancelled));
        }
        Ok(())
    }

    /// Parses the statement.
    fn run(&mut self) -> Parsed<NodeRef<'a>> {
        self.run_from(Step::Statement)
    }

    fn run_from(&mut self, mut step: Step<'a>) -> Parsed<NodeRef<'a>> {
        loop {
            match (self.run_steps(step), self.no_name.take()) {
                (Err(_), Some(node)) => step = self.rest_of_no_name(node)?,
                (outcome, _) => return outcome,
            }
        }
    }

    fn run_steps(&mut self, mut step: Step<'a>) -> Parsed<NodeRef<'a>> {
        loop {
            self.look_for_cancel()?;
            // The steps of expressions, most of all, follow each other in this order, which is easier to guess than one
            // place that goes on to all of them.
            if matches!(step, Step::Operand) {
                step = self.operand()?;
            }
            if let Step::Value(value) = step {
                step = self.infix(value)?;
            }
            step = match step {
                Step::Operand | Step::Value(_) => continue,
                Step::Query => self.query()?,
                Step::QueryBody => self.query_body()?,
                Step::QueryValue(query) => self.set_operation(query)?,
                Step::QueryTail(query) => self.query_tail(query)?,
                Step::Table => self.table()?,
                Step::TableValue(table) => self.join(table)?,
                Step::Statement => self.statement()?,
                Step::Done(node) => match self.stack.pop() {
                    Frame { then: Then::Finish, .. } => return Ok(node),
                    frame => self.resume(frame, node)?,
                },
            };
        }
    }

    /// Sees that nothing follows the statement but a `;`.
    fn finish(&mut self, root: NodeRef<'a>) -> Parsed<NodeRef<'a>> {
        let has_ended = self.take_if(TokenKind::Semicolon);
        match self.token.kind {
            TokenKind::End => Ok(root),
            _ if has_ended => Err(self.unexpected_with(&["the end of the text"], Some(Hint::OneStatement))),
            _ => Err(self.unexpected_end(root)),
        }
    }

    /// Sees that the statement ends here.
    fn finish_one(&mut self, root: NodeRef<'a>) -> Parsed<NodeRef<'a>> {
        match self.token.kind {
            TokenKind::Semicolon | TokenKind::End => Ok(root),
            _ => Err(self.unexpected_end(root)),
        }
    }

    /// More follows the statement in `root`. A comma can be missing only where it ends with a list or a query.
    fn unexpected_end(&mut self, root: NodeRef<'a>) -> Failed {
        let ends_with_list = root.last_child().is_some_and(|last| last.kind() != NodeKind::Words);
        let failed = self.unexpected(&["the end of the statement"]);
        if let Some(Error::Syntax(error)) = &mut self.failure
            && error.hint == Some(Hint::MissingComma)
            && root.kind() == NodeKind::Form
            && !ends_with_list
        {
            error.hint = None;
        }
        failed
    }

    /// The offset just after the next `;`, or the end of the text.
    fn behind_semicolon(&mut self) -> u32 {
        while !matches!(self.token.kind, TokenKind::Semicolon | TokenKind::End) {
            self.take();
        }
        self.token.end
    }

    /// Goes on with the construct of `frame`, which waited for `node`.
    fn resume(&mut self, frame: Frame<'a>, node: NodeRef<'a>) -> Parsed<Step<'a>> {
        match frame.then {
            Then::Finish => Ok(Step::Done(node)),
            Then::Unary
            | Then::Binary
            | Then::And
            | Then::Or
            | Then::Not
            | Then::BetweenHigh
            | Then::LikePattern
            | Then::LikeEscape
            | Then::DistinctFrom
            | Then::AtTimeZone => {
                frame.node().push(node);
                Ok(Step::Value(frame.node()))
            }
            Then::Paren => self.after_paren(frame, node),
            Then::RowItem => self.after_row_item(frame, node),
            Then::CallArg => self.after_call_arg(frame, node),
            Then::FormArg => self.after_form_arg(frame, node),
            Then::ExtractSource => self.after_extract_source(frame, node),
            Then::CastOperand => self.after_cast_operand(frame, node),
            Then::CastType => self.after_cast_type(frame, node),
            Then::CastSuffix => self.after_cast_suffix(frame, node),
            Then::TypeModifier => self.after_type_modifier(frame, node),
            Then::NormalizeArg => self.after_normalize_arg(frame, node),
            Then::Subscript => self.after_subscript(frame, node),
            Then::ArrayElement => self.after_array_element(frame, node),
            Then::QuantifiedItem => self.after_quantified_item(frame, node),
            Then::OverlapsItem => self.after_overlaps_item(frame, node),
            Then::CallOrderItem => self.after_call_order_item(frame, node),
            Then::CallClause => self.after_call_clause(frame, node),
            Then::FormOperand => Ok(Step::Value(node)),
            Then::JsonKey => self.after_json_key(node),
            Then::JsonMember => self.after_json_member(frame, node),
            Then::JsonOptions => self.after_json_options(frame, node),
            Then::CaseOperand => self.after_case_operand(frame, node),
            Then::CaseWhen => self.after_case_when(frame, node),
            Then::CaseResult => self.after_case_result(frame, node),
            Then::CaseElse => self.after_case_else(frame, node),
            Then::InItem => self.after_in_item(frame, node),
            Then::BetweenLow => self.after_between_low(frame, node),
            Then::SubqueryParen => self.after_subquery(frame, node, NodeKind::Subquery),
            Then::ExistsParen => self.after_subquery(frame, node, NodeKind::Exists),
            Then::InQueryParen | Then::QuantifiedQuery => self.after_in_query(frame, node),
            Then::UniqueQuery => self.after_unique_query(frame),
            Then::DerivedParen => self.after_derived(frame, node),
            Then::QueryParen => self.after_query_paren(frame, node),
            Then::CteQuery => self.after_cte_query(frame, node),
            Then::WithBody => self.after_with_body(frame, node),
            Then::SetOperation => {
                frame.node().push(node);
                Ok(Step::QueryValue(frame.node()))
            }
            Then::DistinctOnItem => self.after_distinct_on_item(frame, node),
            Then::SelectItem => self.after_select_item(frame, node),
            Then::SelectFrom => self.after_select_from(frame, node),
            Then::SelectWhere => self.after_select_where(frame, node),
            Then::GroupItem => self.after_group_item(frame, node),
            Then::GroupingItem => self.after_grouping_item(frame, node),
            Then::SelectHaving => self.after_select_having(frame, node),
            Then::ValuesItem => self.after_values_item(frame, node),
            Then::OrderItem => self.after_order_item(frame, node),
            Then::SortKey => self.sort_key(node).map(Step::Done),
            Then::Constant => self.after_constant(node),
            Then::WindowItem => self.after_window_item(frame, node),
            Then::Limit => self.after_limit(frame, node),
            Then::LimitComma => self.after_limit_comma(frame),
            Then::FetchCount => self.after_fetch_count(frame, node),
            Then::Offset => self.after_offset(frame, node),
            Then::FromItem => self.after_from_item(frame, node),
            Then::TableParen => self.after_table_paren(frame, node),
            Then::JoinRight => self.after_join_right(frame, node),
            Then::JoinOn => self.after_join_on(frame, node),
            Then::FormItem => self.after_form_item(node),
            Then::TableFunction => self.after_table_function(frame, node),
            Then::RowsFromItem => self.after_rows_from_item(frame, node),
            Then::RowsFromFunction => self.after_rows_from_function(frame, node),
            Then::AliasColumn => self.after_alias_column(frame, node),
            Then::ColumnType => self.after_column_type(frame, node),
            Then::Sample => {
                frame.node().push(node);
                Ok(Step::TableValue(frame.node()))
            }
            Then::NoName => Err(self.unexpected_with(&[], Some(Hint::PlainName))),
            Then::FormTable => self.after_form_table(frame, node),
            Then::CteSearch => self.after_cte_search(frame, node),
            Then::Form => self.after_form_part(frame, node),
        }
    }

    // ---- tokens

    /// Reads the current token.
    fn take(&mut self) -> Token {
        let taken = self.token;
        self.end = taken.end;
        match self.ahead.take() {
            Some(token) => self.token = token,
            None => self.lexer.read_into(&mut self.token),
        }
        taken
    }

    /// The kind of the token after the current one.
    fn peek(&mut self) -> TokenKind {
        if self.ahead.is_none() {
            self.ahead = Some(self.lexer.next_token());
        }
        self.ahead.map_or(TokenKind::End, |token| token.kind)
    }

    /// The kind of the token after that; the lexer reads it again when its turn comes.
    fn peek_second(&mut self) -> TokenKind {
        self.peek();
        self.lexer.clone().next_token().kind
    }

    fn is(&self, keyword: Keyword) -> bool {
        self.token.kind == TokenKind::Keyword(keyword)
    }

    fn peeks(&mut self, keyword: Keyword) -> bool {
        self.peek() == TokenKind::Keyword(keyword)
    }

    fn take_if(&mut self, kind: TokenKind) -> bool {
        let is_there = self.token.kind == kind;
        if is_there {
            self.take();
        }
        is_there
    }

    fn take_word(&mut self, keyword: Keyword) -> bool {
        self.take_if(TokenKind::Keyword(keyword))
    }

    fn expect(&mut self, kind: TokenKind, expected: &'static [&'static str]) -> Parsed<Token> {
        if self.token.kind == kind { Ok(self.take()) } else { Err(self.unexpected(expected)) }
    }

    fn expect_word(&mut self, keyword: Keyword, expected: &'static [&'static str]) -> Parsed<Token> {
        self.expect(TokenKind::Keyword(keyword), expected)
    }

    /// The text of a token.
    fn slice(&self, token: Token) -> &'a str {
        self.lexer.slice(token.span())
    }

    // ---- nodes

    fn node(&mut self, kind: NodeKind, span: Span) -> Parsed<NodeRef<'a>> {
        match self.arena.alloc(Node::new(kind, span)) {
            Ok(node) => Ok(node),
            Err(error) => Err(self.fail(Error::from(error))),
        }
    }

    /// A node that begins with the current token, which is read.
    fn node_here(&mut self, kind: NodeKind) -> Parsed<NodeRef<'a>> {
        let token = self.take();
        self.node(kind, token.span())
    }

    fn push_frame(&mut self, frame: Frame<'a>) -> Parsed<()> {
        self.stack.push(frame).map_err(|error| self.fail(Error::from(error)))
    }

    /// Waits for an expression that goes on as `frame` says.
    fn want_expr(&mut self, frame: Frame<'a>) -> Parsed<Step<'a>> {
        self.push_frame(frame)?;
        Ok(Step::Operand)
    }

    /// Waits for a query that goes on as `frame` says.
    fn want_query(&mut self, frame: Frame<'a>) -> Parsed<Step<'a>> {
        self.push_frame(frame)?;
        Ok(Step::Query)
    }

    // ---- failures

    fn fail(&mut self, error: Error) -> Failed {
        self.failure = Some(error);
        Failed
    }

    /// What stands at `span` is PostgreSQL's, but not supported.
    fn unsupported(&mut self, what: &'static str, span: Span) -> Failed {
        self.fail(Error::Unsupported(Unsupported { what, span }))
    }

    /// The current token begins something that is not supported.
    fn unsupported_here(&mut self, what: &'static str) -> Failed {
        let span = self.token.span();
        self.unsupported(what, span)
    }

    fn text_failed(&mut self, error: TextError, span: Span) -> Failed {
        match error {
            TextError::Memory(error) => self.fail(Error::from(error)),
            TextError::Escape(at) => self.invalid_escape(span, at),
        }
    }
}

/// A frame of a parenthesis that opened at `start`.
fn paren(then: Then, node: Option<NodeRef<'_>>, start: u32) -> Frame<'_> {
    Frame { start, node, ..Frame::new(then) }
}

/// A frame of an operator that waits for its right operand.
fn operator<'a>(then: Then, node: NodeRef<'a>, precedence: u8, mode: Mode) -> Frame<'a> {
    Frame { precedence, mode, ..Frame::of(then, node) }
}

#[cfg(test)]
mod tests;
