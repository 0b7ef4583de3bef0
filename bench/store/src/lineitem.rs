//! TPC-H's `lineitem`: how much room it takes, how fast three of its columns are summed, how little memory its load takes.
//!
//! The table is generated once into `lineitem.tbl`, beside a file with the number of its rows and the sums that every
//! contestant must find. DuckDB runs as a Python package in a child of its own; the script measures itself. Our program
//! is a child, too, where its load under a limit is watched from outside.

use crate::cell::{Figures, Outcome, Settings, figures_of};
use crate::engines::ours;
use crate::kv::bytes_of;
use bench_harness::usage::Meter;
use cofferdam_testkit::footprint;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tpchgen::generators::{LineItem, LineItemGenerator};

/// How often the sums are formed, after the first time.
const SUMS_COUNT: usize = 10;
/// DuckDB's side of everything here.
const SCRIPT: &str = include_str!("../../python/duckdb_lineitem.py");
/// What our program is told before a load.
const CREATE: &str = "CREATE TABLE lineitem (l_orderkey bigint NOT NULL, l_partkey bigint NOT NULL, \
l_suppkey bigint NOT NULL, l_linenumber integer NOT NULL, l_quantity decimal(15,2) NOT NULL, \
l_extendedprice decimal(15,2) NOT NULL, l_discount decimal(15,2) NOT NULL, l_tax decimal(15,2) NOT NULL, \
l_returnflag text NOT NULL, l_linestatus text NOT NULL, l_shipdate date NOT NULL, l_commitdate date NOT NULL, \
l_receiptdate date NOT NULL, l_shipinstruct text NOT NULL, l_shipmode text NOT NULL, l_comment text NOT NULL, \
PRIMARY KEY (l_orderkey, l_linenumber))";

/// The name of DuckDB as a contestant.
pub const DUCKDB: &str = "duckdb";
/// The name of our program as a contestant.
pub const PROGRAM: &str = "cofferdam";
/// The name of [`plain::Arrays`] as a contestant.
pub const PLAIN: &str = "plain-arrays";

/// What is done with the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Its text is generated, into the directory above the contestant's.
    Generate,
    /// It is stored, and its bytes on the disk are counted.
    Size,
    /// Its first three columns are summed, by one thread, where [`Workload::Size`] has left it.
    Sum,
    /// It is loaded from its text under a limit of so many MiB.
    LoadLimited(u64),
}

/// The sums of `l_orderkey`, `l_partkey` and `l_suppkey`.
pub type Sums = [i128; 3];

/// A store of the table in this process.
pub trait LineitemStore: Sized {
    /// Stores `rows` in `dir`, and closes it.
    ///
    /// # Errors
    /// Its own.
    fn store<'r>(dir: &Path, rows: impl Iterator<Item = LineItem<'r>>) -> Outcome<()>;
    /// Opens what was stored.
    ///
    /// # Errors
    /// Its own.
    fn open(dir: &Path) -> Outcome<Self>;
    /// Forms the sums, in this thread.
    ///
    /// # Errors
    /// Its own.
    fn sums(&self) -> Outcome<Sums>;
}

impl Workload {
    /// Runs it for `contestant`.
    ///
    /// # Errors
    /// Nobody is called so, its own, or a wrong answer.
    pub fn run(self, contestant: &str, settings: &Settings) -> Outcome<Figures> {
        match (self, contestant) {
            (Workload::Generate, _) => generate(settings),
            (_, DUCKDB) => duckdb(self, settings),
            (Workload::LoadLimited(limit_mib), PROGRAM) => load_limited(settings, limit_mib),
            (Workload::Size, PLAIN) => size::<plain::Arrays>(settings),
            (Workload::Sum, PLAIN) => sum::<plain::Arrays>(settings),
            _ => ours::lineitem(contestant, self, settings),
        }
    }
}

fn rows(scale: f64) -> impl Iterator<Item = LineItem<'static>> {
    LineItemGenerator::new(scale, 1, 1).iter()
}

