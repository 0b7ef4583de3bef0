//! What statements and clauses that the grammar declares count as: their form, the words in them that mean something,
//! and their parts. An optional word without a label means nothing, and neither do signs. Where PostgreSQL has one tree
//! for several notations, or none for what is the default, it is said here, form by form.

use super::hash::{Hash, Hasher, List, NOTHING, counts, list, set, text};
use super::{name, query, session};
use crate::node::{Node, NodeKind};
use crate::token::{Token, TokenKind};
use crate::views::forms::FormRef;
use crate::{Form, Keyword, words};

/// The name of the part that is the table of a statement; the labels of the grammar are numbers below.
const TARGET: u64 = 256;

pub(super) fn hash<'a>(node: &'a Node<'a>, children: &mut [Hash]) -> Hash {
    match node.form() {
        Some(form) => form_hash(form, node, children),
        None if node.kind() == NodeKind::Words => NOTHING,
        None => list_hash(node, children),
    }
}

/// Begins the hash of a form.
pub(super) fn begin(form: Form) -> Hasher {
    Hasher::of(NodeKind::Form).number(form.code().into())
}

/// Whether `keyword` is among the own words of a form.
pub(super) fn says<'a>(node: &'a Node<'a>, keyword: Keyword) -> bool {
    FormRef::of(node).is_some_and(|form| form.says(keyword))
}

// ---- words

/// Words count by themselves; those that mean the same count the same. The last `left_out` keywords count for nothing.
fn words_hash<'a>(run: &'a Node<'a>, left_out: usize) -> Hash {
    let form = run.form().or(run.parent().and_then(Node::form));
    let is_word = |token: Token| !is_sign(token.kind);
    let count = words::meant(run).filter(|(token, _)| is_word(*token)).count().saturating_sub(left_out);
    let mut hasher = Hasher::of(NodeKind::Words);
    let mut is_empty = true;
    for (token, word) in words::meant(run).filter(|(token, _)| is_word(*token)).take(count) {
        hasher = match token.keyword().map(|keyword| meaning(form, keyword)) {
            Some(None) => continue,
            Some(Some(keyword)) => hasher.number(keyword as u64),
            None => hasher.text(word),
        };
        is_empty = false;
    }
    if is_empty { NOTHING } else { hasher.finish() }
}

/// Whether a token only holds the others together.
fn is_sign(kind: TokenKind) -> bool {
    use TokenKind as T;
    matches!(kind, T::LeftParen | T::RightParen | T::Comma | T::Semicolon | T::Colon | T::Equal | T::Star)
}

/// The word that says the same as `keyword`; none for what is the default, or goes without saying.
fn meaning(form: Option<Form>, keyword: Keyword) -> Option<Keyword> {
    use {Form as F, Keyword as K};
    let Some(form) = form else { return Some(keyword) };
    Some(match (form, keyword) {
        (F::OperatorSignature | F::XmlPassing, _)
        | (F::CreateRule, K::Also)
        | (F::RoleOption | F::RoleChange, K::Encrypted)
        | (F::PublicationObject, K::Table)
        | (F::FunctionParameter, K::Default)
        | (F::RoutineOption, K::Null | K::On | K::Input)
        | (F::OperatorClassItem, K::For | K::Search)
        | (F::CreateServer, K::Version | K::Null)
        | (F::AlterServer, K::Null)
        | (
            F::Refresh | F::CreateTableAs | F::CreateMaterializedView | F::ExplainedCreate,
            K::With | K::Data,
        )
        | (F::ColumnReferences | F::ForeignKey, K::Match | K::Simple | K::On | K::Update | K::Delete)
        | (F::UniqueConstraint | F::ColumnUnique | F::CreateIndex, K::Nulls | K::Distinct)
        | (F::GeneratedColumn, K::Virtual)
        | (F::CreateView | F::CreateRecursiveView, K::Cascaded)
        | (F::ExclusionConstraint, K::Using)
        | (F::CreateTrigger | F::CreateConstraintTrigger, K::Or)
        | (F::CreateTrigger, K::For | K::Each | K::Statement)
        | (F::CreatePolicy, K::For | K::All)
        | (F::SetType | F::AlterAttribute, K::Set | K::Data)
        | (F::JsonTableColumn, K::Path)
        | (F::JsonMember, K::Value)
        | (F::WindowFrame, K::Exclude | K::No | K::Others)
        | (F::XmlParse, K::Preserve | K::Strip | K::Whitespace) => return None,
        (F::UpdateAction | F::DeleteAction, K::Restrict) => K::Restrict,
        (_, K::Restrict) => return None,
        (F::RoutineOption, K::Returns) => K::Strict,
        (F::AlterRole | F::RoleOption | F::RoleChange | F::DefaultScope, K::User) => K::Role,
        (F::DropUser | F::DropGroup, K::User | K::Group) => K::Role,
        (F::GrantOption, K::Option) => K::True,
        (F::AlterDefaultPrivileges, K::Routines) => K::Functions,
        (F::CreateTrigger | F::CreateConstraintTrigger | F::CreateEventTrigger, K::Procedure) => K::Function,
        (_, K::Temp) => K::Temporary,
        (_, K::Analyse) => K::Analyze,
        (_, keyword) => keyword,
    })
}

