//! See `fuzz_checks::store_statistics`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_checks::store_statistics::check(data));
