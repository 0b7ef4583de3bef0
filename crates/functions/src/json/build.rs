//! JSON of other values.

use core::fmt;

use cofferdam_types::json::Unescaped;
use cofferdam_types::{ArrayRef, Session, Value, cast};

use super::write_normalized;
use crate::args::{Answer, WRITTEN, array, boolean, text, value};
use crate::context::{Context, Problem, Sink, Writer};
use crate::signature::params::{ANY, ANYARRAY, ANYELEMENT, BOOL, JSON, JSONB, TEXTS};
use crate::signature::{Function, function, results};

pub(crate) const FUNCTIONS: &[Function] = &[
    function(
        "array_to_json",
        &[ANYARRAY, BOOL],
        results::JSON,
        array_to_json,
        "an array as JSON, each element on a line of its own if the second is true",
    )
    .optional(1)
    .stable(),
    function("json_build_array", &[ANY], results::JSON, build_array, "the arguments as an array")
        .variadic()
        .optional(1)
        .lenient()
        .stable(),
    function(
        "json_build_object",
        &[ANY],
        results::JSON,
        build_object,
        "the arguments as keys and values by turns",
    )
    .variadic()
    .optional(1)
    .lenient()
    .stable(),
    function(
        "json_object",
        &[TEXTS],
        results::JSON,
        object,
        "an array of keys and values by turns as an object of strings",
    ),
    function(
        "json_object",
        &[TEXTS, TEXTS],
        results::JSON,
        object_of_two,
        "keys and values as an object of strings",
    ),
    function("json_strip_nulls", &[JSON], results::JSON, strip_nulls, "without members that are null"),
    function("jsonb_build_array", &[ANY], results::JSONB, build_array_b, "the arguments as an array")
        .variadic()
        .optional(1)
        .lenient()
        .stable(),
    function(
        "jsonb_build_object",
        &[ANY],
        results::JSONB,
        build_object_b,
        "the arguments as keys and values by turns",
    )
    .variadic()
    .optional(1)
    .lenient()
    .stable(),
    function(
        "jsonb_object",
        &[TEXTS],
        results::JSONB,
        object_b,
        "an array of keys and values by turns as an object of strings",
    ),
    function(
        "jsonb_object",
        &[TEXTS, TEXTS],
        results::JSONB,
        object_of_two_b,
        "keys and values as an object of strings",
    ),
    function("jsonb_pretty", &[JSONB], results::TEXT, pretty, "each member on a line of its own, indented"),
    function("jsonb_strip_nulls", &[JSONB], results::JSONB, strip_nulls_b, "without members that are null"),
    function("to_json", &[ANYELEMENT], results::JSON, to_json, "any value as JSON").stable(),
    function("to_jsonb", &[ANYELEMENT], results::JSONB, to_jsonb, "any value as JSON").stable(),
];

/// Writes text as the inside of a string.
struct Escaping<'s> {
    sink: &'s mut dyn Sink,
}

impl Escaping<'_> {
    fn push(&mut self, text: &str) -> Result<(), Problem> {
        let needs_escape = |byte: u8| byte < b' ' || matches!(byte, b'"' | b'\\');
        let mut rest = text;
        while let Some(at) = rest.bytes().position(needs_escape) {
            let (plain, behind) = rest.split_at_checked(at).unwrap_or((rest, ""));
            self.sink.append(plain.as_bytes())?;
            match behind.as_bytes().first() {
                Some(b'"') => self.sink.append(b"\\\"")?,
                Some(b'\\') => self.sink.append(b"\\\\")?,
                Some(8) => self.sink.append(b"\\b")?,
                Some(12) => self.sink.append(b"\\f")?,
                Some(b'\n') => self.sink.append(b"\\n")?,
                Some(b'\r') => self.sink.append(b"\\r")?,
                Some(b'\t') => self.sink.append(b"\\t")?,
                Some(byte) => Writer::new(self.sink).format(format_args!("\\u{byte:04x}"))?,
                None => {}
            }
            rest = behind.get(1..).unwrap_or("");
        }
        Ok(self.sink.append(rest.as_bytes())?)
    }
}

