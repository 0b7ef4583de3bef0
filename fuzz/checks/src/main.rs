//! `fuzz-checks TARGET [--seconds N] [--seed N] [--file PATH]`: feeds a target with random bytes, or with a file's.
//!
//! A failure prints the seed and the round, and writes its input to `failure-TARGET.bin`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Checks one input; panics with what it finds.
type Check = fn(&[u8]);

/// The targets by name.
const TARGETS: [(&str, Check); 8] = [
    ("arena_shadow", fuzz_checks::arena_shadow::check),
    ("csv_query", fuzz_checks::csv_query::check),
    ("manifest", fuzz_checks::manifest::check),
    ("sql_parse", fuzz_checks::sql_parse::check),
    ("store_segment", fuzz_checks::store_segment::check),
    ("store_statistics", fuzz_checks::store_statistics::check),
    ("wal", fuzz_checks::wal::check),
    ("store_page", fuzz_checks::store_page::check),
];

const USAGE: &str = "usage: fuzz-checks TARGET [--seconds N] [--seed N] [--file PATH]";

struct Arguments {
    name: String,
    check: Check,
    seconds: u64,
    seed: u64,
    file: Option<String>,
}

fn parse() -> Result<Arguments, String> {
    let mut words = std::env::args().skip(1);
    let name = words.next().ok_or(USAGE)?;
    let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    let (_, check) = TARGETS
        .into_iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| format!("no target `{name}`; there are {names:?}\n{USAGE}"))?;
    let mut arguments = Arguments { name, check, seconds: 10, seed: 1, file: None };
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value\n{USAGE}"))?;
        let number = || value.parse().map_err(|_| format!("`{value}` is not a number\n{USAGE}"));
        match word.as_str() {
            "--seconds" => arguments.seconds = number()?,
            "--seed" => arguments.seed = number()?,
            "--file" => arguments.file = Some(value),
            _ => return Err(format!("unknown argument `{word}`\n{USAGE}")),
        }
    }
    Ok(arguments)
}

/// Random bytes (splitmix64); each round has its own stream.
///
/// # Source
/// Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014.
fn input(seed: u64, round: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(round);
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let words_count = 4 + next() % 128;
    (0..words_count).flat_map(|_| next().to_le_bytes()).collect()
}

fn main() -> ExitCode {
    let arguments = match parse() {
        Ok(arguments) => arguments,
        Err(text) => {
            eprintln!("{text}");
            return ExitCode::from(2);
        }
    };
    if let Some(path) = arguments.file {
        return match std::fs::read(&path) {
            Ok(bytes) => {
                (arguments.check)(&bytes);
                println!("{path}: no failure");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("{path}: {error}");
                ExitCode::from(2)
            }
        };
    }
    let (start, limit) = (Instant::now(), Duration::from_secs(arguments.seconds));
    let mut round = 0;
    while start.elapsed() < limit {
        let bytes = input(arguments.seed, round);
        if catch_unwind(AssertUnwindSafe(|| (arguments.check)(&bytes))).is_err() {
            let path = format!("failure-{}.bin", arguments.name);
            eprintln!(
                "{}: round {round} of seed {} failed; its input is in {path}",
                arguments.name, arguments.seed
            );
            if let Err(error) = std::fs::write(&path, &bytes) {
                eprintln!("{path}: {error}");
            }
            return ExitCode::FAILURE;
        }
        round += 1;
    }
    println!("{}: {round} rounds of seed {} without a failure", arguments.name, arguments.seed);
    ExitCode::SUCCESS
}
