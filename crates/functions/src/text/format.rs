//! `format`: texts from a pattern, as `format('%-10s|%1$I', name)`.

use cofferdam_types::Value;

use super::count_chars;
use super::quote::{write_ident, write_literal};
use crate::args::{Answer, WRITTEN, give, text, value};
use crate::context::{Context, Problem};
use crate::output::write_value;
use crate::signature::params::{ANY, TEXT};
use crate::signature::{Function, function, results};

pub(crate) const FUNCTIONS: &[Function] = &[function(
    "format",
    &[TEXT, ANY],
    results::TEXT,
    format,
    "the pattern with `%s`, `%I`, `%L` replaced by arguments as text, identifier, literal",
)
.variadic()
.optional(1)
.lenient()
.stable()];

/// One `%…` of a pattern: `%[position$][-][width]type`.
#[derive(Default)]
struct Specifier {
    position: Option<i64>,
    is_left: bool,
    width: Width,
    kind: char,
}

#[derive(Default)]
enum Width {
    #[default]
    None,
    Fixed(i64),
    /// `*`, or `*n$`.
    Argument(Option<i64>),
}

const HINT: &str = "For a single \"%\" use \"%%\".";

fn unterminated() -> Problem {
    Problem::new("22023", "unterminated format() type specifier").hinted(HINT)
}

/// Reads digits; the rest, and the number where there is one.
fn number(text: &str) -> Result<(&str, Option<i64>), Problem> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    if digits.is_empty() {
        return Ok((rest, None));
    }
    let number = digits.parse::<i32>().map_err(|_| Problem::new("22003", "number is out of range"))?;
    Ok((rest, Some(number.into())))
}

fn checked_position(position: i64) -> Result<i64, Problem> {
    match position {
        0 => Err(Problem::new("22023", "format specifies argument 0, but arguments are numbered from 1")),
        position => Ok(position),
    }
}

/// Reads what is behind a `%`; the specifier and the rest.
fn specifier(text: &str) -> Result<(Specifier, &str), Problem> {
    let mut found = Specifier::default();
    let (mut rest, mut first) = number(text)?;
    if let (Some(position), Some(behind)) = (first, rest.strip_prefix('$')) {
        found.position = Some(checked_position(position)?);
        (rest, first) = (behind, None);
    }
    if let Some(width) = first {
        found.width = Width::Fixed(width);
    } else {
        while let Some(behind) = rest.strip_prefix('-') {
            found.is_left = true;
            rest = behind;
        }
        if let Some(behind) = rest.strip_prefix('*') {
            let (after, position) = number(behind)?;
            (rest, found.width) = match position {
                None => (after, Width::Argument(None)),
                Some(position) => {
                    let after = after.strip_prefix('$').ok_or_else(|| {
                        Problem::new("22023", "width argument position must be ended by \"$\"")
                    })?;
                    (after, Width::Argument(Some(checked_position(position)?)))
                }
            };
        } else {
            let (after, width) = number(rest)?;
            rest = after;
            found.width = width.map_or(Width::None, Width::Fixed);
        }
    }
    let mut characters = rest.chars();
    found.kind = characters.next().ok_or_else(unterminated)?;
    Ok((found, characters.as_str()))
}

fn format<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    if value(args, 0).is_null() {
        return give(Value::Null);
    }
    let mut next = 1;
    let mut rest = text(args, 0);
    while let Some((before, behind)) = rest.split_once('%') {
        cx.sink.append(before.as_bytes())?;
        if let Some(after) = behind.strip_prefix('%') {
            cx.sink.append(b"%")?;
            rest = after;
            continue;
        }
        let (specifier, after) = specifier(behind)?;
        rest = after;
        let (width, is_left) = width_of(&specifier, args, &mut next)?;
        if let Some(position) = specifier.position {
            next = position as usize;
        }
        let arg = *args.get(next).ok_or_else(too_few)?;
        next += 1;
        write_padded(specifier.kind, arg, width, is_left, cx)?;
    }
    cx.sink.append(rest.as_bytes())?;
    WRITTEN
}

fn too_few() -> Problem {
    Problem::new("22023", "too few arguments for format()")
}

/// The width in characters, and whether the text stands on the left.
fn width_of(specifier: &Specifier, args: &[Value<'_>], next: &mut usize) -> Result<(usize, bool), Problem> {
    let width = match specifier.width {
        Width::None => 0,
        Width::Fixed(width) => width,
        Width::Argument(position) => {
            if let Some(position) = position {
                *next = position as usize;
            }
            let arg = *args.get(*next).ok_or_else(too_few)?;
            *next += 1;
            match arg {
                Value::SmallInt(width) => width.into(),
                Value::Integer(width) => width.into(),
                Value::Null => 0,
                other => width_from_text(other)?,
            }
        }
    };
    Ok((width.unsigned_abs() as usize, specifier.is_left || width < 0))
}

/// The width that an argument of another type gives by its text.
fn width_from_text(value: Value<'_>) -> Result<i64, Problem> {
    use core::fmt::Write as _;
    let mut buffer = cofferdam_types::TextBuffer::new();
    let text = match crate::args::text_of(value) {
        Some(text) => text,
        None => {
            write!(buffer, "{value}").map_err(|_| Problem::new("22003", "number is out of range"))?;
            buffer.as_str()
        }
    };
    Ok(cofferdam_types::number::parse_i32(text.as_bytes())?.into())
}

fn write_padded(
    kind: char,
    arg: Value<'_>,
    width: usize,
    is_left: bool,
    cx: &mut Context<'_>,
) -> Result<(), Problem> {
    let start = cx.sink.len();
    match kind {
        's' => write_value(arg, cx)?,
        'I' if arg.is_null() => {
            return Err(Problem::new("22004", "null values cannot be formatted as an SQL identifier"));
        }
        'I' => write_value_as_ident(arg, cx)?,
        'L' if arg.is_null() => cx.sink.append(b"NULL")?,
        'L' => write_literal(arg, cx)?,
        other => {
            let mut bytes = [0; 4];
            let shown = other.encode_utf8(&mut bytes);
            let message = "unrecognized format() type specifier \"%\"";
            return Err(Problem::about("22023", message, shown).hinted(HINT));
        }
    }
    if width == 0 {
        return Ok(());
    }
    pad(start, width, is_left, cx)
}

fn write_value_as_ident(arg: Value<'_>, cx: &mut Context<'_>) -> Result<(), Problem> {
    if let Some(name) = crate::args::text_of(arg) {
        return write_ident(name, cx.sink);
    }
    let Context { scratch, sink, .. } = cx;
    let scope = scratch.scope();
    write_ident(scope.alloc_fmt(format_args!("{arg}"))?, *sink)
}

/// Pads what was written since `start` with blanks.
fn pad(start: usize, width: usize, is_left: bool, cx: &mut Context<'_>) -> Result<(), Problem> {
    let written = core::str::from_utf8(cx.sink.bytes().get(start..).unwrap_or(&[]));
    let missing = width.saturating_sub(written.map_or(0, count_chars));
    cx.sink.reserve(missing)?;
    for _ in 0..missing {
        cx.sink.append(b" ")?;
    }
    if !is_left && let Some(piece) = cx.sink.bytes_mut().get_mut(start..) {
        piece.rotate_right(missing);
    }
    Ok(())
}
