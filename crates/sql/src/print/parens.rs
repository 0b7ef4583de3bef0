//! Which constructs need parentheses under which, so that what is printed parses to the same tree.

use super::place;
use crate::node::{Node, NodeKind, Visit, Walk, flag};
use crate::parser::precedence as p;
use crate::views::{BinaryOp, CallForm, SetOperator, UnaryOp};

/// Whether `node` needs parentheses under `parent`.
pub(super) fn needs_parens<'a>(parent: &'a Node<'a>, node: &'a Node<'a>) -> bool {
    use NodeKind as N;
    match parent.kind() {
        N::SetOperation => return query_needs_parens(parent, node),
        N::Limit if parent.has(flag::TIES) => return !is_count(node),
        _ => {}
    }
    let inner = precedence(node);
    if inner == p::OPERAND {
        return match parent.kind() {
            N::Join => join_needs_parens(parent, node),
            N::Indirection => indirection_needs_parens(parent, node),
            _ => false,
        };
    }
    let outer = precedence(parent);
    let index = || place(parent, node);
    match parent.kind() {
        N::And | N::Or | N::Unary | N::Is | N::DistinctFrom | N::Like => inner <= outer,
        N::Not => inner < outer,
        N::Indirection => index() == 0,
        N::QuantifiedArray | N::QuantifiedQuery if index() == 0 => {
            if outer == p::COMPARISON || outer == p::BETWEEN { inner <= outer } else { inner < outer }
        }
        N::Binary | N::AtTimeZone => {
            let is_left = std::ptr::eq(node, parent.first_child().unwrap_or(node));
            if is_left && outer != p::COMPARISON { inner < outer } else { inner <= outer }
        }
        N::Between if index() == 1 => inner <= outer || is_not_simple(node),
        N::Between => inner <= outer,
        N::InList | N::InQuery => index() == 0 && inner <= outer,
        N::Collate => inner < outer,
        N::Call if CallForm::from_code(parent.detail()) == CallForm::SubstringSimilar => {
            index() < 2 && inner <= p::BETWEEN
        }
        N::Call if CallForm::from_code(parent.detail()) == CallForm::Position => {
            inner < p::OTHER || is_not_simple(node)
        }
        _ => false,
    }
}

/// Whether an expression is one without `AND`, `IN`, `LIKE` and the like (`b_expr`).
pub(crate) fn is_simple<'a>(node: &'a Node<'a>) -> bool {
    !is_not_simple(node)
}

/// Whether an expression that binds tightly is still none that can stand between `BETWEEN` and `AND`, because it has an
/// `AT TIME ZONE` or a `COLLATE` that is not in parentheses. Looks no further than to the next parentheses, so that all
/// these looks together stay linear.
fn is_not_simple<'a>(root: &'a Node<'a>) -> bool {
    let mut walk = Walk::new(root);
    while let Some(visit) = walk.next() {
        let Visit::Enter(node) = visit else { continue };
        let is_closed = precedence(node) == p::OPERAND
            || (!std::ptr::eq(node, root) && node.parent().is_some_and(|parent| needs_parens(parent, node)));
        match node.kind() {
            _ if is_closed => walk.skip_children(node),
            NodeKind::Binary | NodeKind::Unary | NodeKind::Cast | NodeKind::DistinctFrom => {}
            _ => return true,
        }
    }
    false
}

/// A name keeps a subscript without parentheses, and parameters and queries any step.
fn indirection_needs_parens<'a>(parent: &'a Node<'a>, node: &'a Node<'a>) -> bool {
    let step = parent.child(1).map(Node::kind);
    match node.kind() {
        _ if place(parent, node) > 0 => false,
        NodeKind::Column => matches!(step, Some(NodeKind::Field | NodeKind::AllFields)),
        NodeKind::Parameter | NodeKind::Subquery => false,
        _ => true,
    }
}

fn query_needs_parens<'a>(parent: &'a Node<'a>, node: &'a Node<'a>) -> bool {
    use NodeKind as N;
    if !matches!(node.kind(), N::Select | N::Values | N::SetOperation) {
        return false;
    }
    let is_own_clause = |kind| matches!(kind, N::With | N::OrderBy | N::Limit | N::Offset | N::Locking);
    if node.has(flag::READ_ONLY) || node.children().any(|child| is_own_clause(child.kind())) {
        return true;
    }
    if node.kind() != N::SetOperation {
        return false;
    }
    let (outer, inner) = (set_precedence(parent), set_precedence(node));
    let is_left =
        parent.children().find(|child| child.kind() != N::With).is_some_and(|left| std::ptr::eq(left, node));
    if is_left { inner < outer } else { inner <= outer }
}

fn set_precedence(node: &Node<'_>) -> u8 {
    match SetOperator::from_code(node.detail()) {
        SetOperator::Intersect => 2,
        SetOperator::Union | SetOperator::Except => 1,
    }
}

/// A join on the right of a join is in parentheses; with an alias it has its own.
fn join_needs_parens<'a>(parent: &'a Node<'a>, node: &'a Node<'a>) -> bool {
    node.kind() == NodeKind::Join
        && !std::ptr::eq(node, parent.first_child().unwrap_or(node))
        && node.child_of_kind(NodeKind::Alias).is_none()
}

/// Whether a count stands before `ROWS` without parentheses.
fn is_count(node: &Node<'_>) -> bool {
    let is_number = |node: &Node<'_>| matches!(node.kind(), NodeKind::Integer | NodeKind::Number);
    match node.kind() {
        NodeKind::Unary => {
            UnaryOp::from_code(node.detail()) != UnaryOp::Other && node.first_child().is_some_and(is_number)
        }
        _ => is_primary(node),
    }
}

/// Whether a node has no operator at its outside, as far as its kind says.
pub(crate) fn is_primary(node: &Node<'_>) -> bool {
    precedence(node) == p::OPERAND
}

/// How tightly the outermost operator of a node binds; [`p::OPERAND`] for what needs no parentheses.
fn precedence(node: &Node<'_>) -> u8 {
    match node.kind() {
        NodeKind::Or => p::OR,
        NodeKind::And => p::AND,
        NodeKind::Not => p::NOT,
        NodeKind::Is | NodeKind::DistinctFrom => p::IS,
        NodeKind::Between | NodeKind::InList | NodeKind::InQuery | NodeKind::Like => p::BETWEEN,
        // Not all places of an expression can have these without parentheses.
        NodeKind::Default | NodeKind::Overlaps => 0,
        NodeKind::QuantifiedArray | NodeKind::QuantifiedQuery if node.has(flag::LIKE) => p::BETWEEN,
        NodeKind::AtTimeZone => p::AT,
        NodeKind::Collate => p::COLLATE,
        NodeKind::Unary if UnaryOp::from_code(node.detail()) == UnaryOp::Other => p::OTHER,
        NodeKind::Unary => p::SIGN,
        NodeKind::Binary | NodeKind::QuantifiedArray | NodeKind::QuantifiedQuery => {
            match BinaryOp::from_code(node.detail()) {
                BinaryOp::Add | BinaryOp::Subtract => p::SUM,
                BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo => p::PRODUCT,
                BinaryOp::Power => p::POWER,
                BinaryOp::Concat | BinaryOp::Other => p::OTHER,
                _ => p::COMPARISON,
            }
        }
        _ => p::OPERAND,
    }
}