// ---- lists

fn list_hash<'a>(node: &'a Node<'a>, children: &mut [Hash]) -> Hash {
    let form = node.parent().and_then(Node::form);
    if form == Some(Form::Returning) {
        for (child, hash) in node.children().zip(children.iter_mut()) {
            if child.kind() != NodeKind::Aliased && child.form().is_none() {
                *hash = query::result_item(*hash, "");
            }
        }
    }
    if matches!(form, Some(Form::CreatePublication | Form::AlterPublication)) {
        publish_schemas(node, children);
    }
    if is_set(form, node) { set(children) } else { list(children.iter().copied()) }
}

/// An object of a publication that does not say what it is, is what the one before it is: here a schema.
fn publish_schemas<'a>(list: &'a Node<'a>, children: &mut [Hash]) {
    let mut is_schema = false;
    for (object, hash) in list.children().zip(children.iter_mut()) {
        let says = |keyword| says(object, keyword);
        is_schema = says(Keyword::Tables) || (is_schema && !says(Keyword::Table));
        let name =
            object.children().find(|part| matches!(part.kind(), NodeKind::Name | NodeKind::ObjectName));
        if let Some(name) = name.filter(|_| is_schema) {
            *hash = begin(Form::PublicationObject).number(1).text(name.name()).finish();
        }
    }
}

/// Whether the order of a list's elements means nothing.
fn is_set<'a>(form: Option<Form>, list: &'a Node<'a>) -> bool {
    use Form as F;
    let Some(first) = list.first_child() else { return false };
    match form {
        Some(F::Insert | F::MergeWhen | F::OnConflict) => {
            first.kind() == NodeKind::Target || first.form() == Some(F::Assignment)
        }
        Some(F::Update) => first.form() == Some(F::Assignment) || is_table(first.kind()),
        Some(F::Privilege | F::Grant | F::Revoke) => first.kind() == NodeKind::Name,
        Some(F::CreateAggregate) => first.form() == Some(F::Argument),
        Some(F::PartitionBound) => first.form() == Some(F::HashPart),
        Some(F::CreateTrigger | F::CreateConstraintTrigger | F::Sample | F::XmlConcat) => true,
        Some(F::XmlElement) => is_expression(first.kind()),
        _ => false,
    }
}

fn is_table(kind: NodeKind) -> bool {
    use NodeKind as N;
    matches!(kind, N::Table | N::File | N::Derived | N::TableFunction | N::RowsFrom | N::Join)
}

// ---- forms

