//! Several threads at one pipeline: workers run its begin beside the statement's own thread, which takes what they make.
//!
//! ```text
//!   worker     pieces 0, 3 of the table ──> scan ── filter ── project ──> packets ─┐
//!   statement  pieces 1, 2 of the table ──> scan ── filter ── project ─────────────┴──> probe ── … ──> sink
//! ```
//!
//! A stored table is cut into pieces (*morsels*) of [`PIECE_ROWS`] rows or some more; whoever has none takes the next one. The statement's own
//! thread takes full packets first and reads by itself when there are none, so no one waits but for the last rows. A packet is a
//! batch without the rows that were filtered out; its vectors are swapped with those of the pipeline, so only texts are copied twice.
//! (V. Leis et al., "Morsel-Driven Parallelism", SIGMOD 2014, section 2; the queue is the exchange of G. Graefe, "Encapsulation of
//! Parallelism in the Volcano Query Processing System", SIGMOD 1990.)
//!
//! **Who is helped** ([`Workers::new`]): a pipeline that begins with the scan of a stored table in one range of its keys that joins tell no
//! keys (the filter may be given up in between), whose sink does not depend on the order of rows, of a statement that sees a snapshot (what a
//! transaction sees belongs to one thread).
//!
//! **Memory.** A worker has a budget beside those of the operators, `worker_<number>`, which pays for its stack, for vectors as the scan and
//! the steps have them, and for two packets. All workers together take a sixteenth of the limit at most, and each is started only
//! when it has all of that; else there are fewer.
//!
//! A worker that runs out of memory all the same ends, and the statement's own thread reads the rest of its piece: the whole piece again, without
//! the first rows, which packets had.
//!
//! **Order.** Rows come in any order. Errors of workers are the statement's; whoever fails first stops the others.
//!
//! - **X1** A packet is in one place: free, full, being filled, or in the pipeline.
//! - **X2** Who waits is woken by whatever changes what it waits for, and looks twice a tick whether it was cancelled.

use core::fmt::Write as _;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use allocator_api2::vec::Vec as OwnedVec;
use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena, Budget, BudgetAlloc, Growing, InlineText};
use cofferdam_functions::Random;
use cofferdam_plan::physical::{Operator, OperatorId, OperatorKind};
use cofferdam_store::{Pieces, Snapshot};
use cofferdam_types::Value;

use crate::batch::{
    BatchRows, Data, Element, HeapId, Kind, Rows, SelectionId, Store, TextView, Vector, VectorId,
};
use crate::error::{Error, StoreProblem};
use crate::pipeline::{Arenas, Context, Counters, Flow, Given, Pipeline, Schedule};
use crate::progress::Progress;
use crate::statement::Statement;
use crate::tables::Tables;

/// Rows of a piece: so many that to begin with it costs little beside reading it.
const PIECE_ROWS: u64 = 16 << 10;
/// What of the limit all workers may have together.
const LIMIT_SHARE: u64 = 16;
/// The most that a worker may have.
const WORKER_BYTES_MAX: u64 = 4 << 20;
/// The stack of a worker, and what the system's library takes for a thread.
const STACK_BYTES: usize = 256 << 10;
const THREAD_BYTES: u64 = 4 << 10;
/// In how many pieces the standard library takes a part of it from the global allocator.
const THREAD_PIECES: usize = 3;
/// Packets for each worker: one is filled while the other waits.
const PACKETS_PER_WORKER: usize = 2;
/// How long somebody waits before asking whether the statement was cancelled.
const TICK: Duration = Duration::from_millis(10);

/// What all workers may take under a limit.
pub(crate) fn workers_bytes(limit_bytes: u64, threads_count: usize) -> u64 {
    let workers = threads_count.saturating_sub(1) as u64;
    if workers == 0 { 0 } else { (limit_bytes / LIMIT_SHARE).min(workers.saturating_mul(WORKER_BYTES_MAX)) }
}

