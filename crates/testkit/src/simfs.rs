//! A simulated machine: a disk that can lose power at any operation, with a clock and random numbers that repeat.
//!
//! A [`SimDisk`] is a [`Vfs`], so whatever keeps its files through that trait runs on it unchanged. Everything follows
//! from its seed and from the operations in their order: the same work on the same seed gives the same images (work of
//! several threads has no such order).
//!
//! **Crashes.** The disk knows what processes see and what is durable. [`File::sync`] makes the content of a file
//! durable, [`Directory::sync`] the names of a directory, and nothing else does: a file whose content was synced may
//! vanish, because its name was not. [`SimDisk::crash`] decides from a seed, under a [`CrashPolicy`], what is left:
//!
//! - of every sector written since the last sync the new content, the durable one, one that it had between the two, or a
//!   torn one;
//! - of a length that changed, the new one, the durable one, or one between them; a cut is done or undone as a whole;
//! - of the names created, renamed and removed, any of these changes, in their order.
//!
//! All handles and locks of before fail from then on. [`SimDisk::crash_at`] lets the n-th operation that changes the
//! disk be the machine's last, so that a driver can crash at every one of them:
//!
//! ```
//! # use cofferdam_testkit::simfs::SimDisk;
//! # use cofferdam_vfs::{OpenMode, Vfs};
//! # use std::path::Path;
//! # fn save(disk: &SimDisk) -> std::io::Result<()> {
//! #     let directory = disk.directory(Path::new("db"), true)?;
//! #     directory.open("data", OpenMode::CreateNew)?.write_all_at(b"new", 0)
//! # }
//! let undisturbed = SimDisk::new(7);
//! save(&undisturbed).unwrap();
//! for nth in 1..=undisturbed.counts().mutations {
//!     let disk = SimDisk::new(7);
//!     disk.crash_at(nth);
//!     assert!(save(&disk).is_err_and(|error| cofferdam_testkit::simfs::is_gone(&error)));
//!     disk.restart(nth);
//!     // … open again, and look at what is there.
//! }
//! ```
//!
//! **Faults.** A [`Rule`] says which operations go wrong, when, and how: errors, short reads and writes, flipped bits,
//! misdirected writes, syncs that fail and forget what they were to write, syncs and writes that do nothing. Rules stay
//! over crashes until [`SimDisk::clear_rules`].
//!
//! **Does a test have teeth?** Take any one sync away, and it should fail: [`SimDisk::ignore_sync`] ignores the k-th
//! sync of a run, [`SimDisk::ignore_syncs`] all those of a pattern of names, and [`SimDisk::log`] says which there are.
//!
//! **Memory and time.** Images are on the heap, and no budget is charged. An operation costs its bytes and its sectors,
//! a sync or a crash the number of unsynced sectors and of names; no content is ever copied as a whole but by
//! [`SimDisk::duplicate`] and [`SimDisk::image`]. There is no working directory: `db` is `/db`. Measured by `cargo run --release -p cofferdam-testkit --example simfs_speed`.
//!
//! | module | what it has |
//! |---|---|
//! | `content` | the bytes of a file, and what a crash leaves of them |
//! | `names` | the names of a directory, and what a crash leaves of them |
//! | `crash` | policies, and reports of what was lost |
//! | `fault` | rules and faults |
//! | `log` | what was done |
//! | `disk` | every operation, with all of these |

mod content;
mod crash;
mod disk;
mod fault;
mod log;
mod names;
mod rng;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cofferdam_vfs::{Directory, File, Lock, OpenMode, Vfs};

pub use crash::{Crash, CrashPolicy, Survival};
pub use disk::SimCounts;
use disk::{Disk, Handle};
pub use fault::{EIO, ENOSPC, Fault, Op, Rule, Unwritten};
pub use log::Entry;

/// The number of the error of every operation on a machine that is gone, and on handles of before a crash. No system
/// has it, and it passes through errors that keep nothing but the number.
pub const GONE: i32 = 9_999;

/// Whether an error says that the machine is gone.
pub fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(GONE)
}

/// How a disk is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimOptions {
    /// What the disk writes at once.
    pub sector_bytes: usize,
    /// The longest file; every byte up to its length is on the heap.
    pub file_bytes_max: u64,
    /// So many of the last operations are kept for the log.
    pub log_len_max: usize,
}

impl Default for SimOptions {
    /// Sectors of 512 bytes, files of up to 1 GiB, the last 256 operations.
    fn default() -> SimOptions {
        SimOptions { sector_bytes: 512, file_bytes_max: 1 << 30, log_len_max: 256 }
    }
}

/// A simulated machine; see the module. A clone is another handle of the same one.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<Disk>>);

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimDisk").field(&self.counts()).finish()
    }
}

