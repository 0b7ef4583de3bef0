//! The parser's stack: what it goes on with when the construct that it is in is complete.
//!
//! Every nesting of SQL is a [`Frame`] here, so that the depth of a statement costs 24 bytes a level in the budget and
//! nothing on the native stack. The first frames are in the parser itself; deeper ones are in segments of doubling size
//! in an arena of their own, which is released when parsing ends.

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
    // Statements around a query.
    Explain,
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
    /// An operand without operators (`c_expr`); under [`Then::TableFunction`] a call without `FILTER` and `OVER`.
    Primary,
}

/// One level of nesting.
#[derive(Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) then: Then,
    /// For an operator, its precedence; for a clause at the end of a query, those before it.
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
const SEGMENTS_COUNT: usize = 26;

/// Frames that are not inline; each segment has twice as many as the one before it.
type Segments<'s, 'a> = [&'s mut [Frame<'a>]; SEGMENTS_COUNT];

pub(crate) struct Stack<'s, 'a> {
    arena: &'s Arena,
    top: Frame<'a>,
    /// How many frames are under the top.
    depth: usize,
    inline: [Frame<'a>; INLINE_FRAMES],
    /// Made when the inline frames are used up.
    segments: Option<&'s mut Segments<'s, 'a>>,
}

impl<'s, 'a> Stack<'s, 'a> {
    pub(crate) fn new(arena: &'s Arena) -> Stack<'s, 'a> {
        let finish = Frame::new(Then::Finish);
        Stack { arena, top: finish, depth: 0, inline: [finish; INLINE_FRAMES], segments: None }
    }

    /// The innermost level; [`Then::Finish`] at the outside.
    pub(crate) fn top(&self) -> &Frame<'a> {
        &self.top
    }

    #[inline]
    pub(crate) fn push(&mut self, frame: Frame<'a>) -> Result<(), AllocError> {
        match self.inline.get_mut(self.depth) {
            Some(place) => *place = self.top,
            None => *self.deep_place()? = self.top,
        }
        self.top = frame;
        self.depth += 1;
        Ok(())
    }

    /// Takes the innermost level off.
    #[inline]
    pub(crate) fn pop(&mut self) -> Frame<'a> {
        let Some(depth) = self.depth.checked_sub(1) else { return self.top };
        self.depth = depth;
        let under = match self.inline.get(depth) {
            Some(frame) => *frame,
            None => self.deep_frame().unwrap_or(Frame::new(Then::Finish)),
        };
        std::mem::replace(&mut self.top, under)
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

    /// Which segment the frame at `depth` is in, and where.
    fn segment(&self) -> (usize, usize) {
        let after = self.depth.saturating_sub(INLINE_FRAMES);
        let index = (after / FIRST_SEGMENT_FRAMES + 1).ilog2();
        (index as usize, after - FIRST_SEGMENT_FRAMES * ((1 << index) - 1))
    }

    /// The place for the frame at `depth`, which is not inline.
    #[cold]
    fn deep_place(&mut self) -> Result<&mut Frame<'a>, AllocError> {
        let (index, at) = self.segment();
        let segments = match self.segments.take() {
            Some(segments) => segments,
            None => self.arena.alloc_with(|| std::array::from_fn(|_| Default::default()))?,
        };
        let segments = self.segments.insert(segments);
        let segment = segments.get_mut(index).expect("a text of 4 GiB does not nest deeper");
        if segment.is_empty() {
            *segment =
                self.arena.alloc_slice_fill(FIRST_SEGMENT_FRAMES << index, Frame::new(Then::Finish))?;
        }
        Ok(segment.get_mut(at).expect("a segment is as long as its index says"))
    }

    /// The frame at `depth`, which is not inline.
    #[cold]
    fn deep_frame(&self) -> Option<Frame<'a>> {
        let (index, at) = self.segment();
        self.segments.as_ref()?.get(index)?.get(at).copied()
    }
}

const _: () = assert!(size_of::<Frame<'_>>() == 24, "a level of nesting costs 24 bytes");
