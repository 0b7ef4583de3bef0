//! Functions of texts. Characters are Unicode scalar values; positions count them from 1.
//!
//! What is a part of an argument is given as such, without a copy.

mod encode;
mod format;
mod quote;
mod split;

use cofferdam_types::Value;

use crate::args::{Answer, WRITTEN, bytes, give, give_bool, give_count, give_text, int, text, value};
use crate::context::{Context, Problem, RESULT_BYTES_MAX};
use crate::output::write_value;
use crate::signature::params::{ANY, BYTEA, CHAR, INT4, INT8, TEXT};
use crate::signature::{Function, function, results};

pub(crate) use encode::FUNCTIONS as ENCODE;
pub(crate) use format::FUNCTIONS as FORMAT;
pub(crate) use quote::FUNCTIONS as QUOTE;
pub(crate) use split::{FUNCTIONS as SPLIT, Parts};

pub(crate) const FUNCTIONS: &[Function] = &[
    function(
        "ascii",
        &[TEXT],
        results::INT4,
        ascii,
        "code point of the first character, 0 for an empty text",
    ),
    function("bit_length", &[TEXT], results::INT4, bit_length, "number of bits"),
    function(
        "btrim",
        &[TEXT, TEXT],
        results::TEXT,
        trim_both,
        "without these characters (default: blanks) at both ends",
    )
    .optional(1),
    function("char_length", &[TEXT], results::INT4, length, "number of characters"),
    function(
        "char_length",
        &[CHAR],
        results::INT4,
        length_of_char,
        "number of characters without trailing blanks",
    ),
    function("character_length", &[TEXT], results::INT4, length, "number of characters"),
    function(
        "character_length",
        &[CHAR],
        results::INT4,
        length_of_char,
        "number of characters without trailing blanks",
    ),
    function("chr", &[INT4], results::TEXT, chr, "the character of a code point"),
    function(
        "concat",
        &[ANY],
        results::TEXT,
        concat,
        "all arguments as texts behind one another, NULL left out",
    )
    .variadic()
    .lenient()
    .stable(),
    function(
        "concat_ws",
        &[TEXT, ANY],
        results::TEXT,
        concat_ws,
        "all arguments but the first, which separates them; NULL left out",
    )
    .variadic()
    .lenient()
    .stable(),
    function(
        "initcap",
        &[TEXT],
        results::TEXT,
        initcap,
        "first letters of words in upper case, the others in lower case",
    ),
    function(
        "left",
        &[TEXT, INT4],
        results::TEXT,
        left,
        "the first characters; of a negative number, all but the last",
    ),
    function("length", &[TEXT], results::INT4, length, "number of characters"),
    function(
        "length",
        &[CHAR],
        results::INT4,
        length_of_char,
        "number of characters without trailing blanks",
    ),
    function("lower", &[TEXT], results::TEXT, lower, "in lower case"),
    function(
        "lpad",
        &[TEXT, INT4, TEXT],
        results::TEXT,
        lpad,
        "filled on the left up to a length, or cut on the right",
    )
    .optional(1),
    function(
        "ltrim",
        &[TEXT, TEXT],
        results::TEXT,
        trim_left,
        "without these characters (default: blanks) at the start",
    )
    .optional(1),
    function("octet_length", &[TEXT], results::INT4, octet_length, "number of bytes"),
    function("octet_length", &[CHAR], results::INT4, octet_length, "number of bytes, trailing blanks too"),
    function(
        "overlay",
        &[TEXT, TEXT, INT4, INT4],
        results::TEXT,
        overlay,
        "with another text in place of the characters from a position on",
    )
    .optional(1),
    function(
        "position",
        &[TEXT, TEXT],
        results::INT4,
        strpos,
        "where the second text first stands in the first, or 0: `position(b in a)`",
    ),
    function("repeat", &[TEXT, INT4], results::TEXT, repeat, "so many times behind one another"),
    function(
        "replace",
        &[TEXT, TEXT, TEXT],
        results::TEXT,
        replace,
        "with each occurrence of the second replaced by the third",
    ),
    function("reverse", &[TEXT], results::TEXT, reverse, "characters from last to first"),
    function(
        "right",
        &[TEXT, INT4],
        results::TEXT,
        right,
        "the last characters; of a negative number, all but the first",
    ),
    function(
        "rpad",
        &[TEXT, INT4, TEXT],
        results::TEXT,
        rpad,
        "filled on the right up to a length, or cut there",
    )
    .optional(1),
    function(
        "rtrim",
        &[TEXT, TEXT],
        results::TEXT,
        trim_right,
        "without these characters (default: blanks) at the end",
    )
    .optional(1),
    function(
        "starts_with",
        &[TEXT, TEXT],
        results::BOOL,
        starts_with,
        "whether the first begins with the second",
    ),
    function(
        "strpos",
        &[TEXT, TEXT],
        results::INT4,
        strpos,
        "where the second first stands in the first, or 0",
    ),
    function(
        "substr",
        &[TEXT, INT4, INT4],
        results::TEXT,
        substring,
        "characters from a position on, at most so many",
    )
    .optional(1),
    function(
        "substring",
        &[TEXT, INT4, INT4],
        results::TEXT,
        substring,
        "characters from a position on, at most so many",
    )
    .optional(1),
    function("text", &[CHAR], results::TEXT, text_of_char, "without trailing blanks"),
    function("to_hex", &[INT4], results::TEXT, to_hex_32, "hexadecimal digits of the bits"),
    function("to_hex", &[INT8], results::TEXT, to_hex_64, "hexadecimal digits of the bits"),
    function(
        "translate",
        &[TEXT, TEXT, TEXT],
        results::TEXT,
        translate,
        "each character of the second replaced by that at its place in the third, or left out",
    ),
    function("upper", &[TEXT], results::TEXT, upper, "in upper case"),
];

