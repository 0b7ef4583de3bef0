//! JSON text: whether it is any, and its normal form, that of jsonb.
//!
//! The normal form has no white space but one behind each comma and colon, strings with as few escapes as can be,
//! numbers written out as numeric prints them, and objects whose keys ascend by length and then by bytes; of equal keys
//! the last one stays. Two texts that PostgreSQL's jsonb takes for equal and that have numbers of the same scales
//! have one normal form.
//!
//! **How.** One loop reads token by token; nothing recurses. While an object or array is open, the output has behind its
//! bracket a *head* of eight bytes: where the one around it begins, and where its last member begins. So the output is the
//! stack, and depth costs nothing else. A member whose key is not greater than the one before is moved to its place when
//! it ends, and heads are cut out when their brackets close.

use core::cmp::Ordering;

use crate::{Buffer, Decimal, Error, Type};

/// How deep arrays and objects may be nested.
pub const DEPTH_MAX: usize = 6000;

const HEAD_BYTES: usize = 8;

/// What a text says next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Token<'t> {
    /// `{` or `[`
    Open(u8),
    /// `}` or `]`
    Close,
    /// The key of a member, between its quotes.
    Key(&'t str),
    /// A string, between its quotes.
    String(&'t str),
    /// A number.
    Number(&'t str),
    /// `true`, `false` or `null`
    Word(&'t str),
}

/// What may come next.
#[derive(Clone, Copy, PartialEq)]
enum Expected {
    Value,
    ValueOrClose,
    Key,
    KeyOrClose,
    CommaOrClose,
    End,
}

/// Reads a text token by token and checks that it is JSON.
#[derive(Debug)]
pub(crate) struct Scanner<'t> {
    text: &'t str,
    ty: Type,
    at: usize,
    depth: usize,
    /// A bit for each bracket that is open: whether it is an object's.
    is_object: [u64; DEPTH_MAX.div_ceil(64)],
    expected: Expected,
}

impl core::fmt::Debug for Expected {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.reason())
    }
}

impl Expected {
    fn reason(self) -> &'static str {
        match self {
            Expected::Value => "expected a value",
            Expected::ValueOrClose => "expected a value or ]",
            Expected::Key => "expected a key",
            Expected::KeyOrClose => "expected a key or }",
            Expected::CommaOrClose => "expected a comma or the end of the list",
            Expected::End => "expected the end of the text",
        }
    }
}

impl<'t> Scanner<'t> {
    pub(crate) fn new(text: &'t str, ty: Type) -> Scanner<'t> {
        Scanner {
            text,
            ty,
            at: 0,
            depth: 0,
            is_object: [0; DEPTH_MAX.div_ceil(64)],
            expected: Expected::Value,
        }
    }

    fn fault(&self, at: usize, reason: &'static str) -> Error {
        Error::invalid(self.ty, self.text.as_bytes(), at, reason)
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// The next token; `None` behind the last one.
    pub(crate) fn next(&mut self) -> Result<Option<Token<'t>>, Error> {
        loop {
            self.skip_space();
            let (at, unexpected) = (self.at, self.fault(self.at, self.expected.reason()));
            let Some(byte) = self.byte() else {
                return if self.expected == Expected::End { Ok(None) } else { Err(unexpected) };
            };
            let in_object = self.in_object();
            match (byte, self.expected) {
                (b',', Expected::CommaOrClose) => {
                    self.at += 1;
                    self.expected = if in_object { Expected::Key } else { Expected::Value };
                }
                (b'}', Expected::CommaOrClose | Expected::KeyOrClose) if in_object => {
                    return Ok(Some(self.close()));
                }
                (b']', Expected::CommaOrClose | Expected::ValueOrClose) if !in_object => {
                    return Ok(Some(self.close()));
                }
                (b'"', Expected::Key | Expected::KeyOrClose) => {
                    let key = self.string()?;
                    self.skip_space();
                    if self.byte() != Some(b':') {
                        return Err(self.fault(self.at, "expected a colon"));
                    }
                    self.at += 1;
                    self.expected = Expected::Value;
                    return Ok(Some(Token::Key(key)));
                }
                (b'{' | b'[', Expected::Value | Expected::ValueOrClose) => return self.open(byte).map(Some),
                (_, Expected::Value | Expected::ValueOrClose) => {
                    let token = match byte {
                        b'"' => Token::String(self.string()?),
                        b'-' | b'0'..=b'9' => Token::Number(self.number()?),
                        _ => self.word().ok_or(unexpected)?,
                    };
                    debug_assert!(self.at > at);
                    self.end_value();
                    return Ok(Some(token));
                }
                _ => return Err(unexpected),
            }
        }
    }

    fn in_object(&self) -> bool {
        let Some(level) = self.depth.checked_sub(1) else { return false };
        self.is_object.get(level / 64).is_some_and(|word| word >> (level % 64) & 1 == 1)
    }

    fn open(&mut self, byte: u8) -> Result<Token<'t>, Error> {
        if self.depth == DEPTH_MAX {
            return Err(Error::TooDeep { depth_max: DEPTH_MAX as u32 });
        }
        if let Some(word) = self.is_object.get_mut(self.depth / 64) {
            let bit = 1 << (self.depth % 64);
            *word = if byte == b'{' { *word | bit } else { *word & !bit };
        }
        self.depth += 1;
        self.at += 1;
        self.expected = if byte == b'{' { Expected::KeyOrClose } else { Expected::ValueOrClose };
        Ok(Token::Open(byte))
    }

