//! The golden scripts: statements with their answers or errors.

use cofferdam::Connection;
use cofferdam_testkit::golden;

use crate::support::{Directory, database, golden_folder, outcome};

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
