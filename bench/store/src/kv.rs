//! Tables of small rows: the workloads that every engine runs, and the trait that an engine is driven through.
//!
//! A row is 100 bytes: a key of 8 and a text of 92, of which 44 are random letters and 48 words from a list of 64, so
//! that it compresses about as well as text does. Rows are made before anything is measured. In order, the keys are
//! 1, 2, 3, …; at random, they are spread over 63 bits and come in no order.

use crate::cell::{Figures, Outcome, Settings};
use bench_harness::counting;
use bench_harness::usage::{Meter, resident_bytes_peak};
use bench_harness::{Random, black_box};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of a row's text.
pub const VALUE_BYTES: usize = 92;
/// Rows of a table at scale 1.
const ROWS_COUNT: usize = 1_000_000;

/// Cache for a load: more than the table needs.
const CACHE_BYTES_LOAD: usize = 256 << 20;
/// Cache that holds the whole table in every engine.
const CACHE_BYTES_ALL: usize = 512 << 20;
/// Cache that holds one row in a hundred.
const CACHE_BYTES_FEW: usize = 1 << 20;

/// Rows that are there before single ones are committed.
const ROWS_COUNT_BEFORE: usize = 100_000;
/// Commits that are measured.
const COMMITS_COUNT: usize = 2_000;
/// Commits before those.
const COMMITS_COUNT_WARM: usize = 64;

/// Reads that are measured.
const GETS_COUNT: usize = 300_000;
/// Rows that are read back and compared after each workload.
const CHECKS_COUNT: usize = 1_000;

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its key, below 2^63.
    pub key: u64,
    /// Its text, in ASCII.
    pub value: [u8; VALUE_BYTES],
}

impl Row {
    /// The row that `key` always has.
    pub fn of(key: u64) -> Row {
        let mut value = [0; VALUE_BYTES];
        let (letters, words) = value.split_at_mut(44);
        let mut random = Random::new(key);
        for eleven in letters.chunks_mut(11) {
            let mut bits = random.next_u64();
            for letter in eleven {
                *letter = b'0' + (bits & 63) as u8;
                bits >>= 6;
            }
        }
        let bits = random.next_u64();
        for (index, twelve) in words.chunks_mut(12).enumerate() {
            let mut word = Random::new(bits >> (6 * index) & 63).next_u64();
            for letter in twelve {
                *letter = b'a' + (word & 15) as u8;
                word >>= 4;
            }
        }
        Row { key, value }
    }

    /// The text.
    #[cfg_attr(not(feature = "peers"), allow(dead_code))]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.value).expect("letters are ASCII")
    }
}

/// In which order rows come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By key, ascending.
    Ascending,
    /// None.
    Random,
}

/// The key of row `index`.
pub fn key(order: Order, index: usize) -> u64 {
    match order {
        Order::Ascending => index as u64 + 1,
        Order::Random => Random::new(index as u64).next_u64() >> 1,
    }
}

/// An engine with one table of rows open.
///
/// Everything is durable when a method that writes has returned: after a loss of power the rows are there. Engines are
/// set up as their documents advise for the workload; what was chosen is written at each adapter.
pub trait KvEngine: Sync + Sized {
    /// Opens the table in `dir`, or makes an empty one, with a cache of `cache_bytes`.
    ///
    /// # Errors
    /// The engine's own.
    fn open(dir: &Path, cache_bytes: usize) -> Outcome<Self>;

    /// Writes `rows` into an empty table.
    ///
    /// # Errors
    /// The engine's own.
    fn load(&self, rows: &[Row], order: Order) -> Outcome<()>;

    /// Brings the files into the form that is best for reading, and waits for work behind the scenes.
    ///
    /// # Errors
    /// The engine's own.
    fn settle(&self) -> Outcome<()>;

    /// Commits one row, alone, durably. Called by several threads at once.
    ///
    /// # Errors
    /// The engine's own.
    fn commit(&self, row: &Row) -> Outcome<()>;

