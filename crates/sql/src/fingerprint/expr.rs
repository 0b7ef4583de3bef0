//! What expressions count as.

use super::hash::{CONSTANT, Hash, Hasher, NOTHING, NUMBER, counts, is_constant, list, set, text};
use super::name;
use crate::Form;
use crate::node::{Node, NodeKind, flag};
use crate::views::{BinaryOp, CallForm, IsTest, LikeKind, UnaryOp};

/// Names of parts that several kinds have.
const LEFT: u64 = 0;
const RIGHT: u64 = 1;
const OPERATOR: u64 = 2;
const ARGUMENTS: u64 = 3;

pub(super) fn hash<'a>(node: &'a Node<'a>, children: &mut [Hash]) -> Hash {
    use NodeKind as N;
    let first = children.first().copied().unwrap_or(NOTHING);
    match node.kind() {
        N::Integer | N::Number if !node.has(flag::PLAIN) => NUMBER,
        N::String if !node.has(flag::PLAIN) => CONSTANT,
        N::Null | N::Boolean | N::BitString | N::Parameter => CONSTANT,
        // The grammar reads these by itself; a 0 is nothing to PostgreSQL.
        N::Integer if crate::parser::small_integer(node.name()) == Some(0) => NOTHING,
        N::Integer | N::Number | N::String => text(node.name()),
        N::TypedLiteral | N::Default => NOTHING,
        N::Column => Hasher::of(N::Column).part(LEFT, name::names(node, children)).finish(),
        N::Star => {
            let table = node.qualifier().map(|_| name::names(node, children)).unwrap_or(NOTHING);
            Hasher::of(N::Column).part(LEFT, list([table, name::all_fields()])).finish()
        }
        N::Indirection => {
            let steps = list(children.iter().copied().skip(1));
            Hasher::of(N::Indirection).part(LEFT, first).part(RIGHT, steps).finish()
        }
        N::Subscript => Hasher::of(N::Subscript).part(RIGHT, first).finish(),
        N::Slice => slice(node, children),
        N::Unary => unary(node, children),
        N::Binary | N::QuantifiedArray => {
            let quantifier = u64::from(node.kind() == N::QuantifiedArray && node.has(flag::ALL));
            let operands = (first, children.last().copied().unwrap_or(NOTHING));
            Hasher::of(N::Binary)
                .number(quantifier)
                .part(OPERATOR, operator(node, children))
                .part(LEFT, operands.0)
                .part(RIGHT, operands.1)
                .finish()
        }
        N::QuantifiedQuery => Hasher::of(N::InQuery)
            .number(u64::from(node.has(flag::ALL)))
            .part(OPERATOR, operator(node, children))
            .part(LEFT, first)
            .part(RIGHT, children.last().copied().unwrap_or(NOTHING))
            .finish(),
        N::And | N::Or => Hasher::of(node.kind()).part(ARGUMENTS, set(children)).finish(),
        N::Between => {
            let ends = set(children.get_mut(1..).unwrap_or_default());
            Hasher::of(N::Between)
                .number(u64::from(node.flags() & (flag::NOT | flag::SYMMETRIC)))
                .part(LEFT, first)
                .part(RIGHT, ends)
                .finish()
        }
        N::InList => {
            let elements = set(children.get_mut(1..).unwrap_or_default());
            comparison(if node.has(flag::NOT) { "<>" } else { "=" }, first, elements)
        }
        N::InQuery => {
            let query = children.get(1).copied().unwrap_or(NOTHING);
            let found = Hasher::of(N::InQuery).number(0).part(LEFT, first).part(RIGHT, query).finish();
            negated_if(node.has(flag::NOT), found)
        }
        N::Not => negated_if(true, first),
        N::Like => like(node, children),
        N::Is => is(node, first),
        N::Cast if is_constant(first) => NOTHING,
        N::Call => call(node, children),
        N::Extract => system_call("extract", children),
        N::AtTimeZone => system_call("timezone", children),
        N::Overlaps => system_call("overlaps", children),
        N::Treat => treat(node, first),
        N::Collate => {
            let value = children.get(name::outer_count(node)).copied().unwrap_or(NOTHING);
            Hasher::of(N::Collate).part(OPERATOR, name::names(node, children)).part(LEFT, value).finish()
        }
        N::Row if is_row_of_values(node) => set(children),
        N::Row => Hasher::of(N::Row)
            .number(u64::from(node.has(flag::EXPLICIT)))
            .part(ARGUMENTS, set(children))
            .finish(),
        N::Array => Hasher::of(N::Array).part(ARGUMENTS, list(children.iter().copied())).finish(),
        N::Case => case(node, children),
        N::Else => first,
        N::NamedArgument => Hasher::of(N::NamedArgument).text(node.name()).part(LEFT, first).finish(),
        _ => {
            let hasher = Hasher::of(node.kind()).number(u64::from(node.has(flag::NOT)));
            let parts = children.iter().copied().enumerate();
            parts.fold(hasher, |hasher, (index, hash)| hasher.part(index as u64, hash)).finish()
        }
    }
}

