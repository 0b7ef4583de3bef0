//! `sql check -0` and `sql print -0`: one line, or one entry, for each text, whatever it is.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use crate::support::{Folder, Outcome, assert_fails, program, run, run_with};

fn check(input: &[u8]) -> Outcome {
    run_with(&["sql", "check", "-0", "-"], input)
}

fn lines(input: &[u8]) -> Vec<String> {
    let outcome = check(input);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    outcome.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn each_text_has_a_line() {
    let found = lines(b"select 1\0select 1 +\0select a b c from t\0select 2;");
    assert_eq!(found.len(), 4);
    assert_eq!((found[0].as_str(), found[3].as_str()), ("OK", "OK"));
    assert!(found[1].starts_with("ERR 10 syntax error at the end of the text"), "{found:?}");
    assert!(found[2].starts_with("ERR 11 syntax error at \"c\""), "{found:?}");
}

/// Aim: separated or terminated comes to the same, and an empty text is SQL.
#[test]
fn a_nul_byte_at_the_end_begins_no_text() {
    assert_eq!(lines(b"").len(), 0);
    assert_eq!(lines(b"\0"), ["OK"]);
    assert_eq!(lines(b"select 1\0"), lines(b"select 1"));
    assert_eq!(lines(b"\0\0 ;; \0-- nothing\0"), ["OK", "OK", "OK", "OK"]);
}

#[test]
fn a_text_may_have_several_statements() {
    assert_eq!(lines(b"select 1; select 2;\0;select 1"), ["OK", "OK"]);
    let found = lines("select 'é'; select 1 +; select".as_bytes());
    assert!(found[0].starts_with("ERR 23 "), "offsets are bytes of the whole text: {found:?}");
}

#[test]
fn nothing_in_a_text_stops_those_after_it() {
    let deep = "(".repeat(100_000);
    let texts: [&[u8]; 9] = [
        b"select \xFF\xFE, 1",
        b"select \x1b[2J \x07\n\r",
        b"select 'never closed",
        b"/* never closed",
        b"select $x$ never closed",
        b"\"\" U&\"\\zzzz\" 1a 0x \\",
        format!("select {deep}1").leak().as_bytes(),
        format!("select {deep}1{}", ")".repeat(100_000)).leak().as_bytes(),
        b"select 1",
    ];
    let found = lines(&texts.join(&0));
    assert_eq!(found.len(), texts.len());
    assert!(found[0].starts_with("ERR 7 the text is not valid UTF-8"), "{}", found[0]);
    assert!(found[1].starts_with("ERR 7 syntax error at \"\\u{1b}\""), "{}", found[1]);
    for line in &found[2..7] {
        assert!(line.starts_with("ERR "), "{line}");
    }
    assert_eq!(found[7..], ["OK", "OK"]);
}

/// Aim: a text beyond the limit has its line, and gives back what it took. Method: texts longer than the limit, and one
/// whose tree does not fit, between small ones.
#[test]
fn a_text_beyond_the_limit_is_out_of_memory() {
    let long = format!("select '{}'", "x".repeat(5_000_000));
    let large = format!("select {}", vec!["1"; 50_000].join(","));
    let texts = ["select 1", &long, "select 2", &large, "select 3", &long];
    for (limit, expected) in [("4MiB", 3), ("64MiB", 0)] {
        let input = texts.join("\0");
        let outcome = run_with(&["--memory", limit, "sql", "check", "-0", "-"], input.as_bytes());
        let found: Vec<&str> = outcome.stdout.lines().collect();
        assert_eq!((outcome.code, outcome.stderr.as_str(), found.len()), (0, "", texts.len()));
        assert_eq!((found[0], found[2], found[4]), ("OK", "OK", "OK"));
        let refused = found.iter().filter(|line| line.starts_with("ERR 0 out of memory in process/")).count();
        assert_eq!(refused, expected, "{limit}: {found:?}");
    }
}

/// Aim: one process can answer one question after the other. Method: the next text is written after the answer was read.
#[test]
fn an_answer_does_not_wait_for_the_next_text() {
    let mut child = program(&["sql", "check", "-0", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    for _ in 0..3 {
        stdin.write_all(b"select 1\0").expect("it reads");
        stdin.flush().expect("it reads");
        let mut line = String::new();
        stdout.read_line(&mut line).expect("it writes");
        assert_eq!(line, "OK\n");
    }
    drop(stdin);
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn each_text_has_an_entry_of_print() {
    let input = b"select  A\0select 1 +\0select 1;select 2\0\0select 1; nonsense\0\xFF\0select 'x'";
    let outcome = run_with(&["sql", "print", "-0", "-"], input);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    assert_eq!(outcome.stdout, "SELECT a\0\0SELECT 1; SELECT 2\0\0\0\0SELECT 'x'\0");
}

#[test]
fn a_file_is_read_as_standard_input_is() {
    let folder = Folder::new();
    folder.file("texts.nul", b"select 1\0select");
    let path = folder.path().join("texts.nul");
    let outcome = run(&["sql", "check", "-0", path.to_str().expect("UTF-8")]);
    assert_eq!((outcome.code, outcome.stdout.lines().count()), (0, 2));
    for missing in ["no/such/file", folder.path().to_str().expect("UTF-8")] {
        let outcome = run(&["sql", "check", "-0", missing]);
        assert_ne!(outcome.code, 0);
        assert!(outcome.stderr.contains(missing), "{}", outcome.stderr);
        assert_eq!(outcome.stdout, "");
    }
    assert_fails(&run(&["--memory", "2MiB", "sql", "check", "-0", "-"]), 2, &["too small"]);
}
