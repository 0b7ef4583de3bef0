//! The golden scripts: statements with their answers or errors.

use cofferdam_testkit::golden;

use crate::support::{database, golden_folder, outcome};

/// Aim: answers and errors are those of the scripts. Method: a connection for each script.
#[test]
fn golden_scripts_agree() {
    let outcome = golden::run_folder(&golden_folder(), |_| {
        let connection = database(16 << 20).connect().expect("room for a connection");
        move |sql: &str| outcome(&connection, sql).expect("16 MiB are enough")
    });
    let scripts_count = outcome.unwrap_or_else(|finding| panic!("{finding}"));
    assert!(scripts_count >= 7);
}
