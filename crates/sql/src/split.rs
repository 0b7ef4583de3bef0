//! Where a statement ends in a text of many, also while the text is still coming in.
//!
//! [`Splitter`] looks at each byte once, however the text is cut into pieces: it is a state machine over bytes that knows
//! quotes, dollar quotes and comments by the rules of the [`Lexer`](crate::Lexer). It looks for a `;` outside of all of
//! them, and outside of the two constructs that have statements inside: the body of a function between `BEGIN ATOMIC`
//! and `END`, and the actions of a rule in parentheses after `DO`. Other parentheses do not matter, so that a statement
//! that lacks one does not swallow those after it. (`body.rs` has the words.)
//!
//! ```
//! use cofferdam_sql::{Splitter, statements};
//!
//! let script = "select ';'; -- one;\nselect $a$;$a$;";
//! let texts: Vec<&str> = statements(script).map(|span| span.of(script)).collect();
//! assert_eq!(texts, ["select ';';", "-- one;\nselect $a$;$a$;"]);
//!
//! let mut splitter = Splitter::new();
//! assert_eq!(splitter.find_end(b"select 'a;"), None);
//! assert_eq!(splitter.find_end(b"select 'a;b'; select 2"), Some(13));
//!
//! let script = "create function f() returns int begin atomic select 1; select 2; end; select 3;";
//! assert_eq!(statements(script).count(), 2);
//! ```

mod body;

use memchr::{memchr, memchr2};

use body::Body;

use crate::Span;
use crate::window::{WINDOW_BYTES, Window};

/// Finds the ends of statements in a text that comes in pieces.
#[derive(Clone, Debug, Default)]
pub struct Splitter {
    /// How far the text is read.
    position: usize,
    state: State,
    /// Whether anything but blanks and comments was read.
    has_words: bool,
    /// Whether the text ended in a sign that more text may make the opening of a comment.
    is_undecided: bool,
    body: Body,
}

/// What is open at the end of the text that was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Open {
    /// Nothing.
    Nothing,
    /// A string.
    String,
    /// A quoted name.
    Name,
    /// A comment.
    Comment,
    /// A dollar-quoted string.
    DollarString,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Outside of everything.
    Text {
        word: Word,
    },
    LineComment {
        after: After,
    },
    Comment {
        depth: usize,
    },
    Quote {
        has_backslashes: bool,
    },
    /// After an `E'…'`, which may go on after a line break; `is_adjacent` right after its quote.
    AfterQuote {
        is_adjacent: bool,
        has_break: bool,
    },
    DoubleQuote,
    /// In the opening tag of a dollar quote.
    Tag {
        start: usize,
    },
    /// In a dollar quote, of whose closing tag some bytes were read.
    Dollar {
        tag: (usize, usize),
        matched: usize,
    },
}

impl Default for State {
    fn default() -> State {
        State::Text { word: Word::None }
    }
}

/// The word that the next byte could continue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Word {
    None,
    /// `e` alone, which makes a quote after it one with backslashes.
    E,
    Other,
}

/// What a line comment stands in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum After {
    Text,
    Quote,
}

impl Splitter {
    /// A splitter at the start of a text.
    pub fn new() -> Splitter {
        Splitter::default()
    }

    /// A splitter at the start of a text, to which a `;` ends a statement also where that may go on behind it: for those
    /// who ask the parser.
    pub fn at_each_semicolon() -> Splitter {
        Splitter { body: Body::ignored(), ..Splitter::default() }
    }

    /// Reads on in `pending`, the text from the start of the current statement, of which earlier calls may have seen a
    /// beginning. Gives the length of the first statement with its `;` when it is complete; the next call then starts
    /// at the text after it. `None` when more text is needed.
    pub fn find_end(&mut self, pending: &[u8]) -> Option<usize> {
        while let Some(is_end) = self.progress(pending) {
            if is_end {
                let end = self.position;
                *self = Splitter { body: self.body.next(), ..Splitter::default() };
                return Some(end);
            }
        }
        None
    }

    /// Whether only blanks and comments were read since the last statement.
    pub fn is_blank(&self) -> bool {
        !self.has_words
    }

    /// Whether a text that ends here says nothing since the last statement; a comment that is not closed is an error to
    /// be told of.
    pub fn is_blank_at_end(&self) -> bool {
        self.is_blank() && !self.is_undecided && self.open() != Open::Comment
    }

