//! A database: one memory limit, and the connections that share it.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cofferdam_arena::{Budget, BudgetOptions, MemoryTree};
#[cfg(unix)]
use cofferdam_arena::{Reservoir, ReservoirOptions};
use cofferdam_exec::{SpillCounts, SpillSpace, TemporaryFile};
use cofferdam_store::{MINIMUM_BYTES, Store, Worker};
use cofferdam_vfs::Vfs;

use crate::connection::Connection;
use crate::definitions::Definitions;
use crate::error::Error;
use crate::options::{Options, TempDirectory, WorkerChoice};
use crate::plan_cache::{PlanCache, PlanCacheCounts};
use crate::stored::{StoreSlot, sizes};

/// A database. Clones are handles to the same one; it closes with its last handle.
///
/// ```
/// use cofferdam::{Database, Options};
///
/// let database = Database::open_in_memory(Options::new())?;
/// let same = database.clone();
/// database.connect()?.execute("CREATE TABLE t (n integer)")?;
/// assert_eq!(same.connect()?.execute("INSERT INTO t VALUES (1)")?, 1);
/// # Ok::<(), cofferdam::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Database {
    /// What `memory_limit` limits: the root of a tree, or a node below the parent that the options name.
    budget: Budget,
    /// What connections and statements hang below.
    db: Budget,
    untracked: Option<Budget>,
    /// Flushes and compacts. Before the store: one of its own has ended when that closes.
    worker: Option<Arc<Worker>>,
    /// Its tables.
    store: StoreSlot,
    /// Its temporary files; `None` on a system without files.
    spill: Option<SpillSpace>,
    /// Where they are unless somebody says otherwise.
    temp_directory: Option<Arc<PathBuf>>,
    options: Options,
    threads: Arc<AtomicUsize>,
    definitions: Arc<Definitions>,
    plans: PlanCache,
}

/// The directory for temporary files in that of a database.
const TEMP_NAME: &str = "tmp";

/// The options of a database's budget: statements come and go below it, and take what those before them gave back.
fn of_database(limit_bytes: u64) -> BudgetOptions {
    BudgetOptions::limit(limit_bytes).keeps_chunks_of_children()
}

impl Database {
    /// The database in the directory `path`, which is made where there is none. What was committed is there.
    ///
    /// A thread flushes and compacts in the background ([`Options::worker`]), where what is left of the limit is at least 4 MiB: it
    /// is charged its stack of 256 KiB. With less, those who write do it.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let path = std::env::temp_dir().join(format!("cofferdam-doc-{}", std::process::id()));
    /// let options = Options::new().memory_limit(8 << 20);
    /// Database::open(&path, options.clone())?.connect()?.execute_batch("CREATE TABLE t (n integer); INSERT INTO t VALUES (7)")?;
    /// let connection = Database::open(&path, options)?.connect()?;
    /// assert_eq!(connection.query_row("SELECT n FROM t", |row| row.get::<i32>(0))?, 7);
    /// # drop(connection);
    /// # std::fs::remove_dir_all(&path).expect("it was made above");
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// One process has a database open at a time. When it closes with its last handle, nothing is left to be written: what a
    /// commit has acknowledged is on disk.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] for a limit below 256 KiB and what the tree of budgets needs; [`Error::Retry`] while somebody
    /// else has the database open; [`Error::Input`] for a directory that is none and cannot be made, or is something else;
    /// [`Error::System`]; [`Error::Restore`].
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Database, Error> {
        let vfs = match &options.vfs {
            Some(vfs) => Arc::clone(vfs),
            None => system_vfs()?,
        };
        let mut database = Database::new(options, Some(&vfs), path.as_ref().join(TEMP_NAME))?;
        let db = &database.db;
        if db.limit_on_path() < MINIMUM_BYTES {
            // Refused, which leaves the record of who has the limit.
            return match db.charge(MINIMUM_BYTES) {
                Err(_) => Err(Error::refused(db)),
                Ok(()) => unreachable!("the limit is smaller"),
            };
        }
        let worker = worker(&database.options.worker, db);
        let store = Store::open(&vfs, path.as_ref(), db, &sizes(db));
        let store = store.map_err(|error| Error::from_open(error, path.as_ref(), db))?;
        // Where there is no room to note it, it is as if there were none.
        database.worker = worker.filter(|worker| store.attach(worker).is_ok());
        database.store = StoreSlot::of(store);
        if let Some(space) = &database.spill {
            // What cannot be removed now is when somebody has files there.
            space.sweep();
        }
        Ok(database)
    }

