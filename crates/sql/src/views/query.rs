//! Views of statements and of the clauses of a query.

use super::forms::{Cycle, ObjectName, Search, Window};
use super::{ColumnDef, Expr, Exprs, TableExpr, TableRef, details, views};
use crate::node::{Children, flag};
use crate::{Node, NodeKind, Span};

/// A statement.
#[derive(Clone, Copy, Debug)]
pub enum Statement<'a> {
    /// `SELECT`, `VALUES` or a set operation.
    Query(Query<'a>),
    /// Any other statement; [`super::forms`] has a view for each.
    Form(super::forms::FormRef<'a>),
}

impl<'a> Statement<'a> {
    /// The view of `node`, when it is a statement.
    pub fn of(node: &'a Node<'a>) -> Option<Self> {
        Some(match node.kind() {
            NodeKind::Select | NodeKind::Values | NodeKind::SetOperation => Self::Query(Query(node)),
            NodeKind::Form => Self::Form(super::forms::FormRef::of(node)?),
            _ => return None,
        })
    }
}

views! {
    /// A query: anything that gives rows.
    Query = Select | Values | SetOperation;
    /// `SELECT … FROM … WHERE …`.
    Select = Select;
    /// `VALUES (…), (…)`.
    Values = Values;
    /// `UNION`, `INTERSECT` or `EXCEPT` of two queries.
    SetOperation = SetOperation;
    /// `WITH`: named queries before a query.
    With = With;
    /// One named query.
    Cte = Cte;
    /// `INTO [TEMPORARY] name`: the table that a select makes.
    Into = Into;
    /// `ROLLUP (…)`, `CUBE (…)`, `GROUPING SETS (…)` or `()`.
    GroupingSet = GroupingSet;
    /// One key of `ORDER BY`.
    SortKey = SortKey;
    /// `FOR UPDATE` and the like.
    Locking = Locking;
}

details! {
    /// The operator of a set operation.
    SetOperator {
        Union /** Rows of either side. */,
        Intersect /** Rows of both sides. */,
        Except /** Rows of the left side that the right side lacks. */,
    }
}

details! {
    /// Whether a named query is computed once.
    Materialized {
        Default /** Not said. */,
        Yes /** `MATERIALIZED`: once. */,
        No /** `NOT MATERIALIZED`: as a part of the query around it. */,
    }

    /// What kind of table `INTO` makes.
    IntoKind {
        Plain /** One that stays. */,
        Temporary /** `TEMPORARY`: one of this session. */,
        Unlogged /** `UNLOGGED`: one that a crash empties. */,
    }

    /// What kind of grouping set it is.
    GroupingKind {
        Empty /** `()`: one group of all rows. */,
        Rollup /** `ROLLUP`: the list, and each of its beginnings. */,
        Cube /** `CUBE`: every subset of the list. */,
        Sets /** `GROUPING SETS`: each element. */,
    }

    /// How strongly rows are locked.
    LockStrength {
        Update /** `FOR UPDATE`. */,
        NoKeyUpdate /** `FOR NO KEY UPDATE`. */,
        Share /** `FOR SHARE`. */,
        KeyShare /** `FOR KEY SHARE`. */,
    }
}

/// What kind of query it is: [`Query::body`].
#[derive(Clone, Copy, Debug)]
pub enum QueryBody<'a> {
    /// `SELECT`.
    Select(Select<'a>),
    /// `VALUES`.
    Values(Values<'a>),
    /// Two queries.
    SetOperation(SetOperation<'a>),
}

impl<'a> Query<'a> {
    /// What kind of query it is.
    pub fn body(self) -> QueryBody<'a> {
        match self.0.kind() {
            NodeKind::Values => QueryBody::Values(Values(self.0)),
            NodeKind::SetOperation => QueryBody::SetOperation(SetOperation(self.0)),
            _ => QueryBody::Select(Select(self.0)),
        }
    }

    /// The named queries before it.
    pub fn with(self) -> Option<With<'a>> {
        self.0.first_child().and_then(With::of)
    }

    /// The keys of `ORDER BY`, in order.
    pub fn order_by(self) -> impl ExactSizeIterator<Item = SortKey<'a>> + Clone {
        clause(self.0, NodeKind::OrderBy).map(SortKey)
    }

    /// `LIMIT` or `FETCH FIRST`; `None` when absent or `ALL`.
    pub fn limit(self) -> Option<Expr<'a>> {
        clause(self.0, NodeKind::Limit).next().map(Expr::of)
    }

    /// Whether rows that are equal in order to the last one within the limit come too: `FETCH FIRST … WITH TIES`.
    pub fn has_ties(self) -> bool {
        self.0.child_of_kind(NodeKind::Limit).is_some_and(|limit| limit.has(flag::TIES))
    }

    /// `OFFSET`.
    pub fn offset(self) -> Option<Expr<'a>> {
        clause(self.0, NodeKind::Offset).next().map(Expr::of)
    }

    /// `FOR UPDATE` and the like, in order.
    pub fn lockings(self) -> impl Iterator<Item = Locking<'a>> + Clone {
        self.0.children().filter_map(Locking::of)
    }

    /// Whether `FOR READ ONLY` stands after it, which means nothing.
    pub fn is_read_only(self) -> bool {
        self.0.has(flag::READ_ONLY)
    }
}

