//! Settings that statements feel.

use std::time::{Duration, Instant};

use cofferdam::{Connection, Error, Remedy};

use crate::support::{Directory, database, outcome};

/// A query that would run for hours.
const ENDLESS: &str =
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT (n + 1) % 7 FROM r) SELECT count(*) FROM r";
/// One that holds many rows.
const WIDE: &str = "SELECT count(*) FROM (SELECT DISTINCT a.id * 1000 + b.id * 100 + c.id * 10 + d.id AS n \
                    FROM 'tests/data/people.csv' a, 'tests/data/people.csv' b, 'tests/data/people.csv' c, \
                    'tests/data/people.csv' d) AS q";

fn timed_out(connection: &Connection, sql: &str) -> Error {
    let began = Instant::now();
    let error = connection.execute(sql).expect_err("it runs for too long");
    assert!(began.elapsed() < Duration::from_secs(20), "{sql}");
    assert_eq!((error.sqlstate(), error.remedy()), ("57014", Remedy::Retry), "{sql}: {error}");
    assert_eq!(error.to_string(), "canceling statement due to statement timeout");
    error
}

/// Aim: a statement ends when its time is over, whatever it does, and the next one runs. Method: an endless recursion, for the
/// caller, for a table, and explained.
#[test]
fn statements_end_in_time() {
    let directory = Directory::new(16 << 20);
    let connection = directory.database.connect().expect("room for a connection");
    connection.execute("CREATE TABLE t (n bigint)").expect("a table");
    connection.execute("SET statement_timeout = '50ms'").expect("a setting");
    let error = timed_out(&connection, ENDLESS);
    assert_eq!(error.hint().expect("a hint").to_string(), "raise statement_timeout, or set it to 0");
    timed_out(&connection, &format!("EXPLAIN ANALYZE {ENDLESS}"));
    timed_out(&connection, &format!("INSERT INTO t {ENDLESS}"));
    assert_eq!(outcome(&connection, "SELECT count(*) FROM t").expect("room"), "count bigint\n0\n");
    // Another connection has a setting of its own, and a canceller says something else.
    let other = directory.database.connect().expect("room for a connection");
    assert_eq!(outcome(&other, "SHOW statement_timeout").expect("room"), "statement_timeout text\n0\n");
    let canceller = other.canceller();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        canceller.cancel();
    });
    let error = other.execute(ENDLESS).expect_err("it is cancelled");
    assert_eq!(error.to_string(), "canceling statement due to user request");
    thread.join().expect("it only waits");
    connection.execute("SET statement_timeout = 0").expect("a setting");
    connection.execute("SELECT 1").expect("there is time");
}

/// Aim: one statement of a connection takes no more than it may, and others may take more. Method: a query that needs more than the
/// limit, here and on another connection.
#[test]
fn a_statement_has_a_limit_of_its_own() {
    let database = database(16 << 20);
    let connection = database.connect().expect("room for a connection");
    let wide = "SELECT count(*) FROM (VALUES ('a'), ('b')) AS t(n)";
    let mut before = connection.statement(WIDE).expect("room");
    connection.execute("SET temp_directory = ''").expect("a setting");
    connection.execute("SET statement_memory_limit = '80KiB'").expect("a setting");
    let error = connection.execute(WIDE).expect_err("it needs more");
    let record = *error.out_of_memory().expect("memory ran out");
    assert_eq!((record.refused_by(), record.limit_bytes()), ("statement", 80 << 10), "{record}");
    let hint = error.hint().expect("a hint").to_string();
    assert!(hint.starts_with("raise statement_memory_limit"), "{hint}");
    connection.execute(wide).expect("it fits");
    // The setting is that of the moment in which a statement is prepared.
    assert!(before.prepare().and_then(|query| query.rows()?.next_row().map(|_| ())).is_err());
    let other = database.connect().expect("room for a connection");
    other.execute(WIDE).expect("it fits the database");
    connection.execute("RESET statement_memory_limit").expect("a setting");
    connection.execute(WIDE).expect("it fits the database");
}