fn form_hash<'a>(form: Form, node: &'a Node<'a>, children: &mut [Hash]) -> Hash {
    use {Form as F, Keyword as K};
    if let Some(hash) = session::hash(form, node, children) {
        return hash;
    }
    match form {
        F::Do | F::Notify | F::Listen | F::Unlisten | F::Close => begin(form).finish(),
        F::Commit | F::Rollback => flags(form, node, &[(K::Chain, K::No)]).finish(),
        F::DeclareCursor => {
            let words = [
                (K::Binary, K::Binary),
                (K::Asensitive, K::Asensitive),
                (K::Insensitive, K::Insensitive),
                (K::No, K::No),
                (K::Scroll, K::Scroll),
                (K::Hold, K::Without),
            ];
            parts_alone(flags(form, node, &words), form, node, children)
        }
        F::MergeWhen => {
            let words = [K::Not, K::Source, K::Update, K::Delete, K::Insert, K::User, K::System];
            parts_alone(flags(form, node, &words.map(|word| (word, word))), form, node, children)
        }
        F::Argument | F::FunctionParameter => {
            let (is_in, is_out) = (says(node, K::In), says(node, K::Out));
            let is_both = says(node, K::Inout);
            let mode = u64::from(is_in || is_both) + 2 * u64::from(is_out || is_both);
            let hasher = begin(F::Argument).number(mode + 4 * u64::from(says(node, K::Variadic)));
            parts_alone(hasher, form, node, children)
        }
        F::Signature => {
            let has_arguments = node.child_of_kind(NodeKind::List).is_some();
            parts(begin(form).number(has_arguments.into()), form, node, children)
        }
        F::UpdateAction | F::DeleteAction if says(node, K::Action) => NOTHING,
        // Constants all of them.
        F::Constant => NOTHING,
        F::PolicyUsing | F::PolicyCheck if !children.iter().any(|hash| counts(*hash)) => NOTHING,
        F::XmlColumnOption if !says(node, K::Not) && !children.iter().any(|hash| counts(*hash)) => NOTHING,
        F::Filter if !children.iter().any(|hash| counts(*hash)) => NOTHING,
        F::WindowSpecification => parts_alone(begin(form), form, node, children),
        F::XmlVersion => list(children.iter().copied()),
        // Whether the document stands alone is a constant.
        F::XmlRoot => begin(form).part(0, set(children)).finish(),
        F::JsonOptions | F::JsonArrayOptions => {
            // Nulls are kept in objects and left out of arrays.
            let keeps_nulls = says(node, K::Null) && !says(node, K::Absent);
            let nulls = if form == F::JsonOptions { says(node, K::Absent) } else { keeps_nulls };
            let is_unique = says(node, K::Unique) && says(node, K::With);
            let returning = list(children.iter().copied());
            match (nulls, is_unique, counts(returning)) {
                (false, false, false) => NOTHING,
                _ => begin(form).number(nulls.into()).number(is_unique.into()).part(0, returning).finish(),
            }
        }
        F::JsonParse => parts_alone(flags(form, node, &[(K::Unique, K::Without)]), form, node, children),
        F::SetColumnDefault | F::DropColumnDefault => {
            parts_alone(begin(F::SetColumnDefault), form, node, children)
        }
        F::AlterDomain => {
            let words = [
                (K::Owner, K::Owner),
                (K::Rename, K::Rename),
                (K::Constraint, K::Constraint),
                (K::Validate, K::Validate),
                (K::Schema, K::Schema),
                (K::Default, K::Default),
                (K::Null, K::Null),
                (K::Exists, K::Exists),
                (K::Cascade, K::Cascade),
                // To drop a default is to set none.
                (K::Drop, K::Default),
            ];
            parts_alone(flags(form, node, &words), form, node, children)
        }
        F::LikeTable => {
            let table = children.first().copied().unwrap_or(NOTHING);
            begin(form).number(like_options(node)).part(0, table).finish()
        }
        F::CheckConstraint
        | F::NotNullConstraint
        | F::UniqueConstraint
        | F::PrimaryKey
        | F::ExclusionConstraint
        | F::ForeignKey
        | F::CreateConstraintTrigger
        | F::DomainCheck
        | F::DomainNotNull => parts(begin(form).number(attributes(node)), form, node, children),
        F::RenameColumn | F::RenameInTable => {
            let is_inner = node.children().filter(|child| child.kind() == NodeKind::Name).count() > 1;
            begin(F::Rename).number(is_inner.into()).number(says(node, K::Constraint).into()).finish()
        }
        F::AlterConstraint => {
            let given = given_attributes(node) + (u64::from(says(node, K::Inherit)) << 3);
            parts(begin(form).number(attributes(node)).number(given), form, node, children)
        }
        F::DropUser | F::DropGroup => parts(begin(F::DropRole), form, node, children),
        F::FunctionBlock => {
            let pairs = node.children().zip(children.iter().copied());
            list(pairs.filter(|(child, _)| child.kind() != NodeKind::Words).map(|(_, hash)| hash))
        }
        F::Lock => {
            let mode = lock_mode(node);
            parts_alone(begin(form).number(mode).number(says(node, K::Nowait).into()), form, node, children)
        }
        F::CreateExtension => extension(says(node, K::Exists), node, children),
        F::CreateLanguage if !says(node, K::Handler) => {
            let is_replaced = node.parent().is_none() && says(node, K::Replace);
            extension(is_replaced, node, children)
        }
        F::CreateUserMapping | F::AlterUserMapping | F::DropUserMapping => user_mapping(form, node, children),
        F::Insert | F::Update | F::Delete | F::Merge => {
            parts(begin(form).part(TARGET, target(node)), form, node, children)
        }
        _ => parts(begin(form), form, node, children),
    }
}

