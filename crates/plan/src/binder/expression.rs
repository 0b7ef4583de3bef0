//! Binds expressions: names to columns, literals to values, operators and calls to typed nodes.
//!
//! The tree of the statement is walked along its own links, and bound operands wait on a stack in the arena until the
//! node above them is left, so depth costs memory and never native stack:
//!
//! ```text
//! a + 1 * b        leave a: push    leave 1: push    leave b: push    leave *: pop 2, push    leave +: pop 2, push
//! ```

use std::ops::Range;

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_sql::views::{self, IsTest, LikeKind};
use cofferdam_sql::{Form, Node, NodeKind, Visit, Walk};
use cofferdam_types::Type;

use super::aggregate::Aggregates;
use super::build::{Builder, undefined_operator};
use super::scope::{ColumnName, Scope};
use super::{functions, literal, type_name};
use crate::Span;
use crate::error::{AggregatePlace, Error};
use crate::expr::{BinaryOp, Expr, UnaryOp};

/// Where an expression stands, and so what it may use.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The clause, as errors call it.
    pub(super) clause: &'static str,
    /// Which tables of the scope are visible.
    pub(super) visible: Range<u32>,
}

/// Binds the expressions of one select.
pub(super) struct ExpressionBinder<'b, 'a> {
    build: Builder<'a>,
    scope: &'b Scope<'b, 'a>,
    place: Place,
    /// Where aggregates are collected; `None` where none may stand.
    aggregates: Option<&'b mut Aggregates<'a>>,
    /// Whether the walk is inside the argument of an aggregate.
    in_aggregate: bool,
}

/// Operands that are bound and wait for the node above them.
type Operands<'s, 'a> = Vec<'s, &'a Expr<'a>>;

impl<'b, 'a> ExpressionBinder<'b, 'a> {
    /// A binder for expressions that see `scope` from `place`.
    pub(super) fn new(
        arena: &'a Arena,
        scope: &'b Scope<'b, 'a>,
        place: Place,
        aggregates: Option<&'b mut Aggregates<'a>>,
    ) -> ExpressionBinder<'b, 'a> {
        ExpressionBinder { build: Builder { arena }, scope, place, aggregates, in_aggregate: false }
    }

    /// The typed form of an expression. A bare NULL or quoted literal stays of unknown type.
    ///
    /// # Errors
    /// Whatever is wrong with it, with its place; `OutOfMemory` when it is too deep for the budget.
    pub(super) fn bind<'q: 'a>(&mut self, expr: views::Expr<'q>) -> Result<&'a Expr<'a>, Error<'a>> {
        // Long lists of VALUES are made of these, and need no stack.
        if let views::Expr::Literal(literal) = expr {
            return literal::bind(self.build, literal);
        }
        let scratch = Arena::new(self.build.arena.budget());
        let mut done: Operands<'_, 'a> = Vec::new_in(&scratch);
        let mut walk = Walk::new(expr.node());
        while let Some(visit) = walk.next() {
            match visit {
                Visit::Enter(node) => {
                    if !self.enter(node)? {
                        walk.skip_children(node);
                    }
                }
                Visit::Leave(node) => self.leave(node, &mut done)?,
            }
        }
        Ok(done.pop().expect("leaving the root pushes it"))
    }

    /// The typed form of a condition.
    pub(super) fn bind_condition<'q: 'a>(
        &mut self,
        expr: views::Expr<'q>,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let condition = self.bind(expr)?;
        self.build.coerce(condition, Type::Boolean, self.place.clause)
    }

    /// Before the children of a node: whether they are expressions of this select.
    fn enter<'q: 'a>(&mut self, node: &'q Node<'q>) -> Result<bool, Error<'a>> {
        let unsupported = |what| Err(Error::NotSupported { what, span: node.span() });
        match node.kind() {
            NodeKind::Type | NodeKind::Name | NodeKind::TypedLiteral => Ok(false),
            NodeKind::Subquery => unsupported("a subquery in an expression"),
            NodeKind::Exists => unsupported("EXISTS"),
            NodeKind::InQuery => unsupported("IN with a subquery"),
            NodeKind::Row => unsupported("a row value"),
            NodeKind::Star => unsupported("a table's row as a value"),
            NodeKind::AtTimeZone => unsupported("AT TIME ZONE"),
            NodeKind::Parameter => unsupported("a parameter"),
            NodeKind::Indirection => unsupported("a subscript or a field of a value"),
            NodeKind::Array | NodeKind::ArrayQuery => unsupported("an array"),
            NodeKind::QuantifiedArray | NodeKind::QuantifiedQuery => unsupported("ANY, SOME or ALL"),
            NodeKind::NamedArgument => unsupported("an argument with a name"),
            NodeKind::OrderBy => unsupported("ORDER BY in a call"),
            NodeKind::Default => Err(Error::MisplacedDefault { span: node.span() }),
            NodeKind::Overlaps => unsupported("OVERLAPS"),
            NodeKind::Treat => unsupported("TREAT"),
            NodeKind::ObjectName => unsupported("an operator with a schema"),
            NodeKind::Form => unsupported(node.form().map_or("this form of expression", Form::name)),
            NodeKind::Call => {
                let call = views::Call::of(node).expect("the kind was looked at");
                if call.is_variadic() {
                    return unsupported("VARIADIC");
                }
                if Aggregates::function(call).is_some() {
                    self.enter_aggregate(node.span())?;
                }
                Ok(true)
            }
            _ => Ok(true),
        }
    }

