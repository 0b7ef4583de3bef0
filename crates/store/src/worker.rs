//! A thread that flushes and compacts in the background, for any number of stores.
//!
//! One thread serves all databases of a process: two hundred idle ones cost one stack. It sleeps until a store rings,
//! then goes around the stores that rang. A flush is done as soon as the thread gets to it: compactions are made of slices
//! and look between them whether somebody rang for a flush ([`Bell::is_urgent`]).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;

use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, Budget, BudgetAlloc};

/// What a store lets the worker do.
pub(crate) trait Chores: Send + Sync {
    /// Flushes what waits to be flushed. It returns soon, and again and again nothing is left to do.
    fn flush(&self);
    /// Compacts, calling `between` from time to time and ending early when that says so; true if there is more to do.
    fn compact(&self, between: &dyn Fn() -> bool) -> bool;
}

/// A background thread, and the stores that it works for. It ends when it is dropped; stores that outlive it do their
/// chores on their callers' threads.
///
/// **Memory.** The stack of 256 KiB, charged when it starts, and 64 bytes a store.
#[derive(Debug)]
pub struct Worker {
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
    alloc: BudgetAlloc,
}

/// What wakes the thread.
pub(crate) struct Bell {
    state: Mutex<State>,
    rung: Condvar,
    /// Some store waits for a flush.
    is_urgent: AtomicBool,
    is_ending: AtomicBool,
}

struct State {
    stores: Vec<Weak<dyn Chores>, BudgetAlloc>,
    is_rung: bool,
}

impl core::fmt::Debug for Bell {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Bell").field("is_urgent", &self.is_urgent).finish_non_exhaustive()
    }
}

impl Worker {
    /// Bytes of the thread's stack, charged to the budget that the worker is started on.
    pub const STACK_BYTES: usize = 256 << 10;

    /// Starts the thread.
    ///
    /// # Errors
    /// The budget refuses the stack; the system refuses a thread (the same token, as nothing better can be done).
    pub fn start(budget: &Budget) -> Result<Worker, AllocError> {
        let alloc = BudgetAlloc::new(budget);
        alloc.charge(Worker::STACK_BYTES)?;
        let bell = Arc::new(Bell {
            state: Mutex::new(State { stores: Vec::new_in(alloc.clone()), is_rung: false }),
            rung: Condvar::new(),
            is_urgent: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
        });
        let (shared, name) = (Arc::clone(&bell), "cofferdam-store".into());
        let thread = std::thread::Builder::new()
            .name(name)
            .stack_size(Worker::STACK_BYTES)
            .spawn(move || shared.serve());
        let Ok(thread) = thread else {
            alloc.release(Worker::STACK_BYTES);
            return Err(AllocError);
        };
        Ok(Worker { bell, thread: Some(thread), alloc })
    }

    pub(crate) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.bell.is_ending.store(true, Ordering::Release);
        self.bell.ring();
        // The thread itself may be the last to let go of a store that owns it; then it ends when it is done here.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic of the thread was reported where it happened.
            let _ = thread.join();
        }
        self.alloc.release(Worker::STACK_BYTES);
    }
}

impl Bell {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the worker serve a store for as long as that lives.
    ///
    /// # Errors
    /// There is no room to note it.
    pub(crate) fn add(&self, store: Weak<dyn Chores>) -> Result<(), AllocError> {
        let mut state = self.lock();
        state.stores.retain(|store| store.strong_count() > 0);
        state.stores.try_reserve(1)?;
        state.stores.push(store);
        Ok(())
    }

    /// Says that there is something to do.
    pub(crate) fn ring(&self) {
        self.lock().is_rung = true;
        self.rung.notify_one();
    }

    /// Says that somebody waits for a flush.
    pub(crate) fn ring_urgently(&self) {
        self.is_urgent.store(true, Ordering::Release);
        self.ring();
    }

