//! Random patterns against another engine, and random texts for everything that reads a little language.

use crate::support::{Call, World};
use cofferdam_arena::Budget;
use proptest::prelude::*;

/// Patterns over two letters, in the syntax that both engines share.
fn pattern() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => Just("a".to_string()),
        4 => Just("b".to_string()),
        1 => Just(".".to_string()),
        1 => Just("[ab]".to_string()),
        1 => Just("[^a]".to_string()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let quantifier = prop_oneof![
            Just("*"),
            Just("+"),
            Just("?"),
            Just("{2}"),
            Just("{1,2}"),
            Just("{0,1}"),
            Just("{2,}")
        ];
        prop_oneof![
            (inner.clone(), quantifier).prop_map(|(inner, quantifier)| format!("(?:{inner}){quantifier}")),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("(?:{})", parts.join("|"))),
            inner.prop_map(|inner| format!("({inner})")),
        ]
    })
}

/// The first and longest match, found by trying all pieces of the text.
fn longest_match<'t>(pattern: &str, text: &'t str) -> Option<&'t str> {
    let whole = regex::Regex::new(&format!("^(?:{pattern})$")).unwrap();
    (0..=text.len()).find_map(|start| {
        let ends = (start..=text.len()).rev();
        ends.map(|end| &text[start..end]).find(|piece| whole.is_match(piece))
    })
}

