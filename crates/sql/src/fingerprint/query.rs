//! What queries and their clauses count as.

use super::hash::{Hash, Hasher, NOTHING, counts, list, set, text};
use super::name;
use crate::Form;
use crate::node::{Node, NodeKind, flag};
use crate::views::{IntoKind, JoinKind};

pub(super) fn hash<'a>(node: &'a Node<'a>, children: &mut [Hash]) -> Hash {
    use NodeKind as N;
    let first = children.first().copied().unwrap_or(NOTHING);
    match node.kind() {
        N::Select | N::Values | N::SetOperation => query(node, children),
        N::With => Hasher::of(N::With)
            .number(u64::from(node.has(flag::RECURSIVE)))
            .part(0, list(children.iter().copied()))
            .finish(),
        N::Cte => cte(node, children),
        N::Aliased => aliased(node, first),
        N::From => set(children),
        N::DistinctOn | N::GroupBy | N::OrderBy | N::Where | N::Having | N::Limit | N::Offset | N::On => {
            list(children.iter().copied())
        }
        // What a join's columns are called together means nothing.
        N::Using => list(children.iter().copied()),
        N::Into => into(node, children),
        N::GroupingSet => Hasher::of(N::GroupingSet)
            .number(u64::from(node.detail()))
            .part(0, list(children.iter().copied()))
            .finish(),
        N::SortKey => {
            let operator = children.get(1).copied().unwrap_or(NOTHING);
            let order = flag::ASCENDING | flag::DESCENDING | flag::NULLS_FIRST | flag::NULLS_LAST;
            with_flags(node, order).part(0, first).part(1, operator).finish()
        }
        N::Locking => {
            let tables = list(children.iter().copied());
            let waiting = flag::NOWAIT | flag::SKIP_LOCKED;
            with_flags(node, waiting).number(u64::from(node.detail())).part(0, tables).finish()
        }
        N::Table => table(node, children),
        N::File => Hasher::of(N::File).text(node.name()).finish(),
        N::Derived => with_flags(node, flag::LATERAL).part(0, first).finish(),
        N::TableFunction => table_function(node, children),
        N::RowsFrom => {
            let parts = node.children().zip(children.iter().copied());
            let functions = parts.filter(|(child, _)| child.kind() != N::Alias).map(|(_, hash)| hash);
            let hasher = with_flags(node, flag::LATERAL | flag::ORDINALITY).part(0, list(functions));
            let alias = node.child_of_kind(N::Alias).and(children.last().copied()).unwrap_or(NOTHING);
            hasher.part(1, alias).finish()
        }
        N::Join => join(node, children),
        N::Alias => list(children.iter().copied()),
        N::ColumnDef => column_definition(node, children),
        _ => NOTHING,
    }
}

/// Begins the hash of a node with those of `flags` that it has.
fn with_flags(node: &Node<'_>, flags: u16) -> Hasher {
    Hasher::of(node.kind()).number(u64::from(node.flags() & flags))
}

/// A select, a `VALUES` or a set operation: all are one kind to PostgreSQL.
fn query<'a>(node: &'a Node<'a>, children: &mut [Hash]) -> Hash {
    let mut hasher = Hasher::of(NodeKind::Select);
    if node.kind() == NodeKind::SetOperation {
        hasher = hasher.number(2 * u64::from(node.detail()) + u64::from(node.has(flag::ALL)));
    }
    let mut is_distinct = node.kind() == NodeKind::Select && node.has(flag::DISTINCT);
    let mut limit = 0;
    let mut lockings = NOTHING;
    let mut operands = 0;
    let (mut items_start, mut items_end) = (None, 0);
    for (index, child) in node.children().enumerate() {
        let hash = children.get(index).copied().unwrap_or(NOTHING);
        match child.kind() {
            kind if is_clause(kind) => {
                if kind == NodeKind::DistinctOn {
                    is_distinct = false;
                }
                if matches!(kind, NodeKind::Limit | NodeKind::Offset) {
                    limit = limit.max(1 + u64::from(child.has(flag::TIES)));
                }
                if kind == NodeKind::GroupBy && child.has(flag::DISTINCT) {
                    hasher = hasher.number(256);
                }
                hasher = hasher.part(kind as u64, hash);
            }
            NodeKind::Locking => lockings = list([lockings, hash]),
            NodeKind::Form => hasher = hasher.part(512, hash),
            _ if node.kind() == NodeKind::SetOperation => {
                operands += 1;
                hasher = hasher.part(512 + operands, hash);
            }
            _ => {
                items_start = items_start.or(Some(index));
                items_end = index + 1;
                if let Some(slot) = children.get_mut(index) {
                    *slot = item(node, child, hash);
                }
            }
        }
    }
    let items = children.get_mut(items_start.unwrap_or(0)..items_end).unwrap_or_default();
    let kind = 1024 * u64::from(node.kind() == NodeKind::Values);
    hasher
        .number(limit)
        .number(u64::from(is_distinct))
        .part(1, lockings)
        .part(1024 + kind, set(items))
        .finish()
}

