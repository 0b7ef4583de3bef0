//! Lays a statement out for people: the same words, new blanks.
//!
//! The formatter writes the tokens of the text one after the other, so names, literals and comments stay as they are; it
//! decides the blanks between them, and the case of keywords. The tree says which tokens belong together: a query, a
//! list, a `CASE`. Such a group stays on its line when it fits; otherwise it breaks at its places, each of which says
//! how far the new line is indented. Groups inside of it are decided by themselves, as in Oppen's *Prettyprinting*
//! (ACM TOPLAS 2(4), 1980), but from the tree, so that nothing is read twice but the beginning of a group.
//!
//! Costs 20 bytes in the caller's arena for each node that forms a group and each place where it may break, and 12 for
//! each group that is open. The time is linear in the text times the width.

use std::fmt::{self, Write};

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};

use crate::lexer::Lexer;
use crate::node::{Node, NodeKind, Visit, flag};
use crate::token::{Token, TokenKind};
use crate::views::query;
use crate::{Category, Form, Keyword, Tree};

/// How text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Lines get no longer than this many characters where a break helps.
    pub width: usize,
    /// Blanks of one level; no line gets more of them than half of `width`.
    pub indent: usize,
    /// How keywords are written.
    pub keywords: KeywordCase,
}

/// How keywords are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeywordCase {
    /// `SELECT`.
    Upper,
    /// `select`.
    Lower,
    /// As they are.
    Keep,
}

impl Default for Layout {
    fn default() -> Layout {
        Layout { width: 88, indent: 4, keywords: KeywordCase::Upper }
    }
}

/// Why a statement could not be laid out.
#[derive(Clone, Copy, Debug)]
pub enum FormatError {
    /// The budget of the arena is used up.
    OutOfMemory(AllocError),
    /// The writer failed.
    Write,
}

impl From<AllocError> for FormatError {
    fn from(error: AllocError) -> FormatError {
        FormatError::OutOfMemory(error)
    }
}

impl From<fmt::Error> for FormatError {
    fn from(_: fmt::Error) -> FormatError {
        FormatError::Write
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormatError::OutOfMemory(error) => write!(f, "{error}"),
            FormatError::Write => f.write_str("the formatted text could not be written"),
        }
    }
}

impl std::error::Error for FormatError {}

/// Writes the whole text of `tree` in `layout`, comments included, without a line break at its end. `scratch` holds what
/// the formatter needs meanwhile.
///
/// # Errors
/// [`FormatError::OutOfMemory`] when the budget of `scratch` is used up, [`FormatError::Write`] when `out` fails.
///
/// # Source
/// Derek C. Oppen, *Prettyprinting*, ACM TOPLAS 2(4), 1980, for groups that break as one.
pub fn format(
    tree: Tree<'_>,
    layout: Layout,
    out: &mut dyn Write,
    scratch: &Arena,
) -> Result<(), FormatError> {
    let mut marks = Vec::new_in(scratch);
    // For each tree of joins that is open, the `FROM` that it stands in.
    let mut froms = Vec::new_in(scratch);
    for visit in tree.walk() {
        match visit {
            Visit::Enter(node) => {
                if is_outermost_join(node) {
                    froms.push(node.parent().filter(|parent| parent.kind() == NodeKind::From))?;
                }
                match froms.last() {
                    Some(from) if node.kind() == NodeKind::Join => {
                        mark_join(node, *from, tree.text(), &mut marks)?;
                    }
                    _ => mark(node, tree.text(), &mut marks)?,
                }
                if let Some((start, end)) = names(node, tree.text()) {
                    marks.push(Mark { role: Role::Names, ..Mark::group(start, end) })?;
                }
            }
            Visit::Leave(node) if is_outermost_join(node) => drop(froms.pop()),
            Visit::Leave(_) => {}
        }
    }
    // At the same place wider groups come first, then what was marked first: a group, its break, the groups inside.
    for (index, mark) in marks.iter_mut().enumerate() {
        mark.order = index as u32;
    }
    marks.sort_unstable_by_key(|mark: &Mark| (mark.at, u32::MAX - mark.end, mark.order));
    let writer = Writer {
        text: tree.text(),
        layout,
        out,
        column: 0,
        line_indent: 0,
        open: Vec::new_in(scratch),
        previous: None,
        needs_line: false,
        names_end: 0,
        follows_comment: false,
    };
    writer.run(&marks)
}

