//! Byte strings as texts and back, hashes, and escapes of Unicode.

use cofferdam_types::Value;
use md5::Digest as _;

use super::append_char;
use crate::args::{Answer, WRITTEN, bytes, give, text};
use crate::context::{Context, Problem, Sink};
use crate::signature::params::{BYTEA, TEXT};
use crate::signature::{Function, function, results};

pub(crate) const FUNCTIONS: &[Function] = &[
    function(
        "convert_from",
        &[BYTEA, TEXT],
        results::TEXT,
        convert_from,
        "bytes in an encoding (UTF8, LATIN1, SQL_ASCII) as text",
    ),
    function(
        "convert_to",
        &[TEXT, TEXT],
        results::BYTEA,
        convert_to,
        "a text as bytes in an encoding (UTF8, LATIN1, SQL_ASCII)",
    ),
    function("decode", &[TEXT, TEXT], results::BYTEA, decode, "bytes from `hex`, `base64` or `escape`"),
    function("encode", &[BYTEA, TEXT], results::TEXT, encode, "bytes as `hex`, `base64` or `escape`"),
    function("md5", &[TEXT], results::TEXT, md5, "the MD5 hash in hexadecimal"),
    function("md5", &[BYTEA], results::TEXT, md5, "the MD5 hash in hexadecimal"),
    function("sha224", &[BYTEA], results::BYTEA, sha224, "the SHA-224 hash"),
    function("sha256", &[BYTEA], results::BYTEA, sha256, "the SHA-256 hash"),
    function("sha384", &[BYTEA], results::BYTEA, sha384, "the SHA-384 hash"),
    function("sha512", &[BYTEA], results::BYTEA, sha512, "the SHA-512 hash"),
    function(
        "unistr",
        &[TEXT],
        results::TEXT,
        unistr,
        "with escapes like `\\0041` and `\\u0041` replaced by their characters",
    ),
];

const HEX: &[u8; 16] = b"0123456789abcdef";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn append_hex(bytes: &[u8], sink: &mut dyn Sink) -> Result<(), Problem> {
    sink.reserve(bytes.len().saturating_mul(2))?;
    for byte in bytes {
        sink.append(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]])?;
    }
    Ok(())
}

fn md5<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    append_hex(&md5::Md5::digest(bytes(args, 0)), cx.sink)?;
    WRITTEN
}

fn sha224<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    cx.sink.append(&sha2::Sha224::digest(bytes(args, 0)))?;
    WRITTEN
}

fn sha256<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    cx.sink.append(&sha2::Sha256::digest(bytes(args, 0)))?;
    WRITTEN
}

fn sha384<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    cx.sink.append(&sha2::Sha384::digest(bytes(args, 0)))?;
    WRITTEN
}

fn sha512<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    cx.sink.append(&sha2::Sha512::digest(bytes(args, 0)))?;
    WRITTEN
}

#[derive(Clone, Copy)]
enum Form {
    Hex,
    Base64,
    Escape,
}

fn form(name: &str) -> Result<Form, Problem> {
    let forms = [("hex", Form::Hex), ("base64", Form::Base64), ("escape", Form::Escape)];
    let found = forms.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, form)| *form).ok_or_else(|| Problem::about("22023", "unrecognized encoding: \"%\"", name))
}

fn encode<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let bytes = bytes(args, 0);
    match form(text(args, 1))? {
        Form::Hex => append_hex(bytes, cx.sink)?,
        Form::Base64 => append_base64(bytes, cx.sink)?,
        Form::Escape => {
            for byte in bytes {
                match byte {
                    b'\\' => cx.sink.append(b"\\\\")?,
                    0 | 0x80.. => {
                        let digit = |shift: u8| b'0' + (byte >> shift & 7);
                        cx.sink.append(&[b'\\', digit(6), digit(3), digit(0)])?;
                    }
                    plain => cx.sink.append(&[*plain])?,
                }
            }
        }
    }
    WRITTEN
}

/// Base64 in lines of 76 characters.
fn append_base64(bytes: &[u8], sink: &mut dyn Sink) -> Result<(), Problem> {
    sink.reserve(bytes.len().saturating_add(bytes.len() / 2))?;
    for (index, group) in bytes.chunks(3).enumerate() {
        if index > 0 && index % 19 == 0 {
            sink.append(b"\n")?;
        }
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        let mut symbols = [18, 12, 6, 0].map(|shift| BASE64[(bits >> shift & 63) as usize]);
        for missing in symbols.iter_mut().skip(group.len() + 1) {
            *missing = b'=';
        }
        sink.append(&symbols)?;
    }
    Ok(())
}

