//! Reading a file or standard input in bounded memory: texts between NUL bytes, or pieces of a script.
//!
//! A script comes in pieces that end with a `;`, as many statements at a time as one read gives, so that no byte is copied
//! more often than a statement spans reads. Where a `;` ends a statement is the parser's to say: one inside of a function's
//! body does not, and then the piece is [extended](Source::fill).

use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::Path;

use cofferdam::Splitter;
use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;

use super::progress::Progress;
use crate::input::ReadError;
use crate::interrupt;

/// Bytes that are read at a time.
const READ_BYTES: usize = 64 << 10;

/// The bytes of a file or of standard input.
pub(crate) struct Source<'b> {
    /// How errors call it.
    origin: &'b str,
    reader: Box<dyn Read>,
    buffer: &'b mut [u8],
    /// What of the buffer was read and not given out.
    filled: Range<usize>,
    is_at_end: bool,
    progress: Progress,
}

/// One of the texts between NUL bytes.
pub(crate) enum Entry<'e> {
    /// Its bytes.
    Text(&'e [u8]),
    /// It is longer than memory allows, and was passed over.
    TooLong,
}

impl<'b> Source<'b> {
    /// The file at `path`, or standard input if that is `-`, read through a buffer in `room`.
    ///
    /// # Errors
    /// The file cannot be opened, or there is no memory for the buffer.
    pub(crate) fn open(path: &Path, room: &'b Arena) -> Result<Source<'b>, ReadError> {
        let (reader, bytes): (Box<dyn Read>, _) = if path.as_os_str() == "-" {
            (Box::new(io::stdin().lock()), None)
        } else {
            let file = File::open(path)?;
            let bytes = file.metadata().ok().filter(|data| data.is_file()).map(|data| data.len());
            (Box::new(file), bytes)
        };
        let origin = match path.as_os_str() == "-" {
            true => "stdin",
            false => room.alloc_fmt(format_args!("{}", path.display()))?,
        };
        let buffer = room.alloc_slice_fill(READ_BYTES, 0)?;
        let progress = Progress::new(bytes);
        Ok(Source { origin, reader, buffer, filled: 0..0, is_at_end: false, progress })
    }

    /// How errors call it: the path, or `stdin`.
    pub(crate) fn origin(&self) -> &'b str {
        self.origin
    }

