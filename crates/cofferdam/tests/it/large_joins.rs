//! Joins whose kept rows are more than a processor keeps near, many with the same key.

use cofferdam::{Database, Options};

use crate::support::table;

/// Aim: each row of a key finds each of the other side's, once, whatever the kind of the join, with room and with little. Method: sums that are
/// known beforehand.
#[test]
fn rows_of_long_chains_are_all_found() {
    for limit_bytes in [64 << 20, 3 << 20] {
        let database = Database::open_in_memory(Options::new().memory_limit(64 << 20)).unwrap();
        let connection = database.connect().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE many (k integer, v integer, s text);
                 CREATE TABLE few (k integer, w integer);
                 INSERT INTO many SELECT i % 600, i, 'text ' || i FROM generate_series(0, 11999) AS i;
                 INSERT INTO few SELECT i % 1200, i FROM generate_series(0, 2399) AS i",
            )
            .unwrap();
        connection.execute(&format!("SET statement_memory_limit = {limit_bytes}")).unwrap();
        // Each of 600 keys is there twenty times in one table, and twice in the other one, which has as many others.
        for (sql, expected) in [
            (
                "count(*), sum(v), sum(w), count(s) FROM few JOIN many USING (k)",
                "24000|143988000|21588000|24000",
            ),
            (
                "count(*), sum(v), sum(w), count(s) FROM few LEFT JOIN many USING (k)",
                "25200|143988000|23387400|24000",
            ),
            (
                "count(*), sum(w) FROM few WHERE EXISTS (SELECT FROM many WHERE many.k = few.k AND many.v > few.w + 10000)",
                "1200|1079400",
            ),
            ("count(*), sum(w) FROM few WHERE k NOT IN (SELECT k FROM many)", "1200|1799400"),
            (
                "count(*), max(length(a.s)) FROM many AS a JOIN many AS b ON a.k = b.k AND a.v < b.v",
                "114000|10",
            ),
        ] {
            let found = connection.query(&format!("SELECT {sql}"), table).unwrap();
            assert_eq!(found.lines().last(), Some(expected), "{sql} with {limit_bytes} bytes");
        }
    }
}
