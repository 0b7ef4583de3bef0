//! Runs files of sqllogictest: builds and starts the program of that name in the crate `cofferdam-conformance`.
//!
//! ```text
//!   cargo run --release -p cofferdam-testkit --bin slt -- --help
//! ```
//!
//! That program needs the whole database and many crates besides. Nearly every crate's tests are built on this one, so
//! it must not depend on them; this is what keeps the name here and the weight there.

use std::env;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["run", "--quiet", "-p", "cofferdam-conformance", "--bin", "slt"]);
    command.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../conformance/Cargo.toml"));
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    match command.arg("--").args(env::args_os().skip(1)).status() {
        // A program that a signal ended has no code.
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(2)),
        Err(error) => {
            eprintln!("slt: cargo cannot be started: {error}");
            ExitCode::from(2)
        }
    }
}
