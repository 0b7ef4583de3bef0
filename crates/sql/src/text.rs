//! What names and strings say: folding, unescaping, and where the result is kept.
//!
//! A name or a string that says what it shows stays a slice of the statement's text. The others are written to the
//! arena, packed into lines of 64 bytes, so that the nodes between them stay on their cache lines without gaps.

use cofferdam_arena::{AllocError, Arena};

use crate::lexer::{Lexer, continuation, dollar_tag_end};
use crate::token::TokenKind;

/// A line of packed text in bytes: as long as a node.
const LINE_BYTES: usize = 64;

/// Why a piece of text was not kept.
pub(crate) enum TextError {
    Memory(AllocError),
    /// An escape means no character; it stands this many bytes into the token.
    Escape(usize),
}

impl From<AllocError> for TextError {
    fn from(error: AllocError) -> TextError {
        TextError::Memory(error)
    }
}

/// Makes texts in an arena.
pub(crate) struct Texts<'a> {
    arena: &'a Arena,
    line: &'a mut [u8],
}

impl<'a> Texts<'a> {
    pub(crate) fn new(arena: &'a Arena) -> Texts<'a> {
        Texts { arena, line: &mut [] }
    }

    /// At least `bytes` bytes to write to; what is not needed goes back with [`Texts::keep`].
    fn room(&mut self, bytes: usize) -> Result<&'a mut [u8], AllocError> {
        if bytes > self.line.len() {
            if bytes > LINE_BYTES {
                return self.arena.alloc_slice_fill(bytes, 0);
            }
            self.line = self.arena.alloc_slice_fill(LINE_BYTES, 0)?;
        }
        Ok(std::mem::take(&mut self.line))
    }

    /// Ends a text of `bytes` bytes at the front of `room`.
    fn keep(&mut self, room: &'a mut [u8], bytes: usize) -> Result<&'a str, TextError> {
        let (text, rest) = room.split_at_mut_checked(bytes).ok_or(TextError::Escape(0))?;
        if rest.len() <= LINE_BYTES && rest.len() > self.line.len() {
            self.line = rest;
        }
        str::from_utf8(text).map_err(|_| TextError::Escape(0))
    }

    /// The pieces one after the other.
    pub(crate) fn join(&mut self, pieces: &[&str]) -> Result<&'a str, TextError> {
        let bytes = pieces.iter().map(|piece| piece.len()).sum();
        let room = self.room(bytes)?;
        let mut writer = Writer { room, len: 0 };
        for piece in pieces {
            writer.push_all(piece.as_bytes());
        }
        let (room, len) = (writer.room, writer.len);
        self.keep(room, len)
    }

    /// `name` with its ASCII letters in lower case; other letters stay, as in PostgreSQL with UTF-8.
    pub(crate) fn fold(&mut self, name: &str) -> Result<&'a str, TextError> {
        let room = self.room(name.len())?;
        for (to, from) in room.iter_mut().zip(name.bytes()) {
            *to = from.to_ascii_lowercase();
        }
        self.keep(room, name.len())
    }

    /// What a quoted token says. `raw` is the whole token.
    #[inline]
    pub(crate) fn unquote(&mut self, kind: TokenKind, raw: &'a str) -> Result<&'a str, TextError> {
        match kind {
            TokenKind::Name { .. } | TokenKind::Keyword(_) | TokenKind::Integer | TokenKind::Number => {
                Ok(raw)
            }
            TokenKind::String { has_escapes: false } | TokenKind::QuotedName { has_escapes: false } => {
                Ok(inside(raw, 1, 1))
            }
            _ => self.unescaped(kind, raw),
        }
    }

    #[inline(never)]
    fn unescaped(&mut self, kind: TokenKind, raw: &'a str) -> Result<&'a str, TextError> {
        match kind {
            TokenKind::DollarString => {
                let tag = dollar_tag_end(raw.as_bytes(), 0).unwrap_or(0);
                Ok(inside(raw, tag, tag))
            }
            TokenKind::String { .. } => self.rewrite(raw, 1, b'\'', Escapes::None),
            TokenKind::QuotedName { .. } => self.rewrite(raw, 1, b'"', Escapes::None),
            TokenKind::EscapeString => self.rewrite(raw, 2, b'\'', Escapes::Backslash),
            TokenKind::BitString | TokenKind::HexString => self.rewrite(raw, 2, b'\'', Escapes::None),
            TokenKind::UnicodeString => {
                let escape = unicode_escape(raw, b'\'');
                self.rewrite(raw, 3, b'\'', Escapes::Unicode(escape))
            }
            TokenKind::UnicodeName => {
                let escape = unicode_escape(raw, b'"');
                self.rewrite(raw, 3, b'"', Escapes::Unicode(escape))
            }
            _ => Ok(raw),
        }
    }

    /// Undoes quotes and escapes; without any, gives a slice of `raw`.
    fn rewrite(
        &mut self,
        raw: &'a str,
        skip: usize,
        quote: u8,
        escapes: Escapes,
    ) -> Result<&'a str, TextError> {
        let body = inside(raw, skip, 0);
        let plain_end = body.bytes().position(|byte| byte == quote || Some(byte) == escapes.byte());
        if let Some(end) = plain_end
            && end + 1 == body.len()
        {
            return Ok(inside(body, 0, 1));
        }
        // No escape says more bytes than it has, so the length of the body is enough.
        let mut room = Writer { room: self.room(body.len())?, len: 0 };
        let result = unescape(body.as_bytes(), quote, escapes, &mut room);
        let (room, len) = (room.room, room.len);
        match result {
            Ok(()) => self.keep(room, len),
            Err(at) => Err(TextError::Escape(skip + at)),
        }
    }
}