pub(crate) const BYTES: &[Function] = &[
    function("bit_count", &[BYTEA], results::INT8, bit_count, "number of bits that are set"),
    function("bit_length", &[BYTEA], results::INT4, bit_length, "number of bits"),
    function("btrim", &[BYTEA, BYTEA], results::BYTEA, trim_bytes_both, "without these bytes at both ends"),
    function(
        "get_bit",
        &[BYTEA, INT8],
        results::INT4,
        get_bit,
        "a bit, counted from 0 at the low end of the first byte",
    ),
    function("get_byte", &[BYTEA, INT4], results::INT4, get_byte, "a byte, counted from 0"),
    function("length", &[BYTEA], results::INT4, octet_length, "number of bytes"),
    function("ltrim", &[BYTEA, BYTEA], results::BYTEA, trim_bytes_left, "without these bytes at the start"),
    function("octet_length", &[BYTEA], results::INT4, octet_length, "number of bytes"),
    function(
        "overlay",
        &[BYTEA, BYTEA, INT4, INT4],
        results::BYTEA,
        overlay_bytes,
        "with other bytes in place of those from a position on",
    )
    .optional(1),
    function(
        "position",
        &[BYTEA, BYTEA],
        results::INT4,
        position_of_bytes,
        "where the second first stands in the first, or 0",
    ),
    function("rtrim", &[BYTEA, BYTEA], results::BYTEA, trim_bytes_right, "without these bytes at the end"),
    function("set_bit", &[BYTEA, INT8, INT4], results::BYTEA, set_bit, "with a bit set to 0 or 1"),
    function("set_byte", &[BYTEA, INT4, INT4], results::BYTEA, set_byte, "with a byte set"),
    function(
        "substr",
        &[BYTEA, INT4, INT4],
        results::BYTEA,
        substring_bytes,
        "bytes from a position on, at most so many",
    )
    .optional(1),
    function(
        "substring",
        &[BYTEA, INT4, INT4],
        results::BYTEA,
        substring_bytes,
        "bytes from a position on, at most so many",
    )
    .optional(1),
];

