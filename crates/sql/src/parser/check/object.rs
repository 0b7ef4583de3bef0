//! What PostgreSQL's grammar refuses of functions, roles and publications although its rules let it through.

use crate::error::Mistake;
use crate::node::{NodeKind, NodeRef, flag, same_tree};
use crate::parser::{Failed, Parsed, Parser};
use crate::token::TokenKind;
use crate::views::forms::{
    AggregateSignature, AlterType, Argument, Copy, CreateAggregate, CreateFunction, PublicationObject, Role,
};
use crate::{Form, Keyword, Span, words};

impl<'a> Parser<'a, '_> {
    /// Checks a form that is complete.
    pub(super) fn check_object_form(&mut self, form: Form, node: NodeRef<'a>) -> Parsed<()> {
        match form {
            Form::MatchPartial => Err(self.unsupported("MATCH PARTIAL", node.span())),
            Form::DropEnumValue => {
                let drop = node.children().filter(|child| child.kind() == NodeKind::Words).last();
                Err(self.unsupported("dropping a value of an enumeration", drop.unwrap_or(node).span()))
            }
            Form::UpdateAction if node.child_of_kind(NodeKind::List).is_some() => {
                Err(self.unsupported("a column list after ON UPDATE", node.span()))
            }
            Form::Copy => self.check_copy(node),
            Form::Role => self.check_role(node),
            Form::Argument => self.check_argument(node),
            Form::CreateFunction => self.check_result_columns(node),
            Form::CreateAggregate | Form::AggregateSignature => self.check_aggregate(node),
            Form::CreatePublication | Form::AlterPublication => self.check_publication(node),
            Form::RoleOption | Form::RoleChange => self.check_old_word(node, Keyword::Unencrypted),
            Form::ExtensionOption => self.check_old_word(node, Keyword::From),
            Form::CreateCompositeType | Form::RenameAttribute => self.check_composite_name(node),
            Form::AlterType
                if AlterType::of(node).is_some_and(|alter| alter.attributes().next().is_some()) =>
            {
                self.check_composite_name(node)
            }
            Form::CreateAssertion => {
                self.check_contradictions(node)?;
                Err(self.unsupported("CREATE ASSERTION", node.span()))
            }
            _ => Ok(()),
        }
    }

    /// A composite type is a kind of table, and named like one.
    fn check_composite_name(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        let name = node.first_child().filter(|name| name.children_count() > 1);
        name.map_or(Ok(()), |name| Err(self.mistake(Mistake::TooManyNames, name.span(), None)))
    }

    /// PostgreSQL had options that begin with `word`, and its grammar still reads them.
    fn check_old_word(&mut self, node: NodeRef<'a>, word: Keyword) -> Parsed<()> {
        let is_old =
            words::tokens(node.name()).next().is_some_and(|(token, _)| token.keyword() == Some(word));
        if is_old { Err(self.misfit(node.span())) } else { Ok(()) }
    }

    /// A function that returns a table has its output there and in no argument.
    fn check_result_columns(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        let Some(function) = CreateFunction::of(node) else { return Ok(()) };
        if function.columns().next().is_none() {
            return Ok(());
        }
        let output = function.parameters().find(|one| one.mode_out() || one.mode_inout());
        output.map_or(Ok(()), |output| Err(self.misfit(output.form().span())))
    }

    /// Where the direct arguments of an aggregate are variadic, the others are the same.
    fn check_aggregate(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        let lists = match (CreateAggregate::of(node), AggregateSignature::of(node)) {
            (Some(aggregate), _) => (aggregate.arguments().last(), of_one(aggregate.ordered())),
            (_, Some(aggregate)) => (aggregate.arguments().last(), of_one(aggregate.ordered())),
            _ => return Ok(()),
        };
        let (Some(direct), (Some(ordered), is_one)) = lists else { return Ok(()) };
        let same_type = direct.type_name().zip(ordered.type_name());
        let is_same = same_type.is_some_and(|(direct, ordered)| same_tree(direct.node(), ordered.node()));
        if direct.variadic() && !(is_one && ordered.variadic() && is_same) {
            return Err(self.misfit(ordered.form().span()));
        }
        Ok(())
    }

    /// An argument of an aggregate is no output.
    fn check_argument(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        let Some(argument) = Argument::of(node).filter(|one| one.mode_out() || one.mode_inout()) else {
            return Ok(());
        };
        let list = self.stack.second().node.and_then(|list| list.form());
        // A single word may be a name or a type: PostgreSQL looks at the next token first.
        let is_one_word =
            argument.name().is_none() && argument.type_name().is_some_and(|kind| is_word(kind.node()));
        let is_seen = !is_one_word
            || matches!(self.token.kind, TokenKind::Comma | TokenKind::RightParen)
            || self.is(Keyword::Order);
        if is_seen && matches!(list, Some(Form::CreateAggregate | Form::AggregateSignature)) {
            return Err(self.misfit(node.span()));
        }
        Ok(())
    }

    /// What gets a new name must be a role by its own name. PostgreSQL knows when it sees the token after the role.
    fn check_role(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        let gets_name = match self.stack.top().node.and_then(|outer| outer.form()) {
            Some(Form::AlterRole) => self.is(Keyword::Rename),
            Some(Form::AlterGroup) => !self.is(Keyword::Add) && !self.is(Keyword::Drop),
            _ => false,
        };
        let is_named = Role::of(node).and_then(Role::name).is_some_and(|name| name != "public");
        if gets_name && !is_named { Err(self.misfit(node.span())) } else { Ok(()) }
    }

    /// A program gets or gives what is copied through a command, and only rows that come in can be chosen.
    fn check_copy(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        let Some(copy) = Copy::of(node) else { return Ok(()) };
        if copy.program() && copy.file().is_none() {
            // PostgreSQL complains at what stands where delimiters may stand.
            let words: &[Keyword] = match copy.table() {
                Some(_) => &[Keyword::Using, Keyword::Delimiters, Keyword::Stdin, Keyword::Stdout],
                None => &[Keyword::To],
            };
            let span = words.iter().find_map(|word| copy.form().place_of(*word)).unwrap_or(node.span());
            return Err(self.mistake_with(Mistake::Unexpected, span, &["a command in quotes"]));
        }
        if copy.to() && copy.condition().is_some() {
            let span = copy.form().place_of(Keyword::Where).unwrap_or(node.span());
            return Err(self.mistake_with(Mistake::Unexpected, span, &["the end of the statement"]));
        }
        Ok(())
    }

    /// The first object of a publication says what it is; those after it that do not are of the same kind, which must
    /// suit them.
    fn check_publication(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        let list = node.children().filter(|child| child.kind() == NodeKind::List);
        let mut is_schema = None;
        for object in list.flat_map(|list| list.children()).filter_map(PublicationObject::of) {
            let has_kind = object.is_table() || object.tables_in_schema();
            if has_kind {
                is_schema = Some(object.tables_in_schema());
            }
            let fits = match is_schema {
                None => false,
                Some(false) => !object.current_schema(),
                Some(true) if has_kind || object.current_schema() => true,
                Some(true) => is_plain_name(object),
            };
            if !fits {
                return Err(self.misfit(object.form().span()));
            }
        }
        Ok(())
    }

    fn misfit(&mut self, span: Span) -> Failed {
        self.mistake(Mistake::Unexpected, span, None)
    }
}

/// The first argument, and whether it is the only one.
fn of_one<'a>(mut arguments: impl Iterator<Item = Argument<'a>>) -> (Option<Argument<'a>>, bool) {
    (arguments.next(), arguments.next().is_none())
}

/// Whether a type is a name alone.
fn is_word(kind: NodeRef<'_>) -> bool {
    !kind.has(flag::KEYWORD | flag::SETOF) && kind.first_child().is_none() && kind.qualifier().is_none()
}

/// Whether it is one name, as a schema has.
fn is_plain_name(object: PublicationObject<'_>) -> bool {
    let has_more = object.form().node().children_count() > 1 || object.only();
    !has_more && object.table().is_some_and(|table| table.qualifier().is_none())
}
