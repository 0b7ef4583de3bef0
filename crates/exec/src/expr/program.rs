//! Expressions as flat programs over column vectors.
//!
//! A bound expression becomes a list of instructions in postfix order. Each reads and writes whole vectors, for the
//! rows of the current *level*. Level 0 is the rows of the batch; `AND`, `OR`, `CASE` and `COALESCE` open further levels
//! with the rows that they still have to decide, so that a branch is evaluated for the rows that take it and for no
//! others:
//!
//! ```text
//! CASE WHEN d <> 0 THEN n / d ELSE 0 END
//!
//!   clear    r2
//!   narrow   level 1 <- all rows of level 0
//!   use      level 1
//!   compare  r3 <- d <> 0
//!   split    level 2 <- rows of level 1 where r3, level 1 keeps the rest
//!   jump     to the ELSE if level 2 is empty
//!   use      level 2
//!   divide   r4 <- n / d
//!   copy     r2 <- r4
//!   use      level 1
//!   jump     to the end if level 1 is empty
//!   copy     r2 <- 0
//!   use      level 0
//! ```
//!
//! **Memory.** Instructions, registers and levels live in the operator's arena, made once. Registers are reused as soon as
//! their value has been read, so their number is the expression's width, not its size.

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_plan::Span;
use cofferdam_plan::expr::{BinaryOp, DateField};
use cofferdam_types::Type;

use super::call::Call;
use super::kernel::Comparison;
use super::like::Pattern;
use crate::batch::{SelectionId, VectorId};

/// A list of rows that instructions work on, by position in the program's list; 0 is the rows of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level(pub(crate) u32);

/// Which rows pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    Any,
    True,
    NotFalse,
    NotTrue,
    NotNull,
}

/// A constant list that values are looked for in, sorted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Set<'a> {
    Numbers(&'a [i128]),
    Texts(&'a [&'a [u8]]),
}

/// How values of a type are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// As their kind is: numbers as numbers, bytes as bytes.
    Kind,
    /// Intervals by their span.
    Interval,
    /// Texts of `char(n)`, without the blanks at their ends.
    Padded,
    /// One by one.
    Values(Type),
}

impl Order {
    /// The order of a type.
    pub(crate) const fn of(ty: Type) -> Order {
        match ty {
            Type::Interval => Order::Interval,
            Type::Char => Order::Padded,
            Type::Numeric | Type::Json | Type::Jsonb | Type::Array(_) => Order::Values(ty),
            _ => Order::Kind,
        }
    }
}

/// Which end of a text is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trim {
    Both,
    Leading,
    Trailing,
}

/// How a number loses its fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    Nearest,
    Down,
    Up,
}

/// What an instruction does with its operands `a`, `b`, `c`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op<'a> {
    Compare(Comparison, Order),
    /// `IS DISTINCT FROM`, or `IS NOT DISTINCT FROM` when negated.
    Distinct {
        negated: bool,
        order: Order,
    },
    /// `dst = dst AND a`
    And,
    /// `dst = dst OR a`
    Or,
    Not,
    IsNull {
        negated: bool,
    },
    /// Whether `b` replaces `a` as the greatest or least so far: it is not NULL, and `a` is NULL or on the wrong side of it.
    Replaces {
        greatest: bool,
        order: Order,
    },
    /// `IS TRUE`, `IS FALSE` and their negations.
    IsTruth {
        wanted: bool,
        negated: bool,
    },
    Arithmetic {
        op: BinaryOp,
        left: Type,
        right: Type,
        result: Type,
    },
    Negate(Type),
    Abs(Type),
    Round {
        how: Rounding,
        from: Type,
        to: Type,
    },
    Cast {
        from: Type,
        to: Type,
    },
    InSet {
        set: Set<'a>,
        has_null: bool,
        negated: bool,
    },
    /// `a LIKE` a pattern of the program, which is set from `b` for each row if it is not constant.
    Like {
        pattern: u32,
        constant: bool,
        escape: Option<char>,
        negated: bool,
    },
    /// A call of the program.
    Call(u32),
    Concat,
    Lower,
    Upper,
    Length,
    /// `a` from `b`, `c` characters if there is a count.
    Substring {
        has_count: bool,
    },
    /// `a`, whose heap the result shares, if it has at most so many characters but for blanks at its end.
    LimitCharacters {
        count: u32,
    },
    /// `a` without the characters of `b`.
    Trim(Trim),
    Extract {
        field: DateField,
        to: Type,
    },
    /// Makes all rows of the batch NULL and empties the register's text heap.
    Clear,
    /// `dst = a` in a cleared register.
    Copy,
    /// Works on the rows of `level` from here on.
    Use(Level),
    /// `to` becomes the rows of `from` whose `a` passes; the two may be one.
    Narrow {
        test: Test,
        from: Level,
        to: Level,
    },
    /// `to` becomes the rows of `from` whose `a` passes, and `from` keeps the others.
    Split {
        test: Test,
        from: Level,
        to: Level,
    },
    /// Goes on at `target` if `level` has no rows.
    JumpIfEmpty {
        level: Level,
        target: u32,
    },
}

/// One instruction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inst<'a> {
    pub(crate) op: Op<'a>,
    pub(crate) dst: VectorId,
    pub(crate) a: VectorId,
    pub(crate) b: VectorId,
    pub(crate) c: VectorId,
    /// The expression it comes from, for errors.
    pub(crate) span: Span,
}

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    pub(crate) insts: &'a [Inst<'a>],
    /// The selections behind levels 1 and up.
    pub(crate) levels: &'a [SelectionId],
    pub(crate) patterns: Vec<'a, Pattern<'a>>,
    pub(crate) calls: Vec<'a, Call<'a>>,
    /// Empty between calls.
    pub(crate) scratch: Arena,
    /// Where the result stands after a run: a register, a column of the input, or a constant.
    pub(crate) result: VectorId,
    /// Whether that is a register of the program's own.
    pub(crate) result_is_register: bool,
}
