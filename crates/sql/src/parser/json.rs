//! `JSON_OBJECT` and `JSON_ARRAY`, whose first token does not say which of their forms they have; the other functions for
//! JSON are declared in `grammar/json.syntax`.

use super::stack::{Frame, Then};
use super::{Form, Parsed, Parser, Step, paren};
use crate::Keyword as K;
use crate::error::Mistake;
use crate::node::{NodeKind, NodeRef, flag};
use crate::print;
use crate::token::TokenKind;

impl<'a> Parser<'a, '_> {
    /// `JSON_OBJECT(key VALUE value, …)`, or with `:`; and the function of this name with arguments like any other.
    pub(super) fn json_object(&mut self) -> Parsed<Step<'a>> {
        let node = self.node_here(NodeKind::Call)?;
        node.set_text(K::JsonObject.word());
        node.set(flag::KEYWORD);
        let start = self.take().start;
        match self.token.kind {
            TokenKind::RightParen | TokenKind::Keyword(K::Returning) => {
                self.json_options(paren(Then::JsonMember, Some(node), start))
            }
            _ => self.want_expr(paren(Then::CallArg, Some(node), start)),
        }
    }

    /// `JSON_ARRAY(value, …)` or `JSON_ARRAY(query)`.
    pub(super) fn json_array(&mut self) -> Parsed<Step<'a>> {
        let is_query =
            matches!(self.peek_second(), TokenKind::Keyword(K::Select | K::Values | K::With | K::Table));
        self.form_operand(if is_query { Form::JsonArrayQuery } else { Form::JsonArray })
    }

    /// Whether the first argument of `JSON_OBJECT` was read and turns out to be a key.
    pub(super) fn begins_json_value(&self, call: NodeRef<'a>) -> bool {
        matches!(self.token.kind, TokenKind::Colon | TokenKind::Keyword(K::Value))
            && call.has(flag::KEYWORD)
            && call.name() == K::JsonObject.word()
            && call.children_count() == 0
    }

    /// A member of the object that the call of `frame` makes; its key was read.
    pub(super) fn json_member(&mut self, frame: Frame<'a>, key: NodeRef<'a>) -> Parsed<Step<'a>> {
        self.check_json_key(key)?;
        self.push_frame(Frame { then: Then::JsonMember, ..frame })?;
        self.enter_after(Form::JsonMember, key)
    }

    pub(super) fn after_json_key(&mut self, key: NodeRef<'a>) -> Parsed<Step<'a>> {
        self.check_json_key(key)?;
        Ok(Step::Done(key))
    }

    /// Before `VALUE` a key is a value without operators.
    fn check_json_key(&mut self, key: NodeRef<'a>) -> Parsed<()> {
        if !self.is(K::Value) {
            return Ok(());
        }
        if !self.is_primary(key) {
            return Err(self.unexpected(&["`:`", "an operator"]));
        }
        key.set(if print::is_primary(key) { 0 } else { flag::PARENS });
        Ok(())
    }

    pub(super) fn after_json_member(&mut self, frame: Frame<'a>, member: NodeRef<'a>) -> Parsed<Step<'a>> {
        frame.node().push(member);
        if self.take_if(TokenKind::Comma) {
            self.push_frame(frame)?;
            return self.enter(Form::JsonMember);
        }
        self.json_options(frame)
    }

    /// What may follow the members of an object, and its end.
    fn json_options(&mut self, frame: Frame<'a>) -> Parsed<Step<'a>> {
        let begins_options = match self.token.keyword() {
            Some(K::Null | K::Absent | K::Returning | K::Without) => true,
            Some(K::With) => self.begins_with(),
            _ => false,
        };
        if begins_options {
            self.push_frame(Frame { then: Then::JsonOptions, ..frame })?;
            return self.enter(Form::JsonOptions);
        }
        self.end_json_object(frame)
    }

    pub(super) fn after_json_options(&mut self, frame: Frame<'a>, options: NodeRef<'a>) -> Parsed<Step<'a>> {
        frame.node().set(flag::OPTIONS);
        frame.node().push(options);
        self.end_json_object(frame)
    }

    fn end_json_object(&mut self, frame: Frame<'a>) -> Parsed<Step<'a>> {
        self.close(frame)?;
        frame.node().set_end(self.end);
        Ok(Step::Value(frame.node()))
    }

    /// The name of an encoding after `FORMAT JSON ENCODING`.
    pub(super) fn json_encoding(&mut self) -> Parsed<NodeRef<'a>> {
        const ENCODINGS: [&str; 3] = ["utf8", "utf16", "utf32"];
        let (name, span) = self.column_name()?;
        if !ENCODINGS.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return Err(self.mistake(Mistake::UnknownOption, span, None));
        }
        let node = self.node(NodeKind::Name, span)?;
        node.set_text(name);
        Ok(node)
    }
}
