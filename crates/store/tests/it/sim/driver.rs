//! Does the steps of a script with an engine and with the model, and stops at the first difference.
//!
//! ```text
//!   script ──> step ──┬──> engine ──> SimDisk          crash: the disk is gone; restart, open, read everything
//!                     └──> model                        settle: of the states that are allowed, which one is it?
//! ```
//!
//! **What must be there after a restart.** Commits are numbered in their order. The database is as after commit *k*,
//! whole, where *k* is at least
//! - the last commit that is durable (itself or by a later one, a flush, a sync or a closing), if the machine crashed;
//! - the last commit that was acknowledged at all, if only the process ended.
//!
//! A commit that failed, or was not answered, may be there behind all others, whole, until another one is acknowledged.
//! What is there after a crash of the machine is durable from then on.

use std::rc::Rc;
use std::sync::Arc;

use cofferdam_testkit::simfs::{CrashPolicy, SimDisk};
use cofferdam_vfs::Vfs;

use super::cell::{Range, Row, TableInfo};
use super::engine::{Engine, Failure, FailureKind, OpenOptions, Promises, Role, View};
use super::model::{Model, Observed};
use super::overlay::Txn;
use super::report::{Finding, Stats, Trace};
use super::rng::Rng;
use super::script::{SLOTS, Step};
use super::trouble::Faults;
use super::watch::{Context, Site, Watch};

/// How scripts are run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    /// Syncs that are left out, to see that this is found.
    pub(crate) ignored: Option<Site>,
    /// Whether what is done is kept as text.
    pub(crate) has_trace: bool,
}

/// What came of a script.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) finding: Option<Finding>,
    pub(crate) stats: Stats,
    pub(crate) trace: Trace,
    pub(crate) disk: SimDisk,
    pub(crate) watch: Watch,
}

/// An open transaction, in the engine and in the model.
pub(super) struct Open<E: Engine> {
    pub(super) engine: E::Txn,
    pub(super) model: Txn,
    pub(super) savepoints: Vec<(E::Savepoint, usize)>,
    /// It has little memory, and may run out.
    pub(super) is_small: bool,
}

/// A run.
pub(super) struct Sim<E: Engine> {
    pub(super) disk: SimDisk,
    pub(super) watch: Watch,
    pub(super) vfs: Arc<dyn Vfs>,
    pub(super) engine: Option<Rc<E>>,
    pub(super) options: OpenOptions,
    pub(super) model: Model,
    pub(super) txns: [Option<Open<E>>; SLOTS],
    pub(super) snaps: [Option<(E::Snap, u64)>; SLOTS],
    /// Commits of which it is not known whether they will be there, since the last that was acknowledged.
    pub(super) doubts: Vec<Txn>,
    /// How the next crash leaves the disk.
    crash: Option<(u32, u8)>,
    /// What was not durable may be lost since the database was open.
    pub(super) has_lost: bool,
    /// The machine has crashed since the database was open: all that is there is durable.
    has_crashed: bool,
    pub(super) faults: Faults,
    /// A commit's sync has failed: none may be acknowledged.
    pub(super) is_poisoned: bool,
    /// What the engine says of its indexes.
    pub(super) infos: Vec<TableInfo>,
    pub(super) stats: Stats,
    pub(super) trace: Trace,
    pub(super) rng: Rng,
}

/// The sizes that databases are opened with.
pub(super) const MEMORY: [OpenOptions; 4] = [
    OpenOptions { limit_bytes: 256 << 10, memtable_bytes: None },
    OpenOptions { limit_bytes: 512 << 10, memtable_bytes: Some(16 << 10) },
    OpenOptions { limit_bytes: 1 << 20, memtable_bytes: Some(48 << 10) },
    OpenOptions { limit_bytes: 8 << 20, memtable_bytes: None },
];

pub(super) type Done = Result<(), Finding>;

/// Runs a script from an empty disk. A panic of the engine is a finding.
pub(crate) fn run<E: Engine>(steps: &[Step], seed: u64, config: &Config) -> Outcome {
    let mut sim = Sim::<E>::new(seed, config);
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| sim.run(steps)));
    let finding = match done {
        Ok(done) => done.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            Some(Finding::new("panic", text))
        }
    };
    // What is left of an engine that has failed need not end well.
    let left = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| sim.abandon()));
    let finding =
        finding.or_else(|| left.err().map(|_| Finding::new("panic", "when all handles are dropped")));
    sim.stats.runs = 1;
    let (stats, trace) = (std::mem::take(&mut sim.stats), std::mem::take(&mut sim.trace));
    Outcome { finding, stats, trace, disk: sim.disk.clone(), watch: sim.watch.clone() }
}

