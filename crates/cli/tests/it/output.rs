//! How rows come out.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use crate::support::{Folder, program, run};

const ROWS: &str = "select * from (values (1, 'a', 1.50, date '2024-02-29', true), (20, 'b,\"c\"\nd', NULL, NULL, NULL)) \
                    as t(n, word, amount, day, flag)";

#[test]
fn tables_are_aligned() {
    let outcome = run(&["-c", ROWS]);
    assert_eq!(
        outcome.stdout,
        concat!(
            " n  |   word   | amount |    day     | flag\n",
            "----+----------+--------+------------+------\n",
            "  1 | a        |   1.50 | 2024-02-29 | t\n",
            " 20 | b,\"c\"\\nd |   NULL | NULL       | NULL\n",
            "(2 rows)\n"
        )
    );
}

#[test]
fn csv_is_that_of_rfc_4180() {
    let outcome = run(&["--mode", "csv", "-c", ROWS]);
    assert_eq!(
        outcome.stdout,
        "n,word,amount,day,flag\r\n1,a,1.50,2024-02-29,t\r\n20,\"b,\"\"c\"\"\nd\",,,\r\n"
    );
    assert_eq!(
        run(&["--mode", "csv", "-c", "select '' as empty, null as nothing"]).stdout,
        "empty,nothing\r\n\"\",\r\n"
    );
}

#[test]
fn json_keeps_numbers_exact() {
    let outcome = run(&["--mode", "json", "-c", ROWS, "-c", "select 1 as a limit 0"]);
    assert_eq!(
        outcome.stdout,
        "[\n{\"n\":1,\"word\":\"a\",\"amount\":1.50,\"day\":\"2024-02-29\",\"flag\":true},\n\
         {\"n\":20,\"word\":\"b,\\\"c\\\"\\nd\",\"amount\":null,\"day\":null,\"flag\":null}\n]\n[]\n"
    );
}

/// Aim: rows beyond those that widths are fitted to come out as they are. Method: a wide value in row 300.
#[test]
fn widths_are_fitted_to_the_first_rows_only() {
    let folder = Folder::new();
    let rows: String = (1..=300)
        .map(|n| format!("{n},{}\n", if n == 300 { "x".repeat(50) } else { "y".to_owned() }))
        .collect();
    let file = folder.file("rows.csv", format!("n,word\n{rows}"));
    let outcome = run(&["-c", &format!("select * from {file}")]);
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(lines.len(), 303);
    assert_eq!((lines[0], lines[1]), ("  n  | word", "-----+------"));
    assert_eq!((lines[2], lines[300]), ("   1 | y", " 299 | y"));
    assert_eq!(lines[301], format!(" 300 | {}", "x".repeat(50)));
    assert_eq!(lines[302], "(300 rows)");
}

/// Aim: each statement runs at its `;`. Method: the next one is written only after the answer was read.
#[test]
fn output_is_flushed_before_the_next_statement_is_read() {
    let mut child =
        program(&["--mode", "csv"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    for n in 0..3 {
        write!(stdin, "select\n {n} as n;").expect("it reads");
        stdin.flush().expect("it reads");
        for expected in ["n\r\n".to_owned(), format!("{n}\r\n")] {
            let mut line = String::new();
            stdout.read_line(&mut line).expect("it writes");
            assert_eq!(line, expected);
        }
    }
    drop(stdin);
    assert!(child.wait().expect("it ends").success());
}

/// Aim: a reader that goes away ends the program quietly. Method: a pipe that is closed after the first bytes.
#[test]
fn a_closed_pipe_ends_the_program_quietly() {
    let folder = Folder::new();
    let file = folder.file("rows.csv", "n\n".to_owned() + &"1234567890\n".repeat(200_000));
    for mode in ["table", "csv", "json"] {
        let mut child = program(&["--mode", mode, "-c", &format!("select * from {file}")])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut stdout = child.stdout.take().expect("a pipe");
        stdout.read_exact(&mut [0; 10]).expect("it writes");
        drop(stdout);
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(141), "{mode}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{mode}");
    }
}

/// Aim: what a program reads holds nothing of a statement that gave no row. Method: failures before and after the first
/// row; what comes after the second one begins on its own line.
#[test]
fn a_statement_that_fails_before_its_first_row_writes_nothing() {
    let folder = Folder::new();
    let rows = "1\n".repeat(5000);
    let late = folder.file("late.csv", format!("n\n{rows}x\n"));
    let early = folder.file("early.csv", "n\nx\n");
    let select = |file: &str| format!("select n from {file} as t(n integer)");
    for mode in ["csv", "json", "table"] {
        let outcome = run(&["--mode", mode, "-c", &select(&early), "-c", "select 2 as b"]);
        let expected = run(&["--mode", mode, "-c", "select 2 as b"]);
        assert_eq!((outcome.code, &outcome.stdout), (1, &expected.stdout), "{}", outcome.stderr);
        let outcome = run(&["--mode", mode, "-c", &select(&late), "-c", "select 2 as b"]);
        assert!(outcome.stdout.ends_with(&format!("\n{}", expected.stdout)), "{mode}");
    }
}
