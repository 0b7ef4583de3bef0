//! JSON changed: members put in, replaced and taken out.
//!
//! A change is the text before it, something new, and the text behind; the normal form is made of that.

use cofferdam_types::Value;

use super::build::write_string;
use super::scan::{Kind, Member, Members, field, index, inside, is_text, place, step};
use super::write_normalized;
use crate::args::{Answer, WRITTEN, array, boolean, give, int, text, text_of, value};
use crate::context::{Context, Problem, Sink};
use crate::signature::params::{BOOL, INT4, JSONB, TEXT, TEXTS};
use crate::signature::{Function, function, results};

pub(crate) const FUNCTIONS: &[Function] = &[
    function("jsonb_delete_path", &[JSONB, TEXTS], results::JSONB, delete_path, "without what is at a path"),
    function(
        "jsonb_insert",
        &[JSONB, TEXTS, JSONB, BOOL],
        results::JSONB,
        insert,
        "with a value put in at a path; behind the element there if the last is true",
    )
    .optional(1),
    function(
        "jsonb_set",
        &[JSONB, TEXTS, JSONB, BOOL],
        results::JSONB,
        set,
        "with another value at a path; one that is missing is made unless the last is false",
    )
    .optional(1),
];

pub(crate) const OPERATORS: &[Function] = &[
    function(
        "||",
        &[JSONB, JSONB],
        results::JSONB,
        concat,
        "members of both objects, or elements of both arrays",
    ),
    function("-", &[JSONB, TEXT], results::JSONB, delete_key, "without a key, or such strings"),
    function("-", &[JSONB, TEXTS], results::JSONB, delete_keys, "without these keys or strings"),
    function(
        "-",
        &[JSONB, INT4],
        results::JSONB,
        delete_element,
        "without an element, counted from 0 or from the end",
    ),
    function("#-", &[JSONB, TEXTS], results::JSONB, delete_path, "without what is at a path"),
];

fn unchanged<'v>(args: &[Value<'v>]) -> Answer<'v> {
    give(value(args, 0))
}

/// The text between the brackets of a container.
fn members_text(json: &str) -> &str {
    let json = json.trim_ascii();
    json.get(1..json.len().saturating_sub(1)).unwrap_or("").trim_ascii()
}

fn concat<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let (left, right) = (text(args, 0), text(args, 1));
    let kinds = (Kind::of(left), Kind::of(right));
    let brackets: (&[u8], &[u8]) =
        if kinds == (Kind::Object, Kind::Object) { (b"{", b"}") } else { (b"[", b"]") };
    write_normalized(cx, |sink, _| {
        sink.append(brackets.0)?;
        let mut is_first = true;
        for part in [left, right] {
            // An object beside an array is an element of it, as scalars are.
            let is_open = Kind::of(part) == Kind::Array || kinds == (Kind::Object, Kind::Object);
            let part = if is_open { members_text(part) } else { part };
            if part.is_empty() {
                continue;
            }
            if !is_first {
                sink.append(b",")?;
            }
            is_first = false;
            sink.append(part.as_bytes())?;
        }
        Ok(sink.append(brackets.1)?)
    })?;
    WRITTEN
}

/// Appends a container with the members that `keep` wants. What is kept is in normal form already.
fn write_kept(
    json: &str,
    sink: &mut dyn Sink,
    mut keep: impl FnMut(usize, &Member<'_>) -> bool,
) -> Result<(), Problem> {
    let is_object = Kind::of(json) == Kind::Object;
    sink.append(if is_object { b"{" } else { b"[" })?;
    let mut is_first = true;
    for (index, member) in Members::of(json).enumerate() {
        if !keep(index, &member) {
            continue;
        }
        if !is_first {
            sink.append(b", ")?;
        }
        is_first = false;
        if is_object {
            for part in ["\"", member.key, "\": "] {
                sink.append(part.as_bytes())?;
            }
        }
        sink.append(member.value.as_bytes())?;
    }
    Ok(sink.append(if is_object { b"}" } else { b"]" })?)
}

fn is_named(member: &Member<'_>, is_object: bool, key: &str) -> bool {
    match is_object {
        true => is_text(member.key, key),
        false => Kind::of(member.value) == Kind::String && is_text(inside(member.value), key),
    }
}

fn scalar() -> Problem {
    Problem::new("22023", "cannot delete from scalar")
}

fn delete_key<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let (json, key) = (text(args, 0), text(args, 1));
    let kind = Kind::of(json);
    if !kind.is_container() {
        return Err(scalar());
    }
    write_kept(json, cx.sink, |_, member| !is_named(member, kind == Kind::Object, key))?;
    WRITTEN
}

