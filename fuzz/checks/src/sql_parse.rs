//! The parser and the printer against each other.
//!
//! A text is the fuzzer's bytes as they are, or words of the language in any order, or a query that the bytes choose
//! from the grammar, or a statement of the golden scripts, sometimes with words replaced. It checks
//!
//! - **fixpoint**: what parses prints as a text that parses to the same tree and prints the same again;
//! - **normal forms** parse and have the fingerprint of what they were made from;
//! - **layouts** have the tokens of the text, parse to its tree and are their own layouts; a printed text has the
//!   fingerprint of the text that it was printed from; a copy of a tree is the same tree;
//! - **rows** of an `INSERT` read one at a time are those of the whole statement;
//! - **errors** point into the text, at characters' edges, and carry a SQLSTATE;
//! - **budgets**: under a small limit the outcome is the same one or a refusal, never another tree;
//! - **splitting** finds the same ends of statements however the text is cut into pieces.
//!
//! # Panics
//! When one of these does not hold.

use crate::Decisions;
use cofferdam_arena::{Arena, Budget};
use cofferdam_sql::{
    Error, InsertRows, KeywordCase, Layout, Lexer, Span, Splitter, TokenKind, Tree, format, normalize, parse,
    same_tree, statements,
};

/// Words that the grammar knows, and some that it does not.
const WORDS: [&str; 120] = [
    "select",
    "from",
    "where",
    "group by",
    "having",
    "order by",
    "limit",
    "offset",
    "distinct",
    "all",
    "as",
    "and",
    "or",
    "not",
    "in",
    "between",
    "like",
    "is",
    "null",
    "true",
    "false",
    "case",
    "when",
    "then",
    "else",
    "end",
    "cast",
    "exists",
    "join",
    "inner",
    "left",
    "right",
    "full",
    "cross",
    "outer",
    "natural",
    "using",
    "on",
    "union",
    "intersect",
    "except",
    "with",
    "values",
    "asc",
    "desc",
    "nulls first",
    "nulls last",
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "date",
    "interval",
    "extract",
    "substring",
    "for",
    "year",
    "month",
    "day",
    "integer",
    "bigint",
    "text",
    "decimal",
    "double precision",
    "boolean",
    "(",
    ")",
    "(",
    ")",
    "(",
    ")",
    ",",
    ",",
    ",",
    ".",
    ";",
    "*",
    "+",
    "-",
    "/",
    "%",
    "=",
    "<>",
    "<",
    "<=",
    ">",
    ">=",
    "||",
    "::",
    "[",
    "]",
    "1",
    "0",
    "42",
    "3.14",
    "1e9",
    ".5",
    "9223372036854775808",
    "'text'",
    "''",
    "'it''s'",
    "E'\\n'",
    "$$x$$",
    "$a$;$a$",
    "a",
    "b",
    "t",
    "t.a",
    "\"a b\"",
    "\"\"\"\"",
    "'1998-12-01'",
    "-- c\n",
    "/* c */",
    "/*",
    "'",
    "$1",
    "is distinct from",
    "similar to",
    "\u{e9}",
];

/// Deepest nesting of generated queries and expressions.
const DEPTH_MAX: usize = 6;
/// Longest text, in bytes.
const TEXT_BYTES_MAX: usize = 4096;

/// Checks the text in `data`.
pub fn check(data: &[u8]) {
    let mut decisions = Decisions::new(data);
    let text = match decisions.byte() % 6 {
        0 => String::from_utf8_lossy(&data[data.len().min(1)..]).into_owned(),
        1 => words(&mut decisions),
        2 | 3 => golden(&mut decisions),
        _ => {
            let mut text = String::new();
            write_query(&mut decisions, &mut text, 0);
            if decisions.one_in(4) { replace_word(&mut decisions, &text) } else { text }
        }
    };
    check_parse(&text, &mut decisions);
    check_split(&text, &mut decisions);
    check_rows(&text);
}

