//! The demo, at its smallest known scale.

use crate::support::{Folder, assert_fails, run};

/// Aim: the README's command works: data in tables, all answers right, a plan, a tree whose peak is below
/// the limit.
#[test]
fn the_demo_gives_the_stored_answers() {
    let folder = Folder::new();
    let directory = folder.path().to_str().expect("UTF-8");
    let outcome = run(&["demo", "--scale", "0.01", "--dir", directory]);
    assert_eq!(outcome.code, 0, "{}\n{}", outcome.stdout, outcome.stderr);
    assert_eq!(outcome.stdout.matches("the answer is right").count(), 22, "{}", outcome.stdout);
    assert!(outcome.stdout.contains("is below the limit of 16.0 MiB"), "{}", outcome.stdout);
    for shown in ["was the slowest:", "(actual time=", "Peak Memory: ", "`- untracked"] {
        assert!(outcome.stdout.contains(shown), "{shown}: {}", outcome.stdout);
    }
    // Files that were asked for stay, and the tables.
    assert!(folder.path().join("lineitem.tbl").exists());
    let database = folder.path().join("database");
    let database = database.to_str().expect("UTF-8");
    let outcome =
        run(&[database, "--mode", "csv", "-c", "SELECT count(*) FROM lineitem WHERE l_orderkey < 100"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "count\r\n105\r\n"), "{}", outcome.stderr);
    // Half of the limit is enough too; with too little nothing begins, and what there is stays.
    let outcome = run(&["demo", "--scale", "0.01", "--memory", "3071KiB", "--dir", directory]);
    assert_fails(&outcome, 2, &["is too small", "write --memory 3072KiB or more"]);
    let outcome = run(&["demo", "--scale", "0.01", "--memory", "8MiB", "--dir", directory]);
    assert_eq!(outcome.code, 0, "{}\n{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("is below the limit of 8.0 MiB"), "{}", outcome.stdout);
}

#[test]
fn data_that_cannot_be_written_is_an_error() {
    let folder = Folder::new();
    folder.file("taken", "");
    let taken = folder.path().join("taken");
    let outcome = run(&["tpch-data", "--scale", "0.01", "--out", taken.to_str().expect("UTF-8")]);
    assert_fails(&outcome, 1, &["error: "]);
}
