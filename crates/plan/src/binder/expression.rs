//! Binds expressions: names to columns, literals to values, operators and calls to typed nodes.
//!
//! The tree of the statement is walked along its own links, and bound operands wait on a stack in the arena until the
//! node above them is left, so depth costs memory and never native stack:
//!
//! ```text
//! a + 1 * b        leave a: push    leave 1: push    leave b: push    leave *: pop 2, push    leave +: pop 2, push
//! ```
//!
//! What is not computed for a row alone becomes a column of its own: an aggregate, a window function, a set-returning
//! function, a query. The select that is bound keeps the list of these and puts them below what reads the column.

use std::ops::Range;

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_sql::views::{self, IsTest, LikeKind};
use cofferdam_sql::{Form, Node, NodeKind, Visit, Walk};
use cofferdam_types::{Type, Value};

use super::aggregate::aggregate_named;
use super::build::{Builder, undefined_operator};
use super::scope::{ColumnName, Scope};
use super::whole_row::RowCall;
use super::{Binder, functions, literal, type_name};
use crate::Span;
use crate::error::{AggregatePlace, CallProblem, CountProblem, Error, NameProblem};
use crate::expr::{BinaryOp, Expr, ExprKind, Function, UnaryOp};
use crate::logical::LogicalKind;
use crate::parameter::Parameters;

/// Where an expression stands, and so what it may use.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The clause, as errors call it.
    pub(super) clause: &'static str,
    /// Which tables of the innermost scope are visible.
    pub(super) visible: Range<u32>,
    /// What it may use beside columns.
    pub(super) allows: Allows,
}

/// What an expression may use beside columns and functions of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Allows {
    /// Aggregates: it is computed after grouping.
    pub(super) aggregates: bool,
    /// Window functions.
    pub(super) windows: bool,
    /// Set-returning functions.
    pub(super) sets: bool,
    /// Queries.
    pub(super) queries: bool,
}

impl Place {
    /// A clause that may use columns of these tables and queries.
    pub(super) fn of_rows(clause: &'static str, visible: Range<u32>) -> Place {
        Place { clause, visible, allows: Allows { queries: true, ..Allows::default() } }
    }

    /// A clause that may use columns of these tables and nothing else.
    pub(super) fn of_columns(clause: &'static str, visible: Range<u32>) -> Place {
        Place { clause, visible, allows: Allows::default() }
    }
}

/// Operands that are bound and wait for the node above them.
type Operands<'s, 'a> = Vec<'s, &'a Expr<'a>>;

