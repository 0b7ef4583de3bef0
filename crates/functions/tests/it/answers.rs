//! Calls with the answers of PostgreSQL 15, from the files in `tests/answers`.
//!
//! A line is a call, its type, and its value or `NULL`; or a call, `!` and SQLSTATE with the message. The files are
//! written by `oracle/functions.py`, which asks a server.

use crate::support::{Call, World};
use cofferdam_arena::Budget;
use cofferdam_testkit::Failure;
use cofferdam_testkit::inject::Injection;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The lines of all files that are no comments.
fn cases() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/answers");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        for (index, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
            if !line.is_empty() && !line.starts_with("--") {
                cases.push((format!("{name}:{}", index + 1), line.to_string()));
            }
        }
    }
    cases
}

/// Line breaks and tabs are written as escapes in the files.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t").replace('\r', "\\r")
}

#[test]
fn answers_are_those_of_postgresql() {
    let budget = Budget::unlimited("test").unwrap();
    let mut world = World::new(&budget, &budget);
    let mut wrong = Vec::new();
    let cases = cases();
    for (place, line) in &cases {
        let mut parts = line.splitn(3, '\t');
        let (call, kind) = (parts.next().unwrap(), parts.next().unwrap_or(""));
        let expected = format!("{kind}\t{}", parts.next().unwrap_or(""));
        let found = match Call::parse(call).answer(&mut world) {
            Ok((ty, text)) => {
                format!("{}\t{}", ty.name(), text.map_or("NULL".to_string(), |text| escaped(&text)))
            }
            // Of refused values the code counts: their messages are those of another crate.
            Err((code, message)) => format!("! {code}\t{}", escaped(&message)),
        };
        let same = match expected.strip_prefix('!') {
            Some(_) if !found.starts_with('!') => false,
            Some(_) => found.get(..7) == expected.get(..7) && is_same_message(&found, &expected),
            None => found == expected,
        };
        if !same {
            wrong.push(format!("{place}: {call}\n    expected {expected}\n    found    {found}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Each answer is asked for again and again, with each charge of memory refused in turn: it fails as out of memory, gives
/// everything back, and leaves what the sink had.
#[test]
fn refused_memory_is_an_error_and_nothing_else() {
    let arguments = Budget::unlimited("arguments").unwrap();
    let root = Budget::unlimited("test").unwrap();
    let budget = root.child("call", u64::MAX).unwrap();
    let mut refused_count = 0;
    for (place, line) in cases() {
        let (text, kind) = line.split_once('\t').unwrap();
        if kind.starts_with('!') {
            continue;
        }
        let call = Call::parse(text);
        let injected = Injection::new().run(&budget, |budget| {
            let mut world = World::new(&arguments, budget);
            call.answer(&mut world).map_err(|(code, message)| Failure::of(budget, &message, code == "53200"))
        });
        refused_count +=
            injected.unwrap_or_else(|finding| panic!("{place}: {text}: {finding}")).refused_count;
    }
    assert!(refused_count > 5000, "only {refused_count} charges were refused");
}

/// Whether messages agree where both have one that is not cut, and are no messages about values.
fn is_same_message(found: &str, expected: &str) -> bool {
    let (found, expected) = (&found[7..], &expected[7..]);
    let of_values = ["out of range", "invalid input syntax", "division by zero", "overflow"];
    found.trim().is_empty()
        || found.contains("...")
        || of_values.iter().any(|piece| found.contains(piece))
        || found.trim() == expected.trim()
}

#[test]
fn every_function_has_an_answer() {
    let called: BTreeSet<String> = cases()
        .iter()
        .filter_map(|(_, line)| {
            Some(Call::parse(line.split('\t').next()?).resolve().ok()?.id.function().name().to_string())
        })
        .collect();
    let entries = cofferdam_functions::functions().chain(cofferdam_functions::operators());
    let missing: BTreeSet<&str> =
        entries.map(|entry| entry.name()).filter(|name| !called.contains(*name)).collect();
    assert!(missing.is_empty(), "no answers for {missing:?}");
}