    /// What is open where the reading stopped.
    pub fn open(&self) -> Open {
        match self.state {
            State::Text { .. } | State::LineComment { .. } | State::AfterQuote { .. } | State::Tag { .. } => {
                Open::Nothing
            }
            State::Comment { .. } => Open::Comment,
            State::Quote { .. } => Open::String,
            State::DoubleQuote => Open::Name,
            State::Dollar { .. } => Open::DollarString,
        }
    }

    fn step(&mut self, text: &[u8]) -> Progress {
        match self.state {
            State::Text { word } => self.text(text, word),
            State::LineComment { after } => self.line_comment(text, after),
            State::Comment { depth } => self.comment(text, depth),
            State::Quote { has_backslashes } => self.quote(text, has_backslashes),
            State::AfterQuote { is_adjacent, has_break } => self.after_quote(text, is_adjacent, has_break),
            State::DoubleQuote => {
                self.skip_to(text, memchr(b'"', rest(text, self.position)), 1, State::default())
            }
            State::Tag { start } => self.tag(text, start),
            State::Dollar { tag, matched } => self.dollar(text, tag, matched),
        }
    }

    /// Goes on `bytes` bytes after what was found, or to the end.
    fn skip_to(&mut self, text: &[u8], found: Option<usize>, bytes: usize, state: State) -> Progress {
        match found {
            Some(at) => {
                self.position += at + bytes;
                self.state = state;
            }
            None => self.position = text.len(),
        }
        Progress::Read
    }

    fn text(&mut self, text: &[u8], word: Word) -> Progress {
        let word = match word {
            Word::None if self.body.wants_words() => match self.whole_word(text) {
                Some(progress) => return progress,
                None => Word::None,
            },
            Word::None => self.plain_text(text),
            word => word,
        };
        let Some(&byte) = text.get(self.position) else { return Progress::NeedsMore };
        let mut state = State::default();
        match byte {
            b';' => {
                self.position += 1;
                self.state = state;
                return if self.body.semicolon() { Progress::End } else { Progress::Read };
            }
            space if is_space(&space) => {
                self.position += 1;
                self.state = state;
                return Progress::Read;
            }
            b'-' | b'/' => match (byte, text.get(self.position + 1)) {
                (_, None) => {
                    self.is_undecided = true;
                    return Progress::NeedsMore;
                }
                (b'-', Some(b'-')) => {
                    self.position += 2;
                    self.state = State::LineComment { after: After::Text };
                    return Progress::Read;
                }
                (b'/', Some(b'*')) => {
                    self.position += 2;
                    self.state = State::Comment { depth: 1 };
                    return Progress::Read;
                }
                _ => {}
            },
            b'\'' => state = State::Quote { has_backslashes: word == Word::E },
            b'"' => state = State::DoubleQuote,
            b'$' if word == Word::None => state = State::Tag { start: self.position },
            b'e' | b'E' if word == Word::None => state = State::Text { word: Word::E },
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => state = State::Text { word: Word::Other },
            b'0'..=b'9' | b'$' if word != Word::None => state = State::Text { word: Word::Other },
            _ => {}
        }
        self.body.sign(byte);
        self.has_words = true;
        self.state = state;
        self.position += 1;
        Progress::Read
    }

    /// Reads the word that begins here and tells it to the body; `None` where none begins.
    fn whole_word(&mut self, text: &[u8]) -> Option<Progress> {
        let pending = rest(text, self.position);
        if !matches!(pending.first(), Some(b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80..)) {
            return None;
        }
        self.has_words = true;
        let looked_at = pending.get(..body::WORD_BYTES_MAX + 1).unwrap_or(pending);
        let run = looked_at.iter().take_while(|byte| is_in_word(byte) || **byte == b'$').count();
        if run == pending.len() && run <= body::WORD_BYTES_MAX {
            return Some(Progress::NeedsMore);
        }
        let found = pending.get(..run).unwrap_or_default();
        self.body.word(found);
        self.position += run;
        let word = if matches!(found, [b'e' | b'E']) { Word::E } else { Word::Other };
        self.state = State::Text { word };
        Some(Progress::Read)
    }

