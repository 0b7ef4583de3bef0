//! Reading of JSON texts that are known to be right.

use cofferdam_types::json::Unescaped;

/// What a value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    Boolean,
    Null,
}

impl Kind {
    /// The kind of a value by its first byte.
    pub(crate) fn of(value: &str) -> Kind {
        match value.trim_start().as_bytes().first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Boolean,
            Some(b'n') => Kind::Null,
            _ => Kind::Number,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Object => "object",
            Kind::Array => "array",
            Kind::String => "string",
            Kind::Number => "number",
            Kind::Boolean => "boolean",
            Kind::Null => "null",
        }
    }

    pub(crate) fn is_container(self) -> bool {
        matches!(self, Kind::Object | Kind::Array)
    }
}

/// Where the string ends whose first quote is at `at`: behind its last quote.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    loop {
        let rest = bytes.get(at..).unwrap_or(&[]);
        match memchr::memchr2(b'"', b'\\', rest) {
            None => return bytes.len(),
            Some(further) if rest.get(further) == Some(&b'"') => return at + further + 1,
            Some(further) => at += further + 2,
        }
    }
}

/// Where the value ends that begins at `at`.
fn value_end(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at) {
        Some(b'"') => string_end(bytes, at),
        Some(b'{' | b'[') => {
            let (mut at, mut depth) = (at, 0usize);
            while let Some(byte) = bytes.get(at) {
                match byte {
                    b'"' => {
                        at = string_end(bytes, at);
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => {
                        depth -= 1;
                        if depth == 0 {
                            return at + 1;
                        }
                    }
                    _ => {}
                }
                at += 1;
            }
            bytes.len()
        }
        _ => {
            let rest = bytes.get(at..).unwrap_or(&[]);
            let len = rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']') || is_space(*byte));
            len.map_or(bytes.len(), |len| at + len)
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(|byte| is_space(*byte)) {
        at += 1;
    }
    at
}

/// The members of an object or the elements of an array, in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Members<'v> {
    text: &'v str,
    at: usize,
    has_keys: bool,
}

/// A member: its key between the quotes (empty in arrays) and its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member<'v> {
    pub(crate) key: &'v str,
    pub(crate) value: &'v str,
    /// Where the value stands in the text.
    pub(crate) at: usize,
}

impl<'v> Members<'v> {
    /// The members of a value; none of one that is neither object nor array.
    pub(crate) fn of(text: &'v str) -> Members<'v> {
        let kind = Kind::of(text);
        let open = skip_space(text.as_bytes(), 0);
        let at = if kind.is_container() { open + 1 } else { text.len() };
        Members { text, at, has_keys: kind == Kind::Object }
    }
}

impl<'v> Iterator for Members<'v> {
    type Item = Member<'v>;

    fn next(&mut self) -> Option<Member<'v>> {
        let bytes = self.text.as_bytes();
        let mut at = skip_space(bytes, self.at);
        if bytes.get(at) == Some(&b',') {
            at = skip_space(bytes, at + 1);
        }
        if matches!(bytes.get(at), None | Some(b'}' | b']')) {
            self.at = bytes.len();
            return None;
        }
        let mut key = "";
        if self.has_keys {
            let end = string_end(bytes, at);
            key = self.text.get(at + 1..end - 1)?;
            // Behind the key stands a colon.
            at = skip_space(bytes, skip_space(bytes, end) + 1);
        }
        let end = value_end(bytes, at);
        self.at = end;
        Some(Member { key, value: self.text.get(at..end)?, at })
    }
}

/// Whether a key or string, as it stands between its quotes, is this text.
pub(crate) fn is_text(raw: &str, text: &str) -> bool {
    if raw.contains('\\') { Unescaped(raw).eq(text.chars()) } else { raw == text }
}

/// What stands between the quotes of a string.
pub(crate) fn inside(value: &str) -> &str {
    let value = value.trim_ascii();
    value.get(1..value.len().saturating_sub(1)).unwrap_or("")
}

/// The member of this key; the last one where `json` has it several times.
pub(crate) fn field<'v>(object: &'v str, key: &str) -> Option<Member<'v>> {
    if Kind::of(object) != Kind::Object {
        return None;
    }
    Members::of(object).filter(|member| is_text(member.key, key)).last()
}

/// The place that an index means among so many elements: from the end where it is negative.
pub(crate) fn place(index: i64, count: usize) -> Option<usize> {
    match usize::try_from(index) {
        Ok(index) => Some(index).filter(|index| *index < count),
        Err(_) => count.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    }
}

/// The element of this index.
pub(crate) fn element(array: &str, index: i64) -> Option<Member<'_>> {
    if Kind::of(array) != Kind::Array {
        return None;
    }
    match index {
        0.. => Members::of(array).nth(usize::try_from(index).ok()?),
        _ => Members::of(array).nth(place(index, Members::of(array).count())?),
    }
}

/// The value that a step of a path leads to.
pub(crate) fn step<'v>(value: &'v str, key: &str) -> Option<Member<'v>> {
    match Kind::of(value) {
        Kind::Object => field(value, key),
        Kind::Array => element(value, index(key)?),
        _ => None,
    }
}

/// A step that is an integer.
pub(crate) fn index(key: &str) -> Option<i64> {
    cofferdam_types::number::parse_i32(key.as_bytes()).ok().map(i64::from)
}

/// How long the string, number or word is that a text begins with.
pub(crate) fn scalar_len(text: &str) -> usize {
    match text.as_bytes().first() {
        Some(b'"') => string_end(text.as_bytes(), 0),
        _ => text.find([',', ':', '}', ']', '{', '[', ' ', '\t', '\n', '\r']).unwrap_or(text.len()),
    }
}
