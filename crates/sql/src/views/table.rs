//! Views of what stands in `FROM`.

use super::forms::{FormRef, Sample};
use super::{Expr, Query, TypeName, details, views};
use crate::node::flag;
use crate::{Node, NodeKind, Span};

/// Anything that can stand in `FROM`.
#[derive(Clone, Copy, Debug)]
pub enum TableExpr<'a> {
    /// A table by name.
    Table(TableRef<'a>),
    /// A file by path.
    File(FileRef<'a>),
    /// A query in parentheses.
    Derived(Derived<'a>),
    /// A function.
    Function(TableFunction<'a>),
    /// Several functions side by side.
    RowsFrom(RowsFrom<'a>),
    /// A join of two others.
    Join(Join<'a>),
}

impl<'a> TableExpr<'a> {
    /// The view of `node`, when it is a table expression.
    pub fn of(node: &'a Node<'a>) -> Option<Self> {
        Some(match node.kind() {
            NodeKind::Table => Self::Table(TableRef(node)),
            NodeKind::File => Self::File(FileRef(node)),
            NodeKind::Derived => Self::Derived(Derived(node)),
            NodeKind::TableFunction => Self::Function(TableFunction(node)),
            NodeKind::RowsFrom => Self::RowsFrom(RowsFrom(node)),
            NodeKind::Join => Self::Join(Join(node)),
            _ => return None,
        })
    }

    /// The node under this view.
    pub fn node(self) -> &'a Node<'a> {
        match self {
            Self::Table(view) => view.0,
            Self::File(view) => view.0,
            Self::Derived(view) => view.0,
            Self::Function(view) => view.0,
            Self::RowsFrom(view) => view.0,
            Self::Join(view) => view.0,
        }
    }

    /// Where it stands in the text of the statement.
    pub fn span(self) -> Span {
        self.node().span()
    }

    /// Its alias.
    pub fn alias(self) -> Option<Alias<'a>> {
        alias(self.node())
    }
}

views! {
    /// A table by name: `schema.name AS alias`.
    TableRef = Table;
    /// A file by path: `'lineitem.csv' AS t(a integer, b text)`.
    FileRef = File;
    /// A query as a table: `(SELECT …) AS t(a, b)`.
    Derived = Derived;
    /// A function as a table: `generate_series(1, 3) WITH ORDINALITY AS t(a, b)`.
    TableFunction = TableFunction;
    /// Functions side by side: `ROWS FROM (f(1), g(2) AS (a integer)) AS t`.
    RowsFrom = RowsFrom;
    /// Two tables joined.
    Join = Join;
    /// The name that a table goes by, and names (and for files types) of its columns.
    Alias = Alias;
    /// A column's name, with its type where one is given.
    ColumnDef = ColumnDef;
}

details! {
    /// Which rows a join keeps.
    JoinKind {
        Inner /** `[INNER] JOIN`: rows that match. */,
        Left /** `LEFT [OUTER] JOIN`: all rows of the left side too. */,
        Right /** `RIGHT [OUTER] JOIN`: all rows of the right side too. */,
        Full /** `FULL [OUTER] JOIN`: all rows of both sides too. */,
        Cross /** `CROSS JOIN`: every pair. */,
    }
}

/// The condition of a join.
#[derive(Clone, Debug)]
pub enum JoinCondition<'a> {
    /// None: a cross join.
    None,
    /// `NATURAL`: equal values in all columns of the same name.
    Natural,
    /// `ON` a boolean expression.
    On(Expr<'a>),
    /// `USING (columns)`: equal values in these columns.
    Using(Names<'a>),
}

/// Names in a list, in order.
pub type Names<'a> = std::iter::Map<crate::node::Children<'a>, fn(&'a Node<'a>) -> ColumnDef<'a>>;

impl<'a> TableRef<'a> {
    /// The table's own name.
    pub fn name(self) -> &'a str {
        self.0.name()
    }

    /// The schema, when it is given.
    pub fn schema(self) -> Option<&'a str> {
        self.0.qualifier()
    }

    /// The database, when it is given.
    pub fn catalog(self) -> Option<&'a str> {
        self.0.child_of_kind(NodeKind::Name).map(Node::name)
    }

    /// `TABLESAMPLE`: a part of its rows.
    pub fn sample(self) -> Option<Sample<'a>> {
        self.0.children().find_map(Sample::of)
    }

    /// `ONLY`: without the tables that inherit from it.
    pub fn is_only(self) -> bool {
        self.0.has(flag::ONLY)
    }

    /// Its alias.
    pub fn alias(self) -> Option<Alias<'a>> {
        alias(self.0)
    }
}

