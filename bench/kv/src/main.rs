//! Small statements through SQL beside SQLite: reads of one row by its key, and durable commits of one row.
//!
//! Each contestant does each job in a process of its own, on a table of rows that it has loaded; the process says what the job
//! took, and checks what it read. Rounds go over the contestants in turn, and the median counts. SQLite is as rusqlite bundles it:
//! a table whose key is the B-tree's own, a write-ahead log, `synchronous = FULL`.
//!
//! | job | what is done again and again |
//! |---|---|
//! | `get_prepared` | a prepared SELECT, each a transaction of its own |
//! | `get_in_transaction` | the same in one transaction |
//! | `get_unprepared` | a text with the key in it: parsed, bound, planned, run |
//! | `insert_durable` | a prepared INSERT that is durable when it returns |

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("system calls are counted as 64-bit Linux has them");

mod ours;
mod sqlite;

use bench_harness::counting::{self, Counts};
use bench_harness::report::{Bound, Verdict, figure};
use bench_harness::stats::median;
use bench_harness::usage::Meter;
use clap::Parser;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The result of anything here; whatever goes wrong is shown to the user.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[derive(Parser)]
#[command(name = "bench-kv")]
struct Arguments {
    /// How many rows the table has.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    rows: u64,

    /// How many times a job does what it does; a durable insert a hundredth of it.
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    times: u64,

    /// How often each contestant does each job; the median counts.
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,

    /// Where tables are, on a file system that has a disk; by default `bench-kv` in the target directory.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,

    /// The exit code is 1 where a bar is missed.
    #[arg(long)]
    strict: bool,

    /// What a child does: contestant and job.
    #[arg(long, hide = true, num_args = 2)]
    cell: Option<Vec<String>>,
}

/// What one contestant can do with a table `rows (key, value)`.
trait Engine: Sized {
    /// Opens the table, which is made where it is not there.
    fn open(dir: &Path) -> Outcome<Self>;
    /// Adds rows with keys below `count`.
    fn load(&self, count: u64) -> Outcome<()>;
    /// Reads rows by a prepared statement, each in a transaction of its own; gives the bytes of all values.
    fn get_prepared(&self, keys: &mut dyn Iterator<Item = u64>) -> Outcome<u64>;
    /// The same in one transaction.
    fn get_in_transaction(&self, keys: &mut dyn Iterator<Item = u64>) -> Outcome<u64>;
    /// Reads rows by a new statement each.
    fn get_unprepared(&self, keys: &mut dyn Iterator<Item = u64>) -> Outcome<u64>;
    /// Adds rows, each of which is durable before the next one.
    fn insert_durable(&self, keys: &mut dyn Iterator<Item = u64>) -> Outcome<()>;
}

const CONTESTANTS: [&str; 2] = ["cofferdam", "sqlite"];
/// Jobs, with what our figure may be at most in proportion to SQLite's, and what it is hoped to be.
const JOBS: [(&str, f64, f64); 4] = [
    ("get_prepared", 2.0, 1.0),
    ("get_in_transaction", 2.0, 1.0),
    ("get_unprepared", 1.0, 0.5),
    ("insert_durable", 1.0, 1.0),
];
/// Durable inserts wait for the disk: one for so many reads.
const INSERT_PART: u64 = 100;

/// The value of a row.
fn value_of(key: u64) -> String {
    format!("value of {key:08}, which is some forty bytes long")
}

