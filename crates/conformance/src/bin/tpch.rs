//! Runs the queries of TPC-H on Cofferdam and judges their answers.

#![allow(clippy::disallowed_types)]

use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use cofferdam::{Database, Options, human_bytes, parse_bytes};
use cofferdam_conformance::tpch::{QUERIES_COUNT, Verdict, load, run_query};
use cofferdam_conformance::watch::Watch;
use tempfile::TempDir;

/// Generates the tables of TPC-H, loads them into a database and runs its queries; prints for each whether its answer is the
/// known one, its seconds, and the most bytes that its statement held.
///
/// Answers are known for scales 0.01, 0.1 and 1. The exit code is 1 where a query failed or gave something else.
#[derive(Parser)]
#[command(name = "tpch")]
struct Arguments {
    /// The scale factor; 1 is about a GiB of files.
    #[arg(long, default_value_t = 0.01)]
    scale: f64,

    /// The memory limit of the database.
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = parse_bytes)]
    memory: u64,

    /// How many threads a statement may use at most.
    #[arg(long, default_value = "1")]
    threads: NonZeroUsize,

    /// Only this query; may be given several times.
    #[arg(long = "query", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=QUERIES_COUNT as i64))]
    queries: Vec<u8>,

    /// Where the database is: it is kept, and what it holds is not loaded again. By default a temporary folder.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,

    /// A folder with other texts of the queries, and with answers for other scales.
    #[arg(long, value_name = "FOLDER")]
    corpus: Option<PathBuf>,

    /// A query that takes longer is cancelled and has failed.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tpch: {error}");
            ExitCode::from(2)
        }
    }
}

/// Gives whether all is well.
fn run(arguments: &Arguments) -> io::Result<bool> {
    let temporary = TempDir::with_prefix("cofferdam-tpch-")?;
    let folder = arguments.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&folder)?;
    let options = Options::new().memory_limit(arguments.memory).threads(arguments.threads);
    let said = |error: cofferdam::Error| io::Error::other(format!("{}: {error}", error.sqlstate()));
    let database = Database::open(folder.join(format!("sf{}", arguments.scale)), options).map_err(said)?;
    let connection = database.connect().map_err(said)?;
    if connection.execute("SELECT 1 FROM lineitem LIMIT 1").unwrap_or(0) == 0 {
        let started = Instant::now();
        load(&connection, arguments.scale, &folder, &mut |table, rows_count| {
            println!("{table}: {rows_count} rows, {:.1} s", started.elapsed().as_secs_f64());
        })?;
    }
    let all: Vec<u8> = (1..=QUERIES_COUNT).collect();
    let queries = if arguments.queries.is_empty() { &all } else { &arguments.queries };
    let watch = Watch::new(connection.canceller(), Duration::from_secs(arguments.timeout));
    let mut well_count = 0;
    for &number in queries {
        let outcome = run_query(&connection, &watch, arguments.corpus.as_deref(), number, arguments.scale)?;
        let verdict = match &outcome.verdict {
            Verdict::Right(rows_count) => format!("ok, {rows_count} rows"),
            Verdict::Unknown(rows_count) => format!("no answer is known, {rows_count} rows"),
            Verdict::Wrong(difference) => format!("FAIL: {difference}"),
            Verdict::Failed(message) => format!("FAIL: {message}"),
        };
        well_count += usize::from(outcome.verdict.is_well());
        let (seconds, peak) = (outcome.duration.as_secs_f64(), outcome.peak_bytes);
        println!("q{number:02}  {seconds:>8.3} s  {:>10}  {verdict}", human_bytes(peak).to_string());
    }
    let peak = database.budget().peak();
    println!(
        "{well_count} ok, {} failed; the database held {} at most",
        queries.len() - well_count,
        human_bytes(peak)
    );
    Ok(well_count == queries.len())
}
