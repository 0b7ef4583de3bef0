//! Queries as trees that print as SQL, and the smaller ones that each can become.

use std::fmt;

use crate::types::{Ty, info};

/// An expression: a text with places for smaller ones and for queries.
#[derive(Clone, Debug)]
pub struct Expr {
    /// Its type.
    pub ty: Ty,
    /// The text: `{}` for the next argument, `{=}` for the last one once more, `{q}` for the query.
    pub template: String,
    /// The arguments.
    pub args: Vec<Expr>,
    /// The query within, if there is one.
    pub query: Option<Box<Query>>,
}

/// A query.
#[derive(Clone, Debug)]
pub struct Query {
    /// `WITH`: names and queries.
    pub ctes: Vec<(String, Query)>,
    /// What comes between `WITH` and `ORDER BY`.
    pub body: Body,
    /// Ordinals of columns with what follows them, such as `1 DESC NULLS LAST`.
    pub order: Vec<String>,
    /// `LIMIT` and `OFFSET`.
    pub limit: Option<String>,
}

/// What rows come from.
#[derive(Clone, Debug)]
pub enum Body {
    /// `SELECT`.
    Select(Box<Select>),
    /// Two queries and what stands between them.
    Set(Box<Query>, &'static str, Box<Query>),
    /// A text that is not looked into.
    Text(String),
}

/// `SELECT`.
#[derive(Clone, Debug)]
pub struct Select {
    /// `DISTINCT`.
    pub is_distinct: bool,
    /// `DISTINCT ON` the column of this number, from 1.
    pub distinct_on: Option<usize>,
    /// The columns; the n-th is called `c` and n.
    pub items: Vec<Expr>,
    /// What is read.
    pub from: Option<From>,
    /// `WHERE`.
    pub filter: Option<Expr>,
    /// The keys of `GROUP BY`.
    pub keys: Vec<Expr>,
    /// What stands around the keys: `ROLLUP ({})`; `{0}` is the first one alone, `{1}` the last one.
    pub grouping: &'static str,
    /// `HAVING`.
    pub having: Option<Expr>,
}

/// What a query reads.
#[derive(Clone, Debug)]
pub enum From {
    /// A table and its alias.
    Table(String, String),
    /// A query and its alias; the flag is for `LATERAL`.
    Derived(Box<Query>, String, bool),
    /// Two of them, what stands between, and the condition, or `USING` and columns.
    Join(Box<From>, &'static str, Box<From>, Option<Expr>),
}

impl Expr {
    /// An expression without parts.
    pub fn leaf(ty: Ty, text: impl Into<String>) -> Expr {
        Expr { ty, template: text.into(), args: Vec::new(), query: None }
    }

    /// An expression of smaller ones.
    pub fn new(ty: Ty, template: impl Into<String>, args: Vec<Expr>) -> Expr {
        Expr { ty, template: template.into(), args, query: None }
    }
}

impl Query {
    /// A query that is a `SELECT` and no more.
    pub fn select(select: Select) -> Query {
        Query { ctes: Vec::new(), body: Body::Select(Box::new(select)), order: Vec::new(), limit: None }
    }

    /// Whether nothing but the rows of one table or none decides about errors: no join, filter, group or subquery, and no NULL that
    /// PostgreSQL takes for the result of a function without computing its other arguments.
    pub fn is_simple(&self) -> bool {
        let Body::Select(select) = &self.body else { return false };
        self.ctes.is_empty()
            && self.limit.is_none()
            && !select.is_distinct
            && select.distinct_on.is_none()
            && matches!(select.from, None | Some(From::Table(..)))
            && select.filter.is_none()
            && select.keys.is_empty()
            && select.having.is_none()
            && !self.to_string().contains(" (SELECT ")
            && !self.to_string().contains("CAST(NULL ")
    }

