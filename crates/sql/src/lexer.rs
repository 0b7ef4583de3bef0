//! Text to tokens, by PostgreSQL's lexical rules (`src/backend/parser/scan.l`).
//!
//! The lexer is a position in the text: it makes the next token when asked and keeps none. One table sorts bytes into
//! classes; quoted forms and comments are crossed with `memchr`. Tokens carry positions only; what a string or a name
//! says is worked out by [`crate::text`] when the parser keeps it.

use memchr::{memchr, memchr2};

use crate::error::{Error, Mistake, TEXT_BYTES_LIMIT};
use crate::text::single_character;
use crate::token::{Token, TokenKind};
use crate::window::{WINDOW_BYTES, Window};
use crate::{Keyword, Span};

/// The tokens of a text, one at a time.
#[derive(Clone, Debug)]
pub struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    position: usize,
    /// Up to here there are only `+` and `-`, each a token; less than the position where that is not known.
    signs_end: usize,
}

/// What a byte can begin or continue.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Stray,
    Space,
    /// Begins and continues a name.
    Letter,
    Digit,
    /// A sign of one byte.
    Sign,
    /// A sign that operators are made of.
    Operator,
    Dot,
    Colon,
    Dollar,
    Quote,
    DoubleQuote,
}

static CLASSES: [Class; 256] = {
    let mut classes = [Class::Stray; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0B | 0x0C => Class::Space,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80..=0xFF => Class::Letter,
            b'0'..=b'9' => Class::Digit,
            b'(' | b')' | b'[' | b']' | b',' | b';' => Class::Sign,
            b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' => Class::Operator,
            b'+' | b'-' | b'*' | b'/' | b'%' | b'<' | b'>' | b'=' => Class::Operator,
            b'.' => Class::Dot,
            b':' => Class::Colon,
            b'$' => Class::Dollar,
            b'\'' => Class::Quote,
            b'"' => Class::DoubleQuote,
            _ => Class::Stray,
        };
        byte += 1;
    }
    classes
};

/// Bits of [`NAME_BYTES`].
const CONTINUES_NAME: u8 = 1;
const CAPITAL: u8 = 2;
const WIDE: u8 = 4;

/// Which bytes continue a name, and which of them are capital or not ASCII.
static NAME_BYTES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'a'..=b'z' | b'0'..=b'9' | b'_' | b'$' => CONTINUES_NAME,
            b'A'..=b'Z' => CONTINUES_NAME | CAPITAL,
            0x80..=0xFF => CONTINUES_NAME | WIDE,
            _ => 0,
        };
        byte += 1;
    }
    table
};

/// The tokens of one sign.
static SIGNS: [TokenKind; 256] = {
    let mut signs = [TokenKind::Operator; 256];
    let mut byte = 0;
    while byte < 256 {
        signs[byte] = sign_kind(&[byte as u8]);
        byte += 1;
    }
    signs
};

/// The longest operator in bytes.
const OPERATOR_BYTES_LIMIT: usize = 63;

