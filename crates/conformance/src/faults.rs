//! Statements in trouble: too little memory, a charge that is refused, a disk that fails, a cancel at any moment.
//!
//! A statement is tried again and again on one database, each time with other trouble. After each attempt
//!
//! 1. it has failed with the error that such trouble has, or given the answer that it gives undisturbed;
//! 2. its budget holds nothing, and has no child;
//! 3. there is no temporary file;
//! 4. a small query gives its answer.
//!
//! What they have found wrong ends a trial with [`Finding`]. [`World::is_settled`] says of the whole tree of budgets whether it is what
//! it was when the database was opened. The program `faults` runs them over the queries of TPC-H.
//!
//! | trial | trouble | error |
//! |---|---|---|
//! | [`World::limits`] | each limit of the statement at which something new can happen, from 0 up | 53200 |
//! | [`World::charges`] | the n-th charge of the statement is refused | 53200 |
//! | [`World::writes`] | the n-th operation on temporary files fails | 53100, 58030, XX001 |
//! | [`World::cancels`] | another thread cancels it after some time | 57014 |

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cofferdam::{Budget, Connection, Database, Error, Options, Rows};
use cofferdam_arena::BudgetAlloc;
use cofferdam_testkit::Failure;
use cofferdam_testkit::counting::{Counts, Everywhere};
use cofferdam_testkit::inject::{self, FindingKind, Injected, Injection, charges_left};
use cofferdam_testkit::simfs::{Fault, Op, Rule, SimDisk};
use cofferdam_testkit::sweep::{self, Sweep};
use cofferdam_vfs::{OsVfs, Vfs};
use tempfile::TempDir;

use crate::tpch::load;

/// The names of temporary files.
const TEMPORARY: &str = "cofferdam-*-*-*";

/// The small query that follows each attempt: its answer is that of the first time.
const WITNESS: &str = "SELECT n_regionkey, count(*), min(n_name) FROM nation GROUP BY n_regionkey";

/// What is wrong, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding(pub String);

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Finding {}

/// An answer: how many rows, and a sum over them that does not depend on their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How many rows there are.
    pub rows_count: u64,
    digest: u64,
}

/// A database that statements are tried on.
#[derive(Debug)]
pub struct World {
    // Connections are dropped before their database, and it before its disk.
    connection: Connection,
    database: Database,
    disk: Option<SimDisk>,
    _folder: TempDir,
    witness: Answer,
    settled: BTreeMap<String, u64>,
}

/// What one attempt took.
#[derive(Debug)]
struct Attempt {
    outcome: Result<Answer, Error>,
    peak_bytes: u64,
    charges_left: u64,
}

/// What [`World::limits`] saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The least limit with which the statement succeeds.
    pub least_bytes: u64,
    /// What it takes where it may take all.
    pub ample_bytes: u64,
    /// How many limits were refused, and at how many places.
    pub refused_count: usize,
    /// Places that have refused: budgets and stages.
    pub places_count: usize,
    /// Refusals that named a limit that is enough.
    pub named_count: usize,
    /// The least limit that a refusal has named.
    pub named_bytes: Option<u64>,
    /// Limits between the two that were tried.
    pub between_count: usize,
    /// Those of them that were refused: none from the named one on.
    pub between_refused_count: usize,
    /// Those of them that succeeded with temporary files.
    pub spilled_count: usize,
}

/// What [`World::writes`] saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writes {
    /// Attempts in which an operation failed.
    pub struck_count: usize,
    /// Errors by their SQLSTATE.
    pub errors: BTreeMap<&'static str, usize>,
    /// Attempts that gave the answer all the same.
    pub survived_count: usize,
}

/// One cancel.
#[derive(Clone, Copy, Debug)]
pub struct Cancel {
    /// From the cancel until the statement and all that it had was gone.
    pub latency: Duration,
    /// The same without the time in which the thread was ready to run and had no processor.
    pub without_queue: Duration,
    /// There were temporary files at that moment.
    pub in_spill: bool,
}

