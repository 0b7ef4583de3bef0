//! `WINDOW` after a select, and what the grammar of windows cannot say by itself.

use super::stack::{Frame, Then};
use super::{Form, Parsed, Parser, Step};
use crate::Keyword;
use crate::error::Mistake;
use crate::node::{NodeKind, NodeRef};
use crate::token::TokenKind;
use crate::views::forms::{FormRef, WindowBound, WindowFrame};
use Keyword as K;

impl<'a> Parser<'a, '_> {
    /// `WINDOW w AS (…), …`; the current token is `WINDOW`.
    pub(super) fn select_window(&mut self, select: NodeRef<'a>) -> Parsed<Step<'a>> {
        let clause = self.node_here(NodeKind::Windows)?;
        self.window_item(select, clause)
    }

    fn window_item(&mut self, select: NodeRef<'a>, clause: NodeRef<'a>) -> Parsed<Step<'a>> {
        if !Self::is_column_name(self.token.kind) {
            return Err(self.unexpected(&["the name of a window"]));
        }
        self.push_frame(Frame { outer: Some(select), ..Frame::of(Then::WindowItem, clause) })?;
        self.enter(Form::Window)
    }

    pub(super) fn after_window_item(&mut self, frame: Frame<'a>, window: NodeRef<'a>) -> Parsed<Step<'a>> {
        frame.node().push(window);
        if self.take_if(TokenKind::Comma) {
            return self.window_item(frame.outer(), frame.node());
        }
        frame.outer().push(frame.node());
        self.end_select(frame.outer())
    }

    /// Sees that the frame of a window begins before it ends.
    pub(super) fn check_window_frame(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        let Some((mistake, bound)) = WindowFrame::of(node).and_then(wrong_bound) else { return Ok(()) };
        Err(self.mistake(mistake, bound.form().span(), None))
    }
}

/// Where a bound lies, in the order of the rows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Beginning,
    Before,
    Row,
    After,
    End,
}

fn place(bound: FormRef<'_>) -> Place {
    match (bound.says(K::Unbounded), bound.says(K::Preceding)) {
        _ if bound.says(K::Current) => Place::Row,
        (true, true) => Place::Beginning,
        (true, false) => Place::End,
        (false, true) => Place::Before,
        (false, false) => Place::After,
    }
}

/// The bound of a frame that cannot stand where it stands.
fn wrong_bound(frame: WindowFrame<'_>) -> Option<(Mistake, WindowBound<'_>)> {
    let start = frame.start()?;
    let from = place(start.form());
    if from == Place::End {
        return Some((Mistake::FrameStart, start));
    }
    let Some(end) = frame.end() else {
        return (from > Place::Row).then_some((Mistake::FrameStart, start));
    };
    let to = place(end.form());
    (to == Place::Beginning || to < from).then_some((Mistake::FrameEnd, end))
}
