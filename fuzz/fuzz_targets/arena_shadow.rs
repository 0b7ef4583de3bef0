//! See `fuzz_checks::arena_shadow`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_checks::arena_shadow::check(data));
