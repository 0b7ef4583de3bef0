//! A clock that cancels statements which take too long.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use cofferdam::Canceller;

/// The time between two looks.
const STEP: Duration = Duration::from_millis(50);

/// Cancels the statements of one connection when their time is up, from a thread of its own.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    timeout: Duration,
}

#[derive(Debug, Default)]
struct Shared {
    deadline: Mutex<Option<Instant>>,
    is_over: AtomicBool,
}

impl Watch {
    /// A clock for the statements that `canceller` ends.
    pub fn new(canceller: Canceller, timeout: Duration) -> Watch {
        let shared = Arc::new(Shared::default());
        let watched = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            while !watched.is_over.load(Ordering::Relaxed) {
                thread::park_timeout(STEP);
                let deadline = *watched.deadline.lock().unwrap_or_else(PoisonError::into_inner);
                // Again at each look: the flag is cleared when a statement is prepared.
                if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                    canceller.cancel();
                }
            }
        });
        Watch { shared, thread: Some(thread), timeout }
    }

    /// Does `work`, which is cancelled when it takes longer than the timeout.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        self.set(Some(Instant::now() + self.timeout));
        let result = work();
        self.set(None);
        result
    }

    fn set(&self, deadline: Option<Instant>) {
        *self.shared.deadline.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam::{Database, Options};

    #[test]
    fn a_statement_that_takes_too_long_is_cancelled_and_the_next_is_not() {
        let database = Database::open_in_memory(Options::new()).unwrap();
        let connection = database.connect().unwrap();
        let watch = Watch::new(connection.canceller(), Duration::from_millis(100));
        let ten = "(VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)) AS";
        let sql = format!(
            "SELECT count(*) FROM {ten} a(x), {ten} b(x), {ten} c(x), {ten} d(x), {ten} e(x), {ten} f(x), {ten} g(x),
             {ten} h(x), {ten} i(x), {ten} j(x), {ten} k(x), {ten} l(x)"
        );
        let error = watch.during(|| connection.execute(&sql)).unwrap_err();
        assert_eq!(error.sqlstate(), "57014");
        assert_eq!(watch.during(|| connection.execute("SELECT 1")).unwrap(), 1);
    }
}