/// A form with a bit for each of the words that it says, unless it also says the other of the pair.
fn flags<'a>(form: Form, node: &'a Node<'a>, words: &[(Keyword, Keyword)]) -> Hasher {
    let is_set =
        |(word, unless): &(Keyword, Keyword)| says(node, *word) && (word == unless || !says(node, *unless));
    let bits = words.iter().enumerate().map(|(bit, pair)| u64::from(is_set(pair)) << bit);
    begin(form).number(bits.sum())
}

/// The mode of a `LOCK` as a number; without one it is the strongest.
fn lock_mode<'a>(node: &'a Node<'a>) -> u64 {
    use Keyword as K;
    let words = [K::Access, K::Row, K::Share, K::Update, K::Exclusive];
    let mode = words.iter().enumerate().map(|(bit, word)| u64::from(says(node, *word)) << bit).sum();
    let strongest = 1 + (1 << 4);
    if mode == 0 { strongest } else { mode }
}

/// What a `LIKE` takes over, a bit for each kind; a later option undoes an earlier one.
fn like_options<'a>(node: &'a Node<'a>) -> u64 {
    use Keyword as K;
    const KINDS: [Keyword; 9] = [
        K::Comments,
        K::Compression,
        K::Constraints,
        K::Defaults,
        K::Identity,
        K::Generated,
        K::Indexes,
        K::Statistics,
        K::Storage,
    ];
    node.children().filter(|child| child.form() == Some(Form::LikeOption)).fold(0, |bits, option| {
        let kind = KINDS.iter().position(|kind| says(option, *kind));
        let these = kind.map_or(u64::MAX, |kind| 1 << kind);
        if says(option, K::Excluding) { bits & !these } else { bits | these }
    })
}

/// When and whether a constraint is checked, a bit for each property that is not the default.
fn attributes<'a>(node: &'a Node<'a>) -> u64 {
    use Keyword as K;
    node.children().filter(|child| child.form() == Some(Form::ConstraintAttribute)).fold(
        0,
        |bits, attribute| {
            let says = |keyword| says(attribute, keyword);
            bits | match () {
                () if says(K::Deferred) => 0b11,
                () if says(K::Deferrable) && !says(K::Not) => 0b01,
                () if says(K::Valid) => 0b100,
                () if says(K::Inherit) => 0b1000,
                () if says(K::Enforced) && says(K::Not) => 0b1_0000,
                () => 0,
            }
        },
    )
}

/// Which kinds of attributes are given at all.
fn given_attributes<'a>(node: &'a Node<'a>) -> u64 {
    use Keyword as K;
    node.children().filter(|child| child.form() == Some(Form::ConstraintAttribute)).fold(
        0,
        |bits, attribute| {
            bits | match () {
                () if says(attribute, K::Enforced) => 0b1,
                () if says(attribute, K::Inherit) => 0b10,
                () => 0b100,
            }
        },
    )
}

/// An extension, which a language without a handler is as well.
fn extension<'a>(has_flag: bool, node: &'a Node<'a>, children: &[Hash]) -> Hash {
    let mut options = List::EMPTY;
    for (child, hash) in node.children().zip(children.iter().copied()) {
        if child.kind() == NodeKind::Form {
            options = options.with(hash);
        }
    }
    let name = node.child_of_kind(NodeKind::Name).map_or(NOTHING, |name| text(name.name()));
    begin(Form::CreateExtension).number(has_flag.into()).part(0, name).part(1, options.finish()).finish()
}

