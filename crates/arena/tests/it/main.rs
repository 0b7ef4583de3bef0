//! Integration tests of the memory core, as one program.

/// What must not compile: each file of `tests/compile_fail` is one mistake, and the file beside it what the compiler
/// says to it. Mistakes whose message would list private fields (sharing between threads) or that show only when code is
/// generated (a value that needs `Drop`) are `compile_fail` examples of `ThreadArenas`, `PoolBox` and `Arena::alloc`.
///
/// Rewrite the latter with `TRYBUILD=overwrite cargo test -p cofferdam-arena --test it`.
#[test]
#[cfg_attr(miri, ignore = "runs the compiler")]
fn mistakes_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