/// What the walk over one expression keeps, to be used for the next one: the operands, and the joins of a [`Position`].
pub(super) type Stacks<'s, 'a> = (Operands<'s, 'a>, Vec<'s, usize>);

/// The walk over one expression.
struct Position<'p, 's> {
    place: &'p Place,
    /// Whether the node that is left is the whole expression.
    is_root: bool,
    /// How many joins of the select have waited when an operand was bound, for each that waits.
    joins: Vec<'s, usize>,
    /// How many had waited before the first.
    joins_before: usize,
    /// How many aggregates it is inside of.
    in_aggregates: u32,
    /// How many of these are sums and means.
    in_sums: u32,
    /// How many window functions.
    in_windows: u32,
}

impl<'s, 'a> Binder<'s, 'a, '_> {
    /// The typed form of an expression. A bare NULL or quoted literal stays of unknown type.
    ///
    /// # Errors
    /// Whatever is wrong with it, with its place; `OutOfMemory` when it is too deep for the budget.
    pub(super) fn bind_expr<'q: 'a>(
        &mut self,
        place: &Place,
        expr: views::Expr<'q>,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let bound = self.bind_row(place, expr)?;
        match bound.kind {
            ExprKind::Row(_) => Err(Error::NotSupported { what: "a row value", span: bound.span }),
            _ => Ok(bound),
        }
    }

    /// The typed form of an expression that may be a row.
    pub(super) fn bind_row<'q: 'a>(
        &mut self,
        place: &Place,
        expr: views::Expr<'q>,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        // Long lists of VALUES are made of these, and need no stack.
        if let views::Expr::Literal(literal) = expr {
            return literal::bind(self.build(), literal);
        }
        let scratch = self.scratch;
        let new = || (Vec::new_in(scratch), Vec::new_in(scratch));
        let (mut done, joins): Stacks<'s, 'a> = self.stacks.take().unwrap_or_else(new);
        let joins_before = self.block().pending.len();
        let mut position = Position {
            place,
            is_root: false,
            joins,
            joins_before,
            in_aggregates: 0,
            in_sums: 0,
            in_windows: 0,
        };
        let mut walk = Walk::new(expr.node());
        while let Some(visit) = walk.next() {
            match visit {
                Visit::Enter(node) => {
                    if !self.enter_node(node, &mut position)? {
                        walk.skip_children(node);
                    }
                }
                Visit::Leave(node) => {
                    position.is_root = std::ptr::eq(node, expr.node());
                    self.leave_node(node, &mut position, &mut done)?;
                    position.joins.truncate(done.len().saturating_sub(1));
                    if !done.is_empty() {
                        position.joins.push(self.block().pending.len())?;
                    }
                }
            }
        }
        let bound = done.pop().expect("leaving the root pushes it");
        position.joins.clear();
        self.stacks = Some((done, position.joins));
        Ok(bound)
    }

    /// The typed form of a condition.
    pub(super) fn bind_condition<'q: 'a>(
        &mut self,
        place: &Place,
        expr: views::Expr<'q>,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let condition = self.bind_expr(place, expr)?;
        self.build().coerce(condition, Type::Boolean, place.clause)
    }

    /// The typed form of an expression over one scope alone, for what is no part of a query.
    pub(super) fn bind_alone<'q: 'a>(
        arena: &'a Arena,
        scratch: &'s Arena,
        scope: Scope<'s, 'a>,
        clause: &'static str,
        expr: views::Expr<'q>,
        parameters: Parameters<'a>,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        if let views::Expr::Literal(literal) = expr {
            return literal::bind(Builder::new(arena, parameters), literal);
        }
        let visible = 0..scope.relations.len() as u32;
        let mut binder = Binder::new(&crate::EmptyCatalog, parameters, arena, scratch);
        binder.push_block(scope)?;
        binder.bind_expr(&Place::of_columns(clause, visible), expr)
    }

    /// Before the children of a node: whether they are expressions of this select.
    fn enter_node<'q: 'a>(
        &mut self,
        node: &'q Node<'q>,
        position: &mut Position<'_, '_>,
    ) -> Result<bool, Error<'a>> {
        let unsupported = |what| Err(Error::NotSupported { what, span: node.span() });
        match node.kind() {
            NodeKind::Type | NodeKind::Name | NodeKind::TypedLiteral => Ok(false),
            // Bound when the expression around it is left.
            NodeKind::Select | NodeKind::Values | NodeKind::SetOperation => Ok(false),
            // Order, filter and window of a call are bound with the call.
            NodeKind::OrderBy => Ok(false),
            NodeKind::Default => Err(Error::MisplacedDefault { span: node.span() }),
            NodeKind::Treat => unsupported("TREAT"),
            NodeKind::ObjectName => unsupported("an operator with a schema"),
            NodeKind::Indirection => {
                let views::Expr::Indirection(indirection) = views::Expr::of(node) else { return Ok(true) };
                let is_field = |selection| {
                    !matches!(selection, views::Selection::Index(_) | views::Selection::Slice { .. })
                };
                match indirection.selections().filter(|selection| is_field(*selection)).count() {
                    0 => Ok(true),
                    _ if matches!(indirection.selections().next(), Some(views::Selection::Field(_)))
                        && indirection.selections().count() == 1 =>
                    {
                        Ok(true)
                    }
                    _ => unsupported("a field of a value"),
                }
            }
            NodeKind::Form => match node.form() {
                Some(Form::Over | Form::Filter | Form::WithinGroup) => Ok(false),
                form => unsupported(form.map_or("this form of expression", Form::name)),
            },
            NodeKind::Call => {
                let call = views::Call::of(node).expect("the kind was looked at");
                if call.is_variadic() {
                    return unsupported("VARIADIC");
                }
                position.in_windows += u32::from(call.over().is_some());
                let is_aggregate = call.over().is_none() && aggregate_named(call);
                position.in_aggregates += u32::from(is_aggregate);
                position.in_sums += u32::from(is_aggregate && is_sum(call));
                Ok(true)
            }
            _ => Ok(true),
        }
    }

    /// After the children of a node: takes their results and leaves its own.
    fn leave_node<'q: 'a>(
        &mut self,
        node: &'q Node<'q>,
        position: &mut Position<'_, '_>,
        done: &mut Operands<'_, 'a>,
    ) -> Result<(), Error<'a>> {
        let span = node.span();
        let build = Builder { is_aggregated: position.in_sums > 0, ..self.build() };
        let result = match views::Expr::of(node) {
            views::Expr::Column(column) => {
                let found = self.column(column, position.place)?;
                if matches!(found.kind, ExprKind::Row(_)) && !takes_whole_row(node, position.is_root) {
                    return Err(Error::NotSupported { what: "a row value", span });
                }
                found
            }
            views::Expr::TableRow(row) => {
                if !takes_whole_row(node, position.is_root) {
                    return Err(Error::NotSupported { what: "a row value", span });
                }
                self.table_row(row)?
            }
            views::Expr::Literal(literal) => literal::bind(build, literal)?,
            views::Expr::Parameter(parameter) => self.parameter(parameter)?,
            views::Expr::Unary(unary) => self.unary(unary, take(done))?,
            views::Expr::Binary(binary) => self.binary(binary, take(done), position.place)?,
            views::Expr::And(and) => {
                let count = and.operands().len();
                // A condition of its own is taken apart, and what has no query is tested first.
                if done.len() > count || !matches!(position.place.clause, "WHERE" | "HAVING" | "JOIN/ON") {
                    self.guard_operands(BinaryOp::And, count, position, done)?;
                }
                take_list(done, count, |operands| build.junction(BinaryOp::And, operands, span))?
            }
            views::Expr::Or(or) => {
                let count = or.operands().len();
                self.guard_operands(BinaryOp::Or, count, position, done)?;
                take_list(done, count, |operands| build.junction(BinaryOp::Or, operands, span))?
            }
            views::Expr::Not(_) => {
                let [arg] = take(done);
                build.not(arg, span)?
            }
            views::Expr::Between(between) => {
                let [arg, low, high] = take(done);
                if between.is_symmetric() {
                    self.between_symmetric([arg, low, high], between.is_negated(), span)?
                } else {
                    build.between([arg, low, high], between.is_negated(), span)?
                }
            }
            views::Expr::InList(list) => {
                let count = list.list().len() + 1;
                take_list(done, count, |operands| self.in_list(operands, list.is_negated(), span))?
            }
            views::Expr::Like(like) => self.like(like, done)?,
            views::Expr::Is(is) => {
                let [arg] = take(done);
                self.is(is, arg)?
            }
            views::Expr::DistinctFrom(distinct) => {
                let [left, right] = take(done);
                let op = match distinct.is_negated() {
                    true => BinaryOp::IsNotDistinctFrom,
                    false => BinaryOp::IsDistinctFrom,
                };
                self.compare(op, left, right, span)?
            }
            views::Expr::Case(case) => {
                let has_operand = case.operand().is_some();
                let count =
                    usize::from(has_operand) + 2 * case.whens().count() + case.otherwise().iter().count();
                let made = build.case(&done[done.len() - count..], has_operand, span)?;
                self.guard_branches(made, count, position, done)?;
                done.truncate(done.len() - count);
                made
            }
            views::Expr::Cast(cast) => {
                let [mut arg] = take(done);
                if matches!(arg.kind, ExprKind::Row(_))
                    && matches!(type_name::bind(cast.type_name())?, Type::Text | Type::Char)
                {
                    arg = self.row_text(cast.operand(), arg, position.place)?;
                }
                type_name::cast(build, arg, cast.type_name(), span)?
            }
            views::Expr::Call(call) => self.call(call, position, done)?,
            views::Expr::Extract(extract) => {
                let [source] = take(done);
                functions::extract(build, extract.field(), source, span)?
            }
            views::Expr::Collate(collate) => {
                let [arg] = take(done);
                self.collate(collate, arg)?
            }
            views::Expr::AtTimeZone(zone) => {
                let count = 1 + usize::from(zone.zone().is_some());
                take_list(done, count, |args| functions::at_time_zone(build, args, span))?
            }
            views::Expr::Row(row) => {
                let count = row.elements().len();
                take_list(done, count, |elements| {
                    let mut values: Vec<'a, &'a Expr<'a>> = Vec::with_capacity_in(count, self.arena)?;
                    for (element, view) in elements.iter().zip(row.elements()) {
                        match (element.kind, view) {
                            (ExprKind::Row(columns), views::Expr::TableRow(_)) => {
                                values.extend_from_slice(columns)?
                            }
                            _ => values.push(element)?,
                        }
                    }
                    let (kind, ty) = (ExprKind::Row(values.into_slice()), Type::Unknown);
                    Ok(&*self.arena.alloc(Expr { kind, ty, span })?)
                })?
            }
            views::Expr::Array(array) => {
                let count = array.elements().len();
                take_list(done, count, |elements| functions::array(build, elements, span))?
            }
            views::Expr::Indirection(indirection) => self.selected(indirection, position.place, done)?,
            views::Expr::Exists(exists) => {
                self.exists(exists.query(), position.stage(), position.place, span)?
            }
            views::Expr::Subquery(query) => {
                self.scalar(query.query(), position.stage(), position.place, span)?
            }
            views::Expr::ArrayQuery(query) => {
                self.array_of(query.query(), position.stage(), position.place, span)?
            }
            views::Expr::InQuery(query) => {
                let [operand] = take(done);
                let (op, all) = (BinaryOp::Equal, false);
                let found =
                    self.quantified(operand, op, all, query.query(), position.stage(), position.place, span)?;
                if query.is_negated() { build.not(found, span)? } else { found }
            }
            views::Expr::Quantified(quantified) => self.quantifier(quantified, position, done)?,
            views::Expr::Overlaps(_) => self.overlaps(take(done), span)?,
            // WHEN and ELSE leave their children to CASE; the rest was refused or is no expression.
            _ => return Ok(()),
        };
        Ok(done.push(result)?)
    }

    /// `value[…]…` or `(row).name`.
    fn selected<'q: 'a>(
        &self,
        indirection: views::Indirection<'q>,
        place: &Place,
        done: &mut Operands<'_, 'a>,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        use views::Selection;
        let span = indirection.span();
        if let Some(Selection::Field(name)) = indirection.selections().next() {
            let [row] = take(done);
            return self.field_of_row(indirection.operand(), row, name, place);
        }
        let count = indirection.selections().map(|selection| match selection {
            Selection::Slice { low, high } => usize::from(low.is_some()) + usize::from(high.is_some()),
            _ => 1,
        });
        let mut next = done.len() - count.sum::<usize>();
        let first = next - 1;
        let value = done[first];
        let mut subscripts: Vec<'a, functions::Subscript<'a>> = Vec::new_in(self.arena);
        let mut operand = |is_there: bool| {
            is_there.then(|| {
                next += 1;
                done[next - 1]
            })
        };
        for selection in indirection.selections() {
            subscripts.push(match selection {
                Selection::Slice { low, high } => {
                    let low = operand(low.is_some());
                    functions::Subscript::Slice { low, high: operand(high.is_some()) }
                }
                _ => functions::Subscript::Index(operand(true).expect("a subscript has been bound")),
            })?;
        }
        done.truncate(first);
        functions::subscript(self.build(), value, &subscripts, span)
    }

    /// A column of the innermost select that has one of the name.
    pub(super) fn column<'q: 'a>(
        &self,
        column: views::ColumnRef<'q>,
        place: &Place,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let span = column.span();
        if column.outer().next().is_some_and(|schema| schema != "public") {
            return Err(Error::NotSupported { what: "a column with a schema", span });
        }
        let wanted = ColumnName { table: column.table(), name: column.name(), span };
        let mut innermost = None;
        for (level, block) in self.blocks.iter().enumerate().rev() {
            let visible = match innermost {
                None => place.visible.clone(),
                Some(_) => 0..block.scope.relations.len() as u32,
            };
            let _ = level;
            match block.scope.resolve(wanted, visible) {
                Ok(position) => {
                    let column = &block.scope.columns[position as usize];
                    return Ok(self.build().column(column.id, column.ty, span)?);
                }
                Err(
                    error @ Error::Name {
                        problem: NameProblem::UndefinedColumn | NameProblem::MissingFromEntry,
                        ..
                    },
                ) => {
                    // A table that is there without such a column hides those further out.
                    let is_final = wanted.table.is_some()
                        && matches!(error, Error::Name { problem: NameProblem::UndefinedColumn, .. });
                    innermost = innermost.or(Some(error));
                    if is_final {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        match self.whole_row(wanted, place)? {
            Some(row) => Ok(row),
            None => Err(innermost.unwrap_or(super::scope::name_error(NameProblem::UndefinedColumn, wanted))),
        }
    }

    /// The row of a table whose name stands where a column's could: of a function of one column, its value.
    fn whole_row(&self, wanted: ColumnName<'a>, place: &Place) -> Result<Option<&'a Expr<'a>>, Error<'a>> {
        if wanted.table.is_some() {
            return Ok(None);
        }
        let Some((level, found)) = self.named_table(wanted, place) else { return Ok(None) };
        let scope = &self.blocks[level].scope;
        let relation = scope.relations[found as usize];
        let columns = &scope.columns[relation.first_column as usize..][..relation.columns_count as usize];
        if let ([column], true) = (columns, relation.is_value) {
            return Ok(Some(self.build().column(column.id, column.ty, wanted.span)?));
        }
        self.row_of_table(level, found, wanted.span).map(Some)
    }

    /// The table of a name: its select, and its number there.
    pub(super) fn named_table(&self, wanted: ColumnName<'a>, place: &Place) -> Option<(usize, u32)> {
        let innermost = self.blocks.len() - 1;
        (0..=innermost).rev().find_map(|level| {
            let scope = &self.blocks[level].scope;
            let all = 0..scope.relations.len() as u32;
            let visible = if level == innermost { place.visible.clone() } else { all };
            Some((level, scope.resolve_relation(wanted.name, wanted.span, visible).ok()?))
        })
    }

    fn parameter<'q: 'a>(&self, parameter: views::Parameter<'q>) -> Result<&'a Expr<'a>, Error<'a>> {
        let span = parameter.span();
        self.build().parameter(self.parameters.number(parameter.name(), span)?, span)
    }

    fn unary<'q: 'a>(
        &self,
        unary: views::Unary<'q>,
        [arg]: [&'a Expr<'a>; 1],
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        match unary.op() {
            views::UnaryOp::Minus => match literal::negated(unary, arg) {
                Some(value) => Ok(self.build().literal(value, value.ty(), unary.span())?),
                None => self.build().negate(arg, unary.span()),
            },
            views::UnaryOp::Plus if arg.ty.is_numeric() => Ok(arg),
            views::UnaryOp::Plus => Err(undefined_operator("+", None, arg.ty, unary.span())),
            views::UnaryOp::Other => {
                functions::operator(self.build(), unary.operator_text(), None, arg, unary.span())
            }
        }
    }

    fn binary<'q: 'a>(
        &self,
        binary: views::Binary<'q>,
        [left, right]: [&'a Expr<'a>; 2],
        place: &Place,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        use views::BinaryOp as Op;
        let (build, span) = (self.build(), binary.span());
        match binary.op() {
            Op::Add => build.arithmetic(BinaryOp::Add, left, right, span),
            Op::Subtract => build.arithmetic(BinaryOp::Subtract, left, right, span),
            Op::Multiply => build.arithmetic(BinaryOp::Multiply, left, right, span),
            Op::Divide => build.arithmetic(BinaryOp::Divide, left, right, span),
            Op::Modulo => build.arithmetic(BinaryOp::Modulo, left, right, span),
            Op::Concat => build.concat(left, right, span),
            Op::Power => functions::operator(build, "^", Some(left), right, span),
            Op::Other => functions::operator(build, binary.operator_text(), Some(left), right, span),
            op => match comparison(op.symbol()) {
                Some(op) => {
                    let views = [binary.left(), binary.right()];
                    match self.compare_tables(op, views, [left, right], place, span)? {
                        Some(compared) => Ok(compared),
                        None => self.compare(op, left, right, span),
                    }
                }
                None => functions::operator(build, binary.operator_text(), Some(left), right, span),
            },
        }
    }

    /// A comparison of values or of rows.
    pub(super) fn compare(
        &self,
        op: BinaryOp,
        left: &'a Expr<'a>,
        right: &'a Expr<'a>,
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        match (left.kind, right.kind) {
            (ExprKind::Row(left), ExprKind::Row(right)) => self.compare_rows(op, left, right, span),
            (ExprKind::Row(_), _) | (_, ExprKind::Row(_)) => {
                Err(Error::NotSupported { what: "a comparison of a row with a value", span })
            }
            _ => self.build().compare(op, left, right, span),
        }
    }

    /// Rows are compared from left to right.
    pub(super) fn compare_rows(
        &self,
        op: BinaryOp,
        left: &[&'a Expr<'a>],
        right: &[&'a Expr<'a>],
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let build = self.build();
        if left.len() != right.len() || left.is_empty() {
            let (problem, expected, found) = (CountProblem::Row, left.len() as u64, right.len() as u64);
            return Err(Error::Count { problem, name: "", expected, found, span });
        }
        let pairs = || left.iter().copied().zip(right.iter().copied());
        let each = |op: BinaryOp, joined: BinaryOp| {
            let mut parts = Vec::with_capacity_in(left.len(), self.arena)?;
            for (left, right) in pairs() {
                parts.push(self.compare(op, left, right, span)?)?;
            }
            build.junction(joined, &parts, span)
        };
        let strict = match op {
            BinaryOp::Equal | BinaryOp::IsNotDistinctFrom => return each(op, BinaryOp::And),
            BinaryOp::NotEqual | BinaryOp::IsDistinctFrom => return each(op, BinaryOp::Or),
            BinaryOp::Less | BinaryOp::LessEqual => BinaryOp::Less,
            _ => BinaryOp::Greater,
        };
        // (a, b) < (x, y): a < x OR (a = x AND b < y), from the last pair on.
        let mut result: Option<&'a Expr<'a>> = None;
        for (index, (left, right)) in pairs().enumerate().rev() {
            let is_last = index + 1 == pairs().count();
            let decided = self.compare(if is_last { op } else { strict }, left, right, span)?;
            result = Some(match result {
                None => decided,
                Some(rest) => {
                    let equal = self.compare(BinaryOp::Equal, left, right, span)?;
                    let tied = build.junction(BinaryOp::And, &[equal, rest], span)?;
                    build.junction(BinaryOp::Or, &[decided, tied], span)?
                }
            });
        }
        Ok(result.expect("rows are not empty"))
    }

    /// `(start, end) OVERLAPS (start, length)`. Ends may come in any order; each is `[least, greatest)`, or a moment.
    ///
    /// # Errors
    /// 42883 for what are no spans of time.
    fn overlaps(&self, spans: [&'a Expr<'a>; 2], span: Span) -> Result<&'a Expr<'a>, Error<'a>> {
        let build = self.build();
        let [ExprKind::Row(&[s1, e1]), ExprKind::Row(&[s2, e2])] = spans.map(|row| row.kind) else {
            let message = "wrong number of parameters on side of OVERLAPS expression";
            return Err(Error::Source { sqlstate: "42601", message, span });
        };
        let end = |start: &'a Expr<'a>, end: &'a Expr<'a>| match end.ty {
            Type::Interval => build.arithmetic(BinaryOp::Add, start, end, span),
            _ => Ok(end),
        };
        let ends = [s1, end(s1, e1)?, s2, end(s2, e2)?];
        let ty = build.common_type(ends.into_iter(), "OVERLAPS")?;
        let ty = if ty == Type::Date { Type::Timestamp } else { ty };
        if !matches!(ty, Type::Timestamp | Type::TimestampTz | Type::Time) {
            let arguments = self.arena.alloc_slice_from_iter(ends.iter().map(|end| end.ty))?;
            return Err(Error::UndefinedFunction { name: "overlaps", arguments, suggestion: None, span });
        }
        let ends = build.cast_all(&ends, ty)?;
        let literal = |value| build.literal(value, Type::Boolean, span);
        let (yes, no, unknown) =
            (literal(Value::Boolean(true))?, literal(Value::Boolean(false))?, literal(Value::Null)?);
        // The one that is not NULL counts as both where the order is asked.
        let least = |ends: &[&'a Expr<'a>]| build.call(Function::Least, ends, ty, span);
        let greatest = |ends: &[&'a Expr<'a>]| -> Result<&'a Expr<'a>, Error<'a>> {
            let missing: [&'a Expr<'a>; 2] = [
                build.is(UnaryOp::IsNull, ends[0], None, span)?,
                build.is(UnaryOp::IsNull, ends[1], None, span)?,
            ];
            let missing = build.junction(BinaryOp::Or, &missing, span)?;
            let nothing = build.literal(Value::Null, ty, span)?;
            build.case(&[missing, nothing, build.call(Function::Greatest, ends, ty, span)?], false, span)
        };
        let (low, high) =
            ([least(&ends[..2])?, least(&ends[2..])?], [greatest(&ends[..2])?, greatest(&ends[2..])?]);
        let is_null = |expr| build.is(UnaryOp::IsNull, expr, None, span);
        let compare = |op, left, right| build.compare(op, left, right, span);
        // The later one begins before the earlier one ends.
        let reaches = |late: usize, early: usize| {
            let within = compare(BinaryOp::Less, low[late], high[early])?;
            let parts = [is_null(high[early])?, unknown, within, yes, is_null(high[late])?, unknown, no];
            build.case(&parts, false, span)
        };
        let either = build.junction(BinaryOp::Or, &[is_null(high[0])?, is_null(high[1])?], span)?;
        let parts = [
            compare(BinaryOp::Greater, low[0], low[1])?,
            reaches(0, 1)?,
            compare(BinaryOp::Less, low[0], low[1])?,
            reaches(1, 0)?,
            compare(BinaryOp::Equal, low[0], low[1])?,
            build.case(&[either, unknown, yes], false, span)?,
        ];
        build.case(&parts, false, span)
    }

    fn in_list(
        &self,
        operands: &[&'a Expr<'a>],
        negated: bool,
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let build = self.build();
        let is_row = |expr: &&'a Expr<'a>| matches!(expr.kind, ExprKind::Row(_));
        if !operands.iter().any(is_row) {
            return build.in_list(operands, negated, span);
        }
        let (arg, list) = operands.split_first().expect("IN has an operand");
        let mut found = Vec::with_capacity_in(list.len(), self.arena)?;
        for item in list {
            found.push(self.compare(BinaryOp::Equal, arg, item, span)?)?;
        }
        let found = build.junction(BinaryOp::Or, &found, span)?;
        if negated { build.not(found, span) } else { Ok(found) }
    }

    fn between_symmetric(
        &self,
        [arg, low, high]: [&'a Expr<'a>; 3],
        negated: bool,
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let build = self.build();
        let straight = build.between([arg, low, high], false, span)?;
        let reverse = build.between([arg, high, low], false, span)?;
        let either = build.junction(BinaryOp::Or, &[straight, reverse], span)?;
        if negated { build.not(either, span) } else { Ok(either) }
    }

    fn is<'q: 'a>(&self, is: views::Is<'q>, arg: &'a Expr<'a>) -> Result<&'a Expr<'a>, Error<'a>> {
        let (build, span) = (self.build(), is.span());
        let (op, truth) = is_test(is)?;
        let ExprKind::Row(values) = arg.kind else {
            // A row is NULL where all of its columns are, which its text does not say.
            return match self.is_row_text(arg) {
                true => Err(Error::NotSupported { what: "a test of rows as values", span }),
                false => build.is(op, arg, truth, span),
            };
        };
        if truth.is_some() || values.is_empty() {
            return Err(Error::NotSupported { what: "a row value", span });
        }
        // IS NULL and IS NOT NULL each hold if they do for every value.
        let mut parts = Vec::with_capacity_in(values.len(), self.arena)?;
        for value in values {
            parts.push(build.is(op, value, None, span)?)?;
        }
        build.junction(BinaryOp::And, &parts, span)
    }

    fn like<'q: 'a>(
        &self,
        like: views::Like<'q>,
        done: &mut Operands<'_, 'a>,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let (build, span) = (self.build(), like.span());
        let escape = match like.escape() {
            None => None,
            Some(_) => {
                let [escape] = take(done);
                Some(escape)
            }
        };
        let operands = take(done);
        if escape.is_some_and(|escape| matches!(escape.kind, ExprKind::Literal(Value::Null))) {
            return Ok(build.literal(Value::Null, Type::Boolean, span)?);
        }
        match like.kind() {
            LikeKind::Like => {
                let escape = match escape {
                    None => Some('\\'),
                    Some(escape) => literal::escape(escape)?,
                };
                build.like(operands, escape, like.is_negated(), span)
            }
            LikeKind::ILike => functions::ilike(build, operands, escape, like.is_negated(), span),
            LikeKind::SimilarTo => functions::similar_to(build, operands, escape, like.is_negated(), span),
        }
    }

    /// Text is ordered by its bytes, which is the collation "C"; there is no other.
    fn collate<'q: 'a>(
        &self,
        collate: views::Collate<'q>,
        arg: &'a Expr<'a>,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        match collate.collation() {
            "C" | "POSIX" | "ucs_basic" | "default" => self.build().coerce(arg, Type::Text, "COLLATE"),
            _ => Err(Error::NotSupported { what: "a collation other than \"C\"", span: collate.span() }),
        }
    }

    /// `x op ANY (…)`, `x op ALL (…)`, over an array or a query.
    fn quantifier<'q: 'a>(
        &mut self,
        quantified: views::Quantified<'q>,
        position: &Position<'_, '_>,
        done: &mut Operands<'_, 'a>,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let span = quantified.span();
        let op = quantified.operator_text().and_then(comparison);
        let (stage, place) = (position.stage(), position.place);
        match quantified.query() {
            Some(query) => {
                let [operand] = take(done);
                match op {
                    Some(op) => self.quantified(operand, op, quantified.is_all(), query, stage, place, span),
                    None => self.matched_rows(quantified, operand, query, stage, place),
                }
            }
            None => {
                let [operand, array] = take(done);
                let Some(op) = op else {
                    return self.matched_elements(quantified, operand, array, stage, place);
                };
                let function = match quantified.is_all() {
                    true => Function::AllElements(op),
                    false => Function::AnyElement(op),
                };
                functions::over_elements(self.build(), function, op, operand, array, span)
            }
        }
    }

    /// What the operator of `x op ANY (…)` says of one pair, if it is none that compares.
    fn matches<'q: 'a>(
        &self,
        quantified: views::Quantified<'q>,
        operand: &'a Expr<'a>,
        other: &'a Expr<'a>,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let (build, span, negated) = (self.build(), quantified.span(), quantified.is_negated());
        let found = match (quantified.like(), quantified.operator_text()) {
            (Some(LikeKind::ILike), _) => functions::ilike(build, [operand, other], None, negated, span)?,
            (Some(_), _) => build.like([operand, other], Some('\\'), negated, span)?,
            (None, Some(operator)) => functions::operator(build, operator, Some(operand), other, span)?,
            (None, None) => {
                return Err(Error::NotSupported { what: "this operator with ANY or ALL", span });
            }
        };
        if found.ty != Type::Boolean {
            let message = "op ANY/ALL (array) requires operator to yield boolean";
            return Err(Error::Source { sqlstate: "42809", message, span });
        }
        Ok(found)
    }

    /// `x LIKE ANY (query)` and the like.
    fn matched_rows<'q: 'a>(
        &mut self,
        quantified: views::Quantified<'q>,
        operand: &'a Expr<'a>,
        query: views::Query<'q>,
        stage: Stage,
        place: &Place,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let span = quantified.span();
        let bound = self.column_of_query(query, place, span)?;
        let column = self.plan.read(bound.columns[0].id, bound.columns[0].span, self.arena)?;
        let found = self.matches(quantified, operand, column)?;
        self.marked(bound.node, found, quantified.is_all(), stage, span)
    }

    /// `x LIKE ANY (array)` and the like: of a constant array each element, of others the rows that it unnests to.
    fn matched_elements<'q: 'a>(
        &mut self,
        quantified: views::Quantified<'q>,
        operand: &'a Expr<'a>,
        array: &'a Expr<'a>,
        stage: Stage,
        place: &Place,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let (build, span, all) = (self.build(), quantified.span(), quantified.is_all());
        let array = match array.ty {
            Type::Unknown => {
                let element = if operand.ty == Type::Unknown { Type::Text } else { operand.ty };
                let Some(elements) = element.array() else { return self.matches(quantified, operand, array) };
                build.cast(array, elements, array.span)?
            }
            Type::Array(_) => array,
            _ => {
                let message = "op ANY/ALL (array) requires array on right side";
                return Err(Error::Source { sqlstate: "42809", message, span });
            }
        };
        let mut found: Vec<'a, &'a Expr<'a>> = Vec::new_in(self.arena);
        match array.kind {
            ExprKind::Call { function: Function::Array, args } => {
                for element in args {
                    found.push(self.matches(quantified, operand, element)?)?;
                }
            }
            ExprKind::Literal(Value::Array(elements)) => {
                let ty = elements.element().ty();
                for element in elements.iter() {
                    let element = build.literal(element, ty, array.span)?;
                    found.push(self.matches(quantified, operand, element)?)?;
                }
            }
            ExprKind::Literal(_) => return Ok(build.literal(Value::Null, Type::Boolean, span)?),
            _ => return self.matched_unnested(quantified, operand, array, stage, place),
        }
        match found.is_empty() {
            true => Ok(build.literal(Value::Boolean(all), Type::Boolean, span)?),
            false => build.junction(if all { BinaryOp::And } else { BinaryOp::Or }, &found, span),
        }
    }

    fn matched_unnested<'q: 'a>(
        &mut self,
        quantified: views::Quantified<'q>,
        operand: &'a Expr<'a>,
        array: &'a Expr<'a>,
        stage: Stage,
        place: &Place,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let (build, span) = (self.build(), quantified.span());
        let set = functions::set_named(build, "unnest", &[array], span)?;
        let (Some(set), true) = (set, place.allows.queries) else {
            return Err(Error::NoQuery { clause: place.clause, span });
        };
        let id = self.plan.column("unnest", set.columns[0])?;
        let columns = self.arena.alloc_slice_copy(&[id])?;
        let call = crate::logical::Call { function: set.function, args: set.args, columns, span };
        let calls = self.arena.alloc_slice_copy(&[call])?;
        let (input, ordinality, keeps_empty) = (None, None, false);
        let node = self.plan.push(LogicalKind::TableFunction { input, calls, ordinality, keeps_empty })?;
        let element = self.plan.read(id, array.span, self.arena)?;
        let found = self.matches(quantified, operand, element)?;
        let found = self.marked(node, found, quantified.is_all(), stage, span)?;
        // Of no array nothing is known.
        let missing = build.is(UnaryOp::IsNull, array, None, span)?;
        let unknown = build.literal(Value::Null, Type::Boolean, span)?;
        build.case(&[missing, unknown, found], false, span)
    }

    fn call<'q: 'a>(
        &mut self,
        call: views::Call<'q>,
        position: &mut Position<'_, '_>,
        done: &mut Operands<'_, 'a>,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let (count, span) = (call.args().len(), call.span());
        let build = Builder { is_aggregated: position.in_sums > 0, ..self.build() };
        let first = done.len() - count;
        let args = self.arena.alloc_slice_copy(&done[first..])?;
        if call.name() == "coalesce" && call.schema().is_none() {
            self.guard_later(args, position, done)?;
        }
        done.truncate(first);
        let args = super::named_argument::arranged(build, call, args)?;
        let args = match self.row_call(call, args, position.place)? {
            Some(RowCall::Value(value)) => return Ok(value),
            Some(RowCall::Arguments(args)) => args,
            None => args,
        };
        if let Some(row) = args.iter().find(|arg| matches!(arg.kind, ExprKind::Row(_))) {
            return Err(Error::NotSupported { what: "a row value", span: row.span });
        }
        if call.over().is_some() {
            position.in_windows -= 1;
            return self.window_call(call, args, position.place, position.in_aggregates > 0);
        }
        if aggregate_named(call) {
            position.in_aggregates -= 1;
            position.in_sums -= u32::from(is_sum(call));
            return self.aggregate_call(call, args, position.place);
        }
        if call.within_group().is_some() && super::window::is_window_function(call) {
            return self.hypothetical_call(call, args, position.place);
        }
        if let Some(form) = call
            .filter()
            .map(|filter| filter.form().span())
            .or_else(|| call.within_group().map(|group| group.form().span()))
        {
            return Err(Error::Call { problem: CallProblem::NoAggregate, name: call.name(), span: form });
        }
        if call.is_distinct() || call.order_by().next().is_some() {
            return Err(Error::Call { problem: CallProblem::NoAggregate, name: call.name(), span });
        }
        if call.is_keyword() && call.name() == "grouping" {
            return self.grouping_call(args, position.place, span);
        }
        if super::window::is_window_function(call) {
            return Err(Error::Call { problem: CallProblem::NeedsOver, name: call.name(), span });
        }
        if let Some(set) = self.set_call(call, args, position.place)? {
            return Ok(set);
        }
        functions::bind(build, call, args)
    }

    /// The joins that have come to wait while the operand at `index` of the stack was bound.
    fn joins_of(position: &Position<'_, '_>, index: usize) -> Range<usize> {
        let before = index.checked_sub(1).and_then(|index| position.joins.get(index).copied());
        before.unwrap_or(position.joins_before)..position.joins[index]
    }

    /// Those of the operands from `first` up to `end`.
    fn joins_between(position: &Position<'_, '_>, first: usize, end: usize) -> Range<usize> {
        match first < end {
            true => Self::joins_of(position, first).start..Self::joins_of(position, end - 1).end,
            false => 0..0,
        }
    }

    /// Queries in branches of a `CASE` are asked where the branch is reached.
    fn guard_branches(
        &mut self,
        made: &'a Expr<'a>,
        count: usize,
        position: &Position<'_, '_>,
        done: &Operands<'_, 'a>,
    ) -> Result<(), Error<'a>> {
        let first = done.len() - count;
        let ExprKind::Case { operand, whens, .. } = made.kind else { return Ok(()) };
        if Self::joins_between(position, first, done.len()).is_empty() {
            return Ok(());
        }
        let build = self.build();
        let mut taken: Vec<'_, (&'a Expr<'a>, Option<&'a Expr<'a>>)> = Vec::new_in(self.arena);
        for (index, when) in whens.iter().enumerate() {
            let at = first + usize::from(operand.is_some()) + 2 * index;
            let (condition, result) = (Self::joins_of(position, at), Self::joins_of(position, at + 1));
            if !condition.is_empty() && !taken.is_empty() {
                let reached = self.choice(&taken, true)?;
                self.guard(condition, reached)?;
            }
            let test = match operand {
                Some(operand) => {
                    build.compare(BinaryOp::Equal, operand, when.condition, when.condition.span)?
                }
                None => when.condition,
            };
            if !result.is_empty() {
                let truth = build.literal(Value::Boolean(true), Type::Boolean, test.span)?;
                taken.push((test, Some(truth)))?;
                let reached = self.choice(&taken, false)?;
                self.guard(result, reached)?;
                taken.pop();
            }
            taken.push((test, None))?;
        }
        let last = first + usize::from(operand.is_some()) + 2 * whens.len();
        if last < done.len() && !Self::joins_of(position, last).is_empty() {
            let reached = self.choice(&taken, true)?;
            self.guard(Self::joins_of(position, last), reached)?;
        }
        Ok(())
    }

    /// Queries in later arguments of `COALESCE` are asked where those before are NULL.
    fn guard_later(
        &mut self,
        args: &[&'a Expr<'a>],
        position: &Position<'_, '_>,
        done: &Operands<'_, 'a>,
    ) -> Result<(), Error<'a>> {
        let (first, build) = (done.len() - args.len(), self.build());
        if Self::joins_between(position, first, done.len()).is_empty() {
            return Ok(());
        }
        let mut taken: Vec<'_, (&'a Expr<'a>, Option<&'a Expr<'a>>)> = Vec::new_in(self.arena);
        for (index, arg) in args.iter().enumerate() {
            let waiting = Self::joins_of(position, first + index);
            if !waiting.is_empty() && !taken.is_empty() {
                let reached = self.choice(&taken, true)?;
                self.guard(waiting, reached)?;
            }
            if arg.ty != Type::Unknown {
                taken.push((build.is(UnaryOp::IsNotNull, arg, None, arg.span)?, None))?;
            }
        }
        Ok(())
    }

    /// Queries in later operands of `AND` and `OR` are asked where those before have not decided.
    fn guard_operands(
        &mut self,
        op: BinaryOp,
        count: usize,
        position: &Position<'_, '_>,
        done: &Operands<'_, 'a>,
    ) -> Result<(), Error<'a>> {
        let (first, build) = (done.len() - count, self.build());
        if Self::joins_between(position, first, done.len()).is_empty() {
            return Ok(());
        }
        let mut taken: Vec<'_, (&'a Expr<'a>, Option<&'a Expr<'a>>)> = Vec::new_in(self.arena);
        for index in first..done.len() {
            let waiting = Self::joins_of(position, index);
            if !waiting.is_empty() && !taken.is_empty() {
                let reached = self.choice(&taken, true)?;
                self.guard(waiting, reached)?;
            }
            let operand = done[index];
            if operand.ty == Type::Boolean {
                let decides = match op {
                    BinaryOp::And => build.not(operand, operand.span)?,
                    _ => operand,
                };
                taken.push((decides, None))?;
            }
        }
        Ok(())
    }

    /// A set-returning function in the select list.
    fn set_call<'q: 'a>(
        &mut self,
        call: views::Call<'q>,
        args: &'a [&'a Expr<'a>],
        place: &Place,
    ) -> Result<Option<&'a Expr<'a>>, Error<'a>> {
        let build = self.build();
        let Some(resolved) = functions::set_returning(build, call, args)? else { return Ok(None) };
        let span = call.span();
        let [ty] = resolved.columns else {
            return Err(Error::NotSupported {
                what: "a function of several columns in the select list",
                span,
            });
        };
        if !place.allows.sets {
            return Err(Error::Call { problem: CallProblem::MisplacedSet, name: place.clause, span });
        }
        let id = self.plan.column(call.name(), *ty)?;
        let columns = self.arena.alloc_slice_copy(&[id])?;
        let call = crate::logical::Call { function: resolved.function, args: resolved.args, columns, span };
        self.block_mut().sets.push(call)?;
        Ok(Some(build.column(id, *ty, span)?))
    }

    /// An aggregate or window function stands where there is none of it.
    pub(super) fn refuse_aggregate(&self, place: &Place, span: Span) -> Error<'a> {
        Error::MisplacedAggregate { place: AggregatePlace::Clause(place.clause), span }
    }
}