    /// Reads each of `keys` in one transaction, one at a time, and gives its text to `seen`.
    ///
    /// # Errors
    /// The engine's own, and [`missing`] for a key that is not there.
    fn get_each(&self, keys: impl Iterator<Item = u64>, seen: impl FnMut(&[u8])) -> Outcome<()>;

    /// Ends.
    ///
    /// # Errors
    /// The engine's own.
    fn close(self) -> Outcome<()>;
}

/// The error for a key that must be there.
pub fn missing<T>(key: u64) -> Outcome<T> {
    Err(format!("key {key} is not there").into())
}

/// A workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// All rows into an empty table.
    Load(Order),
    /// A table of all rows, for [`Workload::Get`].
    Prepare,
    /// Durable commits of one row each, by so many threads.
    Commit(usize),
    /// Reads of single rows from a prepared table.
    Get {
        /// Whether the engine's cache holds the table.
        in_cache: bool,
    },
}

impl Workload {
    /// Runs it on `E` in `settings.dir`.
    ///
    /// # Errors
    /// The engine's own, and a row that cannot be read back as it was written.
    pub fn run<E: KvEngine>(self, settings: &Settings) -> Outcome<Figures> {
        counting::check(&settings.dir)?;
        match self {
            Workload::Load(order) => load::<E>(settings, order),
            Workload::Prepare => prepare::<E>(settings),
            Workload::Commit(committers_count) => commit::<E>(settings, committers_count),
            Workload::Get { in_cache } => get::<E>(settings, in_cache),
        }
    }
}

fn rows(order: Order, count: usize) -> Vec<Row> {
    (0..count).map(|index| Row::of(key(order, index))).collect()
}

/// Reads some rows back and compares them.
fn check<E: KvEngine>(engine: &E, order: Order, count: usize, seed: u64) -> Outcome<()> {
    let mut random = Random::new(seed);
    let keys: Vec<u64> = (0..CHECKS_COUNT).map(|_| key(order, random.below(count))).collect();
    let (mut index, mut wrong) = (0, 0);
    engine.get_each(keys.iter().copied(), |value| {
        wrong += usize::from(value != Row::of(keys[index]).value);
        index += 1;
    })?;
    if (index, wrong) == (CHECKS_COUNT, 0) {
        return Ok(());
    }
    Err(format!("{index} of {CHECKS_COUNT} rows were read back, and {wrong} were wrong").into())
}

/// From the first row to the closed table; then it is opened again and checked.
fn load<E: KvEngine>(settings: &Settings, order: Order) -> Outcome<Figures> {
    let count = settings.scaled(ROWS_COUNT);
    let rows = rows(order, count);
    let meter = Meter::start();
    let engine = E::open(&settings.dir, CACHE_BYTES_LOAD)?;
    engine.load(&rows, order)?;
    engine.close()?;
    let spent = meter.spent();
    let mut figures = Figures::default();
    let per_row = |figure: f64| figure / count as f64;
    figures.add("cpu_ns", per_row(spent.cpu_ns));
    figures.add("wall_ns", per_row(spent.wall_ns));
    figures.add("written_bytes", per_row(spent.counts.written_bytes as f64));
    figures.add("syncs_all", spent.counts.syncs as f64);
    figures.add("file_bytes", per_row(bytes_of(&settings.dir)? as f64));
    // The rows themselves are in memory too.
    figures.add("resident_mib", resident_bytes_peak() as f64 / (1 << 20) as f64);
    let engine = E::open(&settings.dir, CACHE_BYTES_LOAD)?;
    check(&engine, order, count, settings.seed)?;
    engine.close()?;
    Ok(figures)
}

fn prepare<E: KvEngine>(settings: &Settings) -> Outcome<Figures> {
    let count = settings.scaled(ROWS_COUNT);
    let engine = E::open(&settings.dir, CACHE_BYTES_LOAD)?;
    engine.load(&rows(Order::Random, count), Order::Random)?;
    engine.settle()?;
    engine.close()?;
    let mut figures = Figures::default();
    figures.add("file_bytes", bytes_of(&settings.dir)? as f64 / count as f64);
    Ok(figures)
}

