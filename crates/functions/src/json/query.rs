//! What is in a JSON value: parts by key, index and path, kinds, containment.

use cofferdam_arena::collections::Vec;
use cofferdam_types::json::Unescaped;
use cofferdam_types::{Decimal, Value};

use super::scan::{Kind, Member, Members, element, field, inside, is_text, step};
use crate::args::{
    Answer, WRITTEN, array, give, give_bool, give_count, give_text, int, text, text_of, value,
};
use crate::context::{Context, Output, Problem, Sink};
use crate::signature::params::{INT4, JSON, JSONB, TEXT, TEXTS};
use crate::signature::{Function, function, results};

pub(crate) const FUNCTIONS: &[Function] = &[
    function("json_array_length", &[JSON], results::INT4, json_length, "number of elements"),
    function("json_extract_path", &[JSON, TEXT], results::JSON, extract_path, "the value at a path")
        .variadic(),
    function(
        "json_extract_path_text",
        &[JSON, TEXT],
        results::TEXT,
        extract_path_text,
        "the value at a path, as text",
    )
    .variadic(),
    function(
        "json_typeof",
        &[JSON],
        results::TEXT,
        type_name,
        "`object`, `array`, `string`, `number`, `boolean` or `null`",
    ),
    function("jsonb_array_length", &[JSONB], results::INT4, jsonb_length, "number of elements"),
    function(
        "jsonb_contains",
        &[JSONB, JSONB],
        results::BOOL,
        contains,
        "whether the first has all that the second has",
    ),
    function("jsonb_exists", &[JSONB, TEXT], results::BOOL, exists, "whether there is such a key or element"),
    function("jsonb_extract_path", &[JSONB, TEXT], results::JSONB, extract_path, "the value at a path")
        .variadic(),
    function(
        "jsonb_extract_path_text",
        &[JSONB, TEXT],
        results::TEXT,
        extract_path_text,
        "the value at a path, as text",
    )
    .variadic(),
    function(
        "jsonb_typeof",
        &[JSONB],
        results::TEXT,
        type_name,
        "`object`, `array`, `string`, `number`, `boolean` or `null`",
    ),
];

pub(crate) const OPERATORS: &[Function] = &[
    function("->", &[JSON, TEXT], results::JSON, get_field, "the value of a key"),
    function(
        "->",
        &[JSON, INT4],
        results::JSON,
        get_element,
        "an element, from 0, or from the end for negative numbers",
    ),
    function("->", &[JSONB, TEXT], results::JSONB, get_field, "the value of a key"),
    function(
        "->",
        &[JSONB, INT4],
        results::JSONB,
        get_element,
        "an element, from 0, or from the end for negative numbers",
    ),
    function("->>", &[JSON, TEXT], results::TEXT, get_field_text, "the value of a key, as text"),
    function("->>", &[JSON, INT4], results::TEXT, get_element_text, "an element, as text"),
    function("->>", &[JSONB, TEXT], results::TEXT, get_field_text, "the value of a key, as text"),
    function("->>", &[JSONB, INT4], results::TEXT, get_element_text, "an element, as text"),
    function("#>", &[JSON, TEXTS], results::JSON, get_path, "the value at a path"),
    function("#>", &[JSONB, TEXTS], results::JSONB, get_path, "the value at a path"),
    function("#>>", &[JSON, TEXTS], results::TEXT, get_path_text, "the value at a path, as text"),
    function("#>>", &[JSONB, TEXTS], results::TEXT, get_path_text, "the value at a path, as text"),
    function("@>", &[JSONB, JSONB], results::BOOL, contains, "whether the first has all that the second has"),
    function(
        "<@",
        &[JSONB, JSONB],
        results::BOOL,
        is_contained,
        "whether the second has all that the first has",
    ),
    function("?", &[JSONB, TEXT], results::BOOL, exists, "whether there is such a key or element"),
    function(
        "?|",
        &[JSONB, TEXTS],
        results::BOOL,
        exists_any,
        "whether there is one of these keys or elements",
    ),
    function(
        "?&",
        &[JSONB, TEXTS],
        results::BOOL,
        exists_all,
        "whether there are all of these keys or elements",
    ),
];

/// A part of an argument as JSON of the same type, or NULL.
fn give_part<'v>(args: &[Value<'v>], part: Option<&'v str>) -> Answer<'v> {
    give(match (part, value(args, 0)) {
        (None, _) => Value::Null,
        (Some(part), Value::Jsonb(_)) => Value::Jsonb(part),
        (Some(part), _) => Value::Json(part),
    })
}

