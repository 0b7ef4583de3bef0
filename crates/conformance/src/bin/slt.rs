//! Runs files of sqllogictest on Cofferdam, a fresh database for each.

#![allow(clippy::disallowed_types)]

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use cofferdam::{Options, parse_bytes};
use cofferdam_conformance::slt::{Cofferdam, Place, Report, files_below, run_file, summary};

/// Runs files of sqllogictest on Cofferdam, a fresh database for each, as the engine `postgresql`.
///
/// Every record that fails is printed with its file and line, the statement, and what was expected and came. The last
/// line is `N passed, N failed`; the exit code is 1 where a record failed, 2 where a file could not be read.
#[derive(Parser)]
#[command(name = "slt")]
struct Arguments {
    /// Files, and folders of files that end in .test or .slt.
    #[arg(required = true, value_name = "FILE_OR_FOLDER")]
    paths: Vec<PathBuf>,

    /// The memory limit of each database, such as 64MiB.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_bytes)]
    memory: u64,

    /// How many threads a statement may use at most.
    #[arg(long, default_value = "1")]
    threads: NonZeroUsize,

    /// How many files run at once; by default as many as there are cores.
    #[arg(long)]
    jobs: Option<NonZeroUsize>,

    /// Puts the databases on disks in memory, not in the folder for temporary files.
    #[arg(long)]
    in_memory: bool,

    /// A statement that takes longer is cancelled and has failed.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,

    /// Writes the records that failed to a file: place, group and statement on one line each.
    #[arg(long, value_name = "FILE")]
    failures: Option<PathBuf>,

    /// Shows the failures in groups by SQLSTATE and message, the largest first, in place of each.
    #[arg(long)]
    summary: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("slt: {error}");
            ExitCode::from(2)
        }
    }
}

/// What the jobs share.
struct Shared<'a> {
    arguments: &'a Arguments,
    files: &'a [PathBuf],
    next: AtomicUsize,
    records_count: AtomicU64,
    total: Mutex<(Report, Vec<String>)>,
    started: Instant,
}

fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let mut files = Vec::new();
    for path in &arguments.paths {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        files.extend(files_below(path).map_err(named)?);
    }
    let shared = Shared {
        arguments,
        files: &files,
        next: AtomicUsize::new(0),
        records_count: AtomicU64::new(0),
        total: Mutex::default(),
        started: Instant::now(),
    };
    let jobs = arguments.jobs.or(thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
    thread::scope(|scope| {
        for _ in 0..jobs.get().min(files.len()) {
            scope.spawn(|| job(&shared));
        }
    });
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
    let (total, unread) = shared.total.into_inner().unwrap_or_else(PoisonError::into_inner);
    if arguments.summary {
        for (count, group, place) in summary(&total.failures) {
            println!("{count:>7}  {group}  ({place})");
        }
    }
    if let Some(path) = &arguments.failures {
        let lines: String = total.failures.iter().map(|failure| failure.line() + "\n").collect();
        fs::write(path, lines)?;
    }
    for problem in &unread {
        eprintln!("slt: {problem}");
    }
    println!("{total}");
    Ok(match (unread.is_empty(), total.failures.is_empty()) {
        (false, _) => ExitCode::from(2),
        (true, false) => ExitCode::FAILURE,
        (true, true) => ExitCode::SUCCESS,
    })
}

/// Runs files until there are no more.
fn job(shared: &Shared<'_>) {
    let arguments = shared.arguments;
    let options = Options::new().memory_limit(arguments.memory).threads(arguments.threads);
    let place = if arguments.in_memory { Place::Memory } else { Place::Folder };
    let timeout = Duration::from_secs(arguments.timeout);
    while let Some(path) = shared.files.get(shared.next.fetch_add(1, Ordering::Relaxed)) {
        let started = Instant::now();
        let outcome = Cofferdam::new(&place, &options, timeout)
            .map_err(|error| io::Error::other(error.to_string()))
            .and_then(|mut engine| run_file(path, &mut engine, &mut || shared.tick()));
        let mut total = shared.total.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(report) => {
                shared.show(&report, path, started);
                total.0.add(report);
            }
            Err(error) => total.1.push(format!("{}: {error}", path.display())),
        }
    }
}

impl Shared<'_> {
    /// A record has run: now and then the line on the terminal says so.
    fn tick(&self) {
        let count = self.records_count.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_multiple_of(200) && io::stderr().is_terminal() {
            let files = self.next.load(Ordering::Relaxed).min(self.files.len());
            let seconds = self.started.elapsed().as_secs();
            eprint!("\r\x1b[Kfile {files} of {}, {count} records, {seconds} s", self.files.len());
        }
    }

    /// What a file came to, below its failures.
    fn show(&self, report: &Report, path: &std::path::Path, started: Instant) {
        let mut out = io::stdout().lock();
        let mut lines = String::new();
        if !self.arguments.summary {
            for failure in &report.failures {
                lines += &format!("{failure}\n");
            }
        }
        let seconds = started.elapsed().as_secs_f64();
        let skipped = report.skipped_count;
        lines += &format!("{}: {report}, {skipped} for other engines, {seconds:.1} s\n", path.display());
        if io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
        // A reader that has gone wants no more.
        let _ = out.write_all(lines.as_bytes());
    }
}