pub(crate) const OPERATORS: &[Function] = &[
    function("^@", &[TEXT, TEXT], results::BOOL, starts_with, "whether the first begins with the second"),
    function("||", &[TEXT, TEXT], results::TEXT, join, "one text behind the other"),
    function(
        "||",
        &[TEXT, crate::signature::params::ANYNONARRAY],
        results::TEXT,
        join_any,
        "a text and another value as text",
    )
    .stable(),
    function(
        "||",
        &[crate::signature::params::ANYNONARRAY, TEXT],
        results::TEXT,
        join_any,
        "another value as text and a text",
    )
    .stable(),
    function("||", &[BYTEA, BYTEA], results::BYTEA, join_bytes, "one byte string behind the other"),
];

fn ascii<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let code = text(args, 0).chars().next().map_or(0, u32::from);
    give(Value::Integer(code as i32))
}

fn bit_length<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_count(bytes(args, 0).len().saturating_mul(8))
}

fn octet_length<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_count(bytes(args, 0).len())
}

/// The number of characters.
pub(crate) fn count_chars(text: &str) -> usize {
    text.chars().count()
}

fn length<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_count(count_chars(text(args, 0)))
}

fn length_of_char<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_count(count_chars(text(args, 0).trim_end_matches(' ')))
}

fn text_of_char<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_text(text(args, 0).trim_end_matches(' '))
}

/// Characters to trim: those of the second argument, or blanks.
fn trimmed<'v>(args: &[Value<'v>], at_start: bool, at_end: bool) -> Answer<'v> {
    let set = if args.len() > 1 { text(args, 1) } else { " " };
    let mut rest = text(args, 0);
    let is_one_of = |c: char| set.contains(c);
    if at_start {
        rest = rest.trim_start_matches(is_one_of);
    }
    if at_end {
        rest = rest.trim_end_matches(is_one_of);
    }
    give_text(rest)
}

fn trim_both<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    trimmed(args, true, true)
}

fn trim_left<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    trimmed(args, true, false)
}

fn trim_right<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    trimmed(args, false, true)
}

fn trimmed_bytes<'v>(args: &[Value<'v>], at_start: bool, at_end: bool) -> Answer<'v> {
    let set = bytes(args, 1);
    let mut rest = bytes(args, 0);
    while let [first, tail @ ..] = rest
        && at_start
        && set.contains(first)
    {
        rest = tail;
    }
    while let [head @ .., last] = rest
        && at_end
        && set.contains(last)
    {
        rest = head;
    }
    give(Value::Bytea(rest))
}

fn trim_bytes_both<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    trimmed_bytes(args, true, true)
}

fn trim_bytes_left<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    trimmed_bytes(args, true, false)
}

fn trim_bytes_right<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    trimmed_bytes(args, false, true)
}

fn chr<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let code = int(args, 0);
    let refuse = |message| Err(Problem::count("54000", message, code));
    let found = match u32::try_from(code) {
        Err(_) => return Err(Problem::new("22023", "character number must be positive")),
        Ok(0) => return refuse("null character not permitted"),
        Ok(code @ 0..=0x10_ffff) => char::from_u32(code),
        Ok(_) => return refuse("requested character too large for encoding: #"),
    };
    let Some(found) = found else { return refuse("requested character not valid for encoding: #") };
    append_char(found, cx)?;
    WRITTEN
}

pub(crate) fn append_char(c: char, cx: &mut Context<'_>) -> Result<(), Problem> {
    Ok(cx.sink.append(c.encode_utf8(&mut [0; 4]).as_bytes())?)
}

fn join<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    concat(args, cx)
}

/// Texts as casts make them, which is not always how they are shown.
fn join_any<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    for arg in args {
        match arg {
            Value::Boolean(value) => cx.sink.append(if *value { b"true" } else { b"false" })?,
            Value::Char(text) => cx.sink.append(text.trim_end_matches(' ').as_bytes())?,
            other => write_value(*other, cx)?,
        }
    }
    WRITTEN
}