fn text_path(settings: &Settings) -> PathBuf {
    settings.dir.with_file_name("lineitem.tbl")
}

fn expected_path(settings: &Settings) -> PathBuf {
    settings.dir.with_file_name("lineitem.expected")
}

fn generate(settings: &Settings) -> Outcome<Figures> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(text_path(settings))?);
    let (mut count, mut sums) = (0u64, [0i128; 3]);
    for row in rows(settings.scale) {
        writeln!(file, "{row}")?;
        count += 1;
        add(&mut sums, [row.l_orderkey, row.l_partkey, row.l_suppkey]);
    }
    file.flush()?;
    let mut figures = Figures::default();
    figures.add("rows", count as f64);
    add_sums(&mut figures, sums);
    std::fs::write(expected_path(settings), figures.to_string())?;
    Ok(figures)
}

fn add(sums: &mut Sums, values: [i64; 3]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += i128::from(value);
    }
}

/// Far below 2^53 at any scale that fits on a disk, so nothing is lost.
fn add_sums(figures: &mut Figures, sums: Sums) {
    for (index, sum) in sums.into_iter().enumerate() {
        figures.add(&format!("sum_{index}"), sum as f64);
    }
}

/// Compares the sums among `figures` with those of the generator.
fn check(settings: &Settings, figures: &Figures, names: &[&str]) -> Outcome<()> {
    let expected = crate::cell::parse(&std::fs::read_to_string(expected_path(settings))?)?;
    for name in names {
        if figures.get(name).is_none() || figures.get(name) != expected.get(name) {
            let [found, expected] = [figures, &expected].map(|figures| figures.get(name));
            return Err(format!("{name} is {found:?} instead of {expected:?}").into());
        }
    }
    Ok(())
}

const SUM_NAMES: &[&str] = &["sum_0", "sum_1", "sum_2"];

/// Stores the table and counts bytes, for a store in this process.
pub fn size<S: LineitemStore>(settings: &Settings) -> Outcome<Figures> {
    let meter = Meter::start();
    S::store(&settings.dir, rows(settings.scale))?;
    let spent = meter.spent();
    let mut figures = Figures::default();
    figures.add("file_mib", mib(bytes_of(&settings.dir)?));
    // The generator's seconds are among them.
    figures.add("cpu_s", spent.cpu_ns / 1e9);
    figures.add("wall_s", spent.wall_ns / 1e9);
    add_sums(&mut figures, S::open(&settings.dir)?.sums()?);
    check(settings, &figures, SUM_NAMES)?;
    Ok(figures)
}

/// Sums three columns, for a store in this process.
pub fn sum<S: LineitemStore>(settings: &Settings) -> Outcome<Figures> {
    let store = S::open(&settings.dir)?;
    let first = store.sums()?;
    let meter = Meter::start();
    for _ in 0..SUMS_COUNT {
        if store.sums()? != first {
            return Err("two passes had different sums".into());
        }
    }
    let spent = meter.spent();
    let mut figures = Figures::default();
    figures.add("cpu_ms", spent.cpu_ns / 1e6 / SUMS_COUNT as f64);
    figures.add("wall_ms", spent.wall_ns / 1e6 / SUMS_COUNT as f64);
    figures.add("read_mib", mib(spent.counts.read_bytes) / SUMS_COUNT as f64);
    add_sums(&mut figures, first);
    check(settings, &figures, SUM_NAMES)?;
    Ok(figures)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1 << 20) as f64
}