fn quoted(text: &str) -> String {
    format!("'{}'::text", text.replace('\'', "''"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// The match is the longest of those that start first.
    #[test]
    fn matches_are_first_and_longest(pattern in pattern(), text in "[abc]{0,9}") {
        let budget = Budget::unlimited("test").unwrap();
        let mut world = World::new(&budget, &budget);
        // Around the whole there are brackets, so that the whole is what is given.
        let call = Call::parse(&format!("substring({}, {})", quoted(&text), quoted(&format!("({pattern})"))));
        let found = call.answer(&mut world).unwrap().1;
        let expected = longest_match(&pattern, &text);
        prop_assert_eq!(found.as_deref(), expected, "{} in {}", pattern, text);
        let call = Call::parse(&format!("{} ~ {}", quoted(&text), quoted(&pattern)));
        let is_match = call.answer(&mut world).unwrap().1;
        prop_assert_eq!(is_match.as_deref(), Some(if expected.is_some() { "t" } else { "f" }));
    }

    /// What brackets match lies within the match, and is matched by what is in the brackets.
    #[test]
    fn brackets_match_what_is_in_them(head in pattern(), inner in pattern(), tail in pattern(), text in "[ab]{0,9}") {
        let budget = Budget::unlimited("test").unwrap();
        let mut world = World::new(&budget, &budget);
        let strip = |pattern: &str| pattern.replace("(?:", "(").replace('(', "(?:");
        let (head, inner, tail) = (strip(&head), strip(&inner), strip(&tail));
        let pattern = format!("({head})({inner})({tail})");
        let call = Call::parse(&format!("regexp_replace({}, {}, '<\\1|\\2|\\3>')", quoted(&text), quoted(&pattern)));
        let replaced = call.answer(&mut world).unwrap().1.unwrap();
        let Some(whole) = longest_match(&pattern, &text) else {
            prop_assert_eq!(replaced, text);
            return Ok(());
        };
        let inside = replaced.split_once('<').unwrap().1.split_once('>').unwrap().0.to_string();
        let parts: Vec<&str> = inside.split('|').collect();
        prop_assert_eq!(parts.concat(), whole);
        for (part, pattern) in parts.iter().zip([&head, &inner, &tail]) {
            let whole = regex::Regex::new(&format!("^(?:{pattern})$")).unwrap();
            prop_assert!(whole.is_match(part), "{} by {} of {}", part, pattern, text);
        }
        // The first part takes as much as it can, if it prefers anything: no longer one leaves a rest that fits.
        let rest = regex::Regex::new(&format!("^(?:{inner})(?:{tail})$")).unwrap();
        let first = regex::Regex::new(&format!("^(?:{head})$")).unwrap();
        let longest = (0..=whole.len()).rev().find(|at| first.is_match(&whole[..*at]) && rest.is_match(&whole[*at..]));
        prop_assert_eq!(longest, Some(parts[0].len()));
    }

    /// Any text is a pattern, a template and so on, or is refused.
    #[test]
    fn no_text_stops_the_program(a in "\\PC{0,12}", b in "[\\\\%$*()\\[\\]{}|+?.:=!<>#\"'0-9A-Za-z,;/ -]{0,12}") {
        let budget = Budget::unlimited("test").unwrap();
        let mut world = World::new(&budget, &budget);
        for (first, second) in [(&a, &b), (&b, &a), (&b, &b)] {
            let (first, second) = (quoted(first), quoted(second));
            let number = "'-1234.5'::numeric";
            let moment = "'2024-02-29 13:05:09.5'::timestamp";
            for call in [
                format!("{first} ~ {second}"),
                format!("{first} ~* {second}"),
                format!("regexp_replace({first}, {second}, {first}, 'g'::text)"),
                format!("regexp_split_to_array({first}, {second})"),
                format!("regexp_match({first}, {second})"),
                format!("substring({first}, {second}, '#'::text)"),
                format!("similar_to_escape({first})"),
                format!("format({second}, {first}, {first})"),
                format!("to_char({number}, {second})"),
                format!("to_char('1e300'::float8, {second})"),
                format!("to_char({moment}, {second})"),
                format!("to_char('-1 mon 30:00:00'::interval, {second})"),
                format!("to_date({first}, {second})"),
                format!("to_timestamp({first}, {second})"),
                format!("to_number({first}, {second})"),
                format!("unistr({first})"),
                format!("decode({first}, 'escape'::text)"),
                format!("decode({first}, 'base64'::text)"),
                format!("quote_ident({first})"),
                format!("date_trunc({first}, {moment})"),
                format!("string_to_array({first}, {second})"),
                format!("translate({first}, {second}, {first})"),
                format!("overlay({first}, {second}, '3'::integer)"),
                format!("to_jsonb({first})"),
                format!("timezone({first}, {moment})"),
            ] {
                // A refusal has a code; an answer is made of texts that are UTF-8, which reading it back checks.
                if let Err((code, _)) = Call::parse(&call).answer(&mut world) {
                    prop_assert_eq!(code.len(), 5, "{}", call);
                    prop_assert_ne!(code, "42883", "{}", call);
                }
            }
        }
    }

    /// What is quoted reads back.
    #[test]
    fn encodings_read_back(text in "\\PC{0,40}") {
        let budget = Budget::unlimited("test").unwrap();
        let mut world = World::new(&budget, &budget);
        let mut ask = |call: String| Call::parse(&call).answer(&mut world).unwrap().1.unwrap();
        for form in ["hex", "base64", "escape"] {
            let bytes = ask(format!("convert_to({}, 'UTF8')", quoted(&text)));
            let encoded = ask(format!("encode('{bytes}'::bytea, '{form}')"));
            let decoded = ask(format!("decode({}, '{form}')", quoted(&encoded)));
            prop_assert_eq!(&decoded, &bytes);
            prop_assert_eq!(ask(format!("convert_from('{decoded}'::bytea, 'UTF8')")), text.clone());
        }
        let json = ask(format!("to_json({})", quoted(&text)));
        let path = "'{}'::text[]";
        let back = ask(format!("{}::json #>> {path}", quoted(&json).trim_end_matches("::text")));
        prop_assert_eq!(back, text.clone());
        let reversed = ask(format!("reverse({})", quoted(&text)));
        prop_assert_eq!(ask(format!("reverse({})", quoted(&reversed))), text.clone());
    }
}
