//! Arrays: lists of values of one type, of one dimension and counted from 1.
//!
//! An array is bytes of somebody else: the number of its elements in four bytes, least significant first, then each
//! element as [`crate::row`] encodes it. So reading an element costs no copy, and an array that is kept, spilled and
//! shown is always the same bytes.

use core::cmp::Ordering;
use core::fmt;

use crate::key::Sink;
use crate::row::{decode_row, encode_row};
use crate::{Buffer, Element, Error, Session, TextBuffer, Type, Value};

const COUNT_BYTES: usize = 4;

/// An array, owned by somebody else.
#[derive(Clone, Copy)]
pub struct ArrayRef<'a> {
    bytes: &'a [u8],
    element: Element,
}

impl<'a> ArrayRef<'a> {
    /// The array without elements.
    pub const fn empty(element: Element) -> ArrayRef<'static> {
        ArrayRef { bytes: &[0; COUNT_BYTES], element }
    }

    /// The array of some bytes, which are checked from end to end.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for bytes that [`encode`] never puts for such elements.
    pub fn new(bytes: &'a [u8], element: Element) -> Result<ArrayRef<'a>, Error> {
        let ty = Type::Array(element);
        let array = ArrayRef { bytes, element };
        let count = bytes.first_chunk().map(|chunk| u32::from_le_bytes(*chunk));
        let count = count.ok_or_else(|| Error::corrupt(ty, 0, "an array begins with its count"))?;
        let mut rest = array.payload();
        for _ in 0..count {
            let (_, used) = decode_row(rest, element.ty())?;
            rest = rest.get(used..).unwrap_or(&[]);
        }
        match rest.is_empty() {
            true => Ok(array),
            false => Err(Error::corrupt(ty, bytes.len() - rest.len(), "the array ends here")),
        }
    }

    /// The bytes, as [`ArrayRef::new`] takes them.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The type of its elements.
    pub const fn element(self) -> Element {
        self.element
    }

    /// How many elements there are.
    pub fn len(self) -> usize {
        self.bytes.first_chunk().map_or(0, |chunk| u32::from_le_bytes(*chunk) as usize)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The elements in order.
    pub fn iter(self) -> Elements<'a> {
        Elements { rest: self.payload(), left: self.len(), ty: self.element.ty() }
    }

    fn payload(self) -> &'a [u8] {
        self.bytes.get(COUNT_BYTES..).unwrap_or(&[])
    }
}

/// Puts an array's bytes: the count, then each element.
///
/// # Errors
/// Those of the sink; what was put before stays there.
pub fn encode<'v, S: Sink>(
    elements: impl ExactSizeIterator<Item = Value<'v>>,
    sink: &mut S,
) -> Result<(), S::Error> {
    sink.put(&crate::error::saturate(elements.len()).to_le_bytes())?;
    for element in elements {
        encode_row(element, sink)?;
    }
    Ok(())
}

/// Appends the array that a text names, `{1,NULL,"a b"}`.
///
/// # Errors
/// [`Error::InvalidText`], those of the elements and of the buffer. An element of jsonb with escapes has at most
/// [`crate::TEXT_BYTES_MAX`] bytes.
pub(crate) fn read<B: Buffer>(
    text: &str,
    element: Element,
    session: &Session<'_>,
    buffer: &mut B,
) -> Result<(), Error> {
    let bytes = text.as_bytes();
    let fault = |at, reason| Error::invalid(Type::Array(element), bytes, at, reason);
    let start = bytes.iter().take_while(|byte| is_space(**byte)).count();
    let trimmed_end = bytes.len() - bytes.iter().rev().take_while(|byte| is_space(**byte)).count();
    if bytes.get(start) != Some(&b'{') {
        return Err(fault(start, "an array begins with {"));
    }
    let count_at = buffer.as_bytes().len();
    buffer.push_bytes(&[0; COUNT_BYTES])?;
    let (mut at, mut count) = (start + 1, 0u32);
    loop {
        at += bytes.get(at..).unwrap_or(&[]).iter().take_while(|byte| is_space(**byte)).count();
        let item = item_at(bytes, at).map_err(|(at, reason)| fault(at, reason))?;
        at = item.end;
        at += bytes.get(at..).unwrap_or(&[]).iter().take_while(|byte| is_space(**byte)).count();
        let delimiter = bytes.get(at).copied();
        let raw = text.get(item.start..item.inner_end).unwrap_or_default();
        match (raw.is_empty() && !item.is_quoted, delimiter) {
            (true, Some(b'}')) if count == 0 => {}
            (true, _) => return Err(fault(at, "expected an element")),
            (false, _) => {
                put_item(raw, &item, element, session, buffer)?;
                count += 1;
            }
        }
        match delimiter {
            Some(b',') => at += 1,
            Some(b'}') if at + 1 == trimmed_end => break,
            Some(b'}') => return Err(fault(at + 1, "junk behind the array")),
            _ => return Err(fault(at, "expected a comma or }")),
        }
    }
    let head =
        buffer.as_bytes_mut().get_mut(count_at..).and_then(|tail| tail.first_chunk_mut::<COUNT_BYTES>());
    if let Some(head) = head {
        *head = count.to_le_bytes();
    }
    Ok(())
}