    /// Reads on, from outside of any word, to the first byte that may open something or end the statement: the word that
    /// ends there.
    fn plain_text(&mut self, text: &[u8]) -> Word {
        let start = self.position;
        loop {
            let plain = Window::at(text, self.position).plain_bytes();
            self.position = text.len().min(self.position + plain);
            if plain < WINDOW_BYTES || self.position == text.len() {
                break;
            }
        }
        let read = text.get(start..self.position).unwrap_or_default();
        self.has_words = self.has_words || !read.iter().all(is_space);
        let word = match text.get(self.position) {
            Some(b'\'' | b'$') | None => last_word(read),
            // What follows does not depend on the word before it.
            Some(_) => Word::None,
        };
        self.state = State::Text { word };
        word
    }

    fn line_comment(&mut self, text: &[u8], after: After) -> Progress {
        let end = memchr2(b'\n', b'\r', rest(text, self.position));
        let state = match after {
            After::Text => State::default(),
            After::Quote => State::AfterQuote { is_adjacent: false, has_break: true },
        };
        self.skip_to(text, end, 1, state)
    }

    fn comment(&mut self, text: &[u8], depth: usize) -> Progress {
        let Some(at) = memchr2(b'*', b'/', rest(text, self.position)) else {
            self.position = text.len();
            return Progress::Read;
        };
        self.position += at;
        let (depth, bytes) = match (text.get(self.position), text.get(self.position + 1)) {
            (_, None) => return Progress::NeedsMore,
            (Some(b'*'), Some(b'/')) => (depth - 1, 2),
            (Some(b'/'), Some(b'*')) => (depth + 1, 2),
            _ => (depth, 1),
        };
        self.position += bytes;
        self.state = if depth == 0 { State::default() } else { State::Comment { depth } };
        Progress::Read
    }

    fn quote(&mut self, text: &[u8], has_backslashes: bool) -> Progress {
        let found = match has_backslashes {
            true => memchr2(b'\'', b'\\', rest(text, self.position)),
            // `''` closes the string and opens another, which comes to the same.
            false => {
                return self.skip_to(text, memchr(b'\'', rest(text, self.position)), 1, State::default());
            }
        };
        let Some(at) = found else {
            self.position = text.len();
            return Progress::Read;
        };
        self.position += at;
        match text.get(self.position) {
            Some(b'\\') if self.position + 1 == text.len() => Progress::NeedsMore,
            Some(b'\\') => {
                self.position += 2;
                Progress::Read
            }
            _ => {
                self.position += 1;
                self.state = State::AfterQuote { is_adjacent: true, has_break: false };
                Progress::Read
            }
        }
    }

    fn after_quote(&mut self, text: &[u8], is_adjacent: bool, has_break: bool) -> Progress {
        match (text.get(self.position), text.get(self.position + 1)) {
            (Some(b'\''), _) if is_adjacent || has_break => {
                self.position += 1;
                self.state = State::Quote { has_backslashes: true };
            }
            (Some(byte @ (b' ' | b'\t' | b'\n' | b'\r' | 0x0B | 0x0C)), _) => {
                self.position += 1;
                let has_break = has_break || matches!(byte, b'\n' | b'\r');
                self.state = State::AfterQuote { is_adjacent: false, has_break };
            }
            (Some(b'-'), None) => return Progress::NeedsMore,
            (Some(b'-'), Some(b'-')) => {
                self.position += 2;
                self.state = State::LineComment { after: After::Quote };
            }
            _ => self.state = State::default(),
        }
        Progress::Read
    }

    fn tag(&mut self, text: &[u8], start: usize) -> Progress {
        let is_first = self.position == start + 1;
        match text.get(self.position) {
            Some(b'$') => {
                self.position += 1;
                self.state = State::Dollar { tag: (start, self.position), matched: 0 };
            }
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80..) => self.position += 1,
            Some(b'0'..=b'9') if !is_first => self.position += 1,
            _ => {
                // No tag: the `$` stood alone, and what looked like a tag is read as text.
                self.position = start + 1;
                self.state = State::default();
            }
        }
        Progress::Read
    }

    fn dollar(&mut self, text: &[u8], tag: (usize, usize), matched: usize) -> Progress {
        if matched == 0 {
            let found = memchr(b'$', rest(text, self.position));
            return self.skip_to(text, found, 1, State::Dollar { tag, matched: 1 });
        }
        let Some(&byte) = text.get(self.position) else { return Progress::NeedsMore };
        let wanted = text.get(tag.0 + matched).copied();
        self.position += 1;
        let matched = match byte {
            _ if Some(byte) == wanted => matched + 1,
            b'$' => 1,
            _ => 0,
        };
        let is_closed = matched == tag.1 - tag.0;
        self.state = if is_closed { State::default() } else { State::Dollar { tag, matched } };
        Progress::Read
    }
}

