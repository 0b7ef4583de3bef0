//! What the view of a type tells.

use super::{Expr, TypeName};
use crate::node::flag;
use crate::{Node, NodeKind};

impl<'a> TypeName<'a> {
    /// The type's own name in lower case: for SQL's own types its SQL name (`integer`, `double precision`, `decimal`,
    /// `timestamp with time zone`), otherwise as it is written.
    pub fn name(self) -> &'a str {
        self.0.name()
    }

    /// The schema before it.
    pub fn schema(self) -> Option<&'a str> {
        self.0.qualifier()
    }

    /// Whether the grammar itself knows the type (`integer` and the like), so that no schema can hide it.
    pub fn is_keyword(self) -> bool {
        self.0.has(flag::KEYWORD)
    }

    /// Whether it says `SETOF`: a function's result of any number of rows.
    pub fn is_set(self) -> bool {
        self.0.has(flag::SETOF)
    }

    /// Whether it is the type of the column that its name names: `t.c%TYPE`.
    pub fn is_of_column(self) -> bool {
        self.0.has(flag::COLUMN_TYPE)
    }

    /// The modifiers in parentheses: `10, 2` in `decimal(10, 2)`.
    pub fn modifiers(self) -> impl Iterator<Item = Expr<'a>> + Clone {
        let is_modifier = |node: &&Node<'_>| !matches!(node.kind(), NodeKind::Name | NodeKind::ArrayBound);
        self.0.children().filter(is_modifier).map(Expr::of)
    }

    /// The number of `[]` after it, with a size or without.
    pub fn array_dimensions(self) -> usize {
        usize::from(self.0.detail()) + self.array_sizes().count()
    }

    /// The bounds from the first that has a size on, as they are written; a bound without a size is empty.
    pub fn array_sizes(self) -> impl Iterator<Item = &'a str> + Clone {
        self.0.children().filter(|node| node.kind() == NodeKind::ArrayBound).map(Node::name)
    }

    /// The fields of an interval, `month` or `day to second`; empty when they are not given.
    pub fn interval_fields(self) -> &'static str {
        let code = (self.0.flags() >> INTERVAL_SHIFT) & INTERVAL_MASK;
        INTERVAL_FIELDS.get(usize::from(code)).copied().unwrap_or("")
    }
}

/// The fields that an interval can be cut to; their index is kept among the flags of the type.
pub(crate) const INTERVAL_FIELDS: [&str; 14] = [
    "",
    "year",
    "month",
    "day",
    "hour",
    "minute",
    "second",
    "year to month",
    "day to hour",
    "day to minute",
    "day to second",
    "hour to minute",
    "hour to second",
    "minute to second",
];
pub(crate) const INTERVAL_SHIFT: u32 = 8;
const INTERVAL_MASK: u16 = 0xF;
