//! `EXPLAIN ANALYZE`: what it tells is what happened.

use cofferdam::{Connection, Database, Options, Value};
use serde_json::Value as Json;

use crate::support::{Directory, database, outcome};

/// A query with every kind of operator that holds rows.
const QUERY: &str = "SELECT a.n % 7, count(*), string_agg(a.t, ',') FROM big AS a JOIN big AS b ON a.n = b.n + 1 \
                     WHERE a.n <> 5 GROUP BY 1 HAVING count(*) > 1 ORDER BY 2 DESC, 1 LIMIT 5";

/// A connection with the table `big` of so many rows.
fn connection(directory: &Directory, rows_count: u32) -> Connection {
    let connection = directory.database.connect().expect("room for a connection");
    connection.execute("CREATE TABLE big (n bigint PRIMARY KEY, t text)").expect("a table");
    for first in (0..rows_count).step_by(1000) {
        let rows = (first..rows_count.min(first + 1000)).map(|n| format!("({n}, 'text {n}')"));
        let sql = format!("INSERT INTO big VALUES {}", rows.collect::<Vec<_>>().join(", "));
        connection.execute(&sql).expect("rows");
    }
    connection
}

/// The JSON of a statement, read by somebody else.
fn json(connection: &Connection, sql: &str) -> Json {
    let text = connection.query(sql, |rows| {
        let row = rows.next_row()?.expect("one row");
        let Value::Json(text) = row.value(0) else { panic!("JSON") };
        let text = text.to_owned();
        assert!(rows.next_row()?.is_none());
        Ok(text)
    });
    serde_json::from_str(&text.expect("it runs")).expect("valid JSON")
}

/// All operators of a plan, parents first.
fn operators(plan: &Json) -> Vec<&Json> {
    let mut all = vec![plan];
    let mut next = 0;
    while let Some(operator) = all.get(next).copied() {
        next += 1;
        all.extend(operator["Plans"].as_array().into_iter().flatten());
    }
    all
}

fn number(of: &Json, name: &str) -> u64 {
    of[name].as_u64().unwrap_or_else(|| panic!("{name} of {of}"))
}

/// Aim: figures add up: an operator takes at least what it reads takes, holds at most what the statement held, and gives the rows
/// that a query gives. Method: a query with joins, groups and an order, its JSON.
#[test]
fn figures_add_up() {
    let directory = Directory::new(16 << 20);
    let connection = connection(&directory, 3000);
    let rows_count = connection.execute(QUERY).expect("it runs");
    let explained = json(&connection, &format!("EXPLAIN (ANALYZE, MEMORY, FORMAT JSON) {QUERY}"));
    let explained = &explained[0];
    let (peak, limit) =
        (number(explained, "Statement Peak Memory Bytes"), number(explained, "Statement Memory Limit Bytes"));
    assert!(0 < peak && peak <= limit && limit <= 16 << 20, "{peak} of {limit}");
    assert!(number(explained, "Planning Memory Bytes") > 0);
    assert!(explained["Planning Time"].as_f64().expect("a number") > 0.0);
    let execution = explained["Execution Time"].as_f64().expect("a number");
    let plan = &explained["Plan"];
    assert_eq!(number(plan, "Actual Rows"), rows_count);
    let (mut held, mut scans) = (0, 0);
    for operator in operators(plan) {
        assert_eq!(number(operator, "Actual Loops"), 1, "{operator}");
        let time = |of: &Json, name: &str| of[name].as_f64().expect("a number");
        let total = time(operator, "Actual Total Time");
        assert!(time(operator, "Actual Startup Time") <= total && total <= execution, "{operator}");
        let inputs = operator["Plans"].as_array().into_iter().flatten();
        let below: f64 = inputs.map(|input| time(input, "Actual Total Time")).sum();
        // Each is rounded to a microsecond.
        assert!(below <= total + 0.002, "{below} in {total}: {operator}");
        let (now, peak) = (number(operator, "Memory Bytes"), number(operator, "Peak Memory Bytes"));
        assert!(now <= peak, "{operator}");
        held += now;
        if operator["Node Type"] == "Seq Scan" {
            scans += 1;
            let removed = operator["Rows Removed by Filter"].as_u64().unwrap_or(0);
            assert_eq!(number(operator, "Actual Rows") + removed, 3000, "{operator}");
        }
    }
    assert_eq!(scans, 2);
    assert!(held <= peak, "{held} of {peak}");
    assert_eq!(number(explained, "Temporary Files"), 0);
}

/// Aim: what is written to files is told. Method: a sort of more than the limit.
#[test]
fn spilled_bytes_are_told() {
    let connection = database(1 << 20).connect().expect("room for a connection");
    let rows = (0..150).map(|n| format!("({n}, 'text {n}')")).collect::<Vec<_>>().join(", ");
    let tables = format!("(VALUES {rows}) AS a(n, t), (VALUES {rows}) AS b(n, t)");
    let query = format!("SELECT b.t, a.t FROM {tables} ORDER BY b.t DESC, a.t");
    let explained = json(&connection, &format!("EXPLAIN (ANALYZE, FORMAT JSON) {query}"));
    let sort = &explained[0]["Plan"];
    assert_eq!(sort["Node Type"], "Sort");
    assert_eq!(number(sort, "Actual Rows"), 150 * 150);
    assert!(number(sort, "Spilled Files") > 0);
    // A row has at least its texts.
    assert!(number(sort, "Spilled Bytes") > 150 * 150 * 12);
    assert_eq!(number(sort, "Spilled Bytes"), number(&explained[0], "Temporary Bytes"));
    let text = outcome(&connection, &format!("EXPLAIN ANALYZE {query}")).expect("room");
    assert!(text.contains("  Disk: ") && text.contains("Temporary Files: "), "{text}");
}

