//! Functions of text over columns. Results go to the heap of the register they are written to, which is emptied first.

use cofferdam_arena::collections::Vec;

use super::compile::pattern_error;
use super::kernel::{validity1, validity2};
use super::like::Pattern;
use super::program::{Inst, Op, Trim};
use super::run::view;
use crate::batch::{BatchRows, Element, Store, TextView, Vector};
use crate::error::{ArgumentProblem, Error};

/// Computes a text for each row.
pub(super) fn transform<'a>(
    store: &mut Store<'a>,
    level: BatchRows,
    inst: &Inst<'a>,
) -> Result<(), Error<'a>> {
    let mut dst = store.take(inst.dst);
    let mut heap = store.take_heap(dst.heap);
    heap.clear();
    let outcome = transform_into(store, level, inst, &mut dst, &mut heap);
    store.put_heap_back(dst.heap, heap);
    store.put_back(inst.dst, dst);
    outcome
}

fn transform_into<'a>(
    store: &Store<'a>,
    level: BatchRows,
    inst: &Inst<'a>,
    dst: &mut Vector<'a>,
    heap: &mut Vec<'a, u8>,
) -> Result<(), Error<'a>> {
    let rows = store.rows(level);
    let (a, b, c) = (store.vector(inst.a), store.vector(inst.b), store.vector(inst.c));
    let has_count = matches!(inst.op, Op::Substring { has_count: true });
    match inst.op {
        Op::Lower | Op::Upper => validity1(rows, a, dst),
        _ => validity2(rows, a, b, dst),
    }
    if has_count && !c.all_valid {
        let capacity = dst.valid.len();
        dst.spell_out_validity(capacity);
        rows.for_each(|row| dst.valid[row] &= c.is_valid(row));
    }
    let (all_valid, valid, out) = (dst.all_valid, &*dst.valid, TextView::write(&mut dst.data));
    rows.try_for_each(|row| {
        if !all_valid && !valid[row] {
            return Ok(());
        }
        let start = heap.len();
        let text = store.text(a, row);
        match inst.op {
            Op::Concat => {
                let other = store.text(b, row);
                let joined = heap.extend_from_slice(text).and_then(|()| heap.extend_from_slice(other));
                joined.map_err(|refused| {
                    let bytes = text.len() + other.len();
                    Error::from(refused).for_value("||", bytes, inst.span, heap.arena().budget())
                })?;
            }
            Op::Lower => change_case(text, heap, false)?,
            Op::Upper => change_case(text, heap, true)?,
            Op::Trim(trim) => heap.extend_from_slice(trimmed(utf8(text), utf8(store.text(b, row)), trim))?,
            _ => {
                let count = has_count.then(|| c.values::<i32>().get(row));
                let part =
                    substring(utf8(text), b.values::<i32>().get(row), count).ok_or(Error::Argument {
                        problem: ArgumentProblem::NegativeSubstringLength,
                        span: inst.span,
                    })?;
                heap.extend_from_slice(part.as_bytes())?;
            }
        }
        out[row] = view(start, heap.len(), inst.span)?;
        Ok(())
    })
}

/// B4 makes the fallback unreachable; it is safe nonetheless.
fn utf8(text: &[u8]) -> &str {
    core::str::from_utf8(text).unwrap_or_default()
}

fn change_case(
    text: &[u8],
    heap: &mut Vec<'_, u8>,
    to_upper: bool,
) -> Result<(), cofferdam_arena::AllocError> {
    let start = heap.len();
    if text.is_ascii() {
        heap.extend_from_slice(text)?;
        let copy = &mut heap[start..];
        if to_upper {
            copy.make_ascii_uppercase()
        } else {
            copy.make_ascii_lowercase()
        }
        return Ok(());
    }
    for character in utf8(text).chars() {
        // One character to one, as PostgreSQL does: a letter whose other case is several letters stays.
        let changed =
            if to_upper { single(character.to_uppercase()) } else { single(character.to_lowercase()) };
        let character = changed.unwrap_or(character);
        heap.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes())?;
    }
    Ok(())
}

fn single(mut characters: impl Iterator<Item = char>) -> Option<char> {
    let first = characters.next()?;
    characters.next().is_none().then_some(first)
}

/// The characters from the 1-based `start`, at most `count`; nothing for a negative count.
fn substring(text: &str, start: i32, count: Option<i32>) -> Option<&str> {
    let first = i64::from(start) - 1;
    let end = match count {
        Some(count) if count < 0 => return None,
        Some(count) => first + i64::from(count),
        None => i64::MAX,
    };
    let from = byte_of(text, first.max(0));
    let to = byte_of(text, end.max(0));
    Some(text.get(from..to.max(from)).unwrap_or_default())
}

/// Where the character at this 0-based position begins; the text's length behind its end.
fn byte_of(text: &str, position: i64) -> usize {
    let Ok(position) = usize::try_from(position) else { return 0 };
    if text.is_ascii() {
        return position.min(text.len());
    }
    text.char_indices().nth(position).map_or(text.len(), |(at, _)| at)
}