fn is_clause(kind: NodeKind) -> bool {
    use NodeKind as N;
    matches!(
        kind,
        N::With
            | N::DistinctOn
            | N::Into
            | N::From
            | N::Where
            | N::GroupBy
            | N::Having
            | N::OrderBy
            | N::Limit
            | N::Offset
    )
}

/// An item of a select counts even when its value does not; a row of `VALUES` is what its elements are.
fn item(query: &Node<'_>, child: &Node<'_>, hash: Hash) -> Hash {
    match (query.kind(), child.kind()) {
        (NodeKind::Values, _) | (_, NodeKind::Aliased) => hash,
        _ => result_item(hash, ""),
    }
}

/// An item of a select or a `RETURNING`.
pub(super) fn result_item(value: Hash, name: &str) -> Hash {
    Hasher::of(NodeKind::Aliased).text(name).part(0, value).finish()
}

/// Names count where they are not a select's.
fn aliased<'a>(node: &'a Node<'a>, value: Hash) -> Hash {
    let is_in_select = node.parent().is_some_and(|parent| parent.kind() == NodeKind::Select);
    result_item(value, if is_in_select { "" } else { node.name() })
}

fn cte<'a>(node: &'a Node<'a>, children: &[Hash]) -> Hash {
    let pairs = || node.children().zip(children.iter().copied());
    let columns = pairs().filter(|(child, _)| child.kind() == NodeKind::ColumnDef).map(|(_, hash)| hash);
    let others = pairs().filter(|(child, _)| child.kind() != NodeKind::ColumnDef).map(|(_, hash)| hash);
    Hasher::of(NodeKind::Cte)
        .text(node.name())
        .number(u64::from(node.detail()))
        .part(0, list(columns))
        .part(1, list(others))
        .finish()
}

/// The table that a select makes; of a temporary one the name means nothing.
fn into<'a>(node: &'a Node<'a>, children: &[Hash]) -> Hash {
    let kind = IntoKind::from_code(node.detail());
    let table = match kind {
        IntoKind::Temporary => node.qualifier().map_or(NOTHING, text),
        _ => name::relation(node, children, true),
    };
    Hasher::of(NodeKind::Into).number(u64::from(node.detail())).part(0, table).finish()
}

fn table<'a>(node: &'a Node<'a>, children: &[Hash]) -> Hash {
    let relation = match node.child_of_kind(NodeKind::Alias) {
        Some(alias) => name::aliased_relation(node, children, alias.name()),
        None => name::relation(node, children, is_of_statistics(node)),
    };
    let mut samples = node.children().zip(children.iter().copied());
    let sample = samples.find(|(child, _)| child.kind() == NodeKind::Form).map(|(_, hash)| hash);
    match sample {
        Some(sample) => Hasher::of(NodeKind::TableFunction).part(0, relation).part(1, sample).finish(),
        None => relation,
    }
}

/// Whether statistics are kept about the table, so that its schema counts as in other definitions.
fn is_of_statistics<'a>(table: &'a Node<'a>) -> bool {
    let statement = table.parent().filter(|list| list.kind() == NodeKind::List).and_then(Node::parent);
    statement.and_then(Node::form) == Some(Form::CreateStatistics)
}

fn table_function<'a>(node: &'a Node<'a>, children: &[Hash]) -> Hash {
    let parts = children.iter().copied().enumerate();
    let hasher = with_flags(node, flag::LATERAL | flag::ORDINALITY);
    parts.fold(hasher, |hasher, (index, hash)| hasher.part(index as u64, hash)).finish()
}

fn join<'a>(node: &'a Node<'a>, children: &[Hash]) -> Hash {
    // A cross join is an inner one without a condition.
    let kind = match JoinKind::from_code(node.detail()) {
        JoinKind::Cross => JoinKind::Inner.code(),
        kind => kind.code(),
    };
    let hasher =
        Hasher::of(NodeKind::Join).number(u64::from(kind)).number(u64::from(node.has(flag::NATURAL)));
    let mut tables = 0;
    let parts = node.children().zip(children.iter().copied());
    parts
        .fold(hasher, |hasher, (child, hash)| match child.kind() {
            NodeKind::Alias => hasher,
            kind @ (NodeKind::Using | NodeKind::On) => hasher.part(2 + kind as u64, hash),
            _ => {
                tables += 1;
                hasher.part(tables, hash)
            }
        })
        .finish()
}

/// A column of an alias counts when it has a type; in other places it is a name.
fn column_definition<'a>(node: &'a Node<'a>, children: &[Hash]) -> Hash {
    let has_type = node.child_of_kind(NodeKind::Type).is_some();
    match node.parent().map(Node::kind) {
        Some(NodeKind::Alias) if !has_type => NOTHING,
        _ if !has_type => text(node.name()),
        _ => Hasher::of(NodeKind::ColumnDef)
            .text(node.name())
            .part(0, list(children.iter().copied().filter(|hash| counts(*hash))))
            .finish(),
    }
}
