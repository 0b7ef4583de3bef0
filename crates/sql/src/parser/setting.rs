//! Names and values of settings and options.

use super::name::is_string;
use super::{Parsed, Parser};
use crate::Keyword as K;
use crate::error::Mistake;
use crate::keyword::Category;
use crate::node::{NodeKind, NodeRef, flag};
use crate::token::{Token, TokenKind};

const VALUE: &[&str] = &["a value"];

impl<'a> Parser<'a, '_> {
    /// The name of a table or the like, of at most three parts (`qualified_name`).
    pub(super) fn qualified_name(&mut self) -> Parsed<NodeRef<'a>> {
        let node = self.indirect_name()?;
        if node.children_count() > 1 {
            return Err(self.mistake(Mistake::TooManyNames, node.span(), None));
        }
        Ok(node)
    }

    /// The name of a setting, `a` or `a.b` (`var_name`).
    pub(super) fn setting_name(&mut self) -> Parsed<NodeRef<'a>> {
        let node = self.node(NodeKind::ObjectName, self.token.span())?;
        let mut last = self.setting_part()?;
        let mut outer = None;
        while self.take_if(TokenKind::Dot) {
            if let Some((token, name)) = outer.replace(last) {
                self.push_outer_name(node, token, name)?;
            }
            last = self.setting_part()?;
        }
        match outer {
            None => node.set_text(last.1),
            Some(qualifier) => self.set_qualified(node, qualifier, last)?,
        }
        node.set_end(self.end);
        Ok(node)
    }

    fn setting_part(&mut self) -> Parsed<(Token, &'a str)> {
        let token = self.token;
        let (name, _) = self.column_name()?;
        Ok((token, name))
    }

    /// A value of a setting: a word, a string, or a number with its sign (`var_value`).
    pub(super) fn setting_value(&mut self) -> Parsed<NodeRef<'a>> {
        match self.token.kind {
            TokenKind::Plus | TokenKind::Minus | TokenKind::Integer | TokenKind::Number => {
                self.signed_number(false)
            }
            _ => self.setting_word(),
        }
    }

    /// A word or a string (`opt_boolean_or_string`).
    pub(super) fn setting_word(&mut self) -> Parsed<NodeRef<'a>> {
        match self.token.kind {
            TokenKind::Keyword(K::True | K::False | K::On) => self.word_node(NodeKind::Name),
            _ => self.word_or_string(),
        }
    }

    /// A word that is not reserved, or a string (`NonReservedWord_or_Sconst`).
    pub(super) fn word_or_string(&mut self) -> Parsed<NodeRef<'a>> {
        let kind = match self.token.kind {
            kind if is_string(kind) => NodeKind::String,
            kind if Self::is_column_name(kind) || Self::is_type_or_function_name(kind) => NodeKind::Name,
            _ => return Err(self.unexpected(VALUE)),
        };
        self.word_node(kind)
    }

    fn word_node(&mut self, kind: NodeKind) -> Parsed<NodeRef<'a>> {
        let token = self.take();
        let node = self.node(kind, token.span())?;
        node.set_text(self.name_text(token)?);
        node.set(word_flags(token.kind));
        Ok(node)
    }
}

/// The flags of a word that stands where keywords are no more than words: it needs no quotes there.
pub(super) fn word_flags(kind: TokenKind) -> u16 {
    match kind {
        TokenKind::Keyword(keyword) if keyword.category() != Category::Unreserved => flag::KEYWORD,
        _ => 0,
    }
}
