//! Statements from standard input, one after the other, in a buffer that a budget pays for.

use std::io::{self, Read};

use cofferdam::Splitter;
use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};

use crate::position::Position;

/// Bytes that are read at a time.
const READ_BYTES: usize = 4096;
/// What some editors begin UTF-8 with.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What stands next in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'b> {
    /// A statement, with its `;` unless the input ends without one.
    Statement(&'b [u8]),
    /// A line that begins with a dot.
    DotCommand(&'b [u8]),
}

/// Why no more can be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The statement is longer than memory allows.
    OutOfMemory,
    /// The system says so.
    Io(io::Error),
}

impl From<AllocError> for ReadError {
    fn from(_: AllocError) -> ReadError {
        ReadError::OutOfMemory
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> ReadError {
        ReadError::Io(error)
    }
}

/// A script that is read as far as it is needed.
///
/// **Memory.** One piece at a time, and up to 4 KiB behind it, in an arena of the caller's, which may be dropped before
/// the next; between pieces only what was read beyond the last one is held, in this value.
pub(crate) struct Script<R> {
    source: R,
    /// What was read and not given out; always less than one read, since reading stops at the first complete piece.
    rest: [u8; READ_BYTES],
    rest_len: usize,
    is_at_end: bool,
    is_at_start: bool,
    /// Where the next piece begins.
    position: Position,
}

/// A piece while it is being read.
struct Pending<'b> {
    bytes: Vec<'b, u8>,
    splitter: Splitter,
    /// Up to here there is no line break.
    scanned: usize,
}

/// What stands at the front of what was read.
enum Front {
    Blank(usize),
    Statement(usize),
    DotCommand(usize),
    Incomplete,
}

impl<R: Read> Script<R> {
    /// A script at its start.
    pub(crate) fn new(source: R) -> Script<R> {
        Script {
            source,
            rest: [0; READ_BYTES],
            rest_len: 0,
            is_at_end: false,
            is_at_start: true,
            position: Position::START,
        }
    }

    /// Where reading stands.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// The next piece and where it begins; `None` at the end. Reads on only while no piece is complete.
    ///
    /// # Errors
    /// [`ReadError`]; what follows cannot be read then.
    pub(crate) fn next_piece<'b>(
        &mut self,
        arena: &'b Arena,
    ) -> Result<Option<(Piece<'b>, Position)>, ReadError> {
        let mut pending = Pending { bytes: Vec::new_in(arena), splitter: Splitter::new(), scanned: 0 };
        pending.bytes.extend_from_slice(&self.rest[..self.rest_len])?;
        loop {
            if self.is_at_start && self.passes_mark(&mut pending.bytes) {
                self.is_at_start = false;
            }
            match pending.front(self.is_at_end) {
                _ if self.is_at_start && !self.is_at_end => self.read_on(&mut pending.bytes)?,
                Front::Blank(length) => self.skip(&mut pending, length),
                Front::Statement(length) => {
                    return Ok(Some(self.give(pending, length, Piece::Statement)));
                }
                Front::DotCommand(length) => {
                    return Ok(Some(self.give(pending, length, Piece::DotCommand)));
                }
                Front::Incomplete if self.is_at_end => return Ok(None),
                Front::Incomplete => self.read_on(&mut pending.bytes)?,
            }
        }
    }

    /// Passes the mark that some editors begin UTF-8 with. Whether enough was read to tell.
    fn passes_mark(&self, bytes: &mut Vec<'_, u8>) -> bool {
        if bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.copy_within(BYTE_ORDER_MARK.len().., 0);
            bytes.truncate(bytes.len() - BYTE_ORDER_MARK.len());
            return true;
        }
        !BYTE_ORDER_MARK.starts_with(bytes)
    }

    fn skip(&mut self, pending: &mut Pending<'_>, length: usize) {
        self.position = self.position.after(&pending.bytes[..length]);
        pending.bytes.copy_within(length.., 0);
        pending.bytes.truncate(pending.bytes.len() - length);
        pending.splitter = Splitter::new();
        pending.scanned = 0;
    }

    fn give<'b>(
        &mut self,
        mut pending: Pending<'b>,
        length: usize,
        piece: impl FnOnce(&'b [u8]) -> Piece<'b>,
    ) -> (Piece<'b>, Position) {
        let position = self.position;
        self.position = self.position.after(&pending.bytes[..length]);
        self.rest_len = pending.bytes.len() - length;
        self.rest[..self.rest_len].copy_from_slice(&pending.bytes[length..]);
        pending.bytes.truncate(length);
        (piece(pending.bytes.into_slice()), position)
    }

    fn read_on(&mut self, bytes: &mut Vec<'_, u8>) -> Result<(), ReadError> {
        let mut read = [0; READ_BYTES];
        let count = loop {
            match self.source.read(&mut read) {
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ReadError::Io(error)),
            }
        };
        self.is_at_end = count == 0;
        Ok(bytes.extend_from_slice(&read[..count])?)
    }
}

