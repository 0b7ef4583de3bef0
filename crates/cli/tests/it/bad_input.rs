//! Whatever is wrong with the input: a clear message, the exit code, no panic.

use crate::support::{Folder, assert_fails, run, run_with};

fn query(sql: &str) -> crate::support::Outcome {
    run(&["-c", sql])
}

#[test]
fn malformed_sql_is_shown_with_its_place() {
    let outcome = query("select 1 as one,\n       2 as two,\nfrom t");
    assert_fails(&outcome, 1, &["error[42601]", "-c:3:1", "3 | from t", "^^^^"]);
    assert_fails(&query("select (((1"), 1, &["error[42601]", "not closed"]);
    assert_fails(&query("select 'abc"), 1, &["error[42601]: unterminated string"]);
    assert_fails(&query("/* abc; select 1"), 1, &["error[42601]: unterminated comment"]);
    assert_fails(&query("\u{1F600}"), 1, &["error[42601]"]);
    assert_fails(&query(&"(".repeat(20_000)), 1, &["error[42601]"]);
}

#[test]
fn missing_and_unusable_files() {
    let folder = Folder::new();
    let outcome = query("select * from '/nowhere/at/all.csv'");
    assert_fails(&outcome, 1, &["error[58P01]", "\"/nowhere/at/all.csv\"", "-c:1:15"]);
    assert_fails(
        &query(&format!("select * from '{}'", folder.path().display())),
        1,
        &["error[42809]", "is a directory"],
    );
}

/// Aim: no data and no name acts on the terminal by way of an error. Method: an escape sequence in each place.
#[test]
fn errors_show_control_characters_as_escapes() {
    let folder = Folder::new();
    let file = folder.file("red.csv", "n\n1\n\u{1b}[31mred\u{7}\n");
    let sum = format!("select sum(n) from {file} as t(n integer)");
    for sql in
        [&sum, "select \"\u{1b}[31mred\"", "select '\u{1b}[31mred'::integer", "select * from '\u{1b}[31mred'"]
    {
        for mode in ["table", "csv"] {
            let outcome = run(&["--mode", mode, "-c", sql]);
            assert_fails(&outcome, 1, &["error[", "\\u{1b}[31mred"]);
            assert!(!outcome.stderr.contains(['\u{1b}', '\u{7}']), "{}", outcome.stderr);
        }
    }
    assert_fails(&run_with(&[], b".\x1b[31m\n"), 1, &["unknown command `.\\u{1b}[31m`"]);
}

/// Aim: what can be read only once is no table. Method: a pipe that holds more than a sample, in every way.
#[test]
fn pipes_are_refused() {
    let rows = "1\n".repeat(300_000);
    let outcome = run_with(&["-c", "select count(*) from '/dev/stdin'"], rows.as_bytes());
    assert_fails(&outcome, 1, &["error[42809]", "is a pipe or a device"]);
    let folder = Folder::new();
    let path = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
    assert!(made.success());
    // Nobody writes to it.
    let outcome = query(&format!("select * from '{}'", path.display()));
    assert_fails(&outcome, 1, &["error[42809]", "is a pipe or a device"]);
}

#[test]
fn ragged_rows_bad_numbers_and_bad_dates_name_their_line() {
    let folder = Folder::new();
    let rows = |bad: &str| format!("n,d\n{}{bad}\n3,2024-01-03\n", "1,2024-01-01\n".repeat(300));
    let ragged = folder.file("ragged.csv", rows("2,2024-01-02,x"));
    let number = folder.file("number.csv", rows("2x,2024-01-02"));
    let date = folder.file("date.csv", rows("2,2024-02-30"));
    let sum = |file: &str| query(&format!("select sum(n), max(d) from {file} as t(n integer, d date)"));
    assert_fails(&sum(&ragged), 1, &["error[22P04]", "line 302", "3 fields instead of 2"]);
    assert_fails(&sum(&number), 1, &["error[22P02]", "line 302", "\"2x\"", "type integer"]);
    assert_fails(&sum(&date), 1, &["error[22008]", "line 302", "\"2024-02-30\""]);
}

#[test]
fn nul_bytes_are_errors_wherever_they_stand() {
    let folder = Folder::new();
    let file = folder.file("nul.csv", b"a,b\n1,x\n2,\0\n");
    assert_fails(&query(&format!("select * from {file}")), 1, &["error[22021]", "NUL byte at offset 10"]);
    assert_fails(&run_with(&[], b"select '\0';"), 1, &["error[22021]", "NUL byte at offset 8"]);
}

#[test]
fn input_that_is_not_utf_8_is_an_error_of_its_statement() {
    let outcome = run_with(&["--mode", "csv"], b"select 1 as a;\nselect '\xff';\nselect 2 as b;");
    assert_eq!(outcome.stdout, "a\r\n1\r\nb\r\n2\r\n");
    assert_fails(&outcome, 1, &["error[22021]: stdin line 2 is not valid UTF-8"]);
}

/// Aim: a file of one line of 100 MB is refused by the limit, and the rest of the session goes on.
#[test]
fn a_file_of_one_huge_line_does_not_fit() {
    let folder = Folder::new();
    let file = folder.file("line.csv", vec![b'x'; 100_000_000]);
    let sql = format!("select count(*) from {file}");
    let outcome = run(&["--memory", "16MiB", "--mode", "csv", "-c", &sql, "-c", "select 1 as a"]);
    assert_eq!(outcome.stdout, "a\r\n1\r\n");
    assert_fails(
        &outcome,
        1,
        &["error[53200]", "out of memory in process/db/statement", "raise memory_limit"],
    );
}

#[test]
fn a_statement_that_is_longer_than_memory_is_refused() {
    let mut input = b"select 1 as a;\nselect '".to_vec();
    input.resize(40_000_000, b'x');
    let outcome = run_with(&["--memory", "16MiB", "--mode", "csv"], &input);
    assert_eq!(outcome.stdout, "a\r\n1\r\n");
    assert_fails(&outcome, 1, &["error[53200]", "line 2 of stdin", "16.0 MiB", "--memory"]);
}

#[test]
fn limits_that_leave_no_room_are_usage_errors() {
    for limit in ["0", "1", "64KiB", "2MiB"] {
        assert_fails(
            &run(&["--memory", limit, "-c", "select 1"]),
            2,
            &["is too small", "2.0 MiB are set aside", "--memory 2112KiB"],
        );
    }
    let least = run(&["--memory", "2112KiB", "--mode", "csv", "-c", "select 1 as a"]);
    assert_eq!((least.code, least.stdout.as_str()), (0, "a\r\n1\r\n"), "{}", least.stderr);
}

#[test]
fn running_out_says_who_asked_and_who_holds() {
    let folder = Folder::new();
    let rows: String = (0..200_000).map(|n| format!("{n},{}\n", n * 7919 % 20_011)).collect();
    let file = folder.file("rows.csv", format!("a,b\n{rows}"));
    let sql = format!("select string_agg(a || repeat('x', 20), ',') from {file}");
    let outcome = run(&["--memory", "4MiB", "-c", &sql, "-c", "select 1 as one"]);
    assert_fails(
        &outcome,
        1,
        &[
            "error[53200]: out of memory in process/db/statement/exec/aggregate_1 (stage execute)",
            "asked for",
            "`process` uses",
            "of its limit of 4.0 MiB",
            "largest holders: ",
            "help: raise memory_limit",
        ],
    );
    assert!(outcome.stdout.ends_with(" one\n-----\n   1\n(1 row)\n"), "{}", outcome.stdout);
}
