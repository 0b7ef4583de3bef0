//! Statements that several threads run: the same answers as one thread gives, within the same limits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use cofferdam::{Connection, Database, Options};

use crate::support::table;

const ROWS: u64 = 40_000;

/// Two tables: `t` has several pieces, `d` few rows.
fn database(limit_bytes: u64) -> Database {
    let database = Database::open_in_memory(Options::new().memory_limit(limit_bytes)).unwrap();
    let connection = database.connect().unwrap();
    connection
        .execute_batch(
            "CREATE TABLE t (k integer PRIMARY KEY, g integer, v numeric(12,2), s text);
             CREATE TABLE d (g integer, name text)",
        )
        .unwrap();
    let rows = format!(
        "INSERT INTO t SELECT i, CASE WHEN i % 11 = 0 THEN NULL ELSE i % 97 END, i * 0.25,
                CASE WHEN i % 13 = 0 THEN NULL ELSE 'row ' || i % 1000 END
         FROM generate_series(1, {ROWS}) AS i"
    );
    assert_eq!(connection.execute(&rows).unwrap(), ROWS);
    connection.execute("INSERT INTO d SELECT i, 'group ' || i FROM generate_series(0, 49) AS i").unwrap();
    connection.execute("DELETE FROM t WHERE k % 1000 = 7").unwrap();
    connection.execute("UPDATE t SET v = -v, s = 'changed' WHERE k % 1000 = 8").unwrap();
    drop(connection);
    database
}

fn set_threads(connection: &Connection, threads: usize) {
    connection.execute(&format!("SET threads = {threads}")).unwrap();
}

/// How many threads EXPLAIN ANALYZE says that helped.
fn workers(connection: &Connection, sql: &str) -> usize {
    let text = connection.query(&format!("EXPLAIN ANALYZE {sql}"), table).unwrap();
    let of_scans =
        text.lines().filter_map(|line| line.trim().strip_prefix("Workers: ")?.parse::<usize>().ok());
    of_scans.sum()
}

const QUERIES: [&str; 9] = [
    "SELECT count(*), count(g), sum(v), min(s), max(s), avg(k) FROM t",
    "SELECT g, count(*), sum(v), min(s), count(DISTINCT s) FROM t GROUP BY g ORDER BY g",
    "SELECT s || '!' AS n, sum(k + 1), 'x' AS x FROM t WHERE k % 3 = 1 AND s IS NOT NULL GROUP BY s || '!' ORDER BY n LIMIT 40",
    "SELECT d.name, count(*), sum(t.v) FROM t JOIN d USING (g) WHERE t.k > 500 GROUP BY d.name ORDER BY 1",
    "SELECT k, s FROM t WHERE v < 0 ORDER BY s, k DESC",
    "SELECT k, v FROM t ORDER BY v DESC, k LIMIT 7",
    "SELECT count(*) FROM (SELECT g, s FROM t EXCEPT SELECT g, 'row ' || g FROM d) AS e",
    "SELECT max(n), sum(r) FROM (SELECT count(*) OVER (PARTITION BY g) AS n, rank() OVER (ORDER BY k) AS r FROM t) AS w",
    "SELECT a.g, count(*) FROM t AS a JOIN t AS b ON a.k = b.k + 1 WHERE b.g < 5 GROUP BY a.g ORDER BY 1",
];

/// Aim: any number of threads gives the answers of one, with room and where rows go to disk, and helpers do help.
#[test]
fn answers_are_those_of_one_thread() {
    for (limit_bytes, threads) in [(64 << 20, 4), (12 << 20, 2)] {
        let database = database(limit_bytes);
        let connection = database.connect().unwrap();
        for sql in QUERIES {
            set_threads(&connection, 1);
            let expected = connection.query(sql, table).unwrap();
            set_threads(&connection, threads);
            assert_eq!(connection.query(sql, table).unwrap(), expected, "{threads} threads: {sql}");
            assert!(workers(&connection, sql) > 0, "{sql}");
        }
        assert!(database.budget().peak() <= limit_bytes);
        let left =
            connection.query("SELECT count(*) FROM cofferdam_memory() WHERE name LIKE 'worker%'", table);
        assert_eq!(left.unwrap(), "count bigint\n0\n");
    }
}

/// Aim: rows whose order counts are read by one thread: those that a LIMIT cuts off, that are put into an array, that are the answer.
#[test]
fn where_the_order_counts_one_thread_reads() {
    let database = database(64 << 20);
    let connection = database.connect().unwrap();
    set_threads(&connection, 4);
    for sql in [
        "SELECT k FROM t",
        "SELECT count(*) FROM (SELECT k FROM t LIMIT 30000) AS l",
        "SELECT array_agg(k) FROM t WHERE k < 5",
        "SELECT DISTINCT ON (k) k, s FROM t ORDER BY k",
    ] {
        assert_eq!(workers(&connection, sql), 0, "{sql}");
    }
    assert_eq!(
        connection.query("SELECT array_agg(k) FROM t WHERE k < 5", table).unwrap(),
        "array_agg integer[]\n{1,2,3,4}\n"
    );
}

