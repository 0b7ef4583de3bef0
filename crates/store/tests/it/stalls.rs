//! Who waits for whom: readers that stop reading hold up nobody, and writers wait only as long as they have said.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cofferdam_arena::{Arena, Budget};
use cofferdam_store::{
    Column, Durability, Error, KeyRange, Options, Remedy, Scan, Snapshot, Stall, Store, StoreCounters,
    TableId, Worker,
};
use cofferdam_types::{Type, Value};
use cofferdam_vfs::{OsVfs, Vfs};

use crate::engine::{Machine, create_names, rows};
use crate::gate::{Gate, Gated};
use crate::memory::Temporary;

const LIMIT_BYTES: u64 = 1 << 20;
const MEMTABLE_BYTES: u64 = 64 << 10;

fn options(stall: Stall) -> Options {
    Options::new().memtable_bytes(MEMTABLE_BYTES).stall(stall)
}

fn put(
    store: &Store,
    caller: &Budget,
    table: TableId,
    ids: std::ops::Range<i64>,
    name: &str,
) -> Result<(), Error> {
    let mut transaction = store.begin(caller)?;
    for id in ids {
        transaction.put(table, &[Value::BigInt(id), Value::Text(name)])?;
    }
    transaction.commit(Durability::Normal).map(|_| ())
}

/// What a part of a store holds, by its name in the tree of budgets.
fn held_bytes(budget: &Budget, part: &str) -> u64 {
    budget.walk().find(|stats| stats.name.as_str() == part).map_or(0, |stats| stats.used_bytes)
}

/// A scan that was begun and is not continued.
struct Idle<'a> {
    scan: Scan<'a>,
    columns: [Column<'a>; 2],
    found: Vec<String>,
}