/// A user mapping: `FOR USER` is `FOR CURRENT_USER`.
fn user_mapping<'a>(form: Form, node: &'a Node<'a>, children: &mut [Hash]) -> Hash {
    let is_role = |part: &Node<'_>| part.form() == Some(Form::Role);
    let current_user = Hasher::of(NodeKind::Words).number(Keyword::CurrentUser as u64).finish();
    let mut user = begin(Form::Role).part(0, current_user).finish();
    for (_, hash) in node.children().zip(children.iter_mut()).filter(|(child, _)| is_role(child)) {
        user = *hash;
        *hash = NOTHING;
    }
    let begun = begin(form).number(says(node, Keyword::Exists).into()).part(TARGET, user);
    parts_alone(begun, form, node, children)
}

/// The words and the parts of a form.
fn parts<'a>(hasher: Hasher, form: Form, node: &'a Node<'a>, children: &[Hash]) -> Hash {
    parts_with(hasher.part(0, words_hash(node, 0)), true, form, node, children)
}

/// The parts of a form whose words are taken care of.
fn parts_alone<'a>(hasher: Hasher, form: Form, node: &'a Node<'a>, children: &[Hash]) -> Hash {
    parts_with(hasher, false, form, node, children)
}

fn parts_with<'a>(
    mut hasher: Hasher,
    has_words: bool,
    form: Form,
    node: &'a Node<'a>,
    children: &[Hash],
) -> Hash {
    let mut run = None;
    let mut unordered = NOTHING;
    // Found out once: a form may have many names.
    let renames = is_rename(node);
    for (child, hash) in node.children().zip(children.iter().copied()) {
        if child.kind() == NodeKind::Words {
            run = Some(child);
            continue;
        }
        let words = run.take();
        if is_default(form, child, words) || is_target(form, child) {
            continue;
        }
        // A clause that is a constant, `WHERE true`, counts as none.
        let left_out = match child.form() {
            _ if counts(hash) => 0,
            Some(Form::UpdateAction | Form::DeleteAction) => 0,
            Some(_) => 1,
            None => usize::from(is_expression(child.kind())),
        };
        if let Some(words) = words.filter(|_| has_words) {
            hasher = hasher.part(0, words_hash(words, left_out));
        }
        if is_unordered(child) {
            unordered = unordered.wrapping_add(hash);
        } else if !(is_ignored(form, child) || renames && is_renamed(form, child)) {
            let slot = if form == Form::OperatorSignature { 0 } else { child.slot() };
            hasher = hasher.part(1 + u64::from(slot), hash);
        }
    }
    if let Some(words) = run.filter(|_| has_words) {
        hasher = hasher.part(0, words_hash(words, 0));
    }
    hasher.part(TARGET + 1, unordered).finish()
}

/// Whether a part may stand anywhere among the others of its form.
fn is_unordered(part: &Node<'_>) -> bool {
    use Form as F;
    let form = part.form();
    matches!(
        form,
        Some(F::ColumnCollation | F::TriggerEvent | F::UpdateAction | F::DeleteAction | F::XmlColumnOption)
    )
}

fn is_expression(kind: NodeKind) -> bool {
    use NodeKind as N;
    !matches!(kind, N::Form | N::List | N::Words | N::Name | N::ObjectName | N::Target | N::Type)
}

/// Whether a part with the words before it says what goes without saying.
fn is_default<'a>(form: Form, part: &'a Node<'a>, words: Option<&'a Node<'a>>) -> bool {
    use {Form as F, Keyword as K};
    let is_after = |keyword| {
        words.is_some_and(|words| {
            words::tokens(words.name()).any(|(token, _)| token.keyword() == Some(keyword))
        })
    };
    match (form, part.kind()) {
        (F::ExclusionConstraint, NodeKind::Name) => part.name() == "btree",
        (F::CreateIndex, NodeKind::Name) => part.name() == "btree" && is_after(K::Using),
        (F::CreateTableAs | F::ExplainedCreate, NodeKind::Name) => is_after(K::Execute),
        (F::CreatePolicy, NodeKind::Form) => {
            part.form() == Some(F::PolicyMode)
                && part.first_child().is_some_and(|word| word.name() == "permissive")
        }
        (F::CreatePolicy, NodeKind::List) => {
            let mut roles = part.children().map(|role| role.first_child().map_or("", Node::name));
            roles.next() == Some("public") && roles.next().is_none()
        }
        _ => false,
    }
}