impl Pending<'_> {
    fn front(&mut self, is_at_end: bool) -> Front {
        let blanks = self.bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        match self.bytes.get(blanks..) {
            None | Some([]) if blanks == 0 => Front::Incomplete,
            _ if blanks > 0 => Front::Blank(blanks),
            Some([b'.', ..]) => match self.line_end(is_at_end) {
                Some(end) => Front::DotCommand(end),
                None => Front::Incomplete,
            },
            // A comment of a whole line must not hide the dot of a command after it.
            Some([b'-', b'-', ..]) => match self.line_end(is_at_end) {
                Some(end) => Front::Blank(end),
                None => Front::Incomplete,
            },
            _ => self.statement(is_at_end),
        }
    }

    /// The end of the first line, its line break included.
    fn line_end(&mut self, is_at_end: bool) -> Option<usize> {
        let found = self.bytes[self.scanned..].iter().position(|&byte| byte == b'\n');
        let end = found.map(|at| self.scanned + at + 1);
        self.scanned = self.bytes.len();
        end.or(is_at_end.then_some(self.bytes.len()))
    }

    fn statement(&mut self, is_at_end: bool) -> Front {
        match self.splitter.find_end(&self.bytes) {
            Some(end) if is_blank(&self.bytes[..end]) => Front::Blank(end),
            Some(end) => Front::Statement(end),
            None if !is_at_end => Front::Incomplete,
            None if self.splitter.is_blank_at_end() => Front::Blank(self.bytes.len()),
            None => Front::Statement(self.bytes.len()),
        }
    }
}

/// Whether a text up to a `;` says nothing. Bytes that are no text say something.
fn is_blank(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| cofferdam::statements(text).next().is_none())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use cofferdam::Budget;

    /// Gives `text` in reads of `size` bytes.
    pub(crate) struct Slow<'t> {
        pub(crate) text: &'t [u8],
        pub(crate) size: usize,
    }

    impl Read for Slow<'_> {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            let count = self.size.min(self.text.len()).min(bytes.len());
            bytes[..count].copy_from_slice(&self.text[..count]);
            self.text = &self.text[count..];
            Ok(count)
        }
    }

    fn pieces(text: &str, size: usize) -> std::vec::Vec<(usize, String)> {
        let root = Budget::root("root", 1 << 20).unwrap();
        let mut script = Script::new(Slow { text: text.as_bytes(), size });
        let mut found = vec![];
        loop {
            let arena = Arena::new(&root);
            let Some((piece, position)) = script.next_piece(&arena).unwrap() else { return found };
            let (kind, bytes) = match piece {
                Piece::DotCommand(bytes) => ("command", bytes),
                Piece::Statement(bytes) => ("statement", bytes),
            };
            found.push((position.line, format!("{kind} {}", str::from_utf8(bytes).unwrap().trim_end())));
        }
    }

    #[test]
    fn pieces_are_the_same_however_the_text_arrives() {
        let text =
            "\n-- first;\n.memory on\nselect 1;select\n';'\n ;;\n /* ; */ ; .mode csv\n-- x\nselect 2 -- end";
        let expected: std::vec::Vec<(usize, String)> = [
            (3, "command .memory on"),
            (4, "statement select 1;"),
            (4, "statement select\n';'\n ;"),
            (7, "command .mode csv"),
            (9, "statement select 2 -- end"),
        ]
        .into_iter()
        .map(|(line, text)| (line, text.to_owned()))
        .collect();
        for size in 1..text.len() {
            assert_eq!(pieces(text, size), expected, "pieces of {size} bytes");
        }
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        for size in 1..5 {
            let expected = vec![(1, "statement select 1;".to_owned())];
            assert_eq!(pieces("\u{FEFF}select 1;", size), expected, "pieces of {size} bytes");
            assert_eq!(pieces("select 1;", size), expected, "pieces of {size} bytes");
            assert_eq!(pieces("\u{FEFF}", size), vec![], "pieces of {size} bytes");
        }
    }

    #[test]
    fn a_comment_that_is_not_closed_is_a_statement() {
        let expected = vec![(2, "statement /* select 1;".to_owned())];
        assert_eq!(pieces("-- x\n/* select 1;", 4096), expected);
    }

    #[test]
    fn a_statement_beyond_the_budget_is_refused() {
        let root = Budget::root("root", 64 << 10).unwrap();
        for byte in [b'x', b'-', b'.'] {
            let arena = Arena::new(&root);
            let mut script = Script::new(io::repeat(byte));
            assert!(matches!(script.next_piece(&arena), Err(ReadError::OutOfMemory)));
        }
    }

    /// Aim: a large statement takes nothing from those after it. Method: the budget after it was dropped.
    #[test]
    fn a_statement_gives_back_what_it_took() {
        let root = Budget::root("root", 1 << 20).unwrap();
        let text = format!("select '{}';\nselect 2;", "x".repeat(100_000));
        let mut script = Script::new(text.as_bytes());
        let before = root.used();
        for length in [100_010, 9] {
            let arena = Arena::new(&root);
            let Some((Piece::Statement(bytes), _)) = script.next_piece(&arena).unwrap() else { panic!() };
            assert_eq!(bytes.len(), length);
            drop(arena);
            assert_eq!(root.used(), before);
        }
    }
}
