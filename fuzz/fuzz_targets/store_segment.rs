//! See `fuzz_checks::store_segment`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_checks::store_segment::check(data));