/// Whether a sink may have the rows in any order.
pub(crate) fn takes_any_order(sink: &OperatorKind<'_>) -> bool {
    match sink {
        OperatorKind::HashAggregate(plan) => plan
            .aggregates
            .iter()
            .all(|aggregate| !aggregate.function.collects() || !aggregate.order_by.is_empty()),
        OperatorKind::HashJoin(_)
        | OperatorKind::NestedLoopJoin(_)
        | OperatorKind::Sort { .. }
        | OperatorKind::Window(_)
        | OperatorKind::SetOperation { .. } => true,
        _ => false,
    }
}

/// Pieces of a table that several scans read beside one another.
#[derive(Debug)]
pub(crate) struct Morsels<'a> {
    pub(crate) pieces: Pieces<'a>,
    next: AtomicUsize,
}

impl<'a> Morsels<'a> {
    pub(crate) fn new(pieces: Pieces<'a>) -> Morsels<'a> {
        Morsels { pieces, next: AtomicUsize::new(0) }
    }

    /// A piece that nobody reads; `None` if there is none left.
    pub(crate) fn take(&self) -> Option<usize> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        (index < self.pieces.count()).then_some(index)
    }
}

/// How many rows the pieces of a table of so many rows have.
pub(crate) fn piece_rows(rows: u64, threads_count: usize) -> u64 {
    // Several for each thread, so that the last ones end at about the same time.
    (rows / (threads_count as u64).saturating_mul(16)).clamp(PIECE_ROWS, 8 * PIECE_ROWS)
}

/// Rows that a worker has made.
#[derive(Debug)]
struct Packet<'a> {
    rows: usize,
    columns: OwnedVec<PacketColumn<'a>, BudgetAlloc>,
}

#[derive(Debug)]
struct PacketColumn<'a> {
    vector: Vector<'a>,
    /// What the views of texts point into while nobody has the packet in a pipeline.
    heap: Growing<u8>,
}