/// When what an expression needs is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Of rows of FROM.
    Rows,
    /// Of groups, where there are any.
    Groups,
}

impl Position<'_, '_> {
    fn stage(&self) -> Stage {
        match self.place.allows.aggregates && self.in_aggregates == 0 {
            true => Stage::Groups,
            false => Stage::Rows,
        }
    }
}

/// Whether a call adds numbers up.
fn is_sum(call: views::Call<'_>) -> bool {
    matches!(call.name(), "sum" | "avg")
}

/// The comparison that an operator is.
pub(super) fn comparison(symbol: &str) -> Option<BinaryOp> {
    Some(match symbol {
        "=" => BinaryOp::Equal,
        "<>" | "!=" => BinaryOp::NotEqual,
        "<" => BinaryOp::Less,
        "<=" => BinaryOp::LessEqual,
        ">" => BinaryOp::Greater,
        ">=" => BinaryOp::GreaterEqual,
        _ => return None,
    })
}

/// Hands the last `count` operands to `make` and takes them away.
fn take_list<'a>(
    done: &mut Operands<'_, 'a>,
    count: usize,
    make: impl FnOnce(&[&'a Expr<'a>]) -> Result<&'a Expr<'a>, Error<'a>>,
) -> Result<&'a Expr<'a>, Error<'a>> {
    let first = done.len() - count;
    let result = make(&done[first..])?;
    done.truncate(first);
    Ok(result)
}

