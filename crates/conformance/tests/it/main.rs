//! Integration tests: the project's own scripts, one binary.
#![allow(clippy::disallowed_types)]

use std::path::Path;
use std::time::Duration;

use cofferdam::{Database, Options};
use cofferdam_conformance::slt::{Cofferdam, Place, Report, files_below, run_file};
use cofferdam_conformance::tpch::{QUERIES_COUNT, Verdict, load, run_query};
use cofferdam_conformance::watch::Watch;

fn options() -> Options {
    Options::new().memory_limit(16 << 20)
}

/// Aim: the project's own scripts agree, in a folder and on a disk in memory.
#[test]
fn own_scripts_agree() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    let files = files_below(&folder).expect("the folder is there");
    assert!(!files.is_empty());
    for place in [Place::Folder, Place::Memory] {
        let mut total = Report::default();
        for file in &files {
            let mut engine =
                Cofferdam::new(&place, &options(), Duration::from_secs(60)).expect("an empty database");
            total.add(run_file(file, &mut engine, &mut || ()).expect("a script"));
        }
        let failures: Vec<String> = total.failures.iter().map(ToString::to_string).collect();
        assert!(failures.is_empty(), "{}", failures.join("\n"));
        assert!(total.passed_count >= 20, "{total}");
    }
}

/// Aim: a script that expects something else fails, with its place.
#[test]
fn a_wrong_script_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wrong.slt");
    std::fs::write(&file, "query I\nSELECT 1\n----\n1\n\nquery I\nSELECT 1\n----\n2\n").expect("a file");
    let mut engine =
        Cofferdam::new(&Place::Memory, &options(), Duration::from_secs(60)).expect("an empty database");
    let report = run_file(&file, &mut engine, &mut || ()).expect("a script");
    assert_eq!(report.to_string(), "1 passed, 1 failed");
    assert!(report.failures[0].place.ends_with("wrong.slt:6"), "{}", report.failures[0]);
}

/// Aim: TPC-H's queries give the known answers. Method: the smallest scale, in 16 MiB.
#[test]
fn tpch_gives_the_known_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(folder.path().join("database"), options()).expect("an empty database");
    let connection = database.connect().expect("room for a connection");
    load(&connection, 0.01, folder.path(), &mut |_, rows_count| assert!(rows_count > 0))
        .expect("all tables load");
    let watch = Watch::new(connection.canceller(), Duration::from_secs(120));
    for number in 1..=QUERIES_COUNT {
        let outcome = run_query(&connection, &watch, None, number, 0.01).expect("the query is there");
        assert!(matches!(outcome.verdict, Verdict::Right(_)), "query {number}: {:?}", outcome.verdict);
        assert!(outcome.peak_bytes > 0 && outcome.peak_bytes <= 16 << 20, "query {number}");
    }
}
