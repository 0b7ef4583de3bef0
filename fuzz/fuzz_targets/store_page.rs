//! See `fuzz_checks::store_page`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_checks::store_page::check(data));
