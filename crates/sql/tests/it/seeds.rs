//! What the seeds ask of a front end's memory, seen by an allocator that counts what no budget paid for.

use std::fmt::{self, Write};

use cofferdam_arena::{Arena, Budget, Reservoir, ReservoirOptions};
use cofferdam_sql::{Error, Layout, Lexer, Node, TokenKind, Visit, format, normalize, parse};
use cofferdam_testkit::counting::{Counting, Counts};

use crate::corpus::{regress, tpch};
use crate::golden;

/// Swallows what is written.
struct Sink(u64);

impl Write for Sink {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len() as u64;
        Ok(())
    }
}

fn counted(work: impl FnOnce()) -> Counts {
    let counting = Counting::start();
    work();
    counting.finish()
}

/// A root whose chunks are mappings, as a database has it: what the allocator sees is outside of the budgets.
fn process(limit_bytes: u64) -> Budget {
    let reservoir = Reservoir::new(ReservoirOptions::new(limit_bytes)).expect("addresses");
    Budget::root_on_reservoir("process", limit_bytes, reservoir).expect("a budget")
}

/// Statements of every kind, the wrong ones included.
fn texts() -> Vec<String> {
    let own = [
        "SELECT 1".to_owned(),
        "SELECT Abc, 'it''s', E'\\n', U&\"\\0061\" FROM \"T\" WHERE \u{c4}\u{d6} = 1".to_owned(),
        format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000)),
        format!("SELECT {}", "CASE WHEN a THEN ".repeat(100)),
    ];
    regress().into_iter().map(|(text, _)| text).chain(tpch()).chain(golden::texts()).chain(own).collect()
}

/// Aim: the figures of the parse phase are what was taken, and nothing is taken before it is needed. Method: on the global
/// allocator each chunk is counted there; statistics and budget must say the same.
#[test]
fn seed_29_figures_of_parsing_equal_counted_bytes() {
    for text in texts() {
        let root = Budget::root("root", 1 << 30).expect("a budget");
        let budget = root.child("parse", u64::MAX).expect("a child");
        let counting = Counting::start();
        let arena = Arena::new(&budget);
        assert_eq!(
            (counting.counts().bytes_total, arena.stats().allocated_bytes),
            (0, 0),
            "nothing up front"
        );
        let is_parsed = parse(&text, &arena).is_ok();
        let counts = counting.finish();
        let stats = arena.stats();
        // The allocator keeps a header of its own before each chunk, which is charged with it.
        let chunks_count = stats.chunks_count as u64;
        assert_eq!(counts.bytes_left as u64 + 16 * chunks_count, stats.allocated_bytes as u64, "{text}");
        assert_eq!(stats.allocated_bytes as u64, budget.used(), "{text}");
        let headers_bytes_max = 16 * counts.allocations_count;
        assert!(
            (counts.bytes_peak..=counts.bytes_peak + headers_bytes_max).contains(&budget.peak()),
            "{text}"
        );
        assert!(stats.used_bytes + stats.wasted_bytes <= stats.allocated_bytes, "{text}");
        assert!(stats.used_bytes > 0 || !is_parsed, "{text}");
    }
}

/// Everything that is done with a text. Returns whether it is a statement.
fn whole_way(text: &str, arena: &Arena) -> bool {
    let tree = match parse(text, arena) {
        Ok(tree) => tree,
        Err(error) => {
            assert!(!matches!(error, Error::OutOfMemory(_)), "{text}");
            write!(Sink(0), "{error}{:?}", error.hint()).expect("a sink");
            return false;
        }
    };
    let mut sink = Sink(0);
    write!(sink, "{tree}{}", tree.outline()).expect("a sink");
    normalize(tree, &mut sink).expect("a sink");
    tree.fingerprint(arena).expect("room");
    format(tree, Layout::default(), &mut sink, arena).expect("room");
    assert!(tree.same(tree) && tree.walk().count() > 1 && sink.0 > 0);
    true
}