/// What [`World::cancels`] saw.
#[derive(Clone, Debug, Default)]
pub struct Cancels {
    /// Those that came in time.
    pub cancelled: Vec<Cancel>,
    /// How many came when the statement was through.
    pub late_count: usize,
    /// How long the statement takes undisturbed.
    pub undisturbed: Duration,
}

impl World {
    /// The tables of TPC-H at `scale` on a disk in memory, in a database of `memory_bytes`.
    ///
    /// # Errors
    /// What the system says of the files that the tables are loaded from, and what the database says.
    pub fn tpch(scale: f64, memory_bytes: u64) -> io::Result<World> {
        let folder = TempDir::with_prefix("cofferdam-faults-")?;
        let disk = SimDisk::new(1);
        let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
        World::open(Path::new("/db"), Some((disk, vfs)), memory_bytes, scale, folder)
    }

    /// The same in a folder of the system, where the tables stay; those that are there are not made again.
    ///
    /// # Errors
    /// As [`World::tpch`].
    pub fn tpch_in(folder: &Path, scale: f64, memory_bytes: u64) -> io::Result<World> {
        std::fs::create_dir_all(folder)?;
        let temporary = TempDir::with_prefix_in("cofferdam-faults-", folder)?;
        World::open(&folder.join(format!("sf{scale}")), None, memory_bytes, scale, temporary)
    }

    fn open(
        path: &Path,
        disk: Option<(SimDisk, Arc<dyn Vfs>)>,
        memory_bytes: u64,
        scale: f64,
        folder: TempDir,
    ) -> io::Result<World> {
        let said = |error: Error| io::Error::other(format!("{}: {error}", error.sqlstate()));
        let open = |bytes: u64| {
            let options = Options::new().memory_limit(bytes).without_worker();
            let options = match &disk {
                Some((_, vfs)) => options.vfs(vfs),
                None => options,
            };
            Database::open(path, options)
        };
        {
            let connection = open(memory_bytes.max(64 << 20)).and_then(|db| db.connect()).map_err(said)?;
            if connection.execute("SELECT 1 FROM region LIMIT 1").unwrap_or(0) == 0 {
                load(&connection, scale, folder.path(), &mut |_, _| ())?;
            }
        }
        let database = open(memory_bytes).map_err(said)?;
        let connection = database.connect().map_err(said)?;
        let disk = disk.map(|(disk, _)| disk);
        let witness = connection.query(WITNESS, answer).map_err(said)?;
        let mut world =
            World { connection, database, disk, _folder: folder, witness, settled: BTreeMap::new() };
        world.settled = world.held_after_reclaim();
        Ok(world)
    }

    /// The connection that the statements run on.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether every budget, the root too, holds what it held when the database was opened, after all that can be given up has been.
    ///
    /// # Errors
    /// Those that do not.
    pub fn is_settled(&self) -> Result<(), Finding> {
        let now = self.held_after_reclaim();
        let mut differences = String::new();
        let names: BTreeSet<&String> = self.settled.keys().chain(now.keys()).collect();
        for name in names {
            let bytes = |held: &BTreeMap<String, u64>| held.get(name).copied().unwrap_or(0);
            let (before, after) = (bytes(&self.settled), bytes(&now));
            if before != after {
                differences += &format!("; `{name}` held {before} bytes at first and {after} now");
            }
        }
        match differences.strip_prefix("; ") {
            Some(differences) => Err(Finding(differences.to_owned())),
            None => Ok(()),
        }
    }

    /// What each budget holds after a charge that nobody can grant has had everybody give up what they can.
    fn held_after_reclaim(&self) -> BTreeMap<String, u64> {
        let budget = self.database.budget();
        let refused = budget.charge_waiting(budget.limit());
        debug_assert!(refused.is_err(), "the store holds something");
        let mut path: Vec<String> = Vec::new();
        let mut held = BTreeMap::new();
        for node in budget.walk() {
            path.truncate(node.depth as usize);
            path.push(node.name.as_str().to_owned());
            *held.entry(path.join("/")).or_default() += node.used_bytes;
        }
        held
    }