/// An element of a text.
struct Item {
    start: usize,
    /// Where its text ends, the quote not counted.
    inner_end: usize,
    end: usize,
    is_quoted: bool,
    has_escapes: bool,
}

fn item_at(bytes: &[u8], at: usize) -> Result<Item, (usize, &'static str)> {
    let is_quoted = bytes.get(at) == Some(&b'"');
    let start = at + usize::from(is_quoted);
    let mut item = Item { start, inner_end: start, end: start, is_quoted, has_escapes: false };
    let mut place = start;
    // Blanks at the end of what has no quotes do not count.
    let mut last = start;
    loop {
        match bytes.get(place) {
            None if is_quoted => return Err((place, "the quotes have no end")),
            None => return Err((place, "expected a comma or }")),
            Some(b'\\') => {
                item.has_escapes = true;
                place += 2;
                last = place.min(bytes.len());
                continue;
            }
            Some(b'"') if is_quoted => {
                item.inner_end = place;
                item.end = place + 1;
                return Ok(item);
            }
            Some(b',' | b'}') if !is_quoted => break,
            Some(b'"' | b'{') if !is_quoted => return Err((place, "expected a comma or }")),
            Some(byte) => {
                place += 1;
                if is_quoted || !is_space(*byte) {
                    last = place;
                }
            }
        }
    }
    item.inner_end = last;
    item.end = place;
    Ok(item)
}

/// Appends an element as a row has it.
fn put_item<B: Buffer>(
    raw: &str,
    item: &Item,
    element: Element,
    session: &Session<'_>,
    buffer: &mut B,
) -> Result<(), Error> {
    if !item.is_quoted && !item.has_escapes && raw.eq_ignore_ascii_case("null") {
        return buffer.push_bytes(&[0]);
    }
    let ty = element.ty();
    let before = buffer.as_bytes().len();
    let mut plain = TextBuffer::new();
    let is_long_text = matches!(ty, Type::Text | Type::Char | Type::Json);
    let text = match item.has_escapes {
        false => raw,
        true if is_long_text => {
            unescape(raw, buffer)?;
            if ty == Type::Json {
                let made = buffer.as_bytes().get(before..).unwrap_or(&[]);
                crate::json::check(core::str::from_utf8(made).unwrap_or_default())?;
            }
            return put_length(before, buffer);
        }
        true => {
            unescape(raw, &mut plain)?;
            plain.as_str()
        }
    };
    match ty {
        Type::Bytea => crate::cast::read_bytea(text, buffer)?,
        Type::Jsonb => crate::json::normalize(text, buffer)?,
        _ => {
            let value = crate::cast::read_in(text, ty, session, &mut TextBuffer::new())
                .map(|value| encode_row(value, &mut |bytes: &[u8]| buffer.push_bytes(bytes)))?;
            return value;
        }
    }
    put_length(before, buffer)
}

fn unescape<B: Buffer>(raw: &str, buffer: &mut B) -> Result<(), Error> {
    let mut pieces = raw.split('\\');
    buffer.push_bytes(pieces.next().unwrap_or_default().as_bytes())?;
    let mut after_backslash = false;
    for piece in pieces {
        // Between two backslashes there is nothing: the second one is meant.
        if piece.is_empty() && !after_backslash {
            buffer.push_bytes(b"\\")?;
            after_backslash = true;
            continue;
        }
        after_backslash = false;
        buffer.push_bytes(piece.as_bytes())?;
    }
    Ok(())
}

/// Puts the length before the bytes that were written from `before` on.
fn put_length<B: Buffer>(before: usize, buffer: &mut B) -> Result<(), Error> {
    let len = buffer.as_bytes().len() - before;
    let mut length = [0; 5];
    let mut sink = crate::key::SliceSink::new(&mut length);
    crate::row::encode_length(len, &mut sink)?;
    let head = sink.written();
    buffer.push_bytes(head)?;
    if let Some(tail) = buffer.as_bytes_mut().get_mut(before..) {
        tail.rotate_right(head.len());
    }
    Ok(())
}

/// The elements of an array.
#[derive(Clone, Copy, Debug)]
pub struct Elements<'a> {
    rest: &'a [u8],
    left: usize,
    ty: Type,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        self.left = self.left.checked_sub(1)?;
        // Arrays are checked when they are made; behind damage there is nothing.
        let (value, used) = decode_row(self.rest, self.ty).ok()?;
        self.rest = self.rest.get(used..).unwrap_or(&[]);
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }
}