    /// How far the reading is, on a terminal.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The next text up to a NUL byte, or to the end if something stands there; `None` at the end. A text that is not
    /// in the buffer as a whole is put together in `arena`. `out` is flushed before there may be a wait for more.
    ///
    /// # Errors
    /// What the system says of the input or of `out`.
    pub(crate) fn next_entry<'e>(
        &'e mut self,
        arena: &'e Arena,
        out: &mut dyn Write,
    ) -> io::Result<Option<Entry<'e>>> {
        if self.filled.is_empty() {
            self.read(out)?;
        }
        if let Some(text) = self.take_to_nul() {
            return Ok(Some(Entry::Text(&self.buffer[text])));
        }
        if self.filled.is_empty() {
            return Ok(None);
        }
        let mut bytes = Vec::new_in(arena);
        let mut fits = true;
        loop {
            fits = fits && bytes.extend_from_slice(&self.buffer[self.filled.clone()]).is_ok();
            self.read(out)?;
            let rest = self.take_to_nul();
            if let Some(rest) = rest.clone() {
                fits = fits && bytes.extend_from_slice(&self.buffer[rest]).is_ok();
            }
            if rest.is_some() || self.is_at_end {
                return Ok(Some(if fits { Entry::Text(bytes.into_slice()) } else { Entry::TooLong }));
            }
        }
    }

    /// Takes the text before the next NUL byte in the buffer, and that byte.
    fn take_to_nul(&mut self) -> Option<Range<usize>> {
        let start = self.filled.start;
        let length = self.buffer[self.filled.clone()].iter().position(|&byte| byte == 0)?;
        self.filled.start += length + 1;
        Some(start..start + length)
    }

    /// Reads on behind `piece` until it ends with a `;` and has at least `least` bytes, or the input ends: true is given
    /// then. `out` is flushed before there may be a wait for more.
    ///
    /// # Errors
    /// [`ReadError`]; what follows cannot be read then.
    pub(crate) fn fill(
        &mut self,
        piece: &mut Vec<'_, u8>,
        least: usize,
        out: &mut dyn Write,
    ) -> Result<bool, ReadError> {
        let mut splitter = Splitter::at_each_semicolon();
        let mut end = 0;
        loop {
            while let Some(length) = splitter.find_end(&piece[end..]) {
                end += length;
            }
            if end > 0 && end >= least {
                // Whatever stands behind the last `;` came with the last read.
                self.filled = self.filled.end - (piece.len() - end)..self.filled.end;
                piece.truncate(end);
                return Ok(false);
            }
            if self.is_at_end {
                return Ok(true);
            }
            if self.filled.is_empty() {
                self.read(out)?;
            }
            piece.extend_from_slice(&self.buffer[self.filled.clone()])?;
            self.filled.start = self.filled.end;
        }
    }

    /// Fills the buffer anew.
    fn read(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.flush()?;
        let count = loop {
            match interrupt::waiting(|| self.reader.read(self.buffer)) {
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => interrupt::check()?,
                Err(error) => {
                    let message = format!("could not read {}: {error}", self.origin);
                    return Err(io::Error::new(error.kind(), message));
                }
            }
        };
        self.filled = 0..count;
        self.is_at_end = count == 0;
        self.progress.advance(count as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::tests::Slow;
    use cofferdam::Budget;

    fn source<'b>(text: &'static str, size: usize, room: &'b Arena) -> Source<'b> {
        let reader = Box::new(Slow { text: text.as_bytes(), size });
        let buffer = room.alloc_slice_fill(READ_BYTES, 0).unwrap();
        let progress = Progress::new(None);
        Source { origin: "test", reader, buffer, filled: 0..0, is_at_end: false, progress }
    }

    #[test]
    fn entries_are_the_same_however_the_text_arrives() {
        let budget = Budget::root("root", 1 << 20).unwrap();
        let text = "one\0two two\0\0four\0five";
        for size in 1..=text.len() {
            let room = Arena::new(&budget);
            let mut source = source(text, size, &room);
            let mut found = std::vec::Vec::new();
            loop {
                let arena = Arena::new(&budget);
                match source.next_entry(&arena, &mut io::sink()).unwrap() {
                    Some(Entry::Text(bytes)) => found.push(str::from_utf8(bytes).unwrap().to_owned()),
                    Some(Entry::TooLong) => panic!("it fits"),
                    None => break,
                }
            }
            assert_eq!(found, ["one", "two two", "", "four", "five"], "reads of {size} bytes");
        }
    }

    /// Aim: a text that does not fit takes nothing from those after it.
    #[test]
    fn an_entry_beyond_the_budget_is_passed_over() {
        let root = Budget::root("root", 1 << 20).unwrap();
        let room = Arena::new(&root);
        let text = String::from("one\0") + &"x".repeat(200_000) + "\0three\0" + &"y".repeat(200_000);
        for size in [7, 1000, READ_BYTES] {
            let mut source = source(text.clone().leak(), size, &room);
            let budget = root.child("input", 100_000).unwrap();
            let mut found = std::vec::Vec::new();
            loop {
                let arena = Arena::new(&budget);
                match source.next_entry(&arena, &mut io::sink()).unwrap() {
                    Some(Entry::Text(bytes)) => found.push(str::from_utf8(bytes).unwrap().to_owned()),
                    Some(Entry::TooLong) => found.push("too long".to_owned()),
                    None => break,
                }
                drop(arena);
                assert_eq!(budget.used(), 0);
            }
            assert_eq!(found, ["one", "too long", "three", "too long"], "reads of {size} bytes");
        }
    }

    /// Aim: pieces end with a `;`, are as long as was asked for, and together are the text. Method: all sizes of reads;
    /// each piece is first cut short and then extended.
    #[test]
    fn pieces_end_with_statements_and_can_be_extended() {
        let budget = Budget::root("root", 1 << 20).unwrap();
        let text = "select 1;select\n';'\n ;;/* ; */ ; select $a$;$a$ ;\n select 2 -- end";
        for size in 1..=text.len() {
            let room = Arena::new(&budget);
            let mut source = source(text, size, &room);
            let mut all = String::new();
            loop {
                let arena = Arena::new(&budget);
                let mut piece = Vec::new_in(&arena);
                let mut is_last = source.fill(&mut piece, 0, &mut io::sink()).unwrap();
                let first = piece.len();
                assert!(is_last || piece.ends_with(b";"), "reads of {size} bytes");
                if !is_last {
                    is_last = source.fill(&mut piece, 2 * first, &mut io::sink()).unwrap();
                    assert!(is_last || (piece.ends_with(b";") && piece.len() >= 2 * first));
                }
                all += str::from_utf8(&piece).unwrap();
                if is_last {
                    break;
                }
            }
            assert_eq!(all, text, "reads of {size} bytes");
        }
    }
}
