//! What a database is opened with.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cofferdam_arena::Budget;
use cofferdam_store::Worker;
use cofferdam_vfs::Vfs;

use crate::plan_cache::SIZE_DEFAULT_BYTES;

/// The memory limit of a database that names none: 256 MiB.
pub(crate) const MEMORY_LIMIT_DEFAULT_BYTES: u64 = 256 << 20;

/// What a database is opened with.
///
/// ```
/// use cofferdam::{Database, Options, parse_bytes};
///
/// let options = Options::new().memory_limit(parse_bytes("4MiB").expect("a size")).max_temp_directory_size(1 << 30).without_worker();
/// let database = Database::open_in_memory(options)?;
/// assert_eq!(database.budget().limit(), 4 << 20);
/// # Ok::<(), cofferdam::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) memory_limit_bytes: u64,
    pub(crate) threads: NonZeroUsize,
    pub(crate) parent: Option<Budget>,
    pub(crate) untracked_bytes: u64,
    pub(crate) vfs: Option<Arc<dyn Vfs>>,
    pub(crate) worker: WorkerChoice,
    pub(crate) temp_directory: TempDirectory,
    pub(crate) max_temp_bytes: u64,
    pub(crate) plan_cache_bytes: u64,
}

/// Where temporary files are.
#[derive(Clone, Debug)]
pub(crate) enum TempDirectory {
    /// In the directory of the database, or where the system has such files.
    Default,
    Nowhere,
    At(PathBuf),
}

/// Who flushes and compacts in the background.
#[derive(Clone, Debug)]
pub(crate) enum WorkerChoice {
    /// A thread of the database's own, where there is room for it.
    Own,
    Shared(Arc<Worker>),
    /// Nobody: who writes does it.
    Nobody,
}

impl Default for Options {
    fn default() -> Options {
        Options::new()
    }
}

impl Options {
    /// A limit of 256 MiB, one thread, a tree of budgets of its own, a worker of its own where there is room for it.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let database = Database::open_in_memory(Options::new())?;
    /// assert_eq!((database.budget().limit(), database.threads().get()), (256 << 20, 1));
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub const fn new() -> Options {
        Options {
            memory_limit_bytes: MEMORY_LIMIT_DEFAULT_BYTES,
            threads: NonZeroUsize::MIN,
            parent: None,
            untracked_bytes: 0,
            vfs: None,
            worker: WorkerChoice::Own,
            temp_directory: TempDirectory::Default,
            max_temp_bytes: u64::MAX,
            plan_cache_bytes: SIZE_DEFAULT_BYTES,
        }
    }

    /// All that the database may take, in bytes; the setting `memory_limit`.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let database = Database::open_in_memory(Options::new().memory_limit(4 << 20))?;
    /// let limit: String = database.connect()?.query_row("SHOW memory_limit", |row| row.get(0))?;
    /// assert_eq!(limit, "4.0 MiB");
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub const fn memory_limit(mut self, bytes: u64) -> Options {
        self.memory_limit_bytes = bytes;
        self
    }