enum Progress {
    Read,
    NeedsMore,
    End,
}

fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0B | 0x0C)
}

/// Whether a word without `$` may have this byte.
fn is_in_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | 0x80..)
}

/// The word that a text without `$` ends in; it begins at its first letter.
fn last_word(text: &[u8]) -> Word {
    let start = text.iter().rposition(|byte| !is_in_word(byte)).map_or(0, |at| at + 1);
    let run = text.get(start..).unwrap_or_default();
    match run.iter().position(|byte| !byte.is_ascii_digit()) {
        None => Word::None,
        Some(first) if matches!(run.get(first..), Some([b'e' | b'E'])) => Word::E,
        Some(_) => Word::Other,
    }
}

fn rest(text: &[u8], from: usize) -> &[u8] {
    text.get(from..).unwrap_or_default()
}

/// The statements of a script, each as a span from its first byte (comments before it included) to its `;` or to the end
/// of the script. Blank ones are left out.
pub fn statements(script: &str) -> Statements<'_> {
    Statements { script, start: 0 }
}

/// The statements of a script, from [`statements`]. A script above 4 GiB ends at that limit.
#[derive(Clone, Debug)]
pub struct Statements<'a> {
    script: &'a str,
    start: usize,
}

impl Iterator for Statements<'_> {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        loop {
            let pending = self.script.as_bytes().get(self.start..).filter(|pending| !pending.is_empty())?;
            let mut splitter = Splitter::new();
            let mut is_blank = true;
            let mut length = pending.len();
            // `find_end` forgets what it read at a `;`, so the words before it are asked for first.
            while let Some(step) = splitter.progress(pending) {
                is_blank &= splitter.is_blank();
                if step {
                    length = splitter.position;
                    break;
                }
            }
            is_blank &= splitter.is_blank_at_end();
            let blanks = pending.iter().take_while(|byte| is_space(byte));
            let (start, end) = (self.start + blanks.count(), self.start + length);
            self.start = end;
            if !is_blank {
                return Some(Span::new(u32::try_from(start).ok()?, u32::try_from(end).ok()?));
            }
        }
    }
}