impl<'a> Lexer<'a> {
    /// A lexer at the start of `text`.
    ///
    /// # Errors
    /// [`Error::TextTooLong`] and [`Error::NulByte`]; both are checked once, here.
    pub fn new(text: &'a str) -> Result<Lexer<'a>, Error> {
        let bytes = text.as_bytes();
        if bytes.len() as u64 > TEXT_BYTES_LIMIT {
            return Err(Error::TextTooLong { bytes: bytes.len() as u64 });
        }
        if let Some(offset) = memchr(0, bytes) {
            return Err(Error::NulByte { offset: offset as u32 });
        }
        Ok(Lexer { text, bytes, position: 0, signs_end: 0 })
    }

    /// A lexer in the middle of a text that another has been through: `position` is between two tokens.
    pub(crate) fn from(text: &'a str, position: u32) -> Lexer<'a> {
        Lexer { text, bytes: text.as_bytes(), position: position as usize, signs_end: 0 }
    }

    /// The text.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The offset that it stands at: the end of the last token.
    pub(crate) fn offset(&self) -> u32 {
        self.position as u32
    }

    /// Goes on at `offset`, which must be where a token ends.
    pub(crate) fn seek(&mut self, offset: u32) {
        self.position = offset as usize;
        self.signs_end = 0;
    }

    /// The piece of the text under `span`.
    pub fn slice(&self, span: Span) -> &'a str {
        span.of(self.text)
    }

    /// The next token; [`TokenKind::End`] at the end, again and again.
    pub fn next_token(&mut self) -> Token {
        let mut next = token(TokenKind::End, 0, 0);
        self.read_into(&mut next);
        next
    }

    /// Makes `next` the next token. It is written where it is to stay, because a token that is written in pieces and
    /// copied at once makes the processor wait for all of them.
    pub(crate) fn read_into(&mut self, next: &mut Token) {
        loop {
            self.skip_space();
            let start = self.position;
            let kind = match self.bytes.get(start) {
                None => TokenKind::End,
                Some(&byte) => match CLASSES[usize::from(byte)] {
                    Class::Letter => self.name(start),
                    Class::Sign => self.take(1, SIGNS[usize::from(byte)]),
                    Class::Digit => self.number(start),
                    Class::Dot => self.dot(start),
                    Class::Operator => match self.operator(start, byte) {
                        Some(kind) => kind,
                        None => match self.skip_comments() {
                            Ok(()) => continue,
                            Err(start) => {
                                let kind = self.open_ended(Mistake::UnterminatedComment);
                                *next = token(kind, start, self.position);
                                return;
                            }
                        },
                    },
                    Class::Quote => self.string(start + 1),
                    Class::DoubleQuote => self.quoted_name(start),
                    Class::Colon => self.colon(),
                    Class::Dollar => self.dollar(start),
                    Class::Stray | Class::Space => self.stray(start),
                },
            };
            *next = token(kind, start, self.position);
            return;
        }
    }

    fn at(&self, position: usize) -> u8 {
        self.bytes.get(position).copied().unwrap_or(0)
    }

    fn class_at(&self, position: usize) -> Class {
        CLASSES[usize::from(self.at(position))]
    }

    /// Skips white space and comments; `Err` is where a comment opened that has no end.
    fn skip_blanks(&mut self) -> Result<(), usize> {
        self.skip_space();
        self.skip_comments()
    }

    /// Skips white space. Whether a token has a blank before it is hard to guess, so the first one costs no branch.
    #[inline(always)]
    fn skip_space(&mut self) {
        self.position += usize::from(self.class_at(self.position) == Class::Space);
        if self.class_at(self.position) == Class::Space {
            self.skip_run();
        }
    }

    #[inline(never)]
    fn skip_run(&mut self) {
        loop {
            let blanks = Window::at(self.bytes, self.position).blanks();
            self.position += blanks;
            if blanks < WINDOW_BYTES {
                return;
            }
        }
    }

    #[inline(never)]
    fn skip_comments(&mut self) -> Result<(), usize> {
        loop {
            match (self.at(self.position), self.at(self.position + 1)) {
                (b'-', b'-') => self.position = line_end(self.bytes, self.position + 2),
                (b'/', b'*') => {
                    self.position = comment_end(self.bytes, self.position).ok_or(self.position)?;
                }
                _ => return Ok(()),
            }
            self.skip_run();
        }
    }

    fn take(&mut self, bytes: usize, kind: TokenKind) -> TokenKind {
        self.position += bytes;
        kind
    }

    #[inline(always)]
    fn name(&mut self, start: usize) -> TokenKind {
        match Window::inside(self.bytes, start) {
            Some(window) => self.name_in(window, start),
            None => self.name_in(Window::at(self.bytes, start), start),
        }
    }

    #[inline(always)]
    fn name_in(&mut self, window: Window, start: usize) -> TokenKind {
        let len = window.name_bytes();
        let word = window.word(len);
        if len == WINDOW_BYTES || word.is_wide() {
            return self.long_name(start);
        }
        if len == 1
            && let Some(kind) = self.quoted_form(start)
        {
            return kind;
        }
        self.position = start + len;
        match Keyword::find_short(word) {
            Some(keyword) => TokenKind::Keyword(keyword),
            None => TokenKind::Name { has_capitals: word.has_capitals() },
        }
    }

    /// A name that may be longer than a window, or have letters that are not ASCII.
    #[inline(never)]
    fn long_name(&mut self, start: usize) -> TokenKind {
        self.position = start;
        loop {
            let len = Window::at(self.bytes, self.position).name_bytes();
            self.position += len;
            if len < WINDOW_BYTES {
                break;
            }
        }
        let word = self.bytes.get(start..self.position).unwrap_or_default();
        match Keyword::find_bytes(word) {
            Some(keyword) => TokenKind::Keyword(keyword),
            None => TokenKind::Name { has_capitals: word.iter().any(u8::is_ascii_uppercase) },
        }
    }

    /// What a letter alone begins: `E'…'`, `B'…'`, `X'…'`, `N'…'`, `U&'…'` and `U&"…"`.
    #[inline(always)]
    fn quoted_form(&mut self, start: usize) -> Option<TokenKind> {
        match self.at(start + 1) {
            after @ (b'\'' | b'&') => self.quoted_form_at(start, after),
            _ => None,
        }
    }

    #[inline(never)]
    fn quoted_form_at(&mut self, start: usize, after: u8) -> Option<TokenKind> {
        Some(match (self.at(start) | 0x20, after) {
            (b'e', b'\'') => self.escape_string(start + 2),
            (b'b', b'\'') => self.bit_string(start + 2, TokenKind::BitString),
            (b'x', b'\'') => self.bit_string(start + 2, TokenKind::HexString),
            // `N'text'` is the type `nchar` and a string.
            (b'n', b'\'') => self.take(1, TokenKind::Keyword(Keyword::Nchar)),
            (b'u', b'&') => match self.at(start + 2) {
                b'\'' => {
                    let kind = self.string_as(start + 3, TokenKind::UnicodeString);
                    self.with_uescape(kind)
                }
                b'"' => {
                    let kind = self.unicode_name(start);
                    self.with_uescape(kind)
                }
                _ => return None,
            },
            _ => return None,
        })
    }

    fn dot(&mut self, start: usize) -> TokenKind {
        match self.at(start + 1) {
            b'.' => self.take(2, TokenKind::DotDot),
            b'0'..=b'9' => self.long_number(start),
            _ => self.take(1, TokenKind::Dot),
        }
    }

    fn colon(&mut self) -> TokenKind {
        match self.at(self.position + 1) {
            b':' => self.take(2, TokenKind::ColonColon),
            b'=' => self.take(2, TokenKind::ColonEqual),
            _ => self.take(1, TokenKind::Colon),
        }
    }

    #[inline(never)]
    fn stray(&mut self, start: usize) -> TokenKind {
        // Bytes of longer characters are letters, so this is one byte of ASCII.
        self.position = start + 1;
        TokenKind::Stray
    }

    /// A number that begins with a digit or with a point before a digit.
    #[inline(always)]
    fn number(&mut self, start: usize) -> TokenKind {
        if let Some(window) = Window::inside(self.bytes, start) {
            let end = start + window.digits();
            let after = self.at(end);
            // Neither a point nor anything that a name can have follows: plain digits.
            if after != b'.' && NAME_BYTES[usize::from(after)] == 0 {
                self.position = end;
                return TokenKind::Integer;
            }
        }
        self.long_number(start)
    }

    /// A number that is more than a few digits.
    #[inline(never)]
    fn long_number(&mut self, start: usize) -> TokenKind {
        if self.at(start) == b'0' {
            let is_digit: Option<fn(u8) -> bool> = match self.at(start + 1) | 0x20 {
                b'x' => Some(|byte| byte.is_ascii_hexdigit()),
                b'o' => Some(|byte| matches!(byte, b'0'..=b'7')),
                b'b' => Some(|byte| matches!(byte, b'0' | b'1')),
                _ => None,
            };
            if let Some(is_digit) = is_digit {
                return self.radix_number(start + 2, is_digit);
            }
        }
        let mut kind = TokenKind::Integer;
        let mut end = self.digits_end(start);
        if self.at(end) == b'.' && self.at(end + 1) != b'.' {
            kind = TokenKind::Number;
            end += 1;
            if self.at(end).is_ascii_digit() {
                end = self.digits_end(end);
            }
        }
        if self.at(end) | 0x20 == b'e' {
            let sign = usize::from(matches!(self.at(end + 1), b'+' | b'-'));
            if self.at(end + 1 + sign).is_ascii_digit() {
                kind = TokenKind::Number;
                end = self.digits_end(end + 1 + sign);
            }
        }
        self.position = end;
        self.without_junk(kind)
    }

    fn radix_number(&mut self, start: usize, is_digit: fn(u8) -> bool) -> TokenKind {
        let mut end = start;
        loop {
            let underscore = usize::from(self.at(end) == b'_');
            if !is_digit(self.at(end + underscore)) {
                break;
            }
            end += underscore + 1;
        }
        self.position = end;
        if NAME_BYTES[usize::from(self.at(end))] != 0 {
            return self.junk();
        }
        if end == start { TokenKind::Bad(Mistake::MissingDigits) } else { TokenKind::Integer }
    }

    /// The end of digits with single underscores between them; there is a digit at `start`, or a point.
    fn digits_end(&self, start: usize) -> usize {
        let mut end = start;
        loop {
            match self.at(end) {
                b'0'..=b'9' => end += 1,
                b'_' if end > start && self.at(end + 1).is_ascii_digit() => end += 2,
                _ => return end,
            }
        }
    }

    /// A letter right after a number is a mistake: `1a`.
    fn without_junk(&mut self, kind: TokenKind) -> TokenKind {
        if self.class_at(self.position) != Class::Letter {
            return kind;
        }
        self.junk()
    }

    fn junk(&mut self) -> TokenKind {
        while NAME_BYTES[usize::from(self.at(self.position))] != 0 {
            self.position += 1;
        }
        TokenKind::Bad(Mistake::TrailingJunk)
    }

    /// `$1`, `$name`, `$tag$text$tag$`, or a stray `$`.
    #[inline(never)]
    fn dollar(&mut self, start: usize) -> TokenKind {
        if self.at(start + 1).is_ascii_digit() {
            let mut end = start + 1;
            let mut number = 0_u32;
            while self.at(end).is_ascii_digit() {
                number = number.saturating_mul(10).saturating_add(u32::from(self.at(end) - b'0'));
                end += 1;
            }
            self.position = end;
            return match self.without_junk(TokenKind::Parameter) {
                TokenKind::Parameter if number > i32::MAX as u32 => TokenKind::Bad(Mistake::ParameterTooBig),
                kind => kind,
            };
        }
        let Some(tag_end) = dollar_tag_end(self.bytes, start) else { return self.named_parameter(start) };
        match dollar_string_end(self.bytes, start, tag_end) {
            Some(end) => {
                self.position = end;
                TokenKind::DollarString
            }
            None => self.open_ended(Mistake::UnterminatedDollarString),
        }
    }

    /// `$name`: PostgreSQL has nothing that begins so, since a tag would end in `$`.
    fn named_parameter(&mut self, start: usize) -> TokenKind {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii();
        let name = self.bytes.get(start + 1..).unwrap_or_default();
        let length = name.iter().take_while(|byte| is_part(**byte)).count();
        if length == 0 {
            return self.stray(start);
        }
        self.position = start + 1 + length;
        TokenKind::Parameter
    }

    fn open_ended(&mut self, mistake: Mistake) -> TokenKind {
        self.position = self.bytes.len();
        TokenKind::Bad(mistake)
    }

    /// A plain string whose text begins at `start`.
    #[inline(always)]
    fn string(&mut self, start: usize) -> TokenKind {
        if let Some(window) = Window::inside(self.bytes, start) {
            let end = start + window.find(b'\'');
            // Another quote goes on with it, and blanks with a line break or comments may do so.
            let may_go_on = |class| matches!(class, Class::Quote | Class::Space | Class::Operator);
            if self.at(end) == b'\'' && !may_go_on(self.class_at(end + 1)) {
                self.position = end + 1;
                return TokenKind::String { has_escapes: false };
            }
        }
        self.long_string(start)
    }

    #[inline(never)]
    fn long_string(&mut self, start: usize) -> TokenKind {
        let mut has_escapes = false;
        let mut from = start;
        loop {
            let Some(quote) = memchr(b'\'', self.rest(from)).map(|at| from + at) else {
                return self.open_ended(Mistake::UnterminatedString);
            };
            if self.at(quote + 1) == b'\'' {
                from = quote + 2;
            } else if let Some(next) = continuation(self.bytes, quote + 1) {
                from = next;
            } else {
                self.position = quote + 1;
                return TokenKind::String { has_escapes };
            }
            has_escapes = true;
        }
    }

    fn string_as(&mut self, start: usize, kind: TokenKind) -> TokenKind {
        match self.long_string(start) {
            TokenKind::String { .. } => kind,
            bad => bad,
        }
    }

    /// `B'…'` or `X'…'`, whose digits begin at `start`: a quote cannot be doubled in it.
    fn bit_string(&mut self, start: usize, kind: TokenKind) -> TokenKind {
        let mut from = start;
        loop {
            let Some(quote) = memchr(b'\'', self.rest(from)).map(|at| from + at) else {
                return self.open_ended(Mistake::UnterminatedString);
            };
            match continuation(self.bytes, quote + 1) {
                Some(next) => from = next,
                None => {
                    self.position = quote + 1;
                    return kind;
                }
            }
        }
    }

    /// `E'…'`, whose text begins at `start`: a backslash hides the byte after it.
    fn escape_string(&mut self, start: usize) -> TokenKind {
        let mut from = start;
        loop {
            let Some(stop) = memchr2(b'\'', b'\\', self.rest(from)).map(|at| from + at) else {
                return self.open_ended(Mistake::UnterminatedString);
            };
            if self.at(stop) == b'\\' || self.at(stop + 1) == b'\'' {
                from = stop + 2;
            } else if let Some(next) = continuation(self.bytes, stop + 1) {
                from = next;
            } else {
                self.position = stop + 1;
                return TokenKind::EscapeString;
            }
        }
    }

    #[inline(never)]
    fn quoted_name(&mut self, start: usize) -> TokenKind {
        let mut has_escapes = false;
        let mut from = start + 1;
        loop {
            let Some(quote) = memchr(b'"', self.rest(from)).map(|at| from + at) else {
                return self.open_ended(Mistake::UnterminatedName);
            };
            if self.at(quote + 1) != b'"' {
                self.position = quote + 1;
                let is_empty = quote == start + 1;
                return if is_empty {
                    TokenKind::Bad(Mistake::EmptyName)
                } else {
                    TokenKind::QuotedName { has_escapes }
                };
            }
            has_escapes = true;
            from = quote + 2;
        }
    }

    fn unicode_name(&mut self, start: usize) -> TokenKind {
        match self.quoted_name(start + 2) {
            TokenKind::QuotedName { .. } => TokenKind::UnicodeName,
            bad => bad,
        }
    }

    /// Takes `UESCAPE 'c'` into the token before it. When no usable character follows the word, the token ends before
    /// what stands there instead.
    fn with_uescape(&mut self, kind: TokenKind) -> TokenKind {
        if !matches!(kind, TokenKind::UnicodeString | TokenKind::UnicodeName) {
            return kind;
        }
        let end = self.position;
        let word = b"uescape";
        let follows = self.skip_blanks().is_ok()
            && self
                .rest(self.position)
                .get(..word.len())
                .is_some_and(|found| found.eq_ignore_ascii_case(word))
            && NAME_BYTES[usize::from(self.at(self.position + word.len()))] == 0;
        if !follows {
            self.position = end;
            return kind;
        }
        self.position += word.len();
        let end = self.position;
        // What may follow is no `U&` token, so this goes no deeper.
        let is_unicode = self.skip_blanks().is_ok() && self.at(self.position) | 0x20 == b'u';
        let escape = (!is_unicode).then(|| self.next_token());
        let character = escape.and_then(|token| single_character(token.kind, self.slice(token.span())));
        if character.is_some_and(is_unicode_escape) {
            return kind;
        }
        self.position = end;
        TokenKind::Bad(Mistake::InvalidEscapeCharacter)
    }

    fn rest(&self, from: usize) -> &'a [u8] {
        self.bytes.get(from..).unwrap_or_default()
    }

