//! The parser's stack: what it goes on with when the construct that it is in is complete.
//!
//! Every nesting of SQL is a [`Frame`] here, so that the depth of a statement costs 24 bytes a level in the budget and
//! nothing on the native stack. The first frames are in the parser itself; the next 64 are in the statement's arena and
//! stay there (2 KiB with the table of segments); deeper ones are in segments of doubling size in an arena of their own,
//! which is released when parsing ends.

use std::cell::OnceCell;

use cofferdam_arena::{AllocError, Arena};

use crate::node::NodeRef;

/// What the parser does with a complete construct.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Then {
    /// The construct is the statement.
    Finish,
    // Operators that wait for an operand.
    Unary,
    Binary,
    And,
    Or,
    Not,
    BetweenHigh,
    LikePattern,
    LikeEscape,
    DistinctFrom,
    AtTimeZone,
    // Expressions inside of something.
    Paren,
    RowItem,
    CallArg,
    FormArg,
    ExtractSource,
    CastOperand,
    CastType,
    CastSuffix,
    TypeModifier,
    NormalizeArg,
    Subscript,
    ArrayElement,
    QuantifiedItem,
    OverlapsItem,
    CallOrderItem,
    CallClause,
    FormOperand,
    JsonKey,
    JsonMember,
    JsonOptions,
    CaseOperand,
    CaseWhen,
    CaseResult,
    CaseElse,
    InItem,
    BetweenLow,
    // Queries inside of something.
    SubqueryParen,
    ExistsParen,
    InQueryParen,
    QuantifiedQuery,
    UniqueQuery,
    DerivedParen,
    QueryParen,
    CteQuery,
    WithBody,
    SetOperation,
    // Parts of a query.
    DistinctOnItem,
    SelectItem,
    SelectFrom,
    SelectWhere,
    GroupItem,
    GroupingItem,
    SelectHaving,
    ValuesItem,
    OrderItem,
    SortKey,
    Constant,
    WindowItem,
    Limit,
    LimitComma,
    FetchCount,
    Offset,
    // Tables inside of something.
    FromItem,
    TableParen,
    JoinRight,
    JoinOn,
    TableFunction,
    RowsFromItem,
    RowsFromFunction,
    AliasColumn,
    ColumnType,
    Sample,
    FormTable,
    NoName,
    CteSearch,
    // Items of a form.
    FormItem,
    // Forms that the grammar declares; `start` is a place in their code and `precedence` a label.
    Form,
}

impl Then {
    /// Whether it is an operator, which ends where the precedence of the next one says so.
    pub(crate) fn is_operator(self) -> bool {
        (Then::Unary as u8..=Then::AtTimeZone as u8).contains(&(self as u8))
    }
}

/// What kind of expression may stand in a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// Any (`a_expr` of PostgreSQL's grammar).
    Any,
    /// Without `AND`, `IN`, `LIKE` and the like (`b_expr`).
    Simple,
    /// Any, and a keyword after it may be its label: an item of a select.
    Item,
    /// A value without operators around it (`c_expr`).
    Primary,
    /// A call without `FILTER`, `OVER` and the like (`func_expr_windowless`).
    Call,
}

impl Mode {
    /// Whether the expression may not have `AND`, `IN`, `LIKE` and the like.
    pub(crate) fn is_simple(self) -> bool {
        matches!(self, Mode::Simple | Mode::Primary)
    }
}

/// One level of nesting.
#[derive(Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) then: Then,
    /// For an operator, its precedence; for a clause at the end of a query, those before it; for what follows `WITH`, which
    /// statements that change data may.
    pub(crate) precedence: u8,
    pub(crate) mode: Mode,
    /// Where it opened, for a parenthesis.
    pub(crate) start: u32,
    /// What is being built.
    pub(crate) node: Option<NodeRef<'a>>,
    /// What it is built for: the select of a `FROM`, the query of an `ORDER BY`.
    pub(crate) outer: Option<NodeRef<'a>>,
}

impl<'a> Frame<'a> {
    pub(crate) const fn new(then: Then) -> Frame<'a> {
        Frame { then, precedence: 0, mode: Mode::Any, start: NOWHERE, node: None, outer: None }
    }

    pub(crate) fn of(then: Then, node: NodeRef<'a>) -> Frame<'a> {
        Frame { node: Some(node), ..Frame::new(then) }
    }

    /// A place for a frame. All its bytes are zero, which is quick to write.
    const fn none() -> Frame<'a> {
        Frame { start: 0, ..Frame::new(Then::Finish) }
    }

    /// The node that it builds; the frames of parentheses alone have none.
    pub(crate) fn node(&self) -> NodeRef<'a> {
        self.node.expect("a frame that is asked for its node was made with one")
    }

    pub(crate) fn outer(&self) -> NodeRef<'a> {
        self.outer.expect("a frame that is asked for its outer node was made with one")
    }
}

/// The start of a frame that is no parenthesis.
pub(crate) const NOWHERE: u32 = u32::MAX;

