//! Fingerprints and normal forms: what counts, what does not, and what they cost.

use std::fmt::{self, Write};
use std::time::Instant;

use cofferdam_arena::{Arena, Budget};
use cofferdam_sql::{Fingerprint, NodeKind, Span, Visit, normalize, parse};

use crate::corpus::{regress, tpch};

const MIB: u64 = 1 << 20;

/// Statements of many kinds, with literals in all places where they may stand.
const TEXTS: &[&str] = &[
    "SELECT 1, 'a', 2.5, -3, - - 4, B'1', X'1F', TRUE, NULL, DATE '2024-01-01', INTERVAL '1' DAY, E'\\n', $$x$$, $1",
    "SELECT a FROM t WHERE a = 1 AND b IN (1, 2) OR c BETWEEN 1 AND 2 OR d LIKE 'x%' ESCAPE 'y'",
    "SELECT DISTINCT ON (1) a + 1 FROM t, (SELECT 2) AS u GROUP BY 1, a HAVING count(*) > 3 ORDER BY 1 LIMIT 5 OFFSET 6",
    "SELECT CASE a WHEN 1 THEN 'x' ELSE 'y' END, CAST(1 AS decimal(10, 2)), '1'::bigint, f(1, b => 2), a[1], a[1:2]",
    "SELECT substring(a FROM 1 FOR 2), trim(BOTH 'x' FROM a), overlay(a PLACING 'x' FROM 1), a AT TIME ZONE 'UTC'",
    "SELECT a FROM t ORDER BY a FETCH FIRST 3 ROWS WITH TIES",
    "WITH a AS (VALUES (1, 'x'), (2, 'y')) SELECT * FROM a UNION ALL SELECT 3, 'z'",
    "INSERT INTO t (a, b) VALUES (1, 'x'), (2, DEFAULT) ON CONFLICT (a) DO UPDATE SET b = 'y' WHERE t.a > 3 RETURNING 4",
    "UPDATE t SET a = 1, b = 'x' WHERE c = 2",
    "DELETE FROM t WHERE a = 1 AND b = 'x'",
    "MERGE INTO t USING s ON t.a = 1 WHEN MATCHED AND b = 2 THEN UPDATE SET c = 3 WHEN NOT MATCHED THEN INSERT VALUES (4)",
    "CREATE TABLE t (a integer DEFAULT 1 CHECK (a > 2), b text DEFAULT 'x')",
    "CREATE INDEX i ON t ((a + 1)) WHERE b = 'x'",
    "CREATE VIEW v AS SELECT 1 AS a WHERE b = 'x'",
    "ALTER TABLE t ALTER a SET DEFAULT 1, ADD CHECK (b <> 'x')",
    "EXPLAIN SELECT 1",
    "PREPARE p AS SELECT $1, 2",
    "EXECUTE p (1, 'x')",
    "COPY (SELECT 1) TO STDOUT",
    "DECLARE c CURSOR FOR SELECT 1",
];

/// The fingerprint of a statement that parses.
pub(crate) fn fingerprint(text: &str) -> Fingerprint {
    let budget = Budget::root("test", 256 * MIB).expect("a budget");
    let (arena, scratch) = (Arena::new(&budget), Arena::new(&budget));
    let tree = parse(text, &arena).unwrap_or_else(|error| panic!("{text}: {error}"));
    tree.fingerprint(&scratch).expect("room for the fingerprint")
}

/// The statement with parameters for its literals.
pub(crate) fn normal_form(text: &str) -> String {
    let budget = Budget::root("test", 256 * MIB).expect("a budget");
    let arena = Arena::new(&budget);
    let tree = parse(text, &arena).unwrap_or_else(|error| panic!("{text}: {error}"));
    let mut normal = String::new();
    normalize(tree, &mut normal).expect("a string takes all");
    normal
}

/// Where expressions have literals in the text.
fn literals(text: &str) -> Vec<(NodeKind, Span)> {
    let budget = Budget::root("test", 256 * MIB).expect("a budget");
    let arena = Arena::new(&budget);
    let tree = parse(text, &arena).unwrap_or_else(|error| panic!("{text}: {error}"));
    let literals = tree.walk().filter_map(|visit| {
        let Visit::Enter(node) = visit else { return None };
        let is_literal = matches!(
            node.kind(),
            NodeKind::Integer | NodeKind::Number | NodeKind::String | NodeKind::BitString | NodeKind::Boolean
        );
        let is_fixed = node.parent().is_some_and(|parent| parent.kind() == NodeKind::Type);
        (is_literal && !is_fixed).then(|| (node.kind(), node.span()))
    });
    literals.collect()
}