impl<E: Engine> Sim<E> {
    const PROMISES: Promises = E::PROMISES;

    fn new(seed: u64, config: &Config) -> Sim<E> {
        Sim::on(SimDisk::new(seed), seed, config)
    }

    fn on(disk: SimDisk, seed: u64, config: &Config) -> Sim<E> {
        let watch = Watch::new(&disk, config.ignored.as_ref());
        Sim {
            vfs: Arc::new(watch.clone()),
            disk,
            watch,
            engine: None,
            options: MEMORY[(seed % 4) as usize],
            model: Model { index_names_differ: E::PROMISES.index_names_differ, ..Model::default() },
            txns: [const { None }; SLOTS],
            snaps: [const { None }; SLOTS],
            doubts: Vec::new(),
            crash: None,
            has_lost: false,
            has_crashed: false,
            faults: Faults::default(),
            is_poisoned: false,
            infos: Vec::new(),
            stats: Stats::default(),
            trace: Trace::new(config.has_trace),
            rng: Rng::new(seed ^ 0x5eed),
        }
    }

    /// A run on a copy of the disk that goes on from here, with everything committed and nothing open.
    pub(super) fn fork(&self, copy: &SimDisk, engine: E) -> Sim<E> {
        let mut fork = Sim::on(copy.clone(), 0, &Config::default());
        fork.engine = Some(Rc::new(engine));
        (fork.model, fork.options) = (self.model.clone(), MEMORY[3]);
        fork
    }

    /// Ends a fork, whatever its disk says to that.
    pub(super) fn close_fork(&mut self) {
        self.txns = [const { None }; SLOTS];
        let _ = self.abandon_closed();
    }

    fn run(&mut self, steps: &[Step]) -> Done {
        self.open()?;
        let mut at = 0;
        while at < steps.len() {
            at += 1 + self.step(steps[at], &steps[at + 1..])?;
            if self.disk.is_gone() {
                self.restart()?;
            }
        }
        self.finish()
    }

    /// Does a step; gives how many of the following ones were done with it.
    pub(super) fn step(&mut self, step: Step, following: &[Step]) -> Result<usize, Finding> {
        self.trace.note(|| step.to_string());
        self.stats.count("steps");
        match step {
            Step::Walk { slot, table, index, bounds, meanwhile } => {
                let meanwhile = &following[..following.len().min(meanwhile.into())];
                return self.walk(slot, table, index, bounds, meanwhile);
            }
            Step::Crash { after, seed, memory } => self.arm(after, seed, memory),
            Step::Kill { memory } => self.kill(memory)?,
            Step::Close { memory } => self.close(memory)?,
            Step::Fault { kind, file, nth } => self.fault(kind, file, nth),
            Step::Heal => self.heal(),
            Step::Rot { kind, seed } => self.rot(kind, seed)?,
            Step::Flush | Step::Compact { .. } | Step::Sync => self.chore(step)?,
            Step::Snapshot { .. } | Step::Release { .. } | Step::Look { .. } => self.read_step(step)?,
            _ => self.write_step(step)?,
        }
        Ok(0)
    }

    /// True for steps that end the engine.
    pub(super) fn is_ending(step: Step) -> bool {
        matches!(step, Step::Crash { .. } | Step::Kill { .. } | Step::Close { .. } | Step::Rot { .. })
    }

    // The life of the machine.

    fn arm(&mut self, after: u32, seed: u32, memory: u8) {
        self.crash = Some((seed, memory));
        self.disk.crash_at(after.into());
    }

    fn disarm(&mut self) {
        self.crash = None;
        self.disk.crash_at(u64::MAX);
    }

    /// Drops all handles.
    fn abandon(&mut self) {
        // With its last handle the engine closes, for whom that is still of use.
        self.watch.enter(Context::Close);
        self.txns = [const { None }; SLOTS];
        self.snaps = [const { None }; SLOTS];
        self.engine = None;
        self.is_poisoned = false;
        self.infos.clear();
    }

    fn kill(&mut self, memory: u8) -> Done {
        self.disk.kill();
        self.abandon();
        self.stats.count("kills");
        self.reopen(memory)
    }

