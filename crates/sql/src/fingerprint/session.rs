//! What statements about settings, cursors and options count as: many of them are short for others.

use super::form::{begin, says};
use super::hash::{Hash, Hasher, List, NOTHING, list, set, text};
use crate::node::{Node, NodeKind};
use crate::{Form, Keyword, words};

const NAME: u64 = 0;
const VALUE: u64 = 1;

/// The hash of a form that is not just its words and parts; `None` for others.
pub(super) fn hash<'a>(form: Form, node: &'a Node<'a>, children: &mut [Hash]) -> Option<Hash> {
    Some(match form {
        Form::Set | Form::SetFromCurrent | Form::Setting | Form::RoutineSetting => {
            setting(form, node, children)
        }
        Form::SetTimeZone => assignment("timezone", node),
        Form::SetSchema => assignment("search_path", node),
        Form::SetNames => assignment("client_encoding", node),
        Form::SetRole => assignment("role", node),
        Form::SetSessionAuthorization => assignment("session_authorization", node),
        Form::SetXmlOption => set_variable(text("xmloption"), How::Value, is_local(node)),
        Form::SetTransaction | Form::SetSessionCharacteristics => {
            let is_snapshot = says(node, Keyword::Snapshot);
            let modes = if is_snapshot { NOTHING } else { set(children) };
            let hasher = begin(Form::SetTransaction);
            let session = u64::from(form == Form::SetSessionCharacteristics);
            let flags = session + 2 * u64::from(is_snapshot) + 4 * u64::from(is_local(node));
            hasher.number(flags).part(VALUE, modes).finish()
        }
        // What a mode is set to is a constant.
        Form::TransactionMode => {
            let kinds = [Keyword::Isolation, Keyword::Deferrable];
            let kind = kinds.iter().position(|keyword| says(node, *keyword)).unwrap_or(kinds.len());
            begin(form).number(kind as u64).finish()
        }
        Form::Reset | Form::Show => {
            let hasher = begin(form);
            hasher.part(NAME, setting_name(node, children)).finish()
        }
        Form::Fetch | Form::Move => fetch(form, node),
        Form::Explain | Form::Vacuum | Form::Analyze | Form::Cluster | Form::Reindex => {
            with_options(form, node, children)
        }
        Form::UtilityOption | Form::CopyOption => written_option(node, children),
        Form::OldCopyOption => old_copy_option(node, children),
        Form::Copy => copy(node, children),
        Form::AlterSystem => begin(form).part(VALUE, setting(form, node, children)).finish(),
        _ => return None,
    })
}

// ---- settings

/// What a `SET` does.
#[derive(Clone, Copy)]
enum How {
    Value,
    Default,
    Current,
}

fn set_variable(name: Hash, how: How, is_local: bool) -> Hash {
    begin(Form::Set).number(2 * how as u64 + u64::from(is_local)).part(NAME, name).finish()
}

/// Whether it says `SET LOCAL`.
fn is_local<'a>(node: &'a Node<'a>) -> bool {
    words::tokens(node.name()).nth(1).is_some_and(|(token, _)| token.keyword() == Some(Keyword::Local))
        && node.name().get(..3).is_some_and(|first| first.eq_ignore_ascii_case("set"))
}

/// A `SET` that is short for one of `name`; without a value it is to the default.
fn assignment<'a>(name: &str, node: &'a Node<'a>) -> Hash {
    let has_value = node.children().any(|child| child.kind() != NodeKind::Words);
    set_variable(text(name), if has_value { How::Value } else { How::Default }, is_local(node))
}

fn setting<'a>(form: Form, node: &'a Node<'a>, children: &[Hash]) -> Hash {
    let name = setting_name(node, children);
    let how = match form {
        Form::Setting | Form::RoutineSetting | Form::AlterSystem if says(node, Keyword::Reset) => {
            return begin(Form::Reset).part(NAME, name).finish();
        }
        Form::SetFromCurrent => How::Current,
        _ if node.child_of_kind(NodeKind::List).is_some() => How::Value,
        _ => How::Default,
    };
    set_variable(name, how, is_local(node))
}

/// The setting that is meant, also where it has words of its own.
fn setting_name<'a>(node: &'a Node<'a>, children: &[Hash]) -> Hash {
    let named = node.children().zip(children.iter().copied());
    let name = named.filter(|(child, _)| child.kind() == NodeKind::ObjectName).map(|(_, hash)| hash).next();
    name.unwrap_or_else(|| {
        text(if says(node, Keyword::Zone) {
            "timezone"
        } else if says(node, Keyword::Isolation) {
            "transaction_isolation"
        } else if says(node, Keyword::Authorization) {
            "session_authorization"
        } else {
            "all"
        })
    })
}

// ---- cursors

/// Where a cursor goes: a direction and a count.
fn fetch<'a>(form: Form, node: &'a Node<'a>) -> Hash {
    use Keyword as K;
    let says = |keyword| says(node, keyword);
    let count = node.child_of_kind(NodeKind::Integer).map(Node::name);
    let count = count.unwrap_or(if says(K::All) { "all" } else { "1" });
    let (direction, count) = match () {
        () if says(K::First) => (K::Absolute, "1"),
        () if says(K::Last) => (K::Absolute, "-1"),
        () if says(K::Absolute) => (K::Absolute, count),
        () if says(K::Relative) => (K::Relative, count),
        () if says(K::Prior) || says(K::Backward) => (K::Backward, count),
        () => (K::Forward, count),
    };
    let count = count.strip_prefix('+').unwrap_or(count);
    begin(form).number(direction as u64).text(count).finish()
}

