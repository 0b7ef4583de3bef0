//! The statements of a script, and what is done with each.

use std::io;

use cofferdam::Splitter;
use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_sql::{Error, Lexer, Script, TokenKind, Tree, parse_cancellable};

use super::source::Source;
use super::{Out, Tool, refusal};
use crate::input::BYTE_ORDER_MARK;
use crate::input::ReadError;
use crate::position::Position;
use crate::report::{EXCERPT_BYTES_BEFORE_MAX, Finding, Place};
use crate::{FAILED, complain, interrupt};

/// What a tool does with the statements of a script.
pub(super) trait Show {
    /// Shows a statement that is right. `arena` holds its tree, and has a budget of its own; offsets in the tree are those
    /// of a longer text.
    ///
    /// # Errors
    /// There is no memory for it, or no room in the output.
    fn right(
        &mut self,
        statement: Statement<'_>,
        tree: Tree<'_>,
        arena: &Arena,
        out: &mut Out,
    ) -> Result<(), Stopped>;

    /// Shows the text of a statement that is wrong, which is reported already.
    ///
    /// # Errors
    /// The output takes no more.
    fn wrong(&mut self, _text: &[u8], _out: &mut Out) -> io::Result<()> {
        Ok(())
    }

    /// Shows what stands behind the last statement of a piece: blanks and comments.
    ///
    /// # Errors
    /// The output takes no more.
    fn rest(&mut self, _text: &str, _out: &mut Out) -> io::Result<()> {
        Ok(())
    }
}

/// A statement and where it stands in its script.
#[derive(Clone, Copy)]
pub(super) struct Statement<'s> {
    /// Its number in the script, from 1, the wrong ones included.
    pub(super) number: u64,
    /// Its text with its `;`, and with the blanks and comments before it.
    pub(super) text: &'s str,
    /// The line, from 1, on which the text begins.
    pub(super) line: usize,
    /// The offset of the text in bytes.
    pub(super) offset: u64,
}

impl<'s> Statement<'s> {
    /// The statement without what stands before its first word or sign that is no `;`.
    pub(super) fn trimmed(self) -> Statement<'s> {
        let (gap, text) = self.text.split_at(words_start(self.text));
        let line = Position { line: self.line, column: 0 }.after(gap.as_bytes()).line;
        Statement { text, line, offset: self.offset + gap.len() as u64, ..self }
    }
}

/// Where the first token stands that is no `;`.
pub(super) fn words_start(text: &str) -> usize {
    let Ok(mut lexer) = Lexer::new(text) else { return 0 };
    loop {
        let token = lexer.next_token();
        if token.kind != TokenKind::Semicolon {
            return token.start as usize;
        }
    }
}

/// Why a statement was not shown.
pub(super) enum Stopped {
    OutOfMemory(AllocError),
    Output(io::Error),
}

impl From<AllocError> for Stopped {
    fn from(error: AllocError) -> Stopped {
        Stopped::OutOfMemory(error)
    }
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Stopped {
        Stopped::Output(error)
    }
}

/// How far a script is read, and what was found.
pub(super) struct Reading<'b> {
    tool: &'b mut Tool,
    source: Source<'b>,
    /// Where what is looked at stands, and its offset in bytes.
    position: Position,
    offset: u64,
    pub(super) statements_count: u64,
    pub(super) wrong_count: u64,
}