    /// Ends the machine where the engine does not promise to go on without: what a failed sync has forgotten is still seen.
    fn restart_if_forgotten(&mut self) {
        let faults = self.disk.counts().faults;
        if self.faults.has_forgotten(faults) {
            self.has_lost = true;
            if !Self::PROMISES.rewrites_what_syncs_forgot {
                self.crash = Some((self.rng.next() as u32, 0));
                self.restart_disk();
            }
        }
        self.faults.begin(self.disk.counts().faults);
    }

    /// The machine has crashed: starts it again.
    fn restart(&mut self) -> Done {
        self.restart_disk();
        let (_, memory) = self.crash.take().unwrap_or_default();
        self.reopen(memory)
    }

    /// Starts the machine, with what the crash has left.
    fn restart_disk(&mut self) {
        let (seed, memory) = self.crash.unwrap_or_default();
        let policy = match seed % 8 {
            0 => CrashPolicy::keep_everything(),
            1 => CrashPolicy::lose_everything(),
            2 => CrashPolicy { torn_percent: 60, ..CrashPolicy::default() },
            _ => CrashPolicy::default(),
        };
        self.has_lost |= seed % 8 != 0;
        self.has_crashed = true;
        let crash = self.disk.crash_with(&policy, seed.into());
        self.trace.note(|| format!("  crash: {crash:?}"));
        self.abandon();
        self.stats.count("crashes");
        self.stats.add("crashes that lost something", u64::from(crash.sectors_lost + crash.names_lost > 0));
        self.stats.add("sectors torn", crash.sectors_torn);
        // Some machines crash again while the database is opened.
        self.crash = None;
        if seed % 5 == 3 && self.rng.percent(60) {
            let (after, seed) = (self.rng.between(1, 12) as u32, self.rng.next() as u32);
            self.arm(after, seed, memory);
            self.stats.count("crashes armed for opening");
        }
    }

    fn close(&mut self, memory: u8) -> Done {
        self.txns = [const { None }; SLOTS];
        self.snaps = [const { None }; SLOTS];
        let Some(engine) = self.engine.take() else { return Ok(()) };
        let engine = Rc::into_inner(engine).expect("nothing else holds it between steps");
        self.watch.enter(Context::Close);
        let outcome = engine.close();
        self.trace.note(|| format!("  close: {}", show(&outcome)));
        let is_closed = outcome.is_ok();
        match outcome {
            Ok(()) => self.model.durable = self.model.head,
            Err(failure) => self.excuse("close", &failure)?,
        }
        if self.disk.is_gone() {
            return Ok(());
        }
        self.abandon();
        if is_closed && self.faults.is_quiet() {
            self.check()?;
        }
        self.stats.count("closings");
        if !is_closed {
            self.disk.kill();
        }
        self.reopen(memory)
    }

    fn reopen(&mut self, memory: u8) -> Done {
        self.options = MEMORY[usize::from(memory) % MEMORY.len()];
        self.restart_if_forgotten();
        if self.faults.would_mislead_recovery() {
            self.heal();
        }
        if self.rng.percent(30) && self.faults.is_quiet() {
            self.check()?;
        }
        self.open()
    }

    /// Opens the database however often it takes, and finds out in which state it is.
    fn open(&mut self) -> Done {
        loop {
            self.watch.enter(Context::Open);
            let opened = E::open(&self.vfs, &self.options).map(Rc::new);
            self.trace.note(|| format!("  open with {:?}: {}", self.options, show(&opened)));
            let observed = match opened {
                Ok(engine) => {
                    self.engine = Some(Rc::clone(&engine));
                    self.watch.enter(Context::Read);
                    self.observe(&engine)
                }
                Err(failure) => Err(failure),
            };
            match observed {
                Ok((sequence, observed)) => {
                    self.stats.count("openings");
                    self.settle(sequence, &observed)?;
                    return self.look_at_names();
                }
                Err(_) if self.disk.is_gone() => {
                    self.restart_disk();
                    self.stats.count("crashes while opening");
                }
                Err(failure) => {
                    self.excuse("open", &failure)?;
                    if failure.kind == FailureKind::OutOfMemory {
                        self.stats.count("openings that needed more memory");
                        self.options = more_memory(&self.options);
                    }
                    self.heal();
                    self.disk.kill();
                    self.abandon();
                    self.restart_if_forgotten();
                }
            }
        }
    }