/// Lets the script do the workload.
fn duckdb(workload: Workload, settings: &Settings) -> Outcome<Figures> {
    let python = settings.python.as_ref().ok_or("there is no Python with the package duckdb")?;
    let mut command = Command::new(python);
    command.arg("-c").arg(SCRIPT).current_dir(&settings.dir);
    let text = text_path(settings);
    match workload {
        Workload::Sum => {
            let figures = figures_of(&command.args(["sum", "lineitem.duckdb"]).output()?)?;
            check(settings, &figures, SUM_NAMES)?;
            Ok(figures)
        }
        Workload::Size => {
            let figures = figures_of(&command.args(["size", "lineitem.duckdb"]).arg(text).output()?)?;
            check(settings, &figures, &["rows"])?;
            Ok(figures)
        }
        Workload::LoadLimited(limit_mib) => {
            command.args(["load", "limited.duckdb"]).arg(text).arg(limit_mib.to_string());
            let run = footprint::run_captured(&mut command)?;
            let output = std::process::Output { status: run.status, stdout: run.stdout, stderr: run.stderr };
            let private_mib = mib(run.footprint.private_bytes_peak);
            let failed = |error| format!("with up to {private_mib:.1} MiB of private memory: {error}");
            let mut figures = figures_of(&output).map_err(failed)?;
            check(settings, &figures, &["rows"])?;
            add_footprint(&mut figures, &run.footprint, limit_mib);
            Ok(figures)
        }
        Workload::Generate => Err("the script generates nothing".into()),
    }
}

fn add_footprint(figures: &mut Figures, footprint: &footprint::Footprint, limit_mib: u64) {
    let private_mib = mib(footprint.private_bytes_peak);
    figures.add("private_mib", private_mib);
    figures.add("over_limit_mib", private_mib - limit_mib as f64);
    figures.add("samples", footprint.samples_count as f64);
    figures.add("load_wall_s", footprint.wall.as_secs_f64());
}

/// Loads the table with our program, whose memory is sampled each millisecond, and then counts its rows.
fn load_limited(settings: &Settings, limit_mib: u64) -> Outcome<Figures> {
    let program = settings.program.as_ref().ok_or("which program is ours was not said (--program)")?;
    let text = text_path(settings).display().to_string().replace('\'', "''");
    let database = settings.dir.join("database");
    let start = |statements: &[&str]| {
        let mut command = Command::new(program);
        command.args(["--memory", &format!("{limit_mib}MiB"), "--mode", "csv"]).arg(&database);
        for statement in statements {
            command.args(["-c", statement]);
        }
        footprint::run_captured(&mut command)
    };
    let run = start(&[CREATE, &format!("COPY lineitem FROM '{text}'")])?;
    said_well(&run)?;
    let mut figures = Figures::default();
    add_footprint(&mut figures, &run.footprint, limit_mib);
    figures.add("file_mib", mib(bytes_of(&database)?));

    let run = start(&["SELECT count(*) FROM lineitem"])?;
    said_well(&run)?;
    let answer = String::from_utf8_lossy(&run.stdout);
    figures.add("rows", answer.lines().last().unwrap_or_default().trim().parse()?);
    check(settings, &figures, &["rows"])?;
    Ok(figures)
}

/// Gives each line of the text to somebody.
pub type Lines<'l> = &'l mut dyn FnMut(&mut dyn FnMut(&str) -> Outcome<()>) -> Outcome<()>;

/// Loads the table from its text in this process, whose memory is sampled meanwhile, the bench's own included.
pub fn load_directly(
    settings: &Settings,
    limit_mib: u64,
    load: impl FnOnce(Lines<'_>) -> Outcome<()>,
) -> Outcome<Figures> {
    let (is_done, peak_bytes, samples_count) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let start = std::time::Instant::now();
    let mut rows = 0u64;
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                if let Ok(Some(sample)) = footprint::sample(std::process::id()) {
                    peak_bytes.fetch_max(sample.private_bytes, Ordering::Relaxed);
                    samples_count.fetch_add(1, Ordering::Relaxed);
                }
                std::thread::sleep(footprint::PERIOD);
            }
        });
        let outcome = load(&mut |put| {
            let mut file = BufReader::new(File::open(text_path(settings))?);
            let mut line = String::new();
            while file.read_line(&mut line)? > 0 {
                put(line.trim_end())?;
                line.clear();
                rows += 1;
            }
            Ok(())
        });
        is_done.store(true, Ordering::Relaxed);
        outcome
    });
    let private_mib = mib(peak_bytes.load(Ordering::Relaxed));
    outcome.map_err(|error| format!("with up to {private_mib:.1} MiB of private memory: {error}"))?;
    let mut figures = Figures::default();
    figures.add("private_mib", private_mib);
    figures.add("over_limit_mib", private_mib - limit_mib as f64);
    figures.add("samples", samples_count.load(Ordering::Relaxed) as f64);
    figures.add("load_wall_s", start.elapsed().as_secs_f64());
    figures.add("file_mib", mib(bytes_of(&settings.dir)?));
    figures.add("rows", rows as f64);
    check(settings, &figures, &["rows"])?;
    Ok(figures)
}