    /// The answer that the statement gives undisturbed.
    ///
    /// # Errors
    /// It gives none.
    pub fn undisturbed(&self, sql: &str) -> Result<Answer, Finding> {
        let attempt = self.attempt(sql, 0, |_| ())?;
        attempt.outcome.map_err(|error| Finding(format!("undisturbed: {}: {error}", error.sqlstate())))
    }

    /// One attempt, with whatever `arrange` does to its budget, and what must hold after it.
    fn attempt(&self, sql: &str, nth: u64, arrange: impl FnOnce(&Budget)) -> Result<Attempt, Finding> {
        let (outcome, budget, charges_left) = {
            let said = |error: Error| Finding(format!("no statement: {}: {error}", error.sqlstate()));
            let mut statement = self.connection.statement(sql).map_err(said)?;
            let budget = statement.budget().clone();
            arrange(&budget);
            let outcome = statement.prepare().and_then(|query| answer(&mut query.rows()?));
            let left = charges_left(&budget, nth);
            budget.inject_refusal(0);
            (outcome, budget, left)
        };
        self.is_clean(&budget)?;
        Ok(Attempt { outcome, peak_bytes: budget.peak(), charges_left })
    }

    /// What must hold after each attempt.
    fn is_clean(&self, statement: &Budget) -> Result<(), Finding> {
        let nodes_count = statement.walk().count();
        if statement.used() != 0 || nodes_count != 1 {
            let what = format!("the statement holds {} bytes and has {nodes_count} nodes", statement.used());
            return Err(Finding(what));
        }
        let counts = self.database.temporary_counts();
        if counts.files_now != 0 || counts.bytes_now != 0 {
            return Err(Finding(format!("temporary files are left: {counts:?}")));
        }
        match self.connection.query(WITNESS, answer) {
            Ok(witness) if witness == self.witness => Ok(()),
            other => Err(Finding(format!("the next query gives {other:?}"))),
        }
    }

    /// Every limit of the statement at which something new can happen, then `between` limits up to what it takes at most, of which none
    /// may be refused from the one on that a refusal has called enough.
    ///
    /// # Errors
    /// The first finding.
    pub fn limits(&self, sql: &str, between: usize) -> Result<Limits, Finding> {
        let undisturbed = self.attempt(sql, 0, |_| ())?;
        let ample_bytes = undisturbed.peak_bytes;
        let expected = undisturbed.outcome.map_err(|error| Finding(format!("undisturbed: {error}")))?;
        let (mut named_count, mut named_bytes) = (0, None::<u64>);
        let swept = Sweep::new().run(|limit_bytes| {
            let attempt = self.attempt(sql, 0, |budget| budget.set_limit(limit_bytes));
            let outcome = attempt.map_err(|finding| Failure::Other(finding.0))?.outcome;
            let outcome = expect(outcome, expected);
            if let Err(Failure::OutOfMemory(record)) = &outcome
                && let Some(named) = record.sufficient_bytes()
            {
                named_count += 1;
                named_bytes = Some(named_bytes.map_or(named, |least| least.min(named)));
            }
            outcome
        });
        let swept = swept.map_err(|finding: sweep::Finding| Finding(finding.to_string()))?;
        let least_bytes = swept.limit_bytes;
        let mut limits = Limits {
            least_bytes,
            ample_bytes,
            refused_count: swept.refusals_count,
            places_count: swept.places.len(),
            named_count,
            named_bytes,
            between_count: 0,
            between_refused_count: 0,
            spilled_count: 0,
        };
        for step in 1..=between {
            let share = step as f64 / (between + 1) as f64;
            let limit_bytes = least_bytes as f64 * (ample_bytes as f64 / least_bytes as f64).powf(share);
            let limit_bytes = limit_bytes as u64;
            let files_before = self.database.temporary_counts().files_total;
            let attempt = self.attempt(sql, 0, |budget| budget.set_limit(limit_bytes))?;
            limits.between_count += 1;
            match expect(attempt.outcome, expected) {
                Ok(_) => {}
                // Where more is taken at once, the rest has less.
                Err(Failure::OutOfMemory(_)) if named_bytes.is_none_or(|named| limit_bytes < named) => {
                    limits.between_refused_count += 1;
                    continue;
                }
                Err(failure) => {
                    return Err(Finding(format!(
                        "with {limit_bytes} bytes, although {named_bytes:?} were called enough: {failure}"
                    )));
                }
            }
            limits.spilled_count += usize::from(self.database.temporary_counts().files_total > files_before);
        }
        Ok(limits)
    }