/// What a child has measured, of one time each.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    cpu_ns: f64,
    syncs: f64,
    written_bytes: f64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.cell {
        Some(cell) => child(&arguments, &cell[0], &cell[1]).map(|()| true),
        None => measure(&arguments),
    };
    match done {
        Ok(is_well) => ExitCode::from(u8::from(!is_well)),
        Err(error) => {
            eprintln!("bench-kv: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs all jobs, and prints what they took.
fn measure(arguments: &Arguments) -> Outcome<bool> {
    let own = std::env::current_exe()?;
    let target = own.parent().and_then(Path::parent).ok_or("the program is in no directory")?;
    let dir = arguments.dir.clone().unwrap_or_else(|| target.join("bench-kv"));
    println!(
        "{} rows, {} times, {} rounds, in {}",
        arguments.rows,
        arguments.times,
        arguments.rounds,
        dir.display()
    );
    let start = |contestant: &str, job: &str| -> Outcome<Figures> {
        let mut command = Command::new(&own);
        command.args(["--rows", &arguments.rows.to_string(), "--times", &arguments.times.to_string()]);
        command.arg("--dir").arg(&dir).args(["--cell", contestant, job]);
        let output = command.output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{contestant}, {job}: {} ({})", said.trim(), output.status).into());
        }
        figures(&String::from_utf8_lossy(&output.stdout))
    };
    for contestant in CONTESTANTS {
        let place = dir.join(contestant);
        // What an earlier run left has other rows.
        let _ = std::fs::remove_dir_all(&place);
        std::fs::create_dir_all(&place)?;
        let loaded = start(contestant, "load")?;
        println!("{contestant}: loaded, {:.0} ns a row", loaded.cpu_ns);
    }
    let mut verdicts = Vec::new();
    for (job, bar, goal) in JOBS {
        let mut rounds = [Vec::new(), Vec::new()];
        for _ in 0..arguments.rounds.max(1) {
            for (contestant, rounds) in CONTESTANTS.iter().zip(&mut rounds) {
                rounds.push(start(contestant, job)?);
            }
        }
        let middle = |contestant: usize, of: fn(&Figures) -> f64| {
            median(&rounds[contestant].iter().map(of).collect::<Vec<f64>>())
        };
        println!("\n{job}: ns of processor time, syncs and bytes written, each time");
        for (index, contestant) in CONTESTANTS.iter().enumerate() {
            let of = |figure| middle(index, figure);
            let (cpu, syncs, bytes) = (
                of(|figures| figures.cpu_ns),
                of(|figures| figures.syncs),
                of(|figures| figures.written_bytes),
            );
            println!("  {contestant:<12} {cpu:>10.0} {syncs:>8.3} {bytes:>10.0}");
        }
        let mut add = |name: String, unit, of: fn(&Figures) -> f64| {
            let (ours, theirs) = (middle(0, of), middle(1, of));
            verdicts.push(Verdict {
                name,
                unit,
                ours: Some(ours),
                peer: "sqlite",
                peer_figure: theirs,
                ratio: ours / theirs,
                bar: Bound::Most(bar),
                goal: Some(goal),
            });
        };
        add(format!("kv/{job}"), "ns", |figures| figures.cpu_ns);
        if job == "insert_durable" {
            add(format!("kv/{job}_syncs"), "syncs", |figures| figures.syncs);
            add(format!("kv/{job}_bytes"), "B", |figures| figures.written_bytes);
        }
    }
    println!();
    verdicts.iter().for_each(|verdict| println!("{verdict}"));
    Ok(!arguments.strict || verdicts.iter().all(Verdict::passes))
}

/// The figures among the lines of a child.
fn figures(text: &str) -> Outcome<Figures> {
    let one = |name| figure(text, name);
    Ok(Figures { cpu_ns: one("cpu_ns")?, syncs: one("syncs")?, written_bytes: one("written_bytes")? })
}

/// One job of one contestant: prints its figures.
fn child(arguments: &Arguments, contestant: &str, job: &str) -> Outcome<()> {
    let dir = arguments.dir.as_deref().ok_or("a child is told where its table is")?.join(contestant);
    counting::check(&dir)?;
    match contestant {
        "cofferdam" => run::<ours::Ours>(arguments, &dir, job),
        "sqlite" => run::<sqlite::Sqlite>(arguments, &dir, job),
        _ => Err(format!("no contestant is called `{contestant}`").into()),
    }
}

fn run<E: Engine>(arguments: &Arguments, dir: &Path, job: &str) -> Outcome<()> {
    let engine = E::open(dir)?;
    let rows = arguments.rows.max(1);
    // Every row in an order that jumps.
    let key = |index: u64| index.wrapping_mul(0x9E37_79B9_7F4A_7C15) % rows;
    let mut keys = (0..arguments.times).map(key);
    let expected: u64 = (0..arguments.times).map(|index| value_of(key(index)).len() as u64).sum();
    // Nothing is measured before all that is kept in memory is there.
    if job.starts_with("get_") {
        engine.get_in_transaction(&mut (0..arguments.times).map(key))?;
    }
    let meter = Meter::start();
    let (read_bytes, times) = match job {
        "load" => (engine.load(rows).map(|()| None)?, rows),
        "get_prepared" => (Some(engine.get_prepared(&mut keys)?), arguments.times),
        "get_in_transaction" => (Some(engine.get_in_transaction(&mut keys)?), arguments.times),
        "get_unprepared" => (Some(engine.get_unprepared(&mut keys)?), arguments.times),
        "insert_durable" => {
            let times = (arguments.times / INSERT_PART).max(1);
            // Beyond what is there, and beyond what other rounds have added.
            let first = u64::from(std::process::id()) << 24 | 1 << 50;
            (engine.insert_durable(&mut (first..first + times)).map(|()| None)?, times)
        }
        _ => return Err(format!("no job is called `{job}`").into()),
    };
    let spent = meter.spent();
    if read_bytes.is_some_and(|bytes| bytes != expected) {
        return Err(format!("{read_bytes:?} bytes were read, and not {expected}").into());
    }
    let Counts { syncs, written_bytes, .. } = spent.counts;
    let each = |figure: f64| figure / times as f64;
    println!("FIGURE cpu_ns {}", each(spent.cpu_ns));
    println!("FIGURE syncs {}", each(syncs as f64));
    println!("FIGURE written_bytes {}", each(written_bytes as f64));
    Ok(())
}