impl Packet<'_> {
    /// Takes the rows of a batch over.
    fn fill(&mut self, rows: Rows<'_>, ids: &[VectorId], store: &Store<'_>) -> Result<(), AllocError> {
        self.rows = rows.len();
        for (column, id) in self.columns.iter_mut().zip(ids) {
            let from = store.vector(*id);
            let PacketColumn { vector, heap } = column;
            vector.all_valid = from.all_valid;
            if !from.all_valid {
                gather(from.valid, rows, vector.valid);
            }
            match from.kind() {
                Kind::Bool => gather_data::<bool>(from, rows, &mut vector.data),
                Kind::I32 => gather_data::<i32>(from, rows, &mut vector.data),
                Kind::I64 => gather_data::<i64>(from, rows, &mut vector.data),
                Kind::I128 => gather_data::<i128>(from, rows, &mut vector.data),
                Kind::F64 => gather_data::<f64>(from, rows, &mut vector.data),
                Kind::Text => {
                    heap.clear();
                    let (views, bytes) = (TextView::write(&mut vector.data), store.heap(from.heap));
                    for (at, view) in views.iter_mut().enumerate().take(rows.len()) {
                        let row = rows.nth(at);
                        let text =
                            if from.is_valid(row) { TextView::read(&from.data)[row].of(bytes) } else { &[] };
                        // A heap that has the text has at most 4 GiB, and this one has no more than it.
                        *view = TextView { start: heap.len() as u32, len: text.len() as u32 };
                        heap.extend_from_slice(text)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn gather_data<T: Element>(from: &Vector<'_>, rows: Rows<'_>, to: &mut Data<'_>) {
    gather(T::read(&from.data), rows, T::write(to));
}

fn gather<T: Copy>(from: &[T], rows: Rows<'_>, to: &mut [T]) {
    match rows {
        Rows::All(count) => to[..count].copy_from_slice(&from[..count]),
        Rows::Some(rows) => to.iter_mut().zip(rows).for_each(|(to, row)| *to = from[usize::from(*row)]),
    }
}

/// What workers and the pipeline have together.
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    is_stopped: AtomicBool,
    shared: Mutex<Shared<'a>>,
    /// There is a full packet, a failure, or a worker has ended.
    is_full: Condvar,
    /// There is a free packet, or nobody wants any more.
    is_free: Condvar,
}

#[derive(Debug)]
struct Shared<'a> {
    free: OwnedVec<Packet<'a>, BudgetAlloc>,
    /// In the order in which they were filled.
    full: OwnedVec<Packet<'a>, BudgetAlloc>,
    /// How many workers are at work.
    working: usize,
    /// Pieces that workers had no memory to read to their ends.
    leftovers: OwnedVec<Leftover, BudgetAlloc>,
    failure: Option<Failure>,
    /// What operators did for workers that have ended, by operator.
    counters: OwnedVec<Counters, BudgetAlloc>,
}

/// A piece that was read in part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leftover {
    pub(crate) piece: usize,
    /// How many of its rows, as they come out of the steps, were put into packets: they come in the same order again.
    rows: u64,
}

/// Why a worker has stopped.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Store(cofferdam_store::Error),
    Other(Error<'static>),
}

impl<'a> Exchange<'a> {
    fn lock(&self) -> MutexGuard<'_, Shared<'a>> {
        // Who panicked has left nothing half done: what is under the lock is moved in one go.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has workers end. To be called when nobody takes packets any more.
    pub(crate) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        // Whoever is about to wait has the lock, and waits before it is free.
        drop(self.lock());
        self.is_free.notify_all();
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// A packet to be filled; `None` if nobody wants any.
    fn take_free(&self) -> Option<Packet<'a>> {
        let mut shared = self.lock();
        loop {
            if self.is_stopped() {
                return None;
            }
            if let Some(packet) = shared.free.pop() {
                return Some(packet);
            }
            shared = self.is_free.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn put_full(&self, packet: Packet<'a>) {
        self.lock().full.push(packet);
        self.is_full.notify_one();
    }

    fn put_free(&self, packet: Packet<'a>) {
        self.lock().free.push(packet);
        self.is_free.notify_one();
    }
}

/// Stops workers, whatever happens to who made it.
pub(crate) struct StopWhenDropped<'e, 'a>(pub(crate) &'e Exchange<'a>);

impl Drop for StopWhenDropped<'_, '_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// What comes from an exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fed {
    /// The rows of a packet.
    Batch(BatchRows),
    /// The source is to read this piece again.
    Leftover(usize),
    /// Nothing now, or, for who waits, nothing any more.
    Nothing,
}

/// The end of an exchange that is in the pipeline.
pub(crate) struct Feed<'e, 'a> {
    exchange: &'e Exchange<'a>,
    /// How many steps of the pipeline packets have behind them.
    pub(crate) steps_count: usize,
    /// Where the columns of packets go; constants are not among them.
    ids: &'a [VectorId],
    /// Of each, the heap for texts of packets.
    heaps: &'a [HeapId],
    /// The packet whose vectors are in the pipeline, which has those of the pipeline.
    installed: Option<Packet<'a>>,
    /// Rows of the pipeline's own source that are to be left out, since a packet had them.
    skipped: u64,
    /// What is left of a batch then.
    selection: SelectionId,
    /// Where a refusal of the store is described.
    problem: Option<&'a mut StoreProblem<'a>>,
    is_over: bool,
}

impl<'a> Feed<'_, 'a> {
    /// Gives the pipeline its vectors back, when it is done with the rows of a packet.
    pub(crate) fn give_back(&mut self, store: &mut Store<'a>) {
        if let Some(mut packet) = self.installed.take() {
            self.swap(&mut packet, store);
            self.exchange.put_free(packet);
        }
    }

    fn swap(&self, packet: &mut Packet<'a>, store: &mut Store<'a>) {
        for (column, id) in packet.columns.iter_mut().zip(self.ids) {
            core::mem::swap(&mut column.vector, store.vector_mut(*id));
        }
    }

    /// Leaves rows of the pipeline's own source out that a packet had; `None` if that is all of a batch.
    pub(crate) fn without_skipped(&mut self, batch: BatchRows, store: &mut Store<'a>) -> Option<BatchRows> {
        if self.skipped == 0 || self.installed.is_some() {
            return Some(batch);
        }
        let rows = store.rows(batch).len();
        let first = usize::try_from(self.skipped).map_or(rows, |skipped| skipped.min(rows));
        self.skipped -= first as u64;
        let mut selection = store.take_selection(self.selection);
        selection.count = 0;
        for at in first..rows {
            selection.rows[selection.count] = store.rows(batch).nth(at) as u16;
            selection.count += 1;
        }
        store.put_selection_back(self.selection, selection);
        (first < rows).then_some(BatchRows { count: batch.count, selection: Some(self.selection) })
    }

    /// What workers have for a pipeline; who `waits` has no rows of its own any more.
    ///
    /// # Errors
    /// What a worker failed at; cancelled; no room for the packet's texts.
    pub(crate) fn next(
        &mut self,
        waits: bool,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<Fed, Error<'a>> {
        if self.is_over {
            return Ok(Fed::Nothing);
        }
        let exchange = self.exchange;
        let mut packet = {
            let mut shared = exchange.lock();
            loop {
                if let Some(failure) = shared.failure.take() {
                    return Err(self.described(failure));
                }
                if !shared.full.is_empty() {
                    break shared.full.remove(0);
                }
                if waits && let Some(leftover) = shared.leftovers.pop() {
                    self.skipped = leftover.rows;
                    return Ok(Fed::Leftover(leftover.piece));
                }
                if shared.working == 0 && shared.leftovers.is_empty() {
                    self.is_over = true;
                    for (own, of_workers) in cx.counters.iter_mut().zip(&shared.counters) {
                        own.add(of_workers);
                    }
                    return Ok(Fed::Nothing);
                }
                if !waits {
                    return Ok(Fed::Nothing);
                }
                shared =
                    exchange.is_full.wait_timeout(shared, TICK).unwrap_or_else(PoisonError::into_inner).0;
                cx.check()?;
            }
        };
        for (column, heap) in packet.columns.iter().zip(self.heaps) {
            if column.vector.kind() != Kind::Text {
                continue;
            }
            let mut copy = || {
                let heap = store.heap_mut(*heap);
                heap.clear();
                heap.extend_from_slice(&column.heap)
            };
            while let Err(refused) = copy() {
                if !cx.relieve(None, 0)? {
                    return Err(refused.into());
                }
            }
        }
        self.swap(&mut packet, store);
        let rows = packet.rows;
        self.installed = Some(packet);
        Ok(Fed::Batch(BatchRows::all(rows)))
    }

    #[cold]
    fn described(&mut self, failure: Failure) -> Error<'a> {
        match (failure, self.problem.take()) {
            (Failure::Other(error), _) => error,
            (Failure::Store(error), Some(problem)) => {
                *problem = StoreProblem { error, place: None };
                Error::Store(problem)
            }
            (Failure::Store(_), None) => unreachable!("the first error ends the statement"),
        }
    }
}

/// What all workers of a pipeline do.
struct Task<'t> {
    /// The pipeline's source and first steps.
    begin: &'t Pipeline<'t>,
    source: OperatorId,
    /// The last operator of these.
    last: OperatorId,
    /// Which of its columns packets have.
    positions: &'t [usize],
    schedule: Schedule<'t>,
    operators: &'t [Operator<'t>],
    snapshot: Snapshot,
    morsels: &'t Morsels<'t>,
    parameters: &'t [Value<'t>],
    began_us: i64,
    transaction_us: i64,
    seed: u64,
    capacity: usize,
    progress: Option<&'t Progress>,
}