    /// Reads everything.
    pub(super) fn observe(&self, engine: &E) -> Result<(u64, Observed), Failure> {
        let snap = engine.snapshot()?;
        let mut all = Observed::new();
        for info in engine.tables(&snap)? {
            let mut rows: Vec<Row> = Vec::new();
            engine.scan(View::Snap(&snap), info.id, &Range::ALL, &mut |batch| {
                rows.extend_from_slice(batch);
                true
            })?;
            all.push((info, rows));
        }
        Ok((E::sequence(&snap), all))
    }

    /// Which of the allowed states this is; the model goes on from there.
    fn settle(&mut self, sequence: u64, observed: &Observed) -> Done {
        let head = self.model.head;
        let floor = if self.has_lost { self.model.durable } else { head };
        let state = (floor..=head).rev().find(|at| self.model.difference(*at, observed).is_none());
        let durable = self.model.durable;
        let is_found = match state {
            Some(at) => {
                self.stats.add("commits lost, as they may be", head - at);
                self.model.truncate(at);
                true
            }
            None => self.settle_doubts(observed, sequence),
        };
        if !is_found {
            return Err(self.wrong_state(floor, observed));
        }
        let oldest = self.model.sequences.get(floor.saturating_sub(1) as usize).copied().unwrap_or(0);
        if sequence < oldest {
            let what = format!("{sequence} after a restart, {oldest} before");
            return Err(Finding::new("sequence goes back", what));
        }
        // Where a later commit led back to the state of an earlier one, the engine may be at that.
        self.model.sequences.iter_mut().for_each(|known| *known = sequence.min(*known));
        self.model.newest_sequence = sequence;
        self.model.durable = if self.has_crashed { self.model.head } else { durable.min(self.model.head) };
        let settled = self.model.head;
        self.trace.note(|| format!("  settled at {settled} of {floor} to {head}"));
        (self.has_lost, self.has_crashed, self.is_poisoned) = (false, false, false);
        self.doubts.clear();
        self.infos = observed.iter().map(|(info, _)| info.clone()).collect();
        if self.model.versions_count() > 20_000 {
            self.model.forget_past();
        }
        Ok(())
    }

    /// Whether some of the commits in doubt, in their order, explain the state.
    fn settle_doubts(&mut self, observed: &Observed, sequence: u64) -> bool {
        let head = self.model.head;
        let doubts = std::mem::take(&mut self.doubts);
        let count = doubts.len().min(6);
        let is_found = (1_u32..1 << count).any(|some| {
            self.model.truncate(head);
            for (_, txn) in doubts.iter().enumerate().filter(|(bit, _)| some >> bit & 1 == 1) {
                self.model.commit(txn, sequence);
            }
            self.model.difference(self.model.head, observed).is_none()
        });
        if is_found {
            self.stats.add("commits there, though nobody was told", self.model.head - head);
        } else {
            self.model.truncate(head);
        }
        self.doubts = doubts;
        is_found
    }

    fn wrong_state(&self, floor: u64, observed: &Observed) -> Finding {
        let head = self.model.head;
        let mut what =
            format!("commits {floor} to {head} may be the last, {} are in doubt", self.doubts.len());
        for at in (floor..=head).rev().take(6) {
            let difference = self.model.difference(at, observed).unwrap_or_default();
            what.push_str(&format!("\n    not after {at}: {difference}"));
        }
        let earlier = (0..floor).rev().find(|at| self.model.difference(*at, observed).is_none());
        if let Some(at) = earlier {
            what.push_str(&format!("\n    it is the state after {at}"));
            return Finding::new("lost commits", what);
        }
        Finding::new("wrong state", what)
    }

    /// No temporary file may be left when the database has been opened.
    fn look_at_names(&mut self) -> Done {
        let image = self.disk.image();
        let names = image.keys().filter_map(|path| path.rsplit('/').next());
        match { names }.find(|name| E::role(name) == Role::Temporary) {
            Some(name) => Err(Finding::new("temporary file", name)),
            None => Ok(()),
        }
    }

    /// Lets the engine's own check look at the closed database.
    fn check(&mut self) -> Done {
        let mutations = self.disk.counts().mutations;
        let mut problems = Vec::new();
        let outcome = E::check(&self.vfs, &mut |problem| problems.push(problem));
        self.stats.count("checks");
        if let Some(problem) = problems.first() {
            return Err(Finding::new("check", format!("{problem} ({} in all)", problems.len())));
        }
        if self.disk.counts().mutations != mutations {
            return Err(Finding::new("check", "it writes"));
        }
        match outcome {
            Err(failure) if failure.kind == FailureKind::NotADatabase && self.model.durable == 0 => Ok(()),
            Err(failure) => Err(Finding::new("check", failure)),
            Ok(()) => Ok(()),
        }
    }