    /// True once the thread has been told to end: nobody will serve.
    pub(crate) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Acquire)
    }

    fn serve(&self) {
        while self.wait() {
            self.flush_all();
            let mut place = 0;
            while let Some(store) = self.store(place) {
                place += 1;
                let between = || {
                    if self.is_urgent.load(Ordering::Acquire) {
                        self.flush_all();
                    }
                    // Where nobody else has the store, its closing waits for this.
                    self.is_ending() || Arc::strong_count(&store) == 1
                };
                while store.compact(&between) && !between() {}
            }
        }
    }

    /// Waits until somebody rings; false at the end.
    fn wait(&self) -> bool {
        let mut state = self.lock();
        while !state.is_rung && !self.is_ending() {
            state = self.rung.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_rung = false;
        !self.is_ending()
    }

    /// The lock is not held while a store works, so stores come and go meanwhile.
    fn store(&self, place: usize) -> Option<Arc<dyn Chores>> {
        let state = self.lock();
        state.stores.get(place..)?.iter().find_map(Weak::upgrade)
    }

    fn flush_all(&self) {
        self.is_urgent.store(false, Ordering::Release);
        let mut place = 0;
        while let Some(store) = self.store(place) {
            store.flush();
            place += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    #[derive(Default)]
    struct Counting {
        flushes: AtomicUsize,
        slices: AtomicUsize,
        /// Slices that are left to be compacted.
        left: AtomicUsize,
    }

    impl Chores for Counting {
        fn flush(&self) {
            self.flushes.fetch_add(1, Ordering::SeqCst);
        }

        fn compact(&self, between: &dyn Fn() -> bool) -> bool {
            while self.left.load(Ordering::SeqCst) > 0 {
                self.slices.fetch_add(1, Ordering::SeqCst);
                self.left.fetch_sub(1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(1));
                if between() {
                    return true;
                }
            }
            false
        }
    }

    fn until(what: impl Fn() -> bool) {
        let started = std::time::Instant::now();
        while !what() {
            assert!(started.elapsed() < Duration::from_secs(20), "it never happens");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_flush_does_not_wait_for_a_compaction() {
        let budget = Budget::unlimited("process").unwrap();
        let worker = Worker::start(&budget).unwrap();
        let (busy, other) = (Arc::new(Counting::default()), Arc::new(Counting::default()));
        busy.left.store(3000, Ordering::SeqCst);
        for store in [&busy, &other] {
            let weak: Weak<dyn Chores> = Arc::downgrade(&(Arc::clone(store) as Arc<dyn Chores>));
            worker.bell().add(weak).unwrap();
        }
        worker.bell().ring();
        until(|| busy.slices.load(Ordering::SeqCst) > 5);
        let before = other.flushes.load(Ordering::SeqCst);
        worker.bell().ring_urgently();
        until(|| other.flushes.load(Ordering::SeqCst) > before);
        assert!(busy.left.load(Ordering::SeqCst) > 0, "the compaction goes on");
        drop(worker);
        assert!(busy.left.load(Ordering::SeqCst) > 0, "and ends with the worker");
        assert_eq!(budget.used(), 4096, "the root's own page");
    }

    #[test]
    fn stores_that_are_gone_are_not_served() {
        let budget = Budget::unlimited("process").unwrap();
        let worker = Worker::start(&budget).unwrap();
        let store = Arc::new(Counting::default());
        let weak: Weak<dyn Chores> = Arc::downgrade(&(Arc::clone(&store) as Arc<dyn Chores>));
        worker.bell().add(weak).unwrap();
        worker.bell().ring();
        until(|| store.flushes.load(Ordering::SeqCst) > 0);
        drop(store);
        for _ in 0..100 {
            let gone: Weak<dyn Chores> = Weak::<Counting>::new();
            worker.bell().add(gone).unwrap();
        }
        assert!(budget.used() <= 4096 + Worker::STACK_BYTES as u64 + 2048, "{}", budget.used());
    }

    #[test]
    fn a_worker_that_does_not_fit_is_refused() {
        let budget = Budget::unlimited("process").unwrap().child("small", 64 << 10).unwrap();
        assert!(Worker::start(&budget).is_err());
        assert_eq!(budget.used(), 0);
    }
}