/// Aim: trees are references into the budget's chunks; no part of the front end owns a box. Method: the allocator sees
/// nothing of parsing, printing, laying out, normalizing and fingerprinting, nor of errors, nor when all of it goes.
#[test]
fn seed_31_trees_own_no_boxes() {
    let texts = texts();
    let budget = process(256 << 20).child("parse", u64::MAX).expect("a child");
    for text in &texts {
        let counts = counted(|| {
            let arena = Arena::new(&budget);
            whole_way(text, &arena);
        });
        assert_eq!((counts.allocations_count, counts.frees_count), (0, 0), "{text}");
        assert_eq!(budget.used(), 0);
    }
}

/// Aim: in a session that parses one statement after the other, parsing takes nothing from the allocator. Method: one
/// arena that is reset, on the global allocator, where a new chunk would be seen; all statements a second time. (Deeper
/// nesting than any of these has takes chunks for the parser's stack and gives them back: warm ones on a reservoir, as
/// the test of seed 31 sees.)
#[test]
fn seed_29_a_second_parse_allocates_nothing() {
    let texts = regress().into_iter().map(|(text, _)| text).chain(tpch()).chain(golden::texts());
    let texts: Vec<String> = texts.collect();
    let root = Budget::root("root", 1 << 30).expect("a budget");
    let mut arena = Arena::new(&root);
    let pass = |arena: &mut Arena| {
        for text in &texts {
            arena.reset();
            let _ = parse(text, arena);
        }
    };
    pass(&mut arena);
    let counts = counted(|| pass(&mut arena));
    assert_eq!(counts.allocations_count, 0, "for {} statements", texts.len());
}

/// Aim: a batch takes what its largest text takes. Method: a hundred texts through one arena, in rising and falling order.
#[test]
fn seed_32_a_batch_takes_what_its_largest_text_takes() {
    let text = |count: usize| format!("SELECT {} FROM t", vec!["Abc + 'it''s'"; count].join(", "));
    let alone = |text: &str| {
        let budget = Budget::root("root", 64 << 20).expect("a budget");
        let arena = Arena::new(&budget);
        parse(text, &arena).expect("a query");
        budget.peak()
    };
    for is_rising in [true, false] {
        let budget = Budget::root("root", 64 << 20).expect("a budget");
        let mut arena = Arena::new(&budget);
        for number in 1..=100 {
            let count = if is_rising { number } else { 101 - number };
            parse(&text(count * 10), &arena).expect("a query");
            arena.reset_keeping(0);
        }
        assert_eq!(budget.peak(), alone(&text(1000)), "rising: {is_rising}");
    }
    // An arena that keeps its chunks has those of the largest text, and no more.
    let budget = Budget::root("root", 64 << 20).expect("a budget");
    let mut arena = Arena::new(&budget);
    for number in 1..=100 {
        parse(&text(1010 - number * 10), &arena).expect("a query");
        arena.reset();
    }
    assert_eq!(budget.peak(), alone(&text(1000)));
}

/// What a text was charged at most, and how it prints.
fn charged(text: &str) -> (u64, String) {
    let budget = process(1 << 20).child("parse", u64::MAX).expect("a child");
    let arena = Arena::new(&budget);
    let tree = parse(text, &arena).unwrap_or_else(|error| panic!("{text}: {error}"));
    (budget.peak(), tree.to_string())
}

