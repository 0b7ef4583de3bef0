//! The golden scripts: statements with their answers or errors.

use std::cell::Cell;

use cofferdam::Connection;
use cofferdam_testkit::golden;

use crate::support::{Directory, database, golden_folder, outcome, outcome_under};

/// Aim: answers and errors are those of the scripts. Method: a connection for each script.
#[test]
fn golden_scripts_agree() {
    let outcome = golden::run_folder(&golden_folder().join("memory"), |_| {
        let connection = database(16 << 20).connect().expect("room for a connection");
        move |sql: &str| outcome(&connection, sql).expect("16 MiB are enough")
    });
    let scripts_count = outcome.unwrap_or_else(|finding| panic!("{finding}"));
    assert!(scripts_count >= 7);
}

/// Aim: the same of databases in directories. Method: a directory for each script. `@b` before a statement lets another
/// connection run it; `.crash` ends the process and loses what was not synced.
#[test]
fn golden_scripts_of_directories_agree() {
    let outcome = golden::run_folder(&golden_folder().join("directory"), |_| {
        let mut session = Some(Session::new(Directory::new(16 << 20)));
        move |line: &str| {
            if line == ".crash" {
                session = session.take().map(|Session { directory, .. }| Session::new(directory.crashed()));
                return String::new();
            }
            let Session { connections, .. } = session.as_ref().expect("it is put back");
            let (connection, sql) = match line.strip_prefix("@b ") {
                Some(sql) => (&connections[1], sql),
                None => (&connections[0], line),
            };
            outcome(connection, sql).expect("16 MiB are enough")
        }
    });
    let scripts_count = outcome.unwrap_or_else(|finding| panic!("{finding}"));
    assert!(scripts_count >= 3);
}

/// Aim: tables in memory are as those in directories. Method: the same scripts; what ends a process ends the connections.
#[test]
fn golden_scripts_of_directories_agree_in_memory() {
    let outcome = golden::run_folder(&golden_folder().join("directory"), |_| {
        let database = database(16 << 20);
        let connect = move || database.connect().expect("room for a connection");
        let mut connections = [connect(), connect()];
        move |line: &str| {
            if line == ".crash" {
                connections = [connect(), connect()];
                return String::new();
            }
            let (connection, sql) = match line.strip_prefix("@b ") {
                Some(sql) => (&connections[1], sql),
                None => (&connections[0], line),
            };
            outcome(connection, sql).expect("16 MiB are enough")
        }
    });
    let scripts_count = outcome.unwrap_or_else(|finding| panic!("{finding}"));
    assert!(scripts_count >= 3);
}

/// Aim: what is refused for want of memory changes nothing. Method: the same scripts; each statement outside of a transaction is tried
/// under its limits from 0 up, by what each refusal says and twice the last one at least (with SWEEP_EVERY=1 by what it says alone), until
/// it succeeds with the answer of the script.
#[test]
fn golden_scripts_of_directories_agree_after_refusals() {
    let refused_count = Cell::new(0);
    let outcome = golden::run_folder(&golden_folder().join("directory"), |_| {
        let mut session = Some(Session::new(Directory::new(16 << 20)));
        let mut is_open = [false; 2];
        let refused_count = &refused_count;
        move |line: &str| {
            if line == ".crash" {
                is_open = [false; 2];
                session = session.take().map(|Session { directory, .. }| Session::new(directory.crashed()));
                return String::new();
            }
            let Session { connections, directory } = session.as_ref().expect("it is put back");
            let (index, sql) = line.strip_prefix("@b ").map_or((0, line), |sql| (1, sql));
            let connection = &connections[index];
            // A refusal ends a transaction, and plans follow the limit.
            let text = match is_open[index] || sql.starts_with("EXPLAIN") {
                true => outcome(connection, sql).expect("16 MiB are enough"),
                false => outcome_after_refusals(connection, sql, refused_count),
            };
            match sql.split(' ').next() {
                Some("BEGIN" | "START") => is_open[index] = true,
                Some("COMMIT" | "END" | "ABORT") => is_open[index] = false,
                Some("ROLLBACK") if !sql.contains(" TO ") => is_open[index] = false,
                _ => {}
            }
            assert_eq!(directory.database.temporary_counts().files_now, 0, "{sql}");
            text
        }
    });
    outcome.unwrap_or_else(|finding| panic!("{finding}"));
    assert!(refused_count.get() > 1000, "{} refusals", refused_count.get());
}

fn outcome_after_refusals(connection: &Connection, sql: &str, refused_count: &Cell<usize>) -> String {
    let is_every = std::env::var_os("SWEEP_EVERY").is_some();
    let mut limit_bytes = 0;
    loop {
        let error = match outcome_under(connection, sql, limit_bytes) {
            Ok(text) => return text,
            Err(error) => error,
        };
        assert_eq!(error.sqlstate(), "53200", "{sql} with {limit_bytes} bytes: {error}");
        let record = error.out_of_memory().expect("such an error has a record");
        let next_bytes = record.needed_bytes().max(if is_every { 0 } else { 2 * limit_bytes });
        assert!(next_bytes > limit_bytes, "{sql} with {limit_bytes} bytes: {error}");
        limit_bytes = next_bytes;
        refused_count.set(refused_count.get() + 1);
    }
}

/// A directory and the connections of a script.
struct Session {
    connections: [Connection; 2],
    directory: Directory,
}

impl Session {
    fn new(directory: Directory) -> Session {
        let connection = || directory.database.connect().expect("room for a connection");
        Session { connections: [connection(), connection()], directory }
    }
}