/// Workers that may be begun.
pub(crate) struct Workers<'a> {
    exchange: Exchange<'a>,
    task: Task<'a>,
    steps_count: usize,
    ids: &'a [VectorId],
    heaps: &'a [HeapId],
    selection: SelectionId,
    problem: &'a mut StoreProblem<'a>,
    /// One for each, whose stack it has paid for.
    budgets: OwnedVec<Paid, BudgetAlloc>,
}

/// A budget with a charge for a thread.
#[derive(Debug)]
struct Paid(Budget);

impl Paid {
    const BYTES: u64 = STACK_BYTES as u64 + THREAD_BYTES;

    fn new(budget: Budget) -> Result<Paid, AllocError> {
        budget.charge(Paid::BYTES)?;
        Ok(Paid(budget))
    }
}

impl Drop for Paid {
    fn drop(&mut self) {
        self.0.release(Paid::BYTES);
    }
}

/// Who asks for workers.
pub(crate) struct Asker<'p> {
    pub(crate) pipeline: &'p Pipeline<'p>,
    pub(crate) schedule: Schedule<'p>,
    pub(crate) operators: &'p [Operator<'p>],
    pub(crate) progress: Option<&'p Progress>,
    /// Where packets are.
    pub(crate) home: &'p Arena,
    pub(crate) threads_count: usize,
}

