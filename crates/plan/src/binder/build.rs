//! Builds typed expressions from typed operands: finds the operator for the operands' types as PostgreSQL does, makes
//! casts explicit and computes what is constant.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::cast::{CastContext, cast_context};
use cofferdam_types::{Arithmetic, ArithmeticOp, Decimal, Time, Type, Value};

use super::{fold, functions};
use crate::Span;
use crate::error::Error;
use crate::expr::{BinaryOp, Expr, ExprKind, Function, UnaryOp, When};
use crate::parameter::Parameters;

/// Makes typed nodes in the plan arena.
#[derive(Clone, Copy, Debug)]
pub(super) struct Builder<'a> {
    pub(super) arena: &'a Arena,
    /// Those of the statement.
    pub(super) parameters: Parameters<'a>,
    /// Whether what is built is an argument of an aggregate, which hands on a number of digits for all of its values.
    pub(super) is_aggregated: bool,
}

impl<'a> Builder<'a> {
    /// For what is no argument of an aggregate.
    pub(super) fn new(arena: &'a Arena, parameters: Parameters<'a>) -> Builder<'a> {
        Builder { arena, parameters, is_aggregated: false }
    }

    /// A node, or the constant that it is worth.
    pub(super) fn node(self, kind: ExprKind<'a>, ty: Type, span: Span) -> Result<&'a Expr<'a>, Error<'a>> {
        let expr = Expr { kind, ty, span };
        let expr = match fold::constant(&expr, self.arena)? {
            Some(value) => Expr { kind: ExprKind::Literal(value), ty, span },
            None => expr,
        };
        Ok(self.arena.alloc(expr)?)
    }

    pub(super) fn literal(self, value: Value<'a>, ty: Type, span: Span) -> Result<&'a Expr<'a>, AllocError> {
        Ok(self.arena.alloc(Expr { kind: ExprKind::Literal(value), ty, span })?)
    }

    pub(super) fn column(self, position: u32, ty: Type, span: Span) -> Result<&'a Expr<'a>, AllocError> {
        Ok(self.arena.alloc(Expr { kind: ExprKind::Column(position), ty, span })?)
    }

    /// A parameter, whose type is that of the first place that asks for one.
    pub(super) fn parameter(self, number: u32, span: Span) -> Result<&'a Expr<'a>, Error<'a>> {
        let ty = self.parameters.ty(number, span)?;
        Ok(self.arena.alloc(Expr { kind: ExprKind::Parameter(number), ty, span })?)
    }

    /// `arg` as a value of type `to`; the caller knows that the cast exists.
    ///
    /// A quoted literal that has no value of that type is an error here, with the literal's place.
    pub(super) fn cast(self, arg: &'a Expr<'a>, to: Type, span: Span) -> Result<&'a Expr<'a>, Error<'a>> {
        if arg.ty == to {
            return Ok(arg);
        }
        if let ExprKind::Row(_) = arg.kind {
            return Err(Error::NotSupported { what: "a row value", span: arg.span });
        }
        if let (ExprKind::Literal(value), Type::Unknown) = (arg.kind, arg.ty) {
            if fold::depends_on_now(value, to) {
                let text = self.literal(value, Type::Text, arg.span)?;
                return Ok(self.arena.alloc(Expr { kind: ExprKind::Cast(text), ty: to, span })?);
            }
            let value = fold::cast(value, to, arg.span, self.arena)?;
            return Ok(self.literal(value, to, span)?);
        }
        if let (ExprKind::Parameter(number), Type::Unknown) = (arg.kind, arg.ty) {
            let ty = self.parameters.decide(number, to, arg.span)?;
            let typed = self.arena.alloc(Expr { kind: arg.kind, ty, span: arg.span })?;
            return if ty == to { Ok(typed) } else { self.node(ExprKind::Cast(typed), to, span) };
        }
        self.node(ExprKind::Cast(arg), to, span)
    }

    /// `arg` as the place that it stands in wants it, if that needs no written cast.
    pub(super) fn coerce(
        self,
        arg: &'a Expr<'a>,
        expected: Type,
        place: &'static str,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        match is_implicit(arg.ty, expected) {
            true => self.cast(arg, expected, arg.span),
            false => Err(Error::WrongType { place, expected, found: arg.ty, span: arg.span }),
        }
    }

    /// A NULL or quoted literal that nobody gave a type is text.
    pub(super) fn settle(self, arg: &'a Expr<'a>) -> Result<&'a Expr<'a>, Error<'a>> {
        match arg.ty {
            Type::Unknown => self.cast(arg, Type::Text, arg.span),
            _ => Ok(arg),
        }
    }

    /// The type that all of `exprs` become; `construct` is for the error.
    pub(super) fn common_type(
        self,
        exprs: impl Iterator<Item = &'a Expr<'a>> + Clone,
        construct: &'static str,
    ) -> Result<Type, Error<'a>> {
        let among_decimals = exprs.clone().any(is_decimal);
        let has_open_parameter = exprs.clone().any(is_open_parameter);
        // What is compared only may get more digits; what comes out keeps those that it has.
        let is_result = !matches!(construct, "IN" | "CASE/WHEN" | "BETWEEN");
        // In what is summed a whole constant takes the digits of the others: `sum(CASE … THEN price ELSE 0 END)` adds decimals.
        let is_choice = matches!(construct, "CASE" | "COALESCE" | "GREATEST" | "LEAST") && self.is_aggregated;
        let is_whole = |expr: &Expr<'a>| is_choice && among_decimals && is_whole_constant(expr);
        let mut common = Type::Unknown;
        let mut was_whole = true;
        for expr in exprs {
            common = match (common, type_among(expr, among_decimals)) {
                (common, Type::Unknown) => common,
                (Type::Unknown, ty) => ty,
                (common, ty) if is_result && !is_whole(expr) && !was_whole && differ_in_scale(common, ty) => {
                    Type::Numeric
                }
                (common, ty) => super::build::common(common, ty).ok_or(match construct {
                    // Values that are only compared are so one by one.
                    "IN" | "CASE/WHEN" => Error::UndefinedOperator {
                        operator: "=",
                        left: Some(common),
                        right: ty,
                        span: expr.span,
                    },
                    _ => Error::TypesDiffer { construct, left: common, right: ty, span: expr.span },
                })?,
            };
            was_whole &= common == Type::Unknown || is_whole(expr);
        }
        Ok(match common {
            Type::Unknown => Type::Text,
            // Values of parameters keep all of their digits.
            Type::Decimal { .. } if has_open_parameter => Type::Numeric,
            common => common,
        })
    }

    /// All of `exprs` cast to `ty`, in the arena.
    pub(super) fn cast_all(self, exprs: &[&'a Expr<'a>], ty: Type) -> Result<&'a [&'a Expr<'a>], Error<'a>> {
        let mut cast = Vec::with_capacity_in(exprs.len(), self.arena)?;
        for expr in exprs {
            cast.push(self.cast(expr, ty, expr.span)?)?;
        }
        Ok(cast.into_slice())
    }

    /// `+ - * / %`.
    pub(super) fn arithmetic(
        self,
        op: BinaryOp,
        left: &'a Expr<'a>,
        right: &'a Expr<'a>,
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let (left, right) = (self.beside(left, right)?, self.beside(right, left)?);
        let Some(arithmetic) = arithmetic_op(op) else { return Err(self.no_operator(op, left, right, span)) };
        let types = self.pair_types(left, right, |left, right| Type::arithmetic(arithmetic, left, right));
        let Some(types) = types.ok().filter(has_loop) else {
            return functions::operator(self, op.symbol(), Some(left), right, span);
        };
        let left = self.cast(left, types.left, left.span)?;
        let right = self.cast(right, types.right, right.span)?;
        self.node(ExprKind::Binary { op, left, right }, types.result, span)
    }

    /// `= <> < <= > >=` and `IS [NOT] DISTINCT FROM`.
    pub(super) fn compare(
        self,
        op: BinaryOp,
        left: &'a Expr<'a>,
        right: &'a Expr<'a>,
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let (left, right) = (self.as_day(left, right)?, self.as_day(right, left)?);
        let (left, right) = (self.beside(left, right)?, self.beside(right, left)?);
        let common = self
            .pair_types(left, right, |left, right| common(left, right).ok_or(()))
            .map_err(|()| self.no_operator(op, left, right, span))?;
        if common == Type::Json {
            return Err(self.no_operator(op, left, right, span));
        }
        let left = self.cast(left, common, left.span)?;
        let right = self.cast(right, common, right.span)?;
        self.node(ExprKind::Binary { op, left, right }, Type::Boolean, span)
    }

    /// `||`: text and anything that prints.
    pub(super) fn concat(
        self,
        left: &'a Expr<'a>,
        right: &'a Expr<'a>,
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let is_text = |ty| matches!(ty, Type::Text | Type::Char | Type::Unknown);
        let has_own = |ty| matches!(ty, Type::Array(_) | Type::Jsonb | Type::Bytea);
        if has_own(left.ty) || has_own(right.ty) || !is_text(left.ty) && !is_text(right.ty) {
            return functions::operator(self, BinaryOp::Concat.symbol(), Some(left), right, span);
        }
        let left = self.cast(left, Type::Text, left.span)?;
        let right = self.cast(right, Type::Text, right.span)?;
        self.node(ExprKind::Binary { op: BinaryOp::Concat, left, right }, Type::Text, span)
    }

    /// `[NOT] LIKE`.
    pub(super) fn like(
        self,
        [text, pattern]: [&'a Expr<'a>; 2],
        escape: Option<char>,
        negated: bool,
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let operator = if negated { "!~~" } else { "~~" };
        let is_text = |ty| matches!(ty, Type::Text | Type::Char | Type::Unknown);
        if !is_text(text.ty) || !is_text(pattern.ty) {
            return Err(undefined_operator(operator, Some(text.ty), pattern.ty, span));
        }
        let text = self.cast(text, Type::Text, text.span)?;
        let pattern = self.cast(pattern, Type::Text, pattern.span)?;
        self.node(ExprKind::Like { text, pattern, escape, negated }, Type::Boolean, span)
    }

    /// `[NOT] BETWEEN`.
    pub(super) fn between(
        self,
        [arg, low, high]: [&'a Expr<'a>; 3],
        negated: bool,
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let ops = if negated {
            [BinaryOp::Less, BinaryOp::Greater]
        } else {
            [BinaryOp::GreaterEqual, BinaryOp::LessEqual]
        };
        for (bound, op) in [low, high].into_iter().zip(ops) {
            common(arg.ty, bound.ty).ok_or_else(|| self.no_operator(op, arg, bound, span))?;
        }
        let (low, high) = (self.as_day(low, arg)?, self.as_day(high, arg)?);
        let common = self.common_type([arg, low, high].into_iter(), "BETWEEN")?;
        let [arg, low, high] = [arg, low, high].map(|operand| self.cast(operand, common, operand.span));
        let kind = ExprKind::Between { arg: arg?, low: low?, high: high?, negated };
        self.node(kind, Type::Boolean, span)
    }

    /// `[NOT] IN`: the first of `operands` is looked for among the others.
    pub(super) fn in_list(
        self,
        operands: &[&'a Expr<'a>],
        negated: bool,
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let common = self.common_type(operands.iter().copied(), "IN")?;
        let (arg, list) = self.cast_all(operands, common)?.split_first().expect("IN has an operand");
        self.node(ExprKind::InList { arg, list, negated }, Type::Boolean, span)
    }

    /// `AND` or `OR` of two or more, as a balanced tree: their order stays, their depth is a logarithm.
    pub(super) fn junction(
        self,
        op: BinaryOp,
        operands: &[&'a Expr<'a>],
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let place = if op == BinaryOp::And { "AND" } else { "OR" };
        let scratch = Arena::new(self.arena.budget());
        let mut level = Vec::with_capacity_in(operands.len(), &scratch)?;
        for operand in operands {
            level.push(self.coerce(operand, Type::Boolean, place)?)?;
        }
        while level.len() > 1 {
            let pairs = level.len().div_ceil(2);
            for index in 0..pairs {
                level[index] = match level.get(2 * index + 1).copied() {
                    Some(right) => self.join_pair(op, level[2 * index], right, span)?,
                    None => level[2 * index],
                };
            }
            level.truncate(pairs);
        }
        Ok(level.pop().expect("a junction has operands"))
    }

    fn join_pair(
        self,
        op: BinaryOp,
        left: &'a Expr<'a>,
        right: &'a Expr<'a>,
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        match fold::junction(op, left, right) {
            Some(result) => Ok(result),
            None => self.node(ExprKind::Binary { op, left, right }, Type::Boolean, span),
        }
    }

    /// `NOT`.
    pub(super) fn not(self, arg: &'a Expr<'a>, span: Span) -> Result<&'a Expr<'a>, Error<'a>> {
        let arg = self.coerce(arg, Type::Boolean, "NOT")?;
        self.node(ExprKind::Unary { op: UnaryOp::Not, arg }, Type::Boolean, span)
    }

    /// `-`.
    pub(super) fn negate(self, arg: &'a Expr<'a>, span: Span) -> Result<&'a Expr<'a>, Error<'a>> {
        let has_loop = matches!(
            arg.ty,
            Type::Integer | Type::BigInt | Type::Decimal { .. } | Type::Double | Type::Interval
        );
        if !has_loop {
            return functions::operator(self, "-", None, arg, span);
        }
        self.node(ExprKind::Unary { op: UnaryOp::Negate, arg }, arg.ty, span)
    }

    /// `IS [NOT] NULL`, `IS [NOT] TRUE` and the like; `truth` is what errors call a test of a boolean.
    pub(super) fn is(
        self,
        op: UnaryOp,
        arg: &'a Expr<'a>,
        truth: Option<&'static str>,
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let arg = match truth {
            // Whether it is NULL tells nothing of its type.
            None if is_open_parameter(arg) => arg,
            Some(place) => self.coerce(arg, Type::Boolean, place)?,
            None => self.settle(arg)?,
        };
        self.node(ExprKind::Unary { op, arg }, Type::Boolean, span)
    }

    /// `CASE`: `parts` are the operand if there is one, a condition and a result for each branch, and the result of
    /// `ELSE` if there is one.
    pub(super) fn case(
        self,
        parts: &[&'a Expr<'a>],
        has_operand: bool,
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let (operand, branches) = if has_operand { parts.split_at(1) } else { parts.split_at(0) };
        let (pairs, otherwise) = branches.as_chunks::<2>();
        let results = || pairs.iter().map(|pair| pair[1]).chain(otherwise.iter().copied());
        let ty = self.common_type(results(), "CASE")?;
        let conditions = || operand.iter().copied().chain(pairs.iter().map(|pair| pair[0]));
        let tested = if has_operand { self.common_type(conditions(), "CASE/WHEN")? } else { Type::Boolean };
        let mut whens = Vec::with_capacity_in(pairs.len(), self.arena)?;
        for [condition, result] in pairs {
            let condition = self.coerce(condition, tested, "CASE/WHEN")?;
            whens.push(When { condition, result: self.cast(result, ty, result.span)? })?;
        }
        let operand = operand.first().map(|operand| self.cast(operand, tested, operand.span)).transpose()?;
        let otherwise = otherwise.first().map(|other| self.cast(other, ty, other.span)).transpose()?;
        self.node(ExprKind::Case { operand, whens: whens.into_slice(), otherwise }, ty, span)
    }

    /// A call of a function that exists for these arguments, which have their types already.
    pub(super) fn call(
        self,
        function: Function,
        args: &[&'a Expr<'a>],
        ty: Type,
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let args = self.arena.alloc_slice_copy(args)?;
        self.node(ExprKind::Call { function, args }, ty, span)
    }

    /// A constant midnight as its day, where it meets a day: so a scan compares days.
    fn as_day(self, operand: &'a Expr<'a>, other: &Expr<'a>) -> Result<&'a Expr<'a>, AllocError> {
        match operand.kind {
            ExprKind::Literal(Value::Timestamp(moment))
                if other.ty == Type::Date && !moment.is_infinite() && moment.time() == Time::MIDNIGHT =>
            {
                self.literal(Value::Date(moment.date()), Type::Date, operand.span)
            }
            _ => Ok(operand),
        }
    }

    /// A parameter that meets a decimal is a number of any digits.
    fn beside(self, operand: &'a Expr<'a>, other: &Expr<'a>) -> Result<&'a Expr<'a>, Error<'a>> {
        match is_open_parameter(operand) && is_decimal(other) {
            true => self.cast(operand, Type::Numeric, operand.span),
            false => Ok(operand),
        }
    }

    /// What `rule` says about the types of two operands.
    fn pair_types<R, E>(
        self,
        left: &Expr<'a>,
        right: &Expr<'a>,
        rule: impl FnOnce(Type, Type) -> Result<R, E>,
    ) -> Result<R, E> {
        rule(type_among(left, is_decimal(right)), type_among(right, is_decimal(left)))
    }

    fn no_operator(self, op: BinaryOp, left: &Expr<'a>, right: &Expr<'a>, span: Span) -> Error<'a> {
        undefined_operator(op.symbol(), Some(left.ty), right.ty, span)
    }
}

