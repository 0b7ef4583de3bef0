//! A tree back to SQL, in one canonical form: a line, keywords in capitals, parentheses only where the tree needs them.
//! What is printed parses to the same tree.
//!
//! The printer follows a [`Walk`]: before a child it writes what its parent puts there, on entering a node what the node
//! begins with, on leaving it what it ends with. It keeps one bit of state, so depth costs nothing.

mod parens;

use std::fmt::{self, Formatter, Write};

use crate::keyword::{Category, Keyword};
use crate::node::{Node, NodeKind, Visit, Walk, flag};
use crate::parser::{FIRST_BOUND, ends};
use crate::views::type_name::{INTERVAL_FIELDS, INTERVAL_SHIFT};
use crate::views::{
    BinaryOp, CallForm, GroupingKind, IntoKind, IsTest, JoinKind, LikeKind, LockStrength, Materialized,
    SetOperator, UnaryOp,
};
use crate::{Form, Tree, words};
use parens::needs_parens;
pub(crate) use parens::{is_primary, is_simple};

impl fmt::Display for Tree<'_> {
    /// Writes the statement as canonical SQL, without a `;`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        print(self.root(), f)
    }
}

impl fmt::Display for Node<'_> {
    /// Writes the construct as canonical SQL.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        print(self, f)
    }
}

/// Prints `root` and what is under it. The siblings and parents of `root` do not matter.
fn print<'a>(root: &Node<'a>, f: &mut Formatter<'_>) -> fmt::Result {
    print_with(root, f, None)
}

/// The same; with the number of a parameter, that one and those after it stand for the literals.
pub(crate) fn print_with<'a>(root: &Node<'a>, f: &mut Formatter<'_>, parameter: Option<u64>) -> fmt::Result {
    let mut printer = Printer { f, is_first: true, is_open: false, parameter };
    printer.open(root)?;
    for child in root.children() {
        let mut walk = Walk::new(child);
        while let Some(visit) = walk.next() {
            match visit {
                Visit::Enter(node) if printer.replaces(node) => {
                    printer.replace(node)?;
                    walk.skip_children(node);
                }
                Visit::Enter(node) => printer.enter(node)?,
                Visit::Leave(node) => printer.leave(node)?,
            }
        }
    }
    printer.close(root)
}

struct Printer<'f, 'w> {
    f: &'f mut Formatter<'w>,
    /// Whether nothing was printed yet of the list that the innermost node has.
    is_first: bool,
    /// Whether the last words end with a parenthesis or the like that opens.
    is_open: bool,
    /// The number of the next parameter that stands for a literal, when literals are not printed.
    parameter: Option<u64>,
}

impl Printer<'_, '_> {
    // ---- literals that parameters stand for

    /// Whether a parameter stands for the literal in `node`.
    fn replaces(&self, node: &Node<'_>) -> bool {
        self.parameter.is_some() && node.kind() != NodeKind::TypedLiteral && is_replaceable(node)
    }