impl<'b> Reading<'b> {
    pub(super) fn new(tool: &'b mut Tool, source: Source<'b>) -> Reading<'b> {
        Reading { tool, source, position: Position::START, offset: 0, statements_count: 0, wrong_count: 0 }
    }

    /// The offset of what is looked at, in bytes.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the tool writes.
    pub(super) fn out(&mut self) -> &mut Out {
        &mut self.tool.out
    }

    /// Shows all statements of the script. Gives the exit code.
    ///
    /// # Errors
    /// What the system says of the input or the output.
    pub(super) fn show(&mut self, show: &mut dyn Show) -> io::Result<u8> {
        self.pieces(|reading, piece, is_last| {
            if !piece.contains(&0)
                && let Ok(text) = str::from_utf8(piece)
            {
                return reading.statements(text, is_last, show);
            }
            // What is wrong with the text of one statement says nothing of the others.
            each_statement(piece, is_last, |bytes| match str::from_utf8(bytes) {
                Ok(text) => reading.statements(text, true, show).map(drop),
                Err(error) => {
                    reading.not_utf8(bytes, error.valid_up_to());
                    show.wrong(bytes, &mut reading.tool.out)
                }
            })
        })
    }

    /// Calls `look` with each piece of the script and whether it is the last. It gives how much of the piece it has read:
    /// all, or up to the last statement where that may go on behind the piece. Gives the exit code.
    ///
    /// # Errors
    /// What the system says of the input or the output.
    pub(super) fn pieces(
        &mut self,
        mut look: impl FnMut(&mut Self, &[u8], bool) -> io::Result<usize>,
    ) -> io::Result<u8> {
        let input = self.tool.input.clone();
        loop {
            let arena = Arena::new(&input);
            let mut piece = Vec::new_in(&arena);
            let mut least = 0;
            let is_last = loop {
                let is_last = match self.source.fill(&mut piece, least, &mut self.tool.out) {
                    Ok(is_last) => is_last,
                    Err(ReadError::Io(error)) => return Err(error),
                    Err(ReadError::OutOfMemory) => {
                        let blanks = piece.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                        self.does_not_fit(&piece[..blanks]);
                        return Ok(FAILED);
                    }
                };
                if self.offset == 0 && piece.starts_with(BYTE_ORDER_MARK) {
                    self.offset += BYTE_ORDER_MARK.len() as u64;
                    remove_front(&mut piece, BYTE_ORDER_MARK.len());
                }
                let read = look(self, &piece, is_last)?;
                if read == piece.len() {
                    break is_last;
                }
                // The last `;` may be inside of its statement: twice as much of the text will tell.
                remove_front(&mut piece, read);
                least = 2 * piece.len();
            };
            if is_last {
                return Ok(if self.wrong_count > 0 { FAILED } else { 0 });
            }
        }
    }

    /// Shows the statements of a piece that is text. Gives how much of it was read.
    fn statements(&mut self, text: &str, is_last: bool, show: &mut dyn Show) -> io::Result<usize> {
        // What is before `seen` was passed; it is on the line of the statement, before what is shown of it.
        let mut seen = 0;
        let mut script = match Script::new(text) {
            Ok(script) => script.cancellable(interrupt::flag()),
            Err(error) => {
                self.statements_count += 1;
                self.wrong(&error, text, 0);
                show.wrong(text.as_bytes(), &mut self.tool.out)?;
                self.pass(text);
                return Ok(text.len());
            }
        };
        loop {
            let start = script.offset() as usize;
            let arena = self.statement_arena();
            let Some(outcome) = script.next_statement(&arena) else {
                self.pass(&text[seen..]);
                show.rest(&text[start..], &mut self.tool.out)?;
                return Ok(text.len());
            };
            interrupt::check()?;
            if !is_last && outcome.as_ref().is_err_and(|error| ends_too_early(error, text)) {
                self.pass(&text[seen..start]);
                return Ok(start);
            }
            self.statements_count += 1;
            let before = text.floor_char_boundary(start.saturating_sub(EXCERPT_BYTES_BEFORE_MAX)).max(seen);
            let shown = text[before..start].rfind('\n').map_or(before, |at| before + at + 1);
            self.pass(&text[seen..shown]);
            seen = shown;
            let own = &text[start..script.offset() as usize];
            let offset = self.offset + (start - seen) as u64;
            let outcome = match outcome {
                Ok(tree) => {
                    let number = self.statements_count;
                    let statement = Statement { number, text: own, line: self.position.line, offset };
                    show.right(statement, tree, &arena, &mut self.tool.out)
                }
                Err(error) => {
                    self.wrong(&error, text, seen);
                    show.wrong(own.as_bytes(), &mut self.tool.out).map_err(Stopped::from)
                }
            };
            match outcome {
                Ok(()) => {}
                Err(Stopped::Output(error)) => return Err(error),
                Err(Stopped::OutOfMemory(error)) => {
                    self.wrong(&error.into(), text, seen);
                    show.wrong(own.as_bytes(), &mut self.tool.out)?;
                }
            }
        }
    }

    /// An arena on a budget of its own; on the one above where there is no memory for that.
    fn statement_arena(&self) -> Arena {
        let statement = &self.tool.statement;
        Arena::new(statement.child("parse", u64::MAX).as_ref().unwrap_or(statement))
    }

    /// Goes on behind `text`.
    pub(super) fn pass(&mut self, text: &str) {
        self.pass_bytes(text.as_bytes());
    }

    /// Reports a wrong statement. The line of the reading is that of the byte at `seen` in `text`.
    pub(super) fn wrong(&mut self, error: &Error, text: &str, seen: usize) {
        self.wrong_count += 1;
        let refusal = matches!(error, Error::OutOfMemory(_)).then(|| refusal(&self.tool.statement));
        let hint = error.hint();
        let finding = Finding::of_sql(error, hint.as_ref(), refusal.as_ref());
        let place = Place { origin: self.source.origin(), position: self.position };
        self.source.progress().suspend(|| finding.report(text, seen, place));
    }

    /// Reports a statement that is no text, and passes it.
    pub(super) fn not_utf8(&mut self, bytes: &[u8], valid_up_to: usize) {
        self.statements_count += 1;
        self.wrong_count += 1;
        let (origin, line) = (self.source.origin(), self.position.after(&bytes[..valid_up_to]).line);
        let message = format_args!("error[22021]: {origin} line {line} is not valid UTF-8");
        self.source.progress().suspend(|| complain(message));
        self.pass_bytes(bytes);
    }

    fn pass_bytes(&mut self, bytes: &[u8]) {
        self.position = self.position.after(bytes);
        self.offset += bytes.len() as u64;
    }

    /// Reports the statement that begins behind `blanks`.
    fn does_not_fit(&mut self, blanks: &[u8]) {
        self.statements_count += 1;
        self.wrong_count += 1;
        let (line, origin, record) =
            (self.position.after(blanks).line, self.source.origin(), refusal(&self.tool.input));
        complain(format_args!(
            "error[53200]: the statement at line {line} of {origin} does not fit; what follows is not read: {record}"
        ));
    }
}