/// Whether a select gives equal rows once.
#[derive(Clone, Debug)]
pub enum Distinct<'a> {
    /// `SELECT` or `SELECT ALL`: all rows.
    All,
    /// `SELECT DISTINCT`: each row once.
    Distinct,
    /// `SELECT DISTINCT ON (…)`: the first row for each value.
    On(Exprs<'a>),
}

/// One item between `SELECT` and `FROM`.
#[derive(Clone, Copy, Debug)]
pub enum SelectItem<'a> {
    /// `*` or `t.*`.
    Star {
        /// The table before the star.
        qualifier: Option<&'a str>,
        /// Where it stands.
        span: Span,
    },
    /// An expression.
    Expr {
        /// The expression.
        expr: Expr<'a>,
        /// The name after `AS`.
        alias: Option<&'a str>,
    },
}

impl<'a> Select<'a> {
    /// This select as a query, for `WITH`, `ORDER BY`, `LIMIT` and `OFFSET`.
    pub fn query(self) -> Query<'a> {
        Query(self.0)
    }

    /// Whether equal rows are given once.
    pub fn distinct(self) -> Distinct<'a> {
        if !self.0.has(flag::DISTINCT) {
            return Distinct::All;
        }
        match self.0.child_of_kind(NodeKind::DistinctOn) {
            Some(on) => Distinct::On(Exprs::new(on.children())),
            None => Distinct::Distinct,
        }
    }

    /// The items between `SELECT` and `FROM`, in order; there may be none.
    pub fn items(self) -> impl Iterator<Item = SelectItem<'a>> + Clone {
        self.0
            .children()
            .skip_while(|node| matches!(node.kind(), NodeKind::With | NodeKind::DistinctOn))
            .take_while(|node| !is_clause(node.kind()))
            .map(SelectItem::of)
    }

    /// The table that its rows go into.
    pub fn made_table(self) -> Option<Into<'a>> {
        self.0.child_of_kind(NodeKind::Into).map(Into)
    }

    /// Whether it is written as `TABLE name`.
    pub fn is_table(self) -> bool {
        self.0.has(flag::KEYWORD)
    }

    /// The tables of `FROM`, in order; between them is an implicit cross join.
    pub fn from(self) -> impl Iterator<Item = TableExpr<'a>> + Clone {
        clause(self.0, NodeKind::From).filter_map(TableExpr::of)
    }

    /// The condition of `WHERE`.
    pub fn filter(self) -> Option<Expr<'a>> {
        clause(self.0, NodeKind::Where).next().map(Expr::of)
    }

    /// The elements of `GROUP BY`, in order.
    pub fn group_by(self) -> impl ExactSizeIterator<Item = Grouping<'a>> + Clone {
        clause(self.0, NodeKind::GroupBy).map(Grouping::of)
    }

    /// Whether equal grouping sets count once: `GROUP BY DISTINCT`.
    pub fn groups_distinct(self) -> bool {
        self.0.child_of_kind(NodeKind::GroupBy).is_some_and(|clause| clause.has(flag::DISTINCT))
    }

    /// The windows of `WINDOW`, in order.
    pub fn windows(self) -> impl Iterator<Item = Window<'a>> + Clone {
        clause(self.0, NodeKind::Windows).filter_map(Window::of)
    }

    /// The condition of `HAVING`.
    pub fn having(self) -> Option<Expr<'a>> {
        clause(self.0, NodeKind::Having).next().map(Expr::of)
    }
}

