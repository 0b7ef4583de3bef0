//! Work on several threads that provably ran at the same time.
//!
//! All threads wait at a spinning gate, each on a processor of its own, and each notes when it began and ended. The
//! measurement counts only when the windows overlap by [`OVERLAP_MIN`] and no thread lost its processor meanwhile.

use crate::clock::{Presence, Sample, pin_to};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Instant;

/// The share of the whole time during which all threads must have been running.
pub const OVERLAP_MIN: f64 = 0.8;

/// One measurement of work done side by side.
#[derive(Clone, Copy, Debug)]
pub struct Together {
    /// The mean of the threads' own windows, in nanoseconds.
    pub window_ns: f64,
    /// The part of the time from first start to last end in which all were running, 0 to 1.
    pub overlap: f64,
    /// No thread lost its processor.
    pub undisturbed: bool,
}

impl Together {
    /// The mean window; of no use unless the threads really ran side by side.
    pub fn sample(self) -> Sample {
        if self.undisturbed && self.overlap >= OVERLAP_MIN {
            Sample::clean(self.window_ns)
        } else {
            Sample::USELESS
        }
    }
}

/// Runs `work(index)` on `threads_count` threads that start together.
///
/// # Panics
/// When `work` panics.
pub fn together(threads_count: usize, work: impl Fn(usize) + Sync) -> Together {
    let gate = AtomicUsize::new(0);
    let windows: Vec<(Instant, Instant, bool)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads_count)
            .map(|index| {
                let (gate, work) = (&gate, &work);
                scope.spawn(move || {
                    pin_to(index);
                    gate.fetch_add(1, SeqCst);
                    while gate.load(SeqCst) < threads_count {
                        std::hint::spin_loop();
                    }
                    let (presence, start) = (Presence::now(), Instant::now());
                    work(index);
                    let end = Instant::now();
                    (start, end, presence.undisturbed_since())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("work does not panic")).collect()
    });
    let first = windows.iter().map(|window| window.0).min().expect("at least one thread");
    let nanoseconds = |at: Instant| at.duration_since(first).as_nanos() as f64;
    let (starts, ends): (Vec<f64>, Vec<f64>) =
        windows.iter().map(|w| (nanoseconds(w.0), nanoseconds(w.1))).unzip();
    let common =
        ends.iter().copied().fold(f64::INFINITY, f64::min) - starts.iter().copied().fold(0.0, f64::max);
    let whole = ends.iter().copied().fold(0.0, f64::max);
    Together {
        window_ns: starts.iter().zip(&ends).map(|(start, end)| end - start).sum::<f64>()
            / windows.len() as f64,
        overlap: (common / whole).max(0.0),
        undisturbed: windows.iter().all(|window| window.2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Aim: work that did not overlap is not counted. Method: the second thread sleeps half of the time.
    #[test]
    fn a_sleeping_partner_invalidates() {
        let spin = |milliseconds: u64| {
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(milliseconds) {}
        };
        let measured =
            together(
                2,
                |index| if index == 0 { spin(20) } else { std::thread::sleep(Duration::from_millis(8)) },
            );
        assert!(measured.overlap < 0.7, "{measured:?}");
        assert!(!measured.sample().is_undisturbed);
    }
}
