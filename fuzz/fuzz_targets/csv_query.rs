//! See `fuzz_checks::csv_query`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_checks::csv_query::check(data));