impl<'a> Workers<'a> {
    /// Workers for a pipeline that is open, if it can be helped and there is room for one at least. From then on its source shares the
    /// table with them.
    ///
    /// # Errors
    /// The source's, when it begins with its first piece. It may have forgotten its range by then, so the pipeline is to be opened
    /// again.
    pub(crate) fn new(
        asker: &Asker<'a>,
        tables: &Tables<'_>,
        flow: &mut Flow<'a>,
        store: &mut Store<'a>,
    ) -> Result<Option<Workers<'a>>, Error<'a>> {
        if asker.threads_count < 2 {
            return Ok(None);
        }
        let Tables::Snapshot(snapshot) = tables else { return Ok(None) };
        // Where there is no room, the statement's own thread does without.
        let Ok(Some(workers)) = Workers::prepare(asker, (tables, snapshot), flow, store) else {
            return Ok(None);
        };
        flow.share(workers.task.morsels)?;
        Ok(Some(workers))
    }

    fn prepare(
        asker: &Asker<'a>,
        (tables, snapshot): (&Tables<'_>, &Snapshot),
        flow: &Flow<'a>,
        store: &mut Store<'a>,
    ) -> Result<Option<Workers<'a>>, AllocError> {
        let Asker { operators, home, threads_count, .. } = *asker;
        let budget = home.budget();
        let Some(beginning) = asker.pipeline.beginning(operators, home)? else { return Ok(None) };
        let Some(pieces) = flow.pieces(tables, threads_count, home) else { return Ok(None) };
        let columns = flow.columns_of(beginning.last);
        let is_first = |position: &usize| {
            let id = columns[*position];
            !store.vector(id).is_constant && !columns[..*position].contains(&id)
        };
        let wanted = (0..columns.len()).filter(is_first);
        let mut positions = Vec::with_capacity_in(columns.len(), home)?;
        positions.extend(wanted)?;
        let positions: &'a [usize] = positions.into_slice();
        let ids = &*home.alloc_slice_from_iter(positions.iter().map(|position| columns[*position]))?;
        let kind_of = |id: &VectorId, store: &Store<'a>| store.vector(*id).kind();
        let packet_bytes =
            ids.iter().map(|id| kind_of(id, store).bytes() + 1).sum::<usize>() * store.capacity;

        let most = (threads_count - 1).min(pieces.count() - 1);
        let limit = budget.limit_on_path();
        let share = |workers: usize| {
            workers_bytes(limit, threads_count).min(workers as u64 * WORKER_BYTES_MAX) / workers as u64
        };
        let least_bytes = Paid::BYTES + (PACKETS_PER_WORKER * packet_bytes) as u64;
        let Some(count) = (1..=most).rev().find(|workers| share(*workers) > least_bytes) else {
            return Ok(None);
        };
        let worker_bytes = share(count) - (PACKETS_PER_WORKER * packet_bytes) as u64;

        let alloc = BudgetAlloc::new(budget);
        let reserved = |room: usize| {
            let mut list = OwnedVec::new_in(alloc.clone());
            list.try_reserve_exact(room).map(|()| list).map_err(|_| AllocError)
        };
        let mut budgets = OwnedVec::new_in(alloc.clone());
        budgets.try_reserve_exact(count).map_err(|_| AllocError)?;
        for number in 1..=count {
            let mut label: InlineText<16> = InlineText::EMPTY;
            // A name that does not fit is cut, which is no error.
            let _ = write!(label, "worker_{number}");
            let Ok(paid) = budget.child(label.as_str(), worker_bytes).and_then(Paid::new) else { break };
            budgets.push(paid);
        }
        if budgets.is_empty() {
            return Ok(None);
        }
        let mut heaps = Vec::with_capacity_in(ids.len(), home)?;
        for id in ids {
            heaps.push(match kind_of(id, store) {
                Kind::Text => store.add_heap(home)?,
                _ => HeapId(0),
            })?;
        }
        let heaps: &'a [HeapId] = heaps.into_slice();
        let (mut free, full) =
            (reserved(budgets.len() * PACKETS_PER_WORKER)?, reserved(budgets.len() * PACKETS_PER_WORKER)?);
        for paid in budgets.iter().cycle().take(budgets.len() * PACKETS_PER_WORKER) {
            let mut columns = OwnedVec::new_in(alloc.clone());
            columns.try_reserve_exact(ids.len()).map_err(|_| AllocError)?;
            for (id, heap) in ids.iter().zip(heaps) {
                let mut vector = Vector::new(kind_of(id, store), store.capacity, home)?;
                vector.heap = *heap;
                columns.push(PacketColumn { vector, heap: Growing::new(&paid.0) });
            }
            free.push(Packet { rows: 0, columns });
        }
        let mut counters = OwnedVec::new_in(alloc.clone());
        counters.try_reserve_exact(operators.len()).map_err(|_| AllocError)?;
        counters.resize(operators.len(), Counters::default());
        let mut leftovers = OwnedVec::new_in(alloc.clone());
        leftovers.try_reserve_exact(budgets.len()).map_err(|_| AllocError)?;
        let selection = store.add_selection(home)?;
        let problem = home.alloc(StoreProblem { error: cofferdam_store::Error::Cancelled, place: None })?;
        let morsels = &*home.alloc(Morsels::new(pieces))?;
        let Statement { began_us, transaction_us, parameters, .. } = store.statement;
        let seed = store.statement.random.next_u64();
        let Ok(snapshot) = snapshot.again() else { return Ok(None) };
        Ok(Some(Workers {
            exchange: Exchange {
                is_stopped: AtomicBool::new(false),
                shared: Mutex::new(Shared { free, full, working: 0, leftovers, failure: None, counters }),
                is_full: Condvar::new(),
                is_free: Condvar::new(),
            },
            task: Task {
                begin: beginning.pipeline,
                source: beginning.source,
                last: beginning.last,
                positions,
                schedule: asker.schedule,
                operators,
                snapshot,
                morsels,
                parameters,
                began_us,
                transaction_us,
                seed,
                capacity: store.capacity,
                progress: asker.progress,
            },
            steps_count: beginning.steps_count,
            ids,
            heaps,
            selection,
            problem,
            budgets,
        }))
    }

