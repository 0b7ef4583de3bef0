//! What comes from outside, on a terminal: characters that would act on it are shown as escapes.

use std::fmt::{self, Display, Write as _};

/// A value whose control characters are shown as escapes.
pub(crate) struct Escaped<T>(pub(crate) T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(EscapingWriter(f), "{}", self.0)
    }
}

/// Control characters, and those of Unicode that break a line or turn the direction of what follows.
fn is_shown_as_escape(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

struct EscapingWriter<'f, 'g>(&'f mut fmt::Formatter<'g>);

impl fmt::Write for EscapingWriter<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_shown_as_escape) {
            self.0.write_str(&rest[..at])?;
            let control = rest[at..].chars().next().expect("found above");
            write!(self.0, "{}", control.escape_default())?;
            rest = &rest[at + control.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(Escaped("a\nb\té\u{1b}[0m").to_string(), "a\\nb\\té\\u{1b}[0m");
        assert_eq!(Escaped("a\u{202E}b\u{2028}").to_string(), "a\\u{202e}b\\u{2028}");
        assert_eq!(Escaped("👨\u{200D}👩").to_string(), "👨\u{200D}👩");
        assert_eq!(Escaped("").to_string(), "");
    }
}