const INLINE_FRAMES: usize = 24;
const FIRST_SEGMENT_FRAMES: usize = 64;
const SEGMENTS_COUNT: usize = 27;

/// Where the levels of a stack are kept: the first ones here, deeper ones in an arena that is made when they come.
pub(crate) struct Room<'a> {
    /// The statement's.
    arena: &'a Arena,
    inline: [Frame<'a>; INLINE_FRAMES],
    deeper: OnceCell<Arena>,
}

impl<'a> Room<'a> {
    pub(crate) fn new(arena: &'a Arena) -> Room<'a> {
        Room { arena, inline: [Frame::none(); INLINE_FRAMES], deeper: OnceCell::new() }
    }
}

pub(crate) struct Stack<'s, 'a> {
    arena: &'a Arena,
    deeper: &'s OnceCell<Arena>,
    top: Frame<'a>,
    /// The segment that the next frame goes to, and the frames in it.
    segment: &'s mut [Frame<'a>],
    used: usize,
    /// The other segments, the first one included; that of `segment` is empty here. None before there is a second one.
    segments: &'s mut [&'s mut [Frame<'a>]],
    segment_index: usize,
}

impl<'s, 'a> Stack<'s, 'a> {
    pub(crate) fn new(room: &'s mut Room<'a>) -> Stack<'s, 'a> {
        Stack {
            arena: room.arena,
            deeper: &room.deeper,
            top: Frame::new(Then::Finish),
            segment: &mut room.inline,
            used: 0,
            segments: &mut [],
            segment_index: 0,
        }
    }

    /// Whether nothing is open.
    pub(crate) fn is_empty(&self) -> bool {
        self.used == 0 && self.segment_index == 0
    }

    /// Whether one thing is open and nothing in it.
    pub(crate) fn has_one_level(&self) -> bool {
        self.used == 1 && self.segment_index == 0
    }

    /// The innermost level; [`Then::Finish`] at the outside.
    #[inline(always)]
    pub(crate) fn top(&self) -> &Frame<'a> {
        &self.top
    }

    /// The level around the innermost one.
    pub(crate) fn second(&self) -> Frame<'a> {
        let segment = match (self.used, self.segment_index.checked_sub(1)) {
            (0, Some(previous)) => self.segments.get(previous).and_then(|segment| segment.last()),
            (used, _) => used.checked_sub(1).and_then(|last| self.segment.get(last)),
        };
        segment.copied().unwrap_or(Frame::new(Then::Finish))
    }

    #[inline]
    pub(crate) fn push(&mut self, frame: Frame<'a>) -> Result<(), AllocError> {
        if self.used == self.segment.len() {
            self.next_segment()?;
        }
        if let Some(place) = self.segment.get_mut(self.used) {
            *place = std::mem::replace(&mut self.top, frame);
        }
        self.used += 1;
        Ok(())
    }

    /// Takes the innermost level off.
    #[inline]
    pub(crate) fn pop(&mut self) -> Frame<'a> {
        if self.used == 0 && !self.previous_segment() {
            return self.top;
        }
        self.used -= 1;
        match self.segment.get(self.used) {
            Some(under) => std::mem::replace(&mut self.top, *under),
            None => self.top,
        }
    }

    /// The innermost parenthesis that is open: takes levels off until it is found.
    pub(crate) fn open_parenthesis(&mut self) -> Option<u32> {
        while self.top.then != Then::Finish {
            if self.top.start != NOWHERE && self.top.then != Then::Form {
                return Some(self.top.start);
            }
            self.pop();
        }
        None
    }

    #[cold]
    fn next_segment(&mut self) -> Result<(), AllocError> {
        let next = self.segment_index + 1;
        if self.segments.is_empty() {
            self.segments = self.arena.alloc_slice_fill_with(SEGMENTS_COUNT, |_| Default::default())?;
        }
        // The first one stays with the tree, so that statements of usual depth take nothing but their own arena.
        let arena =
            if next == 1 { self.arena } else { self.deeper.get_or_init(|| Arena::new(self.arena.budget())) };
        if self.segments.get(next).is_some_and(|segment| segment.is_empty()) {
            let frames = FIRST_SEGMENT_FRAMES << self.segment_index;
            self.segments[next] = arena.alloc_slice_fill(frames, Frame::new(Then::Finish))?;
        }
        self.go_to_segment(next);
        self.used = 0;
        Ok(())
    }

    /// Whether there is one.
    #[cold]
    fn previous_segment(&mut self) -> bool {
        let Some(previous) = self.segment_index.checked_sub(1) else { return false };
        self.go_to_segment(previous);
        self.used = self.segment.len();
        true
    }

    fn go_to_segment(&mut self, index: usize) {
        let other = std::mem::take(&mut self.segments[index]);
        self.segments[self.segment_index] = std::mem::replace(&mut self.segment, other);
        self.segment_index = index;
    }
}

const _: () = assert!(size_of::<Frame<'_>>() == 24, "a level of nesting costs 24 bytes");
