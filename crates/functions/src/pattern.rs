//! Functions and operators of regular expressions.

use cofferdam_types::Value;

use crate::args::{Answer, WRITTEN, give, give_bool, give_count, give_text, int, text, text_of, value};
use crate::array::Builder;
use crate::context::{Context, Output, Problem, Sink};
use crate::regex::{Flags, Regex, Span, Subject, to_regex};
use crate::signature::params::{CHAR, INT4, TEXT};
use crate::signature::{Function, function, results};
use crate::text::{count_chars, offset_of};

pub(crate) const FUNCTIONS: &[Function] = &[
    function(
        "regexp_count",
        &[TEXT, TEXT, INT4, TEXT],
        results::INT4,
        count,
        "how often a regular expression matches, from a position on",
    )
    .optional(2),
    function(
        "regexp_instr",
        &[TEXT, TEXT, INT4, INT4, INT4, TEXT, INT4],
        results::INT4,
        instr,
        "where the n-th match starts, or behind it (endoption 1), or 0",
    )
    .optional(5),
    function("regexp_like", &[TEXT, TEXT, TEXT], results::BOOL, like, "whether a regular expression matches")
        .optional(1),
    function(
        "regexp_match",
        &[TEXT, TEXT, TEXT],
        results::TEXTS,
        first_match,
        "what the brackets of the first match have matched, or all of it",
    )
    .optional(1),
    function(
        "regexp_replace",
        &[TEXT, TEXT, TEXT],
        results::TEXT,
        replace,
        "the first match replaced; `\\1` and `\\&` stand for what has matched",
    ),
    function(
        "regexp_replace",
        &[TEXT, TEXT, TEXT, TEXT],
        results::TEXT,
        replace_flags,
        "the first match replaced, or all with the flag `g`",
    ),
    function(
        "regexp_replace",
        &[TEXT, TEXT, TEXT, INT4, INT4, TEXT],
        results::TEXT,
        replace_nth,
        "the n-th match from a position on replaced, or all for 0",
    )
    .optional(2),
    function(
        "regexp_split_to_array",
        &[TEXT, TEXT, TEXT],
        results::TEXTS,
        split,
        "what is between the matches",
    )
    .optional(1),
    function(
        "regexp_substr",
        &[TEXT, TEXT, INT4, INT4, TEXT, INT4],
        results::TEXT,
        substr,
        "the n-th match from a position on, or what a bracket of it has matched",
    )
    .optional(4),
    function(
        "similar_escape",
        &[TEXT, TEXT],
        results::TEXT,
        similar_escape,
        "the regular expression of a pattern of SIMILAR TO; no escape character for NULL",
    )
    .lenient(),
    function(
        "similar_to_escape",
        &[TEXT, TEXT],
        results::TEXT,
        similar_to_escape,
        "the regular expression of a pattern of SIMILAR TO",
    )
    .optional(1),
    function(
        "substring",
        &[TEXT, TEXT],
        results::TEXT,
        substring,
        "what the first bracket of a regular expression matches, or all of it",
    ),
    function(
        "substring",
        &[TEXT, TEXT, TEXT],
        results::TEXT,
        substring_similar,
        "the part of a text that a pattern of SIMILAR TO marks",
    ),
];

pub(crate) const OPERATORS: &[Function] = &[
    function("~", &[TEXT, TEXT], results::BOOL, matches, "whether a regular expression matches"),
    function("~", &[CHAR, TEXT], results::BOOL, matches, "whether a regular expression matches"),
    function(
        "~*",
        &[TEXT, TEXT],
        results::BOOL,
        matches_any_case,
        "whether a regular expression matches in any case",
    ),
    function(
        "~*",
        &[CHAR, TEXT],
        results::BOOL,
        matches_any_case,
        "whether a regular expression matches in any case",
    ),
    function("!~", &[TEXT, TEXT], results::BOOL, matches_not, "whether a regular expression does not match"),
    function("!~", &[CHAR, TEXT], results::BOOL, matches_not, "whether a regular expression does not match"),
    function(
        "!~*",
        &[TEXT, TEXT],
        results::BOOL,
        matches_not_any_case,
        "whether a regular expression does not match in any case",
    ),
    function(
        "!~*",
        &[CHAR, TEXT],
        results::BOOL,
        matches_not_any_case,
        "whether a regular expression does not match in any case",
    ),
];

/// A search over a text, match by match.
pub(crate) struct Matches<'r, 't> {
    pub(crate) regex: &'r mut Regex,
    subject: Subject<'t>,
    from: Option<usize>,
}

