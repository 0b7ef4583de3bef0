//! Bound expressions to programs, with an explicit stack: depth costs arena, not native stack.
//!
//! The stack holds what is still to do: visit an expression, or finish one whose operands have been visited. Operands
//! wait on a stack of their own. Registers are taken when a result needs a place and given back when it has been read.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_functions::{Output, Problem, Site};
use cofferdam_plan::Span;
use cofferdam_plan::expr::{BinaryOp, Expr, ExprKind, Function, UnaryOp};
use cofferdam_types::cast::CastContext;
use cofferdam_types::row::decode_bytes;
use cofferdam_types::{Session, TextBuffer, Type, Value, cast};

use super::call::{Call, Input, Work};
use super::convert::has_loop;
use super::kernel::Comparison;
use super::like::{Pattern, PatternError};
use super::program::{Inst, Level, Op, Order, Program, Rounding, Set, Test, Trim};
use crate::batch::{Kind, SelectionId, Store, VectorId};
use crate::error::{ArgumentProblem, Error};
use crate::statement::Statement;

/// An operand that nothing reads.
const NONE: VectorId = VectorId(0);
/// The end of a chain of jumps that wait for their target.
const NO_JUMP: u32 = u32::MAX;

/// Registers and levels that an operator's programs share, since they never run at the same time.
#[derive(Debug)]
pub(crate) struct Registers<'a> {
    arena: &'a Arena,
    free: Vec<'a, VectorId>,
    free_levels: Vec<'a, SelectionId>,
}

impl<'a> Registers<'a> {
    pub(crate) fn new(arena: &'a Arena) -> Registers<'a> {
        Registers { arena, free: Vec::new_in(arena), free_levels: Vec::new_in(arena) }
    }

    /// Frees the register of a program's result, where it has one.
    pub(crate) fn give_back(&mut self, program: &Program<'a>) -> Result<(), AllocError> {
        if program.result_is_register { self.free.push(program.result) } else { Ok(()) }
    }

    fn take(&mut self, kind: Kind, store: &mut Store<'a>) -> Result<VectorId, AllocError> {
        match self.free.iter().position(|&id| store.vector(id).kind() == kind) {
            Some(index) => Ok(self.free.swap_remove(index)),
            None => store.add_vector(kind, self.arena),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Operand {
    id: VectorId,
    /// Whether the operand is a register that is free once it has been read.
    is_register: bool,
}

/// An AND or OR whose left side is evaluated.
#[derive(Clone, Copy, Debug)]
struct Logic<'a> {
    expr: &'a Expr<'a>,
    dst: VectorId,
    before: Level,
    jump: u32,
}

/// A CASE or COALESCE under way.
#[derive(Clone, Copy, Debug)]
struct Choice<'a> {
    expr: &'a Expr<'a>,
    dst: VectorId,
    before: Level,
    /// Rows that no branch has taken.
    rest: Level,
    /// Rows that take the current branch.
    taken: Level,
    operand: Option<Operand>,
    /// The branch, from 0.
    index: usize,
    /// The jump that waits for the next branch.
    skip: u32,
    /// The newest jump that waits for the end; each holds the one before it.
    ends: u32,
}

/// An IN whose items are not all constants.
#[derive(Clone, Copy, Debug)]
struct Membership<'a> {
    expr: &'a Expr<'a>,
    arg: Operand,
    found: Option<VectorId>,
    index: usize,
}

/// A GREATEST or LEAST of which some arguments are evaluated.
#[derive(Clone, Copy, Debug)]
struct Extreme<'a> {
    expr: &'a Expr<'a>,
    dst: VectorId,
    /// The argument that is on the stack.
    index: usize,
}

