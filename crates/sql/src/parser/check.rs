//! What PostgreSQL's grammar refuses although its rules let it through: properties that contradict each other or do not
//! belong to the construct that they stand at.

mod object;
mod query;

use super::{Failed, Parsed, Parser, small_integer};
use crate::error::Mistake;
use crate::node::{NodeKind, NodeRef};
use crate::token::TokenKind;
use crate::{Form, Keyword, Span, words};
use Keyword as K;

/// What a `ConstraintAttribute` says, as a bit.
mod attribute {
    pub(super) const NOT_DEFERRABLE: u8 = 1;
    pub(super) const DEFERRABLE: u8 = 1 << 1;
    pub(super) const IMMEDIATE: u8 = 1 << 2;
    pub(super) const DEFERRED: u8 = 1 << 3;
    pub(super) const NOT_VALID: u8 = 1 << 4;
    pub(super) const NO_INHERIT: u8 = 1 << 5;
    pub(super) const NOT_ENFORCED: u8 = 1 << 6;
    pub(super) const ENFORCED: u8 = 1 << 7;
    /// Those that say only what holds anyway.
    pub(super) const ALWAYS: u8 = NOT_DEFERRABLE | IMMEDIATE;
    pub(super) const DEFERRAL: u8 = ALWAYS | DEFERRABLE | DEFERRED;
    pub(super) const ENFORCEMENT: u8 = NOT_ENFORCED | ENFORCED;
    /// Pairs that contradict each other.
    pub(super) const CONTRADICTIONS: [u8; 4] =
        [NOT_DEFERRABLE | DEFERRED, NOT_DEFERRABLE | DEFERRABLE, IMMEDIATE | DEFERRED, ENFORCEMENT];
}
use attribute as a;