    /// A failure must have a cause.
    pub(super) fn excuse(&mut self, operation: &'static str, failure: &Failure) -> Done {
        if self.disk.is_gone() {
            return Ok(());
        }
        self.trace.note(|| format!("  {operation}: {failure}"));
        self.stats.failed(operation, failure.kind);
        let is_excused = match failure.kind {
            FailureKind::OutOfMemory => self.options.limit_bytes < 8 << 20,
            FailureKind::Gone => false,
            kind => self.faults.excuse(kind, self.disk.counts().faults),
        };
        match is_excused {
            true => Ok(()),
            false => Err(Finding::new("failure without a cause", format!("{operation}: {failure}"))),
        }
    }

    /// Flushes, compacts or syncs.
    fn chore(&mut self, step: Step) -> Done {
        let Some(engine) = self.engine.clone() else { return Ok(()) };
        let (name, context, outcome) = match step {
            Step::Flush => {
                self.watch.enter(Context::Flush);
                ("flush", Context::Flush, engine.flush())
            }
            Step::Compact { slices } => {
                self.watch.enter(Context::Compact);
                let mut outcome = Ok(true);
                for _ in 0..slices {
                    outcome = if outcome.as_ref().is_ok_and(|more| *more) { engine.compact() } else { break };
                }
                ("compact", Context::Compact, outcome.map(|_| ()))
            }
            _ => {
                self.watch.enter(Context::Sync);
                ("sync", Context::Sync, engine.sync())
            }
        };
        match outcome {
            Ok(()) if context != Context::Compact => self.model.durable = self.model.head,
            Ok(()) => {}
            Err(failure) => self.excuse(name, &failure)?,
        }
        self.stats.count(name);
        Ok(())
    }

    /// Ends the run: nothing may be wrong with what is left, and nothing be left when all is dropped.
    fn finish(&mut self) -> Done {
        self.trace.note(|| "finish".to_owned());
        self.disarm();
        self.heal();
        self.close(3)?;
        // Opening may have armed another crash.
        self.disarm();
        let engine = self.engine.clone().expect("it was opened");
        let fail =
            |failure: Failure| Finding::new("failure without a cause", format!("at the end: {failure}"));
        self.watch.enter(Context::Commit);
        let tables: Vec<u32> =
            self.model.at(self.model.head).tables().into_iter().map(|(id, _)| id).collect();
        let mut txn = engine.begin(1 << 20).map_err(fail)?;
        for table in tables {
            engine.drop_table(&mut txn, table).map_err(fail)?;
        }
        engine.commit(txn, super::engine::Durability::Full).map_err(fail)?;
        for _ in 0..2 {
            self.watch.enter(Context::Flush);
            engine.flush().map_err(fail)?;
            self.watch.enter(Context::Compact);
            let mut is_more = true;
            for _ in 0..1_000 {
                is_more = is_more && engine.compact().map_err(fail)?;
            }
            if is_more {
                return Err(Finding::new(
                    "compaction without an end",
                    "a thousand slices of an empty database",
                ));
            }
        }
        drop(engine);
        self.abandon_closed().map_err(fail)?;
        self.check()?;
        let bytes: usize = self.disk.image().values().map(Vec::len).sum();
        if bytes as u64 > Self::PROMISES.empty_bytes_max {
            let names: Vec<String> =
                self.disk.image().iter().map(|(name, bytes)| format!("{name}: {}", bytes.len())).collect();
            return Err(Finding::new("leftovers", format!("{bytes} bytes of an empty database: {names:?}")));
        }
        Ok(())
    }

    fn abandon_closed(&mut self) -> Result<(), Failure> {
        let engine = self.engine.take().and_then(Rc::into_inner);
        self.abandon();
        self.watch.enter(Context::Close);
        engine.map_or(Ok(()), E::close)
    }
}

/// The next larger limit.
fn more_memory(options: &OpenOptions) -> OpenOptions {
    let larger = MEMORY.iter().find(|other| other.limit_bytes > options.limit_bytes);
    *larger.unwrap_or(&MEMORY[3])
}

/// An outcome for the trace.
pub(super) fn show<T>(outcome: &Result<T, Failure>) -> String {
    match outcome {
        Ok(_) => "ok".to_owned(),
        Err(failure) => failure.to_string(),
    }
}