/// One element of `GROUP BY`.
#[derive(Clone, Copy, Debug)]
pub enum Grouping<'a> {
    /// An expression.
    Expr(Expr<'a>),
    /// Grouping sets.
    Set(GroupingSet<'a>),
}

impl<'a> Grouping<'a> {
    fn of(node: &'a Node<'a>) -> Grouping<'a> {
        GroupingSet::of(node).map_or_else(|| Self::Expr(Expr::of(node)), Self::Set)
    }
}

impl<'a> GroupingSet<'a> {
    /// What kind of set it is.
    pub fn kind(self) -> GroupingKind {
        GroupingKind::from_code(self.0.detail())
    }

    /// Its elements, in order; sets are among them only in `GROUPING SETS`.
    pub fn elements(self) -> impl ExactSizeIterator<Item = Grouping<'a>> + Clone {
        self.0.children().map(Grouping::of)
    }
}

impl<'a> Into<'a> {
    /// What kind of table is made.
    pub fn kind(self) -> IntoKind {
        IntoKind::from_code(self.0.detail())
    }

    /// The table's name.
    pub fn name(self) -> &'a str {
        self.0.name()
    }

    /// The schema, when it is given.
    pub fn schema(self) -> Option<&'a str> {
        self.0.qualifier()
    }
}

impl<'a> Locking<'a> {
    /// How strongly rows are locked.
    pub fn strength(self) -> LockStrength {
        LockStrength::from_code(self.0.detail())
    }

    /// The tables after `OF`; none when all are meant.
    pub fn tables(self) -> impl ExactSizeIterator<Item = TableRef<'a>> + Clone {
        self.0.children().map(TableRef)
    }

    /// `NOWAIT`: a row that is locked already is an error.
    pub fn is_nowait(self) -> bool {
        self.0.has(flag::NOWAIT)
    }

    /// `SKIP LOCKED`: a row that is locked already is left out.
    pub fn skips_locked(self) -> bool {
        self.0.has(flag::SKIP_LOCKED)
    }
}

impl<'a> Values<'a> {
    /// This `VALUES` as a query.
    pub fn query(self) -> Query<'a> {
        Query(self.0)
    }

    /// Its rows, in order; the parser does not check that they have equally many values.
    pub fn rows(self) -> impl Iterator<Item = Exprs<'a>> + Clone {
        self.0.children().filter(|node| node.kind() == NodeKind::Row).map(|row| Exprs::new(row.children()))
    }
}

impl<'a> SetOperation<'a> {
    /// This operation as a query.
    pub fn query(self) -> Query<'a> {
        Query(self.0)
    }

    /// Which operation.
    pub fn operator(self) -> SetOperator {
        SetOperator::from_code(self.0.detail())
    }

    /// Whether equal rows stay (`ALL`).
    pub fn is_all(self) -> bool {
        self.0.has(flag::ALL)
    }

    /// The left side.
    pub fn left(self) -> Query<'a> {
        self.side(0)
    }

    /// The right side.
    pub fn right(self) -> Query<'a> {
        self.side(1)
    }

    fn side(self, index: usize) -> Query<'a> {
        let mut sides = self.0.children().filter_map(Query::of);
        sides.nth(index).unwrap_or(Query(self.0))
    }
}