/// The last `N` operands.
fn take<'a, const N: usize>(done: &mut Operands<'_, 'a>) -> [&'a Expr<'a>; N] {
    let first = done.len() - N;
    let taken = std::array::from_fn(|index| done[first + index]);
    done.truncate(first);
    taken
}

/// Whether the row of a table may stand here: where it is shown, tested, counted, or compared with another.
fn takes_whole_row<'q>(node: &'q Node<'q>, is_root: bool) -> bool {
    use views::Expr as E;
    if is_root {
        return true;
    }
    let is_row = |expr| matches!(expr, E::Column(_) | E::TableRow(_));
    match node.parent().map(E::of) {
        Some(E::Is(_) | E::DistinctFrom(_) | E::Cast(_) | E::Call(_) | E::Indirection(_)) => true,
        Some(E::Binary(binary)) => is_row(binary.left()) && is_row(binary.right()),
        Some(E::Row(_)) => matches!(E::of(node), E::TableRow(_)),
        _ => false,
    }
}

/// The operator of an `IS` test, and what errors call it when it tests a boolean.
fn is_test<'a>(is: views::Is<'_>) -> Result<(UnaryOp, Option<&'static str>), Error<'a>> {
    Ok(match (is.test(), is.is_negated()) {
        (IsTest::Null, false) => (UnaryOp::IsNull, None),
        (IsTest::Null, true) => (UnaryOp::IsNotNull, None),
        (IsTest::True, false) => (UnaryOp::IsTrue, Some("IS TRUE")),
        (IsTest::True, true) => (UnaryOp::IsNotTrue, Some("IS NOT TRUE")),
        (IsTest::False, false) => (UnaryOp::IsFalse, Some("IS FALSE")),
        (IsTest::False, true) => (UnaryOp::IsNotFalse, Some("IS NOT FALSE")),
        (IsTest::Unknown, false) => (UnaryOp::IsNull, Some("IS UNKNOWN")),
        (IsTest::Unknown, true) => (UnaryOp::IsNotNull, Some("IS NOT UNKNOWN")),
        (IsTest::Document, _) => return Err(Error::NotSupported { what: "IS DOCUMENT", span: is.span() }),
        (IsTest::Json | IsTest::JsonArray | IsTest::JsonObject | IsTest::JsonScalar, _) => {
            return Err(Error::NotSupported { what: "IS JSON", span: is.span() });
        }
        _ => return Err(Error::NotSupported { what: "IS NORMALIZED", span: is.span() }),
    })
}