/// Aim: what a transaction has changed is seen by its statements, whatever the number of threads.
#[test]
fn transactions_see_what_they_changed() {
    let database = database(64 << 20);
    let connection = database.connect().unwrap();
    set_threads(&connection, 4);
    let count = || connection.query("SELECT count(*) FROM t", table).unwrap();
    let before = count();
    connection.execute("BEGIN").unwrap();
    connection.execute("DELETE FROM t WHERE k > 20000").unwrap();
    assert_ne!(count(), before);
    connection.execute("ROLLBACK").unwrap();
    assert_eq!(count(), before);
}

/// Aim: an error of one thread is the statement's, with its place, and ends the others; the next statement is fine.
#[test]
fn errors_of_helpers_are_the_statements() {
    let database = database(64 << 20);
    let connection = database.connect().unwrap();
    set_threads(&connection, 4);
    for row in [1, ROWS / 2, ROWS] {
        let sql = format!("SELECT sum(1 / (k - {row})) FROM t WHERE g + 1 > 0 OR g IS NULL");
        let error = connection.execute(&sql).unwrap_err();
        assert_eq!((error.sqlstate(), error.span().map(|span| span.start)), ("22012", Some(11)), "{error}");
    }
    assert_eq!(connection.query("SELECT count(*) FROM d", table).unwrap(), "count bigint\n50\n");
}

/// Aim: a statement that several threads run is cancelled as others are, and leaves nothing behind.
#[test]
fn a_statement_of_several_threads_is_cancelled() {
    let database = database(64 << 20);
    let connection = database.connect().unwrap();
    set_threads(&connection, 3);
    let is_over = AtomicBool::new(false);
    let handle = connection.canceller();
    let error = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(20));
                handle.cancel();
            }
        });
        let sql = "SELECT count(*) FROM t AS a JOIN t AS b ON a.g = b.g JOIN t AS c ON b.g = c.g";
        let error = connection.execute(sql).unwrap_err();
        is_over.store(true, Ordering::Relaxed);
        error
    });
    assert_eq!(error.sqlstate(), "57014");
    assert_eq!(connection.query("SELECT count(*) FROM d", table).unwrap(), "count bigint\n50\n");
}

/// Aim: under every limit there is the right answer or the typed error, and the limit that a refusal names is enough.
#[test]
fn limits_hold_with_several_threads() {
    let database = database(64 << 20);
    let connection = database.connect().unwrap();
    set_threads(&connection, 4);
    let mut refusals = 0;
    for sql in [QUERIES[3], QUERIES[4]] {
        connection.execute("RESET statement_memory_limit").unwrap();
        let expected = connection.query(sql, table).unwrap();
        for limit_kib in (6..15).flat_map(|power| [1u64 << power, 3 << (power - 1)]) {
            connection.execute(&format!("SET statement_memory_limit = '{limit_kib}KiB'")).unwrap();
            match connection.query(sql, table) {
                Ok(answer) => assert_eq!(answer, expected, "{limit_kib} KiB: {sql}"),
                Err(error) => {
                    refusals += 1;
                    let refused = error.out_of_memory().unwrap_or_else(|| panic!("{limit_kib} KiB: {error}"));
                    assert_eq!(error.sqlstate(), "53200");
                    if let Some(bytes) = refused.sufficient_bytes() {
                        connection.execute(&format!("SET statement_memory_limit = {bytes}")).unwrap();
                        assert_eq!(connection.query(sql, table).unwrap(), expected, "{bytes} bytes: {sql}");
                    }
                }
            }
        }
    }
    assert!(refusals > 0);
}

/// Aim: a helper that meets texts for which it has no room leaves them to the statement's own thread, and no row is lost or there twice.
/// Method: a filter that makes texts, short ones at
/// first, so that helpers begin, and then so long ones that a batch of them is more than a helper may have.
#[test]
fn what_helpers_have_no_room_for_is_read_by_the_statement() {
    let database = database(12 << 20);
    let connection = database.connect().unwrap();
    let sql = "SELECT count(*), sum(k), max(s) FROM t
               WHERE repeat(chr(97 + k % 26), CASE WHEN k % 16384 > 9000 THEN 500 ELSE 3 END) <> 'aaa' AND g > 3";
    let expected = connection.query(sql, table).unwrap();
    set_threads(&connection, 2);
    for _ in 0..3 {
        assert_eq!(connection.query(sql, table).unwrap(), expected);
    }
    assert_eq!(workers(&connection, sql), 1);
}

/// Aim: a refused charge, wherever it comes while threads are begun, leaves the right answer or is 53200. Method: the n-th charge is
/// refused, for each n of those that a statement makes before it reads.
#[test]
fn a_refused_charge_gives_no_wrong_answer() {
    let database = database(64 << 20);
    let connection = database.connect().unwrap();
    set_threads(&connection, 3);
    let sql = "SELECT count(*), sum(v) FROM t WHERE v > 0";
    let expected = connection.query(sql, table).unwrap();
    let mut errors_count = 0;
    for nth in 1..=80 {
        database.budget().inject_refusal(nth);
        let outcome = connection.query(sql, table);
        database.budget().inject_refusal(0);
        match outcome {
            Ok(rows) => assert_eq!(rows, expected, "charge {nth}"),
            Err(error) => {
                assert_eq!(error.sqlstate(), "53200", "charge {nth}: {error}");
                errors_count += 1;
            }
        }
    }
    assert!(errors_count > 1);
}
