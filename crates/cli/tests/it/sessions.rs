//! The golden sessions: each block of a script is the whole standard input of a new program.

use std::path::Path;

use cofferdam_testkit::golden;

use crate::support::run_with;

#[test]
fn golden_sessions_agree() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let outcome = golden::run_folder(&folder, |_| {
        |input: &str| {
            let outcome = run_with(&["--memory", "16MiB"], format!("{input}\n").as_bytes());
            let code =
                if outcome.code == 0 { String::new() } else { format!("exit code {}\n", outcome.code) };
            format!("{}{}{code}", outcome.stdout, outcome.stderr)
        }
    });
    outcome.unwrap_or_else(|finding| panic!("{finding}"));
}