    /// Smaller queries, the smallest first.
    pub fn shrinks(&self) -> Vec<Query> {
        let mut all = Vec::new();
        let with = |change: &dyn Fn(&mut Query)| {
            let mut query = self.clone();
            change(&mut query);
            query
        };
        if let Body::Set(left, _, right) = &self.body {
            for side in [left, right] {
                let mut query = (**side).clone();
                query.ctes.splice(0..0, self.ctes.clone());
                all.push(query);
            }
        }
        for index in 0..self.ctes.len() {
            all.push(with(&|query| drop(query.ctes.remove(index))));
        }
        if self.limit.is_some() {
            all.push(with(&|query| query.limit = None));
        }
        if !self.order.is_empty() {
            all.push(with(&|query| query.order.clear()));
        }
        match &self.body {
            Body::Select(select) => {
                for smaller in select.shrinks() {
                    let is_narrower = smaller.items.len() < select.items.len();
                    let mut query = self.clone();
                    query.body = Body::Select(Box::new(smaller));
                    if is_narrower {
                        // Ordinals are those of all columns.
                        query.order.pop();
                    }
                    all.push(query);
                }
            }
            Body::Set(left, op, right) => {
                for smaller in left.shrinks() {
                    all.push(with(&|query| {
                        query.body = Body::Set(Box::new(smaller.clone()), op, right.clone())
                    }));
                }
                for smaller in right.shrinks() {
                    all.push(with(&|query| {
                        query.body = Body::Set(left.clone(), op, Box::new(smaller.clone()))
                    }));
                }
            }
            Body::Text(_) => {}
        }
        for (index, (_, cte)) in self.ctes.iter().enumerate() {
            for smaller in cte.shrinks() {
                all.push(with(&|query| query.ctes[index].1 = smaller.clone()));
            }
        }
        all
    }
}

impl Select {
    fn shrinks(&self) -> Vec<Select> {
        let mut all = Vec::new();
        let with = |change: &dyn Fn(&mut Select)| {
            let mut select = self.clone();
            change(&mut select);
            select
        };
        if self.filter.is_some() {
            all.push(with(&|select| select.filter = None));
        }
        if self.having.is_some() {
            all.push(with(&|select| select.having = None));
        }
        if self.is_distinct || self.distinct_on.is_some() {
            all.push(with(&|select| (select.is_distinct, select.distinct_on) = (false, None)));
        }
        if self.grouping != "{}" {
            all.push(with(&|select| select.grouping = "{}"));
        }
        for from in self.from.iter().flat_map(From::shrinks) {
            all.push(with(&|select| select.from = Some(from.clone())));
        }
        if self.from.is_some() {
            all.push(with(&|select| select.from = None));
        }
        if self.items.len() > 1 && self.distinct_on.is_none() {
            for index in 0..self.items.len() {
                all.push(with(&|select| drop(select.items.remove(index))));
            }
        }
        for index in 0..self.keys.len() {
            all.push(with(&|select| drop(select.keys.remove(index))));
        }
        for (index, item) in self.items.iter().enumerate() {
            for smaller in item.shrinks() {
                all.push(with(&|select| select.items[index] = smaller.clone()));
            }
        }
        for smaller in self.filter.iter().flat_map(Expr::shrinks) {
            all.push(with(&|select| select.filter = Some(smaller.clone())));
        }
        for smaller in self.having.iter().flat_map(Expr::shrinks) {
            all.push(with(&|select| select.having = Some(smaller.clone())));
        }
        for (index, key) in self.keys.iter().enumerate() {
            for smaller in key.shrinks() {
                all.push(with(&|select| select.keys[index] = smaller.clone()));
            }
        }
        all
    }
}

impl From {
    fn shrinks(&self) -> Vec<From> {
        match self {
            From::Table(..) => Vec::new(),
            From::Derived(query, alias, is_lateral) => {
                let derived = |query| From::Derived(Box::new(query), alias.clone(), *is_lateral);
                query.shrinks().into_iter().map(derived).collect()
            }
            From::Join(left, kind, right, on) => {
                let mut all = vec![(**left).clone(), (**right).clone()];
                if *kind != "JOIN" && on.is_some() {
                    all.push(From::Join(left.clone(), "JOIN", right.clone(), on.clone()));
                }
                for left in left.shrinks() {
                    all.push(From::Join(Box::new(left), kind, right.clone(), on.clone()));
                }
                for right in right.shrinks() {
                    all.push(From::Join(left.clone(), kind, Box::new(right), on.clone()));
                }
                for on in on.iter().filter(|on| !on.args.is_empty()).flat_map(Expr::shrinks) {
                    all.push(From::Join(left.clone(), kind, right.clone(), Some(on)));
                }
                all
            }
        }
    }
}

impl Expr {
    /// Smaller expressions of the same type.
    pub fn shrinks(&self) -> Vec<Expr> {
        let mut all = Vec::new();
        if self.args.is_empty() && self.query.is_none() {
            return all;
        }
        all.push(Expr::leaf(self.ty, info(self.ty).values[0]));
        all.push(Expr::leaf(self.ty, format!("CAST(NULL AS {})", info(self.ty).name)));
        all.extend(self.args.iter().filter(|arg| arg.ty == self.ty).cloned());
        for (index, arg) in self.args.iter().enumerate() {
            for smaller in arg.shrinks() {
                let mut expr = self.clone();
                expr.args[index] = smaller;
                all.push(expr);
            }
        }
        for smaller in self.query.iter().flat_map(|query| query.shrinks()) {
            let mut expr = self.clone();
            expr.query = Some(Box::new(smaller));
            all.push(expr);
        }
        all
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut args = self.args.iter();
        let mut last = None;
        let mut rest = self.template.as_str();
        while let Some(place) = rest.find('{') {
            f.write_str(&rest[..place])?;
            rest = &rest[place..];
            if let (Some(after), Some(last)) = (rest.strip_prefix("{=}"), last) {
                write!(f, "{last}")?;
                rest = after;
                continue;
            }
            match (rest.strip_prefix("{}"), rest.strip_prefix("{q}"), &self.query) {
                (Some(after), ..) => {
                    let arg: &Expr = args.next().expect("a template has a place for each argument");
                    write!(f, "{arg}")?;
                    last = Some(arg);
                    rest = after;
                }
                (None, Some(after), Some(query)) => {
                    write!(f, "{query}")?;
                    rest = after;
                }
                _ => {
                    f.write_str("{")?;
                    rest = &rest[1..];
                }
            }
        }
        f.write_str(rest)
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_recursive = self.ctes.iter().any(|(name, _)| name.starts_with('r'));
        for (index, (name, query)) in self.ctes.iter().enumerate() {
            let before = match (index, is_recursive) {
                (0, true) => "WITH RECURSIVE ",
                (0, false) => "WITH ",
                _ => ", ",
            };
            // The name says what the query is: r is recursive, k is kept, i is inlined.
            let (columns, how) = match &name[..1] {
                "r" => ("(c0, c1)", ""),
                "k" => ("", "MATERIALIZED "),
                "i" => ("", "NOT MATERIALIZED "),
                _ => ("", ""),
            };
            write!(f, "{before}{name}{columns} AS {how}({query})")?;
        }
        if !self.ctes.is_empty() {
            f.write_str(" ")?;
        }
        match &self.body {
            Body::Select(select) => write!(f, "{select}")?,
            Body::Set(left, op, right) => write!(f, "{} {op} {}", Arm(left), Arm(right))?,
            Body::Text(text) => f.write_str(text)?,
        }
        if !self.order.is_empty() {
            write!(f, " ORDER BY {}", self.order.join(", "))?;
        }
        match &self.limit {
            Some(limit) => write!(f, " {limit}"),
            None => Ok(()),
        }
    }
}

/// A query beside `UNION`: in parentheses where it needs them, since SQLite has none there.
struct Arm<'q>(&'q Query);

impl fmt::Display for Arm<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Arm(query) = self;
        let is_plain = query.ctes.is_empty() && query.order.is_empty() && query.limit.is_none();
        match &query.body {
            Body::Select(select) if is_plain => write!(f, "{select}"),
            _ => write!(f, "({query})"),
        }
    }
}