    fn replace<'a>(&mut self, node: &'a Node<'a>) -> fmt::Result {
        if let Some(parent) = node.parent() {
            self.before(parent, node)?;
        }
        self.next_parameter()
    }

    fn next_parameter(&mut self) -> fmt::Result {
        let number = self.parameter.unwrap_or(1);
        self.parameter = Some(number.saturating_add(1));
        write!(self.f, "${number}")
    }

    /// Whether the string of a literal with its type, `DATE '…'`, becomes a parameter that is cast.
    fn casts(&self, node: &Node<'_>) -> bool {
        self.parameter.is_some() && is_replaceable(node)
    }

    // ---- nodes

    fn enter<'a>(&mut self, node: &'a Node<'a>) -> fmt::Result {
        let Some(parent) = node.parent() else { return self.open(node) };
        self.before(parent, node)?;
        if needs_parens(parent, node) {
            self.word("(")?;
        }
        self.open(node)
    }

    fn leave<'a>(&mut self, node: &'a Node<'a>) -> fmt::Result {
        self.close(node)?;
        let Some(parent) = node.parent() else { return Ok(()) };
        if parent.kind() == NodeKind::Form && node.has(flag::PARENS) {
            self.word(")")?;
        }
        if needs_parens(parent, node) && !self.replaces(node) {
            self.word(")")?;
        }
        if !matches!(node.kind(), NodeKind::With | NodeKind::DistinctOn | NodeKind::Name)
            || is_value_list(parent)
        {
            self.is_first = false;
        }
        Ok(())
    }

    fn word(&mut self, word: &str) -> fmt::Result {
        self.f.write_str(word)
    }

    /// `first` before the first element of a list, `, ` before the others.
    fn list(&mut self, first: &str) -> fmt::Result {
        let separator = if self.is_first { first } else { ", " };
        self.word(separator)
    }

    // ---- between a parent and its child

    fn before<'a>(&mut self, parent: &'a Node<'a>, node: &'a Node<'a>) -> fmt::Result {
        use NodeKind as N;
        let index = place(parent, node);
        match (parent.kind(), node.kind()) {
            (N::Form, _) => self.before_part(parent, node),
            (N::List, _) => self.list(""),
            (N::Call, N::OrderBy) => Ok(()),
            (N::Call, N::Form) if clause_of(node).is_some() => self.call_clause(parent, node),
            (N::Call, _) if parent.has(flag::VARIADIC) && is_last_argument(node) => {
                self.call_word(parent, index)?;
                self.word("VARIADIC ")
            }
            (_, N::With | N::DistinctOn | N::Name) if !is_value_list(parent) => Ok(()),
            (_, N::From | N::Where | N::GroupBy | N::Having | N::OrderBy | N::Limit | N::Offset) => Ok(()),
            (_, N::Into | N::Windows | N::Locking) => Ok(()),
            (N::Select, N::Star) if parent.has(flag::KEYWORD) => Ok(()),
            (N::Select | N::Values | N::With | N::From | N::GroupBy | N::OrderBy, _) => self.list(" "),
            (N::SetOperation, _) => {
                if !self.is_first {
                    let operator = match SetOperator::from_code(parent.detail()) {
                        SetOperator::Union => " UNION ",
                        SetOperator::Intersect => " INTERSECT ",
                        SetOperator::Except => " EXCEPT ",
                    };
                    self.word(operator)?;
                    self.word(if parent.has(flag::ALL) { "ALL " } else { "" })?;
                }
                Ok(())
            }
            (N::Cte, N::ColumnDef) | (N::Alias, _) => self.list("("),
            (N::Cte, N::Form) if is_search(node) => {
                self.word(if is_first_search(parent, node) { ") " } else { " " })
            }
            (N::Table, N::Form) => self.word(" "),
            (N::Windows, _) => self.list(" "),
            (N::RowsFrom, N::Alias) => Ok(()),
            (N::RowsFrom, _) => self.list(""),
            (N::Cte, _) => {
                self.word(if self.is_first { " AS " } else { ") AS " })?;
                self.word(match Materialized::from_code(parent.detail()) {
                    Materialized::Default => "(",
                    Materialized::Yes => "MATERIALIZED (",
                    Materialized::No => "NOT MATERIALIZED (",
                })
            }
            (N::SortKey, N::ObjectName) if node.qualifier().is_some() => self.word(" USING OPERATOR("),
            (N::SortKey, N::ObjectName) => self.word(" USING "),
            (N::ColumnDef, N::Collate) => Ok(()),
            (N::ColumnDef, _) => self.word(" "),
            (N::Locking, _) => self.list(" OF "),
            (_, N::Alias | N::On | N::Using) => Ok(()),
            (N::Using, _) => self.list(" ("),
            (N::Join, _) => self.join(parent, index),
            (N::DistinctOn | N::Row | N::GroupingSet, _) => self.list(""),
            (N::Where | N::Having | N::Limit | N::Offset | N::On | N::Else | N::When, _) => {
                self.word(if parent.kind() == N::When && index == 1 { " THEN " } else { " " })
            }
            (N::Case, _) => self.word(" "),
            (N::Type, N::ArrayBound) => self.array_bound(parent, node),
            (N::Type, _) => self.list("("),
            (N::Array, _) => self.list(""),
            (N::NamedArgument, _) => self.word(" => "),
            (N::Slice, _) => {
                let is_high = index == 1 || parent.detail() & ends::LOW == 0;
                self.word(if is_high { ":" } else { "" })
            }
            (N::Call, _) => self.call_word(parent, index),
            _ => self.operator(parent, index),
        }
    }

    /// Between a form and a part of it.
    fn before_part<'a>(&mut self, form: &'a Node<'a>, part: &'a Node<'a>) -> fmt::Result {
        let is_start = self.is_first && form.name().is_empty();
        let is_joined = is_start
            || self.is_open
            || part.kind() == NodeKind::With
            || are_arguments(form, part)
            || (part.kind() == NodeKind::Words && words::joins(part.name()));
        self.is_open = false;
        self.word(if is_joined { "" } else { " " })?;
        self.word(if part.has(flag::PARENS) { "(" } else { "" })
    }

    /// The words of a form, or between its parts.
    fn words(&mut self, node: &Node<'_>) -> fmt::Result {
        self.is_open = words::print(self.f, node.name())?;
        Ok(())
    }

    /// The words before an operand of an operator.
    fn operator(&mut self, parent: &Node<'_>, index: usize) -> fmt::Result {
        let not = if parent.has(flag::NOT) { " NOT" } else { "" };
        match (parent.kind(), index) {
            (NodeKind::And, 1..) => self.word(" AND "),
            (NodeKind::Or, 1..) => self.word(" OR "),
            (NodeKind::Binary, 1) if has_operator_name(parent) => self.word(" "),
            (NodeKind::Binary, 2) => self.word(" "),
            (NodeKind::Binary, 1) => write!(self.f, " {} ", binary_text(parent)),
            (NodeKind::Unary, 1) => self.word(" "),
            (NodeKind::QuantifiedArray | NodeKind::QuantifiedQuery, 1) if has_operator_name(parent) => {
                self.word(" ")
            }
            (NodeKind::QuantifiedArray | NodeKind::QuantifiedQuery, 1..) => self.quantifier(parent),
            (NodeKind::Overlaps, 1) => self.word(" OVERLAPS "),
            (NodeKind::Between, 1) => {
                let symmetric = if parent.has(flag::SYMMETRIC) { " SYMMETRIC" } else { "" };
                write!(self.f, "{not} BETWEEN{symmetric} ")
            }
            (NodeKind::Between, 2) => self.word(" AND "),
            (NodeKind::InList | NodeKind::InQuery, 1) => write!(self.f, "{not} IN ("),
            (NodeKind::InList, 2..) => self.word(", "),
            (NodeKind::Like, 1) => write!(self.f, "{not} {} ", LikeKind::from_code(parent.detail()).words()),
            (NodeKind::Like, 2) => self.word(" ESCAPE "),
            (NodeKind::DistinctFrom, 1) => write!(self.f, " IS{not} DISTINCT FROM "),
            (NodeKind::AtTimeZone, 1) => self.word(" AT TIME ZONE "),
            (NodeKind::Cast | NodeKind::Treat, 1) => self.word(" AS "),
            _ => Ok(()),
        }
    }

    /// The operator, unless it was printed as a node, and the word up to the parenthesis.
    fn quantifier(&mut self, node: &Node<'_>) -> fmt::Result {
        if node.has(flag::LIKE) {
            let not = if node.has(flag::NOT) { " NOT" } else { "" };
            write!(self.f, "{not} {}", LikeKind::from_code(node.detail()).words())?;
        } else if !has_operator_name(node) {
            write!(self.f, " {}", binary_text(node))?;
        }
        self.word(if node.has(flag::ALL) { " ALL (" } else { " ANY (" })
    }

    fn join(&mut self, join: &Node<'_>, index: usize) -> fmt::Result {
        if index != 1 {
            return Ok(());
        }
        let natural = if join.has(flag::NATURAL) { " NATURAL" } else { "" };
        let words = match JoinKind::from_code(join.detail()) {
            JoinKind::Inner => "JOIN",
            JoinKind::Left => "LEFT JOIN",
            JoinKind::Right => "RIGHT JOIN",
            JoinKind::Full => "FULL JOIN",
            JoinKind::Cross => "CROSS JOIN",
        };
        write!(self.f, "{natural} {words} ")
    }

    /// The words before an argument; the opening parenthesis comes with the name.
    fn call_word(&mut self, call: &Node<'_>, index: usize) -> fmt::Result {
        let from_after = |count| if index == count { " FROM " } else { ", " };
        let word = match CallForm::from_code(call.detail()) {
            _ if self.is_first => "",
            CallForm::Plain => ", ",
            CallForm::SubstringFrom if index == 1 => " FROM ",
            CallForm::SubstringForFrom if index == 2 => " FROM ",
            CallForm::SubstringFrom | CallForm::SubstringFor | CallForm::SubstringForFrom => " FOR ",
            CallForm::SubstringSimilar => {
                if index == 1 {
                    " SIMILAR "
                } else {
                    " ESCAPE "
                }
            }
            CallForm::NormalizeNfc
            | CallForm::NormalizeNfd
            | CallForm::NormalizeNfkc
            | CallForm::NormalizeNfkd => ", ",
            CallForm::Position => " IN ",
            CallForm::TrimBoth | CallForm::TrimLeading | CallForm::TrimTrailing
                if call.has(flag::OPERAND) =>
            {
                from_after(1)
            }
            CallForm::TrimBoth | CallForm::TrimLeading | CallForm::TrimTrailing => ", ",
            CallForm::Overlay => match index {
                1 => " PLACING ",
                2 => " FROM ",
                _ => " FOR ",
            },
        };
        self.word(word)
    }

    /// Before a clause of a call that the grammar declares; the `)` of the call comes before the first that follows it.
    fn call_clause(&mut self, call: &Node<'_>, clause: &Node<'_>) -> fmt::Result {
        let earlier = match clause_of(clause) {
            Some(flag::OPTIONS) => return self.word(if self.is_first { "" } else { " " }),
            Some(flag::WINDOWED) => flag::WITHIN | flag::FILTERED,
            Some(flag::FILTERED) => flag::WITHIN,
            _ => 0,
        };
        self.word(if call.has(earlier) { " " } else { ") " })
    }

    // ---- the beginning of a node

    fn open(&mut self, node: &Node<'_>) -> fmt::Result {
        use NodeKind as N;
        let result = match node.kind() {
            N::Select | N::Values | N::SetOperation => {
                self.word(if node.has(flag::LOCKED_OUTSIDE) { "(" } else { "" })?;
                if starts_with(node, N::With) { Ok(()) } else { self.open_query(node) }
            }
            N::With => self.word(if node.has(flag::RECURSIVE) { "WITH RECURSIVE" } else { "WITH" }),
            N::DistinctOn => self.word(" ON ("),
            N::Star => self.star(node),
            N::Into => self.made_table(node),
            N::From => self.word(if is_table_query(node.parent()) { "" } else { " FROM" }),
            N::Where => self.word(" WHERE"),
            N::GroupBy if node.has(flag::DISTINCT) => self.word(" GROUP BY DISTINCT"),
            N::GroupBy if node.has(flag::ALL) => self.word(" GROUP BY ALL"),
            N::GroupBy => self.word(" GROUP BY"),
            N::GroupingSet => self.word(match GroupingKind::from_code(node.detail()) {
                GroupingKind::Empty => "(",
                GroupingKind::Rollup => "ROLLUP (",
                GroupingKind::Cube => "CUBE (",
                GroupingKind::Sets => "GROUPING SETS (",
            }),
            N::Having => self.word(" HAVING"),
            N::Windows => self.word(" WINDOW"),
            N::OrderBy => self.word(" ORDER BY"),
            N::Limit if node.has(flag::TIES) => self.word(" FETCH FIRST"),
            N::Limit => self.word(" LIMIT"),
            N::Locking => {
                self.word(if node.has(flag::FIRST_OUTSIDE) { ")" } else { "" })?;
                self.word(match LockStrength::from_code(node.detail()) {
                    LockStrength::Update => " FOR UPDATE",
                    LockStrength::NoKeyUpdate => " FOR NO KEY UPDATE",
                    LockStrength::Share => " FOR SHARE",
                    LockStrength::KeyShare => " FOR KEY SHARE",
                })
            }
            N::Offset => self.word(" OFFSET"),
            N::Using => self.word(" USING"),
            N::On => self.word(" ON"),
            N::Alias => self.open_alias(node),
            N::File | N::String => self.string(node.name()),
            N::Derived if node.has(flag::LATERAL) => self.word("LATERAL ("),
            N::RowsFrom if node.has(flag::LATERAL) => self.word("LATERAL ROWS FROM ("),
            N::RowsFrom => self.word("ROWS FROM ("),
            N::TableFunction => self.word(if node.has(flag::LATERAL) { "LATERAL " } else { "" }),
            N::Derived | N::Exists | N::Subquery => {
                self.word(if node.kind() == N::Exists { "EXISTS (" } else { "(" })
            }
            N::Join => self.word(if node.child_of_kind(N::Alias).is_some() { "(" } else { "" }),
            N::Form if starts_with(node, N::With) => Ok(()),
            N::Form | N::Words => self.words(node),
            N::ObjectName if node.parent().is_some_and(has_operator_name) => {
                self.word("OPERATOR(")?;
                self.name(node)?;
                self.word(")")
            }
            N::Table if node.has(flag::ONLY) => self.word("ONLY ").and_then(|()| self.name(node)),
            N::Table | N::Column | N::Cte | N::ColumnDef | N::ObjectName | N::Target => self.name(node),
            N::NamedArgument => write!(self.f, "{}", Quoted(node.name())),
            N::Field => write!(self.f, ".{}", Quoted(node.name())),
            N::Name => match node.parent() {
                Some(parent) if !is_value_list(parent) => Ok(()),
                _ if node.has(flag::KEYWORD) => self.capitals(node.name()),
                _ => write!(self.f, "{}", Quoted(node.name())),
            },
            N::Type => self.open_type(node),
            N::Call => self.open_call(node),
            _ => self.open_expr(node),
        };
        self.is_first = true;
        result
    }

    fn open_expr(&mut self, node: &Node<'_>) -> fmt::Result {
        use NodeKind as N;
        match node.kind() {
            N::TypedLiteral if self.casts(node) => {
                self.word("CAST(")?;
                self.next_parameter()?;
                self.word(" AS ")
            }
            N::Null => self.word("NULL"),
            N::Boolean => self.word(if node.has(flag::TRUE) { "TRUE" } else { "FALSE" }),
            N::Integer | N::Number => self.word(node.name()),
            N::BitString => {
                self.word(if node.detail() == 1 { "X" } else { "B" })?;
                self.string(node.name())
            }
            N::Parameter => write!(self.f, "${}", node.name()),
            N::Unary => match UnaryOp::from_code(node.detail()) {
                UnaryOp::Minus => self.word("-"),
                UnaryOp::Plus => self.word("+"),
                UnaryOp::Other if has_operator_name(node) => Ok(()),
                UnaryOp::Other => write!(self.f, "{} ", node.name()),
            },
            N::Not => self.word("NOT "),
            N::Case => self.word("CASE"),
            N::When => self.word("WHEN"),
            N::Else => self.word("ELSE"),
            N::Cast => self.word("CAST("),
            N::Treat => self.word("TREAT("),
            N::Default => self.word("DEFAULT"),
            N::AllFields => self.word(".*"),
            N::Subscript | N::Slice => self.word("["),
            N::Array => self.word(if node.has(flag::BARE) { "[" } else { "ARRAY[" }),
            N::ArrayQuery => self.word("ARRAY("),
            N::Extract => {
                self.word("EXTRACT(")?;
                self.extract_field(node.name())?;
                self.word(" FROM ")
            }
            N::Row => self.word(if node.has(flag::EXPLICIT) { "ROW(" } else { "(" }),
            _ => Ok(()),
        }
    }

    /// The field of an `EXTRACT`: a keyword can be one only where it is one of six.
    fn extract_field(&mut self, field: &str) -> fmt::Result {
        const WORDS: [&str; 6] = ["year", "month", "day", "hour", "minute", "second"];
        let is_word = is_plain(field) && Keyword::find(field).is_none_or(|_| WORDS.contains(&field));
        if is_word { self.word(field) } else { self.string(field) }
    }

    /// A bound of an array type, after those that have no size.
    fn array_bound(&mut self, type_name: &Node<'_>, bound: &Node<'_>) -> fmt::Result {
        if bound.detail() == FIRST_BOUND {
            self.end_type_words(type_name)?;
        }
        write!(self.f, "[{}]", bound.name())
    }

    /// The name after a table, with what stands between them.
    fn open_alias(&mut self, node: &Node<'_>) -> fmt::Result {
        let table = node.parent();
        match table.map(Node::kind) {
            // A query or a join in parentheses is closed before its alias.
            Some(NodeKind::Derived | NodeKind::Join) => self.word(")")?,
            Some(NodeKind::RowsFrom) => self.word(")").and_then(|()| self.ordinality(table))?,
            Some(NodeKind::TableFunction) => self.ordinality(table)?,
            _ => {}
        }
        self.word(" AS ")?;
        if node.name().is_empty() { Ok(()) } else { write!(self.f, "{}", Quoted(node.name())) }
    }

    fn ordinality(&mut self, function: Option<&Node<'_>>) -> fmt::Result {
        let has_it = function.is_some_and(|function| function.has(flag::ORDINALITY));
        self.word(if has_it { " WITH ORDINALITY" } else { "" })
    }

    fn made_table(&mut self, node: &Node<'_>) -> fmt::Result {
        self.word(match IntoKind::from_code(node.detail()) {
            IntoKind::Plain => " INTO ",
            IntoKind::Temporary => " INTO TEMPORARY ",
            IntoKind::Unlogged => " INTO UNLOGGED ",
        })?;
        self.name(node)
    }

    fn open_query(&mut self, node: &Node<'_>) -> fmt::Result {
        self.is_first = true;
        match node.kind() {
            NodeKind::Select if node.has(flag::DISTINCT) => self.word("SELECT DISTINCT"),
            NodeKind::Select if node.has(flag::KEYWORD) => self.word("TABLE"),
            NodeKind::Select => self.word("SELECT"),
            NodeKind::Values => self.word("VALUES"),
            _ => Ok(()),
        }
    }

    fn open_call(&mut self, node: &Node<'_>) -> fmt::Result {
        if node.has(flag::KEYWORD) {
            self.capitals(node.name())?;
        } else if matches!(node.name(), "rollup" | "cube" | "operator") && node.qualifier().is_none() {
            // Without quotes these words begin grouping sets, or an operator.
            write!(self.f, "\"{}\"", node.name())?;
        } else {
            self.name(node)?;
        }
        if node.has(flag::BARE) {
            return self.word(if node.first_child().is_some() { "(" } else { "" });
        }
        self.word("(")?;
        self.word(if node.has(flag::DISTINCT) { "DISTINCT " } else { "" })?;
        self.word(if node.has(flag::STAR) { "*" } else { "" })?;
        let side = match CallForm::from_code(node.detail()) {
            CallForm::TrimBoth => "BOTH ",
            CallForm::TrimLeading => "LEADING ",
            CallForm::TrimTrailing => "TRAILING ",
            _ => return Ok(()),
        };
        self.word(side)?;
        self.word(if node.has(flag::EXPLICIT) { "FROM " } else { "" })
    }

    /// The name of a type up to its modifiers.
    fn open_type(&mut self, node: &Node<'_>) -> fmt::Result {
        self.word(if node.has(flag::SETOF) { "SETOF " } else { "" })?;
        if !node.has(flag::KEYWORD) {
            return self.name(node);
        }
        self.word(type_words(node.name()).0)?;
        match (fields_of(node), node.parent()) {
            ("", _) => Ok(()),
            (fields, Some(literal)) if literal.kind() == NodeKind::TypedLiteral && !self.casts(literal) => {
                self.word(" ")?;
                self.string(literal.name())?;
                write!(self.f, " {fields}")
            }
            (fields, _) => write!(self.f, " {fields}"),
        }
    }

    // ---- the end of a node

    fn close<'a>(&mut self, node: &Node<'a>) -> fmt::Result {
        use NodeKind as N;
        match node.kind() {
            N::With => {
                self.word(" ")?;
                match node.parent() {
                    Some(form) if form.kind() == N::Form => self.words(form),
                    Some(query) => self.open_query(query),
                    None => Ok(()),
                }
            }
            N::DistinctOn => {
                self.is_first = true;
                self.word(")")
            }
            N::Aliased => write!(self.f, " AS {}", Quoted(node.name())),
            N::Select | N::Values | N::SetOperation if node.has(flag::READ_ONLY) => {
                self.word(" FOR READ ONLY")
            }
            N::SortKey => {
                let operator = node.children().nth(1);
                let has_parens = operator.is_some_and(|operator| operator.qualifier().is_some());
                self.word(if has_parens { ")" } else { "" })?;
                self.sort_words(node)
            }
            N::Locking if node.has(flag::NOWAIT) => self.word(" NOWAIT"),
            N::Locking if node.has(flag::SKIP_LOCKED) => self.word(" SKIP LOCKED"),
            N::GroupingSet => self.word(")"),
            N::RowsFrom if node.child_of_kind(N::Alias).is_none() => {
                self.word(")").and_then(|()| self.ordinality(Some(node)))
            }
            N::TableFunction if node.child_of_kind(N::Alias).is_none() => self.ordinality(Some(node)),
            N::Limit if node.has(flag::TIES) => self.word(" ROWS WITH TIES"),
            N::Using if !node.name().is_empty() => write!(self.f, ") AS {}", Quoted(node.name())),
            N::Limit if node.first_child().is_none() => self.word(" ALL"),
            N::Alias | N::Using if node.first_child().is_some() => self.word(")"),
            N::Cte if node.children().any(is_search) => Ok(()),
            N::Cte | N::InList | N::InQuery | N::Cast | N::Extract | N::Exists | N::Subquery | N::Row => {
                self.word(")")
            }
            N::Treat | N::ArrayQuery | N::QuantifiedArray | N::QuantifiedQuery => self.word(")"),
            N::Array | N::Subscript => self.word("]"),
            N::Slice => self.word(if node.detail() & ends::HIGH == 0 { ":]" } else { "]" }),
            N::Derived if node.child_of_kind(N::Alias).is_none() => self.word(")"),
            N::Case => self.word(" END"),
            N::Type => self.close_type(node),
            N::TypedLiteral => self.close_typed_literal(node),
            N::Call => {
                let form = match CallForm::from_code(node.detail()) {
                    CallForm::NormalizeNfc => ", NFC",
                    CallForm::NormalizeNfd => ", NFD",
                    CallForm::NormalizeNfkc => ", NFKC",
                    CallForm::NormalizeNfkd => ", NFKD",
                    _ => "",
                };
                self.word(form)?;
                let has_clauses = node.has(flag::WITHIN | flag::FILTERED | flag::WINDOWED);
                let is_open = (!node.has(flag::BARE) || node.first_child().is_some()) && !has_clauses;
                self.word(if is_open { ")" } else { "" })
            }
            N::Collate => {
                self.word(" COLLATE ")?;
                self.name(node)
            }
            N::AtTimeZone if node.children_count() == 1 => self.word(" AT LOCAL"),
            N::Is => {
                let not = if node.has(flag::NOT) { " NOT" } else { "" };
                let test = IsTest::from_code(node.detail()).words();
                let keys = match IsTest::from_code(node.detail()) {
                    _ if node.has(flag::UNIQUE_KEYS) => " WITH UNIQUE KEYS",
                    // Without these words it could take the `WITH` of what it stands in.
                    IsTest::Json | IsTest::JsonArray | IsTest::JsonObject | IsTest::JsonScalar => {
                        " WITHOUT UNIQUE KEYS"
                    }
                    _ => "",
                };
                write!(self.f, " IS{not} {test}{keys}")
            }
            _ => Ok(()),
        }
    }

    fn sort_words(&mut self, node: &Node<'_>) -> fmt::Result {
        let words = [
            (flag::ASCENDING, " ASC"),
            (flag::DESCENDING, " DESC"),
            (flag::NULLS_FIRST, " NULLS FIRST"),
            (flag::NULLS_LAST, " NULLS LAST"),
        ];
        words.iter().filter(|(bit, _)| node.has(*bit)).try_for_each(|(_, words)| self.word(words))
    }

    fn close_type(&mut self, node: &Node<'_>) -> fmt::Result {
        if node.child_of_kind(NodeKind::ArrayBound).is_some() {
            return Ok(());
        }
        self.end_type_words(node)
    }

    /// What stands between the modifiers of a type and the bounds that have a size.
    fn end_type_words(&mut self, node: &Node<'_>) -> fmt::Result {
        let is_modifier = |child: &Node<'_>| !matches!(child.kind(), NodeKind::Name | NodeKind::ArrayBound);
        let has_modifiers = node.children().any(is_modifier);
        self.word(if has_modifiers { ")" } else { "" })?;
        if node.has(flag::KEYWORD) {
            self.word(type_words(node.name()).1)?;
        }
        self.word(if node.has(flag::COLUMN_TYPE) { "%TYPE" } else { "" })?;
        (0..node.detail()).try_for_each(|_| self.word("[]"))
    }

    fn close_typed_literal(&mut self, node: &Node<'_>) -> fmt::Result {
        if self.casts(node) {
            return self.word(")");
        }
        let is_printed = node.first_child().is_some_and(|type_name| !fields_of(type_name).is_empty());
        if is_printed {
            return Ok(());
        }
        self.word(" ")?;
        self.string(node.name())
    }

    // ---- names and strings

    /// The name of a node with all its qualifiers.
    fn name(&mut self, node: &Node<'_>) -> fmt::Result {
        for outer in node.children().take_while(|child| child.kind() == NodeKind::Name) {
            write!(self.f, "{}.", Quoted(outer.name()))?;
        }
        if let Some(qualifier) = node.qualifier() {
            write!(self.f, "{}.", Quoted(qualifier))?;
        }
        if node.kind() == NodeKind::ObjectName && node.has(flag::OPERATOR) {
            return self.word(node.name());
        }
        write!(self.f, "{}", Quoted(node.name()))
    }

    fn star(&mut self, node: &Node<'_>) -> fmt::Result {
        if is_table_query(node.parent()) {
            return Ok(());
        }
        for outer in node.children() {
            write!(self.f, "{}.", Quoted(outer.name()))?;
        }
        if let Some(qualifier) = node.qualifier() {
            write!(self.f, "{}.", Quoted(qualifier))?;
        }
        self.word("*")
    }

    fn string(&mut self, text: &str) -> fmt::Result {
        self.f.write_char('\'')?;
        escaped(self.f, text, '\'')?;
        self.f.write_char('\'')
    }

    fn capitals(&mut self, word: &str) -> fmt::Result {
        word.chars().try_for_each(|letter| self.f.write_char(letter.to_ascii_uppercase()))
    }
}

