//! Typed views: what a consumer reads instead of raw nodes.
//!
//! A view is one pointer to a [`Node`](crate::Node), `Copy`, and knows the shape that the parser gave it. [`Statement`] is where to
//! begin; [`Expr`] and [`TableExpr`] sort the nodes of their kind into an enum. Every view gives its
//! node for spans, annotations and walks.

pub(crate) mod expr;
pub mod forms;
mod function;
pub(crate) mod operator;
pub(crate) mod query;
mod selection;
mod statement;
mod table;
pub(crate) mod type_name;

pub use expr::{
    Array, ArrayQuery, AtTimeZone, Between, Binary, BitString, Boolean, Call, Case, Cast, Collate, ColumnRef,
    Default, DistinctFrom, Exists, Expr, Exprs, Extract, InList, InQuery, Indirection, Is, Junction, Like,
    Literal, NamedArgument, Not, OperatorName, Overlaps, Parameter, Quantified, Row, Subquery, TableRow,
    Treat, TypeName, TypedLiteral, Unary, When,
};
pub use operator::{BinaryOp, CallForm, IsTest, LikeKind, UnaryOp};
pub use query::{
    Cte, Distinct, Grouping, GroupingKind, GroupingSet, Into, IntoKind, LockStrength, Locking, Materialized,
    NullsOrder, Query, QueryBody, Select, SelectItem, SetOperation, SetOperator, SortKey, Statement, Values,
    With,
};
pub use selection::Selection;
pub use statement::{SettingValue, Target};
pub use table::{
    Alias, ColumnDef, Derived, FileRef, Join, JoinCondition, JoinKind, Names, RowsFrom, TableExpr,
    TableFunction, TableRef,
};

/// Declares views: a pointer to a node of one kind.
macro_rules! views {
    ($($(#[$doc:meta])* $name:ident = $($kind:ident)|+;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name<'a>(pub(crate) &'a $crate::Node<'a>);

        impl<'a> $name<'a> {
            /// The view of `node`, when the node is one of these.
            pub fn of(node: &'a $crate::Node<'a>) -> Option<Self> {
                matches!(node.kind(), $($crate::NodeKind::$kind)|+).then_some(Self(node))
            }

            /// The node under this view.
            pub fn node(self) -> &'a $crate::Node<'a> {
                self.0
            }

            /// Where it stands in the text of the statement.
            pub fn span(self) -> $crate::Span {
                self.0.span()
            }
        }
    )*};
}
pub(crate) use views;

/// Declares an enum that is kept in the detail byte of a node.
macro_rules! details {
    ($($(#[$doc:meta])* $name:ident { $first:ident $(#[$first_doc:meta])*, $($variant:ident $(#[$variant_doc:meta])*,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(u8)]
        pub enum $name {
            $(#[$first_doc])* $first,
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            pub(crate) const fn code(self) -> u8 {
                self as u8
            }

            /// Codes come from [`Self::code`] only; any other reads as the first variant.
            pub(crate) fn from_code(code: u8) -> Self {
                const ALL: &[$name] = &[$name::$first, $($name::$variant,)*];
                ALL.get(usize::from(code)).copied().unwrap_or($name::$first)
            }
        }
    )*};
}
pub(crate) use details;