/// Whether a part counts for nothing: names that only tell statements of one session apart or that are a role's, and what
/// PostgreSQL's tree has as constants.
fn is_ignored<'a>(form: Form, part: &'a Node<'a>) -> bool {
    use Form as F;
    let is_name = part.kind() == NodeKind::Name;
    match form {
        F::CommitPrepared
        | F::RollbackPrepared
        | F::PrepareTransaction
        | F::RollbackTo
        | F::Savepoint
        | F::Release => true,
        F::Prepare | F::Execute | F::Deallocate | F::DeclareCursor | F::Argument | F::FunctionParameter => {
            is_name
        }
        F::ResultColumn | F::CreateRole | F::CreateUser | F::CreateGroup => is_name,
        F::Rename | F::RenameAttribute => is_name,
        F::CreateTablespace | F::JsonTableColumn => part.kind() == NodeKind::String,
        F::CreateFunction | F::CreateProcedure => part.form() == Some(F::FunctionOption),
        F::Role => part.name() != "public",
        _ => part.form() == Some(F::ConstraintAttribute) && has_attributes(form),
    }
}

/// Whether the attributes of such a constraint are flags of it; elsewhere they stand for themselves.
fn has_attributes(form: Form) -> bool {
    !matches!(form, Form::ColumnDefinition | Form::ColumnOptions | Form::CreateDomain)
}

fn is_rename<'a>(node: &'a Node<'a>) -> bool {
    says(node, Keyword::Rename) || node.children().any(|part| part.form() == Some(Form::Rename))
}

/// Whether a part of a `RENAME` is the old or the new name; of some kinds of objects the old one counts.
fn is_renamed<'a>(form: Form, part: &'a Node<'a>) -> bool {
    use Form as F;
    if part.kind() != NodeKind::Name {
        return false;
    }
    let is_object = matches!(
        form,
        F::AlterLanguage
            | F::AlterForeignDataWrapper
            | F::AlterServer
            | F::AlterPublication
            | F::AlterSubscription
            | F::AlterEventTrigger
            | F::AlterOperatorClass
            | F::AlterOperatorFamily
    );
    let first = part.parent().and_then(|form| form.child_of_kind(NodeKind::Name));
    !(is_object && first.is_some_and(|first| std::ptr::eq(first, part)))
}

// ---- the tables of statements

/// The table that a statement changes, which goes by its alias if it has one.
fn target<'a>(node: &'a Node<'a>) -> Hash {
    let Some(table) = node.child_of_kind(NodeKind::ObjectName) else { return NOTHING };
    let name = match alias_after(table) {
        Some(alias) => name::alias(alias.name()),
        None => name::relation_name(table.name()),
    };
    name::relation_of(name, NOTHING, NOTHING, says(node, Keyword::Only))
}

/// The alias of the table of a statement.
fn alias_after<'a>(table: &'a Node<'a>) -> Option<&'a Node<'a>> {
    let is_before_alias = |token: TokenKind| is_sign(token) || token == TokenKind::Keyword(Keyword::As);
    let next = table.next_sibling()?;
    let alias = match next.kind() {
        NodeKind::Words if words::tokens(next.name()).all(|(token, _)| is_before_alias(token.kind)) => {
            next.next_sibling()?
        }
        _ => next,
    };
    (alias.kind() == NodeKind::Name).then_some(alias)
}

/// Whether a part is the table that a statement changes, or its alias.
fn is_target<'a>(form: Form, part: &'a Node<'a>) -> bool {
    if !matches!(form, Form::Insert | Form::Update | Form::Delete | Form::Merge) {
        return false;
    }
    let table = part.parent().and_then(|form| form.child_of_kind(NodeKind::ObjectName));
    let alias = table.and_then(alias_after);
    [table, alias].into_iter().flatten().any(|node| std::ptr::eq(node, part))
}