/// A part as text: strings without quotes and escapes; NULL for null.
pub(crate) fn give_part_text<'v>(part: Option<&'v str>, sink: &mut dyn Sink) -> Answer<'v> {
    let Some(part) = part else { return Ok(Output::NULL) };
    match Kind::of(part) {
        Kind::Null => Ok(Output::NULL),
        Kind::String => {
            let raw = inside(part);
            if !raw.contains('\\') {
                return give_text(raw);
            }
            write_unescaped(raw, sink)?;
            WRITTEN
        }
        _ => give_text(part),
    }
}

/// Appends the characters of a string.
pub(crate) fn write_unescaped(raw: &str, sink: &mut dyn Sink) -> Result<(), Problem> {
    for c in Unescaped(raw) {
        if c == '\0' {
            return Err(Problem::new("22P05", "unsupported Unicode escape sequence"));
        }
        sink.append(c.encode_utf8(&mut [0; 4]).as_bytes())?;
    }
    Ok(())
}

fn value_of(member: Option<Member<'_>>) -> Option<&str> {
    member.map(|member| member.value)
}

fn get_field<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_part(args, value_of(field(text(args, 0), text(args, 1))))
}

fn get_field_text<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    give_part_text(value_of(field(text(args, 0), text(args, 1))), cx.sink)
}

/// The element that the second argument counts; a scalar of `jsonb` is the one element of an array.
fn element_of<'v>(args: &[Value<'v>]) -> Option<&'v str> {
    let (json, index) = (text(args, 0), int(args, 1));
    let is_scalar = matches!(value(args, 0), Value::Jsonb(_)) && !Kind::of(json).is_container();
    match is_scalar {
        true => Some(json).filter(|_| matches!(index, 0 | -1)),
        false => value_of(element(json, index)),
    }
}

fn get_element<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_part(args, element_of(args))
}

fn get_element_text<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    give_part_text(element_of(args), cx.sink)
}

/// Follows a path; a step that is NULL leads nowhere.
fn follow<'v, 'p>(json: &'v str, mut path: impl Iterator<Item = Value<'p>>) -> Option<&'v str> {
    path.try_fold(json.trim_ascii(), |value, key| value_of(step(value, text_of(key)?)))
}

fn at_path<'v>(args: &[Value<'v>]) -> Option<&'v str> {
    follow(text(args, 0), array(args, 1)?.iter())
}

fn get_path<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_part(args, at_path(args))
}

fn get_path_text<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    give_part_text(at_path(args), cx.sink)
}

fn extract_path<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_part(args, follow(text(args, 0), args.iter().skip(1).copied()))
}

fn extract_path_text<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    give_part_text(follow(text(args, 0), args.iter().skip(1).copied()), cx.sink)
}

fn type_name<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_text(Kind::of(text(args, 0)).name())
}

fn json_length<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    match Kind::of(text(args, 0)) {
        Kind::Array => give_count(Members::of(text(args, 0)).count()),
        Kind::Object => Err(Problem::new("22023", "cannot get array length of a non-array")),
        _ => Err(Problem::new("22023", "cannot get array length of a scalar")),
    }
}

fn jsonb_length<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    json_length(args, cx)
}

/// Whether a value has such a key, such a string as element, or is such a string.
fn has(json: &str, key: &str) -> bool {
    let is_it = |value: &str| Kind::of(value) == Kind::String && is_text(inside(value), key);
    match Kind::of(json) {
        Kind::Object => Members::of(json).any(|member| is_text(member.key, key)),
        Kind::Array => Members::of(json).any(|member| is_it(member.value)),
        _ => is_it(json),
    }
}

fn exists<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_bool(has(text(args, 0), text(args, 1)))
}

fn exists_any<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let keys = array(args, 1).into_iter().flat_map(|keys| keys.iter());
    give_bool(keys.filter_map(text_of).any(|key| has(text(args, 0), key)))
}

fn exists_all<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let keys = array(args, 1).into_iter().flat_map(|keys| keys.iter());
    give_bool(keys.filter_map(text_of).all(|key| has(text(args, 0), key)))
}

