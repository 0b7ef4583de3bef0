//! Nested arenas with copy-out (seed 002): temporary work in an inner lifetime, the result copied to the outer one; and
//! arenas that interleave.
//!
//! Run with `cargo run -p cofferdam-arena --example nested_arenas`.
#![allow(clippy::disallowed_types)]

use cofferdam_arena::{AllocError, Arena, Budget};

fn main() -> Result<(), AllocError> {
    let process = Budget::root("process", 1 << 20).expect("memory for the budgets");
    let mut outer = Arena::new(&process);
    let mut scope = outer.scope();
    let mut results = [""; 3];
    for (index, result) in results.iter_mut().enumerate() {
        // Scratch of its own, because the outer arena grows meanwhile.
        let inner = Arena::new(&process);
        let squares = inner.alloc_slice_fill_with(100, |n| n * n)?;
        let text = inner.alloc_fmt(format_args!("sum {index}: {}", squares.iter().sum::<usize>() + index))?;
        *result = scope.alloc_str(text)?; // copied out; `inner` is gone at the end of the round
    }
    println!("{results:?}");
    assert_eq!(results[2], "sum 2: 328352");

    // A nested scope in the same chunks: what it allocated is forgotten, the chunks are kept.
    let used_bytes = scope.stats().used_bytes;
    {
        let nested = scope.scope();
        nested.alloc_slice_fill_with(1000, |n| n)?;
        assert!(nested.stats().used_bytes > used_bytes + 8000 - 1);
    }
    assert_eq!(scope.stats().used_bytes, used_bytes);
    drop(scope);
    outer.release();
    println!("{} bytes left beside the tree of budgets", process.used() - 4096);
    assert_eq!(process.used(), 4096);
    Ok(())
}

#[test]
fn runs() {
    main().unwrap();
}