/// Aim: it gives everything back, also where its statement fails. Method: the budget before and behind it.
#[test]
fn everything_is_given_back() {
    let database: Database = database(16 << 20);
    let connection = database.connect().expect("room for a connection");
    let before = database.budget().memory_tree().to_string();
    for sql in [
        "EXPLAIN (ANALYZE, MEMORY) SELECT n, count(*) FROM (VALUES (1), (2)) AS t(n) GROUP BY 1 ORDER BY 1",
        "EXPLAIN ANALYZE SELECT 1 / (n - 1) FROM (VALUES (1), (2)) AS t(n)",
        "EXPLAIN (ANALYZE, FORMAT JSON) SELECT 1",
    ] {
        let _ = outcome(&connection, sql).expect("room");
        let used = |tree: &str| tree.lines().count();
        assert_eq!(used(&database.budget().memory_tree().to_string()), used(&before), "{sql}");
    }
    drop(connection);
    let other = Database::open_in_memory(Options::new()).expect("room").budget().used();
    assert!(database.budget().used() <= other.max(64 << 10));
}

/// Aim: a run of a prepared statement may be repeated. Method: the same query object twice.
#[test]
fn it_runs_again() {
    let database = database(16 << 20);
    let connection = database.connect().expect("room for a connection");
    let sql = "EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, COSTS OFF) SELECT 1";
    let mut statement = connection.statement(sql).expect("room");
    let query = statement.prepare().expect("it parses");
    assert_eq!(query.columns()[0].name, "QUERY PLAN");
    for _ in 0..2 {
        let mut rows = query.rows().expect("it runs");
        let mut lines = Vec::new();
        while let Some(row) = rows.next_row().expect("rows") {
            lines.push(row.value(0).to_string());
        }
        assert_eq!(lines[0], "Project (actual rows=1 loops=1)");
        assert_eq!(rows.command_tag().to_string(), "EXPLAIN");
    }
}

/// Aim: who asks for some days of a calendar that goes far beyond those of which there are rows is expected to ask for such days. Method: the
/// planner's figure against the rows that come.
#[test]
fn days_that_are_asked_for_have_rows() {
    let database = database(16 << 20);
    let connection = database.connect().expect("room for a connection");
    let tables = "CREATE TABLE day (d integer PRIMARY KEY, year integer NOT NULL);
                  INSERT INTO day SELECT i, i / 365 FROM generate_series(1, 40000) AS i;
                  CREATE TABLE sale (id integer PRIMARY KEY, day integer NOT NULL);
                  INSERT INTO sale SELECT i, 20000 + i * 7 % 1800 FROM generate_series(1, 20000) AS i";
    connection.execute_batch(tables).expect("tables");
    for (condition, most_times) in [("year = 57", 2.0), ("d BETWEEN 20300 AND 20500", 2.0), ("true", 1.1)] {
        let sql = format!(
            "EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, FORMAT JSON) SELECT * FROM sale, day WHERE day = d AND {condition}"
        );
        let text = outcome(&connection, &sql).expect("room");
        let json = text.split_once('\n').expect("a line of names").1;
        let plan: Json = serde_json::from_str(json).expect("JSON");
        let rows = |what: &str| plan[0]["Plan"][what].as_f64().unwrap_or_else(|| panic!("{what}: {text}"));
        let (planned, actual) = (rows("Plan Rows"), rows("Actual Rows"));
        assert!(planned < most_times * actual && actual < most_times * planned, "{condition}: {text}");
    }
}

/// Aim: values that a condition names are all that groups can have. Method: the planner's figure against the groups that come.
#[test]
fn groups_have_the_values_that_are_named() {
    let database = database(16 << 20);
    let connection = database.connect().expect("room for a connection");
    let tables = "CREATE TABLE t (a integer PRIMARY KEY, b integer NOT NULL, c integer NOT NULL);
                  INSERT INTO t SELECT i, i % 100, i / 100 % 80 FROM generate_series(1, 40000) AS i";
    connection.execute_batch(tables).expect("tables");
    for (condition, groups) in [("c IN (3, 4)", 200.0), ("5 = c", 100.0), ("c = 1 AND b IN (2, 3, 4)", 3.0)] {
        let sql =
            format!("EXPLAIN (FORMAT JSON) SELECT b, c, count(*) FROM t WHERE {condition} GROUP BY b, c");
        let text = outcome(&connection, &sql).expect("room");
        let json = text.split_once('\n').expect("a line of names").1;
        let plan: Json = serde_json::from_str(json).expect("JSON");
        let planned = plan[0]["Plan"]["Plan Rows"].as_f64().unwrap_or_else(|| panic!("{text}"));
        assert!(planned < 1.2 * groups && groups < 1.2 * planned, "{condition}: {text}");
    }
}
