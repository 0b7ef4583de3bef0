//! Errors as people read them: the line of the statement with a caret under the place, the SQLSTATE, and what would help.

use std::fmt::{self, Display, Write as _};
use std::io::IsTerminal;
use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use cofferdam::{Error, OutOfMemory, Span, human_bytes};
use cofferdam_sql::Hint;

use crate::args::Mode;
use crate::complain;
use crate::format::escaped::Escaped;
use crate::position::Position;

/// The most bytes of a statement's line that are shown.
const EXCERPT_BYTES_MAX: usize = 160;
/// The most bytes before the place that are shown.
pub(crate) const EXCERPT_BYTES_BEFORE_MAX: usize = EXCERPT_BYTES_MAX / 2;

/// Stands in a drawing where the name of the input goes: a character that means nothing.
const PLACE: &str = "\u{E000}";

/// Where a statement was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// Such as `-c` or `stdin`.
    pub origin: &'a str,
    /// Where the statement's text begins.
    pub position: Position,
}

/// The part of a text that an error is shown in.
struct Excerpt<'t> {
    text: &'t str,
    /// The offset of its first byte in the whole text.
    start: usize,
    /// Where it stands.
    position: Position,
    marked: Range<usize>,
}

/// Writes `error` of the statement `sql` to standard error.
pub(crate) fn report(error: &Error, sql: &str, place: Place<'_>, mode: Mode) {
    let hint = error.hint();
    let finding = Finding::of(error, hint.as_ref().map(|hint| hint as &dyn Display));
    if mode == Mode::Table {
        finding.report(sql, 0, place);
    } else {
        complain(finding.in_one_line(sql, place));
    }
}

/// What is wrong with a statement, and what would help.
pub(crate) struct Finding<'e> {
    /// The SQLSTATE.
    pub sqlstate: &'static str,
    /// What is wrong.
    pub message: &'e dyn Display,
    /// Where in the text, in bytes.
    pub span: Option<Span>,
    /// Where that opened which is not closed, in bytes.
    pub opened: Option<u32>,
    /// What would help.
    pub hint: Option<&'e dyn Display>,
    /// Who ran out of memory.
    pub out_of_memory: Option<&'e OutOfMemory>,
}

impl<'e> Finding<'e> {
    /// A finding of the database. `hint` is the error's.
    pub(crate) fn of(error: &'e Error, hint: Option<&'e dyn Display>) -> Finding<'e> {
        Finding {
            sqlstate: error.sqlstate(),
            message: error,
            span: error.span(),
            opened: None,
            hint,
            out_of_memory: error.out_of_memory(),
        }
    }

    /// A finding of the parser. `hint` is the error's.
    pub(crate) fn of_sql(
        error: &'e cofferdam_sql::Error,
        hint: Option<&'e Hint>,
        out_of_memory: Option<&'e OutOfMemory>,
    ) -> Finding<'e> {
        let opened = match hint {
            Some(&(Hint::OpenedAt(offset) | Hint::ParenthesisOpenedAt(offset))) => Some(offset),
            _ => None,
        };
        // What opened is drawn, so that nobody has to count bytes.
        let hint = hint.filter(|_| opened.is_none()).map(|hint| hint as &dyn Display);
        let (sqlstate, span) = (error.sqlstate(), error.span());
        Finding { sqlstate, message: error, span, opened, hint, out_of_memory }
    }

    /// Draws it to standard error. `place` is that of the byte at `seen` in `sql`, before or in the first line that is
    /// drawn.
    pub(crate) fn report(&self, sql: &str, seen: usize, place: Place<'_>) {
        match self.span {
            None => complain(self.without_place()),
            Some(span) => complain(self.with_place(sql, seen, span, place)),
        }
    }

    fn with_place(&self, sql: &str, seen: usize, span: Span, place: Place<'_>) -> String {
        let message = Escaped(self.message).to_string().replace(PLACE, "\u{FFFD}");
        let title = Level::ERROR.primary_title(message.as_str()).id(self.sqlstate);
        let excerpt = Excerpt::around(sql, seen, span, place.position);
        let mut source = excerpt.source().annotation(AnnotationKind::Primary.span(excerpt.marked.clone()));
        let mut elsewhere = None;
        if let Some(opened) = self.opened.filter(|&opened| opened != span.start) {
            match excerpt.place_of(opened) {
                Some(place) => source = source.annotation(opened_here(place)),
                None => {
                    let opened = Span { start: opened, len: 1 };
                    elsewhere = Some(Excerpt::around(sql, seen, opened, place.position));
                }
            }
        }
        let mut group = Group::with_title(title).element(source);
        if let Some(opened) = &elsewhere {
            group = group.element(opened.source().annotation(opened_here(opened.marked.clone())));
        }
        if let Some(hint) = self.hint {
            group = group.element(Level::HELP.message(Escaped(hint).to_string()));
        }
        let excerpts = std::iter::once(&excerpt).chain(&elsewhere);
        excerpts.fold(render(group), |drawing, excerpt| excerpt.with_place(&drawing, place.origin))
    }

    /// In the same form without a drawing, where no part of the statement's text is to blame.
    pub(crate) fn without_place(&self) -> String {
        let message = match self.out_of_memory {
            Some(record) => summary(record),
            None => Escaped(self.message).to_string(),
        };
        let mut group = Group::with_title(Level::ERROR.primary_title(message.as_str()).id(self.sqlstate));
        for note in self.out_of_memory.map(notes).unwrap_or_default() {
            group = group.element(Level::NOTE.message(note));
        }
        if let Some(hint) = self.hint {
            group = group.element(Level::HELP.message(Escaped(hint).to_string()));
        }
        render(group)
    }

    fn in_one_line(&self, sql: &str, place: Place<'_>) -> String {
        let mut text = format!("error[{}]: {}", self.sqlstate, Escaped(self.message));
        if let Some(span) = self.span {
            let excerpt = Excerpt::around(sql, 0, span, place.position);
            // Writing to a string does not fail.
            let _ = write!(text, " ({}, line {})", place.origin, excerpt.position.line);
        }
        if let Some(hint) = self.hint {
            let _ = write!(text, "; {}", Escaped(hint));
        }
        text
    }
}