    /// A database that is gone when its last handle is. Its tables are in memory, under its limit: what does not fit is
    /// [`Error::OutOfMemory`]. Those who write flush and compact, unless the options name a worker that databases share.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let database = Database::open_in_memory(Options::new())?;
    /// let connection = database.connect()?;
    /// connection.execute("CREATE TABLE t (n integer)")?;
    /// assert_eq!(connection.execute("INSERT INTO t SELECT * FROM generate_series(1, 100)")?, 100);
    /// assert!(Database::open_in_memory(Options::new().memory_limit(1)).unwrap_err().out_of_memory().is_some());
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] when the limit is below the few KiB that the tree of budgets itself needs.
    pub fn open_in_memory(options: Options) -> Result<Database, Error> {
        let vfs = match &options.vfs {
            Some(vfs) => Some(Arc::clone(vfs)),
            None => system_vfs().ok(),
        };
        let mut database = Database::new(options, vfs.as_ref(), system_temp_directory())?;
        if let WorkerChoice::Shared(worker) = &database.options.worker {
            database.worker = Some(Arc::clone(worker));
        }
        Ok(database)
    }

    /// A database without a store, with temporary files in `temp` unless the options name another place.
    fn new(options: Options, vfs: Option<&Arc<dyn Vfs>>, temp: PathBuf) -> Result<Database, Error> {
        let (budget, db) = match &options.parent {
            None => {
                let root = root(options.memory_limit_bytes)?;
                let db = root.child_with("db", of_database(u64::MAX)).map_err(|_| Error::refused(&root))?;
                (root, db)
            }
            Some(parent) => {
                let budget = parent
                    .child_with("db", of_database(options.memory_limit_bytes))
                    .map_err(|_| Error::refused(parent))?;
                (budget.clone(), budget)
            }
        };
        let untracked = match options.untracked_bytes {
            0 => None,
            bytes => {
                let guaranteed = BudgetOptions::limit(bytes).minimum(bytes);
                Some(budget.child_with("untracked", guaranteed).map_err(|_| Error::refused(&budget))?)
            }
        };
        let threads = Arc::new(AtomicUsize::new(options.threads.get()));
        let temp_directory = match &options.temp_directory {
            TempDirectory::Default => Some(temp),
            TempDirectory::Nowhere => None,
            TempDirectory::At(path) => Some(path.clone()),
        };
        let spill =
            vfs.map(|vfs| SpillSpace::new(vfs, temp_directory.as_deref(), options.max_temp_bytes, &db));
        let temp_directory = temp_directory.map(Arc::new);
        let (worker, store) = (None, StoreSlot::default());
        let definitions = Arc::new(Definitions::default());
        let plans = PlanCache::new(&db, &definitions, options.plan_cache_bytes);
        Ok(Database {
            budget,
            db,
            untracked,
            worker,
            store,
            spill,
            temp_directory,
            options,
            threads,
            definitions,
            plans,
        })
    }

    /// A new connection. There may be any number of them, in as many threads: each has its own transaction, and all have the limit together.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let database = Database::open_in_memory(Options::new())?;
    /// database.connect()?.execute("CREATE TABLE t (n integer)")?;
    /// std::thread::scope(|scope| {
    ///     let threads = [1, 2, 3].map(|n| {
    ///         let database = &database;
    ///         scope.spawn(move || database.connect()?.execute_with("INSERT INTO t VALUES ($1)", [n]))
    ///     });
    ///     threads.into_iter().try_for_each(|thread| thread.join().expect("no panic").map(|_| ()))
    /// })?;
    /// let sum: i64 = database.connect()?.query_row("SELECT sum(n) FROM t", |row| row.get(0))?;
    /// assert_eq!(sum, 6);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] when the database has no room for one.
    pub fn connect(&self) -> Result<Connection, Error> {
        Connection::new(self.clone())
    }

    /// The budget whose limit is the setting `memory_limit`: the root `process` of a tree of the database's own, or the
    /// node `db` below the parent in the options. [`Budget::memory_tree`] shows who holds what below it.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let database = Database::open_in_memory(Options::new())?;
    /// let service = Database::open_in_memory(Options::new().memory_limit(1 << 20).parent(database.budget()))?;
    /// assert_eq!((database.budget().limit(), service.budget().limit()), (256 << 20, 1 << 20));
    /// assert!(database.budget().used() >= service.budget().used());
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Who holds what of the memory, as a tree that prints as a table. It shows how things are when it is printed;
    /// [`Budget::walk`] of [`Database::budget`] gives the same node by node.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let database = Database::open_in_memory(Options::new().memory_limit(4 << 20))?;
    /// let connection = database.connect()?;
    /// connection.query("SELECT 1", |rows| {
    ///     rows.next_row()?;
    ///     let tree = database.memory().to_string();
    ///     assert!(tree.contains("4.0 MiB") && tree.contains("statement"));
    ///     Ok(())
    /// })?;
    /// let held = |name: &str| database.budget().walk().find(|node| node.name.as_str() == name).map(|node| node.used_bytes);
    /// assert!(held("process").unwrap() > 0);
    /// assert_eq!(held("statement"), None);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn memory(&self) -> MemoryTree {
        self.budget.memory_tree()
    }

    /// The budget `untracked` that [`Options::untracked`] guarantees something to. What the program takes from elsewhere is charged
    /// there by the program itself.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let database = Database::open_in_memory(Options::new().untracked(64 << 10))?;
    /// let mine = database.untracked().expect("asked for above");
    /// mine.charge(1000).expect("guaranteed");
    /// assert!(mine.used() >= 1000);
    /// mine.release(1000);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn untracked(&self) -> Option<&Budget> {
        self.untracked.as_ref()
    }

    /// The node that connections and statements hang below.
    pub(crate) fn db(&self) -> &Budget {
        &self.db
    }

    /// The files that the options name, `None` for those of the system.
    pub(crate) fn vfs(&self) -> Option<&Arc<dyn Vfs>> {
        self.options.vfs.as_ref()
    }

    /// Its tables.
    pub(crate) fn store(&self) -> &StoreSlot {
        &self.store
    }

    /// Its tables, for somebody who changes them.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] in a database in memory that has none yet.
    pub(crate) fn store_to_change(&self) -> Result<&Store, Error> {
        self.store.open(&self.db, self.worker.as_ref())
    }

    /// What its temporary files have and had.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let database = Database::open_in_memory(Options::new().memory_limit(2 << 20))?;
    /// let connection = database.connect()?;
    /// connection.execute("SELECT n FROM generate_series(1, 200000) AS t(n) ORDER BY -n")?;
    /// let counts = database.temporary_counts();
    /// assert!(counts.bytes_total > 0 && counts.bytes_now == 0, "{counts:?}");
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn temporary_counts(&self) -> SpillCounts {
        self.spill.as_ref().map_or(SpillCounts::default(), SpillSpace::counts)
    }

    /// Gives every temporary file that is there to `visit`; no statement makes or writes one meanwhile.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let database = Database::open_in_memory(Options::new().memory_limit(2 << 20))?;
    /// let connection = database.connect()?;
    /// let sql = "SELECT n FROM generate_series(1, 200000) AS t(n) ORDER BY -n";
    /// connection.query(sql, |rows| {
    ///     rows.next_row()?;
    ///     let mut bytes = 0;
    ///     database.for_each_temporary_file(|file| bytes += file.bytes);
    ///     assert!(bytes > 0);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn for_each_temporary_file(&self, visit: impl FnMut(TemporaryFile<'_>)) {
        if let Some(space) = &self.spill {
            space.for_each_file(visit);
        }
    }

    /// Its temporary files; `None` on a system without files.
    pub(crate) fn spill_space(&self) -> Option<&SpillSpace> {
        self.spill.as_ref()
    }

    /// Where they are unless `SET` says otherwise.
    pub(crate) fn temp_directory_default(&self) -> Option<&Path> {
        self.temp_directory.as_deref().map(PathBuf::as_path)
    }

    /// How many threads a statement may use at most.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let database = Database::open_in_memory(Options::new())?;
    /// assert_eq!(database.threads().get(), 1);
    /// database.connect()?.execute("SET threads = 4")?;
    /// assert_eq!(database.threads().get(), 4);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn threads(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.threads.load(Ordering::Relaxed)).unwrap_or(NonZeroUsize::MIN)
    }

    /// What its plan cache has and did.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let database = Database::open_in_memory(Options::new().plan_cache_size(256 << 10))?;
    /// let connection = database.connect()?;
    /// for _ in 0..5 {
    ///     connection.execute("SELECT 1")?;
    /// }
    /// // The first time its text was noted, the second time its plan was kept.
    /// let counts = database.plan_cache_counts();
    /// assert_eq!((counts.plans_count, counts.misses_count, counts.hits_count), (1, 2, 3));
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn plan_cache_counts(&self) -> PlanCacheCounts {
        self.plans.counts()
    }

    /// The plans that it keeps.
    pub(crate) fn plans(&self) -> &PlanCache {
        &self.plans
    }

    /// The definitions of its tables.
    pub(crate) fn definitions(&self) -> &Arc<Definitions> {
        &self.definitions
    }

    /// What the database was opened with.
    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// Sets the limit, and what follows it.
    pub(crate) fn set_memory_limit(&self, bytes: u64) {
        self.budget.set_limit(bytes);
        self.store.fit(&self.db);
        self.plans.fit();
    }

    pub(crate) fn set_threads(&self, threads: NonZeroUsize) {
        self.threads.store(threads.get(), Ordering::Relaxed);
    }
}