impl<'r, 't> Matches<'r, 't> {
    pub(crate) fn new(regex: &'r mut Regex, subject: Subject<'t>, from: usize) -> Matches<'r, 't> {
        Matches { regex, subject, from: Some(from) }
    }

    /// The next match; behind an empty one the search goes on a character further.
    pub(crate) fn next(&mut self) -> Result<Option<Span>, Problem> {
        let Some(from) = self.from else { return Ok(None) };
        let found = self.regex.find(self.subject, from)?;
        self.from = found.and_then(|(start, end)| after(self.subject.text, start, end));
        Ok(found)
    }

    /// What a bracket, counted from 1, has matched in the match that was given last and is cut by [`Matches::cut`].
    fn bracket(&self, number: usize) -> Option<&'t str> {
        let (start, end) = self.regex.capture(number.checked_sub(1)?)?;
        self.subject.text.get(start..end)
    }

    fn cut(&mut self, span: Span) -> Result<(), Problem> {
        self.regex.cut(self.subject, span)
    }
}

/// Where a search goes on behind a match, if there is still text.
pub(crate) fn after(text: &str, start: usize, end: usize) -> Option<usize> {
    if end > start {
        return Some(end).filter(|end| *end <= text.len());
    }
    text.get(end..)?.chars().next().map(|c| end + c.len_utf8())
}

/// Compiles an argument.
fn prepare(args: &[Value<'_>], flags: Flags, cx: &mut Context<'_>) -> Result<(), Problem> {
    cx.site.regex.prepare(text(args, 1), flags)
}

/// The flags of an argument, without `g`, which `name` does not know.
fn flags_without_g(args: &[Value<'_>], index: usize, message: &'static str) -> Result<Flags, Problem> {
    let flags = Flags::parse(text(args, index))?;
    if flags.is_global {
        return Err(Problem::new("22023", message));
    }
    Ok(flags)
}

fn is_match(args: &[Value<'_>], ignore_case: bool, cx: &mut Context<'_>) -> Result<bool, Problem> {
    prepare(args, Flags { ignore_case, ..Flags::default() }, cx)?;
    let subject = Subject { text: text(args, 0), is_cancelled: cx.is_cancelled };
    cx.site.regex.is_match(subject)
}

fn matches<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    give_bool(is_match(args, false, cx)?)
}

fn matches_any_case<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    give_bool(is_match(args, true, cx)?)
}

fn matches_not<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    give_bool(!is_match(args, false, cx)?)
}

fn matches_not_any_case<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    give_bool(!is_match(args, true, cx)?)
}

fn like<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let message = "regexp_like() does not support the \"global\" option";
    prepare(args, flags_without_g(args, 2, message)?, cx)?;
    let subject = Subject { text: text(args, 0), is_cancelled: cx.is_cancelled };
    give_bool(cx.site.regex.is_match(subject)?)
}

/// An argument that counts from `least`, or 1 where it is missing.
fn counted(
    args: &[Value<'_>],
    index: usize,
    least: i64,
    default: i64,
    message: &'static str,
) -> Result<usize, Problem> {
    let number = if args.len() > index { int(args, index) } else { default };
    if number < least {
        return Err(Problem::count("22023", message, number));
    }
    Ok(number as usize)
}

const BAD_START: &str = "invalid value for parameter \"start\": #";
const BAD_N: &str = "invalid value for parameter \"n\": #";
const BAD_OPTION: &str = "invalid value for parameter \"endoption\": #";
const BAD_BRACKET: &str = "invalid value for parameter \"subexpr\": #";

fn count<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let start = counted(args, 2, 1, 1, BAD_START)?;
    let message = "regexp_count() does not support the \"global\" option";
    prepare(args, flags_without_g(args, 3, message)?, cx)?;
    let Some(mut matches) = from_char(text(args, 0), start, cx) else { return give_count(0) };
    let mut count = 0;
    while matches.next()?.is_some() {
        count += 1;
    }
    give_count(count)
}

/// A search from a character on, counted from 1; none behind the end.
fn from_char<'r>(text: &'r str, start: usize, cx: &'r mut Context<'_>) -> Option<Matches<'r, 'r>> {
    let from = offset_of(text, start - 1);
    if from == text.len() && start - 1 > count_chars(text) {
        return None;
    }
    let subject = Subject { text, is_cancelled: cx.is_cancelled };
    Some(Matches::new(&mut cx.site.regex, subject, from))
}

