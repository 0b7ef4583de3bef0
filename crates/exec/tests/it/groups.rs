//! Grouping, set operations and calls in FROM as SQL, against the answers of PostgreSQL.

use cofferdam_plan::physical::AggregateFunction::CountRows;
use cofferdam_plan::physical::{OperatorKind, SetOperationKind};
use cofferdam_types::Type;

use super::support::{Files, Query, TempFile, never, run_sql, run_with_files};

const NO_TABLES: Files<'_> = Files { tables: &[] };

fn check(cases: &[(&str, &[&str])]) {
    for (text, expected) in cases {
        let rows = run_sql(text, &NO_TABLES, u64::MAX)
            .unwrap_or_else(|(state, message)| panic!("{text}: {state} {message}"));
        // A join's rows come in any order.
        let (mut rows, mut expected) = (rows, expected.to_vec());
        if !text.contains("ORDER BY") {
            rows.sort();
            expected.sort_unstable();
        }
        assert_eq!(rows, expected, "{text}");
    }
}

/// Aim: rows are given as often as both inputs say. Method: the answers of PostgreSQL 15.
#[test]
fn set_operations_count_rows() {
    check(&[
        (
            "SELECT a.x, b.y FROM (VALUES (1.0), (2.50)) a(x) JOIN (VALUES (1.00), (2.5)) b(y) ON x = y ORDER BY 1",
            &["1.0|1.00", "2.50|2.5"],
        ),
        (
            "SELECT DISTINCT ON (x) x, y FROM (VALUES (1.0, 2), (1.00, 1), (2, 5)) t(x, y) ORDER BY x, y",
            &["1.00|1", "2|5"],
        ),
        (
            "WITH RECURSIVE r(x) AS (SELECT 1.0 UNION SELECT (2 - x) * 1.00 FROM r) SELECT count(*) FROM r",
            &["1"],
        ),
        (
            "SELECT * FROM (VALUES (1),(2),(2),(NULL)) a(x) INTERSECT SELECT * FROM (VALUES (2),(2),(NULL),(5)) b(y) ORDER BY 1",
            &["2", "NULL"],
        ),
        (
            "SELECT * FROM (VALUES (1),(2),(2),(2)) a(x) INTERSECT ALL SELECT * FROM (VALUES (2),(2),(5)) b(y) ORDER BY 1",
            &["2", "2"],
        ),
        (
            "SELECT * FROM (VALUES (1),(2),(2),(NULL),(3)) a(x) EXCEPT SELECT * FROM (VALUES (2),(NULL),(5)) b(y) ORDER BY 1",
            &["1", "3"],
        ),
        (
            "SELECT * FROM (VALUES (1),(2),(2),(2),(1)) a(x) EXCEPT ALL SELECT * FROM (VALUES (2),(5)) b(y) ORDER BY 1",
            &["1", "1", "2", "2"],
        ),
        (
            "SELECT * FROM (VALUES (1.0),(2.50)) a(x) INTERSECT SELECT * FROM (VALUES (1.00),(3)) b(y) ORDER BY 1",
            &["1.0"],
        ),
    ]);
}

/// Aim: functions give rows side by side, for each row of the input. Method: the answers of PostgreSQL 15.
#[test]
fn calls_give_rows() {
    check(&[
        ("SELECT * FROM generate_series(1, 5)", &["1", "2", "3", "4", "5"]),
        ("SELECT * FROM generate_series(10, 1, -4)", &["10", "6", "2"]),
        ("SELECT * FROM generate_series(1.5, 3, 0.5)", &["1.5", "2.0", "2.5", "3.0"]),
        (
            "SELECT * FROM generate_series(timestamp '2024-01-30', timestamp '2024-05-01', interval '1 month')",
            &["2024-01-30 00:00:00", "2024-02-29 00:00:00", "2024-03-29 00:00:00", "2024-04-29 00:00:00"],
        ),
        ("SELECT * FROM unnest(ARRAY['a', NULL, 'c']) WITH ORDINALITY", &["a|1", "NULL|2", "c|3"]),
        ("SELECT sum(n) FROM generate_series(1, 100000) AS t(n)", &["5000050000"]),
        (
            "SELECT t.n, s FROM (VALUES (2),(0),(3)) t(n), generate_series(1, t.n) s",
            &["2|1", "2|2", "3|1", "3|2", "3|3"],
        ),
        (
            "SELECT t.n, s FROM (VALUES (2),(0)) t(n) LEFT JOIN LATERAL generate_series(1, t.n) s ON true",
            &["2|1", "2|2", "0|NULL"],
        ),
        (
            "SELECT * FROM ROWS FROM (generate_series(1, 3), unnest(ARRAY['x', 'y'])) WITH ORDINALITY",
            &["1|x|1", "2|y|2", "3|NULL|3"],
        ),
        ("SELECT generate_series(1, 3), unnest(ARRAY[10, 20])", &["1|10", "2|20", "3|NULL"]),
        ("SELECT * FROM upper('abc')", &["ABC"]),
    ]);
}

