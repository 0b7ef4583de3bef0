//! Groups of joined rows that are made of groups by the key of the join: the answers of groups above it.

use cofferdam::{Connection, Database, Options};

use crate::support::table;

/// Items, of which several have one name, and sales, some of no item.
fn database(limit_bytes: u64) -> Database {
    let temporary = Some(std::path::Path::new("/var/tmp"));
    let options = Options::new().memory_limit(limit_bytes).temp_directory(temporary);
    let database = Database::open_in_memory(options).unwrap();
    let connection = database.connect().unwrap();
    connection
        .execute_batch(
            "CREATE TABLE item (id integer PRIMARY KEY, name text, kind integer, twin integer);
             INSERT INTO item SELECT i, 'item ' || i % 200, i % 3, i / 2 FROM generate_series(1, 500) AS i;
             CREATE TABLE sale (id integer PRIMARY KEY, item integer, day integer, n integer, v numeric(12,2), s text);
             INSERT INTO sale SELECT i, CASE WHEN i % 50 > 0 THEN (i * 7919) % 130 * 4 - 10 END, i % 4, i % 13,
                    CASE WHEN i % 9 > 0 THEN i * 0.25 END, CASE WHEN i % 8 > 0 THEN 's' || i % 100 END
             FROM generate_series(1, 20000) AS i",
        )
        .unwrap();
    drop(connection);
    database
}

fn answer(connection: &Connection, sql: &str) -> Vec<String> {
    let answer = connection.query(sql, table).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let mut rows: Vec<_> = answer.lines().map(str::to_owned).collect();
    rows.sort();
    rows
}

/// Whether an aggregate is made below the join.
fn is_below(connection: &Connection, sql: &str) -> bool {
    let plan = connection.query(&format!("EXPLAIN (COSTS off) {sql}"), table).unwrap();
    let depth = |what: &str| {
        plan.lines().filter(|line| line.contains(what)).map(|line| line.len() - line.trim_start().len()).max()
    };
    depth("Aggregate") > depth("Join")
}

const AGGREGATES: &str = "count(*), count(s.v), sum(s.n), sum(s.v), avg(s.n), avg(s.v), min(s.v), max(s.s), bit_xor(s.n), bool_and(s.n > 3),
     sum(s.n * 2 - s.day) FILTER (WHERE s.day < 2)";

/// Aim: it makes no difference to any row whether the key of the join is grouped first. Method: a join that has another condition, which is
/// always true, has all groups above it; with memory and without.
#[test]
fn groups_of_keys_are_those_of_rows() {
    for limit_bytes in [64 << 20, 2 << 20] {
        let database = database(limit_bytes);
        let connection = database.connect().unwrap();
        for (groups, join) in [
            ("i.name", "s.item = i.id"),
            ("i.name, s.day", "i.id = s.item"),
            ("i.id, upper(i.name), s.day + i.kind", "i.id = s.item AND i.kind < 2"),
            // Each key has two rows.
            ("i.name", "s.item = i.twin"),
            ("i.id", "s.item = i.twin AND s.day = i.kind"),
            ("ROLLUP (i.name, i.kind)", "s.item = i.id"),
            ("GROUPING SETS ((i.name), (i.id, s.day), ())", "s.item = i.id"),
        ] {
            let keys = match groups.strip_prefix("ROLLUP (").and_then(|keys| keys.strip_suffix(')')) {
                Some(keys) => format!("{keys}, grouping({keys})"),
                None if groups.starts_with("GROUPING") => {
                    "i.name, i.id, s.day, grouping(i.id, i.name)".to_owned()
                }
                None => groups.to_owned(),
            };
            let sql = |join: &str| {
                format!(
                    "SELECT {keys}, {AGGREGATES} FROM sale AS s JOIN item AS i ON {join} GROUP BY {groups}"
                )
            };
            let (below, above) = (sql(join), sql(&format!("{join} AND s.id + i.id > 0")));
            assert!(
                is_below(&connection, &below),
                "{below}\n{}",
                connection.query(&format!("EXPLAIN {below}"), table).unwrap()
            );
            assert!(!is_below(&connection, &above), "{above}");
            assert!(answer(&connection, &below) == answer(&connection, &above), "{limit_bytes}: {below}");
        }
    }
}

/// Aim: what would be grouped for nobody, or could fail for it, or does not get less by that, is grouped above the join.
#[test]
fn other_groups_are_made_above_joins() {
    let database = database(64 << 20);
    let connection = database.connect().unwrap();
    for (what, condition, groups) in [
        ("sum(s.n)", "s.item = i.id AND i.kind = 1 AND i.name < 'item 12'", "i.name"),
        ("sum(s.n / s.day)", "s.item = i.id", "i.name"),
        ("sum(s.n + i.kind)", "s.item = i.id", "i.name"),
        ("count(DISTINCT s.n)", "s.item = i.id", "i.name"),
        ("string_agg(s.s, ',')", "s.item = i.id", "i.name"),
        ("sum(s.n::double precision)", "s.item = i.id", "i.name"),
        ("sum(s.n)", "s.item = i.id", "i.kind"),
        ("sum(s.n)", "s.item = i.id", "i.name, s.id"),
        ("sum(s.n)", "s.item + 1 = i.id", "i.name"),
        ("sum(s.n)", "s.item IS NOT DISTINCT FROM i.id", "i.name"),
        ("sum(s.n)", "s.id = i.id", "i.name"),
    ] {
        let sql = format!("SELECT {what} FROM sale AS s, item AS i WHERE {condition} GROUP BY {groups}");
        assert!(!is_below(&connection, &sql), "{sql}");
    }
}

/// The plan, so that a change of it is seen.
#[test]
fn explain_shows_both_groupings() {
    let database = database(64 << 20);
    let connection = database.connect().unwrap();
    let sql = "EXPLAIN (COSTS off) SELECT i.name, avg(s.n), count(*) FROM sale AS s JOIN item AS i ON s.item = i.id GROUP BY 1";
    let expected = "\
QUERY PLAN text
Project
  Expressions: i.name, (sum(sum) / sum(count)), sum(count)
  ->  HashAggregate
        Group Key: i.name
        Aggregates: sum(sum), sum(count), sum(count)
        ->  Hash Join
              Hash Cond: (i.id = s.item)
              ->  Seq Scan on i
                    Table: item
              ->  HashAggregate
                    Group Key: s.item
                    Aggregates: sum(s.n), count(s.n), count(*)
                    ->  Seq Scan on s
                          Table: sale
";
    assert_eq!(connection.query(sql, table).unwrap(), expected);
}