fn delete_keys<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let json = text(args, 0);
    let kind = Kind::of(json);
    let Some(keys) = array(args, 1).filter(|_| kind.is_container()) else { return Err(scalar()) };
    write_kept(json, cx.sink, |_, member| {
        let mut keys = keys.iter().filter_map(text_of);
        !keys.any(|key| is_named(member, kind == Kind::Object, key))
    })?;
    WRITTEN
}

fn delete_element<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let json = text(args, 0);
    match Kind::of(json) {
        Kind::Array => {}
        Kind::Object => return Err(Problem::new("22023", "cannot delete from object using integer index")),
        _ => return Err(scalar()),
    }
    let deleted = place(int(args, 1), Members::of(json).count());
    write_kept(json, cx.sink, |index, _| Some(index) != deleted)?;
    WRITTEN
}

/// The container in which the last step of a path is to be made, with where it stands, and that step.
struct Target<'v> {
    container: &'v str,
    at: usize,
    key: &'v str,
}

/// A step of a path: texts only.
fn key_at<'v>(path: cofferdam_types::ArrayRef<'v>, position: usize) -> Result<&'v str, Problem> {
    let key = path.iter().nth(position).and_then(text_of);
    key.ok_or_else(|| Problem::count("22004", "path element at position # is null", position as i64 + 1))
}

fn not_an_integer(key: &str, position: usize) -> Problem {
    let message = "path element at position # is not an integer: \"%\"";
    Problem::with("22P02", message, key, position as i64 + 1)
}

/// Walks all but the last step of the path that is the second argument; nothing where it leads nowhere.
fn target<'v>(args: &[Value<'v>]) -> Result<Option<Target<'v>>, Problem> {
    let json = text(args, 0);
    let Some(path) = array(args, 1) else { return Ok(None) };
    let count = path.len();
    if count == 0 {
        return Ok(None);
    }
    let (mut container, mut at) = (json, 0);
    for position in 0..count {
        let key = key_at(path, position)?;
        let kind = Kind::of(container);
        if !kind.is_container() {
            return Ok(None);
        }
        if kind == Kind::Array && index(key).is_none() {
            return Err(not_an_integer(key, position));
        }
        if position + 1 == count {
            return Ok(Some(Target { container, at, key }));
        }
        let Some(member) = step(container, key) else { return Ok(None) };
        (container, at) = (member.value, at + member.at);
    }
    Ok(None)
}

fn delete_path<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let json = text(args, 0);
    if !Kind::of(json).is_container() {
        return Err(Problem::new("22023", "cannot delete path in scalar"));
    }
    if members_text(json).is_empty() {
        return unchanged(args);
    }
    let Some(target) = target(args)? else { return unchanged(args) };
    let found = step(target.container, target.key).map(|member| member.at);
    let Some(found) = found else { return unchanged(args) };
    splice(json, &target, cx.sink, |sink| {
        write_kept(target.container, sink, |_, member| member.at != found)
    })?;
    WRITTEN
}

/// Appends a text with something else in place of the target's container.
fn splice(
    json: &str,
    target: &Target<'_>,
    sink: &mut dyn Sink,
    write: impl FnOnce(&mut dyn Sink) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let end = target.at + target.container.len();
    sink.append(json.as_bytes().get(..target.at).unwrap_or(&[]))?;
    write(sink)?;
    Ok(sink.append(json.as_bytes().get(end..).unwrap_or(&[]))?)
}