/// Aim: groups and aggregates of every type. Method: the answers of PostgreSQL 15.
#[test]
fn groups_and_aggregates() {
    check(&[
        ("SELECT DISTINCT x FROM (VALUES (1.0),(1.00),(2)) t(x) ORDER BY 1", &["1.0", "2"]),
        (
            "SELECT DISTINCT x, y FROM (VALUES (1,'a'),(1,'a'),(NULL,'a'),(NULL,'a')) t(x,y) ORDER BY 1, 2",
            &["1|a", "NULL|a"],
        ),
        ("SELECT x, count(*) FROM (VALUES (1.0),(1.00),(2)) t(x) GROUP BY x ORDER BY 1", &["1.0|2", "2|1"]),
        (
            "SELECT x, count(*) FROM (VALUES (interval '1 month'),(interval '30 days'),(interval '1 day')) t(x) GROUP BY x ORDER BY 1",
            &["1 day|1", "1 mon|2"],
        ),
        (
            "SELECT a, b, sum(v), grouping(a, b) FROM (VALUES (1,'x',10),(1,'y',20),(2,'x',30)) t(a,b,v) GROUP BY ROLLUP (a, b) ORDER BY 1, 2, 4",
            &["1|x|10|0", "1|y|20|0", "1|NULL|30|1", "2|x|30|0", "2|NULL|30|1", "NULL|NULL|60|3"],
        ),
        (
            "SELECT a, b, sum(v), grouping(a), grouping(b) FROM (VALUES (1,'x',10),(1,'y',20),(2,'x',30)) t(a,b,v) GROUP BY CUBE (a, b) ORDER BY 1, 2, 4, 5",
            &[
                "1|x|10|0|0",
                "1|y|20|0|0",
                "1|NULL|30|0|1",
                "2|x|30|0|0",
                "2|NULL|30|0|1",
                "NULL|x|40|1|0",
                "NULL|y|20|1|0",
                "NULL|NULL|60|1|1",
            ],
        ),
        (
            "SELECT a, count(*) FROM (VALUES (1,'x')) t(a,b) WHERE false GROUP BY GROUPING SETS ((a), ()) ORDER BY 1",
            &["NULL|0"],
        ),
        (
            "SELECT count(*) FILTER (WHERE x > 1), sum(x) FILTER (WHERE x > 5), count(DISTINCT x) FROM (VALUES (1),(2),(2),(NULL)) t(x)",
            &["2|NULL|2"],
        ),
        (
            "SELECT min(x), max(x), sum(x), avg(x) FROM (VALUES (1.50),(2),(NULL),(0.125)) t(x)",
            &["0.125|2|3.625|1.20833333333333333333"],
        ),
        (
            "SELECT sum(x), avg(x), min(x), max(x) FROM (VALUES (interval '1 mon 3 days'),(interval '5 days 01:02:03'),(interval '-3 days 2 sec')) t(x)",
            &["1 mon 5 days 01:02:05|11 days 16:20:41.666667|-3 days +00:00:02|1 mon 3 days"],
        ),
        ("SELECT bool_and(x), bool_or(x), every(x) FROM (VALUES (true),(NULL),(false)) t(x)", &["f|t|f"]),
        ("SELECT bit_and(x), bit_or(x), bit_xor(x) FROM (VALUES (6),(3),(12)) t(x)", &["0|15|9"]),
        (
            "SELECT variance(x), stddev_pop(x) FROM (VALUES (1.5::float8),(2.25),(4)) t(x)",
            &["1.6458333333333333|1.0474837574980445"],
        ),
        (
            "SELECT corr(y, x), covar_pop(y, x), regr_slope(y, x), regr_count(y, x) FROM (VALUES (1.5::float8, 2::float8),(2.25, 3),(4, 7.5),(NULL, 1)) t(y, x)",
            &["0.992180934115283|2.486111111111111|0.43446601941747576|3"],
        ),
        ("SELECT avg(x), sum(x) FROM (VALUES (1::smallint),(2),(2)) t(x)", &["1.6666666666666667|5"]),
        ("SELECT sum(x), avg(x) FROM (VALUES (1.5::real),(2.25::real)) t(x)", &["3.75|1.875"]),
        (
            "SELECT max(x), min(x) FROM (VALUES (date '2020-01-03'),(date '2019-05-01')) t(x)",
            &["2020-01-03|2019-05-01"],
        ),
        ("SELECT max(x) FROM (VALUES (ARRAY[1,2]),(ARRAY[1]),(ARRAY[0,9])) t(x)", &["{1,2}"]),
        ("SELECT count(*), count(x), sum(x) FROM (VALUES (1)) t(x) WHERE x > 1", &["0|0|NULL"]),
        (
            "SELECT x % 3 AS k, count(DISTINCT x % 5), sum(DISTINCT x % 5) FROM generate_series(1, 1000) t(x) GROUP BY 1 ORDER BY 1",
            &["0|5|10", "1|5|10", "2|5|10"],
        ),
    ]);
}

