//! Histories of transactions that ran at the same time, and whether they are possible under snapshot isolation.
//!
//! Every write appends an element that no other write has to the list of a key, so a list that is read tells which
//! writes came before it and in which order (Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental
//! Observations", PVLDB 14(3), 2020). From the lists follow three kinds of dependencies between transactions:
//!
//! | edge | meaning |
//! |---|---|
//! | ww | its element is followed by one of the other's |
//! | wr | its element is the last of a list that the other reads |
//! | rw | it reads a list whose next element is the other's |
//!
//! and a fourth from the clock: *rt*, it was over before the other began. A history is possible under snapshot isolation
//! if and only if there is no cycle in which no two rw edges follow each other (Cerone and Gotsman, "Analysing Snapshot
//! Isolation", JACM 65(2), 2018, theorem 10; with rt, snapshots are those of the time a transaction begins). So write skew
//! is allowed: both of its edges are rw.
//!
//! | module | what it has |
//! |---|---|
//! | `checker` | the judgement, from lists and times alone |
//! | `sequences` | a second judgement, from the sequences that an engine gives to snapshots and commits |
//! | `runner` | threads that make a history with an engine |
//! | `watchdog` | ends what hangs |
//!
//! Many histories of the store: `COFFERDAM_HISTORIES=1000 cargo test --release -p cofferdam-store --test it histories -- --ignored --nocapture`.

mod checker;
mod runner;
mod sequences;
mod tests;
mod watchdog;

use std::fmt;
use std::sync::{Arc, Mutex};

use cofferdam_testkit::simfs::SimDisk;
use cofferdam_vfs::Vfs;

use crate::sim::engine::{Engine, OpenOptions};
use crate::sim::ledger::{Flaw, Ledger, with_flaw};
use crate::sim::stored::Stored;
use cofferdam_arena::Budget;
use cofferdam_store::Worker;
use runner::{Direct, Plan};

/// A transaction, as its thread saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// Ticks of a clock that all threads share: before it began, and after it ended.
    pub(crate) began: u64,
    pub(crate) ended: u64,
    /// The sequence of its snapshot, where the engine told it.
    pub(crate) snapshot: Option<u64>,
    pub(crate) ops: Vec<Op>,
    pub(crate) outcome: Outcome,
}

/// What a transaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Read the list of a key.
    Read { key: u32, list: Vec<u64> },
    /// Put an element, which no other append has, at the end of the list of a key.
    Append { key: u32, element: u64 },
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is committed, with this sequence where the engine told it.
    Committed(Option<u64>),
    #[default]
    Aborted,
    /// Nobody was told.
    Unknown,
}

/// Something that snapshot isolation does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Anomaly {
    pub(crate) kind: Kind,
    pub(crate) what: String,
}

/// Kinds of anomalies, with the names that Adya ("Weak Consistency", MIT 1999) and Elle give them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A transaction does not see what it has written or read itself.
    Internal,
    /// An element that nobody has appended, or that is there twice.
    Garbage,
    /// G1a: an element of a transaction that was rolled back is read.
    AbortedRead,
    /// G1b: a list between two appends of another transaction is read.
    IntermediateRead,
    /// Two lists of a key of which neither is the beginning of the other: an update was lost.
    LostUpdate,
    /// G0: transactions overwrite each other in both directions.
    DirtyWrite,
    /// G1c: transactions see each other.
    CircularFlow,
    /// G-single: a transaction sees one part of another's work, or of its past, and misses another part.
    ReadSkew,
    /// G-nonadjacent: two transactions see two others in different orders.
    LongFork,
    /// A transaction does not see what was over before it began.
    StaleRead,
    /// A read is not what the sequences say.
    Sequence,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.what)
    }
}

impl Anomaly {
    fn new(kind: Kind, what: impl fmt::Display) -> Anomaly {
        Anomaly { kind, what: what.to_string() }
    }
}

/// A history of the simple engine.
fn history_of_ledger(flaw: Flaw, seed: u64) -> Vec<Record> {
    with_flaw(flaw, || {
        let vfs: Arc<dyn Vfs> = Arc::new(SimDisk::new(seed));
        let options = OpenOptions { limit_bytes: 1 << 20, memtable_bytes: None };
        let ledger = Mutex::new(Ledger::open(&vfs, &options).unwrap());
        runner::run(&ledger, Plan { seed, threads: 4, transactions: 150, keys: 6 }).unwrap()
    })
}

/// Aim: threads on an engine that is right make histories that are possible, and they are about something.
#[test]
fn histories_of_a_right_engine_are_possible() {
    let history = history_of_ledger(Flaw::None, 1);
    let summary = checker::check(&history).unwrap_or_else(|anomaly| panic!("{anomaly}"));
    sequences::check(&history).unwrap_or_else(|anomaly| panic!("{anomaly}"));
    assert!(
        summary.committed > 300 && summary.ww > 100 && summary.wr > 100 && summary.rw > 100,
        "{summary:?}"
    );
}

fn judge(history: &[Record]) -> checker::Summary {
    sequences::check(history).unwrap_or_else(|anomaly| panic!("{anomaly}"));
    checker::check(history).unwrap_or_else(|anomaly| panic!("{anomaly}"))
}

/// A history of the store, with or without a thread that flushes and compacts.
fn history_of_store(seed: u64, has_worker: bool, transactions: u64) -> Vec<Record> {
    let vfs: Arc<dyn Vfs> = Arc::new(SimDisk::new(seed));
    let options = OpenOptions { limit_bytes: 2 << 20, memtable_bytes: Some(32 << 10) };
    let stored = Stored::open(&vfs, &options).unwrap();
    let budget = Budget::unlimited("worker").unwrap();
    let worker = has_worker.then(|| Worker::start(&budget).unwrap());
    worker.iter().for_each(|worker| stored.attach(worker).unwrap());
    let plan = Plan { seed, threads: 4, transactions, keys: 6 };
    let history =
        runner::run(&Direct(stored), plan).unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
    drop(worker);
    history
}

/// Aim: readers, writers, flushes and compactions together are possible under snapshot isolation.
#[test]
fn histories_of_the_store_are_possible() {
    for (seed, has_worker) in [(1, false), (2, true), (3, true)] {
        let summary = judge(&history_of_store(seed, has_worker, 120));
        assert!(summary.committed > 200 && summary.ww > 50 && summary.rw > 50, "{summary:?}");
    }
}

/// The long form: `COFFERDAM_HISTORIES=1000` of them.
#[test]
#[ignore = "takes as long as it is told to"]
fn many_histories_of_the_store_are_possible() {
    let count = std::env::var("COFFERDAM_HISTORIES").map_or(100, |text| text.parse().expect("a number"));
    for seed in 0..count {
        let summary = judge(&history_of_store(seed, seed % 3 > 0, 400));
        if seed % 50 == 0 {
            eprintln!("history {seed}: {summary:?}");
        }
    }
}

/// Aim: the checker has teeth. Method: the same threads on engines that are wrong.
#[test]
fn histories_of_wrong_engines_are_found() {
    for flaw in [Flaw::NoConflicts, Flaw::RollbackCommits, Flaw::SnapshotsMove] {
        let is_found = (0..20).any(|seed| checker::check(&history_of_ledger(flaw, seed)).is_err());
        assert!(is_found, "{flaw:?}");
    }
}