fn trimmed<'t>(text: &'t str, characters: &str, trim: Trim) -> &'t [u8] {
    let is_trimmed = |character: char| characters.contains(character);
    match trim {
        Trim::Both => text.trim_matches(is_trimmed),
        Trim::Leading => text.trim_start_matches(is_trimmed),
        Trim::Trailing => text.trim_end_matches(is_trimmed),
    }
    .as_bytes()
}

/// `dst = a` where it has at most `count` characters, blanks at its end aside. The views of `dst` are over the heap of `a`.
pub(super) fn limit<'a>(
    store: &mut Store<'a>,
    level: BatchRows,
    inst: &Inst<'a>,
    count: u32,
) -> Result<(), Error<'a>> {
    let mut dst = store.take(inst.dst);
    let (rows, a) = (store.rows(level), store.vector(inst.a));
    debug_assert_eq!(dst.heap, a.heap);
    validity1(rows, a, &mut dst);
    let (views, out) = (a.values::<TextView>(), TextView::write(&mut dst.data));
    let outcome = rows.try_for_each(|row| {
        if !a.is_valid(row) {
            return Ok(());
        }
        let view = views.get(row);
        // No text has more characters than bytes.
        let len = if view.len <= count { Some(view.len) } else { kept_bytes(store.text(a, row), count) };
        let problem = ArgumentProblem::TooManyCharacters { count };
        let len = len.ok_or(Error::Argument { problem, span: inst.span })?;
        out[row] = TextView { start: view.start, len };
        Ok(())
    });
    store.put_back(inst.dst, dst);
    outcome
}

/// The bytes of the first `count` characters, if all behind them are blanks.
fn kept_bytes(text: &[u8], count: u32) -> Option<u32> {
    let mut starts = text.iter().enumerate().filter(|(_, byte)| *byte & 0xC0 != 0x80);
    let end = starts.nth(count as usize).map_or(text.len(), |(at, _)| at);
    let rest = text.get(end..).unwrap_or_default();
    rest.iter().all(|byte| *byte == b' ').then_some(end as u32)
}

/// The number of characters of a text, which cannot exceed its bytes.
pub(super) fn characters(text: &[u8]) -> i32 {
    let count = text.iter().filter(|&&byte| byte & 0xC0 != 0x80).count();
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// `dst = a LIKE pattern`. With `escape` the pattern is that of the row in `b`, and compiled for each.
pub(super) fn like<'a>(
    store: &mut Store<'a>,
    level: BatchRows,
    inst: &Inst<'a>,
    pattern: &mut Pattern<'a>,
    escape: Option<Option<char>>,
    negated: bool,
) -> Result<(), Error<'a>> {
    let mut dst = store.take(inst.dst);
    let (rows, a, b) = (store.rows(level), store.vector(inst.a), store.vector(inst.b));
    validity2(rows, a, b, &mut dst);
    let (all_valid, valid, out) = (dst.all_valid, &*dst.valid, bool::write(&mut dst.data));
    let outcome = rows.try_for_each(|row| {
        if !all_valid && !valid[row] {
            return Ok(());
        }
        if let Some(escape) = escape {
            let text = utf8(store.text(b, row));
            pattern.set(text, escape)?;
        }
        let found = pattern.matches(store.text(a, row)).map_err(|error| pattern_error(error, inst.span))?;
        out[row] = found != negated;
        Ok(())
    });
    store.put_back(inst.dst, dst);
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn substring_counts_characters_from_one() {
        let cases = [
            ("hello", 2, Some(3), Some("ell")),
            ("hello", 2, None, Some("ello")),
            ("hello", 0, Some(2), Some("h")),
            ("hello", -5, Some(3), Some("")),
            ("hello", 9, Some(3), Some("")),
            ("hello", 1, Some(-1), None),
            ("grün", 3, Some(2), Some("ün")),
            ("hello", i32::MIN, Some(i32::MAX), Some("")),
            ("hello", 2, Some(i32::MAX), Some("ello")),
        ];
        for (text, start, count, expected) in cases {
            assert_eq!(substring(text, start, count), expected, "substring({text}, {start}, {count:?})");
        }
    }

    #[test]
    fn a_limit_cuts_blanks_and_nothing_else() {
        let cases = [
            ("abc", 3, Some(3)),
            ("abc", 2, None),
            ("ab ", 2, Some(2)),
            ("ab   c", 2, None),
            ("grün ", 4, Some(5)),
            ("grün", 3, None),
            ("    ", 1, Some(1)),
        ];
        for (text, count, expected) in cases {
            assert_eq!(kept_bytes(text.as_bytes(), count), expected, "{text} in {count}");
        }
    }

    #[test]
    fn trim_takes_a_set_of_characters() {
        assert_eq!(trimmed("xxyhixy", "xy", Trim::Both), b"hi");
        assert_eq!(trimmed("xxhixx", "x", Trim::Leading), b"hixx");
        assert_eq!(trimmed("xxhixx", "x", Trim::Trailing), b"xxhi");
    }
}