fn decode<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let text = text(args, 0);
    match form(text_form(args))? {
        Form::Hex => decode_hex(text, cx.sink)?,
        Form::Base64 => decode_base64(text, cx.sink)?,
        Form::Escape => decode_escape(text, cx.sink)?,
    }
    WRITTEN
}

fn text_form<'v>(args: &[Value<'v>]) -> &'v str {
    text(args, 1)
}

fn decode_hex(text: &str, sink: &mut dyn Sink) -> Result<(), Problem> {
    let mut half = None;
    for c in text.chars().filter(|c| !matches!(c, ' ' | '\n' | '\t' | '\r')) {
        let digit = c.to_digit(16).ok_or_else(|| symbol("invalid hexadecimal digit: \"%\"", c))? as u8;
        half = match half {
            None => Some(digit),
            Some(high) => {
                sink.append(&[high << 4 | digit])?;
                None
            }
        };
    }
    match half {
        None => Ok(()),
        Some(_) => Err(Problem::new("22023", "invalid hexadecimal data: odd number of digits")),
    }
}

/// A refusal that names a character.
fn symbol(message: &'static str, c: char) -> Problem {
    Problem::about("22023", message, c.encode_utf8(&mut [0; 4]))
}

fn decode_base64(text: &str, sink: &mut dyn Sink) -> Result<(), Problem> {
    let (mut bits, mut count, mut padding) = (0u32, 0, 0);
    for c in text.chars().filter(|c| !matches!(c, ' ' | '\n' | '\t' | '\r')) {
        let code = if c == '=' {
            if padding == 0 && count < 2 {
                return Err(Problem::new("22023", "unexpected \"=\" while decoding base64 sequence"));
            }
            padding += 1;
            0
        } else {
            let code = BASE64.iter().position(|known| char::from(*known) == c).filter(|_| padding == 0);
            let message = "invalid symbol \"%\" found while decoding base64 sequence";
            code.ok_or_else(|| symbol(message, c))? as u32
        };
        bits = bits << 6 | code;
        count += 1;
        if count == 4 {
            let bytes = bits.to_be_bytes();
            sink.append(bytes.get(1..4 - padding.min(2)).unwrap_or(&[]))?;
            (bits, count) = (0, 0);
        }
    }
    match count {
        0 => Ok(()),
        _ => Err(Problem::new("22023", "invalid base64 end sequence")
            .hinted("Input data is missing padding, is truncated, or is otherwise corrupted.")),
    }
}

fn decode_escape(text: &str, sink: &mut dyn Sink) -> Result<(), Problem> {
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first != b'\\' {
            sink.append(&[*first])?;
            rest = tail;
            continue;
        }
        rest = match tail {
            [b'\\', behind @ ..] => {
                sink.append(b"\\")?;
                behind
            }
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', behind @ ..] => {
                sink.append(&[(a - b'0') << 6 | (b - b'0') << 3 | (c - b'0')])?;
                behind
            }
            _ => return Err(Problem::new("22P02", "invalid input syntax for type bytea")),
        };
    }
    Ok(())
}

/// The encodings that texts are converted from and to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Latin1,
    SqlAscii,
}

fn encoding(name: &str, message: &'static str) -> Result<Encoding, Problem> {
    const NAMES: [(&str, Encoding); 6] = [
        ("utf8", Encoding::Utf8),
        ("unicode", Encoding::Utf8),
        ("latin1", Encoding::Latin1),
        ("iso88591", Encoding::Latin1),
        ("sqlascii", Encoding::SqlAscii),
        ("ascii", Encoding::SqlAscii),
    ];
    let is_same = |known: &str| {
        let letters = name.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase());
        letters.eq(known.bytes())
    };
    let found = NAMES.iter().find(|(known, _)| is_same(known)).map(|(_, encoding)| *encoding);
    found.ok_or_else(|| Problem::about("22023", message, name))
}