/// Writes `text` with each quote doubled.
fn escaped(f: &mut Formatter<'_>, text: &str, quote: char) -> fmt::Result {
    for (index, piece) in text.split(quote).enumerate() {
        if index > 0 {
            f.write_char(quote)?;
            f.write_char(quote)?;
        }
        f.write_str(piece)?;
    }
    Ok(())
}

/// A name, in quotes where it needs them.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if is_plain(self.0) {
            return f.write_str(self.0);
        }
        f.write_char('"')?;
        escaped(f, self.0, '"')?;
        f.write_char('"')
    }
}

/// Whether a name is safe without quotes everywhere: small letters, digits and `_`, and at most an unreserved keyword.
fn is_plain(name: &str) -> bool {
    let is_word = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    let starts_well = !name.is_empty() && !name.as_bytes().first().is_some_and(u8::is_ascii_digit);
    is_word
        && starts_well
        && Keyword::find(name).is_none_or(|keyword| keyword.category() == Category::Unreserved)
}

/// Whether it is what stands in parentheses right after the name of a function or an operator.
fn are_arguments<'a>(form: &'a Node<'a>, part: &'a Node<'a>) -> bool {
    use Form::{
        AggregateSignature, CreateAggregate, CreateFunction, CreateProcedure, OperatorSignature, Signature,
    };
    let opens = part.has(flag::PARENS) || (part.kind() == NodeKind::Words && part.name().starts_with('('));
    let has_arguments = matches!(
        form.form(),
        Some(
            AggregateSignature
                | CreateAggregate
                | CreateFunction
                | CreateProcedure
                | OperatorSignature
                | Signature
        )
    );
    opens && has_arguments && place(form, part) == 1
}