impl<'a> Parser<'a, '_> {
    /// Checks a form that is complete.
    pub(super) fn check_form(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        let Some(form) = node.form() else { return Ok(()) };
        match form {
            Form::CheckConstraint => {
                self.check_attributes(node, a::ENFORCEMENT | a::NOT_VALID | a::NO_INHERIT)
            }
            Form::NotNullConstraint => self.check_attributes(node, a::NOT_VALID | a::NO_INHERIT),
            Form::UniqueConstraint | Form::PrimaryKey | Form::ExclusionConstraint => {
                self.check_attributes(node, a::DEFERRAL)
            }
            Form::CreateConstraintTrigger => {
                self.check_contradictions(node)?;
                self.check_replaced(node)?;
                self.check_attributes(node, a::DEFERRAL)
            }
            Form::ForeignKey => self.check_attributes(node, a::DEFERRAL | a::ENFORCEMENT | a::NOT_VALID),
            Form::DomainCheck => self.check_attributes(node, a::NOT_VALID | a::NO_INHERIT),
            Form::DomainNotNull => self.check_attributes(node, 0),
            Form::AlterConstraint => {
                self.check_attributes(node, a::DEFERRAL | a::ENFORCEMENT | a::NO_INHERIT)
            }
            Form::CreateRecursiveView => self.check_recursive_view(node),
            Form::CreateSchema => self.check_schema(node),
            Form::TriggerEvent => self.check_trigger_event(node),
            Form::ColumnDefinition | Form::ColumnOptions | Form::CreateDomain => self.check_collations(node),
            Form::GeneratedColumn => self.check_generated(node),
            Form::PartitionBy => {
                self.check_word(node, &["list", "range", "hash"], &["LIST", "RANGE", "HASH"])
            }
            Form::PolicyMode => {
                self.check_word(node, &["permissive", "restrictive"], &["PERMISSIVE", "RESTRICTIVE"])
            }
            Form::PartitionBound => self.check_hash(node),
            Form::SetStatistics => self.check_column_number(node),
            Form::WindowFrame | Form::WindowBound | Form::XmlTableColumn | Form::JsonTable => {
                self.check_query_form(form, node)
            }
            _ => self.check_object_form(form, node),
        }
    }

    /// Sees that the properties of a constraint fit together and are among those that its kind can have.
    fn check_attributes(&mut self, node: NodeRef<'a>, allowed: u8) -> Parsed<()> {
        self.check_contradictions(node)?;
        let seen = attributes(node).fold(0, |seen, child| seen | attribute_of(child));
        match attributes(node).next() {
            Some(first) if seen & !(allowed | a::ALWAYS) != 0 => {
                Err(self.mistake(Mistake::NotOfThisConstraint, first.span(), None))
            }
            _ => Ok(()),
        }
    }

    /// Sees that no property of a constraint contradicts one before it.
    pub(super) fn check_contradictions(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        let mut seen = 0;
        for child in attributes(node) {
            seen |= attribute_of(child);
            if a::CONTRADICTIONS.iter().any(|pair| seen & pair == *pair) {
                return Err(self.mistake(Mistake::Contradiction, child.span(), None));
            }
        }
        Ok(())
    }

    /// Sees that a trigger is not replaced where it cannot be.
    fn check_replaced(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        if words::tokens(node.name()).any(|(token, _)| token.keyword() == Some(K::Replace)) {
            return Err(self.misplaced(Span { len: 6, ..node.span() }, &["CREATE CONSTRAINT TRIGGER"]));
        }
        Ok(())
    }

    /// Sees that no event of a trigger is named twice.
    fn check_trigger_event(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        let events = self.stack.top().node.into_iter().flat_map(|trigger| trigger.children());
        let mut events = events.filter(|child| child.form() == Some(Form::TriggerEvent));
        let word = first_word(node);
        if !events.any(|other| first_word(other) == word) {
            return Ok(());
        }
        // PostgreSQL sees that an `UPDATE` is complete when it sees what follows.
        let is_update = word == Some(TokenKind::Keyword(K::Update));
        let span = if is_update { self.token.span() } else { node.span() };
        Err(self.mistake(Mistake::RepeatedClause, span, None))
    }

    /// A column has one collation.
    fn check_collations(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        let mut collations = node.children().filter(|child| child.form() == Some(Form::ColumnCollation));
        match collations.nth(1) {
            Some(second) => Err(self.mistake(Mistake::RepeatedClause, second.span(), None)),
            None => Ok(()),
        }
    }

    /// A column that is computed is so always.
    fn check_generated(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        let words = node.children().filter(|child| child.kind() == NodeKind::Words);
        for node in std::iter::once(node).chain(words) {
            let by = words::tokens(node.name()).find(|(token, _)| token.keyword() == Some(K::By));
            if let Some((token, _)) = by {
                let span = Span { start: node.span().start + token.start, len: 2 };
                return Err(self.misplaced(span, &["ALWAYS"]));
            }
        }
        Ok(())
    }

    /// Sees that the name among the parts of `node` that stands for a word of SQL is one of `choice`.
    fn check_word(
        &mut self,
        node: NodeRef<'a>,
        choice: &[&str],
        expected: &'static [&'static str],
    ) -> Parsed<()> {
        match node.child_of_kind(NodeKind::Name) {
            Some(name) if !choice.iter().any(|word| word.eq_ignore_ascii_case(name.name())) => {
                Err(self.misplaced(name.span(), expected))
            }
            _ => Ok(()),
        }
    }

    /// A partition of a hash has a modulus and a remainder.
    fn check_hash(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        const PARTS: [&str; 2] = ["modulus", "remainder"];
        let list = node.children().find(|child| child.kind() == NodeKind::List);
        let is_hash = |child: NodeRef<'a>| child.form() == Some(Form::HashPart);
        let Some(list) = list.filter(|list| list.first_child().is_some_and(is_hash)) else { return Ok(()) };
        let mut seen = [false; PARTS.len()];
        for part in list.children() {
            let name = part.first_child().map_or("", |name| name.name());
            let Some(index) = PARTS.iter().position(|word| *word == name) else {
                return Err(self.misplaced(part.span(), &["MODULUS", "REMAINDER"]));
            };
            if std::mem::replace(&mut seen[index], true) {
                return Err(self.mistake(Mistake::RepeatedClause, part.span(), None));
            }
        }
        if seen == [true; PARTS.len()] {
            Ok(())
        } else {
            Err(self.misplaced(list.span(), &["MODULUS", "REMAINDER"]))
        }
    }

    /// The number of a column is one that PostgreSQL can count.
    fn check_column_number(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        let number = node.first_child().filter(|child| child.kind() == NodeKind::Integer);
        match number {
            Some(number)
                if !small_integer(number.name()).is_some_and(|number| (1..=0x7FFF).contains(&number)) =>
            {
                Err(self.misplaced(number.span(), &["a number from 1 to 32767"]))
            }
            _ => Ok(()),
        }
    }

    /// A recursive view cannot be written to, so nothing of it is checked.
    fn check_recursive_view(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        match node.children().filter(|child| child.kind() == NodeKind::Words).last() {
            Some(words) if first_word(words) == Some(TokenKind::Keyword(K::With)) => {
                Err(self.misplaced(words.span(), &["the end of the statement"]))
            }
            _ => Ok(()),
        }
    }

    /// A schema that may be there already is made without anything in it.
    fn check_schema(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        let says_if = words::tokens(node.name()).any(|(token, _)| token.keyword() == Some(K::If));
        let is_element = |child: &NodeRef<'a>| child.form().is_some_and(|form| form != Form::Role);
        match node.children().find(is_element) {
            Some(element) if says_if => Err(self.misplaced(element.span(), &["the end of the statement"])),
            _ => Ok(()),
        }
    }

    /// A schema can be made together with tables, but not with one that has the rows of a query: what stands after its
    /// name, or after the first column, is wrong then.
    pub(super) fn check_place(&mut self, form: Form) -> Parsed<()> {
        let outer = self.stack.top().node.and_then(|outer| outer.form());
        if form != Form::CreateTableAs || outer != Some(Form::CreateSchema) {
            return Ok(());
        }
        if self.take_if(TokenKind::LeftParen) {
            self.take();
        }
        Err(self.unexpected(&["the columns"]))
    }

    fn misplaced(&mut self, span: Span, expected: &'static [&'static str]) -> Failed {
        self.mistake_with(Mistake::Unexpected, span, expected)
    }
}

/// The first keyword of a form.
fn first_word(node: NodeRef<'_>) -> Option<TokenKind> {
    words::tokens(node.name()).next().map(|(token, _)| token.kind)
}

/// The properties of a constraint.
fn attributes(node: NodeRef<'_>) -> impl Iterator<Item = NodeRef<'_>> {
    node.children().filter(|child| child.form() == Some(Form::ConstraintAttribute))
}

fn attribute_of(node: NodeRef<'_>) -> u8 {
    let mut keywords = words::tokens(node.name()).filter_map(|(token, _)| token.keyword());
    match (keywords.next(), keywords.next()) {
        (Some(K::Not), Some(K::Deferrable)) => a::NOT_DEFERRABLE,
        (Some(K::Not), Some(K::Enforced)) => a::NOT_ENFORCED,
        (Some(K::Not), _) => a::NOT_VALID,
        (Some(K::No), _) => a::NO_INHERIT,
        (Some(K::Initially), Some(K::Deferred)) => a::DEFERRED,
        (Some(K::Initially), _) => a::IMMEDIATE,
        (Some(K::Enforced), _) => a::ENFORCED,
        _ => a::DEFERRABLE,
    }
}
