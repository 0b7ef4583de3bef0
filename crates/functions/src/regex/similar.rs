//! Patterns of `SIMILAR TO` as regular expressions.

use crate::context::{Problem, Sink};

/// Appends the regular expression that a pattern of `SIMILAR TO` stands for. `escape` is the character that takes the
/// meaning of the next; none where it is an empty text.
///
/// `%` and `_` become `.*` and `.`, and what means nothing in SQL is escaped. Two of the escape followed by `"` part the pattern
/// for `substring`: what is between them is captured, and what is before takes as little as it can.
pub(crate) fn to_regex(pattern: &str, escape: &str, sink: &mut dyn Sink) -> Result<(), Problem> {
    let mut escapes = escape.chars();
    let escape = escapes.next();
    if escapes.next().is_some() {
        return Err(Problem::new("22025", "invalid escape string")
            .hinted("Escape string must be empty or one character."));
    }
    let mut quotes = 0;
    let mut is_bracket = false;
    sink.append(b"^(?:")?;
    let mut characters = pattern.chars().peekable();
    while let Some(c) = characters.next() {
        if Some(c) == escape {
            let Some(next) = characters.next() else { break };
            if next == '"' && !is_bracket {
                quotes += 1;
                let part: &[u8] = match quotes {
                    1 => b"){1,1}?(",
                    2 => b"){1,1}(?:",
                    _ => {
                        return Err(Problem::new(
                            "2200C",
                            "SQL regular expression may not contain more than two escape-double-quote separators",
                        ));
                    }
                };
                sink.append(part)?;
            } else {
                append_escaped(next, sink)?;
            }
            continue;
        }
        if is_bracket {
            if c == '\\' {
                sink.append(b"\\")?;
            }
            append(c, sink)?;
            is_bracket = c != ']';
            continue;
        }
        match c {
            '[' => {
                is_bracket = true;
                sink.append(b"[")?;
                // A closing bracket may stand first.
                if characters.next_if_eq(&'^').is_some() {
                    sink.append(b"^")?;
                }
                if characters.next_if_eq(&']').is_some() {
                    sink.append(b"]")?;
                }
            }
            '%' => sink.append(b".*")?,
            '_' => sink.append(b".")?,
            '(' => sink.append(b"(?:")?,
            '\\' | '.' | '^' | '$' => {
                sink.append(b"\\")?;
                append(c, sink)?;
            }
            c => append(c, sink)?,
        }
    }
    Ok(sink.append(b")$")?)
}

fn append(c: char, sink: &mut dyn Sink) -> Result<(), Problem> {
    Ok(sink.append(c.encode_utf8(&mut [0; 4]).as_bytes())?)
}

/// A character without its meaning.
fn append_escaped(c: char, sink: &mut dyn Sink) -> Result<(), Problem> {
    if !c.is_alphanumeric() {
        sink.append(b"\\")?;
    }
    append(c, sink)
}
