//! Names and literals in quotes, as SQL reads them back.

use cofferdam_types::Value;

use crate::args::{Answer, WRITTEN, give_text, text, value};
use crate::context::{Context, Problem, Sink};
use crate::signature::params::{ANY, TEXT};
use crate::signature::{Function, function, results};

pub(crate) const FUNCTIONS: &[Function] = &[
    function(
        "quote_ident",
        &[TEXT],
        results::TEXT,
        quote_ident,
        "as an identifier, in quotes where it needs them",
    ),
    function("quote_literal", &[TEXT], results::TEXT, quote_literal, "as a literal of SQL"),
    function("quote_literal", &[ANY], results::TEXT, quote_literal, "as a literal of SQL").stable(),
    function("quote_nullable", &[TEXT], results::TEXT, quote_nullable, "as a literal of SQL, or NULL")
        .lenient(),
    function("quote_nullable", &[ANY], results::TEXT, quote_nullable, "as a literal of SQL, or NULL")
        .lenient()
        .stable(),
];

/// The words that mean something else where an identifier could stand, separated by blanks and sorted.
pub(crate) const RESERVED: &str = "all analyse analyze and any array as asc asymmetric authorization between bigint \
    binary bit boolean both case cast char character check coalesce collate collation column concurrently constraint \
    create cross current_catalog current_date current_role current_schema current_time current_timestamp current_user \
    dec decimal default deferrable desc distinct do else end except exists extract false fetch float for foreign \
    freeze from full grant greatest group grouping having ilike in initially inner inout int integer intersect \
    interval into is isnull join lateral leading least left like limit localtime localtimestamp national natural \
    nchar none normalize not notnull null nullif numeric offset on only or order out outer overlaps overlay placing \
    position precision primary real references returning right row select session_user setof similar smallint some \
    substring symmetric table tablesample then time timestamp to trailing treat trim true union unique user using \
    values varchar variadic verbose when where window with xmlattributes xmlconcat xmlelement xmlexists xmlforest \
    xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable";

/// Whether an identifier reads back as it is.
fn is_plain(name: &str) -> bool {
    let mut bytes = name.bytes();
    let starts = bytes.next().is_some_and(|first| first == b'_' || first.is_ascii_lowercase());
    starts
        && bytes.all(|byte| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit())
        && !RESERVED.split_ascii_whitespace().any(|word| word == name)
}

/// Appends an identifier.
pub(super) fn write_ident(name: &str, sink: &mut dyn Sink) -> Result<(), Problem> {
    if is_plain(name) {
        return Ok(sink.append(name.as_bytes())?);
    }
    write_quoted(name, '"', sink)
}

/// Appends a text between quotes, with those in it doubled.
fn write_quoted(text: &str, quote: char, sink: &mut dyn Sink) -> Result<(), Problem> {
    let mark = [quote as u8];
    sink.append(&mark)?;
    for part in text.split_inclusive(quote) {
        sink.append(part.as_bytes())?;
        if part.ends_with(quote) {
            sink.append(&mark)?;
        }
    }
    Ok(sink.append(&mark)?)
}

/// Appends a literal; one with backslashes as an escape string.
fn write_literal_to(text: &str, sink: &mut dyn Sink) -> Result<(), Problem> {
    if !text.contains('\\') {
        return write_quoted(text, '\'', sink);
    }
    sink.append(b"E'")?;
    for part in text.split_inclusive(['\'', '\\']) {
        sink.append(part.as_bytes())?;
        if let Some(special) = part.as_bytes().last().filter(|last| matches!(last, b'\'' | b'\\')) {
            sink.append(&[*special])?;
        }
    }
    Ok(sink.append(b"'")?)
}

/// Appends any value but NULL as a literal of its text form.
pub(super) fn write_literal(value: Value<'_>, cx: &mut Context<'_>) -> Result<(), Problem> {
    match value {
        Value::Text(text) | Value::Char(text) | Value::Json(text) | Value::Jsonb(text) => {
            write_literal_to(text, cx.sink)
        }
        other => {
            // Values that are no texts are written to scratch memory first, and quoted from there.
            let Context { scratch, sink, .. } = cx;
            let scope = scratch.scope();
            let text = scope.alloc_fmt(format_args!("{other}"))?;
            write_literal_to(text, *sink)
        }
    }
}

fn quote_ident<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let name = text(args, 0);
    if is_plain(name) {
        return give_text(name);
    }
    write_ident(name, cx.sink)?;
    WRITTEN
}

fn quote_literal<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    write_literal(value(args, 0), cx)?;
    WRITTEN
}

fn quote_nullable<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    match value(args, 0) {
        Value::Null => give_text("NULL"),
        value => {
            write_literal(value, cx)?;
            WRITTEN
        }
    }
}