impl PartialEq for ArrayRef<'_> {
    fn eq(&self, other: &ArrayRef<'_>) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ArrayRef<'_> {}

impl PartialOrd for ArrayRef<'_> {
    fn partial_cmp(&self, other: &ArrayRef<'_>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Element by element, NULL being the greatest; of arrays that begin alike the shorter one is less.
impl Ord for ArrayRef<'_> {
    fn cmp(&self, other: &ArrayRef<'_>) -> Ordering {
        let (mut a, mut b) = (self.iter(), other.iter());
        loop {
            match (a.next(), b.next()) {
                (None, None) => return Ordering::Equal,
                (None, Some(_)) => return Ordering::Less,
                (Some(_), None) => return Ordering::Greater,
                (Some(x), Some(y)) => match x.total_cmp(&y) {
                    Ordering::Equal => {}
                    order => return order,
                },
            }
        }
    }
}

/// PostgreSQL's form: `{1,NULL,"a b"}`.
impl fmt::Display for ArrayRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, value) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write_element(value, f)?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for ArrayRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Writes an element, in quotes where its text would be misread without.
fn write_element(value: Value<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    use core::fmt::Write as _;
    if value.is_null() {
        return f.write_str("NULL");
    }
    let mut look = Look::default();
    write!(look, "{value}")?;
    if !look.needs_quotes() {
        return write!(f, "{value}");
    }
    f.write_str("\"")?;
    write!(Escaping(f), "{value}")?;
    f.write_str("\"")
}

/// Looks at a text whether it needs quotes.
#[derive(Default)]
struct Look {
    has_special: bool,
    len: usize,
    head: [u8; 4],
}

impl Look {
    fn needs_quotes(&self) -> bool {
        self.has_special || self.len == 0 || (self.len == 4 && self.head.eq_ignore_ascii_case(b"null"))
    }
}

impl fmt::Write for Look {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if let Some(slot) = self.head.get_mut(self.len) {
                *slot = byte;
            }
            self.len += 1;
            self.has_special |= matches!(byte, b'{' | b'}' | b',' | b'"' | b'\\') || is_space(byte);
        }
        Ok(())
    }
}

/// What PostgreSQL takes for white space around elements.
pub(crate) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// Writes a backslash before quotes and backslashes.
struct Escaping<'f, 'g>(&'f mut fmt::Formatter<'g>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive(['"', '\\']) {
            let plain = piece.strip_suffix(['"', '\\']).unwrap_or(piece);
            self.0.write_str(plain)?;
            if let Some(special) = piece.get(plain.len()..).filter(|special| !special.is_empty()) {
                self.0.write_str("\\")?;
                self.0.write_str(special)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::convert::Infallible;
    use std::string::ToString as _;
    use std::vec::Vec;

    fn bytes(values: &[Value<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(values.iter().copied(), &mut |piece: &[u8]| {
            bytes.extend_from_slice(piece);
            Ok::<(), Infallible>(())
        })
        .unwrap();
        bytes
    }

    fn element(ty: Type) -> Element {
        Element::of(ty).unwrap()
    }

    #[test]
    fn arrays_print_as_postgresql_prints_them() {
        let show = |values: &[Value<'_>], ty| {
            let bytes = bytes(values);
            ArrayRef::new(&bytes, element(ty)).unwrap().to_string()
        };
        let numbers = [Value::Integer(1), Value::Null, Value::Integer(-3)];
        assert_eq!(show(&numbers, Type::Integer), "{1,NULL,-3}");
        assert_eq!(show(&[], Type::Integer), "{}");
        let texts = ["a b", "", "null", "x\"y\\z", "plain", "a,b", "{", "nulls", "é"].map(Value::Text);
        assert_eq!(show(&texts, Type::Text), r#"{"a b","","null","x\"y\\z",plain,"a,b","{",nulls,é}"#);
    }

    #[test]
    fn arrays_are_ordered_element_by_element() {
        let lists: [&[Value<'_>]; 6] = [
            &[],
            &[Value::Integer(1)],
            &[Value::Integer(1), Value::Integer(5)],
            &[Value::Integer(1), Value::Null],
            &[Value::Integer(2)],
            &[Value::Null],
        ];
        let encoded = lists.map(bytes);
        let arrays =
            [0, 1, 2, 3, 4, 5].map(|i: usize| ArrayRef::new(&encoded[i], element(Type::Integer)).unwrap());
        assert!(arrays.is_sorted_by(|a, b| a < b));
        assert_eq!(arrays[2].iter().count(), 2);
    }

    #[test]
    fn damaged_arrays_are_refused() {
        let whole = bytes(&[Value::Integer(1), Value::Integer(2)]);
        let message = |bytes: &[u8]| ArrayRef::new(bytes, element(Type::Integer)).unwrap_err().to_string();
        for end in 0..whole.len() {
            assert!(message(&whole[..end]).contains("corrupt"));
        }
        let longer = [&whole[..], &[0]].concat();
        assert_eq!(message(&longer), "encoded integer[] is corrupt at byte 14: the array ends here");
        let empty = ArrayRef::empty(element(Type::Text));
        assert_eq!(ArrayRef::new(empty.as_bytes(), element(Type::Text)), Ok(empty));
    }
}