/// Whether the children of kind `Name` are values of their own and not parts of their parent's name.
fn is_value_list(parent: &Node<'_>) -> bool {
    matches!(parent.kind(), NodeKind::Form | NodeKind::List)
}

/// Whether it is a `TABLE t`, whose star and `FROM` are not written.
fn is_table_query(node: Option<&Node<'_>>) -> bool {
    node.is_some_and(|node| node.kind() == NodeKind::Select && node.has(flag::KEYWORD))
}

/// Whether it is what follows the parentheses of a named query.
fn is_search(node: &Node<'_>) -> bool {
    matches!(node.form(), Some(Form::Search | Form::Cycle))
}

/// Whether it is the first after the parentheses of a named query.
fn is_first_search(cte: &Node<'_>, form: &Node<'_>) -> bool {
    cte.children().find(|child| is_search(child)).is_some_and(|first| std::ptr::addr_eq(first, form))
}

fn starts_with(node: &Node<'_>, kind: NodeKind) -> bool {
    node.first_child().is_some_and(|child| child.kind() == kind)
}

/// The index of `node` among its parent's children, 4 for all from the fifth on.
fn place<'a>(parent: &'a Node<'a>, node: &'a Node<'a>) -> usize {
    parent.children().take(4).position(|child| std::ptr::eq(child, node)).unwrap_or(4)
}