/// What a [`Mark`] marks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Group,
    /// A place where a group may break.
    Break,
    /// Words that are names here, though they may be keywords elsewhere.
    Names,
}

/// A group, or something in it.
#[derive(Clone, Copy)]
struct Mark {
    /// Where it begins.
    at: u32,
    /// For a group its end; for a break the end of its group.
    end: u32,
    /// For a break, where its group begins.
    group_start: u32,
    role: Role,
    /// The number of the mark, in the order of the tree.
    order: u32,
    /// For a break, the levels that the new line is indented by.
    levels: u8,
}

impl Mark {
    fn group(start: u32, end: u32) -> Mark {
        Mark { at: start, end, group_start: start, order: 0, role: Role::Group, levels: 0 }
    }

    fn place(self, at: u32, levels: u8) -> Mark {
        Mark { at, role: Role::Break, levels, ..self }
    }
}

type Marks<'s> = Vec<'s, Mark>;

/// Notes how `node` is laid out.
fn mark<'a>(node: &'a Node<'a>, text: &str, marks: &mut Marks<'_>) -> Result<(), AllocError> {
    use NodeKind as N;
    let span = node.span();
    let group = Mark::group(span.start, span.end());
    match node.kind() {
        N::Select | N::Values | N::SetOperation => mark_query(node, text, group, marks)?,
        N::From => {
            marks.push(group)?;
            for table in node.children().skip(1) {
                marks.push(group.place(table.span().start, 1))?;
            }
        }
        N::GroupBy | N::Windows | N::OrderBy => {
            marks.push(group)?;
            for item in node.children() {
                marks.push(group.place(item.span().start, 1))?;
            }
        }
        N::And | N::Or if is_in_parens(node, text) => mark_parens(node, text, group, marks)?,
        N::And | N::Or => {
            marks.push(group)?;
            let levels = u8::from(node.parent().is_some_and(|parent| {
                matches!(parent.kind(), N::Where | N::Having | N::On | N::Form | N::When | N::Else)
            }));
            let mut previous = None;
            for operand in node.children() {
                if let Some(end) = previous {
                    marks.push(group.place(next_token(text, end), levels))?;
                }
                previous = Some(operand.span().end());
            }
        }
        N::Case => {
            marks.push(group)?;
            for part in node.children().filter(|part| matches!(part.kind(), N::When | N::Else)) {
                marks.push(group.place(part.span().start, 1))?;
            }
            marks.push(group.place(span.end().saturating_sub(3), 0))?;
        }
        N::Derived | N::Cte => {
            if let Some(query) = node.children().find(|child| is_query(child.kind())) {
                let close = next_token(text, query.span().end());
                let group = Mark::group(span.start, close + 1);
                marks.push(group)?;
                marks.push(group.place(query.span().start, 1))?;
                marks.push(group.place(close, 0))?;
            }
        }
        N::Call | N::Row | N::InList | N::InQuery | N::Subquery | N::Exists => {
            mark_parens(node, text, group, marks)?;
        }
        N::List => mark_list(node, text, marks)?,
        N::Form => mark_form(node, text, group, marks)?,
        _ => {}
    }
    Ok(())
}

/// The part of `node` in which all words are names, whatever else they are.
fn names(node: &Node<'_>, text: &str) -> Option<(u32, u32)> {
    use NodeKind as N;
    let span = node.span();
    let first_token = || Lexer::from(text, span.start).next_token();
    match node.kind() {
        N::Column | N::ObjectName | N::Name | N::Star | N::Type => Some((span.start, span.end())),
        N::Table => Some((span.start, dotted_end(text, span.start))),
        N::Call if !node.has(flag::KEYWORD) => Some((span.start, dotted_end(text, span.start))),
        N::Aliased => {
            let label = node.first_child()?.span().end();
            Some((after_as(text, label), span.end()))
        }
        N::Alias => {
            let start = after_as(text, span.start);
            let end = text.get(start as usize..span.end() as usize)?.find('(');
            Some((start, end.map_or(span.end(), |at| start + at as u32)))
        }
        N::Cte | N::ColumnDef => Some((span.start, first_token().end)),
        _ => None,
    }
}