fn opened_here<'t>(place: Range<usize>) -> Annotation<'t> {
    AnnotationKind::Context.span(place).label("opened here")
}

fn render(group: Group<'_>) -> String {
    let renderer = if std::io::stderr().is_terminal() { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
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
    if let Some((what, bytes)) = record.value() {
        notes.push(format!("one value of {what} had come to {}", human_bytes(bytes)));
    }
    let holders: Vec<String> =
        record.holders().map(|(name, bytes)| format!("{name} {}", human_bytes(bytes))).collect();
    if !holders.is_empty() {
        notes.push(format!("largest holders: {}", holders.join(", ")));
    }
    notes
}

impl<'t> Excerpt<'t> {
    /// The line of `span`, or of a long line the part around it. `position` is that of the byte at `seen`, before
    /// `span`.
    fn around(sql: &'t str, seen: usize, span: Span, position: Position) -> Excerpt<'t> {
        let start = sql.floor_char_boundary((span.start as usize).min(sql.len()));
        // A line may be as long as the text, so no more of it is looked at than is shown.
        let before = sql.floor_char_boundary(start.saturating_sub(EXCERPT_BYTES_BEFORE_MAX));
        let from = sql[before..start].rfind('\n').map_or(before, |at| before + at + 1);
        let behind = sql.floor_char_boundary(from + EXCERPT_BYTES_MAX).max(start);
        let to = sql[start..behind].find('\n').map_or(behind, |at| start + at);
        let end = (span.start as usize).saturating_add(span.len as usize);
        let end = sql.floor_char_boundary(end.clamp(start, to));
        let position = position.after(sql.as_bytes().get(seen..from).unwrap_or_default());
        Excerpt { text: &sql[from..to], start: from, position, marked: start - from..end - from }
    }

    /// Where a byte of the whole text stands in it, if it does.
    fn place_of(&self, offset: u32) -> Option<Range<usize>> {
        let at = (offset as usize).checked_sub(self.start)?;
        (at < self.text.len()).then_some(at..at + 1)
    }

    fn source(&self) -> Snippet<'t, Annotation<'t>> {
        Snippet::source(self.text).line_start(self.position.line).path(PLACE)
    }

    /// The drawing with the place of what is marked in the whole input, where it says the place in the excerpt.
    fn with_place(&self, drawing: &str, origin: &str) -> String {
        let before = &self.text.as_bytes()[..self.marked.start];
        let drawn = Position { column: 0, ..self.position }.after(before);
        let Position { line, column } = self.position.after(before);
        let place = format!("{}:{line}:{}", Escaped(origin), column + 1);
        drawing.replacen(&format!("{PLACE}:{}:{}", drawn.line, drawn.column + 1), &place, 1)
    }
}

impl fmt::Debug for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?} {:?}", self.position.line, self.text, self.marked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(sql: &str, start: u32, len: u32) -> String {
        format!("{:?}", Excerpt::around(sql, 0, Span { start, len }, Position::START))
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
        let excerpt = Excerpt::around(&sql, 0, Span { start: 2002, len: 1 }, Position { line: 7, column: 0 });
        assert!(excerpt.text.len() <= EXCERPT_BYTES_MAX);
        assert_eq!((&excerpt.text[excerpt.marked.clone()], excerpt.position.line), ("!", 7));
    }
}
