//! Size by estimate (seed 002): an arena whose first chunk is made for the expected size takes one chunk instead of many.
//!
//! Run with `cargo run -p cofferdam-arena --example size_by_estimate`.
#![allow(clippy::disallowed_types)]

use cofferdam_arena::{AllocError, Arena, Budget, Growth};

fn main() -> Result<(), AllocError> {
    let process = Budget::root("process", 16 << 20).expect("memory for the budgets");
    let items_count = 10_000;
    let estimate_bytes = items_count * 16; // 16 bytes per item
    let grown = Arena::new(&process);
    let estimated = Arena::with_growth(&process, Growth::for_estimate(estimate_bytes));
    for arena in [&grown, &estimated] {
        for item in 0..items_count {
            arena.alloc((item, item * 2))?;
        }
    }
    println!("grown:     {}", grown.stats());
    println!("estimated: {}", estimated.stats());
    assert_eq!(estimated.stats().chunks_count, 1);
    assert!(grown.stats().chunks_count > 5);
    assert!(grown.stats().allocated_bytes <= 4 * estimate_bytes, "a wrong estimate costs little either way");
    Ok(())
}

#[test]
fn runs() {
    main().unwrap();
}