/// The end of the name with dots that begins at `position`.
fn dotted_end(text: &str, position: u32) -> u32 {
    let mut lexer = Lexer::from(text, position);
    loop {
        let end = lexer.next_token().end;
        if lexer.next_token().kind != TokenKind::Dot {
            return end;
        }
    }
}

/// Where the first token at or after `position` begins that is not `AS`.
fn after_as(text: &str, position: u32) -> u32 {
    let mut lexer = Lexer::from(text, position);
    let token = lexer.next_token();
    if token.keyword() == Some(Keyword::As) { lexer.next_token().start } else { token.start }
}

/// Whether it is a join that is no part of another.
fn is_outermost_join(node: &Node<'_>) -> bool {
    let is_join = |node: &Node<'_>| node.kind() == NodeKind::Join;
    is_join(node) && !node.parent().is_some_and(is_join)
}

/// A line for each join of `FROM`.
fn mark_join(
    node: &Node<'_>,
    from: Option<&Node<'_>>,
    text: &str,
    marks: &mut Marks<'_>,
) -> Result<(), AllocError> {
    if let (Some(left), Some(from)) = (node.first_child(), from) {
        let from = Mark::group(from.span().start, from.span().end());
        marks.push(from.place(next_token(text, left.span().end()), 1))?;
    }
    Ok(())
}

fn mark_query<'a>(
    node: &'a Node<'a>,
    text: &str,
    group: Mark,
    marks: &mut Marks<'_>,
) -> Result<(), AllocError> {
    use NodeKind as N;
    marks.push(group)?;
    let mut items: Option<Mark> = None;
    let mut with_end = None;
    for child in node.children() {
        let span = child.span();
        match child.kind() {
            N::With => with_end = Some(span.end()),
            N::DistinctOn => {}
            _ if query::is_clause(child.kind()) => {
                marks.push(group.place(span.start, 0))?;
            }
            N::Form | N::Words => marks.push(group.place(span.start, 0))?,
            _ if node.kind() == N::SetOperation => {
                if span.start > group.at && with_end.is_none() {
                    marks.push(group.place(span.start, 0))?;
                }
            }
            _ => {
                let start = items.map_or(span.start, |items| items.at);
                items = Some(Mark::group(start, span.end()));
            }
        }
    }
    if let Some(end) = with_end {
        marks.push(group.place(next_token(text, end), 0))?;
    }
    if node.kind() == N::SetOperation {
        let mut operands = node.children().filter(|child| is_query(child.kind()));
        if let Some(left) = operands.next() {
            marks.push(group.place(next_token(text, left.span().end()), 0))?;
        }
        if let Some(right) = operands.next() {
            marks.push(group.place(right.span().start, 0))?;
        }
        return Ok(());
    }
    if let Some(items) = items {
        marks.push(items)?;
        for item in node.children().filter(|child| !is_clause(child.kind())) {
            marks.push(items.place(item.span().start, 1))?;
        }
    }
    Ok(())
}

fn is_query(kind: NodeKind) -> bool {
    matches!(kind, NodeKind::Select | NodeKind::Values | NodeKind::SetOperation)
}

fn is_clause(kind: NodeKind) -> bool {
    use NodeKind::{DistinctOn, Form, With, Words};
    query::is_clause(kind) || matches!(kind, With | DistinctOn | Form | Words)
}

