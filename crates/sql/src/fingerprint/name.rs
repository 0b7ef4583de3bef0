//! What names and types count as.

use super::hash::{Hash, Hasher, NOTHING, list, text};
use crate::Keyword;
use crate::node::{Node, NodeKind, flag};
use crate::views::forms::FormRef;

pub(super) fn hash<'a>(node: &'a Node<'a>, children: &[Hash]) -> Hash {
    match node.kind() {
        NodeKind::ObjectName if node.has(flag::RELATION) && is_temporary(node) => {
            relation_of(NOTHING, node.qualifier().map_or(NOTHING, text), NOTHING, false)
        }
        NodeKind::ObjectName if node.has(flag::RELATION) => relation(node, children, true),
        NodeKind::Type => type_name(node, children),
        NodeKind::ArrayBound if node.name().is_empty() => text("-1"),
        NodeKind::ArrayBound => text(node.name()),
        NodeKind::AllFields => all_fields(),
        // A column that gets a value, with the steps into it.
        NodeKind::Target => {
            let steps = list(children.iter().copied());
            Hasher::of(NodeKind::Target).text(node.name()).part(0, steps).finish()
        }
        _ => names(node, children),
    }
}

/// `*` as a step of a name.
pub(super) fn all_fields() -> Hash {
    Hasher::of(NodeKind::AllFields).finish()
}

/// A name with its qualifiers: a list, or the name alone. `children` begins with the outer ones.
pub(super) fn names<'a>(node: &'a Node<'a>, children: &[Hash]) -> Hash {
    let outer = children.iter().copied().take(outer_count(node));
    list(outer.chain(node.qualifier().map(text)).chain([text(node.name())]))
}

/// The number of outer qualifiers among the children.
pub(super) fn outer_count<'a>(node: &'a Node<'a>) -> usize {
    node.children().take_while(|child| child.kind() == NodeKind::Name).count()
}

/// A name of the schema that holds what the grammar itself knows.
pub(super) fn system_name(name: &str) -> Hash {
    list([text("pg_catalog"), text(name)])
}

/// A table by name. Its schema counts in definitions alone.
pub(super) fn relation<'a>(node: &'a Node<'a>, children: &[Hash], has_schema: bool) -> Hash {
    let schema = node.qualifier().filter(|_| has_schema).map_or(NOTHING, text);
    let catalog = list(children.iter().copied().take(outer_count(node)));
    relation_of(relation_name(node.name()), schema, catalog, node.has(flag::ONLY))
}

/// A table that goes by its alias.
pub(super) fn aliased_relation<'a>(node: &'a Node<'a>, children: &[Hash], alias: &str) -> Hash {
    let catalog = list(children.iter().copied().take(outer_count(node)));
    relation_of(self::alias(alias), NOTHING, catalog, node.has(flag::ONLY))
}

/// What a table with an alias goes by.
pub(super) fn alias(alias: &str) -> Hash {
    Hasher::of(NodeKind::Alias).text(alias).finish()
}

/// A table from its parts.
pub(super) fn relation_of(name: Hash, schema: Hash, catalog: Hash, is_only: bool) -> Hash {
    Hasher::of(NodeKind::Table)
        .number(u64::from(is_only))
        .number(name)
        .part(0, schema)
        .part(1, catalog)
        .finish()
}

/// Whether it names the temporary relation that a statement makes: which one means nothing.
fn is_temporary<'a>(node: &'a Node<'a>) -> bool {
    let Some(form) = node.parent().and_then(FormRef::of) else { return false };
    let is_first =
        form.node().child_of_kind(NodeKind::ObjectName).is_some_and(|first| std::ptr::eq(first, node));
    is_first && (form.says(Keyword::Temporary) || form.says(Keyword::Temp))
}

/// The name of a table without its runs of two digits and more, which tell partitions apart.
pub(super) fn relation_name(name: &str) -> Hash {
    let bytes = name.as_bytes();
    let is_digit = |index: usize| bytes.get(index).is_some_and(u8::is_ascii_digit);
    let mut hasher = Hasher::of(NodeKind::ObjectName);
    for (index, byte) in bytes.iter().enumerate() {
        let is_in_run = is_digit(index) && (is_digit(index + 1) || (index > 0 && is_digit(index - 1)));
        if !is_in_run {
            hasher = hasher.number(u64::from(*byte));
        }
    }
    hasher.finish()
}

/// A type: its name, modifiers that are no constants, and bounds.
fn type_name<'a>(node: &'a Node<'a>, children: &[Hash]) -> Hash {
    let name = match node.has(flag::KEYWORD) {
        true => system_name(system_type(node)),
        false => names(node, children),
    };
    let own = || node.children().zip(children.iter().copied()).skip(outer_count(node));
    let is_bound = |node: &Node<'_>| node.kind() == NodeKind::ArrayBound;
    let modifiers = list(own().filter(|(node, _)| !is_bound(node)).map(|(_, hash)| hash));
    let plain_bounds = (0..node.detail()).map(|_| text("-1"));
    let bounds = list(plain_bounds.chain(own().filter(|(node, _)| is_bound(node)).map(|(_, hash)| hash)));
    Hasher::of(NodeKind::Type)
        .number(u64::from(node.has(flag::SETOF)) + 2 * u64::from(node.has(flag::COLUMN_TYPE)))
        .part(0, name)
        .part(1, modifiers)
        .part(2, bounds)
        .finish()
}

/// What the catalog calls a type that the grammar knows.
fn system_type<'a>(node: &'a Node<'a>) -> &'a str {
    match node.name() {
        "integer" => "int4",
        "smallint" => "int2",
        "bigint" => "int8",
        "real" => "float4",
        "float" => match node.first_child().and_then(|bits| crate::parser::small_integer(bits.name())) {
            Some(bits) if bits <= 24 => "float4",
            _ => "float8",
        },
        "double precision" => "float8",
        "decimal" => "numeric",
        "boolean" => "bool",
        "character" | "nchar" => "bpchar",
        "character varying" | "nchar varying" => "varchar",
        "bit varying" => "varbit",
        "time with time zone" => "timetz",
        "timestamp with time zone" => "timestamptz",
        name => name,
    }
}