    /// An operator: the longest run of its signs, cut before a comment and, for SQL's sake, before a `+` or `-` at its
    /// end unless it has a sign that SQL itself does not use. `None` where a comment begins.
    #[inline(always)]
    fn operator(&mut self, start: usize, byte: u8) -> Option<TokenKind> {
        if self.class_at(start + 1) != Class::Operator {
            return Some(self.take(1, SIGNS[usize::from(byte)]));
        }
        self.long_operator(start)
    }

    #[inline(never)]
    fn long_operator(&mut self, start: usize) -> Option<TokenKind> {
        if start < self.signs_end {
            self.position = start + 1;
            return Some(SIGNS[usize::from(self.at(start))]);
        }
        if self.opens_comment(start) {
            return None;
        }
        let mut end = start + 1;
        while self.class_at(end) == Class::Operator && !self.opens_comment(end) {
            end += 1;
        }
        let run = self.bytes.get(start..end).unwrap_or_default();
        if !run.iter().any(|sign| b"~!@#^&|`?%".contains(sign)) {
            self.signs_end = end;
            while end > start + 1 && matches!(self.at(end - 1), b'+' | b'-') {
                end -= 1;
            }
        }
        self.position = end;
        Some(sign_kind(self.bytes.get(start..end).unwrap_or_default()))
    }