    /// Begins them, has `carry` carry batches until it is done with the pipeline, and waits until all have ended.
    pub(crate) fn help<T>(self, carry: impl FnOnce(&mut Feed<'_, 'a>) -> T) -> T {
        let Workers { exchange, task, steps_count, ids, heaps, selection, problem, budgets } = self;
        let (exchange, task) = (&exchange, &task);
        // What the workers of a scope share: the first one's charge has room for it.
        BudgetAlloc::count_taken();
        thread::scope(|scope| {
            let _stop = StopWhenDropped(exchange);
            for (number, paid) in budgets.iter().enumerate() {
                exchange.lock().working += 1;
                let worker = move || task.run(number as u64 + 1, &paid.0, exchange);
                (0..THREAD_PIECES).for_each(|_| BudgetAlloc::count_taken());
                if thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, worker).is_err() {
                    // The system has no more of them.
                    exchange.lock().working -= 1;
                    break;
                }
            }
            carry(&mut Feed {
                exchange,
                steps_count,
                ids,
                heaps,
                installed: None,
                skipped: 0,
                selection,
                problem: Some(problem),
                is_over: false,
            })
        })
    }
}

impl Leftover {
    /// Rows are of this piece now.
    fn enter(&mut self, piece: Option<usize>) {
        let piece = piece.unwrap_or(usize::MAX);
        if self.piece != piece {
            *self = Leftover { piece, rows: 0 };
        }
    }
}