    fn close(&mut self) -> Token<'t> {
        self.depth = self.depth.saturating_sub(1);
        self.at += 1;
        self.end_value();
        Token::Close
    }

    fn end_value(&mut self) {
        self.expected = if self.depth == 0 { Expected::End } else { Expected::CommaOrClose };
    }

    /// A string, checked, without its quotes.
    fn string(&mut self) -> Result<&'t str, Error> {
        let start = self.at + 1;
        self.at = start;
        let mut high = false;
        loop {
            let at = self.at;
            let Some(byte) = self.byte() else { return Err(self.fault(at, "the string has no end")) };
            let checks_pairs = self.ty == Type::Jsonb;
            if high && byte != b'\\' {
                return Err(self.fault(at, "the second half of a surrogate pair is missing"));
            }
            match byte {
                b'"' => {
                    self.at += 1;
                    return Ok(self.text.get(start..at).unwrap_or_default());
                }
                b'\\' => {
                    let escape = self.text.as_bytes().get(at + 1).copied();
                    match escape {
                        Some(b'u') => {
                            let unit = self.hex(at + 2)?;
                            high = match (high, unit) {
                                // What is kept as it was written is never made characters of.
                                _ if !checks_pairs => false,
                                (false, 0xd800..=0xdbff) => true,
                                (true, 0xdc00..=0xdfff) => false,
                                (false, 0xdc00..=0xdfff) | (true, _) => {
                                    return Err(self.fault(at, "half of a surrogate pair"));
                                }
                                _ => false,
                            };
                            if unit == 0 && self.ty == Type::Jsonb {
                                return Err(Error::UnsupportedEscape);
                            }
                            self.at += 6;
                        }
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') if !high => self.at += 2,
                        _ => return Err(self.fault(at, "no such escape")),
                    }
                }
                0..0x20 => return Err(self.fault(at, "a control character must be escaped")),
                _ => self.at += 1,
            }
        }
    }

    fn hex(&self, at: usize) -> Result<u32, Error> {
        let digits = self.text.as_bytes().get(at..at + 4).unwrap_or(&[]);
        hex_of(digits).ok_or_else(|| self.fault(at, "expected four hexadecimal digits"))
    }

    fn number(&mut self) -> Result<&'t str, Error> {
        let start = self.at;
        let fault = self.fault(start, "expected a number");
        let digits = |scanner: &mut Self| -> usize {
            let from = scanner.at;
            while matches!(scanner.byte(), Some(b'0'..=b'9')) {
                scanner.at += 1;
            }
            scanner.at - from
        };
        self.at += usize::from(self.byte() == Some(b'-'));
        let leads_with_zero = self.byte() == Some(b'0');
        let whole = digits(self);
        if whole == 0 || (leads_with_zero && whole > 1) {
            return Err(fault);
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            if digits(self) == 0 {
                return Err(fault);
            }
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            if digits(self) == 0 {
                return Err(fault);
            }
        }
        if matches!(self.byte(), Some(byte) if byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80) {
            return Err(fault);
        }
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    fn word(&mut self) -> Option<Token<'t>> {
        let rest = self.text.get(self.at..)?;
        let len = rest
            .bytes()
            .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80)
            .count();
        let word = rest.get(..len).filter(|word| matches!(*word, "true" | "false" | "null"))?;
        self.at += len;
        Some(Token::Word(word))
    }
}