/// Whether two values that are no containers are equal.
fn is_same_scalar(a: &str, b: &str) -> bool {
    match (Kind::of(a), Kind::of(b)) {
        (Kind::Number, Kind::Number) => {
            // 1.0 is 1; numbers in normal form are decimals.
            a == b
                || match (Decimal::parse(a.as_bytes()), Decimal::parse(b.as_bytes())) {
                    (Ok(a), Ok(b)) => a == b,
                    _ => false,
                }
        }
        (kind, other) if kind == other && !kind.is_container() => a == b,
        _ => false,
    }
}

/// A containment that is being looked at: whether `all` has what `part` has.
#[derive(Clone, Copy)]
struct Frame<'v> {
    all: &'v str,
    /// What of the part has not been found yet.
    wanted: Members<'v>,
    is_object: bool,
    /// In arrays: the container that is sought, and what of `all` has not been tried for it.
    sought: Option<&'v str>,
    tried: Members<'v>,
}

impl<'v> Frame<'v> {
    fn new(all: &'v str, part: &'v str) -> Frame<'v> {
        let is_object = Kind::of(part) == Kind::Object;
        Frame { all, wanted: Members::of(part), is_object, sought: None, tried: Members::of(all) }
    }

    /// Goes on until a pair of containers must be looked at, or the answer is known.
    fn next(&mut self) -> Step<'v> {
        if let Some(part) = self.sought {
            return self.try_next(part);
        }
        while let Some(member) = self.wanted.next() {
            let kind = Kind::of(member.value);
            if self.is_object {
                // Keys of the normal form are escaped alike.
                let mut others = Members::of(self.all);
                let Some(other) = others.find(|other| other.key == member.key) else {
                    return Step::Known(false);
                };
                if kind.is_container() {
                    if Kind::of(other.value) != kind {
                        return Step::Known(false);
                    }
                    return Step::Look(other.value, member.value);
                }
                if !is_same_scalar(other.value, member.value) {
                    return Step::Known(false);
                }
            } else if kind.is_container() {
                self.sought = Some(member.value);
                self.tried = Members::of(self.all);
                return self.try_next(member.value);
            } else if !Members::of(self.all).any(|other| is_same_scalar(other.value, member.value)) {
                return Step::Known(false);
            }
        }
        Step::Known(true)
    }

    /// The next element that might have what is sought.
    fn try_next(&mut self, part: &'v str) -> Step<'v> {
        let kind = Kind::of(part);
        match self.tried.find(|other| Kind::of(other.value) == kind) {
            Some(other) => Step::Look(other.value, part),
            None => Step::Known(false),
        }
    }

    /// Takes the answer of a pair in.
    fn take(&mut self, found: bool) -> Option<bool> {
        match (self.sought.is_some(), found) {
            (true, true) => self.sought = None,
            (true, false) | (false, true) => {}
            (false, false) => return Some(false),
        }
        None
    }
}

enum Step<'v> {
    Known(bool),
    Look(&'v str, &'v str),
}

/// Whether `all` has all that `part` has.
fn has_all(all: &str, part: &str, cx: &mut Context<'_>) -> Result<bool, Problem> {
    match (Kind::of(all), Kind::of(part)) {
        (Kind::Array, kind) if !kind.is_container() => {
            return Ok(Members::of(all).any(|member| is_same_scalar(member.value, part)));
        }
        (a, b) if a != b => return Ok(false),
        (kind, _) if !kind.is_container() => return Ok(is_same_scalar(all, part)),
        _ => {}
    }
    let scope = cx.scratch.scope();
    let mut stack = Vec::new_in(&scope);
    stack.push(Frame::new(all, part))?;
    let mut answer = None;
    let mut steps = 0u32;
    while let Some(frame) = stack.last_mut() {
        steps = steps.wrapping_add(1);
        if steps.is_multiple_of(4096) && (cx.is_cancelled)() {
            return Err(Problem::Cancelled);
        }
        if let Some(known) = answer.take().and_then(|found| frame.take(found)) {
            answer = Some(known);
            stack.pop();
            continue;
        }
        match frame.next() {
            Step::Known(known) => {
                answer = Some(known);
                stack.pop();
            }
            Step::Look(all, part) => stack.push(Frame::new(all, part))?,
        }
    }
    Ok(answer.unwrap_or(false))
}

fn contains<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    give_bool(has_all(text(args, 0), text(args, 1), cx)?)
}

fn is_contained<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    give_bool(has_all(text(args, 1), text(args, 0), cx)?)
}
