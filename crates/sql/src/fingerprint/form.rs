//! What statements and clauses that the grammar declares count as: their form, the words in them that mean something,
//! and their parts. An optional word without a label means nothing.

use super::hash::{Hash, Hasher, NOTHING, counts, list, set};
use super::{name, query, session};
use crate::node::{Node, NodeKind};
use crate::views::forms::FormRef;
use crate::{Form, Keyword, words};

/// Names of parts; labels of the grammar are numbers below.
const TARGET: u64 = 257;

pub(super) fn hash<'a>(node: &'a Node<'a>, children: &mut [Hash]) -> Hash {
    match node.form() {
        Some(form) => form_hash(form, node, children),
        None if node.kind() == NodeKind::Words => words_hash(node),
        None => list_hash(node, children),
    }
}

/// Words count by themselves; those that mean the same count the same.
fn words_hash<'a>(run: &'a Node<'a>) -> Hash {
    let form = run.form().or(run.parent().and_then(Node::form));
    let mut hasher = Hasher::of(NodeKind::Words);
    let mut is_empty = true;
    for (token, word) in words::meant(run) {
        is_empty = false;
        hasher = match token.keyword() {
            Some(keyword) => hasher.number(1 + synonym(form, keyword) as u64),
            None => hasher.text(word),
        };
    }
    if is_empty { NOTHING } else { hasher.finish() }
}

/// The word that says the same as `keyword`.
fn synonym(form: Option<Form>, keyword: Keyword) -> Keyword {
    match (form, keyword) {
        (Some(Form::Commit), Keyword::End) => Keyword::Commit,
        (Some(Form::Rollback), Keyword::Abort) => Keyword::Rollback,
        (_, Keyword::Temp) => Keyword::Temporary,
        (_, Keyword::Analyse) => Keyword::Analyze,
        (_, keyword) => keyword,
    }
}

fn list_hash<'a>(node: &'a Node<'a>, children: &mut [Hash]) -> Hash {
    let first = node.first_child();
    let is_set = match node.parent().and_then(Node::form) {
        Some(Form::Insert) => first.is_some_and(|first| first.kind() == NodeKind::Target),
        Some(Form::Update | Form::OnConflict | Form::MergeWhen) => {
            first.is_some_and(|first| first.kind() == NodeKind::Target || first.form() == Some(Form::Assignment))
                || first.is_some_and(|first| is_table(first.kind()))
        }
        Some(Form::Returning) => {
            for (child, hash) in node.children().zip(children.iter_mut()) {
                if child.kind() != NodeKind::Aliased && child.form().is_none() {
                    *hash = query::result_item(*hash, "");
                }
            }
            false
        }
        _ => false,
    };
    if is_set { set(children) } else { list(children.iter().copied()) }
}

fn is_table(kind: NodeKind) -> bool {
    matches!(kind, NodeKind::Table | NodeKind::File | NodeKind::Derived | NodeKind::TableFunction | NodeKind::Join)
}

fn form_hash<'a>(form: Form, node: &'a Node<'a>, children: &mut [Hash]) -> Hash {
    if let Some(hash) = session::hash(form, node, children) {
        return hash;
    }
    match form {
        Form::Do => Hasher::of(NodeKind::Form).number(form.code().into()).finish(),
        Form::Insert | Form::Update | Form::Delete | Form::Merge => {
            let table = target(node);
            parts(Hasher::of(NodeKind::Form).number(form.code().into()).part(TARGET, table), form, node, children)
        }
        _ => parts(Hasher::of(NodeKind::Form).number(form.code().into()), form, node, children),
    }
}

/// The words and the parts of a form.
fn parts<'a>(mut hasher: Hasher, form: Form, node: &'a Node<'a>, children: &[Hash]) -> Hash {
    hasher = hasher.part(0, words_hash(node));
    let mut pending = NOTHING;
    for (child, hash) in node.children().zip(children.iter().copied()) {
        if child.kind() == NodeKind::Words {
            pending = hash;
            continue;
        }
        // A clause that is a constant, `WHERE true`, counts as none.
        let is_nothing = !counts(hash) && is_expression(child.kind());
        hasher = hasher.part(0, if is_nothing { NOTHING } else { pending });
        pending = NOTHING;
        if !is_ignored(form, child) {
            let slot = if form == Form::OperatorSignature { 0 } else { child.slot() };
            hasher = hasher.part(1 + u64::from(slot), hash);
        }
    }
    hasher.part(0, pending).finish()
}

fn is_expression(kind: NodeKind) -> bool {
    use NodeKind as N;
    !matches!(kind, N::Form | N::List | N::Words | N::Name | N::ObjectName | N::Target | N::Type)
}

/// Whether a part counts for nothing: names that only tell statements of one session apart, and what PostgreSQL's tree
/// has as constants.
fn is_ignored<'a>(form: Form, part: &'a Node<'a>) -> bool {
    use Form as F;
    match form {
        F::CommitPrepared
        | F::RollbackPrepared
        | F::PrepareTransaction
        | F::RollbackTo
        | F::Savepoint
        | F::Release
        | F::Listen
        | F::Unlisten
        | F::Notify => true,
        F::Prepare | F::Execute | F::Deallocate | F::DeclareCursor | F::Fetch | F::Move | F::Close => {
            part.kind() == NodeKind::Name
        }
        F::Role => part.name() != "public",
        F::Insert | F::Update | F::Delete | F::Merge => is_target(part),
        _ => false,
    }
}

/// The table that a statement changes, which goes by its alias if it has one.
fn target<'a>(node: &'a Node<'a>) -> Hash {
    let Some(table) = node.children().find(|child| child.kind() == NodeKind::ObjectName) else { return NOTHING };
    let is_only = FormRef::of(node).is_some_and(|form| form.says(Keyword::Only));
    let name = match alias_after(table) {
        Some(alias) => name::alias(alias.name()),
        None => name::relation_name(table.name()),
    };
    name::relation_of(name, NOTHING, NOTHING, is_only)
}

/// The alias of the table of a statement.
fn alias_after<'a>(table: &'a Node<'a>) -> Option<&'a Node<'a>> {
    let is_as = |node: &Node<'_>| node.kind() == NodeKind::Words && words::same(node.name(), "as");
    let next = table.next_sibling()?;
    let alias = if is_as(next) { next.next_sibling()? } else { next };
    (alias.kind() == NodeKind::Name).then_some(alias)
}

/// Whether a part is the table that a statement changes, or its alias.
fn is_target<'a>(part: &'a Node<'a>) -> bool {
    let table = part.parent().and_then(|form| form.child_of_kind(NodeKind::ObjectName));
    let alias = table.and_then(alias_after);
    [table, alias].into_iter().flatten().any(|node| std::ptr::eq(node, part))
}