impl SimDisk {
    /// A machine whose disk is empty but for the directory `/`.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk::with_options(seed, SimOptions::default())
    }

    /// A machine with other sectors, files or log.
    ///
    /// # Panics
    /// For sectors of no bytes.
    pub fn with_options(seed: u64, options: SimOptions) -> SimDisk {
        assert!(options.sector_bytes > 0, "a sector has bytes");
        SimDisk(Arc::new(Mutex::new(Disk::new(seed, options))))
    }

    /// A test that panics elsewhere must still be able to say what is on the disk.
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Crashes.

    /// Lets the n-th operation from now on that changes the disk be the last one, from 1; 0 for now. That operation
    /// may have had any effect, or none; it and all after it give an error that [`is_gone`] knows, until a restart.
    pub fn crash_at(&self, mutation: u64) {
        self.disk().crash_at(mutation);
    }

    /// Whether the machine is gone.
    pub fn is_gone(&self) -> bool {
        self.disk().is_gone()
    }

    /// Starts the machine again after it has gone: what is left on the disk follows from `seed`, under
    /// [`CrashPolicy::default`].
    pub fn restart(&self, seed: u64) -> Crash {
        self.crash_with(&CrashPolicy::default(), seed)
    }

    /// Cuts the power now, and starts the machine again as [`SimDisk::restart`] does.
    pub fn crash(&self, seed: u64) -> Crash {
        self.restart(seed)
    }

    /// Cuts the power, if it is not gone, and starts the machine again: `policy` and `seed` say what is left.
    pub fn crash_with(&self, policy: &CrashPolicy, seed: u64) -> Crash {
        self.disk().crash(policy, seed)
    }

    /// Ends the process, not the machine: all handles and locks are dead, everything written is there.
    pub fn kill(&self) {
        self.disk().end_process();
    }

    /// Another machine with the same disk, clock, rules and log, as after [`SimDisk::kill`], so that several things
    /// can be tried from one state. Copies all content.
    pub fn duplicate(&self) -> SimDisk {
        let mut disk = self.disk().clone();
        disk.end_process();
        SimDisk(Arc::new(Mutex::new(disk)))
    }

    // Faults.

    /// Adds a rule. Where several strike, the first one counts.
    pub fn inject(&self, rule: Rule) {
        self.disk().rules.push(rule);
    }

    /// Takes away all rules, also those of [`SimDisk::ignore_sync`] and [`SimDisk::ignore_syncs`].
    pub fn clear_rules(&self) {
        let mut disk = self.disk();
        disk.rules.clear();
        disk.ignored_syncs.clear();
    }

    /// Lets the k-th sync of the machine, of a file or a directory, say that all is well and do nothing: [`Entry::sync`].
    pub fn ignore_sync(&self, sync: u64) {
        self.disk().ignored_syncs.push(sync);
    }

    /// Lets all syncs of files and directories of such a name (see [`Rule::file`]) say that all is well and do nothing.
    pub fn ignore_syncs(&self, pattern: &str) {
        self.inject(Rule::new([Op::Sync, Op::SyncDirectory], Fault::Ignore).file(pattern));
    }

    /// Limits the sum of the lengths of all files that have a name or a handle; holes count as data.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.disk().capacity = bytes;
    }

    /// Flips the bits of `mask` in a byte of a file for good, in what processes see and on the disk.
    ///
    /// # Errors
    /// `NotFound`, and `UnexpectedEof` for a byte behind the end.
    pub fn flip(&self, path: impl AsRef<Path>, offset: u64, mask: u8) -> io::Result<()> {
        self.disk().flip(path.as_ref(), offset, mask)
    }

    // What there is and was.

    /// What was done so far.
    pub fn counts(&self) -> SimCounts {
        self.disk().counts
    }

    /// The last operations, oldest first.
    pub fn log(&self) -> Vec<Entry> {
        self.disk().log.entries().cloned().collect()
    }

    /// The last operations, a line each.
    pub fn log_text(&self) -> String {
        let disk = self.disk();
        disk.log.entries().map(|entry| format!("{entry}\n")).collect()
    }

    /// What processes see: the content of every file by its path.
    pub fn image(&self) -> BTreeMap<String, Vec<u8>> {
        let mut image = BTreeMap::new();
        self.disk().visit_files(&mut |path, content| {
            image.insert(path.to_owned(), content.bytes().to_vec());
        });
        image
    }

    /// The sum of the lengths of all files that have a name or a handle.
    pub fn used_bytes(&self) -> u64 {
        self.disk().used_bytes()
    }

    /// Sectors that a crash could undo.
    pub fn unsynced_sectors_count(&self) -> usize {
        self.disk().unsynced_sectors_count()
    }
}

impl Vfs for SimDisk {
    fn directory(&self, path: &Path, create: bool) -> io::Result<Arc<dyn Directory>> {
        let handle = self.disk().open_directory(path, create)?;
        Ok(Arc::new(SimDirectory { disk: self.clone(), handle }))
    }

    fn now_ns(&self) -> u64 {
        self.disk().now_ns()
    }

    fn sleep_ns(&self, ns: u64) {
        self.disk().sleep_ns(ns);
        // Who waits for another thread lets it run.
        std::thread::yield_now();
    }

    fn random_u64(&self) -> u64 {
        self.disk().random_u64()
    }
}

#[derive(Debug)]
struct SimDirectory {
    disk: SimDisk,
    handle: Handle,
}

impl Directory for SimDirectory {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn File>> {
        let handle = self.disk.disk().open(&self.handle, name, mode)?;
        Ok(Box::new(SimFile { disk: self.disk.clone(), handle, mode }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.disk().rename(&self.handle, from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.disk().remove(&self.handle, name)
    }

    fn list(&self, visit: &mut dyn FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        // Who visits may use the disk.
        let names = self.disk.disk().list(&self.handle)?;
        names.iter().try_for_each(|name| visit(name))
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.disk().sync_directory(&self.handle)
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        let handle = self.disk.disk().lock(&self.handle, name)?;
        Ok(Box::new(SimLock { disk: self.disk.clone(), handle }))
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    handle: Handle,
    mode: OpenMode,
}

impl File for SimFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.disk().read(&self.handle, into, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.disk.disk().write(&self.handle, bytes, offset, self.mode)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.disk().sync(&self.handle)
    }

    fn len(&self) -> io::Result<u64> {
        self.disk.disk().len(&self.handle)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.disk.disk().set_len(&self.handle, bytes, self.mode)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.disk.disk().close(&self.handle, false);
    }
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    handle: Handle,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.disk().close(&self.handle, true);
    }
}

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod tests;
