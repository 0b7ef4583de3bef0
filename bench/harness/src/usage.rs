//! What the process has used: processor time, time by the wall, memory, and what it asked of its files.

use crate::counting::Counts;
use std::time::Instant;

/// The start of something that is measured.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    cpu_ns: u64,
    at: Instant,
    counts: Counts,
}

/// What was used since a [`Meter`] was started, by all threads of the process.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    /// Processor time, of the process itself and of the system for it.
    pub cpu_ns: f64,
    /// Time by the wall.
    pub wall_ns: f64,
    /// Calls and bytes.
    pub counts: Counts,
}

impl Meter {
    /// Starts now.
    pub fn start() -> Meter {
        Meter { counts: Counts::now(), at: Instant::now(), cpu_ns: process_cpu_ns() }
    }

    /// What was used since.
    pub fn spent(self) -> Spent {
        let cpu_ns = process_cpu_ns() - self.cpu_ns;
        let wall_ns = self.at.elapsed().as_nanos() as f64;
        Spent { cpu_ns: cpu_ns as f64, wall_ns, counts: Counts::now().since(self.counts) }
    }
}

/// Processor time of all threads of the process so far.
fn process_cpu_ns() -> u64 {
    let usage = usage();
    let ns = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1_000;
    ns(usage.ru_utime) + ns(usage.ru_stime)
}

/// The most memory that was resident, pages of files included.
pub fn resident_bytes_peak() -> u64 {
    usage().ru_maxrss as u64 * 1024
}

fn usage() -> libc::rusage {
    // SAFETY: `rusage` is plain integers, for which all zeroes are a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a live, exclusively borrowed `rusage`.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    usage
}

/// Processor time of the calling thread so far, in nanoseconds.
pub fn thread_cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a live, exclusively borrowed `timespec`.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Processor time of the calling thread that `work` takes, in nanoseconds.
pub fn thread_cpu_of(work: impl FnOnce()) -> f64 {
    let start = thread_cpu_ns();
    work();
    (thread_cpu_ns() - start) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Aim: processor time is that of work, not of waiting. Method: a loop of 10 ms beside a sleep of 10 ms.
    #[test]
    fn waiting_costs_no_processor_time() {
        let busy = thread_cpu_of(|| {
            let start = thread_cpu_ns();
            while thread_cpu_ns() - start < 10_000_000 {}
        });
        let waiting = thread_cpu_of(|| std::thread::sleep(std::time::Duration::from_millis(10)));
        assert!(busy >= 10e6 && waiting < 5e6, "{busy} and {waiting} ns");
        assert!(resident_bytes_peak() > 100_000);
    }
}
