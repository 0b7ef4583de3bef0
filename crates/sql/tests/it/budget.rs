//! Too little memory is a typed error at every limit, and gives everything back.

use cofferdam_arena::{Arena, Budget};
use cofferdam_sql::{Error, FormatError, Layout, format, parse};

const TEXTS: &[&str] = &[
    "SELECT 1",
    "SELECT Abc.Def, 'it''s', E'\\n' FROM \"T\" AS x(a, b) WHERE a BETWEEN 1 AND 2 GROUP BY 1 HAVING count(*) > 1",
    "WITH a AS (SELECT CASE WHEN x THEN CAST(y AS decimal(10, 2)) ELSE 1 END FROM t) SELECT * FROM a JOIN b USING (c)",
    "EXPLAIN (ANALYZE, MEMORY) SELECT ((((((((((((((((((((((((((((((((1))))))))))))))))))))))))))))))))",
    "SET memory_limit = '16MiB'",
];

/// Aim: each limit gives the tree or the typed error, and the budget is empty afterwards. Method: limits from zero until
/// success, a unit at a time.
#[test]
fn every_limit_gives_a_tree_or_a_typed_error() {
    for text in TEXTS {
        let mut limit_bytes = 0;
        loop {
            let root = Budget::root("root", 1 << 20).expect("a budget");
            let statement = root.child("statement", limit_bytes).expect("a child");
            let is_parsed = {
                let arena = Arena::new(&statement);
                match parse(text, &arena) {
                    Ok(_) => true,
                    Err(Error::OutOfMemory(_)) => {
                        let refusal = root.last_refusal().expect("a record of the refusal");
                        assert!(refusal.limit_bytes() <= limit_bytes.max(1), "{refusal}");
                        false
                    }
                    Err(error) => panic!("{text}: {error}"),
                }
            };
            assert_eq!(statement.used(), 0, "{text} gave everything back");
            assert!(statement.peak() <= limit_bytes);
            if is_parsed {
                break;
            }
            limit_bytes += 1024;
            assert!(limit_bytes < 64 << 10, "{text} fits into 64 KiB");
        }
    }
}

/// Aim: a refusal at any charge is a typed error. Method: the n-th charge is refused, for every n.
#[test]
fn every_refused_charge_is_a_typed_error() {
    for text in TEXTS {
        for nth in 1.. {
            let root = Budget::root("root", 1 << 20).expect("a budget");
            let budget = root.child("statement", u64::MAX).expect("a child");
            budget.inject_refusal(nth);
            let is_parsed = {
                let arena = Arena::new(&budget);
                match parse(text, &arena) {
                    Ok(_) => true,
                    Err(Error::OutOfMemory(_)) => false,
                    Err(error) => panic!("{text}: {error}"),
                }
            };
            assert_eq!(budget.used(), 0);
            if is_parsed {
                break;
            }
        }
    }
}

#[test]
fn an_arena_is_used_again_after_a_failure() {
    let root = Budget::root("root", 1 << 20).expect("a budget");
    let budget = root.child("statement", 2 << 10).expect("a child");
    let mut arena = Arena::new(&budget);
    let long = format!("SELECT 1{}", "+1".repeat(1000));
    assert!(matches!(parse(&long, &arena), Err(Error::OutOfMemory(_))));
    arena.reset();
    assert!(parse("SELECT 1", &arena).is_ok());
}

/// What is done with a statement under a limit: a tree, its text, its layout, its fingerprint.
fn whole_way(text: &str, budget: &Budget) -> Result<(), bool> {
    let arena = Arena::new(budget);
    let is_memory = |error: Error| matches!(error, Error::OutOfMemory(_));
    let tree = parse(text, &arena).map_err(is_memory)?;
    tree.fingerprint(&arena).map_err(|_| true)?;
    let mut layout = String::new();
    match format(tree, Layout::default(), &mut layout, &arena) {
        Ok(()) => {}
        Err(FormatError::OutOfMemory(_)) => return Err(true),
        Err(error) => panic!("{text}: {error}"),
    }
    assert!(!tree.to_string().is_empty() && !layout.is_empty());
    Ok(())
}

/// Every limit from zero until the outcome is not that of memory.
fn sweep(text: &str) {
    let root = Budget::root("root", 64 << 20).expect("a budget");
    for limit_bytes in (0..).step_by(1024) {
        let statement = root.child("statement", limit_bytes).expect("a child");
        let outcome = whole_way(text, &statement);
        assert_eq!(statement.used(), 0, "all is given back under {limit_bytes} bytes: {text}");
        assert!(statement.peak() <= limit_bytes, "{text}");
        if outcome != Err(true) {
            break;
        }
        assert!(limit_bytes < 4 << 20, "it fits into 4 MiB: {text}");
    }
}

/// Every charge refused, until there are no more.
fn refuse_each(text: &str) {
    let root = Budget::root("root", 64 << 20).expect("a budget");
    for nth in 1.. {
        let budget = root.child("statement", u64::MAX).expect("a child");
        budget.inject_refusal(nth);
        let outcome = whole_way(text, &budget);
        assert_eq!(budget.used(), 0, "all is given back after refusal {nth}: {text}");
        if outcome != Err(true) {
            break;
        }
    }
}

/// Aim: at every limit, and whichever charge is refused, each statement of the golden scripts and of PostgreSQL's own
/// tests gives a typed error or what it gives with all the memory it wants, and everything back. Method: all statements,
/// a step of the budget's unit at a time, through parsing, printing, laying out and fingerprinting.
#[test]
fn every_statement_survives_every_limit_and_refusal() {
    let corpus = crate::corpus::regress().into_iter().map(|(text, _)| text);
    for text in crate::golden::texts().into_iter().chain(corpus) {
        sweep(&text);
        refuse_each(&text);
    }
}