/// Whether it is an element of a `VALUES`, which is a list and no row.
fn is_row_of_values<'a>(node: &'a Node<'a>) -> bool {
    node.parent().is_some_and(|parent| parent.kind() == NodeKind::Values)
}

// ---- operators

fn comparison(operator: &str, left: Hash, right: Hash) -> Hash {
    Hasher::of(NodeKind::Binary)
        .number(0)
        .part(OPERATOR, text(operator))
        .part(LEFT, left)
        .part(RIGHT, right)
        .finish()
}

fn negated_if(is_negated: bool, hash: Hash) -> Hash {
    if is_negated { Hasher::of(NodeKind::Not).part(LEFT, hash).finish() } else { hash }
}

fn unary<'a>(node: &'a Node<'a>, children: &[Hash]) -> Hash {
    let operand = children.last().copied().unwrap_or(NOTHING);
    let sign = match UnaryOp::from_code(node.detail()) {
        UnaryOp::Minus if operand == NUMBER => return NUMBER,
        UnaryOp::Minus => text("-"),
        UnaryOp::Plus => text("+"),
        UnaryOp::Other => named_operator(node, children),
    };
    Hasher::of(NodeKind::Binary).number(0).part(OPERATOR, sign).part(RIGHT, operand).finish()
}

/// The operator of a [`NodeKind::Binary`] or a quantified comparison.
fn operator<'a>(node: &'a Node<'a>, children: &[Hash]) -> Hash {
    if node.kind() != NodeKind::Binary && node.has(flag::LIKE) {
        return text(like_operator(node));
    }
    match BinaryOp::from_code(node.detail()) {
        BinaryOp::Other => named_operator(node, children),
        operator => text(operator.symbol()),
    }
}

/// An operator that is kept as text, or with its whole name among the children.
fn named_operator<'a>(node: &'a Node<'a>, children: &[Hash]) -> Hash {
    let mut names = node.children().zip(children.iter().copied());
    let whole = names.find(|(child, _)| child.kind() == NodeKind::ObjectName).map(|(_, hash)| hash);
    whole.unwrap_or_else(|| text(node.name()))
}

/// What `LIKE` and its kin are called among the operators.
fn like_operator(node: &Node<'_>) -> &'static str {
    match (LikeKind::from_code(node.detail()), node.has(flag::NOT)) {
        (LikeKind::Like, false) => "~~",
        (LikeKind::Like, true) => "!~~",
        (LikeKind::ILike, false) => "~~*",
        (LikeKind::ILike, true) => "!~~*",
        (LikeKind::SimilarTo, false) => "~",
        (LikeKind::SimilarTo, true) => "!~",
    }
}

fn like<'a>(node: &'a Node<'a>, children: &mut [Hash]) -> Hash {
    let kind = LikeKind::from_code(node.detail());
    let operand = children.first().copied().unwrap_or(NOTHING);
    let has_escape = children.len() > 2;
    let pattern = children.get_mut(1..).unwrap_or_default();
    let pattern = match kind {
        LikeKind::SimilarTo => plain_call(name::system_name("similar_to_escape"), set(pattern)),
        _ if has_escape => plain_call(name::system_name("like_escape"), set(pattern)),
        _ => set(pattern),
    };
    Hasher::of(NodeKind::Like)
        .number(u64::from(kind.code()))
        .part(OPERATOR, text(like_operator(node)))
        .part(LEFT, operand)
        .part(RIGHT, pattern)
        .finish()
}

fn is<'a>(node: &'a Node<'a>, operand: Hash) -> Hash {
    let test = IsTest::from_code(node.detail());
    match test {
        IsTest::Null | IsTest::True | IsTest::False | IsTest::Unknown => Hasher::of(NodeKind::Is)
            .number(2 * u64::from(test.code()) + u64::from(node.has(flag::NOT)))
            .part(LEFT, operand)
            .finish(),
        IsTest::Document | IsTest::Json | IsTest::JsonArray | IsTest::JsonObject | IsTest::JsonScalar => {
            let unique = u64::from(node.has(flag::UNIQUE_KEYS));
            let found = Hasher::of(NodeKind::Is)
                .number(2 * u64::from(test.code()))
                .number(unique)
                .part(LEFT, operand);
            negated_if(node.has(flag::NOT), found.finish())
        }
        // Which normal form is asked for is a literal to PostgreSQL.
        _ => negated_if(node.has(flag::NOT), system_call("is_normalized", &mut [operand])),
    }
}

fn slice<'a>(node: &'a Node<'a>, children: &[Hash]) -> Hash {
    use crate::parser::ends;
    let mut given = children.iter().copied();
    let mut end = |bit| if node.detail() & bit != 0 { given.next().unwrap_or(NOTHING) } else { NOTHING };
    Hasher::of(NodeKind::Slice).part(LEFT, end(ends::LOW)).part(RIGHT, end(ends::HIGH)).finish()
}

