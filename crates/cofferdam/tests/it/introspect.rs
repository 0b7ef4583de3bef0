//! What the engine tells of itself in FROM is what it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cofferdam::{Connection, Value};

use crate::support::{Directory, database, outcome};

/// A row of `cofferdam_memory()`.
#[derive(Debug)]
struct Node {
    path: String,
    depth: i32,
    limit: Option<i64>,
    used: i64,
    own: i64,
    peak: i64,
}

fn memory(connection: &Connection) -> Vec<Node> {
    let sql = "SELECT path, depth, limit_bytes, used_bytes, own_bytes, peak_bytes FROM cofferdam_memory()";
    let whole = |value: Value<'_>| match value {
        Value::BigInt(bytes) => Some(bytes),
        Value::Null => None,
        other => panic!("{other:?}"),
    };
    let nodes = connection.query(sql, |rows| {
        let mut nodes = Vec::new();
        while let Some(row) = rows.next_row()? {
            let Value::Integer(depth) = row.value(1) else { panic!("a depth") };
            nodes.push(Node {
                path: row.value(0).to_string(),
                depth,
                limit: whole(row.value(2)),
                used: whole(row.value(3)).expect("bytes"),
                own: whole(row.value(4)).expect("bytes"),
                peak: whole(row.value(5)).expect("bytes"),
            });
        }
        Ok(nodes)
    });
    nodes.expect("there is room")
}

/// Aim: a budget holds what it holds itself and what those below it hold, to the byte, at most its limit, and at most its peak; the
/// statement that asks is in it. Method: the table, in a database with tables; nobody else is at work.
#[test]
fn budgets_add_up() {
    let directory = Directory::new(16 << 20);
    let connection = directory.database.connect().expect("room for a connection");
    connection.execute("CREATE TABLE t (n bigint PRIMARY KEY)").expect("a table");
    connection.execute("INSERT INTO t VALUES (1), (2), (3)").expect("rows");
    let nodes = memory(&connection);
    assert_eq!(nodes[0].depth, 0);
    for (index, node) in nodes.iter().enumerate() {
        let below = nodes[index + 1..].iter().take_while(|other| other.depth > node.depth);
        let children = below.clone().filter(|other| other.depth == node.depth + 1);
        assert!(below.clone().all(|other| other.path.starts_with(&format!("{}/", node.path))), "{nodes:?}");
        assert_eq!(node.used, node.own + children.map(|child| child.used).sum::<i64>(), "{node:?}");
        assert!(node.used <= node.peak, "{node:?}");
        assert!(node.limit.is_none_or(|limit| node.peak <= limit), "{node:?}");
    }
    assert_eq!(nodes[0].limit, Some(16 << 20));
    let statement = nodes.iter().find(|node| node.path.ends_with("/statement/exec/scan_0"));
    assert!(statement.expect("the scan that asks").used > 0, "{nodes:?}");
    assert!(nodes.iter().any(|node| node.path.ends_with("/store/memtable")), "{nodes:?}");
}

/// Aim: a database below another one's budget tells of its own budgets only. Method: a tenant.
#[test]
fn a_tenant_sees_itself() {
    let connection = database(4 << 20).connect().expect("room for a connection");
    let nodes = memory(&connection);
    assert!(nodes.iter().all(|node| node.path.starts_with("process/db")), "{nodes:?}");
    assert_eq!((nodes[0].path.as_str(), nodes[0].limit), ("process/db", Some(4 << 20)));
}

/// Aim: files that a statement has written are told while it runs, with who wrote them, and gone behind it. Method: a sort of
/// more than the limit that has begun to give rows.
#[test]
fn temporary_files_are_told() {
    let database = database(1 << 20);
    let connection = database.connect().expect("room for a connection");
    let rows = (0..150).map(|n| format!("({n}, 'text {n}')")).collect::<Vec<_>>().join(", ");
    let sql =
        format!("SELECT b.t, a.t FROM (VALUES {rows}) AS a(n, t), (VALUES {rows}) AS b(n, t) ORDER BY 1, 2");
    let mut statement = connection.statement(&sql).expect("room");
    let query = statement.prepare().expect("it is planned");
    let mut rows = query.rows().expect("it begins");
    rows.next_row().expect("it runs").expect("a row");
    let other = database.connect().expect("room for a connection");
    let counts = "SELECT count(*) > 0 AS files, sum(bytes) > 0 AS bytes, max(owner) AS owner FROM cofferdam_temporary_files()";
    let told = outcome(&other, counts).expect("room");
    assert!(told.contains("t|t|sort_"), "{told}");
    let sum = "SELECT sum(bytes)::bigint AS bytes FROM cofferdam_temporary_files()";
    let told = outcome(&other, sum).expect("room");
    assert_eq!(told, format!("bytes bigint\n{}\n", database.temporary_counts().bytes_now));
    drop(rows);
    drop(query);
    drop(statement);
    let none = outcome(&other, "SELECT count(*) AS n FROM cofferdam_temporary_files()").expect("room");
    assert_eq!(none, "n bigint\n0\n");
}