/// Appends a text as a string.
pub(crate) fn write_string(text: &str, sink: &mut dyn Sink) -> Result<(), Problem> {
    sink.append(b"\"")?;
    Escaping { sink: &mut *sink }.push(text)?;
    Ok(sink.append(b"\"")?)
}

/// Collects what a value prints and writes it as a string; such values have no characters that need escapes but backslashes.
struct Quoted<'s> {
    inner: Escaping<'s>,
    problem: Option<Problem>,
}

impl fmt::Write for Quoted<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.inner.push(text).map_err(|problem| {
            self.problem = Some(problem);
            fmt::Error
        })
    }
}

fn write_quoted(value: Value<'_>, sink: &mut dyn Sink, session: &Session<'_>) -> Result<(), Problem> {
    sink.append(b"\"")?;
    let mut out = Quoted { inner: Escaping { sink: &mut *sink }, problem: None };
    if cast::write_text(value, session, &mut out).is_err() {
        return Err(out.problem.unwrap_or_else(Problem::too_long));
    }
    Ok(sink.append(b"\"")?)
}

/// A moment with a `T` between day and time, and minutes in its zone.
fn write_moment(value: Value<'_>, sink: &mut dyn Sink, session: &Session<'_>) -> Result<(), Problem> {
    use core::fmt::Write as _;
    let mut text = cofferdam_types::TextBuffer::new();
    // A moment fits the buffer.
    let _ = cast::write_text(value, session, &mut text);
    let mut out = cofferdam_types::TextBuffer::new();
    let (day, rest) = text.as_str().split_once(' ').unwrap_or((text.as_str(), ""));
    let (rest, era) = rest.strip_suffix(" BC").map_or((rest, ""), |rest| (rest, " BC"));
    let zone = rest.rfind(['+', '-']).and_then(|at| rest.get(at..));
    let minutes = if zone.is_some_and(|zone| zone.len() == 3) { ":00" } else { "" };
    let mark = if rest.is_empty() { "" } else { "T" };
    let _ = write!(out, "\"{day}{mark}{rest}{minutes}{era}\"");
    Ok(sink.append(out.as_bytes())?)
}

/// Appends a value that is no array.
fn write_scalar(value: Value<'_>, sink: &mut dyn Sink, session: &Session<'_>) -> Result<(), Problem> {
    match value {
        Value::Null => Ok(sink.append(b"null")?),
        Value::Boolean(value) => Ok(sink.append(if value { b"true" } else { b"false" })?),
        Value::Json(text) | Value::Jsonb(text) => Ok(sink.append(text.as_bytes())?),
        Value::Text(text) | Value::Char(text) => write_string(text, sink),
        Value::Double(number) if !number.is_finite() => write_quoted(value, sink, session),
        Value::Real(number) if !number.is_finite() => write_quoted(value, sink, session),
        Value::SmallInt(_)
        | Value::Integer(_)
        | Value::BigInt(_)
        | Value::Decimal(_)
        | Value::Double(_)
        | Value::Real(_) => Ok(Writer::new(sink).format(format_args!("{value}"))?),
        Value::Timestamp(_) | Value::TimestampTz(_) => write_moment(value, sink, session),
        other => write_quoted(other, sink, session),
    }
}

/// Appends any value.
pub(crate) fn write_json(
    value: Value<'_>,
    sink: &mut dyn Sink,
    session: &Session<'_>,
) -> Result<(), Problem> {
    match value {
        Value::Array(array) => write_array(array, false, sink, session),
        scalar => write_scalar(scalar, sink, session),
    }
}

fn write_array(
    array: ArrayRef<'_>,
    has_lines: bool,
    sink: &mut dyn Sink,
    session: &Session<'_>,
) -> Result<(), Problem> {
    sink.append(b"[")?;
    for (index, element) in array.iter().enumerate() {
        if index > 0 {
            sink.append(if has_lines { b",\n " } else { b"," })?;
        }
        write_scalar(element, sink, session)?;
    }
    Ok(sink.append(b"]")?)
}

fn array_to_json<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    if let Some(array) = array(args, 0) {
        write_array(array, boolean(args, 1), cx.sink, &cx.session.conversions)?;
    }
    WRITTEN
}