fn join_bytes<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let (left, right) = (bytes(args, 0), bytes(args, 1));
    cx.sink.reserve(left.len() + right.len())?;
    cx.sink.append(left)?;
    cx.sink.append(right)?;
    WRITTEN
}

fn concat<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    for arg in args {
        write_value(*arg, cx)?;
    }
    WRITTEN
}

fn concat_ws<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    if value(args, 0).is_null() {
        return give(Value::Null);
    }
    let mut is_first = true;
    for arg in args.iter().skip(1).filter(|arg| !arg.is_null()) {
        if !is_first {
            cx.sink.append(text(args, 0).as_bytes())?;
        }
        is_first = false;
        write_value(*arg, cx)?;
    }
    WRITTEN
}

/// The other case of a character, where it is one character too.
fn single(mut mapped: impl Iterator<Item = char>, original: char) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(only), None) => only,
        _ => original,
    }
}

pub(crate) fn lower_char(c: char) -> char {
    if c.is_ascii() { c.to_ascii_lowercase() } else { single(c.to_lowercase(), c) }
}

pub(crate) fn upper_char(c: char) -> char {
    if c.is_ascii() { c.to_ascii_uppercase() } else { single(c.to_uppercase(), c) }
}

/// Appends each character as `map` makes it.
fn mapped<'v>(text: &str, cx: &mut Context<'_>, mut map: impl FnMut(char) -> char) -> Answer<'v> {
    cx.sink.reserve(text.len())?;
    for c in text.chars() {
        append_char(map(c), cx)?;
    }
    WRITTEN
}

fn lower<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    mapped(text(args, 0), cx, lower_char)
}

fn upper<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    mapped(text(args, 0), cx, upper_char)
}

fn initcap<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let mut is_inside = false;
    mapped(text(args, 0), cx, |c| {
        let made = if is_inside { lower_char(c) } else { upper_char(c) };
        is_inside = c.is_alphanumeric();
        made
    })
}

fn reverse<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let text = text(args, 0);
    cx.sink.reserve(text.len())?;
    for c in text.chars().rev() {
        append_char(c, cx)?;
    }
    WRITTEN
}

/// The byte at which the character number `count` (from 0) begins, or the end.
pub(crate) fn offset_of(text: &str, count: usize) -> usize {
    match text.is_ascii() {
        true => count.min(text.len()),
        false => text.char_indices().nth(count).map_or(text.len(), |(at, _)| at),
    }
}

/// The byte behind which `count` characters stand, or the start.
fn offset_from_end(text: &str, count: usize) -> usize {
    match count {
        0 => text.len(),
        _ => text.char_indices().rev().nth(count - 1).map_or(0, |(at, _)| at),
    }
}

fn left<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let (text, count) = (text(args, 0), int(args, 1));
    let distance = count.unsigned_abs() as usize;
    let end = if count >= 0 { offset_of(text, distance) } else { offset_from_end(text, distance) };
    give_text(text.get(..end).unwrap_or(""))
}

fn right<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let (text, count) = (text(args, 0), int(args, 1));
    let distance = count.unsigned_abs() as usize;
    let start = if count >= 0 { offset_from_end(text, distance) } else { offset_of(text, distance) };
    give_text(text.get(start..).unwrap_or(""))
}

/// Where `substring` starts (from 0) and ends, for a start from 1 that may lie before the text.
fn slice_bounds(args: &[Value<'_>]) -> Result<(usize, Option<usize>), Problem> {
    let start = int(args, 1);
    let end = match args.len() {
        0..=2 => None,
        _ => {
            let count = int(args, 2);
            if count < 0 {
                return Err(Problem::new("22011", "negative substring length not allowed"));
            }
            Some(start.saturating_add(count).saturating_sub(1).max(0) as usize)
        }
    };
    Ok((start.saturating_sub(1).max(0) as usize, end))
}

fn substring<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let text = text(args, 0);
    let (start, end) = slice_bounds(args)?;
    let rest = text.get(offset_of(text, start)..).unwrap_or("");
    let count = end.map_or(usize::MAX, |end| end.saturating_sub(start));
    give_text(if count == usize::MAX { rest } else { rest.get(..offset_of(rest, count)).unwrap_or("") })
}