    fn enter_aggregate(&mut self, span: Span) -> Result<(), Error<'a>> {
        let place = match (&self.aggregates, self.in_aggregate) {
            (None, _) => AggregatePlace::Clause(self.place.clause),
            (Some(_), true) => AggregatePlace::Aggregate,
            (Some(_), false) => {
                self.in_aggregate = true;
                return Ok(());
            }
        };
        Err(Error::MisplacedAggregate { place, span })
    }

    /// After the children of a node: takes their results and leaves its own.
    fn leave<'q: 'a>(&mut self, node: &'q Node<'q>, done: &mut Operands<'_, 'a>) -> Result<(), Error<'a>> {
        let span = node.span();
        let build = self.build;
        let result = match views::Expr::of(node) {
            views::Expr::Column(column) => self.column(column)?,
            views::Expr::Literal(literal) => literal::bind(build, literal)?,
            views::Expr::Unary(unary) => self.unary(unary, take(done))?,
            views::Expr::Binary(binary) => self.binary(binary, take(done))?,
            views::Expr::And(and) => self.take_list(done, and.operands().len(), |operands| {
                build.junction(BinaryOp::And, operands, span)
            })?,
            views::Expr::Or(or) => self.take_list(done, or.operands().len(), |operands| {
                build.junction(BinaryOp::Or, operands, span)
            })?,
            views::Expr::Not(_) => {
                let [arg] = take(done);
                build.not(arg, span)?
            }
            views::Expr::Between(between) if between.is_symmetric() => {
                return Err(Error::NotSupported { what: "BETWEEN SYMMETRIC", span });
            }
            views::Expr::Between(between) => build.between(take(done), between.is_negated(), span)?,
            views::Expr::InList(list) => {
                let count = list.list().len() + 1;
                self.take_list(done, count, |operands| build.in_list(operands, list.is_negated(), span))?
            }
            views::Expr::Like(like) => self.like(like, done)?,
            views::Expr::Is(is) => {
                let [arg] = take(done);
                let (op, truth) = is_test(is)?;
                build.is(op, arg, truth, span)?
            }
            views::Expr::DistinctFrom(distinct) => {
                let [left, right] = take(done);
                let op = match distinct.is_negated() {
                    true => BinaryOp::IsNotDistinctFrom,
                    false => BinaryOp::IsDistinctFrom,
                };
                build.compare(op, left, right, span)?
            }
            views::Expr::Case(case) => {
                let has_operand = case.operand().is_some();
                let count =
                    usize::from(has_operand) + 2 * case.whens().count() + case.otherwise().iter().count();
                self.take_list(done, count, |parts| build.case(parts, has_operand, span))?
            }
            views::Expr::Cast(cast) => {
                let [arg] = take(done);
                type_name::cast(build, arg, cast.type_name(), span)?
            }
            views::Expr::Call(call) => self.call(call, done)?,
            views::Expr::Extract(extract) => {
                let [source] = take(done);
                functions::extract(build, extract.field(), source, span)?
            }
            views::Expr::Collate(collate) => {
                let [arg] = take(done);
                self.collate(collate, arg)?
            }
            // WHEN and ELSE leave their children to CASE; the rest was refused or is no expression.
            _ => return Ok(()),
        };
        Ok(done.push(result)?)
    }

    /// Hands the last `count` operands to `make` and takes them away.
    fn take_list(
        &self,
        done: &mut Operands<'_, 'a>,
        count: usize,
        make: impl FnOnce(&[&'a Expr<'a>]) -> Result<&'a Expr<'a>, Error<'a>>,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let first = done.len() - count;
        let result = make(&done[first..])?;
        done.truncate(first);
        Ok(result)
    }

    fn column<'q: 'a>(&self, column: views::ColumnRef<'q>) -> Result<&'a Expr<'a>, Error<'a>> {
        let span = column.span();
        if column.outer().next().is_some() {
            return Err(Error::NotSupported { what: "a column with a schema", span });
        }
        let wanted = ColumnName { table: column.table(), name: column.name(), span };
        let position = self.scope.resolve(wanted, self.place.visible.clone())?;
        Ok(self.build.column(position, self.scope.columns[position as usize].ty, span)?)
    }

    fn unary<'q: 'a>(
        &self,
        unary: views::Unary<'q>,
        [arg]: [&'a Expr<'a>; 1],
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        match unary.op() {
            views::UnaryOp::Minus => match literal::negated(unary, arg) {
                Some(value) => Ok(self.build.literal(value, value.ty(), unary.span())?),
                None => self.build.negate(arg, unary.span()),
            },
            views::UnaryOp::Plus if arg.ty.is_numeric() => Ok(arg),
            views::UnaryOp::Plus => Err(undefined_operator("+", None, arg.ty, unary.span())),
            views::UnaryOp::Other => {
                Err(undefined_operator(unary.operator_text(), None, arg.ty, unary.span()))
            }
        }
    }

    fn binary<'q: 'a>(
        &self,
        binary: views::Binary<'q>,
        [left, right]: [&'a Expr<'a>; 2],
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        use views::BinaryOp as Op;
        let (build, span) = (self.build, binary.span());
        match binary.op() {
            Op::Add => build.arithmetic(BinaryOp::Add, left, right, span),
            Op::Subtract => build.arithmetic(BinaryOp::Subtract, left, right, span),
            Op::Multiply => build.arithmetic(BinaryOp::Multiply, left, right, span),
            Op::Divide => build.arithmetic(BinaryOp::Divide, left, right, span),
            Op::Modulo => build.arithmetic(BinaryOp::Modulo, left, right, span),
            Op::Equal => build.compare(BinaryOp::Equal, left, right, span),
            Op::NotEqual => build.compare(BinaryOp::NotEqual, left, right, span),
            Op::Less => build.compare(BinaryOp::Less, left, right, span),
            Op::LessOrEqual => build.compare(BinaryOp::LessEqual, left, right, span),
            Op::Greater => build.compare(BinaryOp::Greater, left, right, span),
            Op::GreaterOrEqual => build.compare(BinaryOp::GreaterEqual, left, right, span),
            Op::Concat => build.concat(left, right, span),
            Op::Power => Err(Error::NotSupported { what: "the operator ^", span }),
            Op::Other => Err(undefined_operator(binary.operator_text(), Some(left.ty), right.ty, span)),
        }
    }

    fn like<'q: 'a>(
        &self,
        like: views::Like<'q>,
        done: &mut Operands<'_, 'a>,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let span = like.span();
        let escape = match like.escape() {
            None => Some('\\'),
            Some(_) => {
                let [escape] = take(done);
                literal::escape(escape)?
            }
        };
        match like.kind() {
            LikeKind::Like => self.build.like(take(done), escape, like.is_negated(), span),
            LikeKind::ILike => Err(Error::NotSupported { what: "ILIKE", span }),
            LikeKind::SimilarTo => Err(Error::NotSupported { what: "SIMILAR TO", span }),
        }
    }

    /// Text is ordered by its bytes, which is the collation "C"; there is no other.
    fn collate<'q: 'a>(
        &self,
        collate: views::Collate<'q>,
        arg: &'a Expr<'a>,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        match collate.collation() {
            "C" | "POSIX" | "ucs_basic" => self.build.coerce(arg, Type::Text, "COLLATE"),
            _ => Err(Error::NotSupported { what: "a collation other than \"C\"", span: collate.span() }),
        }
    }

    fn call<'q: 'a>(
        &mut self,
        call: views::Call<'q>,
        done: &mut Operands<'_, 'a>,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let count = call.args().len();
        if let (Some(function), Some(aggregates)) =
            (Aggregates::function(call), self.aggregates.as_deref_mut())
        {
            let first = done.len() - count;
            let aggregate = aggregates.add(self.build, call, function, &done[first..])?;
            done.truncate(first);
            self.in_aggregate = false;
            let position = self.scope.columns_count() + aggregate.index;
            return Ok(self.build.column(position, aggregate.ty, call.span())?);
        }
        let build = self.build;
        self.take_list(done, count, |args| functions::bind(build, call, args))
    }
}

/// The last `N` operands.
fn take<'a, const N: usize>(done: &mut Operands<'_, 'a>) -> [&'a Expr<'a>; N] {
    let first = done.len() - N;
    let taken = std::array::from_fn(|index| done[first + index]);
    done.truncate(first);
    taken
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
