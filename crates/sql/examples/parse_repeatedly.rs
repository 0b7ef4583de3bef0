//! Parses each statement of the given files many times over, one reset arena for all: work for a profiler.
//!
//! `cargo run --release -p cofferdam-sql --example parse_repeatedly -- FILE...`; `bench/allocation-share.sh` counts
//! which share of its instructions allocation takes.

use cofferdam_arena::{Arena, Budget};
use cofferdam_sql::{parse, statements};
use std::process::ExitCode;

const TIMES: usize = 200;

fn main() -> ExitCode {
    let budget = Budget::root("example", 64 << 20).expect("64 MiB are enough for a tree of budgets");
    let mut arena = Arena::new(&budget);
    let (mut parsed, mut used_bytes) = (0u64, 0u64);
    for path in std::env::args().skip(1) {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                eprintln!("{path}: {error}");
                return ExitCode::from(2);
            }
        };
        for span in statements(&text) {
            for _ in 0..TIMES {
                parsed += u64::from(parse(span.of(&text), &arena).is_ok());
                used_bytes += arena.stats().used_bytes as u64;
                arena.reset();
            }
        }
    }
    println!("{parsed} statements parsed, {used_bytes} bytes of arenas used");
    ExitCode::SUCCESS
}