/// The words of a type that the grammar knows, before and after its modifiers.
fn type_words(name: &str) -> (&str, &str) {
    const ZONE: &str = " with time zone";
    match name.strip_suffix(ZONE) {
        Some(head) => (head, ZONE),
        None => (name, ""),
    }
}

fn fields_of(node: &Node<'_>) -> &'static str {
    let code = (node.flags() >> INTERVAL_SHIFT) & 0xF;
    INTERVAL_FIELDS.get(usize::from(code)).copied().unwrap_or("")
}

/// Whether an operator is written as `OPERATOR(schema.+)`.
fn has_operator_name(node: &Node<'_>) -> bool {
    use NodeKind::{Binary, ObjectName, QuantifiedArray, QuantifiedQuery, Unary};
    let place = match node.kind() {
        Unary => 0,
        Binary | QuantifiedArray | QuantifiedQuery => 1,
        _ => return false,
    };
    node.child(place).is_some_and(|child| child.kind() == ObjectName)
}

/// Whether `node` is the last argument of its call.
fn is_last_argument(node: &Node<'_>) -> bool {
    node.next_sibling().is_none_or(|next| next.kind() == NodeKind::OrderBy || clause_of(next).is_some())
}

/// The flag of a call that has this clause, when the form is one.
fn clause_of(node: &Node<'_>) -> Option<u16> {
    match node.form()? {
        Form::JsonOptions => Some(flag::OPTIONS),
        Form::WithinGroup => Some(flag::WITHIN),
        Form::Filter => Some(flag::FILTERED),
        Form::Over => Some(flag::WINDOWED),
        _ => None,
    }
}

fn binary_text<'a>(node: &Node<'a>) -> &'a str {
    match BinaryOp::from_code(node.detail()) {
        BinaryOp::Other => node.name(),
        op => op.symbol(),
    }
}