/// Whether the executor has loops for arithmetic on these types; the rest is in the table of functions. A date and an
/// interval give a timestamp, which the table knows.
fn has_loop(types: &Arithmetic) -> bool {
    let slow = |ty| matches!(ty, Type::SmallInt | Type::Real | Type::Numeric);
    let moment =
        matches!((types.left, types.right), (Type::Date, Type::Interval) | (Type::Interval, Type::Date));
    !slow(types.left) && !slow(types.right) && !slow(types.result) && !moment
}

/// Whether a value of one type becomes one of the other without a cast being written.
pub(super) fn is_implicit(from: Type, to: Type) -> bool {
    cast_context(from, to) == Some(CastContext::Implicit)
}

/// The type that both sides of a comparison become, if there is one.
pub(super) fn common(left: Type, right: Type) -> Option<Type> {
    if let Ok(ty) = left.common_type(right) {
        return Some(ty);
    }
    let is_exact = |ty: Type| matches!(ty, Type::Array(element) if element.ty().is_exact_fraction());
    match (is_implicit(left, right), is_implicit(right, left)) {
        (true, true) if is_exact(left) && is_exact(right) => Type::Numeric.array(),
        (true, _) => Some(right),
        (false, true) => Some(left),
        (false, false) => None,
    }
}

