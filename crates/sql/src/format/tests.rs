use cofferdam_arena::{Arena, Budget};

use super::{FormatError, KeywordCase, Layout, format};

fn formatted_as(text: &str, layout: Layout) -> String {
    let budget = Budget::root("format", 1 << 20).expect("a budget");
    let arena = Arena::new(&budget);
    let tree = crate::parse(text, &arena).expect("the text is SQL");
    let mut out = String::new();
    format(tree, layout, &mut out, &arena).expect("there is room");
    out
}

fn formatted(text: &str) -> String {
    formatted_as(text, Layout::default())
}

#[test]
fn what_fits_stays_on_its_line() {
    assert_eq!(formatted("select  a,b\nfrom t\twhere a=-1"), "SELECT a, b FROM t WHERE a = -1");
    assert_eq!(formatted("select count(*),t.*,- -1 , 2*-3"), "SELECT count(*), t.*, - -1, 2 * -3");
    assert_eq!(formatted("select N'x',nchar 'y'"), "SELECT N'x', nchar 'y'");
    assert_eq!(formatted("select a in(1),a::int,f (x)"), "SELECT a IN (1), a::int, f (x)");
}

#[test]
fn what_does_not_fit_breaks_from_the_outside() {
    let layout = Layout { width: 30, ..Layout::default() };
    let text = "select a, f(b) from t where a = 1 and (b = 2 or c in (select d from u))";
    let lines = "\
SELECT a, f(b)
FROM t
WHERE a = 1
    AND (
        b = 2
        OR c IN (
            SELECT d FROM u
        )
    )";
    assert_eq!(formatted_as(text, layout), lines);
    assert_eq!(formatted_as(lines, layout), lines);
}

#[test]
fn comments_stay_where_they_are() {
    let text = "-- head\n/* x */ select a, -- the a\n b /* in */ from t -- end\n where a = 1\n-- tail\n";
    let lines = "\
-- head
/* x */ SELECT
    a, -- the a
    b /* in */
FROM t -- end
WHERE a = 1
-- tail";
    assert_eq!(formatted(text), lines);
    assert_eq!(formatted(lines), lines);
}

#[test]
fn keywords_are_written_as_asked() {
    let with = |keywords| formatted_as("Select A froM t", Layout { keywords, ..Layout::default() });
    assert_eq!(with(KeywordCase::Upper), "SELECT A FROM t");
    assert_eq!(with(KeywordCase::Lower), "select A from t");
    assert_eq!(with(KeywordCase::Keep), "Select A froM t");
    let text = "select name, t.Value as year, date(day) from data as type where Names is null";
    let names = "SELECT name, t.Value AS year, date(day) FROM data AS type WHERE Names IS NULL";
    assert_eq!(formatted(text), names);
}

#[test]
fn too_little_memory_is_an_error() {
    let budget = Budget::root("format", 1 << 20).expect("a budget");
    let arena = Arena::new(&budget);
    let tree = crate::parse("select a, b, c from t where a = 1 and b = 2", &arena).expect("the text is SQL");
    let none = budget.child("scratch", 0).expect("a budget");
    let mut out = String::new();
    let error = format(tree, Layout::default(), &mut out, &Arena::new(&none)).expect_err("there is no room");
    assert!(matches!(error, FormatError::OutOfMemory(_)));
}

/// Aim: a deep text is laid out in a size that grows with it.
/// Method: queries in queries; twice as many levels give at most about twice as many bytes.
#[test]
fn deep_texts_are_not_deeply_indented() {
    let bytes = |levels: usize| {
        let text = format!("SELECT {}1{}", "(SELECT a, ".repeat(levels), ")".repeat(levels));
        let arena = Arena::new(&Budget::root("format", 64 << 20).expect("a budget"));
        let tree = crate::parse(&text, &arena).expect("the text is SQL");
        let mut out = String::new();
        format(tree, Layout::default(), &mut out, &arena).expect("there is room");
        out.len()
    };
    assert!(bytes(4_000) < 3 * bytes(2_000));
}

#[test]
fn what_follows_with_and_each_window_begin_a_line() {
    let layout = Layout { width: 40, ..Layout::default() };
    let text = "with a as (select 1) insert into t (b, c) select d, sum(e) over v from a window v as (order by d), w as (order by e)";
    let lines = "\
WITH a AS (SELECT 1)
INSERT INTO t (b, c)
SELECT d, sum(e) OVER v
FROM a
WINDOW
    v AS (ORDER BY d),
    w AS (ORDER BY e)";
    assert_eq!(formatted_as(text, layout), lines);
    assert_eq!(formatted_as(lines, layout), lines);
}