/// Aim: no literal counts. Method: each literal of each statement is replaced by another of its kind, one at a time;
/// fingerprint and normal form must stay.
#[test]
fn a_changed_literal_changes_neither_fingerprint_nor_normal_form() {
    let texts: Vec<String> = TEXTS.iter().map(|text| (*text).to_owned()).chain(tpch()).collect();
    let mut count = 0;
    for text in &texts {
        let (expected, normal) = (fingerprint(text), normal_form(text));
        for (kind, span) in literals(text) {
            let other = match kind {
                NodeKind::Integer => "7",
                NodeKind::Number => "7.25",
                NodeKind::BitString => "B'0'",
                NodeKind::Boolean => "FALSE",
                _ => "'other'",
            };
            let changed = format!("{}{other}{}", &text[..span.start as usize], &text[span.end() as usize..]);
            assert_eq!(fingerprint(&changed), expected, "{text}\n{changed}");
            assert_eq!(normal_form(&changed), normal, "{text}\n{changed}");
            count += 1;
        }
    }
    assert!(count > 60, "{count} literals");
}

/// Aim: names, operators and structure count. Method: all of these have different fingerprints.
#[test]
fn other_columns_tables_and_operators_have_other_fingerprints() {
    let texts = [
        "SELECT a FROM t WHERE b = 1",
        "SELECT c FROM t WHERE b = 1",
        "SELECT a FROM u WHERE b = 1",
        "SELECT a FROM t WHERE c = 1",
        "SELECT a FROM t WHERE b > 1",
        "SELECT a FROM t WHERE NOT b = 1",
        "SELECT a FROM t WHERE b IS NULL",
        "SELECT a FROM t WHERE b = 1 AND c = 1",
        "SELECT a FROM t WHERE b = 1 OR c = 1",
        "SELECT f(a) FROM t WHERE b = 1",
        "SELECT a FROM t, u WHERE b = 1",
        "SELECT a FROM t LEFT JOIN u ON b = 1",
        "SELECT a FROM t JOIN u ON b = 1",
        "SELECT DISTINCT a FROM t WHERE b = 1",
        "SELECT a FROM t WHERE b = 1 GROUP BY a",
        "SELECT a FROM t WHERE b = 1 ORDER BY a",
        "SELECT a FROM t WHERE b = 1 ORDER BY a DESC",
        "SELECT a FROM t WHERE b = 1 LIMIT 1",
        "SELECT a FROM t WHERE b = 1 FOR UPDATE",
        "SELECT CAST(a AS integer) FROM t WHERE b = 1",
        "SELECT CAST(a AS text) FROM t WHERE b = 1",
        "DELETE FROM t WHERE b = 1",
        "UPDATE t SET a = 1 WHERE b = 1",
        "UPDATE t SET c = 1 WHERE b = 1",
    ];
    for (index, text) in texts.iter().enumerate() {
        for other in &texts[..index] {
            assert_ne!(fingerprint(text), fingerprint(other), "{text}\n{other}");
        }
    }
}

/// Aim: a normal form is a statement of the same class, and has no literal left that could go.
/// Method: statements of every kind, and those of the corpus.
#[test]
fn a_normal_form_parses_and_keeps_the_fingerprint() {
    let accepted = |text: &String| {
        let budget = Budget::root("test", 64 * MIB).expect("a budget");
        let arena = Arena::new(&budget);
        parse(text, &arena).is_ok()
    };
    let corpus = regress().into_iter().map(|(text, _)| text).filter(accepted);
    for text in TEXTS.iter().map(|text| (*text).to_owned()).chain(tpch()).chain(corpus) {
        let normal = normal_form(&text);
        assert_eq!(fingerprint(&normal), fingerprint(&text), "{text}\n{normal}");
        assert_eq!(normal_form(&normal), normal, "{text}");
    }
}