/// The n-th match, or the part of it that a bracket has matched.
fn nth(
    args: &[Value<'_>],
    start: usize,
    n: usize,
    bracket: usize,
    cx: &mut Context<'_>,
) -> Result<Option<Span>, Problem> {
    let Some(mut matches) = from_char(text(args, 0), start, cx) else { return Ok(None) };
    let mut found = matches.next()?;
    for _ in 1..n {
        if found.is_none() {
            break;
        }
        found = matches.next()?;
    }
    let Some(span) = found else { return Ok(None) };
    if bracket == 0 {
        return Ok(Some(span));
    }
    matches.cut(span)?;
    Ok(matches.regex.capture(bracket - 1))
}

fn instr<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let start = counted(args, 2, 1, 1, BAD_START)?;
    let n = counted(args, 3, 1, 1, BAD_N)?;
    let option = counted(args, 4, 0, 0, BAD_OPTION)?;
    if option > 1 {
        return Err(Problem::count("22023", BAD_OPTION, option as i64));
    }
    let bracket = counted(args, 6, 0, 0, BAD_BRACKET)?;
    let message = "regexp_instr() does not support the \"global\" option";
    prepare(args, flags_without_g(args, 5, message)?, cx)?;
    let found = nth(args, start, n, bracket, cx)?;
    give_count(found.map_or(0, |(start, end)| {
        let at = if option == 1 { end } else { start };
        count_chars(text(args, 0).get(..at).unwrap_or("")) + 1
    }))
}

fn substr<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let start = counted(args, 2, 1, 1, BAD_START)?;
    let n = counted(args, 3, 1, 1, BAD_N)?;
    let bracket = counted(args, 5, 0, 0, BAD_BRACKET)?;
    let message = "regexp_substr() does not support the \"global\" option";
    prepare(args, flags_without_g(args, 4, message)?, cx)?;
    let found = nth(args, start, n, bracket, cx)?;
    give_part(text(args, 0), found)
}

/// A part of a text, or NULL.
fn give_part(text: &str, span: Option<Span>) -> Answer<'_> {
    match span.and_then(|(start, end)| text.get(start..end)) {
        Some(part) => give_text(part),
        None => Ok(Output::NULL),
    }
}

fn substring<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    prepare(args, Flags::default(), cx)?;
    first_part(args, cx)
}

/// The first bracket of the first match, or all of it.
fn first_part<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let bracket = usize::from(cx.site.regex.captures_count() > 0);
    let found = nth(args, 1, 1, bracket, cx)?;
    give_part(text(args, 0), found)
}

fn substring_similar<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let start = cx.sink.len();
    to_regex(text(args, 1), text(args, 2), cx.sink)?;
    let pattern = core::str::from_utf8(cx.sink.bytes().get(start..).unwrap_or(&[])).unwrap_or("");
    cx.site.regex.prepare(pattern, Flags::default())?;
    cx.sink.truncate(start);
    first_part(args, cx)
}

fn similar_to_escape<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let escape = if args.len() > 1 { text(args, 1) } else { "\\" };
    to_regex(text(args, 0), escape, cx.sink)?;
    WRITTEN
}

fn similar_escape<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let Some(pattern) = text_of(value(args, 0)) else { return Ok(Output::NULL) };
    to_regex(pattern, text_of(value(args, 1)).unwrap_or("\\"), cx.sink)?;
    WRITTEN
}

fn first_match<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let flags = flags_without_g(args, 2, "regexp_match() does not support the \"global\" option")
        .map_err(|problem| problem.hinted("Use the regexp_matches function instead."))?;
    prepare(args, flags, cx)?;
    let Context { site, sink, is_cancelled, .. } = cx;
    let subject = Subject { text: text(args, 0), is_cancelled: *is_cancelled };
    let mut matches = Matches::new(&mut site.regex, subject, 0);
    match matches.next()? {
        None => give(Value::Null),
        Some(span) => {
            matches.write(span, *sink)?;
            WRITTEN
        }
    }
}

impl Matches<'_, '_> {
    /// Appends the array of what the brackets have matched, or of the whole match where there are none.
    pub(crate) fn write(&mut self, span: Span, sink: &mut dyn Sink) -> Result<(), Problem> {
        self.cut(span)?;
        let mut builder = Builder::in_sink(sink)?;
        let count = self.regex.captures_count();
        if count == 0 {
            builder.push(Value::Text(self.subject.text.get(span.0..span.1).unwrap_or("")))?;
        }
        for number in 1..=count {
            builder.push(self.bracket(number).map_or(Value::Null, Value::Text))?;
        }
        builder.finish()?;
        Ok(())
    }
}

fn replace<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    replace_from(args, Flags::default(), 1, 1, cx)
}

