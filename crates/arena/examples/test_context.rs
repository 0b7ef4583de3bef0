//! A test context (seed 000): a test gets a session in arenas of a given size, nothing can escape it, and afterwards it
//! is checked that all memory came back.
//!
//! Run with `cargo run -p cofferdam-arena --example test_context`.
#![allow(clippy::disallowed_types)]

use cofferdam_arena::with_test_context;

fn main() {
    let (words_count, peak_bytes) = with_test_context(64 << 10, |context| {
        let session = context.session();
        let words =
            session.parse().alloc_slice_from_iter("a test in arenas".split(' ').map(str::len)).unwrap();
        let words_count = words.len(); // copied out; `words` itself cannot leave
        drop(session);
        (words_count, context.arenas().stats().peak_bytes)
    });
    println!("{words_count} words, peak {peak_bytes} bytes, all of them back");
    assert_eq!((words_count, peak_bytes), (4, 1024));
}

#[test]
fn runs() {
    main();
}