fn hex_of(digits: &[u8]) -> Option<u32> {
    if digits.len() != 4 {
        return None;
    }
    digits.iter().try_fold(0, |value, byte| Some(value * 16 + char::from(*byte).to_digit(16)?))
}

/// Checks that a text is JSON.
///
/// # Errors
/// [`Error::InvalidText`]; [`Error::TooDeep`] beyond [`DEPTH_MAX`] open brackets.
pub fn check(text: &str) -> Result<(), Error> {
    let mut scanner = Scanner::new(text, Type::Json);
    while scanner.next()?.is_some() {}
    Ok(())
}

/// Writes the normal form of a JSON text behind what `out` holds.
///
/// # Errors
/// Those of [`check`]; [`Error::NumericOverflow`] for numbers of more than 38 digits; [`Error::UnsupportedEscape`] for
/// `\u0000`; those of the buffer. What was written before stays there.
pub fn normalize<B: Buffer>(text: &str, out: &mut B) -> Result<(), Error> {
    let mut scanner = Scanner::new(text, Type::Jsonb);
    let mut writer = Writer { out, open: NOWHERE };
    while let Some(token) = scanner.next()? {
        writer.put(token)?;
    }
    Ok(())
}

const NOWHERE: u32 = u32::MAX;

struct Writer<'o, B> {
    out: &'o mut B,
    /// Where the innermost open bracket stands.
    open: u32,
}