/// Commits over a table that has rows, from `committers_count` threads that start together.
fn commit<E: KvEngine>(settings: &Settings, committers_count: usize) -> Outcome<Figures> {
    let before_count = settings.scaled(ROWS_COUNT_BEFORE);
    let measured_count = settings.scaled(COMMITS_COUNT).max(64);
    let engine = E::open(&settings.dir, CACHE_BYTES_LOAD)?;
    engine.load(&rows(Order::Random, before_count), Order::Random)?;
    engine.settle()?;
    engine.close()?;

    let engine = E::open(&settings.dir, CACHE_BYTES_LOAD)?;
    let warm_end = before_count + COMMITS_COUNT_WARM;
    commit_range(&engine, before_count..warm_end, committers_count)?;
    let end = warm_end + measured_count;
    let meter = Meter::start();
    commit_range(&engine, warm_end..end, committers_count)?;
    let spent = meter.spent();
    let synchronous_files = counting::synchronous_files();
    if synchronous_files > 0 {
        return Err(format!("{synchronous_files} files sync with each write, which is not counted").into());
    }
    engine.close()?;
    let engine = E::open(&settings.dir, CACHE_BYTES_LOAD)?;
    check(&engine, Order::Random, end, settings.seed)?;
    engine.close()?;

    let mut figures = Figures::default();
    let per_commit = |figure: f64| figure / measured_count as f64;
    figures.add("syncs", per_commit(spent.counts.syncs as f64));
    figures.add("written_bytes", per_commit(spent.counts.written_bytes as f64));
    figures.add("cpu_us", per_commit(spent.cpu_ns) / 1e3);
    figures.add("wall_us", per_commit(spent.wall_ns) / 1e3);
    figures.add("writes", per_commit(spent.counts.writes as f64));
    figures.add("resizes", per_commit(spent.counts.resizes as f64));
    figures.add("range_syncs", per_commit(spent.counts.range_syncs as f64));
    Ok(figures)
}

fn commit_range<E: KvEngine>(
    engine: &E,
    range: std::ops::Range<usize>,
    committers_count: usize,
) -> Outcome<()> {
    let next = AtomicUsize::new(range.start);
    let committer = || -> Result<(), String> {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= range.end {
                return Ok(());
            }
            engine.commit(&Row::of(key(Order::Random, index))).map_err(|error| error.to_string())?;
        }
    };
    if committers_count == 1 {
        return Ok(committer()?);
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..committers_count).map(|_| scope.spawn(committer)).collect();
        for thread in threads {
            thread.join().map_err(|_| "a committer panicked")??;
        }
        Ok(())
    })
}

/// Single reads of a prepared table, after everything that a cache holds is in it: the engine's, and the system's.
fn get<E: KvEngine>(settings: &Settings, in_cache: bool) -> Outcome<Figures> {
    let count = settings.scaled(ROWS_COUNT);
    let gets_count = settings.scaled(GETS_COUNT);
    let engine = E::open(&settings.dir, if in_cache { CACHE_BYTES_ALL } else { CACHE_BYTES_FEW })?;
    check(&engine, Order::Random, count, settings.seed)?;
    let mut random = Random::new(settings.seed);
    let keys: Vec<u64> = (0..gets_count).map(|_| key(Order::Random, random.below(count))).collect();
    let mut sum = 0;
    let mut seen = |value: &[u8]| {
        sum += value.len() as u64 + u64::from(value[0]) + u64::from(value[value.len() - 1]);
    };
    if in_cache {
        engine.get_each((0..count).map(|index| key(Order::Random, index)), &mut seen)?;
    } else {
        read_files(&settings.dir)?;
        engine.get_each(keys.iter().copied().rev().take(gets_count / 10), &mut seen)?;
    }
    let meter = Meter::start();
    engine.get_each(keys.iter().copied(), &mut seen)?;
    let spent = meter.spent();
    black_box(sum);
    engine.close()?;

    let mut figures = Figures::default();
    let per_get = |figure: f64| figure / gets_count as f64;
    figures.add("cpu_ns", per_get(spent.cpu_ns));
    figures.add("wall_ns", per_get(spent.wall_ns));
    figures.add("reads", per_get(spent.counts.reads as f64));
    figures.add("read_bytes", per_get(spent.counts.read_bytes as f64));
    figures.add("resident_mib", resident_bytes_peak() as f64 / (1 << 20) as f64);
    Ok(figures)
}