fn to_json<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    write_json(value(args, 0), cx.sink, &cx.session.conversions)?;
    WRITTEN
}

fn to_jsonb<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    write_normalized(cx, |sink, session| write_json(value(args, 0), sink, session))?;
    WRITTEN
}

fn write_arguments(args: &[Value<'_>], sink: &mut dyn Sink, session: &Session<'_>) -> Result<(), Problem> {
    sink.append(b"[")?;
    for (index, arg) in args.iter().enumerate() {
        if index > 0 {
            sink.append(b", ")?;
        }
        write_json(*arg, sink, session)?;
    }
    Ok(sink.append(b"]")?)
}

fn build_array<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    write_arguments(args, cx.sink, &cx.session.conversions)?;
    WRITTEN
}

fn build_array_b<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    write_normalized(cx, |sink, session| write_arguments(args, sink, session))?;
    WRITTEN
}

/// The texts of refusals, which differ between the two types.
struct Messages {
    odd: &'static str,
    hint: &'static str,
    null: &'static str,
}

const OF_JSON: Messages = Messages {
    odd: "argument list must have even number of elements",
    hint: "The arguments of json_build_object() must consist of alternating keys and values.",
    null: "argument # cannot be null",
};

const OF_JSONB: Messages = Messages {
    odd: "argument list must have even number of elements",
    hint: "The arguments of jsonb_build_object() must consist of alternating keys and values.",
    null: "argument #: key must not be null",
};

fn write_members(
    args: &[Value<'_>],
    messages: &Messages,
    sink: &mut dyn Sink,
    session: &Session<'_>,
) -> Result<(), Problem> {
    if args.len() % 2 == 1 {
        return Err(Problem::new("22023", messages.odd).hinted(messages.hint));
    }
    sink.append(b"{")?;
    for (index, pair) in args.chunks_exact(2).enumerate() {
        if index > 0 {
            sink.append(b", ")?;
        }
        match value(pair, 0) {
            Value::Null => {
                let problem = Problem::count("22023", messages.null, 2 * index as i64 + 1);
                return Err(problem.hinted("Object keys should be text."));
            }
            Value::Array(_) | Value::Json(_) | Value::Jsonb(_) => {
                return Err(Problem::new("22023", "key value must be scalar, not array, composite, or json"));
            }
            Value::Text(key) | Value::Char(key) => write_string(key, sink)?,
            // As casts to text show them.
            Value::Boolean(key) => write_string(if key { "true" } else { "false" }, sink)?,
            key => write_quoted(key, sink, session)?,
        }
        sink.append(b" : ")?;
        write_json(value(pair, 1), sink, session)?;
    }
    Ok(sink.append(b"}")?)
}

fn build_object<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    write_members(args, &OF_JSON, cx.sink, &cx.session.conversions)?;
    WRITTEN
}

fn build_object_b<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    write_normalized(cx, |sink, session| write_members(args, &OF_JSONB, sink, session))?;
    WRITTEN
}

/// Appends an object of keys and values that are texts.
fn write_texts<'p>(
    pairs: impl Iterator<Item = (Value<'p>, Value<'p>)>,
    sink: &mut dyn Sink,
) -> Result<(), Problem> {
    sink.append(b"{")?;
    for (index, (key, value)) in pairs.enumerate() {
        if index > 0 {
            sink.append(b", ")?;
        }
        let Some(key) = crate::args::text_of(key) else {
            return Err(Problem::new("22004", "null value not allowed for object key"));
        };
        write_string(key, sink)?;
        sink.append(b" : ")?;
        match crate::args::text_of(value) {
            Some(text) => write_string(text, sink)?,
            None => sink.append(b"null")?,
        }
    }
    Ok(sink.append(b"}")?)
}

