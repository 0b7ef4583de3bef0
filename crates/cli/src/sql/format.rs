//! `format`: a script laid out for people. Comments stay, and so does the text of a statement that is wrong.

use std::io::{self, Write};

use cofferdam_arena::collections::String;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_sql::{KeywordCase, Layout, Tree, format};

use super::Out;
use super::script::{Reading, Show, Statement, Stopped, parse_again, words_start};
use crate::args::{Case, Format};

/// Lays the script out. Gives the exit code.
///
/// # Errors
/// What the system says of the input or the output.
pub(super) fn show(options: &Format, reading: &mut Reading<'_>) -> io::Result<u8> {
    let keywords = match options.keywords {
        Case::Upper => KeywordCase::Upper,
        Case::Lower => KeywordCase::Lower,
        Case::Keep => KeywordCase::Keep,
    };
    let layout = Layout { width: options.width, indent: options.indent, keywords };
    let mut formatted = Formatted { layout, has_begun: false };
    let code = reading.show(&mut formatted)?;
    if formatted.has_begun {
        writeln!(reading.out())?;
    }
    Ok(code)
}

/// Statements in a layout, with what stands between them.
struct Formatted {
    layout: Layout,
    /// Whether anything was written. The last line is ended by what follows: a comment may stay on it.
    has_begun: bool,
}

impl Formatted {
    /// Writes the comments of `text`, which has nothing else but blanks and `;`. Gives how many line breaks stand behind
    /// the last of them.
    fn comments(&mut self, text: &str, out: &mut Out) -> io::Result<usize> {
        let (mut rest, mut breaks_count) = (text, 0);
        while let Some(c) = rest.chars().next() {
            let mut length = c.len_utf8();
            if matches!(c, '-' | '/') {
                length = comment_length(rest);
                self.separate(breaks_count, " ", out)?;
                write!(out, "{}", rest[..length].trim_end())?;
                breaks_count = 0;
            }
            breaks_count += usize::from(c == '\n');
            rest = &rest[length..];
        }
        Ok(breaks_count)
    }

    /// Begins a new line, below an empty one where there were more line breaks than one, or goes on behind `blank` where
    /// there were none.
    fn separate(&mut self, breaks_count: usize, blank: &str, out: &mut Out) -> io::Result<()> {
        let separator = match breaks_count {
            _ if !std::mem::replace(&mut self.has_begun, true) => "",
            0 => blank,
            1 => "\n",
            _ => "\n\n",
        };
        write!(out, "{separator}")
    }
}

impl Show for Formatted {
    fn right(
        &mut self,
        statement: Statement<'_>,
        _: Tree<'_>,
        arena: &Arena,
        out: &mut Out,
    ) -> Result<(), Stopped> {
        let (gap, own) = statement.text.split_at(words_start(statement.text));
        let mut formatted = String::new_in(arena);
        // The layout is that of a whole text, so the statement is parsed once more as one.
        let tree = parse_again(own, arena)?;
        if format(tree, self.layout, &mut formatted, arena).is_err() {
            // A string in an arena fails for no other reason.
            return Err(Stopped::OutOfMemory(AllocError));
        }
        let breaks_count = self.comments(gap, out)?;
        self.separate(breaks_count, "\n", out)?;
        Ok(write!(out, "{}", formatted.as_str())?)
    }

    fn wrong(&mut self, text: &[u8], out: &mut Out) -> io::Result<()> {
        let gap = str::from_utf8(text).map_or("", |text| &text[..words_start(text)]);
        let breaks_count = self.comments(gap, out)?;
        self.separate(breaks_count, "\n", out)?;
        out.write_all(text[gap.len()..].trim_ascii())
    }

    fn rest(&mut self, text: &str, out: &mut Out) -> io::Result<()> {
        self.comments(text, out).map(drop)
    }
}

/// The length of the comment that `text` begins with.
fn comment_length(text: &str) -> usize {
    if text.starts_with("--") {
        return text.find(['\n', '\r']).unwrap_or(text.len());
    }
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let (step, change) = match text.as_bytes().get(at..at + 2) {
            Some(b"/*") => (2, 1),
            Some(b"*/") => (2, -1),
            _ => (1, 0),
        };
        at += step;
        depth = depth.saturating_add_signed(change);
        if depth == 0 {
            break;
        }
    }
    at
}