/// The golden scripts, whose statements are the lines that begin with `> `.
const GOLDEN: [&str; 14] = [
    include_str!("../../../crates/sql/tests/golden/print/alter.txt"),
    include_str!("../../../crates/sql/tests/golden/print/calls.txt"),
    include_str!("../../../crates/sql/tests/golden/print/canonical.txt"),
    include_str!("../../../crates/sql/tests/golden/print/catalog.txt"),
    include_str!("../../../crates/sql/tests/golden/print/changes.txt"),
    include_str!("../../../crates/sql/tests/golden/print/clauses.txt"),
    include_str!("../../../crates/sql/tests/golden/print/drop.txt"),
    include_str!("../../../crates/sql/tests/golden/print/functions.txt"),
    include_str!("../../../crates/sql/tests/golden/print/indexes.txt"),
    include_str!("../../../crates/sql/tests/golden/print/roles.txt"),
    include_str!("../../../crates/sql/tests/golden/print/session.txt"),
    include_str!("../../../crates/sql/tests/golden/print/tables.txt"),
    include_str!("../../../crates/sql/tests/golden/print/upkeep.txt"),
    include_str!("../../../crates/sql/tests/golden/print/values.txt"),
];

/// A statement of the golden scripts with up to three words replaced by those of others.
fn golden(decisions: &mut Decisions<'_>) -> String {
    let mut line = || {
        let lines = || GOLDEN[0].lines().chain(GOLDEN[1..].iter().flat_map(|script| script.lines()));
        let statements = || lines().filter_map(|line| line.strip_prefix("> "));
        let chosen = usize::from(decisions.short()) % statements().count().max(1);
        statements().nth(chosen).unwrap_or("")
    };
    let (mut text, other) = (line().to_owned(), line());
    for _ in 0..decisions.below(4) {
        let mut words: Vec<&str> = text.split(' ').collect();
        let index = usize::from(decisions.short()) % words.len();
        match decisions.below(4) {
            0 => drop(words.remove(index)),
            1 => words.insert(index, words[index]),
            2 => {
                let next = (index + 1) % words.len();
                words.swap(index, next);
            }
            _ => words[index] = other.split(' ').nth(decisions.below(8)).unwrap_or("x"),
        }
        text = words.join(" ");
        if text.is_empty() {
            break;
        }
    }
    text
}

fn words(decisions: &mut Decisions<'_>) -> String {
    let mut text = String::from("select ");
    while !decisions.is_done() && text.len() < TEXT_BYTES_MAX {
        text.push_str(WORDS[decisions.below(WORDS.len())]);
        if !decisions.one_in(16) {
            text.push(' ');
        }
    }
    text
}

/// A query over tables `t`, `u` and `v` with columns `a` and `b`, with subqueries down to some depth.
pub(crate) fn write_query(decisions: &mut Decisions<'_>, text: &mut String, depth: usize) {
    text.push_str(if decisions.one_in(8) { "SELECT DISTINCT " } else { "SELECT " });
    for index in 0..=decisions.below(3) {
        text.push_str(if index > 0 { ", " } else { "" });
        match decisions.byte() % 8 {
            0 => text.push('*'),
            1 => text.push_str("t.*"),
            _ => write_expr(decisions, text, depth),
        }
        if decisions.one_in(4) {
            text.push_str(" AS \"n a\"");
        }
    }
    if !decisions.one_in(4) {
        text.push_str(
            [" FROM t", " FROM t AS u", " FROM 'f.csv' AS t(a integer, b text)", " FROM t, u"]
                [decisions.below(4)],
        );
        while decisions.one_in(4) && text.len() < TEXT_BYTES_MAX {
            text.push_str([" JOIN v ON ", " LEFT JOIN v ON ", " INNER JOIN v AS w ON "][decisions.below(3)]);
            write_expr(decisions, text, depth + 1);
        }
    }
    for clause in [" WHERE ", " GROUP BY ", " HAVING ", " ORDER BY ", " LIMIT ", " OFFSET "] {
        if decisions.one_in(3) {
            text.push_str(clause);
            write_expr(decisions, text, depth + 1);
        }
    }
    if depth < DEPTH_MAX && decisions.one_in(8) {
        text.push_str([" UNION ALL ", " UNION ", " EXCEPT "][decisions.below(3)]);
        write_query(decisions, text, depth + 1);
    }
}