    /// How many threads one statement may use at most; the setting `threads`. The caller's is one of them; others help
    /// to read large tables where the memory limit has room for them, 256 KiB and some batches each.
    ///
    /// ```
    /// use std::num::NonZeroUsize;
    /// use cofferdam::{Database, Options};
    ///
    /// let two = NonZeroUsize::new(2).expect("not 0");
    /// assert_eq!(Database::open_in_memory(Options::new().threads(two))?.threads(), two);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub const fn threads(mut self, threads: NonZeroUsize) -> Options {
        self.threads = threads;
        self
    }

    /// Puts the database's budget below `parent`, so that several databases share one limit.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let process = Database::open_in_memory(Options::new().memory_limit(16 << 20))?;
    /// let tenant = Options::new().memory_limit(2 << 20).parent(process.budget());
    /// let tenants = [Database::open_in_memory(tenant.clone())?, Database::open_in_memory(tenant)?];
    /// assert!(tenants.iter().all(|tenant| tenant.budget().limit_on_path() == 2 << 20));
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn parent(mut self, parent: &Budget) -> Options {
        self.parent = Some(parent.clone());
        self
    }

    /// Guarantees so many bytes of the limit to [`Database::untracked`](crate::Database::untracked), for what the program takes
    /// from elsewhere; the database is sized for the rest.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let database = Database::open_in_memory(Options::new().memory_limit(4 << 20).untracked(1 << 20))?;
    /// let untracked = database.untracked().expect("asked for above");
    /// assert_eq!(untracked.limit(), 1 << 20);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub const fn untracked(mut self, bytes: u64) -> Options {
        self.untracked_bytes = bytes;
        self
    }

    /// Where statements write what does not fit into memory; the setting `temp_directory`. `None` lets them write nothing, and fail
    /// where memory does not suffice. Without this it is `tmp` in the directory of the database, and of a database in
    /// memory the directory that the system has for such files: that of `TMPDIR`, `/var/tmp`, or the system's default.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let options = Options::new().memory_limit(1 << 20).temp_directory(None);
    /// let connection = Database::open_in_memory(options)?.connect()?;
    /// let error = connection.execute("SELECT n FROM generate_series(1, 200000) AS t(n) ORDER BY -n").unwrap_err();
    /// assert_eq!(error.sqlstate(), "53200");
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn temp_directory(mut self, path: Option<&Path>) -> Options {
        self.temp_directory = match path {
            Some(path) => TempDirectory::At(path.to_path_buf()),
            None => TempDirectory::Nowhere,
        };
        self
    }

    /// How many bytes of temporary files there may be at once; the setting `max_temp_directory_size`. Without this any number.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let options = Options::new().memory_limit(1 << 20).max_temp_directory_size(64 << 10);
    /// let connection = Database::open_in_memory(options)?.connect()?;
    /// let error = connection.execute("SELECT n FROM generate_series(1, 200000) AS t(n) ORDER BY -n").unwrap_err();
    /// assert_eq!(error.sqlstate(), "53400");
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub const fn max_temp_directory_size(mut self, bytes: u64) -> Options {
        self.max_temp_bytes = bytes;
        self
    }

    /// What plans may take that are kept for statements that come again, in bytes, of which a 32nd part of the memory limit counts at most;
    /// the setting `plan_cache_size`. 1 MiB without this; 0 for none.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let database = Database::open_in_memory(Options::new().plan_cache_size(0))?;
    /// let connection = database.connect()?;
    /// for _ in 0..3 {
    ///     connection.execute("SELECT 1")?;
    /// }
    /// assert_eq!(database.plan_cache_counts().plans_count, 0);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub const fn plan_cache_size(mut self, bytes: u64) -> Options {
        self.plan_cache_bytes = bytes;
        self
    }

    /// Where the directory of a database is, in place of the system's files. Files that statements name are the system's
    /// all the same.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use cofferdam::{Database, Options};
    /// use cofferdam_vfs::{MemoryVfs, Vfs};
    ///
    /// let process = Database::open_in_memory(Options::new())?;
    /// let vfs: Arc<dyn Vfs> = Arc::new(MemoryVfs::new(process.budget()));
    /// let open = || Database::open("/", Options::new().vfs(&vfs).without_worker());
    /// open()?.connect()?.execute("CREATE TABLE t (n integer)")?;
    /// assert_eq!(open()?.connect()?.execute("TABLE t")?, 0);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn vfs(mut self, vfs: &Arc<dyn Vfs>) -> Options {
        self.vfs = Some(Arc::clone(vfs));
        self
    }

    /// Has a worker that databases share flush and compact, in place of one of the database's own. It ends with the last database
    /// and the last handle to it. What it is doing for a database when that closes it gives up soon; until then the directory is
    /// not free.
    ///
    /// ```
    /// use cofferdam::{Database, Options, Worker};
    ///
    /// let process = Database::open_in_memory(Options::new())?;
    /// let worker = std::sync::Arc::new(Worker::start(process.budget()).expect("room for a thread"));
    /// let database = Database::open_in_memory(Options::new().worker(&worker))?;
    /// database.connect()?.execute_batch("CREATE TABLE t (n integer); INSERT INTO t VALUES (1)")?;
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn worker(mut self, worker: &Arc<Worker>) -> Options {
        self.worker = WorkerChoice::Shared(Arc::clone(worker));
        self
    }

    /// No thread in the background: flushes and compactions are done by those who write, when they must be.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let path = std::env::temp_dir().join(format!("cofferdam-alone-{}", std::process::id()));
    /// let database = Database::open(&path, Options::new().without_worker())?;
    /// database.connect()?.execute("CREATE TABLE t (n integer)")?;
    /// # drop(database);
    /// # std::fs::remove_dir_all(&path).expect("it was made above");
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn without_worker(mut self) -> Options {
        self.worker = WorkerChoice::Nobody;
        self
    }
}

