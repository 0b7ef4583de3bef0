//! Queries as text, through parser and planner: what the layers below do together.

use super::support::{Files, TempFile, run_sql};

const NO_TABLES: Files<'_> = Files { tables: &[] };

fn rows(text: &str) -> Vec<String> {
    run_sql(text, &NO_TABLES, u64::MAX).unwrap_or_else(|(state, message)| panic!("{text}: {state} {message}"))
}

fn sqlstate(text: &str) -> String {
    run_sql(text, &NO_TABLES, u64::MAX).expect_err(text).0
}

/// One value of a SELECT without FROM.
fn value(expression: &str) -> String {
    rows(&format!("SELECT {expression}")).join(";")
}

#[test]
fn expressions_give_what_postgresql_gives() {
    let cases = [
        ("1 + 2 * 3", "7"),
        ("7 / 2", "3"),
        ("-7 % 3", "-1"),
        ("7 / 2.0", "3.5000000000000000"),
        ("0.1 + 0.2", "0.3"),
        ("1.10 * 2.5", "2.750"),
        ("2147483647 + 1::bigint", "2147483648"),
        ("NULL + 1", "NULL"),
        ("NULL AND false", "f"),
        ("NULL OR true", "t"),
        ("NOT NULL", "NULL"),
        ("1 IN (2, NULL)", "NULL"),
        ("1 IN (1, NULL)", "t"),
        ("1 NOT IN (2, 3)", "t"),
        ("2 BETWEEN 1 AND 3", "t"),
        ("2 NOT BETWEEN 1 AND 3", "f"),
        ("NULL IS DISTINCT FROM 1", "t"),
        ("'abc' LIKE 'a%'", "t"),
        ("'a%c' LIKE 'a\\%c'", "t"),
        ("'abc' NOT LIKE '_b_'", "f"),
        ("'a' || 'b' || 'c'", "abc"),
        ("upper('abc') || lower('DEF')", "ABCdef"),
        ("substring('hello' from 2 for 3)", "ell"),
        ("length('grün')", "4"),
        ("trim(both 'x' from 'xxaxx')", "a"),
        ("CASE WHEN 1 = 2 THEN 'a' ELSE 'b' END", "b"),
        ("CASE 3 WHEN 1 THEN 'a' WHEN 3 THEN 'c' END", "c"),
        ("CASE WHEN true THEN 1 ELSE 1 / 0 END", "1"),
        ("coalesce(NULL, 2, 1 / 0)", "2"),
        ("nullif(1, 1)", "NULL"),
        ("date '1998-12-01' - interval '90' day", "1998-09-02 00:00:00"),
        ("date '2024-01-31' + interval '1 month'", "2024-02-29 00:00:00"),
        ("date '2024-03-01' - date '2024-02-01'", "29"),
        ("extract(year from date '1995-03-15')", "1995"),
        ("cast('12' as integer) + 1", "13"),
        ("cast(2.5 as integer)", "3"),
        ("cast(12.345 as numeric(5,2))", "12.35"),
        ("abs(-3)", "3"),
        ("1 < 2 AND 2 < 3", "t"),
        ("true IS NOT TRUE", "f"),
        ("1e3 + 1", "1001"),
    ];
    for (expression, expected) in cases {
        assert_eq!(value(expression), expected, "{expression}");
    }
}

/// Aim: what the planner cannot compute beforehand gives the same, over operands of every mixture of types.
#[test]
fn arithmetic_over_columns_is_exact() {
    let from = "FROM (VALUES (3, 10000000000, 0.05, 1.500, NULL::numeric(5,2))) AS t(i, b, d, e, n)";
    let cases = [
        ("1 - d", "0.95"),
        ("d - 1", "-0.95"),
        ("e * (1 - d) * (1 + d)", "1.4962500"),
        ("d + e", "1.550"),
        ("i + d", "3.05"),
        ("b - e", "9999999998.500"),
        ("i + b", "10000000003"),
        ("e % d", "0.000"),
        ("e / d", "30.0000000000000000"),
        ("n + 1", "NULL"),
        ("d < e AND e < i AND i < b", "t"),
        ("e = 1.5", "t"),
        ("d IN (0.05, 1)", "t"),
        ("d BETWEEN 0.050 AND 1", "t"),
        ("CASE WHEN d > 1 THEN e ELSE d END", "0.05"),
        ("coalesce(n, d, e) + i", "3.05"),
        ("round(e)", "2"),
        ("-e", "-1.500"),
        // Wide operands with a short result.
        ("(d * 1000000000000000000000) % e", "0.500"),
        ("e % (d * 1000000000000000000000)", "1.500"),
        ("(b * 1.5 * b) % (i + 0.0)", "0.0"),
    ];
    for (expression, expected) in cases {
        assert_eq!(rows(&format!("SELECT {expression} {from}")), [expected], "{expression}");
    }
}

