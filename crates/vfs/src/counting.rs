//! Counts what goes to the files of another [`Vfs`]: how many syncs a commit costs, how many bytes a load writes.
//!
//! A call is counted when it comes back, also one that failed; bytes are those that were really moved. Counters are
//! shared by all handles and only go up, so two [`Counts`] taken one after the other differ by what was done between.

use std::io;
use std::ops::Sub;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Directory, File, Lock, OpenMode, Vfs};

/// Makes the counters, their values at a moment, and the difference of two of those.
macro_rules! counted {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What was done up to some moment, or between two.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Sub for Counts {
            type Output = Counts;

            /// What was done between `earlier` and this; 0 where that is more.
            fn sub(self, earlier: Counts) -> Counts {
                Counts { $($name: self.$name.saturating_sub(earlier.$name),)* }
            }
        }

        #[derive(Debug, Default)]
        struct Counters {
            $($name: AtomicU64,)*
        }

        impl Counters {
            fn read(&self) -> Counts {
                Counts { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counted! {
    /// Files that were opened or made.
    opens,
    /// Reads.
    reads,
    /// Bytes that reads gave.
    bytes_read,
    /// Writes.
    writes,
    /// Bytes that writes took.
    bytes_written,
    /// Lengths that were set.
    set_lens,
    /// Syncs of files.
    syncs,
    /// Syncs of directories, without those of a parent when a directory is opened.
    directory_syncs,
    /// Files that got another name.
    renames,
    /// Names that were removed.
    removes,
}

/// Hands everything on to another [`Vfs`] and counts it. A clone counts into the same counters.
#[derive(Clone, Debug)]
pub struct CountingVfs {
    inner: Arc<dyn Vfs>,
    counters: Arc<Counters>,
}

impl CountingVfs {
    /// Counts what goes to `inner`, from zero.
    pub fn new(inner: Arc<dyn Vfs>) -> CountingVfs {
        CountingVfs { inner, counters: Arc::default() }
    }

    /// What was done so far. While other threads work, each number is exact for a moment of its own.
    pub fn counts(&self) -> Counts {
        self.counters.read()
    }
}

/// Counts a call that has come back.
fn count<T>(counter: &AtomicU64, outcome: T) -> T {
    counter.fetch_add(1, Ordering::Relaxed);
    outcome
}

/// Counts a call that has come back, and the bytes that it moved.
fn count_bytes(calls: &AtomicU64, bytes: &AtomicU64, outcome: io::Result<usize>) -> io::Result<usize> {
    if let Ok(moved) = outcome {
        bytes.fetch_add(moved as u64, Ordering::Relaxed);
    }
    count(calls, outcome)
}

impl Vfs for CountingVfs {
    fn directory(&self, path: &Path, create: bool) -> io::Result<Arc<dyn Directory>> {
        let inner = self.inner.directory(path, create)?;
        Ok(Arc::new(CountingDirectory { inner, counters: Arc::clone(&self.counters) }))
    }

    fn now_ns(&self) -> u64 {
        self.inner.now_ns()
    }

    fn sleep_ns(&self, ns: u64) {
        self.inner.sleep_ns(ns);
    }

    fn random_u64(&self) -> u64 {
        self.inner.random_u64()
    }
}

#[derive(Debug)]
struct CountingDirectory {
    inner: Arc<dyn Directory>,
    counters: Arc<Counters>,
}

impl Directory for CountingDirectory {
    #[allow(clippy::disallowed_types)]
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn File>> {
        let inner = count(&self.counters.opens, self.inner.open(name, mode))?;
        Ok(Box::new(CountingFile { inner, counters: Arc::clone(&self.counters) }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        count(&self.counters.renames, self.inner.rename(from, to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        count(&self.counters.removes, self.inner.remove(name))
    }

    fn list(&self, visit: &mut dyn FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        self.inner.list(visit)
    }

    fn sync(&self) -> io::Result<()> {
        count(&self.counters.directory_syncs, self.inner.sync())
    }

    fn is_in_memory(&self) -> bool {
        self.inner.is_in_memory()
    }

    #[allow(clippy::disallowed_types)]
    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        self.inner.lock(name)
    }
}

#[derive(Debug)]
struct CountingFile {
    #[allow(clippy::disallowed_types)]
    inner: Box<dyn File>,
    counters: Arc<Counters>,
}

impl File for CountingFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        count_bytes(&self.counters.reads, &self.counters.bytes_read, self.inner.read_at(into, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        count_bytes(&self.counters.writes, &self.counters.bytes_written, self.inner.write_at(bytes, offset))
    }

    fn sync(&self) -> io::Result<()> {
        count(&self.counters.syncs, self.inner.sync())
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        count(&self.counters.set_lens, self.inner.set_len(bytes))
    }
}