fn substring_bytes<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let bytes = bytes(args, 0);
    let (start, end) = slice_bounds(args)?;
    let end = end.unwrap_or(bytes.len()).min(bytes.len());
    give(Value::Bytea(bytes.get(start.min(end)..end).unwrap_or(&[])))
}

/// Where an overlaid part starts and ends, from 0.
fn overlaid(args: &[Value<'_>], default_count: usize) -> Result<(usize, usize), Problem> {
    let start = int(args, 2);
    if start <= 0 {
        return Err(Problem::new("22011", "negative substring length not allowed"));
    }
    let count = if args.len() > 3 { int(args, 3) } else { default_count as i64 };
    let end = start.checked_add(count).filter(|end| *end <= i64::from(i32::MAX));
    let end = end.ok_or_else(|| Problem::new("22003", "integer out of range"))?;
    Ok(((start - 1) as usize, (end - 1).max(0) as usize))
}

fn overlay<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let (text, new) = (text(args, 0), text(args, 1));
    let (start, end) = overlaid(args, count_chars(new))?;
    let head = text.get(..offset_of(text, start)).unwrap_or("");
    let tail = text.get(offset_of(text, end)..).unwrap_or("");
    for part in [head, new, tail] {
        cx.sink.append(part.as_bytes())?;
    }
    WRITTEN
}

fn overlay_bytes<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let (old, new) = (bytes(args, 0), bytes(args, 1));
    let (start, end) = overlaid(args, new.len())?;
    for part in [old.get(..start).unwrap_or(old), new, old.get(end..).unwrap_or(&[])] {
        cx.sink.append(part)?;
    }
    WRITTEN
}

fn strpos<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let (text, sought) = (text(args, 0), text(args, 1));
    let at = memchr::memmem::find(text.as_bytes(), sought.as_bytes());
    give_count(at.map_or(0, |at| count_chars(text.get(..at).unwrap_or("")) + 1))
}

fn position_of_bytes<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_count(memchr::memmem::find(bytes(args, 0), bytes(args, 1)).map_or(0, |at| at + 1))
}

fn starts_with<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_bool(text(args, 0).starts_with(text(args, 1)))
}

fn repeat<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let (text, count) = (text(args, 0), int(args, 1).max(0) as usize);
    let bytes = text.len().checked_mul(count).filter(|bytes| *bytes <= RESULT_BYTES_MAX);
    let bytes = bytes.ok_or_else(Problem::too_long)?;
    cx.sink.reserve(bytes)?;
    for _ in 0..if bytes == 0 { 0 } else { count } {
        cx.sink.append(text.as_bytes())?;
    }
    WRITTEN
}

fn replace<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let (text, old, new) = (text(args, 0), text(args, 1), text(args, 2));
    if old.is_empty() {
        return give_text(text);
    }
    let mut done = 0;
    for at in memchr::memmem::find_iter(text.as_bytes(), old.as_bytes()) {
        cx.sink.append(text.as_bytes().get(done..at).unwrap_or(&[]))?;
        cx.sink.append(new.as_bytes())?;
        done = at + old.len();
    }
    if done == 0 {
        return give_text(text);
    }
    cx.sink.append(text.as_bytes().get(done..).unwrap_or(&[]))?;
    WRITTEN
}

fn translate<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let (old, new) = (text(args, 1), text(args, 2));
    for c in text(args, 0).chars() {
        match old.chars().position(|known| known == c) {
            None => append_char(c, cx)?,
            Some(place) => {
                if let Some(replacement) = new.chars().nth(place) {
                    append_char(replacement, cx)?;
                }
            }
        }
    }
    WRITTEN
}

