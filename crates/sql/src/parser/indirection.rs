//! What is selected of a value: `.name`, `.*`, `[index]`, `[low:high]`; and arrays, which are written in brackets too.

use super::stack::{Frame, Then};
use super::{Parsed, Parser, Step, paren};
use crate::Span;
use crate::error::Mistake;
use crate::node::{NodeKind, NodeRef, flag};
use crate::token::TokenKind;

/// Which ends a slice has, in the detail byte of its node.
pub(crate) mod ends {
    pub(crate) const LOW: u8 = 1;
    pub(crate) const HIGH: u8 = 2;
}

impl<'a> Parser<'a, '_> {
    /// Steps after `value`; the current token begins the first, where there is one.
    pub(super) fn indirection(&mut self, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        if !matches!(self.token.kind, TokenKind::Dot | TokenKind::LeftBracket) {
            return Ok(Step::Value(value));
        }
        let node = self.node(NodeKind::Indirection, value.span())?;
        // A star that is not in parentheses is the end of a name, which nothing may follow.
        if value.kind() == NodeKind::Star && !self.is_in_parens(value) {
            node.set_detail(STAR_IS_INSIDE);
        }
        node.push(value);
        self.steps(node)
    }

    /// More steps of the indirection or the target in `node`.
    pub(super) fn steps(&mut self, node: NodeRef<'a>) -> Parsed<Step<'a>> {
        loop {
            match self.token.kind {
                TokenKind::Dot => {
                    self.take();
                    self.field(node)?;
                }
                TokenKind::LeftBracket => return self.subscript(node),
                _ => break,
            }
        }
        if node.detail() == STAR_IS_INSIDE {
            let span = self.token.span();
            return match self.token.kind {
                TokenKind::Bad(_) => Err(self.unexpected(&[])),
                _ => Err(self.mistake(Mistake::MisplacedStar, span, None)),
            };
        }
        node.set_detail(0);
        Ok(Step::Value(node))
    }

    /// `.name` or `.*`, after the dot.
    fn field(&mut self, node: NodeRef<'a>) -> Parsed<()> {
        let step = if self.token.kind == TokenKind::Star {
            self.node_here(NodeKind::AllFields)?
        } else if Self::is_label(self.token.kind) {
            let token = self.take();
            let step = self.node(NodeKind::Field, token.span())?;
            step.set_text(self.name_text(token)?);
            step
        } else {
            return Err(self.unexpected(&["a name", "`*`"]));
        };
        self.push_step(node, step);
        Ok(())
    }

    /// Hangs a step on, and notes in the detail byte, until the last step is there, whether a star is among them.
    fn push_step(&self, node: NodeRef<'a>, step: NodeRef<'a>) {
        if node.detail() != 0 {
            node.set_detail(STAR_IS_INSIDE);
        } else if step.kind() == NodeKind::AllFields {
            node.set_detail(STAR_IS_LAST);
        }
        node.push(step);
    }

    /// `[index]` or `[low:high]`; the current token is `[`.
    fn subscript(&mut self, node: NodeRef<'a>) -> Parsed<Step<'a>> {
        let start = self.take().start;
        let step = self.node(NodeKind::Subscript, Span { start, len: 1 })?;
        let frame = Frame { outer: Some(node), ..paren(Then::Subscript, Some(step), start) };
        if self.token.kind == TokenKind::Colon {
            return self.upper_end(frame);
        }
        self.want_expr(frame)
    }

    pub(super) fn after_subscript(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        let step = frame.node();
        step.push(value);
        match self.token.kind {
            TokenKind::RightBracket => self.end_subscript(frame),
            TokenKind::Colon if step.kind() == NodeKind::Subscript => {
                step.set_detail(ends::LOW);
                self.upper_end(frame)
            }
            _ => {
                self.push_frame(frame)?;
                Err(self.unexpected(&["`]`", "an operator"]))
            }
        }
    }

    /// The upper end of a slice; the current token is `:`.
    fn upper_end(&mut self, frame: Frame<'a>) -> Parsed<Step<'a>> {
        let step = frame.node();
        step.set_kind(NodeKind::Slice);
        self.take();
        if self.token.kind == TokenKind::RightBracket {
            return self.end_subscript(frame);
        }
        step.set_detail(step.detail() | ends::HIGH);
        self.want_expr(frame)
    }

    fn end_subscript(&mut self, frame: Frame<'a>) -> Parsed<Step<'a>> {
        self.take();
        frame.node().set_end(self.end);
        self.push_step(frame.outer(), frame.node());
        self.steps(frame.outer())
    }

    // ---- arrays

    /// `ARRAY[…]` or `ARRAY(query)`.
    pub(super) fn array(&mut self) -> Parsed<Step<'a>> {
        let word = self.take();
        match self.token.kind {
            TokenKind::LeftBracket => {
                let node = self.node(NodeKind::Array, word.span())?;
                self.array_elements(node, None)
            }
            TokenKind::LeftParen => {
                let node = self.node(NodeKind::ArrayQuery, word.span())?;
                let start = self.take().start;
                self.want_query(paren(Then::ExistsParen, Some(node), start))
            }
            _ => Err(self.unexpected(&["`[`", "`(`"])),
        }
    }

    /// The elements of the array in `node`; the current token is `[`. An array that is written without its word is an
    /// element of `outer`, and stands among others of its kind only.
    fn array_elements(&mut self, mut node: NodeRef<'a>, mut outer: Option<NodeRef<'a>>) -> Parsed<Step<'a>> {
        loop {
            let start = self.take().start;
            let frame = Frame { outer, ..paren(Then::ArrayElement, Some(node), start) };
            match self.token.kind {
                TokenKind::RightBracket => return self.end_array(frame),
                TokenKind::LeftBracket => {
                    self.push_frame(frame)?;
                    outer = Some(node);
                    node = self.inner_array()?;
                }
                _ => return self.want_expr(frame),
            }
        }
    }

    fn inner_array(&mut self) -> Parsed<NodeRef<'a>> {
        let node = self.node(NodeKind::Array, self.token.span())?;
        node.set(flag::BARE);
        Ok(node)
    }

    pub(super) fn after_array_element(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        frame.node().push(value);
        let is_array = value.kind() == NodeKind::Array && value.has(flag::BARE);
        match self.token.kind {
            TokenKind::RightBracket => self.end_array(frame),
            TokenKind::Comma if is_array => {
                self.take();
                if self.token.kind != TokenKind::LeftBracket {
                    return Err(self.unexpected(&["`[`"]));
                }
                self.push_frame(frame)?;
                let inner = self.inner_array()?;
                self.array_elements(inner, frame.node)
            }
            TokenKind::Comma => {
                self.take();
                self.want_expr(frame)
            }
            _ => {
                self.push_frame(frame)?;
                Err(self.unexpected(&["`]`", "`,`", "an operator"]))
            }
        }
    }

    fn end_array(&mut self, frame: Frame<'a>) -> Parsed<Step<'a>> {
        self.take();
        let node = frame.node();
        node.set_end(self.end);
        // An array without its word is complete as it stands: no operator can follow it.
        Ok(if node.has(flag::BARE) { Step::Done(node) } else { Step::Value(node) })
    }
}

/// Values of the detail byte of an indirection that is being read.
const STAR_IS_LAST: u8 = 1;
const STAR_IS_INSIDE: u8 = 2;
