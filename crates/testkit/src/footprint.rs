//! How much private memory a process takes, seen from outside.
//!
//! Works by starting the command as a child and reading `/proc/PID/status` each millisecond until it ends:
//!
//! ```text
//! private  = RssAnon + RssShmem + VmSwap     what this process alone costs the machine; sampled, so a lower bound
//! resident = VmHWM                           the system's own high-water mark; counts file pages too, so an upper bound
//! ```
//!
//! A peak between two samples is missed by the first figure and caught by the second. Only the child itself is
//! measured, not the processes that it starts. Needs Linux; elsewhere [`run`] answers `Unsupported`.

use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The time between two samples.
pub const PERIOD: Duration = Duration::from_millis(1);

/// Memory of one process at one moment, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// `RssAnon + RssShmem + VmSwap`.
    pub private_bytes: u64,
    /// `VmHWM`: the highest resident size so far, file pages included.
    pub resident_bytes_peak: u64,
}

/// Highest figures of a whole run, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// The highest sampled `RssAnon + RssShmem + VmSwap`.
    pub private_bytes_peak: u64,
    /// The last seen `VmHWM`.
    pub resident_bytes_peak: u64,
    /// How many samples were taken while the process had memory; 0 means that it was gone before the first.
    pub samples_count: u64,
    /// From start to end of the process.
    pub wall: Duration,
}

/// What a measured process left behind: status, figures, and its output where that was captured.
#[derive(Debug)]
pub struct Run {
    /// How it ended.
    pub status: ExitStatus,
    /// What it took.
    pub footprint: Footprint,
    /// Its standard output; empty after [`run`].
    pub stdout: Vec<u8>,
    /// Its standard error; empty after [`run`].
    pub stderr: Vec<u8>,
}

/// Reads the memory of process `pid` now; `None` when it has none (any more).
///
/// # Errors
/// The process does not exist, may not be read, or the system has no `/proc`.
pub fn sample(pid: u32) -> io::Result<Option<Sample>> {
    Ok(parse(&std::fs::read_to_string(format!("/proc/{pid}/status"))?))
}

/// Runs `command` to its end, with the caller's own standard output and error, and measures it.
///
/// # Errors
/// It does not start, or the system has no `/proc/PID/status`.
pub fn run(command: &mut Command) -> io::Result<Run> {
    watch(command.spawn()?)
}

/// Runs `command` to its end, keeps what it prints, and measures it.
///
/// # Errors
/// As [`run`].
pub fn run_captured(command: &mut Command) -> io::Result<Run> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let mut run = watch(child)?;
    run.stdout = joined(stdout)?;
    run.stderr = joined(stderr)?;
    Ok(run)
}

/// Samples until the child has ended. It is reaped by this same loop, so its number cannot pass to another process.
fn watch(mut child: Child) -> io::Result<Run> {
    if !std::path::Path::new("/proc/self/status").exists() {
        child.kill()?;
        child.wait()?;
        return Err(io::Error::new(io::ErrorKind::Unsupported, "no /proc/PID/status on this system"));
    }
    let started = Instant::now();
    let mut footprint = Footprint::default();
    let mut next = started;
    loop {
        if let Ok(Some(now)) = sample(child.id()) {
            footprint.private_bytes_peak = footprint.private_bytes_peak.max(now.private_bytes);
            footprint.resident_bytes_peak = footprint.resident_bytes_peak.max(now.resident_bytes_peak);
            footprint.samples_count += 1;
        }
        if let Some(status) = child.try_wait()? {
            footprint.wall = started.elapsed();
            return Ok(Run { status, footprint, stdout: Vec::new(), stderr: Vec::new() });
        }
        // By the clock, not by the length of a sleep: what a sample takes, and waking late, must not add up.
        next += PERIOD;
        match next.checked_duration_since(Instant::now()) {
            Some(rest) => thread::sleep(rest),
            None => next = Instant::now(),
        }
    }
}

/// The four lines that count; a process that is ending has none of them.
fn parse(status: &str) -> Option<Sample> {
    let field = |name: &str| {
        let line =
            status.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':')))?;
        let kib: u64 = line[name.len() + 1..].trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1024)
    };
    Some(Sample {
        private_bytes: field("RssAnon")? + field("RssShmem")? + field("VmSwap")?,
        resident_bytes_peak: field("VmHWM")?,
    })
}

/// Reads a pipe to its end beside the sampling, so that the child never waits for a reader.
fn drain(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<io::Result<Vec<u8>>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    })
}

fn joined(reader: JoinHandle<io::Result<Vec<u8>>>) -> io::Result<Vec<u8>> {
    reader.join().map_err(|_| io::Error::other("the reader of a pipe panicked"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Aim: the four figures are read from the system's own text. Method: an excerpt with look-alike names around them.
    #[test]
    fn status_text_is_parsed() {
        let text = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 9 kB\nRssAnon:\t     100 kB\nRssFile:\t 7 kB\n\
                    RssShmem:\t       4 kB\nVmSwap:\t       1 kB\n";
        let sample = parse(text).expect("complete");
        assert_eq!(sample, Sample { private_bytes: 105 * 1024, resident_bytes_peak: 2048 * 1024 });
        assert_eq!(parse("Name:\tzombie\nState:\tZ\n"), None);
        assert_eq!(parse("VmHWM:\t x kB\nRssAnon:\t1 kB\nRssShmem:\t1 kB\nVmSwap:\t1 kB\n"), None);
    }

    /// Aim: a child's memory is seen, and by both figures. Method: `dd` with a 24 MiB buffer, held while it reads.
    #[test]
    fn memory_of_a_child_is_seen() {
        let mut command = Command::new("dd");
        command.args(["if=/dev/zero", "of=/dev/null", "bs=24M", "count=20"]);
        let run = run_captured(&mut command).expect("dd is part of every Unix");
        assert!(run.status.success());
        assert!(run.footprint.samples_count > 0);
        for peak in [run.footprint.private_bytes_peak, run.footprint.resident_bytes_peak] {
            assert!((24 << 20..40 << 20).contains(&peak), "{peak} bytes");
        }
        assert!(String::from_utf8_lossy(&run.stderr).contains("records"), "the output is kept");
    }

    /// Aim: a command that does not exist is an error, not a footprint of zero.
    #[test]
    fn a_missing_program_is_an_error() {
        assert!(run(&mut Command::new("./no-such-program")).is_err());
    }
}