#[derive(Clone, Copy, Debug)]
enum Task<'a> {
    Visit(&'a Expr<'a>),
    Finish(&'a Expr<'a>),
    LogicRight(&'a Expr<'a>),
    LogicEnd(Logic<'a>),
    CaseStart(&'a Expr<'a>),
    Condition(Choice<'a>),
    Branch(Choice<'a>),
    Result(Choice<'a>),
    Otherwise(Choice<'a>),
    Item(Membership<'a>),
    Extreme(Extreme<'a>),
}

/// Compiles `expr` over an input whose columns are `columns`.
pub(crate) fn compile<'a>(
    expr: &'a Expr<'a>,
    columns: &[VectorId],
    store: &mut Store<'a>,
    registers: &mut Registers<'a>,
) -> Result<Program<'a>, Error<'a>> {
    let scratch = Arena::new(registers.arena.budget());
    let arena = registers.arena;
    let mut compiler = Compiler {
        columns,
        store,
        registers,
        arena,
        insts: Vec::new_in(arena),
        patterns: Vec::new_in(arena),
        calls: Vec::new_in(arena),
        levels: Vec::new_in(arena),
        level: Level(0),
        tasks: Vec::new_in(&scratch),
        operands: Vec::new_in(&scratch),
        spare_levels: Vec::new_in(&scratch),
    };
    let Operand { id: result, is_register: result_is_register } = compiler.run(expr)?;
    let Compiler { insts, patterns, calls, levels, .. } = compiler;
    for &level in &levels {
        registers.free_levels.push(level)?;
    }
    Ok(Program {
        insts: insts.into_slice(),
        levels: levels.into_slice(),
        patterns,
        calls,
        scratch: Arena::new(arena.budget()),
        result,
        result_is_register,
    })
}

struct Compiler<'a, 'c, 's> {
    columns: &'c [VectorId],
    store: &'c mut Store<'a>,
    registers: &'c mut Registers<'a>,
    arena: &'a Arena,
    insts: Vec<'a, Inst<'a>>,
    patterns: Vec<'a, Pattern<'a>>,
    calls: Vec<'a, Call<'a>>,
    levels: Vec<'a, SelectionId>,
    level: Level,
    tasks: Vec<'s, Task<'a>>,
    operands: Vec<'s, Operand>,
    /// Levels that may be used again.
    spare_levels: Vec<'s, Level>,
}

impl<'a> Compiler<'a, '_, '_> {
    fn run(&mut self, expr: &'a Expr<'a>) -> Result<Operand, Error<'a>> {
        self.tasks.push(Task::Visit(expr))?;
        while let Some(task) = self.tasks.pop() {
            match task {
                Task::Visit(expr) => self.visit(expr)?,
                Task::Finish(expr) => self.finish(expr)?,
                Task::LogicRight(expr) => self.logic_right(expr)?,
                Task::LogicEnd(logic) => self.logic_end(logic)?,
                Task::CaseStart(expr) => {
                    let operand = self.pop();
                    self.choice(expr, Some(operand))?;
                }
                Task::Condition(choice) => self.condition(choice)?,
                Task::Branch(choice) => self.branch(choice)?,
                Task::Result(choice) => self.choice_result(choice)?,
                Task::Otherwise(choice) => self.otherwise(choice)?,
                Task::Item(membership) => self.item(membership)?,
                Task::Extreme(extreme) => self.extreme(extreme)?,
            }
        }
        // The result is read after the run, so its register is not given back.
        Ok(self.pop())
    }

    fn visit(&mut self, expr: &'a Expr<'a>) -> Result<(), Error<'a>> {
        match &expr.kind {
            ExprKind::Column(index) => {
                let id = self.columns[*index as usize];
                self.operands.push(Operand { id, is_register: false })?;
            }
            ExprKind::Literal(_) | ExprKind::Parameter(_) => {
                let value = self.given(expr).unwrap_or_default();
                // Of unknown type is what is only asked whether it is NULL.
                let ty = if expr.ty == Type::Unknown { value.ty() } else { expr.ty };
                let id = self.constant(value, ty, expr.span)?;
                self.operands.push(Operand { id, is_register: false })?;
            }
            ExprKind::Binary { op: BinaryOp::And | BinaryOp::Or, left, .. } => {
                self.tasks.push(Task::LogicRight(expr))?;
                self.tasks.push(Task::Visit(left))?;
            }
            ExprKind::Case { operand: Some(operand), .. } => {
                self.tasks.push(Task::CaseStart(expr))?;
                self.tasks.push(Task::Visit(operand))?;
            }
            ExprKind::Case { operand: None, .. } | ExprKind::Call { function: Function::Coalesce, .. } => {
                self.choice(expr, None)?;
            }
            ExprKind::InList { arg, .. } => {
                self.tasks.push(Task::Finish(expr))?;
                self.tasks.push(Task::Visit(arg))?;
            }
            ExprKind::Call { function: Function::Greatest | Function::Least, args } => {
                let dst = self.register(Kind::of(expr.ty))?;
                self.emit(Op::Clear, dst, [NONE; 3], expr.span)?;
                self.tasks.push(Task::Extreme(Extreme { expr, dst, index: 0 }))?;
                self.tasks.push(Task::Visit(args[0]))?;
            }
            ExprKind::Call {
                function:
                    Function::LimitCharacters
                    | Function::PadCharacters
                    | Function::FitCharacters
                    | Function::RoundSeconds,
                args,
            } => {
                self.tasks.push(Task::Finish(expr))?;
                self.tasks.push(Task::Visit(args[0]))?;
            }
            ExprKind::Row(_) => unreachable!("a plan has no rows as values"),
            _ => self.visit_operands(expr)?,
        }
        Ok(())
    }

    /// Has the operands of a strict expression visited from left to right, then the expression finished.
    fn visit_operands(&mut self, expr: &'a Expr<'a>) -> Result<(), AllocError> {
        self.tasks.push(Task::Finish(expr))?;
        match &expr.kind {
            ExprKind::Unary { arg, .. } | ExprKind::Cast(arg) => self.tasks.push(Task::Visit(arg)),
            ExprKind::Binary { op, left, right } => {
                let (mut left, mut right) = (*left, *right);
                if matches!(op, BinaryOp::Add | BinaryOp::Subtract) {
                    left = self.at_scale_of(left, expr.ty)?;
                    right = self.at_scale_of(right, expr.ty)?;
                }
                self.tasks.push(Task::Visit(right))?;
                self.tasks.push(Task::Visit(left))
            }
            ExprKind::Between { arg, low, high, .. } => {
                self.tasks.push(Task::Visit(high))?;
                self.tasks.push(Task::Visit(low))?;
                self.tasks.push(Task::Visit(arg))
            }
            ExprKind::Like { text, pattern, .. } => {
                self.tasks.push(Task::Visit(pattern))?;
                self.tasks.push(Task::Visit(text))
            }
            ExprKind::Call { args, .. } => {
                for arg in args.iter().rev() {
                    self.tasks.push(Task::Visit(arg))?;
                }
                Ok(())
            }
            ExprKind::Column(_)
            | ExprKind::Literal(_)
            | ExprKind::Parameter(_)
            | ExprKind::Row(_)
            | ExprKind::InList { .. }
            | ExprKind::Case { .. } => {
                unreachable!("visited elsewhere")
            }
        }
    }

    /// A decimal with as many digits behind the point as the sum or difference that it is an operand of.
    fn at_scale_of(&self, operand: &'a Expr<'a>, sum: Type) -> Result<&'a Expr<'a>, AllocError> {
        let (Type::Decimal { precision, scale }, Type::Decimal { scale: wanted, .. }) = (operand.ty, sum)
        else {
            return Ok(operand);
        };
        if scale == wanted {
            return Ok(operand);
        }
        let digits = (precision + wanted).saturating_sub(scale);
        let ty =
            Type::Decimal { precision: digits.clamp(1, Type::DECIMAL_DIGITS_MAX).max(wanted), scale: wanted };
        let kind = match operand.kind {
            // A constant that has too many digits for it is an error of the row that reads it.
            ExprKind::Literal(Value::Decimal(value)) if value.rescale(wanted).is_ok() => {
                ExprKind::Literal(Value::Decimal(value))
            }
            ExprKind::Literal(Value::Null) => operand.kind,
            _ => ExprKind::Cast(operand),
        };
        Ok(self.arena.alloc(Expr { kind, ty, span: operand.span })?)
    }

    /// Emits the instructions of an expression whose operands stand on the stack.
    fn finish(&mut self, expr: &'a Expr<'a>) -> Result<(), Error<'a>> {
        match &expr.kind {
            ExprKind::Unary { op, arg } => self.unary(*op, arg.ty, expr),
            ExprKind::Binary { op, left, right } => self.binary(*op, left.ty, right.ty, expr),
            ExprKind::Cast(arg) => self.cast(arg.ty, expr),
            ExprKind::Between { arg, negated, .. } => self.between(arg.ty, *negated, expr),
            ExprKind::Like { pattern, escape, negated, .. } => self.like(pattern, *escape, *negated, expr),
            ExprKind::InList { arg, list, negated } => self.in_list(arg.ty, list, *negated, expr),
            ExprKind::Call { function, args } => self.call(*function, args, expr),
            ExprKind::Column(_)
            | ExprKind::Literal(_)
            | ExprKind::Parameter(_)
            | ExprKind::Row(_)
            | ExprKind::Case { .. } => {
                unreachable!("finished elsewhere")
            }
        }
    }

    fn unary(&mut self, op: UnaryOp, arg: Type, expr: &'a Expr<'a>) -> Result<(), Error<'a>> {
        let op = match op {
            UnaryOp::Not => Op::Not,
            UnaryOp::Negate => Op::Negate(arg),
            UnaryOp::IsNull => Op::IsNull { negated: false },
            UnaryOp::IsNotNull => Op::IsNull { negated: true },
            UnaryOp::IsTrue => Op::IsTruth { wanted: true, negated: false },
            UnaryOp::IsNotTrue => Op::IsTruth { wanted: true, negated: true },
            UnaryOp::IsFalse => Op::IsTruth { wanted: false, negated: false },
            UnaryOp::IsNotFalse => Op::IsTruth { wanted: false, negated: true },
        };
        self.emit1(op, expr)
    }

    fn binary(&mut self, op: BinaryOp, left: Type, right: Type, expr: &'a Expr<'a>) -> Result<(), Error<'a>> {
        let op = match op {
            BinaryOp::Add | BinaryOp::Subtract | BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo => {
                Op::Arithmetic { op, left, right, result: expr.ty }
            }
            BinaryOp::Equal => comparison(Comparison::Equal, left),
            BinaryOp::NotEqual => comparison(Comparison::NotEqual, left),
            BinaryOp::Less => comparison(Comparison::Less, left),
            BinaryOp::LessEqual => comparison(Comparison::LessEqual, left),
            BinaryOp::Greater => comparison(Comparison::Greater, left),
            BinaryOp::GreaterEqual => comparison(Comparison::GreaterEqual, left),
            BinaryOp::IsDistinctFrom => Op::Distinct { negated: false, order: Order::of(left) },
            BinaryOp::IsNotDistinctFrom => Op::Distinct { negated: true, order: Order::of(left) },
            BinaryOp::Concat => Op::Concat,
            BinaryOp::And | BinaryOp::Or => unreachable!("compiled with levels"),
        };
        self.emit2(op, expr)
    }

    fn cast(&mut self, from: Type, expr: &'a Expr<'a>) -> Result<(), Error<'a>> {
        if is_same_representation(from, expr.ty) {
            return Ok(());
        }
        match has_loop(from, expr.ty) {
            true => self.emit1(Op::Cast { from, to: expr.ty }, expr),
            false => self.emit_call(Work::Cast, &[from], expr),
        }
    }

    fn between(&mut self, arg: Type, negated: bool, expr: &'a Expr<'a>) -> Result<(), Error<'a>> {
        let (high, low, value) = (self.pop(), self.pop(), self.pop());
        let dst = self.register(Kind::Bool)?;
        let above = comparison(Comparison::GreaterEqual, arg);
        self.emit(above, dst, [value.id, low.id, NONE], expr.span)?;
        self.free(low)?;
        let other = self.register(Kind::Bool)?;
        let below = comparison(Comparison::LessEqual, arg);
        self.emit(below, other, [value.id, high.id, NONE], expr.span)?;
        self.free(value)?;
        self.free(high)?;
        self.emit(Op::And, dst, [other, NONE, NONE], expr.span)?;
        self.registers.free.push(other)?;
        self.push_maybe_negated(dst, negated, expr)
    }

    fn push_maybe_negated(
        &mut self,
        dst: VectorId,
        negated: bool,
        expr: &'a Expr<'a>,
    ) -> Result<(), Error<'a>> {
        self.operands.push(Operand { id: dst, is_register: true })?;
        if negated { self.emit1(Op::Not, expr) } else { Ok(()) }
    }

    fn like(
        &mut self,
        pattern: &'a Expr<'a>,
        escape: Option<char>,
        negated: bool,
        expr: &'a Expr<'a>,
    ) -> Result<(), Error<'a>> {
        let mut compiled = Pattern::new(self.arena);
        let mut constant = false;
        if let Some(Value::Text(text)) = self.given(pattern) {
            compiled.set(text, escape)?;
            constant = true;
        }
        self.patterns.push(compiled)?;
        let pattern = self.patterns.len() as u32 - 1;
        self.emit2(Op::Like { pattern, constant, escape, negated }, expr)
    }

    fn in_list(
        &mut self,
        arg: Type,
        list: &'a [&'a Expr<'a>],
        negated: bool,
        expr: &'a Expr<'a>,
    ) -> Result<(), Error<'a>> {
        if let Some((set, has_null)) = self.constant_set(arg, list, expr.span)? {
            return self.emit1(Op::InSet { set, has_null, negated }, expr);
        }
        let arg = self.pop();
        let first = Membership { expr, arg, found: None, index: 0 };
        self.tasks.push(Task::Item(first))?;
        Ok(self.tasks.push(Task::Visit(list[0]))?)
    }

    /// One more item of an IN list is evaluated.
    fn item(&mut self, mut membership: Membership<'a>) -> Result<(), Error<'a>> {
        let Membership { expr, arg, .. } = membership;
        let ExprKind::InList { arg: arg_expr, list, negated } = &expr.kind else {
            unreachable!("only IN has items")
        };
        let item = self.pop();
        let equal = self.register(Kind::Bool)?;
        self.emit(comparison(Comparison::Equal, arg_expr.ty), equal, [arg.id, item.id, NONE], expr.span)?;
        self.free(item)?;
        match membership.found {
            None => membership.found = Some(equal),
            Some(found) => {
                self.emit(Op::Or, found, [equal, NONE, NONE], expr.span)?;
                self.registers.free.push(equal)?;
            }
        }
        membership.index += 1;
        match (list.get(membership.index), membership.found) {
            (Some(next), _) => {
                self.tasks.push(Task::Item(membership))?;
                Ok(self.tasks.push(Task::Visit(next))?)
            }
            (None, Some(found)) => {
                self.free(arg)?;
                self.push_maybe_negated(found, *negated, expr)
            }
            (None, None) => unreachable!("an item was just compared"),
        }
    }

    /// The items of an IN list as a sorted set, if they are constants of a type that sorts as numbers or bytes do.
    fn constant_set(
        &mut self,
        ty: Type,
        list: &[&'a Expr<'a>],
        span: Span,
    ) -> Result<Option<(Set<'a>, bool)>, Error<'a>> {
        let kind = Kind::of(ty);
        let sorts = matches!(kind, Kind::I32 | Kind::I64 | Kind::I128) && ty != Type::Interval
            || matches!(ty, Type::Text | Type::Bytea);
        if !sorts || !list.iter().all(|item| self.given(item).is_some()) {
            return Ok(None);
        }
        let statement = self.store.statement;
        let values = list.iter().filter_map(|item| given(item, &statement)).filter(|value| !value.is_null());
        let count = values.clone().count();
        let set = if kind == Kind::Text {
            let texts = values.map(|value| value.heap_bytes().unwrap_or(&[]));
            let mut sorted = Vec::with_capacity_in(count, self.arena)?;
            sorted.extend(texts)?;
            sorted.sort_unstable();
            Set::Texts(sorted.into_slice())
        } else {
            let mut sorted = Vec::with_capacity_in(count, self.arena)?;
            for value in values {
                sorted.push(number_of(value, ty).map_err(|error| Error::Value { error, span })?)?;
            }
            sorted.sort_unstable();
            Set::Numbers(sorted.into_slice())
        };
        Ok(Some((set, count < list.len())))
    }

    fn call(
        &mut self,
        function: Function,
        args: &[&'a Expr<'a>],
        expr: &'a Expr<'a>,
    ) -> Result<(), Error<'a>> {
        let from = args.first().map_or(Type::Unknown, |arg| arg.ty);
        let to = expr.ty;
        match function {
            Function::Lower => self.emit1(Op::Lower, expr),
            Function::Upper => self.emit1(Op::Upper, expr),
            Function::Length => self.emit1(Op::Length, expr),
            Function::Substring => {
                let has_count = args.len() > 2;
                if has_count {
                    self.emit3(Op::Substring { has_count }, expr)
                } else {
                    self.emit2(Op::Substring { has_count }, expr)
                }
            }
            Function::TrimBoth => self.emit2(Op::Trim(Trim::Both), expr),
            Function::TrimLeading => self.emit2(Op::Trim(Trim::Leading), expr),
            Function::TrimTrailing => self.emit2(Op::Trim(Trim::Trailing), expr),
            Function::Abs => self.emit1(Op::Abs(from), expr),
            Function::Round => self.emit1(Op::Round { how: Rounding::Nearest, from, to }, expr),
            Function::Floor => self.emit1(Op::Round { how: Rounding::Down, from, to }, expr),
            Function::Ceil => self.emit1(Op::Round { how: Rounding::Up, from, to }, expr),
            Function::Extract(field) => self.emit1(Op::Extract { field, to }, expr),
            Function::NullIf => self.null_if(from, expr),
            Function::LimitCharacters => self.limit_characters(args[1], expr),
            Function::PadCharacters => {
                let work = Work::Pad { count: count_of(args[1]), context: CastContext::Explicit };
                self.emit_call(work, &[from], expr)
            }
            Function::FitCharacters => {
                let work = Work::Pad { count: count_of(args[1]), context: CastContext::Assignment };
                self.emit_call(work, &[from], expr)
            }
            Function::RoundSeconds => {
                let digits = u8::try_from(count_of(args[1])).unwrap_or(u8::MAX);
                self.emit_call(Work::RoundSeconds { digits }, &[from], expr)
            }
            Function::Scalar(id) => self.emit_call_of(Work::Function(id), args, expr),
            Function::Array => self.emit_call_of(Work::Array, args, expr),
            Function::Subscript => self.emit_call_of(Work::Subscript, args, expr),
            Function::Slice => self.emit_call_of(Work::Slice, args, expr),
            Function::Field => self.emit_call_of(Work::Field, args, expr),
            Function::AnyElement(op) => self.over_elements(op, false, args, expr),
            Function::AllElements(op) => self.over_elements(op, true, args, expr),
            Function::Coalesce | Function::Greatest | Function::Least => {
                unreachable!("compiled argument by argument")
            }
        }
    }

    /// The text itself where it is short enough: the result is another view of the operand's heap, which is therefore kept.
    fn limit_characters(&mut self, count: &'a Expr<'a>, expr: &'a Expr<'a>) -> Result<(), Error<'a>> {
        let count = count_of(count);
        let text = self.pop();
        let heap = self.store.vector(text.id).heap;
        let dst = self.store.add_text_over(heap, self.arena)?;
        let op = Op::LimitCharacters { count };
        self.emit(op, dst, [text.id, NONE, NONE], expr.span)?;
        Ok(self.operands.push(Operand { id: dst, is_register: false })?)
    }

    /// One more argument of GREATEST or LEAST is evaluated: takes the rows for which it wins.
    fn extreme(&mut self, mut extreme: Extreme<'a>) -> Result<(), Error<'a>> {
        let Extreme { expr, dst, .. } = extreme;
        let ExprKind::Call { function, args } = &expr.kind else { unreachable!("both are calls") };
        let arg = self.pop();
        let replaces = self.register(Kind::Bool)?;
        let greatest = *function == Function::Greatest;
        let op = Op::Replaces { greatest, order: Order::of(expr.ty) };
        self.emit(op, replaces, [dst, arg.id, NONE], expr.span)?;
        let (before, taken) = (self.level, self.add_level()?);
        let narrow = Op::Narrow { test: Test::True, from: before, to: taken };
        self.emit(narrow, NONE, [replaces, NONE, NONE], expr.span)?;
        self.use_level(taken, expr.span)?;
        self.emit(Op::Copy, dst, [arg.id, NONE, NONE], expr.span)?;
        self.use_level(before, expr.span)?;
        self.spare_levels.push(taken)?;
        self.registers.free.push(replaces)?;
        self.free(arg)?;
        extreme.index += 1;
        match args.get(extreme.index) {
            Some(next) => {
                self.tasks.push(Task::Extreme(extreme))?;
                Ok(self.tasks.push(Task::Visit(next))?)
            }
            None => Ok(self.operands.push(Operand { id: dst, is_register: true })?),
        }
    }

    /// The first argument, for rows where it does not equal the second.
    fn null_if(&mut self, ty: Type, expr: &'a Expr<'a>) -> Result<(), Error<'a>> {
        let (right, left) = (self.pop(), self.pop());
        let equal = self.register(Kind::Bool)?;
        self.emit(comparison(Comparison::Equal, ty), equal, [left.id, right.id, NONE], expr.span)?;
        let dst = self.register(Kind::of(expr.ty))?;
        self.emit(Op::Clear, dst, [NONE; 3], expr.span)?;
        let (before, kept) = (self.level, self.add_level()?);
        let narrow = Op::Narrow { test: Test::NotTrue, from: before, to: kept };
        self.emit(narrow, NONE, [equal, NONE, NONE], expr.span)?;
        self.use_level(kept, expr.span)?;
        self.emit(Op::Copy, dst, [left.id, NONE, NONE], expr.span)?;
        self.use_level(before, expr.span)?;
        self.spare_levels.push(kept)?;
        self.registers.free.push(equal)?;
        self.free(left)?;
        self.free(right)?;
        Ok(self.operands.push(Operand { id: dst, is_register: true })?)
    }

    /// The left side of an AND or OR is evaluated: goes on with the right side where the left has not decided.
    fn logic_right(&mut self, expr: &'a Expr<'a>) -> Result<(), Error<'a>> {
        let ExprKind::Binary { op, right, .. } = &expr.kind else { unreachable!("AND and OR are binary") };
        let left = self.pop();
        let dst = if left.is_register {
            left.id
        } else {
            let dst = self.register(Kind::Bool)?;
            self.emit(Op::Clear, dst, [NONE; 3], expr.span)?;
            self.emit(Op::Copy, dst, [left.id, NONE, NONE], expr.span)?;
            dst
        };
        let test = if *op == BinaryOp::And { Test::NotFalse } else { Test::NotTrue };
        let (before, undecided) = (self.level, self.add_level()?);
        let narrow = Op::Narrow { test, from: before, to: undecided };
        self.emit(narrow, NONE, [dst, NONE, NONE], expr.span)?;
        let jump = self.jump_if_empty(undecided, NO_JUMP, expr.span)?;
        self.use_level(undecided, expr.span)?;
        self.tasks.push(Task::LogicEnd(Logic { expr, dst, before, jump }))?;
        Ok(self.tasks.push(Task::Visit(right))?)
    }

    fn logic_end(&mut self, logic: Logic<'a>) -> Result<(), Error<'a>> {
        let Logic { expr, dst, before, jump } = logic;
        let right = self.pop();
        let is_and = matches!(expr.kind, ExprKind::Binary { op: BinaryOp::And, .. });
        let op = if is_and { Op::And } else { Op::Or };
        self.emit(op, dst, [right.id, NONE, NONE], expr.span)?;
        self.free(right)?;
        self.spare_levels.push(self.level)?;
        self.land(jump);
        self.use_level(before, expr.span)?;
        Ok(self.operands.push(Operand { id: dst, is_register: true })?)
    }

    /// Starts a CASE or COALESCE.
    fn choice(&mut self, expr: &'a Expr<'a>, operand: Option<Operand>) -> Result<(), Error<'a>> {
        let dst = self.register(Kind::of(expr.ty))?;
        self.emit(Op::Clear, dst, [NONE; 3], expr.span)?;
        let before = self.level;
        let (rest, taken) = (self.add_level()?, self.add_level()?);
        let all = Op::Narrow { test: Test::Any, from: before, to: rest };
        self.emit(all, NONE, [NONE; 3], expr.span)?;
        self.use_level(rest, expr.span)?;
        self.condition(Choice {
            expr,
            dst,
            before,
            rest,
            taken,
            operand,
            index: 0,
            skip: NO_JUMP,
            ends: NO_JUMP,
        })
    }

    /// Has the condition of the next branch evaluated, or ends the choice.
    fn condition(&mut self, mut choice: Choice<'a>) -> Result<(), Error<'a>> {
        if choice.index > 0 {
            self.land(choice.skip);
            self.use_level(choice.rest, choice.expr.span)?;
            choice.ends = self.jump_if_empty(choice.rest, choice.ends, choice.expr.span)?;
        }
        let (condition, otherwise) = match &choice.expr.kind {
            ExprKind::Case { whens, otherwise, .. } => {
                (whens.get(choice.index).map(|when| when.condition), *otherwise)
            }
            ExprKind::Call { args, .. } => (args.get(choice.index).copied(), None),
            _ => unreachable!("only CASE and COALESCE are choices"),
        };
        match (condition, otherwise) {
            (Some(condition), _) => {
                self.tasks.push(Task::Branch(choice))?;
                Ok(self.tasks.push(Task::Visit(condition))?)
            }
            (None, Some(otherwise)) => {
                self.tasks.push(Task::Otherwise(choice))?;
                Ok(self.tasks.push(Task::Visit(otherwise))?)
            }
            (None, None) => self.end_choice(choice),
        }
    }

    /// The condition of a branch, or the argument of a COALESCE, is evaluated: parts the rows that take it.
    fn branch(&mut self, mut choice: Choice<'a>) -> Result<(), Error<'a>> {
        let span = choice.expr.span;
        let condition = self.pop();
        let split = |test| Op::Split { test, from: choice.rest, to: choice.taken };
        let ExprKind::Case { operand, whens, .. } = &choice.expr.kind else {
            self.emit(split(Test::NotNull), NONE, [condition.id, NONE, NONE], span)?;
            choice.skip = self.jump_if_empty(choice.taken, NO_JUMP, span)?;
            self.use_level(choice.taken, span)?;
            self.operands.push(condition)?;
            return self.choice_result(choice);
        };
        match (choice.operand, operand) {
            (Some(value), Some(operand)) => {
                let equal = self.register(Kind::Bool)?;
                let compare = comparison(Comparison::Equal, operand.ty);
                self.emit(compare, equal, [value.id, condition.id, NONE], span)?;
                self.emit(split(Test::True), NONE, [equal, NONE, NONE], span)?;
                self.registers.free.push(equal)?;
            }
            _ => self.emit(split(Test::True), NONE, [condition.id, NONE, NONE], span)?,
        }
        self.free(condition)?;
        choice.skip = self.jump_if_empty(choice.taken, NO_JUMP, span)?;
        self.use_level(choice.taken, span)?;
        self.tasks.push(Task::Result(choice))?;
        Ok(self.tasks.push(Task::Visit(whens[choice.index].result))?)
    }

    /// The result of a branch is evaluated for the rows that take it.
    fn choice_result(&mut self, mut choice: Choice<'a>) -> Result<(), Error<'a>> {
        let result = self.pop();
        self.emit(Op::Copy, choice.dst, [result.id, NONE, NONE], choice.expr.span)?;
        self.free(result)?;
        choice.index += 1;
        Ok(self.tasks.push(Task::Condition(choice))?)
    }

    fn otherwise(&mut self, choice: Choice<'a>) -> Result<(), Error<'a>> {
        let result = self.pop();
        self.emit(Op::Copy, choice.dst, [result.id, NONE, NONE], choice.expr.span)?;
        self.free(result)?;
        self.end_choice(choice)
    }

    fn end_choice(&mut self, choice: Choice<'a>) -> Result<(), Error<'a>> {
        let mut jump = choice.ends;
        while jump != NO_JUMP {
            jump = self.land(jump);
        }
        self.use_level(choice.before, choice.expr.span)?;
        self.spare_levels.push(choice.rest)?;
        self.spare_levels.push(choice.taken)?;
        if let Some(operand) = choice.operand {
            self.free(operand)?;
        }
        Ok(self.operands.push(Operand { id: choice.dst, is_register: true })?)
    }

    fn emit1(&mut self, op: Op<'a>, expr: &'a Expr<'a>) -> Result<(), Error<'a>> {
        let a = self.pop();
        let dst = self.register(Kind::of(expr.ty))?;
        self.emit(op, dst, [a.id, NONE, NONE], expr.span)?;
        self.free(a)?;
        Ok(self.operands.push(Operand { id: dst, is_register: true })?)
    }

    fn emit2(&mut self, op: Op<'a>, expr: &'a Expr<'a>) -> Result<(), Error<'a>> {
        let (b, a) = (self.pop(), self.pop());
        let dst = self.register(Kind::of(expr.ty))?;
        self.emit(op, dst, [a.id, b.id, NONE], expr.span)?;
        self.free(a)?;
        self.free(b)?;
        Ok(self.operands.push(Operand { id: dst, is_register: true })?)
    }

    fn emit3(&mut self, op: Op<'a>, expr: &'a Expr<'a>) -> Result<(), Error<'a>> {
        let (c, b, a) = (self.pop(), self.pop(), self.pop());
        let dst = self.register(Kind::of(expr.ty))?;
        self.emit(op, dst, [a.id, b.id, c.id], expr.span)?;
        for operand in [a, b, c] {
            self.free(operand)?;
        }
        Ok(self.operands.push(Operand { id: dst, is_register: true })?)
    }

    /// A call of the operands on the stack, whose types are these.
    fn emit_call(&mut self, work: Work, types: &[Type], expr: &'a Expr<'a>) -> Result<(), Error<'a>> {
        let first = self.operands.len() - types.len();
        let inputs =
            self.operands[first..].iter().zip(types).map(|(operand, &ty)| Input { id: operand.id, ty });
        let inputs = &*self.arena.alloc_slice_from_iter(inputs)?;
        let site = Site::new(self.arena.budget());
        self.calls.push(Call { work, inputs, ty: expr.ty, site })?;
        let op = Op::Call(self.calls.len() as u32 - 1);
        let dst = self.register(Kind::of(expr.ty))?;
        self.emit(op, dst, [NONE; 3], expr.span)?;
        while self.operands.len() > first {
            let operand = self.pop();
            self.free(operand)?;
        }
        Ok(self.operands.push(Operand { id: dst, is_register: true })?)
    }

    /// As [`Compiler::emit_call`], with the types of arguments.
    fn emit_call_of(
        &mut self,
        work: Work,
        args: &[&'a Expr<'a>],
        expr: &'a Expr<'a>,
    ) -> Result<(), Error<'a>> {
        let scratch = Arena::new(self.arena.budget());
        let types = scratch.alloc_slice_from_iter(args.iter().map(|arg| arg.ty))?;
        self.emit_call(work, types, expr)
    }

    /// `value op ANY (array)`, `value op ALL (array)`.
    fn over_elements(
        &mut self,
        op: BinaryOp,
        all: bool,
        args: &[&'a Expr<'a>],
        expr: &'a Expr<'a>,
    ) -> Result<(), Error<'a>> {
        let op = match op {
            BinaryOp::Equal => Comparison::Equal,
            BinaryOp::NotEqual => Comparison::NotEqual,
            BinaryOp::Less => Comparison::Less,
            BinaryOp::LessEqual => Comparison::LessEqual,
            BinaryOp::Greater => Comparison::Greater,
            BinaryOp::GreaterEqual => Comparison::GreaterEqual,
            _ => return Err(Error::NotSupported { what: "ANY" }),
        };
        self.emit_call_of(Work::Elements { op, all }, args, expr)
    }

    fn emit(
        &mut self,
        op: Op<'a>,
        dst: VectorId,
        [a, b, c]: [VectorId; 3],
        span: Span,
    ) -> Result<(), Error<'a>> {
        Ok(self.insts.push(Inst { op, dst, a, b, c, span })?)
    }

    fn use_level(&mut self, level: Level, span: Span) -> Result<(), Error<'a>> {
        self.level = level;
        self.emit(Op::Use(level), NONE, [NONE; 3], span)
    }

    /// A jump whose target is not known; until [`Compiler::land`] it holds `chain`.
    fn jump_if_empty(&mut self, level: Level, chain: u32, span: Span) -> Result<u32, Error<'a>> {
        self.emit(Op::JumpIfEmpty { level, target: chain }, NONE, [NONE; 3], span)?;
        Ok(self.insts.len() as u32 - 1)
    }

    /// Sends a jump to the next instruction, and gives the chain it held.
    fn land(&mut self, jump: u32) -> u32 {
        let here = self.insts.len() as u32;
        match &mut self.insts[jump as usize].op {
            Op::JumpIfEmpty { target, .. } => core::mem::replace(target, here),
            _ => unreachable!("only jumps land"),
        }
    }

    fn add_level(&mut self) -> Result<Level, AllocError> {
        if let Some(level) = self.spare_levels.pop() {
            return Ok(level);
        }
        let selection = match self.registers.free_levels.pop() {
            Some(selection) => selection,
            None => self.store.add_selection(self.arena)?,
        };
        self.levels.push(selection)?;
        Ok(Level(self.levels.len() as u32))
    }

    /// The value of what is the same for all rows.
    fn given(&self, expr: &Expr<'a>) -> Option<Value<'a>> {
        given(expr, &self.store.statement)
    }

    fn constant(&mut self, value: Value<'a>, ty: Type, span: Span) -> Result<VectorId, Error<'a>> {
        let scratch = Arena::new(self.arena.budget());
        let mut made = Vec::new_in(&scratch);
        let value = typed(value, ty, &mut made).map_err(|problem| Error::of_call(problem, span))?;
        Ok(self.store.add_constant(Kind::of(ty), value, self.arena)?)
    }

    fn register(&mut self, kind: Kind) -> Result<VectorId, AllocError> {
        self.registers.take(kind, self.store)
    }

    fn free(&mut self, operand: Operand) -> Result<(), AllocError> {
        if operand.is_register { self.registers.free.push(operand.id) } else { Ok(()) }
    }

    fn pop(&mut self) -> Operand {
        self.operands.pop().expect("an operand stands on the stack for each that was visited")
    }
}

/// The value of a literal or a parameter.
fn given<'a>(expr: &Expr<'a>, statement: &Statement<'a>) -> Option<Value<'a>> {
    match expr.kind {
        ExprKind::Literal(value) => Some(value),
        ExprKind::Parameter(number) => Some(statement.parameter(number)),
        _ => None,
    }
}

/// The constant behind a text, which the binder has put there.
fn count_of(count: &Expr<'_>) -> u32 {
    match count.kind {
        ExprKind::Literal(Value::Integer(count)) => count.cast_unsigned(),
        _ => unreachable!("the binder gives a constant"),
    }
}

fn comparison<'a>(op: Comparison, ty: Type) -> Op<'a> {
    Op::Compare(op, Order::of(ty))
}

/// Whether a value of `from` is one of `to` as it stands, whatever it is.
fn is_same_representation(from: Type, to: Type) -> bool {
    match (from, to) {
        (Type::Decimal { precision: p1, scale: s1 }, Type::Decimal { precision: p2, scale: s2 }) => {
            s1 == s2 && p1 <= p2 && Kind::of(from) == Kind::of(to)
        }
        (Type::Unknown, Type::Text) => true,
        _ => from == to,
    }
}

/// A constant as a value of exactly this type: a number of another type or scale is converted. What has to be made stands in
/// `made`, which is empty.
pub(crate) fn typed<'v>(value: Value<'v>, ty: Type, made: &'v mut Vec<'_, u8>) -> Result<Value<'v>, Problem> {
    if value.is_null() || value.ty() == ty || ty == Type::Unknown {
        return Ok(value);
    }
    match cofferdam_functions::convert(value, ty, &Session::UTC, made)? {
        Output::Value(value) => Ok(value),
        Output::Written => Ok(decode_bytes(made, ty)?),
    }
}

/// The number by which a constant of an exact type is held in a column of type `ty`.
fn number_of(value: Value<'_>, ty: Type) -> Result<i128, cofferdam_types::Error> {
    let mut buffer = TextBuffer::new();
    let value = if value.ty() == ty { value } else { cast::cast(value, ty, &mut buffer)? };
    match value {
        Value::SmallInt(n) => Ok(i128::from(n)),
        Value::Integer(n) => Ok(i128::from(n)),
        Value::BigInt(n) => Ok(i128::from(n)),
        Value::Date(date) => Ok(i128::from(date.days())),
        Value::Decimal(decimal) => Ok(decimal.unscaled()),
        Value::Time(time) => Ok(i128::from(time.micros())),
        Value::Timestamp(moment) | Value::TimestampTz(moment) => Ok(i128::from(moment.micros())),
        Value::Uuid(uuid) => Ok(uuid.to_ordered()),
        value => unreachable!("the binder gave {value:?} for {ty}"),
    }
}

pub(super) fn pattern_error<'a>(error: PatternError, span: Span) -> Error<'a> {
    match error {
        PatternError::EndsInEscape => Error::Argument { problem: ArgumentProblem::PatternEndsInEscape, span },
        PatternError::OutOfMemory(error) => Error::OutOfMemory(error),
    }
}