impl<'a> Idle<'a> {
    fn begin(snapshot: &Snapshot, arena: &'a Arena) -> Idle<'a> {
        let table = snapshot.table("names").unwrap();
        let scan = Scan::new(&table, &[0, 1], &KeyRange::ALL, arena).unwrap();
        let columns = [Type::BigInt, Type::Text].map(|ty| Column::new(ty, 64, arena).unwrap());
        let mut idle = Idle { scan, columns, found: vec![] };
        assert_eq!(idle.go_on(snapshot), 64);
        idle
    }

    fn go_on(&mut self, snapshot: &Snapshot) -> usize {
        let mut targets: Vec<_> =
            self.columns.iter_mut().map(|column| (column.clear(), column.target()).1).collect();
        let count = self.scan.next(snapshot.view(), &mut targets, 64).unwrap();
        drop(targets);
        for row in 0..count {
            self.found.push(format!("{} {}", self.columns[0].value(row), self.columns[1].value(row)));
        }
        count
    }
}

/// Aim: a client that has stopped in the middle of a scan stalls nobody, and neither it nor snapshots of long ago pin the memory of
/// memtables. Method: scans that are begun in the memtable and in segments, and not continued, while writers go on for many flushes and
/// compactions with no leave to wait; then they go on, and see what they saw.
fn idle_readers_hold_up_nobody(worker: bool) {
    let machine = Machine::new(LIMIT_BYTES);
    let process = Budget::unlimited("callers").unwrap();
    let caller = process.child("caller", 16 << 20).unwrap();
    let stall = if worker { Stall::Wait(Duration::from_secs(60)) } else { Stall::Fail };
    let store = machine.try_open(&options(stall)).unwrap();
    let worker = worker.then(|| Worker::start(&process).unwrap());
    worker.iter().for_each(|worker| store.attach(worker).unwrap());
    let table = create_names(&store, &caller);
    let put = |from: i64, name: &str| put(&store, &caller, table, from..from + 40, name);
    for from in (0..400).step_by(40) {
        put(from, "first").unwrap();
    }
    let arena = Arena::new(&caller);
    let old = store.snapshot().unwrap();
    let mut in_memory = Idle::begin(&old, &arena);
    store.flush().unwrap();
    let mut in_segments = Idle::begin(&old, &arena);
    let mut snapshots = vec![];
    for round in 0..30 {
        for from in (0..400).step_by(40) {
            put(from, &format!("round {round} {}", "y".repeat(60))).unwrap();
        }
        snapshots.push(store.snapshot().unwrap());
        if round % 5 == 4 {
            store.flush().unwrap();
            store.compact().unwrap();
        }
        let held = held_bytes(&machine.budget, "memtable");
        // Two of them, each with a last slab as large as all before, and what they are themselves.
        let held_max = 4 * MEMTABLE_BYTES + (4 << 10);
        assert!(held <= held_max, "{held}, with {} snapshots", snapshots.len());
    }
    let StoreCounters { flushes_count, compactions_count, .. } = store.counters();
    assert!(flushes_count >= 10 && compactions_count >= 5, "{:?}", store.counters());
    for idle in [&mut in_memory, &mut in_segments] {
        while idle.go_on(&old) > 0 {}
        let expected: Vec<String> = (0..400).map(|id| format!("{id} first")).collect();
        assert_eq!(idle.found, expected);
    }
    for (round, snapshot) in snapshots.iter().enumerate().step_by(7) {
        let found = rows(&store, snapshot.view(), "names");
        assert!(
            found.len() == 400 && found[399] == format!("399 round {round} {}", "y".repeat(60)),
            "{round}"
        );
    }
}

#[test]
fn idle_readers_hold_up_no_writer_that_flushes_itself() {
    idle_readers_hold_up_nobody(false);
}

#[test]
fn idle_readers_hold_up_no_writer_with_a_worker() {
    idle_readers_hold_up_nobody(true);
}

/// A store on files of the system whose flushes wait at a gate, with a worker.
struct Stalled {
    store: Store,
    table: TableId,
    gate: Arc<Gate>,
    budget: Budget,
    caller: Budget,
    _worker: Worker,
    _place: Temporary,
}

impl Stalled {
    fn new(name: &str, stall: Stall) -> Stalled {
        let (place, gate) = (Temporary::new(name), Arc::new(Gate::default()));
        let vfs: Arc<dyn Vfs> = Arc::new(Gated { inner: Arc::new(OsVfs), gate: Arc::clone(&gate) });
        let process = Budget::unlimited("process").unwrap();
        let (budget, caller) =
            (process.child("db", LIMIT_BYTES).unwrap(), process.child("caller", 4 << 20).unwrap());
        let store = Store::open(&vfs, Path::new(&place.0), &budget, &options(stall)).unwrap();
        let table = create_names(&store, &caller);
        let worker = Worker::start(&process).unwrap();
        store.attach(&worker).unwrap();
        Stalled { store, table, gate, budget, caller, _worker: worker, _place: place }
    }

    fn put(&self, id: i64) -> Result<(), Error> {
        put(&self.store, &self.caller, self.table, id..id + 1, &"z".repeat(200))
    }

    /// Closes the gate and writes until a writer is refused; gives how many were not, and why that one was.
    fn fill(&self) -> (i64, Error) {
        self.gate.close();
        for id in 0..100_000 {
            if let Err(error) = self.put(id) {
                return (id, error);
            }
        }
        panic!("both memtables never fill");
    }

