//! What joins tell scans changes no answer: each query is run with a key that is a column, which scans are told of, and with one
//! that is computed, of which they are not.

use cofferdam::Connection;

use crate::support::{Directory, outcome};

/// Sales of 500 items, some without one, and the items; a third of the sales and of the items is newer than the rest. Written as `KEY`,
/// the key of a sale is `item` or something equal to it.
const TABLES: [&str; 4] = [
    "CREATE TABLE sale (id integer PRIMARY KEY, item integer, amount bigint, note text)",
    "CREATE TABLE item (id integer PRIMARY KEY, kind bigint, price integer)",
    "INSERT INTO sale SELECT g, CASE WHEN g % 11 > 0 THEN g * 7 % 500 END, g % 13, 'sale ' || g FROM generate_series(1, 6000) g",
    "INSERT INTO item SELECT g, g % 40, g % 90 FROM generate_series(1, 500) g WHERE g % 3 > 0",
];
const CHANGES: [&str; 3] = [
    "INSERT INTO item SELECT g, g % 40, g % 90 FROM generate_series(1, 500) g WHERE g % 3 = 0",
    "UPDATE sale SET item = id % 500, note = 'changed' WHERE id % 17 = 3",
    "DELETE FROM sale WHERE id % 19 = 5",
];

/// Queries with a condition on the items.
const QUERIES: [&str; 16] = [
    "SELECT count(*), sum(amount), min(note) FROM sale JOIN item ON KEY = item.id WHERE kind = 3",
    "SELECT count(*), sum(amount), min(note) FROM sale JOIN item ON KEY = item.id WHERE kind < 30 AND note LIKE '%7%'",
    "SELECT count(*), sum(price) FROM sale RIGHT JOIN item ON KEY = item.id WHERE kind = 3",
    "SELECT count(*), sum(price) FROM sale LEFT JOIN item ON KEY = item.id AND kind = 3",
    "SELECT count(*), sum(price) FROM sale FULL JOIN (SELECT * FROM item WHERE kind = 3) item ON KEY = item.id",
    "SELECT count(*), sum(amount) FROM sale WHERE KEY IN (SELECT id FROM item WHERE kind = 3)",
    "SELECT count(*), sum(amount) FROM sale WHERE KEY NOT IN (SELECT id FROM item WHERE kind = 3)",
    "SELECT count(*), sum(kind) FROM item WHERE kind = 3 AND EXISTS (SELECT FROM sale WHERE KEY = item.id AND amount = 2)",
    "SELECT count(*), sum(kind) FROM item WHERE kind = 3 AND NOT EXISTS (SELECT FROM sale WHERE KEY = item.id AND amount = 2)",
    "SELECT kind, n, s FROM item JOIN (SELECT KEY AS k, count(*) n, sum(amount) s FROM sale GROUP BY KEY) g ON k = item.id WHERE kind IN (3, 7) ORDER BY item.id",
    "SELECT sum(amount) FROM sale, item WHERE KEY = item.id AND kind = 3 AND amount < (SELECT avg(amount) FROM sale WHERE KEY = item.id)",
    "SELECT count(*), sum(r) FROM item JOIN (SELECT KEY AS k, row_number() OVER (PARTITION BY KEY ORDER BY id) r FROM sale) w ON k = item.id WHERE kind = 3",
    "SELECT count(*) FROM item JOIN (SELECT KEY AS k FROM sale UNION ALL SELECT KEY FROM sale WHERE amount > 5) u ON k = item.id WHERE kind = 3",
    "SELECT count(*) FROM item JOIN (SELECT KEY AS k, amount FROM sale EXCEPT SELECT KEY, amount FROM sale WHERE id < 5000) u ON k = item.id WHERE kind = 3",
    "SELECT count(*), sum(b.amount) FROM sale a JOIN sale b ON a.item = b.item JOIN item ON KEY = item.id WHERE kind = 3 AND a.id < 900",
    "WITH RECURSIVE r(k, n) AS (SELECT 3::bigint, 1 UNION ALL SELECT (s % 40)::bigint, n + 1 FROM r, LATERAL (SELECT sum(amount) AS s FROM sale JOIN item ON KEY = item.id WHERE kind = r.k) x WHERE n < 4) SELECT * FROM r ORDER BY n",
];