/// What stands between the last parentheses of `node`.
fn mark_parens<'a>(
    node: &'a Node<'a>,
    text: &str,
    group: Mark,
    marks: &mut Marks<'_>,
) -> Result<(), AllocError> {
    let close = group.end.saturating_sub(1);
    if text.as_bytes().get(close as usize) != Some(&b')') {
        return Ok(());
    }
    marks.push(group)?;
    let outside = usize::from(matches!(node.kind(), NodeKind::InList | NodeKind::InQuery));
    let is_junction = matches!(node.kind(), NodeKind::And | NodeKind::Or);
    let mut previous = None;
    for child in node.children().filter(|child| child.kind() != NodeKind::Name).skip(outside) {
        let at = match previous {
            // The word between two operands begins the line.
            Some(end) if is_junction => next_token(text, end),
            _ => child.span().start,
        };
        if at > group.at {
            marks.push(group.place(at, 1))?;
        }
        previous = Some(child.span().end());
    }
    marks.push(group.place(close, 0))
}

/// Whether the span of a junction includes parentheses around it.
fn is_in_parens(node: &Node<'_>, text: &str) -> bool {
    node.first_child().is_some_and(|first| first.span().start > node.span().start)
        && text.as_bytes().get(node.span().start as usize) == Some(&b'(')
}

fn mark_list<'a>(list: &'a Node<'a>, text: &str, marks: &mut Marks<'_>) -> Result<(), AllocError> {
    let span = list.span();
    // The parentheses around the list are not in its span.
    let close = next_token(text, span.end());
    let group = Mark::group(span.start, if list.has(flag::PARENS) { close + 1 } else { span.end() });
    marks.push(group)?;
    let first = usize::from(!list.has(flag::PARENS));
    for element in list.children().skip(first) {
        marks.push(group.place(element.span().start, 1))?;
    }
    if list.has(flag::PARENS) {
        marks.push(group.place(close, 0))?;
    }
    Ok(())
}

fn mark_form<'a>(
    form: &'a Node<'a>,
    text: &str,
    group: Mark,
    marks: &mut Marks<'_>,
) -> Result<(), AllocError> {
    marks.push(group)?;
    let is_root = form.parent().is_none();
    if let Some(with) = form.first_child().filter(|child| child.kind() == NodeKind::With) {
        marks.push(group.place(next_token(text, with.span().end()), 0))?;
    }
    let levels = u8::from(is_root && !form.form().is_some_and(changes_rows));
    for part in form.children().skip(1) {
        let begins_clause = part.kind() == NodeKind::Words
            || is_query(part.kind())
            || (part.kind() == NodeKind::Form && !part.name().is_empty());
        if begins_clause && is_root {
            marks.push(group.place(part.span().start, if is_query(part.kind()) { 0 } else { levels }))?;
        }
    }
    Ok(())
}

/// Whether the clauses of a statement stand below each other like those of a query.
fn changes_rows(form: Form) -> bool {
    matches!(form, Form::Insert | Form::Update | Form::Delete | Form::Merge)
}

/// Where the first token at or after `position` begins.
fn next_token(text: &str, position: u32) -> u32 {
    Lexer::from(text, position).next_token().start
}

/// A group that is open while its tokens are written.
#[derive(Clone, Copy)]
struct Open {
    start: u32,
    end: u32,
    is_broken: bool,
    /// Blanks before the line on which it began.
    indent: usize,
}

struct Writer<'t, 'o, 's> {
    text: &'t str,
    layout: Layout,
    out: &'o mut dyn Write,
    /// Characters on the line so far.
    column: usize,
    line_indent: usize,
    open: Vec<'s, Open>,
    previous: Option<Written>,
    /// Whether what is written next must begin a line.
    needs_line: bool,
    /// Up to here words are names.
    names_end: u32,
    /// Whether a comment stands before it on the line.
    follows_comment: bool,
}

