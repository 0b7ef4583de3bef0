//! See `fuzz_checks::wal`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_checks::wal::check(data));
