//! Per-request arena (seed 001, pattern 1): everything that a request needs is forgotten in one step when it is done.
//!
//! Run with `cargo run -p cofferdam-arena --example request_arena`.
#![allow(clippy::disallowed_types)]

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena, Budget};

/// Sums the numbers of a request's text. Everything in between lives in the request's arena.
fn handle(request: &str, arena: &Arena) -> Result<i64, AllocError> {
    let mut numbers = Vec::new_in(arena);
    for word in request.split_whitespace() {
        if let Ok(number) = word.parse::<i64>() {
            numbers.push(number)?;
        }
    }
    Ok(numbers.iter().sum())
}

fn main() -> Result<(), AllocError> {
    let process = Budget::root("process", 1 << 20).expect("memory for the budgets");
    let requests = process.child("requests", 64 << 10)?;
    let mut peak_after_first = 0;
    for round in 0..1000 {
        let arena = Arena::new(&requests);
        let sum = handle("sum 1 2 3 of 4 numbers and 5 words", &arena)?;
        assert_eq!(sum, 15);
        if round == 0 {
            peak_after_first = requests.used();
        }
    }
    println!("1000 requests, peak {} bytes, {} bytes left", requests.peak(), requests.used());
    assert_eq!((requests.used(), requests.peak()), (0, peak_after_first));
    Ok(())
}

#[test]
fn runs() {
    main().unwrap();
}
