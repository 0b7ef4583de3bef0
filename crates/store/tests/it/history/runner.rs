//! Threads that make a history with an engine: transactions that read and append, snapshots that read everything, flushes
//! and compactions in between.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::watchdog::Watchdog;
use super::{Op, Outcome, Record};
use crate::sim::cell::{Cell, ColumnSpec, Range, TableSpec};
use crate::sim::engine::{Durability, Engine, Failure, FailureKind, View};
use crate::sim::rng::Rng;
use cofferdam_types::Type;
use cofferdam_types::key::KeyOrder;

/// An engine that threads share.
pub(crate) trait Shared<E: Engine>: Sync {
    fn with<T>(&self, act: impl FnOnce(&E) -> T) -> T;
}

/// One that takes one call at a time.
impl<E: Engine + Send> Shared<E> for Mutex<E> {
    fn with<T>(&self, act: impl FnOnce(&E) -> T) -> T {
        act(&self.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One that takes any number of calls.
pub(crate) struct Direct<E>(pub(crate) E);

impl<E: Engine + Sync> Shared<E> for Direct<E> {
    fn with<T>(&self, act: impl FnOnce(&E) -> T) -> T {
        act(&self.0)
    }
}

/// How a history is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) threads: u64,
    /// Of each thread.
    pub(crate) transactions: u64,
    pub(crate) keys: u64,
}

/// How long a history may take: far more than it does.
const DEADLINE: Duration = Duration::from_secs(120);

const COLUMNS: &[ColumnSpec] = &[
    ColumnSpec { name: "key", ty: Type::BigInt, is_nullable: false },
    ColumnSpec { name: "list", ty: Type::Text, is_nullable: false },
];

/// What the threads share.
struct Run<'r, E, S> {
    engine: &'r S,
    table: u32,
    plan: Plan,
    clock: AtomicU64,
    is_over: AtomicBool,
    records: Mutex<Vec<Record>>,
    /// What each thread is doing, the chores' last: for who wants to know why nothing goes on.
    doing: Arc<Vec<Mutex<&'static str>>>,
    _engine: std::marker::PhantomData<fn(E)>,
}

/// Makes a history on an engine without tables. The last transaction reads every key.
pub(crate) fn run<E: Engine, S: Shared<E>>(engine: &S, plan: Plan) -> Result<Vec<Record>, Failure> {
    let table = engine.with(|engine| {
        let mut txn = engine.begin(1 << 20)?;
        let spec = TableSpec { name: "lists".to_owned(), columns: COLUMNS, key: &[(0, KeyOrder::ASC)] };
        let table = engine.create_table(&mut txn, &spec)?;
        engine.commit(txn, Durability::Full)?;
        Ok::<u32, Failure>(table)
    })?;
    let run = Run {
        engine,
        table,
        plan,
        clock: AtomicU64::new(1),
        is_over: AtomicBool::new(false),
        records: Mutex::new(Vec::new()),
        doing: Arc::new((0..=plan.threads).map(|_| Mutex::new("nothing")).collect()),
        _engine: std::marker::PhantomData,
    };
    let doing = Arc::clone(&run.doing);
    let _watchdog = Watchdog::start(DEADLINE, move || {
        let doing: Vec<_> =
            doing.iter().map(|what| *what.lock().unwrap_or_else(PoisonError::into_inner)).collect();
        eprintln!("{plan:?} hangs: the threads are at {doing:?}");
        std::process::abort();
    });
    thread::scope(|scope| {
        let workers: Vec<_> = (0..plan.threads)
            .map(|thread| {
                scope.spawn({
                    let run = &run;
                    move || run.work(thread)
                })
            })
            .collect();
        let chores = scope.spawn(|| run.chores());
        let outcomes: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        run.is_over.store(true, Ordering::Release);
        let chores = chores.join();
        for outcome in outcomes.into_iter().chain([chores]) {
            outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        run.read_all()
    })?;
    Ok(run.records.into_inner().unwrap_or_else(PoisonError::into_inner))
}

impl<E: Engine, S: Shared<E>> Run<'_, E, S> {
    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn keep(&self, record: Record) {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }

    /// Notes what a thread does from now on.
    fn does(&self, thread: u64, what: &'static str) {
        *self.doing[thread as usize].lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// The transactions of a thread.
    fn work(&self, thread: u64) -> Result<(), Failure> {
        let mut rng = Rng::new(self.plan.seed << 8 | thread);
        for number in 0..self.plan.transactions {
            // Elements tell their transaction.
            let first = (thread << 32 | number) << 4;
            match rng.below(8) {
                0 => {
                    self.does(thread, "reading everything");
                    self.read_all()?;
                }
                _ => self.transact(thread, first, &mut rng)?,
            }
        }
        self.does(thread, "nothing more");
        Ok(())
    }

    fn transact(&self, thread: u64, first: u64, rng: &mut Rng) -> Result<(), Failure> {
        self.does(thread, "a transaction");
        let mut record = Record { began: self.tick(), ..Record::default() };
        let mut txn = self.engine.with(|engine| engine.begin(1 << 20))?;
        for number in 0..rng.between(1, 5) {
            let key = rng.below(self.plan.keys) as u32;
            let is_lost =
                match self.touch(&mut txn, key, rng.percent(60).then_some(first | number), &mut record) {
                    Ok(()) => false,
                    Err(failure) if failure.kind == FailureKind::Conflict => true,
                    Err(failure) => return Err(failure),
                };
            if is_lost {
                record.ended = self.tick();
                self.keep(record);
                return Ok(());
            }
            if rng.percent(20) {
                thread::yield_now();
            }
        }
        let durability = if rng.percent(70) { Durability::Normal } else { Durability::Full };
        let is_given_up = rng.percent(10);
        self.does(thread, "a commit");
        let outcome = self.engine.with(|engine| match is_given_up {
            true => engine.rollback(txn).map(|()| None),
            false => engine.commit(txn, durability).map(Some),
        });
        record.outcome = match outcome {
            Ok(Some(sequence)) => Outcome::Committed(Some(sequence)),
            Ok(None) => Outcome::Aborted,
            Err(failure) if failure.kind == FailureKind::Conflict => Outcome::Aborted,
            Err(failure) => return Err(failure),
        };
        record.ended = self.tick();
        self.keep(record);
        Ok(())
    }

    /// Reads a list, and puts an element behind it.
    fn touch(
        &self,
        txn: &mut E::Txn,
        key: u32,
        element: Option<u64>,
        record: &mut Record,
    ) -> Result<(), Failure> {
        let cells = [Cell::Big(key.into())];
        let row = self.engine.with(|engine| engine.get(View::Txn(txn), self.table, &cells))?;
        let mut list = row.map_or(Vec::new(), |row| parse(&row[1]));
        record.ops.push(Op::Read { key, list: list.clone() });
        let Some(element) = element else { return Ok(()) };
        list.push(element);
        let row = [Cell::Big(key.into()), print(&list)];
        self.engine.with(|engine| engine.put(txn, self.table, &row))?;
        record.ops.push(Op::Append { key, element });
        Ok(())
    }

    fn scan(&self, snap: &E::Snap) -> Result<Vec<Vec<u64>>, Failure> {
        let mut lists = vec![Vec::new(); self.plan.keys as usize];
        self.engine.with(|engine| {
            engine.scan(View::Snap(snap), self.table, &Range::ALL, &mut |rows| {
                for row in rows {
                    if let Cell::Big(key) = row[0] {
                        lists[key as usize] = parse(&row[1]);
                    }
                }
                thread::yield_now();
                true
            })
        })?;
        Ok(lists)
    }

    fn get_all(&self, snap: &E::Snap) -> Result<Vec<Vec<u64>>, Failure> {
        let get = |key: u64| {
            thread::yield_now();
            let cells = [Cell::Big(key as i64)];
            self.engine.with(|engine| engine.get(View::Snap(snap), self.table, &cells))
        };
        (0..self.plan.keys).map(|key| Ok(get(key)?.map_or(Vec::new(), |row| parse(&row[1])))).collect()
    }

    /// Reads all lists in a snapshot.
    fn read_all(&self) -> Result<(), Failure> {
        let mut record =
            Record { began: self.tick(), outcome: Outcome::Committed(None), ..Record::default() };
        let snap = self.engine.with(Engine::snapshot)?;
        record.snapshot = Some(E::sequence(&snap));
        let lists = if record.began.is_multiple_of(2) { self.scan(&snap)? } else { self.get_all(&snap)? };
        let reads = lists.into_iter().enumerate().map(|(key, list)| Op::Read { key: key as u32, list });
        record.ops = reads.collect();
        record.ended = self.tick();
        self.keep(record);
        Ok(())
    }

    fn chores(&self) -> Result<(), Failure> {
        let mut rng = Rng::new(self.plan.seed ^ 0xc403e5);
        while !self.is_over.load(Ordering::Acquire) {
            let kind = rng.below(3);
            self.does(self.plan.threads, ["a flush", "a compaction", "a sync"][kind as usize]);
            self.engine.with(|engine| match kind {
                0 => engine.flush(),
                1 => engine.compact().map(|_| ()),
                _ => engine.sync(),
            })?;
            thread::yield_now();
        }
        Ok(())
    }
}

fn parse(cell: &Cell) -> Vec<u64> {
    let Cell::Text(text) = cell else { return Vec::new() };
    text.split(' ').filter(|word| !word.is_empty()).map(|word| word.parse().expect("a number")).collect()
}

fn print(list: &[u64]) -> Cell {
    let words: Vec<String> = list.iter().map(u64::to_string).collect();
    Cell::text(&words.join(" "))
}