    /// A limit below which the statement has little more than it needs: the least, an eighth more, and as much again until it succeeds.
    ///
    /// # Errors
    /// As [`World::limits`].
    pub fn tight_bytes(&self, sql: &str) -> Result<u64, Finding> {
        let mut bytes = self.limits(sql, 0)?.least_bytes;
        loop {
            bytes += bytes / 8;
            match self.attempt(sql, 0, |budget| budget.set_limit(bytes))?.outcome {
                Ok(_) => return Ok(bytes),
                Err(Error::OutOfMemory(_)) => {}
                Err(error) => return Err(Finding(format!("{}: {error}", error.sqlstate()))),
            }
        }
    }

    /// The n-th charge of the statement under `limit_bytes` is refused, for the n that `injection` has.
    ///
    /// # Errors
    /// The first finding.
    pub fn charges(&self, sql: &str, limit_bytes: u64, injection: &Injection) -> Result<Injected, Finding> {
        let expected = self.undisturbed(sql)?;
        let injected = injection.run_armed(|nth| {
            let arrange = |budget: &Budget| {
                budget.set_limit(limit_bytes);
                budget.inject_refusal(nth);
            };
            let attempt =
                self.attempt(sql, nth, arrange).map_err(|finding| FindingKind::Untyped(finding.0))?;
            Ok((expect(attempt.outcome, expected), attempt.charges_left))
        });
        injected.map_err(|finding: inject::Finding| Finding(finding.to_string()))
    }

    /// The n-th operation on temporary files goes wrong, for n up to 4 and then each about a quarter larger, until the statement under
    /// `limit_bytes` makes fewer.
    ///
    /// # Errors
    /// The first finding.
    ///
    /// # Panics
    /// The tables are not on a disk in memory.
    pub fn writes(&self, sql: &str, limit_bytes: u64) -> Result<Writes, Finding> {
        let disk = self.disk.as_ref().expect("only a disk in memory has faults");
        let expected = self.undisturbed(sql)?;
        let mut writes = Writes::default();
        for (op, fault, state) in [
            (Op::Write, Fault::Error(28), "53100"),
            (Op::Write, Fault::Error(5), "58030"),
            (Op::Create, Fault::Error(28), "53100"),
            (Op::Create, Fault::Error(5), "58030"),
            (Op::Read, Fault::Error(5), "58030"),
            (Op::Write, Fault::FlipStored, "XX001"),
            (Op::Read, Fault::FlipOnce, "XX001"),
            (Op::Write, Fault::Short, ""),
            (Op::Read, Fault::Short, ""),
        ] {
            let mut nth = 1;
            loop {
                disk.inject(Rule::new([op], fault).file(TEMPORARY).nth(nth));
                let faults_before = disk.counts().faults;
                let outcome = self.attempt_with_rules(sql, limit_bytes, disk)?;
                if disk.counts().faults == faults_before {
                    break;
                }
                writes.struck_count += 1;
                match outcome {
                    Ok(answer) if answer == expected => writes.survived_count += 1,
                    Err(error) if error.sqlstate() == state => {
                        *writes.errors.entry(error.sqlstate()).or_default() += 1;
                    }
                    other => return Err(Finding(format!("{op:?} {nth}, {fault:?}: {other:?}"))),
                }
                nth += 1 + nth / 4;
            }
        }
        Ok(writes)
    }

