//! A file system of which some operations wait until they are let through: to see what others do meanwhile.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use cofferdam_vfs::{Directory, File, Lock, OpenMode, Vfs};

/// Whether syncs of segment files wait.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_closed: bool,
    waiting: usize,
}

impl Gate {
    /// From now on syncs of segment files wait.
    pub(crate) fn close(&self) {
        self.state.lock().unwrap().is_closed = true;
    }

    /// Lets all through.
    pub(crate) fn open(&self) {
        self.state.lock().unwrap().is_closed = false;
        self.changed.notify_all();
    }

    /// Returns when somebody waits.
    pub(crate) fn until_reached(&self) {
        let mut state = self.state.lock().unwrap();
        while state.waiting == 0 {
            state = self.changed.wait(state).unwrap();
        }
    }

    /// Whether somebody waits.
    pub(crate) fn is_reached(&self) -> bool {
        self.state.lock().unwrap().waiting > 0
    }

    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.waiting += 1;
        self.changed.notify_all();
        while state.is_closed {
            state = self.changed.wait(state).unwrap();
        }
        state.waiting -= 1;
    }
}

/// A file system behind a gate.
#[derive(Clone, Debug)]
pub(crate) struct Gated {
    pub(crate) inner: Arc<dyn Vfs>,
    pub(crate) gate: Arc<Gate>,
}

#[derive(Debug)]
struct GatedDirectory(Arc<dyn Directory>, Arc<Gate>);

#[derive(Debug)]
struct GatedFile(Box<dyn File>, Option<Arc<Gate>>);

impl Vfs for Gated {
    fn directory(&self, path: &Path, create: bool) -> io::Result<Arc<dyn Directory>> {
        Ok(Arc::new(GatedDirectory(self.inner.directory(path, create)?, Arc::clone(&self.gate))))
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

impl Directory for GatedDirectory {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn File>> {
        let gate = name.starts_with("segments").then(|| Arc::clone(&self.1));
        Ok(Box::new(GatedFile(self.0.open(name, mode)?, gate)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn list(&self, visit: &mut dyn FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        self.0.list(visit)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        self.0.lock(name)
    }
}

impl File for GatedFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(into, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.1.iter().for_each(|gate| gate.pass());
        self.0.sync()
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }
}
