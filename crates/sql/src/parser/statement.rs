//! Statements: which kind begins here, and the parts of those that change data which are written by hand.

use super::forms::{Form, Hook, Hooked};
use super::stack::{Frame, Mode, Then};
use super::{Parsed, Parser, Step};
use crate::Keyword;
use crate::error::Hint;
use crate::node::{NodeKind, NodeRef};
use crate::token::TokenKind;
use Keyword as K;

/// Of the frame of what follows `WITH`: which statements that change data may.
mod changes {
    pub(super) const NONE: u8 = 0;
    pub(super) const ALL: u8 = 1;
    pub(super) const ALL_BUT_MERGE: u8 = 2;
}

const STATEMENT: &[&str] = &["a statement"];

impl<'a> Parser<'a, '_> {
    pub(super) fn statement(&mut self) -> Parsed<Step<'a>> {
        match self.token.kind {
            TokenKind::Keyword(K::Select | K::Values | K::With | K::Table) | TokenKind::LeftParen => {
                Ok(Step::Query)
            }
            TokenKind::Keyword(keyword) => match changing_form(keyword) {
                Some(form) => self.enter(form),
                None => self.declared_statement(),
            },
            _ => Err(self.unexpected(STATEMENT)),
        }
    }

    /// A query or a statement that changes data, in another statement (`PreparableStmt`).
    pub(super) fn statement_in_form(&mut self, hook: Hook) -> Parsed<Step<'a>> {
        match self.token.keyword().and_then(changing_form) {
            Some(Form::Merge) if hook == Hook::RuleAction => Err(self.unexpected(STATEMENT)),
            Some(form) => self.enter(form),
            None => Ok(Step::Query),
        }
    }

    /// Which statements that change data may follow the `WITH` that ends here.
    pub(super) fn changes_after_with(&self) -> u8 {
        let top = self.stack.top();
        match (top.then, Self::awaited_hook(top)) {
            (Then::Finish | Then::CteQuery, _) | (_, Some(Hook::Statement | Hook::AnyStatement)) => {
                changes::ALL
            }
            (_, Some(Hook::RuleAction)) => changes::ALL_BUT_MERGE,
            _ => changes::NONE,
        }
    }

    /// The statement that changes data and begins with the current token, in `WITH` or after it.
    pub(super) fn change_in_query(&mut self) -> Option<Form> {
        let top = self.stack.top();
        let form = self.token.keyword().and_then(changing_form)?;
        let fits = match top.then {
            Then::CteQuery => true,
            Then::WithBody => match top.precedence {
                changes::ALL => true,
                changes::ALL_BUT_MERGE => form != Form::Merge,
                _ => false,
            },
            _ => false,
        };
        fits.then_some(form)
    }

    // ---- items of `RETURNING`

    pub(super) fn item(&mut self, frame: Frame<'a>) -> Parsed<Hooked<'a>> {
        if self.token.kind == TokenKind::Star {
            return self.node_here(NodeKind::Star).map(Hooked::Value);
        }
        self.push_frame(frame)?;
        self.push_frame(Frame { mode: Mode::Item, ..Frame::new(Then::FormItem) })?;
        Ok(Hooked::Step(Step::Operand))
    }

    pub(super) fn after_form_item(&mut self, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        let has_label = self.is(K::As) || Self::is_bare_label(self.token.kind);
        Ok(Step::Done(if has_label { self.labelled(value)? } else { value }))
    }

    // ---- columns that get values

    /// A column, or a part of it.
    pub(super) fn target(&mut self, frame: Frame<'a>) -> Parsed<Hooked<'a>> {
        let (name, span) = self.column_name()?;
        let node = self.node(NodeKind::Target, span)?;
        node.set_text(name);
        if !matches!(self.token.kind, TokenKind::Dot | TokenKind::LeftBracket) {
            return Ok(Hooked::Value(node));
        }
        self.push_frame(Frame { mode: Mode::Primary, ..frame })?;
        self.steps(node).map(Hooked::Step)
    }

    // ---- `CALL`

    /// A call of a function by its name (`func_application`).
    pub(super) fn application(&mut self, frame: Frame<'a>) -> Parsed<Hooked<'a>> {
        let node = self.function_name()?;
        if self.token.kind != TokenKind::LeftParen {
            return Err(self.unexpected(&["`(`"]));
        }
        self.push_frame(Frame { mode: Mode::Call, ..frame })?;
        self.call(node).map(Hooked::Step)
    }

    /// A hint for a statement that begins with a word that is none.
    pub(super) fn misspelled_statement(&self, word: &str) -> Option<Hint> {
        const WORDS: &[Keyword] = &[
            K::Select,
            K::Values,
            K::With,
            K::Insert,
            K::Update,
            K::Delete,
            K::Merge,
            K::Create,
            K::Alter,
            K::Drop,
            K::Begin,
            K::Commit,
            K::Rollback,
            K::Explain,
            K::Show,
            K::Set,
            K::Reset,
        ];
        super::recovery::nearest(word, WORDS).map(Hint::Misspelled)
    }
}

/// The form that begins with a keyword, for the statements that change data.
fn changing_form(keyword: Keyword) -> Option<Form> {
    match keyword {
        K::Insert => Some(Form::Insert),
        K::Update => Some(Form::Update),
        K::Delete => Some(Form::Delete),
        K::Merge => Some(Form::Merge),
        _ => None,
    }
}
