//! Depth and length are bounded by the budget alone, never by the native stack, and cost linear time.

use std::fmt::{self, Write};
use std::time::Instant;

use cofferdam_arena::{Arena, Budget};
use cofferdam_sql::{Error, Visit, parse};

const MIB: u64 = 1 << 20;

/// Counts what is printed.
struct Count(usize);

impl Write for Count {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

/// Parses, visits and prints under a budget; the number of nodes, or `None` when the budget did not suffice.
fn nodes(text: &str, limit_bytes: u64) -> Option<usize> {
    let root = Budget::root("root", 1 << 30).expect("a budget");
    let budget = root.child("statement", limit_bytes).expect("a child");
    let nodes = {
        let arena = Arena::new(&budget);
        match parse(text, &arena) {
            Ok(tree) => {
                let nodes = tree.walk().filter(|visit| matches!(visit, Visit::Enter(_))).count();
                let left = tree.walk().filter(|visit| matches!(visit, Visit::Leave(_))).count();
                assert_eq!(nodes, left);
                let mut count = Count(0);
                write!(count, "{tree}").expect("printing");
                assert!(count.0 > 0 && tree.same(tree));
                Some(nodes)
            }
            Err(Error::OutOfMemory(_)) => {
                assert!(root.last_refusal().is_some());
                None
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(budget.used(), 0);
    assert!(budget.peak() <= limit_bytes);
    nodes
}

fn nested(count: usize, open: &str, inside: &str, close: &str) -> String {
    format!("{}{inside}{}", open.repeat(count), close.repeat(count))
}

#[test]
fn a_hundred_thousand_parentheses() {
    let text = format!("SELECT {}", nested(100_000, "(", "1", ")"));
    assert_eq!(nodes(&text, 64 * MIB), Some(2));
}

#[test]
fn a_hundred_thousand_functions_in_functions() {
    let text = nested(100_000, "CREATE FUNCTION f() BEGIN ATOMIC ", "", "; END");
    let text = text.replacen("ATOMIC ; END", "ATOMIC END", 1);
    assert!(nodes(&text, 256 * MIB).is_some());
}

#[test]
fn a_hundred_thousand_queries_in_from() {
    let text = format!("SELECT * FROM {}", nested(100_000, "(SELECT * FROM ", "t", ")"));
    assert_eq!(nodes(&text, 64 * MIB), Some(400_004));
}

#[test]
fn a_hundred_thousand_cases() {
    let text = format!("SELECT {}", nested(100_000, "CASE WHEN a THEN ", "b", " END"));
    assert_eq!(nodes(&text, 64 * MIB), Some(300_002));
}

#[test]
fn thirty_thousand_levels_of_every_expression() {
    for (open, inside, close) in [
        ("f(", "1", ")"),
        ("(SELECT ", "1", ")"),
        ("CASE WHEN ", "a", " THEN 1 END"),
        ("- ", "1", ""),
        ("NOT ", "a", ""),
        ("CAST(", "1", " AS integer)"),
        ("a BETWEEN (", "1", ") AND 2"),
        ("a IN (", "1", ")"),
        ("a OR (b AND (", "c", "))"),
        ("EXISTS (SELECT ", "1", ")"),
        ("(1, ", "2", ")"),
        ("COALESCE(", "1", ", 2)"),
        ("a LIKE b ESCAPE (", "c", ")"),
        ("a || (", "c", ")"),
        ("a[", "1", "]"),
        ("a[1:", "1", "]"),
        ("ARRAY[", "1", "]"),
        ("ARRAY(SELECT ", "1", ")"),
        ("a = ANY (", "b", ")"),
        ("a LIKE ALL (SELECT ", "b", ")"),
        ("f(a => ", "1", ")"),
        ("f(1 ORDER BY ", "1", ")"),
        ("(1, 2) OVERLAPS (3, ", "4", ")"),
        ("1::t(1 + ", "1", ")"),
        ("TREAT(", "1", " AS t)"),
        ("COLLATION FOR (", "a", ")"),
        ("NORMALIZE(", "a", ", NFC)"),
        ("SUBSTRING(a SIMILAR ", "b", " ESCAPE c)"),
        ("OPERATOR(s.-) ", "a", ""),
        ("f(1) FILTER (WHERE ", "a", ")"),
        ("f(1) OVER (ORDER BY ", "a", ")"),
        ("f(1) WITHIN GROUP (ORDER BY ", "a", ")"),
        ("JSON_OBJECT(a : ", "b", ")"),
        ("JSON_OBJECT(", "b", " : a)"),
        ("JSON_ARRAY(SELECT ", "b", ")"),
        ("JSON_ARRAY(", "b", ")"),
        ("XMLCONCAT(", "a", ")"),
        ("XMLEXISTS(a PASSING (", "b", "))"),
    ] {
        let text = format!("SELECT {}", nested(30_000, open, inside, close));
        let count = nodes(&text, 256 * MIB).unwrap_or_else(|| panic!("{open} fits"));
        assert!(count > 30_000, "{open}: {count}");
    }
}

#[test]
fn thirty_thousand_tables_in_tables() {
    for (open, inside, close) in [
        ("(SELECT * FROM ", "t", ")"),
        ("(a CROSS JOIN ", "b CROSS JOIN c", ")"),
        ("(a JOIN ", "b CROSS JOIN c", " ON true)"),
        ("a JOIN ", "b", " ON true"),
        ("(", "(SELECT 1)", " FOR SHARE)"),
        ("(", "(SELECT 1)", " UNION SELECT 2)"),
    ] {
        let text = format!("SELECT * FROM {}", nested(30_000, open, inside, close));
        assert!(nodes(&text, 256 * MIB).is_some_and(|count| count > 30_000), "{open}");
    }
}

#[test]
fn thirty_thousand_queries_in_queries() {
    for (open, inside, close) in [
        ("(", "SELECT 1", ")"),
        ("(", "SELECT 1", " UNION SELECT 2)"),
        ("WITH a AS (", "SELECT 1", ") SELECT 2"),
        ("SELECT 1 UNION ", "SELECT 2", ""),
        ("INSERT INTO t WITH a AS (", "DELETE FROM t RETURNING 1", ") SELECT 1 RETURNING 1"),
        ("WITH a AS (", "MERGE INTO t USING u ON a WHEN MATCHED THEN DELETE", ") UPDATE t SET a = 1"),
        ("SELECT 1 EXCEPT (", "SELECT 2", ")"),
        ("(", "SELECT 1", " FOR UPDATE)"),
        ("(", "(SELECT 1 ORDER BY 1 FETCH FIRST ROW WITH TIES)", " FOR SHARE SKIP LOCKED)"),
        ("(", "SELECT 1 LIMIT 2", " FOR READ ONLY)"),
        ("WITH a AS MATERIALIZED (", "TABLE b", ") TABLE c"),
        ("SELECT 1 ORDER BY (", "TABLE b", ") LIMIT 2"),
        ("SELECT 1 WINDOW w AS (ORDER BY (", "TABLE b", ") ROWS 1 PRECEDING)"),
    ] {
        let text = nested(30_000, open, inside, close);
        assert!(nodes(&text, 256 * MIB).is_some(), "{open}");
    }
}

#[test]
fn ten_thousand_functions_and_forms_in_each_other() {
    for (first, open, inside, close, last) in [
        ("SELECT FROM ", "LATERAL (SELECT FROM ", "t", ") AS x (a)", ""),
        ("SELECT FROM ", "f((SELECT FROM ", "t", ")) WITH ORDINALITY AS x (a integer)", ""),
        ("SELECT FROM ", "ROWS FROM (f((SELECT FROM ", "t", ")) AS (a integer))", ""),
        ("SELECT FROM ", "XMLTABLE((SELECT 1 FROM ", "t", ") PASSING a COLUMNS b integer)", ""),
        ("SELECT FROM ", "t TABLESAMPLE f((SELECT 1 FROM ", "t", "))", ""),
        ("SELECT 1 GROUP BY ", "GROUPING SETS (", "a", ", ())", ""),
        ("SELECT FROM JSON_TABLE(a, '$' COLUMNS (", "NESTED '$' COLUMNS (", "b integer", ")", "))"),
    ] {
        let text = format!("{first}{}{last}", nested(10_000, open, inside, close));
        assert!(nodes(&text, 256 * MIB).is_some_and(|count| count > 10_000), "{open}");
    }
}

#[test]
fn long_lists_of_every_clause() {
    for (first, more, last) in [
        ("SELECT a GROUP BY a", ", ()", ""),
        ("SELECT a WINDOW b AS ()", ", c AS (b)", ""),
        ("SELECT a FOR UPDATE", " FOR SHARE", ""),
        ("SELECT a FOR UPDATE OF a", ", b.c", ""),
        ("WITH a AS (TABLE b)", ", c AS (TABLE d)", " TABLE e"),
        ("SELECT FROM f() AS a (b integer", ", c text COLLATE d", ")"),
        ("SELECT FROM ROWS FROM (f()", ", f()", ")"),
        ("SELECT FROM JSON_TABLE(a, '$' COLUMNS (b integer", ", c text", "))"),
    ] {
        let text = format!("{first}{}{last}", more.repeat(20_000));
        assert!(nodes(&text, 256 * MIB).is_some_and(|count| count > 20_000), "{first}");
    }
}

/// A million operators make two million nodes: too many for 64 MiB, which is said by a typed error, and enough for 256.
#[test]
fn a_million_additions() {
    let text = format!("SELECT 1{}", "+1".repeat(1_000_000));
    assert_eq!(nodes(&text, 64 * MIB), None);
    assert_eq!(nodes(&text, 256 * MIB), Some(2_000_002));
}

#[test]
fn long_lists_of_every_kind() {
    let list = |first: &str, more: &str| format!("{first}{}", more.repeat(200_000));
    for text in [
        list("SELECT a", " AND a"),
        list("SELECT a", ", a"),
        list("SELECT a FROM t ORDER BY a", ", a"),
        list("VALUES (1)", ", (1)"),
        format!("{})", list("SELECT a IN (1", ", 1")),
        format!("{})", list("SELECT f(1", ", 1")),
        list("SELECT a FROM t", ", t"),
        list("SELECT a", ".a"),
        list("SELECT a", "[1]"),
        list("SELECT (a)", ".a"),
        list("SELECT a::t", "[1]"),
        format!("{}]", list("SELECT ARRAY[1", ", 1")),
        format!("SELECT ARRAY{}", nested(200_000, "[", "", "]")),
        format!("{})", list("SELECT JSON_OBJECT(a : b", ", a : b")),
        format!("{})", list("SELECT 'a'::t(1", ", 1")),
    ] {
        assert!(nodes(&text, 256 * MIB).is_some_and(|count| count > 200_000), "{}", &text[..20]);
    }
}

#[test]
fn unclosed_nesting_is_an_error_in_linear_time() {
    for open in [
        "(",
        "f(",
        "(SELECT ",
        "CASE ",
        "a IN (",
        "a + (",
        "a[",
        "ARRAY[",
        "a = ANY (",
        "a::t(a + ",
        "f() OVER (ORDER BY ",
        "JSON_OBJECT(",
    ] {
        let text = format!("SELECT {}", open.repeat(100_000));
        let budget = Budget::root("test", 256 * MIB).expect("a budget");
        let arena = Arena::new(&budget);
        assert!(matches!(parse(&text, &arena), Err(Error::Syntax(_))), "{open}");
    }
}

/// Aim: no part of parsing, visiting and printing is quadratic. Method: 32 times the text may take at most 320 times as
/// long, where quadratic work would take 1,024 times as long; the margin is for machines with other work.
#[test]
fn time_grows_with_the_text() {
    for (first, more) in [
        ("SELECT 1", "+1"),
        ("SELECT a", " AND a"),
        ("SELECT a", ".a"),
        ("SELECT a FROM t", " JOIN t ON a"),
        ("SELECT a", "::b"),
        ("SELECT a", "[1]"),
        ("SELECT a::b", "[1]"),
        ("SELECT a FROM t", " FOR UPDATE OF t"),
        ("SELECT a FROM t GROUP BY a", ", ROLLUP (a)"),
        ("SELECT a FROM t", ", LATERAL f(1) AS x"),
    ] {
        let time = |count: usize| {
            let text = format!("{first}{}", more.repeat(count));
            let best = (0..3).map(|_| {
                let start = Instant::now();
                assert!(nodes(&text, 256 * MIB).is_some());
                start.elapsed()
            });
            best.min().expect("three runs")
        };
        let (short, long) = (time(1_000), time(32_000));
        assert!(long < short * 320, "{more}: {short:?} for 1,000, {long:?} for 32,000");
    }
}

#[test]
fn a_deep_tree_as_text_is_not_deeply_indented() {
    let budget = Budget::root("test", 64 * MIB).expect("a budget");
    let arena = Arena::new(&budget);
    let text = format!("SELECT {}", nested(10_000, "NOT ", "a", ""));
    let tree = parse(&text, &arena).expect("a query");
    let outline = tree.outline().to_string();
    assert_eq!(outline.lines().count(), 10_002);
    assert!(outline.lines().all(|line| line.len() < 120));
}