impl fmt::Display for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.distinct_on {
            Some(ordinal) => write!(f, "SELECT DISTINCT ON ({ordinal}) ")?,
            None => f.write_str(if self.is_distinct { "SELECT DISTINCT " } else { "SELECT " })?,
        }
        for (index, item) in self.items.iter().enumerate() {
            write!(f, "{}{item} AS c{index}", if index > 0 { ", " } else { "" })?;
        }
        if let Some(from) = &self.from {
            write!(f, " FROM {from}")?;
        }
        if let Some(filter) = &self.filter {
            write!(f, " WHERE {filter}")?;
        }
        if !self.keys.is_empty() {
            let keys: Vec<String> = self.keys.iter().map(ToString::to_string).collect();
            let (first, last) = (&keys[0], &keys[keys.len() - 1]);
            let grouping = self.grouping.replace("{0}", first).replace("{1}", last);
            write!(f, " GROUP BY {}", grouping.replace("{}", &keys.join(", ")))?;
        }
        match &self.having {
            Some(having) => write!(f, " HAVING {having}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            From::Table(name, alias) => write!(f, "{name} AS {alias}"),
            From::Derived(query, alias, is_lateral) => {
                write!(f, "{}({query}) AS {alias}", if *is_lateral { "LATERAL " } else { "" })
            }
            From::Join(left, kind, right, on) => {
                write!(f, "{left} {kind} ")?;
                match **right {
                    From::Join(..) => write!(f, "({right})")?,
                    _ => write!(f, "{right}")?,
                }
                match on {
                    Some(on) if on.template.starts_with("USING") => write!(f, " {on}"),
                    Some(on) => write!(f, " ON {on}"),
                    None => Ok(()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query() -> Query {
        let column = Expr::leaf(Ty::Int, "t.a");
        let sum = Expr::new(Ty::Int, "({} + {})", vec![column.clone(), Expr::leaf(Ty::Int, "1")]);
        let table = || Box::new(From::Table("t0".to_owned(), "t".to_owned()));
        let on = Expr::new(Ty::Bool, "({} = {})", vec![column.clone(), column.clone()]);
        Query::select(Select {
            is_distinct: true,
            distinct_on: None,
            items: vec![sum, column],
            from: Some(From::Join(table(), "LEFT JOIN", table(), Some(on))),
            filter: Some(Expr::leaf(Ty::Bool, "TRUE")),
            keys: Vec::new(),
            grouping: "{}",
            having: None,
        })
    }

    #[test]
    fn trees_print_as_sql() {
        assert_eq!(
            query().to_string(),
            "SELECT DISTINCT (t.a + 1) AS c0, t.a AS c1 FROM t0 AS t LEFT JOIN t0 AS t ON (t.a = t.a) WHERE TRUE"
        );
    }

    #[test]
    fn shrinking_ends() {
        let mut query = query();
        let mut steps = 0;
        while let Some(smaller) = query.shrinks().into_iter().find(|smaller| {
            smaller.to_string().len() < query.to_string().len() && smaller.to_string().contains("t.a")
        }) {
            query = smaller;
            steps += 1;
        }
        assert!(steps > 3);
        assert!(query.to_string().len() < 20, "{query}");
    }
}