fn said_well(run: &footprint::Run) -> Outcome<()> {
    if run.status.success() {
        return Ok(());
    }
    Err(format!("{}: {}", run.status, String::from_utf8_lossy(&run.stderr).trim()).into())
}

/// The least that a scan can cost: the three columns as plain integers in one file, nothing checked.
pub mod plain {
    use super::*;

    /// Bytes of a piece of one column; a piece of each follow each other.
    const PIECE_BYTES: usize = 64 << 10;

    /// Three columns of 8-byte integers, in turn.
    pub struct Arrays(PathBuf);

    impl LineitemStore for Arrays {
        fn store<'r>(dir: &Path, rows: impl Iterator<Item = LineItem<'r>>) -> Outcome<()> {
            let mut file = BufWriter::new(File::create(dir.join("columns"))?);
            let mut pieces: [Vec<u8>; 3] = Default::default();
            for row in rows {
                for (piece, value) in pieces.iter_mut().zip([row.l_orderkey, row.l_partkey, row.l_suppkey]) {
                    piece.extend_from_slice(&value.to_le_bytes());
                }
                if pieces[0].len() == PIECE_BYTES {
                    pieces.iter_mut().try_for_each(|piece| flush(&mut file, piece))?;
                }
            }
            // Nought adds nothing.
            for piece in &mut pieces {
                piece.resize(PIECE_BYTES, 0);
                flush(&mut file, piece)?;
            }
            Ok(file.flush()?)
        }

        fn open(dir: &Path) -> Outcome<Arrays> {
            Ok(Arrays(dir.join("columns")))
        }

        fn sums(&self) -> Outcome<Sums> {
            let mut file = File::open(&self.0)?;
            let mut piece = vec![0; PIECE_BYTES];
            let pieces_count = file.metadata()?.len() as usize / PIECE_BYTES;
            let mut sums = [0; 3];
            for index in 0..pieces_count {
                file.read_exact(&mut piece)?;
                let (values, _) = piece.as_chunks::<8>();
                sums[index % 3] +=
                    i128::from(values.iter().map(|value| i64::from_le_bytes(*value)).sum::<i64>());
            }
            Ok(sums)
        }
    }

    fn flush(file: &mut impl Write, piece: &mut Vec<u8>) -> Outcome<()> {
        file.write_all(piece)?;
        piece.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Aim: the generator's sums are found again, and a wrong one is no figure. Method: a small table as plain arrays;
    /// then the noted sums are changed.
    #[test]
    fn sums_are_compared_with_the_generators() {
        let above = std::env::temp_dir().join(format!("bench-store-lineitem-{}", std::process::id()));
        let settings =
            Settings { dir: above.join(PLAIN), scale: 0.001, seed: 1, python: None, program: None };
        std::fs::create_dir_all(&settings.dir).expect("a directory can be made");
        let generated = Workload::Generate.run("", &settings).expect("it is generated");
        assert!(generated.get("rows").is_some_and(|rows| (5_000.0..7_000.0).contains(&rows)), "{generated}");
        Workload::Size.run(PLAIN, &settings).expect("it is stored");
        Workload::Sum.run(PLAIN, &settings).expect("it is summed");
        std::fs::write(expected_path(&settings), "FIGURE sum_0 1\n").expect("it is there");
        assert!(Workload::Sum.run(PLAIN, &settings).is_err());
        assert!(Workload::Sum.run(DUCKDB, &settings).is_err(), "no Python was given");
        std::fs::remove_dir_all(&above).expect("it is there");
    }
}
