//! `cofferdam-store` beside its peers: the speed table of the store, and what it takes of disk and memory.
//!
//! A *job* is something that several contestants do: load a table, commit rows, read them. Each does it in a process of
//! its own, which measures itself and then checks what it did: `getrusage` for processor time, the clock on the wall, and
//! every write and sync by any library counted ([`bench_harness::counting`]). The parent goes over the contestants in rounds, each round
//! in another order, so that whatever disturbs the machine disturbs all. A *row* compares two medians of a job ([`rows`]).
//!
//! Map: [`rows`] what passes, [`jobs`] who does what, [`kv`] tables of small rows, [`memtable`] maps in memory,
//! [`lineitem`] TPC-H's largest table, [`engines`] the contestants (ours is [`engines::ours`]), [`cell`] the child
//! processes, [`place`] the disk, [`options`] the command line.

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("system calls are counted and memory is sampled as 64-bit Linux has them");

mod cell;
mod engines;
mod jobs;
mod kv;
mod lineitem;
mod memtable;
mod options;
mod place;
mod rows;
mod session;

use cell::{CELL, Outcome};
use options::Options;
use session::Session;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((first, rest)) if first == CELL => cell::run(rest).map(|()| ExitCode::SUCCESS),
        _ => measure(arguments),
    };
    done.unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::from(2)
    })
}

fn measure(arguments: Vec<String>) -> Outcome<ExitCode> {
    let mut session = Session::new(Options::parse(arguments)?)?;
    session.run()?;
    Ok(session.finish())
}