impl Writer<'_, '_, '_> {
    fn run(mut self, marks: &[Mark]) -> Result<(), FormatError> {
        let mut lexer = Lexer::from(self.text, 0);
        let mut marks = marks.iter().peekable();
        let mut end = 0;
        loop {
            let token = lexer.next_token();
            self.comments(end, token.start)?;
            if token.kind == TokenKind::End {
                return Ok(());
            }
            while self.open.last().is_some_and(|group| group.end <= token.start) {
                self.open.pop();
            }
            let mut new_line: Option<usize> = None;
            while let Some(mark) = marks.next_if(|mark| mark.at <= token.start) {
                if mark.at < token.start {
                    continue;
                }
                if mark.role == Role::Names {
                    self.names_end = self.names_end.max(mark.end);
                } else if mark.role == Role::Group {
                    let indent = new_line.unwrap_or(self.line_indent);
                    let column = new_line.unwrap_or(self.column + 1);
                    let is_broken = !self.fits(mark.at, mark.end, column);
                    self.open.push(Open { start: mark.at, end: mark.end, is_broken, indent })?;
                } else if let Some(group) = self.group_of(mark)
                    && group.is_broken
                {
                    // Half the width is enough to see the nesting; the text then grows with the depth and not with its square.
                    let indent = group.indent + usize::from(mark.levels) * self.layout.indent;
                    let indent = indent.min(self.layout.width / 2);
                    new_line = Some(new_line.map_or(indent, |before| before.max(indent)));
                }
            }
            match new_line {
                Some(indent) if self.previous.is_some() || self.needs_line => self.break_line(indent)?,
                _ if self.needs_line => self.break_line(self.line_indent)?,
                _ if self.follows_comment => self.write(" ")?,
                _ => self.space_before(token)?,
            }
            (self.needs_line, self.follows_comment) = (false, false);
            self.token(token)?;
            self.previous = Some(Written::after(self.previous, token));
            end = token.end;
        }
    }

    fn group_of(&self, mark: &Mark) -> Option<Open> {
        self.open.iter().rev().find(|group| group.start == mark.group_start && group.end == mark.end).copied()
    }

    /// Whether the tokens from `start` to `end` fit on the line from `column` on.
    fn fits(&self, start: u32, end: u32, column: usize) -> bool {
        let mut lexer = Lexer::from(self.text, start);
        let mut column = column;
        let mut previous: Option<Written> = None;
        loop {
            let token = lexer.next_token();
            if token.kind == TokenKind::End || token.start >= end {
                return true;
            }
            let text = lexer.slice(token.span());
            if let Some(previous) = previous {
                let gap = self.text.get(previous.token.end as usize..token.start as usize).unwrap_or("");
                if gap.contains("--") || gap.contains("/*") {
                    return false;
                }
                column += usize::from(needs_space(previous, token));
            }
            column += text.chars().count();
            if column > self.layout.width || text.contains('\n') {
                return false;
            }
            previous = Some(Written::after(previous, token));
        }
    }

    fn write(&mut self, text: &str) -> Result<(), FormatError> {
        self.out.write_str(text)?;
        self.column = match text.rfind('\n') {
            Some(at) => text[at + 1..].chars().count(),
            None => self.column + text.chars().count(),
        };
        Ok(())
    }

    fn break_line(&mut self, indent: usize) -> Result<(), FormatError> {
        self.write("\n")?;
        for _ in 0..indent {
            self.out.write_char(' ')?;
        }
        self.column = indent;
        self.line_indent = indent;
        Ok(())
    }

    fn space_before(&mut self, token: Token) -> Result<(), FormatError> {
        match self.previous {
            Some(previous) if needs_space(previous, token) => self.write(" "),
            _ => Ok(()),
        }
    }

    fn token(&mut self, token: Token) -> Result<(), FormatError> {
        let text = token.span().of(self.text);
        match (token.kind, self.layout.keywords) {
            _ if token.start < self.names_end => return self.write(text),
            (TokenKind::Keyword(_), KeywordCase::Upper) => {
                text.chars().try_for_each(|letter| self.out.write_char(letter.to_ascii_uppercase()))?;
            }
            (TokenKind::Keyword(_), KeywordCase::Lower) => {
                text.chars().try_for_each(|letter| self.out.write_char(letter.to_ascii_lowercase()))?;
            }
            _ => return self.write(text),
        }
        self.column += text.len();
        Ok(())
    }

    /// Writes the comments between two tokens. A line break that one of them needs is left to what comes next.
    fn comments(&mut self, start: u32, end: u32) -> Result<(), FormatError> {
        let text = self.text;
        let mut rest = text.get(start as usize..end as usize).unwrap_or("");
        loop {
            let after_blanks = rest.trim_start();
            let blanks = rest.get(..rest.len() - after_blanks.len()).unwrap_or("");
            if after_blanks.is_empty() {
                return Ok(());
            }
            let (comment, after) = after_blanks
                .split_at_checked(crate::lexer::comment_bytes(after_blanks))
                .unwrap_or((after_blanks, ""));
            let is_first = self.previous.is_none() && !self.needs_line && !self.follows_comment;
            if self.needs_line || (blanks.contains('\n') && !is_first) {
                self.break_line(self.line_indent)?;
            } else if !is_first {
                self.write(" ")?;
            }
            self.write(comment.trim_end())?;
            self.follows_comment = true;
            let ends_line = after.get(..after.len() - after.trim_start().len()).unwrap_or("").contains('\n');
            self.needs_line =
                comment.starts_with("--") || (ends_line && blanks.contains('\n')) || (is_first && ends_line);
            rest = after;
        }
    }
}

