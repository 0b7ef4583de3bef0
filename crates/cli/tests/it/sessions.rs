//! The golden sessions: each block of a script is the whole standard input of a new program.

use std::path::Path;

use cofferdam_testkit::golden;

use crate::support::run_with;

/// What the program says to a whole input, and its exit code where that is not 0.
fn run_session(input: &str, limit: &str) -> String {
    let outcome = run_with(&["--memory", limit], format!("{input}\n").as_bytes());
    let code = if outcome.code == 0 { String::new() } else { format!("exit code {}\n", outcome.code) };
    format!("{}{}{code}", outcome.stdout, outcome.stderr)
}

#[test]
fn golden_sessions_agree() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let outcome = golden::run_folder(&folder, |_| |input: &str| run_session(input, "16MiB"));
    outcome.unwrap_or_else(|finding| panic!("{finding}"));
}

/// Aim: the program's own buffers give way where memory is short. Method: each session under the smallest limits that
/// the program accepts; the outcome is the one with ample memory. (Statements that do not fit: `cofferdam`'s own sweep.)
#[test]
fn golden_sessions_agree_under_the_smallest_limits() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
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