/// A constant that is a whole number and no decimal.
fn is_whole_constant(expr: &Expr<'_>) -> bool {
    matches!(expr.kind, ExprKind::Literal(Value::Integer(_) | Value::BigInt(_)))
}

/// Whether both are exact numbers, one of them with digits behind the point that the other one does not have.
pub(super) fn differ_in_scale(left: Type, right: Type) -> bool {
    let scale = |ty: Type| match ty {
        Type::Decimal { scale, .. } => Some(scale),
        ty if ty.is_integer() => Some(0),
        _ => None,
    };
    matches!((scale(left), scale(right)), (Some(left), Some(right)) if left != right)
}

/// A parameter that nothing has told the type of.
pub(super) fn is_open_parameter(expr: &Expr<'_>) -> bool {
    matches!((expr.kind, expr.ty), (ExprKind::Parameter(_), Type::Unknown))
}

fn is_decimal(expr: &Expr<'_>) -> bool {
    matches!(expr.ty, Type::Decimal { .. })
}

/// The type of an operand. Among decimals a whole constant has only the digits that it needs, so that `price > 1` does
/// not widen the price.
fn type_among(expr: &Expr<'_>, among_decimals: bool) -> Type {
    match expr.kind {
        ExprKind::Literal(Value::Integer(value)) if among_decimals => Decimal::from(value).ty(),
        ExprKind::Literal(Value::BigInt(value)) if among_decimals => Decimal::from(value).ty(),
        _ => expr.ty,
    }
}

/// 42883.
pub(super) fn undefined_operator<'a>(
    operator: &'a str,
    left: Option<Type>,
    right: Type,
    span: Span,
) -> Error<'a> {
    Error::UndefinedOperator { operator, left, right, span }
}

/// The arithmetic behind an operator, in the words of `types`.
pub(super) fn arithmetic_op(op: BinaryOp) -> Option<ArithmeticOp> {
    Some(match op {
        BinaryOp::Add => ArithmeticOp::Add,
        BinaryOp::Subtract => ArithmeticOp::Sub,
        BinaryOp::Multiply => ArithmeticOp::Mul,
        BinaryOp::Divide => ArithmeticOp::Div,
        BinaryOp::Modulo => ArithmeticOp::Rem,
        _ => return None,
    })
}