/// Whether a parameter can stand for what `node` is: it is a literal, and where it stands PostgreSQL's grammar does not
/// have just constants. A sign belongs to its number.
fn is_replaceable(node: &Node<'_>) -> bool {
    use NodeKind as N;
    let parent = node.parent();
    let has_sign = parent.is_some_and(is_minus);
    let is_literal = match node.kind() {
        N::Null | N::Boolean | N::BitString | N::TypedLiteral => true,
        N::String => !node.has(flag::PLAIN),
        N::Integer | N::Number => !node.has(flag::PLAIN) && !has_sign,
        N::Unary => is_minus(node) && !has_sign && is_signed_number(node),
        _ => false,
    };
    is_literal
        && parent.is_none_or(|parent| match parent.kind() {
            N::Type => false,
            N::Call => !parent.has(flag::BARE),
            N::Form => !matches!(parent.form(), Some(Form::Constant | Form::JsonTable)),
            _ => true,
        })
}

fn is_minus(node: &Node<'_>) -> bool {
    node.kind() == NodeKind::Unary && UnaryOp::from_code(node.detail()) == UnaryOp::Minus
}

/// Whether there is a number behind one or more signs.
fn is_signed_number(node: &Node<'_>) -> bool {
    let mut operand = node.first_child();
    while let Some(inner) = operand.filter(|inner| is_minus(inner)) {
        operand = inner.first_child();
    }
    operand.is_some_and(|inner| matches!(inner.kind(), NodeKind::Integer | NodeKind::Number))
}