    /// The rules of the disk are for the statement, not for what looks at it afterwards.
    fn attempt_with_rules(
        &self,
        sql: &str,
        limit_bytes: u64,
        disk: &SimDisk,
    ) -> Result<Result<Answer, Error>, Finding> {
        let budget;
        let outcome = {
            let said = |error: Error| Finding(format!("no statement: {error}"));
            let mut statement = self.connection.statement(sql).map_err(said)?;
            budget = statement.budget().clone();
            budget.set_limit(limit_bytes);
            let outcome = statement.prepare();
            outcome.and_then(|query| answer(&mut query.rows()?))
        };
        disk.clear_rules();
        self.is_clean(&budget)?;
        Ok(outcome)
    }

    /// Cancels the statement under `limit_bytes` at `count` moments, which are spread over the time that it takes and drawn from `seed`.
    ///
    /// # Errors
    /// The first finding.
    pub fn cancels(&self, sql: &str, limit_bytes: u64, count: usize, seed: u64) -> Result<Cancels, Finding> {
        let began = Instant::now();
        let first = self.attempt(sql, 0, |budget| budget.set_limit(limit_bytes))?;
        let undisturbed = began.elapsed();
        let expected = first.outcome.map_err(|error| Finding(format!("{}: {error}", error.sqlstate())))?;
        let mut cancels = Cancels { undisturbed, ..Cancels::default() };
        let clock = ThreadClock::of_this_thread();
        for index in 0..count {
            let mut hasher = DefaultHasher::new();
            (seed, index).hash(&mut hasher);
            let part = (hasher.finish() >> 11) as f64 / (1u64 << 53) as f64;
            let delay = undisturbed.mul_f64((index as f64 + part) / count as f64);
            // When it began, 0 before.
            let started = AtomicU64::new(0);
            let canceller = self.connection.canceller();
            let (outcome, budget, returned, queue_after, (cancelled, queue_before, in_spill)) =
                thread::scope(|scope| {
                    let cancelling = scope.spawn(|| {
                        while started.load(Ordering::Acquire) == 0 {
                            thread::park();
                        }
                        thread::sleep(delay.max(Duration::from_micros(100)));
                        let in_spill = self.database.temporary_counts().files_now > 0;
                        let queue = clock.queue();
                        let now = Instant::now();
                        canceller.cancel();
                        (now, queue, in_spill)
                    });
                    let mut budget = None;
                    let outcome = self.connection.statement(sql).and_then(|mut statement| {
                        statement.budget().set_limit(limit_bytes);
                        budget = Some(statement.budget().clone());
                        started.store(1, Ordering::Release);
                        cancelling.thread().unpark();
                        statement.prepare().and_then(|query| answer(&mut query.rows()?))
                    });
                    let (returned, queue) = (Instant::now(), clock.queue());
                    let cancelled = cancelling.join().expect("the other thread does not panic");
                    (outcome, budget, returned, queue, cancelled)
                });
            let budget = budget.ok_or_else(|| Finding("no statement".to_owned()))?;
            self.is_clean(&budget)?;
            let latency = returned.saturating_duration_since(cancelled);
            let without_queue = latency.saturating_sub(queue_after.saturating_sub(queue_before));
            match outcome {
                Err(error) if error.sqlstate() == "57014" => {
                    cancels.cancelled.push(Cancel { latency, without_queue, in_spill });
                }
                Ok(answer) if answer == expected && returned <= cancelled => cancels.late_count += 1,
                // It was through but for the last steps, or did not notice: the time tells.
                Ok(answer) if answer == expected => {
                    cancels.cancelled.push(Cancel { latency, without_queue, in_spill });
                }
                other => return Err(Finding(format!("cancelled after {delay:?}: {other:?}"))),
            }
        }
        Ok(cancels)
    }
}