/// Aim: the seed's two programs, as SQL: a factorial below 4 KB and a hundred parts below 64 KB, of which nothing is
/// dropped. Method: what the budget was charged at any time; the printed text has every part.
#[test]
fn seed_33_a_factorial_and_a_hundred_functions() {
    let factorial = "WITH RECURSIVE factorial(n, product) AS (SELECT 0, CAST(1 AS numeric) UNION ALL \
                     SELECT n + 1, product * (n + 1) FROM factorial WHERE n < 20) SELECT n, product FROM factorial";
    let (bytes, printed) = charged(factorial);
    assert!(bytes < 4_000, "{bytes} bytes");
    assert_eq!(printed, factorial);

    let body: String =
        (0..100).map(|actor| format!(" INSERT INTO zombies VALUES ({actor}, 'actor {actor}');")).collect();
    let program = format!("CREATE PROCEDURE spawn() BEGIN ATOMIC{body} END");
    let (bytes, printed) = charged(&program);
    assert!(bytes < 64_000, "{bytes} bytes for one program");
    assert_eq!(printed, program);

    let functions: Vec<String> = (0..100)
        .map(|actor| {
            format!(
                "CREATE FUNCTION actor_{actor}(x integer) RETURNS integer LANGUAGE sql RETURN x + {actor}"
            )
        })
        .collect();
    let script = functions.join(";\n");
    let budget = process(1 << 20).child("parse", u64::MAX).expect("a child");
    let mut arena = Arena::new(&budget);
    let mut parts = cofferdam_sql::Script::new(&script).expect("a text");
    let mut printed = Vec::new();
    while let Some(outcome) = parts.next_statement(&arena) {
        printed.push(outcome.expect("a function").to_string());
        arena.reset();
    }
    assert_eq!(printed, functions);
    assert!(budget.peak() < 4_000, "{} bytes, one function after the other", budget.peak());
}

/// Aim: a figure of speed is one of whole statements. Method: the lexer reads each text to its end, and a sign behind what
/// is accepted makes it wrong there. (The figures are the rows `sql/…` of `bench/sql`, over the same corpora.)
#[test]
fn seed_43_the_whole_text_is_read() {
    let (mut arena, mut accepted) = (Arena::new(&Budget::root("root", 64 << 20).expect("a budget")), 0);
    for text in texts() {
        let mut lexer = Lexer::new(&text).expect("a text");
        let end = std::iter::repeat_with(|| lexer.next_token()).find(|token| token.kind == TokenKind::End);
        assert_eq!(end.map(|token| token.end as usize), Some(text.len()));
        arena.reset();
        if parse(&text, &arena).is_err() || text.contains("--") {
            continue;
        }
        accepted += 1;
        let longer = format!("{text} )");
        arena.reset();
        let error = parse(&longer, &arena).err().unwrap_or_else(|| panic!("{longer}"));
        assert_eq!(error.span().map(|span| span.end() as usize), Some(longer.len()), "{longer}: {error}");
    }
    assert!(accepted > 5_000 || regress().is_empty(), "{accepted}");
}

/// Aim: no node lies across two cache lines, whatever was copied between the nodes. Method: every node of every statement.
#[test]
fn seed_45_every_node_is_aligned_to_its_cache_line() {
    let mut arena = Arena::new(&Budget::root("root", 64 << 20).expect("a budget"));
    let (mut nodes, mut copied) = (0_u64, 0_u64);
    for text in texts() {
        arena.reset();
        let Ok(tree) = parse(&text, &arena) else { continue };
        let range = text.as_bytes().as_ptr_range();
        for visit in tree.walk() {
            let Visit::Enter(node) = visit else { continue };
            assert_eq!(std::ptr::from_ref::<Node<'_>>(node).addr() % 64, 0, "{text}");
            nodes += 1;
            copied += u64::from(!node.name().is_empty() && !range.contains(&node.name().as_ptr()));
        }
    }
    assert!(
        (nodes > 100_000 && copied > 1_000) || regress().is_empty(),
        "{nodes} nodes, {copied} copied texts"
    );
}

/// Aim: less than 5 % of what is charged is left behind at ends of chunks, in sum over the corpus. Method: each statement
/// in an arena of its own, as a statement has it.
#[test]
fn seed_46_less_than_5_percent_is_left_behind_over_the_corpus() {
    let budget = Budget::root("root", 64 << 20).expect("a budget");
    let (mut wasted, mut allocated) = (0, 0);
    for text in texts() {
        let arena = Arena::new(&budget);
        if parse(&text, &arena).is_ok() {
            wasted += arena.stats().wasted_bytes;
            allocated += arena.stats().allocated_bytes;
        }
    }
    println!("{wasted} of {allocated} bytes left behind");
    assert!(wasted * 20 < allocated, "{wasted} of {allocated} bytes");
}
