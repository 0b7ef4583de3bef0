//! See `fuzz_checks::sql_parse`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_checks::sql_parse::check(data));
