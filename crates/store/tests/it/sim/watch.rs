//! A file system between an engine and the simulated disk that knows which syncs there are and can leave some out.
//!
//! A *site* is a sync of a kind of file during a kind of operation: `Commit: wal`, `Compact: directory with segments`. The first sync
//! of a new file is one of its own (`Flush: new wal`), and those of directories differ by the kinds of files whose names have changed
//! since the last one. Leaving out one site for whole runs must make the simulation fail, or the sync is not needed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cofferdam_testkit::simfs::SimDisk;
use cofferdam_vfs::{Directory, File, Lock, OpenMode, Vfs};

/// What the driver asks of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) enum Context {
    #[default]
    Open,
    Close,
    Write,
    Commit,
    Flush,
    Compact,
    Sync,
    Read,
}

/// A kind of sync.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Site {
    pub(crate) context: Context,
    /// The file's name up to its number, or `directory`, with what is said above.
    pub(crate) file: String,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.context, self.file)
    }
}

/// What is known and wanted of syncs.
#[derive(Clone, Debug, Default)]
struct State {
    context: Context,
    seen: BTreeMap<Site, u64>,
    ignored: Option<Site>,
    /// Files that were made and not synced yet.
    new: BTreeSet<String>,
    /// Kinds of files whose names have changed since a directory was synced.
    renamed: BTreeSet<String>,
}

/// See the module. A clone is another handle.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    disk: SimDisk,
    state: Arc<Mutex<State>>,
}

impl Watch {
    /// Leaves out the syncs of `ignored`.
    pub(crate) fn new(disk: &SimDisk, ignored: Option<&Site>) -> Watch {
        let state = State { ignored: ignored.cloned(), ..State::default() };
        Watch { disk: disk.clone(), state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what the engine does from now on.
    pub(crate) fn enter(&self, context: Context) {
        self.state().context = context;
    }

    /// The syncs so far, and how often each was done.
    pub(crate) fn seen(&self) -> BTreeMap<Site, u64> {
        self.state().seen.clone()
    }

    /// Notes that a name has changed.
    fn note_name(&self, name: &str) {
        self.state().renamed.insert(kind_of(name));
    }

    /// Notes the sync of a file; false if it is to be left out.
    fn is_file_done(&self, name: &str) -> bool {
        let mut state = self.state();
        let is_new = state.new.remove(name);
        let kind = kind_of(name);
        state.is_done(if is_new { format!("new {kind}") } else { kind })
    }

    /// The same for the directory.
    fn is_directory_done(&self) -> bool {
        let mut state = self.state();
        let kinds: Vec<String> = std::mem::take(&mut state.renamed).into_iter().collect();
        state.is_done(match kinds.is_empty() {
            true => "directory".to_owned(),
            false => format!("directory with {}", kinds.join(" and ")),
        })
    }
}

fn kind_of(name: &str) -> String {
    name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-').to_owned()
}

impl State {
    fn is_done(&mut self, file: String) -> bool {
        let site = Site { context: self.context, file };
        let is_done = self.ignored.as_ref() != Some(&site);
        *self.seen.entry(site).or_default() += 1;
        is_done
    }
}

impl Vfs for Watch {
    fn directory(&self, path: &Path, create: bool) -> io::Result<Arc<dyn Directory>> {
        let inner = self.disk.directory(path, create)?;
        Ok(Arc::new(WatchedDirectory { inner, watch: self.clone() }))
    }

    fn now_ns(&self) -> u64 {
        self.disk.now_ns()
    }

    fn sleep_ns(&self, ns: u64) {
        self.disk.sleep_ns(ns);
    }

    fn random_u64(&self) -> u64 {
        self.disk.random_u64()
    }
}

#[derive(Debug)]
struct WatchedDirectory {
    inner: Arc<dyn Directory>,
    watch: Watch,
}

impl Directory for WatchedDirectory {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn File>> {
        let inner = self.inner.open(name, mode)?;
        if matches!(mode, OpenMode::CreateNew) {
            self.watch.note_name(name);
            self.watch.state().new.insert(name.to_owned());
        }
        Ok(Box::new(WatchedFile { inner, name: name.to_owned(), watch: self.watch.clone() }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.watch.note_name(to);
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.watch.note_name(name);
        self.inner.remove(name)
    }

    fn list(&self, visit: &mut dyn FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        self.inner.list(visit)
    }

    fn sync(&self) -> io::Result<()> {
        if self.watch.is_directory_done() { self.inner.sync() } else { Ok(()) }
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        self.inner.lock(name)
    }
}

#[derive(Debug)]
struct WatchedFile {
    inner: Box<dyn File>,
    name: String,
    watch: Watch,
}

impl File for WatchedFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(into, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.inner.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        if self.watch.is_file_done(&self.name) { self.inner.sync() } else { Ok(()) }
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.inner.set_len(bytes)
    }
}