/// Bytes as people write them: `16MiB`, `1.5 GB`, `65536`. Units are those of DuckDB: KB, MB, GB, TB are powers of 1,000,
/// KiB, MiB, GiB, TiB of 1,024, in any case; a fraction of a byte is dropped. Programs take it for their arguments.
///
/// # Errors
/// It is something else.
///
/// ```
/// use cofferdam::{NotBytes, parse_bytes};
///
/// assert_eq!((parse_bytes("1.5 MiB"), parse_bytes("64kb"), parse_bytes("7")), (Ok(3 << 19), Ok(64_000), Ok(7)));
/// assert_eq!(parse_bytes("much"), Err(NotBytes));
/// ```
pub fn parse_bytes(text: &str) -> Result<u64, NotBytes> {
    bytes_of(text).ok_or(NotBytes)
}

/// A text that [`parse_bytes`] does not read as a number of bytes; says what to write.
///
/// ```
/// assert_eq!(cofferdam::NotBytes.to_string(), "write a number and a unit, such as 16MiB");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotBytes;

impl fmt::Display for NotBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("write a number and a unit, such as 16MiB")
    }
}

impl std::error::Error for NotBytes {}

fn bytes_of(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') || (fraction.is_empty() && number.contains('.')) {
        return None;
    }
    let scale = unit_bytes(unit.trim())?;
    let whole = u128::from(whole.parse::<u64>().ok()?) * scale;
    // Nine digits tell a terabyte's bytes apart; more are read and do not count.
    let fraction = fraction.get(..fraction.len().min(9))?;
    let part = match fraction {
        "" => 0,
        digits => u128::from(digits.parse::<u64>().ok()?) * scale / 10u128.pow(digits.len() as u32),
    };
    u64::try_from(whole + part).ok()
}

fn unit_bytes(unit: &str) -> Option<u128> {
    const UNITS: [(&str, u128); 10] = [
        ("", 1),
        ("b", 1),
        ("kb", 1000),
        ("mb", 1000 * 1000),
        ("gb", 1000 * 1000 * 1000),
        ("tb", 1000 * 1000 * 1000 * 1000),
        ("kib", 1 << 10),
        ("mib", 1 << 20),
        ("gib", 1 << 30),
        ("tib", 1 << 40),
    ];
    UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|&(_, bytes)| bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("65536", 65_536),
            ("64KiB", 64 << 10),
            ("16mib", 16 << 20),
            (" 1.5 GiB ", 3 << 29),
            ("2.25kb", 2250),
            ("1TB", 1_000_000_000_000),
            ("7b", 7),
            ("0.0000000019 GB", 1),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in
            ["", "MiB", "-1", "1e3", "1.2.3", "1.", ".5", "16 MiBs", "99999999999 TiB", "१", "1 MiB 2"]
        {
            assert_eq!(parse_bytes(text), Err(NotBytes), "{text}");
        }
    }
}
