//! Groups of rows that come in the order of a key, against those of the same rows in a table without one.

use cofferdam::{Connection, Database, Options};

use crate::support::table;

const ROWS: usize = 9_000;
/// Beside the tables it leaves what groups take that have to go to files.
const LOW_BYTES: u64 = 1536 << 10;

/// Rows by a key, whose first column has values of one row, of some rows and of thousands, and the same in no order.
fn database(limit_bytes: u64) -> Database {
    let temporary = Some(std::path::Path::new("/var/tmp"));
    let options = Options::new().memory_limit(limit_bytes).temp_directory(temporary);
    let database = Database::open_in_memory(options).unwrap();
    let connection = database.connect().unwrap();
    connection
        .execute_batch(&format!(
            "CREATE TABLE keyed (a numeric(12,2), b integer, c text, d bigint, PRIMARY KEY (a, b));
             INSERT INTO keyed SELECT CASE WHEN i < 2500 THEN i WHEN i < 4000 THEN 9000 + i % 500 ELSE 50000 + i / 2500 END, i,
                    CASE WHEN i % 7 > 0 THEN 'c' || i % 300 END, i * 31 % 1009
             FROM generate_series(1, {ROWS}) AS i;
             CREATE TABLE heap (a numeric(12,2), b integer, c text, d bigint);
             INSERT INTO heap SELECT * FROM keyed ORDER BY d, b"
        ))
        .unwrap();
    drop(connection);
    database
}

fn answer(connection: &Connection, sql: &str) -> String {
    connection.query(sql, table).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Nearly each row of the last values is a group.
const BY_MANY: &str =
    "SELECT d, c, a, count(*), sum(b), sum(d * a), avg(b), min(c), max(b), min(d) FROM $ GROUP BY d, c, a";

const QUERIES: [&str; 11] = [
    "SELECT a, count(*), sum(d), min(c), avg(b) FROM $ GROUP BY a",
    "SELECT b, a, max(c) FROM $ GROUP BY b, a",
    // Groups of which some come together; there are thousands for the last values.
    "SELECT c, a, count(*), sum(d) FROM $ GROUP BY c, a",
    BY_MANY,
    "SELECT a, c, count(*), sum(DISTINCT d) FROM $ WHERE d % 3 > 0 GROUP BY a, c",
    "SELECT a, count(DISTINCT c), count(d) FILTER (WHERE b % 2 = 0) FROM $ GROUP BY a",
    "SELECT a, count(*), md5(string_agg(c, ',' ORDER BY d, b)) FROM $ GROUP BY a",
    "SELECT DISTINCT a FROM $ WHERE d > 100",
    "SELECT count(DISTINCT a), min(DISTINCT a), sum(DISTINCT a) FROM $",
    "SELECT x.a, x.n, y.b FROM (SELECT a, count(*) AS n FROM $ GROUP BY a) AS x JOIN $ AS y ON x.a = y.b WHERE n % 2 = 0",
    "SELECT t.a, t.n FROM (SELECT a, count(*) AS n FROM $ WHERE b < 12000 GROUP BY a UNION ALL SELECT a, -count(*) FROM $ GROUP BY a) AS t",
];

/// Aim: it makes no difference to any row in which order rows come, with memory and without. Method: the same rows by a key and without one,
/// under limits below which the groups of the last values go to files.
#[test]
fn groups_in_order_are_those_of_any_order() {
    for limit_bytes in [64 << 20, LOW_BYTES] {
        let database = database(limit_bytes);
        let connection = database.connect().unwrap();
        for query in QUERIES {
            let [keyed, heap] = ["keyed", "heap"].map(|name| query.replace('$', name));
            let plan = answer(&connection, &format!("EXPLAIN {keyed}"));
            assert!(plan.contains("GroupAggregate") || plan.contains("Unique"), "{plan}");
            let plan = answer(&connection, &format!("EXPLAIN {heap}"));
            assert!(!plan.contains("GroupAggregate") && !plan.contains("Unique"), "{plan}");
            let all = |sql: &str| {
                let answer = answer(&connection, sql);
                let mut rows: Vec<_> = answer.lines().map(str::to_owned).collect();
                rows.sort();
                rows
            };
            assert!(all(&heap) == all(&keyed), "{limit_bytes}: {query}");
        }
        let plan = answer(&connection, &format!("EXPLAIN ANALYZE {}", BY_MANY.replace('$', "keyed")));
        assert_eq!(plan.contains("Disk: "), limit_bytes == LOW_BYTES, "{plan}");
    }
}

/// Aim: what is held does not grow with the number of groups, and nothing goes to files. Method: the peak of a statement whose groups
/// are many times as large.
#[test]
fn groups_in_order_take_the_memory_of_a_batch() {
    let database = database(64 << 20);
    let connection = database.connect().unwrap();
    let peak = |sql: &str| -> u64 {
        let plan = answer(&connection, &format!("EXPLAIN (ANALYZE, MEMORY, FORMAT JSON) {sql}"));
        let held = plan.split("\"Statement Peak Memory Bytes\": ").nth(1).unwrap_or_else(|| panic!("{plan}"));
        assert!(!plan.contains("Spilled"), "{plan}");
        held.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
    };
    connection.execute("CREATE TABLE many (b integer PRIMARY KEY)").unwrap();
    connection.execute("INSERT INTO many SELECT * FROM generate_series(1, 40000)").unwrap();
    let sql =
        |key: &str| format!("SELECT max(n) FROM (SELECT {key}, count(*) AS n FROM many GROUP BY {key}) AS t");
    let (in_order, in_any) = (peak(&sql("b")), peak(&sql("b + 1")));
    assert!(in_order + (1 << 20) < in_any, "{in_order} {in_any}");
}
