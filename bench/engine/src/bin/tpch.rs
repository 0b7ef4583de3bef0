//! TPC-H on Cofferdam beside DuckDB, and SQLite where it is asked for: each query in a process of its own.
//!
//! Tables are generated once and loaded by each contestant; answers are compared with DuckDB's on the same tables, or with the
//! known ones where DuckDB does not take part. Exit code 1 with `--strict` where a bar is missed or an answer is wrong.

use bench_engine::contest::{Contest, Contestant, Limits};
use bench_engine::options::Options;
use bench_engine::report::{self, BEYOND_MIB, Line, at_most};
use bench_engine::{Outcome, contest};
use clap::Parser;
use cofferdam_tpch::{QUERIES, Query, check};
use std::fs;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "bench-tpch")]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// The limit of our memory; together with --threads instead of the two pairs that have bars.
    #[arg(long, value_name = "MIB")]
    memory_mib: Option<u64>,

    /// How many threads; together with --memory-mib.
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: u32,
}

/// The limits with bars: memory, threads, the bar of our processor time in proportion to DuckDB's, the goal.
const PAIRS: [(Limits, f64, f64); 2] = [
    (Limits { memory_mib: 16, threads_count: 2 }, 3.0, 1.5),
    (Limits { memory_mib: 256, threads_count: 1 }, 2.0, 1.0),
];

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(is_well) => ExitCode::from(u8::from(!is_well)),
        Err(error) => {
            eprintln!("bench-tpch: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Outcome<bool> {
    let options = arguments.options.clone().completed();
    let contest = Contest::new(&options)?;
    let contestants = contest.contestants(&options);
    for contestant in &contestants {
        if let Some(taken) = contest.load(*contestant, PAIRS[0].0)? {
            println!("loaded by {}: {:.1} s, {:.1} MiB", contestant.name(), taken.cpu_s, taken.private_mib);
        }
    }
    let own = arguments.memory_mib.map(|memory_mib| {
        let limits = Limits { memory_mib, threads_count: arguments.threads };
        vec![(limits, PAIRS[1].1, PAIRS[1].2)]
    });
    let mut verdicts = Vec::new();
    let mut is_well = true;
    for (limits, bar, goal) in own.unwrap_or_else(|| PAIRS.to_vec()) {
        println!("\n{} MiB, {} threads at most", limits.memory_mib, limits.threads_count);
        report::print_head(&contestants);
        let (lines, right_count) = queries(&options, &contest, &contestants, limits)?;
        is_well &= right_count == lines.len();
        println!("{right_count} of {} answers are right", lines.len());
        let name = |what: &str| format!("tpch/{what}_{}mib_{}", limits.memory_mib, limits.threads_count);
        let mean =
            |of: fn(&(f64, f64)) -> f64, pairs: &[(f64, f64)]| report::geometric_mean(pairs.iter().map(of));
        let pairs: Vec<(f64, f64)> =
            lines.iter().filter_map(|line| report::pair(line, Contestant::DuckDb)).collect();
        if !pairs.is_empty() {
            let duckdb = ("duckdb", mean(|pair| pair.1, &pairs));
            verdicts.push(at_most(name("cpu"), "s", mean(|pair| pair.0, &pairs), duckdb, bar, goal));
        }
        let (most, bound) =
            (report::private_mib_most(&lines, Contestant::Ours), limits.memory_mib as f64 + BEYOND_MIB);
        verdicts.push(at_most(name("private"), "MiB", most, ("limit+8", bound), 1.0, 1.0));
    }
    println!();
    verdicts.iter().for_each(|verdict| println!("{verdict}"));
    Ok(!options.strict || is_well && verdicts.iter().all(|verdict| verdict.passes()))
}

/// All queries that are wanted; with the number of those to which ours gave the right answer.
fn queries(
    options: &Options,
    contest: &Contest,
    contestants: &[Contestant],
    limits: Limits,
) -> Outcome<(Vec<Line>, usize)> {
    let (mut lines, mut right_count) = (Vec::new(), 0);
    for query in QUERIES.iter().filter(|query| options.wants(query.name)) {
        let mut rounds = vec![Vec::new(); contestants.len()];
        for _ in 0..options.rounds {
            for (contestant, rounds) in contestants.iter().zip(&mut rounds) {
                rounds.push(contest.statement(*contestant, query.name, query.sql, limits)?);
            }
        }
        let ended = contestants.iter().copied().zip(rounds.into_iter().map(report::middle)).collect();
        let line: Line = (query.name.to_owned(), ended);
        let remark = match judge(contest, query, &line, options.scale) {
            Ok(()) => {
                right_count += 1;
                String::new()
            }
            Err(difference) => difference,
        };
        report::print_line(&line, &remark);
        lines.push(line);
    }
    Ok((lines, right_count))
}

/// Whether our answer is DuckDB's, or the known one where DuckDB has none.
fn judge(contest: &Contest, query: &Query, line: &Line, scale: f64) -> Result<(), String> {
    let finished = |contestant| line.1.iter().any(|(known, ended)| *known == contestant && ended.is_ok());
    if !finished(Contestant::Ours) {
        return Err("no answer".to_owned());
    }
    let theirs = fs::read_to_string(contest.answer(Contestant::DuckDb, query.name));
    let known = match (finished(Contestant::DuckDb), &theirs, query.answer(scale)) {
        (true, Ok(theirs), _) => theirs,
        (_, _, Some(known)) => known,
        _ => return Err("nobody knows the right answer".to_owned()),
    };
    let rows =
        contest::rows(&contest.answer(Contestant::Ours, query.name)).map_err(|error| error.to_string())?;
    check(query.number, &rows, known).map_err(|difference| format!("WRONG: {difference}"))
}
