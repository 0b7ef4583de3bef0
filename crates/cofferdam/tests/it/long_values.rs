//! Rows with long values under small limits: they pass a few at a time, and the limit that a refusal names is enough for them.

use cofferdam::{Connection, Error};

use crate::support::{Directory, table};

const ROWS: usize = 24;
const VALUE_BYTES: usize = 60_000;

/// A table of long texts, of which some are in segments and some in the memtable.
fn directory() -> Directory {
    let directory = Directory::new(64 << 20);
    let connection = directory.database.connect().unwrap();
    connection.execute("CREATE TABLE w (id integer PRIMARY KEY, k integer, t text)").unwrap();
    let sql = format!(
        "INSERT INTO w SELECT i, i % 5, left(repeat(md5(i::text) || i, 3000), {VALUE_BYTES}) \
         FROM generate_series(1, {ROWS}) AS s(i)"
    );
    connection.execute(&sql).unwrap();
    // Some are in the memtable.
    connection.execute("UPDATE w SET t = reverse(t) WHERE id % 3 = 0").unwrap();
    directory
}

/// The rows of the answer, in an order that is the same each time.
fn run(connection: &Connection, sql: &str, limit_bytes: u64) -> Result<Vec<String>, Error> {
    let mut statement = connection.statement(sql)?;
    statement.budget().set_limit(limit_bytes);
    let text = table(&mut statement.prepare()?.rows()?)?;
    let mut rows: Vec<String> = text.lines().map(str::to_owned).collect();
    rows.sort_unstable();
    Ok(rows)
}

/// Aim: what operators take for rows with a long value is some of these, however many there are. Method: limits that a quarter of the
/// rows would not fit.
#[test]
fn few_long_rows_are_in_memory_at_once() {
    let directory = directory();
    let connection = directory.database.connect().unwrap();
    for (limit_bytes, sql) in [
        (160 << 10, "SELECT id, t FROM w"),
        (160 << 10, "SELECT id FROM w WHERE t LIKE '%ab%' OR k = 3"),
        (640 << 10, "SELECT id, t || 'x' AS t FROM w"),
        (800 << 10, "SELECT * FROM w ORDER BY t"),
        (800 << 10, "SELECT * FROM w ORDER BY k, t LIMIT 3"),
        (640 << 10, "SELECT t, count(*) FROM w GROUP BY t"),
        (640 << 10, "SELECT t FROM w EXCEPT SELECT t FROM w WHERE k = 3"),
        (1400 << 10, "SELECT a.id, b.t FROM w a JOIN w b ON a.t = b.t"),
        (1400 << 10, "SELECT id, lag(t) OVER (PARTITION BY k ORDER BY id) AS t FROM w"),
        (640 << 10, "UPDATE w SET t = reverse(t)"),
    ] {
        let expected = run(&connection, sql, u64::MAX).unwrap();
        // Twice, so that what was changed is what it was.
        let found = run(&connection, sql, limit_bytes).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert!(found == expected, "{sql}");
    }
}

/// Aim: a limit that a refusal names is enough, also where values are much longer than a plan expects, and is no multiple of what is
/// needed that nobody would give. Method: queries of all kinds from small limits up; each limit that is named is tried.
#[test]
fn named_limits_suffice_for_long_values() {
    let directory = directory();
    let connection = directory.database.connect().unwrap();
    let recursion = "WITH RECURSIVE r(n, t) AS (SELECT 1, t FROM w WHERE id <= 3 UNION ALL \
                     SELECT n + 1, t FROM r WHERE n < 4) SELECT * FROM r";
    for (sql, times_max) in [
        ("SELECT * FROM w WHERE id = 5", 12),
        ("SELECT id, t FROM w", 24),
        ("SELECT id FROM w WHERE t LIKE '%ab%' OR k = 3", 24),
        ("SELECT * FROM w ORDER BY t", 60),
        ("SELECT k, min(t), max(t) FROM w GROUP BY k", 60),
        ("SELECT k, count(DISTINCT t) FROM w GROUP BY k", 120),
        ("SELECT DISTINCT t FROM w", 120),
        ("SELECT a.id, b.t FROM w a JOIN w b ON a.t = b.t", 120),
        ("SELECT a.id, b.t FROM w a LEFT JOIN w b ON a.id = b.k", 120),
        ("SELECT id, lag(t) OVER (PARTITION BY k ORDER BY id) AS t FROM w", 120),
        ("SELECT t FROM w UNION SELECT t FROM w WHERE k = 3", 160),
        ("SELECT t FROM w INTERSECT ALL SELECT t FROM w WHERE k = 3", 80),
        (recursion, 240),
    ] {
        let expected = run(&connection, sql, u64::MAX).unwrap();
        for first_bytes in [64 << 10, 256 << 10] {
            let (mut limit_bytes, mut tries_count) = (first_bytes, 0);
            let found = loop {
                let error = match run(&connection, sql, limit_bytes) {
                    Ok(found) => break found,
                    Err(error) => error,
                };
                let record = error.out_of_memory().unwrap_or_else(|| panic!("{sql}: {error}"));
                if record.value().is_some() {
                    // It says how large one value is in place of a limit.
                    limit_bytes *= 2;
                    continue;
                }
                let named = record.sufficient_bytes().unwrap_or_else(|| panic!("{sql}: {error}"));
                assert!(named > limit_bytes && tries_count < 2, "{sql}: {error}");
                (limit_bytes, tries_count) = (named, tries_count + 1);
            };
            assert!(found == expected, "{sql} at {limit_bytes}");
            let times = limit_bytes / VALUE_BYTES as u64;
            assert!(tries_count == 0 || times < times_max, "{sql}: {limit_bytes}, {times} values");
        }
    }
}