fn write_turns(args: &[Value<'_>], sink: &mut dyn Sink) -> Result<(), Problem> {
    let Some(array) = array(args, 0) else { return Ok(()) };
    if array.len() % 2 == 1 {
        return Err(Problem::new("2202E", "array must have even number of elements"));
    }
    let mut elements = array.iter();
    write_texts(core::iter::from_fn(|| elements.next().zip(elements.next())), sink)
}

fn write_two(args: &[Value<'_>], sink: &mut dyn Sink) -> Result<(), Problem> {
    let (Some(keys), Some(values)) = (array(args, 0), array(args, 1)) else { return Ok(()) };
    if keys.len() != values.len() {
        return Err(Problem::new("2202E", "mismatched array dimensions"));
    }
    write_texts(keys.iter().zip(values.iter()), sink)
}

fn object<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    write_turns(args, cx.sink)?;
    WRITTEN
}

fn object_of_two<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    write_two(args, cx.sink)?;
    WRITTEN
}

fn object_b<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    write_normalized(cx, |sink, _| write_turns(args, sink))?;
    WRITTEN
}

fn object_of_two_b<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    write_normalized(cx, |sink, _| write_two(args, sink))?;
    WRITTEN
}

/// What stands in a JSON text besides white space: brackets, commas, colons, and scalars as they are.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    core::iter::from_fn(move || {
        rest = rest.trim_ascii_start();
        let len = match rest.as_bytes().first()? {
            b'{' | b'}' | b'[' | b']' | b',' | b':' => 1,
            _ => super::scan::scalar_len(rest),
        };
        let (token, behind) = rest.split_at_checked(len)?;
        rest = behind;
        Some(token)
    })
}

/// Appends a text without white space and without members that are null.
fn write_stripped(text: &str, sink: &mut dyn Sink) -> Result<(), Problem> {
    // A key waits until its value is known; a comma until something follows.
    let mut key: Option<&str> = None;
    let mut tokens = tokens(text).peekable();
    let mut needs_comma = false;
    while let Some(token) = tokens.next() {
        match token {
            "," => {}
            "}" | "]" => {
                sink.append(token.as_bytes())?;
                needs_comma = true;
            }
            _ if tokens.next_if_eq(&":").is_some() => key = Some(token),
            "null" if key.is_some() => key = None,
            _ => {
                if needs_comma {
                    sink.append(b",")?;
                }
                if let Some(key) = key.take() {
                    write_token(key, sink)?;
                    sink.append(b":")?;
                }
                write_token(token, sink)?;
                needs_comma = !matches!(token, "{" | "[");
            }
        }
    }
    Ok(())
}

/// Appends a token, strings with as few escapes as they need.
fn write_token(token: &str, sink: &mut dyn Sink) -> Result<(), Problem> {
    if !token.starts_with('"') || !token.contains('\\') {
        return Ok(sink.append(token.as_bytes())?);
    }
    sink.append(b"\"")?;
    for c in Unescaped(super::scan::inside(token)) {
        Escaping { sink: &mut *sink }.push(c.encode_utf8(&mut [0; 4]))?;
    }
    Ok(sink.append(b"\"")?)
}

fn strip_nulls<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    write_stripped(text(args, 0), cx.sink)?;
    WRITTEN
}

fn strip_nulls_b<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    write_normalized(cx, |sink, _| write_stripped(text(args, 0), sink))?;
    WRITTEN
}

fn new_line(depth: usize, sink: &mut dyn Sink) -> Result<(), Problem> {
    sink.append(b"\n")?;
    for _ in 0..depth {
        sink.append(b"    ")?;
    }
    Ok(())
}

fn pretty<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let sink = &mut *cx.sink;
    let mut depth = 0usize;
    for token in tokens(text(args, 0)) {
        match token {
            "{" | "[" => {
                sink.append(token.as_bytes())?;
                depth += 1;
                new_line(depth, sink)?;
            }
            "}" | "]" => {
                depth = depth.saturating_sub(1);
                // An empty one has its brackets on two lines.
                let is_empty = sink.bytes().iter().rev().find(|byte| **byte != b' ') == Some(&b'\n');
                if is_empty {
                    let indent = sink.bytes().iter().rev().take_while(|byte| **byte == b' ').count();
                    let len = sink.len() - indent - 1;
                    sink.truncate(len);
                }
                new_line(depth, sink)?;
                sink.append(token.as_bytes())?;
            }
            "," => {
                sink.append(b",")?;
                new_line(depth, sink)?;
            }
            ":" => sink.append(b": ")?,
            scalar => sink.append(scalar.as_bytes())?,
        }
    }
    WRITTEN
}
