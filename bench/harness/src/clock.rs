//! Time, and whether it was ours.

use std::time::Instant;

/// How often the system has taken the processor from this thread against its will, and the time it has run, in
/// nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Presence {
    switches_count: i64,
    run_ns: i64,
    at: Instant,
}

impl Presence {
    /// The calling thread now.
    pub fn now() -> Presence {
        // SAFETY: `rusage` is plain integers, for which all zeroes are a value.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: `usage` is a live, exclusively borrowed `rusage`.
        unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) };
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is a live, exclusively borrowed `timespec`.
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
        Presence {
            switches_count: usage.ru_nivcsw,
            run_ns: time.tv_sec * 1_000_000_000 + time.tv_nsec,
            at: Instant::now(),
        }
    }

    /// Whether the thread had a processor (nearly) all the time since.
    pub fn undisturbed_since(self) -> bool {
        self.sample_since().is_undisturbed
    }

    /// The time since: by the wall where the thread had a processor (nearly) all of it, else the thread's own.
    pub fn sample_since(self) -> Sample {
        let now = Presence::now();
        let wall_ns = now.at.duration_since(self.at).as_nanos() as f64;
        let run_ns = (now.run_ns - self.run_ns) as f64;
        let is_undisturbed = now.switches_count == self.switches_count && run_ns >= 0.95 * wall_ns - 5_000.0;
        Sample { spent_ns: if is_undisturbed { wall_ns } else { run_ns }, is_undisturbed }
    }
}

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Nanoseconds; not a number where there is no use in what was measured.
    pub spent_ns: f64,
    /// The processor was ours all the time.
    pub is_undisturbed: bool,
}

impl Sample {
    /// A measurement that nothing disturbed.
    pub fn clean(spent_ns: f64) -> Sample {
        Sample { spent_ns, is_undisturbed: true }
    }

    /// A measurement that must not be used.
    pub const USELESS: Sample = Sample { spent_ns: f64::NAN, is_undisturbed: false };
}

/// Keeps the calling thread on processor `index` where the system allows it; says whether it did.
pub fn pin_to(index: usize) -> bool {
    // SAFETY: a `cpu_set_t` is plain integers, for which all zeroes are the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is live and exclusively borrowed; the macro function bounds `index` by the set's size.
    unsafe { libc::CPU_SET(index % libc::CPU_SETSIZE as usize, &mut set) };
    // SAFETY: process 0 is the calling thread, and the size is that of `set`.
    unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) == 0 }
}

/// Nanoseconds that one call of `work` takes, for works too short for `Instant`: read from the processor's own counter
/// where there is one, less the cost of reading it.
pub fn once_ns(work: impl FnOnce()) -> f64 {
    let (empty, ticks_per_ns) = *CALIBRATION.get_or_init(calibrate);
    let start = ticks();
    work();
    let spent = ticks() - start;
    spent.saturating_sub(empty) as f64 / ticks_per_ns
}

/// The ticks of an empty measurement (the median of 1,001), and ticks per nanosecond.
static CALIBRATION: std::sync::OnceLock<(u64, f64)> = std::sync::OnceLock::new();

fn calibrate() -> (u64, f64) {
    let mut empty: Vec<u64> = (0..1001)
        .map(|_| {
            let start = ticks();
            ticks() - start
        })
        .collect();
    empty.sort_unstable();
    let (start, ticks_at_start) = (Instant::now(), ticks());
    while start.elapsed().as_millis() < 20 {}
    let spent = ticks() - ticks_at_start;
    (empty[500], spent as f64 / start.elapsed().as_nanos() as f64)
}

/// The processor's counter, fenced so that no work moves across it.
#[cfg(target_arch = "x86_64")]
fn ticks() -> u64 {
    use std::arch::x86_64::{_mm_lfence, _rdtsc};
    // SAFETY: both instructions are part of every x86-64 processor.
    unsafe {
        _mm_lfence();
        let ticks = _rdtsc();
        _mm_lfence();
        ticks
    }
}

/// Nanoseconds of the system's clock.
#[cfg(not(target_arch = "x86_64"))]
fn ticks() -> u64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Aim: short and long works are told apart. Method: nothing against a loop of known length.
    #[test]
    fn short_times_are_plausible() {
        let long = once_ns(|| {
            let start = Instant::now();
            while start.elapsed().as_micros() < 2000 {}
        });
        assert!((1.9e6..1e9).contains(&long), "{long} ns");
        assert!(once_ns(|| {}) < 10_000.0);
    }

    #[test]
    fn sleeping_is_a_disturbance() {
        let presence = Presence::now();
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert!(!presence.undisturbed_since());
    }
}
