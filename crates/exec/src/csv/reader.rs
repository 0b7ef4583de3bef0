//! A window over a delimited file: bounded, refilled in place, never mapped.
//!
//! ```text
//!            start                      end
//!   [ consumed | lines not yet handed out | room ]      the window, in a text heap of the scan
//! ```
//!
//! [`Reader::refill`] moves what is left to the front and reads behind it, so a text view into the window stays good
//! until the next refill. The window grows only when a single line does not fit, and every byte of it is charged.
//!
//! **Invariants.** R1: bytes in `start..end` are free of NUL. R2: at the end of the file the window ends in a newline,
//! one being added if the file lacks it.

use std::fs::File;
use std::io::{ErrorKind, Read};

use cofferdam_arena::AllocError;
use cofferdam_arena::collections::Vec;

/// The window's first size, if the limit allows.
const WINDOW_BYTES: usize = 256 * 1024;
const WINDOW_BYTES_MIN: usize = 4 * 1024;
/// Views hold positions of 32 bits, the highest of which means NULL.
const WINDOW_BYTES_MAX: usize = u32::MAX as usize - 1;

/// The size of a window under a limit.
pub(crate) fn window_bytes(limit_bytes: u64) -> usize {
    let share = usize::try_from(limit_bytes / 16).unwrap_or(usize::MAX);
    share.clamp(WINDOW_BYTES_MIN, WINDOW_BYTES)
}

/// Why a window could not be refilled.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ReadProblem {
    Io(ErrorKind),
    OutOfMemory(AllocError),
    /// At this position of the window, behind so many newlines of what is not consumed.
    NulByte {
        at: usize,
        newlines: u64,
    },
    TooLong,
    /// The file was cut off after it was opened.
    Shrunk,
}

impl From<AllocError> for ReadProblem {
    fn from(error: AllocError) -> Self {
        ReadProblem::OutOfMemory(error)
    }
}

/// The state of a file that is read through a window.
#[derive(Debug)]
pub(crate) struct Reader {
    file: File,
    /// What the system said when reading began; 0 where it does not know.
    file_bytes: u64,
    /// The first byte of the window that is not consumed.
    pub(crate) start: usize,
    /// Behind the last byte that was read.
    pub(crate) end: usize,
    /// The offset in the file of the window's first byte.
    pub(crate) offset: u64,
    /// Whether the file has no more bytes.
    pub(crate) at_end: bool,
    /// Whether `start..end` may hold a quote, or another byte that was given for one.
    pub(crate) has_quotes: bool,
    /// Whether `start..end` is ASCII throughout.
    pub(crate) is_ascii: bool,
    quote: Option<u8>,
    size: usize,
}

impl Reader {
    /// A reader from the start of `file` with a window of `size` bytes, taken at the first refill.
    pub(crate) fn new(file: File, quote: Option<u8>, size: usize) -> Reader {
        let file_bytes = file.metadata().map_or(0, |metadata| metadata.len());
        Reader {
            file,
            file_bytes,
            start: 0,
            end: 0,
            offset: 0,
            at_end: false,
            has_quotes: false,
            is_ascii: true,
            quote,
            size,
        }
    }

    /// Reads on, and gives whether there are more bytes than before.
    ///
    /// # Errors
    /// What the system refuses, memory for a line that does not fit, and a NUL byte.
    pub(crate) fn refill(&mut self, window: &mut Vec<'_, u8>) -> Result<bool, ReadProblem> {
        if self.at_end {
            return Ok(false);
        }
        self.make_room(window)?;
        let is_first = self.offset == 0 && self.start == 0 && self.end == 0;
        let before = self.end;
        // One byte stays free for the newline of R2.
        while self.end + 1 < window.len() {
            let room = window.len() - 1;
            match self.file.read(&mut window[self.end..room]) {
                Ok(0) if self.has_shrunk() => return Err(ReadProblem::Shrunk),
                Ok(0) => {
                    self.at_end = true;
                    break;
                }
                Ok(count) => self.end += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(ReadProblem::Io(error.kind())),
            }
        }
        if is_first && window[..self.end].starts_with(b"\xEF\xBB\xBF") {
            self.start = 3;
        }
        if self.at_end && self.end > self.start && window[self.end - 1] != b'\n' {
            window[self.end] = b'\n';
            self.end += 1;
        }
        self.inspect(window)?;
        Ok(self.end > before)
    }