/// `text` without its first and last bytes, which are quotes.
fn inside(text: &str, front: usize, back: usize) -> &str {
    text.len().checked_sub(back).and_then(|end| text.get(front..end)).unwrap_or("")
}

/// The character that starts escapes in `U&'…' [UESCAPE 'c']`; `raw` is the whole token.
fn unicode_escape(raw: &str, quote: u8) -> u8 {
    let Some(mut rest) = raw.get(literal_end(raw.as_bytes(), quote)..).and_then(|rest| Lexer::new(rest).ok())
    else {
        return b'\\';
    };
    // The word, and the string with the character.
    rest.next_token();
    let string = rest.next_token();
    single_character(string.kind, rest.slice(string.span())).unwrap_or(b'\\')
}

/// The end of the part of a `U&` token that is in quotes.
fn literal_end(raw: &[u8], quote: u8) -> usize {
    let mut from = 3;
    while let Some(byte) = raw.get(from) {
        from += 1;
        if *byte != quote {
            continue;
        }
        if raw.get(from) == Some(&quote) {
            from += 1;
        } else {
            match continuation(raw, from) {
                Some(next) if quote == b'\'' => from = next,
                _ => break,
            }
        }
    }
    from
}

/// The character of a string of one character in ASCII; `token` is the string with its quotes.
pub(crate) fn single_character(kind: TokenKind, token: &str) -> Option<u8> {
    let body = match kind {
        TokenKind::String { .. } => inside(token, 1, 1),
        TokenKind::EscapeString => inside(token, 2, 1),
        TokenKind::DollarString => {
            let tag = dollar_tag_end(token.as_bytes(), 0)?;
            inside(token, tag, tag)
        }
        _ => return None,
    };
    match body.as_bytes() {
        [character] => Some(*character),
        _ => None,
    }
}

#[derive(Clone, Copy)]
enum Escapes {
    None,
    Backslash,
    Unicode(u8),
}

impl Escapes {
    fn byte(self) -> Option<u8> {
        match self {
            Escapes::None => None,
            Escapes::Backslash => Some(b'\\'),
            Escapes::Unicode(byte) => Some(byte),
        }
    }
}

struct Writer<'a> {
    room: &'a mut [u8],
    len: usize,
}

