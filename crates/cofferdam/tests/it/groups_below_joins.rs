//! Groups of outer joins that are made below the join: the answers of groups above it.

use cofferdam::{Connection, Database, Options};

use crate::support::table;

/// Customers, some without orders, and orders, some of nobody.
fn database(limit_bytes: u64) -> Database {
    let database = Database::open_in_memory(Options::new().memory_limit(limit_bytes)).unwrap();
    let connection = database.connect().unwrap();
    connection
        .execute_batch(
            "CREATE TABLE c (id integer PRIMARY KEY, town text, kind integer);
             CREATE TABLE o (id integer PRIMARY KEY, c integer, kind integer, v numeric(12,2), s text);
             INSERT INTO c SELECT i, 'town ' || i % 10, i % 3 FROM generate_series(1, 2000) AS i;
             INSERT INTO o SELECT i, CASE WHEN i % 50 > 0 THEN (i * 7919) % 1500 + 600 END, i % 2,
                    CASE WHEN i % 9 > 0 THEN i * 0.25 END, CASE WHEN i % 8 > 0 THEN 's' || i % 100 END
             FROM generate_series(1, 18000) AS i",
        )
        .unwrap();
    drop(connection);
    database
}

/// The aggregates of the plan, each with its depth.
fn aggregates(connection: &Connection, sql: &str) -> Vec<usize> {
    let plan = connection.query(&format!("EXPLAIN (COSTS off) {sql}"), table).unwrap();
    let depth = |line: &str| line.contains("HashAggregate").then(|| line.len() - line.trim_start().len());
    plan.lines().filter_map(depth).collect()
}

const AGGREGATES: &str = "count(*) AS r, count(o.id) AS n, count(o.v) AS nv, sum(o.id) AS si, sum(o.v) AS sv, min(o.v) AS lv, max(o.s) AS gs,
     bit_xor(o.id) AS bx";

/// Aim: it makes no difference to any row whether groups are made below the join. Method: a join that has another condition, which is
/// always true, has its groups above it.
#[test]
fn groups_below_joins_are_those_above() {
    {
        let database = database(8 << 20);
        let connection = database.connect().unwrap();
        for (groups, join, steps) in [
            // Each customer is a group.
            ("c.id", "o.c = c.id", 1),
            ("c.town, c.id", "c.id = o.c AND o.v > 100", 1),
            ("c.id, c.town, c.kind", "c.id = o.c", 1),
            // Customers that share a group.
            ("c.town", "o.c = c.id", 2),
            ("c.town, c.kind + 1", "o.c = c.id AND o.kind = c.kind", 2),
            ("c.town", "o.c = c.id AND o.id % 7 = 3 AND o.id < 8500", 2),
        ] {
            let sql = |join: &str| {
                format!("SELECT {groups}, {AGGREGATES} FROM c LEFT JOIN o ON {join} GROUP BY {groups}")
            };
            let (below, above) = (sql(join), sql(&format!("{join} AND o.id + c.id > 0")));
            let depths = aggregates(&connection, &above);
            assert_eq!(depths.len(), 1, "{above}");
            if !join.contains("% 7") {
                let plan = connection.query(&format!("EXPLAIN {below}"), table).unwrap();
                assert_eq!(aggregates(&connection, &below).len(), steps, "{plan}");
                assert!(plan.rfind("Join").unwrap() < plan.rfind("HashAggregate").unwrap(), "{plan}");
            }
            let ordered = |sql: &str| connection.query(&format!("{sql} ORDER BY 1, 2, 3, 4"), table).unwrap();
            assert_eq!(ordered(&below), ordered(&above), "{below}");
        }
    }
}

/// Aim: what reads the side that is kept, or is something for a row without a match, is grouped above the join; and so is what
/// would be grouped for nobody.
#[test]
fn other_groups_are_made_above_joins() {
    let database = database(64 << 20);
    let connection = database.connect().unwrap();
    for sql in [
        "SELECT o.s, any_value(o.c), count(o.id) FROM c LEFT JOIN o ON o.c = c.id GROUP BY o.s",
        "SELECT c.id, sum(c.kind), count(o.id) FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id",
        "SELECT c.id, count(coalesce(o.kind, 1)) FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id",
        "SELECT c.id, count(1) FROM c LEFT JOIN o ON o.c = c.id AND o.kind > c.kind GROUP BY c.id",
        "SELECT c.id, count(*) FILTER (WHERE o.id IS NULL) FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id",
        "SELECT c.id, count(DISTINCT o.kind) FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id",
        "SELECT c.id, string_agg(o.s, ',') FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id",
        "SELECT c.id, o.kind, count(o.id) FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id, o.kind",
        "SELECT count(o.id) FROM c LEFT JOIN o ON o.c = c.id",
        "SELECT c.id, count(o.id) FROM c LEFT JOIN o ON o.c = c.id GROUP BY ROLLUP (c.id)",
        "SELECT c.id, count(o.id) FROM c LEFT JOIN o ON o.c = c.id WHERE c.id < 100 GROUP BY c.id",
        "SELECT c.id, count(o.v) FROM c LEFT JOIN o ON o.id = c.id GROUP BY c.id",
    ] {
        let plan = connection.query(&format!("EXPLAIN {sql}"), table).unwrap();
        assert!(plan.rfind("Join").unwrap() > plan.rfind("Aggregate").unwrap(), "{sql}\n{plan}");
    }
}

/// The plan, so that a change of it is seen.
#[test]
fn explain_shows_where_groups_are_made() {
    let database = database(64 << 20);
    let connection = database.connect().unwrap();
    let sql = "EXPLAIN (COSTS off) SELECT c.id, c.town, count(o.id), count(*) FROM c LEFT JOIN o ON o.c = c.id GROUP BY 1";
    let expected = "\
QUERY PLAN text
Project
  Expressions: c.id, c.town, coalesce(count(o.id), 0), coalesce(count(*), 1)
  ->  Hash Left Join
        Hash Cond: (c.id = o.c)
        ->  Seq Scan on c
        ->  HashAggregate
              Group Key: o.c
              Aggregates: count(o.id), count(*)
              ->  Seq Scan on o
";
    assert_eq!(connection.query(sql, table).unwrap(), expected);
}