fn replace_flags<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let letters = text(args, 3);
    if letters.starts_with(|c: char| c.is_ascii_digit()) {
        let problem = Problem::about(
            "22023",
            "invalid regular expression option: \"%\"",
            letters.get(..1).unwrap_or(""),
        );
        return Err(problem.hinted(
            "If you meant to use regexp_replace() with a start parameter, cast the fourth argument to integer explicitly.",
        ));
    }
    let flags = Flags::parse(letters)?;
    replace_from(args, flags, 1, usize::from(!flags.is_global), cx)
}

fn replace_nth<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let start = counted(args, 3, 1, 1, BAD_START)?;
    let flags = Flags::parse(if args.len() > 5 { text(args, 5) } else { "" })?;
    // A count that is given wins over the flag.
    let n = match args.len() > 4 {
        true => counted(args, 4, 0, 1, BAD_N)?,
        false => usize::from(!flags.is_global),
    };
    replace_from(args, flags, start, n, cx)
}

/// Replaces the n-th match from a character on, or all for 0.
fn replace_from<'v>(
    args: &[Value<'v>],
    flags: Flags,
    start: usize,
    n: usize,
    cx: &mut Context<'_>,
) -> Answer<'v> {
    prepare(args, flags, cx)?;
    let (text, replacement) = (text(args, 0), text(args, 2));
    let has_parts = replacement.contains('\\');
    let from = offset_of(text, start - 1);
    let Context { site, sink, is_cancelled, .. } = cx;
    let subject = Subject { text, is_cancelled: *is_cancelled };
    let mut matches = Matches::new(&mut site.regex, subject, from);
    let (mut done, mut count) = (0, 0);
    let mut is_changed = false;
    while let Some(span) = matches.next()? {
        count += 1;
        if n > 0 && count < n {
            continue;
        }
        is_changed = true;
        sink.append(text.as_bytes().get(done..span.0).unwrap_or(&[]))?;
        if has_parts {
            matches.cut(span)?;
            matches.write_replacement(replacement, span, *sink)?;
        } else {
            sink.append(replacement.as_bytes())?;
        }
        done = span.1;
        if n > 0 {
            break;
        }
    }
    if !is_changed {
        return give_text(text);
    }
    sink.append(text.as_bytes().get(done..).unwrap_or(&[]))?;
    WRITTEN
}

impl Matches<'_, '_> {
    /// Appends a replacement with `\1` to `\9` and `\&` filled in.
    fn write_replacement(&self, replacement: &str, span: Span, sink: &mut dyn Sink) -> Result<(), Problem> {
        let mut rest = replacement;
        while let Some((before, behind)) = rest.split_once('\\') {
            sink.append(before.as_bytes())?;
            let mut characters = behind.chars();
            let part = match characters.next() {
                Some(digit @ '1'..='9') => self.bracket(digit as usize - '0' as usize).unwrap_or(""),
                Some('&') => self.subject.text.get(span.0..span.1).unwrap_or(""),
                Some('\\') => "\\",
                _ => {
                    // Nothing that is known: the backslash stands for itself.
                    sink.append(b"\\")?;
                    rest = behind;
                    continue;
                }
            };
            sink.append(part.as_bytes())?;
            rest = characters.as_str();
        }
        Ok(sink.append(rest.as_bytes())?)
    }
}

/// Parts of a text between matches; an empty match at the start, at the end or right behind another does not part anything.
pub(crate) fn next_part<'t>(
    text: &'t str,
    rest: &mut Option<(usize, usize)>,
    regex: &mut Regex,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<Option<&'t str>, Problem> {
    let Some((begin, mut from)) = *rest else { return Ok(None) };
    let subject = Subject { text, is_cancelled };
    loop {
        match regex.find(subject, from)? {
            None => break,
            Some((start, end)) => {
                let parts = end > start || (start > begin && start < text.len());
                match after(text, start, end) {
                    _ if parts => {
                        *rest = Some((
                            end,
                            if end > start { end } else { after(text, start, end).unwrap_or(end) },
                        ));
                        return Ok(text.get(begin..start));
                    }
                    Some(next) => from = next,
                    None => break,
                }
            }
        }
    }
    *rest = None;
    Ok(text.get(begin..))
}

fn split<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let message = "regexp_split_to_array() does not support the \"global\" option";
    prepare(args, flags_without_g(args, 2, message)?, cx)?;
    let Context { site, sink, is_cancelled, .. } = cx;
    let mut builder = Builder::in_sink(*sink)?;
    let mut rest = Some((0, 0));
    while let Some(part) = next_part(text(args, 0), &mut rest, &mut site.regex, *is_cancelled)? {
        builder.push(Value::Text(part))?;
    }
    builder.finish()
}