/// What a worker's stack may be of what is left of the limit: a share of so many.
const WORKER_SHARE: u64 = 16;

/// Who is to flush and compact: a thread of the database's own only where that takes little of what is left.
fn worker(choice: &WorkerChoice, db: &Budget) -> Option<Arc<Worker>> {
    match choice {
        WorkerChoice::Nobody => None,
        WorkerChoice::Shared(worker) => Some(Arc::clone(worker)),
        WorkerChoice::Own if db.available() < WORKER_SHARE * Worker::STACK_BYTES as u64 => None,
        // Where the system has no thread, writers do without.
        WorkerChoice::Own => Worker::start(db).ok().map(Arc::new),
    }
}

/// Where the system has files that nobody keeps, and that may be large: `/tmp` is memory in many places.
fn system_temp_directory() -> PathBuf {
    let var_tmp = Path::new("/var/tmp");
    if std::env::var_os("TMPDIR").is_none() && var_tmp.is_dir() {
        var_tmp.to_path_buf()
    } else {
        std::env::temp_dir()
    }
}

/// The files of the system.
#[cfg(unix)]
pub(crate) fn system_vfs() -> Result<Arc<dyn Vfs>, Error> {
    Ok(Arc::new(cofferdam_vfs::OsVfs))
}

/// There is none for this system yet.
#[cfg(not(unix))]
pub(crate) fn system_vfs() -> Result<Arc<dyn Vfs>, Error> {
    Err(Error::input("0A000", None, "directories of databases are not supported on this system yet"))
}

/// A tree of budgets on a reservoir; on the global allocator where the system reserves no addresses.
fn root(limit_bytes: u64) -> Result<Budget, Error> {
    #[cfg(unix)]
    if let Ok(reservoir) = Reservoir::new(ReservoirOptions::new(limit_bytes)) {
        return Ok(Budget::root_on_reservoir("process", limit_bytes, reservoir)?);
    }
    Ok(Budget::root("process", limit_bytes)?)
}