/// A token that was written, and whether it is an operator before its operand.
#[derive(Clone, Copy)]
struct Written {
    token: Token,
    is_prefix: bool,
}

impl Written {
    fn after(previous: Option<Written>, token: Token) -> Written {
        let is_prefix = token.kind.is_operator() && !previous.is_some_and(|left| left.ends_operand());
        Written { token, is_prefix }
    }

    /// Whether an operator after it stands between two operands.
    fn ends_operand(self) -> bool {
        use TokenKind as T;
        match self.token.kind {
            T::Keyword(keyword) => {
                use Keyword::{CurrentDate, CurrentTimestamp, Default, End, False, Null, True};
                keyword.category() == Category::Unreserved
                    || matches!(keyword, End | Null | True | False | Default | CurrentDate | CurrentTimestamp)
            }
            T::LeftParen | T::LeftBracket | T::Comma | T::Semicolon | T::Dot | T::Arrow | T::ColonEqual => {
                false
            }
            kind => !kind.is_operator(),
        }
    }
}

/// Whether a blank stands between two tokens on a line.
fn needs_space(left: Written, right: Token) -> bool {
    use TokenKind as T;
    match (left.token.kind, right.kind) {
        (T::LeftParen | T::LeftBracket | T::Dot | T::ColonColon | T::Colon, _) => false,
        (_, T::RightParen | T::RightBracket | T::LeftBracket | T::Comma | T::Semicolon | T::Dot) => false,
        (_, T::ColonColon | T::Colon) => false,
        // `N'text'` is two tokens.
        (T::Keyword(Keyword::Nchar), T::String { .. }) => left.token.end != right.start,
        (T::Keyword(keyword), T::LeftParen) => left.token.end != right.start || takes_space(keyword),
        // A call and the modifiers of a type stay together; where the author put a blank it was not one of them.
        (T::Name { .. } | T::QuotedName { .. } | T::UnicodeName | T::RightParen, T::LeftParen) => {
            left.token.end != right.start
        }
        // `*` in a list of items is no operator, and two prefix operators together would be another.
        (T::Plus | T::Minus | T::Operator, kind) if left.is_prefix => kind.is_operator(),
        _ => true,
    }
}

/// Whether a parenthesis right after the word is a separate thing.
fn takes_space(keyword: Keyword) -> bool {
    use Keyword::{Array, Cast, Collation, CurrentTime, CurrentTimestamp, Filter, Localtime, Localtimestamp};
    match keyword {
        Array | Cast | Collation | CurrentTime | CurrentTimestamp | Localtime | Localtimestamp => false,
        Keyword::Values | Filter | Keyword::Over | Keyword::Exists => true,
        _ => keyword.category() == Category::Reserved,
    }
}

#[cfg(test)]
mod tests;