    /// Leaves the rest of the file unread.
    pub(crate) fn finish(&mut self) {
        self.start = self.end;
        self.at_end = true;
    }

    /// Whether the end came early because the file was cut off. Some files of the system claim more than they give.
    fn has_shrunk(&self) -> bool {
        self.offset + (self.end as u64) < self.file_bytes
            && self.file.metadata().is_ok_and(|metadata| metadata.len() < self.file_bytes)
    }

    /// Moves the rest to the front, and grows the window if it is full of one line.
    fn make_room(&mut self, window: &mut Vec<'_, u8>) -> Result<(), ReadProblem> {
        if self.start > 0 {
            window.copy_within(self.start..self.end, 0);
            self.offset += self.start as u64;
            self.end -= self.start;
            self.start = 0;
        }
        if self.end + 1 >= window.len() {
            let wanted = if window.is_empty() { self.size } else { window.len().saturating_mul(2) };
            if wanted > WINDOW_BYTES_MAX {
                return Err(ReadProblem::TooLong);
            }
            window.resize_zeroed(wanted)?;
        }
        Ok(())
    }

    /// Looks at all bytes in the window: R1, and what the splitter wants to know. What was left from before is looked
    /// at again, which is less than a line, or grows with the window.
    fn inspect(&mut self, window: &[u8]) -> Result<(), ReadProblem> {
        let bytes = &window[self.start..self.end];
        if let Some(at) = memchr::memchr(0, bytes) {
            let newlines = memchr::memchr_iter(b'\n', &bytes[..at]).count() as u64;
            return Err(ReadProblem::NulByte { at: self.start + at, newlines });
        }
        self.has_quotes = self.quote.is_some_and(|quote| memchr::memchr(quote, bytes).is_some());
        self.is_ascii = bytes.is_ascii();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_arena::{Arena, Budget};

    fn no_file() -> File {
        File::open("/dev/null").or_else(|_| File::open(file!())).unwrap()
    }

    #[test]
    fn windows_end_where_views_do() {
        let budget = Budget::unlimited("test").unwrap();
        let arena = Arena::new(&budget);
        let mut reader = Reader::new(no_file(), None, WINDOW_BYTES_MAX + 1);
        assert!(matches!(reader.refill(&mut Vec::new_in(&arena)), Err(ReadProblem::TooLong)));
    }

    /// Aim: rows that were there at the beginning are not left out silently. Method: the file is cut between two reads.
    #[test]
    fn a_file_that_is_cut_off_is_noticed() {
        let path = std::env::temp_dir().join(format!("cofferdam-reader-{}.csv", std::process::id()));
        std::fs::write(&path, "12345\n".repeat(1000)).unwrap();
        let budget = Budget::unlimited("test").unwrap();
        let arena = Arena::new(&budget);
        let (mut reader, mut window) =
            (Reader::new(File::open(&path).unwrap(), None, 1024), Vec::new_in(&arena));
        assert!(reader.refill(&mut window).unwrap());
        reader.start = reader.end;
        File::options().write(true).open(&path).unwrap().set_len(1500).unwrap();
        assert!(matches!(reader.refill(&mut window), Err(ReadProblem::Shrunk)));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn windows_follow_the_limit() {
        assert_eq!(window_bytes(0), WINDOW_BYTES_MIN);
        assert_eq!(window_bytes(1 << 20), 64 * 1024);
        assert_eq!(window_bytes(u64::MAX), WINDOW_BYTES);
    }
}