fn case<'a>(node: &'a Node<'a>, children: &mut [Hash]) -> Hash {
    let whens_start = usize::from(node.has(flag::OPERAND));
    let has_else = node.children().last().is_some_and(|last| last.kind() == NodeKind::Else);
    let whens_end = children.len().saturating_sub(usize::from(has_else));
    let operand = children.first().copied().filter(|_| whens_start > 0).unwrap_or(NOTHING);
    let otherwise = children.last().copied().filter(|_| has_else).unwrap_or(NOTHING);
    let whens = set(children.get_mut(whens_start..whens_end).unwrap_or_default());
    Hasher::of(NodeKind::Case).part(LEFT, operand).part(ARGUMENTS, whens).part(RIGHT, otherwise).finish()
}

// ---- calls

/// How a call is written: with parentheses and commas, or in words.
const PLAIN: u64 = 0;
const IN_WORDS: u64 = 1;

fn plain_call(function: Hash, arguments: Hash) -> Hash {
    Hasher::of(NodeKind::Call).number(PLAIN).part(OPERATOR, function).part(ARGUMENTS, arguments).finish()
}

/// A call of one of PostgreSQL's own functions that SQL writes in words.
fn system_call(function: &str, arguments: &mut [Hash]) -> Hash {
    let function = name::system_name(function);
    Hasher::of(NodeKind::Call)
        .number(IN_WORDS)
        .part(OPERATOR, function)
        .part(ARGUMENTS, set(arguments))
        .finish()
}

fn treat<'a>(node: &'a Node<'a>, operand: Hash) -> Hash {
    let target = node.children().last().map_or("", Node::name);
    plain_call(name::system_name(target), operand)
}

fn call<'a>(node: &'a Node<'a>, children: &mut [Hash]) -> Hash {
    let names_count = name::outer_count(node);
    let function = name::names(node, children);
    if node.has(flag::KEYWORD) && node.has(flag::BARE) {
        let precision = node.first_child().map_or("", Node::name);
        return Hasher::of(NodeKind::Parameter).text(node.name()).text(precision).finish();
    }
    let clauses = node.children().skip(names_count).take_while(|child| !is_clause_of_call(child)).count();
    let (arguments, clauses) =
        children.get_mut(names_count..).unwrap_or_default().split_at_mut_checked(clauses).unwrap_or_default();
    let first = node.children().nth(names_count);
    if node.name() == "json_object"
        && node.has(flag::KEYWORD)
        && first.is_none_or(|first| is_clause_of_call(first) || first.form().is_some())
    {
        return Hasher::of(NodeKind::Case)
            .text(node.name())
            .part(ARGUMENTS, list(arguments.iter().copied()))
            .part(RIGHT, list(clauses.iter().copied()))
            .finish();
    }
    if node.has(flag::KEYWORD)
        && let Some(hash) = keyword_call(node, arguments)
    {
        return hash;
    }
    let flags = node.flags() & (flag::DISTINCT | flag::STAR | flag::VARIADIC);
    Hasher::of(NodeKind::Call)
        .number(PLAIN)
        .part(OPERATOR, function)
        .part(ARGUMENTS, set(arguments))
        .part(
            LEFT,
            if flags == 0 { NOTHING } else { Hasher::of(NodeKind::Call).number(flags.into()).finish() },
        )
        .part(RIGHT, list(clauses.iter().copied().filter(|hash| counts(*hash))))
        .finish()
}

/// What stands in a call after its arguments.
fn is_clause_of_call(child: &Node<'_>) -> bool {
    child.kind() == NodeKind::OrderBy || child.form().is_some_and(|form| form != Form::JsonMember)
}

/// A call by a keyword, unless it is written like any other.
fn keyword_call<'a>(node: &'a Node<'a>, arguments: &mut [Hash]) -> Option<Hash> {
    use CallForm as F;
    let system = match (node.name(), CallForm::from_code(node.detail())) {
        ("coalesce" | "greatest" | "least" | "grouping" | "merge_action", _) => {
            let hasher = Hasher::of(NodeKind::Case).text(node.name());
            return Some(hasher.part(ARGUMENTS, set(arguments)).finish());
        }
        ("nullif", _) => {
            let hasher = Hasher::of(NodeKind::Case).text(node.name());
            let mut operands = arguments.iter().copied();
            let left = operands.next().unwrap_or(NOTHING);
            return Some(hasher.part(LEFT, left).part(RIGHT, operands.next().unwrap_or(NOTHING)).finish());
        }
        ("collation for", _) => "pg_collation_for",
        ("normalize", _) => "normalize",
        ("position", _) => "position",
        (_, F::TrimBoth) => "btrim",
        (_, F::TrimLeading) => "ltrim",
        (_, F::TrimTrailing) => "rtrim",
        (_, F::Overlay) => "overlay",
        (_, F::SubstringFrom | F::SubstringForFrom | F::SubstringSimilar) => "substring",
        (_, F::SubstringFor) => {
            // PostgreSQL casts the length to an integer there.
            if let Some(length) = arguments.get_mut(1).filter(|length| !is_constant(**length)) {
                let integer =
                    Hasher::of(NodeKind::Type).number(0).part(0, name::system_name("int4")).finish();
                *length = Hasher::of(NodeKind::Cast).number(0).part(0, *length).part(1, integer).finish();
            }
            "substring"
        }
        _ => return None,
    };
    Some(system_call(system, arguments))
}
