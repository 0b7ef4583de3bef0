//! Integration tests: the project's own scripts, one binary.
#![allow(clippy::disallowed_types)]

use std::path::Path;
use std::time::Duration;

use cofferdam::Options;
use cofferdam_conformance::faults::{Finding, World};
use cofferdam_conformance::slt::{Cofferdam, Place, Report, files_below, run_file};
use cofferdam_conformance::tpch::{QUERIES_COUNT, Verdict, run_query};
use cofferdam_conformance::watch::Watch;
use cofferdam_testkit::inject::Injection;

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

/// Aim: TPC-H's queries give the known answers, and in trouble they fail as they should and leave nothing. Method: the smallest scale, in
/// 16 MiB; then a small part of what the program `faults` does, for a query without rows to keep and one that goes to files.
#[test]
fn tpch_gives_the_known_answers_and_survives_trouble() {
    let world = World::tpch(0.01, 16 << 20).expect("all tables load");
    let watch = Watch::new(world.connection().canceller(), Duration::from_secs(120));
    for number in 1..=QUERIES_COUNT {
        let outcome = run_query(world.connection(), &watch, None, number, 0.01).expect("the query is there");
        assert!(matches!(outcome.verdict, Verdict::Right(_)), "query {number}: {:?}", outcome.verdict);
        assert!(outcome.peak_bytes > 0 && outcome.peak_bytes <= 16 << 20, "query {number}");
    }
    drop(watch);
    let found = |finding: Finding| -> ! { panic!("{finding}") };
    let sql = "SELECT n_name, s_name FROM supplier, nation WHERE s_nationkey = n_nationkey";
    let limits = world.limits(sql, 2).unwrap_or_else(|finding| found(finding));
    assert!(limits.refused_count > 5 && limits.places_count > 2 && limits.between_count == 2, "{limits:?}");
    let injected = world.charges(sql, limits.ample_bytes, &Injection::new().bounds(20, 10));
    let injected = injected.unwrap_or_else(|finding| found(finding));
    assert!(injected.refused_count > 5, "{injected:?}");
    let cancels = world.cancels(sql, limits.ample_bytes, 5, 1).unwrap_or_else(|finding| found(finding));
    assert_eq!(cancels.cancelled.len() + cancels.late_count, 5);
    let sql = "SELECT c_comment, c_custkey FROM customer ORDER BY c_comment, c_custkey";
    let tight_bytes = world.tight_bytes(sql).unwrap_or_else(|finding| found(finding));
    let writes = world.writes(sql, tight_bytes).unwrap_or_else(|finding| found(finding));
    let states: Vec<&str> = writes.errors.keys().copied().collect();
    assert_eq!(states, ["53100", "58030", "XX001"], "{writes:?}");
    world.is_settled().unwrap_or_else(|finding| found(finding));
}