fn both_agree(connection: &Connection, state: &str) {
    for query in QUERIES {
        // In the query with two sales a column needs its table.
        let column = if query.contains("sale b") { "b.item" } else { "sale.item" };
        let told = query.replace("KEY", column);
        let untold = query.replace("KEY", &format!("({column} + 0)"));
        let expected = outcome(connection, &untold).unwrap();
        assert!(!expected.starts_with("error"), "{untold}\n{expected}");
        assert_eq!(outcome(connection, &told).unwrap(), expected, "{state}: {told}");
    }
}

/// Aim: filters leave out only rows that would find no match. Method: every kind of join, and everything that a column is followed
/// through, over tables in segments, with newer versions beside them, and within a transaction.
#[test]
fn no_answer_depends_on_what_scans_are_told() {
    let directory = Directory::new(16 << 20);
    let connection = directory.database.connect().unwrap();
    TABLES.iter().for_each(|sql| connection.execute(sql).map(drop).unwrap());
    // The rows came in order, so they are in a segment each.
    both_agree(&connection, "one segment");
    connection.execute("BEGIN").unwrap();
    CHANGES.iter().for_each(|sql| connection.execute(sql).map(drop).unwrap());
    both_agree(&connection, "own changes");
    connection.execute("COMMIT").unwrap();
    both_agree(&connection, "changes");
}

/// The plans of these queries have filters, or the test above shows nothing.
#[test]
fn scans_are_told() {
    let directory = Directory::new(16 << 20);
    let connection = directory.database.connect().unwrap();
    TABLES.iter().for_each(|sql| connection.execute(sql).map(drop).unwrap());
    let is_told = |query: &str| {
        let plan = outcome(&connection, &format!("EXPLAIN {}", query.replace("KEY", "sale.item"))).unwrap();
        plan.contains("Key Filter: item IN")
    };
    for (index, is_expected) in
        [(0, true), (2, true), (3, false), (4, false), (5, true), (6, false), (9, true)]
    {
        assert_eq!(is_told(QUERIES[index]), is_expected, "{}", QUERIES[index]);
    }
}

/// Aim: memory that is refused to filters costs rows and no answer. Method: limits of a statement from one that refuses all to one that
/// refuses nothing; what does not fit is the typed error.
#[test]
fn under_any_limit_the_answer_is_the_same() {
    let directory = Directory::new(16 << 20);
    let connection = directory.database.connect().unwrap();
    TABLES.iter().for_each(|sql| connection.execute(sql).map(drop).unwrap());
    let mut refused = 0;
    for index in [0, 9, 10, 14] {
        let column = if QUERIES[index].contains("sale b") { "b.item" } else { "sale.item" };
        let query = QUERIES[index].replace("KEY", column);
        connection.execute("SET statement_memory_limit = '16MiB'").map(drop).unwrap();
        let expected = outcome(&connection, &query).unwrap();
        let (mut kib, mut answered) = (64, 0);
        while kib < 8 << 10 {
            connection.execute(&format!("SET statement_memory_limit = '{kib}KiB'")).map(drop).unwrap();
            match outcome(&connection, &query) {
                Ok(answer) => {
                    assert_eq!(answer, expected, "{kib} KiB: {query}");
                    answered += 1;
                }
                Err(error) => {
                    assert_eq!(error.sqlstate(), "53200", "{kib} KiB: {query}");
                    refused += 1;
                }
            }
            kib += kib / 4 + 1;
        }
        assert!(answered > 0, "{query}");
    }
    assert!(refused > 0, "the least limit refuses none");
}
