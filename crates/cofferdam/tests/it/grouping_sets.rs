//! Grouping sets that are made of the groups of all columns: the answers of one grouping after the other.

use cofferdam::{Connection, Database, Options};

use crate::support::table;

/// A table whose rows fall into few groups.
fn database(limit_bytes: u64) -> Database {
    let database = Database::open_in_memory(Options::new().memory_limit(limit_bytes)).unwrap();
    let connection = database.connect().unwrap();
    connection
        .execute_batch(
            "CREATE TABLE t (k integer PRIMARY KEY, a integer, b char(4), c text, n numeric, v numeric(12,2), s smallint, w bigint);
             INSERT INTO t SELECT i, i % 5, CASE WHEN i % 7 < 6 THEN 'b' || i % 7 END, 'c' || i % 3,
                    CASE WHEN i % 2 = 0 THEN i * 0.5 ELSE (i + 0.00) END, i * 0.25,
                    CASE WHEN i % 7 <> 2 THEN i % 100 END, i * 1000000000000
             FROM generate_series(1, 9000) AS i",
        )
        .unwrap();
    drop(connection);
    database
}

const AGGREGATES: &str = "count(*) AS r, count(s) AS m, sum(s) AS ss, sum(w) AS sw, sum(n) AS sn, sum(v) AS sv, avg(s) AS avs, avg(w) AS avw, avg(v) AS avv, min(c) AS mc, max(b) AS mb, min(n) AS mn, bool_or(k = 7) AS o, bool_and(s > 0) AS p,
     bit_or(s) AS bo, bit_and(k) AS ba, bit_xor(k) AS bx, count(*) FILTER (WHERE k < 6000) AS f, avg(s) FILTER (WHERE a = 9) AS nothing";

/// One grouping after the other, as PostgreSQL defines grouping sets.
fn one_by_one(condition: &str, sets: &[&[&str]]) -> String {
    let each = sets.iter().map(|set| {
        let column = |name: &str| match set.contains(&name) {
            true => name.to_string(),
            false => format!("NULL AS {name}"),
        };
        let missing = |name: &str, bit: u32| if set.contains(&name) { 0 } else { bit };
        let grouping = missing("a", 4) + missing("b", 2) + missing("c", 1);
        let by = if set.is_empty() { String::new() } else { format!("GROUP BY {}", set.join(", ")) };
        let (a, b, c) = (column("a"), column("b"), column("c"));
        format!("SELECT {a}, {b}, {c}, {grouping} AS g, {AGGREGATES} FROM t {condition} {by}")
    });
    each.collect::<Vec<_>>().join(" UNION ALL ")
}

fn steps(connection: &Connection, sql: &str) -> usize {
    connection.query(&format!("EXPLAIN {sql}"), table).unwrap().matches("HashAggregate").count()
}

const SETS: [(&str, &[&[&str]]); 4] = [
    ("ROLLUP (a, b, c)", &[&["a", "b", "c"], &["a", "b"], &["a"], &[]]),
    ("CUBE (a, b)", &[&["a", "b"], &["a"], &["b"], &[]]),
    ("GROUPING SETS ((a, b), (c), (a, b))", &[&["a", "b"], &["c"], &["a", "b"]]),
    ("GROUPING SETS ((b, c), (a))", &[&["b", "c"], &["a"]]),
];

/// Aim: sets of groups have what groups of rows have, to the digit. Method: each set by itself.
#[test]
fn sets_of_groups_are_those_of_rows() {
    {
        let database = database(6 << 20);
        let connection = database.connect().unwrap();
        for (sets, listed) in SETS {
            let columns = "a, b, c";
            let all = listed.concat();
            let column =
                |name: &&str| if all.contains(name) { name.to_string() } else { format!("NULL AS {name}") };
            let shown = columns.split(", ").map(|name| column(&name)).collect::<Vec<_>>().join(", ");
            let grouping = columns.split(", ").map(|name| match all.contains(&name) {
                true => format!("grouping({name})"),
                false => "1".to_string(),
            });
            let grouping = grouping.collect::<Vec<_>>();
            let grouping = format!("{} * 4 + {} * 2 + {} AS g", grouping[0], grouping[1], grouping[2]);
            for condition in ["", "WHERE k < 0"] {
                let at_once =
                    format!("SELECT {shown}, {grouping}, {AGGREGATES} FROM t {condition} GROUP BY {sets}");
                if condition.is_empty() {
                    assert_eq!(steps(&connection, &at_once), 2, "{at_once}");
                }
                let ordered = |sql: &str| {
                    let sql = format!("SELECT * FROM ({sql}) AS q ORDER BY g, a, b, c");
                    connection.query(&sql, table).unwrap()
                };
                assert_eq!(ordered(&at_once), ordered(&one_by_one(condition, listed)), "{at_once}");
            }
        }
    }
}

/// Aim: what depends on how rows are parted is made of rows, and so are groups that are no fewer.
#[test]
fn other_sets_are_made_of_rows() {
    let database = database(64 << 20);
    let connection = database.connect().unwrap();
    for aggregate in [
        "count(DISTINCT s)",
        "string_agg(c, ',' ORDER BY k)",
        "array_agg(s)",
        "stddev(v)",
        "sum(v::double precision)",
        "avg(v::real)",
        "avg(n)",
    ] {
        let sql = format!("SELECT a, {aggregate}, count(*) FROM t GROUP BY ROLLUP (a, b)");
        assert_eq!(steps(&connection, &sql), 1, "{sql}");
    }
    let sql = "SELECT k, sum(s) FROM t GROUP BY ROLLUP (k)";
    assert_eq!(steps(&connection, sql), 1, "{sql}");
    let sql = "SELECT a, sum(s) FROM t WHERE k < 100 GROUP BY ROLLUP (a)";
    assert_eq!(steps(&connection, sql), 1, "{sql}");
    // An empty input has the group of no columns, whichever way it goes.
    let sql = "SELECT a, count(*), sum(s), avg(v) FROM t WHERE v < 0 AND a = 3 GROUP BY ROLLUP (a)";
    assert_eq!(connection.query(sql, table).unwrap().lines().last(), Some("NULL|0|NULL|NULL"));
}

/// The plan, so that a change of it is seen.
#[test]
fn explain_shows_both_steps() {
    let database = database(64 << 20);
    let connection = database.connect().unwrap();
    let plan = connection
        .query(
            "EXPLAIN (COSTS off) SELECT a, b, avg(s), count(*), max(c) FROM t GROUP BY ROLLUP (a, b)",
            table,
        )
        .unwrap();
    let expected = "\
QUERY PLAN text
Project
  Expressions: a, b, (sum(sum) / sum(count)), coalesce(sum(count), 0), max(max)
  ->  HashAggregate
        Group Key: a, b
        Grouping Sets: (1, 2), (1), ()
        Aggregates: sum(sum), sum(count), sum(count), max(max)
        ->  HashAggregate
              Group Key: a, b
              Aggregates: sum(s), count(s), count(*), max(c)
              ->  Seq Scan on t
";
    assert_eq!(plan, expected);
}