impl Splitter {
    /// One step: whether it ended the statement; `None` at the end of the text.
    fn progress(&mut self, text: &[u8]) -> Option<bool> {
        self.is_undecided = false;
        if self.position >= text.len() {
            return None;
        }
        match self.step(text) {
            Progress::Read => Some(false),
            Progress::NeedsMore => None,
            Progress::End => Some(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(script: &str) -> Vec<&str> {
        statements(script).map(|span| span.of(script)).collect()
    }

    #[test]
    fn semicolons_inside_of_quotes_and_comments_do_not_count() {
        let script = r#"a ';' ; "b;" ; /* ; /* ; */ ; */ c; -- ; 
 d; $$;$$; $x$ ; $y$ ; $x$; E'\';'; e'a'
 '\';' ; 1"#;
        let expected = [
            "a ';' ;",
            "\"b;\" ;",
            "/* ; /* ; */ ; */ c;",
            "-- ; \n d;",
            "$$;$$;",
            "$x$ ; $y$ ; $x$;",
            "E'\\';';",
            "e'a'\n '\\';' ;",
            "1",
        ];
        assert_eq!(texts(script), expected);
    }

    #[test]
    fn semicolons_inside_of_bodies_and_actions_do_not_count() {
        let script = "create or replace function f(begin atomic) returns int /* ; */ begin -- ;
            atomic select case when a then 1 end; select ';' as end;
            create procedure \"g\"() BEGIN Atomic END; create rule a as on insert to t do (select 1; select 2);
            end;
            create rule b as on insert to t where (c = 1) do also (select (1); notify d);
            create function f() returns int return (1;create function f() as $$ begin atomic; $$;
            create rule e as on insert to t where (a;create rule e as on insert to t do instead nothing;
            select begin atomic;create table function begin atomic;end;create or select;rule (do (1;";
        let found = texts(script);
        let expected = [
            "create or replace function",
            "create rule b",
            "create function f() returns int return (1;",
            "create function f() as",
            "create rule e as on insert to t where (a;",
            "create rule e as on insert to t do instead nothing;",
            "select begin atomic;",
            "create table function begin atomic;",
            "end;",
            "create or select;",
            "rule (do (1;",
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        assert!(
            found.iter().zip(expected).all(|(found, expected)| found.starts_with(expected)),
            "{found:#?}"
        );
        for size in 1..script.len() {
            assert_eq!(ends(script.as_bytes(), size).len(), found.len(), "pieces of {size} bytes");
        }
        let mut splitter = Splitter::at_each_semicolon();
        let (mut count, mut start) = (0, 0);
        while let Some(end) = splitter.find_end(&script.as_bytes()[start..]) {
            (count, start) = (count + 1, start + end);
        }
        assert_eq!(count, 17);
    }

    /// Aim: bodies close where they opened, and one that does not takes the rest.
    #[test]
    fn bodies_in_bodies_are_counted() {
        let script = "create function f() begin atomic ".repeat(100_000) + &"end;".repeat(100_000);
        assert_eq!(texts(&script).len(), 1);
        assert_eq!(texts(&format!("{script}end;select 1")).len(), 3);
        let open = format!("create function f() begin atomic select {};", "x;".repeat(100_000));
        assert_eq!(texts(&open).len(), 1);
    }

    /// Aim: what is too short to tell is not taken for nothing.
    #[test]
    fn a_sign_that_may_open_a_comment_is_not_blank() {
        for text in ["-", "/", " -", "/* */ /", "s", "cr"] {
            assert_eq!(texts(text), [text.trim_start()], "{text}");
            let mut splitter = Splitter::new();
            assert!(splitter.find_end(text.as_bytes()).is_none() && !splitter.is_blank_at_end(), "{text}");
        }
        for text in ["--", "/**/", "-- x\n", ""] {
            let mut splitter = Splitter::new();
            splitter.find_end(&text.as_bytes()[..text.len().min(1)]);
            splitter.find_end(text.as_bytes());
            assert!(texts(text).is_empty() && splitter.is_blank_at_end(), "{text}");
        }
    }

    #[test]
    fn blank_statements_are_left_out() {
        assert_eq!(texts(" ; -- nothing\n ;/**/; select 1 ; ; "), ["select 1 ;"]);
        assert!(texts("").is_empty());
    }

    #[test]
    fn names_with_dollars_open_no_quote() {
        assert_eq!(
            texts("select a$b$; select $1$x$;$x$; select $ a"),
            ["select a$b$;", "select $1$x$;$x$;", "select $ a"]
        );
    }

    #[test]
    fn pieces_of_any_size_give_the_same_ends() {
        let script = b"a '--;''' /* ; */ ; $t$ $t $u$ ; $t$; E'\\\\';- ;/ ;E'\\''\n--;\n'\\';';";
        let whole: Vec<usize> = ends(script, script.len());
        for size in 1..script.len() {
            assert_eq!(ends(script, size), whole, "pieces of {size} bytes");
        }
        assert_eq!(whole.len(), 6);
    }

    /// The ends of statements when the text arrives in pieces of `size` bytes.
    fn ends(script: &[u8], size: usize) -> Vec<usize> {
        let mut splitter = Splitter::new();
        let (mut start, mut ends) = (0, Vec::new());
        for arrived in (size..script.len() + size).step_by(size) {
            let arrived = arrived.min(script.len());
            while let Some(end) = splitter.find_end(&script[start..arrived]) {
                start += end;
                ends.push(start);
            }
        }
        ends
    }

    #[test]
    fn what_is_open_is_known() {
        for (text, open) in [
            ("select 1", Open::Nothing),
            ("select 'a", Open::String),
            ("select \"a", Open::Name),
            ("select /* a", Open::Comment),
            ("select $a$ $b$", Open::DollarString),
        ] {
            let mut splitter = Splitter::new();
            assert_eq!(splitter.find_end(text.as_bytes()), None);
            assert_eq!(splitter.open(), open, "{text}");
            assert!(!splitter.is_blank());
        }
    }
}
