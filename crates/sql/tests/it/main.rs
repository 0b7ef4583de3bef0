//! Integration tests of the SQL front end: golden scripts, corpora, depth, sizes, budgets and random statements.
#![allow(clippy::disallowed_types)]

mod budget;
mod changes;
mod corpus;
mod depth;
mod fingerprint;
mod golden;
mod layout;
mod names;
mod objects;
mod random;
mod rewrite;
mod rows;
mod seeds;
mod size;
mod tables;

use cofferdam_arena::{Arena, Budget};
use cofferdam_sql::{Error, Tree, parse};
use cofferdam_testkit::counting::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Parses `text` under a fresh budget of `limit_bytes` and looks at the result.
fn parsed<R>(text: &str, limit_bytes: u64, look: impl FnOnce(Result<Tree<'_>, Error>) -> R) -> R {
    let budget = Budget::root("test", limit_bytes).expect("a budget");
    let arena = Arena::new(&budget);
    look(parse(text, &arena))
}

/// Prints the tree of `text`, parses that again, and compares: tree and text must be the same.
fn assert_round_trip(text: &str, tree: Tree<'_>) {
    let printed = tree.to_string();
    parsed(&printed, 1 << 30, |again| {
        let again = again.unwrap_or_else(|error| panic!("{text}\nprints as\n{printed}\n{error}"));
        assert!(tree.same(again), "{text}\nprints as\n{printed}\n{}\n{}", tree.outline(), again.outline());
        assert_eq!(again.to_string(), printed, "printing is not stable for {text}");
    });
}