/// What a statement took from the global allocator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// What was taken.
    pub counts: Counts,
    /// Allocations that were charged to a budget before.
    pub charged_count: u64,
    /// Allocations of calls on directories, for the length of the call, which nobody is charged for.
    pub transient_count: u64,
    /// Files that the statement wrote.
    pub files_count: u64,
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (counts, charged) = (&self.counts, self.charged_count);
        write!(
            f,
            "{} allocations, {charged} of them charged, {} for a call, {} bytes at most, {} left, {} files",
            counts.allocations_count,
            self.transient_count,
            counts.bytes_peak,
            counts.bytes_left,
            self.files_count
        )
    }
}

impl World {
    /// What the statement under `limit_bytes` and its threads take from the global allocator, which has to be [`CountingAllocator`].
    /// Nothing else may go on in the program, and a disk in memory is no place for it: its files are counted too.
    ///
    /// [`CountingAllocator`]: cofferdam_testkit::counting::CountingAllocator
    ///
    /// # Errors
    /// The statement fails, or takes something that nobody was charged for.
    pub fn bytes_outside(&self, sql: &str, limit_bytes: u64) -> Result<Outside, Finding> {
        let charged_before = BudgetAlloc::taken_count();
        let transient_before = OsVfs::transient_count();
        let files_before = self.database.temporary_counts().files_total;
        let counting = Everywhere::start();
        let outcome = self.connection.statement(sql).and_then(|mut statement| {
            statement.budget().set_limit(limit_bytes);
            statement.prepare().and_then(|query| answer(&mut query.rows()?))
        });
        let counts = counting.finish();
        outcome.map_err(|error| Finding(format!("{}: {error}", error.sqlstate())))?;
        let charged_count = BudgetAlloc::taken_count() - charged_before;
        let files_count = self.database.temporary_counts().files_total - files_before;
        let transient_count = OsVfs::transient_count() - transient_before;
        let outside = Outside { counts, charged_count, transient_count, files_count };
        // Not fewer either: what was counted and not taken would hide something else.
        if outside.counts.allocations_count != charged_count + transient_count {
            return Err(Finding(format!("what is taken is not what is charged: {outside}")));
        }
        Ok(outside)
    }
}

/// The outcome as a trial of memory sees it: another answer than `expected` is a failure.
fn expect(outcome: Result<Answer, Error>, expected: Answer) -> Result<Answer, Failure> {
    match outcome {
        Ok(answer) if answer == expected => Ok(answer),
        Ok(answer) => Err(Failure::Other(format!("{answer:?} instead of {expected:?}"))),
        Err(error) => Err(match error.out_of_memory() {
            Some(record) if error.sqlstate() == "53200" => (*record).into(),
            _ => Failure::Other(format!("{}: {error}", error.sqlstate())),
        }),
    }
}

/// Reads an answer and keeps its digest.
///
/// # Errors
/// Those of the statement.
pub fn answer(rows: &mut Rows<'_>) -> Result<Answer, Error> {
    let mut answer = Answer { rows_count: 0, digest: 0 };
    while let Some(row) = rows.next_row()? {
        let mut text = Digest(DefaultHasher::new());
        for value in row.values() {
            fmt::Write::write_fmt(&mut text, format_args!("{value}\0{}", value.is_null()))
                .expect("a digest takes all");
        }
        answer.rows_count += 1;
        answer.digest = answer.digest.wrapping_add(text.0.finish());
    }
    Ok(answer)
}

/// Text that is hashed and not kept.
struct Digest(DefaultHasher);

impl fmt::Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// How long a thread was ready to run and did not, where the system tells.
#[derive(Debug)]
struct ThreadClock {
    path: Option<std::path::PathBuf>,
}

impl ThreadClock {
    fn of_this_thread() -> ThreadClock {
        let link = std::fs::read_link("/proc/thread-self");
        ThreadClock { path: link.ok().map(|thread| Path::new("/proc").join(thread).join("schedstat")) }
    }

    fn queue(&self) -> Duration {
        let text = self.path.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
        let field = text.as_deref().and_then(|text| text.split(' ').nth(1)?.parse().ok());
        Duration::from_nanos(field.unwrap_or(0))
    }
}