    fn opens_comment(&self, position: usize) -> bool {
        matches!((self.at(position), self.at(position + 1)), (b'-', b'-') | (b'/', b'*'))
    }
}

fn token(kind: TokenKind, start: usize, end: usize) -> Token {
    // The text is shorter than 4 GiB, which `new` has checked.
    Token { kind, start: start as u32, end: end as u32 }
}

const fn sign_kind(signs: &[u8]) -> TokenKind {
    match signs {
        b"+" => TokenKind::Plus,
        b"-" => TokenKind::Minus,
        b"*" => TokenKind::Star,
        b"/" => TokenKind::Slash,
        b"%" => TokenKind::Percent,
        b"^" => TokenKind::Caret,
        b"<" => TokenKind::Less,
        b">" => TokenKind::Greater,
        b"=" => TokenKind::Equal,
        b"<=" => TokenKind::LessOrEqual,
        b">=" => TokenKind::GreaterOrEqual,
        b"<>" | b"!=" => TokenKind::NotEqual,
        b"=>" => TokenKind::Arrow,
        b"(" => TokenKind::LeftParen,
        b")" => TokenKind::RightParen,
        b"[" => TokenKind::LeftBracket,
        b"]" => TokenKind::RightBracket,
        b"," => TokenKind::Comma,
        b";" => TokenKind::Semicolon,
        _ if signs.len() > OPERATOR_BYTES_LIMIT => TokenKind::Bad(Mistake::OperatorTooLong),
        _ => TokenKind::Operator,
    }
}