/// A worker that is at work.
struct Working<'e, 'a>(&'e Exchange<'a>);

impl Drop for Working<'_, '_> {
    fn drop(&mut self) {
        self.0.lock().working -= 1;
        self.0.is_full.notify_one();
    }
}

impl Task<'_> {
    /// A worker, from its begin to its end.
    fn run(&self, number: u64, budget: &Budget, exchange: &Exchange<'_>) {
        let _working = Working(exchange);
        let is_stopped = || exchange.is_stopped();
        let home = Arena::new(budget);
        let mut of_operators = Vec::new_in(&home);
        let arenas = (0..self.operators.len()).try_for_each(|_| of_operators.push(Arena::new(budget)));
        if arenas.is_err() {
            return;
        }
        let arenas = Arenas { of_operators: &of_operators, home: &home };
        let mut done = Leftover { piece: usize::MAX, rows: 0 };
        let outcome = self.fill_packets(number, arenas, &is_stopped, &mut done, exchange);
        let mut shared = exchange.lock();
        match outcome {
            // The statement's own thread has more room than a worker.
            Err(error) if error.refusal().is_some() => {
                if done.piece != usize::MAX {
                    shared.leftovers.push(done);
                }
            }
            Ok(()) => {}
            Err(_) if exchange.is_stopped() => {}
            Err(Error::Store(problem)) => drop(shared.failure.get_or_insert(Failure::Store(problem.error))),
            Err(error) => drop(shared.failure.get_or_insert(Failure::Other(error.detached()))),
        }
    }

    /// Reads pieces until there are none; `done` is told how far it has come with the last one.
    fn fill_packets<'w>(
        &'w self,
        number: u64,
        arenas: Arenas<'w>,
        is_stopped: &'w dyn Fn() -> bool,
        done: &mut Leftover,
        exchange: &Exchange<'_>,
    ) -> Result<(), Error<'w>> {
        let mut store = Store::new(self.capacity, arenas.home);
        store.statement = Statement {
            began_us: self.began_us,
            transaction_us: self.transaction_us,
            random: Random::new(self.seed.wrapping_add(number)),
            parameters: self.parameters,
            is_cancelled: is_stopped,
        };
        let tables = Tables::Lent(&self.snapshot);
        let counters = arenas.home.alloc_slice_fill(self.operators.len(), Counters::default())?;
        let mut cx = Context {
            slots: &mut [],
            tables: &tables,
            spill: None,
            engine: None,
            progress: self.progress,
            is_cancelled: is_stopped,
            counters,
            laps: None,
        };
        let mut flow =
            Flow::open(self.begin, self.schedule, self.operators, arenas, false, &mut store, &mut cx)?;
        let columns = flow.columns_of(self.last);
        let ids = self.positions.iter().map(|position| columns[*position]);
        let ids = arenas.home.alloc_slice_from_iter(ids)?;
        let outcome = flow.share(self.morsels);
        let mut packets = || -> Result<(), Error<'w>> {
            outcome?;
            while let Given::Batch(rows) = flow.next(&mut store, &mut cx, None)? {
                let Some(mut packet) = exchange.take_free() else { break };
                packet.fill(store.rows(rows), ids, &store)?;
                done.enter(flow.piece());
                done.rows += packet.rows as u64;
                exchange.put_full(packet);
            }
            Ok(())
        };
        let outcome = packets();
        if outcome.is_err() {
            done.enter(flow.piece());
        }
        let mut shared = exchange.lock();
        for (all, own) in shared.counters.iter_mut().zip(cx.counters.iter()) {
            all.add(own);
        }
        shared.counters[self.source.index()].workers += 1;
        outcome
    }
}
