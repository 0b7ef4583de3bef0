//! What stands for an object in a form: dotted names, operators, roles, and numbers with a sign.

use super::name::{Last, is_plain_name};
use super::{Parsed, Parser};
use crate::keyword::Category;
use crate::node::{NodeKind, NodeRef, flag};
use crate::token::{Token, TokenKind};

const NAME: &[&str] = &["a name"];
const ROLE_FLAGS: &[&str] = &[
    "superuser",
    "nosuperuser",
    "createrole",
    "nocreaterole",
    "replication",
    "noreplication",
    "createdb",
    "nocreatedb",
    "login",
    "nologin",
    "bypassrls",
    "nobypassrls",
    "noinherit",
];
const ROLE: &[&str] = &["the name of a role"];

impl<'a> Parser<'a, '_> {
    /// A name with dots (`any_name`).
    pub(super) fn object_name(&mut self) -> Parsed<NodeRef<'a>> {
        if !Self::is_column_name(self.token.kind) {
            return Err(self.unexpected(NAME));
        }
        let node = self.node(NodeKind::ObjectName, self.token.span())?;
        self.dotted_name(node, Last::Name)?;
        Ok(node)
    }

    /// A name with dots where PostgreSQL's rules take a `*` and subscripts too and refuse them when the next
    /// token is known (`ColId indirection`).
    pub(super) fn indirect_name(&mut self) -> Parsed<NodeRef<'a>> {
        if !Self::is_column_name(self.token.kind) {
            return Err(self.unexpected(NAME));
        }
        let node = self.node(NodeKind::ObjectName, self.token.span())?;
        let has_star = self.dotted_name(node, Last::NameOrStar)?;
        self.check_plain_name(node, has_star)?;
        Ok(node)
    }

    /// The name of an option: any word, and possibly what it belongs to before it.
    pub(super) fn option_name(&mut self) -> Parsed<NodeRef<'a>> {
        let node = self.node(NodeKind::ObjectName, self.token.span())?;
        let first = self.any_word()?;
        let first_name = self.name_text(first)?;
        if self.take_if(TokenKind::Dot) {
            let second = self.any_word()?;
            let second_name = self.name_text(second)?;
            self.set_qualified(node, (first, first_name), (second, second_name))?;
        } else {
            node.set_text(first_name);
        }
        node.set_end(self.end);
        Ok(node)
    }

    fn any_word(&mut self) -> Parsed<Token> {
        if Self::is_label(self.token.kind) { Ok(self.take()) } else { Err(self.unexpected(&["a word"])) }
    }

    /// A reserved word as the value of an option.
    pub(super) fn reserved_word(&mut self) -> Parsed<NodeRef<'a>> {
        match self.token.keyword() {
            Some(keyword) if keyword.category() == Category::Reserved => {
                let node = self.node_here(NodeKind::Name)?;
                node.set_text(keyword.word());
                node.set(flag::KEYWORD);
                Ok(node)
            }
            _ => Err(self.unexpected(&["a word"])),
        }
    }

    /// The name of a function (`func_name`): a keyword that names only columns needs a schema's dot after it, one that
    /// names only functions can have none.
    pub(super) fn function_name(&mut self) -> Parsed<NodeRef<'a>> {
        let (is_routine, span) = (Self::is_type_or_function_name(self.token.kind), self.token.span());
        let node = self.routine_name()?;
        if !is_routine && node.span() == span {
            return Err(self.unexpected(&["`.`"]));
        }
        Ok(node)
    }

    /// The name of a function that is referred to; where no arguments follow it may be any name.
    pub(super) fn routine_name(&mut self) -> Parsed<NodeRef<'a>> {
        let kind = self.token.kind;
        if Self::is_column_name(kind) {
            let node = self.indirect_name()?;
            let is_single = node.qualifier().is_none();
            if is_single && !Self::is_type_or_function_name(kind) && self.token.kind == TokenKind::LeftParen {
                return Err(self.unexpected(&["`.`"]));
            }
            return Ok(node);
        }
        if !Self::is_type_or_function_name(kind) {
            return Err(self.unexpected(NAME));
        }
        let token = self.take();
        let node = self.node(NodeKind::ObjectName, token.span())?;
        node.set_text(self.name_text(token)?);
        Ok(node)
    }

    /// An operator with a schema or without (`any_operator`).
    pub(super) fn operator_name(&mut self) -> Parsed<NodeRef<'a>> {
        let node = self.node(NodeKind::ObjectName, self.token.span())?;
        node.set(flag::OPERATOR);
        let mut outer = None;
        while Self::is_column_name(self.token.kind) {
            let token = self.take();
            let name = self.name_text(token)?;
            self.expect(TokenKind::Dot, &["`.`"])?;
            if let Some((token, name)) = outer.replace((token, name)) {
                self.push_outer_name(node, token, name)?;
            }
        }
        if !self.token.kind.is_operator() {
            return Err(self.unexpected(&["an operator"]));
        }
        let token = self.take();
        let name = match token.kind {
            TokenKind::NotEqual => "<>",
            _ => self.slice(token),
        };
        match outer {
            None => node.set_text(name),
            Some(qualifier) => self.set_qualified(node, qualifier, (token, name))?,
        }
        node.set_end(self.end);
        Ok(node)
    }

    /// An operator alone (`all_Op`).
    pub(super) fn operator_sign(&mut self) -> Parsed<NodeRef<'a>> {
        if !self.token.kind.is_operator() {
            return Err(self.unexpected(&["an operator"]));
        }
        self.operator_name()
    }

    /// The name of a role (`NonReservedWord` in `RoleSpec`); `is_new` where it cannot be `public`.
    pub(super) fn role_name(&mut self, is_new: bool) -> Parsed<NodeRef<'a>> {
        let token = self.token;
        let is_word = match token.kind {
            TokenKind::Keyword(keyword) => keyword.category() != Category::Reserved,
            kind => is_plain_name(kind),
        };
        if !is_word {
            return Err(self.unexpected(ROLE));
        }
        let name = self.name_text(token)?;
        if name == "none" || (is_new && name == "public") {
            return Err(self.unexpected(ROLE));
        }
        self.take();
        let node = self.node(NodeKind::Name, token.span())?;
        node.set_text(name);
        Ok(node)
    }

    /// A property of a role that PostgreSQL's grammar has no keyword for.
    pub(super) fn role_flag(&mut self) -> Parsed<NodeRef<'a>> {
        let token = self.token;
        let name = self.name_text(token)?;
        if !is_plain_name(token.kind) || !ROLE_FLAGS.contains(&name) {
            return Err(self.unexpected(&["an option of a role"]));
        }
        self.take();
        let node = self.node(NodeKind::Name, token.span())?;
        node.set_text(name);
        Ok(node)
    }

    /// A parameter, `$1`.
    pub(super) fn parameter_name(&mut self) -> Parsed<NodeRef<'a>> {
        if self.token.kind != TokenKind::Parameter {
            return Err(self.unexpected(&["a parameter"]));
        }
        let node = self.node_here(NodeKind::Parameter)?;
        node.set_text(node.span().of(self.lexer.text()).get(1..).unwrap_or(""));
        Ok(node)
    }

    /// A number with its sign, if it has one; any (`NumericOnly`) or only an integer (`SignedIconst`).
    pub(super) fn signed_number(&mut self, is_integer: bool) -> Parsed<NodeRef<'a>> {
        let sign = match self.token.kind {
            TokenKind::Plus | TokenKind::Minus => Some(self.take()),
            _ => None,
        };
        let fits = match self.token.kind {
            TokenKind::Integer => true,
            TokenKind::Number => !is_integer,
            _ => false,
        };
        if !fits {
            return Err(self.unexpected(&["a number"]));
        }
        let number = self.take();
        let kind = if number.kind == TokenKind::Integer { NodeKind::Integer } else { NodeKind::Number };
        let node = self.node(kind, sign.map_or(number.span(), |sign| sign.span().to(number.span())))?;
        node.set_text(match sign {
            Some(sign) if sign.kind == TokenKind::Minus => {
                if sign.end == number.start {
                    node.span().of(self.lexer.text())
                } else {
                    let joined = self.texts.join(&["-", self.lexer.slice(number.span())]);
                    joined.map_err(|error| self.text_failed(error, number.span()))?
                }
            }
            _ => self.slice(number),
        });
        Ok(node)
    }
}