/// Appends a container with a value put before a byte of it, which is a member's or the closing bracket's.
fn write_before(
    container: &str,
    at: usize,
    key: Option<&str>,
    new: &str,
    sink: &mut dyn Sink,
) -> Result<(), Problem> {
    let (head, tail) = container.split_at_checked(at).unwrap_or((container, ""));
    let has_members_before =
        !head.get(1..).unwrap_or("").trim_ascii().is_empty() && !head.trim_ascii_end().ends_with(',');
    let has_members_behind = !matches!(tail.trim_ascii_start().as_bytes().first(), Some(b'}' | b']') | None);
    sink.append(head.as_bytes())?;
    if has_members_before {
        sink.append(b",")?;
    }
    if let Some(key) = key {
        write_string(key, sink)?;
        sink.append(b":")?;
    }
    sink.append(new.as_bytes())?;
    if has_members_behind {
        sink.append(b",")?;
    }
    Ok(sink.append(tail.as_bytes())?)
}

/// Where an element of this index stands, or would: at the start before all others, at the end behind them.
fn element_place(container: &str, index: i64) -> (usize, bool) {
    let count = Members::of(container).count();
    let end = container.trim_ascii_end().len().saturating_sub(1);
    match place(index, count).and_then(|place| Members::of(container).nth(place)) {
        Some(member) => (member.at, true),
        None if index < 0 => (Members::of(container).next().map_or(end, |member| member.at), false),
        None => (end, false),
    }
}

fn set<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let (json, new) = (text(args, 0), text(args, 2));
    let creates = args.len() < 4 || boolean(args, 3);
    if !Kind::of(json).is_container() {
        return Err(Problem::new("22023", "cannot set path in scalar"));
    }
    if members_text(json).is_empty() && !creates {
        return unchanged(args);
    }
    let Some(target) = target(args)? else { return unchanged(args) };
    let found = step(target.container, target.key);
    let is_object = Kind::of(target.container) == Kind::Object;
    if found.is_none() && !creates {
        return unchanged(args);
    }
    write_normalized(cx, |sink, _| {
        splice(json, &target, sink, |sink| match found {
            Some(member) => {
                let (head, rest) = target.container.split_at_checked(member.at).unwrap_or(("", ""));
                sink.append(head.as_bytes())?;
                sink.append(new.as_bytes())?;
                Ok(sink.append(rest.as_bytes().get(member.value.len()..).unwrap_or(&[]))?)
            }
            None => write_new(&target, is_object, new, false, sink),
        })
    })?;
    WRITTEN
}

/// Appends the target's container with a new member.
fn write_new(
    target: &Target<'_>,
    is_object: bool,
    new: &str,
    behind: bool,
    sink: &mut dyn Sink,
) -> Result<(), Problem> {
    if is_object {
        let end = target.container.trim_ascii_end().len().saturating_sub(1);
        return write_before(target.container, end, Some(target.key), new, sink);
    }
    let index = index(target.key).unwrap_or(0);
    let (mut at, is_there) = element_place(target.container, index);
    if is_there && behind {
        // Before the next one, or the end.
        let mut others = Members::of(target.container).skip_while(|member| member.at <= at);
        let end = target.container.trim_ascii_end().len().saturating_sub(1);
        at = others.next().map_or(end, |member| member.at);
    }
    write_before(target.container, at, None, new, sink)
}

fn insert<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let (json, new, behind) = (text(args, 0), text(args, 2), boolean(args, 3));
    if !Kind::of(json).is_container() {
        return Err(Problem::new("22023", "cannot set path in scalar"));
    }
    let Some(target) = target(args)? else { return unchanged(args) };
    let is_object = Kind::of(target.container) == Kind::Object;
    if is_object && field(target.container, target.key).is_some() {
        return Err(Problem::new("22023", "cannot replace existing key")
            .hinted("Try using the function jsonb_set to replace key value."));
    }
    write_normalized(cx, |sink, _| {
        splice(json, &target, sink, |sink| write_new(&target, is_object, new, behind, sink))
    })?;
    WRITTEN
}
