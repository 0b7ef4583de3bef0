//! Runs the queries of TPC-H in trouble and says what it saw.

#![allow(clippy::disallowed_types)]

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use cofferdam::{human_bytes, parse_bytes};
use cofferdam_conformance::faults::{Cancel, Finding, World};
use cofferdam_conformance::tpch::QUERIES_COUNT;
use cofferdam_testkit::counting::{self, CountingAllocator};
use cofferdam_testkit::inject::Injection;
use cofferdam_tpch::QUERIES;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Runs each query of TPC-H again and again, each time in other trouble, and checks after each attempt that it has failed as it should or
/// given its answer, that its budget is empty, that no temporary file is left and that the next query is right.
///
///   limits   every limit of the statement at which something new can happen, from 0 up to the first success; then some above it
///   charges  the n-th charge of the statement is refused, with ample memory and with little more than the least
///   writes   the n-th operation on temporary files fails, with little more than the least memory
///   cancels  another thread cancels the statement, at moments spread over the time that it takes
///   bytes    what the statement takes from the global allocator, which no budget pays for
///
/// The exit code is 1 where something was found wrong.
#[derive(Parser)]
#[command(name = "faults", verbatim_doc_comment)]
struct Arguments {
    /// The trouble.
    #[arg(value_enum)]
    trial: Trial,

    /// The scale factor of the tables.
    #[arg(long, default_value_t = 0.01)]
    scale: f64,

    /// The memory limit of the database.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_bytes)]
    memory: u64,

    /// The limit of the statement in `charges`, `writes`, `cancels` and `bytes`; by default little more than the least.
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    statement_memory: Option<u64>,

    /// Only this query; may be given several times.
    #[arg(long = "query", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=QUERIES_COUNT as i64))]
    queries: Vec<u8>,

    /// How many limits above the least, charges beyond the first `--every`, or cancels there are for each query.
    #[arg(long, default_value_t = 16)]
    samples: usize,

    /// So many charges are refused one by one.
    #[arg(long, default_value_t = 100)]
    every: u64,

    /// Moments and charges are drawn from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// In `bytes`: tells of each allocation that no container with a budget makes, with the calls that led to it.
    #[arg(long)]
    trace: bool,

    /// How many threads a statement may have.
    #[arg(long, default_value_t = 1)]
    threads: u32,

    /// Where the database is: it is kept, and what it holds is not loaded again. By default on a disk in memory.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Trial {
    Limits,
    Charges,
    Writes,
    Cancels,
    Bytes,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("faults: {error}");
            ExitCode::from(2)
        }
    }
}

/// Gives whether nothing was found wrong.
fn run(arguments: &Arguments) -> io::Result<bool> {
    let world = match &arguments.dir {
        Some(folder) => World::tpch_in(folder, arguments.scale, arguments.memory)?,
        None => World::tpch(arguments.scale, arguments.memory)?,
    };
    if arguments.trace {
        counting::tell_all_but("BudgetAlloc");
    }
    if arguments.trial == Trial::Bytes && arguments.dir.is_none() {
        return Err(io::Error::other("a disk in memory takes memory itself: name a folder with --dir"));
    }
    if arguments.trial == Trial::Writes && arguments.dir.is_some() {
        return Err(io::Error::other("only a disk in memory can be made to fail: leave out --dir"));
    }
    let set = format!("SET threads = {}", arguments.threads);
    world.connection().execute(&set).map_err(io::Error::other)?;
    let all: Vec<u8> = (1..=QUERIES_COUNT).collect();
    let queries = if arguments.queries.is_empty() { &all } else { &arguments.queries };
    let mut findings_count = 0;
    let mut cancels = Vec::new();
    for query in QUERIES.iter().filter(|query| queries.contains(&query.number)) {
        let began = Instant::now();
        let what = trial(arguments, &world, query.sql, &mut cancels)
            .and_then(|text| world.is_settled().map(|()| text));
        let text = what.unwrap_or_else(|finding| {
            findings_count += 1;
            format!("FOUND: {finding}")
        });
        println!("{}  {:>6.1} s  {text}", query.name, began.elapsed().as_secs_f64());
    }
    if !cancels.is_empty() {
        println!("all    {}", latencies(&cancels));
        let in_spill: Vec<Cancel> = cancels.iter().filter(|cancel| cancel.in_spill).copied().collect();
        println!("spill  {}", latencies(&in_spill));
    }
    println!("{} queries, {findings_count} findings", queries.len());
    Ok(findings_count == 0)
}

