//! A tree as indented text, for people.

use std::fmt;

use crate::node::{Node, Visit, Walk, flag};
use crate::views::{
    BinaryOp, CallForm, GroupingKind, IntoKind, IsTest, JoinKind, LikeKind, LockStrength, Materialized,
    SetOperator, UnaryOp,
};
use crate::{NodeKind, Tree};

/// Prints a tree, a node a line, children indented under their parent: [`Tree::outline`].
#[derive(Clone, Copy, Debug)]
pub struct Outline<'a>(&'a Node<'a>);

impl<'a> Tree<'a> {
    /// The tree as indented text. Takes no memory to print; a very deep tree gets very wide, so depth is written as a
    /// number from the thirtieth level on.
    pub fn outline(self) -> Outline<'a> {
        Outline(self.root())
    }
}

impl<'a> Node<'a> {
    /// The node's own line of an outline: what it is, its names, where it stands.
    pub fn label(&'a self) -> Label<'a> {
        Label(self)
    }
}

/// Prints one node without those under it: [`Node::label`].
#[derive(Clone, Copy, Debug)]
pub struct Label<'a>(&'a Node<'a>);

/// Levels that are shown by indentation.
const INDENTED_LEVELS: usize = 30;

impl fmt::Display for Outline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut depth = 0_usize;
        for visit in Walk::new(self.0) {
            match visit {
                Visit::Enter(node) => {
                    let indented = depth.min(INDENTED_LEVELS);
                    write!(f, "{:width$}", "", width = 2 * indented)?;
                    if depth > indented {
                        write!(f, "({depth}) ")?;
                    }
                    writeln!(f, "{}", node.label())?;
                    depth += 1;
                }
                Visit::Leave(_) => depth = depth.saturating_sub(1),
            }
        }
        Ok(())
    }
}

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.0;
        match node.form() {
            Some(form) => write!(f, "{form:?}")?,
            None => write!(f, "{:?}", node.kind())?,
        }
        detail(f, node)?;
        match (node.qualifier(), node.name()) {
            (None, "") => {}
            (None, name) => write!(f, " {name:?}")?,
            (Some(qualifier), name) => write!(f, " {qualifier:?}.{name:?}")?,
        }
        for (bit, word) in FLAGS {
            if node.has(*bit) && shows(node.kind(), *bit) {
                write!(f, " {}", own_word(node.kind(), *bit).unwrap_or(word))?;
            }
        }
        write!(f, " @{:?}", node.span())
    }
}

/// Flags and their words; a bit that several kinds use for different things is listed for each.
const FLAGS: &[(u16, &str)] = &[
    (flag::NOT, "not"),
    (flag::DISTINCT, "distinct"),
    (flag::ALL, "all"),
    (flag::SYMMETRIC, "symmetric"),
    (flag::STAR, "star"),
    (flag::OPERAND, "operand"),
    (flag::KEYWORD, "keyword"),
    (flag::BARE, "bare"),
    (flag::TRUE, "true"),
    (flag::DESCENDING, "desc"),
    (flag::ASCENDING, "asc"),
    (flag::NULLS_FIRST, "nulls first"),
    (flag::NULLS_LAST, "nulls last"),
    (flag::NATURAL, "natural"),
    (flag::EXPLICIT, "explicit"),
    (flag::PARENS, "in parentheses"),
];