    fn ids(&self) -> Vec<i64> {
        let snapshot = self.store.snapshot().unwrap();
        let found = rows(&self.store, snapshot.view(), "names");
        found.iter().map(|row| row.split(' ').next().unwrap().parse().unwrap()).collect()
    }
}

impl Drop for Stalled {
    fn drop(&mut self) {
        // Whoever waits there must come to an end.
        self.gate.open();
    }
}

/// Aim: writers go on into the other memtable while one is flushed, and the flushed side is reset in one step.
#[test]
fn seed_12_writes_go_on_during_a_flush_and_the_flushed_side_is_reset() {
    let stalled = Stalled::new("double-buffer", Stall::Wait(Duration::from_secs(60)));
    stalled.gate.close();
    let mut id = 0;
    // Until the first memtable is sealed and its flush stands at the gate, for which the worker needs a moment.
    while !stalled.gate.is_reached() {
        stalled.put(id).unwrap();
        id += 1;
        if held_bytes(&stalled.budget, "memtable") > MEMTABLE_BYTES {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    assert_eq!(stalled.store.counters().flushes_count, 0);
    let during = id;
    for _ in 0..20 {
        stalled.put(id).unwrap();
        id += 1;
    }
    assert_eq!(stalled.store.counters().flushes_count, 0, "the flush has not ended");
    assert_eq!(stalled.ids(), (0..id).collect::<Vec<i64>>(), "{during} before, the others during the flush");
    stalled.gate.open();
    stalled.store.flush().unwrap();
    assert!(stalled.store.counters().flushes_count >= 2);
    assert_eq!(stalled.ids(), (0..id).collect::<Vec<i64>>());
    // Nothing of what was flushed is held; the chunks are kept for what comes next.
    let before = held_bytes(&stalled.budget, "memtable");
    for more in 0..100 {
        stalled.put(id + more).unwrap();
    }
    assert!(held_bytes(&stalled.budget, "memtable") <= before, "chunks that were kept are used again");
}

/// Aim: who has no leave to wait gets the typed error at once, loses nothing, and goes on when there is room.
#[test]
fn a_writer_that_may_not_wait_is_told_at_once() {
    let stalled = Stalled::new("stall-fail", Stall::Fail);
    let (count, error) = stalled.fill();
    assert!(matches!(error, Error::Stalled { .. }), "{error}");
    assert_eq!(error.remedy(), Remedy::Retry, "{error}");
    assert!(count > 200, "{count} rows of 200 bytes in two memtables");
    let started = Instant::now();
    assert!(matches!(stalled.put(count), Err(Error::Stalled { .. })));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    // Readers are not held up.
    assert_eq!(stalled.ids(), (0..count).collect::<Vec<i64>>());
    stalled.gate.open();
    stalled.store.flush().unwrap();
    stalled.put(count).unwrap();
    assert_eq!(stalled.ids(), (0..=count).collect::<Vec<i64>>());
}

/// Aim: who waits is refused at the deadline and not before it, and the time is counted.
#[test]
fn a_writer_that_waits_is_refused_at_its_deadline() {
    let deadline = Duration::from_millis(150);
    let stalled = Stalled::new("stall-wait", Stall::Wait(deadline));
    let (count, error) = stalled.fill();
    let Error::Stalled { waited_ns } = error else { panic!("{error}") };
    assert!(u128::from(waited_ns) >= deadline.as_nanos(), "{waited_ns}");
    assert!(waited_ns < 20_000_000_000, "{waited_ns}");
    let counters = stalled.store.counters();
    assert!(counters.stalls_count >= 1 && counters.stalled_ns >= 100_000_000, "{counters:?}");
    assert_eq!(stalled.ids(), (0..count).collect::<Vec<i64>>());
    stalled.gate.open();
    stalled.put(count).unwrap();
    assert_eq!(stalled.ids(), (0..=count).collect::<Vec<i64>>());
}

/// Aim: who waits goes on as soon as there is room, long before its deadline.
#[test]
fn a_writer_that_waits_goes_on_when_there_is_room() {
    let stalled = Stalled::new("stall-end", Stall::Wait(Duration::from_secs(60)));
    stalled.gate.close();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..1500).for_each(|id| stalled.put(id).unwrap()));
        stalled.gate.until_reached();
        // Until the writer waits, which it counts when it wakes.
        while stalled.store.counters().stalls_count == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        stalled.gate.open();
    });
    assert_eq!(stalled.ids(), (0..1500).collect::<Vec<i64>>());
    let counters = stalled.store.counters();
    assert!(counters.stalled_ns > 0 && counters.flushes_count >= 2, "{counters:?}");
}