impl<'a> With<'a> {
    /// Whether the queries may refer to themselves.
    pub fn is_recursive(self) -> bool {
        self.0.has(flag::RECURSIVE)
    }

    /// The named queries, in order.
    pub fn ctes(self) -> impl ExactSizeIterator<Item = Cte<'a>> + Clone {
        self.0.children().map(Cte)
    }
}

impl<'a> Cte<'a> {
    /// Its name.
    pub fn name(self) -> &'a str {
        self.0.name()
    }

    /// The names of its columns; none when they are not given.
    pub fn columns(self) -> impl Iterator<Item = ColumnDef<'a>> + Clone {
        self.0.children().filter_map(ColumnDef::of)
    }

    /// The query; `None` when it is a statement that changes data.
    pub fn query(self) -> Option<Query<'a>> {
        self.0.children().find_map(Query::of)
    }

    /// How its recursion goes: `SEARCH …`.
    pub fn search(self) -> Option<Search<'a>> {
        self.0.children().find_map(Search::of)
    }

    /// Whether it is computed once.
    pub fn materialized(self) -> Materialized {
        Materialized::from_code(self.0.detail())
    }

    /// What its recursion must not repeat: `CYCLE …`.
    pub fn cycle(self) -> Option<Cycle<'a>> {
        self.0.children().find_map(Cycle::of)
    }

    /// What gives its rows: a query, or a statement that changes data, with `RETURNING`.
    pub fn statement(self) -> Option<Statement<'a>> {
        self.0.children().last().and_then(Statement::of)
    }
}

/// Where nulls go in an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NullsOrder {
    /// Not said: last in ascending order, first in descending order.
    Default,
    /// `NULLS FIRST`.
    First,
    /// `NULLS LAST`.
    Last,
}

impl<'a> SortKey<'a> {
    /// What is sorted by.
    pub fn expr(self) -> Expr<'a> {
        Expr::of(self.0.first_child().unwrap_or(self.0))
    }

    /// Whether the order descends.
    pub fn is_descending(self) -> bool {
        self.0.has(flag::DESCENDING)
    }

    /// The operator after `USING` that orders.
    pub fn operator(self) -> Option<ObjectName<'a>> {
        self.0.child_of_kind(NodeKind::ObjectName).and_then(ObjectName::of)
    }

    /// Where nulls go, as it is written.
    pub fn nulls(self) -> NullsOrder {
        if self.0.has(flag::NULLS_FIRST) {
            NullsOrder::First
        } else if self.0.has(flag::NULLS_LAST) {
            NullsOrder::Last
        } else {
            NullsOrder::Default
        }
    }

    /// Whether nulls go first, with PostgreSQL's default.
    pub fn nulls_first(self) -> bool {
        match self.nulls() {
            NullsOrder::First => true,
            NullsOrder::Last => false,
            NullsOrder::Default => self.is_descending(),
        }
    }
}

/// Whether a child of a select is one of its clauses and not one of its items.
pub(crate) fn is_clause(kind: NodeKind) -> bool {
    use NodeKind::{From, GroupBy, Having, Into, Limit, Locking, Offset, OrderBy, Where, Windows};
    matches!(kind, Into | From | Where | GroupBy | Having | Windows | OrderBy | Limit | Offset | Locking)
}

/// The children of the clause of this kind; none when the query lacks it.
fn clause<'a>(query: &'a Node<'a>, kind: NodeKind) -> Children<'a> {
    query.child_of_kind(kind).map(Node::children).unwrap_or_default()
}

impl<'a> SelectItem<'a> {
    pub(crate) fn of(node: &'a Node<'a>) -> SelectItem<'a> {
        match node.kind() {
            NodeKind::Star => Self::Star { qualifier: node.qualifier(), span: node.span() },
            NodeKind::Aliased => {
                let expr = Expr::of(node.first_child().unwrap_or(node));
                Self::Expr { expr, alias: Some(node.name()) }
            }
            _ => Self::Expr { expr: Expr::of(node), alias: None },
        }
    }
}
