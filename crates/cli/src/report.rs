//! Errors as people read them: the line of the statement with a caret under the place, the SQLSTATE, and what would help.

use std::fmt::{self, Write as _};
use std::io::IsTerminal;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use cofferdam::{Error, OutOfMemory, Span, human_bytes};

use crate::args::Mode;
use crate::complain;
use crate::format::escaped::Escaped;

/// The most bytes of a statement's line that are shown.
const EXCERPT_BYTES_MAX: usize = 160;

/// Where a statement was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// Such as `-c` or `stdin`.
    pub origin: &'a str,
    /// The line on which the statement's text begins, from 1.
    pub line: usize,
}

/// The part of a text that an error is shown in.
struct Excerpt<'t> {
    text: &'t str,
    line: usize,
    marked: Range<usize>,
}

/// Writes `error` of the statement `sql` to standard error.
pub(crate) fn report(error: &Error, sql: &str, place: Place<'_>, mode: Mode) {
    if mode == Mode::Table {
        complain(for_people(error, sql, place));
    } else {
        complain(in_one_line(error, sql, place));
    }
}

fn for_people(error: &Error, sql: &str, place: Place<'_>) -> String {
    let Some(span) = error.span() else { return without_place(error) };
    let message = Escaped(error).to_string();
    let excerpt = Excerpt::around(sql, span, place.line);
    let annotation = AnnotationKind::Primary.span(excerpt.marked.clone());
    let source =
        Snippet::source(excerpt.text).line_start(excerpt.line).path(place.origin).annotation(annotation);
    let title = Level::ERROR.primary_title(message.as_str()).id(error.sqlstate());
    let mut group = Group::with_title(title).element(source);
    if let Some(hint) = error.hint() {
        group = group.element(Level::HELP.message(Escaped(hint).to_string()));
    }
    let renderer = if std::io::stderr().is_terminal() { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
}

/// An error that no part of the statement's text is to blame for, in the same form without a drawing.
fn without_place(error: &Error) -> String {
    let mut text = format!("error[{}]: ", error.sqlstate());
    // Writing to a string does not fail.
    let _ = match error.out_of_memory() {
        Some(record) => write!(text, "{}", summary(record)),
        None => write!(text, "{}", Escaped(error)),
    };
    for note in error.out_of_memory().map(notes).unwrap_or_default() {
        let _ = write!(text, "\n  = note: {note}");
    }
    if let Some(hint) = error.hint() {
        let _ = write!(text, "\n  = help: {}", Escaped(hint));
    }
    text
}

fn in_one_line(error: &Error, sql: &str, place: Place<'_>) -> String {
    let mut text = format!("error[{}]: {}", error.sqlstate(), Escaped(error));
    if let Some(span) = error.span() {
        let excerpt = Excerpt::around(sql, span, place.line);
        // Writing to a string does not fail.
        let _ = write!(text, " ({}, line {})", place.origin, excerpt.line);
    }
    if let Some(hint) = error.hint() {
        let _ = write!(text, "; {}", Escaped(hint));
    }
    text
}

/// Who ran out, and when.
fn summary(record: &OutOfMemory) -> String {
    match record.stage() {
        "" => format!("out of memory in {}", record.path()),
        stage => format!("out of memory in {} (stage {stage})", record.path()),
    }
}

/// What was asked, what stands against it, and who holds the rest.
fn notes(record: &OutOfMemory) -> Vec<String> {
    let mut notes = vec![format!(
        "asked for {}; `{}` uses {} of its limit of {}",
        human_bytes(record.asked_bytes()),
        record.refused_by(),
        human_bytes(record.used_bytes()),
        human_bytes(record.limit_bytes()),
    )];
    let holders: Vec<String> =
        record.holders().map(|(name, bytes)| format!("{name} {}", human_bytes(bytes))).collect();
    if !holders.is_empty() {
        notes.push(format!("largest holders: {}", holders.join(", ")));
    }
    notes
}

impl<'t> Excerpt<'t> {
    /// The line of `span`, or of a long line the part around it.
    fn around(sql: &'t str, span: Span, first_line: usize) -> Excerpt<'t> {
        let start = sql.floor_char_boundary((span.start as usize).min(sql.len()));
        let line_start = sql[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = sql[start..].find('\n').map_or(sql.len(), |at| start + at);
        let from = sql.floor_char_boundary(line_start.max(start.saturating_sub(EXCERPT_BYTES_MAX / 2)));
        let to = sql.floor_char_boundary(line_end.min(from + EXCERPT_BYTES_MAX)).max(start);
        let end = (span.start as usize).saturating_add(span.len as usize);
        let end = sql.floor_char_boundary(end.clamp(start, to));
        let line = first_line + sql[..line_start].bytes().filter(|&byte| byte == b'\n').count();
        Excerpt { text: &sql[from..to], line, marked: start - from..end - from }
    }
}

impl fmt::Debug for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?} {:?}", self.line, self.text, self.marked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(sql: &str, start: u32, len: u32) -> String {
        format!("{:?}", Excerpt::around(sql, Span { start, len }, 1))
    }

    #[test]
    fn the_line_of_the_place_is_shown() {
        assert_eq!(excerpt("select\n  x\nfrom t", 9, 1), "2: \"  x\" 2..3");
        assert_eq!(excerpt("select x", 7, 100), "1: \"select x\" 7..8");
        assert_eq!(excerpt("", 5, 1), "1: \"\" 0..0");
        assert_eq!(excerpt("a\n", 2, 0), "2: \"\" 0..0");
        assert_eq!(excerpt("select x\nfrom", 7, 6), "1: \"select x\" 7..8");
    }

    #[test]
    fn of_a_long_line_only_a_part_is_shown() {
        let sql = format!("{}é!{}", "é".repeat(1000), "ü".repeat(1000));
        let excerpt = Excerpt::around(&sql, Span { start: 2002, len: 1 }, 7);
        assert!(excerpt.text.len() <= EXCERPT_BYTES_MAX);
        assert_eq!((&excerpt.text[excerpt.marked.clone()], excerpt.line), ("!", 7));
    }
}