#[test]
fn errors_have_postgresqls_codes() {
    let cases = [
        ("SELECT 1 / n FROM (VALUES (0)) AS t(n)", "22012"),
        ("SELECT 12345678901234567890.5 % n FROM (VALUES (0.0)) AS t(n)", "22012"),
        ("SELECT 2147483647 + n FROM (VALUES (1)) AS t(n)", "22003"),
        ("SELECT cast(t.c as integer) FROM (VALUES ('x')) AS t(c)", "22P02"),
        ("SELECT * FROM '/no/such/file.csv'", "58P01"),
    ];
    for (text, expected) in cases {
        assert_eq!(sqlstate(text), expected, "{text}");
    }
}

#[test]
fn queries_over_a_file() {
    let file = TempFile::new(
        "csv",
        "city,country,people,founded\nBerlin,DE,3645000,1237-10-28\nHamburg,DE,1841000,\nParis,FR,2161000,0250-01-01\n\
         Lyon,FR,516000,\nRome,IT,2873000,\n",
    );
    let from = format!("FROM '{}'", file.path());
    let cases = [
        ("SELECT city {from} WHERE people > 2500000 ORDER BY city", vec!["Berlin", "Rome"]),
        ("SELECT count(*), count(founded), min(city), max(people) {from}", vec!["5|2|Berlin|3645000"]),
        (
            "SELECT country, sum(people) AS s {from} GROUP BY country HAVING count(*) > 1 ORDER BY s DESC",
            vec!["DE|5486000", "FR|2677000"],
        ),
        ("SELECT DISTINCT country {from} ORDER BY 1", vec!["DE", "FR", "IT"]),
        ("SELECT city {from} ORDER BY founded NULLS FIRST, city LIMIT 2 OFFSET 1", vec!["Lyon", "Rome"]),
        ("SELECT count(DISTINCT country) {from}", vec!["3"]),
        ("SELECT avg(people) {from} WHERE country = 'DE'", vec!["2743000.0000000000000000"]),
    ];
    for (text, expected) in cases {
        assert_eq!(rows(&text.replace("{from}", &from)), expected, "{text}");
    }
    let join = format!(
        "SELECT a.city, b.city FROM '{0}' AS a JOIN '{0}' AS b ON a.country = b.country AND a.people > b.people ORDER BY 1",
        file.path()
    );
    assert_eq!(rows(&join), ["Berlin|Hamburg", "Paris|Lyon"]);
    let given = format!(
        "SELECT t.n + 1 FROM '{}' AS t(a text, b text, n integer, d date) WHERE a = 'Lyon'",
        file.path()
    );
    assert_eq!(rows(&given), ["516001"]);
    let crossed = format!("SELECT count(*) FROM '{0}' AS a, '{0}' AS b", file.path());
    assert_eq!(rows(&crossed), ["25"]);
}

#[test]
fn a_small_limit_is_a_typed_error_at_whatever_stage() {
    let file = TempFile::new("csv", "a,b\n1,x\n2,y\n");
    let text = format!("SELECT b, sum(a) FROM '{}' GROUP BY b ORDER BY b", file.path());
    for kib in 0..200 {
        match run_sql(&text, &NO_TABLES, kib << 10) {
            Ok(rows) => {
                assert_eq!(rows, ["x|1", "y|2"]);
                assert!(kib > 0);
                return;
            }
            Err((state, message)) => assert_eq!(state, "53200", "at {kib} KiB: {message}"),
        }
    }
    panic!("200 KiB are not enough for two rows");
}