/// Lets the system have all files of `dir` in its cache.
fn read_files(dir: &Path) -> Outcome<()> {
    visit_files(dir, &mut |path| {
        std::io::copy(&mut std::fs::File::open(path)?, &mut std::io::sink())?;
        Ok(())
    })
}

/// Bytes of all files below `dir`.
pub fn bytes_of(dir: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    visit_files(dir, &mut |path| {
        bytes += std::fs::metadata(path)?.len();
        Ok(())
    })?;
    Ok(bytes)
}

fn visit_files(dir: &Path, visit: &mut dyn FnMut(&Path) -> Outcome<()>) -> Outcome<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { visit_files(&path, visit)? } else { visit(&path)? }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Aim: keys are unique and rows what the header says. Method: the keys of a small table, and one row's text.
    #[test]
    fn rows_are_what_they_are_said_to_be() {
        for order in [Order::Ascending, Order::Random] {
            let mut keys: Vec<u64> = (0..10_000).map(|index| key(order, index)).collect();
            assert_eq!(keys.is_sorted(), order == Order::Ascending);
            keys.sort_unstable();
            keys.dedup();
            assert_eq!(keys.len(), 10_000);
            assert!(keys[9_999] < 1 << 63);
        }
        assert_eq!(8 + VALUE_BYTES, 100);
        let row = Row::of(7);
        assert_eq!(row, Row::of(7));
        assert_ne!(row.value, Row::of(8).value);
        assert!(row.text().bytes().all(|letter| letter.is_ascii_graphic()), "{}", row.text());
    }

    /// A directory that is gone at the end.
    struct Place(Settings);

    impl Place {
        fn new(name: &str) -> Place {
            let dir = std::env::temp_dir().join(format!("bench-store-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&dir).expect("a directory can be made");
            Place(Settings { dir, scale: 0.001, seed: 1, python: None, program: None })
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0.dir);
        }
    }

    /// An engine that keeps nothing but claims to.
    struct Liar;

    impl KvEngine for Liar {
        fn open(_dir: &Path, _cache_bytes: usize) -> Outcome<Liar> {
            Ok(Liar)
        }
        fn load(&self, _rows: &[Row], _order: Order) -> Outcome<()> {
            Ok(())
        }
        fn settle(&self) -> Outcome<()> {
            Ok(())
        }
        fn commit(&self, _row: &Row) -> Outcome<()> {
            Ok(())
        }
        fn get_each(&self, keys: impl Iterator<Item = u64>, mut seen: impl FnMut(&[u8])) -> Outcome<()> {
            keys.for_each(|_| seen(&[0; VALUE_BYTES]));
            Ok(())
        }
        fn close(self) -> Outcome<()> {
            Ok(())
        }
    }

    /// Aim: rows that cannot be read back are no figure. Method: an engine that gives other rows.
    #[test]
    fn a_wrong_row_is_no_figure() {
        let place = Place::new("liar");
        for failed in [load::<Liar>(&place.0, Order::Random), commit::<Liar>(&place.0, 8)] {
            let text = failed.expect_err("nothing was kept").to_string();
            assert!(text.contains("1000 of 1000 rows were read back, and 1000 were wrong"), "{text}");
        }
        assert!(get::<Liar>(&place.0, true).is_err());
    }
}