impl Writer<'_> {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.room.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    fn push_all(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.push(*byte);
        }
    }

    fn push_char(&mut self, character: char) {
        self.push_all(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// Writes what `body` says up to its closing quote. The error is where an escape stands that means nothing, counted as
/// PostgreSQL counts: in `U&` texts, without what quotes and line breaks leave out.
fn unescape(body: &[u8], quote: u8, escapes: Escapes, to: &mut Writer<'_>) -> Result<(), usize> {
    let mut from = 0;
    let mut left_out = 0;
    while let Some(&byte) = body.get(from) {
        if Some(byte) == escapes.byte() {
            let rest = body.get(from + 1..).unwrap_or_default();
            let read = match escapes {
                Escapes::Unicode(escape) => unicode(rest, escape, to).map_err(|at| from + at - left_out),
                _ => backslash(rest, to).map_err(|at| from + at),
            };
            from += 1 + read?;
        } else if byte != quote {
            to.push(byte);
            from += 1;
        } else if body.get(from + 1) == Some(&quote) {
            to.push(byte);
            from += 2;
            left_out += 1;
        } else {
            match continuation(body, from + 1) {
                Some(next) if quote == b'\'' => {
                    left_out += next - from;
                    from = next;
                }
                _ => return Ok(()),
            }
        }
    }
    Ok(())
}

/// What stands after a backslash in `E'…'`: the number of bytes read. The error is the distance from the backslash to
/// what is wrong.
fn backslash(rest: &[u8], to: &mut Writer<'_>) -> Result<usize, usize> {
    let byte = *rest.first().ok_or(0_usize)?;
    let digits = |from: usize, limit: usize, radix: u32| {
        let digits =
            rest.iter().skip(from).take(limit).take_while(|digit| char::from(**digit).is_digit(radix));
        digits.fold((0_u32, 0), |(value, count), digit| {
            (value * radix + char::from(*digit).to_digit(radix).unwrap_or(0), count + 1)
        })
    };
    let simple = match byte {
        b'b' => 0x08,
        b'f' => 0x0C,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0B,
        b'0'..=b'7' => {
            let (value, count) = digits(0, 3, 8);
            return byte_escape(value, count, to);
        }
        b'x' if rest.get(1).is_some_and(u8::is_ascii_hexdigit) => {
            let (value, count) = digits(1, 2, 16);
            return byte_escape(value, count + 1, to);
        }
        b'u' | b'U' => {
            let length = if byte == b'u' { 4 } else { 8 };
            let (value, count) = digits(1, length, 16);
            if count < length {
                return Err(0);
            }
            let low = rest.get(length + 1..).and_then(|after| match after {
                [b'\\', b'u', low @ ..] => hex(low, 4).map(|low| (low, 6)),
                [b'\\', b'U', low @ ..] => hex(low, 8).map(|low| (low, 10)),
                _ => None,
            });
            return push_code(value, length + 1, low, to);
        }
        other => other,
    };
    to.push(simple);
    Ok(1)
}

/// A byte given by its number; 0 is no text.
fn byte_escape(value: u32, read: usize, to: &mut Writer<'_>) -> Result<usize, usize> {
    // Three octal digits may exceed a byte; PostgreSQL keeps the low eight bits.
    match (value & 0xFF) as u8 {
        0 => Err(0),
        byte => {
            to.push(byte);
            Ok(read)
        }
    }
}

/// What stands after the escape character in `U&'…'`: the number of bytes read. The error is the distance from the
/// escape character to what is wrong.
fn unicode(rest: &[u8], escape: u8, to: &mut Writer<'_>) -> Result<usize, usize> {
    let one = |rest: &[u8]| match rest {
        [b'+', digits @ ..] => hex(digits, 6).map(|value| (value, 7)),
        digits => hex(digits, 4).map(|value| (value, 4)),
    };
    if rest.first() == Some(&escape) {
        to.push(escape);
        return Ok(1);
    }
    let (value, length) = one(rest).ok_or(0_usize)?;
    let low = match rest.get(length..).unwrap_or_default() {
        [byte, after @ ..] if *byte == escape => one(after).map(|(low, bytes)| (low, bytes + 1)),
        _ => None,
    };
    push_code(value, length, low, to)
}

/// The value of exactly `count` hexadecimal digits.
fn hex(digits: &[u8], count: usize) -> Option<u32> {
    let digits = digits.get(..count)?;
    digits
        .iter()
        .try_fold(0_u32, |value, digit| Some(value.checked_mul(16)? + char::from(*digit).to_digit(16)?))
}

/// Writes a code point that took `read` bytes after its escape character; `low` is the escape after it with its length,
/// which a surrogate pair needs. Gives the bytes read with those of `low` that were used, or the distance from the
/// escape character to what is wrong: what follows the first half of a pair, otherwise the escape itself.
fn push_code(
    value: u32,
    read: usize,
    low: Option<(u32, usize)>,
    to: &mut Writer<'_>,
) -> Result<usize, usize> {
    let (code, used) = match (value, low) {
        (0xD800..=0xDBFF, Some((low @ 0xDC00..=0xDFFF, used))) => {
            (0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00), used)
        }
        (0xD800..=0xDBFF, _) => return Err(1 + read),
        _ => (value, 0),
    };
    to.push_char(char::from_u32(code).filter(|character| *character != '\0').ok_or(0_usize)?);
    Ok(read + used)
}