/// The word of a bit that means something else to this kind.
fn own_word(kind: NodeKind, bit: u16) -> Option<&'static str> {
    use NodeKind as N;
    Some(match (kind, bit) {
        (N::Select | N::Values | N::SetOperation, flag::READ_ONLY) => "read only",
        (N::Select | N::Values | N::SetOperation, flag::LOCKED_OUTSIDE) => "locked outside",
        (N::Select | N::Values | N::SetOperation, flag::LOCKED) => "locked",
        (N::Select | N::Values | N::SetOperation, flag::TIED) => "tied",
        (N::Locking, flag::FIRST_OUTSIDE) => "first outside",
        (N::Select, flag::KEYWORD) => "table",
        (N::With, flag::RECURSIVE) => "recursive",
        (N::Table, flag::ONLY) => "only",
        (N::Limit, flag::TIES) => "with ties",
        (N::Locking, flag::NOWAIT) => "nowait",
        (N::Locking, flag::SKIP_LOCKED) => "skip locked",
        (N::Derived | N::TableFunction | N::RowsFrom, flag::LATERAL) => "lateral",
        (N::TableFunction | N::RowsFrom, flag::ORDINALITY) => "ordinality",
        _ => return None,
    })
}

/// Types keep the fields of an interval among their flags, forms which of their words are noise; what is known from the
/// form around it is not shown.
fn shows(kind: NodeKind, bit: u16) -> bool {
    const CALL: u16 =
        flag::DISTINCT | flag::STAR | flag::OPERAND | flag::KEYWORD | flag::BARE | flag::EXPLICIT;
    match kind {
        NodeKind::Type => bit == flag::KEYWORD,
        // The clauses of a call are seen below it.
        NodeKind::Call => bit & CALL != 0,
        NodeKind::QuantifiedArray | NodeKind::QuantifiedQuery => bit & (flag::NOT | flag::ALL) != 0,
        NodeKind::Is => bit == flag::NOT,
        NodeKind::Form | NodeKind::Words | NodeKind::String | NodeKind::Integer | NodeKind::Number => false,
        NodeKind::ObjectName => !matches!(bit, flag::RELATION | flag::OPERATOR),
        _ => true,
    }
}

fn detail<'a>(f: &mut fmt::Formatter<'_>, node: &'a Node<'a>) -> fmt::Result {
    let code = node.detail();
    match node.kind() {
        NodeKind::Binary => write!(f, " {:?}", BinaryOp::from_code(code)),
        NodeKind::Unary => write!(f, " {:?}", UnaryOp::from_code(code)),
        NodeKind::Join => write!(f, " {:?}", JoinKind::from_code(code)),
        NodeKind::SetOperation => write!(f, " {:?}", SetOperator::from_code(code)),
        NodeKind::Like => write!(f, " {:?}", LikeKind::from_code(code)),
        NodeKind::Is => {
            let keys = if node.has(flag::UNIQUE_KEYS) { " unique keys" } else { "" };
            write!(f, " {:?}{keys}", IsTest::from_code(code))
        }
        NodeKind::QuantifiedArray | NodeKind::QuantifiedQuery if node.has(flag::LIKE) => {
            write!(f, " {:?}", LikeKind::from_code(code))
        }
        NodeKind::QuantifiedArray | NodeKind::QuantifiedQuery => {
            write!(f, " {:?}", BinaryOp::from_code(code))
        }
        NodeKind::GroupingSet => write!(f, " {:?}", GroupingKind::from_code(code)),
        NodeKind::Locking => write!(f, " {:?}", LockStrength::from_code(code)),
        NodeKind::Into if code != 0 => write!(f, " {:?}", IntoKind::from_code(code)),
        NodeKind::Cte if code != 0 => write!(f, " materialized {:?}", Materialized::from_code(code)),
        NodeKind::Call => {
            f.write_str(if node.has(flag::VARIADIC) { " variadic" } else { "" })?;
            if code == 0 { Ok(()) } else { write!(f, " {:?}", CallForm::from_code(code)) }
        }
        NodeKind::BitString if code == 1 => f.write_str(" hex"),
        NodeKind::Type => {
            let fields = crate::views::TypeName(node);
            f.write_str(if fields.is_set() { " setof" } else { "" })?;
            f.write_str(if fields.is_of_column() { " of column" } else { "" })?;
            match fields.interval_fields() {
                "" => Ok(()),
                words => write!(f, " [{words}]"),
            }?;
            (0..code).try_for_each(|_| f.write_str(" []"))
        }
        _ => Ok(()),
    }
}