/// Parses a statement, which is right, as a text of its own: offsets in the tree are then its own.
///
/// # Errors
/// There is no memory for a second tree, or a signal came.
pub(super) fn parse_again<'t>(text: &'t str, arena: &'t Arena) -> Result<Tree<'t>, Stopped> {
    match parse_cancellable(text, arena, interrupt::flag()) {
        Ok(tree) => Ok(tree),
        Err(Error::OutOfMemory(error)) => Err(error.into()),
        Err(Error::Cancelled) => Err(io::Error::from(io::ErrorKind::Interrupted).into()),
        // The parser accepted it within its script.
        Err(_) => Err(io::Error::from(io::ErrorKind::InvalidData).into()),
    }
}

/// Calls `look` with the bytes of each statement up to its `;`, whatever they are, and where the piece is the last also
/// with those behind them. Gives how much of the piece that was.
pub(super) fn each_statement(
    piece: &[u8],
    is_last: bool,
    mut look: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<usize> {
    let (mut splitter, mut start) = (Splitter::new(), 0);
    while let Some(length) = splitter.find_end(&piece[start..]) {
        look(&piece[start..start + length])?;
        start += length;
    }
    if is_last && start < piece.len() {
        look(&piece[start..])?;
        start = piece.len();
    }
    Ok(start)
}

fn remove_front(bytes: &mut Vec<'_, u8>, count: usize) {
    bytes.copy_within(count.., 0);
    bytes.truncate(bytes.len() - count);
}

/// Whether the text may only have been cut at the wrong `;`: the parser went on behind it.
fn ends_too_early(error: &Error, text: &str) -> bool {
    text.ends_with(';') && error.span().is_some_and(|span| span.start as usize == text.len())
}
