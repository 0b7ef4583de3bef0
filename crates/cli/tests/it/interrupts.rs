//! Signals: Ctrl-C ends a statement, and the demo cleans up.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Folder, program};

/// A statement that runs for minutes in little memory.
fn endless(folder: &Folder) -> String {
    let rows: String = (0..200_000).map(|n| format!("{n}\n")).collect();
    let file = folder.file("rows.csv", format!("n\n{rows}"));
    format!("select count(*) from {file} as a, {file} as b where a.n + b.n = -1")
}

fn start(arguments: &[&str]) -> Child {
    let mut command = program(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the program starts")
}

fn send(signal: &str, child: &Child) {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill runs");
    assert!(status.success());
}

/// The exit code, if the program ends soon.
fn code_of(child: &mut Child) -> Option<i32> {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(20) {
        if let Some(status) = child.try_wait().expect("a child") {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().expect("a child");
    panic!("the program goes on");
}

/// Waits for the first line of output, which a statement before the endless one gives.
fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("a line");
    line
}

fn errors_of(mut child: Child) -> String {
    let mut errors = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut errors).expect("UTF-8");
    errors
}

#[test]
fn ctrl_c_cancels_the_statement_and_those_after_it() {
    let folder = Folder::new();
    let sql = endless(&folder);
    let mut child = start(&["--mode", "csv", "-c", "select 1 as a", "-c", &sql, "-c", "selec"]);
    assert_eq!(first_line(&mut child), "a\r\n");
    std::thread::sleep(Duration::from_millis(200));
    send("-INT", &child);
    assert_eq!(code_of(&mut child), Some(130));
    let errors = errors_of(child);
    assert!(errors.contains("error[57014]: canceling statement due to user request"), "{errors}");
    assert!(!errors.contains("42601"), "{errors}");
}

#[test]
fn ctrl_c_ends_a_session_that_waits() {
    let mut child = start(&["--mode", "csv"]);
    let stdin = child.stdin.as_mut().expect("a pipe");
    stdin.write_all(b"select 1 as a;\n").expect("a pipe");
    assert_eq!(first_line(&mut child), "a\r\n");
    std::thread::sleep(Duration::from_millis(200));
    send("-INT", &child);
    // By the signal itself, as if nobody had caught it.
    assert_eq!(code_of(&mut child), None);
}

#[test]
fn ctrl_c_ends_a_look_into_sql() {
    for arguments in [&["sql", "check"][..], &["sql", "check", "-0"], &["sql", "format"]] {
        let mut child = start(arguments);
        let stdin = child.stdin.as_mut().expect("a pipe");
        stdin.write_all(b"select 1;\nselect 'it goes on").expect("a pipe");
        std::thread::sleep(Duration::from_millis(200));
        send("-INT", &child);
        assert_eq!(code_of(&mut child), None, "the signal itself ends it");
    }
}

/// Aim: a tool that works ends with what it has written, and says so by its exit code. Method: a small statement, and one
/// that takes minutes; the signal comes when the small one's line is there.
#[test]
fn ctrl_c_ends_long_work_of_a_look_into_sql() {
    let folder = Folder::new();
    let long = format!("select 1{}", "+1".repeat(10_000_000));
    folder.file("script.sql", format!("select a;\n{long};\nselect b;"));
    folder.file("texts.nul", format!("select a\0{long}\0select b"));
    for (tool, file) in [
        (&["check"][..], "script.sql"),
        (&["parse"], "script.sql"),
        (&["format"], "script.sql"),
        (&["tokens"], "script.sql"),
        (&["check", "-0"], "texts.nul"),
        (&["print", "-0"], "texts.nul"),
        (&["fingerprint", "-0"], "texts.nul"),
    ] {
        let path = folder.path().join(file);
        let arguments = [&["--memory", "8GiB", "sql"], tool, &[path.to_str().expect("UTF-8")]].concat();
        let mut child =
            program(&arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        // The input is read within milliseconds, and looked at for seconds.
        std::thread::sleep(Duration::from_millis(1000));
        send("-INT", &child);
        assert_eq!(code_of(&mut child), Some(130), "{tool:?}");
        let errors = errors_of(child);
        assert!(errors.contains("error[57014]: canceling due to user request"), "{tool:?}: {errors}");
    }
}

#[test]
fn the_demo_removes_its_files_when_it_is_interrupted() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let mut child = start(&["demo", "--scale", "1"]);
        let line = first_line(&mut child);
        let path = line.trim_end().split_once(" in ").expect("where the files are").1.to_owned();
        assert!(fs::exists(&path).expect("readable"));
        send(signal, &child);
        assert_eq!(code_of(&mut child), Some(code));
        assert!(!fs::exists(&path).expect("readable"), "{path} is left behind");
    }
}
