//! Texts taken apart, and put together from arrays.

use cofferdam_types::Value;

use crate::args::{Answer, WRITTEN, array, give_text, int, text, value};
use crate::array::Builder;
use crate::context::{Context, Problem};
use crate::output::write_value;
use crate::signature::params::{ANYARRAY, INT4, TEXT};
use crate::signature::{Function, function, results};

pub(crate) const FUNCTIONS: &[Function] = &[
    function(
        "array_to_string",
        &[ANYARRAY, TEXT, TEXT],
        results::TEXT,
        array_to_string,
        "the elements as texts, separated; NULL left out, or as the third argument",
    )
    .optional(1)
    .lenient()
    .stable(),
    function(
        "split_part",
        &[TEXT, TEXT, INT4],
        results::TEXT,
        split_part,
        "the n-th part between separators, from the end for negative n",
    ),
    function(
        "string_to_array",
        &[TEXT, TEXT, TEXT],
        results::TEXTS,
        string_to_array,
        "the parts between separators; parts equal to the third argument are NULL",
    )
    .optional(1)
    .lenient(),
];

fn split_part<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let (text, separator, n) = (text(args, 0), text(args, 1), int(args, 2));
    if n == 0 {
        return Err(Problem::new("22023", "field position must not be zero"));
    }
    let index = (n.unsigned_abs() - 1) as usize;
    if separator.is_empty() {
        return give_text(if index == 0 { text } else { "" });
    }
    let part = match n > 0 {
        true => text.split(separator).nth(index),
        // Counted from the end of the parts that a search from the start finds.
        false => {
            let count = text.split(separator).count();
            count.checked_sub(index + 1).and_then(|index| text.split(separator).nth(index))
        }
    };
    give_text(part.unwrap_or(""))
}

/// The parts of a text: all of it where the separator is empty, its characters where there is none.
#[derive(Debug)]
pub(crate) struct Parts<'v> {
    rest: Option<&'v str>,
    separator: Option<&'v str>,
}

impl<'v> Parts<'v> {
    pub(crate) fn new(text: &'v str, separator: Option<&'v str>) -> Parts<'v> {
        Parts { rest: Some(text).filter(|text| !text.is_empty()), separator }
    }
}

impl<'v> Iterator for Parts<'v> {
    type Item = &'v str;

    fn next(&mut self) -> Option<&'v str> {
        let rest = self.rest?;
        let (part, behind) = match self.separator {
            None => {
                let (part, behind) = rest.split_at_checked(rest.chars().next()?.len_utf8())?;
                (part, Some(behind).filter(|behind| !behind.is_empty()))
            }
            Some("") => (rest, None),
            Some(separator) => match rest.split_once(separator) {
                Some((part, behind)) => (part, Some(behind)),
                None => (rest, None),
            },
        };
        self.rest = behind;
        Some(part)
    }
}

fn string_to_array<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    if value(args, 0).is_null() {
        return Ok(crate::Output::NULL);
    }
    let separator = crate::args::text_of(value(args, 1));
    let null = crate::args::text_of(value(args, 2));
    let mut builder = Builder::new(cx)?;
    for part in Parts::new(text(args, 0), separator) {
        builder.push(if null == Some(part) { Value::Null } else { Value::Text(part) })?;
    }
    builder.finish()
}

fn array_to_string<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let (Some(array), Some(separator)) = (array(args, 0), crate::args::text_of(value(args, 1))) else {
        return Ok(crate::Output::NULL);
    };
    let null = crate::args::text_of(value(args, 2)).map(Value::Text);
    let mut is_first = true;
    for element in array.iter() {
        let shown = if element.is_null() { null } else { Some(element) };
        let Some(shown) = shown else { continue };
        if !is_first {
            cx.sink.append(separator.as_bytes())?;
        }
        is_first = false;
        write_value(shown, cx)?;
    }
    WRITTEN
}