// ---- options

/// An option by its name.
fn option(name: &str, value: Hash) -> Hash {
    begin(Form::UtilityOption).text(name).part(VALUE, value).finish()
}

/// An option in parentheses.
fn written_option<'a>(node: &'a Node<'a>, children: &[Hash]) -> Hash {
    let mut parts = node.children().zip(children.iter().copied());
    let name = match words::tokens(node.name()).next().and_then(|(token, _)| token.keyword()) {
        Some(Keyword::Analyse) => Keyword::Analyze.word(),
        Some(keyword) => keyword.word(),
        None => parts.next().map_or("", |(name, _)| name.name()),
    };
    let value = parts.map(|(part, hash)| match part.kind() {
        NodeKind::Words if part.name() == "*" => star(),
        NodeKind::Words => text("default"),
        _ => hash,
    });
    option(name, list(value))
}

/// A statement whose options may be words before the rest, or stand in parentheses.
fn with_options<'a>(form: Form, node: &'a Node<'a>, children: &[Hash]) -> Hash {
    use Keyword as K;
    let words: &[Keyword] = match form {
        Form::Analyze => &[K::Verbose],
        Form::Explain => &[K::Analyze, K::Verbose],
        _ => &[K::Full, K::Freeze, K::Verbose, K::Concurrently, K::Analyze],
    };
    let is_said = |word: &&Keyword| says(node, **word) || (**word == K::Analyze && says(node, K::Analyse));
    let in_words = list(words.iter().filter(is_said).map(|word| option(word.word(), NOTHING)));
    let is_options = |child: &Node<'_>| {
        child.kind() == NodeKind::List
            && child.first_child().is_some_and(|first| first.form() == Some(Form::UtilityOption))
    };
    let mut options = NOTHING;
    // `CLUSTER i ON t` and `CLUSTER t USING i` are the same.
    let mut others = 0_u64;
    let mut hasher = begin(form);
    if form == Form::Reindex {
        let kinds = [Keyword::Index, Keyword::Table, Keyword::Schema, Keyword::System, Keyword::Database];
        let kind = kinds.iter().position(|keyword| says(node, *keyword)).unwrap_or(kinds.len());
        hasher = hasher.number(kind as u64);
    }
    for (child, hash) in node.children().zip(children.iter().copied()) {
        if is_options(child) {
            options = hash;
        } else if child.kind() != NodeKind::Words {
            others = others.wrapping_add(Hasher::of(child.kind()).part(VALUE, hash).finish());
        }
    }
    hasher.number(others).part(0, list([options, in_words])).finish()
}

// ---- `COPY`

fn old_copy_option<'a>(node: &'a Node<'a>, children: &[Hash]) -> Hash {
    use Keyword as K;
    let value = list(children.iter().copied());
    let switched_on = text("true");
    let says = |keyword| says(node, keyword);
    match () {
        () if says(K::Force) => {
            let columns = if node.child_of_kind(NodeKind::List).is_some() { value } else { star() };
            let not_null = if says(K::Not) { "force_not_null" } else { "force_null" };
            option(if says(K::Quote) { "force_quote" } else { not_null }, columns)
        }
        () if says(K::Binary) => option("format", text("binary")),
        () if says(K::Csv) => option("format", text("csv")),
        () if says(K::Freeze) => option("freeze", Hasher::of(NodeKind::Boolean).number(switched_on).finish()),
        () if says(K::Header) => option("header", Hasher::of(NodeKind::Boolean).number(switched_on).finish()),
        () if says(K::Delimiter) => option("delimiter", value),
        () if says(K::Null) => option("null", value),
        () if says(K::Quote) => option("quote", value),
        () if says(K::Escape) => option("escape", value),
        () => option("encoding", value),
    }
}

/// All columns.
fn star() -> Hash {
    super::name::all_fields()
}

/// `COPY`, whose options come in several notations.
fn copy<'a>(node: &'a Node<'a>, children: &[Hash]) -> Hash {
    use Keyword as K;
    let says = |keyword| says(node, keyword);
    let flags = u64::from(says(K::From)) + 2 * u64::from(says(K::Program));
    let mut hasher = begin(Form::Copy).number(flags);
    let mut options =
        List::EMPTY.with(if says(K::Binary) { option("format", text("binary")) } else { NOTHING });
    let mut is_after_delimiters = false;
    for (child, hash) in node.children().zip(children.iter().copied()) {
        let is_option =
            |child: &Node<'_>| matches!(child.form(), Some(Form::CopyOption | Form::OldCopyOption));
        match child.kind() {
            NodeKind::Words => {
                is_after_delimiters =
                    words::tokens(child.name()).any(|(token, _)| token.keyword() == Some(K::Delimiters));
            }
            NodeKind::String if is_after_delimiters => options = options.with(option("delimiter", hash)),
            NodeKind::List if child.first_child().is_some_and(is_option) => options = options.with(hash),
            NodeKind::Form if is_option(child) => options = options.with(hash),
            kind => hasher = hasher.part(8 + kind as u64, hash),
        }
    }
    hasher.part(0, options.finish()).finish()
}
