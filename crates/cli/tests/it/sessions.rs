//! The golden sessions: each block of a script is the whole standard input of a new program.

use std::path::Path;

use cofferdam_testkit::golden;

use crate::support::{Folder, run_with};

/// What the program says to a whole input, and its exit code where that is not 0.
fn run_session(input: &str, limit: &str) -> String {
    run_session_with(&["--memory", limit], input)
}

fn run_session_with(arguments: &[&str], input: &str) -> String {
    let outcome = run_with(arguments, format!("{input}\n").as_bytes());
    let code = if outcome.code == 0 { String::new() } else { format!("exit code {}\n", outcome.code) };
    format!("{}{}{code}", outcome.stdout, outcome.stderr)
}

#[test]
fn golden_sessions_agree() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/session");
    let outcome = golden::run_folder(&folder, |_| |input: &str| run_session(input, "16MiB"));
    outcome.unwrap_or_else(|finding| panic!("{finding}"));
}

/// Aim: the program's own buffers give way where memory is short. Method: each session under the smallest limits that
/// the program accepts; the outcome is the one with ample memory. (Statements that do not fit: `cofferdam`'s own sweep.)
#[test]
fn golden_sessions_agree_under_the_smallest_limits() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/session");
    let outcome = golden::run_folder(&folder, |_| {
        |input: &str| {
            let ample = run_session(input, "16MiB");
            // What shows the limit itself is another answer under each.
            if !input.contains("memory") {
                for limit in ["2112KiB", "2120KiB", "2176KiB", "2304KiB", "3MiB"] {
                    assert_eq!(run_session(input, limit), ample, "under {limit}: {input}");
                }
            }
            ample
        }
    });
    outcome.unwrap_or_else(|finding| panic!("{finding}"));
}

/// Aim: without a directory, and with what stands for none, tables are in memory. Method: each session with both.
#[test]
fn golden_sessions_in_memory_agree() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/memory");
    for arguments in [&["--memory", "4MiB"][..], &["--memory", "4MiB", ":memory:"]] {
        let outcome = golden::run_folder(&folder, |_| |input: &str| run_session_with(arguments, input));
        outcome.unwrap_or_else(|finding| panic!("{finding}"));
    }
    assert!(!Path::new(":memory:").exists());
}

/// Aim: what one program leaves in a database the next one finds. Method: a directory for each script, with the least memory that a
/// session takes, with ample memory, and with each in turn.
#[test]
fn golden_sessions_of_databases_agree() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/database");
    for limits in [["16MiB", "16MiB"], ["3MiB", "3MiB"], ["3MiB", "64MiB"]] {
        let folder = Folder::new();
        let mut scripts_count = 0;
        let outcome = golden::run_folder(&scripts, |_| {
            scripts_count += 1;
            let database = folder.path().join(scripts_count.to_string());
            let database = database.to_str().expect("UTF-8").to_owned();
            let mut limits = limits.into_iter().cycle();
            move |input: &str| {
                let limit = limits.next().expect("a cycle has no end");
                run_session_with(&["--memory", limit, &database], input)
            }
        });
        outcome.unwrap_or_else(|finding| panic!("{limits:?}: {finding}"));
    }
}

/// Aim: statements are timed when that is asked for, those that fail too, beside the rows where a program reads these. Method: both modes.
#[test]
fn statements_are_timed() {
    let times =
        |text: &str| text.lines().filter(|line| line.starts_with("time: ") && line.ends_with(" ms")).count();
    let input = b"select 1;\n.timer on\nselect 2;\nselect nothing;\n.mode csv\nselect 3;\n.timer off\nselect 4;\n.timer maybe\n";
    let outcome = run_with(&[], input);
    assert_eq!((times(&outcome.stdout), times(&outcome.stderr)), (2, 1), "{outcome:?}");
    assert!(outcome.stdout.ends_with("?column?\r\n3\r\n?column?\r\n4\r\n"), "{outcome:?}");
    assert!(outcome.stderr.contains("unknown command `.timer maybe`"), "{outcome:?}");
}