impl<'a> FileRef<'a> {
    /// The path as it is written between the quotes.
    pub fn path(self) -> &'a str {
        self.0.name()
    }

    /// Its alias, where the types of its columns may stand.
    pub fn alias(self) -> Option<Alias<'a>> {
        alias(self.0)
    }
}

impl<'a> Derived<'a> {
    /// The query.
    pub fn query(self) -> Query<'a> {
        Query(self.0.child(0).unwrap_or(self.0))
    }

    /// `LATERAL`: the query may refer to the tables before it.
    pub fn is_lateral(self) -> bool {
        self.0.has(flag::LATERAL)
    }

    /// Its alias.
    pub fn alias(self) -> Option<Alias<'a>> {
        alias(self.0)
    }
}

impl<'a> TableFunction<'a> {
    /// The call; functions that the grammar knows, such as `CAST`, are among them. For `XMLTABLE` and `JSON_TABLE` see
    /// [`Self::form`].
    pub fn call(self) -> Expr<'a> {
        Expr::of(self.0.first_child().unwrap_or(self.0))
    }

    /// `XMLTABLE` or `JSON_TABLE`.
    pub fn form(self) -> Option<FormRef<'a>> {
        self.0.first_child().and_then(FormRef::of)
    }
}

impl<'a> RowsFrom<'a> {
    /// The functions, in order; an alias of one has no name but types for its columns.
    pub fn functions(self) -> impl Iterator<Item = TableFunction<'a>> + Clone {
        self.0.children().filter_map(TableFunction::of)
    }
}

macro_rules! of_functions {
    ($($name:ident)*) => {$(
        impl<'a> $name<'a> {
            /// `LATERAL`, which is what a function in `FROM` always is.
            pub fn is_lateral(self) -> bool {
                self.0.has(flag::LATERAL)
            }

            /// `WITH ORDINALITY`: a last column counts the rows.
            pub fn has_ordinality(self) -> bool {
                self.0.has(flag::ORDINALITY)
            }

            /// Its alias, where the types of its columns may stand; with types its name may be empty.
            pub fn alias(self) -> Option<Alias<'a>> {
                alias(self.0)
            }
        }
    )*};
}

of_functions! { TableFunction RowsFrom }

impl<'a> Join<'a> {
    /// Which rows it keeps.
    pub fn kind(self) -> JoinKind {
        JoinKind::from_code(self.0.detail())
    }

    /// The left side; `None` only in a tree that the parser did not make.
    pub fn left(self) -> Option<TableExpr<'a>> {
        self.0.child(0).and_then(TableExpr::of)
    }

    /// The right side; `None` only in a tree that the parser did not make.
    pub fn right(self) -> Option<TableExpr<'a>> {
        self.0.child(1).and_then(TableExpr::of)
    }

    /// Its condition.
    pub fn condition(self) -> JoinCondition<'a> {
        if self.0.has(flag::NATURAL) {
            return JoinCondition::Natural;
        }
        match self.0.child(2) {
            Some(node) if node.kind() == NodeKind::Using => {
                JoinCondition::Using(node.children().map(ColumnDef))
            }
            Some(node) if node.kind() == NodeKind::On => match node.first_child() {
                Some(condition) => JoinCondition::On(Expr::of(condition)),
                None => JoinCondition::None,
            },
            _ => JoinCondition::None,
        }
    }

    /// The name of the columns that `USING` merges: `USING (a, b) AS name`.
    pub fn using_alias(self) -> Option<&'a str> {
        let using = self.0.child_of_kind(NodeKind::Using)?;
        Some(using.name()).filter(|name| !name.is_empty())
    }

    /// The alias of a join in parentheses.
    pub fn alias(self) -> Option<Alias<'a>> {
        alias(self.0)
    }
}

impl<'a> Alias<'a> {
    /// The name; empty for an alias that only defines columns.
    pub fn name(self) -> &'a str {
        self.0.name()
    }

    /// The columns in parentheses, in order; none when they are not given.
    pub fn columns(self) -> Names<'a> {
        self.0.children().map(ColumnDef)
    }
}

impl<'a> ColumnDef<'a> {
    /// The column's name.
    pub fn name(self) -> &'a str {
        self.0.name()
    }

    /// Its type, when it is given.
    pub fn type_name(self) -> Option<TypeName<'a>> {
        self.0.first_child().and_then(TypeName::of)
    }

    /// The name of its collation, when it is given.
    pub fn collation(self) -> Option<&'a str> {
        self.0.child_of_kind(NodeKind::Collate).map(Node::name)
    }
}

fn alias<'a>(node: &'a Node<'a>) -> Option<Alias<'a>> {
    node.child_of_kind(NodeKind::Alias).map(Alias)
}
