//! What PostgreSQL's grammar refuses of functions, roles and publications although its rules let it through.

use super::{Failed, Parsed, Parser};
use crate::error::Mistake;
use crate::node::{NodeKind, NodeRef, same_tree};
use crate::views::forms::{
    AggregateSignature, AlterGroup, AlterRole, AlterType, Argument, CreateAggregate, CreateFunction,
    PublicationObject, Role,
};
use crate::{Form, Keyword, Span, words};

impl<'a> Parser<'a, '_> {
    /// Checks a form that is complete.
    pub(super) fn check_object_form(&mut self, form: Form, node: NodeRef<'a>) -> Parsed<()> {
        match form {
            Form::CreateFunction => self.check_result_columns(node),
            Form::CreateAggregate | Form::AggregateSignature => self.check_aggregate(node),
            Form::AlterRole | Form::AlterGroup => self.check_renamed_role(node),
            Form::CreatePublication | Form::AlterPublication => self.check_publication(node),
            Form::RoleOption | Form::RoleChange => self.check_old_word(node, Keyword::Unencrypted),
            Form::ExtensionOption => self.check_old_word(node, Keyword::From),
            Form::CreateCompositeType | Form::RenameAttribute => self.check_composite_name(node),
            Form::AlterType
                if AlterType::of(node).is_some_and(|alter| alter.attributes().next().is_some()) =>
            {
                self.check_composite_name(node)
            }
            Form::CreateAssertion => Err(self.unsupported("CREATE ASSERTION", node.span())),
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

    /// An aggregate has no output arguments, and where its direct arguments are variadic the others are the same.
    fn check_aggregate(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        let lists = match (CreateAggregate::of(node), AggregateSignature::of(node)) {
            (Some(aggregate), _) => {
                (last_and_count(aggregate.arguments()), last_and_count(aggregate.ordered()))
            }
            (_, Some(aggregate)) => {
                (last_and_count(aggregate.arguments()), last_and_count(aggregate.ordered()))
            }
            _ => return Ok(()),
        };
        let list = node.children().filter(|child| child.kind() == NodeKind::List);
        let mut arguments = list.flat_map(|list| list.children()).filter_map(Argument::of);
        if let Some(output) = arguments.find(|one| one.mode_out() || one.mode_inout()) {
            return Err(self.misfit(output.form().span()));
        }
        let ((Some(direct), _), (Some(ordered), ordered_count)) = lists else { return Ok(()) };
        let same_type = direct.type_name().zip(ordered.type_name());
        let is_same = same_type.is_some_and(|(direct, ordered)| same_tree(direct.node(), ordered.node()));
        if direct.variadic() && !(ordered_count == 1 && ordered.variadic() && is_same) {
            return Err(self.misfit(ordered.form().span()));
        }
        Ok(())
    }

    /// What gets a new name must be a role by its own name.
    fn check_renamed_role(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        let (role, new_name) = match (AlterRole::of(node), AlterGroup::of(node)) {
            (Some(alter), _) => (alter.role(), alter.new_name()),
            (_, Some(alter)) => (alter.role(), alter.new_name()),
            _ => return Ok(()),
        };
        let is_named = |role: &Role<'a>| role.name().is_some_and(|name| name != "public");
        match role.filter(|role| new_name.is_some() && !is_named(role)) {
            Some(role) => Err(self.misfit(role.form().span())),
            None => Ok(()),
        }
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

fn last_and_count<'a>(arguments: impl Iterator<Item = Argument<'a>>) -> (Option<Argument<'a>>, usize) {
    arguments.fold((None, 0), |(_, count), argument| (Some(argument), count + 1))
}

/// Whether it is one name, as a schema has.
fn is_plain_name(object: PublicationObject<'_>) -> bool {
    let has_more = object.form().node().children_count() > 1 || object.only();
    !has_more && object.table().is_some_and(|table| table.qualifier().is_none())
}