/// Aim: the tables tell of bytes on disk once there are some. Method: more rows than memory takes, and a registered file.
#[test]
fn tables_have_bytes_and_rows() {
    let directory = Directory::new(2 << 20);
    let mut connection = directory.database.connect().expect("room for a connection");
    connection.execute("CREATE TABLE t (n bigint PRIMARY KEY, text text)").expect("a table");
    for first in (0..20_000).step_by(100) {
        let rows = (first..first + 100).map(|n| format!("({n}, 'the text of row {n}')"));
        let sql = format!("INSERT INTO t VALUES {}", rows.collect::<Vec<_>>().join(", "));
        connection.execute(&sql).expect("rows");
    }
    let sql = "SELECT rows_estimate BETWEEN 19000 AND 21000 AS rows, bytes > 10000 AS bytes, columns_count AS columns \
               FROM cofferdam_tables() WHERE name = 't'";
    let told = outcome(&connection, sql).expect("room");
    assert_eq!(told, "rows boolean|bytes boolean|columns integer\nt|t|2\n");
    connection.register_file("people", "tests/data/people.csv", None).expect("room");
    let length = std::fs::metadata("tests/data/people.csv").expect("it is there").len();
    let told = outcome(&connection, "SELECT kind, bytes FROM cofferdam_tables() WHERE name = 'people'");
    assert_eq!(told.expect("room"), format!("kind text|bytes bigint\nfile|{length}\n"));
}

/// Aim: looking does not get in the way of others, nor they of it. Method: one thread asks while another runs statements.
#[test]
fn others_work_meanwhile() {
    let directory = Directory::new(16 << 20);
    let connection = directory.database.connect().expect("room for a connection");
    connection.execute("CREATE TABLE t (n bigint PRIMARY KEY)").expect("a table");
    let database = directory.database.clone();
    let is_over = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&is_over);
    let other = std::thread::spawn(move || {
        let connection = database.connect().expect("room for a connection");
        let mut asked = 0;
        while !stop.load(Ordering::Relaxed) {
            for table in ["memory", "settings", "tables", "temporary_files"] {
                let sql = format!("SELECT count(*) FROM cofferdam_{table}()");
                connection.execute(&sql).expect("there is room");
            }
            asked += 1;
        }
        asked
    });
    for n in 0..50 {
        connection.execute(&format!("INSERT INTO t VALUES ({n})")).expect("a row");
        connection.execute("SELECT n % 7, count(*) FROM t GROUP BY 1 ORDER BY 1").expect("rows");
    }
    is_over.store(true, Ordering::Relaxed);
    assert!(other.join().expect("it does not panic") > 0);
}

/// Aim: rows that are read are counted while a statement runs, and expected where that is known. Method: figures behind and amid
/// statements that read whole tables, a file, a part of a table, one again and again, and nothing.
#[test]
fn progress_is_told() {
    let directory = Directory::new(16 << 20);
    let connection = directory.database.connect().expect("room for a connection");
    let progress = connection.progress();
    let after = |sql: &str| {
        connection.execute(sql).expect("it runs");
        (progress.rows_read(), progress.rows_expected())
    };
    after("CREATE TABLE t (n bigint PRIMARY KEY)");
    assert_eq!(after(&format!("INSERT INTO t SELECT n FROM {}", series(5000))), (0, None));
    assert_eq!(after("SELECT count(*) FROM t"), (5000, Some(5000)));
    assert_eq!(after("SELECT count(*) FROM t WHERE n % 2 = 0"), (5000, Some(5000)));
    assert_eq!(after("SELECT count(*) FROM t a JOIN t b ON a.n = b.n + 1"), (10_000, Some(10_000)));
    assert_eq!(after("EXPLAIN ANALYZE SELECT count(*) FROM t"), (0, None), "it is the answer's");
    assert_eq!(after("SELECT count(*) FROM t WHERE n < 10"), (10, None));
    let (read, expected) = after("SELECT count(*) FROM 'tests/data/people.csv'");
    assert!(
        read > 0 && expected.is_some_and(|rows| rows / 4 < read && read < rows * 4),
        "{read} of {expected:?}"
    );
    let again = "WITH RECURSIVE r(n) AS (SELECT 0 UNION ALL SELECT r.n + 1 FROM r, t WHERE r.n < 3 AND t.n = 7) SELECT * FROM r";
    assert_eq!(after(again).1, None);
    assert_eq!(after("SELECT 1"), (0, None));
    assert_eq!(after("BEGIN"), (0, None));
    connection.execute("COMMIT").expect("it runs");
    // It is told before the end.
    let mut statement = connection.statement("SELECT n FROM t").expect("room");
    let query = statement.prepare().expect("it is planned");
    let mut rows = query.rows().expect("it begins");
    rows.next_row().expect("it runs").expect("a row");
    assert!((1..5000).contains(&progress.rows_read()), "{progress:?}");
    assert_eq!(progress.rows_expected(), Some(5000));
    drop(rows);
    assert_eq!(after("UPDATE t SET n = n + 10000").0, 5000);
}

/// A query of the numbers below `count`.
fn series(count: usize) -> String {
    format!("generate_series(0, {}) AS s(n)", count - 1)
}
