//! `docs/COMPATIBILITY.md`: what of PostgreSQL's SQL runs, by an example of each.
//!
//! `UPDATE_GOLDEN=1` writes the part of the page between its marks anew.

use std::fmt::Write;
use std::path::Path;

use cofferdam::{Database, Options, statements};

const BEGIN: &str = "<!-- statements: begin (written by crates/cofferdam/tests/it/compatibility.rs) -->";
const END: &str = "<!-- statements: end -->";

/// What each example begins with.
const SETUP: &str = "CREATE TABLE a (id integer PRIMARY KEY, n integer, s text);
    CREATE TABLE b (id integer PRIMARY KEY, n integer);
    INSERT INTO a VALUES (1, 1, 'a'), (2, 3, 'b'), (3, 3, NULL);
    INSERT INTO b VALUES (1, 5), (4, 2)";

/// Sections of what there is in PostgreSQL, each with an example.
const SECTIONS: [(&str, &[(&str, &str)]); 4] = [
    (
        "Queries",
        &[
            ("inner, left, right, full, cross joins", "SELECT * FROM a LEFT JOIN b ON a.id = b.id"),
            ("`USING`, `NATURAL`", "SELECT * FROM a JOIN b USING (id)"),
            ("`LATERAL`", "SELECT * FROM a, LATERAL (SELECT * FROM b WHERE b.id = a.id) AS t"),
            ("sub-queries as values", "SELECT (SELECT max(n) FROM b WHERE b.id = a.id) FROM a"),
            (
                "`EXISTS`, `IN`, `ANY`, `ALL`",
                "SELECT * FROM a WHERE id IN (SELECT id FROM b) AND n > ALL (SELECT n FROM b)",
            ),
            ("rows in `IN`", "SELECT * FROM a WHERE (id, n) IN (SELECT id, n FROM b)"),
            ("`WITH`", "WITH t AS (SELECT * FROM a) SELECT * FROM t JOIN t AS u USING (id)"),
            (
                "`WITH RECURSIVE`",
                "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 9) SELECT * FROM t",
            ),
            (
                "`WITH … SEARCH`, `CYCLE`",
                "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SEARCH DEPTH FIRST BY n SET o SELECT * FROM t",
            ),
            ("changes in `WITH`", "WITH t AS (DELETE FROM a RETURNING *) SELECT * FROM t"),
            (
                "`UNION`, `INTERSECT`, `EXCEPT`, with `ALL` too",
                "SELECT id FROM a UNION SELECT id FROM b EXCEPT ALL SELECT n FROM a",
            ),
            (
                "`GROUP BY` with `ROLLUP`, `CUBE`, `GROUPING SETS`",
                "SELECT id, n, count(*), grouping(id) FROM a GROUP BY ROLLUP (id, n)",
            ),
            (
                "`HAVING`, `FILTER`, `DISTINCT` in aggregates",
                "SELECT count(DISTINCT n) FILTER (WHERE n > 1) FROM a HAVING count(*) > 0",
            ),
            ("aggregates with `ORDER BY`", "SELECT string_agg(s, ',' ORDER BY id DESC) FROM a"),
            ("`WITHIN GROUP`", "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY n) FROM a"),
            ("`rank(…) WITHIN GROUP` and its like", "SELECT rank(2) WITHIN GROUP (ORDER BY n) FROM a"),
            (
                "windows, with `ROWS`, `RANGE`, `GROUPS`, `EXCLUDE`",
                "SELECT sum(n) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES) FROM a",
            ),
            ("`WINDOW`", "SELECT rank() OVER w FROM a WINDOW w AS (PARTITION BY n ORDER BY id)"),
            ("`DISTINCT ON`", "SELECT DISTINCT ON (n) n, id FROM a ORDER BY n, id"),
            (
                "`LIMIT`, `OFFSET`, `FETCH FIRST`",
                "SELECT * FROM a ORDER BY id OFFSET 1 FETCH FIRST 2 ROWS ONLY",
            ),
            ("`FETCH FIRST … WITH TIES`", "SELECT * FROM a ORDER BY n FETCH FIRST 1 ROW WITH TIES"),
            ("`VALUES`", "VALUES (1, 'a'), (2, 'b')"),
            ("`TABLE`", "TABLE a"),
            (
                "functions that give rows, `WITH ORDINALITY`",
                "SELECT * FROM generate_series(1, 3) WITH ORDINALITY AS t(n, o)",
            ),
            ("functions that give rows in the list of columns", "SELECT generate_series(1, 3)"),
            ("`ROWS FROM`", "SELECT * FROM ROWS FROM (generate_series(1, 2), generate_series(1, 3)) AS t"),
            ("`TABLESAMPLE`", "SELECT * FROM a TABLESAMPLE BERNOULLI (10)"),
            ("`FOR UPDATE`", "SELECT * FROM a FOR UPDATE"),
            ("whole rows as values", "SELECT a FROM a"),
            ("rows in order", "SELECT r FROM (SELECT a AS r FROM a) AS x ORDER BY r"),
            ("whole rows counted and tested", "SELECT count(a) FILTER (WHERE a IS NOT NULL) FROM a"),
            ("whole rows as JSON", "SELECT row_to_json(a), to_jsonb(a) FROM a"),
            ("files as tables", "SELECT count(*) FROM 'tests/data/people.csv'"),
            ("sort by an operator", "SELECT * FROM a ORDER BY id USING <"),
        ],
    ),
    (
        "Expressions",
        &[
            (
                "`CASE`, `COALESCE`, `NULLIF`, `GREATEST`, `LEAST`",
                "SELECT CASE n WHEN 1 THEN 'one' ELSE coalesce(s, 'none') END FROM a",
            ),
            (
                "`LIKE`, `ILIKE`, `SIMILAR TO`, regular expressions",
                "SELECT s LIKE 'a%', s ILIKE 'A%', s SIMILAR TO '(a)%', s ~ '^a' FROM a",
            ),
            ("`BETWEEN SYMMETRIC`", "SELECT n BETWEEN SYMMETRIC 3 AND 1 FROM a"),
            ("`IS DISTINCT FROM`, `IS TRUE`", "SELECT n IS DISTINCT FROM 1, (n > 1) IS TRUE FROM a"),
            ("arrays", "SELECT ARRAY[1, 2] @> ARRAY[1], (ARRAY[1, 2])[1], 2 = ANY (ARRAY[1, 2])"),
            ("slices of arrays", "SELECT (ARRAY[1, 2, 3])[1:2]"),
            ("arrays of arrays", "SELECT ARRAY[ARRAY[1], ARRAY[2]]"),
            ("`jsonb` and its operators", "SELECT '{\"a\": [1, 2]}'::jsonb -> 'a' ->> 0"),
            ("`jsonpath`", "SELECT jsonb_path_query('[1]'::jsonb, '$[0]')"),
            (
                "dates, times and intervals",
                "SELECT date '2026-01-31' + interval '1 month', extract(year FROM timestamp '2026-01-01 10:00')",
            ),
            (
                "`AT TIME ZONE` with a distance from UTC",
                "SELECT timestamptz '2026-01-01 00:00+00' AT TIME ZONE '+02:00'",
            ),
            ("named time zones", "SELECT timestamptz '2026-01-01 00:00+00' AT TIME ZONE 'Europe/Paris'"),
            (
                "`OVERLAPS`",
                "SELECT (date '2026-01-01', date '2026-02-01') OVERLAPS (date '2026-01-15', date '2026-03-01')",
            ),
            ("rows compared", "SELECT (1, 'a') < (1, 'b')"),
            ("bit strings", "SELECT B'101'"),
            ("`COLLATE`", "SELECT s COLLATE \"C\" FROM a"),
        ],
    ),
    (
        "Changes",
        &[
            (
                "`CREATE TABLE` with `PRIMARY KEY`, `UNIQUE`, `CHECK`, `NOT NULL`, `DEFAULT`",
                "CREATE TABLE c (id integer PRIMARY KEY, n integer UNIQUE CHECK (n > 0) DEFAULT 1)",
            ),
            ("`CREATE TABLE … AS`", "CREATE TABLE c AS SELECT * FROM a"),
            ("`REFERENCES`", "CREATE TABLE c (id integer REFERENCES a)"),
            (
                "generated columns",
                "CREATE TABLE c (id integer, d integer GENERATED ALWAYS AS (id * 2) STORED)",
            ),
            ("identity columns", "CREATE TABLE c (id integer GENERATED ALWAYS AS IDENTITY)"),
            ("`TEMPORARY` tables", "CREATE TEMPORARY TABLE c (id integer)"),
            ("`ALTER TABLE`", "ALTER TABLE a ADD COLUMN x integer"),
            ("`TRUNCATE`", "TRUNCATE a"),
            ("`DROP TABLE IF EXISTS`", "DROP TABLE IF EXISTS a, none"),
            (
                "`CREATE INDEX`, unique, of several columns with orders",
                "CREATE UNIQUE INDEX i ON a (n DESC NULLS LAST, id)",
            ),
            ("indexes of expressions", "CREATE INDEX i ON a ((n + 1))"),
            ("partial indexes", "CREATE INDEX i ON a (n) WHERE n > 1"),
            ("`DROP INDEX`", "CREATE INDEX i ON a (n); DROP INDEX i"),
            (
                "`CREATE OR REPLACE VIEW`, `DROP VIEW`",
                "CREATE OR REPLACE VIEW v AS SELECT * FROM a; SELECT * FROM v; DROP VIEW v",
            ),
            ("materialized views", "CREATE MATERIALIZED VIEW v AS SELECT * FROM a"),
            ("`INSERT` of values and of queries", "INSERT INTO a SELECT id + 10, n, s FROM a"),
            ("`INSERT … ON CONFLICT`", "INSERT INTO a VALUES (1, 1, 'x') ON CONFLICT DO NOTHING"),
            ("`RETURNING`", "INSERT INTO a VALUES (9, 1, 'x') RETURNING id"),
            ("`UPDATE … FROM`", "UPDATE a SET n = b.n FROM b WHERE a.id = b.id"),
            ("several columns set at once", "UPDATE a SET (n, s) = (1, 'x')"),
            ("`DELETE … USING`", "DELETE FROM a USING b WHERE a.id = b.id"),
            ("`MERGE`", "MERGE INTO a USING b ON a.id = b.id WHEN MATCHED THEN DELETE"),
            (
                "`COPY … FROM` and `TO` files, as text and CSV",
                "CREATE TABLE c (a integer, b text); COPY c FROM 'tests/data/small.csv' WITH (FORMAT csv, HEADER)",
            ),
            ("sequences", "CREATE SEQUENCE c"),
            ("schemas", "CREATE SCHEMA c"),
            ("functions of one's own", "CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT 1'"),
            ("types of one's own", "CREATE TYPE t AS ENUM ('a')"),
        ],
    ),
    (
        "Sessions",
        &[
            ("`BEGIN`, `COMMIT`, `ROLLBACK`", "BEGIN; INSERT INTO a VALUES (7, 7, 'x'); ROLLBACK"),
            ("savepoints", "BEGIN; SAVEPOINT p; ROLLBACK TO p; RELEASE p; COMMIT"),
            ("read-only transactions", "BEGIN READ ONLY; SELECT * FROM a; COMMIT"),
            ("isolation levels", "BEGIN ISOLATION LEVEL SERIALIZABLE; COMMIT"),
            (
                "`SET`, `SHOW`, `RESET`",
                "SET statement_timeout = '5s'; SHOW statement_timeout; RESET statement_timeout",
            ),
            (
                "`EXPLAIN`, with `ANALYZE`, `MEMORY`, `FORMAT JSON`",
                "EXPLAIN (ANALYZE, MEMORY, FORMAT JSON) SELECT * FROM a",
            ),
            ("`PREPARE`, `EXECUTE`, `DEALLOCATE`", "PREPARE p AS SELECT 1; EXECUTE p; DEALLOCATE p"),
            ("`DECLARE` of cursors", "BEGIN; DECLARE c CURSOR FOR SELECT 1"),
            ("`VACUUM`, `ANALYZE`", "ANALYZE a"),
            ("`LISTEN`, `NOTIFY`", "LISTEN c"),
            ("`GRANT`, roles", "GRANT SELECT ON a TO b"),
        ],
    ),
];