/// Aim: aggregates with an order, of distinct rows, and over ordered sets. Method: the answers of PostgreSQL 15.
#[test]
fn aggregates_take_rows_in_order() {
    check(&[
        ("SELECT string_agg(x, ',' ORDER BY x DESC) FROM (VALUES ('a'),('c'),(NULL),('b')) t(x)", &["c,b,a"]),
        ("SELECT string_agg(DISTINCT x, '-') FROM (VALUES ('b'),('a'),('b'),('c'),('a')) t(x)", &["a-b-c"]),
        (
            "SELECT string_agg(DISTINCT x, '-' ORDER BY x DESC) FROM (VALUES ('b'),('a'),('b'),('c'),('a')) t(x)",
            &["c-b-a"],
        ),
        (
            "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x), percentile_disc(0.5) WITHIN GROUP (ORDER BY x), mode() WITHIN GROUP (ORDER BY x) FROM (VALUES (1),(2),(4),(4),(NULL)) t(x)",
            &["3|2|4"],
        ),
        (
            "SELECT k, percentile_cont(0.25) WITHIN GROUP (ORDER BY v), mode() WITHIN GROUP (ORDER BY v DESC) FROM (VALUES (1,3),(2,9),(1,5),(2,NULL),(1,3)) t(k,v) GROUP BY k ORDER BY k",
            &["1|3|3", "2|9|9"],
        ),
        (
            "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY x) FROM (VALUES ('b'),('a'),('c')) t(x)",
            &["b"],
        ),
        (
            "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x) FROM (VALUES (1.0::float8)) t(x) WHERE x > 5",
            &["NULL"],
        ),
    ]);
}

/// Aim: groups, and rows of a set operation, that are handed out go to files when an operator above is short of memory, so that
/// a larger limit never fails where a smaller one is enough. Method: a sort above them, at rising limits.
#[test]
fn what_is_handed_out_makes_room_for_operators_above() {
    let numbers: String = (0..3500).map(|k| format!("{k},name of {k:030}\n")).collect();
    let file = TempFile::new("csv", numbers);
    for is_set in [false, true] {
        let mut query = Query::new();
        let source = query.plans.source(file.path(), Some(&[("k", Type::BigInt), ("t", Type::Text)]));
        let scan = query.scan_all(source);
        let given = if is_set {
            let other = query.scan_all(source);
            let right = query.less(other, 0);
            let (kind, columns) = (SetOperationKind::Except, query.columns_of(scan));
            query.push(OperatorKind::SetOperation { kind, all: false, left: scan, right }, columns)
        } else {
            let groups = [query.col(scan, 0), query.col(scan, 1)];
            query.aggregate(scan, &groups, &[(CountRows, None, false, Type::BigInt)])
        };
        query.sort(given, &[(1, true, false)], None);
        let expected = run_with_files(&query, given, u64::MAX, None, &never).outcome.unwrap();
        assert_eq!(expected.len(), 3500);
        let (mut works, mut spilled) = (0, 0);
        for limit in (6..20).map(|step| step * (48 << 10)) {
            let ran = run_with_files(&query, given, limit, None, &never);
            match ran.outcome {
                Ok(rows) => assert!(rows == expected, "at {limit}"),
                Err(code) => {
                    assert_eq!((code.as_str(), works), ("53200", 0), "at {limit}: {}", ran.refusal);
                    continue;
                }
            }
            works += 1;
            spilled += u32::from(ran.counters.spilled_files > 0);
        }
        assert!(works > 12 && spilled > 2, "{is_set}: {works} {spilled}");
    }
}