/// What a trial saw, as a line.
fn trial(
    arguments: &Arguments,
    world: &World,
    sql: &str,
    cancels: &mut Vec<Cancel>,
) -> Result<String, Finding> {
    let bytes = |bytes: u64| human_bytes(bytes).to_string();
    if arguments.trial == Trial::Limits {
        let limits = world.limits(sql, arguments.samples)?;
        return Ok(format!(
            "least {:>10}, ample {:>10}; {} limits refused at {} places, {} named enough, {} at least; {} above: {} refused, {} with files",
            bytes(limits.least_bytes),
            bytes(limits.ample_bytes),
            limits.refused_count,
            limits.places_count,
            limits.named_count,
            limits.named_bytes.map_or("none".to_owned(), bytes),
            limits.between_count,
            limits.between_refused_count,
            limits.spilled_count,
        ));
    }
    let tight_bytes = match arguments.statement_memory {
        Some(bytes) => bytes,
        None => world.tight_bytes(sql)?,
    };
    match arguments.trial {
        Trial::Limits => Ok(String::new()),
        Trial::Charges => {
            let injection =
                Injection::new().bounds(arguments.every, arguments.samples as u64).seed(arguments.seed);
            let mut text = String::new();
            for limit_bytes in [u64::MAX, tight_bytes] {
                let injected = world.charges(sql, limit_bytes, &injection)?;
                text += &format!(
                    "{} charges with {}: {} refused at {} places, {} survived; ",
                    injected.charges_count,
                    if limit_bytes == u64::MAX { "ample memory".to_owned() } else { bytes(limit_bytes) },
                    injected.refused_count,
                    injected.places.len(),
                    injected.survived_count,
                );
            }
            Ok(text.trim_end_matches("; ").to_owned())
        }
        Trial::Writes => {
            let writes = world.writes(sql, tight_bytes)?;
            Ok(format!(
                "with {:>10}: {} failed, {:?}, {} survived",
                bytes(tight_bytes),
                writes.struck_count,
                writes.errors,
                writes.survived_count
            ))
        }
        Trial::Cancels => {
            let seen = world.cancels(sql, tight_bytes, arguments.samples, arguments.seed)?;
            cancels.extend(&seen.cancelled);
            Ok(format!(
                "with {:>10}: {:.3} s undisturbed, {} came late; {}",
                bytes(tight_bytes),
                seen.undisturbed.as_secs_f64(),
                seen.late_count,
                latencies(&seen.cancelled)
            ))
        }
        Trial::Bytes => {
            let mut text = String::new();
            for limit_bytes in [u64::MAX, tight_bytes] {
                let outside = world.bytes_outside(sql, limit_bytes)?;
                text += &format!("{outside}; ");
            }
            Ok(text.trim_end_matches("; ").to_owned())
        }
    }
}

/// How long cancels took.
fn latencies(cancels: &[Cancel]) -> String {
    let of = |latency: fn(&Cancel) -> Duration| {
        let mut all: Vec<Duration> = cancels.iter().map(latency).collect();
        all.sort();
        let at = |part: f64| {
            let index = (all.len() as f64 * part).ceil() as usize;
            all.get(index.saturating_sub(1)).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
        };
        format!("p50 {:.2}, p99 {:.2}, at most {:.2} ms", at(0.5), at(0.99), at(1.0))
    };
    format!(
        "{} cancelled, {} of them with files: {}; without waiting for a processor: {}",
        cancels.len(),
        cancels.iter().filter(|cancel| cancel.in_spill).count(),
        of(|cancel| cancel.latency),
        of(|cancel| cancel.without_queue),
    )
}
