//! `footprint -- COMMAND…`: runs a command and prints the most private memory that it had.
//!
//! The figures go to standard error, so that the command's own output stays as it is; the exit code is the command's.

use bench_harness::footprint;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if arguments.first().is_some_and(|argument| argument == "--") {
        arguments.remove(0);
    }
    let Some((program, rest)) = arguments.split_first() else {
        eprintln!("usage: footprint -- COMMAND [ARGUMENT…]");
        return ExitCode::from(2);
    };
    match footprint::run(Command::new(program).args(rest)) {
        Ok(run) => {
            let figures = run.footprint;
            eprintln!(
                "FOOTPRINT private_bytes_peak={} vmhwm_bytes={} samples={} wall_ms={}",
                figures.private_bytes_peak,
                figures.resident_bytes_peak,
                figures.samples_count,
                figures.wall.as_millis()
            );
            ExitCode::from(run.status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
        }
        Err(error) => {
            eprintln!("cannot run {}: {error}", program.display());
            ExitCode::from(2)
        }
    }
}