impl<B: Buffer> Writer<'_, B> {
    fn word_at(&self, at: u32) -> u32 {
        let tail = self.out.as_bytes().get(at as usize..).and_then(|tail| tail.first_chunk());
        tail.map_or(NOWHERE, |chunk| u32::from_le_bytes(*chunk))
    }

    fn set_word(&mut self, at: u32, value: u32) {
        let tail = self.out.as_bytes_mut().get_mut(at as usize..);
        if let Some(chunk) = tail.and_then(|tail| tail.first_chunk_mut::<4>()) {
            *chunk = value.to_le_bytes();
        }
    }

    fn is_object(&self) -> bool {
        self.open != NOWHERE && self.out.as_bytes().get(self.open as usize) == Some(&b'{')
    }

    fn len(&self) -> Result<u32, Error> {
        let bytes = self.out.as_bytes().len();
        u32::try_from(bytes)
            .ok()
            .filter(|len| *len < NOWHERE)
            .ok_or(Error::BufferTooSmall { needed_bytes: NOWHERE, given_bytes: NOWHERE })
    }

    fn put(&mut self, token: Token<'_>) -> Result<(), Error> {
        match token {
            Token::Close => return self.close(),
            Token::Key(key) => {
                self.separate()?;
                let at = self.len()?;
                // The last member is settled; this one is looked at when it ends.
                self.settle(at)?;
                self.string(key)?;
                return self.out.push_bytes(b": ");
            }
            _ if self.open != NOWHERE && !self.is_object() => self.separate()?,
            _ => {}
        }
        match token {
            Token::Open(bracket) => {
                let at = self.len()?;
                self.out.push_bytes(&[bracket])?;
                self.out.push_bytes(&self.open.to_le_bytes())?;
                self.out.push_bytes(&NOWHERE.to_le_bytes())?;
                self.open = at;
                Ok(())
            }
            Token::String(text) => self.string(text),
            Token::Number(number) => {
                let value = Decimal::parse(number.as_bytes())?;
                self.out.push_bytes(value.to_text().as_bytes())
            }
            Token::Word(word) => self.out.push_bytes(word.as_bytes()),
            Token::Close | Token::Key(_) => Ok(()),
        }
    }

    /// Writes a comma where a member or element stands before.
    fn separate(&mut self) -> Result<(), Error> {
        let first = self.open as usize + 1 + HEAD_BYTES;
        if self.out.as_bytes().len() > first { self.out.push_bytes(b", ") } else { Ok(()) }
    }

    /// The member that was written last is whole: it goes to its place. The next one begins at `next` (behind the comma).
    fn settle(&mut self, next: u32) -> Result<(), Error> {
        let head = self.open + 5;
        let last = self.word_at(head);
        if last == NOWHERE {
            self.set_word(head, next);
            return Ok(());
        }
        let end = next as usize - 2;
        let moved_by = self.place(last as usize, end);
        // What was written twice is gone, and the comma stands where the list ends now.
        let end = end - moved_by;
        self.out.truncate(end);
        self.out.push_bytes(b", ")?;
        let next = self.len()?;
        let head = self.open + 5;
        self.set_word(head, next);
        Ok(())
    }

    /// Moves the member `last..end`, the last one of the innermost object, to its place; gives by how much the list is
    /// shorter, where it took the place of another one.
    fn place(&mut self, last: usize, end: usize) -> usize {
        let first = self.open as usize + 1 + HEAD_BYTES;
        let bytes = self.out.as_bytes_mut();
        let Some(list) = bytes.get_mut(first..end) else { return 0 };
        let last = last - first;
        // Members before the place have smaller keys.
        let mut at = 0;
        let mut removed = 0;
        while at < last {
            let order = compare_keys(list.get(at..).unwrap_or(&[]), list.get(last..).unwrap_or(&[]));
            if order == Ordering::Less {
                at += member_len(list.get(at..).unwrap_or(&[])) + 2;
                continue;
            }
            if order == Ordering::Equal {
                removed = member_len(list.get(at..).unwrap_or(&[])) + 2;
                list.copy_within(at + removed.., at);
            }
            break;
        }
        let len = list.len() - removed;
        let last = last - removed.min(last);
        if let (Some(tail), true) = (list.get_mut(at..len), at < last) {
            // `b: 2, a: 1` becomes `a: 1, b: 2`: the comma goes along.
            let member = len - last;
            tail.rotate_right(member);
            if let Some(room) = tail.get_mut(member..) {
                room.rotate_right(2);
            }
        }
        removed
    }

    fn close(&mut self) -> Result<(), Error> {
        let open = self.open;
        let bracket = self.out.as_bytes().get(open as usize).copied().unwrap_or(b'[');
        if bracket == b'{' && self.word_at(open + 5) != NOWHERE {
            let (last, end) = (self.word_at(open + 5) as usize, self.out.as_bytes().len());
            let removed = self.place(last, end);
            self.out.truncate(end - removed);
        }
        let parent = self.word_at(open + 1);
        let from = open as usize + 1;
        let bytes = self.out.as_bytes_mut();
        let len = bytes.len();
        bytes.copy_within(from + HEAD_BYTES..len, from);
        self.out.truncate(len - HEAD_BYTES);
        self.open = parent;
        self.out.push_bytes(if bracket == b'{' { b"}" } else { b"]" })
    }

    /// Writes a string with as few escapes as can be.
    fn string(&mut self, raw: &str) -> Result<(), Error> {
        self.out.push_bytes(b"\"")?;
        if raw.contains('\\') {
            for character in Unescaped(raw) {
                let mut utf8 = [0; 4];
                match character {
                    '"' => self.out.push_bytes(b"\\\"")?,
                    '\\' => self.out.push_bytes(b"\\\\")?,
                    '\u{8}' => self.out.push_bytes(b"\\b")?,
                    '\u{c}' => self.out.push_bytes(b"\\f")?,
                    '\n' => self.out.push_bytes(b"\\n")?,
                    '\r' => self.out.push_bytes(b"\\r")?,
                    '\t' => self.out.push_bytes(b"\\t")?,
                    '\0'..' ' => {
                        let digit =
                            |value: u32| char::from_digit(value, 16).map_or(b'0', |digit| digit as u8);
                        let code = u32::from(character);
                        self.out.push_bytes(&[
                            b'\\',
                            b'u',
                            b'0',
                            b'0',
                            digit(code >> 4),
                            digit(code & 15),
                        ])?;
                    }
                    other => self.out.push_bytes(other.encode_utf8(&mut utf8).as_bytes())?,
                }
            }
        } else {
            self.out.push_bytes(raw.as_bytes())?;
        }
        self.out.push_bytes(b"\"")
    }
}

/// The characters of a string between its quotes, which was checked.
#[derive(Clone, Copy, Debug)]
pub struct Unescaped<'t>(pub &'t str);

impl Iterator for Unescaped<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let mut chars = self.0.chars();
        let first = chars.next()?;
        if first != '\\' {
            self.0 = chars.as_str();
            return Some(first);
        }
        let kind = chars.next()?;
        self.0 = chars.as_str();
        Some(match kind {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let unit = hex_of(self.0.as_bytes().get(..4)?)?;
                self.0 = self.0.get(4..)?;
                if !(0xd800..0xdc00).contains(&unit) {
                    return char::from_u32(unit);
                }
                let low = hex_of(self.0.as_bytes().get(2..6)?)?;
                self.0 = self.0.get(6..)?;
                return char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + low.wrapping_sub(0xdc00));
            }
            other => other,
        })
    }
}