fn convert_from<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let bytes = bytes(args, 0);
    if encoding(text(args, 1), "invalid source encoding name \"%\"")? == Encoding::Latin1 {
        for byte in bytes {
            append_char(check_null(char::from(*byte))?, cx)?;
        }
        return WRITTEN;
    }
    match core::str::from_utf8(bytes) {
        Ok(valid) => match valid.find('\0') {
            None => give(Value::Text(valid)),
            Some(_) => Err(invalid_bytes(&[0])),
        },
        Err(error) => {
            let bad = bytes.get(error.valid_up_to()..).unwrap_or(&[]);
            // A sequence as long as its first byte says, as far as there are bytes.
            let len = match bad.first() {
                Some(0xc0..=0xdf) => 2,
                Some(0xe0..=0xef) => 3,
                Some(0xf0..=0xf7) => 4,
                _ => 1,
            };
            Err(invalid_bytes(bad.get(..len).unwrap_or(bad)))
        }
    }
}

fn check_null(c: char) -> Result<char, Problem> {
    if c == '\0' { Err(invalid_bytes(&[0])) } else { Ok(c) }
}

/// A refusal that names bytes.
fn invalid_bytes(bytes: &[u8]) -> Problem {
    let message = "invalid byte sequence for encoding \"UTF8\": %";
    Problem::about("22021", message, shown_bytes(bytes).as_str())
}

/// Up to four bytes as `0xe2 0x82 0xac`.
fn shown_bytes(bytes: &[u8]) -> cofferdam_types::TextBuffer {
    use core::fmt::Write as _;
    let mut shown = cofferdam_types::TextBuffer::new();
    for (index, byte) in bytes.iter().take(4).enumerate() {
        let blank = if index > 0 { " " } else { "" };
        // Four bytes fit the buffer.
        let _ = write!(shown, "{blank}0x{byte:02x}");
    }
    shown
}

fn convert_to<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let text = text(args, 0);
    if encoding(text_form(args), "invalid destination encoding name \"%\"")? != Encoding::Latin1 {
        return give(Value::Bytea(text.as_bytes()));
    }
    for c in text.chars() {
        let byte = u8::try_from(u32::from(c)).map_err(|_| {
            let message = "character with byte sequence % in encoding \"UTF8\" has no equivalent in encoding \"LATIN1\"";
            Problem::about("22P05", message, shown_bytes(c.encode_utf8(&mut [0; 4]).as_bytes()).as_str())
        })?;
        cx.sink.append(&[byte])?;
    }
    WRITTEN
}

/// The digits of an escape: how many, and those behind.
fn escape(rest: &str) -> Option<(u32, &str)> {
    let (prefix, digits) = match rest.as_bytes().first()? {
        b'u' => (1, 4),
        b'U' => (1, 8),
        b'+' => (1, 6),
        _ => (0, 4),
    };
    let number = rest.get(prefix..prefix + digits)?;
    if !number.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some((u32::from_str_radix(number, 16).ok()?, rest.get(prefix + digits..)?))
}

fn unistr<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let mut rest = text(args, 0);
    while let Some((before, behind)) = rest.split_once('\\') {
        cx.sink.append(before.as_bytes())?;
        if let Some(after) = behind.strip_prefix('\\') {
            cx.sink.append(b"\\")?;
            rest = after;
            continue;
        }
        let (c, after) = escaped_char(behind)?;
        append_char(c, cx)?;
        rest = after;
    }
    cx.sink.append(rest.as_bytes())?;
    WRITTEN
}

/// The character of an escape, of which surrogates take two.
fn escaped_char(text: &str) -> Result<(char, &str), Problem> {
    let (code, rest) = escape(text).ok_or_else(|| {
        Problem::new("42601", "invalid Unicode escape")
            .hinted("Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.")
    })?;
    let pair = || Problem::new("42601", "invalid Unicode surrogate pair");
    let (code, rest) = match code {
        0xd800..=0xdbff => {
            let (low, rest) = rest.strip_prefix('\\').and_then(escape).ok_or_else(pair)?;
            let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400).ok_or_else(pair)?;
            (0x1_0000 + ((code - 0xd800) << 10 | low), rest)
        }
        0xdc00..=0xdfff => return Err(pair()),
        code => (code, rest),
    };
    let c = char::from_u32(code).filter(|c| *c != '\0');
    c.map(|c| (c, rest)).ok_or_else(|| Problem::new("22023", "invalid Unicode code point"))
}