/// The length of the comment that `text` begins with, without the line break that ends it.
pub(crate) fn comment_bytes(text: &str) -> usize {
    match text.as_bytes() {
        [b'-', ..] => line_end(text.as_bytes(), 0),
        bytes => comment_end(bytes, 0).unwrap_or(bytes.len()),
    }
}

/// The end of the line that goes on at `from`; the line break is not part of it.
fn line_end(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    memchr2(b'\n', b'\r', rest).map_or(bytes.len(), |at| from + at)
}

/// The end of the comment that opens at `start`; comments nest.
fn comment_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut depth = 1_u32;
    let mut from = start + 2;
    loop {
        from += memchr2(b'*', b'/', bytes.get(from..)?)?;
        match (bytes.get(from)?, bytes.get(from + 1)?) {
            (b'*', b'/') => {
                depth -= 1;
                from += 2;
                if depth == 0 {
                    return Some(from);
                }
            }
            (b'/', b'*') => {
                depth += 1;
                from += 2;
            }
            _ => from += 1,
        }
    }
}

/// A string goes on after a line break: the start of the next piece when, from `from` on, only white space with a line
/// break and line comments stand before another quote.
pub(crate) fn continuation(bytes: &[u8], from: usize) -> Option<usize> {
    let mut has_break = false;
    let mut position = from;
    loop {
        match bytes.get(position)? {
            b'\n' | b'\r' => {
                has_break = true;
                position += 1;
            }
            b' ' | b'\t' | 0x0B | 0x0C => position += 1,
            b'-' if bytes.get(position + 1) == Some(&b'-') => position = line_end(bytes, position + 2),
            b'\'' if has_break => return Some(position + 1),
            _ => return None,
        }
    }
}