/// Aim: the page says what is so. Method: every example is run on a database of its own, and the page has what came of it; only
/// 0A000 and 42883 are honest refusals of what is not there.
#[test]
fn the_page_says_what_runs() {
    let mut text = String::from(
        "## SQL\n\nEach line is an example that a test runs. Where it does not run, the error says so.\n",
    );
    for (section, examples) in SECTIONS {
        write!(text, "\n### {section}\n\n| | example | |\n|---|---|---|\n").unwrap();
        for (what, example) in examples {
            let verdict = verdict(example);
            writeln!(text, "| {what} | `{}` | {verdict} |", example.replace('|', "\\|")).unwrap();
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/COMPATIBILITY.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (start, end) = (page.find(BEGIN).unwrap() + BEGIN.len(), page.find(END).unwrap());
    let expected = format!("{}\n{text}{}", &page[..start], &page[end..]);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &expected).unwrap();
    } else {
        assert!(page == expected, "docs/COMPATIBILITY.md is not what runs: run with UPDATE_GOLDEN=1");
    }
}

fn verdict(example: &str) -> String {
    let database = Database::open_in_memory(Options::new()).unwrap();
    let connection = database.connect().unwrap();
    connection.execute_batch(SETUP).unwrap();
    for span in statements(example) {
        let sql = &example[span.start as usize..(span.start + span.len) as usize];
        if let Err(error) = connection.execute(sql) {
            let state = error.sqlstate();
            assert!(["0A000", "42883", "22023", "42703"].contains(&state), "{sql}: {state}: {error}");
            let message = error.to_string();
            let message = message.split("; ").next().unwrap_or_default();
            return format!("{state}: {}", message.replace('|', "\\|"));
        }
    }
    "yes".to_owned()
}