/// Aim: too little scratch memory is a typed error, and all of it comes back. Method: limits from zero until success, and
/// then each charge refused in turn.
#[test]
fn every_limit_of_the_scratch_memory_gives_a_fingerprint_or_a_typed_error() {
    let root = Budget::root("root", 64 * MIB).expect("a budget");
    let arena = Arena::new(&root);
    let text = format!("SELECT a{} FROM t", ", f(b, c + 1)".repeat(1000));
    let tree = parse(&text, &arena).expect("a query");
    let expected = fingerprint(&text);
    let attempt = |limit_bytes: u64, refused: Option<u64>| {
        let budget = root.child("scratch", limit_bytes).expect("a child");
        if let Some(nth) = refused {
            budget.inject_refusal(nth);
        }
        let found = {
            let scratch = Arena::new(&budget);
            tree.fingerprint(&scratch)
        };
        assert_eq!(budget.used(), 0, "all was given back");
        assert!(budget.peak() <= limit_bytes);
        match found {
            Ok(found) => assert_eq!(found, expected),
            Err(_) => assert!(budget.last_refusal().is_some(), "the budget knows why"),
        }
        found.is_ok()
    };
    let least = (0..64).find(|units| attempt(units * 1024, None)).expect("64 KiB are enough");
    assert!(least > 1, "a thousand calls do not fit into {least} KiB");
    let refused = (1..100).take_while(|nth| !attempt(u64::MAX, Some(*nth))).count();
    assert!(refused > 1, "{refused} charges were refused");
}

/// Counts what is written.
struct Count(usize);

impl Write for Count {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

/// Parses, and finds fingerprint and normal form: how long the last two take, in seconds.
fn cost(text: &str) -> f64 {
    let budget = Budget::root("test", 1024 * MIB).expect("a budget");
    let (arena, scratch) = (Arena::new(&budget), Arena::new(&budget));
    let tree = parse(text, &arena).expect("a statement");
    let start = Instant::now();
    tree.fingerprint(&scratch).expect("room for the fingerprint");
    let mut count = Count(0);
    normalize(tree, &mut count).expect("all is counted");
    assert!(count.0 > 0);
    start.elapsed().as_secs_f64()
}

#[test]
fn depth_is_a_matter_of_memory() {
    let nested = |count: usize, open: &str, inside: &str, close: &str| {
        format!("SELECT {}{inside}{}", open.repeat(count), close.repeat(count))
    };
    cost(&format!("SELECT a{}", "+1".repeat(1_000_000)));
    cost(&format!("SELECT a{}", " AND a".repeat(100_000)));
    cost(&nested(100_000, "(", "1", ")"));
    cost(&nested(100_000, "f(", "1", ")"));
    cost(&nested(100_000, "- ", "1", ""));
    cost(&nested(100_000, "- ", "a", ""));
    cost(&nested(100_000, "NOT ", "a", ""));
    cost(&nested(100_000, "(SELECT ", "1", ")"));
    cost(&nested(100_000, "CASE WHEN a THEN ", "b", " END"));
}

/// Aim: no part is quadratic. Method: 16 times the text may take at most 160 times as long, where quadratic work would take
/// 256 times as long; the margin is for machines with other work, and so are the rounds, of which the best times count.
#[test]
fn time_grows_with_the_text() {
    for (first, more, last) in [
        ("SELECT a", "+1", ""),
        ("SELECT - ", "- ", "1"),
        ("SELECT - ", "- ", "a"),
        ("SELECT a", " AND a", ""),
        ("SELECT a", ", a", ""),
        ("SELECT 1 WHERE a IN (1", ", b", ")"),
        ("SELECT a FROM t", " JOIN t ON a", ""),
        ("VALUES (1)", ", (a, b)", ""),
        ("GRANT SELECT (a", ", a", ") ON t TO a"),
        ("CREATE TABLE t (FOREIGN KEY (a", ", a", ") REFERENCES u)"),
        ("CREATE FUNCTION f() RETURNS a BEGIN ATOMIC SELECT 1;", " SELECT 1;", " END"),
        ("MERGE INTO t USING s ON a", " WHEN MATCHED THEN DELETE", ""),
    ] {
        let text = |count: usize| format!("{first}{}{last}", more.repeat(count));
        let (few, many) = (text(500), text(8_000));
        let (mut short, mut long) = (f64::INFINITY, f64::INFINITY);
        let is_linear = |round: i32| {
            (short, long) = (short.min(cost(&few)), long.min(cost(&many)));
            round >= 2 && long < short * 160.0
        };
        let is_linear = (0..30).any(is_linear);
        assert!(is_linear, "{first}: {short} s for 500, {long} s for 8,000");
    }
}