/// An expression.
fn write_expr(decisions: &mut Decisions<'_>, text: &mut String, depth: usize) {
    const LEAVES: [&str; 12] = [
        "a",
        "t.b",
        "1",
        "0.05",
        "1e3",
        "'x''y'",
        "NULL",
        "TRUE",
        "DATE '1998-12-01'",
        "\"Q\"",
        "E'\\t'",
        "-7",
    ];
    const BINARY: [&str; 18] = [
        " + ",
        " - ",
        " * ",
        " / ",
        " % ",
        " = ",
        " <> ",
        " < ",
        " >= ",
        " AND ",
        " OR ",
        " || ",
        " LIKE ",
        " NOT LIKE ",
        " IS DISTINCT FROM ",
        " ^ ",
        " BETWEEN 1 AND ",
        " AND NOT ",
    ];
    const AROUND: [(&str, &str); 16] = [
        ("(", ")"),
        ("NOT ", ""),
        ("-", ""),
        ("+ ", ""),
        ("", " IS NULL"),
        ("", " IS NOT TRUE"),
        ("", "::integer"),
        ("CAST(", " AS decimal(10, 2))"),
        ("count(DISTINCT ", ")"),
        ("sum(", ")"),
        ("", " IN (1, 2, NULL)"),
        ("CASE WHEN ", " THEN 1 END"),
        ("CASE a WHEN 1 THEN ", " ELSE b END"),
        ("upper(", ")"),
        ("extract(year FROM ", ")"),
        ("substring(", " FROM 1 FOR 2)"),
    ];
    if depth >= DEPTH_MAX || text.len() > TEXT_BYTES_MAX {
        return text.push_str(LEAVES[decisions.below(LEAVES.len())]);
    }
    match decisions.byte() % 8 {
        0..=2 => text.push_str(LEAVES[decisions.below(LEAVES.len())]),
        3..=5 => {
            write_expr(decisions, text, depth + 1);
            text.push_str(BINARY[decisions.below(BINARY.len())]);
            write_expr(decisions, text, depth + 1);
        }
        6 if decisions.one_in(4) => {
            text.push_str(["(", "EXISTS (", "a IN ("][decisions.below(3)]);
            write_query(decisions, text, depth + 1);
            text.push(')');
        }
        _ => {
            let (before, after) = AROUND[decisions.below(AROUND.len())];
            text.push_str(before);
            write_expr(decisions, text, depth + 1);
            text.push_str(after);
        }
    }
}

/// The text with one word replaced by another.
fn replace_word(decisions: &mut Decisions<'_>, text: &str) -> String {
    let mut words: Vec<&str> = text.split(' ').collect();
    let index = usize::from(decisions.short()) % words.len();
    words[index] = WORDS[decisions.below(WORDS.len())];
    words.join(" ")
}

fn budget(limit_bytes: u64) -> Budget {
    let root = Budget::root("root", 64 << 20).expect("room for a tree");
    root.child("parse", limit_bytes).expect("room for a node")
}

fn check_parse(text: &str, decisions: &mut Decisions<'_>) {
    let arena = Arena::new(&budget(u64::MAX));
    let outcome = parse(text, &arena);
    let small = Arena::new(&budget(1024 << (decisions.byte() % 8)));
    let outcome_small = parse(text, &small);
    match (&outcome, &outcome_small) {
        (_, Err(error)) if is_refusal(error) => {
            assert!(small.budget().last_refusal().is_some(), "a refusal without a record");
        }
        (Ok(tree), Ok(tree_small)) => assert!(tree.same(*tree_small), "another tree under a limit: {text}"),
        (Err(error), Err(error_small)) => assert_eq!(error.to_string(), error_small.to_string()),
        _ => panic!("under a limit {outcome_small:?} instead of {outcome:?}"),
    }
    match outcome {
        Err(error) => check_error(text, &error),
        Ok(tree) => {
            let printed = tree.to_string();
            let again = parse(&printed, &arena).unwrap_or_else(|error| {
                panic!("{text}\nprints as\n{printed}\nwhich does not parse: {error}")
            });
            assert!(tree.same(again), "{text}\nprints as\n{printed}\nwhich is another tree");
            assert_eq!(again.to_string(), printed, "printing is no fixpoint");
            check_tree(text, tree, again, &arena);
        }
    }
}

