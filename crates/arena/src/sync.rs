//! The one place that says where locks and atomics come from: std, a spin lock where there is no std, or loom's
//! model-checked twins under `--cfg loom`.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};

#[cfg(loom)]
type Raw<T> = loom::sync::Mutex<T>;
#[cfg(all(not(loom), feature = "std"))]
type Raw<T> = std::sync::Mutex<T>;
#[cfg(all(not(loom), not(feature = "std")))]
type Raw<T> = spin::SpinLock<T>;

/// A mutex without poisoning: no code of this crate runs foreign closures while it holds one, so a panic cannot
/// leave the guarded value half changed.
pub(crate) struct Mutex<T>(Raw<T>);

#[cfg(loom)]
pub(crate) type Guard<'a, T> = loom::sync::MutexGuard<'a, T>;
#[cfg(all(not(loom), feature = "std"))]
pub(crate) type Guard<'a, T> = std::sync::MutexGuard<'a, T>;
#[cfg(all(not(loom), not(feature = "std")))]
pub(crate) type Guard<'a, T> = spin::Guard<'a, T>;

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Mutex<T> {
        Mutex(Raw::new(value))
    }

    #[cfg(any(loom, feature = "std"))]
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    #[cfg(all(not(loom), not(feature = "std")))]
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        self.0.lock()
    }
}

/// A lock around work that calls foreign code: whoever holds it may come back to the same place on the same thread,
/// and is told so instead of waiting for itself. Where threads cannot be told apart, nobody waits for ever: who has
/// waited for very long is told so too.
pub(crate) struct Turn {
    lock: Mutex<()>,
    /// The token of the thread that has its turn; 0: none.
    holder: AtomicUsize,
}

/// One thread's turn, until it is dropped.
pub(crate) struct Taken<'a> {
    holder: &'a AtomicUsize,
    _guard: Guard<'a, ()>,
}

impl Turn {
    pub(crate) fn new() -> Turn {
        Turn { lock: Mutex::new(()), holder: AtomicUsize::new(0) }
    }

    /// Waits for the others; `None` where this thread has its turn already (or, without `std`, seems to).
    pub(crate) fn take(&self) -> Option<Taken<'_>> {
        let token = thread_token();
        // Only this thread stores its own token, so whoever reads it back holds the lock.
        if token != 0 && self.holder.load(Ordering::Relaxed) == token {
            return None;
        }
        #[cfg(any(loom, feature = "std"))]
        let guard = self.lock.lock();
        #[cfg(all(not(loom), not(feature = "std")))]
        let guard = self.lock.0.lock_within(TURN_SPINS_MAX)?;
        self.holder.store(token, Ordering::Relaxed);
        Some(Taken { holder: &self.holder, _guard: guard })
    }
}

/// So often is a turn looked at before it counts as one's own: some milliseconds.
#[cfg(all(not(loom), not(feature = "std")))]
const TURN_SPINS_MAX: u32 = 1 << 20;

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.holder.store(0, Ordering::Relaxed);
    }
}

/// A number that no other living thread has, or 0 where threads cannot be told apart.
#[cfg(all(not(loom), feature = "std"))]
fn thread_token() -> usize {
    std::thread_local! { static HERE: u8 = const { 0 } }
    HERE.with(|here| (&raw const *here).addr())
}

#[cfg(any(loom, not(feature = "std")))]
fn thread_token() -> usize {
    0
}

#[cfg(all(not(loom), not(feature = "std")))]
mod spin {
    use core::cell::UnsafeCell;
    use core::ops::{Deref, DerefMut};
    use core::sync::atomic::{AtomicBool, Ordering};

    /// Test-and-test-and-set lock for targets without an operating system to wait on.
    pub(crate) struct SpinLock<T> {
        held: AtomicBool,
        value: UnsafeCell<T>,
    }

    // SAFETY: the lock gives out one exclusive guard at a time, so sharing it only moves `T` between threads.
    unsafe impl<T: Send> Sync for SpinLock<T> {}

    pub(crate) struct Guard<'a, T>(&'a SpinLock<T>);

    impl<T> SpinLock<T> {
        pub(crate) const fn new(value: T) -> SpinLock<T> {
            SpinLock { held: AtomicBool::new(false), value: UnsafeCell::new(value) }
        }

        pub(crate) fn lock(&self) -> Guard<'_, T> {
            loop {
                if let Some(guard) = self.lock_within(u32::MAX) {
                    return guard;
                }
            }
        }

        /// The lock, or `None` after so many looks at it.
        pub(crate) fn lock_within(&self, spins_max: u32) -> Option<Guard<'_, T>> {
            for _ in 0..spins_max {
                let seen = self.held.load(Ordering::Relaxed);
                if !seen
                    && self
                        .held
                        .compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed)
                        .is_ok()
                {
                    return Some(Guard(self));
                }
                core::hint::spin_loop();
            }
            None
        }
    }

    impl<T> Deref for Guard<'_, T> {
        type Target = T;
        fn deref(&self) -> &T {
            // SAFETY: this guard holds the lock, so nobody else has a reference to the value.
            unsafe { &*self.0.value.get() }
        }
    }

    impl<T> DerefMut for Guard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            // SAFETY: as in `deref`; `&mut self` makes this the only reference made from the guard.
            unsafe { &mut *self.0.value.get() }
        }
    }

    impl<T> Drop for Guard<'_, T> {
        fn drop(&mut self) {
            self.0.held.store(false, Ordering::Release);
        }
    }
}

/// Runs `work` on a thread of its own.
///
/// # Panics
/// It panics, or has not come to its end after a minute; after a quarter of an hour where it is interpreted.
#[cfg(all(test, not(loom)))]
pub(crate) fn finishes(work: impl FnOnce() + Send + 'static) {
    extern crate std;
    let (done, finished) = std::sync::mpsc::channel();
    let worker = std::thread::spawn(move || {
        work();
        done.send(()).expect("somebody waits");
    });
    let seconds = if cfg!(miri) { 15 * 60 } else { 60 };
    let outcome = finished.recv_timeout(core::time::Duration::from_secs(seconds));
    assert_ne!(outcome, Err(std::sync::mpsc::RecvTimeoutError::Timeout), "a deadlock");
    worker.join().expect("the worker's own assertions hold");
}
