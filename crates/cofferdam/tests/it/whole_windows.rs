//! Windows of all rows of a table, which is read twice, against those of rows that are kept.

use cofferdam::{Connection, Database, Options};

use crate::support::table;

fn database() -> Database {
    let database = Database::open_in_memory(Options::new().memory_limit(16 << 20)).unwrap();
    let connection = database.connect().unwrap();
    connection
        .execute_batch(
            "CREATE TABLE t (a integer PRIMARY KEY, b numeric(12,2), c text);
             INSERT INTO t SELECT i, CASE WHEN i % 7 > 0 THEN i * 1.25 END, 'c' || i % 50
             FROM generate_series(1, 30000) AS i;
             CREATE TABLE few (a integer PRIMARY KEY, b numeric(12,2), c text);
             INSERT INTO few SELECT * FROM t WHERE a <= 100",
        )
        .unwrap();
    drop(connection);
    database
}

fn answer(connection: &Connection, sql: &str) -> String {
    connection.query(sql, table).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

fn has_window(connection: &Connection, sql: &str) -> bool {
    answer(connection, &format!("EXPLAIN {sql}")).contains("WindowAgg")
}

/// Aim: it makes no difference to any row whether rows are kept or read again. Method: rows below a LIMIT are kept.
#[test]
fn what_is_read_twice_is_what_would_be_kept() {
    let database = database();
    let connection = database.connect().unwrap();
    for query in [
        "SELECT a, b / sum(b) OVER (), count(*) OVER () FROM $ WHERE a % 2000 = 3",
        "SELECT a FROM (SELECT a, b, max(b) OVER () AS m, avg(b) OVER () AS v FROM $) AS x WHERE b = m OR a < 5 AND b < v",
        "SELECT count(*) OVER (), x.n, count(x.b) FILTER (WHERE x.a > 7) OVER w, min(n) OVER w
         FROM (SELECT a, b, length(c) * 2 AS n FROM $ WHERE c LIKE '%7') AS x WINDOW w AS () ORDER BY a LIMIT 20",
        "SELECT max(s), sum(b - s) FROM (SELECT b, sum(a) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS s FROM $) AS x",
        // None is left, so there is no row.
        "SELECT count(*) OVER (), sum(a) OVER () FROM $ WHERE a < 0",
        "SELECT y.a, x.s FROM few AS y LEFT JOIN (SELECT a, sum(a) OVER () AS s FROM $ WHERE a % 3 = 0) AS x ON x.a = y.a",
    ] {
        let [twice, kept] =
            ["t", "(SELECT * FROM t LIMIT 30000) AS t"].map(|source| query.replace('$', source));
        assert!(!has_window(&connection, &twice), "{twice}");
        assert!(has_window(&connection, &kept), "{kept}");
        let [twice, kept] = [twice, kept].map(|sql| {
            let answer = answer(&connection, &sql);
            let mut rows: Vec<_> = answer.lines().map(str::to_owned).collect();
            rows.sort();
            rows
        });
        assert!(twice == kept, "{query}");
    }
    // The changes of a transaction are there both times.
    connection.execute("BEGIN").unwrap();
    connection.execute("UPDATE t SET b = 0 WHERE a > 10").unwrap();
    let sql = "SELECT a, sum(b) OVER () FROM t WHERE a IN (1, 9000)";
    assert_eq!(answer(&connection, sql), "a integer|sum numeric(38,2)\n1|1.25\n9000|1.25\n");
    connection.execute("ROLLBACK").unwrap();
}

/// Aim: other windows keep their rows.
#[test]
fn what_is_another_thing_twice_is_kept() {
    let database = database();
    let connection = database.connect().unwrap();
    for sql in [
        "SELECT sum(b) OVER () FROM few",
        "SELECT sum(b) OVER (PARTITION BY c) FROM t",
        "SELECT sum(b) OVER (ORDER BY a) FROM t",
        "SELECT sum(b) OVER (ROWS UNBOUNDED PRECEDING) FROM t",
        "SELECT sum(b) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE CURRENT ROW) FROM t",
        "SELECT row_number() OVER (), sum(b) OVER () FROM t",
        "SELECT string_agg(c, ',') OVER () FROM t LIMIT 1",
        "SELECT sum(r) OVER () FROM (SELECT random() AS r FROM t) AS x",
        "SELECT sum(a) OVER () FROM t WHERE random() < 0.5",
        "SELECT sum(a) OVER () FROM generate_series(1, 100000) AS x(a)",
        "SELECT sum(n) OVER () FROM (SELECT c, count(*) AS n FROM t GROUP BY c) AS x",
    ] {
        assert!(has_window(&connection, sql), "{sql}");
    }
}

/// The plan, so that a change of it is seen.
#[test]
fn explain_shows_both_readings() {
    let database = database();
    let connection = database.connect().unwrap();
    let sql = "EXPLAIN (COSTS off) SELECT a FROM (SELECT a, b, sum(b) OVER () AS s FROM t WHERE a > 9) AS x WHERE b > s / 1000 AND a < 5000";
    let expected = "\
QUERY PLAN text
Nested Loop
  Join Filter: ((t.b)::numeric(38,16) > (sum(t.b) / 1000))
  ->  Key Scan on t
        Key Range: a > 9, a < 5000
        Filter: ((a < 5000) AND (a > 9))
  ->  Aggregate
        Aggregates: sum(t.b)
        ->  Key Scan on t
              Key Range: a > 9
              Filter: (a > 9)
";
    assert_eq!(answer(&connection, sql), expected);
}