/// The end of the opening tag of a dollar quote at `start`: after the second `$`.
pub(crate) fn dollar_tag_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut end = start + 1;
    loop {
        match *bytes.get(end)? {
            b'$' => return Some(end + 1),
            b'0'..=b'9' if end > start + 1 => end += 1,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80..=0xFF => end += 1,
            _ => return None,
        }
    }
}

/// The end of a dollar-quoted string with the tag `start..tag_end`, after its closing tag.
fn dollar_string_end(bytes: &[u8], start: usize, tag_end: usize) -> Option<usize> {
    let tag = bytes.get(start..tag_end)?;
    let mut from = tag_end;
    loop {
        from += memchr(b'$', bytes.get(from..)?)?;
        let rest = bytes.get(from..)?;
        if rest.starts_with(tag) {
            return Some(from + tag.len());
        }
        // What matched of the tag has no other `$`, so the search goes on after it and stays linear.
        let matched = rest.iter().zip(tag).take_while(|(a, b)| a == b).count();
        from += matched.max(1);
    }
}

/// Whether `UESCAPE` can name this character.
fn is_unicode_escape(byte: u8) -> bool {
    !(byte.is_ascii_hexdigit()
        || matches!(byte, b'+' | b'\'' | b'"' | b' ' | b'\t' | b'\n' | b'\r' | 0x0B | 0x0C))
}

#[cfg(test)]
mod tests;
