//! What the views of composite values tell: fields and elements, arrays, rows, and comparisons with many values.

use super::expr::{expr, last_expr, operator_text, outer, rest};
use super::{
    Array, ArrayQuery, BinaryOp, Expr, Exprs, Indirection, LikeKind, NamedArgument, OperatorName, Overlaps,
    Quantified, Query, Row, TableRow, Treat, TypeName,
};
use crate::node::flag;
use crate::parser::ends;
use crate::{Node, NodeKind};

impl<'a> TableRow<'a> {
    /// The table.
    pub fn table(self) -> Option<&'a str> {
        self.0.qualifier()
    }

    /// The names before the table, outermost first.
    pub fn outer(self) -> impl Iterator<Item = &'a str> + Clone {
        outer(self.0)
    }
}

/// One step of an [`Indirection`] or a [`Target`](super::Target).
#[derive(Clone, Copy, Debug)]
pub enum Selection<'a> {
    /// `.name`.
    Field(&'a str),
    /// `.*`.
    AllFields,
    /// `[index]`.
    Index(Expr<'a>),
    /// `[low:high]`.
    Slice {
        /// The lower end.
        low: Option<Expr<'a>>,
        /// The upper end.
        high: Option<Expr<'a>>,
    },
}

impl<'a> Indirection<'a> {
    /// The value that something is selected of.
    pub fn operand(self) -> Expr<'a> {
        expr(self.0, 0)
    }

    /// What is selected, step by step.
    pub fn selections(self) -> impl Iterator<Item = Selection<'a>> + Clone {
        rest(self.0).map(Selection::of)
    }
}

impl<'a> Selection<'a> {
    pub(crate) fn of(step: &'a Node<'a>) -> Selection<'a> {
        match step.kind() {
            NodeKind::Field => Selection::Field(step.name()),
            NodeKind::AllFields => Selection::AllFields,
            NodeKind::Slice => {
                let mut ends = step.children();
                let mut end = |bit| (step.detail() & bit != 0).then(|| ends.next().map(Expr::of)).flatten();
                Selection::Slice { low: end(ends::LOW), high: end(ends::HIGH) }
            }
            _ => Selection::Index(expr(step, 0)),
        }
    }
}

impl<'a> Array<'a> {
    /// The elements; in `ARRAY[[1, 2], [3, 4]]` they are arrays.
    pub fn elements(self) -> Exprs<'a> {
        Exprs::new(self.0.children())
    }
}

impl<'a> ArrayQuery<'a> {
    /// The query.
    pub fn query(self) -> Query<'a> {
        Query(self.0.first_child().unwrap_or(self.0))
    }
}

impl<'a> Quantified<'a> {
    /// What is compared.
    pub fn operand(self) -> Expr<'a> {
        expr(self.0, 0)
    }

    /// The operator's sign; `None` for `LIKE` and `ILIKE`.
    pub fn operator_text(self) -> Option<&'a str> {
        if self.0.has(flag::LIKE) {
            return None;
        }
        Some(match BinaryOp::from_code(self.0.detail()) {
            BinaryOp::Other => operator_text(self.0),
            op => op.symbol(),
        })
    }

    /// The operator's whole name, when it is written as `OPERATOR(schema.+)`.
    pub fn operator_name(self) -> Option<OperatorName<'a>> {
        self.0.child(1).and_then(OperatorName::of)
    }

    /// How text is matched, for `LIKE ANY` and `ILIKE ANY`.
    pub fn like(self) -> Option<LikeKind> {
        self.0.has(flag::LIKE).then(|| LikeKind::from_code(self.0.detail()))
    }

    /// `NOT LIKE ANY`.
    pub fn is_negated(self) -> bool {
        self.0.has(flag::NOT)
    }

    /// Whether it must hold for `ALL`, not for `ANY`.
    pub fn is_all(self) -> bool {
        self.0.has(flag::ALL)
    }

    /// The array whose elements it is compared with, when there is no query.
    pub fn array(self) -> Option<Expr<'a>> {
        (self.0.kind() == NodeKind::QuantifiedArray).then(|| last_expr(self.0))
    }

    /// The query whose rows it is compared with.
    pub fn query(self) -> Option<Query<'a>> {
        let query = self.0.children().last()?;
        (self.0.kind() == NodeKind::QuantifiedQuery).then_some(Query(query))
    }
}

impl<'a> NamedArgument<'a> {
    /// The name of the parameter.
    pub fn name(self) -> &'a str {
        self.0.name()
    }

    /// The value.
    pub fn value(self) -> Expr<'a> {
        expr(self.0, 0)
    }
}

impl<'a> Overlaps<'a> {
    /// The first span: its start, and its end or length.
    pub fn left(self) -> Row<'a> {
        Row(self.0.first_child().unwrap_or(self.0))
    }

    /// The second span.
    pub fn right(self) -> Row<'a> {
        Row(self.0.child(1).unwrap_or(self.0))
    }
}

impl<'a> Treat<'a> {
    /// The value.
    pub fn operand(self) -> Expr<'a> {
        expr(self.0, 0)
    }

    /// The type it is treated as.
    pub fn type_name(self) -> TypeName<'a> {
        TypeName(self.0.child(1).unwrap_or(self.0))
    }
}