/// The text cut to the length, or the number of characters that are missing.
fn padded<'v>(args: &[Value<'v>]) -> Result<(&'v str, usize, &'v str), Problem> {
    let (text, wanted) = (text(args, 0), int(args, 1).max(0) as usize);
    let fill = if args.len() > 2 { self::text(args, 2) } else { " " };
    let cut = text.get(..offset_of(text, wanted)).unwrap_or("");
    let missing = if fill.is_empty() { 0 } else { wanted - count_chars(cut) };
    let widest = fill.chars().map(char::len_utf8).max().unwrap_or(1);
    let bytes = missing.saturating_mul(widest).saturating_add(cut.len());
    if bytes > RESULT_BYTES_MAX {
        return Err(Problem::too_long());
    }
    Ok((cut, missing, fill))
}

fn fill(count: usize, with: &str, cx: &mut Context<'_>) -> Result<(), Problem> {
    cx.sink.reserve(count)?;
    for c in with.chars().cycle().take(count) {
        append_char(c, cx)?;
    }
    Ok(())
}

fn lpad<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let (text, missing, with) = padded(args)?;
    fill(missing, with, cx)?;
    cx.sink.append(text.as_bytes())?;
    WRITTEN
}

fn rpad<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let (text, missing, with) = padded(args)?;
    cx.sink.append(text.as_bytes())?;
    fill(missing, with, cx)?;
    WRITTEN
}

fn to_hex_32<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    crate::output::write(cx, format_args!("{:x}", int(args, 0) as i32))?;
    WRITTEN
}

fn to_hex_64<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    crate::output::write(cx, format_args!("{:x}", int(args, 0)))?;
    WRITTEN
}

fn bit_count<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give(Value::BigInt(bytes(args, 0).iter().map(|byte| i64::from(byte.count_ones())).sum()))
}

/// The byte that an index names.
fn byte_at(bytes: &[u8], index: i64, per_byte: i64) -> Result<(usize, u8), Problem> {
    let at = usize::try_from(index.div_euclid(per_byte)).ok();
    at.and_then(|at| bytes.get(at).map(|byte| (at, *byte))).ok_or_else(|| {
        // The last valid index is told where there is one.
        let last = bytes.len() as i64 * per_byte - 1;
        Problem::with("2202E", "index % out of valid range, 0..#", short_number(index).as_str(), last)
    })
}

/// A number as text.
fn short_number(number: i64) -> cofferdam_types::TextBuffer {
    let mut text = cofferdam_types::TextBuffer::new();
    // A buffer has room for any number.
    let _ = cofferdam_types::number::write_i64(number, &mut text);
    text
}

fn get_byte<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let (_, byte) = byte_at(bytes(args, 0), int(args, 1), 1)?;
    give(Value::Integer(byte.into()))
}

fn get_bit<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let index = int(args, 1);
    let (_, byte) = byte_at(bytes(args, 0), index, 8)?;
    give(Value::Integer((byte >> index.rem_euclid(8) & 1).into()))
}

/// The bytes with one of them changed.
fn with_byte(bytes: &[u8], at: usize, byte: u8, cx: &mut Context<'_>) -> Answer<'static> {
    cx.sink.reserve(bytes.len())?;
    cx.sink.append(bytes.get(..at).unwrap_or(&[]))?;
    cx.sink.append(&[byte])?;
    cx.sink.append(bytes.get(at + 1..).unwrap_or(&[]))?;
    WRITTEN
}

fn set_byte<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let (at, _) = byte_at(bytes(args, 0), int(args, 1), 1)?;
    with_byte(bytes(args, 0), at, int(args, 2) as u8, cx)
}

fn set_bit<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let index = int(args, 1);
    let (at, byte) = byte_at(bytes(args, 0), index, 8)?;
    let mask = 1 << index.rem_euclid(8);
    let byte = match int(args, 2) {
        0 => byte & !mask,
        1 => byte | mask,
        _ => return Err(Problem::new("22023", "new bit must be 0 or 1")),
    };
    with_byte(bytes(args, 0), at, byte, cx)
}
