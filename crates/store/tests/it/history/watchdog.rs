//! Ends the process where threads wait for each other for ever: a test that hangs tells nothing.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Watches until it is dropped.
pub(super) struct Watchdog {
    is_done: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Gives so much time from now on. When that is over, `late` is called, once: it says what it knows, and ends the process.
    pub(super) fn start(time: Duration, late: impl FnOnce() + Send + 'static) -> Watchdog {
        let is_done = Arc::new((Mutex::new(false), Condvar::new()));
        let thread = std::thread::spawn({
            let is_done = Arc::clone(&is_done);
            move || {
                let deadline = Instant::now() + time;
                let (flag, changed) = &*is_done;
                let mut flag = flag.lock().unwrap_or_else(PoisonError::into_inner);
                while !*flag {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        drop(flag);
                        return late();
                    }
                    flag = changed.wait_timeout(flag, left).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        });
        Watchdog { is_done, thread: Some(thread) }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        *self.is_done.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.is_done.1.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn who_is_late_is_told_and_who_is_not_is_left_alone() {
        let (late, is_late) = mpsc::channel();
        let watchdog = Watchdog::start(Duration::from_millis(5), move || late.send(()).unwrap());
        is_late.recv().unwrap();
        drop(watchdog);
        drop(Watchdog::start(Duration::from_secs(600), || panic!("nobody was late")));
    }
}
