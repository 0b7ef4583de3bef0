//! Deep and wide statements: planned or refused, on a small native stack.

use std::fmt::Write;

use cofferdam_arena::{Arena, Budget};
use cofferdam_plan::Error;
use cofferdam_plan::explain::{ExplainOptions, explain};
use cofferdam_sql::parse;

use crate::plans::{budget, definition, with_plan};

/// Native stack of the planning thread: recursion in the depth of the statement would overflow it.
const STACK_BYTES: usize = 256 << 10;

/// Plans and explains `sql` under `limit_bytes` on a small stack; the number of bytes of the explanation, or `None` when
/// memory was refused.
fn plan_on_small_stack(sql: String, limit_bytes: u64) -> Option<usize> {
    let work = move || {
        let budget: Budget = budget();
        budget.set_limit(limit_bytes);
        with_plan(&sql, &budget, |outcome, arena| match outcome {
            Ok(plan) => explain(&plan, ExplainOptions::default(), arena)
                .ok()
                .map(|lines| lines.iter().map(|line| line.len()).sum()),
            Err(Error::OutOfMemory(_)) => None,
            Err(error) => panic!("{error}"),
        })
    };
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(work).unwrap().join().unwrap()
}

const ENOUGH: u64 = 1 << 30;

#[test]
fn a_chain_of_100000_additions_is_planned() {
    let chain = |column: &str| format!("SELECT {column}{} AS x FROM t", " + 1".repeat(100_000));
    assert!(plan_on_small_stack(chain("a"), ENOUGH).is_some_and(|bytes| bytes > 500_000));
    assert!(plan_on_small_stack(chain("1"), ENOUGH).is_some_and(|bytes| bytes < 500));
}

#[test]
fn a_chain_that_does_not_fit_is_refused() {
    let sql = format!("SELECT a{} FROM t", " + 1".repeat(100_000));
    // The tree alone takes 13 MB.
    assert_eq!(plan_on_small_stack(sql, 20 << 20), None);
}

/// Aim: what a definition keeps as text is bound, printed, read and bound again without recursion.
#[test]
fn deep_defaults_and_checks_are_bound() {
    let chain = format!("1{}", " + 1".repeat(20_000));
    let create = format!("CREATE TABLE x (a integer DEFAULT {chain}, CHECK (a > {chain}))");
    let insert = format!("INSERT INTO heap (a) VALUES ({chain}), (length('x'){})", " + 1".repeat(20_000));
    let copy = format!("COPY heap FROM 'f.csv' WHERE a{} > 0", " + 1".repeat(20_000));
    let work = move || {
        let budget = budget();
        let (parsed, arena) = (Arena::new(&budget), Arena::new(&budget));
        let tree = parse(&create, &parsed).unwrap();
        let text = definition(tree.statement(), &arena).expect("a definition").unwrap();
        assert!(text.len() > 100_000);
    };
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(work).unwrap().join().unwrap();
    assert!(plan_on_small_stack(insert, ENOUGH).is_some());
    assert!(plan_on_small_stack(copy, ENOUGH).is_some());
}

#[test]
fn deep_groups_and_keys_are_recognized() {
    let chain = format!("a{}", " + 1".repeat(20_000));
    let sql = format!("SELECT {chain}, count(*) FROM t GROUP BY {chain} ORDER BY {chain} DESC");
    assert!(plan_on_small_stack(sql, ENOUGH).is_some());
}

#[test]
fn every_kind_of_nesting_is_planned() {
    let depth = 5_000;
    let nest = |open: &str, inner: &str, close: &str| {
        format!("SELECT {}{inner}{} FROM t", open.repeat(depth), close.repeat(depth))
    };
    for sql in [
        nest("(NOT ", "f", ")"),
        nest("- (", "a", ")"),
        nest("CASE WHEN f THEN ", "a", " ELSE 0 END"),
        nest("CASE ", "a", " WHEN 1 THEN 2 ELSE 3 END"),
        nest("coalesce(", "a", ", 1)"),
        nest("lower(", "b", ")"),
        nest("CAST(", "a", " AS bigint)"),
        nest("(", "f", " BETWEEN false AND true)"),
        nest("(", "f", " IN (true, false))"),
        nest("(", "f", " IS TRUE)"),
        nest("(1 + ", "a", ")"),
        nest("(f AND ", "f", ")"),
        nest("(f OR (f AND ", "f", "))"),
    ] {
        let head: String = sql.chars().take(40).collect();
        assert!(plan_on_small_stack(sql, ENOUGH).is_some(), "{head}");
    }
}

/// Aim: what constants decide is not looked for in all that is below, again at each level. Method: nests as deep as the limit allows of what is
/// rewritten where a part may fail; looking at each level would take minutes.
#[test]
fn deep_conditions_are_simplified_in_one_go() {
    let depth = 20_000;
    let nest = |open: &str, inner: &str, close: &str| {
        format!("SELECT {}{inner}{} FROM t", open.repeat(depth), close.repeat(depth))
    };
    let began = std::time::Instant::now();
    for sql in [
        nest("f IN (", "1 / a > 0", ", false)"),
        nest("f BETWEEN false AND (", "1 / a > 0", ")"),
        nest("CASE NULL::boolean WHEN (", "1 / 0 > 0", ") THEN f ELSE false END"),
        nest("(", "1 / 0", " * NULL::integer + a)"),
        nest("NULLIF(NULL, (", "1 / 0 > 0", "))"),
    ] {
        let head: String = sql.chars().take(40).collect();
        assert!(plan_on_small_stack(sql, ENOUGH).is_some(), "{head}");
    }
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}

#[test]
fn nested_queries_are_planned() {
    let depth = 2_000;
    let sql = format!("{}SELECT a FROM t{}", "SELECT a FROM (".repeat(depth), ") AS q".repeat(depth));
    assert!(plan_on_small_stack(sql, ENOUGH).is_some());
}

#[test]
fn a_long_conjunction_becomes_a_list_and_a_long_disjunction_a_flat_tree() {
    for word in ["AND", "OR"] {
        let mut sql = String::from("SELECT a FROM t WHERE a <> 0");
        for number in 0..50_000 {
            write!(sql, " {word} a <> {number}").unwrap();
        }
        assert!(plan_on_small_stack(sql, ENOUGH).is_some(), "{word}");
    }
}

#[test]
fn wide_and_many_way_statements_are_planned() {
    let mut list = String::from("SELECT a");
    for number in 0..10_000 {
        write!(list, ", a + {number} AS x{number}").unwrap();
    }
    assert!(plan_on_small_stack(format!("{list} FROM t ORDER BY x77"), ENOUGH).is_some());

    let mut join = String::from("SELECT count(*) FROM t AS t0");
    for number in 1..300 {
        write!(join, " JOIN t AS t{number} ON t{number}.a = t{}.a", number - 1).unwrap();
    }
    assert!(plan_on_small_stack(join, ENOUGH).is_some());
}
