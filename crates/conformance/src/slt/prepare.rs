//! What the original form has and the crate's parser does not know.
//!
//! - Comments behind conditions: `skipif mysql # not compatible`.
//! - Conditions of a halt, which the parser would hand to the next record.
//! - White space behind words, and `\r\n` at the ends of lines.
//!
//! Lines keep their numbers: what goes is left empty.

/// The text that the crate's parser reads, for an engine of the name `engine`.
pub(super) fn prepare(text: &str, engine: &str) -> String {
    let mut lines: Vec<&str> = text.lines().map(|line| line.trim_end_matches('\r')).collect();
    let mut is_start = true;
    let mut conditions = Vec::new();
    for index in 0..lines.len() {
        let line = lines[index];
        if line.trim().is_empty() {
            lines[index] = "";
            is_start = true;
            continue;
        }
        if !is_start || line.starts_with('#') {
            continue;
        }
        let words = line.split('#').next().unwrap_or(line).trim_end();
        match words.split_whitespace().next() {
            Some("skipif" | "onlyif") => {
                lines[index] = words;
                conditions.push(index);
            }
            Some("halt") => {
                let is_reached = conditions.iter().all(|&condition| holds(lines[condition], engine));
                for condition in conditions.drain(..) {
                    lines[condition] = "";
                }
                lines[index] = if is_reached { "halt" } else { "" };
            }
            Some("hash-threshold") => lines[index] = words,
            _ => {
                conditions.clear();
                is_start = false;
            }
        }
    }
    let mut prepared = lines.join("\n");
    prepared.push('\n');
    prepared
}

fn holds(condition: &str, engine: &str) -> bool {
    let mut words = condition.split_whitespace();
    let is_only = words.next() == Some("onlyif");
    (words.next() == Some(engine)) == is_only
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_behind_conditions_go_and_those_in_statements_stay() {
        let text = "skipif mysql # not compatible\r\nonlyif postgresql\nquery I\nSELECT 1 -- # no\n----\n# 1\n\nhash-threshold 8 \n";
        let expected =
            "skipif mysql\nonlyif postgresql\nquery I\nSELECT 1 -- # no\n----\n# 1\n\nhash-threshold 8\n";
        assert_eq!(prepare(text, "postgresql"), expected);
    }

    #[test]
    fn a_halt_is_kept_where_its_conditions_hold() {
        for (conditions, is_kept) in [
            ("", true),
            ("skipif sqlite\n", true),
            ("onlyif sqlite\n", false),
            ("skipif postgresql # never\n", false),
            ("onlyif postgresql\nskipif mysql\n", true),
        ] {
            let text = format!("{conditions}halt\n\nstatement ok\nSELECT 1\n");
            let prepared = prepare(&text, "postgresql");
            assert_eq!(prepared.contains("halt"), is_kept, "{text}");
            assert!(!prepared.contains("if "), "{prepared}");
            assert_eq!(prepared.lines().count(), text.lines().count());
        }
    }
}