/// What is made of a tree, and of the tree of its printed text.
fn check_tree<'a>(text: &str, tree: Tree<'a>, printed: Tree<'a>, arena: &'a Arena) {
    let fingerprint = tree.fingerprint(arena).expect("room");
    assert_eq!(printed.fingerprint(arena).expect("room"), fingerprint, "{text}\nand {printed}");
    let mut normal = String::new();
    normalize(tree, &mut normal).expect("a string takes all");
    let again = parse(&normal, arena)
        .unwrap_or_else(|error| panic!("{text}\nis normalized as\n{normal}\nwhich does not parse: {error}"));
    assert_eq!(again.fingerprint(arena).expect("room"), fingerprint, "{text}\nnormalized as {normal}");
    let copy = tree.root().copy(arena).expect("room");
    assert!(same_tree(tree.root(), copy), "a copy differs: {text}");
    let layout = Layout { width: 40, keywords: KeywordCase::Keep, ..Layout::default() };
    let lay_out = |tree: Tree<'_>| {
        let mut out = String::new();
        format(tree, layout, &mut out, arena).expect("room");
        out
    };
    let out = lay_out(tree);
    assert!(tokens(&out).eq(tokens(text)), "{text}\nis laid out as\n{out}");
    let again = parse(&out, arena).unwrap_or_else(|error| panic!("{out}\ndoes not parse: {error}"));
    assert!(tree.same(again), "{text}\nis laid out as another tree:\n{out}");
    assert_eq!(lay_out(again), out, "a layout that is not its own layout");
}

/// The tokens of a text.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut lexer = Lexer::new(text).expect("a text that was parsed");
    std::iter::from_fn(move || {
        let token = lexer.next_token();
        (token.kind != TokenKind::End).then(|| token.span().of(text))
    })
}

/// The rows of an `INSERT` one at a time against the whole statement.
fn check_rows(text: &str) {
    let arena = Arena::new(&budget(u64::MAX));
    let Ok(Some(mut rows)) = InsertRows::open(text, &arena) else { return };
    let mut printed = rows.head().to_string();
    let mut separator = " ";
    let outcome = loop {
        match rows.next_row(&arena) {
            Ok(Some(row)) => printed = format!("{printed}{separator}{}", row.node()),
            Ok(None) => break Ok(printed),
            Err(error) => break Err(error.to_string()),
        }
        separator = ", ";
    };
    match (parse(text, &arena), outcome) {
        (Ok(tree), Ok(printed)) => assert_eq!(printed, tree.to_string(), "{text}"),
        (Ok(tree), Err(error)) => {
            let goes_on = ["ON CONFLICT", "RETURNING"].iter().any(|word| tree.to_string().contains(word));
            assert!(goes_on, "{text}\nis right, but its rows are not: {error}");
        }
        (Err(error), Ok(printed)) => panic!("{text}\nis wrong ({error}), but its rows are {printed}"),
        (Err(_), Err(_)) => {}
    }
}

fn is_refusal(error: &Error) -> bool {
    error.sqlstate() == "53200"
}

fn check_error(text: &str, error: &Error) {
    assert_eq!(error.sqlstate().len(), 5);
    assert!(!error.to_string().is_empty());
    if let Some(Span { start, len }) = error.span() {
        let (start, end) = (start as usize, start as usize + len as usize);
        assert!(text.get(start..end).is_some(), "{start}..{end} of {} bytes: {error}", text.len());
    }
}

/// Ends of statements, from the text as a whole and from pieces of it.
fn check_split(text: &str, decisions: &mut Decisions<'_>) {
    let ends = |piece_bytes: usize| {
        let mut splitter = Splitter::new();
        let (mut ends, mut start, mut seen) = (Vec::new(), 0, 0);
        while seen < text.len() {
            seen = (seen + piece_bytes).min(text.len());
            while let Some(end) = splitter.find_end(&text.as_bytes()[start..seen]) {
                assert!(end > 0 && text.as_bytes()[start + end - 1] == b';', "an end that is no `;`");
                start += end;
                ends.push(start);
            }
        }
        (ends, splitter.open(), splitter.is_blank())
    };
    let piece_bytes = 1 + decisions.below(64);
    assert_eq!(ends(text.len().max(1)), ends(piece_bytes), "{text}\nin pieces of {piece_bytes} bytes");
    for span in statements(text) {
        assert!(!span.of(text).trim().is_empty());
    }
}