/// The string that bytes of the normal form begin with, without its quotes.
fn string_at(bytes: &[u8]) -> &str {
    let inside = bytes.get(1..).unwrap_or(&[]);
    core::str::from_utf8(inside.get(..string_len(inside)).unwrap_or(&[])).unwrap_or_default()
}

/// Bytes up to the quote that ends a string.
fn string_len(inside: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = inside.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    inside.len()
}

/// The order of the keys that two members begin with: by length in bytes, then by bytes.
fn compare_keys(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (string_at(a), string_at(b));
    if !a.contains('\\') && !b.contains('\\') {
        return a.len().cmp(&b.len()).then_with(|| a.as_bytes().cmp(b.as_bytes()));
    }
    let len = |text: &str| Unescaped(text).map(char::len_utf8).sum::<usize>();
    // Characters have the order of their bytes.
    len(a).cmp(&len(b)).then_with(|| Unescaped(a).cmp(Unescaped(b)))
}

/// The bytes of a member: its key, and its value with everything in it.
fn member_len(bytes: &[u8]) -> usize {
    let (mut at, mut depth) = (0usize, 0usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at += 1 + string_len(bytes.get(at + 1..).unwrap_or(&[])),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::VecBuffer;
    use std::string::{String, ToString as _};

    fn normal(text: &str) -> Result<String, String> {
        let mut out = VecBuffer::default();
        normalize(text, &mut out).map_err(|error| error.sqlstate().to_string())?;
        Ok(String::from_utf8(out.0).unwrap())
    }

    #[test]
    fn normal_forms_are_those_of_jsonb() {
        let cases = [
            ("1", "1"),
            (" [ ] ", "[]"),
            ("{}", "{}"),
            (r#"{"b":1,"a":2}"#, r#"{"a": 2, "b": 1}"#),
            (
                r#"{"bb":1,"a":2,"c":3,"bb":[1,{"z":1,"y":2}]}"#,
                r#"{"a": 2, "c": 3, "bb": [1, {"y": 2, "z": 1}]}"#,
            ),
            (r#"{"c":1,"b":2,"a":3,"b":4}"#, r#"{"a": 3, "b": 4, "c": 1}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a": 2}"#),
            (r#"{"b":1,"a":1,"a":{"x":[]}}"#, r#"{"a": {"x": []}, "b": 1}"#),
            (r#"[1.50, 1e2, -0, 1E-3, true, null, "x"]"#, r#"[1.50, 100, 0, 0.001, true, null, "x"]"#),
            (r#""\u00e9\/\u0001\n\ud83d\ude00""#, "\"é/\\u0001\\n😀\""),
            (r#"{"\u0062":1,"a":", }"}"#, r#"{"a": ", }", "b": 1}"#),
            (r#"[[1,[2]],{"a":[{}]}]"#, r#"[[1, [2]], {"a": [{}]}]"#),
        ];
        for (text, expected) in cases {
            assert_eq!(normal(text).as_deref(), Ok(expected), "{text}");
            assert_eq!(normal(expected).as_deref(), Ok(expected), "{text}");
            assert_eq!(check(text), Ok(()));
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "01",
            "1.",
            "-",
            "tru",
            "nulls",
            "\"",
            "\"\\x\"",
            "\"\n\"",
            "1 2",
            "[1}",
            "{\"a\" 1}",
            "{1:2}",
            "]",
            "1e",
            ".5",
            "+1",
            "'a'",
        ] {
            assert_eq!(check(text).unwrap_err().sqlstate(), "22P02", "{text}");
            assert!(normal(text).is_err(), "{text}");
        }
        assert_eq!(check("\"\\u0000\""), Ok(()));
        assert_eq!(normal("\"\\u0000\""), Err("22P05".into()));
        assert_eq!(normal("1e400"), Err("22003".into()));
    }

    #[test]
    fn depth_is_counted_and_not_felt() {
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(check(&deep(DEPTH_MAX)), Ok(()));
        assert_eq!(normal(&deep(DEPTH_MAX)), Ok(deep(DEPTH_MAX)));
        assert_eq!(check(&deep(DEPTH_MAX + 1)).unwrap_err().sqlstate(), "54001");
    }
}
